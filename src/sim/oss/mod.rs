//! Aliyun OSS as a provider's upload store, for 115, PikPak and others: strict V1 header
//! signatures, STS tokens with expiry, multipart uploads, and the callback in whose answer
//! the provider says what became of the object.
//!
//! | file | what is in it |
//! |---|---|
//! | [`sign`] | signature V1, in headers and pre-signed URLs |
//! | [`multipart`] | the parts of an upload |
//! | `calls` | the HTTP calls |
//!
//! Nest [`Oss::router`] under a path of the simulator (`/oss`) and name that path's URL as
//! the endpoint `oss`; path style (`/oss/bucket/key`) works there. For virtual-host style
//! use the same router as the simulator's fallback: the first label of a host that is no IP
//! address is the bucket. Meters and faults count these operations: `oss_init`, `oss_part`,
//! `oss_list_parts`, `oss_complete`, `oss_abort`, `oss_put`. The fault `expire_token`
//! answers `SecurityTokenExpired`, `commit_fail` (at complete and put) 203 `CallbackFailed`.

mod calls;
pub mod multipart;
pub mod sign;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::account::Account;
use super::clock::Clock;
use super::content::Blob;
use super::digest::HashKind;
use super::simulator::Ids;
pub(super) use calls::parse_parts;
use multipart::Session;

/// An error as OSS writes it.
#[derive(Clone, Debug)]
pub struct OssError {
    status: u16,
    code: String,
    message: String,
    /// The text that should have been signed: OSS shows it, and it is what helps.
    string_to_sign: Option<String>,
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

impl OssError {
    /// An error with HTTP status, OSS code and message.
    pub fn new(status: u16, code: &str, message: &str) -> OssError {
        OssError {
            status,
            code: code.to_owned(),
            message: message.to_owned(),
            string_to_sign: None,
        }
    }

    /// 403 `SignatureDoesNotMatch`.
    pub fn bad_signature(string_to_sign: &str) -> OssError {
        let text = "The request signature we calculated does not match the signature you \
                    provided. Check your key and signing method.";
        let shown = Some(string_to_sign.to_owned());
        OssError {
            string_to_sign: shown,
            ..OssError::new(403, "SignatureDoesNotMatch", text)
        }
    }

    /// The OSS code.
    pub fn code(&self) -> &str {
        &self.code
    }
}

impl IntoResponse for OssError {
    fn into_response(self) -> Response {
        let signed = self.string_to_sign.map_or(String::new(), |text| {
            format!("<StringToSign>{}</StringToSign>", escape(&text))
        });
        let body = format!(
            "<Error><Code>{}</Code><Message>{}</Message>\
             <RequestId>65B9FA1C6C7A1C1E0B5E4F0F</RequestId><HostId>oss</HostId>{signed}</Error>",
            escape(&self.code),
            escape(&self.message),
        );
        xml(self.status, body)
    }
}

/// An XML document as an answer.
pub(super) fn xml(status: u16, body: String) -> Response {
    let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}");
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let kind = HeaderValue::from_static("application/xml");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Temporary credentials as handed out by a provider.
#[derive(Clone)]
pub struct Sts {
    /// Access key id.
    pub access_key_id: String,
    /// Secret.
    pub access_key_secret: String,
    /// Security token; empty when the key needs none (a provider that signs itself).
    pub security_token: String,
    /// Milliseconds since 1970 by the world's clock.
    pub expires: i64,
    /// Whose uploads these are.
    pub account: Arc<Account>,
    /// The only bucket it opens.
    pub bucket: String,
    /// The only object it opens; `None` means any in the bucket.
    pub key: Option<String>,
}

/// A stored object, as the provider's callback hears of it.
pub struct Finished {
    /// Whose credentials were used.
    pub account: Arc<Account>,
    /// Bucket.
    pub bucket: String,
    /// Object key.
    pub key: String,
    /// Its content.
    pub blob: Blob,
    /// Whether OSS knows the whole SHA-1 (upload `sequential` or with `x-oss-enable-sha1`;
    /// always for a single PUT).
    pub with_sha1: bool,
    /// Decoded `x-oss-callback`, when sent.
    pub callback: Option<String>,
    /// Decoded `x-oss-callback-var`, when sent.
    pub callback_var: Option<String>,
}

impl Finished {
    /// What `callbackBody` becomes: `${bucket}`, `${object}`, `${etag}`, `${size}`,
    /// `${sha1}` (upper case; empty when unknown), `${crc64}` and `${x:..}` replaced, the
    /// rest left. `None` without a readable callback.
    pub async fn callback_body(&self) -> Option<String> {
        let callback: Value = serde_json::from_str(self.callback.as_deref()?).ok()?;
        let mut body = callback.get("callbackBody")?.as_str()?.to_owned();
        let mut values = BTreeMap::from([
            ("bucket".to_owned(), self.bucket.clone()),
            ("object".to_owned(), self.key.clone()),
            ("size".to_owned(), self.blob.size().to_string()),
        ]);
        if body.contains("${etag}") {
            values.insert("etag".to_owned(), multipart::etag_of(&self.blob).await);
        }
        if body.contains("${crc64}") {
            values.insert("crc64".to_owned(), self.blob.crc64_decimal().await);
        }
        if body.contains("${sha1}") {
            let sha1 = match self.with_sha1 {
                true => self.blob.digest(HashKind::Sha1).await.to_uppercase(),
                false => String::new(),
            };
            values.insert("sha1".to_owned(), sha1);
        }
        let own = self
            .callback_var
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok());
        if let Some(Value::Object(own)) = own {
            for (name, value) in own {
                values.insert(
                    name,
                    value.as_str().map_or(value.to_string(), str::to_owned),
                );
            }
        }
        for (name, value) in values {
            body = body.replace(&format!("${{{name}}}"), &value);
        }
        Some(body)
    }
}

/// What the provider makes of a stored object.
pub enum Answer {
    /// 200 with this document.
    Json(Value),
    /// 200 with OSS's own answer (no callback was asked for).
    Plain,
    /// 203 `CallbackFailed`: stored, but the provider did not take it.
    Failed(String),
}

/// Called when an object is stored.
pub type Callback = Box<dyn Fn(Finished) -> BoxFuture<'static, Answer> + Send + Sync>;

#[derive(Default)]
struct State {
    keys: HashMap<String, Sts>,
    sessions: BTreeMap<String, Session>,
    objects: HashMap<(String, String), Blob>,
}

/// A store.
pub struct Oss {
    clock: Clock,
    ids: Ids,
    callback: Callback,
    state: Mutex<State>,
}

impl Oss {
    /// An empty store. `callback` is called for every completed object, with or without
    /// callback headers: a provider that needs them answers [`Answer::Plain`] without.
    pub fn new(clock: Clock, callback: Callback) -> Arc<Oss> {
        let ids = Ids::new("oss");
        Arc::new(Oss {
            clock,
            ids,
            callback,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands out credentials for a bucket (and one object of it, when `key` is given) for
    /// `life_ms`.
    pub fn issue(
        &self,
        account: &Arc<Account>,
        bucket: &str,
        key: Option<&str>,
        life_ms: i64,
    ) -> Sts {
        let sts = Sts {
            access_key_id: format!("STS.{}", self.ids.hex(20)),
            access_key_secret: self.ids.hex(32),
            // With the characters that break careless encoding.
            security_token: format!("CAIS{}+a/b==", self.ids.hex(40)),
            expires: self.clock.now_ms().saturating_add(life_ms),
            account: account.clone(),
            bucket: bucket.to_owned(),
            key: key.map(str::to_owned),
        };
        self.trust(sts.clone());
        sts
    }

    /// Accepts credentials made elsewhere (fixed keys of a provider that signs itself).
    pub fn trust(&self, sts: Sts) {
        self.state().keys.insert(sts.access_key_id.clone(), sts);
    }

    /// Routes: every method on every path.
    pub fn router(self: &Arc<Oss>) -> Router {
        Router::new().fallback(calls::any).with_state(self.clone())
    }

    /// Open uploads of an account: `[{"id","name","bucket","parts","bytes","kind":"oss"}]`.
    pub fn uploads(&self, account: &Account) -> Vec<Value> {
        let state = self.state();
        let own = state
            .sessions
            .iter()
            .filter(|(_, s)| s.account.profile == account.profile);
        own.map(|(id, session)| {
            let parts = &session.multipart.parts;
            let bytes: u64 = parts.values().map(|part| part.blob.size()).sum();
            json!({
                "id": id, "name": session.key, "bucket": session.bucket, "kind": "oss",
                "parts": parts.len(), "bytes": bytes,
            })
        })
        .collect()
    }

    /// A stored object.
    pub fn object(&self, bucket: &str, key: &str) -> Option<Blob> {
        self.state()
            .objects
            .get(&(bucket.to_owned(), key.to_owned()))
            .cloned()
    }

    /// Drops the open uploads of an object (a provider that forgets a task).
    pub fn forget(&self, bucket: &str, key: &str) {
        self.state()
            .sessions
            .retain(|_, s| s.bucket != bucket || s.key != key);
    }
}

/// A base64 header that carries a callback, decoded.
fn decoded(headers: &HeaderMap, name: &str) -> Result<Option<String>, OssError> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let bytes = STANDARD.decode(value.as_bytes()).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    match text.filter(|text| serde_json::from_str::<Value>(text).is_ok()) {
        Some(text) => Ok(Some(text)),
        None => Err(OssError::new(
            400,
            "InvalidArgument",
            "The callback configuration is not json format.",
        )),
    }
}
