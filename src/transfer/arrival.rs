//! What was made becomes the file: journaled, verified, and given its name.

use std::sync::Arc;

use super::destination::Place;
use super::publish;
use super::record::Swap;
use super::result::{Phase, TransferResult, VerifyMode};
use super::swap::Swapping;
use super::verify::{listed, samples, verify, verify_listed};
use super::work::{Made, Work};
use crate::content::{ContentRef, RemoteContent};
use crate::drive::{Content, ErrorKind, Node, OnConflict, Result, UploadRequest};
use crate::fingerprint::{Fingerprints, Kind, Known, Origin};

impl Work<'_> {
    /// Journals a node that exists now, and verifies it. Returns it as the provider shows it: what
    /// it answered when it made the node may lack the hash that names the version. `meant` is the
    /// content, or its copy in the stage, which is nearer.
    pub(super) async fn made(
        &self,
        meant: &ContentRef,
        node: &Node,
        decided_by: &[Kind],
    ) -> Result<(Node, VerifyMode)> {
        self.note_created(node).await?;
        let known = meant.known();
        let weak = is_weak(decided_by, &known);
        let mut fresh = self.shown(node, weak).await?;
        if weak && fresh.size == meant.size() {
            // What the provider computed of the new node itself is better than samples.
            let mode = match listed(&fresh, &known)? {
                Some(mode) => mode,
                None => samples(&self.volume, &fresh, meant).await?,
            };
            return Ok((fresh, mode));
        }
        for kind in decided_by.iter().filter(|kind| kind.is_strong()) {
            // The provider found the content by this very value: its word about the new node.
            if let Some(known) = known.get(*kind).filter(|known| known.origin.is_trusted()) {
                let told = Known {
                    origin: Origin::Provider,
                    ..known.clone()
                };
                fresh.fingerprints.learn(*kind, told);
            }
        }
        let mode = verify(&self.volume, &fresh, meant, &self.task.progress).await?;
        Ok((fresh, mode))
    }

    /// The same for a copy that the provider made itself. No byte of it came by here, and none is
    /// fetched to look at it (SPEC 3, P0): the hash that it lists is compared, else the size.
    pub(super) async fn taken_over(&self, node: &Node) -> Result<(Node, VerifyMode)> {
        self.note_created(node).await?;
        let fresh = self.shown(node, false).await?;
        let mode = verify_listed(&fresh, self.content.size(), &self.content.known())?;
        Ok((fresh, mode))
    }

    async fn note_created(&self, node: &Node) -> Result<()> {
        {
            let mut record = self.record.lock().await;
            record.created = Some(node.id.clone());
            record.session = None;
            self.engine.journal_put(&record).await?;
        }
        self.check_cancelled()?;
        self.task.progress.call();
        Ok(())
    }

    /// The new node as the provider shows it. Where writes are shown late the program does not wait
    /// for that: the commit's answer ends its waiting, and what follows goes on behind (DESIGN
    /// 3.4). A hit that only samples can confirm is not believed that early.
    async fn shown(&self, node: &Node, weak: bool) -> Result<Node> {
        if self.volume.capabilities().shows_late() && !weak {
            match self.volume.drive.stat(&node.id).await {
                Err(error) if error.kind == ErrorKind::NotFound => {}
                shown => return shown,
            }
            let answered = self.record.lock().await.acknowledged || self.task.promise().is_some();
            if !answered && node.size == self.content.size() {
                self.promise(&self.content).await?;
            }
        }
        publish::fresh(&self.volume, &node.id).await
    }

    /// Trashes a node with wrong bytes and distrusts what led to it.
    pub(super) async fn take_back(&self, node: &Node, decided_by: &[Kind]) -> Result<()> {
        self.volume.drive.trash(node).await?;
        let mut record = self.record.lock().await;
        record.created = None;
        self.engine.journal_put(&record).await?;
        for kind in decided_by {
            self.content.distrust(*kind);
        }
        Ok(())
    }

    /// Gives the verified node its name.
    pub(super) async fn publish(
        &self,
        made: Made,
        request: &UploadRequest,
    ) -> Result<(Node, TransferResult)> {
        let _settled = self.destination.settle().await;
        // The place may have changed: it must not be renamed above while the name is settled.
        self.enter().await?;
        let place = self.place()?;
        let old = place.replaces.as_ref().filter(|old| old.id != made.node.id);
        let in_place = request.on_conflict == OnConflict::Replace && request.name == place.name;
        let (node, action) = match old {
            None => {
                let action = if in_place {
                    "overwrite_existing"
                } else {
                    "no_conflict"
                };
                (
                    publish::settle(&self.volume, made.node, &place, None).await?,
                    action,
                )
            }
            Some(_) if in_place => (made.node, "overwrite_existing"),
            Some(old) => {
                let id = &self.task.id;
                let made = &made.node;
                {
                    let mut record = self.record.lock().await;
                    let swap = Swap::new(self.engine, &self.volume, id, made, Some(old), &place);
                    record.parent = place.parent.clone();
                    record.name = place.name.clone();
                    record.swap = Some(swap);
                    self.engine.journal_put(&record).await?;
                }
                let own = self.content.remotes();
                let node = self.swapping(&own).begin(made.clone(), Some(old)).await?;
                (node, "overwrite_by_replace")
            }
        };
        let action = self.destination.conflict_action().unwrap_or(action);
        let mut result = self.result(made.phase, made.strategy, made.mode, action);
        result.resolved_target_name = node.name.clone();
        // While the place is still held: a rename or an unlink comes before or after, never between.
        self.destination.published(node.clone(), &result);
        Ok((node, result))
    }

    fn swapping<'a>(&'a self, own: &'a [Arc<RemoteContent>]) -> Swapping<'a> {
        Swapping {
            engine: self.engine,
            volume: &self.volume,
            record: self.record,
            own,
        }
    }

    /// A swap that an earlier attempt, or an earlier start, did not bring to its end.
    pub(super) async fn finish_swap(
        &self,
        place: &Place,
    ) -> Result<Option<(Node, TransferResult)>> {
        if self.record.lock().await.swap.is_none() {
            return Ok(None);
        }
        let Some(mut node) = self.swapping(&self.content.remotes()).resume().await? else {
            return Ok(None);
        };
        if node.parent != place.parent || node.name != place.name {
            // The destination was renamed since.
            node = publish::settle(&self.volume, node, place, None).await?;
        }
        let result = self.result(
            Phase::P4,
            self.strategy(),
            VerifyMode::Hash,
            "overwrite_by_replace",
        );
        Ok(Some((node, result)))
    }
}

/// Whether a hit by these fingerprints is believed only after samples: one by a window hash, or by
/// what merely an uploader said. Heads stand beside the hash that decides; alone they decide
/// nothing.
fn is_weak(decided_by: &[Kind], known: &Fingerprints) -> bool {
    let trusted = |kind: &Kind| {
        known
            .get(*kind)
            .is_some_and(|known| known.origin.is_trusted())
    };
    let mut strong = decided_by.iter().filter(|kind| kind.is_strong());
    let decided = decided_by.iter().any(|kind| kind.is_strong());
    !decided_by.is_empty()
        && (!decided || decided_by.contains(&Kind::Cid) || strong.any(|kind| !trusted(kind)))
}
