//! The server driven over HTTP, by clients that know only the sheet.

mod calls;
mod cookie;
mod login;
mod transfers;

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::sim::SIMULATORS;
use crate::sim::clock::{Clock, rfc1123};
use crate::sim::content::Blob;
use crate::sim::digest::{HashKind, sha1_hex};
use crate::sim::faults::{Fault, FaultKind};
use crate::sim::oss::sign;
use crate::sim::server::{SeedSource, World, WorldOptions};

struct Client {
    world: Arc<World>,
    http: reqwest::Client,
    base: String,
    profile: String,
    access: String,
    refresh: String,
}

impl Client {
    fn new(profile: &str) -> Client {
        let options = WorldOptions {
            only: vec!["115_open".to_owned()],
            accounts: 2,
        };
        Client::of(World::start(SIMULATORS, &options).unwrap(), profile)
    }

    fn of(world: Arc<World>, profile: &str) -> Client {
        let found = world.profile(profile).unwrap();
        let http = reqwest::Client::builder()
            .no_proxy()
            .user_agent("my-fs/1.0")
            .build()
            .unwrap();
        Client {
            world,
            http,
            base: found.endpoints["api"].clone(),
            profile: profile.to_owned(),
            access: found.secrets["access_token"].clone(),
            refresh: found.secrets["refresh_token"].clone(),
        }
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let url = format!("{}{path}", self.base);
        let ask = self.http.get(url).query(query).bearer_auth(&self.access);
        ask.send().await.unwrap().json().await.unwrap()
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Value {
        let url = format!("{}{path}", self.base);
        let ask = self.http.post(url).form(form).bearer_auth(&self.access);
        ask.send().await.unwrap().json().await.unwrap()
    }

    /// A call of passport: no bearer.
    async fn passport(&self, path: &str, form: &[(&str, &str)]) -> Value {
        let url = format!("{}{path}", self.base);
        let ask = self.http.post(url).form(form);
        ask.send().await.unwrap().json().await.unwrap()
    }

    async fn list(&self, cid: &str) -> Value {
        let query = [
            ("cid", cid),
            ("show_dir", "1"),
            ("cur", "1"),
            ("limit", "1000"),
        ];
        self.get("/open/ufile/files", &query).await
    }

    /// Names in a folder, sorted.
    async fn names(&self, cid: &str) -> Vec<String> {
        let list = self.list(cid).await;
        let mut names: Vec<String> = list["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["fn"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }

    fn seed(&self, path: &str, seed: u64, size: u64) -> (String, Blob) {
        let source = SeedSource::Synthetic { seed };
        let id = self.world.seed(&self.profile, path, size, &source).unwrap();
        (id, Blob::synthetic(seed, size))
    }

    fn fault(&self, op: &str, kind: FaultKind, arg: &str) {
        let fault = Fault::once(op, kind, arg);
        self.world.fault(&self.profile, fault).unwrap();
    }

    fn set(&self, key: &str, value: &str) {
        self.world.set(&self.profile, key, value).unwrap();
    }

    async fn init(&self, name: &str, blob: &Blob, more: &[(&str, &str)]) -> Value {
        let (size, sha1) = (blob.size().to_string(), upper_sha1(blob));
        let mut form = vec![
            ("file_name", name),
            ("file_size", &size),
            ("target", "U_1_0"),
            ("fileid", &sha1),
        ];
        for (key, value) in more {
            form.retain(|(known, _)| known != key);
            form.push((key, value));
        }
        self.post("/open/upload/init", &form).await
    }

    /// Init with the answer to its challenge.
    async fn proven(&self, name: &str, blob: &Blob) -> Value {
        let asked = self.init(name, blob, &[]).await;
        let (key, value) = answer_to(&asked, blob);
        let more = [("sign_key", key.as_str()), ("sign_val", value.as_str())];
        self.init(name, blob, &more).await
    }

    /// A signed call to the store with a fresh token.
    async fn oss(
        &self,
        method: &str,
        object: &str,
        query: &str,
        extra: &[(&str, String)],
        body: impl Into<reqwest::Body>,
    ) -> (u16, String, HeaderMap) {
        let token = self.get("/open/upload/get_token", &[]).await["data"].clone();
        let text = |key: &str| token[key].as_str().unwrap().to_owned();
        let mut pairs = vec![
            ("date", rfc1123(Clock::real_ms())),
            ("x-oss-security-token", text("SecurityToken")),
        ];
        pairs.extend(extra.iter().cloned());
        let mut headers: HeaderMap = pairs
            .iter()
            .map(|(name, value)| {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                (name, HeaderValue::from_str(value).unwrap())
            })
            .collect();
        let parsed = sign::parse_query(query);
        let to_sign = sign::string_to_sign(method, &headers, "fhnfile", object, &parsed);
        let signature = sign::hmac_sha1(&text("AccessKeySecret"), &to_sign);
        let value = format!("OSS {}:{signature}", text("AccessKeyId"));
        headers.insert("authorization", HeaderValue::from_str(&value).unwrap());
        let url = format!("{}/fhnfile/{object}?{query}", text("endpoint"));
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let ask = self.http.request(method, url).headers(headers).body(body);
        let answer = ask.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        (status, answer.text().await.unwrap(), headers)
    }

    /// Uploads the bytes of a miss in parts and completes; answers status and body.
    async fn stream(&self, miss: &Value, parts: &[&[u8]], sequential: bool) -> (u16, String) {
        let data = &miss["data"];
        assert_eq!(data["status"], 1, "{miss}");
        let object = data["object"].as_str().unwrap();
        let start = if sequential {
            "sequential&uploads"
        } else {
            "uploads"
        };
        let (status, text, _) = self.oss("POST", object, start, &[], "").await;
        assert_eq!(status, 200, "{text}");
        let id = between(&text, "<UploadId>", "</UploadId>");
        let mut list = String::new();
        for (index, part) in parts.iter().enumerate() {
            let number = index + 1;
            let query = format!("partNumber={number}&uploadId={id}");
            let (status, text, headers) = self.oss("PUT", object, &query, &[], part.to_vec()).await;
            assert_eq!(status, 200, "{text}");
            let etag = headers["etag"].to_str().unwrap();
            list += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
        }
        let body = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
        let query = format!("uploadId={id}");
        let (status, text, _) = self
            .oss("POST", object, &query, &callbacks(data), body)
            .await;
        (status, text)
    }
}

/// The two callback headers of an init or resume.
fn callbacks(data: &Value) -> Vec<(&'static str, String)> {
    let encode = |key: &str| STANDARD.encode(data["callback"][key].as_str().unwrap());
    vec![
        ("x-oss-callback", encode("callback")),
        ("x-oss-callback-var", encode("callback_var")),
    ]
}

fn between(text: &str, from: &str, to: &str) -> String {
    let start = text.find(from).unwrap() + from.len();
    let end = text[start..].find(to).unwrap() + start;
    text[start..end].to_owned()
}

fn upper_sha1(blob: &Blob) -> String {
    blob.digest_now(HashKind::Sha1).to_uppercase()
}

/// `sign_key` and `sign_val` for a challenge.
fn answer_to(challenge: &Value, blob: &Blob) -> (String, String) {
    let data = &challenge["data"];
    let check = data["sign_check"].as_str().unwrap();
    let (start, end) = check.split_once('-').unwrap();
    let (start, end): (u64, u64) = (start.parse().unwrap(), end.parse().unwrap());
    let value = sha1_hex(&blob.read(start, end - start + 1)).to_uppercase();
    (data["sign_key"].as_str().unwrap().to_owned(), value)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("no {key} in {value}"))
}
