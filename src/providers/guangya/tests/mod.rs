//! The driver against a scripted server on loopback: which calls it makes, in which order, with
//! which headers, and what it does when an answer is odd or lost.
//!
//! | file | what is in it |
//! |---|---|
//! | `account` | headers, tokens, the throttle, odd answers |
//! | `files` | listings, links, changes, trash |
//! | `fast` | fast uploads |
//! | `uploads` | streamed uploads |
//! | `signed` | signatures for the object store, by the vectors of the sheet |

mod account;
mod fast;
mod files;
mod signed;
mod uploads;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::drive::{
    ByteStream, Content, Cost, Drive, DriveContext, NodeId, OnConflict, Result, UploadRequest,
};
use crate::fingerprint::{Fingerprints, Kind, Known, Origin, hash_all};
use crate::net::{
    Budget, CredentialStore, Credentials, MemoryBreakerStore, Secret, StoreError, SystemClock,
};

/// One scripted answer: status and body.
type Reply = (u16, String);

/// A good answer around `data`.
fn good(data: Value) -> Reply {
    let body = json!({"code":0,"msg":"success","data":data});
    (200, body.to_string())
}

/// An answer with a code.
fn code(code: i64, data: Value) -> Reply {
    let body = json!({"code":code,"msg":"refused","data":data});
    (200, body.to_string())
}

/// A gateway that fails: whether the call was carried out is not known.
fn broken() -> Reply {
    (502, "<html>bad gateway</html>".to_owned())
}

/// Answers by path, used up in order; the last one stays.
#[derive(Default)]
struct Script {
    answers: BTreeMap<String, VecDeque<Reply>>,
    seen: Vec<Seen>,
    /// Calls with this access token are refused.
    stale: Option<&'static str>,
}

#[derive(Clone, Debug)]
struct Seen {
    /// The last segment of an interface's path; method and query for the object store.
    call: String,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
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
    let query = uri.query().unwrap_or_default().to_owned();
    let call = match uri.path() {
        path if path.starts_with("/gy-bucket/") => {
            // `uploads`, `uploadId`, `partNumber`: what the store is asked for.
            let asked = query.split(['=', '&']).next().unwrap_or_default();
            format!("{method} {asked}").trim().to_owned()
        }
        path => path.rsplit('/').next().unwrap_or_default().to_owned(),
    };
    let seen = Seen {
        call,
        path: uri.path().to_owned(),
        query,
        headers,
        body,
    };
    let refused = script
        .stale
        .is_some_and(|stale| seen.header("authorization") == format!("Bearer {stale}"));
    let reply = match script.answers.get_mut(&seen.call) {
        _ if refused => (401, json!({"code":117,"msg":"bad token"}).to_string()),
        Some(queue) if queue.len() > 1 => queue.pop_front().unwrap(),
        Some(queue) => queue.front().cloned().unwrap(),
        None if method == Method::PUT => (200, String::new()),
        None => (404, "<html>no route</html>".to_owned()),
    };
    script.seen.push(seen);
    let mut out = HeaderMap::new();
    out.insert("etag", "\"E\"".parse().unwrap());
    (StatusCode::from_u16(reply.0).unwrap(), out, reply.1)
}

/// Credentials, and in which order tokens were saved.
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
        let mut stored = self.stored.lock().unwrap();
        stored.extend(changed);
        stored.retain(|_, secret| !secret.is_empty());
        Ok(())
    }
    async fn lock(&self) -> std::result::Result<Box<dyn Send + Sync>, StoreError> {
        Ok(Box::new(()))
    }
}

const DID: &str = "0123456789abcdef0123456789abcdef";

struct Bed {
    script: Shared,
    store: Arc<Store>,
    context: DriveContext,
    drive: Arc<dyn Drive>,
    base: String,
}

impl Bed {
    /// A signed-in account of the web site.
    async fn new() -> Bed {
        let secrets = [("access_token", "at"), ("refresh_token", "rt")];
        Bed::open(&[("did", DID)], &secrets).await
    }

    async fn open(fields: &[(&str, &str)], secrets: &[(&str, &str)]) -> Bed {
        let script = Shared::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new()
            .fallback(answer)
            .with_state(script.clone())
            .layer(axum::extract::DefaultBodyLimit::disable());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let store = Arc::new(Store::default());
        for (name, value) in secrets {
            let mut stored = store.stored.lock().unwrap();
            stored.insert((*name).to_owned(), Secret::new(*value));
        }
        let endpoints = ["api", "account", "oss"].map(|name| (name.to_owned(), base.clone()));
        let context = DriveContext {
            profile: "p".to_owned(),
            auth_mode: "manual_token".to_owned(),
            fields: fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            endpoints: BTreeMap::from(endpoints),
            overridden: ["api", "account", "oss"].map(str::to_owned).to_vec(),
            root: None,
            credentials: store.clone(),
            clock: Arc::new(SystemClock),
            budget: Budget::new(&[]),
            breakers: Arc::new(MemoryBreakerStore::default()),
            account: "a".to_owned(),
            state_dir: std::env::temp_dir(),
            instance: "i".to_owned(),
        };
        let drive = super::open(context.clone()).unwrap();
        Bed {
            script,
            store,
            context,
            drive,
            base,
        }
    }

    /// The drive as after a restart.
    fn reopened(&self) -> Arc<dyn Drive> {
        super::open(self.context.clone()).unwrap()
    }

    fn on(&self, call: &str, replies: impl IntoIterator<Item = Reply>) -> &Bed {
        let mut script = self.script.lock().unwrap();
        script
            .answers
            .insert(call.to_owned(), replies.into_iter().collect());
        self
    }

    /// From now on the service refuses this access token.
    fn refuse(&self, token: &'static str) -> &Bed {
        self.script.lock().unwrap().stale = Some(token);
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

    fn stored(&self, field: &str) -> String {
        let stored = self.store.stored.lock().unwrap();
        stored
            .get(field)
            .map_or_else(String::new, |secret| secret.expose().to_owned())
    }
}

const LIST: &str = "get_file_list";
const STAT: &str = "get_file_detail";
const TASK: &str = "get_task_status";
const TOKEN: &str = "get_res_center_token";
const CHECK: &str = "check_can_flash_upload";
const INFO: &str = "get_info_by_task_id";
const RESUME: &str = "get_res_center_resume_token";
const DELETE_TASK: &str = "delete_upload_task";
const TRASH: &str = "delete_file";

/// A file in the root.
fn file(id: &str, name: &str, size: u64) -> Value {
    json!({"fileId":id,"parentId":"","fileName":name,"fileSize":size,"resType":1,"dirType":0,
        "gcid":"","ctime":4_000_000_000_u64,"utime":4_000_000_000_u64})
}

/// A listing of these entries.
fn listing(entries: Value) -> Reply {
    let total = entries.as_array().map_or(0, Vec::len);
    good(json!({ "total": total, "list": entries }))
}

/// An answer to a stat.
fn detail(entry: Value) -> Reply {
    good(json!({ "fileInfo": entry, "location": [] }))
}

/// An upload task with a key to the object store.
fn ticket(task: &str, key: &str) -> Reply {
    good(
        json!({"taskId":task,"gcid":"","provider":"1","bucketName":"gy-bucket",
        "endPoint":"oss-cn-hangzhou.aliyuncs.com","objectPath":"upload/2026/obj",
        "creds":{"accessKeyID":key,"secretAccessKey":"SECRETKEY","sessionToken":"TOKEN",
            "expiration":"2099-01-01T00:00:00Z"}}),
    )
}

/// What a task yields in the end.
fn yields(id: &str, name: &str, size: u64) -> Reply {
    good(json!({"fileId":id,"fileName":name,"fileSize":size,"gcid":""}))
}

/// The row of the sheet with byte i = i mod 251 and one MiB.
const SIZE: u64 = 1 << 20;
const MD5: &str = "8f293a2f6c19b345152f7a49bb4c643c";
const GCID: &str = "96FD114C1E415B462663B372D3F5505DFDA6EEB5";
const CID: &str = "C90395FB765BEA4BE3C410C399B53E20F01A68DB";

/// Bytes of which some hashes are known, and of which small ranges may be read.
struct Sample {
    bytes: Bytes,
    known: Vec<(Kind, Origin)>,
}

impl Sample {
    fn new(size: u64, known: &[(Kind, Origin)]) -> Sample {
        Sample {
            bytes: (0..size).map(|i| (i % 251) as u8).collect(),
            known: known.to_vec(),
        }
    }

    fn digest(&self, kind: Kind) -> String {
        hash_all(&[kind], &self.bytes)[0].1.clone()
    }
}

#[async_trait]
impl Content for Sample {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }
    fn known(&self) -> Fingerprints {
        let known = self.known.iter().map(|(kind, origin)| {
            let known = Known {
                value: self.digest(*kind).into(),
                origin: *origin,
                provider: "".into(),
                at: 0,
            };
            (*kind, known)
        });
        known.collect()
    }
    async fn stream(&self, _range: Range<u64>) -> Result<ByteStream> {
        panic!("nothing is streamed");
    }
    fn cost(&self, kind: Kind) -> Cost {
        match kind {
            Kind::Cid => Cost::SmallRanges(kind.bytes_needed(self.size())),
            _ => Cost::FullRead(self.size()),
        }
    }
    async fn learn(&self, kind: Kind) -> Result<Option<String>> {
        Ok((kind == Kind::Cid).then(|| self.digest(kind)))
    }
}

fn request(size: u64) -> UploadRequest {
    UploadRequest {
        parent: NodeId::new("194000000000000001"),
        name: "a.bin".to_owned(),
        size,
        modified: None,
        on_conflict: OnConflict::Refuse,
    }
}
