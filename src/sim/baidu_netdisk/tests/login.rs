//! Tokens, codes and cookies.

use serde_json::Value;

use super::super::super::faults::FaultKind;
use super::{Client, FILE, json, sent, world};

const DAY: i64 = 86_400_000;

async fn errno(client: &Client) -> i64 {
    client.list(&[("dir", "/")]).await["errno"]
        .as_i64()
        .unwrap()
}

#[tokio::test]
async fn refresh_tokens_are_good_once() {
    let world = world();
    let mut client = Client::of(&world, "baidu").await;
    let refresh = client.world.profile("baidu").unwrap().secrets["refresh_token"].clone();
    let first = client.refresh(&refresh).await;
    assert_eq!(first["expires_in"], 2_592_000);
    assert_eq!(first["scope"], "basic netdisk");
    client.token = first["access_token"].as_str().unwrap().to_owned();
    assert_eq!(errno(&client).await, 0);
    let next = first["refresh_token"].as_str().unwrap();
    assert_ne!(next, refresh);
    let second = client.refresh(next).await;
    assert!(second["access_token"].is_string());
    assert_eq!(errno(&client).await, 0, "the old access token lives on");
    // Used again: the grant ends, with everything that came of it.
    let again = client.refresh(next).await;
    assert_eq!(again["error"], "invalid_grant");
    assert_eq!(again["error_description"], "refresh token has been used");
    assert_eq!(errno(&client).await, 110);
    let dead = client
        .refresh(second["refresh_token"].as_str().unwrap())
        .await;
    assert_eq!(dead["error"], "invalid_grant");
    let stat = world.stat("baidu").unwrap();
    assert_eq!((stat.refreshes, stat.count("refresh")), (3, 5));
}

#[tokio::test]
async fn a_failed_refresh_ends_the_grant() {
    let client = Client::new().await;
    let refresh = client.world.profile("baidu").unwrap().secrets["refresh_token"].clone();
    let wrong = client
        .token_with(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", &refresh),
            ("client_id", &client.profile.fields["client_id"]),
            ("client_secret", "no"),
        ])
        .await;
    assert_eq!(wrong["error"], "invalid_client");
    assert_eq!(client.refresh(&refresh).await["error"], "invalid_grant");
    assert_eq!(client.refresh("nonsense").await["error"], "invalid_grant");
    // An answer that is lost costs the token as well.
    let refresh = client.world.profile("baidu").unwrap().secrets["refresh_token"].clone();
    client.fault("refresh", FaultKind::DropAnswer, "");
    let query = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &refresh),
        ("client_id", &client.profile.fields["client_id"]),
        ("client_secret", &client.profile.secrets["client_secret"]),
    ];
    let ask = client
        .http
        .get(client.host("auth", "/oauth/2.0/token"))
        .query(&query);
    assert!(ask.send().await.is_err());
    assert_eq!(client.refresh(&refresh).await["error"], "invalid_grant");
}

#[tokio::test]
async fn access_tokens_end() {
    let client = Client::new().await;
    client.fault("list", FaultKind::ExpireToken, "");
    assert_eq!(errno(&client).await, 111);
    assert_eq!(errno(&client).await, 111, "for good");
    client.set("expired_errno", "-6");
    assert_eq!(errno(&client).await, -6);
    client.set("expired_errno", "111");
    let locate = client.host("pcs", "/rest/2.0/pcs/superfile2?method=upload");
    let refused = sent(client.ask("POST", &locate)).await;
    assert_eq!(refused.status(), 403);
    assert_eq!(refused.json::<Value>().await.unwrap()["error_code"], 31045);
    let mut client = Client::of(&client.world, "baidu").await;
    assert_eq!(errno(&client).await, 0);
    client.world.clock_advance(30 * DAY);
    assert_eq!(errno(&client).await, 111);
    client.token = "nonsense".to_owned();
    assert_eq!(errno(&client).await, 110);
    client.token = String::new();
    assert_eq!(errno(&client).await, 100);
    let bare = client.http.post(&locate);
    assert_eq!(json(bare).await["error_code"], 31045);
}

#[tokio::test]
async fn authorization_codes() {
    let client = Client::new().await;
    let id = client.profile.fields["client_id"].clone();
    let page = client.host("auth", "/oauth/2.0/authorize");
    let ask = |redirect: &'static str, scope: &'static str| {
        let query = [
            ("response_type", "code"),
            ("client_id", id.as_str()),
            ("redirect_uri", redirect),
            ("scope", scope),
            ("state", "s1"),
        ];
        client.http.get(&page).query(&query)
    };
    let bad = json(ask("oob", "basic")).await;
    assert_eq!(bad["error"], "invalid_scope");
    let there = sent(ask("http://x/cb", "basic,netdisk")).await;
    let target = there.headers()["location"].to_str().unwrap().to_owned();
    let code = target.strip_prefix("http://x/cb?code=").unwrap();
    let code = code.strip_suffix("&state=s1").unwrap().to_owned();
    let oob = sent(ask("oob", "basic netdisk"))
        .await
        .text()
        .await
        .unwrap();
    let exchange = async |code: &str, redirect: &str| {
        let query = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("client_id", id.as_str()),
            (
                "client_secret",
                client.profile.secrets["client_secret"].as_str(),
            ),
            ("redirect_uri", redirect),
        ];
        client.token_with(&query).await
    };
    assert!(exchange(&code, "http://x/cb").await["access_token"].is_string());
    assert_eq!(
        exchange(&code, "http://x/cb").await["error"],
        "invalid_grant"
    );
    assert_eq!(
        exchange(&oob, "http://x/cb").await["error"],
        "invalid_grant"
    );
    let oob = sent(ask("oob", "basic netdisk"))
        .await
        .text()
        .await
        .unwrap();
    client.world.clock_advance(600_000);
    assert_eq!(exchange(&oob, "oob").await["error"], "invalid_grant");
}

#[tokio::test]
async fn device_codes() {
    let client = Client::new().await;
    let id = client.profile.fields["client_id"].clone();
    let open = async || {
        let ask = client
            .http
            .get(client.host("auth", "/oauth/2.0/device/code"));
        let query = [
            ("response_type", "device_code"),
            ("client_id", id.as_str()),
            ("scope", "basic,netdisk"),
        ];
        json(ask.query(&query)).await
    };
    let poll = async |device: &Value| {
        let query = [
            ("grant_type", "device_token"),
            ("code", device["device_code"].as_str().unwrap()),
            ("client_id", id.as_str()),
            (
                "client_secret",
                client.profile.secrets["client_secret"].as_str(),
            ),
        ];
        client.token_with(&query).await
    };
    let answer = async |device: &Value, more: &str| {
        let code = device["user_code"].as_str().unwrap();
        let page = format!(
            "{}?user_code={code}{more}",
            device["verification_url"].as_str().unwrap()
        );
        assert_eq!(client.http.get(page).send().await.unwrap().status(), 200);
    };
    let device = open().await;
    assert_eq!(
        (&device["interval"], &device["expires_in"]),
        (&Value::from(5), &Value::from(300))
    );
    assert_eq!(poll(&device).await["error"], "authorization_pending");
    assert_eq!(poll(&device).await["error"], "slow_down");
    client.world.clock_advance(10_000);
    answer(&device, "&account=baidu-2").await;
    assert!(poll(&device).await["refresh_token"].is_string());
    assert_eq!(poll(&device).await["error"], "invalid_grant");
    assert_eq!(client.world.stat("baidu-2").unwrap().count("login"), 1);
    let device = open().await;
    answer(&device, "&deny=1").await;
    assert_eq!(poll(&device).await["error"], "authorization_declined");
    let device = open().await;
    client.world.clock_advance(300_000);
    assert_eq!(poll(&device).await["error"], "expired_token");
    // Both numbers can be set, and both calls go wrong when a test says so.
    client.set("device_interval", "1");
    client.set("device_seconds", "20");
    let device = open().await;
    assert_eq!(
        (&device["interval"], &device["expires_in"]),
        (&Value::from(1), &Value::from(20))
    );
    client.fault("login", FaultKind::Errno, "invalid_scope");
    assert_eq!(poll(&device).await["error"], "invalid_scope");
    client.fault("device_code", FaultKind::Errno, "invalid_client");
    assert_eq!(open().await["error"], "invalid_client");
    assert!(open().await["device_code"].is_string());
}

#[tokio::test]
async fn cookies() {
    let world = world();
    let mut client = Client::of(&world, "baidu-cookie").await;
    assert_eq!(client.profile.auth_mode, "manual_cookie");
    client.seed("/a/b.bin", 10, 1);
    assert_eq!(client.names("/a").await, ["b.bin"], "the tree of account 1");
    let found = client
        .get("/api/gettemplatevariable", &[("fields", "[\"bdstoken\"]")])
        .await;
    let bdstoken = found["result"]["bdstoken"].as_str().unwrap();
    assert_eq!(found["result"]["uk"], 987_654_321_001_u64);
    let with = |bdstoken: &str| {
        [("dir", "/"), ("bdstoken", bdstoken)].map(|(k, v)| (k.to_owned(), v.to_owned()))
    };
    for (token, wanted) in [(bdstoken, 0), ("wrong", -6)] {
        let query = with(token);
        let query: Vec<(&str, &str)> = query
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(client.list(&query).await["errno"], wanted);
    }
    client.set("web_params", "required");
    assert_eq!(errno(&client).await, 2);
    assert_eq!(
        client.list(&[("dir", "/"), ("app_id", "250528")]).await["errno"],
        0
    );
    client.set("web_params", "optional");
    let metas = [
        ("target", "[\"/a/b.bin\"]"),
        ("dlink", "1"),
        ("web", "5"),
        ("origin", "dlna"),
    ];
    let metas = client.get("/api/filemetas", &metas).await;
    assert!(metas["info"][0]["dlink"].is_string(), "{metas}");
    let missing = client
        .get("/api/filemetas", &[("target", "[\"/a/c\"]")])
        .await;
    assert_eq!(
        (&missing["errno"], &missing["info"][0]["errno"]),
        (&Value::from(12), &Value::from(-9))
    );
    let good = client.profile.secrets["cookie"].clone();
    let bduss = good.split(';').next().unwrap().to_owned();
    for bad in [bduss.as_str(), "BDUSS=x; STOKEN=y"] {
        client
            .profile
            .secrets
            .insert("cookie".to_owned(), bad.to_owned());
        assert_eq!(errno(&client).await, -6);
    }
    client.profile.secrets.insert("cookie".to_owned(), good);
    assert_eq!(errno(&client).await, 0);
    client.fault("list", FaultKind::ExpireToken, "");
    assert_eq!(errno(&client).await, -6);
    assert_eq!(errno(&client).await, -6, "there is no refresh");
    // An app has no cookies to show.
    let app = Client::of(&world, "baidu").await;
    assert_eq!(app.get("/api/gettemplatevariable", &[]).await["errno"], -6);
}

#[tokio::test]
async fn what_is_not_there() {
    let client = Client::new().await;
    for (method, path, status) in [
        ("GET", "/nothing", 404),
        ("GET", "/rest/2.0/xpan/file?method=rapidupload", 404),
        ("POST", "/pcs/rest/2.0/pcs/file?method=rapidupload", 404),
    ] {
        let answer = sent(client.ask(method, &client.host("api", path))).await;
        assert_eq!(answer.status(), status, "{path}");
    }
    let wrong = client.ask("POST", &client.host("api", &format!("{FILE}?method=list")));
    assert_eq!(json(wrong).await["errno"], 3);
    let bare = client.ask(
        "POST",
        &client.host("api", &format!("{FILE}?method=precreate")),
    );
    assert_eq!(json(bare.body("{}")).await["errno"], 31208);
    client.fault("list", FaultKind::Errno, "31034");
    assert_eq!(errno(&client).await, 31034);
    client.fault("list", FaultKind::Errno, "503:31212");
    let answer = sent(client.ask("GET", &client.host("api", &format!("{FILE}?method=list")))).await;
    assert_eq!(answer.status(), 503);
}
