//! Delete, trash lists, restore, purge (sheet quark, 4.8).

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::account::Account;
use super::super::tree::Node;
use super::QuarkUc;
use super::change::{MANY, own};
use super::errors::ApiError;
use super::files::escaped;
use super::gate::Ctx;
use super::tasks::Work;

const DAY_MS: i64 = 86_400_000;

/// Key of the record id beside a trashed entry.
const RECORD: &str = "record_id";

impl Ctx<'_> {
    /// `POST file/delete`: to the trash, whatever `action_type` says.
    pub(super) fn trash(&self) -> Result<(Value, Value), ApiError> {
        if !matches!(self.args.number("action_type"), Some(1 | 2)) {
            return Err(ApiError::parameter("action_type"));
        }
        let fids = self.args.ids("filelist", MANY)?;
        let records = {
            let tree = self.account.tree();
            for fid in &fids {
                own(&tree, fid)?;
            }
            fids.into_iter().map(|fid| (fid, self.new_record()))
        };
        let records = records.collect();
        self.submit("文件-删除", Work::Trash(records))
    }

    /// Trashed entries, latest first.
    fn binned(&self) -> Vec<Node> {
        self.sim.empty_old_trash(&self.account);
        let mut rows: Vec<Node> = {
            let tree = self.account.tree();
            let all = tree.walk().into_iter();
            all.filter(|node| node.trashed.is_some()).cloned().collect()
        };
        rows.sort_by_key(|node| std::cmp::Reverse(node.trashed));
        rows
    }

    fn record(&self, node: &Node) -> Value {
        json!({
            "record_id": self.id_value(node.text(RECORD)), "fid": node.id,
            "file_name": escaped(&node.name), "size": node.size(), "pdir_fid": node.parent,
            "dir": node.is_dir(), "file": !node.is_dir(), "deleted_at": node.trashed,
            "created_at": node.created, "updated_at": node.modified,
        })
    }

    /// `GET file/recycle/list`.
    pub(super) fn trash_list(&self) -> Result<(Value, Value), ApiError> {
        let page = self.args.page(30, 100)?;
        let listing = format!("{} trash", self.account.profile);
        let (rows, metadata) = self.paged(&listing, self.binned(), page);
        let list = rows.iter().map(|node| self.record(node)).collect();
        Ok((json!({ "list": self.list_value(list) }), metadata))
    }

    /// `GET file/deep_recycle/list`: the same, minutes old.
    pub(super) fn deep_trash_list(&self) -> Result<(Value, Value), ApiError> {
        let (page, size) = self.args.page(100, 100)?;
        let now = self.now();
        let fresh: Vec<Value> = self.binned().iter().map(|node| self.record(node)).collect();
        let rows = {
            let mut state = self.sim.state();
            let kept = state.deep_trash.entry(self.account.profile.clone());
            let kept = kept.or_insert_with(|| (now, fresh.clone()));
            if now - kept.0 >= self.number("deep_trash_ms", 180_000) {
                *kept = (now, fresh);
            }
            kept.1.clone()
        };
        let total = rows.len();
        let start = (page - 1).saturating_mul(size);
        let list: Vec<Value> = rows.into_iter().skip(start).take(size).collect();
        let metadata = json!({
            "_size": size, "_page": page, "_count": list.len(), "_total": total,
        });
        let stat = json!({ "deep_recycle_count": total });
        let data = json!({ "list": self.list_value(list), "deep_recycle_stat": stat });
        Ok((data, metadata))
    }

    /// The trashed entries a call names, by record or by entry.
    fn named(&self, mode: i64) -> Result<Vec<String>, ApiError> {
        if self.args.number("select_mode") != Some(mode) {
            return Err(ApiError::parameter("select_mode"));
        }
        let by_record = self.args.get("record_list").is_some();
        let ids = self
            .args
            .ids(if by_record { "record_list" } else { "fids" }, MANY)?;
        let rows = self.binned();
        let find = |id: &String| {
            let row = rows.iter().find(|node| match by_record {
                true => node.text(RECORD) == id,
                false => node.id == *id,
            });
            row.map(|node| node.id.clone()).ok_or_else(ApiError::gone)
        };
        ids.iter().map(find).collect()
    }

    /// `POST file/recycle/recover`.
    pub(super) fn restore(&self) -> Result<(Value, Value), ApiError> {
        let fids = self.named(1)?;
        self.submit("文件-恢复", Work::Restore(fids))
    }

    /// `POST file/recycle/remove`: gone for good.
    pub(super) fn purge(&self) -> Result<Value, ApiError> {
        let fids = self.named(2)?;
        let mut tree = self.account.tree();
        for fid in fids {
            tree.remove(&fid);
        }
        Ok(json!({ "finish": true }))
    }
}

impl QuarkUc {
    /// The work of a delete.
    pub(super) fn run_trash(&self, account: &Arc<Account>, records: &[(String, String)]) -> Value {
        let now = self.kit.clock.now_ms();
        for (fid, record) in records {
            let before = {
                let mut tree = account.tree();
                let Ok(node) = own(&tree, fid) else { continue };
                tree.update(fid, |node| {
                    node.trashed = Some(now);
                    node.extra.insert(RECORD.to_owned(), json!(record));
                });
                node
            };
            self.note(account, fid, Some(before));
        }
        json!({})
    }

    /// The work of a restore: back to the old place, under a free name.
    pub(super) fn run_restore(
        &self,
        account: &Arc<Account>,
        fids: &[String],
    ) -> Result<Value, ApiError> {
        for fid in fids {
            let before = {
                let mut tree = account.tree();
                let node = tree.get(fid).filter(|node| node.trashed.is_some()).cloned();
                let Some(node) = node else { continue };
                if tree.live_dir(&node.parent).is_none() {
                    return Err(ApiError::no_folder());
                }
                let name = tree.free_name(&node.parent, &node.name);
                tree.relocate(fid, &node.parent, &name);
                tree.update(fid, |node| {
                    node.trashed = None;
                    node.extra.remove(RECORD);
                });
                node
            };
            self.note(account, fid, Some(before));
        }
        Ok(json!({}))
    }

    /// Ends what has been in the trash for too long.
    pub(super) fn empty_old_trash(&self, account: &Account) {
        let now = self.kit.clock.now_ms();
        let days = i64::try_from(account.knobs.number("trash_days", 10)).unwrap_or(10);
        let mut tree = account.tree();
        let old: Vec<String> = {
            let all = tree.walk().into_iter();
            all.filter(|node| node.trashed.is_some_and(|at| now - at >= days * DAY_MS))
                .map(|node| node.id.clone())
                .collect()
        };
        for fid in old {
            tree.remove(&fid);
        }
    }
}
