//! What is done behind the answer (sheet quark, 4.9): a task is done when it was polled often
//! enough, or by itself after a while.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::super::account::Account;
use super::super::faults::FaultKind;
use super::QuarkUc;
use super::errors::ApiError;
use super::gate::Ctx;
use super::save::Branch;

/// What a task does.
pub(super) enum Work {
    Move {
        fids: Vec<String>,
        to: String,
    },
    Copy {
        fids: Vec<String>,
        to: String,
    },
    /// Entries and their record ids.
    Trash(Vec<(String, String)>),
    Restore(Vec<String>),
    Save {
        branches: Vec<Branch>,
        to: String,
    },
    /// A link, ready to be told.
    Link(Value),
}

enum Outcome {
    Done(Value),
    Refused(ApiError),
    /// Status 3.
    Failed,
}

/// A task.
pub(super) struct Task {
    account: Arc<Account>,
    title: &'static str,
    /// What is still to do; taken by whoever does it.
    work: Option<Work>,
    polls_left: u64,
    due: i64,
    created: i64,
    outcome: Option<Outcome>,
}

impl QuarkUc {
    fn perform(&self, account: &Arc<Account>, work: Work) -> Outcome {
        let done = match work {
            Work::Move { fids, to } => self.run_move(account, &fids, &to),
            Work::Copy { fids, to } => self.run_copy(account, &fids, &to),
            Work::Trash(records) => Ok(self.run_trash(account, &records)),
            Work::Restore(fids) => self.run_restore(account, &fids),
            Work::Save { branches, to } => self.run_save(account, &branches, &to),
            Work::Link(link) => Ok(link),
        };
        match done {
            Ok(data) => Outcome::Done(data),
            Err(error) => Outcome::Refused(error),
        }
    }

    /// Does the tasks that are due.
    pub(super) fn settle(&self) {
        let now = self.kit.clock.now_ms();
        let due: Vec<(String, Arc<Account>, Work)> = {
            let mut state = self.state();
            let tasks = state.tasks.iter_mut();
            tasks
                .filter(|(_, task)| now >= task.due)
                .filter_map(|(id, task)| {
                    let work = task.work.take()?;
                    Some((id.clone(), task.account.clone(), work))
                })
                .collect()
        };
        for (id, account, work) in due {
            let outcome = self.perform(&account, work);
            self.set_outcome(&id, outcome);
        }
    }

    fn set_outcome(&self, id: &str, outcome: Outcome) {
        if let Some(task) = self.state().tasks.get_mut(id) {
            task.outcome = Some(outcome);
        }
    }
}

impl Ctx<'_> {
    fn gap(&self) -> Value {
        json!({ "tq_gap": self.number("tq_gap_ms", 500) })
    }

    /// Starts a task, and answers what its call answers. Without polls it is done at once.
    pub(super) fn submit(
        &self,
        title: &'static str,
        work: Work,
    ) -> Result<(Value, Value), ApiError> {
        let polls = self.account.knobs.number("task_polls", 1);
        let now = self.now();
        let mut task = Task {
            account: self.account.clone(),
            title,
            work: None,
            polls_left: polls,
            due: now.saturating_add(self.number("task_ms", 3000)),
            created: now,
            outcome: None,
        };
        if polls == 0 {
            match self.sim.perform(&self.account, work) {
                Outcome::Refused(error) => return Err(error),
                done => task.outcome = Some(done),
            }
        } else {
            task.work = Some(work);
        }
        let id = self.new_record();
        let data = json!({
            "task_id": self.id_value(&id), "finish": polls == 0, "task_sync": polls == 0,
        });
        self.sim.state().tasks.insert(id, task);
        Ok((data, self.gap()))
    }

    /// `GET task`.
    pub(super) fn task(&self) -> Result<(Value, Value), ApiError> {
        let id = self.args.query("task_id");
        self.args.query_number("retry_index", 0)?;
        let failed = self.struck(FaultKind::CommitFail);
        let work = {
            let mut state = self.sim.state();
            let task = state.tasks.get_mut(id);
            let task = task.filter(|task| task.account.profile == self.account.profile);
            let task = task.ok_or_else(|| ApiError::parameter("task_id"))?;
            if failed && task.work.take().is_some() {
                task.outcome = Some(Outcome::Failed);
            }
            match task.polls_left {
                0 => task.work.take(),
                _ => {
                    task.polls_left -= 1;
                    None
                }
            }
        };
        if let Some(work) = work {
            let outcome = self.sim.perform(&self.account, work);
            self.sim.set_outcome(id, outcome);
        }
        let state = self.sim.state();
        let Some(task) = state.tasks.get(id) else {
            return Err(ApiError::parameter("task_id"));
        };
        let mut data = Map::from_iter([
            ("task_id".to_owned(), self.id_value(id)),
            ("task_title".to_owned(), json!(task.title)),
            ("created_at".to_owned(), json!(task.created)),
        ]);
        let status = match &task.outcome {
            // 0 waits, 1 runs.
            None => json!(u8::from(task.polls_left > 0)),
            Some(Outcome::Done(more)) => {
                data.extend(more.as_object().cloned().unwrap_or_default());
                json!(2)
            }
            Some(Outcome::Refused(error)) => return Err(error.clone()),
            Some(Outcome::Failed) => json!(3),
        };
        data.insert("status".to_owned(), status);
        Ok((Value::Object(data), self.gap()))
    }
}
