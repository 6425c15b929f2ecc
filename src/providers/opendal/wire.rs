//! One request over our client, and what its answer means.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RANGE};

use crate::drive::{DriveError, Result, patience};
use crate::net::{Body, Client, Deadlines, Redirects, Request, Response, retry};

/// The most that is read of an answer that is no file.
const LONGEST_ANSWER: usize = 16 << 20;

/// The most that is read of a refusal.
const LONGEST_REFUSAL: usize = 64 << 10;

/// A server that copies or joins gigabytes answers when it is through.
const LONG: Deadlines = Deadlines {
    head: Duration::from_secs(600),
    idle: Duration::from_secs(60),
    total: Some(Duration::from_secs(900)),
};

/// What a request is to us.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Label for logs, meters and errors.
    pub op: &'static str,
    /// Rate class.
    pub class: &'static str,
    /// Deadlines.
    pub deadlines: Deadlines,
    /// Whether it is sent again here when its error says so. Not for bodies: whoever has the bytes
    /// decides about them.
    pub again: bool,
    /// Whether the answer may come compressed.
    gzip: bool,
}

impl Call {
    /// Listings.
    pub const LIST: Call = Call {
        op: "list",
        class: "list",
        deadlines: Deadlines::CALL,
        again: true,
        gzip: true,
    };
    /// What is known of one object.
    pub const STAT: Call = Call {
        op: "stat",
        class: "other",
        gzip: false,
        ..Call::LIST
    };
    /// Bytes of an object.
    pub const READ: Call = Call {
        op: "download",
        class: "download",
        deadlines: Deadlines::DATA,
        ..Call::STAT
    };
    /// Bytes for an object.
    pub const WRITE: Call = Call {
        op: "upload",
        class: "upload",
        deadlines: Deadlines::UPLOAD,
        again: false,
        ..Call::STAT
    };
    /// A copy at the provider.
    pub const COPY: Call = Call {
        op: "copy",
        deadlines: LONG,
        ..Call::STAT
    };
    /// Deletes.
    pub const DELETE: Call = Call {
        op: "delete",
        deadlines: LONG,
        ..Call::STAT
    };
    /// Joins parts.
    pub const JOIN: Call = Call {
        op: "commit",
        deadlines: LONG,
        again: false,
        ..Call::STAT
    };

    /// The same under another label.
    pub const fn named(self, op: &'static str) -> Call {
        Call { op, ..self }
    }
}

/// An answer that is no success.
pub struct Refusal<'a> {
    /// The label of the call.
    pub op: &'static str,
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: &'a HeaderMap,
    /// How long to wait, when the server says so.
    pub pause: Option<Duration>,
    /// The first part of the body.
    pub body: &'a [u8],
}

/// How a service says what it means.
pub trait Dialect: Send + Sync + 'static {
    /// The error that a refusal stands for.
    fn refused(&self, refusal: &Refusal<'_>) -> DriveError;

    /// The error in an answer that says it is a success.
    fn hidden(&self, op: &'static str, body: &[u8]) -> Option<DriveError> {
        let _ = (op, body);
        None
    }

    /// Why there was nothing to sign a request with. The signer does not hand on what its sources say.
    fn unsigned(&self, op: &'static str) -> DriveError;

    /// Sees the head of every success.
    fn seen(&self, op: &'static str, headers: &HeaderMap) {
        let _ = (op, headers);
    }
}

/// An answer that was read to its end.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Answer {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Our client, and the dialect of the service behind it. Cheap to clone.
#[derive(Clone)]
pub struct Wire {
    client: Client,
    dialect: Arc<dyn Dialect>,
}

impl Wire {
    /// A wire to one service.
    pub fn new(client: Client, dialect: Arc<dyn Dialect>) -> Wire {
        Wire { client, dialect }
    }

    /// Sends a request that is signed already and reads the whole answer, a success.
    ///
    /// # Errors
    /// Those of the transport, and what the dialect says of a refusal.
    pub async fn answer(&self, call: Call, parts: &Parts, body: &Bytes) -> Result<Answer> {
        if call.again {
            retry(patience(), || self.answer_once(call, parts, body)).await
        } else {
            self.answer_once(call, parts, body).await
        }
    }

    async fn answer_once(&self, call: Call, parts: &Parts, body: &Bytes) -> Result<Answer> {
        let response = self.send(call, parts, body).await?;
        let (status, headers) = (response.status, response.headers.clone());
        let body = response.bytes(LONGEST_ANSWER).await?;
        match self.dialect.hidden(call.op, &body) {
            Some(error) => Err(error),
            None => Ok(Answer {
                status,
                headers,
                body,
            }),
        }
    }

    /// Sends a request for bytes; the body of its answer is not read yet. It is the range that was
    /// asked for: a server that ignores `Range` must not put the head of a file where its middle
    /// belongs.
    ///
    /// # Errors
    /// As [`Wire::answer`].
    pub async fn open(&self, call: Call, parts: &Parts) -> Result<Response> {
        retry(patience(), || async {
            let response = self.send(call, parts, &Bytes::new()).await?;
            check_range(call.op, &parts.headers, &response)?;
            Ok(response)
        })
        .await
    }

    pub(super) fn unsigned(&self, op: &'static str) -> DriveError {
        self.dialect.unsigned(op)
    }

    async fn send(&self, call: Call, parts: &Parts, body: &Bytes) -> Result<Response> {
        let request = Request {
            op: call.op,
            method: parts.method.clone(),
            url: parts.uri.to_string(),
            headers: parts.headers.clone(),
            body: Body::Bytes(body.clone()),
            class: call.class,
            deadlines: call.deadlines,
            redirects: Redirects::Never,
            accept_gzip: call.gzip,
        };
        let response = self.client.send(request).await?;
        if response.status.is_success() {
            // A portal's or a proxy's page says 200, too. Of an object that is a page there is a tag;
            // some servers call an answer without anything in it a page (moto).
            let has_body = response
                .header("content-length")
                .is_none_or(|length| length != "0");
            let is_page = response.status == StatusCode::OK
                && has_body
                && response
                    .header("content-type")
                    .is_some_and(|kind| kind.trim_start().starts_with("text/html"))
                && response.header("etag").is_none();
            if is_page {
                return Err(DriveError::bad_answer(
                    call.op,
                    "a web page instead of the service's answer",
                ));
            }
            self.dialect.seen(call.op, &response.headers);
            return Ok(response);
        }
        let status = response.status.as_u16();
        let (headers, pause) = (response.headers.clone(), response.retry_after());
        let body = response.bytes(LONGEST_REFUSAL).await.unwrap_or_default();
        Err(self.dialect.refused(&Refusal {
            op: call.op,
            status,
            headers: &headers,
            pause,
            body: &body,
        }))
    }
}

/// Compares the range of an answer with the one that was asked for.
fn check_range(op: &'static str, asked: &HeaderMap, response: &Response) -> Result<()> {
    let first = |text: &str| -> Option<u64> { text.split('-').next()?.trim().parse().ok() };
    let wanted = asked
        .get(RANGE)
        .and_then(|value| value.to_str().ok()?.strip_prefix("bytes="))
        .and_then(first);
    let Some(wanted) = wanted else {
        return Ok(());
    };
    let told = response
        .header("content-range")
        .and_then(|text| text.trim().strip_prefix("bytes"))
        .and_then(first);
    match told {
        // Whatever the status: rclone serve s3 says 200 and sends the range.
        Some(told) if told == wanted => Ok(()),
        Some(_) => Err(DriveError::bad_answer(op, "another range than asked for")),
        None if response.status == StatusCode::PARTIAL_CONTENT || wanted == 0 => Ok(()),
        None => Err(DriveError::bad_answer(op, "the server ignores ranges")),
    }
}
