//! What a rename takes along. Where a provider addresses by path, the rename of a directory gives
//! everything below it another id: removals that wait, uploads that are queued, and the sources
//! of running copies follow. Uploads that are under way below it are waited for, a while.

use std::time::Duration;

use super::destination::Place;
use super::engine::Engine;
use super::journal::{Batch, JournalError};
use super::record::{DirectoryMove, ParkedUnlink, TransferRecord};
use super::replace::Renamed;
use crate::content::Volume;
use crate::drive::{DriveError, ErrorKind, Node, NodeId, Result};

/// How long a rename waits for uploads under way below it.
const LONGEST: Duration = Duration::from_secs(10);

impl Engine {
    /// The rename of a directory whose provider addresses by path.
    pub(super) async fn rename_directory(
        &self,
        volume: &Volume,
        node: &Node,
        place: &Place,
    ) -> Result<Renamed> {
        let busy = || {
            DriveError::new(
                ErrorKind::Busy,
                format!(
                    "files are being brought into {}, whose rename would change their paths; \
                     try again when they are there",
                    node.name
                ),
            )
        };
        let closed = self.gates().close(&volume.name, &node.id, LONGEST).await;
        let closed = closed.ok_or_else(busy)?;
        let arranging = self.parking().arranging.write();
        let arranging = tokio::time::timeout(LONGEST, arranging).await;
        let _arranging = arranging.map_err(|_| busy())?;
        let intent = DirectoryMove {
            id: uuid::Uuid::new_v4().simple().to_string(),
            profile: volume.name.to_string(),
            from: node.id.clone(),
            parent: place.parent.clone(),
            name: place.name.clone(),
        };
        let written = self.journal().put(DirectoryMove::KIND, &intent.id, &intent);
        written.await.map_err(local_disk)?;
        let moving = self.nodes().begin(&volume.name, node, true);
        let renamed = match self.rename_anyhow(volume, node, place).await {
            Ok(renamed) => renamed,
            Err(error) => {
                let forgotten = self.journal().remove(DirectoryMove::KIND, &intent.id);
                if let Err(error) = forgotten.await {
                    tracing::error!(%error, "the journal cannot be written");
                }
                return Err(error);
            }
        };
        moving.done(&renamed);
        if let Err(error) = self.follow(&intent, &renamed.id).await {
            // The next start does it.
            tracing::error!(%error, "the journal cannot be written");
        }
        Ok(Renamed {
            node: renamed,
            _closed: Some(closed),
        })
    }

    /// Writes anew what names something below a directory that has another id now. In the journal
    /// all of it changes at once, and the intent goes.
    async fn follow(&self, intent: &DirectoryMove, to: &NodeId) -> Result<(), JournalError> {
        let (profile, from) = (intent.profile.as_str(), &intent.from);
        let mut batch = Batch::default();
        for parked in self.lock_parked().iter_mut() {
            if parked.follow(profile, from, to) {
                batch.put(ParkedUnlink::KIND, &parked.id, parked)?;
            }
        }
        for active in self.active() {
            active.destination.follow(profile, from, to);
            let mut record = active.record.lock().await;
            if record.follow(profile, from, to) {
                batch.put(TransferRecord::KIND, &record.id, &*record)?;
            }
        }
        batch.remove(DirectoryMove::KIND, &intent.id);
        self.journal().apply(batch).await
    }

    /// After a start: renames of directories that were under way. What the journal names below
    /// them is written anew when the rename was done.
    pub(super) async fn finish_directory_moves(&self) -> Result<()> {
        let moves = self.journal().all::<DirectoryMove>(DirectoryMove::KIND);
        for intent in moves.map_err(local_disk)? {
            let outcome = match self.volume(&intent.profile) {
                Ok(volume) => tokio::time::timeout(LONGEST, became(&volume, &intent)).await,
                Err(error) => Ok(Err(error)),
            };
            match outcome {
                Ok(Ok(to)) => {
                    let to = to.unwrap_or_else(|| intent.from.clone());
                    self.follow_in_journal(&intent, &to).await?;
                }
                // It stays in the journal for the next start.
                Ok(Err(error)) => {
                    tracing::error!(profile = intent.profile, %error, "a rename cannot be looked at");
                }
                Err(_) => {
                    tracing::error!(
                        profile = intent.profile,
                        "a rename cannot be looked at in time"
                    );
                }
            }
        }
        Ok(())
    }

    async fn follow_in_journal(&self, intent: &DirectoryMove, to: &NodeId) -> Result<()> {
        let (profile, from) = (intent.profile.as_str(), &intent.from);
        let journal = self.journal();
        let mut batch = Batch::default();
        let parked = journal.all::<ParkedUnlink>(ParkedUnlink::KIND);
        for mut parked in parked.map_err(local_disk)? {
            if parked.follow(profile, from, to) {
                let put = batch.put(ParkedUnlink::KIND, &parked.id, &parked);
                put.map_err(local_disk)?;
            }
        }
        for mut record in self.journaled()? {
            if record.follow(profile, from, to) {
                let put = batch.put(TransferRecord::KIND, &record.id, &record);
                put.map_err(local_disk)?;
            }
        }
        batch.remove(DirectoryMove::KIND, &intent.id);
        journal.apply(batch).await.map_err(local_disk)
    }

    /// A node has another id or version after a rename of ours: the journal names it as the
    /// source of copies that are under way.
    pub(super) async fn node_moved(&self, volume: &Volume, before: &Node, now: &Node) {
        if before.id == now.id && before.version == now.version {
            return;
        }
        for active in self.active() {
            let mut record = active.record.lock().await;
            let changed = record
                .source
                .rename_nodes(&volume.name, &mut |id, version| {
                    let it = *id == before.id && *version == before.version;
                    if it {
                        id.clone_from(&now.id);
                        version.clone_from(&now.version);
                    }
                    it
                });
            if changed && let Err(error) = self.journal_put(&record).await {
                tracing::error!(%error, "the journal cannot be written");
            }
        }
    }
}

/// The id that a directory has after its rename; `None` when the rename was not done.
async fn became(volume: &Volume, intent: &DirectoryMove) -> Result<Option<NodeId>> {
    match volume.drive.stat(&intent.from).await {
        Ok(_) => return Ok(None),
        Err(error) if error.kind == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut cursor = None;
    loop {
        let page = volume.drive.list(&intent.parent, cursor.clone()).await?;
        let found = page
            .nodes
            .iter()
            .find(|n| n.is_dir() && n.name == intent.name);
        if let Some(found) = found {
            return Ok(Some(found.id.clone()));
        }
        match page.next {
            Some(next) if cursor.as_ref() != Some(&next) => cursor = Some(next),
            _ => return Ok(None),
        }
    }
}

fn local_disk(error: JournalError) -> DriveError {
    DriveError::new(ErrorKind::LocalDisk, error.to_string())
}
