//! Routes, and the checks every call passes (pikpak.md section 3).

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde_json::{Map, Value, json};

use super::super::account::Account;
use super::super::body::drain;
use super::super::oss::sign::parse_query;
use super::errors::ApiError;
use super::{PikPak, is_hex};

/// An authenticated call.
pub(super) struct Ctx<'a> {
    pub sim: &'a PikPak,
    pub account: Arc<Account>,
    pub op: &'static str,
    /// The id in the path.
    pub id: String,
    pub query: Vec<(String, String)>,
    pub body: Value,
}

pub(super) fn router(sim: Arc<PikPak>) -> Router {
    let store = || sim.oss.router().layer(middleware::from_fn(no_api_headers));
    let api = Router::new().fallback(any(api)).with_state(sim.clone());
    let user = Router::new().fallback(any(user)).with_state(sim.clone());
    let links = any(download).with_state(sim.clone());
    Router::new()
        .nest("/api", api)
        .nest("/user", user)
        .nest("/oss", store())
        .route("/download/", links)
        // The endpoint of the credentials carries no path: bucket first, or bucket as host.
        .fallback_service(store())
}

/// A header's text, empty when it is missing.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
        .trim()
}

/// What hosts of bytes refuse: headers of the API leak secrets, and JSON is not theirs.
pub(super) fn foreign_headers(headers: &HeaderMap) -> Option<StatusCode> {
    let leaks = ["x-captcha-token", "x-device-id", "x-client-id"];
    if leaks.iter().any(|name| headers.contains_key(*name))
        || header(headers, "authorization").starts_with("Bearer")
    {
        return Some(StatusCode::BAD_REQUEST);
    }
    let json = header(headers, "accept").contains("application/json");
    json.then_some(StatusCode::NOT_ACCEPTABLE)
}

async fn no_api_headers(request: Request, next: Next) -> Response {
    match foreign_headers(request.headers()) {
        Some(status) => {
            drain(request.into_body()).await;
            status.into_response()
        }
        None => next.run(request).await,
    }
}

/// The body as a JSON object; `form` also takes a form.
async fn read_body(body: Body, form: bool) -> Result<Value, ApiError> {
    let Ok(bytes) = to_bytes(body, 4 << 20).await else {
        return Err(ApiError::bad_request("the body is too large"));
    };
    if bytes.is_empty() {
        return Ok(json!({}));
    }
    if let Ok(object) = serde_json::from_slice::<Map<String, Value>>(&bytes) {
        return Ok(Value::Object(object));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) if form && text.contains('=') => Ok(parse_query(text)
            .into_iter()
            .map(|(key, value)| (key, Value::String(value)))
            .collect()),
        _ => Err(ApiError::bad_request("the body is not a JSON object")),
    }
}

async fn user(Shared(sim): Shared<Arc<PikPak>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let query = parse_query(parts.uri.query().unwrap_or(""));
    let path = parts.uri.path();
    if (parts.method.as_str(), path) == ("GET", "/v1/user/me") {
        drain(body).await;
        let call = ("user_info", String::new());
        return sim.call(call, &parts.headers, query, json!({})).await;
    }
    let body = match read_body(body, true).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    match (parts.method.as_str(), path) {
        ("POST", "/v1/auth/signin") => sim.signin_call(&parts.headers, &body).await,
        ("POST", "/v1/auth/token") => sim.refresh_call(&parts.headers, &body).await,
        ("POST", "/v1/shield/captcha/init") => {
            sim.captcha_call(&parts.headers, &query, &body).await
        }
        _ => ApiError::not_found().into_response(),
    }
}

async fn api(Shared(sim): Shared<Arc<PikPak>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let query = parse_query(parts.uri.query().unwrap_or(""));
    let body = match read_body(body, false).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    let path = parts.uri.path();
    match route(parts.method.as_str(), path, &query, &body) {
        Some((op, id)) => {
            let call = (op, id.to_owned());
            sim.call(call, &parts.headers, query, body).await
        }
        None => ApiError::not_found().into_response(),
    }
}

async fn download(Shared(sim): Shared<Arc<PikPak>>, request: Request) -> Response {
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
    let folder = super::text(body, "kind") == "drive#folder";
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
        ("POST", "/drive/v1/files:star") => "star",
        ("POST", "/drive/v1/files:unstar") => "unstar",
        ("GET", "/drive/v1/resource/cid") => "cid",
        ("GET", "/drive/v1/about") => "quota",
        ("GET", "/drive/v1/privilege/vip") => "vip",
        ("GET", "/vip/v1/quantity/list") => "allowance",
        ("GET", "/drive/v1/tasks") => "task_list",
        ("DELETE", "/drive/v1/tasks") => "task_delete",
        _ => "",
    };
    if !op.is_empty() {
        return Some((op, ""));
    }
    let plain = |id: &str| !id.is_empty() && !id.contains(['/', ':']);
    if let Some(id) = path.strip_prefix("/drive/v1/tasks/").filter(|id| plain(id)) {
        return (method == "GET").then_some(("task", id));
    }
    let id = path
        .strip_prefix("/drive/v1/files/")
        .filter(|id| plain(id))?;
    let linked = query
        .iter()
        .any(|(key, _)| key == "usage" || key == "_magic");
    match method {
        "GET" if linked => Some(("download_link", id)),
        "GET" => Some(("stat", id)),
        "PATCH" => Some(("rename", id)),
        "DELETE" => Some(("delete", id)),
        _ => None,
    }
}

impl PikPak {
    async fn call(
        &self,
        (op, id): (&'static str, String),
        headers: &HeaderMap,
        query: Vec<(String, String)>,
        body: Value,
    ) -> Response {
        let Some((account, token)) = self.bearer(headers) else {
            return ApiError::unauthenticated().into_response();
        };
        let gate = account.clone();
        let work = async {
            let ctx = Ctx {
                sim: self,
                account,
                op,
                id,
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
}

impl Ctx<'_> {
    async fn run(&self, token: &str, headers: &HeaderMap) -> Result<Value, ApiError> {
        let sim = self.sim;
        sim.check_token(&self.account, self.op, token)?;
        let device = header(headers, "x-device-id");
        if !is_hex(device, 32) {
            return Err(ApiError::bad_request("X-Device-Id is missing"));
        }
        let rate = self.account.knobs.number("calls_per_second", 1_000_000) as f64;
        let bucket = format!("{} calls", self.account.profile);
        if sim.kit.rates.take(&bucket, rate, rate.max(1.0)).is_err() {
            return Err(ApiError::too_frequent());
        }
        let captcha = header(headers, "x-captcha-token");
        sim.check_captcha(&self.account, self.op, captcha, device)?;
        sim.settle();
        match self.op {
            "list" => self.list().await,
            "stat" | "download_link" => self.stat().await,
            "mkdir" => self.mkdir(),
            "create" => self.create().await,
            "cid" => self.cid().await,
            "rename" => self.rename(),
            "move" | "copy" | "trash" | "restore" | "delete" | "empty_trash" => self.batch(),
            "star" | "unstar" => self.star(),
            "task" => self.task(),
            "task_list" => self.task_list(),
            "task_delete" => self.task_delete(),
            "quota" => Ok(self.quota()),
            "vip" => Ok(self.vip()),
            "allowance" => self.allowance(),
            _ => Ok(self.user_info()),
        }
    }

    /// A query parameter; absent and empty are the same.
    pub(super) fn param(&self, name: &str) -> &str {
        let mut all = self.query.iter();
        all.find(|(key, _)| key == name)
            .map_or("", |(_, value)| value.as_str())
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
