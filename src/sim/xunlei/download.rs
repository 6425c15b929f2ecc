//! Links and the bytes behind them (xunlei.md sections 4.3 and 8).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::super::account::Account;
use super::super::body::send;
use super::super::clock::rfc3339_beijing;
use super::super::content::Blob;
use super::super::digest::md5_hex;
use super::super::faults::FaultKind;
use super::super::oss::sign::value;
use super::super::tree::Node;
use super::change::is_numbered_archive;
use super::files::kind_of;
use super::gate::{foreign_headers, header};
use super::{Xunlei, user_id};

/// What is under way by name: downloads of a link or an account, listings of an account.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<Mutex<HashMap<String, u64>>>);

/// Counts one as long as it lives.
pub(super) struct Running {
    streams: Streams,
    names: Vec<String>,
}

impl Streams {
    /// One more of each name, unless one is at its limit.
    pub(super) fn start(&self, limits: &[(String, u64)]) -> Option<Running> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |name: &String| all.get(name).copied().unwrap_or(0);
        if limits.iter().any(|(name, limit)| count(name) >= *limit) {
            return None;
        }
        let names: Vec<String> = limits.iter().map(|(name, _)| name.clone()).collect();
        for name in &names {
            *all.entry(name.clone()).or_default() += 1;
        }
        let streams = self.clone();
        Some(Running { streams, names })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let all = self.streams.0.lock();
        let mut all = all.unwrap_or_else(PoisonError::into_inner);
        for name in &self.names {
            if let Some(count) = all.get_mut(name) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    all.remove(name);
                }
            }
        }
    }
}

fn status(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// What a link says, all of it signed.
struct Link<'a> {
    fid: &'a str,
    gcid: &'a str,
    /// `origin` or `preview`.
    kind: &'a str,
    user: &'a str,
    client: &'a str,
    /// Seconds since 1970.
    expires: &'a str,
    /// Two links of one second differ: one may be dead while the other lives.
    number: &'a str,
}

impl Link<'_> {
    fn sign(&self, secret: &str) -> String {
        let all = [
            secret,
            self.fid,
            self.gcid,
            self.kind,
            self.user,
            self.client,
            self.expires,
            self.number,
        ];
        md5_hex(all.join("|").as_bytes())
    }
}

impl Xunlei {
    fn link(
        &self,
        account: &Account,
        node: &Node,
        kind: &str,
        client: &str,
        expires_s: i64,
    ) -> String {
        let (user, expires) = (user_id(account), expires_s.to_string());
        let number = self.kit.ids.number().to_string();
        let link = Link {
            fid: &node.id,
            gcid: node.text("hash"),
            kind,
            user: &user,
            client,
            expires: &expires,
            number: &number,
        };
        format!(
            "{}/download/?fid={id}&g={}&ui={user}&vip=1&clientid={client}&fileid={id}\
             &e={expires}&th={number}&c={kind}&sign={}",
            self.kit.base,
            link.gcid,
            link.sign(&self.secret),
            id = node.id,
        )
    }

    /// `GET` of a link.
    pub(super) async fn serve_link(
        &self,
        method: &Method,
        headers: &HeaderMap,
        query: &[(String, String)],
    ) -> Response {
        let user = value(query, "ui").unwrap_or("");
        let mut all = self.kit.accounts.iter();
        let Some(account) = all.find(|account| user_id(account) == user) else {
            return status(StatusCode::FORBIDDEN);
        };
        let errno = |arg: &str| {
            let code = arg.parse().ok().and_then(|s| StatusCode::from_u16(s).ok());
            status(code.unwrap_or(StatusCode::FORBIDDEN))
        };
        let work = async {
            self.bytes(account, method, headers, query)
                .unwrap_or_else(status)
        };
        account.serve_transfer("download", errno, work).await
    }

    fn bytes(
        &self,
        account: &Arc<Account>,
        method: &Method,
        headers: &HeaderMap,
        query: &[(String, String)],
    ) -> Result<Response, StatusCode> {
        if *method != Method::GET {
            return Err(StatusCode::METHOD_NOT_ALLOWED);
        }
        // The link is signed: whatever authorization comes along was not meant for this host.
        if !header(headers, "authorization").is_empty() {
            return Err(StatusCode::BAD_REQUEST);
        }
        if let Some(refused) = foreign_headers(headers) {
            return Err(refused);
        }
        let part = |name: &str| value(query, name).unwrap_or("");
        let link = Link {
            fid: part("fid"),
            gcid: part("g"),
            kind: part("c"),
            user: part("ui"),
            client: part("clientid"),
            expires: part("e"),
            number: part("th"),
        };
        let signature = part("sign");
        if signature != link.sign(&self.secret) {
            return Err(StatusCode::FORBIDDEN);
        }
        {
            let struck = account.faults.take("download", FaultKind::ExpireLink);
            let mut state = self.state();
            if struck.is_some() {
                state.dead_links.insert(signature.to_owned());
            }
            let until = link.expires.parse::<i64>().unwrap_or(0);
            if state.dead_links.contains(signature) || self.kit.clock.now_s() >= until {
                return Err(StatusCode::FORBIDDEN);
            }
        }
        let blob = {
            let tree = account.tree();
            let node = tree.get(link.fid).filter(|node| !node.pending);
            node.and_then(Node::stored).cloned()
        };
        let blob = blob.ok_or(StatusCode::NOT_FOUND)?;
        let blob = match link.kind {
            "origin" => blob,
            // A preview is another file: whoever takes it for the original has wrong bytes.
            _ => Blob::synthetic(blob.size(), blob.size() / 2),
        };
        let knob = |name: &str, default| account.knobs.number(name, default);
        let limits = [
            (format!("link {signature}"), knob("url_streams", 12)),
            (
                format!("account {}", account.profile),
                knob("account_streams", 40),
            ),
        ];
        let running = self.streams.start(&limits);
        let running = running.ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
        Ok(send(account, "download", &blob, headers, running).into_response())
    }

    /// Whether a file has links now. Archives have none under their own name.
    fn has_links(&self, account: &Account, node: &Node) -> bool {
        let now = self.kit.clock.now_ms();
        let knob = |name: &str, default| {
            i64::try_from(account.knobs.number(name, default)).unwrap_or(i64::MAX)
        };
        let young = |since: i64, ms: i64| ms > 0 && since.saturating_add(ms) > now;
        let renamed = node.extra.get("renamed").and_then(Value::as_i64);
        let unsettled = is_numbered_archive(&node.name)
            && renamed.is_some_and(|at| young(at, knob("archive_settle_ms", 300)));
        !node.is_dir()
            && !node.pending
            && node.size() > 0
            && kind_of(&node.name).1 != "ARCHIVE"
            && !unsettled
            && !young(node.created, knob("link_delay_ms", 0))
    }

    /// The members of a stat that lead to bytes; none for what has no usable link.
    pub(super) fn links(
        &self,
        account: &Account,
        node: &Node,
        client: &str,
    ) -> Option<Map<String, Value>> {
        if !self.has_links(account, node) {
            return None;
        }
        let life_s = account.knobs.number("link_life_s", 21_600);
        let life_s = i64::try_from(life_s).unwrap_or(i64::MAX);
        let expires_s = self.kit.clock.now_s().saturating_add(life_s);
        let expire = rfc3339_beijing(expires_s.saturating_mul(1000));
        let link = |kind: &str| self.link(account, node, kind, client, expires_s);
        let (mime, category) = kind_of(&node.name);
        let media = |id: &str, own: bool, url: &str| {
            json!({
                "media_id": id, "media_name": if own { "原始画质" } else { "480P" },
                "is_origin": own, "is_default": own,
                "link": { "url": url, "token": "", "expire": expire },
            })
        };
        let medias = match category {
            "VIDEO" => json!([
                media("m1", false, &link("preview")),
                media("m0", true, &link("origin")),
            ]),
            _ => json!([]),
        };
        let one = json!({ "url": link("origin"), "token": "", "expire": expire, "type": mime });
        Some(Map::from_iter([
            ("web_content_link".to_owned(), json!(link("origin"))),
            ("links".to_owned(), json!({ mime: one })),
            ("medias".to_owned(), medias),
        ]))
    }
}
