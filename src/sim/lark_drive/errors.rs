//! The envelope (section 3) and refusals (section 10).

use std::sync::atomic::{AtomicU64, Ordering};

use axum::Json;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::super::account::Account;
use super::super::body::set;
use super::super::content::mix;
use super::super::digest::hex;

/// Too many requests.
pub(super) const RATE: i64 = 99_991_400;

/// A refusal: a code with the HTTP status that usually goes with it.
#[derive(Clone, Debug)]
pub(super) struct ApiError {
    http: u16,
    code: i64,
    msg: String,
    /// Members of `error` beside the log id.
    detail: Map<String, Value>,
    /// Members beside the envelope.
    beside: Map<String, Value>,
    /// Rate headers: limit, seconds until the next try.
    rate: Option<(u64, u64)>,
}

/// HTTP status and words of a code. The sheet says that the status of a code varies: the
/// setting `error_status` changes it.
fn usual(code: i64) -> (u16, &'static str) {
    match code {
        RATE => (429, "request trigger frequency limit"),
        99_991_543 => (400, "app_id or app_secret is invalid"),
        99_991_661 => (400, "Missing access token for authorization"),
        99_991_662 => (400, "the app is disabled"),
        99_991_663 => (400, "Invalid access token for authorization"),
        99_991_668 => (401, "Invalid access token for authorization"),
        99_991_671 => (400, "Invalid access token, it starts with t- or u-"),
        99_991_672 => (400, "Access denied. The app lacks a required scope"),
        99_991_673 => (400, "the app is unavailable"),
        99_991_676 => (403, "token has no permission"),
        99_991_677 => (401, "Authentication token expired"),
        99_991_679 => (403, "Unauthorized. The user did not grant a scope"),
        99_992_402 => (400, "field validation failed"),
        1_061_001 => (500, "internal error."),
        1_061_002 => (400, "params error."),
        1_061_003 => (404, "not found."),
        1_061_004 => (403, "forbidden."),
        1_061_005 => (401, "auth failed."),
        1_061_007 => (404, "file has been delete."),
        1_061_021 => (400, "upload id expire."),
        1_061_022 => (409, "file version conflict."),
        1_061_041 => (400, "parent node has been deleted."),
        1_061_042 => (400, "parent node out of limit."),
        1_061_043 => (400, "file size beyond limit."),
        1_061_044 => (400, "parent node not exist."),
        1_061_045 => (400, "resource contention occurred, please retry."),
        1_061_061 => (400, "user quota exceeded."),
        1_061_101 => (400, "tenant quota exceeded."),
        1_061_109 => (400, "file name cqc not passed."),
        1_062_007 => (400, "upload user not match."),
        1_062_008 => (400, "checksum param invalid."),
        1_062_009 => (
            400,
            "the actual size is inconsistent with the parameter declaration size.",
        ),
        1_062_010 => (400, "block missing, please upload all blocks."),
        1_062_011 => (400, "block num out of bounds."),
        1_062_507 => (400, "parent node out of sibling num."),
        1_064_001 => (400, "page size invalid."),
        981_002 => (400, "the type is not supported"),
        981_003 => (400, "the token does not exist or is of another type"),
        981_004 => (403, "no permission"),
        20_010 => (400, "the user may not use this app"),
        20_026 => (400, "the refresh token is invalid"),
        20_037 => (400, "the refresh token has expired"),
        20_050 => (500, "an unexpected server error occurred"),
        20_064 => (400, "the refresh token has been revoked"),
        20_073 => (400, "the refresh token has been used"),
        2200 => (500, "internal error"),
        _ => (400, "refused"),
    }
}

/// A support id, another for each answer.
fn log_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!(
        "20260101000000{}",
        hex(&mix(number).to_be_bytes()).to_uppercase()
    )
}

impl ApiError {
    /// A refusal by its code.
    pub(super) fn new(code: i64) -> ApiError {
        let (http, msg) = usual(code);
        ApiError {
            http,
            code,
            msg: msg.to_owned(),
            detail: Map::new(),
            beside: Map::new(),
            rate: None,
        }
    }

    /// 99992402: a parameter that the gateway refuses.
    pub(super) fn field(name: &str) -> ApiError {
        let mut error = ApiError::new(99_992_402);
        let violation = json!([{ "field": name, "description": "invalid or missing" }]);
        error
            .detail
            .insert("field_violations".to_owned(), violation);
        error
    }

    /// 1061002: a parameter that the drive refuses.
    pub(super) fn parameter(name: &str) -> ApiError {
        let mut error = ApiError::new(1_061_002);
        error.msg = format!("params error. {name}");
        error
    }

    /// A lack of scopes: any of `wanted` would do.
    pub(super) fn scope(code: i64, wanted: &[&str]) -> ApiError {
        let mut error = ApiError::new(code);
        error.msg = format!("{}: one of [{}]", error.msg, wanted.join(", "));
        let violations: Vec<Value> = wanted
            .iter()
            .map(|scope| json!({ "type": "action_scope_required", "subject": scope }))
            .collect();
        let troubleshooter = "https://open.feishu.cn/search?from=openapi";
        error
            .detail
            .insert("permission_violations".to_owned(), json!(violations));
        error
            .detail
            .insert("troubleshooter".to_owned(), json!(troubleshooter));
        error
    }

    /// 99991400 with its two headers.
    pub(super) fn too_many(limit: u64, wait_ms: u64) -> ApiError {
        ApiError {
            rate: Some((limit, wait_ms.div_ceil(1000).max(1))),
            ..ApiError::new(RATE)
        }
    }

    /// A refusal of the token endpoint (section 2.5).
    pub(super) fn oauth(code: i64) -> ApiError {
        let mut error = ApiError::new(code);
        let name = match code {
            20_050 => "server_error",
            99_991_543 => "invalid_client",
            99_992_402 => "invalid_request",
            _ => "invalid_grant",
        };
        error.beside.insert("error".to_owned(), json!(name));
        error
            .beside
            .insert("error_description".to_owned(), json!(error.msg));
        error
    }

    /// The code.
    pub(super) fn code(&self) -> i64 {
        self.code
    }

    /// What the fault `errno` writes: `CODE` or `HTTP:CODE`. Those of section 2.5 look as the
    /// token endpoint writes them.
    pub(super) fn injected(arg: &str) -> Response {
        let (http, code) = match arg.split_once(':') {
            Some((http, code)) => (http.trim().parse().ok(), code),
            None => (None, arg),
        };
        let code = code.trim().parse().unwrap_or(1_061_001);
        let mut error = match code {
            RATE => ApiError::too_many(5, 1000),
            20_000..=20_999 => ApiError::oauth(code),
            code => ApiError::new(code),
        };
        error.http = http.unwrap_or(error.http);
        error.into_response()
    }

    /// As an answer to an account, with the statuses that its settings say.
    pub(super) fn respond(mut self, account: &Account) -> Response {
        let knob = if self.code == RATE {
            "rate_status"
        } else {
            "error_status"
        };
        let wanted = account.knobs.number(knob, u64::from(self.http));
        self.http = u16::try_from(wanted).unwrap_or(self.http);
        self.into_response()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let log = log_id();
        let mut body = Map::new();
        body.insert("code".to_owned(), json!(self.code));
        body.insert("msg".to_owned(), json!(self.msg));
        if !self.detail.is_empty() {
            let mut detail = self.detail;
            detail.insert("log_id".to_owned(), json!(log));
            body.insert("error".to_owned(), Value::Object(detail));
        }
        body.extend(self.beside);
        let status = StatusCode::from_u16(self.http).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = (status, Json(Value::Object(body))).into_response();
        set(&mut response, "x-tt-logid", &log);
        if let Some((limit, reset)) = self.rate {
            set(&mut response, "x-ogw-ratelimit-limit", &limit.to_string());
            set(&mut response, "x-ogw-ratelimit-reset", &reset.to_string());
        }
        response
    }
}

/// Success with what belongs in `data`.
pub(super) fn ok(data: Value) -> Response {
    flat(json!({ "code": 0, "msg": "success", "data": data }))
}

/// A document without the envelope's `data`, as the login endpoints write them.
pub(super) fn flat(body: Value) -> Response {
    let mut response = Json(body).into_response();
    set(&mut response, "x-tt-logid", &log_id());
    response
}

/// An answer without the envelope.
pub(super) fn plain(status: u16, text: &'static str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (status, kind, Body::from(text)).into_response()
}
