//! Opening and closing files.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::Vfs;
use super::caller::Caller;
use super::error::{FsError, FsResult};
use super::handles::{FileHandle, Handle, Opened};
use super::inode::Inode;
use super::tree::CONTROL_BASE;
use crate::content::{ContentRef, Draft, StageNote};

impl Vfs {
    /// Opens a file with the flags of open(2). Never waits: nothing is fetched.
    ///
    /// # Errors
    /// EISDIR, EROFS, ESTALE; with O_TRUNC EEXIST where the conflict policy refuses it.
    pub fn open(&self, ino: u64, flags: i32, caller: &Caller) -> FsResult<Opened> {
        if ino >= CONTROL_BASE {
            if flags & libc::O_ACCMODE != libc::O_RDONLY {
                return Err(FsError::new(libc::EPERM));
            }
            let handle = self.core.handles.add(self.control_open(ino)?);
            return Ok(Opened {
                handle,
                keep_cache: false,
                direct: true,
            });
        }
        let inode = self.tree().get(ino)?;
        if inode.is_dir() {
            return Err(FsError::new(libc::EISDIR));
        }
        let write = flags & libc::O_ACCMODE != libc::O_RDONLY;
        if write || flags & libc::O_TRUNC != 0 {
            self.check_change(&inode)?;
        }
        if flags & libc::O_TRUNC != 0 {
            if let Some(new) = self.make_beside(&inode)? {
                return Ok(self.open_instead(new, Some(inode), flags, caller));
            }
            self.start_over(&inode);
        }
        Ok(self.open_file(inode, flags, caller))
    }

    pub(super) fn open_file(&self, inode: Arc<Inode>, flags: i32, caller: &Caller) -> Opened {
        self.open_instead(inode, None, flags, caller)
    }

    fn open_instead(
        &self,
        inode: Arc<Inode>,
        opened_as: Option<Arc<Inode>>,
        flags: i32,
        caller: &Caller,
    ) -> Opened {
        let write = flags & libc::O_ACCMODE != libc::O_RDONLY;
        let keep_cache = {
            let mut state = inode.state();
            state.opens += 1;
            state.writers += u32::from(write);
            state.draft.is_none() && !state.is_busy()
        };
        // The kernel must not keep the pages of one file for those of the other.
        let direct = opened_as.is_some();
        let handle = self.core.handles.add(Handle::File(FileHandle {
            write,
            append: flags & libc::O_APPEND != 0,
            opener: if write { caller.process() } else { 0 },
            wrote: AtomicBool::new(false),
            killed: AtomicBool::new(false),
            copy: Mutex::default(),
            opened_as,
            reading: Mutex::default(),
            content: Mutex::default(),
            served: AtomicBool::new(false),
            inode,
        }));
        Opened {
            handle,
            keep_cache,
            direct,
        }
    }

    /// Truncation to nothing: an empty draft. The published file stays until the draft lands.
    pub(super) fn start_over(&self, inode: &Inode) {
        let draft = Draft::empty(self.engine().stage().clone(), self.note(inode));
        draft.touch();
        let mut state = inode.state();
        if let Some(old) = state.draft.replace(Arc::new(draft)) {
            old.discard();
        }
        if let Some(session) = state.session.take() {
            session.copy.task.cancel();
        }
        state.restarts += 1;
        state.refused = false;
        state.written_ns = self.now_ns();
    }

    /// The draft of a file, made over its content when there is none.
    pub(super) fn draft_of(&self, inode: &Inode) -> FsResult<Arc<Draft>> {
        let note = self.note(inode);
        let mut state = inode.state();
        if let Some(draft) = &state.draft {
            return Ok(draft.clone());
        }
        let stage = self.engine().stage().clone();
        let draft = if let Some(session) = state.session.take_if(|s| s.copy.outcome().is_none()) {
            // Written while it is copied: the session is broken, what was told as copied stays.
            session.copy.task.cancel();
            let draft = Draft::empty(stage, note);
            let told = session.told.load(Ordering::Relaxed);
            draft.splice(0, ContentRef::Remote(session.copy.source.clone()), 0..told);
            draft
        } else if let Some(content) = state.settled_content() {
            Draft::over(stage, note, content)
        } else if let Some(node) = &state.node {
            let volume = inode.volume.clone().ok_or(FsError::new(libc::EPERM))?;
            let content = self.engine().content(volume, (**node).clone());
            Draft::over(stage, note, ContentRef::Remote(content))
        } else {
            Draft::empty(stage, note)
        };
        state.session = None;
        let draft = state.draft.insert(Arc::new(draft)).clone();
        drop(state);
        // What it refers to must stay until it is committed.
        self.engine().watch_draft(&draft);
        Ok(draft)
    }

    /// A draft over what a file without a name held, for those who have it open.
    pub(super) fn draft_over(&self, ino: u64, content: ContentRef) -> Draft {
        let note = StageNote {
            profile: String::new(),
            path: ino.to_string(),
            begun: self.engine().now_ms(),
        };
        Draft::over(self.engine().stage().clone(), note, content)
    }

    /// Closes a handle. What was written and not committed by a FLUSH is committed behind.
    pub fn release(&self, handle: u64) {
        let Some(handle) = self.core.handles.remove(handle) else {
            return;
        };
        let Handle::File(file) = &*handle else { return };
        let inode = file.inode.clone();
        if let Some(opened_as) = &file.opened_as {
            self.left_beside(opened_as, &inode);
        }
        let last_writer = {
            let mut state = inode.state();
            state.opens = state.opens.saturating_sub(1);
            if file.write {
                state.writers = state.writers.saturating_sub(1);
            }
            file.write && state.writers == 0
        };
        if last_writer {
            self.last_writer_left(&inode, file.killed.load(Ordering::Relaxed));
        }
        let forgotten = {
            let state = inode.state();
            state.unlinked
                && state.opens == 0
                && !state.is_busy()
                && inode.lookups.load(Ordering::Acquire) == 0
        };
        if forgotten {
            self.tree().drop_inode(&inode);
        }
    }

    fn last_writer_left(&self, inode: &Arc<Inode>, killed: bool) {
        let (draft, refused) = {
            let mut state = inode.state();
            let mut refused = std::mem::take(&mut state.refused);
            if let Some(session) = state.session.take() {
                match session.copy.outcome() {
                    // Nobody waits for the copy any more, and nobody was told that it is done.
                    None => {
                        session.copy.task.cancel();
                        refused = true;
                    }
                    Some(Err(_)) => refused = true,
                    Some(Ok(())) => {}
                }
            }
            let changed = state.draft.as_ref().is_some_and(|draft| draft.is_changed());
            let dead = killed || refused || state.unlinked;
            let draft = if dead || !changed {
                state.draft.take()
            } else {
                None
            };
            (draft, refused || killed)
        };
        if let Some(draft) = draft {
            if killed && draft.is_changed() {
                if let Some(file) = draft.keep_for_recovery() {
                    self.show_recovered(inode, &file, draft.size());
                }
            } else {
                draft.discard();
            }
        }
        if refused {
            self.take_back_name(inode);
            return;
        }
        let dirty = inode.state().draft.is_some();
        if dirty && let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (vfs, inode) = (self.clone(), inode.clone());
            self.core.closing.fetch_add(1, Ordering::AcqRel);
            runtime.spawn(async move {
                let committed = vfs.commit_behind(&inode).await;
                vfs.core.closing.fetch_sub(1, Ordering::AcqRel);
                if let Err(error) = committed {
                    tracing::error!(path = vfs.tree().path(&inode), %error, "a closed file could not be queued");
                    inode.state().error = Some(error.to_string());
                }
            });
        }
    }

    /// A file that never came to be loses its name; one that existed shows its old content.
    pub(super) fn take_back_name(&self, inode: &Inode) {
        let (parent, name, published, adopted) = {
            let mut state = inode.state();
            let published = state.node.is_some() || state.pending.is_some();
            if !published {
                state.unlinked = true;
            }
            state.written_ns = 0;
            (
                state.parent,
                state.name.clone(),
                published,
                if published {
                    None
                } else {
                    state.replaces.take()
                },
            )
        };
        if !published && let Ok(dir) = self.tree().get(parent) {
            let mut state = dir.state();
            if state.children.names.get(&name) == Some(&inode.ino) {
                state.children.names.remove(&name);
            }
            if adopted.is_some() {
                // The file that was to be replaced still stands at the provider.
                state.children.complete = false;
                if let Some(key) = state.key {
                    self.engine().catalog().expire(key);
                }
            }
            drop(state);
            self.forget_entry(parent, &name);
        }
        self.forget_inode(inode.ino);
    }

    /// Where a draft belongs, for people who look at what a crash left.
    pub(super) fn note(&self, inode: &Inode) -> StageNote {
        let path = self.tree().path(inode);
        let (profile, path) = path.split_once('/').unwrap_or((&path, ""));
        StageNote {
            profile: profile.to_owned(),
            path: path.to_owned(),
            begun: self.engine().now_ms(),
        }
    }

    pub(super) fn now_ns(&self) -> i64 {
        self.engine().now_ms().saturating_mul(1_000_000)
    }
}
