//! Reading: there is no call for it, all bytes come by HTTP (sheet section 8).

use std::collections::BTreeMap;
use std::ops::Range;

use moka::sync::Cache;
use reqwest::header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue, RANGE};

use super::api::Api;
use super::message::{DownloadUrlPathInfo, GetDownloadUrlPathRequest};
use super::wire::Call;
use crate::drive::{ByteStream, DriveError, ErrorKind, Node, NodeId, Ranged, Result, get_range};
use crate::net::{Request, Retry};

const LINK: Call = Call::safe("download_link", "GetDownloadUrlPath");

/// An address is not used in its last seconds.
const MARGIN_MS: i64 = 10_000;

/// Addresses by file and version, kept until they expire.
pub struct Links {
    by_file: Cache<(NodeId, String), Link>,
}

/// Where to read a file.
#[derive(Clone, PartialEq)]
struct Link {
    /// At the server.
    url: String,
    /// At the provider behind it, with the headers it is bound to. Tried first: the bytes need not
    /// pass the server then.
    direct: Option<Direct>,
    /// Milliseconds since the epoch; `None` when it does not expire.
    expires: Option<i64>,
}

#[derive(Clone, PartialEq)]
struct Direct {
    url: String,
    headers: BTreeMap<String, String>,
}

/// What was tried for one read.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Kept,
    Renewed,
    /// The provider's own address was refused twice: the server reads it for us.
    ThroughTheServer,
}

impl Links {
    pub fn new() -> Self {
        Links {
            by_file: Cache::new(10_000),
        }
    }

    pub async fn read(&self, api: &Api, node: &Node, range: Range<u64>) -> Result<ByteStream> {
        if node.size == 0 || range.is_empty() {
            return Ok(Box::pin(futures_util::stream::empty()));
        }
        let key = (node.id.clone(), node.version.clone());
        let mut way = Way::Kept;
        loop {
            let link = self.link(api, &key).await?;
            let direct = link
                .direct
                .as_ref()
                .filter(|_| way != Way::ThroughTheServer);
            let refused = match get_range(&api.wire.client, request(&link, direct), &range).await {
                Ok(Ranged::Body(stream)) => return Ok(stream),
                Ok(Ranged::Refused(response)) => response,
                // Perhaps the provider's host is out of our reach, but not of the server's.
                Err(error) if direct.is_some() && error.kind == ErrorKind::Network => {
                    tracing::debug!(%error, "read through the server instead");
                    way = Way::ThroughTheServer;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let status = refused.status.as_u16();
            let wait = refused.retry_after().map_or(Retry::Backoff, Retry::After);
            if matches!(status, 401 | 403 | 404 | 410) {
                if way == Way::Kept {
                    self.by_file.invalidate(&key);
                    way = Way::Renewed;
                    continue;
                }
                if direct.is_some() {
                    way = Way::ThroughTheServer;
                    continue;
                }
            }
            self.by_file.invalidate(&key);
            let (kind, again) = match status {
                401 | 403 => (ErrorKind::Auth, Retry::Never),
                404 | 410 => (ErrorKind::NotFound, Retry::Never),
                416 => (ErrorKind::Changed, Retry::Never),
                429 => (ErrorKind::RateLimited, wait),
                500.. => (ErrorKind::Provider, wait),
                _ => (ErrorKind::Provider, Retry::Never),
            };
            return Err(DriveError::new(kind, format!("download: HTTP {status}")).retry(again));
        }
    }

    async fn link(&self, api: &Api, key: &(NodeId, String)) -> Result<Link> {
        let now = api.now();
        if let Some(link) = self.by_file.get(key).filter(|link| link.lives(now)) {
            return Ok(link);
        }
        let wanted = GetDownloadUrlPathRequest {
            path: key.0.as_str().to_owned(),
            preview: false,
            lazy_read: false,
            get_direct_url: true,
        };
        let info: DownloadUrlPathInfo = api.call(&LINK, wanted).await?;
        let link = Link::new(&info, &api.wire.scheme, &api.wire.authority, api.now())?;
        self.by_file.insert(key.clone(), link.clone());
        Ok(link)
    }
}

/// A GET of the provider's address, with its headers, or of the server's.
fn request(link: &Link, direct: Option<&Direct>) -> Request {
    let url = direct.map_or(&link.url, |direct| &direct.url);
    let mut request = Request::get("download", url)
        .class("download")
        .follow_redirects();
    for (name, value) in direct.iter().flat_map(|direct| &direct.headers) {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(value),
        ) && !OURS.contains(&name)
        {
            request.headers.insert(name, value);
        }
    }
    request
}

/// Headers that say what is asked for; no other side sets them.
const OURS: [HeaderName; 3] = [RANGE, HOST, CONTENT_LENGTH];

impl Link {
    fn new(info: &DownloadUrlPathInfo, scheme: &str, authority: &str, now: i64) -> Result<Link> {
        if info.download_url_path.is_empty() {
            return Err(DriveError::bad_answer(LINK.op, "no address"));
        }
        let direct = info
            .direct_url
            .as_deref()
            .filter(|url| url.starts_with("https://") || url.starts_with("http://"))
            .map(|url| {
                let mut headers = info.additional_headers.clone();
                if let Some(agent) = info.user_agent.as_ref().filter(|agent| !agent.is_empty()) {
                    headers.retain(|name, _| !name.eq_ignore_ascii_case("user-agent"));
                    headers.insert("user-agent".to_owned(), agent.clone());
                }
                Direct {
                    url: url.to_owned(),
                    headers,
                }
            });
        let expires = info.expires_in.map(|seconds| {
            let ms = i64::try_from(seconds)
                .unwrap_or(i64::MAX)
                .saturating_mul(1000);
            now.saturating_add(ms)
        });
        Ok(Link {
            url: fill(&info.download_url_path, scheme, authority, false),
            direct,
            expires,
        })
    }

    fn lives(&self, now: i64) -> bool {
        self.expires
            .is_none_or(|end| now < end.saturating_sub(MARGIN_MS))
    }
}

/// The address that a template means for whoever reaches the server at `authority`.
fn fill(template: &str, scheme: &str, authority: &str, preview: bool) -> String {
    let path = template
        .replace("{SCHEME}", scheme)
        .replace("{HOST}", authority)
        .replace("{PREVIEW}", if preview { "true" } else { "false" })
        // A number sign in a file's name is no fragment: no address of the server has one.
        .replace('#', "%23");
    format!("{scheme}://{authority}/{}", path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn the_templates_of_the_vectors() {
        let vectors: Value = serde_json::from_str(include_str!(
            "../../../tests/fixtures/clouddrive2.vectors.json"
        ))
        .unwrap();
        let cases = vectors["download_url_templates"].as_array().unwrap();
        assert_eq!(cases.len(), 2);
        for case in cases {
            let text = |key: &str| case[key].as_str().unwrap();
            let url = fill(
                text("template"),
                text("scheme"),
                text("host"),
                text("preview") == "true",
            );
            assert_eq!(url, text("url"));
        }
    }

    #[test]
    fn the_providers_address_comes_with_its_headers() {
        let info = DownloadUrlPathInfo {
            download_url_path: "/static/{SCHEME}/{HOST}/{PREVIEW}/a#1?token=t".to_owned(),
            expires_in: Some(3600),
            direct_url: Some("https://cdn.example/x".to_owned()),
            user_agent: Some("UA/1".to_owned()),
            additional_headers: BTreeMap::from([
                ("User-Agent".to_owned(), "other".to_owned()),
                ("Referer".to_owned(), "https://r.example/".to_owned()),
            ]),
        };
        let link = Link::new(&info, "http", "127.0.0.1:1", 1000).unwrap();
        assert!(link.url.ends_with("/false/a%231?token=t"), "{}", link.url);
        let direct = link.direct.clone().unwrap();
        assert_eq!(direct.headers["user-agent"], "UA/1");
        assert_eq!(direct.headers.len(), 2);
        assert!(link.lives(3_590_000) && !link.lives(3_591_001));
        let bare = DownloadUrlPathInfo {
            expires_in: None,
            direct_url: None,
            ..info
        };
        let link = Link::new(&bare, "http", "127.0.0.1:1", 1000).unwrap();
        assert!(link.direct.is_none() && link.lives(i64::MAX));
        assert!(Link::new(&DownloadUrlPathInfo::default(), "http", "h", 0).is_err());
    }
}
