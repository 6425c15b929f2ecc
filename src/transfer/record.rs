//! What the journal holds.

use serde::{Deserialize, Serialize};

use crate::content::{ContentRecord, moved_id};
use crate::drive::{Node, NodeId, NodeKind, UploadSession};
use crate::fingerprint::Fingerprints;

/// The file that stood under the name before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// Its id.
    pub id: NodeId,
    /// Its version; another version is not ours to trash.
    pub version: String,
}

/// How far a swap got. Each step is journaled, so every state names all nodes that may have a
/// wrong name, and every name that they may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Swap {
    /// The verified new node, by the id that it had at the start.
    pub new: NodeId,
    /// The directory and the name that the new node had at the start.
    #[serde(default)]
    pub from: Option<(NodeId, String)>,
    /// The old node; none where the new one only moves past a file that is in the way.
    pub old: Option<Replaced>,
    /// The temporary name the old node gets while the new one takes its name.
    pub aside: String,
    /// The temporary name of the new node on its way into another directory.
    #[serde(default)]
    pub way: String,
    /// The old node under its temporary name.
    #[serde(default)]
    pub put_aside: Option<Replaced>,
    /// The new node under the name.
    #[serde(default)]
    pub named: Option<NodeId>,
}

/// One transfer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransferRecord {
    /// Unique id.
    pub id: String,
    /// Target profile.
    pub profile: String,
    /// Target directory.
    pub parent: NodeId,
    /// Target name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Modification time to store, milliseconds since the epoch.
    pub modified: Option<i64>,
    /// Where the bytes come from.
    pub source: ContentRecord,
    /// The source for people, `profile:/path` or `written`.
    pub source_label: String,
    /// Whether a program was already told that the file is safe.
    pub acknowledged: bool,
    /// What stood under the name when it began.
    pub replaces: Option<Replaced>,
    /// The name at the provider while uploading.
    pub upload_name: String,
    /// The open upload.
    pub session: Option<UploadSession>,
    /// A node that was made and is not published yet.
    pub created: Option<NodeId>,
    /// A swap under way.
    pub swap: Option<Swap>,
    /// Cancelled: only clean-up is left.
    pub abandoned: bool,
    /// How often it failed.
    pub failures: u32,
    /// The last error.
    pub error: Option<String>,
    /// When it began, milliseconds since the epoch.
    pub begun: i64,
}

impl TransferRecord {
    /// The kind in the journal.
    pub const KIND: &'static str = "transfer";

    /// A directory of `profile` has another id now: what is below it is named anew. Whether
    /// anything was. (An open session is left: its driver finds it by the new directory.)
    pub(super) fn follow(&mut self, profile: &str, from: &NodeId, to: &NodeId) -> bool {
        let mut ids: Vec<&mut NodeId> = Vec::new();
        if self.profile == profile {
            ids.push(&mut self.parent);
            ids.extend(&mut self.created);
            ids.extend(self.replaces.as_mut().map(|old| &mut old.id));
            if let Some(swap) = &mut self.swap {
                ids.push(&mut swap.new);
                ids.extend(swap.from.as_mut().map(|(parent, _)| parent));
                ids.extend(swap.old.as_mut().map(|old| &mut old.id));
                ids.extend(swap.put_aside.as_mut().map(|old| &mut old.id));
                ids.extend(&mut swap.named);
            }
        }
        let mut changed = false;
        for id in ids {
            changed |= renamed(id, from, to);
        }
        let mut anew = |id: &mut NodeId, _: &mut String| renamed(id, from, to);
        self.source.rename_nodes(profile, &mut anew) | changed
    }
}

/// Gives an id that is `from` or below it its new form; whether it was.
fn renamed(id: &mut NodeId, from: &NodeId, to: &NodeId) -> bool {
    let now = moved_id(id, from, to);
    now.map(|now| *id = now).is_some()
}

/// A node in the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Its id.
    pub id: NodeId,
    /// Its directory.
    pub parent: NodeId,
    /// Its name.
    pub name: String,
    /// Directory or file.
    pub dir: bool,
    /// Bytes.
    pub size: u64,
    /// Version.
    pub version: String,
    /// Second handle.
    pub handle: Option<String>,
}

impl From<&Node> for Stored {
    fn from(node: &Node) -> Self {
        Stored {
            id: node.id.clone(),
            parent: node.parent.clone(),
            name: node.name.clone(),
            dir: node.is_dir(),
            size: node.size,
            version: node.version.clone(),
            handle: node.handle.clone(),
        }
    }
}

impl Stored {
    /// The node as it was.
    pub fn node(&self) -> Node {
        Node {
            id: self.id.clone(),
            parent: self.parent.clone(),
            name: self.name.clone(),
            kind: if self.dir {
                NodeKind::Dir
            } else {
                NodeKind::File
            },
            size: self.size,
            modified: 0,
            created: 0,
            version: self.version.clone(),
            fingerprints: Fingerprints::new(),
            handle: self.handle.clone(),
            raw: None,
        }
    }
}

/// An unlink that waits until the copy of its content is verified (DESIGN 3.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedUnlink {
    /// Unique id.
    pub id: String,
    /// Profile of the node.
    pub profile: String,
    /// The node with the version that was copied.
    pub node: Stored,
    /// Transfers it waits for.
    pub transfers: Vec<String>,
    /// When it was asked for, milliseconds since the epoch.
    pub begun: i64,
}

impl ParkedUnlink {
    /// The kind in the journal.
    pub const KIND: &'static str = "parked";

    /// As [`TransferRecord::follow`].
    pub(super) fn follow(&mut self, profile: &str, from: &NodeId, to: &NodeId) -> bool {
        if self.profile != profile {
            return false;
        }
        renamed(&mut self.node.id, from, to) | renamed(&mut self.node.parent, from, to)
    }
}

/// A rename of a directory whose provider addresses by path, while records name what is below it.
/// It is journaled before the rename and goes, in one step, with the rewriting of those records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DirectoryMove {
    /// Unique id.
    pub id: String,
    /// Profile of the directory.
    pub profile: String,
    /// The id that it had.
    pub from: NodeId,
    /// The directory that it goes to.
    pub parent: NodeId,
    /// The name that it gets.
    pub name: String,
}

impl DirectoryMove {
    /// The kind in the journal.
    pub const KIND: &'static str = "directory_move";
}
