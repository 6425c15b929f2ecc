//! Who we are towards the service (client, device, user), and how an access token is got: refresh
//! token first, password when that is spent (sheet sections 2.1, 2.3, 2.5, 2.6).

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::captcha::Captcha;
use super::error::{error_of, is_error, wants_captcha};
use super::platform::{Platform, md5_hex};
use crate::drive::{AccountEffect, DriveContext, DriveError, ErrorKind, Result, decode};
use crate::net::{
    Client, CredentialStore, Credentials, FreshTokens, Refresher, Request, Secret, StoreError,
};

/// Client, device and user of this profile.
pub struct Identity {
    pub platform: &'static Platform,
    pub username: String,
    pub profile: String,
    pub store: Arc<dyn CredentialStore>,
    fixed_device: Option<String>,
    device: OnceCell<String>,
    user_id: RwLock<Option<String>>,
}

impl Identity {
    /// # Errors
    /// `Invalid` for an unknown platform or a device id that is none.
    pub fn new(context: &DriveContext) -> Result<Identity> {
        let refuse = |what: String| {
            DriveError::new(
                ErrorKind::Invalid,
                format!("profile {}: {what}", context.profile),
            )
        };
        let name = context.field("platform");
        let platform = Platform::find(name)
            .ok_or_else(|| refuse(format!("platform is {name:?}; use web, pc or android")))?;
        let fixed_device = match context.field("device_id") {
            "" => None,
            text => Some(
                device_id(text)
                    .ok_or_else(|| refuse("device_id is not 32 hex digits".to_owned()))?,
            ),
        };
        Ok(Identity {
            platform,
            username: context.field("username").trim().to_owned(),
            profile: context.profile.clone(),
            store: context.credentials.clone(),
            fixed_device,
            device: OnceCell::new(),
            user_id: RwLock::new(None),
        })
    }

    /// The device id, the same for ever: from the profile, else from the first derivation, which
    /// is kept with the credentials (a changed password must not make a new device).
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
                let password = stored.get("password").map_or("", Secret::expose);
                let device = match (self.username.as_str(), password) {
                    ("", _) => uuid::Uuid::new_v4().simple().to_string(),
                    (user, password) => md5_hex(&format!("{user}{password}")),
                };
                let kept = [("device_id".to_owned(), Secret::new(device.clone()))];
                let saved = self.store.save(kept.into_iter().collect()).await;
                saved.map_err(|error| self.store_error(&error))?;
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
        let request = request
            .header(
                "user-agent",
                &self.platform.api_agent(device, &user, now_ms),
            )
            .header("x-device-id", device)
            .header("x-client-id", self.platform.client_id);
        Ok(if self.platform.is_web() {
            request.header("referer", "https://mypikpak.com/")
        } else {
            request
        })
    }
}

/// 32 lower hex digits from a device id in any usual spelling.
fn device_id(text: &str) -> Option<String> {
    let id: String = text
        .trim()
        .chars()
        .filter(|c| *c != '-')
        .map(|c| c.to_ascii_lowercase())
        .collect();
    (id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())).then_some(id)
}

/// The `sub` claim of an access token, when it is a JWT (section 2.4). Not verified: it names the
/// user to the service that issued it.
pub fn subject(token: &str) -> Option<String> {
    let payload = token.split('.').nth(1)?.trim_end_matches('=');
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    decode::nonempty(&claims["sub"])
}

/// Gets access tokens.
pub struct Refresh {
    pub client: Client,
    pub base: String,
    pub identity: Arc<Identity>,
    pub captcha: Arc<Captcha>,
    /// A password that the service refused is not sent twice.
    pub refused: Mutex<Option<Secret>>,
}

#[async_trait]
impl Refresher<DriveError> for Refresh {
    async fn refresh(
        &self,
        credentials: &Credentials,
    ) -> Result<Result<FreshTokens, DriveError>, DriveError> {
        let given = |key: &str| credentials.get(key).filter(|secret| !secret.is_empty());
        let mut verdict = None;
        if let Some(token) = given("refresh_token") {
            match self.exchange(token).await {
                // 4126 and the like: this refresh token is dead (section 2.6).
                Err(error) if error.kind == ErrorKind::Auth => verdict = Some(error),
                other => return other.map(Ok),
            }
        }
        if let Some(password) = given("password").filter(|_| !self.identity.username.is_empty()) {
            return match self.sign_in(password, given("captcha_token")).await {
                Err(error) if error.kind == ErrorKind::Auth => Ok(Err(error)),
                other => other.map(Ok),
            };
        }
        Ok(Err(verdict.unwrap_or_else(|| {
            DriveError::new(
                ErrorKind::Auth,
                format!(
                    "profile {}: needs a refresh_token, or username and password",
                    self.identity.profile
                ),
            )
        })))
    }

    fn store_error(&self, error: StoreError) -> DriveError {
        self.identity.store_error(&error)
    }
}

impl Refresh {
    /// Section 2.6. Needs no captcha; the answer's refresh token replaces the one sent.
    async fn exchange(&self, token: &Secret) -> Result<FreshTokens> {
        let platform = self.identity.platform;
        let body = json!({
            "client_id": platform.client_id,
            "client_secret": platform.client_secret,
            "grant_type": "refresh_token",
            "refresh_token": token.expose(),
        });
        let url = format!("{}/v1/auth/token", self.base);
        self.tokens("refresh", url, &body, None).await
    }

    /// Section 2.5, with one new captcha token when the first is refused.
    async fn sign_in(&self, password: &Secret, captcha: Option<&Secret>) -> Result<FreshTokens> {
        let refused = || self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused().as_ref() == Some(password) {
            return Err(DriveError::new(
                ErrorKind::Auth,
                format!(
                    "profile {}: the service refused this password; enter it again",
                    self.identity.profile
                ),
            ));
        }
        let mut previous = captcha.cloned();
        let mut again = true;
        loop {
            let captcha = self.captcha.for_sign_in(previous.as_ref()).await?;
            let platform = self.identity.platform;
            let body = json!({
                "client_id": platform.client_id,
                "client_secret": platform.client_secret,
                "username": self.identity.username,
                "password": password.expose(),
                "captcha_token": captcha.expose(),
            });
            let url = format!(
                "{}/v1/auth/signin?client_id={}",
                self.base, platform.client_id
            );
            match self.tokens("sign_in", url, &body, Some(&captcha)).await {
                Err(error) if wants_captcha(&error) && again => {
                    again = false;
                    previous = None;
                }
                Err(error) if wants_captcha(&error) => return Err(self.captcha.wall(error)),
                Err(error) => {
                    if error.kind == ErrorKind::Auth {
                        *refused() = Some(password.clone());
                    }
                    return Err(error);
                }
                done => return done,
            }
        }
    }

    async fn tokens(
        &self,
        op: &'static str,
        url: String,
        body: &Value,
        captcha: Option<&Secret>,
    ) -> Result<FreshTokens> {
        let now = self.client.clock().now_ms();
        let mut request = self
            .identity
            .dress(Request::post(op, url).json(body), now)
            .await?;
        if let Some(captcha) = captcha {
            request = request.header("x-captcha-token", captcha.expose());
        }
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
                if error.kind == ErrorKind::Risk && !wants_captcha(&error) {
                    return Err(self.captcha.wall(error));
                }
                // No access token is involved here: nothing to refresh.
                return Err(error.effect(AccountEffect::None));
            }
        };
        let access = decode::nonempty(&answer["access_token"])
            .ok_or_else(|| DriveError::bad_answer(op, "no access_token"))?;
        self.identity
            .learn_user(decode::nonempty(&answer["sub"]).or_else(|| subject(&access)));
        Ok(FreshTokens {
            access: Secret::new(access),
            refresh: decode::nonempty(&answer["refresh_token"]).map(Secret::new),
            expires_in: decode::unsigned(&answer["expires_in"]).unwrap_or(7200),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_in_the_token() {
        // The sample of section 2.5.
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJZU2FiYzEyMyJ9.sig";
        assert_eq!(subject(token).as_deref(), Some("YSabc123"));
        assert_eq!(subject("opaque"), None);
        assert_eq!(subject("a.%%%.c"), None);
    }

    #[test]
    fn device_ids_have_one_spelling() {
        assert_eq!(
            device_id(" 01234567-89AB-4DEF-8123-456789abcdef ").as_deref(),
            Some("0123456789ab4def8123456789abcdef")
        );
        assert_eq!(device_id("0123"), None);
        assert_eq!(device_id("g123456789abcdef0123456789abcdef"), None);
    }
}
