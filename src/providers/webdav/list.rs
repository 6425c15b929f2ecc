//! Listings, single nodes, and the space of the account.

use serde_json::json;

use super::address::{self, Segments};
use super::api::Api;
use super::names;
use super::propfind::{self, Ask};
use super::xml::{Entry, Props};
use crate::drive::{Cursor, DriveError, Node, NodeId, NodeKind, Page, Quota, Result, listed};
use crate::fingerprint::{Fingerprints, Kind, Origin};

/// Entries of one answer: all there are. Only Jianguoyun is known to stop, at 750.
pub const PAGE_SIZE: u32 = 0;

/// The longest record that is kept of a node.
const RAW: usize = 8 << 10;

/// One answer of a directory.
pub async fn page(api: &Api, dir: &NodeId, cursor: Option<Cursor>) -> Result<Page> {
    let url = match cursor {
        None => api.base.url(dir.as_str(), true),
        Some(Cursor(url)) => {
            let same = reqwest::Url::parse(&url).is_ok_and(|url| api.base.is_same_origin(&url));
            if !same {
                return Err(DriveError::bad_answer("list", "a page of another server"));
            }
            url
        }
    };
    let answer = propfind::ask(api, "list", &url, Ask::Node, true).await?;
    let next = answer.next.filter(|next| *next != url).map(Cursor);
    let listing = arrange(api.base.segments_of(dir.as_str()), answer.entries);
    if let Some(own) = &listing.own {
        if own.status == Some(404) {
            return Err(DriveError::not_found(shown(dir)));
        }
        if own.props.collection == Some(false) {
            return Err(DriveError::not_found(format!(
                "the directory {}",
                shown(dir)
            )));
        }
    }
    let nodes = listing
        .children
        .iter()
        .filter_map(|(name, entry)| node_of(dir.as_str(), name, entry))
        .collect();
    Ok(Page { nodes, next })
}

/// A listing, told apart.
#[derive(Debug, Default)]
struct Listing {
    own: Option<Entry>,
    children: Vec<(Vec<u8>, Entry)>,
}

/// Tells the directory itself from what is in it. Behind a proxy the paths of an answer may begin
/// otherwise than those that were asked for: then the one that all others are in is the directory.
fn arrange(asked: Segments, entries: Vec<Entry>) -> Listing {
    let mut listing = Listing::default();
    let mut strange = Vec::new();
    for entry in entries {
        let Some((mut path, _)) = address::href(&entry.href) else {
            tracing::warn!("an entry with a path that is none was left out of a listing");
            continue;
        };
        if path == asked {
            listing.own = Some(entry);
        } else if path.len() == asked.len() + 1
            && path.starts_with(&asked)
            && let Some(name) = path.pop()
        {
            listing.children.push((name, entry));
        } else {
            strange.push((path, entry));
        }
    }
    if listing.own.is_some() || !listing.children.is_empty() {
        return listing;
    }
    let Some(top) = strange
        .iter()
        .map(|(path, _)| path)
        .min_by_key(|path| path.len())
    else {
        return listing;
    };
    let top = top.clone();
    for (mut path, entry) in strange {
        if path == top {
            listing.own = Some(entry);
        } else if path.len() == top.len() + 1
            && path.starts_with(&top)
            && let Some(name) = path.pop()
        {
            listing.children.push((name, entry));
        }
    }
    listing
}

/// An entry of a directory as a node; `None` for what is not to be seen.
fn node_of(parent: &str, name: &[u8], entry: &Entry) -> Option<Node> {
    if let Some(status) = entry.status.filter(|status| !(200..300).contains(status)) {
        tracing::debug!(status, "an entry that cannot be looked at");
        return None;
    }
    if std::str::from_utf8(name).is_ok_and(names::is_temporary) {
        return None;
    }
    Some(node(
        NodeId::new(address::child(parent, name)),
        NodeId::new(parent),
        address::shown(name),
        entry,
    ))
}

/// One node.
pub async fn stat(api: &Api, id: &NodeId) -> Result<Node> {
    let entry = look(api, id.as_str()).await?;
    let (parent, _) = address::split(id.as_str());
    let name = match id.as_str() {
        "" => String::new(),
        id => address::shown(&address::last(id)),
    };
    Ok(node(id.clone(), NodeId::new(parent), name, &entry))
}

/// The properties of one resource.
pub async fn look(api: &Api, id: &str) -> Result<Entry> {
    // Only the top is known to be a directory. Servers that want the slash say so by a redirect.
    let url = api.base.url(id, id.is_empty());
    look_at(api, "stat", &url, Ask::Node).await
}

/// The properties of whatever is at an address.
pub async fn look_at(api: &Api, op: &'static str, url: &str, ask: Ask) -> Result<Entry> {
    let answer = propfind::ask(api, op, url, ask, false).await?;
    let entry = answer
        .entries
        .into_iter()
        .next()
        .ok_or_else(|| DriveError::bad_answer(op, "an answer about nothing"))?;
    match entry.status {
        Some(404 | 410) => Err(DriveError::not_found("what was asked for")),
        _ => Ok(entry),
    }
}

/// Whether nothing has a name yet.
pub async fn is_free(api: &Api, id: &str) -> Result<bool> {
    match look(api, id).await {
        Ok(_) => Ok(false),
        Err(error) if error.kind == crate::drive::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

fn node(id: NodeId, parent: NodeId, name: String, entry: &Entry) -> Node {
    let props = &entry.props;
    let is_dir = is_dir(entry);
    let mut fingerprints = Fingerprints::new();
    if !is_dir && let Some(checksums) = &props.checksums {
        learn(&mut fingerprints, checksums);
    }
    let raw = json!({
        "href": entry.href,
        "etag": props.etag,
        "oc:fileid": props.file_id,
        "oc:permissions": props.permissions,
        "oc:checksums": props.checksums,
    })
    .to_string();
    Node {
        id,
        parent,
        name,
        kind: if is_dir {
            NodeKind::Dir
        } else {
            NodeKind::File
        },
        size: if is_dir { 0 } else { size(props) },
        modified: props.modified.as_deref().and_then(time_ms).unwrap_or(0),
        created: props.created.as_deref().and_then(time_ms).unwrap_or(0),
        version: version(props),
        fingerprints,
        handle: None,
        raw: (raw.len() <= RAW).then(|| raw.into()),
    }
}

/// Whether it is a directory. Where nothing is said of its type the slash decides.
pub fn is_dir(entry: &Entry) -> bool {
    entry
        .props
        .collection
        .unwrap_or_else(|| entry.href.trim_end().ends_with('/'))
}

/// Bytes of a file.
pub fn size(props: &Props) -> u64 {
    props.length.or(props.size).unwrap_or(0)
}

/// What changes when the bytes do: the ETag, else time and size. Apache calls the tag of a fresh
/// file weak and the same tag strong a second later, and wsgidav leaves out the quotes: both are
/// one version.
pub fn version(props: &Props) -> String {
    match props.etag.as_deref().map(bare_etag) {
        Some(tag) if !tag.is_empty() => tag.to_owned(),
        _ => {
            let time = props.modified.as_deref().and_then(time_ms).unwrap_or(0);
            format!("{BY_TIME}{time}-{}", size(props))
        }
    }
}

/// Begins a version that is made of time and size.
pub const BY_TIME: char = '~';

/// An ETag without `W/` and quotes.
pub fn bare_etag(tag: &str) -> &str {
    let tag = tag.trim();
    let tag = tag
        .strip_prefix("W/")
        .or_else(|| tag.strip_prefix("w/"))
        .unwrap_or(tag);
    tag.trim_matches('"')
}

/// What makes a file the same one after a MOVE: the server's own number of it, else its version.
pub fn identity(props: &Props) -> String {
    match &props.file_id {
        Some(id) => format!("id {id}"),
        None => version(props),
    }
}

/// Milliseconds of a time as HTTP or XML spells it.
pub fn time_ms(text: &str) -> Option<i64> {
    let text = text.trim();
    let http = jiff::fmt::rfc2822::DateTimeParser::new();
    let time = http
        .parse_timestamp(text)
        .ok()
        .or_else(|| text.parse::<jiff::Timestamp>().ok())?;
    Some(time.as_millisecond())
}

/// `SHA1:... MD5:... ADLER32:...`. Nextcloud repeats what an uploader said (4.3, item 9), and who
/// computed it cannot be seen.
fn learn(into: &mut Fingerprints, checksums: &str) {
    for one in checksums.split_whitespace() {
        let Some((kind, value)) = one.split_once(':') else {
            continue;
        };
        let kind = match kind.to_ascii_uppercase().as_str() {
            "SHA1" => Kind::Sha1,
            "MD5" => Kind::Md5,
            "SHA256" => Kind::Sha256,
            _ => continue,
        };
        listed(into, kind, value, Origin::UploaderClaim, "webdav");
    }
}

/// The space below the top of the profile. Servers without quotas leave the properties out or empty,
/// and Nextcloud says "no limit" by a negative number.
pub async fn quota(api: &Api, root: &NodeId) -> Result<Quota> {
    let url = api.base.url(root.as_str(), true);
    let entry = look_at(api, "quota", &url, Ask::Quota).await?;
    let number = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
    let used = number(entry.props.used).unwrap_or(0);
    Ok(Quota {
        total: number(entry.props.available).map_or(0, |free| free.saturating_add(used)),
        used,
    })
}

/// An id for messages.
pub fn shown(id: &NodeId) -> String {
    let path = percent_encoding::percent_decode_str(id.as_str()).decode_utf8_lossy();
    format!("/{path}")
}

#[cfg(test)]
#[path = "tests/listing.rs"]
mod tests;
