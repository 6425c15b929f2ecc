//! What a provider lists is reconciled with what is known, and names known not to exist.

use std::collections::{BTreeMap, HashMap};

use super::entry::{Entry, NodeKey, signed};
use super::tree::{Listed, Record, Tree};
use super::{Catalog, Slot};
use crate::drive::{Node, NodeId};

/// A directory as it was listed last, with our own changes since.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// The entries, in an order that stays the same (by key).
    pub entries: Vec<Entry>,
    /// When the provider listed all of it, milliseconds since the epoch; 0 after
    /// [`Catalog::expire`].
    pub fetched_at: i64,
    /// `false` while a newer listing streams in: what vanished meanwhile is still among the entries.
    pub complete: bool,
}

impl Catalog {
    /// The listing of a directory. `None` when it was never listed to the end, or is gone.
    pub fn listing(&self, dir: NodeKey) -> Option<Listing> {
        let entry = self.get(dir)?;
        let dir = self.dir(&entry);
        let state = dir.state();
        let listed = state.listed?;
        Some(Listing {
            entries: state.entries().cloned().collect(),
            fetched_at: listed.at,
            complete: listed.complete,
        })
    }

    /// What is known of a directory, listed to the end or not.
    pub fn children(&self, dir: NodeKey) -> Vec<Entry> {
        let Some(entry) = self.get(dir) else {
            return Vec::new();
        };
        let dir = self.dir(&entry);
        let state = dir.state();
        state.entries().cloned().collect()
    }

    /// A complete listing of a directory, fetched at `at` (milliseconds since the epoch).
    ///
    /// Nodes are recognised by the provider's id: a known one keeps its key also under another
    /// name. What vanished is removed with everything below it, unchanged nodes are not
    /// written. Returns the entries in the order of `nodes` (an id that comes twice, once).
    /// `None` when the directory is not known any more.
    pub fn put_listing(&self, dir: NodeKey, nodes: Vec<Node>, at: i64) -> Option<Vec<Entry>> {
        self.reconcile(dir, nodes, Some(at))
    }

    /// One page of a listing that streams in. Adds and changes, removes nothing; the directory
    /// counts as listed only after [`Catalog::put_listing`].
    pub fn put_page(&self, dir: NodeKey, nodes: Vec<Node>, at: i64) -> Option<Vec<Entry>> {
        // The time counts when the listing is complete: a page alone proves nothing about the rest.
        let _ = at;
        self.reconcile(dir, nodes, None)
    }

    /// Makes a listing old, so that the next look asks the provider.
    pub fn expire(&self, dir: NodeKey) {
        {
            let mut tree = self.shared.tree();
            let Some(entry) = self.entry_locked(&tree, dir) else {
                return;
            };
            let children = self.dir_locked(&tree, &entry);
            let mut state = children.state();
            match &mut state.listed {
                Some(listed) if listed.at != 0 => {
                    listed.at = 0;
                    tree.put_listed(dir, *listed);
                }
                _ => return,
            }
        }
        self.changed();
    }

    fn reconcile(
        &self,
        dir: NodeKey,
        nodes: Vec<Node>,
        complete_at: Option<i64>,
    ) -> Option<Vec<Entry>> {
        let entries = {
            let mut guard = self.shared.tree();
            let tree = &mut *guard;
            let dir = self.entry_locked(tree, dir)?;
            let children = self.dir_locked(tree, &dir);
            let mut state = children.state().clone();
            let mut positions: HashMap<NodeId, usize> = HashMap::with_capacity(nodes.len());
            let mut entries: Vec<Entry> = Vec::with_capacity(nodes.len());
            for node in nodes {
                if complete_at.is_none() && tree.negative_dirs.contains(&dir.key) {
                    tree.put_record(Slot::negative(dir.key, &node.name), None);
                }
                let id = node.id.clone();
                let again = positions.get(&id).copied();
                let before = match again {
                    // Pages overlap when the directory changes meanwhile: the later one is newer.
                    Some(position) => entries.get(position).cloned(),
                    None => state.with_id(&id).cloned(),
                };
                // A path may name a file now that was a directory: that is another node.
                let before = before.filter(|before| before.node.kind == node.kind);
                let entry = self.store(tree, &dir, before.as_ref(), node, false);
                match again.and_then(|position| entries.get_mut(position)) {
                    Some(place) => *place = entry,
                    None => {
                        positions.insert(id, entries.len());
                        entries.push(entry);
                    }
                }
            }
            let mut fresh: BTreeMap<NodeKey, Entry> =
                entries.iter().map(|e| (e.key, e.clone())).collect();
            // Whatever the listing does not confirm: gone, or another kind of node now.
            for entry in state.entries() {
                if fresh.contains_key(&entry.key) {
                    continue;
                }
                if complete_at.is_some() || positions.contains_key(&entry.node.id) {
                    self.forget(tree, entry);
                } else {
                    fresh.insert(entry.key, entry.clone());
                }
            }
            match (complete_at, state.listed) {
                (Some(at), _) => {
                    let listed = Listed { at, complete: true };
                    tree.put_listed(dir.key, listed);
                    state.listed = Some(listed);
                    self.clear_negatives(tree, dir.key);
                }
                (None, Some(listed)) if listed.complete => {
                    let listed = Listed {
                        complete: false,
                        ..listed
                    };
                    tree.put_listed(dir.key, listed);
                    state.listed = Some(listed);
                }
                (None, _) => {}
            }
            state.replace(fresh.into_values());
            self.caches.put_dir(dir.key, state);
            entries
        };
        self.changed();
        Some(entries)
    }

    /// Remembers that a directory has no entry of this name, as of `at` (milliseconds).
    pub fn put_negative(&self, dir: NodeKey, name: &str, at: i64) {
        {
            let mut tree = self.shared.tree();
            if self.entry_locked(&tree, dir).is_none() {
                return;
            }
            tree.negative_dirs.insert(dir);
            let record = Record {
                number: at,
                ..Record::default()
            };
            tree.put_record(Slot::negative(dir, name), Some(record));
        }
        self.changed();
    }

    /// When the provider said last that there is no such name; an own change, a page or a
    /// complete listing clears it.
    pub fn negative(&self, dir: NodeKey, name: &str) -> Option<i64> {
        if !self.shared.tree().negative_dirs.contains(&dir) {
            return None;
        }
        self.get(dir)?;
        self.record(&Slot::negative(dir, name))
            .map(|record| record.number)
    }

    /// A complete listing says more than single answers did.
    fn clear_negatives(&self, tree: &mut Tree, dir: NodeKey) {
        if !tree.negative_dirs.remove(&dir) {
            return;
        }
        let names = self
            .read("negative", |connection| {
                connection
                    .prepare_cached(
                        "SELECT name FROM node_records WHERE node = ?1 AND kind = 'negative'",
                    )?
                    .query_map([signed(dir.0)], |row| row.get::<_, String>(0))?
                    .collect::<rusqlite::Result<Vec<_>>>()
            })
            .unwrap_or_default();
        let unsaved = tree.negatives(dir);
        for name in names
            .iter()
            .map(String::as_str)
            .chain(unsaved.iter().map(|n| &**n))
        {
            tree.put_record(Slot::negative(dir, name), None);
        }
    }
}
