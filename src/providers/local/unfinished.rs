//! Files that are not finished yet: made under a hidden name beside their place, filled,
//! made durable and then renamed in one step.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::disk::{Disk, PIECE, Place, SYNC};
use super::index::Digests;
use super::replace::replace;
use super::sys::{self, Stat};
use super::{error, names};
use crate::drive::{DriveError, ErrorKind, Node, OnConflict, Result};

/// Bytes copied per step, so that every step has a deadline.
const STEP: u64 = 64 << 20;

/// A new hidden file beside `place`.
pub fn create(place: &Place, size: u64) -> Result<(OsString, File)> {
    let name = names::temporary();
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
    let fd = sys::open_at(&place.dir, &name, flags)
        .map_err(|error| error::of("create", &place.id(), &error))?;
    // A full disk is told before the first byte. File systems that cannot reserve take the
    // bytes as they come.
    if let Err(error) = sys::reserve(&fd, size)
        && matches!(
            error.raw_os_error(),
            Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG)
        )
    {
        let _ = sys::unlink_at(&place.dir, &name, false);
        return Err(error::of("create", &place.id(), &error));
    }
    Ok((name, fd.into()))
}

/// Sets the time, makes the bytes durable and gives the file its name. `from` is the directory
/// the hidden file is in.
pub fn publish(
    disk: &Disk,
    from: &OwnedFd,
    name: &OsString,
    file: &File,
    place: &Place,
    modified: Option<i64>,
    on_conflict: OnConflict,
) -> Result<Stat> {
    let id = place.id();
    let failed = |error: std::io::Error| error::of("commit", &id, &error);
    if let Some(time) = modified {
        let since = Duration::from_millis(time.unsigned_abs());
        let time = if time < 0 {
            UNIX_EPOCH.checked_sub(since)
        } else {
            UNIX_EPOCH.checked_add(since)
        };
        if let Some(time) = time {
            file.set_modified(time).map_err(failed)?;
        }
    }
    file.sync_all().map_err(failed)?;
    match on_conflict {
        OnConflict::Refuse => {
            sys::rename_new(from, name, &place.dir, &place.name).map_err(failed)?;
        }
        OnConflict::Replace => replace(disk, from, name, place)?,
    }
    disk.sync_dir(place);
    sys::stat_fd(file).map_err(failed)
}

/// A hidden file that goes away when it is not published.
struct Guard {
    place: Arc<Place>,
    name: OsString,
    file: Arc<File>,
    armed: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.armed {
            let _ = sys::unlink_at(&self.place.dir, &self.name, false);
        }
    }
}

/// What a copy is made of.
pub struct Source {
    pub file: File,
    /// Its state when it was opened and checked.
    pub stat: Stat,
    pub digests: Option<Digests>,
    /// Whether the copy is worthless unless the digests still hold at its end.
    pub exact: bool,
}

/// Makes a copy of `source` at `place`: shared blocks where the file system can, else a copy
/// inside the kernel.
///
/// # Errors
/// `Changed` when the source changed meanwhile; nothing is left behind then, as with any error.
pub async fn copy_to(
    disk: &Arc<Disk>,
    source: Source,
    place: Place,
    modified: Option<i64>,
    on_conflict: OnConflict,
) -> Result<Node> {
    let Source {
        file,
        stat,
        digests,
        exact,
    } = source;
    let place = Arc::new(place);
    let at = place.clone();
    let mut guard = disk
        .run("copy", PIECE, move |_| {
            // Nothing is reserved: a reflink needs no space.
            let (name, file) = create(&at, 0)?;
            Ok(Guard {
                place: at,
                name,
                file: Arc::new(file),
                armed: true,
            })
        })
        .await?;
    let file = Arc::new(file);
    fill(disk, &file, &guard.file, stat.size, &place).await?;
    let (name, target) = (guard.name.clone(), guard.file.clone());
    let node = disk
        .run("copy", SYNC, move |disk| {
            let id = place.id();
            let now = sys::stat_fd(&*file).map_err(|error| error::of("copy", &id, &error))?;
            let same = now.size == stat.size && now.mtime_ns == stat.mtime_ns;
            if !same || (exact && now.ctime_ns != stat.ctime_ns) {
                return Err(DriveError::new(
                    ErrorKind::Changed,
                    format!("the source of {id:?} changed while it was copied"),
                ));
            }
            let made = publish(
                disk,
                &place.dir,
                &name,
                &target,
                &place,
                modified,
                on_conflict,
            )?;
            if let Some(digests) = digests.filter(|_| now.ctime_ns == stat.ctime_ns) {
                disk.index.put(&id, &made, &digests);
            }
            Ok(disk.node(&place, &made))
        })
        .await?;
    guard.armed = false;
    Ok(node)
}

async fn fill(
    disk: &Arc<Disk>,
    source: &Arc<File>,
    target: &Arc<File>,
    size: u64,
    place: &Arc<Place>,
) -> Result<()> {
    let (from, to) = (source.clone(), target.clone());
    let shared = disk
        .run("copy", PIECE, move |_| {
            Ok(sys::clone_file(&*to, &*from).is_ok())
        })
        .await?;
    let mut copied = 0;
    while !shared && copied < size {
        let (from, to, at) = (source.clone(), target.clone(), place.clone());
        let step = STEP.min(size - copied);
        let more = disk
            .run("copy", PIECE, move |_| {
                // The standard library does this by copy_file_range(2) where it can.
                let done = std::io::copy(&mut (&*from).take(step), &mut &*to)
                    .map_err(|error| error::of("copy", &at.id(), &error))?;
                sys::start_writeback(&*to, copied, done);
                Ok(done)
            })
            .await?;
        if more == 0 {
            return Err(DriveError::new(
                ErrorKind::Changed,
                format!("the source of {:?} became shorter", place.id()),
            ));
        }
        copied = copied.saturating_add(more);
    }
    Ok(())
}
