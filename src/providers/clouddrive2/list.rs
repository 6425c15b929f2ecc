//! Listings, stat, quota, and the decoding of entries (sheet sections 4, 4.2, 5, 9).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::api::Api;
use super::message::{
    CloudFile, FileRequest, FindFileByPathRequest, ListSubFileRequest, SpaceInfo, SubFilesReply,
};
use super::names::{self, RULES, TOP};
use super::wire::{Call, next};
use crate::drive::{
    DriveError, ErrorKind, Node, NodeId, NodeKind, Page, Quota, Result, listed, patience,
};
use crate::fingerprint::{Fingerprints, Kind, Origin};
use crate::net::retry;

/// The first batch of a large directory takes its time at some providers.
const LIST: Call = Call::safe("list", "GetSubFiles").deadline(Duration::from_secs(120));
const STAT: Call = Call::safe("stat", "FindFileByPath");
const QUOTA: Call = Call::safe("quota", "GetSpaceInfo");

/// The hash types of the API (section 5) and what they are here. What PikPak and Xunlei list is
/// what an uploader said.
pub const HASHES: [(u32, Kind, Origin); 3] = [
    (1, Kind::Md5, Origin::Provider),
    (2, Kind::Sha1, Origin::Provider),
    (3, Kind::Gcid, Origin::UploaderClaim),
];

/// More entries than this in a directory are not believed.
const MOST: usize = 2_000_000;

/// A directory, all of it: the API has no pages. `fresh` asks the provider behind the server, else
/// the server's own cache may answer.
///
/// # Errors
/// `NotFound` for a directory that is none.
pub async fn page(api: &Api, dir: &NodeId, fresh: bool) -> Result<Page> {
    let files = retry(patience(), || entries(api, dir.as_str(), fresh)).await?;
    let mut seen = HashSet::new();
    let mut nodes = Vec::with_capacity(files.len());
    for file in &files {
        let Some(node) = node(file, dir.as_str()) else {
            continue;
        };
        // A path names one of two entries with the same name (section 9); the other one cannot
        // be reached.
        if seen.insert(node.id.clone()) {
            nodes.push(node);
        } else {
            tracing::debug!(id = %node.id, "a second entry of this name is left out");
        }
    }
    Ok(Page { nodes, next: None })
}

async fn entries(api: &Api, dir: &str, fresh: bool) -> Result<Vec<CloudFile>> {
    let request = ListSubFileRequest {
        path: dir.to_owned(),
        force_refresh: fresh,
        check_expires: None,
    };
    let (mut stream, _permit) = api.stream::<_, SubFilesReply>(&LIST, request).await?;
    let mut files = Vec::new();
    while let Some(batch) = next(&LIST, &mut stream).await? {
        files.extend(batch.sub_files);
        if files.len() > MOST {
            return Err(DriveError::bad_answer(LIST.op, "the listing does not end"));
        }
    }
    Ok(files)
}

/// One entry by its path.
///
/// # Errors
/// `NotFound` when nothing is there.
pub async fn stat(api: &Api, id: &NodeId) -> Result<Node> {
    let path = id.as_str();
    if path == TOP {
        return Ok(top());
    }
    let request = FindFileByPathRequest {
        parent_path: String::new(),
        path: path.to_owned(),
    };
    let file: CloudFile = api.call(&STAT, request).await?;
    // Some versions answer an empty message for what is missing (section 4).
    node(&file, names::parent(path)).ok_or_else(|| DriveError::not_found(path))
}

/// What is there, or nothing.
///
/// # Errors
/// Any but `NotFound`.
pub async fn look(api: &Api, path: &str) -> Result<Option<Node>> {
    match stat(api, &names::id(path)).await {
        Ok(node) => Ok(Some(node)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Refuses a path that something has.
///
/// # Errors
/// `Exists`.
pub async fn refuse_taken(api: &Api, path: &str) -> Result<()> {
    match look(api, path).await? {
        None => Ok(()),
        Some(node) => Err(DriveError::new(
            ErrorKind::Exists,
            format!("{:?} exists already", node.name),
        )),
    }
}

/// An entry that was made a moment ago. A finished upload is not always in the server's cached
/// listing at once: one client looked for up to 20 s, with a fresh listing of the directory
/// (section 7.6).
///
/// # Errors
/// `NotFound` when it does not appear within the pauses.
pub async fn appeared(api: &Api, path: &str, pauses: &[Duration]) -> Result<Node> {
    let mut pauses = pauses.iter();
    loop {
        if let Some(node) = look(api, path).await? {
            return Ok(node);
        }
        let dir = names::id(names::parent(path));
        match page(api, &dir, true).await {
            Ok(page) => {
                let found = page.nodes.into_iter().find(|node| node.id.as_str() == path);
                if let Some(node) = found {
                    return Ok(node);
                }
            }
            Err(error) if error.kind == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        match pauses.next() {
            Some(pause) => tokio::time::sleep(*pause).await,
            None => return Err(DriveError::not_found(path)),
        }
    }
}

/// The space of the account that owns `path`. The top belongs to no account: what it answers is
/// taken where it answers.
///
/// # Errors
/// Those of the call.
pub async fn quota(api: &Api, path: &str) -> Result<Quota> {
    let request = FileRequest {
        path: path.to_owned(),
        force_refresh: None,
    };
    match api.call::<_, SpaceInfo>(&QUOTA, request).await {
        Ok(space) => Ok(quota_of(&space)),
        Err(error)
            if path == TOP
                && matches!(
                    error.kind,
                    ErrorKind::NotFound
                        | ErrorKind::Invalid
                        | ErrorKind::Provider
                        | ErrorKind::Unsupported
                ) =>
        {
            Ok(Quota::default())
        }
        Err(error) => Err(error),
    }
}

fn quota_of(space: &SpaceInfo) -> Quota {
    // Negative means unknown.
    let bytes = |n: i64| u64::try_from(n).unwrap_or(0);
    let total = bytes(space.total_space);
    let used = match bytes(space.used_space) {
        0 if space.free_space > 0 => total.saturating_sub(bytes(space.free_space)),
        used => used,
    };
    Quota {
        total,
        used: used.min(total),
    }
}

fn top() -> Node {
    Node {
        id: names::id(TOP),
        parent: names::id(TOP),
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

/// An entry of `dir`; `None` for what has no name, or one that is no name.
pub fn node(file: &CloudFile, dir: &str) -> Option<Node> {
    if file.name.is_empty() || file.name.contains('/') || matches!(&*file.name, "." | "..") {
        return None;
    }
    let is_dir = file.is_directory || file.is_root || file.is_cloud_root || file.is_cloud_directory;
    let mut fingerprints = Fingerprints::new();
    if !is_dir && has_honest_hashes(file) {
        for (number, kind, origin) in HASHES {
            if let Some(text) = file.file_hashes.get(&number) {
                listed(&mut fingerprints, kind, text, origin, super::INFO.key);
            }
        }
        if is_baidu(file) {
            // Of a file that was uploaded in slices Baidu lists an MD5 that is not the content's.
            fingerprints.forget(Kind::Md5);
        }
    }
    let size = match is_dir {
        true => 0,
        false => u64::try_from(file.size).unwrap_or(0),
    };
    let time = |at: &Option<super::message::Timestamp>| at.map_or(0, |at| at.ms());
    let created = time(&file.create_time);
    let modified = match time(&file.write_time) {
        0 => created,
        modified => modified,
    };
    Some(Node {
        id: names::id(&names::join(dir, &file.name)),
        parent: names::id(dir),
        name: RULES.decode(&file.name),
        kind: match is_dir {
            true => NodeKind::Dir,
            false => NodeKind::File,
        },
        size,
        modified,
        created,
        version: version(file, is_dir, size, &fingerprints),
        fingerprints,
        handle: None,
        raw: Some(Arc::from(raw(file).to_string())),
    })
}

/// Of a file in an encrypted folder the hash, if any, is of the cipher text (section 5).
fn has_honest_hashes(file: &CloudFile) -> bool {
    file.file_encryption_type == 0
}

fn is_baidu(file: &CloudFile) -> bool {
    let name = file.cloud_api.as_ref().map_or("", |api| api.name.as_str());
    name.to_lowercase().contains("baidu") || name.contains("\u{767e}\u{5ea6}")
}

/// A hash names the content wherever it goes. Without one, size and time of the last write do: the
/// provider's id may change with a rename.
fn version(file: &CloudFile, is_dir: bool, size: u64, known: &Fingerprints) -> String {
    let hash = [Kind::Sha1, Kind::Md5, Kind::Gcid]
        .into_iter()
        .find_map(|kind| Some((kind, known.get(kind)?)));
    match hash {
        Some((kind, known)) if !is_dir => format!("{kind}:{}", known.value),
        _ => {
            let at = file.write_time.or(file.create_time).unwrap_or_default();
            format!("{size}-{}.{:09}", at.seconds, at.nanos.max(0))
        }
    }
}

/// The record without addresses.
fn raw(file: &CloudFile) -> serde_json::Value {
    let api = file.cloud_api.as_ref();
    json!({
        "id": file.id,
        "path": file.full_path_name,
        "cloud": api.map_or("", |api| api.name.as_str()),
        "account": api.map_or("", |api| api.user_name.as_str()),
        "hashes": file.file_hashes,
        "encryption": file.file_encryption_type,
        "forbidden": file.is_forbidden,
        "read_only": file.read_only || api.is_some_and(|api| api.read_only),
    })
}
