//! The index and fast uploads.

use super::*;

#[tokio::test]
async fn known_content_is_not_sent_again() {
    let mut home = Home::new();
    let all = bytes(50_000, 5);
    home.upload(&request("", "f", 50_000), &all).await.unwrap();
    home.restart();
    for (i, kind) in [Kind::Sha256, Kind::Sha1, Kind::Md5]
        .into_iter()
        .enumerate()
    {
        let content = Bare::new(&all).with(kind);
        let name = format!("copy-{i}");
        let Attempt::Hit { node, decided_by } =
            home.ask(&name, &content, ReadBudget::None).await.unwrap()
        else {
            panic!("{kind} is no hit");
        };
        assert_eq!(decided_by, [kind]);
        assert_eq!(
            (node.name.as_str(), node.modified),
            (name.as_str(), 1_600_000_000_123)
        );
        assert_eq!(fs::read(home.at(&name)).unwrap(), all);
        assert!(node.fingerprints.get(Kind::Sha256).is_some());
        let taken = home.ask(&name, &content, ReadBudget::None).await;
        assert_eq!(kind_of(taken), ErrorKind::Exists);
    }
    // The trash counts as well.
    for node in list_all(&home.drive, "").await {
        home.drive.trash(&node).await.unwrap();
    }
    let content = Bare::new(&all).with(Kind::Sha1);
    let attempt = home.ask("again", &content, ReadBudget::None).await.unwrap();
    assert!(matches!(attempt, Attempt::Hit { .. }));
    assert_eq!(home.names("").await, ["again"]);
    assert_eq!(
        fs::read_dir(home.at("")).unwrap().count(),
        2,
        "and the trash"
    );
}

#[tokio::test]
async fn a_change_from_outside_ends_what_is_known() {
    let home = Home::new();
    let all = bytes(5000, 6);
    let node = home.upload(&request("", "f", 5000), &all).await.unwrap();
    let told = home.drive.fingerprint(&node, Kind::Md5).await.unwrap();
    assert!(told.is_some());
    assert_eq!(
        home.drive.fingerprint(&node, Kind::Gcid).await.unwrap(),
        None
    );
    // Same inode, same size, even the same mtime.
    let mtime = fs::metadata(home.at("f")).unwrap().modified().unwrap();
    let file = fs::OpenOptions::new()
        .write(true)
        .open(home.at("f"))
        .unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"!", 0).unwrap();
    file.set_modified(mtime).unwrap();
    drop(file);
    let now = home.stat("f").await.unwrap();
    assert_eq!(now.modified, node.modified);
    assert_ne!(now.version, node.version);
    assert!(now.fingerprints.is_empty());
    assert!(list_all(&home.drive, "").await[0].fingerprints.is_empty());
    assert_eq!(home.drive.fingerprint(&now, Kind::Md5).await.unwrap(), None);
    assert_eq!(
        kind_of(home.drive.fingerprint(&node, Kind::Md5).await),
        ErrorKind::Changed
    );
    let content = Bare::new(&all).with(Kind::Md5);
    let attempt = home.ask("g", &content, ReadBudget::None).await.unwrap();
    assert!(matches!(attempt, Attempt::Miss(None)));
    assert_eq!(home.names("").await, ["f"]);
}

#[tokio::test]
async fn what_is_known_follows_renames() {
    let home = Home::new();
    let all = bytes(5000, 7);
    let dir = home.drive.mkdir(&home.drive.root(), "d").await.unwrap();
    let node = home.upload(&request("d", "f", 5000), &all).await.unwrap();
    let renamed = home.drive.rename(&node, "g").await.unwrap();
    assert_eq!(renamed.fingerprints, node.fingerprints);
    let dir = home.stat(dir.id.as_str()).await.unwrap();
    home.drive.rename(&dir, "e").await.unwrap();
    let content = Bare::new(&all).with(Kind::Sha256);
    assert!(matches!(
        home.ask("1", &content, ReadBudget::None).await.unwrap(),
        Attempt::Hit { .. }
    ));
    // A directory that somebody else moved is found when it is listed.
    fs::remove_file(home.at("1")).unwrap();
    fs::rename(home.at("e"), home.at("moved")).unwrap();
    let listed = list_all(&home.drive, "moved").await;
    assert_eq!(listed[0].fingerprints, node.fingerprints);
    assert!(matches!(
        home.ask("2", &content, ReadBudget::None).await.unwrap(),
        Attempt::Hit { .. }
    ));
}

#[tokio::test]
async fn nothing_is_asked_that_cannot_help() {
    let home = Home::new();
    let all = bytes(5000, 8);
    // No file of this size: the source is not bothered.
    let mut content = Bare::new(&all);
    content.one_call = Some(Kind::Md5);
    let attempt = home.ask("x", &content, ReadBudget::None).await.unwrap();
    assert!(matches!(attempt, Attempt::Miss(None)));
    assert_eq!(content.learned.load(Ordering::SeqCst), 0);
    // One of this size: the cheapest hash decides.
    home.upload(&request("", "f", 5000), &all).await.unwrap();
    let attempt = home.ask("x", &content, ReadBudget::None).await.unwrap();
    assert!(matches!(attempt, Attempt::Hit { decided_by, .. } if decided_by == [Kind::Md5]));
    assert_eq!(content.learned.load(Ordering::SeqCst), 1);
    // None within the budget: the planner hears what it costs, nothing is left behind.
    let error = home
        .ask("y", &Bare::new(&all), ReadBudget::None)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::OverBudget(5000));
    // A user's word starts nothing.
    let content = Bare::new(&all);
    let value = content.value(Kind::Sha1);
    let content = content.knowing(Kind::Sha1, &value, Origin::UserClaim);
    let error = home.ask("y", &content, ReadBudget::None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::OverBudget(5000));
    assert_eq!(fs::read_dir(home.at("")).unwrap().count(), 2);
}

#[tokio::test]
async fn one_equal_hash_is_not_enough_when_another_differs() {
    let home = Home::new();
    let all = bytes(5000, 9);
    home.upload(&request("", "f", 5000), &all).await.unwrap();
    let content = Bare::new(&all).with(Kind::Md5);
    let wrong = "0".repeat(64);
    let trusted = content.knowing(Kind::Sha256, &wrong, Origin::Computed);
    let attempt = home.ask("x", &trusted, ReadBudget::None).await.unwrap();
    assert!(matches!(attempt, Attempt::Miss(None)));
    let claimed =
        Bare::new(&all)
            .with(Kind::Md5)
            .knowing(Kind::Sha256, &wrong, Origin::UploaderClaim);
    let attempt = home.ask("x", &claimed, ReadBudget::None).await.unwrap();
    assert!(matches!(attempt, Attempt::Hit { decided_by, .. } if decided_by == [Kind::Md5]));
}
