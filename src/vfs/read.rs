//! Reading.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;

use super::Vfs;
use super::error::{FsError, FsResult};
use super::handles::{FileHandle, Handle};
use super::inode::Inode;
use crate::content::{ContentRef, RemoteContent};
use crate::drive::{Content, DriveError, ErrorKind, collect};

impl Vfs {
    /// Reads at most `length` bytes at `offset`; fewer only at the end of the file.
    ///
    /// # Errors
    /// EBADF, EISDIR, and the drive's.
    pub async fn read(&self, handle: u64, offset: u64, length: u64) -> FsResult<Bytes> {
        let handle = self.core.handles.get(handle)?;
        match &*handle {
            Handle::Text(text) => {
                let start = usize::try_from(offset)
                    .unwrap_or(usize::MAX)
                    .min(text.len());
                let end = start.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
                Ok(text.slice(start..end.min(text.len())))
            }
            Handle::Disk(file) => {
                let file = file.clone();
                let most = usize::try_from(length.min(1 << 20)).unwrap_or(0);
                let read = tokio::task::spawn_blocking(move || {
                    use std::os::unix::fs::FileExt;
                    let mut buffer = vec![0; most];
                    let count = file.read_at(&mut buffer, offset)?;
                    buffer.truncate(count);
                    Ok::<_, std::io::Error>(Bytes::from(buffer))
                });
                match read.await {
                    Ok(Ok(bytes)) => Ok(bytes),
                    _ => Err(FsError::new(libc::EIO)),
                }
            }
            Handle::Dir(_) => Err(FsError::new(libc::EISDIR)),
            Handle::File(file) => self.read_file(file, offset, length).await,
        }
    }

    async fn read_file(&self, file: &FileHandle, offset: u64, length: u64) -> FsResult<Bytes> {
        let (draft, pending) = {
            let state = file.inode.state();
            let copied = state
                .copying()
                .map(|session| ContentRef::Remote(session.copy.source.clone()));
            (state.draft.clone(), copied.or(state.settled_content()))
        };
        if let Some(draft) = draft {
            return Ok(draft.read(offset..offset.saturating_add(length)).await?);
        }
        if let Some(pending) = pending {
            let end = offset.saturating_add(length).min(pending.size());
            if offset >= end {
                return Ok(Bytes::new());
            }
            return Ok(collect(pending.stream(offset..end).await?, end - offset).await?);
        }
        let content = self.handle_content(file)?;
        let blocks = &self.core.blocks;
        let read = match blocks.read(&content, &file.reading, offset, length).await {
            Err(error) if matches!(error.kind, ErrorKind::Changed | ErrorKind::NotFound) => {
                let now = self.changed_meanwhile(file, &content, error).await?;
                blocks.read(&now, &file.reading, offset, length).await?
            }
            read => read?,
        };
        if !read.is_empty() {
            file.served.store(true, Ordering::Relaxed);
        }
        Ok(read)
    }

    /// Somebody else changed or removed what is to be read: its directory is listed afresh, so that
    /// the next `open` is right. Whoever has read nothing yet gets the new content, when the size
    /// that the kernel was told is right for it.
    async fn changed_meanwhile(
        &self,
        file: &FileHandle,
        used: &RemoteContent,
        error: DriveError,
    ) -> FsResult<Arc<RemoteContent>> {
        let parent = file.inode.state().parent;
        if let Ok(dir) = self.tree().get(parent)
            && let Err(error) = self.reload(&dir).await
        {
            tracing::debug!(path = self.tree().path(&dir), %error, "not listed afresh");
        }
        let now = self.handle_content(file)?;
        let usable = now.node().version != used.node().version
            && now.size() == used.size()
            && !file.served.load(Ordering::Relaxed);
        match usable {
            true => Ok(now),
            false => Err(error.into()),
        }
    }

    /// The remote content a handle reads: the version of the node now, kept while it stays.
    fn handle_content(&self, file: &FileHandle) -> FsResult<Arc<RemoteContent>> {
        let node = {
            let state = file.inode.state();
            state.node.clone().ok_or(FsError::new(libc::ENOENT))?
        };
        let mut kept = file.content.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(content) = &*kept
            && content.node().id == node.id
            && content.node().version == node.version
        {
            return Ok(content.clone());
        }
        let volume = file
            .inode
            .volume
            .clone()
            .ok_or(FsError::new(libc::EISDIR))?;
        let content = self.engine().content(volume, (*node).clone());
        *kept = Some(content.clone());
        Ok(content)
    }

    /// The content of a file as a copy of it would take it. `None` while it is being written.
    pub(super) fn content_of(&self, inode: &Inode) -> Option<ContentRef> {
        let state = inode.state();
        if state.draft.as_ref().is_some_and(|draft| draft.is_changed()) || state.copying().is_some()
        {
            return None;
        }
        if let Some(pending) = state.settled_content() {
            return Some(pending);
        }
        let node = state.node.clone()?;
        drop(state);
        let volume = inode.volume.clone()?;
        let content = self.engine().content(volume, (*node).clone());
        Some(ContentRef::Remote(content))
    }
}
