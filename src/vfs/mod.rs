//! What files mean: inodes, handles, directories, reading, writing, renaming, xattrs.
//!
//! Usable and tested without a kernel. Operations that memory can answer have a form without
//! `async` (`*_now`) that returns `None` when the network is needed.
//!
//! | file | what is in it |
//! |---|---|
//! | `settings` | [`Settings`]: what the mount was told |
//! | `error` | [`FsError`]: an errno with its reason |
//! | `attr` | [`Attr`]: what `stat` shows |
//! | `caller` | [`Caller`]: is the program that asks being killed? |
//! | `events` | [`Changes`]: what the kernel must forget |
//! | `inode` | one file or directory in memory |
//! | `tree` | all inodes, and the profiles under the root |
//! | `share` | taking over what a share shows |
//! | `find` | searches, files by kind, links for others |
//! | `profiles` | profiles that come and go while the mount is there |
//! | `directory` | listings: loading, freshness, reconciling, duplicates |
//! | `handles` | open files and directories |
//! | `lookup` | lookup, getattr, setattr, readdir |
//! | `blocks`, `read` | ranged reads through a block cache with read-ahead |
//! | `open`, `write`, `commit` | drafts, and when they become files |
//! | `copy` | copy sessions |
//! | `create`, `remove`, `rename` | names |
//! | `revive` | files of journaled transfers after a restart |
//! | `landing` | a transfer's way back into the tree |
//! | `xattr` | `user.pan.*` |
//! | `guards` | removals that count, files in the way, policies and approvals |
//! | `control` | the virtual tree `.panfuse/` |
//! | `space` | statfs |

mod attr;
mod blocks;
mod caller;
mod commit;
mod control;
mod copy;
mod create;
mod directory;
mod error;
mod events;
mod find;
mod guards;
mod handles;
mod inode;
mod landing;
mod lookup;
mod open;
mod profiles;
mod read;
mod remove;
mod rename;
mod revive;
mod settings;
mod share;
mod space;
mod tree;
mod write;
mod xattr;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::transfer::Engine;

pub use attr::{Attr, FileKind};
pub use caller::Caller;
pub use error::{FsError, FsResult};
pub use events::Changes;
pub use find::{Findings, FoundAt, Look};
pub use guards::Approved;
pub use handles::{DirEntry, Opened};
pub use lookup::SetAttr;
pub use settings::{Close, Settings};
pub use space::StatFs;
pub use tree::ROOT;

/// The file system. Cheap to clone.
#[derive(Clone)]
pub struct Vfs {
    core: Arc<Core>,
}

struct Core {
    engine: Engine,
    settings: Settings,
    tree: tree::Tree,
    handles: handles::Handles,
    blocks: blocks::Blocks,
    control: control::Control,
    changes: OnceLock<Arc<dyn Changes>>,
    /// Closed files that are being queued behind their last close.
    closing: AtomicUsize,
}

impl Vfs {
    /// A file system over the engine's volumes.
    pub fn new(engine: Engine, settings: Settings) -> Vfs {
        let tree = tree::Tree::new(&engine);
        let blocks = blocks::Blocks::new(settings.memory_target);
        let vfs = Vfs {
            core: Arc::new(Core {
                engine,
                settings,
                tree,
                handles: handles::Handles::default(),
                blocks,
                control: control::Control::default(),
                changes: OnceLock::new(),
                closing: AtomicUsize::new(0),
            }),
        };
        vfs.core
            .engine
            .on_parked(Arc::new(landing::ParkedLanding::new(&vfs)));
        vfs
    }

    /// Tells who forgets what the kernel remembers. Once.
    pub fn on_change(&self, changes: Arc<dyn Changes>) {
        let _ = self.core.changes.set(changes);
    }

    /// Waits until everything that was closed is at its provider and everything that was removed
    /// is in its trash; only `profile` when one is named. Returns how many transfers failed.
    pub async fn settle(&self, profile: Option<&str>) -> usize {
        while self.core.closing.load(Ordering::Acquire) > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let failed = self.engine().wait_idle(profile).await;
        self.engine().finish_all_holds().await;
        // Removals that waited for a transfer begin when it ends; a provider that refuses one is
        // asked again later and not waited for here.
        for _ in 0..500 {
            if failed > 0 || self.engine().parked() == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        failed
    }

    /// The engine below.
    pub fn engine(&self) -> &Engine {
        &self.core.engine
    }

    /// What the mount was told.
    pub fn settings(&self) -> &Settings {
        &self.core.settings
    }

    fn tree(&self) -> &tree::Tree {
        &self.core.tree
    }

    fn forget_entry(&self, parent: u64, name: &str) {
        if let Some(changes) = self.core.changes.get() {
            changes.entry(parent, name);
        }
    }

    fn forget_inode(&self, ino: u64) {
        if let Some(changes) = self.core.changes.get() {
            changes.inode(ino);
        }
    }
}
