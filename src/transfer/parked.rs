//! Unlinks that wait: the source of a copy that is not verified yet is hidden at once and
//! trashed only after verification, if it still has the version that was copied. When the
//! copy fails for good it is shown again (DESIGN 3.4).

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::engine::Engine;
use super::publish;
use super::record::{ParkedUnlink, Replaced};
use crate::drive::{DriveError, ErrorKind, Node, NodeId, Result};

/// Told when a parked node is gone or back.
pub trait ParkedEvents: Send + Sync {
    /// It was trashed.
    fn gone(&self, profile: &str, id: &NodeId);
    /// It must be shown again.
    fn back(&self, profile: &str, id: &NodeId);
}

/// Unlinks that wait, and who wants to know.
#[derive(Default)]
pub(super) struct Parking {
    all: Mutex<Vec<ParkedUnlink>>,
    events: OnceLock<Arc<dyn ParkedEvents>>,
}

impl Engine {
    /// Tells who is to be told about parked nodes. Once.
    pub fn on_parked(&self, events: Arc<dyn ParkedEvents>) {
        let _ = self.parking().events.set(events);
    }

    /// Parks the unlink of a node until `transfers` are verified. Durable when it returns.
    ///
    /// # Errors
    /// When the journal cannot be written: the unlink is then refused.
    pub async fn park(&self, profile: &str, node: &Node, transfers: Vec<String>) -> Result<()> {
        let parked = ParkedUnlink {
            id: uuid::Uuid::new_v4().simple().to_string(),
            profile: profile.to_owned(),
            node: node.into(),
            transfers,
            begun: self.now_ms(),
        };
        self.store_parked(&parked).await?;
        let waits_for = parked.transfers.clone();
        self.lock_parked().push(parked);
        // A transfer may have ended while this was written.
        for id in waits_for {
            let over = self
                .tasks()
                .iter()
                .find(|t| t.id == id)
                .is_none_or(|t| t.state().is_over());
            if over {
                self.release_parked(&id).await;
            }
        }
        Ok(())
    }

    /// Whether the node is parked.
    pub fn is_parked(&self, profile: &str, id: &NodeId) -> bool {
        self.lock_parked()
            .iter()
            .any(|parked| parked.profile == profile && parked.node.id == *id)
    }

    /// Whether anything below these directories of `profile` is parked.
    pub fn parked_in(&self, profile: &str, dir: &NodeId) -> usize {
        self.lock_parked()
            .iter()
            .filter(|parked| parked.profile == profile && parked.node.parent == *dir)
            .count()
    }

    /// Waits until nothing in `dir` is parked, at most `longest`.
    pub async fn wait_unparked(
        &self,
        profile: &str,
        dir: &NodeId,
        longest: std::time::Duration,
    ) -> bool {
        let deadline = tokio::time::Instant::now() + longest;
        while self.parked_in(profile, dir) > 0 {
            if tokio::time::Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        true
    }

    /// The transfer is verified: nodes that waited only for it are trashed.
    pub(super) async fn release_parked(&self, transfer: &str) {
        for mut parked in self.take_parked_of(transfer) {
            parked.transfers.retain(|id| id != transfer);
            if !parked.transfers.is_empty() {
                let _ = self.store_parked(&parked).await;
                self.lock_parked().push(parked);
                continue;
            }
            self.trash_parked(parked).await;
        }
    }

    /// Trashes a parked node that waits for nothing any more.
    pub(super) async fn trash_parked(&self, parked: ParkedUnlink) {
        let exactly = Replaced {
            id: parked.node.id.clone(),
            version: parked.node.version.clone(),
        };
        let trashed = match self.volume(&parked.profile) {
            Ok(volume) => publish::trash_exactly(&volume, &exactly).await,
            Err(error) => Err(error),
        };
        match trashed {
            Ok(()) => {
                self.forget_parked(&parked.id).await;
                if let Some(events) = self.parking().events.get() {
                    events.gone(&parked.profile, &parked.node.id);
                }
            }
            Err(error) => {
                tracing::warn!(name = parked.node.name, %error, "the source stays for now");
                self.lock_parked().push(parked);
            }
        }
    }

    /// The transfer failed for good: what waited for it is shown again.
    pub(super) async fn restore_parked(&self, transfer: &str) {
        for parked in self.take_parked_of(transfer) {
            self.forget_parked(&parked.id).await;
            if let Some(events) = self.parking().events.get() {
                events.back(&parked.profile, &parked.node.id);
            }
        }
    }

    fn take_parked_of(&self, transfer: &str) -> Vec<ParkedUnlink> {
        let mut all = self.lock_parked();
        let (taken, kept) = std::mem::take(&mut *all)
            .into_iter()
            .partition(|parked| parked.transfers.iter().any(|id| id == transfer));
        *all = kept;
        taken
    }

    pub(super) fn lock_parked(&self) -> std::sync::MutexGuard<'_, Vec<ParkedUnlink>> {
        self.parking()
            .all
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn store_parked(&self, parked: &ParkedUnlink) -> Result<()> {
        self.journal()
            .put(ParkedUnlink::KIND, &parked.id, parked)
            .await
            .map_err(|error| DriveError::new(ErrorKind::LocalDisk, error.to_string()))
    }

    async fn forget_parked(&self, id: &str) {
        if let Err(error) = self.journal().remove(ParkedUnlink::KIND, id).await {
            tracing::error!(%error, "the journal cannot be written");
        }
    }
}
