//! Streamed uploads: parts are written at their offsets into a hidden file in the target
//! directory; the commit renames it.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::disk::{Disk, METADATA, PIECE, Place, SYNC};
use super::hashing::Hashing;
use super::sys::{self, Stat};
use super::write::refuse_taken;
use super::{error, names, unfinished};
use crate::drive::{
    DriveError, ErrorKind, Node, OnConflict, PartReceipt, Result, UploadRequest, UploadSession,
};

/// Bytes per part.
pub const PART_SIZE: u64 = 8 << 20;
/// Parts in flight.
const PARALLEL: usize = 4;

/// An upload under way in this process.
pub struct Live {
    /// Where the hidden file is; the open directory stays right when it is renamed.
    place: Place,
    file: File,
    hashing: Hashing,
}

/// What a session keeps in the journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    /// Id of the directory.
    dir: String,
    /// Name of the hidden file.
    temporary: String,
    /// Its inode.
    inode: u64,
    /// Bytes of the whole.
    size: u64,
    /// Which run of the system it was made in: parts are durable only at the commit, so after
    /// a power failure they are sent again.
    boot: String,
}

impl State {
    fn of(session: &UploadSession) -> Result<State> {
        serde_json::from_value(session.state.clone()).map_err(|error| {
            DriveError::new(
                ErrorKind::Invalid,
                format!("this is no upload session of this drive: {error}"),
            )
        })
    }

    fn name(&self) -> Result<OsString> {
        names::as_temporary(&self.temporary).ok_or_else(|| {
            DriveError::new(
                ErrorKind::Invalid,
                "the session names a file that is not ours",
            )
        })
    }
}

fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

pub fn open(disk: &Disk, request: &UploadRequest) -> Result<UploadSession> {
    let place = disk.new_place(request.parent.as_str(), &request.name)?;
    if request.on_conflict == OnConflict::Refuse {
        refuse_taken(&place)?;
    }
    let (name, file) = unfinished::create(&place, request.size)?;
    let stat = sys::stat_fd(&file).map_err(|error| error::of("upload", &place.id(), &error))?;
    let state = State {
        dir: place.parent.clone(),
        temporary: name.to_string_lossy().into_owned(),
        inode: stat.ino,
        size: request.size,
        boot: boot(),
    };
    let live = Live {
        place: Place {
            name: name.clone(),
            ..place
        },
        file,
        hashing: Hashing::new(request.size, PART_SIZE, []),
    };
    remember(disk, name, live);
    Ok(UploadSession {
        state: serde_json::to_value(state)
            .map_err(|error| DriveError::new(ErrorKind::LocalDisk, error.to_string()))?,
        part_size: PART_SIZE,
        parallel: PARALLEL,
        accepted: Vec::new(),
        node: None,
    })
}

fn remember(disk: &Disk, name: OsString, live: Live) -> Arc<Live> {
    let mut all = disk.live.lock().unwrap_or_else(PoisonError::into_inner);
    // Whoever came first has the state of the parts.
    all.entry(name).or_insert_with(|| Arc::new(live)).clone()
}

fn forget(disk: &Disk, name: &OsString) -> Option<Arc<Live>> {
    let mut all = disk.live.lock().unwrap_or_else(PoisonError::into_inner);
    all.remove(name)
}

/// The hidden file of a session in `dir`, when it is there and the right one.
fn find(disk: &Disk, state: &State, dir: &str) -> Result<(Place, File)> {
    let place = Place {
        name: state.name()?,
        dir: disk.dir(dir)?,
        parent: dir.to_owned(),
    };
    let file = disk.open_file(&place, libc::O_RDWR)?;
    let stat = sys::stat_fd(&file).map_err(|error| error::of("upload", &place.id(), &error))?;
    if stat.ino != state.inode {
        return Err(DriveError::not_found("the unfinished file"));
    }
    Ok((place, file))
}

/// The upload of a session, taken up again when this process does not know it.
fn live(disk: &Disk, session: &UploadSession, state: &State) -> Result<Arc<Live>> {
    let name = state.name()?;
    let known = {
        let all = disk.live.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&name).cloned()
    };
    if let Some(live) = known {
        return Ok(live);
    }
    let (place, file) = find(disk, state, &state.dir)?;
    let written = session.accepted.iter().map(|receipt| receipt.number);
    let hashing = Hashing::new(state.size, session.part_size, written);
    Ok(remember(
        disk,
        name,
        Live {
            place,
            file,
            hashing,
        },
    ))
}

pub fn resume(
    disk: &Disk,
    request: &UploadRequest,
    mut session: UploadSession,
) -> Result<Option<UploadSession>> {
    let mut state = State::of(&session)?;
    if state.size != request.size || session.part_size == 0 {
        return Ok(None);
    }
    let mut found = None;
    // The directory may have another path by now, which the request knows.
    for dir in [state.dir.clone(), request.parent.as_str().to_owned()] {
        match find(disk, &state, &dir) {
            Ok((_, file)) => {
                found = Some((dir, file));
                break;
            }
            Err(error) if error.kind == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let Some((dir, file)) = found else {
        // What this process may still hold open has no name any more.
        forget(disk, &state.name()?);
        return Ok(None);
    };
    let length = file
        .metadata()
        .map_err(|error| error::of("upload", &request.name, &error))?
        .len();
    if state.boot != boot() || state.boot.is_empty() {
        session.accepted.clear();
        state.boot = boot();
    }
    let ranges = session.clone();
    session.accepted.retain(|receipt| {
        let range = ranges.part_range(request.size, receipt.number);
        receipt.number >= 1
            && receipt.number <= ranges.part_count(request.size)
            && receipt.size == range.end.saturating_sub(range.start)
            && range.end <= length
    });
    state.dir = dir;
    let live = live(disk, &session, &state)?;
    session.accepted = live
        .hashing
        .written()
        .into_iter()
        .map(|number| receipt(&session, request.size, number))
        .collect();
    session.state = serde_json::to_value(state)
        .map_err(|error| DriveError::new(ErrorKind::LocalDisk, error.to_string()))?;
    Ok(Some(session))
}

fn receipt(session: &UploadSession, size: u64, number: u32) -> PartReceipt {
    let range = session.part_range(size, number);
    PartReceipt {
        number,
        size: range.end.saturating_sub(range.start),
        tag: String::new(),
    }
}

pub fn put_part(
    disk: &Disk,
    session: &UploadSession,
    number: u32,
    bytes: &Bytes,
) -> Result<PartReceipt> {
    let state = State::of(session)?;
    let range = session.part_range(state.size, number);
    let receipt = receipt(session, state.size, number);
    if number == 0 || number > session.part_count(state.size) || receipt.size != bytes.len() as u64
    {
        return Err(DriveError::new(
            ErrorKind::Invalid,
            format!(
                "part {number} has {} bytes where {} belong",
                bytes.len(),
                receipt.size
            ),
        ));
    }
    let live = live(disk, session, &state)?;
    if !live.hashing.has(number) {
        live.file
            .write_all_at(bytes, range.start)
            .map_err(|error| error::of("upload", &live.place.id(), &error))?;
        sys::start_writeback(&live.file, range.start, receipt.size);
        live.hashing.wrote(number, bytes, &live.file);
    }
    Ok(receipt)
}

/// Finishes the file. When the hidden one is gone and the target is its inode, an earlier
/// commit went through and only its answer was lost.
pub async fn commit(
    disk: &Arc<Disk>,
    request: &UploadRequest,
    session: &UploadSession,
) -> Result<Node> {
    let state = State::of(session)?;
    let (wanted, upload, known) = (request.clone(), session.clone(), state.clone());
    let found = disk
        .run("commit", METADATA, move |disk| {
            match live(disk, &upload, &known) {
                Ok(live) => Ok(Ok(live)),
                Err(error) if error.kind == ErrorKind::NotFound => {
                    Ok(Err(committed(disk, &wanted, &known).ok_or(error)?))
                }
                Err(error) => Err(error),
            }
        })
        .await?;
    let live = match found {
        Ok(live) => live,
        Err(node) => return Ok(node),
    };
    if let Some(number) = live.hashing.missing() {
        return Err(DriveError::new(
            ErrorKind::Invalid,
            format!("part {number} was never sent"),
        ));
    }
    loop {
        let hashed = live.clone();
        let more = disk
            .run("commit", PIECE, move |_| {
                Ok(hashed.hashing.catch_up(&hashed.file))
            })
            .await?;
        if !more {
            break;
        }
    }
    let request = request.clone();
    disk.run("commit", SYNC, move |disk| {
        finish(disk, &live, &request, &state)
    })
    .await
}

fn finish(disk: &Disk, live: &Live, request: &UploadRequest, state: &State) -> Result<Node> {
    let place = disk.new_place(request.parent.as_str(), &request.name)?;
    let length = live
        .file
        .metadata()
        .map_err(|error| error::of("commit", &place.id(), &error))?
        .len();
    if length != request.size || state.size != request.size {
        return Err(DriveError::new(
            ErrorKind::Verification,
            format!("{length} bytes on the disk where {} belong", request.size),
        ));
    }
    let published = unfinished::publish(
        disk,
        &live.place.dir,
        &live.place.name,
        &live.file,
        &place,
        request.modified,
        request.on_conflict,
    );
    let stat = match published {
        Ok(stat) => stat,
        Err(error) if error.kind == ErrorKind::NotFound => {
            return committed(disk, request, state).ok_or(error);
        }
        Err(error) => return Err(error),
    };
    forget(disk, &live.place.name);
    if let Some(digests) = live.hashing.digests(disk.clock.now_ms()) {
        disk.index.put(&place.id(), &stat, &digests);
    }
    Ok(disk.node(&place, &stat))
}

/// The node an earlier commit of this session made.
fn committed(disk: &Disk, request: &UploadRequest, state: &State) -> Option<Node> {
    let place = disk
        .new_place(request.parent.as_str(), &request.name)
        .ok()?;
    let stat: Stat = disk.look(&place).ok()?;
    let ours = stat.is_file() && stat.ino == state.inode && stat.size == request.size;
    ours.then(|| {
        forget(disk, &OsString::from(&state.temporary));
        disk.node(&place, &stat)
    })
}

pub fn abandon(disk: &Disk, session: &UploadSession) -> Result<()> {
    let state = State::of(session)?;
    let name = state.name()?;
    let removed = match forget(disk, &name) {
        Some(live) => sys::unlink_at(&live.place.dir, &name, false)
            .map_err(|error| error::of("abandon", &live.place.id(), &error)),
        None => find(disk, &state, &state.dir).and_then(|(place, _)| {
            sys::unlink_at(&place.dir, &name, false)
                .map_err(|error| error::of("abandon", &place.id(), &error))
        }),
    };
    match removed {
        Err(error) if error.kind != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
