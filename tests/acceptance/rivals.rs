//! Two processes and one destination.

use std::path::Path;
use std::process::Output;
use std::thread::JoinHandle;

use super::machine::{Machine, ok, run, sha1, until, write_random};

const SIZE: u64 = 40_000_000;

/// A copy towards `ali` that takes seconds, under way.
fn slow_copy(m: &Machine, name: &str) -> JoinHandle<Output> {
    let before = m.stat("ali")["requests"]["upload_part"].as_u64();
    let (from, to) = (m.at("115/slow.bin"), m.at(&format!("ali/{name}")));
    let copy = std::thread::spawn(move || run("cp", &[&from, &to]));
    until("a part is on its way", || {
        m.stat("ali")["requests"]["upload_part"].as_u64() > before
    });
    copy
}

fn start() -> Option<Machine> {
    let mut m = Machine::start("115_open,aliyundrive_open")?;
    m.tell(&format!("sim seed 115 /slow.bin {SIZE} --seed 51"));
    m.tell("sim fault ali upload_part slow --arg 12000000 --count 0");
    write_random(&m.out("other.bin"), 3_000_000, 52);
    m.mount();
    Some(m)
}

/// What a name holds in the end, here and at the provider.
fn settled(m: &Machine, name: &str) -> Option<String> {
    m.tell("sim reset ali");
    m.tell("sync");
    until("no upload is left open", || m.uploads("ali") == 0);
    let path = m.at(&format!("ali/{name}"));
    let here = Path::new(&path).exists().then(|| sha1(&path));
    let there: Vec<String> = m
        .hashes("ali")
        .into_iter()
        .filter(|(path, _)| *path == format!("/{name}"))
        .map(|(_, sha1)| sha1)
        .collect();
    assert_eq!(there, here.iter().cloned().collect::<Vec<_>>(), "{name}");
    here
}

#[test]
fn a_destination_that_another_program_writes_anew_holds_one_of_the_two_files() {
    let Some(m) = start() else {
        return;
    };
    let whole = sha1(&m.at("115/slow.bin"));
    let other = sha1(&m.out("other.bin"));
    let copy = slow_copy(&m, "a.bin");
    let rival = run("cp", &[&m.out("other.bin"), &m.at("ali/a.bin")]);
    let copied = copy.join().unwrap();
    let holds = settled(&m, "a.bin");
    if copied.status.success() || rival.status.success() {
        let holds = holds.expect("a program was told that its file is there");
        assert!(holds == whole || holds == other, "mixed: {holds}");
        if !rival.status.success() {
            assert_eq!(holds, whole);
        }
        if !copied.status.success() {
            assert_eq!(holds, other);
        }
    } else {
        assert_eq!(holds, None);
    }
    assert_eq!(m.files("115"), ["/slow.bin"]);
}

#[test]
fn a_destination_that_another_program_patches_is_whole_and_no_success_is_false() {
    let Some(m) = start() else {
        return;
    };
    let plain = m.out("plain.bin");
    let patched = m.out("patched.bin");
    ok("cp", &[&m.at("115/slow.bin"), &plain]);
    ok("cp", &[&plain, &patched]);
    let patch = |file: &str| {
        let (input, output) = (format!("if={}", m.out("other.bin")), format!("of={file}"));
        let words = [
            &*input,
            &output,
            "bs=1M",
            "seek=1",
            "count=2",
            "conv=notrunc",
        ];
        run("dd", &words)
    };
    assert!(patch(&patched).status.success());
    let copy = slow_copy(&m, "b.bin");
    let rival = patch(&m.at("ali/b.bin"));
    let copied = copy.join().unwrap();
    let holds = settled(&m, "b.bin");
    // What an ordinary directory may hold after both: the copy goes over the patch or not.
    let right = [sha1(&plain), sha1(&patched)];
    match (copied.status.success(), rival.status.success()) {
        (true, true) => assert!(right.contains(&holds.expect("both were told so"))),
        (true, false) => assert_eq!(holds.as_ref(), Some(&right[0])),
        (false, true) => panic!("a patch by somebody else ends the copy: {copied:?}"),
        (false, false) => assert_eq!(holds, None),
    }
}

#[test]
fn two_copies_to_one_name_leave_one_of_the_two_files() {
    let Some(m) = start() else {
        return;
    };
    m.tell("sim seed 115 /second.bin 30000000 --seed 53");
    ok(
        "setfattr",
        &["-n", "user.pan.refresh", "-v", "1", &m.at("115")],
    );
    let both = [sha1(&m.at("115/slow.bin")), sha1(&m.at("115/second.bin"))];
    let copy = slow_copy(&m, "c.bin");
    let rival = run("cp", &[&m.at("115/second.bin"), &m.at("ali/c.bin")]);
    let copied = copy.join().unwrap();
    let holds = settled(&m, "c.bin");
    match (copied.status.success(), rival.status.success()) {
        (true, true) => assert!(both.contains(&holds.expect("both were told so"))),
        (true, false) => assert_eq!(holds.as_ref(), Some(&both[0])),
        (false, true) => assert_eq!(holds.as_ref(), Some(&both[1])),
        (false, false) => assert_eq!(holds, None),
    }
}
