//! Hashes of a file while its parts are written.
//!
//! Parts come in any order, hashes want them in theirs. A part that comes in order is hashed
//! from memory; those that were written before their turn are read back, mostly from the page
//! cache, so nothing is kept in memory. After a restart everything is read back once.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::index::{Digests, KINDS};
use crate::fingerprint::{Hasher, Kind};

/// Parts one call hashes at most; the rest is left to the next one.
const TURN: usize = 8;
/// Pieces below this are not worth threads.
const SMALL: usize = 256 << 10;

/// The hashes of one file under way.
pub struct Hashing {
    size: u64,
    part_size: u64,
    state: Mutex<State>,
}

struct State {
    written: BTreeSet<u32>,
    next: u32,
    /// Taken while somebody hashes; gone for good when reading back failed.
    hashers: Option<Vec<(Kind, Hasher)>>,
}

impl Hashing {
    /// For a file of `size` bytes of which some parts are there already.
    pub fn new(size: u64, part_size: u64, written: impl IntoIterator<Item = u32>) -> Self {
        let hashers = KINDS.map(|kind| (kind, Hasher::new(kind, size)));
        Hashing {
            size,
            part_size: part_size.max(1),
            state: Mutex::new(State {
                written: written.into_iter().collect(),
                next: 1,
                hashers: Some(hashers.into()),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of parts that hold bytes.
    fn parts(&self) -> u32 {
        u32::try_from(self.size.div_ceil(self.part_size)).unwrap_or(u32::MAX)
    }

    /// Whether this part is written.
    pub fn has(&self, number: u32) -> bool {
        self.state().written.contains(&number)
    }

    /// The parts that are written.
    pub fn written(&self) -> Vec<u32> {
        self.state().written.iter().copied().collect()
    }

    /// The first part that is missing.
    pub fn missing(&self) -> Option<u32> {
        let state = self.state();
        (1..=self.parts()).find(|number| !state.written.contains(number))
    }

    /// Notes a part as written and hashes what is next.
    pub fn wrote(&self, number: u32, bytes: &[u8], file: &File) {
        self.state().written.insert(number);
        self.turn(file, Some((number, bytes)));
    }

    /// Hashes some of what is written. Returns whether there is more to do.
    pub fn catch_up(&self, file: &File) -> bool {
        self.turn(file, None)
    }

    fn turn(&self, file: &File, fresh: Option<(u32, &[u8])>) -> bool {
        for _ in 0..TURN {
            let (number, mut hashers) = {
                let mut state = self.state();
                if !state.written.contains(&state.next) || state.next > self.parts() {
                    return false;
                }
                let number = state.next;
                let Some(hashers) = state.hashers.take() else {
                    return false;
                };
                (number, hashers)
            };
            match fresh {
                Some((fresh, bytes)) if fresh == number => update(&mut hashers, bytes),
                _ => match self.read_back(file, number) {
                    Ok(bytes) => update(&mut hashers, &bytes),
                    Err(error) => {
                        tracing::warn!(%error, "a written part could not be read back");
                        return false;
                    }
                },
            }
            let mut state = self.state();
            state.hashers = Some(hashers);
            state.next = number.saturating_add(1);
        }
        true
    }

    fn read_back(&self, file: &File, number: u32) -> std::io::Result<Vec<u8>> {
        let start = u64::from(number.saturating_sub(1)).saturating_mul(self.part_size);
        let length = self.part_size.min(self.size.saturating_sub(start));
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        file.read_exact_at(&mut bytes, start)?;
        Ok(bytes)
    }

    /// The values, when every byte was hashed.
    pub fn digests(&self, at_ms: i64) -> Option<Digests> {
        let mut state = self.state();
        if state.next <= self.parts() {
            return None;
        }
        let values: Vec<(Kind, String)> = state
            .hashers
            .take()?
            .into_iter()
            .map(|(kind, hasher)| (kind, hasher.finish()))
            .collect();
        let value = |kind| {
            values
                .iter()
                .find(|(k, _)| *k == kind)
                .map(|(_, value)| value.as_str().into())
        };
        Some(Digests {
            md5: value(Kind::Md5)?,
            sha1: value(Kind::Sha1)?,
            sha256: value(Kind::Sha256)?,
            at_ms,
        })
    }
}

fn update(hashers: &mut [(Kind, Hasher)], bytes: &[u8]) {
    if bytes.len() < SMALL {
        for (_, hasher) in hashers {
            hasher.update(bytes);
        }
        return;
    }
    std::thread::scope(|scope| {
        for (_, hasher) in hashers {
            scope.spawn(|| hasher.update(bytes));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::hash_all;

    fn expected(bytes: &[u8]) -> Vec<String> {
        hash_all(&KINDS, bytes)
            .into_iter()
            .map(|(_, v)| v)
            .collect()
    }

    fn values(digests: &Digests) -> Vec<String> {
        KINDS
            .iter()
            .map(|kind| digests.get(*kind).unwrap().to_string())
            .collect()
    }

    #[test]
    fn parts_in_any_order_hash_to_the_whole() {
        let bytes: Vec<u8> = (0..SMALL * 3 + 3).map(|i| (i * 31 % 251) as u8).collect();
        let part = SMALL + 5;
        let file = tempfile::tempfile().unwrap();
        let hashing = Hashing::new(bytes.len() as u64, part as u64, []);
        for number in [3u32, 1, 2] {
            assert_eq!(hashing.digests(0), None);
            let start = (number as usize - 1) * part;
            let piece = &bytes[start..bytes.len().min(start + part)];
            file.write_all_at(piece, start as u64).unwrap();
            hashing.wrote(number, piece, &file);
        }
        assert_eq!(
            (hashing.missing(), hashing.written()),
            (None, vec![1, 2, 3])
        );
        assert_eq!(values(&hashing.digests(9).unwrap()), expected(&bytes));
    }

    #[test]
    fn after_a_restart_everything_is_read_back() {
        let bytes = vec![7u8; 100];
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        let hashing = Hashing::new(100, 10, 1..=9);
        assert_eq!(hashing.missing(), Some(10));
        while hashing.catch_up(&file) {}
        assert_eq!(hashing.digests(0), None);
        hashing.wrote(10, &bytes[90..], &file);
        assert_eq!(values(&hashing.digests(0).unwrap()), expected(&bytes));
    }

    #[test]
    fn what_cannot_be_read_back_has_no_hash() {
        let file = tempfile::tempfile().unwrap();
        let hashing = Hashing::new(100, 10, 1..=10);
        assert!(!hashing.catch_up(&file));
        assert_eq!(hashing.digests(0), None);
    }

    #[test]
    fn an_empty_file_has_hashes_at_once() {
        let hashing = Hashing::new(0, 10, []);
        assert_eq!(hashing.missing(), None);
        assert_eq!(values(&hashing.digests(0).unwrap()), expected(b""));
    }
}
