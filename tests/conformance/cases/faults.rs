//! Lost answers, refusals, broken bodies, nonsense.

use panfuse::drive::{ErrorKind, Quota};
use panfuse::sim::FaultKind;

use crate::actions::{
    commit, find, list, names, open, put, read_all, request, sample, send_rest, upload,
};
use crate::stage::Stage;
use crate::{Outcome, skip};

fn no_server() -> Outcome {
    skip("no server that fails")
}

/// More than one part, so that the upload ends with a commit call everywhere.
fn size(stage: &Stage) -> u64 {
    stage.spec.part_size.max(stage.spec.single) + 4321
}

pub async fn a_lost_commit_answer_is_recognised(stage: Stage) -> Outcome {
    if stage.world.is_none() {
        return no_server();
    }
    let dir = stage.dir("d").await;
    let content = sample(&stage, 1, size(&stage));
    stage.reset();
    stage.fault(stage.spec.commit, FaultKind::DropAnswer, "");
    let request = request(&dir.id, "f.bin", &content);
    let made = upload(&stage, &request, &content).await.unwrap();
    assert!(stage.stat().count(stage.spec.commit) >= 1);
    stage.settle();
    let listed = find(&*stage.drive, &dir.id, "f.bin").await;
    assert_eq!(listed.id, made.id);
    assert!(read_all(&*stage.drive, &listed).await.unwrap() == content.bytes);
    Ok(())
}

pub async fn a_second_commit_is_a_success(stage: Stage) -> Outcome {
    let dir = stage.dir("d").await;
    let drive = &*stage.drive;
    let content = sample(&stage, 2, size(&stage));
    let request = request(&dir.id, "f.bin", &content);
    let mut session = open(drive, &request, &content).await.unwrap();
    send_rest(drive, &mut session, &content).await.unwrap();
    let first = commit(drive, &request, &session, &content).await.unwrap();
    // The process ended before the journal knew.
    let again = stage.reopened();
    let second = commit(&*again, &request, &session, &content).await.unwrap();
    assert_eq!(second.id, first.id);
    stage.settle();
    assert_eq!(find(&*again, &dir.id, "f.bin").await.id, first.id);
    Ok(())
}

pub async fn a_failed_commit_publishes_nothing(stage: Stage) -> Outcome {
    if stage.world.is_none() {
        return no_server();
    }
    let dir = stage.dir("d").await;
    let before = stage.snapshot();
    let content = sample(&stage, 3, size(&stage));
    let (kind, arg) = stage.spec.refusal;
    stage.fault_always(stage.spec.commit, kind, arg);
    let error = put(&stage, &dir.id, "f.bin", &content).await.unwrap_err();
    assert!(
        matches!(
            error.kind,
            ErrorKind::Provider | ErrorKind::Verification | ErrorKind::Invalid
        ),
        "{:?} {error}",
        error.kind
    );
    stage.settle();
    assert!(names(&*stage.drive, &dir.id).await.is_empty());
    stage.assert_unchanged(&before);
    Ok(())
}

pub async fn a_lost_part_answer_is_survived(stage: Stage) -> Outcome {
    survives(stage, FaultKind::DropAnswer, "").await
}

pub async fn a_broken_part_is_sent_again(stage: Stage) -> Outcome {
    survives(stage, FaultKind::Cut, "100000").await
}

async fn survives(stage: Stage, kind: FaultKind, arg: &str) -> Outcome {
    if stage.world.is_none() {
        return no_server();
    }
    let dir = stage.dir("d").await;
    let content = sample(&stage, 4, size(&stage));
    stage.reset();
    stage.fault(stage.spec.part, kind, arg);
    let made = put(&stage, &dir.id, "f.bin", &content).await.unwrap();
    // Two parts and the one that is sent again. In one request a lost answer needs no second one:
    // a look tells that all of it is there.
    let least = match (stage.spec.piped, kind) {
        (false, _) => 3,
        (true, FaultKind::DropAnswer) => 1,
        (true, _) => 2,
    };
    assert!(
        stage.stat().count(stage.spec.part) >= least,
        "the fault did not strike: {:?}",
        stage.stat()
    );
    stage.settle();
    let listed = find(&*stage.drive, &dir.id, "f.bin").await;
    assert_eq!(listed.id, made.id);
    assert!(read_all(&*stage.drive, &listed).await.unwrap() == content.bytes);
    Ok(())
}

pub async fn a_corrupt_part_is_not_vouched_for(stage: Stage) -> Outcome {
    if stage.world.is_none() {
        return no_server();
    }
    let dir = stage.dir("d").await;
    let kinds: Vec<_> = stage.caps.gives.iter().map(|gives| gives.kind).collect();
    let content = sample(&stage, 5, size(&stage)).knowing(&kinds);
    let truth = panfuse::drive::Content::known(&content);
    stage.fault(stage.spec.part, FaultKind::Corrupt, "");
    let Ok(made) = put(&stage, &dir.id, "f.bin", &content).await else {
        // Noticed on the way: then nothing is there.
        stage.settle();
        assert!(names(&*stage.drive, &dir.id).await.is_empty());
        return Ok(());
    };
    stage.settle();
    let fresh = stage.drive.stat(&made.id).await.unwrap();
    let got = read_all(&*stage.drive, &fresh).await.unwrap();
    if got == content.bytes {
        // Noticed on the way and sent again.
        return Ok(());
    }
    for (kind, known) in fresh.fingerprints.iter() {
        let ours = truth.get(kind).expect("a computed value");
        assert!(
            !known.origin.is_trusted() || known.value != ours.value,
            "{kind} is vouched for, the bytes are others"
        );
    }
    Ok(())
}

pub async fn a_server_error_is_retried(stage: Stage) -> Outcome {
    if stage.world.is_none() {
        return no_server();
    }
    let dir = stage.dir("d").await;
    let content = sample(&stage, 6, 70_000);
    let node = stage.seed("d/f.bin", &content.bytes).await;
    for status in ["500", "502", "503"] {
        stage.reset();
        stage.fault(stage.spec.list, FaultKind::Status, status);
        let (nodes, _) = list(&*stage.drive, &dir.id).await.unwrap();
        assert_eq!(nodes.len(), 1);
        assert_eq!(stage.stat().count(stage.spec.list), 2);
    }
    stage.fault(stage.spec.link, FaultKind::Status, "500");
    assert!(read_all(&*stage.drive, &node).await.unwrap() == content.bytes);
    stage.fault(stage.spec.download, FaultKind::Status, "503");
    let drive = &*stage.drive;
    let node = &node;
    let again = panfuse::net::retry(crate::actions::PATIENCE, || read_all(drive, node));
    assert!(again.await.unwrap() == content.bytes);
    Ok(())
}

pub async fn a_throttled_call_waits(stage: Stage) -> Outcome {
    if stage.world.is_none() {
        return no_server();
    }
    let dir = stage.dir("d").await;
    stage.reset();
    // With and without the header that says how long.
    for arg in ["429,1", "429"] {
        stage.reset();
        stage.fault(stage.spec.list, FaultKind::Status, arg);
        let (nodes, _) = list(&*stage.drive, &dir.id).await.unwrap();
        assert!(nodes.is_empty());
        assert_eq!(stage.stat().count(stage.spec.list), 2, "{arg}");
    }
    Ok(())
}

pub async fn an_endless_server_error_ends(stage: Stage) -> Outcome {
    if stage.world.is_none() {
        return no_server();
    }
    let dir = stage.dir("d").await;
    stage.reset();
    stage.fault_always(stage.spec.list, FaultKind::Status, "500");
    let error = list(&*stage.drive, &dir.id).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Provider, "{error}");
    assert!(stage.stat().count(stage.spec.list) <= 6);
    Ok(())
}

pub async fn a_web_page_is_no_answer(stage: Stage) -> Outcome {
    if stage.world.is_none() {
        return no_server();
    }
    let dir = stage.dir("d").await;
    stage.fault_always("*", FaultKind::Html, "");
    let refused = |kind| matches!(kind, ErrorKind::BadAnswer | ErrorKind::Risk);
    let error = list(&*stage.drive, &dir.id).await.unwrap_err();
    assert!(refused(error.kind), "list: {:?} {error}", error.kind);
    let error = stage.drive.mkdir(&dir.id, "new").await.unwrap_err();
    assert!(refused(error.kind), "mkdir: {:?} {error}", error.kind);
    match stage.drive.quota().await {
        Err(error) => assert!(refused(error.kind), "quota: {:?} {error}", error.kind),
        // Nothing is asked where nothing tells the space.
        Ok(quota) => assert_eq!(quota, Quota::default()),
    }
    let error = stage.drive.stat(&dir.id).await.unwrap_err();
    assert!(refused(error.kind), "stat: {:?} {error}", error.kind);
    // The account is left alone for a while, not for ever.
    stage.reset();
    if !stage.spec.wall_clock {
        stage.advance(25 * 3_600_000);
    }
    list(&*stage.drive, &dir.id).await.unwrap();
    Ok(())
}

pub async fn a_lost_answer_of_a_read_is_retried(stage: Stage) -> Outcome {
    if stage.world.is_none() {
        return no_server();
    }
    let dir = stage.dir("d").await;
    stage.seed("d/f.bin", &sample(&stage, 7, 10).bytes).await;
    stage.reset();
    stage.fault(stage.spec.list, FaultKind::DropAnswer, "");
    stage.fault(stage.spec.list, FaultKind::Cut, "5");
    let (nodes, _) = list(&*stage.drive, &dir.id).await.unwrap();
    assert_eq!(nodes.len(), 1);
    Ok(())
}
