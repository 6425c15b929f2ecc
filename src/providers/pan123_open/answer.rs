//! What an answer says: the envelope's data, or the error it stands for (sheet sections 3, 10).

use std::time::Duration;

use serde_json::Value;

use super::api::Repeat;
use crate::drive::{AccountEffect, DriveError, ErrorKind, Result, decode};
use crate::net::{NetError, NetErrorKind, Retry, redact_text};

/// A pause in seconds; dates and nonsense are no pause.
pub fn seconds(text: &str) -> Option<Duration> {
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
/// is none of the service's own.
pub fn may_have_happened(error: &DriveError) -> bool {
    match error.kind {
        ErrorKind::Timeout | ErrorKind::Network | ErrorKind::BadAnswer => true,
        ErrorKind::Provider => error.code.is_none(),
        _ => false,
    }
}

/// The `data` of an answer, or the error it stands for. A success is `code` 0; the HTTP status
/// is 200 for logical errors, others come from gateways (section 3).
pub fn answer_of(op: &str, status: u16, pause: Option<Duration>, body: &[u8]) -> Result<Value> {
    let success = (200..300).contains(&status);
    let parsed = serde_json::from_slice::<Value>(body)
        .ok()
        .filter(Value::is_object);
    let Some(mut answer) = parsed else {
        return Err(foreign(op, status, pause));
    };
    let code = decode::integer(&answer["code"]);
    if success && code == Some(0) {
        return Ok(answer["data"].take());
    }
    let Some(code) = code.filter(|code| *code != 0) else {
        if success {
            return Err(DriveError::bad_answer(op, "no code in the answer").retry(Retry::Backoff));
        }
        return Err(foreign(op, status, pause));
    };
    let said = decode::text(&answer["message"]);
    let (kind, again, effect) = classify(status, code, &said, pause);
    let mut message = format!("{op}: {}", redact_text(&said));
    if let Some(trace) = decode::nonempty(&answer["x-traceID"]) {
        // Support asks for it.
        message.push_str(&format!(" [trace {trace}]"));
    }
    Err(DriveError::new(kind, message)
        .retry(again)
        .effect(effect)
        .code(code.to_string()))
}

/// The error of an answer that is not the service's envelope (a gateway, a block page).
fn foreign(op: &str, status: u16, pause: Option<Duration>) -> DriveError {
    let message = format!("{op}: HTTP {status} without an answer of the service");
    let (kind, again, effect) = match status {
        401 => (ErrorKind::Auth, Retry::Never, AccountEffect::Refresh),
        // The service refuses with 401 or a code; a bare 403 is a wall before it, such as the
        // block of the address that section 2.3 threatens with.
        403 => (ErrorKind::Risk, Retry::Never, AccountEffect::None),
        413 => (ErrorKind::TooLarge, Retry::Never, AccountEffect::None),
        429 => (
            ErrorKind::RateLimited,
            throttled(pause),
            AccountEffect::None,
        ),
        500..=599 => (ErrorKind::Provider, Retry::Backoff, AccountEffect::None),
        // A login page as HTTP 200 and a missing route alike.
        200..=299 => (ErrorKind::BadAnswer, Retry::Backoff, AccountEffect::None),
        _ => (ErrorKind::BadAnswer, Retry::Never, AccountEffect::None),
    };
    DriveError::new(kind, message).retry(again).effect(effect)
}

/// Limits count per second (section 10).
fn throttled(pause: Option<Duration>) -> Retry {
    Retry::After(pause.unwrap_or(Duration::from_secs(1)))
}

fn classify(
    status: u16,
    code: i64,
    said: &str,
    pause: Option<Duration>,
) -> (ErrorKind, Retry, AccountEffect) {
    use ErrorKind as K;
    let plain = |kind| (kind, Retry::Never, AccountEffect::None);
    match code {
        401 => return (K::Auth, Retry::Never, AccountEffect::Refresh),
        429 => return (K::RateLimited, throttled(pause), AccountEffect::None),
        5066 => return plain(K::NotFound),
        5113 => return plain(K::DailyLimit),
        20103 => {
            return (
                K::Busy,
                Retry::After(Duration::from_secs(1)),
                AccountEffect::None,
            );
        }
        403 => return plain(K::Auth),
        404 => return plain(K::NotFound),
        _ => {}
    }
    let said = said.to_lowercase();
    let has = |texts: &[&str]| texts.iter().any(|text| said.contains(text));
    if has(&["tokens number has exceeded"]) {
        return plain(K::Auth);
    }
    if code == 400 {
        // A bad parameter, and by one source also a dead token: the text tells them apart.
        return if has(&["token", "unauthorized", "登录", "登陆"]) {
            (K::Auth, Retry::Never, AccountEffect::Refresh)
        } else {
            plain(K::Invalid)
        };
    }
    // For everything else "the text decides" (code 1). Missing before existing: 不存在 has 存在.
    if has(&["不存在", "not exist", "not found"]) {
        return plain(K::NotFound);
    }
    if has(&["同名", "已存在", "already exist", "exists", "duplicate"]) {
        return plain(K::Exists);
    }
    if has(&["文件名", "名称", "filename", "file name"]) {
        return plain(K::Invalid);
    }
    if has(&[
        "空间不足",
        "容量不足",
        "space is not enough",
        "insufficient space",
    ]) {
        return plain(K::QuotaFull);
    }
    if has(&["文件过大", "大小超", "too large", "size limit"]) {
        return plain(K::TooLarge);
    }
    if has(&["上传失败"]) {
        return plain(K::Verification);
    }
    if status >= 500 || (500..600).contains(&code) {
        return (K::Provider, Retry::Backoff, AccountEffect::None);
    }
    plain(K::Provider)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, body: &str) -> DriveError {
        answer_of("test", status, None, body.as_bytes()).unwrap_err()
    }

    #[test]
    fn data_comes_out_of_the_envelope() {
        let data = answer_of(
            "t",
            200,
            None,
            br#"{"code":0,"message":"ok","data":{"a":1}}"#,
        );
        assert_eq!(data.unwrap()["a"], 1);
        let data = answer_of(
            "t",
            200,
            None,
            br#"{"code":"0","message":"ok","data":null}"#,
        );
        assert!(data.unwrap().is_null());
        assert!(
            answer_of("t", 200, None, br#"{"code":0}"#)
                .unwrap()
                .is_null()
        );
    }

    #[test]
    fn codes_become_kinds() {
        let cases = [
            (r#"{"code":5066,"message":"x"}"#, ErrorKind::NotFound),
            (r#"{"code":5113,"message":"x"}"#, ErrorKind::DailyLimit),
            (r#"{"code":20103,"message":"x"}"#, ErrorKind::Busy),
            (r#"{"code":429,"message":"x"}"#, ErrorKind::RateLimited),
            (
                r#"{"code":400,"message":"bad parentFileID"}"#,
                ErrorKind::Invalid,
            ),
            (
                r#"{"code":1,"message":"该目录下已经有同名文件夹,无法进行创建"}"#,
                ErrorKind::Exists,
            ),
            (
                r#"{"code":1,"message":"文件名要小于256个字符且不能包含以下任何字符"}"#,
                ErrorKind::Invalid,
            ),
            (
                r#"{"code":1,"message":"父目录不存在"}"#,
                ErrorKind::NotFound,
            ),
            (
                r#"{"code":1,"message":"文件上传失败"}"#,
                ErrorKind::Verification,
            ),
            (r#"{"code":1,"message":"内部错误"}"#, ErrorKind::Provider),
            (
                r#"{"code":1,"message":"tokens number has exceeded the limit"}"#,
                ErrorKind::Auth,
            ),
        ];
        for (body, kind) in cases {
            assert_eq!(error(200, body).kind, kind, "{body}");
        }
    }

    #[test]
    fn a_dead_token_asks_for_a_new_one_in_every_dress() {
        for (status, body) in [
            (200, r#"{"code":401,"message":"access_token is invalid"}"#),
            (200, r#"{"code":400,"message":"token expired"}"#),
            (401, "<html>"),
        ] {
            assert_eq!(
                error(status, body).account,
                AccountEffect::Refresh,
                "{body}"
            );
        }
        let bad = error(200, r#"{"code":400,"message":"limit is wrong"}"#);
        assert_eq!(bad.account, AccountEffect::None);
    }

    #[test]
    fn a_throttled_call_waits_a_second_or_what_the_header_says() {
        let body = br#"{"code":429,"message":"too many requests"}"#;
        let short = answer_of("t", 200, None, body).unwrap_err();
        assert_eq!(short.retry, Retry::After(Duration::from_secs(1)));
        let told = answer_of("t", 429, seconds("7"), body).unwrap_err();
        assert_eq!(told.retry, Retry::After(Duration::from_secs(7)));
    }

    #[test]
    fn pages_of_gateways_are_no_verdicts() {
        assert_eq!(error(200, "<html>hello").kind, ErrorKind::BadAnswer);
        assert_eq!(error(404, "<html>nginx").kind, ErrorKind::BadAnswer);
        assert_eq!(error(502, "").retry, Retry::Backoff);
        assert_eq!(error(403, "<html>blocked").kind, ErrorKind::Risk);
        assert_eq!(error(200, r#"{"message":"ok"}"#).kind, ErrorKind::BadAnswer);
        assert_eq!(error(500, r#"{"code":0}"#).kind, ErrorKind::Provider);
    }

    #[test]
    fn only_a_lost_answer_leaves_doubt() {
        assert!(may_have_happened(&error(502, "")));
        assert!(!may_have_happened(&error(
            200,
            r#"{"code":1,"message":"x"}"#
        )));
        assert!(!may_have_happened(&error(200, r#"{"code":429}"#)));
    }

    #[test]
    fn the_trace_id_is_told() {
        let error = error(200, r#"{"code":1,"message":"x","x-traceID":"t-9"}"#);
        assert!(error.message.contains("t-9"), "{}", error.message);
    }
}
