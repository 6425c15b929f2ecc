//! Download links and ranged reads (sheet sections 4.5 and 8.1).

use std::ops::Range;
use std::time::Duration;

use moka::sync::Cache;

use super::answer::seconds;
use super::api::{Api, Repeat};
use super::list::number;
use crate::drive::{
    ByteStream, DriveError, ErrorKind, Node, NodeId, Ranged, Result, decode, get_range,
};
use crate::net::{Request, Retry};

/// Links by file id, kept until they expire.
pub struct Links {
    by_file: Cache<NodeId, Link>,
}

#[derive(Clone)]
struct Link {
    url: String,
    /// Not used from here on, milliseconds since the epoch.
    until: i64,
}

/// A link is not used in its last minute.
const MARGIN_MS: i64 = 60_000;
/// One client documents four hours.
const LIFE_MS: i64 = 4 * 3_600_000;

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
            // No Authorization and no Platform; the hosts vary and may redirect.
            let request = Request::get("download", &link.url)
                .class("download")
                .follow_redirects();
            let refused = match get_range(&api.client, request, &range).await? {
                Ranged::Body(stream) => return Ok(stream),
                Ranged::Refused(response) => response,
            };
            let status = refused.status.as_u16();
            let pause = refused.header("retry-after").and_then(seconds);
            if matches!(status, 400..=499) && status != 429 {
                self.by_file.invalidate(&node.id);
                if !renewed {
                    renewed = true;
                    continue;
                }
            }
            return Err(refusal(status, pause));
        }
    }

    async fn link(&self, api: &Api, node: &Node) -> Result<Link> {
        let now = api.client.clock().now_ms();
        if let Some(link) = self.by_file.get(&node.id).filter(|l| l.until > now) {
            return Ok(link);
        }
        let request = api
            .get("download_link", "link", "/api/v1/file/download_info")
            .query("fileId", &number(&node.id)?.to_string());
        let answer = api.call(Repeat::Safe, request).await?;
        let url = decode::nonempty(&answer["downloadUrl"])
            .ok_or_else(|| DriveError::bad_answer("download_link", "no downloadUrl"))?;
        let until = usable_until(&url, now);
        let link = Link { url, until };
        self.by_file.insert(node.id.clone(), link.clone());
        Ok(link)
    }
}

/// How long a link is used. Its `t` looks like the expiry, which nobody confirms: a `t` in the
/// future is taken for it, one in the past for the time of issue. A link that dies earlier is
/// renewed when it is refused.
fn usable_until(url: &str, now: i64) -> i64 {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let t = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("t="))
        .and_then(|t| t.parse::<i64>().ok())
        .and_then(|seconds| seconds.checked_mul(1000));
    let most = now.saturating_add(LIFE_MS);
    let end = match t {
        Some(t) if t > now => t.min(most),
        _ => most,
    };
    end.saturating_sub(MARGIN_MS)
}

fn refusal(status: u16, pause: Option<Duration>) -> DriveError {
    let (kind, again) = match status {
        404 | 410 => (ErrorKind::NotFound, Retry::Never),
        429 => (
            ErrorKind::RateLimited,
            pause.map_or(Retry::Backoff, Retry::After),
        ),
        500..=599 => (ErrorKind::Provider, Retry::Backoff),
        _ => (ErrorKind::Provider, Retry::Never),
    };
    DriveError::new(kind, format!("download: HTTP {status}")).retry(again)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_767_000_000_000;

    #[test]
    fn a_time_in_the_link_is_its_end_when_it_lies_ahead() {
        let soon = NOW / 1000 + 600;
        let url = format!("https://x/f?v=5&t={soon}&s=0a&filename=a");
        assert_eq!(usable_until(&url, NOW), soon * 1000 - MARGIN_MS);
    }

    #[test]
    fn otherwise_a_link_lives_four_hours() {
        let most = NOW + LIFE_MS - MARGIN_MS;
        for url in [
            "https://x/f",
            "https://x/f?t=1",
            "https://x/f?t=abc",
            "https://x/f?t=9223372036854775807",
            "https://x/f?t=99999999999",
        ] {
            assert_eq!(usable_until(url, NOW), most, "{url}");
        }
    }

    #[test]
    fn refusals_say_whether_to_try_again() {
        assert_eq!(refusal(404, None).kind, ErrorKind::NotFound);
        assert_eq!(refusal(503, None).retry, Retry::Backoff);
        assert_eq!(refusal(403, None).retry, Retry::Never);
        let pause = Duration::from_secs(4);
        assert_eq!(refusal(429, Some(pause)).retry, Retry::After(pause));
    }
}
