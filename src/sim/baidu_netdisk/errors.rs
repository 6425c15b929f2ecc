//! Envelopes and errors (baidu_netdisk.md sections 3.1 and 10): `errno` with HTTP 200 on the
//! file API, `error_code` with an HTTP error on the PCS hosts, `error` at the OAuth server.

use axum::Json;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// Which envelope a host writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// `pan.baidu.com`.
    Pan,
    /// `d.pcs.baidu.com`, `pcs.baidu.com`, upload servers, download hosts.
    Pcs,
}

/// An error answer.
#[derive(Clone, Debug)]
pub(super) struct ApiError {
    pub(super) code: i64,
    message: String,
    /// HTTP status on a PCS host.
    status: u16,
    /// Items of a batch (`info`).
    info: Option<Value>,
}

impl ApiError {
    pub(super) fn new(code: i64, message: &str) -> ApiError {
        ApiError {
            code,
            message: message.to_owned(),
            status: 400,
            info: None,
        }
    }

    /// The same with another HTTP status on a PCS host.
    pub(super) fn status(mut self, status: u16) -> ApiError {
        self.status = status;
        self
    }

    /// 31023.
    pub(super) fn parameter(name: &str) -> ApiError {
        ApiError::new(31023, &format!("param error: {name}"))
    }

    /// 31208: not the body this call takes.
    pub(super) fn content_type() -> ApiError {
        ApiError::new(31208, "content type error")
    }

    /// -9 on the file API.
    pub(super) fn not_found() -> ApiError {
        ApiError::new(-9, "file does not exist")
    }

    /// 31066 of `listall` and the PCS hosts.
    pub(super) fn no_file() -> ApiError {
        ApiError::new(31066, "file does not exist").status(404)
    }

    /// -8.
    pub(super) fn exists() -> ApiError {
        ApiError::new(-8, "file already exists")
    }

    /// -7: name or place.
    pub(super) fn bad_path() -> ApiError {
        ApiError::new(-7, "file name illegal or no access")
    }

    /// -10.
    pub(super) fn no_space() -> ApiError {
        ApiError::new(-10, "no space left")
    }

    /// 10: what was announced and what came differ.
    pub(super) fn create_failed(what: &str) -> ApiError {
        ApiError::new(10, &format!("create file failed: {what}"))
    }

    /// 31355: the upload session is not there, or not any more.
    pub(super) fn no_session() -> ApiError {
        ApiError::new(31355, "uploadid is invalid or expired").status(403)
    }

    /// 12: some items of a batch failed.
    pub(super) fn batch(info: Vec<Value>) -> ApiError {
        ApiError {
            info: Some(Value::Array(info)),
            ..ApiError::new(12, "some items failed")
        }
    }

    /// The answer of a host.
    pub(super) fn on(self, host: Host, request_id: Value) -> Response {
        match host {
            Host::Pan => {
                let mut body = json!({
                    "errno": self.code, "errmsg": self.message, "show_msg": self.message,
                    "request_id": request_id,
                });
                if let (Some(info), Some(object)) = (self.info, body.as_object_mut()) {
                    object.insert("info".to_owned(), info);
                    object.insert("taskid".to_owned(), json!(0));
                }
                Json(body).into_response()
            }
            Host::Pcs => {
                let body = json!({
                    "error_code": self.code, "error_msg": self.message, "request_id": request_id,
                });
                let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
                (status, Json(body)).into_response()
            }
        }
    }

    /// What the fault `errno` writes on a host: `CODE`, or `HTTP_STATUS:CODE`.
    pub(super) fn injected(host: Host, arg: &str) -> Response {
        let (status, code) = match arg.split_once(':') {
            Some((status, code)) => (status.trim().parse().ok(), code),
            None => (None, arg),
        };
        let error = ApiError::new(code.trim().parse().unwrap_or(31212), "injected fault");
        let mut response = error.status(status.unwrap_or(400)).on(host, json!(1));
        if let Some(status) = status.and_then(|status| StatusCode::from_u16(status).ok()) {
            *response.status_mut() = status;
        }
        response
    }
}

/// An error of the OAuth server, HTTP 400.
pub(super) fn oauth_error(error: &str, description: &str) -> Response {
    let body = json!({ "error": error, "error_description": description });
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

/// A gateway's plain answer.
pub(super) fn plain(status: u16, text: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (status, kind, Body::from(text.to_owned())).into_response()
}
