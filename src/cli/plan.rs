//! `panfuse plan`: what a copy would do, without doing it.

use super::{CliError, CliResult, Context};

/// Its options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Sources, then the target
    #[arg(value_name = "PATH", required = true, num_args = 2..)]
    pub paths: Vec<std::path::PathBuf>,
}

/// Runs it.
///
/// # Errors
/// Exit code 1: this build has no daemon.
pub async fn run(_context: &Context, _args: Args) -> CliResult {
    Err(CliError::not_available("plan"))
}
