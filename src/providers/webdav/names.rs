//! Names a WebDAV server holds, and the names of our own unfinished files.
//!
//! The protocol forbids nothing but `/`: names travel percent-encoded. Servers on other systems, and
//! Nextcloud, take no backslash, and control characters break careless XML writers; both are mapped.

use crate::drive::{DriveError, ErrorKind, NameRules, Result};

/// Longest name in bytes, as the file systems behind these servers have it.
pub const MAX_NAME: usize = 255;

/// What is mapped. A stand-in has three bytes: the limit that counts is the one of the user's name.
pub const RULES: NameRules = NameRules {
    illegal: "\\",
    no_controls: true,
    no_outer_blanks: false,
    max_bytes: 3 * MAX_NAME,
    max_chars: usize::MAX,
};

/// Begin of the names of unfinished files; 32 hex digits follow. No leading dot: web servers often
/// refuse whatever has one.
const TEMPORARY: &str = "panfuse-upload-";

/// The server's spelling of a new name.
///
/// # Errors
/// `Invalid` for what is no name or is ours, `NameTooLong`.
pub fn encode(name: &str) -> Result<String> {
    if name.len() > MAX_NAME {
        return Err(DriveError::new(
            ErrorKind::NameTooLong,
            format!("the name {name:?} is longer than {MAX_NAME} bytes"),
        ));
    }
    let encoded = RULES.encode(name)?;
    if is_temporary(&encoded) {
        return Err(DriveError::new(
            ErrorKind::Invalid,
            format!("{name:?} is a name that unfinished uploads have"),
        ));
    }
    Ok(encoded)
}

/// A new name for an unfinished file.
pub fn temporary() -> String {
    format!("{TEMPORARY}{}", uuid::Uuid::new_v4().simple())
}

/// Whether a name is one of an unfinished upload, of this or another machine.
pub fn is_temporary(name: &str) -> bool {
    name.strip_prefix(TEMPORARY)
        .is_some_and(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_ours_are_refused() {
        for name in ["back\\slash", "tab\there", "a:b", " x.", "100% +.txt", "字"] {
            let encoded = encode(name).unwrap();
            assert!(!encoded.contains(['\\', '\t']), "{encoded}");
            assert_eq!(RULES.decode(&encoded), name);
        }
        let ours = temporary();
        assert!(is_temporary(&ours));
        assert_eq!(encode(&ours).unwrap_err().kind, ErrorKind::Invalid);
        assert!(encode("panfuse-upload-mine").is_ok());
        assert!(encode(&"\\".repeat(MAX_NAME)).is_ok());
        let long = encode(&"x".repeat(MAX_NAME + 1)).unwrap_err();
        assert_eq!(long.kind, ErrorKind::NameTooLong);
    }
}
