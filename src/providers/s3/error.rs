//! What a refusal means (sheet generic_backends, 5; the service's own list of error codes).

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::api::lock;
use super::xml::Document;
use crate::drive::{AccountEffect, DriveError, ErrorKind};
use crate::net::{Retry, redact_text};
use crate::providers::opendal::{Call, Dialect, Refusal};

/// A text in a listing that is longer is no key: keys have 1024 bytes at most.
const LONGEST_TEXT: usize = 16 << 10;

/// How this service says what it means, and what it let us see of its encryption.
#[derive(Default)]
pub struct S3Dialect {
    seals: AtomicU8,
    /// Why the access key could not be loaded the last time.
    keyless: Mutex<Option<DriveError>>,
}

/// Whether ETags of whole objects are MD5s of their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seals {
    /// No answer told.
    Unknown,
    /// They are, as far as answers tell.
    Plain,
    /// They are not: keys of a key service or of a customer encrypt (sheet generic_backends, 2.2),
    /// or an object that we stored got another tag.
    Sealed,
}

impl S3Dialect {
    pub fn seals(&self) -> Seals {
        match self.seals.load(Ordering::Relaxed) {
            0 => Seals::Unknown,
            1 => Seals::Plain,
            _ => Seals::Sealed,
        }
    }

    /// The access key cannot be loaded.
    pub fn keyless(&self, why: DriveError) {
        *lock(&self.keyless) = Some(why);
    }

    /// From now on no ETag is taken for an MD5.
    pub fn seal(&self) {
        self.seals.store(2, Ordering::Relaxed);
    }
}

impl Dialect for S3Dialect {
    fn refused(&self, refusal: &Refusal<'_>) -> DriveError {
        let document = Document::read(refusal.body).filter(|document| document.root == "Error");
        let region = refusal.headers.get("x-amz-bucket-region");
        let region = region.and_then(|value| value.to_str().ok());
        of(refusal, document.as_ref(), region)
    }

    /// Copies and joins may fail after their 200 was sent.
    fn hidden(&self, op: &'static str, body: &[u8]) -> Option<DriveError> {
        if op == Call::LIST.op {
            let too_long = body
                .split(|byte| *byte == b'<')
                .any(|t| t.len() > LONGEST_TEXT);
            return too_long.then(|| DriveError::bad_answer(op, "a text that no listing has"));
        }
        let document = Document::read(body).filter(|document| document.root == "Error")?;
        let refusal = Refusal {
            op,
            status: 500,
            headers: &HeaderMap::new(),
            pause: None,
            body,
        };
        Some(of(&refusal, Some(&document), None))
    }

    fn unsigned(&self, op: &'static str) -> DriveError {
        let why = lock(&self.keyless).clone();
        why.unwrap_or_else(|| {
            DriveError::new(ErrorKind::Invalid, format!("{op}: it cannot be signed"))
        })
    }

    fn seen(&self, op: &'static str, headers: &HeaderMap) {
        if op != Call::STAT.op && op != Call::READ.op && op != Call::WRITE.op {
            return;
        }
        let by_key_service = headers
            .get("x-amz-server-side-encryption")
            .is_some_and(|value| value.as_bytes().starts_with(b"aws:kms"));
        let by_customer = "x-amz-server-side-encryption-customer-algorithm";
        if by_key_service || headers.contains_key(by_customer) {
            self.seal();
        } else {
            let (unknown, plain) = (0, 1);
            let order = Ordering::Relaxed;
            // Sealed stays sealed.
            let _ = self.seals.compare_exchange(unknown, plain, order, order);
        }
    }
}

fn of(refusal: &Refusal<'_>, document: Option<&Document>, region: Option<&str>) -> DriveError {
    let told = |path| document.map_or("", |document| document.text(path));
    let code = told("Code");
    let (kind, retry) = classify(refusal.op, refusal.status, code, refusal.pause);
    let status = refusal.status;
    let reason = StatusCode::from_u16(status).ok();
    let reason = reason.and_then(|status| status.canonical_reason());
    let region = region.unwrap_or_else(|| told("Region"));
    let message = match explained(code, status, region) {
        Some(explained) => explained,
        None => match told("Message") {
            "" => reason.unwrap_or("refused").to_owned(),
            message => redact_text(message),
        },
    };
    let mut error = DriveError::new(kind, format!("{}: HTTP {status}: {message}", refusal.op));
    error.retry = retry;
    if kind == ErrorKind::RateLimited
        && let Some(pause) = refusal.pause
    {
        error = error.effect(AccountEffect::CoolDown(pause));
    }
    match code {
        "" => error,
        code => error.code(code.chars().take(80).collect::<String>()),
    }
}

/// What a person can use more than the server's own words.
fn explained(code: &str, status: u16, region: &str) -> Option<String> {
    Some(match code {
        "InvalidAccessKeyId" => "the server does not know this access key".to_owned(),
        "SignatureDoesNotMatch" => {
            "the server computes another signature; is the secret access key right?".to_owned()
        }
        "RequestTimeTooSkewed" => {
            "the clock of this machine and the one of the server differ by more than 15 minutes"
                .to_owned()
        }
        "NoSuchBucket" => "there is no such bucket at this address".to_owned(),
        "AccessDenied" => "the access key may not do this".to_owned(),
        "ExpiredToken" | "InvalidToken" => "the session token is not valid any more".to_owned(),
        "InvalidObjectState" => {
            "the object is archived; it has to be restored at the provider first".to_owned()
        }
        "PermanentRedirect" | "TemporaryRedirect" | "AuthorizationHeaderMalformed" => {
            elsewhere(region)
        }
        "" if (300..400).contains(&status) => elsewhere(region),
        _ => return None,
    })
}

fn elsewhere(region: &str) -> String {
    match region {
        "" => "the bucket is in another region; region and address have to be its own".to_owned(),
        region => format!("the bucket is in the region {region}"),
    }
}

fn classify(op: &str, status: u16, code: &str, pause: Option<Duration>) -> (ErrorKind, Retry) {
    use ErrorKind as K;
    let later = pause.map_or(Retry::Backoff, Retry::After);
    let reads = op == Call::READ.op || op == Call::COPY.op;
    let kind = match (code, status) {
        (
            "SlowDown"
            | "TooManyRequests"
            | "RequestLimitExceeded"
            | "Throttling"
            | "ThrottlingException"
            | "RequestThrottled"
            | "BandwidthLimitExceeded",
            _,
        ) => return (K::RateLimited, later),
        ("RequestTimeout", _) => return (K::Timeout, Retry::Backoff),
        // What arrived is not what was sent.
        ("BadDigest" | "IncompleteBody" | "XAmzContentSHA256Mismatch", _) => {
            return (K::Network, Retry::Backoff);
        }
        ("InternalError" | "ServiceUnavailable", _) => return (K::Provider, later),
        ("ConditionalRequestConflict" | "OperationAborted", _) => return (K::Busy, later),
        ("AccessDenied" | "InvalidAccessKeyId" | "SignatureDoesNotMatch", _)
        | ("ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" | "InvalidSecurity", _)
        | ("AllAccessDisabled" | "AccountProblem" | "NotSignedUp" | "RequestTimeTooSkewed", _) => {
            K::Auth
        }
        // Not `NotFound`: nothing says that the object is gone.
        ("NoSuchBucket" | "InvalidBucketName", _)
        | ("PermanentRedirect" | "TemporaryRedirect" | "AuthorizationHeaderMalformed", _) => {
            K::Invalid
        }
        ("NoSuchKey" | "NoSuchUpload" | "NoSuchVersion", _) => K::NotFound,
        ("PreconditionFailed", _) | (_, 412) if reads => K::Changed,
        ("PreconditionFailed", _) | (_, 412) => K::Exists,
        ("InvalidRange", _) | (_, 416) => K::Changed,
        ("EntityTooLarge", _) | (_, 413) => K::TooLarge,
        ("KeyTooLongError", _) | (_, 414) => K::NameTooLong,
        ("QuotaExceeded" | "XMinioStorageFull" | "XMinioAdminBucketQuotaExceeded", _)
        | ("InsufficientCapacity", _)
        | (_, 507) => K::QuotaFull,
        ("NotImplemented" | "MethodNotAllowed", _) | (_, 405 | 501) => K::Unsupported,
        ("InvalidObjectState" | "InvalidPart" | "InvalidPartOrder", _) => K::Provider,
        (_, 401 | 403 | 407) => K::Auth,
        (_, 404 | 410) => K::NotFound,
        (_, 408) => return (K::Timeout, Retry::Backoff),
        (_, 409 | 423 | 425) => return (K::Busy, later),
        (_, 429) => return (K::RateLimited, later),
        // 499: R2 says so of a connection that broke.
        (_, 499..) => return (K::Provider, later),
        (_, 300..) => K::Invalid,
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

/// Whether a server does not know what was asked for, rather than refuse this one.
pub fn is_unknown_to_it(error: &DriveError) -> bool {
    error.kind == ErrorKind::Unsupported || error.code.as_deref() == Some("MalformedXML")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(op: &'static str, status: u16, code: &str, pause: Option<u64>) -> DriveError {
        let body = match code {
            "" => String::new(),
            code => format!(
                "<Error><Code>{code}</Code><Message>words</Message><Region>eu-west-1</Region></Error>"
            ),
        };
        S3Dialect::default().refused(&Refusal {
            op,
            status,
            headers: &HeaderMap::new(),
            pause: pause.map(Duration::from_secs),
            body: body.as_bytes(),
        })
    }

    #[test]
    fn codes_come_before_statuses() {
        use ErrorKind as K;
        let (never, again) = (Retry::Never, Retry::Backoff);
        for (op, status, code, kind, retry) in [
            ("list", 403, "AccessDenied", K::Auth, never),
            ("list", 403, "InvalidAccessKeyId", K::Auth, never),
            ("list", 403, "SignatureDoesNotMatch", K::Auth, never),
            ("list", 403, "RequestTimeTooSkewed", K::Auth, never),
            ("list", 404, "NoSuchBucket", K::Invalid, never),
            ("stat", 404, "", K::NotFound, never),
            ("stat", 403, "", K::Auth, never),
            ("download", 404, "NoSuchKey", K::NotFound, never),
            ("download", 416, "InvalidRange", K::Changed, never),
            ("download", 403, "InvalidObjectState", K::Provider, never),
            ("upload", 412, "PreconditionFailed", K::Exists, never),
            ("copy", 412, "PreconditionFailed", K::Changed, never),
            ("upload", 409, "ConditionalRequestConflict", K::Busy, again),
            ("upload", 400, "BadDigest", K::Network, again),
            ("upload", 400, "RequestTimeout", K::Timeout, again),
            ("upload", 400, "EntityTooLarge", K::TooLarge, never),
            ("upload", 400, "KeyTooLongError", K::NameTooLong, never),
            ("upload", 501, "NotImplemented", K::Unsupported, never),
            ("list", 503, "SlowDown", K::RateLimited, again),
            ("list", 503, "", K::Provider, again),
            ("list", 500, "InternalError", K::Provider, again),
            ("list", 301, "PermanentRedirect", K::Invalid, never),
            ("stat", 301, "", K::Invalid, never),
            ("list", 400, "WhoKnows", K::Invalid, never),
        ] {
            let error = error(op, status, code, None);
            assert_eq!((error.kind, error.retry), (kind, retry), "{status} {code}");
        }
    }

    #[test]
    fn a_pause_is_kept_and_slows_the_account() {
        let error = error("list", 503, "SlowDown", Some(7));
        assert_eq!(error.retry, Retry::After(Duration::from_secs(7)));
        let pause = AccountEffect::CoolDown(Duration::from_secs(7));
        assert_eq!(
            (error.account, error.code.as_deref()),
            (pause, Some("SlowDown"))
        );
    }

    #[test]
    fn people_are_told_what_to_look_at() {
        let told = |status, code| error("list", status, code, None).message;
        assert!(told(301, "PermanentRedirect").contains("eu-west-1"));
        assert!(told(403, "RequestTimeTooSkewed").contains("clock"));
        assert!(told(404, "NoSuchBucket").contains("bucket"));
        assert!(told(400, "WhoKnows").contains("words"));
    }

    #[test]
    fn an_error_in_a_success_is_found() {
        let dialect = S3Dialect::default();
        let body = b"<?xml version=\"1.0\"?>\n  <Error><Code>InternalError</Code></Error>";
        let error = dialect.hidden("copy", body).unwrap();
        assert_eq!(
            (error.kind, error.retry),
            (ErrorKind::Provider, Retry::Backoff)
        );
        let fine = b"<CopyObjectResult><ETag>x</ETag></CopyObjectResult>";
        assert!(dialect.hidden("copy", fine).is_none());
        let monster = format!("<Key>{}</Key>", "x".repeat(70_000));
        assert!(dialect.hidden("list", monster.as_bytes()).is_some());
        assert!(dialect.hidden("list", b"<Key>x</Key>").is_none());
    }

    #[test]
    fn encryption_by_other_keys_is_noticed_for_good() {
        let headers = |name: &'static str, value: &'static str| {
            HeaderMap::from_iter([(
                reqwest::header::HeaderName::from_static(name),
                reqwest::header::HeaderValue::from_static(value),
            )])
        };
        let dialect = S3Dialect::default();
        dialect.seen("list", &HeaderMap::new());
        assert_eq!(dialect.seals(), Seals::Unknown);
        dialect.seen("stat", &headers("x-amz-server-side-encryption", "AES256"));
        assert_eq!(dialect.seals(), Seals::Plain);
        dialect.seen("stat", &headers("x-amz-server-side-encryption", "aws:kms"));
        dialect.seen("stat", &HeaderMap::new());
        assert_eq!(dialect.seals(), Seals::Sealed);
    }
}
