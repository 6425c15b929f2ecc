//! Shares and taking over from them.

use serde_json::{Value, json};

use super::{Client, LIVE, at, error, id_of, names};

async fn share(client: &Client, ids: &[&str], days: &str, times: &str) -> (String, String) {
    let body = json!({
        "file_ids": ids, "share_to": "copy", "title": "for you", "restore_limit": times,
        "expiration_days": days,
        "params": { "subscribe_push": "false", "WithPassCodeInLink": "true" },
    });
    let made = client.post("/drive/v1/share", body).await;
    let id = made["share_id"].as_str().unwrap().to_owned();
    assert!(made["share_url"].as_str().unwrap().ends_with(&id));
    (id, made["pass_code"].as_str().unwrap().to_owned())
}

async fn open(client: &Client, id: &str, code: &str) -> Value {
    let path = format!("/drive/v1/share?share_id={id}&pass_code={code}&limit=100");
    client.get(&path).await
}

fn restore(id: &str, token: &Value, parent: &str, file: &str) -> Value {
    json!({
        "parent_id": parent, "share_id": id, "pass_code_token": token, "ancestor_ids": [],
        "file_ids": [file], "specify_parent_id": true,
    })
}

#[tokio::test]
async fn anybody_with_the_code_reads_a_share() {
    let client = Client::start().await;
    let a = client.seed("/box/a.txt", b"one");
    client.seed("/private.txt", b"two");
    let box_id = client.get(&at(&a)).await["parent_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let (id, code) = share(&client, &[&box_id], "1", "-1").await;
    let mut reader = Client::of(client.world.clone(), "xunlei-2").await;
    reader.access = String::new();
    assert_eq!(
        open(&reader, &id, "").await["share_status"],
        "PASS_CODE_EMPTY"
    );
    assert_eq!(
        open(&reader, &id, "?").await["share_status"],
        "PASS_CODE_ERROR"
    );
    assert_eq!(
        open(&reader, "VNsnone", &code).await["share_status"],
        "NOT_FOUND"
    );
    let shown = open(&reader, &id, &code).await;
    assert_eq!(
        (&shown["share_status"], &shown["title"]),
        (&json!("OK"), &json!("for you"))
    );
    assert_eq!(names(shown["files"].as_array().unwrap()), ["box"]);
    let token = shown["pass_code_token"].as_str().unwrap();
    let below = |more: &str| {
        format!(
            "/drive/v1/share/detail?share_id={id}&parent_id={box_id}&pass_code_token={token}{more}"
        )
    };
    let files = reader.get(&below("")).await["files"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(
        (names(&files), &files[0]["hash"]),
        (vec!["a.txt"], &json!(""))
    );
    let files = reader.get(&below("&with_audit=false")).await;
    assert_eq!(files["files"][0]["hash"].as_str().unwrap().len(), 40);
    let info =
        format!("/drive/v1/share/file_info?share_id={id}&file_id={a}&pass_code_token={token}");
    let file = reader.get(&info).await["file_info"].clone();
    let url = file["web_content_link"].as_str().unwrap();
    assert_eq!(
        reader
            .http
            .get(url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap(),
        "one"
    );
    let private = client.world.tree("xunlei").unwrap();
    let private = private["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["path"] == "/private.txt");
    let secret = info.replace(&a, id_of(private.unwrap()));
    assert_eq!(reader.call("GET", &secret, Value::Null).await.0, 404);
    let unknown = below("").replace(token, "pct.guess");
    assert_eq!(
        reader.get(&unknown).await["share_status"],
        "PASS_CODE_EMPTY"
    );
    // The captcha is theirs too, and a share ends.
    reader.captcha = String::new();
    let refused = reader.refused("GET", &below(""), Value::Null).await;
    assert_eq!(refused, error(400, 9, "captcha_required"));
    client.set("captcha", "none");
    client.world.clock_advance(86_400_000);
    assert_eq!(reader.get(&below("")).await["share_status"], "EXPIRED");
    let stat = client.world.stat("xunlei").unwrap();
    assert_eq!(
        (stat.count("share_create"), stat.count("share_file")),
        (1, 2)
    );
}

#[tokio::test]
async fn what_a_share_is_made_of() {
    let client = Client::start().await;
    let a = client.seed("/a.txt", b"one");
    for (key, value) in [
        ("restore_limit", json!("21")),
        ("restore_limit", json!(3)),
        ("expiration_days", json!("8")),
        ("file_ids", json!([])),
    ] {
        let mut body = json!({
            "file_ids": [a], "restore_limit": "-1", "expiration_days": "-1", "share_to": "copy",
        });
        body[key] = value;
        assert_eq!(
            client.call("POST", "/drive/v1/share", body).await.0,
            400,
            "{key}"
        );
    }
    let (id, code) = share(&client, &[&a], "-1", "-1").await;
    let token = open(&client, &id, &code).await["pass_code_token"].clone();
    let own = client
        .refused(
            "POST",
            "/drive/v1/share/restore",
            restore(&id, &token, "", &a),
        )
        .await;
    assert_eq!(own, error(400, 9, "file_restore_own"));
    client
        .post("/drive/v1/files:batchDelete", json!({ "ids": [a] }))
        .await;
    assert_eq!(open(&client, &id, &code).await["share_status"], "DELETED");
}

#[tokio::test]
async fn a_restore_is_a_task_and_its_folder_must_be_set_first() {
    let client = Client::start().await;
    let a = client.seed("/box/a.txt", b"one");
    client.seed("/box/sub/b.txt", b"three");
    let box_id = client.get(&at(&a)).await["parent_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let (id, code) = share(&client, &[&box_id], "-1", "2").await;
    let other = Client::of(client.world.clone(), "xunlei-2").await;
    let dir = other.world.mkdir("xunlei-2", "/mine").unwrap();
    let token = open(&other, &id, &code).await["pass_code_token"].clone();
    let path = "/drive/v1/share/restore";
    let unread = other
        .post(path, restore(&id, &json!("pct.x"), &dir, &box_id))
        .await;
    assert_eq!(unread["share_status"], "PASS_CODE_EMPTY");
    let set = json!({ "item": "restore_path", "value": dir });
    other.post("/drive/v1/settings", set).await;
    other.set("batch_delay_ms", "60000");
    let started = other.post(path, restore(&id, &token, &dir, &box_id)).await;
    assert_eq!(started["restore_status"], "RESTORE_START");
    let task = format!(
        "/drive/v1/tasks/{}",
        started["restore_task_id"].as_str().unwrap()
    );
    assert_eq!(other.get(&task).await["phase"], "PHASE_TYPE_RUNNING");
    assert!(other.list(&dir, LIVE).await.is_empty());
    other.world.clock_advance(60_000);
    let done = other.get(&task).await;
    assert_eq!(done["phase"], "PHASE_TYPE_COMPLETE");
    let traced = done["params"]["trace_file_ids"].as_str().unwrap();
    let traced: Value = serde_json::from_str(traced).unwrap();
    let files = other.list(&dir, LIVE).await;
    assert_eq!(
        (names(&files), &files[0]["id"]),
        (vec!["box"], &traced[&box_id])
    );
    let copy = other
        .world
        .read("xunlei-2", "/mine/box/sub/b.txt", 0, 9)
        .unwrap();
    assert_eq!(&copy[..], b"three");
    // Without the setting it lands in the folder for restored files.
    other.set("batch_delay_ms", "0");
    other
        .post(
            "/drive/v1/settings",
            json!({ "item": "restore_path", "value": "" }),
        )
        .await;
    other.post(path, restore(&id, &token, &dir, &a)).await;
    other.list("", LIVE).await;
    let copy = other
        .world
        .read("xunlei-2", "/我的转存/a.txt", 0, 9)
        .unwrap();
    assert_eq!(&copy[..], b"one");
    // Twice was the limit.
    let third = other.post(path, restore(&id, &token, &dir, &a)).await;
    assert_ne!(third["share_status"], "OK");
    let bad = json!({ "item": "theme", "value": "dark" });
    assert_eq!(other.call("POST", "/drive/v1/settings", bad).await.0, 400);
}
