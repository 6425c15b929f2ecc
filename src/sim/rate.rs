//! Rate classes as providers enforce them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Token buckets by name, on real time: rates are about how fast a client really asks.
#[derive(Default)]
pub struct Rates(Mutex<HashMap<String, (f64, Instant)>>);

impl Rates {
    /// Takes one from the bucket `name` that fills with `per_second` and holds `burst`.
    ///
    /// # Errors
    /// Milliseconds until the next one is there.
    pub fn take(&self, name: &str, per_second: f64, burst: f64) -> Result<(), u64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let (level, since) = all.entry(name.to_owned()).or_insert((burst, now));
        *level = (*level + now.duration_since(*since).as_secs_f64() * per_second).min(burst);
        *since = now;
        if *level >= 1.0 {
            *level -= 1.0;
            return Ok(());
        }
        Err(((1.0 - *level) / per_second.max(0.001) * 1000.0).ceil() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_no_more() {
        let rates = Rates::default();
        assert!(rates.take("a", 0.01, 2.0).is_ok());
        assert!(rates.take("a", 0.01, 2.0).is_ok());
        let wait = rates.take("a", 0.01, 2.0).unwrap_err();
        assert!(wait > 50_000, "{wait}");
        assert!(rates.take("b", 0.01, 1.0).is_ok());
    }
}
