//! Requests of the kernel to the file system, and answers back.
//!
//! What memory can answer is answered in the thread that read the request. Everything else goes
//! to the runtime with the reply, so that no request holds up another. Every method enters the
//! runtime's context first: the file system may start work behind an answer.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use fuser::{
    BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, InitFlags, IoctlFlags, KernelConfig, LockOwner, OpenFlags, PollEvents,
    PollFlags, PollNotifier, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLseek, ReplyOpen, ReplyPoll,
    ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use tokio::runtime::{EnterGuard, Handle};

use super::answer::{METADATA_DEADLINE, change, here_or_there, query};
use super::convert::{self, XattrAnswer};
use crate::vfs::{Attr, FsError, FsResult, SetAttr, Vfs};

/// Largest READ and WRITE; what the kernel allows without a changed limit (facts/fuse.md A).
const MAX_WRITE: u32 = 1 << 20;

/// Requests of read-ahead and the like that may be under way.
const MAX_BACKGROUND: u16 = 64;

/// What we can do, when the kernel offers it (facts/fuse.md 0 and C2). Left out on purpose:
/// WRITEBACK_CACHE (writes would come late), locks (the kernel's local ones do), POSIX_ACL,
/// OVER_IO_URING and what else fuser takes but cannot honour.
const WANTED: [InitFlags; 8] = [
    InitFlags::FUSE_ASYNC_READ,
    InitFlags::FUSE_ATOMIC_O_TRUNC,
    InitFlags::FUSE_AUTO_INVAL_DATA,
    InitFlags::FUSE_DO_READDIRPLUS,
    InitFlags::FUSE_READDIRPLUS_AUTO,
    InitFlags::FUSE_PARALLEL_DIROPS,
    InitFlags::FUSE_ASYNC_DIO,
    // Else the kernel asks for `security.capability` before every write.
    InitFlags::FUSE_HANDLE_KILLPRIV_V2,
];

/// The inode number of `..` in a listing. Nobody can do anything with it.
const UNKNOWN_INODE: u64 = 0xffff_ffff;

/// Names of a listing that are not in the directory: `.` and `..`.
const DOTS: [&str; 2] = [".", ".."];

/// Free files that statfs tells: a drive has no such limit.
const FREE_FILES: u64 = 1_000_000_000;

/// The file system as fuser calls it.
pub(super) struct Adapter {
    vfs: Vfs,
    runtime: Handle,
}

impl Adapter {
    pub fn new(vfs: Vfs, runtime: Handle) -> Self {
        Adapter { vfs, runtime }
    }

    fn enter(&self) -> EnterGuard<'_> {
        self.runtime.enter()
    }

    /// Runs something that makes a name, and hands the new inode to the kernel.
    fn make(
        &self,
        request: &Request,
        work: impl Future<Output = FsResult<Attr>> + Send + 'static,
        reply: ReplyEntry,
    ) {
        let (vfs, caller) = (self.vfs.clone(), convert::caller(request));
        self.runtime.spawn(async move {
            let forgets = vfs.clone();
            // Nobody got the inode: the reference is given back.
            let made = change(caller, work, move |attr| forgets.forget(attr.ino, 1)).await;
            entry(&vfs, made, reply);
        });
    }

    /// Runs something that changes the drive and answers only how it went.
    fn alter(
        &self,
        request: &Request,
        work: impl Future<Output = FsResult<()>> + Send + 'static,
        reply: ReplyEmpty,
    ) {
        let caller = convert::caller(request);
        self.runtime.spawn(async move { empty(change(caller, work, drop).await, reply) });
    }
}

fn entry(vfs: &Vfs, found: FsResult<Attr>, reply: ReplyEntry) {
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

fn attributes(vfs: &Vfs, found: FsResult<Attr>, reply: ReplyAttr) {
    match found {
        Ok(attr) => {
            let settings = vfs.settings();
            reply.attr(&convert::ttl(&attr, settings), &convert::attr(&attr, settings));
        }
        Err(error) => reply.error(convert::errno(&error)),
    }
}

fn empty(result: FsResult<()>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(convert::errno(&error)),
    }
}

fn written(result: FsResult<u32>, reply: ReplyWrite) {
    match result {
        Ok(bytes) => reply.written(bytes),
        Err(error) => reply.error(convert::errno(&error)),
    }
}

fn opened_directory(result: FsResult<u64>, flags: FopenFlags, reply: ReplyOpen) {
    match result {
        Ok(handle) => reply.opened(FileHandle(handle), flags),
        Err(error) => reply.error(convert::errno(&error)),
    }
}

fn xattr(value: FsResult<Vec<u8>>, room: u32, reply: ReplyXattr) {
    match value {
        Ok(value) => match convert::xattr_answer(value.len(), room) {
            XattrAnswer::Size(size) => reply.size(size),
            XattrAnswer::Value => reply.data(&value),
            XattrAnswer::TooSmall => reply.error(Errno::ERANGE),
        },
        Err(error) => reply.error(convert::errno(&error)),
    }
}

/// Converts a name or answers with its error.
macro_rules! name_or_answer {
    ($name:expr, $reply:expr) => {
        match $name {
            Ok(name) => name,
            Err(error) => return $reply.error(convert::errno(&error)),
        }
    };
}

impl Filesystem for Adapter {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        for wanted in WANTED {
            if config.add_capabilities(wanted).is_err() {
                tracing::debug!(?wanted, "the kernel does not offer it");
            }
        }
        // MAX_PAGES is asked for by fuser itself.
        let _ = config.set_max_write(MAX_WRITE);
        let _ = config.set_max_background(MAX_BACKGROUND);
        Ok(())
    }

    fn lookup(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let _context = self.enter();
        let name = name_or_answer!(convert::existing_name(name), reply);
        if let Some(found) = self.vfs.lookup_now(parent.0, name) {
            return entry(&self.vfs, found, reply);
        }
        let (vfs, name, caller) = (self.vfs.clone(), name.to_owned(), convert::caller(request));
        self.runtime.spawn(async move {
            let looking = vfs.lookup(parent.0, &name);
            let found = query(caller, Some(METADATA_DEADLINE), looking).await;
            entry(&vfs, found, reply);
        });
    }

    fn forget(&self, _request: &Request, ino: INodeNo, count: u64) {
        let _context = self.enter();
        self.vfs.forget(ino.0, count);
    }

    fn getattr(
        &self,
        _request: &Request,
        ino: INodeNo,
        _handle: Option<FileHandle>,
        reply: ReplyAttr,
    ) {
        let _context = self.enter();
        attributes(&self.vfs, self.vfs.getattr(ino.0), reply);
    }

    /// Owner and group are the mount's; setting them has no effect and is no error, else
    /// `cp -a`, `tar` and `rsync -a` of root would fail at every file.
    fn setattr(
        &self,
        request: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let wanted = SetAttr {
            size,
            mode,
            atime_ns: atime.map(convert::requested_time),
            mtime_ns: mtime.map(convert::requested_time),
            handle: handle.map(|handle| handle.0),
        };
        let (vfs, caller) = (self.vfs.clone(), convert::caller(request));
        let changes = vfs.clone();
        let work = async move { changes.setattr(ino.0, wanted).await };
        self.runtime.spawn(async move {
            // A changed size of a closed file is a commit, which has deadlines of its own.
            let result = match wanted.size {
                Some(_) => work.await,
                None => change(caller, work, drop).await,
            };
            attributes(&vfs, result, reply);
        });
    }

    fn readlink(&self, _request: &Request, _ino: INodeNo, reply: ReplyData) {
        reply.error(Errno::EINVAL);
    }

    /// A regular file is made and closed at once; nothing else can be made.
    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        _rdev: u32,
        reply: ReplyEntry,
    ) {
        let name = name_or_answer!(convert::new_name(name), reply).to_owned();
        if mode & libc::S_IFMT != libc::S_IFREG {
            return reply.error(Errno::EPERM);
        }
        let (vfs, caller) = (self.vfs.clone(), convert::caller(request));
        let work = async move {
            let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY;
            let (attr, opened) = vfs.create(parent.0, &name, mode, flags, &caller).await?;
            vfs.release(opened.handle);
            Ok(attr)
        };
        self.make(request, work, reply);
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        let name = name_or_answer!(convert::new_name(name), reply).to_owned();
        let vfs = self.vfs.clone();
        let work = async move {
            let attr = vfs.mkdir(parent.0, &name).await?;
            let mode = mode & 0o7777;
            if u32::from(attr.perm) == mode {
                return Ok(attr);
            }
            let wanted = SetAttr { mode: Some(mode), ..SetAttr::default() };
            // The directory is there: a mode that cannot be kept is no failure of mkdir.
            Ok(vfs.setattr(attr.ino, wanted).await.unwrap_or(attr))
        };
        self.make(request, work, reply);
    }

    fn unlink(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let name = name_or_answer!(convert::existing_name(name), reply).to_owned();
        let vfs = self.vfs.clone();
        self.alter(request, async move { vfs.unlink(parent.0, &name).await }, reply);
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let name = name_or_answer!(convert::existing_name(name), reply).to_owned();
        let vfs = self.vfs.clone();
        self.alter(request, async move { vfs.rmdir(parent.0, &name).await }, reply);
    }

    fn symlink(
        &self,
        _request: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _target: &Path,
        reply: ReplyEntry,
    ) {
        reply.error(Errno::EPERM);
    }

    fn rename(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let name = name_or_answer!(convert::existing_name(name), reply).to_owned();
        let new_name = name_or_answer!(convert::new_name(new_name), reply).to_owned();
        let vfs = self.vfs.clone();
        let work = async move {
            vfs.rename((parent.0, &name), (new_parent.0, &new_name), flags.bits()).await
        };
        self.alter(request, work, reply);
    }

    fn link(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _parent: INodeNo,
        _name: &OsStr,
        reply: ReplyEntry,
    ) {
        reply.error(Errno::EPERM);
    }

    fn open(&self, request: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let _context = self.enter();
        match self.vfs.open(ino.0, flags.0, &convert::caller(request)) {
            Ok(opened) => reply.opened(FileHandle(opened.handle), convert::open_flags(&opened)),
            Err(error) => reply.error(convert::errno(&error)),
        }
    }

    fn read(
        &self,
        request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let _context = self.enter();
        let (vfs, caller) = (self.vfs.clone(), convert::caller(request));
        let work = async move {
            query(caller, None, vfs.read(handle.0, offset, u64::from(size))).await
        };
        here_or_there(&self.runtime, work, move |result| match result {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(convert::errno(&error)),
        });
    }

    fn write(
        &self,
        request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let _context = self.enter();
        if let Some(result) = self.vfs.write_now(handle.0, offset, data) {
            return written(result, reply);
        }
        let (vfs, caller) = (self.vfs.clone(), convert::caller(request));
        let data = data.to_vec();
        self.runtime.spawn(async move {
            written(query(caller, None, vfs.write(handle.0, offset, &data)).await, reply);
        });
    }

    fn flush(
        &self,
        request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        let (vfs, caller) = (self.vfs.clone(), convert::caller(request));
        self.runtime.spawn(async move { empty(vfs.flush(handle.0, &caller).await, reply) });
    }

    fn release(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        let _context = self.enter();
        self.vfs.release(handle.0);
        reply.ok();
    }

    fn fsync(
        &self,
        request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        _data_only: bool,
        reply: ReplyEmpty,
    ) {
        let (vfs, caller) = (self.vfs.clone(), convert::caller(request));
        self.runtime.spawn(async move { empty(vfs.fsync(handle.0, &caller).await, reply) });
    }

    fn opendir(&self, request: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let _context = self.enter();
        let stable = self.vfs.getattr(ino.0).is_ok_and(|attr| attr.stable);
        let flags = convert::directory_flags(stable);
        if let Some(result) = self.vfs.opendir_now(ino.0) {
            return opened_directory(result, flags, reply);
        }
        let (vfs, caller) = (self.vfs.clone(), convert::caller(request));
        self.runtime.spawn(async move {
            let result = query(caller, Some(METADATA_DEADLINE), vfs.opendir(ino.0)).await;
            opened_directory(result, flags, reply);
        });
    }

    fn readdir(
        &self,
        _request: &Request,
        ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let _context = self.enter();
        for (at, name) in dots_from(offset) {
            let number = if name == "." { ino } else { INodeNo(UNKNOWN_INODE) };
            if reply.add(number, at, FileType::Directory, name) {
                return reply.ok();
            }
        }
        let listed = self.vfs.readdir(handle.0, after_dots(offset), |next, name| {
            let kind = match name.kind {
                crate::vfs::FileKind::Dir => FileType::Directory,
                crate::vfs::FileKind::File => FileType::RegularFile,
            };
            !reply.add(INodeNo(name.ino), next + DOTS.len() as u64, kind, &name.name)
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(convert::errno(&error)),
        }
    }

    fn readdirplus(
        &self,
        _request: &Request,
        ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let _context = self.enter();
        let settings = self.vfs.settings();
        for (at, name) in dots_from(offset) {
            let Ok(directory) = self.vfs.getattr(ino.0) else { break };
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
        let listed = self.vfs.readdir(handle.0, after_dots(offset), |next, name| {
            // One that is gone since the directory was opened is left out.
            let Some(attr) = self.vfs.readdir_attr(name) else { return true };
            let full = reply.add(
                INodeNo(name.ino),
                next + DOTS.len() as u64,
                &name.name,
                &convert::ttl(&attr, settings),
                &convert::attr(&attr, settings),
                Generation(attr.generation),
            );
            if full {
                self.vfs.readdir_attr_unused(name);
            }
            !full
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(convert::errno(&error)),
        }
    }

    fn releasedir(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        let _context = self.enter();
        self.vfs.releasedir(handle.0);
        reply.ok();
    }

    /// Names are at the provider, or in the journal, when they are answered.
    fn fsyncdir(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        _data_only: bool,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn statfs(&self, _request: &Request, ino: INodeNo, reply: ReplyStatfs) {
        let _context = self.enter();
        match self.vfs.statfs(ino.0) {
            Ok(space) => {
                let block = u64::from(convert::STATFS_BLOCK);
                let free = space.free / block;
                reply.statfs(
                    space.total / block,
                    free,
                    free,
                    space.files.saturating_add(FREE_FILES),
                    FREE_FILES,
                    convert::STATFS_BLOCK,
                    255,
                    convert::STATFS_BLOCK,
                );
            }
            Err(error) => reply.error(convert::errno(&error)),
        }
    }

    fn setxattr(
        &self,
        request: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        _flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        let Some(name) = convert::xattr_name(name) else {
            return reply.error(Errno::EOPNOTSUPP);
        };
        let (vfs, name, value) = (self.vfs.clone(), name.to_owned(), value.to_vec());
        self.alter(request, async move { vfs.setxattr(ino.0, &name, &value).await }, reply);
    }

    fn getxattr(
        &self,
        request: &Request,
        ino: INodeNo,
        name: &OsStr,
        size: u32,
        reply: ReplyXattr,
    ) {
        let Some(name) = convert::xattr_name(name) else {
            return reply.error(Errno::ENODATA);
        };
        let _context = self.enter();
        if let Some(value) = self.vfs.getxattr_now(ino.0, name) {
            return xattr(value, size, reply);
        }
        let (vfs, name, caller) = (self.vfs.clone(), name.to_owned(), convert::caller(request));
        self.runtime.spawn(async move {
            let asking = vfs.getxattr(ino.0, &name);
            xattr(query(caller, Some(METADATA_DEADLINE), asking).await, size, reply);
        });
    }

    fn listxattr(&self, _request: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let _context = self.enter();
        let names = self.vfs.listxattr(ino.0);
        xattr(names.map(|names| convert::xattr_list(&names)), size, reply);
    }

    fn removexattr(&self, _request: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let Some(name) = convert::xattr_name(name) else {
            return reply.error(Errno::ENODATA);
        };
        let _context = self.enter();
        empty(self.vfs.removexattr(ino.0, name), reply);
    }

    /// `default_permissions` is the kernel's to check; without it nobody asks again after this.
    fn access(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _mask: fuser::AccessFlags,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::ENOSYS);
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let name = name_or_answer!(convert::new_name(name), reply).to_owned();
        let (vfs, caller) = (self.vfs.clone(), convert::caller(request));
        self.runtime.spawn(async move {
            let (creates, closes) = (vfs.clone(), vfs.clone());
            let work = async move { creates.create(parent.0, &name, mode, flags, &caller).await };
            // Nobody got the handle: it is closed again.
            let late = move |(attr, opened): (Attr, crate::vfs::Opened)| {
                closes.release(opened.handle);
                closes.forget(attr.ino, 1);
            };
            match change(caller, work, late).await {
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
        });
    }

    fn ioctl(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        _flags: IoctlFlags,
        _command: u32,
        _data: &[u8],
        _out_size: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(Errno::ENOTTY);
    }

    /// The kernel then answers for itself: always ready.
    fn poll(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        _notifier: PollNotifier,
        _events: PollEvents,
        _flags: PollFlags,
        reply: ReplyPoll,
    ) {
        reply.error(Errno::ENOSYS);
    }

    fn fallocate(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        _offset: u64,
        _length: u64,
        _mode: i32,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::EOPNOTSUPP);
    }

    /// The kernel then answers for itself: a file without holes.
    fn lseek(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        _offset: i64,
        _whence: i32,
        reply: ReplyLseek,
    ) {
        reply.error(Errno::ENOSYS);
    }

    fn copy_file_range(
        &self,
        request: &Request,
        _source: INodeNo,
        source_handle: FileHandle,
        source_offset: u64,
        _target: INodeNo,
        target_handle: FileHandle,
        target_offset: u64,
        length: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let (vfs, caller) = (self.vfs.clone(), convert::caller(request));
        let length = length.min(convert::COPY_MAX);
        self.runtime.spawn(async move {
            let copied = vfs
                .copy_range(
                    (source_handle.0, source_offset),
                    (target_handle.0, target_offset),
                    length,
                    &caller,
                )
                .await;
            let copied = copied
                .and_then(|bytes| u32::try_from(bytes).map_err(|_| FsError::new(libc::EIO)));
            written(copied, reply);
        });
    }
}

/// `.` and `..` from an offset of the kernel on, each with the offset after it.
fn dots_from(offset: u64) -> impl Iterator<Item = (u64, &'static str)> {
    let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
    DOTS.into_iter().enumerate().skip(skipped).map(|(at, name)| (at as u64 + 1, name))
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

    #[test]
    fn nothing_is_asked_for_that_cannot_be_honoured() {
        let all = WANTED.into_iter().fold(InitFlags::empty(), |all, flag| all | flag);
        for refused in [
            InitFlags::FUSE_WRITEBACK_CACHE,
            InitFlags::FUSE_POSIX_LOCKS,
            InitFlags::FUSE_FLOCK_LOCKS,
            InitFlags::FUSE_SETXATTR_EXT,
            InitFlags::FUSE_OVER_IO_URING,
        ] {
            assert!(!all.intersects(refused), "{refused:?}");
        }
    }
}
