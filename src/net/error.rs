//! Errors of the transport. What a status code or an envelope means is the drivers' business.

use std::time::Duration;

/// Whether and when the same request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Sending it again gives the same answer.
    Never,
    /// Again after a growing, jittered pause.
    Backoff,
    /// Again, not before this long.
    After(Duration),
}

/// What went wrong below HTTP semantics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetErrorKind {
    /// No connection (DNS, refused, unreachable, TLS).
    Connect,
    /// A connect, idle or total deadline passed.
    Timeout,
    /// The body ended early or broke.
    Body,
    /// A body larger than the caller allowed.
    TooLarge,
    /// The body is not what the caller asked for (JSON expected, HTML received).
    Decode,
    /// We refuse to send it: bad URL, or plain http to anything but loopback.
    Refused,
    /// The account's risk breaker is open.
    BreakerOpen,
}

/// An error of the transport layer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{op}: {message}")]
pub struct NetError {
    /// The class.
    pub kind: NetErrorKind,
    /// May it be tried again.
    pub retry: Retry,
    /// The operation's label ([`super::Request::op`]).
    pub op: &'static str,
    /// What happened, without secrets.
    pub message: String,
}

impl NetError {
    /// An error that trying again does not help.
    pub(super) fn never(kind: NetErrorKind, op: &'static str, message: impl Into<String>) -> Self {
        NetError {
            kind,
            retry: Retry::Never,
            op,
            message: message.into(),
        }
    }

    /// An error whose cause may go away.
    pub(super) fn passing(
        kind: NetErrorKind,
        op: &'static str,
        message: impl Into<String>,
    ) -> Self {
        NetError {
            kind,
            retry: Retry::Backoff,
            op,
            message: message.into(),
        }
    }
}

impl super::Retryable for NetError {
    fn retry(&self) -> Retry {
        self.retry
    }
}
