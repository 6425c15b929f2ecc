//! Simulator of the 123 cloud open platform, from `123_open.md`.
//!
//! | file | what is in it |
//! |---|---|
//! | this one | state, routes, the gate of every call |
//! | `args` | arguments of a call: query, JSON, fields of a form |
//! | `auth` | developer tokens, OAuth pairs |
//! | `files` | user, lists, detail, infos |
//! | `change` | mkdir, rename, move, copy, trash, restore, delete |
//! | `upload` | create, fast upload by MD5 and SHA-1, complete |
//! | `slices` | slices, presigned parts, the single request |
//! | `download` | links and their bytes |
//! | `errors` | envelope and errors |
//!
//! Everything is on one port: the API at `/`, the upload host at `/openapi-upload`, the
//! content network at `/cdn`, the part store of the old upload at `/store`. Account 1 has a
//! developer's app, account 2 a grant of a third-party app.
//!
//! Operations in meters and faults: `refresh`, `user_info`, `list`, `list_v1`, `get`
//! (detail), `infos`, `link`, `mkdir`, `rename`, `rename_many`, `move`, `copy`, `copy_many`,
//! `task`, `trash`, `restore`, `restore_to`, `delete`, `create`, `sha1_reuse`, `complete`,
//! `async_result`, `upload_url`, `list_parts`, `domain`, `upload_part` (both ways),
//! `single_create`, `download`.
//!
//! | knob | default | meaning |
//! |---|---|---|
//! | `slice_size` | 16777216 | bytes per slice of new sessions |
//! | `session_seconds` | 0 | life of an upload session, 0 for ever |
//! | `sha1_index` | true | `false`: `sha1_reuse` finds nothing, and what comes in stays unindexed for ever |
//! | `reuse` | normal | `never`, `zero_id` (`reuse:true` with `fileID` 0), `sha1_only` |
//! | `verify_polls` | 0 | how often `complete` says "not yet" |
//! | `verify_answer` | completed_false | `20103`: says it by code |
//! | `slice_error` | code | `500`: a wrong slice is HTTP 500 |
//! | `put_headers` | strict | `lenient`: presigned PUT takes `Authorization` and `Platform` |
//! | `overwrite` | trash | `gone`: `duplicate` 2 leaves the old file nowhere |
//! | `conflict` | refuse | `keep`: rename and move onto a name make a second of it |
//! | `zero_byte` | accept | `refuse`: no empty files |
//! | `name_max` | 255 | longest name in characters |
//! | `missing_parent` | 5066 | list of an unknown directory; `1` that code, `empty` no entries |
//! | `infos_key` | list | `fileList` |
//! | `empty_list` | list | `null`: a directory without entries has no list |
//! | `search_lag_ms` | 20000 | younger entries are not found by search |
//! | `strict_rates` | false | the table of section 10: `free` (or true), `member` |
//! | `token_limit`, `token_seconds` | 3, 30 days | developer tokens |
//! | `refresh_without_client` | false | refresh takes no client id |
//! | `oauth_errors` | code | `rfc`: `error`, `error_description` |
//! | `any_case` | false | argument names in any case |
//! | `vip` | true | `false`: `traffic_limit` (1 GiB) bytes of download a day |
//! | `total_size` | 2 TiB | space |
//! | `link_seconds` | 14400 | life of a download link |
//! | `part_url_seconds` | 3600 | life of a presigned part URL |
//! | `cdn_redirect` | false | links answer 302 to another path |
//! | `rejected`, `checking` | - | path of a file with status 104, or still being checked |
//! | `task_polls` | 1 | polls until a copy task is done |

mod args;
mod auth;
mod change;
mod download;
#[cfg(test)]
mod download_tests;
mod errors;
mod files;
mod slices;
#[cfg(test)]
mod tests;
mod upload;
#[cfg(test)]
mod upload_tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State as Shared};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde_json::{Value, json};

use super::account::Account;
use super::body::{Unread, drain};
use super::content::Blob;
use super::simulator::{Kit, SimProfile, Simulator, SimulatorInfo};
use args::Args;
use errors::{ApiError, ok, plain};

/// The line of the table.
pub const INFO: SimulatorInfo = SimulatorInfo {
    key: "123_open",
    short: "123",
    roots: |_| vec!["0".to_owned()],
    shares: false,
    start: |kit| Arc::new(Pan123::new(kit)),
};

/// Path of the upload host.
const UPLOAD_HOST: &str = "/openapi-upload";

/// User id of an account.
fn uid(account: &Account) -> u64 {
    1_814_435_920 + account.number as u64
}

#[derive(Default)]
struct State {
    tokens: auth::Tokens,
    sessions: BTreeMap<String, upload::Session>,
    links: HashMap<String, download::Link>,
    /// Copy tasks: polls left.
    tasks: HashMap<i64, u64>,
    /// Bytes downloaded by profile: day, bytes.
    traffic: HashMap<String, (i64, u64)>,
    /// Contents whose SHA-1 is not indexed.
    unindexed: Vec<Blob>,
}

/// The server.
pub struct Pan123 {
    kit: Kit,
    state: Mutex<State>,
}

/// Method, path, operation. The rate table is in [`limit_of`].
const CALLS: &[(&str, &str, &str)] = &[
    ("GET", "/api/v1/user/info", "user_info"),
    ("GET", "/api/v2/file/list", "list"),
    ("GET", "/api/v1/file/list", "list_v1"),
    ("GET", "/api/v1/file/detail", "get"),
    ("POST", "/api/v1/file/infos", "infos"),
    ("GET", "/api/v1/file/download_info", "link"),
    ("POST", "/upload/v1/file/mkdir", "mkdir"),
    ("PUT", "/api/v1/file/name", "rename"),
    ("POST", "/api/v1/file/rename", "rename_many"),
    ("POST", "/api/v1/file/move", "move"),
    ("POST", "/api/v1/file/copy", "copy"),
    ("POST", "/api/v1/file/async/copy", "copy_many"),
    ("GET", "/api/v1/file/async/copy/process", "task"),
    ("POST", "/api/v1/file/trash", "trash"),
    ("POST", "/api/v1/file/delete", "delete"),
    ("POST", "/api/v1/file/recover", "restore"),
    ("POST", "/api/v1/file/recover/by_path", "restore_to"),
    ("POST", "/upload/v2/file/create", "create"),
    ("POST", "/upload/v1/file/create", "create"),
    ("POST", "/upload/v2/file/sha1_reuse", "sha1_reuse"),
    ("POST", "/upload/v2/file/upload_complete", "complete"),
    ("POST", "/upload/v1/file/upload_complete", "complete"),
    (
        "POST",
        "/upload/v1/file/upload_async_result",
        "async_result",
    ),
    ("POST", "/upload/v1/file/get_upload_url", "upload_url"),
    ("POST", "/upload/v1/file/list_upload_parts", "list_parts"),
    ("GET", "/upload/v2/file/domain", "domain"),
];

/// Requests per second of an operation: developer free, developer member; the OAuth column
/// where those are not published (section 10).
fn limit_of(op: &str) -> Option<(f64, f64)> {
    Some(match op {
        "user_info" | "infos" => (10.0, 10.0),
        "move" => (3.0, 10.0),
        "delete" => (1.0, 10.0),
        "list_v1" => (0.2, 10.0),
        "list" => (5.0, 10.0),
        "mkdir" => (5.0, 20.0),
        "access_token" => (8.0, 10.0),
        "oauth2/access_token" => (1.667, 1.667),
        "create" | "async_result" | "trash" | "link" => (5.0, 5.0),
        "upload_url" | "list_parts" | "complete" => (20.0, 20.0),
        _ => return None,
    })
}

/// An authenticated call.
struct Ctx<'a> {
    sim: &'a Pan123,
    account: Arc<Account>,
    op: &'static str,
    /// A call of the old upload.
    v1: bool,
    args: Args,
}

async fn entry(Shared(sim): Shared<Arc<Pan123>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let query = parts.uri.query().unwrap_or("");
    if path.starts_with("/cdn/") {
        return sim.download(&parts, &path, query).await;
    }
    if path.starts_with("/store/") {
        return sim.store_part(&parts, &path, query, body).await;
    }
    if let Some(inner) = path.strip_prefix(UPLOAD_HOST) {
        let op = match inner {
            "/upload/v2/file/slice" => "upload_part",
            "/upload/v2/file/single/create" => "single_create",
            _ => return plain(404, "404 page not found"),
        };
        return sim.upload_host(op, &parts, body).await;
    }
    let call = match path.as_str() {
        "/auth" => return sim.authorize(query),
        "/api/v1/access_token" | "/api/v1/oauth2/access_token" => ("POST", "", "refresh"),
        known => match CALLS.iter().find(|(_, path, _)| *path == known) {
            Some(call) => *call,
            None => return plain(404, "404 page not found"),
        },
    };
    if parts.method.as_str() != call.0 {
        drain(body).await;
        return plain(405, "405 method not allowed");
    }
    let Ok(bytes) = to_bytes(body, 4 << 20).await else {
        return plain(413, "413 request entity too large");
    };
    match path.as_str() {
        "/api/v1/access_token" => sim.developer_call(&parts.headers, &bytes).await,
        "/api/v1/oauth2/access_token" => sim.oauth_call(&parts.headers, query).await,
        _ => sim.call(call.2, &parts, &bytes).await,
    }
}

/// The arguments of an API call.
fn arguments(op: &str, parts: &Parts, body: &[u8]) -> Result<Args, ApiError> {
    if parts.method == Method::GET {
        return Ok(Args::pairs(parts.uri.query().unwrap_or("")));
    }
    let kind = parts.headers.get("content-type");
    let kind = kind.and_then(|v| v.to_str().ok()).unwrap_or("");
    // Section 6.2: sha1_reuse is called with a form as well.
    if op == "sha1_reuse" && kind.starts_with("application/x-www-form-urlencoded") {
        return Ok(Args::pairs(&String::from_utf8_lossy(body)));
    }
    if !kind.starts_with("application/json") {
        return Err(ApiError::parameter("Content-Type"));
    }
    Args::json(body)
}

impl Pan123 {
    fn new(kit: Kit) -> Pan123 {
        Pan123 {
            kit,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn upload_base(&self) -> String {
        format!("{}{UPLOAD_HOST}", self.kit.base)
    }

    /// Takes one from the bucket of a published limit, when the knob wants it.
    fn rate(&self, account: &Account, limit: &str, op: &str) -> Result<(), ApiError> {
        let level = account.knobs.text("strict_rates").unwrap_or_default();
        let (free, member) = limit_of(limit).unwrap_or((1000.0, 1000.0));
        let (rate, burst) = match level.as_str() {
            "member" => (member, member),
            "free" | "true" | "1" | "on" | "yes" => (free, free.max(1.0)),
            _ => (1000.0, 1000.0),
        };
        // The one that is published per minute.
        let burst = match limit {
            "oauth2/access_token" => 100.0,
            _ => burst,
        };
        let bucket = format!("{}/{op}", account.profile);
        let taken = self.kit.rates.take(&bucket, rate, burst);
        taken.map_err(|_| ApiError::too_many())
    }

    /// What every authenticated call needs (section 3).
    fn admit(
        &self,
        account: &Account,
        op: &str,
        token: &str,
        headers: &HeaderMap,
    ) -> Result<(), ApiError> {
        if headers.get("platform").is_none_or(|v| v != "open_platform") {
            return Err(ApiError::parameter("Platform"));
        }
        self.check(account, op, token)?;
        self.rate(account, op, op)
    }

    async fn call(&self, op: &'static str, parts: &Parts, body: &[u8]) -> Response {
        let Some((account, token)) = self.bearer(&parts.headers) else {
            return ApiError::unauthorized().into_response();
        };
        let gate = account.clone();
        let work = async {
            let answer = async {
                self.admit(&account, op, &token, &parts.headers)?;
                let any_case = account.knobs.flag("any_case");
                let ctx = Ctx {
                    sim: self,
                    account,
                    op,
                    v1: parts.uri.path().starts_with("/upload/v1/"),
                    args: arguments(op, parts, body)?.any_case(any_case),
                };
                ctx.run().await
            };
            match answer.await {
                Ok(data) => ok(data),
                Err(error) => error.into_response(),
            }
        };
        gate.serve(op, ApiError::injected, work).await
    }

    async fn upload_host(&self, op: &'static str, parts: &Parts, body: Body) -> Response {
        let Some((account, token)) = self.bearer(&parts.headers) else {
            drain(body).await;
            return ApiError::unauthorized().into_response();
        };
        let body = Unread::new(body);
        let work = async {
            let body = body.take();
            if parts.method != Method::POST {
                drain(body).await;
                return plain(405, "405 method not allowed");
            }
            if let Err(error) = self.admit(&account, op, &token, &parts.headers) {
                drain(body).await;
                return error.into_response();
            }
            match op {
                "upload_part" => self.slice(&account, &parts.headers, body).await,
                _ => self.single(&account, &parts.headers, body).await,
            }
        };
        let answer = account.serve_transfer(op, ApiError::injected, work).await;
        body.drain().await;
        answer
    }
}

impl Ctx<'_> {
    async fn run(&self) -> Result<Value, ApiError> {
        match self.op {
            "user_info" => Ok(self.user_info()),
            "list" => self.list().await,
            "list_v1" => self.list_v1().await,
            "get" => self.detail().await,
            "infos" => self.infos().await,
            "link" => self.link().await,
            "mkdir" => self.mkdir(),
            "rename" => self.rename(),
            "rename_many" => self.rename_many(),
            "move" => self.move_to(),
            "copy" => self.copy(),
            "copy_many" => self.copy_many(),
            "task" => self.task(),
            "trash" => self.trash(),
            "delete" => self.delete(),
            "restore" => self.restore(),
            "restore_to" => self.restore_to(),
            "create" => self.create().await,
            "sha1_reuse" => self.sha1_reuse().await,
            "complete" => self.complete().await,
            "async_result" => self.async_result().await,
            "upload_url" => self.upload_url(),
            "list_parts" => self.list_parts(),
            _ => Ok(json!([self.sim.upload_base()])),
        }
    }

    fn now(&self) -> i64 {
        self.sim.kit.clock.now_ms()
    }
}

impl Simulator for Pan123 {
    fn kit(&self) -> &Kit {
        &self.kit
    }

    fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(any(entry)).with_state(self)
    }

    fn endpoints(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("api".to_owned(), self.kit.base.clone()),
            ("upload".to_owned(), self.upload_base()),
        ])
    }

    fn profiles(&self) -> Vec<SimProfile> {
        let one = |account: &Arc<Account>| {
            let (id, secret) = auth::client(account);
            let mut secrets = BTreeMap::from([("client_secret".to_owned(), secret)]);
            if auth::third_party(account) {
                let (_, refresh) = self.issue_pair(account);
                secrets.insert("refresh_token".to_owned(), refresh);
            }
            SimProfile {
                name: account.profile.clone(),
                provider: self.kit.provider.to_owned(),
                account: account.profile.clone(),
                auth_mode: "official_oauth".to_owned(),
                kind: "account".to_owned(),
                fields: BTreeMap::from([("client_id".to_owned(), id)]),
                secrets,
                endpoints: self.endpoints(),
                root: None,
            }
        };
        self.kit.accounts.iter().map(one).collect()
    }

    fn new_id(&self, _account: &Account, _dir: bool) -> String {
        self.kit.ids.decimal(8)
    }

    fn seeded(&self, account: &Account, id: &str) {
        let blob = account.tree().get(id).and_then(|node| node.blob.clone());
        if let Some(blob) = blob {
            self.note_index(account, &blob);
        }
    }

    fn uploads(&self, account: &Account) -> Vec<Value> {
        let state = self.state();
        let own = state.sessions.iter();
        own.filter(|(_, session)| session.profile == account.profile && session.is_open())
            .filter(|(_, session)| self.lives(session))
            .map(|(id, session)| session.describe(id))
            .collect()
    }

    fn knobs(&self) -> &'static [&'static str] {
        &[
            "slice_size",
            "session_seconds",
            "sha1_index",
            "reuse",
            "verify_polls",
            "verify_answer",
            "slice_error",
            "put_headers",
            "overwrite",
            "conflict",
            "zero_byte",
            "name_max",
            "missing_parent",
            "infos_key",
            "empty_list",
            "search_lag_ms",
            "strict_rates",
            "token_limit",
            "token_seconds",
            "refresh_without_client",
            "oauth_errors",
            "any_case",
            "vip",
            "traffic_limit",
            "total_size",
            "link_seconds",
            "part_url_seconds",
            "cdn_redirect",
            "rejected",
            "checking",
            "task_polls",
        ]
    }
}
