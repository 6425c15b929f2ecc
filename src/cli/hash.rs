//! `panfuse hash`: fingerprints of files.

use serde_json::{Value, json};

use super::mounted::connect;
use super::pending::PATIENCE;
use super::{CliError, CliResult, Context, Paint, Reply, Table};
use crate::fingerprint::Kind;

/// Its options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File in a mount
    #[arg(value_name = "PATH")]
    pub path: std::path::PathBuf,
    /// Read the content for those that are not computed yet: all, or --compute=md5,sha1,...
    #[arg(long, value_name = "KINDS", num_args = 0..=1, value_delimiter = ',', require_equals = true)]
    pub compute: Option<Vec<String>>,
}

/// Runs it.
///
/// # Errors
/// `no_daemon`, `not_in_mount`, `unknown_kind`, and the daemon's.
pub async fn run(context: &Context, args: Args) -> CliResult {
    let kinds = wanted(args.compute)?;
    let (client, mounted) = connect(context)?;
    let body = json!({ "path": mounted.below(&args.path)?, "compute": kinds });
    // Computing reads the whole file from its drive.
    let client = client.deadline(PATIENCE);
    let answer = client.call("POST", "/v1/hash", Some(&body)).await?;
    let text = shown(&answer, context.paint);
    let mut reply = Reply::new(answer, text);
    if reply.text.is_empty() {
        reply.notes.push(format!(
            "no fingerprint of {} is known yet; --compute reads the file for them",
            args.path.display()
        ));
    }
    Ok(reply)
}

/// The kinds to compute: none without the option, all for the bare option.
fn wanted(compute: Option<Vec<String>>) -> Result<Vec<String>, CliError> {
    let all = || Kind::CONTENT.iter().map(|kind| kind.name().to_owned());
    let kinds = match compute {
        None => return Ok(Vec::new()),
        Some(kinds) if kinds.is_empty() => return Ok(all().collect()),
        Some(kinds) => kinds,
    };
    match kinds.iter().find(|kind| Kind::parse(kind).is_none()) {
        Some(unknown) => Err(CliError::usage(
            "unknown_kind",
            format!("--compute: {unknown:?} is no fingerprint"),
        )
        .hint(format!(
            "known are: {}",
            all().collect::<Vec<_>>().join(", ")
        ))),
        None => Ok(kinds),
    }
}

fn shown(answer: &Value, paint: Paint) -> String {
    let Some(fingerprints) = answer["fingerprints"].as_object().filter(|f| !f.is_empty()) else {
        return String::new();
    };
    let mut table = Table::new(paint, &["KIND", "VALUE", "ORIGIN"]);
    for (kind, known) in fingerprints {
        let origin = known["origin"].as_str().unwrap_or("");
        let origin = match known["provider"].as_str() {
            Some(provider) if !provider.is_empty() => format!("{origin} ({provider})"),
            _ => origin.to_owned(),
        };
        table.row([
            kind.as_str(),
            known["value"].as_str().unwrap_or(""),
            &origin,
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use super::*;
    use clap::Parser;

    fn parsed(line: &str) -> (String, Option<Vec<String>>) {
        match Cli::try_parse_from(line.split(' ')).unwrap().command {
            super::super::Command::Hash(args) => (args.path.display().to_string(), args.compute),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn compute_may_name_kinds() {
        assert_eq!(parsed("panfuse hash /m/f"), ("/m/f".into(), None));
        let bare = parsed("panfuse hash --compute /m/f");
        assert_eq!(bare, ("/m/f".into(), Some(vec![])));
        let named = parsed("panfuse hash --compute=md5,sha1 /m/f");
        assert_eq!(named.1, Some(vec!["md5".into(), "sha1".into()]));
        assert_eq!(wanted(None).unwrap(), [""; 0]);
        assert_eq!(wanted(bare.1).unwrap().len(), Kind::CONTENT.len());
        assert_eq!(wanted(named.1).unwrap(), ["md5", "sha1"]);
        let error = wanted(Some(vec!["md5".into(), "md6".into()])).unwrap_err();
        assert_eq!((error.code.as_str(), error.exit), ("unknown_kind", 2));
        assert!(error.message.contains("md6"));
    }

    #[test]
    fn the_table_tells_where_each_value_is_from() {
        let answer = json!({"fingerprints": {
            "md5": {"value": "aa", "origin": "computed", "provider": ""},
            "sha1": {"value": "bb", "origin": "claimed", "provider": "s3"},
        }});
        assert_eq!(
            shown(&answer, Paint::default()),
            "KIND  VALUE  ORIGIN\nmd5   aa     computed\nsha1  bb     claimed (s3)\n"
        );
        assert_eq!(shown(&json!({"fingerprints": {}}), Paint::default()), "");
    }
}
