//! Listings, stat, quota, and the decoding of file objects (sheet sections 4.1, 4.2, 4.7, 5).

use std::sync::Arc;

use serde_json::{Value, json};

use super::api::{Api, Call, FILES, ROOT, file_path, wire};
use super::archive;
use super::names::RULES;
use crate::drive::{
    Cursor, DriveError, Node, NodeId, NodeKind, Page, Quota, Result, decode, listed,
};
use crate::fingerprint::{Fingerprints, Kind, Origin};

/// The largest page that a client of this service is known to ask for (section 4.1).
pub const PAGE_SIZE: u32 = 100;

/// The phase of a file that is whole.
pub const COMPLETE: &str = "PHASE_TYPE_COMPLETE";

/// No directory has more pages than this (two million entries); a server that never ends is left.
const MOST_PAGES: usize = 20_000;

/// Which entries of a directory are asked for.
#[derive(Clone, Copy)]
pub enum Entries {
    /// Whole ones.
    Whole,
    /// Those that wait for bytes, too.
    All,
}

pub async fn page(api: &Api, dir: &NodeId, cursor: Option<Cursor>) -> Result<Page> {
    archive::settle(api).await;
    let (files, next) = raw_page(api, dir, cursor, Entries::Whole).await?;
    let nodes = files
        .iter()
        // The filters again, for a server that knows better.
        .filter(|file| is_complete(file) && !decode::flag(&file["trashed"]))
        .filter_map(|file| node(file, Some(dir)).ok())
        .collect();
    Ok(Page { nodes, next })
}

/// Every file object of a directory that is not in the trash.
pub async fn all(api: &Api, dir: &NodeId, which: Entries) -> Result<Vec<Value>> {
    let mut entries = Vec::new();
    let mut cursor = None;
    for _ in 0..MOST_PAGES {
        let (files, next) = raw_page(api, dir, cursor.take(), which).await?;
        entries.extend(
            files
                .into_iter()
                .filter(|file| !decode::flag(&file["trashed"])),
        );
        match next {
            Some(next) => cursor = Some(next),
            None => return Ok(entries),
        }
    }
    Err(DriveError::bad_answer("list", "pages without an end"))
}

/// The entry of this name (as the service spells it), whatever its kind and state.
pub async fn find(api: &Api, dir: &NodeId, encoded: &str) -> Result<Option<Value>> {
    let entries = all(api, dir, Entries::All).await?;
    Ok(entries.into_iter().find(|file| file["name"] == encoded))
}

async fn raw_page(
    api: &Api,
    dir: &NodeId,
    cursor: Option<Cursor>,
    which: Entries,
) -> Result<(Vec<Value>, Option<Cursor>)> {
    let token = cursor.map_or_else(String::new, |cursor| cursor.0);
    let ask = || api.call(list_call(api, dir, &token, which));
    let mut answer = api.in_folder(dir, ask).await?;
    // A token that leads back to the same page would never end, and nothing follows nothing.
    let next = decode::nonempty(&answer["next_page_token"])
        .filter(|next| *next != token && !decode::list(&answer["files"]).is_empty())
        .map(Cursor);
    let mut files = match answer["files"].take() {
        Value::Array(files) => files,
        _ => Vec::new(),
    };
    // A stray entry of the root, seen by the browser client (section 4.1).
    files.retain(|file| decode::nonempty(&file["id"]).is_some());
    if let Some(file) = files.first() {
        api.identity.learn_user(decode::nonempty(&file["user_id"]));
    }
    files
        .iter_mut()
        .for_each(|file| archive::own_name(api, file));
    Ok((files, next))
}

fn list_call(api: &Api, dir: &NodeId, token: &str, which: Entries) -> Call {
    let browser = api.identity.platform.is_browser();
    let filters = match which {
        // The browser client filters by the trash only.
        Entries::Whole if !browser => {
            json!({ "phase": { "eq": COMPLETE }, "trashed": { "eq": false } })
        }
        _ => json!({ "trashed": { "eq": false } }),
    };
    let call = Call::get("list", FILES)
        .query("parent_id", wire(dir))
        .query("page_token", token)
        .query("filters", filters.to_string())
        .query("with_audit", "true")
        .query("space", "");
    if browser {
        call
    } else {
        call.query("limit", PAGE_SIZE.to_string())
    }
}

pub async fn stat(api: &Api, id: &NodeId) -> Result<Node> {
    if id.as_str() == ROOT {
        return Ok(root());
    }
    let file = api.in_folder(id, || raw_stat(api, id)).await?;
    if decode::flag(&file["trashed"]) || !is_complete(&file) {
        return Err(DriveError::not_found(format!("file {id}")));
    }
    node(&file, None)
}

/// The file object, whatever its state.
pub async fn raw_stat(api: &Api, id: &NodeId) -> Result<Value> {
    let call = Call::get("stat", file_path(id)).query("space", "");
    let mut file = api.call(call).await?;
    archive::own_name(api, &mut file);
    Ok(file)
}

/// The root has no file object.
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
    let answer = api.call(Call::get("quota", "/drive/v1/about")).await?;
    let quota = &answer["quota"];
    let total = if decode::flag(&quota["is_unlimited"]) {
        0
    } else {
        decode::unsigned(&quota["limit"]).unwrap_or(0)
    };
    Ok(Quota {
        total,
        used: decode::unsigned(&quota["usage"]).unwrap_or(0),
    })
}

/// Whether a file object is whole; one without a phase is.
pub fn is_complete(file: &Value) -> bool {
    matches!(file["phase"].as_str(), None | Some("" | COMPLETE))
}

/// One file object. `parent` is the directory that was listed; without it the object tells.
pub fn node(file: &Value, parent: Option<&NodeId>) -> Result<Node> {
    let id =
        decode::nonempty(&file["id"]).ok_or_else(|| DriveError::bad_answer("file", "no id"))?;
    let name =
        decode::nonempty(&file["name"]).ok_or_else(|| DriveError::bad_answer("file", "no name"))?;
    let parent = parent
        .cloned()
        .or_else(|| decode::nonempty(&file["parent_id"]).map(NodeId::new))
        .unwrap_or_else(|| NodeId::new(ROOT));
    let kind = if file["kind"] == "drive#folder" {
        NodeKind::Dir
    } else {
        NodeKind::File
    };
    let mut fingerprints = Fingerprints::new();
    if kind == NodeKind::File {
        // Repeated from the uploader where the bytes were uploaded (section 5).
        let text = decode::text(&file["hash"]);
        let origin = Origin::UploaderClaim;
        listed(
            &mut fingerprints,
            Kind::Gcid,
            &text,
            origin,
            super::INFO.key,
        );
    }
    // An id never gets other bytes (there is no overwrite), `modified_time` changes with a
    // rename, and not every answer repeats the hash: the id names the version.
    let version = id.clone();
    // The empty text stands for no time (section 3).
    let created = decode::rfc3339_ms(&file["created_time"]).unwrap_or(0);
    Ok(Node {
        id: NodeId::new(id),
        parent,
        name: RULES.decode(&name),
        kind,
        size: match kind {
            NodeKind::Dir => 0,
            NodeKind::File => decode::unsigned(&file["size"]).unwrap_or(0),
        },
        modified: decode::rfc3339_ms(&file["modified_time"]).unwrap_or(created),
        created,
        version,
        fingerprints,
        handle: None,
        raw: Some(Arc::from(without_links(file).to_string()))
            .filter(|raw: &Arc<str>| raw.len() <= 64 << 10),
    })
}

/// The record without addresses: they open the content to whoever has them.
fn without_links(file: &Value) -> Value {
    let mut file = file.clone();
    if let Some(fields) = file.as_object_mut() {
        for key in [
            "links",
            "medias",
            "web_content_link",
            "thumbnail_link",
            "icon_link",
            "original_url",
        ] {
            fields.remove(key);
        }
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_sheet() {
        let file = json!({"kind":"drive#file","id":"VNv5file","parent_id":"","name":"a.bin",
            "size":"600000","created_time":"2026-09-02T08:00:00.000+08:00",
            "modified_time":"2026-09-02T08:00:01.000+08:00","md5_checksum":"",
            "hash":"3FC0617C331816DA4EE9C19C6F532F2D6D4FD6CC","phase":"PHASE_TYPE_COMPLETE",
            "web_content_link":"https://dl/?sign=secret","trashed":false});
        let node = node(&file, None).unwrap();
        assert_eq!((node.size, node.parent.as_str()), (600_000, "root"));
        assert_eq!(node.modified - node.created, 1000);
        let gcid = node.fingerprints.get(Kind::Gcid).unwrap();
        assert_eq!(&*gcid.value, "3FC0617C331816DA4EE9C19C6F532F2D6D4FD6CC");
        assert_eq!(gcid.origin, Origin::UploaderClaim);
        assert!(!node.raw.unwrap().contains("secret"));
    }

    #[test]
    fn a_folder_and_holes() {
        let file = json!({"kind":"drive#folder","id":7,"name":"d","size":"0","hash":"",
            "created_time":"","modified_time":null});
        let node = node(&file, Some(&NodeId::new("VNp"))).unwrap();
        assert!(node.is_dir());
        assert_eq!((node.id.as_str(), node.parent.as_str()), ("7", "VNp"));
        assert_eq!((node.modified, node.created), (0, 0));
        assert!(super::node(&json!({"id":"x"}), None).is_err());
    }

    #[test]
    fn pending_files_are_not_whole() {
        assert!(!is_complete(&json!({"phase":"PHASE_TYPE_PENDING"})));
        assert!(!is_complete(&json!({"phase":"PHASE_TYPE_ERROR"})));
        assert!(is_complete(&json!({"phase":"PHASE_TYPE_COMPLETE"})));
        assert!(is_complete(&json!({})));
    }
}
