//! Listings, reads, copies, and what goes wrong with them.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[tokio::test]
async fn odd_names_are_signed_listed_and_read() {
    let stand = Stand::plain().await;
    let drive = stand.drive();
    let keys = [
        "d/a b+c%20.txt",
        "d/\u{4f60}\u{597d}~!*'().bin",
        "d/ outer ",
        "d/ideographic\u{3000}",
        "d/&<>\"=?#",
        "d/back\\slash",
    ];
    for key in keys {
        stand.put(key, key.as_bytes());
    }
    let nodes = all(&*drive, "d").await.unwrap();
    let mut seen: Vec<String> = nodes.iter().map(|node| node.name.clone()).collect();
    let mut wanted: Vec<String> = keys.iter().map(|key| key[2..].to_owned()).collect();
    seen.sort();
    wanted.sort();
    assert_eq!(seen, wanted);
    for node in &nodes {
        let size = node.size;
        let key = format!("d/{}", node.name);
        assert_eq!(read(&*drive, node, 0..size).await.unwrap(), key.as_bytes());
        assert_eq!(&drive.stat(&node.id).await.unwrap(), node);
        let known = node.fingerprints.get(Kind::Md5).unwrap();
        assert_eq!(&*known.value, md5(key.as_bytes()));
        assert_eq!(
            (node.modified, known.origin),
            (1_700_000_000_000, Origin::Provider)
        );
    }
    // A name with a blank at its end is not the one without.
    let outer = nodes.iter().find(|node| node.name == " outer ").unwrap();
    stand.put("d/ outer", b"another");
    drive.trash(outer).await.unwrap();
    assert!(stand.get("d/ outer ").is_none() && stand.get("d/ outer").is_some());
}

#[tokio::test]
async fn keys_that_no_path_leads_to_are_left_out() {
    let stand = Stand::plain().await;
    for key in [
        "/x", "a//b", "a/../c", "./d", "e", "a/f", "a/", "..", "a/g/",
    ] {
        stand.put(key, b"1");
    }
    let drive = stand.drive();
    assert_eq!(names(&*drive, "").await, ["a/", "e"]);
    assert_eq!(names(&*drive, "a").await, ["f", "g/"]);
    let a = stat(&*drive, "a").await.unwrap();
    let error = drive.trash(&a).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotEmpty);
    assert_eq!(stand.keys().len(), 9);
    let error = drive.rename(&a, "z").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
}

#[tokio::test]
async fn pages_are_followed_and_lose_nothing() {
    let kind = Manners {
        page: 3,
        ..Manners::default()
    };
    let stand = Stand::with(kind).await;
    let mut wanted = Vec::new();
    for at in 0..7 {
        stand.put(&format!("d/f{at}"), b"x");
        stand.put(&format!("d/s{at}/x"), b"x");
        stand.put(&format!("d/s{at}/y"), b"x");
        stand.put(&format!("d/s{at}0"), b"x");
        wanted.extend([format!("f{at}"), format!("s{at}/"), format!("s{at}0")]);
    }
    wanted.sort();
    let drive = stand.drive();
    assert_eq!(names(&*drive, "d").await, wanted);
    assert_eq!(stand.count("GET ?"), wanted.len().div_ceil(3));
    // A file and a directory with one path, on two pages.
    for key in ["e/a", "e/a!", "e/a-", "e/a/b", "e/b"] {
        stand.put(key, b"x");
    }
    assert_eq!(names(&*drive, "e").await, ["a", "a!", "a-", "b"]);
    assert!(!stat(&*drive, "e/a").await.unwrap().is_dir());
}

#[tokio::test]
async fn a_listing_may_have_no_tags_or_odd_ones() {
    let bare = Manners {
        bare_tags: true,
        ..Manners::default()
    };
    let stand = Stand::with(bare).await;
    stand.put("f", b"1");
    let drive = stand.drive();
    let listed = all(&*drive, "").await.unwrap().remove(0);
    assert_eq!(
        listed,
        Node {
            raw: listed.raw.clone(),
            ..stat(&*drive, "f").await.unwrap()
        }
    );
    assert_eq!(listed.version, md5(b"1"));

    let none = Manners {
        no_tags: true,
        ..Manners::default()
    };
    let stand = Stand::with(none).await;
    stand.put("f", b"1");
    let drive = stand.drive();
    let listed = all(&*drive, "").await.unwrap().remove(0);
    let looked = stat(&*drive, "f").await.unwrap();
    assert_eq!(listed.version, looked.version);
    assert!(listed.fingerprints.get(Kind::Md5).is_none());
    assert_eq!(read(&*drive, &listed, 0..1).await.unwrap(), "1");
}

#[tokio::test]
async fn what_a_key_service_encrypts_has_no_md5() {
    let kind = Manners {
        sealed: true,
        ..Manners::default()
    };
    let stand = Stand::with(kind).await;
    stand.put("f", b"1");
    stand.put("g", b"2");
    let drive = stand.drive();
    for node in all(&*drive, "").await.unwrap() {
        assert!(node.fingerprints.get(Kind::Md5).is_none());
    }
    assert_eq!(stand.count("HEAD"), 1);
    // And where nobody wants to know.
    let stand = Stand::plain().await;
    stand.put("f", b"1");
    let drive = stand.drive_with(&[("etag_md5", "no")]);
    let node = all(&*drive, "").await.unwrap().remove(0);
    assert!(node.fingerprints.get(Kind::Md5).is_none());
    assert_eq!(stand.count("HEAD"), 0);
}

#[tokio::test]
async fn ranges_are_ranges_of_the_file_that_is_meant() {
    let stand = Stand::plain().await;
    let drive = stand.drive();
    let whole = bytes(100_000);
    stand.put("f", &whole);
    let node = stat(&*drive, "f").await.unwrap();
    assert_eq!(
        read(&*drive, &node, 10..99_999).await.unwrap(),
        whole.slice(10..99_999)
    );
    stand.put("f", &bytes(100_001));
    for range in [0..10, 50_000..50_001] {
        let error = read(&*drive, &node, range).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Changed);
    }
    stand.state.lock().unwrap().objects.clear();
    let error = read(&*drive, &node, 0..1).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);

    let kind = Manners {
        rangeless: true,
        ..Manners::default()
    };
    let stand = Stand::with(kind).await;
    stand.put("f", &whole);
    let drive = stand.drive();
    let node = stat(&*drive, "f").await.unwrap();
    assert_eq!(read(&*drive, &node, 0..9).await.unwrap(), whole.slice(0..9));
    let error = read(&*drive, &node, 5..9).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadAnswer);
}

#[tokio::test]
async fn a_file_is_moved_by_a_copy_that_was_looked_at() {
    let stand = Stand::plain().await;
    let drive = stand.drive();
    stand.put("a b/f+1", b"content");
    stand.put("d/x", b"x");
    let node = stat(&*drive, "a%20b/f%2B1").await.unwrap();
    stand.forget();
    let renamed = drive.rename(&node, "g %").await.unwrap();
    assert_eq!((renamed.id.as_str(), renamed.size), ("a%20b/g%20%25", 7));
    // Nothing of it went through this machine.
    assert_eq!((stand.count("GET a"), stand.count("PUT")), (0, 1));
    let moved = drive.move_to(&renamed, &NodeId::new("d")).await.unwrap();
    assert_eq!(moved.id.as_str(), "d/g%20%25");
    assert_eq!(
        moved.fingerprints.get(Kind::Md5).unwrap().value.as_ref(),
        md5(b"content")
    );
    // The directory that is empty now is still there.
    assert_eq!(stand.keys(), ["a b/", "d/g %", "d/x"]);
    let taken = drive.rename(&moved, "x").await.unwrap_err();
    assert_eq!(taken.kind, ErrorKind::Exists);
    let nowhere = drive.move_to(&moved, &NodeId::new("no")).await.unwrap_err();
    assert_eq!(nowhere.kind, ErrorKind::NotFound);
    let copied = drive.copy(&moved, &NodeId::new(""), "c").await.unwrap();
    assert_eq!((copied.id.as_str(), copied.parent.as_str()), ("c", ""));
    let taken = drive
        .copy(&moved, &NodeId::new("d"), "x")
        .await
        .unwrap_err();
    assert_eq!(taken.kind, ErrorKind::Exists);
    assert_eq!(stand.get("d/x").unwrap(), "x");
}

#[tokio::test]
async fn nothing_is_deleted_when_the_copy_fails() {
    for act in [
        Act::Refuse(403, "AccessDenied"),
        Act::Refuse(412, "PreconditionFailed"),
        Act::Hidden("NoSuchKey"),
    ] {
        let script = move |line: &str| if line == "PUT g" { act } else { Act::Serve };
        let stand = Stand::start(Manners::default(), script).await;
        stand.put("f", b"1");
        let drive = stand.drive();
        let node = stat(&*drive, "f").await.unwrap();
        assert!(drive.rename(&node, "g").await.is_err());
        assert_eq!(stand.keys(), ["f"]);
        assert_eq!(stand.count("DELETE"), 0);
    }
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    let left = AtomicUsize::new(2);
    let script = move |line: &str| match line.starts_with("GET ?") {
        true => match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)) {
            Ok(_) => Act::Refuse(503, "SlowDown"),
            Err(_) => Act::Serve,
        },
        // A copy that fails behind its success, once.
        false => Act::Serve,
    };
    let stand = Stand::start(Manners::default(), script).await;
    stand.put("f", b"1");
    let drive = stand.drive();
    assert_eq!(names(&*drive, "").await, ["f"]);
    assert_eq!(stand.count("GET ?"), 3);
}

#[tokio::test]
async fn errors_arrive_with_their_kind() {
    for (status, code, kind) in [
        (403, "AccessDenied", ErrorKind::Auth),
        (403, "InvalidAccessKeyId", ErrorKind::Auth),
        (403, "RequestTimeTooSkewed", ErrorKind::Auth),
        (404, "NoSuchBucket", ErrorKind::Invalid),
        (301, "PermanentRedirect", ErrorKind::Invalid),
    ] {
        let script = move |_: &str| Act::Refuse(status, code);
        let stand = Stand::start(Manners::default(), script).await;
        let drive = stand.drive();
        let error = drive.list(&NodeId::new(""), None).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_deref()), (kind, Some(code)));
        assert_eq!(stand.count("GET"), 1, "{code}");
        // A key that may not be looked at is not one that is gone.
        let error = stat(&*drive, "f").await.unwrap_err();
        let of_head = if status == 404 {
            ErrorKind::Invalid
        } else {
            kind
        };
        assert_eq!(error.kind, of_head, "{code}");
    }
    let stand = Stand::plain().await;
    let wrong = stand.drive_as(&[], "another", None);
    let error = wrong.list(&NodeId::new(""), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth);
    assert!(error.message.contains("signature"), "{error}");
    let missing = stand.drive_as(&[], "", None);
    let error = missing.list(&NodeId::new(""), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth);
    assert!(error.message.contains("secret_access_key"), "{error}");
}

#[tokio::test]
async fn a_profile_may_show_a_part_of_a_bucket() {
    let stand = Stand::plain().await;
    stand.put("team/a b/f", b"1");
    stand.put("other", b"2");
    let drive = stand.drive_as(&[], server::SECRET, Some("/team/a b/"));
    let root = drive.root();
    assert_eq!(root.as_str(), "team/a%20b");
    assert_eq!(names(&*drive, root.as_str()).await, ["f"]);
    let file = stat(&*drive, "team/a%20b/f").await.unwrap();
    drive.trash(&file).await.unwrap();
    // The top is there, whatever is in it.
    assert!(names(&*drive, root.as_str()).await.is_empty());
    assert!(drive.stat(&root).await.unwrap().is_dir());
    assert_eq!(stand.keys(), ["other"]);
    let top = drive.stat(&root).await.unwrap();
    assert_eq!(
        drive.trash(&top).await.unwrap_err().kind,
        ErrorKind::Invalid
    );
}
