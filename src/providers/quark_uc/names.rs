//! Names (sheet quark, 9). The characters are those that clients replace; 255 characters are
//! assumed. Listings escape names as HTML does (section 4.1).

use crate::drive::NameRules;

pub const RULES: NameRules = NameRules {
    illegal: "\\:*?\"<>|",
    no_controls: true,
    no_outer_blanks: true,
    max_bytes: 1020,
    max_chars: 255,
};

/// A listed name without its HTML escapes, once over.
pub fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        let entity = from.find(';').filter(|end| *end <= 10).and_then(|end| {
            let (name, after) = (from.get(1..end)?, from.get(end + 1..)?);
            Some((character(name)?, after))
        });
        match entity {
            Some((c, after)) => {
                plain.push(c);
                rest = after;
            }
            None => {
                plain.push('&');
                rest = from.get(1..).unwrap_or_default();
            }
        }
    }
    plain.push_str(rest);
    plain
}

fn character(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    })
}

/// Whether `got` is `wanted` with the number that the service appends to a taken name:
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
    use serde_json::Value;

    const VECTORS: &str = include_str!("../../../tests/fixtures/quark.vectors.json");

    #[test]
    fn the_vectors_of_the_sheet() {
        let vectors: Value = serde_json::from_str(VECTORS).unwrap();
        let all = vectors["vectors"]["file_name_unescape"].as_array().unwrap();
        assert!(all.len() >= 2);
        for vector in all {
            let escaped = vector["field_value"].as_str().unwrap();
            assert_eq!(unescape(escaped), vector["name"].as_str().unwrap());
        }
    }

    #[test]
    fn escapes_are_undone_once() {
        for (escaped, plain) in [
            ("&amp;lt;", "&lt;"),
            ("100% + &amp; = # ; &#39;x&#39;", "100% + & = # ; 'x'"),
            ("&#x4e2d;&#X6587;", "中文"),
            ("a & b; c", "a & b; c"),
            ("&unknown;&#xd800;&#;&;&", "&unknown;&#xd800;&#;&;&"),
            ("&中文中文;", "&中文中文;"),
        ] {
            assert_eq!(unescape(escaped), plain);
        }
    }

    #[test]
    fn numbers_of_the_server_are_seen() {
        for got in ["a(1).bin", "a (12).bin", "a.bin(2)"] {
            assert!(is_numbered(got, "a.bin"), "{got}");
        }
        for other in ["a.bin", "a().bin", "a(x).bin", "b(1).bin", ""] {
            assert!(!is_numbered(other, "a.bin"), "{other}");
        }
    }
}
