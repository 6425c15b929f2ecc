//! `panfuse status`: what the daemon is doing.

use super::{CliError, CliResult, Context};

/// Its options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only what concerns this path
    #[arg(value_name = "PATH")]
    pub path: Option<std::path::PathBuf>,
}

/// Runs it.
///
/// # Errors
/// Exit code 1: this build has no daemon.
pub async fn run(_context: &Context, _args: Args) -> CliResult {
    Err(CliError::not_available("status"))
}
