//! Decoding of listings and entries in every dress they come in.

use super::*;
use serde_json::json;

fn pages(answer: &Value, place: Place) -> Listed {
    read_page(answer, &NodeId::new("-11"), place).unwrap()
}

const FIRST: Place = Place { page: 1, seen: 0 };

fn full(listed: Listed) -> Page {
    match listed {
        Listed::Page(page) => page,
        Listed::Short(page) => panic!("short: {page:?}"),
    }
}

#[test]
fn the_listing_of_the_sheet() {
    let answer = json!({"res_code":0,"fileListAO":{"count":2,"fileListSize":1,
        "folderList":[{"id":321451111111111111_i64,"parentId":-11,"name":"我的视频",
            "createDate":"2026-01-02 10:00:00","lastOpTime":"2026-03-01 09:00:00","rev":"20260301090000"}],
        "fileList":[{"id":721451222222222222_i64,"name":"a.mkv","size":26214400,
            "md5":"201AC83BFB37D62081A3AD2BE0F1BEAD","createDate":"2026-03-01 09:00:00",
            "lastOpTime":"2026-03-01 09:00:00","rev":"20260301090000",
            "icon":{"smallUrl":"https://x/?sign=1"}}]}});
    let page = full(pages(&answer, FIRST));
    assert_eq!(page.next, None);
    let [folder, file] = page.nodes.as_slice() else {
        panic!("{page:?}");
    };
    assert!(folder.is_dir());
    assert_eq!(
        (folder.id.as_str(), folder.parent.as_str()),
        ("321451111111111111", "-11")
    );
    assert_eq!(
        (file.id.as_str(), file.size),
        ("721451222222222222", 26_214_400)
    );
    assert_eq!(file.modified, 1_772_326_800_000);
    let md5 = file.fingerprints.get(Kind::Md5).unwrap();
    assert_eq!(&*md5.value, "201ac83bfb37d62081a3ad2be0f1bead");
    assert_eq!(
        (md5.origin, &*md5.value),
        (Origin::Provider, file.version.as_str())
    );
    assert!(!file.raw.clone().unwrap().contains("sign=1"));
}

#[test]
fn numbers_are_texts_and_ids_are_large() {
    let item = json!({"id":9_223_372_036_854_775_807_u64,"name":"b","size":"12","md5":null,
        "lastOpTime":"1772326800000"});
    let file = node(&item, NodeKind::File, None).unwrap();
    assert_eq!((file.id.as_str(), file.size), ("9223372036854775807", 12));
    assert_eq!(file.modified, 1_772_326_800_000);
    assert!(file.fingerprints.is_empty() && file.version.starts_with("12-"));
    let commit = json!({"userFileId":"7214","fileName":"a+b.mkv","fileSize":5,
        "fileMd5":"5D41402ABC4B2A76B9719D911017C592","createDate":"Mar 14, 2026 4:05:09\u{202f}PM"});
    let made = node(&commit, NodeKind::File, Some(&NodeId::new("9"))).unwrap();
    assert_eq!(
        (made.id.as_str(), made.parent.as_str(), made.size),
        ("7214", "9", 5)
    );
    assert_eq!(made.created, 1_773_475_509_000);
    assert!(node(&json!({"name":"x"}), NodeKind::File, None).is_err());
    assert!(node(&json!({"id":1}), NodeKind::Dir, None).is_err());
}

#[test]
fn a_folders_stat_has_two_spellings() {
    for answer in [
        json!({"fileId":"77","fileName":"d","parentId":-11,"filePath":"/d","rev":"1"}),
        json!({"id":77,"name":"d","parentId":"-11","path":"/d","rev":1}),
    ] {
        let dir = node(&answer, NodeKind::Dir, None).unwrap();
        assert_eq!(
            (dir.id.as_str(), dir.name.as_str(), dir.parent.as_str()),
            ("77", "d", "-11")
        );
        assert_eq!((dir.size, dir.version.as_str()), (0, "1"));
    }
}

#[test]
fn null_and_missing_lists() {
    assert!(
        full(pages(&json!({"fileListAO":null}), FIRST))
            .nodes
            .is_empty()
    );
    let empty = json!({"fileListAO":{"count":0,"folderList":null,"fileList":null}});
    let page = full(pages(&empty, FIRST));
    assert!(page.nodes.is_empty() && page.next.is_none());
    for nonsense in [
        json!({"res_code":0}),
        json!({"fileListAO":{"count":3,"folderList":null,"fileList":null}}),
    ] {
        let error = read_page(&nonsense, &NodeId::new("-11"), FIRST)
            .err()
            .unwrap();
        assert_eq!(error.kind, ErrorKind::BadAnswer, "{nonsense}");
    }
}

#[test]
fn the_total_ends_a_listing() {
    let answer = |count: Value, entries: std::ops::Range<u64>| {
        let files: Vec<Value> = entries
            .map(|n| json!({"id":n + 1,"name":n.to_string()}))
            .collect();
        json!({"fileListAO":{"count":count,"fileList":files}})
    };
    let page = full(pages(&answer(json!(1003), 0..1000), FIRST));
    assert_eq!(page.next, Some(Cursor("2:1000".to_owned())));
    let place = Place::of(page.next.as_ref()).unwrap();
    assert_eq!(
        full(pages(&answer(json!("1003"), 1000..1003), place)).next,
        None
    );
    // Fewer than the total says: asked again, then taken as they are.
    assert!(matches!(
        pages(&answer(json!(1003), 0..500), FIRST),
        Listed::Short(_)
    ));
    // Past the end.
    let past = Place { page: 3, seen: 990 };
    assert_eq!(full(pages(&answer(json!(0), 0..0), past)).next, None);
    // Without a total the next empty page is the end.
    assert!(
        full(pages(&answer(Value::Null, 0..3), FIRST))
            .next
            .is_some()
    );
    assert!(Place::of(Some(&Cursor("x".to_owned()))).is_err());
}

#[test]
fn a_listing_in_xml() {
    let body = b"<listFiles><lastRev>1</lastRev><fileList><count>2</count>\
        <folder><id>5</id><name>d</name></folder>\
        <file><id>6</id><name>f</name><size>3</size></file></fileList></listFiles>";
    let head = super::super::answer::Head {
        status: 200,
        ..Default::default()
    };
    let answer = super::super::answer::judge("list", head, body).unwrap();
    let page = full(pages(&answer, FIRST));
    let ids: Vec<&str> = page.nodes.iter().map(|node| node.id.as_str()).collect();
    assert_eq!(ids, ["5", "6"]);
}
