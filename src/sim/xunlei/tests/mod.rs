//! The little client that the tests drive the server with.
//!
//! | file | what is proven |
//! |---|---|
//! | `vectors` | the published vectors |
//! | `account` | tokens, log-ins, captchas, spaces |
//! | `tree` | listings and changes |
//! | `uploads` | fast uploads, the store, pending entries |
//! | `links` | links and downloads |
//! | `shares` | shares and taking over from them |

mod account;
mod links;
mod shares;
mod tree;
mod uploads;
mod vectors;

use std::sync::Arc;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::super::oss::sign;
use super::super::server::{SeedSource, World, WorldOptions};
use super::clients::{self, Client as Known};

/// What every listing of a driver asks for.
const LIVE: &str = r#"{"phase":{"eq":"PHASE_TYPE_COMPLETE"},"trashed":{"eq":false}}"#;
const TRASH: &str = r#"{"trashed":{"eq":true}}"#;

struct Client {
    world: Arc<World>,
    http: reqwest::Client,
    name: String,
    client: &'static Known,
    device: String,
    access: String,
    captcha: String,
}

impl Client {
    async fn start() -> Client {
        let options = WorldOptions::default();
        let world = World::start(&[super::INFO], &options).unwrap();
        Client::of(world, "xunlei").await
    }

    /// A signed-in web client of a profile, with a captcha token.
    async fn of(world: Arc<World>, name: &str) -> Client {
        let profile = world.profile(name).unwrap();
        let mut client = Client {
            world,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            name: name.to_owned(),
            client: clients::by_id(&profile.fields["client_id"]).unwrap(),
            device: profile.fields["device_id"].clone(),
            access: String::new(),
            captcha: String::new(),
        };
        let (status, tokens) = client.refresh(&profile.secrets["refresh_token"]).await;
        assert_eq!(status, 200, "{tokens}");
        client.access = tokens["access_token"].as_str().unwrap().to_owned();
        client.solve("GET:/drive/v1/files").await;
        client
    }

    /// Goes on as another of the public clients, with the tokens it has.
    async fn turn_into(&mut self, id: &str) {
        self.client = clients::by_id(id).unwrap();
        self.solve("GET:/drive/v1/files").await;
    }

    fn url(&self, endpoint: &str) -> String {
        self.world.endpoints()["xunlei"][endpoint].clone()
    }

    async fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> (u16, Value) {
        let request = self.http.request(method.parse().unwrap(), url);
        let request = request.headers(header_map(headers));
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.unwrap();
        (
            status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        )
    }

    /// A call of the accounts' host, without a bearer.
    async fn user(&self, path: &str, body: Value) -> (u16, Value) {
        let url = format!("{}{path}", self.url("user"));
        let headers = [
            ("x-device-id", self.device.as_str()),
            ("x-client-id", self.client.id),
        ];
        self.send("POST", &url, &headers, Some(body)).await
    }

    async fn refresh(&self, token: &str) -> (u16, Value) {
        let body = json!({
            "client_id": self.client.id, "grant_type": "refresh_token", "refresh_token": token,
        });
        self.user("/v1/auth/token", body).await
    }

    async fn captcha(&self, action: &str, meta: &Value) -> (u16, Value) {
        let body = json!({
            "action": action, "captcha_token": self.captcha, "client_id": self.client.id,
            "device_id": self.device, "meta": meta,
        });
        self.user("/v1/shield/captcha/init", body).await
    }

    /// The meta of this client after log-in.
    fn signed(&self, user: &str) -> Value {
        json!({
            "captcha_sign": self.client.captcha_sign(&self.device, "1788888888123"),
            "client_version": self.client.version, "package_name": self.client.package,
            "user_id": user, "timestamp": "1788888888123",
        })
    }

    /// Gets a captcha token for an action and keeps it.
    async fn solve(&mut self, action: &str) {
        let (status, answer) = self.captcha(action, &self.signed("0")).await;
        assert_eq!(status, 200, "{answer}");
        self.captcha = answer["captcha_token"].as_str().unwrap().to_owned();
    }

    /// A call of the drive.
    async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        self.call_with(method, path, body, &[]).await
    }

    async fn call_with(
        &self,
        method: &str,
        path: &str,
        body: Value,
        more: &[(&str, &str)],
    ) -> (u16, Value) {
        let url = format!("{}{path}", self.url("api"));
        let bearer = format!("Bearer {}", self.access);
        let mut headers = vec![("x-device-id", self.device.as_str())];
        headers.push(("x-client-id", self.client.id));
        if !self.access.is_empty() {
            headers.push(("authorization", &bearer));
        }
        if !self.captcha.is_empty() {
            headers.push(("x-captcha-token", &self.captcha));
        }
        headers.extend_from_slice(more);
        let body = (!body.is_null()).then_some(body);
        self.send(method, &url, &headers, body).await
    }

    async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(method, path, body).await;
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }

    async fn get(&self, path: &str) -> Value {
        self.ok("GET", path, Value::Null).await
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.ok("POST", path, body).await
    }

    /// Status, `error_code` and `error` of a call that is refused.
    async fn refused(&self, method: &str, path: &str, body: Value) -> (u16, i64, String) {
        refusal(&self.call(method, path, body).await)
    }

    async fn list(&self, parent: &str, filters: &str) -> Vec<Value> {
        let path = format!(
            "/drive/v1/files?parent_id={}&limit=500&filters={}",
            sign::encode(parent),
            sign::encode(filters)
        );
        self.get(&path).await["files"].as_array().unwrap().clone()
    }

    fn seed(&self, path: &str, bytes: &[u8]) -> String {
        let source = SeedSource::Bytes(bytes.to_vec().into());
        self.world.seed(&self.name, path, 0, &source).unwrap()
    }

    fn set(&self, key: &str, value: &str) {
        self.world.set(&self.name, key, value).unwrap();
    }
}

fn header_map(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        })
        .collect()
}

fn refusal((status, answer): &(u16, Value)) -> (u16, i64, String) {
    let code = answer["error_code"].as_i64().unwrap_or(-1);
    let name = answer["error"].as_str().unwrap_or("").to_owned();
    (*status, code, name)
}

fn names(files: &[Value]) -> Vec<&str> {
    files.iter().map(|f| f["name"].as_str().unwrap()).collect()
}

fn error(status: u16, code: i64, name: &str) -> (u16, i64, String) {
    (status, code, name.to_owned())
}

fn at(id: &str) -> String {
    format!("/drive/v1/files/{id}")
}

fn id_of(value: &Value) -> &str {
    value["id"].as_str().unwrap()
}
