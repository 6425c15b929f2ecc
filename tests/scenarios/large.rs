//! A directory of ten thousand entries: a call for every page and not one more, at the pace that
//! the account is allowed, and none when it is looked at again.

use super::harness::{Rig, RigOptions};

const ENTRIES: u64 = 10_000;

/// So many times faster than the real pace.
const PACE: f64 = 40.0;

/// Pages that say nothing about the end when they are full: one more call tells that nothing
/// follows (sheet baidu_netdisk, 4.2).
const ENDLESS: &[&str] = &["baidu_netdisk"];

/// A directory of Lark holds no more than 1,500 entries (sheet lark_drive, 9).
const SMALLER: &[(&str, u64)] = &[("lark_drive", 1_400)];

/// What is asked once for every file, where no listing and no batch tells its size (sheet lark_drive,
/// 4), and is kept.
const EACH: &[(&str, &str)] = &[("lark_drive", "history")];

/// What is asked once, for all files: whether tags are what they seem (sheet generic_backends, 2.2).
const ONCE: &[(&str, &str)] = &[("s3", "head")];

async fn listed(key: &str, profile: &str) {
    let options = RigOptions {
        pace: PACE,
        ..RigOptions::default()
    };
    let rig = Rig::with(&[key], &[], options).await;
    let smaller = SMALLER.iter().find(|(smaller, _)| *smaller == key);
    let entries = smaller.map_or(ENTRIES, |(_, entries)| *entries);
    for number in 0..entries {
        rig.seed(profile, &format!("/many/{number:05}.bin"), 1, number);
    }
    let path = format!("{profile}/many");
    rig.ino(&path).await.unwrap();
    rig.world.reset(profile).unwrap();
    assert_eq!(rig.names(&path).await.len() as u64, entries);

    let volume = rig.vfs.engine().volume(profile).unwrap();
    let page = u64::from(volume.capabilities().page_size);
    let mut stat = rig.stat(profile);
    if let Some((_, each)) = EACH.iter().find(|(each, _)| *each == key) {
        assert_eq!(stat.requests.remove(*each), Some(entries));
    }
    if let Some((_, once)) = ONCE.iter().find(|(once, _)| *once == key) {
        assert_eq!(stat.requests.remove(*once), Some(1));
    }
    let (op, count) = stat
        .requests
        .iter()
        .max_by_key(|(_, count)| **count)
        .expect("it was listed");
    let whole = if page == 0 { entries } else { page };
    let pages = entries.div_ceil(whole) + u64::from(ENDLESS.contains(&key));
    assert_eq!(*count, pages, "{:?}", stat.requests);
    assert_eq!(stat.total(), pages, "{:?}", stat.requests);

    // Never more at once than the bucket holds and what has dripped into it since; one may have
    // been on its way longer than the next.
    let limits = volume.capabilities().limits;
    // The class of the calls that list: one of their own where the provider counts them apart.
    let mut classes = ["list", "api", "other"].into_iter();
    let of = |class| limits.iter().find(|limit| limit.class == class);
    let limit = classes.find_map(of).expect("a rate for listings");
    let rate = limit.per_second * PACE;
    let arrivals = rig.world.arrivals(profile, op).unwrap();
    assert_eq!(arrivals.len() as u64, pages);
    for (first, from) in arrivals.iter().enumerate() {
        for (more, to) in arrivals.iter().enumerate().skip(first) {
            let allowed = f64::from(limit.burst) + 1.0 + rate * (*to - *from).as_secs_f64();
            // 0 calls a second: the service has no rate, only so many at once.
            let free = limit.per_second == 0.0;
            assert!(
                free || ((more - first + 1) as f64) <= allowed,
                "{first} to {more}"
            );
        }
    }

    rig.world.reset(profile).unwrap();
    assert_eq!(rig.names(&path).await.len() as u64, entries);
    assert_eq!(rig.stat(profile).total(), 0);
}

macro_rules! drives {
    ($($name:ident = $key:literal $profile:literal,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                listed($key, $profile).await;
            }
        )*

        const PROFILES: &[&str] = &[$($profile),*];
    };
}

drives! {
    pan115 = "115_open" "115",
    pan115_cookie = "115_open" "115-cookie",
    aliyundrive = "aliyundrive_open" "ali",
    pan123 = "123_open" "123",
    pikpak = "pikpak" "pikpak",
    baidu = "baidu_netdisk" "baidu",
    baidu_cookie = "baidu_netdisk" "baidu-cookie",
    cloud189 = "189cloud" "189",
    cloud189_share = "189cloud" "189-share",
    quark = "quark" "quark",
    quark_share = "quark" "quark-share",
    xunlei = "xunlei" "xunlei",
    guangya = "guangya" "guangya",
    lark_drive = "lark_drive" "lark",
    clouddrive2 = "clouddrive2" "cd2",
    webdav = "webdav" "webdav",
    s3 = "s3" "s3",
    uc = "uc" "uc",
    uc_share = "uc" "uc-share",
}

#[test]
fn every_simulated_drive_is_listed() {
    let mut wanted: Vec<String> = vec!["baidu-cookie".to_owned(), "115-cookie".to_owned()];
    for sim in panfuse::sim::SIMULATORS {
        wanted.push(sim.short.to_owned());
        wanted.extend(sim.shares.then(|| format!("{}-share", sim.short)));
    }
    let mut listed = PROFILES.to_vec();
    listed.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(listed, wanted);
}
