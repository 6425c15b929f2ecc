//! Signature V1 of Aliyun's object store, header form (sheets 115_open 7.2, pikpak 7).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::OssCredentials;

/// Query parameters that are part of the signed resource. Paging parameters are not.
const SIGNED: &[&str] = &[
    "callback",
    "callback-var",
    "partNumber",
    "security-token",
    "sequential",
    "uploadId",
    "uploads",
    "x-oss-enable-md5",
    "x-oss-enable-sha1",
    "x-oss-process",
];

/// What a signature covers.
pub(super) struct Signed<'a> {
    pub method: &'a str,
    /// Base64 of the body's MD5, empty when the header is not sent.
    pub content_md5: &'a str,
    /// Empty when the header is not sent.
    pub content_type: &'a str,
    /// The `Date` header, RFC 1123 in GMT.
    pub date: &'a str,
    /// Every `x-oss-*` header, in any order, names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
    pub bucket: &'a str,
    /// Not percent-encoded.
    pub key: &'a str,
    /// Every query parameter, not encoded; an empty value is written bare.
    pub query: &'a [(&'a str, &'a str)],
}

impl Signed<'_> {
    /// The text that is signed.
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "{}\n{}\n{}\n{}\n",
            self.method, self.content_md5, self.content_type, self.date
        );
        let mut headers = self.headers.to_vec();
        headers.sort_unstable();
        for (name, value) in headers {
            text.push_str(name);
            text.push(':');
            text.push_str(value);
            text.push('\n');
        }
        text.push('/');
        text.push_str(self.bucket);
        text.push('/');
        text.push_str(self.key);
        let mut query: Vec<_> = self
            .query
            .iter()
            .filter(|(name, _)| SIGNED.contains(name) || name.starts_with("response-"))
            .collect();
        query.sort_unstable();
        for (i, (name, value)) in query.into_iter().enumerate() {
            text.push(if i == 0 { '?' } else { '&' });
            text.push_str(name);
            if !value.is_empty() {
                text.push('=');
                text.push_str(value);
            }
        }
        text
    }

    /// The value of the `Authorization` header.
    pub(super) fn authorization(&self, credentials: &OssCredentials) -> String {
        let secret = credentials.access_key_secret.expose().as_bytes();
        // HMAC takes keys of every length; the error type has no value that could occur.
        let signature = match Hmac::<Sha1>::new_from_slice(secret) {
            Ok(mut mac) => {
                mac.update(self.text().as_bytes());
                STANDARD.encode(mac.finalize().into_bytes())
            }
            Err(_) => String::new(),
        };
        format!("OSS {}:{signature}", credentials.access_key_id.expose())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::net::Secret;

    const VECTORS: &str = include_str!("../../../tests/fixtures/115_open.vectors.json");

    #[test]
    fn the_vectors_of_the_sheet() {
        let vectors: Value = serde_json::from_str(VECTORS).unwrap();
        let all = vectors["oss_v1"].as_array().unwrap();
        assert!(all.len() >= 9);
        for vector in all {
            let text = |key: &str| vector[key].as_str().unwrap_or("");
            let mut signed_headers = Vec::new();
            let (mut md5, mut kind, mut date) = ("", "", "");
            for (name, value) in vector["headers"].as_object().unwrap() {
                let value = value.as_str().unwrap();
                match name.as_str() {
                    "Content-MD5" => md5 = value,
                    "Content-Type" => kind = value,
                    "Date" => date = value,
                    _ => signed_headers.push((name.as_str(), value)),
                }
            }
            let query: Vec<(&str, &str)> = vector["query"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
                .collect();
            let signed = Signed {
                method: text("method"),
                content_md5: md5,
                content_type: kind,
                date,
                headers: &signed_headers,
                bucket: text("bucket"),
                key: text("key"),
                query: &query,
            };
            let credentials = OssCredentials {
                access_key_id: Secret::new(text("access_key_id")),
                access_key_secret: Secret::new(text("access_key_secret")),
                token: Secret::default(),
            };
            assert_eq!(signed.text(), text("string_to_sign"), "{}", text("name"));
            assert_eq!(
                signed.authorization(&credentials),
                text("authorization"),
                "{}",
                text("name")
            );
        }
    }
}
