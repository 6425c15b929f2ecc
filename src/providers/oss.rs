//! Uploads into Aliyun's object store with a provider's session key: 115 and PikPak use it
//! (sheets 115_open 7, pikpak 7). Quark and UC, who sign every request themselves, share its
//! addresses, dates and errors.
//!
//! | file | what is in it |
//! |---|---|
//! | `address` | addresses of objects and queries |
//! | `sign` | signature V1, header form |
//! | `xml` | the store's XML documents |
//!
//! Nothing here retries: an error says whether it may be tried again, and
//! [`AccountEffect::Refresh`] means that the session key is refused, so that the driver fetches
//! another one and asks again. The key may change in the middle of an upload.

mod address;
mod sign;
mod xml;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use md5::{Digest, Md5};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};

use crate::drive::{AccountEffect, DriveError, ErrorKind, PartReceipt, Result};
use crate::net::{Client, Deadlines, Request, Response, Retry, Secret};

pub use address::object_url;
use address::with_query;
use sign::Signed;
use xml::complete_body;

/// A session key handed out by the provider.
#[derive(Clone, Debug)]
pub struct OssCredentials {
    /// `AccessKeyId`.
    pub access_key_id: Secret,
    /// `AccessKeySecret`.
    pub access_key_secret: Secret,
    /// `SecurityToken`.
    pub token: Secret,
}

/// What the store tells the provider when an upload is complete. Both texts exactly as received:
/// they hold `${...}` placeholders for the store.
#[derive(Clone, Copy, Debug)]
pub struct OssCallback<'a> {
    /// The callback description (JSON text).
    pub callback: &'a str,
    /// Its custom variables (JSON text).
    pub variables: &'a str,
}

/// One object to be uploaded.
#[derive(Clone)]
pub struct OssUpload {
    client: Client,
    url: String,
    bucket: String,
    key: String,
}

/// Most bytes of an answer that are read.
const ANSWER_LIMIT: usize = 4 << 20;

impl OssUpload {
    /// An object `key` (not encoded) in `bucket` at `endpoint`, see [`object_url`]. Requests go
    /// in the rate class `upload` of `client`.
    ///
    /// # Errors
    /// `BadAnswer` for an endpoint, bucket or key that makes no address.
    pub fn new(client: Client, endpoint: &str, bucket: &str, key: &str) -> Result<OssUpload> {
        Ok(OssUpload {
            client,
            url: object_url(endpoint, bucket, key)?,
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        })
    }

    /// Opens a multipart upload and returns its id. With `sequential` the store hashes the whole
    /// object (115 demands it) and takes parts in order only. A lost answer leaves an invisible
    /// upload that the store drops by itself, so this may be repeated.
    ///
    /// # Errors
    /// Transport errors and the store's.
    pub async fn initiate(&self, credentials: &OssCredentials, sequential: bool) -> Result<String> {
        let query: &[_] = if sequential {
            &[("sequential", ""), ("uploads", "")]
        } else {
            &[("uploads", "")]
        };
        let call = Call {
            op: "oss_initiate",
            query,
            ..Call::new(Method::POST)
        };
        let body = self.ask(credentials, call).await?;
        let answer = xml::parse("oss_initiate", "InitiateMultipartUploadResult", &body)?;
        match answer.child("UploadId") {
            "" => Err(DriveError::bad_answer("oss_initiate", "no UploadId")),
            id => Ok(id.to_owned()),
        }
    }

    /// Sends part `number` (1..=10000) with its MD5, which the store checks. The receipt's tag
    /// is the ETag as the store spells it, quotes included. A part that a sequential upload has
    /// already (`PartAlreadyExist`) is a success when it is the same.
    ///
    /// # Errors
    /// Transport errors and the store's; `NotFound` when the upload is gone.
    pub async fn put_part(
        &self,
        credentials: &OssCredentials,
        upload_id: &str,
        number: u32,
        bytes: Bytes,
    ) -> Result<PartReceipt> {
        let size = bytes.len() as u64;
        let digest = Md5::digest(&bytes);
        let md5 = STANDARD.encode(digest);
        let part = number.to_string();
        let call = Call {
            op: "oss_put_part",
            query: &[("partNumber", &part), ("uploadId", upload_id)],
            content_type: "application/octet-stream",
            content_md5: &md5,
            body: bytes,
            ..Call::new(Method::PUT)
        };
        let answer = match self.send(credentials, call).await {
            Ok(answer) => answer,
            Err(error) if error.kind == ErrorKind::Exists => {
                let mine: String = digest.iter().map(|byte| format!("{byte:02X}")).collect();
                return self
                    .list_parts(credentials, upload_id)
                    .await?
                    .into_iter()
                    .find(|there| {
                        there.number == number
                            && there.size == size
                            && there.tag.trim_matches('"').eq_ignore_ascii_case(&mine)
                    })
                    .ok_or(error);
            }
            Err(error) => return Err(error),
        };
        let tag = answer.header("etag").map(str::to_owned);
        // Read to its end, so that the connection is kept.
        answer.bytes(ANSWER_LIMIT).await?;
        Ok(PartReceipt {
            number,
            size,
            tag: tag.ok_or_else(|| DriveError::bad_answer("oss_put_part", "no ETag"))?,
        })
    }

    /// The parts the store has, by number.
    ///
    /// # Errors
    /// Transport errors and the store's; `NotFound` when the upload is gone.
    pub async fn list_parts(
        &self,
        credentials: &OssCredentials,
        upload_id: &str,
    ) -> Result<Vec<PartReceipt>> {
        let mut parts = Vec::new();
        let mut marker = "0".to_owned();
        loop {
            let call = Call {
                op: "oss_list_parts",
                query: &[
                    ("uploadId", upload_id),
                    ("max-parts", "1000"),
                    ("part-number-marker", &marker),
                ],
                ..Call::new(Method::GET)
            };
            let body = self.ask(credentials, call).await?;
            let answer = xml::parse("oss_list_parts", "ListPartsResult", &body)?;
            for part in answer.children("Part") {
                let (Ok(number), Ok(size)) =
                    (part.child("PartNumber").parse(), part.child("Size").parse())
                else {
                    return Err(DriveError::bad_answer("oss_list_parts", "a broken part"));
                };
                parts.push(PartReceipt {
                    number,
                    size,
                    tag: part.child("ETag").to_owned(),
                });
            }
            let next = answer.child("NextPartNumberMarker");
            let more = answer.child("IsTruncated").eq_ignore_ascii_case("true");
            // A marker that does not advance would never end.
            if !more || next.is_empty() || next == marker || parts.len() > 10_000 {
                parts.sort_by_key(|part: &PartReceipt| part.number);
                parts.dedup_by_key(|part| part.number);
                return Ok(parts);
            }
            marker = next.to_owned();
        }
    }

    /// Joins the parts into the object. The answer's body is the provider's callback answer,
    /// or the store's own XML without a callback. `parts` in any order.
    ///
    /// # Errors
    /// Transport errors and the store's: `NotFound` when the upload is gone, which may mean that
    /// it is complete; code `CallbackFailed` (HTTP 203): the object is there, but the provider
    /// was not told.
    pub async fn complete(
        &self,
        credentials: &OssCredentials,
        upload_id: &str,
        parts: &[PartReceipt],
        callback: Option<OssCallback<'_>>,
    ) -> Result<Bytes> {
        let call = Call {
            op: "oss_complete",
            query: &[("uploadId", upload_id)],
            content_type: "text/xml",
            callback,
            body: Bytes::from(complete_body(parts)),
            ..Call::new(Method::POST)
        };
        self.ask(credentials, call).await
    }

    /// Uploads the whole object in one request (the only way for an empty one). The answer is as
    /// in [`OssUpload::complete`].
    ///
    /// # Errors
    /// As [`OssUpload::complete`].
    pub async fn put_object(
        &self,
        credentials: &OssCredentials,
        bytes: Bytes,
        callback: Option<OssCallback<'_>>,
    ) -> Result<Bytes> {
        let md5 = STANDARD.encode(Md5::digest(&bytes));
        let call = Call {
            op: "oss_put_object",
            content_type: "application/octet-stream",
            content_md5: &md5,
            callback,
            body: bytes,
            ..Call::new(Method::PUT)
        };
        self.ask(credentials, call).await
    }

    /// Drops an upload and its parts, and tells whether it was still there. One that is gone is a
    /// success: it was dropped before, or joined.
    ///
    /// # Errors
    /// Transport errors and the store's.
    pub async fn abort(&self, credentials: &OssCredentials, upload_id: &str) -> Result<bool> {
        let call = Call {
            op: "oss_abort",
            query: &[("uploadId", upload_id)],
            ..Call::new(Method::DELETE)
        };
        match self.ask(credentials, call).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The body of a successful answer.
    async fn ask(&self, credentials: &OssCredentials, call: Call<'_>) -> Result<Bytes> {
        let answer = self.send(credentials, call).await?;
        Ok(answer.bytes(ANSWER_LIMIT).await?)
    }

    async fn send(&self, credentials: &OssCredentials, call: Call<'_>) -> Result<Response> {
        let date = http_date(self.client.clock().now_ms())?;
        let encoded = call
            .callback
            .map(|c| (STANDARD.encode(c.callback), STANDARD.encode(c.variables)));
        let mut headers = Vec::new();
        if let Some((callback, variables)) = &encoded {
            headers.push(("x-oss-callback", callback.as_str()));
            headers.push(("x-oss-callback-var", variables.as_str()));
        }
        if !credentials.token.is_empty() {
            headers.push(("x-oss-security-token", credentials.token.expose()));
        }
        let authorization = Signed {
            method: call.method.as_str(),
            content_md5: call.content_md5,
            content_type: call.content_type,
            date: &date,
            headers: &headers,
            bucket: &self.bucket,
            key: &self.key,
            query: call.query,
        }
        .authorization(credentials);

        let mut request = Request::new(call.op, call.method, with_query(&self.url, call.query))
            .class("upload")
            .deadlines(Deadlines::UPLOAD)
            .bytes(call.body)
            .header("date", &date);
        for (name, value) in [
            ("content-type", call.content_type),
            ("content-md5", call.content_md5),
        ] {
            if !value.is_empty() {
                request = request.header(name, value);
            }
        }
        let authorization = (AUTHORIZATION, authorization.as_str());
        for (name, value) in headers
            .into_iter()
            .map(|(name, value)| (HeaderName::from_static(name), value))
            .chain([authorization])
        {
            let mut value = HeaderValue::from_str(value).map_err(|_| {
                DriveError::bad_answer(call.op, format!("{name} cannot stand in a header"))
            })?;
            value.set_sensitive(true);
            request.headers.insert(name, value);
        }
        let response = self.client.send(request).await?;
        let status = response.status.as_u16();
        if response.status.is_success() && status != 203 {
            return Ok(response);
        }
        let body = response.bytes(64 << 10).await.unwrap_or_default();
        Err(error_of(call.op, status, &body))
    }
}

/// One request.
struct Call<'a> {
    op: &'static str,
    method: Method,
    query: &'a [(&'a str, &'a str)],
    content_type: &'a str,
    content_md5: &'a str,
    callback: Option<OssCallback<'a>>,
    body: Bytes,
}

impl Call<'_> {
    fn new(method: Method) -> Self {
        Call {
            op: "oss",
            method,
            query: &[],
            content_type: "",
            content_md5: "",
            callback: None,
            body: Bytes::new(),
        }
    }
}

/// A `Date` header: the wall time `now_ms` (milliseconds since the epoch) in GMT.
///
/// # Errors
/// `Invalid` for a time that no calendar has.
pub fn http_date(now_ms: i64) -> Result<String> {
    jiff::Timestamp::from_millisecond(now_ms)
        .and_then(|time| {
            jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&time)
        })
        .map_err(|_| DriveError::new(ErrorKind::Invalid, "the machine's clock is out of range"))
}

/// The text of a child of the root of one of the store's error documents, such as the ETag of a
/// part that is there already (`PartEtag`).
pub fn element(body: &[u8], name: &str) -> Option<String> {
    let document = xml::parse("object store", "Error", body).ok()?;
    Some(document.child(name).to_owned()).filter(|text| !text.is_empty())
}

/// The error that an answer of the store with this status and error document stands for.
pub fn error_of(op: &str, status: u16, body: &[u8]) -> DriveError {
    use ErrorKind as K;
    let document = xml::parse(op, "Error", body).unwrap_or_default();
    let code = document.child("Code");
    let mut effect = AccountEffect::None;
    let (kind, again) = match code {
        "InvalidAccessKeyId" | "SecurityTokenExpired" | "InvalidSecurityToken" => {
            effect = AccountEffect::Refresh;
            (K::Auth, Retry::Never)
        }
        "NoSuchUpload" | "NoSuchKey" | "NoSuchBucket" => (K::NotFound, Retry::Never),
        "PartAlreadyExist" | "FileAlreadyExists" => (K::Exists, Retry::Never),
        "EntityTooLarge" => (K::TooLarge, Retry::Never),
        "RequestTimeTooSkewed" => (K::Auth, Retry::Never),
        "CallbackFailed" => (K::Provider, Retry::Never),
        // The body was damaged on its way.
        "InvalidDigest" | "BadDigest" => (K::Network, Retry::Backoff),
        _ => match status {
            401 | 403 => (K::Auth, Retry::Never),
            404 => (K::NotFound, Retry::Never),
            408 => (K::Timeout, Retry::Backoff),
            413 => (K::TooLarge, Retry::Never),
            429 => (K::RateLimited, Retry::Backoff),
            400..=499 => (K::Invalid, Retry::Never),
            500..=599 => (K::Provider, Retry::Backoff),
            _ => (K::BadAnswer, Retry::Never),
        },
    };
    // A 404 that is no document of the store is some gateway's.
    let kind = match kind {
        K::NotFound if code.is_empty() => K::BadAnswer,
        kind => kind,
    };
    let hint = match code {
        "RequestTimeTooSkewed" => "; set this machine's clock",
        _ => "",
    };
    let error = DriveError::new(kind, format!("{op}: HTTP {status} {code}{hint}"))
        .retry(again)
        .effect(effect);
    if code.is_empty() {
        error
    } else {
        error.code(code)
    }
}

#[cfg(test)]
mod tests;
