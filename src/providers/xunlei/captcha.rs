//! Captcha tokens (sheet section 2.4). Every call carries one, so one is fetched before the first
//! call; it is kept for its life, sealed with the credentials before it is used, and renewed once
//! per refused call.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::auth::Identity;
use super::error::{REVIEW, WRONG_SIGN, error_of, is_error};
use super::platform::md5_hex;
use crate::drive::{DriveError, ErrorKind, Result, decode};
use crate::net::{Client, Credentials, Request, Retry, Secret};

/// How long an account is left alone when the service insists on a captcha.
const WALL: Duration = Duration::from_secs(600);

/// A token is not used in its last ten seconds.
const MARGIN_MS: i64 = 10_000;

/// Other processes are waited for this long.
const LOCK: Duration = Duration::from_secs(60);

const TOKEN: &str = "captcha_token";
const EXPIRES: &str = "captcha_expires_at";
const SIGN: &str = "captcha_sign";

/// The newest captcha token of the account.
pub struct Captcha {
    client: Client,
    base: String,
    identity: Arc<Identity>,
    held: Mutex<Option<Held>>,
    loaded: OnceCell<()>,
    flight: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Held {
    token: Secret,
    /// Milliseconds since the epoch; `None` for a token that a user gave: used until refused.
    expires: Option<i64>,
}

impl Held {
    /// What the store has. The expiry counts for the token it was written with only, so that a
    /// token that a user puts in its place is not taken for an old one.
    fn stored(credentials: &Credentials) -> Option<Held> {
        let token = credentials.get(TOKEN).filter(|token| !token.is_empty())?;
        let expires = credentials.get(EXPIRES).and_then(|text| {
            let (at, of) = text.expose().split_once(' ')?;
            (of == md5_hex(token.expose())).then(|| at.parse().ok())?
        });
        Some(Held {
            token: token.clone(),
            expires,
        })
    }

    fn lives(&self, now: i64) -> bool {
        self.expires
            .is_none_or(|at| at.saturating_sub(MARGIN_MS) > now)
    }
}

/// A token for calls.
pub struct Renewed {
    pub token: Secret,
    /// Whether the service was asked for it just now.
    pub asked: bool,
}

impl Captcha {
    pub fn new(client: Client, base: String, identity: Arc<Identity>) -> Captcha {
        Captcha {
            client,
            base,
            identity,
            held: Mutex::new(None),
            loaded: OnceCell::new(),
            flight: tokio::sync::Mutex::new(()),
        }
    }

    /// The token to send along, when there is a living one.
    pub async fn current(&self) -> Result<Option<Secret>> {
        self.loaded
            .get_or_try_init(|| async {
                if let Some(held) = Held::stored(&self.identity.load().await?) {
                    self.hold(held);
                }
                Ok::<_, DriveError>(())
            })
            .await?;
        let now = self.client.clock().now_ms();
        Ok(self
            .held()
            .filter(|held| held.lives(now))
            .map(|held| held.token))
    }

    fn held(&self) -> Option<Held> {
        let held = self.held.lock();
        held.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn hold(&self, fresh: Held) {
        let held = self.held.lock();
        *held.unwrap_or_else(PoisonError::into_inner) = Some(fresh);
    }

    /// Another token than `refused` for calls such as `GET:/drive/v1/files`. Whoever comes second
    /// gets the one that was just fetched, also by another process.
    pub async fn renew(&self, action: &str, refused: Option<&Secret>) -> Result<Renewed> {
        let _flight = self.flight.lock().await;
        if let Some(token) = self.current().await?.filter(|token| Some(token) != refused) {
            return Ok(Renewed {
                token,
                asked: false,
            });
        }
        let lock = tokio::time::timeout(LOCK, self.identity.store.lock()).await;
        let _lock = match lock {
            Ok(lock) => lock.map_err(|error| self.identity.store_error(&error))?,
            Err(_) => {
                return Err(DriveError::new(
                    ErrorKind::Busy,
                    "another process keeps the credentials locked",
                ));
            }
        };
        let stored = self.identity.load().await?;
        let now = self.client.clock().now_ms();
        let held = Held::stored(&stored);
        if let Some(held) = held.clone()
            && Some(&held.token) != refused
            && held.lives(now)
        {
            self.hold(held.clone());
            return Ok(Renewed {
                token: held.token,
                asked: false,
            });
        }
        let meta = self.meta(&stored, now).await?;
        let previous = refused.cloned().or(held.map(|held| held.token));
        let fresh = self.init(action, previous.as_ref(), meta).await?;
        // On disk before it is used.
        let until = fresh.expires.unwrap_or(now);
        let mark = format!("{until} {}", md5_hex(fresh.token.expose()));
        self.identity
            .save([
                (TOKEN.to_owned(), fresh.token.clone()),
                (EXPIRES.to_owned(), Secret::new(mark)),
            ])
            .await?;
        self.hold(fresh.clone());
        Ok(Renewed {
            token: fresh.token,
            asked: true,
        })
    }

    /// The signed part. A recorded pair stands in for a sign of our own: the service does not
    /// look at its age (section 2.2).
    async fn meta(&self, stored: &Credentials, now: i64) -> Result<Value> {
        let identity = &self.identity;
        let recorded = stored
            .get(SIGN)
            .filter(|sign| !sign.is_empty() && !identity.recorded_at.is_empty());
        let device = identity.device().await?;
        let (timestamp, sign) = match recorded {
            Some(sign) => (identity.recorded_at.clone(), sign.expose().to_owned()),
            None => {
                let timestamp = now.to_string();
                let version = &identity.client_version;
                let sign = identity.platform.captcha_sign(version, device, &timestamp);
                (timestamp, sign)
            }
        };
        Ok(json!({
            "captcha_sign": sign,
            "client_version": identity.client_version,
            "package_name": identity.platform.package_name,
            "timestamp": timestamp,
            "user_id": identity.user_id().unwrap_or_else(|| "0".to_owned()),
        }))
    }

    async fn init(&self, action: &str, previous: Option<&Secret>, meta: Value) -> Result<Held> {
        let op = "captcha";
        let platform = self.identity.platform;
        let mut body = json!({
            "action": action,
            "captcha_token": previous.map_or("", Secret::expose),
            "client_id": platform.client_id,
            "device_id": self.identity.device().await?,
            "meta": meta,
        });
        if let Some(redirect) = platform.redirect {
            body["redirect_uri"] = json!(redirect);
        }
        let url = format!("{}/v1/shield/captcha/init", self.base);
        let now = self.client.clock().now_ms();
        let request = Request::post(op, url).json(&body);
        let request = self.identity.dress(request, now).await?;
        let response = self.client.send(request).await?;
        let (status, pause) = (response.status, response.retry_after());
        let bytes = response.bytes(256 << 10).await?;
        let answer: Option<Value> = serde_json::from_slice(&bytes).ok();
        let answer = match answer {
            Some(answer) if status.is_success() && !is_error(&answer) => answer,
            _ => return Err(self.refused(error_of(op, status.as_u16(), pause, &bytes))),
        };
        if let Some(page) = decode::nonempty(&answer["url"]) {
            // The page is for the person to open, so it is shown as it is.
            return Err(wall(
                &self.client,
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
            expires: Some(now.saturating_add(life * 1000)),
        })
    }

    fn refused(&self, error: DriveError) -> DriveError {
        if error.kind == ErrorKind::Risk {
            let named = matches!(error.code.as_deref(), Some(REVIEW | WRONG_SIGN));
            let error = wall(&self.client, error);
            return if named {
                error
            } else {
                // Not a call's refusal: asking for another token would be a circle.
                error.code("captcha_refused")
            };
        }
        error
    }
}

/// The end of the road: the account rests, and a person has to look.
pub fn wall(client: &Client, error: DriveError) -> DriveError {
    client.breaker().trip(WALL, &error.to_string());
    DriveError {
        kind: ErrorKind::Risk,
        retry: Retry::Never,
        ..error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &[(&str, String)]) -> Option<Held> {
        let fields = fields.iter();
        let all = fields.map(|(k, v)| ((*k).to_owned(), Secret::new(v.as_str())));
        Held::stored(&all.collect())
    }

    #[test]
    fn an_expiry_is_of_the_token_it_was_written_with() {
        let mark = format!("1000000 {}", md5_hex("ck0.a"));
        let ours = of(&[(TOKEN, "ck0.a".to_owned()), (EXPIRES, mark.clone())]).unwrap();
        assert_eq!(ours.expires, Some(1_000_000));
        assert!(ours.lives(1_000_000 - MARGIN_MS - 1) && !ours.lives(1_000_000 - MARGIN_MS));
        // A user put another one in its place.
        let theirs = of(&[(TOKEN, "ck0.b".to_owned()), (EXPIRES, mark)]).unwrap();
        assert!(theirs.expires.is_none() && theirs.lives(i64::MAX));
        assert!(of(&[(TOKEN, String::new())]).is_none());
    }
}
