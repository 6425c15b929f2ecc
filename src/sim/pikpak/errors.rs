//! Errors as the API writes them (pikpak.md sections 3 and 10).

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An error answer.
#[derive(Debug)]
pub(super) struct ApiError {
    status: u16,
    code: i64,
    error: String,
    description: String,
}

impl ApiError {
    /// HTTP status, `error_code`, `error`, `error_description`.
    pub(super) fn new(status: u16, code: i64, error: &str, description: &str) -> ApiError {
        ApiError {
            status,
            code,
            error: error.to_owned(),
            description: description.to_owned(),
        }
    }

    /// 400: something in the request is wrong.
    pub(super) fn bad_request(description: &str) -> ApiError {
        ApiError::new(400, 400, "invalid_argument", description)
    }

    /// 404: no such file, task or path.
    pub(super) fn not_found() -> ApiError {
        ApiError::new(404, 404, "file_not_found", "The resource does not exist")
    }

    /// 3: the name is taken.
    pub(super) fn duplicate() -> ApiError {
        let text = "File name cannot be repeated";
        ApiError::new(400, 3, "file_duplicated_name", text)
    }

    /// 9: the id is in the trash.
    pub(super) fn in_trash() -> ApiError {
        let text = "The file is in the recycle bin";
        ApiError::new(400, 9, "file_in_recycle_bin", text)
    }

    /// 9: a change of this file is under way.
    pub(super) fn uncompleted() -> ApiError {
        let text = "A change of this file is not completed yet";
        ApiError::new(400, 9, "file_rename_uncompleted", text)
    }

    /// 9: the captcha token is missing.
    pub(super) fn captcha_required() -> ApiError {
        let text = "A captcha token is required";
        ApiError::new(400, 9, "captcha_required", text)
    }

    /// 9: the captcha token is expired, unknown or another device's.
    pub(super) fn captcha_invalid() -> ApiError {
        ApiError::new(400, 9, "captcha_invalid", "Verification code is invalid")
    }

    /// 10: too many calls; the sheet gives it no name.
    pub(super) fn too_frequent() -> ApiError {
        let text = "The operation is too frequent, try again later";
        ApiError::new(429, 10, "too_frequent", text)
    }

    /// 401 with code 16.
    pub(super) fn unauthenticated() -> ApiError {
        let text = "The access token is missing, wrong or expired";
        ApiError::new(401, 16, "unauthenticated", text)
    }

    /// What the fault `errno` writes: `CODE`, `CODE:error` or `STATUS:CODE:error`.
    pub(super) fn injected(arg: &str) -> Response {
        let parts: Vec<&str> = arg.split(':').map(str::trim).collect();
        let (status, code, error) = match parts.as_slice() {
            [status, code, error] => (status.parse().ok(), *code, *error),
            [code, error] => (None, *code, *error),
            _ => (None, arg.trim(), ""),
        };
        let code = code.parse::<i64>().unwrap_or(0);
        let error = match (error, code) {
            ("", 3) => "file_duplicated_name",
            ("", 8) => "file_space_not_enough",
            ("", 9 | 4002) => "captcha_invalid",
            ("", 10) => "too_frequent",
            ("", 16) => "unauthenticated",
            ("", 11) => "task_daily_create_limit",
            ("", 4126) => "invalid_grant",
            ("", _) => "unknown",
            (given, _) => given,
        };
        let usual = match code {
            16 | 4121 | 4122 => 401,
            400..=599 => u16::try_from(code).unwrap_or(400),
            _ => 400,
        };
        ApiError::new(status.unwrap_or(usual), code, error, "injected fault").into_response()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({
            "error": self.error, "error_code": self.code, "error_url": "",
            "error_description": self.description,
            "error_details": [{
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": self.error, "domain": "drive",
            }],
        });
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        (status, Json(body)).into_response()
    }
}
