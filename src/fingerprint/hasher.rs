//! One incremental hasher per kind behind one interface.

use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;

use super::cid::Cid;
use super::gcid::Gcid;
use super::{BlockMd5s, Kind, block_list_text, hex_lower, slice_md5_text};

/// Computes one fingerprint in one sequential pass.
pub struct Hasher(Inner);

enum Inner {
    Md5(Md5),
    Sha1(Sha1),
    Sha256(Sha256),
    Crc64(crc64fast::Digest),
    Gcid(Gcid),
    Cid(Cid),
    BlockList(BlockMd5s),
    Slices(BlockMd5s),
    HeadMd5(Head<Md5>),
    HeadSha1(Head<Sha1>),
}

/// A digest of the first bytes only.
struct Head<D> {
    digest: D,
    left: u64,
}

impl<D: Digest> Head<D> {
    fn new(len: u64) -> Self {
        Head {
            digest: D::new(),
            left: len,
        }
    }

    fn update(&mut self, data: &[u8]) {
        let len = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(data.len());
        self.digest.update(&data[..len]);
        self.left -= len as u64;
    }
}

impl Hasher {
    /// A hasher for `kind` over a content of exactly `size` bytes. Gcid's blocks and CID's
    /// windows depend on the size: with another number of bytes their value means nothing
    /// ([`super::Pipeline`] checks the number).
    pub fn new(kind: Kind, size: u64) -> Self {
        Hasher(match kind {
            Kind::Md5 => Inner::Md5(Md5::new()),
            Kind::Sha1 => Inner::Sha1(Sha1::new()),
            Kind::Sha256 => Inner::Sha256(Sha256::new()),
            Kind::Crc64 => Inner::Crc64(crc64fast::Digest::new()),
            Kind::Gcid => Inner::Gcid(Gcid::new(size)),
            Kind::Cid => Inner::Cid(Cid::new(size)),
            Kind::BlockListMd5 { block } => Inner::BlockList(BlockMd5s::new(block)),
            Kind::SliceMd5 { slice } => Inner::Slices(BlockMd5s::new(slice)),
            Kind::HeadMd5 { len } => Inner::HeadMd5(Head::new(len)),
            Kind::HeadSha1 { len } => Inner::HeadSha1(Head::new(len)),
        })
    }

    /// Takes the next bytes.
    pub fn update(&mut self, data: &[u8]) {
        match &mut self.0 {
            Inner::Md5(md5) => md5.update(data),
            Inner::Sha1(sha1) => sha1.update(data),
            Inner::Sha256(sha256) => sha256.update(data),
            Inner::Crc64(crc64) => crc64.write(data),
            Inner::Gcid(gcid) => gcid.update(data),
            Inner::Cid(cid) => cid.update(data),
            Inner::BlockList(md5s) | Inner::Slices(md5s) => md5s.update(data),
            Inner::HeadMd5(head) => head.update(data),
            Inner::HeadSha1(head) => head.update(data),
        }
    }

    /// The value in the normal spelling of the kind (see [`Kind`]).
    pub fn finish(self) -> String {
        match self.0 {
            Inner::Md5(md5) => hex_lower(&md5.finalize()),
            Inner::Sha1(sha1) => hex_lower(&sha1.finalize()),
            Inner::Sha256(sha256) => hex_lower(&sha256.finalize()),
            Inner::Crc64(crc64) => format!("{:016X}", crc64.sum64()),
            Inner::Gcid(gcid) => gcid.finish(),
            Inner::Cid(cid) => cid.finish(),
            Inner::BlockList(md5s) => block_list_text(&md5s.finish()),
            Inner::Slices(md5s) => slice_md5_text(&md5s.finish()),
            Inner::HeadMd5(head) => hex_lower(&head.digest.finalize()),
            Inner::HeadSha1(head) => hex_lower(&head.digest.finalize()),
        }
    }
}

/// The values of all `kinds` over bytes that are at hand, in the order asked for.
pub fn hash_all(kinds: &[Kind], bytes: &[u8]) -> Vec<(Kind, String)> {
    kinds
        .iter()
        .map(|kind| {
            let mut hasher = Hasher::new(*kind, bytes.len() as u64);
            hasher.update(bytes);
            (*kind, hasher.finish())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::normalise;
    use super::*;

    #[test]
    fn published_values() {
        let kinds = [
            Kind::Md5,
            Kind::Sha1,
            Kind::Sha256,
            Kind::Crc64,
            Kind::BAIDU_BLOCKS,
            Kind::HeadMd5 { len: 3 },
            Kind::HeadSha1 { len: 100 },
        ];
        let expected = [
            "25f9e794323b453885f5181f1b624d0b",
            "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
            "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
            "995DC9BBDF1939FA",
            "25f9e794323b453885f5181f1b624d0b",
            "202cb962ac59075b964b07152d234b70",
            "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
        ];
        for ((kind, value), expected) in hash_all(&kinds, b"123456789").into_iter().zip(expected) {
            assert_eq!(value, expected, "{kind}");
        }
    }

    #[test]
    fn every_value_is_in_its_normal_spelling() {
        let kinds = Kind::CONTENT.into_iter().chain([
            Kind::Cid,
            Kind::BlockListMd5 { block: 1000 },
            Kind::SliceMd5 { slice: 1000 },
            Kind::HeadMd5 { len: 10 },
            Kind::HeadSha1 { len: 10 },
        ]);
        for kind in kinds {
            for size in [0, 1, 1000, 70_001] {
                for (_, value) in hash_all(&[kind], &vec![b'x'; size]) {
                    assert_eq!(
                        normalise(kind, &value).as_ref(),
                        Some(&value),
                        "{kind} {size}"
                    );
                }
            }
        }
    }
}
