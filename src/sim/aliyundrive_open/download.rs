//! Download links and the bytes behind pre-signed URLs (aliyundrive_open.md sections 4.6, 8).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::super::account::Account;
use super::super::body::{drain, send, set};
use super::super::clock::rfc3339;
use super::super::digest::HashKind;
use super::super::faults::FaultKind;
use super::super::oss::{OssError, sign};
use super::auth::user_id;
use super::errors::ApiError;
use super::{Aliyun, Ctx};

/// Bucket name that the signatures cover.
const BUCKET: &str = "bj29-hz";
/// The store's own key; clients never see the secret.
const ACCESS: (&str, &str) = ("STS.NVsimulator", "simulator-own-secret");
/// With the characters that break careless handling of URLs.
const STS: &str = "CAISsim+token/==";
/// Whole-object CRC headers are given up to this size: beyond it the header would cost the
/// simulator a full read at the first range request.
const CRC_LIMIT: u64 = 64 << 20;

/// One open download; gone when the body ends.
struct Stream(Arc<AtomicU64>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Aliyun {
    /// A pre-signed URL for an object of this account.
    pub(super) fn presigned(
        &self,
        method: &str,
        account: &Account,
        file: &str,
        query: &[(&str, &str)],
        expires_s: i64,
    ) -> String {
        let key = format!("{}/{file}", account.number);
        let mut pairs: Vec<(String, String)> = query
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        pairs.push(("security-token".to_owned(), STS.to_owned()));
        let query = sign::presign(method, BUCKET, &key, &pairs, ACCESS, expires_s);
        format!("{}/data/{key}?{query}", self.kit.base)
    }

    /// Every request on a pre-signed URL.
    pub(super) async fn data(
        &self,
        method: &Method,
        object: &str,
        query: &str,
        headers: &HeaderMap,
        body: Body,
    ) -> Response {
        let object = percent_decode_str(object).decode_utf8_lossy().into_owned();
        let query = sign::parse_query(query);
        let (number, file) = object.split_once('/').unwrap_or(("", ""));
        let number: usize = number.parse().unwrap_or(0);
        let account = self
            .kit
            .accounts
            .iter()
            .find(|account| account.number == number);
        let Some(account) = account.cloned() else {
            drain(body).await;
            return no_such_key().into_response();
        };
        let op = if method == Method::PUT {
            "upload_part"
        } else {
            "download"
        };
        let errno = |arg: &str| OssError::new(403, arg, "injected fault").into_response();
        let work = async {
            // The store answers only what was signed; a bearer beside it is refused.
            let mut checked = sign::check_presigned(
                method.as_str(),
                headers,
                BUCKET,
                &object,
                &query,
                ACCESS,
                self.kit.clock.now_s(),
            );
            if headers.contains_key("authorization") {
                checked = Err(sign::Refused::BadSignature);
            }
            if account.faults.take(op, FaultKind::ExpireLink).is_some() {
                checked = Err(sign::Refused::Expired);
            }
            if let Err(refused) = checked {
                drain(body).await;
                return match refused {
                    sign::Refused::Expired => {
                        OssError::new(403, "AccessDenied", "Request has expired.").into_response()
                    }
                    sign::Refused::BadSignature => OssError::bad_signature("").into_response(),
                };
            }
            if op == "upload_part" {
                return self.part(&account, file, &query, body).await;
            }
            self.download(&account, file, headers).await
        };
        account.serve_transfer(op, errno, work).await
    }

    async fn download(&self, account: &Arc<Account>, file: &str, headers: &HeaderMap) -> Response {
        let blob = {
            let tree = account.tree();
            let node = tree.get(file).filter(|node| !node.pending);
            node.and_then(|node| node.stored().cloned())
        };
        let Some(blob) = blob else {
            return no_such_key().into_response();
        };
        let Some(open) = self.streams.get(account.number.saturating_sub(1)).cloned() else {
            return no_such_key().into_response();
        };
        let limit = account.knobs.number("max_streams", 3);
        let stream = Stream(open.clone());
        if open.fetch_add(1, Ordering::SeqCst) >= limit {
            drop(stream);
            let text = "Exceed max concurrency of downloads.";
            return OssError::new(403, "ExceedMaxConcurrency", text).into_response();
        }
        let crc = match blob.size() <= CRC_LIMIT {
            true => Some(blob.crc64_decimal().await),
            false => None,
        };
        let mut response = send(account, "download", &blob, headers, stream);
        if let Some(crc) = crc {
            set(&mut response, "x-oss-hash-crc64ecma", &crc);
        }
        response
    }
}

fn no_such_key() -> OssError {
    OssError::new(404, "NoSuchKey", "The specified key does not exist.")
}

impl Ctx<'_> {
    pub(super) fn link(&self) -> Result<Value, ApiError> {
        let node = self.node(&self.body, "file_id")?;
        let blob = node
            .blob
            .as_ref()
            .ok_or_else(|| ApiError::parameter("FileId"))?;
        let life = match self.body.get("expire_sec") {
            None | Some(Value::Null) => 900,
            Some(value) => value
                .as_i64()
                .filter(|n| *n > 0)
                .ok_or_else(|| ApiError::parameter("ExpireSec"))?,
        };
        let expires = self.sim.kit.clock.now_s() + life.min(14_400);
        let user = user_id(&self.account);
        let disposition = format!("attachment; filename*=UTF-8''{}", sign::encode(&node.name));
        let query = [
            ("response-content-disposition", disposition.as_str()),
            ("u", user.as_str()),
        ];
        let url = self
            .sim
            .presigned("GET", &self.account, &node.id, &query, expires);
        Ok(json!({
            "url": url, "expiration": rfc3339(expires * 1000), "method": "GET",
            "size": blob.size(), "file_id": node.id, "description": "",
            "content_hash": blob.digest_now(HashKind::Sha1).to_uppercase(),
            "content_hash_name": "sha1",
        }))
    }
}
