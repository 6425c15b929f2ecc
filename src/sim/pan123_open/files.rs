//! User, lists and metadata (123_open.md sections 4.1 to 4.4).

use serde_json::{Value, json};

use super::super::account::Account;
use super::super::clock::beijing;
use super::super::digest::HashKind;
use super::super::faults::FaultKind;
use super::super::tree::{Node, Tree};
use super::errors::ApiError;
use super::{Ctx, uid};

/// Entries per page at most.
const PAGE: i64 = 100;

/// Id as the number it is.
pub(super) fn number(id: &str) -> u64 {
    id.parse().unwrap_or(0)
}

/// Bytes of the files that are not in the trash.
pub(super) fn used(tree: &Tree) -> u64 {
    let live = tree.walk().into_iter();
    live.filter(|node| !node.is_dir() && tree.live(&node.id).is_some())
        .map(Node::size)
        .sum()
}

/// Space of an account.
pub(super) fn space(account: &Account) -> u64 {
    account.knobs.number("total_size", 2 << 40)
}

/// Whether a file is the one a knob names by its path.
pub(super) fn named_by(account: &Account, knob: &str, id: &str) -> bool {
    account
        .knobs
        .text(knob)
        .is_some_and(|path| account.tree().path_of(id) == path)
}

fn category(node: &Node) -> u64 {
    let ext = node.name.rsplit_once('.').map_or("", |(_, ext)| ext);
    match ext.to_ascii_lowercase().as_str() {
        _ if node.is_dir() => 0,
        "mp3" | "flac" | "wav" | "m4a" => 1,
        "mp4" | "mkv" | "avi" | "mov" => 2,
        "jpg" | "jpeg" | "png" | "gif" | "webp" => 3,
        _ => 0,
    }
}

/// MD5 as listings show it: of what the server believes it has.
async fn etag(node: &Node) -> String {
    match &node.blob {
        Some(blob) => blob.digest(HashKind::Md5).await,
        None => String::new(),
    }
}

impl Ctx<'_> {
    pub(super) fn user_info(&self) -> Value {
        let free = self.account.knobs.text("vip").as_deref() == Some("false");
        let vip = match free {
            true => Value::Null,
            false => json!([{
                "vipLevel": 1, "vipLabel": "VIP",
                "startTime": "2024-01-01 00:00:00", "endTime": "2099-01-01 00:00:00",
            }]),
        };
        json!({
            "uid": uid(&self.account), "nickname": self.account.profile, "headImage": "",
            "passport": "13800000000", "mail": "", "spaceUsed": used(&self.account.tree()),
            "spacePermanent": space(&self.account), "spaceTemp": 0, "spaceTempExpr": 0,
            "vip": !free, "directTraffic": 0, "isHideUID": false, "httpsCount": 0,
            "vipInfo": vip, "developerInfo": null,
        })
    }

    /// An entry of list v2 and infos.
    async fn item(&self, node: &Node, trashed: bool) -> Value {
        let status = match (node.is_dir(), named_by(&self.account, "rejected", &node.id)) {
            (true, _) => 0,
            (false, true) => 104,
            (false, false) => 2,
        };
        json!({
            "fileId": number(&node.id), "filename": node.name,
            "parentFileId": number(&node.parent), "type": u8::from(node.is_dir()),
            "etag": etag(node).await, "size": node.size(), "category": category(node),
            "status": status, "punishFlag": 0,
            "s3KeyFlag": format!("{}-0", uid(&self.account)),
            "storageNode": if node.is_dir() { "m0" } else { "m16" },
            "trashed": u8::from(trashed), "createAt": beijing(node.created),
            "updateAt": beijing(node.modified),
        })
    }

    /// An entry of list v1: other spellings, and times with the zone's name.
    async fn item_v1(&self, node: &Node, parent_name: &str, trashed: bool) -> Value {
        let mut item = self.item(node, trashed).await;
        if let Some(object) = item.as_object_mut() {
            object.remove("fileId");
            object.remove("trashed");
            let zoned = |ms| json!(format!("{} +0800 CST", beijing(ms)));
            object.extend([
                ("fileID".to_owned(), json!(number(&node.id))),
                ("parentName".to_owned(), json!(parent_name)),
                ("contentType".to_owned(), json!("0")),
                ("hidden".to_owned(), json!(false)),
                ("createAt".to_owned(), zoned(node.created)),
                ("updateAt".to_owned(), zoned(node.modified)),
                ("thumbnail".to_owned(), json!("")),
                ("downloadUrl".to_owned(), json!("")),
            ]);
        }
        item
    }

    fn limit(&self) -> Result<usize, ApiError> {
        match self.args.number("limit")? {
            Some(limit) if (1..=PAGE).contains(&limit) => Ok(limit as usize),
            _ => Err(ApiError::general("limit 最大不超过100")),
        }
    }

    /// Nodes that a search finds: by name anywhere, the newest ones not yet.
    fn found(&self, wanted: &str) -> Result<Vec<(Node, bool)>, ApiError> {
        let exact = match self.args.number("searchMode")? {
            None | Some(0) => false,
            Some(1) => true,
            Some(_) => return Err(ApiError::parameter("searchMode")),
        };
        let lag = self.account.knobs.number("search_lag_ms", 20_000);
        let seen = self.now().saturating_sub(i64::try_from(lag).unwrap_or(0));
        let tree = self.account.tree();
        let all = tree.walk().into_iter();
        Ok(all
            .filter(|node| match exact {
                true => node.name == wanted,
                false => node.name.contains(wanted),
            })
            .filter(|node| !node.pending && node.created <= seen)
            .map(|node| (node.clone(), tree.live(&node.id).is_none()))
            .collect())
    }

    /// What a directory holds, in the bin or not.
    fn held(&self, parent: &str) -> Result<Vec<(Node, bool)>, ApiError> {
        let hidden_since = self
            .account
            .faults
            .take_number(self.op, FaultKind::Lag, 20_000)
            .map_or(i64::MAX, |ms| {
                self.now()
                    .saturating_sub(i64::try_from(ms).unwrap_or(i64::MAX))
            });
        let tree = self.account.tree();
        if !tree.get(parent).is_some_and(Node::is_dir) {
            return match self.account.knobs.text("missing_parent").as_deref() {
                Some("empty") => Ok(Vec::new()),
                Some("1") => Err(ApiError::no_parent()),
                _ => Err(ApiError::no_file()),
            };
        }
        let all = tree.all_children(parent);
        Ok(all
            .filter(|node| !node.pending && node.created < hidden_since)
            .map(|node| (node.clone(), tree.live(&node.id).is_none()))
            .collect())
    }

    /// `GET /api/v2/file/list`. Entries of the bin are among the others; the argument
    /// `trashed` changes nothing (section 1, rule 1).
    pub(super) async fn list(&self) -> Result<Value, ApiError> {
        let limit = self.limit()?;
        let parent = self.args.id("parentFileId");
        let after = self.args.number("lastFileId")?.unwrap_or(0);
        let mut rows = match self.args.text("searchData") {
            "" => self.held(&parent?)?,
            wanted => self.found(wanted)?,
        };
        rows.sort_by_key(|(node, _)| number(&node.id));
        match u64::try_from(after) {
            Ok(after) => rows.retain(|(node, _)| number(&node.id) > after),
            Err(_) => rows.clear(),
        }
        let mut page = limit.min(rows.len());
        if self.struck(FaultKind::TruncatedPage) {
            page = page.div_ceil(2);
        }
        let more = page < rows.len();
        rows.truncate(page);
        let last = match rows.last() {
            Some((node, _)) if more => json!(number(&node.id)),
            _ => json!(-1),
        };
        let mut list = Vec::with_capacity(rows.len());
        for (node, trashed) in &rows {
            list.push(self.item(node, *trashed).await);
        }
        let null = self.account.knobs.text("empty_list").as_deref() == Some("null");
        if self.struck(FaultKind::NullList) || (null && list.is_empty()) {
            return Ok(json!({ "lastFileId": last, "fileList": null }));
        }
        Ok(json!({ "lastFileId": last, "fileList": list }))
    }

    fn struck(&self, kind: FaultKind) -> bool {
        self.account.faults.take(self.op, kind).is_some()
    }

    /// `GET /api/v1/file/list`: pages by number, sorted; with `trashed` the whole bin.
    pub(super) async fn list_v1(&self) -> Result<Value, ApiError> {
        let limit = self.limit()?;
        let parent = self.args.id("parentFileId")?;
        let page = match self.args.number("page")? {
            Some(page) if page >= 1 => usize::try_from(page).unwrap_or(usize::MAX),
            _ => return Err(ApiError::parameter("page")),
        };
        let bin = self.args.flag("trashed")?;
        let mut rows = match (bin, self.args.text("searchData")) {
            (true, _) => {
                let tree = self.account.tree();
                let all = tree.walk().into_iter();
                all.filter(|node| node.trashed.is_some())
                    .map(|node| (node.clone(), true))
                    .collect()
            }
            (false, "") => self.held(&parent)?,
            (false, wanted) => self.found(wanted)?,
        };
        rows.retain(|(_, trashed)| *trashed == bin);
        match self.args.text("orderBy") {
            "" | "file_id" => rows.sort_by_key(|(node, _)| number(&node.id)),
            "file_name" => rows.sort_by(|a, b| a.0.name.cmp(&b.0.name)),
            "size" => rows.sort_by_key(|(node, _)| node.size()),
            "create_at" => rows.sort_by_key(|(node, _)| node.created),
            "update_at" => rows.sort_by_key(|(node, _)| node.modified),
            _ => return Err(ApiError::parameter("orderBy")),
        }
        match self.args.text("orderDirection") {
            "" | "asc" => {}
            "desc" => rows.reverse(),
            _ => return Err(ApiError::parameter("orderDirection")),
        }
        let total = rows.len();
        let shown = rows.into_iter().skip((page - 1).saturating_mul(limit));
        let mut list = Vec::new();
        for (node, trashed) in shown.take(limit) {
            let parent_name = {
                let tree = self.account.tree();
                tree.get(&node.parent).map(|parent| parent.name.clone())
            };
            let parent_name = parent_name.unwrap_or_default();
            list.push(self.item_v1(&node, &parent_name, trashed).await);
        }
        Ok(json!({ "total": total, "fileList": list }))
    }

    /// A node in whatever state, and whether it is in the bin.
    fn any_node(&self, id: &str) -> Option<(Node, bool)> {
        let tree = self.account.tree();
        let node = tree.get(id).filter(|node| !node.parent.is_empty())?;
        Some((node.clone(), tree.live(id).is_none()))
    }

    /// `GET /api/v1/file/detail`.
    pub(super) async fn detail(&self) -> Result<Value, ApiError> {
        let id = self.args.id("fileID")?;
        let (node, trashed) = self.any_node(&id).ok_or_else(ApiError::no_file)?;
        let size = match node.is_dir() {
            false => node.size(),
            true => {
                let tree = self.account.tree();
                let below = tree.walk().into_iter();
                below
                    .filter(|other| tree.is_below(&other.id, &id))
                    .map(Node::size)
                    .sum()
            }
        };
        let rejected = named_by(&self.account, "rejected", &id);
        Ok(json!({
            "fileID": number(&id), "filename": node.name, "type": u8::from(node.is_dir()),
            "size": size, "etag": etag(&node).await,
            "status": if rejected { 104 } else if node.is_dir() { 0 } else { 2 },
            "parentFileID": number(&node.parent), "createAt": beijing(node.created),
            "trashed": u8::from(trashed),
        }))
    }

    /// `POST /api/v1/file/infos`: unknown ids are left out.
    pub(super) async fn infos(&self) -> Result<Value, ApiError> {
        let mut list = Vec::new();
        for id in self.args.ids("fileIds", 100)? {
            if let Some((node, trashed)) = self.any_node(&id) {
                list.push(self.item(&node, trashed).await);
            }
        }
        let key = self.account.knobs.text("infos_key");
        Ok(match key.as_deref() {
            Some("fileList") => json!({ "fileList": list }),
            _ => json!({ "list": list }),
        })
    }
}
