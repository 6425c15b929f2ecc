//! How often and how many at once (sections 4, 7.2 and 10).

use std::collections::{HashMap, HashSet};

use super::LarkDrive;
use super::auth::{Login, Who};
use super::errors::ApiError;

/// Calls of uploads, downloads, and so on that a day has (section 10).
const DAY: u64 = 10_000;
const DAY_MS: i64 = 86_400_000;

/// What has been asked.
#[derive(Default)]
pub(super) struct Usage {
    /// Classes that an identity is busy with.
    busy: HashSet<String>,
    /// Day and calls in it, by class.
    days: HashMap<String, (i64, u64)>,
}

/// A call that permits no other beside it, as long as it lives.
pub(super) struct Busy<'a> {
    sim: &'a LarkDrive,
    key: String,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.sim.state().usage.busy.remove(&self.key);
    }
}

/// Class of an operation, calls per second, burst, and whether a day has only so many.
fn class(op: &'static str) -> (&'static str, u64, u64, bool) {
    match op {
        "upload_all" | "upload_prepare" | "upload_part" | "upload_finish" => ("upload", 5, 5, true),
        "download" | "mkdir" | "move" | "copy" => (op, 5, 5, true),
        // A burst of 25 was too much (section 10).
        "rename" => (op, 5, 20, false),
        "list" => (op, 20, 20, false),
        "metas" => (op, 50, 50, false),
        _ => ("other", 50, 50, false),
    }
}

/// Classes that an identity must not use twice at the same time.
const ALONE: &[&str] = &["upload", "mkdir", "move", "copy"];

impl LarkDrive {
    /// Takes a place for a call.
    ///
    /// # Errors
    /// 1061045: another call of its class still runs, and the setting `concurrent` is not on.
    /// 99991400: too often, with the setting `strict_rates` or `day_limit`.
    pub(super) fn occupy(
        &self,
        login: &Login,
        op: &'static str,
    ) -> Result<Option<Busy<'_>>, ApiError> {
        let account = &login.account;
        let (class, rate, burst, daily) = class(op);
        let strict = account.knobs.flag("strict_rates");
        let who = if login.who == Who::Bot { "bot" } else { "user" };
        let key = format!("{}/{who}/{class}", account.profile);
        let place = match ALONE.contains(&class) && !account.knobs.flag("concurrent") {
            true if !self.state().usage.busy.insert(key.clone()) => {
                return Err(ApiError::new(1_061_045));
            }
            true => Some(Busy {
                sim: self,
                key: key.clone(),
            }),
            false => None,
        };
        let limit = account
            .knobs
            .number("day_limit", if strict { DAY } else { 0 });
        let now = self.kit.clock.now_ms();
        if daily && limit > 0 {
            let today = now.div_euclid(DAY_MS);
            let mut state = self.state();
            let day = state.usage.days.entry(key.clone()).or_insert((today, 0));
            if day.0 != today {
                *day = (today, 0);
            }
            if day.1 >= limit {
                let left = DAY_MS.saturating_sub(now.rem_euclid(DAY_MS));
                return Err(ApiError::too_many(limit, u64::try_from(left).unwrap_or(0)));
            }
            day.1 += 1;
        }
        if strict {
            let taken = self.kit.rates.take(&key, rate as f64, burst as f64);
            taken.map_err(|ms| ApiError::too_many(rate, ms))?;
        }
        Ok(place)
    }
}
