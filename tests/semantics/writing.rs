//! Creating and writing, and a stage that is full.

use std::time::Duration;

use panfuse::content::{Draft, Stage, StageNote};
use panfuse::vfs::{Caller, FsError};

use super::harness::{Rig, RigOptions};
use super::{outside, two};

// S-040
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creating_a_file_lists_its_directory_once_and_sends_nothing_else() {
    let rig = two().await;
    rig.seed("ali", "/old.txt", 10, 1);
    let dir = rig.ino("ali").await.unwrap();
    assert_eq!(rig.stat("ali").count("list"), 0);
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
    let create = async |name: &str| {
        let caller = Caller::own();
        let made = rig.vfs.create(dir, name, 0o644, flags, &caller).await;
        made.map(|(_, opened)| opened.handle)
    };
    let exists = create("old.txt").await;
    assert_eq!(exists.unwrap_err().errno, libc::EEXIST);
    let before = rig.stat("ali");
    assert_eq!(before.count("list"), 1);
    let changes = ["create", "upload_part", "complete", "update", "trash"];
    assert!(changes.iter().all(|op| before.count(op) == 0), "{before:?}");
    let mut handles = Vec::new();
    for name in ["one.txt", "two.txt"] {
        let handle = create(name).await.unwrap();
        rig.vfs.write(handle, 0, b"not sent yet").await.unwrap();
        handles.push(handle);
    }
    assert_eq!(rig.stat("ali").requests, before.requests);
    assert_eq!(rig.names("ali").await, ["old.txt", "one.txt", "two.txt"]);
    for handle in handles {
        rig.vfs.release(handle);
    }
    rig.settle().await;
    assert_eq!(rig.files("ali"), ["/old.txt", "/one.txt", "/two.txt"]);
}

// S-042
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appended_bytes_go_to_the_end_whatever_the_offset() {
    let rig = two().await;
    std::fs::write(outside(&rig, "here/log"), b"old ").unwrap();
    let ino = rig.ino("here/log").await.unwrap();
    let flags = libc::O_WRONLY | libc::O_APPEND;
    let open = || rig.vfs.open(ino, flags, &Caller::own()).unwrap().handle;
    let (one, other) = (open(), open());
    rig.vfs.write(one, 0, b"one ").await.unwrap();
    rig.vfs.write(other, 2, b"two ").await.unwrap();
    rig.vfs.write_now(one, 1000, b"three").unwrap().unwrap();
    assert_eq!(rig.get("here/log").await.unwrap(), b"old one two three");
    for handle in [one, other] {
        rig.vfs.flush(handle, &Caller::own()).await.unwrap();
        rig.vfs.release(handle);
    }
    rig.settle().await;
    let stored = std::fs::read(outside(&rig, "here/log")).unwrap();
    assert_eq!(stored, b"old one two three");
}

async fn with_stage(bytes: u64) -> Rig {
    let options = RigOptions {
        stage_budget: bytes,
        ..RigOptions::default()
    };
    Rig::with(&["aliyundrive_open"], &["here"], options).await
}

// S-043
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_waits_while_uploads_free_room_in_the_stage() {
    let rig = with_stage(1_000_000).await;
    let (one, other) = (
        rig.create("here/one").await.unwrap(),
        rig.create("here/other").await.unwrap(),
    );
    rig.vfs.write(one, 0, &vec![1; 700_000]).await.unwrap();
    let bytes = vec![2; 600_000];
    assert!(
        rig.vfs.write_now(other, 0, &bytes).is_none(),
        "there is room"
    );
    let upload = async {
        rig.vfs.flush(one, &Caller::own()).await.unwrap();
        rig.vfs.release(one);
    };
    let (written, ()) = tokio::join!(rig.vfs.write(other, 0, &bytes), upload);
    assert_eq!(written.unwrap(), 600_000);
    rig.vfs.flush(other, &Caller::own()).await.unwrap();
    rig.vfs.release(other);
    rig.settle().await;
    assert_eq!(
        std::fs::read(outside(&rig, "here/one")).unwrap(),
        vec![1; 700_000]
    );
    assert_eq!(std::fs::read(outside(&rig, "here/other")).unwrap(), bytes);
}

// S-043
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_alone_cannot_fit_is_refused_at_once() {
    let rig = with_stage(1_000_000).await;
    let handle = rig.create("here/large").await.unwrap();
    rig.vfs.write(handle, 0, &vec![1; 700_000]).await.unwrap();
    // Not a future: it cannot wait.
    let refused = rig.vfs.write_now(handle, 700_000, &vec![1; 400_000]);
    assert_eq!(refused.unwrap().unwrap_err().errno, libc::ENOSPC);
    rig.vfs.release(handle);
}

// S-043
#[tokio::test(start_paused = true)]
async fn a_writer_gives_up_when_nothing_was_freed_for_a_minute() {
    let dir = tempfile::tempdir().unwrap();
    let stage = Stage::open(dir.path(), 1000, 0).unwrap();
    let draft = || Draft::empty(stage.clone(), StageNote::default());
    let mut parts = Vec::new();
    for size in [500, 100, 400] {
        let part = draft();
        assert!(part.try_write(0, &vec![1; size]).unwrap());
        parts.push(part);
    }
    let large = parts.pop().unwrap();
    let small = parts.pop().unwrap();
    // A little is freed after 50 s and enough after 100 s: the minute begins anew.
    let free = async |draft: Draft| {
        tokio::time::sleep(Duration::from_secs(50)).await;
        draft.discard();
        drop(draft);
    };
    let frees = async {
        free(small).await;
        free(large).await;
    };
    let writer = draft();
    let (written, ()) = tokio::join!(writer.write(0, &[2; 450]), frees);
    written.unwrap();
    // Now nobody frees anything, and two that wait do not wake each other.
    let began = tokio::time::Instant::now();
    let (one, other) = (draft(), draft());
    let late = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        other.write(0, &[4; 800]).await
    };
    let (one, other) = tokio::join!(one.write(0, &[3; 900]), late);
    for refused in [one.unwrap_err(), other.unwrap_err()] {
        assert_eq!(FsError::from(refused).errno, libc::ENOSPC);
    }
    assert!(began.elapsed() >= Duration::from_secs(65), "of paused time");
}
