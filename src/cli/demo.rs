//! `panfuse demo`: tries everything on this machine, without an account.

use super::{CliError, CliResult, Context};

/// Its options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Keep its directory
    #[arg(long)]
    pub keep: bool,
}

/// Runs it.
///
/// # Errors
/// Exit code 1: this build has no daemon.
pub async fn run(_context: &Context, _args: Args) -> CliResult {
    Err(CliError::not_available("demo"))
}
