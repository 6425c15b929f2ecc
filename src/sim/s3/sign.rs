//! AWS signature V4 (public S3 API reference, "Authenticating requests"), computed here with
//! the bare HMAC.

use axum::http::HeaderMap;
use hmac::{Hmac, KeyInit, Mac};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest, Sha256};

use super::super::digest::hex;

/// How an `Authorization` of this kind begins.
pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Instead of a payload's hash: nobody hashed it.
pub(super) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
/// The query parameter that is not signed itself.
pub(super) const SIGNATURE: &str = "X-Amz-Signature";

/// What stays as it is in a canonical query.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
/// What stays as it is in a canonical path.
const IN_PATH: &AsciiSet = &UNRESERVED.remove(b'/');

/// A decoded query parameter. Bytes: nobody promises UTF-8.
pub(super) type Pair = (Vec<u8>, Vec<u8>);

/// Reads a query; a parameter without a value has an empty one.
pub(super) fn parse_query(query: &str) -> Vec<Pair> {
    let decode = |text: &str| percent_decode_str(&text.replace('+', "%20")).collect();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// A path in its canonical form: each byte encoded once, however it was sent.
fn canonical_path(path: &str) -> String {
    let bytes: Vec<u8> = percent_decode_str(path).collect();
    match percent_encode(&bytes, IN_PATH).to_string() {
        empty if empty.is_empty() => "/".to_owned(),
        path => path,
    }
}

fn canonical_query(query: &[Pair]) -> String {
    let encode = |bytes: &[u8]| percent_encode(bytes, UNRESERVED).to_string();
    let signed = query
        .iter()
        .filter(|(name, _)| name != SIGNATURE.as_bytes());
    let mut pairs: Vec<(String, String)> = signed
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    pairs.sort();
    let pairs = pairs.iter().map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join("&")
}

/// A header's values as they are signed: spaces joined, several values with commas between.
fn canonical_header(headers: &HeaderMap, name: &str) -> Vec<u8> {
    let values = headers.get_all(name).into_iter().map(|value| {
        let words = value.as_bytes().split(|byte| matches!(byte, b' ' | b'\t'));
        let words: Vec<&[u8]> = words.filter(|word| !word.is_empty()).collect();
        words.join(&b' ')
    });
    values.collect::<Vec<_>>().join(&b',')
}

/// The text whose hash is signed. `signed_headers` has `;` between the names.
pub(super) fn canonical_request(
    method: &str,
    path: &str,
    query: &[Pair],
    headers: &HeaderMap,
    signed_headers: &str,
    payload: &str,
) -> Vec<u8> {
    let start = format!(
        "{method}\n{}\n{}\n",
        canonical_path(path),
        canonical_query(query)
    );
    let mut text = start.into_bytes();
    for name in signed_headers.split(';') {
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        text.extend(canonical_header(headers, name));
        text.push(b'\n');
    }
    text.extend_from_slice(format!("\n{signed_headers}\n{payload}").as_bytes());
    text
}

/// The text that is signed.
pub(super) fn string_to_sign(amz_date: &str, scope: &str, canonical_request: &[u8]) -> String {
    let hash = hex(&Sha256::digest(canonical_request));
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

/// An access key id and where and when its signature counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Credential {
    /// Access key id.
    pub key_id: String,
    /// `date/region/service/aws4_request`.
    pub scope: String,
    /// `20130524`.
    pub date: String,
    /// Region.
    pub region: String,
    /// `s3`.
    pub service: String,
}

impl Credential {
    /// Reads `KEY/DATE/REGION/SERVICE/aws4_request`.
    pub fn parse(text: &str) -> Option<Credential> {
        let (key_id, scope) = text.split_once('/')?;
        match scope.split('/').collect::<Vec<_>>()[..] {
            [date, region, service, "aws4_request"] if !key_id.is_empty() => Some(Credential {
                key_id: key_id.to_owned(),
                scope: scope.to_owned(),
                date: date.to_owned(),
                region: region.to_owned(),
                service: service.to_owned(),
            }),
            _ => None,
        }
    }
}

/// An `Authorization` header, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authorization {
    /// Who signed.
    pub credential: Credential,
    /// Names of the signed headers, `;` between them.
    pub signed_headers: String,
    /// Hex.
    pub signature: String,
}

impl Authorization {
    /// Reads a header.
    pub fn parse(text: &str) -> Option<Authorization> {
        let rest = text.strip_prefix(ALGORITHM)?;
        let members = rest.strip_prefix(' ')?.split(',');
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for member in members {
            let slot = match member.trim().split_once('=')? {
                ("Credential", value) => (&mut credential, value),
                ("SignedHeaders", value) => (&mut signed_headers, value),
                ("Signature", value) => (&mut signature, value),
                _ => return None,
            };
            if slot.0.replace(slot.1.to_owned()).is_some() {
                return None;
            }
        }
        Some(Authorization {
            credential: Credential::parse(&credential?)?,
            signed_headers: signed_headers.filter(|names| in_order(names))?,
            signature: signature?,
        })
    }
}

/// Whether the names of signed headers are lower case, sorted, and each there once.
pub(super) fn in_order(names: &str) -> bool {
    let names: Vec<&str> = names.split(';').collect();
    let plain = |name: &&str| !name.is_empty() && !name.bytes().any(|b| b.is_ascii_uppercase());
    let sorted = names.iter().zip(names.iter().skip(1)).all(|(a, b)| a < b);
    names.iter().all(plain) && sorted
}

/// Reads `20130524T000000Z` (milliseconds).
pub(super) fn parse_amz_date(text: &str) -> Option<i64> {
    if text.len() != 16 {
        return None;
    }
    let civil = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    let zoned = civil.to_zoned(TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_millisecond())
}

/// Writes a time in this form.
pub(super) fn amz_date(ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let zoned = time.to_zoned(TimeZone::UTC);
    zoned.strftime("%Y%m%dT%H%M%SZ").to_string()
}
