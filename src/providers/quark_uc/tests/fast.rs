//! Fast uploads.

use super::*;
use crate::drive::{Attempt, Conversation, ErrorKind, ReadBudget};
use crate::providers::quark_uc::{QUARK, UC};

async fn ready(info: &'static ProviderInfo) -> Bed {
    let bed = Bed::new(info).await;
    bed.on(LIST, [listing(json!([file("5", "else", 1)]))]);
    bed.on(PRE, [pre(&bed.base)]);
    bed.on(STAT, [good(file("f1", "a.bin", 300))]);
    bed
}

#[tokio::test]
async fn a_hit_takes_two_calls_and_no_byte() {
    for info in [&QUARK, &UC] {
        let bed = ready(info).await;
        let sample = Sample::new(300, BOTH);
        bed.on(HASH, [good(json!({"finish":true,"fid":"f1"}))]);
        let conversation = Conversation::new(&sample, ReadBudget::None);
        let attempt = bed
            .drive
            .fast_upload(&request(300), &conversation)
            .await
            .unwrap();
        let Attempt::Hit { node, decided_by } = attempt else {
            panic!("a miss");
        };
        assert_eq!(
            (node.id.as_str(), node.name.as_str(), node.size),
            ("f1", "a.bin", 300)
        );
        assert_eq!(decided_by, BOTH);
        assert_eq!(bed.calls(), [LIST, PRE, HASH, STAT]);
        let body = bed.last(HASH).json();
        assert_eq!(body["md5"], sample.digest(Kind::Md5));
        assert_eq!(body["sha1"], sample.digest(Kind::Sha1));
        assert_eq!(body["task_id"], "t1");
        let body = bed.last(PRE).json();
        assert_eq!(
            (&body["file_name"], &body["size"]),
            (&json!("a.bin"), &json!(300))
        );
        assert_eq!(body["l_updated_at"], 1_500_000_000_123_i64);
        assert_eq!(body["parallel_upload"].is_null(), info.key == "uc");
    }
}

#[tokio::test]
async fn one_hash_is_not_enough_and_leaves_nothing() {
    let bed = ready(&QUARK).await;
    for known in [&[][..], &[Kind::Md5], &[Kind::Sha1]] {
        let sample = Sample::new(300, known);
        let conversation = Conversation::new(&sample, ReadBudget::SMALL);
        let error = bed
            .drive
            .fast_upload(&request(300), &conversation)
            .await
            .unwrap_err();
        assert!(matches!(error.kind, ErrorKind::OverBudget(300)), "{error}");
    }
    assert!(bed.calls().is_empty());
}

#[tokio::test]
async fn a_miss_brings_its_session_unless_the_hashes_are_claims() {
    let bed = ready(&QUARK).await;
    bed.on(HASH, [good(json!({"finish":false,"fid":"f1"}))]);
    let mut sample = Sample::new(300, BOTH);
    let conversation = Conversation::new(&sample, ReadBudget::None);
    let attempt = bed
        .drive
        .fast_upload(&request(300), &conversation)
        .await
        .unwrap();
    let Attempt::Miss(Some(session)) = attempt else {
        panic!("no session");
    };
    assert_eq!(
        (session.part_size, session.part_count(300), session.parallel),
        (128, 3, 3)
    );
    assert_eq!(session.node, Some(NodeId::new("f1")));
    sample.origin = Origin::UploaderClaim;
    let conversation = Conversation::new(&sample, ReadBudget::None);
    let attempt = bed
        .drive
        .fast_upload(&request(300), &conversation)
        .await
        .unwrap();
    assert!(matches!(attempt, Attempt::Miss(None)));
}

#[tokio::test]
async fn a_taken_name_is_refused_before_anything_is_begun() {
    let bed = ready(&QUARK).await;
    let taken = file("7", "a.bin", 9);
    bed.on(LIST, [listing(json!([taken]))])
        .on(STAT, [good(taken)]);
    let sample = Sample::new(300, BOTH);
    let conversation = Conversation::new(&sample, ReadBudget::None);
    let error = bed
        .drive
        .fast_upload(&request(300), &conversation)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    assert_eq!(bed.calls(), [LIST, STAT]);
    // Listed still, but gone: it is free.
    bed.on(STAT, [refusal(404, 41006), good(file("f1", "a.bin", 300))]);
    bed.on(HASH, [good(json!({"finish":true}))]);
    let attempt = bed
        .drive
        .fast_upload(&request(300), &conversation)
        .await
        .unwrap();
    assert!(matches!(attempt, Attempt::Hit { .. }));
}

#[tokio::test]
async fn a_hit_that_came_out_numbered_is_trashed() {
    let bed = ready(&QUARK).await;
    bed.on(HASH, [good(json!({"finish":true,"fid":"f1"}))]);
    bed.on(STAT, [good(file("f1", "a(1).bin", 300))]);
    bed.on("POST /file/delete", [good(json!({"finish":true}))]);
    let sample = Sample::new(300, BOTH);
    let conversation = Conversation::new(&sample, ReadBudget::None);
    let error = bed
        .drive
        .fast_upload(&request(300), &conversation)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    assert_eq!(
        bed.last("POST /file/delete").json()["filelist"],
        json!(["f1"])
    );
}

#[tokio::test]
async fn a_hit_that_is_shown_late_is_a_hit() {
    let bed = ready(&QUARK).await;
    bed.on(HASH, [good(json!({"finish":true,"fid":"f1"}))]);
    bed.on(STAT, [refusal(404, 41006)]);
    let sample = Sample::new(300, BOTH);
    let conversation = Conversation::new(&sample, ReadBudget::None);
    let attempt = bed
        .drive
        .fast_upload(&request(300), &conversation)
        .await
        .unwrap();
    let Attempt::Hit { node, .. } = attempt else {
        panic!("a miss");
    };
    assert_eq!(
        (node.id.as_str(), node.name.as_str(), node.size),
        ("f1", "a.bin", 300)
    );
    assert_eq!(node.version, "f1");
}

#[tokio::test]
async fn a_full_account_and_a_lost_hit() {
    let bed = ready(&QUARK).await;
    let sample = Sample::new(300, BOTH);
    let conversation = Conversation::new(&sample, ReadBudget::None);
    bed.on(PRE, [refusal(400, 32003)]);
    let error = bed
        .drive
        .fast_upload(&request(300), &conversation)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::QuotaFull);
    // The hash call fails for good, but its file is there.
    bed.on(PRE, [pre(&bed.base)])
        .on(HASH, [refusal(400, 41006)]);
    let attempt = bed
        .drive
        .fast_upload(&request(300), &conversation)
        .await
        .unwrap();
    assert!(matches!(attempt, Attempt::Hit { .. }));
}
