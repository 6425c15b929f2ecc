//! Tokens, captchas, listings and changes over HTTP.

use serde_json::{Value, json};

use super::super::faults::{Fault, FaultKind};
use super::super::oss::sign;
use super::clients;
use super::tests::{Client, error, names};

#[tokio::test]
async fn tokens_rotate_and_expire() {
    let mut client = Client::start().await;
    let secret = client.world.profile("pikpak").unwrap().secrets["refresh_token"].clone();
    let (status, tokens) = client.refresh(&secret).await;
    assert_eq!((status, &tokens["expires_in"]), (200, &json!(7200)));
    assert_eq!(tokens["sub"], "YSabc00001001");
    let (status, answer) = client.refresh(&secret).await;
    assert_eq!((status, answer["error_code"].as_i64()), (400, Some(4126)));
    assert_eq!(answer["error"], "invalid_grant");
    // Bound to the client that got it, and a form is as good as JSON.
    let next = tokens["refresh_token"].as_str().unwrap();
    let url = format!("{}/v1/auth/token", client.url("user"));
    for (id, expected) in [("YNxT9w7GMdWvEOKa", 400), (clients::WEB_ID, 200)] {
        let form = [
            ("client_id", id),
            ("grant_type", "refresh_token"),
            ("refresh_token", next),
        ];
        let answer = client.http.post(&url).form(&form).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), expected);
    }
    let stat = client.world.stat("pikpak").unwrap();
    assert_eq!((stat.refreshes, stat.count("refresh")), (3, 5));
    assert_ne!(
        client.world.profile("pikpak").unwrap().secrets["refresh_token"],
        secret
    );

    client.ok("GET", "/drive/v1/about", Value::Null).await;
    let fault = Fault::once("list", FaultKind::ExpireToken, "");
    client.world.fault("pikpak", fault).unwrap();
    for path in ["/drive/v1/files", "/drive/v1/about"] {
        let refused = client.refused("GET", path, Value::Null).await;
        assert_eq!(refused, error(401, 16, "unauthenticated"));
    }
    client = Client::of(client.world.clone(), "pikpak").await;
    client.captcha = String::new();
    client.ok("GET", "/drive/v1/about", Value::Null).await;
    client.world.clock_advance(7_200_000);
    let refused = client.refused("GET", "/drive/v1/about", Value::Null).await;
    assert_eq!(refused, error(401, 16, "unauthenticated"));
}

#[tokio::test]
async fn sign_in_needs_its_own_captcha() {
    let client = Client::start().await;
    let body = |captcha: &Value, password: &str| {
        json!({
            "client_id": clients::WEB_ID, "username": "user1@example.com", "password": password,
            "captcha_token": captcha,
        })
    };
    let path = "/v1/auth/signin";
    let device = client.device.clone();
    let good = "hunter-1-secret";
    // A token with post-login meta does not do.
    let (_, signed) = client.captcha(&client.signed()).await;
    let (status, answer) = client
        .user(path, &device, body(&signed["captcha_token"], good))
        .await;
    assert_eq!((status, answer["error_code"].as_i64()), (400, Some(4002)));
    let (status, login) = client
        .captcha(&json!({ "email": "user1@example.com" }))
        .await;
    assert_eq!((status, &login["expires_in"]), (200, &json!(300)));
    let token = &login["captcha_token"];
    let (status, answer) = client.user(path, &device, body(token, "wrong")).await;
    assert_eq!(
        (status, &answer["error"]),
        (400, &json!("invalid_account_or_password"))
    );
    assert_eq!(client.user(path, "", body(token, good)).await.0, 400);
    let (status, answer) = client.user(path, &device, body(token, good)).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer["access_token"].as_str().unwrap().split('.').count() == 3);
    client
        .world
        .set("pikpak", "signin_without_device", "on")
        .unwrap();
    assert_eq!(client.user(path, "", body(token, good)).await.0, 200);
    client.world.clock_advance(300_000);
    assert_eq!(client.user(path, &device, body(token, good)).await.0, 400);
    // Two names, none, a wrong signature, another version's signature.
    let mut wrong = client.signed();
    wrong["captcha_sign"] = json!("1.00000000000000000000000000000000");
    let mut other = client.signed();
    other["client_version"] = json!("2.0.1");
    let two = json!({ "email": "user1@example.com", "username": "user1@example.com" });
    for meta in [two, json!({}), wrong, other] {
        let (status, answer) = client.captcha(&meta).await;
        assert_eq!(
            (status, answer["error_code"].as_i64()),
            (400, Some(9)),
            "{meta}"
        );
    }
    client.world.set("pikpak", "captcha_url", "on").unwrap();
    let (_, answer) = client
        .captcha(&json!({ "username": "user1@example.com" }))
        .await;
    assert!(answer["url"].as_str().unwrap().starts_with("https://"));
}

#[tokio::test]
async fn captcha_of_calls() {
    let mut client = Client::start().await;
    let id = client.seed("/a.bin", b"abc");
    let stat = format!("/drive/v1/files/{id}");
    client.ok("GET", &stat, Value::Null).await;
    client.world.clock_advance(300_000);
    let invalid = error(400, 9, "captcha_invalid");
    for path in [stat.as_str(), "/drive/v1/files"] {
        assert_eq!(client.refused("GET", path, Value::Null).await, invalid);
    }
    client.captcha = String::new();
    let required = error(400, 9, "captcha_required");
    assert_eq!(client.refused("GET", &stat, Value::Null).await, required);
    client.ok("GET", "/drive/v1/files", Value::Null).await;
    client.world.set("pikpak", "captcha", "all").unwrap();
    assert_eq!(
        client.refused("GET", "/drive/v1/files", Value::Null).await,
        required
    );
    client.world.set("pikpak", "captcha", "none").unwrap();
    client.ok("GET", &stat, Value::Null).await;
    client.world.set("pikpak", "captcha", "detail").unwrap();
    client.world.set("pikpak", "captcha_wall", "6").unwrap();
    client.ok("GET", "/drive/v1/files", Value::Null).await;
    assert_eq!(
        client.refused("GET", "/drive/v1/files", Value::Null).await,
        required
    );
    assert_eq!(client.world.stat("pikpak").unwrap().challenges, 5);
    client.device = "0".repeat(31);
    assert_eq!(
        client
            .refused("GET", "/drive/v1/files", Value::Null)
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn listings() {
    let client = Client::start().await;
    for n in 0..7 {
        client.seed(&format!("/d/f{n}"), format!("content {n}").as_bytes());
    }
    let root = client.list("", "").await;
    assert_eq!(
        (names(&root), &root[0]["kind"]),
        (vec!["d"], &json!("drive#folder"))
    );
    assert_eq!(
        (&root[0]["parent_id"], &root[0]["size"]),
        (&json!(""), &json!("0"))
    );
    let dir = root[0]["id"].as_str().unwrap();
    let page = |token: &str| format!("/drive/v1/files?parent_id={dir}&limit=3&page_token={token}");
    let (mut all, mut token) = (Vec::new(), String::new());
    for size in [3, 3, 1] {
        let answer = client.ok("GET", &page(&token), Value::Null).await;
        assert_eq!(answer["files"].as_array().unwrap().len(), size);
        all.extend(answer["files"].as_array().unwrap().clone());
        token = answer["next_page_token"].as_str().unwrap().to_owned();
    }
    assert!(token.is_empty());
    assert_eq!(names(&all), ["f0", "f1", "f2", "f3", "f4", "f5", "f6"]);
    assert_eq!(all[0]["size"], "9");
    assert_eq!(all[0]["hash"].as_str().unwrap().len(), 40);
    assert!(all[0]["created_time"].as_str().unwrap().ends_with("+08:00"));
    let ids = json!({ "ids": [all[1]["id"]] });
    client
        .ok("POST", "/drive/v1/files:batchTrash", ids.clone())
        .await;
    let live = r#"{"trashed":{"eq":false},"phase":{"eq":"PHASE_TYPE_COMPLETE"}}"#;
    assert_eq!(client.list(dir, live).await.len(), 6);
    assert_eq!(client.list(dir, "").await.len(), 7);
    let trash = client.list("", r#"{"trashed":{"eq":true}}"#).await;
    assert_eq!(
        (names(&trash), &trash[0]["trashed"]),
        (vec!["f1"], &json!(true))
    );
    assert!(
        client
            .list("", r#"{"kind":{"eq":"drive#file"}}"#)
            .await
            .is_empty()
    );
    for (filters, status) in [
        (r#"{"name":{"eq":"f0"}}"#, 404),
        ("no", 400),
        (r#"{"size":{"eq":1}}"#, 400),
    ] {
        let path = format!("/drive/v1/files?filters={}", sign::encode(filters));
        assert_eq!(
            client.call("GET", &path, Value::Null).await.0,
            status,
            "{filters}"
        );
    }
    assert_eq!(
        client
            .call("GET", "/drive/v1/files?parent_id=VOnone", Value::Null)
            .await
            .0,
        404
    );

    client.ok("POST", "/drive/v1/files:batchUntrash", ids).await;
    let all = format!("/drive/v1/files?parent_id={dir}");
    for kind in [
        FaultKind::TruncatedPage,
        FaultKind::NullList,
        FaultKind::Lag,
    ] {
        client
            .world
            .fault("pikpak", Fault::once("list", kind, ""))
            .unwrap();
        let answer = client.ok("GET", &all, Value::Null).await;
        match kind {
            FaultKind::TruncatedPage => {
                assert_eq!(answer["files"].as_array().unwrap().len(), 3);
                assert_ne!(answer["next_page_token"], "");
            }
            FaultKind::NullList => assert_eq!(answer["files"], Value::Null),
            _ => assert_eq!(answer["files"], json!([])),
        }
    }
    client
        .world
        .fault("pikpak", Fault::once("list", FaultKind::Errno, "10"))
        .unwrap();
    assert_eq!(
        client.refused("GET", &all, Value::Null).await,
        error(400, 10, "too_frequent")
    );
    assert_eq!(
        client.ok("GET", &all, Value::Null).await["files"]
            .as_array()
            .unwrap()
            .len(),
        7
    );
}

#[tokio::test]
async fn names_moves_and_trash() {
    let client = Client::start().await;
    let folder = |name: &str| json!({ "kind": "drive#folder", "parent_id": "", "name": name });
    let made = client.ok("POST", "/drive/v1/files", folder("box")).await;
    let dir = made["file"]["id"].as_str().unwrap().to_owned();
    let again = client
        .refused("POST", "/drive/v1/files", folder("box"))
        .await;
    assert_eq!(again, error(400, 3, "file_duplicated_name"));
    for bad in ["a/b", "a:b", ".", " a", "a ", "a.", "a\u{7}"] {
        let refused = client.refused("POST", "/drive/v1/files", folder(bad)).await;
        assert_eq!((refused.0, refused.1), (400, 3), "{bad:?}");
    }
    let empty = client.refused("POST", "/drive/v1/files", folder("")).await;
    assert_eq!(empty, error(400, 3, "file_name_empty"));

    let a = client.seed("/a.txt", b"one");
    client.seed("/box/a.txt", b"two");
    let b = client.seed("/b.txt", b"three");
    let at = |id: &str| format!("/drive/v1/files/{id}");
    let to = |id: &str, parent: &str| json!({ "ids": [id], "to": { "parent_id": parent } });
    let refused = client
        .refused("PATCH", &at(&a), json!({ "name": "b.txt" }))
        .await;
    assert_eq!(refused, error(400, 3, "file_duplicated_name"));
    let refused = client
        .refused("PATCH", &at(&a), json!({ "name": "a.txt" }))
        .await;
    assert_eq!(refused, error(400, 3, "file_rename_to_same_name"));
    let current = error(400, 9, "file_move_or_copy_to_cur");
    for (call, id, parent) in [
        ("Move", a.as_str(), ""),
        ("Copy", &a, ""),
        ("Move", &dir, &dir),
    ] {
        let path = format!("/drive/v1/files:batch{call}");
        assert_eq!(client.refused("POST", &path, to(id, parent)).await, current);
    }
    let moved = client
        .ok("POST", "/drive/v1/files:batchMove", to(&a, &dir))
        .await;
    let task = format!("/drive/v1/tasks/{}", moved["task_id"].as_str().unwrap());
    assert_eq!(
        client.ok("GET", &task, Value::Null).await["phase"],
        "PHASE_TYPE_COMPLETE"
    );
    assert_eq!(names(&client.list(&dir, "").await), ["a.txt", "a(1).txt"]);
    let rename = json!({ "name": "c.txt" });
    let refused = client.refused("PATCH", &at(&a), rename.clone()).await;
    assert_eq!(refused, error(400, 9, "file_rename_uncompleted"));
    client.world.clock_advance(200);
    assert_eq!(client.ok("PATCH", &at(&a), rename).await["name"], "c.txt");
    client
        .ok("POST", "/drive/v1/files:batchCopy", to(&b, &dir))
        .await;
    assert_eq!(
        names(&client.list(&dir, "").await),
        ["a.txt", "c.txt", "b.txt"]
    );

    // To the trash and back beside a newcomer of its name.
    let ids = json!({ "ids": [b] });
    client
        .ok("POST", "/drive/v1/files:batchTrash", ids.clone())
        .await;
    for (method, path, body) in [
        ("PATCH", at(&b), json!({ "name": "x" })),
        ("POST", "/drive/v1/files:batchMove".to_owned(), to(&b, &dir)),
    ] {
        let refused = client.refused(method, &path, body).await;
        assert_eq!(refused, error(400, 9, "file_in_recycle_bin"));
    }
    assert_eq!(
        client.ok("GET", &at(&b), Value::Null).await["trashed"],
        true
    );
    client.seed("/b.txt", b"newcomer");
    client
        .ok("POST", "/drive/v1/files:batchUntrash", ids.clone())
        .await;
    assert_eq!(
        client.ok("GET", &at(&b), Value::Null).await["name"],
        "b(1).txt"
    );

    // A slow task takes effect when it is due.
    client
        .world
        .set("pikpak", "batch_delay_ms", "60000")
        .unwrap();
    let gone = client.ok("POST", "/drive/v1/files:batchDelete", ids).await;
    let task = format!("/drive/v1/tasks/{}", gone["task_id"].as_str().unwrap());
    assert_eq!(
        client.ok("GET", &task, Value::Null).await["phase"],
        "PHASE_TYPE_RUNNING"
    );
    client.ok("GET", &at(&b), Value::Null).await;
    client.world.clock_advance(60_000);
    assert_eq!(
        client.ok("GET", &task, Value::Null).await["phase"],
        "PHASE_TYPE_COMPLETE"
    );
    assert_eq!(client.call("GET", &at(&b), Value::Null).await.0, 404);
    client.world.set("pikpak", "batch_delay_ms", "0").unwrap();

    client
        .ok(
            "POST",
            "/drive/v1/files:batchTrash",
            json!({ "ids": [dir] }),
        )
        .await;
    let child = client.list(&dir, "").await;
    assert_eq!(child[0]["trashed"], true);
    client
        .ok("PATCH", "/drive/v1/files/trash:empty", Value::Null)
        .await;
    assert_eq!(client.call("GET", &at(&dir), Value::Null).await.0, 404);
    let quota = client.ok("GET", "/drive/v1/about", Value::Null).await;
    assert_eq!(quota["quota"]["usage"], "8");
    assert_eq!(quota["quota"]["limit"], "10995116277760");
    client.world.set("pikpak", "calls_per_second", "1").unwrap();
    let mut refused = 0;
    for _ in 0..50 {
        let (status, answer) = client.call("GET", "/drive/v1/about", Value::Null).await;
        refused += usize::from(status == 429 && answer["error_code"] == 10);
    }
    assert!(refused > 0);
}
