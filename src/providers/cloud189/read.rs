//! Download links and ranged reads (sheet sections 4.3 and 8): a call names an address, which
//! redirects to the object store; that last address is kept until it expires.

use std::ops::Range;

use moka::sync::Cache;
use reqwest::Url;
use serde_json::Value;

use super::api::{Api, Call};
use crate::drive::{
    ByteStream, DriveError, ErrorKind, Node, NodeId, Ranged, Result, decode, get_range, patience,
};
use crate::net::{Client, Request, Retry, retry};

/// Links by file id, kept until they expire.
pub struct Links {
    by_file: Cache<NodeId, Link>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    url: String,
    /// Milliseconds since the epoch.
    expires: i64,
}

/// A link is not used in its last half minute.
const MARGIN_MS: i64 = 30_000;

/// The life of a link that does not tell it ("minutes to hours", section 8).
const UNKNOWN_LIFE_MS: i64 = 300_000;

impl Links {
    pub fn new() -> Self {
        Links {
            by_file: Cache::new(10_000),
        }
    }

    /// The bytes of `range`; `ask` names the address when no link is kept.
    pub async fn read<F>(
        &self,
        client: &Client,
        node: &Node,
        range: Range<u64>,
        ask: impl Fn() -> F + Send + Sync,
    ) -> Result<ByteStream>
    where
        F: Future<Output = Result<String>> + Send,
    {
        if node.size == 0 || range.is_empty() {
            return Ok(Box::pin(futures_util::stream::empty()));
        }
        let mut renewed = false;
        loop {
            let now = client.clock().now_ms();
            let kept = self.by_file.get(&node.id);
            let link = match kept.filter(|link| link.expires.saturating_sub(MARGIN_MS) > now) {
                Some(link) => link,
                None => {
                    let address = ask().await?;
                    let link = retry(patience(), || resolve(client, &address)).await?;
                    self.by_file.insert(node.id.clone(), link.clone());
                    link
                }
            };
            // Neither cookie nor session goes to the object store (section 8).
            let request = Request::get("download", &link.url)
                .class("download")
                .follow_redirects();
            let refused = match get_range(client, request, &range).await? {
                Ranged::Body(stream) => return Ok(stream),
                Ranged::Refused(response) => response,
            };
            let status = refused.status.as_u16();
            let wait = refused.retry_after().map_or(Retry::Backoff, Retry::After);
            self.by_file.invalidate(&node.id);
            let (kind, again) = match status {
                300..=399 | 400 | 401 | 403 | 404 | 410 if !renewed => {
                    renewed = true;
                    continue;
                }
                404 | 410 => (ErrorKind::NotFound, Retry::Never),
                416 => (ErrorKind::Changed, Retry::Never),
                429 => (ErrorKind::RateLimited, wait),
                500.. => (ErrorKind::Provider, wait),
                _ => (ErrorKind::Provider, Retry::Never),
            };
            return Err(DriveError::new(kind, format!("download: HTTP {status}")).retry(again));
        }
    }
}

/// The address for a file of one's own (section 4.3).
pub async fn address(api: &Api, node: &Node) -> Result<String> {
    let call = Call::get("download_link", "/getFileDownloadUrl.action")
        .query("fileId", node.id.as_str())
        .query("dt", "3")
        .query("flag", "1")
        .class("link");
    address_in(&api.call(call).await?)
}

/// The address in an answer. It is escaped as for XML, and plain http outside of this machine is
/// asked by https.
pub fn address_in(answer: &Value) -> Result<String> {
    decode::nonempty(&answer["fileDownloadUrl"])
        .map(|url| url.replace("&amp;", "&"))
        .ok_or_else(|| DriveError::bad_answer("download_link", "no fileDownloadUrl"))
}

/// Asks the address for the one in the object store, and reads off when that link ends.
async fn resolve(client: &Client, address: &str) -> Result<Link> {
    let mut url = Url::parse(address)
        .map_err(|_| DriveError::bad_answer("download_link", "an address that is none"))?;
    let request = Request::get("download_redirect", url.as_str()).class("link");
    let response = client.send(request).await?;
    let now = client.clock().now_ms();
    if response.status.is_redirection() {
        let to = response.header("location").unwrap_or_default();
        url = url
            .join(&to.replace("&amp;", "&"))
            .map_err(|_| DriveError::bad_answer("download_link", "a redirect to nowhere"))?;
        return Ok(link(url, now));
    }
    if response.status.is_success() {
        // No redirect: the address itself is the content's.
        return Ok(link(url, now));
    }
    let head = super::api::head_of(&response);
    let body = response.bytes(64 << 10).await?;
    match super::answer::judge("download_link", head, &body) {
        Ok(_) => Err(DriveError::bad_answer("download_link", "no redirect")),
        Err(error) if head.status == 404 && error.kind == ErrorKind::BadAnswer => {
            Err(DriveError::not_found("the file of this link"))
        }
        // A refused link is no block of the account.
        Err(error) if error.kind == ErrorKind::Risk => Err(DriveError::new(
            ErrorKind::Provider,
            format!("download_link: HTTP {}", head.status),
        )),
        Err(error) => Err(error),
    }
}

fn link(url: Url, now: i64) -> Link {
    let told = url.query_pairs().find_map(|(key, value)| {
        let is_end = key.to_ascii_lowercase().starts_with("expire")
            || key.eq_ignore_ascii_case("x-amz-expires");
        if !is_end {
            return None;
        }
        match value.parse::<i64>().ok()? {
            // A duration from now on.
            seconds @ 1..1_000_000_000 => now.checked_add(seconds * 1000),
            seconds @ 1_000_000_000..100_000_000_000 => Some(seconds * 1000),
            ms @ 100_000_000_000.. => Some(ms),
            _ => None,
        }
    });
    Link {
        expires: told.unwrap_or_else(|| now.saturating_add(UNKNOWN_LIFE_MS)),
        url: url.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_address_is_escaped() {
        let answer = json!({"fileDownloadUrl":"http://download.cloud.189.cn/f?dt=51&amp;expired=1&amp;sk=x"});
        assert_eq!(
            address_in(&answer).unwrap(),
            "http://download.cloud.189.cn/f?dt=51&expired=1&sk=x"
        );
        assert!(address_in(&json!({"fileDownloadUrl":null})).is_err());
    }

    #[test]
    fn the_end_of_a_link_is_in_its_query() {
        let of = |query: &str| {
            let url = Url::parse(&format!("https://store.example/o?{query}")).unwrap();
            link(url, 5_000).expires
        };
        assert_eq!(of("a=1&Expires=1773480000"), 1_773_480_000_000);
        assert_eq!(of("expire=1773480000"), 1_773_480_000_000);
        assert_eq!(of("expired=1773480000000"), 1_773_480_000_000);
        assert_eq!(of("x-amz-expires=60"), 65_000);
        assert_eq!(of("expires=soon"), 5_000 + UNKNOWN_LIFE_MS);
        assert_eq!(of("x=1"), 5_000 + UNKNOWN_LIFE_MS);
    }
}
