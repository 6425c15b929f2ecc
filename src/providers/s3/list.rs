//! Listings and single nodes.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use opendal::Metadata;
use serde_json::json;

use super::address;
use super::api::Api;
use super::error::Seals;
use super::versions;
use crate::drive::{Cursor, DriveError, ErrorKind, Node, NodeId, NodeKind, Page, Result, listed};
use crate::fingerprint::{Fingerprints, Kind, Origin, md5_from_etag};
use crate::providers::opendal::{Listed, Listing, bare_etag, seconds_ms};

/// Entries of one answer.
pub const PAGE_SIZE: u32 = 1000;

/// The longest record that is kept of a node.
const RAW: usize = 8 << 10;

/// One page of a directory.
pub async fn page(api: &Api, dir: &NodeId, cursor: Option<Cursor>) -> Result<Page> {
    let prefix = address::prefix(dir.as_str());
    let (after, carried) = match cursor {
        None => (None, Vec::new()),
        Some(Cursor(text)) => {
            let (after, files): (String, Vec<String>) = serde_json::from_str(&text)
                .map_err(|_| DriveError::bad_answer("list", "a cursor of another listing"))?;
            (Some(after), files)
        }
    };
    let first = after.is_none();
    let listing = Listing {
        prefix: &prefix,
        after,
        ..Listing::default()
    };
    let listed = api.store.page(&listing).await?;
    let known = listed.entries.iter().any(|(key, _)| key != &prefix);
    let own = listed.entries.iter().any(|(key, _)| key == &prefix);
    if own {
        api.marks.marked(&prefix);
    }
    let is_there = own || known || *dir == api.root || api.marks.is_remembered(&prefix);
    if first && listed.next.is_none() && !is_there && !prefix.is_empty() {
        return Err(DriveError::not_found(address::shown(dir.as_str())));
    }
    let mut nodes = Vec::with_capacity(listed.entries.len());
    let files = files_of(&listed, &carried);
    for (key, known) in &listed.entries {
        if *key == prefix {
            continue;
        }
        let Some(id) = address::id(key).filter(|id| address::split(id).0 == dir.as_str()) else {
            tracing::debug!("an object that no path leads to is left out");
            continue;
        };
        match key.strip_suffix('/') {
            // Two things with one path: what is an object itself is shown.
            Some(path) if files.iter().any(|file| file == path) => {
                tracing::warn!("a directory has the name of a file beside it and is not shown");
            }
            Some(_) => nodes.push(dir_node(&id)),
            None => {
                if known.etag().is_none_or(|tag| bare_etag(tag).is_empty()) {
                    api.bare_lists.store(true, Ordering::Relaxed);
                }
                nodes.push(file_node(api, &id, known));
            }
        }
    }
    ask_seals(api, &mut nodes).await;
    let next = match &listed.next {
        None => {
            remembered(api, dir, &mut nodes);
            None
        }
        Some(after) => {
            let carried = carried_on(&files, after);
            Some(Cursor(json!([after, carried]).to_string()))
        }
    };
    Ok(Page { nodes, next })
}

/// The files that a directory could have the name of.
fn files_of(listed: &Listed, carried: &[String]) -> Vec<String> {
    let dirs: HashSet<&str> = listed
        .entries
        .iter()
        .filter_map(|(key, _)| key.strip_suffix('/'))
        .collect();
    let here = listed.entries.iter().map(|(key, _)| key.as_str());
    let here = here.filter(|key| !key.ends_with('/'));
    // Of those on this page only the ones that matter: here, or on the next one.
    let last = listed.next.as_deref().unwrap_or_default();
    let here = here.filter(|key| dirs.contains(key) || last.starts_with(key));
    let carried = carried.iter().map(String::as_str);
    carried.chain(here).map(str::to_owned).collect()
}

/// Those whose directories are still to come: what follows begins with them.
fn carried_on<'a>(files: &'a [String], after: &str) -> Vec<&'a str> {
    let files = files.iter().map(String::as_str);
    files.filter(|file| after.starts_with(file)).collect()
}

/// Directories that exist here only.
fn remembered(api: &Api, dir: &NodeId, nodes: &mut Vec<Node>) {
    for id in api.marks.remembered_in(dir.as_str()) {
        if !nodes.iter().any(|node| node.id.as_str() == id) {
            nodes.push(dir_node(&id));
        }
    }
}

/// Asks one object how it is encrypted before the first MD5 of a listing is believed: listings do not
/// tell, and ETags of what a key service encrypts look like MD5s (sheet generic_backends, 2.2).
async fn ask_seals(api: &Api, nodes: &mut [Node]) {
    if api.dialect.seals() == Seals::Unknown {
        let candidate = nodes.iter().find(|node| has_md5(node));
        let Some(candidate) = candidate.map(|node| address::key(node.id.as_str())) else {
            return;
        };
        if !api.asked_seals.swap(true, Ordering::Relaxed)
            && let Err(error) = api.store.stat(&candidate).await
        {
            tracing::debug!(%error, "an object could not be asked how it is encrypted");
        }
    }
    if api.dialect.seals() == Seals::Sealed {
        for node in nodes.iter_mut().filter(|node| has_md5(node)) {
            node.fingerprints = Fingerprints::new();
        }
    }
}

fn has_md5(node: &Node) -> bool {
    node.fingerprints.get(Kind::Md5).is_some()
}

/// One node. A file is asked for first: only where there is none, whether something is below.
pub async fn stat(api: &Api, id: &NodeId) -> Result<Node> {
    let id = id.as_str();
    if id == api.root.as_str() || id.is_empty() {
        // Also the question whether this bucket may be looked at.
        has_below(api, id).await?;
        return Ok(dir_node(id));
    }
    if let Some(file) = found(api, id).await? {
        return Ok(file);
    }
    match is_dir(api, id).await? {
        true => Ok(dir_node(id)),
        false => Err(DriveError::not_found(address::shown(id))),
    }
}

/// The file that has an id.
pub async fn found(api: &Api, id: &str) -> Result<Option<Node>> {
    match api.store.stat(&address::key(id)).await {
        Ok(known) => Ok(Some(file_node(api, id, &known))),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an id is a directory.
pub async fn is_dir(api: &Api, id: &str) -> Result<bool> {
    let prefix = address::prefix(id);
    if id == api.root.as_str() || api.marks.is_remembered(&prefix) {
        return Ok(true);
    }
    has_below(api, id).await
}

/// Whether there is an object below, the one that marks a directory included.
pub async fn has_below(api: &Api, id: &str) -> Result<bool> {
    let prefix = address::prefix(id);
    let listing = Listing {
        prefix: &prefix,
        recursive: true,
        limit: Some(1),
        after: None,
    };
    let listed = api.store.page(&listing).await?;
    if listed.entries.iter().any(|(key, _)| *key == prefix) {
        api.marks.marked(&prefix);
    }
    Ok(!listed.entries.is_empty())
}

/// # Errors
/// `Exists` when a file or a directory has the id.
pub async fn refuse_taken(api: &Api, id: &str) -> Result<()> {
    let (file, dir) = futures_util::future::try_join(found(api, id), is_dir(api, id)).await?;
    if file.is_none() && !dir {
        return Ok(());
    }
    Err(taken(id))
}

pub fn taken(id: &str) -> DriveError {
    let message = format!("{} exists already", address::shown(id));
    DriveError::new(ErrorKind::Exists, message)
}

/// # Errors
/// `NotFound` when there is no such directory. An object store would make it.
pub async fn need_dir(api: &Api, id: &str) -> Result<()> {
    let prefix = address::prefix(id);
    if id.is_empty() || api.marks.is_marked(&prefix) || is_dir(api, id).await? {
        return Ok(());
    }
    Err(DriveError::not_found(address::shown(id)))
}

/// A directory. Object stores know nothing of one.
pub fn dir_node(id: &str) -> Node {
    Node {
        id: NodeId::new(id),
        parent: NodeId::new(address::split(id).0),
        name: address::shown_name(id),
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

/// A file.
pub fn file_node(api: &Api, id: &str, known: &Metadata) -> Node {
    let mut fingerprints = Fingerprints::new();
    if let Some(md5) = md5_of(api, known.etag()) {
        listed(&mut fingerprints, Kind::Md5, &md5, Origin::Provider, "s3");
    }
    let raw = json!({
        "key": address::key(id),
        "etag": known.etag(),
        "version_id": known.version(),
        "content_type": known.content_type(),
    })
    .to_string();
    Node {
        id: NodeId::new(id),
        parent: NodeId::new(address::split(id).0),
        name: address::shown_name(id),
        kind: NodeKind::File,
        size: known.content_length(),
        modified: seconds_ms(known),
        created: 0,
        version: versions::of(api, &address::key(id), known),
        fingerprints,
        handle: None,
        raw: (raw.len() <= RAW).then(|| raw.into()),
    }
}

/// The MD5 in an ETag, as long as nothing says that it is none.
pub fn md5_of(api: &Api, etag: Option<&str>) -> Option<String> {
    if !api.etags_are_md5 || api.dialect.seals() == Seals::Sealed {
        return None;
    }
    md5_from_etag(&bare_etag(etag?))
}
