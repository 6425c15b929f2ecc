//! Requests of the kernel to the file system, and answers back.
//!
//! What memory can answer is answered in the thread that read the request. Everything else goes
//! to the runtime with the reply, so that no request holds up another. Every method enters the
//! runtime's context first: the file system may start work behind an answer.

use std::ffi::OsStr;
use std::io;
use std::time::SystemTime;

use fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, Filesystem, INodeNo,
    InitFlags, IoctlFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate,
    ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyOpen,
    ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use tokio::runtime::{EnterGuard, Handle};

use super::answer::{METADATA_DEADLINE, change, here_or_there, query};
use super::{convert, listing, replies};
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
            replies::entry(&vfs, made, reply);
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
        self.runtime
            .spawn(async move { replies::empty(change(caller, work, drop).await, reply) });
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

/// What is left out is answered by fuser: EPERM for symbolic and hard links; ENOSYS for lseek (the
/// kernel then shows a file without holes), poll (always ready) and locks (the kernel's local ones).
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
            return replies::looked_up(&self.vfs, parent.0, found, reply);
        }
        let (vfs, name, caller) = (self.vfs.clone(), name.to_owned(), convert::caller(request));
        self.runtime.spawn(async move {
            let looking = vfs.lookup(parent.0, &name);
            let found = query(caller, Some(METADATA_DEADLINE), looking).await;
            replies::looked_up(&vfs, parent.0, found, reply);
        });
    }

    /// `default_permissions` is the kernel's to check. It asks once and lets all pass from then on.
    fn access(&self, _request: &Request, _ino: INodeNo, _mask: AccessFlags, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
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
        replies::attributes(&self.vfs, self.vfs.getattr(ino.0), reply);
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
            replies::attributes(&vfs, result, reply);
        });
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
            let wanted = SetAttr {
                mode: Some(mode),
                ..SetAttr::default()
            };
            // The directory is there: a mode that cannot be kept is no failure of mkdir.
            Ok(vfs.setattr(attr.ino, wanted).await.unwrap_or(attr))
        };
        self.make(request, work, reply);
    }

    fn unlink(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let name = name_or_answer!(convert::existing_name(name), reply).to_owned();
        let vfs = self.vfs.clone();
        self.alter(
            request,
            async move { vfs.unlink(parent.0, &name).await },
            reply,
        );
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let name = name_or_answer!(convert::existing_name(name), reply).to_owned();
        let vfs = self.vfs.clone();
        self.alter(
            request,
            async move { vfs.rmdir(parent.0, &name).await },
            reply,
        );
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
            vfs.rename((parent.0, &name), (new_parent.0, &new_name), flags.bits())
                .await
        };
        self.alter(request, work, reply);
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
        let work =
            async move { query(caller, None, vfs.read(handle.0, offset, u64::from(size))).await };
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
            return replies::written(result, reply);
        }
        let (vfs, caller) = (self.vfs.clone(), convert::caller(request));
        let data = data.to_vec();
        self.runtime.spawn(async move {
            let result = query(caller, None, vfs.write(handle.0, offset, &data)).await;
            replies::written(result, reply);
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
        self.runtime
            .spawn(async move { replies::empty(vfs.flush(handle.0, &caller).await, reply) });
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
        self.runtime
            .spawn(async move { replies::empty(vfs.fsync(handle.0, &caller).await, reply) });
    }

    fn opendir(&self, request: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let _context = self.enter();
        let stable = self.vfs.getattr(ino.0).is_ok_and(|attr| attr.stable);
        let flags = convert::directory_flags(stable);
        if let Some(result) = self.vfs.opendir_now(ino.0) {
            return replies::opened_directory(result, flags, reply);
        }
        let (vfs, caller) = (self.vfs.clone(), convert::caller(request));
        self.runtime.spawn(async move {
            let result = query(caller, Some(METADATA_DEADLINE), vfs.opendir(ino.0)).await;
            replies::opened_directory(result, flags, reply);
        });
    }

    fn readdir(
        &self,
        _request: &Request,
        ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        reply: ReplyDirectory,
    ) {
        let _context = self.enter();
        listing::names(&self.vfs, ino, handle, offset, reply);
    }

    fn readdirplus(
        &self,
        _request: &Request,
        ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        reply: ReplyDirectoryPlus,
    ) {
        let _context = self.enter();
        listing::names_and_attributes(&self.vfs, ino, handle, offset, reply);
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

    /// Names are at the provider or in the journal by then.
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
        replies::space(self.vfs.statfs(ino.0), reply);
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
        self.alter(
            request,
            async move { vfs.setxattr(ino.0, &name, &value).await },
            reply,
        );
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
            return replies::xattr(value, size, reply);
        }
        let (vfs, name, caller) = (self.vfs.clone(), name.to_owned(), convert::caller(request));
        self.runtime.spawn(async move {
            let asking = vfs.getxattr(ino.0, &name);
            let value = query(caller, Some(METADATA_DEADLINE), asking).await;
            replies::xattr(value, size, reply);
        });
    }

    fn listxattr(&self, _request: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let _context = self.enter();
        let names = self.vfs.listxattr(ino.0);
        replies::xattr(names.map(|names| convert::xattr_list(&names)), size, reply);
    }

    fn removexattr(&self, _request: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let Some(name) = convert::xattr_name(name) else {
            return reply.error(Errno::ENODATA);
        };
        let _context = self.enter();
        replies::empty(self.vfs.removexattr(ino.0, name), reply);
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
            replies::created(&vfs, change(caller, work, late).await, reply);
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
            let copied =
                copied.and_then(|bytes| u32::try_from(bytes).map_err(|_| FsError::new(libc::EIO)));
            replies::written(copied, reply);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_asked_for_that_cannot_be_honoured() {
        let all: InitFlags = WANTED.into_iter().collect();
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
