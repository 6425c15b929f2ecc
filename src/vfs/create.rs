//! New files and directories.

use std::sync::Arc;

use super::Vfs;
use super::attr::{Attr, FileKind};
use super::caller::Caller;
use super::control;
use super::error::{FsError, FsResult};
use super::handles::Opened;
use super::inode::Inode;
use super::tree::{CONTROL_BASE, ROOT};
use crate::content::{Draft, Volume};
use crate::drive::ErrorKind;

impl Vfs {
    /// Creates and opens a file. Nothing is asked of the provider until it is closed.
    ///
    /// # Errors
    /// EEXIST with O_EXCL, EISDIR, EROFS, EPERM in the root, ENAMETOOLONG.
    pub async fn create(
        &self,
        parent: u64,
        name: &str,
        mode: u32,
        flags: i32,
        caller: &Caller,
    ) -> FsResult<(Attr, Opened)> {
        let (dir, volume) = self.target_dir(parent, name).await?;
        match self.child(&dir, name).await {
            Ok(existing) => {
                if flags & libc::O_EXCL != 0 {
                    return Err(FsError::new(libc::EEXIST));
                }
                let opened = self.open(existing.ino, flags, caller)?;
                return Ok((self.entry(&existing), opened));
            }
            Err(error) if error.errno == libc::ENOENT => {}
            Err(error) => return Err(error),
        }
        let (_, _, id) = self.published_dir(&dir)?;
        let replaces = self.engine().adopt(&volume.name, &id, name).await;
        let inode = self
            .tree()
            .make(FileKind::File, Some(volume), parent, name.to_owned());
        let draft = Draft::empty(self.engine().stage().clone(), self.note(&inode));
        draft.touch();
        {
            let mut state = inode.state();
            state.draft = Some(Arc::new(draft));
            state.replaces = replaces.map(Arc::new);
            state.attrs.mode = Some(mode & 0o7777);
            state.written_ns = self.now_ns();
        }
        self.add_name(&dir, name, inode.ino);
        let opened = self.open_file(inode.clone(), flags | libc::O_RDWR, caller);
        Ok((self.entry(&inode), opened))
    }

    /// Makes a directory at the provider.
    ///
    /// # Errors
    /// EEXIST, EROFS, EPERM in the root, ENAMETOOLONG, and the drive's.
    pub async fn mkdir(&self, parent: u64, name: &str) -> FsResult<Attr> {
        let (dir, volume) = self.target_dir(parent, name).await?;
        match self.child(&dir, name).await {
            Ok(_) => return Err(FsError::new(libc::EEXIST)),
            Err(error) if error.errno == libc::ENOENT => {}
            Err(error) => return Err(error),
        }
        let (_, key, id) = self.published_dir(&dir)?;
        let node = match volume.drive.mkdir(&id, name).await {
            Ok(node) => node,
            Err(error) => {
                if error.kind == crate::drive::ErrorKind::Exists {
                    // Somebody else made it: show it.
                    dir.state().children.complete = false;
                    self.engine().catalog().expire(key);
                }
                return Err(error.into());
            }
        };
        let catalog = self.engine().catalog();
        let entry = catalog
            .upsert(key, node, None)
            .ok_or(FsError::new(libc::ENOENT))?;
        // A directory that was just made is empty: no listing is needed.
        catalog.put_listing(entry.key, Vec::new(), self.engine().now_ms());
        let inode = self.inode_of(&volume, parent, name, &entry);
        {
            let mut state = inode.state();
            state.written_ns = self.now_ns();
            state.children.complete = true;
            state.children.listed = self.engine().now_ms();
        }
        self.add_name(&dir, name, inode.ino);
        Ok(self.entry(&inode))
    }

    /// The directory a name is to be made in, with all its checks.
    pub(super) async fn target_dir(
        &self,
        parent: u64,
        name: &str,
    ) -> FsResult<(Arc<Inode>, Volume)> {
        if parent >= CONTROL_BASE || (parent == ROOT && name == control::NAME) {
            return Err(FsError::new(libc::EPERM));
        }
        let dir = self.tree().get(parent)?;
        self.check_writable(&dir)?;
        if !dir.is_dir() {
            return Err(FsError::new(libc::ENOTDIR));
        }
        let volume = dir.volume.clone().ok_or(FsError::new(libc::EPERM))?;
        match volume.drive.check_name(name) {
            Err(error) if error.kind == ErrorKind::NameTooLong => return Err(error.into()),
            // What else a name may not be is told by the call that makes it.
            _ => {}
        }
        self.load(&dir).await?;
        Ok((dir, volume))
    }

    /// Puts a name into a directory in memory.
    pub(super) fn add_name(&self, dir: &Inode, name: &str, ino: u64) {
        let now = self.now_ns();
        let mut state = dir.state();
        state.children.names.insert(name.to_owned(), ino);
        state.attrs.mtime_ns = Some(now);
    }

    /// Takes a name out of a directory in memory, when it still means this inode.
    pub(super) fn remove_name(&self, dir: &Inode, name: &str, ino: u64) {
        let now = self.now_ns();
        let mut state = dir.state();
        if state.children.names.get(name) == Some(&ino) {
            state.children.names.remove(name);
            state.attrs.mtime_ns = Some(now);
        }
    }
}
