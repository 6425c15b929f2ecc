//! Listings, reads and changes.

use super::*;

#[tokio::test]
async fn what_is_there_is_listed_and_read() {
    let stand = Stand::plain().await;
    stand.put("/dav/d/\u{4f60} & +.txt", b"hello");
    stand.make_dir("/dav/d/sub");
    let drive = stand.drive();
    let root = drive.stat(&drive.root()).await.unwrap();
    assert!(root.is_dir());
    let top = drive.list(&drive.root(), None).await.unwrap().nodes;
    assert_eq!((top.len(), top[0].id.as_str()), (1, "d"));
    let page = drive.list(&top[0].id, None).await.unwrap();
    assert!(page.next.is_none());
    let file = page.nodes.iter().find(|node| !node.is_dir()).unwrap();
    assert_eq!(file.name, "\u{4f60} & +.txt");
    assert_eq!(file.parent, top[0].id);
    assert_eq!(*file, drive.stat(&file.id).await.unwrap());
    let got = drive.read(file, 1..4).await.unwrap();
    assert_eq!(&collect(got, 3).await.unwrap()[..], b"ell");
    let quota = drive.quota().await.unwrap();
    assert_eq!((quota.total, quota.used), (100, 10));
    let gone = drive.stat(&NodeId::new("no")).await.unwrap_err();
    assert_eq!(gone.kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn a_file_that_changed_is_not_mixed() {
    let stand = Stand::plain().await;
    stand.put("/dav/d/f", b"old bytes");
    let drive = stand.drive();
    let node = drive.stat(&NodeId::new("d/f")).await.unwrap();
    stand.put("/dav/d/f", b"new bytes");
    let error = drive.read(&node, 0..4).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Changed);
    stand.put("/dav/d/f", b"old bytes, longer");
    let error = drive.read(&node, 0..4).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Changed);
}

#[tokio::test]
async fn a_server_without_ranges_gives_only_beginnings() {
    let manners = Manners {
        rangeless: true,
        ..Manners::default()
    };
    let stand = Stand::start(manners, |_| Act::Serve).await;
    stand.put("/dav/d/f", b"0123456789");
    let drive = stand.drive();
    let node = drive.stat(&NodeId::new("d/f")).await.unwrap();
    let head = drive.read(&node, 0..3).await.unwrap();
    assert_eq!(&collect(head, 3).await.unwrap()[..], b"012");
    let error = drive.read(&node, 3..5).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::BadAnswer);
}

#[tokio::test]
async fn digest_is_answered_and_its_number_used_on() {
    let manners = Manners {
        digest: true,
        ..Manners::default()
    };
    for mode in ["digest", "basic"] {
        let stand = Stand::start(manners, |_| Act::Serve).await;
        let drive = stand.drive_as(mode, "/dav", &[]);
        for _ in 0..3 {
            drive.stat(&NodeId::new("d")).await.unwrap();
        }
        // One refusal, then three answers.
        assert_eq!(stand.count("PROPFIND"), 4, "{mode}");
        let last = stand.header("PROPFIND", "authorization").unwrap();
        assert!(last.contains("nc=00000003"), "{last}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_sent_once() {
    let stand = Stand::plain().await;
    let drive = stand.drive_as("basic", "/dav", &[("username", "other")]);
    let error = drive.stat(&drive.root()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth);
    assert_eq!(stand.count("PROPFIND"), 1);
    let token = stand.drive_as("bearer", "/dav", &[]);
    token.stat(&token.root()).await.unwrap();
}

#[tokio::test]
async fn directories_are_made_moved_and_deleted() {
    let manners = Manners {
        slashes: true,
        ..Manners::default()
    };
    let stand = Stand::start(manners, |_| Act::Serve).await;
    let drive = stand.drive();
    let top = drive.mkdir(&NodeId::new("d"), "new \\ dir").await.unwrap();
    assert_eq!(top.name, "new \\ dir");
    let taken = drive.mkdir(&NodeId::new("d"), "new \\ dir").await;
    assert_eq!(taken.unwrap_err().kind, ErrorKind::Exists);
    let orphan = drive.mkdir(&NodeId::new("no"), "x").await;
    assert_eq!(orphan.unwrap_err().kind, ErrorKind::NotFound);
    stand.put("/dav/d/new \u{ff3c} dir/f", b"x");
    let renamed = drive.rename(&top, "other").await.unwrap();
    assert_eq!(renamed.id.as_str(), "d/other");
    assert_eq!(stand.get("/dav/d/other/f").unwrap(), "x");
    let moved = drive.move_to(&renamed, &drive.root()).await.unwrap();
    assert_eq!((moved.id.as_str(), moved.parent.as_str()), ("other", ""));
    let inside = drive.move_to(&moved, &moved.id).await.unwrap_err();
    assert_eq!(inside.kind, ErrorKind::Invalid);
    drive.trash(&moved).await.unwrap();
    drive.trash(&moved).await.unwrap();
    assert!(stand.paths().is_empty(), "{:?}", stand.paths());
    let all = drive.trash(&drive.stat(&drive.root()).await.unwrap()).await;
    assert_eq!(all.unwrap_err().kind, ErrorKind::Invalid);
}

#[tokio::test]
async fn nothing_is_replaced_even_where_the_server_would() {
    let manners = Manners {
        careless: true,
        ..Manners::default()
    };
    let stand = Stand::start(manners, |_| Act::Serve).await;
    stand.put("/dav/d/a", b"a");
    stand.put("/dav/d/b", b"b");
    let drive = stand.drive();
    let a = drive.stat(&NodeId::new("d/a")).await.unwrap();
    let renamed = drive.rename(&a, "b").await.unwrap_err();
    assert_eq!(renamed.kind, ErrorKind::Exists);
    let copied = drive.copy(&a, &a.parent, "b").await.unwrap_err();
    assert_eq!(copied.kind, ErrorKind::Exists);
    assert_eq!(stand.get("/dav/d/b").unwrap(), "b");
    let copied = drive.copy(&a, &a.parent, "c").await.unwrap();
    assert_eq!((copied.name.as_str(), copied.version), ("c", a.version));
}

#[tokio::test]
async fn lost_answers_are_looked_for() {
    let stand = Stand::start(Manners::default(), |line| {
        // Every change is done and not told of, once.
        static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
        let mut seen = SEEN.lock().unwrap();
        if line.starts_with("PROPFIND") || seen.iter().any(|known| known == line) {
            return Act::Serve;
        }
        seen.push(line.to_owned());
        Act::DropAnswer
    })
    .await;
    let drive = stand.drive();
    let dir = drive.mkdir(&NodeId::new("d"), "sub").await.unwrap();
    stand.put("/dav/d/sub/f", b"x");
    let file = drive.stat(&NodeId::new("d/sub/f")).await.unwrap();
    let file = drive.rename(&file, "g").await.unwrap();
    assert_eq!(file.id.as_str(), "d/sub/g");
    let copy = drive.copy(&file, &dir.id, "h").await.unwrap();
    drive.trash(&copy).await.unwrap();
    assert_eq!(stand.paths(), ["/dav/d/sub", "/dav/d/sub/g"]);
}

#[tokio::test]
async fn refusals_are_told() {
    for (status, kind) in [
        (403, ErrorKind::Auth),
        (423, ErrorKind::Busy),
        (429, ErrorKind::RateLimited),
        (507, ErrorKind::QuotaFull),
    ] {
        let stand = Stand::start(Manners::default(), move |line| {
            match line.starts_with("MKCOL") {
                true => Act::Status(status),
                false => Act::Serve,
            }
        })
        .await;
        let error = stand.drive().mkdir(&NodeId::new("d"), "x").await;
        assert_eq!(error.unwrap_err().kind, kind, "{status}");
    }
    let stand = Stand::start(Manners::default(), |_| Act::Status(405)).await;
    let error = stand.drive().stat(&NodeId::new("d")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
    assert!(error.message.contains("does not speak WebDAV"), "{error}");
}
