//! Fingerprints that a provider repeats although nobody ever checked them.

use std::process::{Command, Stdio};

use panfuse::fingerprint::{Kind, hash_all};

use super::machine::{Machine, ok, run, sha1, until, write_random};

const SIZE: usize = 6_000_000;

// S-074, S-076
#[test]
fn a_false_gcid_claim_is_found_out_and_costs_one_read_of_the_source() {
    let Some(mut m) = Machine::start("pikpak") else {
        return;
    };
    // The target knows the content that the claim names; the two files hold others.
    let named = m.out("named.bin");
    write_random(&named, SIZE, 31);
    m.tell(&format!("sim seed pikpak-2 /named.bin 0 --file {named}"));
    let (_, gcid) = hash_all(&[Kind::Gcid], &std::fs::read(&named).unwrap()).remove(0);
    for (name, seed) in [("copied", 33), ("moved", 35)] {
        let file = m.out(name);
        write_random(&file, SIZE, seed);
        m.tell(&format!("sim seed pikpak /{name} 0 --file {file}"));
        m.tell(&format!("sim set pikpak false_gcid:/{name} {gcid}"));
    }
    m.mount();
    for (program, name) in [("cp", "copied"), ("mv", "moved")] {
        let (right, wrong) = (sha1(&m.out(name)), sha1(&named));
        m.tell("sim reset pikpak");
        m.tell("sim fault pikpak download slow --arg 6000000 --count 0");
        let (from, to) = (
            m.at(&format!("pikpak/{name}")),
            m.at(&format!("pikpak-2/{name}")),
        );
        let work = std::thread::spawn(move || run(program, &[&from, &to]));
        let path = format!("/{name}");
        while !work.is_finished() {
            // The source first: it may go as soon as the target is right.
            let source = m.files("pikpak").contains(&path);
            let there = m.hashes("pikpak-2");
            let arrived = there.contains(&(path.clone(), right.clone()));
            assert!(source || arrived, "{program}: the content is nowhere");
        }
        let output = work.join().unwrap();
        assert!(output.status.success(), "{output:?}");
        let told = m.transfer(&format!("pikpak-2/{name}"));
        assert!(told["phase"] == "P3" || told["phase"] == "P4", "{told}");
        assert_eq!(told["verifyOk"], true);
        assert_eq!(sha1(&m.at(&format!("pikpak-2/{name}"))), right);
        let live: Vec<_> = m
            .hashes("pikpak-2")
            .into_iter()
            .filter(|(at, _)| *at == path)
            .collect();
        assert_eq!(live, [(path.clone(), right)]);
        // The file that the false hit made.
        assert!(m.trash("pikpak-2").iter().any(|(_, sha1)| *sha1 == wrong));
        // The samples and one pass, not two.
        let read = m.stat("pikpak")["bytes_down"].as_u64().unwrap();
        assert!(read <= SIZE as u64 + (512 << 10), "{program}: {read}");
    }
    m.tell("sync");
    assert_eq!(m.files("pikpak"), ["/copied"]);
    assert_eq!(m.uploads("pikpak-2"), 0);
}

// S-076
#[test]
fn a_move_that_is_interrupted_after_a_false_hit_keeps_its_source() {
    let Some(mut m) = Machine::start("pikpak") else {
        return;
    };
    let (named, held) = (m.out("named.bin"), m.out("held.bin"));
    write_random(&named, SIZE, 41);
    write_random(&held, SIZE, 43);
    let (_, gcid) = hash_all(&[Kind::Gcid], &std::fs::read(&named).unwrap()).remove(0);
    m.tell(&format!("sim seed pikpak-2 /named.bin 0 --file {named}"));
    m.tell(&format!("sim seed pikpak /held.bin 0 --file {held}"));
    m.tell(&format!("sim set pikpak false_gcid:/held.bin {gcid}"));
    m.mount();
    // The samples arrive; then the one read that mends it is long.
    m.tell("sim fault pikpak download slow --arg 400000 --count 0");
    let mut work = Command::new("mv")
        .args([m.at("pikpak/held.bin"), m.at("pikpak-2/held.bin")])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let wrong = sha1(&named);
    until("the false hit is in the trash", || {
        m.trash("pikpak-2").iter().any(|(_, sha1)| *sha1 == wrong)
    });
    ok("kill", &["-s", "INT", &work.id().to_string()]);
    assert!(!work.wait().unwrap().success());
    m.tell("sim reset pikpak");
    m.tell("sync");
    assert_eq!(m.files("pikpak"), ["/held.bin"]);
    assert_eq!(m.files("pikpak-2"), ["/named.bin"]);
    assert_eq!(m.names("pikpak-2"), ["named.bin"]);
    assert_eq!(sha1(&m.at("pikpak/held.bin")), sha1(&held));
}
