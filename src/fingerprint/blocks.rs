//! One digest per consecutive block: what gcid and the block and slice lists share.

use md5::Digest;
use md5::digest::Output;

/// Digests consecutive blocks of one size, the last of which may be shorter.
pub(super) struct Blocks<D> {
    digest: D,
    block: u64,
    filled: u64,
}

impl<D: Digest> Blocks<D> {
    /// Blocks of `block` bytes. A block of zero bytes means nothing; it counts as one byte.
    pub(super) fn new(block: u64) -> Self {
        Blocks {
            digest: D::new(),
            block: block.max(1),
            filled: 0,
        }
    }

    /// Takes the next bytes and hands the digest of every block they complete to `done`.
    pub(super) fn update(&mut self, mut data: &[u8], mut done: impl FnMut(Output<D>)) {
        while !data.is_empty() {
            let room = usize::try_from(self.block - self.filled).unwrap_or(usize::MAX);
            let (piece, rest) = data.split_at(data.len().min(room));
            self.digest.update(piece);
            self.filled += piece.len() as u64;
            data = rest;
            if self.filled == self.block {
                self.filled = 0;
                done(std::mem::replace(&mut self.digest, D::new()).finalize());
            }
        }
    }

    /// The digest of the last, shorter block. `None` when the bytes ended with a block (or
    /// there were none): there is no empty trailing block.
    pub(super) fn finish(self) -> Option<Output<D>> {
        (self.filled > 0).then(|| self.digest.finalize())
    }
}
