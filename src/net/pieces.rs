//! A body that is not there yet when its request begins: pieces come while it is sent.
//!
//! It can be sent once. What went out is gone, so such a request is neither repeated nor redirected,
//! and it has a fresh connection: a kept one may be dead already.
//!
//! Two things can be slow, and each has its own deadline. The connection that takes no piece is a
//! stuck upload ([`super::Deadlines::idle`]). The source that brings none has the patience of whoever
//! made it; meanwhile the connection idles.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;

use super::payload::PIECE;
use super::progress::Progress;
use super::{ByteStream, NetError, NetErrorKind};

/// The source of a body that comes in pieces. A clone is the same source: whichever request is sent
/// first takes the pieces, and any other one is refused.
#[derive(Clone)]
pub struct Pieces {
    source: Arc<Mutex<Option<ByteStream>>>,
    patience: Duration,
}

impl Pieces {
    /// Pieces of `source`, which may bring nothing for `patience`. An error of it ends the request:
    /// the server sees a body that is cut.
    pub fn new(source: ByteStream, patience: Duration) -> Self {
        Pieces {
            source: Arc::new(Mutex::new(Some(source))),
            patience,
        }
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// The source, for the one who sends it.
    pub(super) fn take(&self) -> Option<ByteStream> {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        source.take()
    }
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pieces")
    }
}

/// Pieces on their way into a connection: counted, watched, and exactly as many bytes as were said.
pub(super) struct Feed {
    op: &'static str,
    source: ByteStream,
    /// What was brought and not taken yet.
    rest: Bytes,
    length: u64,
    /// Bytes that the source still has to bring.
    missing: u64,
    ended: bool,
    watch: Arc<Progress>,
}

impl Feed {
    pub(super) fn new(
        op: &'static str,
        source: ByteStream,
        length: u64,
        watch: Arc<Progress>,
    ) -> Self {
        Feed {
            op,
            source,
            rest: Bytes::new(),
            length,
            missing: length,
            ended: false,
            watch,
        }
    }

    fn broken(&self, error: NetError) -> Poll<Option<Result<Bytes, NetError>>> {
        self.watch.fail(error.clone());
        Poll::Ready(Some(Err(error)))
    }

    fn wrong(&self, what: String) -> Poll<Option<Result<Bytes, NetError>>> {
        self.broken(NetError::never(NetErrorKind::Body, self.op, what))
    }
}

impl Stream for Feed {
    type Item = Result<Bytes, NetError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if this.watch.is_over(cx.waker()) {
                return this.wrong("the rest of the body is not wanted any more".to_owned());
            }
            // The last piece stays here until the source has ended: were there more, the server
            // would take a body that is cut for a whole one.
            if !this.rest.is_empty() && (this.missing > 0 || this.ended) {
                let piece = this.rest.split_to(this.rest.len().min(PIECE));
                this.watch.advance(piece.len());
                return Poll::Ready(Some(Ok(piece)));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            let next = this.source.as_mut().poll_next(cx);
            if next.is_pending() {
                this.watch.source_is_late();
            }
            let came = this.length.saturating_sub(this.missing);
            match ready!(next) {
                Some(Ok(piece)) => {
                    let Some(missing) = this.missing.checked_sub(piece.len() as u64) else {
                        return this.wrong(format!(
                            "the body has more than the {} bytes that were said",
                            this.length
                        ));
                    };
                    this.missing = missing;
                    if !piece.is_empty() {
                        this.rest = piece;
                    }
                }
                Some(Err(error)) => {
                    return this.broken(NetError {
                        kind: NetErrorKind::Body,
                        retry: error.retry,
                        op: this.op,
                        message: format!("the body broke after {came} bytes: {error}"),
                    });
                }
                None if this.missing > 0 => {
                    return this.wrong(format!(
                        "the body ended after {came} of {} bytes",
                        this.length
                    ));
                }
                None => this.ended = true,
            }
        }
    }
}
