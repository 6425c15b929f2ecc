//! What is newer than the file: changes that the writer has not saved yet.
//!
//! A change is applied here first and saved behind (`writer`). A reader looks here before it
//! looks into SQLite, so everybody reads his own writes at once, and a full disk costs nothing
//! but memory. A saved change leaves this place only after its commit, so a reader that misses
//! it here finds it in the file.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::entry::{NodeKey, RawChange, Row};
use crate::drive::Node;
use crate::fingerprint::{Kind, Origin};

/// Keys reserved in the file ahead of their use.
pub(super) const RESERVE: u64 = 1 << 16;

/// Where a record hangs: on a node (`node` set) or on a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Slot {
    pub(super) node: Option<NodeKey>,
    pub(super) kind: &'static str,
    pub(super) name: Arc<str>,
}

/// The kind of a negative entry.
const NEGATIVE: &str = "negative";

impl Slot {
    /// A name that a directory does not have.
    pub(super) fn negative(dir: NodeKey, name: &str) -> Slot {
        Slot::of_node(dir, NEGATIVE, name)
    }

    /// A record of a node.
    pub(super) fn of_node(node: NodeKey, kind: &'static str, name: &str) -> Slot {
        Slot {
            node: Some(node),
            kind,
            name: name.into(),
        }
    }

    /// A record of a name.
    pub(super) fn of_name(kind: &'static str, name: &str) -> Slot {
        Slot {
            node: None,
            kind,
            name: name.into(),
        }
    }
}

/// The content of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) number: i64,
    pub(super) version: Arc<str>,
    pub(super) text: Arc<str>,
}

/// When a directory was listed to the end last, and whether that is all there is to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) at: i64,
    pub(super) complete: bool,
}

/// A changed value with the time of its change.
#[derive(Clone, Debug)]
struct Change<T> {
    seq: u64,
    value: T,
}

/// Unsaved changes, and the small tables that are held in memory whole.
#[derive(Default)]
pub(super) struct Tree {
    rows: HashMap<NodeKey, Change<Option<Arc<Row>>>>,
    by_parent: HashMap<NodeKey, HashSet<NodeKey>>,
    listed: HashMap<NodeKey, Change<Listed>>,
    records: HashMap<Slot, Change<Option<Record>>>,
    seq: u64,
    saves: u64,
    next_key: u64,
    reserved: u64,
    /// The root of each profile.
    pub(super) roots: HashMap<Arc<str>, NodeKey>,
    /// Counters by name.
    pub(super) counters: HashMap<Arc<str>, u64>,
    /// Directories that have negative entries.
    pub(super) negative_dirs: HashSet<NodeKey>,
    /// Claims that were proven false.
    pub(super) distrusted: HashSet<(u64, Kind, Arc<str>)>,
}

/// The unsaved changes at one moment.
pub(super) struct Snapshot {
    pub(super) rows: Vec<(NodeKey, Option<Arc<Row>>)>,
    pub(super) listed: Vec<(NodeKey, Listed)>,
    pub(super) records: Vec<(Slot, Option<Record>)>,
    pub(super) reserve: Option<u64>,
    seq: u64,
}

impl Snapshot {
    /// Whether there is nothing to save.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
            && self.listed.is_empty()
            && self.records.is_empty()
            && self.reserve.is_none()
    }
}

impl Tree {
    /// Keys start at `next`; up to `reserved` the file knows of them.
    pub(super) fn new(next: u64, reserved: u64) -> Tree {
        Tree {
            next_key: next,
            reserved,
            ..Tree::default()
        }
    }

    /// A key that no node ever had.
    pub(super) fn allocate(&mut self) -> NodeKey {
        let key = NodeKey(self.next_key);
        self.next_key += 1;
        key
    }

    /// Changes whenever something here changes or leaves.
    pub(super) fn stamp(&self) -> (u64, u64) {
        (self.seq, self.saves)
    }

    /// How many changes are not saved.
    pub(super) fn unsaved(&self) -> usize {
        self.rows.len() + self.listed.len() + self.records.len()
    }

    /// The unsaved state of a node: `Some(None)` when it was removed.
    pub(super) fn row(&self, key: NodeKey) -> Option<Option<&Arc<Row>>> {
        self.rows.get(&key).map(|change| change.value.as_ref())
    }

    /// Unsaved nodes of a directory.
    pub(super) fn children(&self, dir: NodeKey) -> impl Iterator<Item = &Arc<Row>> {
        self.by_parent
            .get(&dir)
            .into_iter()
            .flatten()
            .filter_map(|key| self.rows.get(key)?.value.as_ref())
            .filter(move |row| row.parent == Some(dir))
    }

    /// Every unsaved node.
    pub(super) fn all_rows(&self) -> impl Iterator<Item = &Arc<Row>> {
        self.rows
            .values()
            .filter_map(|change| change.value.as_ref())
    }

    /// Writes a node.
    pub(super) fn put_row(&mut self, mut row: Row) {
        if row.raw == RawChange::Keep
            && let Some(Some(before)) = self.row(row.key)
        {
            row.raw = before.raw.clone();
        }
        if let Some(parent) = row.parent {
            self.by_parent.entry(parent).or_default().insert(row.key);
        }
        self.seq += 1;
        let seq = self.seq;
        let key = row.key;
        let value = Some(Arc::new(row));
        self.rows.insert(key, Change { seq, value });
    }

    /// Removes a node; what is below it goes with it in the file and is unreachable until then.
    pub(super) fn drop_row(&mut self, key: NodeKey) {
        self.seq += 1;
        let seq = self.seq;
        self.rows.insert(key, Change { seq, value: None });
        self.listed.remove(&key);
        self.negative_dirs.remove(&key);
    }

    /// The unsaved state of a listing.
    pub(super) fn listed(&self, dir: NodeKey) -> Option<Listed> {
        self.listed.get(&dir).map(|change| change.value)
    }

    /// Writes the state of a listing.
    pub(super) fn put_listed(&mut self, dir: NodeKey, value: Listed) {
        self.seq += 1;
        let seq = self.seq;
        self.listed.insert(dir, Change { seq, value });
    }

    /// The unsaved state of a record: `Some(None)` when it was removed.
    pub(super) fn record(&self, slot: &Slot) -> Option<Option<&Record>> {
        self.records.get(slot).map(|change| change.value.as_ref())
    }

    /// Writes or removes a record.
    pub(super) fn put_record(&mut self, slot: Slot, value: Option<Record>) {
        self.seq += 1;
        let seq = self.seq;
        self.records.insert(slot, Change { seq, value });
    }

    /// Slots of a kind with unsaved changes.
    pub(super) fn slots_of(&self, kind: &str) -> Vec<Slot> {
        let slots = self.records.keys();
        slots.filter(|slot| slot.kind == kind).cloned().collect()
    }

    /// Names of a directory with unsaved negative entries.
    pub(super) fn negatives(&self, dir: NodeKey) -> Vec<Arc<str>> {
        let slots = self.records.keys();
        slots
            .filter(|slot| slot.node == Some(dir) && slot.kind == NEGATIVE)
            .map(|slot| slot.name.clone())
            .collect()
    }

    /// Takes false claims out of what a provider says.
    pub(super) fn drop_distrusted(&self, node: &mut Node) {
        if self.distrusted.is_empty() {
            return;
        }
        let size = node.size;
        let false_claims: Vec<Kind> = node
            .fingerprints
            .iter()
            .filter(|(kind, known)| {
                known.origin == Origin::UploaderClaim
                    && self
                        .distrusted
                        .contains(&(size, *kind, known.value.clone()))
            })
            .map(|(kind, _)| kind)
            .collect();
        for kind in false_claims {
            node.fingerprints.forget(kind);
        }
    }

    /// What the writer is to save now.
    pub(super) fn snapshot(&self) -> Snapshot {
        let mut rows: Vec<_> = self
            .rows
            .iter()
            .map(|(key, change)| (*key, change.value.clone()))
            .collect();
        // A directory is mostly older than what is in it.
        rows.sort_unstable_by_key(|(key, _)| *key);
        Snapshot {
            rows,
            listed: self.listed.iter().map(|(k, c)| (*k, c.value)).collect(),
            records: self
                .records
                .iter()
                .map(|(slot, change)| (slot.clone(), change.value.clone()))
                .collect(),
            reserve: (self.next_key + RESERVE / 2 > self.reserved).then(|| self.next_key + RESERVE),
            seq: self.seq,
        }
    }

    /// The writer has committed `snapshot`: what did not change since is in the file.
    pub(super) fn saved(&mut self, snapshot: &Snapshot) {
        self.saves += 1;
        if let Some(reserved) = snapshot.reserve {
            self.reserved = reserved;
        }
        self.rows.retain(|_, change| change.seq > snapshot.seq);
        self.listed.retain(|_, change| change.seq > snapshot.seq);
        self.records.retain(|_, change| change.seq > snapshot.seq);
        self.by_parent.clear();
        for (key, change) in &self.rows {
            if let Some(parent) = change.value.as_ref().and_then(|row| row.parent) {
                self.by_parent.entry(parent).or_default().insert(*key);
            }
        }
    }
}
