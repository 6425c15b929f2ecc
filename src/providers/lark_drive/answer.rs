//! What an answer says: the envelope's data, or the error it stands for (sheet sections 3, 10).

use std::time::Duration;

use serde_json::Value;

use super::scopes;
use crate::drive::{AccountEffect, DriveError, ErrorKind, Result, decode};
use crate::net::{NetError, NetErrorKind, Response, Retry, redact_text};

/// Whether a call may be sent again when its answer was lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Reading, or writing the same state again.
    Safe,
    /// It creates something: only when it certainly did not arrive.
    Unsafe,
}

/// The code of an error for a missing right to see or change something, as this driver tells it
/// when the service answers a bare HTTP 403.
const FORBIDDEN: &str = "403";

/// What of the response's head an error needs.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// HTTP status.
    pub status: u16,
    /// How long to wait, where the server says.
    pub pause: Option<Duration>,
    /// The id that the support asks for.
    pub log_id: String,
}

impl Head {
    /// Reads it off a response.
    pub fn of(response: &Response) -> Head {
        let pause = ["x-ogw-ratelimit-reset", "retry-after"]
            .iter()
            .find_map(|name| response.header(name).and_then(seconds));
        Head {
            status: response.status.as_u16(),
            pause,
            log_id: response.header("x-tt-logid").unwrap_or("").to_owned(),
        }
    }

    fn success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// A pause in seconds; dates and nonsense are no pause.
fn seconds(text: &str) -> Option<Duration> {
    let pause = text.trim().parse::<u64>().ok()?;
    Some(Duration::from_secs(pause.min(3600)))
}

/// A transport error; one that came after the request left is not repeated blindly.
pub fn transport(repeat: Repeat, error: NetError) -> DriveError {
    let left = !matches!(
        error.kind,
        NetErrorKind::Connect | NetErrorKind::Refused | NetErrorKind::BreakerOpen
    );
    let error = DriveError::from(error);
    if repeat == Repeat::Unsafe && left {
        error.retry(Retry::Never)
    } else {
        error
    }
}

/// Whether the call may have been carried out although it failed here: the answer was lost, or
/// the server broke while it worked.
pub fn may_have_happened(error: &DriveError) -> bool {
    matches!(
        error.kind,
        ErrorKind::Timeout | ErrorKind::Network | ErrorKind::BadAnswer | ErrorKind::Provider
    )
}

/// Whether it is the service's word that this account may not do it to this entry.
pub fn is_forbidden(error: &DriveError) -> bool {
    matches!(error.code.as_deref(), Some("1061004" | FORBIDDEN))
}

/// The whole answer when its `code` is 0, or the error it stands for. The HTTP status may be 200
/// or 4xx with a code; the code decides (section 3).
pub fn whole_answer(op: &str, head: &Head, body: &[u8]) -> Result<Value> {
    let parsed = serde_json::from_slice::<Value>(body)
        .ok()
        .filter(Value::is_object);
    let Some(answer) = parsed else {
        return Err(foreign(op, head));
    };
    match decode::integer(&answer["code"]) {
        Some(0) if head.success() => Ok(answer),
        Some(0) | None => Err(foreign(op, head)),
        Some(code) => Err(refusal(op, head, code, &answer)),
    }
}

/// The `data` of an answer.
pub fn answer_of(op: &str, head: &Head, body: &[u8]) -> Result<Value> {
    whole_answer(op, head, body).map(|mut answer| answer["data"].take())
}

fn refusal(op: &str, head: &Head, code: i64, answer: &Value) -> DriveError {
    let said = ["msg", "error_description", "message"]
        .iter()
        .find_map(|key| decode::nonempty(&answer[*key]))
        .unwrap_or_default();
    let mut message = format!("{op}: {}", redact_text(&said));
    if matches!(code, 99991672 | 99991676 | 99991679 | 1061073) {
        let violations = &answer["error"]["permission_violations"];
        let advice = scopes::advice(op, violations, code == 99991672);
        message = format!("{op}: {advice}");
    }
    let log_id = decode::nonempty(&answer["error"]["log_id"]).unwrap_or(head.log_id.clone());
    if !log_id.is_empty() {
        message.push_str(&format!(" [log id {}]", redact_text(&log_id)));
    }
    let (kind, again, effect) = classify(head, code);
    DriveError::new(kind, message)
        .retry(again)
        .effect(effect)
        .code(code.to_string())
}

/// The error of an answer that is not the service's envelope (a gateway, a page).
pub fn foreign(op: &str, head: &Head) -> DriveError {
    let status = head.status;
    let message = format!("{op}: HTTP {status} without an answer of the service");
    let error = match status {
        401 => DriveError::new(ErrorKind::Auth, message).effect(AccountEffect::Refresh),
        // Section 8: the user may not; section 10: no permission.
        403 => DriveError::new(ErrorKind::Auth, message).code(FORBIDDEN),
        413 => DriveError::new(ErrorKind::TooLarge, message),
        429 => DriveError::new(ErrorKind::RateLimited, message).retry(throttled(head)),
        500..=599 => DriveError::new(ErrorKind::Provider, message).retry(Retry::Backoff),
        200..=299 => DriveError::new(ErrorKind::BadAnswer, message).retry(Retry::Backoff),
        _ => DriveError::new(ErrorKind::BadAnswer, message),
    };
    if head.log_id.is_empty() {
        return error;
    }
    DriveError {
        message: format!("{} [log id {}]", error.message, redact_text(&head.log_id)),
        ..error
    }
}

/// A second where the server does not say (section 10: 1 to 2).
fn throttled(head: &Head) -> Retry {
    Retry::After(head.pause.unwrap_or(Duration::from_secs(1)))
}

/// The table of section 10.
fn classify(head: &Head, code: i64) -> (ErrorKind, Retry, AccountEffect) {
    use ErrorKind as K;
    let plain = |kind| (kind, Retry::Never, AccountEffect::None);
    let again = |kind, retry| (kind, retry, AccountEffect::None);
    match code {
        99991400 => again(K::RateLimited, throttled(head)),
        1061045 => again(K::Busy, Retry::After(Duration::from_secs(1))),
        1061001 | 2200 => again(K::Provider, Retry::Backoff),
        99991661 | 99991663 | 99991668 | 99991671 | 99991677 | 1061005 => {
            (K::Auth, Retry::Never, AccountEffect::Refresh)
        }
        99991672 | 99991676 | 99991679 | 1061073 => plain(K::Auth),
        99991543 | 99991662 | 99991673 => plain(K::Auth),
        1061004 | 981004 => plain(K::Auth),
        1061003 | 1061007 | 981003 => plain(K::NotFound),
        1061041 | 1061044 => plain(K::NotFound),
        // An upload that is gone, or another user's: it starts anew.
        1061021 | 1062007 => plain(K::NotFound),
        1061022 => again(K::Busy, Retry::Backoff),
        1061043 => plain(K::TooLarge),
        1061061 | 1061101 | 1062507 => plain(K::QuotaFull),
        1062008 => again(K::Verification, Retry::Backoff),
        1062009 | 1062010 => plain(K::Verification),
        1064230 => again(K::Busy, Retry::Backoff),
        99992402 | 1061002 | 1061042 | 1061109 | 1062011 | 1064001 | 981002 => plain(K::Invalid),
        1061500 | 1064510 | 1064511 => plain(K::Provider),
        _ => match head.status {
            401 => (K::Auth, Retry::Never, AccountEffect::Refresh),
            403 => plain(K::Auth),
            429 => again(K::RateLimited, throttled(head)),
            500..=599 => again(K::Provider, Retry::Backoff),
            _ => plain(K::Provider),
        },
    }
}

/// Whether a code is in the table, and the kind of error that it is there.
pub fn kind_of(code: i64) -> Option<ErrorKind> {
    let head = Head {
        status: 200,
        ..Head::default()
    };
    let known = [1061500, 1064510, 1064511].contains(&code);
    let (kind, retry, _) = classify(&head, code);
    (known || kind != ErrorKind::Provider || retry != Retry::Never).then_some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16) -> Head {
        Head {
            status,
            ..Head::default()
        }
    }

    fn error(status: u16, body: &str) -> DriveError {
        answer_of("mkdir", &head(status), body.as_bytes()).unwrap_err()
    }

    #[test]
    fn the_code_decides_and_not_the_status() {
        let data = answer_of(
            "t",
            &head(200),
            br#"{"code":0,"msg":"success","data":{"a":1}}"#,
        );
        assert_eq!(data.unwrap()["a"], 1);
        assert!(
            answer_of("t", &head(200), br#"{"code":0}"#)
                .unwrap()
                .is_null()
        );
        let gone = r#"{"code":1061003,"msg":"not found."}"#;
        for status in [200, 400, 404] {
            assert_eq!(error(status, gone).kind, ErrorKind::NotFound);
        }
        assert_eq!(error(500, r#"{"code":0}"#).kind, ErrorKind::Provider);
        assert_eq!(error(200, r#"{"msg":"ok"}"#).kind, ErrorKind::BadAnswer);
    }

    #[test]
    fn codes_become_kinds() {
        for (code, kind) in [
            (99991400, ErrorKind::RateLimited),
            (1061045, ErrorKind::Busy),
            (1061004, ErrorKind::Auth),
            (1061007, ErrorKind::NotFound),
            (1061044, ErrorKind::NotFound),
            (1061043, ErrorKind::TooLarge),
            (1061101, ErrorKind::QuotaFull),
            (1062507, ErrorKind::QuotaFull),
            (1061109, ErrorKind::Invalid),
            (1062009, ErrorKind::Verification),
            (4711, ErrorKind::Provider),
        ] {
            let body = format!(r#"{{"code":{code},"msg":"x"}}"#);
            let error = error(400, &body);
            assert_eq!(error.kind, kind, "{code}");
            assert_eq!(error.code, Some(code.to_string()));
        }
        assert_eq!(kind_of(1061003), Some(ErrorKind::NotFound));
        assert_eq!(kind_of(1061001), Some(ErrorKind::Provider));
        assert_eq!(kind_of(4711), None);
    }

    #[test]
    fn a_dead_token_asks_for_a_new_one() {
        for (status, body) in [
            (400, r#"{"code":99991677,"msg":"expired"}"#),
            (200, r#"{"code":99991663,"msg":"invalid"}"#),
            (401, "<html>"),
        ] {
            assert_eq!(error(status, body).account, AccountEffect::Refresh);
        }
    }

    // S2-37, S2-38: scopes are known per operation.
    #[test]
    fn a_missing_scope_is_named() {
        let lacking = error(403, r#"{"code":99991679,"msg":"Unauthorized"}"#);
        assert_eq!(lacking.kind, ErrorKind::Auth);
        assert_eq!(lacking.account, AccountEffect::None);
        assert!(lacking.message.contains("space:folder:create"), "{lacking}");
        let told = error(
            400,
            r#"{"code":99991672,"msg":"x","error":{"log_id":"L9","permission_violations":[{"type":"t","subject":"drive:drive"}]}}"#,
        );
        assert!(told.message.contains("drive:drive") && told.message.contains("L9"));
    }

    #[test]
    fn a_throttled_call_waits_as_long_as_the_header_says() {
        let body = br#"{"code":99991400,"msg":"request trigger frequency limit"}"#;
        let told = Head {
            pause: seconds("3"),
            ..head(400)
        };
        let error_told = answer_of("t", &told, body).unwrap_err();
        assert_eq!(error_told.retry, Retry::After(Duration::from_secs(3)));
        let untold = answer_of("t", &head(429), body).unwrap_err();
        assert_eq!(untold.retry, Retry::After(Duration::from_secs(1)));
        assert_eq!(error(429, "").kind, ErrorKind::RateLimited);
    }

    #[test]
    fn pages_of_gateways_are_no_verdicts() {
        assert_eq!(error(200, "<html>hello").kind, ErrorKind::BadAnswer);
        assert_eq!(error(404, "<html>nginx").kind, ErrorKind::BadAnswer);
        assert_eq!(error(502, "").retry, Retry::Backoff);
        assert!(may_have_happened(&error(502, "")));
        assert!(is_forbidden(&error(403, "")));
        assert!(!may_have_happened(&error(200, r#"{"code":1061002}"#)));
    }
}
