//! The PCS hosts: where to upload, slices, and the upload in one request (baidu_netdisk.md
//! sections 7.1 to 7.3).

use axum::Json;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::super::account::dropped;
use super::super::body::{ReceiveError, Unread, drain, receive};
use super::super::content::Blob;
use super::super::digest::HashKind;
use super::super::faults::FaultKind;
use super::super::form::{FormError, receive_form};
use super::args::Args;
use super::change::OnDup;
use super::entries::{fs_id, shown_md5};
use super::errors::{ApiError, Host};
use super::paths::good_name;
use super::upload::Place;
use super::{Baidu, Caller, UPLOAD};

/// Bytes of an upload in one request at most, 2 GiB.
const SINGLE: u64 = 2 << 30;
/// Longest body of a slice that is read at all, 64 MiB.
const SLICE: u64 = 64 << 20;

/// Why a body is no content.
enum NoBody {
    Broken,
    Refused(ApiError),
}

/// The content of a request: the part `file` of a form (POST), or the raw body (PUT).
async fn content(
    caller: &Caller,
    op: &str,
    parts: &Parts,
    body: Body,
    limit: u64,
    too_long: ApiError,
) -> Result<Blob, NoBody> {
    let account = &caller.account;
    if parts.method == Method::PUT {
        return match receive(account, op, body, limit).await {
            Ok(blob) => Ok(blob),
            Err(ReceiveError::Broken) => Err(NoBody::Broken),
            Err(ReceiveError::TooLong) => Err(NoBody::Refused(too_long)),
        };
    }
    let form = match receive_form(account, op, &parts.headers, body, limit).await {
        Ok(form) => form,
        Err(FormError::Broken) => return Err(NoBody::Broken),
        Err(FormError::TooLong) => return Err(NoBody::Refused(too_long)),
        Err(FormError::Malformed) => return Err(NoBody::Refused(ApiError::content_type())),
    };
    let mut files = form
        .into_iter()
        .filter(|part| part.file && part.name == "file");
    match (files.next(), files.next()) {
        (Some(part), None) => {
            // Flipped on the way in: the MD5 of the answer shows it.
            let spoilt = account.faults.take(op, FaultKind::Corrupt).is_some();
            Ok(if spoilt {
                part.blob.corrupted()
            } else {
                part.blob
            })
        }
        _ => Err(NoBody::Refused(ApiError::parameter("file"))),
    }
}

/// How a file is cut.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) size: u64,
    /// How many slices there are.
    pub(super) count: u64,
    /// Bytes of every slice but the last; `None` until a slice tells it.
    pub(super) slice: Option<u64>,
    /// Smallest and largest slice that the account may send.
    pub(super) range: (u64, u64),
}

impl Plan {
    /// Whether a slice of so many bytes can be number `at`; answers the slice size it tells.
    pub(super) fn check(&self, at: u64, length: u64) -> Result<Option<u64>, ApiError> {
        let differs = || ApiError::new(31081, "slice and size differ");
        let (least, most) = self.range;
        if length > most {
            return Err(ApiError::new(31364, "slice too big for the level"));
        }
        if self.count == 1 {
            return match length == self.size {
                true => Ok(None),
                false => Err(differs()),
            };
        }
        let (last, before) = (at + 1 == self.count, self.count - 1);
        if !last && length < least {
            return Err(ApiError::new(31299, "slice smaller than 4 MB"));
        }
        let told = match (self.slice, last) {
            (Some(slice), _) => slice,
            (None, false) => length,
            (None, true) => match self.size.checked_sub(length) {
                Some(rest) if rest % before == 0 => rest / before,
                _ => return Err(differs()),
            },
        };
        let wanted = match last {
            true => self.size.checked_sub(told.saturating_mul(before)),
            false => Some(told),
        };
        let whole = (least..=most).contains(&told) && self.size.div_ceil(told) == self.count;
        match whole && wanted == Some(length) {
            true => Ok(Some(told)),
            false => Err(differs()),
        }
    }
}

impl Baidu {
    /// `GET pcs/file?method=locateupload`: needs neither session nor token.
    pub(super) fn locate(&self) -> Response {
        let server = format!("{}{UPLOAD}", self.kit.base);
        let here = json!([{ "server": server }]);
        Json(json!({
            "error_code": 0, "error_msg": "", "expire": 60, "host": "c.pcs.baidu.com",
            "client_ip": "127.0.0.1", "newno": "", "sl": 0, "server": [], "bak_server": [],
            "quic_server": [], "server_time": self.kit.clock.now_s(), "servers": here,
            "bak_servers": here, "quic_servers": [], "request_id": self.request_id(),
        }))
        .into_response()
    }

    /// A call with content.
    pub(super) async fn content_call(
        &self,
        op: &'static str,
        parts: &Parts,
        query: &Args,
        body: Body,
    ) -> Response {
        let caller = match self.caller(Host::Pcs, &parts.headers, query) {
            Ok(caller) => caller,
            Err(error) => {
                drain(body).await;
                return error.on(Host::Pcs, self.request_id());
            }
        };
        let body = Unread::new(body);
        let work = async {
            let body = body.take();
            let allowed = self.admit(Host::Pcs, op, &caller, &parts.headers, query);
            let refused = allowed.err().or_else(|| match parts.method {
                Method::POST | Method::PUT => None,
                _ => Some(ApiError::new(3, "method not supported").status(405)),
            });
            let refused = refused.or_else(|| match op {
                "upload_part" => self.expect(&caller, query).err(),
                _ => self.single_place(&caller, query).err(),
            });
            if let Some(error) = refused {
                drain(body).await;
                return error.on(Host::Pcs, self.request_id());
            }
            let (limit, code) = match op {
                "upload_part" => (SLICE, 31364),
                _ => (SINGLE, 31365),
            };
            let too_long = ApiError::new(code, "too large").status(413);
            let done = match content(&caller, op, parts, body, limit, too_long).await {
                Err(NoBody::Broken) => return dropped(),
                Err(NoBody::Refused(error)) => Err(error),
                Ok(blob) if op == "upload_part" => self.slice(&caller, query, blob).await,
                Ok(blob) => self.single(&caller, query, blob).await,
            };
            done.unwrap_or_else(|error| error.on(Host::Pcs, self.request_id()))
        };
        let injected = |arg: &str| ApiError::injected(Host::Pcs, arg);
        let answer = caller.account.serve_transfer(op, injected, work).await;
        body.drain().await;
        answer
    }

    /// What can be said of a slice before its bytes: session and number.
    fn expect(&self, caller: &Caller, query: &Args) -> Result<(String, u64), ApiError> {
        if query.text("type") != "tmpfile" || query.text("method") != "upload" {
            return Err(ApiError::parameter("type or method"));
        }
        query.required("path")?;
        let id = query.required("uploadid")?;
        let at = query.required("partseq")?;
        let at: u64 = at.parse().map_err(|_| ApiError::parameter("partseq"))?;
        let state = self.state();
        let session = state.sessions.get(id).filter(|session| {
            session.account.profile == caller.account.profile
                && session.is_open()
                && self.lives(session)
        });
        let session = session.ok_or_else(ApiError::no_session)?;
        match at < session.plan.count {
            true => Ok((id.to_owned(), at)),
            false => Err(ApiError::parameter("partseq")),
        }
    }

    async fn slice(&self, caller: &Caller, query: &Args, blob: Blob) -> Result<Response, ApiError> {
        let (id, at) = self.expect(caller, query)?;
        let md5 = blob.digest(HashKind::Md5).await;
        {
            let mut state = self.state();
            let session = state
                .sessions
                .get_mut(&id)
                .ok_or_else(ApiError::no_session)?;
            if let Some(told) = session.plan.check(at, blob.size())? {
                session.plan.slice = Some(told);
            }
            session.slices.insert(at, (md5.clone(), blob));
        }
        let number = match self.kit.ids.number() % 2 {
            0 => json!(at),
            _ => json!(at.to_string()),
        };
        Ok(Json(json!({
            "md5": md5, "request_id": self.request_id(), "partseq": number, "uploadid": id,
        }))
        .into_response())
    }

    /// Path and policy of an upload in one request.
    fn single_place<'q>(&self, caller: &Caller, query: &'q Args) -> Result<Place<'q>, ApiError> {
        let path = query.required("path")?;
        let names = path.strip_prefix('/').unwrap_or("").split('/');
        if !names
            .into_iter()
            .all(|name| good_name(&caller.account, name))
        {
            return Err(ApiError::new(31062, "file name is invalid"));
        }
        super::paths::writable(&caller.account, path)
            .map_err(|_| ApiError::new(31064, "file is not authorized").status(403))?;
        let rtype = match OnDup::parse(query.text("ondup"))? {
            OnDup::NewCopy => 1,
            OnDup::Overwrite => 3,
            OnDup::Fail | OnDup::Skip => 0,
        };
        Ok(Place {
            path,
            rtype,
            times: (None, None),
        })
    }

    async fn single(
        &self,
        caller: &Caller,
        query: &Args,
        blob: Blob,
    ) -> Result<Response, ApiError> {
        let place = self.single_place(caller, query)?;
        if blob.size() == 0 {
            return Err(ApiError::parameter("empty file"));
        }
        let account = &caller.account;
        if account
            .faults
            .take("single_upload", FaultKind::CommitFail)
            .is_some()
        {
            return Err(ApiError::new(31024, "no upload permission").status(403));
        }
        blob.digest(HashKind::Md5).await;
        let placed = self.place(account, &place, &blob, 1);
        let id = placed.map_err(|error| match error.code {
            -8 => ApiError::new(31061, "file already exists"),
            -10 => ApiError::new(31112, "exceed quota"),
            _ => error,
        })?;
        self.kit.inventory.add(&blob);
        let (node, path) = {
            let tree = account.tree();
            (tree.get(&id).cloned(), tree.path_of(&id))
        };
        let node = node.ok_or_else(ApiError::no_file)?;
        let now = self.kit.clock.now_s();
        Ok(Json(json!({
            "path": path, "size": node.size(), "ctime": now, "mtime": now,
            "md5": shown_md5(account, &node).await, "fs_id": fs_id(account, &id),
            "request_id": self.request_id(),
        }))
        .into_response())
    }

    /// The field `param` of a form.
    pub(super) async fn param_field(
        &self,
        caller: &Caller,
        op: &str,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<String, ApiError> {
        let form = receive_form(&caller.account, op, headers, body, 1 << 20).await;
        let form = form.map_err(|_| ApiError::content_type())?;
        let param = form.iter().find(|part| part.name == "param");
        param
            .map(super::super::form::Part::text)
            .ok_or_else(|| ApiError::parameter("param"))
    }
}
