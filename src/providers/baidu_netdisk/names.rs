//! Names (sheet section 9): none of `\ ? | " > < : *`, no blank and no dot at either end of a
//! component, paths of up to 1000 characters. The longest component is not documented; 255
//! characters is common.

use crate::drive::{DriveError, ErrorKind, NameRules, Result};

const RULES: NameRules = NameRules {
    illegal: "\\?|\"><:*",
    no_controls: true,
    no_outer_blanks: true,
    max_bytes: 1020,
    max_chars: MAX_CHARS,
};

const MAX_CHARS: usize = 255;

/// Longest path in characters.
const MAX_PATH: usize = 1000;

/// A dot at the beginning is refused here, too; its stand-in is the one of a dot at the end.
const DOT: char = '\u{FF0E}';

/// The provider's spelling of a user's name.
///
/// # Errors
/// `NameTooLong`; `Invalid` for what is no name.
pub fn encode(name: &str) -> Result<String> {
    let encoded = RULES.encode(name)?;
    let encoded = match encoded.strip_prefix('.') {
        Some(rest) => format!("{DOT}{rest}"),
        None => encoded,
    };
    if encoded.chars().count() > MAX_CHARS {
        return Err(too_long(name));
    }
    Ok(encoded)
}

/// The user's spelling of a provider's name.
pub fn decode(name: &str) -> String {
    RULES.decode(name)
}

/// The path of an entry (in the provider's spelling) in a directory.
///
/// # Errors
/// `NameTooLong` beyond 1000 characters.
pub fn join(dir: &str, name: &str) -> Result<String> {
    let path = format!("{}/{name}", dir.trim_end_matches('/'));
    if path.chars().count() > MAX_PATH {
        return Err(too_long(name));
    }
    Ok(path)
}

/// The directory an entry is in; `/` for what lies at the top.
pub fn parent_of(path: &str) -> &str {
    match path.trim_end_matches('/').rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

/// The last component of a path.
pub fn name_of(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn too_long(name: &str) -> DriveError {
    DriveError::new(
        ErrorKind::NameTooLong,
        format!("the name or path of {name:?} is longer than this provider takes"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_comes_back() {
        for name in [
            ".hidden",
            "..two dots",
            "\u{FF0E}full",
            "ends.",
            " a ",
            "a:b*c?.txt",
            "tab\t",
            "...",
            "\u{2024}\u{FF0E}",
            "plain (1).txt",
        ] {
            let encoded = encode(name).unwrap();
            assert!(!encoded.starts_with(['.', ' ']), "{encoded}");
            assert!(!encoded.ends_with(['.', ' ', '\t']), "{encoded}");
            assert!(!encoded.contains(['\\', '?', '|', '"', '>', '<', ':', '*']));
            assert_eq!(decode(&encoded), name);
        }
    }

    #[test]
    fn names_and_paths_have_their_limits() {
        assert!(encode(&"\u{5b57}".repeat(255)).is_ok());
        let long = encode(&"x".repeat(256)).unwrap_err();
        assert_eq!(long.kind, ErrorKind::NameTooLong);
        let deep = "/x".repeat(499);
        assert!(join(&deep, "a").is_ok());
        assert_eq!(join(&deep, "abc").unwrap_err().kind, ErrorKind::NameTooLong);
    }

    #[test]
    fn paths_come_apart() {
        assert_eq!(join("/", "a").unwrap(), "/a");
        assert_eq!(join("/a", "b").unwrap(), "/a/b");
        assert_eq!((parent_of("/a"), name_of("/a")), ("/", "a"));
        assert_eq!((parent_of("/a/b/"), name_of("/a/b/")), ("/a", "b"));
        assert_eq!((parent_of("/"), name_of("/")), ("/", ""));
    }
}
