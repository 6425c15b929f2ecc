//! The calls about batch tasks (189cloud.md section 4.5).

use serde_json::{Value, json};

use super::super::tree::Node;
use super::answer::{ApiError, ok};
use super::auth::Scope;
use super::gate::Ctx;
use super::tasks::{
    CANCELLED, CONFLICT, DONE, Info, Kind, MADE, RUNNING, Task, parse_infos, subtree,
};
use super::{ROOT, family_root};

impl Ctx<'_> {
    /// A folder to write to in one of the account's spaces.
    fn target_in(&self, scope: Scope, id: &str) -> Result<String, ApiError> {
        let there = Ctx {
            scope,
            account: self.account.clone(),
            args: Vec::new(),
            session_key: String::new(),
            ..*self
        };
        there.target(&self.account.tree(), id)
    }

    fn new_task(&self, kind: Kind, infos: Vec<Info>) -> Result<Task, ApiError> {
        let to_personal = self.arg("copyType") == "2" && kind == Kind::Copy;
        let target = match kind.has_target() {
            true => {
                let scope = if to_personal {
                    Scope::Personal
                } else {
                    self.scope
                };
                self.target_in(scope, self.arg("targetFolderId"))?
            }
            false => String::new(),
        };
        Ok(Task {
            profile: self.account.profile.clone(),
            kind,
            kind_text: self.arg("type").to_owned(),
            infos,
            target,
            source_root: match (kind, self.scope) {
                (Kind::Save, _) | (_, Scope::Personal) => ROOT.to_owned(),
                (_, Scope::Family) => family_root(self.account.number),
            },
            polls: 0,
            status: MADE,
            silent: false,
            made: Vec::new(),
            failed: 0,
            skipped: 0,
        })
    }

    /// What is refused at once.
    fn check_task(&self, task: &Task) -> Result<(), ApiError> {
        if task.kind == Kind::Save {
            self.sim.open_share(self.need("shareId")?)?;
            if task.infos.len() as u64 > self.account.knobs.number("save_limit", 500) {
                return Err(ApiError::new(
                    "ShareDumpFileOverload",
                    "too many files to save",
                ));
            }
        }
        let mut bytes = 0_u64;
        for info in &task.infos {
            let own = {
                let tree = self.account.tree();
                task.kind != Kind::Save && tree.is_below(&task.target, &info.id)
            };
            match task.kind {
                Kind::Move if own => {
                    return Err(ApiError::new(
                        "MoveFileValidError",
                        "cannot move into itself",
                    ));
                }
                Kind::Copy if own => {
                    return Err(ApiError::new(
                        "FileCopyToSubFolderError",
                        "into its own folder",
                    ));
                }
                Kind::Copy | Kind::Save => {
                    let from = self.sim.source_of(task.kind, &self.account);
                    let nodes = from.map(|from| subtree(&from.tree(), &info.id));
                    bytes += nodes.iter().flatten().map(Node::size).sum::<u64>();
                }
                _ => {}
            }
        }
        self.sim
            .room(&self.account, self.scope, &self.account.tree(), bytes)
    }

    /// `createBatchTask.action`.
    pub(super) fn create_task(&self) -> Result<Value, ApiError> {
        let kind = Kind::parse(self.arg("type")).ok_or_else(|| ApiError::argument("type"))?;
        let infos = parse_infos(self.need("taskInfos")?)?;
        if infos.is_empty() != (kind == Kind::Empty) {
            return Err(ApiError::argument("taskInfos"));
        }
        let mut task = self.new_task(kind, infos)?;
        self.check_task(&task)?;
        let id = self.sim.kit.ids.decimal(16);
        {
            let mut state = self.sim.state();
            let mut pending = state.tasks.iter().filter(|(_, other)| other.pending());
            if let Some((other, _)) = pending.find(|(_, other)| other.same_as(&task)) {
                let code = match kind {
                    Kind::Save => "ShareSaveTaskIsAlreadyExist",
                    _ => "RequestResubmit",
                };
                return Err(ApiError::new(code, "the task is running").with("taskId", json!(other)));
            }
            let deletes = state.tasks.values().filter(|other| {
                other.pending() && other.kind == kind && other.profile == task.profile
            });
            let most = self.account.knobs.number("parallel_deletes", 1);
            task.silent = kind == Kind::Delete && deletes.count() as u64 >= most;
            state.tasks.insert(id.clone(), task);
        }
        self.sim.schedule(&self.account, &id);
        Ok(ok(json!({ "taskId": id })))
    }

    /// Runs `work` on this account's task of the named id and type.
    fn with_task<T>(&self, work: impl FnOnce(&str, &mut Task) -> T) -> Result<T, ApiError> {
        let (id, kind) = (self.need("taskId")?, self.need("type")?);
        let mut state = self.sim.state();
        let task = state.tasks.get_mut(id);
        let own = task.filter(|t| t.profile == self.account.profile && t.kind_text == kind);
        match own {
            Some(task) => Ok(work(id, task)),
            None => Err(ApiError::new("TaskNotFound", "no such task")),
        }
    }

    /// `checkBatchTask.action`.
    pub(super) fn task(&self) -> Result<Value, ApiError> {
        let most = self.account.knobs.number("task_polls", 2);
        let hidden = self.account.knobs.flag("hide_task_ids");
        let answer = self.with_task(|id, task| {
            task.polls += 1;
            if task.polls > most {
                self.sim.perform(task, &self.account);
            } else if task.polls > 1 && task.status == MADE {
                let conflict = self.sim.find_conflicts(task, &self.account);
                task.status = if conflict { CONFLICT } else { RUNNING };
            }
            let ids = task.made.iter().filter(|_| !hidden);
            let ids: Vec<Value> = ids
                .map(|id| id.parse::<i64>().map_or_else(|_| json!(id), |id| json!(id)))
                .collect();
            json!({
                "taskId": id, "taskStatus": task.status,
                "process": u64::from(task.status == DONE), "subTaskCount": task.infos.len(),
                "successedCount": task.made.len(), "failedCount": task.failed,
                "skipCount": task.skipped, "successedFileIdList": ids,
            })
        });
        // A task that is not there is one with bad parameters (status -1).
        answer.or_else(|error| match (self.arg("taskId"), self.arg("type")) {
            ("", _) | (_, "") => Err(error),
            (id, _) => Ok(json!({ "taskId": id, "taskStatus": -1 })),
        })
    }

    /// `getConflictTaskInfo.action`.
    pub(super) fn conflicts(&self) -> Result<Value, ApiError> {
        self.with_task(|id, task| {
            let infos = task.infos.iter();
            let infos = infos.filter(|info| task.status == CONFLICT && info.conflict);
            let infos: Vec<Value> = infos
                .map(|info| {
                    json!({
                        "fileId": info.id, "fileName": info.name,
                        "isFolder": u64::from(info.dir), "isConflict": 1,
                    })
                })
                .collect();
            ok(json!({
                "taskId": id, "targetFolderId": self.api_id(&task.target), "taskInfos": infos,
                "taskType": task.kind_text, "sessionKey": self.session_key,
            }))
        })
    }

    /// `manageBatchTask.action`: every conflict needs its decision.
    pub(super) fn manage(&self) -> Result<Value, ApiError> {
        let decided = parse_infos(self.need("taskInfos")?)?;
        let most = self.account.knobs.number("task_polls", 2);
        let target = self.arg("targetFolderId");
        let id = self.with_task(|id, task| {
            if task.status != CONFLICT {
                return Err(ApiError::new("OperationFailed", "the task has no conflict"));
            }
            if self.api_id(&task.target) != target {
                return Err(ApiError::argument("targetFolderId"));
            }
            let deal = |wanted: &str| {
                let found = decided.iter().find(|info| info.id == wanted);
                found.and_then(|info| info.deal)
            };
            if task
                .infos
                .iter()
                .any(|info| info.conflict && deal(&info.id).is_none())
            {
                return Err(ApiError::argument("dealWay"));
            }
            for info in task.infos.iter_mut().filter(|info| info.conflict) {
                info.deal = deal(&info.id);
            }
            task.status = RUNNING;
            task.polls = most;
            Ok(id.to_owned())
        })??;
        self.sim.schedule(&self.account, &id);
        Ok(ok(json!({ "success": "true" })))
    }

    /// `cancelBatchTask.action`.
    pub(super) fn cancel(&self) -> Result<Value, ApiError> {
        self.with_task(|_, task| {
            if task.pending() {
                task.status = CANCELLED;
            }
            ok(json!({ "success": "true" }))
        })
    }

    /// `saveFileToMember.action`: from the family to the personal cloud, at once.
    pub(super) fn save_to_member(&self) -> Result<Value, ApiError> {
        let ids = self.need("fileIdList")?.split([';', ',']);
        let infos = {
            let tree = self.account.tree();
            let info = |id: &str| Info {
                id: id.to_owned(),
                name: id.to_owned(),
                dir: tree.get(id).is_some_and(Node::is_dir),
                deal: None,
                conflict: false,
            };
            ids.filter(|id| !id.is_empty()).map(info).collect()
        };
        let target = self.target_in(Scope::Personal, self.need("destParentId")?)?;
        let mut task = self.new_task(Kind::Delete, infos)?;
        (task.kind, task.target) = (Kind::Copy, target);
        self.sim.perform(&mut task, &self.account);
        match (task.status, task.failed) {
            (CONFLICT, _) => Err(ApiError::exists()),
            (_, 0) => Ok(ok(json!({ "success": "true" }))),
            _ => Err(ApiError::not_found()),
        }
    }
}
