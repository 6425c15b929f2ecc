//! A scripted server on loopback for the flow tests: answers by path in order, every request kept.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use bytes::Bytes;
use serde_json::{Value, json};

use super::sign::Signed;
use crate::drive::{
    ByteStream, Content, Cost, Drive, DriveContext, NodeId, OnConflict, Result, UploadRequest,
};
use crate::fingerprint::{Fingerprints, Kind, Known, Origin};
use crate::net::{
    Budget, CredentialStore, Credentials, MemoryBreakerStore, Secret, StoreError, SystemClock,
};

pub const KEY: &str = "3f6c1d2e-8b7a-4c59-9d10-aabbccddeeff";
pub const SECRET: &str = "0F1E2D3C4B5A69788796A5B4C3D2E1F0";

/// An answer.
#[derive(Clone)]
pub struct Say {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

/// HTTP 200 with this body.
pub fn say(body: impl ToString) -> Say {
    status(200, body)
}

/// Another status.
pub fn status(status: u16, body: impl ToString) -> Say {
    Say {
        status,
        headers: Vec::new(),
        body: body.to_string(),
    }
}

impl Say {
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Say {
        self.headers.push((name, value.into()));
        self
    }
}

/// What the server saw.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    /// A query or form value, decoded.
    pub fn value(&self, key: &str) -> Option<String> {
        let body = String::from_utf8_lossy(&self.body).into_owned();
        let url = |query: &str| reqwest::Url::parse(&format!("http://h/?{query}")).unwrap();
        [url(&self.query), url(&body)].iter().find_map(|url| {
            url.query_pairs()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value.into_owned())
        })
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The encrypted parameters, as they were before.
    pub fn params(&self) -> String {
        use aes::cipher::{BlockCipherDecrypt, KeyInit};
        let hex = self.value("params").unwrap();
        let cipher = aes::Aes128::new_from_slice(&SECRET.as_bytes()[..16]).unwrap();
        let bytes: Vec<u8> = (0..hex.len() / 2)
            .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
            .collect();
        let mut plain = Vec::new();
        for chunk in bytes.as_chunks::<16>().0 {
            let mut block = (*chunk).into();
            cipher.decrypt_block(&mut block);
            plain.extend_from_slice(&block);
        }
        let pad = usize::from(*plain.last().unwrap());
        plain.truncate(plain.len() - pad);
        String::from_utf8(plain).unwrap()
    }

    /// Whether the request is signed as section 3.3 wants it.
    pub fn is_signed(&self) -> bool {
        let params = self.value("params");
        let signed = Signed {
            method: &self.method,
            path: &self.path,
            date: self.header("date"),
            params: params.as_deref(),
        };
        let key = self.header("sessionkey");
        key == KEY && self.header("signature") == signed.signature(key, SECRET)
    }
}

#[derive(Default)]
struct Script {
    answers: BTreeMap<String, VecDeque<Say>>,
    seen: Vec<Seen>,
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
    script.seen.push(Seen {
        method: method.to_string(),
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        headers,
        body,
    });
    let say = match script.answers.get_mut(uri.path()) {
        Some(queue) if queue.len() > 1 => queue.pop_front().unwrap(),
        Some(queue) => queue.front().cloned().unwrap(),
        None => status(404, "<html>no route"),
    };
    let mut headers = HeaderMap::new();
    for (name, value) in say.headers {
        headers.insert(HeaderName::from_static(name), value.parse().unwrap());
    }
    (StatusCode::from_u16(say.status).unwrap(), headers, say.body)
}

/// Credentials in memory, and how many requests had been seen at each save.
#[derive(Default)]
pub struct Store {
    fields: Mutex<Credentials>,
    script: Shared,
    pub saves: Mutex<Vec<(Vec<String>, usize)>>,
}

impl Store {
    /// Gives a secret that no field of a profile has.
    pub fn set(&self, name: &str, value: &str) {
        let mut fields = self.fields.lock().unwrap();
        fields.insert(name.to_owned(), Secret::new(value));
    }

    pub fn field(&self, name: &str) -> String {
        let fields = self.fields.lock().unwrap();
        fields
            .get(name)
            .map_or_else(String::new, |secret| secret.expose().to_owned())
    }
}

#[async_trait]
impl CredentialStore for Store {
    async fn load(&self) -> Result<Credentials, StoreError> {
        Ok(self.fields.lock().unwrap().clone())
    }

    async fn save(&self, changed: Credentials) -> Result<(), StoreError> {
        let seen = self.script.lock().unwrap().seen.len();
        let names = changed.keys().cloned().collect();
        self.saves.lock().unwrap().push((names, seen));
        self.fields.lock().unwrap().extend(changed);
        Ok(())
    }

    async fn lock(&self) -> Result<Box<dyn Send + Sync>, StoreError> {
        Ok(Box::new(()))
    }
}

/// A drive and its server.
pub struct Bed {
    pub drive: Arc<dyn Drive>,
    pub store: Arc<Store>,
    pub base: String,
    script: Shared,
}

impl Bed {
    /// An account with a living session.
    pub async fn account() -> Bed {
        let session = json!({"sessionKey":KEY,"sessionSecret":SECRET,"loginName":"u@189.cn"});
        Bed::with(
            "web_login_capture",
            &[],
            &[("access_token", &session.to_string())],
        )
        .await
    }

    pub async fn with(mode: &str, fields: &[(&str, &str)], secrets: &[(&str, &str)]) -> Bed {
        let script = Shared::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new()
            .fallback(answer)
            // A slice has ten megabytes.
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let text = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        let secrets = text(secrets)
            .into_iter()
            .map(|(key, value)| (key, Secret::new(value)));
        let store = Arc::new(Store {
            fields: Mutex::new(secrets.collect()),
            script: script.clone(),
            saves: Mutex::default(),
        });
        let endpoints = super::INFO.endpoints.iter();
        let drive = (super::INFO.open)(DriveContext {
            profile: "p".to_owned(),
            auth_mode: mode.to_owned(),
            fields: text(fields),
            endpoints: endpoints
                .map(|endpoint| (endpoint.name.to_owned(), base.clone()))
                .collect(),
            overridden: Vec::new(),
            root: None,
            credentials: store.clone(),
            clock: Arc::new(SystemClock),
            budget: Budget::new(&[]),
            breakers: Arc::new(MemoryBreakerStore::default()),
            account: "a".to_owned(),
            state_dir: std::env::temp_dir(),
            instance: "t".to_owned(),
        })
        .unwrap();
        Bed {
            drive,
            store,
            base,
            script,
        }
    }

    /// Appends an answer for a path; the last one stays.
    pub fn on(&self, path: &str, say: Say) -> &Bed {
        let mut script = self.script.lock().unwrap();
        script
            .answers
            .entry(path.to_owned())
            .or_default()
            .push_back(say);
        self
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.script.lock().unwrap().seen.clone()
    }

    pub fn paths(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.path).collect()
    }

    /// The last request of a path.
    pub fn last(&self, path: &str) -> Seen {
        let seen = self.seen().into_iter().rev();
        let mut seen = seen.filter(|seen| seen.path == path);
        seen.next()
            .unwrap_or_else(|| panic!("{path} was not asked"))
    }

    pub fn forget(&self) {
        self.script.lock().unwrap().seen.clear();
    }
}

pub const LIST: &str = "/listFiles.action";
pub const TASK: &str = "/batch/createBatchTask.action";
pub const CHECK: &str = "/batch/checkBatchTask.action";

/// A listing of these entries.
pub fn listing(folders: &[Value], files: &[Value]) -> Say {
    say(
        json!({"res_code":0,"fileListAO":{"count":folders.len() + files.len(),
        "folderList":folders,"fileList":files}}),
    )
}

/// A file of a listing, in folder 5, just made.
pub fn file(id: u64, name: &str, bytes: &[u8]) -> Value {
    let now = jiff::Timestamp::now().as_millisecond();
    json!({"id":id,"name":name,"size":bytes.len(),"md5":md5_of(bytes).to_uppercase(),
        "parentId":5,"createDate":now,"lastOpTime":now})
}

pub fn md5_of(bytes: &[u8]) -> String {
    crate::fingerprint::hash_all(&[Kind::Md5], bytes)
        .remove(0)
        .1
}

pub fn request(name: &str, size: u64) -> UploadRequest {
    UploadRequest {
        parent: NodeId::new("5"),
        name: name.to_owned(),
        size,
        modified: None,
        on_conflict: OnConflict::Refuse,
    }
}

/// A content of which these kinds are known.
pub struct Sample {
    pub bytes: Bytes,
    known: Fingerprints,
}

impl Sample {
    pub fn new(bytes: impl Into<Bytes>, kinds: &[Kind]) -> Sample {
        let bytes = bytes.into();
        let known = crate::fingerprint::hash_all(kinds, &bytes)
            .into_iter()
            .map(|(kind, value)| {
                let known = Known {
                    value: value.into(),
                    origin: Origin::Computed,
                    provider: "".into(),
                    at: 0,
                };
                (kind, known)
            })
            .collect();
        Sample { bytes, known }
    }
}

#[async_trait]
impl Content for Sample {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn known(&self) -> Fingerprints {
        self.known.clone()
    }

    async fn stream(&self, range: Range<u64>) -> Result<ByteStream> {
        let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        let piece: Result<Bytes> = Ok(self.bytes.slice(range));
        Ok(Box::pin(futures_util::stream::iter([piece])))
    }

    fn cost(&self, kind: Kind) -> Cost {
        match self.known.usable(kind) {
            Some(_) => Cost::Known,
            None => Cost::FullRead(self.size()),
        }
    }

    async fn learn(&self, _kind: Kind) -> Result<Option<String>> {
        Ok(None)
    }
}
