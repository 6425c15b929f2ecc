//! Lenient readers for provider JSON: ids are numbers or strings, lists are null, sizes are texts.

use serde_json::Value;

/// A text from a string or a number; empty for anything else.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        _ => String::new(),
    }
}

/// A text that is not empty.
pub fn nonempty(value: &Value) -> Option<String> {
    Some(text(value)).filter(|text| !text.is_empty())
}

/// A whole number from a number (also a float) or a decimal text.
pub fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            number
                .as_f64()
                .filter(|f| f.is_finite() && f.abs() < 9.2e18)
                .map(|f| f as i64)
        }),
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| {
                text.parse::<f64>()
                    .ok()
                    .filter(|f| f.is_finite() && f.abs() < 9.2e18)
                    .map(|f| f as i64)
            })
        }
        Value::Bool(flag) => Some(i64::from(*flag)),
        _ => None,
    }
}

/// A size: [`integer`], not negative.
pub fn unsigned(value: &Value) -> Option<u64> {
    if let Some(number) = value.as_u64() {
        return Some(number);
    }
    if let Some(number) = value.as_str().and_then(|text| text.trim().parse().ok()) {
        return Some(number);
    }
    integer(value).and_then(|number| u64::try_from(number).ok())
}

/// A list; null, a missing one and anything else are empty.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A flag from a boolean, a number or a text.
pub fn flag(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !matches!(text.as_str(), "" | "0" | "false"),
        _ => false,
    }
}

/// An RFC 3339 time as milliseconds since the epoch.
pub fn rfc3339_ms(value: &Value) -> Option<i64> {
    let time: jiff::Timestamp = value.as_str()?.parse().ok()?;
    Some(time.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_come_in_every_dress() {
        assert_eq!(integer(&json!("12")), Some(12));
        assert_eq!(integer(&json!(1.0e3)), Some(1000));
        assert_eq!(unsigned(&json!("18446744073709551615")), Some(u64::MAX));
        assert_eq!(unsigned(&json!(-1)), None);
        assert_eq!(
            text(&json!(2_999_000_111_222_333_444_u64)),
            "2999000111222333444"
        );
        assert!(list(&json!(null)).is_empty());
    }

    #[test]
    fn times_are_milliseconds() {
        assert_eq!(rfc3339_ms(&json!("1970-01-01T00:00:01.5Z")), Some(1500));
        assert_eq!(
            rfc3339_ms(&json!("2024-01-31T16:00:00.123+08:00")),
            Some(1_706_688_000_123)
        );
        assert_eq!(rfc3339_ms(&json!("yesterday")), None);
    }
}
