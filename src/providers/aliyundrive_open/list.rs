//! Listings, stat, quota, and the decoding of items (sheet sections 4.2 to 4.4, 5).

use std::sync::Arc;

use serde_json::{Value, json};

use super::api::{Api, Repeat};
use super::names::RULES;
use crate::drive::{
    Cursor, DriveError, ErrorKind, Node, NodeId, NodeKind, Page, Quota, Result, decode, listed,
};
use crate::fingerprint::{Fingerprints, Kind, Origin};

/// Documented are 100; 200 is what clients send and get (section 4.3).
pub const PAGE_SIZE: u32 = 200;

pub async fn page(api: &Api, dir: &NodeId, cursor: Option<Cursor>) -> Result<Page> {
    let body = json!({
        "drive_id": api.drive_id().await?,
        "parent_file_id": dir.as_str(),
        "limit": PAGE_SIZE,
        "marker": cursor.map_or_else(String::new, |cursor| cursor.0),
        "order_by": "name",
        "order_direction": "ASC",
    });
    let answer = api
        .call(
            "list",
            "/adrive/v1.0/openFile/list",
            "list",
            Repeat::Safe,
            &body,
        )
        .await?;
    let nodes = decode::list(&answer["items"])
        .iter()
        .filter(|item| !matches!(item["status"].as_str(), Some("uploading")))
        .filter_map(|item| node(item, Some(dir)).ok())
        .collect();
    Ok(Page {
        nodes,
        next: decode::nonempty(&answer["next_marker"]).map(Cursor),
    })
}

/// Fails with `Exists` when `dir` has an entry of this name: for calls without a conflict rule.
pub async fn refuse_taken(api: &Api, dir: &NodeId, name: &str) -> Result<()> {
    let mut cursor = None;
    loop {
        let page = page(api, dir, cursor).await?;
        if page.nodes.iter().any(|node| node.name == name) {
            return Err(DriveError::new(
                ErrorKind::Exists,
                format!("{name:?} exists already"),
            ));
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(()),
        }
    }
}

pub async fn stat(api: &Api, id: &NodeId) -> Result<Node> {
    let body = json!({ "drive_id": api.drive_id().await?, "file_id": id.as_str() });
    let answer = api
        .call(
            "stat",
            "/adrive/v1.0/openFile/get",
            "other",
            Repeat::Safe,
            &body,
        )
        .await?;
    if decode::flag(&answer["trashed"]) {
        return Err(DriveError::not_found(format!("file {id}")));
    }
    node(&answer, None)
}

pub async fn quota(api: &Api) -> Result<Quota> {
    let path = "/adrive/v1.0/user/getSpaceInfo";
    let answer = api
        .call("quota", path, "other", Repeat::Safe, &json!({}))
        .await?;
    let info = &answer["personal_space_info"];
    Ok(Quota {
        total: decode::unsigned(&info["total_size"]).unwrap_or(0),
        used: decode::unsigned(&info["used_size"]).unwrap_or(0),
    })
}

/// One item of section 4.3.
pub fn node(item: &Value, parent: Option<&NodeId>) -> Result<Node> {
    let id = decode::nonempty(&item["file_id"])
        .ok_or_else(|| DriveError::bad_answer("item", "no file_id"))?;
    let name = decode::nonempty(&item["name"])
        .or_else(|| decode::nonempty(&item["file_name"]))
        .ok_or_else(|| DriveError::bad_answer("item", "no name"))?;
    let parent = decode::nonempty(&item["parent_file_id"])
        .map(NodeId::new)
        .or_else(|| parent.cloned())
        .unwrap_or_else(|| NodeId::new("root"));
    let kind = if item["type"] == "folder" {
        NodeKind::Dir
    } else {
        NodeKind::File
    };
    let mut fingerprints = Fingerprints::new();
    if kind == NodeKind::File && item["content_hash_name"].as_str().unwrap_or("sha1") == "sha1" {
        listed(
            &mut fingerprints,
            Kind::Sha1,
            &decode::text(&item["content_hash"]),
            Origin::Provider,
            super::INFO.key,
        );
    }
    let updated = decode::text(&item["updated_at"]);
    // Ids are new with every upload and the hash is the server's own: it names the version.
    // `updated_at` also changes with a rename, so it only stands in for a missing hash.
    let version = match fingerprints.get(Kind::Sha1) {
        Some(sha1) => sha1.value.to_string(),
        None => updated,
    };
    Ok(Node {
        id: NodeId::new(id),
        parent,
        name: RULES.decode(&name),
        kind,
        size: decode::unsigned(&item["size"]).unwrap_or(0),
        modified: decode::rfc3339_ms(&item["local_modified_at"])
            .or_else(|| decode::rfc3339_ms(&item["updated_at"]))
            .unwrap_or(0),
        created: decode::rfc3339_ms(&item["created_at"]).unwrap_or(0),
        version,
        fingerprints,
        handle: None,
        raw: Some(Arc::from(without_links(item).to_string())),
    })
}

/// The record without addresses that carry signatures.
fn without_links(item: &Value) -> Value {
    let mut item = item.clone();
    if let Some(fields) = item.as_object_mut() {
        for key in [
            "thumbnail",
            "url",
            "part_info_list",
            "upload_id",
            "streams_info",
        ] {
            fields.remove(key);
        }
    }
    item
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_of_the_sheet() {
        let item = json!({"drive_id":"1029341","file_id":"65b9","parent_file_id":"root",
            "name":"hello.txt","type":"file","size":12,
            "content_hash":"2EF7BDE608CE5404E97D5F042F95F89F1C232871","content_hash_name":"sha1",
            "thumbnail":"https://x/?sign=1",
            "created_at":"2024-01-31T07:47:09.000Z","updated_at":"2024-01-31T07:47:10.250Z"});
        let node = node(&item, None).unwrap();
        assert_eq!(node.size, 12);
        assert_eq!(node.modified, 1_706_687_230_250);
        assert_eq!(node.version, "2ef7bde608ce5404e97d5f042f95f89f1c232871");
        assert!(!node.raw.unwrap().contains("sign=1"));
    }

    #[test]
    fn null_and_numbers_are_survived() {
        let item = json!({"file_id":7,"name":"d","type":"folder","size":null,"content_hash":null});
        let node = node(&item, Some(&NodeId::new("p"))).unwrap();
        assert_eq!((node.id.as_str(), node.parent.as_str()), ("7", "p"));
        assert!(node.is_dir());
        assert!(super::node(&json!({"name":"x"}), None).is_err());
    }
}
