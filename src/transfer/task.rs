//! A running transfer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{Engine, TransferResult};
use crate::content::{ContentRef, RemoteContent};
use crate::drive::{DriveError, ErrorKind, Result};

/// How far a transfer is.
#[derive(Clone, Debug)]
pub enum TaskState {
    /// Waiting for its turn.
    Queued,
    /// Under way.
    Running,
    /// Its bytes and the intent are durable here and the program was answered; the upload goes on.
    Promised,
    /// Verified.
    Done(Arc<TransferResult>),
    /// Failed. An acknowledged one is tried again later.
    Failed(DriveError),
    /// Given up on request; nothing was published.
    Cancelled,
}

impl TaskState {
    /// Whether nothing more will happen by itself.
    pub fn is_over(&self) -> bool {
        !matches!(
            self,
            TaskState::Queued | TaskState::Running | TaskState::Promised
        )
    }
}

/// Counters of a transfer, in bytes of content.
#[derive(Debug, Default)]
pub struct Progress {
    work: AtomicU64,
    done: AtomicU64,
    sent: AtomicU64,
    calls: AtomicU64,
}

impl Progress {
    /// Sets how many bytes have to be handled in all (reads and sends).
    pub(super) fn plan(&self, bytes: u64) {
        self.work.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn read(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn sent(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes sent to the target.
    pub fn bytes_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Operations asked of the target.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// How much of `size` may be told as copied: in step with the work, never all of it.
    pub fn credit(&self, size: u64) -> u64 {
        let work = self.work.load(Ordering::Relaxed);
        if work == 0 || size == 0 {
            return 0;
        }
        let done = self.done.load(Ordering::Relaxed).min(work);
        let share = u128::from(size) * u128::from(done) / u128::from(work);
        u64::try_from(share).unwrap_or(u64::MAX).min(size - 1)
    }
}

/// A transfer under way, shared by everybody who is interested in it.
pub struct Task {
    /// Transfer id.
    pub id: String,
    /// Target profile.
    pub profile: String,
    /// `profile:/path` of the source, or `written`.
    pub source_label: String,
    /// Bytes.
    pub size: u64,
    /// The remote nodes it reads, until it is over.
    pub(super) sources: Mutex<Vec<Arc<RemoteContent>>>,
    /// Counters.
    pub progress: Progress,
    pub(super) cancel: CancellationToken,
    pub(super) again: Notify,
    pub(super) state: watch::Sender<TaskState>,
    /// The staged bytes that the promise rests on.
    pub(super) promised: Mutex<Option<ContentRef>>,
}

impl Task {
    /// The staged bytes of a promise, while it is not kept.
    pub(super) fn promise(&self) -> Option<ContentRef> {
        self.promised
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The nodes it reads.
    pub(super) fn sources(&self) -> Vec<Arc<RemoteContent>> {
        let sources = self.sources.lock();
        sources.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It is over: nobody reads its sources any more.
    pub(super) fn forget_sources(&self) {
        let sources = self.sources.lock();
        sources.unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The state now.
    pub fn state(&self) -> TaskState {
        self.state.borrow().clone()
    }

    /// Gives it up. What it left at the provider is cleaned behind.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Ends the pause before the next attempt.
    pub(super) fn try_now(&self) {
        self.again.notify_one();
    }

    /// Waits until its program may be answered: the end, or a promise.
    ///
    /// # Errors
    /// The transfer's error, or `Cancelled`.
    pub async fn answer(&self) -> Result<()> {
        let mut changes = self.state.subscribe();
        let promised =
            changes.wait_for(|state| state.is_over() || matches!(state, TaskState::Promised));
        if matches!(promised.await.as_deref(), Ok(TaskState::Promised)) {
            return Ok(());
        }
        self.wait().await.map(drop)
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// The transfer's error, or `Cancelled`.
    pub async fn wait(&self) -> Result<Arc<TransferResult>> {
        let mut changes = self.state.subscribe();
        loop {
            match &*changes.borrow_and_update() {
                TaskState::Done(result) => return Ok(result.clone()),
                TaskState::Failed(error) => return Err(error.clone()),
                TaskState::Cancelled => return Err(cancelled()),
                TaskState::Queued | TaskState::Running | TaskState::Promised => {}
            }
            if changes.changed().await.is_err() {
                return Err(cancelled());
            }
        }
    }
}

impl Engine {
    /// Tries a failed transfer again now; false when it is not waiting for that.
    pub fn retry(&self, task: &Task) -> bool {
        let waits = matches!(task.state(), TaskState::Failed(_)) && self.is_tried_again(&task.id);
        if waits {
            task.try_now();
        }
        waits
    }

    /// Gives a transfer up, also one that waits to be tried again; false when it is over.
    pub fn cancel(&self, task: &Task) -> bool {
        let goes_on = self.is_pending(task);
        if goes_on {
            task.cancel();
        }
        goes_on
    }
}

/// The error of a transfer that was given up.
pub(super) fn cancelled() -> DriveError {
    DriveError::new(ErrorKind::Cancelled, "the copy was cancelled")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credit_keeps_step_and_withholds_the_last_byte() {
        let progress = Progress::default();
        assert_eq!(progress.credit(100), 0);
        progress.plan(200);
        progress.read(100);
        assert_eq!(progress.credit(100), 50);
        progress.sent(500);
        assert_eq!(progress.credit(100), 99);
        assert_eq!(progress.credit(0), 0);
    }
}
