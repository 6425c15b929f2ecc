//! Listings, stat, and where nodes are (sheet section 4).

use std::collections::{HashMap, VecDeque};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::answer::{Repeat, is_forbidden, kind_of};
use super::api::{Api, ROOT};
use super::entry::{Entry, Kind, TARGET, link_type, segment};
use super::{facts, names, times};
use crate::drive::{Cursor, DriveError, ErrorKind, Node, NodeId, NodeKind, Page, Result, decode};
use crate::fingerprint::Fingerprints;

/// The documented most.
pub const PAGE_SIZE: u32 = 200;
/// Tokens in one question about metadata (inferred, section 4).
const BATCH: usize = 200;
/// Histories asked for at a time.
const PARALLEL: usize = 8;
/// Listings of one walk through the tree.
const WALK: u32 = 300;
/// After a walk that ended before the tree did no other one begins for this long.
const WALK_PAUSE_MS: i64 = 600_000;

/// In which order entries come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// For whole listings: what changes meanwhile keeps its place.
    Created,
    /// For one entry that was probably just changed.
    NewestFirst,
}

/// One page of entries, and where the next one starts.
pub async fn entries(
    api: &Api,
    dir: &NodeId,
    order: Order,
    cursor: Option<&Cursor>,
) -> Result<(Vec<Entry>, Option<Cursor>)> {
    if link_type(dir).is_some() {
        return Err(DriveError::not_found(format!("directory {dir}")));
    }
    let folder = if dir.as_str() == ROOT {
        ""
    } else {
        dir.as_str()
    };
    let (by, direction) = match order {
        Order::Created => ("CreatedTime", "ASC"),
        Order::NewestFirst => ("EditedTime", "DESC"),
    };
    let mut request = api
        .get("list", "list", "/drive/v1/files")
        .query("folder_token", folder)
        .query("page_size", &PAGE_SIZE.to_string())
        .query("order_by", by)
        .query("direction", direction);
    if let Some(cursor) = cursor {
        request = request.query("page_token", &cursor.0);
    }
    let answer = api.call(Repeat::Safe, request).await?;
    let next = decode::nonempty(&answer["next_page_token"])
        .filter(|_| decode::flag(&answer["has_more"]))
        .map(Cursor);
    if next.is_some() && next.as_ref() == cursor {
        let what = "the listing does not move on";
        return Err(DriveError::bad_answer("list", what));
    }
    let entries: Vec<Entry> = decode::list(&answer["files"])
        .iter()
        .filter_map(Entry::decode)
        .collect();
    for entry in &entries {
        api.places.insert(entry.id(), dir.clone());
    }
    Ok((entries, next))
}

/// Every entry of a directory.
pub async fn all(api: &Api, dir: &NodeId) -> Result<Vec<Entry>> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let (page, next) = entries(api, dir, Order::Created, cursor.as_ref()).await?;
        all.extend(page);
        match next {
            Some(next) => cursor = Some(next),
            None => return Ok(all),
        }
    }
}

pub async fn page(api: &Api, dir: &NodeId, cursor: Option<Cursor>) -> Result<Page> {
    let (entries, next) = entries(api, dir, Order::Created, cursor.as_ref()).await?;
    let nodes = nodes(api, dir, entries).await?;
    Ok(Page { nodes, next })
}

/// Entries as nodes: what the listing does not tell is asked for, in parallel, unless it is known.
async fn nodes(api: &Api, dir: &NodeId, entries: Vec<Entry>) -> Result<Vec<Node>> {
    let metas = metas_of_links(api, &entries).await?;
    let metas = &metas;
    let made: Vec<Option<Node>> = stream::iter(entries)
        .map(|entry| async move { node(api, dir, &entry, metas).await })
        .buffered(PARALLEL)
        .try_collect()
        .await?;
    Ok(made.into_iter().flatten().collect())
}

/// What `metas/batch_query` tells of an entry.
struct Meta {
    title: String,
    url: String,
    created: i64,
    modified: i64,
}

/// What is known of what links lead to, by token. One call for a whole page.
async fn metas_of_links(api: &Api, entries: &[Entry]) -> Result<HashMap<String, Meta>> {
    let wanted: Vec<(String, String)> = entries
        .iter()
        .filter_map(|entry| match &entry.kind {
            Kind::Shortcut(kind, token) if !token.is_empty() => Some((kind.clone(), token.clone())),
            Kind::Document(kind) if entry.url.is_empty() => {
                Some((kind.clone(), entry.token.clone()))
            }
            _ => None,
        })
        .collect();
    let mut known = HashMap::new();
    for some in wanted.chunks(BATCH) {
        match metas(api, some).await {
            Ok(some) => known.extend(some),
            // A link without its address is still shown.
            Err(error)
                if matches!(
                    error.kind,
                    ErrorKind::Auth | ErrorKind::Invalid | ErrorKind::NotFound
                ) =>
            {
                tracing::debug!(%error, "links are shown without their addresses");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(known)
}

async fn metas(api: &Api, wanted: &[(String, String)]) -> Result<HashMap<String, Meta>> {
    let docs: Vec<Value> = wanted
        .iter()
        .map(|(kind, token)| json!({ "doc_token": token, "doc_type": kind }))
        .collect();
    let request = api.post("metas", "meta", "/drive/v1/metas/batch_query");
    let request = Api::json(request, &json!({ "request_docs": docs, "with_url": true }));
    let answer = api.call(Repeat::Safe, request).await?;
    if let ([_], [failed]) = (wanted, decode::list(&answer["failed_list"])) {
        // Asked about one entry: what is said about it is the answer.
        let code = decode::integer(&failed["code"]).unwrap_or(0);
        let kind = kind_of(code).unwrap_or(ErrorKind::NotFound);
        return Err(DriveError::new(kind, "metas: the entry is not told").code(code.to_string()));
    }
    let told = decode::list(&answer["metas"]).iter().filter_map(|meta| {
        let token = decode::nonempty(&meta["doc_token"])?;
        let meta = Meta {
            title: decode::text(&meta["title"]),
            url: decode::text(&meta["url"]),
            created: times::millis(&meta["create_time"]),
            modified: times::millis(&meta["latest_modify_time"]),
        };
        Some((token, meta))
    });
    Ok(told.collect())
}

/// An entry as a node; `None` when it went away meanwhile.
async fn node(
    api: &Api,
    dir: &NodeId,
    entry: &Entry,
    metas: &HashMap<String, Meta>,
) -> Result<Option<Node>> {
    let url_of = |token: &str| metas.get(token).map_or("", |meta| meta.url.as_str());
    let facts = match &entry.kind {
        Kind::Folder => return Ok(Some(entry.folder(dir))),
        Kind::Document(_) if entry.url.is_empty() => {
            return Ok(Some(entry.link(dir, url_of(&entry.token))));
        }
        Kind::Document(_) => return Ok(Some(entry.link(dir, &entry.url))),
        Kind::File => facts::of(api, &entry.token, entry.modified, entry.size).await,
        Kind::Shortcut(kind, token) => match metas.get(token) {
            Some(meta) if kind == "file" => {
                let told = facts::of(api, token, meta.modified, None).await;
                let handle = Some(format!("{TARGET}{token}"));
                return match told {
                    Ok(facts) => Ok(Some(entry.node(dir, facts.size, facts.version, handle))),
                    Err(error) if is_forbidden(&error) || error.kind == ErrorKind::NotFound => {
                        Ok(Some(entry.link(dir, &meta.url)))
                    }
                    Err(error) => Err(error),
                };
            }
            _ => return Ok(Some(entry.link(dir, url_of(token)))),
        },
    };
    match facts {
        Ok(facts) => Ok(Some(entry.node(dir, facts.size, facts.version, None))),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The one entry with this id, when it is in `dir`.
async fn find(api: &Api, dir: &NodeId, id: &NodeId) -> Result<Option<Entry>> {
    let mut cursor = None;
    loop {
        let (page, next) = entries(api, dir, Order::NewestFirst, cursor.as_ref()).await?;
        if let Some(entry) = page.into_iter().find(|entry| entry.id() == *id) {
            return Ok(Some(entry));
        }
        match next {
            Some(next) => cursor = Some(next),
            None => return Ok(None),
        }
    }
}

/// Refuses a name that somebody other than `own` has in `dir`: the service makes a second entry
/// of it (section 9).
pub async fn refuse_taken(api: &Api, dir: &NodeId, name: &str, own: Option<&NodeId>) -> Result<()> {
    let taken = all(api, dir)
        .await?
        .iter()
        .any(|entry| names::means(entry, name, true) && Some(&entry.id()) != own);
    match taken {
        true => Err(DriveError::new(
            ErrorKind::Exists,
            format!("{name:?} exists already"),
        )),
        false => Ok(()),
    }
}

/// One node, fresh. No call tells the directory of a file: it is looked for where it was seen
/// last, and when it is not there any more, in the whole tree.
pub async fn stat(api: &Api, id: &NodeId) -> Result<Node> {
    if *id == api.root {
        return Ok(root(api));
    }
    if let Some(dir) = api.places.get(id) {
        match find(api, &dir, id).await {
            Ok(Some(entry)) => return shown(api, &dir, entry).await,
            Ok(None) => {}
            Err(error) if error.kind == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        api.places.invalidate(id);
    }
    // Most ids that are not where they were are gone: that is cheaper to learn than a walk.
    let still = existing(api, id).await?;
    match walk(api, id).await? {
        Walk::Found(dir, entry) => shown(api, &dir, entry).await,
        Walk::Nowhere => Err(DriveError::not_found(format!("node {id} below the root"))),
        Walk::GaveUp => match still {
            Some((kind, meta)) => unplaced(api, id, kind, meta).await,
            None => Err(DriveError::new(
                ErrorKind::Provider,
                format!("the directory of {id} was not found"),
            )),
        },
    }
}

async fn shown(api: &Api, dir: &NodeId, entry: Entry) -> Result<Node> {
    let mut nodes = nodes(api, dir, vec![entry]).await?;
    nodes
        .pop()
        .ok_or_else(|| DriveError::not_found("the node that was just listed"))
}

/// The top directory is no entry of any listing.
fn root(api: &Api) -> Node {
    Node {
        id: api.root.clone(),
        parent: api.root.clone(),
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

/// Whether a file or directory of this id is anywhere, and what is known of it without its place.
/// Of what is shown as a link nothing is told.
async fn existing(api: &Api, id: &NodeId) -> Result<Option<(NodeKind, Meta)>> {
    if link_type(id).is_some() {
        return Ok(None);
    }
    let token = id.as_str();
    match metas(api, &[("file".to_owned(), token.to_owned())]).await {
        Ok(mut told) => {
            if let Some(meta) = told.remove(token) {
                return Ok(Some((NodeKind::File, meta)));
            }
        }
        Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Invalid) => {}
        Err(error) => return Err(error),
    }
    let path = format!("/drive/explorer/v2/folder/{}/meta", segment(token));
    let answer = match api
        .call(Repeat::Safe, api.get("folder_meta", "meta", &path))
        .await
    {
        Err(error) if error.kind == ErrorKind::Invalid => {
            return Err(DriveError::not_found(format!("node {id}")));
        }
        other => other?,
    };
    let meta = Meta {
        title: decode::text(&answer["name"]),
        url: String::new(),
        created: 0,
        modified: 0,
    };
    Ok(Some((NodeKind::Dir, meta)))
}

/// A node whose directory could not be found in a large tree. It is said to be at the top: whoever
/// moves it from there to where it is does no harm (section 4).
async fn unplaced(api: &Api, id: &NodeId, kind: NodeKind, meta: Meta) -> Result<Node> {
    let kind = match kind {
        NodeKind::Dir => "folder",
        NodeKind::File => "file",
    };
    let entry = Entry::decode(&json!({
        "token": id.as_str(), "type": kind, "name": meta.title,
        "created_time": meta.created.to_string(), "modified_time": meta.modified.to_string(),
    }));
    let entry = entry.ok_or_else(|| DriveError::not_found(format!("node {id}")))?;
    shown(api, &api.root, entry).await
}

/// How a walk ended.
enum Walk {
    Found(NodeId, Entry),
    Nowhere,
    GaveUp,
}

/// Looks for `id` from the top downwards. Everything seen on the way is remembered, so that the
/// next one that is asked for is found by one call.
async fn walk(api: &Api, id: &NodeId) -> Result<Walk> {
    let mut gave_up = api.walking.lock().await;
    if let Some(dir) = api.places.get(id)
        && let Some(entry) = find(api, &dir, id).await?
    {
        // Somebody else's walk came by.
        return Ok(Walk::Found(dir, entry));
    }
    if api.now_ms() < gave_up.saturating_add(WALK_PAUSE_MS) {
        return Ok(Walk::GaveUp);
    }
    let mut left = VecDeque::from([api.root.clone()]);
    let mut calls = 0;
    while let Some(dir) = left.pop_front() {
        let mut cursor = None;
        loop {
            if calls >= WALK {
                *gave_up = api.now_ms();
                return Ok(Walk::GaveUp);
            }
            calls += 1;
            let (page, next) = match entries(api, &dir, Order::Created, cursor.as_ref()).await {
                Ok(page) => page,
                // Removed meanwhile, or not ours to see.
                Err(error) if error.kind == ErrorKind::NotFound || is_forbidden(&error) => break,
                Err(error) => return Err(error),
            };
            for entry in page {
                if entry.id() == *id {
                    return Ok(Walk::Found(dir, entry));
                }
                if entry.kind == Kind::Folder {
                    left.push_back(entry.id());
                }
            }
            match next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
    }
    Ok(Walk::Nowhere)
}
