//! The proof of possession of the cookie API: 4 KiB of the file at a place that depends on
//! user and time (baidu_netdisk.md section 6.4).

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::super::content::Blob;
use super::super::digest::md5_hex;
use super::args::Args;
use super::errors::ApiError;

/// Bytes of the proof.
const LENGTH: u64 = 4096;

/// Where the proof begins.
pub(super) fn offset(uk: u64, content_md5: &str, data_time: i64, size: u64) -> u64 {
    let mixed = md5_hex(format!("{uk}{content_md5}{data_time}").as_bytes());
    let raw = mixed
        .get(..8)
        .and_then(|head| u64::from_str_radix(head, 16).ok());
    match (size + 1).saturating_sub(LENGTH) {
        0 | 1 => 0,
        places => raw.unwrap_or(0) % places,
    }
}

/// Proof of a content: length and text.
pub(super) fn content(blob: &Blob, offset: u64) -> (u64, String) {
    let bytes = blob.read(offset, LENGTH);
    (bytes.len() as u64, STANDARD_NO_PAD.encode(&bytes))
}

/// Whether the form proves that its sender has `blob`: right place, right bytes, and a time
/// not farther than `window` seconds from `now`.
pub(super) fn holds(
    form: &Args,
    uk: u64,
    content_md5: &str,
    blob: &Blob,
    now: i64,
    window: i64,
) -> Result<bool, ApiError> {
    let Some(time) = form.seconds("data_time")? else {
        return Ok(false);
    };
    let place = offset(uk, content_md5, time, blob.size());
    let (length, text) = content(blob, place);
    let sent = (
        form.number("data_offset", 0)?,
        form.number("data_length", 0)?,
    );
    let same = sent == (place, length) && form.text("data_content") == text;
    Ok(same && (now - time).abs() <= window)
}
