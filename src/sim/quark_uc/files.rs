//! How entries look, lists, stat, search, quota (sheet quark, 4.1, 4.2, 4.10).

use serde_json::{Map, Value, json};

use super::super::account::Account;
use super::super::faults::FaultKind;
use super::super::tree::Node;
use super::ROOT;
use super::errors::ApiError;
use super::gate::Ctx;

/// Entries per page at most.
const LIST_MOST: i64 = 100;
/// Paths per call at most.
const PATHS_MOST: usize = 50;

/// A name as listings write it.
pub(super) fn escaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\'' => text.push_str("&#39;"),
            other => text.push(other),
        }
    }
    text
}

/// MIME type and category of a file name: 1 video, 2 audio, 3 picture, 4 document.
pub(super) fn kind_of(name: &str) -> (&'static str, u8) {
    let ext = name.rsplit_once('.').map_or("", |(_, ext)| ext);
    match ext.to_ascii_lowercase().as_str() {
        "mkv" => ("video/x-matroska", 1),
        "mp4" => ("video/mp4", 1),
        "mp3" => ("audio/mpeg", 2),
        "flac" => ("audio/flac", 2),
        "jpg" | "jpeg" => ("image/jpeg", 3),
        "png" => ("image/png", 3),
        "txt" => ("text/plain", 4),
        "pdf" => ("application/pdf", 4),
        _ => ("application/octet-stream", 0),
    }
}

/// Rows by the keys of `_sort`, folders and files, names, times, sizes.
fn sort(rows: &mut [Node], order: &str) {
    for key in order.rsplit(',').filter(|key| !key.is_empty()) {
        let (name, direction) = key.split_once(':').unwrap_or((key, "asc"));
        let down = direction == "desc";
        let by = |a: &Node, b: &Node| match name {
            "file_type" => a.blob.is_some().cmp(&b.blob.is_some()),
            "file_name" => a.name.cmp(&b.name),
            "updated_at" => a.modified.cmp(&b.modified),
            "created_at" => a.created.cmp(&b.created),
            "size" => a.size().cmp(&b.size()),
            _ => std::cmp::Ordering::Equal,
        };
        rows.sort_by(|a, b| match down {
            true => by(b, a),
            false => by(a, b),
        });
    }
}

impl Ctx<'_> {
    fn figure(&self, number: i64) -> Value {
        match self.account.knobs.flag("numbers_as_text") {
            true => json!(number.to_string()),
            false => json!(number),
        }
    }

    /// An entry as listings, stat and search write it. `owner` is whose tree it is in.
    pub(super) fn row(&self, owner: &Account, node: &Node) -> Value {
        let risky = self.knob("risky");
        let hidden = !risky.is_empty()
            && node.name.contains(&risky)
            && self.args.query("fetch_risk_file_name") != "1";
        let name = match hidden {
            true => "***".to_owned(),
            false => escaped(&node.name),
        };
        let (mime, category) = kind_of(&node.name);
        let declared = node.text("format_type");
        let local = |key: &str, default: i64| {
            let declared = node.extra.get(key).and_then(Value::as_i64);
            self.figure(declared.unwrap_or(default))
        };
        let size = i64::try_from(node.size()).unwrap_or(i64::MAX);
        let mut row = json!({
            "fid": node.id, "file_name": name, "pdir_fid": node.parent,
            "category": if node.is_dir() { 0 } else { category },
            "file_type": u8::from(!node.is_dir()), "size": self.figure(size),
            "format_type": "", "status": 1, "dir": node.is_dir(), "file": !node.is_dir(),
            "l_created_at": local("l_created_at", node.created),
            "l_updated_at": local("l_updated_at", node.modified),
            "created_at": self.figure(node.created), "updated_at": self.figure(node.modified),
            "name_space": 0, "risk_type": u8::from(hidden),
        });
        let more: Map<String, Value> = if node.is_dir() {
            let tree = owner.tree();
            let count = tree.children(&node.id).count();
            Map::from_iter([("include_items".to_owned(), json!(count))])
        } else {
            let format = if declared.is_empty() { mime } else { declared };
            Map::from_iter([("format_type".to_owned(), json!(format))])
        };
        if let Some(row) = row.as_object_mut() {
            row.extend(more);
        }
        row
    }

    /// A page of rows, and the `metadata` of it. `listing` names what is paged through: a
    /// page cut by a fault moves the start of the next ones.
    pub(super) fn paged(
        &self,
        listing: &str,
        rows: Vec<Node>,
        (page, size): (usize, usize),
    ) -> (Vec<Node>, Value) {
        let total = rows.len();
        let (shift, count) = {
            let mut state = self.sim.state();
            state.listings += 1;
            if page == 1 {
                state.shifts.remove(listing);
            }
            let shift = state.shifts.get(listing).copied().unwrap_or(0);
            (shift, state.listings)
        };
        let start = (page - 1).saturating_mul(size).saturating_sub(shift);
        let mut shown: Vec<Node> = rows.into_iter().skip(start).take(size).collect();
        if self.struck(FaultKind::TruncatedPage) {
            let left = shown.len() / 2;
            shown.truncate(shown.len() - left);
            let mut state = self.sim.state();
            state.shifts.insert(listing.to_owned(), shift + left);
        }
        let total = match self.knob("total").as_str() {
            "zero" => json!(0),
            "null" => Value::Null,
            "sometimes" if count % 2 == 0 => json!(0),
            _ if self.args.query("_fetch_total") != "1" => json!(0),
            _ => json!(total),
        };
        let metadata = json!({
            "_size": size, "_page": page, "_count": shown.len(), "_total": total, "way": "normal",
        });
        (shown, metadata)
    }

    /// The rows as a list, or as no list where a fault or setting wants that.
    pub(super) fn list_value(&self, rows: Vec<Value>) -> Value {
        let none = rows.is_empty() && self.account.knobs.flag("null_list");
        match none || self.struck(FaultKind::NullList) {
            true => Value::Null,
            false => Value::Array(rows),
        }
    }

    /// `GET file/sort`.
    pub(super) fn list(&self) -> Result<(Value, Value), ApiError> {
        let parent = self.args.query("pdir_fid");
        if parent.is_empty() {
            return Err(ApiError::parameter("pdir_fid"));
        }
        let page = self.args.page(50, LIST_MOST)?;
        let known = self.account.tree().live_dir(parent).is_some();
        if !known && self.knob("missing_folder") != "empty" {
            return Err(ApiError::gone());
        }
        let mut rows = self.seen_children(parent);
        if let Some(ms) = self
            .account
            .faults
            .take_number(self.op, FaultKind::Lag, 20_000)
        {
            let since = self.now() - i64::try_from(ms).unwrap_or(i64::MAX);
            rows.retain(|node| node.created < since);
        }
        sort(&mut rows, self.args.query("_sort"));
        let listing = format!("{}/{parent}", self.account.profile);
        let (rows, metadata) = self.paged(&listing, rows, page);
        let list: Vec<Value> = rows
            .iter()
            .map(|node| self.row(&self.account, node))
            .collect();
        Ok((json!({ "list": self.list_value(list) }), metadata))
    }

    /// `POST file/info/path_list`: missing paths are left out.
    pub(super) fn path_list(&self) -> Result<Value, ApiError> {
        let paths = self.args.get("file_path").and_then(Value::as_array);
        let paths: Option<Vec<&str>> =
            paths.and_then(|paths| paths.iter().map(Value::as_str).collect());
        let paths = paths.filter(|paths| paths.len() <= PATHS_MOST);
        let paths = paths.ok_or_else(|| ApiError::parameter("file_path"))?;
        let mut found = Vec::new();
        for path in paths {
            let mut at = ROOT.to_owned();
            let names = path.split('/').filter(|name| !name.is_empty());
            let reached = names.into_iter().all(|name| {
                let children = self.seen_children(&at);
                let next = children.into_iter().find(|node| node.name == name);
                let there = next.is_some();
                at = next.map(|node| node.id).unwrap_or_default();
                there
            });
            if reached {
                found.push(json!({ "file_path": path, "fid": at }));
            }
        }
        Ok(Value::Array(found))
    }

    fn stat_one(&self, fid: &str) -> Option<Value> {
        let mut node = self.seen(fid)?;
        if node.parent.is_empty() {
            node.name = "全部文件".to_owned();
        }
        Some(self.row(&self.account, &node))
    }

    /// `GET file/info?fid=` and `GET file?fids=`.
    pub(super) fn stat(&self) -> Result<Value, ApiError> {
        let (one, many) = (self.args.query("fid"), self.args.query("fids"));
        let exists = match self.knob("stat_by_id").as_str() {
            "none" => false,
            "info" => !one.is_empty(),
            "fids" => !many.is_empty(),
            _ => true,
        };
        if !exists {
            return Err(ApiError::new(404, 14001, "api not found"));
        }
        match (one, many) {
            ("", "") => Err(ApiError::parameter("fid")),
            ("", many) => {
                let list: Vec<Value> = many.split(',').filter_map(|id| self.stat_one(id)).collect();
                Ok(match self.knob("fids_form").as_str() {
                    "object" => json!({ "list": list }),
                    _ => Value::Array(list),
                })
            }
            (one, _) => self.stat_one(one).ok_or_else(ApiError::gone),
        }
    }

    /// `GET file/search`: names that contain the text.
    pub(super) fn search(&self) -> Result<(Value, Value), ApiError> {
        let wanted = self.args.query("q");
        if wanted.is_empty() {
            return Err(ApiError::parameter("q"));
        }
        let page = self.args.page(50, LIST_MOST)?;
        let below = self.args.query("pdir_fid");
        let mut rows = self.seen_all();
        rows.retain(|node| {
            let in_place = below.is_empty() || self.account.tree().is_below(&node.id, below);
            in_place && !node.parent.is_empty() && node.name.contains(wanted)
        });
        sort(&mut rows, self.args.query("_sort"));
        let listing = format!("{}?{wanted}", self.account.profile);
        let (rows, metadata) = self.paged(&listing, rows, page);
        let marked = self.args.query("_is_hl") == "1";
        let list: Vec<Value> = rows
            .iter()
            .map(|node| {
                let mut row = self.row(&self.account, node);
                if let Some(name) = row.get_mut("file_name").filter(|_| marked) {
                    let wanted = escaped(wanted);
                    let text = name.as_str().unwrap_or("");
                    *name = json!(text.replace(&wanted, &format!("<em>{wanted}</em>")));
                }
                row
            })
            .collect();
        Ok((json!({ "list": self.list_value(list) }), metadata))
    }

    /// Bytes an account may still store.
    pub(super) fn free_space(&self) -> u64 {
        self.sim.free_space(&self.account)
    }

    /// `GET member`.
    pub(super) fn quota(&self) -> (Value, Value) {
        self.sim.empty_old_trash(&self.account);
        let used = if self.guest {
            0
        } else {
            self.account.tree().used()
        };
        let member = self.account.knobs.text("member_type");
        let data = json!({
            "member_type": member.unwrap_or_else(|| "NORMAL".to_owned()),
            "use_capacity": used, "total_capacity": total_space(&self.account),
            "secret_use_capacity": 0, "secret_total_capacity": 0, "created_at": 1_700_000_000_000_i64,
            "member_status": { "VIP": "UNPAID" },
        });
        (
            data,
            json!({ "range_size": 0, "server_cur_time": self.now() }),
        )
    }
}

/// Space of an account in bytes.
pub(super) fn total_space(account: &Account) -> u64 {
    account.knobs.number("total_size", 10 << 40)
}

impl super::QuarkUc {
    /// Bytes an account may still store.
    pub(super) fn free_space(&self, account: &Account) -> u64 {
        total_space(account).saturating_sub(account.tree().used())
    }
}
