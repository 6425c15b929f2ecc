//! What an answer of the service means (sheet sections 3 and 10). `error_code` is overloaded:
//! the pair of code and name decides.

use std::time::Duration;

use serde_json::Value;

use crate::drive::{AccountEffect, DriveError, ErrorKind, decode};
use crate::net::{Retry, redact_text};

/// A pause when the service keeps saying "too frequent": minutes (section 10, code 10).
pub const TOO_FREQUENT: Duration = Duration::from_secs(120);

/// Code of [`DriveError`] for a device that a person has to confirm (4002 with result `review`).
pub const REVIEW: &str = "review";

/// Code of [`DriveError`] for a captcha sign that does not fit client, version and device.
pub const WRONG_SIGN: &str = "captcha_sign";

/// Whether an answer body is an error, whatever its HTTP status. `success` with code 0 is none
/// (section 3).
pub fn is_error(answer: &Value) -> bool {
    answer["error"]
        .as_str()
        .is_some_and(|name| !matches!(name, "" | "success"))
        || decode::integer(&answer["error_code"]).is_some_and(|code| code != 0)
}

/// Whether the service wants a (new) captcha token. Code 9 alone says nothing.
pub fn wants_captcha(error: &DriveError) -> bool {
    matches!(
        error.code.as_deref(),
        Some("captcha_invalid" | "captcha_required")
    )
}

/// Whether the service says "too frequent" (code 10).
pub fn is_too_frequent(error: &DriveError) -> bool {
    matches!(error.account, AccountEffect::CoolDown(_))
}

/// Whether the error has this name.
pub fn is_named(error: &DriveError, name: &str) -> bool {
    error.code.as_deref() == Some(name)
}

/// Whether a call that failed so may have been carried out all the same.
pub fn may_be_done(error: &DriveError) -> bool {
    matches!(
        error.kind,
        ErrorKind::Network | ErrorKind::Timeout | ErrorKind::BadAnswer | ErrorKind::Provider
    )
}

/// The error an answer stands for. `pause` is its `Retry-After`.
pub fn error_of(op: &str, status: u16, pause: Option<Duration>, body: &[u8]) -> DriveError {
    let answer: Option<Value> = serde_json::from_slice(body).ok();
    let is_json = answer.as_ref().is_some_and(Value::is_object);
    let answer = answer.unwrap_or(Value::Null);
    let name = decode::text(&answer["error"]);
    let code = decode::integer(&answer["error_code"]).unwrap_or(0);
    let message = decode::nonempty(&answer["error_description"])
        .or_else(|| Some(name.clone()).filter(|name| !name.is_empty()))
        .unwrap_or_else(|| String::from_utf8_lossy(body).chars().take(120).collect());
    let text = format!("{op}: HTTP {status} {}", redact_text(&message));
    if message.contains("captcha_sign") {
        // The salts of web clients move with their versions (section 2.2).
        return DriveError::new(
            ErrorKind::Risk,
            format!(
                "{text}; another platform, or a recorded pair (captcha_timestamp and captcha_sign, with the client_version and device_id it was made for), may help"
            ),
        )
        .code(WRONG_SIGN);
    }
    if name.starts_with("captcha") && (code == 4002 || answer["result"] == "review") {
        return DriveError::new(
            ErrorKind::Risk,
            format!("{text}; the service does not know this device: confirm it in a client of Xunlei, or use the device_id of one that is known"),
        )
        .code(REVIEW);
    }
    let (kind, again, effect) = classify(status, code, &name, is_json, pause);
    let error = DriveError::new(kind, text).retry(again).effect(effect);
    if !name.is_empty() && name.len() <= 80 {
        error.code(name)
    } else if code != 0 {
        error.code(code.to_string())
    } else {
        error
    }
}

fn classify(
    status: u16,
    code: i64,
    name: &str,
    is_json: bool,
    pause: Option<Duration>,
) -> (ErrorKind, Retry, AccountEffect) {
    use ErrorKind as K;
    let plain = |kind| (kind, Retry::Never, AccountEffect::None);
    let wait = |kind| (kind, Retry::Backoff, AccountEffect::None);
    match name {
        _ if name.starts_with("captcha") => return plain(K::Risk),
        "file_duplicated_name" => return plain(K::Exists),
        "file_space_not_enough" => return plain(K::QuotaFull),
        "file_in_recycle_bin" => return plain(K::NotFound),
        "file_rename_uncompleted" => return wait(K::Busy),
        "file_rename_to_same_name"
        | "file_name_empty"
        | "file_restore_own"
        | "file_move_or_copy_to_cur" => return plain(K::Invalid),
        // The safe box is not part of the drive.
        "space_token_invalid" => return plain(K::Auth),
        "invalid_grant" | "invalid_account_or_password" | "review_panel" => return plain(K::Auth),
        "unauthenticated" => return (K::Auth, Retry::Never, AccountEffect::Refresh),
        _ if name.starts_with("task_daily_create_limit") => return plain(K::DailyLimit),
        _ if name.ends_with("not_found") => return plain(K::NotFound),
        _ => {}
    }
    match code {
        8 => return plain(K::QuotaFull),
        10 => {
            return (
                K::RateLimited,
                Retry::After(TOO_FREQUENT),
                AccountEffect::CoolDown(TOO_FREQUENT),
            );
        }
        16 | 4121 | 4122 => return (K::Auth, Retry::Never, AccountEffect::Refresh),
        4126 => return plain(K::Auth),
        _ => {}
    }
    let pause = pause.map_or(Retry::Backoff, Retry::After);
    match status {
        200..=299 if is_json => plain(K::Provider),
        200..=399 => plain(K::BadAnswer),
        401 => (K::Auth, Retry::Never, AccountEffect::Refresh),
        // A block page in place of the envelope.
        403 if !is_json => plain(K::Risk),
        403 => plain(K::Auth),
        404 => plain(if is_json { K::NotFound } else { K::BadAnswer }),
        413 => plain(K::TooLarge),
        429 => (K::RateLimited, pause, AccountEffect::None),
        400..=499 => plain(K::Invalid),
        503 | 509 => (K::Provider, pause, AccountEffect::None),
        _ => wait(K::Provider),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> DriveError {
        error_of("test", status, None, body.as_bytes())
    }

    #[test]
    fn the_table_of_the_sheet() {
        for (status, code, name, kind) in [
            (400, 3, "file_duplicated_name", ErrorKind::Exists),
            (400, 3, "file_rename_to_same_name", ErrorKind::Invalid),
            (400, 3, "invalid_argument", ErrorKind::Invalid),
            (400, 8, "file_space_not_enough", ErrorKind::QuotaFull),
            (400, 9, "captcha_invalid", ErrorKind::Risk),
            (400, 9, "captcha_required", ErrorKind::Risk),
            (400, 9, "space_token_invalid", ErrorKind::Auth),
            (400, 9, "file_in_recycle_bin", ErrorKind::NotFound),
            (400, 9, "file_move_or_copy_to_cur", ErrorKind::Invalid),
            (400, 9, "file_rename_uncompleted", ErrorKind::Busy),
            (400, 9, "something_else", ErrorKind::Invalid),
            (400, 10, "x", ErrorKind::RateLimited),
            (401, 16, "unauthenticated", ErrorKind::Auth),
            (400, 4126, "invalid_grant", ErrorKind::Auth),
            (404, 0, "x", ErrorKind::NotFound),
        ] {
            let body =
                format!(r#"{{"error":"{name}","error_code":{code},"error_description":"d"}}"#);
            let error = of(status, &body);
            assert_eq!(error.kind, kind, "{code} {name}");
            assert_eq!(wants_captcha(&error), name.starts_with("captcha"), "{name}");
            assert_eq!(is_too_frequent(&error), code == 10, "{name}");
        }
    }

    #[test]
    fn only_dead_access_tokens_are_refreshed() {
        let of = |code: i64| of(400, &format!(r#"{{"error":"e","error_code":{code}}}"#)).account;
        for code in [16, 4121, 4122] {
            assert_eq!(of(code), AccountEffect::Refresh);
        }
        assert_eq!(of(4126), AccountEffect::None);
    }

    #[test]
    fn what_a_person_must_do_is_no_captcha_loop() {
        for body in [
            r#"{"error":"captcha_invalid","error_code":4002,"error_description":"x"}"#,
            r#"{"error":"captcha_invalid","error_code":9,"result":"review"}"#,
        ] {
            let error = of(400, body);
            assert_eq!(error.code.as_deref(), Some(REVIEW));
            assert!(!wants_captcha(&error));
        }
        let sign = of(
            400,
            r#"{"error":"captcha_invalid","error_code":9,"error_description":"invalid captcha_sign"}"#,
        );
        assert_eq!(sign.code.as_deref(), Some(WRONG_SIGN));
        assert!(sign.message.contains("captcha_timestamp") && !wants_captcha(&sign));
    }

    #[test]
    fn pages_and_gateways() {
        assert_eq!(of(404, "<html>nginx</html>").kind, ErrorKind::BadAnswer);
        assert_eq!(of(403, "<html>blocked</html>").kind, ErrorKind::Risk);
        assert_eq!(of(502, "<html>").retry, Retry::Backoff);
        let pause = Duration::from_secs(7);
        let error = error_of("test", 429, Some(pause), b"{}");
        assert_eq!(error.retry, Retry::After(pause));
    }

    #[test]
    fn an_error_may_hide_in_a_good_status() {
        assert!(is_error(&serde_json::json!({"error":"x","error_code":9})));
        assert!(is_error(
            &serde_json::json!({"error":"success","error_code":"9"})
        ));
        assert!(!is_error(&serde_json::json!({"error":"","files":null})));
        assert!(!is_error(
            &serde_json::json!({"error":"success","error_code":"0"})
        ));
    }
}
