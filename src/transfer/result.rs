//! The result of a transfer as scripts see it (CONTRACT, xattr `user.pan.transfer`).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::task::Task;
use crate::drive::{DriveError, ErrorKind};

/// The phase that brought the content (SPEC 3.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Phase {
    /// Copied at the provider.
    P0,
    /// The target's questions were answered by known fingerprints.
    P1,
    /// The same with small range reads.
    P2,
    /// The same after the content was read once.
    P3,
    /// Streamed.
    P4,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// How it was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerifyMode {
    /// A strong fingerprint of both sides is equal.
    Hash,
    /// The checksum of every part is equal.
    Parts,
    /// Samples of both sides are equal.
    Samples,
    /// Nothing but the size could be compared.
    Size,
    /// Not yet.
    Pending,
}

/// The last result row of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TransferResult {
    /// Transfer id.
    pub id: String,
    /// `provider_copy`, `fast_upload`, `download_upload` or `stream`.
    pub strategy: String,
    /// Phase.
    pub phase: Phase,
    /// `done`, `failed`, `cancelled` or `running`.
    pub status: String,
    /// Whether it was verified.
    pub verify_ok: bool,
    /// How.
    pub verify_mode: VerifyMode,
    /// Bytes of content read from the source drive.
    pub bytes_from_source: u64,
    /// Bytes of content sent to the target drive.
    pub bytes_to_target: u64,
    /// Operations asked of the target drive.
    pub target_calls: u64,
    /// `no_conflict`, `overwrite_existing`, `overwrite_by_replace`, `auto_rename_new`.
    pub conflict_action: String,
    /// The name it got.
    pub resolved_target_name: String,
    /// `profile:/path` of the source, or `written`.
    pub source: String,
    /// RFC 3339.
    pub finished_at: String,
    /// The error, when it failed.
    pub error: Option<String>,
    /// What a person can do.
    pub risk_hint: Option<String>,
}

impl TransferResult {
    /// The row of a transfer that is not over: its file is safe here and not verified yet.
    pub fn under_way(task: &Task) -> Self {
        TransferResult {
            id: task.id.clone(),
            strategy: "stream".to_owned(),
            phase: Phase::P4,
            status: "running".to_owned(),
            verify_ok: false,
            verify_mode: VerifyMode::Pending,
            bytes_from_source: 0,
            bytes_to_target: task.progress.bytes_sent(),
            target_calls: task.progress.calls(),
            conflict_action: String::new(),
            resolved_target_name: String::new(),
            source: task.source_label.clone(),
            finished_at: String::new(),
            error: None,
            risk_hint: None,
        }
    }

    /// The row of a transfer that failed or was given up.
    pub(super) fn failed(task: &Task, error: &DriveError, now: i64) -> Self {
        let cancelled = error.kind == ErrorKind::Cancelled;
        TransferResult {
            id: task.id.clone(),
            strategy: "stream".to_owned(),
            phase: Phase::P4,
            status: if cancelled { "cancelled" } else { "failed" }.to_owned(),
            verify_ok: false,
            verify_mode: VerifyMode::Pending,
            bytes_from_source: 0,
            bytes_to_target: task.progress.bytes_sent(),
            target_calls: task.progress.calls(),
            conflict_action: String::new(),
            resolved_target_name: String::new(),
            source: task.source_label.clone(),
            finished_at: rfc3339(now),
            error: Some(error.to_string()),
            risk_hint: error.hint().map(str::to_owned),
        }
    }
}

/// A time in milliseconds since the epoch as RFC 3339 in UTC.
pub(super) fn rfc3339(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| String::new(), |time| time.to_string())
}
