//! Lists of block and slice MD5s: Baidu's `block_list` (sheet `baidu_netdisk` 5.3), 123's
//! `sliceMD5` (sheet `123_open`), CloudDrive2's `block_hashes` (sheet `clouddrive2` 5), and
//! Tianyi's `sliceMd5` made from such a list (sheet `189cloud` 6.1).

use md5::{Digest, Md5};

use super::blocks::Blocks;
use super::{hex_lower, hex_upper};

const MIB: u64 = 1 << 20;

/// Collects the MD5 of every block of one size in one pass.
pub struct BlockMd5s {
    blocks: Blocks<Md5>,
    list: Vec<[u8; 16]>,
}

impl BlockMd5s {
    /// Blocks of `block` bytes.
    pub fn new(block: u64) -> Self {
        BlockMd5s {
            blocks: Blocks::new(block),
            list: Vec::new(),
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, data: &[u8]) {
        let list = &mut self.list;
        self.blocks.update(data, |digest| list.push(digest.into()));
    }

    /// The raw MD5s in order; the last block may be shorter. Empty for an empty content.
    pub fn finish(mut self) -> Vec<[u8; 16]> {
        if let Some(digest) = self.blocks.finish() {
            self.list.push(digest.into());
        }
        self.list
    }
}

/// The block list as text: lower hex, comma separated, order and repetitions kept. An empty
/// content has one empty block, as Baidu has it ("one element = content-md5 when size <= slice").
pub fn block_list_text(blocks: &[[u8; 16]]) -> String {
    if blocks.is_empty() {
        return hex_lower(&Md5::digest([]));
    }
    let texts: Vec<String> = blocks.iter().map(|block| hex_lower(block)).collect();
    texts.join(",")
}

/// Tianyi's slice MD5 from the MD5s of all slices: the MD5 itself when there is at most one
/// slice, else the MD5 of the upper hex MD5s joined with a line feed (lower hex gives a wrong
/// value). 32 lower hex digits here; the service wants upper case.
pub fn slice_md5_text(slices: &[[u8; 16]]) -> String {
    match slices {
        [] => hex_lower(&Md5::digest([])),
        [only] => hex_lower(only),
        many => {
            let mut md5 = Md5::new();
            for (index, slice) in many.iter().enumerate() {
                if index > 0 {
                    md5.update(b"\n");
                }
                md5.update(hex_upper(slice));
            }
            hex_lower(&md5.finalize())
        }
    }
}

/// The slice size Tianyi demands for a content of `size` bytes (sheet `189cloud` 6.1): 10 MiB
/// up to 999 slices, 20 MiB up to 999 of those, then the least multiple of 10 MiB, at least
/// 50 MiB, that makes at most 1,999 slices.
pub fn tianyi_slice_size(size: u64) -> u64 {
    const STEP: u64 = 10 * MIB;
    if size <= 999 * STEP {
        STEP
    } else if size <= 1998 * STEP {
        2 * STEP
    } else {
        size.div_ceil(1999 * STEP).max(5) * STEP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(block: u64, data: &[u8]) -> Vec<[u8; 16]> {
        let mut md5s = BlockMd5s::new(block);
        md5s.update(data);
        md5s.finish()
    }

    #[test]
    fn equal_blocks_stay_in_the_list() {
        let md5s = list(4, b"aaaaaaaab");
        assert_eq!(md5s.len(), 3);
        assert_eq!(md5s[0], md5s[1]);
        assert_eq!(block_list_text(&md5s).split(',').count(), 3);
    }

    #[test]
    fn an_empty_content_has_one_empty_block() {
        assert!(list(4, b"").is_empty());
        assert_eq!(block_list_text(&[]), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(slice_md5_text(&[]), "d41d8cd98f00b204e9800998ecf8427e");
    }

    #[test]
    fn slices_are_joined_in_upper_case_by_line_feeds() {
        let md5s = list(1, b"ab");
        let joined = "0CC175B9C0F1B6A831C399E269772661\n92EB5FFEE6AE2FEC3AD71C777531578F";
        assert_eq!(slice_md5_text(&md5s), hex_lower(&Md5::digest(joined)));
        assert_eq!(
            slice_md5_text(&list(2, b"ab")),
            hex_lower(&Md5::digest("ab"))
        );
    }

    #[test]
    fn a_block_of_zero_bytes_does_not_hang() {
        assert_eq!(list(0, b"ab").len(), 2);
    }
}
