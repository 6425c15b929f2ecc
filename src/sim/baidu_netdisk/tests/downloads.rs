//! Links and their bytes.

use reqwest::Response;
use serde_json::{Value, json};

use super::super::super::faults::FaultKind;
use super::super::super::{Blob, HashKind};
use super::{Client, MEDIA, world};

const SIZE: u64 = 200_000;

async fn dlink(client: &Client, id: u64) -> String {
    let ids = json!([id]).to_string();
    let query = [
        ("method", "filemetas"),
        ("fsids", ids.as_str()),
        ("dlink", "1"),
    ];
    let answer = client.get(MEDIA, &query).await;
    answer["list"][0]["dlink"].as_str().unwrap().to_owned()
}

/// A GET with a User-Agent and a range.
async fn get(client: &Client, url: &str, agent: &str, range: &str) -> Response {
    let ask = client.http.get(url).header("User-Agent", agent);
    let ask = if range.is_empty() {
        ask
    } else {
        ask.header("Range", range)
    };
    ask.send().await.unwrap()
}

async fn refusal(response: Response) -> (u16, i64) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    (status, body["error_code"].as_i64().unwrap())
}

const AGENT: &str = "pan.baidu.com";

#[tokio::test]
async fn two_hops() {
    let client = Client::new().await;
    let id = client.seed("/d/ä b.bin", SIZE, 7).parse().unwrap();
    let blob = Blob::synthetic(7, SIZE);
    let link = dlink(&client, id).await;
    assert!(link.starts_with(&client.host("pcs", "/file/")));
    let with = format!("{link}&access_token={}", client.token);
    assert_eq!(
        refusal(get(&client, &with, "Mozilla/5.0", "").await).await,
        (403, 31326)
    );
    assert_eq!(
        refusal(get(&client, &link, AGENT, "").await).await,
        (403, 31626)
    );
    let forged = with.replace("sign=FDtAERV-", "sign=FDtAERV-0");
    assert_eq!(
        refusal(get(&client, &forged, AGENT, "").await).await,
        (403, 31362)
    );
    let other = Client::of(&client.world, "baidu-2").await;
    let theirs = format!("{link}&access_token={}", other.token);
    assert_eq!(
        refusal(get(&client, &theirs, AGENT, "").await).await,
        (403, 31626)
    );

    let hop = get(&client, &with, AGENT, "bytes=0-0").await;
    assert_eq!(hop.status(), 302);
    let there = hop.headers()["location"].to_str().unwrap().to_owned();
    assert!(!there.contains(&client.token));
    assert_eq!(
        refusal(get(&client, &there, "curl/8", "").await).await,
        (403, 31326)
    );
    let whole = get(&client, &there, AGENT, "").await;
    assert_eq!(whole.status(), 200);
    let md5 = blob.digest(HashKind::Md5).await;
    assert_eq!(whole.headers()["content-md5"], md5.as_str());
    assert_eq!(whole.headers()["etag"], md5.as_str());
    assert_eq!(whole.bytes().await.unwrap(), blob.read(0, SIZE));
    for (range, from, to) in [
        ("bytes=100000-100009", 100_000, 100_010),
        ("bytes=199990-", 199_990, SIZE),
        ("bytes=-5", SIZE - 5, SIZE),
    ] {
        let part = get(&client, &there, AGENT, range).await;
        assert_eq!(part.status(), 206);
        let wanted = format!("bytes {from}-{}/{SIZE}", to - 1);
        assert_eq!(part.headers()["content-range"], wanted.as_str());
        assert_eq!(
            part.headers()["content-md5"],
            md5.as_str(),
            "of the whole file"
        );
        assert_eq!(part.bytes().await.unwrap(), blob.read(from, to - from));
    }
    let head = client
        .http
        .head(&there)
        .header("User-Agent", AGENT)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (head.status().as_u16(), &head.headers()["content-length"]),
        (200, &"200000".parse().unwrap())
    );
    let head = client
        .http
        .head(&with)
        .header("User-Agent", AGENT)
        .send()
        .await
        .unwrap();
    assert_eq!(head.status(), 302);
    let stat = client.world.stat("baidu").unwrap();
    assert_eq!(stat.bytes_down, SIZE + 10 + 10 + 5);
    assert_eq!(
        (
            stat.count("link"),
            stat.count("redirect"),
            stat.count("download")
        ),
        (1, 6, 6)
    );

    client.set("range_cap", "1000");
    let short = get(&client, &there, AGENT, "bytes=50-9999").await;
    assert_eq!(short.headers()["content-range"], "bytes 50-1049/200000");
    assert_eq!(short.bytes().await.unwrap().len(), 1000);
    client.fault("download", FaultKind::Corrupt, "");
    assert_ne!(
        get(&client, &there, AGENT, "").await.bytes().await.unwrap(),
        blob.read(0, SIZE)
    );
}

#[tokio::test]
async fn links_end() {
    let client = Client::new().await;
    let id = client.seed("/d/f", SIZE, 7).parse().unwrap();
    let link = format!("{}&access_token={}", dlink(&client, id).await, client.token);
    let there = get(&client, &link, AGENT, "").await.headers()["location"].clone();
    let there = there.to_str().unwrap();
    client.fault("redirect", FaultKind::ExpireLink, "");
    assert_eq!(
        refusal(get(&client, &link, AGENT, "").await).await,
        (403, 31360)
    );
    client.fault("download", FaultKind::ExpireLink, "");
    assert_eq!(
        refusal(get(&client, there, AGENT, "").await).await,
        (403, 31360)
    );
    client.fault("download", FaultKind::Errno, "503:31212");
    assert_eq!(
        refusal(get(&client, there, AGENT, "").await).await,
        (503, 31212)
    );
    assert_eq!(get(&client, there, AGENT, "bytes=0-0").await.status(), 206);
    client.world.clock_advance(8 * 3_600_000);
    assert_eq!(
        refusal(get(&client, &link, AGENT, "").await).await,
        (403, 31360)
    );
    assert_eq!(
        refusal(get(&client, there, AGENT, "").await).await,
        (403, 31360)
    );
    let fresh = format!("{}&access_token={}", dlink(&client, id).await, client.token);
    assert_eq!(get(&client, &fresh, AGENT, "").await.status(), 302);
    client.manage("delete", json!(["/d/f"]), &[]).await;
    assert_eq!(
        refusal(get(&client, &fresh, AGENT, "").await).await,
        (404, 31066)
    );
    assert_eq!(
        get(&client, &client.host("pcs", "/file/x?fid=1-2-3"), AGENT, "")
            .await
            .status(),
        403
    );
}

#[tokio::test]
async fn the_real_md5_may_be_missing() {
    let client = Client::new().await;
    let one = client.seed("/d/one", 100, 7).parse().unwrap();
    let two = client.seed("/d/two", (4 << 20) + 1, 7).parse().unwrap();
    let md5 = async |id: u64| {
        let link = format!("{}&access_token={}", dlink(&client, id).await, client.token);
        let hop = get(&client, &link, AGENT, "").await;
        let there = hop.headers()["location"].to_str().unwrap().to_owned();
        let part = get(&client, &there, AGENT, "bytes=0-0").await;
        let md5 = part.headers().get("content-md5");
        md5.map(|md5| md5.to_str().unwrap().to_owned())
    };
    let real = Blob::synthetic(7, (4 << 20) + 1)
        .digest(HashKind::Md5)
        .await;
    assert_eq!(md5(two).await, Some(real));
    client.set("content_md5_lag_ms", "60000");
    assert_eq!(md5(two).await, None);
    assert!(md5(one).await.is_some());
    client.world.clock_advance(60_000);
    assert!(md5(two).await.is_some());
    client.set("content_md5", "base64");
    assert_eq!(md5(one).await.map(|text| text.len()), Some(24));
    client.set("content_md5", "none");
    assert_eq!(md5(one).await, None);
}

#[tokio::test]
async fn links_of_cookies() {
    let world = world();
    let client = Client::of(&world, "baidu-cookie").await;
    let id: u64 = client.seed("/d/f", 100, 7).parse().unwrap();
    // By id: the cookies stand for the token.
    let link = dlink(&client, id).await;
    assert_eq!(
        refusal(get(&client, &link, AGENT, "").await).await,
        (403, 31626)
    );
    let ask = client.http.get(&link).header("User-Agent", AGENT);
    let hop = ask
        .header("Cookie", &client.profile.secrets["cookie"])
        .send()
        .await
        .unwrap();
    assert_eq!(hop.status(), 302);
    // By path: nothing is asked but the User-Agent.
    let query = [
        ("target", "[\"/d/f\"]"),
        ("dlink", "1"),
        ("web", "5"),
        ("origin", "dlna"),
    ];
    let metas = client.get("/api/filemetas", &query).await;
    let link = metas["info"][0]["dlink"].as_str().unwrap();
    let hop = get(&client, link, "netdisk", "").await;
    assert_eq!(hop.status(), 302);
    let there = hop.headers()["location"].to_str().unwrap();
    assert_eq!(
        get(&client, there, "netdisk", "")
            .await
            .bytes()
            .await
            .unwrap()
            .len(),
        100
    );
    assert_eq!(
        refusal(get(&client, link, "Mozilla/5.0", "").await).await,
        (403, 31326)
    );
}
