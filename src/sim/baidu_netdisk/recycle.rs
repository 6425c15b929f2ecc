//! The recycle bin, for cookie sessions only (baidu_netdisk.md section 4.12).

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::super::account::Account;
use super::super::tree::Node;
use super::entries::{fs_id, listed};
use super::errors::ApiError;
use super::{Baidu, Caller, Ctx};

const DAY_MS: i64 = 86_400_000;

/// Days an entry stays (knob `recycle_days`).
fn days(account: &Account) -> i64 {
    i64::try_from(account.knobs.number("recycle_days", 10)).unwrap_or(10)
}

impl Ctx<'_> {
    fn cookies_only(&self) -> Result<(), ApiError> {
        match self.cookie {
            true => Ok(()),
            false => Err(ApiError::new(3, "interface not supported for apps")),
        }
    }

    /// `GET /api/recycle/list`.
    pub(super) async fn recycle_list(&self) -> Result<Value, ApiError> {
        self.cookies_only()?;
        self.sim.empty_old(&self.account);
        let num = self.query.number("num", 100)?.clamp(1, 1000) as usize;
        let page = self.query.number("page", 1)?.max(1);
        let page = usize::try_from(page - 1).unwrap_or(usize::MAX);
        let now = self.now();
        let mut bin: Vec<(Node, String)> = {
            let tree = self.account.tree();
            let all = tree.walk().into_iter();
            let bin = all.filter(|node| node.trashed.is_some());
            bin.map(|node| (node.clone(), tree.path_of(&node.id)))
                .collect()
        };
        bin.sort_by_key(|(node, _)| std::cmp::Reverse(node.trashed));
        let mut list = Vec::new();
        for (node, path) in bin.iter().skip(page.saturating_mul(num)).take(num) {
            let mut item = listed(&self.account, node, path).await;
            let gone = node.trashed.unwrap_or(now);
            let left = days(&self.account) - (now - gone).div_euclid(DAY_MS);
            item.insert("leftTime".to_owned(), json!(left));
            list.push(Value::Object(item));
        }
        Ok(json!({ "list": list }))
    }

    /// `POST /api/recycle/delete`.
    pub(super) fn recycle_delete(&self) -> Result<Value, ApiError> {
        self.cookies_only()?;
        let ids = self.form.array("fidlist")?;
        let mut tree = self.account.tree();
        for id in ids {
            let id = id
                .as_u64()
                .ok_or_else(|| ApiError::parameter("fidlist"))?
                .to_string();
            if tree.get(&id).is_none_or(|node| node.trashed.is_none()) {
                return Err(ApiError::not_found());
            }
            tree.remove(&id);
        }
        Ok(json!({}))
    }
}

impl Baidu {
    /// Forgets what has been in the bin for too long.
    fn empty_old(&self, account: &Account) {
        let oldest = self.kit.clock.now_ms() - days(account) * DAY_MS;
        self.purge(account, |gone| gone <= oldest);
    }

    fn purge(&self, account: &Account, which: impl Fn(i64) -> bool) -> usize {
        let mut tree = account.tree();
        let old: Vec<String> = {
            let all = tree.walk().into_iter();
            all.filter(|node| node.trashed.is_some_and(&which))
                .map(|node| node.id.clone())
                .collect()
        };
        old.iter().filter(|id| tree.remove(id) > 0).count()
    }

    /// `GET pcs/file?method=delete&type=recycle`: empties the bin.
    pub(super) fn recycle_empty(&self, caller: &Caller) -> Result<Response, ApiError> {
        if !caller.cookie {
            return Err(ApiError::new(31064, "file is not authorized").status(403));
        }
        let count = self.purge(&caller.account, |_| true);
        let body = json!({ "extra": { "succNum": count }, "request_id": self.request_id() });
        Ok(Json(body).into_response())
    }

    /// `POST pcs/file?method=restore`, `param` = `{"list":[{"fs_id":1}]}`. A name that was
    /// taken since is given a suffix: what the server does is not in the sheet.
    pub(super) fn restore(&self, caller: &Caller, param: &str) -> Result<Response, ApiError> {
        if !caller.cookie {
            return Err(ApiError::new(31064, "file is not authorized").status(403));
        }
        self.empty_old(&caller.account);
        let param: Value = serde_json::from_str(param).map_err(|_| ApiError::parameter("param"))?;
        let list = param.get("list").and_then(Value::as_array);
        let list = list.ok_or_else(|| ApiError::parameter("param"))?;
        let mut done = Vec::new();
        let now = self.kit.clock.now_ms();
        let mut tree = caller.account.tree();
        for entry in list {
            let id = entry.get("fs_id").and_then(Value::as_u64);
            let id = id.ok_or_else(|| ApiError::parameter("param"))?.to_string();
            let node = tree.get(&id).filter(|node| node.trashed.is_some()).cloned();
            let node = node.ok_or_else(ApiError::no_file)?;
            if tree.live_dir(&node.parent).is_none() {
                return Err(ApiError::new(31063, "parent path does not exist"));
            }
            let name = match tree.find(&node.parent, &node.name).is_empty() {
                true => node.name.clone(),
                false => super::paths::renamed(&tree, &node.parent, &node.name, now),
            };
            tree.relocate(&id, &node.parent, &name);
            tree.update(&id, |node| node.trashed = None);
            done.push(json!({ "fs_id": fs_id(&caller.account, &id) }));
        }
        let body = json!({ "extra": { "list": done }, "request_id": self.request_id() });
        Ok(Json(body).into_response())
    }
}
