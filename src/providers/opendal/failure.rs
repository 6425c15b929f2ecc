//! Errors on their way through OpenDAL and out again. Ours travel inside its own, so that kind, retry
//! and effect on the account arrive as they were.

use opendal::{Error, ErrorKind as Theirs};

use crate::drive::{DriveError, ErrorKind};
use crate::net::{Retry, redact_text};

/// Ends a listing after a page: no error to anybody but [`is_page_end`].
#[derive(Debug)]
struct PageEnd;

impl std::fmt::Display for PageEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the page ends here")
    }
}

impl std::error::Error for PageEnd {}

pub(super) fn page_end() -> Error {
    Error::new(Theirs::Unsupported, "").set_source(PageEnd)
}

pub(super) fn is_page_end(error: &Error) -> bool {
    inside::<PageEnd>(error).is_some()
}

/// Ours inside theirs. Never marked as temporary: OpenDAL would try such ones again itself, at once
/// and without end.
pub(super) fn into_opendal(error: DriveError) -> Error {
    let kind = match error.kind {
        ErrorKind::NotFound => Theirs::NotFound,
        ErrorKind::Auth => Theirs::PermissionDenied,
        ErrorKind::Exists => Theirs::ConditionNotMatch,
        ErrorKind::RateLimited => Theirs::RateLimited,
        ErrorKind::Unsupported => Theirs::Unsupported,
        _ => Theirs::Unexpected,
    };
    Error::new(kind, error.to_string()).set_source(error)
}

/// Ours out of theirs. What OpenDAL found itself is an answer that it did not understand, or a
/// request that it does not make.
pub(super) fn out_of(op: &str, error: Error) -> DriveError {
    if let Some(ours) = inside::<DriveError>(&error) {
        return ours.clone();
    }
    let (kind, retry) = match error.kind() {
        Theirs::NotFound => (ErrorKind::NotFound, Retry::Never),
        Theirs::PermissionDenied => (ErrorKind::Auth, Retry::Never),
        Theirs::ConditionNotMatch | Theirs::AlreadyExists => (ErrorKind::Exists, Retry::Never),
        Theirs::RateLimited => (ErrorKind::RateLimited, Retry::Backoff),
        Theirs::Unsupported => (ErrorKind::Unsupported, Retry::Never),
        Theirs::ConfigInvalid => (ErrorKind::Invalid, Retry::Never),
        Theirs::Conflict => (ErrorKind::Changed, Retry::Never),
        Theirs::RangeNotSatisfied => (ErrorKind::Changed, Retry::Never),
        _ if error.is_temporary() => (ErrorKind::BadAnswer, Retry::Backoff),
        _ => (ErrorKind::BadAnswer, Retry::Never),
    };
    let mut message = redact_text(error.message());
    if message.len() > 200 {
        message = message.chars().take(200).collect();
    }
    DriveError::new(kind, format!("{op}: {message}")).retry(retry)
}

/// Whether a request was not sent because it could not be signed.
pub(super) fn is_unsigned(error: &Error) -> bool {
    inside::<reqsign_core::Error>(error).is_some() && inside::<DriveError>(error).is_none()
}

/// The first error of this type that an error was made of.
fn inside<T: std::error::Error + 'static>(error: &Error) -> Option<&T> {
    let mut next = std::error::Error::source(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::drive::AccountEffect;

    #[test]
    fn what_goes_in_comes_out() {
        let ours = DriveError::new(ErrorKind::RateLimited, "slow down")
            .retry(Retry::After(Duration::from_secs(7)))
            .effect(AccountEffect::CoolDown(Duration::from_secs(7)))
            .code("SlowDown");
        let theirs = into_opendal(ours.clone());
        assert!(!theirs.is_temporary());
        // As a signer or a reader wraps it.
        let wrapped = Error::new(Theirs::Unexpected, "signing http request").set_source(theirs);
        let out = out_of("list", wrapped);
        assert_eq!((out.kind, out.retry), (ours.kind, ours.retry));
        assert_eq!((out.account, out.code), (ours.account, ours.code));
        assert_eq!(out.message, "slow down");
    }

    #[test]
    fn the_end_of_a_page_is_known() {
        assert!(is_page_end(&page_end()));
        let other = into_opendal(DriveError::not_found("x"));
        assert!(!is_page_end(&other));
    }

    #[test]
    fn a_request_that_could_not_be_signed_is_known() {
        let signer = reqsign_core::Error::credential_invalid("failed to load");
        let error = Error::new(Theirs::Unexpected, "signing http request").set_source(signer);
        assert!(is_unsigned(&error));
        assert!(!is_unsigned(&into_opendal(DriveError::not_found("x"))));
    }

    #[test]
    fn what_opendal_finds_itself_has_a_kind() {
        for (kind, ours) in [
            (Theirs::NotFound, ErrorKind::NotFound),
            (Theirs::Conflict, ErrorKind::Changed),
            (Theirs::ConfigInvalid, ErrorKind::Invalid),
            (Theirs::Unexpected, ErrorKind::BadAnswer),
        ] {
            assert_eq!(out_of("op", Error::new(kind, "x")).kind, ours);
        }
        let passing = Error::new(Theirs::Unexpected, "no XML").set_temporary();
        assert_eq!(out_of("op", passing).retry, Retry::Backoff);
    }
}
