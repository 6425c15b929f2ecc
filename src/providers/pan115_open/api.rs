//! Calls to the open platform (sheet section 3.1), and the session keys of the object store
//! (section 7.1).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use moka::sync::Cache;
use reqwest::header::{HeaderMap, HeaderValue, USER_AGENT};
use serde_json::Value;
use tokio::sync::Mutex;

use super::auth::Refresh;
use super::errors::{BLOCK_PAUSE, judge};
use crate::drive::{
    AccountEffect, DriveContext, DriveError, ErrorKind, NodeId, Result, decode, open_client,
    patience,
};
use crate::net::{Client, NetErrorKind, Request, Retry, RetryPolicy, Secret, TokenKeeper, retry};
use crate::providers::oss::OssCredentials;

/// Links work only with the `User-Agent` of the call that asked for them (section 8), so that
/// there is one for everything.
pub const AGENT: &str = concat!("panfuse/", env!("CARGO_PKG_VERSION"));

/// Most bytes of an answer: a full page is about 1 MiB.
const ANSWER_LIMIT: usize = 16 << 20;

/// A session key lives one hour and is not used in its last ten minutes (section 7.1).
const KEY_LIFE_MS: i64 = 50 * 60 * 1000;

/// "Another one still running" ends after seconds (section 4.7).
const MUTATION: RetryPolicy = RetryPolicy {
    attempts: 8,
    base: Duration::from_secs(1),
    longest: Duration::from_secs(5),
};

/// Whether a call may be sent again when its answer was lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Reading, or writing the same state again.
    Safe,
    /// It creates something: only when it certainly did not arrive.
    Unsafe,
}

/// One call.
pub struct Call<'a> {
    pub op: &'static str,
    pub path: &'static str,
    pub class: &'static str,
    pub repeat: Repeat,
    /// POST with a form, else GET with a query.
    pub post: bool,
    pub pairs: &'a [(&'a str, &'a str)],
}

/// A session key of the object store and the store's address.
#[derive(Clone)]
pub struct Store {
    pub credentials: OssCredentials,
    pub endpoint: String,
}

/// The account's calls.
pub struct Api {
    pub client: Client,
    base: String,
    /// The store's base URL when the profile overrides it.
    store_override: Option<String>,
    store_default: String,
    store: Mutex<Option<(Store, i64)>>,
    tokens: TokenKeeper<DriveError>,
    user_id: OnceLock<String>,
    /// Moves, copies, deletes and restores go one at a time (section 4.7).
    mutations: Mutex<()>,
    /// What this process trashed: `get_info` may still find it (section 4.3).
    pub trashed: Cache<NodeId, ()>,
}

impl Api {
    pub fn new(context: DriveContext) -> Result<Api> {
        let base = context.endpoint("api")?.to_owned();
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let client = open_client(&context, headers)?;
        let refresh = Refresh {
            client: client.clone(),
            passport: context.endpoint("passport")?.to_owned(),
            profile: context.profile.clone(),
        };
        let store_default = context.endpoint("oss")?.to_owned();
        let store_override = context
            .overridden
            .iter()
            .any(|name| name == "oss")
            .then(|| store_default.clone());
        let tokens = TokenKeeper::new(
            context.credentials,
            context.clock.clone(),
            Arc::new(refresh),
        );
        Ok(Api {
            client,
            base,
            store_override,
            store_default,
            store: Mutex::new(None),
            tokens,
            user_id: OnceLock::new(),
            mutations: Mutex::new(()),
            trashed: Cache::builder()
                .max_capacity(10_000)
                .time_to_live(Duration::from_secs(24 * 3600))
                .build(),
        })
    }

    pub fn account_id(&self) -> Option<String> {
        self.user_id.get().cloned()
    }

    /// Remembers the user id that an answer told.
    pub fn learn_user(&self, id: &Value) {
        if let Some(id) = decode::nonempty(id).filter(|id| id != "0") {
            let _ = self.user_id.set(id);
        }
    }

    /// A GET with retries and one token refresh; the whole envelope.
    pub async fn get(
        &self,
        op: &'static str,
        path: &'static str,
        pairs: &[(&str, &str)],
    ) -> Result<Value> {
        let call = Call {
            op,
            path,
            class: "api",
            repeat: Repeat::Safe,
            post: false,
            pairs,
        };
        self.call(patience(), &call).await
    }

    /// A POST with retries and one token refresh; the whole envelope.
    pub async fn post(
        &self,
        op: &'static str,
        path: &'static str,
        class: &'static str,
        repeat: Repeat,
        pairs: &[(&str, &str)],
    ) -> Result<Value> {
        let call = Call {
            op,
            path,
            class,
            repeat,
            post: true,
            pairs,
        };
        self.call(patience(), &call).await
    }

    /// A move, copy, delete or restore: never two at a time, and waits while another client's
    /// is running.
    pub async fn mutate(
        &self,
        op: &'static str,
        path: &'static str,
        repeat: Repeat,
        pairs: &[(&str, &str)],
    ) -> Result<Value> {
        let call = Call {
            op,
            path,
            class: "mutate",
            repeat,
            post: true,
            pairs,
        };
        let _one_at_a_time = self.mutations.lock().await;
        self.call(MUTATION, &call).await
    }

    async fn call(&self, policy: RetryPolicy, call: &Call<'_>) -> Result<Value> {
        retry(policy, || async {
            let token = self.tokens.access().await?;
            match self.once(&token, call).await {
                Err(error) if error.account == AccountEffect::Refresh => {
                    let token = self.tokens.renew(&token).await?;
                    self.once(&token, call).await
                }
                other => other,
            }
        })
        .await
    }

    async fn once(&self, token: &Secret, call: &Call<'_>) -> Result<Value> {
        let url = format!("{}{}", self.base, call.path);
        let request = if call.post {
            Request::post(call.op, url).form(call.pairs)
        } else {
            call.pairs
                .iter()
                .fold(Request::get(call.op, url), |request, (key, value)| {
                    request.query(key, value)
                })
        };
        let request = request.class(call.class).bearer(token);
        let answered = async {
            let response = self.client.send(request).await?;
            let status = response.status.as_u16();
            let headers = response.headers.clone();
            Ok((status, headers, response.bytes(ANSWER_LIMIT).await?))
        }
        .await;
        let (status, headers, body) = match answered {
            Ok(answer) => answer,
            Err(error) => {
                let error: crate::net::NetError = error;
                let arrived = error.kind != NetErrorKind::Connect;
                let error = DriveError::from(error);
                return Err(if call.repeat == Repeat::Unsafe && arrived {
                    error.retry(Retry::Never)
                } else {
                    error
                });
            }
        };
        let judged = judge(call.op, status, &headers, &body);
        if judged.is_ok() {
            self.client.breaker().heal();
        }
        judged.map_err(|error| {
            if error.kind == ErrorKind::Risk {
                let pause = match error.account {
                    AccountEffect::CoolDown(pause) => pause,
                    _ => BLOCK_PAUSE,
                };
                self.client.breaker().trip(pause, &error.message);
            }
            if call.repeat == Repeat::Unsafe && may_have_happened(&error) {
                error.retry(Retry::Never)
            } else {
                error
            }
        })
    }

    /// The object store's session key, fetched once in 50 minutes.
    pub async fn store(&self) -> Result<Store> {
        let now = self.client.clock().now_ms();
        let mut kept = self.store.lock().await;
        if let Some((store, _)) = kept.as_ref().filter(|(_, until)| now < *until) {
            return Ok(store.clone());
        }
        let answer = self
            .get("upload_key", "/open/upload/get_token", &[])
            .await?;
        let data = match &answer["data"] {
            Value::Array(list) => list.first().unwrap_or(&Value::Null),
            data => data,
        };
        let part = |key: &str| {
            decode::nonempty(&data[key])
                .map(Secret::new)
                .ok_or_else(|| DriveError::bad_answer("upload_key", format!("no {key}")))
        };
        let store = Store {
            credentials: OssCredentials {
                access_key_id: part("AccessKeyId")?,
                access_key_secret: part("AccessKeySecret")?,
                token: part("SecurityToken")?,
            },
            endpoint: self
                .store_override
                .clone()
                .or_else(|| decode::nonempty(&data["endpoint"]))
                .unwrap_or_else(|| self.store_default.clone()),
        };
        let minute = 60_000;
        let until = decode::rfc3339_ms(&data["expiration"])
            .or_else(|| decode::rfc3339_ms(&data["Expiration"]))
            .map(|end| end.saturating_sub(minute))
            // A clock that differs from the store's must not make every key look spent.
            .filter(|end| *end > now.saturating_add(minute))
            .unwrap_or(i64::MAX)
            .min(now.saturating_add(KEY_LIFE_MS));
        *kept = Some((store.clone(), until));
        Ok(store)
    }

    /// Forgets a session key that the store refused.
    pub async fn forget_store(&self, refused: &Store) {
        let mut kept = self.store.lock().await;
        let same = kept.as_ref().is_some_and(|(store, _)| {
            store.credentials.access_key_id == refused.credentials.access_key_id
                && store.credentials.token == refused.credentials.token
        });
        if same {
            *kept = None;
        }
    }
}

/// Whether a call with this error may have taken effect nevertheless: its answer was lost or
/// makes no sense.
pub fn may_have_happened(error: &DriveError) -> bool {
    match error.kind {
        ErrorKind::Network | ErrorKind::Timeout | ErrorKind::BadAnswer => true,
        ErrorKind::Provider => error.code.is_none(),
        _ => false,
    }
}
