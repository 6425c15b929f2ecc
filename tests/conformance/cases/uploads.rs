//! Streamed uploads: small, in parts, resumed, abandoned, and against taken names.

use panfuse::drive::{
    Conversation, ErrorKind, HashesDue, NodeId, OnConflict, Overwrite, Quota, ReadBudget,
    UploadSession,
};

use crate::actions::{
    commit, find, generous, names, open, put, read_all, request, sample, send, send_rest, upload,
    upload_kinds,
};
use crate::sample::Sample;
use crate::stage::Stage;
use crate::{Outcome, skip};

pub async fn small_files(stage: Stage) -> Outcome {
    let dir = stage.dir("d").await;
    let drive = &*stage.drive;
    for (seed, size) in [(1, 0), (2, 1), (3, 300_007)] {
        if size == 0 && !stage.caps.upload.empty_files {
            let content = sample(&stage, seed, size);
            assert!(put(&stage, &dir.id, "0", &content).await.is_err());
            continue;
        }
        let content = sample(&stage, seed, size);
        let name = format!("{size}.bin");
        let made = put(&stage, &dir.id, &name, &content).await;
        let made = made.unwrap_or_else(|error| panic!("{size} bytes: {error}"));
        assert_eq!(
            (made.name.as_str(), made.size, &made.parent),
            (name.as_str(), size, &dir.id)
        );
        stage.settle();
        let listed = find(drive, &dir.id, &name).await;
        assert_eq!((&listed.id, listed.size), (&made.id, size));
        assert!(read_all(drive, &listed).await.unwrap() == content.bytes);
    }
    Ok(())
}

/// An unaligned size of three parts.
fn three_part_size(stage: &Stage) -> u64 {
    2 * stage.spec.part_size + 12_345
}

pub async fn three_parts(stage: Stage) -> Outcome {
    let dir = stage.dir("d").await;
    let drive = &*stage.drive;
    let content = sample(&stage, 4, three_part_size(&stage));
    let request = request(&dir.id, "three.bin", &content);
    stage.reset();
    let mut session = open(drive, &request, &content).await.unwrap();
    assert_eq!(session.part_count(request.size), 3, "{session:?}");
    send_rest(drive, &mut session, &content).await.unwrap();
    let made = commit(drive, &request, &session, &content).await.unwrap();
    assert_eq!((made.name.as_str(), made.size), ("three.bin", request.size));
    if let Some(known) = &session.node {
        assert_eq!(*known, made.id);
    }
    if stage.world.is_some() {
        let stat = stage.stat();
        assert_eq!(
            (stat.count(stage.spec.part), stat.bytes_up),
            (if stage.spec.piped { 1 } else { 3 }, request.size)
        );
    }
    stage.settle();
    let listed = find(drive, &dir.id, "three.bin").await;
    assert!(read_all(drive, &listed).await.unwrap() == content.bytes);
    Ok(())
}

pub async fn known_content_can_be_streamed(stage: Stage) -> Outcome {
    let dir = stage.dir("d").await;
    let content = sample(&stage, 5, 400_000);
    stage.known_to_others(&content).await;
    let made = put(&stage, &dir.id, "known.bin", &content).await.unwrap();
    stage.settle();
    let listed = find(&*stage.drive, &dir.id, "known.bin").await;
    assert_eq!(listed.id, made.id);
    assert!(read_all(&*stage.drive, &listed).await.unwrap() == content.bytes);
    Ok(())
}

pub async fn a_part_sent_twice_is_one(stage: Stage) -> Outcome {
    let dir = stage.dir("d").await;
    let drive = &*stage.drive;
    let content = sample(&stage, 6, stage.spec.part_size.max(stage.spec.single) + 999);
    let request = request(&dir.id, "twice.bin", &content);
    let mut session = open(drive, &request, &content).await.unwrap();
    assert!(session.part_count(request.size) >= 2);
    for number in 1..=session.part_count(request.size) {
        for _ in 0..2 {
            send(drive, &mut session, &content, number).await.unwrap();
        }
    }
    let made = commit(drive, &request, &session, &content).await.unwrap();
    assert_eq!(made.size, request.size);
    stage.settle();
    let listed = find(drive, &dir.id, "twice.bin").await;
    assert!(read_all(drive, &listed).await.unwrap() == content.bytes);
    Ok(())
}

/// A session as the journal gives it back.
fn journaled(session: &UploadSession) -> UploadSession {
    let text = serde_json::to_string(session).unwrap();
    serde_json::from_str(&text).unwrap()
}

pub async fn resume_sends_no_part_again(stage: Stage) -> Outcome {
    if !stage.caps.upload.resumable {
        return skip("resuming is not declared");
    }
    let dir = stage.dir("d").await;
    let content = sample(&stage, 7, three_part_size(&stage));
    let request = request(&dir.id, "resumed.bin", &content);
    stage.reset();
    let mut session = open(&*stage.drive, &request, &content).await.unwrap();
    send(&*stage.drive, &mut session, &content, 1)
        .await
        .unwrap();
    let kept = journaled(&session);
    drop(session);
    let again = stage.reopened();
    let resumed = again.resume_upload(&request, kept).await.unwrap();
    let mut session = resumed.expect("a session that lives");
    let accepted: Vec<u32> = session.accepted.iter().map(|part| part.number).collect();
    assert_eq!(accepted, [1]);
    send_rest(&*again, &mut session, &content).await.unwrap();
    let made = commit(&*again, &request, &session, &content).await.unwrap();
    if stage.world.is_some() {
        let stat = stage.stat();
        assert_eq!(
            (stat.count(stage.spec.part), stat.bytes_up),
            (3, request.size)
        );
    }
    stage.settle();
    let listed = find(&*again, &dir.id, "resumed.bin").await;
    assert_eq!(listed.id, made.id);
    assert!(read_all(&*again, &listed).await.unwrap() == content.bytes);
    Ok(())
}

pub async fn resume_of_an_abandoned_session(stage: Stage) -> Outcome {
    if !stage.caps.upload.resumable {
        return skip("resuming is not declared");
    }
    let dir = stage.dir("d").await;
    let drive = &*stage.drive;
    let content = sample(&stage, 8, three_part_size(&stage));
    let request = request(&dir.id, "gone.bin", &content);
    let mut session = open(drive, &request, &content).await.unwrap();
    send(drive, &mut session, &content, 1).await.unwrap();
    let kept = journaled(&session);
    drive.abandon_upload(&session).await.unwrap();
    match stage.reopened().resume_upload(&request, kept).await {
        Ok(None) => {}
        // A provider that cannot abort keeps the parts; then they are still good.
        Ok(Some(session)) => {
            assert!(
                session.accepted.iter().all(|part| part.number == 1),
                "{session:?}"
            );
            let mut session = session;
            send_rest(drive, &mut session, &content).await.unwrap();
            commit(drive, &request, &session, &content).await.unwrap();
        }
        Err(error) => panic!("{:?} {error}", error.kind),
    }
    Ok(())
}

pub async fn abandon_leaves_nothing(stage: Stage) -> Outcome {
    let dir = stage.dir("d").await;
    let drive = &*stage.drive;
    let before = stage.snapshot();
    for (seed, size, parts) in [
        (9, 5000, 0),
        (10, 5000, 1),
        (11, three_part_size(&stage), 2),
    ] {
        let content = sample(&stage, seed, size);
        let request = request(&dir.id, "dropped.bin", &content);
        let mut session = open(drive, &request, &content).await.unwrap();
        for number in 1..=parts {
            send(drive, &mut session, &content, number).await.unwrap();
        }
        drive.abandon_upload(&session).await.unwrap();
        if stage.spec.takes_in {
            stage.assert_in_trash_at_most(&before);
        } else {
            stage.assert_unchanged(&before);
        }
        assert!(names(drive, &dir.id).await.is_empty());
    }
    Ok(())
}

pub async fn abandon_twice_is_a_success(stage: Stage) -> Outcome {
    let dir = stage.dir("d").await;
    let drive = &*stage.drive;
    let content = sample(&stage, 12, 5000);
    let request = request(&dir.id, "dropped.bin", &content);
    let session = open(drive, &request, &content).await.unwrap();
    drive.abandon_upload(&session).await.unwrap();
    drive.abandon_upload(&session).await.unwrap();
    Ok(())
}

pub async fn hashes_are_due_as_declared(stage: Stage) -> Outcome {
    let dir = stage.dir("d").await;
    let drive = &*stage.drive;
    let before = stage.snapshot();
    let ignorant = Sample::new(13, 200_000);
    let request = request(&dir.id, "f.bin", &ignorant);
    let frugal = Conversation::new(&ignorant, ReadBudget::None);
    let opened = drive.open_upload(&request, &frugal).await;
    match stage.caps.upload.hashes_due {
        HashesDue::BeforeParts => {
            let error = opened.expect_err("a hash that is due is missing");
            assert!(
                matches!(error.kind, ErrorKind::OverBudget(_)),
                "{:?} {error}",
                error.kind
            );
            assert_eq!(stage.snapshot(), before);
            let able = Sample::new(13, 200_000).knowing(&upload_kinds(&stage));
            let made = put(&stage, &dir.id, "f.bin", &able).await.unwrap();
            assert_eq!(made.size, 200_000);
            assert_eq!(able.read_so_far(), 0, "the declared hashes did not suffice");
        }
        due @ (HashesDue::Never | HashesDue::AtCommit) => {
            let mut session = opened.expect("no hash is due yet");
            send_rest(drive, &mut session, &ignorant).await.unwrap();
            let able = Sample::new(13, 200_000).knowing(&upload_kinds(&stage));
            let last = if due == HashesDue::Never {
                &ignorant
            } else {
                &able
            };
            let conversation = Conversation::new(last, ReadBudget::None);
            let made = drive
                .commit_upload(&request, &session, &conversation)
                .await
                .unwrap();
            assert_eq!(made.size, 200_000);
            assert_eq!((ignorant.read_so_far(), able.read_so_far()), (0, 0));
        }
    }
    Ok(())
}

pub async fn an_unfinished_upload_is_not_listed(stage: Stage) -> Outcome {
    let dir = stage.dir("d").await;
    let drive = &*stage.drive;
    let content = sample(&stage, 14, 60_000);
    let request = request(&dir.id, "later.bin", &content);
    let mut session = open(drive, &request, &content).await.unwrap();
    stage.settle();
    assert!(names(drive, &dir.id).await.is_empty());
    send_rest(drive, &mut session, &content).await.unwrap();
    let made = commit(drive, &request, &session, &content).await.unwrap();
    stage.settle();
    assert_eq!(find(drive, &dir.id, "later.bin").await.id, made.id);
    Ok(())
}

pub async fn larger_than_allowed_is_refused(stage: Stage) -> Outcome {
    let Some(max) = stage.caps.upload.max_size else {
        return skip("no largest size is declared");
    };
    let dir = stage.dir("d").await;
    let before = stage.snapshot();
    let content = Sample::claiming(max + 1).knowing(&upload_kinds(&stage));
    let mut request = request(&dir.id, "huge.bin", &content);
    request.size = max + 1;
    let error = stage
        .drive
        .open_upload(&request, &generous(&content))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge, "{error}");
    assert_eq!(stage.snapshot(), before);
    Ok(())
}

pub async fn a_taken_name_is_refused(stage: Stage) -> Outcome {
    let dir = stage.dir("d").await;
    stage
        .seed("d/taken.bin", &Sample::new(15, 1000).bytes)
        .await;
    stage.settle();
    let before = stage.snapshot();
    let content = sample(&stage, 16, 70_000);
    let error = put(&stage, &dir.id, "taken.bin", &content)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists, "{error}");
    stage.assert_unchanged(&before);
    Ok(())
}

pub async fn replace_is_atomic(stage: Stage) -> Outcome {
    let dir = stage.dir("d").await;
    stage.seed("d/f.bin", &Sample::new(17, 1000).bytes).await;
    stage.settle();
    let content = sample(&stage, 18, 70_000);
    let mut request = request(&dir.id, "f.bin", &content);
    request.on_conflict = OnConflict::Replace;
    if stage.caps.overwrite != Overwrite::Atomic {
        return skip("an atomic replacement is not declared");
    }
    let made = upload(&stage, &request, &content).await.unwrap();
    let listed = find(&*stage.drive, &dir.id, "f.bin").await;
    assert_eq!((&listed.id, listed.size), (&made.id, 70_000));
    assert!(read_all(&*stage.drive, &listed).await.unwrap() == content.bytes);
    Ok(())
}

pub async fn modification_time(stage: Stage) -> Outcome {
    let dir = stage.dir("d").await;
    let content = sample(&stage, 19, 500);
    let mut request = request(&dir.id, "old.bin", &content);
    request.modified = Some(1_500_000_000_123);
    let made = upload(&stage, &request, &content).await.unwrap();
    stage.settle();
    let fresh = find(&*stage.drive, &dir.id, "old.bin").await;
    assert_eq!(fresh.id, made.id);
    if stage.caps.stores_mtime {
        assert_eq!(fresh.modified, 1_500_000_000_123);
    } else {
        assert!(fresh.modified > 0);
    }
    Ok(())
}

pub async fn a_missing_parent_is_not_found(stage: Stage) -> Outcome {
    if stage.spec.implied_dirs {
        return skip("a directory is there as soon as something is in it");
    }
    let dir = stage.dir("gone").await;
    stage.remove_dir(&dir, "gone");
    let before = stage.snapshot();
    let content = sample(&stage, 20, 500);
    let parent = NodeId::new(dir.id.as_str());
    match put(&stage, &parent, "f.bin", &content).await {
        Ok(node) => panic!("a file in a directory that is gone: {node:?}"),
        Err(error) => assert!(
            matches!(error.kind, ErrorKind::NotFound | ErrorKind::Invalid),
            "{:?} {error}",
            error.kind
        ),
    }
    stage.assert_unchanged(&before);
    Ok(())
}

pub async fn parts_in_parallel(stage: Stage) -> Outcome {
    let dir = stage.dir("d").await;
    let drive = &*stage.drive;
    let content = sample(&stage, 21, three_part_size(&stage));
    let request = request(&dir.id, "parallel.bin", &content);
    let mut session = open(drive, &request, &content).await.unwrap();
    if session.parallel < 2 {
        drive.abandon_upload(&session).await.unwrap();
        return skip("parts go one after the other");
    }
    let sent = &session;
    let parts = (1..=3).rev().map(|number| {
        let range = sent.part_range(request.size, number);
        let bytes = content
            .bytes
            .slice(range.start as usize..range.end as usize);
        drive.put_part(sent, number, bytes)
    });
    let receipts = futures_util::future::join_all(parts).await;
    let receipts = receipts.into_iter().map(|receipt| receipt.unwrap());
    let receipts: Vec<_> = receipts.collect();
    session.accepted = receipts;
    let made = commit(drive, &request, &session, &content).await.unwrap();
    stage.settle();
    let listed = find(drive, &dir.id, "parallel.bin").await;
    assert_eq!(listed.id, made.id);
    assert!(read_all(drive, &listed).await.unwrap() == content.bytes);
    Ok(())
}

pub async fn a_name_taken_meanwhile_is_not_replaced(stage: Stage) -> Outcome {
    let dir = stage.dir("d").await;
    let drive = &*stage.drive;
    let content = sample(&stage, 22, 80_000);
    let request = request(&dir.id, "raced.bin", &content);
    let mut session = open(drive, &request, &content).await.unwrap();
    send_rest(drive, &mut session, &content).await.unwrap();
    let theirs = Sample::new(23, 1234).bytes;
    let other = stage.seed("d/raced.bin", &theirs).await;
    stage.settle();
    match commit(drive, &request, &session, &content).await {
        Ok(made) => {
            assert!(
                stage.caps.duplicates,
                "a second entry where names are there once"
            );
            assert_ne!(made.id, other.id);
        }
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::Exists, "{error}");
            drive.abandon_upload(&session).await.unwrap();
            assert_eq!(names(drive, &dir.id).await, ["raced.bin"]);
        }
    }
    let kept = drive.stat(&other.id).await.unwrap();
    assert_eq!(kept.size, 1234);
    assert!(read_all(drive, &kept).await.unwrap() == theirs);
    Ok(())
}

pub async fn a_full_account_is_told(stage: Stage) -> Outcome {
    if stage.spec.space.is_empty() {
        return skip("no account whose space can be set");
    }
    let dir = stage.dir("d").await;
    stage
        .seed("d/large.bin", &Sample::new(24, 900_000).bytes)
        .await;
    stage.set(stage.spec.space, "1000000");
    let before = stage.snapshot();
    let content = sample(&stage, 25, 200_000);
    let error = put(&stage, &dir.id, "f.bin", &content).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::QuotaFull, "{error}");
    stage.assert_unchanged(&before);
    let quota = stage.drive.quota().await.unwrap();
    // Some tell no figures.
    if quota != Quota::default() {
        assert_eq!((quota.total, quota.used), (1_000_000, 900_000));
    }
    Ok(())
}
