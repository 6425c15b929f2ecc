//! Lists, search, metadata, user and quota (baidu_netdisk.md sections 4.1 to 4.6).

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use super::super::faults::FaultKind;
use super::super::tree::{Node, Tree};
use super::Ctx;
use super::args::Args;
use super::entries::{category, entry, fs_id, listed, space, used};
use super::errors::ApiError;
use super::paths;

/// Hits of a page of a search.
const SEARCH_PAGE: u64 = 500;

/// A node and its path.
type Row = (Node, String);

/// The order of a list: directories first whatever the key.
fn sort(rows: &mut [Row], query: &Args, default: &str) -> Result<(), ApiError> {
    let key = match query.text("order") {
        "" => default,
        order @ ("name" | "time" | "size") => order,
        _ => return Err(ApiError::parameter("order")),
    };
    let desc = query.flag("desc")?;
    let by = |a: &Node, b: &Node| match key {
        "time" => a.modified.cmp(&b.modified),
        "size" => a.size().cmp(&b.size()),
        _ => Ordering::Equal,
    };
    rows.sort_by(|(a, a_path), (b, b_path)| {
        let keyed = by(a, b)
            .then_with(|| a.name.cmp(&b.name))
            .then_with(|| a_path.cmp(b_path));
        let keyed = if desc { keyed.reverse() } else { keyed };
        b.is_dir().cmp(&a.is_dir()).then(keyed)
    });
    Ok(())
}

impl Ctx<'_> {
    /// `GET xpan/nas?method=uinfo`.
    pub(super) fn user_info(&self) -> Value {
        json!({
            "baidu_name": self.account.profile, "netdisk_name": self.account.profile,
            "avatar_url": "", "vip_type": self.level(), "uk": super::uk(&self.account),
            "errmsg": "succ",
        })
    }

    /// `GET /api/quota`.
    pub(super) fn quota(&self) -> Result<Value, ApiError> {
        let (total, used) = (space(&self.account), used(&self.account.tree()));
        let free = match self.query.flag("checkfree")? {
            true => total.saturating_sub(used),
            false => 0,
        };
        self.query.flag("checkexpire")?;
        Ok(json!({
            "total": total, "used": used, "free": free, "expire": false,
            "server_time": self.now().div_euclid(1000),
        }))
    }

    fn struck(&self, kind: FaultKind) -> bool {
        self.account.faults.take(self.op, kind).is_some()
    }

    /// Entries younger than this are not shown yet: the fault `lag`, the knob
    /// `visibility_ms`.
    fn seen_before(&self) -> i64 {
        let hidden = self.account.knobs.number("visibility_ms", 0);
        let lag = self
            .account
            .faults
            .take_number(self.op, FaultKind::Lag, 20_000);
        match hidden.max(lag.unwrap_or(0)) {
            0 => i64::MAX,
            ms => self
                .now()
                .saturating_sub(i64::try_from(ms).unwrap_or(i64::MAX)),
        }
    }

    /// What is below a directory: its children, or everything.
    fn below(&self, tree: &Tree, dir: &Node, recursion: bool) -> Vec<Row> {
        let before = self.seen_before();
        let mut rows = Vec::new();
        let mut todo = vec![dir.id.clone()];
        while let Some(id) = todo.pop() {
            for node in tree.children(&id).filter(|node| node.created < before) {
                if recursion && node.is_dir() {
                    todo.push(node.id.clone());
                }
                rows.push((node.clone(), tree.path_of(&node.id)));
            }
        }
        rows
    }

    /// `start` and `limit`.
    fn window(&self) -> Result<(usize, usize), ApiError> {
        let most = self.account.knobs.number("page_max", 1000);
        let start = self.query.number("start", 0)?;
        let limit = self.query.number("limit", most)?;
        if limit == 0 || limit > most {
            return Err(ApiError::parameter("limit"));
        }
        let start = usize::try_from(start).map_err(|_| ApiError::parameter("start"))?;
        Ok((start, limit as usize))
    }

    /// The page of `rows` that is asked for, and where the next one begins.
    fn page(&self, rows: Vec<Row>) -> Result<(Vec<Row>, usize, bool), ApiError> {
        let (start, limit) = self.window()?;
        let total = rows.len();
        let mut length = limit.min(total.saturating_sub(start));
        if self.struck(FaultKind::TruncatedPage) {
            length = length.div_ceil(2);
        }
        let page: Vec<Row> = rows.into_iter().skip(start).take(length).collect();
        let next = start.saturating_add(length);
        Ok((page, next, next < total))
    }

    async fn render(&self, rows: &[Row]) -> Vec<Value> {
        let mut list = Vec::with_capacity(rows.len());
        for (node, path) in rows {
            list.push(Value::Object(listed(&self.account, node, path).await));
        }
        list
    }

    /// A list, or `null` when the fault or the knob `empty_list` say so.
    fn or_null(&self, list: Vec<Value>) -> Value {
        let null = self.account.knobs.text("empty_list").as_deref() == Some("null");
        match self.struck(FaultKind::NullList) || (null && list.is_empty()) {
            true => Value::Null,
            false => Value::Array(list),
        }
    }

    /// `GET xpan/file?method=list`. There is no mark of the last page.
    pub(super) async fn list(&self) -> Result<Value, ApiError> {
        let dir = self.query.get("dir").unwrap_or("/");
        let only_dirs = self.query.flag("folder")?;
        let more = self.query.flag("web")? || self.query.flag("showempty")?;
        self.window()?;
        let mut rows = {
            let tree = self.account.tree();
            let dir = paths::dir_at(&tree, dir).ok_or_else(ApiError::not_found)?;
            self.below(&tree, dir, false)
        };
        sort(&mut rows, &self.query, "name")?;
        if only_dirs {
            rows.retain(|(node, _)| node.is_dir());
        }
        let (rows, _, _) = self.page(rows)?;
        let mut list = Vec::with_capacity(rows.len());
        for (node, path) in &rows {
            let mut item = match only_dirs {
                true => Map::from_iter([("path".to_owned(), json!(path))]),
                false => listed(&self.account, node, path).await,
            };
            if more && node.is_dir() {
                let empty = self.account.tree().children(&node.id).next().is_none();
                item.insert("dir_empty".to_owned(), json!(u8::from(empty)));
            }
            list.push(Value::Object(item));
        }
        Ok(json!({ "guid": 0, "guid_info": "", "list": self.or_null(list) }))
    }

    /// `GET xpan/multimedia?method=listall`.
    pub(super) async fn list_all(&self) -> Result<Value, ApiError> {
        if self.account.knobs.flag("strict_rates") {
            let bucket = format!("{}/list_all", self.account.profile);
            let taken = self.sim.kit.rates.take(&bucket, 10.0 / 60.0, 10.0);
            taken.map_err(|_| ApiError::new(31034, "hit frequency limit"))?;
        }
        let path = self.query.required("path")?;
        let recursion = self.query.flag("recursion")?;
        let (ctime, mtime) = (self.query.seconds("ctime")?, self.query.seconds("mtime")?);
        let mut rows = {
            let tree = self.account.tree();
            let dir = paths::dir_at(&tree, path).ok_or_else(ApiError::no_file)?;
            self.below(&tree, dir, recursion)
        };
        rows.retain(|(node, _)| {
            ctime.is_none_or(|after| node.created.div_euclid(1000) > after)
                && mtime.is_none_or(|after| node.modified.div_euclid(1000) > after)
        });
        sort(&mut rows, &self.query, "name")?;
        let (rows, cursor, has_more) = self.page(rows)?;
        let list = self.render(&rows).await;
        Ok(json!({
            "errmsg": "succ", "has_more": u8::from(has_more), "cursor": cursor,
            "list": self.or_null(list),
        }))
    }

    /// Pages counted from 1; without `page` everything.
    fn numbered(&self, rows: Vec<Row>, num: u64) -> Result<(Vec<Row>, bool), ApiError> {
        let Some(page) = self.query.get("page").filter(|page| !page.is_empty()) else {
            return Ok((rows, false));
        };
        let page: usize = page.parse().map_err(|_| ApiError::parameter("page"))?;
        let num = usize::try_from(num).map_err(|_| ApiError::parameter("num"))?;
        if page == 0 || num == 0 {
            return Err(ApiError::parameter("page"));
        }
        let start = (page - 1).saturating_mul(num);
        let more = rows.len() > start.saturating_add(num);
        Ok((rows.into_iter().skip(start).take(num).collect(), more))
    }

    /// `GET xpan/file?method=search`.
    pub(super) async fn search(&self) -> Result<Value, ApiError> {
        let key = self.query.required("key")?;
        if key.chars().count() > 30 {
            return Err(ApiError::parameter("key"));
        }
        let recursion = self.query.flag("recursion")?;
        let dir = self.query.get("dir").unwrap_or("/");
        self.query.flag("web")?;
        // Section 4.6: fixed.
        if self.query.number("num", SEARCH_PAGE)? != SEARCH_PAGE {
            return Err(ApiError::parameter("num"));
        }
        let kind = match self.query.number("category", 0)? {
            0 if self.query.text("category").is_empty() => None,
            kind @ 1..=7 => Some(kind),
            _ => return Err(ApiError::parameter("category")),
        };
        let mut rows = {
            let tree = self.account.tree();
            let dir = paths::dir_at(&tree, dir).ok_or_else(ApiError::not_found)?;
            self.below(&tree, dir, recursion)
        };
        rows.retain(|(node, _)| {
            node.name.contains(key) && kind.is_none_or(|kind| category(node) == kind)
        });
        sort(&mut rows, &Args::default(), "name")?;
        let (rows, more) = self.numbered(rows, SEARCH_PAGE)?;
        let list = self.render(&rows).await;
        Ok(json!({ "has_more": u8::from(more), "list": self.or_null(list) }))
    }

    /// `imagelist`, `doclist`, `videolist`, `btlist` (the array is called `info`) and
    /// `categorylist`.
    pub(super) async fn typed_list(&self) -> Result<Value, ApiError> {
        let (wanted, by_category): (Vec<u64>, bool) = match self.query.text("method") {
            "imagelist" => (vec![3], false),
            "doclist" => (vec![4], false),
            "videolist" => (vec![1], false),
            "btlist" => (vec![7], false),
            _ => {
                let list = self.query.required("category")?.split(',');
                let list: Result<Vec<u64>, _> = list.map(str::parse).collect();
                (list.map_err(|_| ApiError::parameter("category"))?, true)
            }
        };
        let parent = self.query.text("parent_path");
        let recursion = self.query.flag("recursion")? || (by_category && parent.is_empty());
        let parent = if parent.is_empty() { "/" } else { parent };
        let mut rows = {
            let tree = self.account.tree();
            let dir = paths::dir_at(&tree, parent).ok_or_else(ApiError::not_found)?;
            self.below(&tree, dir, recursion)
        };
        rows.retain(|(node, _)| !node.is_dir() && wanted.contains(&category(node)));
        sort(
            &mut rows,
            &self.query,
            if by_category { "name" } else { "time" },
        )?;
        if by_category {
            let (rows, cursor, more) = self.page(rows)?;
            let list = self.render(&rows).await;
            return Ok(json!({
                "has_more": u8::from(more), "cursor": cursor, "list": self.or_null(list),
            }));
        }
        // Newest first unless the query says otherwise.
        if self.query.get("desc").is_none() {
            rows.reverse();
        }
        let num = self.query.number("num", 1000)?;
        if num > self.account.knobs.number("page_max", 1000) {
            return Err(ApiError::parameter("num"));
        }
        let (rows, _) = self.numbered(rows, num)?;
        let list = self.render(&rows).await;
        Ok(json!({ "info": self.or_null(list) }))
    }

    /// `GET /api/categoryinfo`: how many files of one category there are, and their bytes. The
    /// sheet knows two keys for the answer (knob `category_info`).
    pub(super) fn category_info(&self) -> Result<Value, ApiError> {
        let kind: u64 = self.query.required("category")?.parse().unwrap_or(0);
        if !(1..=7).contains(&kind) {
            return Err(ApiError::parameter("category"));
        }
        let recursion = self.query.flag("recursion")?;
        let parent = self
            .query
            .get("parent_path")
            .filter(|path| !path.is_empty());
        let mut rows = {
            let tree = self.account.tree();
            let dir = paths::dir_at(&tree, parent.unwrap_or("/"));
            self.below(&tree, dir.ok_or_else(ApiError::not_found)?, recursion)
        };
        rows.retain(|(node, _)| !node.is_dir() && category(node) == kind);
        let size: u64 = rows.iter().map(|(node, _)| node.size()).sum();
        let counts = json!({ "count": rows.len(), "size": size, "total": rows.len() });
        let key = match self.account.knobs.text("category_info").as_deref() {
            Some("count") => "count",
            _ => "info",
        };
        Ok(json!({ key: { kind.to_string(): counts } }))
    }

    /// `GET xpan/multimedia?method=filemetas`: unknown ids are left out, the name is in
    /// `filename`.
    pub(super) async fn file_metas(&self) -> Result<Value, ApiError> {
        let ids = self.query.array("fsids")?;
        if ids.is_empty() || ids.len() > 100 {
            return Err(ApiError::parameter("fsids"));
        }
        let link = self.query.flag("dlink")?;
        let mut list = Vec::new();
        for id in ids {
            let id = id.as_u64().ok_or_else(|| ApiError::parameter("fsids"))?;
            let found = {
                let tree = self.account.tree();
                let node = tree
                    .live(&id.to_string())
                    .filter(|node| !node.parent.is_empty());
                node.map(|node| (node.clone(), tree.path_of(&node.id)))
            };
            let Some((node, path)) = found else {
                if self.account.knobs.text("unknown_id").as_deref() == Some("42214") {
                    return Err(ApiError::new(42214, "get file info failed"));
                }
                continue;
            };
            list.push(self.meta(&node, &path, link, false).await);
        }
        Ok(json!({ "errmsg": "succ", "names": {}, "list": self.or_null(list) }))
    }

    async fn meta(&self, node: &Node, path: &str, link: bool, open: bool) -> Value {
        let mut item = entry(&self.account, node, path).await;
        item.insert("filename".to_owned(), json!(node.name));
        if link && !node.is_dir() {
            let name = item
                .get("md5")
                .and_then(Value::as_str)
                .unwrap_or("file")
                .to_owned();
            let url = self.sim.dlink(&self.account, &node.id, &name, open);
            item.insert("dlink".to_owned(), json!(url));
        }
        Value::Object(item)
    }

    /// `GET /api/filemetas?target=["/a/b"]`: by path, in `info`; its links need no token.
    pub(super) async fn metas_by_path(&self) -> Result<Value, ApiError> {
        let targets = self.query.array("target")?;
        let link = self.query.flag("dlink")?;
        let mut info = Vec::new();
        for target in targets {
            let path = target
                .as_str()
                .ok_or_else(|| ApiError::parameter("target"))?;
            let node = paths::at(&self.account.tree(), path).cloned();
            info.push(match node {
                Some(node) => self.meta(&node, path, link, true).await,
                None => json!({ "errno": -9, "path": path, "fs_id": fs_id(&self.account, "0") }),
            });
        }
        match info.iter().any(|item| item["errno"] == -9) {
            true => Err(ApiError::batch(info)),
            false => Ok(json!({ "info": info })),
        }
    }
}
