//! What a status, or the text of a refusal, means (sheet section 10).

use std::error::Error as _;

use tonic::{Code, ConnectError, Status};

use super::codec::UNREADABLE;
use super::http::Refused;
use crate::drive::{AccountEffect, DriveError, ErrorKind};
use crate::net::{Retry, redact_text};

/// Whether a call may be sent again when its answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Reading, or writing the same state again.
    Safe,
    /// It creates or moves something: only when it certainly was not carried out.
    Unsafe,
}

/// The code of errors that say that the server does not know the upload.
const GONE: &str = "upload_session_not_found";

/// Longest text of the server in a message.
const LONGEST: usize = 200;

/// Whether the upload is unknown to the server: it must be started again.
pub fn is_gone(error: &DriveError) -> bool {
    error.code.as_deref() == Some(GONE)
}

/// Whether a call that must not be repeated may have been carried out: its answer was lost.
pub fn is_uncertain(error: &DriveError) -> bool {
    matches!(error.kind, ErrorKind::Network | ErrorKind::Timeout) && error.retry == Retry::Never
}

/// A lost connection or answer.
pub fn lost(kind: ErrorKind, op: &str, what: &str, repeat: Repeat) -> DriveError {
    let error = DriveError::new(kind, format!("{op}: {what}"));
    match repeat {
        Repeat::Safe => error.retry(Retry::Backoff),
        Repeat::Unsafe => error,
    }
}

/// What a status of a call means.
pub fn of_status(op: &str, status: &Status, repeat: Repeat) -> DriveError {
    if let Some(refused) = refused(status) {
        return of_http(op, refused, repeat);
    }
    let text = shown(status.message());
    let new = |kind| DriveError::new(kind, format!("{op}: {text}"));
    let again = |error: DriveError| match repeat {
        Repeat::Safe => error.retry(Retry::Backoff),
        Repeat::Unsafe => error,
    };
    match status.code() {
        Code::Unauthenticated => new(ErrorKind::Auth).effect(AccountEffect::Refresh),
        Code::PermissionDenied if status.message().contains("invalid user plan") => {
            DriveError::new(
                ErrorKind::Unsupported,
                format!("{op}: CloudDrive2 offers this with a paid plan only"),
            )
        }
        Code::PermissionDenied => DriveError::new(
            ErrorKind::Auth,
            format!("{op}: the token lacks the permission: {text}"),
        ),
        Code::NotFound => gone(status.message(), new(ErrorKind::NotFound)),
        Code::AlreadyExists => new(ErrorKind::Exists),
        Code::InvalidArgument | Code::OutOfRange => new(ErrorKind::Invalid),
        Code::Unimplemented => DriveError::new(
            ErrorKind::Unsupported,
            format!("{op}: this version of CloudDrive2 does not know it"),
        ),
        Code::DeadlineExceeded => again(new(ErrorKind::Timeout)),
        // Never sent: whatever it would have done was not done.
        Code::Unavailable if not_connected(status) => {
            DriveError::new(ErrorKind::Network, format!("{op}: no connection: {text}"))
                .retry(Retry::Backoff)
        }
        Code::Unavailable | Code::Cancelled => again(new(ErrorKind::Network)),
        Code::ResourceExhausted => new(ErrorKind::RateLimited).retry(Retry::Backoff),
        Code::Internal | Code::Unknown if is_unreadable(status) => DriveError::new(
            ErrorKind::BadAnswer,
            format!("{op}: the answer is no gRPC message: {text}"),
        ),
        Code::Unknown | Code::Internal => match of_text(op, status.message()) {
            error if error.kind == ErrorKind::Provider && broke(status) => {
                again(new(ErrorKind::Network))
            }
            error if error.kind == ErrorKind::Provider => again(error),
            error => error,
        },
        _ => new(ErrorKind::Provider),
    }
}

/// What the HTTP status of an answer without a message means: it is a proxy's, or of a server that
/// cannot.
fn of_http(op: &str, refused: Refused, repeat: Repeat) -> DriveError {
    let new = |kind| DriveError::new(kind, format!("{op}: CloudDrive2 answers {refused}"));
    let again = refused.wait.map_or(Retry::Backoff, Retry::After);
    match (refused.status, repeat) {
        (401, _) => new(ErrorKind::Auth).effect(AccountEffect::Refresh),
        (403, _) => new(ErrorKind::Auth),
        // Not carried out, whatever it was.
        (429, _) => new(ErrorKind::RateLimited).retry(again),
        (500..=599, Repeat::Safe) => new(ErrorKind::Provider).retry(again),
        (500..=599, Repeat::Unsafe) => new(ErrorKind::Provider),
        _ => new(ErrorKind::BadAnswer),
    }
}

fn refused(status: &Status) -> Option<Refused> {
    let mut cause = status.source();
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref::<Refused>() {
            return Some(*refused);
        }
        cause = error.source();
    }
    None
}

/// What the text of a refusal means, of an answer that says `success = false`.
pub fn of_text(op: &str, text: &str) -> DriveError {
    let lower = text.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    // The order counts: "does not exist" holds "exist".
    let kind = if has(&[
        "not found",
        "not exist",
        "doesn't exist",
        "no such",
        "\u{4e0d}\u{5b58}\u{5728}",
    ]) {
        ErrorKind::NotFound
    } else if has(&["exist", "\u{5df2}\u{5b58}\u{5728}"]) {
        ErrorKind::Exists
    } else if has(&[
        "quota",
        "no space",
        "not enough space",
        "insufficient space",
        "space is full",
        "\u{7a7a}\u{95f4}\u{4e0d}\u{8db3}",
    ]) {
        ErrorKind::QuotaFull
    } else if has(&["too many", "too frequent", "rate limit", "\u{9891}\u{7e41}"]) {
        ErrorKind::RateLimited
    } else if has(&["name too long", "name is too long"]) {
        ErrorKind::NameTooLong
    } else if has(&["read-only", "read only", "readonly"]) {
        ErrorKind::ReadOnly
    } else if has(&["not empty"]) {
        ErrorKind::NotEmpty
    } else if has(&["too large"]) {
        ErrorKind::TooLarge
    } else if has(&["permission", "denied", "invalid user plan"]) {
        ErrorKind::Auth
    } else {
        ErrorKind::Provider
    };
    let said = match shown(text) {
        said if said.is_empty() => "refused without a reason".to_owned(),
        said => said,
    };
    let error = DriveError::new(kind, format!("{op}: {said}"));
    gone(
        text,
        match kind {
            ErrorKind::RateLimited => error.retry(Retry::Backoff),
            _ => error,
        },
    )
}

fn gone(text: &str, error: DriveError) -> DriveError {
    if text.to_lowercase().contains("upload session not found") {
        error.code(GONE)
    } else {
        error
    }
}

/// The server's words, fit for a message.
fn shown(text: &str) -> String {
    redact_text(text.trim()).chars().take(LONGEST).collect()
}

/// Whether the connection itself was refused.
fn not_connected(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Whether the connection broke below the call: such a status has a cause of its own.
fn broke(status: &Status) -> bool {
    status.source().is_some()
}

/// Whether something answered that does not speak gRPC (a web page of a proxy).
fn is_unreadable(status: &Status) -> bool {
    let text = status.message();
    text.starts_with(UNREADABLE)
        || text.contains("invalid compression flag")
        || text.contains("Missing response message")
        || text.contains("protocol error: received message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_codes() {
        for (status, kind, retry) in [
            (Status::not_found("x"), ErrorKind::NotFound, Retry::Never),
            (Status::unavailable("x"), ErrorKind::Network, Retry::Backoff),
            (
                Status::unknown("disk broke"),
                ErrorKind::Provider,
                Retry::Backoff,
            ),
            (
                Status::invalid_argument("x"),
                ErrorKind::Invalid,
                Retry::Never,
            ),
            (
                Status::permission_denied("no write"),
                ErrorKind::Auth,
                Retry::Never,
            ),
            (
                Status::permission_denied("invalid user plan"),
                ErrorKind::Unsupported,
                Retry::Never,
            ),
            (
                Status::unimplemented("x"),
                ErrorKind::Unsupported,
                Retry::Never,
            ),
            (
                Status::deadline_exceeded("x"),
                ErrorKind::Timeout,
                Retry::Backoff,
            ),
            (
                Status::unknown("quota exceeded"),
                ErrorKind::QuotaFull,
                Retry::Never,
            ),
        ] {
            let error = of_status("stat", &status, Repeat::Safe);
            assert_eq!((error.kind, error.retry), (kind, retry), "{status:?}");
        }
        let error = of_status("stat", &Status::unauthenticated("x"), Repeat::Safe);
        assert_eq!(error.account, AccountEffect::Refresh);
    }

    #[test]
    fn a_lost_answer_of_a_change_is_uncertain() {
        let error = of_status("move", &Status::unavailable("x"), Repeat::Unsafe);
        assert!(is_uncertain(&error), "{error:?}");
        let error = of_status("move", &Status::not_found("x"), Repeat::Unsafe);
        assert!(!is_uncertain(&error));
        let safe = of_status("stat", &Status::unavailable("x"), Repeat::Safe);
        assert!(!is_uncertain(&safe));
    }

    #[test]
    fn texts_are_read_by_their_words() {
        for (text, kind) in [
            ("Folder already exists", ErrorKind::Exists),
            ("parent folder does not exist", ErrorKind::NotFound),
            ("File not found", ErrorKind::NotFound),
            ("quota exceeded", ErrorKind::QuotaFull),
            ("the cloud said no", ErrorKind::Provider),
            ("", ErrorKind::Provider),
        ] {
            assert_eq!(of_text("mkdir", text).kind, kind, "{text}");
        }
        assert!(is_gone(&of_text("data", "Upload session not found")));
        assert!(is_gone(&of_status(
            "data",
            &Status::not_found("upload session not found"),
            Repeat::Safe
        )));
        assert!(!is_gone(&of_text("data", "file not found")));
    }

    #[test]
    fn a_web_page_is_no_answer() {
        let text = "protocol error: received message with invalid compression flag: 60";
        let error = of_status("list", &Status::internal(text), Repeat::Safe);
        assert_eq!(error.kind, ErrorKind::BadAnswer);
    }
}
