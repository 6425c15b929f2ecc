//! Tianyi Cloud 189 among other drives: contents it knows and does not know, replacements, and a
//! share that is taken over but not read.

use super::harness::Rig;

const WITH_ALI: &[&str] = &["aliyundrive_open", "189cloud"];

const SIZE: u64 = 3_000_003;

/// Both files hold the same bytes at their providers.
fn assert_same(rig: &Rig, one: (&str, &str), other: (&str, &str), size: u64) {
    let read = |(profile, path): (&str, &str)| rig.world.read(profile, path, 0, size).unwrap();
    let (one, other) = (read(one), read(other));
    assert_eq!(one.len() as u64, size);
    assert!(one == other, "other bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_known_content_comes_from_another_account_without_an_uploaded_byte() {
    let rig = Rig::new(&["189cloud"]).await;
    rig.seed("189", "/a.bin", SIZE, 7);
    rig.cp("189/a.bin", "189-2/known.bin").await.unwrap();
    rig.settle().await;
    let stat = rig.stat("189-2");
    assert_eq!((stat.bytes_up, stat.rapid_hits), (0, 1));
    assert_eq!(rig.stat("189").bytes_down, 0);
    assert_same(&rig, ("189", "/a.bin"), ("189-2", "/known.bin"), SIZE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_content_is_uploaded_and_can_be_copied_out_again() {
    let rig = Rig::new(WITH_ALI).await;
    rig.seed("ali", "/a.bin", SIZE, 20);
    rig.cp("ali/a.bin", "189/new.bin").await.unwrap();
    rig.settle().await;
    assert_eq!(rig.stat("189").bytes_up, SIZE);
    assert_same(&rig, ("ali", "/a.bin"), ("189", "/new.bin"), SIZE);
    rig.cp("189/new.bin", "ali-2/a.bin").await.unwrap();
    rig.settle().await;
    assert_same(&rig, ("ali", "/a.bin"), ("ali-2", "/a.bin"), SIZE);
}

/// What `mv` does between file systems: copy, then unlink the source.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_moved_across_and_replaces_the_one_that_is_there() {
    let rig = Rig::new(WITH_ALI).await;
    rig.seed("189", "/a.txt", 70_000, 30);
    rig.cp("189/a.txt", "ali/a.txt").await.unwrap();
    rig.rm("189/a.txt").await.unwrap();
    rig.settle().await;
    assert_eq!(rig.files("189"), Vec::<String>::new());
    // And back, onto another file of that name.
    rig.seed("189-2", "/a.txt", 500, 80);
    rig.cp("ali/a.txt", "189-2/a.txt").await.unwrap();
    rig.rm("ali/a.txt").await.unwrap();
    rig.settle().await;
    let done = rig.transfer("189-2/a.txt").await;
    assert_eq!(done.conflict_action, "overwrite_by_replace");
    assert_eq!(rig.files("189-2"), ["/a.txt"]);
    assert_eq!(rig.get("189-2/a.txt").await.unwrap().len(), 70_000);
    assert_eq!(rig.files("ali"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_is_taken_over_but_neither_read_nor_written_to() {
    let rig = Rig::new(WITH_ALI).await;
    rig.seed("189-share", "/films/a.mkv", SIZE, 40);
    let from = "189-share/films/a.mkv";
    // Into an account of the same provider no byte moves.
    rig.cp(from, "189/a.mkv").await.unwrap();
    rig.settle().await;
    let done = rig.transfer("189/a.mkv").await;
    assert_eq!(format!("{:?}", done.phase), "P0");
    assert_eq!(rig.stat("189-share").bytes_down, 0);
    assert_eq!(rig.stat("189").bytes_up, 0);
    assert_same(&rig, ("189-share", "/films/a.mkv"), ("189", "/a.mkv"), SIZE);
    // The service hands the bytes out to log-ins only.
    let refused = rig.get(from).await.unwrap_err();
    assert_eq!(refused.errno, libc::EACCES);

    let refused = rig.put("189-share/x", b"x").await.unwrap_err();
    assert_eq!(refused.errno, libc::EROFS);
    let refused = rig.mkdir("189-share/d").await.unwrap_err();
    assert_eq!(refused.errno, libc::EROFS);
    let refused = rig.rm(from).await.unwrap_err();
    assert_eq!(refused.errno, libc::EROFS);
    assert_eq!(rig.files("189-share"), ["/films/a.mkv"]);
}
