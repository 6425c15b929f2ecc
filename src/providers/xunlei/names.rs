//! Names (sheet section 9): the illegal set is inferred from the sibling service, and the longest
//! name is not known; 255 characters are assumed.

use crate::drive::NameRules;

pub const RULES: NameRules = NameRules {
    illegal: "\\:*?\"<>|",
    no_controls: true,
    no_outer_blanks: true,
    max_bytes: 1020,
    max_chars: 255,
};

/// Whether `got` is `wanted` with the number that the service appends to a taken name (section 7):
/// `a.bin` becomes `a(1).bin`, `d` becomes `d(1)`.
pub fn is_numbered(got: &str, wanted: &str) -> bool {
    let numbered = |stem: &str, extension: &str| {
        got.strip_prefix(stem)
            .and_then(|rest| rest.strip_suffix(extension))
            .map(str::trim_start)
            .and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')'))
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    let dot = wanted.rfind('.').filter(|dot| *dot > 0);
    numbered(wanted, "")
        || dot.is_some_and(|dot| {
            let (stem, extension) = wanted.split_at(dot);
            numbered(stem, extension)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_server_are_seen() {
        assert!(is_numbered("a(1).bin", "a.bin"));
        assert!(is_numbered("a (12).bin", "a.bin"));
        assert!(is_numbered("d(1)", "d"));
        assert!(is_numbered("a.bin(2)", "a.bin"));
        assert!(is_numbered(".conf(1)", ".conf"));
        for other in ["a.bin", "a().bin", "a(x).bin", "b(1).bin", "a(1).txt", ""] {
            assert!(!is_numbered(other, "a.bin"), "{other}");
        }
    }

    #[test]
    fn awkward_names_come_back() {
        for name in ["a:b?.txt", " x.", "\u{FF1A}", "end "] {
            assert_eq!(RULES.decode(&RULES.encode(name).unwrap()), name);
        }
    }
}
