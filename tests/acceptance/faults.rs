//! A provider that misbehaves: what the program sees, that nothing is lost, and that the other
//! profiles do not notice. Faults that end with one of our deadlines are in
//! `tests/scenarios/stalls.rs`, where time can be moved.

use std::path::Path;

use super::machine::{Machine, ok, run, sha1, until, write_random};

/// One fault and what a program makes of it.
struct Case {
    name: &'static str,
    /// `sim fault` words.
    faults: &'static [&'static str],
    /// From and to; a path without a profile is beside the mount.
    copy: (&'static str, &'static str),
    /// What `cp` or `mv` says when it fails; empty when it must succeed.
    fails: &'static str,
    /// Fewest requests of an operation that the profile must have seen.
    saw: (&'static str, &'static str, u64),
}

const READING: &[Case] = &[
    Case {
        name: "cut bodies",
        faults: &["ali download cut --arg 700000 --count 3"],
        copy: ("ali/a.bin", "out"),
        fails: "",
        saw: ("ali", "download", 4),
    },
    Case {
        name: "a slow body",
        faults: &["ali download slow --arg 8000000 --count 0"],
        copy: ("ali/a.bin", "out"),
        fails: "",
        saw: ("ali", "download", 1),
    },
    Case {
        name: "a body that stops for a while",
        faults: &["ali download stall_body --arg 1000,1500 --count 1"],
        copy: ("ali/a.bin", "out"),
        fails: "",
        saw: ("ali", "download", 1),
    },
    Case {
        name: "no answer for a while",
        faults: &["ali download stall --arg 1500 --count 1"],
        copy: ("ali/a.bin", "out"),
        fails: "",
        saw: ("ali", "download", 1),
    },
    Case {
        name: "a link that expired",
        faults: &["ali download expire_link --count 1"],
        copy: ("ali/a.bin", "out"),
        fails: "",
        saw: ("ali", "link", 2),
    },
    Case {
        name: "too many requests, with Retry-After",
        faults: &["ali link status --arg 429,1 --count 1"],
        copy: ("ali/a.bin", "out"),
        fails: "",
        saw: ("ali", "link", 2),
    },
    Case {
        name: "a server that fails for good",
        faults: &["ali link status --arg 500 --count 0"],
        copy: ("ali/a.bin", "out"),
        fails: "Input/output error",
        saw: ("ali", "link", 2),
    },
];

const COPYING: &[Case] = &[
    Case {
        name: "cut uploads",
        faults: &["ali upload_part cut --arg 300000 --count 2"],
        copy: ("115/a.bin", "ali/a.bin"),
        fails: "",
        saw: ("ali", "upload_part", 3),
    },
    Case {
        name: "a cut source",
        faults: &["115 download cut --arg 300000 --count 3"],
        copy: ("115/a.bin", "ali/a.bin"),
        fails: "",
        saw: ("115", "download", 3),
    },
    Case {
        name: "a token that expires before the upload is completed",
        faults: &["ali complete expire_token --count 1"],
        copy: ("115/a.bin", "ali/a.bin"),
        fails: "",
        saw: ("ali", "refresh", 1),
    },
    Case {
        name: "a token of the source that expires",
        faults: &["115 download_link expire_token --count 1"],
        copy: ("115/a.bin", "ali/a.bin"),
        fails: "",
        saw: ("115", "refresh", 1),
    },
    Case {
        name: "too many requests at the commit, with Retry-After",
        faults: &["ali complete status --arg 429,1 --count 2"],
        copy: ("115/a.bin", "ali/a.bin"),
        fails: "",
        saw: ("ali", "complete", 3),
    },
    Case {
        name: "an answer that got lost",
        faults: &["ali complete drop_answer --count 1"],
        copy: ("115/a.bin", "ali/a.bin"),
        fails: "",
        saw: ("ali", "complete", 1),
    },
    Case {
        name: "bytes that arrive spoilt",
        faults: &["ali upload_part corrupt --count 0"],
        copy: ("115/a.bin", "ali/a.bin"),
        fails: "Input/output error",
        saw: ("ali", "complete", 1),
    },
    Case {
        name: "a source that gives other bytes than it lists",
        faults: &["115 download corrupt --count 0"],
        copy: ("115/a.bin", "ali/a.bin"),
        fails: "Input/output error",
        saw: ("115", "download", 1),
    },
];

fn place(m: &Machine, path: &str) -> String {
    match path.contains('/') {
        true => m.at(path),
        false => m.out(path),
    }
}

fn inject(m: &Machine, case: &Case) {
    for profile in ["ali", "115"] {
        m.tell(&format!("sim reset {profile}"));
    }
    for fault in case.faults {
        m.tell(&format!("sim fault {fault}"));
    }
}

fn saw(m: &Machine, case: &Case) {
    let (profile, op, fewest) = case.saw;
    let seen = m.stat(profile)["requests"][op].as_u64().unwrap_or(0);
    assert!(
        seen >= fewest,
        "{}: {seen} of {op}: the fault did not strike",
        case.name
    );
}

fn judge(case: &Case, output: &std::process::Output) -> bool {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.success(),
        case.fails.is_empty(),
        "{}: {said}",
        case.name
    );
    assert!(said.contains(case.fails), "{}: {said}", case.name);
    output.status.success()
}

#[test]
fn a_reader_gets_every_byte_or_an_error() {
    let Some(mut m) = Machine::start("115_open,aliyundrive_open") else {
        return;
    };
    let file = m.out("right.bin");
    write_random(&file, 2_000_000, 61);
    for n in 0..READING.len() {
        m.tell(&format!("sim seed ali /{n}/a.bin 0 --file {file}"));
    }
    m.mount();
    for (n, case) in READING.iter().enumerate() {
        // Each has a file of its own: nothing is read from memory.
        let from = m.at(&format!("ali/{n}/a.bin"));
        assert!(Path::new(&from).exists());
        inject(&m, case);
        let to = place(&m, case.copy.1);
        let output = run("cp", &[&from, &to]);
        let right = judge(case, &output);
        saw(&m, case);
        if right {
            ok("cmp", &[&file, &to]);
        }
        inject(
            &m,
            &Case {
                faults: &[],
                ..*case
            },
        );
        ok("cmp", &[&file, &from]);
    }
}

// S-053, S-083, S-091
#[test]
fn a_copy_is_right_or_an_error_and_the_source_and_the_old_file_stay() {
    let Some(mut m) = Machine::start("115_open,aliyundrive_open") else {
        return;
    };
    let (file, old) = (m.out("right.bin"), m.out("old.bin"));
    write_random(&old, 5_000, 71);
    for n in 0..COPYING.len() {
        // Above `small_file_mb`: `cp` waits. Each is unknown to the target.
        write_random(&file, 6_000_000, 101 + 2 * n as u64);
        m.tell(&format!("sim seed 115 /{n}/a.bin 0 --file {file}"));
        m.tell(&format!("sim seed ali /{n}/a.bin 0 --file {old}"));
    }
    m.mount();
    for (n, case) in COPYING.iter().enumerate() {
        write_random(&file, 6_000_000, 101 + 2 * n as u64);
        let at = |path: &str| {
            let (profile, name) = path.split_once('/').unwrap();
            m.at(&format!("{profile}/{n}/{name}"))
        };
        let (from, to) = (at(case.copy.0), at(case.copy.1));
        assert_eq!(sha1(&to), sha1(&old));
        for (program, to) in [("cp", to.clone()), ("mv", to.replace("a.bin", "b.bin"))] {
            if program == "mv" && case.fails.is_empty() {
                continue;
            }
            inject(&m, case);
            let output = run(program, &[&from, &to]);
            let right = judge(case, &output);
            saw(&m, case);
            inject(
                &m,
                &Case {
                    faults: &[],
                    ..*case
                },
            );
            ok("cmp", &[&file, &from]);
            if right {
                ok("cmp", &[&file, &to]);
            }
        }
        m.tell("sync");
        until("nothing is left of it", || m.uploads("ali") == 0);
        let name = format!("/{n}/a.bin");
        let there: Vec<_> = m
            .hashes("ali")
            .into_iter()
            .filter(|(path, _)| path.starts_with(&format!("/{n}/")))
            .collect();
        let holds = sha1(if case.fails.is_empty() { &file } else { &old });
        assert_eq!(there, [(name.clone(), holds)], "{}", case.name);
        assert!(m.files("115").contains(&name), "{}", case.name);
    }
}

#[test]
fn a_listing_is_whole_whatever_its_pages_look_like_and_others_do_not_wait_for_it() {
    let Some(mut m) = Machine::start("115_open,aliyundrive_open") else {
        return;
    };
    m.seed_many("ali", "/many", 450);
    m.tell("sim seed 115 /note 10 --seed 1");
    m.mount();
    ok("ls", &[&m.at("ali")]);
    let again = |m: &Machine| {
        let words = ["-n", "user.pan.refresh", "-v", "1", &m.at("ali/many")];
        run("setfattr", &words)
    };
    for fault in [
        "list truncated_page --arg 7 --count 3",
        "list status --arg 429,1 --count 1",
        "list status --arg 503 --count 1",
        "list cut --count 1",
        "list expire_token --count 1",
    ] {
        m.tell("sim reset ali");
        m.tell(&format!("sim fault ali {fault}"));
        let output = again(&m);
        assert!(output.status.success(), "{fault}: {output:?}");
        assert_eq!(m.names("ali/many").len(), 450, "{fault}");
        assert!(
            m.stat("ali")["requests"]["list"].as_u64().unwrap() > 3,
            "{fault}"
        );
    }
    // While one profile does not answer, another does, and so does what is known of the first.
    m.tell("sim reset ali");
    m.tell("sim fault ali list stall --arg 20000 --count 1");
    // (Not by `setfattr`: while that waits the kernel holds the directory.)
    let stuck = m.begin(&format!("refresh {}", m.at("ali/many")));
    until("it hangs", || m.stat("ali")["requests"]["list"] == 1);
    assert_eq!(m.names("115"), ["note"]);
    ok("cp", &[&m.at("115/note"), &m.out("note")]);
    ok("df", &[&m.at("ali")]);
    assert_eq!(m.names("ali/many").len(), 450);
    assert!(!stuck.is_finished(), "the fault did not strike");
    assert!(stuck.join().unwrap().status.success());
    // A listing that fails for good: the error, and the old one stays.
    m.tell("sim fault ali list status --arg 500 --count 0");
    let output = again(&m);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("Input/output error"), "{said}");
    assert_eq!(m.names("ali/many").len(), 450);
}

#[test]
fn a_late_listing_neither_hides_a_new_file_nor_revives_a_removed_one() {
    let Some(mut m) = Machine::start("115_open") else {
        return;
    };
    m.tell("sim seed 115 /d/old 10 --seed 1");
    m.tell("sim seed 115 /d/kept 10 --seed 2");
    m.tell("sim clock +1h");
    m.mount();
    assert_eq!(m.names("115/d"), ["kept", "old"]);
    m.tell("sim fault 115 list lag --arg 600000 --count 0");
    std::fs::write(m.at("115/d/new"), b"new").unwrap();
    std::fs::remove_file(m.at("115/d/old")).unwrap();
    m.tell("sync");
    ok(
        "setfattr",
        &["-n", "user.pan.refresh", "-v", "1", &m.at("115/d")],
    );
    assert_eq!(m.names("115/d"), ["kept", "new"]);
    assert_eq!(std::fs::read(m.at("115/d/new")).unwrap(), b"new");
    m.tell("sim reset 115");
    ok(
        "setfattr",
        &["-n", "user.pan.refresh", "-v", "1", &m.at("115/d")],
    );
    assert_eq!(m.names("115/d"), ["kept", "new"]);
}

/// The stored bytes are not those that the provider lists.
#[test]
fn rotten_bytes_are_never_copied_on() {
    let Some(mut m) = Machine::start("115_open,aliyundrive_open") else {
        return;
    };
    m.tell("sim seed ali /rotten.bin 6000000 --seed 81");
    m.tell("sim corrupt ali /rotten.bin");
    m.mount();
    for (program, name) in [("cp", "a.bin"), ("mv", "b.bin")] {
        let output = run(
            program,
            &[&m.at("ali/rotten.bin"), &m.at(&format!("115/{name}"))],
        );
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains("Input/output error"),
            "{said}"
        );
        assert_eq!(m.files("ali"), ["/rotten.bin"]);
        assert_eq!(m.names("115"), Vec::<String>::new());
        until("it is cleaned", || m.files("115").is_empty());
    }
}
