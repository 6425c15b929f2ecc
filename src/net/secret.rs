//! Secrets, redacted by type.
//!
//! Whatever may end in a log, an error or on a screen passes `redact` instead.

use std::fmt;

/// A secret text. `Debug` and `Display` never show it; its memory is overwritten when it is dropped
/// (copies that the allocator or a library made are beyond reach).
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(value: impl Into<String>) -> Self {
        Secret(value.into())
    }

    /// The secret itself: only for the wire and the vault.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For a person to recognise it by: longer than 6 characters the first 4, three stars and the
    /// last 2, else three stars (SPEC S0-47, C-21). Not for logs.
    pub fn masked(&self) -> String {
        let count = self.0.chars().count();
        if count <= 6 {
            return "***".to_owned();
        }
        let head: String = self.0.chars().take(4).collect();
        let tail: String = self.0.chars().skip(count - 2).collect();
        format!("{head}***{tail}")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0).into_bytes();
        bytes.fill(0);
        // Without it the compiler may drop writes that nobody reads.
        std::hint::black_box(&bytes);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() {
            "Secret(empty)"
        } else {
            "Secret(***)"
        })
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_shown_by_formatting() {
        let secret = Secret::new("abcdefghijkl");
        let shown = format!("{secret} {secret:?} {:?}", Secret::default());
        assert_eq!(shown, "*** Secret(***) Secret(empty)");
        assert_eq!(secret.expose(), "abcdefghijkl");
    }

    #[test]
    fn masked_shows_at_most_four_and_two() {
        assert_eq!(Secret::new("abcdefghijkl").masked(), "abcd***kl");
        assert_eq!(Secret::new("abcdef").masked(), "***");
        assert_eq!(
            Secret::new("\u{5bc6}\u{7801}\u{5bc6}\u{7801}\u{5bc6}\u{7801}\u{5bc6}").masked(),
            "\u{5bc6}\u{7801}\u{5bc6}\u{7801}***\u{7801}\u{5bc6}"
        );
    }
}
