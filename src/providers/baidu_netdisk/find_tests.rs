use super::super::stand_in::{Act, Shared, id_at, start};
use super::*;
use crate::drive::{Drive, Node};
use serde_json::json;

fn say(server: &Shared, op: &'static str, text: &'static str) {
    server.lock().unwrap().act(op, Act::Instead(200, text));
}

fn query(server: &Shared, op: &str) -> Vec<(String, String)> {
    let server = server.lock().unwrap();
    let mut all = server.queries.iter().rev();
    let (_, query) = all.find(|(seen, _)| seen == op).unwrap();
    let own = query.iter().filter(|(key, _)| *key != "access_token");
    own.map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    owned.collect()
}

#[test]
fn paths_begin_at_the_mounted_directory() {
    assert_eq!(below("/", "/a/b.txt").unwrap(), ["a", "b.txt"]);
    assert_eq!(below("/a", "/a/b.txt").unwrap(), ["b.txt"]);
    assert_eq!(below("/a", "/ab/c"), None);
    assert_eq!(below("/a", "/a"), None);
    let entry = |path: &str| {
        let item = json!({"fs_id":5,"path":path,"isdir":0,"size":1});
        super::super::list::entry(&item, None).unwrap()
    };
    assert_eq!(found(&entry("/b/c"), "/a"), None);
    // As listings show it: the stand-in of a character the provider does not hold is undone.
    let spelled = super::super::names::encode("what?").unwrap();
    let found = found(&entry(&format!("/a/{spelled}")), "/a").unwrap();
    assert_eq!(found.path, ["what?"]);
}

#[test]
fn counts_of_both_spellings_are_read() {
    let of = |answer: Value| {
        let count = count_of(MediaKind::Image, &answer)?;
        Ok::<_, DriveError>((count.count, count.size))
    };
    let official = json!({"info":{"3":{"count":9,"size":"1000","total":9}}});
    assert_eq!(of(official).unwrap(), (9, Some(1000)));
    let client = json!({"count":{"3":{"total":"4"}}});
    assert_eq!(of(client).unwrap(), (4, None));
    assert_eq!(of(json!({"count":{"3":7}})).unwrap(), (7, None));
    assert_eq!(of(json!({"info":{}})).unwrap(), (0, Some(0)));
    for bad in [
        json!({}),
        json!({"info":{"4":{"count":1}}}),
        json!({"info":null}),
    ] {
        assert_eq!(of(bad).unwrap_err().kind, ErrorKind::BadAnswer);
    }
}

#[tokio::test]
async fn a_search_goes_through_its_pages() {
    let (drive, server) = start("official_oauth").await;
    let dir = {
        let mut server = server.lock().unwrap();
        server.put("/d", true, b"").to_string()
    };
    let dir = NodeId::new(dir);
    say(
        &server,
        "search",
        r#"{"errno":0,"has_more":1,"list":[
            {"fs_id":1152921504606846977,"path":"/d/e/cat.jpg","isdir":0,"size":5,"local_mtime":3},
            {"fs_id":"8","path":"/d/cats","isdir":1},{"path":"/d/cat without id"}]}"#,
    );
    let page = drive.search(&dir, " cat ", None).await.unwrap();
    assert_eq!(
        query(&server, "search"),
        pairs(&[
            ("dir", "/d"),
            ("key", "cat"),
            ("method", "search"),
            ("num", "500"),
            ("page", "1"),
            ("recursion", "1"),
        ])
    );
    assert_eq!(page.items.len(), 2, "what makes no sense is left out");
    let first = &page.items[0];
    assert_eq!(first.path, ["d", "e", "cat.jpg"]);
    assert_eq!(first.id.as_str(), "1152921504606846977");
    assert_eq!((first.size, first.modified), (5, 3000));
    assert_eq!(page.items[1].kind, NodeKind::Dir);
    // An empty page ends it whatever the flag says; the list may be null.
    say(&server, "search", r#"{"errno":0,"has_more":1,"list":null}"#);
    let last = drive.search(&dir, "cat", page.next).await.unwrap();
    assert_eq!(last, FoundPage::default());
    assert!(query(&server, "search").contains(&("page".to_owned(), "2".to_owned())));
    for bad in ["", "  ", &"x".repeat(31)] {
        let error = drive.search(&dir, bad, None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
    }
    let odd = Some(Cursor("x".to_owned()));
    let error = drive.search(&dir, "cat", odd).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert_eq!(server.lock().unwrap().count("search"), 2);
}

#[tokio::test]
async fn kinds_are_listed_by_their_own_calls() {
    let (drive, server) = start("manual_cookie").await;
    let root = drive.root();
    for (kind, op) in [
        (MediaKind::Image, "imagelist"),
        (MediaKind::Document, "doclist"),
        (MediaKind::Video, "videolist"),
        (MediaKind::Bt, "btlist"),
    ] {
        say(
            &server,
            op,
            r#"{"errno":0,"info":[{"fs_id":8,"path":"/a/x","isdir":0,"size":1}]}"#,
        );
        let page = drive.media(&root, kind, None).await.unwrap();
        assert_eq!((page.items.len(), page.next), (1, None), "{op}");
        let sent = query(&server, op);
        for pair in pairs(&[("page", "1"), ("num", "1000"), ("parent_path", "/")]) {
            assert!(sent.contains(&pair), "{op}: {sent:?}");
        }
    }
    let more = r#"{"errno":0,"has_more":1,"cursor":700,"list":[{"fs_id":8,"path":"/a","size":1}]}"#;
    say(&server, "categorylist", more);
    let page = drive.media(&root, MediaKind::Audio, None).await.unwrap();
    assert!(query(&server, "categorylist").contains(&("category".to_owned(), "2".to_owned())));
    assert_eq!(page.next, Some(Cursor("700".to_owned())));
    // A cursor that does not go on is not followed for ever.
    say(&server, "categorylist", more);
    let page = drive
        .media(&root, MediaKind::Audio, page.next)
        .await
        .unwrap();
    assert_eq!(page.next, Some(Cursor("701".to_owned())));
    for _ in find_kinds() {
        say(
            &server,
            "categoryinfo",
            r#"{"errno":0,"info":{"1":{"count":1},"2":{"count":2},"3":{"count":3},"4":{"count":4},
                "5":{"count":5},"6":{"count":6},"7":{"count":7}}}"#,
        );
    }
    let counts = drive.media_counts(&root).await.unwrap();
    let all: Vec<(&str, u64)> = counts.iter().map(|c| (c.kind.name(), c.count)).collect();
    assert_eq!(
        all,
        [
            ("video", 1),
            ("audio", 2),
            ("image", 3),
            ("document", 4),
            ("application", 5),
            ("bt", 7),
            ("other", 6)
        ]
    );
}

fn find_kinds() -> &'static [MediaKind] {
    super::KINDS
}

async fn node(drive: &dyn Drive, server: &Shared, path: &str) -> Node {
    drive.stat(&id_at(server, path)).await.unwrap()
}

#[tokio::test]
async fn a_link_is_asked_for_once() {
    use crate::drive::LinkWish;
    let (drive, server) = start("official_oauth").await;
    let id = server.lock().unwrap().put("/a", false, b"x").to_string();
    let file = node(&*drive, &server, "/a").await;
    let wish = LinkWish {
        days: 7,
        code: Some("a1b2".to_owned()),
    };
    say(
        &server,
        "share_set",
        r#"{"errno":0,"show_msg":"","data":{"share_id":39876543210,"short_url":"1Ab",
            "link":"https://pan.baidu.com/s/1Ab?pwd=a1b2","period":"7","pwd":"a1b2"}}"#,
    );
    let link = drive.share_link(&file, &wish).await.unwrap();
    assert_eq!(link.link, "https://pan.baidu.com/s/1Ab?pwd=a1b2");
    assert_eq!((link.id.as_str(), link.days), ("39876543210", 7));
    assert_eq!(
        query(&server, "share_set"),
        pairs(&[("appid", "77"), ("product", "netdisk")])
    );
    let form = server.lock().unwrap().last_form.clone();
    assert_eq!(form["fsid_list"], format!("[\"{id}\"]"));
    assert_eq!(
        (form["period"].as_str(), form["pwd"].as_str()),
        ("7", "a1b2")
    );

    // What is wrong is told before anything is sent.
    let bad = [(0, "a1b2"), (366, "a1b2"), (7, "A1B2"), (7, "abc")];
    for (days, code) in bad {
        let code = Some(code.to_owned());
        let error = drive.share_link(&file, &LinkWish { days, code }).await;
        assert_eq!(error.unwrap_err().kind, ErrorKind::Invalid);
    }
    assert_eq!(server.lock().unwrap().count("share_set"), 1);

    // No code: one is drawn. The refusals are explained.
    let wish = LinkWish {
        days: 30,
        code: None,
    };
    for (text, kind, said) in [
        (r#"{"errno":13998}"#, ErrorKind::Unsupported, "paid service"),
        (r#"{"errno":-40001}"#, ErrorKind::Invalid, "these days"),
    ] {
        say(&server, "share_set", text);
        let error = drive.share_link(&file, &wish).await.unwrap_err();
        assert_eq!(error.kind, kind);
        assert!(error.message.contains(said), "{error}");
        let form = server.lock().unwrap().last_form.clone();
        assert_eq!(form["pwd"].len(), 4);
    }
    // A lost answer is no reason to make a second link.
    let asked = server.lock().unwrap().count("share_set");
    server
        .lock()
        .unwrap()
        .act("share_set", Act::Instead(502, "gateway"));
    assert!(drive.share_link(&file, &wish).await.is_err());
    assert_eq!(server.lock().unwrap().count("share_set"), asked + 1);
}

#[tokio::test]
async fn cookies_make_no_links() {
    use crate::drive::LinkWish;
    let (drive, server) = start("manual_cookie").await;
    server.lock().unwrap().put("/a", false, b"x");
    let file = node(&*drive, &server, "/a").await;
    assert!(!drive.capabilities().finds.links && drive.capabilities().finds.search);
    let wish = LinkWish {
        days: 7,
        code: None,
    };
    let error = drive.share_link(&file, &wish).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
    assert_eq!(server.lock().unwrap().count("share_set"), 0);
}
