//! Listings and changes.

use serde_json::{Value, json};

use super::super::super::faults::{Fault, FaultKind};
use super::super::super::oss::sign;
use super::super::clients;
use super::{Client, LIVE, TRASH, at, error, id_of, names};

fn folder(name: &str) -> Value {
    json!({ "kind": "drive#folder", "parent_id": "", "name": name, "space": "" })
}

fn to(ids: &[&str], parent: &str) -> Value {
    json!({ "ids": ids, "to": { "parent_id": parent, "space": "" }, "space": "" })
}

#[tokio::test]
async fn pages_and_filters() {
    let client = Client::start().await;
    for n in 0..7 {
        client.seed(&format!("/d/f{n}"), format!("content {n}").as_bytes());
    }
    let root = client.list("", LIVE).await;
    assert_eq!(
        (names(&root), &root[0]["kind"]),
        (vec!["d"], &json!("drive#folder"))
    );
    assert_eq!(
        (&root[0]["parent_id"], &root[0]["size"]),
        (&json!(""), &json!("0"))
    );
    assert!(id_of(&root[0]).starts_with('V'));
    let dir = id_of(&root[0]);
    let page = |token: &str| format!("/drive/v1/files?parent_id={dir}&limit=3&page_token={token}");
    let (mut all, mut token) = (Vec::new(), String::new());
    for size in [3, 3, 1] {
        let answer = client.get(&page(&token)).await;
        assert_eq!(answer["files"].as_array().unwrap().len(), size);
        all.extend(answer["files"].as_array().unwrap().clone());
        token = answer["next_page_token"].as_str().unwrap().to_owned();
    }
    assert!(token.is_empty());
    assert_eq!(names(&all), ["f0", "f1", "f2", "f3", "f4", "f5", "f6"]);
    assert_eq!(
        (&all[0]["size"], &all[0]["phase"]),
        (&json!("9"), &json!("PHASE_TYPE_COMPLETE"))
    );
    let hash = all[0]["hash"].as_str().unwrap();
    assert!(hash.len() == 40 && hash == hash.to_uppercase());
    assert!(all[0]["created_time"].as_str().unwrap().ends_with("+08:00"));
    for path in [
        "/drive/v1/files?parent_id=*",
        "/drive/v1/files?limit=0",
        "/drive/v1/files?page_token=x",
        &format!(
            "/drive/v1/files?filters={}",
            sign::encode(r#"{"name":{"eq":"f0"}}"#)
        ),
        "/drive/v1/files?filters=no",
    ] {
        assert_eq!(client.call("GET", path, Value::Null).await.0, 400, "{path}");
    }
    let none = "/drive/v1/files?parent_id=VNnone";
    assert_eq!(client.call("GET", none, Value::Null).await.0, 404);
    let file = format!("/drive/v1/files?parent_id={}", id_of(&all[0]));
    assert_eq!(client.call("GET", &file, Value::Null).await.0, 404);
}

#[tokio::test]
async fn listings_that_go_wrong() {
    let client = Client::start().await;
    for n in 0..7 {
        client.seed(&format!("/f{n}"), b"x");
    }
    for kind in [
        FaultKind::TruncatedPage,
        FaultKind::NullList,
        FaultKind::Lag,
    ] {
        client
            .world
            .fault("xunlei", Fault::once("list", kind, ""))
            .unwrap();
        let answer = client.get("/drive/v1/files").await;
        match kind {
            FaultKind::TruncatedPage => {
                assert_eq!(answer["files"].as_array().unwrap().len(), 3);
                assert_ne!(answer["next_page_token"], "");
            }
            FaultKind::NullList => assert_eq!(answer["files"], Value::Null),
            _ => assert_eq!(answer["files"], json!([])),
        }
    }
    for (arg, expected) in [
        ("10", error(429, 10, "too_frequent")),
        ("9", error(400, 9, "captcha_invalid")),
        ("9:file_restore_own", error(400, 9, "file_restore_own")),
        ("4121", error(401, 4121, "unauthenticated")),
        (
            "503:8:file_space_not_enough",
            error(503, 8, "file_space_not_enough"),
        ),
    ] {
        let fault = Fault::once("list", FaultKind::Errno, arg);
        client.world.fault("xunlei", fault).unwrap();
        let refused = client.refused("GET", "/drive/v1/files", Value::Null).await;
        assert_eq!(refused, expected);
    }
    assert_eq!(client.list("", LIVE).await.len(), 7);
    let list = || client.call("GET", "/drive/v1/files", Value::Null);
    client.set("parallel_lists", "0");
    let refused = super::refusal(&list().await);
    assert_eq!(refused, error(429, 10, "too_frequent"));
    client.set("parallel_lists", "1");
    assert_eq!(list().await.0, 200);
    assert_eq!(list().await.0, 200);
    client.set("calls_per_second", "1");
    let mut refused = 0;
    for _ in 0..50 {
        let (status, answer) = client.call("GET", "/drive/v1/about", Value::Null).await;
        refused += usize::from(status == 429 && answer["error_code"] == 10);
    }
    assert!(refused > 0);
}

#[tokio::test]
async fn the_browser_sees_stray_entries_and_links() {
    let mut client = Client::start().await;
    client.seed("/d/a.bin", b"abc");
    client.turn_into(clients::BROWSER_ID).await;
    let root = client.list("", TRASH).await;
    assert!(root.is_empty());
    let root = client.list("", "").await;
    assert_eq!(root[0]["created_time"], "");
    let path = format!("/drive/v1/files?parent_id={}&with=url", id_of(&root[0]));
    let files = client.get(&path).await["files"].as_array().unwrap().clone();
    assert_eq!(names(&files), ["a.bin", ""]);
    assert_eq!(
        (&files[1]["id"], &files[1]["folder_type"]),
        (&json!(""), &json!("DEFAULT_ROOT"))
    );
    assert_ne!(files[0]["web_content_link"], "");
    client.turn_into(clients::APP_ID).await;
    let dir = id_of(&root[0]).to_owned();
    assert_eq!(names(&client.list(&dir, "").await), ["a.bin"]);
    client.set("stray_root", "on");
    assert_eq!(names(&client.list(&dir, "").await), ["a.bin", ""]);
    client.set("default_folders", "on");
    let root = client.list("", LIVE).await;
    assert_eq!(names(&root), ["d", "我的转存", "云添加"]);
    assert_eq!(root[1]["folder_type"], "RESTORE");
}

#[tokio::test]
async fn folders_and_names() {
    let client = Client::start().await;
    client.set("mkdir_lag_ms", "60000");
    let made = client.post("/drive/v1/files", folder("box")).await;
    let dir = id_of(&made["file"]).to_owned();
    // Not listed yet, but there: by id, as a parent, as a name.
    assert!(client.list("", LIVE).await.is_empty());
    assert_eq!(client.get(&at(&dir)).await["name"], "box");
    let taken = error(400, 3, "file_duplicated_name");
    assert_eq!(
        client
            .refused("POST", "/drive/v1/files", folder("box"))
            .await,
        taken
    );
    client.world.clock_advance(60_000);
    assert_eq!(names(&client.list("", LIVE).await), ["box"]);
    for bad in ["a/b", "a:b", ".", "a\u{7}", "a|"] {
        let refused = client.refused("POST", "/drive/v1/files", folder(bad)).await;
        assert_eq!(refused, error(400, 3, "file_name_invalid"), "{bad:?}");
    }
    client.set("same_name_folders", "on");
    client.post("/drive/v1/files", folder("box")).await;

    let a = client.seed("/a.txt", b"one");
    client.seed("/b.txt", b"two");
    let name = |name: &str| json!({ "name": name, "space": "" });
    assert_eq!(client.refused("PATCH", &at(&a), name("b.txt")).await, taken);
    let renamed = client.ok("PATCH", &at(&a), name("c.txt")).await;
    assert_eq!(
        (&renamed["name"], &renamed["id"]),
        (&json!("c.txt"), &json!(a))
    );
    client.ok("PATCH", &at(&a), name("c.txt")).await;
    client.set("rename_lock_ms", "60000");
    let moved = client
        .post("/drive/v1/files:batchMove", to(&[&a], &dir))
        .await;
    let task = format!("/drive/v1/tasks/{}", moved["task_id"].as_str().unwrap());
    assert_eq!(client.get(&task).await["phase"], "PHASE_TYPE_COMPLETE");
    let busy = error(400, 9, "file_rename_uncompleted");
    assert_eq!(client.refused("PATCH", &at(&a), name("d.txt")).await, busy);
    client.world.clock_advance(60_000);
    client.ok("PATCH", &at(&a), name("d.txt")).await;
    assert_eq!(names(&client.list(&dir, LIVE).await), ["d.txt"]);
}

#[tokio::test]
async fn moves_and_copies() {
    let client = Client::start().await;
    let a = client.seed("/a.txt", b"one");
    client.seed("/box/a.txt", b"two");
    let root = client.list("", LIVE).await;
    let dir = root.iter().find(|file| file["name"] == "box").unwrap();
    let dir = id_of(dir).to_owned();
    let current = error(400, 9, "file_move_or_copy_to_cur");
    for (call, id, parent) in [
        ("Move", a.as_str(), ""),
        ("Copy", &a, ""),
        ("Move", &dir, &dir),
    ] {
        let path = format!("/drive/v1/files:batch{call}");
        assert_eq!(
            client.refused("POST", &path, to(&[id], parent)).await,
            current
        );
    }
    client
        .post("/drive/v1/files:batchCopy", to(&[&a], &dir))
        .await;
    let files = client.list(&dir, LIVE).await;
    assert_eq!(names(&files), ["a.txt", "a(1).txt"]);
    assert_eq!(files[1]["hash"], client.get(&at(&a)).await["hash"]);
    client.set("batch_sync", "on");
    let moved = client
        .post("/drive/v1/files:batchMove", to(&[&a], &dir))
        .await;
    assert_eq!(moved, json!({}));
    assert_eq!(client.get(&at(&a)).await["name"], "a(2).txt");
    client.set("quota_limit", "9");
    let full = client
        .refused("POST", "/drive/v1/files:batchCopy", to(&[&dir], ""))
        .await;
    assert_eq!(full.2, "file_move_or_copy_to_cur");
    let full = client
        .refused("POST", "/drive/v1/files:batchCopy", to(&[&a], ""))
        .await;
    assert_eq!(full, error(400, 8, "file_space_not_enough"));
    let none = client
        .refused("POST", "/drive/v1/files:batchMove", to(&["VNx"], ""))
        .await;
    assert_eq!(none.0, 404);
    client.set("max_batch", "1");
    let many = client
        .refused("POST", "/drive/v1/files:batchMove", to(&[&a, &a], ""))
        .await;
    assert_eq!(many.0, 400);
}

#[tokio::test]
async fn the_trash_gives_back_to_the_root() {
    let client = Client::start().await;
    let a = client.seed("/box/a.txt", b"one");
    let b = client.seed("/box/b.txt", b"four");
    client.seed("/a.txt", b"newcomer");
    let ids = |id: &str| json!({ "ids": [id], "space": "" });
    client.post("/drive/v1/files:batchTrash", ids(&a)).await;
    assert_eq!(names(&client.list("*", TRASH).await), ["a.txt"]);
    assert!(client.list("", TRASH).await.is_empty());
    let stat = client.get(&at(&a)).await;
    assert_eq!(
        (&stat["trashed"], &stat["web_content_link"]),
        (&json!(true), &json!(""))
    );
    let gone = error(400, 9, "file_in_recycle_bin");
    assert_eq!(
        client
            .refused("PATCH", &at(&a), json!({ "name": "x" }))
            .await,
        gone
    );
    let moved = client
        .refused("POST", "/drive/v1/files:batchMove", to(&[&a], ""))
        .await;
    assert_eq!(moved, gone);
    client.post("/drive/v1/files:batchUntrash", ids(&a)).await;
    let back = client.get(&at(&a)).await;
    assert_eq!(
        (&back["parent_id"], &back["name"]),
        (&json!(""), &json!("a(1).txt"))
    );
    // One at a time, and home when the setting says so.
    client.set("untrash_home", "on");
    let path = format!("{}/trash?space=", at(&b));
    client.ok("PATCH", &path, json!({})).await;
    assert_eq!(client.get(&at(&b)).await["trashed"], true);
    let quota = client.get("/drive/v1/about").await;
    assert_eq!(
        (&quota["quota"]["usage"], &quota["quota"]["usage_in_trash"]),
        (&json!("15"), &json!("4"))
    );
    assert_eq!(quota["quota"]["limit"], "2199023255552");
    client
        .ok("PATCH", &format!("{}/untrash", at(&b)), json!({}))
        .await;
    assert_ne!(client.get(&at(&b)).await["parent_id"], "");

    // A slow task takes effect when it is due.
    client.set("batch_delay_ms", "60000");
    let gone = client.post("/drive/v1/files:batchDelete", ids(&b)).await;
    let task = format!("/drive/v1/tasks/{}", gone["task_id"].as_str().unwrap());
    assert_eq!(client.get(&task).await["phase"], "PHASE_TYPE_RUNNING");
    client.get(&at(&b)).await;
    client.world.clock_advance(60_000);
    assert_eq!(client.get(&task).await["phase"], "PHASE_TYPE_COMPLETE");
    assert_eq!(client.call("GET", &at(&b), Value::Null).await.0, 404);
    client.set("batch_delay_ms", "0");
    client.post("/drive/v1/files:batchTrash", ids(&a)).await;
    client
        .ok("PATCH", "/drive/v1/files/trash:empty", json!({}))
        .await;
    assert_eq!(client.call("GET", &at(&a), Value::Null).await.0, 404);
}
