//! The server's half of both encodings, with the keys of the vectors, for tests.

use aes::Aes128;
use aes::cipher::{Array, BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Odd, U1024};
use p224::elliptic_curve::point::AffineCoordinates as _;
use p224::{NonZeroScalar, PublicKey};
use serde_json::Value;

use super::ec115::{checksum, from_hex};
use super::m115::{self, derive, mix};

/// The vectors' keys of a stand-in.
pub struct Keys {
    /// RSA modulus in hex.
    pub modulus: String,
    secret: String,
    /// X and Y of the public point in hex.
    pub point: String,
    scalar: String,
}

impl Keys {
    pub fn load() -> Keys {
        let all: Value = serde_json::from_str(include_str!(
            "../../../../tests/fixtures/115_open.vectors.json"
        ))
        .unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let rsa = &all["m115"]["simulator_rsa_key"];
        let curve = all["p224_ecdh_and_k_ec"].as_array().unwrap();
        let curve = curve
            .iter()
            .find(|case| case["server_scalar_hex"].is_string())
            .unwrap();
        Keys {
            modulus: text(&rsa["n_hex"]),
            secret: text(&rsa["d_hex"]),
            point: text(&curve["server_pub_x"]) + &text(&curve["server_pub_y"]),
            scalar: text(&curve["server_scalar_hex"]),
        }
    }

    fn rsa(&self, block: &[u8]) -> Vec<u8> {
        let number = |hex: &str| U1024::from_be_slice(&from_hex(hex).unwrap());
        let modulus = Odd::new(number(&self.modulus)).into_option().unwrap();
        let modulus = FixedMontyParams::new_vartime(modulus);
        let block = FixedMontyForm::new(&U1024::from_be_slice(block), &modulus);
        let power = block.pow_vartime(&number(&self.secret)).retrieve();
        power.to_be_bytes().as_ref().to_vec()
    }

    /// The text of a question about links, and its key.
    pub fn unmask(&self, data: &str) -> (Vec<u8>, [u8; m115::KEY]) {
        let mut whole = Vec::new();
        for block in STANDARD.decode(data).unwrap().chunks(m115::BLOCK) {
            let plain = self.rsa(block);
            assert_eq!(plain[..2], [0, 2]);
            let end = plain.iter().skip(2).position(|byte| *byte == 0).unwrap();
            whole.extend_from_slice(&plain[end + 3..]);
        }
        let (key, text) = whole.split_first_chunk::<{ m115::KEY }>().unwrap();
        let mut text = mix(text, &m115::CLIENT);
        text.reverse();
        (mix(&text, &derive::<4>(key)), *key)
    }

    /// An answer to a question with this key.
    pub fn mask(&self, text: &[u8], key: &[u8; m115::KEY]) -> String {
        let seed = [7; m115::KEY];
        let mut inner = mix(text, &derive::<4>(key));
        inner.reverse();
        let whole = [&seed[..], &mix(&inner, &derive::<12>(&seed))].concat();
        let mut data = Vec::new();
        for piece in whole.chunks(m115::TEXT) {
            let mut block = vec![0, 1];
            block.resize(m115::BLOCK - 1 - piece.len(), 0xff);
            block.push(0);
            block.extend_from_slice(piece);
            data.extend(self.rsa(&block));
        }
        STANDARD.encode(data)
    }

    /// The key that a `k_ec` agrees on.
    pub fn agree(&self, k_ec: &str) -> Sealed {
        let token = STANDARD.decode(k_ec).unwrap();
        assert_eq!(token.len(), 48);
        assert_eq!(token[44..], checksum(&token[..44]));
        let [left, right] = [0, 24].map(|at| {
            let mask = token[at + 15];
            let half = token[at..at + 15].iter();
            half.map(|byte| byte ^ mask).collect::<Vec<u8>>()
        });
        let wire = [left, right].concat();
        assert_eq!(wire[0], 0x1d);
        let theirs = PublicKey::from_sec1_bytes(&wire[1..]).unwrap();
        let own = NonZeroScalar::try_from(&from_hex(&self.scalar).unwrap()[..]).unwrap();
        let shared = (theirs.to_projective() * *own).to_affine().x();
        Sealed {
            key: *shared.first_chunk().unwrap(),
            iv: *shared.last_chunk().unwrap(),
        }
    }
}

/// One question's key.
pub struct Sealed {
    key: [u8; 16],
    iv: [u8; 16],
}

impl Sealed {
    /// The form of a question.
    pub fn form(&self, body: &[u8]) -> String {
        let mut form = body.to_vec();
        let mut cipher = cbc::Decryptor::<Aes128>::new(&self.key.into(), &self.iv.into());
        for block in form.chunks_exact_mut(16) {
            cipher.decrypt_block(<&mut Array<u8, _>>::try_from(block).unwrap());
        }
        form.truncate(form.len() - usize::from(form[form.len() - 1]));
        String::from_utf8(form).unwrap()
    }

    /// An answer's body.
    pub fn answer(&self, text: &str) -> Vec<u8> {
        let block = lz4_flex::block::compress(text.as_bytes());
        let mut body = (block.len() as u16).to_le_bytes().to_vec();
        body.extend(block);
        body.resize(body.len().next_multiple_of(16), 0);
        let mut cipher = cbc::Encryptor::<Aes128>::new(&self.key.into(), &self.iv.into());
        for block in body.chunks_exact_mut(16) {
            cipher.encrypt_block(<&mut Array<u8, _>>::try_from(block).unwrap());
        }
        let mask = 0x5c;
        let length = (text.len() as u32).to_le_bytes();
        let mut tail: Vec<u8> = length.iter().map(|byte| byte ^ mask).collect();
        tail.extend([1, 2, 3, mask]);
        let sum = checksum(&tail);
        body.extend(tail);
        body.extend(sum);
        body
    }
}
