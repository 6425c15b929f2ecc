//! Changes of many entries: done behind the answer, and polled (sections 4.4 and 4.5).

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::account::Account;
use super::super::faults::FaultKind;
use super::super::tree::Tree;
use super::Guangya;
use super::change::taken;
use super::errors::ApiError;
use super::gate::{Ctx, number};

/// What a task does.
#[derive(Clone)]
enum Work {
    Move {
        ids: Vec<String>,
        to: String,
    },
    Copy {
        ids: Vec<String>,
        to: String,
    },
    /// Into the trash; what is there already ends.
    Delete(Vec<String>),
    Restore(Vec<String>),
    Empty,
}

/// How a task ended.
struct Outcome {
    status: i64,
    code: i64,
    msg: String,
}

impl Outcome {
    fn done() -> Outcome {
        Outcome {
            status: 2,
            code: 0,
            msg: String::new(),
        }
    }

    fn refused(error: &ApiError) -> Outcome {
        Outcome {
            status: 2,
            code: error.code(),
            msg: error.text().to_owned(),
        }
    }
}

/// A task.
pub(super) struct Task {
    account: Arc<Account>,
    /// What is still to do; taken by whoever does it.
    work: Option<Work>,
    polls_left: u64,
    /// Whether somebody asked for it already.
    polled: bool,
    due: i64,
    outcome: Option<Outcome>,
}

fn bytes_below(tree: &Tree, id: &str) -> u64 {
    let own = tree.get(id).map_or(0, |node| node.size());
    let below = tree.children(id).map(|child| bytes_below(tree, &child.id));
    own.saturating_add(below.sum())
}

impl Guangya {
    /// Does the tasks that are due.
    pub(super) fn settle_tasks(&self) {
        let now = self.kit.clock.now_ms();
        let mut state = self.state();
        for task in state.tasks.values_mut() {
            if now >= task.due
                && let Some(work) = task.work.take()
            {
                task.outcome = Some(self.perform(&task.account, &work));
            }
        }
    }

    /// Does what was promised; what is gone meanwhile is left out.
    fn perform(&self, account: &Account, work: &Work) -> Outcome {
        let now = self.kit.clock.now_ms();
        let mut tree = account.tree();
        let mut outcome = Outcome::done();
        match work {
            Work::Move { ids, to } => {
                let renames = account.knobs.text("move_collision").as_deref() == Some("rename");
                for id in ids {
                    let Some(node) = tree.live(id).cloned() else {
                        continue;
                    };
                    if node.parent == *to {
                        continue;
                    }
                    match taken(&tree, to, &node.name) {
                        Some((_, error)) if !renames => outcome = Outcome::refused(&error),
                        _ => {
                            let name = tree.free_name(to, &node.name);
                            tree.relocate(id, to, &name);
                        }
                    }
                }
            }
            Work::Copy { ids, to } => {
                for id in ids {
                    let Some(name) = tree.live(id).map(|node| node.name.clone()) else {
                        continue;
                    };
                    let name = tree.free_name(to, &name);
                    tree.copy(id, to, &name, now, &mut |_| self.file_id());
                }
            }
            Work::Delete(ids) => {
                for id in ids {
                    let trashed = tree.get(id).map(|node| node.trashed.is_some());
                    match trashed {
                        Some(true) => {
                            tree.remove(id);
                        }
                        _ => {
                            tree.update(id, |node| node.trashed = Some(now));
                        }
                    }
                }
            }
            Work::Restore(ids) => {
                for id in ids {
                    let Some(node) = tree.get(id).cloned() else {
                        continue;
                    };
                    let parent = match tree.live_dir(&node.parent) {
                        Some(home) => home.id.clone(),
                        None => tree.root().to_owned(),
                    };
                    let name = tree.free_name(&parent, &node.name);
                    tree.update(id, |node| node.trashed = None);
                    tree.relocate(id, &parent, &name);
                }
            }
            Work::Empty => {
                let all = tree.walk().into_iter();
                let ids: Vec<String> = all
                    .filter(|node| node.trashed.is_some())
                    .map(|node| node.id.clone())
                    .collect();
                for id in ids {
                    tree.remove(&id);
                }
            }
        }
        outcome
    }
}

impl Ctx<'_> {
    fn file_ids(&self) -> Result<Vec<String>, ApiError> {
        let most = self.account.knobs.number("max_batch", 1000);
        self.args.ids("fileIds", most)
    }

    /// Starts a task, and answers what its call answers. Without `taskId` it is done already.
    fn submit(&self, work: Work) -> Result<Value, ApiError> {
        let at_once = match self.knob("task").as_str() {
            "sync" => true,
            "mixed" => self.form(2, 2) == 1,
            _ => false,
        };
        if at_once {
            let outcome = self.sim.perform(&self.account, &work);
            return match outcome.code {
                0 => Ok(json!({})),
                code => Err(ApiError::new(code, &outcome.msg)),
            };
        }
        let task = Task {
            account: self.account.clone(),
            work: Some(work),
            polls_left: self.account.knobs.number("task_polls", 1),
            polled: false,
            due: self
                .now()
                .saturating_add(number(&self.account, "task_ms", 3000)),
            outcome: None,
        };
        let id = format!("op-{}", self.sim.kit.ids.hex(16));
        self.sim.state().tasks.insert(id.clone(), task);
        Ok(json!({ "taskId": id }))
    }

    /// `move_file` and `copy_file`.
    pub(super) fn relocate(&self) -> Result<Value, ApiError> {
        let ids = self.file_ids()?;
        let copy = self.op == "copy";
        let to = {
            let tree = self.account.tree();
            let to = self.folder(&tree, self.args.text("parentId")?)?;
            let mut bytes = 0_u64;
            for id in &ids {
                self.entry(&tree, id)?;
                if tree.is_below(&to, id) {
                    return Err(ApiError::parameter("parentId"));
                }
                bytes = bytes.saturating_add(bytes_below(&tree, id));
            }
            let space = super::import::space(&self.account);
            if copy && tree.used().saturating_add(bytes) > space {
                return Err(ApiError::no_space());
            }
            to
        };
        self.submit(match copy {
            true => Work::Copy { ids, to },
            false => Work::Move { ids, to },
        })
    }

    /// `delete_file`: into the trash, or for good when it is there already.
    pub(super) fn delete(&self) -> Result<Value, ApiError> {
        let ids = self.file_ids()?;
        {
            let tree = self.account.tree();
            for id in &ids {
                let trashed = tree.get(id).is_some_and(|node| node.trashed.is_some());
                if !trashed {
                    self.entry(&tree, id)?;
                }
            }
        }
        self.submit(Work::Delete(ids))
    }

    /// `recycle_file`.
    pub(super) fn restore(&self) -> Result<Value, ApiError> {
        let ids = self.file_ids()?;
        {
            let tree = self.account.tree();
            for id in &ids {
                let node = tree.get(id).filter(|node| !node.parent.is_empty());
                match node.ok_or_else(|| ApiError::missing(self.form(1, 2)))? {
                    node if node.trashed.is_some() => {}
                    _ => return Err(ApiError::parameter("fileIds")),
                }
            }
        }
        self.submit(Work::Restore(ids))
    }

    /// `clear_recycle_bin`.
    pub(super) fn empty_trash(&self) -> Result<Value, ApiError> {
        self.submit(Work::Empty)
    }

    /// `get_task_status`.
    pub(super) fn task(&self) -> Result<Value, ApiError> {
        let id = self.args.required("taskId")?;
        let failure = self.account.faults.take("task", FaultKind::CommitFail);
        let mut state = self.sim.state();
        let task = state.tasks.get_mut(id);
        let task = task.filter(|task| task.account.profile == self.account.profile);
        let task = task.ok_or_else(|| ApiError::parameter("taskId"))?;
        if let Some(arg) = failure
            && task.work.take().is_some()
        {
            let (status, code) = match arg.trim().parse::<i64>() {
                Ok(-1) => (-1, 100),
                Ok(code) => (2, code),
                Err(_) => (3, 100),
            };
            task.outcome = Some(Outcome {
                status,
                code,
                msg: "injected fault".to_owned(),
            });
        }
        if task.outcome.is_none()
            && task.polls_left == 0
            && let Some(work) = task.work.take()
        {
            task.outcome = Some(self.sim.perform(&task.account, &work));
        }
        task.polls_left = task.polls_left.saturating_sub(1);
        // 0 waits, 1 runs.
        let waiting = i64::from(std::mem::replace(&mut task.polled, true));
        Ok(match &task.outcome {
            Some(outcome) => json!({
                "status": outcome.status,
                "detail": { "code": outcome.code, "msg": outcome.msg },
            }),
            None => json!({ "status": waiting, "detail": { "code": 0, "msg": "" } }),
        })
    }
}
