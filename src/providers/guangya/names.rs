//! Names (sheet section 9): at most 255 characters, none of `\ : * ? " < > |`, no control
//! characters. Blanks and dots at the ends are refused by the newest interface only; they are
//! mapped, so that both readings hold.

use crate::drive::NameRules;

pub const RULES: NameRules = NameRules {
    illegal: "\\:*?\"<>|",
    no_controls: true,
    no_outer_blanks: true,
    max_bytes: 1020,
    max_chars: 255,
};

/// Whether `got` is `wanted` with a number, as services write it that rename instead of refusing:
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
    fn numbers_of_a_server_are_seen() {
        for (got, wanted) in [
            ("a(1).bin", "a.bin"),
            ("a (12).bin", "a.bin"),
            ("d(1)", "d"),
            ("a.bin(2)", "a.bin"),
            (".conf(1)", ".conf"),
        ] {
            assert!(is_numbered(got, wanted), "{got}");
        }
        for other in ["a.bin", "a().bin", "a(x).bin", "b(1).bin", "a(1).txt", ""] {
            assert!(!is_numbered(other, "a.bin"), "{other}");
        }
    }

    #[test]
    fn what_the_service_refuses_is_mapped_and_comes_back() {
        for name in ["a:b?.txt", "back\\slash", " x.", "tab\t", "\u{FF1A}"] {
            let stored = RULES.encode(name).unwrap();
            assert!(!stored.contains(['\\', ':', '?', '\t']), "{stored}");
            assert!(!stored.ends_with(['.', ' ']), "{stored}");
            assert_eq!(RULES.decode(&stored), name);
        }
        assert!(RULES.encode(&"字".repeat(255)).is_ok());
        assert!(RULES.encode(&"字".repeat(256)).is_err());
    }
}
