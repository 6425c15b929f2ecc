//! Answers: the many envelopes of the service (189cloud.md sections 3.7 and 10), as JSON and
//! as XML.

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::super::account::Knobs;

/// How a failure is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `{"res_code":"..","res_message":".."}`.
    ResCode,
    /// `{"code":"..","msg":".."}`, the upload host.
    Code,
    /// `{"errorCode":"..","errorMsg":".."}`.
    ErrorCode,
    /// `{"error":"..","message":".."}`.
    Error,
    /// `{"success":"false", ..}`.
    Success,
    /// `<error><code>..</code><message>..</message></error>`.
    Xml,
}

impl Shape {
    fn parse(text: &str) -> Option<Shape> {
        Some(match text.trim() {
            "res_code" => Shape::ResCode,
            "code" => Shape::Code,
            "errorCode" => Shape::ErrorCode,
            "error" => Shape::Error,
            "success" => Shape::Success,
            "xml" => Shape::Xml,
            _ => return None,
        })
    }
}

/// A refusal.
#[derive(Debug)]
pub(super) struct ApiError {
    status: u16,
    code: String,
    message: String,
    shape: Shape,
    /// Members beside code and text.
    extra: Map<String, Value>,
}

/// Codes that are about the session or its signature: those come as `errorCode`.
const SESSION_CODES: &[&str] = &[
    "InvalidSessionKey",
    "UserInvalidOpenToken",
    "InvalidAccessToken",
    "TokenNotExist",
    "InvalidSignature",
    "InvalidAppSignature",
    "TimestampExpired",
    "InvalidDeviceStatus",
];

impl ApiError {
    /// A refusal by its code of section 10, with HTTP 400.
    pub(super) fn new(code: &str, message: &str) -> ApiError {
        let shape = match SESSION_CODES.contains(&code) {
            true => Shape::ErrorCode,
            false => Shape::ResCode,
        };
        ApiError {
            status: 400,
            code: code.to_owned(),
            message: message.to_owned(),
            shape,
            extra: Map::new(),
        }
    }

    /// A parameter or header is missing or wrong.
    pub(super) fn argument(what: &str) -> ApiError {
        ApiError::new("InvalidArgument", &format!("invalid argument: {what}"))
    }

    /// No such file or folder.
    pub(super) fn not_found() -> ApiError {
        ApiError::new("FileNotFound", "file not found")
    }

    /// The name is taken.
    pub(super) fn exists() -> ApiError {
        ApiError::new("FileAlreadyExists", "file already exists")
    }

    /// The session is over. The setting `session_error` chooses between the ways to say so.
    pub(super) fn session(knobs: Option<&Knobs>) -> ApiError {
        let style = knobs.and_then(|knobs| knobs.text("session_error"));
        let text = match style.as_deref() {
            Some("null_bo") => "userSessionBO is null",
            Some("ip") => "check ip error",
            _ => return ApiError::new("InvalidSessionKey", "session is invalid"),
        };
        ApiError {
            code: "-1".to_owned(),
            ..ApiError::new("", text)
        }
    }

    /// The same with an HTTP status.
    pub(super) fn status(mut self, status: u16) -> ApiError {
        self.status = status;
        self
    }

    /// The same with another member.
    pub(super) fn with(mut self, name: &str, value: Value) -> ApiError {
        self.extra.insert(name.to_owned(), value);
        self
    }

    /// What the fault `errno` writes: `CODE`, `STATUS:CODE` or `STATUS:CODE:SHAPE`.
    pub(super) fn injected(arg: &str, upload: bool) -> Response {
        let parts: Vec<&str> = arg.split(':').map(str::trim).collect();
        let (status, code, shape) = match parts.as_slice() {
            [status, code, shape] => (status.parse().ok(), *code, Shape::parse(shape)),
            [status, code] => (status.parse().ok(), *code, None),
            _ => (None, arg.trim(), None),
        };
        let mut error = ApiError::new(code, "injected fault").status(status.unwrap_or(400));
        if let Some(shape) = shape {
            error.shape = shape;
            return error.write();
        }
        error.respond(upload, false, None)
    }

    /// The answer. `upload`: of the upload host; `xml`: the caller does not ask for JSON.
    pub(super) fn respond(mut self, upload: bool, xml: bool, knobs: Option<&Knobs>) -> Response {
        if xml {
            self.shape = Shape::Xml;
        } else if upload && self.shape == Shape::ResCode {
            self.shape = Shape::Code;
        }
        if let Some(knobs) = knobs {
            let shape = knobs
                .text("error_shape")
                .and_then(|text| Shape::parse(&text));
            self.shape = shape.unwrap_or(self.shape);
            let status = knobs.number("error_status", u64::from(self.status));
            self.status = u16::try_from(status).unwrap_or(self.status);
        }
        self.write()
    }

    fn write(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let (code, message) = (self.code.as_str(), self.message.as_str());
        let number = code.parse::<i64>().ok();
        let code_value = number.map_or_else(|| json!(code), |number| json!(number));
        let mut body = match self.shape {
            Shape::ResCode => json!({ "res_code": code_value, "res_message": message }),
            Shape::Code => json!({ "code": code, "msg": message }),
            Shape::ErrorCode => json!({ "errorCode": code, "errorMsg": message }),
            Shape::Error => json!({ "error": code, "message": message }),
            Shape::Success => json!({ "success": "false", "errorCode": code, "errorMsg": message }),
            Shape::Xml => json!({ "code": code, "message": message }),
        };
        if let Some(body) = body.as_object_mut() {
            body.extend(self.extra);
        }
        match self.shape {
            Shape::Xml => xml_answer(status, "error", &body),
            _ => json_answer(status, &body),
        }
    }
}

/// A JSON answer.
pub(super) fn json_answer(status: StatusCode, body: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json;charset=UTF-8")];
    (status, kind, Body::from(body.to_string())).into_response()
}

/// An XML answer: objects become elements, lists repeated ones.
pub(super) fn xml_answer(status: StatusCode, root: &str, body: &Value) -> Response {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n".to_owned();
    write_xml(&mut text, root, body);
    let kind = [(header::CONTENT_TYPE, "text/xml;charset=UTF-8")];
    (status, kind, Body::from(text)).into_response()
}

fn write_xml(text: &mut String, name: &str, value: &Value) {
    if let Value::Array(all) = value {
        for one in all {
            write_xml(text, name, one);
        }
        return;
    }
    text.push_str(&format!("<{name}>"));
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                write_xml(text, name, member);
            }
        }
        Value::String(inner) => escape_xml(text, inner),
        Value::Null => {}
        other => text.push_str(&other.to_string()),
    }
    text.push_str(&format!("</{name}>"));
}

fn escape_xml(text: &mut String, inner: &str) {
    for c in inner.chars() {
        match c {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            c => text.push(c),
        }
    }
}

/// The root element of a success as XML. The sheet shows `batchTask` and `file`; the others
/// are named after them.
fn root_of(op: &str) -> &'static str {
    match op {
        "list" | "search" => "listFiles",
        "mkdir" | "stat_dir" => "folder",
        "stat" | "rename" | "complete_old" => "file",
        "copy" | "move" | "trash" | "restore" | "purge" | "empty_trash" | "save" | "task" => {
            "batchTask"
        }
        "session" => "userSession",
        "create_old" | "status_old" => "uploadFile",
        _ => "response",
    }
}

/// A success of the API hosts: JSON, or XML without the JSON envelope.
pub(super) fn success(op: &str, body: Value, xml: bool) -> Response {
    if !xml {
        return json_answer(StatusCode::OK, &body);
    }
    let mut body = body;
    if let Some(members) = body.as_object_mut() {
        members.remove("res_code");
        members.remove("res_message");
        // The writer escapes it once more.
        if let Some(Value::String(url)) = members.get_mut("fileDownloadUrl") {
            *url = url.replace("&amp;", "&");
        }
    }
    xml_answer(StatusCode::OK, root_of(op), &body)
}

/// `members` with `res_code` 0.
pub(super) fn ok(members: Value) -> Value {
    let mut body = json!({ "res_code": 0, "res_message": "成功" });
    if let (Some(body), Value::Object(members)) = (body.as_object_mut(), members) {
        body.extend(members);
    }
    body
}

/// A host's or object store's plain answer.
pub(super) fn plain(status: u16, text: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (status, kind, Body::from(text.to_owned())).into_response()
}

/// An error of the object store.
pub(super) fn store_error(status: u16, code: &str, message: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let body = json!({ "Code": code, "Message": message });
    xml_answer(status, "Error", &body)
}
