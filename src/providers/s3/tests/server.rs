//! An object store in memory. It recomputes every signature.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, Response};
use bytes::Bytes;
use percent_encoding::percent_decode_str;

use super::md5;
use super::signature::is_signed;
use crate::fingerprint::hex_lower;

pub const KEY: &str = "AKIDEXAMPLE";
pub const SECRET: &str = "secret/of+nobody";
pub const BUCKET: &str = "my-bucket";

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    /// What is asked for.
    Serve,
    /// Nothing, and this refusal.
    Refuse(u16, &'static str),
    /// What is asked for, but nobody hears of it.
    DropAnswer,
    /// Nothing, and a success that holds an error.
    Hidden(&'static str),
}

/// How the server is.
#[derive(Clone, Copy, Default)]
pub struct Manners {
    /// `If-None-Match` is not looked at, as by rclone.
    pub careless: bool,
    /// It is refused.
    pub strict: bool,
    /// A key with a slash at its end becomes a file, as with rclone.
    pub no_markers: bool,
    /// Listings have no ETags, as of s3s-fs, or without quotes, as of rclone.
    pub no_tags: bool,
    pub bare_tags: bool,
    /// A key service encrypts.
    pub sealed: bool,
    /// Many objects are not deleted at once.
    pub no_batches: bool,
    /// Entries of a page; 0 for what is asked for.
    pub page: usize,
    /// Ranges are not looked at.
    pub rangeless: bool,
}

#[derive(Clone)]
pub struct Object {
    pub bytes: Bytes,
    pub etag: String,
}

#[derive(Default)]
pub struct State {
    pub objects: BTreeMap<String, Object>,
    pub uploads: BTreeMap<String, (String, BTreeMap<u32, Bytes>)>,
    pub log: Vec<String>,
    pub headers: Vec<(String, HeaderMap)>,
    next: u32,
}

type Script = dyn Fn(&str) -> Act + Send + Sync;

pub struct Stand {
    pub base: String,
    pub state: Arc<Mutex<State>>,
}

impl Stand {
    pub async fn start(
        kind: Manners,
        script: impl Fn(&str) -> Act + Send + Sync + 'static,
    ) -> Stand {
        let state: Arc<Mutex<State>> = Arc::default();
        let (own, script): (_, Arc<Script>) = (state.clone(), Arc::new(script));
        let app = axum::Router::new().fallback(move |request: Request<Body>| {
            let (state, script) = (own.clone(), script.clone());
            async move { serve(kind, &state, &script, request).await }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Stand { base, state }
    }

    pub async fn plain() -> Stand {
        Stand::start(Manners::default(), |_| Act::Serve).await
    }

    pub async fn with(kind: Manners) -> Stand {
        Stand::start(kind, |_| Act::Serve).await
    }

    pub fn put(&self, key: &str, bytes: &[u8]) {
        let object = Object {
            bytes: Bytes::copy_from_slice(bytes),
            etag: md5(bytes),
        };
        let mut state = self.state.lock().unwrap();
        state.objects.insert(key.to_owned(), object);
    }

    pub fn get(&self, key: &str) -> Option<Bytes> {
        let state = self.state.lock().unwrap();
        state.objects.get(key).map(|object| object.bytes.clone())
    }

    pub fn keys(&self) -> Vec<String> {
        self.state.lock().unwrap().objects.keys().cloned().collect()
    }

    pub fn uploads(&self) -> usize {
        self.state.lock().unwrap().uploads.len()
    }

    /// Requests whose line begins so.
    pub fn count(&self, begin: &str) -> usize {
        let state = self.state.lock().unwrap();
        let log = state.log.iter();
        log.filter(|line| line.starts_with(begin)).count()
    }

    pub fn forget(&self) {
        self.state.lock().unwrap().log.clear();
    }

    pub fn header(&self, begin: &str, name: &str) -> Option<String> {
        let state = self.state.lock().unwrap();
        let mut found = state.headers.iter().rev();
        let (_, headers) = found.find(|(line, _)| line.starts_with(begin))?;
        Some(headers.get(name)?.to_str().unwrap().to_owned())
    }
}

/// `GET key?sorted=query`, the query without what a listing always has.
fn line(method: &str, key: &str, query: &[(String, String)]) -> String {
    let names: Vec<&str> = query.iter().map(|(name, _)| name.as_str()).collect();
    match names.is_empty() {
        true => format!("{method} {key}"),
        false => format!("{method} {key}?{}", names.join("&")),
    }
}

async fn serve(
    kind: Manners,
    state: &Mutex<State>,
    script: &Arc<Script>,
    request: Request<Body>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let method = parts.method.as_str().to_owned();
    let path = percent_decode_str(parts.uri.path()).decode_utf8().unwrap();
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
    let query = parts.uri.query().unwrap_or_default().split('&');
    let query = query.filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    });
    let mut query: Vec<(String, String)> = query.collect();
    query.sort();
    let prefix = format!("/{BUCKET}");
    let key = path.strip_prefix(&prefix).unwrap().trim_start_matches('/');
    let line = line(&method, key, &query);
    let body = to_bytes(body, 64 << 20).await.unwrap();
    {
        let mut state = state.lock().unwrap();
        state.log.push(line.clone());
        state.headers.push((line.clone(), parts.headers.clone()));
    }
    if !is_signed(&method, &path, &query, &parts.headers) {
        return refuse(403, "SignatureDoesNotMatch");
    }
    if let Some(given) = parts.headers.get("content-md5") {
        use base64::Engine as _;
        let given = base64::engine::general_purpose::STANDARD
            .decode(given)
            .unwrap();
        if hex_lower(&given) != md5(&body) {
            return refuse(400, "BadDigest");
        }
    }
    let act = script(&line);
    match act {
        Act::Refuse(status, code) => return refuse(status, code),
        Act::Hidden(code) => return xml(200, &error_text(code)),
        Act::Serve | Act::DropAnswer => {}
    }
    let pairs: BTreeMap<String, String> = query.into_iter().collect();
    let asked = Asked {
        kind,
        method: &method,
        key,
        query: &pairs,
        headers: &parts.headers,
    };
    let done = asked.work(&mut state.lock().unwrap(), body);
    if act == Act::DropAnswer {
        // Ends the connection without an answer.
        std::panic::resume_unwind(Box::new(()));
    }
    done
}

fn error_text(code: &str) -> String {
    format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>no</Message></Error>")
}

fn refuse(status: u16, code: &str) -> Response<Body> {
    match code {
        "" => Response::builder()
            .status(status)
            .body(Body::empty())
            .unwrap(),
        code => xml(status, &error_text(code)),
    }
}

fn xml(status: u16, text: &str) -> Response<Body> {
    let answer = Response::builder().status(status);
    let answer = answer.header("content-type", "application/xml");
    answer.body(Body::from(text.to_owned())).unwrap()
}

struct Asked<'a> {
    kind: Manners,
    method: &'a str,
    key: &'a str,
    query: &'a BTreeMap<String, String>,
    headers: &'a HeaderMap,
}

impl Asked<'_> {
    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    fn query(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    fn has(&self, name: &str) -> bool {
        self.query.contains_key(name)
    }

    /// Whether a condition stands in the way.
    fn refused(&self, state: &State) -> Option<Response<Body>> {
        if self.header("if-none-match").is_empty() || self.kind.careless {
            return None;
        }
        if self.kind.strict {
            return Some(refuse(501, "NotImplemented"));
        }
        let taken = state.objects.contains_key(self.key);
        taken.then(|| refuse(412, "PreconditionFailed"))
    }

    fn store(&self, state: &mut State, bytes: Bytes, etag: String) -> String {
        let etag = match self.kind.sealed {
            true => md5(etag.as_bytes()),
            false => etag,
        };
        let mut key = self.key.to_owned();
        if self.kind.no_markers {
            key = key.trim_end_matches('/').to_owned();
        }
        let object = Object {
            bytes,
            etag: etag.clone(),
        };
        state.objects.insert(key, object);
        etag
    }

    fn answer(&self, status: u16) -> axum::http::response::Builder {
        let answer = Response::builder().status(status);
        match self.kind.sealed {
            true => answer.header("x-amz-server-side-encryption", "aws:kms"),
            false => answer,
        }
    }

    fn work(&self, state: &mut State, body: Bytes) -> Response<Body> {
        match self.method {
            "GET" if self.has("list-type") => self.list(state),
            "GET" if self.has("uploadId") => self.parts(state),
            "HEAD" | "GET" => self.read(state),
            "POST" if self.has("delete") => self.delete_all(state, &body),
            "POST" if self.has("uploads") => {
                state.next += 1;
                let id = format!("up+load/{}", state.next);
                let upload = (self.key.to_owned(), BTreeMap::new());
                state.uploads.insert(id.clone(), upload);
                xml(
                    200,
                    &format!(
                        "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
                    ),
                )
            }
            "POST" if self.has("uploadId") => self.join(state, &body),
            "PUT" if self.has("uploadId") => self.part(state, body),
            "PUT" if !self.header("x-amz-copy-source").is_empty() => self.copy(state),
            "PUT" => {
                if let Some(refused) = self.refused(state) {
                    return refused;
                }
                let etag = md5(&body);
                let etag = self.store(state, body, etag);
                let answer = self.answer(200).header("etag", format!("\"{etag}\""));
                answer.body(Body::empty()).unwrap()
            }
            "DELETE" if self.has("uploadId") => {
                match state.uploads.remove(self.query("uploadId")) {
                    Some(_) => refuse(204, ""),
                    None => refuse(404, "NoSuchUpload"),
                }
            }
            "DELETE" => {
                state.objects.remove(self.key);
                refuse(204, "")
            }
            _ => refuse(405, "MethodNotAllowed"),
        }
    }

    fn read(&self, state: &State) -> Response<Body> {
        let Some(object) = state.objects.get(self.key) else {
            let code = if self.method == "HEAD" {
                ""
            } else {
                "NoSuchKey"
            };
            return refuse(404, code);
        };
        let (bytes, size) = (&object.bytes, object.bytes.len());
        let answer = self
            .answer(200)
            .header("etag", format!("\"{}\"", object.etag))
            .header("last-modified", "Tue, 14 Nov 2023 22:13:20 GMT");
        let range = self.header("range").strip_prefix("bytes=");
        let Some(range) = range.filter(|_| !self.kind.rangeless) else {
            let body = match self.method {
                "HEAD" => Body::empty(),
                _ => Body::from(bytes.clone()),
            };
            return answer.header("content-length", size).body(body).unwrap();
        };
        let (from, to) = range.split_once('-').unwrap();
        let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
        if from >= size {
            return refuse(416, "InvalidRange");
        }
        let to = to.min(size - 1);
        let answer = answer
            .status(206)
            .header("content-range", format!("bytes {from}-{to}/{size}"));
        answer.body(Body::from(bytes.slice(from..=to))).unwrap()
    }

    fn list(&self, state: &State) -> Response<Body> {
        let (prefix, after) = (self.query("prefix"), self.query("start-after"));
        let mut most: usize = self.query("max-keys").parse().unwrap_or(1000);
        if self.kind.page > 0 {
            most = most.min(self.kind.page);
        }
        let mut entries: BTreeMap<String, Option<&Object>> = BTreeMap::new();
        for (key, object) in &state.objects {
            let Some(rest) = key.strip_prefix(prefix) else {
                continue;
            };
            if key.as_str() <= after {
                continue;
            }
            match rest
                .find('/')
                .filter(|_| !self.query("delimiter").is_empty())
            {
                Some(at) => entries.insert(format!("{prefix}{}", &rest[..=at]), None),
                None => entries.insert(key.clone(), Some(object)),
            };
        }
        let cut = entries.len() > most;
        let mut text = format!(
            "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"x\"><IsTruncated>{cut}</IsTruncated>\
             <NextContinuationToken>{}</NextContinuationToken>",
            if cut { "t" } else { "" }
        );
        for (key, object) in entries.into_iter().take(most) {
            let key = quick_xml::escape::escape(&key).into_owned();
            text.push_str(&match object {
                None => format!("<CommonPrefixes><Prefix>{key}</Prefix></CommonPrefixes>"),
                Some(object) => {
                    let tag = match self.kind {
                        Manners { no_tags: true, .. } => String::new(),
                        Manners { bare_tags: true, .. } => format!("<ETag>{}</ETag>", object.etag),
                        _ => format!("<ETag>&quot;{}&quot;</ETag>", object.etag),
                    };
                    format!(
                        "<Contents><Key>{key}</Key><LastModified>2023-11-14T22:13:20.123Z</LastModified>\
                         {tag}<Size>{}</Size></Contents>",
                        object.bytes.len()
                    )
                }
            });
        }
        xml(200, &(text + "</ListBucketResult>"))
    }

    fn copy(&self, state: &mut State) -> Response<Body> {
        let source = percent_decode_str(self.header("x-amz-copy-source"));
        let source = source.decode_utf8().unwrap().into_owned();
        let source = source.trim_start_matches('/');
        let source = source.strip_prefix(&format!("{BUCKET}/")).unwrap();
        let Some(object) = state.objects.get(source).cloned() else {
            return refuse(404, "NoSuchKey");
        };
        let pinned = self.header("x-amz-copy-source-if-match");
        if !pinned.is_empty() && pinned.trim_matches('"') != object.etag {
            return refuse(412, "PreconditionFailed");
        }
        // As S3: what was stored in parts is one piece in its copy.
        let etag = md5(&object.bytes);
        let etag = self.store(state, object.bytes, etag);
        xml(
            200,
            &format!(
                "<CopyObjectResult><LastModified>2023-11-14T22:13:20.000Z</LastModified><ETag>\"{etag}\"</ETag></CopyObjectResult>"
            ),
        )
    }

    fn delete_all(&self, state: &mut State, body: &Bytes) -> Response<Body> {
        if self.kind.no_batches {
            return refuse(501, "NotImplemented");
        }
        let text = std::str::from_utf8(body).unwrap();
        for piece in text.split("<Key>").skip(1) {
            let key = piece.split("</Key>").next().unwrap();
            let key = quick_xml::escape::unescape(key).unwrap();
            state.objects.remove(&*key);
        }
        xml(200, "<DeleteResult></DeleteResult>")
    }

    fn part(&self, state: &mut State, body: Bytes) -> Response<Body> {
        let number: u32 = self.query("partNumber").parse().unwrap();
        let Some((key, parts)) = state.uploads.get_mut(self.query("uploadId")) else {
            return refuse(404, "NoSuchUpload");
        };
        assert_eq!(key, self.key);
        let etag = md5(&body);
        parts.insert(number, body);
        let answer = self.answer(200).header("etag", format!("\"{etag}\""));
        answer.body(Body::empty()).unwrap()
    }

    fn parts(&self, state: &State) -> Response<Body> {
        let Some((_, parts)) = state.uploads.get(self.query("uploadId")) else {
            return refuse(404, "NoSuchUpload");
        };
        let after: u32 = self.query("part-number-marker").parse().unwrap();
        let most = if self.kind.page > 0 {
            self.kind.page
        } else {
            1000
        };
        let left: Vec<_> = parts
            .iter()
            .filter(|(number, _)| **number > after)
            .collect();
        let mut text = format!(
            "<ListPartsResult><IsTruncated>{}</IsTruncated>",
            left.len() > most
        );
        for (number, bytes) in left.into_iter().take(most) {
            text.push_str(&format!(
                "<Part><PartNumber>{number}</PartNumber><ETag>\"{}\"</ETag><Size>{}</Size></Part>",
                md5(bytes),
                bytes.len()
            ));
        }
        xml(200, &(text + "</ListPartsResult>"))
    }

    fn join(&self, state: &mut State, body: &Bytes) -> Response<Body> {
        if !state.uploads.contains_key(self.query("uploadId")) {
            return refuse(404, "NoSuchUpload");
        }
        if let Some(refused) = self.refused(state) {
            return refused;
        }
        let Some((key, parts)) = state.uploads.remove(self.query("uploadId")) else {
            return refuse(404, "NoSuchUpload");
        };
        let text = std::str::from_utf8(body).unwrap();
        let (mut whole, mut tags) = (Vec::new(), Vec::new());
        for (number, bytes) in &parts {
            let named = format!(
                "<PartNumber>{number}</PartNumber><ETag>\"{}\"</ETag>",
                md5(bytes)
            );
            assert!(text.contains(&named), "{text}");
            let last = *number as usize == parts.len();
            assert!(last || bytes.len() >= 5 << 20, "a small part");
            whole.extend_from_slice(bytes);
            tags.push(md5(bytes));
        }
        assert_eq!(text.matches("<Part>").count(), parts.len());
        assert_eq!(key, self.key);
        let inner: Vec<u8> = tags
            .concat()
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect();
        let etag = format!("{}-{}", md5(&inner), parts.len());
        let etag = self.store(state, whole.into(), etag);
        xml(
            200,
            &format!(
                "<CompleteMultipartUploadResult><ETag>\"{etag}\"</ETag></CompleteMultipartUploadResult>"
            ),
        )
    }
}
