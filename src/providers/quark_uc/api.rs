//! JSON calls: the query and headers of every call, the rolling cookie, one renewal of a refused
//! cookie, one more try at the gateway (sheet quark, 3 and 10).

use std::sync::atomic::AtomicU8;
use std::time::Duration;

use bytes::Bytes;
use moka::sync::Cache;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue, USER_AGENT};
use serde_json::{Value, json};

use super::auth::{Jar, Sent, set_cookies};
use super::brand::Brand;
use super::chain::Chains;
use super::error::{RISK, error_of, is_good, is_wall};
use super::taken::Taken;
use crate::drive::{
    AccountEffect, DriveContext, DriveError, ErrorKind, NodeId, Result, open_client, patience,
};
use crate::net::{Client, NetErrorKind, Request, Retry, retry};

/// The id of the root.
pub const ROOT: &str = "0";

/// What every path begins with.
const PREFIX: &str = "/1/clouddrive";

/// The pause before the one more try at a gateway that refused (2 to 4 s, section 10).
const GATEWAY_PAUSE: Duration = Duration::from_secs(3);

/// Whether a call may be sent again when its answer was lost.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeat {
    /// Reading, or writing the same state again.
    Safe,
    /// It creates something: only when it certainly was not carried out.
    Unsafe,
}

/// One call.
pub struct Call {
    op: &'static str,
    method: Method,
    path: &'static str,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    repeat: Repeat,
    class: &'static str,
}

impl Call {
    pub fn get(op: &'static str, path: &'static str) -> Call {
        Call {
            op,
            method: Method::GET,
            path,
            query: Vec::new(),
            body: None,
            repeat: Repeat::Safe,
            class: "other",
        }
    }

    pub fn post(op: &'static str, path: &'static str, body: Value) -> Call {
        Call {
            method: Method::POST,
            body: Some(body),
            ..Call::get(op, path)
        }
    }

    pub fn query(mut self, key: &'static str, value: impl Into<String>) -> Call {
        self.query.push((key, value.into()));
        self
    }

    /// It creates something.
    pub fn once(mut self) -> Call {
        self.repeat = Repeat::Unsafe;
        self
    }

    /// In another rate class than `other`.
    pub fn class(mut self, class: &'static str) -> Call {
        self.class = class;
        self
    }
}

/// A good answer.
pub struct Answer {
    pub value: Value,
    /// The same as it came.
    pub bytes: Bytes,
    /// The cookies it set.
    pub cookies: Vec<(String, String)>,
}

/// The account's calls, or a guest's.
pub struct Api {
    pub client: Client,
    pub brand: &'static Brand,
    pub jar: Jar,
    base: String,
    /// The object store's base address, when the profile overrides it.
    pub oss: Option<String>,
    /// Directories by the nodes seen in them.
    pub parents: Cache<NodeId, NodeId>,
    /// Directories that we made lately; listings may not know them yet.
    pub fresh: Cache<NodeId, ()>,
    pub taken: Taken,
    pub chains: Chains,
    /// Which call tells about a node by its id, see `list`.
    pub way: AtomicU8,
    /// One renewal of the cookie at a time.
    flight: tokio::sync::Mutex<()>,
}

impl Api {
    pub fn new(brand: &'static Brand, context: &DriveContext, account: bool) -> Result<Api> {
        let base = context.endpoint("api")?.trim_end_matches('/');
        // An address may name the whole base of the sheet, or the host alone.
        let base = base.strip_suffix(PREFIX).unwrap_or(base);
        let oss = context
            .overridden
            .iter()
            .any(|name| name == "oss")
            .then(|| context.endpoint("oss").map(str::to_owned))
            .transpose()?;
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(brand.agent));
        Ok(Api {
            client: open_client(context, headers)?,
            brand,
            jar: Jar::new(
                context.credentials.clone(),
                context.profile.clone(),
                account,
            ),
            base: base.to_owned(),
            oss,
            parents: Cache::new(200_000),
            fresh: Cache::builder()
                .max_capacity(4096)
                .time_to_live(Duration::from_secs(60))
                .build(),
            taken: Taken::new(),
            chains: Chains::new(),
            way: AtomicU8::new(0),
            flight: tokio::sync::Mutex::default(),
        })
    }

    /// Milliseconds since the epoch.
    pub fn now(&self) -> i64 {
        self.client.clock().now_ms()
    }

    /// A call with retries; the body of its answer.
    pub async fn call(&self, call: Call) -> Result<Value> {
        Ok(self.answer(call).await?.value)
    }

    /// A call with retries; all of its answer.
    pub async fn answer(&self, call: Call) -> Result<Answer> {
        retry(patience(), || self.once(&call)).await
    }

    /// A call without retries but for one renewal of the cookie and one more try at the gateway.
    pub async fn once(&self, call: &Call) -> Result<Answer> {
        let mut used = self.jar.current().await?;
        let (mut refreshed, mut waited) = (false, false);
        loop {
            match self.send(&used, call).await {
                Err(error) if error.account == AccountEffect::Refresh && !refreshed => {
                    refreshed = true;
                    let now = self.jar.current().await?;
                    if used.header.is_empty() {
                        return Err(guest());
                    }
                    if now.header == used.header {
                        self.renew(&used).await?;
                        used = self.jar.current().await?;
                    } else {
                        // An answer brought a fresh one meanwhile.
                        used = now;
                    }
                }
                Err(error) if is_wall(&error) && !waited => {
                    waited = true;
                    tokio::time::sleep(GATEWAY_PAUSE).await;
                    used = self.jar.current().await?;
                }
                Err(error) if is_wall(&error) => return Err(self.wall(error).await),
                other => return other,
            }
        }
    }

    /// Asks for a fresh rolling cookie, once for all who wait. A login that is refused now is dead.
    async fn renew(&self, used: &Sent) -> Result<()> {
        let _flight = self.flight.lock().await;
        // Whoever took the cookie while a renewal was under way has the old one with the new count.
        if self.jar.current().await?.header != used.header || !self.jar.may_renew(used).await? {
            return Ok(());
        }
        let login = self.jar.login_only().await?;
        match self.send(&login, &Call::get("config", "/config")).await {
            Ok(_) => Ok(()),
            Err(error) if error.account == AccountEffect::Refresh => Err(DriveError {
                message: format!(
                    "the cookie of {} is not accepted any more; sign in on the web site and copy it again",
                    self.brand.site
                ),
                account: AccountEffect::None,
                ..error
            }),
            Err(error) => Err(error),
        }
    }

    /// After the second refusal of the gateway: a dead login, or an account that is watched.
    async fn wall(&self, error: DriveError) -> DriveError {
        if let Ok(login) = self.jar.login_only().await
            && let Err(dead) = self.send(&login, &Call::get("config", "/config")).await
            && dead.kind == ErrorKind::Auth
        {
            return dead.effect(AccountEffect::None);
        }
        let error = error.effect(AccountEffect::CoolDown(RISK));
        self.client.breaker().trip(RISK, &error.to_string());
        error
    }

    async fn send(&self, used: &Sent, call: &Call) -> Result<Answer> {
        let url = format!("{}{PREFIX}{}", self.base, call.path);
        let mut request = Request::new(call.op, call.method.clone(), url)
            .class(call.class)
            .query("pr", self.brand.pr)
            .query("fr", "pc")
            .query("uc_param_str", "");
        for (key, value) in &call.query {
            request = request.query(key, value);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        request = request
            .header("accept", "application/json, text/plain, */*")
            .header("referer", self.brand.site)
            .header("origin", self.brand.site);
        if !used.header.is_empty() {
            request = request.header("cookie", used.header.expose());
        }
        let unsure = call.repeat == Repeat::Unsafe;
        let response = self.client.send(request).await.map_err(|error| {
            let arrived = error.kind != NetErrorKind::Connect;
            let error = DriveError::from(error);
            if unsure && arrived {
                error.retry(Retry::Never)
            } else {
                error
            }
        })?;
        let (status, pause) = (response.status, response.retry_after());
        let cookies = set_cookies(&response.headers);
        let bytes = response.bytes(16 << 20).await;
        self.jar.take(&cookies).await;
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) if unsure => return Err(DriveError::from(error).retry(Retry::Never)),
            Err(error) => return Err(error.into()),
        };
        if status.is_success()
            && let Ok(value) = serde_json::from_slice::<Value>(&bytes)
            && is_good(&value)
        {
            self.client.breaker().heal();
            return Ok(Answer {
                value,
                bytes,
                cookies,
            });
        }
        let error = error_of(self.brand, call.op, status.as_u16(), pause, &bytes);
        if let AccountEffect::CoolDown(pause) = error.account {
            self.client.breaker().trip(pause, &error.to_string());
        }
        // A gateway's 500, 502 or 504 may hide a call that was carried out.
        if unsure && matches!(status.as_u16(), 500 | 502 | 504) {
            return Err(error.retry(Retry::Never));
        }
        Err(error)
    }
}

/// What a guest of a share is told where an account is wanted.
fn guest() -> DriveError {
    DriveError::new(
        ErrorKind::Auth,
        "the service wants a signed-in account for this; give the profile of the share a cookie",
    )
}

/// The body of a call on some nodes.
pub fn batch(action: u8, id: &NodeId) -> Value {
    json!({ "action_type": action, "filelist": [id.as_str()], "exclude_fids": [] })
}
