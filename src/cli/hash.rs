//! `panfuse hash`: fingerprints of files.

use super::{CliError, CliResult, Context};

/// Its options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<std::path::PathBuf>,
    /// Which: md5, sha1, sha256, crc64, gcid, ...
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub kinds: Vec<String>,
    /// Read the content for fingerprints that are not known
    #[arg(long)]
    pub compute: bool,
}

/// Runs it.
///
/// # Errors
/// Exit code 1: this build has no daemon.
pub async fn run(_context: &Context, _args: Args) -> CliResult {
    Err(CliError::not_available("hash"))
}
