//! The risk breaker of one account: opens at the first block signal, cools down, and its state
//! outlives a restart.

use std::sync::Arc;
use std::time::Duration;

use super::Clock;

/// What is stored about an account's breaker.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BreakerRecord {
    /// Closed again at this time (milliseconds since the epoch).
    pub until_ms: i64,
    /// How often it opened in a row; each time doubles the pause (up to one day).
    pub strikes: u32,
    /// What the provider said.
    pub reason: String,
}

/// Where breaker records are kept. Implemented by the catalog.
pub trait BreakerStore: Send + Sync {
    /// The record of `account`.
    fn load(&self, account: &str) -> Option<BreakerRecord>;
    /// Stores or, with `None`, removes the record.
    fn save(&self, account: &str, record: Option<&BreakerRecord>);
}

/// The state right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Requests pass.
    Closed,
    /// Requests are refused until then.
    Open(BreakerRecord),
}

/// The breaker of one account.
pub struct Breaker {}

impl Breaker {
    /// Loads the account's state.
    pub fn new(
        _account: &str,
        _store: Arc<dyn BreakerStore>,
        _clock: Arc<dyn Clock>,
    ) -> Arc<Breaker> {
        todo!()
    }

    /// The state right now.
    pub fn state(&self) -> BreakerState {
        todo!()
    }

    /// Opens it for `pause` (doubled with each strike in a row).
    pub fn trip(&self, _pause: Duration, _reason: &str) {
        todo!()
    }

    /// Tells that a request went well after a pause: strikes are forgotten.
    pub fn heal(&self) {
        todo!()
    }
}
