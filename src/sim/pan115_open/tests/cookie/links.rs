//! Download links and what they want.

use super::*;

const KEY: [u8; 16] = *b"0123456789abcdef";

impl Web {
    async fn ask(&self, path: &str, document: &Value) -> Raw {
        let data = m115::client::seal(m115::MODULUS, &document.to_string(), &KEY);
        let path = format!("{path}?t=1706687230");
        self.post_raw("api", &path, &[("data", &data)]).await
    }

    async fn chrome(&self, code: &str) -> Raw {
        let document = json!({ "pickcode": code, "user_id": 123_456_789 });
        self.ask("/app/chrome/downurl", &document).await
    }

    /// Gets a link: status and body.
    async fn fetch(&self, url: &str, user_agent: &str, cookie: &str) -> (u16, Vec<u8>) {
        let mut ask = self.http.get(url).header("user-agent", user_agent);
        if !cookie.is_empty() {
            ask = ask.header("cookie", cookie);
        }
        let got = raw(ask).await;
        (got.status, got.body)
    }
}

fn opened(raw: &Raw) -> Value {
    let answer = raw.json();
    assert_eq!(
        (&answer["state"], &answer["errno"]),
        (&json!(true), &json!(0)),
        "{answer}"
    );
    let data = text(&answer, "data");
    serde_json::from_str(&m115::client::open(m115::MODULUS, data, &KEY)).unwrap()
}

#[tokio::test]
async fn a_link_wants_user_agent_and_cookies() {
    let web = Web::new();
    let (id, blob) = web.seed("/名 a.bin", 1, 70_000);
    let code = web.pick_code("名 a.bin").await;
    let answer = web.chrome(&code).await;
    let document = opened(&answer);
    let entry = &document[&id];
    assert_eq!(
        (
            text(entry, "file_name"),
            text(entry, "file_size"),
            text(entry, "pick_code")
        ),
        ("名 a.bin", "70000", code.as_str())
    );
    assert_eq!(text(entry, "sha1"), upper_sha1(&blob));
    let url = text(&entry["url"], "url");
    assert!(url.contains("&f=3&") && url.contains("&c=2&"), "{url}");
    assert_eq!(answer.set.len(), 2);
    let cookies = answer.cookies();
    let (status, bytes) = web.fetch(url, USER_AGENT, &cookies).await;
    assert_eq!((status, bytes), (200, blob.read(0, 70_000).to_vec()));
    let (status, bytes) = web.fetch(url, USER_AGENT, "").await;
    let refused: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!((status, text(&refused, "message")), (403, "no cookie"));
    let half = cookies.split("; ").next().unwrap();
    assert_eq!(web.fetch(url, USER_AGENT, half).await.0, 403);
    assert_eq!(web.fetch(url, USER_AGENT, &web.cookie).await.0, 403);
    assert_eq!(web.fetch(url, "other/1.0", &cookies).await.0, 403);
    web.world.clock_advance(7_201_000);
    assert_eq!(web.fetch(url, USER_AGENT, &cookies).await.0, 403);
    // What a link wants is in it.
    for (f, shown, cookies) in [("1", "&f=1&", 0), ("", "&f=&", 0), ("3", "&f=3&", 2)] {
        web.set("link_f", f);
        let answer = web.chrome(&code).await;
        let url = text(&opened(&answer)[&id]["url"], "url").to_owned();
        assert!(url.contains(shown), "{url}");
        assert_eq!(answer.set.len(), cookies);
        let agent = if f.is_empty() { "any/1" } else { USER_AGENT };
        assert_eq!(web.fetch(&url, agent, &answer.cookies()).await.0, 200);
    }
    web.fault("download", FaultKind::ExpireLink, "");
    let answer = web.chrome(&code).await;
    let url = text(&opened(&answer)[&id]["url"], "url").to_owned();
    assert_eq!(web.fetch(&url, USER_AGENT, &answer.cookies()).await.0, 403);
    let stat = web.world.stat("115-cookie").unwrap();
    assert_eq!(
        (stat.count("download_link"), stat.count("download")),
        (5, 9 + 1)
    );
}

#[tokio::test]
async fn several_codes_and_those_that_are_none() {
    let web = Web::new();
    let (a, _) = web.seed("/a", 1, 10);
    let (empty, _) = web.seed("/empty", 2, 0);
    let dir = web.mkdir("0", "dir").await;
    let (ka, ke, kd) = (
        web.pick_code("a").await,
        web.pick_code("empty").await,
        web.pick_code("dir").await,
    );
    let codes = [ka.as_str(), &ke, &kd, "e2r37d689xrgazn67"].join(",");
    let document = opened(&web.chrome(&codes).await);
    assert_eq!(document.as_object().unwrap().len(), 3);
    assert!(document[&a]["url"]["url"].is_string());
    assert_eq!(
        (&document[&empty]["url"], &document[&dir]["url"]),
        (&json!([]), &json!(false))
    );
    for (code, errno) in [("e2r37d689xrgazn67", 50_003), ("", 50_001)] {
        let refused = web.chrome(code).await.json();
        assert_eq!(
            (&refused["state"], &refused["errno"], &refused["data"]),
            (&json!(false), &json!(errno), &json!(""))
        );
    }
    web.set("link_missing_size", "1");
    let document = opened(&web.chrome("e2r37d689xrgazn67").await);
    assert_eq!(document["e2r37d689xrgazn67"]["file_size"], "-1");
    web.set("link_missing_size", "0");
    web.post("/rb/delete", &[("fid", &a)]).await;
    assert_eq!(web.chrome(&ka).await.json()["errno"], 70_005);
    // Not encrypted to this server, or not at all.
    for data in ["", "{\"pickcode\":\"x\"}", "AAAA"] {
        let refused = web
            .post_raw("api", "/app/chrome/downurl", &[("data", data)])
            .await;
        assert_eq!(refused.json()["errno"], 990_002);
    }
    let list = m115::client::seal(m115::MODULUS, "[1]", &KEY);
    let refused = web
        .post_raw("api", "/app/chrome/downurl", &[("data", &list)])
        .await;
    assert_eq!(refused.json()["errno"], 990_002);
    // A long question is several blocks.
    let many = vec![ke.as_str(); 30].join(",");
    assert_eq!(
        opened(&web.chrome(&many).await).as_object().unwrap().len(),
        1
    );
}

#[tokio::test]
async fn the_other_ways_to_a_link() {
    let web = Web::new();
    let (id, blob) = web.seed("/a", 1, 10);
    let code = web.pick_code("a").await;
    let android = web
        .ask("/android/2.0/ufile/download", &json!({ "pick_code": code }))
        .await;
    let document = opened(&android);
    let got = web
        .fetch(text(&document, "url"), USER_AGENT, &android.cookies())
        .await;
    assert_eq!(got, (200, blob.read(0, 10).to_vec()));

    let plain = web
        .get_raw("web", "/files/download", &[("pickcode", &code)])
        .await;
    let document = plain.json();
    let got = web
        .fetch(text(&document, "file_url"), USER_AGENT, &plain.cookies())
        .await;
    assert_eq!(got.0, 200);
    web.seed("/large", 2, (200 << 20) + 1);
    let large = web.pick_code("large").await;
    let refused = web.get("/files/download", &[("pickcode", &large)]).await;
    assert_eq!(refused["errno"], 50_028);

    // The client of Windows wraps the same into ec115.
    let data = m115::client::seal(
        m115::MODULUS,
        &json!({ "pickcode": code }).to_string(),
        &KEY,
    );
    let form = encoded(&[("data".to_owned(), data)]);
    let path = "/os_windows/2.0/ufile/downurl";
    let ask = |k_ec: String| {
        let ask = web.http.post(web.url("api", path));
        ask.query(&[("k_ec", k_ec)]).body(web.peer.seal(&form))
    };
    let answer = web.send(ask(web.peer.k_ec(1, 2, 3))).await;
    let document: Value = serde_json::from_str(&web.peer.open(&answer.body)).unwrap();
    let inner = m115::client::open(m115::MODULUS, text(&document, "data"), &KEY);
    let inner: Value = serde_json::from_str(&inner).unwrap();
    assert!(inner[&id]["url"]["url"].is_string());
    let refused = web.send(ask("x".to_owned())).await.json();
    assert_eq!(refused["errno"], 990_002);
    let stat = web.world.stat("115-cookie").unwrap();
    assert_eq!(stat.count("download_link"), 4);
}
