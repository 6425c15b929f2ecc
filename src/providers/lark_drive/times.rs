//! Times (sheet section 4): decimal texts in seconds, milliseconds or microseconds.

use serde_json::Value;

use crate::drive::decode;

const NANOS: i128 = 1_000_000_000;

/// Nanoseconds since the epoch. The size of the number tells its unit: above 1e14 microseconds,
/// above 1e11 milliseconds, else seconds.
pub fn nanos(text: &str) -> Option<i128> {
    let value: i128 = text.trim().parse::<i64>().ok()?.into();
    let unit = match value.unsigned_abs() {
        size if size > 100_000_000_000_000 => NANOS / 1_000_000,
        size if size > 100_000_000_000 => NANOS / 1000,
        _ => NANOS,
    };
    value.checked_mul(unit)
}

/// Milliseconds since the epoch; 0 when it is no time.
pub fn millis(value: &Value) -> i64 {
    nanos(&decode::text(value))
        .and_then(|nanos| i64::try_from(nanos / 1_000_000).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    // S2-19: the same rule as the service's own tool.
    #[test]
    fn times_of_the_vectors() {
        let vectors: Value = serde_json::from_str(include_str!(
            "../../../tests/fixtures/lark_drive.vectors.json"
        ))
        .unwrap();
        let cases = vectors["timestamp_parse"].as_array().unwrap();
        assert_eq!(cases.len(), 12);
        for case in cases {
            let raw = case["raw"].as_str().unwrap();
            let wanted = case["unix_nanos"].as_str().map(|n| n.parse().unwrap());
            assert_eq!(nanos(raw), wanted, "{raw}");
        }
        assert_eq!(millis(&Value::from(1_700_000_000)), 1_700_000_000_000);
        assert_eq!(millis(&Value::Null), 0);
    }
}
