//! Access tokens (sheet section 2): of the app (`bot`), or of a user, whose refresh token is
//! single-use: its successor is stored before it is used.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::answer::{Head, Repeat, transport, whole_answer};
use crate::drive::{AccountEffect, DriveError, ErrorKind, decode};
use crate::net::{
    Client, CredentialStore, Credentials, FreshTokens, Refresher, Request, Retry, Secret,
    StoreError,
};

/// Whose drive it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// A user who authorized the app.
    User,
    /// The app itself; it has an empty root of its own (section 2.1).
    Bot,
}

impl Identity {
    /// Reads the profile's field.
    ///
    /// # Errors
    /// `Invalid` for anything but `user` and `bot`.
    pub fn parse(text: &str) -> Result<Identity, DriveError> {
        match text {
            "" | "user" => Ok(Identity::User),
            "bot" => Ok(Identity::Bot),
            other => Err(DriveError::new(
                ErrorKind::Invalid,
                format!("identity is {other:?}; use user or bot"),
            )),
        }
    }
}

/// The scopes that the last refresh told.
pub type Granted = Arc<Mutex<Option<String>>>;

/// Asks for access tokens.
pub struct Refresh {
    pub client: Client,
    pub base: String,
    pub app_id: String,
    pub identity: Identity,
    pub profile: String,
    pub store: Arc<dyn CredentialStore>,
    pub granted: Granted,
}

impl Refresh {
    fn auth_error(&self, message: &str) -> DriveError {
        DriveError::new(
            ErrorKind::Auth,
            format!("profile {}: {message}", self.profile),
        )
    }

    fn secret<'a>(
        &self,
        credentials: &'a Credentials,
        name: &str,
    ) -> Result<&'a Secret, DriveError> {
        credentials
            .get(name)
            .filter(|secret| !secret.is_empty())
            .ok_or_else(|| self.auth_error(&format!("no usable {name}; authorize the app again")))
    }

    /// One exchange. Its answer is never asked for again when it was lost: the refresh token is
    /// spent then.
    async fn exchange(
        &self,
        op: &'static str,
        path: &str,
        body: &Value,
    ) -> Result<Value, DriveError> {
        let request = Request::post(op, format!("{}/open-apis{path}", self.base))
            .json(body)
            .header("content-type", "application/json; charset=utf-8");
        let lost = |error| transport(Repeat::Unsafe, error);
        let response = self.client.send(request).await.map_err(lost)?;
        let head = Head::of(&response);
        let body = response.bytes(1 << 20).await.map_err(lost)?;
        // Nobody but the keeper refreshes: a refused token here must not ask for a refresh.
        whole_answer(op, &head, &body).map_err(|error| error.effect(AccountEffect::None))
    }

    /// Section 2.2.
    async fn of_app(
        &self,
        credentials: &Credentials,
    ) -> Result<Result<FreshTokens, DriveError>, DriveError> {
        let secret = self.secret(credentials, "app_secret")?;
        let body = json!({ "app_id": self.app_id, "app_secret": secret.expose() });
        let path = "/auth/v3/tenant_access_token/internal";
        match self.exchange("tenant_token", path, &body).await {
            // The token is beside `code`, not in `data`.
            Ok(answer) => fresh_of(&answer, "tenant_access_token", "expire").map(Ok),
            // The app's id or secret is wrong until somebody changes it.
            Err(error) if error.code.as_deref() == Some("99991543") => Ok(Err(error)),
            Err(error) => Err(error),
        }
    }

    /// Section 2.3 (3).
    async fn of_user(
        &self,
        credentials: &Credentials,
    ) -> Result<Result<FreshTokens, DriveError>, DriveError> {
        let token = match self.secret(credentials, "refresh_token") {
            Ok(token) => token,
            Err(missing) => return Ok(Err(missing)),
        };
        let secret = self.secret(credentials, "app_secret")?;
        let body = json!({
            "grant_type": "refresh_token",
            "client_id": self.app_id,
            "client_secret": secret.expose(),
            "refresh_token": token.expose(),
        });
        let path = "/authen/v2/oauth/token";
        let mut answer = self.exchange("refresh", path, &body).await;
        if code_of(&answer) == Some("20050") {
            // Section 2.5: the server's own fault, once more.
            answer = self.exchange("refresh", path, &body).await;
        }
        match (code_of(&answer), answer) {
            (_, Ok(answer)) => {
                if let Some(scope) = decode::nonempty(&answer["scope"]) {
                    *self.granted.lock().unwrap_or_else(PoisonError::into_inner) = Some(scope);
                }
                fresh_of(&answer, "access_token", "expires_in").map(Ok)
            }
            (Some("20073"), Err(error)) => {
                // Another program was faster. When it shares our store its pair is there by now.
                let stored = self
                    .store
                    .load()
                    .await
                    .map_err(|error| self.store_error(error))?;
                match stored.get("refresh_token") {
                    Some(newer) if newer != token && !newer.is_empty() => {
                        Err(login(error).retry(Retry::Backoff))
                    }
                    _ => Ok(Err(login(error))),
                }
            }
            (Some("20026" | "20037" | "20064"), Err(error)) => Ok(Err(login(error))),
            // An admin has to let the user in; the token stays good.
            (Some("20010"), Err(error)) => Err(DriveError {
                kind: ErrorKind::Auth,
                message: format!("{}; an admin must let the user use the app", error.message),
                retry: Retry::Never,
                ..error
            }),
            (_, Err(error)) => Err(error),
        }
    }
}

fn code_of(answer: &Result<Value, DriveError>) -> Option<&'static str> {
    let code = answer.as_ref().err()?.code.as_deref()?;
    ["20010", "20026", "20037", "20050", "20064", "20073"]
        .into_iter()
        .find(|known| *known == code)
}

fn login(error: DriveError) -> DriveError {
    DriveError {
        kind: ErrorKind::Auth,
        message: format!("{}; authorize the app again", error.message),
        retry: Retry::Never,
        ..error
    }
}

/// The tokens of an answer, which stand at its top level. An envelope around them is read too.
fn fresh_of(answer: &Value, token: &str, life: &str) -> Result<FreshTokens, DriveError> {
    let place = [answer, &answer["data"]]
        .into_iter()
        .find(|place| decode::nonempty(&place[token]).is_some())
        .ok_or_else(|| DriveError::bad_answer("refresh", format!("no {token}")))?;
    Ok(FreshTokens {
        access: Secret::new(decode::text(&place[token])),
        refresh: decode::nonempty(&place["refresh_token"]).map(Secret::new),
        expires_in: decode::unsigned(&place[life]).unwrap_or(7200),
    })
}

#[async_trait]
impl Refresher<DriveError> for Refresh {
    async fn refresh(
        &self,
        credentials: &Credentials,
    ) -> Result<Result<FreshTokens, DriveError>, DriveError> {
        match self.identity {
            Identity::Bot => self.of_app(credentials).await,
            Identity::User => self.of_user(credentials).await,
        }
    }

    fn store_error(&self, error: StoreError) -> DriveError {
        self.auth_error(&error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_stand_at_the_top_level() {
        let user = json!({"code":0,"access_token":"u-1","expires_in":7200,"refresh_token":"ur-2",
            "refresh_token_expires_in":604800,"scope":"drive:drive","token_type":"Bearer"});
        let fresh = fresh_of(&user, "access_token", "expires_in").unwrap();
        assert_eq!(fresh.access.expose(), "u-1");
        assert_eq!(fresh.refresh.unwrap().expose(), "ur-2");
        let app = json!({"code":0,"msg":"ok","tenant_access_token":"t-1","expire":"600"});
        let fresh = fresh_of(&app, "tenant_access_token", "expire").unwrap();
        assert_eq!((fresh.access.expose(), fresh.expires_in), ("t-1", 600));
        assert!(fresh_of(&json!({"code":0}), "access_token", "expires_in").is_err());
    }

    #[test]
    fn an_identity_is_a_user_or_the_app() {
        assert_eq!(Identity::parse("").unwrap(), Identity::User);
        assert_eq!(Identity::parse("bot").unwrap(), Identity::Bot);
        assert_eq!(
            Identity::parse("tenant").unwrap_err().kind,
            ErrorKind::Invalid
        );
    }
}
