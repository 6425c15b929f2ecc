//! Writing the tree's unsaved changes into the file.

use std::sync::Arc;

use rusqlite::{Connection, params};

use super::entry::{NodeKey, RawChange, Row, encode, signed};
use super::tree::{Slot, Snapshot};
use super::writer::is_storage;
use crate::drive::NodeKind;

/// Writes `snapshot` inside the caller's transaction; returns how many node rows were written.
///
/// Nodes come before removals: a node that moved out of a removed directory must have left it
/// when the removal takes everything below along. What SQLite refuses for its content is logged
/// and dropped, so that it cannot hold up the rest.
pub(super) fn save(connection: &Connection, snapshot: &Snapshot) -> rusqlite::Result<u64> {
    let mut written = 0;
    let mut todo: Vec<&Arc<Row>> = snapshot
        .rows
        .iter()
        .filter_map(|(_, row)| row.as_ref())
        .collect();
    // A directory may come after what was moved into it: another round then.
    while !todo.is_empty() {
        let mut refused = Vec::new();
        let mut last = None;
        for row in &todo {
            match write_row(connection, row) {
                Ok(()) => written += 1,
                Err(error) if is_storage(&error) => return Err(error),
                Err(error) => {
                    refused.push(*row);
                    last = Some(error);
                }
            }
        }
        if refused.len() == todo.len() {
            if let Some(error) = last {
                tracing::error!(%error, nodes = refused.len(), "nodes are not saved");
            }
            break;
        }
        todo = refused;
    }
    for (key, row) in &snapshot.rows {
        if row.is_none() {
            written += removed(connection, *key)?;
        }
    }
    for (dir, listed) in &snapshot.listed {
        let result = connection
            .prepare_cached(
                "INSERT INTO listings (dir, fetched_at, complete) VALUES (?1, ?2, ?3)
                 ON CONFLICT (dir) DO UPDATE SET fetched_at = ?2, complete = ?3",
            )?
            .execute(params![signed(dir.0), listed.at, listed.complete]);
        tolerate(result, "listing")?;
    }
    for (slot, record) in &snapshot.records {
        tolerate(write_record(connection, slot, record.as_ref()), slot.kind)?;
    }
    if let Some(reserve) = snapshot.reserve {
        reserve_keys(connection, reserve)?;
    }
    Ok(written)
}

/// Remembers that keys below `reserve` may be in use.
pub(super) fn reserve_keys(connection: &Connection, reserve: u64) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "INSERT INTO records (kind, name, number, text) VALUES ('keys', '', ?1, '')
             ON CONFLICT (kind, name) DO UPDATE SET number = ?1",
        )?
        .execute([signed(reserve)])
}

fn write_row(connection: &Connection, row: &Row) -> rusqlite::Result<()> {
    let node = &row.node;
    let attrs = row
        .attrs
        .as_ref()
        .and_then(|attrs| serde_json::to_string(&**attrs).ok());
    connection
        .prepare_cached(
            "INSERT INTO nodes (key, parent, profile, id, relative, name, kind, size, modified,
                 created, version, handle, fingerprints, attrs, has_raw)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
             ON CONFLICT (key) DO UPDATE SET parent = ?2, profile = ?3, id = ?4, relative = ?5,
                 name = ?6, kind = ?7, size = ?8, modified = ?9, created = ?10, version = ?11,
                 handle = ?12, fingerprints = ?13, attrs = ?14, has_raw = ?15",
        )?
        .execute(params![
            signed(row.key.0),
            row.parent.map(|parent| signed(parent.0)),
            row.profile.as_deref(),
            node.id.as_str(),
            row.relative,
            node.name,
            match node.kind {
                NodeKind::Dir => 0,
                NodeKind::File => 1,
            },
            signed(node.size),
            node.modified,
            node.created,
            node.version,
            node.handle,
            encode(&node.fingerprints),
            attrs,
            row.has_raw,
        ])?;
    match &row.raw {
        RawChange::Keep => {}
        RawChange::Set(Some(raw)) => {
            connection
                .prepare_cached(
                    "INSERT INTO node_raw (node, raw) VALUES (?1, ?2)
                     ON CONFLICT (node) DO UPDATE SET raw = ?2",
                )?
                .execute(params![signed(row.key.0), &**raw])?;
        }
        RawChange::Set(None) => {
            connection
                .prepare_cached("DELETE FROM node_raw WHERE node = ?1")?
                .execute([signed(row.key.0)])?;
        }
    }
    Ok(())
}

/// Removes a node and, by the foreign keys, everything below it.
fn removed(connection: &Connection, key: NodeKey) -> rusqlite::Result<u64> {
    let result = connection
        .prepare_cached("DELETE FROM nodes WHERE key = ?1")?
        .execute([signed(key.0)]);
    Ok(u64::try_from(tolerate(result, "removal")?).unwrap_or(0))
}

fn write_record(
    connection: &Connection,
    slot: &Slot,
    record: Option<&super::tree::Record>,
) -> rusqlite::Result<usize> {
    match (slot.node, record) {
        (Some(node), Some(record)) => connection
            .prepare_cached(
                "INSERT INTO node_records (node, kind, name, number, version, text)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (node, kind, name) DO UPDATE SET number = ?4, version = ?5, text = ?6",
            )?
            .execute(params![
                signed(node.0),
                slot.kind,
                &*slot.name,
                record.number,
                &*record.version,
                &*record.text
            ]),
        (Some(node), None) => connection
            .prepare_cached("DELETE FROM node_records WHERE node = ?1 AND kind = ?2 AND name = ?3")?
            .execute(params![signed(node.0), slot.kind, &*slot.name]),
        (None, Some(record)) => connection
            .prepare_cached(
                "INSERT INTO records (kind, name, number, text) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (kind, name) DO UPDATE SET number = ?3, text = ?4",
            )?
            .execute(params![
                slot.kind,
                &*slot.name,
                record.number,
                &*record.text
            ]),
        (None, None) => connection
            .prepare_cached("DELETE FROM records WHERE kind = ?1 AND name = ?2")?
            .execute(params![slot.kind, &*slot.name]),
    }
}

/// A record or a listing of a node that is gone by now is no error.
fn tolerate(result: rusqlite::Result<usize>, what: &str) -> rusqlite::Result<usize> {
    match result {
        Err(error) if is_storage(&error) => Err(error),
        Err(error) => {
            tracing::debug!(%error, what, "not saved");
            Ok(0)
        }
        Ok(count) => Ok(count),
    }
}
