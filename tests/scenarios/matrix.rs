//! Every cell of the matrix, executed: what `panfuse matrix` predicts from capabilities is what
//! happens between the simulators. Phase and payload bytes are equal, calls differ by one at most.

use std::sync::atomic::{AtomicU64, Ordering};

use panfuse::sim::Stat;
use panfuse::transfer::{Cell, Class, Expected, Side};
use panfuse::vfs::Caller;

use super::harness::Rig;

/// More than all samples, less than every slice.
const SMALL: u64 = 700_001;

/// More than one slice of Baidu's 4 MiB; one part everywhere.
const LARGE: u64 = (4 << 20) + 70_001;

/// Operations that move content or log in; what goes to an object store (`oss_*`) is no call to the
/// service either.
const MOVES: &[&str] = &[
    "download",
    "upload_part",
    "captcha",
    "refresh",
    "part",
    "slice",
    "put",
    "read_data",
    "hash_data",
];

/// Contents that nobody has seen.
static SEED: AtomicU64 = AtomicU64::new(10_000);

/// One end of a cell: a profile in the rig.
struct End {
    profile: String,
    /// The account behind it; two profiles may have one.
    account: String,
    provider: &'static str,
}

impl End {
    fn side(&self, rig: &Rig) -> Side {
        let volume = rig.vfs.engine().volume(&self.profile).unwrap();
        let info = panfuse::providers::find(self.provider).unwrap();
        let declared = info.auth_modes.iter().map(|mode| mode.capabilities);
        let mut same = declared.filter(|declared| *declared == volume.capabilities());
        Side {
            name: self.profile.clone(),
            is_profile: true,
            provider: self.provider,
            capabilities: same
                .next()
                .expect("the registry has what the drive declares"),
            read_only: false,
        }
    }

    /// A share whose bytes are given only to somebody logged in, and which nobody is (sheet
    /// 189cloud, 4.8). What needs no byte works all the same.
    fn is_guest(&self) -> bool {
        self.profile == "189-share"
    }

    fn is_local(&self) -> bool {
        self.provider == "local"
    }
}

/// What really happened.
#[derive(Debug)]
struct Seen {
    phase: String,
    bytes_from_source: u64,
    bytes_to_target: u64,
    source_calls: u64,
    target_calls: u64,
}

fn calls(stat: &Stat) -> u64 {
    let all = stat.requests.iter();
    all.filter(|(op, _)| !MOVES.contains(&op.as_str()) && !op.starts_with("oss_"))
        .map(|(_, count)| count)
        .sum()
}

fn seed(rig: &Rig, end: &End, name: &str, size: u64, seed: u64) {
    if !end.is_local() {
        return rig.seed(&end.profile, &format!("/{name}"), size, seed);
    }
    let bytes = panfuse::sim::Blob::synthetic(seed, size).read(0, size);
    let path = rig.dir.path().join("locals").join(&end.profile).join(name);
    std::fs::write(path, bytes).unwrap();
}

fn reset(rig: &Rig, end: &End) {
    if !end.is_local() {
        rig.world.reset(&end.profile).unwrap();
    }
}

fn stat(rig: &Rig, end: &End) -> Stat {
    match end.is_local() {
        true => Stat::default(),
        false => rig.stat(&end.profile),
    }
}

/// One copy: what the target has, and whether a link of the source is kept.
struct Run {
    way: Class,
    size: u64,
    hit: bool,
    warm: bool,
}

async fn copy(rig: &Rig, source: &End, target: &End, run: &Run) -> Seen {
    let number = SEED.fetch_add(1, Ordering::Relaxed);
    let name = format!("{number}.bin");
    seed(rig, source, &name, run.size, number);
    if run.hit && !target.is_local() {
        let profiles = rig.world.profiles();
        let mut others = profiles.iter().filter(|profile| {
            let of_target = profile.provider == target.provider && profile.kind == "account";
            of_target && profile.name != target.profile
        });
        let other = others.next().expect("another account of the target");
        rig.seed(&other.name, &format!("/theirs-{name}"), run.size, number);
    }
    let (from, to) = (
        format!("{}/{name}", source.profile),
        // Some providers copy only under the same name into another directory.
        match run.way {
            Class::Copied => format!("{}/copies/{name}", target.profile),
            _ => format!("{}/to-{name}", target.profile),
        },
    );
    // Both directories are listed; their listings are fresh when the copy begins.
    rig.vfs
        .refresh(rig.ino(&source.profile).await.unwrap(), false)
        .await
        .unwrap();
    rig.names(&source.profile).await;
    let dir = rig.ino(to.rsplit_once('/').unwrap().0).await.unwrap();
    rig.vfs.refresh(dir, false).await.unwrap();
    if run.warm {
        let ino = rig.ino(&from).await.unwrap();
        let opened = rig.vfs.open(ino, libc::O_RDONLY, &Caller::own()).unwrap();
        rig.vfs.read(opened.handle, 0, 1).await.unwrap();
        rig.vfs.release(opened.handle);
    }
    reset(rig, source);
    reset(rig, target);
    rig.cp(&from, &to).await.unwrap();
    rig.settle().await;
    let (down, up) = (stat(rig, source), stat(rig, target));
    let done = rig.transfer(&to).await;
    assert!(done.verify_ok, "{from} {to}: {done:?}");
    if !target.is_local() {
        assert_eq!(done.bytes_to_target, up.bytes_up, "{from} {to}");
    }
    let own = source.account == target.account;
    Seen {
        phase: done.phase.to_string(),
        bytes_from_source: done.bytes_from_source,
        bytes_to_target: done.bytes_to_target,
        // Within one account every call was counted twice.
        source_calls: if own { 0 } else { calls(&down) },
        target_calls: calls(&up),
    }
}

fn compare(what: &str, meant: &Expected, seen: &Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut differs = |which: &str, equal: bool| {
        if !equal {
            wrong.push(format!("{what}: {which}: {meant:?} {seen:?}"));
        }
    };
    differs("phase", meant.phase.to_string() == seen.phase);
    differs("bytes up", meant.bytes_to_target == seen.bytes_to_target);
    // A proof reads the range that the target names; the prediction is the longest one.
    let most = meant.bytes_from_source + meant.proof_bytes;
    let read = (meant.bytes_from_source..=most).contains(&seen.bytes_from_source);
    differs("bytes down", read);
    let near = |meant: u32, seen: u64| u64::from(meant).abs_diff(seen) <= 1;
    differs(
        "calls to the source",
        near(meant.source_calls, seen.source_calls),
    );
    differs(
        "calls to the target",
        near(meant.target_calls, seen.target_calls),
    );
    wrong
}

/// All cells of one column.
async fn column(target: &str) {
    let keys: Vec<&'static str> = panfuse::sim::SIMULATORS.iter().map(|sim| sim.key).collect();
    let rig = Rig::with(&keys, &["here", "there"], Default::default()).await;
    let mut ends: Vec<End> = rig
        .world
        .profiles()
        .into_iter()
        .map(|profile| End {
            provider: panfuse::providers::find(&profile.provider).unwrap().key,
            account: format!("{}/{}", profile.provider, profile.account),
            profile: profile.name,
        })
        .collect();
    ends.extend(["here", "there"].map(|name| End {
        account: format!("local/{name}"),
        profile: name.to_owned(),
        provider: "local",
    }));
    let to = ends
        .iter()
        .find(|end| end.profile == target)
        .expect("the target is there");
    // Behind a CloudDrive2 is a provider that tells all that it may tell.
    for end in ends.iter().filter(|end| end.provider == "clouddrive2") {
        rig.world.set(&end.profile, "lists", "1,2,3").unwrap();
    }
    rig.mkdir(&format!("{target}/copies")).await.unwrap();
    if !to.is_local() {
        // 115 asks for proofs of large files only, unless it is told otherwise.
        let _ = rig.world.set(target, "challenge_min", "1");
    }
    let mut wrong = Vec::new();
    for from in ends
        .iter()
        .filter(|end| !end.profile.ends_with("-2") || end.profile == target)
    {
        let cell = Cell::new(&from.side(&rig), &to.side(&rig));
        // Logins are behind before anything is counted.
        let first = Run {
            way: Class::Never,
            size: 10,
            hit: false,
            warm: false,
        };
        if !from.is_guest() {
            copy(&rig, from, to, &first).await;
        }
        // A server that asks by itself asks for what the way is about.
        if to.provider == "clouddrive2" {
            let asked = cell.way(SMALL).unwrap().asks.first().cloned();
            let number = match asked.as_deref() {
                Some("md5") => "1",
                Some("gcid") => "3",
                _ => "2",
            };
            rig.world.set(target, "needs", number).unwrap();
        }
        let same_provider = from.provider == to.provider;
        let (small, large) = (cell.way(SMALL).unwrap(), cell.way(LARGE).unwrap());
        // A larger file is another cell only where it takes another way.
        let larger = (small != large).then_some((LARGE, large));
        for (size, way) in std::iter::once((SMALL, small)).chain(larger) {
            for (hit, warm) in [(true, false), (true, true), (false, false)] {
                // What an account of a provider holds is known to the provider; a directory of
                // this machine knows what it computed.
                let impossible = match hit {
                    true => to.is_local() || way.class == Class::Never,
                    false => same_provider && !to.is_local(),
                };
                if impossible {
                    continue;
                }
                let mut meant = cell.expect(size, hit, warm).unwrap();
                if from.account == to.account {
                    meant.target_calls += std::mem::take(&mut meant.source_calls);
                }
                let reads = meant.bytes_from_source + meant.proof_bytes > 0;
                if from.is_guest() && (reads || warm) {
                    continue;
                }
                let run = Run {
                    way: way.class,
                    size,
                    hit,
                    warm,
                };
                let what = format!(
                    "{} -> {} {:?} of {size}, hit {hit}, warm {warm}",
                    from.profile, to.profile, way.class
                );
                // On a machine that is very slow a listing ages or a task is polled once more in the
                // middle of a copy. What is wrong is so every time.
                let mut differs = Vec::new();
                for _ in 0..3 {
                    let seen = copy(&rig, from, to, &run).await;
                    differs = compare(&what, &meant, &seen);
                    if differs.is_empty() {
                        break;
                    }
                }
                wrong.extend(differs);
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} cells differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

macro_rules! columns {
    ($($name:ident = $profile:literal,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                column($profile).await;
            }
        )*

        const COLUMNS: &[&str] = &[$($profile),*];
    };
}

columns! {
    pan115 = "115-2",
    pan115_cookie = "115-cookie",
    aliyundrive = "ali-2",
    pan123 = "123-2",
    pikpak = "pikpak-2",
    baidu = "baidu-2",
    baidu_cookie = "baidu-cookie",
    cloud189 = "189-2",
    xunlei = "xunlei-2",
    guangya = "guangya-2",
    lark_drive = "lark-2",
    clouddrive2 = "cd2-2",
    webdav = "webdav-2",
    s3 = "s3-2",
    quark = "quark-2",
    uc = "uc-2",
    local = "there",
}

#[test]
fn every_provider_has_its_column() {
    let mut columns: Vec<&str> = COLUMNS.to_vec();
    columns.sort_unstable();
    let world = panfuse::sim::SIMULATORS
        .iter()
        .map(|sim| format!("{}-2", sim.short));
    let mut all: Vec<String> = world
        .chain(["there", "baidu-cookie", "115-cookie"].map(str::to_owned))
        .collect();
    all.sort_unstable();
    assert_eq!(columns, all);
}
