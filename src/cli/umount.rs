//! `panfuse umount`: waits for pending uploads and unmounts.

use super::{CliError, CliResult, Context};

/// Its options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory that is mounted on
    #[arg(value_name = "MOUNTPOINT")]
    pub mountpoint: std::path::PathBuf,
    /// Do not wait for pending uploads; they go on at the next mount
    #[arg(long)]
    pub now: bool,
}

/// Runs it.
///
/// # Errors
/// Exit code 1: this build has no daemon.
pub async fn run(_context: &Context, _args: Args) -> CliResult {
    Err(CliError::not_available("umount"))
}
