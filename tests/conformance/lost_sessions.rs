//! 123 has no call that tells whether an upload session of version 2 still lives (sheet 123_open,
//! 7.4). One that is gone must not be gone on with for ever: the attempt after it starts anew.

use panfuse::drive::{ErrorKind, UploadSession};

use crate::actions::{commit, open, put, read_all, request, sample, send, send_rest};
use crate::stage::Stage;
use crate::{Outcome, run};

const KEY: &str = "123_open";

fn size(stage: &Stage) -> u64 {
    stage.spec.part_size * 2 + 77
}

fn journaled(session: &UploadSession) -> UploadSession {
    serde_json::from_value(serde_json::to_value(session).unwrap()).unwrap()
}

async fn forgotten_between_parts(stage: Stage) -> Outcome {
    stage.set("session_seconds", "3600");
    let dir = stage.dir("d").await;
    let content = sample(&stage, 1, size(&stage));
    let request = request(&dir.id, "f.bin", &content);
    let mut session = open(&*stage.drive, &request, &content).await.unwrap();
    send(&*stage.drive, &mut session, &content, 1)
        .await
        .unwrap();
    let kept = journaled(&session);
    stage.advance(2 * 3_600_000);
    let again = stage.reopened();
    // Nothing tells it yet: the journal's parts stand until the next one is refused.
    let resumed = again.resume_upload(&request, kept.clone()).await.unwrap();
    let mut resumed = resumed.expect("no call tells that it is gone");
    let error = send_rest(&*again, &mut resumed, &content)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    assert!(again.resume_upload(&request, kept).await.unwrap().is_none());
    let made = put(&stage, &dir.id, "f.bin", &content).await.unwrap();
    assert!(read_all(&*stage.drive, &made).await.unwrap() == content.bytes);
    Ok(())
}

async fn forgotten_before_the_commit(stage: Stage) -> Outcome {
    stage.set("session_seconds", "3600");
    let dir = stage.dir("d").await;
    let content = sample(&stage, 2, size(&stage));
    let request = request(&dir.id, "f.bin", &content);
    let drive = &*stage.drive;
    let mut session = open(drive, &request, &content).await.unwrap();
    send_rest(drive, &mut session, &content).await.unwrap();
    let kept = journaled(&session);
    stage.advance(2 * 3_600_000);
    let error = commit(drive, &request, &session, &content)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    assert!(drive.resume_upload(&request, kept).await.unwrap().is_none());
    put(&stage, &dir.id, "f.bin", &content).await.unwrap();
    Ok(())
}

/// What the service put together is not the file: no later commit of this session can succeed.
async fn refused_as_a_whole(stage: Stage) -> Outcome {
    let dir = stage.dir("d").await;
    let content = sample(&stage, 3, size(&stage));
    let request = request(&dir.id, "f.bin", &content);
    let drive = &*stage.drive;
    let mut session = open(drive, &request, &content).await.unwrap();
    stage.fault("upload_part", panfuse::sim::FaultKind::Corrupt, "");
    send_rest(drive, &mut session, &content).await.unwrap();
    let error = commit(drive, &request, &session, &content)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Verification, "{error}");
    let kept = journaled(&session);
    assert!(drive.resume_upload(&request, kept).await.unwrap().is_none());
    let made = put(&stage, &dir.id, "f.bin", &content).await.unwrap();
    assert!(read_all(drive, &made).await.unwrap() == content.bytes);
    Ok(())
}

/// After a day the service is not even asked.
async fn too_old(stage: Stage) -> Outcome {
    let dir = stage.dir("d").await;
    let content = sample(&stage, 4, size(&stage));
    let request = request(&dir.id, "f.bin", &content);
    let session = open(&*stage.drive, &request, &content).await.unwrap();
    stage.advance(25 * 3_600_000);
    stage.reset();
    let resumed = stage.reopened().resume_upload(&request, session).await;
    assert!(resumed.unwrap().is_none());
    assert_eq!(stage.stat().count("list_parts"), 0);
    Ok(())
}

#[test]
fn a_session_that_was_forgotten_between_parts_starts_anew() {
    run(KEY, "lost_sessions::between_parts", forgotten_between_parts);
}

#[test]
fn a_session_that_was_forgotten_before_its_commit_starts_anew() {
    run(KEY, "lost_sessions::commit", forgotten_before_the_commit);
}

#[test]
fn a_session_whose_whole_was_refused_starts_anew() {
    run(KEY, "lost_sessions::refused", refused_as_a_whole);
}

#[test]
fn a_session_of_yesterday_starts_anew() {
    run(KEY, "lost_sessions::too_old", too_old);
}
