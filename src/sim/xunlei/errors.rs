//! Errors as the API writes them (xunlei.md sections 3 and 10).

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
    /// What the user must do, where somebody must do something.
    result: &'static str,
}

impl ApiError {
    /// HTTP status, `error_code`, `error`, `error_description`.
    pub(super) fn new(status: u16, code: i64, error: &str, description: &str) -> ApiError {
        ApiError {
            status,
            code,
            error: error.to_owned(),
            description: description.to_owned(),
            result: "",
        }
    }

    /// 400: something in the request is wrong. The sheet gives `invalid_argument` no number.
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

    /// 8: no room.
    pub(super) fn no_space() -> ApiError {
        let text = "The storage space is not enough";
        ApiError::new(400, 8, "file_space_not_enough", text)
    }

    /// 9 and one of its names that are no captcha.
    pub(super) fn state(name: &str, description: &str) -> ApiError {
        ApiError::new(400, 9, name, description)
    }

    /// 9: the id is in the trash.
    pub(super) fn in_trash() -> ApiError {
        ApiError::state("file_in_recycle_bin", "The file is in the recycle bin")
    }

    /// 9: a change of this file is under way.
    pub(super) fn uncompleted() -> ApiError {
        let text = "A change of this file is not completed yet";
        ApiError::state("file_rename_uncompleted", text)
    }

    /// 9: the token of the safe box is missing or over.
    pub(super) fn space_token() -> ApiError {
        ApiError::state("space_token_invalid", "The space token is invalid")
    }

    /// 9: the captcha token is missing.
    pub(super) fn captcha_required() -> ApiError {
        ApiError::state("captcha_required", "A captcha token is required")
    }

    /// 9: the captcha token is expired, unknown, another device's or another client's.
    pub(super) fn captcha_invalid() -> ApiError {
        ApiError::state("captcha_invalid", "Verification code is invalid")
    }

    /// 4002: a human must look at this device.
    pub(super) fn review() -> ApiError {
        let text = "This device needs a verification";
        ApiError {
            result: "review",
            ..ApiError::new(400, 4002, "captcha_invalid", text)
        }
    }

    /// 10: too many calls; the sheet gives it no name.
    pub(super) fn too_frequent() -> ApiError {
        let text = "The operation is too frequent, try again later";
        ApiError::new(429, 10, "too_frequent", text)
    }

    /// 401: the access token is no good, with the code that is asked for (16, 4121, 4122).
    pub(super) fn unauthenticated(code: i64) -> ApiError {
        let text = "The access token is missing, wrong or expired";
        ApiError::new(401, code, "unauthenticated", text)
    }

    /// 4126: the refresh token is dead.
    pub(super) fn invalid_grant() -> ApiError {
        let text = "The refresh token is invalid or was used already";
        ApiError::new(400, 4126, "invalid_grant", text)
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
        if (code, error) == (4002, "") {
            return ApiError::review().into_response();
        }
        let error = match (error, code) {
            ("", 3) => "file_duplicated_name",
            ("", 8) => "file_space_not_enough",
            ("", 9 | 4002) => "captcha_invalid",
            ("", 10) => "too_frequent",
            ("", 16 | 4121 | 4122) => "unauthenticated",
            ("", 4126) => "invalid_grant",
            ("", _) => "unknown",
            (given, _) => given,
        };
        let usual = match code {
            16 | 4121 | 4122 => 401,
            10 => 429,
            400..=599 => u16::try_from(code).unwrap_or(400),
            _ => 400,
        };
        ApiError::new(status.unwrap_or(usual), code, error, "injected fault").into_response()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = json!({
            "error": self.error, "error_code": self.code, "error_description": self.description,
        });
        if let (false, Some(body)) = (self.result.is_empty(), body.as_object_mut()) {
            body.insert("result".to_owned(), json!(self.result));
        }
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        (status, Json(body)).into_response()
    }
}
