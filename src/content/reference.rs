//! A content by reference, and how a reference is written into the journal.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{RemoteContent, SealedDraft};
use crate::drive::{ByteStream, Content, Cost, NodeId, Result};
use crate::fingerprint::{Fingerprints, Kind};

/// A content: a remote node at one version, or a sealed draft.
#[derive(Clone)]
pub enum ContentRef {
    /// A node on a drive.
    Remote(Arc<RemoteContent>),
    /// A draft that will not change any more.
    Sealed(Arc<SealedDraft>),
}

impl ContentRef {
    fn inner(&self) -> &dyn Content {
        match self {
            ContentRef::Remote(remote) => remote.as_ref(),
            ContentRef::Sealed(sealed) => sealed.as_ref(),
        }
    }

    /// Whether both are the same version of the same thing.
    pub fn is(&self, other: &ContentRef) -> bool {
        match (self, other) {
            (ContentRef::Remote(a), ContentRef::Remote(b)) => {
                a.volume().name == b.volume().name
                    && a.node().id == b.node().id
                    && a.node().version == b.node().version
            }
            (ContentRef::Sealed(a), ContentRef::Sealed(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// Whether reading it needs no network.
    pub fn is_local(&self) -> bool {
        match self {
            ContentRef::Remote(_) => false,
            ContentRef::Sealed(sealed) => sealed.is_local(),
        }
    }

    /// Remembers fingerprints computed from its bytes.
    pub fn teach(&self, learned: &Fingerprints) {
        match self {
            ContentRef::Remote(remote) => remote.teach(learned),
            ContentRef::Sealed(sealed) => sealed.teach(learned),
        }
    }

    /// Distrusts a claim about it.
    pub fn distrust(&self, kind: Kind) {
        match self {
            ContentRef::Remote(remote) => remote.distrust(kind),
            ContentRef::Sealed(sealed) => sealed.distrust(kind),
        }
    }

    /// Bytes read from remote drives for it so far.
    pub fn bytes_fetched(&self) -> u64 {
        match self {
            ContentRef::Remote(remote) => remote.bytes_fetched(),
            ContentRef::Sealed(sealed) => sealed.bytes_fetched(),
        }
    }

    /// The remote nodes whose bytes it needs.
    pub fn remotes(&self) -> Vec<Arc<RemoteContent>> {
        match self {
            ContentRef::Remote(remote) => vec![remote.clone()],
            ContentRef::Sealed(sealed) => sealed.remotes(),
        }
    }

    /// Its form in the journal.
    pub fn record(&self) -> ContentRecord {
        match self {
            ContentRef::Remote(remote) => remote.record(),
            ContentRef::Sealed(sealed) => sealed.record(),
        }
    }
}

impl fmt::Debug for ContentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ContentRef::Remote(remote) => write!(f, "{remote:?}"),
            ContentRef::Sealed(sealed) => write!(f, "{sealed:?}"),
        }
    }
}

#[async_trait]
impl Content for ContentRef {
    fn size(&self) -> u64 {
        self.inner().size()
    }

    fn known(&self) -> Fingerprints {
        self.inner().known()
    }

    async fn stream(&self, range: Range<u64>) -> Result<ByteStream> {
        self.inner().stream(range).await
    }

    fn cost(&self, kind: Kind) -> Cost {
        self.inner().cost(kind)
    }

    async fn learn(&self, kind: Kind) -> Result<Option<String>> {
        self.inner().learn(kind).await
    }
}

/// A content in the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContentRecord {
    /// A node; it must still have this version when it is taken up again.
    Remote {
        /// Name of the profile.
        profile: String,
        /// The provider's id.
        id: NodeId,
        /// Bytes.
        size: u64,
        /// Version.
        version: String,
    },
    /// A sealed draft.
    Sealed {
        /// Bytes.
        size: u64,
        /// Name of the stage file, when there is one.
        file: Option<String>,
        /// What it is made of; gaps are zeros.
        pieces: Vec<PieceRecord>,
    },
}

impl ContentRecord {
    /// Calls `change` for every node of `profile` that it names, with its id and version; whether
    /// one of the calls said that it changed something.
    pub fn rename_nodes(
        &mut self,
        in_profile: &str,
        change: &mut dyn FnMut(&mut NodeId, &mut String) -> bool,
    ) -> bool {
        match self {
            ContentRecord::Remote {
                profile,
                id,
                version,
                ..
            } => profile == in_profile && change(id, version),
            ContentRecord::Sealed { pieces, .. } => {
                let mut changed = false;
                for piece in pieces {
                    if let Some((record, _)) = &mut piece.from {
                        changed |= record.rename_nodes(in_profile, change);
                    }
                }
                changed
            }
        }
    }
}

/// A piece of a sealed draft in the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PieceRecord {
    /// Offset in the draft.
    pub start: u64,
    /// End in the draft.
    pub end: u64,
    /// Another content and the offset in it; none for staged bytes.
    pub from: Option<(Box<ContentRecord>, u64)>,
}
