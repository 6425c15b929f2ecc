//! Listings, stat, look-ups, quota, and the decoding of entries (sheet sections 4.2, 4.3, 4.10).

use std::sync::Arc;

use serde_json::Value;

use super::api::Api;
use super::errors::is_empty;
use super::names::RULES;
use crate::drive::{
    Cursor, DriveError, ErrorKind, Node, NodeId, NodeKind, Page, Quota, Result, decode, listed,
};
use crate::fingerprint::{Fingerprints, Kind, Origin};
use crate::net::Retry;

/// The documented maximum (section 4.2).
pub const PAGE_SIZE: u32 = 1150;

/// The root's id.
pub const ROOT: &str = "0";

/// Follows an offset whose pages are in the directory's own order, because the wanted one is
/// not supported there.
const OWN_ORDER: char = '~';

pub async fn page(api: &Api, dir: &NodeId, cursor: Option<Cursor>) -> Result<Page> {
    let cursor = cursor.map_or_else(String::new, |cursor| cursor.0);
    let own_order = cursor.ends_with(OWN_ORDER);
    let offset: u64 = cursor.trim_end_matches(OWN_ORDER).parse().unwrap_or(0);
    let (answer, own_order) = match ask(api, dir, offset, own_order, PAGE_SIZE).await {
        Err(error) if error.code.as_deref() == Some("20130827") && !own_order => {
            (ask(api, dir, offset, true, PAGE_SIZE).await?, true)
        }
        answer => (answer?, own_order),
    };
    decode_page(&answer, dir, offset, own_order)
}

/// Fails with `NotFound` unless `dir` is a directory that exists. A move into another id would
/// succeed and lose the node (section 4.7).
pub async fn require_dir(api: &Api, dir: &NodeId) -> Result<()> {
    same_dir(&ask(api, dir, 0, true, 1).await?, dir)
}

async fn ask(api: &Api, dir: &NodeId, offset: u64, own_order: bool, limit: u32) -> Result<Value> {
    let (offset, limit) = (offset.to_string(), limit.to_string());
    let mut pairs = vec![
        ("cid", dir.as_str()),
        ("limit", &limit),
        ("offset", &offset),
        ("show_dir", "1"),
        ("cur", "1"),
    ];
    if !own_order {
        pairs.extend([("o", "file_name"), ("asc", "1"), ("custom_order", "1")]);
    }
    api.get("list", "/open/ufile/files", &pairs).await
}

fn decode_page(answer: &Value, dir: &NodeId, offset: u64, own_order: bool) -> Result<Page> {
    same_dir(answer, dir)?;
    let entries = match &answer["data"] {
        Value::Array(entries) => entries.as_slice(),
        // An empty directory has an empty list, or none and a count of zero; where entries are
        // counted and none is told, it is no listing.
        Value::Null if decode::unsigned(&answer["count"]) == Some(0) => &[],
        _ => {
            return Err(DriveError::bad_answer("list", "no list of entries").retry(Retry::Backoff));
        }
    };
    let next = offset.saturating_add(entries.len() as u64);
    let more = !entries.is_empty()
        && match decode::unsigned(&answer["count"]) {
            Some(count) => next < count,
            None => entries.len() as u64 >= u64::from(PAGE_SIZE),
        };
    let nodes = entries
        .iter()
        .filter(|entry| !is_hidden(entry))
        .filter_map(|entry| node(entry, dir).ok())
        .collect();
    let mark = if own_order { "~" } else { "" };
    Ok(Page {
        nodes,
        next: more.then(|| Cursor(format!("{next}{mark}"))),
    })
}

/// An unknown id is silently answered with the root (section 4.2).
fn same_dir(answer: &Value, dir: &NodeId) -> Result<()> {
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
fn is_hidden(entry: &Value) -> bool {
    matches!(decode::text(&entry["fta"]).as_str(), "0" | "2")
        || matches!(decode::text(&entry["aid"]).as_str(), "7" | "120")
}

/// Every node of `dir` that `wanted` takes.
pub async fn select(
    api: &Api,
    dir: &NodeId,
    mut wanted: impl FnMut(&Node) -> bool,
) -> Result<Vec<Node>> {
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let page = page(api, dir, cursor).await?;
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
    api: &Api,
    dir: &NodeId,
    name: &str,
    except: Option<&NodeId>,
) -> Result<()> {
    let taken = select(api, dir, |node| {
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

pub async fn stat(api: &Api, id: &NodeId) -> Result<Node> {
    if id.as_str() == ROOT {
        return Ok(root());
    }
    let answer = api
        .get("stat", "/open/folder/get_info", &[("file_id", id.as_str())])
        .await?;
    let node = info(&answer, id)?;
    // A trashed entry may still be found here; only the listing knows.
    if api.trashed.contains_key(id) {
        let there = select(api, &node.parent, |entry| entry.id == *id).await?;
        if there.is_empty() {
            return Err(DriveError::not_found(format!("node {id}")));
        }
        api.trashed.invalidate(id);
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

/// The node of a `get_info` answer (section 4.3): an object, or a list of one.
fn info(answer: &Value, id: &NodeId) -> Result<Node> {
    let data = match &answer["data"] {
        Value::Array(list) => list.first().unwrap_or(&Value::Null),
        data => data,
    };
    if is_empty(data) {
        return Err(DriveError::not_found(format!("node {id}")));
    }
    let name = decode::nonempty(&data["file_name"])
        .ok_or_else(|| DriveError::bad_answer("stat", "no file_name"))?;
    let answered = decode::nonempty(&data["file_id"]).unwrap_or_else(|| id.to_string());
    if answered != id.as_str() {
        return Err(DriveError::not_found(format!("node {id}")));
    }
    let parent = decode::list(&data["paths"])
        .iter()
        .rev()
        .filter_map(|step| decode::nonempty(&step["file_id"]))
        .find(|step| step != id.as_str())
        .unwrap_or_else(|| ROOT.to_owned());
    let kind = match decode::text(&data["file_category"]).as_str() {
        "0" => NodeKind::Dir,
        _ => NodeKind::File,
    };
    let size = match kind {
        NodeKind::Dir => 0,
        NodeKind::File => decode::unsigned(&data["size_byte"])
            .ok_or_else(|| DriveError::bad_answer("stat", "no size_byte"))?,
    };
    Ok(build(Entry {
        id: answered,
        parent: NodeId::new(parent),
        name: &name,
        kind,
        size,
        modified: seconds(&data["utime"]),
        created: seconds(&data["ptime"]),
        sha1: &decode::text(&data["sha1"]),
        handle: decode::nonempty(&data["pick_code"]),
        raw: Some(data),
    }))
}

/// The node of a listed entry (section 4.2).
fn node(entry: &Value, dir: &NodeId) -> Result<Node> {
    let id = decode::nonempty(&entry["fid"])
        .ok_or_else(|| DriveError::bad_answer("list", "an entry without fid"))?;
    let name = decode::nonempty(&entry["fn"])
        .ok_or_else(|| DriveError::bad_answer("list", "an entry without fn"))?;
    let kind = match decode::text(&entry["fc"]).as_str() {
        "0" => NodeKind::Dir,
        _ => NodeKind::File,
    };
    let size = match kind {
        NodeKind::Dir => 0,
        NodeKind::File => decode::unsigned(&entry["fs"])
            .ok_or_else(|| DriveError::bad_answer("list", "a file without fs"))?,
    };
    Ok(build(Entry {
        id,
        parent: decode::nonempty(&entry["pid"]).map_or_else(|| dir.clone(), NodeId::new),
        name: &name,
        kind,
        size,
        modified: seconds(&entry["upt"]),
        created: seconds(&entry["uppt"]),
        sha1: &decode::text(&entry["sha1"]),
        handle: decode::nonempty(&entry["pc"]),
        raw: Some(entry),
    }))
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

pub async fn quota(api: &Api) -> Result<Quota> {
    let answer = api.get("quota", "/open/user/info", &[]).await?;
    let data = &answer["data"];
    api.learn_user(&data["user_id"]);
    let space = &data["rt_space_info"];
    Ok(Quota {
        total: decode::unsigned(&space["all_total"]["size"]).unwrap_or(0),
        used: decode::unsigned(&space["all_use"]["size"]).unwrap_or(0),
    })
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
