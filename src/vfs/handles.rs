//! Open files and directories.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;

use super::attr::FileKind;
use super::error::{FsError, FsResult};
use super::inode::Inode;
use crate::content::RemoteContent;

/// An open file or directory.
pub(super) enum Handle {
    File(FileHandle),
    Dir(DirHandle),
    /// A virtual file with the text it had when it was opened.
    Text(Bytes),
    /// A file of this machine (what a crash left).
    Disk(Arc<std::fs::File>),
}

/// An open file.
pub(super) struct FileHandle {
    pub inode: Arc<Inode>,
    pub write: bool,
    pub append: bool,
    /// The process that opened it.
    pub opener: u32,
    /// Written since the last commit.
    pub wrote: AtomicBool,
    /// The writer was killed: nothing is published.
    pub killed: AtomicBool,
    /// The copy session that was opened through it.
    pub copy: Mutex<Option<OwnCopy>>,
    /// The file that was opened, when a new one beside it is written instead.
    pub opened_as: Option<Arc<Inode>>,
    /// Where sequential reading goes on, and how far reading ahead may go.
    pub reading: Mutex<super::blocks::Sequence>,
    /// The content this handle reads, with the version it had at open.
    pub content: Mutex<Option<Arc<RemoteContent>>>,
    /// Bytes of the provider's were read through it.
    pub served: AtomicBool,
}

/// An open directory: the names it had when it was opened, so that offsets stay good.
pub(super) struct DirHandle {
    pub entries: Vec<DirEntry>,
}

/// A copy session, as the handle that it goes through remembers it.
pub(super) struct OwnCopy {
    /// Id of its transfer.
    pub task: String,
    /// The process that copies.
    pub process: u32,
    /// [`super::inode::State::restarts`] when it began.
    pub restarts: u64,
}

impl FileHandle {
    pub fn copy(&self) -> MutexGuard<'_, Option<OwnCopy>> {
        self.copy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody else began the file anew while a copy went through this handle: what is
    /// still to come of that copy belongs to nothing.
    pub fn is_displaced(&self) -> bool {
        let restarts = self.inode.state().restarts;
        self.copy()
            .as_ref()
            .is_some_and(|copy| copy.restarts != restarts)
    }
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// Inode number.
    pub ino: u64,
    /// Kind.
    pub kind: FileKind,
    /// Name.
    pub name: String,
}

/// An opened handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its number.
    pub handle: u64,
    /// The kernel may keep the pages it has.
    pub keep_cache: bool,
    /// The kernel must not cache (virtual files).
    pub direct: bool,
}

/// The table of open handles.
#[derive(Default)]
pub(super) struct Handles {
    open: RwLock<HashMap<u64, Arc<Handle>>>,
    last: AtomicU64,
}

impl Handles {
    pub fn add(&self, handle: Handle) -> u64 {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        open.insert(number, Arc::new(handle));
        number
    }

    pub fn get(&self, number: u64) -> FsResult<Arc<Handle>> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.get(&number).cloned().ok_or(FsError::new(libc::EBADF))
    }

    pub fn remove(&self, number: u64) -> Option<Arc<Handle>> {
        self.open
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&number)
    }

    pub fn len(&self) -> usize {
        self.open
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}

impl Handle {
    pub fn file(&self) -> FsResult<&FileHandle> {
        match self {
            Handle::File(file) => Ok(file),
            Handle::Dir(_) => Err(FsError::new(libc::EISDIR)),
            Handle::Text(_) | Handle::Disk(_) => Err(FsError::new(libc::EBADF)),
        }
    }
}
