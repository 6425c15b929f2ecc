//! Xunlei's gcid, shared by Xunlei, PikPak and Guangya (sheet `pikpak` 5.1, `xunlei` 5,
//! `guangya` 5) and called PikPakSha1 by CloudDrive2 (sheet `clouddrive2` 5).

use sha1::{Digest, Sha1};

use super::blocks::Blocks;
use super::hex_upper;

/// The block size for a content of `size` bytes: 256 KiB up to and including 128 MiB, doubled
/// with each doubling of the size, at most 2 MiB.
pub fn gcid_block_size(size: u64) -> u64 {
    match size {
        0..=0x0800_0000 => 256 << 10,
        0x0800_0001..=0x1000_0000 => 512 << 10,
        0x1000_0001..=0x2000_0000 => 1 << 20,
        _ => 2 << 20,
    }
}

/// Computes a gcid in one pass: SHA-1 over the raw SHA-1s of all blocks.
pub(super) struct Gcid {
    blocks: Blocks<Sha1>,
    whole: Sha1,
}

impl Gcid {
    /// `size` is the size of the whole content; it decides the block size.
    pub(super) fn new(size: u64) -> Self {
        Gcid {
            blocks: Blocks::new(gcid_block_size(size)),
            whole: Sha1::new(),
        }
    }

    pub(super) fn update(&mut self, data: &[u8]) {
        let whole = &mut self.whole;
        self.blocks.update(data, |digest| whole.update(digest));
    }

    pub(super) fn finish(mut self) -> String {
        if let Some(digest) = self.blocks.finish() {
            self.whole.update(digest);
        }
        hex_upper(&self.whole.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_switches_above_its_borders() {
        const MIB: u64 = 1 << 20;
        let table = [
            (0, 256 << 10),
            (128 * MIB, 256 << 10),
            (128 * MIB + 1, 512 << 10),
            (256 * MIB, 512 << 10),
            (256 * MIB + 1, MIB),
            (512 * MIB, MIB),
            (512 * MIB + 1, 2 * MIB),
            (u64::MAX, 2 * MIB),
        ];
        for (size, block) in table {
            assert_eq!(gcid_block_size(size), block, "size {size}");
        }
    }

    #[test]
    fn a_full_last_block_adds_no_empty_one() {
        let mut gcid = Gcid::new(256 << 10);
        gcid.update(&vec![7; 256 << 10]);
        let once = Sha1::digest(Sha1::digest(vec![7; 256 << 10]));
        assert_eq!(gcid.finish(), hex_upper(&once));
    }
}
