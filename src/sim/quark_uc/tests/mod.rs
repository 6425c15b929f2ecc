//! A client that knows nothing but the sheets, and what the tests share.

mod account;
mod files;
mod links;
mod shares;
mod tree;
mod uploads;
mod vectors;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use md5::{Digest, Md5};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use super::super::SimProfile;
use super::super::clock::{Clock, rfc1123};
use super::super::faults::{Fault, FaultKind};
use super::super::meters::Stat;
use super::super::server::{SeedSource, World, WorldOptions};

pub(super) const SDK: &str = "aliyun-sdk-js/6.6.1 Chrome 98.0.4758.80 on Windows 10 64-bit";

pub(super) fn world(key: &str) -> Arc<World> {
    super::super::start(&WorldOptions {
        only: vec![key.to_owned()],
        accounts: 2,
    })
    .unwrap()
}

/// One login of one profile, with a cookie jar.
pub(super) struct Client {
    pub world: Arc<World>,
    pub http: reqwest::Client,
    pub profile: SimProfile,
    pub jar: Mutex<BTreeMap<String, String>>,
    pub agent: String,
    pub pr: &'static str,
    pub site: &'static str,
}

impl Client {
    pub fn of(world: &Arc<World>, name: &str) -> Client {
        let profile = world.profile(name).unwrap();
        let uc = profile.provider == "uc";
        let cookie = profile.secrets["cookie"].clone();
        let pairs = cookie.split("; ").filter_map(|pair| pair.split_once('='));
        let jar = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Client {
            world: world.clone(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            jar: Mutex::new(jar.collect()),
            agent: match uc {
                true => "Mozilla/5.0 uc-cloud-drive/2.5.20 Channel/pckk_other_ch",
                false => "Mozilla/5.0 quark-cloud-drive/2.5.20 Channel/pckk_other_ch",
            }
            .to_owned(),
            pr: if uc { "UCBrowser" } else { "ucpro" },
            site: if uc {
                "https://drive.uc.cn"
            } else {
                "https://pan.quark.cn"
            },
            profile,
        }
    }

    pub fn quark() -> Client {
        Client::of(&world("quark"), "quark")
    }

    pub fn uc() -> Client {
        Client::of(&world("uc"), "uc")
    }

    pub fn name(&self) -> &str {
        &self.profile.name
    }

    pub fn set(&self, knob: &str, value: &str) {
        self.world.set(self.name(), knob, value).unwrap();
    }

    pub fn fault(&self, op: &str, kind: FaultKind, arg: &str) {
        self.world
            .fault(self.name(), Fault::once(op, kind, arg))
            .unwrap();
    }

    pub fn stat(&self) -> Stat {
        self.world.stat(self.name()).unwrap()
    }

    pub fn seed(&self, path: &str, bytes: &[u8]) -> String {
        let source = SeedSource::Bytes(Bytes::copy_from_slice(bytes));
        self.world.seed(self.name(), path, 0, &source).unwrap()
    }

    pub fn cookie(&self, name: &str) -> String {
        self.jar
            .lock()
            .unwrap()
            .get(name)
            .cloned()
            .unwrap_or_default()
    }

    pub fn set_cookie(&self, name: &str, value: &str) {
        self.jar
            .lock()
            .unwrap()
            .insert(name.to_owned(), value.to_owned());
    }

    pub fn drop_cookie(&self, name: &str) {
        self.jar.lock().unwrap().remove(name);
    }

    pub fn cookie_line(&self) -> String {
        let jar = self.jar.lock().unwrap();
        let pairs: Vec<String> = jar
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("; ")
    }

    /// A call as a browser makes it, query and all.
    pub fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        let mark = if path.contains('?') { '&' } else { '?' };
        let url = format!(
            "{}{path}{mark}pr={}&fr=pc",
            self.profile.endpoints["api"], self.pr
        );
        let ask = self
            .http
            .request(method, url)
            .header("User-Agent", &self.agent);
        match self.cookie_line() {
            none if none.is_empty() => ask,
            cookie => ask.header("Cookie", cookie),
        }
    }

    /// Sends it, keeps its cookies, answers status and document.
    pub async fn send(&self, ask: RequestBuilder) -> (u16, Value) {
        let answer = ask.send().await.unwrap();
        for line in answer.headers().get_all("set-cookie") {
            let pair = line.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.set_cookie(name, value);
        }
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    pub async fn call(&self, path: &str, body: Value) -> (u16, Value) {
        let ask = match body {
            Value::Null => self.ask(Method::GET, path),
            body => self.ask(Method::POST, path).json(&body),
        };
        self.send(ask).await
    }

    /// The whole answer of a call that must succeed.
    pub async fn whole(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(path, body).await;
        assert_eq!(
            (status, &answer["code"]),
            (200, &json!(0)),
            "{path}: {answer}"
        );
        answer
    }

    pub async fn get(&self, path: &str) -> Value {
        self.whole(path, Value::Null).await["data"].clone()
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.whole(path, body).await["data"].clone()
    }

    /// Status and code of a refusal.
    pub async fn refused(&self, path: &str, body: Value) -> (u16, i64) {
        let (status, answer) = self.call(path, body).await;
        (status, answer["code"].as_i64().unwrap_or(-1))
    }

    pub async fn list(&self, fid: &str) -> Vec<Value> {
        let path = format!("/file/sort?pdir_fid={fid}&_page=1&_size=100&_fetch_total=1");
        self.get(&path).await["list"].as_array().unwrap().clone()
    }

    pub async fn names(&self, fid: &str) -> Vec<String> {
        let rows = self.list(fid).await;
        let mut names: Vec<String> = rows
            .iter()
            .map(|row| row["file_name"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }

    /// Polls a task to its end; answers its last data and how many polls that took.
    pub async fn done(&self, started: &Value) -> (Value, u32) {
        if started["finish"] == true {
            return (Value::Null, 0);
        }
        let id = started["task_id"].as_str().unwrap();
        for index in 0..50 {
            let task = self
                .get(&format!("/task?task_id={id}&retry_index={index}"))
                .await;
            if task["status"] == 2 {
                return (task, index + 1);
            }
            assert!(matches!(task["status"].as_i64(), Some(0 | 1)), "{task}");
        }
        panic!("a task without end: {started}");
    }

    /// Starts a task and waits for it.
    pub async fn task(&self, path: &str, body: Value) -> Value {
        let started = self.post(path, body).await;
        self.done(&started).await.0
    }

    // Uploads.

    pub async fn pre(&self, parent: &str, name: &str, size: usize, parallel: bool) -> Value {
        self.whole(
            "/file/upload/pre",
            json!({
                "ccp_hash_update": true, "parallel_upload": parallel, "pdir_fid": parent,
                "dir_name": "", "file_name": name, "size": size, "format_type": "video/mp4",
                "l_created_at": 1_773_475_509_123_i64, "l_updated_at": 1_773_475_509_123_i64,
            }),
        )
        .await["data"]
            .clone()
    }

    pub async fn hash(&self, pre: &Value, bytes: &[u8]) -> Value {
        let sha1 = super::super::digest::sha1_hex(bytes);
        let md5 = super::super::digest::md5_hex(bytes);
        let body = json!({ "md5": md5, "sha1": sha1, "task_id": pre["task_id"] });
        self.post("/file/update/hash", body).await
    }

    pub async fn sign(&self, pre: &Value, meta: &str) -> String {
        let body = json!({
            "auth_info": pre["auth_info"], "auth_meta": meta, "task_id": pre["task_id"],
        });
        let data = self.post("/file/upload/auth", body).await;
        data["auth_key"].as_str().unwrap().to_owned()
    }

    fn object(&self, pre: &Value) -> (String, String) {
        let text = |key: &str| pre[key].as_str().unwrap().to_owned();
        let resource = format!("/{}/{}", text("bucket"), text("obj_key"));
        let url = format!("{}{resource}", self.profile.endpoints["oss"]);
        assert_eq!(text("upload_url"), self.profile.endpoints["oss"]);
        (url, resource)
    }

    /// A signed PUT, ready to be sent.
    pub async fn part_request(
        &self,
        pre: &Value,
        number: usize,
        bytes: &[u8],
        context: Option<&str>,
    ) -> RequestBuilder {
        let date = rfc1123(Clock::real_ms());
        let (url, resource) = self.object(pre);
        let query = format!(
            "partNumber={number}&uploadId={}",
            pre["upload_id"].as_str().unwrap()
        );
        let middle = context.map_or(String::new(), |ctx| format!("x-oss-hash-ctx:{ctx}\n"));
        let meta = format!(
            "PUT\n\nvideo/mp4\n{date}\nx-oss-date:{date}\n{middle}x-oss-user-agent:{SDK}\n\
             {resource}?{query}"
        );
        let key = self.sign(pre, &meta).await;
        let ask = self.http.put(format!("{url}?{query}"));
        let ask = ask
            .header("Authorization", key)
            .header("Content-Type", "video/mp4")
            .header("x-oss-date", date)
            .header("x-oss-user-agent", SDK)
            .header("Referer", format!("{}/", self.site))
            .body(bytes.to_vec());
        // reqwest says nothing of an empty body.
        let ask = match bytes.is_empty() {
            true => ask.header("Content-Length", "0"),
            false => ask,
        };
        match context {
            Some(context) => ask.header("X-Oss-Hash-Ctx", context),
            None => ask,
        }
    }

    /// Status and ETag, or the document.
    pub async fn part(
        &self,
        pre: &Value,
        number: usize,
        bytes: &[u8],
        context: Option<&str>,
    ) -> (u16, String) {
        let ask = self.part_request(pre, number, bytes, context).await;
        told(ask.send().await.unwrap()).await
    }

    /// A signed completion, ready to be sent.
    pub async fn complete_request(&self, pre: &Value, etags: &[String]) -> RequestBuilder {
        let mut xml =
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<CompleteMultipartUpload>\n".to_owned();
        for (index, etag) in etags.iter().enumerate() {
            let number = index + 1;
            xml.push_str(&format!(
                "<Part>\n<PartNumber>{number}</PartNumber>\n<ETag>{etag}</ETag>\n</Part>\n"
            ));
        }
        xml.push_str("</CompleteMultipartUpload>");
        let md5 = STANDARD.encode(Md5::digest(xml.as_bytes()));
        let callback = STANDARD.encode(pre["callback"].to_string());
        let date = rfc1123(Clock::real_ms());
        let (url, resource) = self.object(pre);
        let query = format!("uploadId={}", pre["upload_id"].as_str().unwrap());
        let meta = format!(
            "POST\n{md5}\napplication/xml\n{date}\nx-oss-callback:{callback}\nx-oss-date:{date}\n\
             x-oss-user-agent:{SDK}\n{resource}?{query}"
        );
        let key = self.sign(pre, &meta).await;
        self.http
            .post(format!("{url}?{query}"))
            .header("Authorization", key)
            .header("Content-MD5", md5)
            .header("Content-Type", "application/xml")
            .header("x-oss-callback", callback)
            .header("x-oss-date", date)
            .header("x-oss-user-agent", SDK)
            .header("Referer", format!("{}/", self.site))
            .body(xml)
    }

    pub async fn complete(&self, pre: &Value, etags: &[String]) -> (u16, String) {
        let ask = self.complete_request(pre, etags).await;
        let answer = ask.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    pub fn finish_body(pre: &Value) -> Value {
        json!({ "obj_key": pre["obj_key"], "task_id": pre["task_id"] })
    }

    pub async fn finish(&self, pre: &Value) -> Value {
        self.post("/file/upload/finish", Client::finish_body(pre))
            .await
    }

    /// A small file by one part; answers its id.
    pub async fn upload(&self, parent: &str, name: &str, bytes: &[u8]) -> String {
        let pre = self.pre(parent, name, bytes.len(), false).await;
        assert_eq!(self.hash(&pre, bytes).await["finish"], false);
        let (status, etag) = self.part(&pre, 1, bytes, None).await;
        assert_eq!(status, 200, "{etag}");
        let done = self.complete(&pre, &[etag]).await;
        assert_eq!(done.0, 200, "{}", done.1);
        self.finish(&pre).await["fid"].as_str().unwrap().to_owned()
    }

    // Downloads.

    pub async fn link(&self, fid: &str) -> Value {
        self.post("/file/download", json!({ "fids": [fid] })).await[0].clone()
    }

    /// A GET of a link with all that belongs to it.
    pub fn fetch(&self, url: &str) -> RequestBuilder {
        let ask = self.http.get(url).header("Cookie", self.cookie_line());
        ask.header("User-Agent", &self.agent)
            .header("Referer", format!("{}/", self.site))
    }

    pub async fn download(&self, url: &str) -> Vec<u8> {
        let answer = self.fetch(url).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        answer.bytes().await.unwrap().to_vec()
    }
}

/// Status and ETag of a part, or the document of a refusal.
pub(super) async fn told(answer: Response) -> (u16, String) {
    let status = answer.status().as_u16();
    let etag = answer.headers().get("etag");
    match etag.map(|etag| etag.to_str().unwrap().to_owned()) {
        Some(etag) => (status, etag),
        None => (status, answer.text().await.unwrap()),
    }
}

/// Bytes `i mod 251` of the sheets.
pub(super) fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i % 251) as u8).collect()
}
