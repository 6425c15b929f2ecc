//! A draft that will not change any more.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;

use super::{ContentRecord, ExtentMap, Piece, PieceRecord, Source, StageFile};
use crate::drive::{ByteStream, Content, Cost, Result};
use crate::fingerprint::{Fingerprints, Kind};

/// Largest piece handed out at a time.
const STEP: u64 = 1 << 20;

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// An immutable snapshot of a draft.
pub struct SealedDraft {
    size: u64,
    extents: ExtentMap,
    file: Option<Arc<StageFile>>,
    known: Mutex<Fingerprints>,
}

impl SealedDraft {
    /// A snapshot. `known` are fingerprints computed while it was written.
    pub fn new(
        size: u64,
        extents: ExtentMap,
        file: Option<Arc<StageFile>>,
        known: Fingerprints,
    ) -> Self {
        SealedDraft {
            size,
            extents,
            file,
            known: Mutex::new(known),
        }
    }

    /// Whether all bytes are on this machine.
    pub fn is_local(&self) -> bool {
        self.extents.is_local()
    }

    /// The remote nodes whose bytes it refers to.
    pub fn remotes(&self) -> Vec<Arc<super::RemoteContent>> {
        remotes_of(&self.extents)
    }

    /// Its stage file.
    pub fn file(&self) -> Option<&Arc<StageFile>> {
        self.file.as_ref()
    }

    /// Remembers computed fingerprints.
    pub fn teach(&self, learned: &Fingerprints) {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .merge(learned);
    }

    /// Forgets a false claim.
    pub fn distrust(&self, kind: Kind) {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .forget(kind);
    }

    /// Bytes fetched from remote drives for it so far.
    pub fn bytes_fetched(&self) -> u64 {
        let mut seen: Vec<*const u8> = Vec::new();
        let mut sum = 0;
        for piece in self.extents.pieces(0..self.size) {
            if let Source::Content { content, .. } = piece.source {
                let identity = match &content {
                    super::ContentRef::Remote(remote) => Arc::as_ptr(remote).cast::<u8>(),
                    super::ContentRef::Sealed(sealed) => Arc::as_ptr(sealed).cast::<u8>(),
                };
                if !seen.contains(&identity) {
                    seen.push(identity);
                    sum += content.bytes_fetched();
                }
            }
        }
        sum
    }

    /// Its form in the journal.
    pub fn record(&self) -> ContentRecord {
        let pieces = self
            .extents
            .pieces(0..self.size)
            .into_iter()
            .filter_map(|piece| {
                let from = match piece.source {
                    Source::Zero => return None,
                    Source::Stage => None,
                    Source::Content { content, at } => Some((Box::new(content.record()), at)),
                };
                Some(PieceRecord {
                    start: piece.range.start,
                    end: piece.range.end,
                    from,
                })
            })
            .collect();
        ContentRecord::Sealed {
            size: self.size,
            file: self.file.as_ref().map(|file| file.id().to_owned()),
            pieces,
        }
    }

    /// Makes the staged bytes durable and safe from being dropped.
    ///
    /// # Errors
    /// Those of fsync(2).
    pub fn persist(&self) -> std::io::Result<()> {
        match &self.file {
            Some(file) => file.persist(),
            None => Ok(()),
        }
    }

    /// Deletes the staged bytes once nobody reads them any more.
    pub fn discard(&self) {
        if let Some(file) = &self.file {
            file.discard();
        }
    }
}

/// The remote nodes that these extents refer to, each once.
pub(super) fn remotes_of(extents: &ExtentMap) -> Vec<Arc<super::RemoteContent>> {
    let mut all: Vec<Arc<super::RemoteContent>> = Vec::new();
    for content in extents.contents() {
        for remote in content.remotes() {
            if !all.iter().any(|known| Arc::ptr_eq(known, &remote)) {
                all.push(remote);
            }
        }
    }
    all
}

impl fmt::Debug for SealedDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedDraft({} bytes)", self.size)
    }
}

#[async_trait]
impl Content for SealedDraft {
    fn size(&self) -> u64 {
        self.size
    }

    fn known(&self) -> Fingerprints {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn stream(&self, range: Range<u64>) -> Result<ByteStream> {
        let pieces = self.extents.pieces(range.start..range.end.min(self.size));
        let file = self.file.clone();
        let streams = stream::iter(pieces).then(move |piece| {
            let file = file.clone();
            async move {
                match open_piece(piece, file).await {
                    Ok(stream) => stream,
                    Err(error) => Box::pin(stream::iter([Err(error)])) as ByteStream,
                }
            }
        });
        Ok(Box::pin(streams.flatten()))
    }

    fn cost(&self, kind: Kind) -> Cost {
        if self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .usable(kind)
            .is_some()
        {
            return Cost::Known;
        }
        match kind {
            Kind::Cid | Kind::HeadMd5 { .. } | Kind::HeadSha1 { .. } => {
                Cost::SmallRanges(kind.bytes_needed(self.size))
            }
            _ => Cost::FullRead(self.size),
        }
    }

    async fn learn(&self, kind: Kind) -> Result<Option<String>> {
        if let Some(known) = self.known().usable(kind) {
            return Ok(Some(known.value.to_string()));
        }
        let Cost::SmallRanges(_) = self.cost(kind) else {
            return Ok(None);
        };
        super::remote::hash_windows(self, kind).await
    }
}

async fn open_piece(piece: Piece, file: Option<Arc<StageFile>>) -> Result<ByteStream> {
    let length = piece.range.end - piece.range.start;
    match (piece.source, file) {
        (Source::Content { content, at }, _) => content.stream(at..at + length).await,
        (Source::Stage, Some(file)) => {
            let range = piece.range;
            Ok(Box::pin(stream::unfold(range, move |mut left| {
                let file = file.clone();
                async move {
                    if left.start >= left.end {
                        return None;
                    }
                    let step = left.start..left.end.min(left.start + STEP);
                    let bytes = file.read(step.clone()).await;
                    left.start = if bytes.is_ok() { step.end } else { left.end };
                    Some((bytes, left))
                }
            })))
        }
        _ => Ok(Box::pin(stream::unfold(length, |left| async move {
            if left == 0 {
                return None;
            }
            let step = left.min(ZEROS.len() as u64);
            let zeros = Bytes::from_static(&ZEROS).slice(..usize::try_from(step).unwrap_or(0));
            Some((Ok(zeros), left - step))
        }))),
    }
}
