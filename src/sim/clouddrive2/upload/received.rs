//! The bytes an upload has received: every range is kept once and compared with what comes
//! again.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::super::super::content::{Blob, find_stamp};
use super::super::super::recorder::Recorder;

/// Bytes that are kept as one piece. Below what a recorder gives a file of its own.
const PIECE: usize = 512 << 10;

/// Received ranges by offset. They do not overlap.
#[derive(Default)]
pub(in super::super) struct Received {
    pieces: BTreeMap<u64, Blob>,
    total: u64,
}

impl Received {
    /// Distinct bytes.
    pub(in super::super) fn total(&self) -> u64 {
        self.total
    }

    /// Keeps nothing but the number of bytes.
    pub(in super::super) fn release(&mut self) {
        self.pieces.clear();
    }

    /// Takes the bytes at `offset`. False when they are not what was there before.
    pub(in super::super) fn put(&mut self, offset: u64, mut data: Bytes) -> bool {
        let mut at = offset;
        let mut same = true;
        while !data.is_empty() {
            let before = self.pieces.range(..=at).next_back();
            let known = before
                .map(|(start, blob)| (at - start, blob))
                .filter(|(inside, blob)| *inside < blob.size());
            if let Some((inside, blob)) = known {
                let length = (blob.size() - inside).min(data.len() as u64);
                let part = data.split_to(length as usize);
                same &= blob.read(inside, length) == part;
                at += length;
                continue;
            }
            let next = self.pieces.range(at..).next();
            let free = next.map_or(u64::MAX, |(start, _)| start - at);
            let length = free.min(data.len() as u64).min(PIECE as u64);
            let part = data.split_to(length as usize);
            let mut recorder = Recorder::new();
            recorder.push(&part);
            self.pieces.insert(at, recorder.finish());
            self.total += length;
            at += length;
        }
        same
    }

    /// The content, when all `size` bytes are there.
    pub(in super::super) async fn whole(pieces: Vec<(u64, Blob)>, size: u64) -> Option<Blob> {
        let mut at = 0;
        for (start, blob) in &pieces {
            if *start != at {
                return None;
            }
            at += blob.size();
        }
        if at != size {
            return None;
        }
        let blob = Blob::join(pieces.iter().map(|(_, blob)| blob));
        let plain = find_stamp(&blob.read(0, 8192))
            .is_some_and(|(_, seed, _)| blob.is(&Blob::synthetic(seed, size)));
        if plain || size <= PIECE as u64 {
            return Some(blob);
        }
        // What was not recognised in pieces may be as a whole; else it goes to a file.
        let again = tokio::task::spawn_blocking(move || {
            let mut recorder = Recorder::new();
            let mut at = 0;
            while at < size {
                recorder.push(&blob.read(at, 1 << 20));
                at += 1 << 20;
            }
            recorder.finish()
        });
        again.await.ok()
    }

    /// The pieces, in order.
    pub(in super::super) fn pieces(&self) -> Vec<(u64, Blob)> {
        let all = self.pieces.iter();
        all.map(|(at, blob)| (*at, blob.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pieces_in_any_order_and_compared() {
        let blob = Blob::synthetic(9, 3_000_000);
        let part = |from: u64, length: u64| blob.read(from, length);
        let mut received = Received::default();
        assert!(received.put(2_000_000, part(2_000_000, 1_000_000)));
        assert!(received.put(0, part(0, 1_500_000)));
        assert!(
            Received::whole(received.pieces(), 3_000_000)
                .await
                .is_none()
        );
        // Over both neighbours.
        assert!(received.put(1_000_000, part(1_000_000, 1_500_000)));
        assert_eq!(received.total(), 3_000_000);
        let whole = Received::whole(received.pieces(), 3_000_000).await;
        assert!(whole.unwrap().is(&blob));
        assert!(
            Received::whole(received.pieces(), 3_000_001)
                .await
                .is_none()
        );
        let mut bad = part(999_000, 5000).to_vec();
        bad[4999] ^= 1;
        assert!(!received.put(999_000, bad.into()));
        assert_eq!(received.total(), 3_000_000);
    }
}
