//! The only retry loop. Whether to try again is the error's decision.

use std::future::Future;
use std::time::Duration;

use super::Retry;

/// An error that knows whether its cause may go away.
pub trait Retryable {
    /// Whether and when to try again.
    fn retry(&self) -> Retry;
}

/// How patient a caller is.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Attempts in all.
    pub attempts: u32,
    /// First pause; doubled each time, with jitter of +-25 %.
    pub base: Duration,
    /// Longest single pause. A server that asks for more ends the loop with its error.
    pub longest: Duration,
}

impl RetryPolicy {
    /// For somebody who waits at a prompt: 3 attempts, 0.25 s to 3 s.
    pub const INTERACTIVE: RetryPolicy = RetryPolicy {
        attempts: 3,
        base: Duration::from_millis(250),
        longest: Duration::from_secs(3),
    };
    /// For transfers: 6 attempts, 0.5 s to 30 s.
    pub const TRANSFER: RetryPolicy = RetryPolicy {
        attempts: 6,
        base: Duration::from_millis(500),
        longest: Duration::from_secs(30),
    };
}

/// Runs `work` until it succeeds, its error says never, or the policy is used up.
///
/// # Errors
/// The last error.
pub async fn retry<T, E, F, Fut>(_policy: RetryPolicy, _work: F) -> Result<T, E>
where
    E: Retryable,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    todo!()
}
