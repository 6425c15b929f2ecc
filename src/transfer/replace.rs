//! Renames that a provider cannot do in one step: over an existing file (journaled swap), and to
//! a name it refuses (a fast upload of the same content, then the old one to the trash).

use std::sync::Arc;
use std::time::Duration;

use super::destination::{FixedDestination, Place};
use super::engine::{Engine, TransferSpec};
use super::publish;
use super::record::{Replaced, Swap, TransferRecord};
use crate::content::{ContentRef, RemoteContent, Volume};
use crate::drive::{ErrorKind, Node, Result};

impl Engine {
    /// Gives `node` the name and directory of `place`, whatever that takes. An old file there goes
    /// to the trash once `node` has its name.
    ///
    /// # Errors
    /// The drive's; the old file then still stands under its name.
    pub async fn rename_to(&self, volume: &Volume, node: &Node, place: &Place) -> Result<Node> {
        let moved = match &place.replaces {
            Some(old) if old.id == node.id => return Ok(node.clone()),
            Some(old) => self.rename_over(volume, node, place, old).await,
            None => match publish::settle(volume, node.clone(), place, None).await {
                // Another file is in the way of the move: journaled, with a name in between.
                Err(error)
                    if error.kind == ErrorKind::Exists
                        && node.parent != place.parent
                        && node.name != place.name =>
                {
                    self.rename_over(volume, node, place, node).await
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

    async fn rename_over(
        &self,
        volume: &Volume,
        node: &Node,
        place: &Place,
        old: &Node,
    ) -> Result<Node> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let max = volume.capabilities().max_name_bytes.min(255);
        let swap = Swap {
            new: node.id.clone(),
            old: Replaced {
                id: old.id.clone(),
                version: old.version.clone(),
            },
            aside: publish::temporary_name(&old.name, self.instance(), &format!("old{id}"), max),
        };
        let content = RemoteContent::new(volume.clone(), node.clone(), self.catalog().clone());
        let record = TransferRecord {
            id,
            profile: volume.name.to_string(),
            parent: place.parent.clone(),
            name: place.name.clone(),
            size: node.size,
            modified: None,
            source: content.record(),
            source_label: "rename".to_owned(),
            acknowledged: true,
            replaces: Some(swap.old.clone()),
            upload_name: node.name.clone(),
            session: None,
            created: None,
            swap: Some(swap.clone()),
            abandoned: false,
            failures: 0,
            error: None,
            begun: self.now_ms(),
        };
        self.journal_put(&record).await?;
        let swapped = publish::swap(self, volume, node.clone(), place, &swap).await;
        self.journal_remove(&record.id).await;
        swapped
    }

    async fn rename_by_copy(&self, volume: &Volume, node: &Node, place: &Place) -> Result<Node> {
        let content = RemoteContent::new(volume.clone(), node.clone(), self.catalog().clone());
        let destination = Arc::new(FixedDestination::new(
            volume.name.to_string(),
            place.clone(),
        ));
        let task = self
            .start(TransferSpec {
                content: ContentRef::Remote(Arc::new(content)),
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
        let old = Replaced {
            id: node.id.clone(),
            version: node.version.clone(),
        };
        if made.id != node.id {
            publish::trash_exactly(volume, &old).await?;
        }
        Ok(made)
    }
}
