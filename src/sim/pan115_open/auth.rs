//! Device code login and tokens: access for two hours, refresh single-use and good for a
//! year from the login, three live logins per account (115_open.md section 2.1).

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::super::account::Account;
use super::super::faults::FaultKind;
use super::errors::{ApiError, passport_granted};
use super::{Pan115, Params};

const ACCESS_MS: i64 = 7_200_000;
const REFRESH_MS: i64 = 365 * 86_400_000;
const QR_MS: i64 = 300_000;

/// An app id as the platform gives them.
pub(super) const CLIENT_ID: &str = "100195125";

/// One authorization of an app by a user: what a login makes.
struct Login {
    account: Arc<Account>,
    since: i64,
    /// Neither kicked by a later login nor withdrawn.
    live: bool,
    access: String,
    refresh: String,
    refreshed: Option<i64>,
}

struct AccessToken {
    login: usize,
    expires: i64,
    /// A fault expired it.
    spent: bool,
}

struct RefreshToken {
    login: usize,
    used: bool,
}

/// A QR code that waits to be scanned.
struct Qr {
    time: String,
    sign: String,
    challenge: String,
    method: String,
    status: i64,
    expires: i64,
}

/// Logins, tokens and QR codes.
#[derive(Default)]
pub(super) struct Auth {
    logins: Vec<Login>,
    access: HashMap<String, AccessToken>,
    refresh: HashMap<String, RefreshToken>,
    qr: HashMap<String, Qr>,
}

/// `abc.def`: what is not of this form is malformed.
fn well_formed(token: &str) -> bool {
    let hex =
        |part: &str, length| part.len() == length && part.bytes().all(|b| b.is_ascii_hexdigit());
    token
        .split_once('.')
        .is_some_and(|(head, tail)| hex(head, 40) && hex(tail, 24))
}

/// The challenge that a verifier answers, standard base64; `None` for an unknown method.
fn challenge_of(method: &str, verifier: &str) -> Option<String> {
    Some(STANDARD.encode(match method {
        "sha256" => Sha256::digest(verifier).to_vec(),
        "sha1" => Sha1::digest(verifier).to_vec(),
        "md5" => Md5::digest(verifier).to_vec(),
        _ => return None,
    }))
}

/// Both alphabets and missing padding are accepted.
fn same_base64(a: &str, b: &str) -> bool {
    let plain = |text: &str| {
        text.trim_end_matches('=')
            .replace('-', "+")
            .replace('_', "/")
    };
    plain(a) == plain(b)
}

impl Auth {
    /// A fresh pair for a login; the old refresh token is used up by it, the old access
    /// token lives on until it expires.
    fn issue(&mut self, login: usize, access: String, refresh: String, now: i64) {
        let Some(entry) = self.logins.get_mut(login) else {
            return;
        };
        entry.access.clone_from(&access);
        entry.refresh.clone_from(&refresh);
        let expires = now.saturating_add(ACCESS_MS);
        let token = AccessToken {
            login,
            expires,
            spent: false,
        };
        self.access.insert(access, token);
        self.refresh
            .insert(refresh, RefreshToken { login, used: false });
    }
}

impl Pan115 {
    fn new_token(&self) -> String {
        let ids = &self.kit.ids;
        format!("{}.{}", ids.hex(40), ids.hex(24))
    }

    fn pair(access: &str, refresh: &str) -> Value {
        json!({
            "access_token": access, "refresh_token": refresh, "expires_in": ACCESS_MS / 1000,
        })
    }

    /// A new login; beyond the limit the oldest live one of the account is kicked.
    pub(super) fn log_in(&self, account: &Arc<Account>) -> (String, String) {
        let (access, refresh) = (self.new_token(), self.new_token());
        let now = self.kit.clock.now_ms();
        let limit = account.knobs.number("live_logins", 3).max(1) as usize;
        let mut state = self.state();
        let auth = &mut state.auth;
        let own = |login: &&mut Login| login.live && login.account.number == account.number;
        let live = auth.logins.iter_mut().filter(own).count();
        for login in auth
            .logins
            .iter_mut()
            .filter(own)
            .take((live + 1).saturating_sub(limit))
        {
            login.live = false;
        }
        auth.logins.push(Login {
            account: account.clone(),
            since: now,
            live: true,
            access: access.clone(),
            refresh: refresh.clone(),
            refreshed: None,
        });
        let index = auth.logins.len() - 1;
        auth.issue(index, access.clone(), refresh.clone(), now);
        (access, refresh)
    }

    /// Access and refresh token of the login that belongs to the account's profile. They
    /// are those of now: profiles are asked for again and again, and each time a new login
    /// would kick the others.
    pub(super) fn current_tokens(&self, account: &Account) -> (String, String) {
        let state = self.state();
        let mut logins = state.auth.logins.iter();
        logins
            .find(|login| login.account.number == account.number)
            .map(|login| (login.access.clone(), login.refresh.clone()))
            .unwrap_or_default()
    }

    /// Account and token of a request, whether or not the token is still good.
    pub(super) fn bearer(&self, headers: &HeaderMap) -> Result<(Arc<Account>, String), ApiError> {
        let header = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("");
        let Some(token) = header.strip_prefix("Bearer ") else {
            return Err(ApiError::new(99, "请重新登录"));
        };
        if !well_formed(token) {
            return Err(ApiError::new(40_140_123, "access_token 格式错误"));
        }
        let state = self.state();
        let login = state.auth.access.get(token).map(|known| known.login);
        match login.and_then(|login| state.auth.logins.get(login)) {
            Some(login) => Ok((login.account.clone(), token.to_owned())),
            None => Err(ApiError::new(40_140_124, "access_token 签名校验失败")),
        }
    }

    /// Whether the token is still good; the fault `expire_token` ends it for good.
    pub(super) fn check(&self, account: &Account, op: &str, token: &str) -> Result<(), ApiError> {
        let expire = account.faults.take(op, FaultKind::ExpireToken).is_some();
        let now = self.kit.clock.now_ms();
        let mut state = self.state();
        let auth = &mut state.auth;
        let good = auth.access.get_mut(token).is_some_and(|known| {
            known.spent |= expire;
            let live = auth.logins.get(known.login).is_some_and(|login| login.live);
            live && !known.spent && now < known.expires
        });
        if good {
            return Ok(());
        }
        Err(ApiError::new(
            40_140_125,
            "access_token 无效（已过期或解除授权）",
        ))
    }

    /// `POST /open/refreshToken`: no bearer, app id or secret.
    pub(super) async fn refresh_call(&self, params: &Params) -> Response {
        let token = params.text("refresh_token");
        if !well_formed(token) {
            return ApiError::new(40_140_114, "refresh_token 格式错误").passport();
        }
        let account = {
            let state = self.state();
            let login = state.auth.refresh.get(token).map(|known| known.login);
            login
                .and_then(|login| state.auth.logins.get(login))
                .map(|login| login.account.clone())
        };
        let Some(account) = account else {
            return ApiError::new(40_140_115, "refresh_token 签名校验失败").passport();
        };
        let work = async {
            match self.refresh(&account, token) {
                Ok(data) => passport_granted(data),
                Err(error) => error.passport(),
            }
        };
        account
            .serve("refresh", ApiError::injected_passport, work)
            .await
    }

    fn refresh(&self, account: &Account, token: &str) -> Result<Value, ApiError> {
        let ended = account
            .faults
            .take("refresh", FaultKind::ExpireToken)
            .is_some();
        let gap = account.knobs.number("refresh_gap_s", 0);
        let gap_ms = i64::try_from(gap).unwrap_or(i64::MAX).saturating_mul(1000);
        let (access, refresh) = (self.new_token(), self.new_token());
        let now = self.kit.clock.now_ms();
        let mut state = self.state();
        let auth = &mut state.auth;
        let gone = || ApiError::new(40_140_116, "refresh_token 无效（已解除授权）");
        let known = auth.refresh.get_mut(token).ok_or_else(gone)?;
        let login = auth.logins.get_mut(known.login).ok_or_else(gone)?;
        if known.used || !login.live {
            return Err(gone());
        }
        if ended || now >= login.since.saturating_add(REFRESH_MS) {
            login.live = false;
            return Err(ApiError::new(40_140_119, "refresh_token 已过期"));
        }
        if login.refreshed.is_some_and(|last| now - last < gap_ms) {
            return Err(ApiError::new(40_140_117, "access_token 刷新太频繁"));
        }
        login.refreshed = Some(now);
        known.used = true;
        let index = known.login;
        let answer = Pan115::pair(&access, &refresh);
        auth.issue(index, access, refresh, now);
        drop(state);
        account.meters.refresh();
        Ok(answer)
    }

    /// The account that scans QR codes.
    pub(super) fn scanner(&self) -> Option<Arc<Account>> {
        let first = self.kit.accounts.first();
        let number = first.map_or(1, |account| account.knobs.number("qr_account", 1));
        let mut accounts = self.kit.accounts.iter();
        let chosen = accounts.find(|account| account.number as u64 == number);
        chosen.or(first).cloned()
    }

    /// The calls of the device code login. They belong to no account until the code is
    /// scanned; the meters and faults of the account that will scan it count them.
    pub(super) async fn login(&self, op: &'static str, params: &Params) -> Response {
        let Some(account) = self.scanner() else {
            return ApiError::new(40_110_000, "请求异常需要重试").passport();
        };
        let account = &account;
        let work = async {
            let done = match op {
                "device_code" => self.device_code(params),
                "device_token" => self.device_token(account, params),
                _ => return self.qr_status(account, params),
            };
            match done {
                Ok(data) => passport_granted(data),
                Err(error) => error.passport(),
            }
        };
        account.serve(op, ApiError::injected_passport, work).await
    }

    fn device_code(&self, params: &Params) -> Result<Value, ApiError> {
        let client = params.text("client_id");
        if client.is_empty() || !client.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ApiError::new(40_140_100, "client_id 错误"));
        }
        let challenge = params.text("code_challenge");
        if challenge.is_empty() {
            return Err(ApiError::new(40_140_101, "code_challenge 必填"));
        }
        let method = params.text("code_challenge_method");
        if challenge_of(method, "").is_none() {
            let text = "code_challenge_method 必须是 sha256、sha1、md5 之一";
            return Err(ApiError::new(40_140_102, text));
        }
        Ok(self.new_qr(challenge, method))
    }

    /// A QR code to show, of a login with a challenge or, without a method, of one to cookies.
    pub(super) fn new_qr(&self, challenge: &str, method: &str) -> Value {
        let now = self.kit.clock.now_ms();
        let uid = self.kit.ids.hex(40);
        let qr = Qr {
            time: now.div_euclid(1000).to_string(),
            sign: self.kit.ids.hex(40),
            challenge: challenge.to_owned(),
            method: method.to_owned(),
            status: -100,
            expires: now.saturating_add(QR_MS),
        };
        let answer = json!({
            "uid": uid, "time": now.div_euclid(1000), "sign": qr.sign,
            "qrcode": format!("https://115.com/scan/dg-{uid}"),
        });
        self.state().auth.qr.insert(uid, qr);
        answer
    }

    /// Uses up a QR code of a login to cookies that the user confirmed.
    pub(super) fn spend_qr(&self, uid: &str) -> Result<(), ApiError> {
        let now = self.kit.clock.now_ms();
        let mut state = self.state();
        let qr = state.auth.qr.get(uid);
        let own = qr.filter(|qr| qr.method.is_empty() && now < qr.expires);
        match own.map(|qr| qr.status) {
            None => Err(ApiError::new(40_199_002, "二维码已失效")),
            Some(2) => {
                state.auth.qr.remove(uid);
                Ok(())
            }
            Some(_) => Err(ApiError::new(40_101_032, "请重新登录")),
        }
    }

    /// The real one holds the request for up to half a minute; this one answers at once and
    /// goes on a step with every question: waiting, scanned, confirmed.
    fn qr_status(&self, account: &Account, params: &Params) -> Response {
        let now = self.kit.clock.now_ms();
        let fixed = account.knobs.text("qr_status");
        let mut state = self.state();
        let known = state.auth.qr.get_mut(params.text("uid"));
        let good = known.filter(|qr| {
            qr.sign == params.text("sign") && qr.time == params.text("time") && now < qr.expires
        });
        let Some(qr) = good else {
            let body = json!({
                "state": 0, "code": 40_199_002, "message": "key invalid", "data": [],
                "error": "key invalid", "errno": 40_199_002,
            });
            return Json(body).into_response();
        };
        qr.status = match fixed.and_then(|text| text.trim().parse().ok()) {
            Some(status) => status,
            None => (qr.status + 1).clamp(0, 2),
        };
        let data = match qr.status {
            0 => json!({ "msg": "", "version": "1" }),
            status => json!({ "msg": "", "status": status, "version": "1" }),
        };
        passport_granted(data)
    }

    fn device_token(&self, account: &Arc<Account>, params: &Params) -> Result<Value, ApiError> {
        let verifier = params.text("code_verifier");
        if !(43..=128).contains(&verifier.chars().count()) {
            return Err(ApiError::new(
                40_140_112,
                "code_verifier 长度应为 43 到 128",
            ));
        }
        {
            let uid = params.text("uid");
            let mut state = self.state();
            let qr = state.auth.qr.get(uid);
            let qr = qr.filter(|qr| self.kit.clock.now_ms() < qr.expires);
            let Some(qr) = qr else {
                return Err(ApiError::new(40_199_002, "二维码已失效"));
            };
            let right = challenge_of(&qr.method, verifier);
            if !right.is_some_and(|right| same_base64(&right, &qr.challenge)) {
                return Err(ApiError::new(40_140_113, "code_verifier 校验失败"));
            }
            if qr.status != 2 {
                return Err(ApiError::new(40_110_000, "用户尚未确认授权"));
            }
            state.auth.qr.remove(uid);
        }
        let (access, refresh) = self.log_in(account);
        Ok(Pan115::pair(&access, &refresh))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_challenges() {
        let long = "0123456789abcdef".repeat(4);
        let short = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ";
        for (verifier, method, challenge) in [
            (
                long.as_str(),
                "sha256",
                "qK5ubukpq+o6/PxSWMjM1vhSc+DUYm0mxyefMlD3fI4=",
            ),
            (&long, "sha1", "zkMD9rIiV9nJzzFO8d7kcHxuHBM="),
            (&long, "md5", "/jof9Z87ibKtPTPwiYSHSw=="),
            (
                short,
                "sha256",
                "RqIZl4LIgn8KxW9QO+nTnv7pf0CnNrksx9fF+CXP2FE=",
            ),
        ] {
            assert_eq!(challenge_of(method, verifier).as_deref(), Some(challenge));
        }
        assert!(same_base64(
            "/jof9Z87ibKtPTPwiYSHSw==",
            "_jof9Z87ibKtPTPwiYSHSw"
        ));
        assert!(!same_base64(
            "/jof9Z87ibKtPTPwiYSHSw==",
            "_jof9Z87ibKtPTPwiYSHSx"
        ));
        assert_eq!(challenge_of("plain", short), None);
    }
}
