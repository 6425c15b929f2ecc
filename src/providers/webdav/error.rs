//! What a status means (sheet generic_backends, 4.3 and 7.1; RFC 4918 for the rest).

use std::time::Duration;

use reqwest::StatusCode;

use super::xml;
use crate::drive::{AccountEffect, DriveError, ErrorKind};
use crate::net::{Response, Retry, redact_text};

/// The most that is read of an error's text.
const EXCERPT: usize = 64 << 10;

/// Names by which servers tell that it is too much, whatever the status: Jianguoyun blocks for
/// half an hour so.
const TOO_MUCH: &[&str] = &["BlockedTemporarily", "TooManyRequests"];

/// What a request wanted: some statuses mean another thing for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// To know properties.
    Properties,
    /// Bytes.
    Bytes,
    /// A new directory.
    Directory,
    /// A new name: COPY and MOVE.
    Name,
    /// To store bytes.
    Store,
    /// That something goes.
    Gone,
}

/// The error an answer stands for.
pub async fn of(op: &'static str, wanted: Wanted, response: Response) -> DriveError {
    let status = response.status;
    let pause = response.retry_after();
    let body = response.bytes(EXCERPT).await.unwrap_or_default();
    from_parts(op, wanted, status, pause, &body)
}

/// The same, from its parts.
pub fn from_parts(
    op: &str,
    wanted: Wanted,
    status: StatusCode,
    pause: Option<Duration>,
    body: &[u8],
) -> DriveError {
    let text = String::from_utf8_lossy(body);
    let (exception, message) = xml::error(&text);
    let message = message.unwrap_or_else(|| status.canonical_reason().unwrap_or("").to_owned());
    let code = exception.as_deref().unwrap_or_default();
    let (kind, again) = classify(wanted, status.as_u16(), code, pause);
    let mut error = DriveError::new(
        kind,
        format!("{op}: HTTP {} {}", status.as_u16(), redact_text(&message)),
    )
    .retry(again);
    if kind == ErrorKind::RateLimited
        && let Some(pause) = pause
    {
        error = error.effect(AccountEffect::CoolDown(pause));
    }
    match exception {
        Some(code) if code.len() <= 80 => error.code(code),
        _ => error,
    }
}

fn classify(
    wanted: Wanted,
    status: u16,
    code: &str,
    pause: Option<Duration>,
) -> (ErrorKind, Retry) {
    use ErrorKind as K;
    let later = pause.map_or(Retry::Backoff, Retry::After);
    if TOO_MUCH.iter().any(|name| code.ends_with(name)) {
        return (K::RateLimited, later);
    }
    let kind = match status {
        401 | 403 | 407 => K::Auth,
        404 | 410 => K::NotFound,
        405 if wanted == Wanted::Directory => K::Exists,
        405 | 501 => K::Unsupported,
        408 => return (K::Timeout, Retry::Backoff),
        // The directory it should stand in is not there.
        409 => K::NotFound,
        412 | 416 if wanted == Wanted::Bytes => K::Changed,
        412 => K::Exists,
        413 => K::TooLarge,
        414 => K::NameTooLong,
        423..=425 => return (K::Busy, later),
        429 => return (K::RateLimited, later),
        507 => K::QuotaFull,
        // RFC 4918, 9.8.5: the place belongs to another server.
        502 if wanted == Wanted::Name => K::Unsupported,
        505 | 508 | 510 => K::Provider,
        500.. => return (K::Provider, later),
        400.. => K::Invalid,
        _ => K::BadAnswer,
    };
    (kind, Retry::Never)
}

/// Whether a request that failed so may have been carried out all the same.
pub fn may_be_done(error: &DriveError) -> bool {
    matches!(
        error.kind,
        ErrorKind::Network | ErrorKind::Timeout | ErrorKind::BadAnswer | ErrorKind::Provider
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(wanted: Wanted, status: u16, pause: Option<u64>, body: &str) -> DriveError {
        from_parts(
            "op",
            wanted,
            StatusCode::from_u16(status).unwrap(),
            pause.map(Duration::from_secs),
            body.as_bytes(),
        )
    }

    #[test]
    fn statuses_mean_what_they_mean_there() {
        use ErrorKind as K;
        use Wanted as W;
        for (wanted, status, kind, retry) in [
            (W::Properties, 401, K::Auth, Retry::Never),
            (W::Store, 403, K::Auth, Retry::Never),
            (W::Properties, 404, K::NotFound, Retry::Never),
            (W::Directory, 405, K::Exists, Retry::Never),
            (W::Properties, 405, K::Unsupported, Retry::Never),
            (W::Store, 409, K::NotFound, Retry::Never),
            (W::Directory, 409, K::NotFound, Retry::Never),
            (W::Name, 412, K::Exists, Retry::Never),
            (W::Bytes, 412, K::Changed, Retry::Never),
            (W::Bytes, 416, K::Changed, Retry::Never),
            (W::Store, 413, K::TooLarge, Retry::Never),
            (W::Name, 423, K::Busy, Retry::Backoff),
            (W::Store, 429, K::RateLimited, Retry::Backoff),
            (W::Store, 500, K::Provider, Retry::Backoff),
            (W::Name, 502, K::Unsupported, Retry::Never),
            (W::Store, 507, K::QuotaFull, Retry::Never),
            (W::Store, 302, K::BadAnswer, Retry::Never),
        ] {
            let error = error(wanted, status, None, "");
            assert_eq!(
                (error.kind, error.retry),
                (kind, retry),
                "{status} {wanted:?}"
            );
        }
        let asked = error(Wanted::Store, 503, Some(7), "");
        assert_eq!(asked.retry, Retry::After(Duration::from_secs(7)));
        assert_eq!(asked.kind, ErrorKind::Provider);
    }

    #[test]
    fn the_servers_own_words_are_told() {
        let nextcloud = error(
            Wanted::Properties,
            404,
            None,
            r#"<?xml version="1.0" encoding="utf-8"?>
<d:error xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns">
  <s:exception>Sabre\DAV\Exception\NotFound</s:exception>
  <s:message>File with name a could not be located</s:message>
</d:error>"#,
        );
        assert_eq!(
            nextcloud.code.as_deref(),
            Some("Sabre\\DAV\\Exception\\NotFound")
        );
        assert!(nextcloud.message.contains("could not be located"));
        let blocked = r#"<d:error xmlns:d="DAV:" xmlns:s="http://ns.jianguoyun.com">
<s:exception>BlockedTemporarily</s:exception>
<s:message>Too many requests are received recently</s:message></d:error>"#;
        let blocked = error(Wanted::Properties, 503, None, blocked);
        assert_eq!(blocked.kind, ErrorKind::RateLimited);
        assert_ne!(blocked.retry, Retry::Never);
    }
}
