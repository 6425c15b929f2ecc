//! Make directory, copy, move, rename, delete, and their tasks (baidu_netdisk.md sections
//! 4.7 and 4.8).

use std::collections::HashSet;

use serde_json::{Value, json};

use super::super::account::Account;
use super::super::tree::{Node, Tree};
use super::entries::{fits, fs_id};
use super::errors::ApiError;
use super::paths;
use super::{Baidu, Ctx};

/// What is done when the place is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnDup {
    Fail,
    NewCopy,
    Overwrite,
    Skip,
}

impl OnDup {
    pub(super) fn parse(text: &str) -> Result<OnDup, ApiError> {
        Ok(match text {
            "" | "fail" => OnDup::Fail,
            "newcopy" => OnDup::NewCopy,
            "overwrite" => OnDup::Overwrite,
            "skip" => OnDup::Skip,
            _ => return Err(ApiError::parameter("ondup")),
        })
    }
}

/// One source of a batch and where it goes; no place for a deletion.
#[derive(Clone, Debug)]
struct Item {
    path: String,
    /// Path of the directory it goes to and its new name.
    to: Option<(String, String)>,
    ondup: OnDup,
    /// Named before in the same batch.
    repeated: bool,
}

/// A batch as it was asked for.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    copies: bool,
    items: Vec<Item>,
    /// Overwriting works only here (section 4.7).
    asynchronous: bool,
}

/// A batch that is done later.
pub(super) struct Task {
    profile: String,
    batch: Batch,
    started: i64,
    due: i64,
    /// What came of each item, once it is done.
    outcome: Option<Vec<i64>>,
}

fn split(path: &str) -> (&str, &str) {
    let path = path.trim_end_matches('/');
    path.rsplit_once('/').unwrap_or(("", path))
}

impl Ctx<'_> {
    /// `create` with `isdir=1`. Missing parents are made.
    pub(super) fn mkdir(&self) -> Result<Value, ApiError> {
        let path = self.form.required("path")?;
        let names = paths::writable(&self.account, path)?;
        let rtype = self.rtype(0)?;
        let (Some(name), parents) = (names.last(), names.split_last().map_or(&[][..], |s| s.1))
        else {
            return Err(ApiError::bad_path());
        };
        let (local_ctime, local_mtime) = (
            self.form.seconds("local_ctime")?,
            self.form.seconds("local_mtime")?,
        );
        let now = self.now();
        let mut tree = self.account.tree();
        let parent = paths::make_dirs(&mut tree, parents, now, &mut || self.new_id());
        let parent = parent.ok_or_else(ApiError::exists)?;
        let name = match (tree.find(&parent, name).is_empty(), rtype) {
            (true, _) => (*name).to_owned(),
            (false, 1) => paths::renamed(&tree, &parent, name, now),
            // What rtype 3 does to a directory is unknown: refused.
            (false, _) => return Err(ApiError::exists()),
        };
        let id = self.new_id();
        let mut node = Node::dir(&id, &parent, &name, now);
        let times = [("local_ctime", local_ctime), ("local_mtime", local_mtime)];
        for (key, value) in times {
            if let Some(value) = value {
                node.extra.insert(key.to_owned(), json!(value));
            }
        }
        tree.insert(node);
        let path = tree.path_of(&id);
        Ok(json!({
            "fs_id": fs_id(&self.account, &id), "path": path, "name": path, "isdir": 1,
            "category": 6, "ctime": now.div_euclid(1000), "mtime": now.div_euclid(1000),
            "status": 0,
        }))
    }

    /// The items of `filelist`.
    fn batch(&self, asynchronous: bool) -> Result<Batch, ApiError> {
        let ondup = OnDup::parse(self.form.text("ondup"))?;
        let list = self.form.array("filelist")?;
        if list.is_empty() || list.len() as u64 > self.account.knobs.number("batch_max", 3000) {
            return Err(ApiError::parameter("filelist"));
        }
        let bad = || ApiError::parameter("filelist");
        let mut seen = HashSet::new();
        let mut items = Vec::with_capacity(list.len());
        for entry in &list {
            let text = |key: &str| entry.get(key).and_then(Value::as_str);
            let path = match (self.op, entry.as_str()) {
                ("trash", Some(path)) => path,
                _ => text("path").ok_or_else(bad)?,
            };
            let (parent, name) = split(path);
            let newname = text("newname").filter(|name| !name.is_empty());
            let to = match self.op {
                "trash" => None,
                "rename" => Some((parent.to_owned(), newname.ok_or_else(bad)?.to_owned())),
                _ => {
                    let dest = text("dest").filter(|dest| dest.starts_with('/'));
                    let dest = dest.ok_or_else(bad)?.to_owned();
                    Some((dest, newname.unwrap_or(name).to_owned()))
                }
            };
            items.push(Item {
                path: path.to_owned(),
                to,
                ondup: text("ondup").map_or(Ok(ondup), OnDup::parse)?,
                repeated: !seen.insert(path.trim_end_matches('/').to_owned()),
            });
        }
        Ok(Batch {
            copies: self.op == "copy",
            items,
            asynchronous,
        })
    }

    /// `POST xpan/file?method=filemanager`.
    pub(super) fn file_manager(&self) -> Result<Value, ApiError> {
        let account = &self.account;
        let most = account.knobs.number("adaptive_sync", 100);
        let sync = match self.form.text("async") {
            "" | "0" => true,
            "1" => self.form.array("filelist")?.len() as u64 <= most,
            "2" => false,
            _ => return Err(ApiError::parameter("async")),
        };
        let batch = self.batch(!sync)?;
        if self.sim.busy(account) {
            return Err(ApiError::new(111, "another async task is running"));
        }
        if sync {
            let codes = self.sim.apply(account, &batch);
            let failed = codes.iter().any(|code| *code != 0);
            let items = batch.items.iter().zip(&codes);
            let info: Vec<Value> = items
                .map(|(item, code)| json!({ "errno": code, "path": item.path }))
                .collect();
            return match failed {
                true => Err(ApiError::batch(info)),
                false => Ok(json!({ "info": info, "taskid": 0 })),
            };
        }
        let (now, id) = (self.now(), self.new_id());
        let wait = i64::try_from(account.knobs.number("task_ms", 0)).unwrap_or(0);
        let task = Task {
            profile: account.profile.clone(),
            batch,
            started: now,
            due: now.saturating_add(wait),
            outcome: None,
        };
        let taskid: u64 = id.parse().unwrap_or(0);
        self.sim.state().tasks.insert(taskid, task);
        self.sim.finish_tasks(account);
        Ok(json!({ "taskid": taskid, "info": [] }))
    }

    /// `GET /share/taskquery`.
    pub(super) fn task(&self) -> Result<Value, ApiError> {
        let id = self.query.number("taskid", 0)?;
        let state = self.sim.state();
        let task = state
            .tasks
            .get(&id)
            .filter(|task| task.profile == self.account.profile);
        let task = task.ok_or_else(|| ApiError::new(114, "task does not exist"))?;
        let items = &task.batch.items;
        let Some(outcome) = &task.outcome else {
            let now = self.now();
            let span = (task.due - task.started).max(1);
            let status = if now <= task.started {
                "pending"
            } else {
                "running"
            };
            return Ok(json!({
                "status": status, "progress": (now - task.started).clamp(0, span) * 100 / span,
                "task_errno": 0, "list": [], "total": items.len(),
            }));
        };
        let failed = outcome.iter().find(|code| **code != 0).copied();
        let list = items.iter().zip(outcome).map(|(item, code)| {
            let to = item
                .to
                .as_ref()
                .map(|(dest, name)| format!("{dest}/{name}"));
            json!({ "from": item.path, "to": to.unwrap_or_default(), "error_code": code })
        });
        Ok(json!({
            "status": if failed.is_some() { "failed" } else { "success" }, "progress": 100,
            "task_errno": failed.unwrap_or(0), "list": list.collect::<Vec<Value>>(),
            "total": items.len(),
        }))
    }
}

impl Baidu {
    /// Whether a task of the account is still to be done.
    fn busy(&self, account: &Account) -> bool {
        let state = self.state();
        let mut tasks = state.tasks.values();
        tasks.any(|task| task.profile == account.profile && task.outcome.is_none())
    }

    /// Does the tasks of an account whose time has come.
    pub(super) fn finish_tasks(&self, account: &Account) {
        let now = self.kit.clock.now_ms();
        let due: Vec<(u64, Batch)> = {
            let state = self.state();
            let tasks = state.tasks.iter();
            tasks
                .filter(|(_, task)| task.profile == account.profile)
                .filter(|(_, task)| task.outcome.is_none() && task.due <= now)
                .map(|(id, task)| (*id, task.batch.clone()))
                .collect()
        };
        for (id, batch) in due {
            let outcome = self.apply(account, &batch);
            if let Some(task) = self.state().tasks.get_mut(&id) {
                task.outcome = Some(outcome);
            }
        }
    }

    /// Does a batch; answers a code per item.
    fn apply(&self, account: &Account, batch: &Batch) -> Vec<i64> {
        let mut tree = account.tree();
        let one = |item: &Item| match self.apply_one(account, &mut tree, batch, item) {
            Ok(()) => 0,
            Err(error) => error.code,
        };
        batch.items.iter().map(one).collect()
    }

    fn apply_one(
        &self,
        account: &Account,
        tree: &mut Tree,
        batch: &Batch,
        item: &Item,
    ) -> Result<(), ApiError> {
        let now = self.kit.clock.now_ms();
        let source = paths::at(tree, &item.path).cloned();
        let source = source
            .filter(|_| !item.repeated)
            .ok_or_else(ApiError::not_found)?;
        if source.parent.is_empty() {
            return Err(ApiError::bad_path());
        }
        let Some((dest, name)) = &item.to else {
            tree.update(&source.id, |node| node.trashed = Some(now));
            return Ok(());
        };
        if !paths::good_name(account, name) {
            return Err(ApiError::bad_path());
        }
        let parent = paths::dir_at(tree, if dest.is_empty() { "/" } else { dest });
        let parent = parent.ok_or_else(ApiError::not_found)?.id.clone();
        if tree.is_below(&parent, &source.id) {
            return Err(ApiError::bad_path());
        }
        let taken = tree.find(&parent, name).first().map(|node| node.id.clone());
        let mut name = name.clone();
        match (taken, item.ondup) {
            (None, _) => {}
            // A rename to the name it has.
            (Some(id), _) if id == source.id && !batch.copies => return Ok(()),
            (Some(_), OnDup::NewCopy) => name = paths::renamed(tree, &parent, &name, now),
            (Some(_), OnDup::Skip) => return Ok(()),
            (Some(id), OnDup::Overwrite) if batch.asynchronous && id != source.id => {
                tree.remove(&id);
            }
            (Some(_), _) => return Err(ApiError::exists()),
        }
        if !batch.copies {
            tree.relocate(&source.id, &parent, &name);
            return Ok(());
        }
        let more: u64 = {
            let below = tree.walk().into_iter();
            let copied = below.filter(|node| tree.is_below(&node.id, &source.id));
            copied
                .filter(|node| tree.live(&node.id).is_some())
                .map(Node::size)
                .sum()
        };
        if !fits(account, tree, more) {
            return Err(ApiError::no_space());
        }
        tree.copy(&source.id, &parent, &name, now, &mut |_| {
            self.kit.ids.decimal(18)
        });
        Ok(())
    }
}
