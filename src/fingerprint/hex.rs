//! Hex spelling of bytes.

const LOWER: &[u8; 16] = b"0123456789abcdef";
const UPPER: &[u8; 16] = b"0123456789ABCDEF";

fn spell(bytes: &[u8], digits: &[u8; 16]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(digits[usize::from(byte >> 4)]));
        text.push(char::from(digits[usize::from(byte & 15)]));
    }
    text
}

/// The bytes as lower-case hex digits.
pub fn hex_lower(bytes: &[u8]) -> String {
    spell(bytes, LOWER)
}

/// The bytes as upper-case hex digits.
pub fn hex_upper(bytes: &[u8]) -> String {
    spell(bytes, UPPER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_leading_zeros() {
        assert_eq!(hex_lower(&[0, 0x0a, 0xf0]), "000af0");
        assert_eq!(hex_upper(&[0, 0x0a, 0xf0]), "000AF0");
        assert_eq!(hex_lower(&[]), "");
    }
}
