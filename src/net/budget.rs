//! One budget per account: rate per class, concurrency, priorities.

use std::future::Future;
use std::sync::Arc;

/// Who is waiting. Higher goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Refreshes, look-ahead, clean-up.
    Background,
    /// Walks of whole trees.
    Scan,
    /// A copy the user started.
    Copy,
    /// Somebody waits at a prompt.
    Interactive,
}

/// The limit of one rate class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassLimit {
    /// Name, as in [`super::Request::class`].
    pub class: &'static str,
    /// Requests per second; 0 means unlimited.
    pub per_second: f64,
    /// Requests that may start at once after a pause.
    pub burst: u32,
    /// Requests in flight at a time, body included; 0 means unlimited.
    pub concurrency: usize,
}

/// The budget of one account, shared by every profile of it.
pub struct Budget {}

/// The right to have one request in flight; given back when dropped.
pub struct Permit {}

impl Budget {
    /// A budget with these classes. A class that is not named shares the class `other`, which
    /// is unlimited when not named itself.
    pub fn new(_limits: &[ClassLimit]) -> Arc<Budget> {
        todo!()
    }

    /// Waits for the class's rate and a free slot, by priority, then by arrival.
    pub async fn acquire(self: &Arc<Self>, _class: &str, _priority: Priority) -> Permit {
        todo!()
    }
}

tokio::task_local! {
    static PRIORITY: Priority;
}

/// Runs `work` with this priority for every request it sends.
pub async fn with_priority<F: Future>(priority: Priority, work: F) -> F::Output {
    PRIORITY.scope(priority, work).await
}

/// The priority of the running task, `Interactive` when nobody said.
pub fn current_priority() -> Priority {
    PRIORITY.try_with(|p| *p).unwrap_or(Priority::Interactive)
}
