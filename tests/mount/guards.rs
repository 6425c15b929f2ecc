//! Guards as real programs meet them: what the kernel believes must not get between.

use std::fs;
use std::time::{Duration, Instant};

use crate::cloud::{Cloud, mounted};

/// A notification reaches the kernel a moment after the answer that caused it.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn set(cloud: &Cloud, path: &str, name: &str, value: &str) {
    cloud.sh(&format!(
        "python3 -c 'import os; os.setxattr(\"{path}\", \"user.pan.{name}\", b\"{value}\")'"
    ));
}

fn reads(cloud: &Cloud, path: &str, text: &str) {
    until(&format!("{path} reads {text:?}"), || {
        fs::read_to_string(cloud.at(path)).is_ok_and(|read| read == text)
    });
    assert_eq!(fs::read_to_string(cloud.behind(path)).unwrap(), text);
}

// S-168 (the mount of these tests believes "no such file" for an hour)
#[test]
fn a_name_that_was_missed_is_seen_once_a_listing_brings_it() {
    mounted("", |cloud| {
        assert!(!cloud.at("a/late").exists());
        assert!(!cloud.at("a/made").exists());
        fs::write(cloud.at("a/made"), "here").unwrap();
        reads(cloud, "a/made", "here");
        fs::rename(cloud.at("a/made"), cloud.at("a/moved")).unwrap();
        assert!(!cloud.at("a/made").exists());
        fs::write(cloud.behind("a/late"), "behind").unwrap();
        set(cloud, "a", "refresh", "1");
        reads(cloud, "a/late", "behind");
    });
}

// S-165, S-166
#[test]
fn real_programs_meet_the_policy_of_a_directory() {
    mounted("", |cloud| {
        fs::write(cloud.at("a/old.txt"), "old").unwrap();
        fs::write(cloud.at("b/new.txt"), "the new one").unwrap();
        let before = fs::metadata(cloud.at("a/old.txt")).unwrap();
        set(cloud, "a", "conflict_policy", "auto_rename_new");
        cloud.sh("touch -d 2001-01-01 b/new.txt; cp -p b/new.txt a/old.txt");
        reads(cloud, "a/old.txt", "old");
        reads(cloud, "a/old (1).txt", "the new one");
        let after = fs::metadata(cloud.at("a/old.txt")).unwrap();
        assert_eq!(after.modified().unwrap(), before.modified().unwrap());
        assert_eq!(after.len(), 3);
        cloud.sh("echo written > a/old.txt");
        reads(cloud, "a/old (2).txt", "written\n");
        cloud.sh("printf moved > a/x; mv a/x a/old.txt");
        reads(cloud, "a/old.txt", "old");
        reads(cloud, "a/old (3).txt", "moved");
        assert!(!cloud.at("a/x").exists());
        set(cloud, "a", "conflict_policy", "fail");
        cloud.sh("! cp b/new.txt a/old.txt 2> /dev/null && ! mv b/new.txt a/old.txt 2> /dev/null");
        reads(cloud, "a/old.txt", "old");
        reads(cloud, "b/new.txt", "the new one");
        cloud.sh("python3 -c 'import os; os.removexattr(\"a\", \"user.pan.conflict_policy\")'");
        cloud.sh("mv b/new.txt a/old.txt");
        reads(cloud, "a/old.txt", "the new one");
        let names = cloud.sh("ls a");
        assert_eq!(names, "old (1).txt\nold (2).txt\nold (3).txt\nold.txt\n");
    });
}
