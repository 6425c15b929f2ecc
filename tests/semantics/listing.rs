//! Where listings come from, how they are renewed, and what never waits for the provider.

use std::time::Duration;

use panfuse::sim::{Fault, FaultKind};
use panfuse::vfs::{ROOT, Settings};

use super::harness::{Rig, RigOptions};
use super::{StillClock, outside, soon, until};

const ALI: &[&str] = &["aliyundrive_open"];

/// Longer than a listing of the rig is fresh.
const STALE: i64 = 61_000;

async fn refresh(rig: &Rig, path: &str) -> panfuse::vfs::FsResult<()> {
    let ino = rig.ino(path).await.unwrap();
    rig.vfs.setxattr(ino, "user.pan.refresh", b"1").await
}

// S-016
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stat_of_a_known_name_does_not_wait_for_a_provider_that_stalls() {
    let clock = StillClock::now();
    let rig = Rig::with(ALI, &[], clock.options()).await;
    rig.seed("ali", "/d/a.txt", 10, 1);
    assert_eq!(rig.names("ali/d").await, ["a.txt"]);
    let (dir, file) = (
        rig.ino("ali/d").await.unwrap(),
        rig.ino("ali/d/a.txt").await.unwrap(),
    );
    let listed = rig.stat("ali").count("list");
    rig.world
        .fault("ali", Fault::always("*", FaultKind::Stall, ""))
        .unwrap();
    clock.advance(STALE);
    // These are no futures: they cannot wait. `None` would mean that the network is needed.
    for _ in 0..3 {
        let attr = rig.vfs.lookup_now(dir, "a.txt").unwrap().unwrap();
        assert_eq!((attr.ino, attr.size), (file, 10));
        assert_eq!(rig.vfs.getattr(file).unwrap().size, 10);
        let missing = rig.vfs.lookup_now(dir, "none").unwrap();
        assert_eq!(missing.unwrap_err().errno, libc::ENOENT);
    }
    // The listing is being renewed behind, and the provider does not answer.
    until("the renewal", async || {
        rig.stat("ali").count("list") > listed
    })
    .await;
    let attr = rig.vfs.lookup_now(dir, "a.txt").unwrap().unwrap();
    assert_eq!(attr.ino, file);
}

// S-017
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statfs_shows_what_was_told_last_and_does_not_wait() {
    const UNKNOWN: u64 = 1 << 50;
    let clock = StillClock::now();
    let rig = Rig::with(ALI, &[], clock.options()).await;
    rig.seed("ali", "/a.bin", 1000, 1);
    rig.world.set("ali", "total_size", "5000000").unwrap();
    let refuses = Fault::always("space_info", FaultKind::Errno, "400:BadRequest");
    rig.world.fault("ali-2", refuses).unwrap();
    let (one, other) = (
        rig.ino("ali").await.unwrap(),
        rig.ino("ali-2").await.unwrap(),
    );
    let total = |ino| rig.vfs.statfs(ino).unwrap().total;
    // Nothing is known yet, and df must not look full.
    assert_eq!((total(one), total(other)), (UNKNOWN, UNKNOWN));
    until("the space", async || total(one) == 5_000_000).await;
    until("the refusal", async || {
        rig.stat("ali-2").count("space_info") > 0
    })
    .await;
    let space = rig.vfs.statfs(one).unwrap();
    assert_eq!((space.total, space.free), (5_000_000, 4_999_000));
    let space = rig.vfs.statfs(other).unwrap();
    assert_eq!((space.total, space.free), (UNKNOWN, UNKNOWN));
    assert_eq!(total(ROOT), UNKNOWN + 5_000_000);
    let asked = rig.stat("ali").count("space_info");
    rig.world
        .fault("ali", Fault::always("*", FaultKind::Stall, ""))
        .unwrap();
    rig.world.set("ali", "total_size", "7000000").unwrap();
    clock.advance(6 * 60_000);
    assert_eq!(total(one), 5_000_000);
    until("the question", async || {
        rig.stat("ali").count("space_info") > asked
    })
    .await;
    assert_eq!(total(one), 5_000_000);
}

// S-020
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_is_kept_in_memory_and_on_disk_and_renewed_behind() {
    let clock = StillClock::now();
    let mut rig = Rig::with(ALI, &[], clock.options()).await;
    rig.seed("ali", "/a.txt", 10, 1);
    assert_eq!(rig.names("ali").await, ["a.txt"]);
    rig.seed("ali", "/b.txt", 10, 2);
    assert_eq!(rig.names("ali").await, ["a.txt"]);
    assert_eq!(rig.stat("ali").count("list"), 1, "from memory");
    rig.restart().await;
    assert_eq!(rig.names("ali").await, ["a.txt"]);
    clock.advance(STALE - 2000);
    assert_eq!(rig.names("ali").await, ["a.txt"]);
    assert_eq!(rig.stat("ali").count("list"), 1, "from disk");
    // The same when it is old by now: whoever waited for the answer would see both names.
    rig.restart().await;
    clock.advance(2000);
    let stall = Fault::once("list", FaultKind::Stall, "1500");
    rig.world.fault("ali", stall.clone()).unwrap();
    assert_eq!(rig.names("ali").await, ["a.txt"]);
    until("the renewal", async || {
        rig.names("ali").await == ["a.txt", "b.txt"]
    })
    .await;
    assert_eq!(rig.stat("ali").count("list"), 2);
    rig.seed("ali", "/c.txt", 10, 3);
    clock.advance(STALE);
    rig.world.fault("ali", stall).unwrap();
    assert_eq!(rig.names("ali").await, ["a.txt", "b.txt"]);
    until("the next renewal", async || {
        rig.names("ali").await == ["a.txt", "b.txt", "c.txt"]
    })
    .await;
}

// S-022
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_that_cannot_be_renewed_stays() {
    let clock = StillClock::now();
    let rig = Rig::with(ALI, &[], clock.options()).await;
    rig.seed("ali", "/a.txt", 10, 1);
    assert_eq!(rig.names("ali").await, ["a.txt"]);
    let refuses = Fault::always("list", FaultKind::Errno, "400:BadRequest");
    rig.world.fault("ali", refuses).unwrap();
    rig.seed("ali", "/b.txt", 10, 2);
    // A second renewal begins only when the first one has failed.
    let listed = rig.stat("ali").count("list");
    until("two refused renewals", async || {
        clock.advance(STALE);
        assert_eq!(rig.names("ali").await, ["a.txt"]);
        rig.stat("ali").count("list") >= listed + 2
    })
    .await;
    refresh(&rig, "ali").await.unwrap_err();
    assert_eq!(rig.names("ali").await, ["a.txt"]);
    rig.world.reset("ali").unwrap();
    until("the renewal that succeeds", async || {
        clock.advance(STALE);
        rig.names("ali").await == ["a.txt", "b.txt"]
    })
    .await;
}

// S-022
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_is_shown_while_its_renewal_stalls() {
    let clock = StillClock::now();
    let rig = Rig::with(ALI, &["here"], clock.options()).await;
    rig.seed("ali", "/d/a.txt", 10, 1);
    std::fs::write(outside(&rig, "here/x"), b"x").unwrap();
    assert_eq!(rig.names("ali/d").await, ["a.txt"]);
    let listed = rig.stat("ali").count("list");
    rig.world
        .fault("ali", Fault::always("list", FaultKind::Stall, ""))
        .unwrap();
    clock.advance(STALE);
    for _ in 0..3 {
        assert_eq!(soon(rig.names("ali/d")).await, ["a.txt"]);
        assert_eq!(soon(rig.names("ali")).await, ["d"]);
    }
    until("the renewal", async || {
        rig.stat("ali").count("list") > listed
    })
    .await;
    assert_eq!(soon(rig.names("ali/d")).await, ["a.txt"]);
    // The trouble of one profile is not its neighbours'.
    assert_eq!(soon(rig.names("here")).await, ["x"]);
}

// S-024
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_on_its_way_survives_a_listing_without_it() {
    let rig = Rig::with(ALI, &[], RigOptions::default()).await;
    rig.seed("ali", "/old.txt", 10, 1);
    rig.world
        .fault("ali", Fault::always("create", FaultKind::Stall, ""))
        .unwrap();
    rig.put("ali/new.txt", b"on its way").await.unwrap();
    refresh(&rig, "ali").await.unwrap();
    assert_eq!(rig.files("ali"), ["/old.txt"]);
    assert_eq!(rig.names("ali").await, ["new.txt", "old.txt"]);
    assert_eq!(rig.get("ali/new.txt").await.unwrap(), b"on its way");
}

// S-024
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_file_is_not_revived_by_a_listing() {
    let options = RigOptions {
        settings: |settings| Settings {
            hold: Duration::from_secs(3600),
            ..settings
        },
        ..RigOptions::default()
    };
    let rig = Rig::with(ALI, &[], options).await;
    rig.seed("ali", "/gone.txt", 10, 1);
    rig.seed("ali", "/kept.txt", 10, 2);
    rig.rm("ali/gone.txt").await.unwrap();
    refresh(&rig, "ali").await.unwrap();
    assert_eq!(rig.files("ali"), ["/gone.txt", "/kept.txt"]);
    assert_eq!(rig.names("ali").await, ["kept.txt"]);
    rig.settle().await;
    refresh(&rig, "ali").await.unwrap();
    assert_eq!(rig.files("ali"), ["/kept.txt"]);
    assert_eq!(rig.names("ali").await, ["kept.txt"]);
}

// S-024
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_younger_than_the_declared_lag_stays_visible() {
    let clock = StillClock::now();
    let rig = Rig::with(&["115_open"], &[], clock.options()).await;
    let volume = rig.vfs.engine().volume("115").unwrap();
    let lag = i64::try_from(volume.capabilities().listing_lag_ms).unwrap();
    assert!(lag > 1000, "this provider shows writes late");
    rig.put("115/new.txt", b"a late listing does not know it")
        .await
        .unwrap();
    rig.settle().await;
    assert_eq!(rig.files("115"), ["/new.txt"]);
    let late = Fault::always("list", FaultKind::Lag, "3600000");
    rig.world.fault("115", late).unwrap();
    clock.advance(lag - 500);
    refresh(&rig, "115").await.unwrap();
    assert_eq!(rig.names("115").await, ["new.txt"]);
    // After that the provider is believed.
    clock.advance(1000);
    refresh(&rig, "115").await.unwrap();
    assert!(rig.names("115").await.is_empty());
}
