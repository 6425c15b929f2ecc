//! Adler-32, which Feishu and Lark want as decimal text with an upload and each of its parts
//! (sheet `lark_drive`). It guards a transfer and names no content.

const MODULUS: u32 = 65521;
/// The most bytes whose sums fit 32 bits before they must be reduced.
const RUN: usize = 5552;

/// An Adler-32 under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adler32 {
    a: u32,
    b: u32,
}

impl Default for Adler32 {
    fn default() -> Self {
        Adler32 { a: 1, b: 0 }
    }
}

impl Adler32 {
    /// Before the first byte.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, data: &[u8]) {
        for run in data.chunks(RUN) {
            for byte in run {
                self.a += u32::from(*byte);
                self.b += self.a;
            }
            self.a %= MODULUS;
            self.b %= MODULUS;
        }
    }

    /// The checksum; the service wants it in decimal.
    pub fn finish(self) -> u32 {
        self.b << 16 | self.a
    }
}

/// The Adler-32 of bytes at hand.
pub fn adler32(data: &[u8]) -> u32 {
    let mut sum = Adler32::new();
    sum.update(data);
    sum.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_run_does_not_overflow() {
        // Sums of a run start at most at 65520 each.
        let mut sum = Adler32 { a: 65520, b: 65520 };
        sum.update(&[255; RUN]);
        assert!(sum.a < MODULUS && sum.b < MODULUS);
    }

    #[test]
    fn pieces_equal_the_whole() {
        let content: Vec<u8> = (0..20_000u32).map(|i| (i % 256) as u8).collect();
        let mut sum = Adler32::new();
        content.chunks(777).for_each(|piece| sum.update(piece));
        assert_eq!(sum.finish(), adler32(&content));
        assert_eq!(adler32(b"Wikipedia"), 300_286_872);
    }
}
