//! OAuth grants and cookie sessions (baidu_netdisk.md section 2). An access token lives for
//! thirty days; a refresh token is good once, and a refresh that fails ends the grant.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::super::account::Account;
use super::super::body::set;
use super::super::digest::md5_hex;
use super::super::faults::FaultKind;
use super::args::Args;
use super::errors::{ApiError, Host, oauth_error, plain};
use super::{Baidu, Caller, OPENAPI};

const ACCESS_S: u64 = 2_592_000;
const REFRESH_MS: i64 = 3650 * 86_400_000;
const CODE_MS: i64 = 600_000;
const DEVICE_S: u64 = 300;
const INTERVAL_S: u64 = 5;
/// What `slow_down` adds (RFC 8628).
const SLOWER_MS: i64 = 5_000;
/// Id of the app that the profiles use (`AppID`, not its key).
pub(super) const APP_ID: &str = "39140567";

struct Grant {
    account: Arc<Account>,
    /// Neither withdrawn nor ended by a refresh that failed.
    live: bool,
}

struct Access {
    grant: usize,
    expires: i64,
    /// Expired by a fault.
    spent: bool,
}

struct Refresh {
    grant: usize,
    expires: i64,
    used: bool,
}

struct Code {
    account: Arc<Account>,
    redirect: String,
    expires: i64,
}

enum Answer {
    Pending,
    Granted(Arc<Account>),
    Declined,
}

struct Device {
    user_code: String,
    answer: Answer,
    expires: i64,
    polled: Option<i64>,
    interval: i64,
}

struct Session {
    account: Arc<Account>,
    stoken: String,
    bdstoken: String,
    live: bool,
}

/// Everything that lets somebody in.
#[derive(Default)]
pub(super) struct Auth {
    grants: Vec<Grant>,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    codes: HashMap<String, Code>,
    devices: HashMap<String, Device>,
    sessions: HashMap<String, Session>,
}

impl Auth {
    /// The account of an access token, in whatever state.
    fn account_of(&self, token: &str) -> Option<Arc<Account>> {
        let grant = self.access.get(token)?.grant;
        self.grants.get(grant).map(|grant| grant.account.clone())
    }

    fn revoke(&mut self, grant: usize) {
        if let Some(grant) = self.grants.get_mut(grant) {
            grant.live = false;
        }
    }
}

/// `AppKey` and `SecretKey` of the app that the profiles use.
pub(super) fn client() -> (String, String) {
    let key = |what: &str| md5_hex(format!("baidu app {what}").as_bytes());
    (key("key"), key("secret"))
}

/// A cookie of the request's `Cookie` header.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all("cookie").iter();
    let pairs = lines
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'));
    let mut found = pairs.filter_map(|pair| pair.trim().split_once('='));
    found.find(|(key, _)| *key == name).map(|(_, value)| value)
}

impl Baidu {
    fn token_life_ms(account: &Account) -> i64 {
        let seconds = account.knobs.number("token_seconds", ACCESS_S);
        i64::try_from(seconds)
            .unwrap_or(i64::MAX / 1000)
            .saturating_mul(1000)
    }

    /// A pair of a grant: access token, refresh token.
    fn issue(&self, auth: &mut Auth, grant: usize, account: &Account) -> (String, String) {
        let now = self.kit.clock.now_ms();
        let text = |kind| format!("{kind}.{}.{}", self.kit.ids.hex(32), self.kit.ids.hex(40));
        let (access, refresh) = (text("121"), text("122"));
        auth.access.insert(
            access.clone(),
            Access {
                grant,
                expires: now.saturating_add(Baidu::token_life_ms(account)),
                spent: false,
            },
        );
        auth.refresh.insert(
            refresh.clone(),
            Refresh {
                grant,
                expires: now + REFRESH_MS,
                used: false,
            },
        );
        (access, refresh)
    }

    /// A new grant and its first pair.
    pub(super) fn grant(&self, account: &Arc<Account>) -> (String, String) {
        let auth = &mut self.state().auth;
        auth.grants.push(Grant {
            account: account.clone(),
            live: true,
        });
        let grant = auth.grants.len() - 1;
        self.issue(auth, grant, account)
    }

    /// The text of a new cookie session.
    pub(super) fn new_cookies(&self, account: &Arc<Account>) -> String {
        let bduss = self.kit.ids.hex(192);
        let stoken = self.kit.ids.hex(64);
        let session = Session {
            account: account.clone(),
            stoken: stoken.clone(),
            bdstoken: self.kit.ids.hex(32),
            live: true,
        };
        self.state().auth.sessions.insert(bduss.clone(), session);
        format!("BDUSS={bduss}; STOKEN={stoken}")
    }

    /// `bdstoken` of a request's cookie session.
    pub(super) fn bdstoken(&self, headers: &HeaderMap) -> Option<String> {
        let bduss = cookie(headers, "BDUSS")?;
        let state = self.state();
        let session = state.auth.sessions.get(bduss)?;
        Some(session.bdstoken.clone())
    }

    /// Who asks, whether or not the token or cookie is still good.
    pub(super) fn caller(
        &self,
        host: Host,
        headers: &HeaderMap,
        query: &Args,
    ) -> Result<Caller, ApiError> {
        let state = self.state();
        let bduss = cookie(headers, "BDUSS");
        if let Some(token) = query.get("access_token").filter(|token| !token.is_empty()) {
            return match state.auth.account_of(token) {
                Some(account) => Ok(Caller {
                    account,
                    key: token.to_owned(),
                    cookie: false,
                }),
                None => Err(match host {
                    Host::Pan => ApiError::new(110, "Access token invalid or no longer valid"),
                    Host::Pcs => ApiError::new(31045, "access_token check failed").status(403),
                }),
            };
        }
        match bduss.map(|bduss| (bduss, state.auth.sessions.get(bduss))) {
            Some((bduss, Some(session))) => Ok(Caller {
                account: session.account.clone(),
                key: bduss.to_owned(),
                cookie: true,
            }),
            Some((_, None)) => Err(ApiError::new(-6, "authentication failed").status(403)),
            None => Err(match host {
                Host::Pan => ApiError::new(100, "access_token missing"),
                Host::Pcs => ApiError::new(31045, "access_token missing").status(403),
            }),
        }
    }

    /// Whether the caller may still come in. The fault `expire_token` ends this token or
    /// cookie session for good.
    pub(super) fn admit(
        &self,
        host: Host,
        op: &str,
        caller: &Caller,
        headers: &HeaderMap,
        query: &Args,
    ) -> Result<(), ApiError> {
        let account = &caller.account;
        let expire = account.faults.take(op, FaultKind::ExpireToken).is_some();
        let now = self.kit.clock.now_ms();
        let mut state = self.state();
        let auth = &mut state.auth;
        if caller.cookie {
            let Some(session) = auth.sessions.get_mut(&caller.key) else {
                return Err(ApiError::new(-6, "authentication failed").status(403));
            };
            session.live &= !expire;
            let stoken = cookie(headers, "STOKEN") == Some(session.stoken.as_str());
            let bdstoken = query.get("bdstoken");
            let same = bdstoken.is_none_or(|sent| sent == session.bdstoken);
            if !session.live || !stoken || !same {
                return Err(ApiError::new(-6, "authentication failed").status(403));
            }
            let strict = account.knobs.text("web_params").as_deref() == Some("required");
            if strict && host == Host::Pan && query.text("app_id") != "250528" {
                return Err(ApiError::new(2, "app_id missing"));
            }
            return Ok(());
        }
        let Some(access) = auth.access.get_mut(&caller.key) else {
            return Err(ApiError::new(
                110,
                "Access token invalid or no longer valid",
            ));
        };
        access.spent |= expire;
        let live = auth
            .grants
            .get(access.grant)
            .is_some_and(|grant| grant.live);
        match (live, access.spent || now >= access.expires, host) {
            (true, false, _) => Ok(()),
            (false, _, Host::Pan) => Err(ApiError::new(110, "Access token invalid")),
            (true, true, Host::Pan) => {
                let code = account.knobs.text("expired_errno");
                let code = code.and_then(|code| code.parse().ok()).unwrap_or(111);
                Err(ApiError::new(code, "Access token expired"))
            }
            (_, _, Host::Pcs) => Err(ApiError::new(31045, "access_token check failed").status(403)),
        }
    }

    /// Whether an access token is one of this account and still good: what a download link
    /// needs.
    pub(super) fn token_opens(&self, account: &Account, token: &str) -> bool {
        let now = self.kit.clock.now_ms();
        let state = self.state();
        state.auth.access.get(token).is_some_and(|access| {
            let grant = state.auth.grants.get(access.grant);
            !access.spent
                && now < access.expires
                && grant.is_some_and(|g| g.live && g.account.profile == account.profile)
        })
    }

    /// Whether a request's cookies are of this account and still good.
    pub(super) fn cookies_open(&self, account: &Account, headers: &HeaderMap) -> bool {
        let state = self.state();
        let session = cookie(headers, "BDUSS").and_then(|bduss| state.auth.sessions.get(bduss));
        session.is_some_and(|s| s.live && s.account.profile == account.profile)
    }

    fn chosen(&self, args: &Args) -> Option<&Arc<Account>> {
        let wanted = args.text("account");
        let mut all = self.kit.accounts.iter();
        all.find(|account| wanted.is_empty() || account.profile == wanted)
    }

    /// `GET /oauth/2.0/authorize`: the user agrees at once. The query's `account` names a
    /// profile when the first account is not meant.
    pub(super) fn authorize(&self, args: &Args) -> Response {
        let redirect = args.text("redirect_uri");
        let known = args.text("client_id") == client().0 && args.text("response_type") == "code";
        let known = known && args.get("device_id").is_none_or(|id| id == APP_ID);
        let scope = args.text("scope");
        if !scope.split([',', ' ']).any(|part| part == "netdisk") {
            return oauth_error("invalid_scope", "scope netdisk is needed");
        }
        let Some(account) = self.chosen(args).filter(|_| known && !redirect.is_empty()) else {
            return oauth_error("invalid_client", "unknown client id");
        };
        let code = self.kit.ids.hex(32);
        let entry = Code {
            account: account.clone(),
            redirect: redirect.to_owned(),
            expires: self.kit.clock.now_ms() + CODE_MS,
        };
        self.state().auth.codes.insert(code.clone(), entry);
        if redirect == "oob" {
            return plain(200, &code);
        }
        let joint = if redirect.contains('?') { '&' } else { '?' };
        let state = args.text("state");
        let mut response = plain(302, "");
        let target = format!("{redirect}{joint}code={code}&state={state}");
        set(&mut response, "location", &target);
        response
    }

    /// `GET /oauth/2.0/device/code`.
    pub(super) async fn device_code(&self, args: &Args) -> Response {
        let work = async {
            if args.text("response_type") != "device_code" || args.text("client_id") != client().0 {
                return oauth_error("invalid_client", "unknown client id");
            }
            if !args.text("scope").split([',', ' ']).any(|p| p == "netdisk") {
                return oauth_error("invalid_scope", "scope netdisk is needed");
            }
            self.new_device()
        };
        let injected = |arg: &str| oauth_error(arg, "injected fault");
        match self.kit.accounts.first() {
            Some(account) => account.serve("device_code", injected, work).await,
            None => work.await,
        }
    }

    /// A number of account 1, whoever will agree.
    fn setting(&self, knob: &str, default: u64) -> i64 {
        let account = self.kit.accounts.first();
        let number = account.map_or(default, |account| account.knobs.number(knob, default));
        i64::try_from(number).unwrap_or(0)
    }

    fn new_device(&self) -> Response {
        let (code, user_code) = (self.kit.ids.hex(32), self.kit.ids.hex(6));
        let life = self.setting("device_seconds", DEVICE_S);
        let interval = self.setting("device_interval", INTERVAL_S);
        let device = Device {
            user_code: user_code.clone(),
            answer: Answer::Pending,
            expires: self
                .kit
                .clock
                .now_ms()
                .saturating_add(life.saturating_mul(1000)),
            polled: None,
            interval: interval.saturating_mul(1000),
        };
        self.state().auth.devices.insert(code.clone(), device);
        let base = format!("{}{OPENAPI}", self.kit.base);
        Json(json!({
            "device_code": code, "user_code": user_code,
            "verification_url": format!("{base}/device"),
            "qrcode_url": format!("{base}/device/qrcode/{}/{user_code}", self.kit.ids.hex(32)),
            "expires_in": life, "interval": interval,
        }))
        .into_response()
    }

    /// `GET /device?user_code=`: what the user does on the page. `deny=1` declines,
    /// `account` names a profile when the first account is not meant.
    pub(super) fn device_page(&self, args: &Args) -> Response {
        let account = self.chosen(args).cloned();
        let mut state = self.state();
        let mut devices = state.auth.devices.values_mut();
        let device = devices.find(|device| device.user_code == args.text("user_code"));
        let (Some(device), Some(account)) = (device, account) else {
            return plain(404, "no such code");
        };
        device.answer = match args.text("deny") {
            "1" => Answer::Declined,
            _ => Answer::Granted(account),
        };
        plain(200, "done")
    }

    /// `GET` or `POST /oauth/2.0/token`.
    pub(super) async fn token(&self, args: &Args) -> Response {
        let account = {
            let state = self.state();
            let auth = &state.auth;
            let refresh = auth.refresh.get(args.text("refresh_token"));
            let grant = refresh.and_then(|refresh| auth.grants.get(refresh.grant));
            let code = auth.codes.get(args.text("code"));
            let device = auth.devices.get(args.text("code"));
            grant
                .map(|grant| grant.account.clone())
                .or_else(|| code.map(|code| code.account.clone()))
                .or_else(|| match &device?.answer {
                    Answer::Granted(account) => Some(account.clone()),
                    _ => self.kit.accounts.first().cloned(),
                })
        };
        let op = match args.text("grant_type") {
            "refresh_token" => "refresh",
            _ => "login",
        };
        let work = async {
            match self.exchange(args) {
                Ok((access, refresh)) => Json(json!({
                    "expires_in": ACCESS_S, "refresh_token": refresh, "access_token": access,
                    "session_secret": "", "session_key": "", "scope": "basic netdisk",
                }))
                .into_response(),
                Err((error, text)) => oauth_error(error, text),
            }
        };
        let Some(account) = account else {
            return work.await;
        };
        let injected = |arg: &str| oauth_error(arg, "injected fault");
        account.serve(op, injected, work).await
    }

    fn exchange(&self, args: &Args) -> Result<(String, String), (&'static str, &'static str)> {
        let (id, secret) = client();
        let right = args.text("client_id") == id && args.text("client_secret") == secret;
        let now = self.kit.clock.now_ms();
        match args.text("grant_type") {
            "refresh_token" => {
                let state = &mut *self.state();
                let auth = &mut state.auth;
                let Some(refresh) = auth.refresh.get_mut(args.text("refresh_token")) else {
                    return Err(("invalid_grant", "Invalid refresh token"));
                };
                let grant = refresh.grant;
                let spent = std::mem::replace(&mut refresh.used, true);
                let expired = now >= refresh.expires;
                let alive = auth.grants.get(grant).filter(|grant| grant.live);
                let account = alive.map(|grant| grant.account.clone());
                if !right {
                    auth.revoke(grant);
                    return Err(("invalid_client", "unknown client id or secret"));
                }
                match account {
                    Some(account) if !spent && !expired => {
                        let pair = self.issue(auth, grant, &account);
                        account.meters.refresh();
                        Ok(pair)
                    }
                    _ => {
                        auth.revoke(grant);
                        Err(("invalid_grant", "refresh token has been used"))
                    }
                }
            }
            _ if !right => Err(("invalid_client", "unknown client id or secret")),
            "authorization_code" => {
                let code = self.state().auth.codes.remove(args.text("code"));
                let redirect = args.text("redirect_uri");
                match code.filter(|code| now < code.expires && code.redirect == redirect) {
                    Some(code) => Ok(self.grant(&code.account)),
                    None => Err(("invalid_grant", "Invalid authorization code")),
                }
            }
            "device_token" => {
                let account = self.poll_device(args.text("code"), now)?;
                Ok(self.grant(&account))
            }
            _ => Err(("unsupported_grant_type", "unknown grant type")),
        }
    }

    fn poll_device(
        &self,
        code: &str,
        now: i64,
    ) -> Result<Arc<Account>, (&'static str, &'static str)> {
        let mut state = self.state();
        let Some(device) = state.auth.devices.get_mut(code) else {
            return Err(("invalid_grant", "unknown device code"));
        };
        if now >= device.expires {
            return Err(("expired_token", "device code expired"));
        }
        let early = device
            .polled
            .is_some_and(|last| now - last < device.interval);
        device.polled = Some(now);
        if early {
            device.interval += SLOWER_MS;
            return Err(("slow_down", "polling too often"));
        }
        let account = match &device.answer {
            Answer::Pending => {
                let text = "User has not yet completed the authorization";
                return Err(("authorization_pending", text));
            }
            Answer::Declined => {
                return Err(("authorization_declined", "User refused"));
            }
            Answer::Granted(account) => account.clone(),
        };
        state.auth.devices.remove(code);
        Ok(account)
    }

    /// `GET /api/gettemplatevariable` (section 2.5).
    pub(super) fn template(&self, caller: &Caller, headers: &HeaderMap) -> Result<Value, ApiError> {
        let bdstoken = self.bdstoken(headers).filter(|_| caller.cookie);
        let bdstoken = bdstoken.ok_or_else(|| ApiError::new(-6, "not logged in"))?;
        Ok(json!({ "result": {
            "bdstoken": bdstoken, "token": "", "uk": super::uk(&caller.account),
        } }))
    }
}
