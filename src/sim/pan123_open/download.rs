//! Download links and their bytes (123_open.md sections 4.5 and 8.1).

use std::sync::Arc;

use axum::http::Method;
use axum::http::request::Parts;
use axum::response::Response;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::super::account::Account;
use super::super::body::{Range, parse_range, send, set};
use super::super::content::Blob;
use super::super::digest::{HashKind, md5_hex};
use super::super::faults::FaultKind;
use super::super::tree::Node;
use super::args::Args;
use super::errors::{ApiError, plain};
use super::files::named_by;
use super::{Ctx, Pan123, uid};

/// Key of the links.
const CDN_KEY: &str = "e1b2a9-content-network";
const DAY_S: i64 = 86_400;

/// A link that was given out.
pub(super) struct Link {
    account: Arc<Account>,
    file: String,
    /// What the file was: the content network keeps it when the file is gone.
    blob: Blob,
}

/// Signature of a link. The path is the one given out.
fn sign(path: &str, expires: &str, random: &str) -> String {
    md5_hex(format!("{path}-{expires}-{random}-{CDN_KEY}").as_bytes())
}

/// Whether an account without membership has used up its day.
fn metered(account: &Account) -> bool {
    account.knobs.text("vip").as_deref() == Some("false")
}

impl Ctx<'_> {
    /// `GET /api/v1/file/download_info`.
    pub(super) async fn link(&self) -> Result<Value, ApiError> {
        let id = self.args.id("fileId")?;
        let node = self.account.tree().live(&id).cloned();
        let Some((node, blob)) = node.and_then(|node| {
            let blob = node.blob.clone()?;
            Some((node, blob))
        }) else {
            return Err(ApiError::no_file());
        };
        if named_by(&self.account, "checking", &id) {
            return Err(ApiError::verifying());
        }
        if named_by(&self.account, "rejected", &id) {
            return Err(ApiError::general("文件违规,无法下载"));
        }
        let today = self.sim.kit.clock.now_s().div_euclid(DAY_S);
        if metered(&self.account) {
            let most = self.account.knobs.number("traffic_limit", 1 << 30);
            let state = self.sim.state();
            let spent = state.traffic.get(&self.account.profile);
            if spent.is_some_and(|(day, bytes)| *day == today && *bytes >= most) {
                return Err(ApiError::new(5113, "自用下载流量不足"));
            }
        }
        let etag = blob.digest(HashKind::Md5).await;
        let life = self.account.knobs.number("link_seconds", 14_400);
        let life = i64::try_from(life).unwrap_or(14_400);
        let expires = self.sim.kit.clock.now_s().saturating_add(life).to_string();
        let random = self.sim.kit.ids.hex(12).to_uppercase();
        let head = etag.get(..8).unwrap_or("");
        let path = format!("/cdn/123-61/{head}/{}-0/{etag}", uid(&self.account));
        let signature = sign(&path, &expires, &random);
        let name = utf8_percent_encode(&node.name, NON_ALPHANUMERIC);
        let url = format!(
            "{}{path}?v=5&t={expires}&s={signature}&r={random}&filename={name}",
            self.sim.kit.base
        );
        let link = Link {
            account: self.account.clone(),
            file: id,
            blob,
        };
        self.sim.state().links.insert(random, link);
        Ok(json!({ "downloadUrl": url }))
    }
}

impl Pan123 {
    /// The content network: no bearer, a signature with an expiry, ranges.
    pub(super) async fn download(&self, parts: &Parts, path: &str, query: &str) -> Response {
        let args = Args::pairs(query);
        let found = {
            let state = self.state();
            let link = state.links.get(args.text("r"));
            link.map(|link| (link.account.clone(), link.file.clone(), link.blob.clone()))
        };
        let Some((account, file, blob)) = found else {
            return plain(403, "403 Forbidden");
        };
        let work = async {
            if !matches!(parts.method, Method::GET | Method::HEAD) {
                return plain(405, "405 Not Allowed");
            }
            if parts.headers.contains_key("authorization") {
                // No bearer belongs on this call: one that is sent is a leak.
                return plain(400, "400 Bad Request");
            }
            let (signed, node) = match path.strip_prefix("/cdn/node") {
                Some(rest) => (format!("/cdn{rest}"), true),
                None => (path.to_owned(), false),
            };
            let expires = args.text("t");
            if args.text("s") != sign(&signed, expires, args.text("r")) {
                return plain(403, "403 Forbidden");
            }
            let struck = account.faults.take("download", FaultKind::ExpireLink);
            if struck.is_some() || expires.parse().unwrap_or(0) <= self.kit.clock.now_s() {
                return plain(403, "403 Forbidden: expired");
            }
            if account.knobs.flag("cdn_redirect") && !node {
                let rest = path.strip_prefix("/cdn").unwrap_or(path);
                let mut response = plain(302, "");
                let target = format!("{}/cdn/node{rest}?{query}", self.kit.base);
                set(&mut response, "location", &target);
                return response;
            }
            let stored = {
                let tree = account.tree();
                tree.get(&file).and_then(Node::stored).cloned()
            };
            let blob = stored.unwrap_or(blob);
            self.spend(&account, parts, &blob);
            send(&account, "download", &blob, &parts.headers, ())
        };
        account
            .serve_transfer("download", ApiError::injected, work)
            .await
    }

    /// Counts the bytes asked for against the day's traffic.
    fn spend(&self, account: &Account, parts: &Parts, blob: &Blob) {
        let range = parts.headers.get("range").and_then(|v| v.to_str().ok());
        let bytes = match parse_range(range, blob.size()) {
            Range::Whole => blob.size(),
            Range::Part(from, to) => to - from,
            Range::Unsatisfiable => 0,
        };
        let today = self.kit.clock.now_s().div_euclid(DAY_S);
        let mut state = self.state();
        let spent = state.traffic.entry(account.profile.clone()).or_default();
        if spent.0 != today {
            *spent = (today, 0);
        }
        spent.1 = spent.1.saturating_add(bytes);
    }
}
