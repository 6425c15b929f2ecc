//! Streamed uploads (sheet section 7): bytes go to the object store with the key of an upload
//! task, and the task then yields the file.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::api::Api;
use super::grant::{Access, Grant, access};
use super::ticket::{
    Asked, Hashes, LONGEST, SETTLE, State, Ticket, ask, confirm, discard, look, undo,
};
use crate::drive::{
    AccountEffect, DriveError, ErrorKind, Node, PartReceipt, Result, UploadRequest, UploadSession,
    decode, patience,
};
use crate::net::{Retry, retry};
use crate::providers::oss::{OssCredentials, OssUpload};

const MIB: u64 = 1 << 20;

/// A file of one part is one request.
const SINGLE: u64 = MIB;

/// Parts in flight (section 7, recommended).
const PARALLEL: usize = 3;

/// How long an upload that may have been joined earlier is given to show up.
const SHORT: Duration = Duration::from_secs(60);

/// The tiers that section 7 recommends, larger only where 9,000 parts would not suffice.
fn part_size(size: u64) -> u64 {
    const GIB: u64 = 1 << 30;
    let tier = match size {
        _ if size <= 100 * MIB => MIB,
        _ if size <= GIB => 2 * MIB,
        _ if size <= 10 * GIB => 4 * MIB,
        _ => 16 * MIB,
    };
    tier.max(size.div_ceil(9000).div_ceil(MIB).saturating_mul(MIB))
}

/// Opens an upload without a hash: that is the question of a fast upload, and one whose hit came to
/// nothing must not be asked again in its place.
pub async fn open(api: &Api, request: &UploadRequest) -> Result<UploadSession> {
    match ask(api, request, Hashes::default()).await? {
        Asked::Open(ticket) => session_of(api, request, ticket).await,
        Asked::Instant(task) => Ok(UploadSession {
            state: json!({ "task_id": task, "size": request.size, "whole": true }),
            part_size: request.size.max(1),
            parallel: 1,
            accepted: vec![receipt(1, request.size)],
            node: None,
        }),
        Asked::Made(_) => Err(DriveError::bad_answer(
            "upload_token",
            "a file without a hash",
        )),
    }
}

/// The session of an upload task. When it cannot be opened the task is removed.
pub async fn session_of(
    api: &Api,
    request: &UploadRequest,
    ticket: Ticket,
) -> Result<UploadSession> {
    match begin(api, request, &ticket).await {
        Ok(session) => Ok(session),
        Err(error) => {
            if let Err(left) = discard(api, &ticket.task).await {
                tracing::warn!(task = ticket.task, error = %left, "an upload task is left at the provider");
            }
            Err(error)
        }
    }
}

async fn begin(api: &Api, request: &UploadRequest, ticket: &Ticket) -> Result<UploadSession> {
    let grant = Grant::read(&ticket.data, None, api.now())?;
    let mut state = json!({
        "task_id": ticket.task,
        "size": request.size,
        // A number or a text: it is told back as it came (section 6.2).
        "provider": ticket.data["provider"],
    });
    grant.place().store(&mut state);
    api.grants.insert(ticket.task.clone(), grant);
    let single = request.size <= SINGLE;
    if !single {
        let begun = store(api, &state, |object, key| async move {
            object.initiate(&key, false).await
        });
        let id = begun.await?.ok_or_else(|| {
            DriveError::bad_answer("upload_token", "a task without a key, and without a file")
        })?;
        state["upload_id"] = json!(id);
    } else {
        api.untouched.insert(ticket.task.clone(), ());
    }
    Ok(UploadSession {
        state,
        part_size: match single {
            true => request.size.max(1),
            false => part_size(request.size),
        },
        parallel: if single { 1 } else { PARALLEL },
        accepted: Vec::new(),
        node: None,
    })
}

/// Does something at the object store, once more with another key when the first is refused.
/// `None`: the service has the content by now, and nothing is to be done.
async fn store<T, F, Fut>(api: &Api, state: &Value, work: F) -> Result<Option<T>>
where
    F: Fn(OssUpload, OssCredentials) -> Fut,
    Fut: Future<Output = Result<T>>,
{
    let mut refused: Option<Grant> = None;
    loop {
        let grant = match access(api, state, refused.as_ref()).await? {
            Access::Open(grant) => grant,
            Access::Whole => return Ok(None),
        };
        let object = grant.object(api)?;
        let done = retry(patience(), || {
            work(object.clone(), grant.credentials.clone())
        });
        match done.await {
            Err(error) if error.account == AccountEffect::Refresh => {
                if refused.is_some() {
                    // Not our login: that the store takes no key is no reason to refresh it.
                    return Err(error.effect(AccountEffect::None));
                }
                refused = Some(grant);
            }
            done => return done.map(Some),
        }
    }
}

pub async fn resume(
    api: &Api,
    request: &UploadRequest,
    mut session: UploadSession,
) -> Result<Option<UploadSession>> {
    let task = task_of(&session)?;
    session.accepted.clear();
    if is_whole(&session) {
        return match look(api, &task).await? {
            State::Gone(_) => Ok(None),
            _ => Ok(Some(finished(request, session))),
        };
    }
    let key = access(api, &session.state, None).await;
    match key {
        Ok(Access::Whole) => return Ok(Some(finished(request, session))),
        Ok(Access::Open(grant)) => grant.place().store(&mut session.state),
        Err(error) if is_final(&error) => {
            // Done, or gone: the task itself says.
            if let State::Done(_) = look(api, &task).await? {
                return Ok(Some(finished(request, session)));
            }
            discard(api, &task).await?;
            return Ok(None);
        }
        Err(error) => return Err(error),
    }
    let Some(upload_id) = upload_id(&session) else {
        return Ok(Some(session));
    };
    match list_parts(api, &session.state, &upload_id).await {
        Ok(None) => Ok(Some(finished(request, session))),
        Ok(Some(parts)) => {
            for part in parts {
                let range = session.part_range(request.size, part.number);
                // A part of another size is sent again; the store replaces it.
                if part.number > 0 && part.size == range.end - range.start && part.size > 0 {
                    session.accepted.push(part);
                }
            }
            Ok(Some(session))
        }
        // Joined already, perhaps, and the service is not through with it.
        Err(error) if error.kind == ErrorKind::NotFound => {
            match confirm(api, request, &task, SHORT).await {
                Ok(_) => Ok(Some(finished(request, session))),
                Err(error) if matches!(error.kind, ErrorKind::Network | ErrorKind::Auth) => {
                    Err(error)
                }
                Err(_) => {
                    // It was waited for.
                    undo(api, &task, Duration::ZERO).await?;
                    Ok(None)
                }
            }
        }
        Err(error) => Err(error),
    }
}

/// Whether the service refuses the task, whatever it calls that, and not us.
fn is_final(error: &DriveError) -> bool {
    use ErrorKind as K;
    error.retry == Retry::Never
        && !matches!(error.kind, K::Auth | K::Risk | K::Network | K::Timeout)
}

/// The session of content that the service has: nothing is left to send.
fn finished(request: &UploadRequest, mut session: UploadSession) -> UploadSession {
    session.state["whole"] = json!(true);
    session.accepted = (1..=session.part_count(request.size))
        .map(|number| {
            let range = session.part_range(request.size, number);
            receipt(number, range.end - range.start)
        })
        .collect();
    session
}

pub async fn put_part(
    api: &Api,
    session: &UploadSession,
    number: u32,
    bytes: Bytes,
) -> Result<PartReceipt> {
    let size = bytes.len() as u64;
    if is_whole(session) {
        return Ok(receipt(number, size));
    }
    let bytes = &bytes;
    let sent = match upload_id(session) {
        Some(upload_id) => {
            let upload_id = upload_id.as_str();
            store(api, &session.state, |object, key| async move {
                object
                    .put_part(&key, upload_id, number, bytes.clone())
                    .await
            })
            .await?
        }
        None => {
            api.untouched.invalidate(&task_of(session)?);
            store(api, &session.state, |object, key| async move {
                object.put_object(&key, bytes.clone(), None).await
            })
            .await?;
            None
        }
    };
    Ok(sent.unwrap_or_else(|| receipt(number, size)))
}

async fn list_parts(api: &Api, state: &Value, upload_id: &str) -> Result<Option<Vec<PartReceipt>>> {
    store(api, state, |object, key| async move {
        object.list_parts(&key, upload_id).await
    })
    .await
}

pub async fn commit(api: &Api, request: &UploadRequest, session: &UploadSession) -> Result<Node> {
    let task = task_of(session)?;
    let mut limit = LONGEST;
    if let Some(upload_id) = upload_id(session).filter(|_| !is_whole(session)) {
        // Without a key at hand we are a later process: an earlier one may have done it all.
        let known = api.grants.contains_key(&task);
        if !known && let State::Done(_) = look(api, &task).await? {
            limit = SHORT;
        } else {
            match join(api, request, session, &upload_id).await {
                Ok(()) => {}
                // An earlier commit did it, and its answer was lost: the task decides.
                Err(error) if error.kind == ErrorKind::NotFound => limit = SHORT,
                Err(error) => return Err(error),
            }
        }
    }
    let node = confirm(api, request, &task, limit).await?;
    api.grants.invalidate(&task);
    Ok(node)
}

async fn join(
    api: &Api,
    request: &UploadRequest,
    session: &UploadSession,
    upload_id: &str,
) -> Result<()> {
    let count = session.part_count(request.size);
    let mut parts = session.accepted.clone();
    parts.sort_by_key(|part| part.number);
    parts.dedup_by_key(|part| part.number);
    let all = |parts: &[PartReceipt]| {
        parts.iter().map(|part| part.number).eq(1..=count)
            && parts.iter().all(|part| !part.tag.is_empty())
    };
    if !all(&parts) {
        let Some(there) = list_parts(api, &session.state, upload_id).await? else {
            return Ok(());
        };
        parts = there;
        if !all(&parts) {
            return Err(DriveError::new(
                ErrorKind::Invalid,
                format!("the object store has {} of {count} parts", parts.len()),
            ));
        }
    }
    let parts = parts.as_slice();
    // Without a callback: the task looks for the object by itself (section 7).
    store(api, &session.state, |object, key| async move {
        object.complete(&key, upload_id, parts, None).await
    })
    .await?;
    Ok(())
}

pub async fn abandon(api: &Api, session: &UploadSession) -> Result<()> {
    let task = task_of(session)?;
    // What is stored as a whole is taken in by itself, whether the task is wanted or not. A small
    // file is whole with its only part, which an earlier process may have sent.
    let mut may_be_taken_in = !api.untouched.contains_key(&task);
    if let Some(upload_id) = upload_id(session).filter(|_| !is_whole(session)) {
        let upload_id = upload_id.as_str();
        let aborted = store(api, &session.state, |object, key| async move {
            object.abort(&key, upload_id).await
        });
        may_be_taken_in = match aborted.await {
            // Gone may mean joined.
            Ok(aborted) => aborted != Some(true),
            // Joined already, perhaps. Without a key the parts cannot be dropped; the store does it
            // some day.
            Err(error)
                if matches!(
                    error.kind,
                    ErrorKind::NotFound | ErrorKind::Invalid | ErrorKind::Auth
                ) =>
            {
                true
            }
            Err(error) => return Err(error),
        }
    }
    let patience = match may_be_taken_in {
        true => SETTLE,
        false => Duration::ZERO,
    };
    undo(api, &task, patience).await?;
    api.untouched.invalidate(&task);
    Ok(())
}

fn is_whole(session: &UploadSession) -> bool {
    decode::flag(&session.state["whole"])
}

fn upload_id(session: &UploadSession) -> Option<String> {
    decode::nonempty(&session.state["upload_id"])
}

fn receipt(number: u32, size: u64) -> PartReceipt {
    PartReceipt {
        number,
        size,
        tag: String::new(),
    }
}

fn task_of(session: &UploadSession) -> Result<String> {
    decode::nonempty(&session.state["task_id"])
        .ok_or_else(|| DriveError::new(ErrorKind::Invalid, "the session has no task_id"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::{NodeId, OnConflict};

    #[test]
    fn parts_follow_the_recommended_tiers() {
        for (size, mib) in [
            (2 * MIB, 1),
            (100 * MIB, 1),
            (100 * MIB + 1, 2),
            (1 << 30, 2),
            ((1 << 30) + 1, 4),
            (10 << 30, 4),
            ((10 << 30) + 1, 16),
            (2 << 40, 234),
        ] {
            assert_eq!(part_size(size), mib * MIB, "{size}");
            assert!(size.div_ceil(part_size(size)) <= 9000, "{size}");
        }
    }

    #[test]
    fn a_finished_session_has_nothing_left_to_send() {
        let request = UploadRequest {
            parent: NodeId::new("root"),
            name: "a".to_owned(),
            size: 2 * MIB + 5,
            modified: None,
            on_conflict: OnConflict::Refuse,
        };
        let session = UploadSession {
            state: json!({ "task_id": "T", "upload_id": "U" }),
            part_size: MIB,
            parallel: PARALLEL,
            accepted: Vec::new(),
            node: None,
        };
        let session = finished(&request, session);
        let sizes: Vec<u64> = session.accepted.iter().map(|part| part.size).collect();
        assert_eq!(sizes, [MIB, MIB, 5]);
        assert!(is_whole(&session));
    }
}
