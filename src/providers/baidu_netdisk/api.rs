//! The account's calls (sheet section 3): who is asking goes into the query, errors come in four
//! envelopes, one operation on files at a time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use moka::sync::Cache;
use reqwest::header::{HeaderMap, HeaderValue, USER_AGENT};
use serde_json::Value;
use tokio::sync::Mutex;

use super::answer::judge;
use super::auth::{Access, CookieJar, Refresh};
use super::paths::Paths;
use crate::drive::{
    AccountEffect, DriveContext, DriveError, Result, decode, open_client, patience,
};
use crate::net::{Client, Request, Retry, TokenKeeper, retry};

/// Downloads are refused to other agents; the sheet recommends it everywhere (section 3).
pub const AGENT: &str = "pan.baidu.com";

/// Most bytes of an answer: a full page is about 1 MiB.
const ANSWER_LIMIT: usize = 16 << 20;

/// How long the address of an upload server is used (section 7.1: for the life of an upload;
/// one client keeps it for six hours).
const HOST_LIFE_MS: i64 = 3_600_000;

/// How long the fixed host is used when none was named.
const FALLBACK_LIFE_MS: i64 = 60_000;

/// How often "another task is running" is waited out.
const BUSY_TRIES: u32 = 5;

/// What the account itself is told to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// Numeric user id.
    pub uk: u64,
    /// 0 normal, 1 VIP, 2 SVIP (section 7.2).
    pub level: u8,
}

/// The account's calls.
pub struct Api {
    pub client: Client,
    pub access: Access,
    pub paths: Paths,
    base: String,
    pcs: String,
    recycle: String,
    /// The profile names the upload host itself.
    pcs_fixed: bool,
    host: Mutex<Option<(String, i64)>>,
    user_id: OnceLock<String>,
    user: tokio::sync::OnceCell<User>,
    /// Operations on files go one at a time: two tasks of an account disturb each other (4.7).
    pub mutations: Mutex<()>,
    /// Folder of the app below `/apps`, empty when the profile names none.
    app_name: String,
    /// Id of the app (`AppID`), empty when the profile names none.
    app_id: String,
    /// The app was seen to be refused outside of its folder.
    confined: AtomicBool,
    /// Part of temporary names.
    pub instance: String,
    /// Upload sessions that the service called dead.
    pub dead: Cache<String, ()>,
    /// Upload sessions whose end was asked for: they may have become files.
    pub ending: Cache<String, ()>,
}

impl Api {
    pub fn new(context: DriveContext) -> Result<Api> {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let client = open_client(&context, headers)?;
        let base = context.endpoint("api")?.to_owned();
        let pcs = context.endpoint("pcs")?.to_owned();
        let auth = context.endpoint("auth")?.to_owned();
        let recycle = context.endpoint("recycle")?.to_owned();
        let access = if context.auth_mode == "manual_cookie" {
            Access::Cookie(CookieJar::new(
                context.credentials.clone(),
                context.profile.clone(),
            ))
        } else {
            let refresh = Refresh {
                client: client.clone(),
                base: auth,
                client_id: context.field("client_id").to_owned(),
                profile: context.profile.clone(),
            };
            Access::Tokens(TokenKeeper::new(
                context.credentials.clone(),
                context.clock.clone(),
                Arc::new(refresh),
            ))
        };
        Ok(Api {
            client,
            access,
            paths: Paths::default(),
            base,
            pcs,
            recycle,
            pcs_fixed: context.overridden.iter().any(|name| name == "pcs"),
            host: Mutex::new(None),
            user_id: OnceLock::new(),
            user: tokio::sync::OnceCell::new(),
            mutations: Mutex::new(()),
            app_name: context.field("app_name").trim_matches('/').to_owned(),
            app_id: context.field("app_id").trim().to_owned(),
            confined: AtomicBool::new(false),
            instance: context.instance.clone(),
            dead: Cache::new(4096),
            ending: Cache::new(4096),
        })
    }

    pub fn account_id(&self) -> Option<String> {
        self.user_id.get().cloned()
    }

    /// Milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        self.client.clock().now_ms()
    }

    pub fn get(&self, op: &'static str, class: &'static str, path: &str) -> Request {
        Request::get(op, format!("{}{path}", self.base)).class(class)
    }

    pub fn post(&self, op: &'static str, class: &'static str, path: &str) -> Request {
        Request::post(op, format!("{}{path}", self.base)).class(class)
    }

    /// A request to the host that has the recycle bin.
    pub fn post_recycle(&self, op: &'static str, path: &str) -> Request {
        Request::post(op, format!("{}{path}", self.recycle)).class("mutate")
    }

    /// A call that may be repeated, with retries.
    pub async fn call(&self, request: Request) -> Result<Value> {
        retry(patience(), || self.attempt(request.clone())).await
    }

    /// A call without retries, but with one renewal of the token.
    pub async fn attempt(&self, request: Request) -> Result<Value> {
        let proof = self.access.current().await?;
        match self.send(self.access.sign(request.clone(), &proof)).await {
            Err(error) if error.account == AccountEffect::Refresh => {
                let proof = self.access.renew(&proof).await?;
                self.send(self.access.sign(request, &proof)).await
            }
            other => other,
        }
    }

    async fn send(&self, request: Request) -> Result<Value> {
        let op = request.op;
        let response = self.client.send(request).await?;
        let status = response.status.as_u16();
        let headers = response.headers.clone();
        let body = response.bytes(ANSWER_LIMIT).await?;
        let judged = judge(op, status, &headers, &body);
        match &judged {
            Ok(_) => self.client.breaker().heal(),
            Err(error) => self.note(error),
        }
        judged
    }

    /// Opens the breaker when the error asks for a pause of the account.
    pub fn note(&self, error: &DriveError) {
        if let AccountEffect::CoolDown(pause) = error.account {
            self.client.breaker().trip(pause, &error.to_string());
        }
    }

    /// One `filemanager` call. "Another task is running" is waited out; the same code also means
    /// an expired token, so it is renewed when the first wait did not help (section 10).
    /// The caller holds [`Api::mutations`].
    pub async fn manage(&self, request: Request) -> Result<Value> {
        let mut waited = 0;
        loop {
            let error = match self.attempt(request.clone()).await {
                Err(error) if error.code.as_deref() == Some("111") => error,
                other => return other,
            };
            waited += 1;
            if waited >= BUSY_TRIES {
                return Err(error.retry(Retry::Never));
            }
            tokio::time::sleep(busy_pause(waited)).await;
            if waited == 2 && !self.access.is_cookie() {
                let stale = self.access.current().await?;
                self.access.renew(&stale).await?;
            }
        }
    }

    /// User id and membership, asked once (section 4.1).
    pub async fn user(&self) -> Result<User> {
        let user = self
            .user
            .get_or_try_init(|| async {
                let request = self
                    .get("user", "other", "/rest/2.0/xpan/nas")
                    .query("method", "uinfo")
                    .query("vip_version", "v2");
                let answer = self.call(request).await?;
                if let Some(uk) = decode::nonempty(&answer["uk"]).filter(|uk| uk != "0") {
                    let _ = self.user_id.set(uk);
                }
                let level = match decode::integer(&answer["vip_type"]) {
                    Some(level @ 1..=2) => level as u8,
                    _ => 0,
                };
                Ok::<User, DriveError>(User {
                    uk: decode::unsigned(&answer["uk"]).unwrap_or(0),
                    level,
                })
            })
            .await?;
        Ok(*user)
    }

    /// Where slices go: asked for once in a while (section 7.1, step 2).
    pub async fn upload_host(&self, path: &str, uploadid: &str) -> Result<String> {
        let now = self.now_ms();
        let mut kept = self.host.lock().await;
        if let Some((host, _)) = kept.as_ref().filter(|(_, until)| now < *until) {
            return Ok(host.clone());
        }
        let request = Request::get("locate", format!("{}/rest/2.0/pcs/file", self.pcs))
            .query("method", "locateupload")
            .query("appid", "250528")
            .query("path", path)
            .query("uploadid", uploadid)
            .query("upload_version", "2.0");
        // The fixed host takes slices as well (section 7.1): no answer is no obstacle.
        let named = match self.attempt(request).await {
            Ok(answer) => chosen_host(&answer, self.pcs_fixed.then_some(self.pcs.as_str())),
            Err(error) if matches!(error.account, AccountEffect::CoolDown(_)) => {
                return Err(error);
            }
            Err(_) => None,
        };
        let life = if named.is_some() {
            HOST_LIFE_MS
        } else {
            FALLBACK_LIFE_MS
        };
        let host = named.unwrap_or_else(|| self.pcs.clone());
        *kept = Some((host.clone(), now.saturating_add(life)));
        Ok(host)
    }

    /// Another upload server is asked for next time: this one is in trouble.
    pub async fn forget_host(&self) {
        *self.host.lock().await = None;
    }

    /// The app's folder, when the profile names one.
    pub fn app_folder(&self) -> Option<String> {
        (!self.app_name.is_empty()).then(|| format!("/apps/{}", self.app_name))
    }

    /// Id of the app, empty when the profile names none.
    pub fn app_id(&self) -> &str {
        &self.app_id
    }

    /// Whether the app is known to be refused outside of its folder.
    pub fn is_confined(&self) -> bool {
        self.confined.load(Ordering::Relaxed)
    }

    /// The app was refused outside of its folder.
    pub fn confine(&self) {
        self.confined.store(true, Ordering::Relaxed);
    }
}

/// 5 s, then 10 s (section 10).
fn busy_pause(waited: u32) -> Duration {
    let seconds = if waited == 1 { 5 } else { 10 };
    if cfg!(test) {
        Duration::from_millis(seconds)
    } else {
        Duration::from_secs(seconds)
    }
}

/// The first https address of `servers`, then of `bak_servers`. With a PCS host of the profile's
/// own only addresses of the same scheme count: a stand-in hands out its own.
fn chosen_host(answer: &Value, fixed: Option<&str>) -> Option<String> {
    let scheme = match fixed.and_then(|base| base.split_once("://")) {
        Some((scheme, _)) => format!("{scheme}://"),
        None => "https://".to_owned(),
    };
    ["servers", "bak_servers"]
        .into_iter()
        .flat_map(|field| decode::list(&answer[field]))
        .filter_map(|server| {
            decode::nonempty(&server["server"]).or_else(|| decode::nonempty(server))
        })
        .find(|server| server.starts_with(&scheme))
        .map(|server| server.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_upload_server_is_asked_by_https() {
        let answer = json!({"servers":[{"server":"http://x1.pcs.baidu.com"},
            {"server":"https://x2.pcs.baidu.com/"}],"bak_servers":[{"server":"https://c.pcs.baidu.com"}]});
        assert_eq!(
            chosen_host(&answer, None).as_deref(),
            Some("https://x2.pcs.baidu.com")
        );
        let backup = json!({"servers":null,"bak_servers":["https://c.pcs.baidu.com"]});
        assert_eq!(
            chosen_host(&backup, None).as_deref(),
            Some("https://c.pcs.baidu.com")
        );
        assert_eq!(chosen_host(&json!({"server":[]}), None), None);
    }

    #[test]
    fn a_stand_in_names_its_own() {
        let fixed = Some("http://127.0.0.1:9");
        let answer = json!({"servers":[{"server":"http://127.0.0.1:10/up"}]});
        assert_eq!(
            chosen_host(&answer, fixed).as_deref(),
            Some("http://127.0.0.1:10/up")
        );
        let real = json!({"servers":[{"server":"https://c.pcs.baidu.com"}]});
        assert_eq!(chosen_host(&real, fixed), None);
    }
}
