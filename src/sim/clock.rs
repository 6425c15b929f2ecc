//! The world's adjustable clock, and the ways providers write times.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// System time plus an offset that tests move. Clones share the offset.
#[derive(Clone, Debug, Default)]
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    /// Milliseconds since 1970 by this clock.
    pub fn now_ms(&self) -> i64 {
        Clock::real_ms().saturating_add(self.0.load(Ordering::SeqCst))
    }

    /// Seconds since 1970 by this clock.
    pub fn now_s(&self) -> i64 {
        self.now_ms().div_euclid(1000)
    }

    /// Milliseconds since 1970 by the system's clock.
    pub fn real_ms() -> i64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    /// Moves the clock (also back, with a negative number).
    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

fn formatted(ms: i64, format: &str) -> String {
    let time = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    time.to_zoned(TimeZone::UTC).strftime(format).to_string()
}

/// `2024-01-31T08:00:00.123Z`.
pub fn rfc3339(ms: i64) -> String {
    formatted(ms, "%Y-%m-%dT%H:%M:%S.%3fZ")
}

/// `2024-01-31T16:00:00.123+08:00`, Beijing time.
pub fn rfc3339_beijing(ms: i64) -> String {
    formatted(
        ms.saturating_add(8 * 3_600_000),
        "%Y-%m-%dT%H:%M:%S.%3f+08:00",
    )
}

/// `2024-01-31 16:00:00`, Beijing time.
pub fn beijing(ms: i64) -> String {
    formatted(ms.saturating_add(8 * 3_600_000), "%Y-%m-%d %H:%M:%S")
}

/// `Wed, 31 Jan 2024 08:00:00 GMT`.
pub fn rfc1123(ms: i64) -> String {
    formatted(ms, "%a, %d %b %Y %H:%M:%S GMT")
}

/// Reads `Wed, 31 Jan 2024 08:00:00 GMT` (milliseconds).
pub fn parse_rfc1123(text: &str) -> Option<i64> {
    let civil = jiff::civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S GMT", text).ok()?;
    Some(
        civil
            .to_zoned(TimeZone::UTC)
            .ok()?
            .timestamp()
            .as_millisecond(),
    )
}

/// Reads an RFC 3339 time (milliseconds).
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    text.parse::<Timestamp>()
        .ok()
        .map(Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read() {
        let ms = 1_706_688_000_123;
        assert_eq!(rfc3339(ms), "2024-01-31T08:00:00.123Z");
        assert_eq!(rfc3339_beijing(ms), "2024-01-31T16:00:00.123+08:00");
        assert_eq!(beijing(ms), "2024-01-31 16:00:00");
        assert_eq!(rfc1123(ms), "Wed, 31 Jan 2024 08:00:00 GMT");
        assert_eq!(parse_rfc1123(&rfc1123(ms)), Some(1_706_688_000_000));
        assert_eq!(parse_rfc3339("2024-01-31T08:00:00.123Z"), Some(ms));
        assert_eq!(parse_rfc1123("yesterday"), None);
    }

    #[test]
    fn clones_share_the_offset() {
        let clock = Clock::default();
        let other = clock.clone();
        other.advance(3_600_000);
        assert!(clock.now_ms() >= Clock::real_ms() + 3_600_000);
        assert!(clock.now_ms() < Clock::real_ms() + 3_700_000);
    }
}
