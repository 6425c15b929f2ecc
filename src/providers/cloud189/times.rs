//! Times of the service (sheet section 3.7): texts in China time in three spellings, or epoch
//! milliseconds. The blank before AM and PM may be a narrow or a non-breaking one.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::drive::decode;

/// China is eight hours ahead of UTC, without summer time.
pub const CHINA_MS: i64 = 8 * 3_600_000;

/// A time as milliseconds since the epoch.
pub fn time_ms(value: &Value) -> Option<i64> {
    if let Some(number) = decode::integer(value) {
        return match number {
            ..=0 => None,
            // Seconds until far in the future, milliseconds from 1973 on.
            seconds @ 1..100_000_000_000 => Some(seconds * 1000),
            ms => Some(ms),
        };
    }
    parse(value.as_str()?)
}

fn parse(text: &str) -> Option<i64> {
    // Narrow, non-breaking and thin blanks are white space to Unicode.
    let mut words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c == ',')
        .filter(|word| !word.is_empty())
        .collect();
    let offset_ms = match words.last()? {
        zone if zone.starts_with(['+', '-']) => {
            let offset = offset_ms(zone)?;
            words.pop();
            offset
        }
        _ => CHINA_MS,
    };
    let (date, clock) = match words.as_slice() {
        [date] => iso_date(date.split_once('T')?.0).zip(clock(date.split_once('T')?.1, None))?,
        [date, time] => iso_date(date).zip(clock(time, None))?,
        [month, day, year, time] => named_date(month, day, year).zip(clock(time, None))?,
        [month, day, year, time, half] => {
            named_date(month, day, year).zip(clock(time, Some(half)))?
        }
        _ => return None,
    };
    let time = DateTime::new(date.0, date.1, date.2, clock.0, clock.1, clock.2, 0).ok()?;
    let utc = time
        .to_zoned(TimeZone::UTC)
        .ok()?
        .timestamp()
        .as_millisecond();
    utc.checked_sub(offset_ms)
}

/// `+08`, `+0800` or `+08:00`.
fn offset_ms(zone: &str) -> Option<i64> {
    let digits: String = zone.get(1..)?.chars().filter(|c| *c != ':').collect();
    let hours: i64 = digits.get(..2)?.parse().ok()?;
    let minutes: i64 = digits.get(2..4).map_or(Some(0), |text| text.parse().ok())?;
    let ms = (hours * 60 + minutes) * 60_000;
    Some(if zone.starts_with('-') { -ms } else { ms })
}

fn iso_date(text: &str) -> Option<(i16, i8, i8)> {
    let mut parts = text.split(['-', '/']);
    let date = (
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
    );
    parts.next().is_none().then_some(date)
}

fn named_date(month: &str, day: &str, year: &str) -> Option<(i16, i8, i8)> {
    const MONTHS: [&str; 12] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    let head = month.get(..3)?.to_ascii_lowercase();
    let index = MONTHS.iter().position(|name| *name == head)?;
    let month = i8::try_from(index).ok()? + 1;
    Some((year.parse().ok()?, month, day.parse().ok()?))
}

fn clock(text: &str, half: Option<&str>) -> Option<(i8, i8, i8)> {
    let text = text.split('.').next()?;
    let mut parts = text.split(':');
    let hour: i8 = parts.next()?.parse().ok()?;
    let minute = parts.next()?.parse().ok()?;
    let second = parts.next().map_or(Some(0), |text| text.parse().ok())?;
    let hour = match half.map(str::to_ascii_uppercase).as_deref() {
        None => hour,
        Some("AM") => hour % 12,
        Some("PM") => hour % 12 + 12,
        Some(_) => return None,
    };
    Some((hour, minute, second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_form_of_the_vectors() {
        let vectors: Value = serde_json::from_str(include_str!(
            "../../../tests/fixtures/189cloud.vectors.json"
        ))
        .unwrap();
        let cases = vectors["vectors"]["time_parse"].as_array().unwrap();
        assert_eq!(cases.len(), 5);
        for case in cases {
            let seconds = case["epoch_seconds"].as_i64().unwrap();
            assert_eq!(time_ms(&case["text"]), Some(seconds * 1000), "{case}");
        }
    }

    #[test]
    fn odd_blanks_numbers_and_nonsense() {
        let pm = 1_786_459_038_000;
        assert_eq!(time_ms(&json!("Aug 11, 2026 10:37:18\u{202f}PM")), Some(pm));
        assert_eq!(
            time_ms(&json!("Aug 11, 2026, 10:37:18\u{a0}PM +0800")),
            Some(pm)
        );
        assert_eq!(time_ms(&json!(pm)), Some(pm));
        assert_eq!(time_ms(&json!(pm.to_string())), Some(pm));
        assert_eq!(time_ms(&json!(pm / 1000)), Some(pm));
        for nonsense in [
            json!(null),
            json!(0),
            json!(""),
            json!("yesterday"),
            json!("2026-13-40 1:2:3"),
        ] {
            assert_eq!(time_ms(&nonsense), None, "{nonsense}");
        }
    }
}
