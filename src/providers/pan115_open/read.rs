//! Download links and ranged reads (sheet sections 4.4 and 8).

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use moka::sync::Cache;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::door::Door;
use super::nodes;
use crate::drive::{
    ByteStream, DriveError, ErrorKind, Node, NodeId, Ranged, Result, decode, get_range,
};
use crate::net::{Request, Retry, Secret};

/// Links by file id. Asking often is a risk signal, so they are kept until they expire.
pub struct Links {
    by_file: Cache<NodeId, Link>,
}

#[derive(Clone)]
struct Link {
    url: String,
    /// Milliseconds.
    expires: i64,
    /// For links that want back what their answer set.
    cookies: Option<Secret>,
    /// The connections this link allows at a time.
    slots: Option<Arc<Semaphore>>,
}

/// The sheet wants 10 s; a range that starts must also be answered.
const MARGIN_MS: i64 = 30_000;

/// How long a link without an expiry is trusted.
const UNKNOWN_LIFE_MS: i64 = 5 * 60_000;

/// How long a read waits for one of the link's connections.
const SLOT_WAIT: Duration = Duration::from_secs(30);

impl Links {
    pub fn new() -> Self {
        Links {
            by_file: Cache::new(10_000),
        }
    }

    pub async fn read(
        &self,
        door: &dyn Door,
        node: &Node,
        range: Range<u64>,
    ) -> Result<ByteStream> {
        let mut renewed = false;
        loop {
            let link = self.link(door, node).await?;
            let slot = match &link.slots {
                None => None,
                Some(slots) => {
                    let wait = tokio::time::timeout(SLOT_WAIT, slots.clone().acquire_owned());
                    match wait.await {
                        Ok(slot) => slot.ok(),
                        Err(_) => {
                            return Err(DriveError::new(
                                ErrorKind::RateLimited,
                                "download: every connection of this file is in use",
                            )
                            .retry(Retry::Backoff));
                        }
                    }
                }
            };
            let mut request = Request::get("download", &link.url).class("download");
            if let Some(cookies) = &link.cookies {
                request = request.header("cookie", cookies.expose());
            }
            let refused = match get_range(door.client(), request, &range).await? {
                Ranged::Body(stream) => {
                    return Ok(Box::pin(stream.map(move |piece| {
                        let _held_to_the_end = &slot;
                        piece
                    })));
                }
                Ranged::Refused(response) => response,
            };
            let status = refused.status.as_u16();
            drop(refused);
            drop(slot);
            self.by_file.invalidate(&node.id);
            if matches!(status, 401 | 403 | 404 | 410) && !renewed {
                renewed = true;
                // Too many connections look like an expired link: a moment, then a new one.
                tokio::time::sleep(Duration::from_millis(500)).await;
                continue;
            }
            let (kind, again) = match status {
                404 | 410 => (ErrorKind::NotFound, Retry::Never),
                403 | 429 => (ErrorKind::RateLimited, Retry::Backoff),
                416 => (ErrorKind::Changed, Retry::Never),
                500..=599 => (ErrorKind::Provider, Retry::Backoff),
                _ => (ErrorKind::Provider, Retry::Never),
            };
            return Err(DriveError::new(kind, format!("download: HTTP {status}")).retry(again));
        }
    }

    async fn link(&self, door: &dyn Door, node: &Node) -> Result<Link> {
        let now = door.client().clock().now_ms();
        if let Some(link) = self
            .by_file
            .get(&node.id)
            .filter(|link| link.expires.saturating_sub(MARGIN_MS) > now)
        {
            return Ok(link);
        }
        let pick_code = match node.handle.clone().filter(|code| !code.is_empty()) {
            Some(code) => code,
            None => nodes::stat(door, &node.id)
                .await?
                .handle
                .ok_or_else(|| DriveError::bad_answer("stat", "no pick_code"))?,
        };
        let address = door.link(&node.id, &pick_code).await?;
        let url = address.url;
        let link = Link {
            expires: parameter(&url, "t")
                .and_then(|t| t.parse::<i64>().ok())
                .and_then(|t| t.checked_mul(1000))
                .unwrap_or(now.saturating_add(UNKNOWN_LIFE_MS)),
            // 0 means unlimited.
            slots: parameter(&url, "c")
                .and_then(|c| c.parse::<usize>().ok())
                .filter(|c| (1..=64).contains(c))
                .map(|c| Arc::new(Semaphore::new(c))),
            // The account's own cookies go nowhere else, and these only where they are wanted.
            cookies: address
                .cookies
                .filter(|_| parameter(&url, "f").as_deref() == Some("3")),
            url,
        };
        self.by_file.insert(node.id.clone(), link.clone());
        Ok(link)
    }
}

/// The link of a file: entries are keyed by file id, the address is nested, or `false` and
/// `[]` where there is none.
pub fn link_of(data: &Value, id: &NodeId) -> Option<String> {
    let entry = match data {
        Value::Object(entries) => entries
            .get(id.as_str())
            .or_else(|| entries.values().find(|entry| entry.is_object()))?,
        Value::Array(entries) => entries.first()?,
        _ => return None,
    };
    decode::nonempty(&entry["url"]["url"])
        .or_else(|| decode::nonempty(&entry["url"]))
        .filter(|url| url.starts_with("http"))
}

/// A query parameter of an address.
fn parameter(url: &str, name: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).ok()?;
    let found = url.query_pairs().find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_link_of_the_sheet() {
        let url = "https://cdnfhnfile.115cdn.net/abc/hello.txt?t=1706694430&u=1&c=2&f=1&k=01";
        let data = json!({"2999000111222333444":{"file_name":"hello.txt","url":{"url":url}}});
        let id = NodeId::new("2999000111222333444");
        assert_eq!(link_of(&data, &id).as_deref(), Some(url));
        assert_eq!(parameter(url, "t").as_deref(), Some("1706694430"));
        assert_eq!(parameter(url, "c").as_deref(), Some("2"));
        assert_eq!(parameter(url, "zz"), None);
        for none in [json!(false), json!([]), json!({})] {
            let data = json!({"2999000111222333444":{"url":none}});
            assert_eq!(link_of(&data, &id), None);
        }
        assert_eq!(link_of(&json!([]), &id), None);
    }
}
