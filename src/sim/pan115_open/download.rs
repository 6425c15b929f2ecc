//! Download links, bound to the User-Agent that asked (and to cookies), and their bytes (115_open.md
//! sections 4.4 and 8).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::super::account::Account;
use super::super::body;
use super::super::content::Blob;
use super::super::faults::FaultKind;
use super::super::tree::Node;
use super::errors::{ApiError, granted};
use super::files::{sha1_of, untrashed};
use super::{Ctx, Pan115, auth, cookies, pickcode, user_id};

/// A handed out link.
pub(super) struct Link {
    account: Arc<Account>,
    /// Id of the file.
    file: String,
    /// The content when the link was made, for when the file is purged meanwhile.
    blob: Blob,
    /// The query exactly as handed out: it is signed.
    query: String,
    /// `None`: any.
    user_agent: Option<String>,
    /// Names and values that must come along.
    cookies: Vec<(String, String)>,
    /// Seconds since 1970.
    expires: i64,
    /// Connections at a time; 0 is any number.
    connections: u64,
}

/// A connection that counts for its file as long as its body is alive.
struct Connection(Arc<AtomicU64>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn forbidden(message: &str) -> Response {
    (StatusCode::FORBIDDEN, Json(json!({ "message": message }))).into_response()
}

impl Ctx<'_> {
    /// The entry behind a pick code that may be downloaded.
    pub(super) fn picked(&self, code: &str) -> Result<Node, ApiError> {
        let unknown = || ApiError::new(50_003, "提取码不存在");
        let (id, dir) = pickcode::decode(code, self.account.number).ok_or_else(unknown)?;
        let tree = self.account.tree();
        let node = tree.get(&id).filter(|node| node.is_dir() == dir);
        let node = node.ok_or_else(unknown)?;
        if untrashed(&tree, &id).is_none() {
            return Err(ApiError::new(70_005, "文件（夹）不存在或已删除"));
        }
        Ok(node.clone())
    }

    /// `POST /open/ufile/downurl`.
    pub(super) async fn download_link(&self) -> Result<Value, ApiError> {
        let codes = self.params.list("pick_code");
        if codes.is_empty() {
            return Err(ApiError::new(50_001, "提取码不能为空"));
        }
        let mut data = Map::new();
        let mut refused = None;
        for code in &codes {
            let node = match self.picked(code) {
                Ok(node) => node,
                Err(error) => {
                    refused.get_or_insert(error);
                    continue;
                }
            };
            let url = match node.stored().filter(|blob| blob.size() > 0) {
                Some(blob) => json!({ "url": self.link(&node, blob, code, false).0 }),
                None if node.is_dir() => json!(false),
                None => json!([]),
            };
            let entry = json!({
                "file_name": node.name, "file_size": node.size(), "pick_code": code,
                "sha1": sha1_of(&node).await, "url": url,
            });
            data.insert(node.id, entry);
        }
        match refused {
            Some(error) if data.is_empty() => Err(error),
            _ => Ok(granted(Value::Object(data))),
        }
    }

    /// Makes a link; answers it and the cookies that it wants, which only a client that came
    /// by cookies is asked for.
    pub(super) fn link(
        &self,
        node: &Node,
        blob: &Blob,
        code: &str,
        cookie: bool,
    ) -> (String, Vec<(String, String)>) {
        let knobs = &self.account.knobs;
        let life = i64::try_from(knobs.number("link_ttl_s", 7200)).unwrap_or(i64::MAX);
        let dead = self
            .account
            .faults
            .take(self.op, FaultKind::ExpireLink)
            .is_some();
        let now = self.sim.kit.clock.now_s();
        let expires = now.saturating_add(life);
        let connections = knobs.number("max_streams", 2);
        let wants = match (knobs.text("link_f").as_deref(), cookie) {
            (None, true) | (Some("3"), true) => "3",
            (None, false) | (Some("1" | "3"), _) => "1",
            (Some(_), _) => "",
        };
        let user = user_id(&self.account);
        let ids = &self.sim.kit.ids;
        let path = format!("/down/{}", ids.hex(32));
        let query = format!(
            "t={expires}&u={user}&s=104857600&d=vip-{user}-{code}-1-{}&c={connections}&f={wants}&k={}",
            if cookie { "0" } else { auth::CLIENT_ID },
            ids.hex(16)
        );
        let cookies = match wants {
            "3" => vec![
                ("acw_tc".to_owned(), ids.hex(60)),
                (ids.hex(8), ids.hex(32)),
            ],
            _ => Vec::new(),
        };
        let url = format!("{}{path}?{query}", self.sim.kit.base);
        let link = Link {
            account: self.account.clone(),
            file: node.id.clone(),
            blob: blob.clone(),
            query,
            user_agent: (!wants.is_empty()).then(|| self.user_agent.clone()),
            cookies: cookies.clone(),
            expires: if dead { now.saturating_sub(1) } else { expires },
            connections,
        };
        self.sim.state().links.insert(path, link);
        (url, cookies)
    }
}

impl Pan115 {
    /// `GET` of a link.
    pub(super) async fn data(
        &self,
        method: &Method,
        path: &str,
        query: &str,
        headers: &HeaderMap,
    ) -> Response {
        let account = match self.state().links.get(path) {
            Some(link) => link.account.clone(),
            None => return forbidden("no such link"),
        };
        let errno = |arg: &str| forbidden(&format!("injected fault {arg}"));
        let work = async {
            if *method != Method::GET && *method != Method::HEAD {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
                return response;
            }
            match self.admit(&account, path, query, headers) {
                Ok((blob, connection)) => {
                    body::send(&account, "download", &blob, headers, connection)
                }
                Err(why) => forbidden(why),
            }
        };
        account.serve_transfer("download", errno, work).await
    }

    fn admit(
        &self,
        account: &Arc<Account>,
        path: &str,
        query: &str,
        headers: &HeaderMap,
    ) -> Result<(Blob, Connection), &'static str> {
        let expire = account
            .faults
            .take("download", FaultKind::ExpireLink)
            .is_some();
        let now = self.kit.clock.now_s();
        let user_agent = headers
            .get(header::USER_AGENT)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("");
        let mut state = self.state();
        let link = state.links.get_mut(path).ok_or("no such link")?;
        if expire {
            link.expires = now.saturating_sub(1);
        }
        if link.query != query {
            return Err("bad signature");
        }
        if now > link.expires {
            return Err("link expired");
        }
        if link
            .user_agent
            .as_ref()
            .is_some_and(|own| own != user_agent)
        {
            return Err("invalid user agent");
        }
        let sent = cookies(headers);
        if !link.cookies.iter().all(|cookie| sent.contains(cookie)) {
            return Err("no cookie");
        }
        let blob = {
            let tree = account.tree();
            let stored = tree.get(&link.file).and_then(Node::stored);
            stored.unwrap_or(&link.blob).clone()
        };
        let (most, key) = (link.connections, (account.number, link.file.clone()));
        let open = state.streams.entry(key).or_default().clone();
        let before = open.fetch_add(1, Ordering::SeqCst);
        let connection = Connection(open);
        match most != 0 && before >= most {
            true => Err("too many connections"),
            false => Ok((blob, connection)),
        }
    }
}
