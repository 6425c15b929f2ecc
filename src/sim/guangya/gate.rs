//! Routes, and the checks every call passes (section 3).

use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, Method};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::any;
use serde_json::Value;

use super::super::account::Account;
use super::super::body::drain;
use super::super::faults::FaultKind;
use super::Guangya;
use super::args::Args;
use super::errors::{ApiError, ok, plain};

/// The current and the older prefix of a family of paths.
const PREFIXES: &[(&str, &str)] = &[
    ("/userres/v1/", "/nd.bizuserres.s/v1/"),
    ("/assets/v1/", "/nd.bizassets.s/v1/"),
];

/// Current prefix, rest of the path, operation.
const CALLS: &[(&str, &str, &str)] = &[
    ("/userres/v1/", "file/get_file_list", "list"),
    ("/userres/v1/", "file/search_files", "search"),
    ("/userres/v1/", "file/get_file_detail", "stat"),
    ("/userres/v1/", "get_res_download_url", "link"),
    ("/userres/v1/", "file/get_vod_download_url", "vod_link"),
    ("/userres/v1/", "file/create_dir", "mkdir"),
    ("/userres/v1/", "file/rename", "rename"),
    ("/userres/v1/", "file/move_file", "move"),
    ("/userres/v1/", "file/copy_file", "copy"),
    ("/userres/v1/", "file/delete_file", "trash"),
    ("/userres/v1/", "file/recycle_file", "restore"),
    ("/userres/v1/", "file/clear_recycle_bin", "empty_trash"),
    ("/userres/v1/", "get_task_status", "task"),
    ("/userres/v1/", "get_res_center_token", "upload_token"),
    ("/userres/v1/", "check_can_flash_upload", "flash_check"),
    ("/userres/v1/", "file/get_info_by_task_id", "upload_info"),
    ("/userres/v1/", "delete_upload_task", "upload_delete"),
    (
        "/userres/v1/",
        "get_res_center_resume_token",
        "resume_token",
    ),
    ("/assets/v1/", "get_assets", "quota"),
];

/// An admitted call.
pub(super) struct Ctx<'a> {
    pub sim: &'a Guangya,
    pub account: Arc<Account>,
    pub op: &'static str,
    pub args: Args,
    /// Draws the forms of its answer.
    pub turn: u64,
}

pub(super) fn router(sim: Arc<Guangya>) -> Router {
    let store = || sim.oss.router().layer(middleware::from_fn(no_api_headers));
    let api = Router::new().fallback(any(api)).with_state(sim.clone());
    let user = any(Guangya::account_service);
    let user = Router::new().fallback(user).with_state(sim.clone());
    let links = any(download).with_state(sim.clone());
    Router::new()
        .nest("/api", api)
        .nest("/account", user)
        .nest("/oss", store())
        .route("/obj/{key}", links)
        // The endpoint of a token answer carries no path: bucket first, or bucket as host.
        .fallback_service(store())
}

/// A header's text, empty when it is missing.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or("").trim()
}

/// Whether headers of the API came to a host of bytes: they leak the login (section 7).
pub(super) fn foreign_headers(headers: &HeaderMap) -> bool {
    let leaks = ["did", "dt", "x-device-id", "x-client-id"];
    leaks.iter().any(|name| headers.contains_key(*name))
        || header(headers, "authorization").starts_with("Bearer")
}

async fn no_api_headers(request: Request, next: Next) -> Response {
    if foreign_headers(request.headers()) {
        drain(request.into_body()).await;
        return plain(400, "headers of the API do not belong here");
    }
    next.run(request).await
}

async fn download(Shared(sim): Shared<Arc<Guangya>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    drain(body).await;
    sim.serve_link(&parts).await
}

/// Operation of a path, and whether it was asked for by the older prefix.
fn route(path: &str) -> Option<(&'static str, bool)> {
    PREFIXES.iter().find_map(|(current, older)| {
        let (rest, old) = match path.strip_prefix(current) {
            Some(rest) => (rest, false),
            None => (path.strip_prefix(older)?, true),
        };
        let call = CALLS
            .iter()
            .find(|(prefix, known, _)| prefix == current && *known == rest)?;
        Some((call.2, old))
    })
}

async fn api(Shared(sim): Shared<Arc<Guangya>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, 4 << 20).await else {
        return plain(413, "413 Request Entity Too Large");
    };
    match route(parts.uri.path()) {
        None => plain(404, "404 page not found"),
        // Every business call is a POST, those that read too.
        Some(_) if parts.method != Method::POST => plain(405, "405 method not allowed"),
        Some((op, old)) => sim.call(op, old, &parts.headers, &bytes).await,
    }
}

impl Guangya {
    /// One path does several things: what this call does.
    fn refined(op: &'static str, account: &Account, args: &Args) -> &'static str {
        match op {
            "list" if args.get("dirType") == Some(&Value::from(4)) => "trash_list",
            "trash" => {
                let ids = args.ids("fileIds", u64::MAX).unwrap_or_default();
                let tree = account.tree();
                let trashed = |id: &String| {
                    let node = tree.get(id);
                    node.is_some_and(|node| node.trashed.is_some())
                };
                match !ids.is_empty() && ids.iter().all(trashed) {
                    true => "purge",
                    false => "trash",
                }
            }
            other => other,
        }
    }

    async fn call(
        &self,
        op: &'static str,
        old: bool,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Response {
        self.settle();
        let (account, token) = match self.bearer(headers) {
            Ok(found) => found,
            Err(error) => return error.respond(0, 200),
        };
        let args = Args::read(header(headers, "content-type"), body);
        let op = match &args {
            Ok(args) => Guangya::refined(op, &account, args),
            Err(_) => op,
        };
        let gone = match account.knobs.text("prefixes").as_deref() {
            Some("current") => old,
            Some("old") => !old,
            _ => false,
        };
        let gate = account.clone();
        let work = async {
            if gone {
                return plain(404, "404 page not found");
            }
            let turn = self.turn(&account);
            let http = account.knobs.number("error_status", 200);
            let http = u16::try_from(http).unwrap_or(200);
            let checked = self.admit(&account, op, &token, headers).and(args);
            let answer = match checked {
                Ok(args) => {
                    let ctx = Ctx {
                        sim: self,
                        account,
                        op,
                        args,
                        turn,
                    };
                    ctx.run().await
                }
                Err(error) => Err(error),
            };
            match answer {
                Ok(data) => ok(data, turn),
                Err(error) => error.respond(turn, http),
            }
        };
        gate.serve(op, ApiError::injected, work).await
    }

    /// Token, device, rate.
    fn admit(
        &self,
        account: &Account,
        op: &str,
        token: &str,
        headers: &HeaderMap,
    ) -> Result<(), ApiError> {
        self.check_token(account, op, token)?;
        self.check_device(token, headers)?;
        let rate = account.knobs.number("calls_per_second", 0) as f64;
        let bucket = format!("{} calls", account.profile);
        if rate > 0.0 && self.kit.rates.take(&bucket, rate, rate).is_err() {
            return Err(match account.knobs.text("throttle").as_deref() {
                Some("429") => ApiError::too_many(),
                _ => ApiError::throttled(),
            });
        }
        Ok(())
    }
}

impl Ctx<'_> {
    async fn run(&self) -> Result<Value, ApiError> {
        match self.op {
            "list" | "trash_list" | "search" => self.list(),
            "stat" => self.stat(),
            "link" | "vod_link" => self.link(),
            "mkdir" => self.mkdir(),
            "rename" => self.rename(),
            "move" | "copy" => self.relocate(),
            "trash" | "purge" => self.delete(),
            "restore" => self.restore(),
            "empty_trash" => self.empty_trash(),
            "task" => self.task(),
            "upload_token" => self.upload_token().await,
            "flash_check" => self.flash_check().await,
            "upload_info" => self.upload_info(),
            "upload_delete" => self.upload_delete(),
            "resume_token" => self.resume_token(),
            _ => Ok(self.quota()),
        }
    }

    /// Which of `of` forms the answer has in some `aspect`: the first where it is plain.
    pub(super) fn form(&self, aspect: u32, of: u64) -> u64 {
        self.turn.rotate_right(aspect * 8) % of.max(1)
    }

    /// Milliseconds since 1970 by the world's clock.
    pub(super) fn now(&self) -> i64 {
        self.sim.kit.clock.now_ms()
    }

    /// A setting as a number.
    pub(super) fn number(&self, knob: &str, default: u64) -> i64 {
        number(&self.account, knob, default)
    }

    /// A setting as a text, empty when it is not set.
    pub(super) fn knob(&self, name: &str) -> String {
        self.account.knobs.text(name).unwrap_or_default()
    }

    /// Whether a fault of the simulator's own kinds strikes.
    pub(super) fn struck(&self, kind: FaultKind) -> bool {
        self.account.faults.take(self.op, kind).is_some()
    }
}

/// A setting of an account as a number that can be added to times.
pub(super) fn number(account: &Account, knob: &str, default: u64) -> i64 {
    i64::try_from(account.knobs.number(knob, default)).unwrap_or(i64::MAX)
}
