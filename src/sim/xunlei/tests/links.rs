//! Links and downloads.

use serde_json::{Value, json};

use super::super::super::content::Blob;
use super::super::super::faults::{Fault, FaultKind};
use super::super::super::server::SeedSource;
use super::super::clients;
use super::super::download::Streams;
use super::{Client, at};

async fn read(client: &Client, url: &str, headers: &[(&str, &str)]) -> (u16, Vec<u8>) {
    let request = client.http.get(url).headers(super::header_map(headers));
    let answer = request.send().await.unwrap();
    assert!(!answer.headers().contains_key("content-disposition"));
    let status = answer.status().as_u16();
    (status, answer.bytes().await.unwrap().to_vec())
}

async fn detail(client: &Client, id: &str) -> Value {
    client
        .get(&format!("{}?space=&usage=FETCH&_magic=2021", at(id)))
        .await
}

fn link(file: &Value) -> String {
    let mime = file["mime_type"].as_str().unwrap();
    file["links"][mime]["url"].as_str().unwrap().to_owned()
}

fn is_bare(file: &Value) -> bool {
    file["web_content_link"] == "" && file["links"] == json!({}) && file["medias"] == json!([])
}

#[tokio::test]
async fn each_client_asks_for_links_in_its_own_way() {
    let mut client = Client::start().await;
    let id = client.seed("/a.bin", b"abc");
    assert!(is_bare(&client.get(&at(&id)).await));
    for usage in ["FETCH", "CONSUME", "PLAY", "CACHE"] {
        let path = format!("{}?usage={usage}&_magic=2021", at(&id));
        assert!(!is_bare(&client.get(&path).await), "{usage}");
    }
    let path = format!("{}?usage=STEAL", at(&id));
    assert_eq!(client.call("GET", &path, Value::Null).await.0, 400);
    client.turn_into(clients::APP_ID).await;
    assert!(!is_bare(&client.get(&at(&id)).await));
    client.turn_into(clients::BROWSER_ID).await;
    assert!(is_bare(&client.get(&at(&id)).await));
    let path = format!("{}?_magic=2021&with=url&thumbnail_size=SIZE_LARGE", at(&id));
    let file = client.get(&path).await;
    let url = file["web_content_link"].as_str().unwrap();
    assert!(
        url.contains(&format!("g={}", file["hash"].as_str().unwrap())),
        "{url}"
    );
    assert_eq!(read(&client, url, &[]).await, (200, b"abc".to_vec()));
    let stat = client.world.stat("xunlei").unwrap();
    assert_eq!((stat.count("stat"), stat.count("download_link")), (3, 6));
    assert_eq!(stat.bytes_down, 3);
}

#[tokio::test]
async fn archives_have_links_under_a_number_only() {
    let client = Client::start().await;
    for name in ["a.zip", "a.RAR", "a.7z"] {
        let id = client.seed(&format!("/{name}"), b"packed");
        let file = detail(&client, &id).await;
        assert!(is_bare(&file), "{file}");
        assert_eq!(file["file_category"], "ARCHIVE");
        let name = json!({ "name": format!("{name}.001"), "space": "" });
        client.ok("PATCH", &at(&id), name).await;
        client.world.clock_advance(300);
        let file = detail(&client, &id).await;
        assert_eq!(
            read(&client, &link(&file), &[]).await,
            (200, b"packed".to_vec())
        );
        // The link stays when the name goes back.
        let back = json!({ "name": "b.zip", "space": "" });
        client.ok("PATCH", &at(&id), back).await;
        assert!(is_bare(&detail(&client, &id).await));
        assert_eq!(read(&client, &link(&file), &[]).await.0, 200);
        let ids = json!({ "ids": [id], "space": "" });
        client.post("/drive/v1/files:batchDelete", ids).await;
    }
    client.set("archive_settle_ms", "60000");
    let id = client.seed("/c.zip", b"packed");
    client
        .ok("PATCH", &at(&id), json!({ "name": "c.zip.002" }))
        .await;
    assert!(is_bare(&detail(&client, &id).await));
    let id = client.seed("/d.zip.12", b"other");
    assert!(!is_bare(&detail(&client, &id).await));
}

#[tokio::test]
async fn links_serve_ranges_until_they_expire() {
    let client = Client::start().await;
    let blob = Blob::synthetic(6, 400_000);
    let source = SeedSource::Synthetic { seed: 6 };
    let id = client
        .world
        .seed("xunlei", "/clip.mkv", 400_000, &source)
        .unwrap();
    let file = detail(&client, &id).await;
    let url = link(&file);
    let whole = blob.read(0, 400_000).to_vec();
    assert_eq!(read(&client, &url, &[]).await, (200, whole.clone()));
    let part = read(&client, &url, &[("range", "bytes=5-8")]).await;
    assert_eq!(part, (206, blob.read(5, 4).to_vec()));
    assert_eq!(
        read(&client, &url, &[("range", "bytes=400000-")]).await.0,
        416
    );
    for leak in [
        "authorization",
        "x-captcha-token",
        "x-device-id",
        "x-client-id",
    ] {
        assert_eq!(
            read(&client, &url, &[(leak, "secret")]).await.0,
            400,
            "{leak}"
        );
    }
    for (from, to) in [
        ("&e=1", "&e=2"),
        ("&vip=1&clientid=X", "&vip=1&clientid=Y"),
        ("&g=", "&g=0"),
    ] {
        let tampered = url.replace(from, to);
        assert_ne!(tampered, url);
        assert_eq!(read(&client, &tampered, &[]).await.0, 403, "{to}");
    }
    // Only the origin is the file.
    let medias = file["medias"].as_array().unwrap();
    assert_eq!(medias.len(), 2);
    for media in medias {
        let (_, bytes) = read(&client, media["link"]["url"].as_str().unwrap(), &[]).await;
        assert_eq!(bytes == whole, media["is_origin"] == true);
    }
    client.world.corrupt("xunlei", "/clip.mkv").unwrap();
    assert_ne!(read(&client, &url, &[]).await.1, whole);

    let stall = Fault::always("download", FaultKind::StallBody, "0,60000");
    client.world.fault("xunlei", stall).unwrap();
    let mut running = Vec::new();
    for _ in 0..12 {
        let answer = client.http.get(&url).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        running.push(answer);
    }
    assert_eq!(read(&client, &url, &[]).await, (503, Vec::new()));
    client.world.reset("xunlei").unwrap();
    drop(running);

    let fault = Fault::once("download", FaultKind::ExpireLink, "");
    client.world.fault("xunlei", fault).unwrap();
    for _ in 0..2 {
        assert_eq!(read(&client, &url, &[]).await, (403, Vec::new()));
    }
    let url = link(&detail(&client, &id).await);
    client.set("captcha", "none");
    client.world.clock_advance(21_500_000);
    assert_eq!(read(&client, &url, &[("range", "bytes=0-0")]).await.0, 206);
    client.world.clock_advance(100_000);
    assert_eq!(read(&client, &url, &[]).await, (403, Vec::new()));
    let url = link(&detail(&client, &id).await);
    let ids = json!({ "ids": [id] });
    client.post("/drive/v1/files:batchDelete", ids).await;
    assert_eq!(read(&client, &url, &[]).await.0, 404);
    let id = client.seed("/new.bin", b"abc");
    client.set("link_delay_ms", "60000");
    assert!(is_bare(&detail(&client, &id).await));
    client.world.clock_advance(60_000);
    assert!(!is_bare(&detail(&client, &id).await));
}

#[test]
fn so_many_at_a_time() {
    let streams = Streams::default();
    let limits = |names: &[&str]| -> Vec<(String, u64)> {
        names.iter().map(|name| ((*name).to_owned(), 2)).collect()
    };
    let first = streams.start(&limits(&["a", "all"]));
    let second = streams.start(&limits(&["b", "all"]));
    assert!(first.is_some() && second.is_some());
    assert!(streams.start(&limits(&["c", "all"])).is_none());
    assert!(streams.start(&limits(&["c"])).is_some());
    drop(first);
    assert!(streams.start(&limits(&["c", "all"])).is_some());
}
