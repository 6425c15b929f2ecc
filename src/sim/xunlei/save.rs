//! Files of a share are taken over into an account (xunlei.md section 4.10).

use serde_json::{Map, Value, json};

use super::super::account::Account;
use super::super::tree::{Node, Tree};
use super::batch::{bytes_below, ids};
use super::change::free_name;
use super::errors::ApiError;
use super::gate::Ctx;
use super::tasks::Task;
use super::{State, Xunlei, text};

/// What a task is going to take over.
#[derive(Clone)]
pub(super) struct Save {
    /// Profile of the share's owner.
    owner: String,
    /// Ids there, and the ids that the copies get.
    pairs: Vec<(String, String)>,
    to: String,
}

impl Save {
    /// What the task tells: the ids, as JSON inside of a text.
    pub(super) fn params(&self) -> Value {
        let pairs = self.pairs.iter();
        let traced: Map<String, Value> =
            pairs.map(|(old, new)| (old.clone(), json!(new))).collect();
        json!({ "trace_file_ids": Value::Object(traced).to_string() })
    }
}

/// A node and everything live below it, parents first.
fn subtree(tree: &Tree, id: &str) -> Vec<Node> {
    let mut all: Vec<Node> = tree.live(id).cloned().into_iter().collect();
    let mut next = 0;
    while let Some(node) = all.get(next) {
        let below: Vec<Node> = tree.children(&node.id).cloned().collect();
        all.extend(below);
        next += 1;
    }
    all
}

impl Ctx<'_> {
    /// `POST /drive/v1/settings`: where the next restore goes to.
    pub(super) fn settings(&self) -> Result<Value, ApiError> {
        if text(&self.body, "item") != "restore_path" {
            return Err(ApiError::bad_request("unknown item"));
        }
        let value = text(&self.body, "value");
        self.folder(&self.account.tree(), value, "")?;
        let mut state = self.sim.state();
        let paths = &mut state.restore_paths;
        paths.insert(self.account.profile.clone(), value.to_owned());
        Ok(json!({}))
    }

    /// `POST /drive/v1/share/restore`.
    pub(super) fn share_restore(&self) -> Result<Value, ApiError> {
        let wanted = ids(&self.body, "file_ids", self.max_batch())?;
        let mut state = self.sim.state();
        let to = self.restore_target(&state)?;
        let refused = |status: &str| Ok(json!({ "share_status": status, "restore_status": "" }));
        let Some(share) = state.shares.get_mut(text(&self.body, "share_id")) else {
            return refused("NOT_FOUND");
        };
        if share.owner == self.account.profile {
            let text = "A share of one's own cannot be restored";
            return Err(ApiError::state("file_restore_own", text));
        }
        if !share.readers.contains(text(&self.body, "pass_code_token")) {
            return refused("PASS_CODE_EMPTY");
        }
        let owner = self.sim.account(&share.owner);
        let owner = owner.ok_or_else(ApiError::not_found)?;
        let more: u64 = {
            let tree = owner.tree();
            if let Some(status) = share.closed(&tree, self.now()) {
                return refused(status);
            }
            if wanted.iter().any(|id| !share.shows(&tree, id)) {
                return Err(ApiError::not_found());
            }
            wanted.iter().map(|id| bytes_below(&tree, id)).sum()
        };
        if self.account.tree().used().saturating_add(more) > self.limit() {
            return Err(ApiError::no_space());
        }
        share.saves_left = match share.saves_left {
            0 => return refused("RESTORE_LIMIT"),
            u64::MAX => u64::MAX,
            left => left - 1,
        };
        let pairs = wanted.into_iter().map(|id| (id, self.sim.file_id()));
        let save = Save {
            owner: share.owner.clone(),
            pairs: pairs.collect(),
            to,
        };
        let params = save.params();
        let due = self.now().saturating_add(self.knob_ms("batch_delay_ms", 0));
        let task = Task {
            due: Some(due),
            save: Some(save),
            ..Task::new(&self.account.profile, "restore", self.now())
        };
        let id = self.sim.add_task_to(&mut state, task);
        Ok(json!({
            "share_status": "OK", "restore_status": "RESTORE_START", "restore_task_id": id,
            "file_id": "", "params": params,
        }))
    }

    /// Where restored files go: the folder that was asked for sticks only when the setting says
    /// the same, else it is 我的转存.
    fn restore_target(&self, state: &State) -> Result<String, ApiError> {
        let asked = text(&self.body, "parent_id");
        let specified = self.body.get("specify_parent_id") == Some(&Value::Bool(true));
        let set = state.restore_paths.get(&self.account.profile);
        let target = self.folder(&self.account.tree(), asked, "")?;
        if specified && set.is_some_and(|set| set == asked) {
            return Ok(target);
        }
        self.sim.make_default_folders(&self.account);
        let tree = self.account.tree();
        let found = tree.find(tree.root(), "我的转存");
        let own = found.iter().find(|node| node.is_dir());
        own.map_or(Ok(target), |node| Ok(node.id.clone()))
    }
}

impl Xunlei {
    /// Does what a restore promised; what is gone meanwhile is left out.
    pub(super) fn take_over(&self, state: &State, account: &Account, save: &Save) {
        let Some(owner) = self.account(&save.owner) else {
            return;
        };
        let now = self.kit.clock.now_ms();
        for (old, new) in &save.pairs {
            let nodes = subtree(&owner.tree(), old);
            let mut tree = account.tree();
            let mut ids = std::collections::HashMap::new();
            for node in nodes {
                let top = node.id == *old;
                let id = if top { new.clone() } else { self.file_id() };
                let parent = match top {
                    true => save.to.clone(),
                    false => ids.get(&node.parent).cloned().unwrap_or_default(),
                };
                let name = match top {
                    true => free_name(state, &tree, &parent, &node.name),
                    false => node.name.clone(),
                };
                ids.insert(node.id.clone(), id.clone());
                tree.insert(Node {
                    id,
                    parent,
                    name,
                    created: now,
                    modified: now,
                    ..node
                });
            }
        }
    }
}
