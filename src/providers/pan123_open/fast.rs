//! Fast upload (sheet section 6): by SHA-1, then by MD5. No proof and no range is asked for.
//!
//! The service knows the SHA-1 of a part of its files only, so a miss by SHA-1 does not end
//! the conversation: the MD5 is asked next, and when it is not known the caller is told what
//! learning it would cost. The SHA-1 question leaves nothing behind by then.

use super::api::Api;
use super::create::{self, Asked};
use super::upload;
use crate::drive::{Attempt, Conversation, Result, UploadRequest};
use crate::fingerprint::Kind;

pub async fn attempt(
    api: &Api,
    request: &UploadRequest,
    conversation: &Conversation<'_>,
) -> Result<Attempt> {
    create::check(request)?;
    let known_md5 = conversation.known_digest(Kind::Md5);
    if let Some(sha1) = conversation.known_digest(Kind::Sha1)
        && let Some(node) = create::by_sha1(api, request, &sha1, known_md5.as_deref()).await?
    {
        return Ok(Attempt::Hit {
            node,
            decided_by: vec![Kind::Sha1],
        });
    }
    let md5 = conversation.digest(Kind::Md5).await?;
    match create::by_md5(api, request, &md5).await? {
        Asked::Hit(node) => Ok(Attempt::Hit {
            node,
            decided_by: vec![Kind::Md5],
        }),
        Asked::Miss(answer) => Ok(Attempt::Miss(upload::session_of(
            api, request, &md5, &answer,
        )?)),
    }
}
