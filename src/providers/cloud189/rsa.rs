//! RSA encryption with PKCS#1 v1.5 padding under a public key of the login page (sheet section
//! 2.3). Only public values are computed with, so the time it takes tells nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Whole numbers as 32-bit digits, lowest first, all of the modulus' length.
type Digits = Vec<u32>;

/// A public key.
pub struct PublicKey {
    modulus: Digits,
    exponent: Vec<u8>,
    /// Length of the modulus in bytes.
    bytes: usize,
}

impl PublicKey {
    /// From base64 of a DER SubjectPublicKeyInfo, with or without PEM armour.
    pub fn from_spki(text: &str) -> Option<PublicKey> {
        let plain: String = text
            .lines()
            .filter(|line| !line.starts_with("-----"))
            .flat_map(str::chars)
            .filter(|c| !c.is_whitespace())
            .collect();
        let der = STANDARD.decode(plain).ok()?;
        let (outer, _) = element(&der, 0x30)?;
        let (_algorithm, rest) = element(outer, 0x30)?;
        let (bits, _) = element(rest, 0x03)?;
        // The first byte of a bit string counts unused bits.
        let (key, _) = element(bits.strip_prefix(&[0])?, 0x30)?;
        let (modulus, rest) = element(key, 0x02)?;
        let (exponent, _) = element(rest, 0x02)?;
        PublicKey::new(modulus, exponent)
    }

    /// From big-endian bytes. Between 512 and 8192 bits, odd.
    fn new(modulus: &[u8], exponent: &[u8]) -> Option<PublicKey> {
        let modulus = trimmed(modulus);
        let exponent = trimmed(exponent);
        let sound = (64..=1024).contains(&modulus.len())
            && modulus.last().is_some_and(|byte| byte % 2 == 1)
            && (1..=8).contains(&exponent.len());
        sound.then(|| PublicKey {
            modulus: digits(modulus, modulus.len().div_ceil(4)),
            exponent: exponent.to_vec(),
            bytes: modulus.len(),
        })
    }

    /// Encrypts with random padding; `None` when the text is too long for the key, or when the
    /// system gives no random numbers.
    pub fn encrypt(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut pad = vec![0; self.bytes.checked_sub(3 + text.len())?];
        for byte in &mut pad {
            while *byte == 0 {
                getrandom::fill(std::slice::from_mut(byte)).ok()?;
            }
        }
        self.encrypt_padded(text, &pad)
    }

    /// PKCS#1 v1.5, type 2: `00 02 PAD 00 TEXT`, at least eight bytes of padding.
    fn encrypt_padded(&self, text: &[u8], pad: &[u8]) -> Option<Vec<u8>> {
        if pad.len() < 8 || 3 + pad.len() + text.len() != self.bytes {
            return None;
        }
        let message = [&[0, 2], pad, &[0], text].concat();
        let message = digits(&message, self.modulus.len());
        let mut power = digits(&[1], self.modulus.len());
        for bit in self
            .exponent
            .iter()
            .flat_map(|byte| bits_of(u32::from(*byte), 8))
        {
            power = self.multiply(&power, &power);
            if bit {
                power = self.multiply(&power, &message);
            }
        }
        let mut out: Vec<u8> = power
            .iter()
            .rev()
            .flat_map(|digit| digit.to_be_bytes())
            .collect();
        Some(out.split_off(out.len() - self.bytes))
    }

    /// `a * b` modulo the key, by doubling and adding. Both are smaller than the modulus.
    fn multiply(&self, a: &Digits, b: &Digits) -> Digits {
        let mut product = vec![0; self.modulus.len()];
        for bit in b.iter().rev().flat_map(|digit| bits_of(*digit, 32)) {
            let double = product.clone();
            self.add(&mut product, &double);
            if bit {
                self.add(&mut product, a);
            }
        }
        product
    }

    /// `a += b` modulo the key.
    fn add(&self, a: &mut Digits, b: &Digits) {
        let mut carry = 0;
        for (x, y) in a.iter_mut().zip(b) {
            let sum = u64::from(*x) + u64::from(*y) + carry;
            *x = sum as u32;
            carry = sum >> 32;
        }
        if carry > 0 || !less(a, &self.modulus) {
            let mut borrow = 0;
            for (x, y) in a.iter_mut().zip(&self.modulus) {
                let difference = i64::from(*x) - i64::from(*y) - borrow;
                *x = difference as u32;
                borrow = i64::from(difference < 0);
            }
        }
    }
}

fn less(a: &[u32], b: &[u32]) -> bool {
    a.iter().rev().lt(b.iter().rev())
}

/// The lowest `count` bits, highest first.
fn bits_of(number: u32, count: u32) -> impl Iterator<Item = bool> {
    (0..count).rev().map(move |at| (number >> at) & 1 == 1)
}

fn digits(big_endian: &[u8], length: usize) -> Digits {
    let mut digits: Digits = big_endian
        .rchunks(4)
        .map(|chunk| {
            chunk
                .iter()
                .fold(0, |digit, byte| (digit << 8) | u32::from(*byte))
        })
        .collect();
    digits.resize(length.max(digits.len()), 0);
    digits
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

/// The content of the DER element of type `tag` at the front, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    let (short, rest) = rest.split_first().filter(|_| *first == tag)?;
    let (length, rest) = match usize::from(*short) {
        length @ ..0x80 => (length, rest),
        long => {
            let (bytes, rest) = rest.split_at_checked(long - 0x80)?;
            if bytes.len() > 4 {
                return None;
            }
            let length = bytes
                .iter()
                .fold(0, |length, byte| (length << 8) | usize::from(*byte));
            (length, rest)
        }
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::hex_upper;
    use serde_json::Value;

    fn vectors(of: &str) -> Vec<Value> {
        let all: Value = serde_json::from_str(include_str!(
            "../../../tests/fixtures/189cloud.vectors.json"
        ))
        .unwrap();
        all["vectors"][of].as_array().unwrap().clone()
    }

    fn text<'a>(value: &'a Value, key: &str) -> &'a str {
        value[key].as_str().unwrap()
    }

    #[test]
    fn login_fields_of_the_vectors() {
        let cases = vectors("login_rsa");
        assert_eq!(cases.len(), 2);
        for case in &cases {
            let key = PublicKey::from_spki(text(case, "pubKey_base64_spki")).unwrap();
            let plain = text(case, "plaintext").as_bytes();
            let pad = vec![2; key.bytes - 3 - plain.len()];
            let value = hex_upper(&key.encrypt_padded(plain, &pad).unwrap());
            assert_eq!(
                format!("{}{value}", text(case, "pre")),
                text(case, "one_valid_value")
            );
        }
    }

    #[test]
    fn the_published_constant() {
        let cases = vectors("web_upload_fixed_encryption_text");
        assert_eq!(cases.len(), 2);
        for case in &cases {
            let modulus: Vec<u8> = text(case, "modulus_hex")
                .as_bytes()
                .chunks(2)
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
                .collect();
            let key = PublicKey::new(&modulus, &[1, 0, 1]).unwrap();
            let plain = text(case, "plaintext").as_bytes();
            let value = key
                .encrypt_padded(plain, &vec![2; 128 - 3 - plain.len()])
                .unwrap();
            assert_eq!(STANDARD.encode(value), text(case, "encryption_text_base64"));
        }
    }

    #[test]
    fn padding_is_random_and_texts_are_not_too_long() {
        let cases = vectors("login_rsa");
        let key = PublicKey::from_spki(text(&cases[0], "pubKey_base64_spki")).unwrap();
        assert_ne!(key.encrypt(b"x").unwrap(), key.encrypt(b"x").unwrap());
        assert!(key.encrypt(&[b'x'; 117]).is_some());
        assert!(key.encrypt(&[b'x'; 118]).is_none());
        assert!(key.encrypt(&[b'x'; 300]).is_none());
    }

    #[test]
    fn what_is_no_key_is_none() {
        for text in ["", "AAAA", "MIGf", "not base64!", "MAA="] {
            assert!(PublicKey::from_spki(text).is_none(), "{text}");
        }
        assert!(
            PublicKey::new(&[2; 128], &[1, 0, 1]).is_none(),
            "an even modulus"
        );
    }
}
