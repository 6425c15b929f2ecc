//! Captcha tokens (sheet section 2.4): asked for only when the service wants one, kept for their
//! life, and renewed once per refused call.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::auth::Identity;
use super::error::{error_of, is_error};
use super::platform::login_key;
use crate::drive::{DriveError, ErrorKind, Result, decode};
use crate::net::{Client, Request, Retry, Secret};

/// How long an account is left alone when the service insists on a captcha.
const WALL: Duration = Duration::from_secs(600);

/// A token is not used in its last ten seconds.
const MARGIN_MS: i64 = 10_000;

/// The newest captcha token of the account.
pub struct Captcha {
    client: Client,
    base: String,
    identity: Arc<Identity>,
    held: Mutex<Option<Held>>,
    flight: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Held {
    token: Secret,
    expires: i64,
}

impl Captcha {
    pub fn new(client: Client, base: String, identity: Arc<Identity>) -> Captcha {
        Captcha {
            client,
            base,
            identity,
            held: Mutex::new(None),
            flight: tokio::sync::Mutex::new(()),
        }
    }

    /// The token to send along, when there is a living one.
    pub fn current(&self) -> Option<Secret> {
        let now = self.client.clock().now_ms();
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref()
            .filter(|held| held.expires.saturating_sub(MARGIN_MS) > now)
            .map(|held| held.token.clone())
    }

    /// A token for calls after the service refused `refused` (or none) for `action`, such as
    /// `GET:/drive/v1/files`. Somebody else's renewal meanwhile counts.
    pub async fn renew(&self, action: &str, refused: Option<&Secret>) -> Result<()> {
        let _flight = self.flight.lock().await;
        let current = self.current();
        if current.is_some() && current.as_ref() != refused {
            return Ok(());
        }
        // A token from a human verification is presented once, as the previous one.
        let solved = match refused {
            Some(_) => None,
            None => self.identity.load().await?.remove("captcha_token"),
        };
        let device = self.identity.device().await?;
        let timestamp = self.client.clock().now_ms().to_string();
        let platform = self.identity.platform;
        let meta = json!({
            "captcha_sign": platform.captcha_sign(device, &timestamp),
            "client_version": platform.client_version,
            "package_name": platform.package_name,
            "user_id": self.identity.user_id().unwrap_or_default(),
            "timestamp": timestamp,
        });
        let fresh = self.init(action, solved.as_ref().or(refused), meta).await?;
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(fresh);
        Ok(())
    }

    /// A token for sign-in: only one with login meta is accepted there.
    pub async fn for_sign_in(&self, previous: Option<&Secret>) -> Result<Secret> {
        let username = self.identity.username.as_str();
        let meta = json!({ login_key(username): username });
        let fresh = self.init("POST:/v1/auth/signin", previous, meta).await?;
        Ok(fresh.token)
    }

    /// The end of the road: the account rests, and a person has to look.
    pub fn wall(&self, error: DriveError) -> DriveError {
        self.client.breaker().trip(WALL, &error.to_string());
        DriveError {
            kind: ErrorKind::Risk,
            retry: Retry::Never,
            ..error
        }
    }

    async fn init(&self, action: &str, previous: Option<&Secret>, meta: Value) -> Result<Held> {
        let op = "captcha";
        let client_id = self.identity.platform.client_id;
        let body = json!({
            "action": action,
            "captcha_token": previous.map_or("", Secret::expose),
            "client_id": client_id,
            "device_id": self.identity.device().await?,
            "meta": meta,
        });
        let url = format!("{}/v1/shield/captcha/init?client_id={client_id}", self.base);
        let now = self.client.clock().now_ms();
        let request = self
            .identity
            .dress(Request::post(op, url).json(&body), now)
            .await?;
        let response = self.client.send(request).await?;
        let (status, pause) = (response.status, response.retry_after());
        let bytes = response.bytes(256 << 10).await?;
        let answer: Option<Value> = serde_json::from_slice(&bytes).ok();
        let answer = match answer {
            Some(answer) if status.is_success() && !is_error(&answer) => answer,
            _ => {
                let error = error_of(op, status.as_u16(), pause, &bytes);
                return Err(if error.kind == ErrorKind::Risk {
                    self.wall(error)
                } else {
                    error
                });
            }
        };
        if let Some(page) = decode::nonempty(&answer["url"]) {
            // The page is for the person to open, so it is shown as it is.
            return Err(self.wall(
                DriveError::new(
                    ErrorKind::Risk,
                    format!(
                        "profile {}: the service wants a human verification: open {page} and put the captcha_token it ends with into the profile",
                        self.identity.profile
                    ),
                )
                .code("captcha_url"),
            ));
        }
        let token = decode::nonempty(&answer["captcha_token"])
            .ok_or_else(|| DriveError::bad_answer(op, "no captcha_token"))?;
        let life = decode::integer(&answer["expires_in"])
            .unwrap_or(300)
            .clamp(0, 86_400);
        Ok(Held {
            token: Secret::new(token),
            expires: now.saturating_add(life * 1000),
        })
    }
}
