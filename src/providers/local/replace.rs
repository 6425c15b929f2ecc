//! A new file in the place of an old one. The name is never missing, and the old file is in the
//! trash afterwards, with a note by which it can come back.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;

use super::disk::{Disk, Place};
use super::error;
use super::sys::{self, Stat};
use super::trash::{Item, in_some_trash};
use crate::drive::{DriveError, ErrorKind, Result};
use crate::net::Retry;

/// How often the name may come or go under our hands.
const TRIES: usize = 8;

/// How the old file gets into the trash and the new one into its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The new file goes to the old one's place in the trash, then both change their names in one
    /// step. Whatever has the name at that moment is kept.
    Exchange,
    /// The old file gets a second name in the trash, then the new one is renamed over it.
    Link,
    /// The old file is moved to the trash and comes back when the new one cannot take its name:
    /// for an instant the name is missing. File systems without the others (FAT) leave no choice.
    Aside,
}

const WAYS: [Way; 3] = [Way::Exchange, Way::Link, Way::Aside];

/// Why a way did not lead to the end.
enum Stopped {
    /// This file system does not have it; nothing has changed.
    Unable,
    /// The name came or went meanwhile; nothing has changed.
    Moved,
    /// The disk's error; nothing has changed.
    Failed(io::Error),
}

/// Gives the hidden file `name` in `from` the name `place`. A file there goes to the trash.
///
/// # Errors
/// `Exists` when a directory has the name, `NotFound` when the hidden file is gone, and those of
/// the disk. The old file has its name then.
pub fn replace(disk: &Disk, from: &OwnedFd, name: &OsStr, place: &Place) -> Result<()> {
    replace_by(disk, from, name, place, &WAYS)
}

fn replace_by(
    disk: &Disk,
    from: &OwnedFd,
    name: &OsStr,
    place: &Place,
    ways: &[Way],
) -> Result<()> {
    let id = place.id();
    let failed = |error: io::Error| error::of("commit", &id, &error);
    sys::stat_at(from, name).map_err(failed)?;
    for _ in 0..TRIES {
        let old = match sys::stat_at(&place.dir, &place.name) {
            Ok(old) if old.is_dir() => {
                return Err(DriveError::new(
                    ErrorKind::Exists,
                    format!("{id:?} is a directory"),
                ));
            }
            Ok(old) => old,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match sys::rename_new(from, name, &place.dir, &place.name) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                    done => return done.map_err(failed),
                }
            }
            Err(error) => return Err(failed(error)),
        };
        let done = in_some_trash(place, |top| {
            replace_known(disk, from, name, place, &old, top, ways)
        })?;
        if done {
            return Ok(());
        }
    }
    Err(DriveError::new(
        ErrorKind::Busy,
        format!("{id:?} is being replaced again and again by another program"),
    )
    .retry(Retry::Backoff))
}

/// Replaces an entry that was just seen. False when it is not there any more.
fn replace_known(
    disk: &Disk,
    from: &OwnedFd,
    name: &OsStr,
    place: &Place,
    old: &Stat,
    top: &str,
    ways: &[Way],
) -> Result<bool> {
    let id = place.id();
    let known = disk.index.get(&id, old);
    let item = Item::begin(disk, top, place, old)?;
    for way in ways {
        let gone = match swap(*way, from, name, place, &item.place) {
            Ok(()) => {
                // Another one than was seen is in the trash as well, only not by its inode.
                let kept = sys::stat_at(&item.place.dir, &item.place.name);
                if let (Some(known), Ok(kept)) = (known, kept)
                    && kept.ino == old.ino
                {
                    disk.index.put(&item.place.id(), &kept, &known);
                }
                disk.sync_dir(&item.place);
                return Ok(true);
            }
            Err(Stopped::Unable) => continue,
            Err(Stopped::Moved) => Ok(false),
            Err(Stopped::Failed(error)) => Err(error::of("commit", &id, &error)),
        };
        item.cancel();
        return gone;
    }
    item.cancel();
    Err(DriveError::unsupported("a replacement on this file system"))
}

fn swap(
    way: Way,
    from: &OwnedFd,
    name: &OsStr,
    place: &Place,
    trash: &Place,
) -> std::result::Result<(), Stopped> {
    match way {
        Way::Exchange => {
            sys::rename_new(from, name, &trash.dir, &trash.name).map_err(Stopped::Failed)?;
            sys::exchange(&trash.dir, &trash.name, &place.dir, &place.name).map_err(|error| {
                match sys::rename_new(&trash.dir, &trash.name, from, name) {
                    Ok(()) => why(error),
                    Err(lost) => Stopped::Failed(lost),
                }
            })
        }
        Way::Link => {
            sys::link(&place.dir, &place.name, &trash.dir, &trash.name).map_err(why)?;
            sys::replace(from, name, &place.dir, &place.name).map_err(|error| {
                let _ = sys::unlink_at(&trash.dir, &trash.name, false);
                Stopped::Failed(error)
            })
        }
        Way::Aside => {
            sys::rename_new(&place.dir, &place.name, &trash.dir, &trash.name).map_err(why)?;
            sys::rename_new(from, name, &place.dir, &place.name).map_err(|error| {
                match sys::rename_new(&trash.dir, &trash.name, &place.dir, &place.name) {
                    Ok(()) => Stopped::Failed(error),
                    // A third file has the name by now; the old one stays in the trash.
                    Err(_) => Stopped::Moved,
                }
            })
        }
    }
}

fn why(error: io::Error) -> Stopped {
    match error.raw_os_error() {
        Some(libc::ENOENT) => Stopped::Moved,
        Some(libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP | libc::EPERM | libc::EMLINK) => {
            Stopped::Unable
        }
        _ => Stopped::Failed(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use super::super::names;
    use super::super::trash::restore;
    use super::super::unfinished::create;
    use super::*;
    use crate::drive::NodeId;
    use crate::net::SystemClock;

    fn disk(temp: &tempfile::TempDir) -> Disk {
        let root = temp.path().join("root");
        fs::create_dir_all(&root).unwrap();
        let state = temp.path().join("state");
        Disk::open(root.to_str().unwrap(), &state, Arc::new(SystemClock)).unwrap()
    }

    /// Each way a file system may leave us: the new file has the name, the old one comes back.
    #[test]
    fn the_old_file_is_in_the_trash_by_every_way() {
        for way in WAYS {
            let temp = tempfile::tempdir().unwrap();
            let root = temp.path().join("root");
            let disk = disk(&temp);
            fs::write(root.join("f"), "old").unwrap();
            let node = disk.stat(&NodeId::new("f")).unwrap();
            let place = disk.new_place("", "f").unwrap();
            let (hidden, _) = create(&place, 0).unwrap();
            fs::write(root.join(&hidden), "new").unwrap();
            replace_by(&disk, &place.dir, &hidden, &place, &[way]).unwrap();
            assert_eq!(fs::read(root.join("f")).unwrap(), b"new", "{way:?}");
            assert!(!root.join(&hidden).exists(), "{way:?}");
            fs::remove_file(root.join("f")).unwrap();
            assert_eq!(restore(&disk, &node).unwrap().id, node.id);
            assert_eq!(fs::read(root.join("f")).unwrap(), b"old", "{way:?}");
            let bin = fs::read_dir(root.join(names::TRASH)).unwrap();
            assert_eq!(bin.count(), 0, "{way:?}");
        }
    }

    #[test]
    fn without_an_old_file_nothing_comes_to_the_trash() {
        for way in WAYS {
            let temp = tempfile::tempdir().unwrap();
            let root = temp.path().join("root");
            let disk = disk(&temp);
            let place = disk.new_place("", "f").unwrap();
            let (hidden, _) = create(&place, 0).unwrap();
            replace_by(&disk, &place.dir, &hidden, &place, &[way]).unwrap();
            assert!(root.join("f").exists() && !root.join(names::TRASH).exists());
            // The hidden file is gone: told, and nothing is left in the trash.
            let error = replace_by(&disk, &place.dir, &hidden, &place, &[way]).unwrap_err();
            assert_eq!(error.kind, ErrorKind::NotFound);
            // A directory is no file to be replaced.
            fs::remove_file(root.join("f")).unwrap();
            fs::create_dir(root.join("f")).unwrap();
            let (hidden, _) = create(&place, 0).unwrap();
            let error = replace_by(&disk, &place.dir, &hidden, &place, &[way]).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Exists);
            assert!(root.join(&hidden).exists() && !root.join(names::TRASH).exists());
        }
    }

    /// The new file vanishes at the worst moment: the old one has its name as before.
    #[test]
    fn a_replacement_that_fails_half_way_is_undone() {
        for way in WAYS {
            let temp = tempfile::tempdir().unwrap();
            let root = temp.path().join("root");
            let disk = disk(&temp);
            fs::write(root.join("f"), "old").unwrap();
            let place = disk.new_place("", "f").unwrap();
            let old = disk.look(&place).unwrap();
            let item = Item::begin(&disk, "", &place, &old).unwrap();
            let gone = OsStr::new("gone");
            let failed = swap(way, &place.dir, gone, &place, &item.place);
            assert!(matches!(failed, Err(Stopped::Failed(_))), "{way:?}");
            assert_eq!(fs::read(root.join("f")).unwrap(), b"old", "{way:?}");
            item.cancel();
            let bin = fs::read_dir(root.join(names::TRASH)).unwrap();
            assert_eq!(bin.count(), 0, "{way:?}");
        }
    }

    /// A file in the way of the trash: the overwrite is refused, the old file keeps its name.
    #[test]
    fn without_a_trash_nothing_is_replaced() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("root");
        let disk = disk(&temp);
        fs::write(root.join(names::TRASH), "in the way").unwrap();
        fs::write(root.join("f"), "old").unwrap();
        let place = disk.new_place("", "f").unwrap();
        let (hidden, _) = create(&place, 0).unwrap();
        let error = replace(&disk, &place.dir, &hidden, &place).unwrap_err();
        assert_eq!(error.kind, ErrorKind::LocalDisk, "{error}");
        assert_eq!(fs::read(root.join("f")).unwrap(), b"old");
        assert!(root.join(&hidden).exists());
        let node = disk.stat(&NodeId::new("f")).unwrap();
        assert!(super::super::trash::trash(&disk, &node).is_err());
        assert!(root.join("f").exists());
    }
}
