//! kill -9 of the daemon.

use super::machine::{Machine, ok, run, write_random};

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
