//! Unlinks that wait: the source of a copy that is not verified yet is hidden at once and
//! trashed only after verification, if it still has the version that was copied. When the
//! copy fails for good it is shown again (DESIGN 3.4).

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::engine::Engine;
use super::readers::Reader;
use super::record::ParkedUnlink;
use crate::drive::{DriveError, ErrorKind, Node, NodeId, Result};
use crate::net::{Priority, with_priority};

/// Told when a parked node is gone or back.
pub trait ParkedEvents: Send + Sync {
    /// It was trashed.
    fn gone(&self, profile: &str, id: &NodeId);
    /// It must be shown again.
    fn back(&self, profile: &str, id: &NodeId);
    /// What is in this directory was changed behind: by something that the last run had begun.
    fn changed(&self, profile: &str, dir: &NodeId);
}

/// Unlinks that wait, and who wants to know.
#[derive(Default)]
pub(super) struct Parking {
    all: Mutex<Vec<ParkedUnlink>>,
    /// Being trashed now, or trashed lately (when, milliseconds since the epoch): a listing that
    /// was begun before must not show them again.
    leaving: Mutex<Vec<(ParkedUnlink, Option<i64>)>>,
    pub(super) events: OnceLock<Arc<dyn ParkedEvents>>,
    /// Held by whoever takes removals from the list until they are done, and alone by a rename
    /// that changes their ids.
    pub(super) arranging: tokio::sync::RwLock<()>,
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
        self.follow_readers(&waits_for);
        Ok(())
    }

    /// Whoever is waited for may have ended while that was written.
    pub(super) fn follow_readers(&self, readers: &[String]) {
        self.await_drafts(readers);
        for id in readers {
            match self.reader_state(id) {
                Reader::Reading => {}
                // Behind: who parks may be in the middle of a rename that removals wait for.
                Reader::Done => {
                    let (engine, id) = (self.clone(), id.clone());
                    tokio::spawn(async move { engine.release_parked(&id).await });
                }
                Reader::Failed => {
                    let (engine, id) = (self.clone(), id.clone());
                    tokio::spawn(async move { engine.restore_parked(&id).await });
                }
            }
        }
    }

    /// Parks the removal of a directory behind what is parked in it. Durable when it returns.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn park_directory(&self, profile: &str, node: &Node) -> Result<()> {
        let parked = ParkedUnlink {
            id: uuid::Uuid::new_v4().simple().to_string(),
            profile: profile.to_owned(),
            node: node.into(),
            transfers: Vec::new(),
            begun: self.now_ms(),
        };
        self.store_parked(&parked).await?;
        self.lock_parked().push(parked);
        let _arranging = self.parking().arranging.read().await;
        self.finish_directory(profile, &node.id).await;
        Ok(())
    }

    /// Hides a node at once and trashes it a little later, so that a replacement under the same
    /// name can still take its place ([`Engine::adopt`]). Durable when it returns.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn hold(&self, profile: &str, node: &Node, pause: std::time::Duration) -> Result<()> {
        let parked = ParkedUnlink {
            id: uuid::Uuid::new_v4().simple().to_string(),
            profile: profile.to_owned(),
            node: node.into(),
            transfers: Vec::new(),
            begun: self.now_ms(),
        };
        self.store_parked(&parked).await?;
        let id = parked.id.clone();
        self.lock_parked().push(parked);
        let engine = self.clone();
        tokio::spawn(with_priority(Priority::Background, async move {
            tokio::select! {
                // The next start does it.
                () = engine.stopping().cancelled() => {}
                () = tokio::time::sleep(pause) => engine.finish_hold(&id).await,
            }
        }));
        Ok(())
    }

    /// Takes a node back whose removal waits: its name was created again, and the new file
    /// replaces it. (Where a copy still reads it, the replacement parks it again.)
    pub async fn adopt(&self, profile: &str, dir: &NodeId, name: &str) -> Option<Node> {
        let held = {
            let mut all = self.lock_parked();
            let at = all.iter().position(|parked| {
                parked.profile == profile
                    && !parked.node.dir
                    && parked.node.parent == *dir
                    && parked.node.name == name
            })?;
            all.remove(at)
        };
        self.forget_parked(&held.id).await;
        Some(held.node.node())
    }

    /// Trashes at once what is held back in `dir`.
    pub async fn finish_holds(&self, profile: &str, dir: &NodeId) {
        let held: Vec<String> = self
            .lock_parked()
            .iter()
            .filter(|parked| {
                parked.profile == profile
                    && parked.node.parent == *dir
                    && parked.transfers.is_empty()
                    && !parked.node.dir
            })
            .map(|parked| parked.id.clone())
            .collect();
        let all = held.iter().map(|id| self.finish_hold(id));
        futures_util::future::join_all(all).await;
    }

    /// Trashes everything that is held back (before an unmount that waits).
    pub async fn finish_all_holds(&self) {
        let held: Vec<String> = self
            .lock_parked()
            .iter()
            .filter(|parked| parked.transfers.is_empty() && !parked.node.dir)
            .map(|parked| parked.id.clone())
            .collect();
        for id in held {
            self.finish_hold(&id).await;
        }
    }

    /// Number of unlinks that wait or are being done.
    pub fn parked(&self) -> usize {
        // Both at once: what begins to be done leaves one list for the other.
        let waiting = self.lock_parked();
        let leaving = self.lock_leaving();
        waiting.len() + leaving.iter().filter(|(_, gone)| gone.is_none()).count()
    }

    /// Whether a listing that was begun at `listed` shows a node that we trashed since.
    pub fn is_leaving(&self, profile: &str, node: &Node, listed: i64) -> bool {
        self.lock_leaving().iter().any(|(parked, gone)| {
            parked.profile == profile
                && parked.node.id == node.id
                && parked.node.version == node.version
                && gone.is_none_or(|gone| gone >= listed)
        })
    }

    pub(super) fn lock_leaving(&self) -> MutexGuard<'_, Vec<(ParkedUnlink, Option<i64>)>> {
        let leaving = self.parking().leaving.lock();
        leaving.unwrap_or_else(PoisonError::into_inner)
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

    /// Number of removals directly in `dir` that wait or are being done.
    pub(super) fn removals_in(&self, profile: &str, dir: &NodeId) -> usize {
        let waiting = self.lock_parked();
        let leaving = self.lock_leaving();
        let doing = leaving.iter().filter(|(_, gone)| gone.is_none());
        waiting
            .iter()
            .chain(doing.map(|(parked, _)| parked))
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

    pub(super) fn lock_parked(&self) -> MutexGuard<'_, Vec<ParkedUnlink>> {
        self.parking()
            .all
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn store_parked(&self, parked: &ParkedUnlink) -> Result<()> {
        self.journal()
            .put(ParkedUnlink::KIND, &parked.id, parked)
            .await
            .map_err(|error| DriveError::new(ErrorKind::LocalDisk, error.to_string()))
    }

    pub(super) async fn forget_parked(&self, id: &str) {
        if let Err(error) = self.journal().remove(ParkedUnlink::KIND, id).await {
            tracing::error!(%error, "the journal cannot be written");
        }
    }
}
