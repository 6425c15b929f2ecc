//! CloudDrive2 drives its uploads: what it asks for is what it gets, and nothing else is read.

use serde_json::Value;

use super::machine::{Machine, ok, run, sha1, write_random};

const SIZE: usize = 9_000_001;

/// A machine with a file at Aliyun that nobody else has, and the mount.
fn start() -> Option<Machine> {
    let mut m = Machine::start("aliyundrive_open,clouddrive2")?;
    for seed in [1, 2] {
        write_random(&m.out(&format!("{seed}.bin")), SIZE, 700 + seed);
        let file = m.out(&format!("{seed}.bin"));
        m.tell(&format!("sim seed ali /{seed}.bin 0 --file {file}"));
    }
    m.mount();
    Some(m)
}

/// One copy from Aliyun, by `cp`.
fn copy(m: &Machine, seed: u64) -> std::process::Output {
    let (from, to) = (
        m.at(&format!("ali/{seed}.bin")),
        m.at(&format!("cd2/{seed}.bin")),
    );
    run("cp", &[&from, &to])
}

/// The copy is there, in the mount and at the provider.
fn arrived(m: &Machine, seed: u64) {
    let hash = sha1(&m.out(&format!("{seed}.bin")));
    assert_eq!(sha1(&m.at(&format!("cd2/{seed}.bin"))), hash);
    let there = m.hashes("cd2");
    let entry = (format!("/{seed}.bin"), hash);
    assert!(
        there
            .iter()
            .any(|(path, sha1)| *path == entry.0 && sha1.eq_ignore_ascii_case(&entry.1)),
        "{there:?}"
    );
}

/// Nothing was sent that nobody asked for, and nothing that was wrong.
fn is_clean(stat: &Value) {
    for op in [
        "unrequested",
        "bad_answer",
        "lazy_not_echoed",
        "bad_last_chunk",
        "contradiction",
        "false_hash",
        "false_proof",
    ] {
        assert!(stat["notes"][op].is_null(), "{op}: {stat}");
    }
}

/// Out of order and overlapping: the bytes served are exactly the bytes asked for. What is
/// asked for twice while it is being served is served once; past the end there is nothing.
#[test]
fn the_bytes_served_are_the_bytes_asked_for() {
    let Some(m) = start() else { return };
    m.tell("sim set cd2 read_size 1048576");
    m.tell("sim set cd2 odd overlap");
    let done = copy(&m, 1);
    assert!(done.status.success(), "{done:?}");
    let stat = m.stat("cd2");
    assert!(stat["bytes_asked"].as_u64() > Some(SIZE as u64), "{stat}");
    assert_eq!(stat["bytes_up"], stat["bytes_asked"], "{stat}");
    is_clean(&stat);
    arrived(&m, 1);
    m.tell("sim reset cd2");
    m.tell("sim set cd2 read_size 1048576");
    m.tell("sim set cd2 odd overlap,zero,twice,again,past_end");
    let done = copy(&m, 2);
    assert!(done.status.success(), "{done:?}");
    let stat = m.stat("cd2");
    assert!(
        stat["bytes_up"].as_u64() <= stat["bytes_asked"].as_u64(),
        "{stat}"
    );
    is_clean(&stat);
    arrived(&m, 2);
}

/// Two uploads that the server reads at the same time share one channel.
#[test]
fn two_copies_at_once_share_one_channel() {
    let Some(m) = start() else { return };
    m.tell("sim set cd2 read_size 524288");
    m.tell("sim set cd2 together 2");
    std::thread::scope(|scope| {
        let copies = [1, 2].map(|seed| {
            let m = &m;
            scope.spawn(move || copy(m, seed))
        });
        for done in copies {
            let done = done.join().unwrap();
            assert!(done.status.success(), "{done:?}");
        }
    });
    let stat = m.stat("cd2");
    assert_eq!(stat["requests"]["channel"], 1, "{stat}");
    assert_eq!(stat["requests"]["start"], 2, "{stat}");
    is_clean(&stat);
    for seed in [1, 2] {
        arrived(&m, seed);
    }
}

/// The channel is cut when half of the bytes are there: it is opened again and the upload ends well.
#[test]
fn a_channel_that_is_cut_is_opened_again() {
    let Some(m) = start() else { return };
    m.tell("sim set cd2 read_size 524288");
    m.tell("sim set cd2 channel_cut 50");
    let mut channels = 1;
    for (seed, how) in [(1, "drop"), (2, "status")] {
        m.tell(&format!("sim set cd2 cut_how {how}"));
        let done = copy(&m, seed);
        assert!(done.status.success(), "{how}: {done:?}");
        let stat = m.stat("cd2");
        channels += 1;
        assert_eq!(stat["requests"]["channel"], channels, "{how}: {stat}");
        // What was there stays there.
        assert_eq!(stat["requests"]["start"], seed, "{how}: {stat}");
        let most = seed * SIZE as u64 * 3 / 2;
        assert!(stat["bytes_up"].as_u64() < Some(most), "{how}: {stat}");
        is_clean(&stat);
        arrived(&m, seed);
    }
}

/// The server gives an upload up: `cp` fails, the file that stood there is as it was, and the
/// attribute has the server's words.
#[test]
fn an_upload_that_ends_with_an_error_is_told() {
    let Some(m) = start() else { return };
    let old = m.out("old.bin");
    write_random(&old, 5000, 99);
    let target = m.at("cd2/1.bin");
    ok("cp", &[&old, &target]);
    m.tell("sync");
    m.tell("sim set cd2 end_status fatal,30,the-cloud-is-full-of-bees");
    let done = copy(&m, 1);
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    let why = m.attribute("cd2/1.bin", "user.pan.error");
    assert!(why.contains("the-cloud-is-full-of-bees"), "{why}");
    assert_eq!(sha1(&target), sha1(&old));
    assert_eq!(m.uploads("cd2"), 0);
}

/// The server finishes at once because it has the content: not a byte is read.
#[test]
fn a_content_the_server_has_is_not_read() {
    let Some(m) = start() else { return };
    let file = m.out("1.bin");
    m.tell(&format!("sim seed cd2-2 /theirs.bin 0 --file {file}"));
    let done = copy(&m, 1);
    assert!(done.status.success(), "{done:?}");
    let stat = m.stat("cd2");
    assert_eq!(
        (&stat["bytes_up"], &stat["bytes_asked"]),
        (&0.into(), &0.into()),
        "{stat}"
    );
    assert_eq!(m.stat("ali")["bytes_down"], 0);
    let made = m.transfer("cd2/1.bin");
    assert_eq!(
        (&made["strategy"], &made["phase"]),
        (&"fast_upload".into(), &"P1".into()),
        "{made}"
    );
    arrived(&m, 1);
}
