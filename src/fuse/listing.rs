//! Directories for `readdir` and `readdirplus`.

use fuser::{FileHandle, FileType, Generation, INodeNo, ReplyDirectory, ReplyDirectoryPlus};

use super::convert;
use crate::vfs::{FileKind, Vfs};

/// The inode number of `..` in a listing. Nobody can do anything with it.
const UNKNOWN_INODE: u64 = 0xffff_ffff;

/// Names of a listing that are not in the directory.
const DOTS: [&str; 2] = [".", ".."];

/// Names from an offset of the kernel on, as many as fit.
pub(super) fn names(
    vfs: &Vfs,
    ino: INodeNo,
    handle: FileHandle,
    offset: u64,
    mut reply: ReplyDirectory,
) {
    for (at, name) in dots_from(offset) {
        let number = if name == "." {
            ino
        } else {
            INodeNo(UNKNOWN_INODE)
        };
        if reply.add(number, at, FileType::Directory, name) {
            return reply.ok();
        }
    }
    let listed = vfs.readdir(handle.0, after_dots(offset), |next, name| {
        let kind = match name.kind {
            FileKind::Dir => FileType::Directory,
            FileKind::File => FileType::RegularFile,
        };
        !reply.add(
            INodeNo(name.ino),
            next + DOTS.len() as u64,
            kind,
            &name.name,
        )
    });
    match listed {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(convert::errno(&error)),
    }
}

/// The same with attributes. Every name but the dots hands an inode to the kernel.
pub(super) fn names_and_attributes(
    vfs: &Vfs,
    ino: INodeNo,
    handle: FileHandle,
    offset: u64,
    mut reply: ReplyDirectoryPlus,
) {
    let settings = vfs.settings();
    for (at, name) in dots_from(offset) {
        let Ok(directory) = vfs.getattr(ino.0) else {
            break;
        };
        let mut shown = convert::attr(&directory, settings);
        if name == ".." {
            shown.ino = INodeNo(UNKNOWN_INODE);
        }
        let ttl = convert::ttl(&directory, settings);
        // Node id 0: no reference of the kernel.
        if reply.add(INodeNo(0), at, name, &ttl, &shown, Generation(0)) {
            return reply.ok();
        }
    }
    let listed = vfs.readdir(handle.0, after_dots(offset), |next, name| {
        // One that is gone since the directory was opened is left out.
        let Some(attr) = vfs.readdir_attr(name) else {
            return true;
        };
        let full = reply.add(
            INodeNo(name.ino),
            next + DOTS.len() as u64,
            &name.name,
            &convert::ttl(&attr, settings),
            &convert::attr(&attr, settings),
            Generation(attr.generation),
        );
        if full {
            vfs.readdir_attr_unused(name);
        }
        !full
    });
    match listed {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(convert::errno(&error)),
    }
}

/// `.` and `..` from an offset of the kernel on, each with the offset after it.
fn dots_from(offset: u64) -> impl Iterator<Item = (u64, &'static str)> {
    let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
    DOTS.into_iter()
        .enumerate()
        .skip(skipped)
        .map(|(at, name)| (at as u64 + 1, name))
}

/// The offset among the names of the directory.
fn after_dots(offset: u64) -> u64 {
    offset.saturating_sub(DOTS.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_begins_with_the_dots() {
        let dots: Vec<_> = dots_from(0).collect();
        assert_eq!(dots, [(1, "."), (2, "..")]);
        assert_eq!(dots_from(1).collect::<Vec<_>>(), [(2, "..")]);
        assert_eq!(dots_from(2).count(), 0);
        assert_eq!(dots_from(u64::MAX).count(), 0);
        assert_eq!((after_dots(0), after_dots(2), after_dots(7)), (0, 0, 5));
    }
}
