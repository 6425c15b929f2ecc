//! The object store: every request is signed by the service, which is shown the text to sign
//! (sheet quark, 7.1 to 7.3).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use md5::{Digest, Md5};
use serde_json::json;

use super::api::{Api, Call};
use super::upload::Ticket;
use crate::drive::{DriveError, ErrorKind, Result, decode, patience};
use crate::fingerprint::{hex_upper, md5_from_etag};
use crate::net::{Deadlines, Request, Response, Retry, retry};
use crate::providers::oss;

/// The client that the text to sign names.
const AGENT: &str = "aliyun-sdk-js/6.6.1 Chrome 98.0.4758.80 on Windows 10 64-bit";

/// The type of every file: `Content-Type` of its parts, and what the service was told.
pub const MIME: &str = "application/octet-stream";

/// Where something is put, for the text to sign.
struct Place<'a> {
    bucket: &'a str,
    key: &'a str,
    upload_id: &'a str,
}

impl<'a> Place<'a> {
    fn of(ticket: &'a Ticket) -> Place<'a> {
        Place {
            bucket: &ticket.bucket,
            key: &ticket.key,
            upload_id: &ticket.upload_id,
        }
    }

    /// The text of a part. `state` is the SHA-1 state before it.
    fn part_text(&self, mime: &str, date: &str, number: u32, state: Option<&str>) -> String {
        let state = state.map_or_else(String::new, |state| format!("x-oss-hash-ctx:{state}\n"));
        format!(
            "PUT\n\n{mime}\n{date}\nx-oss-date:{date}\n{state}x-oss-user-agent:{AGENT}\n/{}/{}?partNumber={number}&uploadId={}",
            self.bucket, self.key, self.upload_id
        )
    }

    /// The text of the end. `md5` and `callback` as their headers have them.
    fn complete_text(&self, md5: &str, date: &str, callback: &str) -> String {
        format!(
            "POST\n{md5}\napplication/xml\n{date}\nx-oss-callback:{callback}\nx-oss-date:{date}\nx-oss-user-agent:{AGENT}\n/{}/{}?uploadId={}",
            self.bucket, self.key, self.upload_id
        )
    }
}

/// The list of parts that ends an upload. ETags in their quotes, in the order of the parts.
fn complete_body<'a>(etags: impl Iterator<Item = (u32, &'a str)>) -> String {
    let mut body =
        String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<CompleteMultipartUpload>\n");
    for (number, etag) in etags {
        let etag = etag.trim_matches('"');
        let etag = quick_xml::escape::partial_escape(etag);
        body.push_str(&format!(
            "<Part>\n<PartNumber>{number}</PartNumber>\n<ETag>\"{etag}\"</ETag>\n</Part>\n"
        ));
    }
    body.push_str("</CompleteMultipartUpload>");
    body
}

/// Asks for the signature of a text. Once per request: it lives for minutes.
async fn sign(api: &Api, ticket: &Ticket, text: &str) -> Result<String> {
    let body = json!({
        "auth_info": ticket.auth_info,
        "auth_meta": text,
        "task_id": ticket.task_id,
    });
    let call = Call::post("auth", "/file/upload/auth", body).class("sign");
    let answer = api.once(&call).await?.value;
    decode::nonempty(&answer["data"]["auth_key"])
        .ok_or_else(|| DriveError::bad_answer("auth", "no auth_key"))
}

/// A signed request to the object.
async fn signed(
    api: &Api,
    ticket: &Ticket,
    request: Request,
    text: &str,
    date: &str,
) -> Result<Response> {
    let authorization = sign(api, ticket, text).await?;
    let request = request
        .class("upload")
        .deadlines(Deadlines::UPLOAD)
        .header("authorization", &authorization)
        .header("x-oss-date", date)
        .header("x-oss-user-agent", AGENT)
        .header("referer", &format!("{}/", api.brand.site));
    Ok(api.client.send(request).await?)
}

fn object(api: &Api, ticket: &Ticket) -> Result<String> {
    let endpoint = api.oss.as_deref().unwrap_or(&ticket.endpoint);
    oss::object_url(endpoint, &ticket.bucket, &ticket.key)
}

/// Sends a part and returns its ETag. A part that is there already is a success when it is the
/// same.
pub async fn put_part(
    api: &Api,
    ticket: &Ticket,
    number: u32,
    state: Option<&str>,
    bytes: Bytes,
) -> Result<String> {
    let mine = hex_upper(&Md5::digest(&bytes));
    retry(patience(), || {
        put_once(api, ticket, number, state, bytes.clone(), &mine)
    })
    .await
}

async fn put_once(
    api: &Api,
    ticket: &Ticket,
    number: u32,
    state: Option<&str>,
    bytes: Bytes,
    mine: &str,
) -> Result<String> {
    let date = oss::http_date(api.now())?;
    let text = Place::of(ticket).part_text(MIME, &date, number, state);
    let mut request = Request::put("part", object(api, ticket)?)
        .query("partNumber", &number.to_string())
        .query("uploadId", &ticket.upload_id)
        .header("content-type", MIME)
        .bytes(bytes);
    if let Some(state) = state {
        request = request.header("x-oss-hash-ctx", state);
    }
    let response = signed(api, ticket, request, &text, &date).await?;
    let status = response.status.as_u16();
    let told = response.header("etag").map(str::to_owned);
    let good = response.status.is_success();
    let body = response.bytes(64 << 10).await?;
    let etag = if good {
        told.ok_or_else(|| DriveError::bad_answer("part", "no ETag"))?
    } else {
        let error = refusal("part", status, &body);
        if error.kind != ErrorKind::Exists {
            return Err(error);
        }
        oss::element(&body, "PartEtag").unwrap_or_else(|| format!("\"{mine}\""))
    };
    // The ETag of a part is its MD5 (sheet quark, 5).
    match md5_from_etag(&etag) {
        Some(theirs) if !theirs.eq_ignore_ascii_case(mine) => Err(DriveError::new(
            ErrorKind::Verification,
            format!("part {number}: the object store has other bytes than were sent"),
        )),
        _ => Ok(etag),
    }
}

/// How the end of an upload went.
#[derive(Debug, PartialEq, Eq)]
pub enum Completed {
    /// The object is there.
    Done,
    /// The store does not know the upload any more: it is complete, or dropped.
    Gone,
}

/// Joins the parts. `etags` in the order of the parts.
pub async fn complete(api: &Api, ticket: &Ticket, etags: &[(u32, String)]) -> Result<Completed> {
    let body = complete_body(etags.iter().map(|(number, etag)| (*number, etag.as_str())));
    retry(patience(), || complete_once(api, ticket, &body)).await
}

async fn complete_once(api: &Api, ticket: &Ticket, body: &str) -> Result<Completed> {
    let date = oss::http_date(api.now())?;
    let md5 = STANDARD.encode(Md5::digest(body));
    let callback = STANDARD.encode(&ticket.callback);
    let text = Place::of(ticket).complete_text(&md5, &date, &callback);
    let request = Request::post("complete", object(api, ticket)?)
        .query("uploadId", &ticket.upload_id)
        .header("content-type", "application/xml")
        .header("content-md5", &md5)
        .header("x-oss-callback", &callback)
        .bytes(Bytes::from(body.to_owned()));
    let response = signed(api, ticket, request, &text, &date).await?;
    let status = response.status.as_u16();
    // 203: the object is stored, the service was not told. The finish call tells it.
    if response.status.is_success() {
        response.bytes(1 << 20).await?;
        return Ok(Completed::Done);
    }
    let body = response.bytes(64 << 10).await?;
    match refusal("complete", status, &body) {
        error if error.kind == ErrorKind::NotFound => Ok(Completed::Gone),
        error => Err(error),
    }
}

/// What a refusal of the store means here (section 10).
fn refusal(op: &str, status: u16, body: &[u8]) -> DriveError {
    let error = oss::error_of(op, status, body);
    let code = error.code.clone().unwrap_or_default();
    match code.as_str() {
        // The signature ran out, or the service signed something else: signed again it may pass.
        "SignatureDoesNotMatch" | "AccessDenied" => error.retry(Retry::Backoff),
        "PartNotSequential" => DriveError {
            kind: ErrorKind::Invalid,
            ..error
        },
        "ContextCompareFailed" | "InvalidPart" => DriveError {
            kind: ErrorKind::Verification,
            ..error.retry(Retry::Never)
        },
        "NoSuchUpload" => DriveError {
            message: format!("{op}: the upload session is over; the upload starts anew"),
            ..error
        },
        _ => error,
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
