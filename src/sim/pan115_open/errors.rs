//! Envelopes of the open API and of passport (115_open.md sections 2.1, 3.1 and 10).

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// A refusal: HTTP 200 with a code. Its number stands in `code` and in `errno`, since
/// clients look at either (section 3.1).
#[derive(Debug)]
pub(super) struct ApiError {
    code: i64,
    message: String,
}

impl ApiError {
    pub(super) fn new(code: i64, message: &str) -> ApiError {
        ApiError {
            code,
            message: message.to_owned(),
        }
    }

    pub(super) fn code(&self) -> i64 {
        self.code
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// 990002, bad parameters.
    pub(super) fn parameter(name: &str) -> ApiError {
        ApiError::new(990_002, &format!("参数错误: {name}"))
    }

    /// The same as passport writes it: `state` is a number there.
    pub(super) fn passport(self) -> Response {
        Json(json!({
            "state": 0, "code": self.code, "message": self.message, "data": [],
            "error": self.message, "errno": self.code,
        }))
        .into_response()
    }

    /// What the fault `errno` writes: `CODE` or `CODE:MESSAGE`. Code 0 (or none) is the
    /// empty error of section 10.1: `state` false, no code, no message.
    pub(super) fn from_fault(arg: &str) -> ApiError {
        let (code, message) = arg.split_once(':').unwrap_or((arg, "injected fault"));
        let code = code.trim().parse().unwrap_or(0);
        ApiError::new(code, if code == 0 { "" } else { message })
    }

    /// The fault `errno` at the API.
    pub(super) fn injected(arg: &str) -> Response {
        ApiError::from_fault(arg).into_response()
    }

    /// The fault `errno` at passport.
    pub(super) fn injected_passport(arg: &str) -> Response {
        ApiError::from_fault(arg).passport()
    }

    /// The document of the refusal.
    pub(super) fn document(&self) -> Value {
        if self.code == 0 {
            return json!({ "state": false, "message": "", "code": 0, "data": [] });
        }
        json!({
            "state": false, "message": self.message, "code": self.code, "data": [],
            "error": self.message, "errno": self.code,
        })
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        Json(self.document()).into_response()
    }
}

/// A granted call of the API.
pub(super) fn granted(data: Value) -> Value {
    json!({ "state": true, "message": "", "code": 0, "data": data })
}

/// A granted call of passport.
pub(super) fn passport_granted(data: Value) -> Response {
    Json(json!({
        "state": 1, "code": 0, "message": "", "data": data, "error": "", "errno": 0,
    }))
    .into_response()
}
