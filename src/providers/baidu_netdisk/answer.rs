//! What answers mean: four envelopes, one table of codes (sheet sections 3.1, 10).

use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::drive::{AccountEffect, DriveError, ErrorKind, Result, decode};
use crate::net::{Retry, redact_text};

/// How long an account rests after "frequency limit of the interface" (31034): the sheet advises
/// 30 to 60 s, doubled each time; the breaker doubles.
const FREQUENCY_PAUSE: Duration = Duration::from_secs(60);

/// How long an account rests when the service wants a human or shows a wall.
const RISK_PAUSE: Duration = Duration::from_secs(600);

/// How long an account rests when the day's or all calls of the app are used up.
const QUOTA_PAUSE: Duration = Duration::from_secs(3600);

/// "Another task is running" ends in seconds (section 4.7).
const TASK_PAUSE: Duration = Duration::from_secs(5);

/// The answer itself when it is a success.
///
/// # Errors
/// What the status, the page or the code in the envelope stands for.
pub fn judge(op: &str, status: u16, headers: &HeaderMap, body: &[u8]) -> Result<Value> {
    let plain = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let answer = match serde_json::from_slice::<Value>(plain) {
        Ok(answer @ Value::Object(_)) => answer,
        _ => return Err(foreign(op, status, headers)),
    };
    let mut code = code_of(&answer);
    // A batch of one: the item's code says more than "partly failed" (section 4.7).
    let mut item = decode::list(&answer["info"])
        .iter()
        .map(|item| code_text(&item["errno"]));
    if matches!(code.as_str(), "" | "12")
        && let Some(failed) = item.find(|code| !code.is_empty())
    {
        code = failed;
    }
    if code.is_empty() {
        return if (200..300).contains(&status) {
            Ok(answer)
        } else {
            Err(foreign(op, status, headers))
        };
    }
    Err(refusal(op, status, &code, &said(&answer), headers))
}

/// The error of a code.
pub fn refusal(op: &str, status: u16, code: &str, said: &str, headers: &HeaderMap) -> DriveError {
    let (kind, again, effect) = match code.parse::<i64>() {
        // Two meanings; in these calls the other one is far more likely (section 1, rule 7).
        Ok(111) if op == "filemanager" => (
            ErrorKind::Busy,
            Retry::After(TASK_PAUSE),
            AccountEffect::None,
        ),
        Ok(number) => classify(number, status),
        Err(_) => (ErrorKind::Provider, Retry::Never, AccountEffect::None),
    };
    let again = match (status, again) {
        (429 | 503, Retry::Backoff) => told_pause(headers).map_or(Retry::Backoff, Retry::After),
        (_, again) => again,
    };
    let said: String = said.chars().take(160).collect();
    let mut message = format!("{op}: {}", redact_text(&said));
    if matches!(code, "-7" | "31064") {
        message
            .push_str("; an app may write below /apps/ and its name only, unless it is approved");
    }
    DriveError::new(kind, message)
        .retry(again)
        .effect(effect)
        .code(code)
}

/// The first of the four error fields that says something; empty for a success.
fn code_of(answer: &Value) -> String {
    ["errno", "error_code", "error", "error_no"]
        .into_iter()
        .map(|field| code_text(&answer[field]))
        .find(|code| !code.is_empty())
        .unwrap_or_default()
}

fn code_text(value: &Value) -> String {
    let text = match decode::integer(value) {
        Some(number) => number.to_string(),
        None => decode::text(value),
    };
    if text == "0" { String::new() } else { text }
}

/// What an answer says for people.
pub fn said(answer: &Value) -> String {
    ["errmsg", "show_msg", "error_msg", "error_description"]
        .into_iter()
        .find_map(|field| decode::nonempty(&answer[field]))
        .unwrap_or_default()
}

fn told_pause(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("retry-after")?.to_str().ok()?;
    let seconds = text.trim().parse::<u64>().ok()?;
    Some(Duration::from_secs(seconds.min(3600)))
}

/// An answer that is none of the service's envelopes: a gateway, a wall, a page.
fn foreign(op: &str, status: u16, headers: &HeaderMap) -> DriveError {
    let message = format!("{op}: HTTP {status} without an answer of the service");
    let error = |kind| DriveError::new(kind, message.clone());
    match status {
        401 => error(ErrorKind::Auth).effect(AccountEffect::Refresh),
        // Refusals of the service carry a code; a bare one is a wall before it.
        403 | 405 => error(ErrorKind::Risk).effect(AccountEffect::CoolDown(RISK_PAUSE)),
        408 => error(ErrorKind::Provider).retry(Retry::Backoff),
        413 => error(ErrorKind::TooLarge),
        429 => error(ErrorKind::RateLimited)
            .retry(told_pause(headers).map_or(Retry::Backoff, Retry::After)),
        500..=599 => error(ErrorKind::Provider).retry(Retry::Backoff),
        _ => error(ErrorKind::BadAnswer),
    }
}

/// The table of section 10.
fn classify(code: i64, status: u16) -> (ErrorKind, Retry, AccountEffect) {
    use AccountEffect::{CoolDown, Refresh};
    use ErrorKind as K;
    let plain = |kind| (kind, Retry::Never, AccountEffect::None);
    let again = |kind| (kind, Retry::Backoff, AccountEffect::None);
    let after = |kind, seconds| {
        let pause = Retry::After(Duration::from_secs(seconds));
        (kind, pause, AccountEffect::None)
    };
    match code {
        -6 | 110 | 111 | 31045 | 31626 => (K::Auth, Retry::Never, Refresh),
        -3 | -9 | 2131 | 31063 | 31066 => plain(K::NotFound),
        -7 | 31062 => plain(K::Invalid),
        -8 | 31061 => plain(K::Exists),
        -10 | -32 | 31065 | 31112 => plain(K::QuotaFull),
        31365 => plain(K::TooLarge),
        31034 => (K::Risk, Retry::Never, CoolDown(FREQUENCY_PAUSE)),
        -19 | -62 | 132 | 8002 | 9019 | 42001 => (K::Risk, Retry::Never, CoolDown(RISK_PAUSE)),
        9100..=9500 => (K::Auth, Retry::Never, CoolDown(QUOTA_PAUSE)),
        17 | 19 => (K::RateLimited, Retry::Never, CoolDown(QUOTA_PAUSE)),
        4 | 18 => after(K::RateLimited, 2),
        20012 => after(K::RateLimited, 60),
        42000 | 31218 | 31219 | 31220 => again(K::RateLimited),
        31001 | 31021 | 31212 | 42212 | 42905 => again(K::Provider),
        3 | 5 | 6 | 11 | 100 | 20011 | 20013 | 20015 | 31024 | 31064 | 42213 => plain(K::Auth),
        -40001 | -40002 | 2 | 12 | 213 | 255 | 31023 | 31208 | 31299 | 31364 => plain(K::Invalid),
        13998 | 42999 | 31500 => plain(K::Unsupported),
        _ if status >= 500 => again(K::Provider),
        _ if status == 429 => again(K::RateLimited),
        _ => plain(K::Provider),
    }
}

/// Whether the call may have been carried out although it failed here: the answer was lost, or
/// is none of the service's own.
pub fn may_have_happened(error: &DriveError) -> bool {
    error.code.is_none()
        && matches!(
            error.kind,
            ErrorKind::Network | ErrorKind::Timeout | ErrorKind::Provider | ErrorKind::BadAnswer
        )
}

/// Whether the upload session is of no more use and the upload starts anew from `precreate`
/// (sections 7.3, 10).
pub fn is_restart(error: &DriveError) -> bool {
    let told = matches!(
        error.code.as_deref(),
        Some("10" | "31081" | "31082" | "31083" | "31190" | "31353" | "31355" | "31363")
    );
    told || (error.code.is_some() && error.message.to_lowercase().contains("uploadid"))
}

/// Whether the app may not write at this place (section 9): then its own folder may do.
pub fn is_off_limits(error: &DriveError) -> bool {
    matches!(error.code.as_deref(), Some("-7" | "31064"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(op: &str, status: u16, body: &str) -> DriveError {
        judge(op, status, &HeaderMap::new(), body.as_bytes()).unwrap_err()
    }

    #[test]
    fn successes_of_every_envelope_pass() {
        for body in [
            r#"{"errno":0,"list":null,"request_id":9013212345678901234}"#,
            r#"{"errno":"0","request_id":1.8273e+17}"#,
            r#"{"md5":"c587","request_id":1,"partseq":"0"}"#,
            r#"{"error_code":0,"error_msg":"","servers":[]}"#,
            r#"{"errno":0,"info":[{"errno":0,"path":"/a"}],"taskid":0}"#,
            r#"{"errno":0,"return_type":2,"info":{"fs_id":1,"errno":0}}"#,
        ] {
            assert!(
                judge("t", 200, &HeaderMap::new(), body.as_bytes()).is_ok(),
                "{body}"
            );
        }
    }

    #[test]
    fn codes_become_kinds() {
        for (status, body, kind) in [
            (200, r#"{"errno":-9,"errmsg":"x"}"#, ErrorKind::NotFound),
            (200, r#"{"errno":"-9"}"#, ErrorKind::NotFound),
            (200, r#"{"errno":31066}"#, ErrorKind::NotFound),
            (200, r#"{"errno":-8}"#, ErrorKind::Exists),
            (200, r#"{"errno":-10}"#, ErrorKind::QuotaFull),
            (200, r#"{"errno":-7}"#, ErrorKind::Invalid),
            (
                403,
                r#"{"error_code":31064,"error_msg":"x"}"#,
                ErrorKind::Auth,
            ),
            (403, r#"{"error_code":31365}"#, ErrorKind::TooLarge),
            (200, r#"{"errno":4}"#, ErrorKind::RateLimited),
            (400, r#"{"error":"invalid_grant"}"#, ErrorKind::Provider),
            (200, r#"{"error_no":31023}"#, ErrorKind::Invalid),
            (200, r#"{"errno":77777}"#, ErrorKind::Provider),
        ] {
            assert_eq!(of("t", status, body).kind, kind, "{body}");
        }
    }

    #[test]
    fn a_refused_token_is_renewed() {
        for body in [
            r#"{"errno":-6}"#,
            r#"{"errno":111}"#,
            r#"{"error_code":110,"error_msg":"Access token invalid or no longer valid"}"#,
            r#"{"error_code":31045}"#,
        ] {
            assert_eq!(of("list", 200, body).account, AccountEffect::Refresh);
        }
        assert_eq!(of("list", 401, "").account, AccountEffect::Refresh);
        // The same number in a file operation: another task of the account is running.
        let busy = of("filemanager", 200, r#"{"errno":111}"#);
        assert_eq!(
            (busy.kind, busy.account),
            (ErrorKind::Busy, AccountEffect::None)
        );
        assert_eq!(busy.retry, Retry::After(TASK_PAUSE));
    }

    #[test]
    fn the_item_says_what_the_batch_does_not() {
        let body = r#"{"errno":12,"info":[{"errno":-8,"path":"/a"}],"request_id":"1"}"#;
        let error = of("filemanager", 200, body);
        assert_eq!(
            (error.kind, error.code.as_deref()),
            (ErrorKind::Exists, Some("-8"))
        );
        let quiet = r#"{"errno":0,"info":[{"errno":"-9","path":"/a"}]}"#;
        assert_eq!(of("filemanager", 200, quiet).kind, ErrorKind::NotFound);
        assert_eq!(
            of("filemanager", 200, r#"{"errno":12,"info":[]}"#).kind,
            ErrorKind::Invalid
        );
    }

    #[test]
    fn risk_control_rests_the_account_and_says_so() {
        let limit = of(
            "list",
            200,
            r#"{"errno":31034,"errmsg":"hit frequence limit"}"#,
        );
        assert_eq!(limit.account, AccountEffect::CoolDown(FREQUENCY_PAUSE));
        let captcha = of("list", 200, r#"{"errno":-19,"vcode":"1"}"#);
        for error in [limit, captcha, of("list", 403, "<html>")] {
            assert_eq!((error.kind, error.retry), (ErrorKind::Risk, Retry::Never));
            assert_eq!(error.errno(), libc::EBUSY);
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn pages_and_gateways_are_no_answers() {
        assert_eq!(of("list", 200, "<html>login").kind, ErrorKind::BadAnswer);
        assert_eq!(
            of("list", 200, "<?xml version=\"1.0\"?><Error/>").kind,
            ErrorKind::BadAnswer
        );
        assert_eq!(of("list", 200, "[]").kind, ErrorKind::BadAnswer);
        assert_eq!(of("list", 404, "<html>nginx").kind, ErrorKind::BadAnswer);
        assert_eq!(of("list", 502, "").retry, Retry::Backoff);
        assert_eq!(of("list", 500, "{}").kind, ErrorKind::Provider);
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", reqwest::header::HeaderValue::from(7));
        let limited = judge("list", 429, &headers, b"slow down").unwrap_err();
        assert_eq!(limited.kind, ErrorKind::RateLimited);
        assert_eq!(limited.retry, Retry::After(Duration::from_secs(7)));
    }

    #[test]
    fn a_dead_upload_session_is_recognised() {
        let dead = of(
            "put_part",
            403,
            r#"{"error_code":31355,"error_msg":"uploadid is invalid or expired"}"#,
        );
        assert!(is_restart(&dead) && !may_have_happened(&dead));
        let by_text = of(
            "put_part",
            400,
            r#"{"error_code":1,"error_msg":"UploadId not found"}"#,
        );
        assert!(is_restart(&by_text));
        assert!(!is_restart(&of("put_part", 200, r#"{"errno":-8}"#)));
        assert!(may_have_happened(&of("create", 502, "")));
        assert!(!may_have_happened(&of("create", 200, r#"{"errno":-8}"#)));
    }

    #[test]
    fn no_secret_reaches_an_error_text() {
        let error = of(
            "list",
            200,
            r#"{"errno":2,"errmsg":"bad access_token=121.0123456789abcdef0123456789abcdef.Xyz"}"#,
        );
        assert!(!error.to_string().contains("0123456789abcdef"), "{error}");
    }
}
