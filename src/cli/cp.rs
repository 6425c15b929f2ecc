//! `panfuse cp`: copies the way coreutils' `cp` does through a mount, with progress.

use super::copy_report::{Progress, report};
use super::copying::{ConflictPolicy, Copying, destinations};
use super::{CliResult, Context};

/// Its options.
#[derive(Debug, clap::Args)]
#[command(override_usage = "panfuse cp [OPTIONS] <SOURCE>... <TARGET>")]
pub struct Args {
    /// Sources, then the target; in a mount or outside
    #[arg(value_name = "PATH", required = true, num_args = 2..)]
    pub paths: Vec<std::path::PathBuf>,
    /// Directories with everything in them
    #[arg(long, short = 'r', visible_short_alias = 'R')]
    pub recursive: bool,
    /// Keep times and mode
    #[arg(long, short = 'p')]
    pub preserve: bool,
    /// The same as -r -p
    #[arg(long, short = 'a')]
    pub archive: bool,
    /// When a file is in the way
    #[arg(long, value_name = "POLICY", default_value = "overwrite_existing")]
    pub conflict_policy: ConflictPolicy,
}

/// Runs it.
///
/// # Errors
/// `target_not_directory`; `copy_failed` when any file could not be copied.
pub async fn run(context: &Context, args: Args) -> CliResult {
    let pairs = destinations(&args.paths)?;
    let mut command = Copying {
        rows: Vec::new(),
        recursive: args.recursive || args.archive,
        keep: args.preserve || args.archive,
        policy: args.conflict_policy,
        progress: Progress::new(&pairs),
        files: Vec::new(),
        dirs: Vec::new(),
    };
    command.each(&pairs, Copying::copy);
    report(context, command)
}

#[cfg(test)]
mod tests {
    use super::super::copying::testing::{read, write};
    use super::super::profile::testing::context;
    use super::super::{Cli, Command};
    use super::*;
    use clap::Parser;

    fn args(words: &[&str]) -> Args {
        let words = ["panfuse", "cp"].iter().chain(words);
        match Cli::try_parse_from(words).unwrap().command {
            Command::Cp(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn what_can_be_copied_is_copied() {
        let home = tempfile::tempdir().unwrap();
        let top = home.path();
        let context = context(&top.join("panfuse"));
        write(top, "a", "one");
        write(top, "d/b", "two");
        write(top, "t/old", "");
        let path = |name: &str| top.join(name).display().to_string();
        let (a, d, t) = (path("a"), path("d"), path("t"));
        let error = run(&context, args(&[&a, &d, &path("none"), &t]))
            .await
            .unwrap_err();
        assert_eq!((error.code.as_str(), error.exit), ("copy_failed", 1));
        assert_eq!(error.detail["failed"], 2);
        assert_eq!(read(top, "t/a"), "one");
        assert!(!top.join("t/d").exists());

        let reply = run(&context, args(&["-a", &a, &d, &t])).await.unwrap();
        assert_eq!(reply.json["bytes"], 6);
        assert_eq!(reply.json["files"][0]["status"], "copied");
        assert_eq!(read(top, "t/d/b"), "two");
        let error = run(&context, args(&[&a, &d, &a])).await.unwrap_err();
        assert_eq!(error.exit, 2);
        assert_eq!(read(top, "a"), "one");
    }
}
