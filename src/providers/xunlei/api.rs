//! JSON calls to the drive service: headers, one token refresh, one captcha renewal, tasks
//! (sheet sections 3, 4.4, 10).

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue, USER_AGENT};
use serde_json::{Value, json};
use tokio::sync::{OnceCell, RwLock};
use tokio::time::Instant;

use super::archive::Lent;
use super::auth::{Identity, Refresh, bare, subject};
use super::captcha::{Captcha, wall};
use super::error::{TOO_FREQUENT, error_of, is_error, is_too_frequent, wants_captcha};
use super::read::Link;
use crate::drive::{
    AccountEffect, DriveContext, DriveError, ErrorKind, NodeId, Result, decode, open_client,
    patience,
};
use crate::net::{Client, NetErrorKind, Request, Retry, Secret, TokenKeeper, retry};

/// The id of the root inside panfuse; the service writes it as an empty text.
pub const ROOT: &str = "root";

/// The address of file calls.
pub const FILES: &str = "/drive/v1/files";

/// The pause before a call that was "too frequent" is sent once more.
const SLOW: Duration = Duration::from_secs(2);

/// Pauses for a folder that was just made: it may take a second to be there (section 9).
const YOUNG: [Duration; 3] = [
    Duration::from_millis(400),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// One call.
pub struct Call {
    op: &'static str,
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    /// It creates something: sent again only when it certainly was not carried out.
    once: bool,
}

impl Call {
    fn new(op: &'static str, method: Method, path: impl Into<String>) -> Call {
        Call {
            op,
            method,
            path: path.into(),
            query: Vec::new(),
            body: None,
            once: false,
        }
    }

    pub fn get(op: &'static str, path: impl Into<String>) -> Call {
        Call::new(op, Method::GET, path)
    }

    pub fn delete(op: &'static str, path: impl Into<String>) -> Call {
        Call::new(op, Method::DELETE, path)
    }

    pub fn post(op: &'static str, path: impl Into<String>, body: Value) -> Call {
        Call {
            body: Some(body),
            ..Call::new(op, Method::POST, path)
        }
    }

    pub fn patch(op: &'static str, path: impl Into<String>, body: Value) -> Call {
        Call {
            body: Some(body),
            ..Call::new(op, Method::PATCH, path)
        }
    }

    pub fn query(mut self, key: &'static str, value: impl Into<String>) -> Call {
        self.query.push((key, value.into()));
        self
    }

    /// It creates something.
    pub fn once(mut self) -> Call {
        self.once = true;
        self
    }

    /// What a captcha token is asked for (section 2.4): method and path, without host and query.
    fn action(&self) -> String {
        format!("{}:{}", self.method, self.path)
    }
}

/// The account's calls.
pub struct Api {
    pub client: Client,
    pub identity: Arc<Identity>,
    base: String,
    user_base: String,
    /// The object store's base address, when the profile overrides it.
    pub oss: Option<String>,
    /// Whether an archive may carry another name for a moment, to get its link (`archive`).
    pub renames_archives: bool,
    tokens: TokenKeeper<DriveError>,
    captcha: Captcha,
    /// Whether the account was asked who it is.
    asked_user: OnceCell<()>,
    /// Names (as the service spells them) that we freed lately, by directory: they may stay taken
    /// for a moment.
    pub freed: moka::sync::Cache<(NodeId, String), ()>,
    /// Folders that we made lately.
    pub young: moka::sync::Cache<NodeId, ()>,
    /// Session keys of uploads under way, by file id; see `session`.
    pub keys: moka::sync::Cache<String, super::session::Key>,
    /// Download links, kept until they expire.
    pub links: moka::sync::Cache<NodeId, Link>,
    /// Files that carry another name for a moment, by id; see `archive`.
    pub lent: Mutex<HashMap<String, Lent>>,
    /// Whether names that an earlier process lent were looked for.
    pub settled: OnceCell<()>,
    /// Written to while a name is lent; whoever changes or copies names reads.
    pub names: RwLock<()>,
}

impl Api {
    pub fn new(context: &DriveContext) -> Result<Api> {
        let overridden = |name: &str| {
            let given = context.overridden.iter().any(|given| given == name);
            given.then(|| context.endpoint(name).map(str::to_owned))
        };
        let identity = Arc::new(Identity::new(context)?);
        // Each client has hosts of its own (section 2.2).
        let own = |name, url: &str| overridden(name).unwrap_or_else(|| Ok(url.to_owned()));
        let base = own("api", identity.platform.api)?;
        let user_base = own("user", identity.platform.user)?;
        let oss = overridden("oss").transpose()?;
        let renames_archives = match context.field("archives") {
            "" | "rename" => true,
            "leave" => false,
            other => {
                return Err(DriveError::new(
                    ErrorKind::Invalid,
                    format!(
                        "profile {}: archives is {other:?}; use rename or leave",
                        context.profile
                    ),
                ));
            }
        };
        let mut headers = HeaderMap::new();
        if let Ok(agent) = HeaderValue::from_str(&identity.platform.plain_agent()) {
            headers.insert(USER_AGENT, agent);
        }
        let client = open_client(context, headers)?;
        let refresh = Refresh {
            client: client.clone(),
            base: user_base.clone(),
            identity: identity.clone(),
        };
        let tokens = TokenKeeper::new(
            context.credentials.clone(),
            context.clock.clone(),
            Arc::new(refresh),
        );
        Ok(Api {
            captcha: Captcha::new(client.clone(), user_base.clone(), identity.clone()),
            client,
            identity,
            base,
            user_base,
            oss,
            renames_archives,
            tokens,
            asked_user: OnceCell::new(),
            freed: moka::sync::Cache::builder()
                .max_capacity(1024)
                .time_to_live(Duration::from_secs(15))
                .build(),
            young: moka::sync::Cache::builder()
                .max_capacity(1024)
                .time_to_live(Duration::from_secs(10))
                .build(),
            keys: moka::sync::Cache::builder()
                .max_capacity(4096)
                .time_to_live(Duration::from_secs(12 * 3600))
                .build(),
            links: moka::sync::Cache::new(10_000),
            lent: Mutex::default(),
            settled: OnceCell::new(),
            names: RwLock::new(()),
        })
    }

    /// Milliseconds since the epoch.
    pub fn now(&self) -> i64 {
        self.client.clock().now_ms()
    }

    /// A call with retries, one token refresh and one captcha renewal.
    pub async fn call(&self, call: Call) -> Result<Value> {
        retry(patience(), || self.attempt(&call)).await
    }

    async fn attempt(&self, call: &Call) -> Result<Value> {
        let mut token = self.tokens.access().await?;
        if self.identity.user_id().is_none() {
            self.identity.learn_user(subject(&token));
        }
        let action = call.action();
        let mut captcha = match self.captcha.current().await? {
            Some(captcha) => captcha,
            None => self.solve(&token, &action, None).await?.token,
        };
        // Every loop has an end: a refused call is repeated once per cause (section 10).
        let (mut refreshed, mut slowed, mut solved) = (false, false, 0);
        loop {
            let url = format!("{}{}", self.base, call.path);
            match self.send(&token, Some(&captcha), call, url).await {
                Err(error) if error.account == AccountEffect::Refresh && !refreshed => {
                    refreshed = true;
                    token = self.tokens.renew(&token).await?;
                }
                // The call was refused, not carried out: any call may be sent again. A token that
                // somebody else fetched meanwhile gets its try, too.
                Err(error) if wants_captcha(&error) && solved < 2 => {
                    let renewed = self.solve(&token, &action, Some(&captcha)).await?;
                    solved += if renewed.asked { 2 } else { 1 };
                    captcha = renewed.token;
                }
                Err(error) if wants_captcha(&error) => return Err(wall(&self.client, error)),
                // Disputed: too many calls, or a token that is over. First a pause, then a token.
                Err(error) if is_too_frequent(&error) && !slowed => {
                    slowed = true;
                    tokio::time::sleep(SLOW).await;
                }
                Err(error) if is_too_frequent(&error) => {
                    if !refreshed {
                        refreshed = true;
                        if let Ok(fresh) = self.tokens.renew(&token).await {
                            token = fresh;
                            continue;
                        }
                    }
                    self.client.breaker().trip(TOO_FREQUENT, &error.to_string());
                    return Err(error);
                }
                other => return other,
            }
        }
    }

    async fn solve(
        &self,
        token: &Secret,
        action: &str,
        refused: Option<&Secret>,
    ) -> Result<super::captcha::Renewed> {
        self.find_user(token).await;
        self.captcha.renew(action, refused).await
    }

    async fn send(
        &self,
        token: &Secret,
        captcha: Option<&Secret>,
        call: &Call,
        url: String,
    ) -> Result<Value> {
        let mut request = Request::new(call.op, call.method.clone(), url);
        for (key, value) in &call.query {
            request = request.query(key, value);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        request = self.identity.dress(request, self.now()).await?;
        request = request.bearer(&Secret::new(bare(token)));
        if let Some(captcha) = captcha {
            request = request.header("x-captcha-token", captcha.expose());
        }
        let response = self.client.send(request).await.map_err(|error| {
            let arrived = error.kind != NetErrorKind::Connect;
            let error = DriveError::from(error);
            if call.once && arrived {
                error.retry(Retry::Never)
            } else {
                error
            }
        })?;
        let (status, pause) = (response.status, response.retry_after());
        let bytes = match response.bytes(16 << 20).await {
            Ok(bytes) => bytes,
            Err(error) if call.once => return Err(DriveError::from(error).retry(Retry::Never)),
            Err(error) => return Err(error.into()),
        };
        if status.is_success() {
            if bytes.iter().all(u8::is_ascii_whitespace) {
                return Ok(json!({}));
            }
            match serde_json::from_slice::<Value>(&bytes) {
                Ok(answer) if !is_error(&answer) => {
                    self.client.breaker().heal();
                    return Ok(answer);
                }
                Ok(_) => {}
                Err(_) => return Err(DriveError::bad_answer(call.op, "the answer is no JSON")),
            }
        }
        let error = error_of(call.op, status.as_u16(), pause, &bytes);
        // Without a captcha token (the account is asked who it is) a refusal says nothing yet.
        if error.kind == ErrorKind::Risk && !wants_captcha(&error) && captcha.is_some() {
            return Err(wall(&self.client, error));
        }
        // A gateway's 500, 502 or 504 may hide a call that was carried out.
        if call.once && matches!(status.as_u16(), 500 | 502 | 504) {
            return Err(error.retry(Retry::Never));
        }
        Err(error)
    }

    /// The user id goes into the captcha's meta. It is in the token; where it is not, the account
    /// is asked. Without an answer the captcha is asked for as nobody (section 2.4).
    async fn find_user(&self, token: &Secret) {
        if self.identity.user_id().is_some() {
            return;
        }
        let ask = || async {
            let call = Call::get("user", "/v1/user/me");
            let url = format!("{}{}", self.user_base, call.path);
            let answer = self.send(token, None, &call, url).await?;
            self.identity.learn_user(decode::nonempty(&answer["sub"]));
            Ok::<_, DriveError>(())
        };
        if let Err(error) = self.asked_user.get_or_try_init(ask).await {
            tracing::debug!(%error, "the account did not tell who it is");
        }
    }

    /// Runs `work` in a folder; when that is one we just made and it is not there yet, once more
    /// after a pause.
    pub async fn in_folder<T, F, Fut>(&self, folder: &NodeId, mut work: F) -> Result<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let mut pauses = YOUNG.into_iter();
        loop {
            match work().await {
                Err(error) if error.kind == ErrorKind::NotFound => {
                    match pauses.next().filter(|_| self.young.contains_key(folder)) {
                        Some(pause) => tokio::time::sleep(pause).await,
                        None => return Err(error),
                    }
                }
                other => return other,
            }
        }
    }

    /// Waits for the task an answer names, at most a minute. No task means done.
    ///
    /// # Errors
    /// `Provider` when the task failed, `Timeout` when it is still running.
    pub async fn finish_task(&self, answer: &Value) -> Result<()> {
        let Some(task) = decode::nonempty(&answer["task_id"]) else {
            return Ok(());
        };
        let end = Instant::now() + Duration::from_secs(60);
        let mut pause = Duration::from_millis(200);
        loop {
            if self.task_is_done(&task).await? {
                return Ok(());
            }
            if Instant::now() + pause >= end {
                return Err(DriveError::new(
                    ErrorKind::Timeout,
                    "the provider has not finished the operation within a minute",
                ));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(3));
        }
    }

    /// Whether a task is done. One that the service forgot is done.
    ///
    /// # Errors
    /// `Provider` when it failed.
    pub async fn task_is_done(&self, task: &str) -> Result<bool> {
        let path = format!("/drive/v1/tasks/{}", segment(task));
        let answer = match self.call(Call::get("task", path)).await {
            Ok(answer) => answer,
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(error),
        };
        match answer["phase"].as_str() {
            Some("PHASE_TYPE_PENDING" | "PHASE_TYPE_RUNNING") => Ok(false),
            Some("PHASE_TYPE_ERROR") => {
                let message: String = decode::text(&answer["message"]).chars().take(120).collect();
                Err(DriveError::new(
                    ErrorKind::Provider,
                    format!("the provider's task failed: {message}"),
                ))
            }
            _ => Ok(true),
        }
    }
}

/// The address of one file.
pub fn file_path(id: &NodeId) -> String {
    format!("{FILES}/{}", segment(id.as_str()))
}

/// The id as the service spells it.
pub fn wire(id: &NodeId) -> &str {
    match id.as_str() {
        ROOT => "",
        id => id,
    }
}

/// An id as one segment of a path.
fn segment(id: &str) -> String {
    const KEEP: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    percent_encoding::utf8_percent_encode(id, KEEP).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_method_and_path() {
        let call = Call::get("stat", file_path(&NodeId::new("VNa/b"))).query("usage", "FETCH");
        assert_eq!(call.action(), "GET:/drive/v1/files/VNa%2Fb");
    }

    #[test]
    fn the_root_is_written_empty() {
        assert_eq!(wire(&NodeId::new("root")), "");
        assert_eq!(wire(&NodeId::new("VN1")), "VN1");
    }
}
