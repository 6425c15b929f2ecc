//! Digest access authentication (RFC 7616): reading a challenge, and answering it.

use std::collections::HashMap;

use md5::{Digest as _, Md5};
use sha2::Sha256;

use crate::fingerprint::hex_lower;
use crate::net::Secret;

/// How a server wants to be convinced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// In lower case: `basic`, `digest`, `bearer`.
    pub scheme: String,
    /// Parameters, names in lower case, values without quotes.
    pub params: HashMap<String, String>,
}

/// The challenges of all `WWW-Authenticate` headers.
pub fn challenges<'a>(headers: impl Iterator<Item = &'a str>) -> Vec<Challenge> {
    let mut all = Vec::new();
    for header in headers {
        for item in items(header) {
            let (word, rest) = match item.split_once(|c: char| c.is_whitespace()) {
                // `Digest realm="x"`: a scheme and its first parameter.
                Some((word, rest)) if !word.contains('=') => (word, rest.trim()),
                _ if !item.contains('=') => (item.as_str(), ""),
                _ => ("", item.as_str()),
            };
            if !word.is_empty() {
                all.push(Challenge {
                    scheme: word.to_ascii_lowercase(),
                    params: HashMap::new(),
                });
            }
            let Some(current) = all.last_mut() else {
                continue;
            };
            if let Some((name, value)) = rest.split_once('=') {
                current
                    .params
                    .insert(name.trim().to_ascii_lowercase(), unquoted(value));
            }
        }
    }
    all
}

/// The pieces between commas that are not inside quotes.
fn items(text: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        match c {
            ',' if !quoted => {
                items.push(String::new());
                continue;
            }
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = quoted && c == '\\' && !escaped;
        if let Some(item) = items.last_mut() {
            item.push(c);
        }
    }
    items
        .iter()
        .map(|item| item.trim().to_owned())
        .filter(|item| !item.is_empty())
        .collect()
}

fn unquoted(value: &str) -> String {
    let value = value.trim();
    let Some(inner) = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        text.push(if c == '\\' {
            chars.next().unwrap_or(c)
        } else {
            c
        });
    }
    text
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Algorithm {
    Md5,
    Sha256,
}

impl Algorithm {
    fn hash(self, text: &str) -> String {
        match self {
            Algorithm::Md5 => hex_lower(&Md5::digest(text.as_bytes())),
            Algorithm::Sha256 => hex_lower(&Sha256::digest(text.as_bytes())),
        }
    }
}

/// A challenge that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    algorithm: Algorithm,
    /// As the server spells it; left out of the answer where it was left out there.
    algorithm_name: Option<String>,
    session: bool,
    realm: String,
    /// The server's number, used once per request with a count.
    pub nonce: String,
    opaque: Option<String>,
    qop: bool,
}

/// What an answer is made for.
pub struct Asked<'a> {
    /// The method.
    pub method: &'a str,
    /// Path and query, as they are sent.
    pub uri: &'a str,
    /// How often the number was used, this time included.
    pub count: u32,
    /// Our own number.
    pub cnonce: &'a str,
}

impl Digest {
    /// The strongest one of the challenges that we can answer.
    pub fn choose(challenges: &[Challenge]) -> Option<Digest> {
        challenges
            .iter()
            .filter_map(Digest::read)
            .max_by_key(|digest| digest.algorithm)
    }

    fn read(challenge: &Challenge) -> Option<Digest> {
        if challenge.scheme != "digest" {
            return None;
        }
        let param = |name: &str| challenge.params.get(name).cloned();
        let algorithm_name = param("algorithm");
        let upper = algorithm_name
            .as_deref()
            .unwrap_or("MD5")
            .to_ascii_uppercase();
        let (algorithm, session) = match upper.as_str() {
            "MD5" => (Algorithm::Md5, false),
            "MD5-SESS" => (Algorithm::Md5, true),
            "SHA-256" => (Algorithm::Sha256, false),
            "SHA-256-SESS" => (Algorithm::Sha256, true),
            _ => return None,
        };
        let qop = match param("qop") {
            None => false,
            Some(offered) => {
                let auth = offered
                    .split(',')
                    .any(|one| one.trim().eq_ignore_ascii_case("auth"));
                // Only `auth-int`: a body would have to be hashed before it is sent.
                if !auth {
                    return None;
                }
                true
            }
        };
        Some(Digest {
            algorithm,
            algorithm_name,
            session,
            realm: param("realm").unwrap_or_default(),
            nonce: param("nonce")?,
            opaque: param("opaque"),
            qop,
        })
    }

    /// The value of `Authorization`.
    pub fn answer(&self, user: &str, password: &Secret, asked: &Asked<'_>) -> Secret {
        let hash = |text: &str| self.algorithm.hash(text);
        let mut first = hash(&format!("{user}:{}:{}", self.realm, password.expose()));
        if self.session {
            first = hash(&format!("{first}:{}:{}", self.nonce, asked.cnonce));
        }
        let second = hash(&format!("{}:{}", asked.method, asked.uri));
        let response = if self.qop {
            hash(&format!(
                "{first}:{}:{:08x}:{}:auth:{second}",
                self.nonce, asked.count, asked.cnonce
            ))
        } else {
            hash(&format!("{first}:{}:{second}", self.nonce))
        };
        let mut text = format!(
            "Digest {}, realm={}, nonce={}, uri={}, response=\"{response}\"",
            username(user),
            quoted(&self.realm),
            quoted(&self.nonce),
            quoted(asked.uri)
        );
        if let Some(name) = &self.algorithm_name {
            text.push_str(&format!(", algorithm={name}"));
        }
        if let Some(opaque) = &self.opaque {
            text.push_str(&format!(", opaque={}", quoted(opaque)));
        }
        if self.qop || self.session {
            text.push_str(&format!(", cnonce=\"{}\"", asked.cnonce));
        }
        if self.qop {
            text.push_str(&format!(", qop=auth, nc={:08x}", asked.count));
        }
        Secret::new(text)
    }
}

/// A name outside of ASCII cannot stand in a header as it is (RFC 7616, 3.4).
fn username(user: &str) -> String {
    if user.is_ascii() {
        format!("username={}", quoted(user))
    } else {
        format!(
            "username*=UTF-8''{}",
            super::address::encode(user.as_bytes())
        )
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RFC_7616: &str = r#"Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#;

    fn asked() -> Asked<'static> {
        Asked {
            method: "GET",
            uri: "/dir/index.html",
            count: 1,
            cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        }
    }

    fn answer(header: &str) -> String {
        let digest = Digest::choose(&challenges([header].into_iter())).unwrap();
        let secret = Secret::new("Circle of Life");
        let answer = digest.answer("Mufasa", &secret, &asked());
        answer.expose().to_owned()
    }

    #[test]
    fn the_examples_of_the_rfc() {
        // RFC 7616, 3.9.1.
        let sha = answer(RFC_7616);
        assert!(
            sha.contains(
                "response=\"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1\""
            ),
            "{sha}"
        );
        assert!(sha.contains("algorithm=SHA-256") && sha.contains("qop=auth, nc=00000001"));
        assert!(sha.contains("opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""));
        let md5 = answer(&RFC_7616.replace("SHA-256", "MD5"));
        assert!(
            md5.contains("response=\"8ca523f5e9506fed4657c9700eebdbec\""),
            "{md5}"
        );
    }

    #[test]
    fn the_old_form_without_qop() {
        // RFC 2069, corrected by its erratum 749.
        let header = r#"Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41""#;
        let digest = Digest::choose(&challenges([header].into_iter())).unwrap();
        let asked = Asked {
            method: "GET",
            uri: "/dir/index.html",
            count: 1,
            cnonce: "x",
        };
        let answer = digest.answer("Mufasa", &Secret::new("CircleOfLife"), &asked);
        let text = answer.expose();
        assert!(
            text.contains("response=\"1949323746fe6a43ef61f9606e7febea\""),
            "{text}"
        );
        assert!(!text.contains("qop") && !text.contains("algorithm"));
    }

    #[test]
    fn challenges_are_told_apart() {
        let all = challenges(
            [
                r#"Digest realm="a, \"b\"", nonce=abc, stale=TRUE, Basic realm="x""#,
                "Bearer",
            ]
            .into_iter(),
        );
        let schemes: Vec<&str> = all.iter().map(|one| one.scheme.as_str()).collect();
        assert_eq!(schemes, ["digest", "basic", "bearer"]);
        assert_eq!(all[0].params["realm"], "a, \"b\"");
        assert_eq!(all[0].params["nonce"], "abc");
        assert_eq!(all[1].params["realm"], "x");
        let both = challenges(
            [&RFC_7616.replace("SHA-256", "MD5"), RFC_7616]
                .into_iter()
                .map(|text| text as &str),
        );
        let chosen = Digest::choose(&both).unwrap();
        assert_eq!(chosen.algorithm, Algorithm::Sha256);
        let int = challenges([r#"Digest nonce="a", qop="auth-int""#].into_iter());
        assert_eq!(Digest::choose(&int), None);
    }

    #[test]
    fn names_are_quoted_or_encoded() {
        assert_eq!(username("a\"b"), r#"username="a\"b""#);
        assert_eq!(username("\u{e4}"), "username*=UTF-8''%C3%A4");
    }
}
