//! Uploads over HTTP: fast ones, slices, presigned parts, the single request.

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use super::super::Blob;
use super::super::digest::{HashKind, md5_hex, sha1_hex};
use super::super::faults::FaultKind;
use super::super::server::SeedSource;
use super::tests::{Client, generated, world};

fn file(name: &str, bytes: &[u8], duplicate: i64) -> Value {
    json!({
        "parentFileID": 0, "filename": name, "etag": md5_hex(bytes), "size": bytes.len(),
        "duplicate": duplicate, "containDir": false,
    })
}

fn slice_form(id: &str, number: u64, md5: &str, bytes: &[u8]) -> Form {
    Form::new()
        .text("preuploadID", id.to_owned())
        .text("sliceNo", number.to_string())
        .text("sliceMD5", md5.to_owned())
        .part("slice", Part::bytes(bytes.to_vec()).file_name("part"))
}

impl Client {
    async fn create(&self, body: Value) -> Value {
        self.post("/upload/v2/file/create", body).await
    }

    async fn session(&self, name: &str, bytes: &[u8]) -> String {
        let answer = self.create(file(name, bytes, 2)).await;
        let id = answer["data"]["preuploadID"].as_str();
        id.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    async fn slice(&self, id: &str, number: u64, md5: &str, bytes: &[u8]) -> Value {
        let form = slice_form(id, number, md5, bytes);
        let answer = self.form("/upload/v2/file/slice", form).await;
        answer.json().await.unwrap()
    }

    async fn slices(&self, id: &str, bytes: &[u8], length: usize) {
        for (index, slice) in bytes.chunks(length).enumerate() {
            let answer = self
                .slice(id, index as u64 + 1, &md5_hex(slice), slice)
                .await;
            assert_eq!(answer["code"], 0, "{answer}");
        }
    }

    async fn complete(&self, id: &str) -> Value {
        let body = json!({ "preuploadID": id });
        self.post("/upload/v2/file/upload_complete", body).await
    }

    async fn single(&self, name: &str, bytes: &[u8], etag: &str) -> Value {
        let form = Form::new()
            .part("file", Part::bytes(bytes.to_vec()).file_name("x"))
            .text("parentFileID", "0")
            .text("filename", name.to_owned())
            .text("etag", etag.to_owned())
            .text("size", bytes.len().to_string())
            .text("duplicate", "2");
        let answer = self.form("/upload/v2/file/single/create", form).await;
        answer.json().await.unwrap()
    }

    fn read(&self, path: &str) -> Vec<u8> {
        let all = self.world.read(&self.profile.name, path, 0, u64::MAX);
        all.unwrap().to_vec()
    }

    fn leftovers(&self) -> Vec<Value> {
        let tree = self.world.tree(&self.profile.name).unwrap();
        tree["uploads"].as_array().unwrap().clone()
    }
}

#[tokio::test]
async fn fast_uploads() {
    let client = Client::new().await;
    let blob = Blob::synthetic(5, 300_000);
    let source = SeedSource::Synthetic { seed: 5 };
    client
        .world
        .seed_known_only("123", 300_000, &source)
        .unwrap();
    let (md5, sha1) = (
        blob.digest_now(HashKind::Md5),
        blob.digest_now(HashKind::Sha1),
    );
    let by_md5 = |name: &str, etag: &str, size: u64| json!({ "parentFileId": 0, "filename": name, "etag": etag, "size": size });
    let by_sha1 = |name: &str, sha1: &str, size: u64| json!({ "parentFileID": 0, "filename": name, "sha1": sha1, "size": size, "duplicate": 2 });
    let hit = client.create(by_md5("a", &md5, 300_000)).await;
    assert_eq!(hit["data"]["reuse"], true);
    assert!(hit["data"]["fileID"].as_u64().unwrap() > 0);
    assert_eq!(client.read("/a"), blob.read(0, u64::MAX));
    assert_eq!(
        client.create(by_md5("a", &md5, 300_000)).await["code"],
        1,
        "name taken"
    );
    // A false hash, or a right one with a false size, is never a hit.
    let wrong = md5_hex(b"another");
    for (etag, size) in [(wrong.as_str(), 300_000), (md5.as_str(), 300_001)] {
        let miss = client.create(by_md5("b", etag, size)).await;
        assert_eq!(miss["data"]["reuse"], false);
        assert_eq!(miss["data"]["fileID"], 0);
        assert_eq!(miss["data"]["sliceSize"], 16_777_216);
    }
    assert_eq!(client.leftovers().len(), 2);
    for etag in [md5.to_uppercase(), md5[1..].to_owned(), String::new()] {
        assert_eq!(
            client.create(by_md5("b", &etag, 300_000)).await["code"],
            400
        );
    }
    let path = "/upload/v2/file/sha1_reuse";
    let hit = client.post(path, by_sha1("c", &sha1, 300_000)).await;
    assert_eq!(hit["data"]["reuse"], true);
    assert_eq!(client.read("/c"), blob.read(0, u64::MAX));
    let miss = client
        .post(path, by_sha1("c", &sha1_hex(b"x"), 300_000))
        .await;
    assert_eq!(miss["data"], json!({ "fileID": 0, "reuse": false }));
    assert_eq!(
        client.post(path, by_sha1("c", &sha1[1..], 300_000)).await["code"],
        400
    );
    let stat = client.world.stat("123").unwrap();
    assert_eq!(
        (stat.rapid_hits, stat.rapid_misses, stat.bytes_up),
        (2, 3, 0)
    );

    // What came in unindexed stays so; by MD5 it is known.
    client.set("sha1_index", "false");
    client.seed("/u", 5000, 6);
    client.set("sha1_index", "true");
    let other = Blob::synthetic(6, 5000);
    let sha1 = by_sha1("v", &other.digest_now(HashKind::Sha1), 5000);
    assert_eq!(client.post(path, sha1).await["data"]["reuse"], false);
    let md5 = other.digest_now(HashKind::Md5);
    client.set("reuse", "zero_id");
    let half = client.create(by_md5("v", &md5, 5000)).await;
    assert_eq!(
        (&half["data"]["reuse"], &half["data"]["fileID"]),
        (&json!(true), &json!(0))
    );
    assert_eq!(half["data"]["preuploadID"].as_str().unwrap().len(), 40);
    client.set("reuse", "never");
    assert_eq!(
        client.create(by_md5("v", &md5, 5000)).await["data"]["reuse"],
        false
    );
    client.set("reuse", "normal");
    assert_eq!(
        client.create(by_md5("v", &md5, 5000)).await["data"]["reuse"],
        true
    );
}

#[tokio::test]
async fn slices_of_the_vector() {
    let world = world();
    let client = Client::of(&world, "123").await;
    client.set("slice_size", "256");
    let bytes = generated(1000, 10);
    let answer = client.create(file("v.bin", &bytes, 0)).await;
    let data = &answer["data"];
    assert_eq!(data["sliceSize"], 256);
    assert_eq!(
        data["servers"][0],
        client.profile.endpoints["upload"].as_str()
    );
    let id = data["preuploadID"].as_str().unwrap();
    let md5s = [
        "7d951ce3a963c4b643025d145dcd779a",
        "3e675b084db40a9f8b4e489a72462c99",
        "7d1a27941b4ee46cb122ea2201b220fc",
        "3b3b3017b58d9c376c4cf046d68f6436",
    ];
    let parts: Vec<&[u8]> = bytes.chunks(256).collect();
    let refused = [
        (1, md5s[1], parts[0]),
        (1, "", parts[0]),
        (1, md5s[3], parts[3]),
        (4, md5s[0], parts[0]),
    ];
    for (number, md5, part) in refused {
        assert_eq!(client.slice(id, number, md5, part).await["code"], 1);
    }
    assert_eq!(client.slice(id, 0, md5s[0], parts[0]).await["code"], 400);
    assert_eq!(client.slice(id, 5, md5s[0], parts[0]).await["code"], 400);
    assert_eq!(client.slice("no", 1, md5s[0], parts[0]).await["code"], 1);
    let file_first = Form::new()
        .part("slice", Part::bytes(parts[0].to_vec()).file_name("x"))
        .text("preuploadID", id.to_owned())
        .text("sliceNo", "1")
        .text("sliceMD5", md5s[0]);
    let answer = client.form("/upload/v2/file/slice", file_first).await;
    assert_eq!(answer.json::<Value>().await.unwrap()["code"], 400);
    client.set("slice_error", "500");
    let wrong = client.form(
        "/upload/v2/file/slice",
        slice_form(id, 1, md5s[1], parts[0]),
    );
    assert_eq!(wrong.await.status(), 500);

    let before = world.stat("123").unwrap().bytes_up;
    for (index, part) in parts.iter().enumerate().rev() {
        if index == 0 {
            assert_eq!(client.complete(id).await["code"], 1, "one is missing");
            assert_eq!(client.leftovers()[0]["parts"], 3);
        }
        let number = index as u64 + 1;
        assert_eq!(client.slice(id, number, md5s[index], part).await["code"], 0);
    }
    assert_eq!(world.stat("123").unwrap().bytes_up - before, 1000);
    let done = client.complete(id).await;
    assert_eq!(done["data"]["completed"], true, "{done}");
    assert!(done["data"]["fileID"].as_u64().unwrap() > 0);
    assert_eq!(
        client.complete(id).await["data"],
        done["data"],
        "asked again"
    );
    assert_eq!(client.read("/v.bin"), bytes);
    assert!(client.leftovers().is_empty());
    // The other account gets it without a byte, and its sessions are its own.
    let other = Client::of(&world, "123-2").await;
    let hit = other.create(json!({
        "parentFileID": 0, "filename": "w", "size": 1000,
        "etag": "ab8ba69b9021670234227e7d68a89481",
    }));
    assert_eq!(hit.await["data"]["reuse"], true);
    let foreign = client.session("x", b"hello").await;
    assert_eq!(
        other.slice(&foreign, 1, &md5_hex(b"hello"), b"hello").await["code"],
        1
    );
    assert_eq!(other.complete(&foreign).await["code"], 1);
}

#[tokio::test]
async fn slices_of_the_default_size() {
    let client = Client::new().await;
    let bytes = generated(16_777_217, 8);
    let body = json!({
        "parentFileID": 0, "filename": "big", "size": bytes.len(),
        "etag": "3eddd6297bfb2034e0b5af067d7701af",
    });
    let answer = client.create(body).await;
    let id = answer["data"]["preuploadID"].as_str().unwrap();
    let (first, last) = bytes.split_at(16_777_216);
    let md5 = "c2d314f0769818399b4ed889aec1fb73";
    // A refusal before the body is read reaches a client that is still sending.
    client.fault("upload_part", FaultKind::Status, "503");
    let form = slice_form(id, 1, md5, first);
    let refused = client.form("/upload/v2/file/slice", form).await;
    assert_eq!(refused.status(), 503);
    client.fault("upload_part", FaultKind::Errno, "429");
    assert_eq!(client.slice(id, 1, md5, first).await["code"], 429);
    assert_eq!(client.slice(id, 1, md5, first).await["code"], 0);
    let last = client.slice(id, 2, "ec2d11028766e06ac33648e2f0a67320", last);
    assert_eq!(last.await["code"], 0);
    assert_eq!(client.complete(id).await["data"]["completed"], true);
    let sha1 = json!({
        "parentFileID": 0, "filename": "again", "size": bytes.len(),
        "sha1": "b12b10426f99b43312a0097554e8789c39a6285f",
    });
    let hit = client.post("/upload/v2/file/sha1_reuse", sha1).await;
    assert_eq!(hit["data"]["reuse"], true);
}

#[tokio::test]
async fn polling_until_verified() {
    let client = Client::new().await;
    client.set("verify_polls", "3");
    for answer in ["20103", "completed_false"] {
        client.set("verify_answer", answer);
        let bytes = format!("content {answer}").into_bytes();
        let id = client.session("p", &bytes).await;
        client.slices(&id, &bytes, 100).await;
        for _ in 0..3 {
            let wait = client.complete(&id).await;
            match answer {
                "20103" => assert_eq!(wait["code"], 20103),
                _ => assert_eq!(wait["data"], json!({ "completed": false, "fileID": 0 })),
            }
            assert_eq!(client.leftovers()[0]["state"], "verifying");
        }
        assert_eq!(client.complete(&id).await["data"]["completed"], true);
        assert_eq!(client.read("/p"), bytes);
    }
}

#[tokio::test]
async fn uploads_that_must_fail() {
    let mut client = Client::new().await;
    client.set("slice_size", "4");
    let failed = |answer: &Value| answer["code"] == 1 && answer["message"] == "文件上传失败";
    // Slices right each, the whole not what was announced.
    let id = client.session("a", b"12345678").await;
    client.slices(&id, b"1234567x", 4).await;
    assert!(failed(&client.complete(&id).await));
    assert!(failed(&client.complete(&id).await), "for good");
    assert_eq!(
        client.slice(&id, 1, &md5_hex(b"1234"), b"1234").await["code"],
        1
    );
    // A connection that breaks leaves no slice.
    let id = client.session("a", b"12345678").await;
    client.fault("upload_part", FaultKind::Cut, "10");
    let form = slice_form(&id, 1, &md5_hex(b"1234"), b"1234");
    let url = format!(
        "{}/upload/v2/file/slice",
        client.profile.endpoints["upload"]
    );
    let cut = client
        .http
        .post(url)
        .bearer_auth(&client.token)
        .multipart(form);
    assert!(
        cut.header("Platform", "open_platform")
            .send()
            .await
            .is_err()
    );
    assert_eq!(client.leftovers()[0]["parts"], 0);
    // A bad disk below a right slice.
    let id = client.session("a", b"12345678").await;
    client.fault("upload_part", FaultKind::Corrupt, "");
    client.slices(&id, b"12345678", 4).await;
    assert!(failed(&client.complete(&id).await));
    let id = client.session("a", b"12345678").await;
    client.slices(&id, b"12345678", 4).await;
    client.fault("complete", FaultKind::CommitFail, "");
    assert!(failed(&client.complete(&id).await));
    assert!(client.names(0, 100).await.is_empty());
    let etag = md5_hex(b"other");
    assert!(failed(&client.single("s", b"12345678", &etag).await));
    // The work is done, the answer lost: asking again tells.
    let id = client.session("a", b"12345678").await;
    client.slices(&id, b"12345678", 4).await;
    client.fault("complete", FaultKind::DropAnswer, "");
    let url = client.url("/upload/v2/file/upload_complete");
    let lost = client.http.post(url).bearer_auth(&client.token);
    let lost = lost.header("Platform", "open_platform");
    assert!(
        lost.json(&json!({ "preuploadID": id }))
            .send()
            .await
            .is_err()
    );
    assert_eq!(client.names(0, 100).await, ["a"]);
    assert_eq!(client.complete(&id).await["data"]["completed"], true);
    assert_eq!(client.names(0, 100).await, ["a"]);
    // Silent damage shows only to who reads.
    client.fault("single_create", FaultKind::Corrupt, "");
    client.single("s", b"abcdefgh", &md5_hex(b"abcdefgh")).await;
    assert_ne!(client.read("/s"), b"abcdefgh");
    // Logged out by newer tokens in the middle.
    let id = client.session("b", b"zzzzyyyy").await;
    assert_eq!(
        client.slice(&id, 1, &md5_hex(b"zzzz"), b"zzzz").await["code"],
        0
    );
    for _ in 0..2 {
        client.developer_token().await;
    }
    let newest = client.developer_token().await;
    assert_eq!(
        client.slice(&id, 2, &md5_hex(b"yyyy"), b"yyyy").await["code"],
        401
    );
    client.token = newest["data"]["accessToken"].as_str().unwrap().to_owned();
    assert_eq!(
        client.slice(&id, 2, &md5_hex(b"yyyy"), b"yyyy").await["code"],
        0
    );
    assert_eq!(client.complete(&id).await["data"]["completed"], true);
    let huge = json!({ "parentFileID": 0, "filename": "h", "etag": md5_hex(b"h"), "size": 10_737_418_241_u64 });
    assert_eq!(client.create(huge).await["code"], 1);
    client.set("total_size", "20");
    assert_eq!(client.create(file("f", b"too much", 0)).await["code"], 1);
}

#[tokio::test]
async fn names_that_exist() {
    let client = Client::new().await;
    let bytes = b"same bytes";
    let first = client.single("a.txt", bytes, &md5_hex(bytes)).await;
    assert_eq!(first["data"]["completed"], true, "{first}");
    assert_eq!(client.read("/a.txt"), bytes);
    let taken = client.create(file("a.txt", bytes, 0)).await;
    assert_eq!(taken["code"], 1);
    client.create(file("a.txt", bytes, 1)).await;
    assert_eq!(client.names(0, 100).await, ["a.txt", "a(1).txt"]);
    let new = client.create(file("a.txt", bytes, 2)).await;
    assert_ne!(new["data"]["fileID"], first["data"]["fileID"]);
    assert_eq!(client.names(0, 100).await, ["a.txt*", "a(1).txt", "a.txt"]);
    client.set("overwrite", "gone");
    client.create(file("a.txt", bytes, 2)).await;
    assert_eq!(client.names(0, 100).await, ["a.txt*", "a(1).txt", "a.txt"]);
    let mut deep = file("/x/y/z.txt", bytes, 0);
    assert_eq!(
        client.create(deep.clone()).await["code"],
        1,
        "a slash is no name"
    );
    deep["containDir"] = json!(true);
    assert_eq!(client.create(deep).await["data"]["reuse"], true);
    assert_eq!(client.read("/x/y/z.txt"), bytes);
    let mut orphan = file("o", bytes, 0);
    orphan["parentFileID"] = json!(77);
    assert_eq!(client.create(orphan).await["code"], 1);
    // Empty files: accepted without a byte, or refused.
    assert_eq!(
        client.create(file("e", b"", 0)).await["data"]["reuse"],
        true
    );
    client.set("zero_byte", "refuse");
    assert_eq!(client.create(file("e2", b"", 0)).await["code"], 400);
}

#[tokio::test]
async fn presigned_parts() {
    let client = Client::new().await;
    client.set("slice_size", "4");
    client.set("verify_polls", "1");
    let made = client
        .post("/upload/v1/file/create", file("old", b"abcdef", 0))
        .await;
    assert!(made["data"].get("servers").is_none());
    let id = made["data"]["preuploadID"].as_str().unwrap();
    let ask = async |path: &str, more: Value| {
        let mut body = json!({ "preuploadID": id });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        client.post(&format!("/upload/v1/file/{path}"), body).await
    };
    let url = async |number: u64| {
        let answer = ask("get_upload_url", json!({ "sliceNo": number })).await;
        assert_eq!(answer["data"]["isMultipart"], true, "{answer}");
        answer["data"]["presignedURL"].as_str().unwrap().to_owned()
    };
    let put = |url: &str, bytes: &'static str| client.http.put(url).body(bytes);
    let one = url(1).await;
    let leak = put(&one, "abcd").bearer_auth("").send().await.unwrap();
    assert_eq!(leak.status(), 400);
    let moved = one.replace("partNumber=1", "partNumber=2");
    assert_eq!(put(&moved, "ef").send().await.unwrap().status(), 403);
    client.fault("upload_part", FaultKind::ExpireLink, "");
    assert_eq!(put(&one, "abcd").send().await.unwrap().status(), 403);
    assert_eq!(put(&one, "abcd").send().await.unwrap().status(), 200);
    client.world.clock_advance(3_600_000);
    assert_eq!(put(&one, "abcd").send().await.unwrap().status(), 403);
    let parts = ask("list_upload_parts", json!({})).await;
    let expected = json!([{ "partNumber": "1", "size": 4, "etag": md5_hex(b"abcd") }]);
    assert_eq!(parts["data"]["parts"], expected);
    assert_eq!(
        ask("get_upload_url", json!({ "sliceNo": 3 })).await["code"],
        400
    );
    assert_eq!(ask("upload_complete", json!({})).await["code"], 1);
    assert_eq!(put(&url(2).await, "ef").send().await.unwrap().status(), 200);
    let wait = ask("upload_complete", json!({})).await;
    assert_eq!(
        wait["data"],
        json!({ "async": true, "completed": false, "fileID": 0 })
    );
    let done = ask("upload_async_result", json!({})).await;
    assert_eq!(done["data"]["completed"], true);
    assert_eq!(client.read("/old"), b"abcdef");
}
