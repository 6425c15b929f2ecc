//! Streamed uploads: small, in parts, with keys that end, resumed, abandoned.

use super::*;
use crate::drive::{Conversation, ErrorKind, PartReceipt, ReadBudget, UploadSession};

/// Three parts of one MiB each, the last a short one.
const LARGE: u64 = 2 * SIZE + 5;

const INITIATE: &str = "POST uploads";
const COMPLETE: &str = "POST uploadId";
const PART: &str = "PUT partNumber";
const PARTS: &str = "GET uploadId";
const ABORT: &str = "DELETE uploadId";
const WHOLE: &str = "PUT";

fn xml(body: &str) -> Reply {
    (200, body.to_owned())
}

fn initiated() -> Reply {
    xml(
        "<InitiateMultipartUploadResult><UploadId>0004B9</UploadId></InitiateMultipartUploadResult>",
    )
}

fn store_error(status: u16, code: &str) -> Reply {
    (status, format!("<Error><Code>{code}</Code></Error>"))
}

fn ready(bed: &Bed) {
    bed.on(TOKEN, [ticket("up-1", "STS.1")])
        .on(INITIATE, [initiated()])
        .on(COMPLETE, [xml("<R><ETag>\"E\"</ETag></R>")])
        .on(INFO, [yields("77", "a.bin", LARGE)])
        .on(DELETE_TASK, [good(json!({}))]);
}

async fn open(bed: &Bed, size: u64) -> UploadSession {
    let sample = Sample::new(size, &[]);
    let frugal = Conversation::new(&sample, ReadBudget::None);
    bed.drive
        .open_upload(&request(size), &frugal)
        .await
        .unwrap()
}

async fn send(drive: &dyn Drive, session: &UploadSession, size: u64, n: u32) -> PartReceipt {
    let range = session.part_range(size, n);
    let bytes = Sample::new(size, &[]).bytes;
    let bytes = bytes.slice(range.start as usize..range.end as usize);
    drive.put_part(session, n, bytes).await.unwrap()
}

async fn commit(
    drive: &dyn Drive,
    session: &UploadSession,
    size: u64,
) -> Result<crate::drive::Node> {
    let sample = Sample::new(size, &[]);
    let frugal = Conversation::new(&sample, ReadBudget::None);
    drive.commit_upload(&request(size), session, &frugal).await
}

#[tokio::test]
async fn small_files_and_empty_ones_are_one_request() {
    for size in [0, 5, SIZE] {
        let bed = Bed::new().await;
        ready(&bed);
        bed.on(INFO, [code(147, json!(null)), yields("77", "a.bin", size)]);
        let session = open(&bed, size).await;
        assert_eq!(bed.last(TOKEN).json()["res"], json!({ "fileSize": size }));
        assert_eq!((session.part_count(size), session.parallel), (1, 1));
        send(&*bed.drive, &session, size, 1).await;
        let node = commit(&*bed.drive, &session, size).await.unwrap();
        assert_eq!((node.id.as_str(), node.size), ("77", size));
        assert_eq!(bed.calls(), [TOKEN, WHOLE, INFO, INFO]);
        let sent = bed.last(WHOLE);
        assert_eq!(sent.path, "/gy-bucket/upload/2026/obj");
        assert_eq!(sent.body.len() as u64, size);
        // The store sees nothing of our login.
        assert!(sent.header("authorization").starts_with("OSS STS.1:"));
        assert_eq!(sent.header("x-oss-security-token"), "TOKEN");
        for name in ["did", "dt", "x-device-id"] {
            assert_eq!(sent.header(name), "", "{name}");
        }
    }
}

#[tokio::test]
async fn large_files_go_in_parts() {
    let bed = Bed::new().await;
    ready(&bed);
    let mut session = open(&bed, LARGE).await;
    assert_eq!((session.part_count(LARGE), session.parallel), (3, 3));
    for n in [3, 1, 2] {
        let receipt = send(&*bed.drive, &session, LARGE, n).await;
        session.accepted.push(receipt);
    }
    let node = commit(&*bed.drive, &session, LARGE).await.unwrap();
    assert_eq!(node.id.as_str(), "77");
    assert_eq!(
        bed.calls(),
        [TOKEN, INITIATE, PART, PART, PART, COMPLETE, INFO]
    );
    let joined = bed.last(COMPLETE);
    assert_eq!(joined.query, "uploadId=0004B9");
    let body = String::from_utf8(joined.body.to_vec()).unwrap();
    let order: Vec<usize> = (1..=3)
        .map(|n| body.find(&format!("<PartNumber>{n}<")).unwrap())
        .collect();
    assert!(order.is_sorted(), "{body}");
    assert_eq!(joined.header("x-oss-callback"), "");
}

#[tokio::test]
async fn a_refused_key_is_renewed_once_for_all_parts() {
    let bed = Bed::new().await;
    ready(&bed);
    let session = open(&bed, LARGE).await;
    let expired = store_error(403, "SecurityTokenExpired");
    bed.on(PART, [expired.clone(), xml("")]).on(
        RESUME,
        // Only the key: the place stays.
        [good(
            json!({"creds":{"accessKeyID":"STS.2","secretAccessKey":"K","sessionToken":"T2"}}),
        )],
    );
    for n in 1..=2 {
        send(&*bed.drive, &session, LARGE, n).await;
    }
    assert_eq!(bed.all(RESUME).len(), 1);
    assert_eq!(
        bed.last(RESUME).json(),
        json!({"capacity":2,"res":{"fileSize":LARGE},"taskId":"up-1",
            "object":{"objectPath":"upload/2026/obj","provider":"1"}})
    );
    let keys: Vec<String> = bed
        .all(PART)
        .iter()
        .map(|seen| seen.header("authorization").chars().take(10).collect())
        .collect();
    assert_eq!(keys, ["OSS STS.1:", "OSS STS.2:", "OSS STS.2:"]);
    // A store that refuses the next one, too, is no reason to go on.
    bed.on(PART, [expired]);
    let bytes = Bytes::from_static(b"x");
    let error = bed.drive.put_part(&session, 3, bytes).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth);
    assert_eq!(bed.all(RESUME).len(), 2);
}

#[tokio::test]
async fn an_upload_goes_on_after_a_restart() {
    let bed = Bed::new().await;
    ready(&bed);
    let session = open(&bed, LARGE).await;
    let text = serde_json::to_string(&session).unwrap();
    assert!(!text.contains("SECRETKEY") && !text.contains("TOKEN"));
    let journaled: UploadSession = serde_json::from_str(&text).unwrap();
    let part = |n: u32, size: u64| {
        format!("<Part><PartNumber>{n}</PartNumber><ETag>\"E\"</ETag><Size>{size}</Size></Part>")
    };
    let parts = |parts: &str| xml(&format!("<ListPartsResult>{parts}</ListPartsResult>"));
    // The second part is a short one: it is sent again.
    bed.on(RESUME, [ticket("up-1", "STS.2")])
        .on(PARTS, [parts(&format!("{}{}", part(1, SIZE), part(2, 7)))]);
    let drive = bed.reopened();
    let resumed = drive.resume_upload(&request(LARGE), journaled).await;
    let mut session = resumed.unwrap().unwrap();
    let accepted: Vec<u32> = session.accepted.iter().map(|part| part.number).collect();
    assert_eq!(accepted, [1]);
    for n in [2, 3] {
        let receipt = send(&*drive, &session, LARGE, n).await;
        session.accepted.push(receipt);
    }
    let node = commit(&*drive, &session, LARGE).await.unwrap();
    assert_eq!(node.id.as_str(), "77");
    assert_eq!(bed.all(RESUME).len(), 1);
    // Once more, by a later process: the task says that it is done.
    let joins = bed.all(COMPLETE).len();
    let again = commit(&*bed.reopened(), &session, LARGE).await.unwrap();
    assert_eq!(again.id, node.id);
    assert_eq!(bed.all(COMPLETE).len(), joins);
}

#[tokio::test]
async fn a_session_that_is_gone_starts_anew_and_one_that_is_done_ends() {
    let bed = Bed::new().await;
    ready(&bed);
    let session = open(&bed, LARGE).await;
    for gone in [145, 152, 155, 163, 999] {
        bed.on(RESUME, [code(gone, json!(null))])
            .on(INFO, [code(145, json!(null))]);
        let drive = bed.reopened();
        let resumed = drive.resume_upload(&request(LARGE), session.clone()).await;
        assert!(resumed.unwrap().is_none(), "{gone}");
    }
    // Done: by the resume call's word, or by the task's.
    for (resume, info) in [
        (code(156, json!(null)), code(145, json!(null))),
        (code(155, json!(null)), yields("77", "a.bin", LARGE)),
    ] {
        bed.on(RESUME, [resume]).on(INFO, [info]);
        let drive = bed.reopened();
        let resumed = drive.resume_upload(&request(LARGE), session.clone()).await;
        let resumed = resumed.unwrap().unwrap();
        assert_eq!(resumed.accepted.len(), 3);
        let puts = bed.all(PART).len();
        send(&*drive, &resumed, LARGE, 1).await;
        assert_eq!(bed.all(PART).len(), puts, "nothing is sent");
        bed.on(INFO, [yields("77", "a.bin", LARGE)]);
        let node = commit(&*drive, &resumed, LARGE).await.unwrap();
        assert_eq!(node.id.as_str(), "77");
    }
}

#[tokio::test]
async fn a_lost_answer_to_the_last_call_is_recognised() {
    let bed = Bed::new().await;
    ready(&bed);
    let mut session = open(&bed, LARGE).await;
    for n in 1..=3 {
        let receipt = send(&*bed.drive, &session, LARGE, n).await;
        session.accepted.push(receipt);
    }
    bed.on(
        COMPLETE,
        [(502, "<html>".to_owned()), store_error(404, "NoSuchUpload")],
    );
    let node = commit(&*bed.drive, &session, LARGE).await.unwrap();
    assert_eq!(node.id.as_str(), "77");
    assert_eq!(bed.all(COMPLETE).len(), 2);
}

#[tokio::test]
async fn content_that_is_not_taken_in_fails_the_commit() {
    let bed = Bed::new().await;
    ready(&bed);
    bed.on(INFO, [code(100, json!(null))]);
    let session = open(&bed, 5).await;
    send(&*bed.drive, &session, 5, 1).await;
    let error = commit(&*bed.drive, &session, 5).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Provider);
    assert_eq!(error.retry, crate::net::Retry::Never);
    bed.drive.abandon_upload(&session).await.unwrap();
    assert_eq!(bed.last(DELETE_TASK).json(), json!({"taskIds":["up-1"]}));
}

#[tokio::test]
async fn an_abandoned_upload_leaves_neither_parts_nor_task_nor_file() {
    let bed = Bed::new().await;
    ready(&bed);
    bed.on(ABORT, [(204, String::new())])
        .on(INFO, [code(147, json!(null))]);
    let session = open(&bed, LARGE).await;
    bed.drive.abandon_upload(&session).await.unwrap();
    assert_eq!((bed.all(ABORT).len(), bed.all(DELETE_TASK).len()), (1, 1));
    // Again: it is gone.
    bed.on(RESUME, [code(145, json!(null))])
        .on(INFO, [code(145, json!(null))])
        .on(DELETE_TASK, [code(145, json!(null))]);
    bed.drive.abandon_upload(&session).await.unwrap();
    // One whose bytes were taken in meanwhile made a file: that goes to the trash.
    bed.on(RESUME, [code(156, json!(null))])
        .on(INFO, [yields("77", "a.bin", LARGE)])
        .on(STAT, [detail(file("77", "a.bin", LARGE))])
        .on(TRASH, [good(json!({}))]);
    bed.drive.abandon_upload(&session).await.unwrap();
    assert_eq!(bed.last(TRASH).json(), json!({"fileIds":["77"]}));
}

/// The calls from the first look at a task on.
fn clean_up(bed: &Bed) -> Vec<String> {
    let calls = bed.calls();
    let first = calls.iter().position(|call| call == INFO).unwrap();
    calls[first..].to_vec()
}

#[tokio::test]
async fn what_is_stored_whole_is_waited_for_and_only_its_file_goes() {
    for restarted in [false, true] {
        let bed = Bed::new().await;
        ready(&bed);
        bed.on(INFO, [code(147, json!(null)), yields("77", "a.bin", 5)])
            .on(STAT, [detail(file("77", "a.bin", 5))])
            .on(TRASH, [good(json!({}))]);
        let session = open(&bed, 5).await;
        send(&*bed.drive, &session, 5, 1).await;
        // A later process knows no more than that there is a task.
        let drive = match restarted {
            true => bed.reopened(),
            false => bed.drive.clone(),
        };
        drive.abandon_upload(&session).await.unwrap();
        let wanted = [INFO, INFO, STAT, TRASH, DELETE_TASK];
        assert_eq!(clean_up(&bed), wanted, "{restarted}");
        assert_eq!(bed.last(TRASH).json(), json!({"fileIds":["77"]}));
    }
}

#[tokio::test]
async fn what_has_no_bytes_is_not_waited_for_and_looked_at_once_more() {
    let bed = Bed::new().await;
    ready(&bed);
    let session = open(&bed, 5).await;
    bed.on(INFO, [code(147, json!(null)), code(145, json!(null))]);
    bed.drive.abandon_upload(&session).await.unwrap();
    assert_eq!(clean_up(&bed), [INFO, DELETE_TASK, INFO]);
    // Taken in between the look and the removal of the task: the second look finds it.
    let bed = Bed::new().await;
    ready(&bed);
    bed.on(ABORT, [(204, String::new())])
        .on(INFO, [code(147, json!(null)), yields("77", "a.bin", LARGE)])
        .on(STAT, [detail(file("77", "a.bin", LARGE))])
        .on(TRASH, [good(json!({}))]);
    let session = open(&bed, LARGE).await;
    bed.drive.abandon_upload(&session).await.unwrap();
    assert_eq!(clean_up(&bed), [INFO, DELETE_TASK, INFO, STAT, TRASH]);
    assert_eq!(bed.last(TRASH).json(), json!({"fileIds":["77"]}));
}

#[tokio::test]
async fn a_joined_upload_is_waited_for_too() {
    let bed = Bed::new().await;
    ready(&bed);
    bed.on(ABORT, [store_error(404, "NoSuchUpload")])
        .on(INFO, [code(147, json!(null)), yields("77", "a.bin", LARGE)])
        .on(STAT, [detail(file("77", "a.bin", LARGE))])
        .on(TRASH, [good(json!({}))]);
    let session = open(&bed, LARGE).await;
    bed.drive.abandon_upload(&session).await.unwrap();
    assert_eq!(clean_up(&bed), [INFO, INFO, STAT, TRASH, DELETE_TASK]);
}

#[tokio::test]
async fn a_task_that_cannot_be_asked_stays_until_it_can() {
    let bed = Bed::new().await;
    ready(&bed);
    let session = open(&bed, 5).await;
    send(&*bed.drive, &session, 5, 1).await;
    bed.on(INFO, [broken()]);
    bed.drive.abandon_upload(&session).await.unwrap_err();
    assert!(bed.all(DELETE_TASK).is_empty());
    // Next time it can be asked, and there is no file yet, nor will there be.
    bed.on(INFO, [good(json!({ "taskId": "up-1" }))]);
    bed.drive.abandon_upload(&session).await.unwrap();
    assert_eq!(bed.all(DELETE_TASK).len(), 1);
}

#[tokio::test]
async fn an_upload_that_cannot_begin_removes_its_task() {
    let bed = Bed::new().await;
    ready(&bed);
    bed.on(INITIATE, [store_error(403, "AccessDenied")]);
    let sample = Sample::new(LARGE, &[]);
    let frugal = Conversation::new(&sample, ReadBudget::None);
    let opened = bed.drive.open_upload(&request(LARGE), &frugal).await;
    assert_eq!(opened.unwrap_err().kind, ErrorKind::Auth);
    assert_eq!(bed.all(DELETE_TASK).len(), 1);
    // No place and no key in the answer.
    bed.on(TOKEN, [good(json!({"taskId":"up-2"}))]);
    let opened = bed.drive.open_upload(&request(5), &frugal).await;
    assert_eq!(opened.unwrap_err().kind, ErrorKind::BadAnswer);
    assert_eq!(bed.last(DELETE_TASK).json(), json!({"taskIds":["up-2"]}));
}

#[tokio::test]
async fn no_space_is_told_and_a_hit_unasked_needs_no_bytes() {
    let bed = Bed::new().await;
    ready(&bed);
    let sample = Sample::new(5, &[]);
    let frugal = Conversation::new(&sample, ReadBudget::None);
    for full in [157, 172, 90_000] {
        bed.on(TOKEN, [code(full, json!(null))]);
        let opened = bed.drive.open_upload(&request(5), &frugal).await;
        assert_eq!(opened.unwrap_err().kind, ErrorKind::QuotaFull);
    }
    bed.on(TOKEN, [code(156, json!({"taskId":"up-9"}))])
        .on(INFO, [yields("78", "a.bin", 5)]);
    let session = open(&bed, 5).await;
    send(&*bed.drive, &session, 5, 1).await;
    let node = commit(&*bed.drive, &session, 5).await.unwrap();
    assert_eq!(node.id.as_str(), "78");
    assert!(bed.all(WHOLE).is_empty());
}
