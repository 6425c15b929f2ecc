//! One pass over the bytes, one thread per algorithm.
//!
//! The bytes are shared, not copied: every thread gets the same [`Bytes`]. What is queued is
//! bounded in bytes over all threads together, so the slowest algorithm sets the pace and
//! memory stays bounded whatever the size. Algorithms that look at little (small contents,
//! heads, CID windows) need no thread and run where the bytes are pushed.

use std::collections::HashMap;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{Hasher, Kind};

/// Bytes queued for all threads together.
const QUEUE: u32 = 8 << 20;
/// The largest piece that is queued; larger buffers are handed on in several.
const PIECE: u32 = 1 << 20;
/// What the smallest piece counts, so that very small ones cannot fill memory with their keep.
const LEAST: u32 = 512;
/// Algorithms that look at no more bytes than this run inline.
const INLINE: u64 = 1 << 20;

/// Why a pass gave no values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PipelineError {
    /// The content did not have the size that was announced.
    #[error("expected {expected} bytes to hash, got {got}{}", if got > expected { " or more" } else { "" })]
    Length {
        /// The size given to [`Pipeline::start`].
        expected: u64,
        /// The bytes pushed.
        got: u64,
    },
    /// A hashing thread ended early.
    #[error("a hashing thread ended early")]
    Lost,
}

/// A piece on its way through all threads. The permit goes back when the last one is done.
struct Piece {
    bytes: Bytes,
    _permit: OwnedSemaphorePermit,
}

/// One thread with its algorithm.
struct Lane {
    kind: Kind,
    queue: mpsc::Sender<Arc<Piece>>,
    value: oneshot::Receiver<String>,
    /// To see in a test that it ends.
    #[cfg(test)]
    thread: Option<thread::JoinHandle<()>>,
}

/// What must happen in the order of the bytes.
struct Front {
    pushed: u64,
    inline: Vec<(Kind, Hasher)>,
}

/// A pass under way. Dropping it ends its threads.
pub struct Pipeline {
    size: u64,
    kinds: Vec<Kind>,
    lanes: Vec<Lane>,
    room: Arc<Semaphore>,
    front: Mutex<Front>,
}

/// The kind whose value over a content of this size is, but for upper case, the same:
/// one block, one slice or a head that holds everything need no computing of their own.
fn same_value(kind: Kind, size: u64) -> Kind {
    match kind {
        Kind::BlockListMd5 { block: n }
        | Kind::SliceMd5 { slice: n }
        | Kind::HeadMd5 { len: n }
            if size <= n =>
        {
            Kind::Md5
        }
        Kind::HeadSha1 { len } if size <= len => Kind::Sha1,
        other => other,
    }
}

impl Pipeline {
    /// Starts a pass for `kinds` over a content of exactly `size` bytes.
    pub fn start(kinds: &[Kind], size: u64) -> Self {
        let mut pipeline = Pipeline {
            size,
            kinds: kinds.to_vec(),
            lanes: Vec::new(),
            room: Arc::new(Semaphore::new(QUEUE as usize)),
            front: Mutex::new(Front {
                pushed: 0,
                inline: Vec::new(),
            }),
        };
        let mut needed: Vec<Kind> = kinds.iter().map(|k| same_value(*k, size)).collect();
        needed.sort_unstable();
        needed.dedup();
        let front = pipeline
            .front
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        for kind in needed {
            let lane = (kind.bytes_needed(size) > INLINE)
                .then(|| Lane::start(kind, size))
                .flatten();
            match lane {
                Some(lane) => pipeline.lanes.push(lane),
                // Small work, or a system that gives no more threads.
                None => front.inline.push((kind, Hasher::new(kind, size))),
            }
        }
        pipeline
    }

    /// Takes the next bytes; waits while too much is queued. One push at a time: the order of
    /// overlapping pushes is undefined. A push that is cancelled may have taken a part of its
    /// bytes; the pass is then worthless and [`Pipeline::finish`] says so by the length.
    ///
    /// # Errors
    /// [`PipelineError::Length`] when these bytes exceed the size, [`PipelineError::Lost`].
    pub async fn push(&self, mut bytes: Bytes) -> Result<(), PipelineError> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PIECE as usize));
            let permit = if self.lanes.is_empty() {
                None
            } else {
                let cost = (piece.len() as u32).max(LEAST);
                let permit = self.room.clone().acquire_many_owned(cost).await;
                Some(permit.map_err(|_| PipelineError::Lost)?)
            };
            self.hand_on(piece, permit)?;
        }
        Ok(())
    }

    fn hand_on(
        &self,
        bytes: Bytes,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<(), PipelineError> {
        let mut front = self.front.lock().unwrap_or_else(PoisonError::into_inner);
        front.pushed = front.pushed.saturating_add(bytes.len() as u64);
        if front.pushed > self.size {
            return Err(PipelineError::Length {
                expected: self.size,
                got: front.pushed,
            });
        }
        if let Some(permit) = permit {
            let piece = Arc::new(Piece {
                bytes: bytes.clone(),
                _permit: permit,
            });
            for lane in &self.lanes {
                lane.queue
                    .send(Arc::clone(&piece))
                    .map_err(|_| PipelineError::Lost)?;
            }
        }
        for (_, hasher) in &mut front.inline {
            hasher.update(&bytes);
        }
        Ok(())
    }

    /// Waits for the last value. The kinds come in the order given to [`Pipeline::start`].
    ///
    /// # Errors
    /// [`PipelineError::Length`] when other than `size` bytes were pushed,
    /// [`PipelineError::Lost`].
    pub async fn finish(self) -> Result<Vec<(Kind, String)>, PipelineError> {
        let Pipeline {
            size,
            kinds,
            lanes,
            front,
            ..
        } = self;
        let front = front.into_inner().unwrap_or_else(PoisonError::into_inner);
        if front.pushed != size {
            return Err(PipelineError::Length {
                expected: size,
                got: front.pushed,
            });
        }
        let mut values: HashMap<Kind, String> = front
            .inline
            .into_iter()
            .map(|(kind, hasher)| (kind, hasher.finish()))
            .collect();
        // All queues are closed before the first value is awaited.
        let waiting: Vec<_> = lanes.into_iter().map(|l| (l.kind, l.value)).collect();
        for (kind, value) in waiting {
            values.insert(kind, value.await.map_err(|_| PipelineError::Lost)?);
        }
        kinds
            .into_iter()
            .map(|kind| {
                let value = values.get(&same_value(kind, size));
                Ok((kind, value.ok_or(PipelineError::Lost)?.clone()))
            })
            .collect()
    }
}

impl Lane {
    /// `None` when the system gives no thread.
    fn start(kind: Kind, size: u64) -> Option<Lane> {
        let (queue, pieces) = mpsc::channel::<Arc<Piece>>();
        let (done, value) = oneshot::channel();
        let _thread = thread::Builder::new()
            .name(format!("hash-{}", kind.name()))
            .spawn(move || {
                let mut hasher = Hasher::new(kind, size);
                // Ends when the pipeline is finished or dropped.
                for piece in pieces {
                    // Nobody waits for the value of a dropped pipeline.
                    if done.is_closed() {
                        return;
                    }
                    hasher.update(&piece.bytes);
                }
                let _ = done.send(hasher.finish());
            })
            .ok()?;
        Some(Lane {
            kind,
            queue,
            value,
            #[cfg(test)]
            thread: Some(_thread),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::hash_all;
    use super::*;
    use futures_util::FutureExt;
    use proptest::prelude::*;

    fn all_kinds() -> Vec<Kind> {
        Kind::CONTENT
            .into_iter()
            .chain([
                Kind::Cid,
                Kind::BlockListMd5 { block: 300_007 },
                Kind::SliceMd5 { slice: 1 << 20 },
                Kind::SliceMd5 { slice: 10 << 20 },
                Kind::HeadMd5 { len: 256 << 10 },
                Kind::HeadSha1 { len: 128 << 10 },
                Kind::HeadSha1 { len: 64 << 20 },
                Kind::Md5,
            ])
            .collect()
    }

    fn content(size: usize) -> Bytes {
        let mut bytes = Vec::with_capacity(size + 65536);
        let mut round = 0u8;
        while bytes.len() < size {
            bytes.extend((0..65521u32).map(|i| (i % 253) as u8 ^ round));
            round = round.wrapping_add(1);
        }
        bytes.truncate(size);
        bytes.into()
    }

    fn run(
        kinds: &[Kind],
        size: u64,
        content: &Bytes,
        steps: &[usize],
    ) -> Result<Vec<(Kind, String)>, PipelineError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let pipeline = Pipeline::start(kinds, size);
            let mut rest = content.clone();
            let mut steps = steps.iter().cycle();
            while !rest.is_empty() {
                let step = steps
                    .next()
                    .copied()
                    .unwrap_or(usize::MAX)
                    .clamp(1, rest.len());
                pipeline.push(rest.split_to(step)).await?;
            }
            pipeline.finish().await
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_chunking_equals_one_piece(
            size in prop_oneof![0usize..200_000, 1_048_570usize..1_048_584, 1_500_000usize..2_500_000],
            steps in prop::collection::vec(prop_oneof![1_000usize..9_000, 1usize..1_500_000], 1..5),
        ) {
            let content = content(size);
            let kinds = all_kinds();
            let values = run(&kinds, size as u64, &content, &steps).unwrap();
            prop_assert_eq!(values, hash_all(&kinds, &content));
        }
    }

    #[test]
    fn more_than_the_queue_goes_through() {
        let content = content(33_333_333);
        let kinds = all_kinds();
        let values = run(&kinds, content.len() as u64, &content, &[usize::MAX]).unwrap();
        assert_eq!(values, hash_all(&kinds, &content));
    }

    #[test]
    fn other_lengths_are_errors() {
        for size in [10, 2_000_000] {
            let content = content(size);
            for announced in [size as u64 - 1, size as u64 + 1] {
                let error = run(&[Kind::Md5], announced, &content, &[1000]).unwrap_err();
                assert!(
                    matches!(error, PipelineError::Length { expected, .. } if expected == announced)
                );
            }
        }
    }

    #[test]
    fn no_kinds_still_checks_the_length() {
        assert_eq!(run(&[], 3, &content(3), &[2]), Ok(Vec::new()));
        assert!(run(&[], 4, &content(3), &[2]).is_err());
    }

    #[test]
    fn small_work_starts_no_thread() {
        assert!(Pipeline::start(&all_kinds(), 1 << 20).lanes.is_empty());
        let lanes = Pipeline::start(&all_kinds(), 3 << 20).lanes;
        let kinds: Vec<Kind> = lanes.iter().map(|lane| lane.kind).collect();
        assert_eq!(
            kinds,
            [
                Kind::Md5,
                Kind::Sha1,
                Kind::Sha256,
                Kind::Crc64,
                Kind::Gcid,
                Kind::BlockListMd5 { block: 300_007 },
                Kind::SliceMd5 { slice: 1 << 20 },
            ]
        );
    }

    #[test]
    fn a_full_queue_makes_the_push_wait() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let content = content(2 << 20);
            let pipeline = Pipeline::start(&[Kind::Md5, Kind::Sha256], content.len() as u64);
            let full = pipeline.room.clone().acquire_many_owned(QUEUE).await;
            let mut push = Box::pin(pipeline.push(content.clone()));
            assert!((&mut push).now_or_never().is_none());
            drop(full);
            push.await.unwrap();
            let values = pipeline.finish().await.unwrap();
            assert_eq!(values, hash_all(&[Kind::Md5, Kind::Sha256], &content));
        });
    }

    #[test]
    fn a_dropped_pipeline_ends_its_threads() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let piece = content(1 << 20);
        let mut pipeline = Pipeline::start(&[Kind::Md5, Kind::Sha256], 1 << 30);
        for _ in 0..12 {
            runtime.block_on(pipeline.push(piece.clone())).unwrap();
        }
        let threads: Vec<_> = pipeline
            .lanes
            .iter_mut()
            .map(|lane| lane.thread.take().unwrap())
            .collect();
        let room = pipeline.room.clone();
        drop(pipeline);
        assert_eq!(threads.len(), 2);
        // A leaked thread would never be joined.
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(room.available_permits(), QUEUE as usize);
    }
}
