//! Names (sheet section 9): `"`, `<` and `>` are refused by mkdir and rename; control characters
//! and outer blanks are mapped as long-lived clients do. 255 is said to be characters by the
//! document and bytes by the SDK: bytes hold in both readings.

use crate::drive::NameRules;

pub const RULES: NameRules = NameRules {
    illegal: "\"<>",
    no_controls: true,
    no_outer_blanks: true,
    max_bytes: 255,
    max_chars: 255,
};

/// What follows the last dot, `None` without a dot. A rename keeps it (section 4.6).
pub fn extension(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(_, extension)| extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_follow_the_last_dot() {
        assert_eq!(extension("a.tar.gz"), Some("gz"));
        assert_eq!(extension("README"), None);
        assert_eq!(extension(".bashrc"), Some("bashrc"));
        assert_ne!(extension("a.TXT"), extension("a.txt"));
    }

    #[test]
    fn refused_characters_are_mapped() {
        let encoded = RULES.encode("a\"<b>\t ").unwrap();
        assert!(!encoded.contains(['"', '<', '>', '\t']));
        assert_eq!(RULES.decode(&encoded), "a\"<b>\t ");
    }
}
