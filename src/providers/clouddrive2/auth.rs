//! The token of every call: an API token of the profile, or a JWT for user name and password
//! (sheet section 2).

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::OnceCell;

use super::message::{GetTokenRequest, JwtToken};
use super::wire::{Call, Wire};
use crate::drive::{AccountEffect, DriveContext, DriveError, ErrorKind, Result};
use crate::net::{
    CredentialStore, Credentials, FreshTokens, Refresher, Secret, StoreError, TokenKeeper,
    redact_text,
};

const LOGIN: Call = Call::once("login", "GetToken");

/// Where tokens come from.
pub struct Bearer {
    store: Arc<dyn CredentialStore>,
    profile: String,
    /// The profile's API token, read once; `None` inside when it has none.
    fixed: OnceCell<Option<Secret>>,
    jwt: TokenKeeper<DriveError>,
}

impl Bearer {
    pub fn new(context: &DriveContext, wire: Arc<Wire>) -> Bearer {
        let login = Login {
            wire,
            user: context.field("username").trim().to_owned(),
            profile: context.profile.clone(),
        };
        Bearer {
            store: context.credentials.clone(),
            profile: context.profile.clone(),
            fixed: OnceCell::new(),
            jwt: TokenKeeper::new(
                context.credentials.clone(),
                context.clock.clone(),
                Arc::new(login),
            ),
        }
    }

    /// The token to send.
    ///
    /// # Errors
    /// `Auth` when there is none and none can be got.
    pub async fn token(&self) -> Result<Secret> {
        match self.fixed().await? {
            Some(token) => Ok(token),
            None => self.jwt.access().await,
        }
    }

    /// Another one than `stale`, which the server refused.
    ///
    /// # Errors
    /// `Auth`: an API token that is refused stays refused until the user gives another.
    pub async fn renew(&self, stale: &Secret) -> Result<Secret> {
        match self.fixed().await? {
            Some(_) => Err(DriveError::new(
                ErrorKind::Auth,
                format!(
                    "profile {}: CloudDrive2 refuses the API token: it was removed or has expired",
                    self.profile
                ),
            )),
            None => self.jwt.renew(stale).await,
        }
    }

    async fn fixed(&self) -> Result<Option<Secret>> {
        let fixed = self
            .fixed
            .get_or_try_init(|| async {
                let mut stored = self.load().await?;
                let token = stored.remove("api_token");
                Ok::<_, DriveError>(token.filter(|token| !token.expose().trim().is_empty()))
            })
            .await?;
        Ok(fixed.clone())
    }

    /// The credentials of the profile.
    ///
    /// # Errors
    /// `Auth` when they cannot be read.
    pub async fn load(&self) -> Result<Credentials> {
        let loaded = self.store.load().await;
        loaded.map_err(|error| store_error(&self.profile, &error))
    }

    /// Keeps something beside the credentials.
    ///
    /// # Errors
    /// `Auth` when it cannot be written.
    pub async fn keep(&self, name: &str, value: &str) -> Result<()> {
        let kept = Credentials::from([(name.to_owned(), Secret::new(value.to_owned()))]);
        let saved = self.store.save(kept).await;
        saved.map_err(|error| store_error(&self.profile, &error))
    }
}

fn store_error(profile: &str, error: &StoreError) -> DriveError {
    DriveError::new(ErrorKind::Auth, format!("profile {profile}: {error}"))
}

/// Gets a JWT. There is no refresh token: a new one costs a login (section 2.2).
struct Login {
    wire: Arc<Wire>,
    user: String,
    profile: String,
}

#[async_trait]
impl Refresher<DriveError> for Login {
    async fn refresh(
        &self,
        credentials: &Credentials,
    ) -> Result<Result<FreshTokens, DriveError>, DriveError> {
        let given = |key: &str| credentials.get(key).filter(|secret| !secret.is_empty());
        let password = match given("password") {
            Some(password) if !self.user.is_empty() => password,
            _ => {
                return Ok(Err(DriveError::new(
                    ErrorKind::Auth,
                    format!(
                        "profile {}: needs an api_token, or username and password",
                        self.profile
                    ),
                )));
            }
        };
        let request = GetTokenRequest {
            user_name: self.user.clone(),
            password: password.expose().to_owned(),
            totp_code: given("totp").map(|code| code.expose().trim().to_owned()),
        };
        let answer: JwtToken = match self.wire.unary(&LOGIN, None, request).await {
            // No token is involved here: there is nothing to renew.
            Err(error) if error.kind == ErrorKind::Auth => {
                return Ok(Err(error.effect(AccountEffect::None)));
            }
            answer => answer?,
        };
        if !answer.success || answer.token.is_empty() {
            let said: String = redact_text(answer.error_message.trim())
                .chars()
                .take(200)
                .collect();
            return Ok(Err(DriveError::new(
                ErrorKind::Auth,
                format!(
                    "profile {}: CloudDrive2 refuses the login: {said}",
                    self.profile
                ),
            )));
        }
        let now = self.wire.client.clock().now_ms();
        // Without an end, or with one that is over by our clock, it is used until it is refused.
        let left_ms = answer
            .expiration
            .map_or(0, |end| end.ms().saturating_sub(now));
        Ok(Ok(FreshTokens {
            access: Secret::new(answer.token),
            refresh: None,
            expires_in: u64::try_from(left_ms / 1000).unwrap_or(0),
        }))
    }

    fn store_error(&self, error: StoreError) -> DriveError {
        store_error(&self.profile, &error)
    }
}
