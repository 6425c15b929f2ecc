//! Download links and ranged reads (sheet sections 4.3 and 8). Archives have links in a way of
//! their own, see `archive`.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::api::{Api, Call, file_path};
use super::archive;
use crate::drive::{
    ByteStream, DriveError, ErrorKind, Node, NodeId, Ranged, Result, decode, get_range,
};
use crate::net::{Request, Retry};

/// A download link.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    url: String,
    /// Milliseconds since the epoch.
    expires: i64,
}

/// A link is not used in its last ten seconds.
const MARGIN_MS: i64 = 10_000;

/// The life of a link that does not tell it.
const UNKNOWN_LIFE_MS: i64 = 600_000;

/// Pauses before asking again for the link of a fresh upload.
pub const PAUSES: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(3),
];

pub async fn read(api: &Arc<Api>, node: &Node, range: Range<u64>) -> Result<ByteStream> {
    if node.size == 0 || range.is_empty() {
        // Empty files have no usable link.
        return Ok(Box::pin(futures_util::stream::empty()));
    }
    let mut renewed = false;
    loop {
        let link = link(api, &node.id).await?;
        // No header of the API goes to the content hosts (section 8).
        let mut request = Request::get("download", &link.url)
            .class("download")
            .follow_redirects();
        if let Some(agent) = api.identity.platform.download_agent {
            request = request.header("user-agent", agent);
        }
        let refused = match get_range(&api.client, request, &range).await? {
            Ranged::Body(stream) => return Ok(stream),
            Ranged::Refused(response) => response,
        };
        let status = refused.status.as_u16();
        let wait = refused.retry_after().map_or(Retry::Backoff, Retry::After);
        let (kind, again) = match status {
            // Too many connections: the link is good.
            503 => {
                return Err(DriveError::new(
                    ErrorKind::RateLimited,
                    "download: too many connections to this file",
                )
                .retry(wait));
            }
            401 | 403 | 404 | 410 if !renewed => {
                renewed = true;
                api.links.invalidate(&node.id);
                continue;
            }
            404 | 410 => (ErrorKind::NotFound, Retry::Never),
            416 => (ErrorKind::Changed, Retry::Never),
            429 => (ErrorKind::RateLimited, wait),
            500.. => (ErrorKind::Provider, wait),
            _ => (ErrorKind::Provider, Retry::Never),
        };
        api.links.invalidate(&node.id);
        return Err(DriveError::new(kind, format!("download: HTTP {status}")).retry(again));
    }
}

/// The kept link of a file, while it lives.
pub fn kept(api: &Api, id: &NodeId) -> Option<Link> {
    let now = api.now();
    let link = api.links.get(id)?;
    (link.expires.saturating_sub(MARGIN_MS) > now).then_some(link)
}

async fn link(api: &Arc<Api>, id: &NodeId) -> Result<Link> {
    if let Some(link) = kept(api, id) {
        return Ok(link);
    }
    archive::settle(api).await;
    let mut pauses = PAUSES.into_iter();
    let link = loop {
        let file = ask(api, id).await?;
        if let Some(link) = link_of(&file, api.now()) {
            break link;
        }
        if let Some(refusal) = refusal(&file) {
            return Err(refusal);
        }
        if archive::is_archive(&file) {
            break archive::link(api, id).await?;
        }
        match pauses.next() {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return Err(none()),
        }
    };
    api.links.insert(id.clone(), link.clone());
    Ok(link)
}

/// The file object with its links, as each client asks for it (section 4.3).
pub async fn ask(api: &Api, id: &NodeId) -> Result<Value> {
    let platform = api.identity.platform;
    let mut call = Call::get("download_link", file_path(id)).query("space", "");
    if platform.is_web() {
        call = call.query("usage", "FETCH").query("_magic", "2021");
    } else if platform.is_browser() {
        call = call
            .query("_magic", "2021")
            .query("with", "url")
            .query("thumbnail_size", "SIZE_LARGE");
    }
    let file = api.call(call).await?;
    if decode::flag(&file["trashed"]) {
        return Err(DriveError::not_found(format!("file {id}")));
    }
    Ok(file)
}

/// The error of a file without a link.
pub fn none() -> DriveError {
    DriveError::new(
        ErrorKind::Provider,
        "the provider gives no download link for this file",
    )
    .retry(Retry::Backoff)
}

/// A file that the service keeps from its owner has no link, and never will.
fn refusal(file: &Value) -> Option<DriveError> {
    let audit = &file["audit"];
    let status = decode::nonempty(&audit["status"]).filter(|status| status != "STATUS_OK")?;
    let message = decode::nonempty(&audit["message"]).unwrap_or(status);
    let message: String = message.chars().take(120).collect();
    Some(DriveError::new(
        ErrorKind::Provider,
        format!("the provider withholds this file: {message}"),
    ))
}

/// The link to the exact bytes: that of the file's own type, the plain one, or a media entry of
/// the original.
pub fn link_of(file: &Value, now: i64) -> Option<Link> {
    const NONE: &Value = &Value::Null;
    let mime = decode::nonempty(&file["mime_type"]);
    let original = mime
        .iter()
        .map(String::as_str)
        .chain(["application/octet-stream"])
        .map(|mime| &file["links"][mime])
        .find(|link| link.is_object());
    let only = file["links"]
        .as_object()
        .filter(|links| links.len() == 1)
        .and_then(|links| links.values().next());
    let original = original.or(only).unwrap_or(NONE);
    let media = decode::list(&file["medias"])
        .iter()
        .find(|media| decode::flag(&media["is_origin"]))
        .map_or(NONE, |media| &media["link"]);
    let (url, told) = [
        (&original["url"], &original["expire"]),
        (&file["web_content_link"], NONE),
        (&media["url"], &media["expire"]),
    ]
    .into_iter()
    .find_map(|(url, told)| Some((decode::nonempty(url)?, told)))?;
    let in_url = reqwest::Url::parse(&url).ok().and_then(|url| {
        let (_, seconds) = url.query_pairs().find(|(key, _)| key == "e")?;
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
    fn the_link_of_the_type_comes_first_with_its_end() {
        // The sample of section 4.3: both ends are the same second.
        let file = json!({
            "web_content_link": "https://vip/download/?fid=F1&g=3F&e=1790000000",
            "links": {"application/octet-stream": {"url": "https://vip/o?fid=F1&e=1790000000",
                "token": "", "expire": "2026-09-21T22:13:20.000+08:00"}}});
        let link = link_of(&file, 0).unwrap();
        assert_eq!(link.url, "https://vip/o?fid=F1&e=1790000000");
        assert_eq!(link.expires, 1_790_000_000_000);
        let other = json!({"mime_type": "video/mp4", "links": {
            "video/mp4": {"url": "https://v/1"}, "application/octet-stream": {"url": "https://v/2"}}});
        assert_eq!(link_of(&other, 0).unwrap().url, "https://v/1");
        let only = json!({"links": {"text/plain": {"url": "https://v/3",
            "expire": "1970-01-01T00:00:05.000Z"}}});
        assert_eq!(link_of(&only, 0).unwrap().expires, 5000);
    }

    #[test]
    fn the_earlier_end_counts() {
        let file = json!({"links": {"application/octet-stream": {
            "url": "https://vip/o?e=1790000000", "expire": "1970-01-01T00:00:09.000Z"}}});
        assert_eq!(link_of(&file, 0).unwrap().expires, 9000);
    }

    #[test]
    fn the_plain_link_and_none() {
        let file = json!({"links": {}, "web_content_link": "https://dl/?e=1790000000"});
        assert_eq!(link_of(&file, 0).unwrap().expires, 1_790_000_000_000);
        let file = json!({"links": null, "web_content_link": "https://dl/x"});
        assert_eq!(link_of(&file, 5).unwrap().expires, 5 + UNKNOWN_LIFE_MS);
        // What an archive answers.
        let empty = json!({"links": {"application/zip": {"url": ""}}, "web_content_link": ""});
        assert_eq!(link_of(&empty, 0), None);
    }

    #[test]
    fn only_originals_of_the_media_count() {
        let link = json!({"url": "https://vod/x"});
        let file = json!({"medias": [{"is_origin": false, "link": link}]});
        assert_eq!(link_of(&file, 0), None);
        let file = json!({"medias": [{"is_origin": true, "link": link}]});
        assert_eq!(link_of(&file, 0).unwrap().url, "https://vod/x");
    }

    #[test]
    fn a_withheld_file_says_so() {
        assert!(refusal(&json!({"audit": {"status": "STATUS_OK"}})).is_none());
        assert!(refusal(&json!({})).is_none());
        let error = refusal(&json!({"audit": {"status": "STATUS_BLOCK", "message": "no"}}));
        assert!(error.unwrap().message.ends_with(": no"));
    }
}
