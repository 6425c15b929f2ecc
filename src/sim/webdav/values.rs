//! The properties of an entry (RFC 4918, 15; RFC 4331; sheet, 4.3 point 2).

use serde_json::Value;

use super::super::clock::{rfc1123, rfc3339};
use super::super::tree::{Node, Tree};
use super::checksums;
use super::gate::Ctx;
use super::locks;
use super::rules;
use super::xml::{DAV, OC, Writer, escape};

/// Namespace and name of a property.
pub(super) type Key = (String, String);

/// What a server tells of its own accord.
const PLAIN: &[&str] = &[
    "resourcetype",
    "displayname",
    "creationdate",
    "getlastmodified",
    "getcontentlength",
    "getcontenttype",
    "getetag",
    "supportedlock",
    "lockdiscovery",
];

/// Length that lighttpd tells of a directory.
const DIR_LENGTH: u64 = 4096;

/// An entry of an answer.
pub(super) struct Row {
    /// The entry.
    pub node: Node,
    /// Its path inside the account.
    pub path: String,
}

/// The properties that a client set, by name.
pub(super) fn dead(node: &Node) -> Vec<(Key, String)> {
    let kept = node.extra.get("dead").and_then(Value::as_object);
    let all = kept.into_iter().flatten();
    all.filter_map(|(key, value)| {
        let (ns, name) = key.split_once('\n')?;
        let value = value.as_str()?.to_owned();
        Some(((ns.to_owned(), name.to_owned()), value))
    })
    .collect()
}

/// Whether a property is the server's own: nobody sets it.
pub(super) fn is_live((ns, name): &Key) -> bool {
    match ns.as_str() {
        DAV => PLAIN.contains(&name.as_str()) || name.starts_with("quota-"),
        OC => matches!(
            name.as_str(),
            "checksums" | "fileid" | "id" | "permissions" | "size"
        ),
        _ => false,
    }
}

/// Bytes of everything below a directory.
fn size_below(tree: &Tree, id: &str) -> u64 {
    tree.children(id)
        .map(|child| match child.is_dir() {
            true => size_below(tree, &child.id),
            false => child.size(),
        })
        .fold(0, u64::saturating_add)
}

/// A number for a property.
fn number(value: impl ToString) -> Option<String> {
    Some(value.to_string())
}

impl Ctx {
    /// Names of what an entry has without being asked for more (`allprop`): quota and the
    /// properties of ownCloud come on explicit request only (sheet, 4.1).
    pub(super) fn plain_names(&self, node: &Node) -> Vec<Key> {
        let own = PLAIN
            .iter()
            .map(|name| (DAV.to_owned(), (*name).to_owned()));
        own.chain(dead(node).into_iter().map(|(key, _)| key))
            .collect()
    }

    /// The value of a property as markup; `None` when the entry does not have it.
    pub(super) async fn value(&self, row: &Row, key: &Key, writer: &Writer) -> Option<String> {
        let (ns, name) = key;
        let found = match ns.as_str() {
            DAV if name == "getetag" => {
                let tag = self.tag(&row.node).await;
                tag.property.map(|tag| escape(&tag))
            }
            DAV => self.dav_value(row, name, writer),
            OC if name == "checksums" => {
                let text = checksums::shown(&self.account, &row.path, &row.node).await;
                text.map(|text| format!("<oc:checksum>{}</oc:checksum>", escape(&text)))
            }
            OC if rules::flavour(&self.account) == "nextcloud" => self.oc_value(row, name),
            _ => None,
        };
        found.or_else(|| {
            let kept = dead(&row.node).into_iter().find(|(kept, _)| kept == key);
            kept.map(|(_, value)| escape(&value))
        })
    }

    fn dav_value(&self, row: &Row, name: &str, writer: &Writer) -> Option<String> {
        let node = &row.node;
        match name {
            "resourcetype" if node.is_dir() => Some(format!("<{}/>", writer.dav("collection"))),
            "resourcetype" => Some(String::new()),
            "displayname" => Some(escape(&node.name)),
            "creationdate" => Some(rfc3339(node.created)),
            "getlastmodified" => Some(rfc1123(node.modified)),
            "getcontentlength" if !node.is_dir() => number(node.size()),
            "getcontentlength" => self.yes("dir_length").then(|| DIR_LENGTH.to_string()),
            "getcontenttype" if node.is_dir() => None,
            "getcontenttype" => Some("application/octet-stream".to_owned()),
            "quota-available-bytes" | "quota-used-bytes" if node.is_dir() => {
                self.quota(name == "quota-used-bytes")
            }
            "supportedlock" if self.yes("locks") => {
                let [entry, scope, exclusive, kind, write] =
                    ["lockentry", "lockscope", "exclusive", "locktype", "write"]
                        .map(|name| writer.dav(name));
                Some(format!(
                    "<{entry}><{scope}><{exclusive}/></{scope}>\
                     <{kind}><{write}/></{kind}></{entry}>"
                ))
            }
            "lockdiscovery" if self.yes("locks") => {
                let state = self.sim.state();
                let live = state.locks.iter().filter(|lock| lock.lives(self.now()));
                let own = live.filter(|lock| lock.is_on(&self.account, &node.id));
                Some(
                    own.map(|lock| locks::active(lock, writer, self.now()))
                        .collect(),
                )
            }
            _ => None,
        }
    }

    /// RFC 4331; the sheet's servers differ (7.1).
    fn quota(&self, used: bool) -> Option<String> {
        let tree = self.account.tree();
        match rules::of(&self.account, "quota").as_str() {
            "yes" if used => number(tree.used()),
            "yes" => number(self.free(&tree)),
            "unlimited" if used => number(tree.used()),
            "unlimited" => number(-3),
            "empty" => Some(String::new()),
            _ => None,
        }
    }

    fn oc_value(&self, row: &Row, name: &str) -> Option<String> {
        let node = &row.node;
        match name {
            "fileid" => Some(node.id.clone()),
            "id" => Some(format!("{:0>8}ocpanfusesim", node.id)),
            "permissions" if node.is_dir() => Some("RGDNVCK".to_owned()),
            "permissions" => Some("RGDNVW".to_owned()),
            "size" if node.is_dir() => number(size_below(&self.account.tree(), &node.id)),
            "size" => number(node.size()),
            _ => None,
        }
    }
}
