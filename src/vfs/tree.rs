//! All inodes. The root holds the profiles.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::attr::FileKind;
use super::error::{FsError, FsResult};
use super::inode::Inode;
use crate::catalog::NodeKey;
use crate::content::Volume;
use crate::drive::{Node, NodeId, NodeKind};
use crate::fingerprint::Fingerprints;
use crate::transfer::Engine;

/// Inode number of the mount point.
pub const ROOT: u64 = 1;

/// Inode numbers from here on belong to the control tree.
pub(super) const CONTROL_BASE: u64 = 1 << 62;

/// The inodes.
pub(super) struct Tree {
    inodes: RwLock<HashMap<u64, Arc<Inode>>>,
    by_key: RwLock<HashMap<NodeKey, u64>>,
    next: AtomicU64,
}

impl Tree {
    /// The root with the engine's volumes.
    pub fn new(engine: &Engine) -> Tree {
        let tree = Tree {
            inodes: RwLock::new(HashMap::new()),
            by_key: RwLock::new(HashMap::new()),
            next: AtomicU64::new(ROOT + 1),
        };
        let root = Arc::new(Inode::new(ROOT, FileKind::Dir, None, ROOT, String::new()));
        tree.put(root.clone());
        for volume in engine.volumes() {
            tree.mount(engine, &root, volume);
        }
        root.state().children.complete = true;
        root.state().children.listed = i64::MAX;
        tree
    }

    /// Puts a profile's directory under the root.
    pub fn mount(&self, engine: &Engine, root: &Inode, volume: Volume) {
        let key = engine.catalog().root(&volume.name, &volume.drive.root());
        let node = root_node(&volume);
        let name = volume.name.to_string();
        let inode = self.make(FileKind::Dir, Some(volume), ROOT, name.clone());
        {
            let mut state = inode.state();
            state.key = Some(key);
            state.node = Some(Arc::new(node));
        }
        self.remember_key(key, inode.ino);
        root.state().children.names.insert(name, inode.ino);
    }

    /// Every inode of a profile.
    pub fn of_profile(&self, profile: &str) -> Vec<Arc<Inode>> {
        let inodes = self.inodes.read().unwrap_or_else(PoisonError::into_inner);
        let own = inodes.values().filter(|inode| {
            let volume = inode.volume.as_ref();
            volume.is_some_and(|volume| &*volume.name == profile)
        });
        own.cloned().collect()
    }

    fn put(&self, inode: Arc<Inode>) {
        let mut inodes = self.inodes.write().unwrap_or_else(PoisonError::into_inner);
        inodes.insert(inode.ino, inode);
    }

    /// A new inode.
    pub fn make(
        &self,
        kind: FileKind,
        volume: Option<Volume>,
        parent: u64,
        name: String,
    ) -> Arc<Inode> {
        let ino = self.next.fetch_add(1, Ordering::Relaxed);
        let inode = Arc::new(Inode::new(ino, kind, volume, parent, name));
        self.put(inode.clone());
        inode
    }

    /// An inode by number.
    pub fn get(&self, ino: u64) -> FsResult<Arc<Inode>> {
        let inodes = self.inodes.read().unwrap_or_else(PoisonError::into_inner);
        inodes.get(&ino).cloned().ok_or(FsError::new(libc::ESTALE))
    }

    /// An inode by its key in the catalog.
    pub fn by_key(&self, key: NodeKey) -> Option<Arc<Inode>> {
        let ino = *self
            .by_key
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)?;
        self.get(ino).ok()
    }

    /// Ties a key of the catalog to an inode.
    pub fn remember_key(&self, key: NodeKey, ino: u64) {
        self.by_key
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, ino);
    }

    /// Drops an inode nobody names or uses any more.
    pub fn drop_inode(&self, inode: &Inode) {
        let key = inode.state().key;
        if let Some(key) = key {
            let mut by_key = self.by_key.write().unwrap_or_else(PoisonError::into_inner);
            if by_key.get(&key) == Some(&inode.ino) {
                by_key.remove(&key);
            }
        }
        self.inodes
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&inode.ino);
    }

    /// Number of inodes in memory.
    pub fn len(&self) -> usize {
        self.inodes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// The path of an inode below the mount point, `profile/dir/name`.
    pub fn path(&self, inode: &Inode) -> String {
        let mut names = Vec::new();
        let (mut parent, name) = {
            let state = inode.state();
            (state.parent, state.name.clone())
        };
        if inode.ino == ROOT {
            return String::new();
        }
        names.push(name);
        for _ in 0..512 {
            if parent == ROOT {
                break;
            }
            let Ok(above) = self.get(parent) else { break };
            let state = above.state();
            names.push(state.name.clone());
            parent = state.parent;
        }
        names.reverse();
        names.join("/")
    }
}

fn root_node(volume: &Volume) -> Node {
    Node {
        id: volume.drive.root(),
        parent: NodeId::new(""),
        name: volume.name.to_string(),
        kind: NodeKind::Dir,
        size: 0,
        modified: 0,
        created: 0,
        version: String::new(),
        fingerprints: Fingerprints::new(),
        handle: None,
        raw: None,
    }
}
