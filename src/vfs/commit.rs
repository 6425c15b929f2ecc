//! When written data becomes a file: FLUSH, fsync and the last close (DESIGN 3.4, facts B9).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Vfs;
use super::caller::Caller;
use super::error::{FsError, FsResult};
use super::handles::FileHandle;
use super::inode::{Inode, Pending, Session};
use super::landing::Landing;
use super::settings::Close;
use crate::content::{ContentRef, Draft, LeftOver, StageFile};
use crate::drive::{Content, DriveError, ErrorKind};
use crate::transfer::{Task, TaskState, TransferSpec};

/// How often a waiting request looks whether its caller is being killed.
const LOOK: Duration = Duration::from_millis(100);

/// Files that are about to be renamed are not uploaded under their temporary name at once.
const RENAME_GRACE: Duration = Duration::from_millis(1500);

impl Vfs {
    /// FLUSH.
    ///
    /// # Errors
    /// The transfer's, as errno: what `cp` and `mv` print.
    pub async fn flush(&self, handle: u64, caller: &Caller) -> FsResult<()> {
        let handle = self.core.handles.get(handle)?;
        let Ok(file) = handle.file() else {
            return Ok(());
        };
        if !file.write {
            return Ok(());
        }
        if file.is_displaced() {
            return Err(FsError::new(libc::EIO));
        }
        let session = file.inode.state().session.clone();
        if let Some(session) = session {
            let process = caller.process();
            let own = file
                .copy()
                .as_ref()
                .is_some_and(|copy| copy.task == session.copy.task.id && copy.process == process);
            // Somebody else's copy into the file is none of this handle's business, and a child that
            // inherited the file does not end its parent's.
            return match own {
                true => self.flush_session(file, &session, caller).await,
                false => Ok(()),
            };
        }
        if !file.wrote.load(Ordering::Relaxed) || caller.process() != file.opener {
            // A shell's dup2, or a child that inherited the file: not the close.
            return Ok(());
        }
        if caller.was_killed() {
            file.killed.store(true, Ordering::Relaxed);
            return Ok(());
        }
        file.wrote.store(false, Ordering::Relaxed);
        self.commit(&file.inode, self.waits(&file.inode), Some(caller))
            .await
    }

    /// Whether a close of this file waits for the provider.
    fn waits(&self, inode: &Inode) -> bool {
        let size = inode.state().draft.as_ref().map_or(0, |draft| draft.size());
        let local = inode
            .state()
            .draft
            .as_ref()
            .is_none_or(|draft| draft.is_local());
        match self.settings().close {
            Close::Wait => true,
            // A reference to a remote source is not bytes: it cannot be promised.
            Close::Auto => size > self.settings().small_file || !local,
            Close::Queue => !local,
        }
    }

    async fn flush_session(
        &self,
        file: &FileHandle,
        session: &Session,
        caller: &Caller,
    ) -> FsResult<()> {
        match session.copy.outcome() {
            Some(Ok(())) => return Ok(()),
            Some(Err(error)) => {
                file.inode.state().refused = true;
                return Err(FsError::from(error).for_copy());
            }
            None => {}
        }
        if caller.pid == 0 || caller.was_killed() || caller.is_dying() {
            session.copy.task.cancel();
            file.inode.state().refused = true;
            return Err(FsError::new(libc::EINTR));
        }
        if session.told.load(Ordering::Relaxed) == 0 {
            // Nothing was told as copied yet: a dup2, not a close.
            return Ok(());
        }
        // A living caller ends the copy short: what was told as copied is the file.
        self.draft_of(&file.inode)?;
        self.commit(&file.inode, true, Some(caller)).await
    }

    /// fsync: a small file is committed, a larger one made durable in the stage; a closed file
    /// is waited for.
    ///
    /// # Errors
    /// The transfer's or the local disk's.
    pub async fn fsync(&self, handle: u64, caller: &Caller) -> FsResult<()> {
        let handle = self.core.handles.get(handle)?;
        let Ok(file) = handle.file() else {
            return Ok(());
        };
        let (draft, pending) = {
            let state = file.inode.state();
            (state.draft.clone(), state.pending.clone())
        };
        match draft {
            Some(draft) if draft.is_changed() => {
                if draft.size() <= self.settings().small_file && file.write {
                    file.wrote.store(false, Ordering::Relaxed);
                    return self.commit(&file.inode, true, Some(caller)).await;
                }
                Ok(draft.sync().await?)
            }
            _ => match pending {
                Some(pending) => {
                    let task = &pending.task;
                    let verified = async { task.wait().await.map(drop) };
                    self.wait(task, verified, Some(caller)).await
                }
                None => Ok(()),
            },
        }
    }

    /// Seals the draft and starts its transfer.
    ///
    /// # Errors
    /// The transfer's when it is waited for; the journal's otherwise.
    pub(super) async fn commit(
        &self,
        inode: &Arc<Inode>,
        wait: bool,
        caller: Option<&Caller>,
    ) -> FsResult<()> {
        let Some((content, task)) = self.launch(inode, !wait).await? else {
            return Ok(());
        };
        if !wait {
            return Ok(());
        }
        let outcome = self.wait(&task, task.answer(), caller).await;
        if outcome.is_err() {
            self.commit_failed(inode, &task, &content);
        }
        outcome
    }

    /// Commits without anybody waiting: the bytes are durable and the transfer is queued.
    pub(super) async fn commit_behind(&self, inode: &Arc<Inode>) -> FsResult<()> {
        self.launch(inode, true).await.map(|_| ())
    }

    async fn launch(
        &self,
        inode: &Arc<Inode>,
        acknowledged: bool,
    ) -> FsResult<Option<(ContentRef, Arc<Task>)>> {
        let _order = inode.committing.lock().await;
        let (content, draft, earlier) = {
            let mut state = inode.state();
            if state.unlinked {
                // It has no name: its bytes live as long as it is open.
                return Ok(None);
            }
            let Some(draft) = state.draft.take_if(|draft| draft.is_changed()) else {
                return Ok(None);
            };
            let content = match draft.whole_reference() {
                Some(whole) => whole,
                None => ContentRef::Sealed(draft.seal()),
            };
            state.sealing = Some(content.clone());
            state.refused = false;
            state.session = None;
            (content, draft, state.pending.clone())
        };
        let task = self
            .hand_over(inode, &content, acknowledged, earlier.as_ref())
            .await;
        if let Ok(task) = &task {
            // Removals that waited for the draft wait for its transfer now.
            self.engine().draft_becomes(&draft, task).await;
        }
        let mut state = inode.state();
        state.sealing = None;
        match task {
            Ok(task) => {
                let pending = Pending {
                    task: task.clone(),
                    content: content.clone(),
                };
                if state.unlinked {
                    // It lost its name while the journal was written.
                    pending.give_up();
                    for older in state.superseded.drain(..) {
                        older.give_up();
                    }
                    return Ok(None);
                }
                // The record of a task that failed goes on: it is tried again.
                if !matches!(task.state(), TaskState::Done(_) | TaskState::Cancelled) {
                    state.pending = Some(pending);
                }
                Ok(Some((content, task)))
            }
            Err(error) => {
                if state.draft.is_none() {
                    state.draft = Some(draft);
                }
                if state.unlinked {
                    return Ok(None);
                }
                Err(error)
            }
        }
    }

    async fn hand_over(
        &self,
        inode: &Arc<Inode>,
        content: &ContentRef,
        acknowledged: bool,
        earlier: Option<&Pending>,
    ) -> FsResult<Arc<Task>> {
        if let ContentRef::Sealed(sealed) = content {
            let sealed = sealed.clone();
            let persisted = tokio::task::spawn_blocking(move || sealed.persist()).await;
            match persisted {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    let error = DriveError::new(ErrorKind::LocalDisk, format!("stage: {error}"));
                    return Err(error.into());
                }
                Err(_) => return Err(FsError::new(libc::EIO)),
            }
        }
        let name = inode.state().name.clone();
        let delay = if acknowledged && looks_temporary(&name) {
            RENAME_GRACE
        } else {
            Duration::ZERO
        };
        let modified = {
            let state = inode.state();
            state.attrs.mtime_ns.unwrap_or(state.written_ns) / 1_000_000
        };
        let task = self
            .engine()
            .start(TransferSpec {
                content: content.clone(),
                destination: Arc::new(Landing::new(self, inode)),
                source_label: match content {
                    ContentRef::Remote(remote) => {
                        format!("{}:{}", remote.volume().name, remote.node().name)
                    }
                    ContentRef::Sealed(_) => "written".to_owned(),
                },
                modified: (modified > 0).then_some(modified),
                acknowledged,
                promise_up_to: 0,
                delay,
                after: earlier.map(|pending| pending.task.clone()),
            })
            .await?;
        if let Some(earlier) = earlier {
            if acknowledged {
                // The newer version is safe: the older one need not go up any more.
                earlier.task.cancel();
            }
            inode.state().superseded.push(earlier.clone());
        }
        Ok(task)
    }

    /// Waits for a transfer as long as its caller lives: `waiting` ends with what it waits for.
    async fn wait(
        &self,
        task: &Arc<Task>,
        waiting: impl Future<Output = crate::drive::Result<()>>,
        caller: Option<&Caller>,
    ) -> FsResult<()> {
        tokio::pin!(waiting);
        let mut look = tokio::time::interval_at(
            tokio::time::Instant::now() + Duration::from_millis(500),
            LOOK,
        );
        loop {
            tokio::select! {
                outcome = &mut waiting => {
                    outcome?;
                    return Ok(());
                }
                _ = look.tick() => {
                    if caller.is_some_and(Caller::is_dying) {
                        task.cancel();
                        return Err(FsError::new(libc::EINTR));
                    }
                }
            }
        }
    }

    /// The name holds what it held before; written bytes stay in the stage.
    fn commit_failed(&self, inode: &Inode, task: &Task, content: &ContentRef) {
        {
            let mut state = inode.state();
            if state
                .pending
                .as_ref()
                .is_some_and(|pending| pending.task.id == task.id)
            {
                // An older version that was promised is still on its way.
                state.pending = state.superseded.pop().filter(|older| {
                    !matches!(
                        older.task.state(),
                        TaskState::Done(_) | TaskState::Cancelled
                    )
                });
            }
        }
        if let ContentRef::Sealed(sealed) = content
            && let Some(file) = sealed.file()
        {
            file.keep();
            self.show_recovered(inode, file, content.size());
        }
        if inode.state().draft.is_none() {
            self.take_back_name(inode);
        }
    }

    /// Shows staged bytes under `.panfuse/recovered/`.
    pub(super) fn show_recovered(&self, inode: &Inode, file: &StageFile, size: u64) {
        self.core.control.add_recovered(LeftOver {
            id: file.id().to_owned(),
            data: file.path().to_owned(),
            size,
            note: self.note(inode),
        });
    }
}

impl Draft {
    /// The content this draft is a whole copy of, when it is nothing else.
    pub fn whole_reference(&self) -> Option<ContentRef> {
        self.only_reference()
            .filter(|content| content.size() == self.size())
    }
}

/// Names that editors and synchronisers rename at once: `.name.XXXXXX` of rsync, `name~`,
/// `.swp`, `.part`, `.tmp`.
fn looks_temporary(name: &str) -> bool {
    let rsync = name
        .strip_prefix('.')
        .and_then(|rest| rest.rsplit_once('.'))
        .is_some_and(|(stem, end)| {
            !stem.is_empty() && end.len() == 6 && end.chars().all(|c| c.is_ascii_alphanumeric())
        });
    let lower = name.to_ascii_lowercase();
    rsync
        || lower.ends_with('~')
        || [
            ".part",
            ".tmp",
            ".temp",
            ".swp",
            ".swx",
            ".crdownload",
            ".partial",
        ]
        .iter()
        .any(|end| lower.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    // S-059
    #[test]
    fn temporary_names_are_known() {
        for name in [
            ".film.mkv.a1B2c3",
            "x.part",
            "notes.txt~",
            ".notes.swp",
            "a.TMP",
        ] {
            assert!(looks_temporary(name), "{name}");
        }
        for name in ["film.mkv", ".bashrc", "a.tar.gz", ".config.json"] {
            assert!(!looks_temporary(name), "{name}");
        }
    }
}
