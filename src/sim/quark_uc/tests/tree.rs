//! Changes of the tree, the trash, tasks.

use serde_json::{Value, json};

use super::super::super::faults::FaultKind;
use super::Client;

fn mkdir(parent: &str, name: &str) -> Value {
    json!({ "pdir_fid": parent, "file_name": name, "dir_path": "", "dir_init_lock": false })
}

fn moving(fids: &[&str], to: &str) -> Value {
    json!({ "action_type": 1, "exclude_fids": [], "filelist": fids, "to_pdir_fid": to })
}

fn deleting(fids: &[&str]) -> Value {
    json!({ "action_type": 2, "exclude_fids": [], "filelist": fids })
}

#[tokio::test]
async fn folders_and_names() {
    let client = Client::quark();
    let made = client.post("/file", mkdir("0", "New")).await;
    assert_eq!(made["finish"], true);
    let dir = made["fid"].as_str().unwrap();
    assert_eq!(dir.len(), 32);
    assert_eq!(
        client.refused("/file", mkdir("0", "New")).await,
        (400, 23008)
    );
    assert_eq!(
        client.refused("/file", mkdir("none", "x")).await,
        (400, 41010)
    );
    let long = "x".repeat(256);
    for name in [
        "", "a/b", "a:b", "a*b", "a?b", "a\"b", "a<b", "a>b", "a|b", "a\\b", &long,
    ] {
        assert_eq!(
            client.refused("/file", mkdir("0", name)).await,
            (400, 14001),
            "{name}"
        );
    }
    client.post("/file", mkdir("0", "new")).await;
    let path = json!({ "pdir_fid": "0", "file_name": "", "dir_path": "/New/b/c" });
    let deep = client.post("/file", path.clone()).await;
    assert_eq!(client.post("/file", path).await["fid"], deep["fid"]);
    assert_eq!(client.names(dir).await, ["b"]);

    let file = client.seed("/a.txt", b"a");
    client.seed("/b.txt", b"b");
    let rename = |fid: &str, name: &str| json!({ "fid": fid, "file_name": name });
    for (fid, name, wanted) in [
        (file.as_str(), "b.txt", (400, 23008)),
        (&file, "New", (400, 23008)),
        (&file, "a/b", (400, 14001)),
        ("none", "x", (404, 41006)),
        ("0", "x", (404, 41006)),
    ] {
        assert_eq!(
            client.refused("/file/rename", rename(fid, name)).await,
            wanted,
            "{name}"
        );
    }
    client.post("/file/rename", rename(&file, "a.txt")).await;
    client.post("/file/rename", rename(&file, "c.md")).await;
    assert_eq!(client.names("0").await, ["New", "b.txt", "c.md", "new"]);
}

#[tokio::test]
async fn moves_and_copies() {
    let client = Client::quark();
    let a = client.seed("/a.txt", b"a");
    let b = client.seed("/b.txt", b"b");
    client.seed("/to/a.txt", b"other");
    let to = client
        .list("0")
        .await
        .iter()
        .find(|row| row["dir"] == true)
        .unwrap()["fid"]
        .clone();
    let to = to.as_str().unwrap();
    let started = client.post("/file/move", moving(&[&a, &b], to)).await;
    assert_eq!(started["finish"], false);
    // Nothing happened yet; two polls it takes.
    assert_eq!(client.names("0").await, ["a.txt", "b.txt", "to"]);
    let (task, polls) = client.done(&started).await;
    assert_eq!((polls, &task["task_title"]), (2, &json!("文件-移动")));
    assert_eq!(client.names(to).await, ["a(1).txt", "a.txt", "b.txt"]);
    // By itself after a while.
    client.post("/file/move", moving(&[&b], "0")).await;
    client.world.clock_advance(3000);
    assert_eq!(client.names("0").await, ["b.txt", "to"]);
    client.set("task_polls", "0");
    assert_eq!(
        client.post("/file/move", moving(&[&a], "0")).await["finish"],
        true
    );
    assert_eq!(client.names("0").await, ["a(1).txt", "b.txt", "to"]);
    for (body, wanted) in [
        (moving(&["none"], to), (404, 41006)),
        (moving(&[&a], "none"), (400, 41010)),
        (moving(&[&a], &b), (400, 41010)),
        (moving(&[to], to), (400, 14001)),
        (moving(&[], to), (400, 14001)),
        (moving(&vec!["x"; 101], to), (400, 14001)),
    ] {
        assert_eq!(client.refused("/file/move", body).await, wanted);
    }
    client.seed("/a.txt", b"third");
    let third = client
        .list("0")
        .await
        .iter()
        .find(|row| row["file_name"] == "a.txt")
        .unwrap()["fid"]
        .clone();
    client.set("collision", "refuse");
    let body = moving(&[third.as_str().unwrap()], to);
    assert_eq!(client.refused("/file/move", body).await, (400, 23008));

    let objects = json!({ "action_type": 1, "filelist": [{ "fid": b, "share_f_id": "" }], "to_pdir_fid": to });
    for body in [moving(&[&b], to), objects] {
        client.post("/file/copy", body).await;
    }
    assert_eq!(client.names(to).await, ["a.txt", "b(1).txt", "b.txt"]);
    client.set("total_size", "1");
    assert_eq!(
        client.refused("/file/copy", moving(&[&b], to)).await,
        (400, 32003)
    );
    client.set("copy", "off");
    assert_eq!(
        client.refused("/file/copy", moving(&[&b], to)).await,
        (404, 14001)
    );
}

#[tokio::test]
async fn tasks() {
    let client = Client::quark();
    client.set("number_ids", "on");
    client.set("tq_gap_ms", "20");
    client.set("task_polls", "2");
    let a = client.seed("/a.txt", b"a");
    client.seed("/d/x", b"x");
    let dir = client
        .list("0")
        .await
        .iter()
        .find(|row| row["dir"] == true)
        .unwrap()["fid"]
        .clone();
    let dir = dir.as_str().unwrap();
    let started = client.whole("/file/move", moving(&[&a], dir)).await;
    assert_eq!(started["metadata"]["tq_gap"], 20);
    let id = started["data"]["task_id"].as_u64().unwrap();
    let poll = format!("/task?task_id={id}&retry_index=0");
    let mut seen = Vec::new();
    for _ in 0..3 {
        let task = client.whole(&poll, Value::Null).await;
        assert_eq!(task["metadata"]["tq_gap"], 20);
        seen.push(task["data"]["status"].as_i64().unwrap());
    }
    assert_eq!(seen, [1, 0, 2]);
    assert_eq!(
        client.refused("/task?task_id=1", Value::Null).await,
        (400, 14001)
    );
    let bad = format!("/task?task_id={id}&retry_index=x");
    assert_eq!(client.refused(&bad, Value::Null).await, (400, 14001));
    let other = Client::of(&client.world, "quark-2");
    assert_eq!(other.refused(&poll, Value::Null).await, (400, 14001));
    // A failed one does nothing.
    let started = client.post("/file/move", moving(&[&a], "0")).await;
    client.fault("task", FaultKind::CommitFail, "");
    let poll = format!("/task?task_id={}", started["task_id"]);
    assert_eq!(client.get(&poll).await["status"], 3);
    assert_eq!(client.names(dir).await, ["a.txt", "x"]);
    // The target went away meanwhile.
    client.set("task_polls", "1");
    let made = client.post("/file", mkdir("0", "soon gone")).await;
    let gone = made["fid"].as_str().unwrap();
    let started = client.post("/file/move", moving(&[&a], gone)).await;
    client.set("task_polls", "0");
    client.post("/file/delete", deleting(&[gone])).await;
    let poll = format!("/task?task_id={}", started["task_id"]);
    client.get(&poll).await;
    assert_eq!(client.refused(&poll, Value::Null).await, (400, 41013));
}

#[tokio::test]
async fn trash_and_back() {
    let client = Client::quark();
    let a = client.seed("/d/a & b.txt", b"abc");
    let inner = client.seed("/d/sub/x", b"x");
    let dir = client.get(&format!("/file/info?fid={a}")).await["pdir_fid"].clone();
    let dir = dir.as_str().unwrap();
    client.task("/file/delete", deleting(&[&a])).await;
    assert_eq!(client.names(dir).await, ["sub"]);
    for (body, wanted) in [
        (deleting(&[&a]), (404, 41006)),
        (deleting(&["0"]), (404, 41006)),
        (
            json!({ "action_type": 3, "filelist": [inner] }),
            (400, 14001),
        ),
    ] {
        assert_eq!(client.refused("/file/delete", body).await, wanted);
    }
    let bin = client.get("/file/recycle/list?_page=1&_size=30").await;
    let record = &bin["list"][0];
    assert_eq!(
        (&record["fid"], &record["file_name"]),
        (&json!(a), &json!("a &amp; b.txt"))
    );
    assert_eq!(client.get("/member").await["use_capacity"], 4);
    let deep = "/file/deep_recycle/list?_page=1&_size=100&_fetch_total=1";
    assert_eq!(
        client.get(deep).await["deep_recycle_stat"]["deep_recycle_count"],
        1
    );
    // Back beside a newcomer.
    client.seed("/d/a & b.txt", b"newcomer");
    let recover = "/file/recycle/recover";
    let body = |mode: u8, id: &Value| json!({ "select_mode": mode, "record_list": [id] });
    assert_eq!(
        client.refused(recover, body(2, &record["record_id"])).await,
        (400, 14001)
    );
    assert_eq!(
        client.refused(recover, body(1, &json!("none"))).await,
        (404, 41006)
    );
    client.task(recover, body(1, &record["record_id"])).await;
    assert_eq!(
        client.names(dir).await,
        ["a &amp; b(1).txt", "a &amp; b.txt", "sub"]
    );
    assert!(
        client.get("/file/recycle/list").await["list"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    // The other list is minutes old.
    assert_eq!(client.get(deep).await["list"].as_array().unwrap().len(), 1);
    client.world.clock_advance(180_000);
    assert!(
        client.get(deep).await["list"]
            .as_array()
            .unwrap()
            .is_empty()
    );

    // A folder with all that is in it, by entry id; then for good.
    client.task("/file/delete", deleting(&[dir])).await;
    assert_eq!(
        client
            .refused(&format!("/file/info?fid={inner}"), Value::Null)
            .await
            .0,
        404
    );
    client
        .task(recover, json!({ "select_mode": 1, "fids": [dir] }))
        .await;
    client.get(&format!("/file/info?fid={inner}")).await;
    client.task("/file/delete", deleting(&[&inner])).await;
    client.task("/file/delete", deleting(&[dir])).await;
    let lost = json!({ "select_mode": 1, "fids": [inner] });
    let started = client.post(recover, lost).await;
    let poll = format!("/task?task_id={}", started["task_id"].as_str().unwrap());
    client.get(&poll).await;
    assert_eq!(client.refused(&poll, Value::Null).await, (400, 41013));
    let bin = client.get("/file/recycle/list").await;
    let records: Vec<Value> = bin["list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["record_id"].clone())
        .collect();
    let purge = json!({ "select_mode": 2, "record_list": records });
    client.post("/file/recycle/remove", purge).await;
    assert_eq!(client.get("/member").await["use_capacity"], 0);
    let b = client.seed("/b.txt", b"b");
    client.task("/file/delete", deleting(&[&b])).await;
    client.world.clock_advance(10 * 86_400_000);
    client.drop_cookie("__puus");
    assert!(
        client.get("/file/recycle/list").await["list"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}
