//! Hot nodes and directories in memory, and reading the others from the file.
//!
//! What is in a cache is current: every change updates it under the tree's lock, and whatever is
//! loaded is put there under that lock too. So a hit needs no lock. Changes that reach nodes
//! below (a removed subtree, a new id of a directory on a path-addressed drive) end the `epoch`:
//! everything cached before counts as missing.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use moka::sync::Cache;
use rusqlite::{Connection, OptionalExtension, params};

use super::Catalog;
use super::entry::{COLUMNS, Entry, NodeKey, Row, signed};
use super::tree::{Listed, Tree};
use crate::drive::NodeId;

/// Memory for hot nodes, bytes.
const NODES: u64 = 24 << 20;
/// Memory for hot directories, bytes. Their nodes are shared with the other cache.
const DIRS: u64 = 24 << 20;
/// A chain of parents longer than this is a cycle or an attack.
const DEPTH: usize = 4096;

/// A directory in memory.
pub(super) struct Dir {
    epoch: u64,
    state: Mutex<DirState>,
}

/// The entries of a directory in the order of their keys, and its freshness.
#[derive(Clone, Default)]
pub(super) struct DirState {
    entries: BTreeMap<NodeKey, Entry>,
    by_id: HashMap<NodeId, NodeKey>,
    pub(super) listed: Option<Listed>,
}

impl DirState {
    /// The entries in the order of their keys.
    pub(super) fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.values()
    }

    /// The entry with this provider id.
    pub(super) fn with_id(&self, id: &NodeId) -> Option<&Entry> {
        self.entries.get(self.by_id.get(id)?)
    }

    pub(super) fn insert(&mut self, entry: Entry) {
        self.remove(entry.key);
        self.by_id.insert(entry.node.id.clone(), entry.key);
        self.entries.insert(entry.key, entry);
    }

    pub(super) fn remove(&mut self, key: NodeKey) {
        if let Some(old) = self.entries.remove(&key)
            && self.by_id.get(&old.node.id) == Some(&key)
        {
            self.by_id.remove(&old.node.id);
        }
    }

    /// Other entries, the same freshness.
    pub(super) fn replace(&mut self, entries: impl IntoIterator<Item = Entry>) {
        self.entries.clear();
        self.by_id.clear();
        for entry in entries {
            self.insert(entry);
        }
    }
}

impl Dir {
    pub(super) fn state(&self) -> MutexGuard<'_, DirState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The caches.
pub(super) struct Caches {
    nodes: Cache<NodeKey, (u64, Entry)>,
    dirs: Cache<NodeKey, Arc<Dir>>,
    epoch: AtomicU64,
}

impl Caches {
    pub(super) fn new() -> Caches {
        let weight = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        Caches {
            nodes: Cache::builder()
                .max_capacity(NODES)
                .weigher(move |_, (_, entry): &(u64, Entry)| weight(entry.weight()))
                .build(),
            dirs: Cache::builder()
                .max_capacity(DIRS)
                .weigher(move |_, dir: &Arc<Dir>| weight(200 + dir.state().entries.len() * 700))
                .build(),
            epoch: AtomicU64::new(0),
        }
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Forgets everything. The caller holds the tree's lock.
    pub(super) fn end_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn node(&self, key: NodeKey) -> Option<Entry> {
        let (epoch, entry) = self.nodes.get(&key)?;
        (epoch == self.epoch()).then_some(entry)
    }

    pub(super) fn dir(&self, key: NodeKey) -> Option<Arc<Dir>> {
        self.dirs.get(&key).filter(|dir| dir.epoch == self.epoch())
    }

    pub(super) fn put_node(&self, entry: &Entry) {
        self.nodes.insert(entry.key, (self.epoch(), entry.clone()));
    }

    pub(super) fn put_dir(&self, key: NodeKey, state: DirState) -> Arc<Dir> {
        let dir = Arc::new(Dir {
            epoch: self.epoch(),
            state: Mutex::new(state),
        });
        self.dirs.insert(key, dir.clone());
        dir
    }

    /// Takes a removed node out of its directory too.
    pub(super) fn drop_node(&self, entry: &Entry) {
        self.nodes.invalidate(&entry.key);
        self.dirs.invalidate(&entry.key);
        if let Some(dir) = entry.parent.and_then(|parent| self.dir(parent)) {
            dir.state().remove(entry.key);
        }
    }

    /// Shows a new or changed node; `before` is what it was.
    pub(super) fn show(&self, entry: &Entry, before: Option<&Entry>) {
        self.put_node(entry);
        if let Some(before) = before.filter(|before| before.parent != entry.parent)
            && let Some(dir) = before.parent.and_then(|parent| self.dir(parent))
        {
            dir.state().remove(entry.key);
        }
        if let Some(parent) = entry.parent
            && let Some(dir) = self.dir(parent)
        {
            dir.state().insert(entry.clone());
            // Inserted again so that its new weight counts.
            self.dirs.insert(parent, dir);
        }
    }
}

/// The connections that read.
pub(super) struct Readers {
    connections: Vec<Arc<Mutex<Connection>>>,
    next: AtomicUsize,
}

impl Readers {
    pub(super) fn new(connections: Vec<Arc<Mutex<Connection>>>) -> Readers {
        Readers {
            connections,
            next: AtomicUsize::new(0),
        }
    }

    /// Closes them.
    pub(super) fn close(&mut self) {
        self.connections.clear();
    }

    /// Runs `read` on a free connection.
    pub(super) fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        for connection in &self.connections {
            match connection.try_lock() {
                Ok(connection) => return read(&connection),
                Err(TryLockError::Poisoned(poisoned)) => return read(&poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len().max(1);
        match self.connections.get(turn) {
            Some(connection) => read(&connection.lock().unwrap_or_else(PoisonError::into_inner)),
            None => Err(rusqlite::Error::InvalidQuery),
        }
    }
}

/// What the file has about a directory.
type Stored = (Vec<Row>, Option<Listed>);

impl Catalog {
    /// Reads from the file; a refusal is logged and counted, and nothing is known then.
    pub(super) fn read<T>(
        &self,
        what: &str,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Option<T> {
        match self.readers.with(read) {
            Ok(value) => Some(value),
            Err(error) => {
                self.shared.read_failed(what, &error);
                None
            }
        }
    }

    /// A node, by whoever holds the tree's lock.
    pub(super) fn entry_locked(&self, tree: &Tree, key: NodeKey) -> Option<Entry> {
        // Up to the first ancestor in memory, then down again: a removed ancestor hides all below.
        let mut rows = Vec::new();
        let mut next = Some(key);
        let mut parent = None;
        while let Some(key) = next {
            if let Some(entry) = self.caches.node(key) {
                parent = Some(entry);
                break;
            }
            let row = match tree.row(key) {
                Some(unsaved) => (**unsaved?).clone(),
                None => self.read_row(key)?,
            };
            next = row.parent;
            rows.push(row);
            if rows.len() > DEPTH {
                tracing::error!(%key, "a node has no root");
                return None;
            }
        }
        for row in rows.into_iter().rev() {
            let entry = row.into_entry(parent.as_ref());
            self.caches.put_node(&entry);
            parent = Some(entry);
        }
        parent
    }

    /// A directory's entries, by whoever holds the tree's lock.
    pub(super) fn dir_locked(&self, tree: &Tree, dir: &Entry) -> Arc<Dir> {
        if let Some(found) = self.caches.dir(dir.key) {
            return found;
        }
        let stored = self.read_dir(dir.key);
        self.put_stored(tree, dir, stored)
    }

    /// A directory's entries. The file is read without the lock when nobody changes anything
    /// meanwhile, so that a large directory does not hold up the others.
    pub(super) fn dir(&self, dir: &Entry) -> Arc<Dir> {
        if let Some(found) = self.caches.dir(dir.key) {
            return found;
        }
        let stamp = self.shared.tree().stamp();
        let stored = self.read_dir(dir.key);
        let tree = self.shared.tree();
        // The directory itself may have changed, too, since the caller looked.
        let Some(dir) = self.entry_locked(&tree, dir.key) else {
            return Arc::new(Dir {
                epoch: self.caches.epoch(),
                state: Mutex::default(),
            });
        };
        if tree.stamp() == stamp {
            self.put_stored(&tree, &dir, stored)
        } else {
            self.dir_locked(&tree, &dir)
        }
    }

    fn put_stored(&self, tree: &Tree, dir: &Entry, stored: Stored) -> Arc<Dir> {
        let (rows, listed) = stored;
        let mut state = DirState {
            listed: tree.listed(dir.key).or(listed),
            ..DirState::default()
        };
        let unsaved = tree.children(dir.key).map(|row| (**row).clone());
        let saved = rows.into_iter().filter(|row| tree.row(row.key).is_none());
        for row in saved.chain(unsaved) {
            // A node in the cache is current and may be shared.
            let entry = match self.caches.node(row.key) {
                Some(entry) => entry,
                None => {
                    let entry = row.into_entry(Some(dir));
                    self.caches.put_node(&entry);
                    entry
                }
            };
            state.insert(entry);
        }
        self.caches.put_dir(dir.key, state)
    }

    /// Whether anything is in a directory, without reading all of it.
    pub(super) fn has_children(&self, tree: &Tree, dir: NodeKey) -> bool {
        if let Some(dir) = self.caches.dir(dir) {
            return !dir.state().entries.is_empty();
        }
        // A removed child still in the file counts too: that errs on the safe side.
        tree.children(dir).next().is_some()
            || self
                .read("children", |connection| {
                    connection
                        .prepare_cached("SELECT 1 FROM nodes WHERE parent = ?1 LIMIT 1")?
                        .exists([signed(dir.0)])
                })
                .unwrap_or(true)
    }

    fn read_row(&self, key: NodeKey) -> Option<Row> {
        self.read("node", |connection| {
            connection
                .prepare_cached(&format!("SELECT {COLUMNS} FROM nodes WHERE key = ?1"))?
                .query_row([signed(key.0)], Row::read)
                .optional()
        })
        .flatten()
    }

    fn read_dir(&self, dir: NodeKey) -> Stored {
        self.read("listing", |connection| {
            let rows = connection
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM nodes WHERE parent = ?1 ORDER BY key"
                ))?
                .query_map([signed(dir.0)], Row::read)?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            let listed = connection
                .prepare_cached("SELECT fetched_at, complete FROM listings WHERE dir = ?1")?
                .query_row(params![signed(dir.0)], |row| {
                    Ok(Listed {
                        at: row.get(0)?,
                        complete: row.get(1)?,
                    })
                })
                .optional()?;
            Ok((rows, listed))
        })
        .unwrap_or_default()
    }
}
