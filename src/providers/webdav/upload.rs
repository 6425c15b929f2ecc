//! Uploads. A file gets its name with the last call: bytes go to a name of ours beside it, and MOVE
//! brings them to their place (sheet generic_backends, 4.3, items 4 and 5). A PUT that breaks leaves
//! a fragment on many servers, and half of them ignore `If-None-Match` (7.1), so nothing is ever
//! put under a name that somebody may have. The look that this needs comes right before MOVE; what
//! is there afterwards is looked at in its place. `Content-Range` is never sent: rclone and dufs replace
//! the whole file by the fragment.
//!
//! | size | how |
//! |---|---|
//! | up to 16 MiB | one part, one request |
//! | larger, where chunks are offered | chunks, in any order; see `chunks` |
//! | larger elsewhere | parts in order into one request; see `stream` and `pipe` |

use std::time::Duration;

use bytes::Bytes;
use sha1::{Digest as _, Sha1};

use super::api::{Api, Call};
use super::chunks;
use super::error::{Wanted, may_be_done};
use super::session::{
    State, Way, is_tagged, is_whole, last_tag, receipt, short, stored, trusted_sha1,
};
use super::stream::put_in_order;
use super::write::{self, Target, found, refuse_taken, rename_to};
use super::{address, list, names};
use crate::drive::{
    Conversation, DriveError, ErrorKind, Node, NodeId, OnConflict, PartReceipt, Result,
    UploadRequest, UploadSession, patience,
};
use crate::fingerprint::hex_lower;
use crate::net::{Deadlines, retry};

const MIB: u64 = 1 << 20;

/// Files up to this size are one request with a body that can be sent again.
pub const SINGLE: u64 = 16 * MIB;

/// Bytes per part of larger ones. Chunks have at least 5 MiB (4.3, item 10).
pub const PART: u64 = 8 * MIB;

/// Chunks in flight.
const PARALLEL: usize = 4;

pub async fn open(
    api: &Api,
    request: &UploadRequest,
    conversation: &Conversation<'_>,
) -> Result<UploadSession> {
    if request.on_conflict == OnConflict::Replace {
        return Err(DriveError::unsupported("an atomic replacement"));
    }
    let name = names::encode(&request.name)?;
    let place = address::child(request.parent.as_str(), name.as_bytes());
    if !conversation.name_is_free() {
        if request.size > SINGLE {
            // So that nothing large is sent in vain. The look that counts is the one at the commit.
            refuse_taken(api, &place).await?;
        }
        // dufs and nginx make missing directories without being asked (7.1).
        list::look(api, request.parent.as_str()).await?;
    }
    let mut state = State {
        way: Way::Single,
        dir: request.parent.as_str().to_owned(),
        temporary: names::temporary(),
        chunks: None,
        place,
        size: request.size,
        modified: request.modified,
        sha1: trusted_sha1(conversation),
    };
    let (mut part_size, mut parallel) = (request.size.max(1), 1);
    if request.size > SINGLE {
        part_size = PART;
        match api.chunks.place(api).await? {
            Some(uploads) => {
                state.way = Way::Chunks;
                state.chunks = Some(format!("{uploads}{}/", state.temporary));
                part_size = chunk_size(request.size);
                parallel = PARALLEL;
                state.chunked(api)?.begin(api).await?;
            }
            None => state.way = Way::Stream,
        }
    }
    Ok(UploadSession {
        state: state.keep()?,
        part_size,
        parallel,
        accepted: Vec::new(),
        node: None,
    })
}

fn chunk_size(size: u64) -> u64 {
    let least = size.div_ceil(chunks::MOST);
    PART.max(least.div_ceil(MIB).saturating_mul(MIB))
}

pub async fn put_part(
    api: &Api,
    session: &UploadSession,
    number: u32,
    bytes: Bytes,
) -> Result<PartReceipt> {
    let state = State::read(session)?;
    let count = session.part_count(state.size);
    let expected = receipt(session, state.size, number, "");
    if !(1..=count).contains(&number) || expected.size != bytes.len() as u64 {
        return Err(DriveError::new(
            ErrorKind::Invalid,
            format!(
                "part {number} has {} bytes where {} belong",
                bytes.len(),
                expected.size
            ),
        ));
    }
    let tag = match state.way {
        Way::Chunks => {
            state.chunked(api)?.put(api, number, bytes).await?;
            String::new()
        }
        Way::Single => put_whole(api, &state, bytes).await?,
        Way::Stream => put_in_order(api, &state, number, number == count, &bytes).await?,
    };
    Ok(PartReceipt { tag, ..expected })
}

/// A whole file beside its place. Sending it again stores the same once more.
async fn put_whole(api: &Api, state: &State, bytes: Bytes) -> Result<String> {
    let sha1 = api
        .chunks
        .is_likely()
        .then(|| hex_lower(&Sha1::digest(&bytes)));
    let mut call = Call::new(
        "upload",
        Wanted::Store,
        "PUT",
        api.base.url(&state.temporary_id(), false),
    )
    .class("upload")
    .deadlines(Deadlines::UPLOAD)
    .header("content-type", "application/octet-stream")
    .body(bytes);
    for (name, value) in state.described(sha1.as_deref()) {
        call = call.header(name, &value);
    }
    match api.once(&call, &[201, 204, 200]).await {
        Ok(response) => {
            // Many servers name what they stored. It is looked at once it has its place.
            let told = response.header("etag").map(list::bare_etag);
            let told = told.filter(|tag| !tag.is_empty()).map(str::to_owned);
            drop(response);
            match told {
                Some(tag) => Ok(tag),
                None => stored(api, state).await?.ok_or_else(|| short(state)),
            }
        }
        // The answer may be lost, not the bytes.
        Err(error) if may_be_done(&error) => stored(api, state).await?.ok_or(error),
        Err(error) => Err(error),
    }
}

pub async fn resume(
    api: &Api,
    request: &UploadRequest,
    mut session: UploadSession,
) -> Result<Option<UploadSession>> {
    let mut state = State::read(&session)?;
    if state.size != request.size || session.part_size == 0 {
        return Ok(None);
    }
    // The directory may have another path by now, which the request knows.
    state.dir = request.parent.as_str().to_owned();
    let name = names::encode(&request.name)?;
    let place = address::child(&state.dir, name.as_bytes());
    let count = session.part_count(state.size);
    let all = |session: &UploadSession, tag: &str| -> Vec<PartReceipt> {
        (1..=count)
            .map(|number| receipt(session, state.size, number, tag))
            .collect()
    };
    let told = last_tag(&session);
    if state.way == Way::Chunks {
        if place == state.place {
            let parts = state.chunked(api)?.stored(api, &session).await?;
            if let Some(parts) = parts {
                session.accepted = parts;
                session.state = state.keep()?;
                return Ok(Some(session));
            }
            let sent_all = session.accepted.len() as u64 == u64::from(count);
            if sent_all && joined(api, &state, true).await? {
                session.state = state.keep()?;
                return Ok(Some(session));
            }
        } else {
            // The server was told another place; it may hold on to that one.
            abandon(api, &session).await?;
        }
        return Ok(None);
    }
    // Nobody can tell how much of a request that is under way the server has.
    let cut = api.pipes.forget(&state.temporary);
    if let Some(tag) = stored(api, &state).await? {
        session.accepted = all(&session, &tag);
        session.state = state.keep()?;
        return Ok(Some(session));
    }
    if let Some(tag) = told
        && let Some(entry) = found(api, &place).await?
        && is_whole(&entry, &state)
        && is_tagged(&entry, &tag)
    {
        // An earlier commit brought it to its place.
        session.accepted = all(&session, &tag);
        session.state = state.keep()?;
        return Ok(Some(session));
    }
    clear(api, &state.temporary_id(), cut).await?;
    Ok(None)
}

pub async fn commit(
    api: &Api,
    request: &UploadRequest,
    session: &UploadSession,
    conversation: &Conversation<'_>,
) -> Result<Node> {
    let state = State::read(session)?;
    let name = names::encode(&request.name)?;
    let place = address::child(request.parent.as_str(), name.as_bytes());
    match state.way {
        Way::Chunks => join(api, &state, conversation).await?,
        Way::Single | Way::Stream => {
            let from = address::child(request.parent.as_str(), state.temporary.as_bytes());
            let target = Target {
                id: &place,
                dir: false,
                size: state.size,
            };
            let moved = rename_to(api, "commit", &from, &target, &[]).await;
            if let Err(error) = moved {
                let known = matches!(error.kind, ErrorKind::Exists | ErrorKind::NotFound);
                if !known || !was_moved(api, &state, session, &from, &place).await? {
                    return Err(error);
                }
            }
            api.pipes.forget(&state.temporary);
        }
    }
    list::stat(api, &NodeId::new(place.as_str())).await
}

/// Whether an earlier commit, whose answer was lost, brought the file to its place.
async fn was_moved(
    api: &Api,
    state: &State,
    session: &UploadSession,
    from: &str,
    place: &str,
) -> Result<bool> {
    let Some(tag) = last_tag(session) else {
        return Ok(false);
    };
    if found(api, from).await?.is_some() {
        return Ok(false);
    }
    let entry = found(api, place).await?;
    Ok(entry.is_some_and(|entry| is_whole(&entry, state) && is_tagged(&entry, &tag)))
}

async fn join(api: &Api, state: &State, conversation: &Conversation<'_>) -> Result<()> {
    let sha1 = trusted_sha1(conversation).or_else(|| state.sha1.clone());
    let headers = state.described(sha1.as_deref());
    let upload = state.chunked(api)?;
    retry(patience(), || async {
        if !list::is_free(api, &state.place).await? {
            if joined(api, state, true).await? {
                return Ok(());
            }
            refuse_taken(api, &state.place).await?;
        }
        match upload.join(api, &headers).await {
            // It may still be at it, or be through and not have told.
            Err(error)
                if may_be_done(&error)
                    || matches!(error.kind, ErrorKind::NotFound | ErrorKind::Exists) =>
            {
                // Nobody had the name a moment ago.
                match joined(api, state, false).await? {
                    true => Ok(()),
                    false => Err(error),
                }
            }
            done => done,
        }
    })
    .await
}

/// Whether the chunks have become the file: they are gone, and a file of their size is where it was
/// to be. `in_time`: and has their time, so that it cannot be somebody else's.
async fn joined(api: &Api, state: &State, in_time: bool) -> Result<bool> {
    let Some(entry) = found(api, &state.place).await? else {
        return Ok(false);
    };
    let time = entry.props.modified.as_deref().and_then(list::time_ms);
    let other_time = state
        .modified
        .is_some_and(|wanted| !time.is_some_and(|time| same_second(time, wanted)));
    if !is_whole(&entry, state) || (in_time && other_time) {
        return Ok(false);
    }
    let url = state.chunks.as_deref().unwrap_or_default();
    Ok(write::entries_at(api, url).await?.is_none())
}

fn same_second(one: i64, other: i64) -> bool {
    one.div_euclid(1000) == other.div_euclid(1000)
}

pub async fn abandon(api: &Api, session: &UploadSession) -> Result<()> {
    let state = State::read(session)?;
    if let Some(chunks) = &state.chunks {
        return write::remove(api, chunks).await;
    }
    let cut = api.pipes.forget(&state.temporary);
    clear(api, &state.temporary_id(), cut).await
}

/// Pauses before a look whether a request that was cut left its fragment after all.
const LOOKS: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

/// Removes an unfinished file. `cut`: its request was under way a moment ago, and the server may
/// write down what it has after we deleted what it had.
async fn clear(api: &Api, id: &str, cut: bool) -> Result<()> {
    let url = api.base.url(id, false);
    write::remove(api, &url).await?;
    if !cut {
        return Ok(());
    }
    for pause in LOOKS {
        tokio::time::sleep(pause).await;
        if found(api, id).await?.is_some() {
            write::remove(api, &url).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_large_enough_and_few_enough() {
        for size in [SINGLE + 1, 80 << 30, 1 << 40] {
            let chunk = chunk_size(size);
            assert!(chunk >= 5 * MIB && chunk.is_multiple_of(MIB));
            assert!(size.div_ceil(chunk) <= chunks::MOST, "{size}");
        }
    }
}
