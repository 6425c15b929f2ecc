//! `panfuse sim`: a served world, driven from other processes.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::house::{House, Ran};

/// One provider is enough here, and faster.
const KEY: &str = "aliyundrive_open";

/// `panfuse sim serve` in a child process.
struct Served {
    child: Child,
    ready: Value,
}

impl Served {
    fn start(house: &House, more: &[&str]) -> Served {
        let mut command = house.command(&["sim", "serve", "--only", KEY]);
        let mut child = command
            .args(more)
            .env("TMPDIR", house.path(""))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let out = child.stdout.as_mut().expect("a pipe");
        BufReader::with_capacity(1, out)
            .read_line(&mut line)
            .expect("a line");
        let ready = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("not a JSON line: {error}: {line:?}"));
        Served { child, ready }
    }

    fn profile(&self, index: usize) -> String {
        let name = self.ready["profiles"][index]["name"].as_str();
        name.expect("a name").to_owned()
    }

    fn config_dir(&self) -> PathBuf {
        self.ready["config_dir"].as_str().expect("a path").into()
    }

    /// Asks it to end; answers exit code and what it still printed.
    fn end(mut self, signal: &str) -> (Option<i32>, String, String) {
        let pid = self.child.id().to_string();
        let killed = Command::new("kill").args([signal, &pid]).status();
        assert!(killed.is_ok_and(|status| status.success()));
        let status = self.child.wait().expect("it ends");
        let (mut out, mut err) = (String::new(), String::new());
        let child = &mut self.child;
        child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut out)
            .unwrap();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut err)
            .unwrap();
        (status.code(), out, err)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn good(house: &House, words: &[&str]) -> Value {
    let mut all = vec!["sim"];
    all.extend(words);
    all.push("--json");
    let ran = house.run(&all);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{words:?}: {ran:?}");
    ran.json()
}

fn paths(tree: &Value) -> Vec<&str> {
    let items = tree["items"].as_array().expect("items");
    items
        .iter()
        .filter_map(|item| item["path"].as_str())
        .collect()
}

#[test]
fn a_served_world_is_driven_from_outside_and_leaves_nothing() {
    let house = House::new();
    let served = Served::start(&house, &[]);
    let (one, two) = (served.profile(0), served.profile(1));
    let admin = served.ready["admin"].as_str().unwrap().to_owned();
    assert!(admin.starts_with("http://127.0.0.1:"), "{admin}");
    assert_eq!(served.ready["profiles"][0]["provider"], KEY);
    assert_eq!(served.ready["profiles"][1]["account"], json!(two));
    let api = served.ready["endpoints"][KEY]["api"].as_str().unwrap();
    assert!(api.starts_with("http://127.0.0.1:"), "{api}");

    // Files, and what they hold.
    good(&house, &["seed", &one, "/a/b.bin", "100K", "--seed", "7"]);
    let like = format!("{one}:/a/b.bin");
    good(&house, &["seed", &two, "/copy.bin", "0", "--like", &like]);
    std::fs::write(house.path("note.txt"), "hello").unwrap();
    good(
        &house,
        &["seed", &two, "/note.txt", "0", "--file", "note.txt"],
    );
    let known = good(&house, &["seed", &two, "/no.bin", "9", "--known-only"]);
    assert_eq!(known["id"], Value::Null);
    good(&house, &["mkdir", &two, "/empty/deep"]);
    let first = good(&house, &["tree", &one]);
    assert_eq!(paths(&first), ["/a", "/a/b.bin"]);
    let second = good(&house, &["tree", &two]);
    assert_eq!(
        paths(&second),
        ["/copy.bin", "/empty", "/empty/deep", "/note.txt"]
    );
    assert_eq!(second["items"][0]["size"], 102_400);
    assert_eq!(second["items"][0]["sha1"], first["items"][1]["sha1"]);
    assert_eq!(
        second["items"][3]["md5"],
        "5d41402abc4b2a76b9719d911017c592"
    );
    assert_eq!(second["uploads"], json!([]));
    let text = house.run(&["sim", "tree", &two]).out;
    assert!(
        text.contains("/note.txt") && text.contains("aaf4c61d"),
        "{text}"
    );

    // Bytes.
    let ran = house.run(&[
        "sim",
        "read",
        &two,
        "/note.txt",
        "--offset",
        "1",
        "--len",
        "3",
    ]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "ell"));
    let read = good(&house, &["read", &two, "/note.txt"]);
    assert_eq!(read["base64"], "aGVsbG8=");
    let out = house.path("out.bin");
    let read = good(
        &house,
        &["read", &one, "/a/b.bin", "--out", out.to_str().unwrap()],
    );
    assert_eq!(read["bytes"], 102_400);
    assert_eq!(std::fs::metadata(&out).unwrap().len(), 102_400);
    good(&house, &["corrupt", &two, "/note.txt"]);
    let ran = house.run(&["sim", "read", &two, "/note.txt"]);
    assert_eq!(ran.out.len(), 5);
    assert_ne!(ran.out, "hello");

    // Clock.
    let before = good(&house, &["clock", "+0s"])["now_ms"].as_i64().unwrap();
    let after = good(&house, &["clock", "+1h"])["now_ms"].as_i64().unwrap();
    assert!(after - before >= 3_600_000, "{before} {after}");
    let back = good(&house, &["clock", "-1h30m"])["now_ms"]
        .as_i64()
        .unwrap();
    assert!(back < before, "{before} {back}");

    // Both ways to find it.
    let by_address = good(&house, &["stat", &one, "--admin", &admin]);
    assert_eq!(by_address, good(&house, &["stat", &one]));
    let config = served.ready["config"].as_str().unwrap();
    let ran = house.run(&["--config", config, "sim", "stat", &one, "--json"]);
    assert_eq!(ran.json(), by_address);

    let dir = served.config_dir();
    assert!(dir.join("config.toml").exists());
    let ended = served.end("-TERM");
    assert_eq!(ended, (Some(0), String::new(), String::new()));
    assert!(!dir.exists(), "{}", dir.display());
    assert!(!house.path("run/panfuse/sim.json").exists());
    let ran = house.run(&["sim", "stat", &one, "--json"]);
    assert_eq!(ran.error(), (1, "no_simulators".to_owned()));
}

fn validate(house: &House, config: &Path) -> Ran {
    let config = config.to_str().unwrap();
    house.run(&["--config", config, "profile", "validate", "--all", "--json"])
}

#[test]
fn the_settings_work_and_meters_faults_and_reset_do_too() {
    let house = House::new();
    let served = Served::start(&house, &["--dir", "box", "--accounts", "1", "--json"]);
    let one = served.profile(0);
    assert_eq!(served.ready["profiles"].as_array().unwrap().len(), 1);
    assert_eq!(served.config_dir(), house.path("box"));
    let config = house.path("box/config.toml");
    let ran = house.run(&[
        "--config",
        config.to_str().unwrap(),
        "profile",
        "ls",
        "--json",
    ]);
    let list = ran.json();
    let named: Vec<(&str, &str)> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            let text = |key: &str| item[key].as_str().unwrap();
            (text("name"), text("provider"))
        })
        .collect();
    assert_eq!(named, [(one.as_str(), KEY), ("local", "local")]);

    let nothing = good(&house, &["stat", &one]);
    assert_eq!(nothing["requests"], json!({}));
    let ran = validate(&house, &config);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.json()["ok"], 2);
    let stat = good(&house, &["stat", &one]);
    assert!(stat["requests"]["list"].as_u64() >= Some(1), "{stat}");
    assert_eq!(stat["refreshes"], 1);
    let text = house.run(&["sim", "stat", &one]).out;
    assert!(text.contains("requests list"), "{text}");

    // A fault strikes until the reset, and the meters start anew with it.
    let fault = good(
        &house,
        &["fault", &one, "*", "status", "--count", "0", "--arg", "403"],
    );
    assert_eq!(
        (&fault["kind"], &fault["count"]),
        (&json!("status"), &json!(0))
    );
    let ran = validate(&house, &config);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(ran.json()["error"]["validation"]["failed"], 1);
    good(&house, &["reset", &one]);
    assert_eq!(good(&house, &["stat", &one])["requests"], json!({}));
    let ran = validate(&house, &config);
    assert_eq!(ran.code, 0, "{ran:?}");

    let ended = served.end("-INT");
    assert_eq!(ended, (Some(0), String::new(), String::new()));
    // A directory that was named stays, and can be served from again.
    assert!(config.exists());
    assert!(!house.path("box/run/sim.json").exists());
    let again = Served::start(&house, &["--dir", "box"]);
    let ran = validate(&house, &config);
    assert_eq!(ran.code, 0, "{ran:?}");
    drop(again);
}

#[test]
fn mistakes_are_named_with_the_way_out() {
    let house = House::new();
    let served = Served::start(&house, &[]);
    let (one, two) = (served.profile(0), served.profile(1));
    let admin = served.ready["admin"].as_str().unwrap().to_owned();
    let mistyped = format!("{one}x");
    let told = |words: &[&str]| {
        let mut all = vec!["sim"];
        all.extend(words);
        all.push("--json");
        let ran = house.run(&all);
        let hint = ran.json()["error"]["hint"]
            .as_str()
            .unwrap_or("")
            .to_owned();
        let (code, name) = ran.error();
        (code, name, hint)
    };
    for words in [
        &["stat", mistyped.as_str()][..],
        &["tree", &mistyped, "--admin", &admin],
        &["fault", &mistyped, "list", "stall"],
        &["seed", &two, "/x", "1", "--like", &format!("{mistyped}:/y")],
    ] {
        let (code, name, hint) = told(words);
        assert_eq!((code, name.as_str()), (2, "profile_not_found"), "{words:?}");
        assert!(
            hint.contains(&format!("did you mean `{one}`?")) && hint.contains(&two),
            "{words:?}: {hint}"
        );
    }
    let (code, name, hint) = told(&["fault", &one, "list", "stal"]);
    assert_eq!((code, name.as_str()), (2, "unknown_fault"));
    assert!(
        hint.contains("stall_body") && hint.contains("drop_answer"),
        "{hint}"
    );
    for (words, expected) in [
        (
            &["fault", &one, "list", "status", "--arg", "x"][..],
            "bad_fault_arg",
        ),
        (&["clock", "+1y"], "bad_span"),
        (&["stat", "local"], "profile_not_found"),
        (&["stat", &one, "--admin", "nowhere"], "bad_admin"),
        (&["seed", &one, "/x", "--file", "none"], "bad_file"),
        (&["seed", &one, "/x"], "usage"),
        (&["serve", "--only", "aliyundrive_opem"], "unknown_provider"),
    ] {
        let (code, name, _) = told(words);
        assert_eq!((code, name.as_str()), (2, expected), "{words:?}");
    }
    for (words, expected) in [
        (&["read", &one, "/none"][..], "sim_refused"),
        (&["set", &one, "colour", "red"], "sim_refused"),
        (
            &["stat", &one, "--admin", "http://127.0.0.1:9"],
            "no_simulators",
        ),
    ] {
        let (code, name, _) = told(words);
        assert_eq!((code, name.as_str()), (1, expected), "{words:?}");
    }
    let ran = house.run(&["sim", "set", &one, "colour", "red"]);
    assert!(ran.err.contains("vip"), "{ran:?}");

    // Killed: its state file is left behind and says so.
    drop(served);
    let (code, name, hint) = told(&["stat", &one]);
    assert_eq!((code, name.as_str()), (1, "sim_stale"));
    assert!(hint.contains("sim.json"), "{hint}");
    // Settings of somebody else's are never written over.
    std::fs::write(house.path("config.toml"), "[mount]\n").unwrap();
    let (code, name, _) = told(&["serve", "--dir", "."]);
    assert_eq!((code, name.as_str()), (2, "config_exists"));
    assert_eq!(
        std::fs::read_to_string(house.path("config.toml")).unwrap(),
        "[mount]\n"
    );
}
