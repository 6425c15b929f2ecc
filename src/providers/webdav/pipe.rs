//! Parts that follow each other into the body of one PUT. WebDAV takes a file in one request, and
//! panfuse hands it over in parts: between the two stands a short queue, and the request is sent by
//! a task of its own that lives as long as parts come.
//!
//! What was handed over is gone from here. When the request breaks after its first part, nothing
//! can be sent again: the upload starts anew, with the first byte.
//!
//! The body of [`crate::net::Request`] is whole before it is sent, so this one request has a client
//! of its own. It asks the account's breaker all the same, follows no redirect, and every wait of it
//! ends. Its place in the account's budget is taken part by part, by whoever hands them over: a
//! request that waits for its source must not keep others waiting, who may hold what it waits for.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::address::is_loopback;
use crate::drive::{DriveError, ErrorKind, Result};
use crate::net::{BreakerState, Client, Deadlines, Retry, redact_text};

/// Bytes that are handed on at a time.
const PIECE: usize = 256 << 10;

/// Pieces between a part and the connection.
const QUEUE: usize = 2;

/// The connection is idle while the source is read. Who brings no byte for so long is gone.
const STARVED: Duration = Duration::from_secs(900);

/// A server stores the rest, and perhaps scans it, before it answers.
const ANSWER: Duration = Duration::from_secs(600);

/// A request that ended says why within this.
const REASON: Duration = Duration::from_secs(30);

/// The most that is read of an answer.
const EXCERPT: usize = 64 << 10;

/// The answer to the PUT.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What a PUT is made of.
pub struct Put {
    pub url: Url,
    pub headers: HeaderMap,
    pub size: u64,
}

/// The uploads of this process that are under way.
#[derive(Default)]
pub struct Pipes {
    open: Mutex<HashMap<String, Arc<Pipe>>>,
    client: OnceLock<reqwest::Client>,
}

impl Pipes {
    /// The upload `id`, when it is under way here.
    pub fn get(&self, id: &str) -> Option<Arc<Pipe>> {
        self.lock().get(id).cloned()
    }

    /// Ends an upload. A request that is not through is cut.
    pub fn forget(&self, id: &str) -> bool {
        self.lock().remove(id).is_some()
    }

    /// Begins the upload `id` in the place of an earlier try.
    ///
    /// # Errors
    /// `Risk` while the account rests, `Network` when no client can be made.
    pub fn begin(&self, client: &Client, id: &str, put: Put) -> Result<Arc<Pipe>> {
        if let BreakerState::Open(record) = client.breaker().state() {
            return Err(DriveError::new(
                ErrorKind::Risk,
                format!("the account is paused: {}", record.reason),
            ));
        }
        let wire = self.wire(&put.url)?;
        let (pieces, queue) = mpsc::channel::<Bytes>(QUEUE);
        let mut request = reqwest::Request::new(Method::PUT, put.url);
        *request.headers_mut() = put.headers;
        request
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(put.size));
        *request.body_mut() = Some(reqwest::Body::wrap_stream(body(queue)));
        let answer =
            tokio::spawn(async move { read(wire.execute(request).await.map_err(broken)?).await });
        let pipe = Arc::new(Pipe {
            flow: tokio::sync::Mutex::new(Flow {
                next: 1,
                offset: 0,
                pieces: Some(pieces),
                answer: Some(Task(answer)),
                outcome: None,
            }),
        });
        self.lock().insert(id.to_owned(), pipe.clone());
        Ok(pipe)
    }

    fn wire(&self, url: &Url) -> Result<reqwest::Client> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let mut builder = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .tcp_nodelay(true)
            .http1_only()
            // A kept connection may be dead already, and this body cannot be sent twice.
            .pool_max_idle_per_host(0);
        if is_loopback(url) {
            builder = builder.no_proxy();
        }
        let built = builder.build().map_err(|error| {
            DriveError::new(
                ErrorKind::Network,
                format!("no HTTP client: {}", cause(error)),
            )
        })?;
        Ok(self.client.get_or_init(|| built).clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Pipe>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pieces as a body. It ends with an error when nobody brings any for too long; the request
/// then breaks, and a server that counts notices.
fn body(
    queue: mpsc::Receiver<Bytes>,
) -> impl futures_util::Stream<Item = io::Result<Bytes>> + Send + 'static {
    futures_util::stream::unfold(queue, |mut queue| async {
        match tokio::time::timeout(STARVED, queue.recv()).await {
            Ok(Some(piece)) => Some((Ok(piece), queue)),
            Ok(None) => None,
            Err(_) => {
                queue.close();
                let error = io::Error::new(io::ErrorKind::TimedOut, "no part came");
                Some((Err(error), queue))
            }
        }
    })
}

async fn read(mut response: reqwest::Response) -> Result<Answer> {
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = BytesMut::new();
    let reading = async {
        while let Ok(Some(piece)) = response.chunk().await {
            body.extend_from_slice(&piece);
            if body.len() > EXCERPT {
                break;
            }
        }
    };
    // The status is what counts; its text is for people.
    let _ = tokio::time::timeout(REASON, reading).await;
    Ok(Answer {
        status,
        headers,
        body: body.freeze(),
    })
}

fn broken(error: reqwest::Error) -> DriveError {
    DriveError::new(
        ErrorKind::Network,
        format!("upload: the connection broke: {}", cause(error)),
    )
    .retry(Retry::Backoff)
}

/// The innermost cause, without the address and without secrets.
fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut innermost: &dyn std::error::Error = &error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    redact_text(&innermost.to_string())
}

/// A task that ends with its owner.
struct Task(JoinHandle<Result<Answer>>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One PUT under way.
pub struct Pipe {
    flow: tokio::sync::Mutex<Flow>,
}

struct Flow {
    /// The part that is wanted next, and how much of it is handed over already: a caller may give up
    /// in the middle and come again.
    next: u32,
    offset: usize,
    pieces: Option<mpsc::Sender<Bytes>>,
    answer: Option<Task>,
    outcome: Option<Result<Answer>>,
}

impl Pipe {
    /// Hands a part over. With the last one the request ends, and its answer is returned; an answer
    /// that comes before that is returned as well.
    ///
    /// # Errors
    /// `NotFound` for a part out of order: the upload is another one than the caller thinks.
    pub async fn put(&self, number: u32, last: bool, bytes: &Bytes) -> Result<Option<Answer>> {
        let mut flow = self.flow.lock().await;
        if number < flow.next && !last {
            return match &flow.outcome {
                Some(Err(error)) => Err(error.clone()),
                _ => Ok(None),
            };
        }
        if let Some(outcome) = &flow.outcome {
            return outcome.clone().map(Some);
        }
        if number > flow.next {
            return Err(lost());
        }
        if number == flow.next {
            while let Some(rest) = bytes.get(flow.offset..).filter(|rest| !rest.is_empty()) {
                let length = rest.len().min(PIECE);
                let end = flow.offset.saturating_add(length);
                let piece = bytes.slice(flow.offset..end);
                if !flow.hand_over(piece).await? {
                    return flow.end(REASON).await.map(Some);
                }
                flow.offset = end;
            }
            flow.next = flow.next.saturating_add(1);
            flow.offset = 0;
        }
        if !last {
            return Ok(None);
        }
        flow.pieces = None;
        flow.end(ANSWER).await.map(Some)
    }
}

impl Flow {
    /// `false` when the request has ended.
    async fn hand_over(&mut self, piece: Bytes) -> Result<bool> {
        let (Some(pieces), Some(task)) = (&self.pieces, &mut self.answer) else {
            return Ok(false);
        };
        let idle = Deadlines::UPLOAD.idle;
        tokio::select! {
            biased;
            ended = &mut task.0 => {
                self.answer = None;
                self.outcome = Some(ended.unwrap_or_else(|_| Err(lost())));
                Ok(false)
            }
            sent = tokio::time::timeout(idle, pieces.send(piece)) => match sent {
                Ok(sent) => Ok(sent.is_ok()),
                Err(_) => {
                    self.answer = None;
                    let error = DriveError::new(
                        ErrorKind::Timeout,
                        "upload: the server takes no more bytes",
                    )
                    .retry(Retry::Backoff);
                    self.outcome = Some(Err(error));
                    Ok(false)
                }
            },
        }
    }

    /// How the request ended.
    async fn end(&mut self, within: Duration) -> Result<Answer> {
        if let Some(mut task) = self.answer.take() {
            let ended = tokio::time::timeout(within, &mut task.0).await;
            self.outcome = Some(match ended {
                Ok(ended) => ended.unwrap_or_else(|_| Err(lost())),
                Err(_) => Err(DriveError::new(
                    ErrorKind::Timeout,
                    "upload: no answer after the last byte",
                )
                .retry(Retry::Backoff)),
            });
        }
        self.outcome.clone().unwrap_or_else(|| Err(lost()))
    }
}

/// The upload is not under way here (any more).
pub fn lost() -> DriveError {
    DriveError::new(
        ErrorKind::NotFound,
        "the upload is not under way any more; it starts anew",
    )
}
