//! Codes of the service (sheet section 10) and what a bare status or a page means.

use std::time::Duration;

use super::answer::Head;
use crate::drive::{AccountEffect, DriveError, ErrorKind};
use crate::net::{Retry, redact_text};

/// How long an account rests after a page of a firewall or a demand for a captcha.
pub const BLOCK_PAUSE: Duration = Duration::from_secs(600);

/// How long it rests when it was told to slow down and slowing down did not help.
pub const RATE_PAUSE: Duration = Duration::from_secs(60);

/// The first pause after "too fast" (section 10: back off from 2 s).
const TOO_FAST: Duration = Duration::from_secs(2);

/// Label of the calls that end an upload.
pub const COMMIT: &str = "complete";

/// How the end of the day's allowance is told.
const FLOW_CODE: &str = "UserDayFlowOverLimited";
const FLOW_TEXT: &str = "data flow is out";

/// The error of a code and a message.
pub fn refusal(op: &str, head: Head, code: &str, message: &str) -> DriveError {
    let (kind, again, effect) = classify(code, message, head.status);
    let message: String = message.chars().take(160).collect();
    let what = match kind {
        ErrorKind::DailyLimit => "a limit of the day is reached: ",
        ErrorKind::Invalid if is_banned(code, &message) => "the provider bans this content: ",
        _ => "",
    };
    let error = DriveError::new(kind, format!("{op}: {what}{}", redact_text(&message)))
        .retry(again)
        .effect(effect);
    if code.is_empty() || code.len() > 80 {
        error
    } else {
        error.code(code)
    }
}

/// The error of an answer that is no envelope: a page of a firewall, a gateway, a bare status.
pub fn no_envelope(op: &str, head: Head, body: &[u8]) -> DriveError {
    let status = head.status;
    let error = |kind| DriveError::new(kind, format!("{op}: HTTP {status}"));
    let wait = head.pause.map_or(Retry::Backoff, Retry::After);
    match status {
        // A commit is refused so at times and taken two seconds later (sections 6.3, 6.5).
        403 if op == COMMIT => error(ErrorKind::Provider).retry(Retry::After(TOO_FAST)),
        401 => error(ErrorKind::Auth).effect(AccountEffect::Refresh),
        403 | 405 | 418 => DriveError::new(
            ErrorKind::Risk,
            format!("{op}: HTTP {status}, blocked by the provider's firewall"),
        )
        .effect(AccountEffect::CoolDown(BLOCK_PAUSE)),
        413 => error(ErrorKind::TooLarge),
        429 => error(ErrorKind::RateLimited).retry(wait),
        500..=599 => error(ErrorKind::Provider).retry(wait),
        _ => {
            let head: String = String::from_utf8_lossy(body).chars().take(120).collect();
            DriveError::bad_answer(op, format!("HTTP {status} {}", redact_text(&head)))
        }
    }
}

/// Whether the server finds our clock or signature wrong: signed once more by its clock.
pub fn wants_new_signature(error: &DriveError) -> bool {
    matches!(
        error.code.as_deref(),
        Some("InvalidSignature" | "SignatureError" | "InvalidAppSignature" | "TimestampExpired")
    )
}

/// Whether the account was told to slow down by a code (not by a mere status).
pub fn is_too_fast(error: &DriveError) -> bool {
    error.code.as_deref().is_some_and(too_fast)
}

/// Whether the day's upload allowance is used up; limits on shares are something else.
pub fn is_flow_used_up(error: &DriveError) -> bool {
    error.kind == ErrorKind::DailyLimit
        && (error.code.as_deref() == Some(FLOW_CODE)
            || error.message.to_ascii_lowercase().contains(FLOW_TEXT))
}

/// Whether a call that failed so may have been carried out all the same.
pub fn may_be_done(error: &DriveError) -> bool {
    matches!(
        error.kind,
        ErrorKind::Network | ErrorKind::Timeout | ErrorKind::BadAnswer | ErrorKind::Provider
    )
}

/// Whether the upload record is over, by a commit of our own or by time.
pub fn is_over(error: &DriveError) -> bool {
    matches!(
        error.code.as_deref(),
        Some(
            "UploadFileNotFound"
                | "UploadFileStatusVerifyFailed"
                | "UploadFileCompeletedError"
                | "UploadFileCompletedError"
                | "InvalidUploadFileStatus"
                | "UploadFileIdVerifyFailed"
        )
    )
}

fn too_fast(code: &str) -> bool {
    matches!(
        code,
        "AccessDenyOfHighFrequency"
            | "RequestTooFast"
            | "AccessTimesOverLimited"
            | "TriedTooManyTimes"
            | "FamilyAccessRatesExceedLimit"
    )
}

fn is_banned(code: &str, message: &str) -> bool {
    matches!(code, "InfoSecurityErrorCode" | "InfosecuMD5CheckError")
        || message.to_ascii_lowercase().contains("black list")
}

fn classify(code: &str, message: &str, status: u16) -> (ErrorKind, Retry, AccountEffect) {
    use ErrorKind as K;
    let plain = |kind| (kind, Retry::Never, AccountEffect::None);
    let again = |kind| (kind, Retry::Backoff, AccountEffect::None);
    let lower = message.to_ascii_lowercase();
    if code == "InvalidSessionKey"
        || lower.contains("invalidsessionkey")
        || lower.contains("usersessionbo is null")
        || lower.contains("check ip error")
    {
        return (K::Auth, Retry::Never, AccountEffect::Refresh);
    }
    if is_banned(code, message) {
        return plain(K::Invalid);
    }
    if code == FLOW_CODE || lower.contains(FLOW_TEXT) {
        return plain(K::DailyLimit);
    }
    if too_fast(code) {
        return (K::RateLimited, Retry::After(TOO_FAST), AccountEffect::None);
    }
    match code {
        "UserInvalidOpenToken" | "InvalidAccessToken" | "TokenNotExist" => {
            (K::Auth, Retry::Never, AccountEffect::Refresh)
        }
        "InvalidSignature"
        | "SignatureError"
        | "InvalidAppSignature"
        | "TimestampExpired"
        | "InvalidDeviceStatus"
        | "NoSuchUser"
        | "InvalidPassword"
        | "InvalidVerifyCode"
        | "ExpiredVerifyCode" => plain(K::Auth),
        "PermissionDenied"
        | "FamilyAccessPermissionDenied"
        | "DeleteDeniedPermission"
        | "SafeAccessLoginTimeout"
        | "DownloadFileMD5ErrorCode"
        | "ShareFileMD5ErrorCode"
        | "ShareAuditWaiting"
        | "ShareAuditNotPass"
        | "ShareAccessCodeNotMatch"
        | "AccessCodeError"
        | "ShareAccessCodeFaildCountOver"
        | "ShareNotReceiver" => plain(K::Auth),
        "FileNotFound"
        | "FileNotFolderErrorCode"
        | "ParentNotFolder"
        | "InvalidParentFolder"
        | "ShareInfoNotFound"
        | "ShareNotFound"
        | "ShareNotFoundFlatDir"
        | "ShareExpiredError"
        | "ShareCanceled"
        | "UploadFileNotFound" => plain(K::NotFound),
        "FileAlreadyExists" => plain(K::Exists),
        "InsufficientStorageSpace" => plain(K::QuotaFull),
        "FileTooLarge" => plain(K::TooLarge),
        "ShareOverLimitedNumber" | "ShareDumpFileOverload" => plain(K::DailyLimit),
        "FileMD5VerifyFailed" | "FileLengthVerifyFailed" => plain(K::Verification),
        "FileCopyToSubFolderError"
        | "MoveFileValidError"
        | "AuditErrorCode"
        | "FamilyTextAuditErrorCode"
        | "InvalidPartSize"
        | "GetParametersFailed"
        | "InvalidArgument"
        | "NullParameters"
        | "InvalidParamError"
        | "MissingContentLength"
        | "UploadFileStatusVerifyFailed"
        | "UploadFileCompeletedError"
        | "UploadFileCompletedError"
        | "InvalidUploadFileStatus"
        | "UploadFileIdVerifyFailed" => plain(K::Invalid),
        "UploadFileAccessViolation" | "UploadFileAccessFail" => {
            (K::Busy, Retry::After(TOO_FAST), AccountEffect::None)
        }
        "RequestResubmit" | "ShareSaveTaskIsAlreadyExist" => plain(K::Busy),
        "SystemBusy"
        | "InternalError"
        | "ServerInternalError"
        | "UnknownError"
        | "OperationFailed" => again(K::Provider),
        _ if status >= 500 => again(K::Provider),
        _ => plain(K::Provider),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: &str, message: &str) -> DriveError {
        let head = Head {
            status: 400,
            ..Head::default()
        };
        refusal("test", head, code, message)
    }

    #[test]
    fn the_table_of_the_sheet() {
        for (code, kind) in [
            ("FileNotFound", ErrorKind::NotFound),
            ("ParentNotFolder", ErrorKind::NotFound),
            ("FileAlreadyExists", ErrorKind::Exists),
            ("FileCopyToSubFolderError", ErrorKind::Invalid),
            ("InsufficientStorageSpace", ErrorKind::QuotaFull),
            ("FileTooLarge", ErrorKind::TooLarge),
            ("DownloadFileMD5ErrorCode", ErrorKind::Auth),
            ("FileMD5VerifyFailed", ErrorKind::Verification),
            ("PermissionDenied", ErrorKind::Auth),
            ("ShareExpiredError", ErrorKind::NotFound),
            ("ShareAccessCodeNotMatch", ErrorKind::Auth),
            ("NeverHeardOf", ErrorKind::Provider),
        ] {
            assert_eq!(of(code, "").kind, kind, "{code}");
        }
        assert_eq!(of("SystemBusy", "").retry, Retry::Backoff);
        assert_eq!(of("NeverHeardOf", "").retry, Retry::Never);
    }

    #[test]
    fn a_dead_session_is_told_in_four_ways() {
        for (code, message) in [
            ("InvalidSessionKey", ""),
            ("400", "userSessionBO is null"),
            ("", "check ip error"),
            ("InternalError", "InvalidSessionKey: x"),
        ] {
            assert_eq!(
                of(code, message).account,
                AccountEffect::Refresh,
                "{code} {message}"
            );
        }
        assert_eq!(of("PermissionDenied", "").account, AccountEffect::None);
    }

    #[test]
    fn used_up_is_not_banned() {
        for (code, message) in [
            ("UserDayFlowOverLimited", ""),
            ("x", "user's data flow is out"),
        ] {
            assert_eq!(of(code, message).kind, ErrorKind::DailyLimit);
        }
        for (code, message) in [
            ("InfoSecurityErrorCode", ""),
            ("x", "file is in Black list"),
        ] {
            let error = of(code, message);
            assert_eq!(
                (error.kind, error.retry),
                (ErrorKind::Invalid, Retry::Never)
            );
            assert!(error.message.contains("bans this content"), "{error}");
        }
    }

    #[test]
    fn a_page_blocks_the_account_but_not_at_a_commit() {
        let head = Head {
            status: 403,
            ..Head::default()
        };
        let block = no_envelope("list", head, b"<html>");
        assert_eq!(block.account, AccountEffect::CoolDown(BLOCK_PAUSE));
        let commit = no_envelope(COMMIT, head, b"<html>");
        assert_eq!(
            (commit.account, commit.retry),
            (AccountEffect::None, Retry::After(TOO_FAST))
        );
        assert!(may_be_done(&commit));
    }

    #[test]
    fn a_wrong_clock_is_no_dead_session() {
        let error = of("TimestampExpired", "");
        assert!(wants_new_signature(&error));
        assert_eq!(error.account, AccountEffect::None);
        assert!(is_too_fast(&of("RequestTooFast", "")));
        assert!(is_over(&of("UploadFileCompeletedError", "")));
    }
}
