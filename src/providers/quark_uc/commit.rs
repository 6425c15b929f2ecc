//! The end of an upload (sheet quark, 7.3 and 7.4): the hashes, the list of parts, the finish
//! call. Each may have been done by an earlier commit whose answer was lost, so that what fails
//! is followed by a look at the file itself.

use bytes::Bytes;
use serde_json::json;

use super::api::{Api, Call};
use super::chain::etag_of;
use super::error::may_be_done;
use super::fast;
use super::list;
use super::names::RULES;
use super::store::{self, Completed};
use super::taken::exists;
use super::upload::Ticket;
use super::write::{self, Outcome};
use crate::drive::{
    Conversation, DriveError, ErrorKind, Node, NodeId, NodeKind, Result, UploadRequest,
    UploadSession, decode,
};

pub async fn commit(
    api: &Api,
    request: &UploadRequest,
    session: &UploadSession,
    conversation: &Conversation<'_>,
) -> Result<Node> {
    let ticket = Ticket::read(session)?;
    let stored = RULES.encode(&request.name)?;
    let fid = ticket.node_id();
    if ticket.whole {
        let id = fid.ok_or_else(over)?;
        return settle(api, request, id).await;
    }
    // Before anything becomes visible: the service would append a number.
    let holder = api.taken.holder(api, &request.parent, &stored, None);
    match holder.await? {
        Some(id) if Some(&id) == fid.as_ref() => return settle(api, request, id).await,
        Some(_) => {
            if let Some(node) = committed(api, request, &ticket).await? {
                write::trash(api, &node).await?;
            }
            return Err(exists(&request.name));
        }
        None => {}
    }
    match finish(api, request, session, &ticket, conversation).await {
        Ok(id) => settle(api, request, id).await,
        Err(error) if matters(&error) => match committed(api, request, &ticket).await {
            Ok(Some(node)) => settle(api, request, node.id).await,
            _ => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// Whether an error may come of an upload that was finished before.
fn matters(error: &DriveError) -> bool {
    may_be_done(error) || matches!(error.kind, ErrorKind::NotFound | ErrorKind::Invalid)
}

async fn finish(
    api: &Api,
    request: &UploadRequest,
    session: &UploadSession,
    ticket: &Ticket,
    conversation: &Conversation<'_>,
) -> Result<NodeId> {
    let fid = ticket.node_id();
    let digests = fast::digests(request.size, conversation).await?;
    if !digests.trusted {
        return Err(DriveError::new(
            ErrorKind::OverBudget(request.size),
            "an upload needs hashes computed from the bytes, these are only claimed",
        ));
    }
    let asked = ticket
        .asked
        .as_ref()
        .is_some_and(|(md5, sha1)| *md5 == digests.md5 && *sha1 == digests.sha1);
    // At least once before the end, or the store does not know the upload (section 6).
    if !asked && let Some(id) = fast::tell(api, &ticket.task_id, &digests, fid.as_ref()).await? {
        return Ok(id);
    }
    let etags = etags(api, request, session, ticket).await?;
    let completed = store::complete(api, ticket, &etags).await?;
    let body = json!({ "obj_key": ticket.key, "task_id": ticket.task_id });
    let call = Call::post("finish", "/file/upload/finish", body);
    let answer = match api.call(call).await {
        Ok(answer) => answer,
        Err(_) if completed == Completed::Gone => return Err(over()),
        Err(error) => return Err(error),
    };
    api.chains.forget(&ticket.upload_id);
    decode::nonempty(&answer["data"]["fid"])
        .map(NodeId::new)
        .or(fid)
        .ok_or_else(|| DriveError::bad_answer("finish", "no fid"))
}

/// The ETags of all parts, in order.
async fn etags(
    api: &Api,
    request: &UploadRequest,
    session: &UploadSession,
    ticket: &Ticket,
) -> Result<Vec<(u32, String)>> {
    if request.size == 0 {
        // The service does not know the empty file, of all things: its one part goes now.
        let etag = store::put_part(api, ticket, 1, None, Bytes::new()).await?;
        return Ok(vec![(1, etag)]);
    }
    let count = session.part_count(request.size);
    let mut etags: Vec<(u32, String)> = session
        .accepted
        .iter()
        .map(|part| (part.number, etag_of(&part.tag).to_owned()))
        .filter(|(_, etag)| !etag.is_empty())
        .collect();
    etags.sort();
    etags.dedup_by_key(|(number, _)| *number);
    if !etags.iter().map(|(number, _)| *number).eq(1..=count) {
        return Err(DriveError::new(
            ErrorKind::Invalid,
            format!("{} of {count} parts were sent", etags.len()),
        ));
    }
    Ok(etags)
}

/// The file of an upload, when it is there: its answer was lost.
pub async fn committed(
    api: &Api,
    request: &UploadRequest,
    ticket: &Ticket,
) -> Result<Option<Node>> {
    let Some(id) = ticket.node_id() else {
        return Ok(None);
    };
    match list::stat(api, &id).await {
        Ok(node) if !node.is_dir() && node.size == request.size => Ok(Some(node)),
        Ok(_) => Ok(None),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The new file, looked at. One whose name came out with a number is trashed.
pub async fn settle(api: &Api, request: &UploadRequest, id: NodeId) -> Result<Node> {
    let stored = RULES.encode(&request.name)?;
    let now = api.now();
    let expected = Node {
        version: id.to_string(),
        id,
        parent: request.parent.clone(),
        name: request.name.clone(),
        kind: NodeKind::File,
        size: request.size,
        modified: now,
        created: now,
        ..list::root()
    };
    match write::outcome(api, expected).await? {
        Outcome::Named(node) if node.size != request.size => {
            write::trash(api, &node).await?;
            Err(DriveError::new(
                ErrorKind::Verification,
                format!("the provider has {} bytes of {}", node.size, request.size),
            ))
        }
        Outcome::Named(node) => {
            api.parents.insert(node.id.clone(), node.parent.clone());
            api.taken.made(&request.parent, &stored, &node.id);
            Ok(node)
        }
        Outcome::Numbered(node) => {
            write::trash(api, &node).await?;
            Err(exists(&request.name))
        }
    }
}

fn over() -> DriveError {
    DriveError::new(
        ErrorKind::NotFound,
        "the upload session is over; the upload starts anew",
    )
}
