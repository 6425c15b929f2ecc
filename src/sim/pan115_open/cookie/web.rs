//! List, stat, search, space and upload identity of the web API (115_open.md sections 4.2,
//! 4.3, 4.9, 4.10).

use serde_json::{Value, json};

use super::super::super::account::Account;
use super::super::super::clock::beijing;
use super::super::super::digest::sha1_hex;
use super::super::super::faults::FaultKind;
use super::super::super::tree::Node;
use super::super::errors::ApiError;
use super::super::files::{ROOT_NAME, extension, human, is_video, sha1_of, sort, star, untrashed};
use super::super::upload::size_limit;
use super::super::{Ctx, ROOT, pickcode, user_id};
use super::gate::granted;

const ORDERS: [&str; 6] = [
    "file_name",
    "file_size",
    "file_type",
    "user_ptime",
    "user_utime",
    "user_otime",
];

/// The order of a folder's list.
#[derive(Clone, PartialEq, Eq)]
pub(in super::super) struct Order {
    by: String,
    asc: bool,
    /// Folders among the files.
    mixed: bool,
}

impl Order {
    /// Newest first: what a folder has that nobody ordered.
    fn usual() -> Order {
        Order {
            by: "user_ptime".to_owned(),
            asc: false,
            mixed: false,
        }
    }
}

/// The key that upload signatures of an account are made with.
pub(super) fn user_key(account: &Account) -> String {
    sha1_hex(format!("115 userkey of {}", user_id(account)).as_bytes())
}

fn missing() -> ApiError {
    ApiError::new(20_018, "文件不存在或已经删除。")
}

impl Ctx<'_> {
    /// An entry as the web lists write it. A folder has no `fid`: its id is `cid`.
    fn web_entry(&self, node: &Node, sha1: &str) -> Value {
        let dir = node.is_dir();
        let created = node.created.div_euclid(1000).to_string();
        let modified = node.modified.div_euclid(1000).to_string();
        let code = pickcode::encode(&node.id, dir, self.account.number);
        let marked = u8::from(star(node) == "1");
        if dir {
            return json!({
                "cid": node.id, "aid": "1", "pid": node.parent, "n": node.name, "m": marked,
                "cc": "", "sh": "0", "pc": code, "t": modified, "te": modified, "tp": created,
                "tu": modified, "to": 0, "fl": [], "u": "",
            });
        }
        // To the minute, in Beijing.
        let minute: String = beijing(node.modified).chars().take(16).collect();
        json!({
            "fid": node.id, "uid": user_id(&self.account), "aid": 1, "cid": node.parent,
            "n": node.name, "s": self.figure(node.size()), "sta": u8::from(!node.pending),
            "pt": "0", "m": marked, "t": minute, "te": modified, "tp": created, "tu": modified,
            "to": 0, "ico": extension(&node.name), "sha": sha1, "pc": code,
            "iv": u8::from(is_video(&node.name)), "c": 0, "fl": [], "u": "",
        })
    }

    async fn web_entries(&self, nodes: &[Node]) -> Vec<Value> {
        let mut all = Vec::with_capacity(nodes.len());
        for node in nodes {
            all.push(self.web_entry(node, &sha1_of(node).await));
        }
        all
    }

    /// The order that counts for a folder: the asked one only with `custom_order`, else the
    /// folder's own.
    fn order_in(&self, dir: &str) -> Result<Order, ApiError> {
        let key = (self.account.number, dir.to_owned());
        let own = self.sim.state().orders.get(&key).cloned();
        let own = own.unwrap_or_else(Order::usual);
        let asked = self.text("o");
        if !asked.is_empty() && !ORDERS.contains(&asked) {
            return Err(ApiError::parameter("o"));
        }
        if asked.is_empty() || !matches!(self.text("custom_order"), "1" | "2") {
            return Ok(own);
        }
        Ok(Order {
            by: asked.to_owned(),
            asc: self.text("asc") == "1",
            mixed: self.text("fc_mix") == "1" || self.text("custom_order") == "2",
        })
    }

    /// `GET webapi/files` and `GET aps/natsort/files.php`. The latter lists by name, the
    /// former by anything else: either sends the caller to the other with 20130827. An
    /// unknown `cid` is the root; without `show_dir` come the files of the whole subtree.
    pub(super) async fn web_list(&self, by_name: bool) -> Result<Value, ApiError> {
        let (dir, path) = self.opened();
        let order = self.order_in(&dir)?;
        if by_name != (order.by == "file_name") {
            return Ok(json!({
                "state": false, "error": "不支持该排序方式", "errNo": 20_130_827, "data": [],
                "cid": dir, "order": order.by, "is_asc": u8::from(order.asc),
                "fc_mix": u8::from(order.mixed), "offset": 0, "count": 0,
            }));
        }
        let mut nodes = self.listed(&dir);
        sort(&mut nodes, &order.by, order.asc, order.mixed);
        let cap = self.account.knobs.number("max_limit", 1150);
        let limit = match self.params.number("limit", 32) {
            0 => 32,
            limit => limit.min(cap),
        };
        let offset = self.params.number("offset", 0);
        let (count, folders) = (
            nodes.len(),
            nodes.iter().filter(|node| node.is_dir()).count(),
        );
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
        let data = match faults.take(self.op, FaultKind::NullList) {
            Some(_) => Value::Null,
            None => json!(self.web_entries(&page).await),
        };
        let path: Vec<Value> = path
            .iter()
            .map(|step| match step.id.as_str() {
                ROOT => json!({ "name": ROOT_NAME, "aid": 1, "cid": 0, "pid": 0 }),
                id => json!({ "name": step.name, "aid": "1", "cid": id, "pid": step.parent }),
            })
            .collect();
        let mut answer = json!({
            "data": data, "count": self.figure(count), "data_source": "DB", "sys_count": 0,
            "offset": self.figure(offset), "o": order.by, "limit": self.figure(limit),
            "page_size": self.figure(limit), "aid": "1", "cid": dir,
            "is_asc": u8::from(order.asc), "star": 0, "path": path, "order": order.by,
            "fc_mix": u8::from(order.mixed), "state": true, "error": "", "errNo": 0,
        });
        if let (Some(answer), "1") = (answer.as_object_mut(), self.text("count_folders")) {
            answer.insert("file_count".to_owned(), json!(count - folders));
            answer.insert("folder_count".to_owned(), json!(folders));
        }
        Ok(answer)
    }

    /// `POST webapi/files/order`: the folder remembers it.
    pub(super) fn set_order(&self) -> Result<Value, ApiError> {
        let dir = self.required("file_id")?;
        let by = self.required("user_order")?;
        if !ORDERS.contains(&by) {
            return Err(ApiError::parameter("user_order"));
        }
        if self.account.tree().live_dir(dir).is_none() {
            return Err(missing());
        }
        let order = Order {
            by: by.to_owned(),
            asc: self.text("user_asc") == "1",
            mixed: self.text("fc_mix") == "1",
        };
        let key = (self.account.number, dir.to_owned());
        self.sim.state().orders.insert(key, order);
        Ok(granted(json!({})))
    }

    /// `GET webapi/files/get_info`, by id or pick code; not for the root, nor the trash.
    pub(super) async fn web_info(&self) -> Result<Value, ApiError> {
        let id = match (self.text("file_id"), self.text("pick_code")) {
            ("", "") => return Err(ApiError::parameter("file_id")),
            ("", code) => {
                let known = pickcode::decode(code, self.account.number);
                let known = known.filter(|(id, _)| self.account.tree().get(id).is_some());
                let (id, _) = known.ok_or_else(|| ApiError::new(50_003, "提取码不存在"))?;
                id
            }
            (id, _) => id.to_owned(),
        };
        if id == ROOT {
            return Err(ApiError::parameter("file_id"));
        }
        let node = untrashed(&self.account.tree(), &id).cloned();
        let node = node.ok_or_else(missing)?;
        Ok(granted(json!({ "data": self.web_entries(&[node]).await })))
    }

    /// `GET webapi/category/get`: no envelope, and an empty list for what is not there.
    pub(super) async fn category(&self) -> Result<Value, ApiError> {
        let id = self.required("cid")?;
        let node = untrashed(&self.account.tree(), id).cloned();
        match node.filter(|node| node.id != ROOT) {
            None => Ok(json!([])),
            Some(node) => {
                let mut data = self.described(&node).await;
                if let Some(data) = data.as_object_mut() {
                    data.remove("size_byte");
                }
                Ok(data)
            }
        }
    }

    /// `GET webapi/files/getid`: folders only; id 0 of a path that is none.
    pub(super) fn folder_id(&self) -> Result<Value, ApiError> {
        let path = self.required("path")?;
        let found = self.by_path(path, true);
        let id = found.map_or(ROOT.to_owned(), |node| node.id);
        Ok(granted(json!({ "id": id, "is_private": "0" })))
    }

    /// `GET webapi/files/search`.
    pub(super) async fn web_search(&self) -> Result<Value, ApiError> {
        let (limit, offset) = self.window(30)?;
        let found = self.matching().await?;
        let page: Vec<Node> = found
            .iter()
            .skip(usize::try_from(offset).unwrap_or(usize::MAX))
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .cloned()
            .collect();
        Ok(granted(json!({
            "data": self.web_entries(&page).await, "count": found.len(), "offset": offset,
            "page_size": limit, "aid": "1", "cid": self.text("cid"),
        })))
    }

    /// `GET webapi/files/shasearch`: one own file with a content.
    pub(super) async fn sha_search(&self) -> Result<Value, ApiError> {
        let sha1 = self.required("sha1")?;
        let files: Vec<Node> = {
            let tree = self.account.tree();
            let all = tree.walk().into_iter();
            let own = all.filter(|node| !node.is_dir() && tree.live(&node.id).is_some());
            own.cloned().collect()
        };
        for file in files {
            let own = sha1_of(&file).await;
            if own.eq_ignore_ascii_case(sha1) {
                return Ok(granted(json!({ "data": self.web_entry(&file, &own) })));
            }
        }
        Err(missing())
    }

    /// `GET webapi/files/index_info`.
    pub(super) fn index_info(&self) -> Value {
        let (total, used) = self.space();
        let remain = total.saturating_sub(used);
        let size = |size: u64, value: Value| json!({ "size": value, "size_format": human(size) });
        granted(json!({ "data": { "space_info": {
            "all_total": size(total, json!(total)),
            "all_remain": size(remain, json!(remain as f64)),
            "all_use": size(used, json!(used.to_string())),
        } } }))
    }

    /// `GET proapi/app/uploadinfo`, `GET webapi/files/uploadinfo`.
    pub(super) fn upload_info(&self) -> Value {
        let limit = size_limit(&self.account);
        granted(json!({
            "user_id": user_id(&self.account), "userkey": user_key(&self.account),
            "app_version": 0, "app_id": 0, "size_limit": limit, "size_limit_yun": limit,
            "max_dir_level": 25, "max_dir_level_yun": 25, "max_file_num": 50_000,
            "upload_allowed": true, "upload_allowed_msg": "", "type_limit": [], "isp_type": 0,
        }))
    }
}
