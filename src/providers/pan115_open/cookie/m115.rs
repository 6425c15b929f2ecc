//! The encoding `m115` of questions about links and of their answers (sheet section 3.3): two XOR
//! streams and RSA. Nothing of it is a secret of ours: the answer is signed rather than hidden.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Odd, U64, U1024};

use super::ec115::from_hex;

/// The service's public modulus.
const MODULUS: &str = "8686980c0f5a24c4b9d43020cd2c22703ff3f450756529058b1cf88f09b8602136477198\
    a6e2683149659bd122c33592fdb5ad47944ad1ea4d36c6b172aad6338c3bb6ac6227502d010993ac967d1aef00f0c8e0\
    38de2e4d3bc2ec368af2e9f10a6f1eda4f7262f136420c07c331b871bf139f74f3010e3c4fe57df3afb71683";

/// The public exponent, 17 bits.
const EXPONENT: U64 = U64::from_u64(65_537);

/// Bytes of a block after RSA.
pub const BLOCK: usize = 128;

/// Bytes of text in a block.
pub const TEXT: usize = 117;

/// Bytes of the keys that both sides choose.
pub const KEY: usize = 16;

/// The clients' key C.
pub const CLIENT: [u8; 12] = [
    0x78, 0x06, 0xad, 0x4c, 0x33, 0x86, 0x5d, 0x18, 0x4c, 0x01, 0x3f, 0x46,
];

/// The seed table T.
#[rustfmt::skip]
const TABLE: [u8; 144] = [
    0xf0, 0xe5, 0x69, 0xae, 0xbf, 0xdc, 0xbf, 0x8a, 0x1a, 0x45, 0xe8, 0xbe,
    0x7d, 0xa6, 0x73, 0xb8, 0xde, 0x8f, 0xe7, 0xc4, 0x45, 0xda, 0x86, 0xc4,
    0x9b, 0x64, 0x8b, 0x14, 0x6a, 0xb4, 0xf1, 0xaa, 0x38, 0x01, 0x35, 0x9e,
    0x26, 0x69, 0x2c, 0x86, 0x00, 0x6b, 0x4f, 0xa5, 0x36, 0x34, 0x62, 0xa6,
    0x2a, 0x96, 0x68, 0x18, 0xf2, 0x4a, 0xfd, 0xbd, 0x6b, 0x97, 0x8f, 0x4d,
    0x8f, 0x89, 0x13, 0xb7, 0x6c, 0x8e, 0x93, 0xed, 0x0e, 0x0d, 0x48, 0x3e,
    0xd7, 0x2f, 0x88, 0xd8, 0xfe, 0xfe, 0x7e, 0x86, 0x50, 0x95, 0x4f, 0xd1,
    0xeb, 0x83, 0x26, 0x34, 0xdb, 0x66, 0x7b, 0x9c, 0x7e, 0x9d, 0x7a, 0x81,
    0x32, 0xea, 0xb6, 0x33, 0xde, 0x3a, 0xa9, 0x59, 0x34, 0x66, 0x3b, 0xaa,
    0xba, 0x81, 0x60, 0x48, 0xb9, 0xd5, 0x81, 0x9c, 0xf8, 0x6c, 0x84, 0x77,
    0xff, 0x54, 0x78, 0x26, 0x5f, 0xbe, 0xe8, 0x1e, 0x36, 0x9f, 0x34, 0x80,
    0x5c, 0x45, 0x2c, 0x9b, 0x76, 0xd5, 0x1b, 0x8f, 0xcc, 0xc3, 0xb8, 0xf5,
];

/// The RSA key of the service, or of a stand-in for it.
pub struct M115 {
    modulus: FixedMontyParams<{ U1024::LIMBS }>,
}

impl M115 {
    /// With the modulus of a stand-in (256 hex digits), or with the service's own.
    pub fn new(modulus: &str) -> Option<M115> {
        let modulus = match modulus.trim() {
            "" => MODULUS,
            other => other,
        };
        let bytes: [u8; BLOCK] = from_hex(modulus)?.try_into().ok()?;
        // A block begins with a zero byte, so that it is smaller than every such modulus.
        if bytes.first() == Some(&0) {
            return None;
        }
        let modulus = Odd::new(U1024::from_be_slice(&bytes)).into_option()?;
        Some(M115 {
            modulus: FixedMontyParams::new_vartime(modulus),
        })
    }

    /// The text for the field `data`, with the 16 bytes that the answer is read with. `None` when
    /// the system gives no random numbers.
    pub fn encode(&self, text: &[u8]) -> Option<(String, [u8; KEY])> {
        let mut key = [0; KEY];
        getrandom::fill(&mut key).ok()?;
        let sent = self.encode_with(text, &key, || {
            let mut byte = [0];
            while byte == [0] {
                getrandom::fill(&mut byte).ok()?;
            }
            Some(byte[0])
        })?;
        Some((sent, key))
    }

    fn encode_with(
        &self,
        text: &[u8],
        key: &[u8; KEY],
        mut pad: impl FnMut() -> Option<u8>,
    ) -> Option<String> {
        let mut sent = Vec::new();
        for piece in masked(text, key).chunks(TEXT) {
            let mut block = vec![0, 2];
            for _ in 0..BLOCK - 3 - piece.len() {
                block.push(pad()?);
            }
            block.push(0);
            block.extend_from_slice(piece);
            sent.extend_from_slice(&self.power(&block)?);
        }
        Some(STANDARD.encode(sent))
    }

    /// The text of an answer to a question with this key; `None` when it is no such answer.
    pub fn decode(&self, data: &str, key: &[u8; KEY]) -> Option<Vec<u8>> {
        let data = STANDARD.decode(data.trim()).ok()?;
        if data.is_empty() || data.len() % BLOCK != 0 {
            return None;
        }
        let mut whole = Vec::with_capacity(data.len());
        for block in data.chunks(BLOCK) {
            let plain = self.power(block)?;
            // 00, the type, padding without a zero, 00.
            let padded = plain.iter().skip_while(|byte| **byte == 0);
            whole.extend(padded.skip_while(|byte| **byte != 0).skip(1));
        }
        let (seed, text) = whole.split_first_chunk::<KEY>()?;
        let mut text = mix(text, &derive::<12>(seed));
        text.reverse();
        Some(mix(&text, &derive::<4>(key)))
    }

    /// `block` to the public exponent.
    fn power(&self, block: &[u8]) -> Option<[u8; BLOCK]> {
        let block: &[u8; BLOCK] = block.try_into().ok()?;
        let number = U1024::from_be_slice(block);
        if number >= *self.modulus.modulus().as_ref() {
            return None;
        }
        let power = FixedMontyForm::new(&number, &self.modulus).pow_vartime(&EXPONENT);
        power.retrieve().to_be_bytes().as_ref().try_into().ok()
    }
}

/// What goes into the blocks: the key, and the text under both streams.
fn masked(text: &[u8], key: &[u8; KEY]) -> Vec<u8> {
    let mut inner = mix(text, &derive::<4>(key));
    inner.reverse();
    [&key[..], &mix(&inner, &CLIENT)].concat()
}

/// A stream key of `N` bytes, 4 or 12, from a seed.
pub fn derive<const N: usize>(seed: &[u8; KEY]) -> [u8; N] {
    let row = |i: usize| TABLE.get(N * i).copied().unwrap_or_default();
    let mut key = [0; N];
    for (i, (byte, seed)) in key.iter_mut().zip(seed).enumerate() {
        *byte = seed.wrapping_add(row(i)) ^ row(N - 1 - i);
    }
    key
}

/// XOR with the key, which begins anew after the first `len mod 4` bytes.
pub fn mix(data: &[u8], key: &[u8]) -> Vec<u8> {
    let (head, rest) = data.split_at(data.len() % 4);
    let head = head.iter().zip(key);
    head.chain(rest.iter().zip(key.iter().cycle()))
        .map(|(byte, key)| byte ^ key)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::hex_lower;
    use serde_json::Value;

    fn vectors() -> Value {
        let all: Value = serde_json::from_str(include_str!(
            "../../../../tests/fixtures/115_open.vectors.json"
        ))
        .unwrap();
        all["m115"].clone()
    }

    fn text<'a>(case: &'a Value, key: &str) -> &'a str {
        case[key].as_str().unwrap()
    }

    fn bytes(case: &Value, key: &str) -> Vec<u8> {
        from_hex(text(case, key)).unwrap()
    }

    fn key(case: &Value, key: &str) -> [u8; KEY] {
        bytes(case, key).try_into().unwrap()
    }

    #[test]
    fn constants_and_derived_keys_of_the_vectors() {
        let vectors = vectors();
        assert_eq!(bytes(&vectors, "seed_table_hex"), TABLE);
        assert_eq!(bytes(&vectors, "client_key12_hex"), CLIENT);
        assert_eq!(text(&vectors, "modulus_hex"), MODULUS);
        let cases = vectors["derive_key"].as_array().unwrap();
        assert!(cases.len() >= 6);
        for case in cases {
            let seed = key(case, "seed_hex");
            let derived = match case["n"].as_u64() {
                Some(4) => derive::<4>(&seed).to_vec(),
                _ => derive::<12>(&seed).to_vec(),
            };
            assert_eq!(derived, bytes(case, "key_hex"));
        }
        for case in vectors["xor"].as_array().unwrap() {
            let mixed = mix(&bytes(case, "data_hex"), &bytes(case, "key_hex"));
            assert_eq!(mixed, bytes(case, "result_hex"));
        }
    }

    #[test]
    fn questions_of_the_vectors() {
        let vectors = vectors();
        let own = M115::new("").unwrap();
        let cases = vectors["encode_real_modulus"].as_array().unwrap();
        assert!(cases.len() >= 2);
        for case in cases {
            let (plain, key) = (text(case, "plaintext").as_bytes(), key(case, "key16_hex"));
            assert_eq!(hex_lower(&masked(plain, &key)), text(case, "pre_rsa_hex"));
            let sent = own.encode_with(plain, &key, || Some(2)).unwrap();
            assert_eq!(sent, text(case, "data_b64"));
        }
    }

    #[test]
    fn a_stand_in_is_asked_under_its_own_key_and_its_answers_are_read() {
        let vectors = vectors();
        let theirs = M115::new(text(&vectors["simulator_rsa_key"], "n_hex")).unwrap();
        let cases = vectors["simulator_roundtrip"].as_array().unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            let key = key(case, "client_key16_hex");
            let plain = text(case, "request_plaintext").as_bytes();
            let sent = theirs.encode_with(plain, &key, || Some(2)).unwrap();
            assert_eq!(sent, text(case, "request_data_b64"));
            let answer = theirs
                .decode(text(case, "response_data_b64"), &key)
                .unwrap();
            assert_eq!(
                String::from_utf8(answer).unwrap(),
                text(case, "response_plaintext")
            );
        }
    }

    #[test]
    fn what_is_no_answer_is_none() {
        let own = M115::new("").unwrap();
        let long = STANDARD.encode([0xff; BLOCK]);
        let empty = STANDARD.encode([0; BLOCK]);
        for data in ["", "AAAA", "not base64!", long.as_str(), empty.as_str()] {
            assert!(own.decode(data, &[0; KEY]).is_none(), "{data}");
        }
        let (first, key) = own.encode(&[b'x'; 300]).unwrap();
        let (second, _) = own.encode(&[b'x'; 300]).unwrap();
        assert_ne!(first, second, "keys and padding are random");
        assert_eq!(STANDARD.decode(first).unwrap().len(), 3 * BLOCK);
        assert_ne!(key, [0; KEY]);
    }

    #[test]
    fn what_is_no_modulus_is_refused() {
        let even = "ff".repeat(127) + "fe";
        let short = "0f".repeat(64);
        let small = "00".to_owned() + &"ff".repeat(127);
        for modulus in ["zz", "1", even.as_str(), short.as_str(), small.as_str()] {
            assert!(M115::new(modulus).is_none(), "{modulus}");
        }
    }
}
