//! `panfuse mount`: mounts every profile under one directory.

use super::{CliError, CliResult, Context};

/// Its options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory to mount on
    #[arg(value_name = "MOUNTPOINT")]
    pub mountpoint: Option<std::path::PathBuf>,
    /// Mount options: ro, allow_other, default_permissions, uid=, gid=, umask=, profile=A,B
    #[arg(short = 'o', value_name = "OPTS")]
    pub options: Vec<String>,
    /// Stay in the foreground
    #[arg(long, short = 'f')]
    pub foreground: bool,
}

/// Runs it.
///
/// # Errors
/// Exit code 1: this build has no daemon.
pub async fn run(_context: &Context, _args: Args) -> CliResult {
    Err(CliError::not_available("mount"))
}
