//! Captcha tokens: which are handed out, and which calls need one (pikpak.md section 2.4).

use axum::Json;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::super::account::Account;
use super::errors::ApiError;
use super::gate::header;
use super::{PikPak, clients, is_hex, text, user_id};

/// A captcha token.
pub(super) struct Captcha {
    device: String,
    expires: i64,
    /// The user name it was made for, when made for a sign-in.
    login: Option<String>,
}

/// The three keys of a login meta.
const LOGIN_KEYS: [&str; 3] = ["email", "phone_number", "username"];

impl PikPak {
    /// `POST /v1/shield/captcha/init`.
    pub(super) async fn captcha_call(
        &self,
        headers: &HeaderMap,
        query: &[(String, String)],
        body: &Value,
    ) -> Response {
        let meta = body.get("meta").unwrap_or(&Value::Null);
        let named = LOGIN_KEYS
            .iter()
            .find_map(|key| self.by_login(text(meta, key)));
        let mut all = self.kit.accounts.iter();
        let signed_in = all.find(|account| user_id(account) == text(meta, "user_id"));
        let account = named
            .or_else(|| signed_in.cloned())
            .or_else(|| self.kit.accounts.first().cloned());
        let Some(account) = account else {
            return ApiError::not_found().into_response();
        };
        let work = async {
            self.captcha(&account, headers, query, body)
                .unwrap_or_else(IntoResponse::into_response)
        };
        account.serve("captcha", ApiError::injected, work).await
    }

    fn captcha(
        &self,
        account: &Account,
        headers: &HeaderMap,
        query: &[(String, String)],
        body: &Value,
    ) -> Result<Response, ApiError> {
        let client = text(body, "client_id");
        if clients::secret(client).is_none()
            || query.iter().any(|(k, v)| k == "client_id" && v != client)
        {
            return Err(ApiError::bad_request("unknown client_id"));
        }
        let device = text(body, "device_id");
        if !is_hex(device, 32) || device.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(ApiError::bad_request("device_id must be 32 hex characters"));
        }
        // The body's device must be the header's: two devices provoke a verification.
        if header(headers, "x-device-id") != device {
            return Err(ApiError::bad_request("X-Device-Id is missing or another"));
        }
        if !is_action(text(body, "action")) {
            return Err(ApiError::bad_request("action is not METHOD:/path"));
        }
        let empty = serde_json::Map::new();
        let meta = body
            .get("meta")
            .and_then(Value::as_object)
            .unwrap_or(&empty);
        let names: Vec<&str> = LOGIN_KEYS
            .iter()
            .filter_map(|key| meta.get(*key).and_then(Value::as_str))
            .collect();
        let login = match (names.as_slice(), meta.contains_key("captcha_sign")) {
            ([name], false) if !name.is_empty() => Some((*name).to_owned()),
            ([], true) => {
                self.check_sign(client, device, body.get("meta").unwrap_or(&Value::Null))?;
                None
            }
            _ => return Err(ApiError::captcha_invalid()),
        };
        let life_s = account.knobs.number("captcha_life_s", 300);
        if account.knobs.flag("captcha_url") {
            return Ok(Json(json!({
                "captcha_token": "", "expires_in": life_s,
                "url": "https://user.mypikpak.com/captcha/v2/spritePuzzle.html?action=verify",
            }))
            .into_response());
        }
        let token = format!("ck0.{}", self.kit.ids.hex(64));
        let life = i64::try_from(life_s)
            .unwrap_or(i64::MAX)
            .saturating_mul(1000);
        let captcha = Captcha {
            device: device.to_owned(),
            expires: self.kit.clock.now_ms().saturating_add(life),
            login,
        };
        self.state().captchas.insert(token.clone(), captcha);
        Ok(Json(json!({ "captcha_token": token, "expires_in": life_s })).into_response())
    }

    /// Recomputes the signature for the client that the meta claims.
    fn check_sign(&self, client: &str, device: &str, meta: &Value) -> Result<(), ApiError> {
        let timestamp = match meta.get("timestamp") {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let milliseconds = timestamp.len() == 13 && timestamp.bytes().all(|b| b.is_ascii_digit());
        // A client that does not know its user yet sends null or nothing (section 2.4).
        let user = text(meta, "user_id");
        let mut all = self.kit.accounts.iter();
        let user_fits = user.is_empty() || all.any(|account| user_id(account) == user);
        let claimed = clients::find(
            client,
            text(meta, "client_version"),
            text(meta, "package_name"),
        );
        let signed = claimed.is_some_and(|claimed| {
            claimed.captcha_sign(device, &timestamp) == text(meta, "captcha_sign")
        });
        match milliseconds && user_fits && signed {
            true => Ok(()),
            false => Err(ApiError::captcha_invalid()),
        }
    }

    /// Sign-in takes only a token made for this user name and device.
    pub(super) fn check_login_captcha(
        &self,
        token: &str,
        name: &str,
        device: &str,
    ) -> Result<(), ApiError> {
        let now = self.kit.clock.now_ms();
        let state = self.state();
        let good = state.captchas.get(token).is_some_and(|captcha| {
            now < captcha.expires
                && captcha.login.as_deref() == Some(name)
                && (device.is_empty() || captcha.device == device)
        });
        match good {
            true => Ok(()),
            false => {
                let text = "meta.username is missing or the captcha token is not valid";
                Err(ApiError::new(400, 4002, "captcha_invalid", text))
            }
        }
    }

    /// The captcha rule of an authenticated call.
    pub(super) fn check_captcha(
        &self,
        account: &Account,
        op: &str,
        token: &str,
        device: &str,
    ) -> Result<(), ApiError> {
        let mode = account.knobs.text("captcha").unwrap_or_default();
        if mode == "none" {
            return Ok(());
        }
        let now = self.kit.clock.now_ms();
        let mut state = self.state();
        let known = state.captchas.get(token);
        if known.is_some_and(|captcha| now < captcha.expires && captcha.device == device) {
            return Ok(());
        }
        let bare = state.bare_calls.entry(account.profile.clone()).or_default();
        *bare += 1;
        let walled = *bare > account.knobs.number("captcha_wall", u64::MAX);
        drop(state);
        let asked = walled || mode == "all" || matches!(op, "stat" | "download_link");
        if token.is_empty() && !asked {
            return Ok(());
        }
        account.meters.challenge();
        Err(match token.is_empty() {
            true => ApiError::captcha_required(),
            false => ApiError::captcha_invalid(),
        })
    }
}

/// `METHOD:/path`; sign-in may carry its host.
fn is_action(action: &str) -> bool {
    let Some((method, path)) = action.split_once(':') else {
        return false;
    };
    let path = path
        .strip_prefix("https://user.mypikpak.com")
        .unwrap_or(path);
    matches!(method, "GET" | "POST" | "PATCH" | "DELETE" | "PUT")
        && ["/drive/v1/", "/v1/", "/vip/v1/", "/decompress/v1/"]
            .iter()
            .any(|start| path.starts_with(start))
}
