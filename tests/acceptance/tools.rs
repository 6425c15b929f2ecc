//! Other programs on the mount.

use super::machine::{Machine, ok, write_random};

#[test]
fn rsync_finds_nothing_to_do_the_second_time() {
    let Some(mut m) = Machine::start("115_open,aliyundrive_open") else {
        return;
    };
    for n in 1..6 {
        write_random(&m.out(&format!("d/f{n}.txt")), 70_000 * n, n as u64);
    }
    write_random(&m.out("d/big.bin"), 6_000_000, 9);
    m.mount();
    for drive in ["ali", "115"] {
        let target = m.at(&format!("{drive}/d/"));
        ok("rsync", &["-a", &m.out("d/"), &target]);
        m.tell("sync");
        assert_eq!(ok("rsync", &["-ai", &m.out("d/"), &target]), "", "{drive}");
        ok("diff", &["-r", &m.out("d"), &target]);
        let mut files = m.files(drive);
        files.sort();
        let expected = [
            "/d/big.bin",
            "/d/f1.txt",
            "/d/f2.txt",
            "/d/f3.txt",
            "/d/f4.txt",
            "/d/f5.txt",
        ];
        assert_eq!(files, expected, "{drive}");
    }
}

#[test]
fn a_patch_in_the_middle_gives_the_exact_file() {
    let Some(mut m) = Machine::start("aliyundrive_open") else {
        return;
    };
    m.tell("sim seed ali /ten.bin 10485760 --seed 11");
    m.mount();
    ok("cp", &[&m.at("ali/ten.bin"), &m.out("ten.bin")]);
    write_random(&m.out("patch"), 1 << 20, 5);
    for file in [m.out("ten.bin"), m.at("ali/ten.bin")] {
        let (input, output) = (format!("if={}", m.out("patch")), format!("of={file}"));
        ok("dd", &[&input, &output, "bs=1M", "seek=5", "conv=notrunc"]);
    }
    ok("cmp", &[&m.out("ten.bin"), &m.at("ali/ten.bin")]);
    m.tell("sync");
    assert_eq!(m.files("ali"), ["/ten.bin"]);
}

#[test]
fn a_large_directory_is_listed_once_also_after_mounting_again() {
    let Some(mut m) = Machine::start("115_open") else {
        return;
    };
    // Pages of 1,150.
    m.seed_many("115", "/many", 10_000);
    let calls = 10_000_u64.div_ceil(1_150);
    let listed = |m: &Machine| m.stat("115")["requests"]["list"].as_u64().unwrap_or(0);
    m.mount();
    ok("ls", &[&m.at("115")]);
    m.tell("sim reset 115");
    assert_eq!(m.names("115/many").len(), 10_000);
    assert_eq!(listed(&m), calls);
    ok("ls", &["-lR", &m.at("115")]);
    ok("find", &[&m.at("115")]);
    assert_eq!(listed(&m), calls);
    m.unmount();
    m.tell("sim reset 115");
    m.mount();
    let names = m.names("115/many");
    assert_eq!((names.len(), &*names[9_999]), (10_000, "f09999"));
    assert_eq!(m.stat("115")["requests"], serde_json::json!({}));
}

#[test]
fn everyday_tools_behave() {
    let Some(mut m) = Machine::start("aliyundrive_open,115_open") else {
        return;
    };
    write_random(&m.out("t/a.bin"), 200_000, 3);
    write_random(&m.out("t/sub/b.txt"), 3_000, 4);
    m.mount();
    ok("cp", &["-a", &m.out("t"), &m.at("ali/t")]);
    ok("diff", &["-r", &m.out("t"), &m.at("ali/t")]);
    ok("tar", &["-C", &m.at("ali"), "-cf", &m.out("t.tar"), "t"]);
    std::fs::create_dir(m.out("unpacked")).unwrap();
    ok("tar", &["-C", &m.out("unpacked"), "-xf", &m.out("t.tar")]);
    ok("diff", &["-r", &m.out("t"), &m.out("unpacked/t")]);
    ok("tar", &["-C", &m.at("115"), "-xf", &m.out("t.tar")]);
    ok("diff", &["-r", &m.out("t"), &m.at("115/t")]);
    assert!(ok("du", &["-sb", "--apparent-size", &m.at("ali/t")]).starts_with("203000"));
    assert_eq!(
        ok("df", &["--output=fstype", &m.at("ali")]).lines().count(),
        2
    );
    let script = format!(
        "import shutil; shutil.copy2({:?}, {:?})",
        m.at("ali/t/a.bin"),
        m.at("115/c.bin")
    );
    ok("python3", &["-c", &script]);
    ok("cmp", &[&m.out("t/a.bin"), &m.at("115/c.bin")]);
    // An editor's save: write beside, rename over.
    for text in ["one", "two", "three"] {
        std::fs::write(m.at("ali/.doc.swp"), text).unwrap();
        std::fs::rename(m.at("ali/.doc.swp"), m.at("ali/doc.txt")).unwrap();
        assert_eq!(std::fs::read_to_string(m.at("ali/doc.txt")).unwrap(), text);
    }
    m.tell("sync");
    let mut files = m.files("ali");
    files.sort();
    assert_eq!(files, ["/doc.txt", "/t/a.bin", "/t/sub/b.txt"]);
}
