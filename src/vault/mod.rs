//! Credentials sealed at rest.
//!
//! Each secret is encrypted by itself with AES-256-GCM under a random nonce; profile, field and
//! version are authenticated along with it, so that a row cannot be moved or taken back unseen.
//! The store is an SQLite file of its own with synchronous FULL: a refresh token that can be used
//! only once must be on the disk before the pair it came with is used (DESIGN 7).
//!
//! | file | what is in it |
//! |---|---|
//! | `key` | [`KeySource`]: environment, systemd credential or key file; the master key |
//! | `seal` | one secret sealed and opened |
//! | `store` | [`Vault`]: the database |
//! | `credentials` | the vault as a [`crate::net::CredentialStore`], with its lock across processes |

mod credentials;
mod key;
mod seal;
mod store;

pub use key::{KeySource, MIN_PASSPHRASE};
pub use store::{Vault, VaultError};
