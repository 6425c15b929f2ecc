//! Unlinks that wait: the source of a copy that is not verified yet is hidden at once and
//! trashed only after verification, if it still has the version that was copied. When the
//! copy fails for good it is shown again (DESIGN 3.4).

use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::engine::Engine;
use super::publish;
use super::record::{ParkedUnlink, Replaced};
use super::task::TaskState;
use crate::content::ContentRef;
use crate::drive::{DriveError, ErrorKind, Node, NodeId, Result};
use crate::net::{Priority, with_priority};

/// How long trashed nodes are remembered; no listing takes longer.
const REMEMBERED_MS: i64 = 600_000;

/// Pause before a removal that failed is tried again.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(30);

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
    /// Directories (profile, id) of nodes that are being trashed right now.
    going: Mutex<Vec<(String, NodeId)>>,
    /// Being trashed now, or trashed lately (when, milliseconds since the epoch): a listing that
    /// was begun before must not show them again.
    leaving: Mutex<Vec<(ParkedUnlink, Option<i64>)>>,
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
            let state = self
                .tasks()
                .iter()
                .find(|task| task.id == id)
                .map(|task| task.state());
            match state {
                Some(TaskState::Done(_)) | None => self.release_parked(&id).await,
                Some(TaskState::Cancelled) => self.restore_parked(&id).await,
                Some(TaskState::Failed(_)) if !self.is_tried_again(&id) => {
                    self.restore_parked(&id).await;
                }
                Some(_) => {}
            }
        }
        Ok(())
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
            tokio::time::sleep(pause).await;
            engine.finish_hold(&id).await;
        }));
        Ok(())
    }

    /// Takes a held node back: its name was created again, and the new file replaces it.
    pub async fn adopt(&self, profile: &str, dir: &NodeId, name: &str) -> Option<Node> {
        let held = {
            let mut all = self.lock_parked();
            let at = all.iter().position(|parked| {
                parked.profile == profile
                    && parked.transfers.is_empty()
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
        let leaving = self.lock_leaving();
        let doing = leaving.iter().filter(|(_, gone)| gone.is_none()).count();
        drop(leaving);
        self.lock_parked().len() + doing
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

    fn remember_left(&self, id: &str) {
        let now = self.now_ms();
        let mut leaving = self.lock_leaving();
        leaving.retain(|(_, gone)| gone.is_none_or(|gone| now - gone < REMEMBERED_MS));
        for (_, gone) in leaving.iter_mut().filter(|(known, _)| known.id == id) {
            *gone = Some(now);
        }
    }

    fn lock_leaving(&self) -> std::sync::MutexGuard<'_, Vec<(ParkedUnlink, Option<i64>)>> {
        let leaving = self.parking().leaving.lock();
        leaving.unwrap_or_else(PoisonError::into_inner)
    }

    async fn finish_hold(&self, id: &str) {
        let held = {
            let mut all = self.lock_parked();
            let at = all.iter().position(|parked| parked.id == id);
            at.map(|at| {
                let held = all.remove(at);
                self.lock_leaving().push((held.clone(), None));
                held
            })
        };
        if let Some(held) = held {
            self.trash_parked(held).await;
        }
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

    /// The transfer of this content is verified: removing its source is no loss.
    pub(super) fn note_copied(&self, content: &ContentRef) {
        let ContentRef::Remote(remote) = content else {
            return;
        };
        let (profile, source) = (&remote.volume().name, remote.node());
        self.guard()
            .note_copied(profile, &source.id, &source.version);
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

    /// Trashes a parked node that waits for nothing any more; its directory follows when it was
    /// the last one in it.
    pub(super) async fn trash_parked(&self, parked: ParkedUnlink) {
        let (profile, dir) = (parked.profile.clone(), parked.node.parent.clone());
        self.going().push((profile.clone(), dir.clone()));
        self.trash_one(parked).await;
        {
            let mut going = self.going();
            if let Some(at) = going.iter().position(|(p, d)| *p == profile && *d == dir) {
                going.swap_remove(at);
            }
        }
        Box::pin(self.finish_directory(&profile, &dir)).await;
    }

    fn going(&self) -> std::sync::MutexGuard<'_, Vec<(String, NodeId)>> {
        self.parking()
            .going
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a removal again after a pause. (Boxed: it may come back here.)
    fn finish_later(self, id: String) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(with_priority(Priority::Background, async move {
            tokio::time::sleep(AGAIN).await;
            self.finish_hold(&id).await;
        }))
    }

    async fn trash_one(&self, parked: ParkedUnlink) {
        {
            let mut leaving = self.lock_leaving();
            if !leaving.iter().any(|(known, _)| known.id == parked.id) {
                leaving.push((parked.clone(), None));
            }
        }
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
                self.remember_left(&parked.id);
            }
            Err(error) => {
                tracing::warn!(name = parked.node.name, %error, "the source stays for now");
                let id = parked.id.clone();
                self.lock_parked().push(parked);
                self.lock_leaving().retain(|(known, _)| *known.id != id);
                tokio::spawn(self.clone().finish_later(id));
            }
        }
    }

    /// Trashes a parked directory once nothing in it is parked any more and it lists empty.
    async fn finish_directory(&self, profile: &str, dir: &NodeId) {
        let going = self.going().iter().any(|(p, d)| p == profile && d == dir);
        if going || self.parked_in(profile, dir) > 0 {
            return;
        }
        let parked = {
            let mut all = self.lock_parked();
            all.iter()
                .position(|p| p.profile == profile && p.node.dir && p.node.id == *dir)
                .map(|at| all.remove(at))
        };
        let Some(parked) = parked else { return };
        let empty = match self.volume(profile) {
            Ok(volume) => match volume.drive.list(dir, None).await {
                Ok(page) => page.nodes.is_empty() && page.next.is_none(),
                Err(_) => false,
            },
            Err(_) => false,
        };
        if empty {
            self.trash_parked(parked).await;
        } else {
            self.forget_parked(&parked.id).await;
            if let Some(events) = self.parking().events.get() {
                events.back(profile, dir);
            }
        }
    }

    /// The transfer failed for good: what waited for it is shown again.
    pub(super) async fn restore_parked(&self, transfer: &str) {
        for parked in self.take_parked_of(transfer) {
            if publish::is_temporary_name(&parked.node.name) {
                // It was replaced meanwhile: nobody expects it back under that name.
                self.trash_parked(parked).await;
                continue;
            }
            self.forget_parked(&parked.id).await;
            if let Some(events) = self.parking().events.get() {
                events.back(&parked.profile, &parked.node.id);
            }
            Box::pin(self.finish_directory(&parked.profile, &parked.node.parent)).await;
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
