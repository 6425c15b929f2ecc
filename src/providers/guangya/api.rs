//! JSON calls to the business interface (sheet section 3): headers, one token refresh, the
//! throttle, and what may be sent again.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use reqwest::header::{HeaderMap, HeaderValue, USER_AGENT};
use serde_json::Value;

use super::auth::{Identity, Refresh, bare, subject};
use super::error::{Reply, error_of, is_throttled, reply};
use super::grant::Grant;
use super::platform::Paths;
use crate::drive::{
    AccountEffect, DriveContext, DriveError, ErrorKind, NodeId, Result, open_client, patience,
};
use crate::net::{Client, Request, Retry, Secret, TokenKeeper, retry};

/// The id of the root inside panfuse; the service writes it as an empty text.
pub const ROOT: &str = "root";

/// "250 ms doubling to 4 s, 6 tries" (section 10, code 120).
const THROTTLE: Duration = Duration::from_millis(250);
const THROTTLE_LONGEST: Duration = Duration::from_secs(4);
const THROTTLE_TRIES: u32 = 6;

/// An account that is throttled after all tries is left alone this long.
const THROTTLE_REST: Duration = Duration::from_secs(60);

/// Whether a call may be sent again when its answer was lost.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeat {
    /// Reading, or writing the same state again.
    Safe,
    /// Only when it certainly was not carried out.
    Unsafe,
}

/// One call. Every business call is a POST with a JSON body, also those that read.
pub struct Call {
    op: &'static str,
    path: &'static str,
    body: Value,
    class: &'static str,
    accept: &'static [i64],
    repeat: Repeat,
}

impl Call {
    /// A call to `path` in its current spelling.
    pub fn new(op: &'static str, path: &'static str, body: Value) -> Call {
        Call {
            op,
            path,
            body,
            class: "other",
            accept: &[],
            repeat: Repeat::Safe,
        }
    }

    /// In this rate class.
    pub fn class(mut self, class: &'static str) -> Call {
        self.class = class;
        self
    }

    /// These codes are answers, not failures.
    pub fn accept(mut self, codes: &'static [i64]) -> Call {
        self.accept = codes;
        self
    }

    /// It makes something, or would do harm when it is done twice.
    pub fn once(mut self) -> Call {
        self.repeat = Repeat::Unsafe;
        self
    }
}

/// The account's calls.
pub struct Api {
    pub client: Client,
    pub identity: Arc<Identity>,
    /// The object store's base address, when the profile overrides it.
    pub oss: Option<String>,
    base: String,
    paths: Paths,
    tokens: TokenKeeper<DriveError>,
    /// Keys to the object store of uploads under way, by task; see `grant`.
    pub grants: Cache<String, Grant>,
    /// Tasks of small files that were opened here, and of which no byte went out yet.
    pub untouched: Cache<String, ()>,
    /// One key is renewed at a time.
    pub renewing: tokio::sync::Mutex<()>,
    /// Directories made a moment ago: an empty listing of one needs no second look.
    pub fresh: Cache<NodeId, ()>,
}

impl Api {
    /// # Errors
    /// `Invalid` for a profile that cannot work.
    pub fn new(context: &DriveContext) -> Result<Api> {
        let oss = context
            .overridden
            .iter()
            .any(|name| name == "oss")
            .then(|| context.endpoint("oss").map(str::to_owned))
            .transpose()?;
        let named = context.field("paths").trim();
        let paths = Paths::find(named).ok_or_else(|| {
            DriveError::new(
                ErrorKind::Invalid,
                format!(
                    "profile {}: paths is {named:?}; use current or older",
                    context.profile
                ),
            )
        })?;
        let identity = Arc::new(Identity::new(context)?);
        let mut headers = HeaderMap::new();
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(identity.platform.agent),
        );
        let client = open_client(context, headers)?;
        let refresh = Refresh {
            client: client.clone(),
            base: context.endpoint("account")?.to_owned(),
            identity: identity.clone(),
        };
        Ok(Api {
            base: context.endpoint("api")?.to_owned(),
            tokens: TokenKeeper::new(
                context.credentials.clone(),
                context.clock.clone(),
                Arc::new(refresh),
            ),
            client,
            identity,
            oss,
            paths,
            grants: Cache::builder()
                .max_capacity(4096)
                .time_to_live(Duration::from_secs(24 * 3600))
                .build(),
            untouched: Cache::builder()
                .max_capacity(4096)
                .time_to_live(Duration::from_secs(24 * 3600))
                .build(),
            renewing: tokio::sync::Mutex::default(),
            fresh: Cache::builder()
                .max_capacity(4096)
                .time_to_live(Duration::from_secs(60))
                .build(),
        })
    }

    /// Milliseconds since the epoch.
    pub fn now(&self) -> i64 {
        self.client.clock().now_ms()
    }

    /// A call with retries; the content of its answer.
    pub async fn call(&self, call: Call) -> Result<Value> {
        Ok(self.reply(call).await?.data)
    }

    /// A call with retries; code and content of its answer.
    pub async fn reply(&self, call: Call) -> Result<Reply> {
        retry(patience(), || self.attempt(&call)).await
    }

    /// A call without retries but for one token refresh and the throttle: for who polls.
    pub async fn attempt(&self, call: &Call) -> Result<Reply> {
        let mut token = self.tokens.access().await?;
        let (mut refreshed, mut tries) = (false, 1);
        let mut pause = THROTTLE;
        loop {
            match self.send(&token, call).await {
                Err(error) if error.account == AccountEffect::Refresh && !refreshed => {
                    refreshed = true;
                    token = self.tokens.renew(&token).await?;
                }
                // Refused before it was carried out: any call may be sent again.
                Err(error) if is_throttled(&error) && tries < THROTTLE_TRIES => {
                    self.client.budget().hold(call.class, pause);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(THROTTLE_LONGEST);
                    tries += 1;
                }
                Err(error) if is_throttled(&error) => {
                    return Err(error.retry(Retry::After(THROTTLE_REST)));
                }
                other => return other,
            }
        }
    }

    async fn send(&self, token: &Secret, call: &Call) -> Result<Reply> {
        let token = bare(token);
        self.identity.learn_user(subject(token.expose()));
        let url = format!("{}{}", self.base, self.paths.spell(call.path));
        let request = Request::post(call.op, url)
            .class(call.class)
            .json(&call.body)
            .bearer(&token);
        let did = self.identity.device().await?;
        let request = self.identity.platform.dress(request, did);
        let unsure = call.repeat == Repeat::Unsafe;
        // A connection that broke does not tell what the server did before.
        let once = |error: DriveError| match unsure {
            true => error.retry(Retry::Never),
            false => error,
        };
        let response = self.client.send(request).await;
        let response = response.map_err(|error| once(error.into()))?;
        let (status, pause) = (response.status, response.retry_after());
        let bytes = response.bytes(16 << 20).await;
        let bytes = bytes.map_err(|error| once(error.into()))?;
        let answer = serde_json::from_slice::<Value>(&bytes);
        if let Ok(mut answer) = answer
            && let Some(reply) = reply(status.is_success(), &mut answer, call.accept)
        {
            self.client.breaker().heal();
            return Ok(reply);
        }
        let error = error_of(call.op, status.as_u16(), pause, &bytes);
        if let AccountEffect::CoolDown(pause) = error.account {
            self.client.breaker().trip(pause, &error.to_string());
        }
        // Writes are sent again only when they surely were not carried out (section 10).
        Err(match error.kind {
            ErrorKind::Provider | ErrorKind::Timeout => once(error),
            _ => error,
        })
    }
}

/// The id as the service spells it.
pub fn wire(id: &NodeId) -> &str {
    match id.as_str() {
        ROOT => "",
        id => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_written_empty() {
        assert_eq!(wire(&NodeId::new(ROOT)), "");
        assert_eq!(
            wire(&NodeId::new("194000000000000001")),
            "194000000000000001"
        );
    }
}
