//! The risk breaker of one account: opens at the first block signal, cools down, and its state
//! outlives a restart.
//!
//! Closed: requests pass. [`Breaker::trip`] opens it for a pause. When the pause is over it is
//! closed again, but its strikes are still remembered: a block right after a pause opens it for
//! twice as long, up to one day. The first success after a pause ([`Breaker::heal`]) forgets them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Clock, NetError, NetErrorKind, Retry, redact_text};

/// Doubling ends here.
const LONGEST_MS: i64 = 24 * 60 * 60 * 1000;

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

/// A store that lives as long as the process: for one-off commands and tests.
#[derive(Debug, Default)]
pub struct MemoryBreakerStore {
    records: Mutex<HashMap<String, BreakerRecord>>,
}

impl BreakerStore for MemoryBreakerStore {
    fn load(&self, account: &str) -> Option<BreakerRecord> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.get(account).cloned()
    }

    fn save(&self, account: &str, record: Option<&BreakerRecord>) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        match record {
            Some(record) => records.insert(account.to_owned(), record.clone()),
            None => records.remove(account),
        };
    }
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
pub struct Breaker {
    account: String,
    store: Arc<dyn BreakerStore>,
    clock: Arc<dyn Clock>,
    record: Mutex<Option<BreakerRecord>>,
}

impl Breaker {
    /// Loads the account's state.
    pub fn new(account: &str, store: Arc<dyn BreakerStore>, clock: Arc<dyn Clock>) -> Arc<Breaker> {
        let record = store.load(account);
        Arc::new(Breaker {
            account: account.to_owned(),
            store,
            clock,
            record: Mutex::new(record),
        })
    }

    /// The account it guards, as given to [`Breaker::new`].
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The state right now.
    pub fn state(&self) -> BreakerState {
        match &*self.lock() {
            Some(record) if self.clock.now_ms() < record.until_ms => {
                BreakerState::Open(record.clone())
            }
            _ => BreakerState::Closed,
        }
    }

    /// Opens it for `pause` (doubled with each strike in a row).
    ///
    /// While it is open another block signal is the echo of requests that were already on their
    /// way: it may make the pause longer, but is no new strike.
    pub fn trip(&self, pause: Duration, reason: &str) {
        let now = self.clock.now_ms();
        let pause_ms = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
        let mut record = self.lock();
        let next = match record.take() {
            Some(open) if now < open.until_ms => BreakerRecord {
                until_ms: open.until_ms.max(now.saturating_add(pause_ms)),
                ..open
            },
            before => {
                let strikes = before.map_or(0, |old| old.strikes).saturating_add(1);
                // 2^20 times anything is more than a day; the cap keeps the shift defined.
                let doubled = pause_ms.saturating_mul(1_i64 << (strikes - 1).min(20));
                // A provider that asks for more than a day gets what it asks for.
                let length = doubled.min(LONGEST_MS).max(pause_ms);
                BreakerRecord {
                    until_ms: now.saturating_add(length),
                    strikes,
                    reason: redact_text(reason),
                }
            }
        };
        tracing::warn!(
            account = %self.account,
            until = %instant_text(next.until_ms),
            strikes = next.strikes,
            reason = %next.reason,
            "account paused"
        );
        self.store.save(&self.account, Some(&next));
        *record = Some(next);
    }

    /// Tells that a request went well after a pause: strikes are forgotten.
    ///
    /// Ignored while it is open: that success belongs to a request sent before the block.
    pub fn heal(&self) {
        let mut record = self.lock();
        if matches!(&*record, Some(old) if self.clock.now_ms() >= old.until_ms) {
            *record = None;
            self.store.save(&self.account, None);
        }
    }

    /// Closes it at once and forgets the strikes: the user's own decision.
    pub fn reset(&self) {
        let mut record = self.lock();
        if record.take().is_some() {
            self.store.save(&self.account, None);
        }
    }

    /// The error of a request that comes while it is open.
    pub(super) fn check(&self, op: &'static str) -> Result<(), NetError> {
        match self.state() {
            BreakerState::Closed => Ok(()),
            BreakerState::Open(record) => Err(NetError {
                kind: NetErrorKind::BreakerOpen,
                retry: Retry::Never,
                op,
                message: format!(
                    "the account is paused until {}: {}",
                    instant_text(record.until_ms),
                    record.reason
                ),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<BreakerRecord>> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `2026-01-31T12:00:00Z`.
fn instant_text(ms: i64) -> String {
    // Whole seconds, rounded up: never named earlier than it is.
    let seconds = ms.saturating_add(999).div_euclid(1000);
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| "the end of time".to_owned(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::ManualClock;

    fn parts() -> (Arc<MemoryBreakerStore>, Arc<ManualClock>) {
        (Arc::default(), Arc::default())
    }

    fn until(breaker: &Breaker) -> i64 {
        match breaker.state() {
            BreakerState::Open(record) => record.until_ms,
            BreakerState::Closed => panic!("closed"),
        }
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn opens_refuses_by_name_and_closes_after_the_pause() {
        let (store, clock) = parts();
        let breaker = Breaker::new("a", store, clock.clone());
        assert!(breaker.check("list").is_ok());
        breaker.trip(MINUTE, "captcha asked");
        let error = breaker.check("list").unwrap_err();
        assert_eq!(error.kind, NetErrorKind::BreakerOpen);
        assert_eq!(error.retry, Retry::Never);
        assert!(error.message.contains("captcha asked"), "{error}");
        assert!(
            error.message.contains(&instant_text(until(&breaker))),
            "{error}"
        );
        clock.advance_ms(61_000);
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert!(breaker.check("list").is_ok());
    }

    #[test]
    fn strikes_double_up_to_a_day_and_success_forgets_them() {
        let (store, clock) = parts();
        let breaker = Breaker::new("a", store.clone(), clock.clone());
        let mut before = 0;
        for strike in 1..=20u32 {
            breaker.trip(MINUTE, "blocked");
            let left = until(&breaker) - clock.now_ms();
            let wanted = (60_000_i64 << (strike - 1)).min(LONGEST_MS);
            assert!((wanted - 5_000..=wanted).contains(&left), "{strike} {left}");
            assert!(left + 5_000 > before);
            before = left;
            clock.advance_ms(left + 10);
        }
        breaker.heal();
        assert_eq!(store.load("a"), None);
        breaker.trip(MINUTE, "blocked");
        assert!(until(&breaker) - clock.now_ms() <= 60_000);
    }

    #[test]
    fn echoes_of_one_block_are_one_strike() {
        let (store, clock) = parts();
        let breaker = Breaker::new("a", store.clone(), clock);
        for _ in 0..5 {
            breaker.trip(MINUTE, "blocked");
        }
        assert_eq!(store.load("a").unwrap().strikes, 1);
        breaker.trip(MINUTE * 10, "blocked harder");
        let record = store.load("a").unwrap();
        assert_eq!(record.strikes, 1);
        assert!(record.until_ms - SystemNow::ms() > 500_000);
    }

    #[test]
    fn success_while_open_does_not_close_it() {
        let (store, clock) = parts();
        let breaker = Breaker::new("a", store, clock);
        breaker.trip(MINUTE, "blocked");
        breaker.heal();
        assert!(matches!(breaker.state(), BreakerState::Open(_)));
        breaker.reset();
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn state_outlives_a_restart_and_is_per_account() {
        let (store, clock) = parts();
        Breaker::new("a", store.clone(), clock.clone()).trip(MINUTE, "blocked");
        let again = Breaker::new("a", store.clone(), clock.clone());
        assert!(matches!(again.state(), BreakerState::Open(record) if record.strikes == 1));
        let other = Breaker::new("b", store.clone(), clock.clone());
        assert_eq!(other.state(), BreakerState::Closed);
        clock.advance_ms(61_000);
        again.trip(MINUTE, "again");
        assert_eq!(store.load("a").unwrap().strikes, 2);
    }

    struct SystemNow;
    impl SystemNow {
        fn ms() -> i64 {
            crate::net::SystemClock.now_ms()
        }
    }
}
