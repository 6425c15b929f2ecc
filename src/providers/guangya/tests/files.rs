//! Listings, links, changes, trash.

use super::*;
use crate::drive::{ErrorKind, Node, collect};
use crate::providers::guangya::list;

fn node(id: &str, name: &str, parent: &str) -> Node {
    list::node(&file(id, name, 5), Some(&NodeId::new(parent))).unwrap()
}

fn ids(seen: &Seen) -> Value {
    seen.json()["fileIds"].clone()
}

#[tokio::test]
async fn a_listing_names_page_and_size() {
    let bed = Bed::new().await;
    bed.on(
        LIST,
        [listing(
            json!([file("1", "a", 1), {"fileId":"2","fileName":"d","resType":2}]),
        )],
    );
    let page = bed.drive.list(&bed.drive.root(), None).await.unwrap();
    assert_eq!(page.nodes.len(), 2);
    assert!(page.nodes[1].is_dir() && page.next.is_none());
    assert_eq!(page.nodes[0].parent.as_str(), "root");
    let seen = bed.last(LIST);
    assert_eq!(seen.path, "/userres/v1/file/get_file_list");
    assert_eq!(
        seen.json(),
        json!({"parentId":"","page":0,"pageSize":1000,"orderBy":0,"sortType":0})
    );
}

#[tokio::test]
async fn a_page_that_was_cut_is_read_again_and_pages_follow() {
    let bed = Bed::new().await;
    let entries = |range: Range<u64>| -> Vec<Value> {
        range
            .map(|n| file(&n.to_string(), &format!("{n:05}"), 1))
            .collect()
    };
    let page = |entries: Vec<Value>| good(json!({"total":1003,"list":entries}));
    // The last entry of the first page moved to the second meanwhile.
    bed.on(
        LIST,
        [
            page(entries(0..400)),
            page(entries(0..1000)),
            page(entries(999..1002)),
        ],
    );
    let dir = NodeId::new("9");
    let first = bed.drive.list(&dir, None).await.unwrap();
    assert_eq!(first.nodes.len(), 1000);
    let second = bed.drive.list(&dir, first.next).await.unwrap();
    assert!(second.next.is_none());
    let names: Vec<&str> = second.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["01000", "01001"]);
    let pages: Vec<Value> = bed
        .all(LIST)
        .iter()
        .map(|s| s.json()["page"].clone())
        .collect();
    assert_eq!(pages, [0, 0, 1]);
}

#[tokio::test]
async fn an_empty_listing_may_be_a_directory_that_is_gone() {
    let bed = Bed::new().await;
    bed.on(LIST, [good(json!({}))])
        .on(STAT, [code(146, json!(null))]);
    let gone = NodeId::new("9");
    let error = bed.drive.list(&gone, None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    bed.on(
        STAT,
        [detail(json!({"fileId":"9","fileName":"d","resType":2}))],
    );
    assert!(bed.drive.list(&gone, None).await.unwrap().nodes.is_empty());
    // The root is there.
    let calls = bed.calls().len();
    let root = bed.drive.root();
    assert!(bed.drive.list(&root, None).await.unwrap().nodes.is_empty());
    assert_eq!(bed.calls().len(), calls + 1);
    // No list where entries are counted is no empty directory.
    bed.on(LIST, [good(json!({"total":3,"list":null}))]);
    let error = bed.drive.list(&root, None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadAnswer);
}

#[tokio::test]
async fn what_is_in_the_trash_is_not_there() {
    let bed = Bed::new().await;
    let mut trashed = file("1", "a", 1);
    trashed["dirType"] = json!(4);
    let id = NodeId::new("1");
    for reply in [
        detail(trashed),
        code(143, json!(null)),
        code(149, json!(null)),
    ] {
        bed.on(STAT, [reply]);
        let error = bed.drive.stat(&id).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
    }
    bed.on(STAT, [detail(file("2", "a", 1))]);
    let error = bed.drive.stat(&id).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadAnswer, "another file");
}

#[tokio::test]
async fn a_refused_link_is_renewed_once_and_sees_no_header_of_ours() {
    let bed = Bed::new().await;
    let link = |n: u32| good(json!({"signedURL":format!("{}/cdn/obj{n}", bed.base)}));
    bed.on("get_res_download_url", [link(1), link(2)])
        .on("obj1", [(403, String::new())])
        .on("obj2", [(200, "hello".to_owned())]);
    let node = node("1", "a", "root");
    for _ in 0..2 {
        let stream = bed.drive.read(&node, 0..5).await.unwrap();
        assert_eq!(collect(stream, 5).await.unwrap(), "hello");
    }
    let links = bed.all("get_res_download_url");
    assert_eq!((links.len(), links[0].json()), (2, json!({"fileId":"1"})));
    let seen = bed.last("obj2");
    assert_eq!(seen.header("range"), "bytes=0-4");
    for name in ["authorization", "did", "dt", "origin"] {
        assert_eq!(seen.header(name), "", "{name}");
    }
    bed.on("get_res_download_url", [link(1)]);
    let other = Node {
        id: NodeId::new("7"),
        ..node
    };
    let error = bed.drive.read(&other, 0..5).await.map(drop).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Provider);
}

#[tokio::test]
async fn an_empty_file_needs_no_link() {
    let bed = Bed::new().await;
    let empty = Node {
        size: 0,
        ..node("1", "a", "root")
    };
    let stream = bed.drive.read(&empty, 0..0).await.unwrap();
    assert!(collect(stream, 0).await.unwrap().is_empty());
    assert!(bed.calls().is_empty());
}

#[tokio::test]
async fn a_directory_is_made_once_whatever_becomes_of_the_answer() {
    let bed = Bed::new().await;
    bed.on(
        "create_dir",
        [good(
            json!({"fileId":"5","fileName":"n","resType":2,"ctime":7}),
        )],
    );
    let root = bed.drive.root();
    let made = bed.drive.mkdir(&root, "n").await.unwrap();
    assert!(made.is_dir());
    assert_eq!((made.id.as_str(), made.created), ("5", 7000));
    assert_eq!(
        bed.last("create_dir").json(),
        json!({"parentId":"","dirName":"n","failIfNameExist":true})
    );
    bed.on("create_dir", [code(159, json!({"fileId":"5"}))]);
    let error = bed.drive.mkdir(&root, "n").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    // Lost: a young directory of that name is ours, an old one is not.
    let dir = |ctime: u64| {
        let entry = json!({"fileId":"6","fileName":"m","resType":2,"ctime":ctime});
        listing(json!([entry]))
    };
    bed.on("create_dir", [broken()])
        .on(LIST, [dir(4_000_000_000)]);
    assert_eq!(bed.drive.mkdir(&root, "m").await.unwrap().id.as_str(), "6");
    bed.on(LIST, [dir(1)]);
    assert!(bed.drive.mkdir(&root, "m").await.is_err());
    assert_eq!(bed.all("create_dir").len(), 4, "never repeated");
}

#[tokio::test]
async fn a_rename_is_looked_at() {
    let bed = Bed::new().await;
    bed.on("rename", [good(json!(null))])
        .on(STAT, [detail(file("1", "b", 5))]);
    let node = node("1", "a", "root");
    assert_eq!(bed.drive.rename(&node, "b").await.unwrap().name, "b");
    assert_eq!(
        bed.last("rename").json(),
        json!({"fileId":"1","newName":"b"})
    );
    // Taken by itself: the answer before was lost.
    bed.on("rename", [broken(), code(160, json!(null))]);
    assert_eq!(bed.drive.rename(&node, "b").await.unwrap().name, "b");
    // Taken by another.
    bed.on("rename", [code(160, json!(null))])
        .on(STAT, [detail(file("1", "a", 5))]);
    let error = bed.drive.rename(&node, "b").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    // Numbered instead of refused: taken back.
    bed.on("rename", [good(json!(null))])
        .on(STAT, [detail(file("1", "b(1)", 5))]);
    let error = bed.drive.rename(&node, "b").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    assert_eq!(bed.last("rename").json()["newName"], "a");
}

#[tokio::test]
async fn a_move_waits_for_its_task() {
    let bed = Bed::new().await;
    let mut moved = file("1", "a", 5);
    moved["parentId"] = json!("9");
    let running = good(json!({"status":1,"detail":{"code":0}}));
    let done = good(json!({"status":2,"detail":{"code":0}}));
    bed.on(LIST, [listing(json!([file("2", "b", 1)]))])
        .on("move_file", [good(json!({"taskId":"t1"}))])
        .on(TASK, [running, broken(), done])
        .on(STAT, [detail(moved)]);
    let (node, to) = (node("1", "a", "root"), NodeId::new("9"));
    let moved = bed.drive.move_to(&node, &to).await.unwrap();
    assert_eq!((moved.id.as_str(), moved.parent.as_str()), ("1", "9"));
    assert_eq!(bed.all(TASK).len(), 3);
    assert_eq!(
        bed.last("move_file").json(),
        json!({"fileIds":["1"],"parentId":"9"})
    );
    // A task that failed by a taken name.
    let taken = good(json!({"status":2,"detail":{"code":160,"msg":"taken"}}));
    bed.on(TASK, [taken]);
    let error = bed.drive.move_to(&node, &to).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    // The name is in the target: nothing is moved.
    let moves = bed.all("move_file").len();
    bed.on(LIST, [listing(json!([file("2", "a", 1)]))]);
    let error = bed.drive.move_to(&node, &to).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    assert_eq!(bed.all("move_file").len(), moves);
}

#[tokio::test]
async fn a_copy_is_found_by_listing_again() {
    let bed = Bed::new().await;
    let old = file("2", "b", 1);
    bed.on("copy_file", [good(json!({}))]).on(
        LIST,
        [
            listing(json!([old])),
            listing(json!([old])),
            listing(json!([old, file("3", "a", 5)])),
        ],
    );
    let (node, to) = (node("1", "a", "root"), NodeId::new("9"));
    let copy = bed.drive.copy(&node, &to, "a").await.unwrap();
    assert_eq!((copy.id.as_str(), copy.parent.as_str()), ("3", "9"));
    let error = bed.drive.copy(&node, &to, "other").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
    assert_eq!(bed.all("copy_file").len(), 1);
}

#[tokio::test]
async fn nothing_is_trashed_twice_since_that_would_be_for_good() {
    let bed = Bed::new().await;
    let node = node("1", "a", "root");
    bed.on(STAT, [detail(file("1", "a", 5))])
        .on(TRASH, [good(json!({}))]);
    bed.drive.trash(&node).await.unwrap();
    assert_eq!(ids(&bed.last(TRASH)), json!(["1"]));
    // In the trash already: it is not touched.
    bed.on(STAT, [code(146, json!(null))]);
    bed.drive.trash(&node).await.unwrap();
    assert_eq!(bed.all(TRASH).len(), 1);
    // A lost answer: its directory tells, and no second call follows.
    bed.on(STAT, [detail(file("1", "a", 5))])
        .on(TRASH, [broken()])
        .on(LIST, [listing(json!([]))]);
    bed.drive.trash(&node).await.unwrap();
    bed.on(LIST, [listing(json!([file("1", "a", 5)]))]);
    assert!(bed.drive.trash(&node).await.is_err());
    assert_eq!(bed.all(TRASH).len(), 3);
}

#[tokio::test]
async fn a_restored_node_is_looked_at() {
    let bed = Bed::new().await;
    let node = node("1", "a", "root");
    bed.on("recycle_file", [good(json!({"taskId":"t"}))])
        .on(TASK, [good(json!({"status":2,"detail":null}))])
        .on(STAT, [detail(file("1", "a", 5))]);
    assert_eq!(bed.drive.restore(&node).await.unwrap().name, "a");
    assert_eq!(ids(&bed.last("recycle_file")), json!(["1"]));
    // Its name is taken meanwhile: back into the trash.
    bed.on(STAT, [detail(file("1", "a(1)", 5))])
        .on("rename", [code(160, json!(null))])
        .on(TRASH, [good(json!({}))]);
    let error = bed.drive.restore(&node).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    assert_eq!(bed.all(TRASH).len(), 1);
}
