//! Where a provider addresses by path the rename of a directory changes the ids of all that is
//! below it. What waits or runs there follows.

use std::time::Duration;

use panfuse::vfs::Close;

use super::controlled::{control_of, controlled};
use super::harness::{Rig, RigOptions};
use super::outside;

async fn rig(close: Close) -> Rig {
    let options = RigOptions {
        close,
        ..controlled()
    };
    Rig::with(&[], &["here", "there"], options).await
}

fn bytes(size: u32) -> Vec<u8> {
    let byte = |n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8;
    (0..size).map(byte).collect()
}

// S-100, S-110
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_that_is_held_back_follows_its_directory() {
    let rig = rig(Close::Wait).await;
    rig.mkdir("here/d").await.unwrap();
    rig.put("here/d/gone.txt", b"gone").await.unwrap();
    rig.put("here/d/stays.txt", b"stays").await.unwrap();
    rig.rm("here/d/gone.txt").await.unwrap();
    assert!(outside(&rig, "here/d/gone.txt").exists());
    rig.rename("here/d", "here/e").await.unwrap();
    assert_eq!(rig.names("here/e").await, ["stays.txt"]);
    rig.settle().await;
    assert!(!outside(&rig, "here/e/gone.txt").exists());
    assert!(outside(&rig, "here/e/stays.txt").exists());
}

// S-100, S-111
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_is_removed_and_copied_follows_its_directory() {
    let rig = rig(Close::Wait).await;
    let content = bytes(6_000_000);
    rig.mkdir("here/d").await.unwrap();
    rig.put("here/d/a.bin", &content).await.unwrap();
    let target = control_of(&rig, "there");
    target.allow_uploads(false);
    let copying = rig.cp("here/d/a.bin", "there/copy.bin");
    let renaming = async {
        target.wants_upload.notified().await;
        rig.rm("here/d/a.bin").await.unwrap();
        rig.rename("here/d", "here/e").await.unwrap();
        assert!(outside(&rig, "here/e/a.bin").exists(), "it is parked");
        assert_eq!(rig.names("here/e").await, Vec::<String>::new());
        target.allow_uploads(true);
    };
    let (copied, ()) = tokio::join!(copying, renaming);
    copied.unwrap();
    rig.settle().await;
    assert!(std::fs::read(outside(&rig, "there/copy.bin")).unwrap() == content);
    assert!(!outside(&rig, "here/e/a.bin").exists());
}

// S-085, S-100
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rename_of_a_directory_waits_for_the_upload_under_way_in_it() {
    let rig = rig(Close::Wait).await;
    let content = bytes(6_000_000);
    std::fs::write(outside(&rig, "there/a.bin"), &content).unwrap();
    rig.mkdir("here/d").await.unwrap();
    let target = control_of(&rig, "here");
    target.allow_uploads(false);
    let copying = rig.cp("there/a.bin", "here/d/copy.bin");
    let renaming = async {
        target.wants_upload.notified().await;
        let rename = rig.rename("here/d", "here/e");
        tokio::pin!(rename);
        let early = tokio::time::timeout(Duration::from_millis(300), &mut rename).await;
        assert!(early.is_err(), "it did not wait");
        target.allow_uploads(true);
        rename.await.unwrap();
    };
    let (copied, ()) = tokio::join!(copying, renaming);
    copied.unwrap();
    assert!(std::fs::read(outside(&rig, "here/e/copy.bin")).unwrap() == content);
    assert_eq!(rig.names("here/e").await, ["copy.bin"]);
}

// S-100, S-103
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queued_upload_lands_in_its_renamed_directory() {
    let rig = rig(Close::Queue).await;
    rig.mkdir("here/d").await.unwrap();
    // The name makes it wait for a rename first.
    rig.put("here/d/x.part", b"queued").await.unwrap();
    rig.rename("here/d", "here/e").await.unwrap();
    rig.settle().await;
    assert_eq!(
        std::fs::read(outside(&rig, "here/e/x.part")).unwrap(),
        b"queued"
    );
}

// S-100, S-140
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queued_upload_lands_in_its_renamed_directory_after_a_crash() {
    for cut in [None, Some(false), Some(true)] {
        let mut rig = rig(Close::Queue).await;
        rig.mkdir("here/d").await.unwrap();
        rig.put("here/d/gone.txt", b"gone").await.unwrap();
        rig.settle().await;
        rig.rm("here/d/gone.txt").await.unwrap();
        rig.put("here/d/x.part", b"queued").await.unwrap();
        let control = control_of(&rig, "here");
        if let Some(after) = cut {
            control.stand_still(0, after);
        }
        tokio::select! {
            () = control.stood_still.notified() => assert!(cut.is_some()),
            renamed = rig.rename("here/d", "here/e") => {
                renamed.unwrap();
                assert!(cut.is_none());
            }
        }
        rig.restart().await;
        rig.settle().await;
        let dir = if cut == Some(false) { "d" } else { "e" };
        let file = |name: &str| outside(&rig, &format!("here/{dir}/{name}"));
        for _ in 0..1000 {
            if file("x.part").exists() && !file("gone.txt").exists() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(std::fs::read(file("x.part")).unwrap(), b"queued", "{cut:?}");
        assert!(!file("gone.txt").exists(), "{cut:?}");
        let other = if cut == Some(false) { "e" } else { "d" };
        assert!(!outside(&rig, &format!("here/{other}")).exists(), "{cut:?}");
    }
}
