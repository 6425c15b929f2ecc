//! What is refused to protect a person from an accident, and how a person says that it was meant.
//!
//! A guard decides and does nothing else: who asks it acts. Refusals are [`DriveError`]s, so that
//! every door shows the same errno, code and words.
//!
//! | file | what is in it |
//! |---|---|
//! | `deletes` | the mass-delete breaker |
//! | `copied` | nodes that may be removed uncounted: their content is verified elsewhere |
//! | `size` | what is too large to be streamed |
//! | `policy` | what was decided for a directory and what is below it |
//! | `conflict` | a file is in the way: what then, and the next free name |
//! | `approval` | what a person allowed, for an hour |

mod approval;
mod conflict;
mod copied;
mod deletes;
mod policy;
mod size;

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::Serialize;

use crate::catalog::{Catalog, NodeKey};
use crate::config::ConflictPolicy;
use crate::drive::{NodeId, Result};
use crate::net::Clock;

pub use approval::ApprovalStatus;
pub use conflict::{AUTO_RENAME_NEW, OnExisting, numbered_name};
pub use deletes::{Admission, DeleteStatus};
pub use policy::{BadPolicy, Policies, PolicyName};

/// How long an approval holds, milliseconds.
const APPROVAL_MS: i64 = 60 * 60 * 1000;

/// Directories above a directory that are looked at; no provider nests deeper.
const DEPTH: usize = 512;

/// What the settings say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuardSettings {
    /// Bytes above which a content is not streamed between drives until it is approved.
    pub threshold: Option<u64>,
    /// Bytes above which it is not streamed at all.
    pub fallback_cap: Option<u64>,
    /// The delete of a minute that is refused, the first being 1; 0 for no limit.
    pub deletes_per_minute: u64,
    /// What happens to a file that is in the way.
    pub conflict: ConflictPolicy,
}

/// The state of all guards, for `status`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GuardStatus {
    /// The mass-delete breaker.
    pub deletes: DeleteStatus,
    /// What a person allowed and still holds.
    pub approvals: Vec<ApprovalStatus>,
}

/// All guards of a daemon.
pub struct Guard {
    settings: GuardSettings,
    catalog: Arc<Catalog>,
    clock: Arc<dyn Clock>,
    deletes: Mutex<deletes::Breaker>,
    copied: Mutex<copied::Copied>,
    same: Mutex<copied::Copied>,
    approvals: Mutex<approval::Approvals>,
    policies: RwLock<policy::Directories>,
}

impl Guard {
    /// Guards with the state they had when the last daemon ended.
    pub fn new(settings: GuardSettings, catalog: Arc<Catalog>, clock: Arc<dyn Clock>) -> Guard {
        Guard {
            settings,
            deletes: Mutex::new(deletes::Breaker::load(
                settings.deletes_per_minute,
                &catalog,
            )),
            copied: Mutex::default(),
            same: Mutex::default(),
            approvals: Mutex::default(),
            policies: RwLock::new(policy::Directories::load(&catalog)),
            catalog,
            clock,
        }
    }

    /// The state of all guards.
    pub fn status(&self) -> GuardStatus {
        let now = self.clock.now_ms();
        GuardStatus {
            deletes: self.lock_deletes().status(now),
            approvals: self.lock_approvals().status(now),
        }
    }

    fn lock_deletes(&self) -> std::sync::MutexGuard<'_, deletes::Breaker> {
        self.deletes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_approvals(&self) -> std::sync::MutexGuard<'_, approval::Approvals> {
        self.approvals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_copied(&self) -> std::sync::MutexGuard<'_, copied::Copied> {
        self.copied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_same(&self) -> std::sync::MutexGuard<'_, copied::Copied> {
        self.same.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a removal that destroys the last known place of something. It is counted until the
    /// admission is dropped without [`Admission::keep`].
    ///
    /// # Errors
    /// `Busy` once the limit of a minute is reached, until [`Guard::approve_deletes`].
    pub fn admit_delete(self: &Arc<Self>) -> Result<Admission> {
        let now = self.clock.now_ms();
        let (admitted, changed) = {
            let mut deletes = self.lock_deletes();
            let admitted = deletes.admit(now);
            (admitted, deletes.take_record())
        };
        if let Some(record) = changed {
            self.catalog
                .set_guard_state(deletes::STATE, Some(record.as_str()));
        }
        admitted.map(|counted| Admission::new(counted.then(|| self.clone()), now))
    }

    /// Closes the delete breaker; deletes are not counted for an hour. Tells until when
    /// (milliseconds since the epoch).
    pub fn approve_deletes(&self) -> i64 {
        let until = self.clock.now_ms().saturating_add(APPROVAL_MS);
        self.lock_deletes().approve(until);
        self.catalog.set_guard_state(deletes::STATE, None);
        tracing::info!("deletes are approved for an hour");
        until
    }

    /// The content of this version of a node was verified at another place.
    pub fn note_copied(&self, profile: &str, id: &NodeId, version: &str) {
        let now = self.clock.now_ms();
        self.lock_copied()
            .add(now, &[profile, id.as_str(), version]);
    }

    /// Whether the content of this version of a node was verified at another place lately.
    pub fn is_copied(&self, profile: &str, id: &NodeId, version: &str) -> bool {
        let now = self.clock.now_ms();
        self.lock_copied()
            .has(now, &[profile, id.as_str(), version])
    }

    /// A node was copied onto itself through another profile of its account: the removal of the
    /// source, with which `mv` ends, must not remove the target too.
    pub fn note_same(&self, profile: &str, id: &NodeId) {
        let now = self.clock.now_ms();
        self.lock_same().add(now, &[profile, id.as_str()]);
    }

    /// Whether the next removal of this node is the end of such a copy. Tells it once: a second
    /// removal is meant.
    pub fn take_same(&self, profile: &str, id: &NodeId) -> bool {
        let now = self.clock.now_ms();
        self.lock_same().take(now, &[profile, id.as_str()])
    }

    /// Something was moved out of this directory (as `mv` does): its own removal loses nothing.
    pub fn note_moved_out_of(&self, profile: &str, dir: &NodeId) {
        let now = self.clock.now_ms();
        self.lock_copied().add(now, &[profile, dir.as_str()]);
    }

    /// Whether something was moved out of this directory lately.
    pub fn is_moved_out_of(&self, profile: &str, dir: &NodeId) -> bool {
        let now = self.clock.now_ms();
        self.lock_copied().has(now, &[profile, dir.as_str()])
    }

    /// Allows what the size threshold refuses, for an hour: everything in and below `dir` (the
    /// whole mount when `None`), or one name in it. `label` names it in `status`. Tells until when
    /// (milliseconds since the epoch).
    pub fn approve_size(&self, dir: Option<NodeKey>, name: Option<&str>, label: &str) -> i64 {
        let now = self.clock.now_ms();
        let until = now.saturating_add(APPROVAL_MS);
        self.lock_approvals().add(now, until, dir, name, label);
        tracing::info!(
            path = label,
            "what is above the size threshold is approved for an hour"
        );
        until
    }

    /// A directory and those above it, nearest first.
    fn upwards(&self, dir: NodeKey) -> Vec<NodeKey> {
        let mut all = vec![dir];
        while all.len() < DEPTH
            && let Some(above) = all.last().and_then(|last| self.catalog.get(*last)?.parent)
        {
            all.push(above);
        }
        all
    }
}
