//! Download links and ranged reads (sheet sections 4.3 and 8).

use std::ops::Range;

use moka::sync::Cache;
use serde_json::{Value, json};

use super::api::{Api, Call};
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

/// A link is not used in its last seconds: a range that starts must also be answered.
const MARGIN_MS: i64 = 30_000;

/// The life of a link that does not tell it (six hours is usual, section 8).
const UNKNOWN_LIFE_MS: i64 = 600_000;

impl Links {
    pub fn new() -> Self {
        Links {
            by_file: Cache::new(10_000),
        }
    }

    pub async fn read(&self, api: &Api, node: &Node, range: Range<u64>) -> Result<ByteStream> {
        if node.size == 0 || range.is_empty() {
            // An empty file may have no link.
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
            let wait = refused.retry_after().map_or(Retry::Backoff, Retry::After);
            self.by_file.invalidate(&node.id);
            if matches!(status, 401 | 403 | 404 | 410) && !renewed {
                renewed = true;
                continue;
            }
            let (kind, again) = match status {
                404 | 410 => (ErrorKind::NotFound, Retry::Never),
                416 => (ErrorKind::Changed, Retry::Never),
                429 | 503 => (ErrorKind::RateLimited, wait),
                500.. => (ErrorKind::Provider, wait),
                _ => (ErrorKind::Provider, Retry::Never),
            };
            return Err(DriveError::new(kind, format!("download: HTTP {status}")).retry(again));
        }
    }

    async fn link(&self, api: &Api, node: &Node) -> Result<Link> {
        let now = api.now();
        let kept = self.by_file.get(&node.id);
        if let Some(link) = kept.filter(|link| link.expires.saturating_sub(MARGIN_MS) > now) {
            return Ok(link);
        }
        let body = json!({ "fileId": node.id.as_str() });
        let call = Call::new("link", "/userres/v1/get_res_download_url", body);
        let data = api.call(call).await?;
        let link = link_of(&data, now).ok_or_else(|| {
            DriveError::new(
                ErrorKind::Provider,
                "the provider gives no download link for this file",
            )
            .retry(Retry::Backoff)
        })?;
        self.by_file.insert(node.id.clone(), link.clone());
        Ok(link)
    }
}

/// The link of an answer, under whichever name it comes, and its end: the earlier one where both
/// the answer and the address tell it.
fn link_of(data: &Value, now: i64) -> Option<Link> {
    let url = ["signedURL", "signedUrl", "downloadUrl", "downloadURL"]
        .into_iter()
        .find_map(|key| decode::nonempty(&data[key]))?;
    let told = decode::integer(&data["urlDuration"])
        .filter(|seconds| *seconds > 0)
        .and_then(|seconds| seconds.checked_mul(1000)?.checked_add(now));
    let in_url = reqwest::Url::parse(&url).ok().and_then(|url| {
        let (_, seconds) = url.query_pairs().find(|(key, _)| key == "Expires")?;
        seconds.parse::<i64>().ok()?.checked_mul(1000)
    });
    let expires = match (told, in_url) {
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

    #[test]
    fn a_link_ends_when_the_earlier_of_two_words_says() {
        let data = json!({"signedURL":"https://dl/obj?Expires=1788900000&Signature=x",
            "urlDuration":21600,"speedupSignature":"y"});
        let now = 1_788_900_000_000 - 60_000;
        assert_eq!(link_of(&data, now).unwrap().expires, 1_788_900_000_000);
        assert_eq!(link_of(&data, 0).unwrap().expires, 21_600_000);
    }

    #[test]
    fn links_have_four_names_and_none_is_the_speedup() {
        for key in ["signedURL", "signedUrl", "downloadUrl", "downloadURL"] {
            let link = link_of(&json!({ key: "https://dl/x" }), 5).unwrap();
            assert_eq!(link.url, "https://dl/x");
            assert_eq!(link.expires, 5 + UNKNOWN_LIFE_MS);
        }
        assert_eq!(link_of(&json!({"speedupSignature":"https://x"}), 0), None);
        assert_eq!(link_of(&json!({"signedURL":""}), 0), None);
    }
}
