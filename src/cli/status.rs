//! `panfuse status`: what the daemon is doing.

use serde_json::Value;

use super::client::Client;
use super::size::human;
use super::{CliResult, Context, Paint, Reply, Table};

/// Its options.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs it.
///
/// # Errors
/// `no_daemon`, and the daemon's.
pub async fn run(context: &Context, _args: Args) -> CliResult {
    let status = Client::new(&context.paths)?
        .call("GET", "/v1/status", None)
        .await?;
    let text = shown(&status, context.paint);
    Ok(Reply::new(status, text))
}

fn shown(status: &Value, paint: Paint) -> String {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let mut facts = Table::plain();
    let word = |value: &Value| value.as_str().unwrap_or("").to_owned();
    facts.row([
        "mounted at".to_owned(),
        format!(
            "{} (process id {}, panfuse {})",
            word(&status["mountPoint"]),
            number(&status["pid"]),
            word(&status["version"])
        ),
    ]);
    facts.row([
        "transfers pending".to_owned(),
        number(&status["pendingTransfers"]).to_string(),
    ]);
    if number(&status["parkedRemovals"]) > 0 {
        facts.row([
            "removals waiting for a copy".to_owned(),
            number(&status["parkedRemovals"]).to_string(),
        ]);
    }
    let deletes = &status["guards"]["deletes"];
    if deletes["open"] == true {
        facts.row([
            "deletes".to_owned(),
            paint.bad(&format!(
                "refused: {} since {}; when they were meant: panfuse approve deletes",
                number(&deletes["refused"]),
                word(&deletes["since"])
            )),
        ]);
    }
    for approval in status["guards"]["approvals"]
        .as_array()
        .into_iter()
        .flatten()
    {
        facts.row([
            "approved".to_owned(),
            format!(
                "copies into {} above the threshold, until {}",
                word(&approval["path"]),
                word(&approval["until"])
            ),
        ]);
    }
    let stage = &status["stage"];
    facts.row([
        "stage".to_owned(),
        format!(
            "{} of {}",
            human(number(&stage["usedBytes"])),
            human(number(&stage["budgetBytes"]))
        ),
    ]);
    let recovered = number(&status["recoveredFiles"]);
    let recovered = match recovered {
        0 => "none".to_owned(),
        _ => paint.bad(&format!("{recovered} file(s) under .panfuse/recovered/")),
    };
    facts.row(["recovered".to_owned(), recovered]);

    let mut profiles = Table::new(paint, &["PROFILE", "PROVIDER", "FREE", "TOTAL", "PENDING"]);
    for profile in status["profiles"].as_array().into_iter().flatten() {
        let total = number(&profile["quota"]["total"]);
        let used = number(&profile["quota"]["used"]);
        // A drive that does not tell has a total of 0.
        let (free, total) = match total {
            0 => ("-".to_owned(), "-".to_owned()),
            _ => (human(total.saturating_sub(used)), human(total)),
        };
        let mut name = word(&profile["name"]);
        if profile["readOnly"] == true {
            name.push_str(" (read-only)");
        }
        profiles.row([
            name,
            word(&profile["provider"]),
            free,
            total,
            number(&profile["pendingTransfers"]).to_string(),
        ]);
    }
    format!("{}\n{}", facts.render(), profiles.render())
}

#[cfg(test)]
mod tests {
    use super::super::profile::testing::context;
    use super::*;
    use serde_json::json;

    #[test]
    fn the_table_has_every_profile_and_the_sums() {
        let status = json!({
            "version": "1.2", "mountPoint": "/m", "pid": 7,
            "profiles": [
                {"name": "a", "provider": "s3", "readOnly": true, "quota": null, "pendingTransfers": 0},
                {"name": "b", "provider": "webdav", "readOnly": false,
                 "quota": {"total": 3_u64 << 30, "used": 1_u64 << 30}, "pendingTransfers": 2},
            ],
            "pendingTransfers": 2, "parkedRemovals": 0,
            "stage": {"usedBytes": 1536, "budgetBytes": 1 << 30},
            "recoveredFiles": 1,
            "guards": {
                "deletes": {"open": true, "refused": 12, "since": "2026-01-02T03:04:05Z"},
                "approvals": [{"path": "/a/d", "until": "2026-01-02T04:04:05Z"}],
            },
        });
        assert_eq!(
            shown(&status, Paint::default()),
            "mounted at         /m (process id 7, panfuse 1.2)\n\
             transfers pending  2\n\
             deletes            refused: 12 since 2026-01-02T03:04:05Z; when they were meant: panfuse approve deletes\n\
             approved           copies into /a/d above the threshold, until 2026-01-02T04:04:05Z\n\
             stage              1.5 KiB of 1.0 GiB\n\
             recovered          1 file(s) under .panfuse/recovered/\n\
             \n\
             PROFILE        PROVIDER  FREE     TOTAL    PENDING\n\
             a (read-only)  s3        -        -        0\n\
             b              webdav    2.0 GiB  3.0 GiB  2\n"
        );
    }

    #[tokio::test]
    async fn without_a_daemon_it_says_so() {
        let home = tempfile::tempdir().unwrap();
        let error = run(&context(home.path()), Args {}).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.exit), ("no_daemon", 1));
    }
}
