//! The one way to the network: HTTP client, deadlines, account budget, risk breaker, tokens.
//!
//! | file | what is in it |
//! |---|---|
//! | `error` | [`NetError`] and [`Retry`]; what may be tried again is said by the error |
//! | `clock` | [`Clock`]: wall time, replaceable in tests |
//! | `secret` | [`Secret`]: redacted by type |
//! | `redact` | redaction of URLs and texts by key and by look |
//! | `request` | [`Request`], [`Body`], [`Deadlines`], [`Redirects`] |
//! | `response` | [`Response`]: status, headers, bounded bodies, byte streams |
//! | `client` | [`Client`]: sends a request for one account |
//! | `payload` | a request body in pieces, watched for progress; multipart |
//! | `pieces` | [`Pieces`]: a body that comes while it is sent |
//! | `progress` | how far the sending of a body is, and whom it waits for |
//! | `route` | where a request may go: the https rule, redirects |
//! | `meter` | [`Meter`]: requests and bytes per operation |
//! | `budget` | [`Budget`]: rate, concurrency and priority of one account |
//! | `breaker` | [`Breaker`]: opens at the first block signal, cools down, outlives restarts |
//! | `retry` | [`retry`]: the only retry loop |
//! | `jitter` | randomness of pauses |
//! | `test_server` | a misbehaving HTTP server for this room's tests |
//! | `token` | [`TokenKeeper`]: one refresher per credential, new pair durable before use |

mod breaker;
mod budget;
mod client;
mod clock;
mod error;
mod jitter;
mod meter;
mod payload;
mod pieces;
mod progress;
mod redact;
mod request;
mod response;
mod retry;
mod route;
mod secret;
#[cfg(test)]
mod test_server;
mod token;

pub use breaker::{Breaker, BreakerRecord, BreakerState, BreakerStore, MemoryBreakerStore};
pub use budget::{
    Budget, ClassLimit, ClassLoad, Permit, Priority, current_priority, with_priority,
};
pub use client::{Client, ClientOptions};
pub use clock::{Clock, ManualClock, SystemClock};
pub use error::{NetError, NetErrorKind, Retry};
pub use meter::{Meter, OpCount};
pub use pieces::Pieces;
pub use redact::{redact_text, redact_url};
pub use request::{Body, Deadlines, FormPart, Redirects, Request};
pub use response::{ByteStream, Response};
pub use retry::{RetryPolicy, Retryable, retry};
pub use secret::Secret;
pub use token::{CredentialStore, Credentials, FreshTokens, Refresher, StoreError, TokenKeeper};
