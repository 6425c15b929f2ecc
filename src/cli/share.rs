//! `panfuse share`: what others share by a link.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::mounted::connect;
use super::pending::PATIENCE;
use super::{CliError, CliResult, Context, Reply};

/// Its commands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Take files or directories of a share over into an account of the same provider
    Save(SaveArgs),
}

/// Options of `share save`.
#[derive(Debug, clap::Args)]
pub struct SaveArgs {
    /// Files or directories of a mounted share, then a directory of an account
    #[arg(value_name = "SOURCE... TARGET", required = true, num_args = 2..)]
    pub paths: Vec<PathBuf>,
}

/// Runs one: every source is tried, and the first that failed is told.
///
/// # Errors
/// `no_daemon`, `not_in_mount`, and the daemon's.
pub async fn run(context: &Context, command: Command) -> CliResult {
    let Command::Save(args) = command;
    let (client, mounted) = connect(context)?;
    let Some((target, sources)) = args.paths.split_last() else {
        return Err(CliError::usage(
            "usage",
            "share save takes sources and a target",
        ));
    };
    let target = mounted.below(target)?;
    let sources = sources
        .iter()
        .map(|source| mounted.below(source))
        .collect::<Result<Vec<String>, _>>()?;
    // The provider works through large directories for as long as it takes.
    let client = client.deadline(PATIENCE);
    let (mut items, mut failed) = (Vec::new(), None);
    for source in sources {
        let body = json!({ "path": source, "target": target });
        match client.call("POST", "/v1/share/save", Some(&body)).await {
            Ok(item) => items.push(item),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    match failed {
        Some(error) => Err(error.with("items", Value::Array(items))),
        None => {
            let text: Vec<String> = items.iter().map(shown).collect();
            Ok(Reply::new(json!({ "items": items }), text.join("\n")))
        }
    }
}

fn shown(item: &Value) -> String {
    let word = |name: &str| item[name].as_str().unwrap_or("").to_owned();
    format!("{} is saved as {}", word("source"), word("path"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_told_with_both_paths() {
        let item = json!({"source": "/link/a", "path": "/mine/a", "id": "1"});
        assert_eq!(shown(&item), "/link/a is saved as /mine/a");
    }
}
