//! Uploads over HTTP: fast ones, parts, the older way, and everything that is refused.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Response;
use serde_json::{Value, json};

use super::super::clock::rfc1123;
use super::super::content::Blob;
use super::super::digest::{HashKind, md5_hex};
use super::super::faults::FaultKind;
use super::super::server::SeedSource;
use super::rsa;
use super::sign::{encrypt_params, hmac_hex, session_text, unhex};
use super::tests::{Client, JSON, REFERER, Twist, code};
use super::upload::slice_size;

const SLICE: u64 = 10 << 20;

fn md5(blob: &Blob) -> String {
    blob.digest_now(HashKind::Md5).to_uppercase()
}

fn slice_md5(blob: &Blob) -> String {
    blob.digest_now(HashKind::SliceMd5(SLICE)).to_uppercase()
}

fn base64_md5(blob: &Blob) -> String {
    STANDARD.encode(unhex(&md5(blob)).unwrap())
}

fn joined(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

impl Client {
    /// A call of the upload host.
    async fn up(&self, call: &str, pairs: &[(&str, &str)]) -> Value {
        self.up_text(call, &encrypt_params(&joined(pairs), self.secret(false)))
            .await
    }

    async fn up_text(&self, call: &str, params: &str) -> Value {
        let path = format!("/person/{call}");
        let ask = self.signed(("upload", "GET", &path), "", params, &Twist::default());
        ask.send().await.unwrap().json().await.unwrap()
    }

    async fn init(&self, name: &str, blob: &Blob) -> Value {
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

    async fn lazy(&self, name: &str, size: u64) -> String {
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

    async fn commit(&self, id: &str, opertype: &str) -> Value {
        let pairs = [("uploadFileId", id), ("isLog", "0"), ("opertype", opertype)];
        self.up("commitMultiUploadFile", &pairs).await
    }

    async fn commit_lazy(&self, id: &str, blob: &Blob) -> Value {
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
    async fn part_link(
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

    async fn put(&self, link: &(String, Vec<(String, String)>), body: Vec<u8>) -> (u16, String) {
        let mut ask = self.http.put(&link.0);
        for (name, value) in &link.1 {
            ask = ask.header(name, value);
        }
        let answer = ask.body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Sends the parts of a content, the last one first.
    async fn parts(&self, id: &str, blob: &Blob) {
        for number in (1..=blob.size().div_ceil(SLICE).max(1)).rev() {
            let part = blob.slice((number - 1) * SLICE, SLICE);
            let link = self.part_link(id, number, &part).await;
            let answer = self.put(&link, part.read(0, SLICE).to_vec()).await;
            assert_eq!(answer.0, 200, "{}", answer.1);
        }
    }

    fn known(&self, seed: u64, size: u64) -> Blob {
        let source = SeedSource::Synthetic { seed };
        self.world.seed_known_only("189", size, &source).unwrap();
        Blob::synthetic(seed, size)
    }

    fn leftovers(&self) -> usize {
        self.world.tree("189").unwrap()["uploads"]
            .as_array()
            .unwrap()
            .len()
    }

    fn read(&self, path: &str) -> Vec<u8> {
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

#[tokio::test]
async fn what_parts_and_commits_refuse() {
    let client = Client::new().await;
    let blob = Blob::synthetic(9, 5000);
    let id = client.lazy("f", 5000).await;
    let link = client.part_link(&id, 1, &blob).await;
    let bytes = blob.read(0, 5000).to_vec();
    let mut other = bytes.clone();
    other[7] ^= 1;
    let digest = client.put(&link, other).await;
    assert!(
        digest.0 == 400 && digest.1.contains("BadDigest"),
        "{digest:?}"
    );
    let mut unsigned = link.clone();
    unsigned.1.retain(|(name, _)| name != "Content-MD5");
    let refused = client.put(&unsigned, bytes.clone()).await;
    assert!(
        refused.0 == 403 && refused.1.contains("SignatureDoesNotMatch"),
        "{refused:?}"
    );
    let mut leaking = link.clone();
    leaking.1.push(("SessionKey".to_owned(), "k".to_owned()));
    assert_eq!(client.put(&leaking, bytes.clone()).await.0, 400);
    let mut stream = client.http.put(&link.0);
    for (name, value) in &link.1 {
        stream = stream.header(name, value);
    }
    let pieces = futures_util::stream::iter([Ok::<_, std::io::Error>(bytes.clone())]);
    let chunked = stream
        .body(reqwest::Body::wrap_stream(pieces))
        .send()
        .await
        .unwrap();
    assert_eq!(chunked.status(), 411);
    client.fault("part", FaultKind::ExpireLink, "");
    assert_eq!(client.put(&link, bytes.clone()).await.0, 403);
    client.world.clock_advance(3_601_000);
    assert_eq!(client.put(&link, bytes.clone()).await.0, 403);
    let link = client.part_link(&id, 1, &blob).await;
    assert_eq!(client.put(&link, bytes.clone()).await.0, 200);
    for info in [
        "2-1B2M2Y8AsgTpgAmY7PhCfg==",
        "0-1B2M2Y8AsgTpgAmY7PhCfg==",
        "1-abc",
        "1",
    ] {
        let pairs = [("uploadFileId", id.as_str()), ("partInfo", info)];
        let answer = client.up("getMultiUploadUrls", &pairs).await;
        assert_eq!(code(&answer), "InvalidArgument", "{info}");
    }
    // Hashes of something else: the upload is lost.
    let wrong = Blob::bytes("wrong");
    assert_eq!(
        code(&client.commit_lazy(&id, &wrong).await),
        "FileMD5VerifyFailed"
    );
    assert_eq!(
        code(&client.commit_lazy(&id, &blob).await),
        "UploadFileStatusVerifyFailed"
    );
    assert_eq!(
        code(&client.commit_lazy("11-none", &blob).await),
        "UploadFileNotFound"
    );
    // A disk's fault shows at the commit.
    let id = client.lazy("f", 5000).await;
    client.fault("part", FaultKind::Corrupt, "");
    client.parts(&id, &blob).await;
    assert_eq!(
        code(&client.commit_lazy(&id, &blob).await),
        "FileMD5VerifyFailed"
    );
    let id = client.lazy("f", 5001).await;
    client.parts(&id, &blob).await;
    assert_eq!(
        code(&client.commit_lazy(&id, &blob).await),
        "FileLengthVerifyFailed"
    );
    client.fault("complete", FaultKind::CommitFail, "");
    assert_eq!(
        code(&client.commit_lazy(&id, &blob).await),
        "FileMD5VerifyFailed"
    );
    client.world.clock_advance(8 * 86_400_000);
    assert_eq!(client.leftovers(), 0);
    assert!(
        client.world.tree("189").unwrap()["items"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

impl Client {
    async fn old(&self, name: &str, blob: &Blob) -> Value {
        let form = [
            ("parentFolderId", "-11"),
            ("fileName", name),
            ("size", &blob.size().to_string()),
            ("md5", &md5(blob)),
            ("opertype", "3"),
            ("resumePolicy", "1"),
        ];
        self.form("/createUploadFile.action", &form, false).await
    }

    async fn old_put(
        &self,
        id: &str,
        range: &str,
        body: Vec<u8>,
    ) -> Result<Response, reqwest::Error> {
        let path = "/uploadFileData.action";
        let ask = self.signed(("upload", "PUT", path), "", "", &Twist::default());
        let ask = ask
            .header("ResumePolicy", "1")
            .header("Edrive-UploadFileId", id);
        let ask = match range {
            "" => ask,
            range => ask.header("Edrive-UploadFileRange", range),
        };
        ask.body(body).send().await
    }

    async fn old_commit(&self, id: &str) -> String {
        let path = "/commitUploadFile.action";
        let ask = self.signed(("upload", "POST", path), "", "", &Twist::default());
        let ask = ask.form(&[
            ("uploadFileId", id),
            ("opertype", "3"),
            ("resumePolicy", "1"),
        ]);
        ask.send().await.unwrap().text().await.unwrap()
    }
}

#[tokio::test]
async fn the_older_upload() {
    let client = Client::new().await;
    // Any size by its MD5 alone.
    let blob = client.known(5, SLICE + 77);
    let made = client.old("a.bin", &blob).await;
    assert_eq!(made["fileDataExists"], 1);
    assert_eq!(
        made["fileUploadUrl"],
        client.url("upload", "/uploadFileData.action")
    );
    let id = made["uploadFileId"].to_string();
    let text = client.old_commit(&id).await;
    let wanted = format!("<name>a.bin</name>");
    assert!(text.contains("<file>") && text.contains(&wanted), "{text}");
    assert!(
        client
            .old_commit(&id)
            .await
            .contains("UploadFileCompeletedError")
    );
    client.set("old_api_hits", "off");
    assert_eq!(client.old("b.bin", &blob).await["fileDataExists"], 0);
    // A stream that breaks and goes on.
    let blob = Blob::synthetic(8, 300_000);
    let bytes = blob.read(0, u64::MAX).to_vec();
    let id = client.old("c.bin", &blob).await["uploadFileId"].to_string();
    client.fault("part_old", FaultKind::Cut, "100000");
    let broken = client.old_put(&id, "", bytes.clone()).await;
    assert!(broken.is_err());
    let pairs = [("uploadFileId", id.as_str()), ("resumePolicy", "1")];
    let status = client.get("/getUploadFileStatus.action", &pairs).await;
    assert_eq!(status["size"], 100_000);
    assert!(
        client
            .old_commit(&id)
            .await
            .contains("FileLengthVerifyFailed")
    );
    let wrong = client
        .old_put(&id, "bytes=5-299995", bytes[5..].to_vec())
        .await
        .unwrap();
    assert!(
        wrong
            .text()
            .await
            .unwrap()
            .contains("UploadOffsetVerifyFailed")
    );
    let short = client
        .old_put(&id, "bytes=100000-200000", bytes[100_000..150_000].to_vec())
        .await;
    assert!(
        short
            .unwrap()
            .text()
            .await
            .unwrap()
            .contains("InputStreamReadError")
    );
    let rest = client
        .old_put(&id, "bytes=150000-150000", bytes[150_000..].to_vec())
        .await;
    assert_eq!(rest.unwrap().status(), 200);
    assert!(client.old_commit(&id).await.contains("<size>300000</size>"));
    assert_eq!(client.read("/c.bin"), bytes);
    // Bytes that are not what was declared.
    let id = client.old("d.bin", &Blob::synthetic(9, 300_000)).await["uploadFileId"].to_string();
    client.old_put(&id, "", bytes).await.unwrap();
    assert!(client.old_commit(&id).await.contains("FileMD5VerifyFailed"));
    assert!(client.old_commit("5").await.contains("UploadFileNotFound"));
    let stat = client.world.stat("189").unwrap();
    assert_eq!((stat.rapid_hits, stat.rapid_misses), (1, 3));
    assert_eq!(client.leftovers(), 2);
}

#[tokio::test]
async fn the_web_variant() {
    let client = Client::new().await;
    let blob = client.known(5, 700);
    let key = client.session["sessionKey"].as_str().unwrap();
    let cookie = super::tests_doors::web_cookie(&client).await;
    let rsa_key = client
        .http
        .get(client.url("web", "/api/security/generateRsaKey.action"));
    let rsa_key = rsa_key.header("Cookie", &cookie).header("Accept", JSON);
    let rsa_key = rsa_key.header("Referer", REFERER).send().await.unwrap();
    let rsa_key: Value = rsa_key.json().await.unwrap();
    assert_eq!(rsa_key["pubKey"], rsa::PUBLIC_KEY);
    let pair = rsa_key["pkId"].as_str().unwrap();
    let call = |l: &'static str, sent: &'static str, pair: String, off: i64| {
        let (client, blob) = (&client, &blob);
        async move {
            let pairs = [
                ("parentFolderId", "-11"),
                ("fileName", "w"),
                ("fileSize", "700"),
                ("sliceSize", "10485760"),
                ("fileMd5", &md5(blob)),
                ("sliceMd5", &md5(blob)),
            ];
            let params = encrypt_params(&joined(&pairs), l).to_lowercase();
            let date = (client.now() + off).to_string();
            let text = session_text(key, "GET", "/person/initMultiUpload", &date, &params);
            let url = client.url(
                "upload",
                &format!("/person/initMultiUpload?params={params}"),
            );
            let ask = client.http.get(url).header("SessionKey", key);
            let ask = ask
                .header("Signature", hmac_hex(l, &text))
                .header("X-Request-Date", date);
            let ask = ask
                .header("X-Request-ID", "1")
                .header("PkId", pair)
                .header("Accept", JSON);
            let ask = ask.header("EncryptionText", rsa::encrypt_text(sent));
            let answer = ask.send().await.unwrap();
            let status = answer.status().as_u16();
            (status, answer.json::<Value>().await.unwrap())
        }
    };
    let l = "8f3a0c5d9e21474bb6a7c9d0";
    let (status, hit) = call(l, l, pair.to_owned(), 0).await;
    assert_eq!(
        (status, &hit["data"]["fileDataExists"]),
        (200, &json!(1)),
        "{hit}"
    );
    assert_eq!(call(l, l, "other".to_owned(), 0).await.0, 403);
    assert_eq!(call(l, "short", pair.to_owned(), 0).await.0, 403);
    let other = call(l, "0000000000000000", pair.to_owned(), 0).await.1;
    assert_eq!(code(&other), "InvalidSignature");
    let late = call(l, l, pair.to_owned(), -400_000).await.1;
    assert_eq!(code(&late), "TimestampExpired");
    assert!(rfc1123(client.now()).ends_with("GMT"));
}
