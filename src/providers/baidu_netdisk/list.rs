//! Listings, stat, quota, and the decoding of entries (sheet sections 4.1, 4.2, 4.4, 5).

use std::sync::Arc;

use serde_json::Value;

use super::api::Api;
use super::names;
use crate::drive::{
    Cursor, DriveError, ErrorKind, Node, NodeId, NodeKind, Page, Quota, Result, decode, patience,
};
use crate::fingerprint::{Fingerprints, decode_cloud_md5};
use crate::net::retry;

/// Entries per page (section 4.2).
pub const PAGE_SIZE: u32 = 1000;

/// The top of the drive; it has no `fs_id`.
pub const ROOT: &str = "/";

/// An entry as listings, `filemetas`, `create` and `precreate` tell it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// `fs_id` as text: 64 bits, never through a float.
    pub id: String,
    /// Absolute, in the provider's spelling.
    pub path: String,
    pub is_dir: bool,
    pub size: u64,
    /// The cloud hash in its plain spelling, empty when there is none. It is the content's MD5
    /// for files of one slice only (section 5.1).
    pub cloud_md5: String,
    /// Unix seconds, 0 when not told; what the uploader said.
    pub local_mtime: i64,
    pub local_ctime: i64,
    /// Unix seconds, 0 when not told; the service's own clock.
    pub server_mtime: i64,
    pub server_ctime: i64,
    pub raw: Arc<str>,
}

impl Entry {
    /// Last component, in the provider's spelling.
    pub fn name(&self) -> &str {
        names::name_of(&self.path)
    }

    /// The node in the directory `parent`.
    pub fn node(&self, parent: NodeId) -> Node {
        let first = |times: [i64; 2]| times.into_iter().find(|s| *s > 0).unwrap_or(0);
        // An id keeps its bytes; should it ever not, the cloud hash changes with them.
        let version = if self.is_dir || self.cloud_md5.is_empty() {
            format!("{}-{}", self.id, self.size)
        } else {
            self.cloud_md5.clone()
        };
        Node {
            id: NodeId::new(self.id.as_str()),
            parent,
            name: names::decode(self.name()),
            kind: if self.is_dir {
                NodeKind::Dir
            } else {
                NodeKind::File
            },
            size: self.size,
            modified: first([self.local_mtime, self.server_mtime]).saturating_mul(1000),
            created: first([self.server_ctime, self.local_ctime]).saturating_mul(1000),
            version,
            // The listed md5 is a hash of Baidu's own (section 5.1): never shown as the MD5.
            fingerprints: Fingerprints::new(),
            handle: None,
            raw: Some(self.raw.clone()),
        }
    }
}

/// Decodes an entry; `dir` completes those that tell their name only.
pub fn entry(item: &Value, dir: Option<&str>) -> Result<Entry> {
    let id = decode::nonempty(&item["fs_id"])
        .or_else(|| decode::nonempty(&item["fsid"]))
        .filter(|id| is_fs_id(id))
        .ok_or_else(|| DriveError::bad_answer("entry", "no fs_id"))?;
    let told = decode::nonempty(&item["path"]).filter(|path| path.starts_with('/'));
    let path = match (told, dir) {
        (Some(path), _) => path.trim_end_matches('/').to_owned(),
        (None, Some(dir)) => {
            let name = ["server_filename", "filename"]
                .into_iter()
                .find_map(|field| decode::nonempty(&item[field]))
                .ok_or_else(|| DriveError::bad_answer("entry", "neither path nor name"))?;
            names::join(dir, &name)?
        }
        (None, None) => return Err(DriveError::bad_answer("entry", "no path")),
    };
    if names::name_of(&path).is_empty() {
        return Err(DriveError::bad_answer("entry", "an empty path"));
    }
    let is_dir = decode::flag(&item["isdir"]);
    let size = if is_dir {
        0
    } else {
        decode::unsigned(&item["size"])
            .ok_or_else(|| DriveError::bad_answer("entry", "a file without size"))?
    };
    let md5 = decode::text(&item["md5"]).trim().to_ascii_lowercase();
    let seconds = |field: &str| decode::integer(&item[field]).unwrap_or(0).max(0);
    let either = |field: &str, other: &str| match seconds(field) {
        0 => seconds(other),
        time => time,
    };
    Ok(Entry {
        id,
        path,
        is_dir,
        size,
        cloud_md5: decode_cloud_md5(&md5).unwrap_or(md5),
        local_mtime: seconds("local_mtime"),
        local_ctime: seconds("local_ctime"),
        // `create` and `precreate` tell `mtime` and `ctime`: their "now" (section 7.1).
        server_mtime: either("server_mtime", "mtime"),
        server_ctime: either("server_ctime", "ctime"),
        raw: Arc::from(without_links(item).to_string()),
    })
}

fn is_fs_id(id: &str) -> bool {
    id != "0" && id.parse::<u64>().is_ok()
}

/// The record without addresses that carry signatures.
fn without_links(item: &Value) -> Value {
    let mut item = item.clone();
    if let Some(fields) = item.as_object_mut() {
        for field in ["dlink", "thumbs", "lodocpreview", "docpreview"] {
            fields.remove(field);
        }
    }
    item
}

/// One page of a directory: its path, the entries, and where the next page starts.
pub struct Rows {
    pub path: String,
    pub entries: Vec<Entry>,
    pub next: Option<u64>,
}

/// A page of the directory `dir`. A path that was right some minutes ago is looked up again when
/// the service does not know it any more.
pub async fn rows(api: &Api, dir: &NodeId, start: u64) -> Result<Rows> {
    let path = dir_path(api, dir).await?;
    match rows_at(api, &path, start).await {
        Err(error) if error.kind == ErrorKind::NotFound && !is_path(dir) => {
            api.paths.forget(dir);
            let found = dir_path(api, dir).await?;
            if found == path {
                return Err(error);
            }
            rows_at(api, &found, start).await
        }
        other => other,
    }
}

/// A page of the directory at `path`.
pub async fn rows_at(api: &Api, path: &str, start: u64) -> Result<Rows> {
    let request = api
        .get("list", "list", "/rest/2.0/xpan/file")
        .query("method", "list")
        .query("dir", path)
        .query("order", "name")
        .query("start", &start.to_string())
        .query("limit", &PAGE_SIZE.to_string());
    let answer = api.attempt(request).await?;
    let items = decode::list(&answer["list"]);
    let now = api.now_ms();
    let mut entries = Vec::with_capacity(items.len());
    for item in items {
        match entry(item, Some(path)) {
            Ok(entry) => {
                if entry.is_dir {
                    api.paths
                        .learn(&NodeId::new(entry.id.as_str()), &entry.path, now);
                }
                entries.push(entry);
            }
            Err(error) => tracing::warn!(%error, "an entry that makes no sense is left out"),
        }
    }
    let count = items.len() as u64;
    Ok(Rows {
        path: path.to_owned(),
        entries,
        next: goes_on(count).then(|| start.saturating_add(count)),
    })
}

/// There is no flag for "more": a page that is not full is the last one (section 4.2). One that is
/// more than half full is not believed at once, since a page cut short would hide the rest.
fn goes_on(count: u64) -> bool {
    count >= u64::from(PAGE_SIZE / 2)
}

pub async fn page(api: &Api, dir: &NodeId, cursor: Option<Cursor>) -> Result<Page> {
    let start = match cursor {
        None => 0,
        Some(cursor) => cursor.0.parse().map_err(|_| {
            DriveError::new(ErrorKind::Invalid, format!("{:?} is no cursor", cursor.0))
        })?,
    };
    let rows = retry(patience(), || rows(api, dir, start)).await?;
    Ok(Page {
        nodes: rows
            .entries
            .iter()
            .map(|entry| entry.node(dir.clone()))
            .collect(),
        next: rows.next.map(|next| Cursor(next.to_string())),
    })
}

/// The entry of this name (in the provider's spelling) in `dir`, and the directory's path.
pub async fn find(api: &Api, dir: &NodeId, name: &str) -> Result<(String, Option<Entry>)> {
    let mut start = 0;
    loop {
        let rows = rows(api, dir, start).await?;
        let found = rows.entries.into_iter().find(|entry| entry.name() == name);
        match (found, rows.next) {
            (None, Some(next)) => start = next,
            (found, _) => return Ok((rows.path, found)),
        }
    }
}

/// The entry at a path.
pub async fn find_at(api: &Api, path: &str) -> Result<Option<Entry>> {
    let mut start = 0;
    loop {
        let rows = match rows_at(api, names::parent_of(path), start).await {
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let found = rows.entries.into_iter().find(|entry| entry.path == path);
        match (found, rows.next) {
            (None, Some(next)) => start = next,
            (found, _) => return Ok(found),
        }
    }
}

/// Whether an id is a path: the top, and roots that a profile names.
pub fn is_path(id: &NodeId) -> bool {
    id.as_str().starts_with('/')
}

/// The `filemetas` record of an id, `None` when there is none (section 4.4).
pub async fn metas(api: &Api, id: &NodeId, op: &'static str, dlink: bool) -> Result<Option<Value>> {
    if !is_fs_id(id.as_str()) {
        return Ok(None);
    }
    let request = api
        .get(op, "meta", "/rest/2.0/xpan/multimedia")
        .query("method", "filemetas")
        .query("fsids", &format!("[{id}]"))
        .query("dlink", if dlink { "1" } else { "0" });
    let answer = match api.attempt(request).await {
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    // Unknown ids are missing from the list, or told with an error of their own.
    Ok(decode::list(&answer["list"])
        .iter()
        .find(|item| decode::text(&item["fs_id"]) == id.as_str())
        .filter(|item| !decode::flag(&item["errno"]))
        .cloned())
}

/// The entry of an id as it is now.
///
/// # Errors
/// `NotFound`.
pub async fn entry_of(api: &Api, id: &NodeId) -> Result<Entry> {
    if is_path(id) {
        let found = find_at(api, id.as_str()).await?;
        return found.ok_or_else(|| DriveError::not_found(format!("{id}")));
    }
    let item = metas(api, id, "stat", false).await?;
    let entry = match item {
        Some(item) => entry(&item, None)?,
        None => {
            api.paths.forget(id);
            return Err(DriveError::not_found(format!("entry {id}")));
        }
    };
    if entry.is_dir {
        api.paths.learn(id, &entry.path, api.now_ms());
    }
    Ok(entry)
}

/// The path of a directory, from what was seen lately.
pub async fn dir_path(api: &Api, dir: &NodeId) -> Result<String> {
    match api.paths.path(dir, api.now_ms()) {
        Some(path) => Ok(path),
        None => fresh_dir_path(api, dir).await,
    }
}

/// The path of a directory as it is now: for everything that writes there.
pub async fn fresh_dir_path(api: &Api, dir: &NodeId) -> Result<String> {
    if is_path(dir) {
        let path = dir.as_str().trim_end_matches('/');
        return Ok(if path.is_empty() { ROOT } else { path }.to_owned());
    }
    let entry = entry_of(api, dir).await?;
    if !entry.is_dir {
        return Err(DriveError::not_found(format!("directory {dir}")));
    }
    Ok(entry.path)
}

/// The id of the directory at `path`; `root` keeps the id that the profile gave it.
pub async fn dir_id(api: &Api, path: &str, root: &NodeId) -> Result<NodeId> {
    if path == ROOT || root.as_str().trim_end_matches('/') == path {
        return Ok(if path == ROOT {
            NodeId::new(ROOT)
        } else {
            root.clone()
        });
    }
    if let Some(id) = api.paths.id(path, api.now_ms()) {
        return Ok(id);
    }
    // Nothing tells it directly. A path works as an id as well.
    let found = find_at(api, path).await?.filter(|entry| entry.is_dir);
    Ok(NodeId::new(
        found.map_or_else(|| path.to_owned(), |entry| entry.id),
    ))
}

pub async fn stat(api: &Api, id: &NodeId, root: &NodeId) -> Result<Node> {
    if id.as_str() == ROOT {
        return Ok(top());
    }
    retry(patience(), || async {
        let entry = entry_of(api, id).await?;
        let parent = dir_id(api, names::parent_of(&entry.path), root).await?;
        let mut node = entry.node(parent);
        node.id = id.clone();
        Ok(node)
    })
    .await
}

/// The top: it is always there and no call describes it.
fn top() -> Node {
    Node {
        id: NodeId::new(ROOT),
        parent: NodeId::new(ROOT),
        name: ROOT.to_owned(),
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
    let request = api
        .get("quota", "other", "/api/quota")
        .query("checkfree", "1")
        .query("checkexpire", "0");
    let answer = api.call(request).await?;
    // Tells the account's id on the way; the space is known without it.
    if let Err(error) = api.user().await {
        tracing::debug!(%error, "the account's id stays unknown");
    }
    Ok(Quota {
        total: decode::unsigned(&answer["total"]).unwrap_or(0),
        used: decode::unsigned(&answer["used"]).unwrap_or(0),
    })
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
