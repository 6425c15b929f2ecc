//! A node as the catalog hands it out, and as it is stored.

use std::fmt;
use std::sync::Arc;

use rusqlite::types::Type;
use serde::{Deserialize, Serialize};

use crate::drive::{Node, NodeId, NodeKind};
use crate::fingerprint::{Fingerprints, Kind, Known, Origin};

/// Our own name of a node: more than 0, below 2^53 for centuries, never used twice. It survives
/// a rename, a move and a change of the provider's id; inode numbers are derived from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeKey(pub u64);

impl fmt::Display for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A node the catalog knows. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Our key.
    pub key: NodeKey,
    /// The directory it is in; `None` for the root of a profile.
    pub parent: Option<NodeKey>,
    /// The profile it belongs to.
    pub profile: Arc<str>,
    /// What the provider said last, with what was learned about this version since. `raw` is
    /// left out to keep memory small: ask [`super::Catalog::raw`].
    pub node: Arc<Node>,
    /// Local attributes with the version they belong to.
    pub(super) attrs: Option<Arc<KeptAttrs>>,
    /// Whether a provider's record is stored.
    pub(super) has_raw: bool,
}

/// Attributes of a node that its drive cannot store, kept here. `None`: never set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalAttrs {
    /// Time of the last change, nanoseconds since the epoch.
    pub mtime_ns: Option<i64>,
    /// Time of the last access, nanoseconds since the epoch.
    pub atime_ns: Option<i64>,
    /// Permission bits.
    pub mode: Option<u32>,
}

/// Local attributes with the version of the node they were set for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptAttrs {
    pub(super) version: String,
    pub(super) attrs: LocalAttrs,
}

impl Entry {
    /// Bytes of memory, roughly.
    pub(super) fn weight(&self) -> usize {
        let node = &self.node;
        let facts: usize = node
            .fingerprints
            .iter()
            .map(|(_, known)| 96 + known.value.len())
            .sum();
        let handle = node.handle.as_ref().map_or(0, String::len);
        400 + node.name.len() + node.version.len() + node.id.as_str().len() + handle + facts
    }
}

/// A node as a row: the provider's id is the parent's id followed by `node.id` when `relative`,
/// so that renaming a directory of a path-addressed drive touches one row. `node.parent` is not
/// stored: it is the parent's id.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) key: NodeKey,
    pub(super) parent: Option<NodeKey>,
    pub(super) profile: Option<Arc<str>>,
    pub(super) relative: bool,
    pub(super) node: Node,
    pub(super) attrs: Option<Arc<KeptAttrs>>,
    pub(super) has_raw: bool,
    pub(super) raw: RawChange,
}

/// What happens to the stored provider's record when a row is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RawChange {
    /// It stays as it is.
    Keep,
    /// It becomes this.
    Set(Option<Arc<str>>),
}

/// The columns of [`Row::read`], in its order.
pub(super) const COLUMNS: &str = "key, parent, profile, id, relative, name, kind, size, modified, \
     created, version, handle, fingerprints, attrs, has_raw";

impl Row {
    /// The row of `entry` in the directory `parent`.
    pub(super) fn of(entry: &Entry, parent: Option<&Entry>, raw: RawChange) -> Row {
        let mut node = (*entry.node).clone();
        let suffix = parent
            .and_then(|parent| relative_to(node.id.as_str(), parent.node.id.as_str()))
            .map(NodeId::new);
        let relative = suffix.is_some();
        if let Some(suffix) = suffix {
            node.id = suffix;
        }
        Row {
            key: entry.key,
            parent: entry.parent,
            profile: entry.parent.is_none().then(|| entry.profile.clone()),
            relative,
            node,
            attrs: entry.attrs.clone(),
            has_raw: entry.has_raw,
            raw,
        }
    }

    /// The entry of this row; `parent` is the entry of its directory.
    pub(super) fn into_entry(self, parent: Option<&Entry>) -> Entry {
        let mut node = self.node;
        let profile = match parent {
            Some(parent) => {
                if self.relative {
                    node.id = NodeId::new(format!("{}{}", parent.node.id, node.id));
                }
                node.parent = parent.node.id.clone();
                parent.profile.clone()
            }
            None => {
                node.parent = node.id.clone();
                self.profile.unwrap_or_default()
            }
        };
        Entry {
            key: self.key,
            parent: self.parent,
            profile,
            node: Arc::new(node),
            attrs: self.attrs,
            has_raw: self.has_raw,
        }
    }

    /// Reads [`COLUMNS`].
    pub(super) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
        let id: String = row.get(3)?;
        let id = NodeId::new(id);
        let facts: Option<String> = row.get(12)?;
        let attrs: Option<String> = row.get(13)?;
        let bad = |column, error: serde_json::Error| {
            rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
        };
        Ok(Row {
            key: NodeKey(unsigned(row.get(0)?)),
            parent: row.get::<_, Option<i64>>(1)?.map(|n| NodeKey(unsigned(n))),
            profile: row.get::<_, Option<String>>(2)?.map(Arc::from),
            relative: row.get(4)?,
            node: Node {
                parent: id.clone(),
                id,
                name: row.get(5)?,
                kind: match row.get(6)? {
                    0i64 => NodeKind::Dir,
                    _ => NodeKind::File,
                },
                size: unsigned(row.get(7)?),
                modified: row.get(8)?,
                created: row.get(9)?,
                version: row.get(10)?,
                fingerprints: match facts {
                    Some(text) => decode(&text).map_err(|error| bad(12, error))?,
                    None => Fingerprints::new(),
                },
                handle: row.get(11)?,
                raw: None,
            },
            attrs: match attrs {
                Some(text) => serde_json::from_str(&text).map_err(|error| bad(13, error))?,
                None => None,
            },
            has_raw: row.get(14)?,
            raw: RawChange::Keep,
        })
    }
}

/// The rest of `id` after the path `parent`, when it is a path below it.
pub fn relative_to<'a>(id: &'a str, parent: &str) -> Option<&'a str> {
    let rest = id.strip_prefix(parent)?;
    (!rest.is_empty() && (parent.ends_with('/') || rest.starts_with('/'))).then_some(rest)
}

/// SQLite's integers are signed.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The inverse of [`signed`].
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Fingerprints as the column has them; `None` when there are none.
pub(super) fn encode(all: &Fingerprints) -> Option<String> {
    let facts: Vec<_> = all
        .iter()
        .map(|(kind, k)| {
            (
                kind.to_string(),
                &*k.value,
                k.origin.code(),
                &*k.provider,
                k.at,
            )
        })
        .collect();
    if facts.is_empty() {
        return None;
    }
    serde_json::to_string(&facts).ok()
}

fn decode(text: &str) -> Result<Fingerprints, serde_json::Error> {
    let facts: Vec<(String, String, u8, String, i64)> = serde_json::from_str(text)?;
    // A kind that a later version knew is skipped.
    Ok(facts
        .into_iter()
        .filter_map(|(kind, value, origin, provider, at)| {
            let known = Known {
                value: value.into(),
                origin: Origin::from_code(origin),
                provider: provider.into(),
                at,
            };
            Some((Kind::parse(&kind)?, known))
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_round_trip() {
        let mut all = Fingerprints::new();
        for (kind, origin) in [
            (Kind::Md5, Origin::Computed),
            (Kind::Gcid, Origin::UploaderClaim),
            (Kind::SliceMd5 { slice: 10 << 20 }, Origin::Provider),
            (Kind::Sha1, Origin::UserClaim),
        ] {
            let known = Known {
                value: format!("v-{}\"", kind.name()).into(),
                origin,
                provider: "p".into(),
                at: -5,
            };
            all.learn(kind, known);
        }
        assert_eq!(decode(&encode(&all).unwrap()).unwrap(), all);
        assert_eq!(encode(&Fingerprints::new()), None);
    }

    #[test]
    fn only_paths_are_relative() {
        assert_eq!(relative_to("/a/b", "/a"), Some("/b"));
        assert_eq!(relative_to("/a", "/"), Some("a"));
        assert_eq!(relative_to("dir/x", "dir/"), Some("x"));
        assert_eq!(relative_to("/ab", "/a"), None);
        assert_eq!(relative_to("123", "12"), None);
        assert_eq!(relative_to("0", "0"), None);
    }
}
