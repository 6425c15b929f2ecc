//! Download links, ranged reads, and the MD5 that comes with a download (sheet sections 5.1, 8).

use std::ops::Range;
use std::sync::Arc;

use futures_util::StreamExt;
use moka::sync::Cache;
use reqwest::header::HeaderMap;

use super::answer::judge;
use super::api::Api;
use super::list;
use crate::drive::{
    AccountEffect, ByteStream, DriveError, ErrorKind, Node, NodeId, Ranged, Result, decode,
    get_range, patience,
};
use crate::fingerprint::{Known, Origin, md5_from_base64};
use crate::net::{Request, Response, Retry, retry};

/// A link is not used in its last minutes.
const MARGIN_MS: i64 = 10 * 60_000;

/// Eight hours (section 8).
const LINK_LIFE_MS: i64 = 8 * 3_600_000;

/// The address a link leads to is used this long (section 8).
const CDN_LIFE_MS: i64 = 3_600_000;

/// Longer ranges are asked for in pieces: a server was seen to cut them here (section 8).
const WINDOW: u64 = 16 << 20;

/// Redirects until a link must answer.
const HOPS: u32 = 4;

/// What names the bytes of a node.
type Key = (NodeId, String);

/// Links and MD5s by node.
pub struct Links {
    by_file: Cache<Key, Link>,
    md5: Cache<Key, Known>,
}

#[derive(Clone)]
struct Link {
    dlink: String,
    /// Not used from here on, milliseconds.
    until: i64,
    /// Where the link leads to, and until when that is used.
    cdn: Option<(String, i64)>,
}

/// What was tried to get an answer.
#[derive(Default)]
struct Tries {
    hops: u32,
    fresh_link: bool,
    fresh_token: bool,
}

fn key(node: &Node) -> Key {
    (node.id.clone(), node.version.clone())
}

impl Links {
    pub fn new() -> Self {
        Links {
            by_file: Cache::new(10_000),
            md5: Cache::new(100_000),
        }
    }

    /// The bytes of a range of at most [`WINDOW`].
    async fn window(&self, api: &Api, node: &Node, range: &Range<u64>) -> Result<ByteStream> {
        let mut tries = Tries::default();
        loop {
            let request = self.request(api, node).await?;
            match get_range(&api.client, request, range).await? {
                Ranged::Body(stream) => return Ok(stream),
                Ranged::Refused(response) => {
                    self.refused(api, node, response, &mut tries).await?;
                }
            }
        }
    }

    /// The MD5 of the whole file that the service tells with a download (section 5.1). `None`
    /// when it does not: the listed hash is no stand-in.
    pub async fn md5(&self, api: &Api, node: &Node) -> Result<Option<Known>> {
        if node.is_dir() || node.size == 0 {
            return Ok(None);
        }
        if let Some(known) = self.md5.get(&key(node)) {
            return Ok(Some(known));
        }
        let told = retry(patience(), || async {
            let mut tries = Tries::default();
            loop {
                let request = self.request(api, node).await?.range(&(0..1));
                let response = api.client.send(request).await?;
                if response.status.is_success() {
                    let told = response.header("content-md5").and_then(md5_from_base64);
                    return Ok::<_, DriveError>(told);
                }
                self.refused(api, node, response, &mut tries).await?;
            }
        })
        .await?;
        let Some(value) = told else { return Ok(None) };
        let known = Known {
            value: value.into(),
            origin: Origin::Provider,
            provider: super::INFO.key.into(),
            at: api.now_ms(),
        };
        self.md5.insert(key(node), known.clone());
        Ok(Some(known))
    }

    /// A request to where the bytes are: the kept address, or the link, which wants to be signed.
    async fn request(&self, api: &Api, node: &Node) -> Result<Request> {
        let link = self.link(api, node).await?;
        let now = api.now_ms();
        if let Some((url, _)) = link.cdn.filter(|(_, until)| *until > now) {
            return Ok(Request::get("download", url).class("download"));
        }
        let proof = api.access.current().await?;
        let request = Request::get("download", link.dlink).class("download");
        Ok(if api.access.is_cookie() {
            request.header("cookie", proof.expose())
        } else {
            api.access.sign(request, &proof)
        })
    }

    async fn link(&self, api: &Api, node: &Node) -> Result<Link> {
        let now = api.now_ms();
        if let Some(link) = self.by_file.get(&key(node)).filter(|link| link.until > now) {
            return Ok(link);
        }
        let item = retry(patience(), || {
            list::metas(api, &node.id, "download_link", true)
        })
        .await?
        .ok_or_else(|| DriveError::not_found(format!("file {}", node.id)))?;
        if decode::unsigned(&item["size"]).is_some_and(|size| size != node.size) {
            return Err(DriveError::new(
                ErrorKind::Changed,
                "download: the file has another size by now",
            ));
        }
        let dlink = decode::nonempty(&item["dlink"])
            .ok_or_else(|| DriveError::bad_answer("download_link", "no dlink"))?;
        let link = Link {
            dlink,
            until: now.saturating_add(LINK_LIFE_MS - MARGIN_MS),
            cdn: None,
        };
        self.by_file.insert(key(node), link.clone());
        Ok(link)
    }

    /// What to make of an answer that is not the bytes: `Ok` when it is worth another request.
    async fn refused(
        &self,
        api: &Api,
        node: &Node,
        response: Response,
        tries: &mut Tries,
    ) -> Result<()> {
        let status = response.status.as_u16();
        if (300..400).contains(&status) && tries.hops < HOPS {
            tries.hops += 1;
            return self.follow(api, node, &response);
        }
        let headers = response.headers.clone();
        let body = response.bytes(16 << 10).await.unwrap_or_default();
        let error = download_error(status, &headers, &body);
        api.note(&error);
        let code = error.code.as_deref().unwrap_or_default();
        let of_the_link = matches!(code, "31360" | "31362" | "31626" | "31066")
            || error.account == AccountEffect::Refresh
            || (code.is_empty() && matches!(status, 401 | 403 | 404 | 410));
        if !of_the_link {
            return Err(error);
        }
        self.by_file.invalidate(&key(node));
        if !tries.fresh_link {
            tries.fresh_link = true;
            return Ok(());
        }
        if error.account == AccountEffect::Refresh && !tries.fresh_token {
            tries.fresh_token = true;
            let stale = api.access.current().await?;
            api.access.renew(&stale).await?;
            return Ok(());
        }
        Err(error)
    }

    /// Remembers where a link leads to.
    fn follow(&self, api: &Api, node: &Node, response: &Response) -> Result<()> {
        let target = response
            .header("location")
            .and_then(|to| reqwest::Url::parse(response.url()).ok()?.join(to).ok())
            .ok_or_else(|| DriveError::bad_answer("download", "a redirect to nowhere"))?;
        let now = api.now_ms();
        if let Some(mut link) = self.by_file.get(&key(node)) {
            link.cdn = Some((
                target.into(),
                now.saturating_add(CDN_LIFE_MS).min(link.until),
            ));
            self.by_file.insert(key(node), link);
        }
        Ok(())
    }
}

/// The error of a refused download: with a code of the service or without (section 8).
fn download_error(status: u16, headers: &HeaderMap, body: &[u8]) -> DriveError {
    if let Err(error) = judge("download", status, headers, body)
        && error.code.is_some()
    {
        return error;
    }
    let (kind, again) = match status {
        404 | 410 => (ErrorKind::NotFound, Retry::Never),
        416 => (ErrorKind::Changed, Retry::Never),
        429 => (ErrorKind::RateLimited, Retry::Backoff),
        408 | 500..=599 => (ErrorKind::Provider, Retry::Backoff),
        _ => (ErrorKind::Provider, Retry::Never),
    };
    DriveError::new(kind, format!("download: HTTP {status}")).retry(again)
}

/// What a stream needs to go on.
pub struct Source {
    pub api: Api,
    pub links: Links,
}

/// The bytes of `range`, asked for in windows one after the other.
pub async fn read(source: &Arc<Source>, node: &Node, range: Range<u64>) -> Result<ByteStream> {
    let end = |start: u64| start.saturating_add(WINDOW).min(range.end);
    let first = range.start..end(range.start);
    let stream = source.links.window(&source.api, node, &first).await?;
    if first.end == range.end {
        return Ok(stream);
    }
    let state = Some(Windows {
        source: source.clone(),
        node: node.clone(),
        stream,
        at: range.start,
        window_end: first.end,
        end: range.end,
    });
    Ok(Box::pin(futures_util::stream::unfold(
        state,
        |state| async move {
            let mut windows = state?;
            match windows.next().await {
                Some(Ok(piece)) => Some((Ok(piece), Some(windows))),
                Some(Err(error)) => Some((Err(error), None)),
                None => None,
            }
        },
    )))
}

struct Windows {
    source: Arc<Source>,
    node: Node,
    stream: ByteStream,
    at: u64,
    window_end: u64,
    end: u64,
}

impl Windows {
    async fn next(&mut self) -> Option<Result<bytes::Bytes>> {
        loop {
            match self.stream.next().await {
                Some(Ok(piece)) => {
                    self.at = self.at.saturating_add(piece.len() as u64);
                    return Some(Ok(piece));
                }
                Some(Err(error)) => return Some(Err(error)),
                None if self.at < self.window_end => {
                    return Some(Err(DriveError::new(
                        ErrorKind::Network,
                        "download: the answer ended early",
                    )
                    .retry(Retry::Backoff)));
                }
                None if self.at >= self.end => return None,
                None => {}
            }
            self.window_end = self.at.saturating_add(WINDOW).min(self.end);
            let range = self.at..self.window_end;
            // The old answer's place in the budget is free before the next is asked for.
            self.stream = Box::pin(futures_util::stream::empty());
            let source = &self.source;
            match source.links.window(&source.api, &self.node, &range).await {
                Ok(stream) => self.stream = stream,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_downloads_say_what_to_do() {
        let of = |status, body: &str| download_error(status, &HeaderMap::new(), body.as_bytes());
        let link = of(403, r#"{"error_code":31360,"error_msg":"url expired"}"#);
        assert_eq!(link.code.as_deref(), Some("31360"));
        let token = of(
            403,
            r#"{"error_code":31626,"error_msg":"user is not authorized"}"#,
        );
        assert_eq!(token.account, AccountEffect::Refresh);
        assert_eq!(of(503, "<html>").retry, Retry::Backoff);
        assert_eq!(of(416, "").kind, ErrorKind::Changed);
        // The wall of a download host says nothing about the account.
        assert_eq!(of(403, "<html>").account, AccountEffect::None);
        assert_eq!(of(404, "").kind, ErrorKind::NotFound);
    }
}
