//! What an answer of the service means (sheet sections 3 and 10).

use std::time::Duration;

use serde_json::Value;

use crate::drive::{AccountEffect, DriveError, ErrorKind, decode};
use crate::net::{Retry, redact_text};

/// The account rests this long after a block page.
pub const WALL: Duration = Duration::from_secs(600);

/// "Instant upload": the service has the content (section 6.2).
pub const INSTANT: i64 = 156;
/// The file is being taken in.
pub const IMPORTING: i64 = 147;
/// Wrong parameters; for the flash check a miss.
pub const BAD_PARAMETER: i64 = 112;

/// Throttled, although the message speaks of a client id.
const THROTTLED: &str = "120";

/// An answer that is no failure.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// 0, or a code that the caller accepts.
    pub code: i64,
    /// The content of the envelope.
    pub data: Value,
}

/// Reads the envelope by the rules of section 3. `None` is a failure. Codes in `accept` are none
/// for the caller.
pub fn reply(success: bool, answer: &mut Value, accept: &[i64]) -> Option<Reply> {
    let code = match &answer["code"] {
        Value::Null => None,
        code => Some(decode::integer(code)?),
    };
    let told = decode::text(&answer["msg"]).trim().to_ascii_lowercase();
    let praised = matches!(told.as_str(), "success" | "ok");
    let good = match code {
        Some(0) => success && (told.is_empty() || praised),
        Some(code) => accept.contains(&code),
        None if told.is_empty() => success && holds_something(&answer["data"]),
        None => success && praised,
    };
    good.then(|| Reply {
        code: code.unwrap_or(0),
        data: answer["data"].take(),
    })
}

fn holds_something(data: &Value) -> bool {
    match data {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

/// Whether the service slows us down without having carried anything out.
pub fn is_throttled(error: &DriveError) -> bool {
    error.code.as_deref() == Some(THROTTLED)
}

/// Whether a call that failed so may have been carried out all the same.
pub fn may_be_done(error: &DriveError) -> bool {
    matches!(
        error.kind,
        ErrorKind::Network | ErrorKind::Timeout | ErrorKind::BadAnswer | ErrorKind::Provider
    )
}

/// Whether the service failed inside: for a task that is being taken in, its end (section 11).
pub fn is_internal(error: &DriveError) -> bool {
    matches!(error.code.as_deref(), Some("100" | "101" | "102" | "103"))
}

/// The error an answer stands for. `pause` is its `Retry-After`.
pub fn error_of(op: &str, status: u16, pause: Option<Duration>, body: &[u8]) -> DriveError {
    let answer: Option<Value> = serde_json::from_slice(body).ok();
    let is_json = answer.as_ref().is_some_and(Value::is_object);
    let answer = answer.unwrap_or(Value::Null);
    let code = decode::integer(&answer["code"]).filter(|code| *code != 0);
    let told = match decode::nonempty(&answer["msg"]) {
        Some(told) => told,
        None => String::from_utf8_lossy(body).into_owned(),
    };
    if let Some(error) = code.and_then(|code| of_code(op, code, &told, pause)) {
        return error;
    }
    use ErrorKind as K;
    let wait = pause.map_or(Retry::Backoff, Retry::After);
    let mut effect = AccountEffect::None;
    let (kind, again) = match status {
        401 => {
            effect = AccountEffect::Refresh;
            (K::Auth, Retry::Never)
        }
        403 if is_json => {
            effect = AccountEffect::Refresh;
            (K::Auth, Retry::Never)
        }
        // A block page in place of the envelope.
        403 => {
            effect = AccountEffect::CoolDown(WALL);
            (K::Risk, Retry::Never)
        }
        200..=299 if is_json => (K::Provider, Retry::Never),
        413 => (K::TooLarge, Retry::Never),
        429 | 503 => (K::RateLimited, wait),
        408 => (K::Timeout, Retry::Backoff),
        500.. => (K::Provider, wait),
        _ if is_json => (K::Invalid, Retry::Never),
        _ => (K::BadAnswer, Retry::Never),
    };
    let error = DriveError::new(kind, format!("{op}: HTTP {status} {}", short(&told)))
        .retry(again)
        .effect(effect);
    match code {
        Some(code) => error.code(code.to_string()),
        None => error,
    }
}

/// The error of a code of the table in section 10; `None` for one that is not in it.
pub fn of_code(op: &str, code: i64, told: &str, pause: Option<Duration>) -> Option<DriveError> {
    use ErrorKind as K;
    let wait = pause.map_or(Retry::Backoff, Retry::After);
    let mut effect = AccountEffect::None;
    let (kind, again) = match code {
        100..=103 => (K::Provider, wait),
        110 | 117 | 118 => {
            effect = AccountEffect::Refresh;
            (K::Auth, Retry::Never)
        }
        // Not a matter of the token: another one does not help.
        111 | 123 | 164 | 248 | 430 => (K::Auth, Retry::Never),
        112 | 116 => (K::Invalid, Retry::Never),
        120 => (K::RateLimited, wait),
        143 | 145 | 146 | 149 | 152 | 155 | 163 => (K::NotFound, Retry::Never),
        147 => (K::Busy, Retry::Backoff),
        157 | 172 | 90_000 => (K::QuotaFull, Retry::Never),
        159 | 160 => (K::Exists, Retry::Never),
        429 => (K::RateLimited, wait),
        167 | 200..=213 => (K::Provider, Retry::Never),
        241..=251 => (K::Invalid, Retry::Never),
        _ => return None,
    };
    let what = match code {
        164 | 248 | 430 => "only for members: ",
        172 => "the month's limit is used up: ",
        90_000 => "larger than the account's plan allows: ",
        _ => "",
    };
    Some(
        DriveError::new(kind, format!("{op}: {what}{}", short(told)))
            .retry(again)
            .effect(effect)
            .code(code.to_string()),
    )
}

/// The beginning of what the service said, in one line and without secrets.
fn short(told: &str) -> String {
    let start: String = told.chars().take(2000).collect();
    let line = redact_text(&start);
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(mut answer: Value, accept: &[i64]) -> Option<Reply> {
        reply(true, &mut answer, accept)
    }

    #[test]
    fn the_success_rules_in_their_order() {
        let data = json!({"list":[]});
        for good in [
            json!({"code":0,"msg":"success","data":data}),
            json!({"code":"0","msg":"","data":data}),
            json!({"code":0,"data":data}),
            json!({"msg":"OK","data":data}),
            json!({"data":data}),
        ] {
            let reply = read(good.clone(), &[]).unwrap_or_else(|| panic!("{good}"));
            assert_eq!((reply.code, reply.data), (0, data.clone()));
        }
        assert_eq!(
            read(json!({"msg":"success"}), &[]).unwrap().data,
            json!(null)
        );
        for bad in [
            json!({"code":0,"msg":"busy"}),
            json!({"code":143,"msg":"success"}),
            json!({"code":"x","msg":"success"}),
            json!({"msg":"failed","data":data}),
            json!({"data":{}}),
            json!({}),
            json!([]),
        ] {
            assert_eq!(read(bad.clone(), &[]), None, "{bad}");
        }
        let mut late = json!({"code":0,"msg":"success"});
        assert_eq!(reply(false, &mut late, &[]), None, "HTTP says no");
    }

    #[test]
    fn accepted_codes_are_replies() {
        let answer = json!({"code":156,"msg":"上传已完成","data":{"taskId":"up-1001"}});
        assert_eq!(read(answer.clone(), &[]), None);
        let reply = read(answer, &[INSTANT]).unwrap();
        assert_eq!(
            (reply.code, &reply.data["taskId"]),
            (156, &json!("up-1001"))
        );
    }

    fn of(status: u16, body: &str) -> DriveError {
        error_of("test", status, None, body.as_bytes())
    }

    #[test]
    fn the_table_of_the_sheet() {
        for (code, kind) in [
            (100, ErrorKind::Provider),
            (111, ErrorKind::Auth),
            (112, ErrorKind::Invalid),
            (117, ErrorKind::Auth),
            (120, ErrorKind::RateLimited),
            (143, ErrorKind::NotFound),
            (146, ErrorKind::NotFound),
            (149, ErrorKind::NotFound),
            (157, ErrorKind::QuotaFull),
            (159, ErrorKind::Exists),
            (160, ErrorKind::Exists),
            (163, ErrorKind::NotFound),
            (90_000, ErrorKind::QuotaFull),
        ] {
            let error = of(200, &format!(r#"{{"code":"{code}","msg":"m"}}"#));
            assert_eq!(error.kind, kind, "{code}");
            assert_eq!(error.code.as_deref(), Some(code.to_string().as_str()));
            let refresh = error.account == AccountEffect::Refresh;
            assert_eq!(refresh, code == 117, "{code}");
        }
    }

    #[test]
    fn a_code_says_more_than_the_status() {
        assert_eq!(of(400, r#"{"code":146}"#).kind, ErrorKind::NotFound);
        let unknown = of(401, r#"{"code":9999,"msg":"x"}"#);
        assert_eq!(unknown.account, AccountEffect::Refresh);
        assert_eq!(unknown.code.as_deref(), Some("9999"));
        assert_eq!(of(200, r#"{"code":9999}"#).kind, ErrorKind::Provider);
        assert_eq!(
            of(200, r#"{"code":0,"msg":"no"}"#).kind,
            ErrorKind::Provider
        );
    }

    #[test]
    fn pages_and_gateways() {
        assert_eq!(of(200, "<html>login</html>").kind, ErrorKind::BadAnswer);
        assert_eq!(of(404, "<html>nginx</html>").kind, ErrorKind::BadAnswer);
        let wall = of(403, "<html>blocked</html>");
        assert_eq!(wall.account, AccountEffect::CoolDown(WALL));
        assert_eq!(of(403, "{}").account, AccountEffect::Refresh);
        assert_eq!(of(502, "<html>").retry, Retry::Backoff);
        let pause = Duration::from_secs(7);
        for status in [429, 503] {
            let error = error_of("test", status, Some(pause), b"{}");
            assert_eq!(error.kind, ErrorKind::RateLimited);
            assert_eq!(error.retry, Retry::After(pause));
        }
    }

    #[test]
    fn what_the_service_says_is_shortened_and_shows_no_token() {
        let told = format!("token=abcdefghijklmnopqrstuvwxyz {}", "x ".repeat(300));
        let error = of_code("t", 112, &told, None).unwrap();
        assert!(error.message.len() < 140, "{}", error.message);
        assert!(!error.message.contains("abcdefghijkl"));
    }
}
