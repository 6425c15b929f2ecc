//! Where a request may go: the https rule and the redirect rules.

use reqwest::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION,
    CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, LOCATION, PROXY_AUTHORIZATION, TRANSFER_ENCODING,
};
use reqwest::{Method, StatusCode, Url};

use super::{NetError, NetErrorKind, redact, redact_url};

/// How many redirects are followed.
const MOST_REDIRECTS: usize = 5;

/// Parses the address of a request. Plain http stays plain towards loopback only; any other
/// `http://` becomes `https://` (DESIGN 7). User info is removed.
pub(super) fn target(op: &'static str, text: &str) -> Result<Url, NetError> {
    let refused = |why: &str| {
        let message = format!("{why}: {}", redact_url(text));
        Err(NetError::never(NetErrorKind::Refused, op, message))
    };
    match Url::parse(text) {
        Ok(url) => match secured(url) {
            Some(url) => Ok(url),
            None => refused("only https addresses are asked"),
        },
        Err(_) => refused("not an address"),
    }
}

fn secured(mut url: Url) -> Option<Url> {
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        // A port that was written down stays: the same service must speak TLS there.
        "http" => url.set_scheme("https").ok()?,
        _ => return None,
    }
    url.host_str().filter(|host| !host.is_empty())?;
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    url.set_fragment(None);
    Some(url)
}

/// 127.0.0.0/8, ::1 and the name localhost.
pub(super) fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost"
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// The next hop of a redirect.
#[derive(Debug)]
pub(super) struct Hop {
    pub(super) url: Url,
    pub(super) method: Method,
    /// The body is not sent again.
    pub(super) drop_body: bool,
    /// Another host, port or scheme: credentials stay behind.
    pub(super) other_origin: bool,
}

/// Reads a redirect by RFC 9110 section 15.4, `hops` of which were followed before. `None` when the
/// answer is none, or has no `Location`.
pub(super) fn redirect(
    op: &'static str,
    from: &Url,
    method: &Method,
    status: StatusCode,
    headers: &HeaderMap,
    hops: usize,
) -> Result<Option<Hop>, NetError> {
    let see_other = match status.as_u16() {
        303 => *method != Method::HEAD && *method != Method::GET,
        // Every client turns a POST into a GET here, and servers rely on it.
        301 | 302 => *method == Method::POST,
        307 | 308 => false,
        _ => return Ok(None),
    };
    let Some(location) = headers.get(LOCATION) else {
        return Ok(None);
    };
    let refused = |message: String| Err(NetError::never(NetErrorKind::Refused, op, message));
    if hops >= MOST_REDIRECTS {
        return refused(format!("more than {MOST_REDIRECTS} redirects"));
    }
    // Some providers send raw UTF-8 in Location; joining encodes it.
    let Ok(location) = std::str::from_utf8(location.as_bytes()) else {
        return refused("redirected to an address that is no text".to_owned());
    };
    let Some(url) = from.join(location).ok().and_then(secured) else {
        return refused(format!("redirected to {}", redact_url(location)));
    };
    if is_loopback(&url) && !is_loopback(from) {
        // A server must not make us talk to this machine's own services.
        return refused(format!(
            "redirected to this machine: {}",
            redact_url(location)
        ));
    }
    let other_origin = from.host_str() != url.host_str()
        || from.port_or_known_default() != url.port_or_known_default()
        || from.scheme() != url.scheme();
    Ok(Some(Hop {
        url,
        method: if see_other {
            Method::GET
        } else {
            method.clone()
        },
        drop_body: see_other,
        other_origin,
    }))
}

impl Hop {
    /// Removes from the request's headers what the next hop must not see.
    pub(super) fn strip(&self, headers: &mut HeaderMap) {
        if self.drop_body {
            for name in [
                CONTENT_TYPE,
                CONTENT_LENGTH,
                CONTENT_ENCODING,
                CONTENT_LANGUAGE,
                CONTENT_LOCATION,
                TRANSFER_ENCODING,
                HeaderName::from_static("content-md5"),
                HeaderName::from_static("digest"),
            ] {
                headers.remove(name);
            }
        }
        if self.other_origin {
            let secret: Vec<HeaderName> = headers
                .iter()
                .filter(|(name, value)| {
                    [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION].contains(name)
                        || value.is_sensitive()
                        || redact::names_secret(name.as_str())
                })
                .map(|(name, _)| name.clone())
                .collect();
            for name in secret {
                headers.remove(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn rewritten(text: &str) -> String {
        target("test", text).map_or_else(|e| format!("{:?}", e.kind), |url| url.to_string())
    }

    #[test]
    fn plain_http_goes_to_loopback_only() {
        for kept in [
            "http://127.0.0.1:9101/a?b=c",
            "http://127.8.9.10/",
            "http://[::1]:80/",
            "http://localhost:8080/x",
            "https://h.example/x",
        ] {
            assert_eq!(rewritten(kept), kept.replace(":80/", "/"));
        }
        assert_eq!(
            rewritten("http://h.example/x?y=%E4%BD%A0#f"),
            "https://h.example/x?y=%E4%BD%A0"
        );
        assert_eq!(
            rewritten("http://h.example:8080/"),
            "https://h.example:8080/"
        );
        assert_eq!(rewritten("http://10.0.0.1/"), "https://10.0.0.1/");
        assert_eq!(
            rewritten("http://localhost.h.example/"),
            "https://localhost.h.example/"
        );
        assert_eq!(
            rewritten("http://127.0.0.1.h.example/"),
            "https://127.0.0.1.h.example/"
        );
        assert_eq!(
            rewritten("http://127.0.0.1@h.example/"),
            "https://h.example/"
        );
        assert_eq!(rewritten("https://u:p@h.example/"), "https://h.example/");
        assert_eq!(rewritten("ftp://h.example/"), "Refused");
        assert_eq!(rewritten("/relative"), "Refused");
    }

    #[test]
    fn refusals_show_no_secret() {
        let error = target("test", "ftp://u:hunter2@h.example/?token=abc").unwrap_err();
        assert!(!error.to_string().contains("hunter2") && !error.to_string().contains("abc"));
    }

    fn hop(
        from: &str,
        method: Method,
        status: u16,
        location: &str,
    ) -> Result<Option<Hop>, NetError> {
        let mut headers = HeaderMap::new();
        headers.insert(
            LOCATION,
            HeaderValue::from_bytes(location.as_bytes()).unwrap(),
        );
        let from = Url::parse(from).unwrap();
        redirect(
            "test",
            &from,
            &method,
            StatusCode::from_u16(status).unwrap(),
            &headers,
            0,
        )
    }

    #[test]
    fn methods_follow_the_rules() {
        let method = |method, status| {
            let hop = hop("https://a.example/x", method, status, "/y")
                .unwrap()
                .unwrap();
            assert_eq!(hop.url.as_str(), "https://a.example/y");
            assert!(!hop.other_origin);
            (hop.method, hop.drop_body)
        };
        assert_eq!(method(Method::POST, 302), (Method::GET, true));
        assert_eq!(method(Method::POST, 301), (Method::GET, true));
        assert_eq!(method(Method::PUT, 302), (Method::PUT, false));
        assert_eq!(method(Method::PUT, 303), (Method::GET, true));
        assert_eq!(method(Method::HEAD, 303), (Method::HEAD, false));
        assert_eq!(method(Method::POST, 307), (Method::POST, false));
        assert_eq!(method(Method::POST, 308), (Method::POST, false));
        assert!(
            hop("https://a.example/", Method::GET, 304, "/y")
                .unwrap()
                .is_none()
        );
        assert!(
            hop("https://a.example/", Method::GET, 200, "/y")
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn places_follow_the_rules() {
        let other = hop(
            "https://a.example/x",
            Method::GET,
            302,
            "http://b.example/\u{4f60}",
        )
        .unwrap()
        .unwrap();
        assert_eq!(other.url.as_str(), "https://b.example/%E4%BD%A0");
        assert!(other.other_origin);
        let port = hop(
            "https://a.example/",
            Method::GET,
            302,
            "https://a.example:444/",
        );
        assert!(port.unwrap().unwrap().other_origin);
        let home = hop(
            "https://a.example/",
            Method::GET,
            302,
            "http://127.0.0.1:631/",
        );
        assert_eq!(home.unwrap_err().kind, NetErrorKind::Refused);
        let file = hop("https://a.example/", Method::GET, 302, "file:///etc/passwd");
        assert_eq!(file.unwrap_err().kind, NetErrorKind::Refused);
    }

    #[test]
    fn credentials_stay_behind() {
        let mut headers = HeaderMap::new();
        for name in [
            "authorization",
            "cookie",
            "x-acs-security-token",
            "user-agent",
            "range",
        ] {
            headers.insert(name, HeaderValue::from_static("v"));
        }
        let mut marked = HeaderValue::from_static("v");
        marked.set_sensitive(true);
        headers.insert("x-device", marked);
        let mut same = headers.clone();
        hop("https://a.example/", Method::GET, 302, "https://b.example/")
            .unwrap()
            .unwrap()
            .strip(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["range", "user-agent"]);
        hop("https://a.example/", Method::GET, 302, "/b")
            .unwrap()
            .unwrap()
            .strip(&mut same);
        assert_eq!(same.len(), 6);
    }
}
