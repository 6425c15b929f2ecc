//! Single nodes: the roots, finding, and our own changes written through.

use std::sync::Arc;

use rusqlite::OptionalExtension;

use super::cache::Dir;
use super::entry::{
    Entry, KeptAttrs, LocalAttrs, NodeKey, RawChange, Row, relative_to, signed, unsigned,
};
use super::tree::Tree;
use super::{Catalog, Slot};
use crate::drive::{Node, NodeId, NodeKind};
use crate::fingerprint::{Fingerprints, Kind, Known};

impl Catalog {
    /// The root of a profile's tree, made when it is new. When the profile names another
    /// directory than before, the old tree is forgotten and a new one begins.
    pub fn root(&self, profile: &str, root_id: &NodeId) -> NodeKey {
        let mut guard = self.shared.tree();
        let tree = &mut *guard;
        if let Some(key) = tree.roots.get(profile).copied()
            && let Some(root) = self.entry_locked(tree, key)
        {
            if root.node.id == *root_id {
                return key;
            }
            self.forget(tree, &root);
        }
        let key = tree.allocate();
        let profile: Arc<str> = profile.into();
        let entry = Entry {
            key,
            parent: None,
            profile: profile.clone(),
            node: Arc::new(Node {
                id: root_id.clone(),
                parent: root_id.clone(),
                name: String::new(),
                kind: NodeKind::Dir,
                size: 0,
                modified: 0,
                created: 0,
                version: String::new(),
                fingerprints: Fingerprints::new(),
                handle: None,
                raw: None,
            }),
            attrs: None,
            has_raw: false,
        };
        tree.roots.insert(profile, key);
        self.write(tree, &entry, None, None, RawChange::Keep);
        drop(guard);
        self.changed();
        key
    }

    /// The node with this key. `None` when there is none any more.
    pub fn get(&self, key: NodeKey) -> Option<Entry> {
        match self.caches.node(key) {
            Some(entry) => Some(entry),
            None => self.entry_locked(&self.shared.tree(), key),
        }
    }

    /// Every node of a profile with this provider id: usually one, several where the provider
    /// shows one node in several directories.
    pub fn find(&self, profile: &str, id: &NodeId) -> Vec<Entry> {
        let tree = self.shared.tree();
        let mut keys: Vec<NodeKey> = tree
            .all_rows()
            .filter(|row| !row.relative && row.node.id == *id)
            .map(|row| row.key)
            .collect();
        keys.extend(
            self.read("find", |connection| {
                connection
                    .prepare_cached("SELECT key FROM nodes WHERE id = ?1 AND relative = 0")?
                    .query_map([id.as_str()], |row| row.get(0))?
                    .collect::<rusqlite::Result<Vec<i64>>>()
            })
            .unwrap_or_default()
            .into_iter()
            .map(|key| NodeKey(unsigned(key))),
        );
        keys.sort_unstable();
        keys.dedup();
        let mut found: Vec<Entry> = keys
            .into_iter()
            .filter_map(|key| self.entry_locked(&tree, key))
            .filter(|entry| &*entry.profile == profile && entry.node.id == *id)
            .collect();
        if id.as_str().contains('/')
            && let Some(root) = tree.roots.get(profile)
            && let Some(root) = self.entry_locked(&tree, *root)
        {
            self.find_path(&tree, root, id, &mut found);
        }
        found
    }

    /// Walks down a path: ids relative to their parents are in no index.
    fn find_path(&self, tree: &Tree, root: Entry, id: &NodeId, found: &mut Vec<Entry>) {
        let mut open = vec![root];
        while let Some(dir) = open.pop() {
            let state = self.dir_locked(tree, &dir).state().clone();
            for child in state.entries().cloned() {
                let path = child.node.id.as_str();
                if child.node.id == *id {
                    if !found.iter().any(|other| other.key == child.key) {
                        found.push(child);
                    }
                } else if child.node.is_dir() && relative_to(id.as_str(), path).is_some() {
                    open.push(child);
                }
            }
        }
    }

    /// The entries of a directory under this name: several where the provider has duplicates.
    pub fn named(&self, dir: NodeKey, name: &str) -> Vec<Entry> {
        let Some(dir) = self.get(dir) else {
            return Vec::new();
        };
        let dir = self.dir(&dir);
        let state = dir.state();
        let named = state.entries().filter(|e| e.node.name == name);
        named.cloned().collect()
    }

    /// The provider's own record of a node, as it was when the node changed last.
    pub fn raw(&self, key: NodeKey) -> Option<Arc<str>> {
        {
            let tree = self.shared.tree();
            self.entry_locked(&tree, key)?;
            if let Some(Some(row)) = tree.row(key)
                && let RawChange::Set(raw) = &row.raw
            {
                return raw.clone();
            }
        }
        self.read("raw", |connection| {
            connection
                .prepare_cached("SELECT raw FROM node_raw WHERE node = ?1")?
                .query_row([signed(key.0)], |row| row.get::<_, String>(0))
                .optional()
        })
        .flatten()
        .map(Arc::from)
    }

    /// Writes an own change through: a node that was made or replaced in `dir`. It keeps the key
    /// of `replaces` when that is given and known, else of the node in `dir` with the same
    /// provider id; else it is new. `None` when `dir` is not known any more.
    pub fn upsert(&self, dir: NodeKey, node: Node, replaces: Option<NodeKey>) -> Option<Entry> {
        let entry = {
            let mut tree = self.shared.tree();
            let dir = self.entry_locked(&tree, dir)?;
            let children = self.dir_locked(&tree, &dir);
            let twin = twin(&children, &node);
            let before = replaces
                .and_then(|key| self.entry_locked(&tree, key))
                .or_else(|| twin.clone());
            self.place(&mut tree, &dir, before, twin, node, false)
        };
        self.changed();
        Some(entry)
    }

    /// Another provider id for the same node of ours (overwrite by replace). `None` when the key
    /// is not known any more.
    pub fn replace(&self, key: NodeKey, node: Node) -> Option<Entry> {
        let parent = self.get(key)?.parent?;
        self.upsert(parent, node, Some(key))
    }

    /// A node that was moved or renamed; `new_parent` is where it is now, `node` what the provider
    /// says now. What was learned about its content stays while its version stays. `None` when
    /// either is not known any more, or when the directory would come below itself.
    pub fn moved(&self, key: NodeKey, new_parent: NodeKey, node: Node) -> Option<Entry> {
        let entry = {
            let mut tree = self.shared.tree();
            let before = self.entry_locked(&tree, key)?;
            let dir = self.entry_locked(&tree, new_parent)?;
            before.parent?;
            let mut above = Some(dir.key);
            while let Some(ancestor) = above {
                if ancestor == key {
                    return None;
                }
                above = self.entry_locked(&tree, ancestor)?.parent;
            }
            let children = self.dir_locked(&tree, &dir);
            let twin = twin(&children, &node);
            self.place(&mut tree, &dir, Some(before), twin, node, true)
        };
        self.changed();
        Some(entry)
    }

    /// Removes a node with everything below it. The root of a profile stays.
    pub fn remove(&self, key: NodeKey) {
        {
            let mut tree = self.shared.tree();
            let Some(entry) = self.entry_locked(&tree, key) else {
                return;
            };
            if entry.parent.is_none() {
                return;
            }
            self.forget(&mut tree, &entry);
        }
        self.changed();
    }

    /// Keeps attributes that the drive cannot store, for this version of the node.
    pub fn set_attrs(&self, key: NodeKey, version: &str, attrs: LocalAttrs) {
        let kept = KeptAttrs {
            version: version.to_owned(),
            attrs,
        };
        self.update(key, |entry| {
            let new = entry.attrs.as_deref() != Some(&kept);
            new.then(|| Entry {
                attrs: Some(Arc::new(kept)),
                ..entry.clone()
            })
        });
    }

    /// The kept attributes of this version of the node.
    pub fn attrs(&self, key: NodeKey, version: &str) -> Option<LocalAttrs> {
        let kept = self.get(key)?.attrs?;
        (kept.version == version).then_some(kept.attrs)
    }

    /// Adds a fingerprint to a node while it has this version; whether anything changed.
    pub fn learn_node(&self, key: NodeKey, version: &str, kind: Kind, known: Known) -> bool {
        self.update(key, |entry| {
            if entry.node.version != version {
                return None;
            }
            let mut node = (*entry.node).clone();
            node.fingerprints.learn(kind, known).then(|| Entry {
                node: Arc::new(node),
                ..entry.clone()
            })
        })
    }

    /// Changes what is known about a node in place.
    pub(super) fn update(
        &self,
        key: NodeKey,
        change: impl FnOnce(&Entry) -> Option<Entry>,
    ) -> bool {
        {
            let mut guard = self.shared.tree();
            let tree = &mut *guard;
            let Some(before) = self.entry_locked(tree, key) else {
                return false;
            };
            let Some(entry) = change(&before) else {
                return false;
            };
            let parent = before
                .parent
                .and_then(|parent| self.entry_locked(tree, parent));
            self.write(
                tree,
                &entry,
                parent.as_ref(),
                Some(&before),
                RawChange::Keep,
            );
        }
        self.changed();
        true
    }

    /// Puts `node` into `dir` as the successor of `before`; another row of ours for the same
    /// provider id there (a listing was faster) goes.
    fn place(
        &self,
        tree: &mut Tree,
        dir: &Entry,
        before: Option<Entry>,
        twin: Option<Entry>,
        node: Node,
        moved: bool,
    ) -> Entry {
        if let Some(twin) = twin
            && before.as_ref().is_some_and(|before| before.key != twin.key)
        {
            self.forget(tree, &twin);
        }
        if tree.negative_dirs.contains(&dir.key) {
            tree.put_record(Slot::negative(dir.key, &node.name), None);
        }
        let before = before.filter(|before| before.node.kind == node.kind);
        let entry = self.store(tree, dir, before.as_ref(), node, moved);
        self.caches.show(&entry, before.as_ref());
        entry
    }

    /// Writes `node` in `dir` unless nothing changed, keeping what was learned about `before`
    /// when it has the same version. The directory's cached entries are the caller's.
    pub(super) fn store(
        &self,
        tree: &mut Tree,
        dir: &Entry,
        before: Option<&Entry>,
        mut node: Node,
        moved: bool,
    ) -> Entry {
        let raw = node.raw.take();
        node.parent = dir.node.id.clone();
        tree.drop_distrusted(&mut node);
        let mut attrs = None;
        let mut has_raw = raw.is_some();
        let mut raw = match raw {
            Some(raw) => RawChange::Set(Some(raw)),
            None => RawChange::Keep,
        };
        if let Some(before) = before {
            let old = &before.node;
            let same_bytes = old.version == node.version
                && old.size == node.size
                && (moved || old.id == node.id);
            if same_bytes {
                let mut all = old.fingerprints.clone();
                all.merge(&node.fingerprints);
                node.fingerprints = all;
                attrs = before.attrs.clone();
                has_raw |= before.has_raw;
            } else {
                // Attributes may be set for a version before the provider shows it.
                attrs = before
                    .attrs
                    .clone()
                    .filter(|kept| kept.version == node.version);
                if before.has_raw && raw == RawChange::Keep {
                    raw = RawChange::Set(None);
                }
            }
            // A provider's record often holds links that differ each time: that alone is no change.
            if **old == node
                && before.parent == Some(dir.key)
                && before.attrs == attrs
                && before.has_raw == has_raw
            {
                return before.clone();
            }
        }
        let entry = Entry {
            key: before.map_or_else(|| tree.allocate(), |before| before.key),
            parent: Some(dir.key),
            profile: dir.profile.clone(),
            node: Arc::new(node),
            attrs,
            has_raw,
        };
        self.write(tree, &entry, Some(dir), before, raw);
        entry
    }

    /// Records a changed entry and shows it.
    fn write(
        &self,
        tree: &mut Tree,
        entry: &Entry,
        dir: Option<&Entry>,
        before: Option<&Entry>,
        raw: RawChange,
    ) {
        if let Some(before) = before
            && entry.node.is_dir()
            && before.node.id != entry.node.id
            && self.has_children(tree, entry.key)
        {
            // The ids below may be derived from this one.
            self.caches.end_epoch();
        }
        tree.put_row(Row::of(entry, dir, raw));
        self.caches.show(entry, before);
    }

    /// Removes a node and everything below it.
    pub(super) fn forget(&self, tree: &mut Tree, entry: &Entry) {
        let below = entry.node.is_dir() && self.has_children(tree, entry.key);
        tree.drop_row(entry.key);
        self.caches.drop_node(entry);
        if below {
            self.caches.end_epoch();
        }
    }
}

/// The node in a directory with the same provider id.
fn twin(children: &Dir, node: &Node) -> Option<Entry> {
    children.state().with_id(&node.id).cloned()
}
