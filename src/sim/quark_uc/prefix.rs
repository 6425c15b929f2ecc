//! The state of SHA-1 in front of a part (sheet quark, 7.2), computed here with the bare
//! compression function.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::block_api::compress;

use super::super::content::Blob;

/// Bytes read at once; a multiple of the block.
const STEP: u64 = 1 << 20;

/// SHA-1 after a number of whole blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    words: [u32; 5],
    bytes: u64,
}

impl Prefix {
    /// After nothing.
    pub(super) const EMPTY: Prefix = Prefix {
        words: [
            0x6745_2301,
            0xefcd_ab89,
            0x98ba_dcfe,
            0x1032_5476,
            0xc3d2_e1f0,
        ],
        bytes: 0,
    };

    /// After `blob` too; `None` when that does not end at a block: no header can say it.
    pub(super) fn and(mut self, blob: &Blob) -> Option<Prefix> {
        let mut at = 0;
        while at < blob.size() {
            let bytes = blob.read(at, STEP);
            let (blocks, rest) = bytes.as_chunks::<64>();
            if !rest.is_empty() {
                return None;
            }
            compress(&mut self.words, blocks);
            at += bytes.len() as u64;
        }
        self.bytes = self.bytes.saturating_add(blob.size());
        Some(self)
    }

    /// The document the header carries.
    pub(super) fn json(&self) -> String {
        let [h0, h1, h2, h3, h4] = self.words;
        let bits = self.bytes.wrapping_mul(8);
        let (low, high) = (bits & 0xffff_ffff, bits >> 32);
        format!(
            "{{\"hash_type\":\"sha1\",\"h0\":\"{h0}\",\"h1\":\"{h1}\",\"h2\":\"{h2}\",\
             \"h3\":\"{h3}\",\"h4\":\"{h4}\",\"Nl\":\"{low}\",\"Nh\":\"{high}\",\"data\":\"\",\
             \"num\":\"0\"}}"
        )
    }

    /// The value of `X-Oss-Hash-Ctx`.
    pub(super) fn header(&self) -> String {
        STANDARD.encode(self.json())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::super::digest::hex;
    use super::*;

    /// Bytes `i mod 251`, or zeros, fed in pieces.
    fn fed(prefix: &str, size: u64) -> Prefix {
        let zeros = prefix.starts_with('Z');
        let mut state = Prefix::EMPTY;
        let mut at = 0;
        let zero = Blob::bytes(vec![0; 1 << 20]);
        while at < size {
            let blob = match zeros {
                true => zero.clone(),
                false => {
                    let end = (at + (1 << 20)).min(size);
                    Blob::bytes((at..end).map(|i| (i % 251) as u8).collect::<Vec<u8>>())
                }
            };
            state = state.and(&blob).unwrap();
            at += blob.size();
        }
        assert_eq!(at, size);
        state
    }

    /// The digest of exactly the bytes so far.
    fn finished(prefix: &Prefix) -> String {
        let mut last = [0_u8; 64];
        last[0] = 0x80;
        last[56..].copy_from_slice(&(prefix.bytes * 8).to_be_bytes());
        let mut words = prefix.words;
        compress(&mut words, &[last]);
        words.iter().map(|word| hex(&word.to_be_bytes())).collect()
    }

    fn check(vectors: &str, wanted: usize) {
        let vectors: Value = serde_json::from_str(vectors).unwrap();
        let all = vectors["vectors"]["oss_hash_ctx"].as_array().unwrap();
        assert_eq!(all.len(), wanted);
        for vector in all {
            let text = |key: &str| vector[key].as_str().unwrap();
            let size = vector["prefix_bytes"].as_u64().unwrap();
            let prefix = match text("prefix") {
                prefix if prefix.starts_with(['P', 'Z']) => fed(prefix, size),
                // The content is not known: the published words are checked by their digest.
                _ => {
                    let words = vector["h"].as_array().unwrap();
                    let words: Vec<u32> = words
                        .iter()
                        .map(|word| word.as_u64().unwrap() as u32)
                        .collect();
                    Prefix {
                        words: words.try_into().unwrap(),
                        bytes: size,
                    }
                }
            };
            assert_eq!(finished(&prefix), text("prefix_sha1"), "{}", text("name"));
            assert_eq!(prefix.json(), text("json"));
            assert_eq!(prefix.header(), text("header_value"));
        }
    }

    #[test]
    fn published_states() {
        check(
            include_str!("../../../tests/fixtures/quark.vectors.json"),
            10,
        );
        check(include_str!("../../../tests/fixtures/uc.vectors.json"), 3);
    }

    #[test]
    fn only_whole_blocks_have_a_state() {
        assert!(Prefix::EMPTY.and(&Blob::bytes(vec![1; 65])).is_none());
        assert!(Prefix::EMPTY.and(&Blob::synthetic(1, 1 << 20)).is_some());
    }
}
