//! Streamed uploads (sheet section 7): the gcid comes first, the bytes go to the object store with
//! the session key of the create call, and the service then makes the pending entry a file.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::api::Api;
use super::create::{COMMIT, Created, EMPTY_GCID, Pending, create, remove, wait_whole};
use super::fast::is_trusted;
use super::list;
use super::s3::Object;
use super::session::{self, Key};
use crate::drive::{
    AccountEffect, Conversation, DriveError, ErrorKind, Node, NodeId, PartReceipt, Result,
    UploadRequest, UploadSession, decode, patience,
};
use crate::fingerprint::Kind;
use crate::net::retry;

const MIB: u64 = 1 << 20;

/// The size of a part: the store wants 5 MiB at least and 10,000 parts at most (section 7). What
/// fits into one goes in one request.
const PART: u64 = 8 * MIB;

/// Larger parts only where 9,000 would not suffice.
fn part_size(size: u64) -> u64 {
    PART.max(size.div_ceil(9000).div_ceil(MIB) * MIB)
}

pub async fn open(
    api: &Api,
    request: &UploadRequest,
    conversation: &Conversation<'_>,
) -> Result<UploadSession> {
    let gcid = if request.size == 0 {
        EMPTY_GCID.to_owned()
    } else {
        let gcid = conversation.digest(Kind::Gcid).await?;
        if !is_trusted(conversation, &gcid) {
            // The service keeps what it is told (section 5): a wrong gcid would answer later
            // questions of everybody with other bytes.
            return Err(DriveError::new(
                ErrorKind::OverBudget(request.size),
                "an upload needs a gcid computed from the bytes, this one is only claimed",
            ));
        }
        gcid
    };
    match create(api, request, &gcid).await? {
        Created::Pending(pending) => session_of(api, request, pending).await,
        Created::Whole(node) => Ok(UploadSession {
            state: json!({ "file_id": node.id.as_str(), "whole": true }),
            part_size: request.size.max(1),
            parallel: 1,
            accepted: vec![receipt(1, request.size)],
            node: Some(node.id),
        }),
    }
}

/// The session of a pending entry. When it cannot be opened the entry is removed.
pub async fn session_of(
    api: &Api,
    request: &UploadRequest,
    pending: Pending,
) -> Result<UploadSession> {
    match begin(api, request, &pending).await {
        Ok(session) => Ok(session),
        Err(error) => {
            session::forget(api, &pending.file_id, false).await?;
            remove(api, &pending.file_id, pending.task_id.as_deref()).await?;
            Err(error)
        }
    }
}

async fn begin(api: &Api, request: &UploadRequest, pending: &Pending) -> Result<UploadSession> {
    let params = &pending.params;
    let key = Key::read(params, api.now())?;
    let mut state = json!({
        "file_id": pending.file_id,
        "task_id": pending.task_id,
        "endpoint": params["endpoint"],
        "bucket": params["bucket"],
        "key": params["key"],
    });
    let store = object(api, &state)?;
    let single = request.size <= PART;
    if !single {
        let id = retry(patience(), || store.initiate(&key.credentials)).await;
        state["upload_id"] = json!(id.map_err(ended)?);
    }
    session::keep(api, &pending.file_id, key, !single).await?;
    Ok(UploadSession {
        state,
        part_size: if single {
            request.size.max(1)
        } else {
            part_size(request.size)
        },
        parallel: if single { 1 } else { 4 },
        accepted: Vec::new(),
        node: Some(NodeId::new(pending.file_id.as_str())),
    })
}

pub async fn resume(
    api: &Api,
    request: &UploadRequest,
    mut session: UploadSession,
) -> Result<Option<UploadSession>> {
    let file_id = text_of(&session, "file_id")?;
    let file = match list::raw_stat(api, &NodeId::new(file_id.as_str())).await {
        Ok(file) if !decode::flag(&file["trashed"]) => file,
        Ok(_) => {
            abandon(api, &session).await?;
            return Ok(None);
        }
        Err(error) if error.kind == ErrorKind::NotFound => {
            abandon(api, &session).await?;
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    session.accepted.clear();
    if list::is_complete(&file) {
        return Ok(Some(finished(request, session)));
    }
    let Some(key) = session::find(api, &file_id).await? else {
        // No call renews a key (section 7). The entry goes, so that its name is free.
        abandon(api, &session).await?;
        return Ok(None);
    };
    let Some(upload_id) = decode::nonempty(&session.state["upload_id"]) else {
        return Ok(Some(session));
    };
    let store = object(api, &session.state)?;
    let parts = retry(patience(), || {
        store.list_parts(&key.credentials, &upload_id)
    })
    .await;
    match parts.map_err(ended) {
        Ok(parts) => {
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
            match wait_whole(api, &file_id, None, SHORT).await {
                Ok(_) => Ok(Some(finished(request, session))),
                Err(error) if matches!(error.kind, ErrorKind::Network | ErrorKind::Auth) => {
                    Err(error)
                }
                Err(_) => {
                    abandon(api, &session).await?;
                    Ok(None)
                }
            }
        }
        Err(error) => Err(error),
    }
}

/// How long an upload that may have been joined earlier is given to show up.
const SHORT: Duration = Duration::from_secs(20);

/// How long an upload whose callback failed is given to show up all the same.
const UNHEARD: Duration = Duration::from_secs(3);

/// Pause before the one more try after a failed callback.
const AGAIN: Duration = Duration::from_secs(1);

/// The session of a file that is whole: nothing is left to send.
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
    let file_id = text_of(session, "file_id")?;
    let key = session::find(api, &file_id).await?.ok_or_else(over)?;
    let store = object(api, &session.state)?;
    if let Some(upload_id) = decode::nonempty(&session.state["upload_id"]) {
        let put = || store.put_part(&key.credentials, &upload_id, number, bytes.clone());
        return retry(patience(), put).await.map_err(ended);
    }
    let put = || store.put(&key.credentials, bytes.clone());
    let error = match retry(patience(), put).await {
        Ok(_) => return Ok(receipt(number, size)),
        Err(error) => error,
    };
    // The first of two tries may have done it, with its answer lost.
    if arrived(api, &file_id).await {
        return Ok(receipt(number, size));
    }
    if !is_unheard(&error) {
        return Err(ended(error));
    }
    // The bytes are stored, the service was not reached: the same object once more tells it again.
    tokio::time::sleep(AGAIN).await;
    match store.put(&key.credentials, bytes).await {
        Ok(_) => Ok(receipt(number, size)),
        Err(error) if !is_unheard(&error) => Err(ended(error)),
        Err(_) => match wait_whole(api, &file_id, None, UNHEARD).await {
            Ok(_) => Ok(receipt(number, size)),
            Err(_) => Err(not_taken(api, session).await),
        },
    }
}

/// Whether the object is stored but the store's callback to the service failed (HTTP 203).
fn is_unheard(error: &DriveError) -> bool {
    error.code.as_deref() == Some("CallbackFailed")
}

async fn arrived(api: &Api, file_id: &str) -> bool {
    let file = list::raw_stat(api, &NodeId::new(file_id)).await;
    file.is_ok_and(|file| list::is_complete(&file))
}

/// The end of an upload whose callback failed twice. No call makes the service look for the object
/// (section 7), so the pending entry goes and the next attempt starts anew.
async fn not_taken(api: &Api, session: &UploadSession) -> DriveError {
    if let Err(error) = abandon(api, session).await {
        tracing::warn!(%error, "an upload that the provider did not take was not cleaned up");
    }
    DriveError::new(
        ErrorKind::Provider,
        "the object store has the whole upload, but Xunlei did not take it over (its callback \
         failed twice); the upload starts anew",
    )
    .code("CallbackFailed")
}

pub async fn commit(api: &Api, request: &UploadRequest, session: &UploadSession) -> Result<Node> {
    let file_id = text_of(session, "file_id")?;
    let upload_id = decode::nonempty(&session.state["upload_id"]);
    let mut limit = COMMIT;
    let mut unheard = false;
    if let Some(upload_id) = upload_id.as_deref().filter(|_| !is_whole(session)) {
        let joined = match session::find(api, &file_id).await? {
            Some(key) => join(api, request, session, &key, upload_id).await,
            None => Err(over()),
        };
        match joined {
            Ok(()) => {}
            // An earlier commit did it, and its answer was lost: the file itself decides.
            Err(error) if error.kind == ErrorKind::NotFound => limit = SHORT,
            Err(error) if is_unheard(&error) => {
                limit = UNHEARD;
                unheard = true;
            }
            Err(error) => return Err(error),
        }
    }
    let task = decode::nonempty(&session.state["task_id"]);
    let file = match wait_whole(api, &file_id, task.as_deref(), limit).await {
        Err(error)
            if unheard
                && matches!(
                    error.kind,
                    ErrorKind::Timeout | ErrorKind::NotFound | ErrorKind::Provider
                ) =>
        {
            return Err(not_taken(api, session).await);
        }
        waited => waited?,
    };
    // The file is there; a key left behind in the store ends by itself.
    if let Err(error) = session::forget(api, &file_id, upload_id.is_some()).await {
        tracing::warn!(%error, "the key of a finished upload was not removed");
    }
    list::node(&file, Some(&request.parent))
}

async fn join(
    api: &Api,
    request: &UploadRequest,
    session: &UploadSession,
    key: &Key,
    upload_id: &str,
) -> Result<()> {
    let store = object(api, &session.state)?;
    let count = session.part_count(request.size);
    let mut parts = session.accepted.clone();
    parts.sort_by_key(|part| part.number);
    parts.dedup_by_key(|part| part.number);
    let all = |parts: &[PartReceipt]| {
        parts.iter().map(|part| part.number).eq(1..=count)
            && parts.iter().all(|part| !part.tag.is_empty())
    };
    if !all(&parts) {
        let list = || store.list_parts(&key.credentials, upload_id);
        parts = retry(patience(), list).await.map_err(ended)?;
        if !all(&parts) {
            return Err(DriveError::new(
                ErrorKind::Invalid,
                format!("the object store has {} of {count} parts", parts.len()),
            ));
        }
    }
    let complete = || store.complete(&key.credentials, upload_id, &parts);
    match retry(patience(), complete).await {
        Ok(_) => Ok(()),
        Err(error) if is_unheard(&error) => {
            if arrived(api, &text_of(session, "file_id")?).await {
                return Ok(());
            }
            // Joining once more tells the service again, where the store still has the parts.
            tokio::time::sleep(AGAIN).await;
            match store.complete(&key.credentials, upload_id, &parts).await {
                Ok(_) => Ok(()),
                // Joined already: the callback is not repeated.
                Err(again) if again.kind == ErrorKind::NotFound => Err(error),
                Err(again) => Err(ended(again)),
            }
        }
        Err(error) => Err(ended(error)),
    }
}

pub async fn abandon(api: &Api, session: &UploadSession) -> Result<()> {
    let file_id = text_of(session, "file_id")?;
    let task = decode::nonempty(&session.state["task_id"]);
    let upload_id = decode::nonempty(&session.state["upload_id"]);
    remove(api, &file_id, task.as_deref()).await?;
    // Without a key the parts cannot be dropped; the store does it some day.
    if let (Some(upload_id), Some(key)) = (&upload_id, session::find(api, &file_id).await?) {
        let store = object(api, &session.state)?;
        let abort = || store.abort(&key.credentials, upload_id);
        match retry(patience(), abort).await.map_err(ended) {
            Err(error) if error.kind != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    session::forget(api, &file_id, upload_id.is_some()).await
}

/// The object of a session. With an overridden store its address takes the place of the
/// endpoint the service named.
fn object(api: &Api, state: &Value) -> Result<Object> {
    let named = decode::text(&state["endpoint"]);
    let endpoint = api.oss.as_deref().unwrap_or(&named);
    Object::new(
        api.client.clone(),
        endpoint,
        &decode::text(&state["bucket"]),
        &decode::text(&state["key"]),
    )
}

fn is_whole(session: &UploadSession) -> bool {
    decode::flag(&session.state["whole"])
}

fn receipt(number: u32, size: u64) -> PartReceipt {
    PartReceipt {
        number,
        size,
        tag: String::new(),
    }
}

/// A refused session key is the end of the session: nothing renews it (section 7).
fn ended(error: DriveError) -> DriveError {
    if error.account == AccountEffect::Refresh {
        over()
    } else {
        error
    }
}

fn over() -> DriveError {
    DriveError::new(
        ErrorKind::NotFound,
        "the upload session is over; the upload starts anew",
    )
}

fn text_of(session: &UploadSession, key: &str) -> Result<String> {
    decode::nonempty(&session.state[key])
        .ok_or_else(|| DriveError::new(ErrorKind::Invalid, format!("the session has no {key}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::OnConflict;

    #[test]
    fn parts_stay_within_the_limits_of_the_store() {
        for size in [PART + 1, 72_000 * MIB, 100 << 30, 2 << 40] {
            let part = part_size(size);
            assert!(part >= 8 * MIB && part.is_multiple_of(MIB));
            assert!(size.div_ceil(part) <= 9000, "{size}");
        }
        assert_eq!(part_size(PART + 1), 8 * MIB);
        assert_eq!(part_size(72_000 * MIB + 1), 9 * MIB);
    }

    #[test]
    fn a_finished_session_has_nothing_left_to_send() {
        let request = UploadRequest {
            parent: NodeId::new("root"),
            name: "a".to_owned(),
            size: 20 * MIB,
            modified: None,
            on_conflict: OnConflict::Refuse,
        };
        let session = UploadSession {
            state: json!({ "file_id": "V", "upload_id": "U" }),
            part_size: 8 * MIB,
            parallel: 4,
            accepted: Vec::new(),
            node: None,
        };
        let session = finished(&request, session);
        let sizes: Vec<u64> = session.accepted.iter().map(|part| part.size).collect();
        assert_eq!(sizes, [8 * MIB, 8 * MIB, 4 * MIB]);
        assert!(is_whole(&session));
    }

    #[test]
    fn a_refused_key_ends_the_session() {
        let refused = DriveError::new(ErrorKind::Auth, "x").effect(AccountEffect::Refresh);
        assert_eq!(ended(refused).kind, ErrorKind::NotFound);
        let other = DriveError::new(ErrorKind::Auth, "x");
        assert_eq!(ended(other).kind, ErrorKind::Auth);
    }
}
