//! Tokens: JWT-like, access for two hours, refresh for ninety days and single-use
//! (aliyundrive_open.md section 2).

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
use super::{Aliyun, drives, text};

const ACCESS_MS: i64 = 7_200_000;
const REFRESH_MS: i64 = 90 * 86_400_000;

pub(super) struct Token {
    pub account: Arc<Account>,
    expires: i64,
    /// A refresh token that was used, or an access token that a fault expired.
    spent: bool,
}

#[derive(Default)]
pub(super) struct Tokens {
    access: HashMap<String, Token>,
    refresh: HashMap<String, Token>,
}

/// Client id of the one app this server knows.
pub(super) const CLIENT_ID: &str = "5ad1c0ffee5ad1c0ffee5ad1c0ffee01";
/// Its secret.
pub(super) const CLIENT_SECRET: &str = "f00dfacef00dfacef00dfacef00dface";

/// User id of an account, 32 hex.
pub(super) fn user_id(account: &Account) -> String {
    super::super::digest::md5_hex(format!("aliyun user {}", account.number).as_bytes())
}

impl Aliyun {
    fn jwt(&self, account: &Account, expires: i64) -> String {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let (backup, resource) = drives(account.number);
        let claims = json!({
            "sub": user_id(account), "aud": CLIENT_ID, "s": "cda",
            "d": format!("{backup},{resource}"), "iss": "alipan",
            "exp": expires / 1000, "iat": self.kit.clock.now_s(), "jti": self.kit.ids.hex(32),
        });
        let head = part(json!({ "typ": "JWT", "alg": "HS256" }));
        format!("{head}.{}.{}", part(claims), self.kit.ids.hex(43))
    }

    /// A fresh pair: access token, refresh token.
    pub(super) fn issue(&self, account: &Arc<Account>) -> (String, String) {
        let now = self.kit.clock.now_ms();
        let access = self.jwt(account, now + ACCESS_MS);
        let refresh = self.jwt(account, now + REFRESH_MS);
        let token = |life| Token {
            account: account.clone(),
            expires: now + life,
            spent: false,
        };
        let mut state = self.state();
        state.tokens.access.insert(access.clone(), token(ACCESS_MS));
        state
            .tokens
            .refresh
            .insert(refresh.clone(), token(REFRESH_MS));
        (access, refresh)
    }

    /// The account and token of a request, whether or not the token is still good.
    pub(super) fn bearer(&self, headers: &HeaderMap) -> Option<(Arc<Account>, String)> {
        let header = headers.get("authorization")?.to_str().ok()?;
        let token = header.strip_prefix("Bearer ")?;
        let account = self.state().tokens.access.get(token)?.account.clone();
        Some((account, token.to_owned()))
    }

    /// Whether the token is still good; the fault `expire_token` ends it for good.
    pub(super) fn check(&self, account: &Account, op: &str, token: &str) -> Result<(), ApiError> {
        let expire = account.faults.take(op, FaultKind::ExpireToken).is_some();
        let now = self.kit.clock.now_ms();
        let mut state = self.state();
        let known = state.tokens.access.get_mut(token);
        let good = known.is_some_and(|token| {
            token.spent |= expire;
            !token.spent && now < token.expires
        });
        if good {
            return Ok(());
        }
        Err(ApiError::new(
            401,
            "AccessTokenExpired",
            "The access token has expired.",
        ))
    }

    /// `POST /oauth/access_token`.
    pub(super) async fn token_call(&self, headers: &HeaderMap, body: &Value) -> Response {
        let refresh = text(body, "refresh_token");
        let account = self
            .state()
            .tokens
            .refresh
            .get(refresh)
            .map(|t| t.account.clone());
        let Some(account) = account else {
            return self
                .refresh(headers, body, refresh)
                .unwrap_or_else(IntoResponse::into_response);
        };
        let work = async {
            self.refresh(headers, body, refresh)
                .unwrap_or_else(IntoResponse::into_response)
        };
        account.serve("refresh", ApiError::injected, work).await
    }

    fn refresh(
        &self,
        headers: &HeaderMap,
        body: &Value,
        refresh: &str,
    ) -> Result<Response, ApiError> {
        let bad = |code: &str| ApiError::new(400, code, "The OAuth request is not valid.");
        if headers.contains_key("authorization") {
            // No bearer belongs on this call: one that is sent is a leak.
            return Err(bad("BadRequest"));
        }
        match text(body, "grant_type") {
            "refresh_token" => {}
            "authorization_code" => return Err(bad("InvalidCode")),
            _ => return Err(bad("InvalidGrantType")),
        }
        if text(body, "client_id") != CLIENT_ID {
            return Err(bad("InvalidClientId"));
        }
        // A public client (PKCE) sends none.
        if !matches!(text(body, "client_secret"), "" | CLIENT_SECRET) {
            return Err(bad("InvalidClientSecret"));
        }
        let account = {
            let now = self.kit.clock.now_ms();
            let mut state = self.state();
            let known = state
                .tokens
                .refresh
                .get_mut(refresh)
                .filter(|token| !token.spent);
            let Some(token) = known else {
                let text = "The refresh token is invalid or was used already.";
                return Err(ApiError::new(401, "RefreshTokenInvalid", text));
            };
            if now >= token.expires {
                let text = "The refresh token has expired.";
                return Err(ApiError::new(401, "RefreshTokenExpired", text));
            }
            token.spent = true;
            token.account.clone()
        };
        account.meters.refresh();
        let (access_token, refresh_token) = self.issue(&account);
        Ok(Json(json!({
            "token_type": "Bearer", "access_token": access_token,
            "refresh_token": refresh_token, "expires_in": ACCESS_MS / 1000,
        }))
        .into_response())
    }
}
