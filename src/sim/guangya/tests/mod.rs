//! A client that knows nothing but the sheet, and what the tests share.

mod account;
mod files;
mod links;
mod tree;
mod uploads;
mod vectors;

use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::super::SimProfile;
use super::super::clock::{Clock, rfc1123};
use super::super::content::Blob;
use super::super::digest::HashKind;
use super::super::faults::{Fault, FaultKind};
use super::super::meters::Stat;
use super::super::oss::sign;
use super::super::server::{SeedSource, World, WorldOptions};

pub(super) const WEB_ID: &str = "aMe-8VSlkrbQXpUR";
pub(super) const PC_ID: &str = "aMe_SVSlkrbQXpUT";
pub(super) const PC_SECRET: &str = "FNAfp5IFEfCn5MYsIUTewg";

pub(super) fn world() -> Arc<World> {
    super::super::start(&WorldOptions {
        only: vec!["guangya".to_owned()],
        accounts: 2,
    })
    .unwrap()
}

/// One login of one profile.
pub(super) struct Client {
    pub world: Arc<World>,
    pub http: reqwest::Client,
    pub profile: SimProfile,
    pub access: String,
    pub refresh: String,
}

/// Headers by name.
fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        })
        .collect()
}

/// Whether an answer is a success by the rules of section 3, and its data.
pub(super) fn success(status: u16, answer: &Value) -> Option<Value> {
    let msg = match &answer["msg"] {
        Value::Null => None,
        msg => Some(msg.as_str().unwrap()),
    };
    let data = &answer["data"];
    let good = match &answer["code"] {
        Value::Null => match msg {
            None => data.as_object().is_some_and(|data| !data.is_empty()),
            Some(msg) => matches!(msg, "success" | "ok"),
        },
        code => (*code == 0 || *code == "0") && matches!(msg, None | Some("" | "success" | "ok")),
    };
    (good && (200..300).contains(&status)).then(|| data.clone())
}

/// The code of a refusal, number or text.
pub(super) fn code(answer: &Value) -> i64 {
    match &answer["code"] {
        Value::String(text) => text.parse().unwrap(),
        code => code.as_i64().unwrap_or(-1),
    }
}

impl Client {
    /// Logged in to the first account, whose answers are all of the plain form.
    pub async fn plain() -> Client {
        let world = world();
        world.set("guangya", "forms", "plain").unwrap();
        // Nothing is done by itself meanwhile, however slow this machine is.
        for knob in ["task_ms", "import_ms"] {
            world.set("guangya", knob, "600000").unwrap();
        }
        Client::of(&world, "guangya").await
    }

    /// The same with every form in turns.
    pub async fn mixed() -> Client {
        Client::of(&world(), "guangya").await
    }

    pub async fn of(world: &Arc<World>, name: &str) -> Client {
        let profile = world.profile(name).unwrap();
        let mut client = Client {
            world: world.clone(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            access: String::new(),
            refresh: profile.secrets["refresh_token"].clone(),
            profile,
        };
        let (status, answer) = client.refreshed(&client.refresh).await;
        assert_eq!(status, 200, "{answer}");
        client.access = answer["access_token"].as_str().unwrap().to_owned();
        client.refresh = answer["refresh_token"].as_str().unwrap().to_owned();
        client
    }

    pub fn name(&self) -> &str {
        &self.profile.name
    }

    pub fn did(&self) -> &str {
        &self.profile.fields["did"]
    }

    pub fn set(&self, knob: &str, value: &str) {
        self.world.set(self.name(), knob, value).unwrap();
    }

    pub fn fault(&self, op: &str, kind: FaultKind, arg: &str) {
        let fault = Fault::once(op, kind, arg);
        self.world.fault(self.name(), fault).unwrap();
    }

    pub fn stat(&self) -> Stat {
        self.world.stat(self.name()).unwrap()
    }

    pub fn seed(&self, path: &str, bytes: &[u8]) -> String {
        let source = SeedSource::Bytes(Bytes::copy_from_slice(bytes));
        self.world.seed(self.name(), path, 0, &source).unwrap()
    }

    pub fn mkdir(&self, path: &str) -> String {
        self.world.mkdir(self.name(), path).unwrap()
    }

    /// Upload tasks and open multipart uploads that are left.
    pub fn left(&self) -> Vec<Value> {
        let tree = self.world.tree(self.name()).unwrap();
        tree["uploads"].as_array().unwrap().clone()
    }

    /// Any request; answers status and document.
    pub async fn send(
        &self,
        method: &str,
        url: &str,
        pairs: &[(&str, &str)],
        body: Option<String>,
    ) -> (u16, Value) {
        let mut request = self
            .http
            .request(method.parse().unwrap(), url)
            .headers(headers(pairs));
        if let Some(body) = body {
            request = request.body(body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    /// A call of the account service.
    pub async fn account(&self, path: &str, pairs: &[(&str, &str)], body: Value) -> (u16, Value) {
        let url = format!("{}{path}", self.profile.endpoints["account"]);
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(pairs);
        self.send("POST", &url, &all, Some(body.to_string())).await
    }

    pub async fn refreshed(&self, token: &str) -> (u16, Value) {
        let body = json!({
            "client_id": WEB_ID, "grant_type": "refresh_token", "refresh_token": token,
        });
        let pairs = [
            ("x-client-id", WEB_ID),
            ("x-device-id", self.did()),
            ("x-client-version", "0.0.1"),
            ("x-sdk-version", "9.0.2"),
            ("x-protocol-version", "301"),
            ("x-action", "401"),
        ];
        self.account("/v1/auth/token", &pairs, body).await
    }

    /// A business call with headers of one's choice.
    pub async fn with(&self, path: &str, pairs: &[(&str, &str)], body: Value) -> (u16, Value) {
        let url = format!("{}{path}", self.profile.endpoints["api"]);
        let bearer = format!("Bearer {}", self.access);
        let mut all = vec![("authorization", bearer.as_str())];
        if !body.is_null() {
            all.push(("content-type", "application/json"));
        }
        all.extend_from_slice(pairs);
        let body = (!body.is_null()).then(|| body.to_string());
        self.send("POST", &url, &all, body).await
    }

    /// A business call of the web client, below `userres`.
    pub async fn call(&self, path: &str, body: Value) -> (u16, Value) {
        let path = format!("/userres/v1/{path}");
        let pairs = [("did", self.did()), ("dt", "4")];
        self.with(&path, &pairs, body).await
    }

    /// The data of a call that must succeed.
    pub async fn ok(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(path, body).await;
        success(status, &answer).unwrap_or_else(|| panic!("{path}: {status} {answer}"))
    }

    /// The code of a call that must be refused.
    pub async fn refused(&self, path: &str, body: Value) -> i64 {
        let (status, answer) = self.call(path, body).await;
        assert!(success(status, &answer).is_none(), "{path}: {answer}");
        code(&answer)
    }

    /// A page of a folder.
    pub async fn page(&self, parent: &str, page: u64, size: u64) -> Vec<Value> {
        let body = json!({
            "parentId": parent, "page": page, "pageSize": size, "orderBy": 0, "sortType": 0,
        });
        let data = self.ok("file/get_file_list", body).await;
        data["list"].as_array().cloned().unwrap_or_default()
    }

    pub async fn names(&self, parent: &str) -> Vec<String> {
        names(&self.page(parent, 0, 1000).await)
    }

    pub async fn trash(&self) -> Vec<Value> {
        let body = json!({
            "parentId": "", "dirType": 4, "page": 0, "pageSize": 100, "orderBy": 12, "sortType": 1,
        });
        let data = self.ok("file/get_file_list", body).await;
        data["list"].as_array().cloned().unwrap_or_default()
    }

    /// Starts a task and polls it to its end; answers its status and the code in its detail.
    pub async fn task(&self, path: &str, body: Value) -> (i64, i64) {
        let data = self.ok(path, body).await;
        let Some(id) = data["taskId"].as_str() else {
            return (2, 0);
        };
        for _ in 0..50 {
            let data = self.ok("get_task_status", json!({ "taskId": id })).await;
            let status = data["status"].as_i64().unwrap();
            if !matches!(status, 0 | 1) {
                return (status, data["detail"]["code"].as_i64().unwrap());
            }
        }
        panic!("a task without end");
    }

    // Uploads.

    /// The whole answer of a token call.
    pub async fn token_answer(&self, parent: &str, name: &str, size: u64, more: Value) -> Value {
        let mut res = more;
        res["fileSize"] = json!(size);
        let body = json!({ "capacity": 2, "name": name, "parentId": parent, "res": res });
        self.call("get_res_center_token", body).await.1
    }

    /// The data of a token call that misses.
    pub async fn token(&self, name: &str, size: u64, more: Value) -> Value {
        let answer = self.token_answer("", name, size, more).await;
        success(200, &answer).unwrap_or_else(|| panic!("{answer}"))
    }

    /// The task id of a token call that hits.
    pub async fn instant(&self, name: &str, size: u64, more: Value) -> String {
        let answer = self.token_answer("", name, size, more).await;
        assert_eq!(code(&answer), 156, "{answer}");
        assert!(answer["data"].get("creds").is_none());
        answer["data"]["taskId"].as_str().unwrap().to_owned()
    }

    pub async fn info(&self, task: &Value) -> (u16, Value) {
        let body = json!({ "taskId": task });
        self.call("file/get_info_by_task_id", body).await
    }

    /// Polls until it is no longer 147; answers how often it was, and the last answer.
    pub async fn polled(&self, task: &Value) -> (u32, Value) {
        for polls in 0..50 {
            let (status, answer) = self.info(task).await;
            assert_eq!(status, 200, "{answer}");
            if code(&answer) != 147 {
                return (polls, answer);
            }
            assert_eq!(answer["msg"], "文件上传中");
        }
        panic!("an import without end");
    }

    /// Polls to the file.
    pub async fn imported(&self, task: &Value) -> Value {
        let (_, answer) = self.polled(task).await;
        let data = success(200, &answer).unwrap_or_else(|| panic!("{answer}"));
        assert!(data["fileId"].is_string(), "{answer}");
        data
    }

    /// A call of the store with the credentials of a token answer, in path style.
    pub async fn store(
        &self,
        made: &Value,
        method: &str,
        query: &str,
        body: Vec<u8>,
        extra: &[(&str, &str)],
    ) -> (u16, String, String) {
        let creds = match made["creds"].is_object() {
            true => &made["creds"],
            false => made,
        };
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (bucket, key) = (text(&made["bucketName"]), text(&made["objectPath"]));
        let base = &self.profile.endpoints["oss"];
        let mark = if query.is_empty() { "" } else { "?" };
        let date = rfc1123(Clock::real_ms());
        let mut request = self
            .http
            .request(
                method.parse().unwrap(),
                format!("{base}/{bucket}/{key}{mark}{query}"),
            )
            .header("date", &date)
            .header("x-oss-security-token", text(&creds["sessionToken"]));
        for (name, value) in extra {
            request = request.header(*name, *value);
        }
        let built = request.try_clone().unwrap().build().unwrap();
        let query = sign::parse_query(query);
        let signed = sign::string_to_sign(method, built.headers(), &bucket, &key, &query);
        let signature = sign::hmac_sha1(&text(&creds["secretAccessKey"]), &signed);
        let authorization = format!("OSS {}:{signature}", text(&creds["accessKeyID"]));
        let request = request.header("authorization", authorization);
        // reqwest says nothing of an empty body.
        let request = match body.is_empty() {
            true => request.header("content-length", "0"),
            false => request,
        };
        let answer = request.body(body).send().await.unwrap();
        let status = answer.status().as_u16();
        let etag = answer.headers().get("etag");
        let etag = etag.map_or("", |etag| etag.to_str().unwrap()).to_owned();
        (status, answer.text().await.unwrap(), etag)
    }

    /// A file by one PUT; answers what its task says.
    pub async fn uploaded(&self, name: &str, bytes: &[u8], more: Value) -> Value {
        let made = self.token(name, bytes.len() as u64, more).await;
        let put = self.store(&made, "PUT", "", bytes.to_vec(), &[]).await;
        assert_eq!(put.0, 200, "{}", put.1);
        self.imported(&made["taskId"]).await
    }

    // Downloads.

    pub async fn link(&self, id: &str) -> String {
        let data = self
            .ok("get_res_download_url", json!({ "fileId": id }))
            .await;
        data["signedURL"].as_str().unwrap().to_owned()
    }

    pub async fn get(&self, url: &str, pairs: &[(&str, &str)]) -> (u16, Vec<u8>) {
        let request = self.http.get(url).headers(headers(pairs));
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.bytes().await.unwrap().to_vec())
    }
}

pub(super) fn names(rows: &[Value]) -> Vec<String> {
    let name = |row: &Value| row["fileName"].as_str().unwrap().to_owned();
    rows.iter().map(name).collect()
}

pub(super) fn upper(blob: &Blob, kind: HashKind) -> String {
    blob.digest_now(kind).to_uppercase()
}
