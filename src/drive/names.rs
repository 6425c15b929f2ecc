//! Names a provider cannot hold are mapped reversibly, one table per provider.
//!
//! An illegal character becomes its full-width twin (`:` becomes U+FF1A), as users of these
//! drives know it; a name that already contains such a twin gets it quoted with U+2024 before
//! it, so that decoding is exact. Control characters become their picture (U+2400 + code).

use super::{DriveError, ErrorKind};

/// What names a provider holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameRules {
    /// ASCII characters it refuses. `/` and NUL never occur.
    pub illegal: &'static str,
    /// Whether control characters are refused.
    pub no_controls: bool,
    /// Whether a name may not end with a space or a dot, nor begin with a space.
    pub no_outer_blanks: bool,
    /// Longest encoded name in UTF-8 bytes.
    pub max_bytes: usize,
    /// Longest encoded name in characters; `usize::MAX` for no limit.
    pub max_chars: usize,
}

/// Precedes a character that is itself and not a stand-in.
const QUOTE: char = '\u{2024}';
const FULL_WIDTH: u32 = 0xFEE0;
const PICTURES: u32 = 0x2400;

fn stand_in(c: char) -> Option<char> {
    let code = u32::from(c);
    match code {
        0x20 => Some('\u{2420}'),
        0x7f => Some('\u{2421}'),
        0x00..0x20 => char::from_u32(PICTURES + code),
        0x21..0x7f => char::from_u32(code + FULL_WIDTH),
        _ => None,
    }
}

fn original(c: char) -> Option<char> {
    let code = u32::from(c);
    match code {
        0x2421 => Some('\u{7f}'),
        0x2420 => Some(' '),
        0x2400..0x2420 => char::from_u32(code - PICTURES),
        0xFF01..=0xFF5E => char::from_u32(code - FULL_WIDTH),
        _ => None,
    }
}

impl NameRules {
    fn refuses(&self, c: char) -> bool {
        self.illegal.contains(c) || (self.no_controls && c.is_ascii_control())
    }

    /// Whether the stand-in of some refused character is `c`, so that a real `c` must be quoted.
    fn is_stand_in(&self, c: char) -> bool {
        original(c)
            .is_some_and(|o| self.refuses(o) || (self.no_outer_blanks && (o == ' ' || o == '.')))
    }

    /// The provider's spelling of a user's name.
    ///
    /// # Errors
    /// `NameTooLong`, or `Invalid` for an empty name, `.`, `..`, or one with `/` or NUL.
    pub fn encode(&self, name: &str) -> Result<String, DriveError> {
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            return Err(DriveError::new(
                ErrorKind::Invalid,
                format!("{name:?} is no file name"),
            ));
        }
        let last = name.chars().count() - 1;
        let mut encoded = String::with_capacity(name.len());
        for (i, c) in name.chars().enumerate() {
            let outer = self.no_outer_blanks
                && ((i == 0 && c == ' ') || (i == last && (c == ' ' || c == '.')));
            if self.refuses(c) || outer {
                encoded.extend(stand_in(c));
            } else {
                if c == QUOTE || self.is_stand_in(c) {
                    encoded.push(QUOTE);
                }
                encoded.push(c);
            }
        }
        if encoded.len() > self.max_bytes || encoded.chars().count() > self.max_chars {
            return Err(DriveError::new(
                ErrorKind::NameTooLong,
                format!("the name {name:?} is longer than this provider takes"),
            ));
        }
        Ok(encoded)
    }

    /// The user's spelling of a provider's name. Never fails: a name from elsewhere that our
    /// mapping would not produce is shown as close as a file name can be.
    pub fn decode(&self, name: &str) -> String {
        let mut decoded = String::with_capacity(name.len());
        let mut chars = name.chars();
        while let Some(c) = chars.next() {
            if c == QUOTE {
                match chars.next() {
                    Some(next) if next == QUOTE || self.is_stand_in(next) => decoded.push(next),
                    Some(next) => {
                        decoded.push(c);
                        decoded.push(next);
                    }
                    None => decoded.push(c),
                }
            } else if self.is_stand_in(c) {
                decoded.extend(original(c));
            } else {
                decoded.push(c);
            }
        }
        // What no file name on this system can be is shown by a stand-in.
        let shown: String = decoded
            .chars()
            .map(|c| match c {
                '/' => '\u{FF0F}',
                '\0' => '\u{2400}',
                c => c,
            })
            .collect();
        match shown.as_str() {
            "" => "\u{2420}".to_owned(),
            "." => "\u{FF0E}".to_owned(),
            ".." => "\u{FF0E}\u{FF0E}".to_owned(),
            _ => shown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: NameRules = NameRules {
        illegal: "\\:*?\"<>|",
        no_controls: true,
        no_outer_blanks: true,
        max_bytes: 255,
        max_chars: usize::MAX,
    };

    #[test]
    fn every_name_comes_back() {
        for name in [
            "a:b",
            "a\u{FF1A}b",
            "\u{2024}x",
            "\u{2024}\u{FF1A}",
            " x.",
            "x\t",
            "plain.txt",
            "中文 名",
            "\u{2024}",
        ] {
            let encoded = RULES.encode(name).unwrap();
            assert!(!encoded.contains([':', '\t']), "{encoded}");
            assert_eq!(RULES.decode(&encoded), name);
        }
    }

    #[test]
    fn a_plain_name_is_untouched() {
        assert_eq!(
            RULES.encode("film (2024) [4k].mkv").unwrap(),
            "film (2024) [4k].mkv"
        );
    }

    #[test]
    fn names_that_are_none_are_refused() {
        for name in ["", ".", "..", "a/b", "a\0"] {
            assert_eq!(RULES.encode(name).unwrap_err().kind, ErrorKind::Invalid);
        }
        assert_eq!(
            RULES.encode(&"x".repeat(256)).unwrap_err().kind,
            ErrorKind::NameTooLong
        );
    }
}
