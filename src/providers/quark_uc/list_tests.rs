//! Entries and pages, as odd as they come.

use std::sync::Mutex;

use serde_json::json;

use super::*;

#[test]
fn an_entry_of_the_sheet() {
    let entry = json!({"fid":"1f2e","file_name":"Tom &amp; Jerry.mkv","pdir_fid":"0","category":1,
        "file_type":1,"size":10485760,"status":1,"dir":false,"file":true,
        "thumbnail":"https://t/?auth_key=secret","l_updated_at":1772326800000_i64,
        "created_at":1772326801000_i64,"updated_at":1772326802000_i64});
    let node = node(&entry, None).unwrap();
    assert_eq!(
        (node.name.as_str(), node.size),
        ("Tom & Jerry.mkv", 10_485_760)
    );
    assert_eq!((node.id.as_str(), node.parent.as_str()), ("1f2e", "0"));
    assert_eq!(
        (node.modified, node.created),
        (1_772_326_802_000, 1_772_326_801_000)
    );
    assert_eq!(node.version, "1f2e");
    assert!(!node.raw.unwrap().contains("secret"));
}

#[test]
fn ids_are_numbers_and_sizes_texts() {
    let entry = json!({"fid":9_223_372_036_854_775_809_u64,"file_name":"d","file_type":"0",
        "size":"0","created_at":"","updated_at":null});
    let dir = node(&entry, Some(&NodeId::new("p"))).unwrap();
    assert!(dir.is_dir());
    assert_eq!(
        (dir.id.as_str(), dir.parent.as_str()),
        ("9223372036854775809", "p")
    );
    assert_eq!((dir.modified, dir.created), (0, 0));
    let entry = json!({"fid":7,"file_name":"f","file":"1","size":"5000000000"});
    assert_eq!(node(&entry, None).unwrap().size, 5_000_000_000);
    assert!(node(&json!({"fid":"x"}), None).is_err());
    assert!(node(&json!({"file_name":"x"}), None).is_err());
    assert!(node(&json!(null), None).is_err());
}

#[test]
fn the_entry_of_an_id_is_found_in_every_dress() {
    let entry = json!({"fid":"a","file_name":"n"});
    let id = NodeId::new("a");
    for data in [
        entry.clone(),
        json!([{"fid":"b"}, entry]),
        json!({"list":[entry]}),
        json!({"file_info":entry}),
    ] {
        assert_eq!(entry_in(&data, &id), Some(&entry), "{data}");
    }
    for data in [json!(null), json!([]), json!({"list":null}), json!("a")] {
        assert_eq!(entry_in(&data, &id), None);
    }
}

/// Pages that come one after the other.
async fn pages(number: u32, answers: Vec<Value>) -> (Result<Raw>, usize) {
    let left = Mutex::new(answers.into_iter());
    let asked = Mutex::new(0);
    let raw = cut("list", number, 3, || {
        *asked.lock().unwrap() += 1;
        let next = left.lock().unwrap().next().expect("one page too many");
        async move { Ok(next) }
    })
    .await;
    let asked = *asked.lock().unwrap();
    (raw, asked)
}

fn answer(entries: usize, total: Value) -> Value {
    let list: Vec<Value> = (0..entries).map(|n| json!({"fid": n})).collect();
    json!({"data":{"list":list},"metadata":{"_total":total}})
}

#[tokio::test]
async fn pages_end_by_count_or_when_short() {
    for (number, entries, total, more) in [
        (1, 3, json!(7), true),
        (3, 1, json!(7), false),
        (1, 3, json!(3), false),
        (1, 3, json!(0), true),
        (1, 3, json!(null), true),
        (2, 2, json!(0), false),
        (2, 0, json!(0), false),
    ] {
        let (raw, asked) = pages(number, vec![answer(entries, total.clone())]).await;
        let raw = raw.unwrap();
        assert_eq!(
            (raw.entries.len(), raw.more, asked),
            (entries, more, 1),
            "{total}"
        );
    }
}

#[tokio::test]
async fn a_page_that_was_cut_is_asked_for_again() {
    let (raw, asked) = pages(1, vec![answer(1, json!(5)), answer(3, json!(5))]).await;
    let raw = raw.unwrap();
    assert_eq!((raw.entries.len(), raw.more, asked), (3, true, 2));
    // Once only.
    let (raw, asked) = pages(1, vec![answer(1, json!(2)), answer(1, json!(2))]).await;
    let raw = raw.unwrap();
    assert_eq!((raw.entries.len(), raw.more, asked), (1, false, 2));
}

#[tokio::test]
async fn null_is_an_empty_list_or_nonsense() {
    let null = |total| json!({"data":{"list":null},"metadata":{"_total":total}});
    let (raw, _) = pages(1, vec![null(0)]).await;
    assert!(raw.unwrap().entries.is_empty());
    let (raw, _) = pages(1, vec![null(1)]).await;
    assert_eq!(raw.err().unwrap().kind, ErrorKind::BadAnswer);
    let (raw, _) = pages(1, vec![json!({"data":null})]).await;
    assert!(raw.unwrap().entries.is_empty());
}

#[test]
fn a_cursor_remembers_the_page_before() {
    let entry = |id: &str| node(&json!({"fid":id,"file_name":id}), None).unwrap();
    let raw = |more| Raw {
        entries: Vec::new(),
        more,
    };
    let first = At::read(None).unwrap();
    assert_eq!(first.number, 1);
    let page = first.page(raw(true), vec![entry("a"), entry("b"), entry("b")]);
    assert_eq!(page.nodes.len(), 2);
    let second = At::read(page.next).unwrap();
    assert_eq!(second.number, 2);
    let page = second.page(raw(false), vec![entry("b"), entry("c")]);
    assert_eq!(page.nodes[0].id.as_str(), "c");
    assert!(page.next.is_none());
    assert!(At::read(Some(Cursor("x".to_owned()))).is_err());
}
