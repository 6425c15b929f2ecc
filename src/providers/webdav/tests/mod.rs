//! The driver against a small server on loopback that misbehaves as it is told.

mod calls;
mod uploads;

use std::collections::BTreeMap;
use std::sync::Mutex;

use axum::body::Body;
use axum::http::{HeaderMap, Request, Response};
use futures_util::StreamExt;

use super::*;
use crate::drive::{Content, Cost, DriveError, ErrorKind, OnConflict, ReadBudget, collect};
use crate::fingerprint::{Fingerprints, hash_all};
use crate::net::{
    Budget, CredentialStore, Credentials, MemoryBreakerStore, Secret, StoreError, SystemClock,
};

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    /// What is asked for.
    Serve,
    /// Nothing, and this status.
    Status(u16),
    /// What is asked for, but nobody hears of it.
    DropAnswer,
    /// The connection breaks after so many bytes of the body, and they are kept.
    Cut(usize),
}

#[derive(Default)]
struct Files {
    /// By decoded path without a slash at its end; `None` is a directory.
    all: BTreeMap<String, Option<Bytes>>,
    log: Vec<String>,
    headers: Vec<(String, HeaderMap)>,
}

/// How the server is.
#[derive(Clone, Copy, Default)]
struct Manners {
    /// Ignores `Overwrite: F`, as dufs does.
    careless: bool,
    /// Wants the slash of directories, as Apache does.
    slashes: bool,
    /// Wants Digest.
    digest: bool,
    /// Ignores `Range`.
    rangeless: bool,
    /// Says with PUT what it stored.
    tags: bool,
    /// Decodes a `Destination` before it takes it apart, as wsgidav does.
    loses: bool,
}

type Script = dyn Fn(&str) -> Act + Send + Sync;

struct Stand {
    base: String,
    files: Arc<Mutex<Files>>,
}

const NONCE: &str = "n-1";

impl Stand {
    async fn start(kind: Manners, script: impl Fn(&str) -> Act + Send + Sync + 'static) -> Stand {
        let files: Arc<Mutex<Files>> = Arc::default();
        for dir in ["", "/dav", "/dav/d"] {
            files.lock().unwrap().all.insert(dir.to_owned(), None);
        }
        let script: Arc<Script> = Arc::new(script);
        let state = files.clone();
        let app = axum::Router::new().fallback(move |request: Request<Body>| {
            let (state, script) = (state.clone(), script.clone());
            async move { serve(kind, &state, &script, request).await }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Stand { base, files }
    }

    async fn plain() -> Stand {
        Stand::start(Manners::default(), |_| Act::Serve).await
    }

    fn put(&self, path: &str, bytes: &[u8]) {
        let bytes = Bytes::copy_from_slice(bytes);
        let mut files = self.files.lock().unwrap();
        files.all.insert(path.to_owned(), Some(bytes));
    }

    fn make_dir(&self, path: &str) {
        self.files.lock().unwrap().all.insert(path.to_owned(), None);
    }

    fn get(&self, path: &str) -> Option<Bytes> {
        self.files.lock().unwrap().all.get(path).cloned().flatten()
    }

    /// What is there besides the directories that were there at the start.
    fn paths(&self) -> Vec<String> {
        let files = self.files.lock().unwrap();
        let all = files.all.keys().filter(|path| path.len() > 6);
        all.cloned().collect()
    }

    fn count(&self, method: &str) -> usize {
        let files = self.files.lock().unwrap();
        let log = files.log.iter();
        log.filter(|line| line.starts_with(&format!("{method} ")))
            .count()
    }

    fn header(&self, method: &str, name: &str) -> Option<String> {
        let files = self.files.lock().unwrap();
        let found = files.headers.iter().rev();
        found
            .filter(|(line, _)| line.starts_with(&format!("{method} ")))
            .find_map(|(_, headers)| Some(headers.get(name)?.to_str().unwrap().to_owned()))
    }

    fn drive(&self) -> Arc<dyn Drive> {
        self.drive_as("basic", "/dav", &[])
    }

    fn drive_as(&self, mode: &str, path: &str, fields: &[(&str, &str)]) -> Arc<dyn Drive> {
        let own = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            let pairs = pairs.iter().copied();
            pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
        };
        let mut all = own(&[("username", "me")]);
        all.extend(own(fields));
        let secrets = [("password", "pw"), ("token", "tk")];
        let secrets = secrets.map(|(k, v)| (k.to_owned(), Secret::new(v)));
        open(DriveContext {
            profile: "p".to_owned(),
            auth_mode: mode.to_owned(),
            fields: all,
            endpoints: own(&[("url", &format!("{}{path}", self.base))]),
            overridden: vec!["url".to_owned()],
            root: None,
            credentials: Arc::new(Store(Credentials::from_iter(secrets))),
            clock: Arc::new(SystemClock),
            budget: Budget::new(LIMITS),
            breakers: Arc::new(MemoryBreakerStore::default()),
            account: "a".to_owned(),
            state_dir: std::env::temp_dir(),
            instance: "i".to_owned(),
        })
        .unwrap()
    }
}

struct Store(Credentials);

#[async_trait]
impl CredentialStore for Store {
    async fn load(&self) -> Result<Credentials, StoreError> {
        Ok(self.0.clone())
    }

    async fn save(&self, _changed: Credentials) -> Result<(), StoreError> {
        Ok(())
    }

    async fn lock(&self) -> Result<Box<dyn Send + Sync>, StoreError> {
        Ok(Box::new(()))
    }
}

fn decoded(path: &str) -> String {
    let path = percent_encoding::percent_decode_str(path).decode_utf8();
    path.unwrap().trim_end_matches('/').to_owned()
}

fn answer(status: u16) -> Response<Body> {
    let answer = Response::builder().status(status);
    answer.body(Body::empty()).unwrap()
}

/// Ends the connection without an answer.
fn hang_up() -> ! {
    std::panic::resume_unwind(Box::new(()))
}

async fn serve(
    kind: Manners,
    files: &Mutex<Files>,
    script: &Arc<Script>,
    request: Request<Body>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let (method, raw) = (
        parts.method.as_str().to_owned(),
        parts.uri.path().to_owned(),
    );
    let (path, headers) = (decoded(&raw), parts.headers);
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("")
    };
    let line = format!("{method} {path}");
    {
        let mut files = files.lock().unwrap();
        files.log.push(line.clone());
        files.headers.push((line.clone(), headers.clone()));
    }
    let given = header("authorization").to_owned();
    let known = match kind.digest {
        true => given.contains(&format!("nonce=\"{NONCE}\"")) && digest_fits(&given, &method),
        false => ["Basic bWU6cHc=", "Bearer tk"].contains(&given.as_str()),
    };
    if !known {
        let challenge = match kind.digest {
            true => format!("Digest realm=\"r\", qop=\"auth\", algorithm=MD5, nonce=\"{NONCE}\""),
            false => "Basic realm=\"r\"".to_owned(),
        };
        let refused = Response::builder().status(401);
        let refused = refused.header("www-authenticate", challenge);
        return refused.body(Body::empty()).unwrap();
    }
    let act = script(&line);
    let mut stored = Vec::new();
    let mut stream = body.into_data_stream();
    if let Act::Status(status) = act {
        return answer(status);
    }
    while let Some(piece) = stream.next().await {
        let Ok(piece) = piece else {
            // The client cut it: the fragment stays, as on many servers.
            let fragment = Bytes::from(stored);
            files.lock().unwrap().all.insert(path, Some(fragment));
            hang_up();
        };
        stored.extend_from_slice(&piece);
        if let Act::Cut(at) = act
            && stored.len() >= at
        {
            files.lock().unwrap().all.insert(path, Some(stored.into()));
            hang_up();
        }
    }
    let mut done = work(kind, files, &method, &raw, &path, &headers, stored.into());
    if kind.loses {
        let name = axum::http::HeaderValue::from_static("WsgiDAV/4.4.0 Cheroot/11.1.2");
        done.headers_mut().insert("server", name);
    }
    if act == Act::DropAnswer {
        hang_up();
    }
    done
}

fn work(
    kind: Manners,
    files: &Mutex<Files>,
    method: &str,
    raw: &str,
    path: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("")
    };
    let mut files = files.lock().unwrap();
    let all = &mut files.all;
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    let there = all.get(path).cloned();
    if kind.slashes && there == Some(None) && !raw.ends_with('/') {
        let moved = Response::builder().status(301);
        let moved = moved.header("location", format!("{raw}/"));
        return moved.body(Body::empty()).unwrap();
    }
    let below = |path: &str, all: &BTreeMap<String, Option<Bytes>>| -> Vec<String> {
        let inside = format!("{path}/");
        let keys = all.keys();
        keys.filter(|key| *key == path || key.starts_with(&inside))
            .cloned()
            .collect()
    };
    match (method, there) {
        ("PROPFIND", None) | ("GET", None) | ("DELETE", None) => answer(404),
        ("PROPFIND", Some(_)) => {
            assert_ne!(header("depth"), "infinity");
            let mut text = String::from("<D:multistatus xmlns:D=\"DAV:\">");
            for key in below(path, all) {
                let rest = key.strip_prefix(path).unwrap();
                let deep = rest.matches('/').count();
                if deep == 0 || (deep == 1 && header("depth") == "1") {
                    text.push_str(&described(&key, all.get(&key).unwrap().as_ref()));
                }
            }
            text.push_str("</D:multistatus>");
            let found = Response::builder().status(207);
            found.body(Body::from(text)).unwrap()
        }
        ("GET", Some(None)) => answer(405),
        ("GET", Some(Some(bytes))) => {
            let range = header("range").strip_prefix("bytes=").unwrap_or("0-");
            let (from, to) = range.split_once('-').unwrap();
            let from: usize = from.parse().unwrap();
            let to: usize = to.parse().map_or(bytes.len(), |to: usize| to + 1);
            let found = Response::builder().header("etag", etag(&bytes));
            if kind.rangeless {
                return found.status(200).body(Body::from(bytes)).unwrap();
            }
            let told = format!("bytes {from}-{}/{}", to - 1, bytes.len());
            let found = found.status(206).header("content-range", told);
            found.body(Body::from(bytes.slice(from..to))).unwrap()
        }
        ("PUT", _) if all.get(parent) != Some(&None) => answer(409),
        ("PUT", there) => {
            let mut done = answer(if there.is_some() { 204 } else { 201 });
            if kind.tags {
                let tag = format!("W/{}", etag(&body));
                done.headers_mut().insert("etag", tag.parse().unwrap());
            }
            all.insert(path.to_owned(), Some(body));
            done
        }
        ("MKCOL", Some(_)) => answer(405),
        ("MKCOL", None) if all.get(parent) != Some(&None) => answer(409),
        ("MKCOL", None) => {
            all.insert(path.to_owned(), None);
            answer(201)
        }
        ("DELETE", Some(_)) => {
            for key in below(path, all) {
                all.remove(&key);
            }
            answer(204)
        }
        ("MOVE" | "COPY", there) => {
            let to = header("destination").to_owned();
            let mut to = decoded(reqwest::Url::parse(&to).unwrap().path());
            if kind.loses {
                let last = to.rfind('/').unwrap_or(0);
                let end = to.get(last..).and_then(|name| name.find(';'));
                to.truncate(end.map_or(to.len(), |at| last + at));
                to.truncate(to.find('?').unwrap_or(to.len()));
            }
            if header("overwrite") == "F" && all.contains_key(&to) && !kind.careless {
                return answer(412);
            }
            if let Some(upload) = path.strip_suffix("/.file") {
                // The chunks in the order of their names.
                let mut whole = Vec::new();
                for key in below(upload, all) {
                    whole.extend_from_slice(&all.remove(&key).flatten().unwrap_or_default());
                }
                assert_eq!(header("oc-total-length"), whole.len().to_string());
                all.insert(to, Some(whole.into()));
                return answer(201);
            }
            if there.is_none() {
                return answer(404);
            }
            for key in below(path, all) {
                let value = match method {
                    "MOVE" => all.remove(&key).unwrap(),
                    _ => all.get(&key).unwrap().clone(),
                };
                let rest = key.strip_prefix(path).unwrap();
                all.insert(format!("{to}{rest}"), value);
            }
            answer(201)
        }
        _ => answer(501),
    }
}

fn etag(bytes: &Bytes) -> String {
    let hashes = hash_all(&[Kind::Md5], bytes);
    format!("\"{}\"", hashes[0].1)
}

fn described(path: &str, bytes: Option<&Bytes>) -> String {
    let encoded: Vec<String> = path
        .split('/')
        .map(|name| address::encode(name.as_bytes()))
        .collect();
    let href = encoded.join("/");
    let props = match bytes {
        None => "<D:resourcetype><D:collection/></D:resourcetype>\
                 <D:quota-available-bytes>90</D:quota-available-bytes>\
                 <D:quota-used-bytes>10</D:quota-used-bytes>"
            .to_owned(),
        Some(bytes) => format!(
            "<D:resourcetype/><D:getcontentlength>{}</D:getcontentlength><D:getetag>{}</D:getetag>\
             <D:getlastmodified>Tue, 14 Nov 2023 22:13:20 GMT</D:getlastmodified>",
            bytes.len(),
            etag(bytes)
        ),
    };
    let slash = if bytes.is_none() { "/" } else { "" };
    format!(
        "<D:response><D:href>{href}{slash}</D:href><D:propstat><D:prop>{props}</D:prop>\
         <D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"
    )
}

/// Recomputes a Digest answer for the user `me` with the password `pw`.
fn digest_fits(given: &str, method: &str) -> bool {
    use md5::{Digest as _, Md5};
    let hash = |text: String| crate::fingerprint::hex_lower(&Md5::digest(text.as_bytes()));
    let param = |name: &str| {
        let rest = given.split_once(&format!("{name}="))?.1;
        let value = rest.split(',').next()?;
        Some(value.trim().trim_matches('"').to_owned())
    };
    let get = |name: &str| param(name).unwrap_or_default();
    let first = hash("me:r:pw".to_owned());
    let second = hash(format!("{method}:{}", get(" uri")));
    let wanted = hash(format!(
        "{first}:{NONCE}:{}:{}:auth:{second}",
        get(" nc"),
        get("cnonce")
    ));
    get("response") == wanted
}

/// A content of which nothing is known, or its SHA-1.
struct Source(Bytes, bool);

#[async_trait]
impl Content for Source {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn known(&self) -> Fingerprints {
        let mut known = Fingerprints::new();
        if self.1 {
            let value = hash_all(&[Kind::Sha1], &self.0).remove(0).1;
            known.learn(
                Kind::Sha1,
                crate::fingerprint::Known {
                    value: value.into(),
                    origin: Origin::Computed,
                    provider: "".into(),
                    at: 0,
                },
            );
        }
        known
    }

    async fn stream(&self, _range: Range<u64>) -> Result<ByteStream> {
        Err(DriveError::unsupported("reading"))
    }

    fn cost(&self, _kind: Kind) -> Cost {
        Cost::FullRead(self.size())
    }

    async fn learn(&self, _kind: Kind) -> Result<Option<String>> {
        Ok(None)
    }
}

fn bytes(size: usize) -> Bytes {
    let mut state = size as u32 | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..size).map(next).collect::<Vec<u8>>().into()
}
