//! Listings, stat, quota, and the decoding of entries (sheet sections 4.2, 4.3, 4.10).

use serde_json::Value;

use super::api::Api;
use super::errors::is_empty;
use super::nodes::{Entry, ROOT, build, is_hidden, same_dir, seconds};
use crate::drive::{Cursor, DriveError, Node, NodeId, NodeKind, Page, Quota, Result, decode};
use crate::net::Retry;

/// The documented maximum (section 4.2).
pub const PAGE_SIZE: u32 = 1150;

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
    let (nodes, next) = page_of(answer, dir, offset, node)?;
    let mark = if own_order { "~" } else { "" };
    Ok(Page {
        nodes,
        next: next.map(|next| Cursor(format!("{next}{mark}"))),
    })
}

/// The nodes of a listing that begins at `offset`, and where the next one begins.
pub fn page_of(
    answer: &Value,
    dir: &NodeId,
    offset: u64,
    node: impl Fn(&Value, &NodeId) -> Result<Node>,
) -> Result<(Vec<Node>, Option<u64>)> {
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
    Ok((nodes, more.then_some(next)))
}

/// A node by its id.
pub async fn by_id(api: &Api, id: &NodeId) -> Result<Node> {
    let pairs = [("file_id", id.as_str())];
    let answer = api.get("stat", "/open/folder/get_info", &pairs).await?;
    info(&answer, id)
}

/// The node of a `get_info` answer (section 4.3): an object, or a list of one.
pub fn info(answer: &Value, id: &NodeId) -> Result<Node> {
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
