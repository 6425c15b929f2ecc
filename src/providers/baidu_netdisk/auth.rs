//! Ways to prove who is asking: an access token with its refresh (sheet section 2.4), or the
//! cookies of a web session (section 2.5).

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::Mutex;

use super::answer::{judge, said};
use crate::drive::{AccountEffect, DriveError, ErrorKind, Result, decode};
use crate::net::{
    Client, CredentialStore, Credentials, FreshTokens, NetError, NetErrorKind, Refresher, Request,
    Retry, Secret, StoreError, TokenKeeper, redact_text,
};

/// How the account's calls are authorised.
pub enum Access {
    /// `access_token` in the query.
    Tokens(TokenKeeper<DriveError>),
    /// `BDUSS` and `STOKEN` in `Cookie`, and the parameters of the web pages.
    Cookie(CookieJar),
}

impl Access {
    /// What to sign calls with now.
    pub async fn current(&self) -> Result<Secret> {
        match self {
            Access::Tokens(keeper) => keeper.access().await,
            Access::Cookie(jar) => jar.current().await,
        }
    }

    /// Another one after the server refused this one.
    pub async fn renew(&self, stale: &Secret) -> Result<Secret> {
        match self {
            Access::Tokens(keeper) => keeper.renew(stale).await,
            Access::Cookie(jar) => jar.renew(stale).await,
        }
    }

    /// The request with what proves who is asking.
    pub fn sign(&self, request: Request, proof: &Secret) -> Request {
        match self {
            Access::Tokens(_) => request.query("access_token", proof.expose()),
            Access::Cookie(_) => request
                .header("cookie", proof.expose())
                .query("app_id", "250528")
                .query("channel", "chunlei")
                .query("web", "1")
                .query("clienttype", "0"),
        }
    }

    /// Whether it is a web session.
    pub fn is_cookie(&self) -> bool {
        matches!(self, Access::Cookie(_))
    }
}

/// The cookies of a web session. There is no refresh: only the user can bring new ones.
pub struct CookieJar {
    store: Arc<dyn CredentialStore>,
    profile: String,
    kept: Mutex<Option<Secret>>,
}

impl CookieJar {
    pub fn new(store: Arc<dyn CredentialStore>, profile: String) -> CookieJar {
        CookieJar {
            store,
            profile,
            kept: Mutex::new(None),
        }
    }

    async fn current(&self) -> Result<Secret> {
        let mut kept = self.kept.lock().await;
        if let Some(cookie) = &*kept {
            return Ok(cookie.clone());
        }
        let cookie = self.load().await?;
        *kept = Some(cookie.clone());
        Ok(cookie)
    }

    /// The stored cookies when they are others than the refused ones.
    async fn renew(&self, stale: &Secret) -> Result<Secret> {
        let mut kept = self.kept.lock().await;
        let cookie = self.load().await?;
        if cookie == *stale {
            *kept = None;
            return Err(self.error("the web session has ended; log in again and store its cookies"));
        }
        *kept = Some(cookie.clone());
        Ok(cookie)
    }

    async fn load(&self) -> Result<Secret> {
        let stored = self.store.load().await;
        let stored = stored.map_err(|error| self.error(&error.to_string()))?;
        stored
            .get("cookie")
            .filter(|cookie| cookie.expose().contains("BDUSS="))
            .cloned()
            .ok_or_else(|| self.error("the cookie is missing or has no BDUSS"))
    }

    fn error(&self, message: &str) -> DriveError {
        DriveError::new(
            ErrorKind::Auth,
            format!("profile {}: {message}", self.profile),
        )
    }
}

/// Exchanges the refresh token. It is single-use, and a refresh that fails kills it, too.
pub struct Refresh {
    pub client: Client,
    /// Base URL of the OAuth host.
    pub base: String,
    pub client_id: String,
    pub profile: String,
}

impl Refresh {
    fn auth_error(&self, message: &str) -> DriveError {
        DriveError::new(
            ErrorKind::Auth,
            format!("profile {}: {message}", self.profile),
        )
    }
}

#[async_trait]
impl Refresher<DriveError> for Refresh {
    async fn refresh(
        &self,
        credentials: &Credentials,
    ) -> Result<Result<FreshTokens, DriveError>, DriveError> {
        let given = |name: &str| credentials.get(name).filter(|secret| !secret.is_empty());
        let Some(token) = given("refresh_token") else {
            return Ok(Err(
                self.auth_error("no usable refresh_token; authorize the app again")
            ));
        };
        // Asked without them the server would refuse, and the token be lost.
        let Some(secret) = given("client_secret") else {
            return Err(self.auth_error("client_secret is missing"));
        };
        if self.client_id.is_empty() {
            return Err(self.auth_error("client_id is missing"));
        }
        let request = Request::get("refresh", format!("{}/oauth/2.0/token", self.base))
            .query("grant_type", "refresh_token")
            .query("refresh_token", token.expose())
            .query("client_id", &self.client_id)
            .query("client_secret", secret.expose());
        // A lost answer may have spent the token: never sent again on the spot.
        let lost = |error: NetError| {
            let open = error.kind == NetErrorKind::BreakerOpen;
            let error = DriveError::from(error);
            if open {
                error
            } else {
                error.retry(Retry::Never)
            }
        };
        let response = self.client.send(request).await.map_err(lost)?;
        let status = response.status.as_u16();
        let headers = response.headers.clone();
        let body = response.bytes(64 << 10).await.map_err(lost)?;
        let answer: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if let Some(verdict) = verdict(status, &answer) {
            return Ok(Err(verdict));
        }
        let answer = judge("refresh", status, &headers, &body)
            .map_err(|error| error.effect(AccountEffect::None).retry(Retry::Never))?;
        tokens("refresh", &answer).map(Ok)
    }

    fn store_error(&self, error: StoreError) -> DriveError {
        self.auth_error(&error.to_string())
    }
}

/// The token object of section 2.2.
pub fn tokens(op: &str, answer: &Value) -> Result<FreshTokens> {
    let access = decode::nonempty(&answer["access_token"])
        .ok_or_else(|| DriveError::bad_answer(op, "no access_token"))?;
    Ok(FreshTokens {
        access: Secret::new(access),
        refresh: decode::nonempty(&answer["refresh_token"]).map(Secret::new),
        // 30 days; what is refused earlier is renewed then.
        expires_in: decode::unsigned(&answer["expires_in"]).unwrap_or(2_592_000),
    })
}

/// The service's word on the token or the app: an OAuth error that is no moment's trouble.
fn verdict(status: u16, answer: &Value) -> Option<DriveError> {
    let name = answer["error"].as_str().filter(|name| !name.is_empty())?;
    let passing = status >= 500
        || status == 429
        || matches!(
            name,
            "temporarily_unavailable" | "server_error" | "slow_down"
        );
    if passing {
        return None;
    }
    let message = format!(
        "refresh: {}; authorize the app again",
        redact_text(&said(answer))
    );
    Some(DriveError::new(ErrorKind::Auth, message).code(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_spent_token_is_told_apart_from_trouble() {
        let used =
            json!({"error":"invalid_grant","error_description":"refresh token has been used"});
        let error = verdict(400, &used).unwrap();
        assert_eq!((error.kind, error.retry), (ErrorKind::Auth, Retry::Never));
        assert_eq!(error.code.as_deref(), Some("invalid_grant"));
        assert!(verdict(400, &json!({"error":"invalid_client"})).is_some());
        assert!(verdict(503, &json!({"error":"server_error"})).is_none());
        assert!(verdict(429, &json!({"error":"slow_down"})).is_none());
        assert!(verdict(200, &json!({"access_token":"a"})).is_none());
        assert!(verdict(502, &Value::Null).is_none());
    }
}
