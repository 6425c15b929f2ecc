//! A profile as it is given: the JSON of `panfuse profile add` (CONTRACT, "Profiles").

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use unicode_normalization::is_nfc;

use super::Problem;
use crate::config::{ProfileSettings, did_you_mean};
use crate::net::{Credentials, Secret};

/// Keys of the JSON document.
const KEYS: &[&str] = &[
    "provider",
    "auth_mode",
    "kind",
    "fields",
    "secrets",
    "endpoints",
    "root",
    "read_only",
    "ttl_s",
    "account",
];

/// Longest name in bytes: it must fit into an xattr name such as `user.pan.missing.NAME`.
const NAME_MAX: usize = 64;

/// A configured drive with its secrets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProfileSpec {
    /// Name: the directory in the mount.
    pub name: String,
    /// Everything that is no secret.
    pub settings: ProfileSettings,
    /// The secrets; empty ones are absent.
    pub secrets: Credentials,
}

impl ProfileSpec {
    /// Reads the JSON document of `profile add`. `provider` is the command line's; the document
    /// may repeat it.
    ///
    /// # Errors
    /// Every mistake of form: not JSON, unknown keys (by name, with the nearest), wrong types.
    /// No value that may be a secret is repeated.
    pub fn from_json(name: &str, provider: &str, text: &str) -> Result<ProfileSpec, Vec<Problem>> {
        let document: Value = serde_json::from_str(text).map_err(|error| {
            vec![Problem::new(
                "bad_json",
                "",
                format!(
                    "the profile is not valid JSON (line {}, column {})",
                    error.line(),
                    error.column()
                ),
            )]
        })?;
        let Value::Object(mut object) = document else {
            return Err(vec![Problem::new(
                "bad_json",
                "",
                "the profile must be a JSON object: {\"fields\":{..}, \"secrets\":{..}}",
            )]);
        };
        let mut problems = Vec::new();
        let settings = ProfileSettings {
            provider: provider.to_owned(),
            auth_mode: text_of(&mut object, "auth_mode", &mut problems),
            kind: text_of(&mut object, "kind", &mut problems),
            root: text_of(&mut object, "root", &mut problems),
            read_only: flag_of(&mut object, "read_only", &mut problems),
            ttl_s: number_of(&mut object, "ttl_s", &mut problems),
            account: text_of(&mut object, "account", &mut problems),
            fields: texts_of(&mut object, "fields", &mut problems),
            endpoints: texts_of(&mut object, "endpoints", &mut problems),
        };
        let secrets = texts_of(&mut object, "secrets", &mut problems)
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name, Secret::new(value)))
            .collect();
        if let Some(repeated) = text_of(&mut object, "provider", &mut problems)
            && repeated != provider
        {
            problems.push(Problem::new(
                "provider_mismatch",
                "provider",
                format!("the document says provider {repeated}, the command says {provider}"),
            ));
        }
        for key in object.keys() {
            problems.push(Problem::new(
                "unknown_key",
                key,
                format!(
                    "unknown key `{key}`; {}",
                    did_you_mean(key, KEYS.iter().copied())
                ),
            ));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(ProfileSpec {
            name: name.to_owned(),
            settings,
            secrets,
        })
    }
}

/// Checks a profile's name: it is a directory name, part of `profile:/path`, of
/// `-o profile=A,B` and of xattr names.
///
/// # Errors
/// What is wrong with it.
pub fn check_name(name: &str) -> Result<(), Problem> {
    let wrong = |why: String| {
        Err(Problem::new("bad_name", "name", why).hint(
            "letters, digits, `-`, `_` and `.`, at most 64 bytes, for example `work` or `aliyun-2`",
        ))
    };
    if name.is_empty() {
        return wrong("a profile needs a name".to_owned());
    }
    if name.len() > NAME_MAX {
        return wrong(format!(
            "the name has {} bytes; {NAME_MAX} are the most",
            name.len()
        ));
    }
    if name == ".panfuse" {
        return wrong("`.panfuse` is the control directory of the mount".to_owned());
    }
    if name.starts_with(['.', '-']) {
        return wrong(format!("the name `{name}` starts with `.` or `-`"));
    }
    let bad = name
        .chars()
        .find(|letter| !letter.is_alphanumeric() && !matches!(letter, '-' | '_' | '.'));
    if let Some(bad) = bad {
        return wrong(format!("the name has {bad:?} in it"));
    }
    if !is_nfc(name) {
        return wrong("the name is not in Unicode form NFC".to_owned());
    }
    Ok(())
}

fn wrong_type(key: &str, wanted: &str) -> Problem {
    Problem::new("bad_type", key, format!("`{key}` takes {wanted}"))
}

fn text_of(
    object: &mut Map<String, Value>,
    key: &str,
    problems: &mut Vec<Problem>,
) -> Option<String> {
    match object.remove(key)? {
        Value::Null => None,
        Value::String(text) => Some(text).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => {
            problems.push(wrong_type(key, "a text"));
            None
        }
    }
}

fn flag_of(object: &mut Map<String, Value>, key: &str, problems: &mut Vec<Problem>) -> bool {
    match object.remove(key) {
        None | Some(Value::Null) => false,
        Some(Value::Bool(flag)) => flag,
        Some(_) => {
            problems.push(wrong_type(key, "true or false"));
            false
        }
    }
}

fn number_of(
    object: &mut Map<String, Value>,
    key: &str,
    problems: &mut Vec<Problem>,
) -> Option<u64> {
    match object.remove(key)? {
        Value::Null => None,
        // The bound of the settings file.
        value => match value.as_u64().filter(|number| *number <= 30 * 86_400) {
            Some(number) => Some(number),
            None => {
                problems.push(wrong_type(key, "a number of seconds up to 2592000"));
                None
            }
        },
    }
}

fn texts_of(
    object: &mut Map<String, Value>,
    key: &str,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    match object.remove(key) {
        None | Some(Value::Null) => {}
        Some(Value::Object(inner)) => {
            for (name, value) in inner {
                match value {
                    Value::Null => {}
                    Value::String(text) => {
                        texts.insert(name, text);
                    }
                    Value::Number(number) => {
                        texts.insert(name, number.to_string());
                    }
                    Value::Bool(flag) => {
                        texts.insert(name, flag.to_string());
                    }
                    _ => problems.push(wrong_type(&format!("{key}.{name}"), "a text")),
                }
            }
        }
        Some(_) => problems.push(wrong_type(key, "an object of texts")),
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_document_is_read() {
        let spec = ProfileSpec::from_json(
            "ali",
            "aliyundrive_open",
            r#"{"auth_mode":"official_oauth", "kind":"account", "fields":{"client_id":"c"},
                "secrets":{"client_secret":"s","refresh_token":"r","access_token":""},
                "endpoints":{"api":"http://127.0.0.1:9101"}, "root":"root", "read_only":false}"#,
        )
        .unwrap();
        assert_eq!(spec.settings.auth_mode.as_deref(), Some("official_oauth"));
        assert_eq!(spec.settings.fields["client_id"], "c");
        assert_eq!(spec.secrets["refresh_token"].expose(), "r");
        assert_eq!(spec.secrets.len(), 2, "an empty secret is no secret");
        assert_eq!(spec.settings.root.as_deref(), Some("root"));
        let bare = ProfileSpec::from_json("x", "local", "{}").unwrap();
        assert_eq!(bare.settings.provider, "local");
    }

    #[test]
    fn unknown_keys_are_refused_by_name() {
        let problems =
            ProfileSpec::from_json("x", "p", r#"{"secret":{"a":"b"},"rooot":"r"}"#).unwrap_err();
        let texts: Vec<&str> = problems.iter().map(|p| p.message.as_str()).collect();
        assert_eq!(
            texts,
            [
                "unknown key `rooot`; did you mean `root`?",
                "unknown key `secret`; did you mean `secrets`?"
            ]
        );
    }

    #[test]
    fn mistakes_of_form_repeat_no_secret() {
        for text in [
            r#"{"secrets":"hush-hush"}"#,
            r#"{"secrets":{"cookie":["hush-hush"]}}"#,
            r#"{"secrets":{"cookie":"hush-hush"#,
            r#"["hush-hush"]"#,
            r#"{"secrets":{"cookie":"hush-hush"},"read_only":"no"}"#,
        ] {
            let problems = ProfileSpec::from_json("x", "p", text).unwrap_err();
            assert!(!format!("{problems:?}").contains("hush"), "{problems:?}");
        }
    }

    #[test]
    fn names_are_directory_names() {
        for good in ["a", "阿里云-2", "my_drive.old", &"x".repeat(64)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            ".panfuse",
            ".",
            "..",
            "a/b",
            "a b",
            "a:b",
            "a,b",
            "-a",
            "a\n",
            "e\u{301}",
            &"x".repeat(65),
        ] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
