//! Streamed uploads into the object store (sheet section 7): parts in order, one at a time, and
//! a callback that makes the file appear.

use std::future::Future;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::api::may_have_happened;
use super::door::{Door, Task};
use super::errors::judge;
use super::fast::{self, Outcome, find_uploaded, object, target_of};
use super::names::RULES;
use super::nodes::{self, Entry};
use super::write;
use crate::drive::{
    AccountEffect, Conversation, DriveError, ErrorKind, Node, NodeId, NodeKind, PartReceipt,
    Result, UploadRequest, UploadSession, decode, patience,
};
use crate::fingerprint::Kind;
use crate::net::{Retry, retry};
use crate::providers::oss::{OssCallback, OssCredentials, OssUpload};

/// 115 GiB are 7,360 of them; the store takes 10,000.
const PART_SIZE: u64 = 16 << 20;

/// What the journal keeps of an upload.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct State {
    /// The id, when the file exists already: the init found the content.
    done: Option<String>,
    parent: String,
    size: u64,
    sha1: String,
    pick_code: String,
    target: String,
    bucket: String,
    object: String,
    callback: String,
    callback_var: String,
    /// Empty for an empty file, which is put in one request at the end.
    upload_id: String,
}

impl State {
    fn of(session: &UploadSession) -> Result<State> {
        serde_json::from_value(session.state.clone())
            .map_err(|_| DriveError::new(ErrorKind::Invalid, "the upload session is unreadable"))
    }

    fn session(&self) -> UploadSession {
        UploadSession {
            state: json!(self),
            part_size: PART_SIZE,
            parallel: 1,
            accepted: Vec::new(),
            node: self.done.clone().map(NodeId::new),
        }
    }

    /// Takes over where the object goes and what the store tells 115 about it.
    fn adopt(&mut self, op: &str, data: &Value) -> Result<()> {
        let callback = object(&data["callback"]);
        let need = |value: &Value, what: &str| {
            decode::nonempty(value).ok_or_else(|| DriveError::bad_answer(op, format!("no {what}")))
        };
        self.bucket = need(&data["bucket"], "bucket")?;
        self.object = need(&data["object"], "object")?;
        self.callback = need(&callback["callback"], "callback")?;
        self.callback_var = need(&callback["callback_var"], "callback_var")?;
        Ok(())
    }

    fn callback(&self) -> OssCallback<'_> {
        OssCallback {
            callback: &self.callback,
            variables: &self.callback_var,
        }
    }
}

pub async fn open(
    door: &dyn Door,
    request: &UploadRequest,
    conversation: &Conversation<'_>,
) -> Result<UploadSession> {
    let sha1 = conversation.digest(Kind::Sha1).await?;
    fast::check(door, request, conversation).await?;
    match fast::ask(door, request, conversation, &sha1).await? {
        Outcome::Miss(data) => session_of(door, request, &sha1, &data).await,
        // Every upload begins with the question; here it was answered with yes.
        Outcome::Hit(node) => Ok(done_session(request, &sha1, node.id.as_str())),
        Outcome::Refused => Err(DriveError::new(
            ErrorKind::Provider,
            "upload_init: the proof of ownership was refused; the content does not fit its hash",
        )),
    }
}

/// A session in which nothing is left to send.
fn done_session(request: &UploadRequest, sha1: &str, id: &str) -> UploadSession {
    let mut session = State {
        done: Some(id.to_owned()),
        parent: request.parent.to_string(),
        size: request.size,
        sha1: sha1.to_owned(),
        ..State::default()
    }
    .session();
    session.accepted = (1..=session.part_count(request.size))
        .map(|number| {
            let range = session.part_range(request.size, number);
            PartReceipt {
                number,
                size: range.end - range.start,
                tag: String::new(),
            }
        })
        .collect();
    session
}

/// The session that the data of an init answer opens.
pub async fn session_of(
    door: &dyn Door,
    request: &UploadRequest,
    sha1: &str,
    data: &Value,
) -> Result<UploadSession> {
    let mut state = State {
        parent: request.parent.to_string(),
        size: request.size,
        sha1: sha1.to_owned(),
        pick_code: decode::text(&data["pick_code"]),
        target: decode::nonempty(&data["target"]).unwrap_or_else(|| target_of(request)),
        ..State::default()
    };
    state.adopt("upload_init", data)?;
    if request.size > 0 {
        state.upload_id = retry(patience(), || {
            // Without `sequential` the callback has no hash and 115 refuses the file.
            with_store(door, &state, |object, key| async move {
                object.initiate(&key, true).await
            })
        })
        .await?;
    }
    Ok(state.session())
}

pub async fn resume(
    door: &dyn Door,
    request: &UploadRequest,
    mut session: UploadSession,
) -> Result<Option<UploadSession>> {
    let mut state = State::of(&session)?;
    if let Some(id) = &state.done {
        return match nodes::stat(door, &NodeId::new(id.as_str())).await {
            Ok(_) => Ok(Some(session)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
    }
    let size = state.size.to_string();
    let fileid = state.sha1.to_ascii_uppercase();
    let task = Task {
        pick_code: &state.pick_code,
        target: &state.target,
        sha1: &fileid,
        size: &size,
    };
    let answer = door.upload_task(&task).await;
    let (bucket, key) = (state.bucket.clone(), state.object.clone());
    match answer {
        // The old callback stays when the answer brings none.
        Ok(answer) => {
            let mut fresh = state.clone();
            if fresh.adopt("upload_resume", object(&answer)).is_ok() {
                state = fresh;
            }
        }
        Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Invalid) => {
            return gone(door, request, &state).await;
        }
        // An unknown refusal of the task is no reason to give up parts that the store has.
        Err(error) if error.kind == ErrorKind::Provider && error.code.is_some() => {}
        Err(error) => return Err(error),
    }
    if (&bucket, &key) != (&state.bucket, &state.object) {
        return gone(door, request, &state).await;
    }
    session.accepted.clear();
    if !state.upload_id.is_empty() {
        let listed = retry(patience(), || {
            with_store(door, &state, |object, key| {
                let id = state.upload_id.clone();
                async move { object.list_parts(&key, &id).await }
            })
        })
        .await;
        let parts = match listed {
            Ok(parts) => parts,
            Err(error) if error.kind == ErrorKind::NotFound => {
                return gone(door, request, &state).await;
            }
            Err(error) => return Err(error),
        };
        for (number, part) in (1_u32..).zip(&parts) {
            let range = session.part_range(state.size, number);
            if part.number != number || part.size != range.end - range.start {
                // Another layout, or a gap that a sequential upload cannot have.
                return Ok(None);
            }
        }
        session.accepted = parts;
    }
    session.state = json!(state);
    Ok(Some(session))
}

/// An upload that the server does not know any more: perhaps because it is complete.
async fn gone(
    door: &dyn Door,
    request: &UploadRequest,
    state: &State,
) -> Result<Option<UploadSession>> {
    let found = find_uploaded(door, request, &state.sha1).await?;
    Ok(found.map(|node| done_session(request, &state.sha1, node.id.as_str())))
}

pub async fn put_part(
    door: &dyn Door,
    session: &UploadSession,
    number: u32,
    bytes: Bytes,
) -> Result<PartReceipt> {
    let state = State::of(session)?;
    if state.done.is_some() || state.upload_id.is_empty() {
        return Ok(PartReceipt {
            number,
            size: bytes.len() as u64,
            tag: String::new(),
        });
    }
    with_store(door, &state, |object, key| {
        let (id, bytes) = (state.upload_id.clone(), bytes.clone());
        async move { object.put_part(&key, &id, number, bytes).await }
    })
    .await
}

pub async fn commit(
    door: &dyn Door,
    request: &UploadRequest,
    session: &UploadSession,
    conversation: &Conversation<'_>,
) -> Result<Node> {
    let state = State::of(session)?;
    if let Some(id) = &state.done {
        return nodes::stat(door, &NodeId::new(id.as_str())).await;
    }
    let answered = async {
        if state.upload_id.is_empty() {
            return with_store(door, &state, |object, key| {
                let state = &state;
                async move {
                    let callback = Some(state.callback());
                    object.put_object(&key, Bytes::new(), callback).await
                }
            })
            .await;
        }
        let parts = parts_of(door, session, &state).await?;
        with_store(door, &state, |object, key| {
            let (state, parts) = (&state, &parts);
            async move {
                let callback = Some(state.callback());
                object
                    .complete(&key, &state.upload_id, parts, callback)
                    .await
            }
        })
        .await
    }
    .await;
    let error = match answered {
        Ok(body) => match judge("commit", 200, &HeaderMap::new(), &body) {
            Ok(answer) => match finished(door, request, &state, object(&answer["data"])).await {
                Err(error) if error.kind == ErrorKind::BadAnswer => error,
                other => return other,
            },
            Err(error) => error.retry(Retry::Never).effect(AccountEffect::None),
        },
        Err(error) => error,
    };
    let unheard = error.code.as_deref() == Some("CallbackFailed");
    let complete = matches!(error.kind, ErrorKind::NotFound | ErrorKind::Exists);
    if !(unheard || complete || may_have_happened(&error)) {
        return Err(error);
    }
    // An earlier commit may have succeeded without our hearing of it.
    if let Some(node) = find_uploaded(door, request, &state.sha1).await? {
        return Ok(node);
    }
    if unheard || complete {
        // 115 has the object but was not told: the question is usually a hit now (7.4).
        if let Ok(Outcome::Hit(node)) = fast::ask(door, request, conversation, &state.sha1).await {
            return Ok(node);
        }
    }
    Err(error)
}

/// The receipts of every part: the session's, or the store's where some are missing.
async fn parts_of(
    door: &dyn Door,
    session: &UploadSession,
    state: &State,
) -> Result<Vec<PartReceipt>> {
    let complete = |parts: &[PartReceipt]| {
        parts.iter().all(|part| !part.tag.is_empty())
            && parts.iter().map(|part| part.size).sum::<u64>() == state.size
            && parts.len() == session.part_count(state.size) as usize
    };
    if complete(&session.accepted) {
        return Ok(session.accepted.clone());
    }
    let parts = retry(patience(), || {
        with_store(door, state, |object, key| async move {
            object.list_parts(&key, &state.upload_id).await
        })
    })
    .await?;
    if complete(&parts) {
        Ok(parts)
    } else {
        Err(DriveError::new(
            ErrorKind::Verification,
            format!("the store has {} parts, not all of the file", parts.len()),
        ))
    }
}

/// The node that the callback's answer tells of (section 7.4).
async fn finished(
    door: &dyn Door,
    request: &UploadRequest,
    state: &State,
    data: &Value,
) -> Result<Node> {
    let id = decode::nonempty(&data["file_id"])
        .filter(|id| id != "0")
        .ok_or_else(|| DriveError::bad_answer("commit", "no file_id"))?;
    let sha1 = decode::nonempty(&data["sha1"]).unwrap_or_else(|| state.sha1.clone());
    let size = decode::unsigned(&data["file_size"]).unwrap_or(state.size);
    if !sha1.eq_ignore_ascii_case(&state.sha1) || size != state.size {
        write::trash_id(door, &NodeId::new(id), &request.parent).await?;
        return Err(DriveError::new(
            ErrorKind::Verification,
            "commit: the provider stored other bytes than were hashed; they are in its trash",
        ));
    }
    let modified = match nodes::seconds(&data["file_ptime"]) {
        0 => door.client().clock().now_ms(),
        time => time,
    };
    let name = match decode::nonempty(&data["file_name"]) {
        Some(name) => name,
        None => RULES.encode(&request.name)?,
    };
    Ok(nodes::build(Entry {
        id,
        parent: request.parent.clone(),
        name: &name,
        kind: NodeKind::File,
        size,
        modified,
        created: modified,
        sha1: &sha1,
        handle: decode::nonempty(&data["pick_code"]),
        raw: None,
    }))
}

pub async fn abandon(door: &dyn Door, session: &UploadSession) -> Result<()> {
    let state = State::of(session)?;
    if let Some(id) = &state.done {
        let (id, parent) = (NodeId::new(id.as_str()), NodeId::new(state.parent.as_str()));
        return write::trash_id(door, &id, &parent).await;
    }
    if state.upload_id.is_empty() {
        return Ok(());
    }
    retry(patience(), || {
        with_store(door, &state, |object, key| {
            let id = state.upload_id.clone();
            async move { object.abort(&key, &id).await.map(drop) }
        })
    })
    .await
}

/// Runs `work` on the object with a session key, once more with a new one when it is refused.
async fn with_store<T, F, Fut>(door: &dyn Door, state: &State, work: F) -> Result<T>
where
    F: Fn(OssUpload, OssCredentials) -> Fut,
    Fut: Future<Output = Result<T>>,
{
    let mut renewed = false;
    loop {
        let store = door.keys().current(door).await?;
        let object = OssUpload::new(
            door.client().clone(),
            &store.endpoint,
            &state.bucket,
            &state.object,
        )?;
        match work(object, store.credentials.clone()).await {
            Err(error) if error.account == AccountEffect::Refresh => {
                door.keys().forget(&store).await;
                if renewed {
                    return Err(error.effect(AccountEffect::None));
                }
                renewed = true;
            }
            other => return other,
        }
    }
}

#[cfg(test)]
#[path = "upload_tests.rs"]
mod tests;
