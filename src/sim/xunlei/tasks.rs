//! Tasks of uploads, batch calls and taken-over shares (xunlei.md sections 4.4 and 4.8).

use serde_json::{Map, Value, json};

use super::super::clock::rfc3339_beijing;
use super::batch::Batch;
use super::errors::ApiError;
use super::gate::Ctx;
use super::save::Save;
use super::upload::Upload;
use super::{State, Xunlei, user_id};

/// Not over yet.
pub(super) const RUNNING: &str = "PHASE_TYPE_RUNNING";
/// Done.
pub(super) const COMPLETE: &str = "PHASE_TYPE_COMPLETE";
/// Will never be done.
pub(super) const ERROR: &str = "PHASE_TYPE_ERROR";

/// A task.
pub(super) struct Task {
    pub profile: String,
    /// `upload`, or the operation it was started by.
    pub kind: &'static str,
    pub file_id: String,
    pub file_name: String,
    pub size: u64,
    pub created: i64,
    pub phase: &'static str,
    /// When it takes effect; for an upload known once its bytes are stored.
    pub due: Option<i64>,
    pub batch: Option<Batch>,
    pub upload: Option<Upload>,
    pub save: Option<Save>,
}

impl Task {
    /// A running task that does nothing yet.
    pub(super) fn new(profile: &str, kind: &'static str, now: i64) -> Task {
        Task {
            profile: profile.to_owned(),
            kind,
            file_id: String::new(),
            file_name: String::new(),
            size: 0,
            created: now,
            phase: RUNNING,
            due: None,
            batch: None,
            upload: None,
            save: None,
        }
    }
}

impl Xunlei {
    /// Adds an open task; answers its id.
    pub(super) fn add_task(&self, task: Task) -> String {
        let mut state = self.state();
        self.add_task_to(&mut state, task)
    }

    /// The same under a lock that is held already.
    pub(super) fn add_task_to(&self, state: &mut State, task: Task) -> String {
        let id = format!("VNt{}", self.kit.ids.hex(23));
        state.tasks.insert(id.clone(), task);
        state.open.push(id.clone());
        id
    }

    /// Lets every task that is due take effect.
    pub(super) fn settle(&self) {
        let now = self.kit.clock.now_ms();
        let mut state = self.state();
        let due: Vec<String> = state
            .open
            .iter()
            .filter(|id| {
                let task = state.tasks.get(*id);
                task.is_some_and(|task| task.due.is_some_and(|due| due <= now))
            })
            .cloned()
            .collect();
        for id in due {
            let Some(task) = state.tasks.get_mut(&id) else {
                continue;
            };
            task.phase = COMPLETE;
            let (batch, save) = (task.batch.clone(), task.save.clone());
            let (file_id, profile) = (task.file_id.clone(), task.profile.clone());
            state.open.retain(|open| *open != id);
            let Some(account) = self.account(&profile) else {
                continue;
            };
            match (batch, save) {
                (Some(batch), _) => self.apply(&mut state, &account, &batch),
                (None, Some(save)) => self.take_over(&state, &account, &save),
                (None, None) => {
                    state.pending.remove(&file_id);
                    account.tree().update(&file_id, |node| {
                        node.pending = false;
                        node.modified = now;
                    });
                }
            }
        }
    }

    /// A task as the API writes it.
    pub(super) fn render_task(&self, id: &str, task: &Task, user: &str) -> Value {
        let progress = if task.phase == COMPLETE { 100 } else { 0 };
        let params = task.save.as_ref().map_or(json!({}), Save::params);
        json!({
            "kind": "drive#task", "id": id, "name": task.file_name, "type": task.kind,
            "user_id": user, "phase": task.phase, "progress": progress, "message": "",
            "params": params, "file_id": task.file_id, "file_name": task.file_name,
            "file_size": task.size.to_string(),
            "created_time": rfc3339_beijing(task.created),
            "updated_time": rfc3339_beijing(task.created),
        })
    }
}

impl Ctx<'_> {
    pub(super) fn task(&self) -> Result<Value, ApiError> {
        let state = self.sim.state();
        let own = state.tasks.get(&self.id);
        let task = own.filter(|task| task.profile == self.account.profile);
        let task = task.ok_or_else(ApiError::not_found)?;
        Ok(self
            .sim
            .render_task(&self.id, task, &user_id(&self.account)))
    }

    pub(super) fn task_list(&self) -> Result<Value, ApiError> {
        let phases: Option<Vec<String>> = match self.param("filters") {
            "" => None,
            filters => {
                let bad = |_| ApiError::bad_request("filters");
                let all: Map<String, Value> = serde_json::from_str(filters).map_err(bad)?;
                let tests = all.get("phase");
                let phase = tests.and_then(|t| t.get("in").or_else(|| t.get("eq")));
                phase
                    .and_then(Value::as_str)
                    .map(|text| text.split(',').map(str::to_owned).collect())
            }
        };
        let kind = self.param("type");
        let state = self.sim.state();
        let user = user_id(&self.account);
        let mut own: Vec<_> = state
            .tasks
            .iter()
            .filter(|(_, task)| task.profile == self.account.profile)
            .filter(|(_, task)| kind.is_empty() || task.kind == kind)
            .filter(|(_, task)| {
                let all = phases.as_ref();
                all.is_none_or(|all| all.iter().any(|one| one == task.phase))
            })
            .collect();
        own.sort_by(|a, b| (a.1.created, a.0).cmp(&(b.1.created, b.0)));
        let limit: usize = self.param("limit").parse().unwrap_or(100).clamp(1, 10_000);
        let from: usize = match self.param("page_token") {
            "" => 0,
            token => token
                .parse()
                .map_err(|_| ApiError::bad_request("page_token"))?,
        };
        let page: Vec<Value> = own
            .iter()
            .skip(from)
            .take(limit)
            .map(|(id, task)| self.sim.render_task(id, task, &user))
            .collect();
        let next = match from.saturating_add(page.len()) {
            at if at < own.len() => at.to_string(),
            _ => String::new(),
        };
        Ok(json!({ "tasks": page, "next_page_token": next, "expires_in": 10 }))
    }

    /// Deletes tasks; with `delete_files` their entries as well.
    pub(super) fn task_delete(&self) -> Result<Value, ApiError> {
        let ids: Vec<&str> = self
            .query
            .iter()
            .filter(|(key, _)| key == "task_ids")
            .flat_map(|(_, ids)| ids.split(','))
            .filter(|id| !id.is_empty())
            .collect();
        if ids.is_empty() {
            return Err(ApiError::bad_request("task_ids"));
        }
        let with_files = self.param("delete_files") == "true";
        let mut state = self.sim.state();
        for id in ids {
            let own = state.tasks.get(id);
            let own = own.is_some_and(|task| task.profile == self.account.profile);
            let Some(task) = own.then(|| state.tasks.remove(id)).flatten() else {
                return Err(ApiError::not_found());
            };
            state.open.retain(|open| open != id);
            if with_files {
                self.account.tree().remove(&task.file_id);
                state.pending.remove(&task.file_id);
            }
            // Parts that were sent for it go with it, unless another task needs their key.
            let key = task.upload.map(|upload| upload.key).unwrap_or_default();
            self.sim.forget_unless_needed(&state, &key);
        }
        Ok(json!({}))
    }
}
