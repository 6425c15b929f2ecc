//! The driver against a scripted server on loopback: which calls it makes, in which order, with
//! which headers, and what it does when an answer is odd or lost.
//!
//! | file | what is in it |
//! |---|---|
//! | `account` | cookies, the gateway, odd answers |
//! | `files` | links, listings, moves, trash, restore |
//! | `fast` | fast uploads |
//! | `uploads` | streamed uploads of both products |
//! | `shares` | shares, and taking over from them |

mod account;
mod fast;
mod files;
mod shares;
mod uploads;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use bytes::Bytes;
use md5::{Digest, Md5};
use serde_json::{Value, json};

use crate::drive::{
    ByteStream, Content, Cost, Drive, DriveContext, NodeId, OnConflict, ProviderInfo, Result,
    UploadRequest,
};
use crate::fingerprint::{Fingerprints, Kind, Known, Origin, hash_all, hex_upper};
use crate::net::{
    Budget, CredentialStore, Credentials, MemoryBreakerStore, Secret, StoreError, SystemClock,
};

/// One scripted answer.
#[derive(Clone)]
struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

/// A good answer around `data`.
fn good(data: Value) -> Reply {
    page(data, json!({}))
}

fn page(data: Value, metadata: Value) -> Reply {
    let body = json!({"status":200,"code":0,"message":"ok","data":data,"metadata":metadata});
    raw(200, body.to_string())
}

/// A listing of these entries.
fn listing(entries: Value) -> Reply {
    let total = entries.as_array().map_or(0, Vec::len);
    page(json!({ "list": entries }), json!({ "_total": total }))
}

fn refusal(status: u16, code: i64) -> Reply {
    let body = json!({"status":status,"code":code,"message":"refused"});
    raw(status, body.to_string())
}

fn raw(status: u16, body: impl Into<String>) -> Reply {
    Reply {
        status,
        headers: Vec::new(),
        body: body.into(),
    }
}

impl Reply {
    fn header(mut self, name: &'static str, value: impl Into<String>) -> Reply {
        self.headers.push((name, value.into()));
        self
    }
}

/// Answers by method and path, used up in order; the last one stays.
#[derive(Default)]
struct Script {
    answers: BTreeMap<String, VecDeque<Reply>>,
    seen: Vec<Seen>,
    /// Calls whose cookie holds this are refused, but for the login test.
    stale: Option<String>,
}

#[derive(Clone, Debug)]
struct Seen {
    call: String,
    query: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

type Shared = Arc<Mutex<Script>>;

async fn answer(
    State(script): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, HeaderMap, String) {
    let mut script = script.lock().unwrap();
    let path = uri.path().trim_start_matches("/1/clouddrive");
    let seen = Seen {
        call: format!("{method} {path}"),
        query: uri.query().unwrap_or_default().to_owned(),
        headers,
        body,
    };
    let refused = script.stale.as_ref().is_some_and(|stale| {
        uri.path().starts_with("/1/clouddrive")
            && path != "/config"
            && seen.header("cookie").contains(stale.as_str())
    });
    let reply = match script.answers.get_mut(&seen.call) {
        _ if refused => refusal(401, 31001),
        Some(queue) if queue.len() > 1 => queue.pop_front().unwrap(),
        Some(queue) => queue.front().cloned().unwrap(),
        // The object store takes every part.
        None if method == Method::PUT => raw(200, "").header(
            "etag",
            format!("\"{}\"", hex_upper(&Md5::digest(&seen.body))),
        ),
        None => raw(404, "<html>no route</html>"),
    };
    script.seen.push(seen);
    let mut out = HeaderMap::new();
    for (name, value) in &reply.headers {
        out.append(HeaderName::from_static(name), value.parse().unwrap());
    }
    (StatusCode::from_u16(reply.status).unwrap(), out, reply.body)
}

/// Credentials, and every cookie that was saved.
#[derive(Default)]
struct Store {
    stored: Mutex<Credentials>,
    broken: Mutex<bool>,
}

#[async_trait]
impl CredentialStore for Store {
    async fn load(&self) -> std::result::Result<Credentials, StoreError> {
        Ok(self.stored.lock().unwrap().clone())
    }
    async fn save(&self, changed: Credentials) -> std::result::Result<(), StoreError> {
        if *self.broken.lock().unwrap() {
            return Err(StoreError("disk full".to_owned()));
        }
        self.stored.lock().unwrap().extend(changed);
        Ok(())
    }
    async fn lock(&self) -> std::result::Result<Box<dyn Send + Sync>, StoreError> {
        Ok(Box::new(()))
    }
}

struct Bed {
    script: Shared,
    store: Arc<Store>,
    info: &'static ProviderInfo,
    context: DriveContext,
    drive: Arc<dyn Drive>,
    base: String,
}

const COOKIE: &str = "__pus=login; __puus=one";

impl Bed {
    /// An account.
    async fn new(info: &'static ProviderInfo) -> Bed {
        Bed::open(info, "manual_cookie", COOKIE, &[]).await
    }

    async fn open(
        info: &'static ProviderInfo,
        auth_mode: &str,
        cookie: &str,
        fields: &[(&str, &str)],
    ) -> Bed {
        let script = Shared::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new()
            .fallback(answer)
            .with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let store = Arc::new(Store::default());
        if !cookie.is_empty() {
            let mut stored = store.stored.lock().unwrap();
            stored.insert("cookie".to_owned(), Secret::new(cookie));
        }
        let context = DriveContext {
            profile: "p".to_owned(),
            auth_mode: auth_mode.to_owned(),
            fields: fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            endpoints: BTreeMap::from([
                ("api".to_owned(), base.clone()),
                ("oss".to_owned(), String::new()),
            ]),
            overridden: vec!["api".to_owned()],
            root: None,
            credentials: store.clone(),
            clock: Arc::new(SystemClock),
            budget: Budget::new(&[]),
            breakers: Arc::new(MemoryBreakerStore::default()),
            account: "a".to_owned(),
            state_dir: std::env::temp_dir(),
            instance: "i".to_owned(),
        };
        let drive = (info.open)(context.clone()).unwrap();
        Bed {
            script,
            store,
            info,
            context,
            drive,
            base,
        }
    }

    /// The drive as after a restart.
    fn reopened(&self) -> Arc<dyn Drive> {
        (self.info.open)(self.context.clone()).unwrap()
    }

    fn on(&self, call: &str, replies: impl IntoIterator<Item = Reply>) -> &Bed {
        let mut script = self.script.lock().unwrap();
        script
            .answers
            .insert(call.to_owned(), replies.into_iter().collect());
        self
    }

    fn seen(&self) -> Vec<Seen> {
        self.script.lock().unwrap().seen.clone()
    }

    /// The calls in the order they came.
    fn calls(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.call).collect()
    }

    fn all(&self, call: &str) -> Vec<Seen> {
        let seen = self.seen().into_iter();
        seen.filter(|seen| seen.call == call).collect()
    }

    fn last(&self, call: &str) -> Seen {
        self.all(call).pop().unwrap_or_else(|| panic!("no {call}"))
    }

    fn cookie(&self) -> String {
        let stored = self.store.stored.lock().unwrap();
        stored["cookie"].expose().to_owned()
    }
}

const LIST: &str = "GET /file/sort";
const STAT: &str = "GET /file/info";
const PRE: &str = "POST /file/upload/pre";
const AUTH: &str = "POST /file/upload/auth";
const HASH: &str = "POST /file/update/hash";
const FINISH: &str = "POST /file/upload/finish";
const PART: &str = "PUT /ul-zb/v3/obj";
const COMPLETE: &str = "POST /ul-zb/v3/obj";
const TASK: &str = "GET /task";

/// A file in the root.
fn file(fid: &str, name: &str, size: u64) -> Value {
    json!({"fid":fid,"file_name":name,"pdir_fid":"0","size":size,"dir":false,"file":true,
        "status":1,"created_at":1772326801000_i64,"updated_at":1772326802000_i64})
}

/// An answer to `pre` with parts of 128 bytes.
fn pre(base: &str) -> Reply {
    let data = format!(
        r#"{{"task_id":"t1","finish":false,"upload_id":"U1","obj_key":"v3/obj","upload_url":"{base}","fid":"f1","bucket":"ul-zb","callback":{{"callbackUrl":"http://cb/","callbackBody":"{{\"size\":${{size}}}}"}},"auth_info":"AI","auth_info_expried":"2099-01-01T00:00:00Z"}}"#
    );
    raw(
        200,
        format!(
            r#"{{"status":200,"code":0,"data":{data},"metadata":{{"part_thread":3,"part_size":128}}}}"#
        ),
    )
}

/// The callback of [`pre`] as the object store is told it.
const CALLBACK: &str = r#"{"callbackUrl":"http://cb/","callbackBody":"{\"size\":${size}}"}"#;

/// Bytes of which some hashes are known.
struct Sample {
    bytes: Bytes,
    known: Vec<Kind>,
    origin: Origin,
}

impl Sample {
    fn new(size: usize, known: &[Kind]) -> Sample {
        Sample {
            bytes: (0..size).map(|i| (i * 7 % 251) as u8).collect(),
            known: known.to_vec(),
            origin: Origin::Computed,
        }
    }

    fn digest(&self, kind: Kind) -> String {
        hash_all(&[kind], &self.bytes)[0].1.to_string()
    }
}

#[async_trait]
impl Content for Sample {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }
    fn known(&self) -> Fingerprints {
        let known = self.known.iter().map(|kind| {
            let known = Known {
                value: self.digest(*kind).into(),
                origin: self.origin,
                provider: "".into(),
                at: 0,
            };
            (*kind, known)
        });
        known.collect()
    }
    async fn stream(&self, _range: Range<u64>) -> Result<ByteStream> {
        panic!("nothing is read");
    }
    fn cost(&self, _kind: Kind) -> Cost {
        Cost::FullRead(self.size())
    }
    async fn learn(&self, _kind: Kind) -> Result<Option<String>> {
        Ok(None)
    }
}

const BOTH: &[Kind] = &[Kind::Md5, Kind::Sha1];

fn request(size: usize) -> UploadRequest {
    UploadRequest {
        parent: NodeId::new("0"),
        name: "a.bin".to_owned(),
        size: size as u64,
        modified: Some(1_500_000_000_123),
        on_conflict: OnConflict::Refuse,
    }
}
