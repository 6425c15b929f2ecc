//! The older upload: fast by MD5 and size alone, else one stream that goes on where it broke
//! (189cloud.md sections 4.9, 6.4 and 7).

use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::super::account::{Account, dropped};
use super::super::body::{BodyFaults, drain};
use super::super::content::Blob;
use super::super::digest::HashKind;
use super::super::faults::FaultKind;
use super::super::recorder::Recorder;
use super::Cloud189;
use super::answer::{ApiError, json_answer, ok, plain};
use super::auth::Scope;
use super::entries::{revision, time_text};
use super::gate::{Ctx, Unread, header, wants_xml};
use super::upload::md5_arg;

/// An upload of the older kind.
pub(super) struct OldUpload {
    profile: String,
    parent: String,
    name: String,
    size: u64,
    md5: String,
    hit: Option<Blob>,
    /// What came in so far.
    data: Blob,
    done: bool,
    /// A PUT or a commit is under way.
    busy: bool,
}

impl OldUpload {
    /// Whether it is a leftover of an account.
    pub(super) fn is_open(&self, profile: &str) -> bool {
        self.profile == profile && !self.done
    }

    pub(super) fn describe(&self, id: u64) -> Value {
        json!({
            "id": id.to_string(), "name": self.name, "kind": "stream", "parent": self.parent,
            "size": self.size, "stored": self.data.size(),
        })
    }
}

fn not_found() -> ApiError {
    ApiError::new("UploadFileNotFound", "no such upload")
}

/// Offset and length of `bytes=<offset>-<length>`: the second number is a length.
fn range(headers: &HeaderMap) -> Result<Option<(u64, u64)>, ApiError> {
    let text = header(headers, "edrive-uploadfilerange");
    if text.is_empty() {
        return Ok(None);
    }
    let pair = text
        .strip_prefix("bytes=")
        .and_then(|text| text.split_once('-'));
    let pair = pair.and_then(|(from, length)| Some((from.parse().ok()?, length.parse().ok()?)));
    match pair {
        Some(pair) => Ok(Some(pair)),
        None => Err(ApiError::argument("Edrive-UploadFileRange")),
    }
}

/// What arrives of a body, and whether it arrived to its end: unlike the kit's, what came
/// before a break is kept.
async fn receive(account: &Account, body: Body, limit: u64) -> (Blob, bool) {
    let length = body.size_hint().exact().unwrap_or(0);
    let mut faults = BodyFaults::take(account, "part_old").for_length(length);
    let spoilt = account
        .faults
        .take("part_old", FaultKind::Corrupt)
        .is_some();
    let mut data = body.into_data_stream();
    let mut recorder = Recorder::new();
    let mut whole = true;
    'all: while let Some(step) = data.next().await {
        let Ok(mut rest) = step else {
            whole = false;
            break;
        };
        while !rest.is_empty() {
            let room = limit.saturating_sub(recorder.size());
            let wanted = (rest.len() as u64).min(room);
            let passed = match wanted {
                0 => None,
                wanted => faults.pace(recorder.size(), wanted).await,
            };
            let Some(passed) = passed else {
                whole = false;
                break 'all;
            };
            let taken = rest.split_to(usize::try_from(passed).unwrap_or(rest.len()));
            account.meters.up(passed);
            recorder.push(&taken);
        }
    }
    let blob = recorder.finish();
    (if spoilt { blob.corrupted() } else { blob }, whole)
}

impl Cloud189 {
    /// Runs `work` on an upload of an account.
    fn old<T>(
        &self,
        account: &Account,
        id: u64,
        work: impl FnOnce(&mut OldUpload) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut state = self.state();
        let upload = state.old_uploads.get_mut(&id);
        let own = upload.filter(|upload| upload.profile == account.profile);
        work(own.ok_or_else(not_found)?)
    }

    /// Takes an upload for oneself.
    fn claim(&self, account: &Account, id: u64) -> Result<(), ApiError> {
        self.old(account, id, |upload| {
            if upload.done {
                return Err(ApiError::new("UploadFileCompeletedError", "already a file"));
            }
            if upload.busy {
                let text = "the upload is being written";
                return Err(ApiError::new("UploadFileAccessViolation", text));
            }
            upload.busy = true;
            Ok(())
        })
    }

    /// `PUT uploadFileData.action`.
    pub(super) async fn old_data(&self, parts: &Parts, path: &str, body: Body) -> Response {
        let headers = &parts.headers;
        let xml = wants_xml(headers);
        let Some(known) = self.find_session(header(headers, "sessionkey")) else {
            drain(body).await;
            return ApiError::session(None).respond(false, xml, None);
        };
        let account = known.account.clone();
        let body = Unread::new(body);
        let work = async {
            if parts.method != Method::PUT {
                return plain(405, "405 Method Not Allowed");
            }
            let ready = self.admit_data(&known, "part_old", parts, path);
            let ready = ready.and_then(|()| self.old_offset(&account, headers));
            match ready {
                Ok((id, left)) => self.old_bytes(&account, id, left, body.take(), xml).await,
                Err(error) => error.respond(false, xml, Some(&account.knobs)),
            }
        };
        let errno = |arg: &str| ApiError::injected(arg, false);
        let answer = account.serve_transfer("part_old", errno, work).await;
        body.drain().await;
        answer
    }

    /// The upload a PUT goes on with, claimed, and how many bytes are left of it.
    fn old_offset(&self, account: &Account, headers: &HeaderMap) -> Result<(u64, u64), ApiError> {
        if header(headers, "resumepolicy") != "1" {
            return Err(ApiError::argument("ResumePolicy"));
        }
        let id = header(headers, "edrive-uploadfileid").parse();
        let id: u64 = id.map_err(|_| ApiError::argument("Edrive-UploadFileId"))?;
        let range = range(headers)?;
        self.claim(account, id)?;
        let checked = self.old(account, id, |upload| {
            let (stored, left) = (upload.data.size(), upload.size - upload.data.size());
            match range.unwrap_or((0, left)) {
                (offset, length) if offset == stored && length == left => Ok((id, left)),
                _ => Err(ApiError::new("UploadOffsetVerifyFailed", "wrong offset")),
            }
        });
        if checked.is_err() {
            self.old(account, id, |upload| {
                upload.busy = false;
                Ok(())
            })?;
        }
        checked
    }

    async fn old_bytes(
        &self,
        account: &Arc<Account>,
        id: u64,
        left: u64,
        body: Body,
        xml: bool,
    ) -> Response {
        let (blob, whole) = receive(account, body, left).await;
        let full = blob.size() == left;
        let kept = self.old(account, id, |upload| {
            upload.data = Blob::join([&upload.data, &blob]);
            upload.busy = false;
            Ok(())
        });
        match kept {
            Ok(()) if !whole => dropped(),
            Ok(()) if full => json_answer(axum::http::StatusCode::OK, &ok(json!({}))),
            Ok(()) => {
                let error = ApiError::new("InputStreamReadError", "the stream ended early");
                error.respond(false, xml, Some(&account.knobs))
            }
            Err(error) => error.respond(false, xml, Some(&account.knobs)),
        }
    }
}

impl Ctx<'_> {
    fn old_answer(&self, id: u64, exists: bool) -> Value {
        let base = format!("{}/upload", self.sim.kit.base);
        ok(json!({
            "uploadFileId": id, "fileUploadUrl": format!("{base}/uploadFileData.action"),
            "fileCommitUrl": format!("{base}/commitUploadFile.action"),
            "fileDataExists": u64::from(exists),
        }))
    }

    /// `createUploadFile.action`.
    pub(super) async fn create_old(&self) -> Result<Value, ApiError> {
        let (name, md5) = (self.need("fileName")?, md5_arg(self.arg("md5"), "md5")?);
        let size: u64 = self
            .need("size")?
            .parse()
            .map_err(|_| ApiError::argument("size"))?;
        let parent = self.target(&self.account.tree(), self.need("parentFolderId")?)?;
        self.sim.check_upload(self, name, size, Some(&md5))?;
        let blind = super::is_off(&self.account, "old_api_hits");
        let hit = match size {
            _ if blind => None,
            0 => Some(Blob::bytes("")).filter(|blob| blob.digest_now(HashKind::Md5) == md5),
            _ => self.sim.kit.inventory.find(HashKind::Md5, &md5, size).await,
        };
        self.account.meters.rapid(hit.is_some());
        let id = 29_909_000 + self.sim.kit.ids.number();
        let exists = hit.is_some();
        let upload = OldUpload {
            profile: self.account.profile.clone(),
            parent,
            name: name.to_owned(),
            size,
            md5,
            hit,
            data: Blob::bytes(""),
            done: false,
            busy: false,
        };
        self.sim.state().old_uploads.insert(id, upload);
        Ok(self.old_answer(id, exists))
    }

    fn old_id(&self) -> Result<u64, ApiError> {
        let id = self.need("uploadFileId")?.parse();
        id.map_err(|_| ApiError::argument("uploadFileId"))
    }

    /// `getUploadFileStatus.action`.
    pub(super) fn status_old(&self) -> Result<Value, ApiError> {
        let id = self.old_id()?;
        let (stored, exists) = self.sim.old(&self.account, id, |upload| {
            if upload.done {
                return Err(not_found());
            }
            Ok((upload.data.size(), upload.hit.is_some()))
        })?;
        let mut answer = self.old_answer(id, exists);
        if let Some(answer) = answer.as_object_mut() {
            answer.insert("size".to_owned(), json!(stored));
        }
        Ok(answer)
    }

    /// `commitUploadFile.action`: XML whatever the caller asks for.
    pub(super) async fn complete_old(&self) -> Result<Value, ApiError> {
        let id = self.old_id()?;
        let opertype = self.number("opertype", 1)?;
        if !matches!(opertype, 1..=3 | 5) || self.scope != Scope::Personal {
            return Err(ApiError::argument("opertype"));
        }
        if self
            .account
            .faults
            .take(self.op, FaultKind::CommitFail)
            .is_some()
        {
            return Err(ApiError::new("FileMD5VerifyFailed", "the content differs"));
        }
        self.sim.claim(&self.account, id)?;
        let made = self.commit_old(id, opertype).await;
        self.sim.old(&self.account, id, |upload| {
            upload.busy = false;
            upload.done = made.is_ok();
            Ok(())
        })?;
        let node = self
            .account
            .tree()
            .get(&made?)
            .cloned()
            .ok_or_else(not_found)?;
        let knobs = &self.account.knobs;
        Ok(json!({
            "id": node.id, "name": node.name, "size": node.size(),
            "md5": super::entries::md5_of(&node).await,
            "createDate": time_text(knobs, node.created), "rev": revision(node.created),
            "userId": "300000123456789", "requestId": self.sim.kit.ids.hex(16), "isSafe": 1,
        }))
    }

    async fn commit_old(&self, id: u64, opertype: u64) -> Result<String, ApiError> {
        let (blob, md5, size, parent, name) = self.sim.old(&self.account, id, |upload| {
            let blob = upload.hit.clone().unwrap_or_else(|| upload.data.clone());
            let place = (upload.parent.clone(), upload.name.clone());
            Ok((blob, upload.md5.clone(), upload.size, place.0, place.1))
        })?;
        if blob.size() != size {
            return Err(ApiError::new(
                "FileLengthVerifyFailed",
                "the file is not complete",
            ));
        }
        if blob.digest(HashKind::Md5).await != md5 {
            // Started over: what came in is of no use.
            self.sim.old(&self.account, id, |upload| {
                upload.data = Blob::bytes("");
                Ok(())
            })?;
            return Err(ApiError::new("FileMD5VerifyFailed", "the content differs"));
        }
        let place = (parent.as_str(), name.as_str());
        self.sim
            .publish(&self.account, self.op, place, blob, opertype)
    }
}
