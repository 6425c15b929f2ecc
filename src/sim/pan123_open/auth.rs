//! Tokens (123_open.md section 2): a developer's app gets thirty-day tokens for its id and
//! secret, three alive at a time; a third-party app gets two-hour tokens and single-use
//! refresh tokens. Account 1, 3 ... are of the first kind, account 2, 4 ... of the second.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::super::account::Account;
use super::super::body::set;
use super::super::clock::beijing;
use super::super::digest::md5_hex;
use super::super::faults::FaultKind;
use super::args::Args;
use super::errors::{ApiError, ok, plain};
use super::{Pan123, uid};

const DAY_MS: i64 = 86_400_000;
const DEVELOPER_MS: i64 = 30 * DAY_MS;
const OAUTH_MS: i64 = 7_200_000;
const REFRESH_MS: i64 = 90 * DAY_MS;
const CODE_MS: i64 = 600_000;
const SCOPE: &str = "user:base,file:all:read,file:all:write";

struct Access {
    account: Arc<Account>,
    client: String,
    order: u64,
    expires: i64,
    /// Logged out by a newer token, a refresh or a fault.
    dead: bool,
}

struct Refresh {
    account: Arc<Account>,
    expires: i64,
    used: bool,
    /// The access token that dies with this one.
    access: String,
}

struct Code {
    account: Arc<Account>,
    redirect: String,
    expires: i64,
}

/// Every token there is.
#[derive(Default)]
pub(super) struct Tokens {
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    codes: HashMap<String, Code>,
}

/// Whether an account belongs to a third-party app.
pub(super) fn third_party(account: &Account) -> bool {
    account.number.is_multiple_of(2)
}

/// Client id and secret for an account: its own app, or the third-party app.
pub(super) fn client(account: &Account) -> (String, String) {
    let app = match third_party(account) {
        true => "third party".to_owned(),
        false => format!("developer {}", account.number),
    };
    let half = |what: &str| md5_hex(format!("123 {app} {what}").as_bytes());
    (half("id"), half("secret"))
}

impl Pan123 {
    fn jwt(&self, account: &Account, expires: i64) -> String {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = part(json!({ "alg": "HS256", "typ": "JWT" }));
        let claims = part(json!({
            "exp": expires.div_euclid(1000), "iat": self.kit.clock.now_s(), "iss": "open.123pan",
            "id": uid(account), "jti": self.kit.ids.hex(16),
        }));
        format!("{head}.{claims}.{}", self.kit.ids.hex(43))
    }

    /// A developer token and when it expires. The oldest ones die above the limit.
    pub(super) fn issue_developer(&self, account: &Arc<Account>) -> (String, i64) {
        let limit = account.knobs.number("token_limit", 3).max(1) as usize;
        let life = account.knobs.number("token_seconds", 0);
        let life = match i64::try_from(life) {
            Ok(seconds) if seconds > 0 => seconds.saturating_mul(1000),
            _ => DEVELOPER_MS,
        };
        let expires = self.kit.clock.now_ms().saturating_add(life);
        let token = self.jwt(account, expires);
        let (client, _) = client(account);
        let order = self.kit.ids.number();
        let mut state = self.state();
        let now = self.kit.clock.now_ms();
        let mut alive: Vec<&mut Access> = state
            .tokens
            .access
            .values_mut()
            .filter(|access| access.client == client && !access.dead && access.expires > now)
            .collect();
        alive.sort_by_key(|access| access.order);
        let surplus = (alive.len() + 1).saturating_sub(limit);
        for access in alive.into_iter().take(surplus) {
            access.dead = true;
        }
        let access = Access {
            account: account.clone(),
            client,
            order,
            expires,
            dead: false,
        };
        state.tokens.access.insert(token.clone(), access);
        (token, expires)
    }

    /// An OAuth pair: access token, refresh token.
    pub(super) fn issue_pair(&self, account: &Arc<Account>) -> (String, String) {
        let now = self.kit.clock.now_ms();
        let access = self.jwt(account, now + OAUTH_MS);
        let refresh = self.kit.ids.hex(20).to_uppercase();
        let order = self.kit.ids.number();
        let mut state = self.state();
        state.tokens.access.insert(
            access.clone(),
            Access {
                account: account.clone(),
                client: client(account).0,
                order,
                expires: now + OAUTH_MS,
                dead: false,
            },
        );
        state.tokens.refresh.insert(
            refresh.clone(),
            Refresh {
                account: account.clone(),
                expires: now + REFRESH_MS,
                used: false,
                access: access.clone(),
            },
        );
        (access, refresh)
    }

    /// The account of a request and its token, whether or not that is still good.
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
        let good = state.tokens.access.get_mut(token).is_some_and(|access| {
            access.dead |= expire;
            !access.dead && now < access.expires
        });
        match good {
            true => Ok(()),
            false => Err(ApiError::unauthorized()),
        }
    }

    /// `POST /api/v1/access_token` (section 2.2).
    pub(super) async fn developer_call(&self, headers: &HeaderMap, body: &[u8]) -> Response {
        let args = match Args::json(body) {
            Ok(args) => args,
            Err(error) => return error.into_response(),
        };
        let known = |account: &&Arc<Account>| {
            !third_party(account) && client(account).0 == args.text("clientID")
        };
        let Some(account) = self.kit.accounts.iter().find(known) else {
            return ApiError::new(401, "clientID不存在").into_response();
        };
        let work = async {
            if headers.contains_key("authorization") {
                // No bearer belongs on this call: one that is sent is a leak.
                return ApiError::parameter("Authorization").into_response();
            }
            if headers.get("platform").is_none_or(|v| v != "open_platform") {
                return ApiError::parameter("Platform").into_response();
            }
            if let Err(error) = self.rate(account, "access_token", "refresh") {
                return error.into_response();
            }
            if args.text("clientSecret") != client(account).1 {
                return ApiError::new(401, "clientSecret错误").into_response();
            }
            let (token, expires) = self.issue_developer(account);
            account.meters.refresh();
            let expired_at = format!("{}+08:00", beijing(expires).replace(' ', "T"));
            ok(json!({ "accessToken": token, "expiredAt": expired_at }))
        };
        account.serve("refresh", ApiError::injected, work).await
    }

    /// `POST /api/v1/oauth2/access_token` (section 2.3), arguments in the query.
    pub(super) async fn oauth_call(&self, headers: &HeaderMap, query: &str) -> Response {
        let args = Args::pairs(query);
        let account = {
            let state = self.state();
            let refresh = state.tokens.refresh.get(args.text("refresh_token"));
            let code = state.tokens.codes.get(args.text("code"));
            refresh
                .map(|refresh| refresh.account.clone())
                .or_else(|| code.map(|code| code.account.clone()))
        };
        let Some(account) = account else {
            return oauth_error(None, "invalid_grant", "refresh_token or code is not valid");
        };
        let work = async {
            self.grant(headers, &args, &account)
                .unwrap_or_else(|(error, text)| oauth_error(Some(&account), error, text))
        };
        account.serve("refresh", ApiError::injected, work).await
    }

    fn grant(
        &self,
        headers: &HeaderMap,
        args: &Args,
        account: &Arc<Account>,
    ) -> Result<Response, (&'static str, &'static str)> {
        if headers.contains_key("authorization") {
            return Err(("invalid_request", "no bearer belongs on this call"));
        }
        if self
            .rate(account, "oauth2/access_token", "refresh")
            .is_err()
        {
            return Err(("slow_down", "more than 100 calls per minute"));
        }
        let (id, secret) = client(account);
        let lenient = account.knobs.flag("refresh_without_client");
        let sent = (args.text("client_id"), args.text("client_secret"));
        if sent != (&id, &secret) && !(lenient && sent == ("", "")) {
            return Err(("invalid_client", "client_id or client_secret is wrong"));
        }
        let now = self.kit.clock.now_ms();
        match args.text("grant_type") {
            "refresh_token" => {
                let mut state = self.state();
                let tokens = &mut state.tokens;
                let known = tokens.refresh.get_mut(args.text("refresh_token"));
                let good = known.filter(|refresh| !refresh.used && now < refresh.expires);
                let Some(refresh) = good else {
                    return Err(("invalid_grant", "refresh_token was used or has expired"));
                };
                refresh.used = true;
                if let Some(access) = tokens.access.get_mut(&refresh.access) {
                    access.dead = true;
                }
            }
            "authorization_code" => {
                let code = self.state().tokens.codes.remove(args.text("code"));
                let good = code.filter(|code| now < code.expires);
                if good.is_none_or(|code| code.redirect != args.text("redirect_uri")) {
                    return Err(("invalid_grant", "code or redirect_uri is not valid"));
                }
            }
            _ => return Err(("unsupported_grant_type", "grant_type is not valid")),
        }
        let (access, refresh) = self.issue_pair(account);
        account.meters.refresh();
        Ok(Json(json!({
            "token_type": "Bearer", "access_token": access, "expires_in": OAUTH_MS / 1000,
            "refresh_token": refresh, "scope": SCOPE,
        }))
        .into_response())
    }

    /// `GET /auth`: the user agrees at once. The query's `account` names a profile when the
    /// second account is not meant.
    pub(super) fn authorize(&self, query: &str) -> Response {
        let args = Args::pairs(query);
        let (id, redirect) = (args.text("client_id"), args.text("redirect_uri"));
        let chosen = args.text("account");
        let account = self.kit.accounts.iter().find(|account| {
            third_party(account)
                && client(account).0 == id
                && (chosen.is_empty() || chosen == account.profile)
        });
        let Some(account) = account.filter(|_| !redirect.is_empty()) else {
            return plain(400, "client_id or redirect_uri is not valid");
        };
        let code = self.kit.ids.hex(32);
        let joint = if redirect.contains('?') { '&' } else { '?' };
        let state_text = args.text("state");
        let target = format!("{redirect}{joint}code={code}&state={state_text}");
        let entry = Code {
            account: account.clone(),
            redirect: redirect.to_owned(),
            expires: self.kit.clock.now_ms() + CODE_MS,
        };
        self.state().tokens.codes.insert(code, entry);
        let mut response = plain(302, "");
        set(&mut response, "location", &target);
        response
    }
}

/// Both shapes of section 2.3: `{code,message}`, or with the knob `oauth_errors` = `rfc`
/// `{error,error_description}` with HTTP 400.
fn oauth_error(account: Option<&Arc<Account>>, error: &str, text: &str) -> Response {
    let rfc = account.is_some_and(|a| a.knobs.text("oauth_errors").as_deref() == Some("rfc"));
    if rfc {
        let body = json!({ "error": error, "error_description": text });
        return (StatusCode::BAD_REQUEST, Json(body)).into_response();
    }
    let code = match error {
        "slow_down" => 429,
        "invalid_grant" | "invalid_client" => 401,
        _ => 400,
    };
    ApiError::new(code, text).into_response()
}
