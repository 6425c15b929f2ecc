//! Immutable contents: real bytes, synthetic bytes (a function of seed and offset), or
//! pieces of both. A synthetic content of 10 GiB costs nothing until it is read, and
//! reading it is copying.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;

use super::digest::{DigestCache, HashKind};

/// Synthetic bytes come in blocks of this size, each stamped with seed and block number.
pub(super) const BLOCK: usize = 4096;
/// Length of the stamp at the head of each block.
pub(super) const STAMP: usize = 32;
/// What the first two words of a stamp differ by: lets a received stream be recognised.
const MAGIC: u64 = 0x75b9_2ec4_678a_1fd3;
const BASE: usize = 1 << 20;

/// One pseudo-random stretch; every block of every seed is a window of it, under a stamp.
static TILE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut tile = Vec::with_capacity(BASE + BLOCK);
    let mut state = 0x5eed_u64;
    while tile.len() < BASE + BLOCK {
        state = state.wrapping_add(1);
        tile.extend_from_slice(&mix(state).to_le_bytes());
    }
    tile
});

/// A good 64-bit mixer (the finaliser of splitmix64).
pub(super) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The head of a block: no two of them share a word.
fn stamp(mixed: u64, seed: u64, block: u64) -> [u8; STAMP] {
    let words = [mixed, mixed ^ MAGIC, seed ^ mix(mixed), block ^ mix(!mixed)];
    let mut stamp = [0_u8; STAMP];
    for (target, word) in stamp.chunks_exact_mut(8).zip(words) {
        target.copy_from_slice(&word.to_le_bytes());
    }
    stamp
}

/// Finds a stamp in `bytes`: its place, seed and block number.
pub(super) fn find_stamp(bytes: &[u8]) -> Option<(usize, u64, u64)> {
    let word = |at: usize| {
        let bytes = bytes.get(at..at + 8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    };
    (0..bytes.len().saturating_sub(STAMP - 1)).find_map(|at| {
        let mixed = word(at)?;
        if word(at + 8)? != mixed ^ MAGIC {
            return None;
        }
        Some((
            at,
            word(at + 16)? ^ mix(mixed),
            word(at + 24)? ^ mix(!mixed),
        ))
    })
}

/// Fills `out` with the synthetic bytes of `seed` from `offset` on.
pub(super) fn synthetic(seed: u64, offset: u64, out: &mut [u8]) {
    let tile = &TILE[..];
    let mut done = 0;
    while done < out.len() {
        let position = offset.wrapping_add(done as u64);
        let block = position / BLOCK as u64;
        let inside = (position % BLOCK as u64) as usize;
        let length = (BLOCK - inside).min(out.len() - done);
        let mixed = mix(mix(seed) ^ block);
        let window = (mixed % BASE as u64) as usize + inside;
        let target = &mut out[done..done + length];
        target.copy_from_slice(&tile[window..window + length]);
        if inside < STAMP {
            let stamp = stamp(mixed, seed, block);
            let stamped = (STAMP - inside).min(length);
            target[..stamped].copy_from_slice(&stamp[inside..inside + stamped]);
        }
        done += length;
    }
}

/// Where the bytes of one piece come from.
#[derive(Clone)]
pub(super) enum Source {
    /// Held in memory.
    Bytes(Bytes),
    /// Synthetic bytes of a seed from `start` on.
    Synthetic { seed: u64, start: u64 },
    /// Spilled into an unlinked temporary file.
    File { file: Arc<File>, start: u64 },
}

#[derive(Clone)]
pub(super) struct Piece {
    pub at: u64,
    pub length: u64,
    pub source: Source,
}

struct Inner {
    size: u64,
    pieces: Vec<Piece>,
    digests: DigestCache,
}

/// An immutable content. Cloning is cheap; digests are computed once and kept.
#[derive(Clone)]
pub struct Blob(Arc<Inner>);

impl Blob {
    /// A content held in memory.
    pub fn bytes(bytes: impl Into<Bytes>) -> Blob {
        let bytes = bytes.into();
        Blob::from_sources(vec![(bytes.len() as u64, Source::Bytes(bytes))])
    }

    /// `size` pseudo-random bytes that depend on `seed` and offset only. Contents of two
    /// seeds differ in every 4 KiB; a shorter one is a prefix of a longer one of its seed.
    pub fn synthetic(seed: u64, size: u64) -> Blob {
        Blob::from_sources(vec![(size, Source::Synthetic { seed, start: 0 })])
    }

    /// The contents one after the other.
    pub fn join<'a>(parts: impl IntoIterator<Item = &'a Blob>) -> Blob {
        let sources = parts
            .into_iter()
            .flat_map(|part| part.0.pieces.iter())
            .map(|piece| (piece.length, piece.source.clone()))
            .collect();
        Blob::from_sources(sources)
    }

    pub(super) fn from_sources(sources: Vec<(u64, Source)>) -> Blob {
        let mut pieces: Vec<Piece> = Vec::with_capacity(sources.len());
        let mut size = 0_u64;
        for (length, source) in sources {
            if length == 0 {
                continue;
            }
            // Neighbours that continue each other become one piece, so that an upload in
            // parts is again the plain synthetic content (and shares its digests).
            if let Some(last) = pieces.last_mut()
                && let (
                    Source::Synthetic { seed, start },
                    Source::Synthetic {
                        seed: next_seed,
                        start: next_start,
                    },
                ) = (&last.source, &source)
                && seed == next_seed
                && start + last.length == *next_start
            {
                last.length += length;
            } else {
                pieces.push(Piece {
                    at: size,
                    length,
                    source,
                });
            }
            size += length;
        }
        let identity = match pieces.as_slice() {
            [
                Piece {
                    source: Source::Synthetic { seed, start: 0 },
                    ..
                },
            ] => Some((*seed, size)),
            _ => None,
        };
        Blob(Arc::new(Inner {
            size,
            pieces,
            digests: DigestCache::new(identity),
        }))
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.0.size
    }

    /// The bytes `[offset, offset + len)`, cut at the end of the content.
    pub fn read(&self, offset: u64, len: u64) -> Bytes {
        let length = self.0.size.saturating_sub(offset).min(len);
        if let [
            Piece {
                source: Source::Bytes(bytes),
                ..
            },
        ] = self.0.pieces.as_slice()
        {
            let start = offset.min(self.0.size) as usize;
            return bytes.slice(start..start + length as usize);
        }
        let mut out = vec![0; length as usize];
        self.read_into(offset, &mut out);
        Bytes::from(out)
    }

    /// Fills `out` from `offset` on; bytes behind the end stay as they were.
    pub(super) fn read_into(&self, offset: u64, out: &mut [u8]) {
        let mut index = self
            .0
            .pieces
            .partition_point(|piece| piece.at + piece.length <= offset);
        let mut done = 0_usize;
        while let Some(piece) = self.0.pieces.get(index).filter(|_| done < out.len()) {
            let inside = offset + done as u64 - piece.at;
            let length = (piece.length - inside).min((out.len() - done) as u64) as usize;
            let target = &mut out[done..done + length];
            match &piece.source {
                Source::Bytes(bytes) => {
                    target.copy_from_slice(&bytes[inside as usize..inside as usize + length]);
                }
                Source::Synthetic { seed, start } => synthetic(*seed, start + inside, target),
                Source::File { file, start } => {
                    // A simulator whose own disk fails serves zeros: the client's check sees it.
                    let _ = file.read_exact_at(target, start + inside);
                }
            }
            done += length;
            index += 1;
        }
    }

    /// The content `[offset, offset + len)`, cut at the end.
    pub fn slice(&self, offset: u64, len: u64) -> Blob {
        let end = offset.saturating_add(len).min(self.0.size);
        let mut sources = Vec::new();
        for piece in &self.0.pieces {
            let from = piece.at.max(offset);
            let to = (piece.at + piece.length).min(end);
            if from >= to {
                continue;
            }
            let skip = from - piece.at;
            let source = match &piece.source {
                Source::Bytes(bytes) => {
                    Source::Bytes(bytes.slice(skip as usize..(skip + to - from) as usize))
                }
                Source::Synthetic { seed, start } => Source::Synthetic {
                    seed: *seed,
                    start: start + skip,
                },
                Source::File { file, start } => Source::File {
                    file: file.clone(),
                    start: start + skip,
                },
            };
            sources.push((to - from, source));
        }
        Blob::from_sources(sources)
    }

    /// The same content with `bytes` written at `offset` (which must lie inside).
    pub fn patched(&self, offset: u64, bytes: Bytes) -> Blob {
        let end = offset + bytes.len() as u64;
        Blob::join([
            &self.slice(0, offset),
            &Blob::bytes(bytes),
            &self.slice(end, self.0.size.saturating_sub(end)),
        ])
    }

    /// The same content with one bit flipped in the middle: what a bad disk would keep.
    /// An empty content stays as it is.
    pub fn corrupted(&self) -> Blob {
        let middle = self.0.size / 2;
        match self.read(middle, 1).first() {
            Some(byte) => self.patched(middle, Bytes::from(vec![byte ^ 0x40])),
            None => self.clone(),
        }
    }

    /// Whether both are known to be the same without reading: one object, or one seed and size.
    pub fn is(&self, other: &Blob) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.digests.identity().is_some()
                && self.0.digests.identity() == other.0.digests.identity())
    }

    /// A digest of the content (text form: see [`HashKind`]). Long contents are hashed on
    /// a blocking thread, once.
    pub async fn digest(&self, kind: HashKind) -> String {
        if let Some(known) = self.0.digests.get(kind) {
            return known;
        }
        if kind.bytes_needed(self.0.size) <= 1 << 20 {
            return self.digest_now(kind);
        }
        let blob = self.clone();
        tokio::task::spawn_blocking(move || blob.digest_now(kind))
            .await
            .unwrap_or_default()
    }

    /// The same, on the calling thread.
    pub fn digest_now(&self, kind: HashKind) -> String {
        self.0.digests.get_or_compute(self, kind)
    }

    /// CRC-64/XZ of the content as the decimal number that OSS puts into headers.
    pub async fn crc64_decimal(&self) -> String {
        let hex = self.digest(HashKind::Crc64).await;
        u64::from_str_radix(&hex, 16)
            .unwrap_or_default()
            .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synthetic_reads_agree_at_every_alignment() {
        let blob = Blob::synthetic(7, 3 << 20);
        let whole = blob.read(0, u64::MAX);
        assert_eq!(whole.len(), 3 << 20);
        for (offset, len) in [
            (0, 1),
            (5, 100),
            (31, 2),
            (4090, 20),
            (4096, 4096),
            (1 << 20, 9),
            ((3 << 20) - 3, 50),
        ] {
            let end = (offset + len).min(3 << 20);
            assert_eq!(
                blob.read(offset, len),
                whole.slice(offset as usize..end as usize)
            );
        }
        assert!(blob.read(4 << 20, 5).is_empty());
    }

    #[test]
    fn seeds_and_places_differ() {
        let (a, b) = (Blob::synthetic(1, 1 << 20), Blob::synthetic(2, 1 << 20));
        for at in [0, 8, 100, 70_000, (1 << 20) - 8] {
            assert_ne!(a.read(at, 8), b.read(at, 8), "at {at}");
        }
        let big = Blob::synthetic(1, 10 << 30);
        assert_ne!(big.read(500, 16), big.read(500 + (1 << 20), 16));
        assert_eq!(big.read((10 << 30) - 4, 100).len(), 4);
    }

    #[test]
    fn pieces_slices_and_patches() {
        let blob = Blob::synthetic(3, 100_000);
        let again = Blob::join([&blob.slice(0, 40_000), &blob.slice(40_000, 60_000)]);
        assert!(again.is(&blob));
        let patched = blob.patched(50_000, Bytes::from_static(b"hello"));
        assert_eq!(patched.size(), 100_000);
        assert_eq!(&patched.read(49_999, 7)[1..6], b"hello");
        assert_eq!(patched.read(50_005, 100), blob.read(50_005, 100));
        assert!(!patched.is(&blob));
        let bad = blob.corrupted();
        assert_eq!(bad.size(), blob.size());
        assert_ne!(bad.read(50_000, 1), blob.read(50_000, 1));
        assert_eq!(Blob::bytes("").corrupted().size(), 0);
    }
}
