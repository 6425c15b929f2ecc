//! Blocks of remote files in memory: aligned, keyed by (node, version), fetched by ranged reads
//! that fill several blocks at once. Reading ahead doubles while a handle reads on and ends with a
//! seek.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use moka::sync::Cache;
use tokio::sync::watch;

use crate::content::RemoteContent;
use crate::drive::{Content, DriveError, ErrorKind, Result};

/// Bytes of a block. Small enough that random reads fetch little more than they need.
const BLOCK: u64 = 128 << 10;
/// Blocks of one ranged read at most: 4 MiB.
const RUN: u64 = 32;
/// Blocks that reading ahead goes at most: 16 MiB.
const AHEAD: u64 = 128;

/// Where a handle reads, to notice sequential reading.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    next: u64,
    ahead: u64,
    fetched_to: u64,
}

type Key = (Arc<str>, u64);
type Flight = watch::Receiver<Option<Result<(), DriveError>>>;

/// The cache.
pub(super) struct Blocks {
    ready: Cache<Key, Bytes>,
    flights: Arc<Mutex<HashMap<Key, Flight>>>,
}

impl Blocks {
    /// At most `bytes` of memory.
    pub fn new(bytes: u64) -> Self {
        Blocks {
            ready: Cache::builder()
                .max_capacity(bytes)
                .weigher(|_, block: &Bytes| u32::try_from(block.len() + 128).unwrap_or(u32::MAX))
                .build(),
            flights: Arc::default(),
        }
    }

    /// Reads `length` bytes at `offset`, cut at the end of the content.
    pub async fn read(
        &self,
        content: &Arc<RemoteContent>,
        sequence: &Mutex<Sequence>,
        offset: u64,
        length: u64,
    ) -> Result<Bytes> {
        let size = content.size();
        let end = offset.saturating_add(length).min(size);
        if offset >= end {
            return Ok(Bytes::new());
        }
        let identity = identity(content);
        let (first, last) = (offset / BLOCK, (end - 1) / BLOCK);
        let blocks = size.div_ceil(BLOCK);
        let ahead_to = {
            let mut sequence = sequence.lock().unwrap_or_else(PoisonError::into_inner);
            // The kernel's parallel read-ahead arrives slightly out of order.
            let near = offset <= sequence.next && sequence.next - offset <= 1 << 20
                || offset > sequence.next && offset - sequence.next <= 1 << 20;
            if near && sequence.next > 0 {
                sequence.ahead = (sequence.ahead * 2).clamp(4, AHEAD);
            } else if offset != 0 || sequence.next > 0 {
                sequence.ahead = 0;
                sequence.fetched_to = 0;
            }
            sequence.next = sequence.next.max(end).min(end + (1 << 20));
            if !near {
                sequence.next = end;
            }
            let to = (last + 1 + sequence.ahead).min(blocks);
            // Ahead is fetched in halves of the window, not block by block.
            if sequence.ahead > 0 && to > sequence.fetched_to + sequence.ahead / 2 {
                sequence.fetched_to = to;
                to
            } else {
                last + 1
            }
        };
        self.fetch(content, &identity, first..ahead_to.max(last + 1));
        let mut all = BytesMut::new();
        for number in first..=last {
            let block = self.block(content, &identity, number).await?;
            let start = number * BLOCK;
            let from = usize::try_from(offset.saturating_sub(start)).unwrap_or(0);
            let to = usize::try_from(end - start)
                .unwrap_or(usize::MAX)
                .min(block.len());
            if first == last {
                return Ok(block.slice(from.min(to)..to));
            }
            all.extend_from_slice(block.get(from..to).unwrap_or_default());
        }
        Ok(all.freeze())
    }

    /// One block; waits for the read that brings it.
    async fn block(
        &self,
        content: &Arc<RemoteContent>,
        identity: &Arc<str>,
        number: u64,
    ) -> Result<Bytes> {
        let key = (identity.clone(), number);
        for _ in 0..3 {
            if let Some(block) = self.ready.get(&key) {
                return Ok(block);
            }
            let flight = {
                let flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
                flights.get(&key).cloned()
            };
            let Some(mut flight) = flight else {
                self.fetch(content, identity, number..number + 1);
                continue;
            };
            let landed = flight
                .wait_for(Option::is_some)
                .await
                .ok()
                .and_then(|r| r.clone());
            if let Some(Err(error)) = landed {
                return Err(error);
            }
        }
        // Evicted as soon as it arrived: memory is very tight.
        let start = number * BLOCK;
        let range = start..(start + BLOCK).min(content.size());
        let length = range.end - range.start;
        crate::drive::collect(content.stream(range).await?, length).await
    }

    /// Starts reads for the blocks that are neither there nor on their way.
    fn fetch(
        &self,
        content: &Arc<RemoteContent>,
        identity: &Arc<str>,
        range: std::ops::Range<u64>,
    ) {
        let mut runs: Vec<Vec<(u64, watch::Sender<Option<Result<(), DriveError>>>)>> = Vec::new();
        {
            let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
            for number in range {
                let key = (identity.clone(), number);
                if self.ready.contains_key(&key) || flights.contains_key(&key) {
                    continue;
                }
                let (sender, receiver) = watch::channel(None);
                flights.insert(key, receiver);
                match runs.last_mut() {
                    Some(run)
                        if (run.len() as u64) < RUN
                            && run.last().is_some_and(|(last, _)| last + 1 == number) =>
                    {
                        run.push((number, sender));
                    }
                    _ => runs.push(vec![(number, sender)]),
                }
            }
        }
        for run in runs {
            let (content, identity) = (content.clone(), identity.clone());
            let (ready, flights) = (self.ready.clone(), self.flights.clone());
            tokio::spawn(async move {
                let outcome = fill(&content, &identity, &run, &ready).await;
                let mut flights = flights.lock().unwrap_or_else(PoisonError::into_inner);
                for (number, sender) in run {
                    flights.remove(&(identity.clone(), number));
                    let landed = match &outcome {
                        Err(error) if !ready.contains_key(&(identity.clone(), number)) => {
                            Err(error.clone())
                        }
                        _ => Ok(()),
                    };
                    sender.send_replace(Some(landed));
                }
            });
        }
    }
}

/// Reads a run of blocks with one ranged read.
async fn fill(
    content: &RemoteContent,
    identity: &Arc<str>,
    run: &[(u64, watch::Sender<Option<Result<(), DriveError>>>)],
    ready: &Cache<Key, Bytes>,
) -> Result<()> {
    let (Some((first, _)), Some((last, _))) = (run.first(), run.last()) else {
        return Ok(());
    };
    let range = first * BLOCK..((last + 1) * BLOCK).min(content.size());
    let mut stream = content.stream(range.clone()).await?;
    let mut block = BytesMut::new();
    let mut at = range.start;
    let mut senders = run.iter();
    while let Some(piece) = stream.next().await {
        let mut piece = piece?;
        while !piece.is_empty() {
            let end = (at / BLOCK + 1) * BLOCK;
            let want = usize::try_from(end.min(range.end) - at).unwrap_or(usize::MAX);
            let part = piece.split_to(piece.len().min(want));
            at += part.len() as u64;
            block.extend_from_slice(&part);
            if at == end || at == range.end {
                let number = (at - 1) / BLOCK;
                ready.insert((identity.clone(), number), block.split().freeze());
                if let Some((_, sender)) = senders.next() {
                    sender.send_replace(Some(Ok(())));
                }
            }
        }
    }
    if at != range.end {
        return Err(DriveError::new(ErrorKind::Network, "the read ended early"));
    }
    Ok(())
}

fn identity(content: &RemoteContent) -> Arc<str> {
    let node = content.node();
    format!("{}\0{}\0{}", content.volume().name, node.id, node.version).into()
}
