//! `precreate`: question and opening of an upload in one (sheet sections 6.1, 7.1), the sizes of
//! slices, and how a file that an unanswered call made is recognised.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::answer::{is_off_limits, may_have_happened};
use super::api::Api;
use super::list::{self, Entry};
use super::names;
use super::write::{self, SKEW_MS, again_if_lost, taken};
use crate::drive::{
    Conversation, DriveError, ErrorKind, Node, NodeId, PartReceipt, Result, UploadRequest,
    UploadSession, decode, patience,
};
use crate::fingerprint::{Kind, hash_all};
use crate::net::retry;

const MIB: u64 = 1 << 20;

/// The slice of every level; larger ones are used only where 1024 of these do not suffice.
pub const SLICE: u64 = 4 * MIB;

/// Most slices of an upload (section 7.2).
const MOST_SLICES: u64 = 1024;

/// Largest file of the highest level (section 7.2).
pub const MAX_FILE: u64 = 20 << 30;

/// Largest file that goes in slices of [`SLICE`], and of a normal account.
pub const MAX_SMALL: u64 = MOST_SLICES * SLICE;

/// Slices in flight (section 7.3).
const PARALLEL: usize = 3;

/// MD5 in lower hex.
pub fn md5_of(bytes: &[u8]) -> String {
    hash_all(&[Kind::Md5], bytes)
        .pop()
        .map_or_else(String::new, |(_, md5)| md5)
}

/// The slice size of a file for a level: the smallest that makes at most 1024 slices.
///
/// # Errors
/// `TooLarge`.
pub fn slice_size(size: u64, level: u8) -> Result<u64> {
    let (largest_slice, max): (u64, u64) = match level {
        0 => (SLICE, MAX_SMALL),
        1 => (16 * MIB, 10 << 30),
        _ => (32 * MIB, MAX_FILE),
    };
    if size > max {
        return Err(DriveError::new(
            ErrorKind::TooLarge,
            format!("{size} bytes; this account takes files of up to {max} bytes"),
        ));
    }
    Ok([SLICE, 16 * MIB, 32 * MIB]
        .into_iter()
        .find(|slice| size.div_ceil(*slice) <= MOST_SLICES)
        .unwrap_or(largest_slice))
}

/// Refuses what cannot be stored before anything is asked or read, and tells the slice size.
pub async fn plan(api: &Api, request: &UploadRequest) -> Result<u64> {
    names::encode(&request.name)?;
    if request.size == 0 {
        return Err(DriveError::unsupported("an empty file"));
    }
    if request.size > MAX_FILE {
        return slice_size(request.size, u8::MAX);
    }
    let level = if request.size > MAX_SMALL {
        api.user().await?.level
    } else {
        0
    };
    slice_size(request.size, level)
}

/// The MD5 of every slice.
///
/// # Errors
/// `OverBudget` when that needs more reading than allowed.
pub async fn blocks(conversation: &Conversation<'_>, slice: u64) -> Result<Vec<String>> {
    let size = conversation.size();
    let kind = Kind::BlockListMd5 { block: slice };
    if let Some(list) = known_blocks(conversation, slice) {
        return Ok(list);
    }
    if size <= slice {
        return Ok(vec![conversation.digest(Kind::Md5).await?]);
    }
    match conversation.digest(kind).await {
        Ok(list) => split(&list, size, slice)
            .ok_or_else(|| DriveError::new(ErrorKind::Invalid, "a block list of another size")),
        // Nobody computes lists of these blocks in advance: they are needed above 4 GiB only.
        Err(error) if slice != SLICE && matches!(error.kind, ErrorKind::OverBudget(_)) => {
            read_blocks(conversation, slice).await
        }
        Err(error) => Err(error),
    }
}

/// The list when it is known already and fits.
pub fn known_blocks(conversation: &Conversation<'_>, slice: u64) -> Option<Vec<String>> {
    let list = conversation.known_digest(Kind::BlockListMd5 { block: slice })?;
    split(&list, conversation.size(), slice)
}

fn split(list: &str, size: u64, slice: u64) -> Option<Vec<String>> {
    let list: Vec<String> = list.split(',').map(str::to_owned).collect();
    (list.len() as u64 == size.div_ceil(slice).max(1)).then_some(list)
}

/// Reads everything, slice after slice.
async fn read_blocks(conversation: &Conversation<'_>, slice: u64) -> Result<Vec<String>> {
    let size = conversation.size();
    let mut list = Vec::new();
    let mut at = 0;
    while at < size {
        let end = at.saturating_add(slice).min(size);
        list.push(md5_of(&conversation.read(at..end).await?));
        at = end;
    }
    Ok(list)
}

/// What a call that makes a file says about its content.
pub struct Ask {
    pub slice: u64,
    pub blocks: Vec<String>,
    /// MD5 of everything, where it is known.
    pub md5: Option<String>,
    /// The fields that ask for a fast upload, empty to open an upload without asking.
    pub question: Vec<(&'static str, String)>,
    /// The path of the call that asks.
    pub call: &'static str,
}

/// The documented call.
pub const PRECREATE: &str = "/rest/2.0/xpan/file";

/// What `precreate` led to.
pub enum Opened {
    /// The provider had the content: the file exists.
    Made(Node),
    /// It has not.
    Session(UploadSession),
}

/// How a file that we made is told from others of its name.
pub struct Own {
    pub size: u64,
    pub slice: u64,
    /// Empty when unknown.
    pub md5: String,
    pub local_mtime: i64,
    pub local_ctime: i64,
    /// Milliseconds.
    pub since: i64,
}

impl Own {
    /// From the state of a session.
    pub fn of(session: &UploadSession) -> Own {
        let state = &session.state;
        let number = |field: &str| decode::integer(&state[field]).unwrap_or(0);
        Own {
            size: decode::unsigned(&state["size"]).unwrap_or(0),
            slice: session.part_size,
            md5: decode::text(&state["md5"]),
            local_mtime: number("local_mtime"),
            local_ctime: number("local_ctime"),
            since: number("opened_at"),
        }
    }

    /// Whether an entry is ours. The hash decides where it is the content's (files of one slice);
    /// otherwise the times that we sent do, together with the service's clock.
    pub fn is(&self, entry: &Entry) -> bool {
        if entry.is_dir || entry.size != self.size {
            return false;
        }
        let since = self.since.saturating_sub(SKEW_MS);
        if entry.server_ctime > 0 && entry.server_ctime.saturating_mul(1000) < since {
            return false;
        }
        let decisive = self.size <= SLICE && !self.md5.is_empty() && !entry.cloud_md5.is_empty();
        if decisive {
            return entry.cloud_md5 == self.md5;
        }
        entry.local_mtime == self.local_mtime && entry.local_ctime == self.local_ctime
    }
}

/// Asks for a fast upload or opens an upload. Never replaces.
pub async fn precreate(api: &Api, request: &UploadRequest, ask: &Ask) -> Result<Opened> {
    let name = names::encode(&request.name)?;
    let opened_at = api.now_ms();
    let own = Own {
        size: request.size,
        slice: ask.slice,
        md5: ask.md5.clone().unwrap_or_default(),
        local_mtime: (request.modified.unwrap_or(opened_at) / 1000).max(1),
        local_ctime: opened_at / 1000,
        since: opened_at,
    };
    let beside = staging_path(api, &name);
    let lost = AtomicBool::new(false);
    retry(patience(), || async {
        // Writing onto the path of a directory may replace the directory (section 1, rule 5).
        let (dir, found) = list::find(api, &request.parent, &name).await?;
        let path = names::join(&dir, &name)?;
        let earlier = lost.load(Ordering::Relaxed);
        if let Some(entry) = found {
            return if earlier && own.is(&entry) {
                Ok(Opened::Made(entry.node(request.parent.clone())))
            } else {
                Err(taken(&request.name))
            };
        }
        let beside = beside.as_deref().filter(|_| !inside_app(api, &path));
        if let (true, Some(beside)) = (earlier, beside)
            && let Some(entry) = list::find_at(api, beside).await?
            && own.is(&entry)
        {
            return settle(api, request, &entry).await.map(Opened::Made);
        }
        let first = match beside {
            Some(beside) if api.is_confined() => beside,
            _ => &path,
        };
        let answered = match send(api, request, ask, &own, first).await {
            // The app may write in its own folder only: made there, moved from there.
            Err(error) if is_off_limits(&error) && first == path => match beside {
                Some(beside) => {
                    let answered = send(api, request, ask, &own, beside).await;
                    if answered.is_ok() {
                        api.confine();
                    }
                    answered
                }
                None => Err(error),
            },
            other => other,
        };
        let error = match answered {
            Ok(opened) => return Ok(opened),
            Err(error) => error,
        };
        lost.fetch_or(may_have_happened(&error), Ordering::Relaxed);
        Err(again_if_lost(error))
    })
    .await
}

async fn send(
    api: &Api,
    request: &UploadRequest,
    ask: &Ask,
    own: &Own,
    path: &str,
) -> Result<Opened> {
    let answer = call(api, ask, own, path, None).await?;
    if decode::integer(&answer["return_type"]) == Some(2) {
        let mut info = answer["info"].clone();
        // Never `isdir`; the times are the service's, ours are not told yet (section 7.1).
        info["local_mtime"] = json!(own.local_mtime);
        info["local_ctime"] = json!(own.local_ctime);
        let made = match list::entry(&info, None) {
            Ok(made) => made,
            Err(error) => list::find_at(api, path).await?.ok_or(error)?,
        };
        if made.size != own.size {
            write::trash_id(api, &NodeId::new(made.id.as_str())).await?;
            return Err(DriveError::new(
                ErrorKind::Verification,
                format!(
                    "the provider made {} bytes instead of {}",
                    made.size, own.size
                ),
            ));
        }
        if made.path != path {
            // Stored under another name: the wanted one was taken meanwhile (section 6.1).
            write::trash_id(api, &NodeId::new(made.id.as_str())).await?;
            return Err(taken(&request.name));
        }
        return settle(api, request, &made).await.map(Opened::Made);
    }
    session(ask, own, path, &answer).map(Opened::Session)
}

/// One `precreate`, for a new session or (with its id) an old one.
pub async fn call(
    api: &Api,
    ask: &Ask,
    own: &Own,
    path: &str,
    uploadid: Option<&str>,
) -> Result<Value> {
    let (size, blocks) = (own.size.to_string(), json!(ask.blocks).to_string());
    let (mtime, ctime) = (own.local_mtime.to_string(), own.local_ctime.to_string());
    let target = format!("{}/", names::parent_of(path).trim_end_matches('/'));
    let mut form = vec![
        ("path", path),
        ("size", &size),
        ("isdir", "0"),
        ("autoinit", "1"),
        // Refuse a taken name.
        ("rtype", "0"),
        ("block_list", &blocks),
        ("local_ctime", &ctime),
        ("local_mtime", &mtime),
    ];
    form.extend(
        ask.question
            .iter()
            .map(|(field, value)| (*field, value.as_str())),
    );
    if let Some(uploadid) = uploadid {
        form.push(("uploadid", uploadid));
    }
    let mut request = api.post("precreate", "upload_call", ask.call);
    if ask.call == PRECREATE {
        request = request.query("method", "precreate");
    } else {
        form.extend([
            ("target_path", target.as_str()),
            ("checkexist", "0"),
            ("mode", "1"),
        ]);
    }
    api.attempt(request.form(&form)).await
}

/// The session that an answer opened.
fn session(ask: &Ask, own: &Own, path: &str, answer: &Value) -> Result<UploadSession> {
    let uploadid = decode::nonempty(&answer["uploadid"])
        .ok_or_else(|| DriveError::bad_answer("precreate", "neither a file nor an uploadid"))?;
    let mut session = UploadSession {
        state: json!({
            "uploadid": uploadid,
            "path": path,
            "size": own.size,
            "blocks": ask.blocks,
            "md5": own.md5,
            "local_mtime": own.local_mtime,
            "local_ctime": own.local_ctime,
            "opened_at": own.since,
        }),
        part_size: own.slice,
        parallel: PARALLEL,
        accepted: Vec::new(),
        node: None,
    };
    session.accepted = present(&session, own.size, &ask.blocks, &answer["block_list"]);
    Ok(session)
}

/// The slices that the service does not ask for. `[]` and nothing at all mean every slice of a
/// file of one slice; for a longer one nothing at all means every slice, too.
pub fn present(
    session: &UploadSession,
    size: u64,
    blocks: &[String],
    missing: &Value,
) -> Vec<PartReceipt> {
    let asked: Vec<u64> = decode::list(missing)
        .iter()
        .filter_map(decode::unsigned)
        .collect();
    if asked.is_empty() && (blocks.len() == 1 || !missing.is_array()) {
        return Vec::new();
    }
    (0_u32..)
        .zip(blocks)
        .filter(|(index, _)| !asked.contains(&u64::from(*index)))
        .map(|(index, md5)| {
            let number = index.saturating_add(1);
            let range = session.part_range(size, number);
            PartReceipt {
                number,
                size: range.end - range.start,
                tag: md5.clone(),
            }
        })
        .collect()
}

/// Brings a file that was made in the app's folder to its place; one that is there already stays.
pub async fn settle(api: &Api, request: &UploadRequest, made: &Entry) -> Result<Node> {
    let name = names::encode(&request.name)?;
    let id = NodeId::new(made.id.as_str());
    let dir = list::dir_path(api, &request.parent).await?;
    if made.path == names::join(&dir, &name)? {
        return Ok(made.node(request.parent.clone()));
    }
    match write::relocate(api, &id, Some(&request.parent), &name).await {
        Ok(entry) => Ok(entry.node(request.parent.clone())),
        Err(error) => {
            write::trash_id(api, &id).await?;
            Err(error)
        }
    }
}

/// A place in the app's folder for a file that is meant for elsewhere.
fn staging_path(api: &Api, name: &str) -> Option<String> {
    let folder = api.app_folder()?;
    let extension = name
        .rsplit_once('.')
        .map(|(_, extension)| format!(".{extension}"))
        .filter(|extension| extension.len() <= 16)
        .unwrap_or_default();
    let random = uuid::Uuid::new_v4().simple().to_string();
    names::join(
        &folder,
        &format!("panfuse-tmp-{}-{random}{extension}", api.instance),
    )
    .ok()
}

fn inside_app(api: &Api, path: &str) -> bool {
    api.app_folder()
        .is_none_or(|folder| path.starts_with(&format!("{folder}/")))
}

#[cfg(test)]
#[path = "create_tests.rs"]
mod tests;
