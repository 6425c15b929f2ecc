//! How far the sending of one body is, and whom it waits for.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::NetError;

/// Whom a body waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// The connection, to take the next piece.
    Connection,
    /// Its source, to bring the next piece. That is no fault of the server.
    Source,
    /// The answer: all of it was handed over.
    Answer,
}

/// How far the sending of one body is.
#[derive(Debug)]
pub(super) struct Progress {
    state: Mutex<State>,
    length: u64,
    patience: Duration,
    /// It waits for somebody else by now, and the deadline is another one.
    turned: Notify,
    /// Wakes whoever brings pieces when nobody wants them any more.
    bringer: AtomicWaker,
}

#[derive(Debug)]
struct State {
    last: Instant,
    sent: u64,
    source_is_late: bool,
    failure: Option<NetError>,
    over: bool,
}

impl Progress {
    /// Of a body of `length` bytes. `patience`: how long its source may bring nothing.
    pub(super) fn new(length: u64, patience: Duration) -> Self {
        Progress {
            state: Mutex::new(State {
                last: Instant::now(),
                sent: 0,
                source_is_late: false,
                failure: None,
                over: false,
            }),
            length,
            patience,
            turned: Notify::new(),
            bringer: AtomicWaker::new(),
        }
    }

    /// Tells that the connection took a piece.
    pub(super) fn advance(&self, bytes: usize) {
        let mut state = self.lock();
        state.last = Instant::now();
        state.sent = state.sent.saturating_add(bytes as u64);
        if std::mem::take(&mut state.source_is_late) {
            self.turned.notify_one();
        }
    }

    /// Tells that the connection wants a piece, and there is none yet.
    pub(super) fn source_is_late(&self) {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.source_is_late, true) {
            state.last = Instant::now();
            self.turned.notify_one();
        }
    }

    /// Tells why no more pieces come. The request breaks, and this is the reason.
    pub(super) fn fail(&self, error: NetError) {
        self.lock().failure = Some(error);
    }

    /// Why no more pieces came.
    pub(super) fn failure(&self) -> Option<NetError> {
        self.lock().failure.clone()
    }

    /// Tells that nobody waits for the exchange any more: the rest of the body is not sent.
    pub(super) fn end(&self) {
        self.lock().over = true;
        self.bringer.wake();
    }

    /// Whether nobody wants more pieces. If somebody does, `waker` is woken when that is over.
    pub(super) fn is_over(&self, waker: &Waker) -> bool {
        self.bringer.register(waker);
        self.lock().over
    }

    /// Since when it waits, and for whom.
    pub(super) fn last(&self) -> (Instant, Waits) {
        let state = self.lock();
        let waits = match state.source_is_late {
            true => Waits::Source,
            false if state.sent >= self.length => Waits::Answer,
            false => Waits::Connection,
        };
        (state.last, waits)
    }

    /// How long its source may bring nothing.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// Ends when it waits for somebody else than before.
    pub(super) async fn turned(&self) {
        self.turned.notified().await;
    }

    /// Bytes taken so far.
    pub(super) fn sent(&self) -> u64 {
        self.lock().sent
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
