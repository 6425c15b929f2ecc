//! What a person allowed for a while. Kept in memory: a new daemon asks again.

use serde::Serialize;

use super::deletes::rfc3339;
use crate::catalog::NodeKey;

/// An approval that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalStatus {
    /// What it is for: a path below the mount point.
    pub path: String,
    /// Until when, RFC 3339.
    pub until: String,
}

struct Approval {
    dir: Option<NodeKey>,
    name: Option<String>,
    label: String,
    until: i64,
}

/// Approvals of the size threshold.
#[derive(Default)]
pub(super) struct Approvals {
    all: Vec<Approval>,
}

impl Approvals {
    pub fn add(
        &mut self,
        now: i64,
        until: i64,
        dir: Option<NodeKey>,
        name: Option<&str>,
        label: &str,
    ) {
        self.all
            .retain(|old| now < old.until && !(old.dir == dir && old.name.as_deref() == name));
        self.all.push(Approval {
            dir,
            name: name.map(str::to_owned),
            label: label.to_owned(),
            until,
        });
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether `name` in the first of `dirs`, or anything in one of them, is allowed. `dirs` is a
    /// directory and those above it.
    pub fn allow(&self, now: i64, dirs: &[NodeKey], name: &str) -> bool {
        self.all
            .iter()
            .filter(|approval| now < approval.until)
            .any(|approval| match (approval.dir, &approval.name) {
                (None, _) => true,
                (Some(dir), None) => dirs.contains(&dir),
                (Some(dir), Some(only)) => dirs.first() == Some(&dir) && only == name,
            })
    }

    pub fn status(&self, now: i64) -> Vec<ApprovalStatus> {
        self.all
            .iter()
            .filter(|approval| now < approval.until)
            .map(|approval| ApprovalStatus {
                path: approval.label.clone(),
                until: rfc3339(approval.until),
            })
            .collect()
    }
}
