//! Names and ids.
//!
//! Names are taken as they are. Only what is no UTF-8 gets a stand-in: a byte `0x80..=0xFF`
//! that belongs to no character is shown as U+EF80 + (byte - 0x80), a private-use character;
//! a real character of that range is shown byte by byte the same way. So every name on the
//! disk has exactly one spelling and comes back byte for byte.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::drive::{DriveError, ErrorKind, NodeId, Result};

/// Longest name on the disk in bytes.
pub const MAX_NAME: usize = 255;
/// Directory of trashed entries, hidden wherever it is.
pub const TRASH: &str = ".panfuse-trash";
/// Begin of the names of unfinished files; a UUID follows.
const TEMPORARY: &str = ".panfuse-upload-";
/// First stand-in; stands for byte 0x80.
const STAND_IN: u32 = 0xEF80;

fn stand_in(byte: u8) -> char {
    char::from_u32(STAND_IN + u32::from(byte) - 0x80).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn original(c: char) -> Option<u8> {
    let code = u32::from(c).checked_sub(STAND_IN)?;
    u8::try_from(code)
        .ok()?
        .checked_add(0x80)
        .filter(|_| code < 0x80)
}

/// The user's spelling of a name on the disk.
pub fn shown(name: &OsStr) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if original(c).is_some() {
                let mut bytes = [0; 4];
                text.extend(c.encode_utf8(&mut bytes).bytes().map(stand_in));
            } else {
                text.push(c);
            }
        }
        text.extend(chunk.invalid().iter().copied().map(stand_in));
    }
    text
}

/// The name on the disk of a user's spelling, without any check.
fn on_disk(name: &str) -> OsString {
    let mut bytes = Vec::with_capacity(name.len());
    for c in name.chars() {
        match original(c) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    OsString::from_vec(bytes)
}

/// Whether a name is one of ours and hidden.
pub fn is_reserved(name: &OsStr) -> bool {
    name == TRASH || is_temporary(name)
}

fn is_temporary(name: &OsStr) -> bool {
    name.to_str()
        .and_then(|name| name.strip_prefix(TEMPORARY))
        .is_some_and(|id| uuid::Uuid::try_parse(id).is_ok())
}

/// A new name for an unfinished file.
pub fn temporary() -> OsString {
    OsString::from(format!("{TEMPORARY}{}", uuid::Uuid::new_v4()))
}

/// A name from a journal, when it is one of an unfinished file.
pub fn as_temporary(name: &str) -> Option<OsString> {
    Some(OsString::from(name)).filter(|name| is_temporary(name))
}

/// The name on the disk for a new entry.
///
/// # Errors
/// `Invalid` for what is no name, is reserved or would come back spelled otherwise;
/// `NameTooLong`.
pub fn to_disk(name: &str) -> Result<OsString> {
    let refuse = |why: &str| {
        Err(DriveError::new(
            ErrorKind::Invalid,
            format!("{name:?} {why}"),
        ))
    };
    if matches!(name, "" | "." | "..") || name.contains(['/', '\0']) {
        return refuse("is no file name");
    }
    let raw = on_disk(name);
    if is_reserved(&raw) {
        return refuse("is a name this drive needs for itself");
    }
    if raw.len() > MAX_NAME {
        return Err(DriveError::new(
            ErrorKind::NameTooLong,
            format!("the name {name:?} is longer than {MAX_NAME} bytes"),
        ));
    }
    if shown(&raw) != name {
        return refuse("uses the private characters U+EF80 to U+EFFF in a way that cannot be kept");
    }
    Ok(raw)
}

/// The names on the way from the top to an entry; none for the top itself.
///
/// # Errors
/// `Invalid` when the id does not name a path below the top.
pub fn components(id: &str) -> Result<Vec<OsString>> {
    if id.is_empty() {
        return Ok(Vec::new());
    }
    id.split('/')
        .map(|name| {
            if matches!(name, "" | "." | "..") || name.contains('\0') {
                return Err(DriveError::new(
                    ErrorKind::Invalid,
                    format!("{id:?} is no path below the directory of this drive"),
                ));
            }
            Ok(on_disk(name))
        })
        .collect()
}

/// The id of the entry `name` in the directory `parent`.
pub fn join(parent: &str, name: &OsStr) -> String {
    let name = shown(name);
    if parent.is_empty() {
        name
    } else {
        format!("{parent}/{name}")
    }
}

/// The id of the directory an entry is in, and its shown name; both empty for the top.
pub fn split(id: &str) -> (NodeId, &str) {
    let (parent, name) = id.rsplit_once('/').unwrap_or(("", id));
    (NodeId::new(parent), name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_on_the_disk_comes_back() {
        for raw in [
            &b"plain.txt"[..],
            "中文 : \u{2024}\u{FF1A}".as_bytes(),
            b"caf\xe9",
            b"\xff\xfe",
            "\u{EF80}\u{EFFF}x".as_bytes(),
            b"\xee\xbe", // the head of a character that is not there
            b" . ",
        ] {
            let raw = OsStr::from_bytes(raw);
            let text = shown(raw);
            assert_eq!(on_disk(&text), raw, "{text:?}");
            assert_eq!(to_disk(&text).unwrap(), raw);
        }
        assert_eq!(shown(OsStr::new("a:b")), "a:b");
    }

    #[test]
    fn what_cannot_be_a_name_is_refused() {
        // Stand-ins that would join to a real character.
        let joined: String = "é".bytes().map(stand_in).collect();
        for name in ["", ".", "..", "a/b", "a\0", TRASH, &joined] {
            assert_eq!(
                to_disk(name).unwrap_err().kind,
                ErrorKind::Invalid,
                "{name:?}"
            );
        }
        let ours = temporary();
        assert_eq!(
            to_disk(ours.to_str().unwrap()).unwrap_err().kind,
            ErrorKind::Invalid
        );
        assert!(
            to_disk(".panfuse-upload-mine").is_ok(),
            "only with a UUID it is ours"
        );
        assert!(to_disk(&"x".repeat(255)).is_ok());
        assert_eq!(
            to_disk(&"é".repeat(128)).unwrap_err().kind,
            ErrorKind::NameTooLong
        );
    }

    #[test]
    fn ids_stay_below_the_top() {
        assert!(components("").unwrap().is_empty());
        assert_eq!(components("a/b").unwrap(), ["a", "b"]);
        for id in ["/", "/etc", "a//b", "..", "a/../b", "a/.", "a/", "a\0b"] {
            assert_eq!(
                components(id).unwrap_err().kind,
                ErrorKind::Invalid,
                "{id:?}"
            );
        }
        assert_eq!(join("", OsStr::new("a")), "a");
        assert_eq!(
            split(&join("a/b", OsStr::new("c"))),
            (NodeId::new("a/b"), "c")
        );
        assert_eq!(split("a"), (NodeId::new(""), "a"));
    }
}
