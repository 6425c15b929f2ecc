//! Conversations about what is there: listings, tokens, links, changes.

use super::stand_in::{Act, again, id_at, start};
use crate::drive::{ErrorKind, NodeId, collect};
use crate::fingerprint::{Kind, Origin};

const OAUTH: &str = "official_oauth";

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_saved_before_it_is_used() {
    let (drive, server) = start(OAUTH).await;
    server.lock().unwrap().token = "other".to_owned();
    drive.list(&drive.root(), None).await.unwrap();
    drive.list(&drive.root(), None).await.unwrap();
    let server = server.lock().unwrap();
    assert_eq!(server.seen, ["list", "token", "list", "list"]);
    // Two calls had been made when the pair was saved: the refused one and the refresh.
    assert!(server.saved.contains(&"2 access_token=other+".to_owned()));
    assert!(server.saved.contains(&"2 refresh_token=R+".to_owned()));
}

#[tokio::test]
async fn a_spent_refresh_token_is_asked_with_once() {
    let (drive, server) = start(OAUTH).await;
    {
        let mut server = server.lock().unwrap();
        server.token = "other".to_owned();
        server.refresh = "spent by somebody else".to_owned();
    }
    for _ in 0..3 {
        let error = drive.list(&drive.root(), None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Auth);
    }
    assert_eq!(server.lock().unwrap().count("token"), 1);
}

#[tokio::test]
async fn an_id_leads_to_its_place_and_its_parent() {
    let (drive, server) = start(OAUTH).await;
    let (dir, file) = {
        let mut server = server.lock().unwrap();
        server.put("/a", true, b"");
        let dir = server.put("/a/b", true, b"").to_string();
        (dir, server.put("/a/b/f.txt", false, b"hello").to_string())
    };
    // Nothing is known but the id: the parent's own id is found by listing above it.
    let node = drive.stat(&NodeId::new(file.as_str())).await.unwrap();
    assert_eq!((node.name.as_str(), node.size), ("f.txt", 5));
    assert_eq!(node.parent.as_str(), dir);
    let page = drive.list(&node.parent, None).await.unwrap();
    assert_eq!(page.nodes.len(), 1);
    assert_eq!(
        (&page.nodes[0].id, &page.nodes[0].version),
        (&node.id, &node.version)
    );
    // Moved by another client: the old path is not believed when it fails.
    {
        let mut server = server.lock().unwrap();
        for name in ["/a/b", "/a/b/f.txt"] {
            let item = server.tree.remove(name).unwrap();
            server.tree.insert(name.replace("/a/b", "/c"), item);
        }
    }
    assert_eq!(drive.list(&node.parent, None).await.unwrap().nodes.len(), 1);
    server.lock().unwrap().tree.clear();
    let gone = drive.stat(&node.id).await.unwrap_err();
    assert_eq!(gone.kind, ErrorKind::NotFound);
    let gone = drive.list(&node.parent, None).await.unwrap_err();
    assert_eq!(gone.kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn pages_follow_each_other() {
    let (drive, server) = start(OAUTH).await;
    for n in 0..1002 {
        server
            .lock()
            .unwrap()
            .put(&format!("/f{n:04}"), false, b"x");
    }
    let first = drive.list(&drive.root(), None).await.unwrap();
    assert_eq!(first.nodes.len(), 1000);
    let second = drive.list(&drive.root(), first.next).await.unwrap();
    assert_eq!((second.nodes.len(), second.next.is_none()), (2, true));
}

#[tokio::test]
async fn links_are_kept_and_renewed_when_they_are_refused() {
    let (drive, server) = start(OAUTH).await;
    let id = server.lock().unwrap().put("/f", false, b"hello world");
    let node = drive.stat(&NodeId::new(id.to_string())).await.unwrap();
    let read = async |range: std::ops::Range<u64>| {
        let length = range.end - range.start;
        collect(drive.read(&node, range).await.unwrap(), length).await
    };
    assert_eq!(&read(2..5).await.unwrap()[..], b"llo");
    assert_eq!(&read(0..11).await.unwrap()[..], b"hello world");
    {
        let server = server.lock().unwrap();
        let counts = ["dlink", "cdn"].map(|op| server.count(op));
        assert_eq!(counts, [1, 2], "the address behind the link is kept");
    }
    for refusal in [r#"{"error_code":31360}"#, "<html>"] {
        {
            let mut server = server.lock().unwrap();
            server.seen.clear();
            server.act("cdn", Act::Instead(403, refusal));
        }
        assert_eq!(&read(0..1).await.unwrap()[..], b"h");
    }
    let server = server.lock().unwrap();
    assert_eq!(server.seen, ["cdn", "filemetas", "dlink", "cdn"]);
}

#[tokio::test]
async fn the_md5_of_a_download_is_trusted_the_listed_one_is_not_shown() {
    let (drive, server) = start(OAUTH).await;
    let id = server.lock().unwrap().put("/f", false, b"hello world");
    let node = drive.stat(&NodeId::new(id.to_string())).await.unwrap();
    assert!(node.fingerprints.is_empty());
    for _ in 0..2 {
        let known = drive.fingerprint(&node, Kind::Md5).await.unwrap().unwrap();
        assert_eq!(&*known.value, "5eb63bbbe01eeed093cb22bb8f5acdc3");
        assert_eq!(known.origin, Origin::Provider);
    }
    assert_eq!(server.lock().unwrap().count("cdn"), 1);
    let id = server.lock().unwrap().put("/g", false, b"fresh");
    let node = drive.stat(&NodeId::new(id.to_string())).await.unwrap();
    server.lock().unwrap().md5_header = false;
    assert_eq!(drive.fingerprint(&node, Kind::Md5).await.unwrap(), None);
}

#[tokio::test]
async fn a_rename_whose_answer_is_lost_is_a_success() {
    let (drive, server) = start(OAUTH).await;
    {
        let mut server = server.lock().unwrap();
        server.put("/d", true, b"");
        server.put("/d/x", true, b"");
        server.put("/e", true, b"");
        server.act("rename", Act::Lost(502, "<html>bad gateway"));
        server.act("move", Act::Lost(504, ""));
    }
    let inner = drive.stat(&id_at(&server, "/d/x")).await.unwrap();
    let renamed = drive.rename(&inner, "y").await.unwrap();
    assert_eq!((renamed.name.as_str(), &renamed.id), ("y", &inner.id));
    let moved = drive
        .move_to(&renamed, &id_at(&server, "/e"))
        .await
        .unwrap();
    assert_eq!(moved.parent, id_at(&server, "/e"));
    assert!(drive.list(&moved.id, None).await.unwrap().nodes.is_empty());
    let server = server.lock().unwrap();
    assert_eq!((server.count("rename"), server.count("move")), (1, 1));
    assert!(server.tree.contains_key("/e/y"));
}

#[tokio::test]
async fn nothing_is_ever_replaced() {
    let (drive, server) = start(OAUTH).await;
    {
        let mut server = server.lock().unwrap();
        server.put("/d", true, b"");
        server.put("/d/f", false, b"theirs");
        server.put("/f", false, b"mine");
    }
    let node = drive.stat(&id_at(&server, "/f")).await.unwrap();
    let dir = id_at(&server, "/d");
    let errors = [
        drive.rename(&node, "d").await.unwrap_err(),
        drive.move_to(&node, &dir).await.unwrap_err(),
        drive.copy(&node, &dir, "f").await.unwrap_err(),
        drive.mkdir(&dir, "f").await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind, ErrorKind::Exists, "{error}");
    }
    assert_eq!(server.lock().unwrap().tree["/d/f"].bytes, b"theirs");
    server.lock().unwrap().act("copy", Act::Lost(502, ""));
    let copy = drive.copy(&node, &dir, "g.bin").await.unwrap();
    assert_eq!((copy.name.as_str(), copy.size), ("g.bin", 4));
    assert_eq!(copy.version, node.version);
    assert_eq!(copy.id, id_at(&server, "/d/g.bin"));
}

#[tokio::test]
async fn a_directory_that_is_gone_is_not_made_again_by_mkdir() {
    let (drive, server) = start(OAUTH).await;
    server.lock().unwrap().put("/d", true, b"");
    let dir = drive.stat(&id_at(&server, "/d")).await.unwrap();
    server.lock().unwrap().act("mkdir", Act::Lost(502, ""));
    let made = drive.mkdir(&dir.id, ".hidden").await.unwrap();
    assert_eq!(made.name, ".hidden");
    assert!(
        server
            .lock()
            .unwrap()
            .tree
            .contains_key("/d/\u{FF0E}hidden")
    );
    server.lock().unwrap().tree.clear();
    let error = drive.mkdir(&dir.id, "x").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(server.lock().unwrap().tree.is_empty());
}

#[tokio::test]
async fn the_trash_takes_what_the_id_names_now() {
    let (drive, server) = start(OAUTH).await;
    server.lock().unwrap().put("/old", false, b"mine");
    let node = drive.stat(&id_at(&server, "/old")).await.unwrap();
    {
        // Another client renamed it and put something else in its place.
        let mut server = server.lock().unwrap();
        let item = server.tree.remove("/old").unwrap();
        server.tree.insert("/new".to_owned(), item);
        server.put("/old", false, b"theirs");
        server.act("delete", Act::Lost(502, ""));
    }
    drive.trash(&node).await.unwrap();
    drive.trash(&node).await.unwrap();
    assert!(
        drive.restore(&node).await.is_err(),
        "no call of the open platform"
    );
    let server = server.lock().unwrap();
    assert_eq!(server.tree.keys().collect::<Vec<_>>(), ["/old"]);
    assert_eq!(server.count("delete"), 1);
}

#[tokio::test]
async fn another_task_is_waited_out_and_an_own_one_is_watched() {
    let (drive, server) = start(OAUTH).await;
    server.lock().unwrap().put("/d", true, b"");
    let dir = drive.stat(&id_at(&server, "/d")).await.unwrap();
    {
        let mut server = server.lock().unwrap();
        server.act("rename", Act::Instead(200, r#"{"errno":111}"#));
        server.act(
            "rename",
            Act::Lost(200, r#"{"errno":0,"taskid":77,"info":null}"#),
        );
        server.act(
            "taskquery",
            Act::Instead(200, r#"{"errno":0,"status":"running","progress":40}"#),
        );
    }
    drive.rename(&dir, "e").await.unwrap();
    {
        let server = server.lock().unwrap();
        assert_eq!((server.count("rename"), server.count("taskquery")), (2, 2));
        assert_eq!((server.count("token"), server.last_form.len()), (0, 0));
    }
    // It persists: then the number means its other thing, an expired token.
    for _ in 0..2 {
        let mut server = server.lock().unwrap();
        server.act("rename", Act::Instead(200, r#"{"errno":"111"}"#));
    }
    drive.rename(&dir, "f").await.unwrap();
    assert_eq!(server.lock().unwrap().count("token"), 1);
}

#[tokio::test]
async fn a_frequency_limit_rests_the_account() {
    let (drive, server) = start(OAUTH).await;
    let limited = r#"{"errno":31034,"errmsg":"hit frequence limit"}"#;
    server
        .lock()
        .unwrap()
        .act("list", Act::Instead(200, limited));
    for _ in 0..2 {
        let error = drive.list(&drive.root(), None).await.unwrap_err();
        assert_eq!((error.kind, error.errno()), (ErrorKind::Risk, libc::EBUSY));
        assert!(error.hint().unwrap().contains("robot"));
    }
    assert_eq!(server.lock().unwrap().seen, ["list"]);
}

#[tokio::test]
async fn odd_answers_are_no_panics() {
    let (drive, server) = start(OAUTH).await;
    for (text, ok) in [
        (r#"{"errno":0,"list":null}"#, true),
        (
            r#"{"errno":0,"list":[{"fs_id":null},{"fs_id":"18446744073709551611","path":"/x","isdir":1}]}"#,
            true,
        ),
        ("<?xml version=\"1.0\"?><Error/>", false),
        ("<html>login", false),
        ("[]", false),
    ] {
        server.lock().unwrap().act("list", Act::Instead(200, text));
        match drive.list(&drive.root(), None).await {
            Ok(page) => assert!(ok && page.nodes.len() <= 1, "{text}"),
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::BadAnswer, "{text}");
                assert!(!ok, "{text}");
            }
        }
    }
}

#[tokio::test]
async fn the_account_is_told_with_its_space() {
    let (drive, server) = start(OAUTH).await;
    assert_eq!(drive.account_id(), None);
    let quota = drive.quota().await.unwrap();
    assert_eq!((quota.total, quota.used), (2_000_000_000_000, 5));
    assert_eq!(drive.account_id().as_deref(), Some("987654321012"));
    drive.quota().await.unwrap();
    assert_eq!(server.lock().unwrap().count("uinfo"), 1);
}

#[tokio::test]
async fn a_web_session_can_restore_and_ends_without_a_refresh() {
    let (drive, server) = start("manual_cookie").await;
    server.lock().unwrap().put("/f", false, b"mine");
    let node = drive.stat(&id_at(&server, "/f")).await.unwrap();
    drive.trash(&node).await.unwrap();
    server.lock().unwrap().act("restore", Act::Lost(502, ""));
    let back = drive.restore(&node).await.unwrap();
    assert_eq!((&back.id, back.name.as_str()), (&node.id, "f"));
    let got = collect(drive.read(&back, 0..4).await.unwrap(), 4)
        .await
        .unwrap();
    assert_eq!(&got[..], b"mine");
    // The service ends the session: nothing is asked again and again.
    server.lock().unwrap().cookie = false;
    server.lock().unwrap().seen.clear();
    let again = again("manual_cookie", &server);
    let error = again.list(&again.root(), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth);
    assert_eq!(server.lock().unwrap().seen, ["list"]);
}
