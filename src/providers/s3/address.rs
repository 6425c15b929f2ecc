//! Ids and keys, and the address of a bucket. The id of a node is its path from the top of the bucket,
//! each name percent-encoded, without slashes at its ends. The key of a file is that path decoded;
//! what is in a directory has keys that begin with its path and a slash.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use reqwest::Url;

use super::names::{MAX_KEY, RULES};
use crate::drive::{DriveError, ErrorKind, NodeId, Result};

/// What an id keeps as it is: the unreserved characters of RFC 3986.
const KEEP: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A name as ids have it.
pub fn encode(name: &str) -> String {
    utf8_percent_encode(name, KEEP).to_string()
}

/// The key of the file that an id means; empty for the top.
pub fn key(id: &str) -> String {
    percent_decode_str(id).decode_utf8_lossy().into_owned()
}

/// What the keys in a directory begin with; empty for the top.
pub fn prefix(id: &str) -> String {
    match key(id) {
        top if top.is_empty() => top,
        key => format!("{key}/"),
    }
}

/// The id of a key, with or without the slash of directories. `None` for keys that no path leads to:
/// with an empty name, `.` or `..` in them. Neither the kernel nor an address can have those.
pub fn id(key: &str) -> Option<String> {
    let path = key.strip_suffix('/').unwrap_or(key);
    let mut names = path.split('/');
    let led_away = |name: &str| matches!(name, "" | "." | "..") || name.contains('\0');
    if names.any(led_away) {
        return None;
    }
    let names: Vec<String> = path.split('/').map(encode).collect();
    Some(names.join("/"))
}

/// The id of a name (as keys spell it) in a directory.
pub fn child(parent: &str, name: &str) -> String {
    match parent {
        "" => encode(name),
        parent => format!("{parent}/{}", encode(name)),
    }
}

/// The directory of a node and its last name, encoded. The top is in itself.
pub fn split(id: &str) -> (&str, &str) {
    id.rsplit_once('/').unwrap_or(("", id))
}

/// The last name of an id, as keys spell it.
pub fn last(id: &str) -> String {
    key(split(id).1)
}

/// The name of a node as users see it.
pub fn shown_name(id: &str) -> String {
    match id {
        "" => String::new(),
        id => RULES.decode(&last(id)),
    }
}

/// An id for messages.
pub fn shown(id: &str) -> String {
    format!("/{}", key(id))
}

/// Whether `id` is `dir` or below it.
pub fn is_within(id: &str, dir: &str) -> bool {
    let below = || id.strip_prefix(dir)?.strip_prefix('/');
    id == dir || dir.is_empty() || below().is_some()
}

/// # Errors
/// `NameTooLong` for a path that makes no key, with or without the slash of a directory.
pub fn check_key(id: &str, dir: bool) -> Result<()> {
    let length = key(id).len() + usize::from(dir);
    if length <= MAX_KEY {
        return Ok(());
    }
    Err(DriveError::new(
        ErrorKind::NameTooLong,
        format!("a path of {length} bytes; the provider takes {MAX_KEY}"),
    ))
}

/// The id that the field `root` of a profile means.
///
/// # Errors
/// `Invalid` when it leads elsewhere.
pub fn root(text: &str) -> Result<NodeId> {
    let path: Vec<&str> = text.split('/').filter(|name| !name.is_empty()).collect();
    if path.is_empty() {
        return Ok(NodeId::new(""));
    }
    let decoded = key(&path.join("/"));
    let id = id(&decoded)
        .ok_or_else(|| DriveError::new(ErrorKind::Invalid, format!("root {text:?} is no path")))?;
    Ok(NodeId::new(id))
}

/// Where a bucket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Address of the service, without a slash at its end.
    pub endpoint: String,
    /// Address of the bucket, without a slash at its end.
    pub bucket: String,
    /// Whether the bucket stands in the path and not in the host.
    pub path_style: bool,
}

impl Place {
    /// Reads the endpoint `url` of a profile and its field `path_style`.
    ///
    /// # Errors
    /// `Invalid` for what is no web address, and for a bucket without a name.
    pub fn new(url: &str, bucket: &str, region: &str, path_style: &str) -> Result<Place> {
        let invalid = |why: &str| DriveError::new(ErrorKind::Invalid, why.to_owned());
        let wrong =
            "endpoint `url` is no web address; for example https://s3.eu-west-1.amazonaws.com";
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if bucket.is_empty() || !bucket.chars().all(fits) || bucket.starts_with('.') {
            return Err(invalid("field `bucket` is no name of a bucket"));
        }
        let own = format!("https://s3.{region}.amazonaws.com");
        let text = match url.trim().trim_end_matches('/') {
            // The one without a region answers for one region only.
            "" | "https://s3.amazonaws.com" => own.as_str(),
            text => text,
        };
        let mut url = Url::parse(text).map_err(|_| invalid(wrong))?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let bare = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let address = bare.parse::<std::net::IpAddr>().ok();
        let own_machine = bare == "localhost" || address.is_some_and(|a| a.is_loopback());
        match url.scheme() {
            "https" => {}
            "http" if own_machine => {}
            // As every request of this program.
            "http" => url.set_scheme("https").map_err(|()| invalid(wrong))?,
            _ => return Err(invalid(wrong)),
        }
        let credentials = url.set_username("").and_then(|()| url.set_password(None));
        credentials.map_err(|()| invalid(wrong))?;
        url.set_query(None);
        url.set_fragment(None);
        let path = url.path().split('/').filter(|name| !name.is_empty());
        let path = path.collect::<Vec<_>>().join("/");
        url.set_path(&path);
        let path_style = match path_style.trim().to_ascii_lowercase().as_str() {
            "yes" | "true" | "1" => true,
            "no" | "false" | "0" => false,
            // A certificate for `*.host` does not cover a bucket with a dot.
            _ => own_machine || address.is_some() || url.port().is_some() || bucket.contains('.'),
        };
        let endpoint = url.as_str().trim_end_matches('/').to_owned();
        // A bucket in the host of the address is not put there twice.
        let endpoint = endpoint.replacen(&format!("://{bucket}."), "://", 1);
        let bucket = match path_style {
            true => format!("{endpoint}/{bucket}"),
            false => endpoint.replacen("://", &format!("://{bucket}."), 1),
        };
        Ok(Place {
            endpoint,
            bucket,
            path_style,
        })
    }

    /// The place for the name of the account.
    pub fn name(&self) -> &str {
        self.bucket.split_once("://").map_or("", |(_, rest)| rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_ids_are_one_another() {
        for path in ["a b/\u{4f60}+%", "x", "d/ e /.f", "a\\b/100%"] {
            let made = id(path).unwrap();
            assert!(!made.contains([' ', '%']) || made.contains("%20") || made.contains("%25"));
            assert_eq!(key(&made), path);
            assert_eq!(id(&format!("{path}/")).unwrap(), made);
            assert_eq!(prefix(&made), format!("{path}/"));
        }
        assert_eq!(child("a%20b", "x+y"), "a%20b/x%2By");
        assert_eq!((split("a/b/c"), split("c")), (("a/b", "c"), ("", "c")));
        assert_eq!(prefix(""), "");
        for hidden in ["", "/", "/x", "a//b", "a//", "a/./b", "..", "../x", "a\0b"] {
            assert_eq!(id(hidden), None, "{hidden:?}");
        }
        assert!(is_within("a/b", "a") && is_within("a", "a") && !is_within("ab", "a"));
        assert_eq!(root("/a b/%41/").unwrap().as_str(), "a%20b/A");
        assert_eq!(root("").unwrap().as_str(), "");
        assert!(root("a/../b").is_err());
    }

    #[test]
    fn a_long_path_makes_no_key() {
        let id = encode(&"\u{e4}".repeat(512));
        assert!(check_key(&id, false).is_ok());
        let error = check_key(&id, true).unwrap_err();
        assert_eq!(error.kind, ErrorKind::NameTooLong);
    }

    #[test]
    fn buckets_stand_in_the_host_or_in_the_path() {
        let of = |url, bucket, style| Place::new(url, bucket, "eu-west-1", style).unwrap();
        let own = of("", "b", "auto");
        assert_eq!(own.bucket, "https://b.s3.eu-west-1.amazonaws.com");
        assert_eq!(of("https://s3.amazonaws.com/", "b", "auto"), own);
        assert_eq!(of("https://b.s3.eu-west-1.amazonaws.com", "b", "no"), own);
        let dotted = of("https://s3.example.com", "a.b", "auto");
        assert_eq!(dotted.bucket, "https://s3.example.com/a.b");
        let local = of("http://127.0.0.1:9000//x/", "b", "auto");
        assert_eq!(local.bucket, "http://127.0.0.1:9000/x/b");
        assert!(local.path_style);
        let nas = of("http://nas.example:9000", "b", "");
        assert_eq!(nas.bucket, "https://nas.example:9000/b");
        assert_eq!(
            of("https://h.example", "b", "yes").bucket,
            "https://h.example/b"
        );
        let forced = of("https://h.example:444", "b", "no");
        assert_eq!(forced.bucket, "https://b.h.example:444");
        assert_eq!(forced.name(), "b.h.example:444");
        for (url, bucket) in [
            ("ftp://h", "b"),
            ("nonsense", "b"),
            ("https://h", "a/b"),
            ("", ""),
        ] {
            assert!(
                Place::new(url, bucket, "r", "auto").is_err(),
                "{url} {bucket}"
            );
        }
    }
}
