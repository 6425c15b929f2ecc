//! Log-in by a QR picture that the 115 app scans: device code with a proof key (sheet section 2.1).

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::header::{HeaderMap, HeaderValue, USER_AGENT};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::api::AGENT;
use super::errors::judge;
use crate::drive::{
    AccountEffect, DeviceLogin, DevicePoll, DriveError, ErrorKind, Login, LoginContext, LoginPage,
    Qr, Result, decode, open_client,
};
use crate::net::{Credentials, Deadlines, FreshTokens, Request, Retry, Secret};

/// The flow.
pub static LOGIN: Scan = Scan;

const ANSWER_LIMIT: usize = 64 << 10;

/// The question for the picture's state is held for up to about 30 s.
const HELD: Deadlines = Deadlines {
    head: Duration::from_secs(45),
    idle: Duration::from_secs(45),
    total: Some(Duration::from_secs(60)),
};

/// How long a picture lives is not in the sheet; the server says when it is over.
const LIFE: Duration = Duration::from_secs(300);

/// Between two questions that the server did not hold.
const PAUSE: Duration = Duration::from_secs(2);

/// The flow of the open platform.
pub struct Scan;

fn client_id(context: &LoginContext) -> Result<&str> {
    let id = context.drive.field("client_id");
    if id.is_empty() {
        return Err(DriveError::new(
            ErrorKind::Invalid,
            format!(
                "profile {}: client_id is missing: the app id of your app at the 115 open platform",
                context.drive.profile
            ),
        ));
    }
    Ok(id)
}

/// A verifier of 43 characters.
fn verifier() -> Result<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| DriveError::new(ErrorKind::LocalDisk, format!("random: {error}")))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Base64 of the raw digest, standard alphabet with padding.
fn challenge(verifier: &str) -> String {
    STANDARD.encode(Sha256::digest(verifier.as_bytes()))
}

/// One call: status and body.
async fn ask(context: &LoginContext, request: Request) -> Result<(u16, HeaderMap, bytes::Bytes)> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    let client = open_client(&context.drive, headers)?;
    let response = client.send(request).await?;
    let status = response.status.as_u16();
    let headers = response.headers.clone();
    Ok((status, headers, response.bytes(ANSWER_LIMIT).await?))
}

/// The answer of a call to the passport host. There is no token that could be refreshed.
async fn call(context: &LoginContext, request: Request) -> Result<Value> {
    let op = request.op;
    let (status, headers, body) = ask(context, request).await?;
    let answer = judge(op, status, &headers, &body);
    let answer = answer.map_err(|error| match error.account {
        AccountEffect::Refresh => DriveError {
            kind: ErrorKind::Auth,
            ..error.effect(AccountEffect::None)
        },
        _ => error,
    })?;
    Ok(answer["data"].clone())
}

/// What a picture is known by.
fn parts(device: &DeviceLogin) -> Value {
    serde_json::from_str(device.private.expose()).unwrap_or(Value::Null)
}

async fn tokens(context: &LoginContext, parts: &Value) -> Result<Credentials> {
    let base = context.drive.endpoint("passport")?;
    let (uid, verifier) = (
        decode::text(&parts["uid"]),
        decode::text(&parts["verifier"]),
    );
    let request = Request::post("device_token", format!("{base}/open/deviceCodeToToken"))
        .form(&[("uid", &uid), ("code_verifier", &verifier)]);
    // An answer that is lost may have spent the picture.
    let data = call(context, request).await.map_err(|error| {
        DriveError {
            kind: ErrorKind::Auth,
            ..error
        }
        .retry(Retry::Never)
    })?;
    let access = decode::nonempty(&data["access_token"])
        .ok_or_else(|| DriveError::bad_answer("device_token", "no access_token"))?;
    let refresh = decode::nonempty(&data["refresh_token"])
        .ok_or_else(|| DriveError::bad_answer("device_token", "no refresh_token"))?;
    let fresh = FreshTokens {
        access: Secret::new(access),
        refresh: Some(Secret::new(refresh)),
        expires_in: decode::unsigned(&data["expires_in"]).unwrap_or(7200),
    };
    Ok(fresh.stored(context.drive.clock.now_ms()))
}

#[async_trait]
impl Login for Scan {
    fn auth_mode(&self) -> &'static str {
        "official_oauth"
    }

    fn brings(&self) -> &'static [&'static str] {
        &["refresh_token", "access_token"]
    }

    fn has_page(&self) -> bool {
        // The page's flow ends at an address of the app's owner.
        false
    }

    fn has_device(&self) -> bool {
        true
    }

    fn page(&self, _context: &LoginContext) -> Result<LoginPage> {
        Err(DriveError::unsupported("a log-in by a page and its code"))
    }

    async fn exchange(
        &self,
        context: &LoginContext,
        _page: &LoginPage,
        _code: &Secret,
    ) -> Result<Credentials> {
        self.page(context).map(|_| Credentials::new())
    }

    async fn begin(&self, context: &LoginContext) -> Result<DeviceLogin> {
        let verifier = verifier()?;
        let base = context.drive.endpoint("passport")?;
        let request = Request::post("device_code", format!("{base}/open/authDeviceCode")).form(&[
            ("client_id", client_id(context)?),
            ("code_challenge", &challenge(&verifier)),
            ("code_challenge_method", "sha256"),
        ]);
        let data = call(context, request).await?;
        let told = |name: &str| {
            decode::nonempty(&data[name])
                .ok_or_else(|| DriveError::bad_answer("device_code", format!("no {name}")))
        };
        let private = json!({
            "uid": told("uid")?, "time": told("time")?, "sign": told("sign")?,
            "verifier": verifier,
        });
        Ok(DeviceLogin {
            page: None,
            user_code: None,
            qr: Some(Qr::Text(told("qrcode")?)),
            expires_in: LIFE,
            interval: PAUSE,
            private: Secret::new(private.to_string()),
        })
    }

    async fn poll(&self, context: &LoginContext, device: &DeviceLogin) -> Result<DevicePoll> {
        let parts = parts(device);
        let base = context.drive.endpoint("qr")?;
        let mut request = Request::get("qr_status", format!("{base}/get/status/")).deadlines(HELD);
        for name in ["uid", "time", "sign"] {
            request = request.query(name, &decode::text(&parts[name]));
        }
        let (status, headers, body) = ask(context, request).await?;
        let answer: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let over = answer
            .get("state")
            .is_some_and(|state| !decode::flag(state));
        if over && (200..300).contains(&status) {
            return Ok(DevicePoll::Expired);
        }
        let answer = judge("qr_status", status, &headers, &body)
            .map_err(|error| error.effect(AccountEffect::None))?;
        match decode::integer(&answer["data"]["status"]) {
            Some(2) => tokens(context, &parts).await.map(DevicePoll::Granted),
            Some(-1) => Ok(DevicePoll::Expired),
            Some(-2) => Ok(DevicePoll::Denied),
            // Absent and 0: not scanned; 1: scanned, not confirmed.
            _ => Ok(DevicePoll::Pending),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_the_sheet() {
        assert_eq!(
            challenge("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ"),
            "RqIZl4LIgn8KxW9QO+nTnv7pf0CnNrksx9fF+CXP2FE="
        );
        let (one, other) = (verifier().unwrap(), verifier().unwrap());
        assert_eq!(one.len(), 43);
        assert_ne!(one, other);
    }
}
