//! What a client has sent and received, per operation, for metrics and tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Sums of one operation since the client was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpCount {
    /// Requests on the wire (each hop of a redirect is one).
    pub requests: u64,
    /// Transport failures, and answers of status 400 and above.
    pub failures: u64,
    /// Body bytes handed to the connection.
    pub bytes_up: u64,
    /// Body bytes received (after decompression).
    pub bytes_down: u64,
    /// Time from start to the end of the body, summed.
    pub busy: Duration,
}

/// Counts the requests of one account.
#[derive(Debug, Default)]
pub struct Meter {
    counts: Mutex<BTreeMap<&'static str, OpCount>>,
}

impl Meter {
    /// All sums by [`super::Request::op`].
    pub fn snapshot(&self) -> BTreeMap<&'static str, OpCount> {
        self.lock().clone()
    }

    /// The sum over all operations.
    pub fn total(&self) -> OpCount {
        self.lock()
            .values()
            .fold(OpCount::default(), |mut sum, one| {
                sum.requests += one.requests;
                sum.failures += one.failures;
                sum.bytes_up += one.bytes_up;
                sum.bytes_down += one.bytes_down;
                sum.busy += one.busy;
                sum
            })
    }

    pub(super) fn add(&self, op: &'static str, change: impl FnOnce(&mut OpCount)) {
        change(self.lock().entry(op).or_default());
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, OpCount>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
