//! Listings, stat, quota, and the decoding of entries (sheet sections 4.1, 4.2, 4.9 and 5).

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::api::{Api, Call, ROOT, wire};
use super::names::RULES;
use crate::drive::{
    Cursor, DriveError, ErrorKind, Node, NodeId, NodeKind, Page, Quota, Result, decode, listed,
};
use crate::fingerprint::{Fingerprints, Kind, Origin};

/// The largest page that clients are known to get (section 4.1).
pub const PAGE_SIZE: u32 = 1000;

/// No directory has more pages than this (two million entries); a server that never ends is left.
const MOST_PAGES: u32 = 2000;

/// So many ids of a page's end are remembered: what others make meanwhile moves them to the next.
const TAIL: usize = 32;

/// The kind of an entry in the trash.
const TRASHED: i64 = 4;

/// One page as the service cut it.
struct Raw {
    entries: Vec<Value>,
    more: bool,
}

/// A page, `number` from 0. One that is shorter than the count it tells allows was cut on its way
/// and is asked for once more: pages are numbered, so what it lacks is on no other.
async fn raw_page(api: &Api, dir: &NodeId, number: u32) -> Result<Raw> {
    let size = u64::from(PAGE_SIZE);
    let mut entries: Vec<Value> = Vec::new();
    let mut again = true;
    loop {
        let body = json!({
            "parentId": wire(dir),
            "page": number,
            "pageSize": PAGE_SIZE,
            "orderBy": 0,
            "sortType": 0,
        });
        let call = Call::new("list", "/userres/v1/file/get_file_list", body).class("list");
        let mut data = api.call(call).await?;
        // A count of 0 means nothing, and an empty directory may have no list (sections 3, 4.1).
        let total = decode::unsigned(&data["total"]).unwrap_or(0);
        let seen = u64::from(number) * size;
        let due = total.saturating_sub(seen).min(size);
        let list = data.get_mut("list").map_or(Value::Null, Value::take);
        match list {
            Value::Array(list) if list.len() >= entries.len() => entries = list,
            Value::Array(_) => {}
            _ if due > 0 => {
                return Err(DriveError::bad_answer(
                    "list",
                    "no list where entries are due",
                ));
            }
            _ => {}
        }
        let got = entries.len() as u64;
        if got < due && again {
            again = false;
            continue;
        }
        if number == 0 && got == 0 {
            confirm(api, dir).await?;
        }
        let more = match total {
            0 => got >= size,
            total => seen + size < total,
        };
        return Ok(Raw {
            more: more && got > 0 && number < MOST_PAGES,
            entries,
        });
    }
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

/// A page's number, and the end of the page before.
struct At {
    number: u32,
    before: HashSet<String>,
}

impl At {
    fn read(cursor: Option<Cursor>) -> Result<At> {
        let Some(Cursor(text)) = cursor else {
            return Ok(At {
                number: 0,
                before: HashSet::new(),
            });
        };
        let (number, before) = text.split_once(':').unwrap_or((&text, ""));
        Ok(At {
            number: number
                .parse()
                .map_err(|_| DriveError::new(ErrorKind::Invalid, "not a cursor of this drive"))?,
            before: before.split(',').map(str::to_owned).collect(),
        })
    }

    fn page(self, raw: &Raw, nodes: Vec<Node>) -> Page {
        let next = raw.more.then(|| {
            let tail = nodes.iter().rev().take(TAIL);
            let ids: Vec<&str> = tail.map(|node| node.id.as_str()).collect();
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
    let nodes = raw
        .entries
        .iter()
        .filter(|entry| !is_trashed(entry))
        .filter_map(|entry| node(entry, Some(dir)).ok())
        .collect();
    Ok(at.page(&raw, nodes))
}

/// The first entry of a directory that `wanted` accepts, from as many pages as it takes.
pub async fn find(
    api: &Api,
    dir: &NodeId,
    wanted: impl Fn(&Node) -> bool + Send + Sync,
) -> Result<Option<Node>> {
    let mut cursor = None;
    loop {
        let page = page(api, dir, cursor.take()).await?;
        if let Some(node) = page.nodes.into_iter().find(&wanted) {
            return Ok(Some(node));
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(None),
        }
    }
}

/// Every entry of a directory.
pub async fn all(api: &Api, dir: &NodeId) -> Result<Vec<Node>> {
    let (mut nodes, mut cursor) = (Vec::new(), None);
    loop {
        let page = page(api, dir, cursor.take()).await?;
        nodes.extend(page.nodes);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(nodes),
        }
    }
}

pub async fn stat(api: &Api, id: &NodeId) -> Result<Node> {
    if id.as_str() == ROOT {
        return Ok(root());
    }
    let body = json!({ "fileId": id.as_str() });
    let call = Call::new("stat", "/userres/v1/file/get_file_detail", body);
    let data = api.call(call).await?;
    let entry = match &data["fileInfo"] {
        Value::Object(_) => &data["fileInfo"],
        _ => &data,
    };
    // What the service says of an entry in the trash is not documented.
    if is_trashed(entry) {
        return Err(DriveError::not_found(format!("file {id}")));
    }
    let node = node(entry, None)?;
    if node.id != *id {
        return Err(DriveError::bad_answer(
            "stat",
            "another file than asked for",
        ));
    }
    Ok(node)
}

fn is_trashed(entry: &Value) -> bool {
    decode::integer(&entry["dirType"]) == Some(TRASHED)
}

/// The root is no entry of any listing.
fn root() -> Node {
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

pub async fn quota(api: &Api) -> Result<Quota> {
    let call = Call::new("quota", "/assets/v1/get_assets", json!({}));
    let data = api.call(call).await?;
    Ok(Quota {
        total: decode::unsigned(&data["totalSpaceSize"]).unwrap_or(0),
        used: decode::unsigned(&data["usedSpaceSize"]).unwrap_or(0),
    })
}

/// One entry. `parent` is the directory that was listed; without it the entry tells.
pub fn node(entry: &Value, parent: Option<&NodeId>) -> Result<Node> {
    let id = decode::nonempty(&entry["fileId"])
        .ok_or_else(|| DriveError::bad_answer("file", "no fileId"))?;
    let name = decode::nonempty(&entry["fileName"])
        .ok_or_else(|| DriveError::bad_answer("file", "no fileName"))?;
    let parent = parent
        .cloned()
        .or_else(|| decode::nonempty(&entry["parentId"]).map(NodeId::new))
        .unwrap_or_else(|| NodeId::new(ROOT));
    let kind = match decode::integer(&entry["resType"]) {
        Some(2) => NodeKind::Dir,
        _ => NodeKind::File,
    };
    let mut fingerprints = Fingerprints::new();
    if kind == NodeKind::File {
        let gcid = decode::text(&entry["gcid"]);
        let origin = Origin::Provider;
        listed(
            &mut fingerprints,
            Kind::Gcid,
            &gcid,
            origin,
            super::INFO.key,
        );
    }
    let time = |key: &str| {
        decode::integer(&entry[key])
            .and_then(|seconds| seconds.checked_mul(1000))
            .filter(|ms| *ms > 0)
    };
    let created = time("ctime").unwrap_or(0);
    Ok(Node {
        // An id never gets other bytes (there is no overwrite), a rename may change `utime`, and
        // a fresh file has no gcid yet: the id names the version.
        version: id.clone(),
        id: NodeId::new(id),
        parent,
        name: RULES.decode(&name),
        kind,
        size: match kind {
            NodeKind::Dir => 0,
            NodeKind::File => decode::unsigned(&entry["fileSize"]).unwrap_or(0),
        },
        modified: time("utime").unwrap_or(created),
        created,
        fingerprints,
        handle: None,
        raw: Some(Arc::from(without_links(entry).to_string()))
            .filter(|raw: &Arc<str>| raw.len() <= 64 << 10),
    })
}

/// The record without addresses, which carry signatures.
fn without_links(entry: &Value) -> Value {
    let mut entry = entry.clone();
    if let Some(fields) = entry.as_object_mut() {
        fields.retain(|_, value| {
            !value
                .as_str()
                .is_some_and(|text| text.starts_with("http:") || text.starts_with("https:"))
        });
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_sheet() {
        let entry = json!({"fileId":"194000000000000002","parentId":"","fileName":"a.bin",
            "fileSize":600000,"resType":1,"fileType":11,"dirType":0,"ext":"bin",
            "gcid":"3FC0617C331816DA4EE9C19C6F532F2D6D4FD6CC","ctime":1788800100,
            "utime":1788800101,"thumbnail":"https://t/?Signature=secret"});
        let node = node(&entry, None).unwrap();
        assert_eq!((node.size, node.parent.as_str()), (600_000, ROOT));
        assert_eq!(node.created, 1_788_800_100_000);
        assert_eq!(node.modified - node.created, 1000);
        let gcid = node.fingerprints.get(Kind::Gcid).unwrap();
        assert_eq!(&*gcid.value, "3FC0617C331816DA4EE9C19C6F532F2D6D4FD6CC");
        assert_eq!(gcid.origin, Origin::Provider);
        assert!(!node.raw.unwrap().contains("secret"));
    }

    #[test]
    fn a_folder_and_holes() {
        let entry = json!({"fileId":194000000000000001_u64,"fileName":"Movies","fileSize":7,
            "resType":"2","gcid":"","ctime":0,"utime":null});
        let node = node(&entry, Some(&NodeId::new("9"))).unwrap();
        assert!(node.is_dir());
        assert_eq!(node.id.as_str(), "194000000000000001");
        assert_eq!((node.size, node.parent.as_str()), (0, "9"));
        assert_eq!((node.modified, node.created), (0, 0));
        assert!(node.fingerprints.is_empty());
        assert!(super::node(&json!({"fileId":"x"}), None).is_err());
        assert!(super::node(&json!({"fileName":"x"}), None).is_err());
        let huge = json!({"fileId":"x","fileName":"x","ctime":i64::MAX,"fileSize":-1});
        let node = super::node(&huge, None).unwrap();
        assert_eq!((node.created, node.size), (0, 0));
    }

    #[test]
    fn a_cursor_remembers_the_end_of_the_page_before() {
        let node = |id: &str| {
            let entry = json!({"fileId":id,"fileName":id,"resType":1});
            super::node(&entry, None).unwrap()
        };
        let full = Raw {
            entries: Vec::new(),
            more: true,
        };
        let first = At::read(None)
            .unwrap()
            .page(&full, vec![node("1"), node("2")]);
        let next = first.next.unwrap();
        let at = At::read(Some(next)).unwrap();
        assert_eq!(at.number, 1);
        let last = Raw {
            entries: Vec::new(),
            more: false,
        };
        let second = at.page(&last, vec![node("2"), node("3")]);
        assert_eq!(second.nodes.len(), 1);
        assert_eq!(second.nodes[0].id.as_str(), "3");
        assert!(second.next.is_none());
        assert!(At::read(Some(Cursor("x:1".to_owned()))).is_err());
    }
}
