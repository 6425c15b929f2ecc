//! The cookie of the account and its rolling part (sheet quark, 2.2).
//!
//! `__pus` is the login. `__puus` lives about three hours and every answer may bring another one:
//! it is stored first and used from the next request on. One that is lost is no harm while
//! `__pus` lives: a call without `__puus` is answered with a fresh one.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, SET_COOKIE};
use tokio::sync::{Mutex, MutexGuard};

use crate::drive::{DriveError, ErrorKind, Result};
use crate::net::{CredentialStore, Credentials, Secret, StoreError};

/// The field in the vault.
const FIELD: &str = "cookie";

/// The login.
const LOGIN: &str = "__pus";

/// The rolling part.
const ROLLING: &str = "__puus";

/// Another process is waited for this long.
const LOCK: Duration = Duration::from_secs(20);

/// Names and values, in the order they came.
type Pairs = Vec<(String, String)>;

/// The cookie of one profile.
pub struct Jar {
    store: Arc<dyn CredentialStore>,
    profile: String,
    /// A share is read without an account as well.
    required: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    loaded: bool,
    pairs: Pairs,
    /// Handed out by the service, not stored yet.
    unsaved: Pairs,
    /// Counts renewals, so that many callers renew once.
    renewals: u64,
}

/// The cookie as a request carries it.
#[derive(Clone)]
pub struct Sent {
    /// The header's value; empty without an account.
    pub header: Secret,
    /// The renewals before it.
    pub renewals: u64,
}

impl Jar {
    pub fn new(store: Arc<dyn CredentialStore>, profile: String, required: bool) -> Jar {
        Jar {
            store,
            profile,
            required,
            state: Mutex::default(),
        }
    }

    /// The cookie for the next request.
    pub async fn current(&self) -> Result<Sent> {
        let state = self.ready().await?;
        Ok(sent(&state, false))
    }

    /// The same without the rolling part: whoever sends it is given a fresh one.
    pub async fn login_only(&self) -> Result<Sent> {
        let state = self.ready().await?;
        Ok(sent(&state, true))
    }

    /// Takes over what an answer sets. Stored before it is used.
    pub async fn take(&self, set: &[(String, String)]) {
        let rolled: Pairs = set
            .iter()
            .filter(|(name, _)| name == ROLLING || name == LOGIN)
            .cloned()
            .collect();
        if rolled.is_empty() {
            return;
        }
        let mut state = self.state.lock().await;
        if rolled.iter().all(|pair| state.pairs.contains(pair)) {
            return;
        }
        if state.pairs.is_empty() && !self.required {
            // A guest's: nothing to keep.
            merge(&mut state.pairs, &rolled);
            return;
        }
        merge(&mut state.unsaved, &rolled);
        if let Err(error) = self.save(&mut state).await {
            tracing::warn!(profile = %self.profile, %error, "the fresh cookie is not stored yet");
        }
    }

    /// Notes that the login was asked for a fresh rolling part. `false` when somebody else did so
    /// since `used` was taken, or another process stored a new cookie: that one is in use then.
    pub async fn may_renew(&self, used: &Sent) -> Result<bool> {
        let mut state = self.ready().await?;
        if state.renewals != used.renewals {
            return Ok(false);
        }
        let stored = self.stored().await.map_err(|e| self.broken(e))?;
        state.renewals += 1;
        if !stored.is_empty() && stored != state.pairs {
            state.pairs = stored;
            return Ok(false);
        }
        Ok(true)
    }

    async fn ready(&self) -> Result<MutexGuard<'_, State>> {
        let mut state = self.state.lock().await;
        if !state.loaded {
            state.pairs = self.stored().await.map_err(|e| self.broken(e))?;
            state.loaded = true;
        }
        if self.required && value(&state.pairs, LOGIN).is_none() {
            state.loaded = false;
            return Err(DriveError::new(
                ErrorKind::Auth,
                format!(
                    "profile {}: the cookie has no {LOGIN}; copy the whole Cookie header of the signed-in web site",
                    self.profile
                ),
            ));
        }
        if !state.unsaved.is_empty()
            && let Err(error) = self.save(&mut state).await
        {
            tracing::warn!(profile = %self.profile, %error, "the fresh cookie is not stored yet");
        }
        Ok(state)
    }

    async fn stored(&self) -> Result<Pairs, StoreError> {
        let stored = self.store.load().await?;
        Ok(stored
            .get(FIELD)
            .map(|cookie| pairs(cookie.expose()))
            .unwrap_or_default())
    }

    /// Writes what is unsaved, on top of what another process may have stored meanwhile.
    async fn save(&self, state: &mut State) -> Result<(), StoreError> {
        let _guard = tokio::time::timeout(LOCK, self.store.lock())
            .await
            .map_err(|_| StoreError("locked by another process".to_owned()))??;
        let stored = self.stored().await?;
        if value(&stored, LOGIN) != value(&state.pairs, LOGIN) && !stored.is_empty() {
            // Somebody signed in anew: what the old login was given is worth nothing.
            state.pairs = stored;
            state.unsaved.clear();
            return Ok(());
        }
        let mut next = if stored.is_empty() {
            state.pairs.clone()
        } else {
            stored
        };
        merge(&mut next, &state.unsaved);
        let text = Secret::new(header(&next, false));
        self.store
            .save(Credentials::from([(FIELD.to_owned(), text)]))
            .await?;
        state.pairs = next;
        state.unsaved.clear();
        Ok(())
    }

    fn broken(&self, error: StoreError) -> DriveError {
        DriveError::new(
            ErrorKind::Auth,
            format!("profile {}: {error}", self.profile),
        )
    }
}

fn sent(state: &State, login_only: bool) -> Sent {
    Sent {
        header: Secret::new(header(&state.pairs, login_only)),
        renewals: state.renewals,
    }
}

/// The cookies that an answer sets. Removals are left out.
pub fn set_cookies(headers: &HeaderMap) -> Pairs {
    headers
        .get_all(SET_COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .filter_map(|line| pair(line.split(';').next()?))
        .filter(|(_, value)| !value.is_empty() && value != "deleted")
        .collect()
}

/// A cookie header read as people paste it: with its name, over several lines.
fn pairs(text: &str) -> Pairs {
    let text = text.trim();
    let text = match text.split_at_checked(7) {
        Some((name, rest)) if name.eq_ignore_ascii_case("cookie:") => rest,
        _ => text,
    };
    let mut pairs = Pairs::new();
    for piece in text.split([';', '\n', '\r']) {
        if let Some(pair) = pair(piece) {
            merge(&mut pairs, &[pair]);
        }
    }
    pairs
}

fn pair(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    // What cannot stand in a header would take the whole header with it.
    let plain = |text: &str| text.bytes().all(|b| (0x20..0x7f).contains(&b));
    (!name.is_empty() && plain(name) && plain(value)).then(|| (name.to_owned(), value.to_owned()))
}

/// Puts `news` in the place of what has the same name.
fn merge(pairs: &mut Pairs, news: &[(String, String)]) {
    for (name, value) in news {
        match pairs.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => known.clone_from(value),
            None => pairs.push((name.clone(), value.clone())),
        }
    }
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = pairs.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

fn header(pairs: &[(String, String)], login_only: bool) -> String {
    pairs
        .iter()
        .filter(|(name, _)| !(login_only && name == ROLLING))
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pasted_cookies_are_read_in_every_form() {
        let read = pairs("Cookie: __pus=a=b==; __puus=old;\n b-user-id=1; ; x; \u{e9}=1; __puus=c");
        assert_eq!(header(&read, false), "__pus=a=b==; __puus=c; b-user-id=1");
        assert_eq!(header(&read, true), "__pus=a=b==; b-user-id=1");
        assert!(pairs("").is_empty());
    }

    #[test]
    fn answers_set_cookies_and_removals_do_not_count() {
        let mut headers = HeaderMap::new();
        for line in [
            "__puus=new==; Path=/; HttpOnly",
            "__pus=; Max-Age=0",
            "__pugs=g; Domain=quark.cn",
            "broken",
        ] {
            headers.append(SET_COOKIE, line.parse().unwrap());
        }
        let set = set_cookies(&headers);
        assert_eq!(header(&set, false), "__puus=new==; __pugs=g");
    }
}
