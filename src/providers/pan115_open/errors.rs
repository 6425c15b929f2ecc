//! What answers mean: envelopes, block signals and codes (sheet sections 3.1, 10).

use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::drive::{AccountEffect, DriveError, ErrorKind, Result, decode};
use crate::net::{Retry, redact_text};

/// How long an account rests after a block page; field practice is 11 minutes (section 10.1).
pub const BLOCK_PAUSE: Duration = Duration::from_secs(11 * 60);

/// The answer itself when it is a success.
///
/// # Errors
/// What the status, the page or the code in the envelope stands for.
pub fn judge(op: &str, status: u16, headers: &HeaderMap, body: &[u8]) -> Result<Value> {
    let answer = match serde_json::from_slice::<Value>(body) {
        Ok(answer @ Value::Object(_)) => answer,
        _ => return Err(no_envelope(op, status, headers, body)),
    };
    let code = code_of(&answer);
    let state = match &answer["state"] {
        Value::Null => code.is_empty(),
        state => decode::flag(state),
    };
    // Some failures say `state: true` with a code and no data.
    let ok =
        (200..300).contains(&status) && state && (code.is_empty() || !is_empty(&answer["data"]));
    if ok {
        return Ok(answer);
    }
    let message = message_of(&answer);
    if code.is_empty() && !(200..300).contains(&status) {
        return Err(no_envelope(op, status, headers, body));
    }
    if code.is_empty() && message.is_empty() {
        // Seen when asking too fast; never an empty directory (section 10.1).
        return Err(DriveError::new(
            ErrorKind::RateLimited,
            format!("{op}: refused without a reason, as when asked too fast"),
        )
        .retry(Retry::After(Duration::from_secs(2))));
    }
    Err(refusal(op, &code, &message))
}

/// The error of a code and message.
pub fn refusal(op: &str, code: &str, message: &str) -> DriveError {
    let (kind, again, effect) = classify(code, message);
    let error = DriveError::new(kind, format!("{op}: {}", redact_text(&shortened(message))))
        .retry(again)
        .effect(effect);
    if code.is_empty() {
        error
    } else {
        error.code(code)
    }
}

/// The first code of an envelope that is not zero, empty when there is none.
pub fn code_of(answer: &Value) -> String {
    ["code", "errno", "errNo", "errcode", "msg_code"]
        .into_iter()
        .map(|key| decode::text(&answer[key]))
        .find(|code| !matches!(code.as_str(), "" | "0" | "false"))
        .unwrap_or_default()
}

/// What the envelope says for people.
pub fn message_of(answer: &Value) -> String {
    ["message", "error", "msg"]
        .into_iter()
        .find_map(|key| decode::nonempty(&answer[key]))
        .unwrap_or_default()
}

/// Whether a value is one of PHP's spellings of nothing.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// An answer that is no envelope: a page of the firewall, a gateway, a bare status.
fn no_envelope(op: &str, status: u16, headers: &HeaderMap, body: &[u8]) -> DriveError {
    let seconds = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok())
            .filter(|seconds| *seconds <= 86_400)
    };
    match status {
        405 | 418 => DriveError::new(
            ErrorKind::Risk,
            format!("{op}: HTTP {status}, blocked by the provider's firewall"),
        )
        .effect(AccountEffect::CoolDown(BLOCK_PAUSE)),
        429 => {
            let pause = seconds("x-ratelimit-reset")
                .or_else(|| seconds("retry-after"))
                .map_or(Retry::Backoff, |s| Retry::After(Duration::from_secs(s)));
            DriveError::new(ErrorKind::RateLimited, format!("{op}: HTTP 429")).retry(pause)
        }
        // Spurious at the upload init: the same token works a moment later (section 6.2).
        401 if op == "upload_init" => {
            DriveError::new(ErrorKind::Provider, format!("{op}: HTTP 401"))
                .code("401")
                .retry(Retry::Backoff)
        }
        401 => DriveError::new(ErrorKind::Auth, format!("{op}: HTTP 401"))
            .effect(AccountEffect::Refresh),
        403 => DriveError::new(ErrorKind::Auth, format!("{op}: HTTP 403")),
        500..=599 => DriveError::new(ErrorKind::Provider, format!("{op}: HTTP {status}"))
            .retry(Retry::Backoff),
        _ => {
            let head = shortened(&String::from_utf8_lossy(body));
            DriveError::bad_answer(op, format!("HTTP {status} {}", redact_text(&head)))
                .retry(Retry::Backoff)
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(160).collect()
}

/// Codes of sections 10.1 to 10.3.
fn classify(code: &str, message: &str) -> (ErrorKind, Retry, AccountEffect) {
    use ErrorKind as K;
    let plain = |kind| (kind, Retry::Never, AccountEffect::None);
    let again = |kind| (kind, Retry::Backoff, AccountEffect::None);
    match code {
        "99" | "990001" => (K::Auth, Retry::Never, AccountEffect::Refresh),
        "911" => (K::Risk, Retry::Never, AccountEffect::CoolDown(BLOCK_PAUSE)),
        "40101004" => (
            K::Risk,
            Retry::Never,
            AccountEffect::CoolDown(Duration::from_secs(6 * 3600)),
        ),
        "770004" => (
            K::RateLimited,
            Retry::After(Duration::from_secs(1)),
            AccountEffect::None,
        ),
        "590075" => (
            K::RateLimited,
            Retry::After(Duration::from_secs(10)),
            AccountEffect::None,
        ),
        "40100000" | "990002" | "1001" | "200900" | "980006" => plain(K::Invalid),
        "40110000" | "990003" => again(K::Provider),
        "20004" => plain(K::Exists),
        "20001" | "20003" | "91002" | "800006" | "91004" | "990023" => plain(K::Invalid),
        "20002" => plain(K::NameTooLong),
        "20020" | "20021" => plain(K::Unsupported),
        "20009" | "20013" | "20018" | "31001" | "31003" | "50015" | "70005" | "70008" | "90008"
        | "231011" | "430004" | "800001" | "10014" | "50001" | "50003" => plain(K::NotFound),
        "31004" | "70004" => plain(K::Provider),
        "50028" | "300104" | "300105" => plain(K::TooLarge),
        // With a message the content is blocked, without one it is transient.
        "50038" if message.is_empty() => again(K::Provider),
        "50038" => plain(K::Auth),
        "91005" | "2" => plain(K::QuotaFull),
        "990005" | "990009" | "990019" => again(K::Busy),
        // Whatever else is wrong with the token: renew it, then ask once more.
        code if code.starts_with("401") && code.len() == 8 => {
            (K::Auth, Retry::Never, AccountEffect::Refresh)
        }
        _ => plain(K::Provider),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> DriveError {
        judge("list", status, &HeaderMap::new(), body.as_bytes()).unwrap_err()
    }

    #[test]
    fn codes_become_kinds() {
        for (body, kind) in [
            (
                r#"{"state":false,"code":20004,"message":"x"}"#,
                ErrorKind::Exists,
            ),
            (
                r#"{"state":false,"errno":"430004","error":"x"}"#,
                ErrorKind::NotFound,
            ),
            (
                r#"{"state":false,"code":0,"errno":990009}"#,
                ErrorKind::Busy,
            ),
            (
                r#"{"state":false,"code":20020,"message":"x"}"#,
                ErrorKind::Unsupported,
            ),
            (
                r#"{"state":false,"code":91005,"message":"x"}"#,
                ErrorKind::QuotaFull,
            ),
            (
                r#"{"state":false,"code":770004,"message":"x"}"#,
                ErrorKind::RateLimited,
            ),
            (
                r#"{"state":false,"code":911,"message":"x"}"#,
                ErrorKind::Risk,
            ),
            (
                r#"{"state":true,"code":50003,"data":[]}"#,
                ErrorKind::NotFound,
            ),
            (
                r#"{"state":false,"code":123456,"message":"new"}"#,
                ErrorKind::Provider,
            ),
        ] {
            assert_eq!(of(200, body).kind, kind, "{body}");
        }
    }

    #[test]
    fn a_refused_token_is_renewed() {
        for body in [
            r#"{"state":false,"code":40140125,"message":"x"}"#,
            r#"{"state":0,"code":0,"errno":40140123,"error":"x"}"#,
            r#"{"state":false,"code":99,"message":"x"}"#,
        ] {
            assert_eq!(of(200, body).account, AccountEffect::Refresh, "{body}");
        }
        assert_eq!(
            of(200, r#"{"state":false,"code":40100000,"message":"x"}"#).account,
            AccountEffect::None
        );
    }

    #[test]
    fn an_empty_refusal_is_a_rate_limit() {
        let error = of(200, r#"{"state":false,"message":"","code":0,"data":[]}"#);
        assert_eq!(error.kind, ErrorKind::RateLimited);
        assert_ne!(error.retry, Retry::Never);
    }

    #[test]
    fn block_pages_and_gateways() {
        assert_eq!(of(405, "<html>").kind, ErrorKind::Risk);
        assert_eq!(of(418, "<html>").retry, Retry::Never);
        assert_eq!(of(200, "<html>").kind, ErrorKind::BadAnswer);
        assert_eq!(of(502, "<html>").retry, Retry::Backoff);
        assert_eq!(of(401, "").account, AccountEffect::Refresh);
        let init = judge("upload_init", 401, &HeaderMap::new(), b"").unwrap_err();
        assert_eq!(
            (init.account, init.retry),
            (AccountEffect::None, Retry::Backoff)
        );
        let mut headers = HeaderMap::new();
        headers.insert("x-ratelimit-reset", reqwest::header::HeaderValue::from(7));
        let limited = judge("list", 429, &headers, b"").unwrap_err();
        assert_eq!(limited.retry, Retry::After(Duration::from_secs(7)));
    }

    #[test]
    fn blocked_content_and_its_transient_twin() {
        let blocked = of(
            200,
            r#"{"state":false,"code":50038,"message":"下载失败，含违规内容"}"#,
        );
        assert_eq!(
            (blocked.kind, blocked.retry),
            (ErrorKind::Auth, Retry::Never)
        );
        let transient = of(200, r#"{"state":false,"code":50038,"message":""}"#);
        assert_eq!(transient.retry, Retry::Backoff);
    }

    #[test]
    fn successes_pass() {
        for body in [
            r#"{"state":true,"code":0,"message":"","data":[]}"#,
            r#"{"state":1,"code":0,"data":{"a":1},"errno":0}"#,
            r#"{"code":0,"data":{"a":1}}"#,
        ] {
            assert!(judge("t", 200, &HeaderMap::new(), body.as_bytes()).is_ok());
        }
    }
}
