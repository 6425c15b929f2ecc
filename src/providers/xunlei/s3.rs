//! One object of the object store: its calls, each signed with the session key of the upload
//! (sheet section 7). Addresses and most errors are those of the shared store; the signature is
//! another (`sigv4`).
//!
//! Nothing here retries: an error says whether it may be tried again, and
//! [`AccountEffect::Refresh`] means that the session key is refused.

use bytes::Bytes;
use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;
use quick_xml::reader::Reader;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};

use super::sigv4::{Signing, amz_date, query_text, sha256_hex};
use crate::drive::{AccountEffect, DriveError, ErrorKind, PartReceipt, Result};
use crate::net::{Client, Deadlines, Request, Response, Retry};
use crate::providers::oss::{self, OssCredentials, object_url};

/// Most bytes of an answer that are read.
const ANSWER_LIMIT: usize = 4 << 20;

/// Parts per page of a list of parts.
const PAGE: &str = "1000";

/// One object to be uploaded.
pub struct Object {
    client: Client,
    url: String,
    host: String,
    path: String,
}

/// One request.
struct Call<'a> {
    op: &'static str,
    method: Method,
    query: &'a [(&'a str, &'a str)],
    content_type: &'static str,
    body: Bytes,
}

impl Object {
    /// An object `key` (not encoded) in `bucket` at `endpoint`. An endpoint that begins with the
    /// bucket names it already; see [`object_url`].
    ///
    /// # Errors
    /// `BadAnswer` for an endpoint, bucket or key that makes no address.
    pub fn new(client: Client, endpoint: &str, bucket: &str, key: &str) -> Result<Object> {
        let url = object_url(endpoint, bucket, key)?;
        let broken = || DriveError::bad_answer("object store", "no address");
        let parsed = reqwest::Url::parse(&url).map_err(|_| broken())?;
        let name = parsed.host_str().ok_or_else(broken)?;
        let host = match parsed.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        };
        Ok(Object {
            client,
            host,
            path: parsed.path().to_owned(),
            url,
        })
    }

    /// Opens an upload in parts and returns its id.
    pub async fn initiate(&self, credentials: &OssCredentials) -> Result<String> {
        let op = "oss_initiate";
        let call = call(op, Method::POST, &[("uploads", "")]);
        let body = self.ask(credentials, call).await?;
        let answer = document(op, "InitiateMultipartUploadResult", &body)?;
        match answer.into_iter().find(|(path, _)| path == "UploadId") {
            Some((_, id)) if !id.is_empty() => Ok(id),
            _ => Err(DriveError::bad_answer(op, "no UploadId")),
        }
    }

    /// Sends part `number` (1..=10000); its SHA-256 is signed. The receipt's tag is the ETag as
    /// the store spells it.
    pub async fn put_part(
        &self,
        credentials: &OssCredentials,
        upload_id: &str,
        number: u32,
        bytes: Bytes,
    ) -> Result<PartReceipt> {
        let op = "oss_put_part";
        let size = bytes.len() as u64;
        let part = number.to_string();
        let query = [("partNumber", part.as_str()), ("uploadId", upload_id)];
        let call = Call {
            content_type: "application/octet-stream",
            body: bytes,
            ..call(op, Method::PUT, &query)
        };
        let answer = self.send(credentials, call).await?;
        let tag = answer.header("etag").map(str::to_owned);
        // Read to its end, so that the connection is kept.
        answer.bytes(ANSWER_LIMIT).await?;
        Ok(PartReceipt {
            number,
            size,
            tag: tag.ok_or_else(|| DriveError::bad_answer(op, "no ETag"))?,
        })
    }

    /// The parts the store has, by number.
    ///
    /// # Errors
    /// `NotFound` when the upload is gone.
    pub async fn list_parts(
        &self,
        credentials: &OssCredentials,
        upload_id: &str,
    ) -> Result<Vec<PartReceipt>> {
        let op = "oss_list_parts";
        let mut parts = Vec::new();
        let mut marker = String::new();
        loop {
            let mut query = vec![("uploadId", upload_id), ("max-parts", PAGE)];
            if !marker.is_empty() {
                query.push(("part-number-marker", &marker));
            }
            let body = self.ask(credentials, call(op, Method::GET, &query)).await?;
            let answer = document(op, "ListPartsResult", &body)?;
            parts.append(
                &mut parts_of(&answer)
                    .ok_or_else(|| DriveError::bad_answer(op, "a broken part"))?,
            );
            let field = |name: &str| {
                let found = answer.iter().find(|(path, _)| path == name);
                found.map_or("", |(_, text)| text.as_str())
            };
            let next = field("NextPartNumberMarker").to_owned();
            let more = field("IsTruncated").eq_ignore_ascii_case("true");
            // A marker that does not advance would never end.
            if !more || next.is_empty() || next == marker || parts.len() > 10_000 {
                parts.sort_by_key(|part: &PartReceipt| part.number);
                parts.dedup_by_key(|part| part.number);
                return Ok(parts);
            }
            marker = next;
        }
    }

    /// Joins the parts into the object. Its status tells how it went: the answer may be the
    /// service's own (section 7).
    ///
    /// # Errors
    /// `NotFound` when the upload is gone, which may mean that it is complete; code
    /// `CallbackFailed` (HTTP 203): the object is there, but the service was not told.
    pub async fn complete(
        &self,
        credentials: &OssCredentials,
        upload_id: &str,
        parts: &[PartReceipt],
    ) -> Result<()> {
        let query = [("uploadId", upload_id)];
        let call = Call {
            content_type: "application/xml",
            body: Bytes::from(complete_body(parts)),
            ..call("oss_complete", Method::POST, &query)
        };
        let answer = self.ask(credentials, call).await?;
        // The store may find its error after it has begun to answer with 200.
        match oss::element(&answer, "Code") {
            Some(_) => Err(error_of("oss_complete", 500, &answer)),
            None => Ok(()),
        }
    }

    /// Uploads the whole object in one request.
    ///
    /// # Errors
    /// As [`Object::complete`].
    pub async fn put(&self, credentials: &OssCredentials, bytes: Bytes) -> Result<()> {
        let call = Call {
            content_type: "application/octet-stream",
            body: bytes,
            ..call("oss_put_object", Method::PUT, &[])
        };
        self.ask(credentials, call).await.map(drop)
    }

    /// Drops an upload and its parts. One that is gone is a success.
    pub async fn abort(&self, credentials: &OssCredentials, upload_id: &str) -> Result<()> {
        let query = [("uploadId", upload_id)];
        let call = call("oss_abort", Method::DELETE, &query);
        match self.ask(credentials, call).await {
            Err(error) if error.kind != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    async fn ask(&self, credentials: &OssCredentials, call: Call<'_>) -> Result<Bytes> {
        let answer = self.send(credentials, call).await?;
        Ok(answer.bytes(ANSWER_LIMIT).await?)
    }

    async fn send(&self, credentials: &OssCredentials, call: Call<'_>) -> Result<Response> {
        let date = amz_date(self.client.clock().now_ms())?;
        let payload = sha256_hex(&call.body);
        let query = query_text(call.query);
        let authorization = Signing {
            method: call.method.as_str(),
            host: &self.host,
            path: &self.path,
            query: &query,
            payload: &payload,
            date: &date,
            credentials,
        }
        .authorization();
        let url = match query.as_str() {
            "" => self.url.clone(),
            query => format!("{}?{query}", self.url),
        };
        let mut request = Request::new(call.op, call.method, url)
            .class("upload")
            .deadlines(Deadlines::UPLOAD)
            .bytes(call.body)
            .header("x-amz-content-sha256", &payload)
            .header("x-amz-date", &date);
        if !call.content_type.is_empty() {
            request = request.header("content-type", call.content_type);
        }
        let secret = [
            (AUTHORIZATION, authorization.as_str()),
            (
                HeaderName::from_static("x-amz-security-token"),
                credentials.token.expose(),
            ),
        ];
        for (name, value) in secret {
            let mut value = HeaderValue::from_str(value).map_err(|_| {
                DriveError::bad_answer(call.op, format!("{name} cannot stand in a header"))
            })?;
            value.set_sensitive(true);
            request.headers.insert(name, value);
        }
        let response = self.client.send(request).await?;
        let status = response.status.as_u16();
        // 203: stored, but the service was not told.
        if response.status.is_success() && status != 203 {
            return Ok(response);
        }
        let body = response.bytes(64 << 10).await.unwrap_or_default();
        Err(error_of(call.op, status, &body))
    }
}

fn call<'a>(op: &'static str, method: Method, query: &'a [(&'a str, &'a str)]) -> Call<'a> {
    Call {
        op,
        method,
        query,
        content_type: "",
        body: Bytes::new(),
    }
}

/// The error of an answer: the shared table, and the names that this kind of signature adds.
fn error_of(op: &str, status: u16, body: &[u8]) -> DriveError {
    let error = oss::error_of(op, status, body);
    let (kind, retry, effect) = match error.code.as_deref() {
        Some("ExpiredToken" | "InvalidToken" | "TokenRefreshRequired") => {
            (ErrorKind::Auth, Retry::Never, AccountEffect::Refresh)
        }
        Some("XAmzContentSHA256Mismatch" | "IncompleteBody") => {
            (ErrorKind::Network, Retry::Backoff, AccountEffect::None)
        }
        Some("SlowDown") => (ErrorKind::RateLimited, Retry::Backoff, AccountEffect::None),
        _ => return error,
    };
    DriveError {
        kind,
        retry,
        account: effect,
        ..error
    }
}

/// The body of `complete`: parts in ascending order, ETags in their quotes.
fn complete_body(parts: &[PartReceipt]) -> String {
    let mut parts: Vec<_> = parts.iter().collect();
    parts.sort_by_key(|part| part.number);
    let mut body = String::from("<CompleteMultipartUpload>");
    for part in parts {
        let tag = quick_xml::escape::escape(part.tag.trim_matches('"'));
        body.push_str(&format!(
            "<Part><PartNumber>{}</PartNumber><ETag>\"{tag}\"</ETag></Part>",
            part.number
        ));
    }
    body.push_str("</CompleteMultipartUpload>");
    body
}

/// The texts of a document whose root is `root`, by their path below it (`Part/ETag`), in order.
fn document(op: &str, root: &str, bytes: &[u8]) -> Result<Vec<(String, String)>> {
    let text = std::str::from_utf8(bytes).ok();
    match text.and_then(texts) {
        Some((name, texts)) if name == root => Ok(texts),
        _ => Err(DriveError::bad_answer(
            op,
            format!("the answer is no <{root}>"),
        )),
    }
}

fn texts(document: &str) -> Option<(String, Vec<(String, String)>)> {
    let mut reader = Reader::from_str(document);
    let mut open: Vec<(String, String)> = Vec::new();
    let mut root = None;
    let mut found = Vec::new();
    loop {
        match reader.read_event().ok()? {
            // Deeper documents are not the store's.
            Event::Start(_) if open.len() > 8 => return None,
            Event::Start(start) => {
                open.push((start.local_name().as_ref().to_owned(), String::new()));
            }
            Event::End(_) => {
                let (name, text) = open.pop()?;
                let above = open.iter().skip(1).map(|(name, _)| name.as_str());
                let path: Vec<&str> = above.chain([name.as_str()]).collect();
                if open.is_empty() {
                    root = Some(name);
                } else {
                    found.push((path.join("/"), text.trim().to_owned()));
                }
            }
            Event::Text(text) => {
                if let Some((_, top)) = open.last_mut() {
                    top.push_str(&text.xml_content(XmlVersion::Implicit1_0));
                }
            }
            Event::GeneralRef(reference) => {
                if let Some((_, top)) = open.last_mut() {
                    match reference.resolve_char_ref().ok()? {
                        Some(c) => top.push(c),
                        None => top.push_str(resolve_predefined_entity(&reference)?),
                    }
                }
            }
            Event::Eof => return root.filter(|_| open.is_empty()).map(|root| (root, found)),
            _ => {}
        }
    }
}

/// The parts of a `ListPartsResult`; `None` when one is broken.
fn parts_of(texts: &[(String, String)]) -> Option<Vec<PartReceipt>> {
    let mut parts = Vec::new();
    let (mut number, mut size, mut tag) = (None, None, String::new());
    for (path, text) in texts {
        match path.as_str() {
            "Part/PartNumber" => number = Some(text.parse().ok()?),
            "Part/Size" => size = Some(text.parse().ok()?),
            "Part/ETag" => tag.clone_from(text),
            // Its end comes after what is in it.
            "Part" => parts.push(PartReceipt {
                number: number.take()?,
                size: size.take()?,
                tag: std::mem::take(&mut tag),
            }),
            _ => {}
        }
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read() {
        let text = br#"<?xml version="1.0"?><ListPartsResult xmlns="x"><IsTruncated>false</IsTruncated>
            <Part><PartNumber>1</PartNumber><ETag>&quot;AB&#34;</ETag><Size>5</Size></Part>
            <Part><Size>6</Size><ETag>"C"</ETag><PartNumber>2</PartNumber></Part></ListPartsResult>"#;
        let parts = parts_of(&document("t", "ListPartsResult", text).unwrap()).unwrap();
        let seen: Vec<_> = parts
            .iter()
            .map(|part| (part.number, part.size, part.tag.as_str()))
            .collect();
        assert_eq!(seen, [(1, 5, "\"AB\""), (2, 6, "\"C\"")]);
        let body = complete_body(&parts);
        assert!(body.contains("<PartNumber>1</PartNumber><ETag>\"AB\"</ETag>"));
        let broken = b"<ListPartsResult><Part><Size>6</Size></Part></ListPartsResult>";
        let texts = document("t", "ListPartsResult", broken).unwrap();
        assert!(parts_of(&texts).is_none());
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for broken in ["", "{}", "<a><b></a>", "<a>", "<b/>", "<b></b>"] {
            assert!(document("t", "a", broken.as_bytes()).is_err(), "{broken}");
        }
        assert_eq!(document("t", "a", b"<a></a>").unwrap(), []);
    }

    #[test]
    fn a_refused_key_and_a_damaged_body_are_told_apart() {
        let of = |code: &str| {
            let body = format!("<Error><Code>{code}</Code></Error>");
            error_of("t", 403, body.as_bytes())
        };
        assert_eq!(of("ExpiredToken").account, AccountEffect::Refresh);
        assert_eq!(of("SecurityTokenExpired").account, AccountEffect::Refresh);
        assert_eq!(of("XAmzContentSHA256Mismatch").retry, Retry::Backoff);
        assert_eq!(of("SignatureDoesNotMatch").retry, Retry::Never);
    }
}
