//! The envelope, and errors as the service writes them (sheet quark, sections 3 and 10).

use axum::Json;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// An error answer: an HTTP status and a code.
#[derive(Clone, Debug)]
pub(super) struct ApiError {
    status: u16,
    code: i64,
    message: String,
}

impl ApiError {
    pub(super) fn new(status: u16, code: i64, message: &str) -> ApiError {
        ApiError {
            status,
            code,
            message: message.to_owned(),
        }
    }

    /// 14001.
    pub(super) fn parameter(name: &str) -> ApiError {
        ApiError::new(400, 14001, &format!("Bad Parameter: [{name}]"))
    }

    /// HTTP 401, 31001.
    pub(super) fn login() -> ApiError {
        ApiError::new(401, 31001, "require login [guest]")
    }

    /// 23008.
    pub(super) fn same_name() -> ApiError {
        ApiError::new(400, 23008, "file is doloading[同名冲突]")
    }

    /// 23018.
    pub(super) fn wrong_client() -> ApiError {
        ApiError::new(400, 23018, "download file size limit")
    }

    /// 32003.
    pub(super) fn capacity() -> ApiError {
        ApiError::new(400, 32003, "capacity limit[容量不足]")
    }

    /// HTTP 404, 41006.
    pub(super) fn gone() -> ApiError {
        ApiError::new(404, 41006, "file not found[文件不存在]")
    }

    /// 41010.
    pub(super) fn no_target() -> ApiError {
        ApiError::new(400, 41010, "target folder not found[目标文件夹不存在]")
    }

    /// 41013, of a task.
    pub(super) fn no_folder() -> ApiError {
        ApiError::new(400, 41013, "folder not found[文件夹不存在]")
    }

    /// 31003.
    pub(super) fn hash_conflict() -> ApiError {
        ApiError::new(400, 31003, "file hash conflict")
    }

    /// HTTP 429, 15000.
    pub(super) fn busy() -> ApiError {
        ApiError::new(429, 15000, "too frequent[访问过于频繁]")
    }

    /// What the fault `errno` writes: `CODE` or `HTTP_STATUS:CODE`.
    pub(super) fn injected(arg: &str) -> Response {
        let (status, code) = match arg.split_once(':') {
            Some((status, code)) => (status.trim().parse().unwrap_or(400), code),
            None => (0, arg),
        };
        let code = code.trim().parse().unwrap_or(14001);
        let status = match (status, code) {
            (0, 31001 | 50051) => 401,
            (0, 15000) => 429,
            (0, 41006) => 404,
            (0, _) => 400,
            (asked, _) => asked,
        };
        ApiError::new(status, code, "injected fault").respond(false)
    }

    /// As an answer. `calm`: refusals that are none of the login come as HTTP 200.
    pub(super) fn respond(self, calm: bool) -> Response {
        let body = json!({
            "status": self.status, "code": self.code, "message": self.message,
            "req_id": "sim-refused",
        });
        let http = match self.status {
            400 | 404 if calm => 200,
            other => other,
        };
        let http = StatusCode::from_u16(http).unwrap_or(StatusCode::BAD_REQUEST);
        (http, Json(body)).into_response()
    }
}

/// Success: data and metadata.
pub(super) fn ok(now_s: i64, data: Value, metadata: Value) -> Response {
    let body = json!({
        "status": 200, "code": 0, "message": "ok", "timestamp": now_s,
        "data": data, "metadata": metadata,
    });
    Json(body).into_response()
}

/// A gateway's answer, no JSON.
pub(super) fn plain(status: u16, text: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (status, kind, Body::from(text.to_owned())).into_response()
}
