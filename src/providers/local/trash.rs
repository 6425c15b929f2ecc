//! The trash: `.panfuse-trash/<inode>-<uuid>/<name>` with a note `<inode>-<uuid>.json` beside
//! it, in the top of the drive, or in the entry's own directory where that is on another file
//! system. Nothing is ever removed from it.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

use super::disk::{Disk, Place, inode, is_entry, version};
use super::sys::{self, Stat};
use super::write::{learn_move, move_entry};
use super::{error, names};
use crate::drive::{DriveError, ErrorKind, Node, NodeId, Result};

/// What is written about a trashed entry.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// Its id.
    path: String,
    /// Its version, to know it again.
    version: String,
    /// Milliseconds since the epoch.
    trashed_at: i64,
}

/// Longest note that is read.
const NOTE: u64 = 64 << 10;

pub fn trash(disk: &Disk, node: &Node) -> Result<()> {
    let (from, stat) = match disk.known(node) {
        Ok(known) => known,
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    match in_some_trash(&from, |top| trash_below(disk, node, &from, &stat, top)) {
        // Somebody was faster.
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Tries the trash in the top, then the one beside the entry: another file system may be mounted
/// below the top, or the top may not be ours to write to.
pub fn in_some_trash<T>(from: &Place, attempt: impl Fn(&str) -> Result<T>) -> Result<T> {
    match attempt("") {
        Err(error)
            if matches!(
                error.kind,
                ErrorKind::Unsupported | ErrorKind::Auth | ErrorKind::ReadOnly
            ) && !from.parent.is_empty() =>
        {
            attempt(&from.parent)
        }
        other => other,
    }
}

fn trash_below(disk: &Disk, node: &Node, from: &Place, stat: &Stat, top: &str) -> Result<()> {
    let item = Item::begin(disk, top, from, stat)?;
    let known = stat
        .is_file()
        .then(|| disk.index.get(&from.id(), stat))
        .flatten();
    match move_entry(node, from, &item.place) {
        Ok(moved) => {
            learn_move(disk, &from.id(), &item.place.id(), &moved, known.as_ref());
            disk.sync_dir(from);
            Ok(())
        }
        Err(error) => {
            item.cancel();
            Err(error)
        }
    }
}

/// A place in a trash with its note, for an entry that is about to come there.
pub struct Item {
    bin: OwnedFd,
    item: OsString,
    note: OsString,
    /// Where the entry goes; nothing is there yet.
    pub place: Place,
}

impl Item {
    /// Makes the place and its note, both durable: an entry in the trash can always go back.
    /// `top` is the directory whose trash it is; `from` and `stat` tell of the entry.
    ///
    /// # Errors
    /// Those of the disk, with nothing left behind.
    pub fn begin(disk: &Disk, top: &str, from: &Place, stat: &Stat) -> Result<Item> {
        let id = from.id();
        let failed = |error: std::io::Error| error::of("trash", &id, &error);
        let top_dir = disk.dir(top)?;
        let trash = OsStr::new(names::TRASH);
        match sys::mkdir_at(&top_dir, trash, 0o700) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            _ => {}
        }
        // Something else of that name must not look as if the entry were gone.
        let bin = open_dir(&top_dir, trash).map_err(|error| {
            let error = failed(error);
            DriveError {
                kind: match error.kind {
                    ErrorKind::NotFound => ErrorKind::LocalDisk,
                    kind => kind,
                },
                message: format!(
                    "{} is not usable as a trash: {}",
                    names::TRASH,
                    error.message
                ),
                ..error
            }
        })?;
        let unique = format!("{}-{}", stat.ino, uuid::Uuid::new_v4());
        let (item, note) = (
            OsString::from(&unique),
            OsString::from(format!("{unique}.json")),
        );
        let text = serde_json::to_vec(&Note {
            path: id.clone(),
            version: version(stat),
            trashed_at: disk.clock.now_ms(),
        })
        .map_err(|error| DriveError::new(ErrorKind::LocalDisk, error.to_string()))?;
        let made = (|| {
            let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
            let mut file = std::fs::File::from(sys::open_at(&bin, &note, flags)?);
            file.write_all(&text)?;
            file.sync_all()?;
            sys::mkdir_at(&bin, &item, 0o700)?;
            open_dir(&bin, &item)
        })();
        let dir = match made {
            Ok(dir) => dir,
            Err(error) => {
                let _ = sys::unlink_at(&bin, &item, true);
                let _ = sys::unlink_at(&bin, &note, false);
                return Err(failed(error));
            }
        };
        let place = Place {
            dir,
            parent: names::join(&names::join(top, trash), &item),
            name: from.name.clone(),
        };
        Ok(Item {
            bin,
            item,
            note,
            place,
        })
    }

    /// Takes the empty place away again; one that holds something stays as it is.
    pub fn cancel(self) {
        if sys::unlink_at(&self.bin, &self.item, true).is_ok() {
            let _ = sys::unlink_at(&self.bin, &self.note, false);
        }
    }
}

fn open_dir(dir: &OwnedFd, name: &OsStr) -> std::io::Result<OwnedFd> {
    sys::open_at(dir, name, libc::O_RDONLY | libc::O_DIRECTORY)
}

/// A trashed entry that is the one looked for.
struct Trashed {
    bin: OwnedFd,
    item: OsString,
    note: OsString,
    from: Place,
    stat: Stat,
    at: i64,
}

/// Brings back the entry that `node` was when it was trashed; the latest one when it was
/// trashed several times.
pub fn restore(disk: &Disk, node: &Node) -> Result<Node> {
    let to = disk.place(node.id.as_str())?;
    let mut tops = vec![String::new()];
    if !to.parent.is_empty() {
        tops.push(to.parent.clone());
    }
    let mut latest: Option<Trashed> = None;
    for top in tops {
        for found in look(disk, node, &top)? {
            if latest.as_ref().is_none_or(|other| found.at > other.at) {
                latest = Some(found);
            }
        }
    }
    let Some(found) = latest else {
        return Err(DriveError::not_found(format!("{:?} in the trash", node.id)));
    };
    let old = found.from.id();
    let known = (found.stat.is_file())
        .then(|| disk.index.get(&old, &found.stat))
        .flatten();
    let back = move_entry(node, &found.from, &to)?;
    learn_move(disk, &old, &to.id(), &back, known.as_ref());
    disk.sync_dir(&to);
    let _ = sys::unlink_at(&found.bin, &found.item, true);
    let _ = sys::unlink_at(&found.bin, &found.note, false);
    Ok(disk.node(&to, &back))
}

fn look(disk: &Disk, node: &Node, top: &str) -> Result<Vec<Trashed>> {
    let failed = |error: std::io::Error| error::of("restore", node.id.as_str(), &error);
    let trash = OsStr::new(names::TRASH);
    let top_dir = disk.dir(top)?;
    let open = || open_dir(&top_dir, trash);
    let bin = match open() {
        Ok(bin) => bin,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let inode = inode(&node.version)
        .ok_or_else(|| DriveError::new(ErrorKind::Invalid, "a node of another drive"))?;
    let (prefix, trash_id) = (format!("{inode}-"), names::join(top, trash));
    let (_, name) = names::split(node.id.as_str());
    let name = names::components(name)?.pop().unwrap_or_default();
    let mut all = Vec::new();
    while let Some(entries) = sys::read_dir(&bin).map_err(failed)? {
        for entry in entries {
            let Some(unique) = entry
                .name
                .to_str()
                .filter(|name| name.starts_with(&prefix))
                .and_then(|name| name.strip_suffix(".json"))
            else {
                continue;
            };
            let Some(note) = read_note(&bin, &entry.name) else {
                continue;
            };
            let item = OsString::from(unique);
            let Ok(dir) = open_dir(&bin, &item) else {
                continue;
            };
            let from = Place {
                dir,
                parent: names::join(&trash_id, &item),
                name: name.clone(),
            };
            let Ok(stat) = sys::stat_at(&from.dir, &from.name) else {
                continue;
            };
            if NodeId::new(note.path.as_str()) == node.id && is_entry(node, &stat) {
                all.push(Trashed {
                    bin: open().map_err(failed)?,
                    item,
                    note: entry.name,
                    from,
                    stat,
                    at: note.trashed_at,
                });
            }
        }
    }
    Ok(all)
}

fn read_note(bin: &OwnedFd, name: &OsStr) -> Option<Note> {
    let fd = sys::open_at(bin, name, libc::O_RDONLY | libc::O_NONBLOCK).ok()?;
    let mut text = Vec::new();
    std::fs::File::from(fd)
        .take(NOTE)
        .read_to_end(&mut text)
        .ok()?;
    serde_json::from_slice(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::SystemClock;
    use std::sync::Arc;

    /// What happens where another file system is mounted below the top.
    #[test]
    fn a_trash_beside_the_entry_gives_back_too() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("root");
        std::fs::create_dir_all(root.join("mounted")).unwrap();
        std::fs::write(root.join("mounted/f"), "f").unwrap();
        let state = temp.path().join("state");
        let disk = Disk::open(root.to_str().unwrap(), &state, Arc::new(SystemClock)).unwrap();
        let node = disk.stat(&NodeId::new("mounted/f")).unwrap();
        let (from, stat) = disk.known(&node).unwrap();
        trash_below(&disk, &node, &from, &stat, "mounted").unwrap();
        assert!(!root.join("mounted/f").exists());
        assert!(root.join("mounted").join(names::TRASH).is_dir());
        let page = super::super::list::page(&disk, &NodeId::new("mounted"), None).unwrap();
        assert!(page.nodes.is_empty());
        assert_eq!(restore(&disk, &node).unwrap().id, node.id);
        assert_eq!(std::fs::read(root.join("mounted/f")).unwrap(), b"f");
    }

    #[test]
    fn an_entry_that_slipped_in_goes_back() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("f"), "f").unwrap();
        let state = temp.path().join("state");
        let path = temp.path().to_str().unwrap();
        let disk = Disk::open(path, &state, Arc::new(SystemClock)).unwrap();
        let node = disk.stat(&NodeId::new("f")).unwrap();
        let (from, stat) = disk.known(&node).unwrap();
        // Between the check and the rename.
        std::fs::rename(temp.path().join("f"), temp.path().join("g")).unwrap();
        std::fs::write(temp.path().join("f"), "other").unwrap();
        let error = trash_below(&disk, &node, &from, &stat, "").unwrap_err();
        assert_eq!(error.kind, ErrorKind::Changed);
        assert_eq!(std::fs::read(temp.path().join("f")).unwrap(), b"other");
        let bin = std::fs::read_dir(temp.path().join(names::TRASH)).unwrap();
        assert_eq!(bin.count(), 0, "nothing is left in the trash");
    }
}
