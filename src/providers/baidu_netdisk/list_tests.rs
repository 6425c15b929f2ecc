use super::*;
use serde_json::json;

#[test]
fn an_item_of_the_sheet() {
    let item = json!({"fs_id":732910463325118_u64,"path":"/apps/demo/small.bin","server_filename":"small.bin",
        "isdir":0,"size":100,"category":6,"md5":"7f63fb31ega4c0b3ea48f462a2827f99",
        "server_mtime":1735689601,"server_ctime":1735689610,"local_mtime":1735689600,
        "local_ctime":1735689599,"dlink":"https://d.pcs.baidu.com/file/x?sign=secret","thumbs":{"url1":"x"}});
    let node = entry(&item, None).unwrap().node(NodeId::new("9"));
    assert_eq!(node.id.as_str(), "732910463325118");
    assert_eq!((node.name.as_str(), node.size), ("small.bin", 100));
    assert_eq!(node.modified, 1_735_689_600_000);
    assert_eq!(node.created, 1_735_689_610_000);
    assert_eq!(node.version, "690f0d5c7e40be562b29b276eb6bb105");
    assert!(node.fingerprints.is_empty(), "a cloud hash is no MD5");
    assert!(!node.raw.unwrap().contains("secret"));
}

#[test]
fn ids_are_numbers_of_64_bits_or_texts() {
    let big = u64::MAX - 4;
    for id in [json!(big), json!(big.to_string())] {
        let item = json!({"fs_id":id,"server_filename":"a","isdir":"1","size":null,"md5":null});
        let entry = entry(&item, Some("/")).unwrap();
        assert_eq!(entry.id, big.to_string());
        assert_eq!(entry.path, "/a");
        assert!(entry.is_dir);
    }
    for id in [json!(null), json!(0), json!("abc"), json!(1.5), json!(-3)] {
        assert!(entry(&json!({"fs_id":id,"path":"/a","isdir":1}), None).is_err());
    }
}

#[test]
fn obfuscated_and_plain_hashes_are_one_version() {
    let of = |md5: Value| {
        let item = json!({"fs_id":7,"path":"/a","isdir":0,"size":"11","md5":md5});
        entry(&item, None).unwrap().node(NodeId::new("/")).version
    };
    assert_eq!(
        of(json!("e13dabb7dn1df6548e7988a41a60ef54")),
        "5eb63bbbe01eeed093cb22bb8f5acdc3"
    );
    assert_eq!(
        of(json!("5EB63BBBE01EEED093CB22BB8F5ACDC3")),
        "5eb63bbbe01eeed093cb22bb8f5acdc3"
    );
    assert_eq!(of(json!(null)), "7-11");
}

#[test]
fn names_come_from_either_field_and_sizes_are_required() {
    for field in ["server_filename", "filename"] {
        let mut item = json!({"fs_id":"7","isdir":0,"size":"5368709120"});
        item[field] = json!("x\u{FF1A}y");
        let entry = entry(&item, Some("/d")).unwrap();
        assert_eq!(
            (entry.path.as_str(), entry.size),
            ("/d/x\u{FF1A}y", 5 << 30)
        );
        assert_eq!(entry.node(NodeId::new("1")).name, "x:y");
    }
    let sizeless = json!({"fs_id":7,"path":"/a","isdir":0,"size":null});
    assert!(entry(&sizeless, None).is_err());
    assert!(entry(&json!({"fs_id":7,"path":"/","isdir":1}), None).is_err());
    assert!(entry(&json!({"fs_id":7,"isdir":1}), None).is_err());
}

#[test]
fn a_page_far_from_full_is_the_last() {
    assert!(goes_on(1000) && goes_on(500));
    assert!(!goes_on(3) && !goes_on(0));
}
