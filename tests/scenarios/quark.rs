//! Quark and UC among other drives: contents they know and do not know, shares, and listings that
//! show a write late.

use panfuse::drive::ErrorKind;
use panfuse::sim::{Fault, FaultKind};

use super::harness::{Rig, RigOptions};

const WITH_ALI: &[&str] = &["aliyundrive_open", "quark", "uc"];

/// Both names of the service.
const BOTH: [&str; 2] = ["quark", "uc"];

const SIZE: u64 = 3_000_003;

/// Both files hold the same bytes at their providers.
fn assert_same(rig: &Rig, one: (&str, &str), other: (&str, &str), size: u64) {
    let read = |(profile, path): (&str, &str)| rig.world.read(profile, path, 0, size).unwrap();
    let (one, other) = (read(one), read(other));
    assert_eq!(one.len() as u64, size);
    assert!(one == other, "other bytes");
}

/// Whether the account has a file whose upload is finished.
fn stored(rig: &Rig, profile: &str) -> bool {
    let tree = rig.world.tree(profile).unwrap();
    let mut items = tree["items"].as_array().into_iter().flatten();
    items.any(|item| item["dir"] == false && item["pending"] == false && item["trashed"] == false)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_known_content_comes_from_another_drive_without_an_uploaded_byte() {
    let rig = Rig::new(WITH_ALI).await;
    for short in BOTH {
        rig.seed("ali", &format!("/{short}.bin"), SIZE, 7);
        rig.seed(&format!("{short}-2"), "/theirs.bin", SIZE, 7);
    }
    for short in BOTH {
        rig.cp(&format!("ali/{short}.bin"), &format!("{short}/known.bin"))
            .await
            .unwrap();
        rig.settle().await;
        let stat = rig.stat(short);
        assert_eq!((stat.bytes_up, stat.rapid_hits), (0, 1), "{short}");
        let copied = (short, "/known.bin");
        assert_same(&rig, ("ali", &format!("/{short}.bin")), copied, SIZE);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_content_is_uploaded_and_can_be_copied_out_again() {
    let rig = Rig::new(WITH_ALI).await;
    for (seed, short) in (20..).zip(BOTH) {
        rig.seed("ali", &format!("/{short}.bin"), SIZE, seed);
    }
    for short in BOTH {
        let from = format!("/{short}.bin");
        rig.cp(&format!("ali{from}"), &format!("{short}/new.bin"))
            .await
            .unwrap();
        rig.settle().await;
        assert_eq!(rig.stat(short).bytes_up, SIZE, "{short}");
        assert_same(&rig, ("ali", &from), (short, "/new.bin"), SIZE);
        rig.cp(&format!("{short}/new.bin"), &format!("ali-2{from}"))
            .await
            .unwrap();
        rig.settle().await;
        assert_same(&rig, ("ali", &from), ("ali-2", &from), SIZE);
    }
}

/// What `mv` does between file systems: copy, then unlink the source.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_moved_across_and_replaces_the_one_that_is_there() {
    let rig = Rig::new(WITH_ALI).await;
    for (seed, short) in (30..).zip(BOTH) {
        let name = format!("{short}.txt");
        rig.seed(short, &format!("/{name}"), 70_000, seed);
        rig.cp(&format!("{short}/{name}"), &format!("ali/{name}"))
            .await
            .unwrap();
        rig.rm(&format!("{short}/{name}")).await.unwrap();
        rig.settle().await;
        assert_eq!(rig.files(short), Vec::<String>::new());
        // And back, onto another file of that name.
        rig.seed(&format!("{short}-2"), &format!("/{name}"), 500, seed + 50);
        rig.cp(&format!("ali/{name}"), &format!("{short}-2/{name}"))
            .await
            .unwrap();
        rig.rm(&format!("ali/{name}")).await.unwrap();
        rig.settle().await;
        let done = rig.transfer(&format!("{short}-2/{name}")).await;
        assert_eq!(done.conflict_action, "overwrite_by_replace", "{short}");
        assert_eq!(rig.files(&format!("{short}-2")), [format!("/{name}")]);
        let back = rig.get(&format!("{short}-2/{name}")).await.unwrap();
        assert_eq!(back.len(), 70_000);
    }
    assert_eq!(rig.files("ali"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_is_copied_out_of_and_never_written_to() {
    let rig = Rig::new(WITH_ALI).await;
    for (seed, short) in (40..).zip(BOTH) {
        let share = format!("{short}-share");
        rig.seed(&share, "/films/a.mkv", SIZE, seed);
        let from = format!("{share}/films/a.mkv");
        // Into an account of the same provider no byte moves. A share tells no hash, so that the
        // outcome is compared by samples (S-077): they are all that is read.
        rig.cp(&from, &format!("{short}/a.mkv")).await.unwrap();
        rig.settle().await;
        let done = rig.transfer(&format!("{short}/a.mkv")).await;
        assert_eq!(format!("{:?}", done.phase), "P0", "{short}");
        assert_eq!((done.bytes_to_target, rig.stat(short).bytes_up), (0, 0));
        assert!(rig.stat(&share).bytes_down <= 256 << 10, "{short}");
        assert_same(&rig, (&share, "/films/a.mkv"), (short, "/a.mkv"), SIZE);
        // Elsewhere the bytes are read.
        rig.cp(&from, &format!("ali/{short}.mkv")).await.unwrap();
        rig.settle().await;
        let copied = format!("/{short}.mkv");
        assert_same(&rig, (&share, "/films/a.mkv"), ("ali", &copied), SIZE);

        let refused = rig.put(&format!("{share}/x"), b"x").await.unwrap_err();
        assert_eq!(refused.errno, libc::EROFS);
        let refused = rig.mkdir(&format!("{share}/d")).await.unwrap_err();
        assert_eq!(refused.errno, libc::EROFS);
        let refused = rig.rm(&from).await.unwrap_err();
        assert_eq!(refused.errno, libc::EROFS);
        assert_eq!(rig.files(&share), ["/films/a.mkv"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_shown_late_is_there_and_its_source_waits_until_it_was_seen() {
    let rig = Rig::new(WITH_ALI).await;
    for (seed, short) in (50..).zip(BOTH) {
        rig.world.set(short, "visible_after_ms", "20000").unwrap();
        rig.seed("ali", &format!("/{short}/f.bin"), SIZE, seed);
    }
    for short in BOTH {
        let (from, to) = (format!("ali/{short}/f.bin"), format!("{short}/late.bin"));
        rig.names(short).await;
        rig.cp(&from, &to).await.unwrap();
        // No false ENOENT, though the provider's listing does not have it.
        rig.ino(&to).await.unwrap();
        assert_eq!(rig.names(short).await, ["late.bin"]);
        rig.rm(&from).await.unwrap();
        assert!(rig.ino(&from).await.is_err(), "hidden at once");
        let source = format!("/{short}/f.bin");
        assert!(rig.files("ali").contains(&source), "trashed early");
        // The upload goes on behind; what it made is shown 20 s after its last call.
        while !stored(&rig, short) {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert!(rig.files("ali").contains(&source), "trashed unseen");
        rig.world.clock_advance(21_000);
        rig.settle().await;
        assert!(!rig.files("ali").contains(&source), "never trashed");
        assert_eq!(rig.files(short), ["/late.bin"]);
        assert_eq!(rig.get(&to).await.unwrap().len() as u64, SIZE);
    }
}

/// Hashes are due at the end, so a content that does not fit into the stage is read once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_content_goes_from_quark_to_uc_in_one_reading() {
    let options = RigOptions {
        stage_budget: 1 << 20,
        ..RigOptions::default()
    };
    let rig = Rig::with(&["quark", "uc"], &[], options).await;
    let size = 9_000_001;
    rig.seed("quark", "/once.bin", size, 60);
    rig.cp("quark/once.bin", "uc/once.bin").await.unwrap();
    rig.settle().await;
    assert_same(&rig, ("quark", "/once.bin"), ("uc", "/once.bin"), size);
    assert_eq!(rig.stat("uc").bytes_up, size);
    // Samples of both sides may be compared afterwards.
    let read = rig.stat("quark").bytes_down;
    assert!((size..=size + (256 << 10)).contains(&read), "{read} bytes");
}

/// `panfuse share save`: a directory of a share with all below it, by one task of the provider.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_of_a_share_is_saved_without_moving_a_byte() {
    let rig = Rig::new(WITH_ALI).await;
    for (seed, short) in (90..).zip(BOTH) {
        let share = format!("{short}-share");
        rig.seed(&share, "/season/one.mkv", SIZE, seed);
        rig.seed(&share, "/season/two.mkv", SIZE, seed + 1);
        let link = rig.ino(&format!("{share}/season")).await.unwrap();
        let account = rig.ino(short).await.unwrap();
        let saved = rig.vfs.save_shared(link, account).await.unwrap();
        assert_eq!(saved.name, "season", "{short}");
        assert_eq!(
            rig.names(&format!("{short}/season")).await,
            ["one.mkv", "two.mkv"]
        );
        for profile in [share.as_str(), short] {
            let stat = rig.stat(profile);
            assert_eq!((stat.bytes_down, stat.bytes_up), (0, 0), "{profile}");
        }
        assert_same(
            &rig,
            (&share, "/season/one.mkv"),
            (short, "/season/one.mkv"),
            SIZE,
        );
        // Again: the name is taken. Elsewhere, or from what is no share: refused with the reason.
        let again = rig.vfs.save_shared(link, account).await.unwrap_err();
        assert_eq!(again.errno, libc::EEXIST);
        let ali = rig.ino("ali").await.unwrap();
        let elsewhere = rig.vfs.save_shared(link, ali).await.unwrap_err();
        assert!(
            elsewhere.to_string().contains("one provider"),
            "{elsewhere}"
        );
        let mine = rig.ino(&format!("{short}/season")).await.unwrap();
        let other = rig.ino(&format!("{short}-2")).await.unwrap();
        assert!(rig.vfs.save_shared(mine, other).await.is_err());
    }
}

/// The gateway's wall (412) is waited for once; then the account rests, over a restart too, and no
/// other account does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wall_rests_the_account_over_a_restart_and_the_others_go_on() {
    let mut rig = Rig::new(WITH_ALI).await;
    for short in BOTH {
        rig.seed(short, "/d/a", 10, 1);
        rig.names(short).await;
        rig.seed(&format!("{short}-2"), "/d/b", 10, 2);
    }
    for short in BOTH {
        rig.world.reset(short).unwrap();
        let wall = Fault::always("list", FaultKind::Status, "412");
        rig.world.fault(short, wall).unwrap();
        for _ in 0..3 {
            let dir = rig.ino(&format!("{short}/d")).await.unwrap();
            let error = rig.vfs.opendir(dir).await.unwrap_err();
            assert_eq!(error.errno, libc::EBUSY, "{short}");
            let cause = error.cause.unwrap();
            assert_eq!(cause.kind, ErrorKind::Risk, "{cause}");
            assert!(cause.hint().is_some(), "{cause}");
            assert_eq!(rig.stat(short).count("list"), 2, "{short}: asked again");
        }
        assert_eq!(rig.names(&format!("{short}-2/d")).await, ["b"]);
    }
    for short in BOTH {
        rig.world.reset(short).unwrap();
    }
    rig.restart().await;
    for short in BOTH {
        let dir = rig.ino(&format!("{short}/d")).await.unwrap();
        let error = rig.vfs.opendir(dir).await.unwrap_err();
        assert_eq!(error.errno, libc::EBUSY, "{short}: forgotten by a restart");
        assert_eq!(rig.stat(short).total(), 0, "{short}");
        assert_eq!(rig.names(&format!("{short}-2/d")).await, ["b"]);
    }
}

/// A cookie that expires in the middle of a copy is renewed once, and the copy goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_that_expires_in_the_middle_of_a_copy_is_renewed_once() {
    let rig = Rig::new(WITH_ALI).await;
    for (seed, short) in (120..).zip(BOTH) {
        rig.seed("ali", &format!("/{short}.bin"), 6_000_001, seed);
    }
    for short in BOTH {
        let (from, to) = (format!("/{short}.bin"), "/on.bin");
        rig.names(short).await;
        rig.world.reset(short).unwrap();
        let expired = Fault::once("auth", FaultKind::ExpireToken, "");
        rig.world.fault(short, expired).unwrap();
        rig.cp(&format!("ali{from}"), &format!("{short}{to}"))
            .await
            .unwrap();
        rig.settle().await;
        assert_same(&rig, ("ali", &from), (short, to), 6_000_001);
        let stat = rig.stat(short);
        assert_eq!((stat.refreshes, stat.bytes_up), (1, 6_000_001), "{short}");
    }
}
