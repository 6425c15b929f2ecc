//! kill -9 of the daemon.

use std::io::Write;

use super::machine::{Machine, ok, run, sha1, until, write_random};

#[test]
fn a_moved_directory_is_whole_at_the_target_before_its_source_goes() {
    let Some(mut m) = Machine::start("115_open,aliyundrive_open") else {
        return;
    };
    for n in 0..12 {
        m.tell(&format!("sim seed 115 /dir/f{n} 6000 --seed 2{n}"));
        m.tell(&format!("sim seed 115 /copied/g{n} 6000 --seed 3{n}"));
    }
    m.tell("sim fault ali upload_part stall --arg 3000 --count 0");
    m.mount();
    ok("mv", &[&m.at("115/dir"), &m.at("ali/dir")]);
    ok("cp", &["-r", &m.at("115/copied"), &m.at("ali/copied")]);
    ok("rm", &["-r", &m.at("115/copied")]);
    m.kill_daemon();
    let mut somewhere = m.files("115");
    somewhere.extend(m.files("ali"));
    somewhere.sort();
    somewhere.dedup();
    assert_eq!(somewhere.len(), 24, "a source went too early");
    m.tell("sim reset ali");
    m.mount();
    assert_eq!(ok("ls", &[&m.at("ali/dir")]).lines().count(), 12);
    assert_eq!(ok("ls", &[&m.at("115")]), "");
    m.tell("sync");
    assert_eq!(m.files("ali").len(), 24);
    assert_eq!(m.files("115"), Vec::<String>::new());
    assert_eq!(m.uploads("ali"), 0);
}

#[test]
fn parts_that_were_accepted_are_not_sent_again() {
    let Some(mut m) = Machine::start("aliyundrive_open") else {
        return;
    };
    let big = m.out("big.bin");
    write_random(&big, 100_000_000, 77);
    m.tell("sim fault ali upload_part slow --arg 14000000 --count 0");
    m.mount();
    let copy = std::thread::spawn({
        let (from, to) = (big.clone(), m.at("ali/big.bin"));
        move || run("cp", &[&from, &to])
    });
    while m.stat("ali")["requests"]["upload_part"]
        .as_u64()
        .unwrap_or(0)
        < 3
    {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    m.kill_daemon();
    assert!(!copy.join().unwrap().status.success());
    // What the dead program had sent is still being counted for a moment.
    let mut counted = m.stat("ali");
    loop {
        std::thread::sleep(std::time::Duration::from_millis(500));
        let now = m.stat("ali");
        if now == counted {
            break;
        }
        counted = now;
    }
    m.tell("sim reset ali");
    m.mount();
    m.tell("sync");
    assert_eq!(m.files("ali"), ["/big.bin"]);
    assert!(m.stat("ali")["bytes_up"].as_u64().unwrap() <= 100_000_000 - 2 * (16 << 20));
    ok("cmp", &[&big, &m.at("ali/big.bin")]);
}

#[test]
fn acknowledged_small_files_survive() {
    let Some(mut m) = Machine::start("123_open") else {
        return;
    };
    for n in 0..10 {
        write_random(&m.out(&format!("small/s{n}")), 20_000, n + 1);
    }
    m.tell("sim fault 123 upload_part slow --arg 10000 --count 0");
    m.mount();
    ok("cp", &["-r", &m.out("small"), &m.at("123/small")]);
    m.kill_daemon();
    m.tell("sim reset 123");
    m.mount();
    ok("diff", &["-r", &m.out("small"), &m.at("123/small")]);
    m.tell("sync");
    assert_eq!(m.files("123").len(), 10);
    ok("diff", &["-r", &m.out("small"), &m.at("123/small")]);
}

// S-142
#[test]
fn a_file_that_was_open_when_the_daemon_died_is_not_published_and_not_lost() {
    let Some(mut m) = Machine::start("aliyundrive_open") else {
        return;
    };
    m.tell("sim seed ali /old.bin 5000 --seed 1");
    m.mount();
    let before = sha1(&m.at("ali/old.bin"));
    let mut open = Vec::new();
    for name in ["new.bin", "old.bin"] {
        let mut file = std::fs::File::create(m.at(&format!("ali/{name}"))).unwrap();
        file.write_all(name.repeat(9_000).as_bytes()).unwrap();
        open.push(file);
    }
    m.kill_daemon();
    drop(open);
    m.mount();
    assert_eq!(sha1(&m.at("ali/old.bin")), before);
    assert_eq!(m.names("ali"), ["old.bin"]);
    m.tell("sync");
    assert_eq!(m.files("ali"), ["/old.bin"]);
    let kept = m.recovered();
    assert_eq!(kept.len(), 2, "{kept:?}");
    for name in ["new.bin", "old.bin"] {
        let path = kept
            .iter()
            .find(|path| path.display().to_string().ends_with(name))
            .unwrap();
        assert_eq!(std::fs::read(path).unwrap(), name.repeat(9_000).as_bytes());
    }
}

// S-143
#[test]
fn a_damaged_catalog_costs_a_listing_and_a_damaged_journal_stops_the_mount() {
    let Some(mut m) = Machine::start("aliyundrive_open") else {
        return;
    };
    m.tell("sim seed ali /a.bin 5000 --seed 1");
    m.mount();
    assert_eq!(m.names("ali"), ["a.bin"]);
    m.unmount();
    let rubbish = vec![b'?'; 20_000];
    let catalog = m.kept("data/catalog.db");
    std::fs::write(&catalog, &rubbish).unwrap();
    m.tell("sim reset ali");
    m.mount();
    assert_eq!(m.names("ali"), ["a.bin"]);
    assert!(m.stat("ali")["requests"]["list"].as_u64().unwrap() >= 1);
    m.unmount();
    let aside = std::fs::read_dir(m.kept("data"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| std::fs::read(path).is_ok_and(|bytes| bytes == rubbish));
    assert!(
        aside.is_some_and(|path| path != catalog),
        "it was thrown away"
    );

    let journal = m.kept("state/journal.db");
    std::fs::write(&journal, &rubbish).unwrap();
    let output = m.say(&format!("--json mount {}", m.mount_point().display()));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["error"]["code"], "journal", "{said}");
    assert_eq!(std::fs::read(&journal).unwrap(), rubbish);
}

// S-146
#[test]
fn a_second_daemon_of_a_state_directory_is_refused_and_told_who_is_first() {
    let Some(mut m) = Machine::start("aliyundrive_open") else {
        return;
    };
    m.mount();
    let other = m.out("other");
    std::fs::create_dir(&other).unwrap();
    for words in ["mount", "mount --foreground"] {
        let output = m.say(&format!("--json {words} {other}"));
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(said["error"]["code"], "daemon_running", "{said}");
        let message = said["error"]["message"].as_str().unwrap();
        assert!(
            message.contains(&m.mount_point().display().to_string()),
            "{message}"
        );
    }
    assert_eq!(std::fs::read_dir(&other).unwrap().count(), 0);
    assert_eq!(m.names(""), ["ali", "ali-2", "local"]);
    // After a kill the lock is free.
    m.kill_daemon();
    m.mount();
    assert_eq!(m.names(""), ["ali", "ali-2", "local"]);
}

// S-141
#[test]
fn a_copy_that_nobody_was_promised_is_finished_after_a_crash_when_its_upload_had_begun() {
    let Some(mut m) = Machine::start("115_open,aliyundrive_open") else {
        return;
    };
    for name in ["same", "changed"] {
        m.tell(&format!(
            "sim seed 115 /{name}.bin 40000000 --seed {}",
            name.len()
        ));
    }
    m.tell("sim fault ali upload_part slow --arg 8000000 --count 0");
    m.mount();
    let right = sha1(&m.at("115/same.bin"));
    let copies: Vec<_> = ["same", "changed"]
        .map(|name| {
            let from = m.at(&format!("115/{name}.bin"));
            let to = m.at(&format!("ali/{name}.bin"));
            std::thread::spawn(move || run("cp", &[&from, &to]))
        })
        .into();
    until("both uploads have begun", || {
        m.stat("ali")["requests"]["upload_part"].as_u64() >= Some(2) && m.uploads("ali") == 2
    });
    m.kill_daemon();
    for copy in copies {
        assert!(!copy.join().unwrap().status.success());
    }
    // Somebody writes one of the sources meanwhile.
    m.tell("sim seed 115 /changed.bin 40000000 --seed 99");
    m.tell("sim reset ali");
    m.mount();
    m.tell("sync");
    until("what cannot go on is cleaned", || m.uploads("ali") == 0);
    assert_eq!(m.hashes("ali"), [("/same.bin".to_owned(), right)]);
    assert_eq!(m.names("ali"), ["same.bin"]);
}
