//! The driver against scripted answers on loopback: what it sends, and what it makes of it.

mod archives;
mod changes;
mod login;
mod uploads;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::{HeaderMap, Method, StatusCode, Uri};
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::*;
use crate::drive::{Content, Cost, DriveError, ErrorKind, OnConflict, ReadBudget};
use crate::fingerprint::{Fingerprints, Known};
use crate::net::{
    Budget, CredentialStore, Credentials, MemoryBreakerStore, Secret, StoreError, SystemClock,
};

const GCID: &str = "3FC0617C331816DA4EE9C19C6F532F2D6D4FD6CC";
const DEVICE: &str = "0123456789abcdef0123456789abcdef";
const INIT: &str = "POST /v1/shield/captcha/init";
const ABOUT: &str = "GET /drive/v1/about";
const CREATE: &str = "POST /drive/v1/files";
const STAT: &str = "GET /drive/v1/files/VNnew";
const PATCH: &str = "PATCH /drive/v1/files/VNnew";
const DELETE: &str = "POST /drive/v1/files:batchDelete";
const OBJECT: &str = "/b/upload_tmp/X";

/// One request: `METHOD /path`, the query as it was written, JSON body, headers.
struct Asked<'a> {
    call: &'a str,
    query: &'a str,
    body: &'a Value,
    bytes: &'a [u8],
    headers: &'a HeaderMap,
}

impl Asked<'_> {
    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }
}

type Script = dyn Fn(&Asked) -> (u16, Value) + Send + Sync;

/// A server that answers by script and notes what it was asked.
struct Stand {
    base: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Stand {
    async fn start(script: impl Fn(&Asked) -> (u16, Value) + Send + Sync + 'static) -> Stand {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Script> = Arc::new(script);
        let log = asked.clone();
        let app = axum::Router::new().fallback(
            move |method: Method, uri: Uri, headers: HeaderMap, bytes: Bytes| {
                let call = format!("{method} {}", uri.path());
                log.lock().unwrap().push(call.clone());
                let (status, answer) = script(&Asked {
                    call: &call,
                    query: uri.query().unwrap_or(""),
                    body: &serde_json::from_slice(&bytes).unwrap_or(Value::Null),
                    bytes: &bytes,
                    headers: &headers,
                });
                // A text is a document of the object store, or a file.
                let text = match answer {
                    Value::String(text) => text,
                    answer => answer.to_string(),
                };
                let status = StatusCode::from_u16(status).unwrap();
                async move { (status, [("etag", "\"E\"")], text) }
            },
        );
        let app = app.layer(axum::extract::DefaultBodyLimit::disable());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Stand { base, asked }
    }

    fn drive(&self, fields: &[(&str, &str)], store: &Arc<Store>) -> Arc<dyn Drive> {
        open(self.context(fields, store)).unwrap()
    }

    fn context(&self, fields: &[(&str, &str)], store: &Arc<Store>) -> DriveContext {
        let own = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            let pairs = pairs.iter().copied();
            pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
        };
        let base = self.base.as_str();
        DriveContext {
            profile: "p".to_owned(),
            auth_mode: "manual_token".to_owned(),
            fields: own(fields),
            endpoints: own(&[("api", base), ("user", base), ("oss", base)]),
            overridden: ["api", "user", "oss"].map(str::to_owned).to_vec(),
            root: None,
            credentials: store.clone(),
            clock: Arc::new(SystemClock),
            budget: Budget::new(&[]),
            breakers: Arc::new(MemoryBreakerStore::default()),
            account: "a".to_owned(),
            state_dir: std::env::temp_dir(),
            instance: "i".to_owned(),
        }
    }

    /// With tokens that are good until they are refused.
    fn signed_in(&self) -> Arc<dyn Drive> {
        self.drive(&[], &signed_in())
    }

    fn count(&self, call: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|asked| *asked == call).count()
    }
}

/// Credentials in memory.
#[derive(Default)]
struct Store(Mutex<Credentials>);

impl Store {
    fn of(secrets: &[(&str, &str)]) -> Arc<Store> {
        let secrets = secrets.iter().copied();
        let secrets = secrets.map(|(k, v)| (k.to_owned(), Secret::new(v)));
        Arc::new(Store(Mutex::new(secrets.collect())))
    }

    fn get(&self, name: &str) -> String {
        let all = self.0.lock().unwrap();
        all.get(name).map_or("", Secret::expose).to_owned()
    }

    /// Fields whose name begins so.
    fn starting(&self, with: &str) -> usize {
        let all = self.0.lock().unwrap();
        all.keys().filter(|name| name.starts_with(with)).count()
    }
}

fn signed_in() -> Arc<Store> {
    Store::of(&[("access_token", "at"), ("captcha_token", "ck0.given")])
}

#[async_trait]
impl CredentialStore for Store {
    async fn load(&self) -> Result<Credentials, StoreError> {
        Ok(self.0.lock().unwrap().clone())
    }

    async fn save(&self, changed: Credentials) -> Result<(), StoreError> {
        let mut all = self.0.lock().unwrap();
        all.extend(changed);
        all.retain(|_, secret| !secret.is_empty());
        Ok(())
    }

    async fn lock(&self) -> Result<Box<dyn Send + Sync>, StoreError> {
        Ok(Box::new(()))
    }
}

/// 600,000 bytes of which the gcid is known or not.
struct Source(Option<Origin>);

#[async_trait]
impl Content for Source {
    fn size(&self) -> u64 {
        600_000
    }

    fn known(&self) -> Fingerprints {
        let known = self.0.map(|origin| Known {
            value: GCID.into(),
            origin,
            provider: "".into(),
            at: 0,
        });
        known.map(|known| (Kind::Gcid, known)).into_iter().collect()
    }

    async fn stream(&self, _range: Range<u64>) -> Result<ByteStream> {
        Err(DriveError::unsupported("reading"))
    }

    fn cost(&self, _kind: Kind) -> Cost {
        Cost::FullRead(600_000)
    }

    async fn learn(&self, _kind: Kind) -> Result<Option<String>> {
        Ok(None)
    }
}

fn request() -> UploadRequest {
    UploadRequest {
        parent: NodeId::new("root"),
        name: "a.bin".to_owned(),
        size: 600_000,
        modified: None,
        on_conflict: OnConflict::Refuse,
    }
}

fn file(name: &str, phase: &str) -> Value {
    json!({"kind":"drive#file","id":"VNnew","parent_id":"","name":name,"size":"600000",
        "hash":GCID,"phase":phase})
}

fn refusal(code: i64, name: &str) -> (u16, Value) {
    (
        400,
        json!({"error":name,"error_code":code,"error_description":name}),
    )
}

async fn read(drive: &Arc<dyn Drive>, node: &Node, range: Range<u64>) -> Result<Vec<u8>> {
    let mut stream = drive.read(node, range).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

#[tokio::test]
async fn a_refused_link_is_renewed_once() {
    let base = Arc::new(Mutex::new(String::new()));
    let (links, own) = (AtomicUsize::new(0), base.clone());
    let stand = Stand::start(move |asked| match asked.call {
        STAT => {
            assert!(asked.query.contains("usage=FETCH") && asked.query.contains("_magic=2021"));
            let n = links.fetch_add(1, Ordering::SeqCst);
            let url = format!("{}/dl{n}?e=4102444800", own.lock().unwrap());
            let links = json!({"application/octet-stream":{"url":url}});
            (200, json!({"id":"VNnew","name":"a.bin","links":links}))
        }
        "GET /dl1" => {
            for name in ["authorization", "x-device-id", "x-captcha-token", "accept"] {
                assert!(!asked.header(name).contains("json"), "{name}");
                assert!(name == "accept" || asked.header(name).is_empty(), "{name}");
            }
            (200, json!("0123456789"))
        }
        _ => (403, json!("")),
    })
    .await;
    base.lock().unwrap().clone_from(&stand.base);
    let node = list::node(&file("a.bin", list::COMPLETE), None).unwrap();
    let drive = stand.signed_in();
    for _ in 0..2 {
        assert_eq!(read(&drive, &node, 0..4).await.unwrap(), b"0123");
    }
    assert_eq!(stand.count(STAT), 2);
}

#[tokio::test]
async fn pages_are_followed_and_strays_dropped() {
    let stand = Stand::start(|asked| {
        assert_eq!(asked.call, "GET /drive/v1/files");
        assert!(asked.query.contains("parent_id=&") && asked.query.contains("limit=100"));
        assert!(asked.query.contains("PHASE_TYPE_COMPLETE") && asked.query.contains("space="));
        let mut pending = file("later.bin", "PHASE_TYPE_PENDING");
        pending["id"] = json!("VNpending");
        let stray = json!({"kind":"drive#folder","id":"","name":"","folder_type":"DEFAULT_ROOT","space":""});
        if asked.query.contains("page_token=&") {
            (200, json!({"files":[stray, file("a.bin", "")],"next_page_token":"n1"}))
        } else {
            assert!(asked.query.contains("page_token=n1&"));
            (200, json!({"files":[pending],"next_page_token":"n1"}))
        }
    })
    .await;
    let drive = stand.signed_in();
    let first = drive.list(&NodeId::new("root"), None).await.unwrap();
    assert_eq!(first.nodes.len(), 1);
    let second = drive.list(&NodeId::new("root"), first.next).await.unwrap();
    // A token that leads to itself ends the listing.
    assert!(second.nodes.is_empty() && second.next.is_none());
}
