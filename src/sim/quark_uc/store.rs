//! The part store, Aliyun OSS whose requests the API signs (sheet quark, section 7).

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::account::{Account, dropped};
use super::super::body::{ReceiveError, Unread, drain, receive, set};
use super::super::clock::{Clock, parse_rfc1123};
use super::super::content::Blob;
use super::super::digest::HashKind;
use super::super::faults::FaultKind;
use super::super::oss::multipart::{MAX_PART, content_md5_fits, etag_of};
use super::super::oss::sign::{hmac_sha1, parse_query, string_to_sign, value};
use super::super::oss::{OssError, parse_parts, xml};
use super::QuarkUc;
use super::gate::header;
use super::prefix::Prefix;
use super::upload::{ACCESS_KEY, Stage, Upload};

/// Tolerated difference between a request's date and the server's.
const MAX_SKEW_MS: i64 = 15 * 60 * 1000;

/// A request to the store.
struct Call<'a> {
    method: &'a str,
    op: &'static str,
    bucket: &'a str,
    key: &'a str,
    query: Vec<(String, String)>,
    headers: &'a HeaderMap,
}

impl Call<'_> {
    fn upload_id(&self) -> &str {
        value(&self.query, "uploadId").unwrap_or("")
    }

    fn part_number(&self) -> u32 {
        let number = value(&self.query, "partNumber").and_then(|text| text.parse().ok());
        number.unwrap_or(0)
    }

    fn names(&self, upload: &Upload) -> bool {
        upload.upload_id == self.upload_id()
            && upload.bucket == self.bucket
            && upload.key == self.key
    }
}

fn no_such_upload() -> OssError {
    OssError::new(404, "NoSuchUpload", "The specified upload does not exist.")
}

fn context_failed() -> OssError {
    let text = "The hash context does not fit the parts before this one.";
    OssError::new(400, "ContextCompareFailed", text)
}

fn invalid(text: &str) -> OssError {
    OssError::new(400, "InvalidArgument", text)
}

/// 409 with the ETag of the part that is there.
fn part_exists(number: u32, etag: &str) -> Response {
    xml(
        409,
        format!(
            "<Error><Code>PartAlreadyExist</Code><Message>For sequential multipart upload, you \
             can't overwrite uploaded parts.</Message><PartNumber>{number}</PartNumber>\
             <PartEtag>&quot;{etag}&quot;</PartEtag></Error>"
        ),
    )
}

impl QuarkUc {
    /// A request to `BUCKET/KEY`.
    pub(super) async fn store(&self, parts: &Parts, object: &str, body: Body) -> Response {
        let (bucket, key) = object.split_once('/').unwrap_or((object, ""));
        let query = parse_query(parts.uri.query().unwrap_or(""));
        let op = match (parts.method.as_str(), value(&query, "partNumber").is_some()) {
            ("PUT", true) => "part",
            ("POST", false) => "complete",
            _ => {
                drain(body).await;
                let text = "The specified method is not allowed against this resource.";
                return OssError::new(405, "MethodNotAllowed", text).into_response();
            }
        };
        let call = Call {
            method: parts.method.as_str(),
            op,
            bucket,
            key,
            query,
            headers: &parts.headers,
        };
        let account = {
            let state = self.state();
            let mut uploads = state.uploads.values();
            let upload = uploads.find(|upload| call.names(upload));
            upload.map(|upload| upload.account.clone())
        };
        let Some(account) = account else {
            drain(body).await;
            return no_such_upload().into_response();
        };
        let body = Unread::new(body);
        let work = async {
            if let Err(error) = self.check(&call, &account) {
                body.drain().await;
                return error.into_response();
            }
            let done = match op {
                "part" => self.put_part(&call, &account, body.take()).await,
                _ => self.complete(&call, &account, body.take()).await,
            };
            done.unwrap_or_else(IntoResponse::into_response)
        };
        let errno = |arg: &str| OssError::new(403, arg, "injected fault").into_response();
        let answer = account.serve_transfer(op, errno, work).await;
        body.drain().await;
        answer
    }

    /// Signature, date, and what must not be sent.
    fn check(&self, call: &Call<'_>, account: &Account) -> Result<(), OssError> {
        if call.headers.contains_key("cookie") {
            // The account's cookie does not belong here: one that is sent is a leak.
            return Err(invalid("A cookie is not accepted here."));
        }
        let text = string_to_sign(
            call.method,
            call.headers,
            call.bucket,
            call.key,
            &call.query,
        );
        let wanted = format!("OSS {}:{}", ACCESS_KEY.0, hmac_sha1(ACCESS_KEY.1, &text));
        let sent = header(call.headers, "authorization");
        if sent.is_empty() {
            let text = "Anonymous access is forbidden for this operation.";
            return Err(OssError::new(403, "AccessDenied", text));
        }
        if sent != wanted {
            return Err(OssError::bad_signature(&text));
        }
        let date = parse_rfc1123(header(call.headers, "x-oss-date"));
        // The client's clock may be the system's or the world's: either is right.
        let near = |now: i64| date.is_some_and(|date| (now - date).abs() <= MAX_SKEW_MS);
        let in_time = near(Clock::real_ms()) || near(self.kit.clock.now_ms());
        let late = account
            .faults
            .take(call.op, FaultKind::ExpireLink)
            .is_some();
        if late || !in_time {
            let text = "The difference between the request time and the current time is too large.";
            return Err(OssError::new(403, "RequestTimeTooSkewed", text));
        }
        Ok(())
    }

    /// Runs `work` on the open upload that a call names.
    fn session<T>(
        &self,
        call: &Call<'_>,
        work: impl FnOnce(&mut Upload) -> T,
    ) -> Result<T, OssError> {
        let mut state = self.state();
        let mut uploads = state.uploads.values_mut();
        let upload = uploads.find(|upload| call.names(upload));
        let open = upload.filter(|upload| matches!(upload.stage, Stage::Open));
        open.map(work).ok_or_else(no_such_upload)
    }

    /// Whether part `number` may come now; `Some` is the answer when it is there already.
    fn admits(&self, call: &Call<'_>, number: u32) -> Result<Option<Response>, OssError> {
        self.session(call, |upload| {
            if let Some(part) = upload.parts.parts.get(&number) {
                return Ok(Some(part_exists(number, &part.etag)));
            }
            upload.parts.admits(number)?;
            let next = upload.parts.parts.len() as u64 + 1;
            if !upload.parallel && u64::from(number) != next {
                let text = "For sequential multipart upload, parts must be uploaded in order.";
                return Err(OssError::new(400, "PartNotSequential", text));
            }
            Ok(None)
        })?
    }

    async fn put_part(
        &self,
        call: &Call<'_>,
        account: &Arc<Account>,
        body: Body,
    ) -> Result<Response, OssError> {
        let number = call.part_number();
        let length = header(call.headers, "content-length").parse::<u64>();
        let admitted = match length {
            Ok(length) if length <= MAX_PART => self.admits(call, number),
            Ok(_) => Err(OssError::new(
                400,
                "EntityTooLarge",
                "The part is too large.",
            )),
            Err(_) => {
                let text = "You must provide the Content-Length HTTP header.";
                Err(OssError::new(411, "MissingContentLength", text))
            }
        };
        match admitted {
            Ok(None) => {}
            Ok(Some(there)) => {
                drain(body).await;
                return Ok(there);
            }
            Err(error) => {
                drain(body).await;
                return Err(error);
            }
        }
        let blob = match receive(account, call.op, body, MAX_PART).await {
            Ok(blob) => blob,
            Err(ReceiveError::Broken) => return Ok(dropped()),
            Err(ReceiveError::TooLong) => {
                return Err(OssError::new(
                    400,
                    "EntityTooLarge",
                    "The part is too large.",
                ));
            }
        };
        if !content_md5_fits(&blob, header(call.headers, "content-md5")).await {
            let text = "The Content-MD5 you specified is not valid.";
            return Err(OssError::new(400, "InvalidDigest", text));
        }
        let context = header(call.headers, "x-oss-hash-ctx").to_owned();
        let parallel = self.session(call, |upload| upload.parallel)?;
        if parallel && number > 1 {
            // With earlier parts missing it is compared at the end.
            match self.prefix_of(call, number)? {
                Some(Some(prefix)) if prefix.header() == context => {}
                None => {}
                _ => return Err(context_failed()),
            }
        }
        // Somebody else may have sent the same part meanwhile.
        if let Some(there) = self.admits(call, number)? {
            return Ok(there);
        }
        let etag = etag_of(&blob).await;
        let now = self.kit.clock.now_ms();
        self.session(call, |upload| {
            upload.contexts.insert(number, context);
            upload.parts.put(number, blob, etag.clone(), now)
        })??;
        let mut response = Response::new(Body::empty());
        set(&mut response, "etag", &format!("\"{etag}\""));
        Ok(response)
    }

    /// SHA-1 in front of a part: `None` while earlier parts are missing, `Some(None)` when they
    /// do not end at a block.
    fn prefix_of(&self, call: &Call<'_>, number: u32) -> Result<Option<Option<Prefix>>, OssError> {
        let (mut after, mut prefix, blobs) = self.session(call, |upload| {
            let known = upload.prefixes.range(..number).next_back();
            let (after, prefix) = known.map_or((0, Prefix::EMPTY), |(n, prefix)| (*n, *prefix));
            let parts = upload.parts.parts.range(after + 1..number);
            let blobs: Vec<(u32, Blob)> = parts.map(|(n, part)| (*n, part.blob.clone())).collect();
            (after, prefix, blobs)
        })?;
        for (n, blob) in blobs {
            if n != after + 1 {
                return Ok(None);
            }
            let Some(next) = prefix.and(&blob) else {
                return Ok(Some(None));
            };
            (after, prefix) = (n, next);
            self.session(call, |upload| upload.prefixes.insert(after, prefix))?;
        }
        Ok((after + 1 == number).then_some(Some(prefix)))
    }

    async fn complete(
        &self,
        call: &Call<'_>,
        account: &Arc<Account>,
        body: Body,
    ) -> Result<Response, OssError> {
        let Ok(bytes) = to_bytes(body, 8 << 20).await else {
            return Ok(dropped());
        };
        let document = Blob::bytes(bytes.clone());
        let md5 = header(call.headers, "content-md5");
        if md5.is_empty() || !content_md5_fits(&document, md5).await {
            let text = "The Content-MD5 you specified is not valid.";
            return Err(OssError::new(400, "InvalidDigest", text));
        }
        let list = parse_parts(&String::from_utf8_lossy(&bytes))?;
        let callback = STANDARD.decode(header(call.headers, "x-oss-callback")).ok();
        let callback = callback.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        let (joined, declared, size, parallel, contexts) = self.session(call, |upload| {
            if callback.as_ref() != Some(&upload.callback) {
                return Err(invalid(
                    "The callback configuration is not the one of the upload.",
                ));
            }
            // Without a `hash` call the store does not know the upload (section 6).
            let declared = upload.declared.clone().ok_or_else(no_such_upload)?;
            if !list
                .iter()
                .map(|(number, _)| *number)
                .eq(1..=list.len() as u32)
            {
                let text = "One or more of the specified parts could not be found.";
                return Err(OssError::new(400, "InvalidPart", text));
            }
            let joined = upload.parts.join(Some(&list))?;
            let contexts = upload.contexts.clone();
            Ok((joined, declared, upload.size, upload.parallel, contexts))
        })??;
        for (number, _) in list.iter().filter(|(number, _)| parallel && *number > 1) {
            let prefix = self.prefix_of(call, *number)?.flatten();
            let wanted = prefix.map(|prefix| prefix.header());
            if wanted.as_ref() != contexts.get(number) {
                return Err(context_failed());
            }
        }
        let fits = joined.size() == size
            && joined.digest(HashKind::Md5).await == declared.0
            && joined.digest(HashKind::Sha1).await == declared.1;
        let etag = etag_of(&joined).await;
        self.session(call, |upload| {
            upload.stage = match fits {
                true => Stage::Stored(joined),
                false => Stage::Refused,
            };
        })?;
        if !fits
            || account
                .faults
                .take(call.op, FaultKind::CommitFail)
                .is_some()
        {
            let text = "Error status : 502.";
            return Err(OssError::new(203, "CallbackFailed", text));
        }
        let mut response = axum::Json(json!({ "status": 200, "code": 0 })).into_response();
        set(&mut response, "etag", &format!("\"{etag}\""));
        Ok(response)
    }
}
