//! Simulator of 115: its open platform (bearer tokens) and, for the same accounts, the API
//! of its web and app clients (cookies), from `115_open.md`.
//!
//! | file | what is in it |
//! |---|---|
//! | this one | state, routes, the gate of every call |
//! | `auth` | device code login, tokens, refresh |
//! | `files` | list, stat, search, user |
//! | `change` | mkdir, rename, move, copy |
//! | `trash` | delete, and the trash |
//! | `upload` | init with its challenge, resume, OSS token |
//! | `commit` | the callback that makes a file of a stored object |
//! | `download` | links and their bytes |
//! | `pickcode` | pick codes |
//! | `errors` | envelopes |
//! | `cookie` | the API of the web and app clients, by cookies |
//! | `knobs` | settings |
//!
//! Operations in meters and faults: `refresh`, `device_code`, `qr_status`, `device_token`,
//! `list`, `stat`, `search`, `quota`, `mkdir`, `rename`, `move`, `copy`, `trash`,
//! `trash_list`, `restore`, `purge`, `download_link`, `download`, `init`, `resume`,
//! `upload_token`, `callback`, and the store's `oss_*`; by cookies also `order`,
//! `upload_info`, `upload_host`, `check` (who is logged in) and `app_version`; there
//! `device_code` and `device_token` are the QR code and the login to cookies, all ways to look
//! up an entry are `stat`, all kinds of links `download_link`. Own meaning of faults:
//! `expire_token` at `refresh` ends the login, elsewhere the access token or the cookies; `expire_link` at
//! `download_link` gives a dead link, at `download` ends one; `commit_fail` at `callback`
//! is 115's refusal (`state` false), at `oss_complete` and `oss_put` the 203 of OSS; `errno`
//! 0 is the empty error; `html` by cookies is the page of the firewall with HTTP 405, or the
//! status in its argument.
//!
//! The settings are in `knobs`. Everything is on one port. Each account can also be reached
//! by cookies: `cookie` has that mode; account 1 has a profile `115-cookie` for it. Its
//! endpoints have a prefix per host, and a call must come to its own.

mod auth;
mod change;
mod commit;
mod cookie;
mod download;
mod errors;
mod files;
mod knobs;
mod pickcode;
#[cfg(test)]
mod tests;
mod trash;
mod upload;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::account::Account;
use super::oss::Oss;
use super::simulator::{Kit, SimProfile, Simulator, SimulatorInfo};
use cookie::{Host, cookies};
use errors::ApiError;

/// The line of the table.
pub const INFO: SimulatorInfo = SimulatorInfo {
    key: "115_open",
    short: "115",
    roots: |_| vec![ROOT.to_owned()],
    shares: false,
    start: |kit| Pan115::new(kit),
};

/// Id of the root folder.
const ROOT: &str = "0";

/// User id of an account.
fn user_id(account: &Account) -> u64 {
    123_456_788 + account.number as u64
}

/// Fields of a query or form; of several with one name the last counts.
#[derive(Default)]
struct Params(BTreeMap<String, String>);

impl Params {
    fn parse(text: &str) -> Params {
        let decode = |part: &str| {
            percent_decode_str(&part.replace('+', " "))
                .decode_utf8_lossy()
                .into_owned()
        };
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Params(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(key, value)| (decode(key), decode(value)))
                .collect(),
        )
    }

    /// A text; absent and empty are the same.
    fn text(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    /// A number, `default` when it is absent or none.
    fn number(&self, key: &str, default: u64) -> u64 {
        self.text(key).parse().unwrap_or(default)
    }

    /// The members of a comma list.
    fn list(&self, key: &str) -> Vec<String> {
        let members = self.text(key).split(',').map(str::trim);
        members
            .filter(|member| !member.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

#[derive(Default)]
struct State {
    auth: auth::Auth,
    tasks: BTreeMap<String, upload::Task>,
    challenges: HashMap<String, upload::Challenge>,
    links: HashMap<String, download::Link>,
    /// Open connections by account number and file id.
    streams: HashMap<(usize, String), Arc<AtomicU64>>,
    busy: HashMap<usize, change::Busy>,
    sessions: cookie::Sessions,
    /// The order that a folder (account number, id) remembers.
    orders: HashMap<(usize, String), cookie::Order>,
}

/// The server.
pub struct Pan115 {
    kit: Kit,
    oss: Arc<Oss>,
    state: Mutex<State>,
}

/// An authenticated call.
struct Ctx<'a> {
    sim: &'a Pan115,
    account: Arc<Account>,
    op: &'static str,
    params: Params,
    user_agent: String,
}

/// Method, path, operation.
const CALLS: &[(&str, &str, &str)] = &[
    ("GET", "/open/ufile/files", "list"),
    ("GET", "/open/folder/get_info", "stat"),
    ("POST", "/open/folder/get_info", "stat"),
    ("GET", "/open/ufile/search", "search"),
    ("GET", "/open/user/info", "quota"),
    ("POST", "/open/folder/add", "mkdir"),
    ("POST", "/open/ufile/update", "rename"),
    ("POST", "/open/ufile/move", "move"),
    ("POST", "/open/ufile/copy", "copy"),
    ("POST", "/open/ufile/delete", "trash"),
    ("GET", "/open/rb/list", "trash_list"),
    ("POST", "/open/rb/revert", "restore"),
    ("POST", "/open/rb/del", "purge"),
    ("POST", "/open/ufile/downurl", "download_link"),
    ("POST", "/open/upload/init", "init"),
    ("POST", "/open/upload/resume", "resume"),
    ("GET", "/open/upload/get_token", "upload_token"),
    ("POST", "/open/authDeviceCode", "device_code"),
    ("POST", "/open/deviceCodeToToken", "device_token"),
    ("POST", "/open/refreshToken", "refresh"),
    ("GET", "/get/status/", "qr_status"),
];

async fn entry(Shared(sim): Shared<Arc<Pan115>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let query = parts.uri.query().unwrap_or("");
    if path.starts_with("/down/") {
        return sim.data(&parts.method, path, query, &parts.headers).await;
    }
    let method = parts.method.as_str();
    let (host, path) = cookie::place(path);
    if let Some(call) = cookie::find(host, method, path) {
        return sim.by_cookie(call, path, &parts, body).await;
    }
    let mut calls = CALLS.iter();
    let call = calls.find(|(known, at, op)| {
        let own = match *op {
            "device_code" | "device_token" | "qr_status" | "refresh" => Host::Passport,
            _ => Host::Proapi,
        };
        *known == method && *at == path && host.is_none_or(|host| host == own)
    });
    let Some((_, _, op)) = call else {
        return ApiError::new(980_006, "no such API").into_response();
    };
    let params = if parts.method == Method::POST {
        form(&parts.headers, body).await
    } else {
        Params::parse(query)
    };
    match *op {
        "device_code" | "device_token" | "qr_status" => sim.login(op, &params).await,
        "refresh" => sim.refresh_call(&params).await,
        op => sim.call(op, &parts.headers, params).await,
    }
}

/// The fields of a form body; a body of another type has none.
async fn form(headers: &HeaderMap, body: Body) -> Params {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let bytes = to_bytes(body, 4 << 20).await.unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Params::default();
    }
    Params::parse(&String::from_utf8_lossy(&bytes))
}

impl Pan115 {
    fn new(kit: Kit) -> Arc<Pan115> {
        let sim = Arc::new_cyclic(|weak: &Weak<Pan115>| {
            let weak = weak.clone();
            let clock = kit.clock.clone();
            let oss = Oss::new(
                clock,
                Box::new(move |finished| {
                    let sim = weak.upgrade();
                    Box::pin(async move { commit::callback(sim, finished).await })
                }),
            );
            Pan115 {
                kit,
                oss,
                state: Mutex::default(),
            }
        });
        for account in &sim.kit.accounts {
            sim.log_in(account);
        }
        sim.profile_logins();
        sim
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn call(&self, op: &'static str, headers: &HeaderMap, params: Params) -> Response {
        let (account, token) = match self.bearer(headers) {
            Ok(found) => found,
            Err(error) => return error.into_response(),
        };
        let user_agent = headers
            .get(header::USER_AGENT)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
            .to_owned();
        let gate = account.clone();
        let work = async {
            let ctx = Ctx {
                sim: self,
                account,
                op,
                params,
                user_agent,
            };
            match ctx.run(&token).await {
                Ok(document) => axum::Json(document).into_response(),
                Err(error) => error.into_response(),
            }
        };
        gate.serve(op, ApiError::injected, work).await
    }
}

impl Ctx<'_> {
    async fn run(&self, token: &str) -> Result<Value, ApiError> {
        self.sim.check(&self.account, self.op, token)?;
        let qps = self.account.knobs.number("qps", 0) as f64;
        if qps > 0.0 {
            let rates = &self.sim.kit.rates;
            rates
                .take(&self.account.profile, qps, qps)
                .map_err(|_| ApiError::new(770_004, "已达到当前访问上限"))?;
        }
        match self.op {
            "list" => self.list().await,
            "stat" => self.stat().await,
            "search" => self.search().await,
            "quota" => self.quota(),
            "mkdir" => self.mkdir(),
            "rename" => self.rename(),
            "move" => self.move_to().await,
            "copy" => self.copy().await,
            "trash" => self.trash().await,
            "trash_list" => self.trash_list().await,
            "restore" => self.restore().await,
            "purge" => self.purge().await,
            "download_link" => self.download_link().await,
            "init" => self.init().await,
            "resume" => self.resume(),
            _ => self.upload_token(),
        }
    }

    fn text(&self, key: &str) -> &str {
        self.params.text(key)
    }

    fn now(&self) -> i64 {
        self.sim.kit.clock.now_ms()
    }

    fn flag(&self, knob: &str) -> bool {
        self.account.knobs.flag(knob)
    }

    /// A required field.
    fn required(&self, key: &str) -> Result<&str, ApiError> {
        match self.text(key) {
            "" => Err(ApiError::parameter(key)),
            text => Ok(text),
        }
    }
}

impl Simulator for Pan115 {
    fn kit(&self) -> &Kit {
        &self.kit
    }

    fn router(self: Arc<Self>) -> Router {
        Router::new()
            .nest_service("/oss", self.oss.router())
            .fallback(any(entry))
            .with_state(self)
    }

    fn endpoints(&self) -> BTreeMap<String, String> {
        let base = &self.kit.base;
        let mut all: BTreeMap<String, String> = ["api", "passport", "qr", "web", "upload"]
            .iter()
            .map(|name| ((*name).to_owned(), base.clone()))
            .collect();
        all.insert("oss".to_owned(), format!("{base}/oss"));
        all
    }

    fn profiles(&self) -> Vec<SimProfile> {
        let one = |account: &Arc<Account>| {
            let (access, refresh) = self.current_tokens(account);
            SimProfile {
                name: account.profile.clone(),
                provider: self.kit.provider.to_owned(),
                account: account.profile.clone(),
                auth_mode: "official_oauth".to_owned(),
                kind: "account".to_owned(),
                fields: BTreeMap::from([("client_id".to_owned(), auth::CLIENT_ID.to_owned())]),
                secrets: BTreeMap::from([
                    ("access_token".to_owned(), access),
                    ("refresh_token".to_owned(), refresh),
                ]),
                endpoints: self.endpoints(),
                root: None,
            }
        };
        let by_cookie = |account: &Arc<Account>| {
            let base = &self.kit.base;
            let hosts = cookie::HOSTS.iter();
            let mut endpoints: BTreeMap<String, String> = hosts
                .map(|(prefix, name, _)| ((*name).to_owned(), format!("{base}{prefix}")))
                .collect();
            endpoints.insert("oss".to_owned(), format!("{base}/oss"));
            let keys = [
                ("download_key", cookie::m115::MODULUS.to_owned()),
                ("upload_key", cookie::ec115::server_point()),
            ];
            SimProfile {
                name: format!("{}-cookie", account.profile),
                provider: self.kit.provider.to_owned(),
                account: account.profile.clone(),
                auth_mode: "manual_cookie".to_owned(),
                kind: "account".to_owned(),
                fields: keys.map(|(name, key)| (name.to_owned(), key)).into(),
                secrets: BTreeMap::from([("cookie".to_owned(), self.profile_cookie(account))]),
                endpoints,
                root: None,
            }
        };
        let cookies = self.kit.accounts.iter().take(1).map(by_cookie);
        self.kit.accounts.iter().map(one).chain(cookies).collect()
    }

    fn new_id(&self, _account: &Account, _dir: bool) -> String {
        self.kit.ids.decimal(19)
    }

    /// What a test seeds was there long ago: lookups by path know it at once.
    fn seeded(&self, account: &Account, id: &str) {
        account.tree().update(id, |node| {
            node.extra.insert("old".to_owned(), json!(true));
        });
    }

    fn uploads(&self, account: &Account) -> Vec<Value> {
        let mut all: Vec<Value> = {
            let state = self.state();
            let tasks = state.tasks.iter();
            tasks
                .filter(|(_, task)| task.account.number == account.number)
                .map(|(pick_code, task)| {
                    json!({
                        "id": pick_code, "name": task.name, "kind": "task",
                        "object": task.object, "size": task.size, "parent": task.parent,
                    })
                })
                .collect()
        };
        all.extend(self.oss.uploads(account));
        all
    }

    fn knobs(&self) -> &'static [&'static str] {
        knobs::NAMES
    }
}
