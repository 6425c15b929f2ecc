//! Small records: quota, breakers, counters, what is told about a node, and the statistics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::Catalog;
use super::entry::{NodeKey, signed, unsigned};
use super::save::reserve_keys;
use super::tree::{RESERVE, Record, Slot, Tree};
use crate::drive::Quota;
use crate::fingerprint::Kind;
use crate::net::{BreakerRecord, BreakerStore, Clock, SystemClock};

const TRANSFER: &str = "transfer";
const ERROR: &str = "error";
const QUOTA: &str = "quota";
pub(super) const BREAKER: &str = "breaker";
const COUNTER: &str = "counter";

/// Negative entries older than this are dropped when the catalog is opened, milliseconds.
const NEGATIVE_AGE: i64 = 24 * 3600 * 1000;

/// The catalog in numbers, for `status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Rows per table.
    pub rows: BTreeMap<String, u64>,
    /// Changes that are not in the file yet.
    pub unsaved: u64,
    /// Whether the file can be written.
    pub writable: bool,
    /// Transactions that could not be committed since the catalog was opened.
    pub write_failures: u64,
    /// Reads that SQLite refused since then.
    pub read_failures: u64,
    /// Node rows written or removed since then.
    pub node_writes: u64,
}

/// The first key that was certainly never used, also when the last minutes of an earlier run or
/// the whole earlier file were lost: the time goes in. Below 2^53 until the year 2242.
pub(super) fn first_key(connection: &Connection) -> rusqlite::Result<u64> {
    let reserved: Option<i64> = connection
        .query_row(
            "SELECT number FROM records WHERE kind = 'keys' AND name = ''",
            [],
            |row| row.get(0),
        )
        .optional()?;
    let seconds = unsigned(SystemClock.now_ms() / 1000).min(u64::from(u32::MAX) * 2);
    let next = unsigned(reserved.unwrap_or(0)).max(seconds << 20).max(1);
    match reserve_keys(connection, next + RESERVE) {
        Ok(_) => Ok(next),
        // A full disk must not keep the tree from being served.
        Err(error) if super::writer::is_storage(&error) => {
            tracing::error!(%error, "the catalog cannot be written");
            Ok(next)
        }
        Err(error) => Err(error),
    }
}

/// Reads what is held in memory whole.
pub(super) fn load(connection: &Connection, tree: &mut Tree) -> rusqlite::Result<()> {
    let mut roots =
        connection.prepare("SELECT profile, key FROM nodes WHERE parent IS NULL ORDER BY key")?;
    for root in roots.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))? {
        let (profile, key) = root?;
        tree.roots.insert(profile.into(), NodeKey(unsigned(key)));
    }
    let mut counters =
        connection.prepare("SELECT name, number FROM records WHERE kind = 'counter'")?;
    for counter in counters.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))? {
        let (name, number) = counter?;
        tree.counters.insert(name.into(), unsigned(number));
    }
    let oldest = SystemClock.now_ms().saturating_sub(NEGATIVE_AGE);
    if let Err(error) = connection.execute(
        "DELETE FROM node_records WHERE kind = 'negative' AND number < ?1",
        [oldest],
    ) {
        tracing::debug!(%error, "old negative entries stay");
    }
    let mut dirs =
        connection.prepare("SELECT DISTINCT node FROM node_records WHERE kind = 'negative'")?;
    for dir in dirs.query_map([], |row| row.get(0))? {
        tree.negative_dirs.insert(NodeKey(unsigned(dir?)));
    }
    let mut claims = connection.prepare("SELECT size, kind, value FROM distrusted")?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok((
            row.get::<_, i64>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, String>(2)?,
        ))
    };
    for claim in claims.query_map([], read)? {
        let (size, kind, value) = claim?;
        if let Some(kind) = Kind::parse(&kind) {
            tree.distrusted.insert((unsigned(size), kind, value.into()));
        }
    }
    Ok(())
}

impl Catalog {
    /// Remembers the space of an account, told at `at` (milliseconds since the epoch).
    pub fn put_quota(&self, account: &str, quota: Quota, at: i64) {
        let text = serde_json::to_string(&quota).unwrap_or_default();
        self.put(Slot::of_name(QUOTA, account), at, "", &text);
    }

    /// The space of an account and when it was told.
    pub fn quota(&self, account: &str) -> Option<(Quota, i64)> {
        let record = self.record(&Slot::of_name(QUOTA, account))?;
        let quota = serde_json::from_str(&record.text).ok()?;
        Some((quota, record.number))
    }

    /// Adds to a counter.
    pub fn bump(&self, name: &str, by: u64) {
        {
            let mut tree = self.shared.tree();
            let count = tree.counters.entry(name.into()).or_default();
            *count = count.saturating_add(by);
            let record = Record {
                number: signed(*count),
                ..Record::default()
            };
            tree.put_record(Slot::of_name(COUNTER, name), Some(record));
        }
        self.changed();
    }

    /// A counter; 0 when it was never bumped.
    pub fn counter(&self, name: &str) -> u64 {
        self.shared.tree().counters.get(name).copied().unwrap_or(0)
    }

    /// Keeps the result of the transfer that made this version of a node, as JSON.
    pub fn set_transfer(&self, key: NodeKey, version: &str, json: &str) {
        self.put(Slot::of_node(key, TRANSFER, ""), 0, version, json);
    }

    /// The result of the transfer that made the node as it is now; `None` once it has another
    /// version.
    pub fn transfer(&self, key: NodeKey) -> Option<String> {
        self.about(key, TRANSFER)
    }

    /// Keeps an error that befell this version of a node; an empty text clears it.
    pub fn set_error(&self, key: NodeKey, version: &str, text: &str) {
        let slot = Slot::of_node(key, ERROR, "");
        if text.is_empty() {
            self.shared.tree().put_record(slot, None);
            self.changed();
        } else {
            self.put(slot, 0, version, text);
        }
    }

    /// The error that befell the node as it is now.
    pub fn error(&self, key: NodeKey) -> Option<String> {
        self.about(key, ERROR)
    }

    fn about(&self, key: NodeKey, kind: &'static str) -> Option<String> {
        let version = self.get(key)?.node.version.clone();
        let record = self.record(&Slot::of_node(key, kind, ""))?;
        (*record.version == *version).then(|| record.text.to_string())
    }

    fn put(&self, slot: Slot, number: i64, version: &str, text: &str) {
        let record = Record {
            number,
            version: version.into(),
            text: text.into(),
        };
        self.shared.tree().put_record(slot, Some(record));
        self.changed();
    }

    /// A record, from memory or from the file.
    pub(super) fn record(&self, slot: &Slot) -> Option<Record> {
        if let Some(unsaved) = self.shared.tree().record(slot) {
            return unsaved.cloned();
        }
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Record {
                number: row.get(0)?,
                version: Arc::from(row.get::<_, String>(1)?),
                text: Arc::from(row.get::<_, String>(2)?),
            })
        };
        self.read(slot.kind, |connection| match slot.node {
            Some(node) => connection
                .prepare_cached(
                    "SELECT number, version, text FROM node_records
                     WHERE node = ?1 AND kind = ?2 AND name = ?3",
                )?
                .query_row(params![signed(node.0), slot.kind, &*slot.name], read)
                .optional(),
            None => connection
                .prepare_cached(
                    "SELECT number, '', text FROM records WHERE kind = ?1 AND name = ?2",
                )?
                .query_row(params![slot.kind, &*slot.name], read)
                .optional(),
        })
        .flatten()
    }

    /// The catalog in numbers. Rows are counted in the file.
    pub fn stats(&self) -> Stats {
        let count = |connection: &Connection| {
            [
                "nodes",
                "node_raw",
                "listings",
                "node_records",
                "records",
                "contents",
                "facts",
                "distrusted",
            ]
            .into_iter()
            .map(|table| {
                let sql = format!("SELECT count(*) FROM {table}");
                let rows: i64 = connection
                    .prepare_cached(&sql)?
                    .query_row([], |r| r.get(0))?;
                Ok((table.to_owned(), unsigned(rows)))
            })
            .collect()
        };
        Stats {
            rows: self.read("stats", count).unwrap_or_default(),
            unsaved: u64::try_from(self.shared.tree().unsaved()).unwrap_or(u64::MAX),
            writable: self.shared.healthy.load(Ordering::SeqCst),
            write_failures: self.shared.write_failures.load(Ordering::Relaxed),
            read_failures: self.shared.read_failures.load(Ordering::Relaxed),
            node_writes: self.shared.rows_written.load(Ordering::Relaxed),
        }
    }
}

impl BreakerStore for Catalog {
    fn load(&self, account: &str) -> Option<BreakerRecord> {
        let record = self.record(&Slot::of_name(BREAKER, account))?;
        serde_json::from_str(&record.text).ok()
    }

    fn save(&self, account: &str, record: Option<&BreakerRecord>) {
        let slot = Slot::of_name(BREAKER, account);
        match record.and_then(|record| serde_json::to_string(record).ok()) {
            Some(text) => self.put(slot, 0, "", &text),
            None => {
                self.shared.tree().put_record(slot, None);
                self.changed();
            }
        }
    }
}
