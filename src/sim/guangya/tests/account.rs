//! Tokens, devices, and the checks before a call.

use serde_json::{Value, json};

use super::super::super::faults::FaultKind;
use super::{Client, PC_ID, PC_SECRET, WEB_ID, code, success, world};

const LIST: &str = "/userres/v1/file/get_file_list";

fn page() -> Value {
    json!({ "parentId": "", "page": 0, "pageSize": 10, "orderBy": 0, "sortType": 0 })
}

/// Status and code of a listing with these headers.
async fn listed(client: &Client, pairs: &[(&str, &str)]) -> (u16, i64) {
    let (status, answer) = client.with(LIST, pairs, page()).await;
    (status, code(&answer))
}

#[tokio::test]
async fn a_refresh_token_is_good_once() {
    let client = Client::plain().await;
    let (status, answer) = client.refreshed(&client.refresh).await;
    assert_eq!((status, &answer["expires_in"]), (200, &json!(7200)));
    assert_eq!(answer["token_type"], "Bearer");
    let next = answer["refresh_token"].as_str().unwrap().to_owned();
    assert_ne!(next, client.refresh);
    let (status, answer) = client.refreshed(&client.refresh).await;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")));
    assert_eq!(client.refreshed("gy.unknown").await.0, 400);
    assert_eq!(client.refreshed(&next).await.0, 200);
    assert_eq!(client.stat().refreshes, 3);
    assert_eq!(client.stat().count("refresh"), 4);

    // A service that brings no new one: the old one stays.
    let client = Client::plain().await;
    client.set("rotate", "off");
    client.set("token_form", "data");
    for _ in 0..2 {
        let (status, answer) = client.refreshed(&client.refresh).await;
        assert_eq!(status, 200);
        assert!(answer["data"]["access_token"].is_string());
        assert!(answer["data"].get("refresh_token").is_none());
    }
}

#[tokio::test]
async fn a_refresh_needs_its_client_and_a_device() {
    let client = Client::plain().await;
    let body = |client_id: &str| {
        json!({
            "client_id": client_id, "grant_type": "refresh_token",
            "refresh_token": client.refresh, "client_secret": PC_SECRET,
        })
    };
    let did = client.did();
    for (pairs, client_id) in [
        (vec![("x-client-id", WEB_ID)], WEB_ID),
        (
            vec![("x-client-id", WEB_ID), ("x-device-id", "short")],
            WEB_ID,
        ),
        (vec![("x-client-id", PC_ID), ("x-device-id", did)], WEB_ID),
        // The token of another client.
        (vec![("x-client-id", PC_ID), ("x-device-id", did)], PC_ID),
        (vec![("x-client-id", "x"), ("x-device-id", did)], "x"),
    ] {
        let (status, answer) = client
            .account("/v1/auth/token", &pairs, body(client_id))
            .await;
        assert_eq!(status, 400, "{pairs:?} {answer}");
        assert!(answer["error"].is_string());
    }
    client.set("bind_device", "on");
    let pairs = [
        ("x-client-id", WEB_ID),
        ("x-device-id", &"0".repeat(32)[..]),
    ];
    let (status, _) = client.account("/v1/auth/token", &pairs, body(WEB_ID)).await;
    assert_eq!(status, 400);
    // None of that used it up.
    assert_eq!(client.refreshed(&client.refresh).await.0, 200);

    let url = format!("{}/v1/auth/token", client.profile.endpoints["account"]);
    assert_eq!(client.send("GET", &url, &[], None).await.0, 405);
    assert_eq!(
        client.account("/v1/auth/nothing", &[], json!({})).await.0,
        404
    );
}

#[tokio::test]
async fn access_ends_after_two_hours() {
    let mut client = Client::plain().await;
    let pairs = [("did", client.did()), ("dt", "4")];
    assert_eq!(listed(&client, &pairs).await, (200, 0));
    client.world.clock_advance(7_000_000);
    assert_eq!(listed(&client, &pairs).await, (200, 0));
    client.world.clock_advance(200_000);
    assert_eq!(listed(&client, &pairs).await, (401, 118));
    let (_, answer) = client.refreshed(&client.refresh).await;
    client.access = answer["access_token"].as_str().unwrap().to_owned();
    let did = client.did().to_owned();
    let pairs = [("did", did.as_str()), ("dt", "4")];
    assert_eq!(listed(&client, &pairs).await, (200, 0));

    client.fault("list", FaultKind::ExpireToken, "");
    assert_eq!(listed(&client, &pairs).await, (401, 118));
    assert_eq!(listed(&client, &pairs).await, (401, 118));
    client.access = "nonsense".to_owned();
    assert_eq!(listed(&client, &pairs).await, (401, 117));
    let url = format!("{}{LIST}", client.profile.endpoints["api"]);
    let (status, answer) = client.send("POST", &url, &pairs, None).await;
    assert_eq!((status, code(&answer)), (401, 110));
}

#[tokio::test]
async fn a_logout_ends_everything() {
    let client = Client::plain().await;
    let pairs = [("did", client.did()), ("dt", "4")];
    client.set("logout", "now");
    assert_eq!(listed(&client, &pairs).await, (401, 117));
    assert_eq!(client.refreshed(&client.refresh).await.0, 400);
    // Another account is not touched.
    let other = Client::of(&client.world, "guangya-2").await;
    assert_eq!(other.page("", 0, 10).await.len(), 0);
}

#[tokio::test]
async fn every_call_names_type_and_device() {
    let client = Client::plain().await;
    let (did, other) = (client.did(), "f".repeat(32));
    let upper = did.to_uppercase();
    for (pairs, wanted) in [
        (vec![("did", did), ("dt", "4")], (200, 0)),
        (vec![("did", did)], (200, 112)),
        (vec![("dt", "4")], (200, 112)),
        (vec![("did", did), ("dt", "9")], (200, 112)),
        (vec![("did", "abc"), ("dt", "4")], (200, 112)),
        (vec![("did", upper.as_str()), ("dt", "4")], (200, 112)),
        // Another device than that of the refresh.
        (vec![("did", other.as_str()), ("dt", "4")], (401, 117)),
        (
            vec![("did", did), ("x-device-id", other.as_str()), ("dt", "4")],
            (200, 112),
        ),
        (vec![("x-device-id", did), ("dt", "4")], (200, 0)),
        // The PC client names itself, and this token is the browser's.
        (vec![("x-device-id", did), ("dt", "5")], (200, 112)),
        (
            vec![("x-device-id", did), ("dt", "5"), ("x-client-id", PC_ID)],
            (401, 117),
        ),
    ] {
        assert_eq!(listed(&client, &pairs).await, wanted, "{pairs:?}");
    }
}

#[tokio::test]
async fn the_pc_client() {
    let world = world();
    world.set("guangya", "client", "pc").unwrap();
    world.set("guangya", "forms", "plain").unwrap();
    let profile = world.profile("guangya").unwrap();
    assert_eq!(profile.fields["dt"], "5");
    let second = Client::of(&world, "guangya-2").await;
    let did = profile.fields["did"].as_str();
    let pairs = [("x-client-id", PC_ID), ("x-device-id", did)];
    let body = |secret: &str| {
        json!({
            "client_id": PC_ID, "client_secret": secret, "grant_type": "refresh_token",
            "refresh_token": profile.secrets["refresh_token"],
        })
    };
    let (status, _) = second
        .account("/v1/auth/token", &pairs, body("wrong"))
        .await;
    assert_eq!(status, 400);
    let (status, answer) = second
        .account("/v1/auth/token", &pairs, body(PC_SECRET))
        .await;
    assert_eq!(status, 200, "{answer}");
    let client = Client {
        access: answer["access_token"].as_str().unwrap().to_owned(),
        profile: profile.clone(),
        ..second
    };
    let pairs = [
        ("x-client-id", PC_ID),
        ("x-device-id", did),
        ("dt", "5"),
        ("av", "1.0.2"),
        ("vc", "1002"),
    ];
    assert_eq!(listed(&client, &pairs).await, (200, 0));

    // Profiles with an access token, that works without any refresh.
    world.set("guangya", "secrets", "access").unwrap();
    world.set("guangya", "client", "web").unwrap();
    let profile = world.profile("guangya").unwrap();
    assert_eq!(profile.secrets.len(), 1);
    let access = profile.secrets["access_token"].clone();
    let client = Client {
        access,
        profile,
        ..client
    };
    assert_eq!(client.page("", 0, 10).await.len(), 0);
    world.set("guangya", "secrets", "both").unwrap();
    assert_eq!(world.profile("guangya").unwrap().secrets.len(), 2);
}

#[tokio::test]
async fn who_one_is() {
    let client = Client::plain().await;
    let url = format!("{}/v1/user/me", client.profile.endpoints["account"]);
    let bearer = format!("Bearer {}", client.access);
    for method in ["GET", "POST"] {
        let pairs = [("authorization", bearer.as_str())];
        let (status, me) = client.send(method, &url, &pairs, None).await;
        assert_eq!((status, &me["name"]), (200, &json!("guangya")));
    }
    let (status, answer) = client.send("GET", &url, &[], None).await;
    assert_eq!((status, &answer["error"]), (401, &json!("unauthenticated")));
}

#[tokio::test]
async fn paths_methods_and_bodies() {
    let client = Client::plain().await;
    let pairs = [("did", client.did()), ("dt", "4")];
    let older = "/nd.bizuserres.s/v1/file/get_file_list";
    let status = async |path: &str| client.with(path, &pairs, page()).await.0;
    assert_eq!((status(LIST).await, status(older).await), (200, 200));
    client.set("prefixes", "current");
    assert_eq!((status(LIST).await, status(older).await), (200, 404));
    client.set("prefixes", "old");
    assert_eq!((status(LIST).await, status(older).await), (404, 200));
    client.set("prefixes", "both");
    for unknown in [
        "/userres/v1/file/nothing",
        "/assets/v1/file/get_file_list",
        "/v1/user/me",
        "/x",
    ] {
        assert_eq!(status(unknown).await, 404, "{unknown}");
    }
    let assets = "/nd.bizassets.s/v1/get_assets";
    assert_eq!(client.with(assets, &pairs, json!({})).await.0, 200);

    let url = format!("{}{LIST}", client.profile.endpoints["api"]);
    let bearer = format!("Bearer {}", client.access);
    let mut all = vec![("authorization", bearer.as_str())];
    all.extend(pairs);
    assert_eq!(client.send("GET", &url, &all, None).await.0, 405);
    // Not declared as JSON, and no object.
    let body = Some(page().to_string());
    let (_, answer) = client.send("POST", &url, &all, body).await;
    assert_eq!(code(&answer), 112);
    let (_, answer) = client.with(LIST, &pairs, json!([1])).await;
    assert_eq!(code(&answer), 112);
    client.set("error_status", "400");
    let (status, answer) = client.with(LIST, &pairs, json!({})).await;
    assert_eq!((status, code(&answer)), (400, 112));
}

#[tokio::test]
async fn throttled_calls_do_nothing() {
    let client = Client::plain().await;
    let body = json!({ "parentId": "", "dirName": "d" });
    client.fault("mkdir", FaultKind::Errno, "120");
    let (status, answer) = client.call("file/create_dir", body.clone()).await;
    assert_eq!((status, code(&answer)), (200, 120));
    assert_eq!(answer["msg"], "缺少clientId");
    assert!(client.names("").await.is_empty());
    client.fault("mkdir", FaultKind::Errno, "403:117");
    let (status, answer) = client.call("file/create_dir", body.clone()).await;
    assert_eq!((status, code(&answer)), (403, 117));

    client.set("calls_per_second", "1");
    let mut refused = 0;
    for _ in 0..10 {
        let (status, answer) = client.call("file/create_dir", body.clone()).await;
        refused += u32::from(code(&answer) == 120 && status == 200);
    }
    assert!(refused >= 1);
    client.set("throttle", "429");
    let mut refused = 0;
    for _ in 0..10 {
        refused += u32::from(client.call("file/create_dir", body.clone()).await.0 == 429);
    }
    assert!(refused >= 1);
    assert_eq!(client.stat().count("mkdir"), 22);
}

#[tokio::test]
async fn success_has_many_forms() {
    let client = Client::mixed().await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let (status, answer) = client.call("file/get_file_list", page()).await;
        assert!(success(status, &answer).is_some(), "{answer}");
        let shape = (answer.get("code").cloned(), answer.get("msg").cloned());
        seen.insert(format!(
            "{shape:?} {}",
            answer["data"].get("list").is_some()
        ));
        let (_, answer) = client.call("file/get_file_detail", json!({})).await;
        assert_eq!(code(&answer), 112);
        assert!(success(200, &answer).is_none());
    }
    // Five envelopes, each with a list and without.
    assert_eq!(seen.len(), 10, "{seen:?}");
}
