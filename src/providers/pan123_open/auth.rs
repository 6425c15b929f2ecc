//! Access tokens (sheet section 2): with a refresh token the third-party way (2 hours, the
//! refresh token is single-use), without one the developer way (client id and secret, 30 days).

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::answer::{answer_of, seconds, transport};
use super::api::Repeat;
use crate::drive::{AccountEffect, DriveError, ErrorKind, decode};
use crate::net::{
    Client, Clock, Credentials, FreshTokens, Refresher, Request, Retry, Secret, StoreError,
    redact_text,
};

/// A refused app secret is asked again after this long: "too many devices" can be cured by the
/// user. A refused refresh token never comes back to life.
const SECRET_PAUSE_MS: i64 = 60_000;

/// Asks for access tokens.
pub struct Refresh {
    client: Client,
    base: String,
    client_id: String,
    profile: String,
    refused: Mutex<Option<Refused>>,
}

/// A credential the provider refused, when and why. Section 2.4: then stop asking; the
/// third-party endpoint blocks the address of those who go on.
struct Refused {
    credential: Secret,
    until_ms: i64,
    error: DriveError,
}

/// How an exchange ended.
enum Outcome {
    Fresh(FreshTokens),
    /// The provider's word on the credential.
    Verdict(DriveError),
}

impl Refresh {
    pub fn new(client: Client, base: String, client_id: String, profile: String) -> Refresh {
        Refresh {
            client,
            base,
            client_id,
            profile,
            refused: Mutex::new(None),
        }
    }

    fn auth_error(&self, message: &str) -> DriveError {
        DriveError::new(
            ErrorKind::Auth,
            format!("profile {}: {message}", self.profile),
        )
    }

    fn refused_before(&self, credential: &Secret, now: i64) -> Option<DriveError> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused
            .as_ref()
            .filter(|r| r.credential == *credential && now < r.until_ms)
            .map(|r| r.error.clone())
    }

    fn request(&self, credentials: &Credentials) -> Result<(Request, Secret, bool), DriveError> {
        let secret = credentials
            .get("client_secret")
            .filter(|s| !s.is_empty())
            .ok_or_else(|| self.auth_error("client_secret is missing"))?;
        if let Some(token) = credentials.get("refresh_token").filter(|t| !t.is_empty()) {
            // The documented place of these is the query.
            let url = format!("{}/api/v1/oauth2/access_token", self.base);
            let request = Request::post("refresh", url)
                .query("client_id", &self.client_id)
                .query("client_secret", secret.expose())
                .query("grant_type", "refresh_token")
                .query("refresh_token", token.expose());
            return Ok((request, token.clone(), true));
        }
        let request = Request::post("login", format!("{}/api/v1/access_token", self.base))
            .json(&json!({ "clientID": self.client_id, "clientSecret": secret.expose() }));
        Ok((request, secret.clone(), false))
    }
}

#[async_trait]
impl Refresher<DriveError> for Refresh {
    /// A refused refresh token is remembered here and stays in the store: were it dropped, the
    /// next exchange would log in as the owner of the app instead of the user.
    async fn refresh(
        &self,
        credentials: &Credentials,
    ) -> Result<Result<FreshTokens, DriveError>, DriveError> {
        let clock: &Arc<dyn Clock> = self.client.clock();
        let (request, credential, third_party) = self.request(credentials)?;
        if let Some(error) = self.refused_before(&credential, clock.now_ms()) {
            return Err(error);
        }
        let request = request.class("token").header("platform", "open_platform");
        // A lost answer is not asked for again: the token is spent, or one of three is used up.
        let lost = |error| transport(Repeat::Unsafe, error);
        let response = self.client.send(request).await.map_err(lost)?;
        let status = response.status.as_u16();
        let pause = response.header("retry-after").and_then(seconds);
        let body = response.bytes(1 << 20).await.map_err(lost)?;
        let outcome = if third_party {
            third_party_answer(status, pause, &body)
        } else {
            developer_answer(status, pause, &body, clock.now_ms())
        };
        match outcome {
            Ok(Outcome::Fresh(fresh)) => Ok(Ok(fresh)),
            Ok(Outcome::Verdict(error)) => {
                let error = DriveError {
                    kind: ErrorKind::Auth,
                    retry: Retry::Never,
                    account: AccountEffect::None,
                    ..error
                };
                let until_ms = if third_party {
                    i64::MAX
                } else {
                    clock.now_ms().saturating_add(SECRET_PAUSE_MS)
                };
                *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(Refused {
                    credential,
                    until_ms,
                    error: error.clone(),
                });
                Err(error)
            }
            // Nobody but the keeper refreshes: a 401 here must not ask for a refresh.
            Err(error) => Err(error.effect(AccountEffect::None)),
        }
    }

    fn store_error(&self, error: StoreError) -> DriveError {
        self.auth_error(&error.to_string())
    }
}

/// The answer of `api/v1/access_token` (2.2): the usual envelope.
fn developer_answer(
    status: u16,
    pause: Option<std::time::Duration>,
    body: &[u8],
    now_ms: i64,
) -> Result<Outcome, DriveError> {
    let data = match answer_of("login", status, pause, body) {
        Ok(data) => data,
        Err(error) if is_verdict(&error) => return Ok(Outcome::Verdict(error)),
        Err(error) => return Err(error),
    };
    let access = decode::nonempty(&data["accessToken"])
        .ok_or_else(|| DriveError::bad_answer("login", "no accessToken"))?;
    // The field counts, not the token's own expiry. Without it: a day, to be careful.
    let expires_in = decode::rfc3339_ms(&data["expiredAt"])
        .map_or(86_400, |at| at.saturating_sub(now_ms).max(0) / 1000);
    Ok(Outcome::Fresh(FreshTokens {
        access: Secret::new(access),
        refresh: None,
        expires_in: u64::try_from(expires_in).unwrap_or(0),
    }))
}

/// The answer of `api/v1/oauth2/access_token` (2.3): flat; errors in either of two forms. An
/// envelope around it is read too.
fn third_party_answer(
    status: u16,
    pause: Option<std::time::Duration>,
    body: &[u8],
) -> Result<Outcome, DriveError> {
    let answer: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let success = (200..300).contains(&status);
    for place in [&answer, &answer["data"]] {
        if let Some(access) = decode::nonempty(&place["access_token"]).filter(|_| success) {
            return Ok(Outcome::Fresh(FreshTokens {
                access: Secret::new(access),
                refresh: decode::nonempty(&place["refresh_token"]).map(Secret::new),
                expires_in: decode::unsigned(&place["expires_in"]).unwrap_or(7200),
            }));
        }
    }
    if let Some(name) = decode::nonempty(&answer["error"]) {
        let said = decode::text(&answer["error_description"]);
        let message = format!("refresh: {}", redact_text(&said));
        if status < 500 && status != 429 && name != "temporarily_unavailable" {
            return Ok(Outcome::Verdict(
                DriveError::new(ErrorKind::Auth, message).code(name),
            ));
        }
        return Err(DriveError::new(ErrorKind::Provider, message)
            .code(name)
            .retry(Retry::Backoff));
    }
    match answer_of("refresh", status, pause, body) {
        Ok(_) => Err(DriveError::bad_answer("refresh", "no access_token")),
        Err(error) if is_verdict(&error) => Ok(Outcome::Verdict(error)),
        Err(error) => Err(error),
    }
}

/// Whether an error is the service's own word on the credential, and not a moment's trouble.
fn is_verdict(error: &DriveError) -> bool {
    let own = error.code.is_some() || error.account == AccountEffect::Refresh;
    match error.kind {
        ErrorKind::Auth | ErrorKind::Invalid | ErrorKind::NotFound => own,
        // The general code with a text: a word about the token is meant for the token.
        ErrorKind::Provider => own && error.message.to_lowercase().contains("token"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_developer_answer_of_the_sheet() {
        let body = r#"{"code":0,"message":"ok","data":{"accessToken":"eyJ.x.y","expiredAt":"2025-03-23T15:48:37+08:00"},"x-traceID":"t-1"}"#;
        let now = 1_742_716_117_000 - 100_000;
        let Ok(Outcome::Fresh(fresh)) = developer_answer(200, None, body.as_bytes(), now) else {
            panic!("no tokens");
        };
        assert_eq!(fresh.access.expose(), "eyJ.x.y");
        assert_eq!(fresh.expires_in, 100);
        assert!(fresh.refresh.is_none());
    }

    #[test]
    fn the_third_party_answer_is_flat_or_wrapped() {
        let flat = r#"{"token_type":"Bearer","access_token":"a","expires_in":7200,"refresh_token":"R2","scope":"s"}"#;
        let wrapped = format!(r#"{{"code":0,"message":"ok","data":{flat}}}"#);
        for body in [flat, &wrapped] {
            let Ok(Outcome::Fresh(fresh)) = third_party_answer(200, None, body.as_bytes()) else {
                panic!("no tokens");
            };
            assert_eq!(fresh.refresh.unwrap().expose(), "R2");
            assert_eq!(fresh.expires_in, 7200);
        }
    }

    #[test]
    fn both_forms_of_refusal_are_verdicts() {
        for (status, body) in [
            (200, r#"{"code":401,"message":"refresh token is used"}"#),
            (200, r#"{"code":1,"message":"refresh_token 无效"}"#),
            (
                400,
                r#"{"error":"invalid_grant","error_description":"used"}"#,
            ),
        ] {
            let outcome = third_party_answer(status, None, body.as_bytes());
            assert!(matches!(outcome, Ok(Outcome::Verdict(_))), "{body}");
        }
    }

    #[test]
    fn trouble_is_no_verdict() {
        for (status, body) in [
            (502, "<html>"),
            (200, r#"{"code":429,"message":"slow down"}"#),
            (200, "<html>login</html>"),
            (200, r#"{"code":1,"message":"内部错误"}"#),
            (503, r#"{"error":"temporarily_unavailable"}"#),
        ] {
            let outcome = third_party_answer(status, None, body.as_bytes());
            assert!(outcome.is_err(), "{body}");
        }
        let limit = r#"{"code":1,"message":"tokens number has exceeded the limit"}"#;
        let outcome = developer_answer(200, None, limit.as_bytes(), 0);
        assert!(matches!(outcome, Ok(Outcome::Verdict(_))));
    }
}
