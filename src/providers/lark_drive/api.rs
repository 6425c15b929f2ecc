//! JSON calls to the open platform (sheet section 3), and what is remembered between them.

use std::sync::{Arc, OnceLock, PoisonError};

use moka::sync::Cache;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::answer::{Head, Repeat, answer_of, transport};
use super::auth::{Granted, Identity, Refresh};
use super::facts::Facts;
use super::parked::Parked;
use crate::drive::{
    AccountEffect, DriveContext, DriveError, ErrorKind, NodeId, Result, decode, open_client,
    patience,
};
use crate::net::{Client, Request, Retry, RetryPolicy, Secret, TokenKeeper, retry};

/// The id of the account's top directory. Calls name it by an empty token or by one that has to
/// be asked for.
pub const ROOT: &str = "root";

/// The account's calls.
pub struct Api {
    pub client: Client,
    base: String,
    tokens: TokenKeeper<DriveError>,
    granted: Granted,
    user_id: OnceLock<String>,
    root_token: OnceCell<String>,
    /// The directory that is mounted.
    pub root: NodeId,
    /// Where nodes were seen last: no call tells the directory of a file.
    pub places: Cache<NodeId, NodeId>,
    /// Sizes and versions by token.
    pub facts: Cache<String, Facts>,
    /// Uploads that are known to be gone.
    pub ended: Cache<String, ()>,
    /// Small uploads whose call may have been made by an earlier run of this program.
    pub doubtful: Cache<String, ()>,
    /// Small files that wait for their one call.
    pub parked: Parked,
    /// The service wants changes of one identity one after the other (section 10), and a look
    /// whether a name is free must not be overtaken by our own next change.
    pub changing: tokio::sync::Mutex<()>,
    /// One walk through the tree at a time; holds when the last one gave up, in milliseconds.
    pub walking: tokio::sync::Mutex<i64>,
}

impl Api {
    pub fn new(context: DriveContext) -> Result<Api> {
        let base = context.endpoint("api")?.to_owned();
        let identity = Identity::parse(context.field("identity")).map_err(|error| DriveError {
            message: format!("profile {}: {}", context.profile, error.message),
            ..error
        })?;
        let client = open_client(&context, HeaderMap::new())?;
        let granted = Granted::default();
        let refresh = Refresh {
            client: client.clone(),
            base: base.clone(),
            app_id: context.field("app_id").to_owned(),
            identity,
            profile: context.profile.clone(),
            store: context.credentials.clone(),
            granted: granted.clone(),
        };
        let root = context.root.clone().filter(|root| !root.is_empty());
        Ok(Api {
            client,
            base,
            tokens: TokenKeeper::new(context.credentials, context.clock, Arc::new(refresh)),
            granted,
            user_id: OnceLock::new(),
            root_token: OnceCell::new(),
            root: NodeId::new(root.unwrap_or_else(|| ROOT.to_owned())),
            places: Cache::new(400_000),
            facts: Cache::new(200_000),
            ended: Cache::new(4096),
            doubtful: Cache::new(4096),
            parked: Parked::new(),
            changing: tokio::sync::Mutex::default(),
            walking: tokio::sync::Mutex::new(i64::MIN),
        })
    }

    /// The user's id, once an answer told it.
    pub fn account_id(&self) -> Option<String> {
        self.user_id.get().cloned()
    }

    /// Asks whose top directory it is. The service tells no space of an account (section 4).
    pub async fn root_meta(&self) -> Result<String> {
        let request = self.get("root_meta", "meta", "/drive/explorer/v2/root_folder/meta");
        let answer = self.call(Repeat::Safe, request).await?;
        if let Some(user) = decode::nonempty(&answer["user_id"]) {
            let _ = self.user_id.set(user);
        }
        decode::nonempty(&answer["token"])
            .ok_or_else(|| DriveError::bad_answer("root_meta", "no token"))
    }

    /// A directory as calls want it that do not take an empty token for the top.
    pub async fn folder_token(&self, dir: &NodeId) -> Result<String> {
        if dir.as_str() != ROOT {
            return Ok(dir.as_str().to_owned());
        }
        let token = self.root_token.get_or_try_init(|| self.root_meta()).await?;
        Ok(token.clone())
    }

    pub fn get(&self, op: &'static str, class: &'static str, path: &str) -> Request {
        self.request(op, Method::GET, class, path)
    }

    pub fn post(&self, op: &'static str, class: &'static str, path: &str) -> Request {
        self.request(op, Method::POST, class, path)
    }

    pub fn request(
        &self,
        op: &'static str,
        method: Method,
        class: &'static str,
        path: &str,
    ) -> Request {
        Request::new(op, method, format!("{}/open-apis{path}", self.base)).class(class)
    }

    /// A request with a JSON body, as the service spells its type.
    pub fn json(request: Request, body: &Value) -> Request {
        request
            .json(body)
            .header("content-type", "application/json; charset=utf-8")
    }

    /// The current access token.
    pub async fn token(&self) -> Result<Secret> {
        self.tokens.access().await
    }

    /// A new token after the server refused this one.
    pub async fn renew(&self, stale: &Secret) -> Result<Secret> {
        self.tokens.renew(stale).await
    }

    /// A call with retries; the answer's `data` (null where the call has no result).
    pub async fn call(&self, repeat: Repeat, request: Request) -> Result<Value> {
        self.patiently(patience(), repeat, request).await
    }

    /// A call of which many are made for one question: it waits out the service's limits.
    pub async fn call_of_many(&self, request: Request) -> Result<Value> {
        self.patiently(RetryPolicy::TRANSFER, Repeat::Safe, request)
            .await
    }

    async fn patiently(
        &self,
        policy: RetryPolicy,
        repeat: Repeat,
        request: Request,
    ) -> Result<Value> {
        retry(policy, || self.attempt(repeat, request.clone())).await
    }

    /// A call without retries, but with one renewal of the token.
    pub async fn attempt(&self, repeat: Repeat, request: Request) -> Result<Value> {
        let token = self.token().await?;
        match self.send(repeat, request.clone().bearer(&token)).await {
            Err(error) if error.account == AccountEffect::Refresh => {
                let token = self.renew(&token).await?;
                self.send(repeat, request.bearer(&token)).await
            }
            other => other,
        }
    }

    async fn send(&self, repeat: Repeat, request: Request) -> Result<Value> {
        let (op, class) = (request.op, request.class);
        let response = self
            .client
            .send(request)
            .await
            .map_err(|error| transport(repeat, error))?;
        let head = Head::of(&response);
        let body = response
            .bytes(16 << 20)
            .await
            .map_err(|error| transport(repeat, error))?;
        answer_of(op, &head, &body).map_err(|error| self.judged(error, repeat, class))
    }

    /// An error with what it means for the calls that follow.
    pub fn judged(&self, error: DriveError, repeat: Repeat, class: &'static str) -> DriveError {
        if error.kind == ErrorKind::RateLimited
            && let Retry::After(pause) = error.retry
        {
            // Older calls say it with HTTP 400, which the client does not take for a limit.
            self.client.budget().hold(class, pause);
        }
        let error = self.with_scopes(error);
        if repeat == Repeat::Unsafe && super::answer::may_have_happened(&error) {
            return error.retry(Retry::Never);
        }
        error
    }

    /// Adds what was granted to an error about what was not.
    fn with_scopes(&self, error: DriveError) -> DriveError {
        if !matches!(
            error.code.as_deref(),
            Some("99991676" | "99991679" | "1061073")
        ) {
            return error;
        }
        let granted = self
            .granted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match granted {
            Some(granted) => DriveError {
                message: format!("{} (granted now: {granted})", error.message),
                ..error
            },
            None => error,
        }
    }

    /// Wall time in milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.client.clock().now_ms()
    }
}
