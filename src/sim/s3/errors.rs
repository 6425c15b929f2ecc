//! Refusals, and how they look on the wire (S3 API reference, "Error responses").

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;

use super::super::account::dropped;
use super::super::body::set;
use super::xml::{document, tag};

/// A refusal.
#[derive(Clone, Debug)]
pub(super) struct S3Error {
    status: u16,
    code: String,
    message: String,
    /// More elements of the document.
    details: Vec<(&'static str, String)>,
    headers: Vec<(&'static str, String)>,
    dropped: bool,
}

/// HTTP status of the codes that the fault `errno` is likely to name.
fn status_of(code: &str) -> u16 {
    match code {
        "InternalError" => 500,
        "NotImplemented" => 501,
        "SlowDown" | "ServiceUnavailable" | "Busy" => 503,
        "NoSuchKey" | "NoSuchBucket" | "NoSuchUpload" => 404,
        "MethodNotAllowed" => 405,
        "OperationAborted" | "ConditionalRequestConflict" => 409,
        "MissingContentLength" => 411,
        "PreconditionFailed" => 412,
        "InvalidRange" => 416,
        "AccessDenied"
        | "AllAccessDisabled"
        | "AccountProblem"
        | "InvalidAccessKeyId"
        | "InvalidObjectState"
        | "QuotaExceeded"
        | "RequestTimeTooSkewed"
        | "SignatureDoesNotMatch" => 403,
        _ => 400,
    }
}

impl S3Error {
    /// An error with HTTP status, S3 code and message.
    pub fn new(status: u16, code: &str, message: &str) -> S3Error {
        S3Error {
            status,
            code: code.to_owned(),
            message: message.to_owned(),
            details: Vec::new(),
            headers: Vec::new(),
            dropped: false,
        }
    }

    /// No answer at all.
    pub fn dropped() -> S3Error {
        S3Error {
            dropped: true,
            ..S3Error::new(500, "", "")
        }
    }

    /// The error of a fault: an S3 code, or a status, or `code,status`; `InternalError` when
    /// nothing is said.
    pub fn injected(arg: &str) -> S3Error {
        let (code, status) = arg.split_once(',').unwrap_or((arg, ""));
        let (code, status) = match code.trim().parse::<u16>() {
            Ok(503) => ("SlowDown", 503),
            Ok(403) => ("AccessDenied", 403),
            Ok(status) => ("InternalError", status),
            Err(_) => {
                let code = match code.trim() {
                    "" => "InternalError",
                    code => code,
                };
                let status = status.trim().parse();
                (code, status.unwrap_or_else(|_| status_of(code)))
            }
        };
        S3Error::new(status, code, "injected fault")
    }

    /// 400 `InvalidArgument`, with what was wrong.
    pub fn argument(name: &str, value: &str, message: &str) -> S3Error {
        S3Error::new(400, "InvalidArgument", message)
            .detail("ArgumentName", name)
            .detail("ArgumentValue", value)
    }

    /// 400 `InvalidRequest`.
    pub fn request(message: &str) -> S3Error {
        S3Error::new(400, "InvalidRequest", message)
    }

    /// 403 `AccessDenied`.
    pub fn denied(message: &str) -> S3Error {
        S3Error::new(403, "AccessDenied", message)
    }

    /// 501: the header, parameter or call is not done here.
    pub fn not_implemented(what: &str) -> S3Error {
        let text = "A header or query you provided implies functionality that is not implemented.";
        S3Error::new(501, "NotImplemented", text).detail("Header", what)
    }

    /// 412, and which condition it was.
    pub fn precondition(condition: &str) -> S3Error {
        let text = "At least one of the pre-conditions you specified did not hold";
        S3Error::new(412, "PreconditionFailed", text).detail("Condition", condition)
    }

    /// 400 `MalformedXML`.
    pub fn malformed_xml() -> S3Error {
        let text = "The XML you provided was not well-formed or did not validate against our \
                    published schema";
        S3Error::new(400, "MalformedXML", text)
    }

    /// 404 `NoSuchKey`.
    pub fn no_such_key(key: &str) -> S3Error {
        S3Error::new(404, "NoSuchKey", "The specified key does not exist.").detail("Key", key)
    }

    /// 404 `NoSuchUpload`.
    pub fn no_such_upload(id: &str) -> S3Error {
        let text = "The specified upload does not exist. The upload ID may be invalid, or the \
                    upload may have been aborted or completed.";
        S3Error::new(404, "NoSuchUpload", text).detail("UploadId", id)
    }

    /// 403 `QuotaExceeded`: the words of Ceph; Amazon's own store has no end.
    pub fn no_space() -> S3Error {
        S3Error::new(
            403,
            "QuotaExceeded",
            "The quota of this account is used up.",
        )
    }

    /// 500 `InternalError`.
    pub fn internal() -> S3Error {
        let text = "We encountered an internal error. Please try again.";
        S3Error::new(500, "InternalError", text)
    }

    /// Adds an element.
    pub fn detail(mut self, name: &'static str, value: &str) -> S3Error {
        self.details.push((name, value.to_owned()));
        self
    }

    /// Adds a header.
    pub fn with(mut self, name: &'static str, value: &str) -> S3Error {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// S3 code.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// What a reader of logs wants to know.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The answer. One to HEAD has no document; neither has 304.
    pub fn respond(&self, resource: &str, request_id: &str, head: bool) -> Response {
        if self.dropped {
            return dropped();
        }
        let mut inner = tag("Code", &self.code) + &tag("Message", &self.message);
        for (name, value) in &self.details {
            inner += &tag(name, value);
        }
        inner += &tag("Resource", resource);
        inner += &tag("RequestId", request_id);
        inner += &tag("HostId", "c2ltdWxhdGVkIGhvc3Q=");
        let mut response = match head || self.status == 304 {
            true => Response::new(Body::empty()),
            false => document(200, &format!("<Error>{inner}</Error>")),
        };
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in &self.headers {
            set(&mut response, name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_name_codes_or_statuses() {
        let seen = |arg: &str| {
            let error = S3Error::injected(arg);
            (error.status(), error.code().to_owned())
        };
        assert_eq!(seen(""), (500, "InternalError".to_owned()));
        assert_eq!(seen("SlowDown"), (503, "SlowDown".to_owned()));
        assert_eq!(seen("503"), (503, "SlowDown".to_owned()));
        assert_eq!(seen("InternalError,200"), (200, "InternalError".to_owned()));
        assert_eq!(seen("KeyTooLongError"), (400, "KeyTooLongError".to_owned()));
    }
}
