//! Removals that are due: a node whose copy is verified, or that was held back long enough, goes
//! to the trash; one whose copy failed is shown again.

use std::pin::Pin;
use std::sync::Arc;

use super::engine::Engine;
use super::publish;
use super::record::{ParkedUnlink, Replaced};
use crate::content::{ContentRef, RemoteContent, Volume};
use crate::drive::{Node, NodeId, Result};
use crate::net::{Priority, with_priority};

/// How long trashed nodes are remembered; no listing takes longer.
const REMEMBERED_MS: i64 = 600_000;

/// Pause before a removal that failed is tried again.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(30);

impl Engine {
    /// Trashes a node that was replaced. It is parked while a copy of it is not verified that reads
    /// it through something other than `own`. The replacement does not fail when the trash is out of reach: it is asked
    /// again then.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub(super) async fn retire(
        &self,
        volume: &Volume,
        node: &Node,
        own: &[Arc<RemoteContent>],
    ) -> Result<()> {
        let readers = self.other_readers_of(&volume.name, &node.id, own);
        if !readers.is_empty() {
            return self.park(&volume.name, node, readers).await;
        }
        let exactly = Replaced {
            id: node.id.clone(),
            version: node.version.clone(),
        };
        match publish::trash_exactly(volume, &exactly).await {
            Ok(()) => Ok(()),
            Err(error) => {
                tracing::warn!(name = node.name, %error, "what was replaced stays for now");
                self.hold(&volume.name, node, AGAIN).await
            }
        }
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

    /// The transfer is verified: the journal is told that nothing waits for it any more, before it
    /// forgets the transfer itself.
    pub(super) async fn unpark(&self, transfer: &str) {
        let mut free: Vec<ParkedUnlink> = self.lock_parked().clone();
        free.retain(|parked| parked.transfers.iter().any(|id| id == transfer));
        for mut parked in free {
            parked.transfers.retain(|id| id != transfer);
            if let Err(error) = self.store_parked(&parked).await {
                tracing::error!(%error, "the journal cannot be written");
            }
        }
    }

    /// What waited for the reader `from` waits for `to` now.
    pub(super) async fn repark(&self, from: &str, to: &str) {
        let changed: Vec<ParkedUnlink> = {
            let mut all = self.lock_parked();
            let waiting = all
                .iter_mut()
                .filter(|parked| parked.transfers.iter().any(|id| id == from));
            waiting
                .map(|parked| {
                    parked.transfers.retain(|id| id != from && id != to);
                    parked.transfers.push(to.to_owned());
                    parked.clone()
                })
                .collect()
        };
        if changed.is_empty() {
            return;
        }
        for parked in &changed {
            if let Err(error) = self.store_parked(parked).await {
                tracing::error!(%error, "the journal cannot be written");
            }
        }
        self.follow_readers(&[to.to_owned()]);
    }

    /// A removal that was held back is done now, unless somebody began to copy the node since.
    pub(super) async fn finish_hold(&self, id: &str) {
        let arranging = self.parking().arranging.read().await;
        let readers = {
            let all = self.lock_parked();
            let held = all.iter().find(|parked| parked.id == id);
            held.map(|held| self.readers_of(&held.profile, &held.node.id))
        };
        let held = {
            let mut all = self.lock_parked();
            let at = all.iter().position(|parked| parked.id == id);
            at.map(|at| {
                let held = all.remove(at);
                self.lock_leaving().push((held.clone(), None));
                held
            })
        };
        match (held, readers) {
            (Some(held), Some(readers)) if !readers.is_empty() => {
                let waits = ParkedUnlink {
                    transfers: readers.clone(),
                    ..held
                };
                if let Err(error) = self.store_parked(&waits).await {
                    tracing::error!(%error, "the journal cannot be written");
                }
                self.park_again(waits);
                drop(arranging);
                self.follow_readers(&readers);
            }
            (Some(held), _) => self.trash_parked(held).await,
            (None, _) => {}
        }
    }

    fn remember_left(&self, id: &str) {
        let now = self.now_ms();
        let mut leaving = self.lock_leaving();
        leaving.retain(|(_, gone)| gone.is_none_or(|gone| now - gone < REMEMBERED_MS));
        for (_, gone) in leaving.iter_mut().filter(|(known, _)| known.id == id) {
            *gone = Some(now);
        }
    }

    /// The transfer is verified: nodes that waited only for it are trashed.
    pub(super) async fn release_parked(&self, transfer: &str) {
        let _arranging = self.parking().arranging.read().await;
        for mut parked in self.take_parked_of(transfer) {
            parked.transfers.retain(|id| id != transfer);
            if parked.transfers.is_empty() {
                // Somebody may have begun to need it since it was parked.
                parked.transfers = self.readers_of(&parked.profile, &parked.node.id);
            }
            if !parked.transfers.is_empty() {
                let _ = self.store_parked(&parked).await;
                let readers = parked.transfers.clone();
                self.park_again(parked);
                self.follow_readers(&readers);
                continue;
            }
            self.trash_parked(parked).await;
        }
    }

    /// Trashes a parked node that waits for nothing any more; its directory follows when it was
    /// the last one in it.
    async fn trash_parked(&self, parked: ParkedUnlink) {
        let (profile, dir) = (parked.profile.clone(), parked.node.parent.clone());
        self.trash_one(parked).await;
        Box::pin(self.finish_directory(&profile, &dir)).await;
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
                self.park_again(parked);
                tokio::spawn(self.clone().finish_later(id));
            }
        }
    }

    /// Trashes a parked directory once nothing in it is parked any more and it lists empty.
    pub(super) async fn finish_directory(&self, profile: &str, dir: &NodeId) {
        if self.removals_in(profile, dir) > 0 {
            return;
        }
        let parked = {
            let mut all = self.lock_parked();
            all.iter()
                .position(|p| p.profile == profile && p.node.dir && p.node.id == *dir)
                .map(|at| {
                    let parked = all.remove(at);
                    self.lock_leaving().push((parked.clone(), None));
                    parked
                })
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
            self.stays(&parked.id);
            self.forget_parked(&parked.id).await;
            if let Some(events) = self.parking().events.get() {
                events.back(profile, dir);
            }
        }
    }

    /// The transfer failed for good: what waited for it is shown again.
    pub(super) async fn restore_parked(&self, transfer: &str) {
        let _arranging = self.parking().arranging.read().await;
        for parked in self.take_parked_of(transfer) {
            if publish::is_temporary_name(&parked.node.name) {
                // It was replaced meanwhile: nobody expects it back under that name.
                self.trash_parked(parked).await;
                continue;
            }
            self.stays(&parked.id);
            self.forget_parked(&parked.id).await;
            if let Some(events) = self.parking().events.get() {
                events.back(&parked.profile, &parked.node.id);
            }
            Box::pin(self.finish_directory(&parked.profile, &parked.node.parent)).await;
        }
    }

    /// Takes what waits for `transfer` from the list; it counts as being removed at once.
    fn take_parked_of(&self, transfer: &str) -> Vec<ParkedUnlink> {
        let mut all = self.lock_parked();
        let (taken, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut *all)
            .into_iter()
            .partition(|parked| parked.transfers.iter().any(|id| id == transfer));
        *all = kept;
        let leaving = taken.iter().map(|parked| (parked.clone(), None));
        self.lock_leaving().extend(leaving);
        taken
    }

    /// A removal that was begun waits again.
    fn park_again(&self, parked: ParkedUnlink) {
        let mut all = self.lock_parked();
        let id = parked.id.clone();
        all.push(parked);
        self.stays(&id);
    }

    /// A removal that was begun is not done.
    fn stays(&self, id: &str) {
        self.lock_leaving().retain(|(known, _)| known.id != id);
    }
}
