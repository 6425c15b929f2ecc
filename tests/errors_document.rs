//! The table in docs/errors.md says what the code does: every kind of error, its stable code, the
//! errno a program sees, and the one it sees from copy_file_range.

mod source;

use std::collections::BTreeMap;
use std::fs;

use panfuse::drive::{DriveError, ErrorKind, errno_name};
use panfuse::vfs::FsError;

/// The kind of a variant's name. A new variant has to be added here.
fn kind(name: &str) -> ErrorKind {
    match name {
        "Auth" => ErrorKind::Auth,
        "ReadOnly" => ErrorKind::ReadOnly,
        "Fixed" => ErrorKind::Fixed,
        "Risk" => ErrorKind::Risk,
        "RateLimited" => ErrorKind::RateLimited,
        "Invalid" => ErrorKind::Invalid,
        "NameTooLong" => ErrorKind::NameTooLong,
        "NotFound" => ErrorKind::NotFound,
        "Exists" => ErrorKind::Exists,
        "NotEmpty" => ErrorKind::NotEmpty,
        "QuotaFull" => ErrorKind::QuotaFull,
        "DailyLimit" => ErrorKind::DailyLimit,
        "TooLarge" => ErrorKind::TooLarge,
        "Unsupported" => ErrorKind::Unsupported,
        "Provider" => ErrorKind::Provider,
        "BadAnswer" => ErrorKind::BadAnswer,
        "Verification" => ErrorKind::Verification,
        "Changed" => ErrorKind::Changed,
        "Network" => ErrorKind::Network,
        "Timeout" => ErrorKind::Timeout,
        "Cancelled" => ErrorKind::Cancelled,
        "OverBudget" => ErrorKind::OverBudget(1),
        "LocalDisk" => ErrorKind::LocalDisk,
        "LocalFull" => ErrorKind::LocalFull,
        "OverThreshold" => ErrorKind::OverThreshold,
        "Busy" => ErrorKind::Busy,
        other => panic!("add ErrorKind::{other} to docs/errors.md and to this test"),
    }
}

/// The variants of `ErrorKind`, from its source.
fn variants() -> Vec<String> {
    let library = source::library();
    let file = library
        .iter()
        .find(|source| source.path == "src/drive/error.rs")
        .expect("src/drive/error.rs");
    let body = file
        .code
        .split("pub enum ErrorKind {")
        .nth(1)
        .and_then(|rest| rest.split('}').next())
        .expect("the enum");
    body.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| line.split(['(', ',']).next().unwrap_or_default().to_owned())
        .collect()
}

/// The rows of the table: the first cell to the cells after it.
fn rows(document: &str) -> BTreeMap<String, Vec<String>> {
    document
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let mut cells = line
                .trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().trim_matches('`').to_owned());
            (cells.next().unwrap_or_default(), cells.collect())
        })
        .collect()
}

// S-080, S-150
#[test]
fn the_table_says_what_the_code_does() {
    let document =
        fs::read_to_string(source::project().join("docs/errors.md")).expect("docs/errors.md");
    let mut rows = rows(&document);
    let mut wrong = Vec::new();
    let variants = variants();
    assert!(variants.len() > 20, "the kinds are not seen any more");
    for name in variants {
        let error = DriveError::new(kind(&name), "x");
        let code = error.code_name();
        let seen = FsError::from(error);
        let copying = seen.clone().for_copy();
        let start = [
            code.to_owned(),
            errno_name(seen.errno).to_owned(),
            errno_name(copying.errno).to_owned(),
        ];
        let row = rows.remove(&name).unwrap_or_default();
        let told = row.len() == 5 && row[3..].iter().all(|cell| !cell.is_empty());
        if !row.starts_with(&start) || !told {
            let [code, seen, copying] = start;
            wrong.push(format!(
                "| `{name}` | `{code}` | {seen} | {copying} | meaning | what to do |"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "docs/errors.md should have these rows:\n{}",
        wrong.join("\n")
    );
    assert!(rows.is_empty(), "no such kinds: {:?}", rows.keys());
}
