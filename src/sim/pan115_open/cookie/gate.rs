//! The way of a call by cookies, and the envelopes of its answer (115_open.md sections 3.2
//! and 10).

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::super::super::account::Account;
use super::super::super::faults::FaultKind;
use super::super::errors::ApiError;
use super::super::{Ctx, Pan115, Params};
use super::ec115::{self, Channel};
use super::{Call, Door, HOSTS, Host, Style, blocked, browser_version};

/// What a granted call answers.
pub(super) struct Reply {
    pub document: Value,
    /// Cookies to set.
    pub cookies: Vec<(String, String)>,
}

impl From<Value> for Reply {
    fn from(document: Value) -> Reply {
        let cookies = Vec::new();
        Reply { document, cookies }
    }
}

/// A granted call: the envelope with more members.
pub(super) fn granted(more: Value) -> Value {
    let mut document = json!({ "state": true, "error": "", "errno": "" });
    if let (Some(document), Value::Object(more)) = (document.as_object_mut(), more) {
        document.extend(more);
    }
    document
}

impl Style {
    /// The document of an error. Code 0 is the empty error, and the code may be a text.
    pub(super) fn refusal(self, error: &ApiError, text: bool) -> Value {
        let code = match text {
            true => json!(error.code().to_string()),
            false => json!(error.code()),
        };
        let message = error.message();
        // Who is not logged in hears so in the same way everywhere.
        match self {
            Style::List if error.code() != 990_001 => json!({
                "state": false, "error": message, "errNo": code, "data": [],
            }),
            Style::App if error.code() != 990_001 => json!({
                "state": false, "msg": message, "errno": code, "data": "",
            }),
            _ => json!({
                "state": false, "error": message, "errno": code, "errtype": "war", "data": [],
            }),
        }
    }
}

/// The `User-Agent` of a request.
pub(super) fn user_agent(headers: &HeaderMap) -> String {
    let value = headers.get(header::USER_AGENT);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
        .to_owned()
}

/// Whether the body is a form, as the encrypted ones say too.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
}

fn respond(reply: Reply, channel: Option<(&Channel, [u8; 4])>) -> Response {
    let mut response = match channel {
        Some((channel, free)) => sealed(channel, &reply.document, free),
        None => Json(reply.document).into_response(),
    };
    for (name, value) in reply.cookies {
        let line = format!("{name}={value}; path=/; HttpOnly; Max-Age=3600");
        if let Ok(line) = HeaderValue::from_str(&line) {
            response.headers_mut().append(header::SET_COOKIE, line);
        }
    }
    response
}

/// An ec115 answer.
pub(super) fn sealed(channel: &Channel, document: &Value, free: [u8; 4]) -> Response {
    let body = channel.seal(document.to_string().as_bytes(), free);
    let mut response = Response::new(Body::from(body.unwrap_or_default()));
    let kind = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

impl Pan115 {
    /// The arbitrary bytes of an ec115 tail.
    pub(super) fn free_bytes(&self) -> [u8; 4] {
        (self.kit.ids.number() as u32)
            .wrapping_mul(0x9e37_79b9)
            .to_le_bytes()
    }

    /// What stands before the service itself: a page that blocks the caller. Knobs
    /// `blocked` (host names, or `all`) and `cookie_qps`.
    pub(super) fn front(&self, account: &Account, host: Option<Host>) -> Option<Response> {
        let closed = account.knobs.text("blocked").unwrap_or_default();
        let name = HOSTS.iter().find(|(_, _, known)| Some(*known) == host);
        let hit = closed
            .split(',')
            .map(str::trim)
            .any(|closed| closed == "all" || name.is_some_and(|(_, name, _)| closed == *name));
        let qps = account.knobs.number("cookie_qps", 0) as f64;
        let key = format!("{}/cookie", account.profile);
        let fast = qps > 0.0 && self.kit.rates.take(&key, qps, qps).is_err();
        (hit || fast).then(|| blocked(405))
    }

    /// Every call of this mode.
    pub(in super::super) async fn by_cookie(
        &self,
        call: &'static Call,
        path: &str,
        parts: &Parts,
        body: Body,
    ) -> Response {
        let query = Params::parse(parts.uri.query().unwrap_or(""));
        let bytes = to_bytes(body, 4 << 20).await.unwrap_or_default();
        let params = match parts.method == Method::POST {
            true if is_form(&parts.headers) => Params::parse(&String::from_utf8_lossy(&bytes)),
            true => Params::default(),
            false => Params(query.0.clone()),
        };
        match call.door {
            Door::Anybody => {
                self.for_anybody(call.op, path, &parts.headers, &params)
                    .await
            }
            Door::Named if call.op == "init" => self.sealed_init(parts, &query, &bytes).await,
            Door::Named => self.upload_host(call.op, &parts.headers, params).await,
            Door::Cookies(style) if path.starts_with("/os_windows/") => {
                let token = ec115::token(query.text("k_ec"));
                let channel = token.and_then(|token| Channel::with(&token.public));
                let form = channel.and_then(|channel| Some((channel, channel.open(&bytes)?)));
                let Some((channel, form)) = form else {
                    let error = ApiError::parameter("k_ec");
                    return Json(style.refusal(&error, false)).into_response();
                };
                let params = Params::parse(&form);
                self.for_session(call, style, path, parts, params, Some(channel))
                    .await
            }
            Door::Cookies(style) => {
                self.for_session(call, style, path, parts, params, None)
                    .await
            }
        }
    }

    async fn for_session(
        &self,
        call: &'static Call,
        style: Style,
        path: &str,
        parts: &Parts,
        params: Params,
        channel: Option<Channel>,
    ) -> Response {
        let op = call.op;
        let free = self.free_bytes();
        let answer = |reply| respond(reply, channel.as_ref().map(|channel| (channel, free)));
        let (account, session) = match self.session(&parts.headers) {
            Ok(found) => found,
            Err(error) => return answer(style.refusal(&error, false).into()),
        };
        let text = account.knobs.flag("errno_text");
        let page = account.faults.take(op, FaultKind::Html);
        let gate = account.clone();
        let work = async {
            if let Some(arg) = page {
                return blocked(arg.trim().parse().unwrap_or(405));
            }
            if let Some(page) = self.front(&account, call.host) {
                return page;
            }
            let user_agent = user_agent(&parts.headers);
            let any = account.knobs.text("user_agent").as_deref() == Some("any");
            if !any && browser_version(&user_agent).is_none() {
                return blocked(405);
            }
            let ctx = Ctx {
                sim: self,
                account,
                op,
                params,
                user_agent,
            };
            let done = async {
                self.check_session(session, op, call.host)?;
                ctx.run_cookie(path).await
            };
            match done.await {
                Ok(reply) => answer(reply),
                Err(error) => answer(style.refusal(&error, text).into()),
            }
        };
        let injected = |arg: &str| {
            let error = ApiError::from_fault(arg);
            answer(style.refusal(&error, text).into())
        };
        gate.serve(op, injected, work).await
    }
}

impl Ctx<'_> {
    async fn run_cookie(&self, path: &str) -> Result<Reply, ApiError> {
        Ok(match path {
            "/files" => self.web_list(false).await?.into(),
            "/natsort/files.php" => self.web_list(true).await?.into(),
            "/files/order" => self.set_order()?.into(),
            "/files/get_info" => self.web_info().await?.into(),
            "/category/get" => self.category().await?.into(),
            "/files/getid" => self.folder_id()?.into(),
            "/files/search" => self.web_search().await?.into(),
            "/files/shasearch" => self.sha_search().await?.into(),
            "/files/index_info" => self.index_info().into(),
            "/files/uploadinfo" | "/app/uploadinfo" => self.upload_info().into(),
            "/files/add" => self.web_mkdir()?.into(),
            "/files/batch_rename" => self.web_rename()?.into(),
            "/files/move" => self.web_move().await?.into(),
            "/files/copy" => self.web_copy().await?.into(),
            "/rb/delete" => self.web_trash().await?.into(),
            "/rb" => self.web_trash_list().await?.into(),
            "/rb/revert" => self.web_restore().await?.into(),
            "/rb/clean" => self.web_clean().await?.into(),
            "/rb/secret_del" => self.web_secret_del().await?.into(),
            "/files/download" => self.plain_link().await?,
            "/android/2.0/ufile/download" => self.android_link().await?,
            _ => self.chrome_link().await?,
        })
    }
}
