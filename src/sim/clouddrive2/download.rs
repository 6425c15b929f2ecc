//! Addresses and the bytes behind them (clouddrive2.md section 8).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tonic::Status;

use super::super::account::Account;
use super::super::body::{drain, send, set};
use super::super::content::Blob;
use super::super::faults::FaultKind;
use super::super::oss::sign::{parse_query, value};
use super::super::tree::Node;
use super::CloudDrive2;
use super::gate::{Call, header};
use super::messages::{DownloadUrlPathInfo, GetDownloadUrlPathRequest};
use super::paths::{Place, path_of};

/// What a path segment keeps.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// User agent that direct addresses are bound to.
const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) CloudDriveSim/1.0";
/// Referer that direct addresses are bound to.
const REFERER: &str = "https://115.example.com/";

/// Kinds of addresses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `/static/...` of the server.
    Served,
    /// The provider's own, bound to User-Agent and Referer.
    Direct,
    /// Where `/static` redirects to, bound to nothing.
    Moved,
}

/// An address that was handed out.
pub(super) struct Link {
    account: Arc<Account>,
    id: String,
    /// Path in the account, as the address carries it.
    path: String,
    /// Milliseconds since 1970; `None` never ends.
    until: Option<i64>,
    kind: Kind,
    signature: String,
    dead: bool,
}

fn status(status: StatusCode) -> Response {
    status.into_response()
}

impl Call {
    pub(super) async fn link(
        self,
        request: GetDownloadUrlPathRequest,
    ) -> Result<DownloadUrlPathInfo, Status> {
        let node = match self.there(&request.path)? {
            Place::Node(_, node) if !node.is_dir() => node,
            _ => return Err(Status::invalid_argument("not a file")),
        };
        let knobs = &self.account.knobs;
        let path = path_of(&self.account.tree(), &node.id);
        let life = knobs.number("link_life_s", 3600);
        let life_ms = i64::try_from(life.saturating_mul(1000)).unwrap_or(i64::MAX);
        let until = (life > 0).then(|| self.now().saturating_add(life_ms));
        let make = |kind: Kind| {
            let (token, signature) = (self.sim.kit.ids.hex(24), self.sim.kit.ids.hex(32));
            let link = Link {
                account: self.account.clone(),
                id: node.id.clone(),
                path: path.clone(),
                until,
                kind,
                signature: signature.clone(),
                dead: false,
            };
            self.sim.state().links.insert(token.clone(), link);
            (token, signature)
        };
        let (token, signature) = make(Kind::Served);
        let sign = match knobs.flag("signed_links") {
            true => format!("&sign={signature}"),
            false => String::new(),
        };
        let escaped = utf8_percent_encode(&path, SEGMENT);
        let mut info = DownloadUrlPathInfo {
            download_url_path: format!(
                "/static/{{SCHEME}}/{{HOST}}/{{PREVIEW}}{escaped}?token={token}{sign}"
            ),
            expires_in: (life > 0).then_some(life),
            ..DownloadUrlPathInfo::default()
        };
        if request.get_direct_url && knobs.flag("direct") {
            let (token, signature) = make(Kind::Direct);
            let base = &self.sim.kit.base;
            info.direct_url = Some(format!("{base}/direct/{token}?sign={signature}"));
            info.user_agent = Some(AGENT.to_owned());
            info.additional_headers = BTreeMap::from([("Referer".to_owned(), REFERER.to_owned())]);
        }
        Ok(info)
    }
}

/// Everything on the port that is no call.
pub(super) async fn entry(sim: &Arc<CloudDrive2>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    drain(body).await;
    let query = parse_query(parts.uri.query().unwrap_or(""));
    let path = parts.uri.path();
    let part = |name: &str| value(&query, name).unwrap_or("").to_owned();
    let (token, served) = match path.strip_prefix("/direct/") {
        Some(token) => (token.to_owned(), None),
        None => match path.strip_prefix("/static/") {
            Some(rest) => (part("token"), Some(rest.to_owned())),
            None => return status(StatusCode::NOT_FOUND),
        },
    };
    let account = {
        let state = sim.state();
        state.links.get(&token).map(|link| link.account.clone())
    };
    let Some(account) = account else {
        return status(StatusCode::UNAUTHORIZED);
    };
    let errno = |arg: &str| {
        let code = arg.parse().ok().and_then(|s| StatusCode::from_u16(s).ok());
        status(code.unwrap_or(StatusCode::FORBIDDEN))
    };
    let authority = parts.uri.authority().map(|authority| authority.as_str());
    let host = authority.unwrap_or_else(|| header(&parts.headers, "host"));
    let work = async {
        if parts.method != Method::GET {
            return status(StatusCode::METHOD_NOT_ALLOWED);
        }
        sim.bytes(
            &token,
            &part("sign"),
            served.as_deref(),
            host,
            &parts.headers,
        )
        .unwrap_or_else(status)
    };
    account.serve_transfer("download", errno, work).await
}

/// Scheme, host, preview and path of what stands behind `/static/`.
fn template(rest: &str) -> Option<(&str, &str, bool, String)> {
    let mut parts = rest.splitn(4, '/');
    let (scheme, host) = (parts.next()?, parts.next()?);
    let preview = match parts.next()? {
        "true" => true,
        "false" => false,
        _ => return None,
    };
    let path = percent_decode_str(parts.next()?).decode_utf8().ok()?;
    Some((scheme, host, preview, format!("/{path}")))
}

impl CloudDrive2 {
    /// The bytes of a link. `served` is what stands behind `/static/`, `None` for a direct
    /// address.
    fn bytes(
        &self,
        token: &str,
        signature: &str,
        served: Option<&str>,
        host: &str,
        headers: &HeaderMap,
    ) -> Result<Response, StatusCode> {
        let now = self.kit.clock.now_ms();
        let (account, id, path, kind) = {
            let mut state = self.state();
            let link = state.links.get_mut(token);
            let link = link.ok_or(StatusCode::UNAUTHORIZED)?;
            let struck = link.account.faults.take("download", FaultKind::ExpireLink);
            link.dead |= struck.is_some();
            let signed = link.kind != Kind::Served || link.account.knobs.flag("signed_links");
            if signed && signature != link.signature {
                return Err(StatusCode::FORBIDDEN);
            }
            if link.dead || link.until.is_some_and(|until| now >= until) {
                return Err(StatusCode::FORBIDDEN);
            }
            let account = link.account.clone();
            (account, link.id.clone(), link.path.clone(), link.kind)
        };
        if (kind == Kind::Served) != served.is_some() {
            return Err(StatusCode::NOT_FOUND);
        }
        let mut preview = false;
        match served {
            Some(rest) => {
                let parts = template(rest).ok_or(StatusCode::BAD_REQUEST)?;
                let (scheme, wanted, as_preview, asked) = parts;
                // The placeholders are filled in as the client reaches the server.
                if scheme != "http" || wanted != host {
                    return Err(StatusCode::BAD_REQUEST);
                }
                if asked != path {
                    return Err(StatusCode::FORBIDDEN);
                }
                preview = as_preview;
            }
            None => {
                // Another host: what belongs to the server has no business there.
                if headers.contains_key(header::AUTHORIZATION) {
                    return Err(StatusCode::BAD_REQUEST);
                }
                let agent = header(headers, "user-agent");
                let bound = agent == AGENT && header(headers, "referer") == REFERER;
                if kind == Kind::Direct && !bound {
                    return Err(StatusCode::FORBIDDEN);
                }
            }
        }
        let blob = {
            let tree = account.tree();
            let node = tree.live(&id);
            node.and_then(Node::stored).cloned()
        };
        let blob = blob.ok_or(StatusCode::NOT_FOUND)?;
        if account.knobs.flag("redirect") && served.is_some() {
            return Ok(self.redirect(&account, &id, &path));
        }
        let blob = match preview {
            // A preview is another file: whoever takes it for the original has wrong bytes.
            true => Blob::synthetic(blob.size(), blob.size() / 2),
            false => blob,
        };
        Ok(send(&account, "download", &blob, headers, ()))
    }

    /// `/static` sends the client on, to an address that is bound to nothing.
    fn redirect(&self, account: &Arc<Account>, id: &str, path: &str) -> Response {
        let (token, signature) = (self.kit.ids.hex(24), self.kit.ids.hex(32));
        let link = Link {
            account: account.clone(),
            id: id.to_owned(),
            path: path.to_owned(),
            until: None,
            kind: Kind::Moved,
            signature: signature.clone(),
            dead: false,
        };
        self.state().links.insert(token.clone(), link);
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::FOUND;
        let to = format!("{}/direct/{token}?sign={signature}", self.kit.base);
        set(&mut response, "location", &to);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let (scheme, host, preview, path) =
            template("http/127.0.0.1:19798/false/115open/a%20%E7%94%B5.mkv").unwrap();
        assert_eq!((scheme, host, preview), ("http", "127.0.0.1:19798", false));
        assert_eq!(path, "/115open/a 电.mkv");
        assert!(template("http/h/{PREVIEW}/a").is_none());
        assert!(template("http/h/true").is_none());
    }
}
