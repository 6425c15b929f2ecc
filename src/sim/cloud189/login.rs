//! The login page, QR codes, the SSO cookie, the refresh of tokens and of sessions, and the
//! login of the TV application (189cloud.md sections 2.2 to 2.7).

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header as names};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::super::account::Account;
use super::super::body::{drain, set};
use super::super::oss::sign::{encode, value};
use super::answer::{ApiError, json_answer, plain, success};
use super::doors::cookie;
use super::gate::{Args, header, read_form, wants_xml};
use super::sign::{TV_APP, hmac_hex, tv_text};
use super::{Cloud189, login, password, rsa};

/// Application ids of the PC client (section 2.1).
const APPS: &[&str] = &["8025431004", "9317140619"];
/// A QR code lives this long.
const QR_MS: i64 = 300_000;

/// What a login page was made with.
struct Page {
    lt: String,
    param_id: String,
    captcha: String,
}

/// A QR code and how often it was asked about.
struct Code {
    encrypted: String,
    made: i64,
    polls: u64,
}

/// Logins under way.
#[derive(Default)]
pub(super) struct Logins {
    /// Login pages by request id.
    pages: HashMap<String, Page>,
    codes: HashMap<String, Code>,
    /// Accounts by the ticket in a `toUrl`.
    tickets: HashMap<String, Arc<Account>>,
    /// Polls of QR codes of the TV application.
    tv_codes: HashMap<String, u64>,
    /// Accounts by the TV application's access token.
    tv_tokens: HashMap<String, Arc<Account>>,
}

fn result(code: i64, text: &str) -> Response {
    json_answer(StatusCode::OK, &json!({ "result": code, "msg": text }))
}

/// What the fault `errno` writes on this host: `CODE[:text]`.
fn injected(arg: &str) -> Response {
    let (code, text) = arg.split_once(':').unwrap_or((arg, "injected fault"));
    result(code.trim().parse().unwrap_or(-1), text)
}

fn found(location: &str) -> Response {
    let mut response = StatusCode::FOUND.into_response();
    set(&mut response, "location", location);
    response
}

impl Cloud189 {
    fn auth_base(&self) -> String {
        format!("{}/auth", self.kit.base)
    }

    /// Section 2.1's `SSON` of an account.
    pub(super) fn sson(&self, account: &Account) -> String {
        hmac_hex(&self.secret, &format!("sson of {}", account.profile))
    }

    /// The address a login ends at, good for one session.
    fn ticket_url(&self, account: &Arc<Account>) -> String {
        let ticket = self.kit.ids.hex(40);
        self.state()
            .logins
            .tickets
            .insert(ticket.clone(), account.clone());
        format!(
            "{}/m/zhuanti/2020/loginErrorPc/index.html?ticket={ticket}&ecloudV=2",
            self.kit.base
        )
    }

    /// `GET WEB/api/portal/unifyLoginForPC.action`: with a good SSO cookie the chain ends
    /// where a login ends, else at the login page.
    pub(super) fn login_page(&self, parts: &Parts) -> Response {
        let query = super::super::oss::sign::parse_query(parts.uri.query().unwrap_or(""));
        let text = |name: &str| value(&query, name).unwrap_or("");
        if !APPS.contains(&text("appId")) || text("returnURL").is_empty() {
            return plain(400, "400 Bad Request");
        }
        let sson = cookie(&parts.headers, "SSON");
        let mut all = self.kit.accounts.iter();
        if let Some(account) = all.find(|account| self.sson(account) == sson) {
            return found(&self.ticket_url(account));
        }
        let id = self.kit.ids.hex(16);
        let page = Page {
            lt: self.kit.ids.hex(48).to_uppercase(),
            param_id: self.kit.ids.hex(48).to_uppercase(),
            captcha: self.kit.ids.hex(32),
        };
        self.state().logins.pages.insert(id.clone(), page);
        found(&format!(
            "{}/api/logbox/separate/web/index.html?reqId={id}",
            self.auth_base()
        ))
    }

    fn show_page(&self, query: &Args) -> Response {
        let id = value(query, "reqId").unwrap_or("");
        let state = self.state();
        let Some(page) = state.logins.pages.get(id) else {
            return plain(404, "404 Not Found");
        };
        let html = format!(
            "<!DOCTYPE html><html><head><script>\nvar lt = \"{}\";\nvar paramId = \"{}\";\n\
             var reqId = \"{id}\";\n</script></head><body><form>\n\
             <input type='hidden' name='captchaToken' value='{}'>\n</form></body></html>",
            page.lt, page.param_id, page.captcha
        );
        let kind = [(names::CONTENT_TYPE, "text/html;charset=UTF-8")];
        (kind, Body::from(html)).into_response()
    }

    /// Where a login ends: sets the web cookie.
    pub(super) fn landing(&self, parts: &Parts) -> Response {
        let query = super::super::oss::sign::parse_query(parts.uri.query().unwrap_or(""));
        let ticket = value(&query, "ticket").unwrap_or("");
        let account = self.state().logins.tickets.get(ticket).cloned();
        let mut response = plain(200, "ok");
        if let Some(account) = account {
            let cookie = format!("COOKIE_LOGIN_USER={}; Path=/", self.web_cookie(&account));
            set(&mut response, "set-cookie", &cookie);
        }
        response
    }

    /// The host of logins.
    pub(super) async fn auth_host(&self, parts: &Parts, path: &str, body: Body) -> Response {
        let query = super::super::oss::sign::parse_query(parts.uri.query().unwrap_or(""));
        let method = parts.method.as_str();
        if method == "GET" {
            drain(body).await;
            return match path {
                "/api/logbox/separate/web/index.html" => self.show_page(&query),
                "/api/logbox/oauth2/picCaptcha.do" => self.picture(&query),
                _ => plain(404, "404 Not Found"),
            };
        }
        let form = match read_form(parts, body).await {
            Ok(form) => form,
            Err(_) => return plain(415, "415 Unsupported Media Type"),
        };
        match (method, path) {
            ("POST", "/api/logbox/config/encryptConf.do") => {
                let data = json!({
                    "upSmsOn": "0", "pre": "{NRP}", "preDomain": "card.e.189.cn",
                    "pubKey": rsa::PUBLIC_KEY,
                });
                json_answer(StatusCode::OK, &json!({ "result": 0, "data": data }))
            }
            ("POST", "/api/logbox/oauth2/needcaptcha.do") => {
                self.need_captcha(&parts.headers, &form)
            }
            ("POST", "/api/logbox/oauth2/loginSubmit.do") => {
                self.login_submit(&parts.headers, &form).await
            }
            ("POST", "/api/logbox/oauth2/getUUID.do") => self.new_code(&form),
            ("POST", "/api/logbox/oauth2/qrcodeLoginState.do") => {
                self.code_state(&parts.headers, &form)
            }
            ("POST", "/api/oauth2/refreshToken.do") => self.refresh_call(&form).await,
            _ => plain(404, "404 Not Found"),
        }
    }

    /// The account of an encrypted user name.
    fn named(&self, field: &str) -> Option<&Arc<Account>> {
        let name = rsa::decrypt_field(field)?;
        let mut all = self.kit.accounts.iter();
        all.find(|account| login(account).0 == name)
    }

    fn need_captcha(&self, headers: &HeaderMap, form: &Args) -> Response {
        let known = self
            .state()
            .logins
            .pages
            .contains_key(header(headers, "reqid"));
        let account = self.named(value(form, "userName").unwrap_or(""));
        let wanted = account.is_some_and(|account| account.knobs.text("captcha").is_some());
        match known {
            true => plain(200, if wanted { "1" } else { "0" }),
            false => plain(400, "400 Bad Request"),
        }
    }

    /// A picture. What it shows is the setting `captcha`; nobody reads it from these bytes.
    fn picture(&self, query: &Args) -> Response {
        let state = self.state();
        let page = state.logins.pages.get(value(query, "REQID").unwrap_or(""));
        let token = value(query, "token").unwrap_or("");
        let mut response = match page.is_some_and(|page| page.captcha == token) {
            true => Response::new(Body::from(vec![0xff_u8; 600])),
            false => Response::new(Body::empty()),
        };
        set(&mut response, "content-type", "image/jpeg");
        response
    }

    fn referred(&self, headers: &HeaderMap) -> bool {
        let referer = header(headers, "referer");
        referer.starts_with("https://open.e.189.cn") || referer.starts_with(&self.auth_base())
    }

    async fn login_submit(&self, headers: &HeaderMap, form: &Args) -> Response {
        let Some(account) = self.named(value(form, "userName").unwrap_or("")) else {
            return result(-2, "用户名或密码错误");
        };
        let work = async { self.check_login(account, headers, form) };
        account.serve("login", injected, work).await
    }

    fn check_login(&self, account: &Arc<Account>, headers: &HeaderMap, form: &Args) -> Response {
        let text = |name: &str| value(form, name).unwrap_or("");
        {
            let state = self.state();
            let page = state.logins.pages.get(header(headers, "reqid"));
            let Some(page) = page.filter(|page| page.lt == header(headers, "lt")) else {
                return result(-1, "请求已过期，请刷新页面");
            };
            let fields = [
                ("captchaToken", page.captcha.as_str()),
                ("paramId", &page.param_id),
                ("accountType", "02"),
                ("isOauth2", "false"),
            ];
            if let Some((name, _)) = fields.iter().find(|(name, wanted)| text(name) != *wanted) {
                return result(-1, &format!("参数错误: {name}"));
            }
        }
        if !APPS.contains(&text("appKey"))
            || text("returnUrl").is_empty()
            || !self.referred(headers)
        {
            return result(-1, "参数错误");
        }
        let captcha = account.knobs.text("captcha").unwrap_or_default();
        if text("validateCode") != captcha {
            return result(-3, "验证码错误");
        }
        let sent = match text("password") {
            "" => text("epd"),
            sent => sent,
        };
        if rsa::decrypt_field(sent).as_deref() != Some(password(account).as_str()) {
            return result(-2, "用户名或密码错误");
        }
        if account.knobs.flag("device_lock") {
            return result(-131, "您的账号已开启设备锁，请先关闭设备锁");
        }
        if account.knobs.flag("sms") {
            return result(-132, "需要短信验证码验证");
        }
        let body = json!({ "result": 0, "msg": "登录成功", "toUrl": self.ticket_url(account) });
        let mut response = json_answer(StatusCode::OK, &body);
        set(
            &mut response,
            "set-cookie",
            &format!("SSON={}; Path=/", self.sson(account)),
        );
        response
    }

    /// A QR code.
    fn new_code(&self, form: &Args) -> Response {
        if !APPS.contains(&value(form, "appId").unwrap_or("")) {
            return result(-1, "参数错误");
        }
        let id = self.kit.ids.hex(32);
        let uuid = format!("https://open.e.189.cn/api/logbox/qrcode?uuid={id}");
        let encrypted = self.kit.ids.hex(64);
        let code = Code {
            encrypted: encrypted.clone(),
            made: self.now(),
            polls: 0,
        };
        self.state().logins.codes.insert(uuid.clone(), code);
        let body = json!({ "uuid": uuid, "encodeuuid": encode(&uuid), "encryuuid": encrypted });
        json_answer(StatusCode::OK, &body)
    }

    /// The first poll finds it untouched, the second scanned, the third confirmed: by
    /// account 1, whose setting `qr` can be `never` or `refused`.
    fn code_state(&self, headers: &HeaderMap, form: &Args) -> Response {
        let status = |code: i64, text: &str, url: &str| {
            let body = json!({ "status": code, "redirectUrl": url, "msg": text });
            json_answer(StatusCode::OK, &body)
        };
        let text = |name: &str| value(form, name).unwrap_or("");
        let polls = {
            let mut state = self.state();
            let page = state.logins.pages.get(header(headers, "reqid"));
            let good = page.is_some_and(|page| {
                page.lt == header(headers, "lt") && page.param_id == text("paramId")
            });
            if !good || !self.referred(headers) {
                return status(-1, "参数错误", "");
            }
            match state.logins.codes.get_mut(text("uuid")) {
                Some(code) if code.encrypted == text("encryuuid") => {
                    if self.now() >= code.made.saturating_add(QR_MS) {
                        return status(-11001, "二维码已失效", "");
                    }
                    code.polls += 1;
                    code.polls
                }
                _ => return status(-11001, "二维码已失效", ""),
            }
        };
        let Some(account) = self.kit.accounts.first() else {
            return status(-1, "参数错误", "");
        };
        match (account.knobs.text("qr").as_deref(), polls) {
            (Some("refused"), 2..) => status(-11003, "用户已取消", ""),
            (Some("never"), _) | (_, 1) => status(-106, "等待扫码", ""),
            (_, 2) => status(-11002, "已扫码，等待确认", ""),
            _ => status(0, "登录成功", &self.ticket_url(account)),
        }
    }

    /// `POST AUTH/api/oauth2/refreshToken.do`.
    async fn refresh_call(&self, form: &Args) -> Response {
        let text = |name: &str| value(form, name).unwrap_or("");
        let token = text("refreshToken");
        let Some((account, good)) = self.refresh_token(token) else {
            return result(-117, "refreshToken无效");
        };
        let work = async {
            let named = APPS.contains(&text("clientId"));
            if !named || text("grantType") != "refresh_token" || text("format") != "json" {
                return result(-1, "参数错误");
            }
            if !good {
                return result(-117, "refreshToken已过期");
            }
            let (access, refresh) = self.rotate(&account, token);
            let life = account.knobs.number("access_life_s", 7 * 86_400);
            let body = json!({ "accessToken": access, "refreshToken": refresh, "expiresIn": life });
            json_answer(StatusCode::OK, &body)
        };
        account.serve("refresh_token", injected, work).await
    }

    /// Calls of the API host that make sessions: nothing signs them but the TV application.
    pub(super) async fn session_call(&self, parts: &Parts, path: &str) -> Response {
        let query = super::super::oss::sign::parse_query(parts.uri.query().unwrap_or(""));
        let text = |name: &str| value(&query, name).unwrap_or("");
        let xml = wants_xml(&parts.headers);
        if path != "/getSessionForPC.action" {
            return match self.tv(parts, path, &query) {
                Ok(body) => success("session", body, xml),
                Err(error) => error.respond(false, xml, None),
            };
        }
        if text("clientType").is_empty() {
            return ApiError::argument("clientType").respond(false, xml, None);
        }
        match text("redirectURL") {
            "" => {
                self.session_by_token(text("appId"), text("accessToken"), xml)
                    .await
            }
            url => self.session_by_ticket(url, xml).await,
        }
    }

    async fn session_by_token(&self, app: &str, token: &str, xml: bool) -> Response {
        let over = || ApiError::new("UserInvalidOpenToken", "access token is invalid");
        let Some((account, good)) = self.access_token(token) else {
            return over().respond(false, xml, None);
        };
        let work = async {
            if !APPS.contains(&app) {
                return ApiError::argument("appId").respond(false, xml, None);
            }
            if !good {
                return over().respond(false, xml, Some(&account.knobs));
            }
            account.meters.refresh();
            success("session", self.open_session(&account), xml)
        };
        let errno = |arg: &str| ApiError::injected(arg, false);
        account.serve("session", errno, work).await
    }

    async fn session_by_ticket(&self, url: &str, xml: bool) -> Response {
        let query =
            super::super::oss::sign::parse_query(url.split_once('?').map_or("", |(_, q)| q));
        let ticket = value(&query, "ticket").unwrap_or("");
        let account = self.state().logins.tickets.remove(ticket);
        let Some(account) = account else {
            let error = ApiError::new("InvalidArgument", "redirectURL is not of a login");
            return error.respond(false, xml, None);
        };
        let work = async {
            let mut body = self.open_session(&account);
            let (access, refresh) = self.issue(&account);
            if let Some(body) = body.as_object_mut() {
                body.insert("accessToken".to_owned(), json!(access));
                body.insert("refreshToken".to_owned(), json!(refresh));
            }
            success("session", body, xml)
        };
        let errno = |arg: &str| ApiError::injected(arg, false);
        account.serve("session", errno, work).await
    }

    /// The TV application's calls, for account 1: the second poll of a code finds it
    /// confirmed.
    fn tv(&self, parts: &Parts, path: &str, query: &Args) -> Result<Value, ApiError> {
        let timestamp = header(&parts.headers, "timestamp");
        let given = header(&parts.headers, "appsignature");
        let good = [path, parts.uri.path()].iter().any(|path| {
            let text = tv_text(path, timestamp);
            hmac_hex(TV_APP.1, &text).eq_ignore_ascii_case(given)
        });
        if !good || header(&parts.headers, "appkey") != TV_APP.0 {
            return Err(ApiError::new(
                "InvalidAppSignature",
                "AppSignature is invalid",
            ));
        }
        let account = self.kit.accounts.first().ok_or_else(ApiError::not_found)?;
        self.check_time(account, timestamp.parse().ok())?;
        if value(query, "clientType") != Some("FAMILY_TV") {
            return Err(ApiError::argument("clientType"));
        }
        if path == "/family/manage/getQrCodeUUID.action" {
            let uuid = self.kit.ids.hex(32);
            self.state().logins.tv_codes.insert(uuid.clone(), 0);
            return Ok(json!({ "uuid": uuid }));
        }
        if path == "/family/manage/qrcodeLoginResult.action" {
            let uuid = value(query, "uuid").unwrap_or("");
            let token = self.kit.ids.hex(32);
            let mut state = self.state();
            let polls = state.logins.tv_codes.get_mut(uuid);
            let polls = polls.ok_or_else(|| ApiError::argument("uuid"))?;
            *polls += 1;
            if *polls < 2 {
                return Err(ApiError::new("QrCodeNotScanned", "not confirmed yet"));
            }
            state
                .logins
                .tv_tokens
                .insert(token.clone(), account.clone());
            return Ok(json!({ "accessToken": token, "expiresIn": 2_592_000 }));
        }
        let token = value(query, "e189AccessToken").unwrap_or("");
        let account = self.state().logins.tv_tokens.get(token).cloned();
        let account =
            account.ok_or_else(|| ApiError::new("InvalidAccessToken", "token is over"))?;
        account.meters.request("session");
        account.meters.refresh();
        Ok(self.open_session(&account))
    }
}
