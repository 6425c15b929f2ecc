//! A response: head at once, body on demand.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::{NetError, Permit};

/// Pieces of a body. The idle deadline is inside; a body shorter than its `Content-Length`
/// ends with an error.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, NetError>> + Send>>;

/// A response whose body is not read yet. The account's permit is held until the body is
/// read or dropped.
pub struct Response {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The operation's label.
    pub op: &'static str,
    #[allow(dead_code)]
    body: ByteStream,
    #[allow(dead_code)]
    permit: Option<Permit>,
}

impl Response {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// `Retry-After` in seconds or as a date.
    pub fn retry_after(&self) -> Option<std::time::Duration> {
        todo!()
    }

    /// The whole body, at most `limit` bytes.
    ///
    /// # Errors
    /// `TooLarge` beyond the limit, `Body` or `Timeout` when it breaks.
    pub async fn bytes(self, _limit: usize) -> Result<Bytes, NetError> {
        todo!()
    }

    /// The whole body as JSON, at most 16 MiB.
    ///
    /// # Errors
    /// `Decode` when it is something else (the message tells the first characters, redacted).
    pub async fn json(self) -> Result<serde_json::Value, NetError> {
        todo!()
    }

    /// The body as a stream.
    pub fn stream(self) -> ByteStream {
        todo!()
    }
}
