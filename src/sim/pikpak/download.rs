//! Links and the bytes behind them (pikpak.md sections 4.3 and 8).

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
use super::files::is_video;
use super::gate::{Ctx, foreign_headers, header};
use super::{PikPak, user_id};

/// Running downloads by link and by account.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<Mutex<HashMap<String, u64>>>);

/// Counts one download as long as it lives.
struct Running {
    streams: Streams,
    names: [String; 2],
}

impl Streams {
    /// One more of both names, unless one is at its limit.
    fn start(&self, limits: [(String, u64); 2]) -> Option<Running> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |name: &String| all.get(name).copied().unwrap_or(0);
        if limits.iter().any(|(name, limit)| count(name) >= *limit) {
            return None;
        }
        let names = limits.map(|(name, _)| name);
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

impl PikPak {
    /// `kind` is `origin` or `preview`.
    fn link_sign(&self, fid: &str, kind: &str, expire: &str, user: &str, th: &str) -> String {
        md5_hex(format!("{}|{fid}|{kind}|{expire}|{user}|{th}", self.secret).as_bytes())
    }

    fn link(&self, account: &Account, node: &Node, kind: &str, expire_s: i64) -> String {
        let (user, expire) = (user_id(account), expire_s.to_string());
        // Two links of one second differ: one may be dead while the other lives.
        let th = self.kit.ids.number().to_string();
        format!(
            "{}/download/?fid={}&from=5&verno=2&prod=pikpak&expire={expire}&g={}&ui={user}&t=0\
             &ms=12345678&th={th}&f={}&c={kind}&sign={}",
            self.kit.base,
            node.id,
            node.text("hash"),
            node.size(),
            self.link_sign(&node.id, kind, &expire, &user, &th),
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
        let (fid, kind, expire) = (part("fid"), part("c"), part("expire"));
        let signature = part("sign");
        if signature != self.link_sign(fid, kind, expire, part("ui"), part("th")) {
            return Err(StatusCode::FORBIDDEN);
        }
        {
            let struck = account.faults.take("download", FaultKind::ExpireLink);
            let mut state = self.state();
            if struck.is_some() {
                state.dead_links.insert(signature.to_owned());
            }
            let until = expire.parse::<i64>().unwrap_or(0);
            if state.dead_links.contains(signature) || self.kit.clock.now_s() >= until {
                return Err(StatusCode::FORBIDDEN);
            }
        }
        let blob = {
            let tree = account.tree();
            let node = tree.get(fid).filter(|node| !node.pending);
            node.and_then(Node::stored).cloned()
        };
        let blob = blob.ok_or(StatusCode::NOT_FOUND)?;
        let blob = match kind {
            "origin" => blob,
            // A preview is another file: whoever takes it for the original has wrong bytes.
            _ => Blob::synthetic(blob.size(), blob.size() / 2),
        };
        let knob = |name: &str, default| account.knobs.number(name, default);
        let limits = [
            (format!("link {signature}"), knob("url_streams", 8)),
            (
                format!("account {}", account.profile),
                knob("account_streams", 20),
            ),
        ];
        let running = self.streams.start(limits);
        let running = running.ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
        Ok(send(account, "download", &blob, headers, running).into_response())
    }
}

impl Ctx<'_> {
    /// The members of a stat that lead to bytes; none for what has no usable link.
    pub(super) fn links(&self, node: &Node) -> Option<Map<String, Value>> {
        let fresh_ms = self.knob_ms("link_delay_ms", 0);
        let fresh = node.modified.saturating_add(fresh_ms) > self.now();
        if node.is_dir() || node.pending || node.size() == 0 || (fresh_ms > 0 && fresh) {
            return None;
        }
        let life_s = self.knob_ms("link_life_s", 14_400);
        let expire_s = (self.now() / 1000).saturating_add(life_s);
        let expire = rfc3339_beijing(expire_s.saturating_mul(1000));
        let origin = self.sim.link(&self.account, node, "origin", expire_s);
        let link = json!({ "url": origin, "token": "", "expire": expire, "type": "" });
        let media = |id: &str, own: bool, category: &str, url: &str| {
            json!({
                "media_id": id, "media_name": if own { "Original" } else { "480P" },
                "is_origin": own, "is_default": own, "is_visible": true, "priority": 0,
                "category": category, "resolution_name": if own { "1080P" } else { "480P" },
                "video": {}, "link": { "url": url, "token": "", "expire": expire },
            })
        };
        let medias = match is_video(&node.name) {
            true => {
                let preview = self.sim.link(&self.account, node, "preview", expire_s);
                json!([
                    media("m1", false, "category_transcode", &preview),
                    media("m0", true, "category_origin", &origin),
                ])
            }
            false => json!([]),
        };
        let mut members = Map::new();
        members.insert("web_content_link".to_owned(), json!(origin));
        members.insert(
            "links".to_owned(),
            json!({ "application/octet-stream": link }),
        );
        members.insert("medias".to_owned(), medias);
        Some(members)
    }
}
