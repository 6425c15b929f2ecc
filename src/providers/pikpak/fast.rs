//! Fast upload (sheet section 6): by gcid, and where that is unknown by the gcid that the service's
//! global index knows for the CID of three windows.

use super::api::{Api, Call};
use super::create::{Created, EMPTY_GCID, create, remove};
use super::upload;
use crate::drive::{Attempt, Conversation, ErrorKind, Result, UploadRequest, decode};
use crate::fingerprint::{Kind, normalise};

pub async fn attempt(
    api: &Api,
    request: &UploadRequest,
    conversation: &Conversation<'_>,
) -> Result<Attempt> {
    if request.size == 0 {
        return by_gcid(api, request, EMPTY_GCID.to_owned(), true).await;
    }
    match conversation.digest(Kind::Gcid).await {
        Ok(gcid) => {
            let trusted = is_trusted(conversation, &gcid);
            return by_gcid(api, request, gcid, trusted).await;
        }
        Err(error) if matches!(error.kind, ErrorKind::OverBudget(_)) => {}
        Err(error) => return Err(error),
    }
    let cid = conversation.digest(Kind::Cid).await?;
    let Some(gcid) = look_up(api, &cid, request.size).await? else {
        return Ok(Attempt::Miss(None));
    };
    match create(api, request, &gcid).await? {
        Created::Whole(node) => Ok(Attempt::Hit {
            node: *node,
            decided_by: vec![Kind::Cid],
        }),
        // The index knows a gcid whose bytes are gone. It is not proven to be ours: bytes sent
        // now would carry it for ever.
        Created::Pending(pending) => {
            remove(api, &pending.file_id, pending.task_id.as_deref()).await?;
            Ok(Attempt::Miss(None))
        }
    }
}

async fn by_gcid(
    api: &Api,
    request: &UploadRequest,
    gcid: String,
    trusted: bool,
) -> Result<Attempt> {
    match create(api, request, &gcid).await? {
        Created::Whole(node) => Ok(Attempt::Hit {
            node: *node,
            decided_by: vec![Kind::Gcid],
        }),
        Created::Pending(pending) if trusted => {
            let session = upload::session_of(api, request, pending).await?;
            Ok(Attempt::Miss(Some(session)))
        }
        // A miss stores what it was told (section 6.4): a mere claim must not get there.
        Created::Pending(pending) => {
            remove(api, &pending.file_id, pending.task_id.as_deref()).await?;
            Ok(Attempt::Miss(None))
        }
    }
}

/// Whether this gcid was computed, here or by somebody who had the bytes.
pub fn is_trusted(conversation: &Conversation<'_>, gcid: &str) -> bool {
    let known = conversation.known();
    // A value that is not among the known ones came from some call: whose word it is is unknown.
    match known.usable(Kind::Gcid) {
        Some(known) if *known.value == *gcid => known.origin.is_trusted(),
        _ => false,
    }
}

/// The gcid the service knows for a CID, if any (section 6.2).
async fn look_up(api: &Api, cid: &str, size: u64) -> Result<Option<String>> {
    let call = Call::get("cid", "/drive/v1/resource/cid")
        .query("cid", cid)
        .query("file_size", size.to_string());
    match api.call(call).await {
        Ok(answer) => Ok(normalise(Kind::Gcid, &decode::text(&answer["gcid"]))),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
