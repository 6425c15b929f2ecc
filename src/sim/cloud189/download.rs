//! Links and the bytes behind them (189cloud.md sections 4.3 and 8): a link leads by one
//! redirect to the object store.

use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::super::account::Account;
use super::super::body::{send, set};
use super::super::digest::md5_hex;
use super::super::faults::FaultKind;
use super::super::oss::sign::{parse_query, value};
use super::super::tree::Node;
use super::Cloud189;
use super::answer::{ApiError, ok, plain, store_error};
use super::gate::Ctx;
use super::parts::leaks;

/// A link that was given out.
pub(super) struct Link {
    /// Who asked for it.
    account: Arc<Account>,
    /// Whose file it is.
    owner: Arc<Account>,
    file: String,
}

fn status_error(arg: &str) -> Response {
    let status = arg.parse().ok().and_then(|s| StatusCode::from_u16(s).ok());
    plain(
        status.unwrap_or(StatusCode::FORBIDDEN).as_u16(),
        "injected fault",
    )
}

impl Cloud189 {
    fn link_sign(&self, hop: &str, key: &str, until: &str) -> String {
        md5_hex(format!("{}|{hop}|{key}|{until}", self.secret).as_bytes())
    }

    /// The answer of a call that names a link: an `http` address with `&` escaped.
    pub(super) fn link_answer(
        &self,
        account: &Arc<Account>,
        owner: &Arc<Account>,
        node: &Node,
    ) -> Value {
        let key = self.kit.ids.hex(32);
        let life = account
            .knobs
            .number("link_life_s", 14_400)
            .saturating_mul(1000);
        let until = self
            .now()
            .saturating_add(i64::try_from(life).unwrap_or(i64::MAX));
        let sign = self.link_sign("first", &key, &until.to_string());
        let url = format!(
            "{}/download/file/downloadFile.action?dt=51&amp;expired={until}&amp;sk={key}\
             &amp;ufi={}&amp;zyc=5&amp;token=cloud&amp;sig={sign}",
            self.kit.base, node.id
        );
        let link = Link {
            account: account.clone(),
            owner: owner.clone(),
            file: node.id.clone(),
        };
        self.state().links.insert(key, link);
        ok(json!({ "fileDownloadUrl": url }))
    }

    fn find_link(&self, key: &str) -> Option<(Arc<Account>, Arc<Account>, String)> {
        let state = self.state();
        let link = state.links.get(key)?;
        Some((link.account.clone(), link.owner.clone(), link.file.clone()))
    }

    /// The first hop.
    pub(super) async fn redirect(&self, parts: &Parts) -> Response {
        let query = parse_query(parts.uri.query().unwrap_or(""));
        let text = |name: &str| value(&query, name).unwrap_or("");
        let Some((account, _, file)) = self.find_link(text("sk")) else {
            return plain(403, "403 Forbidden");
        };
        let work = async {
            if !matches!(parts.method, Method::GET | Method::HEAD) {
                return plain(405, "405 Method Not Allowed");
            }
            if leaks(&parts.headers) {
                return plain(400, "400 Bad Request");
            }
            let until = text("expired");
            let good = text("sig") == self.link_sign("first", text("sk"), until)
                && text("ufi") == file
                && parts.uri.path() == "/download/file/downloadFile.action";
            let struck = account
                .faults
                .take("redirect", FaultKind::ExpireLink)
                .is_some();
            if !good || struck || until.parse().unwrap_or(0) <= self.now() {
                return plain(403, "403 Forbidden");
            }
            let life = account.knobs.number("store_life_s", 3600);
            let now = self.now().div_euclid(1000);
            let until = now
                .saturating_add(i64::try_from(life).unwrap_or(i64::MAX))
                .to_string();
            let sign = self.link_sign("second", text("sk"), &until);
            let mut response = StatusCode::FOUND.into_response();
            let target = format!(
                "{}/store/content/{file}?response-content-type=application/octet-stream\
                 &AWSAccessKeyId={}&Expires={until}&Signature={sign}",
                self.kit.base,
                text("sk")
            );
            set(&mut response, "location", &target);
            response
        };
        account.serve("redirect", status_error, work).await
    }

    /// The object store's side.
    pub(super) async fn content(&self, parts: &Parts) -> Response {
        let query = parse_query(parts.uri.query().unwrap_or(""));
        let text = |name: &str| value(&query, name).unwrap_or("");
        let denied = || store_error(403, "AccessDenied", "Request has expired");
        let Some((account, owner, file)) = self.find_link(text("AWSAccessKeyId")) else {
            return denied();
        };
        let work = async {
            if !matches!(parts.method, Method::GET | Method::HEAD) {
                return store_error(405, "MethodNotAllowed", "GET only");
            }
            let secrets = leaks(&parts.headers) || parts.headers.contains_key("authorization");
            if secrets {
                return store_error(400, "InvalidArgument", "headers of another host");
            }
            let (until, sign) = (text("Expires"), text("Signature"));
            let good = sign == self.link_sign("second", text("AWSAccessKeyId"), until)
                && parts.uri.path() == format!("/store/content/{file}");
            let dead = {
                let struck = account
                    .faults
                    .take("download", FaultKind::ExpireLink)
                    .is_some();
                let mut state = self.state();
                if struck {
                    state.dead_links.insert(sign.to_owned());
                }
                state.dead_links.contains(sign)
            };
            let over = until.parse().unwrap_or(0) <= self.now().div_euclid(1000);
            if !good || dead || over {
                return denied();
            }
            let blob = owner.tree().get(&file).and_then(Node::stored).cloned();
            match blob {
                Some(blob) => send(&account, "download", &blob, &parts.headers, ()),
                None => store_error(404, "NoSuchKey", "The object does not exist"),
            }
        };
        account.serve_transfer("download", status_error, work).await
    }
}

impl Ctx<'_> {
    /// `getFileDownloadUrl.action` of the PC door.
    pub(super) fn link(&self) -> Result<Value, ApiError> {
        let (node, path) = {
            let tree = self.account.tree();
            let node = self.node(&tree, self.need("fileId")?);
            let node = node
                .filter(|node| !node.is_dir())
                .ok_or_else(ApiError::not_found)?;
            (node.clone(), tree.path_of(&node.id))
        };
        if self
            .account
            .knobs
            .text("blocked")
            .is_some_and(|blocked| blocked == path)
        {
            let text = "the file cannot be downloaded";
            return Err(ApiError::new("DownloadFileMD5ErrorCode", text));
        }
        Ok(self.sim.link_answer(&self.account, &self.account, &node))
    }
}
