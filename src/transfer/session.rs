//! Copy sessions: how a program that copies through the kernel is answered while the whole node
//! is brought over behind (DESIGN 3.2).
//!
//! Answers are slices in step with the work, at most about a second each, so that Ctrl-C and
//! progress work. The last byte is answered only with the outcome. Answers depend on the
//! progress alone, so that a repeated request gets an honest answer again.

use std::sync::Arc;
use std::time::Duration;

use super::task::{Task, TaskState, cancelled};
use crate::content::RemoteContent;
use crate::drive::{DriveError, Result};

/// What one request is answered.
#[derive(Clone, Debug)]
pub enum Slice {
    /// So many bytes from the asked offset on; at least 1.
    Bytes(u64),
    /// Nothing yet; ask again after looking at the caller.
    NotYet,
}

/// A copy of a whole node into a draft.
pub struct CopySession {
    /// The source.
    pub source: Arc<RemoteContent>,
    /// The transfer.
    pub task: Arc<Task>,
}

impl CopySession {
    /// The answer for a request of `length` bytes at `offset`, waiting at most `longest` for more
    /// progress.
    ///
    /// # Errors
    /// The transfer's error.
    pub async fn slice(&self, offset: u64, length: u64, longest: Duration) -> Result<Slice> {
        let size = self.task.size;
        let deadline = tokio::time::Instant::now() + longest;
        let mut changes = self.task.state.subscribe();
        loop {
            match &*changes.borrow_and_update() {
                TaskState::Done(_) | TaskState::Promised => {
                    return Ok(Slice::Bytes(size.saturating_sub(offset).min(length)));
                }
                TaskState::Failed(error) => return Err(error.clone()),
                TaskState::Cancelled => return Err(cancelled()),
                TaskState::Queued | TaskState::Running => {}
            }
            let now = tokio::time::Instant::now();
            if now >= deadline {
                let credit = self.task.progress.credit(size);
                return Ok(match credit.saturating_sub(offset).min(length) {
                    0 => Slice::NotYet,
                    bytes => Slice::Bytes(bytes),
                });
            }
            let _ = tokio::time::timeout_at(deadline, changes.changed()).await;
        }
    }

    /// The outcome, when there is one: what FLUSH repeats.
    pub fn outcome(&self) -> Option<Result<(), DriveError>> {
        match self.task.state() {
            TaskState::Done(_) | TaskState::Promised => Some(Ok(())),
            TaskState::Failed(error) => Some(Err(error)),
            TaskState::Cancelled => Some(Err(cancelled())),
            TaskState::Queued | TaskState::Running => None,
        }
    }
}
