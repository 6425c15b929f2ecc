//! Signature V4 of the object store, header form, region `xunlei` (sheet section 7).

use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use crate::drive::{DriveError, ErrorKind, Result};
use crate::fingerprint::hex_lower;
use crate::providers::oss::OssCredentials;

/// The headers that are signed, in order.
const SIGNED: &str = "host;x-amz-content-sha256;x-amz-date;x-amz-security-token";

/// RFC 3986 unreserved characters stay.
const KEEP: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What a signature covers.
pub struct Signing<'a> {
    pub method: &'a str,
    pub host: &'a str,
    /// Percent-encoded, as it is sent.
    pub path: &'a str,
    /// As [`query_text`] made it.
    pub query: &'a str,
    /// SHA-256 of the body, hex.
    pub payload: &'a str,
    /// As [`amz_date`] made it.
    pub date: &'a str,
    pub credentials: &'a OssCredentials,
}

impl Signing<'_> {
    fn canonical_request(&self) -> String {
        let token = self.credentials.token.expose();
        format!(
            "{}\n{}\n{}\nhost:{}\nx-amz-content-sha256:{payload}\nx-amz-date:{}\nx-amz-security-token:{token}\n\n{SIGNED}\n{payload}",
            self.method,
            self.path,
            self.query,
            self.host,
            self.date,
            payload = self.payload,
        )
    }

    fn day(&self) -> &str {
        self.date.split('T').next().unwrap_or_default()
    }

    fn scope(&self) -> String {
        format!("{}/xunlei/s3/aws4_request", self.day())
    }

    fn string_to_sign(&self) -> String {
        format!(
            "AWS4-HMAC-SHA256\n{}\n{}\n{}",
            self.date,
            self.scope(),
            sha256_hex(self.canonical_request().as_bytes())
        )
    }

    /// The value of the `Authorization` header.
    pub fn authorization(&self) -> String {
        let secret = format!("AWS4{}", self.credentials.access_key_secret.expose());
        let mut key = hmac(secret.as_bytes(), self.day());
        for part in ["xunlei", "s3", "aws4_request"] {
            key = hmac(&key, part);
        }
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={SIGNED}, Signature={}",
            self.credentials.access_key_id.expose(),
            self.scope(),
            hex_lower(&hmac(&key, &self.string_to_sign()))
        )
    }
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes keys of every length; the error type has no value that could occur.
    Hmac::<Sha256>::new_from_slice(key)
        .map(|mut mac| {
            mac.update(text.as_bytes());
            mac.finalize().into_bytes().to_vec()
        })
        .unwrap_or_default()
}

/// SHA-256 in lower hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex_lower(&Sha256::digest(bytes))
}

/// A query in the order and spelling in which it is signed and sent.
pub fn query_text(query: &[(&str, &str)]) -> String {
    let encode = |text| utf8_percent_encode(text, KEEP).to_string();
    let mut pairs: Vec<_> = query
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    pairs.sort_unstable();
    pairs.join("&")
}

/// The wall time `now_ms` (milliseconds since the epoch) as `YYYYMMDDTHHMMSSZ`.
///
/// # Errors
/// `Invalid` for a time that no calendar has.
pub fn amz_date(now_ms: i64) -> Result<String> {
    jiff::Timestamp::from_millisecond(now_ms)
        .map(|time| time.strftime("%Y%m%dT%H%M%SZ").to_string())
        .map_err(|_| DriveError::new(ErrorKind::Invalid, "the machine's clock is out of range"))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::net::Secret;

    const VECTORS: &str = include_str!("../../../tests/fixtures/xunlei.vectors.json");

    #[test]
    fn the_vectors_of_the_sheet() {
        let vectors: Value = serde_json::from_str(VECTORS).unwrap();
        let all = vectors["s3_sigv4"].as_array().unwrap();
        assert_eq!(all.len(), 2);
        for vector in all {
            let text = |key: &str| vector[key].as_str().unwrap();
            let query: Vec<(&str, &str)> = vector["query"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
                .collect();
            let credentials = OssCredentials {
                access_key_id: Secret::new(text("access_key_id")),
                access_key_secret: Secret::new(text("secret_access_key")),
                token: Secret::new(text("security_token")),
            };
            let body: &[u8] = if text("method") == "PUT" {
                b"hello"
            } else {
                b""
            };
            assert_eq!(sha256_hex(body), text("payload_sha256"));
            let signing = Signing {
                method: text("method"),
                host: text("host"),
                path: text("path"),
                query: &query_text(&query),
                payload: &sha256_hex(body),
                date: text("amz_date"),
                credentials: &credentials,
            };
            assert_eq!(signing.canonical_request(), text("canonical_request"));
            assert_eq!(signing.string_to_sign(), text("string_to_sign"));
            assert_eq!(signing.authorization(), text("authorization"));
        }
    }

    #[test]
    fn dates_and_queries() {
        assert_eq!(amz_date(1_767_225_600_000).unwrap(), "20260101T000000Z");
        assert!(amz_date(i64::MAX).is_err());
        let query = [("uploadId", "a/b +"), ("partNumber", "12"), ("uploads", "")];
        assert_eq!(
            query_text(&query),
            "partNumber=12&uploadId=a%2Fb%20%2B&uploads="
        );
    }
}
