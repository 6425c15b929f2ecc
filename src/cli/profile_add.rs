//! `panfuse profile add`: a new drive, or new secrets for one that is there.
//!
//! Secrets come from standard input, from a file or from the environment, never from the command
//! line, which every user of the machine can read (SPEC C-43).

use std::io::{IsTerminal, Read};
use std::sync::Arc;

use clap::ValueHint;
use serde_json::json;

use super::profile::{ask, record};
use super::{CliError, CliResult, Context, Reply, volumes};
use crate::config::ProfileSettings;
use crate::drive::ProviderInfo;
use crate::net::{Credentials, Secret};
use crate::profile::{
    Problem, ProfileSpec, Source, auth_mode, check, check_name, find_provider, given_secrets,
};
use crate::vault::Vault;

/// A profile is small; more is a mistake.
const INPUT_MAX: u64 = 1 << 20;

/// Options of `profile add`.
#[derive(Debug, Default, clap::Args)]
pub struct AddArgs {
    /// Its name: a directory in the mount
    pub name: String,
    /// Provider key (panfuse provider ls)
    #[arg(long, value_name = "KEY")]
    pub provider: String,
    /// Where the JSON document is: `-` for standard input, or a file
    #[arg(value_name = "INPUT", value_hint = ValueHint::FilePath)]
    pub input: Option<String>,
    /// A field that is no secret
    #[arg(long = "field", value_name = "NAME=VALUE")]
    pub fields: Vec<String>,
    /// A secret from an environment variable
    #[arg(long = "secret-env", value_name = "NAME=VARIABLE")]
    pub secret_env: Vec<String>,
    /// Way to log in
    #[arg(long, value_name = "MODE")]
    pub auth_mode: Option<String>,
    /// Ask nothing of the provider
    #[arg(long)]
    pub no_validate: bool,
    /// Take values that look like placeholders of an example
    #[arg(long)]
    pub allow_placeholders: bool,
}

/// Runs it.
///
/// # Errors
/// 2 for a document that cannot be; 1 when the provider refuses (the profile is kept: a single-use
/// token may have been spent on the question).
pub async fn run(context: &Context, args: AddArgs) -> CliResult {
    let document = read_input(args.input.as_deref())?;
    add(context, &args, &document, &|name| std::env::var(name).ok()).await
}

/// The document of a profile: none, standard input, or a file.
pub(super) fn read_input(input: Option<&str>) -> Result<String, CliError> {
    match input {
        None => Ok("{}".to_owned()),
        Some("-") => {
            if std::io::stdin().is_terminal() {
                eprintln!("panfuse: reading the profile as JSON; end with Ctrl-D");
            }
            read_all(&mut std::io::stdin().lock())
        }
        Some(file) => {
            let mut file = std::fs::File::open(file)
                .map_err(|error| CliError::usage("input", format!("{file}: {error}")))?;
            read_all(&mut file)
        }
    }
}

fn read_all(from: &mut dyn Read) -> Result<String, CliError> {
    let mut text = String::new();
    from.take(INPUT_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| {
            CliError::usage("input", format!("the profile cannot be read: {error}"))
        })?;
    if text.len() as u64 > INPUT_MAX {
        return Err(CliError::usage("input", "the profile is larger than 1 MiB"));
    }
    Ok(text)
}

async fn add(
    context: &Context,
    args: &AddArgs,
    document: &str,
    env: &(dyn Fn(&str) -> Option<String> + Sync),
) -> CliResult {
    check_name(&args.name)?;
    let info = find_provider(context.registry, &args.provider)?;
    let given = from_words(args, document, env, info)?;
    let profiles = context.profiles()?;
    let vault = context.vault()?;

    let known = profiles
        .get(&args.name)
        .map(|(settings, source)| (settings.clone(), source));
    let stored = vault.load(&args.name)?;
    let spec = merge(&given, known.as_ref(), &stored, info, context)?;
    let problems = check(&spec, info);
    let (blocking, remarks): (Vec<Problem>, Vec<Problem>) =
        problems.into_iter().partition(|problem| {
            problem.blocking && !(args.allow_placeholders && problem.code == "placeholder")
        });
    if !blocking.is_empty() {
        return Err(blocking.into());
    }

    keep(
        context,
        vault,
        known,
        &spec,
        &given,
        remarks,
        !args.no_validate,
    )
    .await
}

/// Stores a profile that was checked, asks the provider about it, and tells a running mount.
pub(super) async fn keep(
    context: &Context,
    vault: Arc<Vault>,
    known: Option<(ProfileSettings, Source)>,
    spec: &ProfileSpec,
    given: &ProfileSpec,
    remarks: Vec<Problem>,
    validated: bool,
) -> CliResult {
    let mut profiles = context.profiles()?;
    store_secrets(&vault, spec, given).await?;
    if !matches!(known, Some((_, Source::ConfigFile))) {
        profiles.put(&context.paths, &spec.name, &spec.settings)?;
    }

    let source = known.as_ref().map_or(Source::Added, |(_, source)| *source);
    let validation = if validated {
        let deps = context.open_deps(vault)?;
        Some(ask(context, spec, &deps).await?)
    } else {
        None
    };
    let shown = record(context, &spec.name, &spec.settings, source)?;
    if let Some(failed) = validation.as_ref().filter(|result| !result.ok) {
        let message = format!(
            "{} is saved but does not work yet: {}",
            spec.name, failed.summary
        );
        return Err(
            CliError::failed(failed.error.clone().unwrap_or_default(), message)
                .hint(failed.hint.clone().unwrap_or_default())
                .with("profile", shown)
                .with("validation", json!(failed)),
        );
    }
    let done = if known.is_some() { "updated" } else { "added" };
    let mut text = match &validation {
        Some(result) => format!("{done} {}: {}", spec.name, result.summary),
        None => format!("{done} {} (not validated)", spec.name),
    };
    let mut notes: Vec<String> = remarks.into_iter().map(|problem| problem.message).collect();
    let path = match volumes::taken(context, &spec.name).await {
        Ok(path) => path,
        // It is added all the same, and there at the next mount.
        Err(error) => {
            notes.push(format!(
                "the running mount goes on without this change: {}",
                error.message
            ));
            notes.extend(error.hint);
            None
        }
    };
    if let Some(path) = &path {
        text.push_str(&format!("; it is mounted at {}", path.display()));
    }
    let mut reply = Reply::new(
        json!({
            "profile": shown,
            "updated": known.is_some(),
            "validation": validation,
            "mountedAt": path,
        }),
        text,
    );
    reply.notes = notes;
    Ok(reply)
}

/// The document with the options laid over it.
pub(super) fn from_words(
    args: &AddArgs,
    document: &str,
    env: &dyn Fn(&str) -> Option<String>,
    info: &ProviderInfo,
) -> Result<ProfileSpec, CliError> {
    let mut spec = ProfileSpec::from_json(&args.name, &args.provider, document)?;
    if let Some(mode) = &args.auth_mode {
        spec.settings.auth_mode = Some(mode.clone());
    }
    let is_secret = |name: &str| {
        let mut fields = info.auth_modes.iter().flat_map(|mode| mode.fields);
        fields.any(|field| field.secret && field.name == name)
    };
    for pair in &args.fields {
        let (name, value) = split(pair, "--field NAME=VALUE")?;
        if is_secret(name) {
            return Err(CliError::usage(
                "secret_on_command_line",
                format!("`{name}` is a secret; every user of this machine can read command lines"),
            )
            .hint(format!(
                "give it on standard input, or with --secret-env {name}=VARIABLE; and change it, \
                 it was just shown"
            )));
        }
        spec.settings
            .fields
            .insert(name.to_owned(), value.to_owned());
    }
    for pair in &args.secret_env {
        let (name, variable) = split(pair, "--secret-env NAME=VARIABLE")?;
        let value = env(variable)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| {
                CliError::usage(
                    "empty_variable",
                    format!("the environment variable {variable} for `{name}` is not set"),
                )
            })?;
        spec.secrets.insert(name.to_owned(), Secret::new(value));
    }
    Ok(spec)
}

/// `NAME=VALUE`. The message does not repeat the word: it may be a secret.
fn split<'a>(pair: &'a str, form: &str) -> Result<(&'a str, &'a str), CliError> {
    pair.split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| CliError::usage("usage", format!("write {form}")))
}

/// What the profile will be. A document with nothing but secrets leaves the rest of a known
/// profile as it is ("log in again"); otherwise it replaces the rest. Secrets that are not given
/// again are kept while the auth mode stays.
pub(super) fn merge(
    given: &ProfileSpec,
    known: Option<&(ProfileSettings, Source)>,
    stored: &Credentials,
    info: &'static ProviderInfo,
    context: &Context,
) -> Result<ProfileSpec, CliError> {
    let Some((old, source)) = known else {
        return Ok(given.clone());
    };
    if old.provider != given.settings.provider {
        return Err(CliError::usage(
            "profile_exists",
            format!(
                "profile {} is there already, for provider {}",
                given.name, old.provider
            ),
        )
        .hint("take another name, or remove it first: panfuse profile rm"));
    }
    let only_secrets = given.settings
        == ProfileSettings {
            provider: old.provider.clone(),
            ..ProfileSettings::default()
        };
    if *source == Source::ConfigFile && !only_secrets {
        return Err(CliError::usage(
            "in_config_file",
            format!(
                "profile {} is written in {}; here it takes secrets only",
                given.name,
                context.paths.config_file.display()
            ),
        ));
    }
    let mut spec = ProfileSpec {
        name: given.name.clone(),
        settings: if only_secrets {
            old.clone()
        } else {
            given.settings.clone()
        },
        secrets: given.secrets.clone(),
    };
    if same_mode(&spec, old, stored, info) {
        let kept = given_secrets(stored.clone(), info);
        for (name, secret) in kept {
            let derived = !given.secrets.is_empty() && name == "access_token";
            if !derived {
                spec.secrets.entry(name).or_insert(secret);
            }
        }
    }
    Ok(spec)
}

fn same_mode(
    spec: &ProfileSpec,
    old: &ProfileSettings,
    stored: &Credentials,
    info: &'static ProviderInfo,
) -> bool {
    let before = ProfileSpec {
        name: spec.name.clone(),
        settings: old.clone(),
        secrets: given_secrets(stored.clone(), info),
    };
    match (auth_mode(spec, info), auth_mode(&before, info)) {
        (Ok(now), Ok(then)) => now.name == then.name && now.kind == then.kind,
        _ => false,
    }
}

/// Puts the secrets into the vault in one step. With new ones, what was derived from the old ones
/// (access tokens, learned ids) goes. Nobody refreshes meanwhile.
async fn store_secrets(
    vault: &Arc<Vault>,
    spec: &ProfileSpec,
    given: &ProfileSpec,
) -> Result<(), CliError> {
    if given.secrets.is_empty() && spec.secrets.is_empty() {
        return Ok(());
    }
    let failed = |error: crate::net::StoreError| CliError::failed("local_disk", error.to_string());
    let store = vault.credentials(&spec.name);
    let _guard = store.lock().await.map_err(failed)?;
    let mut changed = given.secrets.clone();
    if !given.secrets.is_empty() {
        for name in store.load().await.map_err(failed)?.into_keys() {
            // The device stays the same; another one would have to prove itself human again.
            let keep = spec.secrets.contains_key(&name) || name.contains("device");
            if !keep {
                changed.insert(name, Secret::default());
            }
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    store.save(changed).await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::super::profile::testing::context;
    use super::super::profile::{self, Command};
    use super::*;
    use crate::net::{BreakerRecord, BreakerStore, Clock, SystemClock};
    use std::path::Path;

    fn args(name: &str) -> AddArgs {
        AddArgs {
            name: name.to_owned(),
            provider: "fake".to_owned(),
            ..AddArgs::default()
        }
    }

    async fn add_to(root: &Path, args: AddArgs, document: &str) -> CliResult {
        let env = |name: &str| (name == "MY_TOKEN").then(|| "from-the-environment".to_owned());
        add(&context(root), &args, document, &env).await
    }

    const WHOLE: &str =
        r#"{"fields":{"client_id":"c1"},"secrets":{"refresh_token":"refresh-0123456789abcdef"}}"#;

    #[tokio::test]
    async fn a_profile_is_added_validated_shown_and_removed() {
        let home = tempfile::tempdir().unwrap();
        let context = context(home.path());
        let reply = add_to(home.path(), args("a"), WHOLE).await.unwrap();
        assert_eq!(reply.json["validation"]["status"], "verified");
        assert_eq!(reply.json["updated"], false);
        let name = || "a".to_owned();
        let shown = profile::run(&context, Command::Show { name: name() })
            .await
            .unwrap();
        assert_eq!(shown.json["secrets"]["refresh_token"], "refr***ef");
        assert_eq!(shown.json["auth_mode"], "official_oauth");
        assert_eq!(shown.json["account"], "user-77");
        assert_eq!(shown.json["ready"], true);
        let list = profile::run(&context, Command::Ls).await.unwrap();
        assert_eq!(list.json[0]["status"], "verified");
        profile::run(
            &context,
            Command::Rm {
                name: name(),
                force: false,
            },
        )
        .await
        .unwrap();
        let gone = profile::run(&context, Command::Show { name: name() })
            .await
            .unwrap_err();
        assert_eq!((gone.code.as_str(), gone.exit), ("profile_not_found", 2));
        assert!(context.vault().unwrap().load("a").unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_refused_profile_is_kept_and_told() {
        let home = tempfile::tempdir().unwrap();
        let document =
            r#"{"fields":{"client_id":"c1","mood":"angry"},"secrets":{"refresh_token":"r1"}}"#;
        let error = add_to(home.path(), args("a"), document).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.exit), ("auth", 1));
        assert_eq!(error.detail["profile"]["status"], "invalid");
        let context = context(home.path());
        assert!(context.profiles().unwrap().get("a").is_some());
        let all = Command::Validate {
            name: None,
            all: true,
        };
        let error = profile::run(&context, all).await.unwrap_err();
        assert_eq!(error.exit, 1);
        assert_eq!(error.detail["validation"]["failed"], 1);
        // Without a question nothing is refused.
        let mut quiet = args("b");
        quiet.no_validate = true;
        let reply = add_to(home.path(), quiet, document).await.unwrap();
        assert_eq!(reply.json["profile"]["status"], "unverified");
    }

    #[tokio::test]
    async fn an_account_that_rests_is_not_asked() {
        let home = tempfile::tempdir().unwrap();
        add_to(home.path(), args("a"), WHOLE).await.unwrap();
        let context = context(home.path());
        let catalog = crate::catalog::Catalog::open(&context.catalog_file()).unwrap();
        let record = BreakerRecord {
            until_ms: SystemClock.now_ms() + 3_600_000,
            strikes: 1,
            reason: "captcha".to_owned(),
        };
        // As a daemon keeps it that was started before the account's id was known.
        catalog.catalog.save("fake/profile:a", Some(&record));
        drop(catalog);
        let name = || Some("a".to_owned());
        let ask = || {
            profile::run(
                &context,
                Command::Validate {
                    name: name(),
                    all: false,
                },
            )
        };
        let error = ask().await.unwrap_err();
        assert_eq!((error.code.as_str(), error.exit), ("risk", 1));
        assert!(error.message.contains("not asked"), "{}", error.message);
        // It is still known to have worked, and works again after the pause.
        let list = profile::run(&context, Command::Ls).await.unwrap();
        assert_eq!(list.json[0]["status"], "verified");
        let deps = context.open_deps(context.vault().unwrap()).unwrap();
        deps.breakers.save("fake/profile:a", None);
        ask().await.unwrap();
    }

    #[tokio::test]
    async fn documents_that_cannot_be_store_nothing() {
        let home = tempfile::tempdir().unwrap();
        for (document, code) in [
            (r#"{"secrets":{"refresh_token":"r1"}}"#, "missing_field"),
            (r#"{"auth_mode":"oauth"}"#, "unknown_auth_mode"),
            (r#"{"roott":"x"}"#, "unknown_key"),
            ("nonsense", "bad_json"),
        ] {
            let error = add_to(home.path(), args("a"), document).await.unwrap_err();
            assert_eq!((error.code.as_str(), error.exit), (code, 2));
        }
        assert!(context(home.path()).profiles().unwrap().get("a").is_none());
    }

    #[tokio::test]
    async fn logging_in_again_keeps_the_rest_and_drops_what_was_derived() {
        let home = tempfile::tempdir().unwrap();
        add_to(home.path(), args("a"), WHOLE).await.unwrap();
        let vault = context(home.path()).vault().unwrap();
        vault
            .put("a", "access_token", &Secret::new("old-access"))
            .unwrap();
        vault
            .put("a", "access_expires_at", &Secret::new("99"))
            .unwrap();
        vault
            .put("a", "device_id", &Secret::new("learned"))
            .unwrap();
        let again = r#"{"secrets":{"refresh_token":"new-refresh"}}"#;
        let reply = add_to(home.path(), args("a"), again).await.unwrap();
        assert_eq!(reply.json["updated"], true);
        assert_eq!(reply.json["profile"]["fields"]["client_id"], "c1");
        let kept = vault.load("a").unwrap();
        assert_eq!(vault.fields("a").unwrap(), ["device_id", "refresh_token"]);
        assert_eq!(kept["refresh_token"].expose(), "new-refresh");
        // Other settings with the old secrets.
        let other = r#"{"fields":{"client_id":"c2"},"read_only":true}"#;
        let reply = add_to(home.path(), args("a"), other).await.unwrap();
        assert_eq!(reply.json["profile"]["fields"]["client_id"], "c2");
        assert_eq!(vault.load("a").unwrap(), kept);
        // Another way to log in: the old secrets go.
        let cookie = r#"{"auth_mode":"manual_cookie","secrets":{"cookie":"UID=5"}}"#;
        add_to(home.path(), args("a"), cookie).await.unwrap();
        assert_eq!(vault.fields("a").unwrap(), ["cookie", "device_id"]);
    }

    #[tokio::test]
    async fn secrets_come_from_the_environment_but_not_from_the_command_line() {
        let home = tempfile::tempdir().unwrap();
        let mut good = args("a");
        good.fields = vec!["client_id=c1".to_owned()];
        good.secret_env = vec!["refresh_token=MY_TOKEN".to_owned()];
        add_to(home.path(), good, "{}").await.unwrap();
        let stored = context(home.path()).vault().unwrap().load("a").unwrap();
        assert_eq!(stored["refresh_token"].expose(), "from-the-environment");
        let mut bad = args("b");
        bad.fields = vec!["refresh_token=hush-hush".to_owned()];
        let error = add_to(home.path(), bad, "{}").await.unwrap_err();
        assert_eq!(
            (error.code.as_str(), error.exit),
            ("secret_on_command_line", 2)
        );
        assert!(!format!("{error:?}").contains("hush"));
        let mut unset = args("c");
        unset.secret_env = vec!["refresh_token=NOT_THERE".to_owned()];
        let error = add_to(home.path(), unset, "{}").await.unwrap_err();
        assert_eq!(error.code, "empty_variable");
    }

    #[tokio::test]
    async fn a_profile_of_the_settings_file_takes_secrets_only() {
        let home = tempfile::tempdir().unwrap();
        let mut context = context(home.path());
        let mut settings = ProfileSettings {
            provider: "fake".to_owned(),
            ..ProfileSettings::default()
        };
        settings
            .fields
            .insert("client_id".to_owned(), "c1".to_owned());
        context
            .settings
            .profiles
            .insert("mine".to_owned(), settings);
        let env = |_: &str| None;
        let secrets = r#"{"secrets":{"refresh_token":"r1"}}"#;
        let reply = add(&context, &args("mine"), secrets, &env).await.unwrap();
        assert_eq!(reply.json["profile"]["source"], "config_file");
        let error = add(&context, &args("mine"), WHOLE, &env).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.exit), ("in_config_file", 2));
        let name = "mine".to_owned();
        let error = profile::run(&context, Command::Rm { name, force: false })
            .await
            .unwrap_err();
        assert_eq!(error.code, "in_config_file");
        assert_eq!(context.vault().unwrap().load("mine").unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_name_of_another_provider_is_taken() {
        let home = tempfile::tempdir().unwrap();
        let context = context(home.path());
        let other = ProfileSettings {
            provider: "other".to_owned(),
            ..ProfileSettings::default()
        };
        context
            .profiles()
            .unwrap()
            .put(&context.paths, "a", &other)
            .unwrap();
        let error = add_to(home.path(), args("a"), WHOLE).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.exit), ("profile_exists", 2));
    }
}
