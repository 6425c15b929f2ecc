//! Profiles that come and go while the mount is there. Needs `/dev/fuse`; without it the tests say
//! so and pass.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::house::{House, Ran};

pub fn can_mount() -> bool {
    let device = fs::File::options().read(true).write(true).open("/dev/fuse");
    if let Err(error) = &device {
        eprintln!("SKIPPED, NOTHING TESTED: /dev/fuse: {error}");
    }
    device.is_ok()
}

/// A daemon in the foreground; gone with its mount at the end, however the test ends.
pub struct Mount {
    point: PathBuf,
    daemon: Child,
}

impl Mount {
    pub fn start(house: &House, options: &[&str]) -> Mount {
        let point = house.path("m");
        fs::create_dir_all(&point).unwrap();
        let mut command = house.command(&["mount", "--foreground"]);
        let mut daemon = command
            .arg(&point)
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(daemon.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("panfuse: mounted at") {
            let before = said.len();
            lines.read_line(&mut said).unwrap();
            assert!(said.len() > before, "the mount ended: {said}");
        }
        // What it says later must not block it.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Mount { point, daemon }
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.point)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub fn at(&self, path: &str) -> PathBuf {
        self.point.join(path)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        for (program, option) in [("fusermount3", "-uz"), ("umount", "-l")] {
            let mut command = Command::new(program);
            command.arg(option).arg(&self.point).stderr(Stdio::null());
            if command.status().is_ok_and(|status| status.success()) {
                break;
            }
        }
    }
}

/// Adds a directory of the house as a profile.
fn add(house: &House, name: &str, more: &Value) -> Ran {
    let dir = house.path(&format!("drives/{name}"));
    fs::create_dir_all(&dir).unwrap();
    let mut document = json!({ "fields": { "path": dir } });
    for (key, value) in more.as_object().unwrap() {
        document[key] = value.clone();
    }
    let words = ["profile", "add", name, "--provider", "local", "--json", "-"];
    house.run_with(house.command(&words), &document.to_string())
}

fn mounted_at(ran: &Ran) -> Option<PathBuf> {
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.json()["mountedAt"].as_str().map(PathBuf::from)
}

fn errno(result: std::io::Result<impl Sized>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

fn is_gone(path: &Path) -> bool {
    errno(fs::metadata(path)) == Some(libc::ENOENT)
}

#[test]
fn a_profile_comes_and_goes_while_the_mount_is_there() {
    if !can_mount() {
        return;
    }
    let house = House::new();
    assert_eq!(mounted_at(&add(&house, "a", &json!({}))), None, "no daemon");
    let mount = Mount::start(&house, &[]);
    // The kernel remembers that there is no such name.
    assert!(is_gone(&mount.at("b")));
    fs::create_dir_all(house.path("drives/b")).unwrap();
    fs::write(house.path("drives/b/f"), "text").unwrap();
    let added = add(&house, "b", &json!({}));
    assert_eq!(mounted_at(&added), Some(mount.at("b")));
    assert_eq!(mount.names(), ["a", "b"]);
    assert_eq!(fs::read(mount.at("b/f")).unwrap(), b"text");
    fs::write(mount.at("b/g"), "written").unwrap();
    assert_eq!(house.run(&["sync"]).code, 0);
    assert_eq!(fs::read(house.path("drives/b/g")).unwrap(), b"written");

    // Open files hold it; nothing is removed then.
    let mut open = fs::File::open(mount.at("b/f")).unwrap();
    let refused = house.run(&["profile", "rm", "b", "--json"]);
    assert_eq!(refused.error(), (1, "busy".to_owned()), "{refused:?}");
    assert!(refused.out.contains("--force"), "{refused:?}");
    assert_eq!(mount.names(), ["a", "b"]);
    assert_eq!(house.run(&["profile", "show", "b"]).code, 0);

    let removed = house.run(&["profile", "rm", "b", "--force", "--json"]);
    assert_eq!(removed.code, 0, "{removed:?}");
    assert_eq!(removed.json()["unmounted"], true);
    assert_eq!(mount.names(), ["a"]);
    assert!(is_gone(&mount.at("b")) && is_gone(&mount.at("b/f")));
    // What was open can be read to its end.
    let mut text = String::new();
    open.read_to_string(&mut text).unwrap();
    assert_eq!(text, "text");
    drop(open);
    assert!(house.path("drives/b/f").exists(), "nothing happens there");

    // Back again, and gone without force as nothing is open.
    assert_eq!(
        mounted_at(&add(&house, "b", &json!({}))),
        Some(mount.at("b"))
    );
    assert_eq!(fs::read(mount.at("b/g")).unwrap(), b"written");
    let removed = house.run(&["profile", "rm", "b"]);
    assert_eq!(removed.code, 0, "{removed:?}");
    assert!(removed.out.contains("let go"), "{removed:?}");
    assert_eq!(mount.names(), ["a"]);
}

#[test]
fn new_settings_of_a_mounted_profile_count_at_once_unless_it_is_in_use() {
    if !can_mount() {
        return;
    }
    let house = House::new();
    add(&house, "a", &json!({}));
    let mount = Mount::start(&house, &[]);
    fs::write(mount.at("a/before"), "").unwrap();
    assert_eq!(house.run(&["sync"]).code, 0);
    let open = fs::File::open(mount.at("a/before")).unwrap();
    let ran = add(&house, "a", &json!({ "read_only": true }));
    assert_eq!(mounted_at(&ran), None);
    assert!(ran.err.contains("goes on without"), "{ran:?}");
    fs::write(mount.at("a/still"), "").unwrap();
    drop(open);
    assert_eq!(house.run(&["sync"]).code, 0);
    let ran = add(&house, "a", &json!({ "read_only": true }));
    assert_eq!(mounted_at(&ran), Some(mount.at("a")));
    let refused = fs::write(mount.at("a/after"), "");
    assert_eq!(errno(refused), Some(libc::EROFS));
    assert!(fs::metadata(mount.at("a/before")).unwrap().is_file());
}

#[test]
fn a_mount_of_named_profiles_takes_no_other_in() {
    if !can_mount() {
        return;
    }
    let house = House::new();
    add(&house, "a", &json!({}));
    let mount = Mount::start(&house, &["-o", "profile=a"]);
    let ran = add(&house, "b", &json!({}));
    assert_eq!(mounted_at(&ran), None);
    assert!(ran.err.contains("named at the mount"), "{ran:?}");
    assert_eq!(mount.names(), ["a"]);
    let removed = house.run(&["profile", "rm", "b", "--json"]);
    assert_eq!(removed.json()["unmounted"], false);
}
