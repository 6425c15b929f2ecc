//! `panfuse media`: files by kind, wherever they are, as the provider sorts them.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::found::{LIMIT, ask, kind_of, shown};
use super::mounted::connect;
use super::size::human;
use super::{CliResult, Context, Paint, Reply, Table};

/// Its options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Profile to look in
    #[arg(value_name = "PROFILE")]
    pub profile: String,
    /// List this kind: video, audio, image, document, application, bt, other; without it each is
    /// counted
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
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
/// `unknown_kind`, `no_daemon`, `not_in_mount`, `unsupported_op`, and the daemon's.
pub async fn run(context: &Context, args: Args) -> CliResult {
    let mut body = json!({ "profile": args.profile, "limit": args.limit });
    if let Some(word) = &args.kind {
        body["kind"] = json!(kind_of(word)?.name());
    }
    let daemon = connect(context)?;
    let answer = ask(daemon, "/v1/media", body, args.dir.as_deref()).await?;
    if args.kind.is_none() {
        let text = counted(&answer, context.paint);
        return Ok(Reply::new(answer, text));
    }
    let (text, notes) = shown(&answer, context);
    let mut reply = Reply::new(answer, text);
    reply.notes = notes;
    Ok(reply)
}

fn counted(answer: &Value, paint: Paint) -> String {
    let mut table = Table::new(paint, &["KIND", "FILES", "SIZE"]);
    for count in answer["counts"].as_array().into_iter().flatten() {
        table.row([
            count["kind"].as_str().unwrap_or("").to_owned(),
            count["count"].as_u64().unwrap_or(0).to_string(),
            count["size"].as_u64().map_or("-".to_owned(), human),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_a_table() {
        let answer = json!({"counts":[{"kind":"video","count":2,"size":2048},
            {"kind":"bt","count":0,"size":null}]});
        let text = counted(&answer, Paint::default());
        let rows: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(rows[1], ["video", "2", "2.0", "KiB"]);
        assert_eq!(rows[2], ["bt", "0", "-"]);
    }
}
