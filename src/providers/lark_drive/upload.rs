//! Streamed uploads (sheet section 7): up to 20 MiB by one call, above by three steps.
//!
//! The one call also publishes the file. So its bytes wait in memory until the commit, and an
//! upload that is given up before leaves nothing behind.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::{Repeat, may_have_happened};
use super::api::Api;
use super::entry::{Entry, Kind};
use super::names::{self, RULES};
use super::{facts, list, made, write};
use crate::drive::{
    Conversation, DriveError, ErrorKind, Node, OnConflict, PartReceipt, Result, UploadRequest,
    UploadSession, decode, patience,
};
use crate::fingerprint::adler32;
use crate::net::{Deadlines, FormPart, Request, Retry, retry};

/// The largest file that goes by one call.
pub const SMALL: u64 = 20 << 20;
/// An upload lives for 24 hours (section 7.2); one that is nearly as old is not gone on with.
const LIFE_MS: i64 = 23 * 3_600_000;

/// What a session remembers.
pub struct State {
    /// Ours for a small file, the service's for a large one.
    pub id: String,
    /// Blocks that the finish names; `None` for a small file.
    pub blocks: Option<u64>,
    /// The file that is replaced.
    pub replaces: Option<String>,
    /// Its version before.
    pub before: String,
    /// When it was opened, milliseconds since the epoch.
    pub opened: i64,
}

impl State {
    /// Reads the state of a session.
    ///
    /// # Errors
    /// `Invalid` for one that is none of ours.
    pub fn of(session: &UploadSession) -> Result<State> {
        let state = &session.state;
        let id = decode::nonempty(&state["id"])
            .ok_or_else(|| DriveError::new(ErrorKind::Invalid, "the upload session has no id"))?;
        Ok(State {
            id,
            blocks: decode::unsigned(&state["blocks"]),
            replaces: decode::nonempty(&state["replaces"]),
            before: decode::text(&state["before"]),
            opened: decode::integer(&state["opened"]).unwrap_or(0),
        })
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id,
            "blocks": self.blocks,
            "replaces": self.replaces,
            "before": self.before,
            "opened": self.opened,
        })
    }
}

pub async fn open(
    api: &Api,
    request: &UploadRequest,
    conversation: &Conversation<'_>,
) -> Result<UploadSession> {
    let name = RULES.encode(&request.name)?;
    if request.size == 0 {
        return Err(DriveError::unsupported("an empty file"));
    }
    let opened = api.now_ms();
    let (replaces, before) = match request.on_conflict {
        OnConflict::Replace => replaced(api, request).await?,
        OnConflict::Refuse => {
            if !conversation.name_is_free() {
                list::refuse_taken(api, &request.parent, &request.name, None).await?;
            }
            (None, String::new())
        }
    };
    let mut state = State {
        id: uuid::Uuid::new_v4().simple().to_string(),
        blocks: None,
        replaces,
        before,
        opened,
    };
    let mut part_size = request.size;
    if request.size > SMALL {
        let prepared = prepare(api, request, &name, state.replaces.as_deref()).await?;
        part_size = prepared.block_size;
        state.id = prepared.upload_id;
        state.blocks = Some(prepared.blocks);
    }
    Ok(UploadSession {
        state: state.json(),
        part_size,
        // "Not concurrent" (section 7.2).
        parallel: 1,
        accepted: Vec::new(),
        node: None,
    })
}

/// The file that a replacement means, and its version: the one of this name, of several the one
/// that is shown under it, which is the newest. None of this name: a new file.
async fn replaced(api: &Api, request: &UploadRequest) -> Result<(Option<String>, String)> {
    let entries = list::all(api, &request.parent).await?;
    let Some(entry) = choose(&entries, &request.name) else {
        return Ok((None, String::new()));
    };
    match entry.kind {
        Kind::File => {}
        Kind::Folder => {
            return Err(DriveError::new(
                ErrorKind::Exists,
                format!("{:?} is a directory", request.name),
            ));
        }
        _ => super::entry::refuse_link(&entry.id(), "overwrite")?,
    }
    let facts = facts::of(api, &entry.token, entry.modified, entry.size).await?;
    Ok((Some(entry.token.clone()), facts.version))
}

/// Of the entries that `name` means the one that is shown under it.
fn choose<'a>(entries: &'a [Entry], name: &str) -> Option<&'a Entry> {
    let newest = |only_verbatim: bool| {
        entries
            .iter()
            .filter(|entry| names::means(entry, name, only_verbatim))
            .max_by(|a, b| {
                let by_time = a.modified.cmp(&b.modified);
                by_time.then_with(|| b.id().cmp(&a.id()))
            })
    };
    newest(true).or_else(|| newest(false))
}

struct Prepared {
    upload_id: String,
    block_size: u64,
    blocks: u64,
}

async fn prepare(
    api: &Api,
    request: &UploadRequest,
    name: &str,
    replaces: Option<&str>,
) -> Result<Prepared> {
    let mut body = json!({
        "file_name": name,
        "parent_type": "explorer",
        "parent_node": api.folder_token(&request.parent).await?,
        "size": request.size,
    });
    if let Some(token) = replaces {
        body["file_token"] = json!(token);
    }
    let call = api.post("upload_prepare", "upload", "/drive/v1/files/upload_prepare");
    // One that nobody hears of is invisible and dropped by the service after a day.
    let answer = api.call(Repeat::Safe, Api::json(call, &body)).await?;
    let upload_id = decode::nonempty(&answer["upload_id"]);
    let block_size = decode::unsigned(&answer["block_size"]).filter(|size| *size > 0);
    let blocks = decode::unsigned(&answer["block_num"]);
    let (Some(upload_id), Some(block_size), Some(blocks)) = (upload_id, block_size, blocks) else {
        return Err(DriveError::bad_answer(
            "upload_prepare",
            "fields are missing",
        ));
    };
    if blocks != request.size.div_ceil(block_size) || u32::try_from(blocks).is_err() {
        return Err(DriveError::bad_answer(
            "upload_prepare",
            format!("{blocks} blocks of {block_size} bytes for {}", request.size),
        ));
    }
    Ok(Prepared {
        upload_id,
        block_size,
        blocks,
    })
}

pub async fn resume(api: &Api, mut session: UploadSession) -> Result<Option<UploadSession>> {
    let state = State::of(&session)?;
    let age = api.now_ms().saturating_sub(state.opened);
    if age > LIFE_MS || api.ended.contains_key(&state.id) {
        return Ok(None);
    }
    if state.blocks.is_none() && api.parked.get(&state.id).is_none() {
        // The bytes were in the memory of a program that is gone. Whether its call was made,
        // the commit finds out.
        api.doubtful.insert(state.id, ());
        session.accepted.clear();
    }
    Ok(Some(session))
}

pub async fn put_part(
    api: &Api,
    session: &UploadSession,
    number: u32,
    bytes: Bytes,
) -> Result<PartReceipt> {
    let state = State::of(session)?;
    let sum = adler32(&bytes).to_string();
    let receipt = PartReceipt {
        number,
        size: bytes.len() as u64,
        tag: sum.clone(),
    };
    if state.blocks.is_none() {
        if number != 1 || receipt.size != session.part_size {
            return Err(DriveError::new(
                ErrorKind::Invalid,
                "a small file has one part",
            ));
        }
        api.parked.put(&state.id, bytes).await?;
        return Ok(receipt);
    }
    let form = vec![
        field("upload_id", state.id.clone()),
        field("seq", number.saturating_sub(1).to_string()),
        field("size", receipt.size.to_string()),
        field("checksum", sum),
        content("block", bytes),
    ];
    let request = sending(api, "upload_part", "/drive/v1/files/upload_part", form);
    match api.attempt(Repeat::Safe, request).await {
        Ok(_) => Ok(receipt),
        Err(error) => {
            end_if_gone(api, &state, &error);
            Err(error)
        }
    }
}

/// Remembers that a session cannot be gone on with.
fn end_if_gone(api: &Api, state: &State, error: &DriveError) {
    let gone = matches!(error.kind, ErrorKind::NotFound | ErrorKind::Invalid)
        || (error.kind == ErrorKind::Verification && error.retry == Retry::Never);
    if gone {
        api.ended.insert(state.id.clone(), ());
    }
}

fn sending(api: &Api, op: &'static str, path: &str, form: Vec<FormPart>) -> Request {
    api.post(op, "upload", path)
        .deadlines(Deadlines::UPLOAD)
        .multipart(form)
}

fn field(name: &str, value: String) -> FormPart {
    FormPart {
        name: name.to_owned(),
        file_name: None,
        bytes: Bytes::from(value),
    }
}

/// The field with the bytes. Its file name means nothing to the service; one that could trip up
/// a reader of headers is not sent.
fn content(name: &str, bytes: Bytes) -> FormPart {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ');
    let name = if name.chars().all(plain) {
        name
    } else {
        "file"
    };
    FormPart {
        name: "file".to_owned(),
        file_name: Some(name.to_owned()),
        bytes,
    }
}

/// The form of section 7.1.
fn form_of_all(name: &str, parent: String, replaces: Option<&str>, bytes: Bytes) -> Vec<FormPart> {
    let mut form = vec![
        field("file_name", name.to_owned()),
        field("parent_type", "explorer".to_owned()),
        field("parent_node", parent),
        field("size", bytes.len().to_string()),
        field("checksum", adler32(&bytes).to_string()),
    ];
    form.extend(replaces.map(|token| field("file_token", token.to_owned())));
    form.push(content(name, bytes));
    form
}

pub async fn commit(
    api: &Api,
    request: &UploadRequest,
    session: &UploadSession,
    conversation: &Conversation<'_>,
) -> Result<Node> {
    let state = State::of(session)?;
    let done = match state.blocks {
        Some(blocks) => finish(api, request, &state, blocks, conversation).await,
        None => send_all(api, request, &state, conversation).await,
    };
    match &done {
        Ok(_) => api.parked.remove(&state.id),
        Err(error) => end_if_gone(api, &state, error),
    }
    done
}

/// Section 7.1.
async fn send_all(
    api: &Api,
    request: &UploadRequest,
    state: &State,
    conversation: &Conversation<'_>,
) -> Result<Node> {
    let bytes = api.parked.get(&state.id);
    // Whether the call may have been heard before: by an earlier run, or by a lost answer.
    let doubt = AtomicBool::new(bytes.is_none() || api.doubtful.contains_key(&state.id));
    retry(patience(), || async {
        if doubt.load(Ordering::Relaxed)
            && let Some(node) = made::look(api, request, state, conversation).await?
        {
            return Ok(node);
        }
        let Some(bytes) = bytes.clone() else {
            return Err(DriveError::not_found("what was sent of the upload"));
        };
        let token = match send_once(api, request, state, bytes).await {
            Ok(token) => token,
            Err(error) => {
                doubt.fetch_or(may_have_happened(&error), Ordering::Relaxed);
                return Err(error);
            }
        };
        write::made_file(api, &request.parent, &request.name, &token).await
    })
    .await
}

/// The one call; the token of the file.
async fn send_once(
    api: &Api,
    request: &UploadRequest,
    state: &State,
    bytes: Bytes,
) -> Result<String> {
    let name = RULES.encode(&request.name)?;
    let parent = api.folder_token(&request.parent).await?;
    let form = form_of_all(&name, parent, state.replaces.as_deref(), bytes);
    let call = sending(api, "upload_all", "/drive/v1/files/upload_all", form);
    // Whoever repeats it looks first, so a lost answer may be tried again.
    let answer = api.attempt(Repeat::Safe, call).await?;
    let token = write::token_of("upload_all", &answer["file_token"])?;
    check_replaced(api, state, &token, Some(&answer)).await?;
    Ok(token)
}

/// Section 7.2 (3). The service lets one upload make one file, so asking again is safe; the
/// answer to the second time is an error, and the file itself decides.
async fn finish(
    api: &Api,
    request: &UploadRequest,
    state: &State,
    blocks: u64,
    conversation: &Conversation<'_>,
) -> Result<Node> {
    let body = json!({ "upload_id": state.id, "block_num": blocks });
    retry(patience(), || async {
        let call = api.post("upload_finish", "upload", "/drive/v1/files/upload_finish");
        let call = Api::json(call, &body).deadlines(Deadlines::UPLOAD);
        let error = match api.attempt(Repeat::Safe, call).await {
            Ok(answer) => {
                let token = write::token_of("upload_finish", &answer["file_token"])?;
                check_replaced(api, state, &token, None).await?;
                return write::made_file(api, &request.parent, &request.name, &token).await;
            }
            Err(error) => error,
        };
        let spent = matches!(error.kind, ErrorKind::NotFound | ErrorKind::Invalid);
        if (spent || may_have_happened(&error))
            && let Some(node) = made::look(api, request, state, conversation).await?
        {
            return Ok(node);
        }
        Err(error)
    })
    .await
}

/// Whether the call replaced what it was to replace. A service that does not know how to makes a
/// second file, and an older one says no version (section 7.1, S2-22).
async fn check_replaced(
    api: &Api,
    state: &State,
    token: &str,
    answer: Option<&Value>,
) -> Result<()> {
    let Some(wanted) = &state.replaces else {
        return Ok(());
    };
    api.facts.invalidate(wanted);
    if wanted != token {
        // This very call made it.
        write::trash_token(api, token, "file").await?;
        return Err(DriveError::new(
            ErrorKind::Provider,
            "overwrite: the service made a second file instead; it was removed again",
        ));
    }
    let Some(answer) = answer else {
        return Ok(());
    };
    let version = ["version", "data_version"]
        .iter()
        .find_map(|key| decode::nonempty(&answer[*key]));
    match version {
        Some(_) => Ok(()),
        None => Err(DriveError::new(
            ErrorKind::Verification,
            "overwrite: missing_version: the service did not tell the new version, so it is not known whether it replaced the file",
        )
        .code("missing_version")),
    }
}

pub fn abandon(api: &Api, session: &UploadSession) -> Result<()> {
    // There is no call to end an upload; the service drops it after a day.
    let state = State::of(session)?;
    api.parked.remove(&state.id);
    api.doubtful.invalidate(&state.id);
    Ok(())
}

#[cfg(test)]
#[path = "tests/upload_rules.rs"]
mod tests;
