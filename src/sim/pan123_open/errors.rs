//! The envelope, and errors as the open platform writes them (123_open.md sections 3 and 10).

use axum::Json;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// Text of a refused name.
const NAME_RULE: &str = "文件名要小于256个字符且不能包含以下任何字符：\"\\/:*?|><";

/// An error answer: HTTP 200 with a code, unless a knob or a fault asks for more.
#[derive(Debug)]
pub(super) struct ApiError {
    status: u16,
    code: i64,
    message: String,
}

impl ApiError {
    pub(super) fn new(code: i64, message: &str) -> ApiError {
        ApiError {
            status: 200,
            code,
            message: message.to_owned(),
        }
    }

    /// Code 1: the text decides.
    pub(super) fn general(message: &str) -> ApiError {
        ApiError::new(1, message)
    }

    /// Code 400.
    pub(super) fn parameter(name: &str) -> ApiError {
        ApiError::new(400, &format!("参数错误: {name}"))
    }

    /// Code 401.
    pub(super) fn unauthorized() -> ApiError {
        ApiError::new(401, "access_token invalid")
    }

    /// Code 5066.
    pub(super) fn no_file() -> ApiError {
        ApiError::new(5066, "文件不存在")
    }

    /// Code 1, a write below a directory that is not there.
    pub(super) fn no_parent() -> ApiError {
        ApiError::general("父级目录不存在")
    }

    /// Code 1, the name rule.
    pub(super) fn bad_name() -> ApiError {
        ApiError::general(NAME_RULE)
    }

    /// Code 1, the name is taken.
    pub(super) fn name_taken() -> ApiError {
        ApiError::general("该目录下已经有同名文件")
    }

    /// Code 1, mkdir of an existing name.
    pub(super) fn dir_taken() -> ApiError {
        ApiError::general("该目录下已经有同名文件夹,无法进行创建")
    }

    /// Code 1, the upload cannot become a file.
    pub(super) fn upload_failed() -> ApiError {
        ApiError::general("文件上传失败")
    }

    /// Code 20103.
    pub(super) fn verifying() -> ApiError {
        ApiError::new(20103, "文件正在校验中,请间隔1秒后再试")
    }

    /// Code 429.
    pub(super) fn too_many() -> ApiError {
        ApiError::new(429, "请求太频繁")
    }

    /// The same error with an HTTP status of its own.
    pub(super) fn with_status(mut self, status: u16) -> ApiError {
        self.status = status;
        self
    }

    /// What the fault `errno` writes: `CODE` or `HTTP_STATUS:CODE`.
    pub(super) fn injected(arg: &str) -> Response {
        let (status, code) = match arg.split_once(':') {
            Some((status, code)) => (status.trim().parse().unwrap_or(200), code),
            None => (200, arg),
        };
        ApiError::new(code.trim().parse().unwrap_or(1), "injected fault")
            .with_status(status)
            .into_response()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({
            "code": self.code, "message": self.message, "data": null, "x-traceID": "t-error",
        });
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        (status, Json(body)).into_response()
    }
}

/// Success with its data.
pub(super) fn ok(data: Value) -> Response {
    let body = json!({ "code": 0, "message": "ok", "data": data, "x-traceID": "t-ok" });
    Json(body).into_response()
}

/// A gateway's or content store's plain answer.
pub(super) fn plain(status: u16, text: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (status, kind, Body::from(text.to_owned())).into_response()
}
