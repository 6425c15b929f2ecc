//! Streamed uploads of both products.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::drive::{Conversation, ErrorKind, Node, ReadBudget, UploadSession};
use crate::fingerprint::Sha1State;
use crate::providers::quark_uc::{QUARK, UC};

const SIZE: usize = 300;

async fn ready(info: &'static ProviderInfo) -> (Bed, UploadSession) {
    let bed = Bed::new(info).await;
    bed.on(LIST, [listing(json!([file("5", "else", 1)]))]);
    bed.on(PRE, [pre(&bed.base)]);
    bed.on(
        AUTH,
        [good(json!({"auth_key":"OSS k:s","speed":0,"headers":[]}))],
    );
    bed.on(HASH, [good(json!({"finish":false,"fid":"f1"}))]);
    bed.on(COMPLETE, [raw(200, "{}")]);
    bed.on(
        FINISH,
        [good(json!({"task_id":"t1","fid":"f1","finish":true}))],
    );
    bed.on(STAT, [refusal(404, 41006)]);
    let sample = Sample::new(SIZE, &[]);
    let conversation = Conversation::new(&sample, ReadBudget::None);
    let session = bed
        .drive
        .open_upload(&request(SIZE), &conversation)
        .await
        .unwrap();
    (bed, session)
}

fn part(session: &UploadSession, number: u32) -> Bytes {
    let range = session.part_range(SIZE as u64, number);
    let all = Sample::new(SIZE, &[]).bytes;
    all.slice(range.start as usize..range.end as usize)
}

async fn send(drive: &Arc<dyn Drive>, session: &mut UploadSession, number: u32) {
    let bytes = part(session, number);
    let receipt = drive.put_part(session, number, bytes).await.unwrap();
    session.accepted.push(receipt);
}

async fn commit(drive: &Arc<dyn Drive>, session: &UploadSession) -> Result<Node> {
    let sample = Sample::new(SIZE, BOTH);
    let conversation = Conversation::new(&sample, ReadBudget::None);
    drive
        .commit_upload(&request(SIZE), session, &conversation)
        .await
}

/// The header before part `number`.
fn state(session: &UploadSession, number: u32) -> String {
    let mut state = Sha1State::new();
    for before in 1..number {
        state.update(&part(session, before));
    }
    state.header().unwrap()
}

/// The call of a part by its number.
fn put(bed: &Bed, number: u32) -> Seen {
    let query = format!("partNumber={number}&uploadId=U1");
    let all = bed.all(PART);
    all.into_iter().rfind(|seen| seen.query == query).unwrap()
}

/// The text that the service was shown for a request.
fn shown(bed: &Bed, end: &str) -> String {
    bed.all(AUTH)
        .iter()
        .map(|seen| seen.json()["auth_meta"].as_str().unwrap().to_owned())
        .rfind(|text| text.ends_with(end))
        .unwrap_or_else(|| panic!("nothing signed for {end}"))
}

#[tokio::test]
async fn parts_go_side_by_side_with_the_state_before_them() {
    let (bed, mut session) = ready(&QUARK).await;
    assert_eq!((session.parallel, session.part_count(SIZE as u64)), (3, 3));
    let sent = &session;
    // The other way round: each waits for the state of the one before.
    let parts = [3, 2, 1].map(|number| bed.drive.put_part(sent, number, part(sent, number)));
    let receipts = futures_util::future::join_all(parts).await;
    session.accepted = receipts
        .into_iter()
        .map(|receipt| receipt.unwrap())
        .collect();
    assert_eq!(put(&bed, 1).header("x-oss-hash-ctx"), "");
    for number in [2, 3] {
        let seen = put(&bed, number);
        let ctx = state(&session, number);
        assert_eq!(seen.header("x-oss-hash-ctx"), ctx);
        let date = seen.header("x-oss-date");
        let agent = seen.header("x-oss-user-agent");
        let text = format!(
            "PUT\n\napplication/octet-stream\n{date}\nx-oss-date:{date}\nx-oss-hash-ctx:{ctx}\nx-oss-user-agent:{agent}\n/ul-zb/v3/obj?partNumber={number}&uploadId=U1"
        );
        assert_eq!(
            shown(&bed, &format!("partNumber={number}&uploadId=U1")),
            text
        );
        assert_eq!(seen.header("authorization"), "OSS k:s");
        assert_eq!(seen.header("content-type"), "application/octet-stream");
        assert_eq!(seen.header("referer"), "https://pan.quark.cn/");
        assert_eq!(seen.header("cookie"), "");
    }
    let node = commit(&bed.drive, &session).await.unwrap();
    assert_eq!(
        (node.id.as_str(), node.name.as_str(), node.size),
        ("f1", "a.bin", 300)
    );
    let calls = bed.calls();
    let at = |call: &str| calls.iter().rposition(|seen| seen == call).unwrap();
    assert!(at(PART) < at(HASH) && at(HASH) < at(COMPLETE) && at(COMPLETE) < at(FINISH));
    let end = bed.last(COMPLETE);
    assert_eq!(end.query, "uploadId=U1");
    assert_eq!(end.header("x-oss-callback"), STANDARD.encode(CALLBACK));
    assert_eq!(
        end.header("content-md5"),
        STANDARD.encode(Md5::digest(&end.body))
    );
    assert!(shown(&bed, "/ul-zb/v3/obj?uploadId=U1").contains(end.header("x-oss-callback")));
    let body = String::from_utf8(end.body.to_vec()).unwrap();
    for number in 1..=3 {
        let etag = hex_upper(&Md5::digest(part(&session, number)));
        let line = format!("<PartNumber>{number}</PartNumber>\n<ETag>\"{etag}\"</ETag>");
        assert!(body.contains(&line), "{body}");
    }
    assert_eq!(
        bed.last(FINISH).json(),
        json!({"obj_key":"v3/obj","task_id":"t1"})
    );
    assert_eq!(bed.last(AUTH).json()["auth_info"], "AI");
}

#[tokio::test]
async fn another_process_goes_on_behind_a_receipt() {
    let (bed, mut session) = ready(&QUARK).await;
    send(&bed.drive, &mut session, 1).await;
    let text = serde_json::to_string(&session).unwrap();
    let kept = serde_json::from_str(&text).unwrap();
    let again = bed.reopened();
    let resumed = again.resume_upload(&request(SIZE), kept).await.unwrap();
    let mut session = resumed.expect("a session that lives");
    assert_eq!(session.accepted.len(), 1);
    send(&again, &mut session, 2).await;
    send(&again, &mut session, 3).await;
    assert_eq!(put(&bed, 3).header("x-oss-hash-ctx"), state(&session, 3));
    assert_eq!(bed.all(PART).len(), 3);
    assert_eq!(commit(&again, &session).await.unwrap().id.as_str(), "f1");
}

#[tokio::test]
async fn a_session_that_is_over_or_done_is_seen() {
    let (bed, session) = ready(&QUARK).await;
    let mut old = session.clone();
    old.state["auth_ends"] = json!(1);
    assert!(
        bed.drive
            .resume_upload(&request(SIZE), old)
            .await
            .unwrap()
            .is_none()
    );
    bed.on(STAT, [good(file("f1", "a.bin", 300))]);
    let done = bed
        .drive
        .resume_upload(&request(SIZE), session)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(done.accepted.len(), 3);
    assert_eq!(commit(&bed.drive, &done).await.unwrap().id.as_str(), "f1");
    assert!(bed.all(HASH).is_empty() && bed.all(COMPLETE).is_empty());
}

#[tokio::test]
async fn uc_sends_in_order_and_without_states() {
    let (bed, mut session) = ready(&UC).await;
    assert_eq!(session.parallel, 1);
    for number in 1..=3 {
        send(&bed.drive, &mut session, number).await;
        assert_eq!(put(&bed, number).header("x-oss-hash-ctx"), "");
        assert_eq!(put(&bed, number).header("referer"), "https://drive.uc.cn/");
    }
    commit(&bed.drive, &session).await.unwrap();
    // What lies behind a gap is sent again.
    session.accepted.remove(1);
    let resumed = bed
        .drive
        .resume_upload(&request(SIZE), session)
        .await
        .unwrap();
    let numbers: Vec<u32> = resumed
        .unwrap()
        .accepted
        .iter()
        .map(|part| part.number)
        .collect();
    assert_eq!(numbers, [1]);
}

#[tokio::test]
async fn a_part_that_is_there_counts_when_it_is_the_same() {
    let (bed, session) = ready(&QUARK).await;
    let mine = hex_upper(&Md5::digest(part(&session, 1)));
    let there = |etag: &str| {
        raw(
            409,
            format!("<Error><Code>PartAlreadyExist</Code><PartEtag>\"{etag}\"</PartEtag></Error>"),
        )
    };
    bed.on(PART, [raw(500, ""), there(&mine)]);
    let receipt = bed
        .drive
        .put_part(&session, 1, part(&session, 1))
        .await
        .unwrap();
    assert!(receipt.tag.starts_with(&format!("\"{mine}\" ")));
    // Signed anew for every try.
    assert_eq!((bed.all(PART).len(), bed.all(AUTH).len()), (2, 2));
    bed.on(PART, [there(&"0".repeat(32))]);
    let error = bed
        .drive
        .put_part(&session, 1, part(&session, 1))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Verification);
    // What arrived is not what was sent.
    bed.on(
        PART,
        [raw(200, "").header("etag", format!("\"{}\"", "A".repeat(32)))],
    );
    let error = bed
        .drive
        .put_part(&session, 1, part(&session, 1))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Verification);
    bed.on(PART, [raw(404, "<Error><Code>NoSuchUpload</Code></Error>")]);
    let error = bed
        .drive
        .put_part(&session, 1, part(&session, 1))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn content_that_is_known_by_the_end_needs_no_end() {
    let (bed, mut session) = ready(&QUARK).await;
    for number in 1..=3 {
        send(&bed.drive, &mut session, number).await;
    }
    bed.on(HASH, [good(json!({"finish":true,"fid":"f2"}))]);
    assert_eq!(
        commit(&bed.drive, &session).await.unwrap().id.as_str(),
        "f2"
    );
    assert!(bed.all(COMPLETE).is_empty() && bed.all(FINISH).is_empty());
}

#[tokio::test]
async fn an_empty_file_sends_its_part_only_when_it_must() {
    for known in [true, false] {
        let (bed, _) = ready(&QUARK).await;
        let empty = Sample::new(0, &[]);
        let conversation = Conversation::new(&empty, ReadBudget::None);
        let mut session = bed
            .drive
            .open_upload(&request(0), &conversation)
            .await
            .unwrap();
        let receipt = bed.drive.put_part(&session, 1, Bytes::new()).await.unwrap();
        session.accepted.push(receipt);
        bed.on(HASH, [good(json!({"finish":known,"fid":"f1"}))]);
        let node = bed
            .drive
            .commit_upload(&request(0), &session, &conversation)
            .await;
        assert_eq!(node.unwrap().size, 0);
        assert_eq!(bed.all(PART).len(), usize::from(!known));
        assert_eq!(bed.all(FINISH).len(), usize::from(!known));
        assert_eq!(
            bed.last(HASH).json()["md5"],
            "d41d8cd98f00b204e9800998ecf8427e"
        );
    }
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_recognised() {
    let (bed, mut session) = ready(&QUARK).await;
    for number in 1..=3 {
        send(&bed.drive, &mut session, number).await;
    }
    // The store is through, and the service as well.
    bed.on(
        COMPLETE,
        [raw(404, "<Error><Code>NoSuchUpload</Code></Error>")],
    );
    bed.on(FINISH, [refusal(400, 14001)]);
    let error = commit(&bed.drive, &session).await.unwrap_err();
    assert_eq!(
        error.kind,
        ErrorKind::NotFound,
        "no such upload, and no file"
    );
    bed.on(STAT, [good(file("f1", "a.bin", 300))]);
    assert_eq!(
        commit(&bed.drive, &session).await.unwrap().id.as_str(),
        "f1"
    );
    // The task is forgotten: by another process, with the file in the listing.
    bed.on(HASH, [refusal(400, 41006)]);
    bed.on(LIST, [listing(json!([file("f1", "a.bin", 300)]))]);
    assert_eq!(
        commit(&bed.reopened(), &session).await.unwrap().id.as_str(),
        "f1"
    );
}

#[tokio::test]
async fn a_callback_that_failed_is_made_up_for_by_finish() {
    let (bed, mut session) = ready(&QUARK).await;
    for number in 1..=3 {
        send(&bed.drive, &mut session, number).await;
    }
    bed.on(
        COMPLETE,
        [raw(203, "<Error><Code>CallbackFailed</Code></Error>")],
    );
    assert_eq!(
        commit(&bed.drive, &session).await.unwrap().id.as_str(),
        "f1"
    );
    bed.on(
        COMPLETE,
        [raw(400, "<Error><Code>InvalidPart</Code></Error>")],
    );
    let error = commit(&bed.reopened(), &session).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Verification);
}

#[tokio::test]
async fn a_name_taken_meanwhile_is_refused_and_nothing_is_left() {
    let (bed, mut session) = ready(&QUARK).await;
    for number in 1..=3 {
        send(&bed.drive, &mut session, number).await;
    }
    // Seen before the end.
    bed.on(LIST, [listing(json!([file("7", "a.bin", 9)]))]);
    bed.on(STAT, [good(file("7", "a.bin", 9)), refusal(404, 41006)]);
    let error = commit(&bed.reopened(), &session).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    assert!(bed.all(HASH).is_empty());
    // Seen by what came of it.
    bed.on(STAT, [good(file("f1", "a(1).bin", 300))]);
    bed.on("POST /file/delete", [good(json!({"finish":true}))]);
    let error = commit(&bed.drive, &session).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    assert_eq!(
        bed.last("POST /file/delete").json()["filelist"],
        json!(["f1"])
    );
}

#[tokio::test]
async fn abandoning_removes_what_a_lost_commit_made() {
    let (bed, session) = ready(&QUARK).await;
    bed.drive.abandon_upload(&session).await.unwrap();
    assert!(bed.all("POST /file/delete").is_empty());
    bed.on(STAT, [good(file("f1", "a.bin", 300))]);
    bed.on("POST /file/delete", [good(json!({"finish":true}))]);
    bed.drive.abandon_upload(&session).await.unwrap();
    assert_eq!(
        bed.last("POST /file/delete").json()["filelist"],
        json!(["f1"])
    );
}

#[tokio::test]
async fn an_overridden_store_takes_the_place_of_the_one_that_was_named() {
    let (mut bed, _) = ready(&QUARK).await;
    bed.context.overridden.push("oss".to_owned());
    let base = bed.base.clone();
    bed.context.endpoints.insert("oss".to_owned(), base);
    bed.on(PRE, [pre("http://oss-cn-example.aliyuncs.com")]);
    let drive = bed.reopened();
    let sample = Sample::new(SIZE, &[]);
    let conversation = Conversation::new(&sample, ReadBudget::None);
    let mut session = drive
        .open_upload(&request(SIZE), &conversation)
        .await
        .unwrap();
    send(&drive, &mut session, 1).await;
    assert_eq!(bed.all(PART).len(), 1);
}
