//! Fixed sequences that once went wrong, named after what a user saw.

use panfuse::vfs::Close;

use crate::generators::{Op, Piece};
use crate::harness;

fn bytes(length: u32, seed: u8) -> Vec<Piece> {
    vec![Piece { offset: 0, length, seed }]
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
    tokio::time::timeout(std::time::Duration::from_secs(60), engine.wait_idle(None)).await.unwrap();
    assert_eq!(engine.pending(), 0);
    both.finish().await.unwrap();
}
