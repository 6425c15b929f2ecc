//! Who we are towards the service (client, device, user), and the refresh of the access token
//! (sheet sections 2.1, 2.2 and 2.5).

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::error::WALL;
use super::platform::Platform;
use crate::drive::{DriveContext, DriveError, ErrorKind, Result, decode};
use crate::net::{
    Client, CredentialStore, Credentials, FreshTokens, Refresher, Request, Retry, Secret,
    StoreError, redact_text,
};

/// Where the device id is kept that we made ourselves.
const DEVICE: &str = "did";

/// The life of an access token that does not tell it (section 2.1).
const LIFE_S: u64 = 7200;

/// Client, device and user of this profile.
pub struct Identity {
    pub platform: &'static Platform,
    pub profile: String,
    store: Arc<dyn CredentialStore>,
    fixed_device: Option<String>,
    device: OnceCell<String>,
    user_id: RwLock<Option<String>>,
}

impl Identity {
    /// # Errors
    /// `Invalid` for an unknown device type or a device id that is none.
    pub fn new(context: &DriveContext) -> Result<Identity> {
        let refuse = |what: String| {
            DriveError::new(
                ErrorKind::Invalid,
                format!("profile {}: {what}", context.profile),
            )
        };
        let dt = context.field("dt").trim();
        let platform = Platform::find(dt)
            .ok_or_else(|| refuse(format!("dt is {dt:?}; use 4 (web) or 5 (Windows)")))?;
        let fixed_device = match context.field("did") {
            "" => None,
            text => {
                Some(device_id(text).ok_or_else(|| refuse("did is not 32 hex digits".to_owned()))?)
            }
        };
        Ok(Identity {
            platform,
            profile: context.profile.clone(),
            store: context.credentials.clone(),
            fixed_device,
            device: OnceCell::new(),
            user_id: RwLock::new(None),
        })
    }

    /// The device id, the same for ever: from the profile, else made once and kept with the
    /// credentials (one device id goes with a login, section 2.2).
    pub async fn device(&self) -> Result<&str> {
        if let Some(device) = &self.fixed_device {
            return Ok(device);
        }
        let device = self
            .device
            .get_or_try_init(|| async {
                let stored = self.store.load().await;
                let stored = stored.map_err(|error| self.store_error(&error))?;
                let kept = stored.get(DEVICE).and_then(|id| device_id(id.expose()));
                if let Some(device) = kept {
                    return Ok(device);
                }
                let device = uuid::Uuid::new_v4().simple().to_string();
                let kept = Credentials::from([(DEVICE.to_owned(), Secret::new(device.clone()))]);
                let saved = self.store.save(kept).await;
                saved.map_err(|error| self.store_error(&error))?;
                Ok::<_, DriveError>(device)
            })
            .await?;
        Ok(device)
    }

    fn store_error(&self, error: &StoreError) -> DriveError {
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

    /// Remembers the user id that a token or an answer told.
    pub fn learn_user(&self, id: Option<String>) {
        if let Some(id) = id.filter(|id| !id.is_empty()) {
            let known = self.user_id.write();
            known
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(id);
        }
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

/// A token as it goes behind `Bearer`: people copy the whole header of the browser.
pub fn bare(token: &Secret) -> Secret {
    let text = token.expose().trim();
    let text = match text.split_at_checked(7) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer ") => rest.trim_start(),
        _ => text,
    };
    Secret::new(text)
}

/// The `sub` claim of an access token, when it is a JWT. Not verified: it names the user to the
/// service that issued it.
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
}

#[async_trait]
impl Refresher<DriveError> for Refresh {
    async fn refresh(
        &self,
        credentials: &Credentials,
    ) -> Result<Result<FreshTokens, DriveError>, DriveError> {
        let given = credentials.get("refresh_token").filter(|t| !t.is_empty());
        let Some(token) = given else {
            return Ok(Err(DriveError::new(
                ErrorKind::Auth,
                format!(
                    "profile {}: the access token is not accepted any more, and there is no \
                     refresh_token to get another",
                    self.identity.profile
                ),
            )));
        };
        match self.exchange(token).await {
            // Both tokens are dead (section 2.5).
            Err(error) if error.kind == ErrorKind::Auth => Ok(Err(error)),
            other => other.map(Ok),
        }
    }

    fn store_error(&self, error: StoreError) -> DriveError {
        self.identity.store_error(&error)
    }
}

impl Refresh {
    async fn exchange(&self, token: &Secret) -> Result<FreshTokens> {
        let op = "refresh";
        let platform = self.identity.platform;
        let mut body = json!({
            "client_id": platform.client_id,
            "grant_type": "refresh_token",
            "refresh_token": token.expose(),
        });
        let mut request = Request::post(op, format!("{}/v1/auth/token", self.base));
        if platform.is_web() {
            request = request.header("x-action", "401");
        } else {
            body["client_secret"] = json!(platform.client_secret);
        }
        let did = self.identity.device().await?;
        let request = platform.dress_account(request.json(&body), did);
        let response = self.client.send(request).await?;
        let (status, pause) = (response.status, response.retry_after());
        let bytes = response.bytes(256 << 10).await?;
        let answer = serde_json::from_slice::<Value>(&bytes).ok();
        if status.is_success()
            && let Some(fresh) = answer.as_ref().and_then(tokens_in)
        {
            self.identity
                .learn_user(fresh.1.or_else(|| subject(fresh.0.access.expose())));
            return Ok(fresh.0);
        }
        let error = refusal(op, status.as_u16(), pause, answer.as_ref());
        if error.kind == ErrorKind::Risk {
            self.client.breaker().trip(WALL, &error.to_string());
        }
        Err(error)
    }
}

/// The tokens of an answer, which some deployments wrap in `data` (section 2.3), and its user.
fn tokens_in(answer: &Value) -> Option<(FreshTokens, Option<String>)> {
    [answer, &answer["data"]].into_iter().find_map(|answer| {
        let fresh = FreshTokens {
            access: Secret::new(decode::nonempty(&answer["access_token"])?),
            // It may rotate; without a new one the old one stays (section 2.5).
            refresh: decode::nonempty(&answer["refresh_token"]).map(Secret::new),
            expires_in: decode::unsigned(&answer["expires_in"]).unwrap_or(LIFE_S),
        };
        Some((fresh, decode::nonempty(&answer["sub"])))
    })
}

/// What the account service's refusal means.
fn refusal(op: &str, status: u16, pause: Option<Duration>, answer: Option<&Value>) -> DriveError {
    use ErrorKind as K;
    let field = |key: &str| answer.map_or_else(String::new, |answer| decode::text(&answer[key]));
    let (name, told) = (field("error"), field("error_description"));
    let wait = pause.map_or(Retry::Backoff, Retry::After);
    let captcha = name.contains("captcha") || told.contains("captcha_token");
    let (kind, again) = match status {
        _ if captcha => (K::Risk, Retry::Never),
        429 | 503 => (K::RateLimited, wait),
        500.. => (K::Provider, wait),
        400 | 401 if answer.is_some() => (K::Auth, Retry::Never),
        403 if answer.is_some() => (K::Auth, Retry::Never),
        // A block page in place of an answer says nothing about the tokens.
        403 => (K::Risk, Retry::Never),
        200..=299 if !name.is_empty() => (K::Auth, Retry::Never),
        _ => (K::BadAnswer, Retry::Never),
    };
    let told: String = redact_text(&told).chars().take(120).collect();
    let hint = match kind {
        K::Auth => "; sign in on the web site and copy the tokens again",
        _ => "",
    };
    let error = DriveError::new(kind, format!("{op}: HTTP {status} {told}{hint}")).retry(again);
    if name.is_empty() || name.len() > 80 {
        error
    } else {
        error.code(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_in_the_token() {
        // The sample of section 2.5.
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1MSJ9.sig";
        assert_eq!(subject(token).as_deref(), Some("u1"));
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

    #[test]
    fn a_copied_header_is_a_token() {
        for text in ["Bearer a.b.c", "bearer  a.b.c ", "a.b.c"] {
            assert_eq!(bare(&Secret::new(text)).expose(), "a.b.c");
        }
        assert_eq!(bare(&Secret::new("Bear")).expose(), "Bear");
    }

    #[test]
    fn tokens_come_bare_or_wrapped() {
        let bare = json!({"access_token":"a","refresh_token":"r","expires_in":"60","sub":"u1"});
        for answer in [bare.clone(), json!({"code":0,"data":bare})] {
            let (fresh, user) = tokens_in(&answer).unwrap();
            assert_eq!(fresh.access.expose(), "a");
            assert_eq!(fresh.refresh.unwrap().expose(), "r");
            assert_eq!((fresh.expires_in, user.as_deref()), (60, Some("u1")));
        }
        let (fresh, _) = tokens_in(&json!({"access_token":"a","refresh_token":null})).unwrap();
        assert!(fresh.refresh.is_none());
        assert_eq!(fresh.expires_in, LIFE_S);
        assert!(tokens_in(&json!({"error":"x"})).is_none());
    }

    #[test]
    fn only_the_services_own_word_ends_a_login() {
        let grant = json!({"error":"invalid_grant","error_description":"x"});
        for status in [400, 401, 403, 200] {
            assert_eq!(
                refusal("t", status, None, Some(&grant)).kind,
                ErrorKind::Auth
            );
        }
        assert_eq!(refusal("t", 403, None, None).kind, ErrorKind::Risk);
        assert_eq!(refusal("t", 200, None, None).kind, ErrorKind::BadAnswer);
        assert_eq!(
            refusal("t", 502, None, Some(&grant)).kind,
            ErrorKind::Provider
        );
        let captcha = json!({"error":"captcha_invalid"});
        assert_eq!(
            refusal("t", 400, None, Some(&captcha)).kind,
            ErrorKind::Risk
        );
    }
}
