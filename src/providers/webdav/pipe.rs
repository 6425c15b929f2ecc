//! Parts that follow each other into the body of one PUT. WebDAV takes a file in one request, and
//! panfuse hands it over in parts: between the two stands a short queue, and the request is sent by
//! a task of its own that lives as long as parts come.
//!
//! What was handed over is gone from here. When the request breaks after its first part, nothing
//! can be sent again: the upload starts anew, with the first byte.
//!
//! The request is one of [`STREAM`], a class without a limit. Its place among the account's uploads is
//! taken part by part, by whoever hands them over: a request that waits for its source must not keep
//! others waiting, who may hold what it waits for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::drive::{DriveError, ErrorKind, Result};
use crate::net::{
    ByteStream, Client, Deadlines, Pieces, Request, Response, current_priority, with_priority,
};

/// The class of requests that are open as long as their parts come.
pub const STREAM: &str = "stream";

/// Bytes that are handed on at a time.
const PIECE: usize = 256 << 10;

/// Pieces between a part and the connection.
const QUEUE: usize = 2;

/// The connection is idle while the source is read. Who brings no byte for so long is gone.
const STARVED: Duration = Duration::from_secs(900);

/// A server stores the rest, and perhaps scans it, before it answers.
const PUT: Deadlines = Deadlines {
    head: Duration::from_secs(600),
    ..Deadlines::UPLOAD
};

/// The text of an answer is here within this, or not wanted.
const REASON: Duration = Duration::from_secs(30);

/// The most that is read of an answer.
const EXCERPT: usize = 64 << 10;

/// The answer to the PUT.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// How long the server wants to be left alone.
    pub pause: Option<Duration>,
    pub body: Bytes,
}

/// The uploads of this process that are under way.
#[derive(Default)]
pub struct Pipes {
    open: Mutex<HashMap<String, Arc<Pipe>>>,
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

    /// Begins the upload `id` of `size` bytes in the place of an earlier try: sends `put`, whose body
    /// is what will be handed over.
    pub fn begin(&self, client: &Client, id: &str, put: Request, size: u64) -> Arc<Pipe> {
        let (pieces, queue) = mpsc::channel::<Bytes>(QUEUE);
        let source: ByteStream = Box::pin(futures_util::stream::unfold(queue, |mut queue| async {
            let piece = queue.recv().await?;
            Some((Ok(piece), queue))
        }));
        let put = put
            .stream(size, Pieces::new(source, STARVED))
            .class(STREAM)
            .deadlines(PUT);
        let client = client.clone();
        let sending = async move { Ok(read(client.send(put).await?).await) };
        let answer = tokio::spawn(with_priority(current_priority(), sending));
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
        pipe
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Pipe>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(response: Response) -> Answer {
    let (status, headers) = (response.status, response.headers.clone());
    let pause = response.retry_after();
    let mut stream = response.stream();
    let mut body = BytesMut::new();
    let reading = async {
        while let Some(Ok(piece)) = stream.next().await {
            body.extend_from_slice(&piece);
            if body.len() > EXCERPT {
                break;
            }
        }
    };
    // The status is what counts; its text is for people.
    let _ = tokio::time::timeout(REASON, reading).await;
    Answer {
        status,
        headers,
        pause,
        body: body.freeze(),
    }
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
                    return flow.end().await.map(Some);
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
        flow.end().await.map(Some)
    }
}

impl Flow {
    /// `false` when the request has ended: it ends by itself when the server takes no more.
    async fn hand_over(&mut self, piece: Bytes) -> Result<bool> {
        let (Some(pieces), Some(task)) = (&self.pieces, &mut self.answer) else {
            return Ok(false);
        };
        tokio::select! {
            biased;
            ended = &mut task.0 => {
                self.answer = None;
                self.outcome = Some(ended.unwrap_or_else(|_| Err(lost())));
                Ok(false)
            }
            sent = pieces.send(piece) => Ok(sent.is_ok()),
        }
    }

    /// How the request ended. Its own deadlines see to it that it does.
    async fn end(&mut self) -> Result<Answer> {
        if let Some(task) = &mut self.answer {
            let ended = (&mut task.0).await;
            self.answer = None;
            self.outcome = Some(ended.unwrap_or_else(|_| Err(lost())));
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
