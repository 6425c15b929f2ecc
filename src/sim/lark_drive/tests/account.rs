//! Tokens, scopes, rates, and what the gateway refuses (sections 2, 3 and 10).

use super::*;

const META: &str = "drive/explorer/v2/root_folder/meta";

#[tokio::test]
async fn refresh_tokens_are_single_use_and_end() {
    let client = Client::new().await;
    let first = client.profile.secrets["refresh_token"].clone();
    let got = client.refreshed(&first).await;
    assert_eq!((got.status, got.code()), (400, 20_073));
    assert_eq!(got.body["error"], "invalid_grant");
    let got = client.refreshed(&client.refresh).await;
    assert_eq!((got.status, got.code()), (200, 0));
    assert_eq!(got.body["expires_in"], 7200);
    assert_eq!(got.body["refresh_token_expires_in"], 604_800);
    assert_eq!(got.body["token_type"], "Bearer");
    assert!(
        got.body["scope"]
            .as_str()
            .unwrap()
            .contains("drive:file:upload")
    );
    let token = |key: &str| got.body[key].as_str().unwrap().to_owned();
    assert!(token("access_token").starts_with("u-"));
    // The access token from before goes on until its time.
    client.get(META).await.data();
    client.world.clock_advance(7_200_001);
    assert_eq!(client.get(META).await.code(), 99_991_677);
    client.world.clock_advance(604_800_000);
    let late = client.refreshed(&token("refresh_token")).await;
    assert_eq!(late.code(), 20_037);
    assert_eq!(client.refreshed("ur-unknown").await.code(), 20_026);
    assert_eq!(client.stat().refreshes, 2);
}

#[tokio::test]
async fn knobs_of_tokens() {
    let client = Client::new().await;
    client.set("token_ms", "60000");
    client.set("refresh_life", "absent");
    client.set("secrets", "both");
    let got = client.refreshed(&client.refresh).await;
    assert_eq!(got.body["expires_in"], 60);
    assert_eq!(got.body["refresh_token_expires_in"], Value::Null);
    let next = got.body["refresh_token"].as_str().unwrap().to_owned();
    let both = Client::of(&client.world, "lark").await;
    assert!(both.profile.secrets["access_token"].starts_with("u-"));
    client.set("revoke", "now");
    assert_eq!(client.refreshed(&next).await.code(), 20_064);
    assert_eq!(client.get(META).await.code(), 99_991_668);
    // Without `offline_access` there is no way on.
    client.set("withhold", "offline_access");
    let last = client.world.profile("lark").unwrap().secrets["refresh_token"].clone();
    let got = client.refreshed(&last).await;
    assert_eq!((got.code(), &got.body["refresh_token"]), (0, &Value::Null));
}

#[tokio::test]
async fn credentials_and_bodies_of_logins() {
    let client = Client::new().await;
    let app = client.profile.fields["app_id"].clone();
    assert!(app.starts_with("cli_"));
    for (path, id, secret) in [
        ("authen/v2/oauth/token", "client_id", "client_secret"),
        (
            "auth/v3/tenant_access_token/internal",
            "app_id",
            "app_secret",
        ),
    ] {
        let grant = json!({ "grant_type": "refresh_token", "refresh_token": client.refresh });
        let mut body = grant.clone();
        body[id] = json!(app);
        assert_eq!(client.login(path, body.clone()).await.code(), 99_992_402);
        body[secret] = json!("wrong");
        assert_eq!(client.login(path, body.clone()).await.code(), 99_991_543);
        body[id] = json!("cli_unknown");
        assert_eq!(client.login(path, body).await.code(), 99_991_543);
    }
    // Another tenant's app does not get far with this one's refresh token.
    let other = Client::of(&client.world, "lark-2").await;
    assert_eq!(other.refreshed(&client.refresh).await.code(), 20_026);
    let form = client.open(Method::POST, "authen/v2/oauth/token");
    let form = form.form(&[("client_id", &app)]);
    assert_eq!(client.send(form).await.code(), 99_992_402);
    client.set("app", "disabled");
    assert_eq!(client.get(META).await.code(), 99_991_662);
    assert_eq!(client.tenant().await.code(), 99_991_662);
    client.set("app", "unavailable");
    assert_eq!(client.get(META).await.code(), 99_991_673);
    client.set("app", "");
    client.fault("refresh", FaultKind::Errno, "20050");
    let got = client.refreshed(&client.refresh).await;
    assert_eq!((got.status, got.code()), (500, 20_050));
    assert_eq!(client.refreshed(&client.refresh).await.code(), 0);
}

#[tokio::test]
async fn the_app_has_a_token_and_a_root_of_its_own() {
    let user = Client::new().await;
    let file = user.seed("/shared/a.bin", b"abc");
    let bot = Client::bot(&user.world, "lark").await;
    assert!(bot.access.starts_with("t-"));
    assert_ne!(bot.root, user.root);
    assert!(bot.names("").await.is_empty());
    let again = bot.tenant().await;
    assert_eq!(again.body["tenant_access_token"], bot.access.as_str());
    let path = format!("drive/v1/files/{file}/download");
    assert_eq!(bot.get(&path).await.code(), 1_061_004);
    user.set("shared_with_app", "/shared");
    let answer = bot.ask(Method::GET, &path).send().await.unwrap();
    assert_eq!(&answer.bytes().await.unwrap()[..], b"abc");
    let listing = format!("folder_token={}", user.root);
    assert_eq!(
        bot.get(&format!("drive/v1/files?{listing}")).await.code(),
        1_061_004
    );
    let own = bot.upload("own.txt", b"1").await;
    assert_eq!(user.delete(&own, "file", "").await.code(), 1_061_004);
    assert_eq!(bot.names("").await, ["own.txt"]);
    // A new token only when less than half an hour is left.
    user.world.clock_advance(5_300_000);
    assert_eq!(
        bot.tenant().await.body["tenant_access_token"],
        bot.access.as_str()
    );
    user.world.clock_advance(200_000);
    let next = bot.tenant().await.body;
    assert_ne!(next["tenant_access_token"], bot.access.as_str());
    bot.get(META).await.data();
    user.world.clock_advance(1_800_000);
    assert_eq!(bot.get(META).await.code(), 99_991_663);
    user.set("identity", "bot");
    let profile = user.world.profile("lark").unwrap();
    assert_eq!(profile.fields["identity"], "bot");
    let secrets: Vec<&String> = profile.secrets.keys().collect();
    assert_eq!(secrets, ["app_secret"]);
}

#[tokio::test]
async fn bearers() {
    let client = Client::new().await;
    let none = client.send(client.open(Method::GET, META)).await;
    assert_eq!(none.code(), 99_991_661);
    for (header, code) in [
        ("Bearer u-unknown", 99_991_668),
        ("Bearer t-unknown", 99_991_663),
        ("Bearer x", 99_991_671),
        ("Basic u-unknown", 99_991_671),
    ] {
        let ask = client
            .open(Method::GET, META)
            .header("authorization", header);
        assert_eq!(client.send(ask).await.code(), code, "{header}");
    }
    client.fault("root", FaultKind::ExpireToken, "");
    for _ in 0..2 {
        assert_eq!(client.get(META).await.code(), 99_991_677);
    }
    let lost = client.ask(Method::GET, "drive/v1/nothing").send().await;
    assert_eq!(lost.unwrap().status(), 404);
    let wrong = client.ask(Method::PUT, "drive/v1/files").send().await;
    assert_eq!(wrong.unwrap().status(), 404);
}

#[tokio::test]
async fn scopes_per_operation() {
    let client = Client::new().await;
    let file = client.seed("/a", b"abc");
    let list = "drive/v1/files";
    client.set("withhold", "drive:drive.metadata:readonly");
    let got = client.get(list).await;
    assert_eq!(got.code(), 99_991_679);
    let violations = got.body["error"]["permission_violations"]
        .as_array()
        .unwrap();
    let subjects: Vec<&str> = violations
        .iter()
        .map(|violation| violation["subject"].as_str().unwrap())
        .collect();
    assert!(
        subjects.contains(&"space:document:retrieve"),
        "{subjects:?}"
    );
    client.set("withhold", "drive:file:upload,space:document:delete");
    assert_eq!(client.get(list).await.code(), 0);
    assert_eq!(client.rename(&file, "file", "b").await.code(), 99_991_679);
    let fields = client.fields("new", b"1");
    assert_eq!(
        client.form("upload_all", &fields, b"1").await.code(),
        99_991_679
    );
    client
        .bad("upload_prepare", client.prepare("new", 1), 99_991_679)
        .await;
    assert_eq!(client.delete(&file, "file", "").await.code(), 99_991_679);
    client
        .good("create_folder", json!({ "name": "d", "folder_token": "" }))
        .await;
    // The broad scope is good for everything, once a token has it.
    let early = Client::of(&client.world, "lark").await;
    client.set("withhold", "");
    assert_eq!(early.delete(&file, "file", "").await.code(), 99_991_676);
    client.set("scopes", "drive:drive offline_access");
    let broad = Client::of(&client.world, "lark").await;
    assert_eq!(broad.delete(&file, "file", "").await.code(), 0);
    client.set("withhold_app", "space:folder:create");
    let body = json!({ "name": "d", "folder_token": "" });
    client.bad("create_folder", body, 99_991_672).await;
    let bot = Client::bot(&client.world, "lark").await;
    bot.bad("create_folder", json!({ "name": "d" }), 99_991_672)
        .await;
    assert_eq!(bot.get(list).await.code(), 0);
}

#[tokio::test]
async fn rates_days_and_statuses() {
    let client = Client::new().await;
    client.set("strict_rates", "on");
    let mut refused = None;
    for n in 0..40 {
        let got = client
            .post(
                "drive/v1/files/create_folder",
                json!({ "name": format!("d{n}") }),
            )
            .await;
        if got.code() != 0 {
            refused = Some(got);
            break;
        }
    }
    let got = refused.expect("5 per second are few");
    assert_eq!((got.status, got.code()), (429, 99_991_400));
    assert_eq!(got.header("x-ogw-ratelimit-limit"), "5");
    assert_eq!(got.header("x-ogw-ratelimit-reset"), "1");
    client.set("strict_rates", "off");
    client.set("day_limit", "2");
    let file = client.seed("/a", b"abc");
    let path = format!("drive/v1/files/{file}/download");
    for _ in 0..2 {
        let answer = client.ask(Method::GET, &path).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    client.set("rate_status", "400");
    let got = client.get(&path).await;
    assert_eq!((got.status, got.code()), (400, 99_991_400));
    assert_ne!(got.header("x-ogw-ratelimit-reset"), "");
    client.world.clock_advance(86_400_000);
    let client = Client::of(&client.world, "lark").await;
    assert_eq!(
        client
            .ask(Method::GET, &path)
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    let lost = "drive/v1/files?folder_token=none";
    let got = client.get(lost).await;
    assert_eq!((got.status, got.code()), (404, 1_061_003));
    client.set("error_status", "200");
    let got = client.get(lost).await;
    assert_eq!((got.status, got.code()), (200, 1_061_003));
    client.fault("list", FaultKind::Errno, "500:1061001");
    let got = client.get("drive/v1/files").await;
    assert_eq!((got.status, got.code()), (500, 1_061_001));
    client.fault("list", FaultKind::Status, "503,1");
    let got = client
        .ask(Method::GET, "drive/v1/files")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (got.status().as_u16(), &got.headers()["retry-after"]),
        (503, &"1".parse().unwrap())
    );
}
