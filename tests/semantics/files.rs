//! Reading, writing, closing, copying.

use panfuse::vfs::{Caller, Close, SetAttr};

use super::harness::{Rig, RigOptions};
use super::{outside, two};

async fn with(close: Close) -> Rig {
    let options = RigOptions {
        close,
        ..RigOptions::default()
    };
    Rig::with(&["aliyundrive_open"], &["here", "there"], options).await
}

// S-030, S-031
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_fetches_nothing_and_reads_are_whole() {
    let rig = two().await;
    rig.seed("ali", "/a.bin", 1_000_000, 3);
    let ino = rig.ino("ali/a.bin").await.unwrap();
    let before = rig.stat("ali").requests;
    let handle = rig
        .vfs
        .open(ino, libc::O_RDONLY, &Caller::own())
        .unwrap()
        .handle;
    assert_eq!(rig.stat("ali").requests, before);
    let piece = rig.vfs.read(handle, 100_000, 500_000).await.unwrap();
    assert_eq!(piece.len(), 500_000);
    assert_eq!(
        piece,
        rig.world.read("ali", "/a.bin", 100_000, 500_000).unwrap()
    );
    assert_eq!(rig.vfs.read(handle, 999_990, 500).await.unwrap().len(), 10);
    assert!(
        rig.vfs
            .read(handle, 1_000_000, 500)
            .await
            .unwrap()
            .is_empty()
    );
    rig.vfs.release(handle);
}

// S-033, S-046, S-048
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_being_written_is_read_and_visible_here_only() {
    let rig = two().await;
    let handle = rig.create("here/a").await.unwrap();
    rig.vfs.write(handle, 4, b"tail").await.unwrap();
    assert_eq!(rig.get("here/a").await.unwrap(), b"\0\0\0\0tail");
    assert_eq!(rig.names("here").await, ["a"]);
    assert!(!outside(&rig, "here/a").exists());
    rig.vfs.release(handle);
}

// S-041, S-090
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_is_written_without_downloading_the_rest() {
    let rig = two().await;
    rig.seed("ali", "/a.bin", 1_000_000, 3);
    let ino = rig.ino("ali/a.bin").await.unwrap();
    let handle = rig
        .vfs
        .open(ino, libc::O_RDWR, &Caller::own())
        .unwrap()
        .handle;
    rig.vfs.write(handle, 10, b"HELLO").await.unwrap();
    assert_eq!(rig.stat("ali").bytes_down, 0);
    let mut meant = rig
        .world
        .read("ali", "/a.bin", 0, 1_000_000)
        .unwrap()
        .to_vec();
    rig.vfs.flush(handle, &Caller::own()).await.unwrap();
    rig.vfs.release(handle);
    rig.settle().await;
    meant[10..15].copy_from_slice(b"HELLO");
    assert!(rig.world.read("ali", "/a.bin", 0, 1_000_000).unwrap()[..] == meant[..]);
    assert_eq!(rig.files("ali"), ["/a.bin"]);
}

// S-044, S-045
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn truncation_leaves_the_old_file_until_the_new_one_is_there() {
    let rig = two().await;
    std::fs::write(outside(&rig, "here/a"), b"0123456789").unwrap();
    let handle = rig.create("here/a").await.unwrap();
    assert_eq!(
        std::fs::read(outside(&rig, "here/a")).unwrap(),
        b"0123456789"
    );
    rig.vfs.write(handle, 0, b"new").await.unwrap();
    rig.vfs.flush(handle, &Caller::own()).await.unwrap();
    rig.vfs.release(handle);
    rig.settle().await;
    assert_eq!(std::fs::read(outside(&rig, "here/a")).unwrap(), b"new");
    let ino = rig.ino("here/a").await.unwrap();
    let change = SetAttr {
        size: Some(2),
        ..SetAttr::default()
    };
    rig.vfs.setattr(ino, change).await.unwrap();
    assert_eq!(std::fs::read(outside(&rig, "here/a")).unwrap(), b"ne");
}

// S-047
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_file_is_made_too() {
    let rig = two().await;
    rig.put("here/empty", b"").await.unwrap();
    for _ in 0..500 {
        if outside(&rig, "here/empty").exists() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(
        std::fs::metadata(outside(&rig, "here/empty"))
            .unwrap()
            .len(),
        0
    );
}

// S-050
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_that_waits_returns_with_the_file_in_place() {
    let rig = with(Close::Wait).await;
    rig.put("here/a", b"text").await.unwrap();
    assert_eq!(std::fs::read(outside(&rig, "here/a")).unwrap(), b"text");
    assert!(rig.transfer("here/a").await.verify_ok);
}

// S-035, S-051, S-140
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_file_that_was_closed_survives_a_crash() {
    let mut rig = two().await;
    rig.mkdir("ali/d").await.unwrap();
    rig.vfs.engine().stop();
    rig.put("ali/d/a", b"promised").await.unwrap();
    assert_eq!(rig.get("ali/d/a").await.unwrap(), b"promised");
    rig.vfs.engine().catalog().flush();
    rig.restart().await;
    assert_eq!(rig.get("ali/d/a").await.unwrap(), b"promised");
    rig.settle().await;
    assert_eq!(rig.files("ali"), ["/d/a"]);
    assert_eq!(
        &rig.world.read("ali", "/d/a", 0, 8).unwrap()[..],
        b"promised"
    );
}

// S-056
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_version_wins() {
    let rig = with(Close::Queue).await;
    for number in 0..5u8 {
        rig.put("here/a", &[number; 100]).await.unwrap();
    }
    let settled = tokio::time::timeout(std::time::Duration::from_secs(60), rig.settle()).await;
    assert!(
        settled.is_ok(),
        "a transfer that was replaced is waited for in vain"
    );
    assert_eq!(std::fs::read(outside(&rig, "here/a")).unwrap(), [4; 100]);
    assert_eq!(rig.names("here").await, ["a"]);
}

// S-060
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fsync_of_a_small_file_brings_it_to_the_provider() {
    let rig = two().await;
    let handle = rig.create("here/a").await.unwrap();
    rig.vfs.write(handle, 0, b"text").await.unwrap();
    rig.vfs.fsync(handle, &Caller::own()).await.unwrap();
    assert_eq!(std::fs::read(outside(&rig, "here/a")).unwrap(), b"text");
    rig.vfs.release(handle);
}

// S-115
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_removed_while_it_is_written_is_not_published() {
    let rig = two().await;
    let handle = rig.create("here/a").await.unwrap();
    rig.vfs.write(handle, 0, b"text").await.unwrap();
    rig.rm("here/a").await.unwrap();
    let _ = rig.vfs.flush(handle, &Caller::own()).await;
    rig.vfs.release(handle);
    rig.settle().await;
    assert!(rig.names("here").await.is_empty());
    assert!(!outside(&rig, "here/a").exists());
}

// S-072, S-073, S-078, S-086
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_known_content_is_asked_for_and_not_moved() {
    let rig = two().await;
    rig.seed("ali", "/a.bin", 30_000_000, 9);
    rig.cp("ali/a.bin", "ali-2/b.bin").await.unwrap();
    let result = rig.transfer("ali-2/b.bin").await;
    assert_eq!(
        (result.strategy.as_str(), result.bytes_to_target),
        ("fast_upload", 0)
    );
    assert!(result.bytes_from_source <= 1 << 20);
    assert_eq!(result.source, "ali:/a.bin");
    assert_eq!(rig.stat("ali-2").bytes_up, 0);
}

// S-071
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn within_a_profile_the_provider_copies() {
    let rig = two().await;
    std::fs::write(outside(&rig, "here/a"), vec![7; 100_000]).unwrap();
    rig.cp("here/a", "here/b").await.unwrap();
    let result = rig.transfer("here/b").await;
    assert_eq!(result.strategy, "provider_copy");
    assert_eq!(result.bytes_to_target, 0);
    // Nothing is known of the content: samples of both sides were compared.
    assert!(result.verify_ok && result.bytes_from_source <= 256 << 10);
    assert_eq!(
        std::fs::read(outside(&rig, "here/b")).unwrap(),
        vec![7; 100_000]
    );
}

// S-084
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn above_the_threshold_only_questions_are_asked() {
    let options = RigOptions {
        threshold: Some(1000),
        ..RigOptions::default()
    };
    let rig = Rig::with(&["aliyundrive_open"], &["here"], options).await;
    std::fs::write(outside(&rig, "here/a"), vec![7; 5000]).unwrap();
    rig.seed("ali", "/known.bin", 5000, 4);
    let refused = rig.cp("here/a", "ali/a").await;
    assert_eq!(refused.unwrap_err().errno, libc::EFBIG);
    assert_eq!(rig.names("ali").await, ["known.bin"]);
    assert_eq!(rig.stat("ali").bytes_up, 0);
    rig.cp("ali/known.bin", "ali-2/known.bin").await.unwrap();
}

// S-087
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_writes_is_asked_for_at_its_close() {
    let rig = two().await;
    rig.seed("ali", "/a.bin", 6_000_000, 5);
    let bytes = rig.get("ali/a.bin").await.unwrap();
    rig.put("ali-2/b.bin", &bytes).await.unwrap();
    let result = rig.transfer("ali-2/b.bin").await;
    assert_eq!(
        (result.strategy.as_str(), format!("{:?}", result.phase)),
        ("fast_upload", "P3".to_owned())
    );
    assert_eq!(rig.stat("ali-2").bytes_up, 0);
}
