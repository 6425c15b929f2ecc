//! `panfuse mount`: mounts every profile under one directory.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use super::client::Client;
use super::daemon::{Daemon, DaemonOptions};
use super::{CliError, CliResult, Context, Reply};
use crate::fuse::MountOptions;

/// Its options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory to mount on (else ~/cloud)
    #[arg(value_name = "MOUNTPOINT")]
    pub mountpoint: Option<PathBuf>,
    /// Mount options: ro, allow_other, default_permissions, uid=, gid=, umask=, profile=A,B, close=
    #[arg(short = 'o', value_name = "OPTS")]
    pub options: Vec<String>,
    /// Stay in the foreground
    #[arg(long, short = 'f')]
    pub foreground: bool,
}

/// How long a mount in the background may take to answer.
const START: Duration = Duration::from_secs(60);

/// Runs it.
///
/// # Errors
/// Exit code 2 for wrong options, settings or mount points; 1 when it cannot be mounted.
pub async fn run(context: &Context, args: Args) -> CliResult {
    let mount = MountOptions::parse(&args.options)
        .map_err(|error| CliError::usage("mount_option", error.to_string()))?;
    let mount_point = match &args.mountpoint {
        Some(path) => std::path::absolute(path)?,
        None => default_mount_point()?,
    };
    if !args.foreground {
        return in_background(context, &args, &mount_point).await;
    }
    let options = DaemonOptions { mount_point, mount };
    let daemon = Daemon::open(context, &options).await?;
    daemon
        .serve(context, &options, async |daemon, path| {
            for note in &daemon.notes {
                eprintln!("panfuse: {note}");
            }
            eprintln!("panfuse: {}", ready_line(daemon, path));
        })
        .await?;
    Ok(Reply::said())
}

/// `~/cloud`.
pub(super) fn default_mount_point() -> Result<PathBuf, CliError> {
    let home = std::env::var_os("HOME")
        .filter(|home| !home.is_empty())
        .ok_or_else(|| {
            CliError::usage("mount_point", "no mount point is given and HOME is not set")
                .hint("panfuse mount MOUNTPOINT")
        })?;
    Ok(Path::new(&home).join("cloud"))
}

fn ready_line(daemon: &Daemon, path: &Path) -> String {
    let names: Vec<String> = daemon
        .vfs
        .engine()
        .volumes()
        .iter()
        .map(|volume| volume.name.to_string())
        .collect();
    format!("mounted at {} ({})", path.display(), names.join(", "))
}

/// Starts the same command in the foreground of a process of its own, and returns when the mount
/// answers.
async fn in_background(context: &Context, args: &Args, mount_point: &Path) -> CliResult {
    context.paths.create()?;
    let log_path = context.paths.state.join("mount.log");
    let answer_path = context.paths.state.join("mount.json");
    let log = File::create(&log_path)?;
    let answer = File::create(&answer_path)?;
    let mut command = Command::new(std::env::current_exe()?);
    for option in ["--config", "--state-dir"] {
        if let Some(value) = given(option, std::env::args_os()) {
            command.arg(option).arg(std::path::absolute(value)?);
        }
    }
    command.args(["--json", "mount"]).arg(mount_point);
    command.arg("--foreground");
    for option in &args.options {
        command.arg("-o").arg(option);
    }
    let mut daemon = command
        .stdin(Stdio::null())
        .stdout(answer)
        .stderr(log)
        .process_group(0)
        .spawn()?;
    let deadline = tokio::time::Instant::now() + START;
    loop {
        if let Some(status) = daemon.try_wait()? {
            let answer = std::fs::read(&answer_path).unwrap_or_default();
            let error = serde_json::from_slice(&answer).ok();
            if let Some(mut error) = error.and_then(|error| CliError::read(&error)) {
                error.exit = status
                    .code()
                    .map_or(error.exit, |code| u8::try_from(code).unwrap_or(error.exit));
                return Err(error);
            }
            let said = std::fs::read_to_string(&log_path).unwrap_or_default();
            let said = said.trim().trim_start_matches("panfuse: ").to_owned();
            let said = if said.is_empty() {
                format!("the daemon ended: {status}")
            } else {
                said
            };
            return Err(match status.code() {
                Some(2) => CliError::usage("mount", said),
                _ => CliError::failed("mount", said),
            });
        }
        let answer = match Client::new(&context.paths) {
            Ok(client) => {
                client
                    .deadline(Duration::from_secs(2))
                    .call("GET", "/v1/status", None)
                    .await
            }
            Err(error) => Err(error),
        };
        if let Ok(status) = answer
            && status["pid"] == daemon.id()
        {
            let text = std::fs::read_to_string(&log_path).unwrap_or_default();
            let mut reply = Reply::new(
                json!({ "mountPoint": mount_point, "pid": daemon.id(), "profiles": status["profiles"] }),
                format!("mounted at {}", mount_point.display()),
            );
            let notes = text
                .lines()
                .filter_map(|line| line.strip_prefix("panfuse: "));
            reply.notes = notes
                .filter(|line| !line.starts_with("mounted at"))
                .map(str::to_owned)
                .collect();
            return Ok(reply);
        }
        if tokio::time::Instant::now() >= deadline {
            let _ = daemon.kill();
            return Err(
                CliError::failed("timeout", "the mount did not answer within a minute")
                    .hint(format!("its log is {}", log_path.display())),
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The value of a global option as it was given on this command line.
fn given(option: &str, words: impl Iterator<Item = OsString>) -> Option<OsString> {
    let mut words = words;
    while let Some(word) = words.next() {
        if word == option {
            return words.next();
        }
        if let Some(text) = word.to_str()
            && let Some(value) = text.strip_prefix(option)
            && let Some(value) = value.strip_prefix('=')
        {
            return Some(value.into());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemon_is_started_with_the_places_that_were_given() {
        let words = |line: &str| {
            line.split(' ')
                .map(OsString::from)
                .collect::<Vec<_>>()
                .into_iter()
        };
        assert_eq!(
            given("--config", words("panfuse --config /c mount /m")),
            Some("/c".into())
        );
        assert_eq!(
            given("--config", words("panfuse mount /m --config=/c")),
            Some("/c".into())
        );
        assert_eq!(given("--config", words("panfuse mount /m")), None);
    }
}
