//! Download links and ranged reads (sheet sections 4.3 and 8).

use std::ops::Range;
use std::time::Duration;

use moka::sync::Cache;
use serde_json::Value;

use super::api::{Api, Call, file_path};
use crate::drive::{
    ByteStream, DriveError, ErrorKind, Node, NodeId, Ranged, Result, decode, get_range,
};
use crate::net::{Request, Retry};

/// Links by file id, kept until they expire.
pub struct Links {
    by_file: Cache<NodeId, Link>,
}

#[derive(Clone, Debug, PartialEq)]
struct Link {
    url: String,
    /// Milliseconds since the epoch.
    expires: i64,
}

/// Clients treat a link as dead ten seconds early (section 8).
const MARGIN_MS: i64 = 10_000;

/// The life of a link that does not tell it.
const UNKNOWN_LIFE_MS: i64 = 600_000;

/// Pauses before asking again for the link of a fresh upload (section 4.3).
const PAUSES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

impl Links {
    pub fn new() -> Self {
        Links {
            by_file: Cache::new(10_000),
        }
    }

    pub async fn read(&self, api: &Api, node: &Node, range: Range<u64>) -> Result<ByteStream> {
        if node.size == 0 || range.is_empty() {
            // Empty files have no usable link.
            return Ok(Box::pin(futures_util::stream::empty()));
        }
        let mut renewed = false;
        loop {
            let link = self.link(api, node).await?;
            // No header of the API goes to the content hosts.
            let request = Request::get("download", &link.url)
                .class("download")
                .follow_redirects();
            let refused = match get_range(&api.client, request, &range).await? {
                Ranged::Body(stream) => return Ok(stream),
                Ranged::Refused(response) => response,
            };
            let status = refused.status.as_u16();
            let pause = refused.retry_after();
            let wait = pause.map_or(Retry::Backoff, Retry::After);
            let (kind, again) = match status {
                // The ninth connection to a link.
                503 => {
                    return Err(DriveError::new(
                        ErrorKind::RateLimited,
                        "download: too many connections to this file",
                    )
                    .retry(wait));
                }
                401 | 403 | 404 | 410 if !renewed => {
                    renewed = true;
                    self.by_file.invalidate(&node.id);
                    continue;
                }
                404 | 410 => (ErrorKind::NotFound, Retry::Never),
                416 => (ErrorKind::Changed, Retry::Never),
                429 => (ErrorKind::RateLimited, wait),
                500.. => (ErrorKind::Provider, wait),
                _ => (ErrorKind::Provider, Retry::Never),
            };
            self.by_file.invalidate(&node.id);
            return Err(DriveError::new(kind, format!("download: HTTP {status}")).retry(again));
        }
    }

    async fn link(&self, api: &Api, node: &Node) -> Result<Link> {
        let now = api.now();
        let kept = self.by_file.get(&node.id);
        if let Some(link) = kept.filter(|link| link.expires.saturating_sub(MARGIN_MS) > now) {
            return Ok(link);
        }
        let mut pauses = PAUSES.into_iter();
        loop {
            let call = Call::get("download_link", file_path(&node.id))
                .query("_magic", "2021")
                .query("usage", "FETCH")
                .query("thumbnail_size", "SIZE_SMALL");
            let file = api.call(call).await?;
            if decode::flag(&file["trashed"]) {
                return Err(DriveError::not_found(format!("file {}", node.id)));
            }
            if let Some(link) = link_of(&file, api.now()) {
                self.by_file.insert(node.id.clone(), link.clone());
                return Ok(link);
            }
            match pauses.next() {
                Some(pause) => tokio::time::sleep(pause).await,
                None => {
                    return Err(DriveError::new(
                        ErrorKind::Provider,
                        "the provider gives no download link for this file",
                    )
                    .retry(Retry::Backoff));
                }
            }
        }
    }
}

/// The link to the exact bytes: the original, its plain link, or a media entry of the original.
fn link_of(file: &Value, now: i64) -> Option<Link> {
    let original = &file["links"]["application/octet-stream"];
    let media = decode::list(&file["medias"])
        .iter()
        .find(|media| decode::flag(&media["is_origin"]))
        .map_or(&Value::Null, |media| &media["link"]);
    let (url, told) = [
        (&original["url"], &original["expire"]),
        (&file["web_content_link"], &Value::Null),
        (&media["url"], &media["expire"]),
    ]
    .into_iter()
    .find_map(|(url, told)| Some((decode::nonempty(url)?, told)))?;
    let in_url = reqwest::Url::parse(&url).ok().and_then(|url| {
        let (_, seconds) = url.query_pairs().find(|(key, _)| key == "expire")?;
        seconds.parse::<i64>().ok()?.checked_mul(1000)
    });
    let expires = match (in_url, decode::rfc3339_ms(told)) {
        (Some(a), Some(b)) => a.min(b),
        (a, b) => a
            .or(b)
            .unwrap_or_else(|| now.saturating_add(UNKNOWN_LIFE_MS)),
    };
    Some(Link { url, expires })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_original_comes_first_with_its_end() {
        let file = json!({
            "web_content_link": "https://dl/?fid=F1&expire=1790000000&sign=x",
            "links": {"application/octet-stream": {
                "url": "https://dl/o?fid=F1&expire=1790000000", "expire": "2026-09-21T15:33:20.000+08:00"}}});
        let link = link_of(&file, 0).unwrap();
        assert_eq!(link.url, "https://dl/o?fid=F1&expire=1790000000");
        // 15:33:20 at +08:00 is earlier than the query's second.
        let told = decode::rfc3339_ms(&file["links"]["application/octet-stream"]["expire"]);
        assert_eq!(
            Some(link.expires),
            told.map(|told| told.min(1_790_000_000_000))
        );
    }

    #[test]
    fn the_plain_link_and_none() {
        let file = json!({"links": {}, "web_content_link": "https://dl/?expire=1790000000"});
        assert_eq!(link_of(&file, 0).unwrap().expires, 1_790_000_000_000);
        let file = json!({"links": {}, "web_content_link": "https://dl/x"});
        assert_eq!(link_of(&file, 5).unwrap().expires, 5 + UNKNOWN_LIFE_MS);
        assert_eq!(
            link_of(&json!({"links": null, "web_content_link": ""}), 0),
            None
        );
    }

    #[test]
    fn only_originals_of_the_media_count() {
        let link = json!({"url": "https://vod/x"});
        let file = json!({"medias": [{"is_origin": false, "link": link}]});
        assert_eq!(link_of(&file, 0), None);
        let file = json!({"medias": [{"is_origin": true, "link": link}]});
        assert_eq!(link_of(&file, 0).unwrap().url, "https://vod/x");
    }
}
