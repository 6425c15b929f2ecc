//! A provider that does not answer, stops in the middle or spoils what it gets: every wait has an
//! end, nothing is lost, and no other profile waits along.

use panfuse::sim::{Fault, FaultKind};
use panfuse::vfs::Close;

use super::harness::{Rig, RigOptions};
use super::still::{breathe, hurry, still, until};

const TWO: &[&str] = &["aliyundrive_open", "115_open"];

fn bytes(size: u32) -> Vec<u8> {
    (0..size)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

#[test]
fn a_listing_that_is_not_answered_is_asked_again_and_then_an_error() {
    still(async {
        let rig = Rig::new(TWO).await;
        rig.seed("ali", "/d/a", 10, 1);
        rig.seed("115", "/d/b", 10, 2);
        hurry("the roots", async {
            (rig.names("ali").await, rig.names("115").await)
        })
        .await;
        rig.world.reset("ali").unwrap();
        rig.world
            .fault("ali", Fault::once("list", FaultKind::Stall, ""))
            .unwrap();
        let listing = rig.names("ali/d");
        tokio::pin!(listing);
        tokio::select! {
            biased;
            names = &mut listing => panic!("it was answered: {names:?}"),
            () = until("it is asked", || rig.stat("ali").count("list") == 1) => {}
        }
        // The clock stands still: nobody waits for `ali` here.
        assert_eq!(rig.names("115/d").await, ["b"]);
        assert_eq!(hurry("the second answer", listing).await, ["a"]);
        assert_eq!(rig.stat("ali").count("list"), 2);

        rig.seed("ali", "/e/a", 10, 1);
        let ino = rig.ino("ali").await.unwrap();
        hurry("afresh", rig.vfs.refresh(ino, false)).await.unwrap();
        rig.world.reset("ali").unwrap();
        rig.world
            .fault("ali", Fault::always("list", FaultKind::Stall, ""))
            .unwrap();
        let error = hurry("the end of all patience", async {
            let ino = rig.ino("ali/e").await.unwrap();
            rig.vfs.opendir(ino).await.unwrap_err()
        })
        .await;
        assert_eq!(error.errno, libc::EHOSTUNREACH);
        assert_eq!(rig.stat("ali").count("list"), 3);
        // What is known is still shown.
        assert_eq!(rig.names("ali/d").await, ["a"]);
    });
}

#[test]
fn a_download_that_stalls_before_or_inside_its_body_goes_on_where_it_stopped() {
    for (kind, arg) in [(FaultKind::Stall, ""), (FaultKind::StallBody, "200000")] {
        still(async {
            let rig = Rig::new(TWO).await;
            rig.seed("ali", "/a.bin", 3_000_000, 3);
            let right = rig.world.read("ali", "/a.bin", 0, 3_000_000).unwrap();
            hurry("the root", rig.names("ali")).await;
            rig.world
                .fault("ali", Fault::once("download", kind, arg))
                .unwrap();
            let got = hurry("the bytes", rig.get("ali/a.bin")).await.unwrap();
            assert!(got[..] == right[..], "{kind:?}");
            assert!(rig.stat("ali").count("download") >= 2, "{kind:?}");
        });
    }
}

#[test]
fn a_stalled_upload_is_finished_and_one_that_always_stalls_is_an_error_without_traces() {
    still(async {
        let rig = Rig::with(TWO, &["here"], Default::default()).await;
        let place = rig.dir.path().join("locals/here");
        let names = ["before", "inside", "never"];
        for (n, name) in names.iter().enumerate() {
            let mut content = bytes(5_000_000);
            content.rotate_left(n + 1);
            std::fs::write(place.join(name), content).unwrap();
        }
        for (name, kind, arg) in [
            ("before", FaultKind::Stall, ""),
            ("inside", FaultKind::StallBody, "1000"),
        ] {
            let (from, to) = (format!("here/{name}"), format!("ali/{name}"));
            rig.world.reset("ali").unwrap();
            rig.world
                .fault("ali", Fault::once("upload_part", kind, arg))
                .unwrap();
            hurry("the copy", rig.cp(&from, &to)).await.unwrap();
            assert!(rig.stat("ali").count("upload_part") >= 2, "{name}");
            let path = format!("/{name}");
            let stored = rig.world.read("ali", &path, 0, 6_000_000).unwrap();
            let right = std::fs::read(place.join(name)).unwrap();
            assert!(stored[..] == right[..], "{name}");
        }
        rig.world
            .fault("ali", Fault::always("upload_part", FaultKind::Stall, ""))
            .unwrap();
        let copied = hurry("the error", rig.cp("here/never", "ali/never")).await;
        assert_eq!(copied.unwrap_err().errno, libc::EHOSTUNREACH);
        hurry("cleaned", async {
            until("no upload is open", || rig.uploads("ali") == 0).await;
        })
        .await;
        assert_eq!(rig.names("ali").await, ["before", "inside"]);
        assert_eq!(rig.files("ali"), ["/before", "/inside"]);
        assert_eq!(rig.names("here").await, names);
    });
}

// S-057
#[test]
fn a_promised_upload_that_fails_is_tried_again_after_growing_pauses_and_after_a_restart() {
    still(async {
        let mut rig = Rig::new(&["aliyundrive_open"]).await;
        hurry("the root", rig.names("ali")).await;
        let fault = Fault::always("create", FaultKind::Errno, "400:BadRequest");
        rig.world.fault("ali", fault).unwrap();
        hurry("the promise", rig.put("ali/a.txt", b"promised"))
            .await
            .unwrap();
        let tried = |rig: &Rig| rig.stat("ali").count("create");
        let failures = |rig: &Rig| {
            let records = rig.vfs.engine().journaled().unwrap();
            records.first().map_or(0, |record| record.failures)
        };
        let mut seen = 0;
        for (n, pause) in [2, 10, 30, 120, 600, 1800, 1800].into_iter().enumerate() {
            until("it failed", || failures(&rig) == n as u32 + 1).await;
            until("it is shown", || tried(&rig) > seen).await;
            breathe().await;
            assert_eq!(
                rig.xattr("ali/a.txt", "user.pan.state").await.unwrap(),
                "failed"
            );
            let why = rig.xattr("ali/a.txt", "user.pan.error").await.unwrap();
            assert!(why.contains("BadRequest"), "{why}");
            seen = tried(&rig);
            tokio::time::advance(std::time::Duration::from_secs(pause - 1)).await;
            breathe().await;
            assert_eq!(tried(&rig), seen, "before {pause} s are over");
            tokio::time::advance(std::time::Duration::from_secs(1)).await;
            tokio::time::advance(std::time::Duration::from_millis(50)).await;
            until("it is tried again", || tried(&rig) > seen).await;
        }
        until("it failed", || failures(&rig) == 8).await;
        rig.world.reset("ali").unwrap();
        rig.restart().await;
        hurry("the upload after a restart", rig.settle()).await;
        assert_eq!(rig.files("ali"), ["/a.txt"]);
        assert_eq!(
            rig.xattr("ali/a.txt", "user.pan.state").await.unwrap(),
            "clean"
        );
    });
}

// S-077
#[test]
fn bytes_that_arrive_spoilt_are_never_published() {
    still(async {
        let options = RigOptions {
            close: Close::Wait,
            ..RigOptions::default()
        };
        let rig = Rig::with(&["aliyundrive_open", "pikpak"], &["here"], options).await;
        // One lists a hash of what it stored, the other what the uploader said.
        for (profile, op) in [("ali", "upload_part"), ("pikpak", "oss_put")] {
            let mut content = bytes(200_000);
            content.rotate_left(op.len());
            std::fs::write(rig.dir.path().join("locals/here").join(profile), content).unwrap();
            rig.world
                .fault(profile, Fault::always(op, FaultKind::Corrupt, ""))
                .unwrap();
        }
        for (profile, op) in [("ali", "upload_part"), ("pikpak", "oss_put")] {
            let (from, to) = (format!("here/{profile}"), format!("{profile}/a.bin"));
            let copied = hurry("the end of the copy", rig.cp(&from, &to)).await;
            assert!(
                copied.is_err(),
                "{profile}: spoilt bytes were taken for the file"
            );
            assert!(
                rig.stat(profile).count(op) >= 1,
                "{profile}: no fault struck"
            );
            hurry("cleaned", async {
                until("it is cleaned", || rig.files(profile).is_empty()).await;
            })
            .await;
            assert_eq!(rig.names(profile).await, Vec::<String>::new());
        }
    });
}

// S-053, S-091
#[test]
fn a_commit_that_fails_until_all_patience_is_over_leaves_everything_as_it_was() {
    still(async {
        let options = RigOptions {
            close: Close::Wait,
            ..RigOptions::default()
        };
        let rig = Rig::with(&["aliyundrive_open"], &["here"], options).await;
        std::fs::write(rig.dir.path().join("locals/here/a.bin"), bytes(6_000_000)).unwrap();
        rig.seed("ali", "/old.bin", 3_000, 4);
        rig.world
            .fault("ali", Fault::always("complete", FaultKind::CommitFail, ""))
            .unwrap();
        for name in ["old.bin", "new.bin"] {
            let to = format!("ali/{name}");
            let copied = hurry("the end of the copy", rig.cp("here/a.bin", &to)).await;
            assert!(copied.is_err(), "{name}");
        }
        assert!(rig.stat("ali").count("complete") >= 2);
        hurry("cleaned", async {
            until("it is cleaned", || rig.uploads("ali") == 0).await;
        })
        .await;
        assert_eq!(rig.files("ali"), ["/old.bin"]);
        assert_eq!(rig.names("ali").await, ["old.bin"]);
        assert_eq!(rig.get("ali/old.bin").await.unwrap().len(), 3_000);
        assert_eq!(rig.names("here").await, ["a.bin"]);
    });
}
