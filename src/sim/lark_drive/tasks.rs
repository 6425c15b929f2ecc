//! Work that is done after its call: moves and deletes of folders (sections 4 and 9).

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::account::Account;
use super::super::faults::FaultKind;
use super::LarkDrive;
use super::auth::Who;
use super::errors::ApiError;
use super::gate::{Ctx, number};

/// What is to be done.
pub(super) enum Work {
    /// Into another folder.
    Move { token: String, to: String },
    /// Into the trash.
    Delete { token: String },
}

/// How it went.
enum Outcome {
    Done,
    /// With the word for it.
    Failed(String),
}

pub(super) struct Task {
    account: Arc<Account>,
    who: Who,
    /// Until it is done.
    work: Option<Work>,
    polls_left: u64,
    /// Asked for already.
    polled: bool,
    /// Then it is done without being asked for.
    due: i64,
    outcome: Option<Outcome>,
}

impl Task {
    fn finish(&mut self, now: i64) {
        if let Some(work) = self.work.take() {
            self.outcome = Some(match perform(&self.account, &work, now) {
                true => Outcome::Done,
                false => Outcome::Failed("fail".to_owned()),
            });
        }
    }
}

/// Does it; `false` when it cannot be done any more.
fn perform(account: &Account, work: &Work, now: i64) -> bool {
    let mut tree = account.tree();
    match work {
        Work::Move { token, to } => {
            let name = tree.live(token).map(|node| node.name.clone());
            match name {
                Some(name) if tree.live_dir(to).is_some() => tree.relocate(token, to, &name),
                _ => false,
            }
        }
        Work::Delete { token } => match tree.live(token).is_some() {
            true => tree.update(token, |node| node.trashed = Some(now)),
            // Somebody else was faster: it is gone all the same.
            false => tree.get(token).is_some(),
        },
    }
}

impl LarkDrive {
    /// Does every task whose time has come.
    pub(super) fn settle(&self) {
        let now = self.kit.clock.now_ms();
        let mut state = self.state();
        let due = state.tasks.values_mut().filter(|task| now >= task.due);
        due.for_each(|task| task.finish(now));
    }
}

impl Ctx<'_> {
    /// Does something now, or starts a task for it; the setting `task` at `sync` does
    /// everything now.
    ///
    /// # Errors
    /// 1061003: what it was about has gone meanwhile.
    pub(super) fn submit(&self, work: Work, slow: bool) -> Result<Value, ApiError> {
        let now = self.now();
        if !slow || self.account.knobs.text("task").as_deref() == Some("sync") {
            return match perform(&self.account, &work, now) {
                true => Ok(json!({})),
                false => Err(ApiError::new(1_061_003)),
            };
        }
        let task = Task {
            account: self.account.clone(),
            who: self.who,
            work: Some(work),
            polls_left: self.account.knobs.number("task_polls", 2),
            polled: false,
            due: now.saturating_add(number(&self.account, "task_ms", 3000)),
            outcome: None,
        };
        let id = self.sim.kit.ids.decimal(19);
        self.sim.state().tasks.insert(id.clone(), task);
        Ok(json!({ "task_id": id }))
    }

    /// `task_check`.
    pub(super) fn task(&self) -> Result<Value, ApiError> {
        let id = match self.args.query("task_id") {
            "" => return Err(ApiError::field("task_id")),
            id => id,
        };
        let failure = self.account.faults.take(self.op, FaultKind::CommitFail);
        let early = self.account.knobs.flag("early_fail");
        let now = self.now();
        let mut state = self.sim.state();
        let task = state
            .tasks
            .get_mut(id)
            .filter(|task| task.account.profile == self.account.profile && task.who == self.who);
        let task = task.ok_or_else(|| ApiError::new(1_061_003))?;
        if let Some(word) = failure
            && task.work.take().is_some()
        {
            let word = if word.is_empty() {
                "fail"
            } else {
                word.as_str()
            };
            task.outcome = Some(Outcome::Failed(word.to_owned()));
        }
        let first = !std::mem::replace(&mut task.polled, true);
        // An early "fail" can be transient (section 4).
        if early && first && task.outcome.is_none() {
            return Ok(json!({ "status": "fail" }));
        }
        if task.polls_left == 0 {
            task.finish(now);
        }
        task.polls_left = task.polls_left.saturating_sub(1);
        Ok(json!({ "status": match &task.outcome {
            None => "process",
            Some(Outcome::Done) => "success",
            Some(Outcome::Failed(word)) => word.as_str(),
        }}))
    }
}
