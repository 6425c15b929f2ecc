//! Names that one server loses. wsgidav decodes a `Destination` before it takes it apart: what
//! follows a `?`, or a `;` in the last name, is cut off, and the file lands under another name. With
//! such a server these characters have their full-width twins. All others get names as they are.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::header::HeaderMap;

use super::address;
use super::names::MAX_NAME;
use crate::drive::{DriveError, ErrorKind, NameRules, Node, Result};

/// What is lost.
const LOST: NameRules = NameRules {
    illegal: "?;",
    no_controls: false,
    no_outer_blanks: false,
    max_bytes: 3 * MAX_NAME,
    max_chars: usize::MAX,
};

/// What the server's answers have told so far.
#[derive(Debug, Default)]
pub struct Spelling {
    answered: AtomicBool,
    loses: AtomicBool,
}

impl Spelling {
    /// Looks at the head of an answer.
    pub fn learn(&self, headers: &HeaderMap) {
        self.answered.store(true, Ordering::Relaxed);
        let server = headers.get("server").map(|value| value.as_bytes());
        if server.is_some_and(|name| name.to_ascii_lowercase().starts_with(b"wsgidav")) {
            self.loses.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it matters for a name which server this is, and no answer has told yet.
    pub fn is_open(&self, name: &str) -> bool {
        !self.answered.load(Ordering::Relaxed) && LOST.encode(name).is_ok_and(|told| told != name)
    }

    /// The spelling of a user's name.
    ///
    /// # Errors
    /// `Invalid` for what is no name, `NameTooLong`.
    pub fn encode<'a>(&self, name: &'a str) -> Result<Cow<'a, str>> {
        match self.loses.load(Ordering::Relaxed) {
            true => LOST.encode(name).map(Cow::Owned),
            false => Ok(Cow::Borrowed(name)),
        }
    }

    /// The node with the user's name.
    pub fn decode(&self, mut node: Node) -> Node {
        if self.loses.load(Ordering::Relaxed) {
            node.name = LOST.decode(&node.name);
        }
        node
    }

    /// Refuses a place that the server would not find, because somebody else gave such a name to
    /// what is moved, or to a directory on the way.
    ///
    /// # Errors
    /// `Invalid`.
    pub fn refuse_lost(&self, id: &str) -> Result<()> {
        let last = address::last(id);
        let path = address::decode(id);
        if !self.loses.load(Ordering::Relaxed) || !(path.contains(&b'?') || last.contains(&b';')) {
            return Ok(());
        }
        Err(DriveError::new(
            ErrorKind::Invalid,
            format!(
                "wsgidav loses what follows ? and ; in the place that something goes to: {:?}; \
                 give it another name at the server first",
                String::from_utf8_lossy(&path)
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn of(server: &'static str) -> Spelling {
        let spelling = Spelling::default();
        let mut headers = HeaderMap::new();
        headers.insert("server", HeaderValue::from_static(server));
        spelling.learn(&headers);
        spelling
    }

    #[test]
    fn only_wsgidav_gets_other_names_and_they_come_back() {
        let wsgidav = of("WsgiDAV/4.4.0 Cheroot/11.1.2 Python/3.11.7");
        for name in ["what?", "a;b", "plain #%+&.txt", "\u{ff1f}\u{2024}?"] {
            let told = wsgidav.encode(name).unwrap();
            assert!(!told.contains(['?', ';']), "{told}");
            assert_eq!(LOST.decode(&told), name);
            assert_eq!(of("Apache/2.4.71 (Debian)").encode(name).unwrap(), name);
        }
        assert_eq!(wsgidav.encode("50% \u{4f60}").unwrap(), "50% \u{4f60}");
    }

    #[test]
    fn a_place_that_it_would_not_find_is_refused() {
        let wsgidav = of("WsgiDAV/4.4.0");
        for lost in ["a%3Fb/c", "c%3F", "a/b%3Bc"] {
            let error = wsgidav.refuse_lost(lost).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Invalid, "{lost}");
            of("nginx").refuse_lost(lost).unwrap();
        }
        wsgidav.refuse_lost("a%3Bb/c%20d").unwrap();
    }

    #[test]
    fn it_is_open_for_few_names_until_a_server_answers() {
        let unknown = Spelling::default();
        assert!(unknown.is_open("a?") && !unknown.is_open("a"));
        assert!(!of("nginx").is_open("a?"));
    }
}
