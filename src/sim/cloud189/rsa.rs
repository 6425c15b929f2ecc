//! RSA of the login page and of the web variant of the upload (189cloud.md sections 2.3 and
//! 3.6): PKCS#1 v1.5 with a key of 1024 bits, which is public and worth nothing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::sign::unhex;

/// The public key as the service hands it out: base64 of the DER SubjectPublicKeyInfo.
pub(super) const PUBLIC_KEY: &str = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCKlpnxlvxZoTfhbsx4ev\
Kl+fwZqOtwu6qdK0e8mUCuoHiqpMu4hNM760Pqgw8/Wk9cj14W6hTbeb1/y9Ljf4Stq4iHjZBFgLZxRQ51Ahbdg602e46HM4Wr\
uwJL6jY8AUD39rgOkdoST5ncypMFJUJwgG2HQjHa8HYhEuaiOVtH4QIDAQAB";
const MODULUS: &str = "8a9699f196fc59a137e16ecc787af2a5f9fc19a8eb70bbaa9d2b47bc9940aea078aaa4cbb\
884d33beb43ea830f3f5a4f5c8f5e16ea14db79bd7fcbd2e37f84adab88878d904580b671450e750216dd83ad367b8e87\
3385abbb024bea363c0140f7f6b80e91da124f99dcca9305254270806d874231daf0762112e6a2395b47e1";
const PRIVATE_EXPONENT: &str = "08b796d8cb9cb55d8ee882e1e11d28a8987c0b3825110af8dd1875136f97523\
49d4a6c81b4ea43e823b0faae023643adb4be7ed655a478b6a45d06bacddcfe411f93ac19e88320d008ca46a03c990683\
6c7f405a39d4c814b43e4c4dd06f3402ce161a7ea1e0a1dfce6e089ea96091767b888da32ae3ae3723281ef41518d8ad";

/// A number as words, the lowest first.
fn words(bytes: &[u8]) -> Vec<u32> {
    bytes
        .rchunks(4)
        .map(|chunk| {
            chunk
                .iter()
                .fold(0, |word, byte| word << 8 | u32::from(*byte))
        })
        .collect()
}

/// Whether `a >= b`; a longer `a` has its top word behind the others.
fn reaches(a: &[u32], b: &[u32]) -> bool {
    let word = |all: &[u32], at: usize| all.get(at).copied().unwrap_or(0);
    for at in (0..a.len().max(b.len())).rev() {
        if word(a, at) != word(b, at) {
            return word(a, at) > word(b, at);
        }
    }
    true
}

/// `a -= b`, modulo the width of `a`.
fn subtract(a: &mut [u32], b: &[u32]) {
    let mut borrow = false;
    for (at, word) in a.iter_mut().enumerate() {
        let (less, first) = word.overflowing_sub(b.get(at).copied().unwrap_or(0));
        let (less, second) = less.overflowing_sub(u32::from(borrow));
        *word = less;
        borrow = first || second;
    }
}

/// An odd modulus, and what Montgomery's multiplication needs of it.
struct Modulus {
    n: Vec<u32>,
    /// -1/n modulo 2^32.
    inverse: u32,
}

impl Modulus {
    fn new(n: &[u8]) -> Modulus {
        let n = words(n);
        let low = n.first().copied().unwrap_or(1);
        // Newton's iteration doubles the correct bits: five make 32 of one.
        let inverse = (0..5).fold(1_u32, |x, _| {
            x.wrapping_mul(2_u32.wrapping_sub(low.wrapping_mul(x)))
        });
        Modulus {
            n,
            inverse: inverse.wrapping_neg(),
        }
    }

    /// `a * b / 2^(32 * words)` modulo n.
    fn multiply(&self, a: &[u32], b: &[u32]) -> Vec<u32> {
        let mut sum = vec![0_u32; self.n.len() + 2];
        for factor in b {
            self.add_product(&mut sum, a, *factor);
            let low = sum.first().copied().unwrap_or(0);
            let round = low.wrapping_mul(self.inverse);
            self.add_product(&mut sum, &self.n, round);
            // The lowest word is zero now: divide by 2^32.
            sum.rotate_left(1);
        }
        if reaches(&sum, &self.n) {
            subtract(&mut sum, &self.n);
        }
        sum.truncate(self.n.len());
        sum
    }

    fn add_product(&self, sum: &mut [u32], a: &[u32], factor: u32) {
        let mut carry = 0_u64;
        for (at, word) in sum.iter_mut().enumerate() {
            let term = a.get(at).copied().unwrap_or(0);
            let total = u64::from(term) * u64::from(factor) + u64::from(*word) + carry;
            *word = total as u32;
            carry = total >> 32;
        }
    }

    /// `2 * a` modulo n.
    fn double(&self, a: &[u32]) -> Vec<u32> {
        let mut twice: Vec<u32> = a.to_vec();
        twice.push(0);
        let mut carry = 0;
        for word in &mut twice {
            let next = *word >> 31;
            *word = *word << 1 | carry;
            carry = next;
        }
        if reaches(&twice, &self.n) {
            subtract(&mut twice, &self.n);
        }
        twice.truncate(self.n.len());
        twice
    }

    /// `base ^ exponent` modulo n, as many bytes as n has.
    fn power(&self, base: &[u8], exponent: &[u8]) -> Vec<u8> {
        let width = self.n.len();
        let mut one = vec![0_u32; width];
        if let Some(low) = one.first_mut() {
            *low = 1;
        }
        // 2^(32 * words) modulo n is one in Montgomery's form; its square converts to it.
        let unit = (0..32 * width).fold(one.clone(), |x, _| self.double(&x));
        let square = (0..32 * width).fold(unit.clone(), |x, _| self.double(&x));
        let mut base = words(base);
        base.resize(width, 0);
        let base = self.multiply(&base, &square);
        let mut power = unit;
        for byte in exponent {
            for bit in (0..8).rev() {
                power = self.multiply(&power, &power);
                if byte >> bit & 1 == 1 {
                    power = self.multiply(&power, &base);
                }
            }
        }
        let power = self.multiply(&power, &one);
        power
            .iter()
            .rev()
            .flat_map(|word| word.to_be_bytes())
            .collect()
    }
}

/// Takes PKCS#1 v1.5 encryption off a value of this key.
fn decrypt(cipher: &[u8]) -> Option<Vec<u8>> {
    let modulus = unhex(MODULUS)?;
    if cipher.len() != modulus.len() || reaches(&words(cipher), &words(&modulus)) {
        return None;
    }
    let plain = Modulus::new(&modulus).power(cipher, &unhex(PRIVATE_EXPONENT)?);
    let rest = plain.strip_prefix(&[0, 2])?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    // At least eight bytes of padding.
    if end < 8 {
        return None;
    }
    rest.get(end + 1..).map(<[u8]>::to_vec)
}

/// A field of the login page: `{NRP}` and upper-case hex.
pub(super) fn decrypt_field(value: &str) -> Option<String> {
    let digits = value.strip_prefix("{NRP}")?;
    if digits.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return None;
    }
    String::from_utf8(decrypt(&unhex(digits)?)?).ok()
}

/// The header `EncryptionText` of the web variant: base64.
pub(super) fn decrypt_text(value: &str) -> Option<String> {
    String::from_utf8(decrypt(&STANDARD.decode(value).ok()?)?).ok()
}

/// What a client does, with padding bytes of 2 so that it can be compared.
#[cfg(test)]
pub(super) fn encrypt(plain: &[u8], modulus: &str) -> Vec<u8> {
    let modulus = unhex(modulus).unwrap();
    let padding = modulus.len() - plain.len() - 3;
    let mut block = vec![0, 2];
    block.extend(std::iter::repeat_n(2, padding));
    block.push(0);
    block.extend(plain);
    Modulus::new(&modulus).power(&block, &[1, 0, 1])
}

/// A field of the login page as a client writes it.
#[cfg(test)]
pub(super) fn encrypt_field(plain: &str) -> String {
    let cipher = encrypt(plain.as_bytes(), MODULUS);
    format!(
        "{{NRP}}{}",
        super::super::digest::hex(&cipher).to_uppercase()
    )
}

/// The header `EncryptionText` as a client writes it.
#[cfg(test)]
pub(super) fn encrypt_text(plain: &str) -> String {
    STANDARD.encode(encrypt(plain.as_bytes(), MODULUS))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn vectors(name: &str) -> Vec<Value> {
        let text = include_str!("../../../tests/fixtures/189cloud.vectors.json");
        let all: Value = serde_json::from_str(text).unwrap();
        all["vectors"][name].as_array().unwrap().clone()
    }

    #[test]
    fn published_login_fields() {
        let all = vectors("login_rsa");
        assert_eq!(all.len(), 2);
        for case in &all {
            assert_eq!(case["pubKey_base64_spki"], PUBLIC_KEY);
            let plain = case["plaintext"].as_str().unwrap();
            let value = case["one_valid_value"].as_str().unwrap();
            assert_eq!(decrypt_field(value).as_deref(), Some(plain));
            assert_eq!(encrypt_field(plain), value);
        }
        let value = encrypt_field("x");
        for bad in [
            value.replace("{NRP}", "{RSA}"),
            value.to_lowercase(),
            value[..value.len() - 2].to_owned(),
            format!("{{NRP}}{}", "FF".repeat(128)),
            format!("{{NRP}}{}", "11".repeat(128)),
        ] {
            assert_eq!(decrypt_field(&bad), None, "{bad}");
        }
    }

    #[test]
    fn published_encryption_texts() {
        let all = vectors("web_upload_fixed_encryption_text");
        assert_eq!(all.len(), 2);
        for case in &all {
            let plain = case["plaintext"].as_str().unwrap();
            let modulus = case["modulus_hex"].as_str().unwrap();
            let cipher = STANDARD.encode(encrypt(plain.as_bytes(), modulus));
            assert_eq!(cipher, case["encryption_text_base64"]);
            assert_eq!(decrypt_text(&encrypt_text(plain)).as_deref(), Some(plain));
        }
    }
}
