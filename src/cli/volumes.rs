//! The drives of a daemon: opened when it starts, and taken in and let go while it runs.

use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Client;
use super::daemon::DaemonOptions;
use super::{CliError, Context};
use crate::catalog::Catalog;
use crate::config::ProfileSettings;
use crate::content::Volume;
use crate::net::Clock;
use crate::profile::{OpenDeps, ProfileSpec, open};
use crate::vfs::{FsError, Vfs};

/// Opens the drives of profiles, with what all drives of the process share.
pub(super) struct Opener {
    context: Context,
    deps: OpenDeps,
    /// Only these, when any are named (`-o profile=A,B`).
    wanted: Vec<String>,
    mount_point: PathBuf,
}

impl Opener {
    /// # Errors
    /// Exit code 2 for a profile that was asked for and is not there; those of the vault.
    pub fn new(
        context: &Context,
        options: &DaemonOptions,
        catalog: Arc<Catalog>,
        clock: Arc<dyn Clock>,
    ) -> Result<Opener, CliError> {
        let profiles = context.profiles()?;
        let wanted = options.mount.profiles.clone().unwrap_or_default();
        for name in &wanted {
            if profiles.get(name).is_none() {
                let known: Vec<&str> = profiles.names().collect();
                return Err(CliError::usage(
                    "profile_not_found",
                    format!("there is no profile {name}"),
                )
                .hint(format!("configured are: {}", known.join(", "))));
            }
        }
        let deps = OpenDeps {
            clock,
            breakers: catalog,
            ..context.open_deps(context.vault()?)?
        };
        Ok(Opener {
            context: context.clone(),
            deps,
            wanted,
            mount_point: options.mount_point.clone(),
        })
    }

    /// Every drive that is to be mounted; those that cannot be opened are told in `notes`.
    ///
    /// # Errors
    /// `no_profile` when none can be opened.
    pub fn all(&self, notes: &mut Vec<String>) -> Result<Vec<Volume>, CliError> {
        let profiles = self.context.profiles()?;
        let mut volumes = Vec::new();
        let mut refused = Vec::new();
        for (name, settings, _) in profiles.iter() {
            if !self.is_wanted(name) {
                continue;
            }
            match self.volume(name, settings) {
                Ok(volume) => volumes.push(volume),
                Err(error) => refused.push(format!("profile {name} is left out: {error}")),
            }
        }
        if volumes.is_empty() {
            let error = match refused.first() {
                Some(first) => CliError::usage("no_profile", first.clone()),
                None => CliError::usage("no_profile", "no profile is configured"),
            };
            return Err(error
                .hint("panfuse profile add NAME --provider KEY --json -; or try: panfuse demo"));
        }
        notes.extend(refused);
        Ok(volumes)
    }

    fn is_wanted(&self, name: &str) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|wanted| wanted == name)
    }

    fn volume(
        &self,
        name: &str,
        settings: &ProfileSettings,
    ) -> Result<Volume, crate::drive::DriveError> {
        let spec = ProfileSpec {
            name: name.to_owned(),
            settings: settings.clone(),
            secrets: Default::default(),
        };
        let ttl = settings.ttl_s.unwrap_or(self.context.settings.mount.ttl_s);
        Ok(Volume {
            name: name.into(),
            provider: crate::providers::find(&settings.provider).map_or("", |info| info.key),
            drive: open(&spec, &self.deps)?,
            read_only: settings.read_only,
            ttl_ms: i64::try_from(ttl)
                .unwrap_or(i64::MAX / 1000)
                .saturating_mul(1000),
        })
    }
}

#[derive(Clone)]
struct Shared {
    vfs: Vfs,
    opener: Arc<Opener>,
    /// One change of the profiles at a time.
    changing: Arc<tokio::sync::Mutex<()>>,
}

/// A profile that comes or goes.
#[derive(Deserialize)]
struct Body {
    profile: String,
    #[serde(default)]
    force: bool,
}

/// The requests by which profiles come and go.
pub(super) fn routes(vfs: &Vfs, opener: &Arc<Opener>) -> Router {
    Router::new()
        .route("/v1/profile/take", post(take))
        .route("/v1/profile/release", post(release))
        .with_state(Shared {
            vfs: vfs.clone(),
            opener: opener.clone(),
            changing: Arc::default(),
        })
}

/// Takes a profile in, or its new settings and secrets when it is mounted already.
async fn take(
    State(shared): State<Shared>,
    Json(body): Json<Body>,
) -> Result<Json<Value>, CliError> {
    let _turn = shared.changing.lock().await;
    let name = body.profile.as_str();
    let profiles = shared.opener.context.profiles()?;
    let Some((settings, _)) = profiles.get(name) else {
        return Err(CliError::failed(
            "profile_not_found",
            format!("there is no profile {name}"),
        ));
    };
    if !shared.opener.is_wanted(name) {
        return Err(CliError::failed(
            "not_mounted",
            "it is not among the profiles that were named at the mount",
        )
        .hint("unmount, and mount with it in -o profile=... or without that option"));
    }
    let volume = shared.opener.volume(name, settings)?;
    match shared.vfs.remove_profile(name, body.force) {
        Err(error) if error.errno != libc::ENOENT => return Err(refused(name, &error)),
        _ => {}
    }
    shared
        .vfs
        .add_profile(volume)
        .map_err(|error| refused(name, &error))?;
    let path = shared.opener.mount_point.join(name);
    Ok(Json(json!({ "profile": name, "path": path })))
}

/// Lets a profile go.
async fn release(
    State(shared): State<Shared>,
    Json(body): Json<Body>,
) -> Result<Json<Value>, CliError> {
    let _turn = shared.changing.lock().await;
    let name = body.profile.as_str();
    match shared.vfs.remove_profile(name, body.force) {
        // One that could not be opened, or was not named at the mount.
        Err(error) if error.errno == libc::ENOENT => {
            Ok(Json(json!({ "profile": name, "released": false })))
        }
        Err(error) => Err(refused(name, &error)),
        Ok(()) => Ok(Json(json!({ "profile": name, "released": true }))),
    }
}

fn refused(name: &str, error: &FsError) -> CliError {
    match &error.cause {
        Some(cause) if error.errno == libc::EBUSY => CliError::failed("busy", &cause.message),
        Some(cause) => CliError::from(cause.clone()),
        None => CliError::failed("failed", format!("{name}: {error}")),
    }
}

/// Asks the running daemon to take a profile in; `None` when none runs. Otherwise where its
/// directory is.
///
/// # Errors
/// The daemon's.
pub(super) async fn taken(context: &Context, name: &str) -> Result<Option<PathBuf>, CliError> {
    let body = json!({ "profile": name });
    let answer = told(context, "/v1/profile/take", &body).await?;
    Ok(answer.and_then(|answer| Some(PathBuf::from(answer["path"].as_str()?))))
}

/// Asks the running daemon to let a profile go; `false` when none runs or it had it not.
///
/// # Errors
/// `busy` while files are open or on their way, unless `force`.
pub(super) async fn released(context: &Context, name: &str, force: bool) -> Result<bool, CliError> {
    let body = json!({ "profile": name, "force": force });
    let answer = told(context, "/v1/profile/release", &body).await?;
    Ok(answer.is_some_and(|answer| answer["released"] == true))
}

async fn told(context: &Context, path: &str, body: &Value) -> Result<Option<Value>, CliError> {
    match Client::new(&context.paths)?
        .call("POST", path, Some(body))
        .await
    {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.code == "no_daemon" => Ok(None),
        Err(error) => Err(error),
    }
}
