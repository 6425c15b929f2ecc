//! Listings, stat, quota, and the decoding of entries (sheet sections 4.1, 4.2, 4.7, 5).

use std::sync::Arc;

use serde_json::Value;

use super::answer::many;
use super::api::{Api, Call, ROOT};
use super::names::RULES;
use super::times::time_ms;
use crate::drive::{
    Cursor, DriveError, ErrorKind, Node, NodeId, NodeKind, Page, Quota, Result, decode, listed,
};
use crate::fingerprint::{Fingerprints, Kind, Origin};

/// No most is documented; 1000 is proven (section 4.1).
pub const PAGE_SIZE: u32 = 1000;

/// Where a listing goes on: pages are numbered, and the total tells the end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    pub page: u64,
    /// Entries on the pages before.
    seen: u64,
}

impl Place {
    /// From a cursor of ours; the beginning without one.
    pub fn of(cursor: Option<&Cursor>) -> Result<Place> {
        let Some(Cursor(text)) = cursor else {
            return Ok(Place { page: 1, seen: 0 });
        };
        text.split_once(':')
            .and_then(|(page, seen)| {
                Some(Place {
                    page: page.parse().ok()?,
                    seen: seen.parse().ok()?,
                })
            })
            .ok_or_else(|| DriveError::new(ErrorKind::Invalid, "a cursor of another listing"))
    }
}

/// What one answer of a listing says.
pub enum Listed {
    /// A page and what follows.
    Page(Page),
    /// Fewer entries than there must be on it: to be asked once more.
    Short(Page),
}

pub async fn page(api: &Api, dir: &NodeId, cursor: Option<Cursor>) -> Result<Page> {
    let place = Place::of(cursor.as_ref())?;
    let mut again = true;
    loop {
        let call = Call::get("list", "/listFiles.action")
            .query("folderId", dir.as_str())
            .query("fileType", "0")
            .query("mediaAttr", "0")
            .query("iconOption", "0")
            .query("pageNum", place.page.to_string())
            .query("pageSize", PAGE_SIZE.to_string())
            .query("recursive", "0")
            .query("orderBy", "filename")
            .query("descending", "false")
            .class("list");
        let answer = api.call(call).await?;
        match read_page(&answer, dir, place)? {
            Listed::Short(_) if again => again = false,
            Listed::Page(page) | Listed::Short(page) => {
                for node in page.nodes.iter().filter(|node| node.is_dir()) {
                    api.dirs.insert(node.id.clone(), ());
                }
                return Ok(page);
            }
        }
    }
}

/// Decodes a page of `dir`, of an account or of a share.
///
/// # Errors
/// `BadAnswer` when it is no listing: an empty directory must not be made up.
pub fn read_page(answer: &Value, dir: &NodeId, place: Place) -> Result<Listed> {
    let Some(listing) = ["fileListAO", "fileList"]
        .iter()
        .map(|key| &answer[*key])
        .find(|value| value.is_object() || value.is_array())
    else {
        let is_null = answer.get("fileListAO").is_some_and(Value::is_null);
        return if is_null && place.seen == 0 {
            Ok(Listed::Page(Page::default()))
        } else {
            Err(DriveError::bad_answer("list", "no fileListAO"))
        };
    };
    // In XML the entries stand side by side, in JSON there are two lists; the trash has no frame.
    let (frame, folders, files) = if listing.is_array() {
        (answer, &answer["folderList"], listing)
    } else {
        let of = |list: &'static str, item: &'static str| match &listing[list] {
            Value::Null => &listing[item],
            list => list,
        };
        (listing, of("folderList", "folder"), of("fileList", "file"))
    };
    let count = decode::unsigned(&frame["count"]);
    let (folders, files) = (many(folders), many(files));
    let got = (folders.len() + files.len()) as u64;
    if got == 0 && count.is_some_and(|count| count > place.seen) {
        return Err(DriveError::bad_answer(
            "list",
            "entries are announced and missing",
        ));
    }
    let nodes: Vec<Node> = folders
        .iter()
        .map(|item| (item, NodeKind::Dir))
        .chain(files.iter().map(|item| (item, NodeKind::File)))
        .filter_map(|(item, kind)| node(item, kind, Some(dir)).ok())
        .collect();
    let seen = place.seen + got;
    // Past the end the count is 0; a page without a count is followed until one is empty.
    let more = got > 0 && count.is_none_or(|count| seen < count);
    let next = more.then(|| Cursor(format!("{}:{seen}", place.page + 1)));
    let page = Page { nodes, next };
    let due = count.map_or(0, |count| {
        count.saturating_sub(place.seen).min(u64::from(PAGE_SIZE))
    });
    Ok(if got < due {
        Listed::Short(page)
    } else {
        Listed::Page(page)
    })
}

/// The first entry of a directory that `wanted` accepts.
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

/// Fails with `Exists` when `dir` has an entry of this name: calls that make something keep both
/// or give back what is there (sections 4.4, 7).
pub async fn refuse_taken(api: &Api, dir: &NodeId, name: &str) -> Result<()> {
    match find(api, dir, |node| node.name == name).await? {
        Some(_) => Err(exists(name)),
        None => Ok(()),
    }
}

pub fn exists(name: &str) -> DriveError {
    DriveError::new(ErrorKind::Exists, format!("{name:?} exists already"))
}

/// Files and directories are asked by different calls, and an id does not tell which it is: what
/// was listed as a directory is asked as one first.
pub async fn stat(api: &Api, id: &NodeId) -> Result<Node> {
    if id.as_str() == ROOT {
        return Ok(root());
    }
    let dir_first = api.dirs.contains_key(id);
    let first = ask(api, id, dir_first).await;
    match first {
        Err(error) if is_other(&error) => match ask(api, id, !dir_first).await {
            Err(other) if is_other(&other) => Err(DriveError::not_found(format!("node {id}"))),
            other => other,
        },
        other => other,
    }
}

/// Whether the id may belong to the other kind of node.
fn is_other(error: &DriveError) -> bool {
    matches!(error.kind, ErrorKind::NotFound | ErrorKind::Invalid)
}

async fn ask(api: &Api, id: &NodeId, dir: bool) -> Result<Node> {
    let call = if dir {
        Call::get("stat", "/getFolderInfo.action")
            .query("folderId", id.as_str())
            .query("pathList", "0")
            .query("dt", "3")
    } else {
        Call::get("stat", "/getFileInfo.action")
            .query("fileId", id.as_str())
            .query("pathList", "0")
            .query("iconOption", "0")
            .query("mediaAttr", "0")
    };
    let answer = api.call(call).await?;
    let kind = if dir { NodeKind::Dir } else { NodeKind::File };
    let node = node(&answer, kind, None)?;
    if node.id != *id {
        return Err(DriveError::not_found(format!("node {id}")));
    }
    if dir {
        api.dirs.insert(id.clone(), ());
    }
    Ok(node)
}

/// The top directory is no entry of any listing.
pub fn root() -> Node {
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
    let call = Call::get("quota", "/portal/getUserSizeInfo.action");
    let answer = api.call(call).await?;
    let info = match &answer["cloudCapacityInfo"] {
        Value::Null => &answer,
        info => info,
    };
    let number = |key: &str| decode::unsigned(&info[key]);
    let total =
        number("totalSize").ok_or_else(|| DriveError::bad_answer("quota", "no totalSize"))?;
    let used = number("usedSize")
        .or_else(|| Some(total.saturating_sub(number("freeSize")?)))
        .unwrap_or(0);
    Ok(Quota { total, used })
}

/// One entry of a listing, of a stat, of a rename or of an upload.
pub fn node(item: &Value, kind: NodeKind, parent: Option<&NodeId>) -> Result<Node> {
    let first = |keys: &[&str]| keys.iter().find_map(|key| decode::nonempty(&item[*key]));
    // A folder's stat and its older form, a listing, an upload's commit.
    let id = if kind == NodeKind::Dir {
        first(&["id", "fileId", "folderId"])
    } else {
        first(&["id", "userFileId", "fileId"])
    };
    let id = id.ok_or_else(|| DriveError::bad_answer("entry", "no id"))?;
    let name = first(&["name", "fileName", "folderName"])
        .ok_or_else(|| DriveError::bad_answer("entry", "no name"))?;
    let parent = parent
        .cloned()
        .or_else(|| first(&["parentId", "parentFolderId"]).map(NodeId::new))
        .unwrap_or_else(|| NodeId::new(ROOT));
    let time = |keys: &[&str]| keys.iter().find_map(|key| time_ms(&item[*key]));
    let created = time(&["createDate", "createTime"]).unwrap_or(0);
    let modified = time(&["lastOpTimeStr", "lastOpTime"]).unwrap_or(created);
    let mut fingerprints = Fingerprints::new();
    let rev = first(&["rev"]).unwrap_or_default();
    let (size, version) = if kind == NodeKind::Dir {
        (0, rev)
    } else {
        let size = first(&["size", "fileSize"])
            .and_then(|size| decode::unsigned(&Value::String(size)))
            .unwrap_or(0);
        let md5 = first(&["md5", "fileMd5"]).unwrap_or_default();
        // Computed by the service over the whole content, not obfuscated (section 5).
        listed(
            &mut fingerprints,
            Kind::Md5,
            &md5,
            Origin::Provider,
            super::INFO.key,
        );
        let version = match fingerprints.get(Kind::Md5) {
            Some(md5) => md5.value.to_string(),
            None => format!("{size}-{rev}-{modified}"),
        };
        (size, version)
    };
    Ok(Node {
        id: NodeId::new(id),
        parent,
        name: RULES.decode(&name),
        kind,
        size,
        modified,
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
        fields.retain(|key, value| {
            let key = key.to_ascii_lowercase();
            !key.contains("url") && key != "icon" && key != "sessionkey" && !value.is_object()
        });
    }
    item
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
