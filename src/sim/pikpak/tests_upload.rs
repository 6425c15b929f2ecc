//! Uploads, the oracle and downloads over HTTP.

use serde_json::{Value, json};

use super::super::clock::{Clock, rfc1123};
use super::super::content::Blob;
use super::super::digest::{HashKind, hex};
use super::super::faults::{Fault, FaultKind};
use super::super::oss::sign;
use super::super::server::SeedSource;
use super::index::cid_twin;
use super::tests::{Client, names};

const LIVE: &str = r#"{"phase":{"eq":"PHASE_TYPE_COMPLETE"},"trashed":{"eq":false}}"#;

fn gcid(blob: &Blob) -> String {
    blob.digest_now(HashKind::Gcid).to_uppercase()
}

fn create(name: &str, size: u64, gcid: &str) -> Value {
    json!({
        "kind": "drive#file", "name": name, "parent_id": "", "size": size, "hash": gcid,
        "upload_type": "UPLOAD_TYPE_RESUMABLE", "resumable": { "provider": "PROVIDER_ALIYUN" },
        "folder_type": "NORMAL",
    })
}

impl Client {
    async fn create(&self, name: &str, size: u64, gcid: &str) -> Value {
        let body = create(name, size, gcid);
        self.ok("POST", "/drive/v1/files", body).await
    }

    /// A call of the store with the credentials of a create answer.
    async fn store(
        &self,
        created: &Value,
        method: &str,
        query: &str,
        body: Vec<u8>,
        extra: &[(&str, &str)],
    ) -> (u16, String, String) {
        let params = &created["resumable"]["params"];
        let param = |name: &str| params[name].as_str().unwrap();
        let (bucket, key) = (param("bucket"), param("key"));
        let date = rfc1123(Clock::real_ms());
        let mut request = self
            .http
            .request(
                method.parse().unwrap(),
                format!("http://{}/{bucket}/{key}?{query}", param("endpoint")),
            )
            .header("date", &date)
            .header("x-oss-security-token", param("security_token"));
        for (name, value) in extra {
            request = request.header(*name, *value);
        }
        let built = request.try_clone().unwrap().build().unwrap();
        let query = sign::parse_query(query);
        let text = sign::string_to_sign(method, built.headers(), bucket, key, &query);
        let signature = sign::hmac_sha1(param("access_key_secret"), &text);
        let authorization = format!("OSS {}:{signature}", param("access_key_id"));
        let request = request.header("authorization", authorization).body(body);
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let etag = answer.headers().get("etag");
        let etag = etag.map_or("", |etag| etag.to_str().unwrap()).to_owned();
        (status, answer.text().await.unwrap(), etag)
    }

    async fn oracle(&self, blob: &Blob) -> (u16, Value) {
        let cid = blob.digest_now(HashKind::Cid);
        let path = format!("/drive/v1/resource/cid?cid={cid}&file_size={}", blob.size());
        self.call("GET", &path, Value::Null).await
    }

    async fn get(&self, url: &str, headers: &[(&str, &str)]) -> (u16, Vec<u8>) {
        let mut request = self.http.get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        (
            answer.status().as_u16(),
            answer.bytes().await.unwrap().to_vec(),
        )
    }

    async fn link(&self, id: &str) -> String {
        let path = format!("/drive/v1/files/{id}?_magic=2021&usage=FETCH");
        let file = self.ok("GET", &path, Value::Null).await;
        let url = &file["links"]["application/octet-stream"]["url"];
        url.as_str().unwrap().to_owned()
    }

    fn uploads(&self) -> usize {
        self.world.tree("pikpak").unwrap()["uploads"]
            .as_array()
            .unwrap()
            .len()
    }
}

#[tokio::test]
async fn a_hit_is_complete_at_once() {
    let client = Client::start().await;
    let blob = Blob::synthetic(5, 700_000);
    let source = SeedSource::Synthetic { seed: 5 };
    // Another account's content is as good as anyone's.
    client
        .world
        .seed("pikpak-2", "/theirs", 700_000, &source)
        .unwrap();
    let made = client
        .create("a.bin", 700_000, &gcid(&blob).to_lowercase())
        .await;
    assert!(made.get("resumable").is_none(), "{made}");
    assert_eq!(made["file"]["phase"], "PHASE_TYPE_COMPLETE");
    let made = client.create("a.bin", 700_000, &gcid(&blob)).await;
    assert_eq!(made["file"]["name"], "a(1).bin");
    let read = client
        .world
        .read("pikpak", "/a(1).bin", 600_000, 9)
        .unwrap();
    assert_eq!(read, blob.read(600_000, 9));
    let path = "/vip/v1/quantity/list?type=transfer&limit=200";
    let allowance = client.ok("GET", path, Value::Null).await;
    assert_eq!(allowance["base"]["upload"]["size"], 210_000);
    // The right hash with another size is a miss; a bad hash is refused.
    let made = client.create("b.bin", 700_001, &gcid(&blob)).await;
    assert!(made["resumable"].is_object());
    for (size, hash) in [(5, "abc"), (0, gcid(&blob).as_str())] {
        let body = create("c", size, hash);
        assert_eq!(client.call("POST", "/drive/v1/files", body).await.0, 400);
    }
    let empty = client.create("empty", 0, &gcid(&Blob::bytes(""))).await;
    assert_eq!(empty["file"]["phase"], "PHASE_TYPE_COMPLETE");
    let path = format!("/drive/v1/files/{}", empty["file"]["id"].as_str().unwrap());
    let file = client.ok("GET", &path, Value::Null).await;
    assert_eq!(
        (&file["web_content_link"], &file["links"]),
        (&json!(""), &json!({}))
    );
    let stat = client.world.stat("pikpak").unwrap();
    assert_eq!(
        (stat.rapid_hits, stat.rapid_misses, stat.bytes_up),
        (2, 1, 0)
    );
    client
        .world
        .set("pikpak", "quota_limit", "1400000")
        .unwrap();
    let body = create("d.bin", 700_000, &gcid(&blob));
    let refused = client.refused("POST", "/drive/v1/files", body).await;
    assert_eq!(refused, (400, 8, "file_space_not_enough".to_owned()));
}

#[tokio::test]
async fn a_miss_is_pending_until_its_bytes_are_there() {
    let client = Client::start().await;
    let blob = Blob::bytes(vec![7_u8; 300_000]);
    let made = client.create("a.bin", 300_000, &gcid(&blob)).await;
    assert_eq!(made["file"]["phase"], "PHASE_TYPE_PENDING");
    assert_eq!(made["task"]["phase"], "PHASE_TYPE_RUNNING");
    assert_eq!(names(&client.list("", "").await), ["a.bin"]);
    assert!(client.list("", LIVE).await.is_empty());
    // It takes its name, and a size that is not the declared one is not taken.
    let second = client.create("a.bin", 300_000, &gcid(&blob)).await;
    assert_eq!(second["file"]["name"], "a(1).bin");
    let whole = blob.read(0, 300_000).to_vec();
    let (status, text, _) = client.store(&made, "PUT", "", vec![7; 9], &[]).await;
    assert!(
        status == 203 && text.contains("CallbackFailed"),
        "{status} {text}"
    );
    // Headers of the API do not belong here.
    let leak = [("x-captcha-token", "secret")];
    assert_eq!(
        client.store(&made, "PUT", "", whole.clone(), &leak).await.0,
        400
    );
    let json = [("accept", "application/json")];
    assert_eq!(
        client.store(&made, "PUT", "", whole.clone(), &json).await.0,
        406
    );
    // Abandon the second one: entry and task.
    let ids = json!({ "ids": [second["file"]["id"]] });
    client.ok("POST", "/drive/v1/files:batchDelete", ids).await;
    assert_eq!(client.uploads(), 2);
    let task = second["task"]["id"].as_str().unwrap();
    let path = format!("/drive/v1/tasks?task_ids={task}&delete_files=false");
    client.ok("DELETE", &path, Value::Null).await;
    assert_eq!(client.uploads(), 1);

    client
        .world
        .set("pikpak", "complete_delay_ms", "5000")
        .unwrap();
    let (status, text, _) = client.store(&made, "PUT", "", whole, &[]).await;
    assert_eq!(status, 200, "{text}");
    assert_eq!(
        serde_json::from_str::<Value>(&text).unwrap()["size"],
        "300000"
    );
    let task = format!("/drive/v1/tasks/{}", made["task"]["id"].as_str().unwrap());
    assert_eq!(
        client.ok("GET", &task, Value::Null).await["phase"],
        "PHASE_TYPE_RUNNING"
    );
    assert!(client.list("", LIVE).await.is_empty());
    client.world.clock_advance(5000);
    assert_eq!(
        client.ok("GET", &task, Value::Null).await["phase"],
        "PHASE_TYPE_COMPLETE"
    );
    assert_eq!(names(&client.list("", LIVE).await), ["a.bin"]);
    assert_eq!(client.uploads(), 0);
    // What was uploaded is known from now on, to the oracle as well.
    let (_, answer) = client.oracle(&blob).await;
    assert_eq!(answer["gcid"], gcid(&blob).to_lowercase());
    let again = client.create("b.bin", 300_000, &gcid(&blob)).await;
    assert_eq!(again["file"]["phase"], "PHASE_TYPE_COMPLETE");
    assert_eq!(client.world.stat("pikpak").unwrap().count("false_claim"), 0);
}

#[tokio::test]
async fn parts_and_their_refusals() {
    let client = Client::start().await;
    let blob = Blob::synthetic(9, 250_000);
    let made = client.create("a.bin", 250_000, &gcid(&blob)).await;
    let (status, text, _) = client.store(&made, "POST", "uploads", vec![], &[]).await;
    assert_eq!(status, 200, "{text}");
    let id = text.split("<UploadId>").nth(1).unwrap();
    let id = id.split('<').next().unwrap();
    assert_eq!(client.uploads(), 2);
    let mut list = String::new();
    for (number, from, to) in [(1, 0, 150_000), (2, 150_000, 250_000)] {
        let query = format!("partNumber={number}&uploadId={id}");
        let bytes = blob.read(from, to - from).to_vec();
        let (status, text, etag) = client.store(&made, "PUT", &query, bytes, &[]).await;
        assert_eq!(status, 200, "{text}");
        list += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
    }
    let query = format!("uploadId={id}&max-parts=1000&part-number-marker=1");
    let (_, text, _) = client.store(&made, "GET", &query, vec![], &[]).await;
    assert!(text.contains("<PartNumber>2</PartNumber>"), "{text}");
    assert!(!text.contains("<PartNumber>1</PartNumber>"), "{text}");
    let mut thief = made.clone();
    thief["resumable"]["params"]["access_key_secret"] = json!("guess");
    let upload = format!("uploadId={id}");
    let (status, text, _) = client.store(&thief, "DELETE", &upload, vec![], &[]).await;
    assert!(
        status == 403 && text.contains("SignatureDoesNotMatch"),
        "{text}"
    );
    let body = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
    let fault = Fault::once("oss_complete", FaultKind::CommitFail, "");
    client.world.fault("pikpak", fault).unwrap();
    let body = body.into_bytes();
    let (status, _, _) = client
        .store(&made, "POST", &upload, body.clone(), &[])
        .await;
    assert_eq!(status, 203);

    // The next credentials are out of date after twelve hours.
    let other = Blob::synthetic(10, 250_000);
    let late = client.create("b.bin", 250_000, &gcid(&other)).await;
    client.world.clock_advance(12 * 3_600_000);
    let (status, text, _) = client.store(&late, "PUT", "", vec![1], &[]).await;
    assert!(
        status == 403 && text.contains("SecurityTokenExpired"),
        "{text}"
    );
}

#[tokio::test]
async fn false_claims_are_believed() {
    let client = Client::start().await;
    let (real, claimed) = (Blob::synthetic(1, 90_000), Blob::synthetic(2, 90_000));
    let bytes = real.read(0, 90_000).to_vec();
    let made = client.create("lie.bin", 90_000, &gcid(&claimed)).await;
    let (status, _, _) = client.store(&made, "PUT", "", bytes.clone(), &[]).await;
    assert_eq!(status, 200);
    client.world.clock_advance(100);
    let files = client.list("", LIVE).await;
    assert_eq!(files[0]["hash"], gcid(&claimed));
    assert_eq!(client.world.stat("pikpak").unwrap().count("false_claim"), 1);
    // The lie poisons the oracle and every later instant upload.
    let (_, answer) = client.oracle(&real).await;
    assert_eq!(answer["gcid"], gcid(&claimed).to_lowercase());
    client.create("victim.bin", 90_000, &gcid(&claimed)).await;
    let read = client
        .world
        .read("pikpak", "/victim.bin", 0, 90_000)
        .unwrap();
    assert_eq!(read, bytes);
    client.world.set("pikpak", "verify_gcid", "on").unwrap();
    let made = client.create("lie2.bin", 90_000, &"0".repeat(40)).await;
    let (status, _, _) = client.store(&made, "PUT", "", bytes, &[]).await;
    assert_eq!(status, 203);
    let task = format!("/drive/v1/tasks/{}", made["task"]["id"].as_str().unwrap());
    assert_eq!(
        client.ok("GET", &task, Value::Null).await["phase"],
        "PHASE_TYPE_ERROR"
    );

    // Seeded the same way.
    client.seed("/seeded.bin", b"some bytes");
    let lie = "00112233445566778899aabbccddeeff00112233";
    client
        .world
        .set("pikpak", "false_gcid:/seeded.bin", lie)
        .unwrap();
    assert!(client.world.set("pikpak", "false_gcid:/none", lie).is_err());
    assert!(
        client
            .world
            .set("pikpak", "false_gcid:/seeded.bin", "xyz")
            .is_err()
    );
    let files = client.list("", LIVE).await;
    let seeded = files
        .iter()
        .find(|file| file["name"] == "seeded.bin")
        .unwrap();
    assert_eq!(seeded["hash"], lie.to_uppercase());
    client.create("copy.bin", 10, lie).await;
    assert_eq!(
        &client.world.read("pikpak", "/copy.bin", 0, 99).unwrap()[..],
        b"some bytes"
    );
}

#[tokio::test]
async fn the_oracle() {
    let client = Client::start().await;
    let blob = Blob::synthetic(3, 500_000);
    let (status, answer) = client.oracle(&blob).await;
    assert_eq!((status, &answer["gcid"]), (200, &json!("")));
    client.world.set("pikpak", "cid_miss_500", "on").unwrap();
    let (status, answer) = client.oracle(&blob).await;
    assert_eq!(status, 500);
    assert!(
        answer["error"]
            .as_str()
            .unwrap()
            .contains("idx.shub.mypikpak.com")
    );
    let source = SeedSource::Synthetic { seed: 3 };
    client
        .world
        .seed_known_only("pikpak", 500_000, &source)
        .unwrap();
    let (status, answer) = client.oracle(&blob).await;
    assert_eq!(
        (status, &answer["gcid"]),
        (200, &json!(gcid(&blob).to_lowercase()))
    );
    for query in [
        "cid=00&file_size=5",
        "file_size=5",
        "cid=DA39A3EE5E6B4B0D3255BFEF95601890AFD80709&file_size=0",
    ] {
        let path = format!("/drive/v1/resource/cid?{query}");
        assert_eq!(
            client.call("GET", &path, Value::Null).await.0,
            400,
            "{query}"
        );
    }
    // A content with the same three windows and other bytes between them.
    for size in [61_441, 70_000, 92_160, 500_000] {
        let blob = Blob::synthetic(4, size);
        let twin = cid_twin(&blob).unwrap();
        assert_eq!(twin.size(), size);
        let hashes = |kind| (blob.digest_now(kind), twin.digest_now(kind));
        let (cid, other_cid) = hashes(HashKind::Cid);
        assert_eq!(cid, other_cid, "{size}");
        let (gcid, other_gcid) = hashes(HashKind::Gcid);
        assert_ne!(gcid, other_gcid, "{size}");
    }
    assert!(cid_twin(&Blob::synthetic(4, 61_440)).is_none());
    client.world.set("pikpak", "cid_twin", "4,70000").unwrap();
    let wanted = Blob::synthetic(4, 70_000);
    let (_, answer) = client.oracle(&wanted).await;
    let answered = answer["gcid"].as_str().unwrap().to_uppercase();
    assert_ne!(answered, gcid(&wanted));
    let made = client.create("twin.bin", 70_000, &answered).await;
    assert_eq!(made["file"]["phase"], "PHASE_TYPE_COMPLETE");
    let stored = client.world.read("pikpak", "/twin.bin", 0, 70_000).unwrap();
    assert_eq!(stored[..20_480], wanted.read(0, 20_480));
    assert_ne!(stored, wanted.read(0, 70_000));
    client
        .world
        .seed("pikpak", "/own", 80_000, &source)
        .unwrap();
    client.world.set("pikpak", "cid_twin", "/own").unwrap();
    let own = Blob::synthetic(3, 80_000);
    let (_, answer) = client.oracle(&own).await;
    assert_ne!(answer["gcid"], gcid(&own).to_lowercase());
    assert!(client.world.set("pikpak", "cid_twin", "1,100").is_err());
}

#[tokio::test]
async fn links_serve_ranges_until_they_expire() {
    let client = Client::start().await;
    let blob = Blob::synthetic(6, 400_000);
    let source = SeedSource::Synthetic { seed: 6 };
    let id = client
        .world
        .seed("pikpak", "/clip.mkv", 400_000, &source)
        .unwrap();
    let url = client.link(&id).await;
    let (status, bytes) = client.get(&url, &[]).await;
    assert_eq!((status, hex(&bytes[..8])), (200, hex(&blob.read(0, 8))));
    assert_eq!(bytes.len(), 400_000);
    let (status, bytes) = client.get(&url, &[("range", "bytes=5-8")]).await;
    assert_eq!((status, bytes), (206, blob.read(5, 4).to_vec()));
    assert_eq!(client.get(&url, &[("range", "bytes=400000-")]).await.0, 416);
    assert_eq!(
        client.get(&url, &[("authorization", "Bearer x")]).await.0,
        400
    );
    assert_eq!(client.get(&url, &[("x-captcha-token", "x")]).await.0, 400);
    assert_eq!(
        client.get(&url, &[("accept", "application/json")]).await.0,
        406
    );
    assert_eq!(
        client
            .get(&url.replace("expire=1", "expire=2"), &[])
            .await
            .0,
        403
    );
    // Only the origin is the file.
    let file = client
        .ok("GET", &format!("/drive/v1/files/{id}"), Value::Null)
        .await;
    let medias = file["medias"].as_array().unwrap();
    for media in medias {
        let url = media["link"]["url"].as_str().unwrap();
        let (_, bytes) = client.get(url, &[]).await;
        assert_eq!(bytes == blob.read(0, 400_000), media["is_origin"] == true);
    }
    assert_eq!(medias.len(), 2);

    client.world.corrupt("pikpak", "/clip.mkv").unwrap();
    let (_, bytes) = client.get(&url, &[]).await;
    assert_ne!(bytes, blob.read(0, 400_000));
    let stall = Fault::always("download", FaultKind::StallBody, "0,60000");
    client.world.fault("pikpak", stall).unwrap();
    let mut running = Vec::new();
    for _ in 0..8 {
        let answer = client.http.get(&url).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        running.push(answer);
    }
    assert_eq!(client.get(&url, &[]).await, (503, Vec::new()));
    client.world.reset("pikpak").unwrap();
    drop(running);

    let fault = Fault::once("download", FaultKind::ExpireLink, "");
    client.world.fault("pikpak", fault).unwrap();
    for _ in 0..2 {
        assert_eq!(client.get(&url, &[]).await, (403, Vec::new()));
    }
    client.world.set("pikpak", "link_life_s", "60").unwrap();
    let url = client.link(&id).await;
    assert_eq!(client.get(&url, &[("range", "bytes=0-0")]).await.0, 206);
    client.world.clock_advance(60_000);
    assert_eq!(client.get(&url, &[]).await, (403, Vec::new()));
    let url = client.link(&id).await;
    let ids = json!({ "ids": [id] });
    client.ok("POST", "/drive/v1/files:batchDelete", ids).await;
    assert_eq!(client.get(&url, &[]).await.0, 404);
}
