//! Who we are towards the service (client, device, user), and how a new access token is got
//! (sheet sections 2.1 to 2.3, 2.5).

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::captcha::wall;
use super::error::{error_of, is_error};
use super::platform::Platform;
use crate::drive::{AccountEffect, DriveContext, DriveError, ErrorKind, Result, decode};
use crate::net::{
    Client, CredentialStore, Credentials, FreshTokens, Refresher, Request, Secret, StoreError,
};

/// Client, device and user of this profile.
pub struct Identity {
    pub platform: &'static Platform,
    /// The client's version: its own, or that of a recorded captcha pair.
    pub client_version: String,
    /// The time of a recorded captcha pair (section 2.2), empty without one.
    pub recorded_at: String,
    pub profile: String,
    pub store: Arc<dyn CredentialStore>,
    fixed_device: Option<String>,
    device: OnceCell<String>,
    user_id: RwLock<Option<String>>,
}

impl Identity {
    /// # Errors
    /// `Invalid` for an unknown platform, a device id that is none, or a recorded captcha pair
    /// without its device.
    pub fn new(context: &DriveContext) -> Result<Identity> {
        let refuse = |what: String| {
            DriveError::new(
                ErrorKind::Invalid,
                format!("profile {}: {what}", context.profile),
            )
        };
        let name = context.field("platform");
        let platform = Platform::find(name)
            .ok_or_else(|| refuse(format!("platform is {name:?}; use web, app, browser or x")))?;
        let fixed_device = match context.field("device_id") {
            "" => None,
            text => Some(device_id(text).ok_or_else(|| {
                refuse("device_id is neither 32 hex digits nor a wdi10. id".to_owned())
            })?),
        };
        let recorded_at = context.field("captcha_timestamp").trim().to_owned();
        if !recorded_at.is_empty() {
            if !recorded_at.bytes().all(|b| b.is_ascii_digit()) {
                return Err(refuse("captcha_timestamp is not milliseconds".to_owned()));
            }
            if fixed_device.is_none() {
                return Err(refuse(
                    "captcha_timestamp needs the device_id the pair was made for".to_owned(),
                ));
            }
        }
        let client_version = match context.field("client_version").trim() {
            "" => platform.client_version,
            given => given,
        };
        Ok(Identity {
            platform,
            client_version: client_version.to_owned(),
            recorded_at,
            profile: context.profile.clone(),
            store: context.credentials.clone(),
            fixed_device,
            device: OnceCell::new(),
            user_id: RwLock::new(None),
        })
    }

    /// The device id, the same for ever: from the profile, else a random one that is made once
    /// and kept with the credentials ("a random 32-hex id also works", section 2.1).
    pub async fn device(&self) -> Result<&str> {
        if let Some(device) = &self.fixed_device {
            return Ok(device);
        }
        let device = self
            .device
            .get_or_try_init(|| async {
                let stored = self.load().await?;
                let kept = stored
                    .get("device_id")
                    .and_then(|id| device_id(id.expose()));
                if let Some(device) = kept {
                    return Ok(device);
                }
                let device = uuid::Uuid::new_v4().simple().to_string();
                let kept = ("device_id".to_owned(), Secret::new(device.clone()));
                self.save([kept]).await?;
                Ok::<_, DriveError>(device)
            })
            .await?;
        Ok(device)
    }

    /// The credentials of the profile.
    pub async fn load(&self) -> Result<Credentials> {
        let loaded = self.store.load().await;
        loaded.map_err(|error| self.store_error(&error))
    }

    /// Seals fields with the credentials; durable when it returns.
    pub async fn save<const N: usize>(&self, fields: [(String, Secret); N]) -> Result<()> {
        let saved = self.store.save(fields.into_iter().collect()).await;
        saved.map_err(|error| self.store_error(&error))
    }

    pub fn store_error(&self, error: &StoreError) -> DriveError {
        DriveError::new(
            ErrorKind::Auth,
            format!("profile {}: {error}", self.profile),
        )
    }

    /// The user id, once some answer told it.
    pub fn user_id(&self) -> Option<String> {
        let known = self.user_id.read();
        known.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers the user id that an answer told.
    pub fn learn_user(&self, id: Option<String>) {
        if let Some(id) = id.filter(|id| !id.is_empty()) {
            let known = self.user_id.write();
            known
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(id);
        }
    }

    /// The headers of every call to the service (section 3).
    pub async fn dress(&self, request: Request, now_ms: i64) -> Result<Request> {
        let device = self.device().await?;
        let user = self.user_id().unwrap_or_default();
        let agent = self
            .platform
            .api_agent(&self.client_version, device, &user, now_ms);
        Ok(request
            .header("user-agent", &agent)
            .header("accept", "application/json;charset=UTF-8")
            .header("x-device-id", device)
            .header("x-client-id", self.platform.client_id)
            .header("x-client-version", &self.client_version))
    }
}

/// 32 lower hex digits from a device id in any usual spelling. The web's is `wdi10.` and 64
/// digits, of which calls and signs use the first half (section 2.1).
fn device_id(text: &str) -> Option<String> {
    let text = text.trim();
    let (digits, prefixed) = match text.split_once('.') {
        Some((_, digits)) => (digits, true),
        None => (text, false),
    };
    let mut id: String = digits
        .chars()
        .filter(|c| *c != '-')
        .map(|c| c.to_ascii_lowercase())
        .collect();
    if !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    if prefixed && id.len() > 32 || id.len() == 64 {
        id.truncate(32);
    }
    (id.len() == 32).then_some(id)
}

/// The access token without the word before it: people copy the whole `Authorization` header.
pub fn bare(token: &Secret) -> &str {
    let text = token.expose().trim();
    match text.split_once(' ') {
        Some((word, rest)) if word.eq_ignore_ascii_case("bearer") => rest.trim(),
        _ => text,
    }
}

/// The `sub` claim of an access token, when it is a JWT (section 2.5). Not verified: it names the
/// user to the service that issued it.
pub fn subject(token: &Secret) -> Option<String> {
    let payload = bare(token).split('.').nth(1)?.trim_end_matches('=');
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    decode::nonempty(&claims["sub"])
}

/// Gets access tokens.
pub struct Refresh {
    pub client: Client,
    pub base: String,
    pub identity: Arc<Identity>,
}

#[async_trait]
impl Refresher<DriveError> for Refresh {
    async fn refresh(
        &self,
        credentials: &Credentials,
    ) -> Result<Result<FreshTokens, DriveError>, DriveError> {
        let Some(token) = credentials.get("refresh_token").filter(|t| !t.is_empty()) else {
            return Ok(Err(DriveError::new(
                ErrorKind::Auth,
                format!(
                    "profile {}: the access token is missing or over; give another one, or a refresh_token",
                    self.identity.profile
                ),
            )));
        };
        match self.exchange(token).await {
            // 4126 and the like: this refresh token is dead (section 10).
            Err(error) if error.kind == ErrorKind::Auth => Ok(Err(error)),
            other => other.map(Ok),
        }
    }

    fn store_error(&self, error: StoreError) -> DriveError {
        self.identity.store_error(&error)
    }
}

impl Refresh {
    /// Section 2.5. Needs no captcha; the answer's refresh token replaces the one sent, which is
    /// good for one use only.
    async fn exchange(&self, token: &Secret) -> Result<FreshTokens> {
        let op = "refresh";
        let platform = self.identity.platform;
        let mut body = json!({
            "grant_type": "refresh_token",
            "refresh_token": token.expose(),
            "client_id": platform.client_id,
        });
        if let Some(secret) = platform.client_secret {
            body["client_secret"] = json!(secret);
        }
        let url = format!("{}/v1/auth/token", self.base);
        let now = self.client.clock().now_ms();
        let request = Request::post(op, url).json(&body);
        let request = self.identity.dress(request, now).await?;
        let response = self.client.send(request).await?;
        let (status, pause) = (response.status, response.retry_after());
        let bytes = response.bytes(256 << 10).await?;
        let answer: Option<Value> = serde_json::from_slice(&bytes).ok();
        let answer = match answer {
            Some(answer) if status.is_success() && !is_error(&answer) => answer,
            _ => {
                let error = error_of(op, status.as_u16(), pause, &bytes);
                if let AccountEffect::CoolDown(pause) = error.account {
                    self.client.breaker().trip(pause, &error.to_string());
                }
                if error.kind == ErrorKind::Risk {
                    return Err(wall(&self.client, error));
                }
                // No access token is involved here: nothing to refresh.
                return Err(error.effect(AccountEffect::None));
            }
        };
        let access = decode::nonempty(&answer["access_token"])
            .map(Secret::new)
            .ok_or_else(|| DriveError::bad_answer(op, "no access_token"))?;
        self.identity.learn_user(
            decode::nonempty(&answer["user_id"])
                .or_else(|| decode::nonempty(&answer["sub"]))
                .or_else(|| subject(&access)),
        );
        Ok(FreshTokens {
            access,
            refresh: decode::nonempty(&answer["refresh_token"]).map(Secret::new),
            expires_in: decode::unsigned(&answer["expires_in"]).unwrap_or(43_200),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_in_the_token() {
        // The sample of section 2.5.
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiI2NTQzMjEifQ.sig";
        let user = |token: &str| subject(&Secret::new(token));
        assert_eq!(user(token).as_deref(), Some("654321"));
        assert_eq!(user(&format!("Bearer {token}")).as_deref(), Some("654321"));
        assert_eq!(user("opaque"), None);
        assert_eq!(user("a.%%%.c"), None);
    }

    #[test]
    fn a_copied_header_is_a_token() {
        for text in ["at", " at ", "Bearer at", "bearer  at"] {
            assert_eq!(bare(&Secret::new(text)), "at");
        }
    }

    #[test]
    fn device_ids_have_one_spelling() {
        let id = "0123456789ab4def8123456789abcdef";
        for text in [
            id.to_owned(),
            " 01234567-89AB-4DEF-8123-456789abcdef ".to_owned(),
            format!("wdi10.{id}{}", "f".repeat(32)),
            format!("{id}{}", "f".repeat(32)),
            format!("div101.{id}"),
        ] {
            assert_eq!(device_id(&text).as_deref(), Some(id), "{text}");
        }
        for text in ["0123", "wdi10.", "g123456789abcdef0123456789abcdef"] {
            assert_eq!(device_id(text), None, "{text}");
        }
        assert_eq!(device_id(&"0".repeat(33)), None);
    }
}
