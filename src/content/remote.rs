//! A remote node at one version as a content.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::StreamExt;
use tokio::sync::watch;

use super::{ContentRecord, Volume};
use crate::catalog::Catalog;
use crate::drive::{ByteStream, Content, Cost, DriveError, ErrorKind, Node, Result, collect};
use crate::fingerprint::{Fingerprints, Kind, hash_all};
use crate::net::Retry;

/// How often a stream is taken up again without any progress in between.
const CUTS_IN_A_ROW: u32 = 5;

/// How long a reader whose node is not where it was waits for a rename of ours to tell where.
const LONGEST_MOVE: std::time::Duration = std::time::Duration::from_secs(60);

/// Where the node is now.
struct Whereabouts {
    node: Arc<Node>,
    /// Renames of ours under way that touch it.
    moving: u32,
}

/// A node at one version. A rename of ours may give it another id or version; its bytes stay.
pub struct RemoteContent {
    volume: Volume,
    size: u64,
    place: watch::Sender<Whereabouts>,
    known: Mutex<Fingerprints>,
    catalog: Arc<Catalog>,
    fetched: Arc<AtomicU64>,
}

impl RemoteContent {
    /// The content of `node` now, with all that the knowledge base adds.
    pub fn new(volume: Volume, node: Node, catalog: Arc<Catalog>) -> Self {
        let mut known = node.fingerprints.clone();
        known.merge(&catalog.recall(node.size, &known));
        RemoteContent {
            volume,
            size: node.size,
            place: watch::Sender::new(Whereabouts {
                node: Arc::new(node),
                moving: 0,
            }),
            known: Mutex::new(known),
            catalog,
            fetched: Arc::new(AtomicU64::new(0)),
        }
    }

    /// The drive it is on.
    pub fn volume(&self) -> &Volume {
        &self.volume
    }

    /// The node as it is now.
    pub fn node(&self) -> Arc<Node> {
        self.place.borrow().node.clone()
    }

    /// A rename of ours that touches it begins: a reader that does not find it waits.
    pub(super) fn move_begins(&self) {
        self.place.send_modify(|place| place.moving += 1);
    }

    /// That rename is over; `node` is what it is now, when anything changed.
    pub(super) fn move_ends(&self, node: Option<Node>) {
        self.place.send_modify(|place| {
            place.moving = place.moving.saturating_sub(1);
            if let Some(node) = node {
                place.node = Arc::new(node);
            }
        });
    }

    /// Bytes read from the drive so far.
    pub fn bytes_fetched(&self) -> u64 {
        self.fetched.load(Ordering::Relaxed)
    }

    /// Remembers computed fingerprints, here and in the knowledge base.
    pub fn teach(&self, learned: &Fingerprints) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.merge(learned);
        self.catalog.learn(self.size, &known);
    }

    /// Forgets a claim that turned out false, everywhere.
    pub fn distrust(&self, kind: Kind) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(claim) = known.get(kind).cloned() {
            self.catalog.distrust(self.size, kind, &claim.value);
            known.forget(kind);
        }
    }

    /// Checks that the node still has the version that is being copied.
    ///
    /// # Errors
    /// `Changed` when it does not, `NotFound` when it is gone.
    pub async fn check_unchanged(&self) -> Result<()> {
        let mut place = self.place.subscribe();
        let mut node = self.node();
        loop {
            let outcome = match self.volume.drive.stat(&node.id).await {
                Ok(now) if now.size == self.size && now.version == node.version => return Ok(()),
                Ok(_) => DriveError::new(
                    ErrorKind::Changed,
                    format!(
                        "{} on {} changed while it was copied",
                        node.name, self.volume.name
                    ),
                ),
                Err(error) => error,
            };
            node = match moved_meanwhile(&mut place, &node, &outcome).await {
                Some(elsewhere) => elsewhere,
                None => return Err(outcome),
            };
        }
    }

    /// Its form in the journal.
    pub fn record(&self) -> ContentRecord {
        let node = self.node();
        ContentRecord::Remote {
            profile: self.volume.name.to_string(),
            id: node.id.clone(),
            size: self.size,
            version: node.version.clone(),
        }
    }
}

impl fmt::Debug for RemoteContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "RemoteContent({}:{}, {} bytes)",
            self.volume.name,
            self.node().id,
            self.size
        )
    }
}

#[async_trait]
impl Content for RemoteContent {
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
        if range.start > range.end || range.end > self.size {
            return Err(DriveError::new(
                ErrorKind::Invalid,
                format!("range {range:?} is outside of {} bytes", self.size),
            ));
        }
        let reader = Reader {
            volume: self.volume.clone(),
            node: self.node(),
            place: self.place.subscribe(),
            left: range,
            stream: None,
            cuts: 0,
            fetched: self.fetched.clone(),
        };
        Ok(Box::pin(futures_util::stream::unfold(
            reader,
            |mut reader| async move { reader.next().await.map(|item| (item, reader)) },
        )))
    }

    fn cost(&self, kind: Kind) -> Cost {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.usable(kind).is_some() {
            return Cost::Known;
        }
        self.volume.capabilities().cost(kind, self.size)
    }

    async fn learn(&self, kind: Kind) -> Result<Option<String>> {
        match self.cost(kind) {
            Cost::Known => Ok(self
                .known()
                .usable(kind)
                .map(|known| known.value.to_string())),
            Cost::OneCall => {
                let Some(known) = self.volume.drive.fingerprint(&self.node(), kind).await? else {
                    return Ok(None);
                };
                let value = known.value.to_string();
                self.teach(&Fingerprints::from_iter([(kind, known)]));
                Ok(Some(value))
            }
            Cost::SmallRanges(_) => hash_windows(self, kind).await,
            Cost::FullRead(_) => Ok(None),
        }
    }
}

/// Where the node is when a rename of ours is why `used` was not found or looks changed.
async fn moved_meanwhile(
    place: &mut watch::Receiver<Whereabouts>,
    used: &Node,
    error: &DriveError,
) -> Option<Arc<Node>> {
    if !matches!(error.kind, ErrorKind::NotFound | ErrorKind::Changed) {
        return None;
    }
    let settled = place.wait_for(|place| place.moving == 0);
    // When the content is dropped or the rename does not end, what is known now counts.
    let _ = tokio::time::timeout(LONGEST_MOVE, settled).await;
    let now = place.borrow().node.clone();
    (now.id != used.id || now.version != used.version).then_some(now)
}

/// Reads a range and goes on where a cut left it.
struct Reader {
    volume: Volume,
    node: Arc<Node>,
    place: watch::Receiver<Whereabouts>,
    left: Range<u64>,
    stream: Option<ByteStream>,
    cuts: u32,
    fetched: Arc<AtomicU64>,
}

impl Reader {
    async fn next(&mut self) -> Option<Result<bytes::Bytes>> {
        while self.left.start < self.left.end {
            let error = match self.piece().await {
                Ok(Some(piece)) => {
                    self.cuts = 0;
                    self.left.start += piece.len() as u64;
                    self.fetched
                        .fetch_add(piece.len() as u64, Ordering::Relaxed);
                    return Some(Ok(piece));
                }
                Ok(None) => DriveError::new(ErrorKind::Network, "the stream ended early")
                    .retry(Retry::Backoff),
                Err(error) => error,
            };
            self.stream = None;
            if let Some(node) = moved_meanwhile(&mut self.place, &self.node, &error).await {
                self.node = node;
                continue;
            }
            self.cuts += 1;
            let pause = match error.retry {
                Retry::Never => None,
                Retry::Backoff => Some(std::time::Duration::from_millis(200 << self.cuts.min(6))),
                Retry::After(pause) => Some(pause),
            };
            match pause {
                Some(pause) if self.cuts <= CUTS_IN_A_ROW => tokio::time::sleep(pause).await,
                _ => {
                    self.left.start = self.left.end;
                    return Some(Err(error));
                }
            }
        }
        None
    }

    async fn piece(&mut self) -> Result<Option<bytes::Bytes>> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(
                self.volume
                    .drive
                    .read(&self.node, self.left.clone())
                    .await?,
            ),
        };
        loop {
            match stream.next().await {
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(mut piece)) => {
                    let most = usize::try_from(self.left.end - self.left.start);
                    piece.truncate(most.unwrap_or(usize::MAX));
                    return Ok(Some(piece));
                }
                Some(Err(error)) => return Err(error),
                None => return Ok(None),
            }
        }
    }
}

/// Learns a kind that sees only windows of the content. The windows one after the other hash to
/// the same value as the content itself.
pub(super) async fn hash_windows(content: &dyn Content, kind: Kind) -> Result<Option<String>> {
    const CID_WINDOW: u64 = 20_480;
    let size = content.size();
    let windows: Vec<Range<u64>> = match kind {
        Kind::Cid if size > 3 * CID_WINDOW => [0, size / 3, size - CID_WINDOW]
            .map(|start| start..start + CID_WINDOW)
            .into(),
        Kind::HeadMd5 { len } | Kind::HeadSha1 { len } => vec![0..size.min(len)],
        _ => vec![0..size],
    };
    let mut bytes = Vec::new();
    for window in windows.into_iter().filter(|window| !window.is_empty()) {
        let length = window.end - window.start;
        bytes.extend_from_slice(&collect(content.stream(window).await?, length).await?);
    }
    Ok(hash_all(&[kind], &bytes)
        .into_iter()
        .next()
        .map(|(_, value)| value))
}
