//! Uploads over HTTP: fast ones, streamed ones, and what their opening refuses.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::content::Blob;
use super::super::digest::{HashKind, md5_hex};
use super::super::server::SeedSource;
use super::sign::{encrypt_params, unhex};
use super::tests::{Client, Twist, code};
use super::upload::slice_size;

pub(super) const SLICE: u64 = 10 << 20;

pub(super) fn md5(blob: &Blob) -> String {
    blob.digest_now(HashKind::Md5).to_uppercase()
}

fn slice_md5(blob: &Blob) -> String {
    blob.digest_now(HashKind::SliceMd5(SLICE)).to_uppercase()
}

pub(super) fn base64_md5(blob: &Blob) -> String {
    STANDARD.encode(unhex(&md5(blob)).unwrap())
}

pub(super) fn joined(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

impl Client {
    /// A call of the upload host.
    pub(super) async fn up(&self, call: &str, pairs: &[(&str, &str)]) -> Value {
        self.up_text(call, &encrypt_params(&joined(pairs), self.secret(false)))
            .await
    }

    pub(super) async fn up_text(&self, call: &str, params: &str) -> Value {
        let path = format!("/person/{call}");
        let ask = self.signed(("upload", "GET", &path), "", params, &Twist::default());
        ask.send().await.unwrap().json().await.unwrap()
    }

    pub(super) async fn init(&self, name: &str, blob: &Blob) -> Value {
        let size = blob.size().to_string();
        self.up(
            "initMultiUpload",
            &[
                ("parentFolderId", "-11"),
                ("fileName", name),
                ("fileSize", &size),
                ("sliceSize", "10485760"),
                ("fileMd5", &md5(blob)),
                ("sliceMd5", &slice_md5(blob)),
            ],
        )
        .await
    }

    pub(super) async fn lazy(&self, name: &str, size: u64) -> String {
        let size = size.to_string();
        let pairs = [
            ("parentFolderId", "-11"),
            ("fileName", name),
            ("fileSize", &size),
            ("sliceSize", "10485760"),
            ("lazyCheck", "1"),
        ];
        let answer = self.up("initMultiUpload", &pairs).await;
        let id = answer["data"]["uploadFileId"].as_str();
        id.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    pub(super) async fn commit(&self, id: &str, opertype: &str) -> Value {
        let pairs = [("uploadFileId", id), ("isLog", "0"), ("opertype", opertype)];
        self.up("commitMultiUploadFile", &pairs).await
    }

    pub(super) async fn commit_lazy(&self, id: &str, blob: &Blob) -> Value {
        let pairs = [
            ("uploadFileId", id),
            ("fileMd5", &md5(blob)),
            ("sliceMd5", &slice_md5(blob)),
            ("lazyCheck", "1"),
            ("opertype", "3"),
        ];
        self.up("commitMultiUploadFile", &pairs).await
    }

    /// Address and headers of a part.
    pub(super) async fn part_link(
        &self,
        id: &str,
        number: u64,
        blob: &Blob,
    ) -> (String, Vec<(String, String)>) {
        let info = format!("{number}-{}", base64_md5(blob));
        let pairs = [("uploadFileId", id), ("partInfo", &info)];
        let answer = self.up("getMultiUploadUrls", &pairs).await;
        let part = &answer["uploadUrls"][format!("partNumber_{number}")];
        let headers = part["requestHeader"]
            .as_str()
            .unwrap_or_else(|| panic!("{answer}"));
        let headers = headers.split('&').map(|header| {
            let (name, value) = header.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        });
        (
            part["requestURL"].as_str().unwrap().to_owned(),
            headers.collect(),
        )
    }

    pub(super) async fn put(
        &self,
        link: &(String, Vec<(String, String)>),
        body: Vec<u8>,
    ) -> (u16, String) {
        let mut ask = self.http.put(&link.0);
        for (name, value) in &link.1 {
            ask = ask.header(name, value);
        }
        let answer = ask.body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Sends the parts of a content, the last one first.
    pub(super) async fn parts(&self, id: &str, blob: &Blob) {
        for number in (1..=blob.size().div_ceil(SLICE).max(1)).rev() {
            let part = blob.slice((number - 1) * SLICE, SLICE);
            let link = self.part_link(id, number, &part).await;
            let answer = self.put(&link, part.read(0, SLICE).to_vec()).await;
            assert_eq!(answer.0, 200, "{}", answer.1);
        }
    }

    pub(super) fn known(&self, seed: u64, size: u64) -> Blob {
        let source = SeedSource::Synthetic { seed };
        self.world.seed_known_only("189", size, &source).unwrap();
        Blob::synthetic(seed, size)
    }

    pub(super) fn leftovers(&self) -> usize {
        self.world.tree("189").unwrap()["uploads"]
            .as_array()
            .unwrap()
            .len()
    }

    pub(super) fn read(&self, path: &str) -> Vec<u8> {
        self.world.read("189", path, 0, u64::MAX).unwrap().to_vec()
    }
}

fn vectors(name: &str) -> Vec<Value> {
    let text = include_str!("../../../tests/fixtures/189cloud.vectors.json");
    let all: Value = serde_json::from_str(text).unwrap();
    all["vectors"][name].as_array().unwrap().clone()
}

#[test]
fn published_slices() {
    let all = vectors("part_size");
    assert_eq!(all.len(), 15);
    for case in &all {
        let size = case["size"].as_u64().unwrap();
        let slice = slice_size(size);
        assert_eq!(slice, case["slice_size"], "{size}");
        assert_eq!(size.div_ceil(slice).max(1), case["parts"], "{size}");
    }
    for case in &vectors("slice_md5") {
        let size = case["size"].as_u64().unwrap();
        let zeros = case["name"] == "zeros_20MiB";
        let blob = match case["content"].as_str().unwrap() {
            "ascii 'hello'" => Blob::bytes("hello"),
            _ => Blob::bytes(
                (0..size)
                    .map(|i| if zeros { 0 } else { (i % 251) as u8 })
                    .collect::<Vec<u8>>(),
            ),
        };
        assert_eq!(md5(&blob), case["file_md5"], "{case}");
        assert_eq!(slice_md5(&blob), case["slice_md5"], "{case}");
        let parts: Vec<String> = (0..size.div_ceil(SLICE).max(1))
            .map(|n| format!("{}-{}", n + 1, base64_md5(&blob.slice(n * SLICE, SLICE))))
            .collect();
        assert_eq!(json!(parts), case["part_info"], "{case}");
    }
}

#[tokio::test]
async fn fast_uploads() {
    let client = Client::new().await;
    let blob = client.known(5, SLICE + 77);
    let hit = client.init("a%2B+b.bin", &blob).await;
    assert_eq!(
        (&hit["code"], &hit["data"]["fileDataExists"]),
        (&json!("SUCCESS"), &json!(1))
    );
    let id = hit["data"]["uploadFileId"].as_str().unwrap();
    let made = client.commit(id, "3").await;
    assert_eq!(made["file"]["fileName"], "a+ b.bin");
    assert_eq!(made["file"]["fileMd5"], md5(&blob));
    assert!(made["file"]["userFileId"].is_string());
    assert_eq!(client.read("/a+ b.bin"), blob.read(0, u64::MAX));
    // The right MD5 with another size or slice MD5 is none; neither is the MD5 for both.
    for (size, second) in [(SLICE + 78, slice_md5(&blob)), (SLICE + 77, md5(&blob))] {
        let size = size.to_string();
        let pairs = [
            ("parentFolderId", "-11"),
            ("fileName", "b"),
            ("fileSize", size.as_str()),
            ("sliceSize", "10485760"),
            ("fileMd5", &md5(&blob)),
            ("sliceMd5", &second),
            ("lazyCheck", "0"),
        ];
        let miss = client.up("initMultiUpload", &pairs).await;
        assert_eq!(miss["data"]["fileDataExists"], 0);
    }
    // Asked later, in lower case.
    let id = client.lazy("c", blob.size()).await;
    let (whole, slices) = (md5(&blob).to_lowercase(), slice_md5(&blob).to_lowercase());
    let pairs = [
        ("fileMd5", whole.as_str()),
        ("sliceMd5", &slices),
        ("uploadFileId", &id),
    ];
    let check = client.up("checkTransSecond", &pairs).await;
    assert_eq!(check["data"]["fileDataExists"], 1);
    assert_eq!(code(&client.commit(&id, "3").await), "GetParametersFailed");
    assert_eq!(
        client.commit_lazy(&id, &blob).await["file"]["fileName"],
        "c"
    );
    let empty = client.init("empty", &Blob::bytes("")).await;
    assert_eq!(empty["data"]["fileDataExists"], 1);
    let stat = client.world.stat("189").unwrap();
    assert_eq!(
        (stat.rapid_hits, stat.rapid_misses, stat.bytes_up),
        (3, 2, 0)
    );
    assert_eq!(client.leftovers(), 3);
}

#[tokio::test]
async fn streamed_uploads() {
    let client = Client::new().await;
    let blob = Blob::synthetic(6, 2 * SLICE + 9);
    let id = client.lazy("big.bin", blob.size()).await;
    client.parts(&id, &blob).await;
    let listed = client
        .up("getUploadedPartsInfo", &[("uploadFileId", &id)])
        .await;
    assert_eq!(listed["data"]["uploadedPartList"], "1,2,3");
    let made = client.commit_lazy(&id, &blob).await;
    assert_eq!(made["file"]["fileSize"], blob.size());
    assert_eq!(client.world.stat("189").unwrap().bytes_up, blob.size());
    assert_eq!(
        code(&client.commit_lazy(&id, &blob).await),
        "UploadFileCompeletedError"
    );
    client.set("commit_again", "answer");
    assert_eq!(client.commit_lazy(&id, &blob).await, made);
    // Now it is known, and the name is taken.
    let again = client.init("big.bin", &blob).await;
    assert_eq!(again["data"]["fileDataExists"], 1);
    let id = again["data"]["uploadFileId"].as_str().unwrap();
    let kept = client.commit(id, "1").await;
    assert_eq!(kept["file"]["fileName"], "big(1).bin");
    let other = Blob::bytes("other");
    for (opertype, name, text) in [("2", "big.bin", "skipped"), ("3", "big.bin", "replaced")] {
        let id = client.init("big.bin", &other).await;
        let id = id["data"]["uploadFileId"].as_str().unwrap();
        if opertype == "2" {
            client.parts(id, &other).await;
        }
        let made = client.commit(id, opertype).await;
        assert_eq!(made["file"]["fileName"], name, "{text} {made}");
        let size = client.read("/big.bin").len() as u64;
        assert_eq!(
            size,
            if opertype == "2" { blob.size() } else { 5 },
            "{text}"
        );
        client
            .world
            .seed_known_only("189", 0, &SeedSource::Bytes("other".into()))
            .unwrap();
    }
    // An empty file that is not known: one empty part.
    client.set("empty_hits", "off");
    let empty = Blob::bytes("");
    let id = client.init("empty", &empty).await["data"]["uploadFileId"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        code(&client.commit(&id, "3").await),
        "InvalidUploadFileStatus"
    );
    client.parts(&id, &empty).await;
    assert_eq!(client.commit(&id, "3").await["file"]["fileSize"], 0);
    assert_eq!(client.leftovers(), 0);
}

#[tokio::test]
async fn what_opening_refuses() {
    let client = Client::new().await;
    let hash = md5_hex(b"x");
    let base = |changes: &[(&'static str, &str)]| {
        let mut pairs = vec![
            ("parentFolderId", "-11".to_owned()),
            ("fileName", "n".to_owned()),
            ("fileSize", "5".to_owned()),
            ("sliceSize", "10485760".to_owned()),
            ("fileMd5", hash.clone()),
            ("sliceMd5", hash.clone()),
        ];
        for (name, value) in changes {
            pairs.retain(|(known, _)| known != name);
            if !value.is_empty() {
                pairs.push((name, (*value).to_owned()));
            }
        }
        let pairs: Vec<String> = pairs.iter().map(|(n, v)| format!("{n}={v}")).collect();
        encrypt_params(&pairs.join("&"), client.secret(false))
    };
    client.set("max_file_size", "1000000000000");
    client.set("blacklist", &md5_hex(b"bad"));
    client.set("banned_word", "evil");
    let bad = md5_hex(b"bad");
    for (changes, refusal) in [
        (vec![("sliceSize", "5242880")], "InvalidPartSize"),
        (vec![("fileSize", "10475274241")], "InvalidPartSize"),
        (vec![("sliceMd5", "")], "InvalidArgument"),
        (vec![("fileMd5", "abc")], "InvalidArgument"),
        (vec![("fileName", "测.bin")], "InvalidArgument"),
        (vec![("fileName", "a%3Fb")], "InvalidArgument"),
        (vec![("fileName", "%F0%9F%98%80.bin")], "InvalidArgument"),
        (vec![("fileName", "evil")], "AuditErrorCode"),
        (vec![("parentFolderId", "5")], "InvalidParentFolder"),
        (vec![("fileMd5", bad.as_str())], "InfoSecurityErrorCode"),
        (
            vec![("fileSize", "1099511627776"), ("sliceSize", "555745280")],
            "FileTooLarge",
        ),
    ] {
        let answer = client.up_text("initMultiUpload", &base(&changes)).await;
        assert_eq!(code(&answer), refusal, "{changes:?} {answer}");
    }
    let good = base(&[]);
    // Parameters that do not decrypt, and such that were changed after signing.
    for params in [good[..32].to_owned(), "00".repeat(16), "xyz".to_owned()] {
        assert_eq!(
            code(&client.up_text("initMultiUpload", &params).await),
            "GetParametersFailed"
        );
    }
    let twist = Twist::default();
    let changed = client.signed(
        ("upload", "GET", "/person/initMultiUpload"),
        "params=00",
        "",
        &twist,
    );
    let changed: Value = changed.send().await.unwrap().json().await.unwrap();
    assert_eq!(code(&changed), "InvalidSignature");
    let family = Twist {
        family: true,
        ..Twist::default()
    };
    let wrong = client.signed(
        ("upload", "GET", "/person/initMultiUpload"),
        "",
        &good,
        &family,
    );
    let wrong: Value = wrong.send().await.unwrap().json().await.unwrap();
    assert_eq!(code(&wrong), "InvalidSessionKey");
    assert_eq!(client.leftovers(), 0);
    client.set("day_flow", "4");
    assert_eq!(
        code(&client.up_text("initMultiUpload", &good).await),
        "UserDayFlowOverLimited"
    );
    client.set("day_flow", "1000");
    client.set("total_size", "4");
    assert_eq!(
        code(&client.up_text("initMultiUpload", &good).await),
        "InsufficientStorageSpace"
    );
}
