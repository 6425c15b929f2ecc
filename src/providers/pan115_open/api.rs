//! Calls to the open platform (sheet section 3.1), and how a call of either mode is sent.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use moka::sync::Cache;
use reqwest::header::{HeaderMap, HeaderValue, USER_AGENT};
use serde_json::Value;
use tokio::sync::Mutex;

use super::auth::Refresh;
use super::errors::{BLOCK_PAUSE, judge};
use super::keys::StoreKeys;
use crate::drive::{
    AccountEffect, DriveContext, DriveError, ErrorKind, NodeId, Result, decode, open_client,
    patience,
};
use crate::net::{
    Client, NetError, NetErrorKind, Request, Retry, RetryPolicy, Secret, TokenKeeper, retry,
};

/// Links work only with the `User-Agent` of the call that asked for them (section 8), so that
/// there is one for everything.
pub const AGENT: &str = concat!("panfuse/", env!("CARGO_PKG_VERSION"));

/// Most bytes of an answer: a full page is about 1 MiB.
const ANSWER_LIMIT: usize = 16 << 20;

/// "Another one still running" ends after seconds (section 4.7).
pub const MUTATION: RetryPolicy = RetryPolicy {
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

/// The account's calls.
pub struct Api {
    pub client: Client,
    base: String,
    pub keys: StoreKeys,
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
        let keys = StoreKeys::new(&context)?;
        let tokens = TokenKeeper::new(
            context.credentials,
            context.clock.clone(),
            Arc::new(refresh),
        );
        Ok(Api {
            client,
            base,
            keys,
            tokens,
            user_id: OnceLock::new(),
            mutations: Mutex::new(()),
            trashed: trash_memory(),
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
        exchange(
            &self.client,
            request,
            call.repeat,
            |status, headers, body| judge(call.op, status, headers, body),
        )
        .await
    }
}

/// What this process trashed is remembered for a day.
pub fn trash_memory() -> Cache<NodeId, ()> {
    Cache::builder()
        .max_capacity(10_000)
        .time_to_live(Duration::from_secs(24 * 3600))
        .build()
}

/// Sends `request` once and has its answer judged by `read`. A sign of suspicion opens the
/// account's breaker, an answer that is none closes it. What must not happen twice is not tried
/// again unless it certainly did not happen.
pub async fn exchange<T>(
    client: &Client,
    request: Request,
    repeat: Repeat,
    read: impl FnOnce(u16, &HeaderMap, &Bytes) -> Result<T>,
) -> Result<T> {
    let answered: Result<_, NetError> = async {
        let response = client.send(request).await?;
        let status = response.status.as_u16();
        let headers = response.headers.clone();
        Ok((status, headers, response.bytes(ANSWER_LIMIT).await?))
    }
    .await;
    let (status, headers, body) = match answered {
        Ok(answer) => answer,
        Err(error) => {
            let arrived = error.kind != NetErrorKind::Connect;
            let error = DriveError::from(error);
            return Err(if repeat == Repeat::Unsafe && arrived {
                error.retry(Retry::Never)
            } else {
                error
            });
        }
    };
    let judged = read(status, &headers, &body);
    if judged.is_ok() {
        client.breaker().heal();
    }
    judged.map_err(|error| {
        if error.kind == ErrorKind::Risk {
            let pause = match error.account {
                AccountEffect::CoolDown(pause) => pause,
                _ => BLOCK_PAUSE,
            };
            client.breaker().trip(pause, &error.message);
        }
        if repeat == Repeat::Unsafe && may_have_happened(&error) {
            error.retry(Retry::Never)
        } else {
            error
        }
    })
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
