//! lookup, getattr, setattr, readdir.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Vfs;
use super::attr::Attr;
use super::control;
use super::error::{FsError, FsResult};
use super::handles::{DirEntry, DirHandle, Handle};
use super::inode::Inode;
use super::tree::{CONTROL_BASE, ROOT};

/// Changes of `setattr`; `None` leaves a field as it is. Times are nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetAttr {
    /// New size.
    pub size: Option<u64>,
    /// New mode bits.
    pub mode: Option<u32>,
    /// New access time.
    pub atime_ns: Option<i64>,
    /// New modification time.
    pub mtime_ns: Option<i64>,
    /// Handle the size is changed through.
    pub handle: Option<u64>,
}

impl Vfs {
    /// A name in a directory when memory knows the answer. Counts a reference of the kernel.
    pub fn lookup_now(&self, parent: u64, name: &str) -> Option<FsResult<Attr>> {
        if parent >= CONTROL_BASE || (parent == ROOT && name == control::NAME) {
            return Some(self.control_lookup(parent, name));
        }
        let dir = match self.tree().get(parent) {
            Ok(dir) => dir,
            Err(error) => return Some(Err(error)),
        };
        let found = self.child_now(&dir, name)?;
        self.refresh_if_stale(&dir);
        Some(found.map(|inode| self.entry(&inode)))
    }

    /// A name in a directory. Counts a reference of the kernel.
    ///
    /// # Errors
    /// ENOENT, ENOTDIR, ESTALE, and the drive's.
    pub async fn lookup(&self, parent: u64, name: &str) -> FsResult<Attr> {
        if let Some(found) = self.lookup_now(parent, name) {
            return found;
        }
        let dir = self.tree().get(parent)?;
        let inode = self.child(&dir, name).await?;
        Ok(self.entry(&inode))
    }

    /// How long the kernel may believe that a directory does not have a name it asked for. Not at
    /// all when the listing is being renewed: it may bring the name.
    pub fn negative_ttl(&self, parent: u64) -> Duration {
        let Ok(dir) = self.tree().get(parent) else {
            return Duration::ZERO;
        };
        let ttl = dir.volume.as_ref().map_or(i64::MAX, |v| v.ttl_ms);
        let state = dir.state();
        let age = self.engine().now_ms().saturating_sub(state.children.listed);
        if state.children.complete && age < ttl {
            self.settings().negative_ttl
        } else {
            Duration::ZERO
        }
    }

    /// The attributes of an inode that is handed to the kernel by name.
    pub(super) fn entry(&self, inode: &Inode) -> Attr {
        inode.lookups.fetch_add(1, Ordering::Relaxed);
        inode.attr(self.settings())
    }

    /// The kernel gives back `count` references.
    pub fn forget(&self, ino: u64, count: u64) {
        let Ok(inode) = self.tree().get(ino) else {
            return;
        };
        let before = inode.lookups.fetch_sub(count, Ordering::AcqRel);
        if before <= count {
            inode.lookups.store(0, Ordering::Release);
            let idle = {
                let state = inode.state();
                state.unlinked && state.opens == 0 && !state.is_busy()
            };
            if idle {
                self.tree().drop_inode(&inode);
            }
        }
    }

    /// Attributes. Never waits.
    ///
    /// # Errors
    /// ESTALE for an inode that is gone.
    pub fn getattr(&self, ino: u64) -> FsResult<Attr> {
        if ino >= CONTROL_BASE {
            return self.control_attr(ino);
        }
        Ok(self.tree().get(ino)?.attr(self.settings()))
    }

    /// Changes attributes.
    ///
    /// # Errors
    /// EROFS, EPERM, and the drive's for a changed size.
    pub async fn setattr(&self, ino: u64, change: SetAttr) -> FsResult<Attr> {
        if ino >= CONTROL_BASE {
            return self.control_attr(ino);
        }
        let opened = self.tree().get(ino)?;
        self.check_writable(&opened)?;
        let inode = self.meant(&opened, &change);
        if let Some(size) = change.size {
            self.check_change(&inode)?;
            self.truncate(&inode, size, change.handle).await?;
        }
        let stored = {
            let mut state = inode.state();
            if let Some(mode) = change.mode {
                state.attrs.mode = Some(mode & 0o7777);
            }
            if let Some(atime) = change.atime_ns {
                state.attrs.atime_ns = Some(atime);
            }
            if let Some(mtime) = change.mtime_ns {
                state.attrs.mtime_ns = Some(mtime);
            }
            match (state.key, &state.node) {
                (Some(key), Some(node)) if state.draft.is_none() => {
                    Some((key, node.version.clone(), state.attrs))
                }
                _ => None,
            }
        };
        if let Some((key, version, attrs)) = stored {
            self.engine().catalog().set_attrs(key, &version, attrs);
        }
        Ok(opened.attr(self.settings()))
    }

    /// Opens a directory: its names are fixed for the handle.
    ///
    /// # Errors
    /// ENOTDIR, and the drive's when it was never listed.
    pub async fn opendir(&self, ino: u64) -> FsResult<u64> {
        if let Some(opened) = self.opendir_now(ino) {
            return opened;
        }
        let dir = self.tree().get(ino)?;
        self.load(&dir).await?;
        Ok(self.open_names(&dir))
    }

    /// The same when memory knows the names.
    pub fn opendir_now(&self, ino: u64) -> Option<FsResult<u64>> {
        if ino >= CONTROL_BASE {
            let entries = self.control_entries(ino);
            return Some(
                entries.map(|entries| self.core.handles.add(Handle::Dir(DirHandle { entries }))),
            );
        }
        let dir = match self.tree().get(ino) {
            Ok(dir) if dir.is_dir() => dir,
            Ok(_) => return Some(Err(FsError::new(libc::ENOTDIR))),
            Err(error) => return Some(Err(error)),
        };
        if !dir.state().children.complete {
            return None;
        }
        self.refresh_if_stale(&dir);
        Some(Ok(self.open_names(&dir)))
    }

    fn open_names(&self, dir: &Arc<Inode>) -> u64 {
        let names: Vec<(String, u64)> = {
            let state = dir.state();
            state
                .children
                .names
                .iter()
                .map(|(name, ino)| (name.clone(), *ino))
                .collect()
        };
        let entries = names
            .into_iter()
            .filter_map(|(name, ino)| {
                let kind = self.tree().get(ino).ok()?.kind;
                Some(DirEntry { ino, kind, name })
            })
            .collect();
        self.core.handles.add(Handle::Dir(DirHandle { entries }))
    }

    /// Entries of an open directory from `offset` on (0-based). `visit` returns false when full.
    ///
    /// # Errors
    /// EBADF.
    pub fn readdir(
        &self,
        handle: u64,
        offset: u64,
        mut visit: impl FnMut(u64, &DirEntry) -> bool,
    ) -> FsResult<()> {
        let handle = self.core.handles.get(handle)?;
        let Handle::Dir(dir) = &*handle else {
            return Err(FsError::new(libc::ENOTDIR));
        };
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        for (at, entry) in dir.entries.iter().enumerate().skip(start) {
            if !visit(at as u64 + 1, entry) {
                break;
            }
        }
        Ok(())
    }

    /// The attributes for an entry of readdirplus; counts a reference of the kernel.
    pub fn readdir_attr(&self, entry: &DirEntry) -> Option<Attr> {
        if entry.ino >= CONTROL_BASE {
            return self.control_attr(entry.ino).ok();
        }
        let inode = self.tree().get(entry.ino).ok()?;
        Some(self.entry(&inode))
    }

    /// Takes back the reference of [`Vfs::readdir_attr`] for an entry that did not fit.
    pub fn readdir_attr_unused(&self, entry: &DirEntry) {
        if entry.ino < CONTROL_BASE {
            self.forget(entry.ino, 1);
        }
    }

    /// Closes a directory.
    pub fn releasedir(&self, handle: u64) {
        self.core.handles.remove(handle);
    }

    /// # Errors
    /// EROFS when the mount, the profile or the drive refuses writes; EPERM for the root.
    pub(super) fn check_writable(&self, inode: &Inode) -> FsResult<()> {
        if self.settings().read_only {
            return Err(FsError::new(libc::EROFS));
        }
        match &inode.volume {
            Some(volume) => Ok(volume.check_writable()?),
            None => Err(FsError::new(libc::EPERM)),
        }
    }

    /// # Errors
    /// EPERM for what its drive only shows; and as [`Self::check_writable`].
    pub(super) fn check_change(&self, inode: &Inode) -> FsResult<()> {
        self.check_writable(inode)?;
        let node = inode.state().node.clone();
        match (&inode.volume, node) {
            (Some(volume), Some(node)) => Ok(volume.drive.check_change(&node)?),
            _ => Ok(()),
        }
    }

    /// The inode of a path below the mount point (for commands).
    ///
    /// # Errors
    /// ENOENT and the drive's.
    pub async fn resolve(&self, path: &str) -> FsResult<u64> {
        let mut inode = self.tree().get(ROOT)?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            inode = self.child(&inode, name).await?;
        }
        Ok(inode.ino)
    }

    /// Lists a directory again, and everything listed below it when `deep`.
    ///
    /// # Errors
    /// The drive's.
    pub async fn refresh(&self, ino: u64, deep: bool) -> FsResult<u64> {
        let dir = self.tree().get(ino)?;
        if ino == ROOT || !dir.is_dir() {
            let all: Vec<u64> = dir.state().children.names.values().copied().collect();
            let mut listed = 0;
            for child in all {
                listed += Box::pin(self.refresh(child, deep)).await?;
            }
            return Ok(listed);
        }
        self.reload(&dir).await?;
        let mut listed = 1;
        if deep {
            let below: Vec<u64> = dir.state().children.names.values().copied().collect();
            for child in below {
                let known = self
                    .tree()
                    .get(child)
                    .is_ok_and(|child| child.is_dir() && child.state().children.complete);
                if known {
                    listed += Box::pin(self.refresh(child, true)).await?;
                }
            }
        }
        Ok(listed)
    }
}
