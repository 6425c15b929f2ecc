//! Names (sheet section 9): at most 254 characters (the sources differ by one, the smaller
//! number holds in both readings), none of `" \ / : * ? | > <`, and not blanks only.

use crate::drive::{DriveError, ErrorKind, NameRules, Result};

/// The table of characters. What the server does with control characters is not documented,
/// so they are mapped as well.
pub const RULES: NameRules = NameRules {
    illegal: "\\:*?\"<>|",
    no_controls: true,
    no_outer_blanks: false,
    max_bytes: MAX_BYTES,
    max_chars: MAX_CHARS,
};

/// Longest name in characters.
pub const MAX_CHARS: usize = 254;
/// The same in bytes, when every character takes four.
const MAX_BYTES: usize = MAX_CHARS * 4;

/// Stands for a blank in a name of blanks only.
const BLANK: char = '\u{2420}';
/// Precedes stand-ins that are meant literally, as in [`NameRules`].
const QUOTE: char = '\u{2024}';

fn only(text: &str, c: char) -> bool {
    !text.is_empty() && text.chars().all(|each| each == c)
}

/// The provider's spelling of a user's name.
///
/// Blanks at the ends are allowed here, a name of nothing else is not: only that one is mapped,
/// and a name made of the stand-in itself is quoted, so that both come back.
///
/// # Errors
/// As [`NameRules::encode`].
pub fn encode(name: &str) -> Result<String> {
    let spelled = if only(name, ' ') {
        name.replace(' ', &BLANK.to_string())
    } else if only(name, BLANK) {
        format!("{QUOTE}{name}")
    } else {
        return RULES.encode(name);
    };
    if spelled.chars().count() > MAX_CHARS {
        return Err(DriveError::new(
            ErrorKind::NameTooLong,
            "the name is longer than this provider takes",
        ));
    }
    Ok(spelled)
}

/// The user's spelling of a provider's name.
pub fn decode(name: &str) -> String {
    if only(name, BLANK) {
        return name.replace(BLANK, " ");
    }
    match name.strip_prefix(QUOTE) {
        Some(rest) if only(rest, BLANK) => rest.to_owned(),
        _ => RULES.decode(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors() -> serde_json::Value {
        serde_json::from_str(include_str!(
            "../../../tests/fixtures/123_open.vectors.json"
        ))
        .unwrap()
    }

    /// The documented rule, as the vectors state it.
    fn accepted_by_the_server(name: &str) -> bool {
        !name.trim_matches(' ').is_empty()
            && name.chars().count() < 255
            && !name.contains(['"', '\\', '/', ':', '*', '?', '|', '>', '<'])
    }

    #[test]
    fn accepted_names_go_out_as_they_are() {
        let rule = &vectors()["vectors"]["filename_rule"];
        let names = rule["accepted"].as_array().unwrap();
        assert!(names.len() > 4);
        for name in names {
            let name = name.as_str().unwrap();
            assert_eq!(encode(name).unwrap(), name);
            assert_eq!(decode(name), name);
        }
    }

    #[test]
    fn refused_names_are_mapped_or_refused_here() {
        let rule = &vectors()["vectors"]["filename_rule"];
        let mut mapped = 0;
        for name in rule["refused"].as_array().unwrap() {
            let name = name.as_str().unwrap();
            assert!(!accepted_by_the_server(name), "{name:?}");
            if let Ok(spelled) = encode(name) {
                assert!(accepted_by_the_server(&spelled), "{spelled:?}");
                assert_eq!(decode(&spelled), name);
                mapped += 1;
            }
        }
        assert_eq!(mapped, 9, "blanks, and eight characters without the slash");
        for name in rule["edge_unknown"].as_array().unwrap() {
            assert_eq!(
                encode(name.as_str().unwrap()).unwrap_err().kind,
                ErrorKind::NameTooLong
            );
        }
    }

    #[test]
    fn names_of_blanks_and_of_their_stand_in_stay_apart() {
        let names = [
            " ",
            "   ",
            "\u{2420}",
            "\u{2420}\u{2420}",
            "\u{2024}\u{2420}",
            " a",
            "\u{2420}a",
            "\u{2024}",
        ];
        for name in names {
            assert_eq!(decode(&encode(name).unwrap()), name);
        }
    }
}
