//! Paths, listings, reading, directories, renames, copies, trash.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};

use futures_util::StreamExt;

use super::*;

#[test]
fn a_path_must_be_an_existing_absolute_directory() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("file"), "").unwrap();
    let open = |path: &str, root: &str| {
        LocalDrive::open(
            path,
            root,
            &temp.path().join("state"),
            Arc::new(SystemClock),
        )
        .map(|drive| drive.root)
    };
    let file = temp.path().join("file");
    let missing = temp.path().join("missing");
    for (path, says) in [
        ("", "empty"),
        ("relative/dir", "relative"),
        ("~/files", "relative"),
        (missing.to_str().unwrap(), "No such file"),
        (file.to_str().unwrap(), "not a directory"),
    ] {
        let error = open(path, "").unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid, "{path}");
        assert!(error.message.contains(says), "{}", error.message);
    }
    let path = temp.path().to_str().unwrap();
    assert_eq!(kind_of(open(path, "none")), ErrorKind::Invalid);
    assert_eq!(kind_of(open(path, "..")), ErrorKind::Invalid);
    fs::create_dir_all(temp.path().join("a/b")).unwrap();
    assert_eq!(open(path, "/a/b/").unwrap().as_str(), "a/b");
}

#[tokio::test]
async fn files_and_directories_are_listed_and_nothing_else() {
    let home = Home::new();
    fs::create_dir(home.at("dir")).unwrap();
    fs::write(home.at("file"), "12345").unwrap();
    symlink("file", home.at("link")).unwrap();
    symlink("../outside", home.at("way-out")).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(home.at("socket")).unwrap();
    fs::create_dir(home.at(".panfuse-trash")).unwrap();
    fs::write(
        home.at(".panfuse-upload-6f1ad9f2-6ac4-4a39-8e0e-6f3ed5e8b1c2"),
        "",
    )
    .unwrap();
    assert_eq!(home.names("").await, ["dir", "file"]);
    let file = home.stat("file").await.unwrap();
    let metadata = fs::metadata(home.at("file")).unwrap();
    assert_eq!(
        (file.size, file.name.as_str(), file.is_dir()),
        (5, "file", false)
    );
    assert_eq!(
        file.version,
        format!(
            "{}:{}:5:{}:{}",
            metadata.dev(),
            metadata.ino(),
            i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
            i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec()),
        )
    );
    let root = home.stat("").await.unwrap();
    assert!(root.is_dir() && root.id.as_str().is_empty());
    for id in ["link", "socket", ".panfuse-trash", "nothing", "file/x"] {
        assert_eq!(kind_of(home.stat(id).await), ErrorKind::NotFound, "{id}");
    }
    drop(socket);
}

#[tokio::test]
async fn no_way_leads_out_of_the_root() {
    let home = Home::new();
    symlink(home.temp.path().join("outside"), home.at("out")).unwrap();
    symlink("../outside/secret", home.at("leak")).unwrap();
    fs::write(home.at("mine"), "mine").unwrap();
    for id in [
        "../outside/secret",
        "/etc/passwd",
        "mine/../../outside/secret",
        ".",
    ] {
        assert_eq!(kind_of(home.stat(id).await), ErrorKind::Invalid, "{id}");
    }
    for id in ["out/secret", "leak", "out"] {
        assert_eq!(kind_of(home.stat(id).await), ErrorKind::NotFound, "{id}");
    }
    let out = NodeId::new("out");
    assert_eq!(
        kind_of(home.drive.list(&out, None).await),
        ErrorKind::NotFound
    );
    assert_eq!(
        kind_of(home.drive.mkdir(&out, "x").await),
        ErrorKind::NotFound
    );
    let mine = home.stat("mine").await.unwrap();
    assert_eq!(
        kind_of(home.drive.move_to(&mine, &out).await),
        ErrorKind::NotFound
    );
    assert_eq!(
        kind_of(home.drive.copy(&mine, &out, "x").await),
        ErrorKind::NotFound
    );
    assert_eq!(
        kind_of(home.upload(&request("out", "x", 1), b"x").await),
        ErrorKind::NotFound
    );
    assert_eq!(
        kind_of(home.drive.rename(&mine, "../x").await),
        ErrorKind::Invalid
    );
    assert_eq!(
        kind_of(home.drive.rename(&mine, "leak").await),
        ErrorKind::Exists
    );
    // A file that becomes a link after it was seen is not read.
    fs::remove_file(home.at("mine")).unwrap();
    symlink("../outside/secret", home.at("mine")).unwrap();
    assert_eq!(
        kind_of(read_all(&home.drive, &mine, 0..4).await),
        ErrorKind::NotFound
    );
    assert!(home.drive.trash(&mine).await.is_ok(), "the file is gone");
    assert!(home.at("mine").is_symlink(), "what is there now stays");
    assert_eq!(
        fs::read_dir(home.temp.path().join("outside"))
            .unwrap()
            .count(),
        1
    );
}

#[tokio::test]
async fn a_disk_that_is_not_there_is_not_an_empty_drive() {
    let home = Home::new();
    fs::write(home.at("file"), "1").unwrap();
    let root = home.temp.path().join("root");
    fs::rename(&root, home.temp.path().join("unplugged")).unwrap();
    assert_eq!(kind_of(home.stat("").await), ErrorKind::Network);
    fs::create_dir(&root).unwrap();
    let listed = home.drive.list(&home.drive.root(), None).await;
    assert_eq!(kind_of(listed), ErrorKind::Network);
}

#[tokio::test]
async fn pages_tell_every_lasting_entry_once_whatever_changes() {
    let home = Home::new();
    for i in 0..2500 {
        fs::write(home.at(&format!("stays-{i}")), "").unwrap();
        if i % 5 == 0 {
            fs::write(home.at(&format!("goes-{i}")), "").unwrap();
        }
    }
    let root = home.drive.root();
    let mut page = home.drive.list(&root, None).await.unwrap();
    assert_eq!(page.nodes.len(), 1000);
    let mut names: Vec<String> = Vec::new();
    let mut round = 0;
    loop {
        names.extend(page.nodes.iter().map(|node| node.name.clone()));
        let Some(cursor) = page.next else { break };
        for i in (0..2500).filter(|i| i % 5 == 0 && i % 3 == round % 3) {
            let _ = fs::remove_file(home.at(&format!("goes-{i}")));
            fs::write(home.at(&format!("new-{round}-{i}")), "").unwrap();
        }
        round += 1;
        page = home.drive.list(&root, Some(cursor)).await.unwrap();
    }
    let mut stays: Vec<&String> = names.iter().filter(|n| n.starts_with("stays")).collect();
    stays.sort();
    assert_eq!(stays.len(), 2500);
    stays.dedup();
    assert_eq!(stays.len(), 2500);
    let nonsense = Cursor("12".to_owned());
    assert_eq!(
        kind_of(home.drive.list(&root, Some(nonsense)).await),
        ErrorKind::Invalid
    );
    let other = Cursor("1:1:0".to_owned());
    assert_eq!(
        kind_of(home.drive.list(&root, Some(other)).await),
        ErrorKind::Changed
    );
}

#[tokio::test]
async fn names_that_are_no_text_work_like_any_other() {
    let home = Home::new();
    let raw = std::ffi::OsStr::from_bytes(b"caf\xe9");
    fs::write(home.temp.path().join("root").join(raw), "x").unwrap();
    let nodes = list_all(&home.drive, "").await;
    assert_eq!(nodes.len(), 1);
    assert_eq!(home.stat(nodes[0].id.as_str()).await.unwrap(), nodes[0]);
    let renamed = home.drive.rename(&nodes[0], "café").await.unwrap();
    let back = home.drive.rename(&renamed, &nodes[0].name).await.unwrap();
    assert_eq!(back.id, nodes[0].id);
    assert!(home.temp.path().join("root").join(raw).exists());
    // 130 bytes that are shown as 390 cannot pass the kernel: left out, nothing else is.
    let long = [0xffu8; 130];
    fs::write(
        home.temp
            .path()
            .join("root")
            .join(std::ffi::OsStr::from_bytes(&long)),
        "x",
    )
    .unwrap();
    assert_eq!(home.names("").await.len(), 1);
}

#[tokio::test]
async fn reading_gives_the_range_of_the_version() {
    let home = Home::new();
    let all = bytes(3_000_000, 1);
    fs::write(home.at("f"), &all).unwrap();
    let node = home.stat("f").await.unwrap();
    assert_eq!(
        read_all(&home.drive, &node, 0..3_000_000).await.unwrap(),
        all
    );
    assert_eq!(
        read_all(&home.drive, &node, 777..1_999_999).await.unwrap(),
        &all[777..1_999_999]
    );
    let outside = home.drive.read(&node, 5..3_000_001).await.map(drop);
    assert_eq!(kind_of(outside), ErrorKind::Invalid);
    // Changed while it is read.
    let mut stream = home.drive.read(&node, 0..3_000_000).await.unwrap();
    let first = stream.next().await.unwrap().unwrap();
    assert!(first.len() >= 256 << 10 && first.len() <= 1 << 20);
    fs::OpenOptions::new()
        .write(true)
        .open(home.at("f"))
        .unwrap()
        .set_len(300_000)
        .unwrap();
    let mut last = None;
    while let Some(piece) = stream.next().await {
        last = Some(piece);
    }
    assert_eq!(kind_of(last.unwrap()), ErrorKind::Changed);
    // And before.
    let before = home.drive.read(&node, 0..1).await.map(drop);
    assert_eq!(kind_of(before), ErrorKind::Changed);
}

#[tokio::test]
async fn directories_are_made_renamed_and_moved_and_never_replace() {
    let home = Home::new();
    let root = home.drive.root();
    let a = home.drive.mkdir(&root, "a").await.unwrap();
    assert_eq!(
        kind_of(home.drive.mkdir(&root, "a").await),
        ErrorKind::Exists
    );
    for name in ["", ".", "..", "x/y", ".panfuse-trash"] {
        assert_eq!(
            kind_of(home.drive.mkdir(&root, name).await),
            ErrorKind::Invalid
        );
    }
    let b = home.drive.mkdir(&a.id, "b").await.unwrap();
    assert_eq!((b.id.as_str(), b.parent.as_str()), ("a/b", "a"));
    fs::write(home.at("a/b/f"), "f").unwrap();
    fs::write(home.at("taken"), "t").unwrap();
    let taken = home.stat("taken").await.unwrap();

    assert_eq!(
        kind_of(home.drive.rename(&a, "taken").await),
        ErrorKind::Exists
    );
    assert_eq!(
        kind_of(home.drive.rename(&taken, "a").await),
        ErrorKind::Exists
    );
    assert_eq!(
        kind_of(home.drive.move_to(&a, &b.id).await),
        ErrorKind::Invalid
    );
    let c = home.drive.rename(&a, "c").await.unwrap();
    assert_eq!(c.id.as_str(), "c");
    assert_eq!(
        kind_of(home.drive.rename(&a, "d").await),
        ErrorKind::NotFound
    );
    let f = home.stat("c/b/f").await.unwrap();
    let moved = home.drive.move_to(&f, &root).await.unwrap();
    assert_eq!((moved.id.as_str(), moved.parent.as_str()), ("f", ""));
    assert_eq!(home.drive.rename(&moved, "f").await.unwrap(), moved);
    fs::write(home.at("c/f"), "other").unwrap();
    assert_eq!(
        kind_of(home.drive.move_to(&moved, &c.id).await),
        ErrorKind::Exists
    );
    assert_eq!(fs::read(home.at("c/f")).unwrap(), b"other");
    assert_eq!(home.names("").await, ["c", "f", "taken"]);
}

#[tokio::test]
async fn an_entry_that_is_another_one_by_now_is_left_alone() {
    let home = Home::new();
    fs::write(home.at("f"), "old").unwrap();
    fs::create_dir(home.at("d")).unwrap();
    let (f, d) = (home.stat("f").await.unwrap(), home.stat("d").await.unwrap());
    fs::write(home.at("f"), "new!").unwrap();
    fs::rename(home.at("d"), home.at("d2")).unwrap();
    fs::create_dir(home.at("d")).unwrap();
    for node in [&f, &d] {
        assert_eq!(kind_of(home.drive.trash(node).await), ErrorKind::Changed);
        assert_eq!(
            kind_of(home.drive.rename(node, "x").await),
            ErrorKind::Changed
        );
    }
    let root = home.drive.root();
    assert_eq!(
        kind_of(home.drive.copy(&f, &root, "x").await),
        ErrorKind::Changed
    );
    assert_eq!(home.names("").await, ["d", "d2", "f"]);
    // A directory is the same one whatever is put into it.
    let d = home.stat("d").await.unwrap();
    fs::write(home.at("d/inside"), "").unwrap();
    home.drive.trash(&d).await.unwrap();
    assert_eq!(home.names("").await, ["d2", "f"]);
}

#[tokio::test]
async fn the_trash_is_hidden_and_gives_back() {
    let home = Home::new();
    let sub = home.drive.mkdir(&home.drive.root(), "sub").await.unwrap();
    let file = home.upload(&request("sub", "f", 3), b"abc").await.unwrap();
    home.drive.trash(&file).await.unwrap();
    home.drive.trash(&file).await.unwrap();
    assert!(home.names("sub").await.is_empty());
    assert_eq!(kind_of(home.stat("sub/f").await), ErrorKind::NotFound);
    let id = fs::read_dir(home.at(".panfuse-trash"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .find(|name| !name.ends_with(".json"))
        .unwrap();
    let inside = format!(".panfuse-trash/{id}/f");
    assert_eq!(kind_of(home.stat(&inside).await), ErrorKind::NotFound);
    assert_eq!(fs::read(home.at(&inside)).unwrap(), b"abc");

    // The name is taken meanwhile: nothing is replaced.
    fs::write(home.at("sub/f"), "new").unwrap();
    assert_eq!(kind_of(home.drive.restore(&file).await), ErrorKind::Exists);
    fs::remove_file(home.at("sub/f")).unwrap();
    let back = home.drive.restore(&file).await.unwrap();
    assert_eq!((back.id.as_str(), back.modified), ("sub/f", file.modified));
    assert_eq!(back.fingerprints, file.fingerprints, "the index followed");
    assert_eq!(
        kind_of(home.drive.restore(&file).await),
        ErrorKind::NotFound
    );
    assert_eq!(fs::read_dir(home.at(".panfuse-trash")).unwrap().count(), 0);

    // A whole directory, with what is known of the files in it.
    let sub = home.stat(sub.id.as_str()).await.unwrap();
    home.drive.trash(&sub).await.unwrap();
    assert!(home.names("").await.is_empty());
    home.drive.restore(&sub).await.unwrap();
    assert_eq!(
        home.stat("sub/f").await.unwrap().fingerprints,
        file.fingerprints
    );
}

#[tokio::test]
async fn a_copy_is_a_file_of_its_own() {
    let home = Home::new();
    let all = bytes(100_000, 2);
    let dir = home.drive.mkdir(&home.drive.root(), "d").await.unwrap();
    let file = home.upload(&request("", "f", 100_000), &all).await.unwrap();
    let copy = home.drive.copy(&file, &dir.id, "g").await.unwrap();
    assert_eq!((copy.id.as_str(), copy.size), ("d/g", 100_000));
    assert_eq!(copy.modified, file.modified);
    assert_eq!(copy.fingerprints, file.fingerprints);
    assert_eq!(fs::read(home.at("d/g")).unwrap(), all);
    assert_ne!(
        fs::metadata(home.at("f")).unwrap().ino(),
        fs::metadata(home.at("d/g")).unwrap().ino()
    );
    assert_eq!(
        kind_of(home.drive.copy(&file, &dir.id, "g").await),
        ErrorKind::Exists
    );
    assert_eq!(
        kind_of(home.drive.copy(&dir, &dir.id, "h").await),
        ErrorKind::Unsupported
    );
    assert_eq!(
        fs::read_dir(home.at("d")).unwrap().count(),
        1,
        "no leftovers"
    );
    // A file that nobody indexed is copied, too.
    fs::write(home.at("plain"), "p").unwrap();
    let plain = home.stat("plain").await.unwrap();
    let copy = home.drive.copy(&plain, &dir.id, "plain").await.unwrap();
    assert!(copy.fingerprints.is_empty());
}

#[tokio::test]
async fn space_is_told() {
    let quota = Home::new().drive.quota().await.unwrap();
    assert!(quota.total > 0 && quota.used <= quota.total);
}
