//! Keeps received bytes cheaply: a stream that is recognised as synthetic is remembered as
//! seed and range, other long streams go to an unlinked temporary file.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::content::{BLOCK, Blob, STAMP, Source, find_stamp, synthetic};

/// Bytes looked at before deciding whether a stream is synthetic.
const PROBE: usize = BLOCK + STAMP;
/// Unrecognised bytes beyond this go to the file.
const SPILL: usize = 1 << 20;

/// Takes bytes in order and becomes a [`Blob`].
#[derive(Default)]
pub struct Recorder {
    sources: Vec<(u64, Source)>,
    size: u64,
    pending: Vec<u8>,
    /// Seed and next offset while the stream follows a synthetic content.
    run: Option<(u64, u64)>,
    /// Whether the pending bytes were probed already.
    probed: bool,
    file: Option<(Arc<File>, u64)>,
    scratch: Vec<u8>,
}

impl Recorder {
    /// An empty one.
    pub fn new() -> Recorder {
        Recorder::default()
    }

    /// Bytes taken so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes the next bytes.
    pub fn push(&mut self, mut data: &[u8]) {
        self.size += data.len() as u64;
        while !data.is_empty() {
            if let Some((seed, next)) = self.run {
                let length = data.len().min(64 << 10);
                self.scratch.resize(length, 0);
                synthetic(seed, next, &mut self.scratch);
                let same = if self.scratch[..] == data[..length] {
                    length
                } else {
                    self.run = None;
                    let pairs = self.scratch.iter().zip(data);
                    pairs.take_while(|(a, b)| a == b).count()
                };
                if same > 0 {
                    self.sources
                        .push((same as u64, Source::Synthetic { seed, start: next }));
                    self.compact();
                }
                if self.run.is_some() {
                    self.run = Some((seed, next + same as u64));
                }
                data = &data[same..];
                continue;
            }
            let goal = if self.probed { SPILL } else { PROBE };
            let take = goal.saturating_sub(self.pending.len()).min(data.len());
            self.pending.extend_from_slice(&data[..take]);
            data = &data[take..];
            if self.pending.len() >= goal {
                if self.probed {
                    self.spill();
                } else {
                    self.probed = true;
                    self.probe();
                }
            }
        }
    }

    /// Joins the newest two pieces when the second continues the first, so that the list
    /// stays short for streams of many GiB.
    fn compact(&mut self) {
        if let [
            ..,
            (length, Source::Synthetic { seed, start }),
            (
                more,
                Source::Synthetic {
                    seed: seed2,
                    start: start2,
                },
            ),
        ] = self.sources.as_mut_slice()
            && seed == seed2
            && *start + *length == *start2
        {
            *length += *more;
            self.sources.pop();
        }
    }

    /// Looks for a stamp in the pending bytes and checks what it promises.
    fn probe(&mut self) {
        let Some((at, seed, block)) = find_stamp(&self.pending) else {
            return;
        };
        let Some(start) = block
            .checked_mul(BLOCK as u64)
            .and_then(|offset| offset.checked_sub(at as u64))
        else {
            return;
        };
        self.scratch.resize(self.pending.len(), 0);
        synthetic(seed, start, &mut self.scratch);
        if self.scratch == self.pending {
            let length = self.pending.len() as u64;
            self.sources
                .push((length, Source::Synthetic { seed, start }));
            self.compact();
            self.pending.clear();
            self.probed = false;
            self.run = Some((seed, start + length));
        }
    }

    /// Writes the pending bytes to the file; keeps them in memory when there is none.
    fn spill(&mut self) {
        self.probed = false;
        if self.pending.is_empty() {
            return;
        }
        let length = self.pending.len() as u64;
        if self.file.is_none() {
            self.file = scratch_file().map(|file| (Arc::new(file), 0));
        }
        let source = match &mut self.file {
            Some((file, end)) if file.write_all_at(&self.pending, *end).is_ok() => {
                let start = *end;
                *end += length;
                Source::File {
                    file: file.clone(),
                    start,
                }
            }
            _ => Source::Bytes(Bytes::copy_from_slice(&self.pending)),
        };
        self.pending.clear();
        self.sources.push((length, source));
    }

    /// The content.
    pub fn finish(mut self) -> Blob {
        if !self.pending.is_empty() {
            let rest = std::mem::take(&mut self.pending);
            self.sources
                .push((rest.len() as u64, Source::Bytes(Bytes::from(rest))));
        }
        Blob::from_sources(self.sources)
    }
}

/// A file without a name in the temporary directory.
fn scratch_file() -> Option<File> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = format!(
        "panfuse-sim-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let path = std::env::temp_dir().join(name);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .ok()?;
    std::fs::remove_file(&path).ok()?;
    Some(file)
}

#[cfg(test)]
mod tests {
    use super::super::digest::HashKind;
    use super::*;

    fn record(data: &[u8], chunk: usize) -> Blob {
        let mut recorder = Recorder::new();
        for piece in data.chunks(chunk) {
            recorder.push(piece);
        }
        recorder.finish()
    }

    #[test]
    fn a_synthetic_stream_is_recognised_and_keeps_its_bytes() {
        let blob = Blob::synthetic(42, 5_000_000);
        let whole = blob.read(0, u64::MAX);
        for chunk in [1000, 16 << 10, 1 << 20] {
            assert!(record(&whole, chunk).is(&blob), "chunks of {chunk}");
        }
        // In parts at odd places, as an upload comes.
        let first = record(&whole[..1_234_567], 65_536);
        let second = record(&whole[1_234_567..], 65_536);
        assert!(Blob::join([&first, &second]).is(&blob));
    }

    #[test]
    fn other_bytes_come_back_as_they_were() {
        let mut data = Blob::synthetic(1, 3_000_000).read(0, u64::MAX).to_vec();
        data[1_500_000] ^= 1;
        data.splice(0..0, b"prefix that is not synthetic".repeat(200));
        let kept = record(&data, 10_000);
        assert_eq!(kept.read(0, u64::MAX), data);
        let noise: Vec<u8> = (0..2_500_000_u32)
            .map(|i| (i * 7 + i / 251) as u8)
            .collect();
        let kept = record(&noise, 30_000);
        assert_eq!(kept.size(), 2_500_000);
        assert_eq!(kept.read(999_990, 100_000), noise[999_990..1_099_990]);
        assert_eq!(
            kept.digest_now(HashKind::Md5),
            Blob::bytes(noise).digest_now(HashKind::Md5)
        );
    }
}
