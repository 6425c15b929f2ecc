//! The only retry loop. Whether to try again is the error's decision.

use std::future::Future;
use std::time::Duration;

use super::{Retry, jitter};

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
/// It may be dropped at any point; nothing runs on behind it.
///
/// # Errors
/// The last error.
pub async fn retry<T, E, F, Fut>(policy: RetryPolicy, mut work: F) -> Result<T, E>
where
    E: Retryable,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let mut backoff = policy.base.min(policy.longest);
    let mut attempt = 1;
    loop {
        let error = match work().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if attempt >= policy.attempts {
            return Err(error);
        }
        let pause = match error.retry() {
            Retry::Never => return Err(error),
            Retry::Backoff => jitter::spread(backoff, 0.75, 1.25),
            Retry::After(asked) if asked > policy.longest => return Err(error),
            // Never earlier than asked, and not all at the same instant.
            Retry::After(asked) => asked + jitter::spread(policy.base, 0.0, 0.25),
        };
        tokio::time::sleep(pause).await;
        attempt += 1;
        backoff = backoff.saturating_mul(2).min(policy.longest);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use tokio::time::Instant;

    #[derive(Debug)]
    struct Failure(Retry);

    impl Retryable for Failure {
        fn retry(&self) -> Retry {
            self.0
        }
    }

    const POLICY: RetryPolicy = RetryPolicy {
        attempts: 5,
        base: Duration::from_millis(100),
        longest: Duration::from_millis(300),
    };

    /// Fails `fails` times with `how`, then succeeds. Returns the calls and the (virtual) time.
    async fn run(fails: u32, how: Retry) -> (bool, u32, Duration) {
        let calls = AtomicU32::new(0);
        let start = Instant::now();
        let result = retry(POLICY, || async {
            if calls.fetch_add(1, Ordering::SeqCst) < fails {
                Err(Failure(how))
            } else {
                Ok(())
            }
        })
        .await;
        (
            result.is_ok(),
            calls.load(Ordering::SeqCst),
            start.elapsed(),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn backoff_doubles_up_to_the_longest_with_jitter() {
        let (ok, calls, time) = run(4, Retry::Backoff).await;
        assert!(ok);
        assert_eq!(calls, 5);
        // 100 + 200 + 300 + 300, each +-25 %, in whole virtual milliseconds.
        assert!((675..=1130).contains(&time.as_millis()), "{time:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_are_counted_and_never_means_once() {
        let (ok, calls, _) = run(99, Retry::Backoff).await;
        assert!(!ok);
        assert_eq!(calls, 5);
        let (ok, calls, _) = run(1, Retry::Never).await;
        assert!(!ok);
        assert_eq!(calls, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_servers_wish_is_kept_or_ends_the_loop() {
        let wish = Duration::from_millis(250);
        let (ok, calls, time) = run(2, Retry::After(wish)).await;
        assert!(ok);
        assert_eq!(calls, 3);
        assert!(time >= wish * 2, "{time:?}");
        let (ok, calls, _) = run(1, Retry::After(Duration::from_millis(301))).await;
        assert!(!ok);
        assert_eq!(calls, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_loop_stops() {
        let calls = Arc::new(AtomicU32::new(0));
        let seen = calls.clone();
        let work = retry(POLICY, move || {
            seen.fetch_add(1, Ordering::SeqCst);
            async { Err::<(), _>(Failure(Retry::Backoff)) }
        });
        assert!(
            tokio::time::timeout(Duration::from_millis(10), work)
                .await
                .is_err()
        );
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }
}
