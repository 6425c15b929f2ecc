//! A small stand-in of the service on loopback for this driver's tests: a tree by path, uploads
//! in slices, links with a redirect, and answers that a test replaces.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use bytes::Bytes;
use serde_json::{Value, json};

use super::create::md5_of;
use crate::drive::{Drive, DriveContext, NodeId};
use crate::fingerprint::encode_cloud_md5;
use crate::net::{
    BreakerRecord, BreakerStore, Budget, CredentialStore, Credentials, Secret, StoreError,
    SystemClock,
};

/// What a test says about the next answer of an operation.
pub enum Act {
    /// This answer, and nothing is done.
    Instead(u16, &'static str),
    /// It is done, but this is the answer.
    Lost(u16, &'static str),
}

#[derive(Clone)]
pub struct Item {
    pub fs_id: u64,
    pub dir: bool,
    pub bytes: Vec<u8>,
    pub local: (i64, i64),
    pub ctime: i64,
}

#[derive(Default)]
pub struct Server {
    pub base: String,
    pub tree: BTreeMap<String, Item>,
    pub seen: Vec<String>,
    pub acts: HashMap<&'static str, VecDeque<Act>>,
    pub parts: BTreeMap<u32, Vec<u8>>,
    pub known: bool,
    pub token: String,
    pub refresh: String,
    pub saved: Vec<String>,
    pub only_in_app: bool,
    pub cookie: bool,
    pub last_form: BTreeMap<String, String>,
    /// Queries of all calls, with their operations.
    pub queries: Vec<(String, BTreeMap<String, String>)>,
    pub md5_header: bool,
    pub trash: Vec<(String, Item)>,
    next_id: u64,
}

pub type Shared = Arc<Mutex<Server>>;

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn pairs(text: &str) -> BTreeMap<String, String> {
    let url = reqwest::Url::parse(&format!("http://h/?{text}")).unwrap();
    url.query_pairs().into_owned().collect()
}

impl Server {
    pub fn put(&mut self, path: &str, dir: bool, bytes: &[u8]) -> u64 {
        self.next_id += 1;
        // Above 2^53, as the sheet wants it tested.
        let fs_id = (1 << 60) + self.next_id;
        let item = Item {
            fs_id,
            dir,
            bytes: bytes.to_vec(),
            local: (0, 0),
            ctime: now(),
        };
        self.tree.insert(path.to_owned(), item);
        fs_id
    }

    pub fn count(&self, op: &str) -> usize {
        self.seen.iter().filter(|seen| *seen == op).count()
    }

    pub fn act(&mut self, op: &'static str, act: Act) {
        self.acts.entry(op).or_default().push_back(act);
    }

    fn row(&self, path: &str, item: &Item) -> Value {
        let md5 = encode_cloud_md5(&md5_of(&item.bytes));
        json!({"fs_id":item.fs_id,"path":path,"filename":path.rsplit('/').next(),
            "isdir":i32::from(item.dir),"size":item.bytes.len(),"md5":md5,
            "server_ctime":item.ctime,"server_mtime":item.ctime,
            "local_ctime":item.local.0,"local_mtime":item.local.1})
    }

    fn by_id(&self, id: &str) -> Option<(String, Item)> {
        self.tree
            .iter()
            .find(|(_, item)| item.fs_id.to_string() == id)
            .map(|(path, item)| (path.clone(), item.clone()))
    }

    fn off_limits(&self, path: &str) -> bool {
        self.only_in_app && !path.starts_with("/apps/demo/")
    }

    fn take(&mut self, path: &str) -> Vec<(String, Item)> {
        let below = format!("{path}/");
        let all: Vec<String> = self.tree.keys().cloned().collect();
        all.into_iter()
            .filter(|key| key == path || key.starts_with(&below))
            .filter_map(|key| Some((key.clone(), self.tree.remove(&key)?)))
            .collect()
    }

    fn manage(&mut self, opera: &str, form: &BTreeMap<String, String>) -> Value {
        let list: Value = serde_json::from_str(&form["filelist"]).unwrap();
        let item = &list[0];
        let path = item.as_str().or(item["path"].as_str()).unwrap().to_owned();
        let fail = |errno: i32| json!({"errno":12,"info":[{"errno":errno,"path":"x"}]});
        if !self.tree.contains_key(&path) {
            return fail(-9);
        }
        if opera == "delete" {
            let gone = self.take(&path);
            self.trash.extend(gone);
            return json!({"errno":0,"info":[{"errno":0,"path":path}],"taskid":0});
        }
        assert_eq!(form["ondup"], "fail");
        let dir = item["dest"]
            .as_str()
            .unwrap_or_else(|| super::names::parent_of(&path));
        let to = super::names::join(dir, item["newname"].as_str().unwrap()).unwrap();
        if self.tree.contains_key(&to) {
            return fail(-8);
        }
        if opera == "copy" {
            let bytes = self.tree[&path].bytes.clone();
            self.put(&to, false, &bytes);
        } else {
            for (key, item) in self.take(&path) {
                let key = format!("{to}{}", key.strip_prefix(&path).unwrap());
                self.tree.insert(key, item);
            }
        }
        json!({"errno":0,"info":[{"errno":0,"path":path}],"request_id":1.5e17})
    }

    fn perform(
        &mut self,
        op: &str,
        query: &BTreeMap<String, String>,
        form: &BTreeMap<String, String>,
        body: &[u8],
    ) -> Value {
        match op {
            "list" => {
                let dir = query["dir"].trim_end_matches('/').to_owned();
                if !dir.is_empty() && !self.tree.contains_key(&dir) {
                    return json!({"errno":-9});
                }
                let below = format!("{dir}/");
                let rows: Vec<Value> = self
                    .tree
                    .iter()
                    .filter(|(path, _)| {
                        path.strip_prefix(&below)
                            .is_some_and(|rest| !rest.contains('/'))
                    })
                    .map(|(path, item)| self.row(path, item))
                    .collect();
                let start: usize = query["start"].parse().unwrap();
                let limit: usize = query["limit"].parse().unwrap();
                let rows: Vec<Value> = rows.into_iter().skip(start).take(limit).collect();
                json!({"errno":0,"list":rows,"request_id":"9"})
            }
            "filemetas" => {
                let id = query["fsids"].trim_matches(['[', ']']).to_owned();
                let rows: Vec<Value> = self
                    .by_id(&id)
                    .map(|(path, item)| {
                        let mut row = self.row(&path, &item);
                        if query["dlink"] == "1" {
                            row["dlink"] = json!(format!("{}/dlink/{id}?sign=s", self.base));
                        }
                        row
                    })
                    .into_iter()
                    .collect();
                json!({"errno":0,"list":rows})
            }
            "mkdir" => {
                if self.tree.contains_key(&form["path"]) {
                    return json!({"errno":-8});
                }
                let id = self.put(&form["path"], true, b"");
                json!({"errno":0,"fs_id":id,"path":form["path"],"isdir":1,"ctime":now(),"mtime":now()})
            }
            "precreate" => {
                assert_eq!((form["rtype"].as_str(), form["isdir"].as_str()), ("0", "0"));
                if self.off_limits(&form["path"]) {
                    return json!({"errno":-7});
                }
                let list: Vec<String> = serde_json::from_str(&form["block_list"]).unwrap();
                if self.known && form.contains_key("content-md5") {
                    let bytes = super::upload_tests::content(form["size"].parse().unwrap());
                    assert_eq!(form["content-md5"], md5_of(&bytes));
                    let head = &bytes[..bytes.len().min(262_144)];
                    assert_eq!(form["slice-md5"], md5_of(head));
                    let id = self.put(&form["path"], false, &bytes);
                    let md5 = encode_cloud_md5(&md5_of(&bytes));
                    return json!({"errno":0,"return_type":2,"info":{"fs_id":id,"path":form["path"],
                        "size":bytes.len(),"md5":md5,"isdir":0,"ctime":now(),"request_id":2.7e17}});
                }
                let missing: Vec<String> = (0..list.len())
                    .filter(|index| !self.parts.contains_key(&(*index as u32)))
                    .map(|index| index.to_string())
                    .collect();
                json!({"errno":0,"return_type":1,"uploadid":"N1-x","block_list":missing})
            }
            "superfile2" => {
                let start = body.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
                let end = body.windows(4).rposition(|w| w == b"\r\n--").unwrap();
                let bytes = body[start..end].to_vec();
                let md5 = md5_of(&bytes);
                self.parts.insert(query["partseq"].parse().unwrap(), bytes);
                json!({"md5":md5,"partseq":query["partseq"]})
            }
            "locateupload" => json!({"error_code":0,
                "servers":[{"server":format!("{}/up", self.base)}]}),
            "create" => {
                if self.tree.contains_key(&form["path"]) {
                    return json!({"errno":-8});
                }
                let list: Vec<String> = serde_json::from_str(&form["block_list"]).unwrap();
                let got: Vec<String> = self.parts.values().map(|part| md5_of(part)).collect();
                if list != got {
                    return json!({"errno":31363});
                }
                let bytes: Vec<u8> = self.parts.values().flatten().copied().collect();
                let id = self.put(&form["path"], false, &bytes);
                let local = |field: &str| form[field].parse().unwrap();
                if let Some(item) = self.tree.get_mut(&form["path"]) {
                    item.local = (local("local_ctime"), local("local_mtime"));
                }
                let md5 = encode_cloud_md5(&md5_of(&bytes));
                json!({"errno":0,"fs_id":id,"path":form["path"],"size":bytes.len(),"md5":md5,
                    "isdir":0,"ctime":now(),"mtime":now()})
            }
            "rename" | "move" | "copy" | "delete" => self.manage(op, form),
            "quota" => json!({"errno":0,"total":2_000_000_000_000_u64,"used":"5"}),
            "uinfo" => json!({"errno":0,"uk":987_654_321_012_u64,"vip_type":"1","request_id":"1"}),
            "restore" => {
                assert!(String::from_utf8_lossy(body).contains("{\"list\":[{\"fs_id\":"));
                let back = std::mem::take(&mut self.trash);
                self.tree.extend(back);
                json!({"extra":{"list":[]}})
            }
            "taskquery" => json!({"errno":0,"status":"success","task_errno":0}),
            other => panic!("unexpected call {other}"),
        }
    }
}

fn name_of(
    path: &str,
    query: &BTreeMap<String, String>,
    form: &BTreeMap<String, String>,
) -> String {
    let method = query.get("method").map_or("", String::as_str);
    let op = match path {
        "/api/quota" => "quota",
        "/api/precreate" => "precreate",
        "/share/taskquery" => "taskquery",
        "/oauth/2.0/token" if query["grant_type"] != "refresh_token" => "login",
        "/oauth/2.0/token" => "token",
        "/oauth/2.0/device/code" => "device_code",
        "/api/categoryinfo" => "categoryinfo",
        "/apaas/1.0/share/set" => "share_set",
        "/up/rest/2.0/pcs/superfile2" => "superfile2",
        _ if path.starts_with("/dlink/") => "dlink",
        _ if path.starts_with("/cdn/") => "cdn",
        _ => match method {
            "filemanager" => &query["opera"],
            "create" if form.get("isdir").is_some_and(|dir| dir == "1") => "mkdir",
            method => method,
        },
    };
    op.to_owned()
}

type Answer = (StatusCode, HeaderMap, Bytes);

fn plain(status: u16, text: impl Into<Bytes>) -> Answer {
    (
        StatusCode::from_u16(status).unwrap(),
        HeaderMap::new(),
        text.into(),
    )
}

async fn answer(State(shared): State<Shared>, uri: Uri, headers: HeaderMap, body: Bytes) -> Answer {
    let mut server = shared.lock().unwrap();
    assert_eq!(headers["user-agent"], "pan.baidu.com");
    let query = pairs(uri.query().unwrap_or(""));
    let is_form = headers
        .get("content-type")
        .is_some_and(|kind| kind == "application/x-www-form-urlencoded");
    let form = match is_form {
        true => pairs(std::str::from_utf8(&body).unwrap()),
        false => BTreeMap::new(),
    };
    let op = name_of(uri.path(), &query, &form);
    server.seen.push(op.clone());
    server.queries.push((op.clone(), query.clone()));
    if op == "token" {
        if query["refresh_token"] != server.refresh || query["client_secret"] != "S" {
            return plain(
                400,
                r#"{"error":"invalid_grant","error_description":"used"}"#,
            );
        }
        server.refresh.push('+');
        server.token.push('+');
        let answer = json!({"access_token":server.token,"refresh_token":server.refresh,
            "expires_in":2592000,"scope":"basic netdisk"});
        return plain(200, answer.to_string());
    }
    // Also what is answered by an act without being done.
    server.last_form = form.clone();
    let act = server
        .acts
        .get_mut(op.as_str())
        .and_then(VecDeque::pop_front);
    if let Some(Act::Instead(status, text)) = act {
        return plain(status, text);
    }
    if op != "cdn" {
        let allowed = match server.cookie {
            true => headers
                .get("cookie")
                .is_some_and(|c| c == "BDUSS=b; STOKEN=s"),
            false => query.get("access_token") == Some(&server.token),
        };
        if !allowed {
            return plain(200, r#"{"errno":-6,"errmsg":"Access denied"}"#);
        }
    }
    if op == "dlink" {
        let to = uri.path().replace("/dlink/", "/cdn/");
        let mut out = HeaderMap::new();
        out.insert("location", format!("{}{to}", server.base).parse().unwrap());
        return (StatusCode::FOUND, out, Bytes::new());
    }
    if op == "cdn" {
        assert!(!headers.contains_key("cookie") && query.is_empty());
        let id = uri.path().trim_start_matches("/cdn/").to_owned();
        let bytes = server.by_id(&id).unwrap().1.bytes;
        let range = headers["range"].to_str().unwrap().to_owned();
        let (first, last) = range.trim_start_matches("bytes=").split_once('-').unwrap();
        let first: usize = first.parse().unwrap();
        let end = (last.parse::<usize>().unwrap() + 1).min(bytes.len());
        let mut out = HeaderMap::new();
        let told = format!("bytes {first}-{}/{}", end - 1, bytes.len());
        out.insert("content-range", told.parse().unwrap());
        if server.md5_header {
            out.insert("content-md5", md5_of(&bytes).parse().unwrap());
        }
        let piece = Bytes::copy_from_slice(&bytes[first..end]);
        return (StatusCode::PARTIAL_CONTENT, out, piece);
    }
    let answer = server.perform(&op, &query, &form, &body);
    match act {
        Some(Act::Lost(status, text)) => plain(status, text),
        _ => plain(200, answer.to_string()),
    }
}

struct Store(Shared);

#[async_trait]
impl CredentialStore for Store {
    async fn load(&self) -> Result<Credentials, StoreError> {
        let secrets = [
            ("access_token", "T"),
            ("refresh_token", "R"),
            ("client_secret", "S"),
            ("cookie", "BDUSS=b; STOKEN=s"),
        ];
        Ok(secrets
            .map(|(name, value)| (name.to_owned(), Secret::new(value)))
            .into())
    }
    async fn save(&self, changed: Credentials) -> Result<(), StoreError> {
        let mut server = self.0.lock().unwrap();
        let seen = server.seen.len();
        for (name, secret) in changed {
            server
                .saved
                .push(format!("{seen} {name}={}", secret.expose()));
        }
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

/// A drive of this auth mode and its stand-in.
pub async fn start(mode: &str) -> (Arc<dyn Drive>, Shared) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let shared: Shared = Arc::new(Mutex::new(Server {
        base: base.clone(),
        token: "T".to_owned(),
        refresh: "R".to_owned(),
        cookie: mode == "manual_cookie",
        md5_header: true,
        ..Server::default()
    }));
    let router = Router::new()
        .fallback(answer)
        .layer(axum::extract::DefaultBodyLimit::max(64 << 20))
        .with_state(shared.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let drive = again(mode, &shared);
    (drive, shared)
}

/// The drive as after a restart.
pub fn again(mode: &str, shared: &Shared) -> Arc<dyn Drive> {
    (super::INFO.open)(context(mode, shared)).unwrap()
}

/// What a drive of this auth mode is opened with.
pub fn context(mode: &str, shared: &Shared) -> DriveContext {
    let base = shared.lock().unwrap().base.clone();
    let limits: Vec<_> = super::LIMITS
        .iter()
        .map(|limit| crate::net::ClassLimit {
            per_second: 0.0,
            ..*limit
        })
        .collect();
    DriveContext {
        profile: "p".to_owned(),
        auth_mode: mode.to_owned(),
        fields: [("client_id", "C"), ("app_name", "demo"), ("app_id", "77")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        endpoints: ["api", "auth", "pcs", "recycle"]
            .map(|name| (name.to_owned(), base.clone()))
            .into(),
        overridden: ["api", "auth", "pcs", "recycle"]
            .map(str::to_owned)
            .to_vec(),
        root: None,
        credentials: Arc::new(Store(shared.clone())),
        clock: Arc::new(SystemClock),
        budget: Budget::new(&limits),
        breakers: Arc::new(Store(shared.clone())),
        account: "a".to_owned(),
        state_dir: std::env::temp_dir(),
        instance: "i".to_owned(),
    }
}

/// The id of what is at a path.
pub fn id_at(shared: &Shared, path: &str) -> NodeId {
    NodeId::new(shared.lock().unwrap().tree[path].fs_id.to_string())
}
