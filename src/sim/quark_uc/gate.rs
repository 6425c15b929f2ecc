//! Routes, and the checks every call passes (sheet quark, section 3; sheet uc, section 3).

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::to_bytes;
use axum::extract::{Request, State as Shared};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::super::account::Account;
use super::super::body::drain;
use super::super::faults::FaultKind;
use super::QuarkUc;
use super::args::Args;
use super::errors::{ApiError, ok, plain};
use super::login::Cookies;

/// Method, path below the API base, operation.
const CALLS: &[(&str, &str, &str)] = &[
    ("GET", "/config", "config"),
    ("POST", "/transfer/upload/pdir", "pdir"),
    ("GET", "/file/sort", "list"),
    ("POST", "/file/info/path_list", "path_list"),
    ("GET", "/file/info", "stat"),
    ("GET", "/file", "stat"),
    ("POST", "/file/download", "link"),
    ("POST", "/file", "mkdir"),
    ("POST", "/file/rename", "rename"),
    ("POST", "/file/move", "move"),
    ("POST", "/file/copy", "copy"),
    ("POST", "/file/delete", "trash"),
    ("GET", "/file/recycle/list", "trash_list"),
    ("GET", "/file/deep_recycle/list", "deep_trash_list"),
    ("POST", "/file/recycle/recover", "restore"),
    ("POST", "/file/recycle/remove", "purge"),
    ("GET", "/task", "task"),
    ("GET", "/file/search", "search"),
    ("GET", "/member", "quota"),
    ("POST", "/file/upload/pre", "pre"),
    ("POST", "/file/update/hash", "hash"),
    ("POST", "/file/upload/auth", "auth"),
    ("POST", "/file/upload/finish", "finish"),
    ("POST", "/share/sharepage/token", "share_token"),
    ("GET", "/share/sharepage/detail", "share_list"),
    ("POST", "/share/sharepage/v2/detail", "share_detail"),
    ("POST", "/share/sharepage/save", "share_save"),
];

/// What somebody who only looks at the share may call.
const GUEST_CALLS: &[&str] = &[
    "config",
    "pdir",
    "quota",
    "link",
    "task",
    "share_token",
    "share_list",
    "share_detail",
];

/// An admitted call.
pub(super) struct Ctx<'a> {
    pub sim: &'a QuarkUc,
    pub account: Arc<Account>,
    pub op: &'static str,
    /// Index of the login; `None` without cookie.
    pub login: Option<usize>,
    /// No drive of its own: a share's onlooker.
    pub guest: bool,
    pub user_agent: String,
    pub args: Args,
    /// Further `Set-Cookie` lines of the answer.
    pub cookies: Mutex<Vec<String>>,
}

/// A header's text, empty when it is missing.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or("").trim()
}

pub(super) async fn entry(Shared(sim): Shared<Arc<QuarkUc>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let full = parts.uri.path();
    if full.starts_with("/cdn/") {
        drain(body).await;
        return sim.download(&parts).await;
    }
    if let Some(object) = full.strip_prefix("/oss/") {
        return sim.store(&parts, object, body).await;
    }
    // Whether a profile's base carries this prefix is left to the client.
    let mut path = full;
    while let Some(rest) = path.strip_prefix("/1/clouddrive") {
        path = rest;
    }
    let Ok(bytes) = to_bytes(body, 4 << 20).await else {
        return plain(413, "413 Request Entity Too Large");
    };
    if parts.method == Method::OPTIONS {
        return plain(204, "");
    }
    if (parts.method.as_str(), path) == ("GET", "/account/info") {
        return sim.account_call(&parts).await;
    }
    let known = CALLS.iter().filter(|(_, known, _)| *known == path);
    let known: Vec<_> = known.collect();
    match known.iter().find(|(method, _, _)| *method == parts.method) {
        Some((_, _, "share_detail")) if !sim.brand.v2_detail => plain(404, "404 Not Found"),
        Some((_, _, op)) => sim.call(op, &parts, &bytes).await,
        None if known.is_empty() => plain(404, "404 Not Found"),
        None => plain(405, "405 Method Not Allowed"),
    }
}

impl QuarkUc {
    /// Whether nobody need be logged in: the share's page, and small files of the share.
    fn open_to_all(op: &str, body: &[u8]) -> bool {
        op.starts_with("share_") && op != "share_save"
            || op == "link"
                && Args::read("", body).is_ok_and(|args| !args.text("pwd_id").is_empty())
    }

    async fn call(&self, op: &'static str, parts: &Parts, body: &[u8]) -> Response {
        self.settle();
        let cookies = Cookies::of(&parts.headers);
        let who = {
            let logins = self.logins();
            let found = logins.find(&cookies);
            found.map(|(index, login)| (login.account.clone(), Some(index), login.guest))
        };
        let anonymous = cookies.get("__pus").is_none() && Self::open_to_all(op, body);
        let share = self.kit.share.clone().filter(|_| anonymous);
        let Some((account, login, guest)) = who.or(share.map(|share| (share, None, true))) else {
            return ApiError::login().respond(false);
        };
        let calm = account.knobs.text("error_status").as_deref() == Some("200");
        let gate = account.clone();
        let work = async {
            let mut lines = Vec::new();
            let answer = self
                .admitted(
                    op,
                    parts,
                    body,
                    &cookies,
                    (account, login, guest),
                    &mut lines,
                )
                .await;
            let mut response = match answer {
                Ok((data, metadata)) => ok(self.kit.clock.now_s(), data, metadata),
                Err(error) => error.respond(calm),
            };
            for line in lines {
                if let Ok(line) = HeaderValue::from_str(&line) {
                    response.headers_mut().append(header::SET_COOKIE, line);
                }
            }
            response
        };
        gate.serve(op, ApiError::injected, work).await
    }

    async fn admitted(
        &self,
        op: &'static str,
        parts: &Parts,
        body: &[u8],
        cookies: &Cookies,
        (account, login, guest): (Arc<Account>, Option<usize>, bool),
        lines: &mut Vec<String>,
    ) -> Result<(Value, Value), ApiError> {
        self.rate(&account, op)?;
        if let Some(index) = login {
            if let Some(what) = account.faults.take(op, FaultKind::ExpireToken) {
                let mut logins = self.logins();
                match what.as_str() {
                    "pus" => logins.end(index),
                    _ => logins.expire(index),
                }
            }
            lines.extend(self.take_puus(index, op, cookies)?);
        }
        let args = Args::read(parts.uri.query().unwrap_or(""), body)?;
        let fr = args.query("fr");
        if args.query("pr") != self.brand.pr || !(fr == "pc" || op == "link" && fr == "android") {
            return Err(ApiError::parameter("pr, fr"));
        }
        let kind = header(&parts.headers, "content-type");
        if parts.method == Method::POST && !kind.starts_with("application/json") {
            return Err(ApiError::parameter("Content-Type"));
        }
        if guest && !GUEST_CALLS.contains(&op) {
            return Err(ApiError::parameter("an onlooker of the share has no drive"));
        }
        let ctx = Ctx {
            sim: self,
            account,
            op,
            login,
            guest,
            user_agent: header(&parts.headers, "user-agent").to_owned(),
            args,
            cookies: Mutex::default(),
        };
        let answer = ctx.run().await;
        lines.extend(
            ctx.cookies
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner),
        );
        answer
    }

    /// The settings `calls_per_second` and `share_calls_per_second`.
    fn rate(&self, account: &Account, op: &str) -> Result<(), ApiError> {
        let take = |knob: &str| match account.knobs.number(knob, 0) {
            0 => Ok(()),
            rate => {
                let bucket = format!("{}/{knob}", account.profile);
                self.kit.rates.take(&bucket, rate as f64, rate as f64)
            }
        };
        if op.starts_with("share_") && take("share_calls_per_second").is_err() {
            return Err(match self.brand.token_code {
                41020 => ApiError::busy(),
                _ => ApiError::new(400, 41020, "too frequent[操作太频繁]"),
            });
        }
        take("calls_per_second").map_err(|_| ApiError::busy())
    }

    /// `GET account/info`: without a login the data is empty (sheet quark, 2.4).
    async fn account_call(&self, parts: &Parts) -> Response {
        let cookies = Cookies::of(&parts.headers);
        let account = {
            let logins = self.logins();
            logins
                .find(&cookies)
                .map(|(_, login)| login.account.clone())
        };
        let Some(account) = account else {
            let nobody = json!({ "success": true, "code": "OK", "data": {} });
            return axum::Json(nobody).into_response();
        };
        let work = async {
            axum::Json(json!({
                "success": true, "code": "OK",
                "data": {
                    "nickname": account.profile, "avatarUri": "", "mobilekps": "",
                    "uid": format!("u{}", account.number),
                },
            }))
            .into_response()
        };
        account.serve("account", ApiError::injected, work).await
    }
}

impl Ctx<'_> {
    async fn run(&self) -> Result<(Value, Value), ApiError> {
        let plain = |data: Value| Ok((data, json!({})));
        match self.op {
            "config" => plain(json!({ "max_upload_size": 0, "fetch_time": self.now() })),
            "pdir" => plain(json!({ "pdir_fid": "0" })),
            "list" => self.list(),
            "path_list" => plain(self.path_list()?),
            "stat" => plain(self.stat()?),
            "link" => self.link().await,
            "mkdir" => plain(self.mkdir()?),
            "rename" => plain(self.rename()?),
            "move" => self.move_to(),
            "copy" => self.copy(),
            "trash" => self.trash(),
            "trash_list" => self.trash_list(),
            "deep_trash_list" => self.deep_trash_list(),
            "restore" => self.restore(),
            "purge" => plain(self.purge()?),
            "task" => self.task(),
            "search" => self.search(),
            "quota" => Ok(self.quota()),
            "pre" => self.pre(),
            "hash" => plain(self.hash().await?),
            "auth" => plain(self.auth()?),
            "finish" => plain(self.finish()?),
            "share_token" => plain(self.share_token()?),
            "share_list" => self.share_list(),
            "share_detail" => self.share_detail(),
            _ => self.share_save(),
        }
    }

    /// Milliseconds since 1970 by the world's clock.
    pub(super) fn now(&self) -> i64 {
        self.sim.kit.clock.now_ms()
    }

    /// A setting as a number.
    pub(super) fn number(&self, knob: &str, default: u64) -> i64 {
        i64::try_from(self.account.knobs.number(knob, default)).unwrap_or(i64::MAX)
    }

    /// A setting as a text, empty when it is not set.
    pub(super) fn knob(&self, name: &str) -> String {
        self.account.knobs.text(name).unwrap_or_default()
    }

    /// Whether a fault of the simulator's own kinds strikes.
    pub(super) fn struck(&self, kind: FaultKind) -> bool {
        self.account.faults.take(self.op, kind).is_some()
    }

    /// A record or task id: texts, or numbers with the setting `number_ids`.
    pub(super) fn id_value(&self, id: &str) -> Value {
        match id.parse::<u64>() {
            Ok(number) if self.account.knobs.flag("number_ids") => json!(number),
            _ => json!(id),
        }
    }

    /// A new record or task id.
    pub(super) fn new_record(&self) -> String {
        match self.account.knobs.flag("number_ids") {
            true => self.sim.kit.ids.decimal(18),
            false => self.sim.kit.ids.hex(24),
        }
    }
}
