//! Redaction of URLs and texts for logs, errors and evidence (SPEC S0-47, C-18, C-21).
//!
//! Three rules, in this order: the value of a key that names a secret is masked whatever it is;
//! the value of a key that is known to be harmless (ids, hashes, paging) stays; any other value
//! that looks like a long random text is masked down to its first 4 and last 2 characters.
//! When in doubt a value is masked: a log that hides too much is a nuisance, one that shows a
//! token is a breach.

use super::Secret;

const STARS: &str = "***";

/// Shorter texts are not taken for random.
const OPAQUE_LEN: usize = 24;

/// What a key tells about its value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    /// Always masked.
    Secret,
    /// Secret in a URL or form (`code=` of an OAuth answer), an error code or a name in JSON.
    Doubtful,
    /// Never masked.
    Harmless,
    Unknown,
}

/// Parts of secret keys, after [`normal`].
const SECRET_PARTS: &[&str] = &[
    "token",
    "secret",
    "passw",
    "pwd",
    "passcode",
    "signature",
    "cookie",
    "credential",
    "authorization",
    "session",
    "accesskey",
    "apikey",
    "privatekey",
    "ossaccesskeyid",
    "ticket",
    "captcha",
    "jwt",
    "bduss",
    "stoken",
];

/// Whole secret keys, after [`normal`].
const SECRET_KEYS: &[&str] = &[
    "sign", "sig", "sk", "ak", "pass", "pin", "st", "policy", "vkey", "rand", "sekey", "puus",
    "kps", "seid",
];

/// Keys of values that help to find a fault, after [`normal`].
const HARMLESS_KEYS: &[&str] = &[
    "pagetoken",
    "nextpagetoken",
    "continuationtoken",
    "nextcontinuationtoken",
    "marker",
    "nextmarker",
    "keymarker",
    "cursor",
    "uploadid",
    "fileid",
    "fid",
    "fids",
    "parentid",
    "parentfileid",
    "driveid",
    "taskid",
    "requestid",
    "xrequestid",
    "traceid",
    "logid",
    "id",
    "fsid",
    "md5",
    "sha1",
    "sha256",
    "gcid",
    "hash",
    "contenthash",
    "etag",
    "contentmd5",
    "tokentype",
    "name",
    "filename",
    "path",
    "dir",
    "prefix",
    "method",
    "errno",
    "expiresin",
    "captchaexpired",
];

/// Lower case without separators: `x-oss-security-token`, `accessToken`, `access_token`.
fn normal(key: &str) -> String {
    key.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

fn classify(key: &str) -> Key {
    let key = normal(key);
    let key = key.as_str();
    if HARMLESS_KEYS.contains(&key) {
        Key::Harmless
    } else if SECRET_KEYS.contains(&key)
        || SECRET_PARTS.iter().any(|part| key.contains(part))
        || ["auth", "xoss", "xamz", "sign"]
            .iter()
            .any(|p| key.starts_with(p))
    {
        Key::Secret
    } else if ["k", "key", "code"].contains(&key) {
        Key::Doubtful
    } else {
        Key::Unknown
    }
}

/// Whether a header or field of this name carries a secret.
pub(super) fn names_secret(name: &str) -> bool {
    classify(name) == Key::Secret
}

/// A URL with every query value that may be a secret replaced by `***` and without user info.
///
/// The fragment is dropped. What is not a URL is treated by [`redact_text`].
pub fn redact_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return redact_text(url);
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let (place, query) = match rest.split_once('?') {
        Some((place, query)) => (place, Some(query)),
        None => (rest, None),
    };
    let (authority, path) = match place.find('/') {
        Some(at) => place.split_at(at),
        None => (place, ""),
    };
    let host = authority.rsplit('@').next().unwrap_or_default();
    let path = path
        .split('/')
        .map(|part| if looks_like_jwt(part) { STARS } else { part })
        .collect::<Vec<_>>()
        .join("/");
    let mut out = format!("{scheme}://{host}{path}");
    let Some(query) = query else { return out };
    for (index, pair) in query.split('&').enumerate() {
        out.push(if index == 0 { '?' } else { '&' });
        let Some((key, value)) = pair.split_once('=') else {
            // A query without `=` is itself a value.
            out.push_str(&mask_opaque(pair));
            continue;
        };
        out.push_str(key);
        out.push('=');
        // A key may itself be percent-encoded.
        let plain = percent_encoding::percent_decode_str(key).decode_utf8_lossy();
        match classify(&plain) {
            Key::Harmless => out.push_str(value),
            Key::Secret | Key::Doubtful if !value.is_empty() => out.push_str(STARS),
            _ => out.push_str(&mask_opaque(value)),
        }
    }
    out
}

/// A text (JSON, form, header line) with values of secret-like keys masked.
pub fn redact_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    // Where the current line starts in `text`: a header's name stands there.
    let mut line = 0;
    while let Some(first) = text.get(at..).and_then(|rest| rest.chars().next()) {
        if first == '\n' {
            line = at + 1;
        }
        if !is_word(first) {
            out.push(first);
            at += first.len_utf8();
            continue;
        }
        let word = run(text, at, is_word);
        if let Some(length) = url_length(text, at) {
            let (url, _) = tail(text, at).split_at(length);
            out.push_str(&redact_url(url));
            at += length;
            continue;
        }
        let after = at + word.len();
        let starts_line = tail_between(text, line, at).trim().is_empty();
        if let Some(pair) = Pair::read(text, word, after, starts_line) {
            out.push_str(word);
            out.push_str(tail_between(text, after, pair.value_at));
            out.push_str(&pair.shown);
            at = pair.value_end;
        } else if ["bearer", "basic", "digest"].contains(&word.to_ascii_lowercase().as_str())
            && tail(text, after).starts_with(' ')
            && run(text, after + 1, is_word).len() >= 8
        {
            let value = run(text, after + 1, is_value);
            out.push_str(word);
            out.push(' ');
            out.push_str(&masked(value));
            at = after + 1 + value.len();
        } else {
            // Take base64's and paths' characters along, but stop before `key=`.
            let value = run(text, at, is_value);
            let value = value
                .char_indices()
                .find(|&(i, c)| {
                    c == '=' && !value.get(i..).unwrap_or("").trim_matches('=').is_empty()
                })
                .map_or(value, |(i, _)| value.split_at(i).0);
            let value = if value.len() < word.len() {
                word
            } else {
                value
            };
            out.push_str(&mask_opaque(value));
            at += value.len();
        }
    }
    out
}

/// A key with its value, found in a text.
struct Pair {
    value_at: usize,
    value_end: usize,
    /// The value as it may be shown.
    shown: String,
}

impl Pair {
    /// Reads `key` ` : value`, `"key": value`, `key=value` whose key ends at `after`. `None` when
    /// there is no pair or its value needs no masking of its own (it is then read on as text).
    fn read(text: &str, key: &str, after: usize, starts_line: bool) -> Option<Pair> {
        let mut at = after;
        let mut quoted_key = false;
        let close = run(text, at, |c| matches!(c, '\\' | '"' | '\''));
        if !close.is_empty() {
            quoted_key = true;
            at += close.len();
        }
        at += run(text, at, |c| c == ' ').len();
        let sign = tail(text, at)
            .chars()
            .next()
            .filter(|c| matches!(c, ':' | '='))?;
        at += 1;
        at += run(text, at, |c| c == ' ').len();
        let class = classify(key);
        let opening = run(text, at, |c| c == '\\');
        let quote = tail(text, at + opening.len())
            .chars()
            .next()
            .filter(|c| matches!(c, '"' | '\''));
        if let Some(quote) = quote {
            let start = at + opening.len() + 1;
            let length = quoted_length(tail(text, start), opening, quote);
            let (value, _) = tail(text, start).split_at(length);
            let shown = match class {
                Key::Secret => masked(value),
                // Anything but a single word may hold pairs of its own: it is read on.
                _ if !is_single(value) => return None,
                Key::Harmless => value.to_owned(),
                Key::Doubtful => mask_opaque(value),
                Key::Unknown => return None,
            };
            return Some(Pair {
                value_at: start,
                value_end: start + length,
                shown,
            });
        }
        if class != Key::Secret {
            if class == Key::Harmless || class == Key::Doubtful {
                // The value stays as it is when it is a plain word; anything else is read on.
                let value = run(text, at, is_value);
                let value = value.split('&').next().unwrap_or_default();
                if value.is_empty() || sign == ':' || !is_single(value) {
                    return None;
                }
                let shown = if class == Key::Doubtful {
                    STARS.to_owned()
                } else {
                    value.to_owned()
                };
                return Some(Pair {
                    value_at: at,
                    value_end: at + value.len(),
                    shown,
                });
            }
            return None;
        }
        let rest = tail(text, at);
        let length = match rest.chars().next() {
            Some(open @ ('[' | '{')) => nested_length(rest, open),
            _ if quoted_key => run(text, at, |c| {
                !matches!(c, ',' | '}' | ']') && !c.is_whitespace()
            })
            .len(),
            // A header: the whole line is the value.
            _ if sign == ':' && (starts_line || is_header(key)) => {
                run(text, at, |c| !matches!(c, '\r' | '\n')).len()
            }
            // Prose: `token: expired` stays readable, `password: hunter2` does not.
            _ if sign == ':' => {
                let word = run(text, at, |c| {
                    !c.is_whitespace() && !matches!(c, ',' | ';' | '"' | '\'' | '<' | '>')
                });
                let plain = word.chars().all(|c| c.is_alphabetic() || c == '.');
                if plain && !normal(key).contains("pass") && !normal(key).contains("pwd") {
                    return None;
                }
                word.len()
            }
            _ => run(text, at, |c| {
                !c.is_whitespace()
                    && !matches!(
                        c,
                        '&' | ';' | ',' | '"' | '\'' | '<' | '>' | ')' | '}' | ']'
                    )
            })
            .len(),
        };
        let (value, _) = rest.split_at(length);
        if value.is_empty() || ["null", "true", "false"].contains(&value) {
            return None;
        }
        let shown = if value.starts_with(['[', '{']) || value.contains([' ', ';', '=']) {
            STARS.to_owned()
        } else {
            masked(value)
        };
        Some(Pair {
            value_at: at,
            value_end: at + length,
            shown,
        })
    }
}

/// Whether a value is one word without pairs in it; `=` may only pad its end.
fn is_single(value: &str) -> bool {
    value.chars().all(is_value) && !value.trim_end_matches('=').contains('=')
}

fn is_header(key: &str) -> bool {
    let key = normal(key);
    key.ends_with("authorization") || key.ends_with("cookie")
}

/// Length of a quoted value; an unclosed one reaches to the end. `slashes` are the backslashes
/// before the opening quote: JSON inside a JSON string closes with as many.
fn quoted_length(rest: &str, slashes: &str, quote: char) -> usize {
    let mut pending = 0;
    for (index, c) in rest.char_indices() {
        if c == '\\' {
            pending += 1;
        } else {
            if c == quote
                && pending <= slashes.len()
                && (pending == slashes.len() || pending % 2 == 0)
            {
                return index - pending;
            }
            pending = 0;
        }
    }
    rest.len()
}

/// Length of a bracketed value, brackets included. Brackets inside strings are not told apart:
/// too much is masked then.
fn nested_length(rest: &str, open: char) -> usize {
    let close = if open == '[' { ']' } else { '}' };
    let mut depth = 0_usize;
    for (index, c) in rest.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth -= 1;
            if depth == 0 {
                return index + c.len_utf8();
            }
        }
    }
    rest.len()
}

/// The length of the `http(s)://` URL at `at`.
fn url_length(text: &str, at: usize) -> Option<usize> {
    let rest = tail(text, at);
    (rest.starts_with("http://") || rest.starts_with("https://")).then(|| {
        run(text, at, |c| {
            !c.is_whitespace() && !matches!(c, '"' | '\'' | '<' | '>' | '\\' | '{' | '}' | '|')
        })
        .len()
    })
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn is_value(c: char) -> bool {
    is_word(c) || matches!(c, '+' | '/' | '=' | '~' | '%' | '*' | '!' | '$')
}

/// The rest of `text`; empty beyond its end.
fn tail(text: &str, at: usize) -> &str {
    text.get(at..).unwrap_or_default()
}

fn tail_between(text: &str, from: usize, to: usize) -> &str {
    text.get(from..to).unwrap_or_default()
}

/// The longest run of such characters at `at`.
fn run(text: &str, at: usize, inside: impl Fn(char) -> bool) -> &str {
    let rest = tail(text, at);
    let end = rest.find(|c| !inside(c)).unwrap_or(rest.len());
    rest.split_at(end).0
}

/// A secret value: stars, and of a long one the first 4 and last 2 characters.
fn masked(value: &str) -> String {
    if value.chars().count() < 16 {
        return STARS.to_owned();
    }
    Secret::new(value).masked()
}

/// Masks what looks like a long random text, leaves anything else.
fn mask_opaque(value: &str) -> String {
    if looks_random(value) {
        masked(value)
    } else {
        value.to_owned()
    }
}

fn looks_like_jwt(part: &str) -> bool {
    part.starts_with("eyJ") && part.len() >= OPAQUE_LEN
}

/// Whether a text looks like a token: a long piece without separators in which digits and letters
/// (or cases) are mixed throughout.
fn looks_random(text: &str) -> bool {
    looks_like_jwt(text)
        || text.split(['/', '.', '%', '&', ' ', ',']).any(|piece| {
            if piece.len() < OPAQUE_LEN || !piece.is_ascii() {
                return false;
            }
            let kind = |c: char| match c {
                '0'..='9' => 1,
                'a'..='z' => 2,
                'A'..='Z' => 3,
                _ => 0,
            };
            let kinds: Vec<u8> = piece.chars().map(kind).filter(|k| *k > 0).collect();
            let digits = kinds.iter().filter(|k| **k == 1).count();
            let changes = kinds
                .windows(2)
                .filter(|w| matches!(w, [a, b] if a != b))
                .count();
            // Words and camelCase change kind about every sixth character, base64 and hex
            // every second or third.
            digits >= 3 && changes * 5 >= piece.len() || digits == piece.len() && piece.len() >= 32
        })
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
