//! Adler-32 (section 7.2): a = 1 + the sum of the bytes, b = the sum of the running a, both
//! modulo 65521; the value is b * 65536 + a.

use super::super::content::Blob;

const MODULUS: u32 = 65_521;
/// So many bytes of 255 fit into 32 bits before the sums must be reduced.
const RUN: usize = 5552;
/// Bytes read at a time.
const CHUNK: u64 = 256 << 10;

/// Adler-32 of a content.
pub(super) fn adler32(blob: &Blob) -> u32 {
    let (mut a, mut b) = (1_u32, 0_u32);
    let mut at = 0;
    while at < blob.size() {
        let bytes = blob.read(at, CHUNK);
        for run in bytes.chunks(RUN) {
            for byte in run {
                a += u32::from(*byte);
                b += a;
            }
            a %= MODULUS;
            b %= MODULUS;
        }
        at += CHUNK;
    }
    (b << 16) | a
}

/// Whether a checksum, as a client sent it, is the one of a content: decimal text.
pub(super) fn fits(blob: &Blob, sent: &str) -> bool {
    sent.bytes().all(|byte| byte.is_ascii_digit()) && sent.parse() == Ok(adler32(blob))
}
