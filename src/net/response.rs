//! A response: head at once, body on demand.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, RETRY_AFTER};
use tokio::time::{Instant, Sleep};

use super::client::Exchange;
use super::{NetError, NetErrorKind, Permit, Retry, redact_text};

/// Pieces of a body. The idle deadline is inside; a body shorter than its `Content-Length`
/// ends with an error.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, NetError>> + Send>>;

/// The most that [`Response::json`] reads.
const JSON_LIMIT: usize = 16 * 1024 * 1024;

/// A response whose body is not read yet. The account's permit is held until the body is
/// read or dropped.
pub struct Response {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The operation's label.
    pub op: &'static str,
    url: String,
    /// Wall time when the head came, in milliseconds since the epoch.
    received_ms: i64,
    body: BodyReader,
}

impl Response {
    pub(super) fn new(
        exchange: Exchange,
        received_ms: i64,
        answer: reqwest::Response,
        permit: Permit,
        idle: Duration,
        total_at: Option<Instant>,
    ) -> Self {
        let status = answer.status();
        let headers = answer.headers().clone();
        // These have no body whatever their Content-Length says (RFC 9110 section 8.6).
        let bodiless = exchange.is_head()
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED;
        let expected = headers
            .get(CONTENT_LENGTH)
            .filter(|_| !bodiless)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Response {
            status,
            op: exchange.op,
            url: exchange.url.clone(),
            received_ms,
            body: BodyReader {
                inner: Some(Box::pin(answer.bytes_stream())),
                expected,
                received: 0,
                idle,
                total_at,
                timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
                waiting: false,
                permit: Some(permit),
                exchange,
            },
            headers,
        }
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The address that answered: the last one after redirects. It may carry secrets.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `Content-Length` of the body that will be read; `None` when the server did not say, or
    /// the body was sent compressed.
    pub fn content_length(&self) -> Option<u64> {
        self.body.expected
    }

    /// `Retry-After` in seconds or as a date.
    pub fn retry_after(&self) -> Option<Duration> {
        let value = self.headers.get(RETRY_AFTER)?.to_str().ok()?;
        parse_retry_after(value, self.received_ms)
    }

    /// The whole body, at most `limit` bytes.
    ///
    /// # Errors
    /// `TooLarge` beyond the limit, `Body` or `Timeout` when it breaks.
    pub async fn bytes(self, limit: usize) -> Result<Bytes, NetError> {
        let op = self.op;
        let too_large = || {
            let message = format!("the answer is larger than {limit} bytes");
            NetError::never(NetErrorKind::TooLarge, op, message)
        };
        let mut body = self.body;
        if body.expected.is_some_and(|length| length > limit as u64) {
            return Err(too_large());
        }
        let mut first = Bytes::new();
        let mut whole = BytesMut::new();
        while let Some(piece) = body.next().await {
            let piece = piece?;
            if first.len() + whole.len() + piece.len() > limit {
                return Err(too_large());
            }
            // Most answers are one piece; it is handed on without a copy.
            if first.is_empty() && whole.is_empty() {
                first = piece;
                continue;
            }
            if whole.is_empty() {
                // A hint from outside: trusted for at most 1 MiB at a time.
                let hint = usize::try_from(body.expected.unwrap_or(0)).unwrap_or(0);
                whole.reserve(hint.min(limit).min(1 << 20));
                whole.extend_from_slice(&std::mem::take(&mut first));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(if whole.is_empty() {
            first
        } else {
            whole.freeze()
        })
    }

    /// The whole body as JSON, at most 16 MiB.
    ///
    /// # Errors
    /// `Decode` when it is something else (the message tells the first characters, redacted).
    pub async fn json(self) -> Result<serde_json::Value, NetError> {
        let (op, status) = (self.op, self.status);
        let bytes = self.bytes(JSON_LIMIT).await?;
        let plain = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        serde_json::from_slice(plain).map_err(|error| not_json(op, status, plain, &error))
    }

    /// The body as a stream.
    pub fn stream(self) -> ByteStream {
        Box::pin(self.body)
    }
}

/// The error of a body that is no JSON. A broken server or gateway may do better next time;
/// a page with status 200 (a login or risk page) will not.
fn not_json(
    op: &'static str,
    status: StatusCode,
    body: &[u8],
    error: &serde_json::Error,
) -> NetError {
    let passing = status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
        || (error.is_eof() && !body.is_empty());
    let message = if body.is_empty() {
        format!(
            "status {}, JSON expected, the answer is empty",
            status.as_u16()
        )
    } else {
        format!(
            "status {}, JSON expected, got: {}",
            status.as_u16(),
            excerpt(body)
        )
    };
    NetError {
        kind: NetErrorKind::Decode,
        retry: if passing {
            Retry::Backoff
        } else {
            Retry::Never
        },
        op,
        message,
    }
}

/// The first 120 characters of a text, redacted, in one line.
fn excerpt(body: &[u8]) -> String {
    // A token may be longer than what is shown: redact first, then cut.
    let start = body.get(..4096).unwrap_or(body);
    let text = redact_text(&String::from_utf8_lossy(start));
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .take(120)
        .collect()
}

/// `Retry-After` by RFC 9110 section 10.2.3; fractions of a second are taken too. A date that
/// has passed means now.
fn parse_retry_after(value: &str, now_ms: i64) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(value)
        .ok()?
        .as_millisecond();
    let left = at.saturating_sub(now_ms).max(0);
    Some(Duration::from_millis(u64::try_from(left).unwrap_or(0)))
}

type Inner = Pin<Box<dyn Stream<Item = Result<Bytes, reqwest::Error>> + Send>>;

/// The body with its deadlines, length check, permit and bookkeeping.
struct BodyReader {
    /// `None` once it ended.
    inner: Option<Inner>,
    expected: Option<u64>,
    received: u64,
    idle: Duration,
    total_at: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    /// The timer runs: a piece was asked for and has not come. A reader that does not ask is
    /// not the server's fault.
    waiting: bool,
    permit: Option<Permit>,
    exchange: Exchange,
}

impl BodyReader {
    fn end(&mut self) {
        self.inner = None;
        self.permit = None;
    }

    fn fail(&mut self, kind: NetErrorKind, message: String) -> NetError {
        self.end();
        self.exchange.failed();
        NetError::passing(kind, self.exchange.op, message)
    }

    fn timed_out(&mut self) -> NetError {
        let message = match self.total_at {
            Some(at) if at <= Instant::now() => "the answer took too long".to_owned(),
            _ => format!("no data for {:?}", self.idle),
        };
        self.fail(NetErrorKind::Timeout, message)
    }
}

impl Stream for BodyReader {
    type Item = Result<Bytes, NetError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            let Some(inner) = &mut this.inner else {
                return Poll::Ready(None);
            };
            match inner.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(piece))) => {
                    this.waiting = false;
                    if this.total_at.is_some_and(|at| at <= Instant::now()) {
                        return Poll::Ready(Some(Err(this.timed_out())));
                    }
                    if piece.is_empty() {
                        continue;
                    }
                    this.received = this.received.saturating_add(piece.len() as u64);
                    this.exchange.received(piece.len());
                    return Poll::Ready(Some(Ok(piece)));
                }
                Poll::Ready(Some(Err(error))) => {
                    let message = format!(
                        "the answer broke after {} bytes: {}",
                        this.received,
                        super::client::cause(error)
                    );
                    return Poll::Ready(Some(Err(this.fail(NetErrorKind::Body, message))));
                }
                Poll::Ready(None) => {
                    if let Some(expected) = this.expected
                        && expected != this.received
                    {
                        let message = format!(
                            "the answer ended after {} of {expected} bytes",
                            this.received
                        );
                        return Poll::Ready(Some(Err(this.fail(NetErrorKind::Body, message))));
                    }
                    this.end();
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    if !this.waiting {
                        this.waiting = true;
                        let idle_at = Instant::now() + this.idle;
                        let at = this.total_at.map_or(idle_at, |total| total.min(idle_at));
                        this.timer.as_mut().reset(at);
                    }
                    if this.timer.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(Some(Err(this.timed_out())));
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_in_seconds_and_as_a_date() {
        let now = 784_111_777_000; // Sun, 06 Nov 1994 08:49:37 GMT
        let parse = |value| parse_retry_after(value, now);
        assert_eq!(parse(" 120 "), Some(Duration::from_secs(120)));
        assert_eq!(parse("1.5"), Some(Duration::from_millis(1500)));
        assert_eq!(
            parse("Sun, 06 Nov 1994 08:50:37 GMT"),
            Some(Duration::from_secs(60))
        );
        assert_eq!(parse("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(parse("soon"), None);
        assert_eq!(parse("-3"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn excerpts_are_short_single_lines_without_secrets() {
        let page = format!(
            "<html>\n<title>login</title> token=abcdefghijklmnopqrstuvwxyz {}",
            "x ".repeat(200)
        );
        let shown = excerpt(page.as_bytes());
        assert_eq!(shown.chars().count(), 120);
        assert!(shown.starts_with("<html> <title>login</title> token=abcd***yz x"));
    }
}
