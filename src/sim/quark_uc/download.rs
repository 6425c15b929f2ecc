//! Links and their bytes (sheet quark, 4.3 and section 8; sheet uc, 4.3 and section 8).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::Method;
use axum::http::request::Parts;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::account::Account;
use super::super::body::send;
use super::super::content::Blob;
use super::super::digest::{HashKind, md5_hex};
use super::super::faults::FaultKind;
use super::super::oss::sign::{encode, hmac_sha1, parse_query, value};
use super::super::tree::Node;
use super::errors::{ApiError, plain};
use super::files::kind_of;
use super::gate::{Ctx, header};
use super::login::Cookies;
use super::tasks::Work;
use super::{Brand, QuarkUc};

/// Bytes that a client which is not the own one may get.
const FREE_BYTES: u64 = 50 << 20;
/// Links per call at most.
const LINKS_MOST: usize = 20;

/// Running downloads by link.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<Mutex<HashMap<String, u64>>>);

/// One of them, as long as it lives.
struct Running(Streams, String);

impl Streams {
    fn start(&self, key: &str, most: u64) -> Option<Running> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(key.to_owned()).or_default();
        if *count >= most {
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
    /// Whose request it was: his meters and faults.
    account: Arc<Account>,
    /// Whose file it is.
    owner: Arc<Account>,
    fid: String,
    /// What the file was: the content network keeps it when the file is gone.
    blob: Blob,
    user_agent: String,
    /// Whose cookie opens it; `None` when nobody was logged in.
    login: Option<usize>,
    pugs: bool,
}

fn own_client(brand: &Brand, user_agent: &str) -> bool {
    user_agent.contains(brand.client)
}

impl Ctx<'_> {
    /// Md5 as this answer writes it.
    async fn md5_field(&self, blob: &Blob) -> Option<String> {
        let turn = {
            let mut state = self.sim.state();
            state.linked += 1;
            state.linked
        };
        let hex = blob.digest(HashKind::Md5).await;
        let base64 = match self.knob("md5_form").as_str() {
            "none" => return None,
            "hex" => false,
            "base64" => true,
            "mixed" => turn % 2 == 0,
            _ => self.sim.brand.base64_md5,
        };
        let bytes: Option<Vec<u8>> = (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(hex.get(at * 2..at * 2 + 2)?, 16).ok())
            .collect();
        match bytes {
            Some(bytes) if base64 => Some(STANDARD.encode(bytes)),
            _ => Some(hex),
        }
    }

    /// The files of a call: of the account, or with `pwd_id` of the share.
    fn wanted(&self) -> Result<(Arc<Account>, Vec<Node>), ApiError> {
        let fids = self.args.ids("fids", LINKS_MOST)?;
        let pwd_id = self.args.text("pwd_id");
        let owner = match pwd_id {
            "" if self.guest => return Err(ApiError::parameter("pwd_id")),
            "" => self.account.clone(),
            pwd_id => {
                let share = self.share(pwd_id, self.args.text("stoken"))?;
                let tokens = self.args.ids("fids_token", LINKS_MOST)?;
                self.check_tokens(&fids, &tokens)?;
                share
            }
        };
        let nodes: Option<Vec<Node>> = {
            let tree = owner.tree();
            let file = |fid: &String| tree.live(fid).filter(|node| !node.is_dir()).cloned();
            fids.iter().map(file).collect()
        };
        let nodes = nodes.ok_or_else(ApiError::gone)?;
        let large = nodes.iter().any(|node| node.size() > FREE_BYTES);
        let refused = !own_client(self.sim.brand, &self.user_agent)
            || !pwd_id.is_empty()
                && (self.login.is_none()
                    || [&self.account, &owner]
                        .iter()
                        .any(|a| a.knobs.text("share_direct").as_deref() == Some("off")));
        match large && refused {
            true => Err(ApiError::wrong_client()),
            false => Ok((owner, nodes)),
        }
    }

    /// `POST file/download`.
    pub(super) async fn link(&self) -> Result<(Value, Value), ApiError> {
        let (owner, nodes) = self.wanted()?;
        let shared = !self.args.text("pwd_id").is_empty();
        let pugs = self.login.filter(|_| shared || self.sim.brand.pugs);
        if let Some(line) = pugs.and_then(|login| self.sim.give_pugs(login)) {
            let mut cookies = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
            cookies.push(line);
        }
        let mut rows = Vec::new();
        for node in nodes {
            let Some(blob) = node.blob.clone() else {
                continue;
            };
            let key = self.sim.kit.ids.hex(24);
            let life = self.number("link_seconds", 21_600);
            let expires = self.sim.kit.clock.now_s().saturating_add(life);
            let signature = self.sim.link_signature(&key, &expires.to_string());
            let url = format!(
                "{}/cdn/{key}/file?Expires={expires}&OSSAccessKeyId=LTAI{}&Signature={}\
                 &auth_key={expires}-{}-0-{}",
                self.sim.kit.base,
                self.sim.kit.ids.hex(12),
                encode(&signature),
                self.sim.kit.ids.hex(8),
                md5_hex(key.as_bytes()),
            );
            let (mime, category) = kind_of(&node.name);
            let mut row = json!({
                "fid": node.id, "file_name": node.name, "size": node.size(),
                "format_type": mime, "download_url": url, "range_size": 0, "category": category,
                "created_at": node.created, "updated_at": node.modified,
            });
            if let (Some(row), Some(md5)) = (row.as_object_mut(), self.md5_field(&blob).await) {
                row.insert("md5".to_owned(), json!(md5));
            }
            rows.push(row);
            let link = Link {
                account: self.account.clone(),
                owner: owner.clone(),
                fid: node.id,
                blob,
                user_agent: self.user_agent.clone(),
                login: self.login,
                pugs: pugs.is_some(),
            };
            self.sim.state().links.insert(key, link);
        }
        let metadata = json!({ "acc2": "1", "acc1": "1" });
        match self.knob("link_task").as_str() {
            "inline" => {
                let task = json!({
                    "task_id": self.id_value(&self.new_record()), "task_sync": true,
                    "task_resp": { "status": 200, "code": 0, "data": rows },
                });
                Ok((task, metadata))
            }
            "poll" => {
                let first = rows.into_iter().next();
                let url = first.and_then(|mut row| row.get_mut("download_url").map(Value::take));
                let link = json!({ "download_url": url });
                self.submit("文件-下载", Work::Link(link))
            }
            _ => Ok((Value::Array(rows), metadata)),
        }
    }
}

impl QuarkUc {
    fn link_signature(&self, key: &str, expires: &str) -> String {
        hmac_sha1(&self.secret, &format!("/cdn/{key}/file\n{expires}"))
    }

    /// The content network: signature and expiry, then cookie, Referer and User-Agent.
    pub(super) async fn download(&self, parts: &Parts) -> Response {
        let path = parts.uri.path();
        let key = path
            .strip_prefix("/cdn/")
            .and_then(|rest| rest.strip_suffix("/file"))
            .unwrap_or("");
        let Some(link) = self.state().links.get(key).cloned() else {
            return plain(403, "SignatureDoesNotMatch");
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
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            return Err((405, "405 Method Not Allowed"));
        }
        let query = parse_query(parts.uri.query().unwrap_or(""));
        let expires = value(&query, "Expires").unwrap_or("");
        let signature = value(&query, "Signature").unwrap_or("");
        if signature != self.link_signature(key, expires) {
            return Err((403, "SignatureDoesNotMatch"));
        }
        let struck = |kind| link.account.faults.take("download", kind).is_some();
        let ends: i64 = expires.parse().unwrap_or(0);
        if struck(FaultKind::ExpireLink) || self.kit.clock.now_s() >= ends {
            return Err((403, "AccessDenied: Request has expired."));
        }
        let cookies = Cookies::of(&parts.headers);
        if let Some(index) = link.login {
            let now = self.kit.clock.now_ms();
            let mut logins = self.logins();
            if struck(FaultKind::ExpireToken) {
                logins.expire(index);
            }
            let same = logins.find(&cookies).is_some_and(|(sent, _)| sent == index);
            if !same || !logins.fresh(index, &cookies, now) {
                return Err((403, "auth expired: login required"));
            }
            if link.pugs && !logins.pugs_fits(index, &cookies, now) {
                return Err((403, "auth expired: __pugs"));
            }
        }
        if !header(&parts.headers, "referer").starts_with(self.brand.site)
            || header(&parts.headers, "user-agent") != link.user_agent
        {
            return Err((412, "412 Precondition Failed"));
        }
        let most = link.account.knobs.number("file_streams", 4);
        let running = self.streams.start(key, most);
        let running = running.ok_or((412, "412 Precondition Failed: too many connections"))?;
        let stored = {
            let tree = link.owner.tree();
            tree.get(&link.fid).and_then(Node::stored).cloned()
        };
        let blob = stored.unwrap_or_else(|| link.blob.clone());
        let account = &link.account;
        Ok(send(account, "download", &blob, &parts.headers, running))
    }
}
