//! One spelling per kind (SPEC S0-18 to S0-25 with C-4 to C-6), so that equal values are
//! equal texts.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value;

use super::{Fingerprints, Kind, hex_lower};

/// Trims, strips quotes, removes hyphens and white space.
fn cleaned(text: &str) -> String {
    unquoted(text)
        .chars()
        .filter(|c| *c != '-' && !c.is_whitespace())
        .collect()
}

fn unquoted(text: &str) -> &str {
    text.trim().trim_matches(['"', '\'']).trim()
}

/// Exactly `width` hex digits, cleaned, in lower case.
fn hex_of_width(text: &str, width: usize) -> Option<String> {
    let mut text = cleaned(text);
    text.make_ascii_lowercase();
    (text.len() == width && text.bytes().all(|b| b.is_ascii_hexdigit())).then_some(text)
}

/// The normal spelling of a fingerprint as a provider or a user wrote it, or `None` when it
/// is no value of this kind (wrong width, other characters, empty).
///
/// - Digests: quotes, hyphens and blanks go; lower hex, for [`Kind::Gcid`] and [`Kind::Cid`]
///   upper hex.
/// - [`Kind::Crc64`]: 16 hex digits, hex after `0x`, else decimal; see
///   [`crc64_from_decimal`] for providers known to write decimal. Sixteen upper hex digits.
/// - [`Kind::BlockListMd5`]: split on comma or semicolon (a JSON list of strings will do),
///   empty entries go, repetitions and order stay; one bad entry makes the list worthless.
pub fn normalise(kind: Kind, text: &str) -> Option<String> {
    match kind {
        Kind::Md5 | Kind::SliceMd5 { .. } | Kind::HeadMd5 { .. } => hex_of_width(text, 32),
        Kind::Sha1 | Kind::HeadSha1 { .. } => hex_of_width(text, 40),
        Kind::Sha256 => hex_of_width(text, 64),
        Kind::Gcid | Kind::Cid => hex_of_width(text, 40).map(|t| t.to_ascii_uppercase()),
        Kind::Crc64 => crc64(text),
        Kind::BlockListMd5 { .. } => block_list(text),
    }
}

fn crc64_text(value: u64) -> String {
    format!("{value:016X}")
}

fn crc64(text: &str) -> Option<String> {
    // A minus sign is no hyphen between groups: without it the number would be another one.
    if unquoted(text).starts_with('-') {
        return None;
    }
    let text = cleaned(text);
    let prefixed = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let hex = prefixed.or((text.len() == 16).then_some(text.as_str()));
    match hex {
        Some(hex) => {
            let digits =
                (1..=16).contains(&hex.len()) && hex.bytes().all(|b| b.is_ascii_hexdigit());
            digits.then(|| u64::from_str_radix(hex, 16).ok()).flatten()
        }
        None => decimal(&text),
    }
    .map(crc64_text)
}

fn decimal(text: &str) -> Option<u64> {
    // `parse` alone would let a plus sign pass.
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// [`Kind::Crc64`] from a field that is known to be decimal (`x-oss-hash-crc64ecma`, Aliyun's
/// `crc64_hash`): there a number of 16 digits is not hex.
pub fn crc64_from_decimal(text: &str) -> Option<String> {
    decimal(unquoted(text)).map(crc64_text)
}

fn block_list(text: &str) -> Option<String> {
    let list = text.trim().trim_start_matches('[').trim_end_matches(']');
    let mut blocks = Vec::new();
    for entry in list.split([',', ';']) {
        if !cleaned(entry).is_empty() {
            blocks.push(hex_of_width(entry, 32)?);
        }
    }
    (!blocks.is_empty()).then(|| blocks.join(","))
}

/// An MD5 written as 32 hex digits, or as base64 or base64url of its 16 bytes, with or without
/// padding (Quark's `md5` field, `Content-MD5` headers, Guangya: SPEC S0-26).
pub fn md5_from_base64(text: &str) -> Option<String> {
    if let Some(hex) = hex_of_width(text, 32) {
        return Some(hex);
    }
    // No hyphens are removed here: they are digits of base64url.
    let digits = unquoted(text).trim_end_matches('=');
    let bytes = STANDARD_NO_PAD
        .decode(digits)
        .or_else(|_| URL_SAFE_NO_PAD.decode(digits))
        .ok()?;
    (bytes.len() == 16).then(|| hex_lower(&bytes))
}

/// The normal spelling of an ETag: trimmed, without quotes, lower case. It is opaque and never
/// an MD5, unless the provider says so: then [`md5_from_etag`].
pub fn normalise_etag(text: &str) -> Option<String> {
    let text = unquoted(text);
    (!text.is_empty()).then(|| text.to_lowercase())
}

/// The MD5 in an ETag of a provider that declares its ETags to be MD5s (C-6: 123 yes, Baidu
/// no), and only when it is 32 hex digits: the ETag of a multipart upload (`…-3`) is none.
pub fn md5_from_etag(text: &str) -> Option<String> {
    let text = unquoted(text);
    (text.len() == 32).then(|| hex_of_width(text, 32)).flatten()
}

/// The normal spelling of 115's pick code: trimmed, case kept. It names an entry, not content.
pub fn normalise_pickcode(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The names a fingerprint may have in a payload that is not described (S0-23).
/// Empty for kinds that no payload names.
pub fn raw_aliases(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Md5 => &["md5", "MD5"],
        Kind::Sha1 => &["sha1", "SHA1"],
        Kind::Sha256 => &["sha256", "SHA256"],
        Kind::Crc64 => &["crc64", "CRC64"],
        Kind::Gcid => &["gcid", "GCID"],
        Kind::BlockListMd5 { .. } => &["blockListMd5", "block_list_md5", "block_list"],
        _ => &[],
    }
}

/// The value of a kind from an explicit field or, when that is missing or worthless, from the
/// [`raw_aliases`] of a JSON object (S0-24). Block lists may be JSON lists.
pub fn from_payload(kind: Kind, explicit: Option<&str>, raw: &Value) -> Option<String> {
    explicit.and_then(|text| normalise(kind, text)).or_else(|| {
        raw_aliases(kind)
            .iter()
            .filter_map(|name| raw.get(name))
            .find_map(|value| match value {
                Value::String(text) => normalise(kind, text),
                // A number of 16 digits is decimal all the same.
                Value::Number(number) if kind == Kind::Crc64 => {
                    crc64_from_decimal(&number.to_string())
                }
                Value::Array(_) if matches!(kind, Kind::BlockListMd5 { .. }) => {
                    normalise(kind, &value.to_string())
                }
                _ => None,
            })
    })
}

/// What a fast upload could start from (S0-25), as the xattr `fast_inputs` has it: `size` when
/// above zero, `name` when there is a path, then the name of every known kind.
pub fn fast_inputs(size: u64, path: &str, known: &Fingerprints) -> Vec<&'static str> {
    let mut inputs = Vec::new();
    if size > 0 {
        inputs.push("size");
    }
    if !path.is_empty() {
        inputs.push("name");
    }
    for (kind, value) in known.iter() {
        if !value.value.is_empty() && !inputs.contains(&kind.name()) {
            inputs.push(kind.name());
        }
    }
    inputs
}

#[cfg(test)]
mod tests {
    use super::super::{Known, Origin};
    use super::*;
    use serde_json::json;

    const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";
    const SHA1: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";

    #[test]
    fn one_spelling_per_kind() {
        let sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let upper = SHA1.to_ascii_uppercase();
        let two = format!("{MD5},{MD5}");
        let table: &[(Kind, String, Option<&str>)] = &[
            (Kind::Md5, MD5.into(), Some(MD5)),
            (
                Kind::Md5,
                " \"D41D8CD98F00B204E9800998ECF8427E\" ".into(),
                Some(MD5),
            ),
            (
                Kind::Md5,
                "d41d8cd9-8f00-b204-e980-0998ecf8427e".into(),
                Some(MD5),
            ),
            (
                Kind::Md5,
                "'d41d8cd9 8f00b204 e9800998 ecf8427e'".into(),
                Some(MD5),
            ),
            (Kind::Md5, MD5[1..].into(), None),
            (Kind::Md5, format!("{MD5}0"), None),
            (Kind::Md5, MD5.replace('d', "g"), None),
            (Kind::Md5, "１".repeat(32), None),
            (Kind::Md5, String::new(), None),
            (Kind::Sha1, upper.clone(), Some(SHA1)),
            (Kind::Sha1, MD5.into(), None),
            (Kind::Sha256, sha256.to_uppercase(), Some(sha256)),
            (Kind::Sha256, SHA1.into(), None),
            (Kind::Gcid, SHA1.into(), Some(&upper)),
            (Kind::Cid, SHA1.into(), Some(&upper)),
            (Kind::SliceMd5 { slice: 1 }, MD5.to_uppercase(), Some(MD5)),
            (Kind::HeadMd5 { len: 1 }, MD5.to_uppercase(), Some(MD5)),
            (Kind::HeadSha1 { len: 1 }, upper.clone(), Some(SHA1)),
            (Kind::BAIDU_BLOCKS, two.clone(), Some(&two)),
            (
                Kind::BAIDU_BLOCKS,
                format!("{MD5}; ;{},", MD5.to_uppercase()),
                Some(&two),
            ),
            (
                Kind::BAIDU_BLOCKS,
                format!("[\"{MD5}\", \"{MD5}\"]"),
                Some(&two),
            ),
            (Kind::BAIDU_BLOCKS, format!("{MD5},{SHA1}"), None),
            (Kind::BAIDU_BLOCKS, " , ;".into(), None),
            (Kind::BAIDU_BLOCKS, "[]".into(), None),
        ];
        for (kind, text, expected) in table {
            assert_eq!(
                normalise(*kind, text).as_deref(),
                *expected,
                "{kind} {text:?}"
            );
        }
    }

    #[test]
    fn crc64_comes_in_decimal_and_hex() {
        let table = [
            ("11051210869376104954", Some("995DC9BBDF1939FA")),
            ("995dc9bbdf1939fa", Some("995DC9BBDF1939FA")),
            ("\"995DC9BB-DF1939FA\"", Some("995DC9BBDF1939FA")),
            ("0x995dc9bbdf1939fa", Some("995DC9BBDF1939FA")),
            ("0XFF", Some("00000000000000FF")),
            ("0", Some("0000000000000000")),
            ("1234567890123456", Some("1234567890123456")),
            ("18446744073709551615", Some("FFFFFFFFFFFFFFFF")),
            ("18446744073709551616", None),
            ("-7395533204333446662", None),
            ("+5", None),
            ("995dc9bb", None),
            ("0x", None),
            ("0x1995dc9bbdf1939fa", None),
            ("995dc9bbdf1939fg", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(
                normalise(Kind::Crc64, text).as_deref(),
                expected,
                "{text:?}"
            );
        }
        assert_eq!(
            crc64_from_decimal("1234567890123456").as_deref(),
            Some("000462D53C8ABAC0")
        );
        assert_eq!(crc64_from_decimal("995dc9bbdf1939fa"), None);
    }

    #[test]
    fn normalising_twice_changes_nothing() {
        for (kind, text) in [
            (Kind::Crc64, "635105731470832317"),
            (Kind::Gcid, SHA1),
            (Kind::BAIDU_BLOCKS, MD5),
        ] {
            let once = normalise(kind, text).unwrap();
            assert_eq!(normalise(kind, &once), Some(once.clone()));
        }
    }

    #[test]
    fn md5_in_base64() {
        let bytes: Vec<u8> = (0..16).map(|i| 0xfb ^ i).collect();
        let hex = Some(hex_lower(&bytes));
        for text in [
            STANDARD_NO_PAD.encode(&bytes),
            URL_SAFE_NO_PAD.encode(&bytes),
            format!("\"{}==\"", URL_SAFE_NO_PAD.encode(&bytes)),
            hex_lower(&bytes).to_uppercase(),
        ] {
            assert_eq!(md5_from_base64(&text), hex, "{text}");
        }
        assert_eq!(md5_from_base64("aGVsbG8="), None);
        assert_eq!(md5_from_base64(""), None);
        assert_eq!(normalise(Kind::Md5, "1B2M2Y8AsgTpgAmY7PhCfg=="), None);
    }

    #[test]
    fn an_etag_is_an_md5_only_when_asked_and_whole() {
        assert_eq!(normalise_etag(" \"ABC-2\" ").as_deref(), Some("abc-2"));
        assert_eq!(normalise_etag("\"\""), None);
        assert_eq!(md5_from_etag(&format!("\"{MD5}\"")).as_deref(), Some(MD5));
        assert_eq!(md5_from_etag(&format!("{MD5}-3")), None);
        assert_eq!(
            md5_from_etag(&format!("{}-{}", &MD5[..16], &MD5[..15])),
            None
        );
        assert_eq!(normalise_pickcode(" aB1 ").as_deref(), Some("aB1"));
    }

    #[test]
    fn explicit_fields_come_before_raw_aliases() {
        let raw = json!({"MD5": MD5, "block_list": [MD5, MD5], "crc64": 1_234_567_890_123_456u64});
        let other = "0".repeat(32);
        assert_eq!(from_payload(Kind::Md5, Some(&other), &raw), Some(other));
        assert_eq!(
            from_payload(Kind::Md5, Some(""), &raw).as_deref(),
            Some(MD5)
        );
        assert_eq!(
            from_payload(Kind::BAIDU_BLOCKS, None, &raw),
            Some(format!("{MD5},{MD5}"))
        );
        assert_eq!(
            from_payload(Kind::Crc64, None, &raw).as_deref(),
            Some("000462D53C8ABAC0")
        );
        assert_eq!(from_payload(Kind::Sha1, None, &raw), None);
        assert_eq!(from_payload(Kind::Md5, None, &json!([1])), None);
    }

    #[test]
    fn fast_inputs_name_what_is_known() {
        let known = |value: &str| Known {
            value: value.into(),
            origin: Origin::Provider,
            provider: "x".into(),
            at: 0,
        };
        let all: Fingerprints = [(Kind::Md5, known(MD5)), (Kind::Sha1, known(""))]
            .into_iter()
            .collect();
        assert_eq!(fast_inputs(3, "/a", &all), ["size", "name", "md5"]);
        assert!(fast_inputs(0, "", &Fingerprints::new()).is_empty());
    }
}
