//! Whole conversations with a small stand-in on loopback that holds the other half of the keys and
//! says what the sheet's samples say.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use bytes::Bytes;
use serde_json::{Value, json};

use super::bed::Keys;
use super::token::Signed;
use crate::drive::{
    Attempt, Conversation, Drive, DriveContext, ErrorKind, Node, NodeId, ReadBudget, Result,
    collect,
};
use crate::fingerprint::Kind;
use crate::net::{
    BreakerRecord, BreakerStore, Budget, CredentialStore, Credentials, Secret, StoreError,
    SystemClock,
};
use crate::providers::pan115_open::INFO;
use crate::providers::pan115_open::flow_tests::{Gen, SHA1, SIZE, bytes, request};

const USER: &str = "123456789";
const USER_KEY: &str = "0123456789abcdef0123456789abcdef01234567";
const PROOF: &str = "7C185107EA601E73DA9617E6767CBD7BC919BEB3";
const LINK: &str = "/cdn/hello.txt";

/// What the stand-in knows and saw.
struct Server {
    keys: Keys,
    base: String,
    /// The cookie that is accepted.
    session: &'static str,
    known: bool,
    /// Name of file 9.
    name: String,
    /// The next name is taken already, and numbered.
    numbers: bool,
    /// Refusals of the signature to come.
    refusals: u32,
    /// The directory knows no other order than by name.
    by_name: bool,
    /// What the directory remembers.
    order: String,
    blocked: bool,
    /// `f` of links.
    wants: u32,
    seen: Vec<String>,
}

type Shared = Arc<Mutex<Server>>;

fn file(id: &str, name: &str) -> Value {
    json!({"fid":id,"aid":1,"cid":"0","n":name,"s":SIZE,"sta":1,"te":"1706687230",
        "tp":"1706687229","sha":SHA1.to_uppercase(),"pc":format!("pc{id}")})
}

fn fields(text: &str) -> BTreeMap<String, String> {
    let url = reqwest::Url::parse(&format!("http://h/?{text}")).unwrap();
    url.query_pairs().into_owned().collect()
}

impl Server {
    /// The answer to the upload question, or why it is none of ours.
    fn init(&mut self, form: &BTreeMap<String, String>) -> Value {
        let of = |key: &str| form.get(key).map_or("", String::as_str);
        let signed = Signed {
            user_id: USER,
            user_key: USER_KEY,
            fileid: of("fileid"),
            filesize: of("filesize"),
            target: of("target"),
            sign_key: of("sign_key"),
            sign_val: of("sign_val"),
            time: of("t"),
            version: of("appversion"),
        };
        let sound = of("sig") == signed.sig() && of("token") == signed.token();
        assert_eq!(of("fileid"), SHA1.to_uppercase());
        assert_eq!(
            (of("filename"), of("target"), of("appid")),
            ("a.bin", "U_1_0", "0")
        );
        if !sound || self.refusals > 0 {
            self.refusals = self.refusals.saturating_sub(1);
            return json!({"status":6,"statuscode":700,"statusmsg":"sig invalid","pickcode":"",
                "sign_key":"","sign_check":""});
        }
        if !self.known {
            return json!({"status":1,"statuscode":0,"pickcode":"p","target":"U_1_0",
                "bucket":"fhnfile","object":"obj",
                "callback":{"callback":"{c}","callback_var":"{v}"}});
        }
        match of("sign_val") {
            PROOF => json!({"status":2,"statuscode":0,"pickcode":"pc77","fileid":0}),
            _ => json!({"status":7,"statuscode":701,"pickcode":"","sign_key":"K",
                "sign_check":"524288-524415"}),
        }
    }

    fn listing(&self, query: &BTreeMap<String, String>, names: bool) -> Value {
        assert_eq!(
            (query["show_dir"].as_str(), query["aid"].as_str()),
            ("1", "1")
        );
        if self.by_name && !names {
            return json!({"state":false,"errNo":20130827,"order":"file_name"});
        }
        let order = match query["custom_order"].as_str() {
            // A directory that does not let itself be asked otherwise.
            "1" if self.order.is_empty() => query["o"].clone(),
            _ => self.order.clone(),
        };
        let ascending = u32::from(self.order != "file_size");
        let offset: usize = query["offset"].parse().unwrap();
        let all = [file("9", &self.name), file("10", "b.bin")];
        json!({"state":true,"errNo":0,"cid":"0","count":2,"order":order,"is_asc":ascending,
            "data":all.get(offset..offset + 1).unwrap_or_default()})
    }
}

async fn answer(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, HeaderMap, Vec<u8>) {
    let mut server = shared.lock().unwrap();
    let path = uri.path().to_owned();
    let query = fields(uri.query().unwrap_or(""));
    server.seen.push(format!("{method} {path}"));
    let mut out = HeaderMap::new();
    let header = |name: &str| {
        headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    };
    assert!(path.starts_with("/fhnfile") || header("user-agent").contains("115Browser/36.2.28"));
    if server.blocked {
        return (StatusCode::METHOD_NOT_ALLOWED, out, b"<html>".to_vec());
    }
    if path == LINK {
        let wanted = match server.wants {
            3 => "pass=1",
            _ => "",
        };
        assert_eq!(
            header("cookie"),
            wanted,
            "the account's cookies stay at home"
        );
        out.insert("content-range", "bytes 2-4/12".parse().unwrap());
        return (StatusCode::PARTIAL_CONTENT, out, b"llo".to_vec());
    }
    if path == "/fhnfile/obj" {
        let text = if uri.query() == Some("sequential&uploads") {
            "<InitiateMultipartUploadResult><UploadId>U1</UploadId></InitiateMultipartUploadResult>"
                .to_owned()
        } else if method == Method::PUT {
            out.insert("etag", "\"E\"".parse().unwrap());
            String::new()
        } else {
            json!({"state":true,"code":0,"data":{"file_id":"88","pick_code":"pc88",
                "file_size":SIZE,"file_name":"a.bin","sha1":SHA1.to_uppercase()}})
            .to_string()
        };
        return (StatusCode::OK, out, text.into_bytes());
    }
    if header("cookie") != server.session {
        let text = json!({"state":false,"errno":990001,"error":"login"}).to_string();
        return (StatusCode::OK, out, text.into_bytes());
    }
    if path == "/4.0/initupload.php" {
        let sealed = server.keys.agree(&query["k_ec"]);
        let answer = server.init(&fields(&sealed.form(&body)));
        return (StatusCode::OK, out, sealed.answer(&answer.to_string()));
    }
    let form = fields(&String::from_utf8_lossy(&body));
    let said = match path.as_str() {
        "/app/uploadinfo" => json!({"state":true,"user_id":123456789,"userkey":USER_KEY}),
        "/files" => server.listing(&query, false),
        "/natsort/files.php" => server.listing(&query, true),
        "/files/order" => {
            server.order = form["user_order"].clone();
            json!({"state":true})
        }
        "/files/get_info" => match query.get("pick_code").or_else(|| query.get("file_id")) {
            Some(id) if id == "pc77" => json!({"state":true,"data":[file("77", "a.bin")]}),
            Some(id) if id == "9" => json!({"state":true,"data":[file("9", &server.name)]}),
            _ => json!({"state":false,"errno":20018,"error":"gone"}),
        },
        "/category/get" => match query["cid"].as_str() {
            "5" => json!({"file_name":"docs","file_category":"0","utime":"1706687100",
                "paths":[{"file_id":0}]}),
            _ => json!([]),
        },
        "/files/batch_rename" => {
            // The extension is locked, whatever was asked for.
            let wanted = form["files_new_name[9]"].clone();
            let stem = wanted.rsplit_once('.').unwrap().0;
            let number = if server.numbers { "(1)" } else { "" };
            server.name = format!("{stem}{number}.txt");
            server.numbers = false;
            json!({"state":true,"errno":0,"data":{"9":server.name}})
        }
        "/rb/delete" => {
            assert_eq!(
                (form["fid[0]"].as_str(), form["ignore_warn"].as_str()),
                ("9", "1")
            );
            json!({"state":true,"errno":""})
        }
        "/3.0/gettoken.php" => json!({"StatusCode":"200","AccessKeyId":"I",
            "AccessKeySecret":"S","SecurityToken":"T","Expiration":"2000-01-01T00:00:00Z"}),
        "/3.0/getuploadinfo.php" => json!({"endpoint":server.base}),
        "/app/chrome/downurl" => {
            let (text, key) = server.keys.unmask(&form["data"]);
            assert_eq!(text, br#"{"pickcode":"pc9"}"#);
            let url = format!("{}{LINK}?t=99999999999&c=2&f={}", server.base, server.wants);
            let text = json!({"9":{"file_size":"12","url":{"url":url}}}).to_string();
            out.append("set-cookie", "pass=1; path=/; HttpOnly".parse().unwrap());
            json!({"state":true,"msg":"","errno":0,"data":server.keys.mask(text.as_bytes(), &key)})
        }
        path => panic!("unexpected call {method} {path}"),
    };
    (StatusCode::OK, out, said.to_string().into_bytes())
}

/// The cookies in the vault, which somebody may replace.
struct Store(Mutex<&'static str>);

#[async_trait]
impl CredentialStore for Store {
    async fn load(&self) -> Result<Credentials, StoreError> {
        let cookie = *self.0.lock().unwrap();
        Ok([("cookie".to_owned(), Secret::new(cookie))].into())
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

const SESSION: &str = "UID=123456789_R2_1706687100; CID=aa; SEID=bb; KID=cc";

struct Rig {
    drive: Arc<dyn Drive>,
    server: Shared,
    store: Arc<Store>,
}

impl Rig {
    async fn new() -> Rig {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let keys = Keys::load();
        let fields = [
            ("download_key".to_owned(), keys.modulus.clone()),
            ("upload_key".to_owned(), keys.point.clone()),
        ];
        let server: Shared = Arc::new(Mutex::new(Server {
            keys,
            base: base.clone(),
            session: SESSION,
            known: true,
            name: "hello.txt".to_owned(),
            numbers: false,
            refusals: 0,
            by_name: false,
            order: String::new(),
            blocked: false,
            wants: 1,
            seen: Vec::new(),
        }));
        let router = Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let endpoints: BTreeMap<String, String> = INFO
            .endpoints
            .iter()
            .map(|endpoint| (endpoint.name.to_owned(), base.clone()))
            .collect();
        let store = Arc::new(Store(Mutex::new(
            "x=1; KID=cc; UID=123456789_R2_1706687100; CID=aa; SEID=bb;",
        )));
        let context = DriveContext {
            profile: "p".to_owned(),
            auth_mode: "manual_cookie".to_owned(),
            fields: fields.into(),
            endpoints,
            overridden: vec!["web".to_owned()],
            root: None,
            credentials: store.clone(),
            clock: Arc::new(SystemClock),
            budget: Budget::new(&[]),
            breakers: store.clone(),
            account: "a".to_owned(),
            state_dir: std::env::temp_dir(),
            instance: "i".to_owned(),
        };
        let drive = (INFO.open)(context).unwrap();
        Rig {
            drive,
            server,
            store,
        }
    }

    fn count(&self, path: &str) -> usize {
        let server = self.server.lock().unwrap();
        server
            .seen
            .iter()
            .filter(|seen| seen.ends_with(path))
            .count()
    }

    async fn file(&self) -> Node {
        self.drive.stat(&NodeId::new("9")).await.unwrap()
    }
}

#[tokio::test]
async fn a_challenge_is_answered_and_the_hit_is_found_by_its_pick_code() {
    let rig = Rig::new().await;
    let conversation = Conversation::new(&Gen, ReadBudget::SMALL).knowing_the_name_is_free(true);
    let attempt = rig
        .drive
        .fast_upload(&request(), &conversation)
        .await
        .unwrap();
    let Attempt::Hit { node, decided_by } = attempt else {
        panic!("a miss");
    };
    assert_eq!((node.id.as_str(), node.version.as_str()), ("77", SHA1));
    assert_eq!(node.handle.as_deref(), Some("pc77"));
    assert_eq!(decided_by, [Kind::Sha1]);
    assert_eq!(conversation.spent(), 128);
    assert_eq!(rig.drive.account_id().as_deref(), Some(USER));
    let calls = rig.server.lock().unwrap().seen.len();
    assert_eq!(calls, 4, "identity, question, proof, look-up");
}

#[tokio::test]
async fn a_miss_is_streamed_with_a_key_of_the_upload_host() {
    let rig = Rig::new().await;
    rig.server.lock().unwrap().known = false;
    let conversation = Conversation::new(&Gen, ReadBudget::SMALL).knowing_the_name_is_free(true);
    let attempt = rig
        .drive
        .fast_upload(&request(), &conversation)
        .await
        .unwrap();
    let Attempt::Miss(Some(mut session)) = attempt else {
        panic!("no session");
    };
    let part = rig.drive.put_part(&session, 1, bytes(0..SIZE)).await;
    session.accepted.push(part.unwrap());
    let node = rig
        .drive
        .commit_upload(&request(), &session, &conversation)
        .await
        .unwrap();
    assert_eq!((node.id.as_str(), node.size), ("88", SIZE));
    assert_eq!(rig.count("/3.0/gettoken.php"), 1);
    assert_eq!(rig.count("/3.0/getuploadinfo.php"), 1);
}

#[tokio::test]
async fn a_refused_signature_is_made_anew_once() {
    let rig = Rig::new().await;
    let conversation = Conversation::new(&Gen, ReadBudget::SMALL).knowing_the_name_is_free(true);
    rig.server.lock().unwrap().refusals = 1;
    let attempt = rig
        .drive
        .fast_upload(&request(), &conversation)
        .await
        .unwrap();
    assert!(matches!(attempt, Attempt::Hit { .. }));
    assert_eq!(rig.count("/app/uploadinfo"), 2, "its key may have changed");
    rig.server.lock().unwrap().refusals = 9;
    let attempt = rig
        .drive
        .fast_upload(&request(), &conversation)
        .await
        .unwrap();
    assert!(matches!(attempt, Attempt::Miss(None)));
    assert_eq!(rig.server.lock().unwrap().refusals, 7);
}

#[tokio::test]
async fn links_take_back_their_cookies_only_where_they_want_them() {
    for wants in [1, 3] {
        let rig = Rig::new().await;
        rig.server.lock().unwrap().wants = wants;
        let node = rig.file().await;
        for _ in 0..2 {
            let stream = rig.drive.read(&node, 2..5).await.unwrap();
            assert_eq!(&collect(stream, 3).await.unwrap()[..], b"llo");
        }
        assert_eq!(rig.count("/app/chrome/downurl"), 1);
    }
}

#[tokio::test]
async fn an_extension_stays_and_a_name_that_was_not_given_is_taken_back() {
    let rig = Rig::new().await;
    let node = rig.file().await;
    let other = rig.drive.rename(&node, "hello.md").await.unwrap_err();
    assert_eq!(other.kind, ErrorKind::Unsupported);
    assert_eq!(rig.count("/files/batch_rename"), 0);
    let renamed = rig.drive.rename(&node, "bye.txt").await.unwrap();
    assert_eq!(renamed.name, "bye.txt");
    assert_eq!(rig.server.lock().unwrap().name, "bye.txt");
    rig.server.lock().unwrap().numbers = true;
    let taken = rig.drive.rename(&renamed, "new.txt").await.unwrap_err();
    assert_eq!(taken.kind, ErrorKind::Exists);
    assert_eq!(rig.server.lock().unwrap().name, "bye.txt");
}

#[tokio::test]
async fn pages_follow_the_order_that_the_directory_takes() {
    let root = NodeId::new("0");
    for by_name in [false, true] {
        let rig = Rig::new().await;
        rig.server.lock().unwrap().by_name = by_name;
        let first = rig.drive.list(&root, None).await.unwrap();
        assert_eq!(first.nodes[0].name, "hello.txt");
        let second = rig.drive.list(&root, first.next).await.unwrap();
        assert_eq!(second.nodes[0].name, "b.bin");
        assert!(second.next.is_none());
        let named = if by_name { 2 } else { 0 };
        assert_eq!(rig.count("/natsort/files.php"), named);
        assert_eq!(rig.count("/files"), 2 - named / 2);
    }
    // A remembered order is replaced, and the page asked for again.
    let rig = Rig::new().await;
    rig.server.lock().unwrap().order = "file_size".to_owned();
    rig.drive.list(&root, None).await.unwrap();
    assert_eq!(rig.server.lock().unwrap().order, "user_ptime");
    assert_eq!(rig.count("/files"), 2);
}

#[tokio::test]
async fn directories_are_known_by_their_statistics() {
    let rig = Rig::new().await;
    let dir = rig.drive.stat(&NodeId::new("5")).await.unwrap();
    assert!(dir.is_dir() && dir.name == "docs");
    let none = rig.drive.stat(&NodeId::new("6")).await.unwrap_err();
    assert_eq!(none.kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn a_trashed_file_is_not_there_while_it_is_not_listed() {
    let rig = Rig::new().await;
    let node = rig.file().await;
    rig.drive.trash(&node).await.unwrap();
    // The record is still found, and so is the entry: it was brought back by somebody.
    assert_eq!(rig.file().await.id, node.id);
    assert_eq!(rig.count("/rb/delete"), 1);
    assert!(rig.count("/files") >= 1);
}

#[tokio::test]
async fn an_ended_session_is_said_plainly_and_a_new_cookie_is_taken_up() {
    let rig = Rig::new().await;
    rig.file().await;
    let fresh = "UID=123456789_R2_1800000000; CID=dd; SEID=ee";
    rig.server.lock().unwrap().session = fresh;
    let error = rig.drive.stat(&NodeId::new("9")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth);
    assert!(error.message.contains("log in again"), "{error}");
    assert!(!error.to_string().contains("SEID"), "{error}");
    *rig.store.0.lock().unwrap() = fresh;
    assert_eq!(rig.file().await.name, "hello.txt");
}

#[tokio::test]
async fn a_page_of_the_firewall_stops_the_account() {
    let rig = Rig::new().await;
    rig.server.lock().unwrap().blocked = true;
    for _ in 0..2 {
        let error = rig.drive.stat(&NodeId::new("9")).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Risk);
    }
    assert_eq!(
        rig.server.lock().unwrap().seen.len(),
        1,
        "nothing more is sent"
    );
}

#[tokio::test]
async fn keys_of_a_stand_in_that_are_none_are_named() {
    for field in ["download_key", "upload_key"] {
        let rig = Rig::new().await;
        let mut context = DriveContext {
            profile: "p".to_owned(),
            auth_mode: "manual_cookie".to_owned(),
            fields: [(field.to_owned(), "abc".to_owned())].into(),
            endpoints: BTreeMap::new(),
            overridden: Vec::new(),
            root: None,
            credentials: rig.store.clone(),
            clock: Arc::new(SystemClock),
            budget: Budget::new(&[]),
            breakers: rig.store.clone(),
            account: "a".to_owned(),
            state_dir: std::env::temp_dir(),
            instance: "i".to_owned(),
        };
        for endpoint in INFO.endpoints {
            let (name, url) = (endpoint.name.to_owned(), endpoint.url.to_owned());
            context.endpoints.insert(name, url);
        }
        let error = (INFO.open)(context).map(|_| ()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(error.message.contains(field), "{error}");
    }
}
