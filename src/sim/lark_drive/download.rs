//! Downloads (section 8).

use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};

use super::super::account::Account;
use super::super::body::{send, set};
use super::super::content::Blob;
use super::super::faults::FaultKind;
use super::super::oss::sign::encode;
use super::LarkDrive;
use super::errors::{ApiError, plain};
use super::gate::{Ctx, header};

/// Life of the address that a redirect leads to.
const STREAM_MS: i64 = 300_000;

/// Bytes behind a redirect.
#[derive(Clone)]
pub(super) struct Stream {
    account: Arc<Account>,
    blob: Blob,
    name: String,
    expires: i64,
}

fn respond(
    account: &Arc<Account>,
    op: &str,
    blob: &Blob,
    name: &str,
    headers: &HeaderMap,
) -> Response {
    let mut response = send(account, op, blob, headers, ());
    if response.status().is_success() {
        let simple = name
            .chars()
            .all(|c| (' '..='~').contains(&c) && c != '"' && c != '\\');
        let disposition = match simple {
            true => format!("attachment; filename=\"{name}\""),
            false => format!("attachment; filename*=UTF-8''{}", encode(name)),
        };
        set(&mut response, "content-disposition", &disposition);
    }
    response
}

impl Ctx<'_> {
    /// `files/{token}/download`: of files only, also of an older `version`.
    pub(super) fn download(&self, headers: &HeaderMap) -> Result<Response, ApiError> {
        match self.account.knobs.text("deny_download").as_deref() {
            None | Some("" | "off" | "false" | "0") => {}
            // A bare status, without an envelope (section 3).
            Some("bare") => return Ok(StatusCode::FORBIDDEN.into_response()),
            Some(_) => return Err(ApiError::new(1_061_004)),
        }
        let node = self.file()?;
        let blob = match self.args.query("version") {
            "" => node.stored().cloned(),
            version => self.sim.version(&node, version),
        };
        let blob = blob.ok_or_else(|| ApiError::new(1_061_003))?;
        if !self.account.knobs.flag("redirect") {
            return Ok(respond(&self.account, self.op, &blob, &node.name, headers));
        }
        let key = self.sim.kit.ids.hex(32);
        let stream = Stream {
            account: self.account.clone(),
            blob,
            name: node.name,
            expires: self.now().saturating_add(STREAM_MS),
        };
        self.sim.state().streams.insert(key.clone(), stream);
        let mut response = StatusCode::FOUND.into_response();
        // The same listener under another host name: no bearer belongs there.
        let base = self.sim.kit.base.replace("127.0.0.1", "localhost");
        set(&mut response, "location", &format!("{base}/stream/{key}"));
        Ok(response)
    }
}

impl LarkDrive {
    /// Where a redirect leads to (operation `stream`).
    pub(super) async fn stream(&self, key: &str, parts: &Parts) -> Response {
        let stream = self.state().streams.get(key).cloned();
        let Some(stream) = stream.filter(|_| parts.method == Method::GET) else {
            return plain(404, "404 not found");
        };
        let account = &stream.account;
        let work = async {
            let late = account
                .faults
                .take("stream", FaultKind::ExpireLink)
                .is_some();
            if late {
                self.state().streams.remove(key);
            }
            if late || self.kit.clock.now_ms() >= stream.expires {
                return plain(403, "expired");
            }
            if !header(&parts.headers, "authorization").is_empty() {
                return plain(400, "a login does not belong here");
            }
            respond(
                account,
                "stream",
                &stream.blob,
                &stream.name,
                &parts.headers,
            )
        };
        account
            .serve_transfer("stream", ApiError::injected, work)
            .await
    }
}
