//! Changes, and the tasks of some (sections 4 and 9).

use super::*;

#[tokio::test]
async fn names_repeat() {
    let client = Client::new().await;
    let body = json!({ "name": "same", "folder_token": client.root });
    let one = client.good("create_folder", body.clone()).await;
    let two = client.good("create_folder", body).await;
    assert_ne!(one["token"], two["token"]);
    client.upload("same", b"1").await;
    client.upload("same", b"2").await;
    client.set("add:/same", "docx");
    client.set("add:/same", "file:5:1");
    assert_eq!(client.names("").await, ["same"; 6]);
    let long = |count: usize| json!({ "name": "\u{e4}".repeat(count), "folder_token": "" });
    client.bad("create_folder", long(129), 1_061_002).await;
    client.good("create_folder", long(128)).await;
    client
        .bad("create_folder", json!({ "name": "" }), 99_992_402)
        .await;
    client
        .bad("create_folder", json!({ "name": 1 }), 99_992_402)
        .await;
    client
        .bad("create_folder", json!({ "name": "a\u{1}" }), 1_061_109)
        .await;
    let lost = json!({ "name": "x", "folder_token": "none" });
    client.bad("create_folder", lost, 1_061_044).await;
    client.set("max_siblings", "7");
    client
        .bad("create_folder", json!({ "name": "x" }), 1_062_507)
        .await;
    let fields = client.fields("x", b"1");
    assert_eq!(
        client.form("upload_all", &fields, b"1").await.code(),
        1_062_507
    );
    client.set("max_siblings", "1500");
    client.set("max_depth", "1");
    let deep = json!({ "name": "x", "folder_token": one["token"] });
    client.bad("create_folder", deep.clone(), 1_061_042).await;
    client.set("max_depth", "2");
    client.good("create_folder", deep).await;
}

#[tokio::test]
async fn renames_are_verbatim() {
    let client = Client::new().await;
    let file = client.seed("/a.txt", b"1");
    client.rename(&file, "file", "b").await.data();
    assert_eq!(client.names("").await, ["b"]);
    client.rename(&file, "file", "").await.data();
    assert_eq!(client.names("").await, [""]);
    client.rename(&file, "file", "c").await.data();
    for (token, kind, code) in [
        (file.as_str(), "docx", 981_003),
        (file.as_str(), "doc", 981_002),
        (file.as_str(), "mindnote", 981_002),
        (file.as_str(), "", 981_002),
        ("none", "file", 981_003),
        (client.root.as_str(), "folder", 981_004),
    ] {
        assert_eq!(client.rename(token, kind, "x").await.code(), code, "{kind}");
    }
    let long = "x".repeat(251);
    assert_eq!(client.rename(&file, "file", &long).await.code(), 1_061_002);
    let path = format!("drive/v1/files/{file}?type=file");
    let empty = client.ask(Method::PATCH, &path).json(&json!({}));
    assert_eq!(client.send(empty).await.code(), 99_992_402);
    client.set("add:/doc", "docx");
    let data = client.get("drive/v1/files").await.data();
    let files = data["files"].as_array().unwrap();
    let doc = files.iter().find(|file| file["type"] == "docx").unwrap();
    let doc = doc["token"].as_str().unwrap();
    client.rename(doc, "docx", "a/b").await.data();
    assert_eq!(client.paths(), ["/a/b", "/c"]);
    let other = Client::of(&client.world, "lark-2").await;
    assert_eq!(
        other.rename(file.as_str(), "file", "mine").await.code(),
        981_004
    );
}

#[tokio::test]
async fn files_move_at_once_and_folders_by_a_task() {
    let client = Client::new().await;
    let file = client.seed("/from/a", b"1");
    client.seed("/to/a", b"2");
    let (from, to) = (client.mkdir("/from"), client.mkdir("/to"));
    let call = |token: &str| format!("{token}/move");
    let place = |kind: &str, to: &str| json!({ "type": kind, "folder_token": to });
    assert_eq!(
        client.good(&call(&file), place("file", &from)).await,
        json!({})
    );
    assert_eq!(
        client.good(&call(&file), place("file", &to)).await,
        json!({})
    );
    assert_eq!(client.paths(), ["/from", "/to", "/to/a", "/to/a"]);
    client
        .bad(&call(&file), place("folder", &to), 1_061_003)
        .await;
    client
        .bad(&call(&file), place("paper", &to), 1_061_002)
        .await;
    client
        .bad(&call(&file), place("file", "none"), 1_061_044)
        .await;
    client
        .bad(&call(&from), place("folder", &from), 1_061_002)
        .await;
    client
        .bad(&call(&client.root), place("folder", &to), 1_061_004)
        .await;
    let task = client.good(&call(&from), place("folder", &to)).await;
    let task = &task["task_id"];
    assert_eq!(client.task(task).await, "process");
    assert_eq!(client.paths(), ["/from", "/to", "/to/a", "/to/a"]);
    assert_eq!(client.task(task).await, "process");
    assert_eq!(client.task(task).await, "success");
    assert_eq!(client.task(task).await, "success");
    assert_eq!(client.paths(), ["/to", "/to/a", "/to/a", "/to/from"]);
    let back = client.good(&call(&from), place("folder", "")).await;
    client.set("early_fail", "on");
    client.set("task_polls", "0");
    assert_eq!(client.task(&back["task_id"]).await, "fail");
    client.fault("task", FaultKind::CommitFail, "failed");
    assert_eq!(client.task(&back["task_id"]).await, "failed");
    assert_eq!(client.paths(), ["/to", "/to/a", "/to/a", "/to/from"]);
    client.set("task", "sync");
    assert_eq!(
        client.good(&call(&from), place("folder", "")).await,
        json!({})
    );
    assert_eq!(client.paths(), ["/from", "/to", "/to/a", "/to/a"]);
    let other = Client::of(&client.world, "lark-2").await;
    let id = task.as_str().unwrap();
    let foreign = format!("drive/v1/files/task_check?task_id={id}");
    assert_eq!(other.get(&foreign).await.code(), 1_061_003);
    assert_eq!(
        client.get("drive/v1/files/task_check").await.code(),
        99_992_402
    );
}

#[tokio::test]
async fn deletes_go_to_the_trash() {
    let client = Client::new().await;
    let file = client.seed("/d/a", b"1");
    let slow = client.seed("/b", b"1");
    let folder = client.mkdir("/d");
    assert_eq!(client.delete(&file, "folder", "").await.code(), 1_061_003);
    assert_eq!(client.delete(&file, "", "").await.code(), 1_061_002);
    assert_eq!(
        client
            .delete(file.as_str(), "file", "&async=x")
            .await
            .code(),
        99_992_402
    );
    assert_eq!(
        client.delete(&client.root, "folder", "").await.code(),
        1_061_004
    );
    assert_eq!(client.delete("none", "file", "").await.code(), 1_061_003);
    assert_eq!(client.delete(&file, "file", "").await.data(), json!({}));
    assert_eq!(client.delete(&file, "file", "").await.code(), 1_061_007);
    let task = client.delete(&slow, "file", "&async=true").await.data();
    assert_eq!(client.paths(), ["/b", "/d"]);
    for wanted in ["process", "process", "success"] {
        assert_eq!(client.task(&task["task_id"]).await, wanted);
    }
    let task = client.delete(&folder, "folder", "").await.data();
    assert_eq!(client.paths(), ["/d"]);
    // Nobody asks, and it is done all the same.
    client.world.clock_advance(600_001);
    assert_eq!(client.task(&task["task_id"]).await, "success");
    assert!(client.paths().is_empty());
    let mut fields = client.fields("late", b"1");
    fields[2].1 = folder.clone();
    assert_eq!(
        client.form("upload_all", &fields, b"1").await.code(),
        1_061_041
    );
    let listing = format!("drive/v1/files?folder_token={folder}");
    assert_eq!(client.get(&listing).await.code(), 1_061_007);
}

#[tokio::test]
async fn copies_and_shortcuts() {
    let client = Client::new().await;
    let file = client.seed("/a", b"12345");
    let folder = client.mkdir("/d");
    let body =
        |name: &str, kind: &str| json!({ "name": name, "type": kind, "folder_token": folder });
    let call = format!("{file}/copy");
    let copy = client.good(&call, body("a", "file")).await;
    assert_eq!(
        (&copy["file"]["name"], &copy["file"]["type"]),
        (&json!("a"), &json!("file"))
    );
    assert_ne!(copy["file"]["token"], file.as_str());
    client.good(&call, body("a", "file")).await;
    assert_eq!(client.paths(), ["/a", "/d", "/d/a", "/d/a"]);
    assert_eq!(
        &client.world.read("lark", "/d/a", 0, 9).unwrap()[..],
        b"12345"
    );
    client
        .bad(&format!("{folder}/copy"), body("e", "folder"), 1_061_002)
        .await;
    client.bad(&call, body("", "file"), 99_992_402).await;
    client.bad(&call, body("x", "docx"), 1_061_003).await;
    client.set("total_size", "19");
    client.bad(&call, body("x", "file"), 1_061_061).await;
    client.set("total_size", "20");
    client.good(&call, body("x", "file")).await;
    let entity = |token: &str, kind: &str| json!({ "refer_token": token, "refer_type": kind });
    let shortcut = json!({ "parent_token": folder, "refer_entity": entity(file.as_str(), "file") });
    let made = client.good("create_shortcut", shortcut).await;
    let node = &made["succ_shortcut_node"];
    assert_eq!(
        (&node["type"], &node["name"]),
        (&json!("shortcut"), &json!("a"))
    );
    assert_eq!(node["shortcut_info"]["target_token"], file.as_str());
    let token = node["token"].as_str().unwrap();
    assert_eq!(client.rename(token, "shortcut", "x").await.code(), 981_002);
    client
        .bad(&format!("{token}/copy"), body("e", "shortcut"), 1_061_002)
        .await;
    client.delete(token, "shortcut", "").await.data();
    let lost = json!({ "parent_token": folder, "refer_entity": entity("none", "file") });
    client.bad("create_shortcut", lost, 1_061_003).await;
    client
        .bad(
            "create_shortcut",
            json!({ "parent_token": folder }),
            99_992_402,
        )
        .await;
}
