//! Listings, stat, quota, and the decoding of file objects (sheet sections 4.1, 4.2, 4.7, 5).

use std::sync::Arc;

use serde_json::{Value, json};

use super::api::{Api, Call, FILES, ROOT, file_path, wire};
use super::names::RULES;
use crate::drive::{
    Cursor, DriveError, Node, NodeId, NodeKind, Page, Quota, Result, decode, listed,
};
use crate::fingerprint::{Fingerprints, Kind, Origin};

/// The largest page that clients are known to get (section 4.1).
pub const PAGE_SIZE: u32 = 500;

/// The phase of a file that is whole.
pub const COMPLETE: &str = "PHASE_TYPE_COMPLETE";

/// No directory has more pages than this (two million entries); a server that never ends is left.
const MOST_PAGES: usize = 4000;

pub async fn page(api: &Api, dir: &NodeId, cursor: Option<Cursor>) -> Result<Page> {
    let filters = json!({ "phase": { "eq": COMPLETE }, "trashed": { "eq": false } });
    let (files, next) = raw_page(api, dir, cursor, &filters).await?;
    let nodes = files
        .iter()
        // The filters again, for a server that knows better.
        .filter(|file| is_complete(file) && !decode::flag(&file["trashed"]))
        .filter_map(|file| node(file, Some(dir)).ok())
        .collect();
    Ok(Page { nodes, next })
}

/// Every file object of a directory that passes `filters`.
pub async fn all(api: &Api, dir: &NodeId, filters: &Value) -> Result<Vec<Value>> {
    let mut entries = Vec::new();
    let mut cursor = None;
    for _ in 0..MOST_PAGES {
        let (files, next) = raw_page(api, dir, cursor.take(), filters).await?;
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

async fn raw_page(
    api: &Api,
    dir: &NodeId,
    cursor: Option<Cursor>,
    filters: &Value,
) -> Result<(Vec<Value>, Option<Cursor>)> {
    let token = cursor.map_or_else(String::new, |cursor| cursor.0);
    let call = Call::get("list", FILES)
        .query("parent_id", wire(dir))
        .query("limit", PAGE_SIZE.to_string())
        .query("page_token", token.as_str())
        .query("filters", filters.to_string());
    let mut answer = api.call(call).await?;
    // An empty page ends the listing whatever its token says (section 4.1); so does a token that
    // leads back to the same page.
    let next = decode::nonempty(&answer["next_page_token"])
        .filter(|next| *next != token && !decode::list(&answer["files"]).is_empty())
        .map(Cursor);
    let files = match answer["files"].take() {
        Value::Array(files) => files,
        _ => Vec::new(),
    };
    if let Some(file) = files.first() {
        api.identity.learn_user(decode::nonempty(&file["user_id"]));
    }
    Ok((files, next))
}

pub async fn stat(api: &Api, id: &NodeId) -> Result<Node> {
    if id.as_str() == ROOT {
        return Ok(root());
    }
    let file = raw_stat(api, id).await?;
    if decode::flag(&file["trashed"]) || !is_complete(&file) {
        return Err(DriveError::not_found(format!("file {id}")));
    }
    node(&file, None)
}

/// The file object, whatever its state.
pub async fn raw_stat(api: &Api, id: &NodeId) -> Result<Value> {
    let call = Call::get("stat", file_path(id)).query("thumbnail_size", "SIZE_SMALL");
    api.call(call).await
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
        let mut learn = |kind, key: &str, origin| {
            let text = decode::text(&file[key]);
            listed(&mut fingerprints, kind, &text, origin, super::INFO.key);
        };
        // Repeated from the uploader, never computed for uploads by bytes (section 5).
        learn(Kind::Gcid, "hash", Origin::UploaderClaim);
        // Not part of any upload, so it is the server's own, where there is one.
        learn(Kind::Md5, "md5_checksum", Origin::Provider);
    }
    // An id never gets other bytes (there is no overwrite), `modified_time` changes with a
    // rename, and not every answer repeats the hash: the id names the version.
    let version = id.clone();
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

/// The record without addresses that carry signatures.
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
        let file = json!({"kind":"drive#file","id":"VOabcFile1","parent_id":"","name":"a.bin",
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
        assert!(node.fingerprints.get(Kind::Md5).is_none());
        assert!(!node.raw.unwrap().contains("secret"));
    }

    #[test]
    fn a_folder_and_holes() {
        let file = json!({"kind":"drive#folder","id":7,"name":"d","size":"0","hash":"",
            "created_time":"","modified_time":null});
        let node = node(&file, Some(&NodeId::new("VOp"))).unwrap();
        assert!(node.is_dir());
        assert_eq!((node.id.as_str(), node.parent.as_str()), ("7", "VOp"));
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
