//! Streamed uploads, their end and their resumption.

use super::*;

#[tokio::test]
async fn an_upload_is_seen_only_when_it_is_whole() {
    let home = Home::new();
    let size = 2 * upload::PART_SIZE as usize + 5;
    let all = Bytes::from(bytes(size, 3));
    let request = request("", "film.mkv", size as u64);
    let content = Bare::new(b"");
    let conversation = Conversation::new(&content, ReadBudget::None);
    let session = home
        .drive
        .open_upload(&request, &conversation)
        .await
        .unwrap();
    assert_eq!((session.part_count(request.size), session.parallel), (3, 4));
    let put = |number| {
        home.drive
            .put_part(&session, number, part(&session, &all, number))
    };
    let (third, first) = tokio::join!(put(3), put(1));
    assert_eq!((third.unwrap().size, first.unwrap().number), (5, 1));
    assert!(home.names("").await.is_empty());
    let early = home.drive.commit_upload(&request, &session, &conversation);
    assert_eq!(kind_of(early.await), ErrorKind::Invalid);
    for (number, wrong) in [(0, 0..0), (4, 0..0), (2, 0..7)] {
        let sent = home
            .drive
            .put_part(&session, number, all.slice(wrong))
            .await;
        assert_eq!(kind_of(sent), ErrorKind::Invalid, "{number}");
    }
    put(2).await.unwrap();
    put(2).await.unwrap();
    let commit = || home.drive.commit_upload(&request, &session, &conversation);
    let node = commit().await.unwrap();
    assert_eq!((node.size, node.modified), (size as u64, 1_600_000_000_123));
    assert_eq!(fs::read(home.at("film.mkv")).unwrap(), all);
    for (kind, value) in hash_all(&[Kind::Md5, Kind::Sha1, Kind::Sha256], &all) {
        let known = node.fingerprints.get(kind).unwrap();
        assert_eq!(
            (&*known.value, known.origin),
            (value.as_str(), Origin::Provider)
        );
    }
    assert_eq!(commit().await.unwrap(), node, "the answer was lost");
    home.drive.abandon_upload(&session).await.unwrap();
    assert_eq!(list_all(&home.drive, "").await, [node]);
}

#[tokio::test]
async fn an_empty_file_is_a_file() {
    let home = Home::new();
    let node = home.upload(&request("", "empty", 0), b"").await.unwrap();
    assert_eq!(node.size, 0);
    assert!(node.fingerprints.get(Kind::Md5).is_some());
}

#[tokio::test]
async fn of_two_uploads_to_one_name_one_wins_and_replacing_is_asked_for() {
    let home = Home::new();
    let content = Bare::new(b"");
    let conversation = Conversation::new(&content, ReadBudget::None);
    let wanted = request("", "f", 1);
    let mut sessions = Vec::new();
    for text in [&b"1"[..], b"2"] {
        let session = home
            .drive
            .open_upload(&wanted, &conversation)
            .await
            .unwrap();
        home.drive
            .put_part(&session, 1, Bytes::from_static(text))
            .await
            .unwrap();
        sessions.push(session);
    }
    let commit = |i: usize| {
        home.drive
            .commit_upload(&wanted, &sessions[i], &conversation)
    };
    let (first, second) = tokio::join!(commit(0), commit(1));
    let (won, lost, loser) = match (&first, &second) {
        (Ok(_), Err(error)) => ("1", error, 1),
        (Err(error), Ok(_)) => ("2", error, 0),
        other => panic!("{other:?}"),
    };
    assert_eq!(lost.kind, ErrorKind::Exists);
    assert_eq!(fs::read_to_string(home.at("f")).unwrap(), won);
    home.drive.abandon_upload(&sessions[loser]).await.unwrap();
    assert_eq!(fs::read_dir(home.at("")).unwrap().count(), 1);
    let opened = home.drive.open_upload(&wanted, &conversation).await;
    assert_eq!(kind_of(opened), ErrorKind::Exists);

    let replace = UploadRequest {
        on_conflict: OnConflict::Replace,
        size: 3,
        ..wanted
    };
    home.upload(&replace, b"new").await.unwrap();
    assert_eq!(fs::read_to_string(home.at("f")).unwrap(), "new");
    fs::create_dir(home.at("d")).unwrap();
    let onto_dir = UploadRequest {
        name: "d".to_owned(),
        ..replace
    };
    assert_eq!(
        kind_of(home.upload(&onto_dir, b"new").await),
        ErrorKind::Exists
    );
    assert!(home.at("d").is_dir());
}

// S-090
#[tokio::test]
async fn an_overwritten_file_can_be_brought_back_with_what_is_known_of_it() {
    let home = Home::new();
    home.drive.mkdir(&home.drive.root(), "d").await.unwrap();
    let old = home.upload(&request("d", "f", 3), b"old").await.unwrap();
    let replace = UploadRequest {
        on_conflict: OnConflict::Replace,
        ..request("d", "f", 6)
    };
    let new = home.upload(&replace, b"newer!").await.unwrap();
    assert_eq!(fs::read(home.at("d/f")).unwrap(), b"newer!");
    assert_eq!(home.names("d").await, ["f"]);
    assert_eq!(kind_of(home.drive.restore(&old).await), ErrorKind::Exists);
    // A fast upload replaces in the same way: the content is in the trash and known.
    let content = Bare::new(b"old").with(Kind::Sha256);
    let again = UploadRequest { size: 3, ..replace };
    let hit = home
        .drive
        .fast_upload(&again, &Conversation::new(&content, ReadBudget::None))
        .await
        .unwrap();
    assert!(matches!(hit, Attempt::Hit { .. }), "{hit:?}");
    assert_eq!(fs::read(home.at("d/f")).unwrap(), b"old");
    fs::remove_file(home.at("d/f")).unwrap();
    for (node, text) in [(&old, &b"old"[..]), (&new, b"newer!")] {
        let back = home.drive.restore(node).await.unwrap();
        assert_eq!(fs::read(home.at("d/f")).unwrap(), text);
        assert_eq!(back.fingerprints, node.fingerprints);
        fs::remove_file(home.at("d/f")).unwrap();
    }
}

#[tokio::test]
async fn an_upload_goes_on_after_a_restart() {
    let mut home = Home::new();
    let size = 3 * upload::PART_SIZE as usize;
    let all = Bytes::from(bytes(size, 4));
    let wanted = request("d", "f", size as u64);
    home.drive.mkdir(&home.drive.root(), "d").await.unwrap();
    let content = Bare::new(b"");
    let conversation = Conversation::new(&content, ReadBudget::None);
    let mut session = home
        .drive
        .open_upload(&wanted, &conversation)
        .await
        .unwrap();
    for number in [1, 3] {
        let sent = home
            .drive
            .put_part(&session, number, part(&session, &all, number))
            .await;
        session.accepted.push(sent.unwrap());
    }
    // A receipt that cannot be right is dropped.
    session.accepted.push(PartReceipt {
        number: 2,
        size: 5,
        tag: String::new(),
    });
    let journal = serde_json::to_string(&session).unwrap();
    home.restart();
    let stored: UploadSession = serde_json::from_str(&journal).unwrap();
    // Meanwhile the directory got another name.
    fs::rename(home.at("d"), home.at("e")).unwrap();
    let wanted = UploadRequest {
        parent: NodeId::new("e"),
        ..wanted
    };
    let session = home
        .drive
        .resume_upload(&wanted, stored.clone())
        .await
        .unwrap()
        .unwrap();
    let numbers: Vec<u32> = session.accepted.iter().map(|r| r.number).collect();
    assert_eq!(numbers, [1, 3]);
    home.drive
        .put_part(&session, 2, part(&session, &all, 2))
        .await
        .unwrap();
    let node = home
        .drive
        .commit_upload(&wanted, &session, &conversation)
        .await
        .unwrap();
    assert_eq!(node.id.as_str(), "e/f");
    assert_eq!(fs::read(home.at("e/f")).unwrap(), all);
    let sha1 = hash_all(&[Kind::Sha1], &all).remove(0).1;
    assert_eq!(*node.fingerprints.get(Kind::Sha1).unwrap().value, *sha1);

    home.restart();
    assert!(
        home.drive
            .resume_upload(&wanted, stored)
            .await
            .unwrap()
            .is_none()
    );
    let again = home
        .drive
        .commit_upload(&wanted, &session, &conversation)
        .await;
    assert_eq!(again.unwrap().version, node.version, "the answer was lost");
}

#[tokio::test]
async fn a_session_that_is_not_what_it_was_is_not_taken_up() {
    let mut home = Home::new();
    let wanted = request("", "f", 4);
    let content = Bare::new(b"");
    let conversation = Conversation::new(&content, ReadBudget::None);
    let mut session = home
        .drive
        .open_upload(&wanted, &conversation)
        .await
        .unwrap();
    let sent = home
        .drive
        .put_part(&session, 1, Bytes::from_static(b"1234"))
        .await;
    session.accepted.push(sent.unwrap());
    let name = session.state["temporary"].as_str().unwrap().to_owned();
    home.restart();
    // Another size was asked for.
    let larger = request("", "f", 5);
    assert!(
        home.drive
            .resume_upload(&larger, session.clone())
            .await
            .unwrap()
            .is_none()
    );
    // The system was started anew: nothing that was not synced counts.
    let mut older = session.clone();
    older.state["boot"] = "another".into();
    let taken = home
        .drive
        .resume_upload(&wanted, older)
        .await
        .unwrap()
        .unwrap();
    assert!(taken.accepted.is_empty());
    home.restart();
    // Another file has the name.
    fs::rename(home.at(&name), home.at("kept")).unwrap();
    fs::write(home.at(&name), "1234").unwrap();
    assert!(
        home.drive
            .resume_upload(&wanted, session.clone())
            .await
            .unwrap()
            .is_none()
    );
    home.drive.abandon_upload(&session).await.unwrap();
    assert!(home.at(&name).exists(), "not ours");
    // A journal cannot name any other file.
    let mut wrong = session.clone();
    wrong.state["temporary"] = "../outside/secret".into();
    assert_eq!(
        kind_of(home.drive.abandon_upload(&wrong).await),
        ErrorKind::Invalid
    );
    wrong.state = serde_json::Value::Null;
    assert_eq!(
        kind_of(home.drive.resume_upload(&wanted, wrong).await),
        ErrorKind::Invalid
    );
}

#[tokio::test]
async fn abandoning_leaves_nothing() {
    let mut home = Home::new();
    let content = Bare::new(b"");
    let conversation = Conversation::new(&content, ReadBudget::None);
    for restart in [false, true] {
        let session = home
            .drive
            .open_upload(&request("", "f", 9), &conversation)
            .await
            .unwrap();
        assert_eq!(fs::read_dir(home.at("")).unwrap().count(), 1);
        if restart {
            home.restart();
        }
        home.drive.abandon_upload(&session).await.unwrap();
        home.drive.abandon_upload(&session).await.unwrap();
        assert_eq!(fs::read_dir(home.at("")).unwrap().count(), 0);
        let late = home
            .drive
            .put_part(&session, 1, Bytes::from_static(b"123456789"))
            .await;
        assert_eq!(kind_of(late), ErrorKind::NotFound);
    }
}
