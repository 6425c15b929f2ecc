//! Calls as the web clients make them (sheet section 3.2): signed by cookies, spread over hosts.

use std::future::Future;

use moka::sync::Cache;
use reqwest::header::{HeaderMap, HeaderValue, USER_AGENT};
use serde_json::Value;
use tokio::sync::Mutex;

use super::auth::CookieJar;
use super::ec115::Ec115;
use super::m115::M115;
use crate::drive::{
    AccountEffect, DriveContext, DriveError, ErrorKind, NodeId, Result, decode, open_client,
    patience,
};
use crate::net::{Client, Request, RetryPolicy, Secret, retry};
use crate::providers::pan115_open::api::{MUTATION, Repeat, exchange, trash_memory};
use crate::providers::pan115_open::errors::judge;
use crate::providers::pan115_open::keys::StoreKeys;

/// The version that we are, for the server: one of those seen in use (section 3.2). The upload
/// question is signed with it.
pub const VERSION: &str = "36.2.28";

/// Links are bound to the agent that asked for them (section 8), so that there is one for all.
const AGENT: &str = "Mozilla/5.0 115Browser/36.2.28";

/// Listings by name come from a host of their own (section 4.2).
const NAMES_HOST: &str = "https://aps.115.com";

/// Who uploads are signed as (section 4.10).
#[derive(Clone)]
pub struct Identity {
    pub user_id: String,
    pub user_key: Secret,
}

/// The account's calls.
pub struct Api {
    pub client: Client,
    /// Host of links and of the upload identity.
    pub app: String,
    /// Host of everything about files.
    pub web: String,
    /// Host of listings by name.
    pub names: String,
    /// Host of uploads.
    pub upload: String,
    pub jar: CookieJar,
    pub keys: StoreKeys,
    pub m115: M115,
    pub ec115: Ec115,
    /// What this process trashed: it may still be found by id (section 4.3).
    pub trashed: Cache<NodeId, ()>,
    /// The store's address, once it was told.
    pub store_address: Mutex<Option<String>>,
    identity: Mutex<Option<Identity>>,
    /// Moves, copies, deletes and restores go one at a time (section 4.7).
    mutations: Mutex<()>,
}

impl Api {
    pub fn new(context: DriveContext) -> Result<Api> {
        let unusable = |field: &str| {
            DriveError::new(
                ErrorKind::Invalid,
                format!("profile {}: {field} is no such key", context.profile),
            )
        };
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let host = |name: &str| context.endpoint(name).map(str::to_owned);
        let web = host("web")?;
        // A profile with a web host of its own has no other host for listings by name.
        let own = context.overridden.iter().any(|name| name == "web");
        let names = if own {
            web.clone()
        } else {
            NAMES_HOST.to_owned()
        };
        Ok(Api {
            client: open_client(&context, headers)?,
            app: host("api")?,
            web,
            names,
            upload: host("upload")?,
            keys: StoreKeys::new(&context)?,
            m115: M115::new(context.field("download_key"))
                .ok_or_else(|| unusable("download_key"))?,
            ec115: Ec115::new(context.field("upload_key")).ok_or_else(|| unusable("upload_key"))?,
            trashed: trash_memory(),
            store_address: Mutex::new(None),
            identity: Mutex::new(None),
            mutations: Mutex::new(()),
            jar: CookieJar::new(context.credentials, context.profile),
        })
    }

    /// Wall time in seconds since the epoch.
    pub fn seconds(&self) -> i64 {
        self.client.clock().now_ms().div_euclid(1000)
    }

    /// Runs `attempt` with the cookies until it succeeds or need not be tried again; once more
    /// with new ones where somebody stored them since.
    pub async fn ask<T, F, Fut>(&self, policy: RetryPolicy, attempt: F) -> Result<T>
    where
        F: Fn(Secret) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        retry(policy, || async {
            let cookie = self.jar.current().await?;
            match attempt(cookie.clone()).await {
                Err(error) if error.account == AccountEffect::Refresh => {
                    let cookie = self.jar.renewed(&cookie, error).await?;
                    let again = attempt(cookie).await;
                    again.map_err(|error| match error.account {
                        AccountEffect::Refresh => self.jar.ended(error),
                        _ => error,
                    })
                }
                other => other,
            }
        })
        .await
    }

    /// A call whose answer is an envelope.
    pub async fn call(
        &self,
        policy: RetryPolicy,
        repeat: Repeat,
        request: impl Fn() -> Request,
    ) -> Result<Value> {
        self.ask(policy, |cookie| {
            let request = request().header("cookie", cookie.expose());
            let op = request.op;
            exchange(
                &self.client,
                request,
                repeat,
                move |status, headers, body| judge(op, status, headers, body),
            )
        })
        .await
    }

    /// Asks the web host.
    pub async fn get(&self, op: &'static str, path: &str, pairs: &[(&str, &str)]) -> Result<Value> {
        self.call(patience(), Repeat::Safe, || {
            query(op, &format!("{}{path}", self.web), pairs)
        })
        .await
    }

    /// Tells the web host.
    pub async fn post(
        &self,
        op: &'static str,
        path: &str,
        repeat: Repeat,
        pairs: &[(&str, &str)],
    ) -> Result<Value> {
        let url = format!("{}{path}", self.web);
        self.call(patience(), repeat, || {
            Request::post(op, &url).class("api").form(pairs)
        })
        .await
    }

    /// A move, copy, delete or restore: never two at a time, and waits while another client's is
    /// running.
    pub async fn mutate(
        &self,
        op: &'static str,
        path: &str,
        repeat: Repeat,
        pairs: &[(&str, &str)],
    ) -> Result<Value> {
        let url = format!("{}{path}", self.web);
        let _one_at_a_time = self.mutations.lock().await;
        self.call(MUTATION, repeat, || {
            Request::post(op, &url).class("mutate").form(pairs)
        })
        .await
    }

    /// The upload identity, asked for once.
    pub async fn identity(&self) -> Result<Identity> {
        let mut kept = self.identity.lock().await;
        if let Some(identity) = &*kept {
            return Ok(identity.clone());
        }
        let url = format!("{}/app/uploadinfo", self.app);
        let answer = self
            .call(patience(), Repeat::Safe, || {
                query("upload_identity", &url, &[])
            })
            .await?;
        // The members stand beside the state; a wrapped spelling costs nothing to read.
        let part = |key: &str| {
            decode::nonempty(&answer[key])
                .or_else(|| decode::nonempty(&answer["data"][key]))
                .ok_or_else(|| DriveError::bad_answer("upload_identity", format!("no {key}")))
        };
        let identity = Identity {
            user_id: part("user_id")?,
            user_key: Secret::new(part("userkey")?),
        };
        *kept = Some(identity.clone());
        Ok(identity)
    }

    /// Forgets an upload identity whose signature was refused.
    pub async fn forget_identity(&self, refused: &Identity) {
        let mut kept = self.identity.lock().await;
        if kept
            .as_ref()
            .is_some_and(|identity| identity.user_key == refused.user_key)
        {
            *kept = None;
        }
    }
}

/// A GET with a query.
pub fn query(op: &'static str, url: &str, pairs: &[(&str, &str)]) -> Request {
    let request = Request::get(op, url).class("api");
    pairs
        .iter()
        .fold(request, |request, (key, value)| request.query(key, value))
}
