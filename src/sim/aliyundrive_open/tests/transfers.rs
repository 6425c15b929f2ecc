//! Uploads and downloads.

use super::*;
use crate::sim::oss::multipart::MIN_PART;

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

    // The server writes on until it notices that nobody reads.
    let mut before = u64::MAX;
    loop {
        let now = client.world.stat("ali").unwrap().bytes_down;
        if now == before {
            break;
        }
        before = now;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
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
