//! copy_file_range: where a plain `cp` becomes a question (DESIGN 3.2).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Vfs;
use super::caller::Caller;
use super::error::{FsError, FsResult};
use super::handles::{FileHandle, OwnCopy};
use super::inode::{Inode, Session};
use super::landing::Landing;
use super::settings::Close;
use crate::content::{ContentRef, RemoteContent};
use crate::drive::Content;
use crate::transfer::{CopySession, Slice, TransferSpec};

/// A piece this long at the start means the whole file.
const WHOLE_FILE_PIECE: u64 = 1 << 30;

/// How long one look at the progress waits; then the caller is looked at.
const LOOK: Duration = Duration::from_millis(250);

impl Vfs {
    /// Copies a range between two open files. Returns how many bytes are to be taken as copied:
    /// 0 only at the end of the source.
    ///
    /// # Errors
    /// EOPNOTSUPP makes the kernel copy by itself: only for a source that is being written. All
    /// refusals use errnos that every program reports.
    pub async fn copy_range(
        &self,
        source: (u64, u64),
        target: (u64, u64),
        length: u64,
        caller: &Caller,
    ) -> FsResult<u64> {
        let from = self.core.handles.get(source.0)?;
        let to = self.core.handles.get(target.0)?;
        let fallback = FsError::new(libc::EOPNOTSUPP);
        let (Ok(from), Ok(to)) = (from.file(), to.file()) else {
            return Err(fallback);
        };
        if !to.write {
            return Err(FsError::new(libc::EBADF));
        }
        if from.inode.ino == to.inode.ino {
            return Err(fallback);
        }
        if let Some(session) = self.session_between(from, to, source.1, target.1)
            && let Some(bytes) = self
                .answer(&to.inode, &session, source.1, length, caller)
                .await?
        {
            return Ok(bytes);
        }
        if to.is_displaced() {
            // Going on would put the rest of one file behind the beginning of another.
            return Err(FsError::new(libc::EIO));
        }
        let Some(content) = self.content_of(&from.inode) else {
            return Err(fallback);
        };
        let size = content.size();
        if source.1 >= size {
            return Ok(0);
        }
        let length = length.min(size - source.1);
        let draft = self.draft_of(&to.inode)?;
        let whole = source.1 == 0
            && target.1 == 0
            && draft.size() == 0
            && !to.inode.state().unlinked
            && (length >= size || length >= WHOLE_FILE_PIECE);
        if whole && let ContentRef::Remote(remote) = &content {
            let label = self.tree().path(&from.inode);
            let opening = self.open_session(from, to, remote.clone(), &label, caller);
            let session = opening.await?;
            if let Some(bytes) = self.answer(&to.inode, &session, 0, length, caller).await? {
                return Ok(bytes);
            }
            // Written by somebody else before anything was told as copied; or begun anew.
            if to.is_displaced() {
                return Err(FsError::new(libc::EIO));
            }
        }
        let draft = self.draft_of(&to.inode)?;
        draft.splice(target.1, content, source.1..source.1 + length);
        self.engine().watch_draft(&draft);
        to.wrote.store(true, Ordering::Relaxed);
        to.inode.state().written_ns = self.now_ns();
        Ok(length)
    }

    /// The session of this pair of files, when the request goes on with it.
    fn session_between(
        &self,
        from: &FileHandle,
        to: &FileHandle,
        source: u64,
        target: u64,
    ) -> Option<Session> {
        let session = to.inode.state().session.clone()?;
        // The inode counts: a rename may give its node another id.
        let same = session.from == from.inode.ino && source == target;
        same.then_some(session)
    }

    async fn open_session(
        &self,
        from: &FileHandle,
        to: &FileHandle,
        source: Arc<RemoteContent>,
        label: &str,
        caller: &Caller,
    ) -> FsResult<Session> {
        let inode = &to.inode;
        let _order = inode.committing.lock().await;
        let (earlier, mtime) = {
            let state = inode.state();
            (state.pending.clone(), state.attrs.mtime_ns)
        };
        let label = match label.split_once('/') {
            Some((profile, path)) => format!("{profile}:/{path}"),
            None => label.to_owned(),
        };
        let task = self
            .engine()
            .start(TransferSpec {
                content: ContentRef::Remote(source.clone()),
                destination: Arc::new(Landing::new(self, inode)),
                source_label: label,
                modified: mtime.map(|ns| ns / 1_000_000),
                acknowledged: false,
                promise_up_to: match self.settings().close {
                    Close::Wait => 0,
                    Close::Auto | Close::Queue => self.settings().small_file,
                },
                delay: Duration::ZERO,
                after: earlier.as_ref().map(|pending| pending.task.clone()),
            })
            .await?;
        let session = Session {
            copy: Arc::new(CopySession { source, task }),
            from: from.inode.ino,
            told: Arc::new(AtomicU64::new(0)),
        };
        let mut state = inode.state();
        // A copy that fails destroys nothing: an older version still goes up.
        state.superseded.extend(earlier);
        if let Some(draft) = state.draft.take() {
            draft.discard();
        }
        state.refused = false;
        state.written_ns = self.now_ns();
        state.session = Some(session.clone());
        let restarts = state.restarts;
        drop(state);
        *to.copy() = Some(OwnCopy {
            task: session.copy.task.id.clone(),
            process: caller.process(),
            restarts,
        });
        Ok(session)
    }

    /// The answer of a session; `None` when the file has gone on without it.
    async fn answer(
        &self,
        inode: &Inode,
        session: &Session,
        offset: u64,
        length: u64,
        caller: &Caller,
    ) -> FsResult<Option<u64>> {
        let is_current = || {
            let state = inode.state();
            let now = state.session.as_ref().map(|now| &now.copy.task.id);
            now == Some(&session.copy.task.id)
        };
        loop {
            match session.copy.slice(offset, length, LOOK).await {
                Ok(Slice::Bytes(bytes)) => {
                    session.told.fetch_max(offset + bytes, Ordering::Relaxed);
                    return Ok(Some(bytes));
                }
                Ok(Slice::NotYet) => {}
                Err(_) if !is_current() => return Ok(None),
                Err(error) => {
                    let mut state = inode.state();
                    state.refused = true;
                    state.error = Some(error.to_string());
                    return Err(FsError::from(error).for_copy());
                }
            }
            if caller.is_dying() {
                session.copy.task.cancel();
                if is_current() {
                    inode.state().refused = true;
                }
                return Err(FsError::new(libc::EINTR));
            }
        }
    }
}
