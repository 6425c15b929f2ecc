//! How entries look, stat, and what an account has (sections 4.1, 4.2 and 4.9).

use serde_json::{Value, json};

use super::super::tree::{Node, Tree};
use super::errors::ApiError;
use super::gate::Ctx;

/// Extensions by `fileType`, with the type the service gives them.
const KINDS: &[(i64, &str, &[&str])] = &[
    (1, "image/jpeg", &["jpg", "jpeg", "png", "gif", "webp"]),
    (2, "video/mp4", &["mp4", "mkv", "avi", "mov", "ts"]),
    (3, "audio/mpeg", &["mp3", "flac", "wav", "m4a"]),
    (4, "text/plain", &["txt", "pdf", "doc", "docx", "md"]),
    (5, "application/zip", &["zip", "rar", "7z", "tar", "gz"]),
    (6, "application/x-subrip", &["srt", "ass", "vtt"]),
    (7, "font/ttf", &["ttf", "otf", "woff2"]),
    (8, "application/x-msdownload", &["exe", "apk", "dmg", "msi"]),
    (9, "application/x-bittorrent", &["torrent"]),
    (10, "text/x-code", &["rs", "py", "c", "js", "go"]),
];

/// `fileType` of everything else.
const OTHER: i64 = 11;

/// The part of a name behind its last dot, without the dot.
pub(super) fn extension(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, ext)) if !stem.is_empty() => ext,
        _ => "",
    }
}

/// `fileType` and media type of a name.
pub(super) fn kind_of(node: &Node) -> (i64, &'static str) {
    if node.is_dir() {
        return (0, "");
    }
    let ext = extension(&node.name).to_lowercase();
    let known = KINDS.iter().find(|kind| kind.2.contains(&ext.as_str()));
    known.map_or((OTHER, "application/octet-stream"), |kind| (kind.0, kind.1))
}

/// A parent as the API writes it: the root has no id.
fn parent_of(node: &Node) -> &str {
    match node.parent.starts_with("root:") {
        true => "",
        false => &node.parent,
    }
}

/// Whether a node or a folder above it is in the trash.
fn in_trash(tree: &Tree, id: &str) -> bool {
    let mut at = tree.get(id);
    while let Some(node) = at {
        if node.trashed.is_some() {
            return true;
        }
        at = tree.get(&node.parent);
    }
    false
}

/// Bytes, folders and files below a folder.
fn totals(tree: &Tree, id: &str) -> (u64, u64, u64) {
    tree.children(id)
        .fold((0, 0, 0), |(bytes, dirs, files), node| {
            if !node.is_dir() {
                return (bytes + node.size(), dirs, files + 1);
            }
            let below = totals(tree, &node.id);
            (bytes + below.0, dirs + below.1 + 1, files + below.2)
        })
}

impl Ctx<'_> {
    /// An entry that is there and not in the trash.
    pub(super) fn entry<'t>(&self, tree: &'t Tree, id: &str) -> Result<&'t Node, ApiError> {
        let node = tree.get(id).filter(|node| !node.parent.is_empty());
        let node = node.ok_or_else(|| ApiError::missing(self.form(1, 2)))?;
        match in_trash(tree, id) {
            true => Err(ApiError::deleted()),
            false => Ok(node),
        }
    }

    /// The folder behind a parent id; empty means the root. The flat view is none (section 9).
    pub(super) fn folder(&self, tree: &Tree, id: &str) -> Result<String, ApiError> {
        match id {
            "" => Ok(tree.root().to_owned()),
            "*" => Err(ApiError::parameter("parentId")),
            id => match self.entry(tree, id)? {
                node if node.is_dir() => Ok(node.id.clone()),
                _ => Err(ApiError::parameter("parentId")),
            },
        }
    }

    /// The gcid as the service shows it: none of folders, and for a while none of new files
    /// (section 5).
    fn gcid<'n>(&self, node: &'n Node) -> &'n str {
        let until = node.created.saturating_add(self.number("fresh_gcid_ms", 0));
        match node.extra.contains_key("seeded") || self.now() >= until {
            true => node.text("gcid"),
            false => "",
        }
    }

    /// An entry as listings write it.
    pub(super) fn row(&self, tree: &Tree, node: &Node) -> Value {
        let mut above = Vec::new();
        let mut at = tree.get(&node.parent);
        while let Some(folder) = at.filter(|folder| !folder.parent.is_empty()) {
            above.push(folder.id.as_str());
            at = tree.get(&folder.parent);
        }
        above.reverse();
        let (file_type, mime) = kind_of(node);
        let mut row = json!({
            "fileId": node.id, "parentId": parent_of(node), "fileName": node.name,
            "fileSize": node.size(), "resType": if node.is_dir() { 2 } else { 1 },
            "fileType": file_type, "dirType": 0, "depth": above.len() + 1, "ext": "",
            "gcid": self.gcid(node), "mineType": mime, "fullParentIds": above.join("/"),
            "ctime": node.created.div_euclid(1000), "utime": node.modified.div_euclid(1000),
            "auditStatus": 0,
        });
        if let Some(row) = row.as_object_mut() {
            if node.is_dir() {
                let folders = tree.children(&node.id).filter(|child| child.is_dir());
                row.insert("subFolderCount".to_owned(), json!(folders.count()));
            } else {
                row.insert("ext".to_owned(), json!(extension(&node.name)));
                row.insert("thumbnail".to_owned(), json!(""));
            }
        }
        row
    }

    /// `get_file_detail`.
    pub(super) fn stat(&self) -> Result<Value, ApiError> {
        let id = self.args.required("fileId")?;
        let tree = self.account.tree();
        let node = self.entry(&tree, id)?;
        let (bytes, dirs, files) = match node.is_dir() {
            true => totals(&tree, id),
            false => (node.size(), 0, 0),
        };
        Ok(json!({
            "fileInfo": {
                "fileId": node.id, "parentId": parent_of(node), "fileName": node.name,
                "fileSize": node.size(), "resType": if node.is_dir() { 2 } else { 1 },
                "gcid": self.gcid(node), "ctime": node.created.div_euclid(1000),
                "utime": node.modified.div_euclid(1000),
            },
            "location": [],
            "sizeInfo": { "size": bytes, "subDirCount": dirs, "subFileCount": files },
            "picInfo": null, "videoResource": [],
        }))
    }

    /// What an upload task that made a file says of it.
    pub(super) fn made(&self, node: &Node) -> Value {
        json!({
            "fileId": node.id, "fileName": node.name, "fileSize": node.size(),
            "gcid": self.gcid(node),
        })
    }

    /// `get_assets`.
    pub(super) fn quota(&self) -> Value {
        let used = self.account.tree().used();
        let status = self.account.knobs.number("vip_status", 1);
        let now = self.now().div_euclid(1000);
        let left = if status == 2 { 30 * 86_400 } else { 0 };
        json!({
            "totalSpaceSize": super::import::space(&self.account), "usedSpaceSize": used,
            "vipStatus": status, "svipStatus": 1,
            "vipExpireTime": if left > 0 { now.saturating_add(left) } else { 0 },
            "vipLeftTime": left, "systemTime": now,
            "highSpeedTraffic": { "total": 0, "remained": 0 },
            "totalDirectLinkTraffic": 0, "freeDirectLinkTraffic": 0,
            "totalShareGuestTraffic": 0, "freeShareGuestTraffic": 0,
        })
    }
}
