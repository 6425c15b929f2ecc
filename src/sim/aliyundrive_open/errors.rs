//! Errors as the open API writes them (aliyundrive_open.md sections 3 and 10).

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::super::body::set;

/// An error answer.
#[derive(Debug)]
pub(super) struct ApiError {
    status: u16,
    code: String,
    message: String,
    extra: Map<String, Value>,
    retry_after_ms: Option<u64>,
}

impl ApiError {
    pub(super) fn new(status: u16, code: &str, message: &str) -> ApiError {
        ApiError {
            status,
            code: code.to_owned(),
            message: message.to_owned(),
            extra: Map::new(),
            retry_after_ms: None,
        }
    }

    /// 400 `InvalidParameter.X`.
    pub(super) fn parameter(name: &str) -> ApiError {
        let code = format!("InvalidParameter.{name}");
        ApiError::new(
            400,
            &code,
            &format!("The input parameter {name} is not valid."),
        )
    }

    /// 404 `NotFound.FileId`.
    pub(super) fn no_file() -> ApiError {
        ApiError::new(
            404,
            "NotFound.FileId",
            "The resource file_id cannot be found.",
        )
    }

    /// 404 `NotFound.UploadId`.
    pub(super) fn no_upload() -> ApiError {
        ApiError::new(
            404,
            "NotFound.UploadId",
            "The resource upload_id cannot be found.",
        )
    }

    /// 429 with `x-retry-after` in milliseconds.
    pub(super) fn too_many(ms: u64) -> ApiError {
        let error = ApiError::new(429, "TooManyRequests", "The request rate is too high.");
        ApiError {
            retry_after_ms: Some(ms),
            ..error
        }
    }

    /// Adds a member to the body.
    pub(super) fn with(mut self, key: &str, value: &str) -> ApiError {
        self.extra.insert(key.to_owned(), json!(value));
        self
    }

    /// What the fault `errno` writes: `CODE` or `STATUS:CODE`.
    pub(super) fn injected(arg: &str) -> Response {
        let (status, code) = match arg.split_once(':') {
            Some((status, code)) => (status.parse().unwrap_or(400), code),
            None => (400, arg),
        };
        ApiError::new(status, code, "injected fault").into_response()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = json!({
            "code": self.code, "message": self.message,
            "requestId": "0bc13b8f16788612343214321e4321",
        });
        if let Some(object) = body.as_object_mut() {
            object.extend(self.extra);
        }
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = (status, Json(body)).into_response();
        if let Some(ms) = self.retry_after_ms {
            set(&mut response, "x-retry-after", &ms.to_string());
        }
        response
    }
}

/// The gateway's 404 for a path nobody serves.
pub(super) fn gateway_404(path: &str, now: &str) -> Response {
    let body = json!({ "timestamp": now, "status": 404, "error": "Not Found", "path": path });
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}
