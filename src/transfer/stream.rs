//! P4: parts from a content to an open upload session. Memory is bounded by a budget that all
//! transfers share; parts the provider has are not sent again.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::task::Progress;
use crate::content::ContentRef;
use crate::drive::{
    ByteStream, Content, Drive, DriveError, ErrorKind, PartReceipt, Result, UploadSession, patience,
};
use crate::fingerprint::{Kind, Pipeline};
use crate::net::retry;

/// The buffers of all transfers together, in units of 64 KiB.
pub struct Buffers {
    permits: Arc<Semaphore>,
    all: u32,
}

const UNIT: u64 = 64 << 10;

impl Buffers {
    /// `bytes` in all.
    pub fn new(bytes: u64) -> Self {
        let all = u32::try_from((bytes / UNIT).max(1)).unwrap_or(u32::MAX);
        Buffers {
            permits: Arc::new(Semaphore::new(all as usize)),
            all,
        }
    }

    /// Room for one part. A part larger than everything gets everything, alone.
    async fn take(&self, bytes: u64) -> Result<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.div_ceil(UNIT))
            .unwrap_or(u32::MAX)
            .clamp(1, self.all);
        self.permits
            .clone()
            .acquire_many_owned(units)
            .await
            .map_err(|_| DriveError::new(ErrorKind::Cancelled, "shutting down"))
    }
}

/// Called with each receipt before the next part is begun, to journal it.
pub type OnReceipt<'a> =
    &'a (dyn Fn(PartReceipt) -> Pin<Box<dyn Future<Output = Result<()>> + Send>> + Send + Sync);

/// What is computed on the way.
#[derive(Clone, Copy)]
pub struct Hashes<'a> {
    /// The algorithms.
    pub kinds: &'a [Kind],
    /// Whether they are due at the commit: then a resumed session reads everything once more.
    pub due: bool,
}

/// Sends what the session lacks. Returns the fingerprints of all bytes when all were read in order:
/// for a new session, and for a resumed one whose hashes are due.
///
/// # Errors
/// Those of the source and of the target; the session stays open.
pub async fn send_parts(
    drive: &Arc<dyn Drive>,
    content: &ContentRef,
    session: &UploadSession,
    hashes: Hashes<'_>,
    buffers: &Buffers,
    progress: &Progress,
    on_receipt: OnReceipt<'_>,
) -> Result<Vec<(Kind, String)>> {
    let size = content.size();
    let sent: HashSet<u32> = session.accepted.iter().map(|part| part.number).collect();
    let Hashes { kinds, due } = hashes;
    let whole = (due || sent.is_empty()) && !kinds.is_empty();
    let read: Vec<u32> = (1..=session.part_count(size))
        .filter(|number| whole || !sent.contains(number))
        .collect();
    let pipeline = if whole {
        Some(Pipeline::start(kinds, size))
    } else {
        None
    };
    let parallel = session.parallel.max(1);
    let mut source = Source {
        content,
        stream: None,
        at: 0,
        rest: Bytes::new(),
    };
    let mut flying = FuturesUnordered::new();
    let mut left = read.into_iter().peekable();
    loop {
        // One part is read ahead of those in flight.
        if flying.len() <= parallel
            && let Some(number) = left.next()
        {
            let range = session.part_range(size, number);
            let room = buffers.take(range.end - range.start).await?;
            let bytes = source.part(range).await?;
            progress.read(bytes.len() as u64);
            if let Some(pipeline) = &pipeline {
                pipeline
                    .push(bytes.clone())
                    .await
                    .map_err(super::hashing::lost)?;
            }
            if sent.contains(&number) {
                continue;
            }
            let sending = async move {
                let length = bytes.len() as u64;
                let receipt = retry(patience(), || {
                    progress.call();
                    drive.put_part(session, number, bytes.clone())
                })
                .await?;
                drop(room);
                Ok::<_, DriveError>((receipt, length))
            };
            flying.push(sending);
            if flying.len() < parallel && left.peek().is_some() {
                continue;
            }
        }
        match flying.next().await {
            Some(sent) => {
                let (receipt, length) = sent?;
                progress.sent(length);
                on_receipt(receipt).await?;
            }
            None if left.peek().is_none() => break,
            None => {}
        }
    }
    match pipeline {
        Some(pipeline) => pipeline.finish().await.map_err(super::hashing::lost),
        None => Ok(Vec::new()),
    }
}

/// Reads consecutive parts from one stream, and opens a new one after a gap.
struct Source<'a> {
    content: &'a ContentRef,
    stream: Option<ByteStream>,
    at: u64,
    rest: Bytes,
}

impl Source<'_> {
    async fn part(&mut self, range: std::ops::Range<u64>) -> Result<Bytes> {
        let length = usize::try_from(range.end - range.start)
            .map_err(|_| DriveError::new(ErrorKind::TooLarge, "part larger than the memory"))?;
        if length == 0 {
            return Ok(Bytes::new());
        }
        if self.at != range.start || self.stream.is_none() {
            self.rest = Bytes::new();
            self.at = range.start;
            self.stream = Some(
                self.content
                    .stream(range.start..self.content.size())
                    .await?,
            );
        }
        let mut part = BytesMut::with_capacity(length);
        while part.len() < length {
            if self.rest.is_empty() {
                let next = match &mut self.stream {
                    Some(stream) => stream.next().await,
                    None => None,
                };
                self.rest = match next {
                    Some(piece) => piece?,
                    None => {
                        return Err(DriveError::new(
                            ErrorKind::Network,
                            "the source ended early",
                        ));
                    }
                };
            }
            let take = self.rest.len().min(length - part.len());
            part.extend_from_slice(&self.rest.split_to(take));
        }
        self.at = range.end;
        Ok(part.freeze())
    }
}
