//! Writing and truncating.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Vfs;
use super::error::{FsError, FsResult};
use super::handles::FileHandle;
use super::inode::Inode;
use crate::content::Draft;

impl Vfs {
    /// Writes without waiting; `None` when the stage is full and [`Vfs::write`] must wait.
    pub fn write_now(&self, handle: u64, offset: u64, bytes: &[u8]) -> Option<FsResult<u32>> {
        let prepared = self.core.handles.get(handle).and_then(|handle| {
            let file = handle.file()?;
            let draft = self.prepare_write(file)?;
            let at = if file.append { draft.size() } else { offset };
            Ok((draft.try_write(at, bytes)?, handle.clone()))
        });
        match prepared {
            Ok((true, handle)) => Some(Ok(self.wrote(&handle, bytes.len()))),
            Ok((false, _)) => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// Writes, waiting for room in the stage.
    ///
    /// # Errors
    /// EBADF, ENOSPC, EIO of the local disk.
    pub async fn write(&self, handle: u64, offset: u64, bytes: &[u8]) -> FsResult<u32> {
        let handle = self.core.handles.get(handle)?;
        let file = handle.file()?;
        let draft = self.prepare_write(file)?;
        let at = if file.append { draft.size() } else { offset };
        draft.write(at, bytes).await?;
        Ok(self.wrote(&handle, bytes.len()))
    }

    fn prepare_write(&self, file: &FileHandle) -> FsResult<Arc<Draft>> {
        if !file.write {
            return Err(FsError::new(libc::EBADF));
        }
        self.draft_of(&file.inode)
    }

    fn wrote(&self, handle: &super::handles::Handle, bytes: usize) -> u32 {
        if let Ok(file) = handle.file() {
            file.wrote.store(true, Ordering::Relaxed);
            let now = self.now_ns();
            let mut state = file.inode.state();
            state.written_ns = now;
            state.attrs.mtime_ns = None;
        }
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    /// Sets the size, through a handle or by name.
    pub(super) async fn truncate(
        &self,
        inode: &Arc<Inode>,
        size: u64,
        handle: Option<u64>,
    ) -> FsResult<()> {
        if inode.is_dir() {
            return Err(FsError::new(libc::EISDIR));
        }
        let unchanged = {
            let state = inode.state();
            state.draft.is_none()
                && !state.is_busy()
                && state.node.as_ref().is_some_and(|node| node.size == size)
        };
        if unchanged {
            return Ok(());
        }
        if size == 0 {
            self.start_over(inode);
        } else {
            self.draft_of(inode)?.truncate(size);
        }
        let now = self.now_ns();
        let written_elsewhere = {
            let mut state = inode.state();
            state.written_ns = now;
            state.attrs.mtime_ns = None;
            state.writers > 0
        };
        if let Some(handle) = handle
            && let Ok(handle) = self.core.handles.get(handle)
            && let Ok(file) = handle.file()
        {
            file.wrote.store(true, Ordering::Relaxed);
            if size == 0 {
                // It was this handle that began anew.
                *file.copy() = None;
            }
            return Ok(());
        }
        if !written_elsewhere {
            // truncate(2): there is no close that would commit it.
            self.commit(inode, true, None).await?;
        }
        Ok(())
    }
}
