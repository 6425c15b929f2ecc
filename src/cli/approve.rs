//! `panfuse approve`: a person says that what a guard refused was meant.

use serde_json::{Value, json};

use super::mounted::connect;
use super::{CliResult, Context, Reply};

/// The word for the delete breaker. A file of this name is `./deletes`.
const DELETES: &str = "deletes";

/// Its options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// "deletes", or a directory or file in a mount into which a large copy is meant
    #[arg(value_name = "deletes|PATH", required = true)]
    pub what: Vec<std::path::PathBuf>,
}

/// Runs it: everything is tried, and the first that failed is told.
///
/// # Errors
/// `no_daemon`, `not_in_mount`, and the daemon's.
pub async fn run(context: &Context, args: Args) -> CliResult {
    let (client, mounted) = connect(context)?;
    let bodies = args
        .what
        .iter()
        .map(|what| match what.as_os_str() == DELETES {
            true => Ok(json!({ "deletes": true })),
            false => Ok(json!({ "path": mounted.below(what)? })),
        })
        .collect::<Result<Vec<Value>, super::CliError>>()?;
    let (mut items, mut failed) = (Vec::new(), None);
    for body in bodies {
        match client.call("POST", "/v1/approve", Some(&body)).await {
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
    let until = word("until");
    if item["approved"] == DELETES {
        return format!("deletes are approved until {until}");
    }
    let path = word("path");
    format!("copies into {path} above the size threshold are approved until {until}")
}

#[cfg(test)]
mod tests {
    use super::super::profile::testing::context;
    use super::*;

    #[test]
    fn an_approval_is_told_with_its_end() {
        let deletes = json!({"approved": "deletes", "path": "/", "until": "T"});
        assert_eq!(shown(&deletes), "deletes are approved until T");
        let size = json!({"approved": "threshold", "path": "/a/b", "until": "T"});
        assert_eq!(
            shown(&size),
            "copies into /a/b above the size threshold are approved until T"
        );
    }

    #[tokio::test]
    async fn without_a_daemon_it_says_so() {
        let home = tempfile::tempdir().unwrap();
        let args = Args {
            what: vec![DELETES.into()],
        };
        let error = run(&context(home.path()), args).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.exit), ("no_daemon", 1));
    }
}
