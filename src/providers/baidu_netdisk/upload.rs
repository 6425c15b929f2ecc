//! Streamed uploads (sheet section 7): slices in parallel, each answered with its MD5, then
//! `create`.

use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::{is_restart, may_have_happened};
use super::api::Api;
use super::create::{self, Ask, Opened, Own, PRECREATE, md5_of};
use super::list;
use super::names;
use super::write::{self, again_if_lost, taken};
use crate::drive::{
    Conversation, DriveError, ErrorKind, Node, NodeId, PartReceipt, Result, UploadRequest,
    UploadSession, decode, patience,
};
use crate::fingerprint::Kind;
use crate::net::{Deadlines, FormPart, Retry, retry};

/// How long a session is taken up again: its life is "days at most" (section 7.3).
const SESSION_LIFE_MS: i64 = 24 * 3_600_000;

pub async fn open(
    api: &Api,
    request: &UploadRequest,
    conversation: &Conversation<'_>,
) -> Result<UploadSession> {
    let slice = create::plan(api, request).await?;
    let ask = Ask {
        slice,
        blocks: create::blocks(conversation, slice).await?,
        md5: conversation.known_digest(Kind::Md5),
        question: Vec::new(),
        call: PRECREATE,
    };
    match create::precreate(api, request, &ask).await? {
        Opened::Session(session) => Ok(session),
        Opened::Made(node) => Ok(made_already(request, &ask, &node)),
    }
}

/// The session of a file that the service made although nobody asked: nothing is left to send.
fn made_already(request: &UploadRequest, ask: &Ask, node: &Node) -> UploadSession {
    let mut session = UploadSession {
        state: json!({ "made": node.id.as_str(), "size": request.size }),
        part_size: ask.slice,
        parallel: 1,
        accepted: Vec::new(),
        node: Some(node.id.clone()),
    };
    session.accepted = create::present(&session, request.size, &ask.blocks, &json!([]));
    if session.accepted.is_empty() {
        // A file of one slice.
        session.accepted = vec![PartReceipt {
            number: 1,
            size: request.size,
            tag: ask.blocks.first().cloned().unwrap_or_default(),
        }];
    }
    session
}

fn made(session: &UploadSession) -> Option<NodeId> {
    decode::nonempty(&session.state["made"]).map(NodeId::new)
}

/// There is no list of slices to ask for; a `precreate` with the session's id tells what is still
/// missing where the service goes on with it (sections 7.1, 7.3). Where it opens another session
/// instead, the journal's receipts stand: a slice that meets a dead session says so.
pub async fn resume(
    api: &Api,
    request: &UploadRequest,
    mut session: UploadSession,
) -> Result<Option<UploadSession>> {
    if let Some(id) = made(&session) {
        let there = retry(patience(), || list::entry_of(api, &id)).await;
        return match there {
            Ok(_) => Ok(Some(session)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
    }
    let uploadid = text_of(&session, "uploadid")?;
    let own = Own::of(&session);
    let age = api.now_ms().saturating_sub(own.since);
    if api.dead.contains_key(&uploadid) || age > SESSION_LIFE_MS || own.size != request.size {
        return Ok(None);
    }
    let ask = Ask {
        slice: session.part_size,
        blocks: planned(&session),
        md5: None,
        question: Vec::new(),
        call: PRECREATE,
    };
    let path = text_of(&session, "path")?;
    let answer = retry(patience(), || async {
        let asked = create::call(api, &ask, &own, &path, Some(&uploadid)).await;
        asked.map_err(again_if_lost)
    })
    .await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if is_restart(&error) => return Ok(None),
        // The name is taken by now: perhaps by our own commit, which will look.
        Err(error) if error.kind == ErrorKind::Exists => return Ok(Some(session)),
        Err(error) => return Err(error),
    };
    if decode::integer(&answer["return_type"]) == Some(2) {
        let Ok(entry) = list::entry(&answer["info"], None) else {
            return Ok(None);
        };
        let node = create::settle(api, request, &entry).await?;
        return Ok(Some(made_already(request, &ask, &node)));
    }
    let same = decode::nonempty(&answer["uploadid"]).is_none_or(|told| told == uploadid);
    if same && answer["block_list"].is_array() {
        let told = create::present(&session, own.size, &ask.blocks, &answer["block_list"]);
        session.accepted = told;
    }
    Ok(Some(session))
}

pub async fn put_part(
    api: &Api,
    session: &UploadSession,
    number: u32,
    bytes: Bytes,
) -> Result<PartReceipt> {
    let md5 = md5_of(&bytes);
    let receipt = PartReceipt {
        number,
        size: bytes.len() as u64,
        tag: md5.clone(),
    };
    if made(session).is_some() {
        return Ok(receipt);
    }
    let index = number.saturating_sub(1);
    let planned = planned(session);
    if planned.get(index as usize).is_some_and(|plan| *plan != md5) {
        return Err(DriveError::new(
            ErrorKind::Changed,
            format!("part {number} is not what was announced; the source changed"),
        ));
    }
    let (path, uploadid) = (text_of(session, "path")?, text_of(session, "uploadid")?);
    retry(patience(), || async {
        let sent = send_slice(api, &path, &uploadid, index, bytes.clone()).await;
        let answer = match sent {
            Ok(answer) => answer,
            Err(error) => {
                if is_restart(&error) {
                    api.dead.insert(uploadid.clone(), ());
                }
                if may_have_happened(&error) {
                    api.forget_host().await;
                }
                return Err(error);
            }
        };
        let stored = decode::text(&answer["md5"]).to_ascii_lowercase();
        if stored != md5 {
            return Err(DriveError::new(
                ErrorKind::Verification,
                format!("part {number}: the provider has other bytes than were sent"),
            )
            .retry(Retry::Backoff));
        }
        Ok(())
    })
    .await?;
    Ok(receipt)
}

async fn send_slice(
    api: &Api,
    path: &str,
    uploadid: &str,
    index: u32,
    bytes: Bytes,
) -> Result<Value> {
    let host = api.upload_host(path, uploadid).await?;
    let request = crate::net::Request::post("put_part", format!("{host}/rest/2.0/pcs/superfile2"))
        .class("upload")
        .deadlines(Deadlines::UPLOAD)
        .query("method", "upload")
        .query("type", "tmpfile")
        .query("path", path)
        .query("uploadid", uploadid)
        .query("partseq", &index.to_string())
        .multipart(vec![FormPart {
            name: "file".to_owned(),
            file_name: Some("file".to_owned()),
            bytes,
        }]);
    api.attempt(request).await
}

pub async fn commit(api: &Api, request: &UploadRequest, session: &UploadSession) -> Result<Node> {
    if let Some(id) = made(session) {
        let entry = retry(patience(), || list::entry_of(api, &id)).await?;
        return Ok(entry.node(request.parent.clone()));
    }
    let uploadid = text_of(session, "uploadid")?;
    let path = text_of(session, "path")?;
    let own = Own::of(session);
    let list = slices(session, request.size)?;
    api.ending.insert(uploadid.clone(), ());
    let made = retry(patience(), || async {
        let error = match create(api, &path, &uploadid, &own, &list).await {
            Ok(entry) => return Ok(entry),
            Err(error) => error,
        };
        // An earlier `create` may have been carried out: by this process or the one before.
        let telling = may_have_happened(&error)
            || is_restart(&error)
            || matches!(error.kind, ErrorKind::Exists | ErrorKind::NotFound);
        if telling {
            let found = match list::find_at(api, &path).await {
                Ok(found) => found,
                // Asked again, together with the commit itself.
                Err(_) => return Err(again_if_lost(error)),
            };
            if let Some(entry) = found.filter(|entry| own.is(entry)) {
                return Ok(entry);
            }
            if let Some(entry) = moved_before(api, request, session, &own).await? {
                return Ok(entry);
            }
        }
        if is_restart(&error) {
            api.dead.insert(uploadid.clone(), ());
        }
        Err(again_if_lost(error))
    })
    .await?;
    let node = create::settle(api, request, &made).await?;
    api.ending.invalidate(&uploadid);
    Ok(node)
}

/// The file of a commit that went through the app's folder and reached its place.
async fn moved_before(
    api: &Api,
    request: &UploadRequest,
    session: &UploadSession,
    own: &Own,
) -> Result<Option<list::Entry>> {
    let name = names::encode(&request.name)?;
    if names::name_of(&text_of(session, "path")?) == name {
        return Ok(None);
    }
    let (_, found) = list::find(api, &request.parent, &name).await?;
    Ok(found.filter(|entry| own.is(entry)))
}

async fn create(
    api: &Api,
    path: &str,
    uploadid: &str,
    own: &Own,
    slices: &[String],
) -> Result<list::Entry> {
    let (size, blocks) = (own.size.to_string(), json!(slices).to_string());
    let (mtime, ctime) = (own.local_mtime.to_string(), own.local_ctime.to_string());
    let call = api
        .post("create", "upload_call", PRECREATE)
        .query("method", "create")
        .form(&[
            ("path", path),
            ("size", &size),
            ("isdir", "0"),
            ("uploadid", uploadid),
            ("block_list", &blocks),
            ("rtype", "0"),
            ("local_ctime", &ctime),
            ("local_mtime", &mtime),
        ]);
    let mut answer = api.attempt(call).await?;
    // Its own times are always "now"; later listings tell what was sent (section 7.1).
    answer["local_mtime"] = json!(own.local_mtime);
    answer["local_ctime"] = json!(own.local_ctime);
    let complete = list::entry(&answer, None)
        .ok()
        .filter(|entry| !entry.cloud_md5.is_empty());
    let entry = match complete {
        Some(entry) => entry,
        // Said in part only: the directory tells the rest.
        None => list::find_at(api, path)
            .await?
            .ok_or_else(|| DriveError::bad_answer("create", "the new file is not listed"))?,
    };
    if entry.size != own.size {
        write::trash_id(api, &NodeId::new(entry.id.as_str())).await?;
        return Err(DriveError::new(
            ErrorKind::Verification,
            format!(
                "the provider made {} bytes instead of {}",
                entry.size, own.size
            ),
        ));
    }
    if entry.path != path {
        write::trash_id(api, &NodeId::new(entry.id.as_str())).await?;
        return Err(taken(&names::decode(names::name_of(path))));
    }
    Ok(entry)
}

/// There is no call to end a session; unfinished ones are invisible and expire (section 7.3).
/// What may have become a file is looked up by what only ours can be, and trashed by its id.
pub async fn abandon(api: &Api, session: &UploadSession) -> Result<()> {
    if let Some(id) = made(session) {
        return write::trash_id(api, &id).await;
    }
    let uploadid = text_of(session, "uploadid")?;
    if api.ending.contains_key(&uploadid) {
        let path = text_of(session, "path")?;
        let own = Own::of(session);
        let found = retry(patience(), || list::find_at(api, &path)).await?;
        if let Some(entry) = found.filter(|entry| own.is(entry)) {
            write::trash_id(api, &NodeId::new(entry.id.as_str())).await?;
        }
        api.ending.invalidate(&uploadid);
    }
    api.dead.insert(uploadid, ());
    Ok(())
}

/// The MD5s of all slices in order, as they were sent.
fn slices(session: &UploadSession, size: u64) -> Result<Vec<String>> {
    (1..=session.part_count(size))
        .map(|number| {
            session
                .accepted
                .iter()
                .find(|part| part.number == number && !part.tag.is_empty())
                .map(|part| part.tag.clone())
                .ok_or_else(|| {
                    DriveError::new(ErrorKind::Invalid, format!("part {number} was not sent"))
                })
        })
        .collect()
}

/// The slices as they were announced.
fn planned(session: &UploadSession) -> Vec<String> {
    decode::list(&session.state["blocks"])
        .iter()
        .map(decode::text)
        .collect()
}

/// A text of the driver's own state.
fn text_of(session: &UploadSession, key: &str) -> Result<String> {
    decode::nonempty(&session.state[key])
        .ok_or_else(|| DriveError::new(ErrorKind::Invalid, format!("the session has no {key}")))
}
