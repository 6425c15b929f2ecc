//! The driver against a scripted server on loopback: which calls it makes, in which order, and
//! what it does when an answer is lost.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::drive::{
    Attempt, ByteStream, Content, Conversation, Cost, Drive, DriveContext, ErrorKind, Node, NodeId,
    NodeKind, OnConflict, ReadBudget, Result, UploadRequest,
};
use crate::fingerprint::{Fingerprints, Kind, Known, Origin};
use crate::net::{
    BreakerRecord, BreakerStore, Budget, CredentialStore, Credentials, Secret, StoreError,
    SystemClock,
};

/// Answers by path, used up in order; the last one stays.
#[derive(Default)]
struct Script {
    answers: BTreeMap<&'static str, VecDeque<(u16, String)>>,
    seen: Vec<Seen>,
}

#[derive(Clone, Debug)]
struct Seen {
    path: String,
    query: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

type Shared = Arc<Mutex<Script>>;

async fn answer(
    State(script): State<Shared>,
    _method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let mut script = script.lock().unwrap();
    script.seen.push(Seen {
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        headers,
        body,
    });
    let Some(queue) = script.answers.get_mut(uri.path()) else {
        return (StatusCode::NOT_FOUND, "<html>no route".to_owned());
    };
    let (status, text) = if queue.len() > 1 {
        queue.pop_front().unwrap()
    } else {
        queue.front().cloned().unwrap()
    };
    (StatusCode::from_u16(status).unwrap(), text)
}

#[derive(Default)]
struct Store(Mutex<Credentials>);

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

struct Bed {
    script: Shared,
    store: Arc<Store>,
    drive: Arc<dyn Drive>,
}

const TOKEN: &str = "/api/v1/access_token";
const LIST: &str = "/api/v2/file/list";
const INFOS: &str = "/api/v1/file/infos";
const CREATE: &str = "/upload/v2/file/create";
const SHA1: &str = "/upload/v2/file/sha1_reuse";
const COMPLETE: &str = "/upload/v2/file/upload_complete";
const SLICE: &str = "/upload/v2/file/slice";
const MD5_OF_ABC: &str = "900150983cd24fb0d6963f7d28e17f72";
const SHA1_OF_ABC: &str = "a9993e364706816aba3e25717850c26c9cd0d89d";

impl Bed {
    async fn new(refresh_token: Option<&str>) -> Bed {
        let script = Shared::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new()
            .fallback(answer)
            .with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let store = Arc::new(Store::default());
        store
            .0
            .lock()
            .unwrap()
            .insert("client_secret".to_owned(), Secret::new("s3cret"));
        if let Some(token) = refresh_token {
            let mut stored = store.0.lock().unwrap();
            stored.insert("refresh_token".to_owned(), Secret::new(token));
        }
        let endpoints = ["api", "upload"].map(|name| (name.to_owned(), base.clone()));
        let drive = (super::INFO.open)(DriveContext {
            profile: "pan".to_owned(),
            auth_mode: "official_oauth".to_owned(),
            fields: BTreeMap::from([("client_id".to_owned(), "abc".to_owned())]),
            endpoints: BTreeMap::from(endpoints),
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
        .unwrap();
        let bed = Bed {
            script,
            store,
            drive,
        };
        bed.ok(
            TOKEN,
            json!({"accessToken":"tok","expiredAt":"2999-01-01T00:00:00+08:00"}),
        );
        bed
    }

    fn raw(&self, path: &'static str, status: u16, text: &str) {
        let mut script = self.script.lock().unwrap();
        let queue = script.answers.entry(path).or_default();
        queue.push_back((status, text.to_owned()));
    }

    fn ok(&self, path: &'static str, data: Value) {
        let text = json!({"code":0,"message":"ok","data":data,"x-traceID":"t"});
        self.raw(path, 200, &text.to_string());
    }

    fn code(&self, path: &'static str, code: i64, message: &str) {
        let text = json!({"code":code,"message":message,"data":null});
        self.raw(path, 200, &text.to_string());
    }

    /// The paths asked since the last call, without the login.
    fn asked(&self) -> Vec<String> {
        let seen = std::mem::take(&mut self.script.lock().unwrap().seen);
        seen.into_iter()
            .map(|seen| seen.path)
            .filter(|path| path != TOKEN)
            .collect()
    }

    fn last(&self, path: &str) -> Seen {
        let script = self.script.lock().unwrap();
        let found = script.seen.iter().rev().find(|seen| seen.path == path);
        found.unwrap().clone()
    }
}

/// Three bytes, with some of their hashes known.
struct Abc(Fingerprints);

impl Abc {
    fn knowing(kinds: &[Kind]) -> Abc {
        let known = |kind: &Kind| {
            let value = if *kind == Kind::Md5 {
                MD5_OF_ABC
            } else {
                SHA1_OF_ABC
            };
            let known = Known {
                value: value.into(),
                origin: Origin::Provider,
                provider: "x".into(),
                at: 0,
            };
            (*kind, known)
        };
        Abc(kinds.iter().map(known).collect())
    }
}

#[async_trait]
impl Content for Abc {
    fn size(&self) -> u64 {
        3
    }
    fn known(&self) -> Fingerprints {
        self.0.clone()
    }
    async fn stream(&self, _range: std::ops::Range<u64>) -> Result<ByteStream> {
        panic!("nothing may be read");
    }
    fn cost(&self, _kind: Kind) -> Cost {
        Cost::FullRead(3)
    }
    async fn learn(&self, _kind: Kind) -> Result<Option<String>> {
        Ok(None)
    }
}

fn request() -> UploadRequest {
    UploadRequest {
        parent: NodeId::new("5"),
        name: "a.bin".to_owned(),
        size: 3,
        modified: None,
        on_conflict: OnConflict::Refuse,
    }
}

/// An entry made just now.
fn entry(id: i64, name: &str) -> Value {
    let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(8));
    let now = jiff::Timestamp::now().to_zoned(zone);
    let text = now.strftime("%Y-%m-%d %H:%M:%S").to_string();
    json!({"fileId":id,"filename":name,"parentFileId":5,"type":0,"etag":MD5_OF_ABC,"size":3,
        "trashed":0,"createAt":text,"updateAt":text})
}

fn page(entries: &[Value]) -> Value {
    json!({ "lastFileId": -1, "fileList": entries })
}

fn file(id: &str) -> Node {
    Node {
        id: NodeId::new(id),
        parent: NodeId::new("5"),
        name: "a.bin".to_owned(),
        kind: NodeKind::File,
        size: 3,
        modified: 0,
        created: 0,
        version: String::new(),
        fingerprints: Fingerprints::new(),
        handle: None,
        raw: None,
    }
}

async fn ask(bed: &Bed, known: &[Kind]) -> Result<Attempt> {
    let content = Abc::knowing(known);
    let conversation = Conversation::new(&content, ReadBudget::SMALL);
    bed.drive.fast_upload(&request(), &conversation).await
}

#[tokio::test]
async fn sha1_is_asked_first_and_suffices() {
    let bed = Bed::new(None).await;
    bed.ok(SHA1, json!({"fileID":77,"reuse":true}));
    bed.ok(INFOS, json!({"list":[entry(77, "a.bin")]}));
    let Attempt::Hit { node, decided_by } = ask(&bed, &[Kind::Sha1, Kind::Md5]).await.unwrap()
    else {
        panic!("no hit");
    };
    assert_eq!((node.id.as_str(), &*node.version), ("77", MD5_OF_ABC));
    assert_eq!(decided_by, [Kind::Sha1]);
    let sent = bed.last(SHA1);
    assert_eq!(sent.headers["platform"], "open_platform");
    assert_eq!(sent.headers["authorization"], "Bearer tok");
    let body = sent.json();
    assert_eq!(body["sha1"], SHA1_OF_ABC);
    assert!(body.get("duplicate").is_none());
    assert_eq!(bed.asked(), [SHA1, INFOS]);
}

#[tokio::test]
async fn a_sha1_miss_asks_by_md5_and_hands_the_session_on() {
    let bed = Bed::new(None).await;
    bed.ok(SHA1, json!({"fileID":0,"reuse":false}));
    bed.ok(
        CREATE,
        json!({"fileID":0,"reuse":false,"preuploadID":"P1","sliceSize":2,"servers":null}),
    );
    let Attempt::Miss(Some(session)) = ask(&bed, &[Kind::Sha1, Kind::Md5]).await.unwrap() else {
        panic!("no session");
    };
    assert_eq!(bed.asked(), [SHA1, CREATE]);
    bed.code(SLICE, 0, "ok");
    let mut session = session;
    for (number, bytes) in [(1, "ab"), (2, "c")] {
        let bytes = Bytes::from_static(bytes.as_bytes());
        let receipt = bed.drive.put_part(&session, number, bytes).await.unwrap();
        session.accepted.push(receipt);
    }
    let form = String::from_utf8(bed.last(SLICE).body.to_vec()).unwrap();
    assert!(form.contains("name=\"sliceNo\"\r\n\r\n2\r\n"), "{form}");
    bed.code(COMPLETE, 20103, "文件正在校验中,请间隔1秒后再试");
    bed.ok(COMPLETE, json!({"completed":false,"fileID":0}));
    bed.ok(COMPLETE, json!({"completed":true,"fileID":78}));
    bed.ok(INFOS, json!({"list":[entry(78, "a.bin")]}));
    let content = Abc::knowing(&[]);
    let conversation = Conversation::new(&content, ReadBudget::None);
    let node = bed
        .drive
        .commit_upload(&request(), &session, &conversation)
        .await
        .unwrap();
    assert_eq!(node.id.as_str(), "78");
    assert_eq!(
        bed.asked(),
        [SLICE, SLICE, COMPLETE, COMPLETE, COMPLETE, INFOS]
    );
}

#[tokio::test]
async fn without_md5_the_cost_is_told_after_the_sha1_miss() {
    let bed = Bed::new(None).await;
    bed.ok(SHA1, json!({"fileID":0,"reuse":false}));
    let error = ask(&bed, &[Kind::Sha1]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::OverBudget(3));
    assert_eq!(bed.asked(), [SHA1]);
    assert_eq!(
        ask(&bed, &[]).await.unwrap_err().kind,
        ErrorKind::OverBudget(3)
    );
    assert!(bed.asked().is_empty());
}

#[tokio::test]
async fn a_lost_hit_is_found_and_not_asked_twice() {
    let bed = Bed::new(None).await;
    bed.raw(CREATE, 502, "<html>bad gateway");
    bed.ok(LIST, page(&[entry(80, "b.bin"), entry(81, "a.bin")]));
    let Attempt::Hit { node, .. } = ask(&bed, &[Kind::Md5]).await.unwrap() else {
        panic!("no hit");
    };
    assert_eq!(node.id.as_str(), "81");
    assert_eq!(bed.asked(), [CREATE, LIST]);
}

#[tokio::test]
async fn a_taken_name_is_refused() {
    let bed = Bed::new(None).await;
    bed.code(CREATE, 1, "该目录下已经有同名文件");
    let error = ask(&bed, &[Kind::Md5]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    bed.ok(LIST, page(&[entry(9, "b.bin")]));
    let error = bed.drive.rename(&file("7"), "b.bin").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    assert_eq!(bed.asked(), [CREATE, LIST]);
}

#[tokio::test]
async fn trashed_entries_are_not_there() {
    let bed = Bed::new(None).await;
    let mut trashed = entry(7, "a.bin");
    trashed["trashed"] = json!(1);
    bed.ok(LIST, json!({"lastFileId":7,"fileList":[trashed.clone()]}));
    bed.ok(LIST, page(&[entry(8, "b.bin")]));
    let first = bed.drive.list(&NodeId::new("5"), None).await.unwrap();
    assert!(first.nodes.is_empty());
    let next = bed.drive.list(&NodeId::new("5"), first.next).await.unwrap();
    assert_eq!(next.nodes[0].id.as_str(), "8");
    assert!(next.next.is_none());
    assert!(bed.last(LIST).query.contains("lastFileId=7"));
    bed.ok(INFOS, json!({"fileList":[trashed]}));
    let error = bed.drive.stat(&NodeId::new("7")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    bed.code("/api/v1/file/trash", 1, "whatever");
    bed.drive.trash(&file("7")).await.unwrap();
}

#[tokio::test]
async fn a_token_that_was_pushed_out_is_renewed_once() {
    let bed = Bed::new(None).await;
    bed.ok(
        TOKEN,
        json!({"accessToken":"tok2","expiredAt":"2999-01-01T00:00:00+08:00"}),
    );
    bed.code(INFOS, 401, "access_token is invalid");
    bed.ok(INFOS, json!({"list":[entry(7, "a.bin")]}));
    bed.drive.stat(&NodeId::new("7")).await.unwrap();
    assert_eq!(bed.last(INFOS).headers["authorization"], "Bearer tok2");
}

#[tokio::test]
async fn a_refused_refresh_token_is_not_sent_again_and_never_becomes_the_owners_login() {
    const OAUTH: &str = "/api/v1/oauth2/access_token";
    let bed = Bed::new(Some("R1")).await;
    bed.raw(
        OAUTH,
        200,
        r#"{"code":400,"message":"refresh_token is used"}"#,
    );
    for _ in 0..3 {
        let error = bed.drive.quota().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Auth);
        assert!(!error.to_string().contains("s3cret"));
    }
    let seen = bed.script.lock().unwrap().seen.clone();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].query.contains("grant_type=refresh_token"));
    assert!(bed.store.0.lock().unwrap().contains_key("refresh_token"));
}

#[tokio::test]
async fn a_refused_link_is_fetched_anew_once_and_gets_no_credentials() {
    let bed = Bed::new(None).await;
    let base = {
        // The address of the script itself serves as the download host.
        bed.code("/api/v1/user/info", 0, "ok");
        bed.drive.quota().await.unwrap();
        let seen = bed.last("/api/v1/user/info");
        format!("http://{}", seen.headers["host"].to_str().unwrap())
    };
    let link = json!({ "downloadUrl": format!("{base}/cdn?t=1") });
    bed.ok("/api/v1/file/download_info", link);
    bed.raw("/cdn", 403, "expired");
    bed.raw("/cdn", 200, "abc");
    let stream = bed.drive.read(&file("7"), 0..3).await.unwrap();
    let bytes = crate::drive::collect(stream, 3).await.unwrap();
    assert_eq!(&bytes[..], b"abc");
    let sent = bed.last("/cdn");
    assert!(!sent.headers.contains_key("authorization"));
    assert!(!sent.headers.contains_key("platform"));
    let asked = bed.asked();
    let links = asked.iter().filter(|path| path.contains("download_info"));
    assert_eq!(links.count(), 2);
}

#[tokio::test]
async fn an_abandoned_upload_that_became_a_file_is_trashed_by_its_id() {
    let bed = Bed::new(None).await;
    bed.ok(
        CREATE,
        json!({"fileID":0,"reuse":false,"preuploadID":"P1","sliceSize":16,"servers":[]}),
    );
    let Attempt::Miss(Some(session)) = ask(&bed, &[Kind::Md5]).await.unwrap() else {
        panic!("no session");
    };
    bed.drive.abandon_upload(&session).await.unwrap();
    assert_eq!(bed.asked(), [CREATE]);
    bed.code(COMPLETE, 1, "文件上传失败");
    bed.ok(COMPLETE, json!({"completed":true,"fileID":90}));
    bed.code("/api/v1/file/trash", 0, "ok");
    let content = Abc::knowing(&[]);
    let conversation = Conversation::new(&content, ReadBudget::None);
    let error = bed
        .drive
        .commit_upload(&request(), &session, &conversation)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Verification);
    bed.drive.abandon_upload(&session).await.unwrap();
    assert_eq!(bed.last("/api/v1/file/trash").json()["fileIDs"][0], 90);
}
