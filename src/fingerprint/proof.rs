//! Proofs that somebody holds the bytes of a content, asked during a fast upload.
//!
//! | provider | proof | sheet |
//! |---|---|---|
//! | Aliyun | base64 of up to 8 bytes, place from the access token | `aliyundrive_open` 6.1 |
//! | Quark Open | the same twice, places from two seeds | `quark` 4.14 |
//! | 115 | upper hex SHA-1 of a range the server names | `115_open` 6 |
//! | Baidu with cookies | unpadded base64 of up to 4,096 bytes | `baidu_netdisk` 6.4 |

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use md5::{Digest, Md5};
use sha1::Sha1;

use super::{hex_lower, hex_upper};

/// The range Aliyun's proof v1 is made of. `access_token` is exactly what follows `Bearer ` in
/// the request's header; after a token refresh the range is another one. At most 8 bytes,
/// fewer near the end, empty for an empty content.
///
/// Quark Open uses the same rule with each seed of [`quark_open_seeds`] as the token.
pub fn proof_range(access_token: &str, size: u64) -> Range<u64> {
    if size == 0 {
        return 0..0;
    }
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 16]>::from(Md5::digest(access_token));
    let start = u64::from_be_bytes([a, b, c, d, e, f, g, h]) % size;
    start..start.saturating_add(8).min(size)
}

/// Aliyun's (and Quark Open's) proof code: standard base64, padded, of the bytes of
/// [`proof_range`]; the empty string for an empty content.
pub fn proof_code(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Quark Open's `proof_seed1` and `proof_seed2`. `x_pan_token` is the very value sent in the
/// header of this request.
pub fn quark_open_seeds(user_id: &str, x_pan_token: &str, size: u64) -> [String; 2] {
    let first = Md5::new()
        .chain_update(user_id)
        .chain_update(x_pan_token)
        .finalize();
    [hex_lower(&first), hex_lower(&Md5::digest(size.to_string()))]
}

/// The range 115 asks for in `sign_check`, `first-last` with both ends included. `None` when
/// the text is no such range.
pub fn sign_check_range(text: &str) -> Option<Range<u64>> {
    let (first, last) = text.trim().split_once('-')?;
    let first: u64 = first.trim().parse().ok()?;
    let end = last.trim().parse::<u64>().ok()?.checked_add(1)?;
    (first < end).then_some(first..end)
}

/// 115's `sign_val`: upper hex SHA-1 of the bytes of [`sign_check_range`].
pub fn sign_val(bytes: &[u8]) -> String {
    hex_upper(&Sha1::digest(bytes))
}

/// The range of Baidu's cookie proof: `data_offset` and up to 4,096 bytes from there.
/// `uk` is the numeric user id, `content_md5` 32 lower hex digits, `data_time` Unix seconds.
pub fn baidu_proof_range(uk: u64, content_md5: &str, data_time: u64, size: u64) -> Range<u64> {
    const LENGTH: u64 = 4096;
    let [a, b, c, d, ..] = <[u8; 16]>::from(Md5::digest(format!("{uk}{content_md5}{data_time}")));
    let raw = u64::from(u32::from_be_bytes([a, b, c, d]));
    let start = match size.checked_sub(LENGTH) {
        None | Some(0) => 0,
        Some(last) => raw % last.saturating_add(1),
    };
    start..start.saturating_add(LENGTH).min(size)
}

/// Baidu's `data_content`: standard base64 without padding of the bytes of
/// [`baidu_proof_range`].
pub fn baidu_proof_content(bytes: &[u8]) -> String {
    STANDARD_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_stay_inside_the_content() {
        for size in [0, 1, 7, 8, 9, 4096, u64::MAX] {
            let range = proof_range("token-B", size);
            assert!(range.start <= range.end && range.end <= size);
            assert!(range.end - range.start <= 8);
            assert_eq!(range.is_empty(), size == 0);
            let range = baidu_proof_range(1, "", 1, size);
            assert!(range.start <= range.end && range.end <= size);
            assert_eq!(range.end - range.start, size.min(4096));
        }
    }

    #[test]
    fn sign_check_is_inclusive_and_checked() {
        assert_eq!(sign_check_range("0-0"), Some(0..1));
        assert_eq!(
            sign_check_range("2392148-2392298"),
            Some(2_392_148..2_392_299)
        );
        for bad in [
            "",
            "5",
            "5-4",
            "a-b",
            "-1-3",
            "0-18446744073709551615",
            "1-99999999999999999999",
        ] {
            assert_eq!(sign_check_range(bad), None, "{bad:?}");
        }
    }
}
