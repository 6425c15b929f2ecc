//! Whether a profile is complete and makes sense for its provider.

use std::collections::BTreeMap;

use serde::Serialize;

use super::placeholder::is_placeholder;
use super::spec::{ProfileSpec, check_name};
use crate::config::did_you_mean;
use crate::drive::{AuthMode, FieldInfo, ProviderInfo};
use crate::net::Credentials;

/// Something that is missing or wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Stable snake_case code.
    pub code: &'static str,
    /// The field, key or endpoint it is about; may be empty.
    pub field: String,
    /// What is wrong. Holds no secret.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hint: String,
    /// Whether the profile cannot work like this. Otherwise it is only worth telling.
    pub blocking: bool,
}

impl Problem {
    /// A blocking problem.
    pub fn new(code: &'static str, field: &str, message: impl Into<String>) -> Self {
        Problem {
            code,
            field: field.to_owned(),
            message: message.into(),
            hint: String::new(),
            blocking: true,
        }
    }

    /// The same with a way out.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

/// The provider with this key.
///
/// # Errors
/// `unknown_provider`, with the nearest key.
pub fn find_provider(
    registry: &[&'static ProviderInfo],
    key: &str,
) -> Result<&'static ProviderInfo, Problem> {
    registry
        .iter()
        .copied()
        .find(|info| info.key == key)
        .ok_or_else(|| {
            let keys: Vec<&str> = registry.iter().map(|info| info.key).collect();
            Problem::new(
                "unknown_provider",
                "provider",
                format!("unknown provider `{key}`"),
            )
            .hint(format!(
                "{}{}panfuse provider ls shows all",
                did_you_mean(key, keys.iter().copied()),
                if keys.is_empty() { "" } else { "; " }
            ))
        })
}

/// The auth mode a profile means: the one it names, else the first of its kind that knows
/// everything the profile gives, else the first of its kind.
///
/// # Errors
/// `unknown_kind` or `unknown_auth_mode`, with what the provider offers.
pub fn auth_mode(
    spec: &ProfileSpec,
    info: &'static ProviderInfo,
) -> Result<&'static AuthMode, Problem> {
    let named = spec.settings.auth_mode.as_deref();
    let kind = match (spec.settings.kind.as_deref(), named) {
        (Some(kind), _) => kind,
        (None, Some("share")) => "share",
        (None, _) => "account",
    };
    let of_kind: Vec<&AuthMode> = info
        .auth_modes
        .iter()
        .filter(|mode| mode.kind == kind)
        .collect();
    if of_kind.is_empty() {
        let mut kinds: Vec<&str> = info.auth_modes.iter().map(|mode| mode.kind).collect();
        kinds.dedup();
        return Err(Problem::new(
            "unknown_kind",
            "kind",
            format!("{} has no profiles of kind `{kind}`", info.key),
        )
        .hint(format!("offered: {}", kinds.join(", "))));
    }
    let Some(named) = named else {
        let knows_all = |mode: &&&AuthMode| {
            let known = |name: &String| mode.fields.iter().any(|field| field.name == name.as_str());
            spec.secrets.keys().all(known) && spec.settings.fields.keys().all(known)
        };
        return of_kind
            .iter()
            .find(knows_all)
            .or(of_kind.first())
            .copied()
            .ok_or_else(|| Problem::new("unknown_auth_mode", "auth_mode", "no auth mode"));
    };
    of_kind
        .iter()
        .find(|mode| mode.name == named)
        .copied()
        .ok_or_else(|| {
            let names: Vec<&str> = of_kind.iter().map(|mode| mode.name).collect();
            Problem::new(
                "unknown_auth_mode",
                "auth_mode",
                format!("{} does not offer auth mode `{named}`", info.key),
            )
            .hint(format!("offered: {}", names.join(", ")))
        })
}

/// Everything that is missing or wrong; empty when the profile is ready. The secrets must be in
/// `spec` (for a stored profile: loaded from the vault).
pub fn check(spec: &ProfileSpec, info: &'static ProviderInfo) -> Vec<Problem> {
    let mut problems: Vec<Problem> = check_name(&spec.name).err().into_iter().collect();
    check_endpoints(spec, info, &mut problems);
    let mode = match auth_mode(spec, info) {
        Ok(mode) => mode,
        Err(problem) => {
            problems.push(problem);
            return problems;
        }
    };
    check_known(spec, info, mode, &mut problems);
    check_missing(spec, info, mode, &mut problems);
    check_placeholders(spec, info, mode, &mut problems);
    problems
}

/// The secrets of a stored profile that a user gave. What drivers keep beside them in the vault
/// (`access_expires_at`, learned ids) is left out.
pub fn given_secrets(stored: Credentials, info: &ProviderInfo) -> Credentials {
    let is_given = |name: &str| {
        info.auth_modes
            .iter()
            .flat_map(|mode| mode.fields)
            .any(|field| field.secret && field.name == name)
    };
    stored
        .into_iter()
        .filter(|(name, _)| is_given(name))
        .collect()
}

fn check_known(
    spec: &ProfileSpec,
    info: &ProviderInfo,
    mode: &AuthMode,
    problems: &mut Vec<Problem>,
) {
    let given = spec
        .settings
        .fields
        .keys()
        .map(|name| (name, false))
        .chain(spec.secrets.keys().map(|name| (name, true)));
    for (name, as_secret) in given {
        match find(mode, name) {
            Some(field) if field.secret && !as_secret => problems.push(
                Problem::new(
                    "secret_in_fields",
                    name,
                    format!("`{name}` is a secret but stands under `fields`"),
                )
                .hint("put it under `secrets`; it is then sealed and never shown"),
            ),
            Some(field) if !field.secret && as_secret => problems.push(
                Problem::new(
                    "field_in_secrets",
                    name,
                    format!("`{name}` is no secret but stands under `secrets`"),
                )
                .hint("put it under `fields`"),
            ),
            Some(_) => {}
            None => problems.push(
                Problem::new(
                    "unknown_field",
                    name,
                    format!("{} ({}) has no field `{name}`", info.key, mode.name),
                )
                .hint(did_you_mean(
                    name,
                    mode.fields
                        .iter()
                        .filter(|field| field.secret == as_secret)
                        .map(|field| field.name),
                )),
            ),
        }
    }
}

fn check_missing(
    spec: &ProfileSpec,
    info: &ProviderInfo,
    mode: &AuthMode,
    problems: &mut Vec<Problem>,
) {
    for field in mode.fields.iter().filter(|field| field.required) {
        if field.default.is_none() && value_of(spec, field).is_none() {
            problems.push(
                Problem::new(
                    "missing_field",
                    field.name,
                    format!(
                        "{} ({}) needs `{}`, under `{}`",
                        info.key,
                        mode.name,
                        field.name,
                        if field.secret { "secrets" } else { "fields" }
                    ),
                )
                .hint(field.help),
            );
        }
    }
    // Several ways to log in are declared as secrets of which none is required by itself. A share
    // is open to guests: what it takes beyond its fields is the user's choice.
    let secrets: Vec<&FieldInfo> = mode.fields.iter().filter(|field| field.secret).collect();
    let none_given = secrets.iter().all(|field| value_of(spec, field).is_none());
    let guests = mode.kind == "share";
    if !secrets.is_empty() && none_given && !guests && !secrets.iter().any(|field| field.required) {
        let names: Vec<&str> = secrets.iter().map(|field| field.name).collect();
        problems.push(
            Problem::new(
                "missing_secret",
                names.first().copied().unwrap_or_default(),
                format!(
                    "{} ({}) needs one of the secrets {}",
                    info.key,
                    mode.name,
                    names.join(", ")
                ),
            )
            .hint(secrets.first().map_or("", |field| field.help)),
        );
    }
}

fn check_placeholders(
    spec: &ProfileSpec,
    info: &ProviderInfo,
    mode: &AuthMode,
    problems: &mut Vec<Problem>,
) {
    // A stand-in server on this machine takes whatever it was told to take.
    let stand_in = !spec.settings.endpoints.is_empty()
        && spec.settings.endpoints.values().all(|url| is_loopback(url));
    for field in mode.fields {
        let Some(value) = value_of(spec, field) else {
            continue;
        };
        if is_placeholder(value, field.secret) {
            let mut problem = Problem::new(
                "placeholder",
                field.name,
                format!(
                    "`{}` of {} looks like the placeholder of an example",
                    field.name, info.key
                ),
            )
            .hint(field.help);
            problem.blocking = !stand_in;
            problems.push(problem);
        }
    }
}

/// Addresses of a profile or of a `[provider.KEY]` table: known names, https or this machine.
pub fn check_addresses(
    endpoints: &BTreeMap<String, String>,
    info: &ProviderInfo,
    problems: &mut Vec<Problem>,
) {
    for (name, url) in endpoints {
        if !info
            .endpoints
            .iter()
            .any(|endpoint| endpoint.name == name.as_str())
        {
            problems.push(
                Problem::new(
                    "unknown_endpoint",
                    name,
                    format!("{} has no endpoint `{name}`", info.key),
                )
                .hint(did_you_mean(
                    name,
                    info.endpoints.iter().map(|endpoint| endpoint.name),
                )),
            );
        }
        match reqwest::Url::parse(url) {
            Ok(parsed) if parsed.scheme() == "https" && parsed.has_host() => {}
            Ok(parsed) if parsed.scheme() == "http" && is_loopback(url) => {}
            Ok(parsed) if parsed.scheme() == "http" => problems.push(
                Problem::new(
                    "plain_http",
                    name,
                    format!("endpoint `{name}` would send secrets over plain http"),
                )
                .hint("use https; plain http is for addresses of this machine (127.0.0.1, [::1])"),
            ),
            _ => problems.push(
                Problem::new(
                    "bad_url",
                    name,
                    format!("endpoint `{name}` is not a web address"),
                )
                .hint("for example https://host/path"),
            ),
        }
    }
}

fn check_endpoints(spec: &ProfileSpec, info: &ProviderInfo, problems: &mut Vec<Problem>) {
    check_addresses(&spec.settings.endpoints, info, problems);
    // Where no endpoint has a default (WebDAV, S3) the first is the server itself.
    let first = info.endpoints.first();
    if let Some(first) = first
        && info
            .endpoints
            .iter()
            .all(|endpoint| endpoint.url.is_empty())
        && !spec.settings.endpoints.contains_key(first.name)
    {
        problems.push(
            Problem::new(
                "missing_endpoint",
                first.name,
                format!("{} needs the address of its server", info.key),
            )
            .hint(format!(
                "give \"endpoints\":{{\"{}\":\"https://..\"}}",
                first.name
            )),
        );
    }
}

pub(super) fn is_loopback(url: &str) -> bool {
    let Ok(parsed) = reqwest::Url::parse(url) else {
        return false;
    };
    let Some(host) = parsed.host_str() else {
        return false;
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn find<'a>(mode: &'a AuthMode, name: &str) -> Option<&'a FieldInfo> {
    mode.fields.iter().find(|field| field.name == name)
}

fn value_of<'a>(spec: &'a ProfileSpec, field: &FieldInfo) -> Option<&'a str> {
    let value = if field.secret {
        spec.secrets.get(field.name).map(|secret| secret.expose())
    } else {
        spec.settings.fields.get(field.name).map(String::as_str)
    };
    value.filter(|value| !value.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::fake::{FAKE, REGISTRY};
    use super::*;

    fn problems(json: &str) -> Vec<(&'static str, String)> {
        let spec = ProfileSpec::from_json("a", "fake", json).unwrap();
        check(&spec, &FAKE)
            .into_iter()
            .map(|problem| (problem.code, problem.field))
            .collect()
    }

    fn one(code: &'static str, field: &str) -> Vec<(&'static str, String)> {
        vec![(code, field.to_owned())]
    }

    #[test]
    fn a_whole_profile_has_no_problems() {
        assert_eq!(
            problems(r#"{"fields":{"client_id":"c1"},"secrets":{"refresh_token":"r1"}}"#),
            []
        );
        assert_eq!(
            problems(r#"{"auth_mode":"share","fields":{"share_code":"s"}}"#),
            []
        );
        // The mode follows from what is given.
        assert_eq!(problems(r#"{"secrets":{"cookie":"UID=9"}}"#), []);
    }

    #[test]
    fn what_is_missing_is_named_with_its_help() {
        assert_eq!(
            problems(r#"{"secrets":{"refresh_token":"r1"}}"#),
            one("missing_field", "client_id")
        );
        assert_eq!(
            problems(r#"{"auth_mode":"manual_token"}"#),
            one("missing_secret", "password")
        );
        let spec = ProfileSpec::from_json("a", "fake", "{}").unwrap();
        let found = check(&spec, &FAKE);
        assert!(
            found
                .iter()
                .any(|p| p.hint == "the app's id, from its page")
        );
    }

    #[test]
    fn unknown_words_get_the_nearest() {
        let spec = ProfileSpec::from_json("a", "fake", r#"{"auth_mode":"oauth"}"#).unwrap();
        let found = check(&spec, &FAKE);
        assert_eq!(found[0].code, "unknown_auth_mode");
        assert_eq!(
            found[0].hint,
            "offered: official_oauth, manual_cookie, manual_token"
        );
        let spec = ProfileSpec::from_json(
            "a",
            "fake",
            r#"{"auth_mode":"manual_cookie","secrets":{"cokie":"c","cookie":"c"},"endpoints":{"apl":"https://h"}}"#,
        )
        .unwrap();
        let hints: Vec<String> = check(&spec, &FAKE).into_iter().map(|p| p.hint).collect();
        assert_eq!(hints, ["did you mean `api`?", "did you mean `cookie`?"]);
        let problem = find_provider(REGISTRY, "fkae").err().unwrap();
        assert!(problem.hint.starts_with("did you mean `fake`?"));
        assert_eq!(problems(r#"{"kind":"team"}"#), one("unknown_kind", "kind"));
    }

    #[test]
    fn secrets_and_fields_have_their_places() {
        assert_eq!(
            problems(r#"{"auth_mode":"manual_cookie","fields":{"cookie":"c"}}"#)[0],
            ("secret_in_fields", "cookie".to_owned())
        );
        assert_eq!(
            problems(
                r#"{"auth_mode":"official_oauth","secrets":{"client_id":"c1","refresh_token":"r1"},
                    "fields":{"client_id":"c1"}}"#
            ),
            one("field_in_secrets", "client_id")
        );
    }

    #[test]
    fn addresses_are_checked() {
        let with = |url: &str| {
            problems(&format!(
                r#"{{"secrets":{{"cookie":"c9"}},"endpoints":{{"api":"{url}"}}}}"#
            ))
        };
        for good in [
            "https://host/x",
            "http://127.0.0.1:9/p",
            "http://[::1]:9",
            "http://localhost:1",
        ] {
            assert_eq!(with(good), [], "{good}");
        }
        assert_eq!(with("http://host"), one("plain_http", "api"));
        assert_eq!(with("http://127.0.0.1.evil.org"), one("plain_http", "api"));
        assert_eq!(with("host:80"), one("bad_url", "api"));
        assert_eq!(with("ftp://host"), one("bad_url", "api"));
    }

    #[test]
    fn placeholders_block_unless_a_local_server_stands_in() {
        let given = r#""secrets":{"cookie":"your_cookie"}"#;
        let real = ProfileSpec::from_json("a", "fake", &format!("{{{given}}}")).unwrap();
        let found = check(&real, &FAKE);
        assert_eq!((found[0].code, found[0].blocking), ("placeholder", true));
        assert!(!found[0].message.contains("your_cookie"));
        let text = format!(r#"{{{given},"endpoints":{{"api":"http://127.0.0.1:1"}}}}"#);
        let local = ProfileSpec::from_json("a", "fake", &text).unwrap();
        assert!(check(&local, &FAKE).iter().all(|problem| !problem.blocking));
    }

    #[test]
    fn the_templates_are_whole_but_for_their_placeholders() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/config/profiles");
        let mut seen = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            seen += 1;
            let stem = path.file_stem().unwrap().to_str().unwrap();
            let key = stem.split('-').next().unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            let spec = ProfileSpec::from_json("a", key, &text).unwrap();
            let stands_in = spec
                .settings
                .fields
                .values()
                .any(|value| is_placeholder(value, false))
                || spec
                    .secrets
                    .values()
                    .any(|value| is_placeholder(value.expose(), true));
            assert!(stands_in, "{stem} has nothing to fill in");
            if let Some(info) = crate::providers::find(key) {
                for problem in check(&spec, info) {
                    assert_eq!(problem.code, "placeholder", "{stem}: {}", problem.message);
                }
            }
        }
        assert!(seen >= 15, "{seen} templates");
    }
}
