//! Fast upload by gcid (sheet section 6). It is the only question here, and it proves nothing: so
//! the gcid is computed, or told by a provider, and of the latter kind a hit is compared by samples
//! (`decided_by`, DESIGN 3.7).

use super::api::Api;
use super::create::{Created, EMPTY_GCID, create, remove};
use super::upload;
use crate::drive::{Attempt, Conversation, Result, UploadRequest};
use crate::fingerprint::Kind;

pub async fn attempt(
    api: &Api,
    request: &UploadRequest,
    conversation: &Conversation<'_>,
) -> Result<Attempt> {
    let (gcid, trusted) = if request.size == 0 {
        (EMPTY_GCID.to_owned(), true)
    } else {
        let gcid = conversation.digest(Kind::Gcid).await?;
        let trusted = is_trusted(conversation, &gcid);
        (gcid, trusted)
    };
    match create(api, request, &gcid).await? {
        Created::Whole(node) => Ok(Attempt::Hit {
            node: *node,
            decided_by: vec![Kind::Gcid],
        }),
        Created::Pending(pending) if trusted => {
            let session = upload::session_of(api, request, pending).await?;
            Ok(Attempt::Miss(Some(session)))
        }
        // The service keeps what it is told (section 5): bytes sent now under a mere claim would
        // answer later questions of everybody with other bytes.
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
