//! The one place that sends: credentials, redirects, retries, and errors from statuses.

use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, Url};

use super::address::{Base, is_loopback};
use super::auth::{Auth, Grant};
use super::chunks::Chunks;
use super::error::{self, Wanted};
use super::pipe::Pipes;
use super::spelling::Spelling;
use crate::drive::{DriveContext, DriveError, ErrorKind, Result, open_client, patience};
use crate::net::{Client, Deadlines, Request, Response, retry};

/// Redirects that are followed for one request.
const MOST_HOPS: usize = 5;

/// One request, as often as it takes.
#[derive(Clone)]
pub struct Call {
    pub op: &'static str,
    pub wanted: Wanted,
    pub method: &'static str,
    pub url: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub class: &'static str,
    pub deadlines: Deadlines,
    /// Whether the answer may come compressed.
    pub gzip: bool,
}

impl Call {
    pub fn new(op: &'static str, wanted: Wanted, method: &'static str, url: String) -> Call {
        Call {
            op,
            wanted,
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            class: "other",
            deadlines: Deadlines::CALL,
            gzip: true,
        }
    }

    /// Sets a header; a value that cannot stand in one is left out, and the server refuses.
    pub fn header(mut self, name: &'static str, value: &str) -> Call {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }

    pub fn class(mut self, class: &'static str) -> Call {
        self.class = class;
        self
    }

    pub fn deadlines(mut self, deadlines: Deadlines) -> Call {
        self.deadlines = deadlines;
        self
    }

    pub fn body(mut self, body: Bytes) -> Call {
        self.body = body;
        self
    }

    /// As the server stores it: bytes of files, not an answer.
    pub fn plain(mut self) -> Call {
        self.gzip = false;
        self
    }
}

/// The account's calls.
pub struct Api {
    pub client: Client,
    pub base: Base,
    pub auth: Auth,
    /// Whether the server's ETags of a GET are other ones than those of a PROPFIND.
    pub odd_etags: AtomicBool,
    pub chunks: Chunks,
    pub pipes: Pipes,
    pub spelling: Spelling,
}

impl Api {
    pub fn new(context: &DriveContext) -> Result<Api> {
        let base = Base::new(context.endpoint("url")?)?;
        let auth = Auth::new(context);
        let mut headers = HeaderMap::new();
        headers.insert(
            reqwest::header::USER_AGENT,
            HeaderValue::from_static(concat!("panfuse/", env!("CARGO_PKG_VERSION"))),
        );
        Ok(Api {
            client: open_client(context, headers)?,
            chunks: Chunks::new(&base, auth.user(), context.field("chunks")),
            pipes: Pipes::default(),
            spelling: Spelling::default(),
            odd_etags: AtomicBool::new(false),
            base,
            auth,
        })
    }

    /// A call that may be repeated: reading, or writing the same state again.
    pub async fn call(&self, call: &Call, good: &[u16]) -> Result<Response> {
        retry(patience(), || self.once(call, good)).await
    }

    /// A call that is sent once, but for what credentials and redirects want.
    pub async fn once(&self, call: &Call, good: &[u16]) -> Result<Response> {
        let response = self.exchange(call).await?;
        let status = response.status.as_u16();
        if !good.contains(&status) {
            return Err(error::of(call.op, call.wanted, response).await);
        }
        if status == 200 && call.wanted != Wanted::Bytes && is_page(&response) {
            // A portal or a firewall in between.
            return Err(DriveError::bad_answer(
                call.op,
                "a web page where WebDAV should answer; is the address right?",
            ));
        }
        Ok(response)
    }

    /// The first answer that is neither a challenge we can answer nor a redirect we may follow.
    pub async fn exchange(&self, call: &Call) -> Result<Response> {
        let mut url = parse(call, &call.url)?;
        let mut headers = call.headers.clone();
        let (mut challenged, mut hops) = (false, 0);
        loop {
            let ours = self.base.is_same_origin(&url);
            let grant = match ours {
                true => self.auth.grant(call.method, &url).await?,
                false => Grant::default(),
            };
            let mut request = Request::new(call.op, method(call)?, url.as_str());
            request.headers = headers.clone();
            request.class = call.class;
            request.deadlines = call.deadlines;
            request.accept_gzip = call.gzip;
            if !call.body.is_empty() || call.method == "PUT" {
                request = request.bytes(call.body.clone());
            }
            if let Some(value) = &grant.value {
                let mut value = HeaderValue::from_str(value.expose()).map_err(|_| {
                    DriveError::new(ErrorKind::Auth, "the secret cannot stand in a header")
                })?;
                value.set_sensitive(true);
                request.headers.insert(AUTHORIZATION, value);
            }
            let response = self.client.send(request).await?;
            if ours {
                self.spelling.learn(&response.headers);
            }
            match response.status.as_u16() {
                401 if ours && !challenged && self.auth.learn(&response.headers, &grant) => {
                    challenged = true;
                }
                301 | 302 | 307 | 308 => {
                    hops += 1;
                    url = self.hop(call, &url, &response, hops)?;
                    if call.wanted == Wanted::Name {
                        // Both ends of a directory have a slash, or none has (4.3, items 7 and 13).
                        add_slash(&mut headers);
                    }
                }
                _ => return Ok(response),
            }
        }
    }

    /// Where a redirect leads. Reading follows it; what changes something goes only where the server
    /// wants the slash of a directory.
    fn hop(&self, call: &Call, from: &Url, response: &Response, hops: usize) -> Result<Url> {
        let refused = |why: &str| Err(DriveError::bad_answer(call.op, why));
        let to = response
            .headers
            .get(LOCATION)
            .and_then(|value| std::str::from_utf8(value.as_bytes()).ok())
            .and_then(|text| from.join(text).ok());
        let Some(to) = to else {
            return refused("redirected to nowhere");
        };
        if hops > MOST_HOPS {
            return refused("redirected too often");
        }
        if is_loopback(&to) && !is_loopback(from) {
            // A server must not make us talk to this machine's own services.
            return refused("redirected to this machine");
        }
        let same = self.base.is_same_origin(&to);
        let only_slash = same && to.path() == format!("{}/", from.path());
        match call.wanted {
            Wanted::Bytes => Ok(to),
            Wanted::Properties if same => Ok(to),
            _ if only_slash => Ok(to),
            _ => Err(DriveError::new(
                ErrorKind::Invalid,
                format!(
                    "{}: the server answers at {}; set the endpoint `url` to its new address",
                    call.op,
                    to.host_str().unwrap_or("another place")
                ),
            )),
        }
    }
}

/// `Destination` with a slash at its end.
fn add_slash(headers: &mut HeaderMap) {
    let slashed = headers
        .get("destination")
        .and_then(|value| value.to_str().ok())
        .filter(|value| !value.ends_with('/'))
        .and_then(|value| HeaderValue::from_str(&format!("{value}/")).ok());
    if let Some(slashed) = slashed {
        headers.insert("destination", slashed);
    }
}

fn is_page(response: &Response) -> bool {
    response
        .header("content-type")
        .is_some_and(|kind| kind.trim().to_ascii_lowercase().starts_with("text/html"))
}

fn parse(call: &Call, url: &str) -> Result<Url> {
    Url::parse(url).map_err(|_| DriveError::bad_answer(call.op, "an address that is none"))
}

fn method(call: &Call) -> Result<Method> {
    Method::from_bytes(call.method.as_bytes()).map_err(|_| DriveError::unsupported(call.method))
}
