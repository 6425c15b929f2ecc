//! Sends requests of one account.
//!
//! Three connection pools stand behind it. Calls (small bodies, answers that may be compressed) use
//! HTTP/2 where offered. File content, up and down, uses HTTP/1.1 without compression: parallel
//! ranges then have a connection each (servers cap speed per connection, and one HTTP/2 window
//! shared by stalled readers would hold up the calls), and an object stored with
//! `Content-Encoding: gzip` arrives as it is stored. A body that can be sent only once has a
//! connection that nobody used before: a kept one may turn out dead.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderMap, HeaderValue,
};
use reqwest::{Method, StatusCode};
use tokio::time::Instant;

use super::payload::Payload;
use super::progress::{Progress, Waits};
use super::{
    Breaker, Budget, Clock, Deadlines, Meter, NetError, NetErrorKind, Redirects, Request, Response,
    current_priority, redact_text, redact_url, route,
};

/// Until the TCP and TLS handshakes are done.
const CONNECT: Duration = Duration::from_secs(10);

/// What a client is made of.
#[derive(Clone)]
pub struct ClientOptions {
    /// Sent with every request unless the request sets the same header.
    pub default_headers: HeaderMap,
    /// The account's budget.
    pub budget: Arc<Budget>,
    /// The account's breaker.
    pub breaker: Arc<Breaker>,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
}

/// The HTTP client of one account. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    options: ClientOptions,
    /// Built when first needed: each costs some milliseconds and a copy of the root
    /// certificates, and an account that is never asked pays neither.
    calls: OnceLock<reqwest::Client>,
    content: OnceLock<reqwest::Client>,
    once: OnceLock<reqwest::Client>,
    meter: Arc<Meter>,
}

/// One of the connection pools.
#[derive(Clone, Copy)]
enum Wire {
    Calls,
    Content,
    /// Connections that are used once.
    Once,
}

impl Client {
    /// Builds a client.
    ///
    /// # Errors
    /// When the TLS set-up of this machine is broken (tried once per process, by the first client).
    pub fn new(mut options: ClientOptions) -> Result<Client, NetError> {
        for name in [AUTHORIZATION, COOKIE] {
            if let Some(value) = options.default_headers.get_mut(name) {
                value.set_sensitive(true);
            }
        }
        let client = Client {
            inner: Arc::new(Inner {
                options,
                calls: OnceLock::new(),
                content: OnceLock::new(),
                once: OnceLock::new(),
                meter: Arc::default(),
            }),
        };
        static TLS_WORKS: OnceLock<()> = OnceLock::new();
        if TLS_WORKS.get().is_none() {
            client.wire("connect", Wire::Calls)?;
            TLS_WORKS.get_or_init(|| ());
        }
        Ok(client)
    }

    /// The account's breaker.
    pub fn breaker(&self) -> &Arc<Breaker> {
        &self.inner.options.breaker
    }

    /// The account's budget.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.inner.options.budget
    }

    /// Wall time.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.options.clock
    }

    /// What this client has sent and received so far.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.inner.meter
    }

    /// Sends one request once (no retry) and returns any HTTP answer, whatever its status.
    ///
    /// `http://` goes to loopback addresses only; other `http://` addresses are asked by https.
    /// The deadlines start when the budget has let the request through. Dropping the future ends
    /// the request.
    ///
    /// # Errors
    /// Only transport errors, deadlines, and `BreakerOpen`. A `Connect`, `Timeout` or `Body` error
    /// does not tell whether the server has carried the request out.
    pub async fn send(&self, request: Request) -> Result<Response, NetError> {
        let options = &self.inner.options;
        let op = request.op;
        options.breaker.check(op)?;
        let mut url = route::target(op, &request.url)?;
        let permit = options
            .budget
            .acquire(request.class, current_priority())
            .await;
        // It may have opened while we stood in the queue.
        options.breaker.check(op)?;

        let start = Instant::now();
        let deadlines = request.deadlines;
        let total_at = deadlines.total.map(|total| start + total);
        let mut payload = Payload::new(request.body);
        let mut headers = self.headers(request.headers);
        let mut method = request.method;
        let mut hops = 0;
        loop {
            let wire = match () {
                () if payload.is_once() => Wire::Once,
                () if payload.is_large() || !request.accept_gzip => Wire::Content,
                () => Wire::Calls,
            };
            let wire = self.wire(op, wire)?;
            let (outgoing, progress) =
                prepare(op, &method, &url, &headers, &payload, request.accept_gzip)?;
            let mut exchange = Exchange::begin(&self.inner.meter, op, &method, url.as_str());
            exchange.progress = Some(progress.clone());
            let watch = payload.is_large().then_some(&*progress);
            let answer = head(wire.execute(outgoing), watch, &deadlines, start, total_at).await;
            let answer = match answer {
                Ok(answer) => answer,
                Err(failure) => {
                    exchange.failed();
                    let host = url.host_str().unwrap_or_default();
                    return Err(failure.into_error(op, host, &progress));
                }
            };
            let status = answer.status();
            exchange.answered(status);
            let hop = match request.redirects {
                Redirects::Never => Ok(None),
                Redirects::Follow => {
                    route::redirect(op, &url, &method, status, answer.headers(), hops)
                }
            };
            if let Some(hop) = hop.inspect_err(|_| exchange.failed())? {
                hops += 1;
                if payload.is_once() && !hop.drop_body {
                    exchange.failed();
                    let message = format!(
                        "redirected to {} with a body that cannot be sent twice",
                        redact_url(hop.url.as_str())
                    );
                    return Err(NetError::never(NetErrorKind::Refused, op, message));
                }
                hop.strip(&mut headers);
                if hop.drop_body {
                    payload = Payload::default();
                }
                url = hop.url;
                method = hop.method;
                continue;
            }
            let now_ms = options.clock.now_ms();
            let response =
                Response::new(exchange, now_ms, answer, permit, deadlines.idle, total_at);
            if matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
            ) && let Some(pause) = response.retry_after()
            {
                options.budget.hold(request.class, pause);
            }
            return Ok(response);
        }
    }

    /// The request's headers and those defaults that it does not set itself.
    fn headers(&self, mut headers: HeaderMap) -> HeaderMap {
        let defaults = &self.inner.options.default_headers;
        for name in defaults.keys() {
            if !headers.contains_key(name) {
                for value in defaults.get_all(name) {
                    headers.append(name, value.clone());
                }
            }
        }
        headers
    }

    fn wire(&self, op: &'static str, wire: Wire) -> Result<&reqwest::Client, NetError> {
        let slot = match wire {
            Wire::Calls => &self.inner.calls,
            Wire::Content => &self.inner.content,
            Wire::Once => &self.inner.once,
        };
        if let Some(built) = slot.get() {
            return Ok(built);
        }
        let builder = reqwest::Client::builder();
        let (builder, kept) = match wire {
            Wire::Calls => (builder.gzip(true), 16),
            Wire::Content => (builder.gzip(false).http1_only(), 16),
            Wire::Once => (builder.gzip(false).http1_only(), 0),
        };
        let built = pool(op, builder.pool_max_idle_per_host(kept))?;
        // Another task may have been faster; its pool is used then.
        Ok(slot.get_or_init(|| built))
    }
}

/// One request as the wire library wants it. `Content-Length` is always said where a body is
/// possible: some object stores refuse a PUT or POST without it.
fn prepare(
    op: &'static str,
    method: &Method,
    url: &reqwest::Url,
    headers: &HeaderMap,
    payload: &Payload,
    accept_gzip: bool,
) -> Result<(reqwest::Request, Arc<Progress>), NetError> {
    let (body, progress) = payload.start(op)?;
    let mut outgoing = reqwest::Request::new(method.clone(), url.clone());
    let map = outgoing.headers_mut();
    *map = headers.clone();
    if let Some(kind) = &payload.content_type
        && let Ok(kind) = HeaderValue::from_str(kind)
    {
        // Only this one carries the boundary.
        map.insert(CONTENT_TYPE, kind);
    }
    let may_have_body = [Method::POST, Method::PUT, Method::PATCH].contains(method);
    if payload.length() > 0 || may_have_body {
        map.insert(CONTENT_LENGTH, HeaderValue::from(payload.length()));
    } else {
        map.remove(CONTENT_LENGTH);
    }
    if !accept_gzip && !map.contains_key(ACCEPT_ENCODING) {
        map.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    *outgoing.body_mut() = body;
    Ok((outgoing, progress))
}

/// Why no response head came.
enum NoHead {
    Deadline(String),
    Wire(reqwest::Error),
}

impl NoHead {
    fn into_error(self, op: &'static str, host: &str, progress: &Progress) -> NetError {
        if let (NoHead::Wire(_), Some(failure)) = (&self, progress.failure()) {
            // The connection broke because its body did.
            return failure;
        }
        match self {
            NoHead::Deadline(what) => {
                NetError::passing(NetErrorKind::Timeout, op, format!("{host}: {what}"))
            }
            NoHead::Wire(error) if error.is_builder() => NetError::never(
                NetErrorKind::Refused,
                op,
                format!("{host}: {}", cause(error)),
            ),
            NoHead::Wire(error) => {
                let (kind, what) = if error.is_timeout() {
                    (NetErrorKind::Timeout, "no connection in time")
                } else if error.is_connect() {
                    (NetErrorKind::Connect, "no connection")
                } else {
                    (
                        NetErrorKind::Connect,
                        "the connection broke before the answer",
                    )
                };
                NetError::passing(kind, op, format!("{host}: {what}: {}", cause(error)))
            }
        }
    }
}

/// Waits for the response head. While a large body is being sent, progress is what counts; from
/// then on (or from the start) the head has its own deadline.
async fn head(
    answer: impl Future<Output = Result<reqwest::Response, reqwest::Error>>,
    upload: Option<&Progress>,
    deadlines: &Deadlines,
    start: Instant,
    total_at: Option<Instant>,
) -> Result<reqwest::Response, NoHead> {
    tokio::pin!(answer);
    loop {
        let (at, what) = match upload.map(|upload| (upload.last(), upload.patience())) {
            Some(((last, Waits::Connection), _)) => {
                (last + deadlines.idle, "the upload made no progress")
            }
            Some(((last, Waits::Source), patience)) => {
                (last + patience, "nothing came that could be uploaded")
            }
            // What was handed over last still has to leave our buffers.
            Some(((last, Waits::Answer), _)) => (
                last + deadlines.head.max(deadlines.idle),
                "no answer after the upload",
            ),
            None => (start + deadlines.head, "no answer in time"),
        };
        let (at, what) = match total_at {
            Some(total) if total < at => (total, "the request took too long"),
            _ => (at, what),
        };
        if at <= Instant::now() {
            return Err(NoHead::Deadline(what.to_owned()));
        }
        tokio::select! {
            biased;
            answer = &mut answer => return answer.map_err(NoHead::Wire),
            () = turned(upload) => {}
            () = tokio::time::sleep_until(at) => {}
        }
    }
}

/// Ends when another deadline counts.
async fn turned(upload: Option<&Progress>) {
    match upload {
        Some(upload) => upload.turned().await,
        None => std::future::pending().await,
    }
}

/// A connection pool with our rules: no cookies, no automatic redirects, no retries of its own.
fn pool(op: &'static str, builder: reqwest::ClientBuilder) -> Result<reqwest::Client, NetError> {
    let mut builder = builder
        .connect_timeout(CONNECT)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .tcp_nodelay(true)
        // Our own idle deadlines are at most this long; a dead path is noticed by then anyway.
        .tcp_user_timeout(Deadlines::UPLOAD.idle)
        .pool_idle_timeout(Duration::from_secs(60))
        .no_proxy();
    if let Some(proxy) = proxy() {
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|error| {
        let message = format!("no HTTP client: {}", cause(error));
        NetError::never(NetErrorKind::Connect, op, message)
    })
}

/// The proxy for https that the environment names. Plain http goes to loopback only and never
/// through a proxy, nor does https to loopback.
fn proxy() -> Option<reqwest::Proxy> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let address = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
        .iter()
        .find_map(|name| variable(name))?;
    let mut except = variable("no_proxy")
        .or_else(|| variable("NO_PROXY"))
        .unwrap_or_default();
    except.push_str(",localhost,127.0.0.0/8,::1");
    match reqwest::Proxy::https(address) {
        Ok(proxy) => Some(proxy.no_proxy(reqwest::NoProxy::from_string(&except))),
        Err(error) => {
            tracing::warn!(error = %cause(error), "the proxy of the environment is not usable");
            None
        }
    }
}

/// The innermost cause of a failure, without the URL and without secrets.
pub(super) fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut innermost: &dyn std::error::Error = &error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    redact_text(&innermost.to_string())
}

/// The bookkeeping of one exchange. Written to the meter and the log when it is dropped: after
/// the body, or where it broke off.
pub(super) struct Exchange {
    pub(super) op: &'static str,
    pub(super) url: String,
    method: Method,
    status: Option<StatusCode>,
    failed: bool,
    bytes_down: u64,
    progress: Option<Arc<Progress>>,
    start: Instant,
    meter: Arc<Meter>,
}

impl Exchange {
    fn begin(meter: &Arc<Meter>, op: &'static str, method: &Method, url: &str) -> Self {
        meter.add(op, |count| count.requests += 1);
        Exchange {
            op,
            url: url.to_owned(),
            method: method.clone(),
            status: None,
            failed: false,
            bytes_down: 0,
            progress: None,
            start: Instant::now(),
            meter: meter.clone(),
        }
    }

    pub(super) fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }

    fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
        self.failed |= status.as_u16() >= 400;
    }

    pub(super) fn received(&mut self, bytes: usize) {
        self.bytes_down += bytes as u64;
    }

    pub(super) fn failed(&mut self) {
        self.failed = true;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let busy = self.start.elapsed();
        let bytes_up = self.progress.as_ref().map_or(0, |progress| {
            progress.end();
            progress.sent()
        });
        self.meter.add(self.op, |count| {
            count.failures += u64::from(self.failed);
            count.bytes_up += bytes_up;
            count.bytes_down += self.bytes_down;
            count.busy += busy;
        });
        tracing::debug!(
            op = self.op,
            method = %self.method,
            url = %redact_url(&self.url),
            status = self.status.map_or(0, |status| status.as_u16()),
            failed = self.failed,
            bytes_up,
            bytes_down = self.bytes_down,
            elapsed_ms = u64::try_from(busy.as_millis()).unwrap_or(u64::MAX),
            "request"
        );
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod stream_tests;
#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
