//! OSS signature V1, in a header and in a query (115_open.md section 7.2,
//! aliyundrive_open.md section 11 note 6), computed here with the bare HMAC.

use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha1::Sha1;

/// Query parameters that are part of what is signed; all others are not.
const SUB_RESOURCES: &[&str] = &[
    "uploads",
    "uploadId",
    "partNumber",
    "sequential",
    "security-token",
    "callback",
    "callback-var",
    "x-oss-enable-sha1",
    "x-oss-enable-md5",
    "x-oss-enable-sha256",
    "x-oss-hash-ctx",
    "x-oss-process",
    "response-content-type",
    "response-content-disposition",
    "response-content-encoding",
    "response-cache-control",
    "response-content-language",
    "response-expires",
    "acl",
    "append",
    "position",
    "delete",
    "cors",
    "lifecycle",
    "location",
    "logging",
    "objectMeta",
    "referer",
    "restore",
    "symlink",
    "tagging",
    "versionId",
    "website",
];

/// What stays as it is in an encoded key or value.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Percent-encodes a query value (everything but `A-Za-z0-9-_.~`).
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// Reads a query into decoded pairs; a parameter without value has an empty one.
pub fn parse_query(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        percent_decode_str(&text.replace('+', "%20"))
            .decode_utf8_lossy()
            .into_owned()
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// A parameter of a parsed query.
pub fn value<'a>(query: &'a [(String, String)], name: &str) -> Option<&'a str> {
    query
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

/// `/bucket/key?sub-resources`, decoded, sub-resources sorted, bare when empty.
pub fn canonical_resource(bucket: &str, key: &str, query: &[(String, String)]) -> String {
    let mut signed: Vec<&(String, String)> = query
        .iter()
        .filter(|(name, _)| SUB_RESOURCES.contains(&name.as_str()))
        .collect();
    signed.sort();
    let parts: Vec<String> = signed
        .iter()
        .map(|(name, value)| {
            if value.is_empty() {
                name.clone()
            } else {
                format!("{name}={value}")
            }
        })
        .collect();
    let mark = if parts.is_empty() { "" } else { "?" };
    format!("/{bucket}/{key}{mark}{}", parts.join("&"))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
}

/// The text a V1 header signature covers. `x-oss-date` takes the date's place.
pub fn string_to_sign(
    method: &str,
    headers: &HeaderMap,
    bucket: &str,
    key: &str,
    query: &[(String, String)],
) -> String {
    let date = match header(headers, "x-oss-date") {
        "" => header(headers, "date"),
        own => own,
    };
    text_to_sign(method, headers, date, bucket, key, query)
}

fn text_to_sign(
    method: &str,
    headers: &HeaderMap,
    date: &str,
    bucket: &str,
    key: &str,
    query: &[(String, String)],
) -> String {
    let mut own: Vec<(&str, &str)> = headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-oss-"))
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap_or("").trim()))
        .collect();
    // By name: as whole lines `x-oss-callback-var:` would come before `x-oss-callback:`.
    own.sort();
    let own: String = own
        .iter()
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect();
    format!(
        "{method}\n{}\n{}\n{date}\n{}{}",
        header(headers, "content-md5"),
        header(headers, "content-type"),
        own,
        canonical_resource(bucket, key, query),
    )
}

/// Base64 of HMAC-SHA1.
pub fn hmac_sha1(secret: &str, text: &str) -> String {
    // A key of any length is accepted; the error case does not exist for HMAC.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// The query of a pre-signed URL: `query` plus key id, expiry (seconds since 1970) and
/// signature. The client may then send no `x-oss-` header, Content-Type or Content-MD5.
pub fn presign(
    method: &str,
    bucket: &str,
    key: &str,
    query: &[(String, String)],
    access_key: (&str, &str),
    expires_s: i64,
) -> String {
    let none = HeaderMap::new();
    let text = text_to_sign(method, &none, &expires_s.to_string(), bucket, key, query);
    let signature = hmac_sha1(access_key.1, &text);
    let mut pairs: Vec<String> = query
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    pairs.push(format!("OSSAccessKeyId={}", encode(access_key.0)));
    pairs.push(format!("Expires={expires_s}"));
    pairs.push(format!("Signature={}", encode(&signature)));
    pairs.join("&")
}

/// Why a pre-signed request is refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// `Expires` is over.
    Expired,
    /// Something signed was changed or added.
    BadSignature,
}

/// Checks a pre-signed request as OSS does: expiry, then the signature over method, the
/// headers that were really sent, object and sub-resources.
///
/// # Errors
/// See [`Refused`].
pub fn check_presigned(
    method: &str,
    headers: &HeaderMap,
    bucket: &str,
    key: &str,
    query: &[(String, String)],
    access_key: (&str, &str),
    now_s: i64,
) -> Result<(), Refused> {
    if value(query, "OSSAccessKeyId") != Some(access_key.0) {
        return Err(Refused::BadSignature);
    }
    let Some(expires) = value(query, "Expires").and_then(|text| text.parse::<i64>().ok()) else {
        return Err(Refused::BadSignature);
    };
    let text = text_to_sign(method, headers, &expires.to_string(), bucket, key, query);
    if value(query, "Signature") != Some(hmac_sha1(access_key.1, &text).as_str()) {
        return Err(Refused::BadSignature);
    }
    if now_s >= expires {
        return Err(Refused::Expired);
    }
    Ok(())
}
