//! Lost answers, lost channels, failures, cancelling.

use std::sync::Arc;
use std::time::Duration;

use tonic::Status;

use super::stand_in::{Fault, Seen, Stand};
use super::{Desk, PACE, Sample, request};
use crate::drive::{Attempt, Conversation, Drive, DriveError, ErrorKind, ReadBudget, Result};
use crate::fingerprint::{Kind, Origin};
use crate::net::Retry;
use crate::providers::clouddrive2::channel::Pace;
use crate::providers::clouddrive2::upload_message::{Control, StartRemoteUploadRequest};

async fn attempt(desk: &Desk, content: &Sample) -> Result<Attempt> {
    let conversation = Conversation::new(content, ReadBudget::All);
    desk.drive
        .fast_upload(&request("f.bin", content), &conversation)
        .await
}

async fn fails(desk: &Desk, content: &Sample) -> DriveError {
    match attempt(desk, content).await {
        Ok(attempt) => panic!("{attempt:?}"),
        Err(error) => error,
    }
}

/// Asks for everything and finishes.
async fn take_all(stand: Arc<Stand>, id: String, start: StartRemoteUploadRequest) {
    stand.status(&id, 3, "");
    stand.ask(&id, 0, 0, false);
    stand
        .until(|seen| Stand::received(seen, &id, start.file_size).is_some())
        .await;
    stand.finish(&id, &start);
}

fn cancelled(stand: &Stand) -> Vec<String> {
    let seen = stand.seen();
    let cancels = seen
        .controls
        .iter()
        .filter(|(_, control)| matches!(control, Control::Cancel(_)));
    cancels.map(|(id, _)| id.clone()).collect()
}

#[tokio::test]
async fn over_budget_leaves_nothing() {
    let stand = Stand::start(|stand, id, _| async move { stand.ask_hash(&id, 2, None) }).await;
    let desk = Desk::new(&stand);
    let content = Sample::new(3 << 20);
    for budget in [ReadBudget::None, ReadBudget::SMALL] {
        let conversation = Conversation::new(&content, budget);
        let error = desk
            .drive
            .fast_upload(&request("f.bin", &content), &conversation)
            .await
            .unwrap_err();
        assert!(matches!(error.kind, ErrorKind::OverBudget(_)), "{error}");
    }
    assert_eq!(cancelled(&stand), ["u-1", "u-2"]);
    assert!(content.ranges().is_empty());
    assert!(desk.drive.uploads.ledger_is_empty().await);
}

#[tokio::test]
async fn whoever_gives_up_cancels_at_the_server() {
    let stand = Stand::start(|stand, id, _| async move { stand.status(&id, 7, "") }).await;
    let desk = Desk::new(&stand);
    let content = Sample::new(100);
    {
        let work = attempt(&desk, &content);
        tokio::pin!(work);
        tokio::select! {
            outcome = &mut work => panic!("{outcome:?}"),
            () = stand.until(|seen| seen.starts.len() == 1) => {}
        }
    }
    stand.until(|seen| seen.controls.len() == 1).await;
    assert_eq!(cancelled(&stand), ["u-1"]);
}

#[tokio::test]
async fn the_servers_words_are_handed_on() {
    for (status, text, kind, retry) in [
        (9, "the cloud is away", ErrorKind::Provider, Retry::Backoff),
        (9, "quota exceeded", ErrorKind::QuotaFull, Retry::Never),
        (10, "name not allowed", ErrorKind::Provider, Retry::Never),
        (8, "", ErrorKind::Invalid, Retry::Never),
        (2, "", ErrorKind::Provider, Retry::Never),
    ] {
        let stand =
            Stand::start(move |stand, id, _| async move { stand.status(&id, status, text) }).await;
        let desk = Desk::new(&stand);
        let error = fails(&desk, &Sample::new(100)).await;
        assert_eq!((error.kind, error.retry), (kind, retry), "{error}");
        assert!(error.message.contains(text), "{error}");
        // It might try again by itself.
        assert_eq!(cancelled(&stand), ["u-1"]);
    }
}

#[tokio::test]
async fn a_lost_channel_is_opened_again_and_nothing_is_lost() {
    let stand = Stand::start(|stand, id, start| async move {
        stand.ask(&id, 0, 1000, false);
        stand.until(|seen| seen.data.len() == 1).await;
        stand.cut();
        stand.until(|seen| seen.devices.len() == 2).await;
        // Repeated, though it was answered, and the rest.
        stand.ask(&id, 0, 1000, false);
        stand.ask(&id, 1000, 1000, false);
        stand.until(|seen| seen.data.len() == 3).await;
        stand.finish(&id, &start);
    })
    .await;
    let desk = Desk::new(&stand);
    let content = Sample::new(2000);
    attempt(&desk, &content).await.unwrap();
    let seen = stand.seen();
    assert_eq!(seen.devices[0], seen.devices[1]);
    assert_eq!(seen.starts.len(), 1);
    let stored = seen.tree["/115/d/f.bin"].bytes.clone();
    assert_eq!(stored.as_deref(), Some(&content.bytes[..]));
}

#[tokio::test]
async fn an_end_that_nobody_heard_is_found_in_the_list() {
    let stand = Stand::start(|stand, id, start| async move {
        stand.ask(&id, 0, 0, false);
        stand.until(|seen| seen.data.len() == 1).await;
        stand.cut();
        stand.finish(&id, &start);
    })
    .await;
    let desk = Desk::new(&stand);
    attempt(&desk, &Sample::new(2000)).await.unwrap();
    assert!(stand.count("GetUploadFileList") > 0);
}

#[tokio::test]
async fn an_upload_that_left_the_list_is_looked_for_by_its_file() {
    let stand = Stand::start(|stand, id, start| async move {
        stand.ask(&id, 0, 0, false);
        stand.until(|seen| seen.data.len() == 1).await;
        let bytes = Stand::received(&stand.seen(), &id, start.file_size).unwrap();
        stand.put(&start.file_path, &bytes);
        stand.seen().uploads.clear();
    })
    .await;
    let desk = Desk::new(&stand);
    attempt(&desk, &Sample::new(2000)).await.unwrap();
    assert_eq!(stand.seen().starts.len(), 1);
}

#[tokio::test]
async fn an_upload_that_the_server_forgot_starts_again() {
    let stand = Stand::start(|stand, id, start| async move {
        match id.as_str() {
            "u-1" => stand.ask(&id, 0, 10, false),
            _ => take_all(stand, id, start).await,
        }
    })
    .await;
    stand.fault("RemoteReadData", Fault::Refuse("Upload session not found"));
    let desk = Desk::new(&stand);
    attempt(&desk, &Sample::new(2000)).await.unwrap();
    let seen = stand.seen();
    assert_eq!(seen.starts.len(), 2);
    assert_eq!(seen.devices.len(), 2);
}

#[tokio::test]
async fn a_piece_that_was_not_taken_is_sent_again() {
    let stand = Stand::start(take_all).await;
    stand.fault("RemoteReadData", Fault::Refuse("busy"));
    stand.fault(
        "RemoteReadData",
        Fault::Instead(Status::unavailable("gone for a moment")),
    );
    let desk = Desk::new(&stand);
    attempt(&desk, &Sample::new(2000)).await.unwrap();
    assert_eq!(stand.count("RemoteReadData"), 3);
}

#[tokio::test]
async fn a_start_whose_answer_was_lost_is_found() {
    let stand = Stand::start(take_all).await;
    stand.fault(
        "StartRemoteUpload",
        Fault::After(Status::unavailable("reset")),
    );
    let desk = Desk::new(&stand);
    attempt(&desk, &Sample::new(2000)).await.unwrap();
    assert_eq!(stand.seen().starts.len(), 1);
}

#[tokio::test]
async fn a_start_that_was_not_carried_out_is_sent_again() {
    let stand = Stand::start(take_all).await;
    stand.fault(
        "StartRemoteUpload",
        Fault::Instead(Status::unavailable("starting")),
    );
    let desk = Desk::new(&stand);
    attempt(&desk, &Sample::new(2000)).await.unwrap();
    assert_eq!(stand.count("StartRemoteUpload"), 2);
    assert_eq!(stand.seen().starts.len(), 1);
}

#[tokio::test]
async fn skipped_is_believed_when_the_file_is_ours() {
    for (theirs, ours) in [(false, true), (true, false)] {
        let content = Sample::new(2000).knowing(Kind::Sha1, Origin::Computed);
        let mut bytes = content.bytes.to_vec();
        if theirs {
            bytes[5] ^= 1;
        }
        let stand = Stand::start(move |stand, id, start| {
            let bytes = bytes.clone();
            async move {
                stand.put(&start.file_path, &bytes);
                stand.status(&id, 6, "");
            }
        })
        .await;
        let desk = Desk::new(&stand);
        match attempt(&desk, &content).await {
            Ok(_) => assert!(ours),
            Err(error) => {
                assert!(!ours);
                assert_eq!(error.kind, ErrorKind::Exists);
            }
        }
    }
}

#[tokio::test]
async fn a_claim_that_fails_is_left_out_the_next_time() {
    let mut content = Sample::new(2000);
    content.told(Kind::Gcid, &"A".repeat(40), Origin::UploaderClaim);
    let stand = Stand::start(|stand, id, start| async move {
        match start.known_hashes.is_empty() {
            true => take_all(stand, id, start).await,
            false => stand.status(&id, 9, "hash mismatch"),
        }
    })
    .await;
    let desk = Desk::new(&stand);
    let Attempt::Hit { decided_by, .. } = attempt(&desk, &content).await.unwrap() else {
        panic!("a miss");
    };
    assert!(decided_by.is_empty());
    let seen = stand.seen();
    assert_eq!(seen.starts[0].known_hashes[&3], "A".repeat(40));
    assert_eq!(seen.starts.len(), 2);
}

#[tokio::test]
async fn the_upload_rests_while_its_source_does() {
    let stand = Stand::start(take_all).await;
    let desk = Desk::new(&stand);
    let content = Sample::new(2000).stumbling(2);
    attempt(&desk, &content).await.unwrap();
    let controls: Vec<Control> = stand
        .seen()
        .controls
        .iter()
        .map(|(_, control)| control.clone())
        .collect();
    assert_eq!(controls.len(), 2, "{controls:?}");
    assert!(matches!(controls[0], Control::Pause(_)));
    assert!(matches!(controls[1], Control::Resume(_)));
}

/// A run of the program that ends in the middle: nothing is cancelled, the ledger stays.
async fn cut_off(stand: &Arc<Stand>, content: &Sample) -> Desk {
    let desk = Desk::new(stand);
    for _ in 0..40 {
        // The clean-up of this run does not get through either.
        stand.fault(
            "RemoteUploadControl",
            Fault::Instead(Status::invalid_argument("too late")),
        );
    }
    {
        let work = attempt(&desk, content);
        tokio::pin!(work);
        tokio::select! {
            outcome = &mut work => panic!("{outcome:?}"),
            () = stand.until(|seen| !seen.data.is_empty()) => {}
        }
    }
    stand
        .until(|seen| seen.calls.iter().any(|call| call == "RemoteUploadControl"))
        .await;
    stand.seen().faults.clear();
    desk.again()
}

/// Asks for the first half, and for the second one on every channel after the first.
async fn half_first(stand: Arc<Stand>, id: String, start: StartRemoteUploadRequest) {
    let all = |seen: &Seen| Stand::received(seen, &id, start.file_size).is_some();
    if id != "u-1" {
        stand.ask(&id, 0, 0, false);
        stand.until(all).await;
        return stand.finish(&id, &start);
    }
    stand.ask(&id, 0, 1000, false);
    let mut channels = 1;
    loop {
        let more = |seen: &Seen| seen.devices.len() > channels;
        let over = |seen: &Seen| all(seen) || !seen.controls.is_empty();
        stand.until(|seen| more(seen) || over(seen)).await;
        if over(&stand.seen()) {
            break;
        }
        channels = stand.seen().devices.len();
        stand.ask(&id, 1000, 0, false);
    }
    if all(&stand.seen()) {
        stand.finish(&id, &start);
    }
}

#[tokio::test]
async fn an_upload_goes_on_in_the_next_run() {
    let stand = Stand::start(half_first).await;
    let content = Sample::new(2000).knowing(Kind::Sha1, Origin::Computed);
    let desk = cut_off(&stand, &content).await;
    let Attempt::Hit { node, decided_by } = attempt(&desk, &content).await.unwrap() else {
        panic!("a miss");
    };
    assert_eq!((node.size, decided_by.len()), (2000, 0));
    let seen = stand.seen();
    assert_eq!(seen.starts.len(), 1);
    // The first half is not sent again.
    let sent: u64 = seen.data.iter().map(|piece| piece.length).sum();
    assert_eq!(sent, 2000);
}

#[tokio::test]
async fn another_content_does_not_go_on_with_it() {
    let stand = Stand::start(half_first).await;
    let first = Sample::new(2000).knowing(Kind::Sha1, Origin::Computed);
    let desk = cut_off(&stand, &first).await;
    let mut second = Sample::new(2000);
    second.told(Kind::Sha1, &"b".repeat(40), Origin::Computed);
    // Whether the file is what that hash says is found out by whoever verifies it.
    attempt(&desk, &second).await.unwrap();
    assert_eq!(cancelled(&stand), ["u-1"]);
    assert_eq!(stand.seen().starts.len(), 2);
}

#[tokio::test]
async fn what_nobody_wants_any_more_is_cancelled_in_the_next_run() {
    let stand = Stand::start(half_first).await;
    let content = Sample::new(2000).knowing(Kind::Sha1, Origin::Computed);
    let desk = cut_off(&stand, &content).await;
    let desk = desk.again_with(Pace {
        sweep: Duration::from_millis(10),
        ..PACE
    });
    let other = Sample::new(500);
    let conversation = Conversation::new(&other, ReadBudget::All);
    desk.drive
        .fast_upload(&request("other.bin", &other), &conversation)
        .await
        .unwrap();
    stand.until(|seen| !seen.controls.is_empty()).await;
    assert_eq!(cancelled(&stand), ["u-1"]);
}

#[tokio::test]
async fn without_a_channel_nothing_starts() {
    let stand = Stand::quiet().await;
    let desk = Desk::new(&stand);
    stand.fault(
        "RemoteUploadChannel",
        Fault::Instead(Status::permission_denied("allow_write")),
    );
    let error = fails(&desk, &Sample::new(10)).await;
    assert_eq!(error.kind, ErrorKind::Auth);
    assert_eq!(stand.count("StartRemoteUpload"), 0);
}
