//! Download links and ranged reads (sheet sections 4.6 and 8).

use std::ops::Range;

use moka::sync::Cache;
use serde_json::json;

use super::api::{Api, Repeat};
use crate::drive::{
    ByteStream, DriveError, ErrorKind, Node, NodeId, Ranged, Result, decode, get_range,
};
use crate::net::{Request, Retry};

/// Links by file id. Asking for one is limited to about one a second, so they are kept until
/// they expire.
pub struct Links {
    by_file: Cache<NodeId, Link>,
}

#[derive(Clone)]
struct Link {
    url: String,
    expires: i64,
}

/// A link is not used in its last minute.
const MARGIN_MS: i64 = 60_000;

impl Links {
    pub fn new() -> Self {
        Links {
            by_file: Cache::new(10_000),
        }
    }

    pub async fn read(&self, api: &Api, node: &Node, range: Range<u64>) -> Result<ByteStream> {
        let mut renewed = false;
        loop {
            let link = self.link(api, node).await?;
            // Harmless for links of the open API, required for the other kind (section 8).
            let request = Request::get("download", &link.url)
                .header("referer", "https://www.aliyundrive.com/")
                .class("download");
            let refused = match get_range(&api.client, request, &range).await? {
                Ranged::Body(stream) => return Ok(stream),
                Ranged::Refused(response) => response,
            };
            let status = refused.status.as_u16();
            let text = refused.bytes(16 << 10).await.unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            if status == 403 && text.contains("ExceedMaxConcurrency") {
                return Err(DriveError::new(
                    ErrorKind::RateLimited,
                    "download: too many connections to this account",
                )
                .code("ExceedMaxConcurrency")
                .retry(Retry::Backoff));
            }
            self.by_file.invalidate(&node.id);
            if matches!(status, 401 | 403 | 404) && !renewed {
                renewed = true;
                continue;
            }
            let kind = if status == 404 {
                ErrorKind::NotFound
            } else {
                ErrorKind::Provider
            };
            let again = if status >= 500 {
                Retry::Backoff
            } else {
                Retry::Never
            };
            return Err(DriveError::new(kind, format!("download: HTTP {status}")).retry(again));
        }
    }

    async fn link(&self, api: &Api, node: &Node) -> Result<Link> {
        let now = api.client.clock().now_ms();
        if let Some(link) = self
            .by_file
            .get(&node.id)
            .filter(|l| l.expires - MARGIN_MS > now)
        {
            return Ok(link);
        }
        let body = json!({
            "drive_id": api.drive_id().await?,
            "file_id": node.id.as_str(),
            "expire_sec": 14_400,
        });
        let path = "/adrive/v1.0/openFile/getDownloadUrl";
        let answer = api
            .call("download_link", path, "link", Repeat::Safe, &body)
            .await?;
        let url = decode::nonempty(&answer["url"]).ok_or_else(|| {
            DriveError::new(
                ErrorKind::Unsupported,
                "this file has no single download link",
            )
        })?;
        let expires = decode::rfc3339_ms(&answer["expiration"]).unwrap_or(now + 900_000);
        let link = Link { url, expires };
        self.by_file.insert(node.id.clone(), link.clone());
        Ok(link)
    }
}
