//! Asking a provider whether a profile works, and the record of the answers (SPEC S0-29 to S0-36).

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ProfileSpec;
use crate::config::{make_private_dir, write_private};
use crate::drive::{Drive, DriveError, ErrorKind};
use crate::net::Clock;

/// One listing of one page; a log-in may come before it.
const DEADLINE: Duration = Duration::from_secs(60);
/// The record is cut when it grows beyond this.
const RECORD_MAX: u64 = 256 * 1024;
const RECORD_KEEP: usize = 500;

/// The result of one validation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validation {
    /// Profile.
    pub profile: String,
    /// Its provider.
    pub provider: String,
    /// Whether it works.
    pub ok: bool,
    /// `verified` or `invalid`.
    pub status: String,
    /// The stable error code; `None` when it works.
    #[serde(default)]
    pub error: Option<String>,
    /// One sentence for people.
    pub summary: String,
    /// What to do.
    #[serde(default)]
    pub hint: Option<String>,
    /// Entries on the first page of the root.
    #[serde(default)]
    pub entries: usize,
    /// The provider's id of the account, when it told.
    #[serde(default)]
    pub account: Option<String>,
    /// UTC, ISO 8601.
    pub checked_at: String,
}

/// The smallest safe read: one page of the root, no write.
pub async fn validate(spec: &ProfileSpec, drive: &dyn Drive, clock: &dyn Clock) -> Validation {
    let root = drive.root();
    let listing = tokio::time::timeout(DEADLINE, drive.list(&root, None));
    let result = listing.await.unwrap_or_else(|_| {
        Err(DriveError::new(
            ErrorKind::Timeout,
            format!("no answer within {} s", DEADLINE.as_secs()),
        ))
    });
    let base = Validation {
        profile: spec.name.clone(),
        provider: spec.settings.provider.clone(),
        ok: true,
        status: "verified".to_owned(),
        error: None,
        summary: String::new(),
        hint: None,
        entries: 0,
        account: drive.account_id(),
        checked_at: timestamp(clock),
    };
    match result {
        Ok(page) => Validation {
            summary: format!("{} entries on the first page", page.nodes.len()),
            entries: page.nodes.len(),
            ..base
        },
        Err(error) => failed(base, &error),
    }
}

impl Validation {
    /// The result for a drive that could not even be opened.
    pub fn not_opened(spec: &ProfileSpec, error: &DriveError, clock: &dyn Clock) -> Validation {
        let base = Validation {
            profile: spec.name.clone(),
            provider: spec.settings.provider.clone(),
            ok: false,
            status: String::new(),
            error: None,
            summary: String::new(),
            hint: None,
            entries: 0,
            account: None,
            checked_at: timestamp(clock),
        };
        failed(base, error)
    }
}

fn failed(base: Validation, error: &DriveError) -> Validation {
    Validation {
        ok: false,
        status: "invalid".to_owned(),
        error: Some(error.code_name().to_owned()),
        summary: error.to_string(),
        hint: error.hint().map(str::to_owned),
        ..base
    }
}

fn timestamp(clock: &dyn Clock) -> String {
    jiff::Timestamp::from_millisecond(clock.now_ms())
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .to_string()
}

/// The record: `validations.jsonl` in the data directory, one result per line, oldest first.
pub struct Validations {
    file: PathBuf,
}

impl Validations {
    /// The record in this data directory.
    pub fn new(data: &Path) -> Validations {
        Validations {
            file: data.join("validations.jsonl"),
        }
    }

    /// Adds a result.
    ///
    /// # Errors
    /// The disk's.
    pub fn append(&self, result: &Validation) -> io::Result<()> {
        make_private_dir(self.file.parent().unwrap_or(Path::new(".")))?;
        let mut line = serde_json::to_string(result)?;
        line.push('\n');
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.file)?;
        // One write: lines of two processes do not mix.
        file.write_all(line.as_bytes())?;
        if file.metadata()?.len() > RECORD_MAX {
            let all = self.all();
            let skip = all.len().saturating_sub(RECORD_KEEP);
            self.rewrite(all.iter().skip(skip))?;
        }
        Ok(())
    }

    /// Every result that can be read, oldest first.
    pub fn all(&self) -> Vec<Validation> {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// The last result of a profile.
    pub fn latest(&self, profile: &str) -> Option<Validation> {
        let mut all = self.all();
        all.retain(|result| result.profile == profile);
        all.pop()
    }

    /// Forgets a profile.
    ///
    /// # Errors
    /// The disk's.
    pub fn forget(&self, profile: &str) -> io::Result<()> {
        let all = self.all();
        if all.iter().any(|result| result.profile == profile) {
            self.rewrite(all.iter().filter(|result| result.profile != profile))?;
        }
        Ok(())
    }

    fn rewrite<'a>(&self, results: impl Iterator<Item = &'a Validation>) -> io::Result<()> {
        let mut text = String::new();
        for result in results {
            text.push_str(&serde_json::to_string(result)?);
            text.push('\n');
        }
        write_private(&self.file, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::SystemClock;

    fn result(profile: &str, ok: bool) -> Validation {
        let spec = ProfileSpec {
            name: profile.to_owned(),
            ..ProfileSpec::default()
        };
        let error = DriveError::new(ErrorKind::Auth, "token expired").code("401");
        let mut result = Validation::not_opened(&spec, &error, &SystemClock);
        result.ok = ok;
        result
    }

    #[test]
    fn the_last_result_counts_and_a_removed_profile_is_forgotten() {
        let home = tempfile::tempdir().unwrap();
        let record = Validations::new(home.path());
        assert_eq!(record.latest("a"), None);
        for (profile, ok) in [("a", true), ("b", true), ("a", false)] {
            record.append(&result(profile, ok)).unwrap();
        }
        let latest = record.latest("a").unwrap();
        assert!(!latest.ok);
        assert_eq!(latest.error.as_deref(), Some("auth"));
        assert!(latest.summary.contains("provider code 401"));
        record.forget("a").unwrap();
        assert_eq!(record.latest("a"), None);
        assert_eq!(record.all().len(), 1);
    }

    #[test]
    fn the_record_stays_small_and_survives_a_torn_line() {
        let home = tempfile::tempdir().unwrap();
        let record = Validations::new(home.path());
        for _ in 0..1_500 {
            record.append(&result("a", true)).unwrap();
        }
        assert!(fs::metadata(&record.file).unwrap().len() <= RECORD_MAX);
        let count = record.all().len();
        assert!(count >= RECORD_KEEP);
        let text = fs::read_to_string(&record.file).unwrap();
        fs::write(&record.file, &text[..text.len() - 20]).unwrap();
        assert_eq!(record.all().len(), count - 1);
    }
}
