//! An immutable byte sequence and the questions a fast upload may ask about it.

use std::ops::Range;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};

use super::{DriveError, ErrorKind, Result};
use crate::fingerprint::{Fingerprints, Kind};

/// Pieces of a content.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// What learning a fingerprint costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// Known already.
    Known,
    /// One call to the provider, no content read.
    OneCall,
    /// Small ranges, this many bytes.
    SmallRanges(u64),
    /// All of it.
    FullRead(u64),
}

/// An immutable byte sequence: a remote node at one version, a sealed draft, a range of one.
#[async_trait]
pub trait Content: Send + Sync {
    /// Bytes.
    fn size(&self) -> u64;

    /// What is known about it now.
    fn known(&self) -> Fingerprints;

    /// The bytes of `range` as a stream (half-open, inside the content). Ends with an error
    /// when it is shorter, or when the content changed under it ([`ErrorKind::Changed`]).
    async fn stream(&self, range: Range<u64>) -> Result<ByteStream>;

    /// The cost of learning `kind` now.
    fn cost(&self, kind: Kind) -> Cost;

    /// Learns `kind` at [`Cost::OneCall`] or [`Cost::SmallRanges`]; the value in its normal
    /// spelling. `None` when that is not possible without a full read.
    async fn learn(&self, kind: Kind) -> Result<Option<String>>;
}

/// Collects a stream into one buffer of exactly `expected` bytes.
///
/// # Errors
/// [`ErrorKind::Network`] when the stream is shorter or longer.
pub async fn collect(mut stream: ByteStream, expected: u64) -> Result<Bytes> {
    let length = usize::try_from(expected)
        .map_err(|_| DriveError::new(ErrorKind::TooLarge, "range larger than the memory"))?;
    let mut first: Option<Bytes> = None;
    let mut all = BytesMut::new();
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        if all.is_empty() && first.is_none() && piece.len() == length {
            first = Some(piece);
            continue;
        }
        if all.is_empty() {
            all.reserve(length);
            if let Some(first) = first.take() {
                all.extend_from_slice(&first);
            }
        }
        all.extend_from_slice(&piece);
        if all.len() > length {
            break;
        }
    }
    let all = match first {
        Some(first) if all.is_empty() => first,
        _ => all.freeze(),
    };
    if all.len() != length {
        return Err(DriveError::new(
            ErrorKind::Network,
            format!("{} bytes instead of {expected}", all.len()),
        )
        .retry(crate::net::Retry::Backoff));
    }
    Ok(all)
}

/// How much of a content an attempt may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadBudget {
    /// Known fingerprints only.
    None,
    /// This many bytes in small ranges.
    Ranges(u64),
    /// All of it.
    All,
}

impl ReadBudget {
    /// The cap of phase P2: 1 MiB.
    pub const SMALL: ReadBudget = ReadBudget::Ranges(1 << 20);

    fn allows(self, spent: u64, more: u64) -> bool {
        match self {
            ReadBudget::None => more == 0,
            ReadBudget::Ranges(cap) => spent.saturating_add(more) <= cap,
            ReadBudget::All => true,
        }
    }
}

/// One fast-upload conversation: a driver's questions to a content within a reading budget.
pub struct Conversation<'a> {
    content: &'a dyn Content,
    budget: ReadBudget,
    spent: AtomicU64,
    name_is_free: bool,
    watcher: Option<&'a (dyn Fn(u64) + Sync)>,
}

impl<'a> Conversation<'a> {
    /// A conversation about `content`.
    pub fn new(content: &'a dyn Content, budget: ReadBudget) -> Self {
        Conversation {
            content,
            budget,
            spent: AtomicU64::new(0),
            name_is_free: false,
            watcher: None,
        }
    }

    /// Tells `watcher` of what goes to a provider that fetches the content, in bytes.
    pub fn watched_by(mut self, watcher: &'a (dyn Fn(u64) + Sync)) -> Self {
        self.watcher = Some(watcher);
        self
    }

    /// Tells the driver what the caller knows about the name: a listing of the directory that is
    /// still fresh does not have it, or nobody else would choose it.
    pub fn knowing_the_name_is_free(mut self, free: bool) -> Self {
        self.name_is_free = free;
        self
    }

    /// Whether the driver need not look for itself that the name is free, where its provider
    /// would not refuse a taken one.
    pub fn name_is_free(&self) -> bool {
        self.name_is_free
    }

    /// Size of the content.
    pub fn size(&self) -> u64 {
        self.content.size()
    }

    /// The fingerprints known now; asking costs nothing.
    pub fn known(&self) -> Fingerprints {
        self.content.known()
    }

    /// The value of `kind` when it is already known and may start an attempt, in its normal
    /// spelling. Never reads.
    pub fn known_digest(&self, kind: Kind) -> Option<String> {
        self.content
            .known()
            .usable(kind)
            .map(|known| known.value.to_string())
    }

    /// Bytes of the content read so far.
    pub fn spent(&self) -> u64 {
        self.spent.load(Ordering::Relaxed)
    }

    /// The value of `kind`, in its normal spelling (see [`Kind`] for the case of hex digits).
    ///
    /// # Errors
    /// [`ErrorKind::OverBudget`] when learning it needs more reading than allowed.
    pub async fn digest(&self, kind: Kind) -> Result<String> {
        if let Some(value) = self.known_digest(kind) {
            return Ok(value);
        }
        match self.content.cost(kind) {
            Cost::Known | Cost::OneCall => {}
            Cost::SmallRanges(bytes) => self.spend(bytes)?,
            Cost::FullRead(bytes) => {
                return Err(over(bytes, format!("{kind} needs a full read")));
            }
        }
        match self.content.learn(kind).await? {
            Some(value) => Ok(value),
            None => Err(over(self.size(), format!("{kind} needs a full read"))),
        }
    }

    /// The bytes of `range` (half-open, inside the content).
    ///
    /// # Errors
    /// [`ErrorKind::OverBudget`] when that is more than allowed.
    pub async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        if range.start > range.end || range.end > self.size() {
            return Err(DriveError::new(
                ErrorKind::Invalid,
                format!(
                    "range {}..{} is outside of {} bytes",
                    range.start,
                    range.end,
                    self.size()
                ),
            ));
        }
        let length = range.end - range.start;
        if length == 0 {
            return Ok(Bytes::new());
        }
        self.spend(length)?;
        collect(self.content.stream(range).await?, length).await
    }

    /// So many bytes were handed to a provider that fetches the content. Parts of a streamed upload
    /// are counted by whoever sends them.
    pub fn sent(&self, bytes: u64) {
        if let Some(watcher) = self.watcher {
            watcher(bytes);
        }
    }

    fn spend(&self, bytes: u64) -> Result<()> {
        let spent = self.spent.load(Ordering::Relaxed);
        if !self.budget.allows(spent, bytes) {
            return Err(over(
                spent.saturating_add(bytes),
                "reading budget used up".to_owned(),
            ));
        }
        self.spent.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }
}

fn over(bytes: u64, message: String) -> DriveError {
    DriveError::new(ErrorKind::OverBudget(bytes), message)
}
