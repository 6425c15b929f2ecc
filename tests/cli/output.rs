//! Standard output and where files go.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::house::House;

#[test]
fn lists_are_json_arrays_and_quiet_on_standard_error() {
    let house = House::new();
    for words in [
        &["provider", "ls", "--json"][..],
        &["--json", "profile", "ls"],
    ] {
        let ran = house.run(words);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{words:?}");
        assert!(ran.json().is_array(), "{words:?}");
    }
    let ran = house.run(&["profile", "ls"]);
    assert!(ran.out.contains("profile add"), "{ran:?}");
}

#[test]
fn every_provider_of_the_list_can_be_shown() {
    let house = House::new();
    let list = house.run(&["provider", "ls", "--json"]).json();
    for item in list.as_array().unwrap() {
        let key = item["key"].as_str().unwrap();
        let ran = house.run(&["provider", "show", key, "--json"]);
        assert_eq!(ran.code, 0, "{key}");
        let shown = ran.json();
        for name in [
            "key",
            "display_name",
            "auth_modes",
            "endpoints",
            "capabilities",
            "status",
        ] {
            assert!(shown.get(name).is_some(), "{key}: {name}");
        }
        assert_eq!(house.run(&["provider", "show", key]).code, 0, "{key}");
    }
}

#[test]
fn text_for_a_pipe_has_no_colour() {
    let house = House::new();
    std::fs::write(house.path("c.toml"), "[profile.a]\nprovider = \"none\"\n").unwrap();
    for words in [
        &["--config", "c.toml", "profile", "ls"][..],
        &["--config", "c.toml", "profile", "show", "a"],
    ] {
        let ran = house.run(words);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(!ran.out.contains('\x1b'), "{ran:?}");
        assert!(ran.out.contains("none"));
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let house = House::new();
    let mut child = house
        .command(&["--help"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn looking_leaves_nothing_behind() {
    let house = House::new();
    for words in [&["provider", "ls"][..], &["profile", "ls"], &["status"]] {
        house.run(words);
    }
    let left: Vec<_> = std::fs::read_dir(house.path("")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn places_follow_the_settings_file_and_are_private() {
    let house = House::new();
    std::fs::create_dir(house.path("box")).unwrap();
    std::fs::write(
        house.path("box/config.toml"),
        "[store]\ndata_dir = \"data\"\nstate_dir = \"state\"\n[profile.a]\nprovider = \"none\"\n",
    )
    .unwrap();
    let ran = house.run(&[
        "--config",
        "box/config.toml",
        "profile",
        "show",
        "a",
        "--json",
    ]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.json()["ready"], false);
    let mode = |below: &str| {
        let found = std::fs::metadata(house.path(below)).expect(below);
        found.permissions().mode() & 0o777
    };
    assert_eq!(mode("box/data"), 0o700);
    assert_eq!(mode("box/data/vault.key"), 0o600);
    assert_eq!(mode("box/data/vault.db"), 0o600);
    assert!(!house.path(".local").exists());
}
