//! Digests of contents, computed from the sheets' words with the hash crates directly:
//! the drivers' own algorithms are checked against these.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use tokio::runtime::RuntimeFlavor;

use super::content::Blob;

/// What can be computed over a content. Hex is lower case; simulators change the case as
/// their provider shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HashKind {
    /// MD5, 32 hex.
    Md5,
    /// SHA-1, 40 hex.
    Sha1,
    /// SHA-256, 64 hex.
    Sha256,
    /// CRC-64/XZ, 16 hex.
    Crc64,
    /// SHA-1 over the SHA-1s of blocks of 256 KiB to 2 MiB (pikpak.md section 5.1), 40 hex.
    Gcid,
    /// SHA-1 over three windows of 20 KiB (pikpak.md section 5.2), 40 hex.
    Cid,
    /// MD5 of each block of so many bytes, comma separated; one MD5 of nothing when empty.
    BlockMd5(u64),
    /// 189's slice md5 for slices of so many bytes: with one slice the MD5, else the MD5 of
    /// the joined upper-case slice MD5s (separated by line feeds).
    SliceMd5(u64),
    /// MD5 of the first so many bytes.
    HeadMd5(u64),
    /// SHA-1 of the first so many bytes.
    HeadSha1(u64),
}

impl HashKind {
    /// How many bytes must be read.
    pub(super) fn bytes_needed(self, size: u64) -> u64 {
        match self {
            HashKind::HeadMd5(n) | HashKind::HeadSha1(n) => n.min(size),
            HashKind::Cid => size.min(61_440),
            _ => size,
        }
    }
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Lower-case hex MD5 of a few bytes.
pub fn md5_hex(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

/// Lower-case hex SHA-1 of a few bytes.
pub fn sha1_hex(bytes: &[u8]) -> String {
    hex(&Sha1::digest(bytes))
}

type Known = HashMap<(u64, u64, HashKind), String>;

/// Digests of plain synthetic contents, kept for the whole process: every world seeds the
/// same few, and hashing 10 GiB twice helps nobody.
static SYNTHETIC: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

/// The digests of one content.
pub(super) struct DigestCache {
    identity: Option<(u64, u64)>,
    own: Mutex<HashMap<HashKind, String>>,
    /// Held while hashing, so that a second asker waits instead of hashing as well.
    computing: Mutex<()>,
}

impl DigestCache {
    pub(super) fn new(identity: Option<(u64, u64)>) -> DigestCache {
        DigestCache {
            identity,
            own: Mutex::default(),
            computing: Mutex::default(),
        }
    }

    /// Seed and size of a plain synthetic content.
    pub(super) fn identity(&self) -> Option<(u64, u64)> {
        self.identity
    }

    pub(super) fn get(&self, kind: HashKind) -> Option<String> {
        if let Some((seed, size)) = self.identity {
            let known = SYNTHETIC.lock().unwrap_or_else(PoisonError::into_inner);
            return known.get(&(seed, size, kind)).cloned();
        }
        self.own
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&kind)
            .cloned()
    }

    pub(super) fn get_or_compute(&self, blob: &Blob, kind: HashKind) -> String {
        let _turn = self
            .computing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = self.get(kind) {
            return known;
        }
        // On a worker of a runtime the other tasks move to another thread meanwhile.
        let on_worker = kind.bytes_needed(blob.size()) > 1 << 20
            && tokio::runtime::Handle::try_current()
                .is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
        let value = match on_worker {
            true => tokio::task::block_in_place(|| compute(blob, kind)),
            false => compute(blob, kind),
        };
        match self.identity {
            Some((seed, size)) => {
                let mut known = SYNTHETIC.lock().unwrap_or_else(PoisonError::into_inner);
                known.insert((seed, size, kind), value.clone());
            }
            None => {
                let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
                own.insert(kind, value.clone());
            }
        }
        value
    }
}

/// Calls `sink` with the content's bytes `[from, to)` in buffers of at most 1 MiB.
fn each(blob: &Blob, from: u64, to: u64, mut sink: impl FnMut(&[u8])) {
    let mut buffer = vec![0; (to.saturating_sub(from)).min(1 << 20) as usize];
    let mut at = from;
    while at < to {
        let length = (to - at).min(1 << 20) as usize;
        blob.read_into(at, &mut buffer[..length]);
        sink(&buffer[..length]);
        at += length as u64;
    }
}

fn over<D: Digest>(blob: &Blob, from: u64, to: u64) -> Vec<u8> {
    let mut hasher = D::new();
    each(blob, from, to, |bytes| hasher.update(bytes));
    hasher.finalize().to_vec()
}

/// The digest of every block of `block` bytes; one of nothing when the content is empty.
fn blocks<D: Digest>(blob: &Blob, block: u64) -> Vec<Vec<u8>> {
    let block = block.max(1);
    let mut all = Vec::new();
    let mut at = 0_u64;
    loop {
        let end = at.saturating_add(block).min(blob.size());
        all.push(over::<D>(blob, at, end));
        at = end;
        if at >= blob.size() {
            return all;
        }
    }
}

fn compute(blob: &Blob, kind: HashKind) -> String {
    let size = blob.size();
    match kind {
        HashKind::Md5 => hex(&over::<Md5>(blob, 0, size)),
        HashKind::Sha1 => hex(&over::<Sha1>(blob, 0, size)),
        HashKind::Sha256 => hex(&over::<Sha256>(blob, 0, size)),
        HashKind::Crc64 => {
            let mut crc = crc64fast::Digest::new();
            each(blob, 0, size, |bytes| crc.write(bytes));
            format!("{:016x}", crc.sum64())
        }
        HashKind::HeadMd5(n) => hex(&over::<Md5>(blob, 0, n.min(size))),
        HashKind::HeadSha1(n) => hex(&over::<Sha1>(blob, 0, n.min(size))),
        HashKind::BlockMd5(block) => {
            let all: Vec<String> = blocks::<Md5>(blob, block).iter().map(|d| hex(d)).collect();
            all.join(",")
        }
        HashKind::SliceMd5(slice) => {
            let all = blocks::<Md5>(blob, slice);
            match all.as_slice() {
                [only] => hex(only),
                many => {
                    let upper: Vec<String> = many.iter().map(|d| hex(d).to_uppercase()).collect();
                    md5_hex(upper.join("\n").as_bytes())
                }
            }
        }
        HashKind::Gcid => {
            let block = match size {
                0..=0x0800_0000 => 256 << 10,
                0x0800_0001..=0x1000_0000 => 512 << 10,
                0x1000_0001..=0x2000_0000 => 1 << 20,
                _ => 2 << 20,
            };
            let mut outer = Sha1::new();
            if size > 0 {
                for inner in blocks::<Sha1>(blob, block) {
                    outer.update(&inner);
                }
            }
            hex(&outer.finalize())
        }
        HashKind::Cid => {
            const WINDOW: u64 = 20_480;
            if size < 3 * WINDOW {
                return hex(&over::<Sha1>(blob, 0, size));
            }
            let mut hasher = Sha1::new();
            for start in [0, size / 3, size - WINDOW] {
                hasher.update(blob.read(start, WINDOW));
            }
            hex(&hasher.finalize())
        }
    }
}
