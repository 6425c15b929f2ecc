//! Listings in pages, and the space of the disk.
//!
//! A cursor is the directory's device and inode and the file system's own position in it, as
//! an NFS server uses it: entries that stay are told exactly once, whatever is added or
//! removed between two pages.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;

use super::disk::{Disk, node};
use super::sys::{self, Entry, Stat};
use super::{error, names};
use crate::drive::{Cursor, DriveError, ErrorKind, NodeId, Page, Quota, Result};

/// Entries per page.
pub const PAGE_SIZE: u32 = 1000;
/// Longest name the kernel hands on; stand-ins can make a name longer than on the disk.
const MAX_SHOWN: usize = 255;

/// One page of a directory.
pub fn page(disk: &Disk, dir: &NodeId, cursor: Option<&Cursor>) -> Result<Page> {
    let id = dir.as_str();
    let failed = |error: std::io::Error| error::of("list", id, &error);
    let place = disk.dir(id)?;
    let flags = libc::O_RDONLY | libc::O_DIRECTORY;
    let open = sys::open_at(&place, OsStr::new("."), flags).map_err(failed)?;
    let here = sys::stat_fd(&open).map_err(failed)?;
    if let Some(cursor) = cursor {
        let position = position(cursor, &here)?;
        sys::seek_dir(&open, position).map_err(failed)?;
    }
    let own_mounts = disk.own_mounts(id)?;
    let (mut seen, mut next) = (Vec::new(), None);
    'reading: while let Some(entries) = sys::read_dir(&open).map_err(failed)? {
        for entry in entries {
            if seen.len() >= PAGE_SIZE as usize {
                break 'reading;
            }
            next = Some(entry.next);
            if !own_mounts.contains(&entry.name)
                && let Some(stat) = visible(&open, id, &entry)
            {
                seen.push((entry.name, stat));
            }
        }
    }
    let full = seen.len() >= PAGE_SIZE as usize;
    let next = next
        .filter(|_| full)
        .map(|position| Cursor(format!("{}:{}:{position}", here.dev, here.ino)));
    Ok(Page {
        nodes: nodes(disk, id, &seen),
        next,
    })
}

/// The nodes of entries, with what the index knows of the files.
fn nodes(
    disk: &Disk,
    parent: &str,
    seen: &[(std::ffi::OsString, Stat)],
) -> Vec<crate::drive::Node> {
    let ids: Vec<String> = seen
        .iter()
        .map(|(name, _)| names::join(parent, name))
        .collect();
    let known = disk.index.get_all(
        ids.iter()
            .zip(seen)
            .filter(|(_, (_, stat))| stat.is_file())
            .map(|(id, (_, stat))| (id.as_str(), stat)),
    );
    let mut known = known.into_iter();
    seen.iter()
        .map(|(name, stat)| {
            let digests = stat.is_file().then(|| known.next().flatten()).flatten();
            node(parent, name, stat, digests.as_ref())
        })
        .collect()
}

/// Files and directories that are not ours; what is gone already is not listed.
fn visible(dir: &OwnedFd, id: &str, entry: &Entry) -> Option<Stat> {
    if entry.special || names::is_reserved(&entry.name) {
        return None;
    }
    let shown = names::shown(&entry.name);
    if shown.len() > MAX_SHOWN {
        tracing::warn!(dir = id, name = %shown, "the name is too long to be shown; left out");
        return None;
    }
    let stat = sys::stat_at(dir, &entry.name).ok()?;
    (stat.is_file() || stat.is_dir()).then_some(stat)
}

fn position(cursor: &Cursor, here: &Stat) -> Result<i64> {
    let mut fields = cursor.0.split(':');
    let dev = fields.next().and_then(|n| n.parse::<u64>().ok());
    let ino = fields.next().and_then(|n| n.parse::<u64>().ok());
    let position = fields.next().and_then(|n| n.parse::<i64>().ok());
    let (Some(dev), Some(ino), Some(position), None) = (dev, ino, position, fields.next()) else {
        return Err(DriveError::new(
            ErrorKind::Invalid,
            format!("{:?} is no cursor of this drive", cursor.0),
        ));
    };
    if (dev, ino) != (here.dev, here.ino) {
        return Err(DriveError::new(
            ErrorKind::Changed,
            "the directory was replaced while it was listed",
        ));
    }
    Ok(position)
}

/// Space of the file system; what is reserved for the administrator counts as used.
pub fn quota(disk: &Disk) -> Result<Quota> {
    let root = disk.dir("")?;
    let (total, available) = sys::space(&root).map_err(|error| error::of("quota", "", &error))?;
    Ok(Quota {
        total,
        used: total.saturating_sub(available),
    })
}
