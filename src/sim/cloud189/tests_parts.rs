//! What parts and commits refuse, the older upload, and the web variant of the signature.

use reqwest::Response;
use serde_json::{Value, json};

use super::super::content::Blob;
use super::super::faults::FaultKind;
use super::rsa;
use super::sign::{encrypt_params, hmac_hex, session_text};
use super::tests::{Client, JSON, REFERER, Twist, code};
use super::tests_upload::{SLICE, joined, md5};

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
    let wanted = "<name>a.bin</name>";
    assert!(text.contains("<file>") && text.contains(wanted), "{text}");
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
}
