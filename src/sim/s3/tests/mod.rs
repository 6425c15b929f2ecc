//! A client with a signer of its own, written from Amazon's description, and what the tests share.

mod auth;
mod copies;
mod deletes;
mod listing;
mod multipart;
mod objects;
mod servers;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use reqwest::Method;
use reqwest::header::HeaderMap;
use sha2::{Digest, Sha256};

use super::super::SimProfile;
use super::super::faults::{Fault, FaultKind};
use super::super::meters::Stat;
use super::super::server::{SeedSource, World, WorldOptions};
use super::xml::{self, Element};

/// Lower-case hex.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hex SHA-256.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Hex MD5.
pub(super) fn md5(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

/// MD5 as `Content-MD5` has it.
pub(super) fn md5_base64(bytes: &[u8]) -> String {
    STANDARD.encode(Md5::digest(bytes))
}

/// Encodes as Amazon's `UriEncode` does.
pub(super) fn encode(text: &str, keep_slash: bool) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            b'/' if keep_slash => out.push('/'),
            other => out.push_str(&format!("%{other:02X}")),
        }
        out
    })
}

/// `20130524T000000Z`.
pub(super) fn stamp(ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(ms).unwrap();
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Who signs, for where.
#[derive(Clone)]
pub(super) struct Signer {
    pub id: String,
    pub secret: String,
    pub region: String,
}

impl Signer {
    fn scope(&self, stamp: &str) -> String {
        format!("{}/{}/s3/aws4_request", &stamp[..8], self.region)
    }

    /// Signature of a request: `headers` are all to be signed, names in lower case.
    pub fn sign(
        &self,
        stamp: &str,
        method: &str,
        path: &str,
        query: &[(String, String)],
        headers: &[(String, String)],
        payload: &str,
    ) -> (String, String) {
        let mut query: Vec<String> = query
            .iter()
            .map(|(name, value)| format!("{}={}", encode(name, false), encode(value, false)))
            .collect();
        query.sort();
        let mut headers = headers.to_vec();
        headers.sort();
        let lines: String = headers
            .iter()
            .map(|(name, value)| format!("{name}:{}\n", value.trim()))
            .collect();
        let names: Vec<String> = headers.into_iter().map(|(name, _)| name).collect();
        let names = names.join(";");
        let query = query.join("&");
        let request = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{payload}");
        let text = format!(
            "AWS4-HMAC-SHA256\n{stamp}\n{}\n{}",
            self.scope(stamp),
            sha256(request.as_bytes())
        );
        let step = |key: Vec<u8>, data: &str| {
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
            mac.update(data.as_bytes());
            mac.finalize().into_bytes().to_vec()
        };
        let key = step(format!("AWS4{}", self.secret).into_bytes(), &stamp[..8]);
        let key = step(key, &self.region);
        let key = step(key, "s3");
        let key = step(key, "aws4_request");
        (names, hex(&step(key, &text)))
    }
}

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

    pub fn xml(&self) -> Element {
        xml::parse(&self.text()).unwrap_or_else(|| panic!("no document: {}", self.text()))
    }

    /// Text of a child of the document.
    pub fn value(&self, name: &str) -> String {
        let root = self.xml();
        let text = root.text_of(name).unwrap_or_default();
        text.to_owned()
    }

    /// Status and error code.
    pub fn error(&self) -> (u16, String) {
        let root = self.xml();
        assert_eq!(root.name, "Error", "{}", self.text());
        assert_eq!(
            root.text_of("RequestId"),
            Some(self.header("x-amz-request-id"))
        );
        (self.status, root.text_of("Code").unwrap().to_owned())
    }

    /// Asserts that it is this error.
    #[track_caller]
    pub fn fails(&self, status: u16, code: &str) {
        assert_eq!(self.error(), (status, code.to_owned()), "{}", self.text());
    }

    /// Asserts that it went well.
    #[track_caller]
    pub fn fine(self) -> Got {
        assert!(
            (200..300).contains(&self.status),
            "{}: {}",
            self.status,
            self.text()
        );
        self
    }
}

/// A client of one account.
#[derive(Clone)]
pub(super) struct Client {
    pub world: Arc<World>,
    pub http: reqwest::Client,
    pub profile: SimProfile,
    pub base: String,
    pub bucket: String,
    pub signer: Signer,
}

/// A request that is being made.
pub(super) struct Ask<'a> {
    client: &'a Client,
    pub method: String,
    /// Encoded.
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    /// Sent and not signed.
    pub unsigned: Vec<(String, String)>,
    pub body: Bytes,
    /// Instead of the body's hash.
    pub payload: Option<String>,
    /// Milliseconds since 1970.
    pub at: i64,
    pub signer: Signer,
}

impl Ask<'_> {
    pub fn q(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn h(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn unsigned(mut self, name: &str, value: &str) -> Self {
        self.unsigned.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = Bytes::copy_from_slice(body.as_ref());
        self
    }

    pub fn payload(mut self, payload: &str) -> Self {
        self.payload = Some(payload.to_owned());
        self
    }

    fn url(&self) -> String {
        let query: Vec<String> = self
            .query
            .iter()
            .map(|(name, value)| match value.is_empty() {
                // As SDKs send `?uploads`: it is signed with an equals sign all the same.
                true => encode(name, false),
                false => format!("{}={}", encode(name, false), encode(value, false)),
            })
            .collect();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}{}{mark}{}", self.client.base, self.path, query.join("&"))
    }

    fn host(&self) -> String {
        self.client.base.trim_start_matches("http://").to_owned()
    }

    /// The request with its signature in a header.
    pub fn signed(mut self) -> reqwest::RequestBuilder {
        let stamp = stamp(self.at);
        let payload = self.payload.clone().unwrap_or_else(|| sha256(&self.body));
        self.headers.push(("x-amz-date".to_owned(), stamp.clone()));
        self.headers
            .push(("x-amz-content-sha256".to_owned(), payload.clone()));
        let mut signed = self.headers.clone();
        signed.push(("host".to_owned(), self.host()));
        let (names, signature) = self.signer.sign(
            &stamp,
            &self.method,
            &self.path,
            &self.query,
            &signed,
            &payload,
        );
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={names}, Signature={signature}",
            self.signer.id,
            self.signer.scope(&stamp),
        );
        self.raw().header("authorization", authorization)
    }

    /// The request without any signature.
    pub fn raw(&self) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(self.method.as_bytes()).unwrap();
        let mut ask = self.client.http.request(method, self.url());
        for (name, value) in self.headers.iter().chain(&self.unsigned) {
            ask = ask.header(name, value);
        }
        // The HTTP client says no length of a body that is empty, and the server wants one.
        if self.method == "PUT" && self.body.is_empty() {
            ask = ask.header("content-length", "0");
        }
        ask.body(self.body.clone())
    }

    pub async fn go(self) -> Got {
        let client = self.client;
        client.send(self.signed()).await
    }

    /// The presigned URL of it.
    pub fn presigned(mut self, seconds: i64) -> String {
        let stamp = stamp(self.at);
        let credential = format!("{}/{}", self.signer.id, self.signer.scope(&stamp));
        let mut signed = self.headers.clone();
        signed.push(("host".to_owned(), self.host()));
        signed.sort();
        let names: Vec<String> = signed.iter().map(|(name, _)| name.clone()).collect();
        let expires = seconds.to_string();
        for (name, value) in [
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", &credential),
            ("X-Amz-Date", &stamp),
            ("X-Amz-Expires", &expires),
            ("X-Amz-SignedHeaders", &names.join(";")),
        ] {
            self.query.push((name.to_owned(), value.to_owned()));
        }
        let payload = self.payload.as_deref().unwrap_or("UNSIGNED-PAYLOAD");
        let (_, signature) = self.signer.sign(
            &stamp,
            &self.method,
            &self.path,
            &self.query,
            &signed,
            payload,
        );
        self.query.push(("X-Amz-Signature".to_owned(), signature));
        self.url()
    }
}

impl Client {
    /// A client of the first account of a new world, with these settings.
    pub fn with(knobs: &[(&str, &str)]) -> Client {
        let world = super::super::start(&WorldOptions {
            only: vec!["s3".to_owned()],
            accounts: 2,
        });
        let world = world.unwrap();
        for (key, value) in knobs {
            world.set("s3", key, value).unwrap();
        }
        Client::of(world, "s3")
    }

    pub fn new() -> Client {
        Client::with(&[])
    }

    pub fn of(world: Arc<World>, name: &str) -> Client {
        let profile = world.profile(name).unwrap();
        let field = |name: &str| profile.fields[name].clone();
        Client {
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            base: profile.endpoints["url"].clone(),
            bucket: field("bucket"),
            signer: Signer {
                id: field("access_key_id"),
                secret: profile.secrets["secret_access_key"].clone(),
                region: field("region"),
            },
            profile,
            world,
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

    /// The paths that there are; directories end with a slash.
    pub fn paths(&self) -> Vec<String> {
        let tree = self.world.tree(&self.profile.name).unwrap();
        let items = tree["items"].as_array().unwrap().iter();
        items
            .map(|item| {
                let path = item["path"].as_str().unwrap();
                match item["dir"].as_bool().unwrap() {
                    true => format!("{path}/"),
                    false => path.to_owned(),
                }
            })
            .collect()
    }

    /// A request for a path that is encoded already.
    pub fn at(&self, method: &str, path: &str) -> Ask<'_> {
        Ask {
            client: self,
            method: method.to_owned(),
            path: path.to_owned(),
            query: Vec::new(),
            headers: Vec::new(),
            unsigned: Vec::new(),
            body: Bytes::new(),
            payload: None,
            at: self.world.clock().now_ms(),
            signer: self.signer.clone(),
        }
    }

    /// A request for an object, or with an empty key for the bucket.
    pub fn ask(&self, method: &str, key: &str) -> Ask<'_> {
        let path = match key.is_empty() {
            true => format!("/{}", self.bucket),
            false => format!("/{}/{}", self.bucket, encode(key, true)),
        };
        self.at(method, &path)
    }

    pub async fn send(&self, ask: reqwest::RequestBuilder) -> Got {
        let answer = ask.send().await.unwrap();
        Got {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            body: answer.bytes().await.unwrap(),
        }
    }

    pub async fn put(&self, key: &str, body: &[u8]) -> Got {
        self.ask("PUT", key).body(body).go().await
    }

    pub async fn get(&self, key: &str) -> Got {
        self.ask("GET", key).go().await
    }

    pub async fn head(&self, key: &str) -> Got {
        self.ask("HEAD", key).go().await
    }

    /// Copies an object; `to` with more headers.
    pub fn copying(&self, from: &str, to: &str) -> Ask<'_> {
        let source = format!("/{}/{}", self.bucket, encode(from, true));
        self.ask("PUT", to).h("x-amz-copy-source", &source)
    }
}
