//! `panfuse share`: what others share by a link, and links of one's own.

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
    /// Make a link by which others can open a file or directory
    Create(CreateArgs),
}

/// Options of `share create`.
#[derive(Debug, clap::Args)]
pub struct CreateArgs {
    /// File or directory in a mount
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// Days the link lives
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pub period: u32,
    /// Code that opens it; one is made when it is left out
    #[arg(long, value_name = "CODE")]
    pub pwd: Option<String>,
}

/// Options of `share save`.
#[derive(Debug, clap::Args)]
pub struct SaveArgs {
    /// Files or directories of a mounted share, then a directory of an account
    #[arg(value_name = "SOURCE... TARGET", required = true, num_args = 2..)]
    pub paths: Vec<PathBuf>,
}

/// Runs one.
///
/// # Errors
/// `no_daemon`, `not_in_mount`, and the daemon's.
pub async fn run(context: &Context, command: Command) -> CliResult {
    match command {
        Command::Save(args) => save(context, args).await,
        Command::Create(args) => create(context, args).await,
    }
}

async fn create(context: &Context, args: CreateArgs) -> CliResult {
    let (client, mounted) = connect(context)?;
    let body = json!({
        "path": mounted.below(&args.path)?, "days": args.period, "code": args.pwd,
    });
    // It waits its turn behind other changes of the account.
    let client = client.deadline(super::found::PATIENCE);
    let made = client.call("POST", "/v1/share/create", Some(&body)).await?;
    let text = link(&made);
    Ok(Reply::new(made, text))
}

fn link(made: &Value) -> String {
    let word = |name: &str| made[name].as_str().unwrap_or("").to_owned();
    let days = made["days"].as_u64().unwrap_or(0);
    let s = if days == 1 { "" } else { "s" };
    let (link, code) = (word("link"), word("code"));
    format!("{link}\ncode {code}, for {days} day{s}")
}

/// Every source is tried, and the first that failed is told.
async fn save(context: &Context, args: SaveArgs) -> CliResult {
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
    fn a_link_is_told_with_its_code() {
        let made = json!({"link": "https://x/s/1", "code": "a1b2", "days": 1});
        assert_eq!(link(&made), "https://x/s/1\ncode a1b2, for 1 day");
    }

    #[test]
    fn what_was_saved_is_told_with_both_paths() {
        let item = json!({"source": "/link/a", "path": "/mine/a", "id": "1"});
        assert_eq!(shown(&item), "/link/a is saved as /mine/a");
    }
}
