//! Who asks: Basic (RFC 7617), Digest with `qop=auth` (RFC 7616), Bearer (sheet, 4.3 point 11).

use std::collections::{BTreeMap, HashMap, HashSet};

use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::super::account::Account;
use super::super::digest::{hex, md5_hex};
use super::super::faults::FaultKind;
use super::errors::DavError;
use super::{WebDav, password, rules, username};

/// What the login windows say.
const REALM: &str = "panfuse simulator";

/// A nonce that was given out.
pub(super) struct Nonce {
    profile: String,
    since: i64,
    /// Counts that were used: none may come twice.
    used: HashSet<u32>,
}

/// Nonces by their text.
pub(super) type Nonces = HashMap<String, Nonce>;

/// Why a login is not accepted.
enum Refusal {
    /// Not what the account has.
    Wrong,
    /// Right, but the nonce is over: a fresh one will do.
    Stale,
}

/// Scheme and the rest of an `Authorization` header.
fn scheme(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get("authorization")?.to_str().ok()?.trim();
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    Some((scheme.to_ascii_lowercase(), rest.trim().to_owned()))
}

/// The `name=value` list of a Digest header; values may be quoted. `None` when it is not one,
/// or a name comes twice.
fn parameters(text: &str) -> Option<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let mut value = String::new();
        let after = after.trim_start();
        rest = match after.strip_prefix('"') {
            None => {
                let end = after.find(',').unwrap_or(after.len());
                value.push_str(after.get(..end)?.trim());
                after.get(end..)?
            }
            Some(quoted) => {
                let mut characters = quoted.char_indices();
                loop {
                    match characters.next()? {
                        (_, '\\') => value.push(characters.next()?.1),
                        (at, '"') => break quoted.get(at + 1..)?,
                        (_, character) => value.push(character),
                    }
                }
            }
        }
        .trim_start();
        rest = match rest.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None if rest.is_empty() => rest,
            None => return None,
        };
        let name = name.trim().to_ascii_lowercase();
        if all.insert(name, value).is_some() {
            return None;
        }
    }
    Some(all)
}

/// Hash of a digest algorithm, in hex.
fn hashed(algorithm: &str, text: &str) -> String {
    match algorithm {
        "SHA-256" => hex(&Sha256::digest(text.as_bytes())),
        _ => md5_hex(text.as_bytes()),
    }
}

/// The response that proves the password (RFC 7616, 3.4.1, `qop=auth`).
pub(super) fn digest_response(
    algorithm: &str,
    (user, realm, password): (&str, &str, &str),
    (method, uri): (&str, &str),
    (nonce, nc, cnonce): (&str, &str, &str),
) -> String {
    let secret = hashed(algorithm, &format!("{user}:{realm}:{password}"));
    let asked = hashed(algorithm, &format!("{method}:{uri}"));
    let text = format!("{secret}:{nonce}:{nc}:{cnonce}:auth:{asked}");
    hashed(algorithm, &text)
}

impl WebDav {
    fn algorithm(account: &Account) -> &'static str {
        match account.knobs.text("digest_algorithm").as_deref() {
            Some("SHA-256") => "SHA-256",
            _ => "MD5",
        }
    }

    /// Lets a request pass, or answers 401 with the challenges that the account takes.
    pub(super) fn admit(
        &self,
        account: &Account,
        op: &str,
        headers: &HeaderMap,
        method: &str,
        target: &str,
    ) -> Result<(), DavError> {
        let wanted = rules::of(account, "auth");
        if wanted == "none" {
            return Ok(());
        }
        let expired = account.faults.take(op, FaultKind::ExpireToken).is_some();
        let sent = scheme(headers);
        let found = match &sent {
            Some((scheme, rest)) if scheme == "basic" && wanted.contains("basic") => {
                basic(account, rest)
            }
            Some((scheme, rest)) if scheme == "digest" && wanted.contains("digest") => {
                self.digest(account, rest, method, target, expired)
            }
            Some((scheme, rest)) if scheme == "bearer" && wanted == "bearer" => {
                match rest == self.token(account) {
                    true => Ok(()),
                    false => Err(Refusal::Wrong),
                }
            }
            _ => Err(Refusal::Wrong),
        };
        let refusal = match found {
            Ok(()) if !expired => return Ok(()),
            Ok(()) => Refusal::Wrong,
            Err(refusal) => refusal,
        };
        account.meters.request("unauthorized");
        Err(self.challenge(account, &wanted, &refusal, sent.is_some()))
    }

    fn challenge(
        &self,
        account: &Account,
        wanted: &str,
        refusal: &Refusal,
        tried: bool,
    ) -> DavError {
        let mut error = DavError::new(401, "No public access to this resource.");
        // The stronger way comes first (the sheet's dufs does so).
        if wanted.contains("digest") {
            let stale = match refusal {
                Refusal::Stale => ", stale=true",
                Refusal::Wrong => "",
            };
            let text = format!(
                "Digest realm=\"{REALM}\", qop=\"auth\", algorithm={}, nonce=\"{}\", \
                 opaque=\"{}\", charset=UTF-8{stale}",
                Self::algorithm(account),
                self.new_nonce(account),
                self.opaque
            );
            error = error.with("www-authenticate", &text);
        }
        if wanted.contains("basic") {
            let text = format!("Basic realm=\"{REALM}\", charset=\"UTF-8\"");
            error = error.with("www-authenticate", &text);
        }
        if wanted == "bearer" {
            let why = if tried {
                ", error=\"invalid_token\""
            } else {
                ""
            };
            let text = format!("Bearer realm=\"{REALM}\"{why}");
            error = error.with("www-authenticate", &text);
        }
        error
    }

    fn new_nonce(&self, account: &Account) -> String {
        let text = self.kit.ids.hex(32);
        let nonce = Nonce {
            profile: account.profile.clone(),
            since: self.kit.clock.now_ms(),
            used: HashSet::new(),
        };
        self.state().nonces.insert(text.clone(), nonce);
        text
    }

    fn digest(
        &self,
        account: &Account,
        rest: &str,
        method: &str,
        target: &str,
        expired: bool,
    ) -> Result<(), Refusal> {
        let sent = parameters(rest).ok_or(Refusal::Wrong)?;
        let get = |name: &str| sent.get(name).map_or("", String::as_str);
        let algorithm = Self::algorithm(account);
        let (nonce, nc, cnonce) = (get("nonce"), get("nc"), get("cnonce"));
        let fits = get("username") == username(account)
            && get("realm") == REALM
            && get("uri") == target
            && get("qop") == "auth"
            && get("opaque") == self.opaque
            && !cnonce.is_empty()
            && nc.len() == 8
            // MD5 is what is meant without the word.
            && match get("algorithm") {
                "" => algorithm == "MD5",
                named => named.eq_ignore_ascii_case(algorithm),
            };
        let count = u32::from_str_radix(nc, 16).map_err(|_| Refusal::Wrong)?;
        let password = password(account);
        let expected = digest_response(
            algorithm,
            (&username(account), REALM, &password),
            (method, target),
            (nonce, nc, cnonce),
        );
        if !fits || count == 0 || get("response") != expected {
            return Err(Refusal::Wrong);
        }
        let life = account.knobs.number("nonce_seconds", 300);
        let life = i64::try_from(life).unwrap_or(i64::MAX).saturating_mul(1000);
        let uses = account.knobs.number("nonce_uses", 0);
        let now = self.kit.clock.now_ms();
        let mut state = self.state();
        let Some(known) = state.nonces.get_mut(nonce) else {
            return Err(Refusal::Stale);
        };
        let over = known.profile != account.profile
            || now.saturating_sub(known.since) >= life
            || (uses > 0 && known.used.len() as u64 >= uses);
        if expired || over {
            state.nonces.remove(nonce);
            return Err(Refusal::Stale);
        }
        // A count that was seen is a request sent twice. Requests side by side may overtake.
        match known.used.insert(count) {
            true => Ok(()),
            false => Err(Refusal::Stale),
        }
    }
}

fn basic(account: &Account, rest: &str) -> Result<(), Refusal> {
    let sent = STANDARD.decode(rest).map_err(|_| Refusal::Wrong)?;
    let expected = format!("{}:{}", username(account), password(account));
    match sent == expected.as_bytes() {
        true => Ok(()),
        false => Err(Refusal::Wrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_standard() {
        // RFC 7616, 3.9.1.
        let who = ("Mufasa", "http-auth@example.org", "Circle of Life");
        let nonce = (
            "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            "00000001",
            "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        );
        let ask = ("GET", "/dir/index.html");
        assert_eq!(
            digest_response("MD5", who, ask, nonce),
            "8ca523f5e9506fed4657c9700eebdbec"
        );
        assert_eq!(
            digest_response("SHA-256", who, ask, nonce),
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
        );
    }

    #[test]
    fn lists_of_parameters() {
        let all = parameters("username=\"a\\\"b, c\", qop=auth,nc=00000001 , uri=\"/x=y\"");
        let all = all.unwrap();
        assert_eq!(all["username"], "a\"b, c");
        assert_eq!(
            (all["qop"].as_str(), all["nc"].as_str()),
            ("auth", "00000001")
        );
        assert_eq!(all["uri"], "/x=y");
        for bad in ["a", "a=\"b", "a=1,a=2", "a=\"b\" c=d"] {
            assert_eq!(parameters(bad), None, "{bad}");
        }
    }
}
