//! Names (sheet section 9): up to 255 UTF-8 bytes without `\ / : * ? " < > |`. What the service does
//! with blanks at the ends is not documented, so they are mapped.

use crate::drive::NameRules;

pub const RULES: NameRules = NameRules {
    illegal: "\\:*?\"<>|",
    no_controls: true,
    no_outer_blanks: true,
    max_bytes: 255,
    max_chars: usize::MAX,
};

/// The name to upload under. Emoji are refused in uploads and taken in renames (section 9): such a
/// file is uploaded under a plain name of our own and renamed at once.
pub fn upload_name(encoded: &str) -> String {
    if !encoded.chars().any(is_pictograph) {
        return encoded.to_owned();
    }
    let extension = encoded
        .rsplit_once('.')
        .map(|(_, extension)| extension)
        .filter(|text| {
            (1..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
        })
        .map_or_else(String::new, |extension| format!(".{extension}"));
    format!("panfuse-{}{extension}", uuid::Uuid::new_v4().simple())
}

/// Emoji and what joins or colours them. Which of them are refused is not told: all are avoided.
fn is_pictograph(c: char) -> bool {
    matches!(u32::from(c),
        0x200D | 0x20E3 | 0xFE0F | 0x2300..=0x23FF | 0x2600..=0x27BF | 0x2B00..=0x2BFF | 0x1_0000..)
}

/// Whether `got` is `wanted` with a number that the service appended: `a(1).mkv` for `a.mkv`.
pub fn is_numbered(got: &str, wanted: &str) -> bool {
    let (stem, extension) = match wanted.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => (stem, format!(".{extension}")),
        _ => (wanted, String::new()),
    };
    let inner = |stem: &str, tail: &str| {
        got.strip_prefix(stem)?
            .strip_suffix(tail)?
            .trim_start()
            .strip_prefix('(')?
            .strip_suffix(')')
            .map(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    };
    inner(stem, &extension).unwrap_or(false) || inner(wanted, "").unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_before_the_extension_or_at_the_end() {
        assert!(is_numbered("a(1).mkv", "a.mkv"));
        assert!(is_numbered("a (12).mkv", "a.mkv"));
        assert!(is_numbered("plain(2)", "plain"));
        assert!(is_numbered(".hidden(1)", ".hidden"));
        for (got, wanted) in [
            ("a.mkv", "a.mkv"),
            ("a(x).mkv", "a.mkv"),
            ("b(1).mkv", "a.mkv"),
        ] {
            assert!(!is_numbered(got, wanted), "{got} {wanted}");
        }
    }

    #[test]
    fn emoji_go_under_a_plain_name() {
        assert_eq!(
            upload_name("\u{6587}\u{ff1a}a.txt"),
            "\u{6587}\u{ff1a}a.txt"
        );
        let plain = upload_name("\u{1f600} x.jpg");
        assert!(plain.is_ascii() && plain.ends_with(".jpg"), "{plain}");
        assert!(upload_name("\u{2764}\u{fe0f}").starts_with("panfuse-"));
    }
}
