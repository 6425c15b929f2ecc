//! One error for every drive. Retryability and the effect on the account live in the error,
//! not in callers (DESIGN 6); one table maps kinds to errno (SPEC 0.5).

use std::fmt;
use std::time::Duration;

use crate::net::{NetError, NetErrorKind, Retry, Retryable};

/// Result of a drive operation.
pub type Result<T, E = DriveError> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Not logged in, token expired and not renewable, permission missing.
    Auth,
    /// The account or share cannot be written.
    ReadOnly,
    /// This one node is shown only and cannot be changed (an online document).
    Fixed,
    /// The provider suspects a robot (captcha, WAF page, risk code).
    Risk,
    /// Too many requests.
    RateLimited,
    /// The provider refuses the input (bad name, bad parent).
    Invalid,
    /// The name is longer than the provider takes.
    NameTooLong,
    /// No such node.
    NotFound,
    /// The name is taken.
    Exists,
    /// A directory that is not empty.
    NotEmpty,
    /// No space left in the account.
    QuotaFull,
    /// The day's download limit is used up.
    DailyLimit,
    /// Larger than the account or provider takes.
    TooLarge,
    /// The provider does not offer it.
    Unsupported,
    /// The provider failed (5xx, unknown code).
    Provider,
    /// The answer makes no sense (HTML, missing fields).
    BadAnswer,
    /// What was read back is not what was sent.
    Verification,
    /// The source changed while it was copied.
    Changed,
    /// No connection.
    Network,
    /// A deadline passed.
    Timeout,
    /// The caller gave up.
    Cancelled,
    /// A question needs more reading than the planner allows: this many bytes.
    OverBudget(u64),
    /// The local disk failed or is full.
    LocalDisk,
    /// The local disk or stage is full.
    LocalFull,
    /// A guard refused (size threshold, cap of streaming).
    OverThreshold,
    /// Busy (mass-delete breaker, another operation of the account under way).
    Busy,
}

/// What the error means for the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountEffect {
    /// Nothing.
    None,
    /// The access token is refused: refresh it, then try again once.
    Refresh,
    /// Leave the account alone for this long.
    CoolDown(Duration),
}

/// An error of a drive.
#[derive(Clone, Debug)]
pub struct DriveError {
    /// Class.
    pub kind: ErrorKind,
    /// May it be tried again.
    pub retry: Retry,
    /// What it means for the account.
    pub account: AccountEffect,
    /// The provider's own code, when it gave one.
    pub code: Option<String>,
    /// What happened, without secrets, for people.
    pub message: String,
}

impl DriveError {
    /// An error that trying again does not help.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        DriveError {
            kind,
            retry: Retry::Never,
            account: AccountEffect::None,
            code: None,
            message: message.into(),
        }
    }

    /// The same with this retry rule.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// The same with this account effect.
    pub fn effect(mut self, effect: AccountEffect) -> Self {
        self.account = effect;
        self
    }

    /// The same with the provider's code.
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// The provider does not offer `what`.
    pub fn unsupported(what: &str) -> Self {
        Self::new(
            ErrorKind::Unsupported,
            format!("{what} is not offered by this provider"),
        )
    }

    /// No such node.
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::NotFound, format!("{what} does not exist"))
    }

    /// The answer of `op` lacks `what`.
    pub fn bad_answer(op: &str, what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::BadAnswer, format!("{op}: {what}"))
    }

    /// The errno a program sees (SPEC 0.5).
    pub fn errno(&self) -> i32 {
        match self.kind {
            ErrorKind::Auth => libc::EACCES,
            ErrorKind::ReadOnly => libc::EROFS,
            ErrorKind::Fixed => libc::EPERM,
            ErrorKind::Risk | ErrorKind::RateLimited | ErrorKind::Busy => libc::EBUSY,
            ErrorKind::Invalid => libc::EINVAL,
            ErrorKind::NameTooLong => libc::ENAMETOOLONG,
            ErrorKind::NotFound => libc::ENOENT,
            ErrorKind::Exists => libc::EEXIST,
            ErrorKind::NotEmpty => libc::ENOTEMPTY,
            ErrorKind::QuotaFull | ErrorKind::LocalFull => libc::ENOSPC,
            ErrorKind::DailyLimit => libc::EDQUOT,
            ErrorKind::TooLarge | ErrorKind::OverThreshold => libc::EFBIG,
            ErrorKind::Unsupported => libc::EOPNOTSUPP,
            ErrorKind::Network => libc::EHOSTUNREACH,
            ErrorKind::Cancelled => libc::EINTR,
            ErrorKind::Timeout => libc::ETIMEDOUT,
            ErrorKind::Provider
            | ErrorKind::BadAnswer
            | ErrorKind::Verification
            | ErrorKind::Changed
            | ErrorKind::OverBudget(_)
            | ErrorKind::LocalDisk => libc::EIO,
        }
    }

    /// The stable snake_case code for JSON.
    pub fn code_name(&self) -> &'static str {
        match self.kind {
            ErrorKind::Auth => "auth",
            ErrorKind::ReadOnly => "read_only",
            ErrorKind::Fixed => "fixed",
            ErrorKind::Risk => "risk",
            ErrorKind::RateLimited => "rate_limit",
            ErrorKind::Invalid => "input",
            ErrorKind::NameTooLong => "name_too_long",
            ErrorKind::NotFound => "not_found",
            ErrorKind::Exists => "conflict",
            ErrorKind::NotEmpty => "not_empty",
            ErrorKind::QuotaFull => "quota_full",
            ErrorKind::DailyLimit => "daily_limit",
            ErrorKind::TooLarge => "too_large",
            ErrorKind::Unsupported => "unsupported_op",
            ErrorKind::Provider => "provider",
            ErrorKind::BadAnswer => "invalid_json",
            ErrorKind::Verification => "verification_mismatch",
            ErrorKind::Changed => "source_changed",
            ErrorKind::Network => "network",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Cancelled => "cancelled",
            ErrorKind::OverBudget(_) => "over_budget",
            ErrorKind::LocalDisk => "local_disk",
            ErrorKind::LocalFull => "local_full",
            ErrorKind::OverThreshold => "over_threshold",
            ErrorKind::Busy => "busy",
        }
    }

    /// What a person can do about it, when there is something.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self.kind {
            ErrorKind::Auth => {
                "log in again: panfuse profile add NAME --provider KEY --json -, or panfuse token login NAME where the provider has that flow"
            }
            ErrorKind::Risk => {
                "the provider suspects a robot; panfuse pauses this account by itself"
            }
            ErrorKind::RateLimited => "too many requests; panfuse slows down by itself",
            ErrorKind::QuotaFull => "free space in the account or empty its trash",
            ErrorKind::LocalFull => {
                "free space on the disk of the stage, or raise cache.stage_budget_mb"
            }
            ErrorKind::OverThreshold => {
                "raise the limit that the message names; a threshold can also be lifted for an hour: panfuse approve PATH"
            }
            ErrorKind::Network | ErrorKind::Timeout => {
                "check the connection; the operation is repeated later where it was queued"
            }
            _ => return None,
        })
    }
}

impl fmt::Display for DriveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.code {
            Some(code) => write!(f, " (provider code {code})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for DriveError {}

impl Retryable for DriveError {
    fn retry(&self) -> Retry {
        self.retry
    }
}

impl From<NetError> for DriveError {
    fn from(error: NetError) -> Self {
        let kind = match error.kind {
            NetErrorKind::Connect | NetErrorKind::Body => ErrorKind::Network,
            NetErrorKind::Timeout => ErrorKind::Timeout,
            NetErrorKind::TooLarge | NetErrorKind::Decode => ErrorKind::BadAnswer,
            NetErrorKind::Refused => ErrorKind::Invalid,
            NetErrorKind::BreakerOpen => ErrorKind::Risk,
        };
        DriveError::new(kind, error.to_string()).retry(error.retry)
    }
}

/// The symbolic name of an errno, for messages.
pub fn errno_name(errno: i32) -> &'static str {
    match errno {
        libc::EACCES => "EACCES",
        libc::EBUSY => "EBUSY",
        libc::EDQUOT => "EDQUOT",
        libc::EEXIST => "EEXIST",
        libc::EFBIG => "EFBIG",
        libc::EHOSTUNREACH => "EHOSTUNREACH",
        libc::EINTR => "EINTR",
        libc::EINVAL => "EINVAL",
        libc::EIO => "EIO",
        libc::ENAMETOOLONG => "ENAMETOOLONG",
        libc::ENOENT => "ENOENT",
        libc::ENOSPC => "ENOSPC",
        libc::ENOTEMPTY => "ENOTEMPTY",
        libc::EOPNOTSUPP => "EOPNOTSUPP",
        libc::EPERM => "EPERM",
        libc::EROFS => "EROFS",
        libc::ETIMEDOUT => "ETIMEDOUT",
        _ => "errno",
    }
}
