//! GET and HEAD of objects.

use axum::http::StatusCode;
use axum::response::Response;

use super::super::body::{Range, parse_range, send, set};
use super::super::clock::rfc1123;
use super::errors::S3Error;
use super::gate::{Answer, Ctx};
use super::store::Object;

/// Query parameters that replace headers of an answer.
const OVERRIDES: &[(&str, &str)] = &[
    ("response-cache-control", "cache-control"),
    ("response-content-disposition", "content-disposition"),
    ("response-content-encoding", "content-encoding"),
    ("response-content-language", "content-language"),
    ("response-content-type", "content-type"),
    ("response-expires", "expires"),
];

impl Ctx {
    /// The object that is read.
    fn wanted(&self) -> Result<Object, S3Error> {
        if self.q("partNumber").is_some() {
            return Err(S3Error::not_implemented("partNumber"));
        }
        self.check_version(self.q("versionId"))?;
        let found = self.sim.object(&self.account, &self.key);
        found.ok_or_else(|| S3Error::no_such_key(&self.key))
    }

    /// The bucket has no versions but the one called `null`.
    pub(super) fn check_version(&self, id: Option<&str>) -> Result<(), S3Error> {
        match id {
            None | Some("null") => Ok(()),
            Some(id) => {
                let text = "Invalid version id specified";
                Err(S3Error::argument("versionId", id, text))
            }
        }
    }

    /// Headers that tell what the object is.
    fn describe(&self, response: &mut Response, object: &Object, tag: &str) {
        object.kept.show(response);
        set(response, "etag", tag);
        set(response, "last-modified", &rfc1123(object.modified));
        set(response, "accept-ranges", "bytes");
        let asked = self
            .header("x-amz-checksum-mode")
            .eq_ignore_ascii_case("enabled");
        // A checksum of the whole says nothing of a piece.
        if let Some((algorithm, value)) = &object.checksum
            && asked
            && response.status() != StatusCode::PARTIAL_CONTENT
        {
            set(response, algorithm.header(), value);
            set(response, "x-amz-checksum-type", "FULL_OBJECT");
        }
        for (parameter, header) in OVERRIDES {
            if let Some(value) = self.q(parameter) {
                set(response, header, value);
            }
        }
    }

    /// GET: 200, 206, 304, 412 or 416. HEAD: the same without the bytes.
    pub(super) async fn read(&self) -> Answer {
        let object = self.wanted()?;
        let etag = object.etag(&self.account).await;
        let tag = format!("\"{etag}\"");
        if let Err(error) = self.may_read(&object, &etag) {
            let mut response = self.refusal(&error);
            if error.status() == 304 {
                self.describe(&mut response, &object, &tag);
                response.headers_mut().remove("content-type");
            }
            return Ok(response);
        }
        let size = object.stored.size();
        let range = self
            .headers
            .get("range")
            .and_then(|value| value.to_str().ok());
        let range = parse_range(range, size);
        if range == Range::Unsatisfiable {
            let text = "The requested range is not satisfiable";
            return Err(S3Error::new(416, "InvalidRange", text)
                .detail("RangeRequested", self.header("range"))
                .detail("ActualObjectSize", &size.to_string())
                .with("content-range", &format!("bytes */{size}")));
        }
        let mut response = match (self.op, range) {
            ("head", Range::Part(from, to)) => {
                let mut response = Response::default();
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                let text = format!("bytes {from}-{}/{size}", to.saturating_sub(1));
                set(&mut response, "content-range", &text);
                set(
                    &mut response,
                    "content-length",
                    &to.saturating_sub(from).to_string(),
                );
                response
            }
            ("head", _) => {
                let mut response = Response::default();
                set(&mut response, "content-length", &size.to_string());
                response
            }
            _ => send(&self.account, self.op, &object.stored, &self.headers, ()),
        };
        self.describe(&mut response, &object, &tag);
        Ok(response)
    }
}
