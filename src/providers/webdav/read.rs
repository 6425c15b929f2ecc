//! Reading ranges. A server that ignores `Range`, or whose file is another one by now, must not put
//! the wrong bytes where they are read.

use std::ops::Range;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use reqwest::header::HeaderMap;

use super::api::{Api, Call};
use super::error::Wanted;
use super::list::{self, BY_TIME};
use crate::drive::{ByteStream, DriveError, ErrorKind, Node, Result, patience};
use crate::net::{Deadlines, Response, Retry, retry};

/// The bytes of `range`, which is inside the file and not empty.
pub async fn read(api: &Api, node: &Node, range: Range<u64>) -> Result<ByteStream> {
    let last = range.end.saturating_sub(1);
    let url = api.base.url(node.id.as_str(), false);
    let call = Call::new("download", Wanted::Bytes, "GET", url)
        .class("download")
        .deadlines(Deadlines::DATA)
        .header("range", &format!("bytes={}-{last}", range.start))
        .plain();
    let response = retry(patience(), || async {
        let response = api.once(&call, &[200, 206]).await?;
        check(api, node, &range, Head::of(&response)).await?;
        Ok::<_, DriveError>(response)
    })
    .await?;
    Ok(exactly(response, range.end.saturating_sub(range.start)))
}

/// What an answer says of its body.
struct Head {
    /// 206, or all of it.
    partial: bool,
    length: Option<u64>,
    headers: HeaderMap,
}

impl Head {
    fn of(response: &Response) -> Head {
        Head {
            partial: response.status.as_u16() == 206,
            length: response.content_length(),
            headers: response.headers.clone(),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Makes sure that the answer is the range of the file that is meant.
async fn check(api: &Api, node: &Node, range: &Range<u64>, head: Head) -> Result<()> {
    let total = if head.partial {
        let told = head.header("content-range").and_then(content_range);
        if told.is_some_and(|(start, _)| start != range.start) {
            return Err(DriveError::bad_answer(
                "download",
                "another range than asked for",
            ));
        }
        told.and_then(|(_, total)| total)
    } else if range.start == 0 {
        head.length
    } else {
        return Err(DriveError::bad_answer(
            "download",
            "the server ignores ranges",
        ));
    };
    if total.is_some_and(|total| total != node.size) {
        return Err(changed(node));
    }
    if api.odd_etags.load(Ordering::Relaxed) || !differs(node, &head) {
        return Ok(());
    }
    // Another tag: the file changed, or this server makes its tags in two ways.
    let now = list::stat(api, &node.id).await?;
    if now.version != node.version || now.size != node.size {
        return Err(changed(node));
    }
    api.odd_etags.store(true, Ordering::Relaxed);
    Ok(())
}

/// Whether an answer has another version than the node, as far as it tells.
fn differs(node: &Node, head: &Head) -> bool {
    if node.version.starts_with(BY_TIME) {
        let time = head.header("last-modified").and_then(list::time_ms);
        return time.is_some_and(|time| node.modified != 0 && time != node.modified);
    }
    head.header("etag")
        .map(list::bare_etag)
        .is_some_and(|tag| !tag.is_empty() && tag != node.version)
}

/// First byte and total of `bytes 0-9/100`.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes")?.trim().split_once('/')?;
    let start = range.split('-').next()?.trim().parse().ok()?;
    Some((start, total.trim().parse().ok()))
}

fn changed(node: &Node) -> DriveError {
    DriveError::new(
        ErrorKind::Changed,
        format!("{} changed while it was read", list::shown(&node.id)),
    )
}

/// The first `length` bytes of a body; an error when there are fewer.
fn exactly(response: Response, length: u64) -> ByteStream {
    let state = (response.stream(), length);
    Box::pin(futures_util::stream::unfold(
        state,
        |(mut stream, left)| async move {
            if left == 0 {
                return None;
            }
            match stream.next().await {
                Some(Ok(mut piece)) => {
                    piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                    let left = left.saturating_sub(piece.len() as u64);
                    Some((Ok(piece), (stream, left)))
                }
                // Nothing follows an error.
                Some(Err(error)) => Some((Err(error.into()), (stream, 0))),
                None => {
                    let error = DriveError::new(
                        ErrorKind::Network,
                        format!("download: the answer ended {left} bytes early"),
                    );
                    Some((Err(error.retry(Retry::Backoff)), (stream, 0)))
                }
            }
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        assert_eq!(content_range("bytes 5-9/100"), Some((5, Some(100))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        assert_eq!(content_range("bytes */100"), None);
        assert_eq!(content_range("5-9"), None);
    }
}
