//! Nodes of either mode: what an entry becomes, and look-ups in directories (sheet sections 4.2,
//! 4.3).

use std::sync::Arc;

use serde_json::Value;

use super::door::Door;
use super::names::RULES;
use crate::drive::{DriveError, ErrorKind, Node, NodeId, NodeKind, Result, decode, listed};
use crate::fingerprint::{Fingerprints, Kind, Origin};

/// The root's id.
pub const ROOT: &str = "0";

/// An unknown id is silently answered with the root (section 4.2).
pub fn same_dir(answer: &Value, dir: &NodeId) -> Result<()> {
    let last = decode::list(&answer["path"]).last().unwrap_or(&Value::Null);
    let answered = [&answer["cid"], &last["cid"], &last["file_id"]]
        .into_iter()
        .find_map(decode::nonempty);
    match answered {
        Some(id) if id != dir.as_str() => Err(DriveError::not_found(format!("directory {dir}"))),
        _ => Ok(()),
    }
}

/// Unfinished uploads, trashed and purged entries (section 4.2).
pub fn is_hidden(entry: &Value) -> bool {
    matches!(decode::text(&entry["fta"]).as_str(), "0" | "2")
        || matches!(decode::text(&entry["aid"]).as_str(), "7" | "120")
}

/// Every node of `dir` that `wanted` takes.
pub async fn select(
    door: &dyn Door,
    dir: &NodeId,
    mut wanted: impl FnMut(&Node) -> bool,
) -> Result<Vec<Node>> {
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let page = door.page(dir, cursor).await?;
        found.extend(page.nodes.into_iter().filter(|node| wanted(node)));
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(found),
        }
    }
}

/// Fails with `Exists` when `dir` has an entry of that name other than `except`; with `NotFound`
/// when there is no such directory.
pub async fn refuse_taken(
    door: &dyn Door,
    dir: &NodeId,
    name: &str,
    except: Option<&NodeId>,
) -> Result<()> {
    let taken = select(door, dir, |node| {
        node.name == name && Some(&node.id) != except
    })
    .await?;
    if taken.is_empty() {
        Ok(())
    } else {
        Err(taken_error(name))
    }
}

/// The name is taken.
pub fn taken_error(name: &str) -> DriveError {
    DriveError::new(ErrorKind::Exists, format!("{name:?} exists already"))
}

/// A node by id; a trashed one is not there.
pub async fn stat(door: &dyn Door, id: &NodeId) -> Result<Node> {
    if id.as_str() == ROOT {
        return Ok(root());
    }
    let node = door.info(id).await?;
    // A trashed entry may still be found by id; only the listing knows.
    if door.trashed().contains_key(id) {
        let there = select(door, &node.parent, |entry| entry.id == *id).await?;
        if there.is_empty() {
            return Err(DriveError::not_found(format!("node {id}")));
        }
        door.trashed().invalidate(id);
    }
    Ok(node)
}

fn root() -> Node {
    Node {
        id: NodeId::new(ROOT),
        parent: NodeId::new(ROOT),
        name: "root".to_owned(),
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

/// What listings, stat and uploads tell of an entry.
pub struct Entry<'a> {
    pub id: String,
    pub parent: NodeId,
    /// As the provider spells it.
    pub name: &'a str,
    pub kind: NodeKind,
    pub size: u64,
    /// Milliseconds.
    pub modified: i64,
    /// Milliseconds.
    pub created: i64,
    pub sha1: &'a str,
    pub handle: Option<String>,
    pub raw: Option<&'a Value>,
}

/// The node of an entry.
pub fn build(entry: Entry<'_>) -> Node {
    let mut fingerprints = Fingerprints::new();
    if entry.kind == NodeKind::File {
        listed(
            &mut fingerprints,
            Kind::Sha1,
            entry.sha1,
            Origin::Provider,
            super::INFO.key,
        );
    }
    // The hash is the server's own and names the content; times also change with a rename.
    let version = match fingerprints.get(Kind::Sha1) {
        Some(sha1) => sha1.value.to_string(),
        None => format!("{}-{}", entry.modified, entry.size),
    };
    Node {
        id: NodeId::new(entry.id),
        parent: entry.parent,
        name: RULES.decode(entry.name),
        kind: entry.kind,
        size: entry.size,
        modified: entry.modified,
        created: if entry.created == 0 {
            entry.modified
        } else {
            entry.created
        },
        version,
        fingerprints,
        handle: entry.handle,
        raw: entry
            .raw
            .map(|raw| Arc::from(without_links(raw).to_string())),
    }
}

/// Unix seconds, also as text or empty, as milliseconds.
pub fn seconds(value: &Value) -> i64 {
    decode::integer(value)
        .and_then(|seconds| seconds.checked_mul(1000))
        .filter(|ms| *ms > 0)
        .unwrap_or(0)
}

/// The record without addresses that carry signatures.
fn without_links(entry: &Value) -> Value {
    let mut entry = entry.clone();
    if let Some(fields) = entry.as_object_mut() {
        for key in ["thumb", "thumb_url", "uo", "url"] {
            fields.remove(key);
        }
    }
    entry
}
