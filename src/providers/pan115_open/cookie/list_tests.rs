use super::*;

fn sample() -> Value {
    json!({"data":[
        {"cid":"2999000111222330000","aid":"1","pid":"0","n":"docs","m":0,"cc":"","sh":"0",
         "pc":"fa2ain6q0lrkgd4gqn","t":"1706687100","te":"1706687100","tp":"1706687000"},
        {"fid":"2999000111222333444","uid":123456789,"aid":1,"cid":"0","n":"hello.txt","s":"12",
         "sta":1,"pt":"0","t":"2024-01-31 15:47","te":"1706687230","tp":"1706687229",
         "sha":"2EF7BDE608CE5404E97D5F042F95F89F1C232871","pc":"e2r37d689xrgazn67","u":""},
        {"fid":"3","aid":1,"cid":"0","n":"half","s":1,"fta":"2"},
        {"fid":"4","aid":"7","cid":"0","n":"trashed","s":1}],
        "count":5,"offset":0,"limit":1150,"cid":"0","is_asc":1,"order":"user_ptime",
        "path":[{"name":"根目录","aid":1,"cid":0,"pid":0}],"state":true,"error":"","errNo":0})
}

#[test]
fn a_page_of_the_sheet() {
    let root = NodeId::new("0");
    let (nodes, next) = page_of(&sample(), &root, 0, node).unwrap();
    assert_eq!((nodes.len(), next), (2, Some(4)));
    let (dir, file) = (&nodes[0], &nodes[1]);
    assert_eq!(dir.id.as_str(), "2999000111222330000");
    assert!(dir.is_dir() && dir.parent == root);
    assert_eq!(
        (dir.modified, dir.created),
        (1_706_687_100_000, 1_706_687_000_000)
    );
    assert_eq!(file.id.as_str(), "2999000111222333444");
    assert_eq!((file.size, &file.parent), (12, &root));
    assert_eq!(
        (file.modified, file.created),
        (1_706_687_230_000, 1_706_687_229_000)
    );
    assert_eq!(file.handle.as_deref(), Some("e2r37d689xrgazn67"));
    assert_eq!(file.version, "2ef7bde608ce5404e97d5f042f95f89f1c232871");
    let (_, end) = page_of(&sample(), &root, 1, node).unwrap();
    assert_eq!(end, None);
}

#[test]
fn the_root_in_place_of_an_unknown_directory_is_not_found() {
    let error = page_of(&sample(), &NodeId::new("77"), 0, node).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
}

#[test]
fn another_order_is_noticed() {
    let mut answer = sample();
    assert!(!differs(&answer, ORDER));
    assert!(differs(&answer, "file_name"));
    answer["is_asc"] = json!("0");
    assert!(differs(&answer, ORDER));
    assert!(!differs(&json!({}), ORDER));
}

#[test]
fn broken_entries_are_none() {
    let dir = NodeId::new("9");
    for entry in [
        json!({"cid":"1"}),
        json!({"n":"x"}),
        json!({"fid":"1","cid":"9","n":"x"}),
        json!({"fid":"1","cid":"9","n":"x","s":-1}),
        Value::Null,
    ] {
        assert!(node(&entry, &dir).is_err(), "{entry}");
    }
    // Without times there are none, and the directory is known from the listing.
    let bare = node(&json!({"cid":7,"n":"x"}), &dir).unwrap();
    assert_eq!((bare.parent, bare.modified), (dir, 0));
}

#[test]
fn statistics_of_a_directory_and_of_nothing() {
    let headers = HeaderMap::new();
    for nothing in ["", " \n", "[]", "null"] {
        let body = bytes::Bytes::from(nothing);
        assert_eq!(statistics(200, &headers, &body).unwrap(), Value::Null);
    }
    let body = bytes::Bytes::from_static(b"<html>");
    let error = statistics(405, &headers, &body).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Risk);
    let text = r#"{"count":"1","size":"12B","folder_count":"0","ptime":"1706687000",
        "utime":"1706687100","file_name":"docs","pick_code":"fa2a","sha1":"","file_category":"0",
        "paths":[{"file_id":0,"file_name":"根目录"},{"file_id":"5","file_name":"up"}]}"#;
    let answer = statistics(200, &headers, &bytes::Bytes::from(text)).unwrap();
    let dir = info(&json!({ "data": answer }), &NodeId::new("77")).unwrap();
    assert!(dir.is_dir());
    assert_eq!(
        (dir.parent.as_str(), dir.modified),
        ("5", 1_706_687_100_000)
    );
}
