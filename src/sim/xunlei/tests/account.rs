//! Tokens, log-ins, captchas and spaces.

use serde_json::{Value, json};

use super::super::super::digest::md5_hex;
use super::super::super::faults::{Fault, FaultKind};
use super::super::clients;
use super::{Client, at, error, id_of, names, refusal};

const ABOUT: &str = "/drive/v1/about";

#[tokio::test]
async fn refresh_tokens_are_single_use() {
    let client = Client::start().await;
    let profile = client.world.profile("xunlei").unwrap();
    let secret = &profile.secrets["refresh_token"];
    assert!(secret.starts_with("a1."));
    let (status, tokens) = client.refresh(secret).await;
    assert_eq!((status, &tokens["expires_in"]), (200, &json!(43200)));
    assert_eq!(
        (&tokens["sub"], &tokens["user_id"]),
        (&json!("654321"), &json!("654321"))
    );
    let dead = error(400, 4126, "invalid_grant");
    assert_eq!(refusal(&client.refresh(secret).await), dead);
    // Bound to the client that got it.
    let next = tokens["refresh_token"].as_str().unwrap();
    for (id, secret, expected) in [
        (clients::APP_ID, "", 400),
        (clients::WEB_ID, "wrong", 400),
        (clients::WEB_ID, "", 200),
    ] {
        let body = json!({
            "client_id": id, "client_secret": secret, "grant_type": "refresh_token",
            "refresh_token": next,
        });
        assert_eq!(
            client.user("/v1/auth/token", body).await.0,
            expected,
            "{id}"
        );
    }
    let stat = client.world.stat("xunlei").unwrap();
    assert_eq!((stat.refreshes, stat.count("refresh")), (3, 6));
}

#[tokio::test]
async fn access_tokens_expire() {
    let mut client = Client::start().await;
    client.set("captcha", "none");
    client.get(ABOUT).await;
    let gone = error(401, 16, "unauthenticated");
    let fault = Fault::once("list", FaultKind::ExpireToken, "");
    client.world.fault("xunlei", fault).unwrap();
    for path in ["/drive/v1/files", ABOUT] {
        assert_eq!(client.refused("GET", path, Value::Null).await, gone);
    }
    client = Client::of(client.world.clone(), "xunlei").await;
    client.world.clock_advance(43_100_000);
    client.get(ABOUT).await;
    client.world.clock_advance(100_000);
    assert_eq!(client.refused("GET", ABOUT, Value::Null).await, gone);
    for (code, status) in [(4121, 401), (4122, 401), (10, 400)] {
        client.set("token_error", &code.to_string());
        let refused = client.refused("GET", ABOUT, Value::Null).await;
        assert_eq!((refused.0, refused.1), (status, code));
    }
    assert!(client.world.set("xunlei", "token_error", "7").is_err());
    client.access = "nonsense".to_owned();
    assert_eq!(client.refused("GET", ABOUT, Value::Null).await, gone);
    let url = format!("{}/v1/user/me", client.url("user"));
    assert_eq!(client.send("GET", &url, &[], None).await.0, 401);
    let client = Client::of(client.world.clone(), "xunlei-2").await;
    let bearer = format!("Bearer {}", client.access);
    let headers = [("authorization", bearer.as_str())];
    let (status, me) = client.send("GET", &url, &headers, None).await;
    assert_eq!((status, &me["sub"]), (200, &json!("654322")));
}

#[tokio::test]
async fn headers_that_must_be_there() {
    let client = Client::start().await;
    let url = format!("{}{ABOUT}", client.url("api"));
    let bearer = format!("Bearer {}", client.access);
    let all = [
        ("authorization", bearer.as_str()),
        ("x-device-id", &client.device),
        ("x-client-id", client.client.id),
        ("x-captcha-token", &client.captcha),
    ];
    assert_eq!(client.send("GET", &url, &all, None).await.0, 200);
    let without = |name: &str| -> Vec<(&str, &str)> {
        all.iter()
            .filter(|(key, _)| *key != name)
            .copied()
            .collect()
    };
    let (status, answer) = client
        .send("GET", &url, &without("x-client-id"), None)
        .await;
    assert_eq!(
        (status, &answer["error"]),
        (400, &json!("invalid_argument"))
    );
    assert_eq!(answer["error_description"], "x-client-id required");
    let device = client
        .send("GET", &url, &without("x-device-id"), None)
        .await;
    assert_eq!(refusal(&device), error(400, 400, "invalid_argument"));
    let captcha = client
        .send("GET", &url, &without("x-captcha-token"), None)
        .await;
    assert_eq!(refusal(&captcha), error(400, 9, "captcha_required"));
    let bare = client
        .send("GET", &url, &without("authorization"), None)
        .await;
    assert_eq!(refusal(&bare), error(401, 16, "unauthenticated"));
}

#[tokio::test]
async fn captchas_are_signed_and_expire() {
    let mut client = Client::start().await;
    let action = "get:/drive/v1/files";
    let invalid = error(400, 9, "captcha_invalid");
    let mut wrong = client.signed("654321");
    wrong["captcha_sign"] = json!("1.00000000000000000000000000000000");
    let mut other = client.signed("654321");
    other["client_version"] = json!("1.92.10");
    for meta in [wrong, other] {
        let (status, answer) = client.captcha(action, &meta).await;
        assert_eq!(status, 400);
        assert_eq!(answer["error_description"], "invalid captcha_sign");
    }
    let two = json!({ "email": "user1@example.com", "username": "user1@example.com" });
    let phone = json!({ "phone_number": "123" });
    for meta in [two, phone, json!({}), client.signed("999")] {
        assert_eq!(
            refusal(&client.captcha(action, &meta).await),
            invalid,
            "{meta}"
        );
    }
    assert_eq!(
        client
            .captcha("/drive/v1/files", &client.signed("0"))
            .await
            .0,
        400
    );
    let (_, answer) = client.captcha(action, &client.signed("654321")).await;
    assert!(
        answer["captcha_token"]
            .as_str()
            .unwrap()
            .starts_with("ck0.")
    );
    assert_eq!(answer["expires_in"], 300);
    client.world.clock_advance(300_000);
    assert_eq!(client.refused("GET", ABOUT, Value::Null).await, invalid);
    // Of another device, of another client, of another user.
    client.solve(action).await;
    let device = std::mem::replace(&mut client.device, "0".repeat(32));
    assert_eq!(client.refused("GET", ABOUT, Value::Null).await, invalid);
    client.device = device;
    client.client = clients::by_id(clients::APP_ID).unwrap();
    assert_eq!(client.refused("GET", ABOUT, Value::Null).await, invalid);
    client.client = clients::by_id(clients::WEB_ID).unwrap();
    let (_, answer) = client.captcha(action, &client.signed("654322")).await;
    client.captcha = answer["captcha_token"].as_str().unwrap().to_owned();
    assert_eq!(client.refused("GET", ABOUT, Value::Null).await, invalid);
    assert_eq!(client.world.stat("xunlei").unwrap().challenges, 4);
    // One action only.
    client.solve(action).await;
    client.set("captcha_per_action", "on");
    let id = client.seed("/a.bin", b"abc");
    client.get("/drive/v1/files").await;
    client.get(&at(&id)).await;
    assert_eq!(client.refused("GET", ABOUT, Value::Null).await, invalid);
    client.solve("GET:/drive/v1/about").await;
    client.get(ABOUT).await;
    // A human is needed for uploads.
    client.set("captcha_url", "POST:/drive/v1/files");
    client.solve("PATCH:/drive/v1/files").await;
    let (status, answer) = client
        .captcha("POST:/drive/v1/files", &client.signed("0"))
        .await;
    assert_eq!((status, &answer["captcha_token"]), (200, &json!("")));
    assert!(answer["url"].as_str().unwrap().starts_with("https://"));
}

/// The first stage of a log-in as the app.
fn first_stage(client: &Client, credit: &str) -> Value {
    let app = clients::by_id(clients::APP_ID).unwrap();
    json!({
        "protocolVersion": "301", "sequenceNo": "1000012", "platformVersion": "10",
        "isCompressed": "0", "appid": app.appid, "clientVersion": app.version,
        "peerID": "0".repeat(32), "appName": format!("ANDROID-{}", app.package),
        "sdkVersion": app.sdk, "devicesign": app.device_sign(&client.device),
        "netWorkType": "WIFI", "providerName": "NONE", "deviceModel": "M2004J7AC",
        "deviceName": "Xiaomi_M2004j7ac", "OSVersion": "12", "creditkey": credit, "hl": "zh-CN",
        "userName": "user1@example.com", "passWord": "hunter-1-secret", "verifyKey": "",
        "verifyCode": "", "isMd5Pwd": "0",
    })
}

async fn core_login(client: &Client, body: &Value) -> Value {
    let url = format!("{}/xluser.core.login/v3/login", client.url("user"));
    let agent = "android-ok-http-client/xl-acc-sdk/version-5.0.12.512000";
    let headers = [("user-agent", agent)];
    let (status, answer) = client
        .send("POST", &url, &headers, Some(body.clone()))
        .await;
    assert_eq!(status, 200);
    answer
}

/// The second stage: tokens for a session.
async fn second_stage(client: &Client, session: &Value) -> (u16, Value) {
    let meta = json!({ "username": "user1@example.com" });
    let action = "POST:/v1/auth/signin/token";
    let (_, captcha) = client.captcha(action, &meta).await;
    let url = format!("{}/v1/auth/signin/token", client.url("user"));
    let body = json!({
        "client_id": client.client.id, "client_secret": client.client.secret,
        "provider": "access_end_point_token", "signin_token": session["sessionID"],
    });
    let headers = [(
        "x-captcha-token",
        captcha["captcha_token"].as_str().unwrap(),
    )];
    client.send("POST", &url, &headers, Some(body)).await
}

#[tokio::test]
async fn the_app_logs_in_in_two_stages_and_kicks_its_twin() {
    let mut client = Client::start().await;
    client.client = clients::by_id(clients::APP_ID).unwrap();
    for (key, value) in [
        ("passWord", json!("wrong")),
        (
            "devicesign",
            json!(format!("div101.{}{}", client.device, "0".repeat(32))),
        ),
        ("sdkVersion", json!("1")),
        ("isMd5Pwd", json!(0)),
    ] {
        let mut body = first_stage(&client, "");
        body[key] = value;
        let answer = core_login(&client, &body).await;
        assert_ne!(answer["errorCode"], "0", "{key}");
        assert!(answer.get("sessionID").is_none());
    }
    let session = core_login(&client, &first_stage(&client, "")).await;
    assert_eq!(
        (&session["errorCode"], &session["error"]),
        (&json!("0"), &json!("success"))
    );
    let (status, first) = second_stage(&client, &session).await;
    assert_eq!((status, &first["expires_in"]), (200, &json!(86400)));
    client.access = first["access_token"].as_str().unwrap().to_owned();
    client.solve("GET:/drive/v1/files").await;
    client.get(ABOUT).await;
    let session = core_login(&client, &first_stage(&client, "")).await;
    assert_eq!(second_stage(&client, &session).await.0, 200);
    let refused = client.refused("GET", ABOUT, Value::Null).await;
    assert_eq!(refused, error(401, 16, "unauthenticated"));
    let old = first["refresh_token"].as_str().unwrap();
    assert_eq!(
        refusal(&client.refresh(old).await),
        error(400, 4126, "invalid_grant")
    );
    // Not a session at all, a captcha of another kind, a device under review.
    let none = json!({ "sessionID": "cs001.none" });
    assert_eq!(second_stage(&client, &none).await.0, 400);
    client.set("device_review", "on");
    let (status, answer) = second_stage(&client, &session).await;
    assert_eq!(
        (status, &answer["error_code"], &answer["result"]),
        (400, &json!(4002), &json!("review"))
    );
}

#[tokio::test]
async fn a_review_panel_wants_its_trust_key_once() {
    let client = Client::start().await;
    client.set("review_key", "trusted");
    for key in ["", "other"] {
        let answer = core_login(&client, &first_stage(&client, key)).await;
        assert_eq!(answer["error"], "review_panel");
        assert!(answer["reviewurl"].as_str().unwrap().contains('?'));
    }
    let answer = core_login(&client, &first_stage(&client, "trusted")).await;
    assert_eq!(answer["error"], "success");
    let answer = core_login(&client, &first_stage(&client, "trusted")).await;
    assert_eq!(answer["error"], "review_panel");
}

#[tokio::test]
async fn the_international_app_logs_in_at_once() {
    let mut client = Client::start().await;
    client.client = clients::by_id(clients::X_ID).unwrap();
    let (_, captcha) = client
        .captcha(
            "POST:/v1/auth/signin",
            &json!({ "email": "user1@example.com" }),
        )
        .await;
    let body = |password: &str, captcha: &Value| {
        json!({
            "captcha_token": captcha, "client_id": client.client.id,
            "client_secret": client.client.secret, "username": "user1@example.com",
            "password": password,
        })
    };
    let token = &captcha["captcha_token"];
    let wrong = client.user("/v1/auth/signin", body("wrong", token)).await;
    assert_eq!(refusal(&wrong).2, "invalid_account_or_password");
    let other = client
        .user("/v1/auth/signin", body("hunter-1-secret", &json!("ck0.x")))
        .await;
    assert_eq!(refusal(&other), error(400, 4002, "captcha_invalid"));
    let (status, tokens) = client
        .user("/v1/auth/signin", body("hunter-1-secret", token))
        .await;
    assert_eq!((status, &tokens["sub"]), (200, &json!("654321")));
}

#[tokio::test]
async fn the_safe_box_has_a_password_of_its_own() {
    let client = Client::start().await;
    let folder = json!({
        "kind": "drive#folder", "parent_id": "", "name": "secret", "space": "SPACE_SAFE",
    });
    let closed = error(400, 9, "space_token_invalid");
    assert_eq!(
        client
            .refused("POST", "/drive/v1/files", folder.clone())
            .await,
        closed
    );
    let url = format!("{}/v1/password/check", client.url("user"));
    let bearer = format!("Bearer {}", client.access);
    let headers = [("authorization", bearer.as_str())];
    let check =
        |password: &str| json!({ "scene": "box", "password": md5_hex(password.as_bytes()) });
    let wrong = client.send("POST", &url, &headers, Some(check("1"))).await;
    assert_eq!(wrong.0, 400);
    let (_, open) = client
        .send("POST", &url, &headers, Some(check("123456")))
        .await;
    let token = open["token"].as_str().unwrap().to_owned();
    let space = [("x-space-authorization", token.as_str())];
    let (status, made) = client
        .call_with("POST", "/drive/v1/files", folder, &space)
        .await;
    assert_eq!(
        (status, &made["file"]["space"]),
        (200, &json!("SPACE_SAFE"))
    );
    client.world.clock_advance(1000);
    let list = "/drive/v1/files?space=SPACE_SAFE";
    let (_, shown) = client.call_with("GET", list, Value::Null, &space).await;
    assert_eq!(names(shown["files"].as_array().unwrap()), ["secret"]);
    // It is in no other space, and there is no trash there.
    let id = id_of(&made["file"]);
    assert!(client.list("", "").await.is_empty());
    assert_eq!(client.call("GET", &at(id), Value::Null).await.0, 404);
    let body = json!({ "ids": [id], "space": "SPACE_SAFE" });
    let trash = client
        .call_with("POST", "/drive/v1/files:batchTrash", body.clone(), &space)
        .await;
    assert_eq!(trash.0, 400);
    let gone = client
        .call_with("POST", "/drive/v1/files:batchDelete", body, &space)
        .await;
    assert_eq!(gone.0, 200);
    client.world.clock_advance(1_800_000);
    client.set("captcha", "none");
    let late = client.call_with("GET", list, Value::Null, &space).await;
    assert_eq!(refusal(&late), closed);
    assert_eq!(
        client
            .call("GET", "/drive/v1/files?space=NAS", Value::Null)
            .await
            .0,
        400
    );
}
