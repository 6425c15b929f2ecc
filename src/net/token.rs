//! Access tokens: one refresher per credential, in-process mutex and a lock across processes,
//! and the new pair is durable before it is used (refresh tokens are often single-use).

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Clock, Secret};

/// The secrets of one profile by field name (`refresh_token`, `access_token`, `cookie`, ...).
pub type Credentials = BTreeMap<String, Secret>;

/// The credential store could not be read or written.
#[derive(Clone, Debug, thiserror::Error)]
#[error("credential store: {0}")]
pub struct StoreError(pub String);

/// Where the credentials of one profile are kept. Implemented by the vault.
#[async_trait]
pub trait CredentialStore: Send + Sync {
    /// Everything stored for the profile.
    async fn load(&self) -> Result<Credentials, StoreError>;
    /// Merges `changed` into what is stored (an empty secret removes the field). Durable when it
    /// returns.
    async fn save(&self, changed: Credentials) -> Result<(), StoreError>;
    /// A lock across processes, held until the guard is dropped.
    async fn lock(&self) -> Result<Box<dyn Send + Sync>, StoreError>;
}

/// What a refresh brought.
#[derive(Clone, Debug)]
pub struct FreshTokens {
    /// The new access token.
    pub access: Secret,
    /// The new refresh token, when it was rotated.
    pub refresh: Option<Secret>,
    /// Life of the access token in seconds.
    pub expires_in: u64,
}

/// Exchanges a refresh token (or a password, a session) for an access token. `E` is the caller's error.
#[async_trait]
pub trait Refresher<E>: Send + Sync {
    /// One exchange, never repeated blindly. `Ok(Err(e))` is the provider's verdict that the refresh token is
    /// spent: it is dropped from the store and not sent again. `Err(e)` is any other failure.
    async fn refresh(&self, credentials: &Credentials) -> Result<Result<FreshTokens, E>, E>;
    /// The error for a broken store or a missing refresh token.
    fn store_error(&self, error: StoreError) -> E;
}

/// Keeps the access token of one profile fresh.
///
/// Stored fields: `access_token`, `refresh_token`, `access_expires_at` (milliseconds since the epoch).
/// Refreshes 60 s before the expiry, or half of the life before it when that is shorter (SPEC C-17, C-31).
pub struct TokenKeeper<E> {
    _error: std::marker::PhantomData<fn() -> E>,
}

impl<E: Clone + Send + Sync + 'static> TokenKeeper<E> {
    /// A keeper over a store.
    pub fn new(
        _store: Arc<dyn CredentialStore>,
        _clock: Arc<dyn Clock>,
        _refresher: Arc<dyn Refresher<E>>,
    ) -> Self {
        todo!()
    }

    /// The access token, refreshed when it is about to end. A failed refresh returns the old token
    /// while that still lives (C-32).
    ///
    /// # Errors
    /// The refresher's.
    pub async fn access(&self) -> Result<Secret, E> {
        todo!()
    }

    /// Told that the server refused `stale`: refreshes unless somebody already has.
    ///
    /// # Errors
    /// The refresher's.
    pub async fn renew(&self, _stale: &Secret) -> Result<Secret, E> {
        todo!()
    }
}
