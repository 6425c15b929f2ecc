//! Whole conversations with a small stand-in on loopback that says what the sheet's samples say.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use bytes::Bytes;
use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use crate::drive::{
    Attempt, ByteStream, Content, Conversation, Cost, Drive, DriveContext, DriveError, ErrorKind,
    NodeId, OnConflict, ReadBudget, Result, UploadRequest, collect,
};
use crate::fingerprint::{Fingerprints, Kind, Known, Origin};
use crate::net::{
    BreakerRecord, BreakerStore, Budget, CredentialStore, Credentials, Secret, StoreError,
    SystemClock,
};

/// What the stand-in knows and saw.
#[derive(Default)]
struct Server {
    base: String,
    known: bool,
    seen: Vec<String>,
    parts: Vec<Vec<u8>>,
    callback: bool,
    expired_key: bool,
}

type Shared = Arc<Mutex<Server>>;

const LINK: &str = "/cdn/hello.txt";

async fn answer(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, HeaderMap, String) {
    let mut server = shared.lock().unwrap();
    let form = String::from_utf8_lossy(&body).into_owned();
    let query = uri.query().unwrap_or("").to_owned();
    server.seen.push(format!("{method} {}", uri.path()));
    let mut out = HeaderMap::new();
    let ok = |data: Value| {
        let text = json!({"state":true,"message":"","code":0,"data":data}).to_string();
        (StatusCode::OK, HeaderMap::new(), text)
    };
    match uri.path() {
        "/open/refreshToken" => {
            assert_eq!(form, "refresh_token=R1");
            ok(json!({"access_token":"A2","refresh_token":"R2","expires_in":7200}))
        }
        "/open/ufile/files" => {
            assert_eq!(headers["authorization"], "Bearer A2");
            assert!(query.contains("show_dir=1") && query.contains("cur=1"));
            let text = json!({"state":true,"code":0,"data":[],"count":0,"cid":0}).to_string();
            (StatusCode::OK, out, text)
        }
        "/open/upload/init" if !server.known => {
            ok(json!({"status":1,"pick_code":"p","target":"U_1_0",
            "bucket":"fhnfile","object":"obj","sign_check":"",
            "callback":[{"callback":"{c}","callback_var":"{v}"}]}))
        }
        "/open/upload/init" if !form.contains("sign_val=") => ok(json!({"status":7,"code":701,
            "sign_key":"K","sign_check":"524288-524415","pick_code":"p","callback":[]})),
        "/open/upload/init" => {
            assert!(form.contains("sign_val=7C185107EA601E73DA9617E6767CBD7BC919BEB3"));
            ok(json!({"status":2,"file_id":"77","pick_code":"pc77","sign_check":""}))
        }
        "/open/upload/get_token" => ok(json!({"endpoint":server.base,"AccessKeyId":"I",
            "AccessKeySecret":"S","SecurityToken":"T","expiration":"2000-01-01T00:00:00Z"})),
        "/fhnfile/obj" if server.expired_key => {
            server.expired_key = false;
            let text = "<Error><Code>SecurityTokenExpired</Code></Error>".to_owned();
            (StatusCode::FORBIDDEN, out, text)
        }
        "/fhnfile/obj" => {
            assert!(
                headers["authorization"]
                    .to_str()
                    .unwrap()
                    .starts_with("OSS I:")
            );
            let text = if query == "sequential&uploads" {
                "<InitiateMultipartUploadResult><UploadId>U1</UploadId></InitiateMultipartUploadResult>"
                    .to_owned()
            } else if method == Method::PUT {
                server.parts.push(body.to_vec());
                out.insert("etag", "\"E\"".parse().unwrap());
                String::new()
            } else {
                assert!(form.contains("<PartNumber>1</PartNumber><ETag>\"E\"</ETag>"));
                server.callback = headers.contains_key("x-oss-callback-var");
                json!({"state":true,"code":0,"data":{"file_id":"88","pick_code":"pc88",
                    "file_size":server.parts.concat().len(),"file_name":"a.bin"}})
                .to_string()
            };
            (StatusCode::OK, out, text)
        }
        "/open/ufile/downurl" => {
            let url = format!("{}{LINK}?t=99999999999&c=1&f=1", server.base);
            ok(json!({"9":{"url":{"url":url}}}))
        }
        LINK => {
            let agent = headers["user-agent"].to_str().unwrap();
            assert!(agent.starts_with("panfuse/"));
            out.insert("content-range", "bytes 2-4/12".parse().unwrap());
            (StatusCode::PARTIAL_CONTENT, out, "llo".to_owned())
        }
        path => panic!("unexpected call {method} {path}"),
    }
}

struct Store;

#[async_trait]
impl CredentialStore for Store {
    async fn load(&self) -> Result<Credentials, StoreError> {
        Ok([("refresh_token".to_owned(), Secret::new("R1"))].into())
    }
    async fn save(&self, _changed: Credentials) -> Result<(), StoreError> {
        Ok(())
    }
    async fn lock(&self) -> Result<Box<dyn Send + Sync>, StoreError> {
        Ok(Box::new(()))
    }
}

impl BreakerStore for Store {
    fn load(&self, _account: &str) -> Option<BreakerRecord> {
        None
    }
    fn save(&self, _account: &str, _record: Option<&BreakerRecord>) {}
}

/// The sheet's `gen(1048577)` with its SHA-1 known.
pub struct Gen;

pub const SIZE: u64 = 1_048_577;
pub const SHA1: &str = "58dfccb4d6714697adc5a71820a4a5c07c3443c3";

pub fn bytes(range: Range<u64>) -> Bytes {
    range
        .map(|i| ((31 * i + 7 * (i / 256) + 11) % 256) as u8)
        .collect()
}

#[async_trait]
impl Content for Gen {
    fn size(&self) -> u64 {
        SIZE
    }
    fn known(&self) -> Fingerprints {
        let known = Known {
            value: SHA1.into(),
            origin: Origin::Provider,
            provider: "".into(),
            at: 0,
        };
        [(Kind::Sha1, known)].into_iter().collect()
    }
    async fn stream(&self, range: Range<u64>) -> Result<ByteStream> {
        let piece: Result<Bytes> = Ok(bytes(range));
        Ok(Box::pin(futures_util::stream::iter([piece])))
    }
    fn cost(&self, _kind: Kind) -> Cost {
        Cost::FullRead(SIZE)
    }
    async fn learn(&self, _kind: Kind) -> Result<Option<String>> {
        Ok(None)
    }
}

async fn stand_in(known: bool) -> (Arc<dyn Drive>, Shared) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let shared: Shared = Arc::new(Mutex::new(Server {
        base: base.clone(),
        known,
        ..Server::default()
    }));
    let router = Router::new().fallback(answer).with_state(shared.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let endpoints: BTreeMap<String, String> = super::INFO
        .endpoints
        .iter()
        .map(|endpoint| (endpoint.name.to_owned(), base.clone()))
        .collect();
    let context = DriveContext {
        profile: "p".to_owned(),
        auth_mode: "official_oauth".to_owned(),
        fields: BTreeMap::new(),
        endpoints,
        overridden: Vec::new(),
        root: None,
        credentials: Arc::new(Store),
        clock: Arc::new(SystemClock),
        budget: Budget::new(super::LIMITS),
        breakers: Arc::new(Store),
        account: "a".to_owned(),
        state_dir: std::env::temp_dir(),
        instance: "i".to_owned(),
    };
    ((super::INFO.open)(context).unwrap(), shared)
}

pub fn request() -> UploadRequest {
    UploadRequest {
        parent: NodeId::new("0"),
        name: "a.bin".to_owned(),
        size: SIZE,
        modified: None,
        on_conflict: OnConflict::Refuse,
    }
}

#[tokio::test]
async fn a_challenge_is_answered_with_the_range_and_nothing_else_is_read() {
    let (drive, server) = stand_in(true).await;
    let conversation = Conversation::new(&Gen, ReadBudget::SMALL);
    let attempt = drive.fast_upload(&request(), &conversation).await.unwrap();
    let Attempt::Hit { node, decided_by } = attempt else {
        panic!("a miss");
    };
    assert_eq!((node.id.as_str(), node.version.as_str()), ("77", SHA1));
    assert_eq!(node.handle.as_deref(), Some("pc77"));
    assert_eq!(decided_by, [Kind::Sha1]);
    assert_eq!(conversation.spent(), 128);
    let calls = server.lock().unwrap().seen.len();
    assert_eq!(calls, 4, "refresh, list, init, init");
}

#[tokio::test]
async fn a_challenge_over_the_budget_is_handed_on() {
    let (drive, _server) = stand_in(true).await;
    let conversation = Conversation::new(&Gen, ReadBudget::None);
    let error: DriveError = drive
        .fast_upload(&request(), &conversation)
        .await
        .unwrap_err();
    assert!(matches!(error.kind, ErrorKind::OverBudget(_)));
}

#[tokio::test]
async fn a_miss_goes_on_as_an_upload_with_callback_and_renewed_key() {
    let (drive, server) = stand_in(false).await;
    let conversation = Conversation::new(&Gen, ReadBudget::SMALL);
    let attempt = drive.fast_upload(&request(), &conversation).await.unwrap();
    let Attempt::Miss(Some(mut session)) = attempt else {
        panic!("no session");
    };
    assert_eq!((session.parallel, session.part_count(SIZE)), (1, 1));
    server.lock().unwrap().expired_key = true;
    let receipt = drive.put_part(&session, 1, bytes(0..SIZE)).await.unwrap();
    session.accepted.push(receipt);
    let node = drive
        .commit_upload(&request(), &session, &conversation)
        .await
        .unwrap();
    assert_eq!((node.id.as_str(), node.size), ("88", SIZE));
    let server = server.lock().unwrap();
    assert!(server.callback);
    let sent = Sha1::digest(server.parts.concat());
    let sent: String = sent.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(sent, SHA1);
    let keys = server.seen.iter().filter(|s| s.contains("get_token"));
    assert_eq!(keys.count(), 2, "the refused key was fetched again, once");
}

#[tokio::test]
async fn ranges_are_read_over_one_link() {
    let (drive, server) = stand_in(true).await;
    let mut node = drive.stat(&NodeId::new("0")).await.unwrap();
    (node.id, node.handle) = (NodeId::new("9"), Some("pc9".to_owned()));
    for _ in 0..2 {
        // The link allows one connection: it is free again when the stream is gone.
        let stream = drive.read(&node, 2..5).await.unwrap();
        assert_eq!(&collect(stream, 3).await.unwrap()[..], b"llo");
    }
    let server = server.lock().unwrap();
    let links = server.seen.iter().filter(|s| s.contains("downurl"));
    assert_eq!(links.count(), 1);
}
