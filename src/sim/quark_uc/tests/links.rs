//! Links and their bytes.

use futures_util::StreamExt;
use serde_json::{Value, json};

use super::super::super::faults::FaultKind;
use super::super::super::server::SeedSource;
use super::{Client, told};

const LARGE: u64 = (50 << 20) + 1;

fn url(link: &Value) -> &str {
    link["download_url"].as_str().unwrap()
}

async fn status(client: &Client, ask: reqwest::RequestBuilder) -> u16 {
    let _ = client;
    told(ask.send().await.unwrap()).await.0
}

#[tokio::test]
async fn a_link_and_its_bytes() {
    let client = Client::quark();
    let bytes = super::pattern(100_000);
    let fid = client.seed("/Tom & Jerry.mkv", &bytes);
    let link = client.link(&fid).await;
    assert_eq!(
        (&link["file_name"], &link["size"]),
        (&json!("Tom & Jerry.mkv"), &json!(100_000))
    );
    assert_eq!(link["md5"], super::super::super::digest::md5_hex(&bytes));
    assert!(client.cookie("__pugs").is_empty());
    assert_eq!(client.download(url(&link)).await, bytes);
    let ranged = client
        .fetch(url(&link))
        .header("Range", "bytes=10-19")
        .send()
        .await
        .unwrap();
    assert_eq!(ranged.status().as_u16(), 206);
    assert_eq!(ranged.bytes().await.unwrap(), bytes[10..20]);
    let stat = client.stat();
    assert_eq!(
        (stat.count("link"), stat.count("download"), stat.bytes_down),
        (1, 2, 100_010)
    );

    // What must come with it.
    let get = || client.http.get(url(&link));
    let cookie = client.cookie_line();
    let referer = format!("{}/", client.site);
    for (ask, wanted) in [
        (
            get()
                .header("User-Agent", &client.agent)
                .header("Referer", &referer),
            403,
        ),
        (
            get().header("Cookie", &cookie).header("Referer", &referer),
            412,
        ),
        (
            get()
                .header("Cookie", &cookie)
                .header("User-Agent", &client.agent),
            412,
        ),
        (
            client.fetch(&url(&link).replace("Expires=1", "Expires=2")),
            403,
        ),
        (client.fetch(&url(&link).replace("/cdn/", "/cdn/0")), 403),
        (client.http.put(url(&link)), 405),
    ] {
        assert_eq!(status(&client, ask).await, wanted);
    }
    // Another login of the same account is another cookie.
    let second = Client::of(&client.world, "quark");
    assert_eq!(status(&second, second.fetch(url(&link))).await, 403);
    // A rolled cookie: the old one ends, the new one goes on with the old link.
    client.set("puus_calls", "1");
    let old = client.cookie_line();
    client.get("/config").await;
    assert_eq!(client.download(url(&link)).await, bytes);
    client.world.clock_advance(10_000);
    let stale = client.http.get(url(&link)).header("Cookie", old);
    let stale = stale
        .header("User-Agent", &client.agent)
        .header("Referer", &referer);
    assert_eq!(status(&client, stale).await, 403);
    client.fault("download", FaultKind::ExpireLink, "");
    assert_eq!(status(&client, client.fetch(url(&link))).await, 403);
    client.fault("download", FaultKind::ExpireToken, "");
    assert_eq!(status(&client, client.fetch(url(&link))).await, 403);
    client.drop_cookie("__puus");
    client.get("/config").await;
    assert_eq!(client.download(url(&link)).await, bytes);
    // Gone from the drive, the link lives; then it ends.
    client.set("task_polls", "0");
    client
        .post(
            "/file/delete",
            json!({ "action_type": 2, "filelist": [fid] }),
        )
        .await;
    assert_eq!(client.download(url(&link)).await, bytes);
    let body = json!({ "fids": [fid] });
    assert_eq!(client.refused("/file/download", body).await, (404, 41006));
    client.set("puus_seconds", "100000");
    client.drop_cookie("__puus");
    client.get("/config").await;
    client.world.clock_advance(21_600_000);
    assert_eq!(status(&client, client.fetch(url(&link))).await, 403);
}

#[tokio::test]
async fn who_may_ask() {
    let mut client = Client::quark();
    let source = SeedSource::Synthetic { seed: 1 };
    let large = client
        .world
        .seed("quark", "/large.bin", LARGE, &source)
        .unwrap();
    let small = client
        .world
        .seed("quark", "/d/small.bin", LARGE - 1, &source)
        .unwrap();
    let dir = client.get(&format!("/file/info?fid={small}")).await["pdir_fid"].clone();
    let ask = |fids: Value| json!({ "fids": fids });
    let own = client.agent.clone();
    client.agent = "Mozilla/5.0 Chrome/100.0".to_owned();
    let path = "/file/download";
    assert_eq!(
        client.refused(path, ask(json!([large]))).await,
        (400, 23018)
    );
    client.post(path, ask(json!([small]))).await;
    client.agent = own;
    let both = client.post(path, ask(json!([large, small]))).await;
    assert_eq!(both.as_array().unwrap().len(), 2);
    client
        .post("/file/download?fr=android&entry=ft", ask(json!([small])))
        .await;
    for (fids, wanted) in [
        (json!([]), (400, 14001)),
        (json!([dir]), (404, 41006)),
        (json!([small, "none"]), (404, 41006)),
        (json!(vec![&small; 21]), (400, 14001)),
    ] {
        assert_eq!(client.refused(path, ask(fids)).await, wanted);
    }
    // A few connections per link.
    let link = url(&both[0]).to_owned();
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut body = client.fetch(&link).send().await.unwrap().bytes_stream();
        body.next().await.unwrap().unwrap();
        open.push(body);
    }
    assert_eq!(status(&client, client.fetch(&link)).await, 412);
}

#[tokio::test]
async fn forms_of_the_answer() {
    let client = Client::quark();
    let fid = client.seed("/hello.txt", b"hello");
    let (hex, base64) = (
        "5d41402abc4b2a76b9719d911017c592",
        "XUFAKrxLKna5cZ2REBfFkg==",
    );
    for (form, wanted) in [
        ("hex", json!(hex)),
        ("base64", json!(base64)),
        ("none", Value::Null),
    ] {
        client.set("md5_form", form);
        assert_eq!(client.link(&fid).await["md5"], wanted);
    }
    client.set("md5_form", "mixed");
    let mut seen = vec![
        client.link(&fid).await["md5"].clone(),
        client.link(&fid).await["md5"].clone(),
    ];
    seen.sort_by_key(Value::to_string);
    assert_eq!(seen, [json!(hex), json!(base64)]);
    client.set("link_task", "inline");
    let task = client
        .post("/file/download", json!({ "fids": [fid] }))
        .await;
    let link = url(&task["task_resp"]["data"][0]).to_owned();
    assert_eq!(client.download(&link).await, b"hello");
    client.set("link_task", "poll");
    let done = client
        .task("/file/download", json!({ "fids": [fid] }))
        .await;
    assert_eq!(client.download(url(&done)).await, b"hello");
}

#[tokio::test]
async fn uc_wants_its_cookie() {
    let client = Client::uc();
    let fid = client.seed("/hello.txt", b"hello");
    let link = client.link(&fid).await;
    assert_eq!(link["md5"], "XUFAKrxLKna5cZ2REBfFkg==");
    let pugs = client.cookie("__pugs");
    assert!(!pugs.is_empty());
    assert_eq!(client.download(url(&link)).await, b"hello");
    // One jar for all links.
    client.link(&fid).await;
    assert_eq!(client.cookie("__pugs"), pugs);
    client.drop_cookie("__pugs");
    assert_eq!(status(&client, client.fetch(url(&link))).await, 403);
    client.set_cookie("__pugs", &pugs);
    client.set("puus_seconds", "100000");
    client.drop_cookie("__puus");
    client.get("/config").await;
    client.world.clock_advance(9_000_000);
    client.link(&fid).await;
    assert_ne!(client.cookie("__pugs"), pugs);
    assert_eq!(client.download(url(&link)).await, b"hello");
    client.world.clock_advance(10_800_000);
    assert_eq!(status(&client, client.fetch(url(&link))).await, 403);
}
