//! Apache OpenDAL's services over our client: what a driver of one of them shares with the others.
//! A driver builds its service, says what refusals mean there ([`Dialect`]), and gets a [`Store`].
//!
//! | file | what is in it |
//! |---|---|
//! | `wire` | [`Wire`]: one request over our client, and what its answer means |
//! | `transport` | that wire as the HTTP transport of OpenDAL's services |
//! | `failure` | errors on their way through OpenDAL and out again |
//! | `store` | [`Store`]: what a driver does with objects |
//!
//! Two things are OpenDAL's and nobody else's here: which requests an operation is, and how they are
//! signed. Budget, breaker, deadlines, retries, meters and redaction are ours: no layer of OpenDAL is
//! used. The operator is used without its own front as well: that one trims and folds paths, and
//! `a ` and `a` are two objects.

mod failure;
mod store;
mod transport;
mod wire;

pub use store::{Listed, Listing, Store, bare_etag, seconds_ms};
pub use wire::{Answer, Call, Dialect, Refusal, Wire};
