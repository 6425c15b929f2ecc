//! What `panfuse cp` and `panfuse mv` tell: progress on a terminal, then what became of every file.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::copying::Copying;
use super::size::human;
use super::{CliError, CliResult, Context, Paint, Reply, Table, sys};

/// Rows and errors that are shown; JSON has all of them.
const SHOWN: usize = 40;

/// Progress on standard error, when that is a terminal, and remarks.
pub(super) struct Progress {
    bar: ProgressBar,
    remarks: Vec<String>,
}

impl Progress {
    /// For these sources.
    pub fn new(sources: &[(PathBuf, PathBuf)]) -> Progress {
        if !std::io::stderr().is_terminal() {
            return Progress::hidden();
        }
        let total = sources
            .iter()
            .fold(0_u64, |sum, (source, _)| sum.saturating_add(weight(source)));
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let template = "{bar:30} {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left  {wide_msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(250));
        Progress {
            bar,
            remarks: Vec::new(),
        }
    }

    /// Nothing is shown.
    pub fn hidden() -> Progress {
        Progress {
            bar: ProgressBar::hidden(),
            remarks: Vec::new(),
        }
    }

    /// A file begins.
    pub fn begin(&self, file: &Path) {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let clean: String = name
            .chars()
            .map(|letter| {
                if letter.is_control() {
                    '\u{fffd}'
                } else {
                    letter
                }
            })
            .collect();
        self.bar.set_message(clean);
    }

    /// Bytes were copied.
    pub fn add(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// Something to tell that is no failure.
    pub fn remark(&mut self, remark: String) {
        self.remarks.push(remark);
    }

    /// Clears the line.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Bytes below a path; what cannot be looked at weighs nothing.
fn weight(path: &Path) -> u64 {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => found.len(),
        Ok(found) if found.is_dir() => std::fs::read_dir(path)
            .into_iter()
            .flatten()
            .flatten()
            .fold(0, |sum: u64, entry| {
                sum.saturating_add(weight(&entry.path()))
            }),
        _ => 0,
    }
}

/// What became of one source.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    source: PathBuf,
    target: PathBuf,
    /// `copied`, `renamed` or `failed`.
    pub status: &'static str,
    bytes: u64,
    /// `user.pan.state` of the target, when it is in a mount.
    state: Option<String>,
    /// `user.pan.transfer` of the target, when a transfer has made it.
    transfer: Option<Value>,
    /// Why it failed.
    pub error: Option<String>,
}

impl Row {
    /// A file that is copied: the mount is asked how.
    pub fn copied(source: &Path, target: &Path, bytes: u64) -> Row {
        let text =
            |name| sys::attribute(target, name).and_then(|value| String::from_utf8(value).ok());
        let state = text("user.pan.state");
        // While an upload waits the attribute is about what was there before.
        let transfer = match state.as_deref() {
            Some("clean") => text("user.pan.transfer"),
            _ => None,
        };
        Row {
            bytes,
            transfer: transfer.and_then(|text| serde_json::from_str(&text).ok()),
            state,
            ..Row::of("copied", source, target)
        }
    }

    /// A file or directory that only has another name now.
    pub fn renamed(source: &Path, target: &Path) -> Row {
        Row::of("renamed", source, target)
    }

    /// Something that failed.
    pub fn failed(source: &Path, target: &Path, error: String) -> Row {
        Row {
            error: Some(error),
            ..Row::of("failed", source, target)
        }
    }

    fn of(status: &'static str, source: &Path, target: &Path) -> Row {
        Row {
            source: source.to_owned(),
            target: target.to_owned(),
            status,
            bytes: 0,
            state: None,
            transfer: None,
            error: None,
        }
    }

    fn json(&self) -> Value {
        json!({
            "source": self.source.to_string_lossy(),
            "target": self.target.to_string_lossy(),
            "status": self.status,
            "bytes": self.bytes,
            "state": self.state,
            "transfer": self.transfer,
            "error": self.error,
        })
    }

    /// File, phase, verified, read, sent.
    fn cells(&self, paint: Paint) -> [String; 5] {
        let none = || "-".to_owned();
        let file = self.target.display().to_string();
        let Some(transfer) = &self.transfer else {
            let state = self.state.as_deref().filter(|state| *state != "clean");
            let phase = state.unwrap_or(self.status).to_owned();
            return [file, phase, none(), none(), none()];
        };
        let mode = transfer["verifyMode"].as_str().unwrap_or("");
        let verified = match transfer["verifyOk"].as_bool() {
            Some(true) => paint.good(&format!("yes ({mode})")),
            _ => paint.bad("no"),
        };
        let bytes = |key: &str| transfer[key].as_u64().map_or_else(none, human);
        let phase = transfer["phase"].as_str().unwrap_or("-").to_owned();
        [
            file,
            phase,
            verified,
            bytes("bytesFromSource"),
            bytes("bytesToTarget"),
        ]
    }
}

/// The end of a command: everything in JSON, a short table for people; exit code 1 when anything
/// failed.
///
/// # Errors
/// `copy_failed`, with every file in `files`.
pub(super) fn report(context: &Context, command: Copying) -> CliResult {
    let files: Vec<Value> = command.rows.iter().map(Row::json).collect();
    let errors: Vec<&str> = command
        .rows
        .iter()
        .filter_map(|row| row.error.as_deref())
        .collect();
    let text = table(&command.rows, context.paint);
    let bytes = command
        .rows
        .iter()
        .fold(0_u64, |sum, row| sum.saturating_add(row.bytes));
    if errors.is_empty() {
        let failed = 0;
        let document = json!({ "files": files, "bytes": bytes, "failed": failed });
        let mut reply = Reply::new(document, text);
        reply.notes = command.progress.remarks;
        return Ok(reply);
    }
    if !context.json {
        // What did work is told too; a reader that went away does not change the outcome.
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
        for remark in &command.progress.remarks {
            let _ = writeln!(std::io::stderr(), "panfuse: {remark}");
        }
    }
    let mut message = match errors.as_slice() {
        [only] => (*only).to_owned(),
        several => {
            let told: Vec<&str> = several.iter().copied().take(SHOWN).collect();
            let (failed, all) = (several.len(), command.rows.len());
            format!("{failed} of {all} failed:\n  {}", told.join("\n  "))
        }
    };
    if errors.len() > SHOWN {
        message.push_str(&format!("\n  and {} more", errors.len() - SHOWN));
    }
    Err(CliError::failed("copy_failed", message)
        .with("files", Value::Array(files))
        .with("bytes", json!(bytes))
        .with("failed", json!(errors.len())))
}

fn table(rows: &[Row], paint: Paint) -> String {
    let good: Vec<&Row> = rows.iter().filter(|row| row.error.is_none()).collect();
    if good.is_empty() {
        return String::new();
    }
    let mut table = Table::new(paint, &["FILE", "PHASE", "VERIFIED", "READ", "SENT"]);
    for row in good.iter().take(SHOWN) {
        table.row(row.cells(paint));
    }
    let mut text = table.render();
    if good.len() > SHOWN {
        text.push_str(&format!("and {} more\n", good.len() - SHOWN));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::copying::testing::copying;
    use super::super::profile::testing::context;
    use super::*;

    fn row(name: &str) -> Row {
        Row::of("copied", Path::new("/s"), Path::new(name))
    }

    #[test]
    fn the_table_tells_how_each_file_came() {
        let instant = Row {
            state: Some("clean".to_owned()),
            transfer: Some(json!({
                "phase": "P1", "verifyOk": true, "verifyMode": "hash",
                "bytesFromSource": 131_072, "bytesToTarget": 0,
            })),
            ..row("/m/b/x")
        };
        let waiting = Row {
            state: Some("staged".to_owned()),
            ..row("/m/b/y")
        };
        let failed = Row::failed(Path::new("/s"), Path::new("/m/b/z"), "no".to_owned());
        let rows = [instant, waiting, row("/tmp/w"), failed];
        assert_eq!(
            table(&rows, Paint::default()),
            "FILE    PHASE   VERIFIED    READ       SENT\n\
             /m/b/x  P1      yes (hash)  128.0 KiB  0 B\n\
             /m/b/y  staged  -           -          -\n\
             /tmp/w  copied  -           -          -\n"
        );
        let many = vec![row("/x"); SHOWN + 2];
        assert!(table(&many, Paint::default()).ends_with("and 2 more\n"));
    }

    #[test]
    fn one_failure_makes_the_command_fail_and_all_files_are_told() {
        let home = tempfile::tempdir().unwrap();
        let context = context(home.path());
        let mut command = copying();
        command.rows.push(row("/t"));
        command.progress.remark("mind".to_owned());
        let reply = report(&context, command).unwrap();
        assert_eq!(reply.json["failed"], 0);
        assert_eq!(reply.json["files"][0]["target"], "/t");
        assert_eq!(reply.notes, ["mind"]);

        let mut command = copying();
        command.rows.push(row("/t"));
        command.failed(Path::new("/a"), Path::new("/t/a"), "a: disk full");
        let error = report(&context, command).unwrap_err();
        assert_eq!((error.code.as_str(), error.exit), ("copy_failed", 1));
        assert_eq!(error.message, "a: disk full");
        assert_eq!(error.detail["files"].as_array().unwrap().len(), 2);
        assert_eq!(error.detail["failed"], 1);
    }

    #[test]
    fn a_directory_weighs_what_is_in_it() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("d")).unwrap();
        std::fs::write(home.path().join("d/a"), b"123").unwrap();
        std::fs::write(home.path().join("b"), b"12").unwrap();
        assert_eq!(weight(home.path()), 5);
        assert_eq!(weight(&home.path().join("none")), 0);
    }
}
