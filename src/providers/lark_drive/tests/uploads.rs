//! Uploads: one call, three steps, overwriting in place, lost answers.

use super::*;
use crate::drive::{ErrorKind, Node, UploadSession};
use crate::fingerprint::adler32;

fn hello() -> InMemory {
    InMemory(Bytes::from_static(b"hello"))
}

fn entry(token: &str, name: &str) -> Value {
    json!({"token":token,"name":name,"type":"file","created_time":now(),"modified_time":now()})
}

async fn run(bed: &Bed, request: &UploadRequest, content: &InMemory) -> Result<Node> {
    let drive = &*bed.drive;
    let session = drive.open_upload(request, &talk(content)).await?;
    for number in 1..=session.part_count(request.size) {
        let range = session.part_range(request.size, number);
        let part = content.0.slice(range.start as usize..range.end as usize);
        drive.put_part(&session, number, part).await?;
    }
    drive.commit_upload(request, &session, &talk(content)).await
}

#[tokio::test]
async fn a_small_file_goes_by_one_call_with_its_checksum() {
    let bed = Bed::user().await;
    bed.lists(json!([])).says(ALL, json!({"file_token":"boxN"}));
    bed.history("boxN", "71", 5, &now());
    let (content, drive) = (hello(), &*bed.drive);
    let wanted = request("a.txt", &content, OnConflict::Refuse);
    let session = drive.open_upload(&wanted, &talk(&content)).await.unwrap();
    drive
        .put_part(&session, 1, content.0.clone())
        .await
        .unwrap();
    assert!(
        bed.seen(ALL).is_empty(),
        "nothing is published before the commit"
    );
    let node = drive
        .commit_upload(&wanted, &session, &talk(&content))
        .await
        .unwrap();
    assert_eq!(
        (node.id.as_str(), node.size, node.version.as_str()),
        ("boxN", 5, "71")
    );
    let form = bed.seen(ALL)[0].text();
    for (name, value) in [
        ("file_name", "a.txt"),
        ("parent_type", "explorer"),
        ("parent_node", "fldD"),
        ("size", "5"),
        ("checksum", "103547413"),
    ] {
        assert!(
            form.contains(&format!("name=\"{name}\"\r\n\r\n{value}\r\n")),
            "{form}"
        );
    }
    assert!(!form.contains("file_token"));
    assert_eq!(adler32(b"hello"), 103_547_413);
}

#[tokio::test]
async fn an_upload_that_is_given_up_sends_nothing() {
    let bed = Bed::user().await;
    bed.lists(json!([]));
    let (content, drive) = (hello(), &*bed.drive);
    let wanted = request("a.txt", &content, OnConflict::Refuse);
    let session = drive.open_upload(&wanted, &talk(&content)).await.unwrap();
    drive
        .put_part(&session, 1, content.0.clone())
        .await
        .unwrap();
    drive.abandon_upload(&session).await.unwrap();
    assert!(bed.seen(ALL).is_empty());
    let taken = request("b.txt", &content, OnConflict::Refuse);
    bed.forget(LIST).lists(json!([entry("boxB", "b.txt")]));
    let error = drive
        .open_upload(&taken, &talk(&content))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    let empty = InMemory(Bytes::new());
    let none = request("0", &empty, OnConflict::Refuse);
    let error = drive.open_upload(&none, &talk(&empty)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
}

// S2-21
#[tokio::test]
async fn an_overwrite_keeps_the_id_and_has_a_new_version() {
    let bed = Bed::user().await;
    bed.lists(json!([entry("boxA", "a.txt"), entry("boxB", "b.txt")]));
    bed.history("boxA", "70", 9, &now())
        .history("boxA", "71", 5, &now());
    bed.says(ALL, json!({"file_token":"boxA","version":"71"}));
    let content = hello();
    let over = request("a.txt", &content, OnConflict::Replace);
    let node = run(&bed, &over, &content).await.unwrap();
    assert_eq!(
        (node.id.as_str(), node.size, node.version.as_str()),
        ("boxA", 5, "71")
    );
    let form = bed.seen(ALL)[0].text();
    assert!(
        form.contains("name=\"file_token\"\r\n\r\nboxA\r\n"),
        "{form}"
    );
}

// S2-22
#[tokio::test]
async fn an_overwrite_without_a_version_is_an_error() {
    let bed = Bed::user().await;
    bed.lists(json!([entry("boxA", "a.txt")]));
    bed.history("boxA", "70", 9, &now());
    bed.says(ALL, json!({"file_token":"boxA"}));
    let content = hello();
    let over = request("a.txt", &content, OnConflict::Replace);
    let error = run(&bed, &over, &content).await.unwrap_err();
    assert_eq!(error.errno(), libc::EIO);
    assert_eq!(error.code.as_deref(), Some("missing_version"));
    assert_eq!(bed.seen(ALL).len(), 1);
}

#[tokio::test]
async fn a_second_file_instead_of_an_overwrite_is_removed() {
    let bed = Bed::user().await;
    bed.lists(json!([entry("boxA", "a.txt")]));
    bed.history("boxA", "70", 9, &now());
    bed.says(ALL, json!({"file_token":"boxNEW"}));
    bed.says("DELETE /drive/v1/files/boxNEW", json!({}));
    let content = hello();
    let over = request("a.txt", &content, OnConflict::Replace);
    assert!(run(&bed, &over, &content).await.is_err());
    assert_eq!(bed.seen("DELETE /drive/v1/files/boxNEW").len(), 1);
    assert!(bed.seen("DELETE /drive/v1/files/boxA").is_empty());
}

#[tokio::test]
async fn a_small_file_whose_answer_was_lost_is_not_sent_twice() {
    let bed = Bed::user().await;
    // At the opening; then another's file of the same name and size, and ours.
    bed.lists(json!([]));
    bed.lists(json!([entry("boxX", "a.txt"), entry("boxN", "a.txt")]));
    bed.says_raw(ALL, 502, "<html>");
    bed.history("boxX", "1", 5, &now())
        .history("boxN", "2", 5, &now());
    bed.says_raw(&download_of("boxX"), 200, "world");
    bed.says_raw(&download_of("boxN"), 200, "hello");
    let content = hello();
    let wanted = request("a.txt", &content, OnConflict::Refuse);
    let node = run(&bed, &wanted, &content).await.unwrap();
    assert_eq!(node.id.as_str(), "boxN");
    assert_eq!(bed.seen(ALL).len(), 1);
}

#[tokio::test]
async fn a_small_file_that_was_not_heard_is_sent_again() {
    let bed = Bed::user().await;
    bed.lists(json!([]));
    bed.says_raw(ALL, 502, "<html>")
        .says(ALL, json!({"file_token":"boxN"}));
    bed.history("boxN", "2", 5, &now());
    let content = hello();
    let wanted = request("a.txt", &content, OnConflict::Refuse);
    assert_eq!(
        run(&bed, &wanted, &content).await.unwrap().id.as_str(),
        "boxN"
    );
    assert_eq!(bed.seen(ALL).len(), 2);
}

#[tokio::test]
async fn after_a_restart_a_small_file_is_looked_for_before_it_is_sent() {
    let bed = Bed::user().await;
    bed.lists(json!([])).lists(json!([entry("boxN", "a.txt")]));
    bed.history("boxN", "2", 5, &now());
    bed.says_raw(&download_of("boxN"), 200, "hello");
    let content = hello();
    let wanted = request("a.txt", &content, OnConflict::Refuse);
    let mut kept = bed
        .drive
        .open_upload(&wanted, &talk(&content))
        .await
        .unwrap();
    let receipt = bed
        .drive
        .put_part(&kept, 1, content.0.clone())
        .await
        .unwrap();
    kept.accepted.push(receipt);
    let again = bed.reopened();
    let session = again.resume_upload(&wanted, kept).await.unwrap().unwrap();
    assert!(
        session.accepted.is_empty(),
        "the bytes are gone with the memory"
    );
    again
        .put_part(&session, 1, content.0.clone())
        .await
        .unwrap();
    let node = again
        .commit_upload(&wanted, &session, &talk(&content))
        .await
        .unwrap();
    assert_eq!(node.id.as_str(), "boxN");
    assert!(bed.seen(ALL).is_empty());
}

const BLOCK: u64 = 16 << 20;

fn large() -> InMemory {
    let size = usize::try_from(BLOCK + 5_000_000).unwrap();
    InMemory(
        (0..size)
            .map(|n| (n % 251) as u8)
            .collect::<Vec<u8>>()
            .into(),
    )
}

fn prepared(bed: &Bed) -> &Bed {
    bed.lists(json!([]));
    bed.says(
        PREPARE,
        json!({"upload_id":"7111","block_size":BLOCK,"block_num":2}),
    );
    bed.says(PART, json!({}))
}

#[tokio::test]
async fn a_large_file_goes_in_the_services_blocks() {
    let bed = Bed::user().await;
    let content = large();
    prepared(&bed).says(FINISH, json!({"file_token":"boxL"}));
    bed.history("boxL", "8", content.size(), &now());
    let wanted = request("l.bin", &content, OnConflict::Refuse);
    let node = run(&bed, &wanted, &content).await.unwrap();
    assert_eq!((node.id.as_str(), node.size), ("boxL", content.size()));
    let sent = bed.seen(PREPARE)[0].json();
    assert_eq!(
        sent,
        json!({"file_name":"l.bin","parent_type":"explorer","parent_node":"fldD","size":content.size()})
    );
    let parts = bed.seen(PART);
    assert_eq!(parts.len(), 2);
    let last = adler32(&content.0[BLOCK as usize..]).to_string();
    let text = parts[1].text();
    for (name, value) in [
        ("upload_id", "7111"),
        ("seq", "1"),
        ("size", "5000000"),
        ("checksum", last.as_str()),
    ] {
        assert!(
            text.contains(&format!("name=\"{name}\"\r\n\r\n{value}\r\n")),
            "{name}"
        );
    }
    assert_eq!(
        bed.seen(FINISH)[0].json(),
        json!({"upload_id":"7111","block_num":2})
    );
}

#[tokio::test]
async fn a_finish_whose_answer_was_lost_is_recognised() {
    let bed = Bed::user().await;
    let content = large();
    prepared(&bed)
        .lists(json!([]))
        .lists(json!([entry("boxL", "l.bin")]));
    bed.says_raw(FINISH, 502, "").refuses(FINISH, 1061021);
    bed.history("boxL", "8", content.size(), &now());
    let text: String = content
        .0
        .iter()
        .map(|byte| char::from(byte % 128))
        .collect();
    let content = InMemory(Bytes::from(text.clone()));
    bed.says_raw(&download_of("boxL"), 200, &text);
    let wanted = request("l.bin", &content, OnConflict::Refuse);
    let node = run(&bed, &wanted, &content).await.unwrap();
    assert_eq!(node.id.as_str(), "boxL");
    assert_eq!(bed.seen(FINISH).len(), 2);
}

#[tokio::test]
async fn a_session_goes_on_until_the_service_forgets_it() {
    let bed = Bed::user().await;
    let content = large();
    prepared(&bed);
    let wanted = request("l.bin", &content, OnConflict::Refuse);
    let mut session = bed
        .drive
        .open_upload(&wanted, &talk(&content))
        .await
        .unwrap();
    let first = content.0.slice(0..BLOCK as usize);
    let receipt = bed.drive.put_part(&session, 1, first).await.unwrap();
    session.accepted.push(receipt);
    let kept: UploadSession =
        serde_json::from_value(serde_json::to_value(&session).unwrap()).unwrap();
    let again = bed.reopened();
    let resumed = again
        .resume_upload(&wanted, kept.clone())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(resumed.accepted.len(), 1);
    bed.forget(PART).refuses(PART, 1061021);
    let last = content.0.slice(BLOCK as usize..);
    let error = again.put_part(&resumed, 2, last).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(
        again
            .resume_upload(&wanted, kept.clone())
            .await
            .unwrap()
            .is_none()
    );
    let mut old = kept;
    old.state["opened"] = json!(1_700_000_000_000_i64);
    assert!(
        bed.reopened()
            .resume_upload(&wanted, old)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn blocks_that_do_not_add_up_are_refused() {
    let bed = Bed::user().await;
    let content = large();
    bed.lists(json!([]));
    bed.says(
        PREPARE,
        json!({"upload_id":"7111","block_size":BLOCK,"block_num":3}),
    );
    let wanted = request("l.bin", &content, OnConflict::Refuse);
    let error = bed
        .drive
        .open_upload(&wanted, &talk(&content))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadAnswer);
}
