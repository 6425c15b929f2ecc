//! Baidu's obfuscated cloud MD5 (sheet `baidu_netdisk` 5.2).
//!
//! The decoded value is the content's MD5 only for a file stored as one slice (4 MiB and less
//! always is); otherwise it is a hint inside Baidu and nothing more (sheet 5.1).

/// The place of the character that marks an obfuscated value.
const MARK: usize = 9;

fn swap_quarters(nibbles: [u8; 32]) -> [u8; 32] {
    let mut swapped = [0; 32];
    for (index, slot) in swapped.iter_mut().enumerate() {
        // Swaps the eights inside each half; its own inverse.
        *slot = nibbles[index ^ 8];
    }
    swapped
}

fn nibble(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

fn mask(nibbles: [u8; 32]) -> [u8; 32] {
    std::array::from_fn(|index| nibbles[index] ^ (index as u8 & 15))
}

fn spell(nibbles: [u8; 32]) -> Vec<char> {
    nibbles
        .iter()
        .map(|n| char::from_digit(u32::from(*n), 16).unwrap_or('0'))
        .collect()
}

/// The plain 32 lower hex digits of an obfuscated value; `None` when the text is not
/// obfuscated (a plain MD5, another width, other characters): it then means what it says.
pub fn decode_cloud_md5(text: &str) -> Option<String> {
    let bytes: [u8; 32] = text.as_bytes().try_into().ok()?;
    let mut nibbles = [0; 32];
    for (index, byte) in bytes.into_iter().enumerate() {
        nibbles[index] = match byte {
            b'g'..=b'v' if index == MARK => byte - b'g',
            _ if index == MARK => return None,
            _ => nibble(byte)?,
        };
    }
    Some(spell(swap_quarters(mask(nibbles))).into_iter().collect())
}

/// The obfuscated form of a plain MD5 of 32 hex digits; `None` when it is none. To compare a
/// computed MD5 with what Baidu lists.
pub fn encode_cloud_md5(plain: &str) -> Option<String> {
    let bytes: [u8; 32] = plain.as_bytes().try_into().ok()?;
    let mut nibbles = [0; 32];
    for (slot, byte) in nibbles.iter_mut().zip(bytes) {
        *slot = nibble(byte)?;
    }
    let masked = mask(swap_quarters(nibbles));
    let mut text = spell(masked);
    text[MARK] = char::from(b'g' + masked[MARK]);
    Some(text.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_obfuscated_is_left_alone() {
        assert_eq!(decode_cloud_md5("5eb63bbbe01eeed093cb22bb8f5acdc3"), None);
        assert_eq!(decode_cloud_md5(""), None);
        assert_eq!(decode_cloud_md5("e13dabb7dw1df6548e7988a41a60ef54"), None);
        assert_eq!(decode_cloud_md5("z13dabb7dn1df6548e7988a41a60ef54"), None);
        assert_eq!(encode_cloud_md5("xyz"), None);
    }
}
