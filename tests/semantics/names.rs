//! The tree, renames, removals.

use panfuse::sim::{Fault, FaultKind};
use panfuse::vfs::{Caller, ROOT};

use super::harness::{Rig, RigOptions};
use super::{outside, pattern, two, until};

// S-001, S-130
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn profiles_are_the_only_names_under_the_mount_point() {
    let rig = two().await;
    assert_eq!(rig.names("").await, ["ali", "ali-2", "here", "there"]);
    let control = rig.vfs.lookup(ROOT, ".panfuse").await.unwrap();
    let health = rig.vfs.lookup(control.ino, "health").await.unwrap();
    let opened = rig
        .vfs
        .open(health.ino, libc::O_RDONLY, &Caller::own())
        .unwrap();
    assert_eq!(
        &rig.vfs.read(opened.handle, 0, 10).await.unwrap()[..],
        b"ok\n"
    );
    let refused = rig.vfs.open(health.ino, libc::O_WRONLY, &Caller::own());
    assert_eq!(refused.unwrap_err().errno, libc::EPERM);
}

// S-002
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_changes_under_the_mount_point() {
    let rig = two().await;
    let vfs = &rig.vfs;
    let made = vfs
        .create(ROOT, "x", 0o644, libc::O_WRONLY, &Caller::own())
        .await;
    assert_eq!(made.unwrap_err().errno, libc::EPERM);
    assert_eq!(vfs.mkdir(ROOT, "x").await.unwrap_err().errno, libc::EPERM);
    assert_eq!(
        vfs.rmdir(ROOT, "here").await.unwrap_err().errno,
        libc::EPERM
    );
    assert_eq!(
        vfs.unlink(ROOT, "here").await.unwrap_err().errno,
        libc::EPERM
    );
    let renamed = vfs.rename((ROOT, "here"), (ROOT, "away"), 0).await;
    assert_eq!(renamed.unwrap_err().errno, libc::EPERM);
}

// S-004
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_too_long_is_refused() {
    let rig = two().await;
    let name = format!("here/{}", "x".repeat(256));
    assert_eq!(
        rig.put(&name, b"a").await.unwrap_err().errno,
        libc::ENAMETOOLONG
    );
    assert_eq!(
        rig.mkdir(&name).await.unwrap_err().errno,
        libc::ENAMETOOLONG
    );
    rig.mkdir(&format!("here/{}", "x".repeat(255)))
        .await
        .unwrap();
}

// S-026
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_is_made_before_mkdir_returns() {
    let rig = two().await;
    rig.mkdir("here/a").await.unwrap();
    assert!(outside(&rig, "here/a").is_dir());
    assert_eq!(rig.mkdir("here/a").await.unwrap_err().errno, libc::EEXIST);
}

// S-025
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_is_renewed_on_demand() {
    let rig = two().await;
    assert!(rig.names("here").await.is_empty());
    std::fs::write(outside(&rig, "here/new.txt"), b"new").unwrap();
    assert!(rig.names("here").await.is_empty());
    let here = rig.ino("here").await.unwrap();
    rig.vfs
        .setxattr(here, "user.pan.refresh", b"1")
        .await
        .unwrap();
    assert_eq!(rig.names("here").await, ["new.txt"]);
}

// S-023
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_directory_keeps_its_names() {
    let rig = two().await;
    rig.put("here/a", b"a").await.unwrap();
    let here = rig.ino("here").await.unwrap();
    let handle = rig.vfs.opendir(here).await.unwrap();
    rig.put("here/b", b"b").await.unwrap();
    let mut names = Vec::new();
    rig.vfs
        .readdir(handle, 0, |_, entry| {
            names.push(entry.name.clone());
            true
        })
        .unwrap();
    rig.vfs.releasedir(handle);
    assert_eq!(names, ["a"]);
    assert_eq!(rig.names("here").await, ["a", "b"]);
}

// S-021
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listed_directory_is_shown_after_a_restart_without_a_call() {
    let mut rig = two().await;
    rig.seed("ali", "/a.txt", 10, 1);
    assert_eq!(rig.names("ali").await, ["a.txt"]);
    rig.vfs.engine().catalog().flush();
    rig.restart().await;
    let before = rig.stat("ali").requests;
    assert_eq!(rig.names("ali").await, ["a.txt"]);
    assert_eq!(rig.stat("ali").requests, before);
}

// S-100, S-102
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rename_is_done_when_it_returns_and_keeps_its_flags() {
    let rig = two().await;
    std::fs::write(outside(&rig, "here/a"), b"one").unwrap();
    std::fs::write(outside(&rig, "here/b"), b"two").unwrap();
    rig.rename("here/a", "here/c").await.unwrap();
    assert!(outside(&rig, "here/c").exists() && !outside(&rig, "here/a").exists());
    let here = rig.ino("here").await.unwrap();
    let refused = rig
        .vfs
        .rename((here, "b"), (here, "c"), libc::RENAME_NOREPLACE)
        .await;
    assert_eq!(refused.unwrap_err().errno, libc::EEXIST);
    let refused = rig
        .vfs
        .rename((here, "b"), (here, "c"), libc::RENAME_EXCHANGE)
        .await;
    assert_eq!(refused.unwrap_err().errno, libc::EINVAL);
    rig.rename("here/b", "here/c").await.unwrap();
    assert_eq!(rig.names("here").await, ["c"]);
    assert_eq!(std::fs::read(outside(&rig, "here/c")).unwrap(), b"two");
}

// S-101
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rename_across_profiles_is_refused() {
    let rig = two().await;
    rig.put("here/a", b"a").await.unwrap();
    let refused = rig.rename("here/a", "there/a").await;
    assert_eq!(refused.unwrap_err().errno, libc::EXDEV);
    assert_eq!(rig.names("here").await, ["a"]);
}

// S-103
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_still_written_is_renamed_here() {
    let rig = two().await;
    let handle = rig.create("here/a").await.unwrap();
    rig.vfs.write(handle, 0, b"text").await.unwrap();
    rig.rename("here/a", "here/b").await.unwrap();
    rig.vfs.flush(handle, &Caller::own()).await.unwrap();
    rig.vfs.release(handle);
    rig.settle().await;
    assert_eq!(rig.names("here").await, ["b"]);
    assert_eq!(std::fs::read(outside(&rig, "here/b")).unwrap(), b"text");
    assert!(!outside(&rig, "here/a").exists());
}

// S-105
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renames_that_make_no_sense_say_why() {
    let rig = two().await;
    rig.mkdir("here/dir").await.unwrap();
    rig.mkdir("here/full").await.unwrap();
    rig.put("here/full/x", b"x").await.unwrap();
    rig.put("here/file", b"f").await.unwrap();
    rig.settle().await;
    let errno = |result: panfuse::vfs::FsResult<()>| result.unwrap_err().errno;
    assert_eq!(
        errno(rig.rename("here/dir", "here/dir/in").await),
        libc::EINVAL
    );
    assert_eq!(
        errno(rig.rename("here/dir", "here/full").await),
        libc::ENOTEMPTY
    );
    assert_eq!(
        errno(rig.rename("here/dir", "here/file").await),
        libc::ENOTDIR
    );
    assert_eq!(
        errno(rig.rename("here/file", "here/dir").await),
        libc::EISDIR
    );
}

// S-110
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_file_is_hidden_at_once_and_ends_in_the_trash() {
    let rig = two().await;
    std::fs::write(outside(&rig, "here/a"), b"precious").unwrap();
    rig.rm("here/a").await.unwrap();
    assert!(rig.names("here").await.is_empty());
    rig.settle().await;
    assert!(!outside(&rig, "here/a").exists());
    let mut kept = Vec::new();
    for slot in std::fs::read_dir(outside(&rig, "here/.panfuse-trash")).unwrap() {
        let file = slot.unwrap().path().join("a");
        if file.exists() {
            kept.push(std::fs::read(file).unwrap());
        }
    }
    assert_eq!(kept, [b"precious"]);
}

// S-112
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_somebody_changed_meanwhile_is_not_trashed() {
    let rig = two().await;
    std::fs::write(outside(&rig, "here/a"), b"old").unwrap();
    rig.rm("here/a").await.unwrap();
    std::fs::write(outside(&rig, "here/a"), b"changed by somebody").unwrap();
    rig.settle().await;
    assert_eq!(
        std::fs::read(outside(&rig, "here/a")).unwrap(),
        b"changed by somebody"
    );
}

// S-113
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rmdir_looks_again_before_it_removes() {
    let rig = two().await;
    rig.mkdir("here/dir").await.unwrap();
    assert!(rig.names("here/dir").await.is_empty());
    std::fs::write(outside(&rig, "here/dir/stranger"), b"x").unwrap();
    assert_eq!(
        rig.rmdir("here/dir").await.unwrap_err().errno,
        libc::ENOTEMPTY
    );
    assert!(outside(&rig, "here/dir/stranger").exists());
    assert_eq!(rig.names("here/dir").await, ["stranger"]);
}

// S-092
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_created_again_replaces_the_file_it_had() {
    let rig = two().await;
    std::fs::write(outside(&rig, "here/a"), b"old").unwrap();
    rig.rm("here/a").await.unwrap();
    rig.put("here/a", b"new content").await.unwrap();
    rig.settle().await;
    assert_eq!(rig.names("here").await, ["a"]);
    assert_eq!(
        std::fs::read(outside(&rig, "here/a")).unwrap(),
        b"new content"
    );
}

// S-104
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rename_that_the_provider_cannot_do_becomes_a_copy() {
    let rig = Rig::with(&["115_open"], &[], RigOptions::default()).await;
    rig.seed("115", "/d/notes.txt", 5000, 1);
    let stored = rig.world.read("115", "/d/notes.txt", 0, 5000).unwrap();
    let before = rig.xattr("115/d/notes.txt", "user.pan.file_id").await;
    rig.rename("115/d/notes.txt", "115/d/notes.md")
        .await
        .unwrap();
    // This provider keeps a name's extension, so it is a node of its own.
    let after = rig.xattr("115/d/notes.md", "user.pan.file_id").await;
    assert_ne!(before.clone().unwrap(), after.unwrap());
    assert_eq!(rig.files("115"), ["/d/notes.md"]);
    assert_eq!(rig.names("115/d").await, ["notes.md"]);
    assert_eq!(rig.get("115/d/notes.md").await.unwrap(), stored);
    assert_eq!(rig.stat("115").bytes_up, 0);
    let tree = rig.world.tree("115").unwrap();
    let old = tree["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["id"] == before.clone().unwrap())
        .unwrap();
    assert_eq!(old["trashed"], true);
}

// S-114
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_of_parked_files_goes_after_them() {
    let rig = Rig::with(&["aliyundrive_open"], &["here"], RigOptions::default()).await;
    std::fs::create_dir(outside(&rig, "here/d")).unwrap();
    std::fs::write(outside(&rig, "here/d/f"), pattern(6000)).unwrap();
    let fails = Fault::always("upload_part", FaultKind::Status, "500");
    rig.world.fault("ali", fails).unwrap();
    // The copy is promised; its source must stay until it is kept.
    rig.cp("here/d/f", "ali/f").await.unwrap();
    rig.rm("here/d/f").await.unwrap();
    rig.rmdir("here/d").await.unwrap();
    let here = rig.ino("here").await.unwrap();
    rig.vfs.refresh(here, false).await.unwrap();
    assert!(rig.names("here").await.is_empty());
    assert!(outside(&rig, "here/d/f").exists(), "the only copy is gone");
    rig.world.reset("ali").unwrap();
    until("the removal of the directory", async || {
        for task in rig.vfs.engine().tasks() {
            rig.vfs.engine().retry(&task);
        }
        !outside(&rig, "here/d").exists()
    })
    .await;
    assert_eq!(rig.files("ali"), ["/f"]);
    let mut kept = Vec::new();
    for slot in std::fs::read_dir(outside(&rig, "here/.panfuse-trash")).unwrap() {
        for entry in std::fs::read_dir(slot.unwrap().path())
            .into_iter()
            .flatten()
        {
            kept.push(entry.unwrap().file_name().into_string().unwrap());
        }
    }
    assert!(
        kept.contains(&"d".to_owned()) && kept.contains(&"f".to_owned()),
        "{kept:?}"
    );
}
