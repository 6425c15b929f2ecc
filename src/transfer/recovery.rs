//! What a crash left: acknowledged transfers are taken up, uploads under way are resumed, the
//! rest is cleaned at the provider. Nothing is published that nobody was promised, unless its
//! upload was under way and its content is still the same.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};

use super::attempts::pause;
use super::destination::{Destination, FixedDestination, Place};
use super::engine::{Engine, TransferSpec};
use super::record::{ParkedUnlink, TransferRecord};
use super::replace::RENAME;
use super::swap::Swapping;
use crate::content::{ContentRecord, ContentRef, ExtentMap, LeftOver, SealedDraft, Source};
use crate::drive::{DriveError, ErrorKind, NodeId, Result};
use crate::fingerprint::Fingerprints;
use crate::net::{Priority, with_priority};

/// Swaps that are being finished behind: how many were not tried yet, and how many wait to be
/// tried again.
pub(super) struct Unfinished(watch::Sender<(usize, usize)>);

impl Default for Unfinished {
    fn default() -> Self {
        Unfinished(watch::Sender::new((0, 0)))
    }
}

impl Unfinished {
    /// Waits until each was tried; returns how many that did not finish.
    pub async fn tried(&self) -> usize {
        let mut changes = self.0.subscribe();
        let settled = changes.wait_for(|(untried, _)| *untried == 0).await;
        settled.map_or(0, |settled| settled.1)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        let (untried, waiting) = *self.0.borrow();
        untried + waiting
    }

    fn change(&self, change: impl FnOnce(&mut usize, &mut usize)) {
        self.0
            .send_modify(|(untried, waiting)| change(untried, waiting));
    }
}

impl Engine {
    /// The records of the journal that will be taken up, for the tree to show their files at once.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn journaled(&self) -> Result<Vec<TransferRecord>> {
        self.journal()
            .all::<TransferRecord>(TransferRecord::KIND)
            .map_err(|error| DriveError::new(ErrorKind::LocalDisk, error.to_string()))
    }

    /// Takes up what the journal holds. `destination` may give a record a live place in the tree.
    /// Returns the stage files that nobody claims: drafts that were open when we died.
    ///
    /// # Errors
    /// When the journal or the stage cannot be read.
    pub async fn recover(
        &self,
        destination: impl Fn(&TransferRecord, &ContentRef) -> Option<Arc<dyn Destination>>,
    ) -> Result<Vec<LeftOver>> {
        self.finish_directory_moves().await?;
        let records = self.journaled()?;
        let mut claimed = Vec::new();
        for record in records.iter().filter(|record| goes_on(record)) {
            files_of(&record.source, &mut claimed);
        }
        let parked = self
            .journal()
            .all::<ParkedUnlink>(ParkedUnlink::KIND)
            .map_err(|error| DriveError::new(ErrorKind::LocalDisk, error.to_string()))?;
        self.lock_parked().extend(parked.iter().cloned());
        let known: Vec<String> = records.iter().map(|record| record.id.clone()).collect();
        for record in records {
            self.take_up(record, &destination).await;
        }
        for entry in parked {
            let engine = self.clone();
            let known = known.clone();
            tokio::spawn(with_priority(Priority::Background, async move {
                engine.take_up_removal(&entry, &known).await;
            }));
        }
        let stage = self.stage();
        let mut left = stage
            .left_overs()
            .map_err(|error| DriveError::new(ErrorKind::LocalDisk, format!("stage: {error}")))?;
        left.retain(|file| !claimed.contains(&file.id));
        let (mine, temporary): (Vec<_>, Vec<_>) = left
            .into_iter()
            .partition(|file| !file.note.profile.is_empty());
        for file in temporary {
            if let Ok(file) = stage.reopen(&file.id) {
                file.discard();
            }
        }
        Ok(mine)
    }

    /// A removal of the last run. When a transfer is verified the removal is freed before the
    /// journal forgets the transfer: one that waits for somebody who is not known any more (a
    /// draft that was open, a copy that had not begun) waits for nothing that came to be.
    async fn take_up_removal(&self, entry: &ParkedUnlink, known: &[String]) {
        let profile = &entry.profile;
        for id in entry.transfers.iter().filter(|id| !known.contains(id)) {
            self.restore_parked(id).await;
        }
        match (entry.node.dir, entry.transfers.is_empty()) {
            (true, _) => {
                let _arranging = self.parking().arranging.read().await;
                self.finish_directory(profile, &entry.node.id).await;
            }
            (false, true) => self.finish_hold(&entry.id).await,
            (false, false) => {}
        }
    }

    /// Brings a swap to its end behind, trying until that works.
    pub(super) fn spawn_swap(&self, record: TransferRecord) {
        let engine = self.clone();
        self.unfinished().change(|untried, _| *untried += 1);
        tokio::spawn(with_priority(Priority::Copy, async move {
            engine.finish_swap(record).await;
        }));
    }

    async fn finish_swap(&self, record: TransferRecord) {
        let (id, profile) = (record.id.clone(), record.profile.clone());
        let (parent, abandoned) = (record.parent.clone(), record.abandoned);
        let record = Mutex::new(record);
        for failures in 0.. {
            let ended = match self.volume(&profile) {
                Ok(volume) => {
                    let swapping = Swapping {
                        engine: self,
                        volume: &volume,
                        record: &record,
                        own: &[],
                    };
                    if abandoned {
                        swapping.undo().await.map(|()| None)
                    } else {
                        swapping.resume().await
                    }
                }
                Err(error) => Err(error),
            };
            match ended {
                Ok(done) => {
                    self.swap_ended(record.into_inner(), done.is_some()).await;
                    self.tell_changed(&profile, &parent);
                    self.unfinished().change(|untried, waiting| match failures {
                        0 => *untried -= 1,
                        _ => *waiting -= 1,
                    });
                    return;
                }
                Err(error) => {
                    if failures == 0 {
                        self.unfinished().change(|untried, waiting| {
                            *untried -= 1;
                            *waiting += 1;
                        });
                    }
                    tracing::warn!(id, %error, "a replacement is not finished; it is tried again");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause(failures)) => {}
                () = self.stopping().cancelled() => return,
            }
        }
    }

    /// The record of a swap that is over. When the new node is gone a promised file goes up again.
    async fn swap_ended(&self, record: TransferRecord, done: bool) {
        if done {
            let mut files = Vec::new();
            files_of(&record.source, &mut files);
            self.unpark(&record.id).await;
            self.journal_remove(&record.id).await;
            for file in files {
                if let Ok(file) = self.stage().reopen(&file) {
                    file.discard();
                }
            }
            self.release_parked(&record.id).await;
            return;
        }
        let again = TransferRecord {
            swap: None,
            created: record.created.clone().filter(|_| record.abandoned),
            abandoned: record.abandoned || record.source_label == RENAME,
            ..record
        };
        Box::pin(self.take_up(again, &|_: &TransferRecord, _: &ContentRef| None)).await;
    }

    fn tell_changed(&self, profile: &str, dir: &NodeId) {
        if let Some(events) = self.parking().events.get() {
            events.changed(profile, dir);
        }
    }

    async fn take_up(
        &self,
        record: TransferRecord,
        destination: &impl Fn(&TransferRecord, &ContentRef) -> Option<Arc<dyn Destination>>,
    ) {
        if record.swap.is_some() {
            // Both nodes are at the provider: only names are left to settle.
            self.spawn_swap(record);
            return;
        }
        let mut record = record;
        let promised = record.acknowledged;
        let content = if !goes_on(&record) {
            None
        } else {
            match self.revive(&record.source).await {
                Ok(content) => Some(content),
                Err(error) if promised => {
                    tracing::error!(
                        name = record.name, profile = record.profile, %error,
                        "a promised transfer cannot be taken up; it stays in the journal"
                    );
                    return;
                }
                Err(_) => None,
            }
        };
        let Some(content) = content else {
            let engine = self.clone();
            tokio::spawn(with_priority(Priority::Background, async move {
                engine.restore_parked(&record.id).await;
                engine.clean_up(&Mutex::new(record)).await;
            }));
            return;
        };
        record.acknowledged = true;
        let known_place = destination(&record, &content);
        let unseen = known_place.is_none();
        let destination = match known_place {
            Some(destination) => destination,
            None => {
                let replaces = self.replaced_node(&record).await;
                let place = Place {
                    parent: record.parent.clone(),
                    name: record.name.clone(),
                    replaces,
                };
                Arc::new(FixedDestination::new(record.profile.clone(), place))
            }
        };
        let spec = TransferSpec {
            content,
            destination,
            source_label: record.source_label.clone(),
            modified: record.modified,
            acknowledged: true,
            promise_up_to: 0,
            delay: Duration::ZERO,
            after: None,
        };
        let (profile, parent) = (record.profile.clone(), record.parent.clone());
        let task = self.spawn(record, spec);
        if unseen {
            // The tree does not know what lands there.
            let engine = self.clone();
            tokio::spawn(async move {
                if task.wait().await.is_ok() {
                    engine.tell_changed(&profile, &parent);
                }
            });
        }
    }

    async fn replaced_node(&self, record: &TransferRecord) -> Option<crate::drive::Node> {
        let replaced = record.replaces.as_ref()?;
        let volume = self.volume(&record.profile).ok()?;
        let node = volume.drive.stat(&replaced.id).await.ok()?;
        (node.version == replaced.version).then_some(node)
    }

    /// A content from its record.
    ///
    /// # Errors
    /// `Changed` when a remote node has another version, `LocalDisk` when staged bytes are gone.
    pub async fn revive(&self, record: &ContentRecord) -> Result<ContentRef> {
        match record {
            ContentRecord::Remote {
                profile,
                id,
                size,
                version,
            } => self.revive_remote(profile, id, *size, version).await,
            ContentRecord::Sealed { size, file, pieces } => {
                let file = match file {
                    Some(id) => Some(self.stage().reopen(id)?),
                    None => None,
                };
                let mut extents = ExtentMap::default();
                for piece in pieces {
                    let source = match &piece.from {
                        None => Source::Stage,
                        Some((record, at)) => {
                            let content = Box::pin(self.revive(record)).await?;
                            Source::Content { content, at: *at }
                        }
                    };
                    extents.insert(piece.start..piece.end, source);
                }
                let sealed = SealedDraft::new(*size, extents, file, Fingerprints::new());
                Ok(ContentRef::Sealed(Arc::new(sealed)))
            }
        }
    }

    async fn revive_remote(
        &self,
        profile: &str,
        id: &NodeId,
        size: u64,
        version: &str,
    ) -> Result<ContentRef> {
        let volume = self.volume(profile)?;
        let node = volume.drive.stat(id).await?;
        if node.size != size || node.version != version {
            return Err(DriveError::new(
                ErrorKind::Changed,
                format!("{} on {profile} changed meanwhile", node.name),
            ));
        }
        Ok(ContentRef::Remote(self.content(volume, node)))
    }
}

/// Whether a transfer is taken up: it was promised, or its upload was under way. The bytes of one
/// that is not are like those of a file that was never closed.
fn goes_on(record: &TransferRecord) -> bool {
    let under_way = record.session.is_some() || record.created.is_some();
    !record.abandoned && (record.acknowledged || under_way)
}

fn files_of(record: &ContentRecord, into: &mut Vec<String>) {
    if let ContentRecord::Sealed { file, pieces, .. } = record {
        into.extend(file.clone());
        for piece in pieces {
            if let Some((record, _)) = &piece.from {
                files_of(record, into);
            }
        }
    }
}
