//! Fixed sequences that once went wrong, named after what a user saw.

use panfuse::vfs::Close;

use crate::generators::{Op, Piece};
use crate::harness;

fn bytes(length: u32, seed: u8) -> Vec<Piece> {
    vec![Piece {
        offset: 0,
        length,
        seed,
    }]
}

async fn holds(close: Close, ops: &[Op]) {
    if let Err(error) = harness::run(close, ops).await {
        panic!("{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_nobody_watches_is_seen_to_end() {
    let put = Op::Put("ali/a.txt".into(), bytes(3000, 1));
    let mut both = harness::Both::new(Close::Auto).await;
    both.step(&put).await.unwrap();
    // Nobody asks for the state while it changes.
    let engine = both.rig.vfs.engine().clone();
    while !engine.journaled().unwrap().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    tokio::time::timeout(std::time::Duration::from_secs(60), engine.wait_idle(None))
        .await
        .unwrap();
    assert_eq!(engine.pending(), 0);
    both.finish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_a_file_that_was_removed_is_no_error() {
    for close in [Close::Auto, Close::Wait] {
        let piece = Piece {
            offset: 0,
            length: 5000,
            seed: 3,
        };
        let ops = [
            Op::Open("ali/a.txt".into(), true, true),
            Op::WriteHandle(0, piece.clone()),
            Op::Unlink("ali/a.txt".into()),
            Op::ReadHandle(0, 0, 5000),
            Op::WriteHandle(
                0,
                Piece {
                    offset: 7000,
                    ..piece
                },
            ),
            Op::ReadHandle(0, 0, 20_000),
            Op::Close(0, true),
        ];
        holds(close, &ops).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_that_were_replaced_before_their_upload_leave_the_stage() {
    let ops: Vec<Op> = (0..6)
        .map(|round| Op::Put("ali/a.txt".into(), bytes(100_000 + round, round as u8)))
        .chain([
            Op::Put("ali/c".into(), bytes(4000, 9)),
            Op::Unlink("ali/c".into()),
        ])
        .collect();
    holds(Close::Auto, &ops).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_file_does_not_stay_on_a_local_drive_under_a_temporary_name() {
    let ops = [
        Op::Put("disk/a.txt".into(), bytes(3000, 1)),
        Op::Settle,
        Op::Put("disk/a.txt".into(), bytes(4000, 2)),
        Op::Put("disk/c".into(), bytes(5000, 3)),
        Op::Settle,
        Op::Rename("disk/a.txt".into(), "disk/c".into()),
    ];
    holds(Close::Auto, &ops).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_file_is_readable_after_it_was_removed_on_its_way() {
    let ops = [
        Op::Open("ali/a.txt".into(), true, true),
        Op::WriteHandle(
            0,
            Piece {
                offset: 0,
                length: 90_000,
                seed: 3,
            },
        ),
        Op::Open("ali/a.txt".into(), false, false),
        Op::Close(0, true),
        Op::Unlink("ali/a.txt".into()),
        Op::ReadHandle(0, 0, 90_000),
    ];
    holds(Close::Auto, &ops).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_file_that_was_removed_at_once_is_not_tried_for_ever() {
    for _ in 0..5 {
        let ops = [
            Op::Open("ali/c".into(), true, true),
            Op::Close(0, true),
            Op::Unlink("ali/c".into()),
        ];
        holds(Close::Auto, &ops).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_over_a_file_on_its_way_shows_the_copy() {
    let ops = [
        Op::Put("ali/a.txt".into(), bytes(9000, 1)),
        Op::Settle,
        Op::Put("ali-2/b.bin".into(), bytes(100_000, 2)),
        Op::Copy("ali/a.txt".into(), "ali-2/b.bin".into()),
        Op::Read("ali-2/b.bin".into(), 0, 200_000),
    ];
    holds(Close::Auto, &ops).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_moves_into_a_directory_that_has_both_its_names() {
    for profile in ["ali", "disk"] {
        let put = |path: &str, seed| Op::Put(format!("{profile}/{path}"), bytes(2000, seed));
        let ops = [
            put("d1/c", 1),
            put("d2/c", 2),
            put("d2/b.bin", 3),
            put("d1/b.bin", 4),
            Op::Settle,
            Op::Rename(format!("{profile}/d1/c"), format!("{profile}/d2/b.bin")),
            Op::Rename(format!("{profile}/d1/b.bin"), format!("{profile}/d2/a.txt")),
        ];
        holds(Close::Auto, &ops).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_file_does_not_come_back_when_its_successor_moves_on() {
    let ops = [
        Op::Put("ali/a.txt".into(), bytes(2000, 1)),
        Op::Put("ali/b.bin".into(), bytes(2000, 2)),
        Op::Settle,
        Op::Replace("ali/a.txt".into(), bytes(3000, 3)),
        Op::Rename("ali/a.txt".into(), "ali/b.bin".into()),
        Op::Refresh("ali".into()),
        Op::List("ali".into()),
    ];
    holds(Close::Auto, &ops).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_version_that_is_queued_late_does_not_win() {
    for close in [Close::Auto, Close::Wait] {
        let ops = [
            Op::Put("ali-2/d1/b.bin".into(), Vec::new()),
            Op::Put("ali-2/d1/b.bin".into(), bytes(13_815, 1)),
            Op::Put("ali-2/d1/b.bin".into(), Vec::new()),
            Op::Put("ali-2/d1/b.bin".into(), bytes(14_008, 2)),
            Op::Read("ali-2/d1/b.bin".into(), 0, 20_000),
        ];
        holds(close, &ops).await;
    }
}
