//! Search by name, lists by kind, and their counts (sheet sections 4.5, 4.6).

use serde_json::Value;

use super::api::Api;
use super::list::{Entry, ROOT, entry, fresh_dir_path};
use super::names;
use crate::drive::{
    Cursor, DriveError, ErrorKind, Found, FoundPage, MediaCount, MediaKind, NodeId, NodeKind,
    Result, decode, patience,
};
use crate::net::{Request, retry};

/// The kinds it sorts files into: all of them.
pub const KINDS: &[MediaKind] = MediaKind::ALL;

/// Longest text of a search in characters (section 4.6).
const KEY_MAX: usize = 30;

/// Hits per page of a search: fixed.
const SEARCH_PAGE: u64 = 500;

/// Entries per page of a typed list.
const TYPED_PAGE: u64 = 1000;

/// `category` of an entry (section 4.2).
const fn category(kind: MediaKind) -> u8 {
    match kind {
        MediaKind::Video => 1,
        MediaKind::Audio => 2,
        MediaKind::Image => 3,
        MediaKind::Document => 4,
        MediaKind::Application => 5,
        MediaKind::Other => 6,
        MediaKind::Bt => 7,
    }
}

/// How a kind is listed.
enum List {
    /// A method of its own: pages from 1, the array is `info`, nothing tells that more follows.
    Own(&'static str),
    /// `categorylist`: from an offset, the array is `list`, with `has_more` and `cursor`.
    ByCategory,
}

fn list_of(kind: MediaKind) -> List {
    match kind {
        MediaKind::Image => List::Own("imagelist"),
        MediaKind::Document => List::Own("doclist"),
        MediaKind::Video => List::Own("videolist"),
        MediaKind::Bt => List::Own("btlist"),
        _ => List::ByCategory,
    }
}

fn number(cursor: Option<&Cursor>, first: u64) -> Result<u64> {
    match cursor {
        None => Ok(first),
        Some(cursor) => cursor.0.parse().map_err(|_| {
            DriveError::new(ErrorKind::Invalid, format!("{:?} is no cursor", cursor.0))
        }),
    }
}

fn at(number: u64) -> Cursor {
    Cursor(number.to_string())
}

/// Where the mounted directory is and which directory is meant.
struct Place {
    root: String,
    dir: String,
}

async fn place(api: &Api, root: &NodeId, dir: &NodeId) -> Result<Place> {
    let root_path = fresh_dir_path(api, root).await?;
    let dir = if dir == root {
        root_path.clone()
    } else {
        fresh_dir_path(api, dir).await?
    };
    Ok(Place {
        root: root_path,
        dir,
    })
}

/// The names below the mounted directory; `None` for what lies elsewhere.
fn below(root: &str, path: &str) -> Option<Vec<String>> {
    let rest = match root {
        ROOT => path.strip_prefix('/')?,
        _ => path.strip_prefix(root)?.strip_prefix('/')?,
    };
    Some(rest.split('/').map(names::decode).collect())
}

fn found(entry: &Entry, root: &str) -> Option<Found> {
    let path = below(root, &entry.path)?;
    let node = entry.node(NodeId::new(""));
    Some(Found {
        path,
        id: node.id,
        kind: if entry.is_dir {
            NodeKind::Dir
        } else {
            NodeKind::File
        },
        size: node.size,
        modified: node.modified,
    })
}

/// The entries of an answer that lie in the mounted directory, and how many there were in all.
fn items(list: &Value, root: &str) -> (Vec<Found>, u64) {
    let list = decode::list(list);
    let mut items = Vec::with_capacity(list.len());
    for item in list {
        match entry(item, None) {
            Ok(entry) => items.extend(found(&entry, root)),
            Err(error) => tracing::warn!(%error, "an entry that makes no sense is left out"),
        }
    }
    (items, list.len() as u64)
}

/// `search`, with everything below `dir`.
///
/// # Errors
/// `Invalid` for an empty text and for one of more than 30 characters.
pub async fn search(
    api: &Api,
    root: &NodeId,
    dir: &NodeId,
    key: &str,
    cursor: Option<Cursor>,
) -> Result<FoundPage> {
    let key = key.trim();
    let length = key.chars().count();
    if length == 0 || length > KEY_MAX {
        return Err(DriveError::new(
            ErrorKind::Invalid,
            format!("Baidu searches for texts of 1 to {KEY_MAX} characters; this one has {length}"),
        ));
    }
    let page = number(cursor.as_ref(), 1)?;
    let place = retry(patience(), || place(api, root, dir)).await?;
    let request = api
        .get("search", "list", "/rest/2.0/xpan/file")
        .query("method", "search")
        .query("key", key)
        .query("dir", &place.dir)
        .query("recursion", "1")
        .query("page", &page.to_string())
        .query("num", &SEARCH_PAGE.to_string());
    let answer = api.call(request).await?;
    let (items, count) = items(&answer["list"], &place.root);
    // A page without entries ends it, whatever the flag says.
    let more = count > 0 && decode::flag(&answer["has_more"]);
    Ok(FoundPage {
        items,
        next: more.then(|| at(page.saturating_add(1))),
    })
}

/// The files of a kind below `dir`: its own list, or `categorylist`.
pub async fn media(
    api: &Api,
    root: &NodeId,
    dir: &NodeId,
    kind: MediaKind,
    cursor: Option<Cursor>,
) -> Result<FoundPage> {
    let place = retry(patience(), || place(api, root, dir)).await?;
    let asked = |request: Request| {
        request
            .query("parent_path", &place.dir)
            .query("recursion", "1")
    };
    match list_of(kind) {
        List::Own(method) => {
            let page = number(cursor.as_ref(), 1)?;
            let request = api.get("typed_list", "list", "/rest/2.0/xpan/file");
            let request = asked(request.query("method", method))
                .query("page", &page.to_string())
                .query("num", &TYPED_PAGE.to_string());
            let answer = api.call(request).await?;
            let (items, count) = items(&answer["info"], &place.root);
            // A page that is not full is the last one; one cut short would hide the rest.
            let more = count >= TYPED_PAGE / 2;
            Ok(FoundPage {
                items,
                next: more.then(|| at(page.saturating_add(1))),
            })
        }
        List::ByCategory => {
            let start = number(cursor.as_ref(), 0)?;
            let request = api.get("typed_list", "list", "/rest/2.0/xpan/multimedia");
            let request = asked(request.query("method", "categorylist"))
                .query("category", &category(kind).to_string())
                .query("show_dir", "0")
                .query("start", &start.to_string())
                .query("limit", &TYPED_PAGE.to_string())
                .query("order", "time")
                .query("desc", "1");
            let answer = api.call(request).await?;
            let (items, count) = items(&answer["list"], &place.root);
            let next = decode::unsigned(&answer["cursor"]).filter(|next| *next > start);
            let more = count > 0 && decode::flag(&answer["has_more"]);
            Ok(FoundPage {
                items,
                next: more.then(|| at(next.unwrap_or(start.saturating_add(count)))),
            })
        }
    }
}

/// How many files of each kind are below `dir`: one call per kind.
pub async fn counts(api: &Api, root: &NodeId, dir: &NodeId) -> Result<Vec<MediaCount>> {
    let place = retry(patience(), || place(api, root, dir)).await?;
    let mut counts = Vec::with_capacity(KINDS.len());
    for kind in KINDS {
        let request = api
            .get("category_info", "other", "/api/categoryinfo")
            .query("category", &category(*kind).to_string())
            .query("parent_path", &place.dir)
            .query("recursion", "1");
        counts.push(count_of(*kind, &api.call(request).await?)?);
    }
    Ok(counts)
}

/// The counts are below `info` in the official text and below `count` in a client that reads them;
/// in either `count` and `total` are the same number (section 4.5).
fn count_of(kind: MediaKind, answer: &Value) -> Result<MediaCount> {
    let key = category(kind).to_string();
    let told = ["info", "count"].into_iter().find_map(|field| {
        let told = &answer[field][key.as_str()];
        let count = ["count", "total"]
            .into_iter()
            .find_map(|name| decode::unsigned(&told[name]))
            .or_else(|| decode::unsigned(told))?;
        Some((count, decode::unsigned(&told["size"])))
    });
    // A kind that is not there at all: an empty object, or no object.
    let empty = ["info", "count"].into_iter().any(|field| {
        let told = &answer[field];
        told.as_object().is_some_and(serde_json::Map::is_empty)
            || told.as_array().is_some_and(Vec::is_empty)
    });
    let (count, size) = match told {
        Some(told) => told,
        None if empty => (0, Some(0)),
        None => return Err(DriveError::bad_answer("category_info", "no count")),
    };
    Ok(MediaCount { kind, count, size })
}

#[cfg(test)]
#[path = "find_tests.rs"]
mod tests;
