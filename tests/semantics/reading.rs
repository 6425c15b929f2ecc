//! How content is fetched, and which content a handle reads.

use std::time::Duration;

use panfuse::sim::{Fault, FaultKind};
use panfuse::vfs::Caller;

use super::harness::{Rig, RigOptions};
use super::{outside, pattern, two, until};

const BLOCK: u64 = 128 << 10;
const MIB: u64 = 1 << 20;

async fn open(rig: &Rig, path: &str) -> u64 {
    let ino = rig.ino(path).await.unwrap();
    let opened = rig.vfs.open(ino, libc::O_RDONLY, &Caller::own());
    opened.unwrap().handle
}

/// Content bytes that a profile has sent, once it sends no more.
async fn sent(rig: &Rig, profile: &str) -> u64 {
    let mut known = (rig.stat(profile).bytes_down, 0);
    until("the end of the traffic", async || {
        tokio::time::sleep(Duration::from_millis(80)).await;
        let now = rig.stat(profile).bytes_down;
        known = if now == known.0 {
            (now, known.1 + 1)
        } else {
            (now, 0)
        };
        known.1 == 10
    })
    .await;
    known.0
}

// S-032
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_byte_costs_one_aligned_block_and_costs_it_once() {
    let rig = two().await;
    rig.seed("ali", "/a.bin", 64 * MIB, 3);
    let handle = open(&rig, "ali/a.bin").await;
    let read = rig.vfs.read(handle, 300_000, 1).await.unwrap();
    assert_eq!(read, rig.world.read("ali", "/a.bin", 300_000, 1).unwrap());
    assert_eq!(sent(&rig, "ali").await, BLOCK);
    // Both ends of the block that 300,000 is in, through other handles.
    for at in [2 * BLOCK, 3 * BLOCK - 1] {
        let other = open(&rig, "ali/a.bin").await;
        let read = rig.vfs.read(other, at, 1).await.unwrap();
        assert_eq!(read, rig.world.read("ali", "/a.bin", at, 1).unwrap());
    }
    assert_eq!(sent(&rig, "ali").await, BLOCK);
    // A read across a border takes two blocks.
    let third = open(&rig, "ali/a.bin").await;
    let read = rig.vfs.read(third, 40 * MIB - 10, 20).await.unwrap();
    let stored = rig.world.read("ali", "/a.bin", 40 * MIB - 10, 20);
    assert_eq!(read, stored.unwrap());
    assert_eq!(sent(&rig, "ali").await, 3 * BLOCK);
}

// S-032
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_on_reads_ahead_and_a_seek_ends_that() {
    let rig = two().await;
    rig.seed("ali", "/a.bin", 64 * MIB, 3);
    let handle = open(&rig, "ali/a.bin").await;
    let mut at = 0;
    while at < 20 * MIB {
        let read = rig.vfs.read(handle, at, BLOCK).await.unwrap();
        assert_eq!(read, rig.world.read("ali", "/a.bin", at, BLOCK).unwrap());
        at += BLOCK;
    }
    let sequential = sent(&rig, "ali").await;
    assert!(sequential >= at + 4 * MIB, "{sequential} of {at}");
    assert!(sequential <= at + 16 * MIB + BLOCK, "{sequential} of {at}");
    rig.vfs.read(handle, 60 * MIB + 5, 1).await.unwrap();
    rig.vfs.read(handle, 50 * MIB + 5, 1).await.unwrap();
    assert_eq!(sent(&rig, "ali").await, sequential + 2 * BLOCK);
}

// S-034
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_being_copied_into_reads_as_its_source() {
    let rig = Rig::with(&["aliyundrive_open"], &["here"], RigOptions::default()).await;
    let bytes = pattern(9_000_000);
    std::fs::write(outside(&rig, "here/a.bin"), &bytes).unwrap();
    rig.world
        .fault("ali", Fault::always("upload_part", FaultKind::Stall, ""))
        .unwrap();
    let reading = async {
        until("the upload", async || {
            rig.stat("ali").count("upload_part") > 0
        })
        .await;
        let handle = open(&rig, "ali/copy.bin").await;
        let mut pieces = Vec::new();
        for at in [0, 1_000_001, 8_999_990] {
            pieces.push((at, rig.vfs.read(handle, at, 1000).await.unwrap()));
        }
        pieces
    };
    let pieces = tokio::select! {
        copied = rig.cp("here/a.bin", "ali/copy.bin") => panic!("the copy ended: {copied:?}"),
        pieces = reading => pieces,
    };
    assert_eq!(rig.uploads("ali"), 1, "it is still being uploaded");
    for (at, piece) in pieces {
        let at = at as usize;
        assert_eq!(piece, bytes[at..bytes.len().min(at + 1000)]);
    }
}

// S-036
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_reads_the_version_that_the_file_has_now() {
    let rig = two().await;
    std::fs::write(outside(&rig, "here/a"), b"the first version").unwrap();
    let handle = open(&rig, "here/a").await;
    let read = async || rig.vfs.read(handle, 0, 100).await.unwrap();
    assert_eq!(read().await, b"the first version"[..]);
    // Changed by somebody else, and noticed by a listing.
    std::fs::write(outside(&rig, "here/a"), b"somebody's version").unwrap();
    let here = rig.ino("here").await.unwrap();
    rig.vfs.refresh(here, false).await.unwrap();
    assert_eq!(read().await, b"somebody's version"[..]);
    // Changed here.
    rig.put("here/a", b"ours").await.unwrap();
    assert_eq!(read().await, b"ours"[..]);
    rig.settle().await;
    assert_eq!(read().await, b"ours"[..]);
}

// S-037
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_somebody_changed_is_read_as_it_is_now() {
    let rig = two().await;
    std::fs::write(outside(&rig, "here/a"), b"the first version").unwrap();
    rig.names("here").await;
    // As long as before: whoever begins to read gets it.
    std::fs::write(outside(&rig, "here/a"), b"a later version! ").unwrap();
    let handle = open(&rig, "here/a").await;
    let read = async |handle| rig.vfs.read(handle, 0, 100).await;
    assert_eq!(read(handle).await.unwrap(), b"a later version! "[..]);
    // Not who has read a part of the old one already; the next one does.
    std::fs::write(outside(&rig, "here/a"), pattern(300_000)).unwrap();
    let here = rig.ino("here").await.unwrap();
    rig.vfs.refresh(here, false).await.unwrap();
    let half = open(&rig, "here/a").await;
    rig.vfs.read(half, 0, 10).await.unwrap();
    let other: Vec<u8> = pattern(300_000).into_iter().rev().collect();
    std::fs::write(outside(&rig, "here/a"), &other).unwrap();
    rig.vfs.read(half, 290_000, 10).await.unwrap_err();
    let whole = open(&rig, "here/a").await;
    let bytes = rig.vfs.read(whole, 290_000, 10).await.unwrap();
    assert_eq!(bytes, other[290_000..290_010]);
    // Another size is another file to the kernel.
    std::fs::write(outside(&rig, "here/a"), b"short").unwrap();
    let early = open(&rig, "here/a").await;
    read(early).await.unwrap_err();
    let next = open(&rig, "here/a").await;
    assert_eq!(read(next).await.unwrap(), b"short"[..]);
    // And one that was removed is not shown any more.
    std::fs::write(outside(&rig, "here/b"), b"soon gone").unwrap();
    rig.vfs.refresh(here, false).await.unwrap();
    let gone = open(&rig, "here/b").await;
    std::fs::remove_file(outside(&rig, "here/b")).unwrap();
    read(gone).await.unwrap_err();
    assert_eq!(rig.names("here").await, ["a"]);
}
