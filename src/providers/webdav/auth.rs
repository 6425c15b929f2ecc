//! Who we are: Basic, Digest, Bearer, or nobody (sheet generic_backends, 4.3, item 11).
//!
//! Basic goes out with the first request, so that no body is sent twice. A server that wants Digest
//! instead is answered once it has said so; its number is then used for many requests, counted.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

use super::digest::{Asked, Digest, challenges};
use crate::drive::{DriveContext, DriveError, ErrorKind, Result};
use crate::net::{CredentialStore, Secret};

/// Auth modes of this provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Name and password; Digest where the server wants it.
    Basic,
    /// Name and password, which is never sent itself.
    Digest,
    /// A token.
    Bearer,
    /// Nobody is asked.
    Anonymous,
}

impl Mode {
    /// By the name of the auth mode.
    pub fn of(name: &str) -> Mode {
        match name {
            "digest" => Mode::Digest,
            "bearer" => Mode::Bearer,
            "none" => Mode::Anonymous,
            _ => Mode::Basic,
        }
    }

    fn secret_name(self) -> Option<&'static str> {
        match self {
            Mode::Basic | Mode::Digest => Some("password"),
            Mode::Bearer => Some("token"),
            Mode::Anonymous => None,
        }
    }
}

/// What was sent with a request.
#[derive(Default)]
pub struct Grant {
    /// The value of `Authorization`; none for nobody, and before a challenge.
    pub value: Option<Secret>,
    nonce: Option<String>,
}

#[derive(Default)]
struct State {
    secret: Option<Secret>,
    digest: Option<Digest>,
    count: u32,
}

/// The credentials of a profile.
pub struct Auth {
    mode: Mode,
    user: String,
    store: Arc<dyn CredentialStore>,
    state: Mutex<State>,
}

impl Auth {
    pub fn new(context: &DriveContext) -> Auth {
        Auth {
            mode: Mode::of(&context.auth_mode),
            user: context.field("username").to_owned(),
            store: context.credentials.clone(),
            state: Mutex::default(),
        }
    }

    /// The user's name, empty when there is none.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Whether the next request may be refused only because the server has to name a number first.
    pub fn is_cold(&self) -> bool {
        self.mode == Mode::Digest && self.lock().digest.is_none()
    }

    /// What to send with a request.
    ///
    /// # Errors
    /// `Auth` without a secret, `LocalDisk` when the store cannot be read.
    pub async fn grant(&self, method: &str, url: &Url) -> Result<Grant> {
        let Some(secret) = self.secret().await? else {
            return Ok(Grant::default());
        };
        let mut state = self.lock();
        Ok(match (self.mode, &state.digest) {
            (Mode::Bearer, _) => Grant {
                value: Some(Secret::new(format!("Bearer {}", secret.expose()))),
                nonce: None,
            },
            (Mode::Basic, None) => {
                let plain = Secret::new(format!("{}:{}", self.user, secret.expose()));
                let encoded = Secret::new(STANDARD.encode(plain.expose()));
                Grant {
                    value: Some(Secret::new(format!("Basic {}", encoded.expose()))),
                    nonce: None,
                }
            }
            (Mode::Basic | Mode::Digest, Some(digest)) => {
                let digest = digest.clone();
                state.count = state.count.wrapping_add(1);
                let uri = match url.query() {
                    Some(query) => format!("{}?{query}", url.path()),
                    None => url.path().to_owned(),
                };
                let asked = Asked {
                    method,
                    uri: &uri,
                    count: state.count,
                    cnonce: &uuid::Uuid::new_v4().simple().to_string(),
                };
                Grant {
                    value: Some(digest.answer(&self.user, &secret, &asked)),
                    nonce: Some(digest.nonce),
                }
            }
            (Mode::Digest, None) | (Mode::Anonymous, _) => Grant::default(),
        })
    }

    /// Told that a request was refused with 401: whether it is worth sending once more.
    pub fn learn(&self, headers: &HeaderMap, sent: &Grant) -> bool {
        let offered = headers.get_all(WWW_AUTHENTICATE).iter();
        let offered = challenges(offered.filter_map(|value| value.to_str().ok()));
        let mut state = self.lock();
        if matches!(self.mode, Mode::Basic | Mode::Digest)
            && let Some(digest) = Digest::choose(&offered)
        {
            let basic_was_refused = sent.nonce.is_none()
                && sent.value.is_some()
                && offered.iter().any(|one| one.scheme == "basic");
            // The number we used has expired, was another one, or there was none.
            let is_new = sent.nonce.as_ref() != Some(&digest.nonce);
            if is_new && !basic_was_refused {
                // Somebody else may have learned it meanwhile: its count goes on.
                if state.digest.as_ref() != Some(&digest) {
                    state.digest = Some(digest);
                    state.count = 0;
                }
                return true;
            }
        }
        // The profile may be given another secret while we run.
        state.secret = None;
        false
    }

    async fn secret(&self) -> Result<Option<Secret>> {
        let Some(name) = self.mode.secret_name() else {
            return Ok(None);
        };
        if let Some(secret) = &self.lock().secret {
            return Ok(Some(secret.clone()));
        }
        let stored = self
            .store
            .load()
            .await
            .map_err(|error| DriveError::new(ErrorKind::LocalDisk, error.to_string()))?;
        let secret = stored
            .get(name)
            .filter(|secret| !secret.is_empty())
            .cloned()
            .ok_or_else(|| {
                DriveError::new(ErrorKind::Auth, format!("the profile has no {name}"))
            })?;
        self.lock().secret = Some(secret.clone());
        Ok(Some(secret))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
