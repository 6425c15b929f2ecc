//! `panfuse umount`: waits for pending uploads and unmounts.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::Client;
use super::lock::holder;
use super::mounted::Mounted;
use super::pending::post_and_wait;
use super::{CliError, CliResult, Context, Reply};
use crate::fuse::{is_mounted, unmount};

/// How long the mount may take to go once the daemon has said yes: its journal is sealed meanwhile.
const GOING: Duration = Duration::from_secs(30);

/// How long a look at a mount may take before its daemon counts as one that hangs.
const LOOK: Duration = Duration::from_secs(5);

/// Its options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory that is mounted on
    #[arg(value_name = "MOUNTPOINT")]
    pub mountpoint: PathBuf,
    /// Do not wait for pending uploads; they go on at the next mount
    #[arg(long)]
    pub now: bool,
}

/// Runs it.
///
/// # Errors
/// `not_mounted`, `other_mount`, `still_mounted`, and the daemon's.
pub async fn run(context: &Context, args: Args) -> CliResult {
    let path = &args.mountpoint;
    let Some(held) = holder(&context.paths)? else {
        return without_daemon(path);
    };
    let mounted = Mounted::at(&held.mountpoint);
    if !mounted.is_root(path) {
        return Err(CliError::usage(
            "other_mount",
            format!(
                "the daemon of {} is mounted at {}, not at {}",
                context.paths.state.display(),
                held.mountpoint.display(),
                path.display()
            ),
        )
        .hint("name the mount point, or the other daemon with --config or --state-dir"));
    }
    let client = Client::new(&context.paths)?;
    let body = json!({ "now": args.now });
    let answer = post_and_wait(&client, "/v1/unmount", &body).await?;
    gone(context, path).await?;
    let text = shown(&answer, path);
    Ok(Reply::new(answer, text))
}

fn shown(answer: &Value, path: &Path) -> String {
    let number = |key: &str| answer[key].as_u64().unwrap_or(0);
    let (waited, left) = (number("waitedFor"), number("leftForNextMount"));
    let mut text = format!("{} is unmounted", path.display());
    if waited > left {
        text.push_str(&format!("; waited for {} upload(s)", waited - left));
    }
    if left > 0 {
        text.push_str(&format!("; {left} upload(s) go on at the next mount"));
    }
    text
}

/// Waits until the kernel does not know the mount any more and the daemon has let go of its state.
async fn gone(context: &Context, path: &Path) -> Result<(), CliError> {
    let start = Instant::now();
    loop {
        let mounted = is_mounted(path)?;
        if !mounted && holder(&context.paths)?.is_none() {
            return Ok(());
        }
        if start.elapsed() > GOING {
            return Err(if mounted {
                CliError::failed(
                    "still_mounted",
                    format!("{} is still mounted: a program uses it", path.display()),
                )
                .hint("end the programs that use it (fuser -vm shows them) and try again")
            } else {
                CliError::failed(
                    "daemon_running",
                    format!(
                        "{} is unmounted, but its daemon has not ended yet",
                        path.display()
                    ),
                )
                .hint("it is sealing its journal; wait before you mount again")
            });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Nobody holds the state directory: a mount that is still there is a dead daemon's, or another's.
fn without_daemon(path: &Path) -> CliResult {
    if !is_mounted(path)? {
        return Err(CliError::failed(
            "not_mounted",
            format!("no panfuse is mounted at {}", path.display()),
        )
        .hint("findmnt -t fuse.panfuse lists the mounts there are"));
    }
    if is_served(path) {
        return Err(CliError::usage(
            "other_mount",
            format!("{} belongs to another panfuse", path.display()),
        )
        .hint("name its daemon with the --config or --state-dir it was mounted with"));
    }
    detach(path)?;
    Ok(Reply::new(
        json!({ "waitedFor": 0, "leftForNextMount": null, "deadMountRemoved": true }),
        format!(
            "the daemon of {} had died; the dead mount is removed. What was pending goes on at the next mount",
            path.display()
        ),
    ))
}

/// Whether somebody answers for a mount. The look is taken by a thread of its own, because it
/// blocks for good when the daemon hangs; one that hangs is somebody.
fn is_served(path: &Path) -> bool {
    let (tell, told) = std::sync::mpsc::channel();
    let path = path.to_owned();
    std::thread::spawn(move || {
        let dead = std::fs::metadata(&path)
            .is_err_and(|error| error.raw_os_error() == Some(libc::ENOTCONN));
        let _ = tell.send(!dead);
    });
    told.recv_timeout(LOOK).unwrap_or(true)
}

/// Takes a dead mount away, lazily: programs may still stand in it.
fn detach(path: &Path) -> Result<(), CliError> {
    unmount(path).map_err(|error| {
        CliError::failed(
            "still_mounted",
            format!(
                "the dead mount at {} cannot be removed: {error}",
                path.display()
            ),
        )
        .hint(format!("as root: umount -l {}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::super::lock::DaemonLock;
    use super::super::profile::testing::context;
    use super::super::service::Door;
    use super::*;
    use axum::routing::post;
    use axum::{Json, Router};

    fn args(path: &Path) -> Args {
        Args {
            mountpoint: path.to_owned(),
            now: false,
        }
    }

    #[tokio::test]
    async fn what_is_not_mounted_is_told() {
        let home = tempfile::tempdir().unwrap();
        let context = context(home.path());
        let error = run(&context, args(home.path())).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.exit), ("not_mounted", 1));
        let _lock = DaemonLock::acquire(&context.paths, Path::new("/m")).unwrap();
        let error = run(&context, args(home.path())).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.exit), ("other_mount", 2));
        assert!(error.message.contains("mounted at /m,"));
    }

    #[tokio::test]
    async fn it_waits_until_the_daemon_has_let_go() {
        let home = tempfile::tempdir().unwrap();
        let context = context(home.path());
        let point = home.path().join("m");
        let lock = DaemonLock::acquire(&context.paths, &point).unwrap();
        let door = Door::open(&context.paths, &lock).unwrap();
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let stop = std::sync::Arc::new(stop);
        let routes = Router::new().route(
            "/v1/unmount",
            post(move |Json(body): Json<Value>| {
                let stop = stop.clone();
                async move {
                    assert_eq!(body, json!({"now": false}));
                    let _ = stop.send(true);
                    Json(json!({"waitedFor": 3, "leftForNextMount": 1}))
                }
            }),
        );
        let mut ended = stopped.clone();
        let served = tokio::spawn(async move {
            let _ = door
                .serve(routes, async move {
                    let _ = ended.changed().await;
                })
                .await;
            tokio::time::sleep(Duration::from_millis(120)).await;
            drop(lock);
        });
        let reply = run(&context, args(&point)).await.unwrap();
        assert_eq!(holder(&context.paths).unwrap(), None);
        assert!(reply.text.contains("waited for 2 upload(s)"), "{reply:?}");
        assert!(reply.text.contains("1 upload(s) go on"), "{reply:?}");
        assert_eq!(reply.json["waitedFor"], 3);
        served.await.unwrap();
    }

    #[test]
    fn a_directory_that_answers_is_served() {
        let home = tempfile::tempdir().unwrap();
        assert!(is_served(home.path()));
    }
}
