//! Names (sheet section 9): files up to 250 characters, folders up to 256 bytes, stored verbatim.
//! Which characters are refused is not documented; control characters are mapped to be careful.

use super::entry::Entry;
use crate::drive::{DriveError, ErrorKind, NameRules, Result};

/// The rule of files. Titles of online documents may hold a `/`: it is shown by its twin.
pub const RULES: NameRules = NameRules {
    illegal: "",
    no_controls: true,
    no_outer_blanks: false,
    max_bytes: 1000,
    max_chars: 250,
};

/// Bytes of a folder's name.
const FOLDER_BYTES: usize = 256;

/// The provider's spelling of a directory's name.
///
/// # Errors
/// `NameTooLong`, `Invalid`.
pub fn encode_folder(name: &str) -> Result<String> {
    let encoded = RULES.encode(name)?;
    if encoded.len() > FOLDER_BYTES {
        return Err(DriveError::new(
            ErrorKind::NameTooLong,
            format!("the name {name:?} is longer than the {FOLDER_BYTES} bytes a folder takes"),
        ));
    }
    Ok(encoded)
}

/// Whether `name` means this entry: its own name, or the one by which it is told from others of
/// its name, `name~ID8.ext` (DESIGN 5).
pub fn means(entry: &Entry, name: &str, only_verbatim: bool) -> bool {
    let shown = entry.shown_name();
    if only_verbatim {
        return shown == name;
    }
    let id = entry.id();
    let letters: Vec<char> = id
        .as_str()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let tail: String = letters
        .iter()
        .skip(letters.len().saturating_sub(8))
        .collect();
    let (stem, extension) = match shown.rfind('.').filter(|dot| *dot > 0) {
        Some(dot) => shown.split_at(dot),
        None => (shown.as_str(), ""),
    };
    name == format!("{stem}~{tail}{extension}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn files_count_characters_and_folders_bytes() {
        assert_eq!(RULES.encode(&"字".repeat(250)).unwrap().len(), 750);
        let long = RULES.encode(&"x".repeat(251)).unwrap_err();
        assert_eq!(long.kind, ErrorKind::NameTooLong);
        assert!(encode_folder(&"字".repeat(85)).is_ok());
        let long = encode_folder(&"字".repeat(86)).unwrap_err();
        assert_eq!(long.kind, ErrorKind::NameTooLong);
    }

    #[test]
    fn a_duplicate_is_known_by_its_id() {
        let item = json!({"token":"boxcn-A0123456789","name":"a.tar.gz","type":"file"});
        let entry = Entry::decode(&item).unwrap();
        assert!(means(&entry, "a.tar.gz", true));
        assert!(means(&entry, "a.tar~23456789.gz", false));
        assert!(!means(&entry, "a.tar~23456789.gz", true));
        assert!(!means(&entry, "a.tar~00000000.gz", false));
    }
}
