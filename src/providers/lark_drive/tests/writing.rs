//! Directories, renames, moves, copies, trash.

use super::*;
use crate::drive::{ErrorKind, Node, NodeKind};

fn node(id: &str, kind: NodeKind) -> Node {
    Node {
        id: NodeId::new(id),
        parent: NodeId::new("fldD"),
        name: "old".to_owned(),
        kind,
        size: 3,
        modified: 0,
        created: 0,
        version: "7".to_owned(),
        fingerprints: Fingerprints::new(),
        handle: None,
        raw: None,
    }
}

fn entry(token: &str, name: &str, kind: &str) -> Value {
    json!({"token":token,"name":name,"type":kind,"created_time":now(),"modified_time":now()})
}

#[tokio::test]
async fn a_directory_whose_answer_was_lost_is_not_made_twice() {
    let bed = Bed::user().await;
    bed.lists(json!([]))
        .lists(json!([entry("fldNEW", "new", "folder")]));
    bed.says_raw(MKDIR, 502, "<html>");
    let made = bed.drive.mkdir(&NodeId::new("fldD"), "new").await.unwrap();
    assert_eq!((made.id.as_str(), made.parent.as_str()), ("fldNEW", "fldD"));
    assert_eq!(bed.seen(MKDIR).len(), 1);
    assert_eq!(
        bed.seen(MKDIR)[0].json(),
        json!({"name":"new","folder_token":"fldD"})
    );
    let error = bed
        .drive
        .mkdir(&NodeId::new("fldD"), "new")
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    assert_eq!(bed.seen(MKDIR).len(), 1);
}

#[tokio::test]
async fn a_rename_says_the_type_and_refuses_a_taken_name() {
    let bed = Bed::user().await;
    bed.lists(json!([
        entry("boxA", "old", "file"),
        entry("boxB", "taken", "file")
    ]));
    bed.says("PATCH /drive/v1/files/boxA", json!({}));
    let file = node("boxA", NodeKind::File);
    let error = bed.drive.rename(&file, "taken").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    let renamed = bed.drive.rename(&file, "new.txt").await.unwrap();
    assert_eq!(
        (renamed.name.as_str(), renamed.version.as_str()),
        ("new.txt", "7")
    );
    let seen = bed.seen("PATCH /drive/v1/files/boxA");
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].query, "type=file");
    assert_eq!(seen[0].json(), json!({"new_title":"new.txt"}));
}

#[tokio::test]
async fn the_top_is_named_by_its_token_where_calls_want_one() {
    let bed = Bed::user().await;
    bed.lists(json!([]));
    bed.says("POST /drive/v1/files/boxA/move", json!({}));
    let file = node("boxA", NodeKind::File);
    let moved = bed.drive.move_to(&file, &bed.drive.root()).await.unwrap();
    assert_eq!(moved.parent, bed.drive.root());
    let sent = bed.seen("POST /drive/v1/files/boxA/move")[0].json();
    assert_eq!(sent, json!({"type":"file","folder_token":"fldROOT"}));
}

#[tokio::test]
async fn a_directory_is_gone_when_its_task_is_done() {
    const TASK: &str = "GET /drive/v1/files/task_check";
    let bed = Bed::user().await;
    bed.says("DELETE /drive/v1/files/fldS", json!({"task_id":"12"}));
    // An early failure may pass.
    for status in ["process", "fail", "success"] {
        bed.says(TASK, json!({"status":status}));
    }
    bed.drive.trash(&node("fldS", NodeKind::Dir)).await.unwrap();
    assert_eq!(bed.seen(TASK).len(), 3);
    assert_eq!(bed.seen(TASK)[0].query, "task_id=12");
    assert_eq!(
        bed.seen("DELETE /drive/v1/files/fldS")[0].query,
        "type=folder"
    );
    // Gone already is what was wanted.
    bed.refuses("DELETE /drive/v1/files/boxA", 1061007);
    bed.drive
        .trash(&node("boxA", NodeKind::File))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_copy_takes_its_name_and_looks_first() {
    const COPY: &str = "POST /drive/v1/files/boxA/copy";
    let bed = Bed::user().await;
    bed.lists(json!([entry("boxB", "taken", "file")]));
    bed.says(
        COPY,
        json!({"file":{"token":"boxC","name":"b.bin","type":"file"}}),
    );
    bed.history("boxC", "9", 3, &now());
    let (file, dir) = (node("boxA", NodeKind::File), NodeId::new("fldE"));
    let error = bed.drive.copy(&file, &dir, "taken").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    let copy = bed.drive.copy(&file, &dir, "b.bin").await.unwrap();
    assert_eq!(
        (copy.id.as_str(), copy.size, copy.version.as_str()),
        ("boxC", 3, "9")
    );
    assert_eq!(
        bed.seen(COPY)[0].json(),
        json!({"name":"b.bin","type":"file","folder_token":"fldE"})
    );
    let tree = bed
        .drive
        .copy(&node("fldS", NodeKind::Dir), &dir, "d")
        .await;
    assert_eq!(tree.unwrap_err().kind, ErrorKind::Unsupported);
}
