//! The envelope in all its documented forms (section 3), and errors (section 10).

use axum::Json;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::super::body::set;

/// An error answer: a code, and for those of the login an HTTP status.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ApiError {
    http: u16,
    code: i64,
    msg: String,
    data: Value,
}

impl ApiError {
    /// A code with its message. Those of the login are HTTP 401, all others 200.
    pub(super) fn new(code: i64, msg: &str) -> ApiError {
        ApiError {
            http: match code {
                110 | 117 | 118 => 401,
                _ => 200,
            },
            code,
            msg: msg.to_owned(),
            data: Value::Null,
        }
    }

    /// The same with something in `data`.
    pub(super) fn with(self, data: Value) -> ApiError {
        ApiError { data, ..self }
    }

    /// The code.
    pub(super) fn code(&self) -> i64 {
        self.code
    }

    /// What is said of it.
    pub(super) fn text(&self) -> &str {
        &self.msg
    }

    /// 110: no token came along.
    pub(super) fn not_logged_in() -> ApiError {
        ApiError::new(110, "用户未登录")
    }

    /// 117: the token is not known, or another device's or client's.
    pub(super) fn bad_token() -> ApiError {
        ApiError::new(117, "token无效")
    }

    /// 118: the token's time is over.
    pub(super) fn token_expired() -> ApiError {
        ApiError::new(118, "token已过期")
    }

    /// 112: a member or header is missing or wrong.
    pub(super) fn parameter(name: &str) -> ApiError {
        ApiError::new(112, &format!("参数错误: {name}"))
    }

    /// 120: throttled, in words that mean something else.
    pub(super) fn throttled() -> ApiError {
        ApiError::new(120, "缺少clientId")
    }

    /// HTTP 429: throttled.
    pub(super) fn too_many() -> ApiError {
        ApiError {
            http: 429,
            ..ApiError::new(120, "请求过于频繁")
        }
    }

    /// 143 or 146: there is no such file.
    pub(super) fn missing(form: u64) -> ApiError {
        let code = if form == 0 { 143 } else { 146 };
        ApiError::new(code, "文件不存在")
    }

    /// 149: it is in the trash.
    pub(super) fn deleted() -> ApiError {
        ApiError::new(149, "文件已删除")
    }

    /// 145: there never was such an upload task.
    pub(super) fn no_upload() -> ApiError {
        ApiError::new(145, "上传任务不存在")
    }

    /// 152: the upload task was removed.
    pub(super) fn upload_removed() -> ApiError {
        ApiError::new(152, "上传任务已删除")
    }

    /// 163: the upload task is too old.
    pub(super) fn upload_expired() -> ApiError {
        ApiError::new(163, "上传任务已过期")
    }

    /// 147, in the very words that a client looks for (section 7, client check).
    pub(super) fn importing() -> ApiError {
        ApiError::new(147, "文件上传中")
    }

    /// 156: the content is known; the file comes with the task.
    pub(super) fn instant(task: &str) -> ApiError {
        ApiError::new(156, "上传已完成").with(json!({ "taskId": task }))
    }

    /// 157: no space.
    pub(super) fn no_space() -> ApiError {
        ApiError::new(157, "空间不足")
    }

    /// 159: a folder has this name.
    pub(super) fn folder_exists() -> ApiError {
        ApiError::new(159, "文件夹已存在")
    }

    /// 160: a file has this name.
    pub(super) fn file_exists() -> ApiError {
        ApiError::new(160, "文件已存在")
    }

    /// What the fault `errno` writes: `CODE` or `HTTP:CODE`.
    pub(super) fn injected(arg: &str) -> Response {
        let (http, code) = match arg.split_once(':') {
            Some((http, code)) => (http.trim().parse().ok(), code),
            None => (None, arg),
        };
        let code = code.trim().parse().unwrap_or(101);
        let error = match code {
            120 => ApiError::throttled(),
            147 => ApiError::importing(),
            code => ApiError::new(code, "injected fault"),
        };
        let http = http.unwrap_or(error.http);
        ApiError { http, ..error }.respond(0, 200)
    }

    /// As an answer. `http` is the status of refusals that have none of their own; with
    /// some turns the code is a text.
    pub(super) fn respond(self, turn: u64, http: u16) -> Response {
        let code = match turn % 3 {
            2 => json!(self.code.to_string()),
            _ => json!(self.code),
        };
        let mut body = Map::from_iter([
            ("code".to_owned(), code),
            ("msg".to_owned(), json!(self.msg)),
        ]);
        if turn.is_multiple_of(2) || !self.data.is_null() {
            body.insert("data".to_owned(), self.data);
        }
        let status = if self.http == 200 { http } else { self.http };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = (status, Json(Value::Object(body))).into_response();
        if status == StatusCode::TOO_MANY_REQUESTS {
            set(&mut response, "retry-after", "1");
        }
        response
    }
}

/// Success, in one of the forms of section 3.
pub(super) fn ok(data: Value, turn: u64) -> Response {
    let full = |code: Value, msg: &str| json!({ "code": code, "msg": msg, "data": data });
    let empty = match &data {
        Value::Null => true,
        Value::Object(members) => members.is_empty(),
        _ => false,
    };
    Json(match turn % 5 {
        1 => json!({ "msg": "success", "data": data }),
        2 => full(json!("0"), ""),
        3 => full(json!(0), "ok"),
        // What the oldest handlers answer: nothing but data, if there is any.
        4 if !empty => json!({ "data": data }),
        4 => json!({ "msg": "ok" }),
        _ => full(json!(0), "success"),
    })
    .into_response()
}

/// An answer without the envelope: of a gateway, or of the content network.
pub(super) fn plain(status: u16, text: &'static str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (status, kind, Body::from(text)).into_response()
}

/// An error of the account service.
pub(super) fn account_error(status: u16, error: &str, code: i64, text: &str) -> Response {
    let body = json!({
        "error": error, "error_code": code, "error_url": "", "error_description": text,
    });
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    (status, Json(body)).into_response()
}

/// What the fault `errno` writes at the account service: `HTTP`, or `HTTP:error`.
pub(super) fn account_injected(arg: &str) -> Response {
    let (status, error) = arg.split_once(':').unwrap_or((arg, "invalid_grant"));
    let status = status.trim().parse().unwrap_or(400);
    account_error(status, error.trim(), i64::from(status), "injected fault")
}
