//! How entries look, stat, and what an account has (189cloud.md sections 3.7, 4.1, 4.2, 4.7).

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::super::account::{Account, Knobs};
use super::super::clock::beijing;
use super::super::digest::HashKind;
use super::super::tree::{Node, Tree};
use super::answer::{ApiError, ok};
use super::auth::Scope;
use super::gate::Ctx;
use super::{ROOT, family_id, family_root, login_name};

/// Where an id stands: the sheet shows numbers in lists, texts in info and commit answers.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// A list.
    List,
    /// A file's info or a commit answer.
    Info,
}

/// An id as it is written there.
pub(super) fn id_value(knobs: &Knobs, id: &str, place: Place) -> Value {
    let number = match (knobs.text("ids").as_deref(), place) {
        (Some("number"), _) => true,
        (Some("text"), _) => false,
        (_, place) => matches!(place, Place::List),
    };
    match id.parse::<i64>() {
        Ok(id) if number => json!(id),
        _ => json!(id),
    }
}

/// A size or count.
pub(super) fn number_value(knobs: &Knobs, number: u64) -> Value {
    match knobs.flag("quoted_numbers") {
        true => json!(number.to_string()),
        false => json!(number),
    }
}

fn china(ms: i64, format: &str) -> String {
    let time = Timestamp::from_millisecond(ms.saturating_add(8 * 3_600_000));
    let time = time.unwrap_or(Timestamp::UNIX_EPOCH);
    time.to_zoned(TimeZone::UTC).strftime(format).to_string()
}

/// `Aug 11, 2026 10:37:18 PM`, China time.
pub(super) fn china_ampm(ms: i64) -> String {
    china(ms, "%b %-d, %Y %-I:%M:%S %p")
}

/// A time, in the form of the setting `times`.
pub(super) fn time_text(knobs: &Knobs, ms: i64) -> String {
    let blank = |c: char| {
        let text = china(ms, "%b %-d, %Y, %-I:%M:%S_%p +08");
        text.replace('_', &c.to_string())
    };
    match knobs.text("times").as_deref() {
        Some("ampm") => china_ampm(ms),
        Some("ampm_zone") => blank(' '),
        Some("nnbsp") => blank('\u{202f}'),
        Some("nbsp") => blank('\u{a0}'),
        _ => beijing(ms),
    }
}

/// `20260301090000`, China time.
pub(super) fn revision(ms: i64) -> String {
    china(ms, "%Y%m%d%H%M%S")
}

/// The whole content's MD5 as the service writes it.
pub(super) async fn md5_of(node: &Node) -> String {
    match &node.blob {
        Some(blob) => blob.digest(HashKind::Md5).await.to_uppercase(),
        None => String::new(),
    }
}

/// 1 picture, 2 music, 3 video, 4 document.
fn media_type(name: &str) -> u64 {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" | "png" | "gif" => 1,
        "mp3" | "flac" => 2,
        "mkv" | "mp4" | "avi" => 3,
        "txt" | "pdf" | "doc" | "docx" => 4,
        _ => 0,
    }
}

/// Bytes of the files of one space, trashed ones too (section 9).
pub(super) fn used(tree: &Tree, root: &str) -> u64 {
    let all = tree.walk().into_iter();
    all.filter(|node| tree.root_of(&node.id) == Some(root))
        .map(Node::size)
        .sum()
}

/// An entry of a listing. `parent` is its parent's id as the API writes it.
pub(super) async fn list_entry(knobs: &Knobs, node: &Node, parent: &str, children: u64) -> Value {
    let id = id_value(knobs, &node.id, Place::List);
    let created = time_text(knobs, node.created);
    let changed = time_text(knobs, node.modified);
    if node.is_dir() {
        return json!({
            "id": id, "parentId": id_value(knobs, parent, Place::List), "name": node.name,
            "createDate": created, "lastOpTime": changed,
            "fileCount": number_value(knobs, children), "fileCata": 1, "fileListSize": 0,
            "rev": revision(node.modified), "starLabel": 2,
        });
    }
    json!({
        "id": id, "name": node.name, "size": number_value(knobs, node.size()),
        "md5": md5_of(node).await, "createDate": created, "lastOpTime": changed,
        "mediaType": media_type(&node.name), "rev": revision(node.modified), "fileCata": 1,
        "orientation": 0, "starLabel": 2,
    })
}

impl Ctx<'_> {
    /// Id of the root of this call's space inside the tree.
    pub(super) fn root(&self) -> String {
        match self.scope {
            Scope::Personal => ROOT.to_owned(),
            Scope::Family => family_root(self.account.number),
        }
    }

    /// An id as the API writes it: the family's root is an empty text.
    pub(super) fn api_id<'n>(&self, id: &'n str) -> &'n str {
        match id.starts_with("family:") {
            true => "",
            false => id,
        }
    }

    /// A live node of this space.
    pub(super) fn node<'t>(&self, tree: &'t Tree, id: &str) -> Option<&'t Node> {
        let node = tree.live(id).filter(|node| !node.parent.is_empty())?;
        (tree.root_of(id) == Some(self.root().as_str())).then_some(node)
    }

    /// The folder a parameter names: `-11`, in a family nothing, is the root.
    pub(super) fn folder(&self, tree: &Tree, id: &str) -> Result<String, ApiError> {
        let root = self.root();
        if id == self.api_id(&root) {
            return Ok(root);
        }
        match self.node(tree, id) {
            Some(node) if node.is_dir() => Ok(node.id.clone()),
            Some(_) => Err(ApiError::new("FileNotFolderErrorCode", "not a folder")),
            None => Err(ApiError::not_found()),
        }
    }

    /// The same for a place to write to.
    pub(super) fn target(&self, tree: &Tree, id: &str) -> Result<String, ApiError> {
        self.folder(tree, id)
            .map_err(|_| match self.node(tree, id) {
                Some(_) => ApiError::new("ParentNotFolder", "parent is not a folder"),
                None => ApiError::new("InvalidParentFolder", "parent folder is invalid"),
            })
    }

    fn by_path(&self, tree: &Tree, path: &str) -> Result<Node, ApiError> {
        if !path.starts_with('/') {
            return Err(ApiError::argument("path"));
        }
        let node = tree.resolve_from(&self.root(), path);
        node.cloned().ok_or_else(ApiError::not_found)
    }

    fn parents(&self, tree: &Tree, id: &str) -> Value {
        let mut all = Vec::new();
        let mut at = tree.get(id);
        while let Some(node) = at {
            all.push(json!({ "fid": self.api_id(&node.id), "fname": node.name }));
            at = tree.get(&node.parent);
        }
        all.reverse();
        json!({ "parentFolderList": all })
    }

    /// A file as info and direct changes answer it.
    pub(super) async fn file_info(&self, node: &Node) -> Value {
        let md5 = md5_of(node).await;
        let knobs = &self.account.knobs;
        let path = self.account.tree().path_of(&node.id);
        ok(json!({
            "id": id_value(knobs, &node.id, Place::Info), "name": node.name,
            "size": number_value(knobs, node.size()), "md5": md5,
            "createDate": time_text(knobs, node.created), "lastOpTime": node.modified,
            "lastOpTimeStr": time_text(knobs, node.modified),
            "parentId": id_value(knobs, self.api_id(&node.parent), Place::List),
            "filePath": path, "mediaType": media_type(&node.name),
            "rev": revision(node.modified),
        }))
    }

    /// A folder as info answers it.
    fn folder_info(&self, tree: &Tree, node: &Node) -> Value {
        let knobs = &self.account.knobs;
        ok(json!({
            "fileId": id_value(knobs, self.api_id(&node.id), Place::Info),
            "fileName": node.name, "filePath": tree.path_of(&node.id),
            "parentId": id_value(knobs, self.api_id(&node.parent), Place::List),
            "createDate": time_text(knobs, node.created), "createTime": node.created,
            "lastOpTime": node.modified, "lastOpTimeStr": time_text(knobs, node.modified),
            "rev": revision(node.modified),
        }))
    }

    /// A folder as the calls answer it that make or change one.
    pub(super) fn folder_object(&self, node: &Node) -> Value {
        let knobs = &self.account.knobs;
        ok(json!({
            "id": id_value(knobs, &node.id, Place::List),
            "parentId": id_value(knobs, self.api_id(&node.parent), Place::List),
            "name": node.name, "createDate": time_text(knobs, node.created),
            "lastOpTime": time_text(knobs, node.modified), "rev": revision(node.modified),
            "fileCata": 1,
        }))
    }

    /// `getFileInfo.action`: by id or by path.
    pub(super) async fn stat(&self) -> Result<Value, ApiError> {
        let found = {
            let tree = self.account.tree();
            match (self.arg("fileId"), self.arg("filePath")) {
                ("", "") => return Err(ApiError::argument("fileId")),
                ("", path) => self.by_path(&tree, path)?,
                (id, _) => self
                    .node(&tree, id)
                    .cloned()
                    .ok_or_else(ApiError::not_found)?,
            }
        };
        if found.is_dir() {
            return Err(ApiError::not_found());
        }
        let mut info = self.file_info(&found).await;
        if self.arg("pathList") == "1"
            && let Some(info) = info.as_object_mut()
        {
            let parents = self.parents(&self.account.tree(), &found.parent);
            info.insert("parentFolderListAO".to_owned(), parents);
        }
        Ok(info)
    }

    /// `getFolderInfo.action`: by id or by path.
    pub(super) fn stat_dir(&self) -> Result<Value, ApiError> {
        let tree = self.account.tree();
        let found = match (self.arg("folderId"), self.arg("folderPath")) {
            ("", "") => return Err(ApiError::argument("folderId")),
            ("", path) => self.by_path(&tree, path)?,
            (id, _) => {
                let id = self.folder(&tree, id)?;
                tree.get(&id).cloned().ok_or_else(ApiError::not_found)?
            }
        };
        if !found.is_dir() {
            return Err(ApiError::new("FileNotFolderErrorCode", "not a folder"));
        }
        let mut info = self.folder_info(&tree, &found);
        if self.arg("pathList") == "1"
            && let Some(info) = info.as_object_mut()
        {
            info.insert(
                "parentFolderListAO".to_owned(),
                self.parents(&tree, &found.parent),
            );
        }
        Ok(info)
    }

    /// `getUserSizeInfo.action`.
    pub(super) fn quota(&self) -> Value {
        let knobs = &self.account.knobs;
        let tree = self.account.tree();
        let space = |scope: Scope, root: &str| {
            let (total, used) = (space(&self.account, scope), used(&tree, root));
            json!({
                "totalSize": number_value(knobs, total), "usedSize": number_value(knobs, used),
                "freeSize": number_value(knobs, total.saturating_sub(used)),
                "mail189UsedSize": 0,
            })
        };
        let total = space_of(&self.account);
        ok(json!({
            "account": login_name(&self.account),
            "cloudCapacityInfo": space(Scope::Personal, ROOT),
            "familyCapacityInfo": space(Scope::Family, &family_root(self.account.number)),
            "totalSize": number_value(knobs, total),
        }))
    }

    /// `getUserInfo.action`.
    pub(super) fn user(&self) -> Value {
        let total = space_of(&self.account);
        let used = used(&self.account.tree(), ROOT);
        ok(json!({
            "loginName": format!("{}@189.cn", login_name(&self.account)), "capacity": total,
            "available": total.saturating_sub(used), "maxFilesize": max_file(&self.account),
        }))
    }

    /// `getUserPrivileges.action`.
    pub(super) fn privileges(&self) -> Value {
        let flow = self.account.knobs.number("day_flow", 2 << 40);
        ok(json!({
            "transDayFlow": flow, "usedDayFlow": self.spent_flow(),
            "transFileSize": max_file(&self.account), "transConcurrent": 5,
        }))
    }

    /// `getFamilyList.action`.
    pub(super) fn family_list(&self) -> Value {
        ok(json!({ "familyInfoResp": [{
            "familyId": family_id(&self.account), "remarkName": "家", "userRole": 1, "type": 1,
            "useFlag": 1, "count": 2, "createTime": "2024-01-01 08:00:00",
            "expireTime": "2099-01-01 08:00:00",
        }]}))
    }
}

/// Largest file of an account.
pub(super) fn max_file(account: &Account) -> u64 {
    account.knobs.number("max_file_size", 1 << 40)
}

fn space_of(account: &Account) -> u64 {
    space(account, Scope::Personal)
}

/// Space of an account or its family.
pub(super) fn space(account: &Account, scope: Scope) -> u64 {
    match scope {
        Scope::Personal => account.knobs.number("total_size", 2 << 40),
        Scope::Family => account.knobs.number("family_size", 1 << 40),
    }
}
