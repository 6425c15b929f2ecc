//! Uploads: what is asked for, how an attempt ends, and the session of a streamed one.

use serde::{Deserialize, Serialize};

use super::{Node, NodeId};
use crate::fingerprint::Kind;

/// What a driver does when the name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnConflict {
    /// Refuse with [`super::ErrorKind::Exists`] and leave nothing behind.
    Refuse,
    /// Replace the file atomically; only asked for where [`super::Overwrite::Atomic`] is declared.
    Replace,
}

/// A file to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadRequest {
    /// Directory.
    pub parent: NodeId,
    /// Name as users see it.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Modification time to store where the provider can, milliseconds since the epoch.
    pub modified: Option<i64>,
    /// When the name is taken.
    pub on_conflict: OnConflict,
}

/// How a fast-upload attempt ended.
#[derive(Clone, Debug)]
pub enum Attempt {
    /// The provider has the content and the node exists now.
    Hit {
        /// The new node.
        node: Node,
        /// The fingerprints the provider decided by. A hit decided by a window hash
        /// ([`Kind::Cid`]) or an uploader's claim counts only after samples agree (DESIGN 3.7).
        decided_by: Vec<Kind>,
    },
    /// It does not have it. An upload session that the question opened comes along; none when
    /// the question leaves nothing behind.
    Miss(Option<UploadSession>),
}

/// An open streamed upload. Serialisable for the journal: `state` is the driver's own and holds no
/// secret that outlives an hour (short-lived signed part addresses are fetched again on resume).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UploadSession {
    /// What the driver needs to go on: upload id, object key, file id, ...
    pub state: serde_json::Value,
    /// Size of every part but the last; at least 1.
    pub part_size: u64,
    /// Parts that may be in flight at a time; 1 where the provider wants them in order.
    pub parallel: usize,
    /// Parts the provider is known to have.
    pub accepted: Vec<PartReceipt>,
    /// The node the upload makes, where the id is known before the end.
    pub node: Option<NodeId>,
}

impl UploadSession {
    /// Number of parts for `size` bytes; an empty file has one empty part.
    pub fn part_count(&self, size: u64) -> u32 {
        u32::try_from(size.div_ceil(self.part_size.max(1)).max(1)).unwrap_or(u32::MAX)
    }

    /// The bytes of part `number` (1-based), half-open.
    pub fn part_range(&self, size: u64, number: u32) -> std::ops::Range<u64> {
        let start = u64::from(number.saturating_sub(1))
            .saturating_mul(self.part_size)
            .min(size);
        start..start.saturating_add(self.part_size).min(size)
    }
}

/// The provider's word that it has a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartReceipt {
    /// 1-based.
    pub number: u32,
    /// Bytes.
    pub size: u64,
    /// What a later commit needs of it (an ETag), else empty.
    pub tag: String,
}
