//! `panfuse sync`: waits until written files are at their providers.

use serde_json::json;

use super::mounted::connect;
use super::pending::post_and_wait;
use super::{CliResult, Context, Reply};

/// Its options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only files of the profile this path is in
    #[arg(value_name = "PATH")]
    pub path: Option<std::path::PathBuf>,
}

/// Runs it.
///
/// # Errors
/// `no_daemon`, `not_in_mount`, and `pending` when files could not be stored.
pub async fn run(context: &Context, args: Args) -> CliResult {
    let (client, mounted) = connect(context)?;
    let below = match &args.path {
        Some(path) => mounted.below(path)?,
        None => String::new(),
    };
    let answer = post_and_wait(&client, "/v1/sync", &json!({ "path": below })).await?;
    Ok(Reply::new(answer, "every file is at its provider"))
}
