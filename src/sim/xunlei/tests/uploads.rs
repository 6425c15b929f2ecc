//! Fast uploads, the store and its signatures, pending entries.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::super::clock::{Clock, rfc1123};
use super::super::super::content::Blob;
use super::super::super::digest::{HashKind, hex};
use super::super::super::faults::{Fault, FaultKind};
use super::super::super::oss::sign;
use super::super::super::server::SeedSource;
use super::super::v4;
use super::{Client, LIVE, at, error, id_of, names};

fn gcid(blob: &Blob) -> String {
    blob.digest_now(HashKind::Gcid).to_uppercase()
}

fn create(name: &str, size: u64, gcid: &str) -> Value {
    json!({
        "kind": "drive#file", "name": name, "parent_id": "", "size": size, "hash": gcid,
        "upload_type": "UPLOAD_TYPE_RESUMABLE", "space": "",
    })
}

fn param<'a>(created: &'a Value, name: &str) -> &'a str {
    created["resumable"]["params"][name].as_str().unwrap()
}

fn amz_date(ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(ms).unwrap();
    let zoned = time.to_zoned(jiff::tz::TimeZone::UTC);
    zoned.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// How a request to the store is made; a test changes what it is about.
#[derive(Clone)]
struct Store {
    region: &'static str,
    /// Path in front of the bucket.
    mount: &'static str,
    payload: Option<String>,
    headers: Vec<(&'static str, &'static str)>,
    at: i64,
}

impl Store {
    fn new() -> Store {
        Store {
            region: "xunlei",
            mount: "/oss",
            payload: None,
            headers: Vec::new(),
            at: Clock::real_ms(),
        }
    }

    /// A call with signature V4 and the credentials of a create answer: status, text, ETag.
    async fn send(
        &self,
        client: &Client,
        created: &Value,
        method: &str,
        query: &str,
        body: &[u8],
    ) -> (u16, String, String) {
        let date = amz_date(self.at);
        let host = client.url("api").replace("http://", "").replace("/api", "");
        let path = format!(
            "{}/{}/{}",
            self.mount,
            param(created, "bucket"),
            param(created, "key")
        );
        let own = || hex(&Sha256::digest(body));
        let payload = self.payload.clone().unwrap_or_else(own);
        let names = "host;x-amz-content-sha256;x-amz-date;x-amz-security-token";
        let mut headers = vec![
            ("host", host.as_str()),
            ("x-amz-content-sha256", &payload),
            ("x-amz-date", &date),
            ("x-amz-security-token", param(created, "security_token")),
        ];
        headers.extend_from_slice(&self.headers);
        let scope = format!("{}/{}/s3/aws4_request", &date[..8], self.region);
        let pairs = sign::parse_query(query);
        let map = super::header_map(&headers);
        let request = v4::canonical_request(method, &path, &pairs, &map, names);
        let to_sign = v4::string_to_sign(&date, &scope, &request);
        let signature = v4::signature(param(created, "access_key_secret"), &scope, &to_sign);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            param(created, "access_key_id")
        );
        let url = format!("http://{host}{path}?{query}");
        let request = client.http.request(method.parse().unwrap(), url);
        let request = request.headers(map).header("authorization", authorization);
        answered(request.body(body.to_vec())).await
    }
}

/// The same with signature V1.
async fn send_v1(
    client: &Client,
    created: &Value,
    method: &str,
    body: &[u8],
) -> (u16, String, String) {
    let (bucket, key) = (param(created, "bucket"), param(created, "key"));
    let date = rfc1123(Clock::real_ms());
    let headers = super::header_map(&[
        ("date", &date),
        ("x-oss-security-token", param(created, "security_token")),
    ]);
    let text = sign::string_to_sign(method, &headers, bucket, key, &[]);
    let signature = sign::hmac_sha1(param(created, "access_key_secret"), &text);
    let authorization = format!("OSS {}:{signature}", param(created, "access_key_id"));
    let url = format!("{}/{bucket}/{key}", client.url("oss"));
    let request = client.http.request(method.parse().unwrap(), url);
    let request = request
        .headers(headers)
        .header("authorization", authorization);
    answered(request.body(body.to_vec())).await
}

async fn answered(request: reqwest::RequestBuilder) -> (u16, String, String) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let etag = answer.headers().get("etag");
    let etag = etag.map_or("", |etag| etag.to_str().unwrap()).to_owned();
    (status, answer.text().await.unwrap(), etag)
}

impl Client {
    async fn create(&self, name: &str, size: u64, gcid: &str) -> Value {
        self.post("/drive/v1/files", create(name, size, gcid)).await
    }

    fn uploads(&self) -> usize {
        let tree = self.world.tree("xunlei").unwrap();
        tree["uploads"].as_array().unwrap().len()
    }

    async fn phase(&self, made: &Value) -> String {
        let task = format!("/drive/v1/tasks/{}", id_of(&made["task"]));
        self.get(&task).await["phase"].as_str().unwrap().to_owned()
    }
}

fn has(answer: &(u16, String, String), status: u16, code: &str) {
    assert!(answer.0 == status && answer.1.contains(code), "{answer:?}");
}

#[tokio::test]
async fn a_known_gcid_of_the_right_size_is_a_hit() {
    let client = Client::start().await;
    let blob = Blob::synthetic(5, 700_000);
    let source = SeedSource::Synthetic { seed: 5 };
    client
        .world
        .seed_known_only("xunlei", 700_000, &source)
        .unwrap();
    for hash in [gcid(&blob).to_lowercase(), gcid(&blob)] {
        let made = client.create("a.bin", 700_000, &hash).await;
        assert!(made.get("resumable").is_none(), "{made}");
        assert_ne!(made["upload_type"], "UPLOAD_TYPE_RESUMABLE");
        assert_eq!(made["file"]["phase"], "PHASE_TYPE_COMPLETE");
        assert_eq!(made["file"]["hash"], gcid(&blob));
    }
    assert_eq!(names(&client.list("", LIVE).await), ["a.bin", "a(1).bin"]);
    let read = client
        .world
        .read("xunlei", "/a(1).bin", 600_000, 9)
        .unwrap();
    assert_eq!(read, blob.read(600_000, 9));
    // The right hash with another size is a miss; a bad hash is refused.
    let made = client.create("b.bin", 700_001, &gcid(&blob)).await;
    assert!(made["resumable"].is_object());
    let good = gcid(&blob);
    for (size, hash) in [(5, "abc"), (5, ""), (0, good.as_str())] {
        let body = create("c", size, hash);
        assert_eq!(client.call("POST", "/drive/v1/files", body).await.0, 400);
    }
    let mut url = create("c", 5, &good);
    url["upload_type"] = json!("UPLOAD_TYPE_URL");
    assert_eq!(client.call("POST", "/drive/v1/files", url).await.0, 400);
    let empty = client.create("empty", 0, &gcid(&Blob::bytes(""))).await;
    assert_eq!(empty["file"]["phase"], "PHASE_TYPE_COMPLETE");
    let stat = client.world.stat("xunlei").unwrap();
    assert_eq!(
        (stat.rapid_hits, stat.rapid_misses, stat.bytes_up),
        (2, 1, 0)
    );
    client.set("hit_delay_ms", "1000");
    let slow = client.create("slow.bin", 700_000, &good).await;
    assert_eq!(slow["file"]["phase"], "PHASE_TYPE_PENDING");
    assert!(slow.get("resumable").is_none());
    client.world.clock_advance(1000);
    let path = at(id_of(&slow["file"]));
    assert_eq!(client.get(&path).await["phase"], "PHASE_TYPE_COMPLETE");
    client.set("quota_limit", "2100000");
    let body = create("d.bin", 700_000, &good);
    let refused = client.refused("POST", "/drive/v1/files", body).await;
    assert_eq!(refused, error(400, 8, "file_space_not_enough"));
}

#[tokio::test]
async fn a_miss_is_pending_until_its_bytes_are_there() {
    let client = Client::start().await;
    let store = Store::new();
    let blob = Blob::bytes(vec![7_u8; 300_000]);
    let bytes = blob.read(0, 300_000).to_vec();
    let made = client.create("a.bin", 300_000, &gcid(&blob)).await;
    assert_eq!(made["upload_type"], "UPLOAD_TYPE_RESUMABLE");
    assert_eq!(
        (&made["file"]["phase"], &made["file"]["hash"]),
        (&json!("PHASE_TYPE_PENDING"), &json!(""))
    );
    assert_eq!(client.phase(&made).await, "PHASE_TYPE_RUNNING");
    let prefix = format!("{}.", param(&made, "bucket"));
    let host = param(&made, "endpoint").strip_prefix(&prefix).unwrap();
    assert!(client.url("api").contains(host));
    assert_eq!(names(&client.list("", "").await), ["a.bin"]);
    assert!(client.list("", LIVE).await.is_empty());
    // It takes its name, and a size that is not the declared one is not taken.
    let second = client.create("a.bin", 300_000, &gcid(&blob)).await;
    assert_eq!(second["file"]["name"], "a(1).bin");
    has(
        &store.send(&client, &made, "PUT", "", &[7; 9]).await,
        203,
        "CallbackFailed",
    );
    // Abandon the second one: entry and task.
    let ids = json!({ "ids": [second["file"]["id"]], "space": "" });
    client.post("/drive/v1/files:batchDelete", ids).await;
    assert_eq!(client.uploads(), 2);
    let path = format!(
        "/drive/v1/tasks?task_ids={}&delete_files=true&space=",
        id_of(&second["task"])
    );
    client.ok("DELETE", &path, Value::Null).await;
    assert_eq!(client.uploads(), 1);
    let listed = client.get("/drive/v1/tasks?type=upload&limit=10").await;
    assert_eq!(listed["tasks"].as_array().unwrap().len(), 1);

    client.set("complete_delay_ms", "60000");
    let (status, text, _) = store.send(&client, &made, "PUT", "", &bytes).await;
    assert_eq!(status, 200, "{text}");
    assert_eq!(
        serde_json::from_str::<Value>(&text).unwrap()["size"],
        "300000"
    );
    assert_eq!(client.phase(&made).await, "PHASE_TYPE_RUNNING");
    assert!(client.list("", LIVE).await.is_empty());
    client.world.clock_advance(60_000);
    assert_eq!(client.phase(&made).await, "PHASE_TYPE_COMPLETE");
    let files = client.list("", LIVE).await;
    assert_eq!(
        (names(&files), &files[0]["hash"]),
        (vec!["a.bin"], &json!(gcid(&blob)))
    );
    assert_eq!(client.uploads(), 0);
    // What was uploaded is known from now on, to the other account as well.
    let other = Client::of(client.world.clone(), "xunlei-2").await;
    let again = other.create("b.bin", 300_000, &gcid(&blob)).await;
    assert_eq!(again["file"]["phase"], "PHASE_TYPE_COMPLETE");
    assert_eq!(client.world.stat("xunlei").unwrap().count("false_claim"), 0);
    assert_eq!(
        client.world.read("xunlei-2", "/b.bin", 0, 9).unwrap(),
        bytes[..9]
    );
}

#[tokio::test]
async fn the_store_checks_what_is_signed() {
    let client = Client::start().await;
    let blob = Blob::bytes(vec![3_u8; 1000]);
    let made = client.create("a.bin", 1000, &gcid(&blob)).await;
    let put =
        async |store: &Store, made: &Value| store.send(&client, made, "PUT", "", &[3; 1000]).await;
    let store = Store::new();
    let mut thief = made.clone();
    thief["resumable"]["params"]["access_key_secret"] = json!("guess");
    has(&put(&store, &thief).await, 403, "SignatureDoesNotMatch");
    let mut nobody = made.clone();
    nobody["resumable"]["params"]["access_key_id"] = json!("STS.none");
    has(&put(&store, &nobody).await, 403, "InvalidAccessKeyId");
    let mut other = made.clone();
    other["resumable"]["params"]["security_token"] = json!("other");
    has(&put(&store, &other).await, 403, "InvalidSecurityToken");
    let mut elsewhere = made.clone();
    elsewhere["resumable"]["params"]["key"] = json!("upload_tmp/other");
    has(&put(&store, &elsewhere).await, 403, "AccessDenied");
    let region = Store {
        region: "us-east-1",
        ..store.clone()
    };
    has(&put(&region, &made).await, 400, "expecting 'xunlei'");
    let old = Store {
        at: store.at - 3_600_000,
        ..store.clone()
    };
    has(&put(&old, &made).await, 403, "RequestTimeTooSkewed");
    let lie = Store {
        payload: Some("0".repeat(64)),
        ..store.clone()
    };
    has(&put(&lie, &made).await, 400, "XAmzContentSHA256Mismatch");
    let chunks = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD".to_owned();
    let chunked = Store {
        payload: Some(chunks),
        ..store.clone()
    };
    has(&put(&chunked, &made).await, 501, "NotImplemented");
    let unsigned = Store {
        headers: vec![("x-amz-acl", "private")],
        ..store.clone()
    };
    has(&put(&unsigned, &made).await, 403, "not signed");
    for leak in ["x-captcha-token", "x-device-id", "x-client-id"] {
        let leaking = Store {
            headers: vec![(leak, "secret")],
            ..store.clone()
        };
        assert_eq!(put(&leaking, &made).await.0, 400);
    }
    assert_eq!(store.send(&client, &made, "GET", "", b"").await.0, 405);
    client.set("store_v1", "off");
    has(
        &send_v1(&client, &made, "PUT", &[3; 1000]).await,
        403,
        "not supported",
    );
    client.set("store_v1", "on");
    assert_eq!(client.uploads(), 1);
    // Nothing of that was kept. At the bucket's own address, without a hash of the payload:
    let unhashed = Store {
        mount: "",
        payload: Some("UNSIGNED-PAYLOAD".to_owned()),
        ..store.clone()
    };
    let (status, text, _) = put(&unhashed, &made).await;
    assert_eq!(status, 200, "{text}");
    // The older signature.
    let more = Blob::bytes(vec![4_u8; 1000]);
    let made = client.create("b.bin", 1000, &gcid(&more)).await;
    let (status, text, _) = send_v1(&client, &made, "PUT", &[4; 1000]).await;
    assert_eq!(status, 200, "{text}");
    // Credentials are out of date after twelve hours.
    let last = Blob::bytes(vec![5_u8; 1000]);
    let late = client.create("c.bin", 1000, &gcid(&last)).await;
    client.world.clock_advance(12 * 3_600_000);
    has(&put(&store, &late).await, 403, "SecurityTokenExpired");
}

#[tokio::test]
async fn parts() {
    let client = Client::start().await;
    let store = Store::new();
    let blob = Blob::synthetic(9, 250_000);
    let made = client.create("a.bin", 250_000, &gcid(&blob)).await;
    let (status, text, _) = store.send(&client, &made, "POST", "uploads=", b"").await;
    assert_eq!(status, 200, "{text}");
    let id = text.split("<UploadId>").nth(1).unwrap();
    let id = id.split('<').next().unwrap();
    assert_eq!(client.uploads(), 2);
    let mut list = String::new();
    for (number, from, to) in [(1, 0, 150_000), (2, 150_000, 250_000)] {
        let query = format!("partNumber={number}&uploadId={id}");
        let bytes = blob.read(from, to - from).to_vec();
        let (status, text, etag) = store.send(&client, &made, "PUT", &query, &bytes).await;
        assert_eq!(status, 200, "{text}");
        list += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
    }
    let beyond = format!("partNumber=10001&uploadId={id}");
    has(
        &store.send(&client, &made, "PUT", &beyond, b"x").await,
        400,
        "InvalidArgument",
    );
    let query = format!("uploadId={id}&max-parts=1000&part-number-marker=1");
    let (_, text, _) = store.send(&client, &made, "GET", &query, b"").await;
    assert!(text.contains("<PartNumber>2</PartNumber>"), "{text}");
    assert!(!text.contains("<PartNumber>1</PartNumber>"), "{text}");
    let body = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>").into_bytes();
    let upload = format!("uploadId={id}");
    client.set("callback_xml", "on");
    let (status, text, _) = store.send(&client, &made, "POST", &upload, &body).await;
    assert!(
        status == 200 && text.contains("CompleteMultipartUploadResult"),
        "{text}"
    );
    client.world.clock_advance(100);
    let files = client.list("", LIVE).await;
    assert_eq!(
        (names(&files), &files[0]["hash"]),
        (vec!["a.bin"], &json!(gcid(&blob)))
    );

    let other = Blob::synthetic(10, 250_000);
    let made = client.create("b.bin", 250_000, &gcid(&other)).await;
    let (_, text, _) = store.send(&client, &made, "POST", "uploads=", b"").await;
    let id = text.split("<UploadId>").nth(1).unwrap();
    let upload = format!("uploadId={}", id.split('<').next().unwrap());
    let fault = Fault::once("oss_part", FaultKind::Status, "503");
    client.world.fault("xunlei", fault).unwrap();
    let part = format!("partNumber=1&{upload}");
    assert_eq!(store.send(&client, &made, "PUT", &part, b"x").await.0, 503);
    assert_eq!(client.uploads(), 2);
    assert_eq!(
        store.send(&client, &made, "DELETE", &upload, b"").await.0,
        204
    );
    assert_eq!(client.uploads(), 1);
    let fault = Fault::once("oss_put", FaultKind::CommitFail, "");
    client.world.fault("xunlei", fault).unwrap();
    let bytes = other.read(0, 250_000).to_vec();
    has(
        &store.send(&client, &made, "PUT", "", &bytes).await,
        203,
        "CallbackFailed",
    );
}

#[tokio::test]
async fn a_false_claim_gives_somebody_else_his_file() {
    let client = Client::start().await;
    let store = Store::new();
    let (real, claimed) = (Blob::synthetic(1, 90_000), Blob::synthetic(2, 90_000));
    let bytes = real.read(0, 90_000).to_vec();
    let made = client.create("lie.bin", 90_000, &gcid(&claimed)).await;
    let (status, text, _) = store.send(&client, &made, "PUT", "", &bytes).await;
    assert_eq!(status, 200, "{text}");
    client.world.clock_advance(100);
    let files = client.list("", LIVE).await;
    assert_eq!(files[0]["hash"], gcid(&claimed));
    assert_eq!(client.world.stat("xunlei").unwrap().count("false_claim"), 1);
    let hit = client.create("victim.bin", 90_000, &gcid(&claimed)).await;
    assert!(hit.get("resumable").is_none());
    let read = client
        .world
        .read("xunlei", "/victim.bin", 0, 90_000)
        .unwrap();
    assert_eq!(read, bytes);
    client.set("verify_gcid", "on");
    let made = client.create("lie2.bin", 90_000, &"0".repeat(40)).await;
    has(
        &store.send(&client, &made, "PUT", "", &bytes).await,
        203,
        "claimed hash",
    );
    assert_eq!(client.phase(&made).await, "PHASE_TYPE_ERROR");

    // Seeded the same way.
    client.seed("/seeded.bin", b"some bytes");
    let lie = "00112233445566778899aabbccddeeff00112233";
    client.set("false_gcid:/seeded.bin", lie);
    for (path, value) in [("/none", lie), ("/seeded.bin", "xyz")] {
        let key = format!("false_gcid:{path}");
        assert!(client.world.set("xunlei", &key, value).is_err());
    }
    let files = client.list("", LIVE).await;
    let seeded = files
        .iter()
        .find(|file| file["name"] == "seeded.bin")
        .unwrap();
    assert_eq!(seeded["hash"], lie.to_uppercase());
    client.create("copy.bin", 10, lie).await;
    let copy = client.world.read("xunlei", "/copy.bin", 0, 99).unwrap();
    assert_eq!(&copy[..], b"some bytes");
}
