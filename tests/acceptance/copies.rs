//! `cp` and `mv` between drives.

use super::machine::{Machine, ok, run, until};

#[test]
fn cp_of_a_known_content_moves_no_byte() {
    let Some(mut m) = Machine::start("115_open,aliyundrive_open") else {
        return;
    };
    m.tell("sim seed 115 /film.mkv 300000000 --seed 1");
    m.tell("sim seed ali /x 300000000 --seed 1 --known-only");
    m.mount();
    ok("cp", &[&m.at("115/film.mkv"), &m.at("ali/film.mkv")]);
    let (source, target) = (m.stat("115"), m.stat("ali"));
    assert!(source["bytes_down"].as_u64().unwrap() <= 1 << 20);
    assert_eq!(
        (&target["bytes_up"], &target["rapid_hits"]),
        (&0.into(), &1.into())
    );
    let calls = ["create", "get", "complete"].map(|op| target["requests"][op].as_u64());
    assert!(calls.iter().flatten().sum::<u64>() <= 3);
    let told = m.transfer("ali/film.mkv");
    assert_eq!(
        (&told["phase"], &told["verifyMode"]),
        (&"P2".into(), &"hash".into())
    );
}

#[test]
fn sha1_reuse_reads_nothing_and_a_full_read_happens_at_most_once() {
    let Some(mut m) = Machine::start("115_open,123_open") else {
        return;
    };
    m.tell("sim seed 115 /known.bin 9000000 --seed 2");
    m.tell("sim seed 123 /x 9000000 --seed 2 --known-only");
    m.tell("sim seed 115 /md5only.bin 7000000 --seed 3");
    m.tell("sim set 123 sha1_index false");
    m.tell("sim seed 123 /y.bin 7000000 --seed 3");
    m.tell("sim set 123 sha1_index true");
    m.mount();
    ok("cp", &[&m.at("115/known.bin"), &m.at("123/known.bin")]);
    assert_eq!(m.stat("115")["bytes_down"], 0);
    assert_eq!(m.stat("123")["bytes_up"], 0);
    ok("cp", &[&m.at("115/md5only.bin"), &m.at("123/md5only.bin")]);
    assert!(m.stat("115")["bytes_down"].as_u64().unwrap() <= 7_000_000);
    assert_eq!(m.stat("123")["bytes_up"], 0);
    m.tell("sim reset 115");
    ok(
        "cp",
        &[&m.at("115/md5only.bin"), &m.at("123-2/md5only.bin")],
    );
    assert_eq!(m.stat("115")["bytes_down"], 0);
    assert_eq!(m.stat("123-2")["bytes_up"], 0);
}

#[test]
fn three_windows_decide_towards_pikpak_and_a_false_twin_is_noticed() {
    let Some(mut m) = Machine::start("123_open,pikpak") else {
        return;
    };
    m.tell("sim seed 123 /a.bin 20000000 --seed 4");
    m.tell("sim seed pikpak /x 20000000 --seed 4 --known-only");
    m.tell("sim seed 123 /twin.bin 5000000 --seed 5");
    m.tell("sim set pikpak cid_twin 5,5000000");
    m.mount();
    ok("cp", &[&m.at("123/a.bin"), &m.at("pikpak/a.bin")]);
    assert!(m.stat("123")["bytes_down"].as_u64().unwrap() <= 61_440 + (256 << 10));
    assert_eq!(m.stat("pikpak")["bytes_up"], 0);
    ok("mv", &[&m.at("123/twin.bin"), &m.at("pikpak/twin.bin")]);
    m.tell("sync");
    ok("cp", &[&m.at("pikpak/twin.bin"), &m.out("twin")]);
    let stored = m.tree("pikpak");
    let live: Vec<_> = stored["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item["path"] == "/twin.bin" && item["trashed"] == false)
        .collect();
    assert_eq!(live.len(), 1);
    assert_eq!(
        ok("sha1sum", &[&m.out("twin")])[..40],
        *live[0]["sha1"].as_str().unwrap()
    );
    assert!(m.stat("pikpak")["bytes_up"].as_u64().unwrap() >= 5_000_000);
    assert_eq!(m.files("123"), ["/a.bin"]);
}

// S-091
#[test]
fn a_refused_commit_keeps_the_old_file_and_the_source_of_a_move() {
    let Some(mut m) = Machine::start("115_open,aliyundrive_open") else {
        return;
    };
    m.tell("sim seed 115 /new.bin 6000000 --seed 6");
    m.tell("sim seed ali /doc.bin 5000 --seed 7");
    m.mount();
    let before = ok("sha1sum", &[&m.at("ali/doc.bin")]);
    m.tell("sim fault ali complete errno --arg 400:BadRequest --count 0");
    assert!(
        !run("cp", &[&m.at("115/new.bin"), &m.at("ali/doc.bin")])
            .status
            .success()
    );
    assert_eq!(ok("sha1sum", &[&m.at("ali/doc.bin")]), before);
    assert!(
        !run("mv", &[&m.at("115/new.bin"), &m.at("ali/moved.bin")])
            .status
            .success()
    );
    // The clean-up goes on behind the program.
    until("nothing is left of it", || m.files("ali") == ["/doc.bin"]);
    assert_eq!(m.files("115"), ["/new.bin"]);
    m.tell("sim reset ali");
    ok("mv", &[&m.at("115/new.bin"), &m.at("ali/moved.bin")]);
    m.tell("sync");
    assert_eq!(m.files("115"), Vec::<String>::new());
    assert_eq!(m.files("ali"), ["/doc.bin", "/moved.bin"]);
    assert_eq!(m.uploads("ali"), 0);
}

// S-079
#[test]
fn an_interrupted_cp_leaves_nothing_and_an_interrupted_overwrite_leaves_the_old_file() {
    let Some(mut m) = Machine::start("115_open,aliyundrive_open") else {
        return;
    };
    m.tell("sim seed 115 /slow.bin 60000000 --seed 8");
    m.tell("sim seed ali /old.bin 4000 --seed 9");
    m.tell("sim fault ali upload_part slow --arg 2000000 --count 0");
    m.mount();
    let before = ok("sha1sum", &[&m.at("ali/old.bin")]);
    for target in ["ali/new.bin", "ali/old.bin"] {
        let output = run(
            "timeout",
            &["-s", "INT", "2", "cp", &m.at("115/slow.bin"), &m.at(target)],
        );
        assert!(!output.status.success());
    }
    // The clean-up goes on behind the program.
    for _ in 0..100 {
        if m.uploads("ali") == 0 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(m.uploads("ali"), 0);
    assert_eq!(m.files("ali"), ["/old.bin"]);
    assert_eq!(ok("sha1sum", &[&m.at("ali/old.bin")]), before);
    assert_eq!(ok("ls", &[&m.at("ali")]), "old.bin\n");
}

// S-085
#[test]
fn a_destination_renamed_or_removed_during_cp_gets_the_right_name_or_none() {
    let Some(mut m) = Machine::start("115_open,aliyundrive_open") else {
        return;
    };
    m.tell("sim seed 115 /slow.bin 40000000 --seed 10");
    m.tell("sim fault ali upload_part slow --arg 12000000 --count 0");
    m.mount();
    for (name, change) in [("renamed", true), ("removed", false)] {
        let (from, to) = (m.at("115/slow.bin"), m.at(&format!("ali/{name}.bin")));
        let copy = std::thread::spawn({
            let to = to.clone();
            move || run("cp", &[&from, &to])
        });
        while !std::path::Path::new(&to).exists() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
        if change {
            ok("mv", &[&to, &m.at("ali/other.bin")]);
        } else {
            ok("rm", &[&to]);
        }
        copy.join().unwrap();
    }
    m.tell("sync");
    for _ in 0..100 {
        if m.uploads("ali") == 0 && m.files("ali") == ["/other.bin"] {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(m.files("ali"), ["/other.bin"]);
    assert_eq!(m.uploads("ali"), 0);
    ok("cmp", &[&m.at("115/slow.bin"), &m.at("ali/other.bin")]);
}
