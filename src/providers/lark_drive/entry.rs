//! Entries of listings, their ids, and the link files by which online documents are shown (sheet
//! sections 1 and 4, SPEC S2-25).
//!
//! Only `file` has bytes and only `folder` has entries. Everything else is a read-only file that
//! holds the document's address. Its id carries the type, which calls want to know and a bare
//! token does not tell: `docx:TOKEN`. Files and folders have the token itself.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::names::RULES;
use super::times;
use crate::drive::{DriveError, ErrorKind, Node, NodeId, NodeKind, Result, decode};
use crate::fingerprint::Fingerprints;

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Folder,
    /// Bytes.
    File,
    /// Another entry of the service, by type and token.
    Shortcut(String, String),
    /// An online document of this type.
    Document(String),
}

/// One entry of a listing.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The service's id.
    pub token: String,
    /// The name as the service has it.
    pub title: String,
    /// What it is.
    pub kind: Kind,
    /// Its address in a browser; may be empty.
    pub url: String,
    /// Milliseconds since the epoch.
    pub created: i64,
    /// Milliseconds since the epoch. Changes with the content.
    pub modified: i64,
    /// Not documented, and not in every reply.
    pub size: Option<u64>,
    raw: Value,
}

impl Entry {
    /// Reads an entry of section 4.1; `None` without a token.
    pub fn decode(item: &Value) -> Option<Entry> {
        let token = decode::nonempty(&item["token"])?;
        let kind = match decode::text(&item["type"]).as_str() {
            "folder" => Kind::Folder,
            "file" => Kind::File,
            "shortcut" => {
                let info = &item["shortcut_info"];
                Kind::Shortcut(
                    decode::text(&info["target_type"]),
                    decode::text(&info["target_token"]),
                )
            }
            other => Kind::Document(other.to_owned()),
        };
        Some(Entry {
            token,
            title: decode::text(&item["name"]),
            kind,
            url: decode::text(&item["url"]),
            created: times::millis(&item["created_time"]),
            modified: times::millis(&item["modified_time"]),
            size: decode::unsigned(&item["size"]),
            raw: item.clone(),
        })
    }

    /// Its id among nodes.
    pub fn id(&self) -> NodeId {
        match &self.kind {
            Kind::Folder | Kind::File => NodeId::new(self.token.as_str()),
            Kind::Shortcut(..) => NodeId::new(format!("shortcut:{}", self.token)),
            Kind::Document(kind) => NodeId::new(format!("{kind}:{}", self.token)),
        }
    }

    /// The name people see.
    pub fn shown_name(&self) -> String {
        let name = RULES.decode(&self.title);
        match &self.kind {
            Kind::Folder | Kind::File => name,
            Kind::Shortcut(kind, _) if kind == "file" => name,
            Kind::Shortcut(kind, _) | Kind::Document(kind) => {
                let kind = if kind.is_empty() { "lark" } else { kind };
                format!("{name}.{kind}.url")
            }
        }
    }

    /// A node of it. `size`, `version` and `handle` are told by whoever knows them.
    pub fn node(&self, dir: &NodeId, size: u64, version: String, handle: Option<String>) -> Node {
        Node {
            id: self.id(),
            parent: dir.clone(),
            name: self.shown_name(),
            kind: match self.kind {
                Kind::Folder => NodeKind::Dir,
                _ => NodeKind::File,
            },
            size,
            modified: self.modified,
            created: self.created,
            version,
            fingerprints: Fingerprints::new(),
            handle,
            raw: Some(Arc::from(self.raw.to_string())),
        }
    }

    /// The directory that it is.
    pub fn folder(&self, dir: &NodeId) -> Node {
        self.node(dir, 0, String::new(), None)
    }

    /// The link file that it is, with this address.
    pub fn link(&self, dir: &NodeId, url: &str) -> Node {
        let size = link_bytes(url).len() as u64;
        // Equal addresses mean equal bytes, whatever happens to the document.
        let handle = (!url.is_empty()).then(|| url.to_owned());
        self.node(dir, size, format!("link:{url}"), handle)
    }
}

/// What a link file holds: the form that desktops open in a browser.
pub fn link_bytes(url: &str) -> Bytes {
    Bytes::from(format!("[InternetShortcut]\r\nURL={url}\r\n"))
}

/// The type in an id that carries one.
pub fn link_type(id: &NodeId) -> Option<&str> {
    id.as_str().split_once(':').map(|(kind, _)| kind)
}

/// How the handle of a shortcut to a file begins; the token of that file follows.
pub const TARGET: &str = "file:";

/// Refuses a change of what is only shown here: online documents and shortcuts.
///
/// # Errors
/// `Fixed`.
pub fn refuse_link(id: &NodeId, what: &str) -> Result<()> {
    match link_type(id) {
        None => Ok(()),
        Some(kind) => Err(DriveError::new(
            ErrorKind::Fixed,
            format!(
                "{what}: this is a {kind} of the service, shown as a read-only file; change it in Feishu or Lark"
            ),
        )),
    }
}

/// The token as a part of a path.
pub fn segment(token: &str) -> String {
    percent_encoding::utf8_percent_encode(token, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_entries_of_the_sheet() {
        let file = Entry::decode(&json!({"token":"boxcnA1","name":"a.bin","type":"file",
            "parent_token":"fldcnROOT","url":"https://x.feishu.cn/file/boxcnA1",
            "created_time":"1700000000","modified_time":"1700000100000","owner_id":"ou_1"}))
        .unwrap();
        assert_eq!((file.kind.clone(), file.size), (Kind::File, None));
        assert_eq!(file.modified - file.created, 100_000);
        assert_eq!(file.id().as_str(), "boxcnA1");
        let reference = Entry::decode(&json!({"token":"shtB2","name":"ref","type":"shortcut",
            "shortcut_info":{"target_type":"docx","target_token":"doxcnZ9"}}))
        .unwrap();
        assert_eq!(reference.id().as_str(), "shortcut:shtB2");
        assert_eq!(reference.shown_name(), "ref.docx.url");
        assert!(Entry::decode(&json!({"name":"x","type":"file"})).is_none());
        assert!(Entry::decode(&json!(null)).is_none());
    }

    #[test]
    fn a_document_is_a_link_that_cannot_be_changed() {
        let item = json!({"token":7,"name":"a/b","type":"sheet","url":"https://x/sheets/7"});
        let entry = Entry::decode(&item).unwrap();
        let node = entry.link(&NodeId::new("d"), &entry.url);
        assert_eq!(node.name, "a\u{FF0F}b.sheet.url");
        assert_eq!((node.id.as_str(), node.is_dir()), ("sheet:7", false));
        let bytes = link_bytes(node.handle.as_deref().unwrap());
        assert_eq!(bytes.len() as u64, node.size);
        assert_eq!(
            &bytes[..],
            b"[InternetShortcut]\r\nURL=https://x/sheets/7\r\n"
        );
        assert!(refuse_link(&node.id, "rm").is_err());
        assert!(refuse_link(&NodeId::new("boxcnA1"), "rm").is_ok());
    }

    #[test]
    fn names_that_are_none_are_still_shown() {
        let item = json!({"token":"t","name":"","type":"folder"});
        let entry = Entry::decode(&item).unwrap();
        assert_eq!(entry.folder(&NodeId::new("d")).name, "\u{2420}");
        assert_eq!(segment("a/b?c"), "a%2Fb%3Fc");
    }
}
