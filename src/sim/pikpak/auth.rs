//! Tokens: access for two hours, refresh single-use and bound to the client that got it
//! (pikpak.md sections 2.5 and 2.6).

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::super::account::Account;
use super::super::faults::FaultKind;
use super::errors::ApiError;
use super::gate::header;
use super::{PikPak, clients, login, text, user_id};

const ACCESS_MS: i64 = 7_200_000;

struct Access {
    account: Arc<Account>,
    expires: i64,
    /// A fault ended it.
    ended: bool,
}

struct Refresh {
    account: Arc<Account>,
    client: String,
    spent: bool,
}

/// The tokens handed out.
#[derive(Default)]
pub(super) struct Tokens {
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
}

impl PikPak {
    fn new_refresh(&self) -> String {
        format!("os.{}", URL_SAFE_NO_PAD.encode(self.kit.ids.hex(48)))
    }

    /// A refresh token of the web client for a profile, new at each call.
    pub(super) fn profile_token(&self, account: &Arc<Account>) -> String {
        let token = self.new_refresh();
        let refresh = Refresh {
            account: account.clone(),
            client: clients::WEB_ID.to_owned(),
            spent: false,
        };
        self.state().tokens.refresh.insert(token.clone(), refresh);
        token
    }

    fn issue(&self, account: &Arc<Account>, client: &str) -> Value {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let expires = self.kit.clock.now_ms().saturating_add(ACCESS_MS);
        let claims = json!({
            "iss": "https://user.mypikpak.com", "sub": user_id(account), "aud": client,
            "exp": expires / 1000, "iat": self.kit.clock.now_s(), "scope": "user pan sync offline",
        });
        let head = part(json!({ "alg": "RS256" }));
        let access = format!("{head}.{}.{}", part(claims), self.kit.ids.hex(43));
        let refresh = self.new_refresh();
        let mut state = self.state();
        state.tokens.access.insert(
            access.clone(),
            Access {
                account: account.clone(),
                expires,
                ended: false,
            },
        );
        state.tokens.refresh.insert(
            refresh.clone(),
            Refresh {
                account: account.clone(),
                client: client.to_owned(),
                spent: false,
            },
        );
        json!({
            "token_type": "Bearer", "access_token": access, "refresh_token": refresh,
            "expires_in": ACCESS_MS / 1000, "sub": user_id(account),
        })
    }

    /// The account and token of a request, whether or not the token is still good.
    pub(super) fn bearer(&self, headers: &HeaderMap) -> Option<(Arc<Account>, String)> {
        let token = header(headers, "authorization").strip_prefix("Bearer ")?;
        let account = self.state().tokens.access.get(token)?.account.clone();
        Some((account, token.to_owned()))
    }

    /// Whether the token is still good; the fault `expire_token` ends it for good.
    pub(super) fn check_token(
        &self,
        account: &Account,
        op: &str,
        token: &str,
    ) -> Result<(), ApiError> {
        let expire = account.faults.take(op, FaultKind::ExpireToken).is_some();
        let now = self.kit.clock.now_ms();
        let mut state = self.state();
        let known = state.tokens.access.get_mut(token);
        let good = known.is_some_and(|token| {
            token.ended |= expire;
            !token.ended && now < token.expires
        });
        if good {
            Ok(())
        } else {
            Err(ApiError::unauthenticated())
        }
    }

    /// `POST /v1/auth/signin`.
    pub(super) async fn signin_call(&self, headers: &HeaderMap, body: &Value) -> Response {
        let name = text(body, "username");
        let work = async {
            self.signin(headers, body)
                .unwrap_or_else(IntoResponse::into_response)
        };
        match self.by_login(name) {
            Some(account) => account.serve("signin", ApiError::injected, work).await,
            None => work.await,
        }
    }

    /// The account of a user name.
    pub(super) fn by_login(&self, name: &str) -> Option<Arc<Account>> {
        let mut all = self.kit.accounts.iter();
        all.find(|account| login(account).0 == name).cloned()
    }

    fn signin(&self, headers: &HeaderMap, body: &Value) -> Result<Response, ApiError> {
        no_bearer(headers)?;
        let client = check_client(body, true)?;
        if !matches!(text(body, "grant_type"), "" | "password") {
            return Err(ApiError::bad_request("unsupported grant_type"));
        }
        let name = text(body, "username");
        let account = self.by_login(name);
        let lax = account
            .as_ref()
            .is_some_and(|account| account.knobs.flag("signin_without_device"));
        let device = header(headers, "x-device-id");
        if device.is_empty() && !lax {
            return Err(ApiError::bad_request("X-Device-Id is missing"));
        }
        let captcha = match text(body, "captcha_token") {
            "" => header(headers, "x-captcha-token"),
            token => token,
        };
        self.check_login_captcha(captcha, name, device)?;
        let account = account.filter(|account| login(account).1 == text(body, "password"));
        let Some(account) = account else {
            // The sheet gives this error no number (section 10).
            let text = "Invalid account or password";
            return Err(ApiError::new(
                400,
                4022,
                "invalid_account_or_password",
                text,
            ));
        };
        Ok(Json(self.issue(&account, &client)).into_response())
    }

    /// `POST /v1/auth/token`.
    pub(super) async fn refresh_call(&self, headers: &HeaderMap, body: &Value) -> Response {
        let token = text(body, "refresh_token");
        let known = self
            .state()
            .tokens
            .refresh
            .get(token)
            .map(|r| r.account.clone());
        let work = async {
            self.refresh(headers, body)
                .unwrap_or_else(IntoResponse::into_response)
        };
        match known {
            Some(account) => account.serve("refresh", ApiError::injected, work).await,
            None => work.await,
        }
    }

    fn refresh(&self, headers: &HeaderMap, body: &Value) -> Result<Response, ApiError> {
        no_bearer(headers)?;
        let client = check_client(body, false)?;
        if text(body, "grant_type") != "refresh_token" {
            return Err(ApiError::bad_request("unsupported grant_type"));
        }
        let account = {
            let mut state = self.state();
            let token = state.tokens.refresh.get_mut(text(body, "refresh_token"));
            let Some(token) = token.filter(|token| !token.spent && token.client == client) else {
                let text = "The refresh token is invalid or was used already";
                return Err(ApiError::new(400, 4126, "invalid_grant", text));
            };
            token.spent = true;
            token.account.clone()
        };
        account.meters.refresh();
        Ok(Json(self.issue(&account, &client)).into_response())
    }
}

/// No bearer belongs on calls that get one: one that is sent is a leak.
fn no_bearer(headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.contains_key("authorization") {
        true => Err(ApiError::bad_request("unexpected Authorization header")),
        false => Ok(()),
    }
}

/// The client id of a body, with its secret checked when sent (the web client's may be left
/// out, at refresh everyone's).
fn check_client(body: &Value, signin: bool) -> Result<String, ApiError> {
    let id = text(body, "client_id");
    let invalid = || ApiError::new(400, 400, "invalid_client", "unknown client");
    let secret = clients::secret(id).ok_or_else(invalid)?;
    let sent = text(body, "client_secret");
    let may_miss = !signin || id == clients::WEB_ID;
    if sent == secret || (sent.is_empty() && may_miss) {
        Ok(id.to_owned())
    } else {
        Err(invalid())
    }
}
