//! Showing that a value is there without telling it (SPEC S0-47, C-21).

/// Parts of field names whose values are secrets.
const SECRET_LIKE: &[&str] = &[
    "token",
    "secret",
    "password",
    "passwd",
    "passcode",
    "cookie",
    "authorization",
    "signature",
    "session",
    "captcha",
    "access_code",
    "private",
];

/// A secret for people: the first four and last two characters at most, and never more than a
/// third of it, so that a short one tells nothing.
pub fn mask(value: &str) -> String {
    let letters: Vec<char> = value.chars().collect();
    let (head, tail) = match letters.len() {
        0 => return String::new(),
        1..=8 => (0, 0),
        9..=17 => (2, 0),
        _ => (4, 2),
    };
    let first: String = letters.iter().take(head).collect();
    let last: String = letters.iter().skip(letters.len() - tail).collect();
    format!("{first}***{last}")
}

/// The value of a field that is not declared a secret, masked when its name or its look says
/// that it is one nevertheless.
pub fn mask_field(name: &str, value: &str) -> String {
    let name = name.to_lowercase();
    if SECRET_LIKE.iter().any(|part| name.contains(part)) || looks_random(value) {
        mask(value)
    } else {
        value.to_owned()
    }
}

/// Long, of mixed letters and digits, without repetition or words: a token in the wrong field.
fn looks_random(value: &str) -> bool {
    let count = value.chars().count();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.+=".contains(letter);
    if count < 24 || !value.chars().all(plain) {
        return false;
    }
    let has = |test: fn(&char) -> bool| value.chars().any(|letter| test(&letter));
    has(char::is_ascii_lowercase)
        && has(char::is_ascii_uppercase)
        && has(char::is_ascii_digit)
        && entropy(value) > 3.5
}

/// Shannon entropy in bits per character.
fn entropy(value: &str) -> f64 {
    let mut counts = std::collections::BTreeMap::new();
    let mut total = 0_u32;
    for letter in value.chars() {
        *counts.entry(letter).or_insert(0_u32) += 1;
        total += 1;
    }
    counts
        .values()
        .map(|count| {
            let share = f64::from(*count) / f64::from(total);
            -share * share.log2()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_a_third_is_shown() {
        assert_eq!(mask(""), "");
        assert_eq!(mask("secret"), "***");
        assert_eq!(mask("12345678"), "***");
        assert_eq!(mask("123456789"), "12***");
        assert_eq!(mask("abcdefghijklmnopqrstuvwxyz"), "abcd***yz");
        for length in 1..80 {
            let shown = mask(&"a".repeat(length)).matches('a').count();
            assert!(shown <= 6 && shown * 3 <= length, "{length}: {shown}");
        }
    }

    #[test]
    fn names_and_looks_decide() {
        assert_eq!(mask_field("username", "me@example.org"), "me@example.org");
        assert_eq!(mask_field("cookie_header", "UID=1; CID=2"), "UI***");
        assert_eq!(mask_field("refreshToken", "short"), "***");
        assert_eq!(mask_field("extra", "Zx81kQpT7vLmN3sRw5YbHc2D"), "Zx81***2D");
        assert_eq!(
            mask_field("path", "/srv/data/Archive2024/pictures"),
            "/srv/data/Archive2024/pictures"
        );
        let app = "0123456789abcdef0123456789abcdef";
        assert_eq!(mask_field("client_id", app), app);
    }
}
