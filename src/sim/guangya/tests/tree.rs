//! Folders, names, and what is done by tasks.

use serde_json::json;

use super::super::super::faults::FaultKind;
use super::{Client, code, names, success};

#[tokio::test]
async fn folders_and_names() {
    let client = Client::plain().await;
    let make = |parent: &str, name: &str| json!({ "parentId": parent, "dirName": name });
    let made = client.ok("file/create_dir", make("", "d")).await;
    assert_eq!(
        (&made["fileName"], &made["resType"]),
        (&json!("d"), &json!(2))
    );
    let id = made["fileId"].as_str().unwrap();
    client.ok("file/create_dir", make(id, "inner")).await;
    client.seed("/f", b"x");
    let (_, answer) = client.call("file/create_dir", make("", "d")).await;
    assert_eq!(
        (code(&answer), &answer["data"]["fileId"]),
        (159, &json!(id))
    );
    let mut again = make("", "d");
    again["failIfNameExist"] = json!(true);
    assert_eq!(client.refused("file/create_dir", again).await, 159);
    assert_eq!(client.refused("file/create_dir", make("", "f")).await, 160);
    assert_eq!(client.refused("file/create_dir", make("9", "x")).await, 143);
    assert_eq!(client.refused("file/create_dir", make("*", "x")).await, 112);
    let long = "字".repeat(256);
    for wrong in [
        "", ".", "..", "a/b", "a\\b", "a:b", "a?", "a\nb", "a|b", &long,
    ] {
        let refused = client.refused("file/create_dir", make("", wrong)).await;
        assert_eq!(refused, 112, "{wrong}");
    }
    // Only the open API is against these.
    for fine in ["CON", "ends with .", " blank ", &long[..long.len() - 3]] {
        client.ok("file/create_dir", make("", fine)).await;
    }
    assert_eq!(client.names("").await.len(), 6);
}

#[tokio::test]
async fn a_rename_keeps_the_id() {
    let client = Client::plain().await;
    let file = client.seed("/a", b"x");
    client.seed("/b", b"y");
    client.mkdir("/d");
    let rename = |id: &str, name: &str| json!({ "fileId": id, "newName": name });
    let (status, answer) = client.call("file/rename", rename(&file, "c")).await;
    assert_eq!(success(status, &answer), Some(json!(null)));
    assert_eq!(client.names("").await, ["b", "c", "d"]);
    let stat = client
        .ok("file/get_file_detail", json!({ "fileId": file }))
        .await;
    assert_eq!(stat["fileInfo"]["fileName"], "c");
    client.ok("file/rename", rename(&file, "c")).await;
    assert_eq!(client.refused("file/rename", rename(&file, "b")).await, 160);
    assert_eq!(client.refused("file/rename", rename(&file, "d")).await, 159);
    assert_eq!(
        client.refused("file/rename", rename(&file, "a*")).await,
        112
    );
    assert_eq!(client.refused("file/rename", rename("5", "x")).await, 143);
}

#[tokio::test]
async fn moves_keep_ids_and_copies_do_not() {
    let client = Client::plain().await;
    let (to, from) = (client.mkdir("/to"), client.mkdir("/from"));
    let file = client.seed("/from/a", b"content");
    client.seed("/to/taken", b"1");
    let taken = client.seed("/taken", b"2");
    let into = |ids: &[&str], to: &str| json!({ "fileIds": ids, "parentId": to });
    assert_eq!(
        client.task("file/move_file", into(&[&file], &to)).await,
        (2, 0)
    );
    let rows = client.page(&to, 0, 10).await;
    assert_eq!(names(&rows), ["a", "taken"]);
    assert_eq!(rows[0]["fileId"], file);
    // The task is done, and yet it is not.
    assert_eq!(
        client.task("file/move_file", into(&[&taken], &to)).await,
        (2, 160)
    );
    assert_eq!(client.names("").await, ["from", "taken", "to"]);
    client.set("move_collision", "rename");
    assert_eq!(
        client.task("file/move_file", into(&[&taken], &to)).await,
        (2, 0)
    );
    assert_eq!(client.names(&to).await, ["a", "taken", "taken(1)"]);

    assert_eq!(
        client.task("file/copy_file", into(&[&to], &from)).await,
        (2, 0)
    );
    assert_eq!(
        client.task("file/copy_file", into(&[&to], &from)).await,
        (2, 0)
    );
    let rows = client.page(&from, 0, 10).await;
    assert_eq!(names(&rows), ["to", "to(1)"]);
    assert_ne!(rows[0]["fileId"], to);
    let inside = client
        .page(rows[0]["fileId"].as_str().unwrap(), 0, 10)
        .await;
    assert_eq!(names(&inside), ["a", "taken", "taken(1)"]);
    assert_ne!(inside[0]["fileId"], file);
    assert_eq!(inside[0]["gcid"].as_str().unwrap().len(), 40);

    let copy = rows[0]["fileId"].as_str().unwrap();
    assert_eq!(
        client.refused("file/move_file", into(&[&from], copy)).await,
        112
    );
    assert_eq!(
        client.refused("file/move_file", into(&["1"], &to)).await,
        143
    );
    assert_eq!(client.refused("file/move_file", into(&[], &to)).await, 112);
    let numbers = json!({ "fileIds": [194_000], "parentId": to });
    assert_eq!(client.refused("file/move_file", numbers).await, 112);
    client.set("max_batch", "1");
    assert_eq!(
        client
            .refused("file/move_file", into(&[&file, copy], ""))
            .await,
        112
    );
    client.set("total_size", "20");
    assert_eq!(
        client.refused("file/copy_file", into(&[&file], "")).await,
        157
    );
}

#[tokio::test]
async fn the_trash() {
    let client = Client::plain().await;
    let dir = client.mkdir("/d");
    let inner = client.seed("/d/inner", b"1");
    let file = client.seed("/f", b"2");
    let ids = |ids: &[&str]| json!({ "fileIds": ids });
    assert_eq!(client.task("file/delete_file", ids(&[&dir])).await, (2, 0));
    client.world.clock_advance(1000);
    assert_eq!(client.task("file/delete_file", ids(&[&file])).await, (2, 0));
    assert!(client.names("").await.is_empty());
    // The newest first; only what was deleted itself.
    assert_eq!(names(&client.trash().await), ["f", "d"]);
    for gone in [&dir, &inner, &file] {
        let body = json!({ "fileId": gone });
        assert_eq!(
            client.refused("file/get_file_detail", body.clone()).await,
            149
        );
        assert_eq!(client.refused("get_res_download_url", body).await, 149);
    }
    assert_eq!(
        client.refused("file/delete_file", ids(&[&inner])).await,
        149
    );

    // A name that was taken meanwhile is not overwritten.
    client.seed("/f", b"3");
    assert_eq!(
        client.task("file/recycle_file", ids(&[&dir, &file])).await,
        (2, 0)
    );
    assert_eq!(client.names("").await, ["d", "f", "f(1)"]);
    assert_eq!(
        client.refused("file/recycle_file", ids(&[&file])).await,
        112
    );
    assert_eq!(client.refused("file/recycle_file", ids(&["1"])).await, 143);

    // Once more is for good.
    assert_eq!(client.task("file/delete_file", ids(&[&file])).await, (2, 0));
    assert_eq!(client.task("file/delete_file", ids(&[&file])).await, (2, 0));
    assert_eq!(client.refused("file/delete_file", ids(&[&file])).await, 143);
    assert_eq!(client.stat().count("purge"), 1);
    // What lay in a folder that is gone comes back at the root.
    assert_eq!(
        client.task("file/delete_file", ids(&[&inner])).await,
        (2, 0)
    );
    assert_eq!(client.task("file/delete_file", ids(&[&dir])).await, (2, 0));
    assert_eq!(
        client.task("file/recycle_file", ids(&[&inner])).await,
        (2, 0)
    );
    assert_eq!(client.names("").await, ["f", "inner"]);
    assert_eq!(
        client.task("file/clear_recycle_bin", json!(null)).await,
        (2, 0)
    );
    assert!(client.trash().await.is_empty());
    assert_eq!(client.refused("file/delete_file", ids(&[&dir])).await, 143);
}

#[tokio::test]
async fn tasks_take_their_time() {
    let client = Client::plain().await;
    let file = client.seed("/f", b"2");
    let body = json!({ "fileIds": [file] });
    client.set("task_polls", "2");
    let data = client.ok("file/delete_file", body.clone()).await;
    let poll = async |id: &serde_json::Value| {
        let data = client.ok("get_task_status", json!({ "taskId": id })).await;
        data["status"].as_i64().unwrap()
    };
    let id = &data["taskId"];
    assert_eq!(client.names("").await, ["f"]);
    assert_eq!((poll(id).await, poll(id).await), (0, 1));
    assert_eq!(client.names("").await, ["f"]);
    assert_eq!((poll(id).await, poll(id).await), (2, 2));
    assert!(client.names("").await.is_empty());
    assert_eq!(
        client
            .refused("get_task_status", json!({ "taskId": "no" }))
            .await,
        112
    );
    let other = Client::of(&client.world, "guangya-2").await;
    let stranger = other
        .refused("get_task_status", json!({ "taskId": id }))
        .await;
    assert_eq!(stranger, 112);

    // By itself, when nobody asks.
    client.ok("file/recycle_file", body.clone()).await;
    client.world.clock_advance(600_000);
    assert_eq!(client.names("").await, ["f"]);

    for (arg, wanted) in [("", (3, 100)), ("-1", (-1, 100)), ("102", (2, 102))] {
        client.fault("task", FaultKind::CommitFail, arg);
        assert_eq!(client.task("file/delete_file", body.clone()).await, wanted);
        assert_eq!(client.names("").await, ["f"]);
    }
    // Done with the call.
    client.set("task", "sync");
    let data = client.ok("file/delete_file", body.clone()).await;
    assert!(data.get("taskId").is_none());
    assert!(client.names("").await.is_empty());
    // The answer is lost, the work is done.
    client.fault("restore", FaultKind::DropAnswer, "");
    let url = format!(
        "{}/userres/v1/file/recycle_file",
        client.profile.endpoints["api"]
    );
    let request = client.http.post(url).bearer_auth(&client.access);
    let request = request
        .header("did", client.did())
        .header("dt", "4")
        .json(&body);
    assert!(request.send().await.is_err());
    assert_eq!(client.names("").await, ["f"]);
    client.seed("/to/f", b"1");
    let to = client.mkdir("/to");
    let body = json!({ "fileIds": [file], "parentId": to });
    assert_eq!(client.refused("file/move_file", body).await, 160);
}
