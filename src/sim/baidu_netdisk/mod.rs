//! Simulator of Baidu Netdisk, from `baidu_netdisk.md`.
//!
//! | file | what is in it |
//! |---|---|
//! | this one | state, routes, the gate of every call |
//! | `args` | arguments of a call |
//! | `auth` | OAuth codes, device codes, tokens; cookie sessions |
//! | `paths`, `entries`, `cloud_md5` | names, what listings show, the obfuscated `md5` |
//! | `list` | user, quota, lists, search, category counts, metadata |
//! | `share` | share links (the paid service of apps), and what a visitor sees |
//! | `change` | make directory, copy, move, rename, delete; tasks |
//! | `recycle` | the recycle bin (cookies only) |
//! | `upload`, `proof` | `precreate` with the fast upload, `create`; the cookie API's proof |
//! | `slices` | upload server, slices, the upload in one request |
//! | `download` | `dlink`, redirect, content |
//! | `errors` | envelopes and errors |
//!
//! Everything is on one port. Endpoint `api` (`pan.baidu.com`) is `/`, `auth`
//! (`openapi.baidu.com`) is `/openapi`, `pcs` (`d.pcs.baidu.com`) and `recycle`
//! (`pcs.baidu.com`) are `/pcs`; upload servers are at `/upload`, the content host at `/cdn`. Every account has two ways
//! in: an OAuth app (profiles `baidu`, `baidu-2` ...) and cookies; account 1 has a profile
//! `baidu-cookie` for those. Cookies stand for `access_token` in every call; calls of the
//! web (`/api/precreate`, `/api/filemetas`, the bin, ...) are there too.
//!
//! A share link leads to `/s/...`; with the password in the query (`pwd`) it lists what is shared.
//!
//! Not simulated: the other calls of shares, semantic search, offline download, `rapidupload` (dead).
//!
//! Operations in meters and faults: `refresh`, `device_code`, `login` (code, device; those that no
//! user has answered yet count for account 1), `user_info`, `quota`, `list`, `list_all`, `search`,
//! `typed_list`, `category_info`, `share_create`, `stat` (`filemetas`), `link` (`filemetas` with
//! `dlink=1`, either form), `locate_download`, `redirect` (the `dlink`), `download` (the
//! content host), `mkdir`, `copy`, `move`, `rename`, `trash`, `task`, `recycle_list`,
//! `recycle_delete`, `restore`, `recycle_empty`, `precreate`, `locate`, `upload_part`,
//! `create`, `single_upload`, `template`. The fault `truncated_page` also strikes `list`,
//! whose answers have no mark of the last page; `commit_fail` strikes `create` (10) and
//! `single_upload` (31024).
//!
//! | knob | default | meaning |
//! |---|---|---|
//! | `vip` | 0 | level: 0 normal, 1 VIP, 2 SVIP |
//! | `slice_size` | 4194304 | slice of the normal level; VIP sends up to 4, SVIP up to 8 of it |
//! | `slices_max` | 2048 | slices of an upload |
//! | `file_max` | 4, 10, 20 GiB | largest file, by level |
//! | `total_size` | 2 TiB | space |
//! | `fast` | normal | `never`: no fast upload hits |
//! | `fast_min` | 0 | smaller files never hit |
//! | `gamble` | miss | `hit`: `block_list` = [content MD5] hits above the slice size too |
//! | `proof_seconds` | 3600 | how far `data_time` of the cookie proof may be off |
//! | `session_seconds` | 172800 | life of an `uploadid` |
//! | `resume` | normal | `never`: `precreate` with an `uploadid` opens a new session |
//! | `index_text` | false | missing indices as texts |
//! | `overwrite` | gone | `trash`: an overwritten file goes to the bin |
//! | `hazard` | false | `rtype` 3 replaces a directory |
//! | `missing_parent` | 31063 | `create`: a file's missing parents are made |
//! | `app_only` | - | name of the app folder, the only place to create at |
//! | `name_max` | 255 | longest name in characters |
//! | `page_max` | 1000 | largest `limit` |
//! | `cloud_md5` | obfuscated | `plain` (old entries), `none` |
//! | `ids` | number | `text`: `fs_id` as text |
//! | `empty_list` | list | `null`: a list without entries |
//! | `unknown_id` | left out | `42214`: `filemetas` refuses as a whole |
//! | `visibility_ms` | 0 | younger entries are not listed yet |
//! | `strict_rates` | false | `listall` ten times a minute |
//! | `task_ms` | 0 | how long an asynchronous task takes; meanwhile `filemanager` answers 111 |
//! | `adaptive_sync` | 100 | `async=1` is asynchronous above so many items |
//! | `batch_max` | 3000 | items of a batch |
//! | `token_seconds` | 2592000 | life of new access tokens |
//! | `device_interval` | 5 | seconds between polls of a device code (account 1) |
//! | `device_seconds` | 300 | life of a device code (account 1) |
//! | `category_info` | info | `count`: the key of the counts that a generated client reads |
//! | `share_service` | bought | `missing`: the app has not bought it, 13998 |
//! | `expired_errno` | 111 | `-6`: the other code for an expired token |
//! | `web_params` | optional | `required`: cookie calls need `app_id` |
//! | `link_seconds`, `cdn_seconds` | 28800 | life of a `dlink`, of where it redirects to |
//! | `content_md5` | hex | `base64`, `none`: the header of downloads |
//! | `content_md5_lag_ms` | 0 | younger files of several slices have none |
//! | `range_cap` | 0 | bytes of a range at most, 0 any |
//! | `recycle_days` | 10 | how long the bin keeps |

mod args;
mod auth;
mod change;
mod cloud_md5;
mod download;
mod entries;
mod errors;
mod list;
mod paths;
mod proof;
mod recycle;
mod share;
mod slices;
#[cfg(test)]
mod tests;
mod upload;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State as Shared};
use axum::http::Method;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde_json::{Value, json};

use super::account::Account;
use super::body::drain;
use super::simulator::{Kit, SimProfile, Simulator, SimulatorInfo};
use args::Args;
use errors::{ApiError, Host, oauth_error, plain};

/// The line of the table.
pub const INFO: SimulatorInfo = SimulatorInfo {
    key: "baidu_netdisk",
    short: "baidu",
    roots: |_| vec!["0".to_owned()],
    shares: false,
    start: |kit| Arc::new(Baidu::new(kit)),
};

/// Where the OAuth server is.
const OPENAPI: &str = "/openapi";
/// Where the PCS hosts are.
const PCS: &str = "/pcs";
/// Where the upload servers are.
const UPLOAD: &str = "/upload";
/// Where the content is.
const CDN: &str = "/cdn";

/// User id of an account.
fn uk(account: &Account) -> u64 {
    987_654_321_000 + account.number as u64
}

#[derive(Default)]
struct State {
    auth: auth::Auth,
    sessions: BTreeMap<String, upload::Session>,
    tasks: BTreeMap<u64, change::Task>,
    shares: BTreeMap<String, share::Share>,
}

/// The server.
pub struct Baidu {
    kit: Kit,
    state: Mutex<State>,
}

/// Who asks.
struct Caller {
    account: Arc<Account>,
    /// Access token or `BDUSS`.
    key: String,
    /// Came by cookies.
    cookie: bool,
}

/// An admitted call to `pan.baidu.com`.
struct Ctx<'a> {
    sim: &'a Baidu,
    account: Arc<Account>,
    op: &'static str,
    /// Came by cookies.
    cookie: bool,
    /// A call of the web API, with its own slice sizes and its proof.
    web: bool,
    query: Args,
    form: Args,
}

/// Method and operation of a call to `pan.baidu.com`.
fn operation(path: &str, query: &Args, form: &Args) -> Option<(Method, &'static str)> {
    let file = |method: &str| {
        Some(match method {
            "list" => (Method::GET, "list"),
            "search" => (Method::GET, "search"),
            "imagelist" | "doclist" | "videolist" | "btlist" => (Method::GET, "typed_list"),
            "precreate" => (Method::POST, "precreate"),
            "create" => match form.text("isdir") {
                "1" => (Method::POST, "mkdir"),
                _ => (Method::POST, "create"),
            },
            "filemanager" => match query.text("opera") {
                "copy" => (Method::POST, "copy"),
                "move" => (Method::POST, "move"),
                "rename" => (Method::POST, "rename"),
                "delete" => (Method::POST, "trash"),
                _ => return None,
            },
            _ => return None,
        })
    };
    let link = match query.text("dlink") {
        "1" => "link",
        _ => "stat",
    };
    match (path, query.text("method")) {
        ("/rest/2.0/xpan/file", method) => file(method),
        ("/rest/2.0/xpan/multimedia", "listall") => Some((Method::GET, "list_all")),
        ("/rest/2.0/xpan/multimedia", "filemetas") => Some((Method::GET, link)),
        ("/rest/2.0/xpan/multimedia", "categorylist") => Some((Method::GET, "typed_list")),
        ("/rest/2.0/xpan/nas", "uinfo") => Some((Method::GET, "user_info")),
        ("/api/quota", _) => Some((Method::GET, "quota")),
        ("/api/categoryinfo", _) => Some((Method::GET, "category_info")),
        ("/apaas/1.0/share/set", _) => Some((Method::POST, "share_create")),
        ("/api/filemetas", _) => Some((Method::GET, link)),
        ("/api/list", _) => file("list"),
        ("/api/precreate", _) => file("precreate"),
        ("/api/create", _) => file("create"),
        ("/api/filemanager", _) => file("filemanager"),
        ("/api/gettemplatevariable", _) => Some((Method::GET, "template")),
        ("/api/recycle/list", _) => Some((Method::GET, "recycle_list")),
        ("/api/recycle/delete", _) => Some((Method::POST, "recycle_delete")),
        ("/share/taskquery", _) => Some((Method::GET, "task")),
        _ => None,
    }
}

async fn entry(Shared(sim): Shared<Arc<Baidu>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let query = parts.uri.query().unwrap_or("").to_owned();
    if path.starts_with(CDN) {
        return sim.content(&parts, &query).await;
    }
    for host in [PCS, UPLOAD] {
        if let Some(inner) = path.strip_prefix(host) {
            return match inner.starts_with("/file/") && host == PCS {
                true => sim.redirect(&parts, inner, &query).await,
                false => sim.pcs(inner, &parts, &Args::pairs(&query), body).await,
            };
        }
    }
    let form = parts
        .headers
        .get("content-type")
        .and_then(|v| v.to_str().ok());
    let is_form = form.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    let Ok(bytes) = to_bytes(body, 4 << 20).await else {
        return plain(413, "413 request entity too large");
    };
    let query = Args::pairs(&query);
    let form = match is_form {
        true => Args::pairs(&String::from_utf8_lossy(&bytes)),
        false => Args::default(),
    };
    if let Some(inner) = path.strip_prefix(OPENAPI) {
        return match inner {
            "/oauth/2.0/authorize" => sim.authorize(&query),
            "/oauth/2.0/device/code" => sim.device_code(&query).await,
            "/oauth/2.0/token" if parts.method == Method::POST => sim.token(&form).await,
            "/oauth/2.0/token" => sim.token(&query).await,
            "/device" => sim.device_page(&query),
            _ => oauth_error("invalid_request", "no such address"),
        };
    }
    if let Some(short) = path.strip_prefix("/s/") {
        return sim.visit(short, &query);
    }
    let Some((method, op)) = operation(&path, &query, &form) else {
        return plain(404, "404 Not Found");
    };
    if parts.method != method {
        let error = ApiError::new(3, "method not supported");
        return error.on(Host::Pan, sim.request_id());
    }
    if method == Method::POST && !is_form {
        return ApiError::content_type().on(Host::Pan, sim.request_id());
    }
    sim.call(op, &parts, query, form).await
}

impl Baidu {
    fn new(kit: Kit) -> Baidu {
        Baidu {
            kit,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request's id: a number, or a text (section 3.2).
    fn request_id(&self) -> Value {
        let number = 9_013_212_345_678_900_000 + self.kit.ids.number();
        match number % 2 {
            0 => json!(number),
            _ => json!(number.to_string()),
        }
    }

    async fn call(&self, op: &'static str, parts: &Parts, query: Args, form: Args) -> Response {
        let caller = match self.caller(Host::Pan, &parts.headers, &query) {
            Ok(caller) => caller,
            Err(error) => return error.on(Host::Pan, self.request_id()),
        };
        let account = caller.account.clone();
        let work = async {
            let answer = async {
                self.admit(Host::Pan, op, &caller, &parts.headers, &query)?;
                self.finish_tasks(&caller.account);
                if op == "template" {
                    return self.template(&caller, &parts.headers);
                }
                let path = parts.uri.path();
                let ctx = Ctx {
                    sim: self,
                    account: caller.account.clone(),
                    op,
                    cookie: caller.cookie,
                    web: path == "/api/precreate" || path == "/api/filemetas",
                    query,
                    form,
                };
                ctx.run().await
            };
            match answer.await {
                Ok(mut data) => {
                    if let Some(object) = data.as_object_mut() {
                        object.insert("errno".to_owned(), json!(0));
                        object.insert("request_id".to_owned(), self.request_id());
                    }
                    Json(data).into_response()
                }
                Err(error) => error.on(Host::Pan, self.request_id()),
            }
        };
        let injected = |arg: &str| ApiError::injected(Host::Pan, arg);
        account.serve(op, injected, work).await
    }

    /// Calls to the PCS hosts and the upload servers.
    async fn pcs(&self, path: &str, parts: &Parts, query: &Args, body: Body) -> Response {
        let op = match (path, query.text("method")) {
            ("/rest/2.0/pcs/superfile2", _) => "upload_part",
            ("/rest/2.0/pcs/file", "upload") => "single_upload",
            ("/rest/2.0/pcs/file", "locateupload") => "locate",
            ("/rest/2.0/pcs/file", "restore") => "restore",
            ("/rest/2.0/pcs/file", "delete") if query.text("type") == "recycle" => "recycle_empty",
            ("/rest/2.0/pcs/file", "locatedownload") => "locate_download",
            _ => {
                drain(body).await;
                return plain(404, "404 Not Found");
            }
        };
        if op == "upload_part" || op == "single_upload" {
            return self.content_call(op, parts, query, body).await;
        }
        let caller = self.caller(Host::Pcs, &parts.headers, query);
        let caller = match (caller, op) {
            (Ok(caller), _) => caller,
            (Err(_), "locate") => return self.locate(),
            (Err(error), _) => {
                drain(body).await;
                return error.on(Host::Pcs, self.request_id());
            }
        };
        let work = async {
            if op == "locate" {
                return self.locate();
            }
            let answer = async {
                self.admit(Host::Pcs, op, &caller, &parts.headers, query)?;
                match op {
                    "restore" => {
                        let param = self.param_field(&caller, op, &parts.headers, body).await?;
                        self.restore(&caller, &param)
                    }
                    "recycle_empty" => self.recycle_empty(&caller),
                    _ => self.locate_download(&caller, query),
                }
            };
            answer
                .await
                .unwrap_or_else(|error| error.on(Host::Pcs, self.request_id()))
        };
        let injected = |arg: &str| ApiError::injected(Host::Pcs, arg);
        caller.account.serve(op, injected, work).await
    }
}

impl Ctx<'_> {
    async fn run(&self) -> Result<Value, ApiError> {
        match self.op {
            "user_info" => Ok(self.user_info()),
            "quota" => self.quota(),
            "list" => self.list().await,
            "list_all" => self.list_all().await,
            "search" => self.search().await,
            "typed_list" => self.typed_list().await,
            "category_info" => self.category_info(),
            "share_create" => self.share_create(),
            "link" | "stat" if self.web => self.metas_by_path().await,
            "link" | "stat" => self.file_metas().await,
            "mkdir" => self.mkdir(),
            "copy" | "move" | "rename" | "trash" => self.file_manager(),
            "task" => self.task(),
            "recycle_list" => self.recycle_list().await,
            "recycle_delete" => self.recycle_delete(),
            "precreate" => self.precreate().await,
            _ => self.create().await,
        }
    }

    fn now(&self) -> i64 {
        self.sim.kit.clock.now_ms()
    }

    fn new_id(&self) -> String {
        self.sim.kit.ids.decimal(18)
    }
}

impl Simulator for Baidu {
    fn kit(&self) -> &Kit {
        &self.kit
    }

    fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(any(entry)).with_state(self)
    }

    fn endpoints(&self) -> BTreeMap<String, String> {
        let base = &self.kit.base;
        BTreeMap::from([
            ("api".to_owned(), base.clone()),
            ("auth".to_owned(), format!("{base}{OPENAPI}")),
            ("pcs".to_owned(), format!("{base}{PCS}")),
            ("recycle".to_owned(), format!("{base}{PCS}")),
        ])
    }

    fn profiles(&self) -> Vec<SimProfile> {
        let profile = |account: &Arc<Account>, name: &str, mode: &str| SimProfile {
            name: name.to_owned(),
            provider: self.kit.provider.to_owned(),
            account: account.profile.clone(),
            auth_mode: mode.to_owned(),
            kind: "account".to_owned(),
            fields: BTreeMap::new(),
            secrets: BTreeMap::new(),
            endpoints: self.endpoints(),
            root: None,
        };
        let (id, secret) = auth::client();
        let apps = self.kit.accounts.iter().map(|account| {
            let (_, refresh) = self.grant(account);
            SimProfile {
                fields: BTreeMap::from([
                    ("client_id".to_owned(), id.clone()),
                    ("app_id".to_owned(), auth::APP_ID.to_owned()),
                ]),
                secrets: BTreeMap::from([
                    ("client_secret".to_owned(), secret.clone()),
                    ("refresh_token".to_owned(), refresh),
                ]),
                ..profile(account, &account.profile, "official_oauth")
            }
        });
        let cookies = self.kit.accounts.iter().take(1).map(|account| {
            let name = format!("{}-cookie", account.profile);
            SimProfile {
                secrets: BTreeMap::from([("cookie".to_owned(), self.new_cookies(account))]),
                ..profile(account, &name, "manual_cookie")
            }
        });
        apps.chain(cookies).collect()
    }

    fn new_id(&self, _account: &Account, _dir: bool) -> String {
        // Above 2^53: an id that passes through a float is another one.
        self.kit.ids.decimal(18)
    }

    fn uploads(&self, account: &Account) -> Vec<Value> {
        self.open_sessions(account)
    }

    fn knobs(&self) -> &'static [&'static str] {
        &[
            "vip",
            "slice_size",
            "slices_max",
            "file_max",
            "total_size",
            "fast",
            "fast_min",
            "gamble",
            "proof_seconds",
            "session_seconds",
            "resume",
            "index_text",
            "overwrite",
            "hazard",
            "missing_parent",
            "app_only",
            "name_max",
            "page_max",
            "cloud_md5",
            "ids",
            "empty_list",
            "unknown_id",
            "visibility_ms",
            "strict_rates",
            "task_ms",
            "adaptive_sync",
            "batch_max",
            "token_seconds",
            "device_interval",
            "device_seconds",
            "category_info",
            "share_service",
            "expired_errno",
            "web_params",
            "link_seconds",
            "cdn_seconds",
            "content_md5",
            "content_md5_lag_ms",
            "range_cap",
            "recycle_days",
        ]
    }
}
