//! Simulator of the Aliyun Drive open platform, from `aliyundrive_open.md`.
//!
//! | file | what is in it |
//! |---|---|
//! | this one | state, routes, the gate of every call |
//! | `auth` | tokens, refresh |
//! | `files` | user, list, search, get |
//! | `change` | rename, move, copy, trash, delete, tasks |
//! | `upload` | create, fast upload, parts, complete |
//! | `download` | links and their bytes |
//! | `errors` | error answers |
//!
//! Operations in meters and faults: `refresh`, `drive_info`, `space_info`, `vip_info`,
//! `user_info`, `list`, `search`, `get`, `get_by_path`, `batch_get`, `link`, `create`,
//! `upload_url`, `list_parts`, `complete`, `update`, `move`, `copy`, `trash`, `delete`,
//! `task`, `download`, `upload_part`.
//! Knobs: `strict_rates` (4/1/15 per second instead of 1000), `max_streams` (3), `vip`,
//! `total_size` (8 TiB), `max_file_size` (100 GB), `deny_resource`.

mod auth;
mod change;
mod download;
mod errors;
mod files;
#[cfg(test)]
mod tests;
mod upload;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde_json::{Value, json};

use super::account::Account;
use super::clock::rfc3339;
use super::simulator::{Kit, SimProfile, Simulator, SimulatorInfo};
use super::tree::Node;
use errors::ApiError;
use upload::Upload;

/// The line of the table.
pub const INFO: SimulatorInfo = SimulatorInfo {
    key: "aliyundrive_open",
    short: "ali",
    roots: |number| {
        let (backup, resource) = drives(number);
        vec![root_id(&backup), root_id(&resource)]
    },
    shares: false,
    start: |kit| Arc::new(Aliyun::new(kit)),
};

/// Drive ids of an account: backup (which is the default drive), resource.
fn drives(number: usize) -> (String, String) {
    (format!("10184{number:02}0"), format!("10293{number:02}1"))
}

/// `root` exists once per drive: inside the tree it carries the drive's id.
fn root_id(drive: &str) -> String {
    format!("root:{drive}")
}

/// A text member; null and absent are the same (section 3).
fn text<'a>(body: &'a Value, key: &str) -> &'a str {
    body.get(key).and_then(Value::as_str).unwrap_or("")
}

#[derive(Default)]
struct State {
    tokens: auth::Tokens,
    uploads: BTreeMap<String, Upload>,
    /// Upload ids of fast-upload hits, which `complete` still takes: file id.
    hits: HashMap<String, String>,
    /// Folder tasks: how often they were asked for.
    tasks: HashMap<String, u32>,
}

/// The server.
pub struct Aliyun {
    kit: Kit,
    state: Mutex<State>,
    streams: Vec<Arc<AtomicU64>>,
}

/// An authenticated call.
struct Ctx<'a> {
    sim: &'a Aliyun,
    account: Arc<Account>,
    /// The access token as sent: proof codes are computed from it.
    token: String,
    op: &'static str,
    body: Value,
}

/// Path, operation, rate class.
const CALLS: &[(&str, &str, &str)] = &[
    ("/adrive/v1.0/user/getDriveInfo", "drive_info", "other"),
    ("/adrive/v1.0/user/getSpaceInfo", "space_info", "other"),
    ("/business/v1.0/user/getVipInfo", "vip_info", "other"),
    ("/v1.0/user/getVipInfo", "vip_info", "other"),
    ("/oauth/users/info", "user_info", "other"),
    ("/adrive/v1.0/openFile/list", "list", "list"),
    ("/adrive/v1.0/openFile/search", "search", "list"),
    ("/adrive/v1.0/openFile/get", "get", "other"),
    ("/adrive/v1.0/openFile/get_by_path", "get_by_path", "other"),
    ("/adrive/v1.0/openFile/batch/get", "batch_get", "other"),
    ("/adrive/v1.0/openFile/getDownloadUrl", "link", "link"),
    ("/adrive/v1.0/openFile/create", "create", "other"),
    ("/adrive/v1.0/openFile/getUploadUrl", "upload_url", "other"),
    (
        "/adrive/v1.0/openFile/listUploadedParts",
        "list_parts",
        "other",
    ),
    ("/adrive/v1.0/openFile/complete", "complete", "other"),
    ("/adrive/v1.0/openFile/update", "update", "other"),
    ("/adrive/v1.0/openFile/move", "move", "other"),
    ("/adrive/v1.0/openFile/copy", "copy", "other"),
    ("/adrive/v1.0/openFile/recyclebin/trash", "trash", "other"),
    ("/adrive/v1.0/openFile/delete", "delete", "other"),
    ("/adrive/v1.0/openFile/async_task/get", "task", "other"),
];

async fn entry(Shared(sim): Shared<Arc<Aliyun>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    if let Some(object) = path.strip_prefix("/data/") {
        let query = parts.uri.query().unwrap_or("");
        return sim
            .data(&parts.method, object, query, &parts.headers, body)
            .await;
    }
    let now = rfc3339(sim.kit.clock.now_ms());
    let call = CALLS.iter().find(|(known, _, _)| *known == path);
    if call.is_none() && path != "/oauth/access_token" {
        return errors::gateway_404(&path, &now);
    }
    let reads = matches!(call, Some((_, "vip_info" | "user_info", _)));
    if parts.method != Method::POST && !(reads && parts.method == Method::GET) {
        return ApiError::new(405, "MethodNotAllowed", "Only POST is supported.").into_response();
    }
    let body = match read_json(body).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    match call {
        Some((_, op, class)) => sim.call(op, class, &parts.headers, body).await,
        None => sim.token_call(&parts.headers, &body).await,
    }
}

async fn read_json(body: Body) -> Result<Value, ApiError> {
    let Ok(bytes) = to_bytes(body, 4 << 20).await else {
        return Err(ApiError::new(
            413,
            "Payload Too Large",
            "The body is too large.",
        ));
    };
    if bytes.is_empty() {
        return Ok(json!({}));
    }
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => Ok(Value::Object(object)),
        _ => Err(ApiError::new(
            400,
            "BadRequest",
            "The body is not a JSON object.",
        )),
    }
}

impl Aliyun {
    fn new(kit: Kit) -> Aliyun {
        let streams = kit.accounts.iter().map(|_| Arc::default()).collect();
        Aliyun {
            kit,
            state: Mutex::default(),
            streams,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn call(
        &self,
        op: &'static str,
        class: &str,
        headers: &HeaderMap,
        body: Value,
    ) -> Response {
        let Some((account, token)) = self.bearer(headers) else {
            let text = "The access token is missing or not valid.";
            return ApiError::new(401, "AccessTokenInvalid", text).into_response();
        };
        let gate = account.clone();
        let work = async {
            let ctx = Ctx {
                sim: self,
                account,
                token,
                op,
                body,
            };
            ctx.run(class)
                .await
                .unwrap_or_else(IntoResponse::into_response)
        };
        gate.serve(op, ApiError::injected, work).await
    }
}

impl Ctx<'_> {
    async fn run(&self, class: &str) -> Result<Response, ApiError> {
        self.sim.check(&self.account, self.op, &self.token)?;
        let (rate, burst) = match (self.account.knobs.flag("strict_rates"), class) {
            (false, _) => (1000.0, 1000.0),
            (true, "list") => (4.0, 4.0),
            (true, "link") => (1.0, 1.0),
            (true, _) => (15.0, 15.0),
        };
        let bucket = format!("{}/{class}/{rate}", self.account.profile);
        self.sim
            .kit
            .rates
            .take(&bucket, rate, burst)
            .map_err(ApiError::too_many)?;
        let answer = match self.op {
            "drive_info" => self.drive_info(),
            "space_info" => self.space_info(),
            "vip_info" => self.vip_info(),
            "user_info" => self.user_info(),
            "list" => self.list()?,
            "search" => self.search()?,
            "get" => self.get()?,
            "get_by_path" => self.get_by_path()?,
            "batch_get" => self.batch_get()?,
            "link" => self.link()?,
            "create" => self.create().await?,
            "upload_url" => self.upload_url()?,
            "list_parts" => self.list_parts()?,
            "complete" => self.complete().await?,
            "update" => self.update()?,
            "move" => self.move_to()?,
            "copy" => self.copy()?,
            "trash" => self.trash()?,
            "delete" => self.delete()?,
            _ => self.task()?,
        };
        Ok(axum::Json(answer).into_response())
    }

    fn text(&self, key: &str) -> &str {
        text(&self.body, key)
    }

    fn now(&self) -> i64 {
        self.sim.kit.clock.now_ms()
    }

    /// The drive a body names, granted to the app.
    fn drive<'b>(&self, body: &'b Value) -> Result<&'b str, ApiError> {
        let drive = text(body, "drive_id");
        if drive.is_empty() {
            return Err(ApiError::parameter("DriveId"));
        }
        let (backup, resource) = drives(self.account.number);
        let denied = self.account.knobs.flag("deny_resource");
        if drive == backup || (drive == resource && !denied) {
            return Ok(drive);
        }
        let text = "The user or app is not allowed to access this drive.";
        Err(ApiError::new(403, "UserNotAllowedAccessDrive", text))
    }

    /// A live node of a drive by the id in a member of the body.
    fn node(&self, body: &Value, member: &str) -> Result<Node, ApiError> {
        let drive = self.drive(body)?;
        let id = match text(body, member) {
            "" => {
                let name = if member == "file_id" {
                    "FileId"
                } else {
                    "ParentFileId"
                };
                return Err(ApiError::parameter(name));
            }
            "root" => root_id(drive),
            id => id.to_owned(),
        };
        let tree = self.account.tree();
        let in_drive = tree.root_of(&id) == Some(root_id(drive).as_str());
        tree.live(&id)
            .filter(|_| in_drive)
            .cloned()
            .ok_or_else(ApiError::no_file)
    }

    /// The same, a directory.
    fn dir(&self, body: &Value, member: &str) -> Result<Node, ApiError> {
        self.node(body, member)
            .and_then(|node| match node.is_dir() {
                true => Ok(node),
                false => Err(ApiError::no_file()),
            })
    }

    /// The same, not a root: for calls that change it.
    fn own_node(&self) -> Result<Node, ApiError> {
        match self.text("file_id") {
            "root" => Err(ApiError::parameter("FileId")),
            _ => self.node(&self.body, "file_id"),
        }
    }
}

impl Simulator for Aliyun {
    fn kit(&self) -> &Kit {
        &self.kit
    }

    fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(any(entry)).with_state(self)
    }

    fn endpoints(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("api".to_owned(), self.kit.base.clone())])
    }

    fn profiles(&self) -> Vec<SimProfile> {
        let one = |account: &Arc<Account>| {
            let (_, refresh) = self.issue(account);
            SimProfile {
                name: account.profile.clone(),
                provider: self.kit.provider.to_owned(),
                account: account.profile.clone(),
                auth_mode: "official_oauth".to_owned(),
                kind: "account".to_owned(),
                fields: BTreeMap::from([
                    ("client_id".to_owned(), auth::CLIENT_ID.to_owned()),
                    ("drive_type".to_owned(), "default".to_owned()),
                ]),
                secrets: BTreeMap::from([
                    ("client_secret".to_owned(), auth::CLIENT_SECRET.to_owned()),
                    ("refresh_token".to_owned(), refresh),
                ]),
                endpoints: self.endpoints(),
                root: None,
            }
        };
        self.kit.accounts.iter().map(one).collect()
    }

    fn new_id(&self, _account: &Account, _dir: bool) -> String {
        self.kit.ids.hex(40)
    }

    fn uploads(&self, account: &Account) -> Vec<Value> {
        let state = self.state();
        let own = state
            .uploads
            .iter()
            .filter(|(_, up)| up.profile == account.profile);
        own.map(|(id, up)| {
            json!({ "id": id, "name": up.name, "file_id": up.file_id, "parts": up.multipart.parts.len() })
        })
        .collect()
    }

    fn knobs(&self) -> &'static [&'static str] {
        &[
            "strict_rates",
            "max_streams",
            "vip",
            "total_size",
            "max_file_size",
            "deny_resource",
        ]
    }

    /// The gateway takes `//adrive/..` (section 3, a client's habit).
    fn rewrite(&self, path: &str) -> Option<String> {
        path.starts_with("//")
            .then(|| format!("/{}", path.trim_start_matches('/')))
    }
}
