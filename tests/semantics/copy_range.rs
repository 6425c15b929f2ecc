//! What a request to copy a range means.

use panfuse::sim::{Fault, FaultKind};
use panfuse::vfs::Caller;

use super::harness::{Rig, RigOptions};
use super::{outside, pattern, two, until};

async fn open(rig: &Rig, path: &str) -> u64 {
    let ino = rig.ino(path).await.unwrap();
    let opened = rig.vfs.open(ino, libc::O_RDONLY, &Caller::own());
    opened.unwrap().handle
}

// S-070
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_file_into_an_empty_one_is_one_question_at_once() {
    let rig = two().await;
    let size = 30_000_000;
    rig.seed("ali", "/a.bin", size, 9);
    let source = open(&rig, "ali/a.bin").await;
    let target = rig.create("ali-2/b.bin").await.unwrap();
    assert_eq!(rig.stat("ali-2").count("create"), 0);
    let caller = Caller::own();
    let mut copied = 0;
    while copied < size {
        let asked = rig
            .vfs
            .copy_range((source, copied), (target, copied), size - copied, &caller);
        copied += asked.await.unwrap();
    }
    // Neither a flush nor a close was needed.
    let stat = rig.stat("ali-2");
    assert_eq!(
        (stat.rapid_hits, stat.rapid_misses, stat.bytes_up),
        (1, 0, 0)
    );
    assert_eq!(rig.files("ali-2"), ["/b.bin"]);
    rig.vfs.flush(target, &caller).await.unwrap();
    rig.vfs.release(target);
    assert_eq!(rig.stat("ali-2").rapid_hits, 1);
}

// S-079
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_whose_program_was_killed_leaves_nothing() {
    let rig = Rig::with(&["aliyundrive_open"], &["here"], RigOptions::default()).await;
    let size = 6_000_000;
    std::fs::write(outside(&rig, "here/a.bin"), pattern(size as usize)).unwrap();
    rig.world
        .fault("ali", Fault::always("upload_part", FaultKind::Stall, ""))
        .unwrap();
    let mut program = std::process::Command::new("sleep")
        .arg("600")
        .spawn()
        .unwrap();
    let caller = Caller {
        pid: program.id(),
        uid: 0,
    };
    let source = open(&rig, "here/a.bin").await;
    let target = rig.create("ali/b.bin").await.unwrap();
    let copying = async {
        let mut copied = 0;
        loop {
            let left = size - copied;
            assert!(left > 0, "the last byte is not told before the end");
            let asked = rig
                .vfs
                .copy_range((source, copied), (target, copied), left, &caller);
            match asked.await {
                Ok(bytes) => copied += bytes,
                Err(error) => break error,
            }
        }
    };
    let killing = async {
        until("the upload", async || {
            rig.stat("ali").count("upload_part") > 0
        })
        .await;
        assert_eq!(rig.uploads("ali"), 1);
        program.kill().unwrap();
        program.wait().unwrap();
    };
    let (error, ()) = tokio::join!(copying, killing);
    assert_eq!(error.errno, libc::EINTR);
    rig.vfs.flush(target, &caller).await.unwrap_err();
    rig.vfs.release(target);
    assert!(rig.names("ali").await.is_empty());
    until("the clean-up", async || rig.uploads("ali") == 0).await;
    assert!(rig.files("ali").is_empty());
}

// S-081
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shorter_piece_is_a_reference_until_the_close() {
    let rig = two().await;
    rig.seed("ali", "/a.bin", 1_000_000, 3);
    let mut meant = rig
        .world
        .read("ali", "/a.bin", 0, 400_000)
        .unwrap()
        .to_vec();
    meant.extend_from_slice(b"and a tail");
    let source = open(&rig, "ali/a.bin").await;
    let target = rig.create("here/b").await.unwrap();
    let caller = Caller::own();
    for (at, length) in [(0, 300_000), (300_000, 100_000)] {
        let asked = rig
            .vfs
            .copy_range((source, at), (target, at), length, &caller);
        assert_eq!(asked.await.unwrap(), length);
    }
    rig.vfs.write(target, 400_000, b"and a tail").await.unwrap();
    assert_eq!(rig.stat("ali").bytes_down, 0);
    assert!(!outside(&rig, "here/b").exists());
    rig.vfs.flush(target, &caller).await.unwrap();
    // It is small, and its close waited all the same.
    assert!(std::fs::read(outside(&rig, "here/b")).unwrap() == meant);
    rig.vfs.release(target);
}

// S-082
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_two_profiles_show_is_not_copied_onto_itself() {
    let options = RigOptions {
        twins: &[("again", "ali")],
        ..RigOptions::default()
    };
    let rig = Rig::with(&["aliyundrive_open"], &[], options).await;
    rig.seed("ali", "/a.bin", 100_000, 3);
    assert_eq!(rig.names("ali").await, ["a.bin"]);
    assert_eq!(rig.names("again").await, ["a.bin"]);
    let tree = rig.world.tree("ali").unwrap();
    rig.cp("ali/a.bin", "again/a.bin").await.unwrap();
    rig.settle().await;
    assert_eq!(rig.world.tree("ali").unwrap(), tree);
    assert_eq!(rig.stat("ali").count("create"), 0);
    let stored = rig.world.read("ali", "/a.bin", 0, 100_000).unwrap();
    for path in ["ali/a.bin", "again/a.bin"] {
        assert!(rig.get(path).await.unwrap() == stored[..], "{path}");
    }
    // Through one profile it is the same file: the program notices that itself.
    let source = open(&rig, "ali/a.bin").await;
    let ino = rig.ino("ali/a.bin").await.unwrap();
    let caller = Caller::own();
    let target = rig.vfs.open(ino, libc::O_RDWR, &caller).unwrap().handle;
    let asked = rig
        .vfs
        .copy_range((source, 0), (target, 0), 100_000, &caller);
    assert_eq!(asked.await.unwrap_err().errno, libc::EOPNOTSUPP);
    rig.vfs.release(target);
    rig.settle().await;
    assert_eq!(rig.world.tree("ali").unwrap(), tree);
}

// S-082: the file was in the trash, and gone from both profiles.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mv_between_two_profiles_of_one_account_keeps_the_file() {
    let options = RigOptions {
        twins: &[("again", "ali")],
        ..RigOptions::default()
    };
    let rig = Rig::with(&["aliyundrive_open"], &[], options).await;
    rig.seed("ali", "/a.bin", 100_000, 3);
    assert_eq!(rig.names("ali").await, ["a.bin"]);
    assert_eq!(rig.names("again").await, ["a.bin"]);
    let tree = rig.world.tree("ali").unwrap();
    // What `mv` does when the target exists: it goes first, and the source goes last.
    rig.rm("again/a.bin").await.unwrap();
    rig.cp("ali/a.bin", "again/a.bin").await.unwrap();
    rig.rm("ali/a.bin").await.unwrap();
    rig.settle().await;
    assert_eq!(rig.world.tree("ali").unwrap(), tree);
    let stored = rig.world.read("ali", "/a.bin", 0, 100_000).unwrap();
    for path in ["ali/a.bin", "again/a.bin"] {
        assert!(rig.get(path).await.unwrap() == stored[..], "{path}");
    }
    // Removed once more it is meant.
    rig.rm("ali/a.bin").await.unwrap();
    rig.settle().await;
    assert_eq!(rig.world.tree("ali").unwrap()["items"][0]["trashed"], true);
}
