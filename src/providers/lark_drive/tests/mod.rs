//! The driver against a scripted server on loopback: which calls it makes, with what, and what it
//! does when an answer is lost.

mod listing;
mod tokens;
mod uploads;
mod writing;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::drive::{
    ByteStream, Content, Conversation, Cost, Drive, DriveContext, NodeId, OnConflict, ReadBudget,
    Result, UploadRequest,
};
use crate::fingerprint::{Fingerprints, Kind};
use crate::net::{
    BreakerRecord, BreakerStore, Budget, CredentialStore, Credentials, Secret, StoreError,
    SystemClock,
};

/// An answer: status and text. Bytes of a download stand in the text too.
pub(super) type Said = (u16, String);

/// Answers by `METHOD path`, used up in order; the last one stays.
#[derive(Default)]
struct Script {
    answers: BTreeMap<String, VecDeque<Said>>,
    seen: Vec<Seen>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub call: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

type Shared = Arc<Mutex<Script>>;

async fn answer(
    State(script): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, HeaderMap, Vec<u8>) {
    let mut script = script.lock().unwrap();
    let call = format!("{method} {}", uri.path().trim_start_matches("/open-apis"));
    script.seen.push(Seen {
        call: call.clone(),
        query: uri.query().unwrap_or_default().to_owned(),
        headers: headers.clone(),
        body,
    });
    let mut head = HeaderMap::new();
    let Some(queue) = script.answers.get_mut(&call) else {
        return (StatusCode::NOT_FOUND, head, b"<html>no route".to_vec());
    };
    let (status, text) = if queue.len() > 1 {
        queue.pop_front().unwrap()
    } else {
        queue.front().cloned().unwrap()
    };
    let mut status = StatusCode::from_u16(status).unwrap();
    let mut bytes = text.into_bytes();
    let range = headers.get("range").map(|range| range.to_str().unwrap());
    if let Some(range) = range.filter(|_| status == StatusCode::OK) {
        let (start, end) = range.trim_start_matches("bytes=").split_once('-').unwrap();
        let (start, end): (usize, usize) = (start.parse().unwrap(), end.parse().unwrap());
        let total = bytes.len();
        if start >= total {
            return (StatusCode::RANGE_NOT_SATISFIABLE, head, Vec::new());
        }
        let end = end.min(total - 1);
        bytes = bytes[start..=end].to_vec();
        let range = format!("bytes {start}-{end}/{total}");
        head.insert("content-range", range.parse().unwrap());
        status = StatusCode::PARTIAL_CONTENT;
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        head.insert("x-ogw-ratelimit-reset", "0".parse().unwrap());
    }
    (status, head, bytes)
}

/// Credentials in memory.
#[derive(Default)]
pub(super) struct Store(pub Mutex<Credentials>);

#[async_trait]
impl CredentialStore for Store {
    async fn load(&self) -> std::result::Result<Credentials, StoreError> {
        Ok(self.0.lock().unwrap().clone())
    }
    async fn save(&self, changed: Credentials) -> std::result::Result<(), StoreError> {
        self.0.lock().unwrap().extend(changed);
        Ok(())
    }
    async fn lock(&self) -> std::result::Result<Box<dyn Send + Sync>, StoreError> {
        Ok(Box::new(()))
    }
}

struct NoBreakers;

impl BreakerStore for NoBreakers {
    fn load(&self, _account: &str) -> Option<BreakerRecord> {
        None
    }
    fn save(&self, _account: &str, _record: Option<&BreakerRecord>) {}
}

/// A drive, its server and its credentials.
pub(super) struct Bed {
    script: Shared,
    base: String,
    identity: &'static str,
    pub store: Arc<Store>,
    pub drive: Arc<dyn Drive>,
}

pub(super) const REFRESH: &str = "POST /authen/v2/oauth/token";
pub(super) const TENANT: &str = "POST /auth/v3/tenant_access_token/internal";
pub(super) const LIST: &str = "GET /drive/v1/files";
pub(super) const METAS: &str = "POST /drive/v1/metas/batch_query";
pub(super) const ROOT_META: &str = "GET /drive/explorer/v2/root_folder/meta";
pub(super) const ALL: &str = "POST /drive/v1/files/upload_all";
pub(super) const PREPARE: &str = "POST /drive/v1/files/upload_prepare";
pub(super) const PART: &str = "POST /drive/v1/files/upload_part";
pub(super) const FINISH: &str = "POST /drive/v1/files/upload_finish";
pub(super) const MKDIR: &str = "POST /drive/v1/files/create_folder";

impl Bed {
    /// A user whose access token is still good.
    pub async fn user() -> Bed {
        let bed = Bed::new(
            "user",
            &[("refresh_token", "ur-1"), ("access_token", "u-1")],
        )
        .await;
        bed.says(
            ROOT_META,
            json!({"token":"fldROOT","id":"1","user_id":"77"}),
        );
        bed
    }

    pub async fn new(identity: &'static str, secrets: &[(&str, &str)]) -> Bed {
        let script = Shared::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new()
            .fallback(answer)
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let store = Arc::new(Store::default());
        for (name, secret) in secrets.iter().chain(&[("app_secret", "s3cret")]) {
            let mut stored = store.0.lock().unwrap();
            stored.insert((*name).to_owned(), Secret::new(*secret));
        }
        let drive = opened(&base, identity, &store);
        Bed {
            script,
            base,
            identity,
            store,
            drive,
        }
    }

    /// The drive as after a restart.
    pub fn reopened(&self) -> Arc<dyn Drive> {
        opened(&self.base, self.identity, &self.store)
    }

    /// A success with this `data`.
    pub fn says(&self, call: &str, data: Value) -> &Bed {
        self.says_raw(
            call,
            200,
            &json!({"code":0,"msg":"success","data":data}).to_string(),
        )
    }

    /// A refusal.
    pub fn refuses(&self, call: &str, code: i64) -> &Bed {
        self.says_raw(call, 400, &json!({"code":code,"msg":"no"}).to_string())
    }

    pub fn says_raw(&self, call: &str, status: u16, text: &str) -> &Bed {
        let mut script = self.script.lock().unwrap();
        let queue = script.answers.entry(call.to_owned()).or_default();
        queue.push_back((status, text.to_owned()));
        self
    }

    /// A directory with these files.
    pub fn lists(&self, files: Value) -> &Bed {
        self.says(LIST, json!({"files":files,"has_more":false}))
    }

    /// A file's history with one version.
    pub fn history(&self, token: &str, version: &str, size: u64, time: &str) -> &Bed {
        let item = json!({"version":version,"size":size,"edit_time":time,"type":1});
        self.says(&history_of(token), json!({"items":[item],"has_more":false}))
    }

    /// Forgets what was said to a call.
    pub fn forget(&self, call: &str) -> &Bed {
        self.script.lock().unwrap().answers.remove(call);
        self
    }

    /// Requests of a call, in order.
    pub fn seen(&self, call: &str) -> Vec<Seen> {
        let script = self.script.lock().unwrap();
        let seen = script.seen.iter().filter(|seen| seen.call == call);
        seen.cloned().collect()
    }

    /// The calls so far, in order.
    pub fn calls(&self) -> Vec<String> {
        let script = self.script.lock().unwrap();
        script.seen.iter().map(|seen| seen.call.clone()).collect()
    }
}

fn opened(base: &str, identity: &str, store: &Arc<Store>) -> Arc<dyn Drive> {
    let fields = [("app_id", "cli_a"), ("identity", identity)];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    (super::INFO.open)(DriveContext {
        profile: "lark".to_owned(),
        auth_mode: "official_oauth".to_owned(),
        fields: BTreeMap::from(fields),
        endpoints: BTreeMap::from([("api".to_owned(), base.to_owned())]),
        overridden: vec!["api".to_owned()],
        root: None,
        credentials: store.clone(),
        clock: Arc::new(SystemClock),
        budget: Budget::new(&[]),
        breakers: Arc::new(NoBreakers),
        account: "a".to_owned(),
        state_dir: std::env::temp_dir(),
        instance: "t".to_owned(),
    })
    .unwrap()
}

pub(super) fn history_of(token: &str) -> String {
    format!("GET /drive/v1/files/{token}/history")
}

pub(super) fn download_of(token: &str) -> String {
    format!("GET /drive/v1/files/{token}/download")
}

/// Now, as the service spells it.
pub(super) fn now() -> String {
    jiff::Timestamp::now().as_second().to_string()
}

/// A content at hand.
pub(super) struct InMemory(pub Bytes);

#[async_trait]
impl Content for InMemory {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }
    fn known(&self) -> Fingerprints {
        Fingerprints::new()
    }
    async fn stream(&self, range: std::ops::Range<u64>) -> Result<ByteStream> {
        let part = self.0.slice(range.start as usize..range.end as usize);
        Ok(Box::pin(futures_util::stream::iter([Ok(part)])))
    }
    fn cost(&self, _kind: Kind) -> Cost {
        Cost::FullRead(self.size())
    }
    async fn learn(&self, _kind: Kind) -> Result<Option<String>> {
        Ok(None)
    }
}

pub(super) fn talk(content: &InMemory) -> Conversation<'_> {
    Conversation::new(content, ReadBudget::SMALL)
}

pub(super) fn request(name: &str, content: &InMemory, on_conflict: OnConflict) -> UploadRequest {
    UploadRequest {
        parent: NodeId::new("fldD"),
        name: name.to_owned(),
        size: content.size(),
        modified: None,
        on_conflict,
    }
}
