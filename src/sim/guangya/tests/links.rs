//! Links and the bytes behind them.

use serde_json::json;

use super::super::super::faults::{Fault, FaultKind};
use super::super::super::server::SeedSource;
use super::Client;

#[tokio::test]
async fn ranges_until_a_link_ends() {
    let client = Client::plain().await;
    let source = SeedSource::Synthetic { seed: 6 };
    let size = 400_000;
    let id = client
        .world
        .seed("guangya", "/a.bin", size, &source)
        .unwrap();
    let blob = client.world.read("guangya", "/a.bin", 0, size).unwrap();
    let body = json!({ "fileId": id });
    let data = client.ok("get_res_download_url", body.clone()).await;
    assert_eq!(data["urlDuration"], 21_600);
    assert!(!data["speedupSignature"].as_str().unwrap().contains('/'));
    let url = data["signedURL"].as_str().unwrap().to_owned();
    assert_eq!(client.get(&url, &[]).await, (200, blob.to_vec()));
    let (status, bytes) = client.get(&url, &[("range", "bytes=5-8")]).await;
    assert_eq!((status, &bytes[..]), (206, &blob[5..9]));
    let (status, _) = client.get(&url, &[("range", "bytes=400000-")]).await;
    assert_eq!(status, 416);
    assert_eq!(client.stat().bytes_down, size + 4);

    // The login does not belong here.
    let leaks = [
        ("authorization", "Bearer x"),
        ("authorization", "Basic x"),
        ("did", "x"),
        ("dt", "4"),
        ("x-client-id", "x"),
    ];
    for leak in leaks {
        assert_eq!(client.get(&url, &[leak]).await.0, 400, "{leak:?}");
    }
    assert_eq!(
        client
            .get(&url.replace("Expires=1", "Expires=2"), &[])
            .await
            .0,
        403
    );
    assert_eq!(
        client.get(&url.replace("/obj/", "/obj/0"), &[]).await.0,
        403
    );

    client.world.clock_advance(21_601_000);
    assert_eq!(client.get(&url, &[]).await.0, 403);
    client.set("expired_status", "410");
    assert_eq!(client.get(&url, &[]).await.0, 410);
    client.set("expired_status", "403");
    // The access token is over as well by now.
    let client = Client::of(&client.world, "guangya").await;
    let url = client.link(&id).await;
    client.fault("download", FaultKind::ExpireLink, "");
    for _ in 0..2 {
        assert_eq!(client.get(&url, &[]).await.0, 403);
    }
    let other = client.link(&id).await;
    assert_eq!(client.get(&other, &[("range", "bytes=0-0")]).await.0, 206);
    client.set("link_field", "downloadUrl");
    let data = client.ok("get_res_download_url", body).await;
    assert!(data.get("signedURL").is_none() && data["downloadUrl"].is_string());
}

#[tokio::test]
async fn what_has_no_link() {
    let client = Client::plain().await;
    let ask = |id: &str| json!({ "fileId": id });
    let dir = client.mkdir("/d");
    let empty = client.seed("/empty", b"");
    let file = client.seed("/f", b"hello");
    assert_eq!(client.refused("get_res_download_url", ask(&dir)).await, 112);
    assert_eq!(client.refused("get_res_download_url", ask("9")).await, 143);
    let data = client.ok("get_res_download_url", ask(&empty)).await;
    assert!(data.get("signedURL").is_none());

    let gcid = "6B4F89A54E2D27ECD7E8DA05B4AB8FD9D1D8B119";
    let vod = json!({ "fileId": file, "gcid": gcid });
    let data = client.ok("file/get_vod_download_url", vod).await;
    assert_eq!(data["urlDuration"], 3600);
    let url = data["signedURL"].as_str().unwrap();
    assert_eq!(client.get(url, &[]).await, (200, b"hello".to_vec()));
    let vod = json!({ "fileId": file, "gcid": "0".repeat(40) });
    assert_eq!(client.refused("file/get_vod_download_url", vod).await, 112);

    let url = client.link(&file).await;
    client
        .world
        .account("guangya")
        .unwrap()
        .tree()
        .remove(&file);
    assert_eq!(client.get(&url, &[]).await.0, 404);
}

#[tokio::test]
async fn faults_in_bodies() {
    let client = Client::plain().await;
    let source = SeedSource::Synthetic { seed: 6 };
    let id = client
        .world
        .seed("guangya", "/a.bin", 400_000, &source)
        .unwrap();
    let url = client.link(&id).await;
    let (_, good) = client.get(&url, &[]).await;
    client.fault("download", FaultKind::Corrupt, "");
    assert_ne!(client.get(&url, &[]).await, (200, good.clone()));
    client.world.corrupt("guangya", "/a.bin").unwrap();
    assert_ne!(client.get(&url, &[]).await, (200, good));
    client.fault("download", FaultKind::Cut, "1000");
    let answer = client.http.get(&url).send().await.unwrap();
    assert!(answer.bytes().await.is_err());
    client.fault("download", FaultKind::Status, "503,2");
    let answer = client.http.get(&url).send().await.unwrap();
    assert_eq!(
        (
            answer.status().as_u16(),
            answer.headers()["retry-after"].to_str().unwrap()
        ),
        (503, "2")
    );

    client.set("file_streams", "1");
    let stall = Fault::always("download", FaultKind::StallBody, "0,60000");
    client.world.fault("guangya", stall).unwrap();
    let running = client.http.get(&url).send().await.unwrap();
    assert_eq!(running.status().as_u16(), 200);
    assert_eq!(client.get(&url, &[]).await.0, 503);
}
