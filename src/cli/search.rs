//! `panfuse search`: what has a text in its name, asked of the provider.

use std::path::PathBuf;

use serde_json::json;

use super::found::{LIMIT, ask, shown};
use super::mounted::connect;
use super::{CliResult, Context, Reply};

/// Its options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Profile to search
    #[arg(value_name = "PROFILE")]
    pub profile: String,
    /// A text that the names have in them
    #[arg(value_name = "KEY")]
    pub key: String,
    /// Only below this directory of the mount
    #[arg(long = "in", value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Most results
    #[arg(long, value_name = "N", default_value_t = LIMIT, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
}

/// Runs it.
///
/// # Errors
/// `no_daemon`, `not_in_mount`, `unsupported_op`, and the daemon's.
pub async fn run(context: &Context, args: Args) -> CliResult {
    let body = json!({ "profile": args.profile, "key": args.key, "limit": args.limit });
    let daemon = connect(context)?;
    let answer = ask(daemon, "/v1/search", body, args.dir.as_deref()).await?;
    let (text, notes) = shown(&answer, context);
    let mut reply = Reply::new(answer, text);
    reply.notes = notes;
    Ok(reply)
}
