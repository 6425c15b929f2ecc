//! The published vectors.

use std::sync::LazyLock;

use serde_json::Value;

use super::super::super::content::Blob;
use super::super::super::digest::HashKind;
use super::super::args::Args;
use super::super::cloud_md5::{cloud_md5, obfuscate};
use super::super::slices::Plan;
use super::super::{download, proof};
use super::generated;

static VECTORS: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("../../../../tests/fixtures/baidu_netdisk.vectors.json");
    serde_json::from_str::<Value>(text).unwrap()["vectors"].take()
});

fn rows(value: &Value) -> &[Value] {
    let rows = value.as_array().unwrap();
    assert!(!rows.is_empty());
    rows
}

fn text<'v>(row: &'v Value, key: &str) -> &'v str {
    row[key].as_str().unwrap()
}

fn number(row: &Value, key: &str) -> u64 {
    row[key].as_u64().unwrap()
}

#[test]
fn the_generator() {
    assert_eq!(
        super::super::super::hex(&generated(16, 1)),
        "8524c260fe9d3bd97715b452f08e2ccb"
    );
    assert_eq!(
        super::super::super::hex(&generated(16, 9)),
        "b553f18f2ecc6a08a745e3811fbe5cfa"
    );
}

#[test]
fn obfuscated_md5() {
    let all = &VECTORS["list_md5_obfuscation"];
    let both = rows(&all["encode_and_decode"]).iter();
    for row in both.chain(rows(&all["decode_of_strings_seen_in_public_reports"])) {
        assert_eq!(obfuscate(text(row, "plain")), text(row, "obfuscated"));
    }
    assert_eq!(obfuscate(""), "");
    assert_eq!(obfuscate("no md5"), "no md5");
}

#[tokio::test]
async fn upload_fingerprints() {
    for row in rows(&VECTORS["upload_fingerprints"]["cases"]) {
        let (size, seed) = (number(row, "size"), number(row, "seed"));
        let blob = Blob::bytes(generated(size, seed));
        assert_eq!(blob.digest(HashKind::Md5).await, text(row, "content_md5"));
        let head = blob.digest(HashKind::HeadMd5(262_144)).await;
        assert_eq!(head, text(row, "slice_md5_first_262144"), "{size}");
        for mib in [4, 16, 32] {
            let wanted = &row[format!("block_list_{mib}MiB").as_str()];
            if wanted.is_array() {
                let wanted: Vec<&str> = rows(wanted).iter().map(|v| v.as_str().unwrap()).collect();
                let blocks = blob.digest(HashKind::BlockMd5(mib << 20)).await;
                assert_eq!(blocks, wanted.join(","), "{size} {mib}");
            }
        }
    }
    // One slice: the MD5 of the content. Several: never.
    let blob = Blob::bytes(generated(100, 2));
    assert_eq!(
        cloud_md5(&blob, 1).await,
        "690f0d5c7e40be562b29b276eb6bb105"
    );
    assert_ne!(
        cloud_md5(&blob, 2).await,
        "690f0d5c7e40be562b29b276eb6bb105"
    );
}

#[test]
fn slice_plans() {
    for row in rows(&VECTORS["slice_plan"]["cases"]) {
        let (size, slice) = (number(row, "size"), number(row, "slice"));
        let (count, last) = (number(row, "parts"), number(row, "last"));
        assert_eq!(size.div_ceil(slice), count);
        let mut plan = Plan {
            size,
            count,
            slice: None,
            range: (4 << 20, 32 << 20),
        };
        if count == 1 {
            assert_eq!(plan.check(0, last).unwrap(), None);
            assert_eq!(plan.check(0, last + 1).unwrap_err().code, 31081);
            continue;
        }
        assert_eq!(plan.check(count - 1, last).unwrap(), Some(slice));
        assert_eq!(plan.check(0, slice).unwrap(), Some(slice));
        assert_eq!(plan.check(0, (4 << 20) - 1).unwrap_err().code, 31299);
        assert_eq!(plan.check(0, (32 << 20) + 1).unwrap_err().code, 31364);
        plan.slice = Some(slice);
        assert_eq!(plan.check(count - 1, last).unwrap(), Some(slice));
        if last > 1 {
            assert_eq!(plan.check(count - 1, last - 1).unwrap_err().code, 31081);
        }
    }
}

#[test]
fn form_bodies() {
    let all = VECTORS["form_bodies"].as_object().unwrap();
    let bodies = all.iter().filter(|(key, _)| *key != "algorithm");
    let mut seen = 0;
    for (name, row) in bodies {
        let args = Args::pairs(text(row, "body"));
        for pair in rows(&row["fields"]) {
            let key = pair[0].as_str().unwrap();
            assert_eq!(args.text(key), pair[1].as_str().unwrap(), "{name} {key}");
        }
        seen += 1;
    }
    assert_eq!(seen, 2);
}

#[test]
fn cookie_proofs() {
    for row in rows(&VECTORS["cookie_precreate_proof"]["cases"]) {
        let (uk, size) = (number(row, "uk"), number(row, "size"));
        let time = i64::try_from(number(row, "data_time")).unwrap();
        let offset = proof::offset(uk, text(row, "content_md5"), time, size);
        assert_eq!(offset, number(row, "data_offset"), "{row}");
        let Some(seed) = row["seed"].as_u64() else {
            continue;
        };
        let blob = Blob::bytes(generated(size, seed));
        let (length, content) = proof::content(&blob, offset);
        assert_eq!(length, number(row, "data_length"));
        assert_eq!(content.len() as u64, number(row, "data_content_len"));
        assert!(content.starts_with(text(row, "data_content_first32")));
        assert!(content.ends_with(text(row, "data_content_last16")));
        let md5 = super::super::super::md5_hex(content.as_bytes());
        assert_eq!(md5, text(row, "data_content_md5"));
    }
}

#[test]
fn locatedownload_rand() {
    for row in rows(&VECTORS["cookie_locatedownload_rand"]["cases"]) {
        let (uid, time) = (number(row, "uid"), number(row, "time").to_string());
        let rand = download::rand(text(row, "bduss"), uid, &time, text(row, "devuid"));
        assert_eq!(rand, text(row, "rand"));
    }
}
