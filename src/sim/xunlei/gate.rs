//! Routes, and the checks every call passes (xunlei.md section 3).

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde_json::{Map, Value, json};

use super::super::account::Account;
use super::super::body::drain;
use super::super::oss::sign::parse_query;
use super::errors::ApiError;
use super::{Xunlei, clients, is_device, s3, text, user_id};

/// An authenticated call.
pub(super) struct Ctx<'a> {
    pub sim: &'a Xunlei,
    pub account: Arc<Account>,
    pub op: &'static str,
    /// The id in the path.
    pub id: String,
    /// `METHOD:/path`, as captcha tokens name it.
    pub action: String,
    /// Client id of the caller.
    pub client: String,
    pub query: Vec<(String, String)>,
    pub body: Value,
}

pub(super) fn router(sim: Arc<Xunlei>) -> Router {
    // The endpoint of the credentials carries no path, the override does: the front takes both.
    let front = middleware::from_fn_with_state(sim.clone(), s3::front);
    let api = Router::new().fallback(any(api)).with_state(sim.clone());
    let user = Router::new().fallback(any(user)).with_state(sim.clone());
    let links = any(download).with_state(sim.clone());
    Router::new()
        .nest("/api", api)
        .nest("/user", user)
        .route("/download/", links)
        .fallback_service(sim.oss.router().layer(front))
}

/// A header's text, empty when it is missing.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
        .trim()
}

/// What hosts of bytes refuse: headers of the API leak secrets (section 8).
pub(super) fn foreign_headers(headers: &HeaderMap) -> Option<StatusCode> {
    let leaks = [
        "x-captcha-token",
        "x-device-id",
        "x-client-id",
        "x-space-authorization",
    ];
    let leaked = leaks.iter().any(|name| headers.contains_key(*name))
        || header(headers, "authorization").starts_with("Bearer");
    leaked.then_some(StatusCode::BAD_REQUEST)
}

/// The body as a JSON object.
async fn read_body(body: Body) -> Result<Value, ApiError> {
    let Ok(bytes) = to_bytes(body, 4 << 20).await else {
        return Err(ApiError::bad_request("the body is too large"));
    };
    if bytes.is_empty() {
        return Ok(json!({}));
    }
    match serde_json::from_slice::<Map<String, Value>>(&bytes) {
        Ok(object) => Ok(Value::Object(object)),
        Err(_) => Err(ApiError::bad_request("the body is not a JSON object")),
    }
}

async fn user(Shared(sim): Shared<Arc<Xunlei>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let query = parse_query(parts.uri.query().unwrap_or(""));
    let body = match read_body(body).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    let headers = &parts.headers;
    let call = |op: &'static str| (op, String::new(), String::new());
    match (parts.method.as_str(), parts.uri.path()) {
        ("GET", "/v1/user/me") => sim.call(call("user_info"), headers, query, body).await,
        ("POST", "/v1/password/check") => {
            sim.call(call("safe_password"), headers, query, body).await
        }
        ("POST", "/xluser.core.login/v3/login") => sim.core_login_call(headers, &body).await,
        ("POST", "/v1/auth/signin/token") => sim.session_call(headers, &body).await,
        ("POST", "/v1/auth/signin") => sim.signin_call(headers, &body).await,
        ("POST", "/v1/auth/token") => sim.refresh_call(headers, &body).await,
        ("POST", "/v1/shield/captcha/init") => sim.captcha_call(headers, &body).await,
        _ => ApiError::not_found().into_response(),
    }
}

async fn api(Shared(sim): Shared<Arc<Xunlei>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let query = parse_query(parts.uri.query().unwrap_or(""));
    let body = match read_body(body).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    let action = format!("{method}:{path}");
    match route(method, path, &query, &body) {
        Some((op @ ("share_info" | "share_list" | "share_file"), _)) => {
            sim.share_call(op, &action, &parts.headers, &query).await
        }
        Some((op, id)) => {
            let call = (op, id.to_owned(), action);
            sim.call(call, &parts.headers, query, body).await
        }
        None => ApiError::not_found().into_response(),
    }
}

async fn download(Shared(sim): Shared<Arc<Xunlei>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    drain(body).await;
    let query = parse_query(parts.uri.query().unwrap_or(""));
    sim.serve_link(&parts.method, &parts.headers, &query).await
}

/// Operation and id of a call.
fn route<'a>(
    method: &str,
    path: &'a str,
    query: &[(String, String)],
    body: &Value,
) -> Option<(&'static str, &'a str)> {
    let folder = text(body, "kind") == "drive#folder";
    let op = match (method, path) {
        ("GET", "/drive/v1/files") => "list",
        ("POST", "/drive/v1/files") if folder => "mkdir",
        ("POST", "/drive/v1/files") => "create",
        ("POST", "/drive/v1/files:batchMove") => "move",
        ("POST", "/drive/v1/files:batchCopy") => "copy",
        ("POST", "/drive/v1/files:batchTrash") => "trash",
        ("POST", "/drive/v1/files:batchUntrash") => "restore",
        ("POST", "/drive/v1/files:batchDelete") => "delete",
        ("PATCH", "/drive/v1/files/trash:empty") => "empty_trash",
        ("GET", "/drive/v1/about") => "quota",
        ("GET", "/drive/v1/tasks") => "task_list",
        ("DELETE", "/drive/v1/tasks") => "task_delete",
        ("POST", "/drive/v1/settings") => "settings",
        ("GET", "/drive/v1/share") => "share_info",
        ("GET", "/drive/v1/share/detail") => "share_list",
        ("GET", "/drive/v1/share/file_info") => "share_file",
        ("POST", "/drive/v1/share") => "share_create",
        ("POST", "/drive/v1/share/restore") => "share_restore",
        _ => "",
    };
    if !op.is_empty() {
        return Some((op, ""));
    }
    let plain = |id: &str| !id.is_empty() && !id.contains(['/', ':']);
    if let Some(id) = path.strip_prefix("/drive/v1/tasks/").filter(|id| plain(id)) {
        return (method == "GET").then_some(("task", id));
    }
    let rest = path.strip_prefix("/drive/v1/files/")?;
    let (id, verb) = rest.split_once('/').unwrap_or((rest, ""));
    let linked = query
        .iter()
        .any(|(key, _)| matches!(key.as_str(), "usage" | "_magic" | "with"));
    let op = match (method, verb) {
        ("GET", "") if linked => "download_link",
        ("GET", "") => "stat",
        ("PATCH", "") => "rename",
        ("PATCH", "trash") => "trash",
        ("PATCH", "untrash") => "restore",
        _ => return None,
    };
    plain(id).then_some((op, id))
}

/// The headers without which no drive call is answered (section 11.1).
pub(super) fn check_client_headers(headers: &HeaderMap) -> Result<(), ApiError> {
    let client = header(headers, "x-client-id");
    if client.is_empty() {
        return Err(ApiError::bad_request("x-client-id required"));
    }
    if clients::by_id(client).is_none() {
        return Err(ApiError::bad_request("x-client-id is unknown"));
    }
    match is_device(header(headers, "x-device-id")) {
        true => Ok(()),
        false => Err(ApiError::bad_request("x-device-id required")),
    }
}

impl Xunlei {
    async fn call(
        &self,
        (op, id, action): (&'static str, String, String),
        headers: &HeaderMap,
        query: Vec<(String, String)>,
        body: Value,
    ) -> Response {
        let Some((account, token)) = self.bearer(headers) else {
            return ApiError::unauthenticated(16).into_response();
        };
        let gate = account.clone();
        let work = async {
            let ctx = Ctx {
                sim: self,
                account,
                op,
                id,
                action,
                client: header(headers, "x-client-id").to_owned(),
                query,
                body,
            };
            match ctx.run(&token, headers).await {
                Ok(answer) => axum::Json(answer).into_response(),
                Err(error) => error.into_response(),
            }
        };
        gate.serve(op, ApiError::injected, work).await
    }

    /// Whether an account asks too often.
    pub(super) fn check_rate(&self, account: &Account) -> Result<(), ApiError> {
        let rate = account.knobs.number("calls_per_second", 1_000_000) as f64;
        let bucket = format!("{} calls", account.profile);
        let taken = self.kit.rates.take(&bucket, rate, rate.max(1.0));
        taken.map_err(|_| ApiError::too_frequent())
    }
}

impl Ctx<'_> {
    async fn run(&self, token: &str, headers: &HeaderMap) -> Result<Value, ApiError> {
        let sim = self.sim;
        // Only the drive's host insists on client and captcha.
        if self.action.is_empty() {
            sim.check_token(&self.account, self.op, token)?;
        } else {
            check_client_headers(headers)?;
            sim.check_token(&self.account, self.op, token)?;
            sim.check_rate(&self.account)?;
            let user = user_id(&self.account);
            sim.check_captcha(&self.account, headers, &self.action, Some(&user))?;
            self.check_space(headers)?;
        }
        sim.settle();
        match self.op {
            "list" => self.list().await,
            "stat" | "download_link" => self.stat(),
            "mkdir" => self.mkdir(),
            "create" => self.create().await,
            "rename" => self.rename(),
            "move" | "copy" | "trash" | "restore" | "delete" | "empty_trash" => self.batch(),
            "task" => self.task(),
            "task_list" => self.task_list(),
            "task_delete" => self.task_delete(),
            "quota" => Ok(self.quota()),
            "settings" => self.settings(),
            "share_create" => self.share_create(),
            "share_restore" => self.share_restore(),
            "safe_password" => self.safe_password(),
            _ => Ok(self.user_info()),
        }
    }

    /// A query parameter; absent and empty are the same.
    pub(super) fn param(&self, name: &str) -> &str {
        let mut all = self.query.iter();
        all.find(|(key, _)| key == name)
            .map_or("", |(_, value)| value.as_str())
    }

    /// Whether a query parameter that may repeat has this value.
    pub(super) fn has(&self, name: &str, value: &str) -> bool {
        self.query.iter().any(|(k, v)| k == name && v == value)
    }

    /// Now, in milliseconds since 1970.
    pub(super) fn now(&self) -> i64 {
        self.sim.kit.clock.now_ms()
    }

    /// A setting in milliseconds.
    pub(super) fn knob_ms(&self, name: &str, default: u64) -> i64 {
        i64::try_from(self.account.knobs.number(name, default)).unwrap_or(i64::MAX)
    }
}
