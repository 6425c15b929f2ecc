//! One file or directory in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::attr::{Attr, FileKind};
use super::settings::Settings;
use crate::catalog::{LocalAttrs, NodeKey};
use crate::content::{ContentRef, Draft, Volume};
use crate::drive::{Content, Node};
use crate::transfer::{CopySession, Task};

/// A file or directory. Lock order: directories' states before files', parents before children,
/// never two files.
pub(super) struct Inode {
    pub ino: u64,
    pub generation: u64,
    pub kind: FileKind,
    /// `None` for the root.
    pub volume: Option<Volume>,
    state: Mutex<State>,
    /// Held while a transfer or a rename settles the name at the provider.
    pub settle: tokio::sync::Mutex<()>,
    /// One version at a time goes on its way, so that they keep their order.
    pub committing: tokio::sync::Mutex<()>,
    /// One listing at a time.
    pub loading: tokio::sync::Mutex<()>,
    /// Whether a background refresh is under way.
    pub refreshing: AtomicBool,
    /// References of the kernel.
    pub lookups: AtomicU64,
}

/// What changes about an inode.
pub(super) struct State {
    pub parent: u64,
    pub name: String,
    /// Key in the catalog once the provider knows it.
    pub key: Option<NodeKey>,
    /// The published node.
    pub node: Option<Arc<Node>>,
    /// The published node of another inode that this one replaces when it lands.
    pub replaces: Option<Arc<Node>>,
    /// What a guard did about a file that was in the way of this one; told with the result of
    /// the transfer that makes it.
    pub conflict: Option<&'static str>,
    /// The new file beside this one that its open handle writes (conflict policy
    /// `auto_rename_new`).
    pub beside: Option<u64>,
    /// What is being written.
    pub draft: Option<Arc<Draft>>,
    /// What was closed and is being journaled.
    pub sealing: Option<ContentRef>,
    /// What was closed and is on its way.
    pub pending: Option<Pending>,
    /// Older versions on their way: given up, with their bytes, once a newer one has landed.
    pub superseded: Vec<Pending>,
    /// A copy of a whole node into this file.
    pub session: Option<Session>,
    /// How often everything in it was thrown away.
    pub restarts: u64,
    /// Times and mode that were set here.
    pub attrs: LocalAttrs,
    /// When the draft was written last, nanoseconds since the epoch.
    pub written_ns: i64,
    /// Open handles.
    pub opens: u32,
    /// Open handles that may write.
    pub writers: u32,
    /// It has no name any more.
    pub unlinked: bool,
    /// A copy into it was refused or given up; nothing of it may be published.
    pub refused: bool,
    /// Children, for directories.
    pub children: Children,
    /// The last error of a transfer.
    pub error: Option<String>,
    /// The last result of a transfer, JSON.
    pub result: Option<String>,
}

/// A sealed draft on its way.
#[derive(Clone)]
pub(super) struct Pending {
    pub task: Arc<Task>,
    pub content: ContentRef,
}

impl Pending {
    /// Gives the transfer up; its staged bytes go as soon as nobody reads them any more.
    pub fn give_up(&self) {
        self.task.cancel();
        if let ContentRef::Sealed(sealed) = &self.content {
            sealed.discard();
        }
    }
}

/// A copy session and how much of it was told as copied.
#[derive(Clone)]
pub(super) struct Session {
    pub copy: Arc<CopySession>,
    /// The inode that is copied.
    pub from: u64,
    pub told: Arc<AtomicU64>,
}

/// The names in a directory.
#[derive(Default)]
pub(super) struct Children {
    pub names: BTreeMap<String, u64>,
    /// All names are known.
    pub complete: bool,
    /// When they were listed, milliseconds since the epoch.
    pub listed: i64,
}

impl Inode {
    pub fn new(
        ino: u64,
        kind: FileKind,
        volume: Option<Volume>,
        parent: u64,
        name: String,
    ) -> Self {
        Inode {
            ino,
            generation: 0,
            kind,
            volume,
            state: Mutex::new(State {
                parent,
                name,
                key: None,
                node: None,
                replaces: None,
                conflict: None,
                beside: None,
                draft: None,
                sealing: None,
                pending: None,
                superseded: Vec::new(),
                session: None,
                restarts: 0,
                attrs: LocalAttrs::default(),
                written_ns: 0,
                opens: 0,
                writers: 0,
                unlinked: false,
                refused: false,
                children: Children::default(),
                error: None,
                result: None,
            }),
            settle: tokio::sync::Mutex::new(()),
            committing: tokio::sync::Mutex::new(()),
            loading: tokio::sync::Mutex::new(()),
            refreshing: AtomicBool::new(false),
            lookups: AtomicU64::new(0),
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_dir(&self) -> bool {
        self.kind == FileKind::Dir
    }

    pub fn attr(&self, settings: &Settings) -> Attr {
        let state = self.state();
        let node = state.node.as_deref();
        let size = match (&state.draft, state.copying(), state.settled_content(), node) {
            (Some(draft), ..) => draft.size(),
            (_, Some(session), _, _) => session.told.load(Ordering::Relaxed),
            (_, _, Some(content), _) => content.size(),
            (_, _, _, Some(node)) if !node.is_dir() => node.size,
            _ => 0,
        };
        let listed = node.map_or(0, |node| node.modified.saturating_mul(1_000_000));
        let changed = if state.written_ns != 0 {
            state.written_ns
        } else {
            listed
        };
        let mtime = state.attrs.mtime_ns.unwrap_or(changed);
        let (base, mask) = match self.kind {
            FileKind::Dir => (0o777, settings.umask),
            FileKind::File => (0o666, settings.umask),
        };
        let mode = state.attrs.mode.unwrap_or(base & !mask) & 0o7777;
        Attr {
            ino: self.ino,
            generation: self.generation,
            kind: self.kind,
            size,
            perm: u16::try_from(mode).unwrap_or(0o644),
            mtime_ns: mtime,
            atime_ns: state.attrs.atime_ns.unwrap_or(mtime),
            ctime_ns: changed.max(mtime),
            stable: state.draft.is_none() && !state.is_busy(),
        }
    }
}

impl State {
    /// Everything on its way is given up: the file lost its name. What is open stays readable.
    pub fn give_up(&mut self, readable: impl FnOnce(ContentRef) -> Draft) {
        if let Some(session) = &self.session {
            session.copy.task.cancel();
        }
        for older in self.superseded.drain(..) {
            older.give_up();
        }
        if let Some(draft) = &self.draft {
            draft.discard();
        }
        if let Some(pending) = self.pending.take() {
            if self.draft.is_none() && self.opens > 0 {
                self.draft = Some(Arc::new(readable(pending.content.clone())));
            }
            pending.give_up();
        }
    }

    /// What a reader or a copy of this file gets now, when it is not being written.
    pub fn settled_content(&self) -> Option<ContentRef> {
        let pending = self.pending.as_ref().map(|pending| &pending.content);
        self.sealing.as_ref().or(pending).cloned()
    }

    /// The copy session, while its outcome is open.
    pub fn copying(&self) -> Option<&Session> {
        self.session
            .as_ref()
            .filter(|session| session.copy.outcome().is_none())
    }

    /// Whether a transfer of it is not over.
    pub fn is_busy(&self) -> bool {
        self.copying().is_some() || self.sealing.is_some() || self.pending.is_some()
    }
}
