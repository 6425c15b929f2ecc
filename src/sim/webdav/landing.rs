//! How uploaded bytes arrive, and how a file gets them.

use axum::body::{Body, HttpBody};
use futures_util::StreamExt;
use serde_json::json;

use super::super::account::Account;
use super::super::body::{BodyFaults, drain};
use super::super::content::Blob;
use super::super::faults::FaultKind;
use super::super::recorder::Recorder;
use super::super::tree::{Node, Tree};
use super::address::Address;
use super::errors::DavError;
use super::gate::Ctx;

/// What became of a body.
pub(super) enum Landed {
    /// It is complete.
    Whole(Blob),
    /// The connection broke; this much came.
    Broken(Blob),
    /// It is longer than there is space. It was read to its end and forgotten.
    TooLong,
}

/// Takes a body in: counts its bytes, applies the body faults of `op`, and the fault `corrupt`
/// to what is kept. Unlike the kit's way what came before a break is not forgotten.
pub(super) async fn receive(account: &Account, op: &str, body: Body, limit: u64) -> Landed {
    let length = body.size_hint().exact().unwrap_or(0);
    let mut faults = BodyFaults::take(account, op).for_length(length);
    let corrupt = account.faults.take(op, FaultKind::Corrupt).is_some();
    let mut data = body.into_data_stream();
    let mut recorder = Recorder::new();
    while let Some(step) = data.next().await {
        let Ok(mut rest) = step else {
            return Landed::Broken(recorder.finish());
        };
        while !rest.is_empty() {
            let Some(length) = faults.pace(recorder.size(), rest.len() as u64).await else {
                return Landed::Broken(recorder.finish());
            };
            let taken = rest.split_to(usize::try_from(length).unwrap_or(rest.len()));
            account.meters.up(length);
            recorder.push(&taken);
        }
        if recorder.size() > limit {
            drain(Body::from_stream(data)).await;
            return Landed::TooLong;
        }
    }
    let blob = recorder.finish();
    Landed::Whole(if corrupt { blob.corrupted() } else { blob })
}

/// A file that came to be, or was replaced.
pub(super) struct Stored {
    /// It was not there before.
    pub created: bool,
    /// As it is now.
    pub node: Node,
}

impl Ctx {
    /// Makes the directories of a path that are missing.
    pub(super) fn make_parents(&self, tree: &mut Tree, at: &Address) -> Result<(), DavError> {
        let mut parent = tree.root().to_owned();
        let above = at.names.len().saturating_sub(1);
        for name in at.names.iter().take(above) {
            let known = tree.find(&parent, name).first().map(|node| (*node).clone());
            parent = match known {
                Some(node) if node.is_dir() => node.id,
                Some(_) => return Err(DavError::new(409, "A parent is no collection")),
                None => {
                    self.check_name(name)?;
                    let id = self.sim.kit.ids.decimal(8);
                    tree.insert(Node::dir(&id, &parent, name, self.now()));
                    self.sim.stamp(tree, &id);
                    id
                }
            };
        }
        Ok(())
    }

    /// Puts a content at an address: a file that is there keeps its id and its properties.
    /// `claimed` is the checksum that came with it.
    pub(super) fn keep_file(
        &self,
        at: &Address,
        blob: Blob,
        modified: Option<i64>,
        claimed: &str,
    ) -> Result<Stored, DavError> {
        let now = self.now();
        let mut tree = self.account.tree();
        if self.yes("put_parents") {
            self.make_parents(&mut tree, at)?;
        }
        let known = tree.resolve(&at.path()).cloned();
        let (id, created) = match known {
            Some(node) if node.is_dir() => {
                return Err(DavError::new(405, "There is a collection of this name"));
            }
            Some(node) => (node.id, false),
            None => {
                let parent = self.parent_dir(&tree, at)?;
                let id = self.sim.kit.ids.decimal(8);
                let node = Node::file(&id, &parent.id, at.name(), blob.clone(), now);
                tree.insert(node);
                tree.update(&parent.id, |parent| parent.modified = now);
                (id, true)
            }
        };
        tree.update(&id, |node| {
            node.blob = Some(blob);
            node.stored = None;
            node.modified = modified.unwrap_or(now);
            node.extra.insert("claimed".to_owned(), json!(claimed));
        });
        self.sim.stamp(&mut tree, &id);
        let node = tree.get(&id).cloned();
        let node = node.ok_or_else(|| DavError::new(500, "the file vanished"))?;
        Ok(Stored { created, node })
    }
}
