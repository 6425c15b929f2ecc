//! JSON calls to the open platform (sheet section 3).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::Value;

use super::answer::{answer_of, may_have_happened, seconds, transport};
use super::auth::Refresh;
use crate::drive::{
    AccountEffect, DriveContext, DriveError, ErrorKind, Result, decode, open_client, patience,
};
use crate::net::{Client, Request, Retry, TokenKeeper, retry};

/// Whether a call may be sent again when its answer was lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Reading, or writing the same state again.
    Safe,
    /// It creates something: only when it certainly did not arrive.
    Unsafe,
}

/// How long an account rests after a block page.
const BLOCK_PAUSE: Duration = Duration::from_secs(600);

/// The account's calls.
pub struct Api {
    pub client: Client,
    base: String,
    /// Used when the answer of `create` names no upload host.
    upload: String,
    /// The profile says where slices go, whatever the answer names.
    upload_fixed: bool,
    tokens: TokenKeeper<DriveError>,
    user_id: OnceLock<String>,
    /// Sessions whose end was asked for by this process: they may have become files.
    pub finishing: moka::sync::Cache<String, ()>,
    /// Sessions that the service does not know any more, or gave up.
    pub ended: moka::sync::Cache<String, ()>,
}

impl Api {
    pub fn new(context: DriveContext) -> Result<Api> {
        let base = context.endpoint("api")?.to_owned();
        let upload = context.endpoint("upload")?.to_owned();
        let client = open_client(&context, HeaderMap::new())?;
        let refresh = Refresh::new(
            client.clone(),
            base.clone(),
            context.field("client_id").to_owned(),
            context.profile.clone(),
        );
        let upload_fixed = context.overridden.iter().any(|name| name == "upload");
        let tokens = TokenKeeper::new(context.credentials, context.clock, Arc::new(refresh));
        Ok(Api {
            client,
            base,
            upload,
            upload_fixed,
            tokens,
            user_id: OnceLock::new(),
            finishing: moka::sync::Cache::new(4096),
            ended: moka::sync::Cache::new(4096),
        })
    }

    pub fn account_id(&self) -> Option<String> {
        self.user_id.get().cloned()
    }

    /// Remembers the user id that an answer told.
    pub fn learn_account(&self, uid: &Value) {
        if let Some(uid) = decode::nonempty(uid).filter(|uid| uid != "0") {
            let _ = self.user_id.set(uid);
        }
    }

    /// The hosts slices go to: what the profile overrides, else what `create` named.
    pub fn upload_hosts(&self, named: &Value) -> Vec<String> {
        let mut hosts: Vec<String> = Vec::new();
        if !self.upload_fixed {
            hosts = decode::list(named)
                .iter()
                .filter_map(decode::nonempty)
                .map(|host| host.trim_end_matches('/').to_owned())
                .filter(|host| host.starts_with("http://") || host.starts_with("https://"))
                .collect();
        }
        if hosts.is_empty() {
            hosts.push(self.upload.clone());
        }
        hosts
    }

    pub fn get(&self, op: &'static str, class: &'static str, path: &str) -> Request {
        Request::get(op, format!("{}{path}", self.base)).class(class)
    }

    pub fn post(&self, op: &'static str, class: &'static str, path: &str) -> Request {
        Request::post(op, format!("{}{path}", self.base)).class(class)
    }

    pub fn put(&self, op: &'static str, class: &'static str, path: &str) -> Request {
        Request::put(op, format!("{}{path}", self.base)).class(class)
    }

    /// A call with retries; the answer's `data` (null where the call has no result).
    pub async fn call(&self, repeat: Repeat, request: Request) -> Result<Value> {
        retry(patience(), || self.attempt(repeat, request.clone())).await
    }

    /// A call without retries, but with one renewal of the token.
    pub async fn attempt(&self, repeat: Repeat, request: Request) -> Result<Value> {
        let token = self.tokens.access().await?;
        match self.send(repeat, request.clone().bearer(&token)).await {
            Err(error) if error.account == AccountEffect::Refresh => {
                let token = self.tokens.renew(&token).await?;
                self.send(repeat, request.bearer(&token)).await
            }
            other => other,
        }
    }

    async fn send(&self, repeat: Repeat, request: Request) -> Result<Value> {
        let op = request.op;
        let request = request.header("platform", "open_platform");
        let response = self
            .client
            .send(request)
            .await
            .map_err(|error| transport(repeat, error))?;
        let status = response.status.as_u16();
        let pause = response.header("retry-after").and_then(seconds);
        let body = response
            .bytes(16 << 20)
            .await
            .map_err(|error| transport(repeat, error))?;
        answer_of(op, status, pause, &body).map_err(|error| {
            if error.kind == ErrorKind::Risk {
                self.client.breaker().trip(BLOCK_PAUSE, &error.message);
            }
            if repeat == Repeat::Unsafe && may_have_happened(&error) {
                error.retry(Retry::Never)
            } else {
                error
            }
        })
    }
}
