//! Directories, renames, moves and copies. Nothing here replaces anything.

use std::sync::Arc;

use super::disk::{Disk, METADATA, Place, changed, is_entry};
use super::error;
use super::index::Digests;
use super::sys::{self, Stat};
use super::unfinished::{Source, copy_to};
use crate::drive::{DriveError, ErrorKind, Node, NodeId, OnConflict, Result};

pub fn mkdir(disk: &Disk, parent: &NodeId, name: &str) -> Result<Node> {
    let place = disk.new_place(parent.as_str(), name)?;
    let failed = |error: std::io::Error| error::of("mkdir", &place.id(), &error);
    sys::mkdir_at(&place.dir, &place.name, 0o777).map_err(failed)?;
    disk.sync_dir(&place);
    let stat = disk.look(&place)?;
    Ok(disk.node(&place, &stat))
}

pub fn rename(disk: &Disk, node: &Node, name: &str) -> Result<Node> {
    let (from, stat) = disk.known(node)?;
    let to = disk.new_place(&from.parent, name)?;
    relocate(disk, node, &from, &stat, &to)
}

pub fn move_to(disk: &Disk, node: &Node, parent: &NodeId) -> Result<Node> {
    let (from, stat) = disk.known(node)?;
    let to = Place {
        dir: disk.dir(parent.as_str())?,
        parent: parent.as_str().to_owned(),
        name: from.name.clone(),
    };
    relocate(disk, node, &from, &stat, &to)
}

/// Gives an entry that was just checked another place.
pub fn relocate(disk: &Disk, node: &Node, from: &Place, stat: &Stat, to: &Place) -> Result<Node> {
    let (old, new) = (from.id(), to.id());
    if old == new {
        return Ok(disk.node(from, stat));
    }
    let known = stat.is_file().then(|| disk.index.get(&old, stat)).flatten();
    let moved = move_entry(node, from, to)?;
    learn_move(disk, &old, &new, &moved, known.as_ref());
    disk.sync_dir(to);
    if from.parent != to.parent {
        disk.sync_dir(from);
    }
    Ok(disk.node(to, &moved))
}

/// Renames and looks whether it was the entry that was meant: between the check and the
/// rename somebody may have put another one there. That one goes back.
pub fn move_entry(node: &Node, from: &Place, to: &Place) -> Result<Stat> {
    let failed = |error: std::io::Error| error::of("rename", &from.id(), &error);
    sys::rename_new(&from.dir, &from.name, &to.dir, &to.name).map_err(failed)?;
    let moved = sys::stat_at(&to.dir, &to.name).map_err(failed)?;
    if !is_entry(node, &moved) {
        sys::rename_new(&to.dir, &to.name, &from.dir, &from.name).map_err(failed)?;
        return Err(changed(node));
    }
    Ok(moved)
}

/// Tells the index about a move of ours (a rename changes the ctime).
pub fn learn_move(disk: &Disk, old: &str, new: &str, moved: &Stat, known: Option<&Digests>) {
    if moved.is_dir() {
        disk.index.move_dir(old, new);
    } else if let Some(digests) = known {
        disk.index.put(new, moved, digests);
    }
}

pub async fn copy(disk: &Arc<Disk>, node: &Node, parent: &NodeId, name: &str) -> Result<Node> {
    if node.is_dir() {
        return Err(DriveError::unsupported("a copy of a directory"));
    }
    let (node, parent, name) = (node.clone(), parent.clone(), name.to_owned());
    let (source, place) = disk
        .run("copy", METADATA, move |disk| {
            let (from, _) = disk.known(&node)?;
            let place = disk.new_place(parent.as_str(), &name)?;
            refuse_taken(&place)?;
            let file = disk.open_file(&from, libc::O_RDONLY)?;
            let stat =
                sys::stat_fd(&file).map_err(|error| error::of("copy", node.id.as_str(), &error))?;
            if !is_entry(&node, &stat) {
                return Err(changed(&node));
            }
            let digests = disk.index.get(node.id.as_str(), &stat);
            let source = Source {
                file,
                stat,
                digests,
                exact: false,
            };
            Ok((source, place))
        })
        .await?;
    let modified = i64::try_from(source.stat.mtime_ns.div_euclid(1_000_000)).ok();
    copy_to(disk, source, place, modified, OnConflict::Refuse).await
}

/// A first look, to save work; the rename at the end decides.
///
/// # Errors
/// `Exists`.
pub fn refuse_taken(place: &Place) -> Result<()> {
    match sys::stat_at(&place.dir, &place.name) {
        Ok(_) => Err(DriveError::new(
            ErrorKind::Exists,
            format!("{:?} exists already", place.id()),
        )),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error::of("stat", &place.id(), &error)),
    }
}
