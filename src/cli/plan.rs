//! `panfuse plan`: what a copy would do, without doing it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::mounted::connect;
use super::size::human;
use super::{CliError, CliResult, Context, Paint, Reply, Table};

/// Files asked about in one request.
const BATCH: usize = 500;

/// Its options.
#[derive(Debug, clap::Args)]
#[command(override_usage = "panfuse plan [OPTIONS] <SOURCE>... <TARGET>")]
pub struct Args {
    /// Sources, then the target
    #[arg(value_name = "PATH", required = true, num_args = 2..)]
    pub paths: Vec<PathBuf>,
}

/// Runs it. Directories stand for the files in them.
///
/// # Errors
/// `no_daemon`, `not_in_mount`, and the daemon's.
pub async fn run(context: &Context, args: Args) -> CliResult {
    let (client, mounted) = connect(context)?;
    let Some((target, sources)) = args.paths.split_last() else {
        return Err(CliError::usage("usage", "plan takes sources and a target"));
    };
    let target = mounted.below(target)?;
    if target == "/" {
        return Err(CliError::usage(
            "bad_target",
            format!("{} holds profiles, not files", mounted.mountpoint.display()),
        )
        .hint("name a profile's directory in it as the target"));
    }
    let mut files = Vec::new();
    for source in sources {
        // What is outside the mount is refused before the disk is asked about it.
        mounted.below(source)?;
        collect(source, &mut files)?;
    }
    let below = files
        .iter()
        .map(|file| mounted.below(file))
        .collect::<Result<Vec<String>, _>>()?;
    let mut items = Vec::new();
    let mut profile = Value::Null;
    for batch in below.chunks(BATCH) {
        let body = json!({ "sources": batch, "target": target });
        let mut answer = client.call("POST", "/v1/plan", Some(&body)).await?;
        profile = answer["target"].take();
        if let Value::Array(planned) = answer["items"].take() {
            items.extend(planned);
        }
    }
    let text = shown(&items, context.paint);
    let mut reply = Reply::new(json!({ "target": profile, "items": items }), text);
    if below.is_empty() {
        reply.notes.push("there is no file to copy".to_owned());
    }
    Ok(reply)
}

/// The file, or the files below the directory, in the order of their names. What cannot be looked
/// at is left to the daemon to say why.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), CliError> {
    let is_dir = std::fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    if !is_dir {
        files.push(path.to_owned());
        return Ok(());
    }
    let unreadable = |error: std::io::Error| {
        CliError::failed("not_readable", format!("{}: {error}", path.display()))
    };
    let mut below = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        below.push(entry.map_err(unreadable)?.path());
    }
    below.sort();
    below.iter().try_for_each(|path| collect(path, files))
}

fn shown(items: &[Value], paint: Paint) -> String {
    if items.is_empty() {
        return String::new();
    }
    let heading = ["PATH", "SIZE", "STRATEGY", "PHASE", "REASON"];
    let mut table = Table::new(paint, &heading);
    for item in items {
        let word = |key: &str| item[key].as_str().unwrap_or("").to_owned();
        table.row([
            word("path"),
            human(item["size"].as_u64().unwrap_or(0)),
            word("strategy"),
            word("phase"),
            word("reason"),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::super::lock::DaemonLock;
    use super::super::profile::testing::context;
    use super::*;

    #[test]
    fn directories_stand_for_their_files() {
        let home = tempfile::tempdir().unwrap();
        let top = home.path();
        std::fs::create_dir_all(top.join("d/e")).unwrap();
        for name in ["d/e/2", "d/1", "d/3"] {
            std::fs::write(top.join(name), b"").unwrap();
        }
        let mut files = Vec::new();
        collect(&top.join("d"), &mut files).unwrap();
        collect(&top.join("none"), &mut files).unwrap();
        assert_eq!(
            files,
            ["d/1", "d/3", "d/e/2", "none"].map(|name| top.join(name))
        );
    }

    #[test]
    fn the_table_has_what_decides() {
        let items = [json!({
            "path": "/a/x", "size": 2048, "strategy": "fast_upload", "phase": "P1", "reason": "known",
        })];
        assert_eq!(
            shown(&items, Paint::default()),
            "PATH  SIZE     STRATEGY     PHASE  REASON\n/a/x  2.0 KiB  fast_upload  P1     known\n"
        );
    }

    #[tokio::test]
    async fn paths_outside_of_the_mount_are_refused_by_name() {
        let home = tempfile::tempdir().unwrap();
        let context = context(home.path());
        let _lock = DaemonLock::acquire(&context.paths, Path::new("/m")).unwrap();
        for (paths, code) in [
            (["/m/a/x", "/tmp/y"], "not_in_mount"),
            (["/tmp/x", "/m/a"], "not_in_mount"),
            (["/m/a/x", "/m"], "bad_target"),
        ] {
            let paths = paths.map(PathBuf::from).to_vec();
            let error = run(&context, Args { paths }).await.unwrap_err();
            assert_eq!((error.code.as_str(), error.exit), (code, 2));
            assert!(error.message.contains("/m"), "{}", error.message);
        }
    }
}
