//! Uploads. An object appears whole or not at all, and replaces an old one at once, so its bytes go to
//! its own key.
//!
//! | size | how |
//! |---|---|
//! | up to 16 MiB | held here, stored by one request at the commit: its ETag is its MD5 |
//! | larger | in parts of 8 MiB or more, four at a time, joined at the commit |

use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use md5::{Digest as _, Md5};
use opendal::Metadata;
use serde::{Deserialize, Serialize};

use super::address;
use super::api::{Api, Recent, lock};
use super::error::{Seals, is_unknown_to_it, may_be_done};
use super::multipart::{self, MOST_PARTS, expected_tag};
use super::{list, names};
use crate::drive::{
    Conversation, DriveError, ErrorKind, Node, OnConflict, PartReceipt, Result, UploadRequest,
    UploadSession, patience,
};
use crate::fingerprint::{hex_lower, md5_from_etag};
use crate::net::{Retry, retry};
use crate::providers::opendal::{bare_etag, seconds_ms};

const MIB: u64 = 1 << 20;

/// Files up to this size are one request.
pub const SINGLE: u64 = 16 * MIB;

/// Bytes per part of larger ones; the server wants 5 MiB at least.
pub const PART: u64 = 8 * MIB;

/// The largest object.
pub const MOST: u64 = 5 << 40;

/// Parts in flight.
const PARALLEL: usize = 4;

/// Files that are held at a time. Each is given up or stored soon.
const MOST_HELD: usize = 64;

/// How far the server's clock may be from ours: it signs nothing beyond that (sheet, 5).
const SKEW_MS: i64 = 15 * 60 * 1000;

/// Small files between their part and their commit.
pub struct Held(Mutex<Recent<Piece>>);

#[derive(Clone)]
struct Piece {
    bytes: Bytes,
    /// An earlier try may have been carried out.
    tried: bool,
}

impl Default for Held {
    fn default() -> Held {
        Held(Mutex::new(Recent::new(MOST_HELD)))
    }
}

/// How the bytes get there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Way {
    /// Held under this name of ours.
    Single(String),
    /// In parts, under this number of the server's.
    Parts(String),
}

/// What a session keeps in the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    way: Way,
    /// The id that it is to have; an upload in parts is bound to it.
    place: String,
    size: u64,
    /// When it was opened.
    opened: i64,
}

impl State {
    fn read(session: &UploadSession) -> Result<State> {
        serde_json::from_value(session.state.clone()).map_err(|_| {
            DriveError::new(
                ErrorKind::Invalid,
                "the session was not opened by this drive",
            )
        })
    }

    fn keep(&self) -> Result<serde_json::Value> {
        serde_json::to_value(self)
            .map_err(|error| DriveError::new(ErrorKind::Invalid, format!("session: {error}")))
    }

    fn key(&self) -> String {
        address::key(&self.place)
    }
}

fn place_of(request: &UploadRequest) -> Result<String> {
    let name = names::encode(&request.name)?;
    let place = address::child(request.parent.as_str(), &name);
    address::check_key(&place, false)?;
    Ok(place)
}

pub async fn open(
    api: &Api,
    request: &UploadRequest,
    conversation: &Conversation<'_>,
) -> Result<UploadSession> {
    let place = place_of(request)?;
    if request.size > MOST {
        let message = format!("{} bytes; the provider takes {MOST}", request.size);
        return Err(DriveError::new(ErrorKind::TooLarge, message));
    }
    if request.on_conflict == OnConflict::Replace {
        // A file does not take the place of a directory.
        if list::is_dir(api, &place).await? {
            return Err(list::taken(&place));
        }
    } else if !conversation.name_is_free() {
        let free = list::refuse_taken(api, &place);
        let dir = list::need_dir(api, request.parent.as_str());
        futures_util::future::try_join(free, dir).await?;
    }
    let (way, part_size, parallel) = if request.size > SINGLE {
        let number = multipart::begin(api, &address::key(&place)).await?;
        (Way::Parts(number), part_size(request.size), PARALLEL)
    } else {
        let name = uuid::Uuid::new_v4().simple().to_string();
        (Way::Single(name), request.size.max(1), 1)
    };
    let state = State {
        way,
        place,
        size: request.size,
        opened: api.clock.now_ms(),
    };
    Ok(UploadSession {
        state: state.keep()?,
        part_size,
        parallel,
        accepted: Vec::new(),
        node: None,
    })
}

fn part_size(size: u64) -> u64 {
    let least = size.div_ceil(MOST_PARTS).div_ceil(MIB);
    PART.max(least.saturating_mul(MIB))
}

/// What a part has to be.
fn wanted(session: &UploadSession, state: &State, number: u32) -> u64 {
    let range = session.part_range(state.size, number);
    range.end.saturating_sub(range.start)
}

pub async fn put_part(
    api: &Api,
    session: &UploadSession,
    number: u32,
    bytes: Bytes,
) -> Result<PartReceipt> {
    let state = State::read(session)?;
    let (count, size) = (session.part_count(state.size), bytes.len() as u64);
    let expected = wanted(session, &state, number);
    if !(1..=count).contains(&number) || expected != size {
        return Err(DriveError::new(
            ErrorKind::Invalid,
            format!("part {number} has {size} bytes where {expected} belong"),
        ));
    }
    let digest = Md5::digest(&bytes);
    let md5 = hex_lower(&digest);
    let tag = match &state.way {
        Way::Single(name) => {
            let piece = Piece {
                bytes,
                tried: false,
            };
            lock(&api.held.0).insert(name.clone(), piece);
            md5
        }
        Way::Parts(upload) => {
            let part = multipart::Part {
                number,
                md5: STANDARD.encode(digest),
                bytes,
            };
            let tag = multipart::put(api, &state.key(), upload, part).await?;
            notice(api, &md5, &tag);
            tag
        }
    };
    Ok(PartReceipt { number, size, tag })
}

/// A server that gives what looks like an MD5 and is none is not believed any more.
fn notice(api: &Api, md5: &str, tag: &str) {
    if md5_from_etag(tag).is_some_and(|told| told != md5) && api.dialect.seals() != Seals::Sealed {
        tracing::debug!("the ETags of this server are no MD5s");
        api.dialect.seal();
    }
}

pub async fn resume(
    api: &Api,
    request: &UploadRequest,
    mut session: UploadSession,
) -> Result<Option<UploadSession>> {
    let mut state = State::read(&session)?;
    // The directory may have another path by now, which the request knows.
    let place = place_of(request)?;
    let Way::Parts(upload) = state.way.clone() else {
        state.place = place;
        session.state = state.keep()?;
        let here = held(api, &state).is_some();
        let kept = here || stored_before(api, &state, &session).await?.is_some();
        return Ok((kept && state.size == request.size).then_some(session));
    };
    if place != state.place || state.size != request.size || session.part_size == 0 {
        multipart::abort(api, &state.key(), &upload).await?;
        return Ok(None);
    }
    match multipart::stored(api, &state.key(), &upload).await? {
        Some(mut parts) => {
            parts.retain(|part| part.size == wanted(&session, &state, part.number));
            for part in &mut parts {
                part.tag = bare_etag(&part.tag);
            }
            session.accepted = parts;
            Ok(Some(session))
        }
        // An earlier commit may have joined them.
        None if is_complete(&session, &state) => {
            let there = look(api, &state).await?;
            let joined =
                there.is_some_and(|there| is_joined(api, &state, &session.accepted, &there));
            Ok(joined.then_some(session))
        }
        None => Ok(None),
    }
}

fn held(api: &Api, state: &State) -> Option<Piece> {
    match &state.way {
        Way::Single(name) => lock(&api.held.0).get_mut(name).cloned(),
        Way::Parts(_) => None,
    }
}

/// What has the id of an upload now.
async fn look(api: &Api, state: &State) -> Result<Option<Metadata>> {
    match api.store.stat(&state.key()).await {
        Ok(there) => Ok(Some(there)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The object that an earlier commit, whose answer nobody saw, made of one part: its MD5 is known.
async fn stored_before(
    api: &Api,
    state: &State,
    session: &UploadSession,
) -> Result<Option<Metadata>> {
    let Some(part) = session.accepted.first() else {
        return Ok(None);
    };
    let there = look(api, state).await?;
    Ok(there.filter(|there| is_stored(api, state, &part.tag, there)))
}

fn is_stored(api: &Api, state: &State, md5: &str, there: &Metadata) -> bool {
    there.content_length() == state.size && list::md5_of(api, there.etag()).as_deref() == Some(md5)
}

fn is_complete(session: &UploadSession, state: &State) -> bool {
    session.accepted.len() as u64 == u64::from(session.part_count(state.size))
}

/// Whether an object is what these parts made: by its tag. Servers with tags of their own are believed
/// by size and time.
fn is_joined(api: &Api, state: &State, parts: &[PartReceipt], there: &Metadata) -> bool {
    if there.content_length() != state.size {
        return false;
    }
    let tag = there.etag().map(bare_etag).unwrap_or_default();
    if expected_tag(parts).is_some_and(|expected| expected == tag) {
        return true;
    }
    let own_tags = !tag.contains('-') || api.dialect.seals() == Seals::Sealed;
    own_tags && seconds_ms(there) >= state.opened.saturating_sub(SKEW_MS)
}

pub async fn commit(api: &Api, request: &UploadRequest, session: &UploadSession) -> Result<Node> {
    let mut state = State::read(session)?;
    let place = place_of(request)?;
    let absent = request.on_conflict == OnConflict::Refuse;
    match &state.way {
        Way::Single(name) => {
            let name = name.clone();
            state.place = place;
            retry(patience(), || store(api, &state, &name, session, absent)).await?;
            lock(&api.held.0).remove(&name);
        }
        Way::Parts(_) if place != state.place => {
            let error = DriveError::new(
                ErrorKind::Changed,
                "commit: an upload in parts is bound to its path, which changed",
            );
            return Err(error.retry(Retry::Backoff));
        }
        Way::Parts(upload) => {
            retry(patience(), || join(api, &state, upload, session, absent)).await?;
        }
    }
    let made = list::found(api, &state.place).await?;
    made.ok_or_else(|| DriveError::bad_answer("commit", "the object is not there"))
}

async fn store(
    api: &Api,
    state: &State,
    name: &str,
    session: &UploadSession,
    absent: bool,
) -> Result<()> {
    let Some(Piece { bytes, tried }) = held(api, state) else {
        if stored_before(api, state, session).await?.is_some() {
            return Ok(());
        }
        let error = DriveError::new(
            ErrorKind::Provider,
            "commit: the bytes are not here any more",
        );
        return Err(error.retry(Retry::Backoff));
    };
    let md5 = hex_lower(&Md5::digest(&bytes));
    if let Some(piece) = lock(&api.held.0).get_mut(name) {
        piece.tried = true;
    }
    match api.put(&state.key(), bytes, absent).await {
        Ok(stored) => {
            if let Some(tag) = stored.etag() {
                notice(api, &md5, &bare_etag(tag));
            }
            Ok(())
        }
        Err(error) if may_be_done(&error) || (tried && error.kind == ErrorKind::Exists) => {
            // The answer may be lost, not the bytes.
            let there = look(api, state).await?;
            match there.is_some_and(|there| is_stored(api, state, &md5, &there)) {
                true => Ok(()),
                false => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

async fn join(
    api: &Api,
    state: &State,
    upload: &str,
    session: &UploadSession,
    absent: bool,
) -> Result<()> {
    let key = state.key();
    let parts = match is_complete(session, state) {
        true => Some(session.accepted.clone()),
        false => multipart::stored(api, &key, upload).await?,
    };
    let count = u64::from(session.part_count(state.size));
    let parts = parts.filter(|parts| parts.len() as u64 == count);
    let parts = parts.ok_or_else(|| {
        let error = DriveError::new(
            ErrorKind::Provider,
            "commit: parts of the upload are missing",
        );
        error.retry(Retry::Backoff)
    })?;
    // Time has passed since it was opened, and not every server looks at conditions.
    if absent && let Some(there) = look(api, state).await? {
        return match is_joined(api, state, &parts, &there) {
            true => Ok(()),
            false => Err(list::taken(&state.place)),
        };
    }
    let conditions = absent && api.conditions();
    let joined = multipart::join(api, &key, upload, &parts, conditions).await;
    let Err(error) = joined else {
        return Ok(());
    };
    if conditions && is_unknown_to_it(&error) {
        api.without_conditions();
        return multipart::join(api, &key, upload, &parts, false).await;
    }
    if may_be_done(&error) || matches!(error.kind, ErrorKind::NotFound | ErrorKind::Exists) {
        // The answer may be lost, of this try or of an earlier one.
        let there = look(api, state).await?;
        if there.is_some_and(|there| is_joined(api, state, &parts, &there)) {
            return Ok(());
        }
    }
    Err(error)
}

pub async fn abandon(api: &Api, session: &UploadSession) -> Result<()> {
    let state = State::read(session)?;
    match &state.way {
        Way::Single(name) => {
            lock(&api.held.0).remove(name);
            Ok(())
        }
        Way::Parts(upload) => multipart::abort(api, &state.key(), upload).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_large_enough_and_few_enough() {
        for size in [SINGLE + 1, 80 << 30, 1 << 40, MOST] {
            let part = part_size(size);
            assert!(part >= 5 * MIB && part.is_multiple_of(MIB));
            assert!(size.div_ceil(part) <= MOST_PARTS, "{size}");
        }
    }
}
