//! Tests over HTTP with a client that knows nothing but the sheet.

mod changes;
mod downloads;
mod fast;
mod lists;
mod login;
mod shares;
mod uploads;
mod vectors;

use std::sync::Arc;

use reqwest::{RequestBuilder, Response};
use serde_json::Value;

use super::super::SimProfile;
use super::super::faults::{Fault, FaultKind};
use super::super::server::{SeedSource, World, WorldOptions};

const FILE: &str = "/rest/2.0/xpan/file";
const MEDIA: &str = "/rest/2.0/xpan/multimedia";

/// A client of one profile.
struct Client {
    world: Arc<World>,
    http: reqwest::Client,
    profile: SimProfile,
    token: String,
}

fn world() -> Arc<World> {
    super::super::start(&WorldOptions {
        only: vec!["baidu_netdisk".to_owned()],
        accounts: 2,
    })
    .unwrap()
}

/// Bytes of the sheet's generator (section 12).
fn generated(size: u64, seed: u64) -> Vec<u8> {
    let byte = |i: u64| {
        let word = i
            .wrapping_mul(2_654_435_761)
            .wrapping_add(seed * 2_246_822_519);
        (word as u32 >> 24) as u8
    };
    (0..size).map(byte).collect()
}

impl Client {
    async fn new() -> Client {
        Client::of(&world(), "baidu").await
    }

    async fn of(world: &Arc<World>, name: &str) -> Client {
        let mut client = Client {
            world: world.clone(),
            http: reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            profile: world.profile(name).unwrap(),
            token: String::new(),
        };
        if let Some(refresh) = client.profile.secrets.get("refresh_token").cloned() {
            let pair = client.refresh(&refresh).await;
            client.token = pair["access_token"].as_str().unwrap().to_owned();
        }
        client
    }

    fn host(&self, endpoint: &str, path: &str) -> String {
        format!("{}{path}", self.profile.endpoints[endpoint])
    }

    /// A request with what lets it in: token or cookies.
    fn ask(&self, method: &str, url: &str) -> RequestBuilder {
        let method = method.parse().unwrap();
        let ask = self.http.request(method, url);
        match self.profile.secrets.get("cookie") {
            Some(cookie) => ask.header("Cookie", cookie),
            None => ask.query(&[("access_token", &self.token)]),
        }
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let ask = self.ask("GET", &self.host("api", path)).query(query);
        json(ask).await
    }

    async fn list(&self, query: &[(&str, &str)]) -> Value {
        let mut all = vec![("method", "list")];
        all.extend(query);
        self.get(FILE, &all).await
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Value {
        let ask = self.ask("POST", &self.host("api", path)).form(form);
        json(ask).await
    }

    /// A POST to `xpan/file`.
    async fn file(&self, method: &str, form: &[(&str, &str)]) -> Value {
        let path = format!("{FILE}?method={method}");
        self.post(&path, form).await
    }

    async fn manage(&self, opera: &str, list: Value, more: &[(&str, &str)]) -> Value {
        let list = list.to_string();
        let mut form = vec![("filelist", list.as_str())];
        form.extend(more);
        self.file(&format!("filemanager&opera={opera}"), &form)
            .await
    }

    async fn refresh(&self, refresh: &str) -> Value {
        let secret = self.profile.secrets["client_secret"].clone();
        self.token_with(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh),
            ("client_id", &self.profile.fields["client_id"]),
            ("client_secret", &secret),
        ])
        .await
    }

    async fn token_with(&self, query: &[(&str, &str)]) -> Value {
        let ask = self.http.get(self.host("auth", "/oauth/2.0/token"));
        json(ask.query(query)).await
    }

    fn seed(&self, path: &str, size: u64, seed: u64) -> String {
        let source = SeedSource::Synthetic { seed };
        self.world
            .seed(&self.profile.account, path, size, &source)
            .unwrap()
    }

    fn mkdir(&self, path: &str) -> String {
        self.world.mkdir(&self.profile.account, path).unwrap()
    }

    fn set(&self, knob: &str, value: &str) {
        self.world.set(&self.profile.account, knob, value).unwrap();
    }

    fn fault(&self, op: &str, kind: FaultKind, arg: &str) {
        let fault = Fault::once(op, kind, arg);
        self.world.fault(&self.profile.account, fault).unwrap();
    }

    /// Names below a directory, with `/` behind directories.
    async fn names(&self, dir: &str) -> Vec<String> {
        let answer = self.list(&[("dir", dir)]).await;
        assert_eq!(answer["errno"], 0, "{answer}");
        let list = answer["list"].as_array().unwrap();
        let name = |item: &Value| {
            let slash = if item["isdir"] == 1 { "/" } else { "" };
            format!("{}{slash}", item["server_filename"].as_str().unwrap())
        };
        list.iter().map(name).collect()
    }

    /// One entry of a listing.
    async fn item(&self, dir: &str, name: &str) -> Value {
        let answer = self.list(&[("dir", dir)]).await;
        let list = answer["list"].as_array().unwrap();
        let found = list.iter().find(|item| item["server_filename"] == name);
        found
            .unwrap_or_else(|| panic!("no {name} in {answer}"))
            .clone()
    }
}

async fn sent(ask: RequestBuilder) -> Response {
    ask.header("User-Agent", "pan.baidu.com")
        .send()
        .await
        .unwrap()
}

async fn json(ask: RequestBuilder) -> Value {
    sent(ask).await.json().await.unwrap()
}
