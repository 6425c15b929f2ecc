//! Shares in the mount, and what drives tell about their files, with the tools people use.

use super::machine::{Machine, ok, run, sha1};

/// A share is copied out of, never written to, and saved from without moving a byte.
#[test]
fn a_share_is_copied_out_of_never_written_to_and_saved_from() {
    let Some(mut m) = Machine::start("quark,uc,189cloud,aliyundrive_open") else {
        return;
    };
    for (share, seed) in [("quark-share", 1), ("uc-share", 2), ("189-share", 3)] {
        m.tell(&format!(
            "sim seed {share} /season/one.mkv 5000000 --seed {seed}0"
        ));
        m.tell(&format!(
            "sim seed {share} /season/two.mkv 700000 --seed {seed}1"
        ));
    }
    m.mount();
    for account in ["quark", "uc", "189"] {
        let share = format!("{account}-share");
        let at = |path: &str| m.at(&format!("{share}/{path}"));
        // Nothing is written, whatever the tool.
        let refused = run("touch", &[&at("season/new")]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(
            String::from_utf8_lossy(&refused.stderr).contains("Read-only file system"),
            "{refused:?}"
        );
        for words in [
            vec!["mkdir".to_owned(), at("d")],
            vec!["rm".to_owned(), at("season/one.mkv")],
            vec!["mv".to_owned(), at("season/one.mkv"), at("one.mkv")],
        ] {
            let rest: Vec<&str> = words[1..].iter().map(String::as_str).collect();
            let refused = run(&words[0], &rest);
            assert!(!refused.status.success(), "{words:?}");
        }
        // A copy into an account of the provider is the provider's.
        let target = m.at(&format!("{account}/one.mkv"));
        ok("cp", &[&at("season/one.mkv"), &target]);
        m.tell("sync");
        assert_eq!(m.transfer(&format!("{account}/one.mkv"))["phase"], "P0");
        assert_eq!(m.stat(account)["bytes_up"], 0);
        // A whole directory, by the command.
        m.tell(&format!("sim reset {account}"));
        m.tell(&format!("sim reset {share}"));
        ok("mkdir", &[&m.at(&format!("{account}/saved"))]);
        m.tell(&format!(
            "share save {} {}",
            at("season"),
            m.at(&format!("{account}/saved"))
        ));
        for profile in [account, &share] {
            let stat = m.stat(profile);
            assert_eq!(
                (&stat["bytes_up"], &stat["bytes_down"]),
                (&0.into(), &0.into())
            );
        }
        assert_eq!(
            m.names(&format!("{account}/saved/season")),
            ["one.mkv", "two.mkv"]
        );
        let theirs: Vec<_> = m.hashes(&share);
        let saved = m.hashes(account);
        for (path, hash) in theirs {
            assert!(saved.contains(&(format!("/saved{path}"), hash)), "{path}");
        }
    }
    // Elsewhere the bytes are read, where the service gives them to a guest.
    for share in ["quark-share", "uc-share"] {
        let (from, to) = (
            m.at(&format!("{share}/season/two.mkv")),
            m.at(&format!("ali/{share}")),
        );
        ok("cp", &[&from, &to]);
        assert_eq!(sha1(&to), sha1(&from));
    }
    // Tianyi gives a share's bytes only to somebody who is logged in: the program is told.
    let refused = run(
        "cp",
        &[&m.at("189-share/season/two.mkv"), &m.out("two.mkv")],
    );
    assert!(!refused.status.success());
    m.unmount();
}

/// Baidu's listed hash is not the content's: no md5 is shown before it is known truly.
#[test]
fn getfattr_shows_no_md5_of_a_baidu_file_before_it_is_known() {
    let Some(mut m) = Machine::start("baidu_netdisk,189cloud") else {
        return;
    };
    m.tell("sim seed baidu /a.bin 5000000 --seed 5");
    m.tell("sim seed 189 /b.bin 3000000 --seed 6");
    m.tell("sim seed baidu-2 /theirs.bin 3000000 --seed 6");
    m.mount();
    let shown = |path: &str| ok("getfattr", &["-d", "-m", "-", &m.at(path)]);
    let before = shown("baidu/a.bin");
    assert!(!before.contains("user.pan.md5"), "{before}");
    m.tell(&format!("hash --compute {}", m.at("baidu/a.bin")));
    let after = shown("baidu/a.bin");
    assert!(after.contains("user.pan.md5="), "{after}");
    let md5sum = ok("md5sum", &[&m.at("baidu/a.bin")]);
    let md5 = md5sum.split(' ').next().unwrap();
    assert_eq!(m.attribute("baidu/a.bin", "user.pan.md5"), md5);
    assert!(
        m.attribute("baidu/a.bin", "user.pan.fp_source")
            .contains("computed"),
        "{after}"
    );
    // A hit proves what the content is.
    ok("cp", &[&m.at("189/b.bin"), &m.at("baidu/b.bin")]);
    m.tell("sync");
    assert_eq!(m.stat("baidu")["rapid_hits"], 1);
    let hit = shown("baidu/b.bin");
    let md5sum = ok("md5sum", &[&m.at("189/b.bin")]);
    assert!(hit.contains(md5sum.split(' ').next().unwrap()), "{hit}");
    m.unmount();
}
