//! Renames that a provider cannot do in one step: over an existing file (journaled swap), and to
//! a name it refuses (a fast upload of the same content, then the old one to the trash).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::destination::{FixedDestination, Place};
use super::engine::{Engine, TransferSpec};
use super::gates::Closed;
use super::publish;
use super::record::{Swap, TransferRecord};
use super::swap::{Swapping, replaced};
use crate::content::{ContentRef, Volume};
use crate::drive::{ErrorKind, Node, Result};

/// The source label of a record that is a rename: nothing is copied.
pub(super) const RENAME: &str = "rename";

/// A node under its new name.
pub struct Renamed {
    /// The node as it is now.
    pub node: Node,
    /// Below a directory whose id changed nobody begins anything until this is dropped: whoever
    /// keeps ids of what is below writes them anew first.
    pub(super) _closed: Option<Closed>,
}

impl Engine {
    /// Gives `node` the name and directory of `place`, whatever that takes. An old file there goes
    /// to the trash once `node` has its name. Whoever reads the node goes on.
    ///
    /// # Errors
    /// The drive's; the old file then still stands under its name. `Busy` for a directory whose
    /// provider addresses by path while something is brought into it.
    pub async fn rename_to(&self, volume: &Volume, node: &Node, place: &Place) -> Result<Renamed> {
        if node.is_dir() && volume.capabilities().path_addressed {
            return self.rename_directory(volume, node, place).await;
        }
        let renamed = self.rename_anyhow(volume, node, place).await?;
        Ok(Renamed {
            node: renamed,
            _closed: None,
        })
    }

    pub(super) async fn rename_anyhow(
        &self,
        volume: &Volume,
        node: &Node,
        place: &Place,
    ) -> Result<Node> {
        let moved = match &place.replaces {
            Some(old) if old.id == node.id => return Ok(node.clone()),
            Some(old) => self.rename_over(volume, node, place, Some(old)).await,
            None => match self.rename_plainly(volume, node, place).await {
                // Another file is in the way of the move: journaled, with a name in between.
                Err(error)
                    if error.kind == ErrorKind::Exists
                        && node.parent != place.parent
                        && node.name != place.name =>
                {
                    self.rename_over(volume, node, place, None).await
                }
                settled => settled,
            },
        };
        match moved {
            Err(error) if error.kind == ErrorKind::Unsupported && !node.is_dir() => {
                self.rename_by_copy(volume, node, place).await
            }
            other => other,
        }
    }

    async fn rename_plainly(&self, volume: &Volume, node: &Node, place: &Place) -> Result<Node> {
        let moving = self.nodes().begin(&volume.name, node, false);
        let settled = publish::settle(volume, node.clone(), place, None).await?;
        moving.done(&settled);
        self.node_moved(volume, node, &settled).await;
        Ok(settled)
    }

    async fn rename_over(
        &self,
        volume: &Volume,
        node: &Node,
        place: &Place,
        old: Option<&Node>,
    ) -> Result<Node> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let swap = Swap::new(self, volume, &id, node, old, place);
        let record = TransferRecord {
            id,
            profile: volume.name.to_string(),
            parent: place.parent.clone(),
            name: place.name.clone(),
            size: node.size,
            modified: None,
            source: self.content(volume.clone(), node.clone()).record(),
            source_label: RENAME.to_owned(),
            acknowledged: true,
            replaces: old.map(replaced),
            upload_name: node.name.clone(),
            session: None,
            created: None,
            swap: Some(swap),
            abandoned: false,
            failures: 0,
            error: None,
            begun: self.now_ms(),
        };
        self.journal_put(&record).await?;
        let record = Mutex::new(record);
        let swapping = Swapping {
            engine: self,
            volume,
            record: &record,
            own: &[],
        };
        let swapped = swapping.begin(node.clone(), old).await;
        let left = {
            let mut record = record.lock().await;
            record.abandoned = swapped.is_err();
            let left = swapped.is_err() && record.swap.is_some();
            if left && let Err(error) = self.journal_put(&record).await {
                tracing::error!(%error, "the journal cannot be written");
            }
            left
        };
        if left {
            // Both names are not as they were: they are put right behind, at the latest at the
            // next start.
            self.spawn_swap(record.into_inner());
        } else {
            self.journal_remove(&record.lock().await.id).await;
        }
        swapped
    }

    async fn rename_by_copy(&self, volume: &Volume, node: &Node, place: &Place) -> Result<Node> {
        let content = self.content(volume.clone(), node.clone());
        let destination = Arc::new(FixedDestination::new(
            volume.name.to_string(),
            place.clone(),
        ));
        let task = self
            .start(TransferSpec {
                content: ContentRef::Remote(content),
                destination: destination.clone(),
                source_label: format!("{}:{}", volume.name, node.name),
                modified: None,
                acknowledged: false,
                promise_up_to: 0,
                delay: Duration::ZERO,
                after: None,
            })
            .await?;
        task.wait().await?;
        let made = destination.made().ok_or_else(super::task::cancelled)?;
        if made.id != node.id {
            self.retire(volume, node, &[]).await?;
        }
        Ok(made)
    }
}
