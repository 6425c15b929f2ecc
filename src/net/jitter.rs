//! Randomness for pauses, so that many waiters do not come back in step.

use std::time::Duration;

/// `pause` times a random factor from `low` to `high`.
pub(super) fn spread(pause: Duration, low: f64, high: f64) -> Duration {
    pause.mul_f64(low + (high - low) * fraction())
}

/// A number from 0 up to, not including, 1. A machine without a random source gets the middle:
/// jitter is a courtesy, not a need.
fn fraction() -> f64 {
    // 32 bits fit a double exactly.
    getrandom::u32().map_or(0.5, |bits| f64::from(bits) / 4_294_967_296.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_stays_inside_its_bounds_and_varies() {
        let base = Duration::from_millis(1000);
        let all: Vec<Duration> = (0..200).map(|_| spread(base, 0.75, 1.25)).collect();
        assert!(all.iter().all(|d| (750..=1250).contains(&d.as_millis())));
        assert!(all.iter().any(|d| *d != all[0]));
    }
}
