//! Access tokens: one refresher per credential, in-process mutex and a lock across processes,
//! and the new pair is durable before it is used (refresh tokens are often single-use).

//!
//! How a refresh runs. Callers queue on one mutex. The one at the head starts a task of its own that
//! takes the lock across processes, reads the store again (another process may have been faster:
//! then its token is used), asks the provider once, saves the new pair and only then puts it to
//! use. The task goes on when the caller is gone, so a pair that the provider has handed out is
//! never lost. Whoever waited meanwhile shares the outcome, good or bad, and asks nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tracing::Instrument;

use super::{Clock, Secret, current_priority, with_priority};

const ACCESS: &str = "access_token";
const REFRESH: &str = "refresh_token";
const EXPIRES: &str = "access_expires_at";

/// Refreshed this long before the expiry (SPEC C-31), or half of the life when that is shorter.
const AHEAD_MS: i64 = 60_000;

/// After a failed refresh the old token is used this long before the next try.
const PAUSE_MS: i64 = 10_000;

/// Other processes are waited for this long.
const LOCK: Duration = Duration::from_secs(60);

/// No more than this many forced refreshes ...
const RENEWALS: usize = 12;

/// ... in this time: a provider that refuses every new token is not asked for ever more.
const RENEWALS_MS: i64 = 60_000;

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

impl FreshTokens {
    /// The fields in which a [`TokenKeeper`] keeps them. Without a refresh token the old one goes:
    /// it belongs to another log-in.
    pub fn stored(self, now_ms: i64) -> Credentials {
        let life = i64::try_from(self.expires_in).unwrap_or(i64::MAX / 1000);
        let until = now_ms.saturating_add(life.saturating_mul(1000));
        Credentials::from([
            (ACCESS.to_owned(), self.access),
            (REFRESH.to_owned(), self.refresh.unwrap_or_default()),
            (EXPIRES.to_owned(), Secret::new(until.to_string())),
        ])
    }
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
/// A token without a known expiry is used until it is refused. Cheap to clone; clones share all.
pub struct TokenKeeper<E> {
    shared: Arc<Shared<E>>,
}

impl<E> Clone for TokenKeeper<E> {
    fn clone(&self) -> Self {
        TokenKeeper {
            shared: self.shared.clone(),
        }
    }
}

struct Shared<E> {
    store: Arc<dyn CredentialStore>,
    clock: Arc<dyn Clock>,
    refresher: Arc<dyn Refresher<E>>,
    /// Held by the one refresh under way, by its task even when its caller is gone.
    flight: Arc<tokio::sync::Mutex<()>>,
    state: Mutex<State<E>>,
}

struct State<E> {
    current: Option<Token>,
    /// Flights that have ended, and how the last one did.
    flights: u64,
    outcome: Option<Result<Secret, E>>,
    /// Not tried again before this time while the old token lives.
    pause_until: i64,
    /// What the provider refused last, and its words.
    refused: Option<(Credentials, E)>,
    /// Refresh tokens that are spent.
    spent: Vec<Secret>,
    /// Handed out by the provider, but the store could not be written yet.
    unsaved: Option<(Token, Credentials)>,
    /// When the last forced refreshes were.
    renewals: VecDeque<i64>,
}

/// An access token in use.
#[derive(Clone)]
struct Token {
    access: Secret,
    /// `None`: not known, used until it is refused.
    expires_at: Option<i64>,
    /// When to refresh it.
    refresh_at: Option<i64>,
}

impl Token {
    /// A token that lives until `expires_at`, seen at `now`.
    fn new(access: Secret, expires_at: Option<i64>, now: i64) -> Self {
        let refresh_at = expires_at.map(|at| {
            let left = at.saturating_sub(now).max(0);
            at.saturating_sub(AHEAD_MS.min(left / 2))
        });
        Token {
            access,
            expires_at,
            refresh_at,
        }
    }

    fn stored(credentials: &Credentials, now: i64) -> Option<Self> {
        let access = credentials.get(ACCESS).filter(|token| !token.is_empty())?;
        let expires_at = credentials
            .get(EXPIRES)
            .and_then(|at| at.expose().trim().parse().ok());
        Some(Token::new(access.clone(), expires_at, now))
    }

    fn lives(&self, now: i64) -> bool {
        self.expires_at.is_none_or(|at| now < at)
    }

    fn is_fresh(&self, now: i64) -> bool {
        self.lives(now) && self.refresh_at.is_none_or(|at| now < at)
    }
}

/// Why a token is wanted.
enum Wanted {
    /// To work with it.
    Any,
    /// Another one than this: the server refused it.
    OtherThan(Secret),
}

impl Wanted {
    fn accepts(&self, token: &Token, now: i64) -> bool {
        match self {
            Wanted::Any => token.is_fresh(now),
            Wanted::OtherThan(stale) => token.access != *stale && token.lives(now),
        }
    }
}

impl<E: Clone + Send + Sync + 'static> TokenKeeper<E> {
    /// A keeper over a store.
    pub fn new(
        store: Arc<dyn CredentialStore>,
        clock: Arc<dyn Clock>,
        refresher: Arc<dyn Refresher<E>>,
    ) -> Self {
        TokenKeeper {
            shared: Arc::new(Shared {
                store,
                clock,
                refresher,
                flight: Arc::default(),
                state: Mutex::new(State {
                    current: None,
                    flights: 0,
                    outcome: None,
                    pause_until: i64::MIN,
                    refused: None,
                    spent: Vec::new(),
                    unsaved: None,
                    renewals: VecDeque::new(),
                }),
            }),
        }
    }

    /// The access token, refreshed when it is about to end. A failed refresh returns the old token
    /// while that still lives (C-32); the next try then comes 10 s later at the earliest.
    ///
    /// # Errors
    /// The refresher's.
    pub async fn access(&self) -> Result<Secret, E> {
        self.obtain(Wanted::Any).await
    }

    /// Told that the server refused `stale`: refreshes unless somebody already has.
    ///
    /// # Errors
    /// The refresher's. The old token is not returned: it is the one that was refused.
    pub async fn renew(&self, stale: &Secret) -> Result<Secret, E> {
        self.obtain(Wanted::OtherThan(stale.clone())).await
    }

    /// Waits until no refresh is under way: called before the process ends, so that a new pair is
    /// on disk.
    pub async fn settle(&self) {
        drop(self.shared.flight.lock().await);
    }

    async fn obtain(&self, wanted: Wanted) -> Result<Secret, E> {
        let flights = {
            let state = self.shared.state();
            if let Some(token) = self.shared.usable(&state, &wanted) {
                return Ok(token);
            }
            state.flights
        };
        let flight = self.shared.flight.clone().lock_owned().await;
        {
            let state = self.shared.state();
            if let Some(token) = self.shared.usable(&state, &wanted) {
                return Ok(token);
            }
            // A flight ended while we waited: its failure is ours too.
            if state.flights != flights
                && let Some(Err(error)) = &state.outcome
            {
                return Err(error.clone());
            }
        }
        let shared = self.shared.clone();
        let work = async move {
            let outcome = shared.fly(&wanted).await;
            let mut state = shared.state();
            state.flights = state.flights.wrapping_add(1);
            state.outcome = Some(outcome.clone());
            drop(state);
            drop(flight);
            outcome
        };
        // A task of its own ends its work whatever becomes of us. It keeps our priority.
        let task = with_priority(current_priority(), work).in_current_span();
        match tokio::spawn(task).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.shared.broken("the refresh was interrupted")),
        }
    }
}

impl<E: Clone + Send + Sync + 'static> Shared<E> {
    fn state(&self) -> MutexGuard<'_, State<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn broken(&self, what: &str) -> E {
        self.refresher.store_error(StoreError(what.to_owned()))
    }

    fn failed(&self, error: StoreError) -> E {
        self.refresher.store_error(error)
    }

    /// The current token when it does, without asking anybody.
    fn usable(&self, state: &State<E>, wanted: &Wanted) -> Option<Secret> {
        let token = state.current.as_ref()?;
        let now = self.clock.now_ms();
        let paused = matches!(wanted, Wanted::Any) && now < state.pause_until && token.lives(now);
        (wanted.accepts(token, now) || paused).then(|| token.access.clone())
    }

    /// One flight: from the store, else from the provider.
    async fn fly(&self, wanted: &Wanted) -> Result<Secret, E> {
        let result = match self.look_up(wanted).await {
            Ok(Some(access)) => return Ok(access),
            Ok(None) => self.refresh(wanted).await,
            Err(error) => Err(error),
        };
        let error = match result {
            Ok(access) => return Ok(access),
            Err(error) => error,
        };
        let now = self.clock.now_ms();
        let mut state = self.state();
        state.pause_until = now.saturating_add(PAUSE_MS);
        match (&state.current, wanted) {
            (Some(token), Wanted::Any) if token.lives(now) => Ok(token.access.clone()),
            _ => Err(error),
        }
    }

    /// Without the lock: enough when the stored token does, as at every start.
    async fn look_up(&self, wanted: &Wanted) -> Result<Option<Secret>, E> {
        if self.state().unsaved.is_some() {
            return Ok(None);
        }
        let stored = self
            .store
            .load()
            .await
            .map_err(|error| self.failed(error))?;
        Ok(self.adopt(&stored, wanted))
    }

    /// Takes over what is stored when it is usable. A stored token that merely lives is kept as
    /// the one to fall back to.
    fn adopt(&self, stored: &Credentials, wanted: &Wanted) -> Option<Secret> {
        let now = self.clock.now_ms();
        let token = Token::stored(stored, now)?;
        let mut state = self.state();
        let access = token.access.clone();
        let fits = match &state.current {
            // The same token: its refresh time was fixed when it was first seen.
            Some(current) if current.access == access => wanted.accepts(current, now),
            _ => {
                let fits = wanted.accepts(&token, now);
                if token.lives(now) {
                    state.current = Some(token);
                }
                fits
            }
        };
        fits.then_some(access)
    }

    async fn refresh(&self, wanted: &Wanted) -> Result<Secret, E> {
        let _lock = match tokio::time::timeout(LOCK, self.store.lock()).await {
            Ok(lock) => lock.map_err(|error| self.failed(error))?,
            Err(_) => return Err(self.broken("another process keeps the credentials locked")),
        };
        self.save_unsaved().await?;
        let mut stored = self
            .store
            .load()
            .await
            .map_err(|error| self.failed(error))?;
        stored.retain(|_, secret| !secret.is_empty());
        if let Some(access) = self.adopt(&stored, wanted) {
            return Ok(access);
        }
        self.may_ask(&mut stored, wanted)?;
        match self.refresher.refresh(&stored).await? {
            Ok(fresh) => self.keep(&stored, fresh).await,
            Err(verdict) => {
                self.refuse(stored, verdict.clone()).await;
                Err(verdict)
            }
        }
    }

    /// Whether there is something to ask with that was not refused before. A spent refresh token
    /// that is still stored (it could not be removed, or came back from a backup) is taken out.
    fn may_ask(&self, stored: &mut Credentials, wanted: &Wanted) -> Result<(), E> {
        let now = self.clock.now_ms();
        let mut state = self.state();
        if stored
            .get(REFRESH)
            .is_some_and(|token| state.spent.contains(token))
        {
            stored.remove(REFRESH);
        }
        if let Some((refused, verdict)) = &state.refused {
            let rest = |all: &Credentials| {
                let mut all = lasting(all);
                all.remove(REFRESH);
                all
            };
            let nothing_new = match stored.get(REFRESH) {
                Some(_) => lasting(stored) == *refused,
                None => rest(stored) == rest(refused),
            };
            // The one other way in that may still be open after a spent refresh token.
            let password = refused.contains_key(REFRESH) && stored.contains_key("password");
            if nothing_new && !password {
                return Err(verdict.clone());
            }
        }
        if lasting(stored).is_empty() {
            return Err(self.broken("no refresh token is stored; log in again"));
        }
        if matches!(wanted, Wanted::OtherThan(_)) {
            let since = now.saturating_sub(RENEWALS_MS);
            state.renewals.retain(|at| *at > since && *at <= now);
            if state.renewals.len() >= RENEWALS {
                return Err(self.broken("the provider refuses every new access token"));
            }
            state.renewals.push_back(now);
        }
        Ok(())
    }

    /// Saves a new pair, then puts it to use.
    async fn keep(&self, stored: &Credentials, fresh: FreshTokens) -> Result<Secret, E> {
        let now = self.clock.now_ms();
        let life_ms = i64::try_from(fresh.expires_in)
            .unwrap_or(i64::MAX)
            .saturating_mul(1000);
        let expires_at = (life_ms > 0).then(|| now.saturating_add(life_ms));
        let token = Token::new(fresh.access.clone(), expires_at, now);
        let mut changed = Credentials::new();
        changed.insert(ACCESS.to_owned(), fresh.access);
        // An empty secret removes the expiry of the token before.
        let expires = expires_at.map_or_else(String::new, |at| at.to_string());
        if expires_at.is_some() || stored.contains_key(EXPIRES) {
            changed.insert(EXPIRES.to_owned(), Secret::new(expires));
        }
        if let Some(refresh) = fresh.refresh.filter(|token| !token.is_empty()) {
            changed.insert(REFRESH.to_owned(), refresh);
        }
        let access = token.access.clone();
        self.state().unsaved = Some((token, changed));
        self.save_unsaved().await?;
        Ok(access)
    }

    /// Writes a pair that is not on disk yet. Only then is it used; until then every call tries
    /// again, and the pair stays in memory.
    async fn save_unsaved(&self) -> Result<(), E> {
        let Some((token, changed)) = self.state().unsaved.clone() else {
            return Ok(());
        };
        self.store
            .save(changed)
            .await
            .map_err(|error| self.failed(error))?;
        let mut state = self.state();
        state.unsaved = None;
        state.current = Some(token);
        state.refused = None;
        state.pause_until = i64::MIN;
        Ok(())
    }

    /// Remembers the provider's verdict and drops the spent refresh token from the store. The
    /// access token stays: it may live on (C-32).
    async fn refuse(&self, stored: Credentials, verdict: E) {
        let spent = stored.get(REFRESH).cloned();
        {
            let mut state = self.state();
            state.refused = Some((lasting(&stored), verdict));
            state.spent.extend(spent.clone());
        }
        if spent.is_some() {
            let gone = Credentials::from([(REFRESH.to_owned(), Secret::default())]);
            // Not on disk, but remembered: it is not sent again by us.
            if let Err(error) = self.store.save(gone).await {
                tracing::warn!(%error, "the spent refresh token stays in the store");
            }
        }
    }
}

/// What a refresh can be asked with: all but the access token and its expiry.
fn lasting(credentials: &Credentials) -> Credentials {
    let mut lasting = credentials.clone();
    lasting.retain(|name, secret| name != ACCESS && name != EXPIRES && !secret.is_empty());
    lasting
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
