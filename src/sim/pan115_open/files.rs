//! List, stat, search and user (115_open.md sections 4.2, 4.3, 4.9, 4.10).

use serde_json::{Map, Value, json};

use super::super::account::Account;
use super::super::digest::HashKind;
use super::super::faults::FaultKind;
use super::super::tree::{Node, Tree};
use super::errors::{ApiError, granted};
use super::{Ctx, ROOT, pickcode, user_id};

/// Extensions per `type` of the list: documents, pictures, sound, video, archives,
/// programs, books.
const TYPES: [&[&str]; 7] = [
    &[
        "doc", "docx", "xls", "xlsx", "ppt", "pptx", "pdf", "txt", "md",
    ],
    &["jpg", "jpeg", "png", "gif", "bmp", "webp", "heic"],
    &["mp3", "flac", "wav", "aac", "m4a", "ogg"],
    &["mp4", "mkv", "avi", "mov", "wmv", "ts", "flv", "rmvb"],
    &["zip", "rar", "7z", "tar", "gz", "iso"],
    &["exe", "msi", "apk", "dmg", "deb"],
    &["epub", "mobi", "azw3"],
];

pub(super) const ROOT_NAME: &str = "根目录";

/// What follows the last dot, lower case; empty when there is none.
pub(super) fn extension(name: &str) -> String {
    name.rsplit_once('.')
        .map_or(String::new(), |(_, ext)| ext.to_lowercase())
}

pub(super) fn is_video(name: &str) -> bool {
    TYPES[3].contains(&extension(name).as_str())
}

/// Upper-case SHA-1 of what the provider believes the content to be; empty for folders.
pub(super) async fn sha1_of(node: &Node) -> String {
    match &node.blob {
        Some(blob) => blob.digest(HashKind::Sha1).await.to_uppercase(),
        None => String::new(),
    }
}

/// An entry, also a dangling one, that is not in the trash, nor a folder above it.
pub(super) fn untrashed<'t>(tree: &'t Tree, id: &str) -> Option<&'t Node> {
    let node = tree.get(id)?;
    let mut above = Some(node);
    while let Some(at) = above {
        if at.trashed.is_some() {
            return None;
        }
        above = tree.get(&at.parent);
    }
    Some(node)
}

/// Live files below a folder, in whatever depth.
fn files_below(tree: &Tree, dir: &str) -> Vec<Node> {
    let mut found = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(at) = todo.pop() {
        for child in tree.children(&at) {
            if child.is_dir() {
                todo.push(child.id.clone());
            } else {
                found.push(child.clone());
            }
        }
    }
    found
}

/// A size as people read it.
pub(super) fn human(size: u64) -> String {
    const UNITS: [&str; 5] = ["KB", "MB", "GB", "TB", "PB"];
    if size < 1024 {
        return format!("{size}B");
    }
    let mut value = size as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.2}{}", UNITS[unit])
}

/// The folders from the root down to `id` (inclusive when it is one).
pub(super) fn chain(tree: &Tree, id: &str) -> Vec<Node> {
    let mut all = Vec::new();
    let mut at = tree.get(id);
    while let Some(node) = at {
        if node.is_dir() {
            all.push(node.clone());
        }
        at = tree.get(&node.parent);
    }
    all.reverse();
    all
}

/// Sorts a listing, folders first unless they are mixed with the files.
pub(super) fn sort(nodes: &mut [Node], order: &str, asc: bool, mixed: bool) {
    nodes.sort_by(|a, b| {
        let by = match order {
            "file_name" => a.name.cmp(&b.name),
            "file_size" => a.size().cmp(&b.size()),
            "user_utime" => a.modified.cmp(&b.modified),
            "file_type" => extension(&a.name).cmp(&extension(&b.name)),
            _ => a.created.cmp(&b.created),
        };
        let by = by.then_with(|| a.id.cmp(&b.id));
        let folders_first = match mixed {
            true => std::cmp::Ordering::Equal,
            false => b.is_dir().cmp(&a.is_dir()),
        };
        folders_first.then(if asc { by } else { by.reverse() })
    });
}

impl Ctx<'_> {
    /// A number as the list writes it: knob `text_numbers` makes it a string.
    pub(super) fn figure(&self, number: impl Into<Value>) -> Value {
        let value = number.into();
        match self.flag("text_numbers") {
            true => json!(value.to_string()),
            false => value,
        }
    }

    fn entry(&self, node: &Node, sha1: &str) -> Value {
        let dir = node.is_dir();
        let ext = if dir {
            String::new()
        } else {
            extension(&node.name)
        };
        let (created, modified) = (
            node.created.div_euclid(1000),
            node.modified.div_euclid(1000),
        );
        json!({
            "fid": node.id, "aid": "1", "pid": node.parent, "fc": if dir { "0" } else { "1" },
            "fn": node.name, "fco": "", "ism": star(node), "isp": 0,
            "pc": pickcode::encode(&node.id, dir, self.account.number),
            "upt": self.figure(modified), "uet": self.figure(modified),
            "uppt": self.figure(created), "cm": 0, "fdesc": "", "ispl": 0, "fl": [],
            "sha1": sha1, "fs": self.figure(node.size()),
            "fta": if node.pending { "0" } else { "1" }, "ico": ext, "fatr": "0",
            "isv": u8::from(!dir && is_video(&node.name)), "thumb": "", "uo": "",
        })
    }

    /// Unfinished uploads into a folder, as entries.
    fn pending(&self, dir: &str) -> Vec<Node> {
        let state = self.sim.state();
        let own = state
            .tasks
            .values()
            .filter(|task| task.account.number == self.account.number && task.parent == dir);
        own.map(|task| Node {
            pending: true,
            blob: Some(super::super::content::Blob::synthetic(0, task.size)),
            ..Node::dir(&task.id, dir, &task.name, task.created)
        })
        .collect()
    }

    /// What a listing shows of the folder or, recursively, of everything below it.
    pub(super) fn listed(&self, dir: &str) -> Vec<Node> {
        let (ext, kind) = (
            self.text("suffix").to_lowercase(),
            self.params.number("type", 0),
        );
        let folders = self.params.number("show_dir", 0) == 1;
        let filtered = !ext.is_empty() || kind != 0;
        let mut nodes = if self.params.number("cur", 0) == 0 && (filtered || !folders) {
            files_below(&self.account.tree(), dir)
        } else {
            self.account.listed(self.op, dir, self.now())
        };
        if self.flag("show_pending") {
            nodes.extend(self.pending(dir));
        }
        let (min, max) = (
            self.params.number("min_size", 0),
            self.params.number("max_size", 0),
        );
        let types = usize::try_from(kind)
            .ok()
            .and_then(|k| TYPES.get(k.checked_sub(1)?));
        nodes.retain(|node| {
            let own = extension(&node.name);
            (folders || !node.is_dir())
                && (self.params.number("nf", 0) == 0 || node.is_dir())
                && (ext.is_empty() || (!node.is_dir() && own == ext))
                && (kind == 0
                    || (!node.is_dir() && types.is_some_and(|t| t.contains(&own.as_str()))))
                && (self.params.number("star", 0) == 0 || star(node) == "1")
                && (node.is_dir() || node.size() >= min)
                && (node.is_dir() || max == 0 || node.size() <= max)
        });
        nodes
    }

    /// The folder that a list asks for and the way to it. An unknown `cid` is the root.
    pub(super) fn opened(&self) -> (String, Vec<Node>) {
        let asked = match self.text("cid") {
            "" => ROOT,
            cid => cid,
        };
        let tree = self.account.tree();
        let dir = tree
            .live_dir(asked)
            .map_or(ROOT, |node| &node.id)
            .to_owned();
        let path = chain(&tree, &dir);
        (dir, path)
    }

    /// `GET /open/ufile/files`. An unknown `cid` is the root.
    pub(super) async fn list(&self) -> Result<Value, ApiError> {
        let (dir, path) = self.opened();
        let mut nodes = self.listed(&dir);
        let custom = self.params.number("custom_order", 0);
        let honoured = matches!(custom, 1 | 2);
        // Without custom_order the folder's remembered order counts: newest first here.
        let (order, asc) = match (honoured, self.text("o")) {
            (true, o @ ("file_name" | "file_size" | "user_utime" | "file_type" | "user_ptime")) => {
                (o, self.params.number("asc", 0) == 1)
            }
            (true, "") | (false, _) => ("user_ptime", false),
            (true, _) => return Err(ApiError::parameter("o")),
        };
        sort(&mut nodes, order, asc, custom == 2);
        let cap = self.account.knobs.number("max_limit", 1150);
        let limit = match self.params.number("limit", 20) {
            0 => 20,
            limit => limit.min(cap),
        };
        let offset = self.params.number("offset", 0);
        let count = nodes.len();
        let skip = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut page: Vec<Node> = nodes
            .into_iter()
            .skip(skip)
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .collect();
        let faults = &self.account.faults;
        if faults.take(self.op, FaultKind::TruncatedPage).is_some() {
            page.truncate((page.len() / 2).max(1));
        }
        let mut data = Vec::with_capacity(page.len());
        for node in &page {
            data.push(self.entry(node, &sha1_of(node).await));
        }
        let data = match faults.take(self.op, FaultKind::NullList) {
            Some(_) => Value::Null,
            None => json!(data),
        };
        let path: Vec<Value> = path.iter().map(|node| self.path_step(node)).collect();
        Ok(json!({
            "state": true, "message": "", "code": 0, "data": data,
            "count": self.figure(count), "sys_count": 0, "offset": self.figure(offset),
            "limit": self.figure(limit), "aid": 1,
            "cid": self.figure(dir.parse::<u64>().unwrap_or(0)), "is_asc": u8::from(asc),
            "min_size": 0, "max_size": 0, "sys_dir": "", "hide_data": "",
            "record_open_time": "1", "star": self.params.number("star", 0),
            "type": self.params.number("type", 0), "suffix": self.text("suffix"),
            "path": path, "cur": self.params.number("cur", 0), "stdir": 1, "fields": "",
            "order": order,
        }))
    }

    /// An element of `path`: the root's ids are numbers, those of others strings.
    fn path_step(&self, node: &Node) -> Value {
        if node.id == ROOT {
            return json!({
                "name": ROOT_NAME, "aid": 1, "cid": 0, "pid": 0, "isp": 0, "p_cid": "0", "fv": "0",
            });
        }
        json!({
            "name": node.name, "aid": "1", "cid": node.id, "pid": node.parent, "isp": "0",
            "p_cid": "0", "fv": "0",
        })
    }

    /// The node that a stat asks for.
    fn asked(&self) -> Result<Option<Node>, ApiError> {
        let id = self.text("file_id");
        if !id.is_empty() {
            let tree = self.account.tree();
            // Found by id are dangling entries too (section 4.7): whether one is reachable
            // shows only in a listing.
            let found = match self.flag("stat_trashed") {
                true => tree.get(id),
                false => untrashed(&tree, id),
            };
            return Ok(found.cloned());
        }
        let path = self.required("path")?.replace('>', "/");
        Ok(self.by_path(&path, false))
    }

    /// The entry at a path, or only folders of it. Lookups by path lag behind: they do not
    /// know the newest entries.
    pub(super) fn by_path(&self, path: &str, folders: bool) -> Option<Node> {
        let tree = self.account.tree();
        let lag = self.account.knobs.number("path_lag_ms", 1500);
        let since = self
            .now()
            .saturating_sub(i64::try_from(lag).unwrap_or(i64::MAX));
        let mut at = tree.get(ROOT);
        for name in path
            .split('/')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            let Some(dir) = at else { break };
            let mut found = tree.find(&dir.id, name).into_iter();
            at = found.find(|node| {
                (node.is_dir() || !folders)
                    && (node.created <= since || node.extra.contains_key("old"))
            });
        }
        at.cloned()
    }

    /// `get_info`, by id or path.
    pub(super) async fn stat(&self) -> Result<Value, ApiError> {
        let Some(node) = self.asked()? else {
            if self.flag("stat_missing_code") {
                return Err(ApiError::new(430_004, "文件（夹）不存在或已删除"));
            }
            return Ok(granted(json!([])));
        };
        let data = self.described(&node).await;
        Ok(granted(match self.flag("stat_array") {
            true => json!([data]),
            false => data,
        }))
    }

    /// What `get_info` tells of an entry.
    pub(super) async fn described(&self, node: &Node) -> Value {
        let sha1 = sha1_of(node).await;
        let (files, folders, size, paths) = {
            let tree = self.account.tree();
            let below = match node.is_dir() {
                true => files_below(&tree, &node.id),
                false => vec![node.clone()],
            };
            let size = below
                .iter()
                .fold(0_u64, |sum, file| sum.saturating_add(file.size()));
            (
                below.len(),
                folders_below(&tree, &node.id),
                size,
                chain(&tree, &node.parent),
            )
        };
        let paths: Vec<Value> = paths
            .iter()
            .map(|step| match step.id.as_str() {
                ROOT => json!({ "file_id": 0, "file_name": ROOT_NAME }),
                id => json!({ "file_id": id, "file_name": step.name }),
            })
            .collect();
        let dir = node.is_dir();
        let name = if node.id == ROOT {
            ROOT_NAME
        } else {
            &node.name
        };
        json!({
            "count": files.to_string(), "size": human(size), "size_byte": size,
            "folder_count": folders.to_string(), "play_long": 0, "show_play_long": 0,
            "ptime": node.created.div_euclid(1000).to_string(),
            "utime": node.modified.div_euclid(1000).to_string(), "file_name": name,
            "pick_code": pickcode::encode(&node.id, dir, self.account.number),
            "sha1": sha1, "file_id": node.id, "is_mark": star(node), "open_time": 0,
            "file_category": if dir { "0" } else { "1" }, "paths": paths,
        })
    }

    /// Everything below `cid` that a search finds.
    pub(super) async fn matching(&self) -> Result<Vec<Node>, ApiError> {
        let wanted = self.required("search_value")?.to_lowercase();
        let by_hash = wanted.len() == 40 && wanted.bytes().all(|b| b.is_ascii_hexdigit());
        let candidates: Vec<Node> = {
            let tree = self.account.tree();
            let cid = match self.text("cid") {
                "" => ROOT,
                cid => cid,
            };
            let within = |node: &&Node| {
                tree.live(&node.id).is_some() && node.id != cid && tree.is_below(&node.id, cid)
            };
            tree.walk().into_iter().filter(within).cloned().collect()
        };
        let (fc, ext) = (
            self.params.number("fc", 0),
            self.text("suffix").to_lowercase(),
        );
        let mut found = Vec::new();
        for node in candidates {
            let kind = fc == 0 || (fc == 1) == node.is_dir();
            let suffix = ext.is_empty() || (!node.is_dir() && extension(&node.name) == ext);
            if !kind || !suffix {
                continue;
            }
            let sha1 = match by_hash {
                true => sha1_of(&node).await,
                false => String::new(),
            };
            if node.name.to_lowercase().contains(&wanted) || sha1.eq_ignore_ascii_case(&wanted) {
                found.push(node);
            }
        }
        Ok(found)
    }

    /// Limit and offset of a search; no further than the ten thousandth.
    pub(super) fn window(&self, usual: u64) -> Result<(u64, u64), ApiError> {
        let (limit, offset) = (
            self.params.number("limit", usual).min(1150),
            self.params.number("offset", 0),
        );
        match limit.saturating_add(offset) > 10_000 {
            true => Err(ApiError::parameter("offset")),
            false => Ok((limit, offset)),
        }
    }

    /// `GET /open/ufile/search`.
    pub(super) async fn search(&self) -> Result<Value, ApiError> {
        let (limit, offset) = self.window(20)?;
        let found = self.matching().await?;
        let count = found.len();
        let mut data = Vec::new();
        for node in found.iter().skip(offset as usize).take(limit as usize) {
            let dir = node.is_dir();
            data.push(json!({
                "file_id": node.id, "parent_id": node.parent, "file_name": node.name,
                "file_size": node.size().to_string(), "sha1": sha1_of(node).await,
                "pick_code": pickcode::encode(&node.id, dir, self.account.number),
                "user_ptime": node.created.div_euclid(1000).to_string(),
                "user_utime": node.modified.div_euclid(1000).to_string(), "area_id": "1",
                "file_category": if dir { "0" } else { "1" }, "ico": extension(&node.name),
                "is_private": "0",
            }));
        }
        let mut answer = granted(json!(data));
        if let Some(object) = answer.as_object_mut() {
            let paging = [
                ("count", count as u64),
                ("limit", limit),
                ("offset", offset),
            ];
            object.extend(paging.map(|(key, value)| (key.to_owned(), json!(value))));
        }
        Ok(answer)
    }

    /// `GET /open/user/info`. The three sizes come in the three types that occur.
    pub(super) fn quota(&self) -> Result<Value, ApiError> {
        let (total, used) = self.space();
        let remain = total.saturating_sub(used);
        let format = |size: u64, value: Value| json!({ "size": value, "size_format": human(size) });
        let vip = match is_vip(&self.account) {
            true => json!({
                "level_name": "年费VIP", "expire": self.now().div_euclid(1000) + 30_000_000,
            }),
            false => json!({ "level_name": "原石用户", "expire": 0 }),
        };
        Ok(granted(json!({
            "user_id": user_id(&self.account), "user_name": self.account.profile,
            "user_face_s": "", "vip_info": vip,
            "rt_space_info": {
                "all_total": format(total, json!(total)),
                "all_remain": format(remain, json!(remain as f64)),
                "all_use": format(used, json!(used.to_string())),
            },
        })))
    }

    /// Total and used bytes; trash counts (section 9).
    pub(super) fn space(&self) -> (u64, u64) {
        let total = self.account.knobs.number("total_size", 16 << 40);
        (total, self.account.tree().used())
    }
}

/// `"1"` for a starred entry.
pub(super) fn star(node: &Node) -> &str {
    match node.text("star") {
        "1" => "1",
        _ => "0",
    }
}

/// Account 1 is VIP unless the knob says otherwise.
pub(super) fn is_vip(account: &Account) -> bool {
    match account.knobs.text("vip") {
        Some(_) => account.knobs.flag("vip"),
        None => account.number == 1,
    }
}

fn folders_below(tree: &Tree, dir: &str) -> usize {
    let below = tree.children(dir).filter(|node| node.is_dir());
    below.map(|node| 1 + folders_below(tree, &node.id)).sum()
}

/// An entry of the trash (section 4.8).
pub(super) fn trash_entry(node: &Node, parent: Option<&Node>, sha1: &str, account: usize) -> Value {
    let dir = node.is_dir();
    let parent_name = match parent {
        Some(parent) if parent.id == ROOT => ROOT_NAME,
        Some(parent) => &parent.name,
        None => "",
    };
    let mut entry = Map::new();
    for (key, value) in [
        ("id", node.id.as_str()),
        ("file_name", &node.name),
        ("type", if dir { "2" } else { "1" }),
        ("file_size", &node.size().to_string()),
        (
            "dtime",
            &node.trashed.unwrap_or(0).div_euclid(1000).to_string(),
        ),
        ("thumb_url", ""),
        ("status", "0"),
        ("cid", &node.parent),
        ("parent_name", parent_name),
        ("pick_code", &pickcode::encode(&node.id, dir, account)),
        ("ico", &extension(&node.name)),
        ("muc", ""),
        ("d_img", ""),
        ("sha1", sha1),
    ] {
        entry.insert(key.to_owned(), json!(value));
    }
    let video = !dir && is_video(&node.name);
    entry.insert("isv".to_owned(), json!(u8::from(video)));
    Value::Object(entry)
}
