//! Signatures and encrypted parameters (sheet sections 3.2 to 3.4), and what of the slices' MD5s an
//! upload needs (section 6.1).

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit as _};
use hmac::{Hmac, Mac};
use md5::{Digest as _, Md5};
use sha1::Sha1;

use crate::drive::{DriveError, ErrorKind, Result};
use crate::fingerprint::{hex_lower, hex_upper};

/// What a signature covers besides the session.
pub struct Signed<'a> {
    pub method: &'a str,
    /// Path of the address without host and query.
    pub path: &'a str,
    /// The `Date` header.
    pub date: &'a str,
    /// The encrypted parameters as they stand in the query.
    pub params: Option<&'a str>,
}

impl Signed<'_> {
    /// The text of section 3.3, step 3.
    fn text(&self, session_key: &str) -> String {
        let mut text = format!(
            "SessionKey={session_key}&Operate={}&RequestURI={}&Date={}",
            self.method, self.path, self.date
        );
        if let Some(params) = self.params {
            text.push_str("&params=");
            text.push_str(params);
        }
        text
    }

    /// HMAC-SHA1 under the characters of the session secret, upper hex.
    pub fn signature(&self, session_key: &str, session_secret: &str) -> String {
        let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(session_secret.as_bytes()) else {
            // A key of any length is taken.
            return String::new();
        };
        mac.update(self.text(session_key).as_bytes());
        hex_upper(&mac.finalize().into_bytes())
    }
}

/// Signature of a call of the open door: the MD5 over its fields, `who` it is made as and the time
/// (section 3.5).
pub fn open_signature(fields: &[(&str, &str)], who: (&str, &str), timestamp: &str) -> String {
    let mut pairs: Vec<String> = fields
        .iter()
        .chain([&who, &("Timestamp", timestamp)])
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.sort_unstable();
    hex_lower(&Md5::digest(pairs.join("&").as_bytes()))
}

/// The time as headers want it (RFC 9110, GMT).
pub fn http_date(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .and_then(|time| {
            jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&time)
        })
        .unwrap_or_default()
}

/// A `Date` header as milliseconds since the epoch.
pub fn parse_http_date(text: &str) -> Option<i64> {
    jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text.trim())
        .ok()
        .map(|time| time.as_millisecond())
}

/// AES-128-ECB with PKCS#7 padding under the first 16 characters of the session secret, upper hex
/// (section 3.4).
///
/// # Errors
/// `Auth` for a secret that is too short to be one.
pub fn encrypt_params(plain: &str, session_secret: &str) -> Result<String> {
    let cipher = session_secret
        .as_bytes()
        .get(..16)
        .and_then(|key| Aes128::new_from_slice(key).ok())
        .ok_or_else(|| DriveError::new(ErrorKind::Auth, "the session secret is too short"))?;
    let mut bytes = plain.as_bytes().to_vec();
    let pad = 16 - bytes.len() % 16;
    bytes.resize(bytes.len() + pad, u8::try_from(pad).unwrap_or(16));
    let mut hex = String::with_capacity(bytes.len() * 2);
    for chunk in bytes.as_chunks::<16>().0 {
        let mut block = (*chunk).into();
        cipher.encrypt_block(&mut block);
        hex.push_str(&hex_upper(&block));
    }
    Ok(hex)
}

/// The cache buster of every call: two random decimal numbers.
pub fn rand() -> String {
    let number = || getrandom::u64().unwrap_or(0);
    format!("{}_{}", number() % 100_000, number() % 10_000_000_000)
}

/// Percent-encodes everything but unreserved characters.
pub fn component(text: &str) -> String {
    const KEEP: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    percent_encoding::utf8_percent_encode(text, KEEP).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::{BlockMd5s, slice_md5_text, tianyi_slice_size};
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
    fn signatures_of_the_vectors() {
        let cases = vectors("session_hmac");
        assert_eq!(cases.len(), 6);
        for case in &cases {
            let params = text(case, "params");
            let signed = Signed {
                method: text(case, "operate"),
                path: text(case, "requestURI"),
                date: text(case, "date"),
                params: (!params.is_empty()).then_some(params),
            };
            let key = text(case, "sessionKey");
            assert_eq!(signed.text(key), text(case, "string_to_sign"));
            assert_eq!(
                signed.signature(key, text(case, "sessionSecret")),
                text(case, "signature_upper")
            );
        }
    }

    #[test]
    fn the_web_doors_signature_differs_in_key_and_date_only() {
        let cases = vectors("web_upload_signature");
        assert_eq!(cases.len(), 2);
        for case in &cases {
            let key = text(case, "l");
            let params = encrypt_params(text(case, "plaintext"), key).unwrap();
            assert!(params.eq_ignore_ascii_case(text(case, "params_hex_lower")));
            let signed = Signed {
                method: "GET",
                path: text(case, "uri"),
                date: text(case, "x_request_date_ms"),
                params: Some(text(case, "params_hex_lower")),
            };
            let signature = signed.signature(text(case, "sessionKey"), key);
            assert!(signature.eq_ignore_ascii_case(text(case, "signature_lower")));
        }
    }

    #[test]
    fn signatures_of_the_open_door() {
        let cases = vectors("open_md5_signature");
        assert_eq!(cases.len(), 3);
        for case in &cases {
            let (mut fields, mut who, mut timestamp) = (Vec::new(), ("", ""), "");
            for (name, value) in case["fields"].as_object().unwrap() {
                let value = value.as_str().unwrap();
                match name.as_str() {
                    "AppKey" | "AccessToken" => who = (name, value),
                    "Timestamp" => timestamp = value,
                    _ => fields.push((name.as_str(), value)),
                }
            }
            let signature = open_signature(&fields, who, timestamp);
            assert_eq!(signature, text(case, "signature_lower"));
        }
    }

    #[test]
    fn parameters_of_the_vectors() {
        let cases = vectors("params_aes_ecb");
        assert_eq!(cases.len(), 4);
        for case in &cases {
            assert_eq!(
                encrypt_params(text(case, "plaintext"), text(case, "session_secret_or_l")).unwrap(),
                text(case, "ciphertext_hex_upper"),
                "{case}"
            );
        }
        assert_eq!(
            encrypt_params("a", "short").unwrap_err().kind,
            ErrorKind::Auth
        );
    }

    #[test]
    fn dates_go_there_and_back() {
        let date = "Sat, 14 Mar 2026 08:05:09 GMT";
        let ms = parse_http_date(date).unwrap();
        assert_eq!(ms, 1_773_475_509_000);
        assert_eq!(http_date(ms + 123), date);
        assert_eq!(parse_http_date("soon"), None);
    }

    #[test]
    fn slice_sizes_of_the_vectors() {
        let cases = vectors("part_size");
        assert_eq!(cases.len(), 15);
        for case in &cases {
            let (size, slice) = (case["size"].as_u64().unwrap(), case["slice_size"].as_u64());
            assert_eq!(Some(tianyi_slice_size(size)), slice, "{size}");
            let parts = size.div_ceil(tianyi_slice_size(size)).max(1);
            assert_eq!(Some(parts), case["parts"].as_u64(), "{size}");
        }
    }

    #[test]
    fn slice_md5s_of_the_vectors() {
        let cases = vectors("slice_md5");
        assert_eq!(cases.len(), 6);
        for case in &cases {
            let size = usize::try_from(case["size"].as_u64().unwrap()).unwrap();
            let bytes: Vec<u8> = match text(case, "content") {
                "ascii 'hello'" => b"hello".to_vec(),
                zeros if zeros.starts_with('Z') => vec![0; size],
                _ => (0..size).map(|i| u8::try_from(i % 251).unwrap()).collect(),
            };
            let mut md5s = BlockMd5s::new(case["slice_size"].as_u64().unwrap());
            md5s.update(&bytes);
            let value = slice_md5_text(&md5s.finish());
            assert_eq!(
                value.to_ascii_uppercase(),
                text(case, "slice_md5"),
                "{case}"
            );
        }
    }

    #[test]
    fn the_cache_buster_has_two_numbers() {
        let (a, b) = rand()
            .split_once('_')
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap();
        assert!(a.parse::<u64>().unwrap() < 100_000 && b.parse::<u64>().unwrap() < 10_000_000_000);
    }
}
