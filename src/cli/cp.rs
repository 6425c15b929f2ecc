//! `panfuse cp`: copies through the daemon, with progress.

use super::{CliError, CliResult, Context};

/// Its options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Sources, then the target
    #[arg(value_name = "PATH", required = true, num_args = 2..)]
    pub paths: Vec<std::path::PathBuf>,
    /// Directories with everything in them
    #[arg(long, short = 'r', visible_short_alias = 'R')]
    pub recursive: bool,
    /// When a file is in the way: overwrite_existing, auto_rename_new, fail
    #[arg(long, value_name = "POLICY")]
    pub conflict_policy: Option<String>,
}

/// Runs it.
///
/// # Errors
/// Exit code 1: this build has no daemon.
pub async fn run(_context: &Context, _args: Args) -> CliResult {
    Err(CliError::not_available("cp"))
}
