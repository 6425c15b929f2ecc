//! Move, copy, trash, restore and delete: each a task (pikpak.md section 4.4).

use serde_json::{Value, json};

use super::super::account::Account;
use super::super::tree::Tree;
use super::change::free_name;
use super::errors::ApiError;
use super::files::in_trash;
use super::gate::Ctx;
use super::tasks::{self, Task};
use super::{BUCKET, PikPak, State, text};

/// What a batch task is going to do.
#[derive(Clone)]
pub(super) struct Batch {
    op: &'static str,
    ids: Vec<String>,
    to: String,
}

impl Ctx<'_> {
    /// `ids` of the body.
    pub(super) fn ids(&self) -> Result<Vec<String>, ApiError> {
        let ids: Option<Vec<String>> =
            self.body
                .get("ids")
                .and_then(Value::as_array)
                .and_then(|ids| {
                    ids.iter()
                        .map(|id| id.as_str().map(str::to_owned))
                        .collect()
                });
        let most = self.account.knobs.number("max_batch", 100);
        ids.filter(|ids| !ids.is_empty() && ids.len() as u64 <= most)
            .ok_or_else(|| ApiError::bad_request("ids"))
    }

    /// The batch this call asks for.
    fn planned(&self) -> Result<Batch, ApiError> {
        let tree = self.account.tree();
        let one = self.op == "delete" && !self.id.is_empty();
        let soft = one && self.account.knobs.text("delete_one").as_deref() == Some("trash");
        let op = if soft { "trash" } else { self.op };
        let ids = match op {
            "empty_trash" => {
                let all = tree.walk().into_iter();
                all.filter(|node| node.trashed.is_some())
                    .map(|node| node.id.clone())
                    .collect()
            }
            _ if one => vec![self.id.clone()],
            _ => self.ids()?,
        };
        let moving = matches!(op, "move" | "copy");
        let to = match moving {
            true => {
                let to = self.body.get("to").filter(|to| to.is_object());
                let to = to.ok_or_else(|| ApiError::bad_request("to"))?;
                self.folder(&tree, text(to, "parent_id"))?
            }
            false => String::new(),
        };
        for id in &ids {
            let (node, trashed) = self.entry(&tree, id)?;
            if moving && trashed {
                return Err(ApiError::in_trash());
            }
            if moving && node.pending {
                return Err(ApiError::uncompleted());
            }
            if moving && (node.parent == to || tree.is_below(&to, id)) {
                let text = "The target is the current folder or lies below the source";
                return Err(ApiError::new(400, 9, "file_move_or_copy_to_cur", text));
            }
            if op == "trash" && trashed {
                return Err(ApiError::in_trash());
            }
        }
        if op == "copy" {
            let tree = &*tree;
            let more: u64 = ids.iter().map(|id| bytes_below(tree, id)).sum();
            if tree.used().saturating_add(more) > self.limit() {
                return Err(ApiError::new(
                    400,
                    8,
                    "file_space_not_enough",
                    "No space left",
                ));
            }
        }
        Ok(Batch { op, ids, to })
    }

    pub(super) fn batch(&self) -> Result<Value, ApiError> {
        let batch = self.planned()?;
        let due = self.now().saturating_add(self.knob_ms("batch_delay_ms", 0));
        let task = Task {
            profile: self.account.profile.clone(),
            kind: batch.op,
            file_id: batch.ids.first().cloned().unwrap_or_default(),
            file_name: String::new(),
            size: 0,
            created: self.now(),
            phase: tasks::RUNNING,
            due: Some(due),
            batch: Some(batch),
            upload: None,
        };
        let id = self.sim.add_task(task);
        self.sim.settle();
        Ok(json!({ "task_id": id }))
    }
}

fn bytes_below(tree: &Tree, id: &str) -> u64 {
    let own = tree.get(id).map_or(0, |node| node.size());
    let below = tree.children(id).map(|child| bytes_below(tree, &child.id));
    own.saturating_add(below.sum())
}

impl PikPak {
    /// Does what a batch task promised; what is gone meanwhile is left out.
    pub(super) fn apply(&self, state: &mut State, account: &Account, batch: &Batch) {
        let now = self.kit.clock.now_ms();
        let ms = |knob: &str, default| {
            i64::try_from(account.knobs.number(knob, default)).unwrap_or(i64::MAX)
        };
        let busy_until = now.saturating_add(ms("rename_lock_ms", 200));
        let ghost_until = now.saturating_add(ms("delete_lag_ms", 0));
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
                "restore" => {
                    let home = tree.get(&node.parent).is_some() && !in_trash(&tree, &node.parent);
                    let parent = match home {
                        true => node.parent.clone(),
                        false => tree.root().to_owned(),
                    };
                    let name = free_name(state, &tree, &parent, &node.name);
                    tree.update(id, |node| node.trashed = None);
                    tree.relocate(id, &parent, &name);
                }
                _ => {
                    tree.remove(id);
                }
            }
            if matches!(batch.op, "trash" | "delete") && ghost_until > now {
                let (parent, name) = (node.parent.clone(), node.name.clone());
                let ghost = (account.profile.clone(), parent, name, ghost_until);
                state.ghosts.push(ghost);
            }
            tree.update(&busy, |node| {
                node.modified = now;
                node.extra
                    .insert("busy_until".to_owned(), json!(busy_until));
            });
        }
        state.ghosts.retain(|ghost| now < ghost.3);
        self.forget_lost_uploads(state, &tree);
    }

    /// Ends upload tasks whose entry is deleted; their parts go with the last one.
    pub(super) fn forget_lost_uploads(&self, state: &mut State, tree: &Tree) {
        let mut keys = Vec::new();
        let mut kept = Vec::new();
        let root = tree.root().to_owned();
        let open = std::mem::take(&mut state.open);
        for id in open {
            let Some(task) = state.tasks.get_mut(&id) else {
                continue;
            };
            let own = self
                .account(&task.profile)
                .is_some_and(|account| super::root_id(account.number) == root);
            match &task.upload {
                Some(upload) if own && tree.get(&task.file_id).is_none() => {
                    keys.push(upload.key.clone());
                    task.phase = tasks::ERROR;
                }
                _ => kept.push(id),
            }
        }
        state.open = kept;
        for key in keys {
            let used = state
                .open
                .iter()
                .filter_map(|id| state.tasks.get(id)?.upload.as_ref())
                .any(|upload| upload.key == key);
            if !used {
                self.oss.forget(BUCKET, &key);
            }
        }
    }
}
