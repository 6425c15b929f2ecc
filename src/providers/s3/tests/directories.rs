//! Directories, which are prefixes: made, emptied, moved, removed.

use super::*;

async fn mkdir(drive: &dyn Drive, parent: &str, name: &str) -> Result<Node> {
    drive.mkdir(&NodeId::new(parent), name).await
}

#[tokio::test]
async fn an_empty_directory_is_an_object_with_a_slash() {
    let stand = Stand::plain().await;
    let drive = stand.drive();
    let made = mkdir(&*drive, "", "a b").await.unwrap();
    assert_eq!((made.id.as_str(), made.is_dir()), ("a%20b", true));
    mkdir(&*drive, "a%20b", "c").await.unwrap();
    assert_eq!(stand.keys(), ["a b/", "a b/c/"]);
    assert_eq!(names(&*drive, "a%20b").await, ["c/"]);
    assert!(names(&*drive, "a%20b/c").await.is_empty());
    assert!(stat(&*drive, "a%20b/c").await.unwrap().is_dir());
    let again = mkdir(&*drive, "", "a b").await.unwrap_err();
    assert_eq!(again.kind, ErrorKind::Exists);
    let nowhere = mkdir(&*drive, "no", "x").await.unwrap_err();
    assert_eq!(nowhere.kind, ErrorKind::NotFound);
    stand.put("f", b"1");
    let taken = mkdir(&*drive, "", "f").await.unwrap_err();
    assert_eq!(taken.kind, ErrorKind::Exists);
    let error = all(&*drive, "nowhere").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn an_emptied_directory_stays() {
    let stand = Stand::plain().await;
    let drive = stand.drive();
    stand.put("d/e/f", b"1");
    stand.put("d/e/g", b"1");
    for name in ["f", "g"] {
        let node = stat(&*drive, &format!("d/e/{name}")).await.unwrap();
        drive.trash(&node).await.unwrap();
        // Gone already: a success.
        drive.trash(&node).await.unwrap();
    }
    assert_eq!(stand.keys(), ["d/e/"]);
    assert_eq!(names(&*drive, "d").await, ["e/"]);
    // In one that is known to be marked nobody has to look.
    stand.put("d/e/h", b"1");
    let node = stat(&*drive, "d/e/h").await.unwrap();
    stand.forget();
    drive.trash(&node).await.unwrap();
    assert_eq!(stand.count(""), 1);
    let e = stat(&*drive, "d/e").await.unwrap();
    drive.trash(&e).await.unwrap();
    assert_eq!(stand.keys(), ["d/"]);
}

#[tokio::test]
async fn a_server_that_makes_files_of_markers_gets_none() {
    let kind = Manners {
        no_markers: true,
        ..Manners::default()
    };
    let stand = Stand::with(kind).await;
    let drive = stand.drive();
    let made = mkdir(&*drive, "", "d").await.unwrap();
    mkdir(&*drive, "d", "e").await.unwrap();
    assert!(stand.keys().is_empty(), "{:?}", stand.keys());
    // Remembered as long as this drive is open.
    assert_eq!(names(&*drive, "").await, ["d/"]);
    assert_eq!(names(&*drive, "d").await, ["e/"]);
    assert!(stat(&*drive, "d/e").await.unwrap().is_dir());
    assert_eq!(
        mkdir(&*drive, "", "d").await.unwrap_err().kind,
        ErrorKind::Exists
    );
    let moved = drive.rename(&made, "z").await.unwrap();
    assert_eq!(names(&*drive, "").await, ["z/"]);
    assert_eq!(names(&*drive, "z").await, ["e/"]);
    drive.trash(&moved).await.unwrap();
    assert!(names(&*drive, "").await.is_empty());
}

#[tokio::test]
async fn without_markers_no_object_is_made_for_a_directory() {
    let stand = Stand::plain().await;
    let drive = stand.drive_with(&[("directory_markers", "no")]);
    mkdir(&*drive, "", "d").await.unwrap();
    stand.put("x/f", b"1");
    let file = stat(&*drive, "x/f").await.unwrap();
    drive.trash(&file).await.unwrap();
    assert_eq!(names(&*drive, "").await, ["d/", "x/"]);
    assert!(stand.keys().is_empty());
}

#[tokio::test]
async fn a_directory_moves_with_everything_in_it() {
    let stand = Stand::plain().await;
    let drive = stand.drive();
    let keys = ["p/d/", "p/d/a b", "p/d/s/", "p/d/s/\u{4f60}", "p/d/t/u/v+"];
    for key in keys {
        stand.put(key, key.as_bytes());
    }
    stand.put("p/d-not", b"x");
    stand.put("q/", b"");
    let d = stat(&*drive, "p/d").await.unwrap();
    let moved = drive.move_to(&d, &NodeId::new("q")).await.unwrap();
    assert_eq!((moved.id.as_str(), moved.is_dir()), ("q/d", true));
    for key in keys {
        let there = key.replacen("p/", "q/", 1);
        assert_eq!(stand.get(&there).unwrap(), key.as_bytes());
        assert!(stand.get(key).is_none());
    }
    assert!(stand.get("p/d-not").is_some());
    assert_eq!(stand.count("POST ?delete"), 1);
    let renamed = drive.rename(&moved, "e").await.unwrap();
    assert_eq!(names(&*drive, "q").await, ["e/"]);
    let q = stat(&*drive, "q").await.unwrap();
    for (node, parent) in [(&q, "q/e"), (&q, "q")] {
        let error = drive.move_to(node, &NodeId::new(parent)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
    }
    drive.trash(&renamed).await.unwrap();
    assert_eq!(stand.keys(), ["p/d-not", "q/"]);
}

#[tokio::test]
async fn a_broken_move_of_a_directory_leaves_it_where_it_was() {
    let script = |line: &str| match line {
        "PUT e/3" => Act::Refuse(403, "AccessDenied"),
        _ => Act::Serve,
    };
    let stand = Stand::start(Manners::default(), script).await;
    let keys: Vec<String> = (1..=9).map(|at| format!("d/{at}")).collect();
    for key in &keys {
        stand.put(key, b"x");
    }
    let drive = stand.drive();
    let d = stat(&*drive, "d").await.unwrap();
    let error = drive.rename(&d, "e").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth);
    assert_eq!(stand.keys(), keys);
}

#[tokio::test]
async fn a_large_directory_is_not_renamed_but_removed() {
    let kind = Manners {
        no_batches: true,
        ..Manners::default()
    };
    for (kind, count) in [(Manners::default(), tree::MOST + 1), (kind, 12)] {
        let stand = Stand::with(kind).await;
        for at in 0..count {
            stand.put(&format!("d/{at:05}"), b"");
        }
        stand.put("d!", b"");
        let drive = stand.drive();
        let d = stat(&*drive, "d").await.unwrap();
        if count > tree::MOST {
            let error = drive.rename(&d, "e").await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unsupported);
            assert_eq!(stand.count("PUT"), 0);
        }
        drive.trash(&d).await.unwrap();
        assert_eq!(stand.keys(), ["d!"]);
        // Asked once whether many can go together.
        let batches = stand.count("POST ?delete");
        let singles = stand.count("DELETE d/0");
        match kind.no_batches {
            true => assert_eq!((batches, singles), (1, 12)),
            false => assert_eq!((batches, singles), (1, 1)),
        }
    }
}
