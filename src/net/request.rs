//! A request as data.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// Deadlines of one request.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// From start to the response head.
    pub head: Duration,
    /// Longest pause between two pieces of a body, either way.
    pub idle: Duration,
    /// From start to the end of the body; `None` for bodies of file content.
    pub total: Option<Duration>,
}

impl Deadlines {
    /// For metadata calls: 30 s to the head, 30 s idle, 60 s in all.
    pub const CALL: Deadlines = Deadlines {
        head: Duration::from_secs(30),
        idle: Duration::from_secs(30),
        total: Some(Duration::from_secs(60)),
    };
    /// For file content: 30 s to the head, 60 s without progress, no total.
    pub const DATA: Deadlines = Deadlines {
        head: Duration::from_secs(30),
        idle: Duration::from_secs(60),
        total: None,
    };
    /// For an upload whose answer comes after the body: 120 s without progress.
    pub const UPLOAD: Deadlines = Deadlines {
        head: Duration::from_secs(120),
        idle: Duration::from_secs(120),
        total: None,
    };
}

/// What to do with a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirects {
    /// Hand it to the caller.
    Never,
    /// Follow up to five, dropping `Authorization` and `Cookie` when the host changes.
    Follow,
}

/// One field of a multipart form.
#[derive(Clone)]
pub struct FormPart {
    /// Field name.
    pub name: String,
    /// File name, for file fields.
    pub file_name: Option<String>,
    /// The field's bytes.
    pub bytes: Bytes,
}

/// A request body.
#[derive(Clone, Default)]
pub enum Body {
    /// None.
    #[default]
    Empty,
    /// These bytes with `Content-Length`, sent in pieces so that the idle deadline sees progress.
    /// `Content-Type` is whatever the headers say; none is added.
    Bytes(Bytes),
    /// `multipart/form-data`.
    Multipart(Vec<FormPart>),
    /// Bytes that come while they are sent, with `Content-Length`. They go out once: the request is
    /// not repeated, and a redirect that wants them again is an error. An answer that comes before
    /// they are through is an answer like any other; with its end the sending ends. The request
    /// keeps its place in the budget while its source is waited for, so a source must not depend on
    /// others who wait for a place in the same class.
    Stream {
        /// Bytes in all. More or fewer end the request before the server has a whole body.
        length: u64,
        /// Where they come from.
        pieces: super::Pieces,
    },
}

/// A request. Built with [`Request::get`] and friends, sent by [`super::Client::send`].
/// `Debug` shows no secret: the URL is redacted, of headers and body only names and sizes appear.
#[derive(Clone)]
pub struct Request {
    /// Label for logs, metrics and errors, such as `list`.
    pub op: &'static str,
    /// Method.
    pub method: Method,
    /// Absolute URL.
    pub url: String,
    /// Headers; nothing but `Host`, `Content-Length`, `Accept-Encoding`, `Accept: */*` and the
    /// account's default headers is added, each only when it is not set here.
    pub headers: HeaderMap,
    /// Body.
    pub body: Body,
    /// Rate class, one of the budget's; an unknown one counts as `other`.
    pub class: &'static str,
    /// Deadlines.
    pub deadlines: Deadlines,
    /// Redirect rule.
    pub redirects: Redirects,
    /// Whether the answer may be sent compressed (off for file content).
    pub accept_gzip: bool,
}

impl Request {
    /// A request without headers and body, in class `other` with [`Deadlines::CALL`].
    pub fn new(op: &'static str, method: Method, url: impl Into<String>) -> Self {
        Request {
            op,
            method,
            url: url.into(),
            headers: HeaderMap::new(),
            body: Body::Empty,
            class: "other",
            deadlines: Deadlines::CALL,
            redirects: Redirects::Never,
            accept_gzip: true,
        }
    }

    /// A GET.
    pub fn get(op: &'static str, url: impl Into<String>) -> Self {
        Self::new(op, Method::GET, url)
    }

    /// A POST.
    pub fn post(op: &'static str, url: impl Into<String>) -> Self {
        Self::new(op, Method::POST, url)
    }

    /// A PUT.
    pub fn put(op: &'static str, url: impl Into<String>) -> Self {
        Self::new(op, Method::PUT, url)
    }

    /// Sets the rate class.
    pub fn class(mut self, class: &'static str) -> Self {
        self.class = class;
        self
    }

    /// Sets the deadlines.
    pub fn deadlines(mut self, deadlines: Deadlines) -> Self {
        self.deadlines = deadlines;
        self
    }

    /// Follows redirects.
    pub fn follow_redirects(mut self) -> Self {
        self.redirects = Redirects::Follow;
        self
    }

    /// Sets a header; a value that cannot stand in a header is left out (and the server refuses).
    /// `name` is in lower case. The value of a name such as `cookie` is marked sensitive.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(mut value) = value.parse::<HeaderValue>() {
            value.set_sensitive(super::redact::names_secret(name));
            self.headers.insert(name, value);
        }
        self
    }

    /// `Authorization: Bearer ...`, marked sensitive.
    pub fn bearer(mut self, token: &super::Secret) -> Self {
        if let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {}", token.expose())) {
            value.set_sensitive(true);
            self.headers.insert(reqwest::header::AUTHORIZATION, value);
        }
        self
    }

    /// Adds a query pair, percent-encoded.
    pub fn query(mut self, key: &str, value: &str) -> Self {
        let separator = if self.url.contains('?') { '&' } else { '?' };
        self.url.push(separator);
        self.url.push_str(&encode_component(key));
        self.url.push('=');
        self.url.push_str(&encode_component(value));
        self
    }

    /// A JSON body with its `Content-Type`.
    pub fn json(mut self, value: &serde_json::Value) -> Self {
        self.body = Body::Bytes(Bytes::from(value.to_string()));
        self.header("content-type", "application/json")
    }

    /// A form body with its `Content-Type`.
    pub fn form(mut self, pairs: &[(&str, &str)]) -> Self {
        let text = pairs
            .iter()
            .map(|(key, value)| format!("{}={}", encode_component(key), encode_component(value)))
            .collect::<Vec<_>>()
            .join("&");
        self.body = Body::Bytes(Bytes::from(text));
        self.header("content-type", "application/x-www-form-urlencoded")
    }

    /// A body of raw bytes without a `Content-Type`.
    pub fn bytes(mut self, bytes: Bytes) -> Self {
        self.body = Body::Bytes(bytes);
        self
    }

    /// A body of `length` bytes that come while they are sent, without a `Content-Type`.
    pub fn stream(mut self, length: u64, pieces: super::Pieces) -> Self {
        self.body = Body::Stream { length, pieces };
        self
    }

    /// A multipart form.
    pub fn multipart(mut self, parts: Vec<FormPart>) -> Self {
        self.body = Body::Multipart(parts);
        self
    }

    /// `Range: bytes=start-end` for the half-open `range`; asks for no compression.
    pub fn range(mut self, range: &std::ops::Range<u64>) -> Self {
        self.accept_gzip = false;
        let last = range.end.saturating_sub(1);
        self.header("range", &format!("bytes={}-{}", range.start, last))
    }
}

/// Percent-encodes everything but RFC 3986 unreserved characters.
fn encode_component(text: &str) -> String {
    const KEEP: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    percent_encoding::utf8_percent_encode(text, KEEP).to_string()
}

impl fmt::Debug for FormPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.name, self.bytes.len())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Body::Empty => f.write_str("Empty"),
            Body::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Body::Multipart(parts) => f.debug_tuple("Multipart").field(parts).finish(),
            Body::Stream { length, .. } => write!(f, "Stream({length})"),
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.keys().map(HeaderName::as_str).collect();
        f.debug_struct("Request")
            .field("op", &self.op)
            .field("method", &self.method)
            .field("url", &super::redact_url(&self.url))
            .field("headers", &names)
            .field("body", &self.body)
            .field("class", &self.class)
            .field("deadlines", &self.deadlines)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let part = FormPart {
            name: "signature".into(),
            file_name: None,
            bytes: Bytes::from_static(b"tell-nobody"),
        };
        let request = Request::post("login", "https://h.example/x?n=1")
            .query("access_token", "tell-nobody")
            .header("cookie", "tell-nobody")
            .bearer(&crate::net::Secret::new("tell-nobody"));
        assert!(request.headers["cookie"].is_sensitive());
        for request in [
            request.clone().form(&[("password", "tell-nobody")]),
            request.multipart(vec![part]),
        ] {
            let shown = format!("{request:?}");
            assert!(!shown.contains("tell-nobody"), "{shown}");
            assert!(shown.contains("n=1") && shown.contains("cookie"), "{shown}");
        }
    }

    #[test]
    fn queries_forms_and_ranges() {
        let request = Request::get("list", "https://h.example/x")
            .query("a b", "\u{4f60}/&=~")
            .query("n", "1")
            .range(&(5..10));
        assert_eq!(
            request.url,
            "https://h.example/x?a%20b=%E4%BD%A0%2F%26%3D~&n=1"
        );
        assert_eq!(request.headers["range"], "bytes=5-9");
        assert!(!request.accept_gzip);
        let form = request.form(&[("k", "a+b c"), ("z", "")]);
        assert!(matches!(&form.body, Body::Bytes(b) if b == "k=a%2Bb%20c&z="));
    }
}
