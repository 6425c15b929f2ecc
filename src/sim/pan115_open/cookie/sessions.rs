//! Cookies: one session per device tag, checked in all their parts; what ends them; the
//! login by QR code (115_open.md section 2.2).

use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::super::super::account::Account;
use super::super::super::faults::FaultKind;
use super::super::errors::{ApiError, passport_granted};
use super::super::{Pan115, Params, user_id};
use super::{Host, blocked};

/// Apps and the tags of their sessions.
const TAGS: &[(&str, &str)] = &[
    ("web", "A1"),
    ("ios", "D1"),
    ("115ios", "D3"),
    ("android", "F1"),
    ("115android", "F3"),
    ("ipad", "H1"),
    ("115ipad", "H3"),
    ("tv", "I1"),
    ("apple_tv", "I2"),
    ("qandroid", "M1"),
    ("qios", "N1"),
    ("qipad", "O1"),
    ("wechatmini", "R1"),
    ("alipaymini", "R2"),
    ("harmony", "S1"),
];

/// The app of the profile's cookies: one that a user seldom has.
const PROFILE_APP: &str = "alipaymini";

/// How long the question who is logged in lets the others of a tag live.
const CHECK_MS: i64 = 60_000;

struct Session {
    account: Arc<Account>,
    tag: &'static str,
    uid: String,
    cid: String,
    seid: String,
    /// Old logins have none.
    kid: Option<String>,
    since: i64,
    /// Not ended by a fault or a logout.
    live: bool,
    /// Ends then.
    ends: Option<i64>,
}

impl Session {
    fn cookie(&self) -> String {
        let kid = self.kid.as_ref().map(|kid| format!("; KID={kid}"));
        let (uid, cid, seid) = (&self.uid, &self.cid, &self.seid);
        format!(
            "UID={uid}; CID={cid}; SEID={seid}{}",
            kid.unwrap_or_default()
        )
    }
}

/// All sessions, the latest at the end.
#[derive(Default)]
pub(in super::super) struct Sessions(Vec<Session>);

/// Names and values of a request's cookies.
pub(in super::super) fn cookies(headers: &HeaderMap) -> Vec<(String, String)> {
    let lines = headers.get_all(header::COOKIE).iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn logged_out() -> ApiError {
    ApiError::new(990_001, "登录超时，请重新登录。")
}

/// `state` is a number at passport; 0 is good in this one call.
fn sso(state: u8, user: Option<u64>) -> Response {
    let data = user.map_or(json!([]), |user| json!({ "user_id": user, "expire": 0 }));
    let code = if state == 0 { 0 } else { 40_101_032 };
    let error = if state == 0 { "" } else { "请重新登录" };
    let body = json!({
        "state": state, "data": data, "error": error, "errno": code, "message": error,
        "code": code,
    });
    Json(body).into_response()
}

impl Pan115 {
    /// A new session with the tag of an app; `None` for an app that gets none.
    pub(in super::super) fn cookie_login(
        &self,
        account: &Arc<Account>,
        app: &str,
    ) -> Option<Value> {
        let (_, tag) = TAGS.iter().find(|(known, _)| *known == app)?;
        let ids = &self.kit.ids;
        let now = self.kit.clock.now_ms();
        let old = account.knobs.text("kid").as_deref() == Some("off");
        let session = Session {
            account: account.clone(),
            tag,
            uid: format!("{}_{tag}_{}", user_id(account), now.div_euclid(1000)),
            cid: ids.hex(32),
            seid: ids.hex(120),
            kid: (!old).then(|| ids.hex(32)),
            since: now,
            live: true,
            ends: None,
        };
        let cookie = json!({
            "UID": session.uid, "CID": session.cid, "SEID": session.seid, "KID": session.kid,
        });
        self.state().sessions.0.push(session);
        Some(cookie)
    }

    /// The first sessions: those of the profiles.
    pub(in super::super) fn profile_logins(&self) {
        for account in &self.kit.accounts {
            self.cookie_login(account, PROFILE_APP);
        }
    }

    /// The newest cookies of the profile's tag, as text.
    pub(in super::super) fn profile_cookie(&self, account: &Account) -> String {
        let tag = TAGS.iter().find(|(app, _)| *app == PROFILE_APP);
        let state = self.state();
        let mut sessions = state.sessions.0.iter().rev();
        let own = sessions.find(|session| {
            session.account.number == account.number
                && tag.is_some_and(|(_, tag)| session.tag == *tag)
        });
        own.map(Session::cookie).unwrap_or_default()
    }

    /// Whose cookies these are and which session, whether or not it is still good. Every
    /// part must be the session's; a semicolon at the end spoils the header.
    pub(super) fn session(&self, headers: &HeaderMap) -> Result<(Arc<Account>, usize), ApiError> {
        let line = headers.get(header::COOKIE);
        let spoiled = line.and_then(|line| line.to_str().ok());
        if spoiled.is_none_or(|line| line.trim_end().ends_with(';')) {
            return Err(logged_out());
        }
        let sent = cookies(headers);
        let value = |name: &str| {
            let found = sent.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_str())
        };
        let state = self.state();
        let known = state.sessions.0.iter().position(|session| {
            value("UID") == Some(&session.uid)
                && value("CID") == Some(&session.cid)
                && value("SEID") == Some(&session.seid)
                && (session.kid.is_none() || value("KID") == session.kid.as_deref())
        });
        let found = known.and_then(|at| Some((state.sessions.0.get(at)?.account.clone(), at)));
        found.ok_or_else(logged_out)
    }

    /// Whether the session is still good on a host; the fault `expire_token` ends it.
    pub(super) fn check_session(
        &self,
        at: usize,
        op: &str,
        host: Option<Host>,
    ) -> Result<(), ApiError> {
        let now = self.kit.clock.now_ms();
        let mut state = self.state();
        let all = &mut state.sessions.0;
        let newest = all.get(at).is_some_and(|own| {
            let mut later = all.iter().skip(at + 1);
            !later.any(|other| other.account.number == own.account.number && other.tag == own.tag)
        });
        let session = all.get_mut(at).ok_or_else(logged_out)?;
        let account = session.account.clone();
        if account.faults.take(op, FaultKind::ExpireToken).is_some() {
            session.live = false;
        }
        let life = i64::try_from(account.knobs.number("cookie_life_s", 0)).unwrap_or(i64::MAX);
        let over = life > 0 && now >= session.since.saturating_add(life.saturating_mul(1000));
        let ended = session.ends.is_some_and(|ends| now >= ends);
        let kept = newest || (host == Some(Host::Web) && account.knobs.flag("web_keeps_old"));
        match session.live && !over && !ended && kept && !account.knobs.flag("logged_out") {
            true => Ok(()),
            false => Err(logged_out()),
        }
    }

    /// The calls that anybody may make.
    pub(super) async fn for_anybody(
        &self,
        op: &'static str,
        path: &str,
        headers: &HeaderMap,
        params: &Params,
    ) -> Response {
        if op == "check" {
            return self.who(path, headers, params).await;
        }
        let Some(account) = self.scanner() else {
            return ApiError::new(40_110_000, "请求异常需要重试").passport();
        };
        let page = account.faults.take(op, FaultKind::Html);
        let work = async {
            if let Some(arg) = page {
                return blocked(arg.trim().parse().unwrap_or(405));
            }
            match op {
                "device_code" => passport_granted(self.new_qr("", "")),
                "app_version" => {
                    let version = account.knobs.text("app_version");
                    let version = version.as_deref().unwrap_or("36.2.28");
                    let client = json!({ "version_code": version, "version_url": "" });
                    let data = json!({ "win": client, "mac": client, "linux_115": client });
                    Json(json!({ "state": true, "error": "", "data": data })).into_response()
                }
                _ => match self.qr_login(&account, path, params) {
                    Ok(data) => passport_granted(data),
                    Err(error) => error.passport(),
                },
            }
        };
        account.serve(op, ApiError::injected_passport, work).await
    }

    /// `POST /app/1.0/<app>/1.0/login/qrcode/`.
    fn qr_login(
        &self,
        account: &Arc<Account>,
        path: &str,
        params: &Params,
    ) -> Result<Value, ApiError> {
        let app = path.split('/').nth(3).unwrap_or("");
        if params.text("app") != app || !TAGS.iter().any(|(known, _)| *known == app) {
            return Err(ApiError::parameter("app"));
        }
        self.spend_qr(params.text("account"))?;
        let cookie = self.cookie_login(account, app);
        Ok(json!({
            "user_id": user_id(account), "user_name": account.profile, "email": "",
            "mobile": "", "country": "CN", "is_vip": 1, "mark": 1, "alert": "", "bind_mobile": 0,
            "cookie": cookie,
        }))
    }

    /// `my.115.com/?ct=guide&ac=status` and passport's `check/sso`: who is logged in? The
    /// latter throws the tag's other sessions out a minute later.
    async fn who(&self, path: &str, headers: &HeaderMap, params: &Params) -> Response {
        let guide = path == "/";
        if guide && (params.text("ct"), params.text("ac")) != ("guide", "status") {
            return ApiError::new(980_006, "no such API").into_response();
        }
        let nobody = || match guide {
            true => Json(json!({ "state": false })).into_response(),
            false => sso(1, None),
        };
        let Ok((account, at)) = self.session(headers) else {
            return nobody();
        };
        let page = account.faults.take("check", FaultKind::Html);
        let work = async {
            if let Some(arg) = page {
                return blocked(arg.trim().parse().unwrap_or(405));
            }
            if self.check_session(at, "check", None).is_err() {
                return nobody();
            }
            if guide {
                return Json(json!({ "state": true })).into_response();
            }
            let ends = self.kit.clock.now_ms().saturating_add(CHECK_MS);
            let mut state = self.state();
            let tag = state.sessions.0.get(at).map(|session| session.tag);
            for (other, session) in state.sessions.0.iter_mut().enumerate() {
                let own = session.account.number == account.number;
                if other != at && own && Some(session.tag) == tag && session.ends.is_none() {
                    session.ends = Some(ends);
                }
            }
            sso(0, Some(user_id(&account)))
        };
        account
            .serve("check", ApiError::injected_passport, work)
            .await
    }
}
