//! Signed calls of the PC door and the upload host (sheet sections 3.1 to 3.4): one new session and
//! one new signature each, retries, block signals.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue, USER_AGENT};
use serde_json::{Value, json};

use super::answer::{Head, judge};
use super::auth::{Refresh, Session};
use super::error::{RATE_PAUSE, is_flow_used_up, is_too_fast, wants_new_signature};
use super::sign::{Signed, encrypt_params, http_date, open_signature, parse_http_date, rand};
use super::times::CHINA_MS;
use crate::drive::{
    AccountEffect, DriveContext, DriveError, ErrorKind, NodeId, Result, open_client, patience,
};
use crate::net::{Client, NetErrorKind, Request, Response, Retry, Secret, TokenKeeper, retry};

/// The id of the personal root.
pub const ROOT: &str = "-11";

/// The browser to be; the service only wants one (section 3.1).
const AGENT: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36";

/// Without it the service answers in XML (section 3.1).
const ACCEPT: &str = "application/json;charset=UTF-8";

/// The application that tokens of the open door belong to (section 2.7).
const OPEN_APP: &str = "600100422";

/// Whether a call may be sent again when its answer was lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Reading, or writing the same state again.
    Safe,
    /// It creates something: only when it certainly was not carried out.
    Unsafe,
}

/// Where a call goes.
enum Door {
    Api,
    Upload,
    /// An address that the service named.
    Named(String),
    /// The open door: by a token of its own, or, to get one, by the session.
    Open(Option<Secret>),
}

/// One call.
pub struct Call {
    op: &'static str,
    method: Method,
    door: Door,
    path: &'static str,
    query: Vec<(&'static str, String)>,
    form: Option<Vec<(&'static str, String)>>,
    /// Parameters that are encrypted, joined.
    params: Option<String>,
    class: &'static str,
    repeat: Repeat,
}

impl Call {
    fn new(op: &'static str, method: Method, door: Door, path: &'static str) -> Call {
        Call {
            op,
            method,
            door,
            path,
            query: Vec::new(),
            form: None,
            params: None,
            class: "other",
            repeat: Repeat::Safe,
        }
    }

    /// A GET of the PC door.
    pub fn get(op: &'static str, path: &'static str) -> Call {
        Call::new(op, Method::GET, Door::Api, path)
    }

    /// A POST of the PC door.
    pub fn post(op: &'static str, path: &'static str) -> Call {
        Call::new(op, Method::POST, Door::Api, path)
    }

    /// A call of the upload host; values are joined as they are, so a file name must be
    /// percent-encoded already (section 3.4).
    pub fn upload(op: &'static str, path: &'static str, params: &[(&str, &str)]) -> Call {
        let joined: Vec<String> = params
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        Call {
            params: Some(joined.join("&")),
            class: "control",
            ..Call::new(op, Method::GET, Door::Upload, path)
        }
    }

    /// A GET of the open door (sections 2.7, 3.5).
    pub fn open(op: &'static str, path: &'static str, token: Option<Secret>) -> Call {
        Call::new(op, Method::GET, Door::Open(token), path)
    }

    /// A POST to an address that the service named.
    pub fn post_named(op: &'static str, url: String) -> Call {
        Call {
            class: "control",
            ..Call::new(op, Method::POST, Door::Named(url), "")
        }
    }

    pub fn query(mut self, key: &'static str, value: impl Into<String>) -> Call {
        self.query.push((key, value.into()));
        self
    }

    /// A field of the form; the call has one from then on.
    pub fn field(mut self, key: &'static str, value: impl Into<String>) -> Call {
        self.form.get_or_insert_default().push((key, value.into()));
        self
    }

    pub fn class(mut self, class: &'static str) -> Call {
        self.class = class;
        self
    }

    /// It creates something.
    pub fn once(mut self) -> Call {
        self.repeat = Repeat::Unsafe;
        self
    }
}

/// The account's calls.
pub struct Api {
    pub client: Client,
    base: String,
    upload_base: String,
    web_base: String,
    tokens: TokenKeeper<DriveError>,
    login_name: OnceLock<String>,
    /// The server's clock minus ours.
    skew_ms: AtomicI64,
    /// Uploads are not tried before this time: the day's allowance is used up.
    uploads_from_ms: AtomicI64,
    /// Tasks run one after the other: many at a time fail silently (section 4.5).
    pub tasks: tokio::sync::Mutex<()>,
    /// Ids that are known to be directories, to ask the right call first.
    pub dirs: moka::sync::Cache<NodeId, ()>,
    /// Uploads whose commit may have been carried out without our hearing of it, with their MD5.
    pub finishing: moka::sync::Cache<String, String>,
}

impl Api {
    pub fn new(context: &DriveContext) -> Result<Api> {
        let client = browser(context)?;
        let refresh = Refresh::new(context, client.clone())?;
        let tokens = TokenKeeper::new(
            context.credentials.clone(),
            context.clock.clone(),
            Arc::new(refresh),
        );
        Ok(Api {
            client,
            base: context.endpoint("api")?.to_owned(),
            upload_base: context.endpoint("upload")?.to_owned(),
            web_base: context.endpoint("web")?.to_owned(),
            tokens,
            login_name: OnceLock::new(),
            skew_ms: AtomicI64::new(0),
            uploads_from_ms: AtomicI64::new(0),
            tasks: tokio::sync::Mutex::new(()),
            dirs: moka::sync::Cache::new(100_000),
            finishing: moka::sync::Cache::builder()
                .max_capacity(1024)
                .time_to_live(Duration::from_secs(3600))
                .build(),
        })
    }

    /// Milliseconds since the epoch.
    pub fn now(&self) -> i64 {
        self.client.clock().now_ms()
    }

    pub fn account_id(&self) -> Option<String> {
        self.login_name.get().cloned()
    }

    /// Fails when the service said that today's uploads are over, without asking it again.
    pub fn may_upload(&self) -> Result<()> {
        if self.now() < self.uploads_from_ms.load(Ordering::Relaxed) {
            return Err(DriveError::new(
                ErrorKind::DailyLimit,
                "the account's upload allowance of today is used up; it begins anew at midnight in China",
            ));
        }
        Ok(())
    }

    /// A call with retries.
    pub async fn call(&self, call: Call) -> Result<Value> {
        let answer = retry(patience(), || self.attempt(&call)).await;
        if let Err(error) = &answer {
            if is_too_fast(error) {
                self.client.breaker().trip(RATE_PAUSE, &error.to_string());
            }
            if is_flow_used_up(error) {
                let day = 86_400_000;
                let today = (self.now() + CHINA_MS).div_euclid(day);
                let midnight = (today + 1) * day - CHINA_MS;
                self.uploads_from_ms.store(midnight, Ordering::Relaxed);
            }
        }
        answer
    }

    async fn attempt(&self, call: &Call) -> Result<Value> {
        let mut token = self.tokens.access().await?;
        let (mut refreshed, mut signed_anew) = (false, false);
        loop {
            let sent = match Session::stored(&token) {
                Ok(session) => {
                    if let Some(name) = &session.login_name {
                        let _ = self.login_name.set(name.clone());
                    }
                    self.send(&session, call).await
                }
                Err(error) => Err((error, Head::default())),
            };
            match sent {
                Err((error, _)) if error.account == AccountEffect::Refresh && !refreshed => {
                    refreshed = true;
                    token = self.tokens.renew(&token).await?;
                }
                Err((error, head)) if wants_new_signature(&error) && !signed_anew => {
                    signed_anew = true;
                    let Some(server) = head.date_ms else {
                        return Err(error);
                    };
                    self.skew_ms.store(server - self.now(), Ordering::Relaxed);
                }
                Err((error, _)) => return Err(error),
                Ok(answer) => return Ok(answer),
            }
        }
    }

    async fn send(&self, session: &Session, call: &Call) -> Result<Value, (DriveError, Head)> {
        let request = self
            .request(session, call)
            .map_err(|error| (error, Head::default()))?;
        let unsure = call.repeat == Repeat::Unsafe;
        let lost = |error: DriveError, arrived: bool| {
            let error = if unsure && arrived {
                error.retry(Retry::Never)
            } else {
                error
            };
            (error, Head::default())
        };
        let sent = self.client.send(request).await;
        let response = sent.map_err(|error| {
            let arrived = error.kind != NetErrorKind::Connect;
            lost(error.into(), arrived)
        })?;
        let head = head_of(&response);
        let body = response
            .bytes(16 << 20)
            .await
            .map_err(|error| lost(error.into(), true))?;
        // A form without fields, such as a poll of the old door, may be answered by nothing.
        if (200..300).contains(&head.status) && body.iter().all(u8::is_ascii_whitespace) {
            return Ok(json!({}));
        }
        match judge(call.op, head, &body) {
            Ok(answer) => {
                self.client.breaker().heal();
                Ok(answer)
            }
            Err(error) => {
                if let AccountEffect::CoolDown(pause) = error.account {
                    self.client.breaker().trip(pause, &error.to_string());
                }
                // A refused token of the open door says nothing about the session.
                let error = match (&call.door, error.account) {
                    (Door::Open(Some(_)), AccountEffect::Refresh) => {
                        error.effect(AccountEffect::None)
                    }
                    _ => error,
                };
                // A gateway's 500, 502 or 504 may hide a call that was carried out.
                let hidden = error.code.is_none() && matches!(head.status, 500 | 502 | 504);
                Err((lost(error, hidden).0, head))
            }
        }
    }

    /// The signed request (sections 3.2 to 3.4).
    fn request(&self, session: &Session, call: &Call) -> Result<Request> {
        let (url, path) = match &call.door {
            Door::Api => (format!("{}{}", self.base, call.path), call.path.to_owned()),
            Door::Upload => (
                format!("{}{}", self.upload_base, call.path),
                call.path.to_owned(),
            ),
            Door::Named(url) => (url.clone(), self.path_of(url)?),
            Door::Open(token) => return Ok(self.open_request(session, call, token.as_ref())),
        };
        let params = match &call.params {
            Some(plain) => Some(encrypt_params(plain, session.secret.expose())?),
            None => None,
        };
        let date = http_date(self.now() + self.skew_ms.load(Ordering::Relaxed));
        let signature = Signed {
            method: call.method.as_str(),
            path: &path,
            date: &date,
            params: params.as_deref(),
        }
        .signature(session.key.expose(), session.secret.expose());
        let mut request = Request::new(call.op, call.method.clone(), url).class(call.class);
        if let Some(params) = &params {
            request = request.query("params", params);
        }
        for (key, value) in &call.query {
            request = request.query(key, value);
        }
        request = suffixed(request);
        if let Some(form) = &call.form {
            let form: Vec<(&str, &str)> = form.iter().map(|(k, v)| (*k, v.as_str())).collect();
            request = request.form(&form);
        }
        Ok(plain_headers(request)
            .header("date", &date)
            .header("sessionkey", session.key.expose())
            .header("signature", &signature))
    }

    /// The request of the open door: signed for its token, or for the application when a session
    /// asks for one (sections 2.7, 3.5).
    fn open_request(&self, session: &Session, call: &Call, token: Option<&Secret>) -> Request {
        let time = self.now() + self.skew_ms.load(Ordering::Relaxed);
        let time = time.to_string();
        let mut fields: Vec<(&str, &str)> =
            call.query.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let (header, who) = match token {
            Some(token) => ("accesstoken", ("AccessToken", token.expose())),
            None => {
                fields.push(("sessionKey", session.key.expose()));
                ("appkey", ("AppKey", OPEN_APP))
            }
        };
        let signature = open_signature(&fields, who, &time);
        let url = format!("{}/api/open{}", self.web_base, call.path);
        let mut request = Request::new(call.op, call.method.clone(), url).class(call.class);
        for (key, value) in &fields {
            request = request.query(key, value);
        }
        plain_headers(request)
            .header(header, who.1)
            .header("timestamp", &time)
            .header("sign-type", "1")
            .header("signature", &signature)
    }

    /// The path that is signed: without the path of a base address that stands in for the host.
    fn path_of(&self, url: &str) -> Result<String> {
        for base in [&self.upload_base, &self.base] {
            if let Some(path) = url
                .strip_prefix(base.as_str())
                .filter(|p| p.starts_with('/'))
            {
                return Ok(path.split(['?', '#']).next().unwrap_or(path).to_owned());
            }
        }
        reqwest::Url::parse(url)
            .map(|url| url.path().to_owned())
            .map_err(|_| DriveError::bad_answer("upload", "an address that is none"))
    }
}

/// The account's client; every request comes from a browser.
pub fn browser(context: &DriveContext) -> Result<Client> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    open_client(context, headers)
}

/// The client information of every call (section 3.2).
pub fn suffixed(request: Request) -> Request {
    request
        .query("clientType", "TELEPC")
        .query("version", "6.2")
        .query("channelId", "web_cloud.189.cn")
        .query("rand", &rand())
}

/// What every call to the service carries (section 3.1).
pub fn plain_headers(request: Request) -> Request {
    let id = uuid::Uuid::new_v4().hyphenated().to_string();
    request
        .header("accept", ACCEPT)
        .header("referer", "https://cloud.189.cn")
        .header("x-request-id", &id)
}

/// What the head of an answer says.
pub fn head_of(response: &Response) -> Head {
    Head {
        status: response.status.as_u16(),
        pause: response.retry_after(),
        date_ms: response.header("date").and_then(parse_http_date),
    }
}
