//! The `md5` of listings: obfuscated, and for files of several slices no MD5 of the content
//! at all (baidu_netdisk.md section 5).

use super::super::content::Blob;
use super::super::digest::{HashKind, md5_hex};

/// Slice size that decides what several slices are called by, 4 MiB.
const SLICE: u64 = 4 << 20;

/// Section 5.2, encode. What is no MD5 in lower-case hex comes back as it is.
pub(super) fn obfuscate(plain: &str) -> String {
    let nibbles: Option<Vec<u32>> = plain.chars().map(|c| c.to_digit(16)).collect();
    let Some(p) = nibbles.filter(|n| n.len() == 32) else {
        return plain.to_owned();
    };
    let order = (8..16).chain(0..8).chain(24..32).chain(16..24);
    let digit = |(place, from): (usize, usize)| {
        let value = p.get(from).copied().unwrap_or(0) ^ (place as u32 & 15);
        let digit = char::from_digit(value, 16).unwrap_or('0');
        match place {
            9 => char::from_u32(u32::from('g') + value).unwrap_or(digit),
            _ => digit,
        }
    };
    order.enumerate().map(digit).collect()
}

/// What a file is called by before obfuscation. The real formula for several slices is
/// unknown: here it is the MD5 of the joined MD5s of its 4 MiB pieces, so that one content
/// always has one value, and never that of its bytes.
pub(super) async fn cloud_md5(blob: &Blob, slices: u64) -> String {
    match slices {
        0 | 1 => blob.digest(HashKind::Md5).await,
        _ => {
            let pieces = blob.digest(HashKind::BlockMd5(SLICE)).await;
            md5_hex(pieces.replace(',', "").as_bytes())
        }
    }
}
