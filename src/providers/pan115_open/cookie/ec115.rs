//! The encoding `ec115` of the upload question and its answer (sheet section 3.4): a key agreed
//! on over the curve P-224, AES-128-CBC, and an answer in LZ4 blocks.

use aes::Aes128;
use aes::cipher::{Array, BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p224::elliptic_curve::point::AffineCoordinates as _;
use p224::elliptic_curve::sec1::ToSec1Point as _;
use p224::{NonZeroScalar, PublicKey};

/// The service's public point: an uncompressed one, X and Y.
const POINT: &str = "0457A29257CD2320E5D6D143322FA4BB8A3CF9D3CC623EF5EDAC62B767\
    8A89C91A83BA800D6129F522D034C895DD2465243ADDC250953BEEBA";

/// Stands before what the checksums cover.
const SALT: &[u8] = b"^j>WD3Kr?J2gLFjD4W2y@";

/// Bytes of a cipher block.
const BLOCK: usize = 16;

/// Bytes behind the ciphertext of an answer.
const TAIL: usize = 12;

/// Most bytes that one LZ4 block of an answer expands to.
const EXPANDED: usize = 8192;

/// Most bytes of an answer's text.
const LIMIT: usize = 4 << 20;

/// The service's half of the agreement, or a stand-in's.
pub struct Ec115 {
    server: PublicKey,
}

impl Ec115 {
    /// With the public point of a stand-in in hex (X and Y, or any SEC1 form), or with the
    /// service's own.
    pub fn new(point: &str) -> Option<Ec115> {
        let bytes = match point.trim() {
            "" => from_hex(POINT)?,
            other => from_hex(other)?,
        };
        let bytes = match bytes.len() {
            56 => [&[4], bytes.as_slice()].concat(),
            _ => bytes,
        };
        let server = PublicKey::from_sec1_bytes(&bytes).ok()?;
        Some(Ec115 { server })
    }

    /// A key for one question. `None` when the system gives no random numbers.
    pub fn agree(&self) -> Option<Agreed> {
        // A random number is no scalar once in 2^112.
        for _ in 0..4 {
            let mut scalar = [0; 28];
            getrandom::fill(&mut scalar).ok()?;
            if let Some(agreed) = self.agree_with(&scalar) {
                return Some(agreed);
            }
        }
        None
    }

    fn agree_with(&self, scalar: &[u8]) -> Option<Agreed> {
        let scalar = NonZeroScalar::try_from(scalar).ok()?;
        let mut wire = [0x1d; 30];
        let own = PublicKey::from_secret_scalar(&scalar).to_sec1_point(true);
        wire.get_mut(1..)?.copy_from_slice(own.as_bytes());
        let shared = (self.server.to_projective() * *scalar).to_affine().x();
        // Always 28 bytes: leading zeros belong to the key.
        Some(Agreed {
            wire,
            key: shared.first_chunk().copied()?,
            iv: shared.last_chunk().copied()?,
        })
    }
}

/// What both sides know for one question.
pub struct Agreed {
    /// Our public point, as it goes over the wire.
    wire: [u8; 30],
    key: [u8; BLOCK],
    iv: [u8; BLOCK],
}

impl Agreed {
    /// The query parameter `k_ec` for a question at `seconds` since the epoch.
    pub fn k_ec(&self, seconds: i64) -> Option<String> {
        let mut masks = [0; 2];
        getrandom::fill(&mut masks).ok()?;
        // The service wants the lowest 32 bits.
        Some(self.token(seconds as u32, masks))
    }

    fn token(&self, time: u32, [first, second]: [u8; 2]) -> String {
        let (left, right) = self.wire.split_at(15);
        let mut token = Vec::with_capacity(48);
        let half = [left, &[0, 0x73, 0, 0, 0], &time.to_le_bytes()].concat();
        token.extend(half.iter().map(|byte| byte ^ first));
        let half = [right, &[0, 0x01, 0, 0, 0]].concat();
        token.extend(half.iter().map(|byte| byte ^ second));
        token.extend(checksum(&token));
        STANDARD.encode(token)
    }

    /// A form, sealed.
    pub fn seal(&self, form: &[u8]) -> Vec<u8> {
        let missing = BLOCK - form.len() % BLOCK;
        let mut body = form.to_vec();
        body.resize(form.len() + missing, missing as u8);
        let mut cipher = cbc::Encryptor::<Aes128>::new(&self.key.into(), &self.iv.into());
        for block in body.chunks_exact_mut(BLOCK) {
            if let Ok(block) = <&mut Array<u8, _>>::try_from(block) {
                cipher.encrypt_block(block);
            }
        }
        body
    }

    /// The text of an answer; `None` when it is none that this key opens.
    pub fn open(&self, answer: &[u8]) -> Option<Vec<u8>> {
        let (body, tail) = answer.split_at(answer.len() - answer.len() % BLOCK);
        if body.is_empty() {
            return None;
        }
        let mut framed = body.to_vec();
        let mut cipher = cbc::Decryptor::<Aes128>::new(&self.key.into(), &self.iv.into());
        for block in framed.chunks_exact_mut(BLOCK) {
            if let Ok(block) = <&mut Array<u8, _>>::try_from(block) {
                cipher.decrypt_block(block);
            }
        }
        // Clients in the field ignore the tail. It is believed when its own checksum agrees.
        let expected = length_of(tail);
        let text = unframed(&framed, expected.unwrap_or(usize::MAX))?;
        let whole = expected.is_none_or(|expected| text.len() == expected);
        (whole && !text.is_empty()).then_some(text)
    }
}

/// The text's length that the tail tells.
fn length_of(tail: &[u8]) -> Option<usize> {
    let tail: &[u8; TAIL] = tail.try_into().ok()?;
    let (told, sum) = tail.split_at(8);
    let mask = *told.last()?;
    let length: [u8; 4] = *told.first_chunk()?;
    let length = u32::from_le_bytes(length.map(|byte| byte ^ mask));
    (sum == checksum(told)).then(|| usize::try_from(length).ok())?
}

/// The text of blocks that each stand behind their length: until `enough`, a length of zero, or
/// padding that is too short to be one.
fn unframed(mut framed: &[u8], enough: usize) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    while text.len() < enough {
        let Some((length, rest)) = framed.split_first_chunk::<2>() else {
            break;
        };
        let length = usize::from(u16::from_le_bytes(*length));
        if length == 0 {
            break;
        }
        let (block, rest) = rest.split_at_checked(length)?;
        text.extend(lz4_flex::block::decompress(block, EXPANDED).ok()?);
        if text.len() > LIMIT {
            return None;
        }
        framed = rest;
    }
    Some(text)
}

/// CRC-32 (IEEE) of the salt and `bytes`, little-endian.
pub fn checksum(bytes: &[u8]) -> [u8; 4] {
    let mut crc = u32::MAX;
    for byte in SALT.iter().chain(bytes) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    (!crc).to_le_bytes()
}

/// Bytes from hex digits of either case.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    let pairs = digits.chunks_exact(2);
    Some(
        pairs
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::hex_lower;
    use serde_json::Value;
    use sha1::{Digest, Sha1};

    fn vectors(of: &str) -> Vec<Value> {
        let all: Value = serde_json::from_str(include_str!(
            "../../../../tests/fixtures/115_open.vectors.json"
        ))
        .unwrap();
        all[of].as_array().unwrap().clone()
    }

    fn text<'a>(case: &'a Value, key: &str) -> &'a str {
        case[key].as_str().unwrap()
    }

    fn bytes(case: &Value, key: &str) -> Vec<u8> {
        from_hex(text(case, key)).unwrap()
    }

    fn agreed(case: &Value) -> Agreed {
        let wire = case["client_pub_wire_hex"].as_str();
        Agreed {
            wire: wire.map_or([0; 30], |wire| from_hex(wire).unwrap().try_into().unwrap()),
            key: bytes(case, "aes_key_hex").try_into().unwrap(),
            iv: bytes(case, "aes_iv_hex").try_into().unwrap(),
        }
    }

    #[test]
    fn agreements_of_the_vectors() {
        let cases = vectors("p224_ecdh_and_k_ec");
        let mut agreements = 0;
        for case in &cases {
            let time = case["timestamp_u32"].as_u64().unwrap() as u32;
            let masks = ["r1", "r2"].map(|mask| case[mask].as_u64().unwrap() as u8);
            let Some(scalar) = case["client_scalar_hex"].as_str() else {
                // The pair that some clients always use; its scalar is not known.
                assert_eq!(agreed(case).token(time, masks), text(case, "k_ec"));
                continue;
            };
            let point = text(case, "server_pub_x").to_owned() + text(case, "server_pub_y");
            let found = Ec115::new(&point)
                .unwrap()
                .agree_with(&from_hex(scalar).unwrap())
                .unwrap();
            assert_eq!(hex_lower(&found.wire), text(case, "client_pub_wire_hex"));
            assert_eq!(hex_lower(&found.key), text(case, "aes_key_hex"));
            assert_eq!(hex_lower(&found.iv), text(case, "aes_iv_hex"));
            assert_eq!(found.token(time, masks), text(case, "k_ec"));
            agreements += 1;
        }
        assert!(agreements >= 5 && cases.len() >= 7);
    }

    #[test]
    fn the_services_own_point_and_the_spellings_of_another() {
        let case = &vectors("p224_ecdh_and_k_ec")[3];
        let scalar = bytes(case, "client_scalar_hex");
        let x = text(case, "server_pub_x");
        let odd = format!("{:02x}", 2 + bytes(case, "server_pub_y")[27] % 2);
        for point in [
            String::new(),
            POINT.to_owned(),
            POINT[2..].to_owned(),
            odd + x,
        ] {
            let found = Ec115::new(&point).unwrap().agree_with(&scalar).unwrap();
            // The shared X begins with a zero byte, and keeps it.
            assert_eq!(hex_lower(&found.key), text(case, "aes_key_hex"), "{point}");
        }
        for point in ["00", "zz", &POINT[2..20], &"11".repeat(56)] {
            assert!(Ec115::new(point).is_none(), "{point}");
        }
    }

    #[test]
    fn questions_of_the_vectors() {
        let cases = vectors("initupload_request_aes");
        assert!(cases.len() >= 2);
        for case in &cases {
            let sealed = agreed(case).seal(text(case, "plaintext").as_bytes());
            assert_eq!(hex_lower(&sealed), text(case, "cipher_pkcs7_hex"));
        }
    }

    #[test]
    fn answers_of_the_vectors() {
        let cases = vectors("initupload_response");
        assert!(cases.len() >= 3);
        for case in &cases {
            let (agreed, body) = (agreed(case), bytes(case, "body_hex"));
            let opened = agreed.open(&body).unwrap();
            assert_eq!(opened.len() as u64, case["plaintext_len"].as_u64().unwrap());
            assert_eq!(
                hex_lower(&Sha1::digest(&opened)),
                text(case, "plaintext_sha1")
            );
            if let Some(plain) = case["plaintext"].as_str() {
                assert_eq!(opened, plain.as_bytes());
            }
            // Without its tail, as clients read it that ignore it.
            let bare = &body[..body.len() - TAIL];
            assert_eq!(agreed.open(bare).unwrap(), opened);
            assert_eq!(length_of(&bytes(case, "tail_hex")), Some(opened.len()));
        }
    }

    #[test]
    fn what_is_no_answer_is_none() {
        let server = Ec115::new("").unwrap();
        let agreed = server.agree().unwrap();
        for answer in [&b""[..], b"{\"state\":false}", &[0; 12], &[7; 64], &[0; 44]] {
            assert!(agreed.open(answer).is_none(), "{answer:?}");
        }
        assert_ne!(server.agree().unwrap().wire, agreed.wire);
        assert_ne!(
            agreed.k_ec(0),
            agreed.k_ec(0),
            "random bytes hide the point"
        );
        assert_eq!(unframed(&[5, 0, 0xf0], usize::MAX), None);
        assert_eq!(length_of(&[0; TAIL]), None);
    }
}
