//! Where the guards are asked: removals that count, files in the way, policies and approvals
//! (`src/guard` decides, this file acts).

use std::ffi::OsStr;
use std::sync::Arc;

use serde::Serialize;

use super::Vfs;
use super::attr::FileKind;
use super::error::{FsError, FsResult};
use super::inode::Inode;
use super::lookup::SetAttr;
use super::tree::{CONTROL_BASE, ROOT};
use crate::catalog::NodeKey;
use crate::content::Draft;
use crate::drive::{Content, DriveError, ErrorKind};
use crate::guard::{AUTO_RENAME_NEW, Admission, OnExisting, PolicyName, numbered_name};
use crate::transfer::TransferResult;

/// Numbers that are tried for a free name.
const NUMBERS: u32 = 10_000;

/// What was approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Approved {
    /// `deletes`, or `threshold` for what is above the size threshold.
    pub approved: &'static str,
    /// For which path below the mount point; `/` for the whole mount.
    pub path: String,
    /// Until when, RFC 3339.
    pub until: String,
}

impl Vfs {
    /// Asks whether something may be removed. What was never closed, and what was copied
    /// elsewhere and verified or is being copied, does not count.
    pub(super) fn admit_delete(&self, dir: &Inode, inode: &Inode) -> FsResult<Removal> {
        let (node, on_its_way) = {
            let state = inode.state();
            let node = state.node.clone().or_else(|| state.replaces.clone());
            (node, state.settled_content().is_some())
        };
        let guard = self.engine().guard();
        let uncounted = match (&inode.volume, &node) {
            (Some(volume), Some(node)) if node.is_dir() => {
                guard.is_moved_out_of(&volume.name, &node.id)
            }
            (Some(volume), Some(node)) => {
                guard.is_copied(&volume.name, &node.id, &node.version)
                    || !self.engine().readers_of(&volume.name, &node.id).is_empty()
            }
            _ => !on_its_way,
        };
        if !uncounted {
            return Ok(Removal::Counted(guard.admit_delete()?));
        }
        if node.is_none() {
            return Ok(Removal::Uncounted(None));
        }
        let above = dir.state().node.as_ref().map(|node| node.id.clone());
        Ok(match (&inode.volume, above) {
            (Some(volume), Some(above)) => {
                let (guard, profile) = (guard.clone(), volume.name.clone());
                Removal::Uncounted(Some(Box::new(move || {
                    guard.note_moved_out_of(&profile, &above);
                })))
            }
            _ => Removal::Uncounted(None),
        })
    }

    /// Whether a new file of this name would take the place of something: the file was published
    /// or promised, and it is not empty.
    fn is_in_the_way(&self, inode: &Inode) -> bool {
        if inode.is_dir() {
            return false;
        }
        let state = inode.state();
        let size = match (state.settled_content(), &state.node) {
            (Some(content), _) => content.size(),
            (None, Some(node)) => node.size,
            (None, None) => 0,
        };
        !state.unlinked && size > 0
    }

    fn on_existing(&self, dir: &Inode, existing: &Inode) -> OnExisting {
        let Some(volume) = &dir.volume else {
            return OnExisting::Replace;
        };
        let key = dir.state().key;
        let guard = self.engine().guard();
        match guard.on_existing(key, volume.capabilities()) {
            OnExisting::Replace => OnExisting::Replace,
            _ if !self.is_in_the_way(existing) => OnExisting::Replace,
            other => other,
        }
    }

    /// A file is opened to be written anew. Where the policy wants it a new file beside it is
    /// made for the handle, and this one stays as it is.
    pub(super) fn make_beside(&self, old: &Arc<Inode>) -> FsResult<Option<Arc<Inode>>> {
        let (parent, name) = {
            let state = old.state();
            (state.parent, state.name.clone())
        };
        let Ok(dir) = self.tree().get(parent) else {
            return Ok(None);
        };
        match self.on_existing(&dir, old) {
            OnExisting::Replace => return Ok(None),
            OnExisting::Refuse => return Err(self.refused(old)),
            OnExisting::Rename => {}
        }
        let volume = old.volume.clone();
        let new = self
            .tree()
            .make(FileKind::File, volume, parent, name.clone());
        let free = match self.take_free_name(&dir, &name, new.ino) {
            Ok(free) => free,
            Err(error) => {
                self.tree().drop_inode(&new);
                return Err(error);
            }
        };
        new.state().name.clone_from(&free);
        let draft = Draft::empty(self.engine().stage().clone(), self.note(&new));
        draft.touch();
        {
            let mut state = new.state();
            state.draft = Some(Arc::new(draft));
            state.conflict = Some(AUTO_RENAME_NEW);
            state.written_ns = self.now_ns();
        }
        old.state().beside = Some(new.ino);
        tracing::info!(
            kept = self.tree().path(old),
            new = free,
            "a file is in the way; the new one takes a free name"
        );
        self.forget_entry(parent, &free);
        self.forget_inode(parent);
        Ok(Some(new))
    }

    /// The handle that wrote a new file beside `old` is closed.
    pub(super) fn left_beside(&self, old: &Inode, new: &Inode) {
        let mut state = old.state();
        if state.beside == Some(new.ino) {
            state.beside = None;
        }
        drop(state);
        // The kernel counted what was written as this file's size.
        self.forget_inode(old.ino);
    }

    /// The file that a change of attributes is meant for: the one behind the handle, else the one
    /// that is being written beside it (`cp -p` names only the file that it opened).
    pub(super) fn meant(&self, inode: &Arc<Inode>, change: &SetAttr) -> Arc<Inode> {
        if let Some(handle) = change.handle
            && let Ok(handle) = self.core.handles.get(handle)
            && let Ok(file) = handle.file()
        {
            return file.inode.clone();
        }
        let beside = inode.state().beside.filter(|_| change.size.is_none());
        beside
            .and_then(|ino| self.tree().get(ino).ok())
            .unwrap_or_else(|| inode.clone())
    }

    /// Another name for a file that is renamed onto `existing`, taken for `ino`; `None` when it
    /// replaces it.
    pub(super) fn free_name_for(
        &self,
        dir: &Inode,
        existing: &Inode,
        ino: u64,
    ) -> FsResult<Option<String>> {
        match self.on_existing(dir, existing) {
            OnExisting::Replace => Ok(None),
            OnExisting::Refuse => Err(self.refused(existing)),
            OnExisting::Rename => {
                let name = existing.state().name.clone();
                self.take_free_name(dir, &name, ino).map(Some)
            }
        }
    }

    /// A file was renamed to a free name beside the one it was to replace.
    pub(super) fn renamed_beside(
        &self,
        inode: &Inode,
        dir: &Inode,
        wanted: &str,
        free: &str,
        kept: &Inode,
    ) {
        let catalog = self.engine().catalog();
        let mut state = inode.state();
        if state.node.is_none() || state.is_busy() || state.draft.is_some() {
            // The transfer that is on its way tells it.
            state.conflict = Some(AUTO_RENAME_NEW);
        }
        let stored = state.key.and_then(|key| catalog.transfer(key));
        let row = state.result.clone().or(stored);
        if let Some(mut row) = row
            .as_deref()
            .and_then(|row| serde_json::from_str::<TransferResult>(row).ok())
        {
            row.conflict_action = AUTO_RENAME_NEW.to_owned();
            row.resolved_target_name = free.to_owned();
            let row = serde_json::to_string(&row).unwrap_or_default();
            if let (Some(key), Some(node)) = (state.key, &state.node) {
                catalog.set_transfer(key, &node.version, &row);
            }
            state.result = Some(row);
        }
        drop(state);
        tracing::info!(
            kept = self.tree().path(kept),
            new = free,
            "a file is in the way; the renamed one takes a free name"
        );
        // The kernel believes that the name means the renamed file now.
        self.forget_entry(dir.ino, wanted);
        self.forget_entry(dir.ino, free);
        self.forget_inode(kept.ino);
        self.forget_inode(dir.ino);
    }

    /// The answer to a rename into another profile: EXDEV, with which `mv` copies. It would remove
    /// a file in the way itself before, so one that a policy keeps is told here.
    pub(super) async fn refuse_across(&self, dir: &Arc<Inode>, name: &str) -> FsError {
        let across = FsError::new(libc::EXDEV);
        if dir.volume.is_none() {
            return across;
        }
        match self.child(dir, name).await {
            Ok(existing) if self.on_existing(dir, &existing) != OnExisting::Replace => {
                self.refused(&existing)
            }
            _ => across,
        }
    }

    fn refused(&self, existing: &Inode) -> FsError {
        let path = self.tree().path(existing);
        FsError::from(DriveError::new(
            ErrorKind::Exists,
            format!("{path} is in the way, and the conflict policy of its directory keeps it"),
        ))
    }

    /// Takes `name (1).ext`, or with the next number that is free, for an inode.
    fn take_free_name(&self, dir: &Inode, name: &str, ino: u64) -> FsResult<String> {
        let rules = dir.volume.as_ref().map(|volume| volume.capabilities());
        let longest = rules.map_or(255, |rules| rules.max_name_bytes.min(255));
        let folded = rules.is_some_and(|rules| rules.case_insensitive);
        let now = self.now_ns();
        let mut state = dir.state();
        let taken = |free: &str| {
            let names = &state.children.names;
            names.contains_key(free)
                || (folded && names.keys().any(|known| known.eq_ignore_ascii_case(free)))
        };
        let free = (1..NUMBERS)
            .filter_map(|number| numbered_name(OsStr::new(name), number).into_string().ok())
            .find(|free| !taken(free))
            .ok_or(FsError::new(libc::EEXIST))?;
        if free.len() > longest {
            return Err(FsError::new(libc::ENAMETOOLONG));
        }
        state.children.names.insert(free.clone(), ino);
        state.attrs.mtime_ns = Some(now);
        Ok(free)
    }

    /// The key of the directory that a policy of this inode is looked up in.
    fn policy_dir(&self, inode: &Inode) -> Option<NodeKey> {
        if inode.is_dir() {
            return inode.state().key;
        }
        let parent = inode.state().parent;
        self.tree().get(parent).ok()?.state().key
    }

    pub(super) fn policy_of(&self, inode: &Inode, policy: PolicyName) -> Vec<u8> {
        let dir = self.policy_dir(inode);
        self.engine().guard().policy_text(dir, policy).into_bytes()
    }

    pub(super) fn set_policy(
        &self,
        inode: &Inode,
        policy: PolicyName,
        value: &str,
    ) -> FsResult<()> {
        let key = self.own_policy_dir(inode)?;
        self.engine()
            .guard()
            .set_policy(key, policy, value)
            .map_err(|error| {
                tracing::warn!(path = self.tree().path(inode), %error, "a policy is not set");
                FsError::from(DriveError::new(ErrorKind::Invalid, error.to_string()))
            })
    }

    pub(super) fn remove_policy(&self, inode: &Inode, policy: PolicyName) -> FsResult<()> {
        let key = self.own_policy_dir(inode)?;
        if self.engine().guard().remove_policy(key, policy) {
            return Ok(());
        }
        Err(FsError::new(libc::ENODATA))
    }

    /// Policies are set on directories; those of the mount point are the settings.
    fn own_policy_dir(&self, inode: &Inode) -> FsResult<NodeKey> {
        if inode.ino == ROOT {
            tracing::warn!(
                "what holds for the whole mount is conflict.default and transfer.threshold_mb of the settings; policies are set on directories below it"
            );
            return Err(FsError::new(libc::EPERM));
        }
        if !inode.is_dir() {
            return Err(FsError::new(libc::ENOTDIR));
        }
        inode.state().key.ok_or(FsError::new(libc::ENOENT))
    }

    /// The most bytes that may be streamed into a directory (`profile/directory`; the nearest one
    /// that is known here counts) under a name.
    pub(super) fn stream_limit(&self, path: &str, name: &str) -> Option<u64> {
        let mut dir = self.tree().get(ROOT).ok()?;
        for part in path.split('/').filter(|part| !part.is_empty()) {
            match self.child_now(&dir, part) {
                Some(Ok(child)) if child.is_dir() => dir = child,
                _ => break,
            }
        }
        let key = dir.state().key;
        self.engine().guard().stream_limit(key, name)
    }

    /// A person says that something was meant: `deletes`, or `threshold` for what is above the
    /// size threshold in this directory (or under the name of this file).
    ///
    /// # Errors
    /// EINVAL for other words.
    pub(super) fn approve(&self, inode: &Arc<Inode>, what: &str) -> FsResult<Approved> {
        match what {
            "deletes" => Ok(self.approve_deletes()),
            "threshold" | "1" => {
                let path = self.tree().path(inode);
                if inode.is_dir() {
                    let key = inode.state().key;
                    return Ok(self.approve_size(key, None, &path));
                }
                let (parent, name) = {
                    let state = inode.state();
                    (state.parent, state.name.clone())
                };
                let key = self.tree().get(parent)?.state().key;
                Ok(self.approve_size(key, Some(&name), &path))
            }
            _ => {
                let message = format!("{what:?} cannot be approved; it takes deletes or threshold");
                tracing::warn!(path = self.tree().path(inode), "{message}");
                Err(DriveError::new(ErrorKind::Invalid, message).into())
            }
        }
    }

    /// Closes the delete breaker; deletes are not counted for an hour.
    pub fn approve_deletes(&self) -> Approved {
        let until = self.engine().guard().approve_deletes();
        approved("deletes", "", until)
    }

    /// Allows what is above the size threshold at a path below the mount point, for an hour: in
    /// and below a directory, or under one name, which need not exist.
    ///
    /// # Errors
    /// ENOENT when the directory of the name does not exist, EPERM in `.panfuse/`, and the drive's.
    pub async fn approve_path(&self, path: &str) -> FsResult<Approved> {
        let ino = match self.resolve(path).await {
            Err(error) if error.errno == libc::ENOENT => {
                let path = path.trim_end_matches('/');
                let (above, name) = path.rsplit_once('/').ok_or(error)?;
                let dir = self.tree().get(self.resolve(above).await?)?;
                if !dir.is_dir() || dir.ino == ROOT {
                    return Err(FsError::new(libc::ENOENT));
                }
                let label = format!("{}/{name}", self.tree().path(&dir));
                let key = dir.state().key;
                return Ok(self.approve_size(key, Some(name), &label));
            }
            found => found?,
        };
        if ino >= CONTROL_BASE {
            return Err(FsError::new(libc::EPERM));
        }
        self.approve(&self.tree().get(ino)?, "threshold")
    }

    fn approve_size(&self, dir: Option<NodeKey>, name: Option<&str>, path: &str) -> Approved {
        let label = format!("/{path}");
        let until = self.engine().guard().approve_size(dir, name, &label);
        approved("threshold", path, until)
    }
}

/// A removal that may go on.
#[must_use = "a removal that is not kept does not count"]
pub(super) enum Removal {
    Counted(Admission),
    /// With what is to be remembered of it.
    Uncounted(Option<Box<dyn FnOnce() + Send>>),
}

impl Removal {
    /// It happened.
    pub fn keep(self) {
        match self {
            Removal::Counted(admission) => admission.keep(),
            Removal::Uncounted(Some(remember)) => remember(),
            Removal::Uncounted(None) => {}
        }
    }
}

fn approved(what: &'static str, path: &str, until: i64) -> Approved {
    Approved {
        approved: what,
        path: format!("/{path}"),
        until: jiff::Timestamp::from_millisecond(until)
            .map_or_else(|_| String::new(), |time| time.to_string()),
    }
}
