//! Fast upload, the byte path, and what happens when either goes wrong.

use serde_json::{Value, json};

use super::super::super::content::Blob;
use super::super::super::digest::HashKind;
use super::super::super::faults::FaultKind;
use super::super::super::server::SeedSource;
use super::{Client, code, success, upper};

const MIB: u64 = 1 << 20;

/// Makes a content known, and answers it.
fn known(client: &Client, seed: u64, size: u64) -> Blob {
    let source = SeedSource::Synthetic { seed };
    let name = client.name();
    client.world.seed_known_only(name, size, &source).unwrap();
    Blob::synthetic(seed, size)
}

fn md5(blob: &Blob) -> String {
    blob.digest_now(HashKind::Md5)
}

fn bytes(blob: &Blob) -> Vec<u8> {
    blob.read(0, blob.size()).to_vec()
}

#[tokio::test]
async fn an_md5_is_a_hit_when_there_is_a_file() {
    let client = Client::plain().await;
    client.set("import_polls", "3");
    let blob = known(&client, 1, 3 * MIB);
    let task = client
        .instant("a.bin", 3 * MIB, json!({ "md5": md5(&blob) }))
        .await;
    // 156 is not yet success.
    assert!(client.names("").await.is_empty());
    assert_eq!(client.stat().rapid_hits, 0);
    assert_eq!(client.left()[0]["stage"], "importing");
    let (polls, answer) = client.polled(&json!(task)).await;
    assert_eq!(polls, 3);
    let data = success(200, &answer).unwrap();
    assert_eq!(data["gcid"], upper(&blob, HashKind::Gcid));
    assert_eq!(
        (&data["fileName"], &data["fileSize"]),
        (&json!("a.bin"), &json!(3 * MIB))
    );
    let rows = client.page("", 0, 10).await;
    assert_eq!(rows[0]["fileId"], data["fileId"]);
    assert_eq!((client.stat().rapid_hits, client.stat().bytes_up), (1, 0));
    assert!(client.left().is_empty());
    let stored = client.world.read("guangya", "/a.bin", 0, 3 * MIB).unwrap();
    assert_eq!(stored, bytes(&blob));

    // A file that is gone again is 146.
    let id = data["fileId"].as_str().unwrap();
    client
        .task("file/delete_file", json!({ "fileIds": [id] }))
        .await;
    assert_eq!(code(&client.info(&json!(task)).await.1), 146);
}

#[tokio::test]
async fn hashes_are_checked_against_the_content() {
    let client = Client::plain().await;
    let small = Blob::bytes("hello");
    let source = SeedSource::Bytes("hello".into());
    client.world.seed_known_only("guangya", 0, &source).unwrap();
    client
        .instant("hex", 5, json!({ "md5": md5(&small) }))
        .await;
    client
        .instant("upper", 5, json!({ "md5": md5(&small).to_uppercase() }))
        .await;
    client
        .instant("base64", 5, json!({ "md5": "XUFAKrxLKna5cZ2REBfFkg==" }))
        .await;
    // Another size, another content; small files have no other way.
    client.token("size", 6, json!({ "md5": md5(&small) })).await;
    let (gcid, cid) = (upper(&small, HashKind::Gcid), upper(&small, HashKind::Cid));
    client
        .token("pair", 5, json!({ "gcid": gcid, "cid": cid }))
        .await;
    let wrong = json!({ "md5": md5(&small), "cid": "0".repeat(40) });
    client.token("lie", 5, wrong).await;
    assert_eq!(client.stat().rapid_misses, 2);

    let big = known(&client, 2, 2 * MIB);
    let pair = json!({
        "gcid": upper(&big, HashKind::Gcid), "cid": upper(&big, HashKind::Cid).to_lowercase(),
    });
    client.instant("pair", 2 * MIB, pair).await;
    let gcid = upper(&big, HashKind::Gcid);
    client
        .token("alone", 2 * MIB, json!({ "gcid": gcid }))
        .await;
    // The trick of other tools is none here: half a gcid is no md5.
    let trick = json!({ "gcid": gcid.to_lowercase(), "md5": gcid.get(..32).unwrap() });
    client.token("trick", 2 * MIB, trick).await;
    client.set("md5_large", "off");
    client
        .token("large", 2 * MIB, json!({ "md5": md5(&big) }))
        .await;

    for wrong in [
        json!({ "md5": "xyz" }),
        json!({ "md5": 5 }),
        json!({ "gcid": "00" }),
        json!({ "cid": "g".repeat(40) }),
    ] {
        let answer = client.token_answer("", "w", 5, wrong.clone()).await;
        assert_eq!(code(&answer), 112, "{wrong}");
    }
}

#[tokio::test]
async fn a_flash_check_by_gcid_and_cid() {
    let client = Client::plain().await;
    let blob = known(&client, 3, 2 * MIB);
    let (gcid, cid) = (upper(&blob, HashKind::Gcid), upper(&blob, HashKind::Cid));
    let made = client.token("a.bin", 2 * MIB, json!({})).await;
    let id = &made["taskId"];
    let check = async |id: &Value, more: Value| {
        let mut body = more;
        body["taskId"] = id.clone();
        client.call("check_can_flash_upload", body).await.1
    };
    for wrong in [
        json!({}),
        json!({ "gcid": gcid }),
        json!({ "cid": cid }),
        json!({ "md5": "z" }),
    ] {
        assert_eq!(code(&check(id, wrong.clone()).await), 112, "{wrong}");
    }
    let wrong = json!({ "gcid": gcid, "cid": gcid });
    assert_eq!(check(id, wrong).await["data"]["canFlashUpload"], false);
    client.set("gcid_alone", "false");
    let alone = json!({ "gcid": gcid });
    assert_eq!(
        check(id, alone.clone()).await["data"]["canFlashUpload"],
        false
    );
    assert_eq!(code(&client.info(id).await.1), 147);
    let right = json!({ "gcid": gcid.to_lowercase(), "cid": cid });
    assert_eq!(
        check(id, right.clone()).await["data"],
        json!({ "taskId": id, "canFlashUpload": true })
    );
    // Asked again, as after an answer that was lost.
    let again = check(id, right.clone()).await;
    assert_eq!(again["data"]["canFlashUpload"], true);
    client.imported(id).await;
    assert_eq!(
        (client.stat().rapid_hits, client.stat().rapid_misses),
        (1, 2)
    );
    assert_eq!(client.names("").await, ["a.bin"]);

    client.set("gcid_alone", "accept");
    let made = client.token("b.bin", 2 * MIB, json!({})).await;
    assert_eq!(
        check(&made["taskId"], alone).await["data"]["canFlashUpload"],
        true
    );
    let made = client.token("c.bin", MIB - 1, json!({})).await;
    assert_eq!(code(&check(&made["taskId"], right.clone()).await), 112);
    assert_eq!(code(&check(&json!("up-1"), right).await), 145);
}

#[tokio::test]
async fn a_hit_may_bring_another_task() {
    let client = Client::mixed().await;
    let blob = known(&client, 3, 2 * MIB);
    let (mut same, mut other) = (0, 0);
    for i in 0..10 {
        let made = client.token(&format!("f{i}"), 2 * MIB, json!({})).await;
        let mut body = json!({
            "gcid": upper(&blob, HashKind::Gcid), "cid": upper(&blob, HashKind::Cid),
        });
        body["taskId"] = made["taskId"].clone();
        let data = client.ok("check_can_flash_upload", body).await;
        match data["taskId"] == made["taskId"] {
            true => same += 1,
            false => {
                other += 1;
                assert_eq!(code(&client.info(&made["taskId"]).await.1), 152);
            }
        }
        client.imported(&data["taskId"]).await;
    }
    assert!(same > 0 && other > 0, "{same} {other}");
    assert_eq!(client.names("").await.len(), 10);
    assert!(client.left().is_empty());
}

#[tokio::test]
async fn missed_tasks_stay_until_they_are_deleted() {
    let client = Client::plain().await;
    let made = client
        .token("a", 10, json!({ "md5": "0".repeat(32) }))
        .await;
    let more = client.token("a", 10, json!({})).await;
    assert_eq!(client.left().len(), 2);
    assert!(
        client.names("").await.is_empty(),
        "a task is no visible file"
    );
    let other = Client::of(&client.world, "guangya-2").await;
    let ids = json!({ "taskIds": [made["taskId"], more["taskId"], "up-0"] });
    assert_eq!(other.refused("delete_upload_task", ids.clone()).await, 145);
    assert_eq!(code(&other.info(&made["taskId"]).await.1), 145);
    client.ok("delete_upload_task", ids.clone()).await;
    assert!(client.left().is_empty());
    assert_eq!(code(&client.info(&made["taskId"]).await.1), 152);
    assert_eq!(code(&client.info(&json!("up-0")).await.1), 145);
    assert_eq!(client.refused("delete_upload_task", ids).await, 145);
    // Bytes that come later make nothing.
    let put = client.store(&made, "PUT", "", vec![1; 10], &[]).await;
    assert_eq!(put.0, 200);
    assert!(client.names("").await.is_empty());

    // A hit that is deleted before its import is over makes nothing either.
    let blob = known(&client, 1, 100);
    let task = client.instant("b", 100, json!({ "md5": md5(&blob) })).await;
    client
        .ok("delete_upload_task", json!({ "taskIds": [task] }))
        .await;
    client.world.clock_advance(600_000);
    assert!(client.names("").await.is_empty());
    // Nobody polled for this one: it comes by itself.
    client.instant("c", 100, json!({ "md5": md5(&blob) })).await;
    client.world.clock_advance(600_000);
    assert_eq!(client.names("").await, ["c"]);
    let late = client.token("d", 10, json!({})).await;
    client.set("upload_life_s", "60");
    client.world.clock_advance(60_000);
    assert_eq!(code(&client.info(&late["taskId"]).await.1), 163);
}

#[tokio::test]
async fn small_files_go_by_one_put() {
    let client = Client::plain().await;
    let done = client
        .uploaded(
            "hello",
            b"hello",
            json!({ "md5": "5d41402abc4b2a76b9719d911017c592" }),
        )
        .await;
    assert_eq!(done["gcid"], "6B4F89A54E2D27ECD7E8DA05B4AB8FD9D1D8B119");
    let id = done["fileId"].as_str().unwrap();
    let url = client.link(id).await;
    assert_eq!(client.get(&url, &[]).await, (200, b"hello".to_vec()));
    assert_eq!(client.stat().bytes_up, 5);
    // From now on the content is known, to the other account too.
    let other = Client::of(&client.world, "guangya-2").await;
    let task = other
        .instant("x", 5, json!({ "md5": "XUFAKrxLKna5cZ2REBfFkg==" }))
        .await;
    other.imported(&json!(task)).await;
    let done = client.uploaded("empty", b"", json!({})).await;
    assert_eq!(done["fileSize"], 0);
    assert_eq!(client.names("").await, ["empty", "hello"]);
    assert!(client.left().is_empty());
}

#[tokio::test]
async fn parts_and_a_token_that_ended() {
    let client = Client::plain().await;
    let blob = Blob::synthetic(9, 250_000);
    client.set("sts_life_s", "60");
    let made = client
        .token(
            "big.bin",
            250_000,
            json!({ "md5": md5(&blob), "gcid": upper(&blob, HashKind::Gcid) }),
        )
        .await;
    assert!(made["creds"]["expiration"].as_str().unwrap().ends_with('Z'));
    assert_eq!((&made["provider"], &made["gcid"]), (&json!(1), &json!("")));
    let (status, text, _) = client.store(&made, "POST", "uploads", vec![], &[]).await;
    assert_eq!(status, 200, "{text}");
    let upload = text.split("<UploadId>").nth(1).unwrap();
    let upload = upload.split('<').next().unwrap().to_owned();
    let part = |number: u32| format!("partNumber={number}&uploadId={upload}");
    let send = async |made: &Value, number: u32, range: std::ops::Range<u64>| {
        let bytes = blob.read(range.start, range.end - range.start).to_vec();
        client.store(made, "PUT", &part(number), bytes, &[]).await
    };
    let (status, _, first) = send(&made, 1, 0..150_000).await;
    assert_eq!(status, 200);
    client.world.clock_advance(60_000);
    let (status, text, _) = send(&made, 2, 150_000..250_000).await;
    assert!(
        status == 403 && text.contains("SecurityTokenExpired"),
        "{text}"
    );

    let resume = |size: u64, path: &str, provider: Value| {
        json!({
            "capacity": 2, "res": { "fileSize": size }, "taskId": made["taskId"],
            "object": { "objectPath": path, "provider": provider },
        })
    };
    let path = made["objectPath"].as_str().unwrap();
    for wrong in [
        resume(1, path, json!(1)),
        resume(250_000, "upload/2026/other", json!(1)),
        resume(250_000, path, json!("1")),
    ] {
        assert_eq!(
            client.refused("get_res_center_resume_token", wrong).await,
            112
        );
    }
    let body = resume(250_000, path, json!(1));
    let fresh = client.ok("get_res_center_resume_token", body.clone()).await;
    let mut again = made.clone();
    again["creds"] = fresh["creds"].clone();
    // The first part is still there.
    let query = format!("uploadId={upload}&max-parts=1000");
    let (_, text, _) = client.store(&again, "GET", &query, vec![], &[]).await;
    assert!(text.contains("<Size>150000</Size>"), "{text}");
    let (status, _, second) = send(&again, 2, 150_000..250_000).await;
    assert_eq!(status, 200);
    assert_eq!(client.left().len(), 2, "the task and its parts");
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{first}</ETag></Part>\
         <Part><PartNumber>2</PartNumber><ETag>{second}</ETag></Part></CompleteMultipartUpload>"
    );
    let complete = format!("uploadId={upload}");
    let body_xml = list.into_bytes();
    client.fault("oss_complete", FaultKind::CommitFail, "");
    let (status, _, _) = client
        .store(&again, "POST", &complete, body_xml.clone(), &[])
        .await;
    assert_eq!(status, 203);
    // It is over at the store; the task still waits, and one PUT is another way.
    assert_eq!(code(&client.info(&made["taskId"]).await.1), 147);
    let (status, text, _) = client.store(&again, "POST", &complete, body_xml, &[]).await;
    assert!(status == 404 && text.contains("NoSuchUpload"), "{text}");
    let put = client.store(&again, "PUT", "", bytes(&blob), &[]).await;
    assert_eq!(put.0, 200);
    assert_eq!(
        client.refused("get_res_center_resume_token", body).await,
        156
    );
    client.imported(&made["taskId"]).await;
    assert!(client.left().is_empty());
}

#[tokio::test]
async fn bytes_must_be_what_was_announced() {
    let client = Client::plain().await;
    let put = async |made: &Value, body: &[u8]| {
        let put = client.store(made, "PUT", "", body.to_vec(), &[]).await;
        assert_eq!(put.0, 200, "{}", put.1);
        code(&client.polled(&made["taskId"]).await.1)
    };
    // Another md5, another gcid, another size.
    let made = client.token("a", 5, json!({ "md5": "0".repeat(32) })).await;
    assert_eq!(put(&made, b"hello").await, 100);
    let made = client
        .token("a", 5, json!({ "gcid": "0".repeat(40) }))
        .await;
    assert_eq!(put(&made, b"hello").await, 100);
    let made = client.token("a", 6, json!({})).await;
    assert_eq!(put(&made, b"hello").await, 100);
    // What was claimed in the check counts as well.
    let blob = Blob::synthetic(5, MIB);
    let made = client.token("a", MIB, json!({})).await;
    let claim = json!({ "taskId": made["taskId"], "gcid": "0".repeat(40), "cid": "0".repeat(40) });
    client.ok("check_can_flash_upload", claim).await;
    assert_eq!(put(&made, &bytes(&blob)).await, 100);
    // A bit flips on the way into the store.
    let made = client
        .token("a", 5, json!({ "md5": "5d41402abc4b2a76b9719d911017c592" }))
        .await;
    client.fault("oss_put", FaultKind::Corrupt, "");
    assert_eq!(put(&made, b"hello").await, 100);
    assert!(client.names("").await.is_empty());
    assert_eq!(client.left().len(), 5);
    assert!(client.left().iter().all(|task| task["stage"] == "failed"));
    let md5 = [("content-md5", "XUFAKrxLKna5cZ2REBfFkg==")];
    let made = client.token("a", 5, json!({})).await;
    let (status, text, _) = client
        .store(&made, "PUT", "", b"hallo".to_vec(), &md5)
        .await;
    assert!(status == 400 && text.contains("InvalidDigest"), "{text}");
    let (status, _, _) = client
        .store(&made, "PUT", "", b"hello".to_vec(), &md5)
        .await;
    assert_eq!(status, 200);
    client.imported(&made["taskId"]).await;
}

#[tokio::test]
async fn the_store_wants_its_own_credentials_only() {
    let client = Client::plain().await;
    let made = client.token("a", 5, json!({})).await;
    for leak in [("did", "x"), ("dt", "4"), ("x-device-id", "x")] {
        let (status, _, _) = client
            .store(&made, "PUT", "", b"hello".to_vec(), &[leak])
            .await;
        assert_eq!(status, 400, "{leak:?}");
    }
    let mut thief = made.clone();
    thief["creds"]["secretAccessKey"] = json!("guess");
    let (status, text, _) = client
        .store(&thief, "PUT", "", b"hello".to_vec(), &[])
        .await;
    assert!(
        status == 403 && text.contains("SignatureDoesNotMatch"),
        "{text}"
    );
    let other = client.token("b", 5, json!({})).await;
    let mut thief = made.clone();
    thief["objectPath"] = other["objectPath"].clone();
    let (status, text, _) = client
        .store(&thief, "PUT", "", b"hello".to_vec(), &[])
        .await;
    assert!(status == 403 && text.contains("AccessDenied"), "{text}");
}

#[tokio::test]
async fn names_and_limits_of_a_token() {
    let client = Client::plain().await;
    client.seed("/f", b"1");
    let dir = client.mkdir("/d");
    let ask = async |parent: &str, name: &str, size: u64| {
        code(&client.token_answer(parent, name, size, json!({})).await)
    };
    assert_eq!(ask("", "f", 5).await, 160);
    assert_eq!(ask("", "d", 5).await, 159);
    assert_eq!(ask(&dir, "f", 5).await, 0);
    assert_eq!(ask("1", "x", 5).await, 143);
    assert_eq!(ask("", "a/b", 5).await, 112);
    for wrong in [
        json!({ "capacity": 3, "name": "n", "parentId": "", "res": { "fileSize": 5 } }),
        json!({ "name": "n", "parentId": "", "res": { "fileSize": 5 } }),
        json!({ "capacity": 2, "parentId": "", "res": { "fileSize": 5 } }),
        json!({ "capacity": 2, "name": "n", "parentId": "", "res": {} }),
        json!({ "capacity": 2, "name": "n", "parentId": "", "res": { "fileSize": "5" } }),
        json!({ "capacity": 2, "name": "n", "parentId": "", "res": { "fileSize": -5 } }),
        json!({ "capacity": 2, "name": "n", "parentId": 0, "res": { "fileSize": 5 } }),
        json!({ "capacity": 2, "name": "n", "parentId": "" }),
    ] {
        let refused = client.refused("get_res_center_token", wrong.clone()).await;
        assert_eq!(refused, 112, "{wrong}");
    }
    client.set("max_file_size", "100");
    assert_eq!(ask("", "x", 101).await, 90_000);
    client.set("total_size", "50");
    assert_eq!((ask("", "x", 49).await, ask("", "x", 50).await), (0, 157));
    client.uploaded("ten", &[1; 10], json!({})).await;
    client.set("month_bytes", "15");
    assert_eq!((ask("", "x", 5).await, ask("", "x", 6).await), (0, 172));
}

#[tokio::test]
async fn imports_that_fail() {
    let client = Client::plain().await;
    let blob = known(&client, 1, 100);
    let hit = async |name: &str| {
        let task = client
            .instant(name, 100, json!({ "md5": md5(&blob) }))
            .await;
        json!(task)
    };
    // No error, and no file, for good.
    let task = hit("a").await;
    client.fault("upload_info", FaultKind::CommitFail, "");
    for _ in 0..3 {
        let (status, answer) = client.info(&task).await;
        let data = success(status, &answer).unwrap();
        assert!(data.get("fileId").is_none(), "{answer}");
    }
    client.fault("upload_info", FaultKind::CommitFail, "155");
    assert_eq!(code(&client.info(&hit("a").await).await.1), 155);
    // The name was taken meanwhile, the folder is gone, the space is.
    let task = hit("a").await;
    client.seed("/a", b"other");
    assert_eq!(code(&client.polled(&task).await.1), 160);
    let dir = client.mkdir("/d");
    let answer = client
        .token_answer(&dir, "b", 100, json!({ "md5": md5(&blob) }))
        .await;
    client.world.account("guangya").unwrap().tree().remove(&dir);
    assert_eq!(code(&client.polled(&answer["data"]["taskId"]).await.1), 143);
    let task = hit("c").await;
    client.set("total_size", "50");
    assert_eq!(code(&client.polled(&task).await.1), 157);
    assert_eq!(client.names("").await, ["a"]);
    assert_eq!(client.stat().rapid_hits, 0);
}

#[tokio::test]
async fn token_answers_have_many_forms() {
    let client = Client::mixed().await;
    let mut seen = std::collections::BTreeSet::new();
    for i in 0..40 {
        let answer = client
            .token_answer("", &format!("f{i}"), 5, json!({}))
            .await;
        let made = success(200, &answer).unwrap();
        seen.insert(format!(
            "{} {} {} {}",
            made["creds"].is_object(),
            made["provider"].is_string(),
            made.get("fullEndPoint").is_some(),
            made["endPoint"].as_str().unwrap().starts_with("gy-bucket."),
        ));
        if i < 8 {
            let put = client.store(&made, "PUT", "", b"hello".to_vec(), &[]).await;
            assert_eq!(put.0, 200, "{}", put.1);
            client.imported(&made["taskId"]).await;
        }
    }
    assert!(seen.len() >= 8, "{seen:?}");
    assert_eq!(client.names("").await.len(), 8);
}
