//! A client that knows nothing but the sheet, and what the tests share.

mod account;
mod downloads;
mod lists;
mod tree;
mod uploads;
mod vectors;

use std::sync::Arc;

use bytes::Bytes;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::super::SimProfile;
use super::super::content::Blob;
use super::super::faults::{Fault, FaultKind};
use super::super::meters::Stat;
use super::super::server::{SeedSource, World, WorldOptions};
use super::adler::adler32;

pub(super) fn world() -> Arc<World> {
    let world = super::super::start(&WorldOptions {
        only: vec!["lark_drive".to_owned()],
        accounts: 2,
    });
    let world = world.unwrap();
    // Nothing is done by itself meanwhile, however slow this machine is.
    for profile in ["lark", "lark-2"] {
        world.set(profile, "task_ms", "600000").unwrap();
    }
    world
}

/// An answer: HTTP status, headers, document.
pub(super) struct Got {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Got {
    /// The code of the envelope.
    pub fn code(&self) -> i64 {
        self.body["code"].as_i64().expect("a code")
    }

    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// What a success carries.
    pub fn data(self) -> Value {
        assert_eq!((self.status, self.code()), (200, 0), "{}", self.body);
        self.body["data"].clone()
    }
}

/// One login of one profile.
pub(super) struct Client {
    pub world: Arc<World>,
    pub http: reqwest::Client,
    pub profile: SimProfile,
    pub access: String,
    pub refresh: String,
    pub root: String,
}

impl Client {
    pub async fn new() -> Client {
        Client::of(&world(), "lark").await
    }

    pub async fn of(world: &Arc<World>, name: &str) -> Client {
        let mut client = Client::bare(world, name);
        let got = client.refreshed(&client.refresh).await;
        assert_eq!(got.code(), 0, "{}", got.body);
        client.access = got.body["access_token"].as_str().unwrap().to_owned();
        client.refresh = got.body["refresh_token"].as_str().unwrap().to_owned();
        client.root = client.root_token().await;
        client
    }

    /// The app itself.
    pub async fn bot(world: &Arc<World>, name: &str) -> Client {
        let mut client = Client::bare(world, name);
        let got = client.tenant().await;
        assert_eq!(got.code(), 0, "{}", got.body);
        client.access = got.body["tenant_access_token"].as_str().unwrap().to_owned();
        client.root = client.root_token().await;
        client
    }

    fn bare(world: &Arc<World>, name: &str) -> Client {
        let profile = world.profile(name).unwrap();
        let redirect = reqwest::redirect::Policy::none();
        let http = reqwest::Client::builder().no_proxy().redirect(redirect);
        let refresh = profile.secrets.get("refresh_token").cloned();
        Client {
            world: world.clone(),
            http: http.build().unwrap(),
            access: String::new(),
            refresh: refresh.unwrap_or_default(),
            root: String::new(),
            profile,
        }
    }

    async fn root_token(&self) -> String {
        let meta = self.get("drive/explorer/v2/root_folder/meta").await.data();
        meta["token"].as_str().unwrap().to_owned()
    }

    pub fn name(&self) -> &str {
        &self.profile.name
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

    /// The paths that are not in the trash.
    pub fn paths(&self) -> Vec<String> {
        let tree = self.world.tree(self.name()).unwrap();
        let items = tree["items"].as_array().unwrap().iter();
        items
            .filter(|item| item["trashed"] == false)
            .map(|item| item["path"].as_str().unwrap().to_owned())
            .collect()
    }

    /// A request without a login.
    pub fn open(&self, method: Method, path: &str) -> RequestBuilder {
        let base = &self.profile.endpoints["api"];
        self.http
            .request(method, format!("{base}/open-apis/{path}"))
    }

    pub fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.open(method, path).bearer_auth(&self.access)
    }

    pub async fn send(&self, ask: RequestBuilder) -> Got {
        let answer = ask.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.json().await.unwrap();
        let got = Got {
            status,
            headers,
            body,
        };
        assert!(!got.header("x-tt-logid").is_empty());
        got
    }

    pub async fn get(&self, path: &str) -> Got {
        self.send(self.ask(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Got {
        self.send(self.ask(Method::POST, path).json(&body)).await
    }

    /// A call below `drive/v1/files` that succeeds.
    pub async fn good(&self, path: &str, body: Value) -> Value {
        self.post(&format!("drive/v1/files/{path}"), body)
            .await
            .data()
    }

    /// The same, refused.
    pub async fn bad(&self, path: &str, body: Value, code: i64) {
        let got = self.post(&format!("drive/v1/files/{path}"), body).await;
        assert_eq!(got.code(), code, "{path}: {}", got.body);
    }

    pub async fn rename(&self, token: &str, kind: &str, title: &str) -> Got {
        let path = format!("drive/v1/files/{token}?type={kind}");
        let ask = self.ask(Method::PATCH, &path);
        self.send(ask.json(&json!({ "new_title": title }))).await
    }

    /// `rest`: what follows the type.
    pub async fn delete(&self, token: &str, kind: &str, rest: &str) -> Got {
        let path = format!("drive/v1/files/{token}?type={kind}{rest}");
        self.send(self.ask(Method::DELETE, &path)).await
    }

    pub async fn task(&self, id: &Value) -> String {
        let id = id.as_str().unwrap();
        let path = format!("drive/v1/files/task_check?task_id={id}");
        let data = self.get(&path).await.data();
        data["status"].as_str().unwrap().to_owned()
    }

    pub async fn refreshed(&self, token: &str) -> Got {
        let body = json!({
            "grant_type": "refresh_token", "refresh_token": token,
            "client_id": self.profile.fields["app_id"],
            "client_secret": self.profile.secrets["app_secret"],
        });
        self.login("authen/v2/oauth/token", body).await
    }

    pub async fn tenant(&self) -> Got {
        let body = json!({
            "app_id": self.profile.fields["app_id"],
            "app_secret": self.profile.secrets["app_secret"],
        });
        self.login("auth/v3/tenant_access_token/internal", body)
            .await
    }

    pub async fn login(&self, path: &str, body: Value) -> Got {
        self.send(self.open(Method::POST, path).json(&body)).await
    }

    /// The entries of a folder, names in order.
    pub async fn names(&self, query: &str) -> Vec<String> {
        let data = self.get(&format!("drive/v1/files?{query}")).await.data();
        let files = data["files"].as_array().unwrap().iter();
        files
            .map(|file| file["name"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The fields of `upload_all` for a new file below the root.
    pub fn fields(&self, name: &str, bytes: &[u8]) -> Vec<(&'static str, String)> {
        vec![
            ("file_name", name.to_owned()),
            ("parent_type", "explorer".to_owned()),
            ("parent_node", self.root.clone()),
            ("size", bytes.len().to_string()),
            ("checksum", sum(bytes)),
        ]
    }

    /// Sends a form; the file as the official SDK sends it, without a name.
    pub async fn form(&self, call: &str, fields: &[(&'static str, String)], bytes: &[u8]) -> Got {
        let form = fields.iter().fold(Form::new(), |form, (name, value)| {
            form.text(*name, value.clone())
        });
        let form = form.part("file", Part::bytes(bytes.to_vec()));
        let ask = self.ask(Method::POST, &format!("drive/v1/files/{call}"));
        self.send(ask.multipart(form)).await
    }

    /// Uploads a new file below the root; answers its token.
    pub async fn upload(&self, name: &str, bytes: &[u8]) -> String {
        let fields = self.fields(name, bytes);
        let data = self.form("upload_all", &fields, bytes).await.data();
        data["file_token"].as_str().unwrap().to_owned()
    }

    pub fn prepare(&self, name: &str, size: u64) -> Value {
        json!({
            "file_name": name, "parent_type": "explorer", "parent_node": self.root, "size": size,
        })
    }

    pub async fn part(&self, id: &Value, seq: u64, bytes: &[u8]) -> Got {
        let fields = [
            ("upload_id", id.as_str().unwrap().to_owned()),
            ("seq", seq.to_string()),
            ("size", bytes.len().to_string()),
            ("checksum", sum(bytes)),
        ];
        self.form("upload_part", &fields, bytes).await
    }
}

/// The checksum of bytes, as it is sent.
pub(super) fn sum(bytes: &[u8]) -> String {
    adler32(&Blob::bytes(bytes.to_vec())).to_string()
}
