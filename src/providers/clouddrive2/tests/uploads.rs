//! What the server asks, and what it gets.

use super::stand_in::{Fault, Seen, Stand};
use super::{Desk, Sample, request};
use crate::drive::{Attempt, Conversation, Drive, ErrorKind, Node, ReadBudget};
use crate::fingerprint::{Kind, Origin, hash_all};
use crate::providers::clouddrive2::serve::PIECE;
use crate::providers::clouddrive2::upload_message::RemoteHashProgressUpload;

fn hit(attempt: Attempt) -> (Node, Vec<Kind>) {
    match attempt {
        Attempt::Hit { node, decided_by } => (node, decided_by),
        Attempt::Miss(session) => panic!("a miss: {session:?}"),
    }
}

async fn upload(desk: &Desk, name: &str, content: &Sample) -> (Node, Vec<Kind>) {
    let conversation = Conversation::new(content, ReadBudget::All);
    let request = request(name, content);
    hit(desk
        .drive
        .fast_upload(&request, &conversation)
        .await
        .unwrap())
}

#[tokio::test]
async fn a_known_hash_is_all_that_a_hit_needs() {
    let content = Sample::new(5000).knowing(Kind::Sha1, Origin::Provider);
    let bytes = content.bytes.clone();
    let stand = Stand::start(move |stand, id, start| {
        let bytes = bytes.clone();
        async move {
            stand.status(&id, 1, "");
            stand.put(&start.file_path, &bytes);
            stand.status(&id, 5, "");
        }
    })
    .await;
    let desk = Desk::new(&stand);
    let (node, decided_by) = upload(&desk, "f.bin", &content).await;
    assert_eq!((node.id.as_str(), node.size), ("/115/d/f.bin", 5000));
    assert_eq!(decided_by, [Kind::Sha1]);
    assert!(content.ranges().is_empty());
    let seen = stand.seen();
    let start = &seen.starts[0];
    assert_eq!((&*start.file_path, start.file_size), ("/115/d/f.bin", 5000));
    assert!(start.client_can_calculate_hashes);
    assert_eq!(start.known_hashes.len(), 1);
    assert_eq!(start.known_hashes[&2], content.value(Kind::Sha1));
    assert!(seen.data.is_empty() && seen.reports.is_empty() && seen.controls.is_empty());
}

#[tokio::test]
async fn a_challenge_is_answered_with_its_range() {
    let content = Sample::new(300_000).knowing(Kind::Sha1, Origin::Computed);
    let bytes = content.bytes.clone();
    let stand = Stand::start(move |stand, id, start| {
        let bytes = bytes.clone();
        async move {
            stand.ask(&id, 123_456, 789, false);
            stand.until(|seen| seen.data.len() == 1).await;
            stand.put(&start.file_path, &bytes);
            stand.status(&id, 5, "");
        }
    })
    .await;
    let desk = Desk::new(&stand);
    let (_, decided_by) = upload(&desk, "f.bin", &content).await;
    assert_eq!(decided_by, [Kind::Sha1]);
    assert_eq!(content.ranges(), [123_456..124_245]);
    let piece = stand.seen().data[0].clone();
    assert_eq!((piece.offset, piece.length), (123_456, 789));
    assert_eq!(piece.data, content.bytes.slice(123_456..124_245));
    assert!(!piece.is_last_chunk && !piece.lazy_read);
}

#[tokio::test]
async fn exactly_the_asked_ranges_are_sent_in_pieces() {
    let size = 5 * PIECE + 77;
    let content = Sample::new(usize::try_from(size).unwrap());
    let stand = Stand::start(move |stand, id, start| async move {
        for status in [0, 1, 7, 3] {
            stand.status(&id, status, "");
        }
        // Not in order, one of them ahead of time, one to the end, one beyond it.
        stand.ask(&id, 3 * PIECE, 0, false);
        stand.ask(&id, 3 * PIECE, 0, false);
        stand.ask(&id, 100, 2 * PIECE, true);
        stand.ask(&id, 0, 100, false);
        stand.ask(&id, 2 * PIECE + 100, PIECE, false);
        stand.ask(&id, size + 5, 10, false);
        stand
            .until(|seen| {
                Stand::received(seen, &id, size).is_some()
                    && seen.data.iter().any(|piece| piece.data.is_empty())
            })
            .await;
        stand.finish(&id, &start);
    })
    .await;
    let desk = Desk::new(&stand);
    let (node, decided_by) = upload(&desk, "f.bin", &content).await;
    assert_eq!(node.size, size);
    assert!(decided_by.is_empty());
    let seen = stand.seen();
    assert_eq!(
        seen.tree["/115/d/f.bin"].bytes.as_deref(),
        Some(&content.bytes[..])
    );
    let mut pieces: Vec<(u64, u64, bool, bool)> = seen
        .data
        .iter()
        .map(|p| (p.offset, p.length, p.lazy_read, p.is_last_chunk))
        .collect();
    pieces.sort_unstable();
    assert_eq!(
        pieces,
        [
            (0, 100, false, false),
            (100, PIECE, true, false),
            (PIECE + 100, PIECE, true, true),
            (2 * PIECE + 100, PIECE, false, false),
            (3 * PIECE, PIECE, false, false),
            (4 * PIECE, PIECE, false, false),
            (5 * PIECE, 77, false, true),
            (size + 5, 0, false, true),
        ]
    );
}

#[tokio::test]
async fn hashes_are_computed_once_and_told_again() {
    let content = Sample::new(10_240);
    let bytes = content.bytes.clone();
    let stand = Stand::start(move |stand, id, start| {
        let bytes = bytes.clone();
        async move {
            stand.ask_hash(&id, 1, Some(4096));
            stand.ask_hash(&id, 1, Some(4096));
            let last = |number: i32, count: usize| {
                move |seen: &Seen| {
                    let of = |report: &&RemoteHashProgressUpload| report.hash_type == number;
                    let finals = seen.reports.iter().filter(of);
                    finals.filter(|r| r.hash_value.is_some()).count() >= count
                }
            };
            stand.until(last(1, 1)).await;
            stand.ask_hash(&id, 1, Some(4096));
            stand.until(last(1, 2)).await;
            stand.ask_hash(&id, 3, None);
            stand.until(last(3, 1)).await;
            stand.put(&start.file_path, &bytes);
            stand.status(&id, 5, "");
        }
    })
    .await;
    let desk = Desk::new(&stand);
    let (_, mut decided_by) = upload(&desk, "f.bin", &content).await;
    decided_by.sort_unstable();
    assert_eq!(decided_by, [Kind::Md5, Kind::Gcid]);
    let seen = stand.seen();
    let kinds = [Kind::Md5, Kind::BlockListMd5 { block: 4096 }, Kind::Gcid];
    let wanted = hash_all(&kinds, &content.bytes);
    let mut count = [0, 0];
    for report in seen.reports.iter().filter(|r| r.hash_value.is_some()) {
        assert_eq!((report.bytes_hashed, report.total_bytes), (10_240, 10_240));
        if report.hash_type == 1 {
            assert_eq!(report.hash_value.as_ref(), Some(&wanted[0].1));
            assert_eq!(report.block_hashes.join(","), wanted[1].1);
            assert_eq!(report.block_hashes.len(), 3);
            count[0] += 1;
        } else {
            assert_eq!(report.hash_value.as_ref(), Some(&wanted[2].1));
            count[1] += 1;
        }
    }
    // Once for the first request, once for the one after it.
    assert!(count[0] >= 2 && count[1] == 1, "{count:?}");
    // Two hashes, two passes: what was told again was not computed again.
    assert_eq!(content.ranges(), [0..10_240, 0..10_240]);
    assert!(seen.data.is_empty());
}

#[tokio::test]
async fn a_hash_that_is_known_is_not_computed() {
    let content = Sample::new(5000)
        .knowing(Kind::Md5, Origin::Computed)
        .knowing(Kind::BAIDU_BLOCKS, Origin::Computed);
    let bytes = content.bytes.clone();
    let stand = Stand::start(move |stand, id, start| {
        let bytes = bytes.clone();
        async move {
            stand.ask_hash(&id, 1, Some(4 << 20));
            stand.until(|seen| seen.reports.len() == 1).await;
            stand.put(&start.file_path, &bytes);
            stand.status(&id, 5, "");
        }
    })
    .await;
    let desk = Desk::new(&stand);
    let (_, decided_by) = upload(&desk, "f.bin", &content).await;
    assert_eq!(decided_by, [Kind::Md5]);
    assert!(content.ranges().is_empty());
    let report = stand.seen().reports[0].clone();
    assert_eq!(report.block_hashes, [content.value(Kind::Md5)]);
}

#[tokio::test]
async fn an_unknown_hash_ends_the_upload() {
    let content = Sample::new(500);
    let stand = Stand::start(|stand, id, _| async move { stand.ask_hash(&id, 9, None) }).await;
    let desk = Desk::new(&stand);
    let conversation = Conversation::new(&content, ReadBudget::All);
    let request = request("f.bin", &content);
    let error = desk.drive.fast_upload(&request, &conversation).await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::Unsupported);
    assert_eq!(stand.seen().controls.len(), 1);
}

#[tokio::test]
async fn an_empty_file_is_an_upload_too() {
    let content = Sample::new(0);
    let stand = Stand::start(|stand, id, start| async move {
        stand.ask_hash(&id, 1, Some(4096));
        stand
            .until(|seen| seen.reports.iter().any(|r| r.hash_value.is_some()))
            .await;
        stand.ask(&id, 0, 0, false);
        stand.until(|seen| seen.data.len() == 1).await;
        stand.finish(&id, &start);
    })
    .await;
    let desk = Desk::new(&stand);
    let (node, decided_by) = upload(&desk, "empty", &content).await;
    assert_eq!((node.size, decided_by.len()), (0, 0));
    let seen = stand.seen();
    assert!(seen.reports[0].block_hashes.is_empty());
    assert!(seen.data[0].is_last_chunk && seen.data[0].data.is_empty());
}

#[tokio::test]
async fn all_uploads_share_one_channel() {
    let stand = Stand::start(|stand, id, start| async move {
        stand.status(&id, 3, "");
        stand.until(|seen| seen.starts.len() == 3).await;
        stand.ask(&id, 0, 0, false);
        stand
            .until(|seen| Stand::received(seen, &id, start.file_size).is_some())
            .await;
        stand.finish(&id, &start);
    })
    .await;
    let desk = Desk::new(&stand);
    let samples = [1000, 2000, 3000].map(Sample::new);
    let names = ["a", "b", "c"];
    let uploads = names
        .iter()
        .zip(&samples)
        .map(|(name, sample)| upload(&desk, name, sample));
    let done = futures_util::future::join_all(uploads).await;
    for ((node, _), sample) in done.iter().zip(&samples) {
        let seen = stand.seen();
        let stored = seen.tree[node.id.as_str()].bytes.clone();
        assert_eq!(stored.as_deref(), Some(&sample.bytes[..]));
    }
    assert_eq!(stand.count("RemoteUploadChannel"), 1);
    // The id is kept for the next run.
    let device = stand.seen().devices[0].clone();
    assert!(device.starts_with("panfuse-"), "{device}");
    let desk = desk.again();
    let more = Sample::new(10);
    stand.fault(
        "StartRemoteUpload",
        Fault::Instead(tonic::Status::invalid_argument("enough")),
    );
    let conversation = Conversation::new(&more, ReadBudget::All);
    let refused = desk
        .drive
        .fast_upload(&request("d", &more), &conversation)
        .await;
    assert_eq!(refused.unwrap_err().kind, ErrorKind::Invalid);
    assert_eq!(stand.seen().devices, [device.clone(), device]);
}

#[tokio::test]
async fn a_taken_name_and_a_missing_directory_start_nothing() {
    let stand = Stand::quiet().await;
    stand.put("/115/d/taken", b"theirs");
    let desk = Desk::new(&stand);
    let content = Sample::new(100);
    let conversation = Conversation::new(&content, ReadBudget::All);
    let taken = desk
        .drive
        .fast_upload(&request("taken", &content), &conversation)
        .await;
    assert_eq!(taken.unwrap_err().kind, ErrorKind::Exists);
    let mut orphan = request("f", &content);
    orphan.parent = crate::drive::NodeId::new("/115/no");
    let orphan = desk.drive.fast_upload(&orphan, &conversation).await;
    assert_eq!(orphan.unwrap_err().kind, ErrorKind::NotFound);
    let mut top = request("f", &content);
    top.parent = crate::drive::NodeId::new("/");
    let top = desk.drive.fast_upload(&top, &conversation).await;
    assert_eq!(top.unwrap_err().kind, ErrorKind::Invalid);
    assert_eq!(stand.count("StartRemoteUpload"), 0);
}
