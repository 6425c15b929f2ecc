//! JSON calls to the open platform, its error codes, and the drive ids of the account
//! (sheet sections 3, 4.2, 10).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::auth::Refresh;
use crate::drive::{
    AccountEffect, DriveContext, DriveError, ErrorKind, Result, decode, open_client, patience,
};
use crate::net::{Client, NetErrorKind, Request, Retry, Secret, TokenKeeper, redact_text, retry};

/// Whether a call may be sent again when its answer was lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Reading, or writing the same state again.
    Safe,
    /// It creates something: only when it certainly did not arrive.
    Unsafe,
}

/// The account's calls.
pub struct Api {
    pub client: Client,
    pub base: String,
    tokens: TokenKeeper<DriveError>,
    drive_type: String,
    drive_id: OnceCell<String>,
    user_id: OnceLock<String>,
    /// Short-lived part addresses by (upload id, part number).
    pub part_urls: moka::sync::Cache<(String, u32), String>,
}

impl Api {
    pub fn new(context: DriveContext) -> Result<Api> {
        let base = context.endpoint("api")?.to_owned();
        let client = open_client(&context, HeaderMap::new())?;
        let refresh = Refresh {
            client: client.clone(),
            base: base.clone(),
            client_id: context.field("client_id").to_owned(),
            profile: context.profile.clone(),
        };
        let drive_type = match context.field("drive_type") {
            "" => "default".to_owned(),
            known @ ("default" | "resource" | "backup") => known.to_owned(),
            other => {
                return Err(DriveError::new(
                    ErrorKind::Invalid,
                    format!(
                        "profile {}: drive_type is {other:?}; use default, resource or backup",
                        context.profile
                    ),
                ));
            }
        };
        let tokens = TokenKeeper::new(
            context.credentials,
            context.clock.clone(),
            Arc::new(refresh),
        );
        Ok(Api {
            client,
            base,
            tokens,
            drive_type,
            drive_id: OnceCell::new(),
            user_id: OnceLock::new(),
            // Addresses live one hour (section 7.3); 50 minutes leave a margin.
            part_urls: moka::sync::Cache::builder()
                .max_capacity(4096)
                .time_to_live(Duration::from_secs(50 * 60))
                .build(),
        })
    }

    pub fn account_id(&self) -> Option<String> {
        self.user_id.get().cloned()
    }

    /// The id of the chosen drive, asked once.
    pub async fn drive_id(&self) -> Result<&str> {
        let id = self
            .drive_id
            .get_or_try_init(|| async {
                let path = "/adrive/v1.0/user/getDriveInfo";
                let answer = self
                    .call("drive_info", path, "other", Repeat::Safe, &json!({}))
                    .await?;
                if let Some(user) = decode::nonempty(&answer["user_id"]) {
                    let _ = self.user_id.set(user);
                }
                decode::nonempty(&answer[format!("{}_drive_id", self.drive_type)]).ok_or_else(
                    || {
                        DriveError::new(
                            ErrorKind::Auth,
                            format!(
                                "the {} drive was not granted; authorize the app again and tick it",
                                self.drive_type
                            ),
                        )
                    },
                )
            })
            .await?;
        Ok(id)
    }

    /// The current access token.
    pub async fn token(&self) -> Result<Secret> {
        self.tokens.access().await
    }

    /// A new token after the server refused this one.
    pub async fn renew(&self, stale: &Secret) -> Result<Secret> {
        self.tokens.renew(stale).await
    }

    /// A call with retries and one token refresh.
    pub async fn call(
        &self,
        op: &'static str,
        path: &str,
        class: &'static str,
        repeat: Repeat,
        body: &Value,
    ) -> Result<Value> {
        retry(patience(), || async {
            let token = self.token().await?;
            match self.call_with(&token, op, path, class, repeat, body).await {
                Err(error) if error.account == AccountEffect::Refresh => {
                    let token = self.renew(&token).await?;
                    self.call_with(&token, op, path, class, repeat, body).await
                }
                other => other,
            }
        })
        .await
    }

    /// One call with this very token and no retry (a proof is bound to the token).
    pub async fn call_with(
        &self,
        token: &Secret,
        op: &'static str,
        path: &str,
        class: &'static str,
        repeat: Repeat,
        body: &Value,
    ) -> Result<Value> {
        let request = Request::post(op, format!("{}{path}", self.base))
            .class(class)
            .bearer(token)
            .json(body);
        let response = self.client.send(request).await.map_err(|error| {
            let arrived = error.kind != NetErrorKind::Connect;
            let error = DriveError::from(error);
            if repeat == Repeat::Unsafe && arrived {
                error.retry(Retry::Never)
            } else {
                error
            }
        })?;
        let status = response.status.as_u16();
        if response.status.is_success() {
            if status == 204 {
                return Ok(json!({}));
            }
            return Ok(response.json().await?);
        }
        let headers = response.headers.clone();
        let body = response.bytes(64 << 10).await?;
        Err(error_of(op, status, &headers, body))
    }
}

/// The error an answer of this status stands for (section 10).
pub fn error_of(op: &str, status: u16, headers: &HeaderMap, body: Bytes) -> DriveError {
    let answer: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let code = decode::text(&answer["code"]);
    let message = match decode::nonempty(&answer["message"]) {
        Some(message) => message,
        None => String::from_utf8_lossy(&body).chars().take(120).collect(),
    };
    let (kind, again, effect) = classify(status, &code, &message, headers);
    let error = DriveError::new(
        kind,
        format!("{op}: HTTP {status} {}", redact_text(&message)),
    )
    .retry(again)
    .effect(effect);
    if code.is_empty() {
        error
    } else {
        error.code(code)
    }
}

fn classify(
    status: u16,
    code: &str,
    message: &str,
    headers: &HeaderMap,
) -> (ErrorKind, Retry, AccountEffect) {
    use ErrorKind as K;
    let plain = |kind| (kind, Retry::Never, AccountEffect::None);
    if status == 429 || code == "TooManyRequests" {
        // The header is in milliseconds; one second more, as the sheet advises.
        let pause = headers
            .get("x-retry-after")
            .and_then(|value| value.to_str().ok()?.parse::<u64>().ok())
            .map(|ms| Retry::After(Duration::from_millis(ms.min(600_000) + 1000)));
        return (
            K::RateLimited,
            pause.unwrap_or(Retry::Backoff),
            AccountEffect::None,
        );
    }
    match code {
        "AccessTokenInvalid" | "AccessTokenExpired" | "I400JD" => {
            return (K::Auth, Retry::Never, AccountEffect::Refresh);
        }
        "PermissionDenied"
        | "UserNotAllowedAccessDrive"
        | "UserNotAllowedAccessResource"
        | "ForbiddenDriveLocked"
        | "ForbiddenDriveNotValid"
        | "FileShareNotAllowed" => {
            return plain(K::Auth);
        }
        "ExceedCapacityForbidden" | "QuotaExhausted.Drive" => return plain(K::QuotaFull),
        "ForbiddenFileInTheRecycleBin" => return plain(K::NotFound),
        "PreHashMatched" | "AlreadyExist.File" | "PartAlreadyExist" => return plain(K::Exists),
        "InvalidRapidProof" | "PartNotSequential" => return plain(K::Invalid),
        "FeatureTemporaryDisabled" => return (K::Provider, Retry::Backoff, AccountEffect::None),
        _ => {}
    }
    if code.starts_with("NotFound.") {
        return plain(K::NotFound);
    }
    if message.contains("file size is exceed") {
        return plain(K::TooLarge);
    }
    match status {
        401 => (K::Auth, Retry::Never, AccountEffect::Refresh),
        403 => plain(K::Auth),
        404 => plain(if code.is_empty() {
            K::BadAnswer
        } else {
            K::NotFound
        }),
        413 => plain(K::TooLarge),
        400..=499 => plain(K::Invalid),
        _ => (K::Provider, Retry::Backoff, AccountEffect::None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &'static str) -> DriveError {
        error_of(
            "test",
            status,
            &HeaderMap::new(),
            Bytes::from_static(body.as_bytes()),
        )
    }

    #[test]
    fn codes_become_kinds() {
        let error = of(401, r#"{"code":"AccessTokenExpired","message":"x"}"#);
        assert_eq!(
            (error.kind, error.account),
            (ErrorKind::Auth, AccountEffect::Refresh)
        );
        assert_eq!(
            of(404, r#"{"code":"NotFound.FileId"}"#).kind,
            ErrorKind::NotFound
        );
        assert_eq!(
            of(400, r#"{"code":"NotFound.File"}"#).kind,
            ErrorKind::NotFound
        );
        assert_eq!(
            of(403, r#"{"code":"QuotaExhausted.Drive"}"#).kind,
            ErrorKind::QuotaFull
        );
    }

    #[test]
    fn a_gateway_page_is_no_missing_file() {
        assert_eq!(of(404, "<html>nginx</html>").kind, ErrorKind::BadAnswer);
        assert_eq!(of(502, "<html>").retry, Retry::Backoff);
    }

    #[test]
    fn the_pause_of_a_throttled_call_is_in_milliseconds() {
        let mut headers = HeaderMap::new();
        headers.insert(
            "x-retry-after",
            reqwest::header::HeaderValue::from_static("1500"),
        );
        let error = error_of("test", 429, &headers, Bytes::from_static(b"{}"));
        assert_eq!(error.retry, Retry::After(Duration::from_millis(2500)));
    }
}
