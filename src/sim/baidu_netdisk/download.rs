//! Download links and their bytes (baidu_netdisk.md section 8): `dlink` with a signature and
//! eight hours of life, a redirect, and a content host.

use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::super::account::Account;
use super::super::body::{Range, parse_range, send, set};
use super::super::digest::{HashKind, md5_hex, sha1_hex};
use super::super::faults::FaultKind;
use super::super::tree::Node;
use super::args::Args;
use super::entries::slices_of;
use super::errors::{ApiError, Host, plain};
use super::{Baidu, CDN, Caller, PCS, paths, uk};

/// The one User-Agent that downloads.
const AGENT: &str = "pan.baidu.com";
/// Key of the signatures.
const KEY: &str = "9d5c2a-download";
/// Salt of `rand` in `locatedownload`.
const RAND_SALT: &str = "ebrcUYiuxaZv2XGu7KIYKxUrqfnOfpDF";

/// `rand` of `locatedownload` (section 8): SHA-1 over the SHA-1 of BDUSS and the rest.
pub(super) fn rand(bduss: &str, uid: u64, time: &str, devuid: &str) -> String {
    let inner = sha1_hex(bduss.as_bytes());
    sha1_hex(format!("{inner}{uid}{RAND_SALT}{time}{devuid}").as_bytes())
}

/// What the signature of a link covers.
fn signature(hop: &str, args: &Args) -> String {
    let of = |name| args.text(name);
    let text = format!(
        "{hop}|{}|{}|{}|{}|{KEY}",
        of("fid"),
        of("dstime"),
        of("r"),
        of("origin")
    );
    md5_hex(text.as_bytes())
}

fn agent_is_right(headers: &HeaderMap, open: bool) -> bool {
    let agent = headers
        .get("user-agent")
        .and_then(|v| v.to_str().ok())
        .unwrap_or("");
    agent == AGENT || (open && agent.starts_with("netdisk"))
}

/// `fid`: user, app, file.
fn parse_fid(fid: &str) -> Option<(u64, &str)> {
    let mut parts = fid.splitn(3, '-');
    let uk = parts.next()?.parse().ok()?;
    parts.next()?;
    Some((uk, parts.next()?))
}

impl Baidu {
    /// A download link of a file. `open` ones need no token (those found by path).
    pub(super) fn dlink(&self, account: &Account, id: &str, name: &str, open: bool) -> String {
        let fid = format!("{}-250528-{id}", uk(account));
        let now = self.kit.clock.now_s();
        let r = self.kit.ids.decimal(9);
        let origin = if open { "dlna" } else { "" };
        let signed = format!("fid={fid}&dstime={now}&r={r}&origin={origin}");
        let sign = signature("dlink", &Args::pairs(&signed));
        let tail = self.kit.ids.hex(8);
        format!(
            "{}{PCS}/file/{name}?{signed}&rt=pr&sign=FDtAERV-{sign}-{tail}%3D&expires=8h&chkbd=0\
             &chkv=2&dp-logid={}&dp-callid=0&origin_appid=12345678&file_type=0",
            self.kit.base,
            self.kit.ids.decimal(18),
        )
    }

    /// The account and file a link names, with what the signature says.
    fn linked(&self, args: &Args) -> Option<(Arc<Account>, String)> {
        let (wanted, id) = parse_fid(args.text("fid"))?;
        let mut all = self.kit.accounts.iter();
        let account = all.find(|account| uk(account) == wanted)?;
        Some((account.clone(), id.to_owned()))
    }

    fn refuse(&self, code: i64, text: &str) -> Response {
        let error = ApiError::new(code, text).status(403);
        error.on(Host::Pcs, self.request_id())
    }

    /// What both hops check.
    fn check_link(
        &self,
        account: &Account,
        op: &str,
        hop: &str,
        parts: &Parts,
        args: &Args,
    ) -> Option<Response> {
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            return Some(plain(405, "405 Not Allowed"));
        }
        let open = args.text("origin") == "dlna";
        if !agent_is_right(&parts.headers, open) {
            return Some(self.refuse(31326, "anti hotlinking"));
        }
        let sent = args.text("sign");
        let sent = sent.split('-').nth(1).unwrap_or(sent);
        if sent != signature(hop, args) {
            return Some(self.refuse(31362, "sign error"));
        }
        let knob = match hop {
            "dlink" => "link_seconds",
            _ => "cdn_seconds",
        };
        let life = account.knobs.number(knob, 28_800);
        let given: i64 = args.text("dstime").parse().unwrap_or(0);
        let age = u64::try_from(self.kit.clock.now_s().saturating_sub(given)).unwrap_or(0);
        let struck = account.faults.take(op, FaultKind::ExpireLink).is_some();
        (struck || age >= life).then(|| self.refuse(31360, "url expired"))
    }

    /// `GET` or `HEAD` of a `dlink`: answers 302 to the content host.
    pub(super) async fn redirect(&self, parts: &Parts, path: &str, query: &str) -> Response {
        let args = Args::pairs(query);
        let Some((account, id)) = self.linked(&args) else {
            return self.refuse(31362, "sign error");
        };
        let work = async {
            if let Some(refused) = self.check_link(&account, "redirect", "dlink", parts, &args) {
                return refused;
            }
            let open = args.text("origin") == "dlna";
            let token = args.text("access_token");
            let let_in = open
                || self.token_opens(&account, token)
                || self.cookies_open(&account, &parts.headers);
            if !let_in {
                return self.refuse(31626, "user is not authorized");
            }
            let there = account.tree().live(&id).is_some_and(|node| !node.is_dir());
            if !there {
                return ApiError::no_file().on(Host::Pcs, self.request_id());
            }
            let name = path.rsplit('/').next().unwrap_or("file");
            let (fid, now) = (args.text("fid"), self.kit.clock.now_s());
            let r = self.kit.ids.decimal(9);
            let origin = args.text("origin");
            let signed = format!("fid={fid}&dstime={now}&r={r}&origin={origin}");
            let sign = signature("cdn", &Args::pairs(&signed));
            let target = format!(
                "{}{CDN}/file/{name}?{signed}&sign=C-{sign}-x",
                self.kit.base
            );
            let mut response = plain(302, "");
            set(&mut response, "location", &target);
            response
        };
        let injected = |arg: &str| ApiError::injected(Host::Pcs, arg);
        account.serve("redirect", injected, work).await
    }

    /// The content host.
    pub(super) async fn content(&self, parts: &Parts, query: &str) -> Response {
        let args = Args::pairs(query);
        let Some((account, id)) = self.linked(&args) else {
            return self.refuse(31362, "sign error");
        };
        let op = "download";
        let work = async {
            if let Some(refused) = self.check_link(&account, op, "cdn", parts, &args) {
                return refused;
            }
            let node = account.tree().get(&id).cloned();
            let Some(node) = node.filter(|node| !node.is_dir()) else {
                return ApiError::no_file().on(Host::Pcs, self.request_id());
            };
            let Some(stored) = node.stored() else {
                return ApiError::no_file().on(Host::Pcs, self.request_id());
            };
            let headers = self.capped(&account, &parts.headers, stored.size());
            let mut response = send(&account, op, stored, &headers, ());
            self.describe(&account, &node, &mut response).await;
            response
        };
        let injected = |arg: &str| ApiError::injected(Host::Pcs, arg);
        account.serve_transfer(op, injected, work).await
    }

    /// The request's headers, with a long range cut short when the knob `range_cap` says so:
    /// `Content-Range` tells what came.
    fn capped(&self, account: &Account, headers: &HeaderMap, size: u64) -> HeaderMap {
        let mut headers = headers.clone();
        let cap = account.knobs.number("range_cap", 0);
        let range = headers.get("range").and_then(|v| v.to_str().ok());
        if let Range::Part(from, to) = parse_range(range, size)
            && cap > 0
            && to - from > cap
        {
            let short = format!("bytes={from}-{}", from + cap - 1);
            if let Ok(short) = HeaderValue::from_str(&short) {
                headers.insert("range", short);
            }
        }
        headers
    }

    /// The headers that tell what the whole file is.
    async fn describe(&self, account: &Account, node: &Node, response: &mut Response) {
        let name = utf8_percent_encode(&node.name, NON_ALPHANUMERIC);
        let name = format!("attachment;filename=\"{name}\"");
        set(response, "content-disposition", &name);
        set(response, "x-bs-request-id", &self.kit.ids.hex(24));
        let Some(blob) = &node.blob else {
            return;
        };
        // The real MD5 of a fresh file of several slices may not be there yet.
        let lag = account.knobs.number("content_md5_lag_ms", 0);
        let age = u64::try_from(self.kit.clock.now_ms() - node.created).unwrap_or(0);
        let kind = account.knobs.text("content_md5").unwrap_or_default();
        if kind == "none" || (slices_of(node) > 1 && age < lag) {
            return;
        }
        let md5 = blob.digest(HashKind::Md5).await;
        set(response, "etag", &md5);
        if kind == "base64" {
            let pairs = (0..16).filter_map(|i| md5.get(2 * i..2 * i + 2));
            let bytes: Vec<u8> = pairs
                .filter_map(|p| u8::from_str_radix(p, 16).ok())
                .collect();
            set(response, "content-md5", &STANDARD.encode(bytes));
        } else {
            set(response, "content-md5", &md5);
        }
    }

    /// `POST pcs/file?method=locatedownload`, cookies only. How the answer names the links
    /// is not in the sheet; here `urls[].url`.
    pub(super) fn locate_download(
        &self,
        caller: &Caller,
        args: &Args,
    ) -> Result<Response, ApiError> {
        if !caller.cookie {
            return Err(ApiError::new(31045, "not logged in").status(403));
        }
        let bduss = &caller.key;
        let device = format!("{}|0", md5_hex(bduss.as_bytes()).to_uppercase());
        let wanted = rand(
            bduss,
            uk(&caller.account),
            args.text("time"),
            args.text("devuid"),
        );
        if args.text("devuid") != device || args.text("rand") != wanted {
            return Err(ApiError::new(31362, "sign error").status(403));
        }
        let path = args.required("path")?;
        let node = paths::at(&caller.account.tree(), path).cloned();
        let node = node
            .filter(|node| !node.is_dir())
            .ok_or_else(ApiError::no_file)?;
        let url = self.dlink(&caller.account, &node.id, "file", true);
        let body = json!({ "urls": [{ "url": url }], "request_id": self.request_id() });
        Ok(axum::Json(body).into_response())
    }
}
