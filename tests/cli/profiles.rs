//! Profiles through the real program, with whatever providers this build has.

use serde_json::{Value, json};

use crate::house::{House, Ran};

fn add(house: &House, name: &str, provider: &str, document: &Value, more: &[&str]) -> Ran {
    let mut command = house.command(&[
        "profile",
        "add",
        name,
        "--provider",
        provider,
        "--json",
        "-",
    ]);
    command.args(more);
    house.run_with(command, &document.to_string())
}

/// A value that no rule takes for a placeholder.
fn value_for(field: &str) -> String {
    format!("{field}-9Qx7Lm2Vr4")
}

/// A document that fills in everything a mode has, as `provider show` describes it.
fn whole(mode: &Value, endpoints: &Value) -> Value {
    let mut fields = json!({});
    let mut secrets = json!({});
    for field in mode["fields"].as_array().unwrap() {
        let name = field["name"].as_str().unwrap();
        let place = if field["secret"] == true {
            &mut secrets
        } else {
            &mut fields
        };
        place[name] = json!(
            field["default"]
                .as_str()
                .map_or(value_for(name), str::to_owned)
        );
    }
    let local: Value = endpoints
        .as_object()
        .unwrap()
        .keys()
        .map(|name| (name.clone(), json!("http://127.0.0.1:9")))
        .collect::<serde_json::Map<_, _>>()
        .into();
    json!({
        "auth_mode": mode["name"], "kind": mode["kind"],
        "fields": fields, "secrets": secrets, "endpoints": local,
    })
}

#[test]
fn every_way_to_log_in_can_be_added_shown_and_removed() {
    let house = House::new();
    let list = house.run(&["provider", "ls", "--json"]).json();
    for item in list.as_array().unwrap() {
        let key = item["key"].as_str().unwrap();
        let info = house.run(&["provider", "show", key, "--json"]).json();
        for (index, mode) in info["auth_modes"].as_array().unwrap().iter().enumerate() {
            let name = format!("{key}-{index}");
            let document = whole(mode, &info["endpoints"]);
            let ran = add(&house, &name, key, &document, &["--no-validate"]);
            assert_eq!(ran.code, 0, "{name}: {ran:?}");
            let shown = house.run(&["profile", "show", &name, "--json"]);
            assert_eq!(shown.json()["ready"], true, "{name}: {shown:?}");
            for (secret, _) in document["secrets"].as_object().unwrap() {
                let value = value_for(secret);
                assert!(
                    !shown.out.contains(&value) && !ran.out.contains(&value),
                    "{name}"
                );
            }
            assert_eq!(house.run(&["profile", "rm", &name]).code, 0, "{name}");
        }
    }
    assert_eq!(house.run(&["profile", "ls", "--json"]).json(), json!([]));
}

#[test]
fn names_that_cannot_be_directories_are_refused() {
    let house = House::new();
    for name in [".panfuse", "a/b", "..", "a b"] {
        let ran = add(&house, name, "local", &json!({}), &["--no-validate"]);
        assert_eq!(ran.error(), (2, "bad_name".to_owned()), "{name}");
    }
}

#[test]
fn removing_what_is_not_there_says_so_with_the_nearest() {
    let house = House::new();
    std::fs::write(
        house.path("c.toml"),
        "[profile.holiday]\nprovider = \"none\"\n",
    )
    .unwrap();
    let ran = house.run(&["--config", "c.toml", "--json", "profile", "rm", "holyday"]);
    assert_eq!(ran.error(), (2, "profile_not_found".to_owned()));
    assert_eq!(ran.json()["error"]["hint"], "did you mean `holiday`?");
    let ran = house.run(&["--config", "c.toml", "--json", "profile", "rm", "holiday"]);
    assert_eq!(ran.error(), (2, "in_config_file".to_owned()));
}
