//! When written bytes become a file, and where they are when they do not.

use std::time::{Duration, Instant};

use panfuse::sim::{Fault, FaultKind};
use panfuse::vfs::{Caller, Close, ROOT};

use super::harness::{Rig, RigOptions};
use super::{outside, pattern, soon, two, until};

async fn with(close: Close) -> Rig {
    let options = RigOptions {
        close,
        ..RigOptions::default()
    };
    Rig::with(&["aliyundrive_open"], &["here"], options).await
}

/// Contents of `.panfuse/recovered/`, with the names of the files they were written to.
async fn recovered(rig: &Rig) -> Vec<(String, Vec<u8>)> {
    let control = rig.vfs.lookup(ROOT, ".panfuse").await.unwrap();
    let dir = rig.vfs.lookup(control.ino, "recovered").await.unwrap();
    let handle = rig.vfs.opendir(dir.ino).await.unwrap();
    let mut entries = Vec::new();
    rig.vfs
        .readdir(handle, 0, |_, entry| {
            entries.push(entry.clone());
            true
        })
        .unwrap();
    rig.vfs.releasedir(handle);
    let mut files = Vec::new();
    for entry in entries {
        let opened = rig.vfs.open(entry.ino, libc::O_RDONLY, &Caller::own());
        let handle = opened.unwrap().handle;
        let mut bytes = Vec::new();
        loop {
            let piece = rig.vfs.read(handle, bytes.len() as u64, 1 << 20).await;
            match piece.unwrap() {
                piece if piece.is_empty() => break,
                piece => bytes.extend_from_slice(&piece),
            }
        }
        rig.vfs.release(handle);
        let (_, name) = entry.name.split_once('-').unwrap();
        files.push((name.to_owned(), bytes));
    }
    files.sort();
    files
}

// S-052
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_queue_the_close_of_a_large_file_does_not_wait_and_it_survives() {
    let mut rig = with(Close::Queue).await;
    rig.mkdir("ali/d").await.unwrap();
    let bytes = pattern(6_000_000);
    // The directory was a question of this kind too.
    rig.world.reset("ali").unwrap();
    rig.world
        .fault("ali", Fault::always("create", FaultKind::Stall, ""))
        .unwrap();
    soon(rig.put("ali/d/a", &bytes)).await.unwrap();
    assert!(rig.files("ali").is_empty());
    assert!(rig.get("ali/d/a").await.unwrap() == bytes);
    // What the dead one has asked is never answered.
    until("the question", async || rig.stat("ali").count("create") > 0).await;
    rig.world.reset("ali").unwrap();
    rig.restart().await;
    assert_eq!(rig.names("ali/d").await, ["a"]);
    assert!(rig.get("ali/d/a").await.unwrap() == bytes);
    rig.settle().await;
    assert_eq!(rig.files("ali"), ["/d/a"]);
    assert!(rig.world.read("ali", "/d/a", 0, 6_000_000).unwrap()[..] == bytes[..]);
}

// S-052
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_close_of_a_file_with_references_waits() {
    for close in [Close::Queue, Close::Auto] {
        let rig = with(close).await;
        rig.seed("ali", "/a.bin", 100_000, 3);
        let mut meant = rig
            .world
            .read("ali", "/a.bin", 0, 100_000)
            .unwrap()
            .to_vec();
        let ino = rig.ino("ali/a.bin").await.unwrap();
        let opened = rig.vfs.open(ino, libc::O_RDWR, &Caller::own()).unwrap();
        rig.vfs.write(opened.handle, 10, b"HELLO").await.unwrap();
        meant[10..15].copy_from_slice(b"HELLO");
        rig.vfs.flush(opened.handle, &Caller::own()).await.unwrap();
        // At once, with nothing in between.
        let stored = rig.world.read("ali", "/a.bin", 0, 100_000).unwrap();
        assert!(stored[..] == meant[..], "{close:?}");
        rig.vfs.release(opened.handle);
        assert!(rig.transfer("ali/a.bin").await.verify_ok);
    }
}

// S-058
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_in_a_child_commits_nothing() {
    let rig = with(Close::Wait).await;
    let mut sleeper = std::process::Command::new("sleep")
        .arg("600")
        .spawn()
        .unwrap();
    let child = Caller {
        pid: sleeper.id(),
        uid: 0,
    };
    let handle = rig.create("here/a").await.unwrap();
    rig.vfs.write(handle, 0, b"half").await.unwrap();
    rig.vfs.flush(handle, &child).await.unwrap();
    assert!(!outside(&rig, "here/a").exists());
    rig.vfs.write(handle, 4, b" whole").await.unwrap();
    rig.vfs.flush(handle, &Caller::own()).await.unwrap();
    let stored = std::fs::read(outside(&rig, "here/a")).unwrap();
    assert_eq!(stored, b"half whole");
    rig.vfs.release(handle);
    // Where only the child closes it the last close is the commit.
    let handle = rig.create("here/b").await.unwrap();
    rig.vfs.write(handle, 0, b"by the child").await.unwrap();
    rig.vfs.flush(handle, &child).await.unwrap();
    assert!(!outside(&rig, "here/b").exists());
    rig.vfs.release(handle);
    rig.settle().await;
    let stored = std::fs::read(outside(&rig, "here/b")).unwrap();
    assert_eq!(stored, b"by the child");
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
}

// S-058
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dup2_of_a_shell_commits_nothing() {
    let rig = with(Close::Wait).await;
    // `program > a`: the shell opens, dup2 flushes, then the program writes in the same process.
    let handle = rig.create("here/a").await.unwrap();
    rig.vfs.flush(handle, &Caller::own()).await.unwrap();
    assert!(!outside(&rig, "here/a").exists());
    rig.vfs.write(handle, 0, b"written later").await.unwrap();
    rig.vfs.flush(handle, &Caller::own()).await.unwrap();
    let stored = std::fs::read(outside(&rig, "here/a")).unwrap();
    assert_eq!(stored, b"written later");
    rig.vfs.release(handle);
}

// S-059
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_renamed_at_once_is_not_uploaded_under_its_first_name() {
    for attempt in 0..20 {
        let rig = two().await;
        assert!(rig.names("ali").await.is_empty());
        let began = Instant::now();
        rig.put("ali/.film.mkv.a1B2c3", b"of rsync").await.unwrap();
        tokio::time::sleep(Duration::from_millis(400)).await;
        let asked = rig.stat("ali").count("create");
        rig.rename("ali/.film.mkv.a1B2c3", "ali/film.mkv")
            .await
            .unwrap();
        if began.elapsed() > Duration::from_secs(1) {
            // The machine is too slow to tell anything.
            assert!(attempt < 19);
            continue;
        }
        assert_eq!(asked, 0);
        rig.settle().await;
        assert_eq!(rig.files("ali"), ["/film.mkv"]);
        let stat = rig.stat("ali");
        assert_eq!((stat.count("update"), stat.count("move")), (0, 0));
        // An ordinary name goes at once.
        rig.put("ali/other.mkv", b"of cp").await.unwrap();
        rig.settle().await;
        assert_eq!(rig.files("ali"), ["/film.mkv", "/other.mkv"]);
        return;
    }
}

// S-061
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fsync_of_a_large_file_asks_nothing_of_the_provider() {
    let mut rig = two().await;
    let bytes = pattern(5_000_000);
    let handle = rig.create("ali/a").await.unwrap();
    rig.vfs.write(handle, 0, &bytes).await.unwrap();
    let before = rig.stat("ali").requests;
    rig.vfs.fsync(handle, &Caller::own()).await.unwrap();
    assert_eq!(rig.stat("ali").requests, before);
    rig.restart().await;
    assert!(rig.names("ali").await.is_empty());
    assert!(recovered(&rig).await == [("a".to_owned(), bytes)]);
    assert!(rig.files("ali").is_empty());
}

// S-062
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fsync_of_a_closed_file_waits_until_it_is_verified() {
    let rig = two().await;
    for flags in [libc::O_RDONLY, libc::O_RDWR] {
        let name = format!("here/{flags}.tmp");
        // Its upload begins a little later.
        rig.put(&name, b"on its way").await.unwrap();
        let ino = rig.ino(&name).await.unwrap();
        let handle = rig.vfs.open(ino, flags, &Caller::own()).unwrap().handle;
        rig.vfs.fsync(handle, &Caller::own()).await.unwrap();
        assert_eq!(std::fs::read(outside(&rig, &name)).unwrap(), b"on its way");
        assert!(rig.transfer(&name).await.verify_ok);
        rig.vfs.release(handle);
    }
}

// S-131
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_of_a_close_that_failed_and_of_a_file_never_closed_are_kept() {
    let mut rig = with(Close::Wait).await;
    assert!(recovered(&rig).await.is_empty());
    rig.world
        .fault(
            "ali",
            Fault::always("create", FaultKind::Errno, "400:BadRequest"),
        )
        .unwrap();
    rig.put("ali/refused.txt", b"refused").await.unwrap_err();
    let refused = ("refused.txt".to_owned(), b"refused".to_vec());
    assert_eq!(recovered(&rig).await, std::slice::from_ref(&refused));
    assert!(rig.names("ali").await.is_empty());
    let handle = rig.create("ali/open.txt").await.unwrap();
    rig.vfs.write(handle, 0, b"never closed").await.unwrap();
    rig.restart().await;
    let open = ("open.txt".to_owned(), b"never closed".to_vec());
    assert_eq!(recovered(&rig).await, [open, refused]);
    assert!(rig.files("ali").is_empty());
}
