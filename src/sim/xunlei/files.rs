//! How entries look, stat, and what an account has (xunlei.md sections 4.1, 4.2 and 4.7).

use serde_json::{Value, json};

use super::super::account::Account;
use super::super::clock::rfc3339_beijing;
use super::super::tree::{Node, Tree};
use super::errors::ApiError;
use super::gate::Ctx;
use super::{clients, login, spaces, user_id};

/// Whether a node or a folder above it is in the trash.
pub(super) fn in_trash(tree: &Tree, id: &str) -> bool {
    let mut at = tree.get(id);
    while let Some(node) = at {
        if node.trashed.is_some() {
            return true;
        }
        at = tree.get(&node.parent);
    }
    false
}

/// `.ext` of a name, with its dot.
pub(super) fn extension(name: &str) -> &str {
    match name.rfind('.') {
        Some(dot) if dot > 0 => name.get(dot..).unwrap_or(""),
        _ => "",
    }
}

/// The declared size: a pending entry has no bytes yet.
pub(super) fn size_of(node: &Node) -> u64 {
    match node.extra.get("size").and_then(Value::as_u64) {
        Some(size) if node.pending => size,
        _ => node.size(),
    }
}

/// Type and category of a file, which the server reads from its name.
pub(super) fn kind_of(name: &str) -> (&'static str, &'static str) {
    match extension(name).to_ascii_lowercase().as_str() {
        ".mkv" => ("video/x-matroska", "VIDEO"),
        ".mp4" => ("video/mp4", "VIDEO"),
        ".zip" => ("application/zip", "ARCHIVE"),
        ".rar" => ("application/x-rar-compressed", "ARCHIVE"),
        ".7z" => ("application/x-7z-compressed", "ARCHIVE"),
        ".tar" | ".gz" | ".tgz" | ".bz2" | ".xz" => ("application/x-compressed", "ARCHIVE"),
        _ => ("application/octet-stream", "OTHER"),
    }
}

/// An entry as the API writes it.
pub(super) fn render(account: &Account, node: &Node, trashed: bool, space: &str) -> Value {
    let parent = match spaces::is_root(&node.parent) {
        true => "",
        false => node.parent.as_str(),
    };
    let dir = node.is_dir();
    let phase = match node.pending {
        true => "PHASE_TYPE_PENDING",
        false => "PHASE_TYPE_COMPLETE",
    };
    // Only complete files have a hash (section 5).
    let hash = if node.pending { "" } else { node.text("hash") };
    let mut file = json!({
        "kind": if dir { "drive#folder" } else { "drive#file" },
        "id": node.id, "parent_id": parent, "name": node.name, "user_id": user_id(account),
        "size": size_of(node).to_string(), "hash": hash, "phase": phase, "trashed": trashed,
        "created_time": rfc3339_beijing(node.created),
        "modified_time": rfc3339_beijing(node.modified),
        "writable": true, "space": space,
    });
    let more = match dir {
        true => {
            let kind = match node.text("folder_type") {
                "" => "NORMAL",
                kind => kind,
            };
            json!({ "folder_type": kind })
        }
        false => {
            let (mime, category) = kind_of(&node.name);
            json!({
                "file_extension": extension(&node.name), "mime_type": mime,
                "file_category": category, "md5_checksum": "", "user_modified_time": "",
                "web_content_link": "", "thumbnail_link": "", "links": {}, "medias": [],
                "delete_time": node.trashed.map_or(String::new(), rfc3339_beijing),
                "audit": { "status": "STATUS_OK", "message": "", "title": "" },
            })
        }
    };
    if let (Some(file), Value::Object(more)) = (file.as_object_mut(), more) {
        file.extend(more);
    }
    file
}

impl Ctx<'_> {
    /// An entry as this caller sees it.
    pub(super) fn render(&self, tree: &Tree, node: &Node, trashed: bool) -> Value {
        let space = spaces::name_of(tree, &node.id);
        let mut file = render(&self.account, node, trashed, space);
        let browser = self.client == clients::BROWSER_ID;
        if let (true, true, Some(file)) = (browser, node.is_dir(), file.as_object_mut()) {
            // Folders may have empty times there (section 3).
            file.insert("created_time".to_owned(), json!(""));
            file.insert("modified_time".to_owned(), json!(""));
        }
        file
    }

    /// An entry by id, in the trash or not, and whether it is. It must lie in the space the call
    /// names.
    pub(super) fn entry(&self, tree: &Tree, id: &str) -> Result<(Node, bool), ApiError> {
        self.entry_in(tree, id, self.space())
    }

    fn entry_in(&self, tree: &Tree, id: &str, space: &str) -> Result<(Node, bool), ApiError> {
        let root = self.root(space)?;
        let node = tree.get(id).filter(|node| !node.parent.is_empty());
        let node = node.filter(|node| tree.root_of(&node.id) == Some(root.as_str()));
        let node = node.ok_or_else(ApiError::not_found)?;
        Ok((node.clone(), in_trash(tree, id)))
    }

    /// The folder behind a parent id in a space; empty means the root.
    pub(super) fn folder(&self, tree: &Tree, id: &str, space: &str) -> Result<String, ApiError> {
        if id.is_empty() {
            return self.root(space);
        }
        let (node, trashed) = self.entry_in(tree, id, space)?;
        if !node.is_dir() {
            return Err(ApiError::not_found());
        }
        match trashed {
            true => Err(ApiError::in_trash()),
            false => Ok(node.id),
        }
    }

    pub(super) fn stat(&self) -> Result<Value, ApiError> {
        let wanted = self.wants_links()?;
        let (mut file, node, trashed) = {
            let tree = self.account.tree();
            let (node, trashed) = self.entry(&tree, &self.id)?;
            (self.render(&tree, &node, trashed), node, trashed)
        };
        if let (true, false, Some(file)) = (wanted, trashed, file.as_object_mut())
            && let Some(links) = self.sim.links(&self.account, &node, &self.client)
        {
            file.extend(links);
        }
        Ok(file)
    }

    /// Whether a stat shows links: each client asks for them in its own way (section 4.3).
    fn wants_links(&self) -> Result<bool, ApiError> {
        let usage = self.param("usage");
        if !matches!(usage, "" | "FETCH" | "CONSUME" | "PLAY" | "CACHE") {
            return Err(ApiError::bad_request("unknown usage"));
        }
        Ok(match self.client.as_str() {
            _ if !usage.is_empty() => true,
            clients::WEB_ID => false,
            clients::BROWSER_ID => self.has("with", "url"),
            _ => true,
        })
    }

    pub(super) fn limit(&self) -> u64 {
        self.account.knobs.number("quota_limit", 2_199_023_255_552)
    }

    pub(super) fn quota(&self) -> Value {
        let tree = self.account.tree();
        let used = tree.used();
        let in_trash: u64 = tree
            .walk()
            .into_iter()
            .filter(|node| in_trash(&tree, &node.id))
            .map(Node::size)
            .sum();
        json!({
            "kind": "drive#about",
            "quota": {
                "kind": "drive#quota", "limit": self.limit().to_string(),
                "usage": used.to_string(), "usage_in_trash": in_trash.to_string(),
                "play_times_limit": "-1", "play_times_usage": "0", "is_unlimited": false,
                "upgrade_type": "",
            },
            "expires_at": "", "quotas": {}, "is_search_flushed": true,
        })
    }

    pub(super) fn user_info(&self) -> Value {
        let (name, _) = login(&self.account);
        json!({
            "sub": user_id(&self.account), "name": name, "picture": "", "phone_number": "",
            "password": "SET", "status": "ACTIVE", "created_at": "2024-01-01T00:00:00Z",
            "providers": [],
        })
    }
}
