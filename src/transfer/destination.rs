//! Where a transfer ends up. A draft belongs to its inode, not to its name: the place is asked
//! when it matters, and may have changed since.

use std::sync::{Arc, OnceLock, PoisonError};

use async_trait::async_trait;
use tokio::sync::{Mutex, MutexGuard};

use super::{Task, TransferResult};
use crate::content::{ContentRef, moved_id};
use crate::drive::{DriveError, Node, NodeId};

/// A name in a directory of a drive.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Directory.
    pub parent: NodeId,
    /// Name.
    pub name: String,
    /// The node that stands there now.
    pub replaces: Option<Node>,
}

/// Who wants the transfer.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Profile of the target. Never changes.
    fn profile(&self) -> &str;

    /// Where it belongs now; `None` when it was removed meanwhile.
    fn place(&self) -> Option<Place>;

    /// A directory of `profile` has another id now; so has what is below it. A place that is asked
    /// of the tree knows that already.
    fn follow(&self, profile: &str, from: &NodeId, to: &NodeId) {
        let _ = (profile, from, to);
    }

    /// Held while the last name is settled, so that a rename waits or comes before.
    async fn settle(&self) -> MutexGuard<'_, ()>;

    /// What a guard did about a file that was in the way, when it did something (SPEC S0-95).
    fn conflict_action(&self) -> Option<&'static str> {
        None
    }

    /// The bytes are durable here and the program was told so; the upload goes on behind.
    fn promised(&self, task: &Arc<Task>, content: ContentRef) {
        let _ = (task, content);
    }

    /// The node is there, verified, under the name of the place.
    fn published(&self, node: Node, result: &TransferResult);

    /// It failed for good (or, when acknowledged, this time).
    fn failed(&self, error: &DriveError, result: &TransferResult);
}

/// A place that nobody moves: transfers taken up from the journal.
pub struct FixedDestination {
    profile: String,
    place: std::sync::Mutex<Place>,
    lock: Mutex<()>,
    made: OnceLock<Node>,
}

impl FixedDestination {
    /// A fixed place.
    pub fn new(profile: String, place: Place) -> Self {
        FixedDestination {
            profile,
            place: std::sync::Mutex::new(place),
            lock: Mutex::new(()),
            made: OnceLock::new(),
        }
    }

    /// What was made, once it is published.
    pub fn made(&self) -> Option<Node> {
        self.made.get().cloned()
    }
}

#[async_trait]
impl Destination for FixedDestination {
    fn profile(&self) -> &str {
        &self.profile
    }

    fn place(&self) -> Option<Place> {
        let place = self.place.lock();
        Some(place.unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn follow(&self, profile: &str, from: &NodeId, to: &NodeId) {
        if profile != self.profile {
            return;
        }
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(parent) = moved_id(&place.parent, from, to) {
            place.parent = parent;
        }
        if let Some(old) = &mut place.replaces {
            for id in [&mut old.id, &mut old.parent] {
                if let Some(now) = moved_id(id, from, to) {
                    *id = now;
                }
            }
        }
    }

    async fn settle(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().await
    }

    fn published(&self, node: Node, _result: &TransferResult) {
        let _ = self.made.set(node);
    }

    fn failed(&self, _error: &DriveError, _result: &TransferResult) {}
}
