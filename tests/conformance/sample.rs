//! Contents for uploads: their bytes, what is known about them, and how much of them was read.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use panfuse::drive::{ByteStream, Content, Cost, DriveError, ErrorKind, Result};
use panfuse::fingerprint::{Fingerprints, Kind, Known, Origin, hash_all};
use panfuse::sim::Blob;

/// A content in memory.
pub struct Sample {
    /// The bytes.
    pub bytes: Bytes,
    size: u64,
    known: Fingerprints,
    read: AtomicU64,
}

impl Sample {
    /// Pseudo-random bytes about which nothing is known.
    pub fn new(seed: u64, size: u64) -> Sample {
        Sample::of(Blob::synthetic(seed, size).read(0, size))
    }

    /// These bytes, about which nothing is known.
    pub fn of(bytes: Bytes) -> Sample {
        Sample {
            size: bytes.len() as u64,
            bytes,
            known: Fingerprints::new(),
            read: AtomicU64::new(0),
        }
    }

    /// A content that says to be larger than it is: for questions that must be refused before
    /// a byte is read.
    pub fn claiming(size: u64) -> Sample {
        Sample {
            size,
            ..Sample::new(1, 64)
        }
    }

    /// The same with the true fingerprints of these kinds known.
    pub fn knowing(mut self, kinds: &[Kind]) -> Sample {
        for (kind, value) in hash_all(kinds, &self.bytes) {
            let known = Known {
                value: value.into(),
                origin: Origin::Computed,
                provider: "".into(),
                at: 0,
            };
            self.known.learn(kind, known);
        }
        self
    }

    /// Bytes that were read for questions so far.
    pub fn read_so_far(&self) -> u64 {
        self.read.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Content for Sample {
    fn size(&self) -> u64 {
        self.size
    }

    fn known(&self) -> Fingerprints {
        self.known.clone()
    }

    async fn stream(&self, range: Range<u64>) -> Result<ByteStream> {
        let length = self.bytes.len() as u64;
        if range.start > range.end || range.end > length {
            return Err(DriveError::new(ErrorKind::Invalid, "outside of the sample"));
        }
        self.read
            .fetch_add(range.end - range.start, Ordering::SeqCst);
        let piece = self.bytes.slice(range.start as usize..range.end as usize);
        Ok(Box::pin(stream::iter([Ok(piece)])))
    }

    fn cost(&self, kind: Kind) -> Cost {
        if self.known.usable(kind).is_some() {
            return Cost::Known;
        }
        match kind.bytes_needed(self.size) {
            bytes if bytes < self.size => Cost::SmallRanges(bytes),
            bytes => Cost::FullRead(bytes),
        }
    }

    async fn learn(&self, kind: Kind) -> Result<Option<String>> {
        match self.cost(kind) {
            Cost::SmallRanges(bytes) => {
                self.read.fetch_add(bytes, Ordering::SeqCst);
                let mut found = hash_all(&[kind], &self.bytes);
                Ok(found.pop().map(|(_, value)| value))
            }
            _ => Ok(self.known.usable(kind).map(|known| known.value.to_string())),
        }
    }
}
