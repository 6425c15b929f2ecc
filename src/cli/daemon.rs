//! The daemon: everything that a mount is made of, from settings to the door for commands.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::lock::DaemonLock;
use super::service::Door;
use super::volumes::{self, Opener};
use super::{CliError, Context, found};
use crate::catalog::Catalog;
use crate::config::ClosePolicy;
use crate::content::Stage;
use crate::fingerprint::Kind;
use crate::fuse::{MountError, MountOptions, Mounted};
use crate::guard::GuardSettings;
use crate::net::{Clock, SystemClock};
use crate::transfer::{Engine, EngineParts, EngineSettings, Journal, Task, TransferRecord};
use crate::vfs::{Close, FsError, Settings, Vfs};

/// What the caller decides about a daemon.
#[derive(Clone, Debug, Default)]
pub struct DaemonOptions {
    /// Where it mounts.
    pub mount_point: PathBuf,
    /// What `-o` says.
    pub mount: MountOptions,
}

/// A daemon without its kernel side.
pub struct Daemon {
    /// The tree.
    pub vfs: Vfs,
    opener: Arc<Opener>,
    /// Remarks for the person who mounts: profiles left out, a catalog set aside, recovered files.
    pub notes: Vec<String>,
    /// The right to the state directory.
    pub lock: DaemonLock,
    /// Ends the daemon.
    pub stop: CancellationToken,
}

impl Daemon {
    /// Opens everything and takes up what the journal holds.
    ///
    /// # Errors
    /// A running daemon, wrong settings, a damaged journal, no profile that can be opened.
    pub async fn open(context: &Context, options: &DaemonOptions) -> Result<Daemon, CliError> {
        let mut notes = Vec::new();
        context.paths.create()?;
        let lock = DaemonLock::acquire(&context.paths, &options.mount_point)?;
        let catalog = open_catalog(&context.catalog_file(), &mut notes)?;
        let journal = Journal::open(&context.paths.state.join("journal.db")).map_err(|error| {
            CliError::failed("journal", error.to_string()).hint(
                "the journal holds what was promised to programs; look at it before you move it away",
            )
        })?;
        let mib = |mb: u64| mb.saturating_mul(1 << 20);
        let cache = &context.settings.cache;
        let stage = Stage::open(
            &context.paths.state.join("stage"),
            mib(cache.stage_budget_mb),
            mib(cache.stage_reserve_mb),
        )?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let opener = Opener::new(context, options, catalog.clone(), clock.clone())?;
        let volumes = opener.all(&mut notes)?;
        let transfer = &context.settings.transfer;
        let engine = Engine::new(EngineParts {
            volumes,
            catalog,
            journal,
            stage,
            clock,
            settings: EngineSettings {
                parallel: transfer.parallel,
                guards: GuardSettings {
                    threshold: transfer.threshold_mb.map(mib),
                    fallback_cap: transfer.fallback_cap_mb.map(mib),
                    deletes_per_minute: context.settings.limits.deletes_per_minute,
                    conflict: context.settings.conflict,
                },
                buffer_bytes: mib(cache.memory_target_mb) * 2 / 3,
                instance: context.paths.instance()?,
            },
        });
        let vfs = Vfs::new(engine.clone(), settings(context, options));
        let revived = vfs.clone();
        let left = engine
            .recover(move |record: &TransferRecord, content| revived.revive(record, content))
            .await?;
        if !left.is_empty() {
            notes.push(format!(
                "{} file(s) that were never closed are under .panfuse/recovered/",
                left.len()
            ));
        }
        vfs.add_recovered(left);
        vfs.warm_quotas();
        let deletes = engine.guard().status().deletes;
        if deletes.open {
            notes.push(format!(
                "deletes are still refused since {}; when they were meant: panfuse approve deletes",
                deletes.since.unwrap_or_default()
            ));
        }
        Ok(Daemon {
            vfs,
            opener: Arc::new(opener),
            notes,
            lock,
            stop: CancellationToken::new(),
        })
    }

    /// The requests of commands.
    pub fn routes(&self) -> Router {
        Router::new()
            .route("/v1/status", get(status))
            .route("/v1/tasks", get(tasks))
            .route("/v1/task/show", post(task_show))
            .route("/v1/task/retry", post(task_retry))
            .route("/v1/task/cancel", post(task_cancel))
            .route("/v1/sync", post(sync))
            .route("/v1/unmount", post(unmount))
            .route("/v1/refresh", post(refresh))
            .route("/v1/hash", post(hash))
            .route("/v1/plan", post(plan))
            .route("/v1/approve", post(approve))
            .route("/v1/share/save", post(share_save))
            .with_state(Shared {
                vfs: self.vfs.clone(),
                stop: self.stop.clone(),
            })
            .merge(volumes::routes(&self.vfs, &self.opener))
            .merge(found::routes(&self.vfs))
    }
}

fn open_catalog(path: &Path, notes: &mut Vec<String>) -> Result<Arc<Catalog>, CliError> {
    let opened =
        Catalog::open(path).map_err(|error| CliError::failed("catalog", error.to_string()))?;
    if let Some(aside) = opened.set_aside {
        notes.push(format!(
            "the catalog was damaged; it is kept as {} and built anew",
            aside.display()
        ));
    }
    Ok(Arc::new(opened.catalog))
}

fn settings(context: &Context, options: &DaemonOptions) -> Settings {
    let mount = &context.settings.mount;
    let transfer = &context.settings.transfer;
    let own = crate::config::effective_uid().unwrap_or(0);
    let mut settings = Settings {
        uid: mount.uid.unwrap_or(own),
        gid: mount.gid.unwrap_or_else(|| effective_gid().unwrap_or(own)),
        umask: mount.umask,
        negative_ttl: Duration::from_secs(mount.negative_ttl_s),
        read_only: mount.read_only,
        close: match transfer.close {
            ClosePolicy::Wait => Close::Wait,
            ClosePolicy::Auto => Close::Auto,
            ClosePolicy::Queue => Close::Queue,
        },
        small_file: transfer.small_file_mb.saturating_mul(1 << 20),
        memory_target: context
            .settings
            .cache
            .memory_target_mb
            .saturating_mul(1 << 20)
            / 3,
        mount_point: options.mount_point.display().to_string(),
        ..Settings::default()
    };
    options.mount.apply(&mut settings);
    settings
}

fn effective_gid() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Gid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[derive(Clone)]
struct Shared {
    vfs: Vfs,
    stop: CancellationToken,
}

type Answer = Result<Json<Value>, CliError>;

/// A path below the mount point, as commands send it.
#[derive(Deserialize, Default)]
struct PathBody {
    #[serde(default)]
    path: String,
    #[serde(default)]
    deep: bool,
    #[serde(default)]
    now: bool,
    #[serde(default)]
    compute: Vec<String>,
    #[serde(default)]
    sources: Vec<String>,
    #[serde(default)]
    target: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    deletes: bool,
}

async fn status(State(shared): State<Shared>) -> Json<Value> {
    Json(shared.vfs.status())
}

async fn tasks(State(shared): State<Shared>) -> Json<Value> {
    Json(json!({ "tasks": shared.vfs.tasks() }))
}

/// A task by its id or the beginning of it.
fn task_of(shared: &Shared, id: &str) -> Result<Arc<Task>, CliError> {
    let tasks = shared.vfs.engine().tasks();
    let only = super::task::only(tasks.iter().map(|task| task.id.as_str()), id)?;
    tasks
        .iter()
        .find(|task| task.id == only)
        .cloned()
        .ok_or_else(|| CliError::failed("task_not_found", format!("there is no transfer {id:?}")))
}

async fn task_show(State(shared): State<Shared>, Json(body): Json<PathBody>) -> Answer {
    Ok(Json(shared.vfs.task(&*task_of(&shared, &body.id)?)))
}

async fn task_retry(State(shared): State<Shared>, Json(body): Json<PathBody>) -> Answer {
    let task = task_of(&shared, &body.id)?;
    if !shared.vfs.engine().retry(&task) {
        let id = &task.id;
        return Err(CliError::failed(
            "not_retried",
            format!("transfer {id} is not waiting to be tried again"),
        )
        .hint(
            "only a failed upload of a file that was accepted is; copy the file again otherwise",
        ));
    }
    Ok(Json(shared.vfs.task(&task)))
}

async fn task_cancel(State(shared): State<Shared>, Json(body): Json<PathBody>) -> Answer {
    let task = task_of(&shared, &body.id)?;
    if !shared.vfs.engine().cancel(&task) {
        return Err(CliError::failed(
            "task_over",
            format!("transfer {} is over already", task.id),
        ));
    }
    // Most end at once; one in the middle of a long request ends behind.
    let _ = tokio::time::timeout(CANCEL, task.wait()).await;
    Ok(Json(shared.vfs.task(&task)))
}

async fn sync(State(shared): State<Shared>, Json(body): Json<PathBody>) -> Answer {
    let profile = body.path.split('/').find(|part| !part.is_empty());
    let failed = shared.vfs.settle(profile).await;
    if failed > 0 {
        return Err(CliError::failed(
            "pending",
            format!("{failed} file(s) are not at their provider yet; they are tried again"),
        )
        .hint("panfuse task ls shows why"));
    }
    Ok(Json(
        json!({ "pendingTransfers": shared.vfs.engine().pending() }),
    ))
}

async fn unmount(State(shared): State<Shared>, Json(body): Json<PathBody>) -> Answer {
    let waited = shared.vfs.engine().pending();
    if !body.now {
        shared.vfs.settle(None).await;
    }
    let left = shared.vfs.engine().pending();
    shared.stop.cancel();
    Ok(Json(
        json!({ "waitedFor": waited, "leftForNextMount": left }),
    ))
}

async fn refresh(State(shared): State<Shared>, Json(body): Json<PathBody>) -> Answer {
    let ino = shared
        .vfs
        .resolve(&body.path)
        .await
        .map_err(|error| told(&body.path, &error))?;
    let listed = shared
        .vfs
        .refresh(ino, body.deep)
        .await
        .map_err(|error| told(&body.path, &error))?;
    Ok(Json(
        json!({ "path": body.path, "directoriesListed": listed }),
    ))
}

async fn share_save(State(shared): State<Shared>, Json(body): Json<PathBody>) -> Answer {
    let vfs = &shared.vfs;
    let fail = |error: FsError| told(&body.path, &error);
    let source = vfs.resolve(&body.path).await.map_err(fail)?;
    let target = vfs.resolve(&body.target).await;
    let target = target.map_err(|error| told(&body.target, &error))?;
    let node = vfs.save_shared(source, target).await.map_err(fail)?;
    let path = format!("{}/{}", body.target.trim_end_matches('/'), node.name);
    Ok(Json(
        json!({ "source": body.path, "path": path, "id": node.id.as_str() }),
    ))
}

async fn hash(State(shared): State<Shared>, Json(body): Json<PathBody>) -> Answer {
    let mut kinds = Vec::new();
    for name in &body.compute {
        kinds.push(Kind::parse(name).ok_or_else(|| {
            let known: Vec<&str> = Kind::CONTENT.iter().map(|kind| kind.name()).collect();
            CliError::usage("unknown_kind", format!("{name:?} is no fingerprint"))
                .hint(format!("known are: {}", known.join(", ")))
        })?);
    }
    let fail = |error: FsError| told(&body.path, &error);
    let ino = shared.vfs.resolve(&body.path).await.map_err(fail)?;
    let known = if kinds.is_empty() {
        shared.vfs.fingerprints(ino).map_err(fail)?
    } else {
        shared.vfs.compute(ino, &kinds).await.map_err(fail)?
    };
    let fingerprints: serde_json::Map<String, Value> = known
        .iter()
        .map(|(kind, known)| {
            let value = json!({
                "value": &*known.value,
                "origin": known.origin.name(),
                "provider": &*known.provider,
            });
            (kind.to_string(), value)
        })
        .collect();
    Ok(Json(
        json!({ "path": body.path, "fingerprints": fingerprints }),
    ))
}

async fn approve(State(shared): State<Shared>, Json(body): Json<PathBody>) -> Answer {
    let approved = if body.deletes {
        shared.vfs.approve_deletes()
    } else {
        let approving = shared.vfs.approve_path(&body.path).await;
        approving.map_err(|error| told(&body.path, &error))?
    };
    Ok(Json(json!(approved)))
}

async fn plan(State(shared): State<Shared>, Json(body): Json<PathBody>) -> Answer {
    let target = body
        .target
        .split('/')
        .find(|part| !part.is_empty())
        .unwrap_or("");
    let mut items = Vec::new();
    for path in &body.sources {
        let ino = shared
            .vfs
            .resolve(path)
            .await
            .map_err(|error| told(path, &error))?;
        let plan = shared
            .vfs
            .plan_copy(ino, &body.target)
            .map_err(|error| told(path, &error))?;
        let mut item = serde_json::to_value(&plan).unwrap_or_default();
        item["path"] = json!(path);
        items.push(item);
    }
    Ok(Json(json!({ "target": target, "items": items })))
}

/// An error of the file system, for people.
pub(super) fn told(path: &str, error: &FsError) -> CliError {
    match &error.cause {
        Some(cause) => {
            let mut told = CliError::from(cause.clone());
            told.message = format!("{path}: {}", told.message);
            told
        }
        None if error.errno == libc::ENOENT => {
            CliError::failed("not_found", format!("{path} does not exist in the mount"))
        }
        None => CliError::failed("failed", format!("{path}: {error}")),
    }
}

impl Daemon {
    /// Mounts, tells `ready`, answers commands, and ends when it is told to (a signal, a command, an
    /// unmount from outside). The journal is sealed then; what is pending goes on at the next mount.
    ///
    /// # Errors
    /// When it cannot be mounted, or the socket cannot be opened.
    pub async fn serve(
        self,
        context: &Context,
        options: &DaemonOptions,
        ready: impl AsyncFnOnce(&Daemon, &Path),
    ) -> Result<(), CliError> {
        let mut mount = options.mount.clone();
        mount.allow_other |= context.settings.mount.allow_other;
        mount.threads = mount.threads.or(Some(context.settings.mount.threads));
        let door = Door::open(&context.paths, &self.lock)?;
        let runtime = tokio::runtime::Handle::current();
        let mounted = Mounted::start(self.vfs.clone(), &options.mount_point, &mount, runtime)
            .await
            .map_err(|error| match error {
                MountError::MountPoint(error) => CliError::usage("mount_point", error.to_string()),
                error => CliError::failed("mount", error.to_string()),
            })?;
        let stop = self.stop.clone();
        let closing = stop.clone();
        let doorway =
            tokio::spawn(door.serve(self.routes(), async move { closing.cancelled().await }));
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let path = mounted.path().to_owned();
        let story = async {
            ready(&self, &path).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = story => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            () = stop.cancelled() => {}
            () = mounted.wait() => {}
        }
        stop.cancel();
        self.vfs.engine().stop();
        let unmounted = mounted.stop().await;
        let _ = tokio::time::timeout(SEAL, doorway).await;
        self.vfs.engine().catalog().flush();
        unmounted.map_err(|error| CliError::failed("unmount", error.to_string()))
    }
}
/// How long a cancelled transfer is waited for before the command is answered.
const CANCEL: Duration = Duration::from_secs(10);

/// How long a daemon that was told to end may take to seal its journal.
const SEAL: Duration = Duration::from_secs(10);
