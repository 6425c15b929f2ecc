//! Move, copy, trash, restore and delete, each at once or as a task (xunlei.md sections 4.4
//! and 4.5).

use serde_json::{Value, json};

use super::super::account::Account;
use super::super::tree::Tree;
use super::change::free_name;
use super::errors::ApiError;
use super::files::in_trash;
use super::gate::Ctx;
use super::spaces::{is_safe, root_id};
use super::tasks::{self, Task};
use super::{BUCKET, State, Xunlei, text};

/// What a batch task is going to do.
#[derive(Clone)]
pub(super) struct Batch {
    op: &'static str,
    ids: Vec<String>,
    to: String,
}

/// The ids in a member of a body: at least one, at most `most`.
pub(super) fn ids(body: &Value, key: &str, most: u64) -> Result<Vec<String>, ApiError> {
    let ids: Option<Vec<String>> = body.get(key).and_then(Value::as_array).and_then(|ids| {
        ids.iter()
            .map(|id| id.as_str().map(str::to_owned))
            .collect()
    });
    ids.filter(|ids| !ids.is_empty() && ids.len() as u64 <= most)
        .ok_or_else(|| ApiError::bad_request(key))
}

impl Ctx<'_> {
    /// Ids per batch call.
    pub(super) fn max_batch(&self) -> u64 {
        self.account.knobs.number("max_batch", 100)
    }

    /// The batch this call asks for.
    fn planned(&self) -> Result<Batch, ApiError> {
        let tree = self.account.tree();
        let op = self.op;
        let ids = match op {
            "empty_trash" => {
                let all = tree.walk().into_iter();
                all.filter(|node| node.trashed.is_some())
                    .map(|node| node.id.clone())
                    .collect()
            }
            _ if !self.id.is_empty() => vec![self.id.clone()],
            _ => ids(&self.body, "ids", self.max_batch())?,
        };
        let moving = matches!(op, "move" | "copy");
        let to = match moving {
            true => {
                let to = self.body.get("to").filter(|to| to.is_object());
                let to = to.ok_or_else(|| ApiError::bad_request("to"))?;
                self.folder(&tree, text(to, "parent_id"), text(to, "space"))?
            }
            false => String::new(),
        };
        // A safe box has no trash: what is deleted there is gone (section 4.11).
        if op == "trash" && is_safe(self.space()) {
            return Err(ApiError::bad_request("there is no trash in this space"));
        }
        for id in &ids {
            if op == "empty_trash" {
                break;
            }
            let (node, trashed) = self.entry(&tree, id)?;
            if (moving || op == "trash") && trashed {
                return Err(ApiError::in_trash());
            }
            if moving && node.pending {
                return Err(ApiError::uncompleted());
            }
            if moving && (node.parent == to || tree.is_below(&to, id)) {
                let text = "The target is the current folder or lies below the source";
                return Err(ApiError::state("file_move_or_copy_to_cur", text));
            }
        }
        if op == "copy" {
            let more: u64 = ids.iter().map(|id| bytes_below(&tree, id)).sum();
            if tree.used().saturating_add(more) > self.limit() {
                return Err(ApiError::no_space());
            }
        }
        Ok(Batch { op, ids, to })
    }

    pub(super) fn batch(&self) -> Result<Value, ApiError> {
        let batch = self.planned()?;
        if !self.id.is_empty() || self.account.knobs.flag("batch_sync") {
            let mut state = self.sim.state();
            self.sim.apply(&mut state, &self.account, &batch);
            return Ok(json!({}));
        }
        let due = self.now().saturating_add(self.knob_ms("batch_delay_ms", 0));
        let id = self.sim.add_task(Task {
            file_id: batch.ids.first().cloned().unwrap_or_default(),
            due: Some(due),
            batch: Some(batch),
            ..Task::new(&self.account.profile, self.op, self.now())
        });
        self.sim.settle();
        Ok(json!({ "task_id": id }))
    }
}

/// Bytes of a node and of everything live below it.
pub(super) fn bytes_below(tree: &Tree, id: &str) -> u64 {
    let own = tree.get(id).map_or(0, |node| node.size());
    let below = tree.children(id).map(|child| bytes_below(tree, &child.id));
    own.saturating_add(below.sum())
}

impl Xunlei {
    /// Does what a batch promised; what is gone meanwhile is left out.
    pub(super) fn apply(&self, state: &mut State, account: &Account, batch: &Batch) {
        let now = self.kit.clock.now_ms();
        let lock_ms = account.knobs.number("rename_lock_ms", 0);
        let busy_until = now.saturating_add(i64::try_from(lock_ms).unwrap_or(i64::MAX));
        let mut tree = account.tree();
        for id in &batch.ids {
            let Some(node) = tree.get(id).cloned() else {
                continue;
            };
            let mut busy = String::new();
            match batch.op {
                "move" => {
                    let name = free_name(state, &tree, &batch.to, &node.name);
                    if tree.relocate(id, &batch.to, &name) {
                        busy = id.clone();
                    }
                }
                "copy" => {
                    let name = free_name(state, &tree, &batch.to, &node.name);
                    let copy = tree.copy(id, &batch.to, &name, now, &mut |_| self.file_id());
                    busy = copy.unwrap_or_default();
                }
                "trash" => {
                    tree.update(id, |node| node.trashed = Some(now));
                }
                "restore" if node.trashed.is_some() => {
                    // Back to the root: the old folder is not kept (section 4.5).
                    let home = account.knobs.flag("untrash_home")
                        && tree.get(&node.parent).is_some()
                        && !in_trash(&tree, &node.parent);
                    let parent = match home {
                        true => node.parent.clone(),
                        false => tree.root().to_owned(),
                    };
                    let name = free_name(state, &tree, &parent, &node.name);
                    tree.update(id, |node| node.trashed = None);
                    tree.relocate(id, &parent, &name);
                }
                "restore" => {}
                _ => {
                    tree.remove(id);
                }
            }
            tree.update(&busy, |node| {
                node.modified = now;
                node.extra
                    .insert("busy_until".to_owned(), json!(busy_until));
            });
        }
        self.forget_lost_uploads(state, account, &tree);
    }

    /// Ends upload tasks whose entry is deleted; their parts go with the last one.
    pub(super) fn forget_lost_uploads(&self, state: &mut State, account: &Account, tree: &Tree) {
        debug_assert_eq!(tree.root(), root_id(account.number));
        let mut keys = Vec::new();
        let mut kept = Vec::new();
        for id in std::mem::take(&mut state.open) {
            let Some(task) = state.tasks.get_mut(&id) else {
                continue;
            };
            match &task.upload {
                Some(upload)
                    if task.profile == account.profile && tree.get(&task.file_id).is_none() =>
                {
                    keys.push(upload.key.clone());
                    task.phase = tasks::ERROR;
                }
                _ => kept.push(id),
            }
        }
        state.open = kept;
        for key in keys {
            self.forget_unless_needed(state, &key);
        }
    }

    /// Drops the parts of an object that no open task waits for.
    pub(super) fn forget_unless_needed(&self, state: &State, key: &str) {
        let needed = state
            .open
            .iter()
            .filter_map(|id| state.tasks.get(id)?.upload.as_ref())
            .any(|upload| upload.key == key);
        if !needed && !key.is_empty() {
            self.oss.forget(BUCKET, key);
        }
    }
}
