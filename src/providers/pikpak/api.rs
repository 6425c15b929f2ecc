//! JSON calls to the drive service: headers, one token refresh, one captcha renewal, tasks
//! (sheet sections 3, 4.8).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue, USER_AGENT};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::auth::{Identity, Refresh, subject};
use super::captcha::Captcha;
use super::error::{error_of, is_error, wants_captcha};
use crate::drive::{
    AccountEffect, DriveContext, DriveError, ErrorKind, NodeId, Result, decode, open_client,
    patience,
};
use crate::net::{Client, NetErrorKind, Request, Retry, Secret, TokenKeeper, retry};

/// The id of the root inside panfuse; the service writes it as an empty text.
pub const ROOT: &str = "root";

/// The address of file calls.
pub const FILES: &str = "/drive/v1/files";

/// Whether a call may be sent again when its answer was lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Reading, or writing the same state again.
    Safe,
    /// It creates something: only when it certainly was not carried out.
    Unsafe,
}

/// One call.
pub struct Call {
    op: &'static str,
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    repeat: Repeat,
}

impl Call {
    fn new(op: &'static str, method: Method, path: impl Into<String>) -> Call {
        Call {
            op,
            method,
            path: path.into(),
            query: Vec::new(),
            body: None,
            repeat: Repeat::Safe,
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
        self.repeat = Repeat::Unsafe;
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
    tokens: TokenKeeper<DriveError>,
    captcha: Arc<Captcha>,
    /// Names (as the service spells them) that we freed lately, by directory: they stay taken
    /// for a moment (section 7, conflict policy).
    pub freed: moka::sync::Cache<(NodeId, String), ()>,
    /// Session keys of uploads under way, by file id; see `session`.
    pub keys: moka::sync::Cache<String, super::session::Key>,
}

impl Api {
    pub fn new(context: &DriveContext) -> Result<Api> {
        let base = context.endpoint("api")?.to_owned();
        let user_base = context.endpoint("user")?.to_owned();
        let oss = context
            .overridden
            .iter()
            .any(|name| name == "oss")
            .then(|| context.endpoint("oss").map(str::to_owned))
            .transpose()?;
        let identity = Arc::new(Identity::new(context)?);
        let mut headers = HeaderMap::new();
        if let Ok(agent) = HeaderValue::from_str(&identity.platform.plain_agent()) {
            headers.insert(USER_AGENT, agent);
        }
        let client = open_client(context, headers)?;
        let captcha = Arc::new(Captcha::new(
            client.clone(),
            user_base.clone(),
            identity.clone(),
        ));
        let refresh = Refresh {
            client: client.clone(),
            base: user_base.clone(),
            identity: identity.clone(),
            captcha: captcha.clone(),
            refused: Mutex::new(None),
        };
        let tokens = TokenKeeper::new(
            context.credentials.clone(),
            context.clock.clone(),
            Arc::new(refresh),
        );
        Ok(Api {
            client,
            identity,
            base,
            user_base,
            oss,
            tokens,
            captcha,
            freed: moka::sync::Cache::builder()
                .max_capacity(1024)
                .time_to_live(Duration::from_secs(15))
                .build(),
            keys: moka::sync::Cache::builder()
                .max_capacity(4096)
                .time_to_live(Duration::from_secs(12 * 3600))
                .build(),
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
        let (mut refreshed, mut solved) = (false, false);
        loop {
            if self.identity.user_id().is_none() {
                self.identity.learn_user(subject(token.expose()));
            }
            let captcha = self.captcha.current();
            let url = format!("{}{}", self.base, call.path);
            match self.send(&token, captcha.as_ref(), call, url).await {
                Err(error) if error.account == AccountEffect::Refresh && !refreshed => {
                    refreshed = true;
                    token = self.tokens.renew(&token).await?;
                }
                // The call was refused, not carried out: any call may be sent again.
                Err(error) if wants_captcha(&error) && !solved => {
                    solved = true;
                    self.find_user(&token).await;
                    self.captcha.renew(&call.action(), captcha.as_ref()).await?;
                }
                Err(error) if wants_captcha(&error) => return Err(self.captcha.wall(error)),
                other => return other,
            }
        }
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
            request = request
                .json(body)
                .header("content-type", "application/json; charset=utf-8");
        }
        request = self
            .identity
            .dress(request, self.now())
            .await?
            .bearer(token);
        if let Some(captcha) = captcha {
            request = request.header("x-captcha-token", captcha.expose());
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
        let bytes = match response.bytes(16 << 20).await {
            Ok(bytes) => bytes,
            Err(error) if unsure => return Err(DriveError::from(error).retry(Retry::Never)),
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
        match error.account {
            AccountEffect::CoolDown(pause) => {
                self.client.breaker().trip(pause, &error.to_string());
            }
            _ if error.kind == ErrorKind::Risk && !wants_captcha(&error) => {
                return Err(self.captcha.wall(error));
            }
            _ => {}
        }
        // A gateway's 500, 502 or 504 may hide a call that was carried out.
        if unsure && matches!(status.as_u16(), 500 | 502 | 504) {
            return Err(error.retry(Retry::Never));
        }
        Err(error)
    }

    /// The user id goes into the captcha's meta. It is in the token or in any file; where neither
    /// told it, the account is asked. Without it the service is content, too (section 2.4).
    async fn find_user(&self, token: &Secret) {
        if self.identity.user_id().is_some() {
            return;
        }
        let call = Call::get("user", "/v1/user/me");
        let url = format!("{}{}", self.user_base, call.path);
        if let Ok(answer) = self.send(token, None, &call, url).await {
            self.identity.learn_user(decode::nonempty(&answer["sub"]));
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
            match self.task_is_done(&task).await {
                Ok(true) => return Ok(()),
                Ok(false) if Instant::now() + pause < end => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(3));
                }
                Ok(false) => {
                    return Err(DriveError::new(
                        ErrorKind::Timeout,
                        "the provider has not finished the operation within a minute",
                    ));
                }
                Err(error) => return Err(error),
            }
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
        let call = Call::get("stat", file_path(&NodeId::new("VOa/b"))).query("usage", "FETCH");
        assert_eq!(call.action(), "GET:/drive/v1/files/VOa%2Fb");
    }

    #[test]
    fn the_root_is_written_empty() {
        assert_eq!(wire(&NodeId::new("root")), "");
        assert_eq!(wire(&NodeId::new("VO1")), "VO1");
    }
}
