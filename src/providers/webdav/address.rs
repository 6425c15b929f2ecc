//! Addresses and ids. The id of a node is its path below the address of the profile, without
//! slashes at its ends, each name percent-encoded in one way whatever way the server uses (sheet
//! generic_backends, 4.3: variants must be tolerated). So every name has one id, also one that is
//! no UTF-8.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use reqwest::Url;

use super::names::RULES;
use crate::drive::{DriveError, ErrorKind, NodeId, Result};

/// What an id keeps as it is: the unreserved characters of RFC 3986.
const KEEP: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Names on the way to something, decoded.
pub type Segments = Vec<Vec<u8>>;

/// The address of a profile.
#[derive(Clone, Debug)]
pub struct Base {
    /// Ends with a slash.
    url: Url,
    path: Segments,
}

impl Base {
    /// Reads the endpoint `url` of a profile. Plain http stays plain towards this machine only, as
    /// for every request of this program.
    ///
    /// # Errors
    /// `Invalid` for what is no web address.
    pub fn new(text: &str) -> Result<Base> {
        let invalid = |why: &str| {
            DriveError::new(
                ErrorKind::Invalid,
                format!("endpoint `url` {why}; for example https://host/remote.php/dav/files/me"),
            )
        };
        let mut url = Url::parse(text.trim()).map_err(|_| invalid("is no web address"))?;
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => url
                .set_scheme("https")
                .map_err(|()| invalid("is no web address"))?,
            _ => return Err(invalid("is no web address")),
        }
        // Credentials are fields of the profile, and never part of what is logged.
        let bare = url.set_username("").and_then(|()| url.set_password(None));
        bare.map_err(|()| invalid("has no host"))?;
        url.set_query(None);
        url.set_fragment(None);
        let path = segments(url.path()).ok_or_else(|| invalid("has a path that is none"))?;
        let encoded: Vec<String> = path.iter().map(|name| encode(name)).collect();
        let mut text = format!("/{}", encoded.join("/"));
        if !text.ends_with('/') {
            text.push('/');
        }
        url.set_path(&text);
        Ok(Base { url, path })
    }

    /// The address of a node. Directories are addressed with a slash at the end (4.3, item 7).
    pub fn url(&self, id: &str, dir: bool) -> String {
        let slash = if dir && !id.is_empty() { "/" } else { "" };
        format!("{}{id}{slash}", self.url)
    }

    /// An address on the same server, below its root.
    pub fn at_root(&self, path: &str) -> String {
        let mut url = self.url.clone();
        url.set_path(path);
        url.to_string()
    }

    /// The names on the way to a node, from the root of the server.
    pub fn segments_of(&self, id: &str) -> Segments {
        let mut all = self.path.clone();
        all.extend(id.split('/').filter(|name| !name.is_empty()).map(decode));
        all
    }

    /// The names on the way to the top of the profile.
    pub fn path(&self) -> &[Vec<u8>] {
        &self.path
    }

    /// `host:port/path`, for the name of the account: ids are relative to all of it.
    pub fn place(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        let port = self.url.port_or_known_default().unwrap_or_default();
        format!("{host}:{port}{}", self.url.path().trim_end_matches('/'))
    }

    /// Whether an address belongs to the same server.
    pub fn is_same_origin(&self, other: &Url) -> bool {
        self.url.origin() == other.origin()
    }
}

/// 127.0.0.0/8, ::1 and the name localhost.
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost"
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// A name as ids have it.
pub fn encode(name: &[u8]) -> String {
    percent_encode(name, KEEP).to_string()
}

/// The bytes of a name or a path.
pub fn decode(text: &str) -> Vec<u8> {
    percent_decode_str(text).collect()
}

/// The names of a path in any spelling; `None` when one of them would lead elsewhere.
fn segments(path: &str) -> Option<Segments> {
    let names: Segments = path
        .split('/')
        .filter(|name| !name.is_empty())
        .map(decode)
        .collect();
    let led_away = |name: &Vec<u8>| matches!(name.as_slice(), b"." | b"..") || name.contains(&0);
    (!names.iter().any(led_away)).then_some(names)
}

/// A `href` of an answer: its names, and whether it ends with a slash. It may be an address or a
/// path, begin with two slashes, and be encoded in any way, or not at all.
pub fn href(text: &str) -> Option<(Segments, bool)> {
    let text = text.trim();
    let path = match text.split_once("://") {
        Some((scheme, rest)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
        }
        _ => text,
    };
    Some((segments(path)?, path.ends_with('/')))
}

/// The id of `name` (as the server spells it) in the directory `parent`.
pub fn child(parent: &str, name: &[u8]) -> String {
    match parent {
        "" => encode(name),
        parent => format!("{parent}/{}", encode(name)),
    }
}

/// The directory of a node and its last name, encoded. The top is in itself.
pub fn split(id: &str) -> (&str, &str) {
    id.rsplit_once('/').unwrap_or(("", id))
}

/// The name of a node as users see it.
pub fn shown(name: &[u8]) -> String {
    RULES.decode(&String::from_utf8_lossy(name))
}

/// The last name of an id, decoded.
pub fn last(id: &str) -> Vec<u8> {
    decode(split(id).1)
}

/// The id that the field `root` of a profile means: a path in any spelling.
///
/// # Errors
/// `Invalid` when it leads elsewhere.
pub fn root(text: &str) -> Result<NodeId> {
    let names = segments(text)
        .ok_or_else(|| DriveError::new(ErrorKind::Invalid, format!("root {text:?} is no path")))?;
    let names: Vec<String> = names.iter().map(|name| encode(name)).collect();
    Ok(NodeId::new(names.join("/")))
}

/// Whether `id` is `dir` or below it.
pub fn is_within(id: &str, dir: &str) -> bool {
    id == dir
        || dir.is_empty()
        || id
            .strip_prefix(dir)
            .is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Option<(Vec<String>, bool)> {
        let (names, slash) = href(text)?;
        let text = |name: &Vec<u8>| String::from_utf8_lossy(name).into_owned();
        Some((names.iter().map(text).collect(), slash))
    }

    #[test]
    fn hrefs_come_in_every_spelling() {
        let wanted = Some((vec!["dav".to_owned(), "\u{e4} b".to_owned()], false));
        for spelling in [
            "/dav/%C3%A4%20b",
            "/dav/%c3%a4%20b",
            "/dav/\u{e4} b",
            "//dav//%C3%A4%20b",
            "http://h:8080/dav/%C3%A4%20b",
            " https://h/dav/%C3%A4 b\n",
        ] {
            assert_eq!(names(spelling), wanted, "{spelling}");
        }
        assert_eq!(names("/a/"), Some((vec!["a".to_owned()], true)));
        assert_eq!(names("https://h"), Some((Vec::new(), true)));
        assert_eq!(names("/50%/%zz").unwrap().0, ["50%", "%zz"]);
        assert_eq!(names("/a/%2e%2E/b"), None);
        assert_eq!(names("/a/%00"), None);
    }

    #[test]
    fn an_id_is_one_spelling() {
        let id = child("a%20b", "x/\u{4f60}+%".as_bytes());
        assert_eq!(id, "a%20b/x%2F%E4%BD%A0%2B%25");
        assert_eq!(split(&id), ("a%20b", "x%2F%E4%BD%A0%2B%25"));
        assert_eq!(last(&id), "x/\u{4f60}+%".as_bytes());
        assert_eq!(shown(&last(&id)), "x\u{ff0f}\u{4f60}+%");
        assert_eq!(shown(b"caf\xe9"), "caf\u{fffd}");
        assert_eq!(encode(b"caf\xe9"), "caf%E9");
        assert_eq!(root("/a b/%41/").unwrap().as_str(), "a%20b/A");
        assert_eq!(root("").unwrap().as_str(), "");
        assert!(root("a/../b").is_err());
        assert!(is_within("a/b", "a") && is_within("a", "a") && !is_within("ab", "a"));
    }

    #[test]
    fn addresses_are_made_of_ids() {
        let base = Base::new("https://me:pw@h.example:444/remote.php/dav/files/m e?x#y").unwrap();
        assert_eq!(
            base.url("a%20b", true),
            "https://h.example:444/remote.php/dav/files/m%20e/a%20b/"
        );
        assert_eq!(
            base.url("", true),
            "https://h.example:444/remote.php/dav/files/m%20e/"
        );
        assert_eq!(base.place(), "h.example:444/remote.php/dav/files/m%20e");
        assert_eq!(base.segments_of("a%20b").len(), 5);
        assert_eq!(base.at_root("/x/"), "https://h.example:444/x/");
        let plain = Base::new("http://nas.example/dav").unwrap();
        assert_eq!(plain.url("", true), "https://nas.example/dav/");
        let own = Base::new("http://127.0.0.1:8080").unwrap();
        assert_eq!(own.url("a", false), "http://127.0.0.1:8080/a");
        for wrong in ["ftp://h/", "/dav", "nonsense"] {
            assert!(Base::new(wrong).is_err(), "{wrong}");
        }
    }
}
