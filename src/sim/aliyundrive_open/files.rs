//! User, listing, search, get (aliyundrive_open.md sections 4.2 to 4.5).

use std::cmp::Ordering;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::super::clock::rfc3339;
use super::super::digest::{HashKind, md5_hex};
use super::super::faults::FaultKind;
use super::super::tree::Node;
use super::auth::user_id;
use super::errors::ApiError;
use super::{Ctx, drives, root_id, text};

/// Category and MIME type by extension.
fn kind_of(name: &str) -> (String, &'static str, &'static str) {
    let ext = name
        .rsplit_once('.')
        .map_or("", |(_, ext)| ext)
        .to_lowercase();
    let (category, mime) = match ext.as_str() {
        "txt" => ("doc", "text/plain"),
        "pdf" => ("doc", "application/pdf"),
        "jpg" | "jpeg" => ("image", "image/jpeg"),
        "png" => ("image", "image/png"),
        "mp4" => ("video", "video/mp4"),
        "mkv" => ("video", "video/x-matroska"),
        "mp3" => ("audio", "audio/mpeg"),
        "zip" | "rar" | "7z" => ("zip", "application/zip"),
        _ => ("others", "application/octet-stream"),
    };
    (ext, category, mime)
}

/// An item as listings and `get` show it.
pub(super) fn item(drive: &str, node: &Node) -> Value {
    let parent = if node.parent == root_id(drive) {
        "root"
    } else {
        &node.parent
    };
    let mut item = json!({
        "drive_id": drive, "file_id": node.id, "parent_file_id": parent, "name": node.name,
        "domain_id": "bj29", "starred": node.extra.get("starred") == Some(&json!(true)),
        "created_at": rfc3339(node.created), "updated_at": rfc3339(node.modified),
    });
    if node.parent.is_empty() {
        item["file_id"] = json!("root");
        item["name"] = json!("root");
        item["parent_file_id"] = json!("");
    }
    match &node.blob {
        None => item["type"] = json!("folder"),
        Some(blob) => {
            let (ext, category, mime) = kind_of(&node.name);
            item["type"] = json!("file");
            item["size"] = json!(blob.size());
            item["content_hash"] = json!(blob.digest_now(HashKind::Sha1).to_uppercase());
            item["content_hash_name"] = json!("sha1");
            item["file_extension"] = json!(ext);
            item["category"] = json!(category);
            item["mime_type"] = json!(mime);
            item["status"] = json!("available");
            item["thumbnail"] = json!("");
            item["url"] = json!("");
        }
    }
    item
}

/// Times the client gave at upload: `get` and `complete` show them, listings do not.
pub(super) fn with_local_times(mut item: Value, node: &Node) -> Value {
    for key in ["local_created_at", "local_modified_at"] {
        if let Some(time) = node.extra.get(key) {
            item[key] = time.clone();
        }
    }
    item
}

fn compare(a: &Node, b: &Node, by: &str) -> Ordering {
    let order = match by {
        "name" | "name_enhanced" => a.name.cmp(&b.name),
        "size" => a.size().cmp(&b.size()),
        "updated_at" => a.modified.cmp(&b.modified),
        _ => a.created.cmp(&b.created),
    };
    order.then_with(|| a.id.cmp(&b.id))
}

impl Ctx<'_> {
    pub(super) fn drive_info(&self) -> Value {
        let (backup, resource) = drives(self.account.number);
        let mut info = json!({
            "user_id": user_id(&self.account), "name": self.account.profile,
            "avatar": "", "default_drive_id": backup, "backup_drive_id": backup,
        });
        if !self.account.knobs.flag("deny_resource") {
            info["resource_drive_id"] = json!(resource);
        }
        info
    }

    pub(super) fn space_info(&self) -> Value {
        let used = self.account.tree().used();
        let total = self.account.knobs.number("total_size", 8 << 40);
        json!({ "personal_space_info": { "used_size": used, "total_size": total } })
    }

    pub(super) fn vip_info(&self) -> Value {
        match self.account.knobs.flag("vip") {
            true => json!({
                "identity": "svip", "level": "8TB", "expire": self.now() / 1000 + 86_400 * 30,
                "thirdPartyVip": true, "thirdPartyVipExpire": self.now() / 1000 + 86_400 * 30,
            }),
            false => json!({
                "identity": "member", "thirdPartyVip": false, "thirdPartyVipExpire": 0,
            }),
        }
    }

    pub(super) fn user_info(&self) -> Value {
        json!({
            "id": user_id(&self.account), "name": self.account.profile, "avatar": "",
            "phone": "138****0000",
        })
    }

    /// Limit and start of a page. The marker is bound to everything else in the query.
    fn page(&self) -> Result<(usize, usize, String), ApiError> {
        let limit = match self.body.get("limit") {
            None | Some(Value::Null) => 50,
            Some(value) => value
                .as_u64()
                .filter(|n| (1..=200).contains(n))
                .unwrap_or(0),
        };
        if limit == 0 {
            return Err(ApiError::parameter("Limit"));
        }
        let mut query = self.body.clone();
        if let Some(object) = query.as_object_mut() {
            object.remove("marker");
            object.remove("limit");
        }
        let bound = md5_hex(format!("{}{}{query}", self.account.profile, self.op).as_bytes());
        let start = match self.text("marker") {
            "" => 0,
            marker => URL_SAFE_NO_PAD
                .decode(marker)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .and_then(|text| text.strip_prefix(&bound)?.strip_prefix('@')?.parse().ok())
                .ok_or_else(|| ApiError::parameter("Marker"))?,
        };
        Ok((limit as usize, start, bound))
    }

    /// One page of nodes as an answer, with the faults that belong to pages.
    fn answer(&self, drive: &str, nodes: &[Node]) -> Result<Value, ApiError> {
        let (mut limit, start, bound) = self.page()?;
        if let Some(n) =
            self.account
                .faults
                .take_number(self.op, FaultKind::TruncatedPage, limit as u64 / 2)
        {
            limit = limit.min(usize::try_from(n).unwrap_or(limit)).max(1);
        }
        let page = nodes.iter().skip(start).take(limit);
        let items: Vec<Value> = page.map(|node| item(drive, node)).collect();
        let end = start.saturating_add(items.len());
        let next = match end < nodes.len() {
            true => URL_SAFE_NO_PAD.encode(format!("{bound}@{end}")),
            false => String::new(),
        };
        let mut answer = json!({ "items": items, "next_marker": next });
        if self
            .account
            .faults
            .take(self.op, FaultKind::NullList)
            .is_some()
        {
            answer["items"] = Value::Null;
        }
        Ok(answer)
    }

    fn sort(&self, nodes: &mut [Node], by: &str, direction: &str) -> Result<(), ApiError> {
        let known = [
            "",
            "created_at",
            "updated_at",
            "name",
            "size",
            "name_enhanced",
        ];
        if !known.contains(&by) {
            return Err(ApiError::parameter("OrderBy"));
        }
        match direction {
            "ASC" => nodes.sort_by(|a, b| compare(a, b, by)),
            "" | "DESC" => nodes.sort_by(|a, b| compare(b, a, by)),
            _ => return Err(ApiError::parameter("OrderDirection")),
        }
        Ok(())
    }

    pub(super) fn list(&self) -> Result<Value, ApiError> {
        let drive = self.drive(&self.body)?;
        let parent = self.dir(&self.body, "parent_file_id")?;
        let mut nodes = self.account.listed(self.op, &parent.id, self.now());
        match self.text("type") {
            "" | "all" => {}
            "file" => nodes.retain(|node| !node.is_dir()),
            "folder" => nodes.retain(Node::is_dir),
            _ => return Err(ApiError::parameter("Type")),
        }
        let categories = self.text("category");
        if !categories.is_empty() {
            nodes.retain(|node| {
                let (_, category, _) = kind_of(&node.name);
                !node.is_dir() && categories.split(',').any(|wanted| wanted == category)
            });
        }
        self.sort(
            &mut nodes,
            self.text("order_by"),
            self.text("order_direction"),
        )?;
        self.answer(drive, &nodes)
    }

    pub(super) fn search(&self) -> Result<Value, ApiError> {
        let drive = self.drive(&self.body)?;
        let clauses = clauses(self.text("query")).ok_or_else(|| ApiError::parameter("Query"))?;
        let root = root_id(drive);
        let mut nodes: Vec<Node> = {
            let tree = self.account.tree();
            let all = tree.walk().into_iter();
            all.filter(|node| {
                tree.root_of(&node.id) == Some(root.as_str())
                    && tree.live(&node.id).is_some()
                    && clauses.iter().all(|clause| clause.fits(drive, node))
            })
            .cloned()
            .collect()
        };
        let order = self.text("order_by");
        let (by, direction) = order.split_once(' ').unwrap_or((order, ""));
        self.sort(&mut nodes, by, direction)?;
        let mut answer = self.answer(drive, &nodes)?;
        if self.body.get("return_total_count") == Some(&json!(true)) {
            answer["total_count"] = json!(nodes.len());
        }
        Ok(answer)
    }

    pub(super) fn get(&self) -> Result<Value, ApiError> {
        let node = self.node(&self.body, "file_id")?;
        Ok(with_local_times(
            item(self.drive(&self.body)?, &node),
            &node,
        ))
    }

    pub(super) fn get_by_path(&self) -> Result<Value, ApiError> {
        let drive = self.drive(&self.body)?;
        let path = self.text("file_path");
        if !path.starts_with('/') || path == "/" {
            return Err(ApiError::parameter("FilePath"));
        }
        let tree = self.account.tree();
        let node = tree
            .resolve_from(&root_id(drive), path)
            .ok_or_else(ApiError::no_file)?;
        Ok(with_local_times(item(drive, node), node))
    }

    pub(super) fn batch_get(&self) -> Result<Value, ApiError> {
        let list = self.body.get("file_list").and_then(Value::as_array);
        let list = list.filter(|list| !list.is_empty() && list.len() <= 100);
        let list = list.ok_or_else(|| ApiError::parameter("FileList"))?;
        let mut items = Vec::new();
        for one in list {
            let drive = self.drive(one)?;
            // An entry that is gone is left out.
            if let Ok(node) = self.node(one, "file_id") {
                items.push(with_local_times(item(drive, &node), &node));
            }
        }
        Ok(json!({ "items": items }))
    }
}

struct Clause {
    field: String,
    operator: String,
    value: String,
}

/// Reads `a = 'x' and b match 'y'`; at most five clauses.
fn clauses(query: &str) -> Option<Vec<Clause>> {
    let mut all = Vec::new();
    let mut rest = query.trim();
    while !rest.is_empty() {
        let (field, after) = rest.split_once(char::is_whitespace)?;
        let (operator, after) = after.trim_start().split_once(char::is_whitespace)?;
        let after = after.trim_start();
        let (value, after) = match after.strip_prefix('\'') {
            Some(quoted) => {
                let mut value = String::new();
                let mut letters = quoted.char_indices();
                let end = loop {
                    match letters.next()? {
                        (_, '\\') => value.push(letters.next()?.1),
                        (at, '\'') => break at + 1,
                        (_, letter) => value.push(letter),
                    }
                };
                (value, quoted.get(end..)?)
            }
            None => {
                let (value, after) = after.split_once(char::is_whitespace).unwrap_or((after, ""));
                (value.to_owned(), after)
            }
        };
        let known = ["=", "match", "<", "<=", ">", ">="].contains(&operator);
        all.push(Clause {
            field: field.to_owned(),
            operator: operator.to_owned(),
            value,
        });
        rest = after.trim();
        if !rest.is_empty() {
            rest = rest.strip_prefix("and ")?.trim_start();
        }
        if !known || all.len() > 5 {
            return None;
        }
    }
    if all.is_empty() { None } else { Some(all) }
}

impl Clause {
    fn fits(&self, drive: &str, node: &Node) -> bool {
        let item = item(drive, node);
        let field = match item.get(&self.field) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => return false,
        };
        let order = match (field.parse::<u64>(), self.value.parse::<u64>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            _ => field.cmp(&self.value),
        };
        match self.operator.as_str() {
            "=" => order.is_eq(),
            "match" => field.to_lowercase().contains(&self.value.to_lowercase()),
            "<" => order.is_lt(),
            "<=" => order.is_le(),
            ">" => order.is_gt(),
            _ => order.is_ge(),
        }
    }
}

/// A name a file or folder may have (section 9).
pub(super) fn check_name(name: &str) -> Result<(), ApiError> {
    let bad =
        name.is_empty() || name.len() > 1024 || name.contains('/') || [".", ".."].contains(&name);
    if bad {
        Err(ApiError::parameter("Name"))
    } else {
        Ok(())
    }
}

/// `check_name_mode`, or the call's default.
pub(super) fn mode<'b>(body: &'b Value, default: &'static str) -> Result<&'b str, ApiError> {
    match text(body, "check_name_mode") {
        "" => Ok(default),
        mode @ ("refuse" | "ignore" | "auto_rename") => Ok(mode),
        _ => Err(ApiError::parameter("CheckNameMode")),
    }
}
