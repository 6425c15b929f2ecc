//! Listings, stat, quota, and the decoding of entries (sheet sections 4.1 to 4.4, 5).

use std::sync::Arc;

use serde_json::{Value, json};

use super::api::{Api, Repeat};
use super::names;
use crate::drive::{
    Cursor, DriveError, ErrorKind, Node, NodeId, NodeKind, Page, Quota, Result, decode, listed,
};
use crate::fingerprint::{Fingerprints, Kind, Origin};

/// The documented most (section 4.2).
pub const PAGE_SIZE: u32 = 100;

/// The id of the top directory.
pub const ROOT: &str = "0";

/// An id as calls want it.
///
/// # Errors
/// `NotFound` for what is no id of this provider: nothing has it.
pub fn number(id: &NodeId) -> Result<i64> {
    id.as_str()
        .parse::<i64>()
        .ok()
        .filter(|id| *id >= 0)
        .ok_or_else(|| DriveError::not_found(format!("node {id}")))
}

pub async fn page(api: &Api, dir: &NodeId, cursor: Option<Cursor>) -> Result<Page> {
    let mut request = api
        .get("list", "list", "/api/v2/file/list")
        .query("parentFileId", &number(dir)?.to_string())
        .query("limit", &PAGE_SIZE.to_string());
    if let Some(cursor) = &cursor {
        request = request.query("lastFileId", &cursor.0);
    }
    let answer = api.call(Repeat::Safe, request).await?;
    let next = next_cursor(&answer, cursor.as_ref())?;
    let nodes = decode::list(&answer["fileList"])
        .iter()
        .filter(|item| !decode::flag(&item["trashed"]))
        .filter_map(|item| node(item, Some(dir)).ok())
        .collect();
    Ok(Page { nodes, next })
}

/// -1 ends a listing. A full page may be the last one, and a page may be short or empty because
/// its entries are in the bin: only the cursor counts.
fn next_cursor(answer: &Value, asked: Option<&Cursor>) -> Result<Option<Cursor>> {
    let Some(next) = decode::integer(&answer["lastFileId"]).filter(|next| *next > 0) else {
        return Ok(None);
    };
    let next = Cursor(next.to_string());
    if asked == Some(&next) {
        return Err(DriveError::bad_answer(
            "list",
            "the listing does not move on",
        ));
    }
    Ok(Some(next))
}

/// The first entry of a directory that `wanted` accepts, from as many pages as it takes. The
/// search call is no substitute: it is global and its index lags (section 4.7).
pub async fn find(
    api: &Api,
    dir: &NodeId,
    wanted: impl Fn(&Node) -> bool + Send + Sync,
) -> Result<Option<Node>> {
    let mut cursor = None;
    loop {
        let page = page(api, dir, cursor).await?;
        if let Some(node) = page.nodes.into_iter().find(&wanted) {
            return Ok(Some(node));
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(None),
        }
    }
}

/// Refuses a name that somebody other than `own` has in `dir`: what rename and move do then is
/// not documented (section 4.6).
pub async fn refuse_taken(api: &Api, dir: &NodeId, name: &str, own: Option<&NodeId>) -> Result<()> {
    let taken = find(api, dir, |node| node.name == name && Some(&node.id) != own).await?;
    match taken {
        Some(_) => Err(DriveError::new(
            ErrorKind::Exists,
            format!("{name:?} exists already"),
        )),
        None => Ok(()),
    }
}

pub async fn stat(api: &Api, id: &NodeId) -> Result<Node> {
    if id.as_str() == ROOT {
        return Ok(root());
    }
    let wanted = number(id)?;
    let request = api
        .post("stat", "stat", "/api/v1/file/infos")
        .json(&json!({ "fileIds": [wanted] }));
    let answer = api.call(Repeat::Safe, request).await?;
    // The example has one key, the table the other (section 4.4). Unknown ids are left out.
    [&answer["list"], &answer["fileList"]]
        .into_iter()
        .flat_map(decode::list)
        .find(|item| id_of(item) == Some(wanted))
        .filter(|item| !decode::flag(&item["trashed"]))
        .ok_or_else(|| DriveError::not_found(format!("node {id}")))
        .and_then(|item| node(item, None))
}

/// The top directory is no entry of any listing.
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

pub async fn quota(api: &Api) -> Result<Quota> {
    let request = api.get("quota", "account", "/api/v1/user/info");
    let answer = api.call(Repeat::Safe, request).await?;
    api.learn_account(&answer["uid"]);
    Ok(quota_of(&answer))
}

fn quota_of(answer: &Value) -> Quota {
    let bytes = |key: &str| decode::unsigned(&answer[key]).unwrap_or(0);
    Quota {
        total: bytes("spacePermanent").saturating_add(bytes("spaceTemp")),
        used: bytes("spaceUsed"),
    }
}

/// `fileId` or, in older answers, `fileID`.
fn id_of(item: &Value) -> Option<i64> {
    ["fileId", "fileID"]
        .iter()
        .find_map(|key| decode::integer(&item[*key]))
        .filter(|id| *id > 0)
}

/// One entry of section 4.2.
pub fn node(item: &Value, parent: Option<&NodeId>) -> Result<Node> {
    let id = id_of(item).ok_or_else(|| DriveError::bad_answer("entry", "no fileId"))?;
    let name = decode::nonempty(&item["filename"])
        .ok_or_else(|| DriveError::bad_answer("entry", "no filename"))?;
    let parent = ["parentFileId", "parentFileID"]
        .iter()
        .find_map(|key| decode::integer(&item[*key]))
        .map(|id| NodeId::new(id.to_string()))
        .or_else(|| parent.cloned())
        .unwrap_or_else(|| NodeId::new(ROOT));
    let is_dir = decode::integer(&item["type"]) == Some(1);
    let mut fingerprints = Fingerprints::new();
    if !is_dir {
        listed(
            &mut fingerprints,
            Kind::Md5,
            &decode::text(&item["etag"]),
            Origin::Provider,
            super::INFO.key,
        );
    }
    let updated = decode::text(&item["updateAt"]);
    // The etag is the MD5 of the content, checked by the server (section 5): it names the
    // version. The time also changes with a rename, so it only stands in for a missing etag.
    let version = match fingerprints.get(Kind::Md5) {
        Some(md5) => md5.value.to_string(),
        None => updated.clone(),
    };
    let created = time_ms(&decode::text(&item["createAt"])).unwrap_or(0);
    // Details give the size of a directory's content; a directory itself has none.
    let size = if is_dir {
        0
    } else {
        decode::unsigned(&item["size"]).unwrap_or(0)
    };
    Ok(Node {
        id: NodeId::new(id.to_string()),
        parent,
        name: names::decode(&name),
        kind: if is_dir {
            NodeKind::Dir
        } else {
            NodeKind::File
        },
        size,
        modified: time_ms(&updated).unwrap_or(created),
        created,
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
        for key in ["downloadUrl", "thumbnail"] {
            fields.remove(key);
        }
    }
    item
}

/// `YYYY-MM-DD HH:MM:SS` in UTC+8, also with the zone behind it (section 3), or RFC 3339.
fn time_ms(text: &str) -> Option<i64> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_millisecond());
    }
    let local: jiff::civil::DateTime = text.get(..19)?.parse().ok()?;
    let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(8));
    Some(zone.to_timestamp(local).ok()?.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Value {
        json!({"lastFileId":-1,"fileList":[
          {"fileId":5373646,"filename":"download.mp4","parentFileId":14663228,"type":0,
           "etag":"d40dd6a04506fe1a0178916fbf2599be","size":50650928,"category":2,"status":2,
           "punishFlag":0,"s3KeyFlag":"1814435920-0","storageNode":"m16","trashed":0,
           "createAt":"2024-04-30 11:58:36","updateAt":"2025-02-24 17:56:45"},
          {"fileId":14710240,"filename":"dir","parentFileId":14663228,"type":1,"etag":"",
           "size":0,"trashed":0,"createAt":"2025-02-24 17:57:01",
           "updateAt":"2025-02-24 17:57:01"}]})
    }

    #[test]
    fn the_listing_of_the_sheet() {
        let answer = sample();
        let file = node(&answer["fileList"][0], None).unwrap();
        assert_eq!(file.id.as_str(), "5373646");
        assert_eq!(file.parent.as_str(), "14663228");
        assert_eq!(file.size, 50_650_928);
        assert_eq!(file.modified, 1_740_391_005_000);
        assert_eq!(file.version, "d40dd6a04506fe1a0178916fbf2599be");
        let md5 = file.fingerprints.get(Kind::Md5).unwrap();
        assert_eq!(md5.origin, Origin::Provider);
        let dir = node(&answer["fileList"][1], None).unwrap();
        assert!(dir.is_dir() && dir.fingerprints.is_empty());
        assert_eq!(next_cursor(&answer, None).unwrap(), None);
    }

    #[test]
    fn ids_are_numbers_or_texts_and_links_stay_out() {
        let item = json!({"fileID":"7","filename":"a","type":"0","size":"12","etag":null,
            "downloadUrl":"https://x/?s=1","updateAt":"2024-09-27 09:39:46 +0800 CST"});
        let node = node(&item, Some(&NodeId::new("3"))).unwrap();
        assert_eq!((node.id.as_str(), node.parent.as_str()), ("7", "3"));
        assert_eq!((node.size, node.modified), (12, 1_727_401_186_000));
        assert!(!node.raw.unwrap().contains("https"));
        assert!(super::node(&json!({"filename":"x"}), None).is_err());
    }

    #[test]
    fn the_cursor_ends_and_never_stands_still() {
        let at = |v: Value| json!({ "lastFileId": v });
        assert_eq!(next_cursor(&at(json!(-1)), None).unwrap(), None);
        assert_eq!(next_cursor(&at(json!(null)), None).unwrap(), None);
        let next = next_cursor(&at(json!("88")), None).unwrap().unwrap();
        assert_eq!(next.0, "88");
        assert!(next_cursor(&at(json!(88)), Some(&next)).is_err());
    }

    #[test]
    fn times_of_the_vectors() {
        let vectors: Value = serde_json::from_str(include_str!(
            "../../../tests/fixtures/123_open.vectors.json"
        ))
        .unwrap();
        let cases = vectors["vectors"]["timestamps"]["cases"]
            .as_array()
            .unwrap();
        assert_eq!(cases.len(), 3);
        for case in cases {
            let text = case["text"].as_str().unwrap();
            let unix = case["unix"].as_i64().unwrap();
            assert_eq!(time_ms(text), Some(unix * 1000), "{text}");
        }
        assert_eq!(time_ms("yesterday"), None);
        assert_eq!(time_ms("2025-02-24 17:56:影片"), None);
    }

    #[test]
    fn the_space_is_the_permanent_and_the_temporary() {
        let answer = json!({"spaceUsed":5,"spacePermanent":100,"spaceTemp":"20"});
        assert_eq!(
            quota_of(&answer),
            Quota {
                total: 120,
                used: 5
            }
        );
    }

    #[test]
    fn what_is_no_id_is_not_found() {
        let error = number(&NodeId::new("root")).unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
        assert_eq!(number(&NodeId::new("0")).unwrap(), 0);
    }
}
