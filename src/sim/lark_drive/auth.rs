//! Apps and tokens (section 2). Each account is a tenant of its own with one app, so that app
//! credentials lead to an account.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::super::account::Account;
use super::super::digest::{md5_hex, sha1_hex};
use super::super::faults::FaultKind;
use super::LarkDrive;
use super::args::{Args, read_object};
use super::errors::{ApiError, flat};
use super::gate::number;
use super::scopes::{self, granted};

/// Life of access tokens in milliseconds.
const ACCESS_MS: u64 = 7_200_000;
/// Life of refresh tokens in milliseconds, seven days.
const REFRESH_MS: u64 = 7 * 86_400_000;
/// A tenant token with more left is given out again (section 2.2).
const RENEW_MS: i64 = 30 * 60_000;

/// Whose token it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// `u-...`
    User,
    /// `t-...`, the app itself.
    Bot,
}

struct Access {
    account: Arc<Account>,
    who: Who,
    expires: i64,
    /// What the user had granted when it was issued.
    scopes: Vec<String>,
    revoked: bool,
}

struct Refresh {
    account: Arc<Account>,
    expires: i64,
    used: bool,
    revoked: bool,
}

#[derive(Default)]
pub(super) struct Tokens {
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    /// The newest tenant token, by profile.
    tenant: HashMap<String, String>,
}

impl Tokens {
    /// The user takes the grant back.
    pub(super) fn revoke(&mut self, account: &Account) {
        for token in self.access.values_mut() {
            let own = token.account.profile == account.profile && token.who == Who::User;
            token.revoked |= own;
        }
        for token in self.refresh.values_mut() {
            token.revoked |= token.account.profile == account.profile;
        }
    }
}

/// `cli_...` of an account's app.
pub(super) fn app_id(account: &Account) -> String {
    let hash = md5_hex(format!("lark app {}", account.number).as_bytes());
    format!("cli_a{}", hash.get(..15).unwrap_or(&hash))
}

/// Its secret.
pub(super) fn app_secret(account: &Account) -> String {
    let hash = sha1_hex(format!("lark secret {}", account.number).as_bytes());
    hash.get(..32).unwrap_or(&hash).to_owned()
}

/// An admitted login.
pub(super) struct Login {
    pub account: Arc<Account>,
    pub who: Who,
    pub token: String,
}

/// An app that is switched off, by the setting `app`.
fn check_app(account: &Account) -> Result<(), ApiError> {
    match account.knobs.text("app").as_deref() {
        Some("disabled") => Err(ApiError::new(99_991_662)),
        Some("unavailable") => Err(ApiError::new(99_991_673)),
        _ => Ok(()),
    }
}

impl LarkDrive {
    /// The account and token of a request, whether or not the token is still good.
    ///
    /// # Errors
    /// 99991661, 99991663, 99991668, 99991671.
    pub(super) fn bearer(&self, headers: &HeaderMap) -> Result<Login, ApiError> {
        let header = headers.get("authorization");
        let header = header.ok_or_else(|| ApiError::new(99_991_661))?;
        let token = header.to_str().ok();
        let token = token.and_then(|text| text.strip_prefix("Bearer "));
        let token = token.ok_or_else(|| ApiError::new(99_991_671))?;
        let unknown = match token.get(..2) {
            Some("u-") => 99_991_668,
            Some("t-") => 99_991_663,
            _ => 99_991_671,
        };
        let state = self.state();
        let known = state.tokens.access.get(token);
        let known = known.ok_or_else(|| ApiError::new(unknown))?;
        Ok(Login {
            account: known.account.clone(),
            who: known.who,
            token: token.to_owned(),
        })
    }

    /// Whether the token is still good for an operation; the fault `expire_token` ends it for
    /// good.
    ///
    /// # Errors
    /// 99991662 and 99991673 of the app, 99991663, 99991668 and 99991677 of the token,
    /// 99991672, 99991676 and 99991679 of its scopes.
    pub(super) fn check(&self, login: &Login, op: &str) -> Result<(), ApiError> {
        let account = &login.account;
        check_app(account)?;
        let expire = account.faults.take(op, FaultKind::ExpireToken).is_some();
        let now = self.kit.clock.now_ms();
        let had = {
            let mut state = self.state();
            let token = state.tokens.access.get_mut(&login.token);
            let token = token.ok_or_else(|| ApiError::new(99_991_668))?;
            if expire {
                token.expires = token.expires.min(now);
            }
            if token.revoked {
                return Err(ApiError::new(99_991_668));
            }
            if now >= token.expires {
                return Err(ApiError::new(match login.who {
                    Who::User => 99_991_677,
                    Who::Bot => 99_991_663,
                }));
            }
            token.scopes.clone()
        };
        let wanted = scopes::wanted(op);
        if scopes::app_lacks(account, wanted) {
            return Err(ApiError::scope(99_991_672, wanted));
        }
        if login.who == Who::Bot {
            return Ok(());
        }
        if !scopes::any(wanted, &granted(account)) {
            return Err(ApiError::scope(99_991_679, wanted));
        }
        // Granted by now, but not to this token.
        if !scopes::any(wanted, &had) {
            return Err(ApiError::scope(99_991_676, wanted));
        }
        Ok(())
    }

    /// A fresh pair for a user: access token, refresh token.
    pub(super) fn issue(&self, account: &Arc<Account>) -> (String, String) {
        let now = self.kit.clock.now_ms();
        let access = format!("u-{}", self.kit.ids.hex(48));
        let refresh = format!("ur-{}", self.kit.ids.hex(56));
        let (life, refresh_life) = lives(account);
        let mut state = self.state();
        let token = Access {
            account: account.clone(),
            who: Who::User,
            expires: now.saturating_add(life),
            scopes: granted(account),
            revoked: false,
        };
        state.tokens.access.insert(access.clone(), token);
        let token = Refresh {
            account: account.clone(),
            expires: now.saturating_add(refresh_life),
            used: false,
            revoked: false,
        };
        state.tokens.refresh.insert(refresh.clone(), token);
        (access, refresh)
    }

    /// `tenant_access_token/internal` and `oauth/token`, which need no bearer.
    pub(super) async fn token_call(
        &self,
        op: &'static str,
        headers: &HeaderMap,
        body: Body,
    ) -> Response {
        let body = match read_object(headers, body).await {
            Ok(body) => body,
            Err(error) => return refuse(op, &error),
        };
        let (id, secret) = match op {
            "tenant_token" => ("app_id", "app_secret"),
            _ => ("client_id", "client_secret"),
        };
        let args = Args::new("", body);
        let (id, secret) = match (args.required(id), args.required(secret)) {
            (Ok(id), Ok(secret)) => (id, secret),
            (Err(error), _) | (_, Err(error)) => return refuse(op, &error),
        };
        let mut accounts = self.kit.accounts.iter();
        let Some(account) = accounts.find(|account| app_id(account) == id) else {
            return refuse(op, &ApiError::new(99_991_543));
        };
        let work = async {
            let answer = match (secret == app_secret(account), check_app(account)) {
                (false, _) => Err(ApiError::new(99_991_543)),
                (_, Err(error)) => Err(error),
                _ if op == "tenant_token" => Ok(self.tenant(account)),
                _ => self.refresh(account, &args),
            };
            match answer {
                Ok(answer) => flat(answer),
                Err(error) => refuse(op, &error),
            }
        };
        account.serve(op, ApiError::injected, work).await
    }

    /// The token of the app: an old one as long as more than half an hour is left.
    fn tenant(&self, account: &Arc<Account>) -> Value {
        let now = self.kit.clock.now_ms();
        let (life, _) = lives(account);
        let fresh = format!("t-{}", self.kit.ids.hex(48));
        let mut state = self.state();
        let tokens = &mut state.tokens;
        let old = tokens.tenant.get(&account.profile);
        let old = old.and_then(|token| Some((token, tokens.access.get(token)?.expires)));
        let (token, expires) = match old {
            Some((token, expires)) if expires.saturating_sub(now) > RENEW_MS.min(life / 2) => {
                (token.clone(), expires)
            }
            _ => {
                let expires = now.saturating_add(life);
                let access = Access {
                    account: account.clone(),
                    who: Who::Bot,
                    expires,
                    scopes: Vec::new(),
                    revoked: false,
                };
                tokens.access.insert(fresh.clone(), access);
                tokens.tenant.insert(account.profile.clone(), fresh.clone());
                account.meters.refresh();
                (fresh, expires)
            }
        };
        json!({
            "code": 0, "msg": "ok", "tenant_access_token": token,
            "expire": expires.saturating_sub(now) / 1000,
        })
    }

    /// `grant_type=refresh_token`: a new pair, and the old refresh token is dead at once.
    fn refresh(&self, account: &Arc<Account>, args: &Args) -> Result<Value, ApiError> {
        if args.required("grant_type")? != "refresh_token" {
            // Codes come from a browser, which nobody has here.
            return Err(ApiError::field("grant_type"));
        }
        let sent = args.required("refresh_token")?;
        let now = self.kit.clock.now_ms();
        {
            let mut state = self.state();
            let known = state.tokens.refresh.get_mut(sent);
            let known = known.filter(|token| token.account.profile == account.profile);
            let token = known.ok_or_else(|| ApiError::new(20_026))?;
            let refused = match &*token {
                Refresh { revoked: true, .. } => Some(20_064),
                Refresh { used: true, .. } => Some(20_073),
                token if now >= token.expires => Some(20_037),
                _ => None,
            };
            if let Some(code) = refused {
                return Err(ApiError::new(code));
            }
            token.used = true;
        }
        account.meters.refresh();
        let (access, refresh) = self.issue(account);
        let (life, refresh_life) = lives(account);
        let scopes = granted(account);
        let mut answer = Map::from_iter([
            ("code".to_owned(), json!(0)),
            ("access_token".to_owned(), json!(access)),
            ("expires_in".to_owned(), json!(life / 1000)),
            ("scope".to_owned(), json!(scopes.join(" "))),
            ("token_type".to_owned(), json!("Bearer")),
        ]);
        if scopes.iter().any(|scope| scope == "offline_access") {
            answer.insert("refresh_token".to_owned(), json!(refresh));
            if account.knobs.text("refresh_life").as_deref() != Some("absent") {
                let life = json!(refresh_life / 1000);
                answer.insert("refresh_token_expires_in".to_owned(), life);
            }
        }
        Ok(Value::Object(answer))
    }
}

/// Lives of access and refresh tokens in milliseconds.
fn lives(account: &Account) -> (i64, i64) {
    (
        number(account, "token_ms", ACCESS_MS),
        number(account, "refresh_ms", REFRESH_MS),
    )
}

/// A refusal as the endpoint of `op` writes it.
fn refuse(op: &str, error: &ApiError) -> Response {
    match op {
        "refresh" => ApiError::oauth(error.code()).into_response(),
        _ => error.clone().into_response(),
    }
}
