//! Listings, sizes, links, and where nodes are.

use super::*;
use crate::drive::{ErrorKind, Node, collect};

fn file(token: &str, name: &str) -> Value {
    json!({"token":token,"name":name,"type":"file","url":format!("https://x/file/{token}"),
        "created_time":"1700000000","modified_time":"1700000100"})
}

async fn all_of(drive: &dyn Drive, node: &Node) -> Vec<u8> {
    let stream = drive.read(node, 0..node.size).await.unwrap();
    collect(stream, node.size).await.unwrap().to_vec()
}

#[tokio::test]
async fn sizes_are_asked_for_once() {
    let bed = Bed::user().await;
    bed.lists(json!([file("boxA", "a.bin"), file("boxB", "b.bin"), null]));
    bed.history("boxA", "71", 5, "1700000100");
    bed.history("boxB", "72", 6, "1700000100");
    for _ in 0..2 {
        let page = bed.drive.list(&NodeId::new("fldD"), None).await.unwrap();
        let told: Vec<(&str, u64, &str)> = page
            .nodes
            .iter()
            .map(|n| (n.name.as_str(), n.size, n.version.as_str()))
            .collect();
        assert_eq!(told, [("a.bin", 5, "71"), ("b.bin", 6, "72")]);
        assert!(page.next.is_none());
        assert_eq!(page.nodes[0].modified, 1_700_000_100_000);
    }
    assert_eq!(bed.seen(&history_of("boxA")).len(), 1);
    assert_eq!(bed.seen(&history_of("boxB")).len(), 1);
    let listed = &bed.seen(LIST)[0];
    assert!(listed.query.contains("folder_token=fldD&page_size=200"));
    assert_eq!(listed.headers["authorization"], "Bearer u-1");
    // A change is seen by its time, and asked about.
    bed.forget(LIST).forget(&history_of("boxA"));
    let mut changed = file("boxA", "a.bin");
    changed["modified_time"] = json!("1700000200123");
    bed.lists(json!([changed, file("boxB", "b.bin")]));
    bed.history("boxA", "73", 9, "1700000200");
    let page = bed.drive.list(&NodeId::new("fldD"), None).await.unwrap();
    assert_eq!((page.nodes[0].size, &*page.nodes[0].version), (9, "73"));
    assert_eq!(bed.seen(&history_of("boxB")).len(), 1);
}

#[tokio::test]
async fn the_root_needs_no_token_and_pages_follow() {
    let bed = Bed::user().await;
    let folder = |token: &str| json!({"token":token,"name":token,"type":"folder"});
    bed.says(
        LIST,
        json!({"files":[folder("f1")],"has_more":true,"next_page_token":"P2"}),
    );
    bed.says(
        LIST,
        json!({"files":null,"has_more":false,"next_page_token":"P9"}),
    );
    let first = bed.drive.list(&bed.drive.root(), None).await.unwrap();
    let second = bed.drive.list(&bed.drive.root(), first.next).await.unwrap();
    assert!(second.nodes.is_empty() && second.next.is_none());
    let seen = bed.seen(LIST);
    assert!(seen[0].query.contains("folder_token=&"));
    assert!(seen[1].query.contains("page_token=P2"));
}

// S2-25
#[tokio::test]
async fn online_documents_are_links_that_nobody_changes() {
    let bed = Bed::user().await;
    bed.lists(json!([
        {"token":"dox1","name":"Plan","type":"docx","url":"https://x/docx/dox1"},
        {"token":"sht1","name":"to sheet","type":"shortcut",
         "shortcut_info":{"target_type":"sheet","target_token":"sheetT"}},
        {"token":"sht2","name":"to.bin","type":"shortcut",
         "shortcut_info":{"target_type":"file","target_token":"boxT"}}
    ]));
    bed.says(
        METAS,
        json!({"metas":[
            {"doc_token":"sheetT","doc_type":"sheet","title":"s","url":"https://x/sheets/sheetT"},
            {"doc_token":"boxT","doc_type":"file","title":"t","latest_modify_time":"1700000300"}
        ],"failed_list":[]}),
    );
    bed.history("boxT", "5", 3, "1700000300");
    bed.says_raw(&download_of("boxT"), 200, "abc");
    let drive = &*bed.drive;
    let nodes = drive.list(&NodeId::new("fldD"), None).await.unwrap().nodes;
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["Plan.docx.url", "to sheet.sheet.url", "to.bin"]);
    assert_eq!(
        all_of(drive, &nodes[0]).await,
        b"[InternetShortcut]\r\nURL=https://x/docx/dox1\r\n"
    );
    assert!(
        all_of(drive, &nodes[1])
            .await
            .ends_with(b"sheets/sheetT\r\n")
    );
    assert_eq!(all_of(drive, &nodes[2]).await, b"abc");
    let before = bed.calls().len();
    for node in &nodes {
        let parent = NodeId::new("fldE");
        for refused in [
            drive.trash(node).await.unwrap_err(),
            drive.rename(node, "x").await.unwrap_err(),
            drive.move_to(node, &parent).await.unwrap_err(),
        ] {
            assert_eq!(refused.kind, ErrorKind::Fixed, "{refused}");
        }
    }
    assert_eq!(bed.calls().len(), before, "nothing was sent");
    // Nor is one written over.
    let content = InMemory(Bytes::from_static(b"new"));
    let over = request("Plan.docx.url", &content, OnConflict::Replace);
    let refused = drive.open_upload(&over, &talk(&content)).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Fixed, "{refused}");
}

#[tokio::test]
async fn two_entries_of_one_name_are_both_there() {
    let bed = Bed::user().await;
    bed.lists(json!([file("boxA", "same.bin"), file("boxB", "same.bin")]));
    bed.history("boxA", "1", 1, "1700000100");
    bed.history("boxB", "2", 2, "1700000100");
    bed.says_raw(&download_of("boxA"), 200, "a");
    bed.says_raw(&download_of("boxB"), 200, "bb");
    let page = bed.drive.list(&NodeId::new("fldD"), None).await.unwrap();
    assert_eq!(page.nodes.len(), 2);
    assert_eq!(all_of(&*bed.drive, &page.nodes[0]).await, b"a");
    assert_eq!(all_of(&*bed.drive, &page.nodes[1]).await, b"bb");
}

#[tokio::test]
async fn a_history_that_is_not_ours_to_see_is_replaced_by_a_byte() {
    let bed = Bed::user().await;
    bed.lists(json!([file("boxA", "a.bin")]));
    bed.refuses(&history_of("boxA"), 1061004);
    bed.says_raw(&download_of("boxA"), 200, "seven b");
    let page = bed.drive.list(&NodeId::new("fldD"), None).await.unwrap();
    assert_eq!(page.nodes[0].size, 7);
    let asked = &bed.seen(&download_of("boxA"))[0];
    assert_eq!(asked.headers["range"], "bytes=0-0");
}

#[tokio::test]
async fn a_node_is_found_where_it_was_or_in_the_tree() {
    let bed = Bed::user().await;
    bed.history("boxA", "1", 4, "1700000100");
    let meta = json!({"doc_token":"boxA","doc_type":"file","title":"a.bin"});
    bed.says(METAS, json!({"metas":[meta],"failed_list":[]}));
    let folder = json!({"token":"fldE","name":"e","type":"folder"});
    // The root, then what is in `e`: nobody has seen the file before.
    bed.lists(json!([folder]))
        .lists(json!([file("boxA", "a.bin")]));
    let node = bed.drive.stat(&NodeId::new("boxA")).await.unwrap();
    assert_eq!((node.parent.as_str(), node.size), ("fldE", 4));
    assert_eq!(bed.seen(LIST).len(), 2);
    // Now it is known where to look.
    bed.drive.stat(&NodeId::new("boxA")).await.unwrap();
    assert_eq!(bed.seen(LIST).len(), 3);
    assert_eq!(bed.seen(METAS).len(), 1);
    let root = bed.drive.stat(&bed.drive.root()).await.unwrap();
    assert!(root.is_dir());
}

#[tokio::test]
async fn what_is_gone_is_not_looked_for_in_the_tree() {
    let bed = Bed::user().await;
    let failed = json!({"token":"boxA","code":1061003});
    bed.says(METAS, json!({"metas":null,"failed_list":[failed]}));
    bed.refuses("GET /drive/explorer/v2/folder/boxA/meta", 1061003);
    let error = bed.drive.stat(&NodeId::new("boxA")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    assert!(bed.seen(LIST).is_empty());
}

#[tokio::test]
async fn a_limit_of_the_service_is_waited_out() {
    let bed = Bed::user().await;
    bed.says_raw(LIST, 429, r#"{"code":99991400,"msg":"slow down"}"#);
    bed.lists(json!([]));
    let page = bed.drive.list(&NodeId::new("fldD"), None).await.unwrap();
    assert!(page.nodes.is_empty());
    assert_eq!(bed.seen(LIST).len(), 2);
}
