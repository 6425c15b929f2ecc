//! Log-in flows of an app: the code of a browser page, or a code on another device (sheet sections
//! 2.2, 2.3).

use std::time::Duration;

use async_trait::async_trait;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue, USER_AGENT};
use serde_json::Value;

use super::answer::{judge, said};
use super::api::AGENT;
use super::auth::tokens;
use crate::drive::{
    AccountEffect, DeviceLogin, DevicePoll, DriveError, ErrorKind, Login, LoginContext, LoginPage,
    Qr, Result, decode, open_client, patience,
};
use crate::net::{Credentials, Request, Retry, Secret, redact_text, retry};

/// The flows.
pub static LOGIN: Flows = Flows;

/// What an app is allowed to do.
const SCOPE: &str = "basic,netdisk";

/// The page shows the code instead of calling somebody.
const OUT_OF_BAND: &str = "oob";

/// An OAuth answer is small.
const ANSWER_LIMIT: usize = 64 << 10;

/// The flows of Baidu's OAuth server.
pub struct Flows;

/// What the OAuth server said: an answer, or the name of its error and its words.
enum Said {
    Answer(Value),
    Error { name: String, words: String },
}

fn app(context: &LoginContext) -> Result<(&str, &Secret)> {
    let missing = |what: &str| {
        DriveError::new(
            ErrorKind::Invalid,
            format!("profile {}: {what} is missing", context.drive.profile),
        )
    };
    let id = context.drive.field("client_id");
    if id.is_empty() {
        return Err(missing("client_id"));
    }
    let secret = context.secret("client_secret");
    Ok((id, secret.ok_or_else(|| missing("client_secret"))?))
}

/// One request to the OAuth server.
async fn ask(context: &LoginContext, request: Request) -> Result<Said> {
    let op = request.op;
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    let client = open_client(&context.drive, headers)?;
    let response = client.send(request).await?;
    let status = response.status.as_u16();
    let headers = response.headers.clone();
    let body = response.bytes(ANSWER_LIMIT).await?;
    let answer: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    // A failing gateway may use the same envelope; only refusals are the server's word.
    let refused = decode::nonempty(&answer["error"]).filter(|_| status < 500 && status != 429);
    if let Some(name) = refused {
        let words = redact_text(&said(&answer));
        return Ok(Said::Error { name, words });
    }
    let answer =
        judge(op, status, &headers, &body).map_err(|error| error.effect(AccountEffect::None))?;
    Ok(Said::Answer(answer))
}

/// The error of a refusal, with what to do.
fn refused(op: &str, name: &str, words: &str) -> DriveError {
    let hint = match name {
        _ if words.to_lowercase().contains("security policy") => {
            "Baidu's risk control stopped it; try again later, from a place you usually use"
        }
        "invalid_client" => "client_id and client_secret must be AppKey and SecretKey of one app",
        "invalid_scope" => "the app must be approved for the netdisk interface",
        "invalid_grant" => "the code is wrong, was used already, or is older than ten minutes",
        _ => "begin the log-in again",
    };
    let words = if words.is_empty() { name } else { words };
    DriveError::new(ErrorKind::Auth, format!("{op}: {words}; {hint}")).code(name)
}

fn token_request(context: &LoginContext, op: &'static str) -> Result<Request> {
    let (id, secret) = app(context)?;
    let base = context.drive.endpoint("auth")?;
    Ok(Request::get(op, format!("{base}/oauth/2.0/token"))
        .query("client_id", id)
        .query("client_secret", secret.expose()))
}

fn granted(context: &LoginContext, op: &str, answer: &Value) -> Result<Credentials> {
    let tokens = tokens(op, answer)?;
    if tokens.refresh.is_none() {
        return Err(DriveError::bad_answer(op, "no refresh_token"));
    }
    Ok(tokens.stored(context.drive.clock.now_ms()))
}

#[async_trait]
impl Login for Flows {
    fn auth_mode(&self) -> &'static str {
        "official_oauth"
    }

    fn brings(&self) -> &'static [&'static str] {
        &["refresh_token", "access_token"]
    }

    fn has_page(&self) -> bool {
        true
    }

    fn has_device(&self) -> bool {
        true
    }

    fn page(&self, context: &LoginContext) -> Result<LoginPage> {
        let (id, _) = app(context)?;
        let mut pairs = vec![
            ("response_type", "code"),
            ("client_id", id),
            ("redirect_uri", OUT_OF_BAND),
            ("scope", SCOPE),
        ];
        let device = context.drive.field("app_id");
        if !device.is_empty() {
            pairs.push(("device_id", device));
        }
        let base = context.drive.endpoint("auth")?;
        let url = Url::parse_with_params(&format!("{base}/oauth/2.0/authorize"), pairs)
            .map_err(|error| DriveError::new(ErrorKind::Invalid, format!("auth: {error}")))?;
        Ok(LoginPage {
            url: url.into(),
            private: Secret::default(),
        })
    }

    async fn exchange(
        &self,
        context: &LoginContext,
        _page: &LoginPage,
        code: &Secret,
    ) -> Result<Credentials> {
        let request = token_request(context, "login")?
            .query("grant_type", "authorization_code")
            .query("code", code.expose())
            .query("redirect_uri", OUT_OF_BAND);
        // The code may be spent although the answer was lost.
        let said = ask(context, request)
            .await
            .map_err(|error| error.retry(Retry::Never))?;
        match said {
            Said::Answer(answer) => granted(context, "login", &answer),
            Said::Error { name, words } => Err(refused("login", &name, &words)),
        }
    }

    async fn begin(&self, context: &LoginContext) -> Result<DeviceLogin> {
        let (id, _) = app(context)?;
        let base = context.drive.endpoint("auth")?;
        let request = Request::get("device_code", format!("{base}/oauth/2.0/device/code"))
            .query("response_type", "device_code")
            .query("client_id", id)
            .query("scope", SCOPE);
        let answer = match retry(patience(), || ask(context, request.clone())).await? {
            Said::Answer(answer) => answer,
            Said::Error { name, words } => return Err(refused("device_code", &name, &words)),
        };
        let code = decode::nonempty(&answer["device_code"])
            .ok_or_else(|| DriveError::bad_answer("device_code", "no device_code"))?;
        let page = decode::nonempty(&answer["verification_url"]);
        let user_code = decode::nonempty(&answer["user_code"]);
        let qr = decode::nonempty(&answer["qrcode_url"]).map(Qr::Picture);
        if qr.is_none() && (page.is_none() || user_code.is_none()) {
            return Err(DriveError::bad_answer("device_code", "nothing to show"));
        }
        let seconds = |field: &str, default: u64| {
            let told = decode::unsigned(&answer[field]).unwrap_or(default);
            Duration::from_secs(told.clamp(1, 3600))
        };
        Ok(DeviceLogin {
            page,
            user_code,
            qr,
            expires_in: seconds("expires_in", 300),
            interval: seconds("interval", 5),
            private: Secret::new(code),
        })
    }

    async fn poll(&self, context: &LoginContext, device: &DeviceLogin) -> Result<DevicePoll> {
        let request = token_request(context, "login")?
            .query("grant_type", "device_token")
            .query("code", device.private.expose());
        match ask(context, request).await? {
            Said::Answer(answer) => granted(context, "login", &answer).map(DevicePoll::Granted),
            Said::Error { name, words } => match name.as_str() {
                "authorization_pending" => Ok(DevicePoll::Pending),
                "slow_down" => Ok(DevicePoll::SlowDown),
                "expired_token" => Ok(DevicePoll::Expired),
                // The sheet knows the meaning, not the word.
                "authorization_declined" | "access_denied" => Ok(DevicePoll::Denied),
                _ => Err(refused("login", &name, &words)),
            },
        }
    }
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
