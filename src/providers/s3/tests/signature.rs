//! Recomputes signatures by the published rules of AWS Signature Version 4.

use axum::http::HeaderMap;
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

use super::server::{KEY, SECRET};
use crate::fingerprint::hex_lower;

const KEEP: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Recomputes the signature of a request.
pub fn is_signed(
    method: &str,
    path: &str,
    query: &[(String, String)],
    headers: &HeaderMap,
) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let given = header("authorization").unwrap_or_default();
    let field = |name: &str| {
        let rest = given.split_once(name)?.1;
        Some(rest.split(',').next()?.to_owned())
    };
    let (Some(scope), Some(signed), Some(signature)) = (
        field("Credential="),
        field("SignedHeaders="),
        field("Signature="),
    ) else {
        return false;
    };
    let Some(scope) = scope.strip_prefix(&format!("{KEY}/")) else {
        return false;
    };
    let encode = |text: &str| utf8_percent_encode(text, KEEP).to_string();
    let path: Vec<String> = path.split('/').map(encode).collect();
    let query: Vec<String> = query
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    let lines: String = signed
        .split(';')
        .map(|name| format!("{name}:{}\n", header(name).unwrap_or_default().trim()))
        .collect();
    let payload = header("x-amz-content-sha256").unwrap_or_default();
    let canonical = format!(
        "{method}\n{}\n{}\n{lines}\n{signed}\n{payload}",
        path.join("/"),
        query.join("&")
    );
    let date = header("x-amz-date").unwrap_or_default();
    let text = format!(
        "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
        hex_lower(&Sha256::digest(canonical))
    );
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for piece in scope.split('/').chain([text.as_str()]) {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(piece.as_bytes());
        key = mac.finalize().into_bytes().to_vec();
    }
    hex_lower(&key) == signature && signed.contains("host") && signed.contains("x-amz-date")
}
