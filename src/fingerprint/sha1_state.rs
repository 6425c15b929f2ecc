//! SHA-1 whose state between two parts can be told and taken up again.
//!
//! Quark and UC want it with every part but the first of a parallel upload, in the header
//! `X-Oss-Hash-Ctx` (sheet `quark` 7.2): the five chaining words after all bytes before the
//! part and the count of bits so far, split into two 32-bit halves.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha1::block_api::compress;

use super::hex_lower;

const START: [u32; 5] = [
    0x6745_2301,
    0xefcd_ab89,
    0x98ba_dcfe,
    0x1032_5476,
    0xc3d2_e1f0,
];

/// The JSON inside the header. The order of the fields is the order on the wire.
#[derive(Serialize, Deserialize)]
struct Context {
    hash_type: String,
    h0: String,
    h1: String,
    h2: String,
    h3: String,
    h4: String,
    #[serde(rename = "Nl")]
    bits_low: String,
    #[serde(rename = "Nh")]
    bits_high: String,
    data: String,
    num: String,
}

/// A SHA-1 under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sha1State {
    words: [u32; 5],
    /// Bytes so far.
    length: u64,
    /// The bytes after the last full block of 64.
    tail: [u8; 64],
}

impl Default for Sha1State {
    fn default() -> Self {
        Self::new()
    }
}

impl Sha1State {
    /// Before the first byte.
    pub fn new() -> Self {
        Sha1State {
            words: START,
            length: 0,
            tail: [0; 64],
        }
    }

    /// Goes on from a state told earlier: the chaining words h0 to h4 after `length` bytes.
    /// `None` when `length` is no multiple of 64 or too long for SHA-1's 64-bit count of bits.
    pub fn resume(words: [u32; 5], length: u64) -> Option<Self> {
        (length.is_multiple_of(64) && length <= u64::MAX / 8).then_some(Sha1State {
            words,
            length,
            tail: [0; 64],
        })
    }

    /// Goes on from a text of [`Sha1State::header`]; `None` when it is none.
    pub fn from_header(header: &str) -> Option<Self> {
        let json = STANDARD.decode(header.trim()).ok()?;
        let context: Context = serde_json::from_slice(&json).ok()?;
        if context.hash_type != "sha1" || context.num != "0" || !context.data.is_empty() {
            return None;
        }
        let number = |text: &str| text.parse::<u32>().ok();
        let words = [
            number(&context.h0)?,
            number(&context.h1)?,
            number(&context.h2)?,
            number(&context.h3)?,
            number(&context.h4)?,
        ];
        let bits =
            u64::from(number(&context.bits_high)?) << 32 | u64::from(number(&context.bits_low)?);
        bits.is_multiple_of(8)
            .then(|| Self::resume(words, bits / 8))
            .flatten()
    }

    /// The bytes taken so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The chaining words h0 to h4 (not the digest). They tell the whole state only when
    /// [`Sha1State::length`] is a multiple of 64.
    pub fn words(&self) -> [u32; 5] {
        self.words
    }

    /// Takes the next bytes.
    pub fn update(&mut self, mut data: &[u8]) {
        let filled = (self.length % 64) as usize;
        self.length = self.length.wrapping_add(data.len() as u64);
        if filled > 0 {
            let (piece, rest) = data.split_at(data.len().min(64 - filled));
            self.tail[filled..filled + piece.len()].copy_from_slice(piece);
            data = rest;
            if filled + piece.len() < 64 {
                return;
            }
            compress(&mut self.words, &[self.tail]);
        }
        let (blocks, rest) = data.as_chunks::<64>();
        compress(&mut self.words, blocks);
        self.tail[..rest.len()].copy_from_slice(rest);
    }

    /// The JSON of the state, without blanks and in the order the sheet has it. `None` when
    /// the bytes so far do not end with a full block of 64: the header has no place for a
    /// rest, and part sizes are multiples of 64.
    pub fn json(&self) -> Option<String> {
        if !self.length.is_multiple_of(64) {
            return None;
        }
        let bits = self.length.wrapping_mul(8);
        let [h0, h1, h2, h3, h4] = self.words.map(|word| word.to_string());
        let context = Context {
            hash_type: "sha1".into(),
            h0,
            h1,
            h2,
            h3,
            h4,
            bits_low: (bits & 0xffff_ffff).to_string(),
            bits_high: (bits >> 32).to_string(),
            data: String::new(),
            num: "0".into(),
        };
        serde_json::to_string(&context).ok()
    }

    /// The value of `X-Oss-Hash-Ctx` for the part that begins here: standard base64, padded,
    /// of [`Sha1State::json`]. `None` as there.
    pub fn header(&self) -> Option<String> {
        self.json().map(|json| STANDARD.encode(json))
    }

    /// The digest, 40 lower hex digits.
    pub fn finish(mut self) -> String {
        let bits = self.length.wrapping_mul(8);
        let filled = (self.length % 64) as usize;
        // One bit, zeros up to 56 bytes of a block, the count of bits.
        let zeros = (119 - filled) % 64;
        let mut padding = [0u8; 72];
        padding[0] = 0x80;
        padding[1 + zeros..9 + zeros].copy_from_slice(&bits.to_be_bytes());
        self.update(&padding[..9 + zeros]);
        let bytes: Vec<u8> = self.words.iter().flat_map(|w| w.to_be_bytes()).collect();
        hex_lower(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha1::{Digest, Sha1};

    #[test]
    fn equals_the_library_at_every_length_around_a_block() {
        let content: Vec<u8> = (0..300u32).map(|i| (i * 7) as u8).collect();
        for length in 0..content.len() {
            for step in [1, 7, 63, 64, 65, 300] {
                let mut state = Sha1State::new();
                content[..length].chunks(step).for_each(|p| state.update(p));
                let expected = hex_lower(&Sha1::digest(&content[..length]));
                assert_eq!(state.finish(), expected, "length {length}, step {step}");
            }
        }
    }

    #[test]
    fn goes_on_from_its_header() {
        let content: Vec<u8> = (0..1000u32).map(|i| (i % 251) as u8).collect();
        let mut first = Sha1State::new();
        first.update(&content[..640]);
        let mut second = Sha1State::from_header(&first.header().unwrap()).unwrap();
        assert_eq!(second.length(), 640);
        second.update(&content[640..]);
        assert_eq!(second.finish(), hex_lower(&Sha1::digest(&content)));
    }

    #[test]
    fn an_unfinished_block_has_no_header() {
        let mut state = Sha1State::new();
        state.update(b"abc");
        assert_eq!(state.header(), None);
        assert_eq!(Sha1State::resume(START, 65), None);
        assert_eq!(Sha1State::resume(START, u64::MAX - 63), None);
    }

    #[test]
    fn foreign_headers_are_refused() {
        let good = Sha1State::new().json().unwrap();
        for bad in [
            good.replace("sha1", "md5"),
            good.replace("\"num\":\"0\"", "\"num\":\"3\""),
            good.replace("1732584193", "-1"),
            good.replace("\"Nl\":\"0\"", "\"Nl\":\"8\""),
            "{}".to_owned(),
        ] {
            assert_ne!(bad, good);
            assert_eq!(Sha1State::from_header(&STANDARD.encode(bad)), None);
        }
        assert_eq!(Sha1State::from_header("%%%"), None);
        assert!(Sha1State::from_header(&STANDARD.encode(good)).is_some());
    }
}
