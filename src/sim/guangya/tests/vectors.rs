//! The published vectors of what the simulator computes.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use sha1::{Digest, Sha1};

use super::super::super::content::Blob;
use super::super::super::digest::{HashKind, hex};
use super::super::super::oss::sign;
use super::super::claims::md5_of;
use super::upper;

fn vectors(group: &str, wanted: usize) -> Vec<Value> {
    let text = include_str!("../../../../tests/fixtures/guangya.vectors.json");
    let all = serde_json::from_str::<Value>(text).unwrap()[group].take();
    let all = all.as_array().unwrap().clone();
    assert_eq!(all.len(), wanted, "{group}");
    all
}

fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key].as_str().unwrap()
}

/// A repeated stretch of `period` bytes, without its memory.
fn repeated(size: u64, period: u64, byte: impl Fn(u64) -> u8) -> Blob {
    let stretch: Vec<u8> = (0..period * 4096).map(byte).collect();
    let stretch = Blob::bytes(stretch);
    let count = size.div_ceil(stretch.size()) as usize;
    Blob::join(std::iter::repeat_n(&stretch, count)).slice(0, size)
}

fn content(vector: &Value) -> Blob {
    let size = vector["size"].as_u64().unwrap();
    match text(vector, "name").split('_').next().unwrap() {
        "empty" => Blob::bytes(""),
        "hello" => Blob::bytes("hello"),
        "zero" => repeated(size, 256, |_| 0),
        "pat17x251" => repeated(size, 251, |i| (17 * i % 251) as u8),
        "pat251" => repeated(size, 251, |i| (i % 251) as u8),
        "pat256" if text(vector, "name").ends_with("plus_FF") => {
            let head = repeated(size - 1, 256, |i| (i % 256) as u8);
            Blob::join([&head, &Blob::bytes(vec![0xff])])
        }
        "pat256" => repeated(size, 256, |i| (i % 256) as u8),
        other => panic!("{other}"),
    }
}

#[test]
fn contents() {
    for vector in vectors("gcid_cid", 17) {
        let (name, blob) = (text(&vector, "name"), content(&vector));
        assert_eq!(blob.size(), vector["size"].as_u64().unwrap(), "{name}");
        assert_eq!(
            upper(&blob, HashKind::Gcid),
            text(&vector, "gcid"),
            "{name}"
        );
        assert_eq!(upper(&blob, HashKind::Cid), text(&vector, "cid"), "{name}");
        // Two hashes of every size are enough reading.
        if blob.size() <= 1 << 20 {
            assert_eq!(
                blob.digest_now(HashKind::Md5),
                text(&vector, "md5"),
                "{name}"
            );
            assert_eq!(
                blob.digest_now(HashKind::Sha1),
                text(&vector, "sha1"),
                "{name}"
            );
        }
    }
}

#[test]
fn blocks_of_a_gcid() {
    let rows = vectors("gcid_block_ladder", 13);
    let small = rows.iter().map(|row| {
        let number = |key: &str| row[key].as_u64().unwrap();
        (number("size"), number("block_size"))
    });
    for (size, block) in small.filter(|(size, _)| *size <= (128 << 20) + 1) {
        let blob = Blob::synthetic(1, size);
        let mut outer = Sha1::new();
        for at in (0..size).step_by(block as usize) {
            outer.update(Sha1::digest(blob.read(at, block)));
        }
        let wanted = hex(&outer.finalize());
        assert_eq!(blob.digest_now(HashKind::Gcid), wanted, "{size}");
    }
}

#[test]
fn both_ways_to_write_an_md5() {
    for vector in vectors("md5_encodings", 2) {
        let wanted = text(&vector, "hex");
        let blob = Blob::bytes(text(&vector, "content").to_owned());
        assert_eq!(blob.digest_now(HashKind::Md5), wanted);
        for written in [wanted, text(&vector, "base64"), &wanted.to_uppercase()] {
            assert_eq!(md5_of(written).as_deref(), Some(wanted));
        }
    }
    for wrong in [
        "",
        "5d41402abc4b2a76b9719d911017c59",
        "XUFAKrxLKna5cZ2REBfF",
        "zz",
    ] {
        assert_eq!(md5_of(wrong), None, "{wrong}");
    }
}

#[test]
fn signatures_of_the_store() {
    for vector in vectors("oss_v1", 3) {
        let mut headers = HeaderMap::new();
        let mut put = |name: &'static str, value: &str| {
            if !value.is_empty() {
                let name = HeaderName::from_static(name);
                headers.insert(name, HeaderValue::from_str(value).unwrap());
            }
        };
        put("content-type", text(&vector, "content_type"));
        put("content-md5", text(&vector, "content_md5"));
        put("x-oss-security-token", text(&vector, "security_token"));
        match vector["sign_x_oss_date"].as_bool().unwrap() {
            true => put("x-oss-date", text(&vector, "date")),
            false => put("date", text(&vector, "date")),
        }
        let query: Vec<(String, String)> = vector["subresources"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect();
        let signed = sign::string_to_sign(
            text(&vector, "method"),
            &headers,
            text(&vector, "bucket"),
            text(&vector, "object_key"),
            &query,
        );
        assert_eq!(signed, text(&vector, "string_to_sign"));
        let signature = sign::hmac_sha1(text(&vector, "access_key_secret"), &signed);
        let id = text(&vector, "access_key_id");
        assert_eq!(
            format!("OSS {id}:{signature}"),
            text(&vector, "authorization")
        );
    }
}
