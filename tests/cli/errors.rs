//! Exit codes, and errors as JSON.

use crate::house::House;

#[test]
fn wrong_use_is_exit_code_2() {
    let house = House::new();
    for words in [
        &["nonsense"][..],
        &[],
        &["profile", "add"],
        &["mount", "--tls"],
    ] {
        let ran = house.run(words);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert_eq!(ran.out, "", "{words:?}");
        assert!(ran.err.contains("Usage"), "{ran:?}");
    }
}

#[test]
fn wrong_use_with_json_is_one_document() {
    let house = House::new();
    for words in [
        &["--json", "nonsense"][..],
        &["profile", "add", "--json"],
        &["provider", "show", "--json"],
    ] {
        let ran = house.run(words);
        assert_eq!(ran.error(), (2, "usage".to_owned()), "{words:?}");
        assert_eq!(ran.err, "", "{words:?}");
        let error = &ran.json()["error"];
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
        assert!(error["hint"].is_string());
    }
}

#[test]
fn help_and_version_are_answers() {
    let house = House::new();
    for words in [
        &["--help"][..],
        &["help", "profile"],
        &["--version"],
        &["sim", "serve", "--help"],
    ] {
        let ran = house.run(words);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{words:?}");
        assert!(!ran.out.is_empty());
    }
    let version = house.run(&["--version"]).out;
    assert_eq!(version, format!("panfuse {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_mistake_in_the_settings_names_file_line_key_and_the_nearest() {
    let house = House::new();
    let file = house.path("c.toml");
    std::fs::write(&file, "[mount]\ntll_s = 3\n").unwrap();
    let name = file.to_str().unwrap();
    let ran = house.run(&["--config", name, "profile", "ls"]);
    assert_eq!(ran.code, 2);
    assert_eq!(
        ran.err,
        format!("panfuse: {name}:2: unknown key `mount.tll_s`; did you mean `ttl_s`?\n")
    );
    let ran = house.run(&["--config", name, "--json", "profile", "ls"]);
    assert_eq!(ran.error(), (2, "config".to_owned()));
}

#[test]
fn the_environment_is_checked_like_the_file() {
    let house = House::new();
    let mut command = house.command(&["profile", "ls"]);
    command.env("PANFUSE_TRANSFER_CLOSE", "quque");
    let ran = house.run_with(command, "");
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("PANFUSE_TRANSFER_CLOSE"), "{}", ran.err);
    assert!(ran.err.contains("did you mean \"queue\"?"), "{}", ran.err);
    let mut command = house.command(&["profile", "ls"]);
    command.env("PANFUSE_TRANSFER_CLOSE", "queue");
    assert_eq!(house.run_with(command, "").code, 0);
}

#[test]
fn a_settings_file_that_was_named_must_exist() {
    let house = House::new();
    assert_eq!(house.run(&["profile", "ls"]).code, 0);
    let ran = house.run(&["--config", "none.toml", "profile", "ls"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("none.toml"), "{}", ran.err);
}

#[test]
fn unknown_providers_are_wrong_use() {
    let house = House::new();
    let ran = house.run(&["provider", "show", "no_such_drive", "--json"]);
    assert_eq!(ran.error(), (2, "unknown_provider".to_owned()));
    let mut command = house.command(&["profile", "add", "a", "--provider", "no_such_drive"]);
    command.args(["--json", "-"]);
    let ran = house.run_with(command, "{}");
    assert_eq!(ran.error(), (2, "unknown_provider".to_owned()));
}

#[test]
fn a_short_master_key_is_a_mistake_of_configuration() {
    let house = House::new();
    std::fs::write(house.path("c.toml"), "[profile.a]\nprovider = \"none\"\n").unwrap();
    let mut command = house.command(&["--config", "c.toml", "--json", "profile", "show", "a"]);
    command.env("PANFUSE_MASTER_KEY", "much-too-short");
    let ran = house.run_with(command, "");
    assert_eq!(ran.error(), (2, "vault_key".to_owned()));
    let message = ran.json()["error"]["message"].to_string();
    assert!(
        message.contains("PANFUSE_MASTER_KEY has 14 characters"),
        "{message}"
    );
    assert!(!ran.out.contains("much-too-short"));
}
