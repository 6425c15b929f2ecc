//! Routes, and the checks every call passes (189cloud.md sections 3.1 to 3.6).

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State as Shared};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::Response;
use serde_json::Value;

use super::super::account::Account;
use super::super::body::{drain, set};
use super::super::clock::rfc1123;
use super::super::oss::sign::{parse_query, value};
use super::Cloud189;
use super::answer::{ApiError, json_answer, plain, success};
use super::auth::{Known, Scope};
use super::routes::{self, Call};
use super::sign::decrypt_params;

/// Longest form that is read.
const FORM_MOST: usize = 4 << 20;

/// Named arguments of a query or form, decoded.
pub(super) type Args = Vec<(String, String)>;

/// An authenticated call.
pub(super) struct Ctx<'a> {
    pub sim: &'a Cloud189,
    pub account: Arc<Account>,
    /// Which space it is about.
    pub scope: Scope,
    /// Name in meters and faults.
    pub op: &'static str,
    pub args: Args,
    /// Session key the call came with; empty on the open door.
    pub session_key: String,
}

/// A header's text, empty when it is missing.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers.get(name);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
        .trim()
}

/// Whether the caller does not ask for JSON: then the API answers XML (section 3.1).
pub(super) fn wants_xml(headers: &HeaderMap) -> bool {
    !header(headers, "accept").contains("json")
}

/// A request's body that a fault may leave unread: it is read then all the same, so that
/// the client gets to read the answer.
pub(super) struct Unread(Mutex<Option<Body>>);

impl Unread {
    pub(super) fn new(body: Body) -> Unread {
        Unread(Mutex::new(Some(body)))
    }

    /// The body, the first time.
    pub(super) fn take(&self) -> Body {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.take().unwrap_or_else(Body::empty)
    }

    pub(super) async fn drain(&self) {
        drain(self.take()).await;
    }
}

/// Every request. The answer carries the server's time: that is how a client with a wrong
/// clock finds out (section 10, `TimestampExpired`).
pub(super) async fn entry(Shared(sim): Shared<Arc<Cloud189>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut response = sim.route(&parts, body).await;
    set(&mut response, "date", &rfc1123(sim.now()));
    response
}

/// A form body, decoded; other bodies are empty.
pub(super) async fn read_form(parts: &Parts, body: Body) -> Result<Args, ApiError> {
    let Ok(bytes) = to_bytes(body, FORM_MOST).await else {
        return Err(ApiError::argument("body too long"));
    };
    let form =
        header(&parts.headers, "content-type").starts_with("application/x-www-form-urlencoded");
    match form {
        true => Ok(parse_query(&String::from_utf8_lossy(&bytes))),
        false if bytes.is_empty() => Ok(Args::new()),
        false => Err(ApiError::argument("Content-Type")),
    }
}

/// The client-info parameters of every call of the PC door (section 3.2).
fn check_suffix(query: &Args) -> Result<(), ApiError> {
    let text = |name: &str| value(query, name).unwrap_or("");
    let digits = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let (first, second) = text("rand").split_once('_').unwrap_or(("", ""));
    for (name, good) in [
        (
            "clientType",
            matches!(text("clientType"), "TELEPC" | "TELEMAC"),
        ),
        ("version", !text("version").is_empty()),
        ("channelId", !text("channelId").is_empty()),
        ("rand", digits(first, 5) && digits(second, 10)),
    ] {
        if !good {
            return Err(ApiError::argument(name));
        }
    }
    Ok(())
}

impl Cloud189 {
    /// Headers that section 3.1 says to send always. The setting `lenient_headers` does
    /// without.
    pub(super) fn check_headers(
        &self,
        account: &Account,
        headers: &HeaderMap,
    ) -> Result<(), ApiError> {
        if account.knobs.flag("lenient_headers") {
            return Ok(());
        }
        let referer = header(headers, "referer");
        let own = format!("{}/web", self.kit.base);
        if !referer.starts_with("https://cloud.189.cn") && !referer.starts_with(&own) {
            return Err(ApiError::argument("Referer").status(403));
        }
        match header(headers, "user-agent").starts_with("Mozilla/") {
            true => Ok(()),
            false => Err(ApiError::argument("User-Agent").status(403)),
        }
    }

    pub(super) fn check_rate(&self, account: &Account) -> Result<(), ApiError> {
        let rate = account.knobs.number("calls_per_second", 1_000_000) as f64;
        let bucket = format!("{} calls", account.profile);
        match self.kit.rates.take(&bucket, rate, rate.max(1.0)) {
            Ok(()) => Ok(()),
            Err(_) => Err(ApiError::new(
                "AccessDenyOfHighFrequency",
                "too many requests",
            )),
        }
    }

    async fn route(&self, parts: &Parts, body: Body) -> Response {
        let path = parts.uri.path();
        let inside = path.trim_start_matches('/');
        let (host, rest) = inside.split_once('/').unwrap_or((inside, ""));
        let rest = format!("/{rest}");
        match host {
            "api" => self.api_host(parts, &rest, body).await,
            "web" => match rest.strip_prefix("/api") {
                Some(inner) => self.web_host(parts, inner, body).await,
                None => plain(404, "404 Not Found"),
            },
            "auth" => self.auth_host(parts, &rest, body).await,
            "upload" => self.upload_host(parts, &rest, body).await,
            "m" => self.landing(parts),
            "download" => {
                drain(body).await;
                self.redirect(parts).await
            }
            "store" => self.store(parts, body).await,
            _ => {
                drain(body).await;
                plain(404, "404 Not Found")
            }
        }
    }

    async fn api_host(&self, parts: &Parts, path: &str, body: Body) -> Response {
        if path == "/getSessionForPC.action" || path.starts_with("/family/manage/getQrCode") {
            drain(body).await;
            return self.session_call(parts, path).await;
        }
        if matches!(
            path,
            "/family/manage/qrcodeLoginResult.action" | "/family/manage/loginFamilyMerge.action"
        ) {
            drain(body).await;
            return self.session_call(parts, path).await;
        }
        if path.starts_with("/open/") || path.starts_with("/security/") {
            return self.open_host(parts, path, body).await;
        }
        let Some(call) = routes::pc(parts.method.as_str(), path) else {
            drain(body).await;
            return plain(404, "404 Not Found");
        };
        self.pc_call(call, parts, path, body).await
    }

    async fn web_host(&self, parts: &Parts, path: &str, body: Body) -> Response {
        match path {
            "/portal/unifyLoginForPC.action" => {
                drain(body).await;
                self.login_page(parts)
            }
            _ => self.open_host(parts, path, body).await,
        }
    }

    async fn open_host(&self, parts: &Parts, path: &str, body: Body) -> Response {
        if path.starts_with("/open/share/") {
            drain(body).await;
            return self.share_call(parts, path).await;
        }
        let Some(call) = routes::open(parts.method.as_str(), path) else {
            drain(body).await;
            return plain(404, "404 Not Found");
        };
        match header(&parts.headers, "sessionkey") {
            "" => self.open_call(call, parts, body).await,
            _ => self.pc_call(call, parts, path, body).await,
        }
    }

    /// Signature, suffix and headers of a call of the PC door.
    fn admit(
        &self,
        known: &Known,
        op: &str,
        parts: &Parts,
        paths: [&str; 2],
        params: &str,
    ) -> Result<(), ApiError> {
        let (account, headers) = (&known.account, &parts.headers);
        self.check_session(known, op)?;
        let method = parts.method.as_str();
        self.check_signature(known, method, paths, headers, params)?;
        if uuid::Uuid::parse_str(header(headers, "x-request-id")).is_err() {
            return Err(ApiError::argument("X-Request-ID"));
        }
        check_suffix(&parse_query(parts.uri.query().unwrap_or("")))?;
        self.check_headers(account, headers)?;
        self.check_rate(account)
    }

    /// A call of the PC door: the session signs it.
    async fn pc_call(&self, call: &Call, parts: &Parts, path: &str, body: Body) -> Response {
        let headers = &parts.headers;
        let form = read_form(parts, body).await;
        let Some(known) = self.find_session(header(headers, "sessionkey")) else {
            return ApiError::session(None).respond(false, wants_xml(headers), None);
        };
        let account = known.account.clone();
        let form_op = form.as_ref().ok().and_then(|form| value(form, "type"));
        let op = call.op(form_op.unwrap_or(""));
        let xml = wants_xml(headers) || in_list(&account, "xml", op);
        let work = async {
            let answer = async {
                self.admit(&known, op, parts, [path, parts.uri.path()], "")?;
                let form = form?;
                let args = match call.form {
                    true => form,
                    false if form.is_empty() => parse_query(parts.uri.query().unwrap_or("")),
                    false => return Err(ApiError::argument("body: parameters go into the query")),
                };
                let scope = scope_of(path, &args);
                let either = call.action == "task";
                if scope != known.scope && !either {
                    return Err(ApiError::session(Some(&account.knobs)));
                }
                let ctx = Ctx {
                    sim: self,
                    account: account.clone(),
                    scope,
                    op,
                    args,
                    session_key: known.key.clone(),
                };
                ctx.check_family()?;
                ctx.run(call.action).await
            };
            match answer.await {
                // This one is XML whatever the caller asks for (section 4.9).
                Ok(body) => success(op, body, xml || call.action == "complete_old"),
                Err(error) => error.respond(false, xml, Some(&account.knobs)),
            }
        };
        let errno = |arg: &str| ApiError::injected(arg, false);
        account.serve(op, errno, work).await
    }

    /// A call of the open or web door (sections 2.7 and 3.5).
    async fn open_call(&self, call: &Call, parts: &Parts, body: Body) -> Response {
        let headers = &parts.headers;
        let form = read_form(parts, body).await;
        let query = parse_query(parts.uri.query().unwrap_or(""));
        let xml = wants_xml(headers);
        let fields = match (&form, call.form) {
            (Ok(form), true) => form.clone(),
            _ => query.clone(),
        };
        let Some(visitor) = self.find_visitor(headers, &query) else {
            return ApiError::session(None).respond(false, xml, None);
        };
        let account = visitor.account().clone();
        let op = call.op(value(&fields, "type").unwrap_or(""));
        let xml = xml || in_list(&account, "xml", op);
        let work = async {
            let answer = async {
                form?;
                self.check_visitor(&visitor, op, headers, &fields)?;
                if call.action == "open_token" {
                    self.check_app(&account, headers, &fields)?;
                }
                self.check_headers(&account, headers)?;
                self.check_rate(&account)?;
                let ctx = Ctx {
                    sim: self,
                    account: account.clone(),
                    scope: Scope::Personal,
                    op,
                    args: fields,
                    session_key: String::new(),
                };
                ctx.run(call.action).await
            };
            match answer.await {
                Ok(body) => success(op, body, xml),
                Err(error) => error.respond(false, xml, Some(&account.knobs)),
            }
        };
        let errno = |arg: &str| ApiError::injected(arg, false);
        account.serve(op, errno, work).await
    }

    async fn upload_host(&self, parts: &Parts, path: &str, body: Body) -> Response {
        if path == "/uploadFileData.action" {
            return self.old_data(parts, path, body).await;
        }
        if path == "/commitUploadFile.action"
            && let Some(call) = routes::pc(parts.method.as_str(), path)
        {
            return self.pc_call(call, parts, path, body).await;
        }
        drain(body).await;
        let (scope, call) = match path.strip_prefix("/family/") {
            Some(call) => (Scope::Family, call),
            None => (Scope::Personal, path.strip_prefix("/person/").unwrap_or("")),
        };
        let Some(op) = routes::upload(parts.method.as_str(), call) else {
            return plain(404, "404 Not Found");
        };
        let headers = &parts.headers;
        let Some(known) = self.find_session(header(headers, "sessionkey")) else {
            return ApiError::session(None).respond(true, false, None);
        };
        let account = known.account.clone();
        let work = async {
            let answer = async {
                let query = parse_query(parts.uri.query().unwrap_or(""));
                let params = value(&query, "params").unwrap_or("");
                let paths = [path, parts.uri.path()];
                if known.scope != scope {
                    return Err(ApiError::session(Some(&account.knobs)));
                }
                let secret = match header(headers, "encryptiontext") {
                    "" => {
                        self.admit(&known, op, parts, paths, params)?;
                        known.secret.clone()
                    }
                    _ => self.admit_web(&known, op, headers, paths, params)?,
                };
                let clear = decrypt_params(params, &secret);
                let clear = clear.ok_or_else(|| ApiError::new("GetParametersFailed", "params"))?;
                let ctx = Ctx {
                    sim: self,
                    account: account.clone(),
                    scope,
                    op,
                    args: clear_pairs(&clear),
                    session_key: known.key.clone(),
                };
                ctx.run_upload().await
            };
            match answer.await {
                Ok(body) => json_answer(axum::http::StatusCode::OK, &body),
                Err(error) => error.respond(true, false, Some(&account.knobs)),
            }
        };
        let errno = |arg: &str| ApiError::injected(arg, true);
        account.serve(op, errno, work).await
    }

    /// The checks of a request with content on the PC door.
    pub(super) fn admit_data(
        &self,
        known: &Known,
        op: &str,
        parts: &Parts,
        path: &str,
    ) -> Result<(), ApiError> {
        self.admit(known, op, parts, [path, parts.uri.path()], "")
    }
}

/// Whether a setting that lists operations, or `*`, names this one.
fn in_list(account: &Account, knob: &str, op: &str) -> bool {
    let list = account.knobs.text(knob).unwrap_or_default();
    list.split(',')
        .map(str::trim)
        .any(|one| one == "*" || one == op)
}

/// Joined parameters are not escaped (section 3.4): each is cut at its first `=`.
fn clear_pairs(clear: &str) -> Args {
    let pairs = clear.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name.to_owned(), value.to_owned())
        })
        .collect()
}

/// The space a call is about. `null` is sent literally by one client (section 4.5).
fn scope_of(path: &str, args: &Args) -> Scope {
    let family = value(args, "familyId").unwrap_or("");
    let batch = path.contains("/batch/") && !matches!(family, "" | "null");
    match path.starts_with("/family/") || batch {
        true => Scope::Family,
        false => Scope::Personal,
    }
}

impl Ctx<'_> {
    /// An argument; absent, empty and the word `null` are the same.
    pub(super) fn arg(&self, name: &str) -> &str {
        match value(&self.args, name).unwrap_or("") {
            "null" => "",
            text => text,
        }
    }

    /// An argument that must be there.
    pub(super) fn need(&self, name: &str) -> Result<&str, ApiError> {
        match self.arg(name) {
            "" => Err(ApiError::argument(name)),
            text => Ok(text),
        }
    }

    /// A whole number, `default` when it is absent.
    pub(super) fn number(&self, name: &str, default: u64) -> Result<u64, ApiError> {
        match self.arg(name) {
            "" => Ok(default),
            text => text.parse().map_err(|_| ApiError::argument(name)),
        }
    }

    pub(super) fn now(&self) -> i64 {
        self.sim.now()
    }

    /// A family call names its family.
    pub(super) fn check_family(&self) -> Result<(), ApiError> {
        let asks = self.scope == Scope::Family && self.op != "family_list";
        if asks && self.arg("familyId") != super::family_id(&self.account).to_string() {
            return Err(ApiError::new(
                "FamilyAccessPermissionDenied",
                "not your family",
            ));
        }
        Ok(())
    }

    async fn run(&self, action: &str) -> Result<Value, ApiError> {
        match action {
            "list" => self.list().await,
            "search" => self.search().await,
            "trash_list" => self.trash_list().await,
            "stat" => self.stat().await,
            "stat_dir" => self.stat_dir(),
            "link" => self.link(),
            "open_link" => self.open_link(),
            "mkdir" => self.mkdir(),
            "rename" => self.rename(false).await,
            "rename_dir" => self.rename(true).await,
            "copy_file" => self.copy_file().await,
            "move_file" => self.move_node(false).await,
            "move_dir" => self.move_node(true).await,
            "trash_file" => self.trash_nodes("fileId"),
            "trash_dir" => self.trash_nodes("folderId"),
            "trash_files" => self.trash_nodes("fileIdList"),
            "create_task" => self.create_task(),
            "task" => self.task(),
            "conflicts" => self.conflicts(),
            "manage" => self.manage(),
            "cancel" => self.cancel(),
            "to_member" => self.save_to_member(),
            "quota" => Ok(self.quota()),
            "user" => Ok(self.user()),
            "privileges" => Ok(self.privileges()),
            "family_list" => Ok(self.family_list()),
            "brief" => Ok(self.brief()),
            "open_token" => Ok(self.sim.open_token(&self.account)),
            "rsa_key" => Ok(self.rsa_key()),
            "create_old" => self.create_old().await,
            "status_old" => self.status_old(),
            "complete_old" => self.complete_old().await,
            _ => Ok(super::answer::ok(serde_json::json!({}))),
        }
    }
}
