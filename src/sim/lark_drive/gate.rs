//! Routes, and the checks every call passes (section 3).

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::super::account::Account;
use super::super::body::{Unread, drain};
use super::super::faults::FaultKind;
use super::super::tree::{Node, Tree};
use super::LarkDrive;
use super::args::{Args, read_object};
use super::auth::{Login, Who};
use super::entries::{kind, known_kind, roots};
use super::errors::{ApiError, ok, plain};

/// An admitted call.
pub(super) struct Ctx<'a> {
    pub sim: &'a LarkDrive,
    pub account: Arc<Account>,
    pub who: Who,
    pub op: &'static str,
    /// The token in the path.
    pub token: String,
    pub args: Args,
}

/// A setting of an account as a number that can be added to times.
pub(super) fn number(account: &Account, knob: &str, default: u64) -> i64 {
    i64::try_from(account.knobs.number(knob, default)).unwrap_or(i64::MAX)
}

pub(super) fn router(sim: Arc<LarkDrive>) -> Router {
    Router::new().fallback(any(entry)).with_state(sim)
}

/// Operation of a path, and the token in it.
fn route(method: &Method, path: &str) -> Option<(&'static str, String)> {
    let path = path.strip_prefix("/open-apis/")?;
    let parts: Vec<&str> = path.split('/').collect();
    let (op, token) = match (method.as_str(), parts.as_slice()) {
        ("POST", ["auth", "v3", "tenant_access_token", "internal"]) => ("tenant_token", ""),
        ("POST", ["authen", "v2", "oauth", "token"]) => ("refresh", ""),
        ("GET", ["drive", "explorer", "v2", "root_folder", "meta"]) => ("root", ""),
        ("GET", ["drive", "explorer", "v2", "folder", token, "meta"]) => ("folder_meta", *token),
        ("POST", ["drive", "v1", "metas", "batch_query"]) => ("metas", ""),
        (method, ["drive", "v1", "files", rest @ ..]) => match (method, rest) {
            ("GET", []) => ("list", ""),
            ("GET", ["task_check"]) => ("task", ""),
            ("POST", ["create_folder"]) => ("mkdir", ""),
            ("POST", ["create_shortcut"]) => ("shortcut", ""),
            ("POST", ["upload_all"]) => ("upload_all", ""),
            ("POST", ["upload_prepare"]) => ("upload_prepare", ""),
            ("POST", ["upload_part"]) => ("upload_part", ""),
            ("POST", ["upload_finish"]) => ("upload_finish", ""),
            ("PATCH", [token]) => ("rename", *token),
            ("DELETE", [token]) => ("delete", *token),
            ("POST", [token, "move"]) => ("move", *token),
            ("POST", [token, "copy"]) => ("copy", *token),
            ("GET", [token, "history"]) => ("history", *token),
            ("POST", [token, "revert"]) => ("revert", *token),
            ("POST", [token, "version_del"]) => ("version_del", *token),
            ("GET", [token, "download"]) => ("download", *token),
            _ => return None,
        },
        _ => return None,
    };
    let token = percent_decode_str(token).decode_utf8_lossy().into_owned();
    Some((op, token))
}

async fn entry(Shared(sim): Shared<Arc<LarkDrive>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    sim.settle();
    if let Some(key) = parts.uri.path().strip_prefix("/stream/") {
        drain(body).await;
        return sim.stream(key, &parts).await;
    }
    match route(&parts.method, parts.uri.path()) {
        None => {
            drain(body).await;
            plain(404, "404 page not found")
        }
        Some((op @ ("tenant_token" | "refresh"), _)) => {
            sim.token_call(op, &parts.headers, body).await
        }
        Some((op, token)) => sim.call(op, token, &parts, body).await,
    }
}

impl LarkDrive {
    async fn call(&self, op: &'static str, token: String, parts: &Parts, body: Body) -> Response {
        let login = match self.bearer(&parts.headers) {
            Ok(login) => login,
            Err(error) => {
                drain(body).await;
                return error.into_response();
            }
        };
        let gate = login.account.clone();
        let body = Unread::new(body);
        let work = async {
            let account = login.account.clone();
            let done = self.run(op, token, parts, &body, login).await;
            done.unwrap_or_else(|error| error.respond(&account))
        };
        let response = match op {
            "upload_all" | "upload_part" | "download" => {
                gate.serve_transfer(op, ApiError::injected, work).await
            }
            _ => gate.serve(op, ApiError::injected, work).await,
        };
        body.drain().await;
        response
    }

    async fn run(
        &self,
        op: &'static str,
        token: String,
        parts: &Parts,
        body: &Unread,
        login: Login,
    ) -> Result<Response, ApiError> {
        self.check(&login, op)?;
        let _place = self.occupy(&login, op)?;
        let form = matches!(op, "upload_all" | "upload_part");
        let members = match form {
            true => serde_json::Map::new(),
            false => read_object(&parts.headers, body.take()).await?,
        };
        let ctx = Ctx {
            sim: self,
            account: login.account,
            who: login.who,
            op,
            token,
            args: Args::new(parts.uri.query().unwrap_or(""), members),
        };
        match op {
            "upload_all" => ctx.upload_all(&parts.headers, body.take()).await,
            "upload_part" => ctx.upload_part(&parts.headers, body.take()).await,
            "download" => ctx.download(&parts.headers),
            _ => ctx.answer().map(ok),
        }
    }
}

impl Ctx<'_> {
    fn answer(&self) -> Result<Value, ApiError> {
        match self.op {
            "root" => self.root_meta(),
            "folder_meta" => self.folder_meta(),
            "list" => self.list(),
            "metas" => self.metas(),
            "history" => self.history(),
            "revert" => self.revert(),
            "version_del" => self.version_del(),
            "mkdir" => self.mkdir(),
            "rename" => self.rename(),
            "move" => self.move_to(),
            "copy" => self.copy(),
            "delete" => self.delete(),
            "task" => self.task(),
            "shortcut" => self.shortcut(),
            "upload_prepare" => self.upload_prepare(),
            _ => self.upload_finish(),
        }
    }

    /// Milliseconds since 1970 by the world's clock.
    pub(super) fn now(&self) -> i64 {
        self.sim.kit.clock.now_ms()
    }

    /// Whether a fault of the simulator's own kinds strikes.
    pub(super) fn struck(&self, kind: FaultKind) -> bool {
        self.account.faults.take(self.op, kind).is_some()
    }

    /// The root folder of this identity: an app has its own (section 2.1).
    pub(super) fn root(&self) -> String {
        let mut all = roots(self.account.number).into_iter();
        let skip = usize::from(self.who == Who::Bot);
        all.nth(skip).unwrap_or_default()
    }

    /// Whether this identity sees an entry: its own, and for the app what is at or below the
    /// path of the setting `shared_with_app`.
    fn sees(&self, tree: &Tree, id: &str) -> bool {
        if tree.root_of(id) == Some(self.root().as_str()) {
            return true;
        }
        let shared = self.account.knobs.text("shared_with_app");
        let shared = shared.filter(|_| self.who == Who::Bot);
        let shared = shared.and_then(|path| tree.resolve(&path));
        shared.is_some_and(|folder| tree.is_below(id, &folder.id))
    }

    /// An entry by its token.
    ///
    /// # Errors
    /// 1061003: none; 1061004: of somebody else; 1061007: in the trash.
    pub(super) fn node(&self, token: &str) -> Result<Node, ApiError> {
        let found = {
            let tree = self.account.tree();
            let node = tree.get(token).cloned();
            node.map(|node| (node, self.sees(&tree, token), tree.live(token).is_some()))
        };
        match found {
            Some((_, false, _)) => Err(ApiError::new(1_061_004)),
            Some((_, _, false)) => Err(ApiError::new(1_061_007)),
            Some((node, ..)) => Ok(node),
            None => {
                let mut others = self.sim.kit.accounts.iter();
                let foreign = others.any(|other| other.tree().get(token).is_some());
                let code = if foreign { 1_061_004 } else { 1_061_003 };
                Err(ApiError::new(code))
            }
        }
    }

    /// An entry whose type is told beside its token.
    ///
    /// # Errors
    /// 1061002: no such type; 1061003: another type.
    pub(super) fn typed(&self, token: &str, told: &str) -> Result<Node, ApiError> {
        let told = known_kind(told).ok_or_else(|| ApiError::parameter("type"))?;
        let node = self.node(token)?;
        match kind(&node) == told {
            true => Ok(node),
            false => Err(ApiError::new(1_061_003)),
        }
    }

    /// A folder; an empty token is the root (section 9).
    pub(super) fn folder(&self, token: &str) -> Result<Node, ApiError> {
        let node = match token {
            "" => self.node(&self.root())?,
            token => self.node(token)?,
        };
        match node.is_dir() {
            true => Ok(node),
            false => Err(ApiError::new(1_061_003)),
        }
    }

    /// A folder that is named as a parent.
    ///
    /// # Errors
    /// 1061041, 1061044: deleted, missing.
    pub(super) fn place(&self, token: &str) -> Result<Node, ApiError> {
        self.folder(token).map_err(|error| match error.code() {
            1_061_007 => ApiError::new(1_061_041),
            1_061_003 => ApiError::new(1_061_044),
            _ => error,
        })
    }

    /// The same for something new, which needs room.
    ///
    /// # Errors
    /// 1062507: full; 1061042: too deep.
    pub(super) fn parent(&self, token: &str) -> Result<Node, ApiError> {
        let parent = self.place(token)?;
        let most = self.account.knobs.number("max_siblings", 1500);
        let depth = self.account.knobs.number("max_depth", 0);
        let tree = self.account.tree();
        if tree.children(&parent.id).count() as u64 >= most {
            return Err(ApiError::new(1_062_507));
        }
        let path = tree.path_of(&parent.id);
        let above = path.split('/').filter(|name| !name.is_empty()).count() as u64;
        if depth > 0 && above >= depth {
            return Err(ApiError::new(1_061_042));
        }
        Ok(parent)
    }
}

/// A header's text, empty when it is missing.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or("")
}
