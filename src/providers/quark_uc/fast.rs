//! Fast upload (sheet quark, 6): MD5 and SHA-1 of the whole file, told to an upload that was
//! begun.

use serde_json::json;

use super::api::{Api, Call};
use super::commit::{committed, settle};
use super::upload::{begin, session_of};
use crate::drive::{
    Attempt, Conversation, DriveError, ErrorKind, NodeId, Result, UploadRequest, decode,
};
use crate::fingerprint::Kind;

/// The hashes of nothing (section 12).
const EMPTY: (&str, &str) = (
    "d41d8cd98f00b204e9800998ecf8427e",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
);

/// What is asked with.
pub struct Digests {
    pub md5: String,
    pub sha1: String,
    /// Both computed, here or by somebody who had the bytes.
    pub trusted: bool,
}

/// The digests of a content.
///
/// # Errors
/// `OverBudget` when they need more reading than allowed.
pub async fn digests(size: u64, conversation: &Conversation<'_>) -> Result<Digests> {
    if size == 0 {
        return Ok(Digests {
            md5: EMPTY.0.to_owned(),
            sha1: EMPTY.1.to_owned(),
            trusted: true,
        });
    }
    let md5 = conversation.digest(Kind::Md5).await?;
    let sha1 = conversation.digest(Kind::Sha1).await?;
    let known = conversation.known();
    let trusted = |kind, value: &str| {
        known
            .usable(kind)
            .is_some_and(|known| *known.value == *value && known.origin.is_trusted())
    };
    Ok(Digests {
        trusted: trusted(Kind::Md5, &md5) && trusted(Kind::Sha1, &sha1),
        md5,
        sha1,
    })
}

/// Tells the hashes. The id of the file when the service has the content: it is there then.
pub async fn tell(
    api: &Api,
    task_id: &str,
    digests: &Digests,
    expected: Option<&NodeId>,
) -> Result<Option<NodeId>> {
    let body = json!({ "md5": digests.md5, "sha1": digests.sha1, "task_id": task_id });
    let answer = api
        .call(Call::post("hash", "/file/update/hash", body))
        .await?;
    let data = &answer["data"];
    if !decode::flag(&data["finish"]) {
        return Ok(None);
    }
    decode::nonempty(&data["fid"])
        .map(NodeId::new)
        .or_else(|| expected.cloned())
        .map(Some)
        .ok_or_else(|| DriveError::bad_answer("hash", "a hit without fid"))
}

pub async fn attempt(
    api: &Api,
    request: &UploadRequest,
    conversation: &Conversation<'_>,
) -> Result<Attempt> {
    // First, so that too dear a question leaves nothing behind.
    let digests = digests(request.size, conversation).await?;
    let mut begun = begin(api, request).await?;
    let ticket = &mut begun.ticket;
    let fid = ticket.node_id();
    let hit = if ticket.whole {
        fid
    } else {
        match tell(api, &ticket.task_id, &digests, fid.as_ref()).await {
            Ok(hit) => hit,
            // The answer may be lost and the file there.
            Err(error) => match committed(api, request, ticket).await {
                Ok(Some(node)) => Some(node.id),
                _ => return Err(error),
            },
        }
    };
    if let Some(id) = hit {
        let node = settle(api, request, id).await?;
        return Ok(Attempt::Hit {
            node,
            decided_by: vec![Kind::Md5, Kind::Sha1],
        });
    }
    if !digests.trusted {
        // The upload was told what somebody claims: bytes that are others would not fit it.
        return Ok(Attempt::Miss(None));
    }
    ticket.asked = Some((digests.md5, digests.sha1));
    match session_of(request, begun) {
        Ok(session) => Ok(Attempt::Miss(Some(session))),
        Err(error) if error.kind == ErrorKind::BadAnswer => Ok(Attempt::Miss(None)),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn nothing_has_the_hashes_of_the_sheets() {
        for text in [
            include_str!("../../../tests/fixtures/quark.vectors.json"),
            include_str!("../../../tests/fixtures/uc.vectors.json"),
        ] {
            let vectors: Value = serde_json::from_str(text).unwrap();
            let empty = &vectors["vectors"]["file_hashes"][0];
            assert_eq!(empty["size"], 0);
            assert_eq!(empty["md5"], EMPTY.0);
            assert_eq!(empty["sha1"], EMPTY.1);
        }
    }
}
