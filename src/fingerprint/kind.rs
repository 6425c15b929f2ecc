//! The kinds of fingerprint. A kind carries its parameters, so that two values of one
//! kind are always comparable.

use std::fmt;

/// A kind of fingerprint over a whole content, with its parameters.
///
/// The text form (see [`fmt::Display`] and [`Kind::parse`]) is stable: the catalog, the
/// journal and the knowledge base store it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// MD5 of the whole content, 32 lower hex digits.
    Md5,
    /// SHA-1 of the whole content, 40 lower hex digits.
    Sha1,
    /// SHA-256 of the whole content, 64 lower hex digits.
    Sha256,
    /// CRC-64/XZ of the whole content, 16 upper hex digits.
    Crc64,
    /// Xunlei's gcid: SHA-1 over block SHA-1s, 40 upper hex digits.
    Gcid,
    /// Xunlei's CID: SHA-1 over three 20 KiB windows, 40 upper hex digits.
    /// Sees only the windows: never proof of the whole content.
    Cid,
    /// MD5 of each block of `block` bytes, comma separated, order kept (Baidu: 4 MiB).
    BlockListMd5 {
        /// Block size in bytes.
        block: u64,
    },
    /// Tianyi 189's slice md5 for slices of `slice` bytes: MD5 over the joined upper hex
    /// slice MD5s when there is more than one slice, else the content's MD5; 32 lower hex.
    SliceMd5 {
        /// Slice size in bytes.
        slice: u64,
    },
    /// MD5 of the first `len` bytes or of everything when smaller (Baidu: 256 KiB).
    HeadMd5 {
        /// Length of the head in bytes.
        len: u64,
    },
    /// SHA-1 of the first `len` bytes or of everything when smaller
    /// (115 pre-id: 128 KiB; Aliyun pre-hash: 1 KiB).
    HeadSha1 {
        /// Length of the head in bytes.
        len: u64,
    },
}

impl Kind {
    /// Baidu's block list (4 MiB blocks), the one shown as the xattr `block_list_md5`.
    pub const BAIDU_BLOCKS: Kind = Kind::BlockListMd5 { block: 4 << 20 };

    /// The kinds that name a content in the mount and are shown by `listxattr`.
    pub const CONTENT: [Kind; 6] = [
        Kind::Md5,
        Kind::Sha1,
        Kind::Sha256,
        Kind::Crc64,
        Kind::Gcid,
        Kind::BAIDU_BLOCKS,
    ];

    /// The short name used in xattrs, on the command line and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Md5 => "md5",
            Kind::Sha1 => "sha1",
            Kind::Sha256 => "sha256",
            Kind::Crc64 => "crc64",
            Kind::Gcid => "gcid",
            Kind::Cid => "cid",
            Kind::BlockListMd5 { .. } => "block_list_md5",
            Kind::SliceMd5 { .. } => "slice_md5",
            Kind::HeadMd5 { .. } => "head_md5",
            Kind::HeadSha1 { .. } => "head_sha1",
        }
    }

    /// Whether equal values of this kind mean equal contents for all practical purposes.
    /// CRC-64 is a checksum, and heads and windows do not see the whole content.
    pub fn is_strong(self) -> bool {
        matches!(
            self,
            Kind::Md5
                | Kind::Sha1
                | Kind::Sha256
                | Kind::Gcid
                | Kind::BlockListMd5 { .. }
                | Kind::SliceMd5 { .. }
        )
    }

    /// How many bytes of a content of `size` bytes must be read to compute this kind.
    pub fn bytes_needed(self, size: u64) -> u64 {
        match self {
            Kind::Cid => size.min(3 * 20480),
            Kind::HeadMd5 { len } | Kind::HeadSha1 { len } => size.min(len),
            _ => size,
        }
    }

    /// Reads the text form written by [`fmt::Display`]; `None` when it is no kind of ours.
    /// A bare `block_list_md5` means Baidu's 4 MiB blocks.
    pub fn parse(text: &str) -> Option<Kind> {
        let (name, parameter) = match text.split_once(':') {
            Some((name, number)) => (name, Some(number.parse::<u64>().ok().filter(|n| *n > 0)?)),
            None => (text, None),
        };
        Some(match (name, parameter) {
            ("md5", None) => Kind::Md5,
            ("sha1", None) => Kind::Sha1,
            ("sha256", None) => Kind::Sha256,
            ("crc64", None) => Kind::Crc64,
            ("gcid", None) => Kind::Gcid,
            ("cid", None) => Kind::Cid,
            ("block_list_md5", None) => Kind::BAIDU_BLOCKS,
            ("block_list_md5", Some(block)) => Kind::BlockListMd5 { block },
            ("slice_md5", Some(slice)) => Kind::SliceMd5 { slice },
            ("head_md5", Some(len)) => Kind::HeadMd5 { len },
            ("head_sha1", Some(len)) => Kind::HeadSha1 { len },
            _ => return None,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Kind::BlockListMd5 { block: n }
            | Kind::SliceMd5 { slice: n }
            | Kind::HeadMd5 { len: n }
            | Kind::HeadSha1 { len: n } => write!(f, ":{n}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        let all = Kind::CONTENT.into_iter().chain([
            Kind::Cid,
            Kind::SliceMd5 { slice: 10 << 20 },
            Kind::HeadMd5 { len: 256 << 10 },
            Kind::HeadSha1 { len: 128 << 10 },
        ]);
        for kind in all {
            assert_eq!(Kind::parse(&kind.to_string()), Some(kind));
        }
        assert_eq!(Kind::parse("head_md5"), None);
        assert_eq!(Kind::parse("md5:3"), None);
        assert_eq!(Kind::parse("block_list_md5:0"), None);
    }
}
