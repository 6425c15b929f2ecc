//! Tokens: access tokens that expire, refresh tokens that are single-use and bound to the
//! client that got them (xunlei.md sections 2.5 and 11.3).

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
use super::clients::Client;
use super::errors::ApiError;
use super::gate::header;
use super::{Xunlei, clients, text, user_id};

struct Access {
    account: Arc<Account>,
    client: String,
    expires: i64,
    /// A fault or another log-in ended it.
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

impl Tokens {
    /// Ends every token that a client has for an account.
    pub(super) fn end_session(&mut self, account: &Account, client: &str) {
        let own = |of: &Account, by: &str| of.profile == account.profile && by == client;
        for token in self.access.values_mut() {
            token.ended |= own(&token.account, &token.client);
        }
        for token in self.refresh.values_mut() {
            token.spent |= own(&token.account, &token.client);
        }
    }
}

impl Xunlei {
    fn new_refresh(&self) -> String {
        format!("a1.{}", URL_SAFE_NO_PAD.encode(self.kit.ids.hex(48)))
    }

    /// A refresh token of a client for a profile, new at each call.
    pub(super) fn profile_token(&self, account: &Arc<Account>, client: &str) -> String {
        let token = self.new_refresh();
        let refresh = Refresh {
            account: account.clone(),
            client: client.to_owned(),
            spent: false,
        };
        self.state().tokens.refresh.insert(token.clone(), refresh);
        token
    }

    /// A new pair of tokens, as the API writes it.
    pub(super) fn issue(&self, account: &Arc<Account>, client: &Client) -> Value {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let life_s = account.knobs.number("token_life_s", client.access_s);
        let life = i64::try_from(life_s).unwrap_or(i64::MAX);
        let now = self.kit.clock.now_ms();
        let expires = now.saturating_add(life.saturating_mul(1000));
        let claims = json!({
            "iss": "https://xluser-ssl.xunlei.com", "sub": user_id(account), "aud": client.id,
            "exp": expires / 1000, "iat": now / 1000, "scope": "user pan profile offline",
        });
        let head = part(json!({ "alg": "RS256" }));
        let access = format!("{head}.{}.{}", part(claims), self.kit.ids.hex(43));
        let refresh = self.profile_token(account, client.id);
        let entry = Access {
            account: account.clone(),
            client: client.id.to_owned(),
            expires,
            ended: false,
        };
        self.state().tokens.access.insert(access.clone(), entry);
        json!({
            "token_type": "Bearer", "access_token": access, "refresh_token": refresh,
            "expires_in": life_s, "sub": user_id(account), "user_id": user_id(account),
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
            return Ok(());
        }
        Err(match account.knobs.number("token_error", 16) {
            10 => ApiError::new(400, 10, "", "The access token is expired"),
            code => ApiError::unauthenticated(i64::try_from(code).unwrap_or(16)),
        })
    }

    /// `POST /v1/auth/token`.
    pub(super) async fn refresh_call(&self, headers: &HeaderMap, body: &Value) -> Response {
        let token = text(body, "refresh_token");
        let known = self
            .state()
            .tokens
            .refresh
            .get(token)
            .map(|refresh| refresh.account.clone());
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
            let Some(token) = token.filter(|token| !token.spent && token.client == client.id)
            else {
                return Err(ApiError::invalid_grant());
            };
            token.spent = true;
            token.account.clone()
        };
        account.meters.refresh();
        Ok(Json(self.issue(&account, client)).into_response())
    }
}

/// No bearer belongs on calls that get one: one that is sent is a leak.
pub(super) fn no_bearer(headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.contains_key("authorization") {
        true => Err(ApiError::bad_request("unexpected Authorization header")),
        false => Ok(()),
    }
}

/// The client of a body. Its secret is checked when it is sent; `needed` says whether it must be
/// (at a refresh it may always be left out, and the web client has none).
pub(super) fn check_client(body: &Value, needed: bool) -> Result<&'static Client, ApiError> {
    let invalid = || ApiError::new(400, 400, "invalid_client", "unknown client");
    let client = clients::by_id(text(body, "client_id")).ok_or_else(invalid)?;
    let sent = text(body, "client_secret");
    match sent == client.secret || (sent.is_empty() && !needed) {
        true => Ok(client),
        false => Err(invalid()),
    }
}
