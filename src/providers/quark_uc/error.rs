//! What an answer means (sheet quark, 10; sheet uc, 10). The HTTP status and the code in the
//! body are independent: either may be the one that tells.

use std::time::Duration;

use serde_json::Value;

use super::brand::Brand;
use crate::drive::{AccountEffect, DriveError, ErrorKind, decode};
use crate::net::{Retry, redact_text};

/// The pause after the service refused the account as a robot.
pub const RISK: Duration = Duration::from_secs(600);

/// The code of the gateway's refusal (HTTP 412).
const GATEWAY: &str = "412";

/// Whether the gateway refused a call.
pub fn is_wall(error: &DriveError) -> bool {
    error.kind == ErrorKind::Risk && is_code(error, GATEWAY)
}

/// Whether an answer body is a success, whatever its HTTP status.
pub fn is_good(answer: &Value) -> bool {
    answer.is_object()
        && decode::integer(&answer["code"]).unwrap_or(0) == 0
        && decode::integer(&answer["status"]).unwrap_or(200) < 400
}

/// Whether the error has this code.
pub fn is_code(error: &DriveError, code: &str) -> bool {
    error.code.as_deref() == Some(code)
}

/// Whether a call that failed so may have been carried out all the same.
pub fn may_be_done(error: &DriveError) -> bool {
    matches!(
        error.kind,
        ErrorKind::Network | ErrorKind::Timeout | ErrorKind::BadAnswer | ErrorKind::Provider
    )
}

/// Whether the ticket of a share has run out (section 4.11).
pub fn is_stale_ticket(error: &DriveError) -> bool {
    is_code(error, "41020") || is_code(error, "14001")
}

/// The error an answer stands for. `pause` is its `Retry-After`.
pub fn error_of(
    brand: &Brand,
    op: &str,
    status: u16,
    pause: Option<Duration>,
    body: &[u8],
) -> DriveError {
    let answer: Option<Value> = serde_json::from_slice(body).ok();
    let known = answer.filter(|answer| !answer["code"].is_null() || !answer["status"].is_null());
    let is_ours = known.is_some();
    let answer = known.unwrap_or(Value::Null);
    let code = decode::integer(&answer["code"]).unwrap_or(0);
    let message = decode::nonempty(&answer["message"])
        .unwrap_or_else(|| String::from_utf8_lossy(body).chars().take(120).collect());
    let (kind, again, effect) = classify(brand, op, status, code, &message, is_ours, pause);
    let shown = redact_text(&message.chars().take(200).collect::<String>());
    let error = DriveError::new(kind, format!("{op}: HTTP {status} {shown}"))
        .retry(again)
        .effect(effect);
    if kind == ErrorKind::Risk && status == 412 {
        error.code(GATEWAY)
    } else if code != 0 {
        error.code(code.to_string())
    } else if !is_ours && status != 200 {
        error.code(status.to_string())
    } else {
        error
    }
}

fn classify(
    brand: &Brand,
    op: &str,
    status: u16,
    code: i64,
    message: &str,
    is_ours: bool,
    pause: Option<Duration>,
) -> (ErrorKind, Retry, AccountEffect) {
    use ErrorKind as K;
    let plain = |kind| (kind, Retry::Never, AccountEffect::None);
    let wait = (
        K::RateLimited,
        pause.map_or(Retry::Backoff, Retry::After),
        AccountEffect::None,
    );
    let login = (K::Auth, Retry::Never, AccountEffect::Refresh);
    let link = op.starts_with("link");
    if message.contains("user NOT real name") || message.contains("用户等级限制") {
        return plain(K::Invalid);
    }
    match code {
        31001 | 50051 => return login,
        41001 if brand.login_41001 || message.contains("login") => return login,
        41001 => return plain(K::NotFound),
        15000 => return wait,
        23008 => return plain(K::Exists),
        23017 | 23018 if link => return plain(K::TooLarge),
        23017 | 23018 | 32003 | 41019 => return plain(K::QuotaFull),
        31003 => return plain(K::Verification),
        14001 => return plain(K::Invalid),
        41008 | 41012 => return plain(K::Auth),
        41013 if message.contains("违规") || message.contains("violat") => return plain(K::Auth),
        404 | 41006 | 41010 | 41013 | 41014 => return plain(K::NotFound),
        41020 if brand.busy_41020 => return wait,
        41020 | 41026 => return plain(K::Invalid),
        _ => {}
    }
    match status {
        200..=299 if is_ours => plain(K::Provider),
        200..=399 => plain(K::BadAnswer),
        401 => login,
        // The gateway's refusal: "wait, check the login, retry once".
        412 => plain(K::Risk),
        403 if !is_ours => (K::Risk, Retry::Never, AccountEffect::CoolDown(RISK)),
        403 => plain(K::Auth),
        404 | 405 if !is_ours => plain(K::BadAnswer),
        404 => plain(K::NotFound),
        408 => (K::Timeout, Retry::Backoff, AccountEffect::None),
        413 => plain(K::TooLarge),
        429 => wait,
        400..=499 => plain(K::Invalid),
        503 => (
            K::Provider,
            pause.map_or(Retry::Backoff, Retry::After),
            AccountEffect::None,
        ),
        _ => (K::Provider, Retry::Backoff, AccountEffect::None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::brand::{QUARK, UC};
    use super::*;

    fn of(status: u16, body: &str) -> DriveError {
        error_of(&QUARK, "test", status, None, body.as_bytes())
    }

    #[test]
    fn the_table_of_the_sheet() {
        for (code, kind) in [
            (31001, ErrorKind::Auth),
            (50051, ErrorKind::Auth),
            (23008, ErrorKind::Exists),
            (23018, ErrorKind::QuotaFull),
            (32003, ErrorKind::QuotaFull),
            (41019, ErrorKind::QuotaFull),
            (31003, ErrorKind::Verification),
            (14001, ErrorKind::Invalid),
            (15000, ErrorKind::RateLimited),
            (41006, ErrorKind::NotFound),
            (41010, ErrorKind::NotFound),
            (41012, ErrorKind::Auth),
            (41013, ErrorKind::NotFound),
            (41014, ErrorKind::NotFound),
            (41020, ErrorKind::Invalid),
            (99999, ErrorKind::Provider),
        ] {
            // In a good status and as a text, too.
            for body in [
                format!(r#"{{"status":400,"code":{code},"message":"m"}}"#),
                format!(r#"{{"status":200,"code":"{code}","message":"m"}}"#),
            ] {
                let error = of(200, &body);
                assert_eq!(error.kind, kind, "{code}");
                assert!(is_code(&error, &code.to_string()));
            }
        }
        let link = error_of(&QUARK, "link", 200, None, br#"{"status":400,"code":23018}"#);
        assert_eq!(link.kind, ErrorKind::TooLarge);
    }

    #[test]
    fn the_products_read_two_codes_differently() {
        let of = |brand, code| {
            let body = format!(r#"{{"status":400,"code":{code},"message":"m"}}"#);
            error_of(brand, "test", 400, None, body.as_bytes())
        };
        assert_eq!(of(&QUARK, 41001).kind, ErrorKind::NotFound);
        assert_eq!(of(&UC, 41001).account, AccountEffect::Refresh);
        assert_eq!(of(&QUARK, 41020).retry, Retry::Never);
        assert_eq!(of(&UC, 41020).retry, Retry::Backoff);
    }

    #[test]
    fn dead_logins_are_refreshed_and_walls_are_not() {
        assert_eq!(of(401, "<html>").account, AccountEffect::Refresh);
        let dead = of(
            401,
            r#"{"status":401,"code":31001,"message":"require login [guest]"}"#,
        );
        assert_eq!(dead.account, AccountEffect::Refresh);
        assert_eq!(of(412, "").kind, ErrorKind::Risk);
        assert!(is_wall(&of(412, "")) && is_wall(&of(412, r#"{"status":412,"code":7}"#)));
        assert!(!is_wall(&of(200, r#"{"status":200,"code":412}"#)));
        assert_eq!(of(403, "<html>").account, AccountEffect::CoolDown(RISK));
        assert_eq!(
            of(403, r#"{"status":403,"code":1}"#).account,
            AccountEffect::None
        );
    }

    #[test]
    fn pages_and_gateways() {
        assert_eq!(of(200, "<html>hello</html>").kind, ErrorKind::BadAnswer);
        assert_eq!(
            of(200, "<Error><Code>X</Code></Error>").kind,
            ErrorKind::BadAnswer
        );
        assert_eq!(of(404, "<html>").kind, ErrorKind::BadAnswer);
        assert_eq!(
            of(404, r#"{"status":404,"code":1}"#).kind,
            ErrorKind::NotFound
        );
        assert_eq!(of(502, "<html>").retry, Retry::Backoff);
        let pause = Some(Duration::from_secs(7));
        let error = error_of(&QUARK, "test", 429, pause, b"");
        assert_eq!(error.retry, Retry::After(Duration::from_secs(7)));
    }

    #[test]
    fn errors_hide_in_good_statuses() {
        use serde_json::json;
        assert!(is_good(&json!({"status":200,"code":0,"data":null})));
        assert!(is_good(&json!({"status":"200","code":"0"})));
        assert!(!is_good(&json!({"status":400,"code":0})));
        assert!(!is_good(&json!({"status":200,"code":23008})));
        assert!(!is_good(&json!([])));
    }
}
