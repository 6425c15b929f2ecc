//! `panfuse profile`: configured drives. Adding one is in `profile_add`.

use serde_json::{Map, Value, json};

use super::profile_add::{self, AddArgs};
use super::{CliError, CliResult, Context, Reply, Table, volumes};
use crate::config::{ProfileSettings, did_you_mean};
use crate::drive::{DriveError, ErrorKind, ProviderInfo};
use crate::net::{BreakerRecord, Clock, SystemClock};
use crate::profile::{
    OpenDeps, Problem, ProfileSpec, Profiles, Source, Validation, Validations, auth_mode, check,
    find_provider, given_secrets, mask, mask_field, open, resting, validate,
};
use crate::vault::Vault;

/// What to do with them.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Add one, or log in again: reads a JSON document from standard input
    Add(AddArgs),
    /// List them
    Ls,
    /// Everything about one; secrets are masked
    Show {
        /// Its name
        name: String,
    },
    /// Ask the provider whether it works
    Validate {
        /// Its name
        #[arg(required_unless_present = "all")]
        name: Option<String>,
        /// Ask for every one of them
        #[arg(long, conflicts_with = "name")]
        all: bool,
    },
    /// Remove one with its secrets; nothing happens at the provider
    #[command(alias = "remove")]
    Rm {
        /// Its name
        name: String,
        /// Also while files of it are open or on their way to it
        #[arg(long)]
        force: bool,
    },
}

/// Runs it.
///
/// # Errors
/// 2 for unknown names and documents that cannot be, 1 when the provider or the disk refuses.
pub async fn run(context: &Context, command: Command) -> CliResult {
    match command {
        Command::Add(args) => profile_add::run(context, args).await,
        Command::Ls => list(context),
        Command::Show { name } => show(context, &name),
        Command::Validate { name, all } => {
            let profiles = context.profiles()?;
            let names: Vec<String> = match name {
                Some(name) if !all => vec![name],
                _ => profiles.names().map(str::to_owned).collect(),
            };
            validate_all(context, &profiles, &names, all).await
        }
        Command::Rm { name, force } => remove(context, &name, force).await,
    }
}

/// A profile's settings by name.
pub(super) fn find<'a>(
    profiles: &'a Profiles,
    name: &str,
) -> Result<(&'a ProfileSettings, Source), CliError> {
    profiles.get(name).ok_or_else(|| {
        CliError::usage(
            "profile_not_found",
            format!("no profile is called `{name}`"),
        )
        .hint(did_you_mean(name, profiles.names()))
    })
}

/// A stored profile with the secrets its user gave.
pub(super) fn stored(
    name: &str,
    settings: &ProfileSettings,
    info: &ProviderInfo,
    vault: &Vault,
) -> Result<ProfileSpec, CliError> {
    Ok(ProfileSpec {
        name: name.to_owned(),
        settings: settings.clone(),
        secrets: given_secrets(vault.load(name)?, info),
    })
}

fn status_of(latest: Option<&Validation>) -> &str {
    latest.map_or("unverified", |record| record.status.as_str())
}

fn list(context: &Context) -> CliResult {
    let profiles = context.profiles()?;
    let records = Validations::new(&context.paths.data);
    let paint = context.paint;
    let mut table = Table::new(paint, &["NAME", "PROVIDER", "LOG IN", "ACCESS", "STATUS"]);
    let mut items = Vec::new();
    for (name, settings, source) in profiles.iter() {
        let latest = records.latest(name);
        let status = status_of(latest.as_ref());
        let shown = match status {
            "verified" => paint.good(status),
            "invalid" => paint.bad(status),
            _ => status.to_owned(),
        };
        let spec = ProfileSpec {
            name: name.to_owned(),
            settings: settings.clone(),
            ..ProfileSpec::default()
        };
        let mode = find_provider(context.registry, &settings.provider)
            .and_then(|info| auth_mode(&spec, info));
        let (mode, kind) = match &mode {
            Ok(mode) => (mode.name, mode.kind),
            Err(_) => (settings.auth_mode.as_deref().unwrap_or("?"), "?"),
        };
        let access = if settings.read_only {
            "read-only"
        } else {
            "read-write"
        };
        table.row([name, &settings.provider, mode, access, &shown]);
        items.push(json!({
            "name": name,
            "provider": settings.provider,
            "auth_mode": mode,
            "kind": kind,
            "read_only": settings.read_only,
            "source": source,
            "status": status,
            "last_error": latest.as_ref().and_then(|record| record.error.clone()),
        }));
    }
    let text = if items.is_empty() {
        "no profiles yet; add one: panfuse profile add NAME --provider KEY --json -".to_owned()
    } else {
        table.render()
    };
    Ok(Reply::new(Value::Array(items), text))
}

fn show(context: &Context, name: &str) -> CliResult {
    let profiles = context.profiles()?;
    let (settings, source) = find(&profiles, name)?;
    let record = record(context, name, settings, source)?;
    let mut table = Table::plain();
    for (key, value) in record.as_object().into_iter().flatten() {
        match value {
            Value::Object(inner) => {
                for (name, value) in inner {
                    table.row([format!("{key}.{name}"), plain(value)]);
                }
            }
            Value::Array(list) => {
                for problem in list {
                    table.row([key.clone(), plain(&problem["message"])]);
                }
            }
            Value::Null => {}
            value => table.row([key.clone(), plain(value)]),
        }
    }
    let text = table.render();
    Ok(Reply::new(record, text))
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A profile for showing: secrets and what looks like one are masked.
pub(super) fn record(
    context: &Context,
    name: &str,
    settings: &ProfileSettings,
    source: Source,
) -> Result<Value, CliError> {
    let latest = Validations::new(&context.paths.data).latest(name);
    let vault = context.vault()?;
    let mut spec = ProfileSpec {
        name: name.to_owned(),
        settings: settings.clone(),
        secrets: vault.load(name)?,
    };
    let (mode, problems) = match find_provider(context.registry, &settings.provider) {
        Ok(info) => {
            spec.secrets = given_secrets(spec.secrets, info);
            (auth_mode(&spec, info).ok(), check(&spec, info))
        }
        Err(problem) => (None, vec![problem]),
    };
    let fields: Map<String, Value> = settings
        .fields
        .iter()
        .map(|(name, value)| (name.clone(), json!(mask_field(name, value))))
        .collect();
    let secrets: Map<String, Value> = spec
        .secrets
        .iter()
        .map(|(name, secret)| (name.clone(), json!(mask(secret.expose()))))
        .collect();
    Ok(json!({
        "name": name,
        "provider": settings.provider,
        "auth_mode": mode.map(|mode| mode.name).or(settings.auth_mode.as_deref()),
        "kind": mode.map(|mode| mode.kind).or(settings.kind.as_deref()),
        "root": settings.root,
        "read_only": settings.read_only,
        "ttl_s": settings.ttl_s,
        "account": settings.account.clone().or(latest.as_ref().and_then(|r| r.account.clone())),
        "fields": fields,
        "secrets": secrets,
        "endpoints": settings.endpoints,
        "source": source,
        "ready": !problems.iter().any(|problem| problem.blocking),
        "problems": problems,
        "status": status_of(latest.as_ref()),
        "last_error": latest.as_ref().and_then(|record| record.error.clone()),
        "checked_at": latest.as_ref().map(|record| record.checked_at.clone()),
    }))
}

/// Opens the drive, lists one page, and keeps the result. An account that rests after a block is
/// not asked; that says nothing about the profile and is not kept.
pub(super) async fn ask(
    context: &Context,
    spec: &ProfileSpec,
    deps: &OpenDeps,
) -> Result<Validation, CliError> {
    if let Some(record) = resting(spec, deps) {
        return Ok(not_asked(context, spec, deps, &record));
    }
    let result = match open(spec, deps) {
        Ok(drive) => validate(spec, drive.as_ref(), deps.clock.as_ref()).await,
        Err(error) => Validation::not_opened(spec, &error, deps.clock.as_ref()),
    };
    Validations::new(&context.paths.data).append(&result)?;
    Ok(result)
}

fn not_asked(
    context: &Context,
    spec: &ProfileSpec,
    deps: &OpenDeps,
    record: &BreakerRecord,
) -> Validation {
    let until = jiff::Timestamp::from_millisecond(record.until_ms)
        .map_or_else(|_| "later".to_owned(), |time| format!("{time:.0}"));
    let error = DriveError::new(
        ErrorKind::Risk,
        format!(
            "not asked: the account rests until {until} after a block ({})",
            record.reason
        ),
    );
    let latest = Validations::new(&context.paths.data).latest(&spec.name);
    Validation {
        status: status_of(latest.as_ref()).to_owned(),
        account: latest.and_then(|latest| latest.account),
        ..Validation::not_opened(spec, &error, deps.clock.as_ref())
    }
}

/// The result for a profile that is not complete enough to be asked about.
fn not_ready(spec: &ProfileSpec, problems: &[Problem], clock: &dyn Clock) -> Option<Validation> {
    let problem = problems.iter().find(|problem| problem.blocking)?;
    let error = DriveError::new(ErrorKind::Invalid, problem.message.clone());
    let mut result = Validation::not_opened(spec, &error, clock);
    result.error = Some(problem.code.to_owned());
    result.hint = Some(problem.hint.clone()).filter(|hint| !hint.is_empty());
    Some(result)
}

async fn validate_all(
    context: &Context,
    profiles: &Profiles,
    names: &[String],
    all: bool,
) -> CliResult {
    let vault = context.vault()?;
    let deps = context.open_deps(vault.clone())?;
    let mut results = Vec::new();
    for name in names {
        let (settings, _) = find(profiles, name)?;
        let info = match find_provider(context.registry, &settings.provider) {
            Ok(info) => info,
            Err(problem) => {
                let spec = ProfileSpec {
                    name: name.clone(),
                    settings: settings.clone(),
                    ..ProfileSpec::default()
                };
                results.extend(not_ready(&spec, &[problem], &SystemClock));
                continue;
            }
        };
        let spec = stored(name, settings, info, &vault)?;
        let result = match not_ready(&spec, &check(&spec, info), &SystemClock) {
            Some(result) => result,
            None => ask(context, &spec, &deps).await?,
        };
        results.push(result);
    }
    let failed: Vec<&Validation> = results.iter().filter(|result| !result.ok).collect();
    let document = match (all, results.first()) {
        (false, Some(one)) => json!(one),
        _ => json!({
            "total": results.len(),
            "ok": results.len() - failed.len(),
            "failed": failed.len(),
            "results": results,
        }),
    };
    if let Some(first) = failed.first() {
        let message: Vec<String> = failed
            .iter()
            .map(|result| format!("{}: {}", result.profile, result.summary))
            .collect();
        return Err(
            CliError::failed(first.error.clone().unwrap_or_default(), message.join("; "))
                .hint(first.hint.clone().unwrap_or_default())
                .with("validation", document),
        );
    }
    let mut table = Table::plain();
    for result in &results {
        let status = context.paint.good(&result.status);
        table.row([result.profile.clone(), status, result.summary.clone()]);
    }
    let text = table.render();
    Ok(Reply::new(document, text))
}

async fn remove(context: &Context, name: &str, force: bool) -> CliResult {
    let mut profiles = context.profiles()?;
    let (_, source) = find(&profiles, name)?;
    if source == Source::ConfigFile {
        // Tells where it is; its secrets stay with it.
        profiles.remove(&context.paths, name)?;
    }
    // A running mount lets go of it first, or refuses: then nothing is removed.
    let unmounted = volumes::released(context, name, force)
        .await
        .map_err(|error| match error.code.as_str() {
            "busy" => error.hint(
                "wait with panfuse sync and close the files; or --force: what is on its way then \
                 waits until a profile of that name is back",
            ),
            _ => error,
        })?;
    // Secrets first: after a crash in between the profile is still listed and can be removed
    // again, while secrets without a profile would be forgotten on the disk.
    let secrets = context.vault()?.remove_profile(name)?;
    profiles.remove(&context.paths, name)?;
    Validations::new(&context.paths.data).forget(name)?;
    Ok(Reply::new(
        json!({"removed": name, "secrets": secrets, "unmounted": unmounted}),
        if unmounted {
            format!("removed {name}; the running mount has let go of it")
        } else {
            format!("removed {name}")
        },
    ))
}

#[cfg(test)]
pub(super) mod testing {
    //! A context over the fake provider.

    use std::path::Path;

    use super::super::{Context, Paint};
    use crate::config::{Paths, Settings};

    /// A context whose places are all below `root`.
    pub(crate) fn context(root: &Path) -> Context {
        Context {
            settings: Settings::default(),
            paths: Paths {
                config_file: root.join("config.toml"),
                data: root.join("data"),
                state: root.join("state"),
                cache: root.join("cache"),
                runtime: root.join("run"),
            },
            registry: crate::profile::fake::REGISTRY,
            json: true,
            paint: Paint::default(),
        }
    }
}
