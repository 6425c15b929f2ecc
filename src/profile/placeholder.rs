//! Values that were copied from an example and not filled in.
//!
//! SPEC C-20: a substring test calls a real token with "test" in it a placeholder. Here a value
//! is split into words at everything that is no letter or digit, and whole words count.

/// Words that nobody uses in a real value.
const CERTAIN: &[&str] = &["placeholder", "changeme", "fixme", "todo"];
/// Words that a secret is not made of, but a bucket or a user may well be called.
const LIKELY: &[&str] = &["demo", "smoke", "example", "sample", "test"];

/// Whether a value is a stand-in for one that is still to be filled in. `secret` tells whether
/// the field is a secret: only there do words such as `test` count.
pub fn is_placeholder(value: &str, secret: bool) -> bool {
    let value = value.trim().to_lowercase();
    if value.len() > 1 && value.starts_with('<') && value.ends_with('>') {
        return true;
    }
    let words: Vec<&str> = value
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    if words.len() > 1 && words.first() == Some(&"your") {
        return true;
    }
    if words.iter().any(|word| CERTAIN.contains(word)) {
        return true;
    }
    if !value.is_empty() && value.chars().all(|letter| letter == 'x') && value.len() >= 3 {
        return true;
    }
    secret && words.iter().any(|word| LIKELY.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_found() {
        for value in [
            "your_client_id",
            "your-token",
            "YOUR_REFRESH_TOKEN",
            "<refresh token>",
            "placeholder",
            "changeme",
            "xxxx",
        ] {
            assert!(is_placeholder(value, false), "{value}");
            assert!(is_placeholder(value, true), "{value}");
        }
        for value in ["test", "demo-token", "sample_cookie", "example"] {
            assert!(is_placeholder(value, true), "{value}");
            assert!(!is_placeholder(value, false), "{value}");
        }
    }

    #[test]
    fn real_values_pass() {
        for value in [
            "eyJhbGciOi.testament9Xz.contest",
            "a8ftestf00",
            "smokey",
            "UID=1_A1_17; CID=b5e; SEID=latest",
            "yours",
            "",
            "xylophone",
        ] {
            assert!(!is_placeholder(value, true), "{value}");
        }
        assert!(!is_placeholder("/srv/test/data", false));
    }
}
