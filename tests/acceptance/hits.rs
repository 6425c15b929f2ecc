//! What Xunlei and Guangya are left with after a hit, a miss, a hit that takes its time, and an upload
//! that is refused: looked up in the simulators' own books.

use super::machine::{Machine, ok, run, sha1, until, write_random};

const SIZE: usize = 2_500_003;

struct Case {
    profile: &'static str,
    /// The setting by which a hit is not there at once, and its value.
    pending: (&'static str, &'static str),
}

const CASES: &[Case] = &[
    Case {
        profile: "xunlei",
        pending: ("hit_delay_ms", "1500"),
    },
    Case {
        profile: "guangya",
        pending: ("import_polls", "3"),
    },
];

/// A file of its own at Aliyun.
fn source(m: &Machine, name: &str, seed: u64) -> String {
    let file = m.out(name);
    write_random(&file, SIZE, seed);
    m.tell(&format!("sim seed ali /{name} 0 --file {file}"));
    file
}

/// The provider has this content of somebody else.
fn theirs(m: &Machine, profile: &str, name: &str, file: &str) {
    m.tell(&format!(
        "sim seed {profile}-2 /theirs-{name} 0 --file {file}"
    ));
}

/// The file is there, finished, and nothing else is.
fn arrived(m: &Machine, profile: &str, name: &str, file: &str) {
    m.tell(&format!("sync {}", m.at(profile)));
    let there = m.hashes(profile);
    let hash = sha1(file);
    assert!(
        there
            .iter()
            .any(|(path, sha1)| *path == format!("/{name}") && sha1.eq_ignore_ascii_case(&hash)),
        "{profile} {name}: {there:?}"
    );
    clean(m, profile);
    assert_eq!(sha1(&m.at(&format!("{profile}/{name}"))), hash);
}

/// No open upload and no entry that is not finished.
fn clean(m: &Machine, profile: &str) {
    assert_eq!(m.uploads(profile), 0, "{profile}: {}", m.tree(profile));
    let tree = m.tree(profile);
    let mut items = tree["items"].as_array().unwrap().iter();
    assert!(
        items.all(|item| item["pending"] != true),
        "{profile}: {tree}"
    );
}

#[test]
fn hits_misses_pending_hits_and_refusals_leave_what_they_should() {
    let Some(mut m) = Machine::start("aliyundrive_open,xunlei,guangya") else {
        return;
    };
    let mut files = Vec::new();
    for (number, case) in (1_u64..).zip(CASES) {
        for (kind, more) in ["hit", "miss", "pending", "refused"].into_iter().zip(0..) {
            let name = format!("{}-{kind}.bin", case.profile);
            let file = source(&m, &name, number * 100 + 2 * more);
            if kind == "hit" || kind == "pending" {
                theirs(&m, case.profile, &name, &file);
            }
            files.push((case.profile, kind, name, file));
        }
    }
    m.mount();
    for case in CASES {
        let profile = case.profile;
        let one = |wanted: &str| {
            let mut all = files.iter();
            all.find(|(of, kind, ..)| *of == profile && *kind == wanted)
                .unwrap()
        };
        let copy = |name: &str| {
            let (from, to) = (
                m.at(&format!("ali/{name}")),
                m.at(&format!("{profile}/{name}")),
            );
            run("cp", &[&from, &to])
        };
        let stat = |name: &str| m.stat(profile)[name].as_u64().unwrap();

        // A hit: nothing goes up.
        let (.., name, file) = one("hit");
        m.tell(&format!("sim reset {profile}"));
        assert!(copy(name).status.success());
        arrived(&m, profile, name, file);
        assert_eq!((stat("rapid_hits"), stat("bytes_up")), (1, 0), "{profile}");

        // A miss: every byte goes up once.
        let (.., name, file) = one("miss");
        m.tell(&format!("sim reset {profile}"));
        assert!(copy(name).status.success());
        arrived(&m, profile, name, file);
        assert_eq!(stat("rapid_hits"), 0, "{profile}");
        assert_eq!(stat("bytes_up"), SIZE as u64, "{profile}");

        // A hit that is no hit before the provider shows the file.
        let (.., name, file) = one("pending");
        m.tell(&format!("sim reset {profile}"));
        let (knob, value) = case.pending;
        m.tell(&format!("sim set {profile} {knob} {value}"));
        assert!(copy(name).status.success());
        arrived(&m, profile, name, file);
        assert_eq!((stat("rapid_hits"), stat("bytes_up")), (1, 0), "{profile}");
        m.tell(&format!("sim reset {profile}"));

        // Refused at the end, and given up: nothing is left at the provider.
        let (.., name, _) = one("refused");
        for op in ["oss_complete", "oss_put"] {
            m.tell(&format!("sim fault {profile} {op} commit_fail --count 0"));
        }
        let refused = copy(name);
        // A small copy is promised before its upload ends; then `sync` tells.
        if refused.status.success() {
            let synced = m.say(&format!("sync {}", m.at(profile)));
            assert!(!synced.status.success(), "{profile}: {synced:?}");
            // It would be tried again, and taken up where it was: until somebody gives it up.
            ok("rm", &[&m.at(&format!("{profile}/{name}"))]);
        }
        until("nothing is left", || {
            m.uploads(profile) == 0 && !m.files(profile).contains(&format!("/{name}"))
        });
        clean(&m, profile);
        m.tell(&format!("sim reset {profile}"));
    }
}
