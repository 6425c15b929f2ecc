//! How entries look, stat, and what an account has (pikpak.md sections 4.1, 4.2 and 4.7).

use serde_json::{Value, json};

use super::super::clock::rfc3339_beijing;
use super::super::digest::HashKind;
use super::super::tree::{Node, Tree};
use super::errors::ApiError;
use super::gate::Ctx;
use super::{login, root_id, user_id};

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

/// Whether the server makes a preview of files named so.
pub(super) fn is_video(name: &str) -> bool {
    matches!(
        extension(name).to_ascii_lowercase().as_str(),
        ".mkv" | ".mp4"
    )
}

impl Ctx<'_> {
    /// An entry as the API writes it.
    pub(super) fn render(&self, node: &Node, trashed: bool) -> Value {
        let parent = match node.parent.starts_with("root:") {
            true => "",
            false => node.parent.as_str(),
        };
        let dir = node.is_dir();
        let kind = if dir { "drive#folder" } else { "drive#file" };
        let phase = match node.pending {
            true => "PHASE_TYPE_PENDING",
            false => "PHASE_TYPE_COMPLETE",
        };
        let mut file = json!({
            "kind": kind, "id": node.id, "parent_id": parent, "name": node.name,
            "user_id": user_id(&self.account), "size": size_of(node).to_string(),
            "revision": "0", "file_extension": "", "mime_type": "",
            "starred": node.extra.contains_key("starred"), "web_content_link": "",
            "created_time": rfc3339_beijing(node.created),
            "modified_time": rfc3339_beijing(node.modified),
            "icon_link": "", "thumbnail_link": "", "md5_checksum": "",
            "hash": node.text("hash"), "links": {}, "phase": phase, "trashed": trashed,
            "delete_time": node.trashed.map_or(String::new(), rfc3339_beijing),
            "original_url": "", "params": { "platform_icon": "" }, "writable": true,
            "folder_type": "", "space": "", "tags": [],
        });
        if let Some(file) = file.as_object_mut() {
            if dir {
                file.insert("folder_type".to_owned(), json!("NORMAL"));
            } else {
                let (mime, category) = match is_video(&node.name) {
                    true => ("video/x-matroska", "VIDEO"),
                    false => ("application/octet-stream", "OTHER"),
                };
                file.insert("file_extension".to_owned(), json!(extension(&node.name)));
                file.insert("mime_type".to_owned(), json!(mime));
                file.insert("file_category".to_owned(), json!(category));
                let audit = json!({ "status": "STATUS_OK", "message": "", "title": "" });
                file.insert("audit".to_owned(), audit);
            }
        }
        file
    }

    /// The same with the MD5, for seeded files when the setting says so: user uploads have
    /// none.
    pub(super) async fn render_md5(&self, node: &Node, trashed: bool) -> Value {
        let mut file = self.render(node, trashed);
        let shown = self.account.knobs.flag("list_md5") && node.extra.contains_key("seeded");
        if let (true, Some(blob), Some(file)) = (shown, &node.blob, file.as_object_mut()) {
            let md5 = blob.digest(HashKind::Md5).await;
            file.insert("md5_checksum".to_owned(), json!(md5));
        }
        file
    }

    /// An entry by id, in the trash or not, and whether it is.
    pub(super) fn entry(&self, tree: &Tree, id: &str) -> Result<(Node, bool), ApiError> {
        let node = tree.get(id).filter(|node| !node.parent.is_empty());
        let node = node.ok_or_else(ApiError::not_found)?;
        Ok((node.clone(), in_trash(tree, id)))
    }

    /// The folder behind a parent id; empty means the root.
    pub(super) fn folder(&self, tree: &Tree, id: &str) -> Result<String, ApiError> {
        if id.is_empty() {
            return Ok(root_id(self.account.number));
        }
        let (node, trashed) = self.entry(tree, id)?;
        if !node.is_dir() {
            return Err(ApiError::not_found());
        }
        match trashed {
            true => Err(ApiError::in_trash()),
            false => Ok(node.id),
        }
    }

    pub(super) async fn stat(&self) -> Result<Value, ApiError> {
        let (node, trashed) = self.entry(&self.account.tree(), &self.id)?;
        let mut file = self.render_md5(&node, trashed).await;
        if let Some(file) = file.as_object_mut()
            && let Some(links) = self.links(&node)
        {
            file.extend(links);
        }
        Ok(file)
    }

    pub(super) fn limit(&self) -> u64 {
        self.account.knobs.number("quota_limit", 10_995_116_277_760)
    }

    pub(super) fn quota(&self) -> Value {
        let used = self.account.tree().used();
        json!({
            "kind": "drive#about",
            "quota": {
                "kind": "drive#quota", "limit": self.limit().to_string(),
                "usage": used.to_string(), "usage_in_trash": "0", "play_times_limit": "-1",
                "play_times_usage": "0", "is_unlimited": false, "complimentary": "",
            },
            "expires_at": "", "quotas": {}, "user_type": 1,
        })
    }

    pub(super) fn vip(&self) -> Value {
        let expire = rfc3339_beijing(self.now().saturating_add(30 * 86_400_000));
        json!({ "result": "ACCEPTED", "data": {
            "expire": expire, "status": "ok", "type": "platinum",
            "user_id": user_id(&self.account),
        }})
    }

    pub(super) fn allowance(&self) -> Result<Value, ApiError> {
        if self.param("type") != "transfer" {
            return Err(ApiError::bad_request("unknown type"));
        }
        let state = self.sim.state();
        let used = state
            .charged
            .get(&self.account.profile)
            .copied()
            .unwrap_or(0);
        let item = |total: u64, used: u64| json!({ "total_assets": total, "assets": total.saturating_sub(used), "size": used, "info": "" });
        Ok(json!({ "base": {
            "offline": item(40 << 40, 0), "download": item(u64::from(u32::MAX) << 10, 0),
            "upload": item(1 << 40, used), "download_daily": item(40 << 30, 0),
        }}))
    }

    pub(super) fn user_info(&self) -> Value {
        let (name, _) = login(&self.account);
        json!({
            "sub": user_id(&self.account), "name": name, "picture": "", "email": "u***@example.com",
            "phone_number": "", "password": "SET", "status": "ACTIVE",
            "created_at": "2024-01-01T00:00:00Z", "providers": [],
        })
    }
}
