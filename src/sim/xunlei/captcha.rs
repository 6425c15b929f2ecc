//! Captcha tokens: which are handed out, and which calls need one (xunlei.md section 2.4).

use axum::Json;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::super::account::Account;
use super::errors::ApiError;
use super::gate::header;
use super::{Xunlei, clients, device_id, is_device, text, user_id};

/// A captcha token.
pub(super) struct Captcha {
    client: String,
    device: String,
    /// What it was made for, `METHOD:/path` in lower case.
    action: String,
    expires: i64,
    /// The user name it was made for, when made for a log-in.
    login: Option<String>,
    /// The user it was made for; empty or `0` means nobody.
    user: String,
}

/// The three keys of a log-in meta.
const LOGIN_KEYS: [&str; 3] = ["email", "phone_number", "username"];

/// Whether a user id names nobody (section 4.9).
fn is_nobody(user: &str) -> bool {
    matches!(user, "" | "0")
}

/// A member that is written as text or as a number.
fn written(body: &Value, key: &str) -> String {
    match body.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

impl Xunlei {
    /// `POST /v1/shield/captcha/init`.
    pub(super) async fn captcha_call(&self, headers: &HeaderMap, body: &Value) -> Response {
        let meta = body.get("meta").unwrap_or(&Value::Null);
        let named = LOGIN_KEYS
            .iter()
            .find_map(|key| self.by_login(text(meta, key)));
        let user = written(meta, "user_id");
        let all = &self.kit.accounts;
        let of_user = || all.iter().find(|account| user_id(account) == user);
        let of_device = || {
            let device = text(body, "device_id");
            all.iter().find(|account| device_id(account) == device)
        };
        let account = named.or_else(|| {
            let found = of_user().or_else(of_device).or_else(|| all.first());
            found.cloned()
        });
        let Some(account) = account else {
            return ApiError::not_found().into_response();
        };
        let work = async {
            self.captcha(&account, headers, body)
                .unwrap_or_else(IntoResponse::into_response)
        };
        account.serve("captcha", ApiError::injected, work).await
    }

    fn captcha(
        &self,
        account: &Account,
        headers: &HeaderMap,
        body: &Value,
    ) -> Result<Response, ApiError> {
        let client = text(body, "client_id");
        if header(headers, "x-client-id").is_empty() {
            return Err(ApiError::bad_request("x-client-id required"));
        }
        if clients::by_id(client).is_none() || header(headers, "x-client-id") != client {
            return Err(ApiError::bad_request("client_id is unknown or another"));
        }
        let device = text(body, "device_id");
        if !is_device(device) {
            return Err(ApiError::bad_request("device_id must be 32 hex characters"));
        }
        // The body's device must be the header's: two devices provoke a verification.
        if header(headers, "x-device-id") != device {
            return Err(ApiError::bad_request("x-device-id is missing or another"));
        }
        let action = text(body, "action");
        if !is_action(action) {
            return Err(ApiError::bad_request("action is not METHOD:/path"));
        }
        let empty = Map::new();
        let meta = body.get("meta").unwrap_or(&Value::Null);
        let members = meta.as_object().unwrap_or(&empty);
        let names: Vec<(&str, &str)> = LOGIN_KEYS
            .iter()
            .filter_map(|key| Some((*key, members.get(*key)?.as_str()?)))
            .collect();
        let login = match (names.as_slice(), members.contains_key("captcha_sign")) {
            ([(key, name)], false) if fits_key(key, name) => Some((*name).to_owned()),
            ([], true) => {
                self.check_sign(client, device, meta)?;
                None
            }
            _ => return Err(ApiError::captcha_invalid()),
        };
        let life_s = account.knobs.number("captcha_life_s", 300);
        let asked = account.knobs.text("captcha_url").unwrap_or_default();
        if account.knobs.flag("captcha_url") || asked.eq_ignore_ascii_case(action) {
            return Ok(Json(json!({
                "captcha_token": "", "expires_in": life_s,
                "url": "https://i.xunlei.com/xlcaptcha/android.html?action=slide",
            }))
            .into_response());
        }
        let token = format!("ck0.{}", self.kit.ids.hex(64));
        let life = i64::try_from(life_s).unwrap_or(i64::MAX);
        let captcha = Captcha {
            client: client.to_owned(),
            device: device.to_owned(),
            action: action.to_ascii_lowercase(),
            expires: self
                .kit
                .clock
                .now_ms()
                .saturating_add(life.saturating_mul(1000)),
            login,
            user: written(meta, "user_id"),
        };
        self.state().captchas.insert(token.clone(), captcha);
        Ok(Json(json!({ "captcha_token": token, "expires_in": life_s })).into_response())
    }

    /// Recomputes the signature for the client that the meta claims. Its time is not compared
    /// with the clock: a recorded pair stays good (section 2.2).
    fn check_sign(&self, client: &str, device: &str, meta: &Value) -> Result<(), ApiError> {
        let timestamp = written(meta, "timestamp");
        let milliseconds = timestamp.len() == 13 && timestamp.bytes().all(|b| b.is_ascii_digit());
        let user = written(meta, "user_id");
        let mut all = self.kit.accounts.iter();
        let user_fits = is_nobody(&user) || all.any(|account| user_id(account) == user);
        if !user_fits {
            return Err(ApiError::captcha_invalid());
        }
        let claimed = clients::find(
            client,
            text(meta, "client_version"),
            text(meta, "package_name"),
        );
        let signed = claimed.is_some_and(|claimed| {
            claimed.captcha_sign(device, &timestamp) == text(meta, "captcha_sign")
        });
        match milliseconds && signed {
            true => Ok(()),
            false => Err(ApiError::bad_request("invalid captcha_sign")),
        }
    }

    /// Log-in takes only a token made for this user name, device and client.
    pub(super) fn check_login_captcha(
        &self,
        token: &str,
        name: &str,
        device: &str,
        client: &str,
    ) -> Result<(), ApiError> {
        let now = self.kit.clock.now_ms();
        let state = self.state();
        let good = state.captchas.get(token).is_some_and(|captcha| {
            now < captcha.expires
                && captcha.login.as_deref() == Some(name)
                && captcha.device == device
                && captcha.client == client
        });
        match good {
            true => Ok(()),
            false => {
                let text = "the captcha token is not one of this log-in";
                Err(ApiError::new(400, 4002, "captcha_invalid", text))
            }
        }
    }

    /// The captcha rule of a drive call. `action` is `METHOD:/path`; `user` the caller's id, or
    /// `None` for a share that is read without a log-in.
    pub(super) fn check_captcha(
        &self,
        account: &Account,
        headers: &HeaderMap,
        action: &str,
        user: Option<&str>,
    ) -> Result<(), ApiError> {
        if account.knobs.text("captcha").as_deref() == Some("none") {
            return Ok(());
        }
        let token = header(headers, "x-captcha-token");
        let now = self.kit.clock.now_ms();
        let action = action.to_ascii_lowercase();
        let per_action = account.knobs.flag("captcha_per_action");
        let good = self.state().captchas.get(token).is_some_and(|captcha| {
            // A token for the collection is good for what is in it.
            let made_for = action.strip_prefix(&captcha.action).is_some_and(|rest| {
                rest.is_empty() || rest.starts_with('/') || rest.starts_with(':')
            });
            now < captcha.expires
                && captcha.device == header(headers, "x-device-id")
                && captcha.client == header(headers, "x-client-id")
                && (is_nobody(&captcha.user) || user.is_none_or(|user| captcha.user == user))
                && (made_for || !per_action)
        });
        if good {
            return Ok(());
        }
        account.meters.challenge();
        Err(match token.is_empty() {
            true => ApiError::captcha_required(),
            false => ApiError::captcha_invalid(),
        })
    }
}

/// Whether a user name is what its key says; phone numbers have 11 to 18 characters.
fn fits_key(key: &str, name: &str) -> bool {
    match key {
        "email" => name.contains('@'),
        "phone_number" => (11..=18).contains(&name.len()),
        _ => !name.is_empty(),
    }
}

/// `METHOD:/path`, the method in either case; a log-in may carry its host.
fn is_action(action: &str) -> bool {
    let Some((method, path)) = action.split_once(':') else {
        return false;
    };
    let hosts = [
        "https://xluser-ssl.xunlei.com",
        "https://xluser-ssl.xunleix.com",
    ];
    let path = hosts
        .iter()
        .find_map(|host| path.strip_prefix(host))
        .unwrap_or(path);
    let known = ["GET", "POST", "PATCH", "DELETE", "PUT"];
    known.iter().any(|one| one.eq_ignore_ascii_case(method))
        && ["/drive/v1/", "/v1/"]
            .iter()
            .any(|start| path.starts_with(start))
}
