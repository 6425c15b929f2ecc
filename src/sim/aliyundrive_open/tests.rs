//! The published proof vectors, and the server driven over HTTP.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::content::Blob;
use super::super::digest::{HashKind, md5_hex};
use super::super::faults::{Fault, FaultKind};
use super::super::server::{SeedSource, World, WorldOptions};
use super::super::{SIMULATORS, oss::multipart::MIN_PART};
use super::upload::proof_code;
use super::*;

/// `gen(n)` of the sheet, from an offset on.
fn generated(offset: u64, len: u64) -> Vec<u8> {
    (offset..offset + len)
        .map(|i| ((31 * i + 7 * (i / 256) + 11) % 256) as u8)
        .collect()
}

#[test]
fn published_proof_vectors() {
    let t1 = "eyJ0eXAiOiJKV1QifQ.test-access-token-0001.sig";
    let official = "Bearer eyJraWQiOiJLcU8iLCJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIwZWJkMjUyY2EyNTg0MmY0OTBmYmJhYWJlZTkwOGE5YyIsImF1ZCI6IjQ2NWJjNzMzZmQ2MTQxNDJiZmQ1Y2MxNGYzZjk1NWFlIiwicyI6ImNkYSIsImQiOiIxMDE4NDAsMTAyOTM0MjAiLCJpc3MiOiJhbGlwYW4iLCJleHAiOjE3MTQwMzg0NDYsImwiOjIsImlhdCI6MTcxMTQ0NjQ0MywianRpIjoiODM2ZmVkZDExMjhkNDU2MTg0NjA4OTgwMzBlZGM5NTkifQ.yZJFeeUriWOcPhg-CHHO1XyotwuFR0v";
    let rows: Vec<(&str, Vec<u8>, &str)> = vec![
        (official, b"Hello World!".to_vec(), "bG8gV29ybGQ="),
        (t1, b"abcde".to_vec(), "ZQ=="),
        ("token-B", b"Z".to_vec(), "Wg=="),
        (t1, Vec::new(), ""),
        (t1, generated(0, 4096), "tNPyETBPbo0="),
        ("token-B", generated(0, 4096), "Lk1si6rJ6Ac="),
        (t1, generated(0, 1_048_577), "CShHZoWkw+I="),
        ("tail-token-354", generated(0, 4096), "+Bc2VQ=="),
    ];
    for (token, content, expected) in rows {
        assert_eq!(
            proof_code(token, &Blob::bytes(content)),
            expected,
            "{token}"
        );
    }
    // The bytes that matter of the virtual 10 GiB row, patched into a synthetic content.
    let big =
        Blob::synthetic(1, 10 << 30).patched(879_884_399, Bytes::from(generated(879_884_399, 8)));
    assert_eq!(proof_code(t1, &big), "RGOCocDf/h0=");
}

struct Client {
    world: Arc<World>,
    http: reqwest::Client,
    base: String,
    token: String,
    drive: String,
}

impl Client {
    async fn new(profile: &str) -> Client {
        let options = WorldOptions {
            only: vec!["aliyundrive_open".to_owned()],
            accounts: 2,
        };
        Client::of(World::start(SIMULATORS, &options).unwrap(), profile).await
    }

    async fn of(world: Arc<World>, profile: &str) -> Client {
        let found = world.profile(profile).unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let base = found.endpoints["api"].clone();
        let number = world.account(profile).unwrap().number;
        let mut client = Client {
            world,
            http,
            base,
            token: String::new(),
            drive: drives(number).0,
        };
        let (status, pair) = client.refresh(&found.secrets["refresh_token"]).await;
        assert_eq!((status, &pair["expires_in"]), (200, &json!(7200)));
        client.token = pair["access_token"].as_str().unwrap().to_owned();
        client
    }

    async fn refresh(&self, token: &str) -> (u16, Value) {
        let body = json!({
            "client_id": auth::CLIENT_ID, "client_secret": auth::CLIENT_SECRET,
            "grant_type": "refresh_token", "refresh_token": token,
        });
        let url = format!("{}/oauth/access_token", self.base);
        let answer = self.http.post(url).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn call(&self, path: &str, mut body: Value) -> (u16, Value) {
        if body.get("drive_id").is_none() {
            body["drive_id"] = json!(self.drive);
        }
        let url = format!("{}/adrive/v1.0/{path}", self.base);
        let call = self.http.post(url).bearer_auth(&self.token).json(&body);
        let answer = call.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn good(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(path, body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    async fn refused(&self, path: &str, body: Value, status: u16, code: &str) {
        let (got, answer) = self.call(path, body).await;
        assert_eq!(
            (got, answer["code"].as_str()),
            (status, Some(code)),
            "{path}: {answer}"
        );
    }

    async fn put(&self, url: &str, bytes: Bytes) -> (u16, String) {
        let answer = self.http.put(url).body(bytes).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

fn create(name: &str) -> Value {
    json!({ "parent_file_id": "root", "name": name, "type": "file", "check_name_mode": "refuse" })
}

fn with_hash(name: &str, blob: &Blob, proof: &str) -> Value {
    let mut body = create(name);
    body["size"] = json!(blob.size());
    body["content_hash"] = json!(blob.digest_now(HashKind::Sha1));
    body["content_hash_name"] = json!("sha1");
    body["proof_version"] = json!("v1");
    body["proof_code"] = json!(proof);
    body
}

#[tokio::test]
async fn tokens_are_single_use_and_expire() {
    let client = Client::new("ali").await;
    let secret = client.world.profile("ali").unwrap().secrets["refresh_token"].clone();
    let (status, pair) = client.refresh(&secret).await;
    assert_eq!(status, 200);
    assert_eq!(pair["access_token"].as_str().unwrap().split('.').count(), 3);
    let (status, again) = client.refresh(&secret).await;
    assert_eq!(
        (status, again["code"].as_str()),
        (401, Some("RefreshTokenInvalid"))
    );
    let info = client.good("user/getDriveInfo", json!({})).await;
    assert_eq!(info["default_drive_id"], client.drive);
    client.world.clock_advance(7_200_001);
    client
        .refused("user/getDriveInfo", json!({}), 401, "AccessTokenExpired")
        .await;
    client.world.clock_advance(90 * 86_400_000);
    let (status, late) = client
        .refresh(pair["refresh_token"].as_str().unwrap())
        .await;
    assert_eq!(
        (status, late["code"].as_str()),
        (401, Some("RefreshTokenExpired"))
    );
    assert_eq!(client.world.stat("ali").unwrap().refreshes, 2);
}

#[tokio::test]
async fn fast_upload_checks_the_proof() {
    let client = Client::new("ali").await;
    let source = SeedSource::Synthetic { seed: 9 };
    client
        .world
        .seed("ali-2", "/theirs.bin", 3_000_000, &source)
        .unwrap();
    let blob = Blob::synthetic(9, 3_000_000);
    let proof = proof_code(&client.token, &blob);

    let mut pre = create("a.bin");
    pre["size"] = json!(3_000_000);
    pre["pre_hash"] = json!(blob.digest_now(HashKind::HeadSha1(1024)));
    client
        .refused("openFile/create", pre.clone(), 409, "PreHashMatched")
        .await;
    let wrong = with_hash("a.bin", &blob, "AAAAAAAAAAA=");
    client
        .refused("openFile/create", wrong, 400, "InvalidRapidProof")
        .await;
    let hit = client
        .good("openFile/create", with_hash("a.bin", &blob, &proof))
        .await;
    assert_eq!(hit["rapid_upload"], true);
    let same = client
        .good("openFile/create", with_hash("a.bin", &blob, &proof))
        .await;
    assert_eq!(
        (&same["exist"], &same["file_id"]),
        (&json!(true), &hit["file_id"])
    );
    let ids = json!({ "file_id": hit["file_id"], "upload_id": hit["upload_id"] });
    client
        .refused(
            "openFile/getUploadUrl",
            ids.clone(),
            409,
            "AlreadyExist.File",
        )
        .await;
    assert_eq!(
        client.good("openFile/complete", ids).await["size"],
        3_000_000
    );

    let other = Blob::synthetic(10, 3_000_000);
    let proof = proof_code(&client.token, &other);
    let miss = client
        .good("openFile/create", with_hash("b.bin", &other, &proof))
        .await;
    assert_eq!(miss["rapid_upload"], false);
    let stat = client.world.stat("ali").unwrap();
    assert_eq!(
        (stat.rapid_hits, stat.rapid_misses, stat.bytes_up),
        (1, 1, 0)
    );
    let tree = client.world.tree("ali").unwrap();
    assert_eq!(tree["uploads"][0]["name"], "b.bin");
    let items = client
        .good("openFile/list", json!({ "parent_file_id": "root" }))
        .await;
    assert_eq!(items["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_upload_in_parts() {
    let client = Client::new("ali").await;
    let blob = Blob::synthetic(4, MIN_PART + 5);
    let mut body = create("up.txt");
    body["size"] = json!(blob.size());
    body["part_info_list"] = json!([{ "part_number": 1 }, { "part_number": 2 }]);
    let up = client.good("openFile/create", body).await;
    let url = |n: usize| {
        up["part_info_list"][n]["upload_url"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (one, two) = (blob.read(0, MIN_PART), blob.read(MIN_PART, 5));

    let (status, text) = client.put(&url(1), two.clone()).await;
    assert!(
        status == 400 && text.contains("PartNotSequential"),
        "{text}"
    );
    let typed = client
        .http
        .put(url(0))
        .header("content-type", "text/plain")
        .body("x");
    let typed = typed.send().await.unwrap();
    assert_eq!(typed.status(), 403);
    assert!(
        typed
            .text()
            .await
            .unwrap()
            .contains("SignatureDoesNotMatch")
    );
    let leak = client
        .http
        .put(url(0))
        .bearer_auth(&client.token)
        .body("x")
        .send()
        .await
        .unwrap();
    assert_eq!(leak.status(), 403);
    assert_eq!(client.put(&url(0), one.clone()).await.0, 200);
    assert_eq!(client.put(&url(0), one.clone()).await.0, 409);
    let ids = json!({ "file_id": up["file_id"], "upload_id": up["upload_id"] });
    client
        .refused(
            "openFile/complete",
            ids.clone(),
            400,
            "InvalidParameter.PartInfoList",
        )
        .await;
    client.world.clock_advance(3_600_001);
    let (status, text) = client.put(&url(1), two.clone()).await;
    assert!(
        status == 403 && text.contains("Request has expired."),
        "{text}"
    );
    let mut fresh = ids.clone();
    fresh["part_info_list"] = json!([{ "part_number": 2 }]);
    let fresh = client.good("openFile/getUploadUrl", fresh).await;
    let fresh = fresh["part_info_list"][0]["upload_url"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(client.put(&fresh, two).await.0, 200);
    let parts = client.good("openFile/listUploadedParts", ids.clone()).await;
    assert_eq!(parts["uploaded_parts"][0]["part_size"], MIN_PART);
    assert_eq!(
        parts["uploaded_parts"][0]["etag"],
        format!("\"{}\"", md5_hex(&one).to_uppercase())
    );
    let done = client.good("openFile/complete", ids.clone()).await;
    assert_eq!(
        done["content_hash"],
        blob.digest_now(HashKind::Sha1).to_uppercase()
    );
    client
        .refused("openFile/complete", ids, 404, "NotFound.UploadId")
        .await;
    assert_eq!(
        client.world.read("ali", "/up.txt", 0, u64::MAX).unwrap(),
        blob.read(0, u64::MAX)
    );
    // Another account hits it now.
    let second = Client::of(client.world.clone(), "ali-2").await;
    let proof = proof_code(&second.token, &blob);
    let hit = second
        .good("openFile/create", with_hash("mine", &blob, &proof))
        .await;
    assert_eq!(hit["rapid_upload"], true);
}

#[tokio::test]
async fn small_middle_parts_are_refused_at_complete() {
    let client = Client::new("ali").await;
    let mut body = create("x");
    body["part_info_list"] = json!([{ "part_number": 1 }, { "part_number": 2 }]);
    let up = client.good("openFile/create", body).await;
    for n in 0..2 {
        let url = up["part_info_list"][n]["upload_url"].as_str().unwrap();
        assert_eq!(client.put(url, Bytes::from_static(b"tiny")).await.0, 200);
    }
    let ids = json!({ "file_id": up["file_id"], "upload_id": up["upload_id"] });
    client
        .refused("openFile/complete", ids, 400, "EntityTooSmall")
        .await;
}

#[tokio::test]
async fn listing_pages_search_and_paths() {
    let client = Client::new("ali").await;
    for n in 0..7 {
        let source = SeedSource::Synthetic { seed: n };
        client
            .world
            .seed("ali", &format!("/docs/f{n}.txt"), 10 + n, &source)
            .unwrap();
    }
    let docs = client
        .good("openFile/get_by_path", json!({ "file_path": "/docs" }))
        .await;
    let ask = |marker: &str| {
        json!({ "parent_file_id": docs["file_id"], "limit": 3, "marker": marker,
                "order_by": "name", "order_direction": "ASC" })
    };
    let (mut names, mut marker) = (Vec::new(), String::new());
    loop {
        let page = client.good("openFile/list", ask(&marker)).await;
        let items = page["items"].as_array().unwrap();
        names.extend(
            items
                .iter()
                .map(|item| item["name"].as_str().unwrap().to_owned()),
        );
        marker = page["next_marker"].as_str().unwrap().to_owned();
        if marker.is_empty() {
            break;
        }
    }
    assert_eq!(
        names,
        [
            "f0.txt", "f1.txt", "f2.txt", "f3.txt", "f4.txt", "f5.txt", "f6.txt"
        ]
    );
    client
        .refused(
            "openFile/list",
            ask("bogus"),
            400,
            "InvalidParameter.Marker",
        )
        .await;
    let mut too_many = ask("");
    too_many["limit"] = json!(201);
    client
        .refused("openFile/list", too_many, 400, "InvalidParameter.Limit")
        .await;
    let query = json!({ "query": "type = 'file' and name match 'F3'" });
    let found = client.good("openFile/search", query).await;
    assert_eq!(found["items"][0]["name"], "f3.txt");
    let lost = json!({ "file_path": "/docs/none" });
    client
        .refused("openFile/get_by_path", lost, 404, "NotFound.FileId")
        .await;
    let foreign = json!({ "parent_file_id": "root", "drive_id": "1" });
    client
        .refused("openFile/list", foreign, 403, "UserNotAllowedAccessDrive")
        .await;
    let fault = Fault::once("list", FaultKind::TruncatedPage, "1");
    client.world.fault("ali", fault).unwrap();
    let page = client.good("openFile/list", ask("")).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    assert_ne!(page["next_marker"], "");
    assert_eq!(client.world.stat("ali").unwrap().count("list"), 7);
}

#[tokio::test]
async fn links_ranges_expiry_and_streams() {
    let client = Client::new("ali").await;
    let source = SeedSource::Synthetic { seed: 1 };
    let id = client.world.seed("ali", "/big", 64 << 20, &source).unwrap();
    let blob = Blob::synthetic(1, 64 << 20);
    let link = client
        .good("openFile/getDownloadUrl", json!({ "file_id": id }))
        .await;
    let url = link["url"].as_str().unwrap().to_owned();
    let range = |text: &'static str| client.http.get(&url).header("range", text).send();
    let part = range("bytes=5000000-5000099").await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(
        part.headers()["content-range"],
        "bytes 5000000-5000099/67108864"
    );
    assert_eq!(part.bytes().await.unwrap(), blob.read(5_000_000, 100));
    assert_eq!(range("bytes=67108864-").await.unwrap().status(), 416);
    assert_eq!(client.http.head(&url).send().await.unwrap().status(), 403);

    let open: Vec<_> = vec![
        client.http.get(&url).send().await.unwrap(),
        client.http.get(&url).send().await.unwrap(),
        client.http.get(&url).send().await.unwrap(),
    ];
    let fourth = client.http.get(&url).send().await.unwrap();
    assert_eq!(fourth.status(), 403);
    assert!(
        fourth
            .text()
            .await
            .unwrap()
            .contains("ExceedMaxConcurrency")
    );
    drop(open);
    client.world.set("ali", "max_streams", "100").unwrap();

    client.world.reset("ali").unwrap();
    client
        .world
        .fault("ali", Fault::once("download", FaultKind::Cut, "70000"))
        .unwrap();
    let cut = range("bytes=0-199999").await.unwrap();
    assert!(cut.bytes().await.is_err());
    assert_eq!(client.world.stat("ali").unwrap().bytes_down, 70_000);
    client
        .world
        .fault("ali", Fault::once("download", FaultKind::DropAnswer, ""))
        .unwrap();
    assert!(range("bytes=0-9").await.is_err());
    client.world.corrupt("ali", "/big").unwrap();
    let bad = range("bytes=33554432-33554432")
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    assert_ne!(bad, blob.read(32 << 20, 1));
    client.world.clock_advance(900_001);
    let late = range("bytes=0-9").await.unwrap();
    assert_eq!(late.status(), 403);
    assert!(late.text().await.unwrap().contains("Request has expired."));
}

#[tokio::test]
async fn changes_and_tasks() {
    let client = Client::new("ali").await;
    let seeded = |path: &str| {
        client
            .world
            .seed("ali", path, 10, &SeedSource::Synthetic { seed: 1 })
            .unwrap()
    };
    let (a, b) = (seeded("/d/a"), seeded("/d/b"));
    let dir = client.world.mkdir("ali", "/d").unwrap();
    let to = client.world.mkdir("ali", "/e").unwrap();
    let rename = json!({ "file_id": a, "name": "b", "check_name_mode": "refuse" });
    client
        .refused("openFile/update", rename, 409, "AlreadyExist.File")
        .await;
    let renamed = client
        .good("openFile/update", json!({ "file_id": a, "name": "c.x" }))
        .await;
    assert_eq!(
        (&renamed["name"], &renamed["file_id"]),
        (&json!("c.x"), &json!(a))
    );
    client
        .good(
            "openFile/move",
            json!({ "file_id": a, "to_parent_file_id": to }),
        )
        .await;
    let under = json!({ "file_id": dir, "to_parent_file_id": dir });
    client
        .refused(
            "openFile/move",
            under,
            400,
            "InvalidParameter.ToParentFileId",
        )
        .await;
    let copied = client
        .good(
            "openFile/copy",
            json!({ "file_id": dir, "to_parent_file_id": to }),
        )
        .await;
    let task = json!({ "async_task_id": copied["async_task_id"] });
    assert_eq!(
        client.good("openFile/async_task/get", task.clone()).await["state"],
        "Running"
    );
    assert_eq!(
        client.good("openFile/async_task/get", task).await["state"],
        "Succeed"
    );
    client
        .good("openFile/recyclebin/trash", json!({ "file_id": b }))
        .await;
    client
        .refused(
            "openFile/get",
            json!({ "file_id": b }),
            404,
            "NotFound.FileId",
        )
        .await;
    client
        .good("openFile/delete", json!({ "file_id": b }))
        .await;
    let tree = client.world.tree("ali").unwrap();
    let paths: Vec<&str> = tree["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, ["/d", "/e", "/e/c.x", "/e/d", "/e/d/b"]);
}

#[tokio::test]
async fn rates_gateway_and_injected_answers() {
    let client = Client::new("ali").await;
    client.world.set("ali", "strict_rates", "true").unwrap();
    assert!(client.world.set("ali", "nonsense", "1").is_err());
    let root = json!({ "parent_file_id": "root" });
    let mut last = None;
    for _ in 0..50 {
        let url = format!("{}//adrive/v1.0/openFile/list", client.base);
        let body = json!({ "drive_id": client.drive, "parent_file_id": "root", "marker": null });
        let call = client.http.post(url).bearer_auth(&client.token).json(&body);
        let answer = call.send().await.unwrap();
        if answer.status() == 429 {
            last = Some(answer);
            break;
        }
        assert_eq!(answer.status(), 200);
    }
    let wait: u64 = last.unwrap().headers()["x-retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=250).contains(&wait), "{wait}");
    client.world.set("ali", "strict_rates", "false").unwrap();
    client
        .world
        .fault(
            "ali",
            Fault::once("list", FaultKind::Errno, "403:PermissionDenied"),
        )
        .unwrap();
    client
        .refused("openFile/list", root.clone(), 403, "PermissionDenied")
        .await;
    client
        .world
        .fault("ali", Fault::once("list", FaultKind::NullList, ""))
        .unwrap();
    assert_eq!(
        client.good("openFile/list", root.clone()).await["items"],
        Value::Null
    );
    client
        .world
        .fault("ali", Fault::once("list", FaultKind::ExpireToken, ""))
        .unwrap();
    client
        .refused("openFile/list", root.clone(), 401, "AccessTokenExpired")
        .await;
    client
        .refused("openFile/list", root, 401, "AccessTokenExpired")
        .await;
    let lost = client
        .http
        .post(format!("{}/adrive/v1.0/x", client.base))
        .send()
        .await
        .unwrap();
    assert_eq!(lost.status(), 404);
    // The admin server says the same as the world.
    let admin = client.world.admin().to_owned();
    let stat = client
        .http
        .get(format!("{admin}/stat?profile=ali"))
        .send()
        .await
        .unwrap();
    let stat: Value = stat.json().await.unwrap();
    assert_eq!(
        stat["requests"]["list"],
        client.world.stat("ali").unwrap().count("list")
    );
    let fault = json!({ "profile": "ali", "op": "list", "kind": "wrong" });
    let bad = client
        .http
        .post(format!("{admin}/fault"))
        .json(&fault)
        .send()
        .await
        .unwrap();
    assert!(bad.status().is_client_error());
}
