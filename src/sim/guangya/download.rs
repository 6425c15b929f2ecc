//! Links and the bytes behind them (sections 4.3 and 8).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::Method;
use axum::http::request::Parts;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::super::account::Account;
use super::super::body::send;
use super::super::faults::FaultKind;
use super::super::oss::sign::{encode, hmac_sha1, parse_query, value};
use super::super::tree::Node;
use super::Guangya;
use super::errors::{ApiError, plain};
use super::gate::{Ctx, foreign_headers};

/// Life of a streaming link in seconds.
const VOD_SECONDS: i64 = 3600;

/// Running downloads by link.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<Mutex<HashMap<String, u64>>>);

/// One of them, as long as it lives.
struct Running(Streams, String);

impl Streams {
    /// One more, unless there are `most` (0: as many as you like).
    fn start(&self, key: &str, most: u64) -> Option<Running> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(key.to_owned()).or_default();
        if most > 0 && *count >= most {
            return None;
        }
        *count += 1;
        Some(Running(self.clone(), key.to_owned()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut all = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.1) {
            *count = count.saturating_sub(1);
        }
    }
}

/// A link that was given out.
#[derive(Clone)]
pub(super) struct Link {
    account: Arc<Account>,
    file: String,
    /// A fault ended it.
    dead: bool,
}

impl Ctx<'_> {
    /// `get_res_download_url` and `get_vod_download_url`.
    pub(super) fn link(&self) -> Result<Value, ApiError> {
        let id = self.args.required("fileId")?;
        let node = self.entry(&self.account.tree(), id)?.clone();
        if node.is_dir() {
            return Err(ApiError::parameter("fileId"));
        }
        let vod = self.op == "vod_link";
        if vod
            && !self
                .args
                .required("gcid")?
                .eq_ignore_ascii_case(node.text("gcid"))
        {
            return Err(ApiError::parameter("gcid"));
        }
        let life = match vod {
            true => VOD_SECONDS,
            false => self.number("link_seconds", 21_600),
        };
        let mut data = Map::from_iter([
            ("urlDuration".to_owned(), json!(life)),
            // No address, though it stands beside one.
            (
                "speedupSignature".to_owned(),
                json!(self.sim.kit.ids.hex(40)),
            ),
        ]);
        // There is nothing to fetch of an empty file.
        if node.size() > 0 {
            let field = match self.knob("link_field") {
                none if none.is_empty() => "signedURL".to_owned(),
                field => field,
            };
            data.insert(field, json!(self.new_link(&node, life)));
        }
        Ok(Value::Object(data))
    }

    fn new_link(&self, node: &Node, life: i64) -> String {
        let sim = self.sim;
        let key = sim.kit.ids.hex(24);
        let expires = sim.kit.clock.now_s().saturating_add(life).to_string();
        let signature = encode(&sim.link_signature(&key, &expires));
        let link = Link {
            account: self.account.clone(),
            file: node.id.clone(),
            dead: false,
        };
        sim.state().links.insert(key.clone(), link);
        let base = &sim.kit.base;
        format!("{base}/obj/{key}?Expires={expires}&Signature={signature}")
    }
}

impl Guangya {
    fn link_signature(&self, key: &str, expires: &str) -> String {
        hmac_sha1(&self.secret, &format!("/obj/{key}\n{expires}"))
    }

    /// The content network.
    pub(super) async fn serve_link(&self, parts: &Parts) -> Response {
        let path = parts.uri.path();
        let key = path.strip_prefix("/obj/").unwrap_or("");
        let Some(link) = self.state().links.get(key).cloned() else {
            return plain(403, "AccessDenied");
        };
        let account = link.account.clone();
        let errno = |arg: &str| plain(arg.trim().parse().unwrap_or(403), "injected fault");
        let work = async {
            self.bytes(parts, key, &link)
                .unwrap_or_else(|(status, text)| plain(status, text))
        };
        account.serve_transfer("download", errno, work).await
    }

    fn bytes(
        &self,
        parts: &Parts,
        key: &str,
        link: &Link,
    ) -> Result<Response, (u16, &'static str)> {
        if parts.method != Method::GET {
            return Err((405, "405 method not allowed"));
        }
        // The link is signed: whatever authorization comes along was not meant for this host.
        if foreign_headers(&parts.headers) || parts.headers.contains_key("authorization") {
            return Err((400, "headers of the API do not belong here"));
        }
        let query = parse_query(parts.uri.query().unwrap_or(""));
        let expires = value(&query, "Expires").unwrap_or("");
        if value(&query, "Signature") != Some(self.link_signature(key, expires).as_str()) {
            return Err((403, "SignatureDoesNotMatch"));
        }
        let account = &link.account;
        let mut dead = link.dead;
        if account
            .faults
            .take("download", FaultKind::ExpireLink)
            .is_some()
        {
            dead = true;
            if let Some(link) = self.state().links.get_mut(key) {
                link.dead = true;
            }
        }
        let ends: i64 = expires.parse().unwrap_or(0);
        if dead || self.kit.clock.now_s() >= ends {
            let status = account.knobs.number("expired_status", 403);
            let status = u16::try_from(status).unwrap_or(403);
            return Err((status, "Request has expired"));
        }
        let blob = {
            let tree = account.tree();
            tree.get(&link.file).and_then(Node::stored).cloned()
        };
        let blob = blob.ok_or((404, "NoSuchKey"))?;
        let most = account.knobs.number("file_streams", 0);
        let running = self.streams.start(key, most);
        let running = running.ok_or((503, "too many connections"))?;
        Ok(send(account, "download", &blob, &parts.headers, running))
    }
}
