//! The mass-delete breaker: a program that deletes more than a person means in a minute is
//! stopped, and stays stopped until a person says that it was meant (DESIGN 7).

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Guard;
use crate::catalog::Catalog;
use crate::drive::{DriveError, ErrorKind, Result};

/// Its name in the catalog.
pub(super) const STATE: &str = "deletes";

/// The window, milliseconds.
const MINUTE: i64 = 60_000;

/// What to do about it.
const HINT: &str = "when they were meant: panfuse approve deletes, or setfattr -n user.pan.approve -v deletes MOUNTPOINT";

/// What is kept over restarts while it is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Open {
    since_ms: i64,
    refused: u64,
}

/// The breaker as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeleteStatus {
    /// Whether deletes are refused.
    pub open: bool,
    /// Since when, RFC 3339.
    pub since: Option<String>,
    /// How many were refused since then.
    pub refused: u64,
    /// The delete of a minute that opens it; 0 when it never opens.
    pub limit_per_minute: u64,
    /// Deletes of the last minute that count.
    pub in_last_minute: u64,
    /// Deletes are not counted before this time, RFC 3339.
    pub approved_until: Option<String>,
    /// What to do when it is open.
    pub hint: Option<String>,
}

/// The breaker.
pub(super) struct Breaker {
    limit: u64,
    recent: VecDeque<i64>,
    open: Option<Open>,
    approved_until: i64,
    unsaved: bool,
}

impl Breaker {
    /// The breaker as it was when the last daemon ended. Without a limit it is never open.
    pub fn load(limit: u64, catalog: &Catalog) -> Breaker {
        let open = catalog
            .guard_state(STATE)
            .filter(|_| limit > 0)
            .and_then(|state| serde_json::from_str(&state).ok());
        if limit == 0 {
            catalog.set_guard_state(STATE, None);
        }
        Breaker {
            limit,
            recent: VecDeque::new(),
            open,
            approved_until: 0,
            unsaved: false,
        }
    }

    /// Admits a delete at `now`; tells whether it was counted.
    pub fn admit(&mut self, now: i64) -> Result<bool> {
        if self.limit == 0 || now < self.approved_until {
            return Ok(false);
        }
        self.prune(now);
        let count = u64::try_from(self.recent.len()).unwrap_or(u64::MAX);
        if self.open.is_none() && count.saturating_add(1) < self.limit {
            self.recent.push_back(now);
            return Ok(true);
        }
        let limit = self.limit;
        let open = self.open.get_or_insert_with(|| {
            // Once: a program that deletes a million files is told a million times by its errno.
            tracing::warn!(
                limit,
                "deletes are refused from now on: too many in a minute; {HINT}"
            );
            Open {
                since_ms: now,
                refused: 0,
            }
        });
        open.refused = open.refused.saturating_add(1);
        self.unsaved = true;
        Err(DriveError::new(
            ErrorKind::Busy,
            format!("deletes are refused since there were {limit} in a minute; {HINT}"),
        ))
    }

    /// A counted delete did not happen after all.
    pub fn give_back(&mut self, at: i64) {
        if let Some(place) = self.recent.iter().rposition(|time| *time == at) {
            self.recent.remove(place);
        }
    }

    /// Closes it, and counts nothing until `until`.
    pub fn approve(&mut self, until: i64) {
        self.open = None;
        self.unsaved = false;
        self.recent.clear();
        self.approved_until = until;
    }

    /// What has to be saved, when that changed.
    pub fn take_record(&mut self) -> Option<String> {
        std::mem::take(&mut self.unsaved)
            .then(|| serde_json::to_string(self.open.as_ref()?).ok())?
    }

    pub fn status(&mut self, now: i64) -> DeleteStatus {
        self.prune(now);
        DeleteStatus {
            open: self.open.is_some(),
            since: self.open.as_ref().map(|open| rfc3339(open.since_ms)),
            refused: self.open.as_ref().map_or(0, |open| open.refused),
            limit_per_minute: self.limit,
            in_last_minute: u64::try_from(self.recent.len()).unwrap_or(u64::MAX),
            approved_until: (now < self.approved_until).then(|| rfc3339(self.approved_until)),
            hint: self.open.as_ref().map(|_| HINT.to_owned()),
        }
    }

    fn prune(&mut self, now: i64) {
        // A clock that was set back must not keep old deletes for long.
        while let Some(first) = self.recent.front()
            && now.abs_diff(*first) >= MINUTE.unsigned_abs()
        {
            self.recent.pop_front();
        }
    }
}

/// A delete that was let through. Dropped without [`Admission::keep`] it does not count: it failed.
#[must_use = "an admission that is dropped does not count"]
pub struct Admission {
    counted_by: Option<Arc<Guard>>,
    at: i64,
}

impl Admission {
    pub(super) fn new(counted_by: Option<Arc<Guard>>, at: i64) -> Admission {
        Admission { counted_by, at }
    }

    /// The delete happened.
    pub fn keep(mut self) {
        self.counted_by = None;
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(guard) = self.counted_by.take() {
            guard.lock_deletes().give_back(self.at);
        }
    }
}

/// A time in milliseconds since the epoch as RFC 3339 in UTC.
pub(super) fn rfc3339(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| String::new(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::{APPROVAL_MS, GuardSettings};
    use super::*;
    use crate::net::ManualClock;

    fn guard(limit: u64, catalog: &Arc<Catalog>, clock: &Arc<ManualClock>) -> Arc<Guard> {
        let settings = GuardSettings {
            deletes_per_minute: limit,
            ..GuardSettings::default()
        };
        Arc::new(Guard::new(settings, catalog.clone(), clock.clone()))
    }

    fn parts() -> (Arc<Catalog>, Arc<ManualClock>) {
        (
            Arc::new(Catalog::in_memory().unwrap()),
            Arc::new(ManualClock::default()),
        )
    }

    fn delete(guard: &Arc<Guard>) -> bool {
        guard.admit_delete().map(Admission::keep).is_ok()
    }

    // S-160, S-161
    #[test]
    fn the_nth_delete_of_a_minute_is_refused_and_all_after_it() {
        let (catalog, clock) = parts();
        let guard = guard(3, &catalog, &clock);
        assert!(delete(&guard) && delete(&guard));
        let error = guard.admit_delete().err().unwrap();
        assert_eq!(error.errno(), libc::EBUSY);
        assert!(error.message.contains("panfuse approve deletes"));
        // Waiting does not close it.
        clock.advance_ms(10 * MINUTE);
        assert!(!delete(&guard));
        let status = guard.status().deletes;
        assert_eq!((status.open, status.refused), (true, 2));
        assert!(status.since.is_some() && status.hint.is_some());
    }

    // S-160
    #[test]
    fn the_window_slides_and_what_failed_does_not_count() {
        let (catalog, clock) = parts();
        let guard = guard(3, &catalog, &clock);
        assert!(delete(&guard));
        clock.advance_ms(MINUTE / 2);
        assert!(delete(&guard));
        clock.advance_ms(MINUTE / 2 + 1);
        // The first one is out of the window, the second is not.
        assert_eq!(guard.status().deletes.in_last_minute, 1);
        for _ in 0..10 {
            drop(guard.admit_delete().unwrap());
        }
        assert!(delete(&guard));
        assert!(!delete(&guard));
    }

    // S-161
    #[test]
    fn it_stays_open_over_a_restart_until_it_is_approved() {
        let (catalog, clock) = parts();
        let before = guard(2, &catalog, &clock);
        assert!(delete(&before) && !delete(&before));
        let after = guard(2, &catalog, &clock);
        assert!(!delete(&after));
        assert_eq!(after.status().deletes.refused, 2);
        let until = after.approve_deletes();
        assert!((0..100).all(|_| delete(&after)));
        assert!(!guard(2, &catalog, &clock).status().deletes.open);
        assert_eq!(after.status().deletes.approved_until, Some(rfc3339(until)));
        // After the hour it counts anew.
        clock.advance_ms(APPROVAL_MS + 1);
        assert!(delete(&after) && !delete(&after));
    }

    // S-160
    #[test]
    fn without_a_limit_nothing_is_refused() {
        let (catalog, clock) = parts();
        let limited = guard(1, &catalog, &clock);
        assert!(!delete(&limited));
        let free = guard(0, &catalog, &clock);
        assert!((0..5000).all(|_| delete(&free)));
        assert_eq!(catalog.guard_state(STATE), None);
    }
}
