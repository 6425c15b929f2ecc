//! Names an object store holds.
//!
//! Keys are any UTF-8 of up to 1024 bytes; only `/` means something. Control characters cannot stand
//! in the XML of listings and are mapped.

use crate::drive::{DriveError, ErrorKind, NameRules, Result};

/// Longest name in bytes, as file systems have it.
pub const MAX_NAME: usize = 255;

/// Longest key in bytes.
pub const MAX_KEY: usize = 1024;

/// What is mapped. A stand-in has three bytes: the limit that counts is the one of the user's name.
pub const RULES: NameRules = NameRules {
    illegal: "",
    no_controls: true,
    no_outer_blanks: false,
    max_bytes: 3 * MAX_NAME,
    max_chars: usize::MAX,
};

/// The spelling of a new name in a key.
///
/// # Errors
/// `Invalid` for what is no name, `NameTooLong`.
pub fn encode(name: &str) -> Result<String> {
    if name.len() > MAX_NAME {
        return Err(DriveError::new(
            ErrorKind::NameTooLong,
            format!("the name {name:?} is longer than {MAX_NAME} bytes"),
        ));
    }
    RULES.encode(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for name in [
            "tab\there",
            " a ",
            "a+b %.txt",
            "\u{5b57}\u{3000}",
            "back\\slash",
            "a.",
        ] {
            let encoded = encode(name).unwrap();
            assert!(!encoded.contains('\t'), "{encoded}");
            assert_eq!(RULES.decode(&encoded), name);
        }
        assert_eq!(encode("a b+%.txt").unwrap(), "a b+%.txt");
        assert!(encode(&"\t".repeat(MAX_NAME)).is_ok());
        let long = encode(&"x".repeat(MAX_NAME + 1)).unwrap_err();
        assert_eq!(long.kind, ErrorKind::NameTooLong);
    }
}
