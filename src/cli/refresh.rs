//! `panfuse refresh`: lists directories afresh.

use super::{CliError, CliResult, Context};

/// Its options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directories in a mount
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<std::path::PathBuf>,
    /// And everything below them
    #[arg(long, short = 'r')]
    pub recursive: bool,
}

/// Runs it.
///
/// # Errors
/// Exit code 1: this build has no daemon.
pub async fn run(_context: &Context, _args: Args) -> CliResult {
    Err(CliError::not_available("refresh"))
}
