//! Addresses and the bytes behind them.

use reqwest::StatusCode;

use super::*;

/// A template with its placeholders filled in, as an address.
pub(super) fn filled(template: &str, scheme: &str, host: &str, preview: &str) -> String {
    let path = template
        .replace("{SCHEME}", scheme)
        .replace("{HOST}", host)
        .replace("{PREVIEW}", preview);
    format!("{scheme}://{host}{path}")
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

impl Client {
    async fn link(&self, path: &str) -> DownloadUrlPathInfo {
        let request = GetDownloadUrlPathRequest {
            path: path.to_owned(),
            get_direct_url: true,
            ..GetDownloadUrlPathRequest::default()
        };
        self.ask("GetDownloadUrlPath", request).await.unwrap()
    }

    fn address(&self) -> String {
        self.world.profile(&self.name).unwrap().endpoints["grpc"]
            .trim_start_matches("http://")
            .to_owned()
    }

    fn url(&self, info: &DownloadUrlPathInfo, preview: &str) -> String {
        filled(&info.download_url_path, "http", &self.address(), preview)
    }
}

async fn status(url: &str) -> StatusCode {
    http().get(url).send().await.unwrap().status()
}

#[tokio::test]
async fn ranges_of_the_server() {
    let client = Client::new().await;
    let bytes = pattern(10_000);
    client.seed("/a b/电影 #1?.mkv", &bytes);
    let info = client.link("/115open/a b/电影 #1?.mkv").await;
    assert_eq!((info.expires_in, &info.direct_url), (Some(3600), &None));
    let url = client.url(&info, "false");
    let whole = http().get(&url).send().await.unwrap();
    assert_eq!(whole.status(), 200);
    assert_eq!(whole.bytes().await.unwrap(), bytes);
    let part = http().get(&url).header("range", "bytes=100-299");
    let part = part.send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.headers()["content-range"], "bytes 100-299/10000");
    assert_eq!(part.bytes().await.unwrap(), bytes.slice(100..300));
    let outside = http().get(&url).header("range", "bytes=10000-");
    assert_eq!(outside.send().await.unwrap().status(), 416);
    let preview = http().get(client.url(&info, "true")).send().await.unwrap();
    assert_ne!(preview.bytes().await.unwrap(), bytes);
    // The token, the placeholders and the path all count.
    let (bare, _) = url.split_once('?').unwrap();
    assert_eq!(status(bare).await, 401);
    assert_eq!(status(&url.replace("token=", "token=x")).await, 401);
    assert_eq!(
        status(&url.replace("/static/http/", "/static/https/")).await,
        400
    );
    assert_eq!(status(&url.replace("mkv?", "mp4?")).await, 403);
    assert_eq!(client.stat().bytes_down, 10_000 + 200 + 5_000);
    client.fault("download", FaultKind::ExpireLink, "");
    assert_eq!(status(&url).await, 403);
    assert_eq!(status(&url).await, 403);
    let url = client.url(&client.link("/115open/a b/电影 #1?.mkv").await, "false");
    assert_eq!(status(&url).await, 200);
    client.world.clock_advance(3_601_000);
    assert_eq!(status(&url).await, 403);
    let missing = GetDownloadUrlPathRequest {
        path: "/115open/none".to_owned(),
        ..GetDownloadUrlPathRequest::default()
    };
    let (code, _) = client.refused("GetDownloadUrlPath", missing).await;
    assert_eq!(code, tonic::Code::NotFound);
}

#[tokio::test]
async fn addresses_of_the_provider() {
    let client = Client::new().await;
    let bytes = pattern(1000);
    client.seed("/a.bin", &bytes);
    client.set("direct", "on");
    client.set("link_life_s", "0");
    let info = client.link("/115open/a.bin").await;
    assert_eq!(info.expires_in, None);
    let url = info.direct_url.clone().unwrap();
    assert_eq!(status(&url).await, 403);
    let bound = || {
        let request = http()
            .get(&url)
            .header("user-agent", info.user_agent.clone().unwrap());
        info.additional_headers
            .iter()
            .fold(request, |request, (name, value)| {
                request.header(name, value)
            })
    };
    assert_eq!(bound().send().await.unwrap().bytes().await.unwrap(), bytes);
    // The server's token has no business at the provider.
    let leak = bound().header("authorization", "Bearer x");
    assert_eq!(leak.send().await.unwrap().status(), 400);
    assert_eq!(status(&url.replace("sign=", "sign=0")).await, 403);
    // The server's own address works beside it, by redirect when it likes to.
    client.set("signed_links", "on");
    client.set("redirect", "on");
    let info = client.link("/115open/a.bin").await;
    let url = client.url(&info, "false");
    assert_eq!(
        http()
            .get(&url)
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap(),
        bytes
    );
    let (unsigned, _) = url.split_once("&sign").unwrap();
    assert_eq!(status(unsigned).await, 403);
}
