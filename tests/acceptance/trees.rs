//! Whole trees to drives that hold many small files: every file arrives once, under its name, and
//! nothing of ours is left beside it.

use std::io::Write;

use super::machine::{Machine, ok, run, write_random};

const FILES: usize = 2_000;

/// Directories, some in others.
const DIRS: usize = 25;

#[test]
fn two_thousand_files_go_to_webdav_and_come_back() {
    two_thousand_files_at("webdav");
}

#[test]
fn two_thousand_files_go_to_s3_and_come_back() {
    two_thousand_files_at("s3");
}

fn two_thousand_files_at(provider: &str) {
    let shown = run(
        env!("CARGO_BIN_EXE_panfuse"),
        &["provider", "show", provider],
    );
    if !shown.status.success() {
        // Not by `eprintln!`: the harness keeps that for tests that fail.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: no provider {provider} in this panfuse"
        );
        return;
    }
    let Some(mut m) = Machine::start(provider) else {
        return;
    };
    let source = m.out("tree");
    let mut planted = plant(&source);
    m.mount();
    // The simulator calls the profile of an account by the key of its provider.
    let drive = provider;
    // One after the other: each command has a limit.
    let target = m.at(&format!("{drive}/tree"));
    ok("mkdir", &[&target]);
    for n in (0..DIRS).step_by(5) {
        ok("cp", &["-r", &format!("{source}/d{n:02}"), &target]);
    }
    m.tell("sync");
    assert_eq!(stored(&m, drive), planted);
    ok("diff", &["-r", &source, &target]);
    ok("cp", &["-r", &target, &m.out("back")]);
    ok("diff", &["-r", &source, &m.out("back")]);

    // The provider copies within its own account.
    let sent = |m: &Machine| {
        let stat = m.stat(drive);
        let bytes = |name: &str| stat[name].as_u64().unwrap();
        bytes("bytes_up") + bytes("bytes_down")
    };
    let before = sent(&m);
    assert!(before > 0);
    let (from, to) = ("tree/d10", "copied");
    ok(
        "cp",
        &[
            "-r",
            &m.at(&format!("{drive}/{from}")),
            &m.at(&format!("{drive}/{to}")),
        ],
    );
    m.tell("sync");
    assert_eq!(
        sent(&m),
        before,
        "bytes that went through us for a copy within the account"
    );
    let copies: Vec<String> = planted
        .iter()
        .filter_map(|path| Some(format!("/{to}{}", path.strip_prefix(&format!("/{from}"))?)))
        .collect();
    assert!(copies.len() > 100, "{}", copies.len());
    planted.extend(copies);
    planted.sort();
    assert_eq!(stored(&m, drive), planted);
    ok(
        "diff",
        &["-r", &m.out("tree/d10"), &m.at(&format!("{drive}/{to}"))],
    );
    assert_eq!(m.uploads(drive), 0);
}

/// Makes the tree; paths of its files at the drive.
fn plant(top: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for n in 0..FILES {
        let number = n % DIRS;
        // Every fifth directory holds the four that follow.
        let dir = match number % 5 {
            0 => format!("d{number:02}"),
            _ => format!("d{:02}/sub {number:02}", number / 5 * 5),
        };
        let size = match n {
            0..10 => 300_000,
            10..14 => 2_000_000,
            _ => n * 7_919 % 6_000 + 1,
        };
        write_random(&format!("{top}/{dir}/file {n:04}.txt"), size, n as u64 + 1);
        paths.push(format!("/tree/{dir}/file {n:04}.txt"));
    }
    paths.sort();
    paths
}

/// Everything that is at the provider: a file that is there twice is here twice, and what is
/// unfinished is here too. Objects that stand for directories are none.
fn stored(m: &Machine, drive: &str) -> Vec<String> {
    let mut files = m.files(drive);
    files.retain(|path| !path.ends_with('/'));
    files.sort();
    files
}
