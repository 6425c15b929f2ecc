//! What stays, what goes to the trash and what is cleaned when copies and replacements go wrong.

use panfuse::sim::{Fault, FaultKind};
use panfuse::vfs::Close;

use super::harness::{Rig, RigOptions};

const ALI: &[&str] = &["aliyundrive_open"];

fn bytes(size: u32, salt: u32) -> Vec<u8> {
    (0..size)
        .map(|n| (n.wrapping_mul(2_654_435_761).wrapping_add(salt * 77) >> 24) as u8)
        .collect()
}

async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let so = async {
        while !so() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let limit = std::time::Duration::from_secs(60);
    assert!(
        tokio::time::timeout(limit, so).await.is_ok(),
        "never: {what}"
    );
}

/// Paths, trashed or not, with whether they are.
fn all(rig: &Rig, profile: &str) -> Vec<(String, bool)> {
    let tree = rig.world.tree(profile).unwrap();
    let items = tree["items"].as_array().unwrap().iter();
    items
        .filter(|item| item["dir"] == false)
        .map(|item| {
            let path = item["path"].as_str().unwrap().to_owned();
            (path, item["trashed"] == true)
        })
        .collect()
}

async fn local(bytes: &[u8]) -> Rig {
    let options = RigOptions {
        close: Close::Wait,
        ..RigOptions::default()
    };
    let rig = Rig::with(&["aliyundrive_open", "115_open"], &["here"], options).await;
    std::fs::write(rig.dir.path().join("locals/here/a.bin"), bytes).unwrap();
    rig
}

// S-111
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_source_of_a_copy_that_is_removed_goes_after_it_or_comes_back() {
    for fails in [false, true] {
        let rig = local(&bytes(3_000_000, 1)).await;
        rig.seed("115", "/src.bin", 3_000_000, 21);
        rig.ino("115/src.bin").await.unwrap();
        rig.ino("ali").await.unwrap();
        let slow = Fault::always("upload_part", FaultKind::Slow, "1500000");
        rig.world.fault("ali", slow).unwrap();
        if fails {
            let refused = Fault::always("complete", FaultKind::Errno, "400:BadRequest");
            rig.world.fault("ali", refused).unwrap();
        }
        let copy = rig.cp("115/src.bin", "ali/dst.bin");
        let removal = async {
            until("the upload is under way", || rig.stat("ali").bytes_up > 0).await;
            rig.rm("115/src.bin").await.unwrap();
            assert_eq!(rig.names("115").await, Vec::<String>::new());
            assert_eq!(
                rig.ino("115/src.bin").await.unwrap_err().errno,
                libc::ENOENT
            );
            assert_eq!(rig.vfs.engine().parked(), 1);
            assert_eq!(rig.files("115"), ["/src.bin"], "it was trashed too early");
        };
        let (copied, ()) = tokio::join!(copy, removal);
        assert_eq!(copied.is_err(), fails);
        rig.settle().await;
        if fails {
            assert_eq!(rig.files("115"), ["/src.bin"]);
            while rig.names("115").await.is_empty() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            assert_eq!(rig.names("115").await, ["src.bin"]);
            assert_eq!(rig.get("115/src.bin").await.unwrap().len(), 3_000_000);
            assert_eq!(rig.names("ali").await, Vec::<String>::new());
        } else {
            assert_eq!(all(&rig, "115"), [("/src.bin".to_owned(), true)]);
            assert_eq!(rig.names("115").await, Vec::<String>::new());
            assert_eq!(rig.files("ali"), ["/dst.bin"]);
        }
    }
}

// S-083
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_somebody_writes_meanwhile_is_not_copied() {
    let rig = Rig::with(ALI, &["here"], RigOptions::default()).await;
    let path = rig.dir.path().join("locals/here/a.bin");
    std::fs::write(&path, bytes(9_000_000, 2)).unwrap();
    rig.ino("here/a.bin").await.unwrap();
    let slow = Fault::always("upload_part", FaultKind::Slow, "6000000");
    rig.world.fault("ali", slow).unwrap();
    let change = async {
        until("the upload is under way", || rig.stat("ali").bytes_up > 0).await;
        std::fs::write(&path, bytes(9_000_000, 3)).unwrap();
    };
    let (copied, ()) = tokio::join!(rig.cp("here/a.bin", "ali/a.bin"), change);
    match copied {
        Err(error) => {
            assert_eq!(error.errno, libc::EIO);
            assert_eq!(rig.names("ali").await, Vec::<String>::new());
            until("it is cleaned", || {
                rig.files("ali").is_empty() && rig.uploads("ali") == 0
            })
            .await;
        }
        // Everything had been read before the change: then it is the old content, whole.
        Ok(()) => {
            let stored = rig.world.read("ali", "/a.bin", 0, 9_000_000).unwrap();
            assert!(
                stored[..] == bytes(9_000_000, 2)[..],
                "a mixture was published"
            );
        }
    }
}

// S-093
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_somebody_else_wrote_meanwhile_is_not_replaced() {
    let rig = local(&bytes(6_000_000, 4)).await;
    rig.seed("ali", "/doc.bin", 3_000, 5);
    rig.ino("ali/doc.bin").await.unwrap();
    let slow = Fault::always("upload_part", FaultKind::Slow, "4000000");
    rig.world.fault("ali", slow).unwrap();
    let somebody = async {
        until("the upload is under way", || rig.stat("ali").bytes_up > 0).await;
        rig.seed("ali", "/doc.bin", 4_000, 6);
    };
    let (copied, ()) = tokio::join!(rig.cp("here/a.bin", "ali/doc.bin"), somebody);
    assert!(
        copied.is_err(),
        "their file was replaced, or two have its name"
    );
    until("ours is cleaned", || rig.files("ali") == ["/doc.bin"]).await;
    let theirs = rig.world.read("ali", "/doc.bin", 0, 10_000_000).unwrap();
    assert_eq!(theirs.len(), 4_000);
    let ino = rig.ino("ali").await.unwrap();
    rig.vfs.refresh(ino, false).await.unwrap();
    assert_eq!(rig.get("ali/doc.bin").await.unwrap(), theirs);
}

// S-091, S-144
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replacement_that_was_cut_in_the_middle_is_finished_after_a_restart() {
    // Put aside, named, trashed: after how many of these calls it breaks off.
    for (op, after) in [("update", 0), ("update", 1), ("trash", 0)] {
        let mut rig = Rig::new(ALI).await;
        rig.seed("ali", "/doc.bin", 3_000, 7);
        let old = rig.get("ali/doc.bin").await.unwrap();
        let broken = Fault {
            after,
            ..Fault::always(op, FaultKind::Errno, "400:BadRequest")
        };
        rig.world.fault("ali", broken).unwrap();
        let new = bytes(5_000, 8);
        rig.put("ali/doc.bin", &new).await.unwrap();
        // A replacement is done when only the old file could not be trashed: that is asked again.
        until("it has failed, or the old file waits for the trash", || {
            let records = rig.vfs.engine().journaled().unwrap();
            records.iter().any(|record| record.failures > 0) || rig.vfs.engine().parked() > 0
        })
        .await;
        // Both contents are still at the provider, whatever they are called.
        let live = rig.files("ali");
        assert_eq!(live.len(), 2, "{op} {after}: {live:?}");
        assert_eq!(rig.names("ali").await, ["doc.bin"]);
        rig.world.reset("ali").unwrap();
        rig.restart().await;
        assert_eq!(rig.names("ali").await, ["doc.bin"]);
        rig.settle().await;
        assert_eq!(rig.files("ali"), ["/doc.bin"], "{op} {after}");
        let stored = rig.world.read("ali", "/doc.bin", 0, 10_000).unwrap();
        assert!(stored[..] == new[..] && stored[..] != old[..]);
        let trashed = all(&rig, "ali")
            .into_iter()
            .filter(|(_, gone)| *gone)
            .count();
        assert_eq!(trashed, 1, "{op} {after}: the old file is in the trash");
        assert_eq!(rig.uploads("ali"), 0);
    }
}

// S-145
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_our_journal_names_is_cleaned() {
    let mut rig = local(&bytes(6_000_000, 9)).await;
    // Another machine's upload under way, and one that an earlier life of this one forgot.
    let strangers = [
        "/panfuse-tmp-other-0a0a0a0a-x.bin",
        "/panfuse-tmp-test-0b0b0b0b-y.bin",
    ];
    for path in strangers {
        rig.seed("ali", path, 2_000, 10);
    }
    assert_eq!(rig.names("ali").await, Vec::<String>::new());
    let refused = Fault::always("complete", FaultKind::Errno, "400:BadRequest");
    rig.world.fault("ali", refused).unwrap();
    assert!(rig.cp("here/a.bin", "ali/a.bin").await.is_err());
    until("our upload is cleaned", || rig.uploads("ali") == 0).await;
    rig.restart().await;
    rig.settle().await;
    let live: Vec<String> = rig.files("ali");
    assert_eq!(live, strangers);
    assert!(
        all(&rig, "ali")
            .iter()
            .all(|(path, gone)| !gone || path == "/a.bin")
    );
}

// S-077
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_made_is_read_back_and_compared_by_the_best_that_both_sides_have() {
    let options = RigOptions {
        close: Close::Wait,
        ..RigOptions::default()
    };
    let rig = Rig::with(&["aliyundrive_open", "pikpak"], &["here"], options).await;
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(rig.dir.path().join("locals/here").join(name), bytes).unwrap();
    };
    // Sheet pikpak, 5: it repeats the gcid that the uploader claimed, which proves nothing.
    for (name, profile, op, mode) in [
        ("hash.bin", "ali", "get", "hash"),
        ("samples.bin", "pikpak", "stat", "samples"),
    ] {
        write(name, &bytes(5_000_000, name.len() as u32));
        let ino = rig.ino("here").await.unwrap();
        rig.vfs.refresh(ino, false).await.unwrap();
        rig.cp(&format!("here/{name}"), &format!("{profile}/{name}"))
            .await
            .unwrap();
        let result = rig.transfer(&format!("{profile}/{name}")).await;
        let told = serde_json::to_value(&result).unwrap();
        assert_eq!(
            (&told["verifyMode"], &told["phase"]),
            (&mode.into(), &"P4".into())
        );
        let stat = rig.stat(profile);
        assert!(
            stat.count(op) >= 1,
            "{profile}: the new node was not read back"
        );
        assert!(stat.bytes_down <= 256 << 10, "{profile}");
        assert_eq!(stat.bytes_down > 0, mode == "samples", "{profile}");
    }
}
