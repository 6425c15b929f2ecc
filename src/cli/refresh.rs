//! `panfuse refresh`: lists directories afresh.

use serde_json::{Value, json};

use super::mounted::connect;
use super::pending::PATIENCE;
use super::{CliResult, Context, Reply};

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

/// Runs it: every path is tried, and the first that failed is told.
///
/// # Errors
/// `no_daemon`, `not_in_mount`, and the daemon's.
pub async fn run(context: &Context, args: Args) -> CliResult {
    let (client, mounted) = connect(context)?;
    // Large trees of slow drives take as long as they take.
    let client = client.deadline(PATIENCE);
    let paths = args
        .paths
        .iter()
        .map(|path| mounted.below(path))
        .collect::<Result<Vec<String>, _>>()?;
    let (mut items, mut failed) = (Vec::new(), None);
    let mut listed = 0_u64;
    for path in paths {
        let body = json!({ "path": path, "deep": args.recursive });
        match client.call("POST", "/v1/refresh", Some(&body)).await {
            Ok(item) => {
                listed = listed.saturating_add(item["directoriesListed"].as_u64().unwrap_or(0));
                items.push(item);
            }
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    match failed {
        Some(error) => Err(error.with("items", Value::Array(items))),
        None => Ok(Reply::new(
            json!({ "items": items, "directoriesListed": listed }),
            format!("{listed} directory(ies) listed afresh"),
        )),
    }
}
