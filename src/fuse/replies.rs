//! Results of the file system as answers of the kernel's protocol.

use fuser::{
    Errno, FileHandle, FopenFlags, Generation, ReplyAttr, ReplyCreate, ReplyEmpty, ReplyEntry,
    ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr,
};

use super::convert::{self, XattrAnswer};
use crate::vfs::{Attr, FsResult, Opened, StatFs, Vfs};

/// Free files that statfs tells: a drive has no such limit.
const FREE_FILES: u64 = 1_000_000_000;

/// Answers with an inode and what the kernel may remember of it.
pub(super) fn entry(vfs: &Vfs, found: FsResult<Attr>, reply: ReplyEntry) {
    match found {
        Ok(attr) => {
            let settings = vfs.settings();
            let generation = Generation(attr.generation);
            reply.entry(
                &convert::ttl(&attr, settings),
                &convert::attr(&attr, settings),
                generation,
            );
        }
        Err(error) => reply.error(convert::errno(&error)),
    }
}

/// Answers a lookup. Unlike an error, an entry without an inode may be remembered: the kernel then
/// believes for a while that there is no such name (fuse_lookup of the kernel: node id 0).
pub(super) fn looked_up(vfs: &Vfs, parent: u64, found: FsResult<Attr>, reply: ReplyEntry) {
    match found {
        Err(error) if error.errno == libc::ENOENT && error.cause.is_none() => {
            let ttl = vfs.negative_ttl(parent);
            if ttl.is_zero() {
                return reply.error(Errno::ENOENT);
            }
            let nothing = convert::attr(&Attr::nothing(), vfs.settings());
            reply.entry(&ttl, &nothing, Generation(0));
        }
        found => entry(vfs, found, reply),
    }
}

/// Answers with attributes.
pub(super) fn attributes(vfs: &Vfs, found: FsResult<Attr>, reply: ReplyAttr) {
    match found {
        Ok(attr) => {
            let settings = vfs.settings();
            reply.attr(
                &convert::ttl(&attr, settings),
                &convert::attr(&attr, settings),
            );
        }
        Err(error) => reply.error(convert::errno(&error)),
    }
}

/// Answers how it went.
pub(super) fn empty(result: FsResult<()>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(convert::errno(&error)),
    }
}

/// Answers with a number of bytes.
pub(super) fn written(result: FsResult<u32>, reply: ReplyWrite) {
    match result {
        Ok(bytes) => reply.written(bytes),
        Err(error) => reply.error(convert::errno(&error)),
    }
}

/// Answers with the handle of a directory.
pub(super) fn opened_directory(result: FsResult<u64>, flags: FopenFlags, reply: ReplyOpen) {
    match result {
        Ok(handle) => reply.opened(FileHandle(handle), flags),
        Err(error) => reply.error(convert::errno(&error)),
    }
}

/// Answers with a value, or its size when the caller has no `room`.
pub(super) fn xattr(value: FsResult<Vec<u8>>, room: u32, reply: ReplyXattr) {
    match value {
        Ok(value) => match convert::xattr_answer(value.len(), room) {
            XattrAnswer::Size(size) => reply.size(size),
            XattrAnswer::Value => reply.data(&value),
            XattrAnswer::TooSmall => reply.error(Errno::ERANGE),
        },
        Err(error) => reply.error(convert::errno(&error)),
    }
}

/// Answers with a new file that is open.
pub(super) fn created(vfs: &Vfs, made: FsResult<(Attr, Opened)>, reply: ReplyCreate) {
    match made {
        Ok((attr, opened)) => {
            let settings = vfs.settings();
            reply.created(
                &convert::ttl(&attr, settings),
                &convert::attr(&attr, settings),
                Generation(attr.generation),
                FileHandle(opened.handle),
                convert::open_flags(&opened),
            );
        }
        Err(error) => reply.error(convert::errno(&error)),
    }
}

/// Answers with the space of a drive.
pub(super) fn space(space: FsResult<StatFs>, reply: ReplyStatfs) {
    let block = u64::from(convert::STATFS_BLOCK);
    match space {
        Ok(space) => reply.statfs(
            space.total / block,
            space.free / block,
            space.free / block,
            space.files.saturating_add(FREE_FILES),
            FREE_FILES,
            convert::STATFS_BLOCK,
            255,
            convert::STATFS_BLOCK,
        ),
        Err(error) => reply.error(convert::errno(&error)),
    }
}
