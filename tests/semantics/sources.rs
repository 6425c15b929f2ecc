//! What a copy still needs is not deleted, whoever removes or replaces it.

use std::time::Duration;

use panfuse::vfs::{Caller, Close};

use super::controlled::{control_of, controlled};
use super::harness::{Rig, RigOptions};
use super::outside;

fn bytes(size: u32, seed: u32) -> Vec<u8> {
    let byte = |n: u32| (n.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 24) as u8;
    (0..size).map(byte).collect()
}

async fn rig() -> Rig {
    let options = RigOptions {
        close: Close::Wait,
        ..controlled()
    };
    Rig::with(&["aliyundrive_open"], &["here", "there"], options).await
}

/// What the profile has by live path.
fn stored(rig: &Rig, profile: &str, path: &str) -> Option<Vec<u8>> {
    if profile == "ali" {
        let read = rig.world.read("ali", &format!("/{path}"), 0, 100_000_000);
        return read.ok().map(|bytes| bytes.to_vec());
    }
    std::fs::read(outside(rig, &format!("{profile}/{path}"))).ok()
}

/// Names in the top of a profile, as the provider has them.
fn names(rig: &Rig, profile: &str) -> Vec<String> {
    if profile == "ali" {
        return rig.files("ali");
    }
    let entries = std::fs::read_dir(outside(rig, profile)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names
        .filter(|name| name != ".panfuse-trash")
        .map(|name| format!("/{name}"))
        .collect();
    names.sort();
    names
}

/// While `source` is copied to another drive another file is renamed over it.
async fn replaced_while_it_is_copied(profile: &str) {
    let rig = rig().await;
    let (old, new) = (bytes(6_000_000, 1), bytes(3_000_000, 2));
    let path = |name: &str| format!("{profile}/{name}");
    rig.put(&path("a.bin"), &old).await.unwrap();
    rig.put(&path("b.bin"), &new).await.unwrap();
    rig.settle().await;
    let target = control_of(&rig, "there");
    target.allow_uploads(false);
    let source = path("a.bin");
    let copying = rig.cp(&source, "there/copy.bin");
    let replacing = async {
        target.wants_upload.notified().await;
        rig.rename(&path("b.bin"), &path("a.bin")).await.unwrap();
        // The old file is out of sight and not in the trash.
        assert_eq!(rig.names(profile).await, ["a.bin"]);
        assert_eq!(names(&rig, profile).len(), 2);
        assert_eq!(rig.vfs.engine().parked(), 1);
        target.allow_uploads(true);
    };
    let (copied, ()) = tokio::join!(copying, replacing);
    copied.unwrap();
    rig.settle().await;
    assert!(stored(&rig, "there", "copy.bin").unwrap() == old);
    assert!(stored(&rig, profile, "a.bin").unwrap() == new);
    assert_eq!(names(&rig, profile), ["/a.bin"]);
    assert!(rig.get(&source).await.unwrap() == new);
}

// S-102, S-111
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_a_rename_replaces_is_copied_to_its_end_with_ids() {
    replaced_while_it_is_copied("ali").await;
}

// S-102, S-111
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_a_rename_replaces_is_copied_to_its_end_with_paths() {
    replaced_while_it_is_copied("here").await;
}

/// A file that is renamed while it is copied goes on being copied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_is_renamed_is_copied_to_its_end() {
    let rig = rig().await;
    let content = bytes(6_000_000, 1);
    rig.put("here/a.bin", &content).await.unwrap();
    let target = control_of(&rig, "there");
    target.allow_uploads(false);
    let copying = rig.cp("here/a.bin", "there/copy.bin");
    let renaming = async {
        target.wants_upload.notified().await;
        rig.rename("here/a.bin", "here/z.bin").await.unwrap();
        target.allow_uploads(true);
    };
    let (copied, ()) = tokio::join!(copying, renaming);
    copied.unwrap();
    rig.settle().await;
    assert!(stored(&rig, "there", "copy.bin").unwrap() == content);
    assert_eq!(names(&rig, "here"), ["/z.bin"]);
}

/// A copy over a file that is being copied itself does not take its bytes away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_is_written_over_is_copied_to_its_end() {
    // S-111
    let rig = rig().await;
    let (old, new) = (bytes(6_000_000, 1), bytes(50_000, 2));
    rig.put("here/a.bin", &old).await.unwrap();
    let target = control_of(&rig, "there");
    target.allow_uploads(false);
    let copying = rig.cp("here/a.bin", "there/copy.bin");
    let writing = async {
        target.wants_upload.notified().await;
        rig.put("here/a.bin", &new).await.unwrap();
        target.allow_uploads(true);
    };
    let (copied, ()) = tokio::join!(copying, writing);
    copied.unwrap();
    rig.settle().await;
    assert!(stored(&rig, "there", "copy.bin").unwrap() == old);
    assert!(stored(&rig, "here", "a.bin").unwrap() == new);
    assert_eq!(names(&rig, "here"), ["/a.bin"]);
}

/// A file of which half is in a draft of `there/half.bin`; returns the handle.
async fn half_copied(rig: &Rig, profile: &str, content: &[u8]) -> u64 {
    let source = format!("{profile}/src.bin");
    rig.put(&source, content).await.unwrap();
    rig.settle().await;
    let from = rig.ino(&source).await.unwrap();
    let caller = Caller::own();
    let from = rig.vfs.open(from, libc::O_RDONLY, &caller).unwrap().handle;
    let to = rig.create("there/half.bin").await.unwrap();
    let half = content.len() as u64 / 2;
    let copied = rig.vfs.copy_range((from, 0), (to, 0), half, &caller).await;
    assert_eq!(copied.unwrap(), half);
    rig.vfs.release(from);
    to
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

async fn removed_before_the_close(profile: &str) {
    let rig = rig().await;
    let content = bytes(900_000, 3);
    let to = half_copied(&rig, profile, &content).await;
    rig.rm(&format!("{profile}/src.bin")).await.unwrap();
    assert_eq!(rig.names(profile).await, Vec::<String>::new());
    // What is only held back goes now; this one must not.
    rig.vfs.engine().finish_all_holds().await;
    assert_eq!(names(&rig, profile), ["/src.bin"]);
    rig.vfs.flush(to, &Caller::own()).await.unwrap();
    rig.vfs.release(to);
    rig.settle().await;
    assert!(stored(&rig, "there", "half.bin").unwrap() == content[..450_000]);
    assert_eq!(names(&rig, profile), Vec::<String>::new());
}

// S-081, S-111
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_source_of_a_piece_stays_until_the_piece_is_there_with_ids() {
    removed_before_the_close("ali").await;
}

// S-081, S-111
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_source_of_a_piece_stays_until_the_piece_is_there_with_paths() {
    removed_before_the_close("here").await;
}

// S-111
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_source_goes_when_the_draft_that_needs_it_is_dropped() {
    let rig = rig().await;
    let to = half_copied(&rig, "here", &bytes(900_000, 3)).await;
    rig.rm("here/src.bin").await.unwrap();
    rig.vfs.engine().finish_all_holds().await;
    assert_eq!(names(&rig, "here"), ["/src.bin"]);
    rig.rm("there/half.bin").await.unwrap();
    rig.vfs.release(to);
    until("the source goes", || names(&rig, "here").is_empty()).await;
    assert_eq!(names(&rig, "there"), Vec::<String>::new());
}

// S-111, S-142
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_source_is_back_when_a_crash_took_the_draft_that_needs_it() {
    let mut rig = rig().await;
    let content = bytes(900_000, 3);
    half_copied(&rig, "here", &content).await;
    rig.rm("here/src.bin").await.unwrap();
    rig.restart().await;
    for _ in 0..1000 {
        if rig.names("here").await == ["src.bin"] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(rig.get("here/src.bin").await.unwrap() == content);
    assert_eq!(names(&rig, "there"), Vec::<String>::new());
}

// S-110
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_that_was_held_back_at_a_crash_is_done_at_the_next_start() {
    let mut rig = rig().await;
    rig.put("here/gone.txt", b"text").await.unwrap();
    rig.settle().await;
    rig.rm("here/gone.txt").await.unwrap();
    assert_eq!(names(&rig, "here"), ["/gone.txt"]);
    rig.restart().await;
    until("the file goes", || names(&rig, "here").is_empty()).await;
    assert_eq!(rig.names("here").await, Vec::<String>::new());
}
