//! The bytes of uploads: slices of the v2 upload, presigned parts of the old one, and the
//! single request (123_open.md sections 7.1 to 7.3).

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::super::account::{Account, dropped};
use super::super::body::{ReceiveError, Unread, drain, receive};
use super::super::content::Blob;
use super::super::digest::{HashKind, md5_hex};
use super::super::faults::FaultKind;
use super::super::form::{FormError, Part, receive_form};
use super::args::Args;
use super::errors::{ApiError, ok, plain};
use super::files::number;
use super::upload::announced;
use super::{Ctx, Pan123};

/// Longest slice that is read at all.
const SLICE_MOST: u64 = 1 << 30;
/// Largest file of a single request, 1 GiB.
const SINGLE_MOST: u64 = 1 << 30;
/// Key of the presigned URLs.
const STORE_KEY: &str = "7c1f0e55-part-store";

fn form_error(error: FormError) -> Response {
    match error {
        FormError::Broken => dropped(),
        FormError::TooLong => plain(413, "413 request entity too large"),
        FormError::Malformed => ApiError::parameter("multipart").into_response(),
    }
}

/// The one file of a form and its other fields.
fn split(parts: Vec<Part>, name: &str) -> Result<(Blob, Args), ApiError> {
    let (mut file, mut fields) = (None, Vec::new());
    for part in parts {
        match part.file {
            true if part.name == name && file.is_none() => file = Some(part.blob),
            true => return Err(ApiError::parameter(&part.name)),
            false => fields.push((part.name.clone(), part.text())),
        }
    }
    let file = file.ok_or_else(|| ApiError::parameter(name))?;
    Ok((file, Args::fields(fields)))
}

impl Pan123 {
    /// A slice that is refused.
    fn bad_slice(&self, account: &Account, text: &str) -> ApiError {
        let error = ApiError::general(text);
        match account.knobs.text("slice_error").as_deref() {
            Some("500") => error.with_status(500),
            _ => error,
        }
    }

    /// `POST /upload/v2/file/slice` on the upload host.
    pub(super) async fn slice(
        &self,
        account: &Account,
        headers: &HeaderMap,
        body: Body,
    ) -> Response {
        let op = "upload_part";
        match receive_form(account, op, headers, body, SLICE_MOST).await {
            Err(error) => form_error(error),
            Ok(parts) => match self.take_slice(account, parts).await {
                Ok(()) => ok(Value::Null),
                Err(error) => error.into_response(),
            },
        }
    }

    async fn take_slice(&self, account: &Account, parts: Vec<Part>) -> Result<(), ApiError> {
        let order: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        if order != ["preuploadID", "sliceNo", "sliceMD5", "slice"] {
            return Err(ApiError::parameter("order of fields"));
        }
        let (blob, args) = split(parts, "slice")?;
        let id = args.text("preuploadID");
        let slice_no = args.number("sliceNo")?;
        let slice_no = slice_no.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let expected = self.expected(id, false, slice_no)?;
        if expected.profile != account.profile {
            return Err(ApiError::general("preuploadID不存在"));
        }
        if blob.size() != expected.length {
            return Err(self.bad_slice(account, "分片大小不正确"));
        }
        if blob.digest(HashKind::Md5).await != args.text("sliceMD5") {
            return Err(self.bad_slice(account, "分片MD5不一致"));
        }
        // After the check: a disk's fault, which the MD5 of the whole will show.
        let spoilt = account.faults.take("upload_part", FaultKind::Corrupt);
        let stored = match spoilt {
            Some(_) => blob.corrupted(),
            None => blob,
        };
        self.keep_slice(id, slice_no, stored);
        Ok(())
    }

    /// `POST /upload/v2/file/single/create` on the upload host. While a file is "being
    /// verified" (knob `verify_polls`) it exists already, but its id is not told.
    pub(super) async fn single(
        &self,
        account: &Account,
        headers: &HeaderMap,
        body: Body,
    ) -> Response {
        let op = "single_create";
        match receive_form(account, op, headers, body, SINGLE_MOST).await {
            Err(error) => form_error(error),
            Ok(parts) => match self.take_single(account, op, parts).await {
                Ok(data) => ok(data),
                Err(error) => error.into_response(),
            },
        }
    }

    async fn take_single(
        &self,
        account: &Account,
        op: &str,
        parts: Vec<Part>,
    ) -> Result<Value, ApiError> {
        let (blob, args) = split(parts, "file")?;
        let args = args.any_case(account.knobs.flag("any_case"));
        let (etag, size) = announced(account, &args)?;
        let place = self.place(account, &args)?;
        if account.faults.take(op, FaultKind::CommitFail).is_some() {
            return Err(ApiError::upload_failed());
        }
        if blob.size() != size || blob.digest(HashKind::Md5).await != etag {
            return Err(ApiError::upload_failed());
        }
        let id = self.accept(account, op, &place, blob)?;
        Ok(match account.knobs.number("verify_polls", 0) {
            0 => json!({ "fileID": number(&id), "completed": true }),
            _ => json!({ "fileID": 0, "completed": false }),
        })
    }

    /// PUT of a presigned part. The store knows no bearer and, unless the knob
    /// `put_headers` is `lenient`, refuses the API's headers.
    pub(super) async fn store_part(
        &self,
        parts: &Parts,
        path: &str,
        query: &str,
        body: Body,
    ) -> Response {
        let args = Args::pairs(query);
        let id = path.rsplit('/').next().unwrap_or("").to_owned();
        let part = args.text("partNumber").parse().unwrap_or(0);
        let account = self
            .expected(&id, true, part)
            .ok()
            .and_then(|expected| self.account_of(&expected.profile));
        let Some(account) = account else {
            drain(body).await;
            return plain(404, "NoSuchUpload");
        };
        let op = "upload_part";
        let body = Unread::new(body);
        let work = async {
            let body = body.take();
            let refused = self.store_refusal(&account, parts, path, &args);
            if let Some(refused) = refused {
                drain(body).await;
                return refused;
            }
            match receive(&account, op, body, SLICE_MOST).await {
                Ok(blob) => {
                    self.keep_slice(&id, part, blob);
                    StatusCode::OK.into_response()
                }
                Err(ReceiveError::Broken) => dropped(),
                Err(ReceiveError::TooLong) => plain(413, "EntityTooLarge"),
            }
        };
        let answer = account.serve_transfer(op, ApiError::injected, work).await;
        body.drain().await;
        answer
    }

    fn store_refusal(
        &self,
        account: &Account,
        parts: &Parts,
        path: &str,
        args: &Args,
    ) -> Option<Response> {
        if parts.method != Method::PUT {
            return Some(plain(405, "MethodNotAllowed"));
        }
        let lenient = account.knobs.text("put_headers").as_deref() == Some("lenient");
        let headers = &parts.headers;
        if !lenient && (headers.contains_key("authorization") || headers.contains_key("platform")) {
            return Some(plain(400, "InvalidArgument"));
        }
        let expires = args.text("expires");
        if args.text("sign") != store_sign(path, args.text("partNumber"), expires) {
            return Some(plain(403, "SignatureDoesNotMatch"));
        }
        let struck = account.faults.take("upload_part", FaultKind::ExpireLink);
        let late = expires.parse().unwrap_or(0) <= self.kit.clock.now_s();
        (struck.is_some() || late).then(|| plain(403, "AccessDenied: Request has expired"))
    }
}

fn store_sign(path: &str, part: &str, expires: &str) -> String {
    md5_hex(format!("{path}\n{part}\n{expires}\n{STORE_KEY}").as_bytes())
}

impl Ctx<'_> {
    /// `POST /upload/v1/file/get_upload_url`.
    pub(super) fn upload_url(&self) -> Result<Value, ApiError> {
        let id = self.args.text("preuploadID");
        let slice_no = self.args.number("sliceNo")?;
        let slice_no = slice_no.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let multipart = self.session(|session| Ok(session.size > session.slice_size))?;
        self.sim.expected(id, true, slice_no)?;
        let life = self.account.knobs.number("part_url_seconds", 3600);
        let life = i64::try_from(life).unwrap_or(3600);
        let expires = self.sim.kit.clock.now_s().saturating_add(life).to_string();
        let (path, part) = (format!("/store/123-295/{id}"), slice_no.to_string());
        let sign = store_sign(&path, &part, &expires);
        let base = &self.sim.kit.base;
        let url = format!("{base}{path}?partNumber={part}&expires={expires}&sign={sign}");
        Ok(json!({ "presignedURL": url, "isMultipart": multipart }))
    }

    /// `POST /upload/v1/file/list_upload_parts`: empty for a file below one slice.
    pub(super) fn list_parts(&self) -> Result<Value, ApiError> {
        let slices = self.session(|session| {
            let short = session.size < session.slice_size;
            Ok(if short {
                Vec::new()
            } else {
                let all = session.slices.iter();
                all.map(|(n, blob)| (*n, blob.clone())).collect()
            })
        })?;
        let parts: Vec<Value> = slices
            .iter()
            .map(|(number, blob)| {
                json!({
                    "partNumber": number.to_string(), "size": blob.size(),
                    "etag": blob.digest_now(HashKind::Md5),
                })
            })
            .collect();
        Ok(json!({ "parts": parts }))
    }
}
