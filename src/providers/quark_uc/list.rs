//! Listings, stat, quota, and the decoding of entries (sheet quark, 4.1, 4.2 and 4.10).

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use serde_json::Value;

use super::api::{Api, Call, ROOT};
use super::error::is_code;
use super::names::{RULES, unescape};
use crate::drive::{
    Cursor, DriveError, ErrorKind, Node, NodeId, NodeKind, Page, Quota, Result, decode,
};
use crate::fingerprint::Fingerprints;

/// The largest page (section 4.1).
pub const PAGE_SIZE: u32 = 100;

/// No directory has more pages than this (two million entries); a server that never ends is left.
const MOST_PAGES: u32 = 20_000;

/// One page as the service cut it.
pub struct Raw {
    pub entries: Vec<Value>,
    pub more: bool,
}

/// Reads a page. `ask` sends the call. A page that is shorter than the count it tells allows was
/// cut on its way and is asked for once more: a page that is left short loses entries for good,
/// since pages are numbered.
pub async fn cut<F, Fut>(op: &str, number: u32, size: u32, ask: F) -> Result<Raw>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Value>>,
{
    let mut entries: Vec<Value> = Vec::new();
    let mut again = true;
    loop {
        let mut answer = ask().await?;
        // A count of 0 means nothing (section 4.1), and the service may cut pages smaller.
        let total = decode::unsigned(&answer["metadata"]["_total"]).unwrap_or(0);
        let size = decode::unsigned(&answer["metadata"]["_size"])
            .filter(|told| (1..=u64::from(size)).contains(told))
            .unwrap_or(u64::from(size));
        let seen = u64::from(number - 1) * size;
        let due = total.saturating_sub(seen).min(size);
        match answer["data"]["list"].take() {
            Value::Array(list) if list.len() >= entries.len() => entries = list,
            Value::Array(_) => {}
            _ if due > 0 => {
                return Err(DriveError::bad_answer(op, "no list where entries are due"));
            }
            _ => {}
        }
        let got = entries.len() as u64;
        if got < due && again {
            again = false;
            continue;
        }
        let more = if total > 0 {
            seen + size < total
        } else {
            got >= size
        };
        return Ok(Raw {
            more: more && got > 0 && number < MOST_PAGES,
            entries,
        });
    }
}

/// One numbered page of a directory.
pub async fn raw_page(api: &Api, dir: &NodeId, number: u32) -> Result<Raw> {
    let ask = || {
        let call = Call::get("list", "/file/sort")
            .class("list")
            .query("pdir_fid", dir.as_str())
            .query("_page", number.to_string())
            .query("_size", PAGE_SIZE.to_string())
            .query("_fetch_total", "1")
            .query("_fetch_sub_dirs", "0")
            .query("_sort", "file_type:asc,file_name:asc")
            .query("fetch_all_file", "1")
            .query("fetch_risk_file_name", "1");
        api.call(call)
    };
    let raw = cut("list", number, PAGE_SIZE, ask).await?;
    if number == 1 && raw.entries.is_empty() {
        confirm(api, dir).await?;
    }
    Ok(raw)
}

/// An empty page may stand for a directory that is gone: what the service says of such a one is
/// not known.
async fn confirm(api: &Api, dir: &NodeId) -> Result<()> {
    if dir.as_str() == ROOT || api.fresh.contains_key(dir) {
        return Ok(());
    }
    match stat(api, dir).await {
        Err(error) if error.kind == ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Every entry of a directory, each once.
pub async fn all(api: &Api, dir: &NodeId) -> Result<Vec<Value>> {
    let (mut entries, mut seen) = (Vec::new(), HashSet::new());
    for number in 1.. {
        let raw = raw_page(api, dir, number).await?;
        entries.extend(
            raw.entries
                .into_iter()
                .filter(|entry| seen.insert(decode::text(&entry["fid"]))),
        );
        if !raw.more {
            break;
        }
    }
    Ok(entries)
}

/// A page's number, and what was on the page before: entries shift when others are made.
pub struct At {
    pub number: u32,
    before: HashSet<String>,
}

impl At {
    pub fn read(cursor: Option<Cursor>) -> Result<At> {
        let Some(Cursor(text)) = cursor else {
            return Ok(At {
                number: 1,
                before: HashSet::new(),
            });
        };
        let (number, before) = text.split_once(':').unwrap_or((&text, ""));
        let number = number.parse().ok().filter(|number| *number > 0);
        Ok(At {
            number: number
                .ok_or_else(|| DriveError::new(ErrorKind::Invalid, "not a cursor of this drive"))?,
            before: before.split(',').map(str::to_owned).collect(),
        })
    }

    /// The page for the caller.
    pub fn page(self, raw: Raw, nodes: Vec<Node>) -> Page {
        let next = raw.more.then(|| {
            let ids: Vec<&str> = nodes.iter().map(|node| node.id.as_str()).collect();
            Cursor(format!(
                "{}:{}",
                self.number.saturating_add(1),
                ids.join(",")
            ))
        });
        let mut seen = self.before;
        let nodes = nodes
            .into_iter()
            .filter(|node| seen.insert(node.id.to_string()))
            .collect();
        Page { nodes, next }
    }
}

pub async fn page(api: &Api, dir: &NodeId, cursor: Option<Cursor>) -> Result<Page> {
    let at = At::read(cursor)?;
    let raw = raw_page(api, dir, at.number).await?;
    let nodes: Vec<Node> = raw
        .entries
        .iter()
        .filter_map(|entry| node(entry, Some(dir)).ok())
        .collect();
    for node in &nodes {
        api.parents.insert(node.id.clone(), dir.clone());
    }
    Ok(at.page(raw, nodes))
}

pub async fn stat(api: &Api, id: &NodeId) -> Result<Node> {
    if id.as_str() == ROOT {
        return Ok(root());
    }
    let entry = raw_stat(api, id).await?;
    let parent = decode::nonempty(&entry["pdir_fid"])
        .map(NodeId::new)
        .or_else(|| api.parents.get(id));
    let status = decode::integer(&entry["status"]);
    if !matches!(status, None | Some(1))
        && let Some(parent) = &parent
        && find(api, parent, id).await?.is_none()
    {
        // Not as files in listings are, and in no listing: in the trash.
        return Err(gone(id));
    }
    let node = node(&entry, parent.as_ref())?;
    api.parents.insert(node.id.clone(), node.parent.clone());
    Ok(node)
}

/// The two calls that tell about an id were each seen in one client only. The one that has told
/// something once is trusted from then on; before that its "no" is not.
async fn raw_stat(api: &Api, id: &NodeId) -> Result<Value> {
    let trusted = api.way.load(Relaxed);
    let mut refusal = None;
    for way in [1, 2] {
        if trusted != 0 && trusted != way {
            continue;
        }
        let call = match way {
            1 => Call::get("stat", "/file/info").query("fid", id.as_str()),
            _ => Call::get("stat", "/file").query("fids", id.as_str()),
        };
        match api.call(call).await {
            Ok(answer) => {
                if let Some(entry) = entry_in(&answer["data"], id) {
                    api.way.store(way, Relaxed);
                    return Ok(entry.clone());
                }
            }
            Err(error) if error.kind == ErrorKind::NotFound => {}
            Err(error) if error.kind == ErrorKind::Invalid || no_such_call(&error) => {
                refusal = Some(error);
            }
            Err(error) => return Err(error),
        }
        if trusted == way {
            return Err(refusal.unwrap_or_else(|| gone(id)));
        }
    }
    match api.parents.get(id) {
        Some(parent) => find(api, &parent, id).await?.ok_or_else(|| gone(id)),
        None => Err(gone(id)),
    }
}

/// Whether an answer means that there is no such call.
fn no_such_call(error: &DriveError) -> bool {
    error.kind == ErrorKind::BadAnswer && (is_code(error, "404") || is_code(error, "405"))
}

/// The entry of a node in the listing of a directory.
async fn find(api: &Api, dir: &NodeId, id: &NodeId) -> Result<Option<Value>> {
    for number in 1.. {
        let ask = raw_listing(api, dir, number).await;
        let raw = match ask {
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        if let Some(entry) = raw.entries.iter().find(|entry| is(entry, id)) {
            return Ok(Some(entry.clone()));
        }
        if !raw.more {
            break;
        }
    }
    Ok(None)
}

/// As [`raw_page`], boxed: a stat may list, and a listing may stat.
fn raw_listing<'a>(
    api: &'a Api,
    dir: &'a NodeId,
    number: u32,
) -> std::pin::Pin<Box<dyn Future<Output = Result<Raw>> + Send + 'a>> {
    Box::pin(raw_page(api, dir, number))
}

/// The entry of `id` in an answer, which may be the entry, a list, or hold either.
fn entry_in<'a>(data: &'a Value, id: &NodeId) -> Option<&'a Value> {
    [data, &data["file"], &data["file_info"]]
        .into_iter()
        .find(|entry| is(entry, id))
        .or_else(|| {
            let lists = [data, &data["list"]];
            let mut entries = lists.into_iter().flat_map(decode::list);
            entries.find(|entry| is(entry, id))
        })
}

fn is(entry: &Value, id: &NodeId) -> bool {
    entry.is_object() && decode::text(&entry["fid"]) == id.as_str()
}

fn gone(id: &NodeId) -> DriveError {
    DriveError::not_found(format!("file {id}"))
}

pub async fn quota(api: &Api) -> Result<Quota> {
    let call = Call::get("quota", "/member")
        .query("fetch_subscribe", "false")
        .query("_ch", "home")
        .query("fetch_identity", "false");
    let answer = api.call(call).await?;
    let data = &answer["data"];
    Ok(Quota {
        total: decode::unsigned(&data["total_capacity"]).unwrap_or(0),
        used: decode::unsigned(&data["use_capacity"]).unwrap_or(0),
    })
}

/// The root has no entry.
pub fn root() -> Node {
    Node {
        id: NodeId::new(ROOT),
        parent: NodeId::new(ROOT),
        name: ROOT.to_owned(),
        kind: NodeKind::Dir,
        size: 0,
        modified: 0,
        created: 0,
        version: ROOT.to_owned(),
        fingerprints: Fingerprints::new(),
        handle: None,
        raw: None,
    }
}

/// The name of an entry as the service stores it.
pub fn stored_name(entry: &Value) -> String {
    unescape(&decode::text(&entry["file_name"]))
}

/// Whether an entry is a directory.
pub fn is_dir(entry: &Value) -> bool {
    if !entry["dir"].is_null() {
        return decode::flag(&entry["dir"]);
    }
    if !entry["file"].is_null() {
        return !decode::flag(&entry["file"]);
    }
    decode::integer(&entry["file_type"]) == Some(0)
}

/// One entry. `parent` is the directory that was listed; without it the entry tells.
pub fn node(entry: &Value, parent: Option<&NodeId>) -> Result<Node> {
    let id =
        decode::nonempty(&entry["fid"]).ok_or_else(|| DriveError::bad_answer("entry", "no fid"))?;
    let name = stored_name(entry);
    if name.is_empty() {
        return Err(DriveError::bad_answer("entry", "no file_name"));
    }
    let parent = parent
        .cloned()
        .or_else(|| decode::nonempty(&entry["pdir_fid"]).map(NodeId::new))
        .unwrap_or_else(|| NodeId::new(ROOT));
    let kind = if is_dir(entry) {
        NodeKind::Dir
    } else {
        NodeKind::File
    };
    let time = |key: &str| decode::integer(&entry[key]).filter(|ms| *ms > 0);
    let created = time("created_at").or_else(|| time("l_created_at"));
    let modified = time("updated_at").or_else(|| time("l_updated_at"));
    Ok(Node {
        parent,
        name: RULES.decode(&name),
        kind,
        size: match kind {
            NodeKind::Dir => 0,
            NodeKind::File => decode::unsigned(&entry["size"]).unwrap_or(0),
        },
        modified: modified.or(created).unwrap_or(0),
        created: created.unwrap_or(0),
        // An id never gets other bytes (there is no overwrite) and times change with a rename.
        version: id.clone(),
        id: NodeId::new(id),
        fingerprints: Fingerprints::new(),
        handle: None,
        raw: Some(Arc::from(without_tickets(entry).to_string()))
            .filter(|raw: &Arc<str>| raw.len() <= 64 << 10),
    })
}

/// The record without addresses and tickets.
fn without_tickets(entry: &Value) -> Value {
    let mut entry = entry.clone();
    if let Some(fields) = entry.as_object_mut() {
        for key in [
            "share_fid_token",
            "thumbnail",
            "big_thumbnail",
            "preview_url",
            "video_url",
            "download_url",
        ] {
            fields.remove(key);
        }
    }
    entry
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
