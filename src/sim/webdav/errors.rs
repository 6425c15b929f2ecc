//! Refusals, and how they look on the wire.

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;

use super::super::account::Account;
use super::super::body::set;
use super::rules;
use super::xml::escape;

/// A refusal.
#[derive(Debug)]
pub(super) struct DavError {
    status: u16,
    message: String,
    /// Name of the condition element that RFC 4918 puts into the body.
    condition: &'static str,
    headers: Vec<(&'static str, String)>,
    /// Answer nothing: the connection is gone.
    pub dropped: bool,
}

impl DavError {
    /// A status and what a reader of logs wants to know.
    pub fn new(status: u16, message: &str) -> DavError {
        DavError {
            status,
            message: message.to_owned(),
            condition: "",
            headers: Vec::new(),
            dropped: false,
        }
    }

    /// No answer at all.
    pub fn dropped() -> DavError {
        DavError {
            dropped: true,
            ..DavError::new(500, "")
        }
    }

    /// Names the condition that does not hold.
    pub fn because(self, condition: &'static str) -> DavError {
        DavError { condition, ..self }
    }

    /// Adds a header.
    pub fn with(mut self, name: &'static str, value: &str) -> DavError {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// The error of the fault `errno`: an HTTP status, 500 when it is none.
    pub fn injected(arg: &str) -> DavError {
        let status = arg.trim().parse().unwrap_or(500);
        DavError::new(status, "injected fault")
    }

    /// HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The answer, as the account's flavour writes it.
    pub fn respond(&self, account: Option<&Account>) -> Response {
        if self.dropped {
            return super::super::account::dropped();
        }
        let flavour = account.map_or("generic", rules::flavour);
        let condition = match self.condition {
            "" => String::new(),
            name => format!("<d:{name}/>"),
        };
        let (kind, text) = match (flavour, self.condition) {
            ("nextcloud", _) => (
                "application/xml; charset=utf-8",
                format!(
                    "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
                     <d:error xmlns:d=\"DAV:\" xmlns:s=\"http://sabredav.org/ns\">{condition}\
                     <s:exception>Sabre\\DAV\\Exception\\{}</s:exception>\
                     <s:message>{}</s:message></d:error>",
                    exception(self.status),
                    escape(&self.message)
                ),
            ),
            (_, "") => ("text/plain; charset=utf-8", self.message.clone()),
            _ => (
                "application/xml; charset=utf-8",
                format!(
                    "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
                     <d:error xmlns:d=\"DAV:\">{condition}</d:error>"
                ),
            ),
        };
        let mut response = plain(self.status, text);
        set(&mut response, "content-type", kind);
        for (name, value) in &self.headers {
            // Several challenges are several lines.
            if let Ok(value) = axum::http::HeaderValue::from_str(value) {
                response.headers_mut().append(*name, value);
            }
        }
        response
    }
}

/// What Nextcloud's server library calls a status.
fn exception(status: u16) -> &'static str {
    match status {
        400 => "BadRequest",
        401 => "NotAuthenticated",
        403 => "Forbidden",
        404 => "NotFound",
        405 => "MethodNotAllowed",
        409 => "Conflict",
        412 => "PreconditionFailed",
        415 => "UnsupportedMediaType",
        416 => "RequestedRangeNotSatisfiable",
        423 => "Locked",
        501 => "NotImplemented",
        503 => "ServiceUnavailable",
        507 => "InsufficientStorage",
        _ => "Exception",
    }
}

/// A status and a body.
pub(super) fn plain(status: u16, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

/// A status without a body.
pub(super) fn empty(status: u16) -> Response {
    let mut response = plain(status, "");
    if status != 204 && status != 304 {
        set(&mut response, "content-length", "0");
    }
    response
}
