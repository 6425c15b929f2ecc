//! The one way to the network: HTTP client, deadlines, account budget, risk breaker, tokens.
//!
//! | file | what is in it |
//! |---|---|
//! | `error` | [`NetError`] and [`Retry`]; what may be tried again is said by the error |
//! | `clock` | [`Clock`]: wall time, replaceable in tests |
//! | `secret` | [`Secret`]: redacted by type; redaction of URLs and bodies for the log |
//! | `request` | [`Request`], [`Body`], [`Deadlines`], [`Redirects`] |
//! | `response` | [`Response`]: status, headers, bounded bodies, byte streams |
//! | `client` | [`Client`]: sends a request for one account |
//! | `budget` | [`Budget`]: rate, concurrency and priority of one account |
//! | `breaker` | [`Breaker`]: opens at the first block signal, cools down, outlives restarts |
//! | `retry` | [`retry`]: the only retry loop |
//! | `token` | [`TokenKeeper`]: one refresher per credential, new pair durable before use |

mod breaker;
mod budget;
mod client;
mod clock;
mod error;
mod request;
mod response;
mod retry;
mod secret;
mod token;

pub use breaker::{Breaker, BreakerRecord, BreakerState, BreakerStore};
pub use budget::{Budget, ClassLimit, Permit, Priority, current_priority, with_priority};
pub use client::{Client, ClientOptions};
pub use clock::{Clock, ManualClock, SystemClock};
pub use error::{NetError, NetErrorKind, Retry};
pub use request::{Body, Deadlines, FormPart, Redirects, Request};
pub use response::{ByteStream, Response};
pub use retry::{RetryPolicy, Retryable, retry};
pub use secret::{Secret, redact_text, redact_url};
pub use token::{CredentialStore, Credentials, FreshTokens, Refresher, StoreError, TokenKeeper};
