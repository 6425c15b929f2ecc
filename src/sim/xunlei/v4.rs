//! AWS signature V4 (xunlei.md section 7.2), computed here with the bare HMAC.

use axum::http::HeaderMap;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

use super::super::digest::hex;
use super::super::oss::sign::encode;
use super::gate::header;

/// How an `Authorization` of this kind begins.
pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The region of the sheet.
pub(super) const REGION: &str = "xunlei";
/// Instead of a payload's hash: nobody hashed it.
pub(super) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// An `Authorization` header, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Authorization<'a> {
    /// Access key id.
    pub key_id: &'a str,
    /// `date/region/service/aws4_request`.
    pub scope: &'a str,
    /// Names of the signed headers, `;` between them.
    pub signed_headers: &'a str,
    /// Hex.
    pub signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// Reads a header.
    pub(super) fn parse(text: &'a str) -> Option<Authorization<'a>> {
        let members = text.strip_prefix(ALGORITHM)?.trim().split(',');
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for member in members {
            match member.trim().split_once('=')? {
                ("Credential", value) => credential = value.split_once('/'),
                ("SignedHeaders", value) => signed_headers = Some(value),
                ("Signature", value) => signature = Some(value),
                _ => return None,
            }
        }
        let (key_id, scope) = credential?;
        Some(Authorization {
            key_id,
            scope,
            signed_headers: signed_headers?,
            signature: signature?,
        })
    }

    /// Whether a header is signed.
    pub(super) fn covers(&self, name: &str) -> bool {
        self.signed_headers.split(';').any(|one| one == name)
    }
}

/// A path in its canonical form: each segment encoded once, however it was sent.
fn canonical_path(path: &str) -> String {
    let segments = path.split('/');
    let encoded = segments.map(|one| encode(&percent_decode_str(one).decode_utf8_lossy()));
    encoded.collect::<Vec<_>>().join("/")
}

/// The text whose hash is signed. `query` holds decoded pairs.
pub(super) fn canonical_request(
    method: &str,
    path: &str,
    query: &[(String, String)],
    headers: &HeaderMap,
    signed_headers: &str,
) -> String {
    let mut pairs: Vec<(String, String)> = query
        .iter()
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let lines: String = signed_headers
        .split(';')
        .map(|name| {
            let words = header(headers, name).split_whitespace();
            format!("{name}:{}\n", words.collect::<Vec<_>>().join(" "))
        })
        .collect();
    format!(
        "{method}\n{}\n{}\n{lines}\n{signed_headers}\n{}",
        canonical_path(path),
        pairs.join("&"),
        header(headers, "x-amz-content-sha256"),
    )
}

/// The text that is signed.
pub(super) fn string_to_sign(amz_date: &str, scope: &str, canonical_request: &str) -> String {
    let hash = hex(&Sha256::digest(canonical_request.as_bytes()));
    format!("{ALGORITHM}\n{amz_date}\n{scope}\n{hash}")
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    // A key of any length is accepted; the error case does not exist for HMAC.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Vec::new();
    };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The signature of a text in a scope (`date/region/service/aws4_request`).
pub(super) fn signature(secret: &str, scope: &str, text: &str) -> String {
    let start = format!("AWS4{secret}").into_bytes();
    let key = scope.split('/').fold(start, |key, part| hmac(&key, part));
    hex(&hmac(&key, text))
}
