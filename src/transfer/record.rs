//! What the journal holds.

use serde::{Deserialize, Serialize};

use crate::content::ContentRecord;
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

/// How far a swap got. Each step is journaled before it is done, so every state names all nodes
/// that may have a wrong name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Swap {
    /// The verified new node, under its temporary name.
    pub new: NodeId,
    /// The old node.
    pub old: Replaced,
    /// The temporary name the old node gets while the new one takes its name.
    pub aside: String,
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
}
