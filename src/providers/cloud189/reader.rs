//! Bytes of a share for somebody who is logged in (sheet sections 2.7, 4.8): the open door names the
//! address, for a token that the session gets once and that lives for weeks.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::api::{Api, Call};
use super::read::address_in;
use crate::drive::{DriveContext, DriveError, ErrorKind, Node, Result, decode};
use crate::net::{CredentialStore, Secret};

/// Any of these is a log-in.
const LOGINS: [&str; 5] = [
    "access_token",
    "login_token",
    "refresh_token",
    "session",
    "password",
];

/// A token is not used in its last minute.
const MARGIN_MS: i64 = 60_000;

/// The life of a token that does not tell it.
const UNKNOWN_LIFE_MS: i64 = 3_600_000;

/// A token of the open door.
#[derive(Clone)]
struct Token {
    value: Secret,
    /// Milliseconds since the epoch.
    expires: i64,
}

/// Reads a share as an account.
pub struct Reader {
    api: Api,
    store: Arc<dyn CredentialStore>,
    token: Mutex<Option<Token>>,
}

impl Reader {
    pub fn new(context: &DriveContext) -> Result<Reader> {
        Ok(Reader {
            api: Api::new(context)?,
            store: context.credentials.clone(),
            token: Mutex::new(None),
        })
    }

    /// Whether the profile holds a log-in at all; most shares are visited by nobody.
    pub async fn is_logged_in(&self) -> Result<bool> {
        let stored = self
            .store
            .load()
            .await
            .map_err(|error| DriveError::new(ErrorKind::Auth, error.to_string()))?;
        let given = |name: &&str| stored.get(*name).is_some_and(|secret| !secret.is_empty());
        Ok(LOGINS.iter().any(given))
    }

    /// The address of a shared file (section 4.8).
    pub async fn address(&self, node: &Node, share_id: &str) -> Result<String> {
        let mut renewed = false;
        loop {
            let token = self.token().await?;
            let path = "/file/getFileDownloadUrl.action";
            let call = Call::open("download_link", path, Some(token.clone()))
                .query("fileId", node.id.as_str())
                .query("dt", "1")
                .query("shareId", share_id)
                .class("link");
            return match self.api.call(call).await {
                Ok(answer) => address_in(&answer),
                Err(error) if is_token(&error) && !renewed => {
                    renewed = true;
                    self.forget(&token).await;
                    continue;
                }
                Err(error) if error.kind == ErrorKind::TooLarge => Err(too_large(error)),
                Err(error) => Err(error),
            };
        }
    }

    /// The token, asked for once (section 2.7).
    async fn token(&self) -> Result<Secret> {
        let mut kept = self.token.lock().await;
        let now = self.api.now();
        if let Some(token) = kept
            .as_ref()
            .filter(|token| token.expires.saturating_sub(MARGIN_MS) > now)
        {
            return Ok(token.value.clone());
        }
        let path = "/oauth2/getAccessTokenBySsKey.action";
        let answer = self.api.call(Call::open("open_token", path, None)).await?;
        let value = decode::nonempty(&answer["accessToken"])
            .map(Secret::new)
            .ok_or_else(|| DriveError::bad_answer("open_token", "no accessToken"))?;
        let expires = match decode::integer(&answer["expiresIn"]) {
            // A time, although it is called a span.
            Some(ms @ 100_000_000_000..) => ms,
            Some(seconds @ 1..) => now.saturating_add(seconds * 1000),
            _ => now.saturating_add(UNKNOWN_LIFE_MS),
        };
        *kept = Some(Token {
            value: value.clone(),
            expires,
        });
        Ok(value)
    }

    async fn forget(&self, stale: &Secret) {
        let mut kept = self.token.lock().await;
        if kept.as_ref().is_some_and(|token| token.value == *stale) {
            *kept = None;
        }
    }
}

/// Whether the token of the open door is refused.
fn is_token(error: &DriveError) -> bool {
    matches!(
        error.code.as_deref(),
        Some("InvalidAccessToken" | "TokenNotExist" | "UserInvalidOpenToken")
    )
}

/// The open door hands out smaller files only; the way round is known (section 4.8).
fn too_large(error: DriveError) -> DriveError {
    DriveError {
        message: "a share hands out smaller files only; take this one over with `panfuse share save` and read it in the account".to_owned(),
        ..error
    }
}
