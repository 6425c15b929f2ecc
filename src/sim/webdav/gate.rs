//! Where a request goes, and the checks every request passes.

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{Request, State as Shared};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use unicode_normalization::UnicodeNormalization;

use super::super::account::Account;
use super::super::body::{Unread, drain, set};
use super::super::tree::{Node, Tree};
use super::address::{self, Address};
use super::errors::{DavError, empty};
use super::{WebDav, rules, username};

/// Bodies that are documents are not longer than this.
const LONGEST_DOCUMENT: usize = 1 << 20;

/// What lies below an account's URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    /// Its files.
    Files,
    /// Its chunked uploads.
    Uploads,
}

/// A request on its way.
pub(super) struct Ctx {
    pub sim: Arc<WebDav>,
    pub account: Arc<Account>,
    pub op: &'static str,
    pub method: String,
    pub headers: HeaderMap,
    pub at: Address,
}

/// An answer or a refusal.
pub(super) type Answer = Result<Response, DavError>;

/// URL paths that accounts lie below, and what is there.
const PLACES: &[(&str, Space)] = &[
    ("/dav/", Space::Files),
    ("/moved/", Space::Files),
    ("/remote.php/dav/files/", Space::Files),
    ("/remote.php/dav/uploads/", Space::Uploads),
];

/// The methods that [`operation`] knows, for `Allow`.
const METHODS: &[&str] = &[
    "OPTIONS",
    "GET",
    "HEAD",
    "PUT",
    "DELETE",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
];

/// Name of the operation in meters and faults.
fn operation(space: Space, method: &str, depth: &str, query: &str, at: &Address) -> &'static str {
    match (space, method, at.names.len()) {
        (_, "OPTIONS", _) => "options",
        (Space::Files, "PROPFIND", _) if depth == "0" => "stat",
        (Space::Files, "PROPFIND", _) => "list",
        (Space::Files, "PROPPATCH", _) => "proppatch",
        (Space::Files, "GET", _) if query == "hash" => "hash",
        (Space::Files, "GET", _) => "download",
        (Space::Files, "HEAD", _) => "head",
        (Space::Files, "PUT", _) => "put",
        (Space::Files, "PATCH", _) => "patch",
        (Space::Files, "MKCOL", _) => "mkdir",
        (Space::Files, "MOVE", _) => "move",
        (Space::Files, "COPY", _) => "copy",
        (Space::Files, "DELETE", _) => "delete",
        (Space::Files, "LOCK", _) => "lock",
        (Space::Files, "UNLOCK", _) => "unlock",
        (Space::Uploads, "MKCOL", 1) => "chunk_begin",
        (Space::Uploads, "PUT", 2) => "chunk",
        (Space::Uploads, "PROPFIND", 1) => "chunk_list",
        (Space::Uploads, "MOVE", 2) => "chunk_commit",
        (Space::Uploads, "DELETE", 1) => "chunk_abort",
        _ => "other",
    }
}

/// A place below an account's URL path.
struct Place<'a> {
    account: Arc<Account>,
    space: Space,
    base: &'a str,
    rest: &'a str,
}

impl WebDav {
    /// Finds account and place of a URL path.
    fn locate<'a>(&self, path: &'a str) -> Option<Place<'a>> {
        // Doubled slashes at the start are one.
        let start = path
            .len()
            .checked_sub(path.trim_start_matches('/').len() + 1)?;
        let path = path.get(start..)?;
        PLACES.iter().find_map(|(prefix, space)| {
            let below = path.strip_prefix(prefix)?;
            let end = below.find('/').unwrap_or(below.len());
            let (user, rest) = below.split_at(end);
            let user = address::decode(user).ok()?;
            let mut all = self.kit.accounts.iter();
            let account = all.find(|account| username(account) == user)?;
            let there = match (*space, prefix.starts_with("/remote.php")) {
                (Space::Files, true) => rules::flavour(account) == "nextcloud",
                (Space::Files, false) => true,
                (Space::Uploads, _) => rules::yes(account, "chunks"),
            };
            there.then(|| Place {
                account: account.clone(),
                space: *space,
                base: &path[..path.len() - rest.len()],
                rest,
            })
        })
    }
}

impl WebDav {
    /// Account, place, base and rest of a URL path.
    pub(super) fn place_of(&self, path: &str) -> Option<(Arc<Account>, Space, String, String)> {
        let place = self.locate(path)?;
        let (base, rest) = (place.base.to_owned(), place.rest.to_owned());
        Some((place.account, place.space, base, rest))
    }
}

pub(super) async fn entry(Shared(sim): Shared<Arc<WebDav>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Some(place) = sim.locate(parts.uri.path()) else {
        drain(body).await;
        return DavError::new(404, "Not Found").respond(None);
    };
    let account = place.account;
    let at = match address::below(place.base, place.rest) {
        Ok(at) => at,
        Err(error) => {
            account.meters.request("other");
            drain(body).await;
            return error.respond(Some(&account));
        }
    };
    let method = parts.method.as_str();
    let hashes = rules::yes(&account, "patch");
    let query = parts.uri.query().filter(|_| hashes).unwrap_or("");
    let depth = text(&parts.headers, "depth");
    let op = operation(place.space, method, depth, query, &at);
    let ctx = Arc::new(Ctx {
        sim: sim.clone(),
        account: account.clone(),
        op,
        method: method.to_owned(),
        headers: parts.headers.clone(),
        at: normal(&account, at),
    });
    let unread = Unread::new(body);
    let work = async {
        let answer = ctx.clone().run(&parts, &unread).await;
        answer.unwrap_or_else(|error| error.respond(Some(&account)))
    };
    let errno = |arg: &str| DavError::injected(arg).respond(Some(&account));
    let response = match op {
        "download" | "put" | "patch" | "chunk" => account.serve_transfer(op, errno, work).await,
        _ => account.serve(op, errno, work).await,
    };
    // Who waits for "100 Continue" has not sent the body yet, and is told not to.
    if !parts.headers.contains_key(header::EXPECT) {
        unread.drain().await;
    }
    response
}

/// Names in Unicode form C, with the setting `nfc`.
pub(super) fn normal(account: &Account, mut at: Address) -> Address {
    if account.knobs.flag("nfc") {
        for name in &mut at.names {
            *name = name.nfc().collect();
        }
    }
    at
}

/// A header's text, empty when it is missing or no text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or("").trim()
}

impl Ctx {
    async fn run(self: Arc<Ctx>, parts: &Parts, unread: &Unread) -> Answer {
        let calls = self.account.knobs.number("calls_per_second", 0);
        if calls > 0 {
            let rates = &self.sim.kit.rates;
            if rates
                .take(&self.account.profile, calls as f64, calls as f64)
                .is_err()
            {
                return Err(DavError::new(429, "Too many requests").with("retry-after", "1"));
            }
        }
        let target = parts.uri.path_and_query();
        let target = target.map_or("", |target| target.as_str());
        self.sim
            .admit(&self.account, self.op, &self.headers, &self.method, target)?;
        if let Some(elsewhere) = self.redirect() {
            return Ok(elsewhere);
        }
        match self.op {
            "options" => Ok(self.options()),
            "stat" | "list" => {
                let document = self.document(unread).await?;
                self.propfind(&document).await
            }
            "proppatch" => {
                let document = self.document(unread).await?;
                self.proppatch(&document)
            }
            "download" => self.get().await,
            "head" => self.head().await,
            "hash" => self.hash().await,
            "put" => {
                let plan = self.plan_put().await?;
                let body = unread.take();
                apart(async move { self.put(plan, body).await }).await
            }
            "patch" => {
                let plan = self.plan_patch()?;
                let body = unread.take();
                apart(async move { self.patch(plan, body).await }).await
            }
            "mkdir" => {
                let body = self.document(unread).await?;
                self.mkcol(&body)
            }
            "delete" => self.delete().await,
            "move" | "copy" => self.transfer().await,
            "lock" => {
                let document = self.document(unread).await?;
                self.lock(&document)
            }
            "unlock" => self.unlock(),
            "chunk_begin" => {
                let body = self.document(unread).await?;
                self.chunk_begin(&body)
            }
            "chunk" => {
                let plan = self.plan_chunk()?;
                let body = unread.take();
                apart(async move { self.chunk(plan, body).await }).await
            }
            "chunk_list" => {
                let document = self.document(unread).await?;
                self.chunk_list(&document).await
            }
            "chunk_commit" => self.chunk_commit().await,
            "chunk_abort" => self.chunk_abort(),
            _ => Err(self.not_allowed()),
        }
    }

    /// A body that is a document, or nothing.
    async fn document(&self, unread: &Unread) -> Result<String, DavError> {
        let bytes = to_bytes(unread.take(), LONGEST_DOCUMENT)
            .await
            .map_err(|_| DavError::new(413, "The document is too long"))?;
        String::from_utf8(bytes.to_vec())
            .map_err(|_| DavError::new(400, "The document is not UTF-8"))
    }

    /// The setting `redirect`.
    fn redirect(&self) -> Option<Response> {
        let status = u16::try_from(self.account.knobs.number("redirect", 0)).ok()?;
        let reads = matches!(self.method.as_str(), "GET" | "HEAD" | "PROPFIND");
        if status == 0 || !reads || self.at.base.starts_with("/moved/") {
            return None;
        }
        let base = format!("/moved/{}", username(&self.account));
        Some(self.elsewhere(status, &base, self.at.slash))
    }

    /// Sends the client to the same place below another base, or with a slash.
    fn elsewhere(&self, status: u16, base: &str, slash: bool) -> Response {
        let style = address::HrefStyle::read("absolute", &self.sim.kit.base);
        let mut response = empty(status);
        set(
            &mut response,
            "location",
            &style.href(base, &self.at.path(), slash),
        );
        response
    }

    /// What the rule says of a directory that is named without a slash at its end (sheet, 7.1).
    /// `None`: nothing.
    pub(super) fn bare(&self, rule: &str) -> Option<Answer> {
        match rules::of(&self.account, rule).as_str() {
            "400" => Some(Err(DavError::new(400, "A directory ends with a slash"))),
            "409" => Some(Err(DavError::new(409, "A directory ends with a slash"))),
            status => {
                let status = status.parse().ok()?;
                Some(Ok(self.elsewhere(status, &self.at.base, true)))
            }
        }
    }

    /// What may be asked for here.
    fn allow(&self) -> String {
        let mut all: Vec<&str> = METHODS.to_vec();
        if self.account.knobs.text("propfind").as_deref() == Some("off") {
            all.retain(|method| *method != "PROPFIND");
        }
        if rules::of(&self.account, "proppatch") == "405" {
            all.retain(|method| *method != "PROPPATCH");
        }
        if rules::yes(&self.account, "locks") {
            all.extend(["LOCK", "UNLOCK"]);
        }
        if rules::yes(&self.account, "patch") {
            all.push("PATCH");
        }
        all.join(", ")
    }

    /// 405.
    pub(super) fn not_allowed(&self) -> DavError {
        let text = format!("{} is not possible here", self.method);
        DavError::new(405, &text).with("allow", &self.allow())
    }

    fn options(&self) -> Response {
        let mut classes = vec!["1"];
        if rules::yes(&self.account, "locks") {
            classes.push("2");
        }
        classes.push("3");
        if rules::flavour(&self.account) == "nextcloud" {
            classes.push("extended-mkcol");
        }
        let mut response = empty(200);
        set(&mut response, "dav", &classes.join(", "));
        set(&mut response, "allow", &self.allow());
        set(&mut response, "ms-author-via", "DAV");
        response
    }

    /// Milliseconds since 1970 by the world's clock.
    pub(super) fn now(&self) -> i64 {
        self.sim.kit.clock.now_ms()
    }

    /// A rule is `yes`.
    pub(super) fn yes(&self, rule: &str) -> bool {
        rules::yes(&self.account, rule)
    }

    /// A header's text.
    pub(super) fn header(&self, name: &str) -> &str {
        text(&self.headers, name)
    }

    /// The entry that an address names. A file is not named with a slash at its end.
    pub(super) fn node(&self, tree: &Tree, at: &Address) -> Option<Node> {
        let node = tree.resolve(&at.path())?;
        (node.is_dir() || !at.slash).then(|| node.clone())
    }

    /// The same, or 404.
    pub(super) fn found(&self) -> Result<Node, DavError> {
        let tree = self.account.tree();
        self.node(&tree, &self.at)
            .ok_or_else(|| DavError::new(404, &format!("{} does not exist", self.at.path())))
    }

    /// The directory that a new entry goes into: 409 when it does not exist.
    pub(super) fn parent_dir(&self, tree: &Tree, at: &Address) -> Result<Node, DavError> {
        let parent = tree.resolve(&at.parent()).filter(|node| node.is_dir());
        parent
            .cloned()
            .ok_or_else(|| DavError::new(409, "The parent collection does not exist"))
    }

    /// Refuses names that the server does not keep.
    pub(super) fn check_name(&self, name: &str) -> Result<(), DavError> {
        let longest = self.account.knobs.number("name_max", 255);
        if name.is_empty() || name.chars().any(char::is_control) || name.len() as u64 > longest {
            return Err(DavError::new(400, "The name is not valid here"));
        }
        Ok(())
    }

    /// Free bytes. Chunks count once they are a file.
    pub(super) fn free(&self, tree: &Tree) -> u64 {
        if rules::of(&self.account, "quota") == "unlimited" {
            return u64::MAX;
        }
        let total = self.account.knobs.number("total_size", 10 << 40);
        total.saturating_sub(tree.used())
    }
}

/// Runs the work on an upload to its end, though the client may go away meanwhile: what arrived
/// is kept or dropped as the server's way is, not as the connection ends.
async fn apart(work: impl Future<Output = Answer> + Send + 'static) -> Answer {
    let done = tokio::spawn(work).await;
    done.unwrap_or_else(|_| Err(DavError::new(500, "the upload was lost")))
}

/// 507 (RFC 4918, 11.5).
pub(super) fn no_space() -> DavError {
    DavError::new(507, "There is not enough space").because("quota-not-exceeded")
}

/// An answer without a body, which may name a tag.
pub(super) fn done(status: u16, headers: &[(&'static str, String)]) -> Response {
    let mut response = empty(status);
    for (name, value) in headers {
        set(&mut response, name, value);
    }
    response
}
