//! A client that knows nothing but the sheet and the standards, and what the tests share.

mod auth;
mod chunks;
mod files;
mod flavours;
mod listing;
mod locks;
mod tree;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};

use super::super::SimProfile;
use super::super::faults::{Fault, FaultKind};
use super::super::meters::Stat;
use super::super::server::{SeedSource, World, WorldOptions};
use super::xml::{self, Element};

/// An answer.
pub(super) struct Got {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Got {
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    /// The responses of a multistatus.
    pub fn rows(&self) -> Vec<Row> {
        let root = xml::parse(&self.text()).expect("a document");
        assert!(root.is("multistatus"), "{}", self.text());
        root.children.iter().map(Row::read).collect()
    }
}

/// A response of a multistatus: properties by name with their status.
pub(super) struct Row {
    pub href: String,
    pub status: Option<String>,
    pub props: BTreeMap<String, (u16, Element)>,
}

impl Row {
    fn read(element: &Element) -> Row {
        assert!(element.is("response"));
        let mut props = BTreeMap::new();
        for propstat in element.children.iter().filter(|e| e.is("propstat")) {
            let line = &propstat.child("status").unwrap().text;
            let status: u16 = line.split(' ').nth(1).unwrap().parse().unwrap();
            for prop in &propstat.child("prop").unwrap().children {
                let old = props.insert(prop.name.clone(), (status, prop.clone()));
                assert!(old.is_none(), "{} twice", prop.name);
            }
        }
        Row {
            href: element.child("href").unwrap().text.clone(),
            status: element.child("status").map(|status| status.text.clone()),
            props,
        }
    }

    /// The text of a property that is there.
    pub fn text(&self, name: &str) -> &str {
        let (status, element) = &self.props[name];
        assert_eq!(*status, 200, "{name}");
        &element.text
    }

    pub fn status(&self, name: &str) -> u16 {
        self.props[name].0
    }

    pub fn is_dir(&self) -> bool {
        self.props["resourcetype"].1.child("collection").is_some()
    }
}

/// A client of one account.
pub(super) struct Dav {
    pub world: Arc<World>,
    pub http: reqwest::Client,
    pub profile: SimProfile,
    /// The account's URL, without a slash at its end.
    pub url: String,
}

impl Dav {
    /// A client of the first account of a new world, with these settings.
    pub fn with(knobs: &[(&str, &str)]) -> Dav {
        let world = super::super::start(&WorldOptions {
            only: vec!["webdav".to_owned()],
            accounts: 2,
        });
        let world = world.unwrap();
        for (key, value) in knobs {
            world.set("webdav", key, value).unwrap();
        }
        Dav::of(world, "webdav")
    }

    pub fn new() -> Dav {
        Dav::with(&[])
    }

    pub fn of(world: Arc<World>, name: &str) -> Dav {
        let profile = world.profile(name).unwrap();
        let redirect = reqwest::redirect::Policy::none();
        let http = reqwest::Client::builder().no_proxy().redirect(redirect);
        Dav {
            world,
            http: http.build().unwrap(),
            url: profile.endpoints["url"].clone(),
            profile,
        }
    }

    pub fn set(&self, key: &str, value: &str) {
        self.world.set(&self.profile.name, key, value).unwrap();
    }

    pub fn fault(&self, op: &str, kind: FaultKind, arg: &str) {
        let fault = Fault::once(op, kind, arg);
        self.world.fault(&self.profile.name, fault).unwrap();
    }

    pub fn stat(&self) -> Stat {
        self.world.stat(&self.profile.name).unwrap()
    }

    pub fn seed(&self, path: &str, bytes: &[u8]) -> String {
        let source = SeedSource::Bytes(Bytes::copy_from_slice(bytes));
        let name = &self.profile.name;
        self.world.seed(name, path, 0, &source).unwrap()
    }

    pub fn mkdir(&self, path: &str) {
        self.world.mkdir(&self.profile.name, path).unwrap();
    }

    /// The bytes that a file has now; `None` without one.
    pub fn stored(&self, path: &str) -> Option<Bytes> {
        let name = &self.profile.name;
        self.world.read(name, path, 0, u64::MAX).ok()
    }

    /// The paths that there are.
    pub fn paths(&self) -> Vec<String> {
        let tree = self.world.tree(&self.profile.name).unwrap();
        let items = tree["items"].as_array().unwrap().iter();
        items
            .map(|item| item["path"].as_str().unwrap().to_owned())
            .collect()
    }

    /// A request without a login.
    pub fn bare(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// A request; `path` is encoded already.
    pub fn ask(&self, method: &str, path: &str) -> RequestBuilder {
        let ask = self.bare(method, path);
        match self.profile.fields.get("username") {
            Some(user) => ask.basic_auth(user, self.profile.secrets.get("password")),
            None => ask,
        }
    }

    pub async fn send(&self, ask: RequestBuilder) -> Got {
        let answer = ask.send().await.unwrap();
        Got {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            body: answer.bytes().await.unwrap(),
        }
    }

    /// Sends a request with headers and answers the status.
    pub async fn status(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
        self.go(method, path, headers).await.status
    }

    pub async fn go(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Got {
        let mut ask = self.ask(method, path);
        for (name, value) in headers {
            ask = ask.header(*name, *value);
        }
        self.send(ask).await
    }

    pub async fn put(&self, path: &str, body: &[u8], headers: &[(&str, &str)]) -> Got {
        let mut ask = self.ask("PUT", path).body(Bytes::copy_from_slice(body));
        for (name, value) in headers {
            ask = ask.header(*name, *value);
        }
        self.send(ask).await
    }

    /// PROPFIND for these properties (`oc:` in front of those of ownCloud).
    pub async fn find(&self, path: &str, depth: &str, props: &[&str]) -> Got {
        let list: String = props
            .iter()
            .map(|prop| match prop.contains(':') {
                true => format!("<{prop}/>"),
                false => format!("<d:{prop}/>"),
            })
            .collect();
        let body = format!(
            "<d:propfind xmlns:d=\"DAV:\" xmlns:oc=\"http://owncloud.org/ns\">\
             <d:prop>{list}</d:prop></d:propfind>"
        );
        let ask = self.ask("PROPFIND", path).header("Depth", depth);
        self.send(ask.header("Content-Type", "application/xml").body(body))
            .await
    }

    /// The rows of a listing.
    pub async fn list(&self, path: &str, props: &[&str]) -> Vec<Row> {
        let got = self.find(path, "1", props).await;
        assert_eq!(got.status, 207, "{}", got.text());
        got.rows()
    }

    /// One property of one entry.
    pub async fn prop(&self, path: &str, name: &str) -> String {
        let got = self.find(path, "0", &[name]).await;
        assert_eq!(got.status, 207, "{}", got.text());
        let local = name.rsplit(':').next().unwrap();
        got.rows()[0].text(local).to_owned()
    }
}
