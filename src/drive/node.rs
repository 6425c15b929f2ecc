//! Files and directories of a drive.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::fingerprint::Fingerprints;

/// A provider's id of a node, opaque. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// Wraps a provider's id.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        NodeId(id.into())
    }

    /// The id as the provider spells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// File or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NodeKind {
    /// A directory.
    Dir,
    /// A regular file.
    File,
}

/// A file or directory on a drive, as the provider described it last.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The provider's id.
    pub id: NodeId,
    /// The directory it is in.
    pub parent: NodeId,
    /// Its name as users see it (already mapped back).
    pub name: String,
    /// File or directory.
    pub kind: NodeKind,
    /// Bytes; 0 for directories.
    pub size: u64,
    /// Last change of the content, milliseconds since the epoch; 0 when unknown.
    pub modified: i64,
    /// Creation, milliseconds since the epoch; 0 when unknown.
    pub created: i64,
    /// Changes whenever the content may have changed; equal versions mean equal bytes.
    pub version: String,
    /// What the provider said about the content.
    pub fingerprints: Fingerprints,
    /// A second handle that some calls want (115: pick code); kept in the catalog.
    pub handle: Option<String>,
    /// The provider's own record, for the xattr `raw`; at most 64 KiB, never a secret.
    pub raw: Option<Arc<str>>,
}

impl Node {
    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == NodeKind::Dir
    }
}

/// Where the next page starts; opaque.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub String);

/// One page of a directory.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The entries.
    pub nodes: Vec<Node>,
    /// The next page, `None` at the end.
    pub next: Option<Cursor>,
}

/// What a share hands out of one of its nodes, so that an account of the same provider can take
/// it over. Holds secrets of the share (pass codes, tokens), so it is never logged or kept.
#[derive(Clone)]
pub struct Shared {
    /// Registry key of the provider.
    pub provider: &'static str,
    /// The node in the share.
    pub node: Node,
    /// The provider's own words: link id, token, the node's ticket.
    pub ticket: serde_json::Value,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared({} {:?})", self.provider, self.node.id)
    }
}

/// Space of an account in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// All of it; 0 when the provider does not tell.
    pub total: u64,
    /// Used.
    pub used: u64,
}
