use super::*;
use serde_json::json;

use crate::drive::ErrorKind;

fn sample() -> Value {
    json!({"state":true,"message":"","code":0,"data":[
        {"fid":"2999000111222330000","aid":"1","pid":"0","fc":"0","fn":"docs",
         "pc":"fa2ain6q0lrkgd4gqn","upt":1706687100,"uppt":1706687100,"sha1":"","fs":0,"fta":"1"},
        {"fid":2999000111222333444_u64,"aid":"1","pid":"0","fc":"1","fn":"hello.txt",
         "pc":"e2r37d689xrgazn67","upt":"1706687230","uppt":1706687229,
         "sha1":"2EF7BDE608CE5404E97D5F042F95F89F1C232871","fs":"12","fta":"1",
         "thumb":"https://x/?sign=1"},
        {"fid":"3","aid":"1","pid":"0","fc":"1","fn":"half","sha1":"","fs":1,"fta":"2"},
        {"fid":"4","aid":"7","pid":"0","fc":"1","fn":"trashed","sha1":"","fs":1,"fta":"1"}],
        "count":"5","cid":0,"offset":0,"limit":200,
        "path":[{"name":"根目录","aid":1,"cid":0,"pid":0}]})
}

#[test]
fn a_page_of_the_sheet() {
    let page = decode_page(&sample(), &NodeId::new("0"), 0, false).unwrap();
    assert_eq!(page.nodes.len(), 2);
    assert_eq!(page.next, Some(Cursor("4".to_owned())));
    assert!(page.nodes[0].is_dir());
    let file = &page.nodes[1];
    assert_eq!(file.id.as_str(), "2999000111222333444");
    assert_eq!((file.size, file.modified), (12, 1_706_687_230_000));
    assert_eq!(file.handle.as_deref(), Some("e2r37d689xrgazn67"));
    assert_eq!(file.version, "2ef7bde608ce5404e97d5f042f95f89f1c232871");
    assert!(!file.raw.as_ref().unwrap().contains("sign=1"));
}

#[test]
fn the_root_in_place_of_an_unknown_directory_is_not_found() {
    let error = decode_page(&sample(), &NodeId::new("77"), 0, false).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    let mut by_path = sample();
    by_path.as_object_mut().unwrap().remove("cid");
    let error = decode_page(&by_path, &NodeId::new("77"), 0, false).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
}

#[test]
fn the_last_page_ends_and_a_missing_list_is_no_empty_directory() {
    let dir = NodeId::new("0");
    let last = decode_page(&sample(), &dir, 1, false).unwrap();
    assert_eq!(last.next, None);
    let own = decode_page(&sample(), &dir, 0, true).unwrap();
    assert_eq!(own.next, Some(Cursor("4~".to_owned())));
    let mut empty = sample();
    empty["data"] = json!([]);
    assert!(decode_page(&empty, &dir, 0, false).unwrap().next.is_none());
    empty["data"] = Value::Null;
    assert!(decode_page(&empty, &dir, 0, false).is_err());
    empty["count"] = json!("0");
    assert!(
        decode_page(&empty, &dir, 0, false)
            .unwrap()
            .nodes
            .is_empty()
    );
}

#[test]
fn a_stat_of_the_sheet() {
    let id = NodeId::new("2999000111222333444");
    let data = json!({"size":"12B","size_byte":12,"ptime":"1706687229","utime":"",
        "file_name":"hello.txt","pick_code":"e2r37d689xrgazn67",
        "sha1":"2EF7BDE608CE5404E97D5F042F95F89F1C232871","file_id":"2999000111222333444",
        "file_category":"1","paths":[{"file_id":0,"file_name":"根目录"},{"file_id":"9"}]});
    for spelled in [data.clone(), json!([data])] {
        let node = info(&json!({ "data": spelled }), &id).unwrap();
        assert_eq!((node.size, node.parent.as_str()), (12, "9"));
        assert_eq!((node.modified, node.created), (0, 1_706_687_229_000));
    }
    for gone in [json!([]), Value::Null, json!(false)] {
        let error = info(&json!({ "data": gone }), &id).unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
    }
    assert!(info(&json!({"data":{"file_name":"x","file_id":"1"}}), &id).is_err());
}
