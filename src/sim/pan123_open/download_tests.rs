//! Links and their bytes over HTTP.

use serde_json::json;

use super::super::Blob;
use super::super::faults::FaultKind;
use super::tests::Client;

#[tokio::test]
async fn downloads() {
    let client = Client::new().await;
    let id = client.seed("/d/ä b.bin", 200_000, 7);
    let bytes = Blob::synthetic(7, 200_000).read(0, u64::MAX);
    let link = client.link(id).await;
    let get = |url: String| async { client.http.get(url).send().await.unwrap() };
    let whole = get(link.clone()).await;
    assert_eq!(whole.status(), 200);
    assert_eq!(whole.bytes().await.unwrap(), bytes);
    let part = client
        .http
        .get(&link)
        .header("Range", "bytes=100000-100009");
    let part = part.send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(
        part.headers()["content-range"],
        "bytes 100000-100009/200000"
    );
    assert_eq!(part.bytes().await.unwrap(), bytes.slice(100_000..100_010));
    assert_eq!(client.world.stat("123").unwrap().bytes_down, 200_010);
    let leak = client
        .http
        .get(&link)
        .bearer_auth(&client.token)
        .send()
        .await
        .unwrap();
    assert_eq!(leak.status(), 400);
    assert_eq!(get(link.replace("&s=", "&s=0")).await.status(), 403);
    client.fault("download", FaultKind::ExpireLink, "");
    assert_eq!(get(link.clone()).await.status(), 403);
    client.fault("download", FaultKind::Corrupt, "");
    assert_ne!(get(link.clone()).await.bytes().await.unwrap(), bytes);
    client.set("cdn_redirect", "true");
    let hop = get(link.clone()).await;
    assert_eq!(hop.status(), 302);
    let target = hop.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(get(target).await.bytes().await.unwrap(), bytes);
    client.world.clock_advance(14_400_000);
    assert_eq!(get(link).await.status(), 403);

    let info = format!("/api/v1/file/download_info?fileId={id}");
    client.set("checking", "/d/ä b.bin");
    assert_eq!(client.get(&info).await["code"], 20103);
    client.set("checking", "");
    client.set("rejected", "/d/ä b.bin");
    assert_eq!(client.get(&info).await["code"], 1);
    client.set("rejected", "");
    client.set("vip", "false");
    assert_eq!(client.get(&info).await["code"], 0);
    client.set("traffic_limit", "200000");
    assert_eq!(client.get(&info).await["code"], 5113);
    client.world.clock_advance(86_400_000);
    assert_eq!(client.get(&info).await["code"], 0);
    client
        .post("/api/v1/file/trash", json!({ "fileIDs": [id] }))
        .await;
    assert_eq!(client.get(&info).await["code"], 5066);
    let dir = client.mkdir("/d");
    let info = format!("/api/v1/file/download_info?fileId={dir}");
    assert_eq!(client.get(&info).await["code"], 5066);
}
