//! What is refused to protect a person, and how a person says that it was meant.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use panfuse::config::ConflictPolicy;
use panfuse::guard::GuardSettings;
use panfuse::vfs::{Caller, Changes, Close, FsResult, SetAttr};

use super::harness::{Rig, RigOptions};
use super::{outside, two};

const LOCALS: &[&str] = &["here", "there"];

/// Two directories of this machine with these guards; a close waits for them.
async fn guarded(guards: GuardSettings) -> Rig {
    let options = RigOptions {
        close: Close::Wait,
        guards,
        ..RigOptions::default()
    };
    Rig::with(&["aliyundrive_open"], LOCALS, options).await
}

async fn deletes(limit: u64) -> Rig {
    guarded(GuardSettings {
        deletes_per_minute: limit,
        ..GuardSettings::default()
    })
    .await
}

async fn conflict(conflict: ConflictPolicy) -> Rig {
    guarded(GuardSettings {
        conflict,
        ..GuardSettings::default()
    })
    .await
}

fn errno<T: std::fmt::Debug>(result: FsResult<T>) -> i32 {
    result.unwrap_err().errno
}

fn content(rig: &Rig, path: &str) -> String {
    std::fs::read_to_string(outside(rig, path)).unwrap_or_else(|error| error.kind().to_string())
}

async fn set(rig: &Rig, path: &str, name: &str, value: &str) -> FsResult<()> {
    let ino = rig.ino(path).await?;
    rig.vfs.setxattr(ino, name, value.as_bytes()).await
}

// S-160, S-161
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mass_delete_is_stopped_until_it_is_approved() {
    let mut rig = deletes(4).await;
    for number in 0..8 {
        std::fs::write(outside(&rig, &format!("here/{number}")), b"x").unwrap();
    }
    rig.mkdir("here/d").await.unwrap();
    // What fails, and what was never closed, does not count.
    for _ in 0..5 {
        assert_eq!(errno(rig.rm("here/none").await), libc::ENOENT);
        let handle = rig.create("here/new").await.unwrap();
        rig.rm("here/new").await.unwrap();
        rig.vfs.release(handle);
    }
    rig.rm("here/0").await.unwrap();
    rig.rm("here/1").await.unwrap();
    rig.rmdir("here/d").await.unwrap();
    assert_eq!(errno(rig.rm("here/2").await), libc::EBUSY);
    assert_eq!(errno(rig.rmdir("here/2").await), libc::ENOTDIR);
    assert_eq!(errno(rig.rm("here/3").await), libc::EBUSY);
    rig.settle().await;
    assert!(!outside(&rig, "here/0").exists());
    assert!(outside(&rig, "here/2").exists());

    rig.restart().await;
    assert_eq!(errno(rig.rm("here/2").await), libc::EBUSY);
    let shown = rig.vfs.status()["guards"]["deletes"].clone();
    assert_eq!(
        (&shown["open"], &shown["refused"]),
        (&true.into(), &3.into())
    );
    let hint = shown["hint"].as_str().unwrap_or_default();
    assert!(hint.contains("panfuse approve deletes"), "{hint}");

    assert_eq!(
        errno(set(&rig, "here", "user.pan.approve", "all").await),
        libc::EINVAL
    );
    set(&rig, "here", "user.pan.approve", "deletes")
        .await
        .unwrap();
    for number in 2..8 {
        rig.rm(&format!("here/{number}")).await.unwrap();
    }
    assert_eq!(rig.vfs.status()["guards"]["deletes"]["open"], false);
}

// S-161
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mount_point_takes_the_approval_too() {
    let rig = deletes(1).await;
    std::fs::write(outside(&rig, "here/a"), b"x").unwrap();
    assert_eq!(errno(rig.rm("here/a").await), libc::EBUSY);
    set(&rig, "", "user.pan.approve", "deletes").await.unwrap();
    rig.rm("here/a").await.unwrap();
}

// S-160
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_of_many_files_is_no_mass_delete() {
    let rig = deletes(3).await;
    rig.mkdir("here/d").await.unwrap();
    rig.mkdir("here/d/e").await.unwrap();
    for number in 0..6 {
        std::fs::write(outside(&rig, &format!("here/d/e/{number}")), b"content").unwrap();
        rig.vfs
            .refresh(rig.ino("here/d/e").await.unwrap(), false)
            .await
            .unwrap();
        rig.cp(&format!("here/d/e/{number}"), &format!("there/{number}"))
            .await
            .unwrap();
    }
    for number in 0..6 {
        rig.rm(&format!("here/d/e/{number}")).await.unwrap();
    }
    rig.rmdir("here/d/e").await.unwrap();
    rig.rmdir("here/d").await.unwrap();
    assert_eq!(rig.vfs.status()["guards"]["deletes"]["inLastMinute"], 0);
    // What was not copied counts.
    rig.rm("there/0").await.unwrap();
    rig.rm("there/1").await.unwrap();
    assert_eq!(errno(rig.rm("there/2").await), libc::EBUSY);
}

// S-162, S-163, S-164
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_stream_waits_for_its_approval_and_a_cap_does_not() {
    let rig = guarded(GuardSettings {
        fallback_cap: Some(3 << 20),
        ..GuardSettings::default()
    })
    .await;
    std::fs::write(outside(&rig, "here/two"), vec![7; 2 << 20]).unwrap();
    std::fs::write(outside(&rig, "here/four"), vec![8; 4 << 20]).unwrap();
    rig.mkdir("ali/d").await.unwrap();
    rig.mkdir("ali/d/e").await.unwrap();
    set(&rig, "ali/d", "user.pan.threshold_mb", "1")
        .await
        .unwrap();
    assert_eq!(errno(rig.cp("here/two", "ali/d/e/two").await), libc::EFBIG);
    assert!(rig.names("ali/d/e").await.is_empty());
    assert_eq!(rig.stat("ali").bytes_up, 0);
    let plan = rig.xattr("here/two", "user.pan.plan.ali").await.unwrap();
    assert!(!plan.contains("pending_manual"), "{plan}");
    let ino = rig.ino("here/two").await.unwrap();
    let plan = rig.vfs.plan_copy(ino, "ali/d/e").unwrap();
    assert_eq!(plan.reason_code, "fallback_available_but_deferred");

    // One name, which does not exist, and nothing else.
    let approved = rig.vfs.approve_path("/ali/d/e/two").await.unwrap();
    assert_eq!(
        (approved.approved, approved.path.as_str()),
        ("threshold", "/ali/d/e/two")
    );
    assert_eq!(
        errno(rig.cp("here/two", "ali/d/e/other").await),
        libc::EFBIG
    );
    rig.cp("here/two", "ali/d/e/two").await.unwrap();
    set(&rig, "ali/d", "user.pan.approve", "threshold")
        .await
        .unwrap();
    let approvals = rig.vfs.status()["guards"]["approvals"].clone();
    assert_eq!(approvals[1]["path"], "/ali/d");
    // The cap is not lifted, also where nothing else is set.
    for target in ["ali/d/four", "ali/four"] {
        assert_eq!(errno(rig.cp("here/four", target).await), libc::EFBIG);
    }
    assert_eq!(
        errno(rig.vfs.approve_path("/ali/none/x").await),
        libc::ENOENT
    );
    // What a program writes is not streamed between drives.
    rig.put("ali/d/written", &vec![9; 4 << 20]).await.unwrap();
}

// S-164
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_holds_for_a_directory_and_below() {
    let mut rig = two().await;
    rig.mkdir("here/d").await.unwrap();
    rig.mkdir("here/d/e").await.unwrap();
    let name = "user.pan.conflict_policy";
    set(&rig, "here/d", name, "fail").await.unwrap();
    rig.rename("here/d", "here/renamed").await.unwrap();
    rig.restart().await;
    rig.put("here/renamed/e/f", b"x").await.unwrap();
    for path in ["here/renamed", "here/renamed/e", "here/renamed/e/f"] {
        assert_eq!(rig.xattr(path, name).await.unwrap(), "fail", "{path}");
    }
    assert_eq!(rig.xattr("here", name).await.unwrap(), "overwrite_existing");
    let threshold = "user.pan.threshold_mb";
    assert_eq!(rig.xattr("here", threshold).await.unwrap(), "none");
    // Not copied along by `cp -a`.
    let ino = rig.ino("here/renamed").await.unwrap();
    assert!(rig.vfs.listxattr(ino).unwrap().is_empty());

    for (path, name, value, expected) in [
        ("here", name, "replace", libc::EINVAL),
        ("here", threshold, "much", libc::EINVAL),
        ("here/renamed/e/f", name, "fail", libc::ENOTDIR),
        ("", name, "fail", libc::EPERM),
    ] {
        assert_eq!(errno(set(&rig, path, name, value).await), expected);
    }
    let below = rig.ino("here/renamed/e").await.unwrap();
    assert_eq!(errno(rig.vfs.removexattr(below, name)), libc::ENODATA);
    rig.vfs.removexattr(ino, name).unwrap();
    assert_eq!(
        rig.xattr("here/renamed/e", name).await.unwrap(),
        "overwrite_existing"
    );
}

// S-165
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_fail_a_file_in_the_way_is_kept() {
    let rig = conflict(ConflictPolicy::Fail).await;
    rig.put("here/a", b"old").await.unwrap();
    rig.put("there/b", b"new").await.unwrap();
    assert_eq!(errno(rig.put("here/a", b"new").await), libc::EEXIST);
    assert_eq!(errno(rig.cp("there/b", "here/a").await), libc::EEXIST);
    rig.put("here/c", b"new").await.unwrap();
    assert_eq!(errno(rig.rename("here/c", "here/a").await), libc::EEXIST);
    // `mv` would remove the old file itself after EXDEV.
    assert_eq!(errno(rig.rename("there/b", "here/a").await), libc::EEXIST);
    assert_eq!(errno(rig.rename("there/b", "here/free").await), libc::EXDEV);
    rig.settle().await;
    assert_eq!(content(&rig, "here/a"), "old");
    // Nothing is in the way of an empty file, of a removed one, and of a change in place.
    rig.put("here/empty", b"").await.unwrap();
    rig.settle().await;
    rig.put("here/empty", b"full").await.unwrap();
    let ino = rig.ino("here/a").await.unwrap();
    let flags = libc::O_WRONLY | libc::O_APPEND;
    let handle = rig.vfs.open(ino, flags, &Caller::own()).unwrap().handle;
    rig.vfs.write(handle, 0, b"er").await.unwrap();
    rig.vfs.flush(handle, &Caller::own()).await.unwrap();
    rig.vfs.release(handle);
    assert_eq!(content(&rig, "here/a"), "older");
    rig.rm("here/a").await.unwrap();
    rig.put("here/a", b"new").await.unwrap();
    rig.settle().await;
    assert_eq!(content(&rig, "here/a"), "new");
    assert_eq!(content(&rig, "here/empty"), "full");
}

// S-166
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_auto_rename_the_new_file_takes_a_free_name() {
    let rig = conflict(ConflictPolicy::AutoRenameNew).await;
    rig.put("here/a.tar.gz", b"old").await.unwrap();
    std::fs::write(outside(&rig, "there/b"), b"copied").unwrap();
    rig.put("here/a.tar.gz", b"written").await.unwrap();
    rig.cp("there/b", "here/a.tar.gz").await.unwrap();
    rig.settle().await;
    assert_eq!(
        rig.names("here").await,
        ["a.tar (1).gz", "a.tar (2).gz", "a.tar.gz"]
    );
    for (name, text) in [
        ("a.tar.gz", "old"),
        ("a.tar (1).gz", "written"),
        ("a.tar (2).gz", "copied"),
    ] {
        let path = format!("here/{name}");
        assert_eq!(content(&rig, &path), text);
        assert_eq!(rig.get(&path).await.unwrap(), text.as_bytes());
    }
    for (path, action) in [
        ("here/a.tar.gz", "no_conflict"),
        ("here/a.tar (1).gz", "auto_rename_new"),
        ("here/a.tar (2).gz", "auto_rename_new"),
    ] {
        let row = rig.transfer(path).await;
        assert_eq!(row.conflict_action, action, "{path}");
        assert_eq!(format!("here/{}", row.resolved_target_name), path);
    }
    // `mv` between profiles would remove the old file itself.
    assert_eq!(
        errno(rig.rename("there/b", "here/a.tar.gz").await),
        libc::EEXIST
    );
}

// S-166
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_new_file_is_written_the_old_one_is_whole() {
    let rig = conflict(ConflictPolicy::AutoRenameNew).await;
    rig.put("here/a", b"old").await.unwrap();
    let ino = rig.ino("here/a").await.unwrap();
    let before = rig.vfs.getattr(ino).unwrap();
    let handle = rig.create("here/a").await.unwrap();
    rig.vfs.write(handle, 0, b"the new one").await.unwrap();
    assert_eq!(rig.get("here/a").await.unwrap(), b"old");
    assert_eq!(rig.get("here/a (1)").await.unwrap(), b"the new one");
    // What `cp -p` sets on the file that it opened, and a truncation through the handle.
    let time = 1_500_000_000_000_000_000;
    let times = SetAttr {
        mtime_ns: Some(time),
        ..SetAttr::default()
    };
    let size = SetAttr {
        size: Some(7),
        handle: Some(handle),
        ..SetAttr::default()
    };
    rig.vfs.setattr(ino, size).await.unwrap();
    rig.vfs.setattr(ino, times).await.unwrap();
    rig.vfs.flush(handle, &Caller::own()).await.unwrap();
    rig.vfs.release(handle);
    assert_eq!(rig.vfs.getattr(ino).unwrap(), before);
    let beside = rig.ino("here/a (1)").await.unwrap();
    let new = rig.vfs.getattr(beside).unwrap();
    assert_eq!((new.size, new.mtime_ns), (7, time));
    // Closed: times are the old file's again.
    rig.vfs.setattr(ino, times).await.unwrap();
    assert_eq!(rig.vfs.getattr(ino).unwrap().mtime_ns, time);
    assert_eq!(content(&rig, "here/a"), "old");
}

// S-166
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_copy_leaves_no_name_behind() {
    let rig = guarded(GuardSettings {
        conflict: ConflictPolicy::AutoRenameNew,
        fallback_cap: Some(10),
        ..GuardSettings::default()
    })
    .await;
    rig.put("there/a", b"old").await.unwrap();
    rig.put("here/large", b"more than ten bytes").await.unwrap();
    assert_eq!(errno(rig.cp("here/large", "there/a").await), libc::EFBIG);
    assert_eq!(rig.names("there").await, ["a"]);
    assert_eq!(content(&rig, "there/a"), "old");
}

// S-166
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rename_onto_a_file_takes_a_free_name() {
    let rig = conflict(ConflictPolicy::AutoRenameNew).await;
    rig.put("here/a.txt", b"old").await.unwrap();
    rig.put("here/b", b"published").await.unwrap();
    rig.rename("here/b", "here/a.txt").await.unwrap();
    let row = rig.transfer("here/a (1).txt").await;
    assert_eq!(
        (
            row.conflict_action.as_str(),
            row.resolved_target_name.as_str()
        ),
        ("auto_rename_new", "a (1).txt")
    );
    // One that is not at its provider yet.
    let handle = rig.create("here/.new").await.unwrap();
    rig.vfs.write(handle, 0, b"written").await.unwrap();
    rig.rename("here/.new", "here/a.txt").await.unwrap();
    rig.vfs.flush(handle, &Caller::own()).await.unwrap();
    rig.vfs.release(handle);
    rig.settle().await;
    assert_eq!(rig.names("here").await, ["a (1).txt", "a (2).txt", "a.txt"]);
    assert_eq!(content(&rig, "here/a.txt"), "old");
    assert_eq!(content(&rig, "here/a (1).txt"), "published");
    assert_eq!(content(&rig, "here/a (2).txt"), "written");
    let row = rig.transfer("here/a (2).txt").await;
    assert_eq!(row.conflict_action, "auto_rename_new");
}

// S-167
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_editor_saves_by_a_rename_and_replaces() {
    let rig = conflict(ConflictPolicy::OverwriteExisting).await;
    rig.put("here/notes.txt", b"first").await.unwrap();
    for text in ["second", "third"] {
        rig.put("here/.notes.txt.swp", text.as_bytes())
            .await
            .unwrap();
        rig.rename("here/.notes.txt.swp", "here/notes.txt")
            .await
            .unwrap();
        assert_eq!(rig.get("here/notes.txt").await.unwrap(), text.as_bytes());
    }
    rig.put("here/notes.txt", b"fourth").await.unwrap();
    rig.settle().await;
    assert_eq!(rig.names("here").await, ["notes.txt"]);
    assert_eq!(content(&rig, "here/notes.txt"), "fourth");
}

/// What the kernel was told to forget.
#[derive(Default)]
struct Told(Mutex<Vec<(u64, String)>>);

impl Changes for Told {
    fn entry(&self, parent: u64, name: &str) {
        self.0.lock().unwrap().push((parent, name.to_owned()));
    }

    fn inode(&self, _ino: u64) {}
}

// S-168
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kernel_is_told_when_a_name_it_missed_appears() {
    let rig = two().await;
    let told = Arc::new(Told::default());
    rig.vfs.on_change(told.clone());
    let dir = rig.ino("here").await.unwrap();
    // Nothing is known of the directory yet.
    assert_eq!(rig.vfs.negative_ttl(dir), Duration::ZERO);
    assert_eq!(errno(rig.vfs.lookup(dir, "late").await), libc::ENOENT);
    assert_eq!(rig.vfs.negative_ttl(dir), rig.vfs.settings().negative_ttl);
    assert!(!rig.vfs.settings().negative_ttl.is_zero());
    std::fs::write(outside(&rig, "here/late"), b"x").unwrap();
    rig.vfs.refresh(dir, false).await.unwrap();
    assert_eq!(*told.0.lock().unwrap(), [(dir, "late".to_owned())]);
    rig.vfs.lookup(dir, "late").await.unwrap();
    // The control tree changes by itself.
    let control = rig
        .vfs
        .lookup(panfuse::vfs::ROOT, ".panfuse")
        .await
        .unwrap();
    assert_eq!(rig.vfs.negative_ttl(control.ino), Duration::ZERO);
}
