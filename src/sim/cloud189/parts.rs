//! Addresses of parts, and the object store that takes them (189cloud.md sections 4.9 and 7).

use std::sync::Arc;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::super::account::{Account, dropped};
use super::super::body::{ReceiveError, drain, receive};
use super::super::clock::{parse_rfc1123, rfc1123};
use super::super::digest::HashKind;
use super::super::faults::FaultKind;
use super::super::oss::sign::{encode, hmac_sha1, parse_query, value};
use super::Cloud189;
use super::answer::{ApiError, store_error};
use super::gate::{Ctx, Unread, header};
use super::sign::unhex;

/// Key id and secret of the store.
const STORE_KEY: (&str, &str) = ("0a1b2c3d4e5f", "store-secret-of-parts");
const BUCKET: &str = "hb-oos-01";
const CONTENT_TYPE: &str = "application/octet-stream";

/// Base64 of an MD5's bytes.
fn is_md5(text: &str) -> bool {
    STANDARD.decode(text).is_ok_and(|bytes| bytes.len() == 16)
}

/// Signature of a PUT: the headers that were handed out, and the address.
fn signature(md5: &str, kind: &str, date: &str, upload: &str, number: u64) -> String {
    let text = format!(
        "PUT\n{md5}\n{kind}\n\nx-amz-date:{date}\n/{BUCKET}/{upload}\
         ?partNumber={number}&uploadId={upload}"
    );
    hmac_sha1(STORE_KEY.1, &text)
}

/// Headers of the API that no store may see.
pub(super) fn leaks(headers: &HeaderMap) -> bool {
    let secrets = [
        "sessionkey",
        "accesstoken",
        "cookie",
        "encryptiontext",
        "signature",
    ];
    secrets.iter().any(|name| headers.contains_key(*name))
}

impl Ctx<'_> {
    /// `getMultiUploadUrls`: an address and headers for each part.
    pub(super) fn part_links(&self) -> Result<Value, ApiError> {
        let wrong = || ApiError::argument("partInfo");
        let date = rfc1123(self.now());
        let wanted = self.need("partInfo")?;
        let urls = self.upload(|id, upload| {
            if !upload.takes_parts(self.now()) {
                return Err(ApiError::new(
                    "InvalidUploadFileStatus",
                    "the upload is over",
                ));
            }
            let mut urls = Map::new();
            for part in wanted.split(',') {
                let (number, md5) = part.split_once('-').ok_or_else(wrong)?;
                let number: u64 = number.parse().map_err(|_| wrong())?;
                if !(1..=upload.count()).contains(&number) || !is_md5(md5) {
                    return Err(wrong());
                }
                let sign = signature(md5, CONTENT_TYPE, &date, id, number);
                let url = format!(
                    "{}/store/{BUCKET}/{}?partNumber={number}&uploadId={}",
                    self.sim.kit.base,
                    encode(id),
                    encode(id)
                );
                let headers = format!(
                    "Authorization=AWS {}:{sign}&Content-Type={CONTENT_TYPE}&Content-MD5={md5}\
                     &x-amz-date={date}",
                    STORE_KEY.0
                );
                urls.insert(
                    format!("partNumber_{number}"),
                    json!({ "requestURL": url, "requestHeader": headers }),
                );
            }
            Ok(urls)
        })?;
        Ok(json!({ "code": "SUCCESS", "uploadUrls": urls }))
    }

    /// `getUploadedPartsInfo`.
    pub(super) fn list_parts(&self) -> Result<Value, ApiError> {
        self.upload(|id, upload| {
            if !upload.takes_parts(self.now()) {
                return Err(ApiError::new(
                    "InvalidUploadFileStatus",
                    "the upload is over",
                ));
            }
            let numbers: Vec<String> = upload.parts.keys().map(u64::to_string).collect();
            Ok(json!({ "code": "SUCCESS", "data": {
                "uploadFileId": id, "uploadedPartList": numbers.join(","),
            }}))
        })
    }
}

impl Cloud189 {
    /// The object store: PUT of a part, GET of a content.
    pub(super) async fn store(&self, parts: &Parts, body: Body) -> Response {
        if parts.method != Method::PUT {
            drain(body).await;
            return self.content(parts).await;
        }
        let query = parse_query(parts.uri.query().unwrap_or(""));
        let id = value(&query, "uploadId").unwrap_or("").to_owned();
        let number = value(&query, "partNumber").and_then(|number| number.parse().ok());
        let number: u64 = number.unwrap_or(0);
        let found = {
            let state = self.state();
            let upload = state.uploads.get(&id);
            let upload = upload.filter(|upload| upload.takes_parts(self.now()));
            upload.and_then(|upload| Some((self.account_of(&upload.profile)?, upload.slice)))
        };
        let path = format!("/store/{BUCKET}/{id}");
        let Some((account, slice)) = found.filter(|_| parts.uri.path() == path) else {
            drain(body).await;
            return store_error(404, "NoSuchUpload", "The upload does not exist");
        };
        let body = Unread::new(body);
        let work = async {
            let body = body.take();
            if let Some(refused) = self.refuse_part(&account, &parts.headers, &id, number) {
                drain(body).await;
                return refused;
            }
            self.take_part(&account, &parts.headers, (&id, number), slice, body)
                .await
        };
        let errno = |arg: &str| store_error(403, arg, "injected fault");
        let answer = account.serve_transfer("part", errno, work).await;
        body.drain().await;
        answer
    }

    fn refuse_part(
        &self,
        account: &Account,
        headers: &HeaderMap,
        id: &str,
        number: u64,
    ) -> Option<Response> {
        if leaks(headers) {
            return Some(store_error(
                400,
                "InvalidArgument",
                "headers of another host",
            ));
        }
        // Without either header there is no body at all: the one part of an empty file.
        if headers.contains_key("transfer-encoding") {
            return Some(store_error(
                411,
                "MissingContentLength",
                "Content-Length is missing",
            ));
        }
        let (md5, kind) = (
            header(headers, "content-md5"),
            header(headers, "content-type"),
        );
        let date = header(headers, "x-amz-date");
        let expected = format!(
            "AWS {}:{}",
            STORE_KEY.0,
            signature(md5, kind, date, id, number)
        );
        if header(headers, "authorization") != expected {
            let text = "The signature does not match";
            return Some(store_error(403, "SignatureDoesNotMatch", text));
        }
        let struck = account.faults.take("part", FaultKind::ExpireLink).is_some();
        let life = account
            .knobs
            .number("part_url_s", 3600)
            .saturating_mul(1000);
        let life = i64::try_from(life).unwrap_or(i64::MAX);
        let until = parse_rfc1123(date).unwrap_or(0).saturating_add(life);
        (struck || self.now() >= until)
            .then(|| store_error(403, "AccessDenied", "Request has expired"))
    }

    async fn take_part(
        &self,
        account: &Arc<Account>,
        headers: &HeaderMap,
        (id, number): (&str, u64),
        slice: u64,
        body: Body,
    ) -> Response {
        // Taken here, so that it strikes behind the check: a disk's fault, which the MD5 of
        // the whole will show.
        let spoilt = account.faults.take("part", FaultKind::Corrupt).is_some();
        let blob = match receive(account, "part", body, slice).await {
            Ok(blob) => blob,
            Err(ReceiveError::Broken) => return dropped(),
            Err(ReceiveError::TooLong) => {
                return store_error(400, "EntityTooLarge", "The part is too long");
            }
        };
        let md5 = unhex(&blob.digest(HashKind::Md5).await).unwrap_or_default();
        if STANDARD.encode(md5) != header(headers, "content-md5") {
            return store_error(400, "BadDigest", "The Content-MD5 does not match");
        }
        let stored = if spoilt { blob.corrupted() } else { blob };
        let now = self.now();
        let mut state = self.state();
        match state
            .uploads
            .get_mut(id)
            .filter(|upload| upload.takes_parts(now))
        {
            Some(upload) => {
                upload.parts.insert(number, stored);
                StatusCode::OK.into_response()
            }
            None => store_error(404, "NoSuchUpload", "The upload does not exist"),
        }
    }
}
