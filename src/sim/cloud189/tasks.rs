//! Batch tasks: copy, move, delete, restore, purge, save from a share (189cloud.md section
//! 4.5). A task is 1 when it is made, 3 when it was looked at, 4 when it is done: after some
//! polls or some time, whichever comes first. With a conflict it is 2 until it is managed, and
//! nothing has happened yet.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::account::Account;
use super::super::tree::{Node, Tree};
use super::answer::{ApiError, ok};
use super::auth::Scope;
use super::gate::Ctx;
use super::{Cloud189, ROOT, family_root};

const MADE: i64 = 1;
const CONFLICT: i64 = 2;
const RUNNING: i64 = 3;
const DONE: i64 = 4;
const CANCELLED: i64 = 5;

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Copy,
    Move,
    Delete,
    Restore,
    Purge,
    Empty,
    Save,
}

impl Kind {
    fn parse(text: &str) -> Option<Kind> {
        Some(match text {
            "COPY" => Kind::Copy,
            "MOVE" => Kind::Move,
            "DELETE" => Kind::Delete,
            "RESTORE" => Kind::Restore,
            "CLEAR_RECYCLE" => Kind::Purge,
            "EMPTY_RECYCLE" => Kind::Empty,
            "SHARE_SAVE" => Kind::Save,
            _ => return None,
        })
    }

    /// Whether it puts entries into a folder, where names may be taken.
    fn has_target(self) -> bool {
        matches!(self, Kind::Copy | Kind::Move | Kind::Save)
    }
}

/// What to do where the name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deal {
    Skip,
    KeepBoth,
    Overwrite,
}

/// An element of `taskInfos`.
#[derive(Clone, Debug)]
struct Info {
    id: String,
    name: String,
    dir: bool,
    deal: Option<Deal>,
    conflict: bool,
}

/// A batch task.
pub(super) struct Task {
    profile: String,
    kind: Kind,
    kind_text: String,
    infos: Vec<Info>,
    /// Id of the target folder inside the tree.
    target: String,
    /// Where the sources are: a root inside the tree.
    source_root: String,
    polls: u64,
    status: i64,
    /// One deletion too many at a time: it says that it is done and does nothing.
    silent: bool,
    made: Vec<String>,
    failed: usize,
    skipped: usize,
}

impl Task {
    fn pending(&self) -> bool {
        matches!(self.status, MADE | CONFLICT | RUNNING)
    }

    fn same_as(&self, other: &Task) -> bool {
        let ids = |task: &Task| {
            let mut ids: Vec<String> = task.infos.iter().map(|info| info.id.clone()).collect();
            ids.sort();
            ids
        };
        self.profile == other.profile
            && self.kind == other.kind
            && self.target == other.target
            && ids(self) == ids(other)
    }
}

fn flag(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::String(text) => text.trim().parse().ok(),
        Value::Bool(flag) => Some(u64::from(*flag)),
        other => other.as_u64(),
    }
}

fn deal_of(info: &Value) -> Result<Option<Deal>, ApiError> {
    match flag(info.get("dealWay")) {
        None => Ok(None),
        Some(1) => Ok(Some(Deal::Skip)),
        Some(2) => Ok(Some(Deal::KeepBoth)),
        Some(3) => Ok(Some(Deal::Overwrite)),
        Some(_) => Err(ApiError::argument("dealWay")),
    }
}

fn parse_infos(text: &str) -> Result<Vec<Info>, ApiError> {
    let wrong = || ApiError::argument("taskInfos");
    let all: Vec<Value> = serde_json::from_str(text).map_err(|_| wrong())?;
    let one = |info: &Value| {
        let id = match info.get("fileId") {
            Some(Value::String(id)) if !id.is_empty() => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => return Err(wrong()),
        };
        let name = info.get("fileName").and_then(Value::as_str).unwrap_or("");
        let dir = flag(info.get("isFolder")).ok_or_else(wrong)?;
        if name.is_empty() || dir > 1 {
            return Err(wrong());
        }
        Ok(Info {
            id,
            name: name.to_owned(),
            dir: dir == 1,
            deal: deal_of(info)?,
            conflict: false,
        })
    };
    all.iter().map(one).collect()
}

/// A node with everything live below it, parents first.
fn subtree(tree: &Tree, id: &str) -> Vec<Node> {
    let mut all: Vec<Node> = tree.get(id).cloned().into_iter().collect();
    let mut at = 0;
    while let Some(node) = all.get(at) {
        let below: Vec<Node> = tree.children(&node.id).cloned().collect();
        all.extend(below);
        at += 1;
    }
    all
}

impl Cloud189 {
    /// The tree that a task reads from: a share's, or the account's own.
    fn source_of(&self, kind: Kind, account: &Arc<Account>) -> Option<Arc<Account>> {
        match kind {
            Kind::Save => self.kit.share.clone(),
            _ => Some(account.clone()),
        }
    }

    /// A live source of the right kind.
    fn source(&self, task: &Task, account: &Arc<Account>, info: &Info) -> Option<Node> {
        let from = self.source_of(task.kind, account)?;
        let tree = from.tree();
        let node = tree.live(&info.id)?;
        let fits = node.is_dir() == info.dir
            && !node.parent.is_empty()
            && tree.root_of(&info.id) == Some(task.source_root.as_str());
        let shown = task.kind != Kind::Save || super::share::shows(&from, &tree, &info.id);
        (fits && shown).then(|| node.clone())
    }

    /// Marks the elements whose name is taken and that nobody decided on yet.
    fn find_conflicts(&self, task: &mut Task, account: &Arc<Account>) -> bool {
        if !task.kind.has_target() {
            return false;
        }
        let mut any = false;
        for at in 0..task.infos.len() {
            let Some(info) = task.infos.get(at).cloned() else {
                continue;
            };
            let Some(node) = self.source(task, account, &info) else {
                continue;
            };
            let tree = account.tree();
            let same = tree.find(&task.target, &node.name);
            let stays = task.kind == Kind::Move && node.parent == task.target;
            let conflict = !same.is_empty() && !stays && info.deal.is_none();
            if let Some(info) = task.infos.get_mut(at) {
                info.conflict = conflict;
            }
            any |= conflict;
        }
        any
    }

    /// Does what is to be done, or finds a conflict.
    fn perform(&self, task: &mut Task, account: &Arc<Account>) {
        if !matches!(task.status, MADE | RUNNING) {
            return;
        }
        if self.find_conflicts(task, account) {
            task.status = CONFLICT;
            return;
        }
        task.status = DONE;
        if task.silent {
            task.made = task.infos.iter().map(|info| info.id.clone()).collect();
            return;
        }
        if task.kind == Kind::Empty {
            self.empty(task, account);
            return;
        }
        for info in task.infos.clone() {
            let done = match task.kind {
                Kind::Delete => self.delete(task, account, &info),
                Kind::Restore => self.restore(account, &info),
                Kind::Purge => self.purge(account, &info),
                _ => self.bring(task, account, &info),
            };
            match done {
                Some(id) if id.is_empty() => task.skipped += 1,
                Some(id) => task.made.push(id),
                None => task.failed += 1,
            }
        }
    }

    fn delete(&self, task: &Task, account: &Arc<Account>, info: &Info) -> Option<String> {
        self.source(task, account, info)?;
        let now = self.now();
        account
            .tree()
            .update(&info.id, |node| node.trashed = Some(now));
        Some(info.id.clone())
    }

    fn in_trash(tree: &Tree, info: &Info) -> Option<Node> {
        let node = tree.get(&info.id)?;
        (node.trashed.is_some() && node.is_dir() == info.dir).then(|| node.clone())
    }

    fn restore(&self, account: &Account, info: &Info) -> Option<String> {
        let mut tree = account.tree();
        let node = Cloud189::in_trash(&tree, info)?;
        tree.live_dir(&node.parent)?;
        let name = tree.free_name(&node.parent, &node.name);
        tree.relocate(&node.id, &node.parent, &name);
        tree.update(&node.id, |node| node.trashed = None);
        Some(node.id)
    }

    fn purge(&self, account: &Account, info: &Info) -> Option<String> {
        let mut tree = account.tree();
        let node = Cloud189::in_trash(&tree, info)?;
        tree.remove(&node.id);
        Some(node.id)
    }

    fn empty(&self, task: &mut Task, account: &Account) {
        let mut tree = account.tree();
        let all = tree.walk().into_iter();
        let all: Vec<String> = all
            .filter(|node| node.trashed.is_some())
            .filter(|node| tree.root_of(&node.id) == Some(task.source_root.as_str()))
            .map(|node| node.id.clone())
            .collect();
        for id in all {
            tree.remove(&id);
            task.made.push(id);
        }
    }

    /// Copies, moves or saves one entry; an empty id when it is skipped.
    fn bring(&self, task: &Task, account: &Arc<Account>, info: &Info) -> Option<String> {
        let node = self.source(task, account, info)?;
        if task.kind == Kind::Move && node.parent == task.target {
            return Some(node.id);
        }
        let now = self.now();
        let nodes = match task.kind {
            Kind::Move => Vec::new(),
            kind => subtree(&self.source_of(kind, account)?.tree(), &node.id),
        };
        let mut tree = account.tree();
        tree.live_dir(&task.target)?;
        let same: Vec<String> = tree
            .find(&task.target, &node.name)
            .iter()
            .map(|node| node.id.clone())
            .collect();
        let mut name = node.name.clone();
        match info.deal {
            _ if same.is_empty() => {}
            Some(Deal::KeepBoth) => name = tree.free_name(&task.target, &name),
            Some(Deal::Overwrite) => {
                for id in same {
                    tree.update(&id, |node| node.trashed = Some(now));
                }
            }
            // Without a decision: taken since the conflicts were looked for.
            Some(Deal::Skip) | None => return Some(String::new()),
        }
        if task.kind == Kind::Move {
            let moved = tree.relocate(&node.id, &task.target, &name);
            return moved.then_some(node.id);
        }
        let mut new_ids: Vec<(String, String)> = Vec::new();
        for (at, source) in nodes.into_iter().enumerate() {
            let id = self.node_id(source.is_dir());
            let parent = new_ids.iter().find(|(old, _)| *old == source.parent);
            let parent = match at {
                0 => task.target.clone(),
                _ => parent.map(|(_, new)| new.clone()).unwrap_or_default(),
            };
            new_ids.push((source.id.clone(), id.clone()));
            tree.insert(Node {
                id,
                parent,
                name: if at == 0 {
                    name.clone()
                } else {
                    source.name.clone()
                },
                created: now,
                modified: now,
                ..source
            });
        }
        new_ids.into_iter().next().map(|(_, id)| id)
    }

    /// The time of a task has come.
    fn finish(&self, id: &str) {
        let mut state = self.state();
        if let Some(task) = state.tasks.get_mut(id)
            && let Some(account) = self.account_of(&task.profile)
        {
            self.perform(task, &account);
        }
    }

    /// Ends a task by itself, whether or not somebody asks.
    fn schedule(&self, account: &Account, id: &str) {
        let wait = Duration::from_millis(account.knobs.number("task_ms", 300));
        let (me, id) = (self.me.clone(), id.to_owned());
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            if let Some(sim) = me.upgrade() {
                sim.finish(&id);
            }
        });
    }
}

impl Ctx<'_> {
    fn new_task(&self, kind: Kind, infos: Vec<Info>) -> Result<Task, ApiError> {
        let to_personal = self.arg("copyType") == "2" && kind == Kind::Copy;
        let target = match kind.has_target() {
            true => {
                let personal = Ctx {
                    scope: if to_personal {
                        Scope::Personal
                    } else {
                        self.scope
                    },
                    account: self.account.clone(),
                    args: Vec::new(),
                    session_key: String::new(),
                    ..*self
                };
                personal.target(&self.account.tree(), self.arg("targetFolderId"))?
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
        let personal = Ctx {
            scope: Scope::Personal,
            account: self.account.clone(),
            args: Vec::new(),
            session_key: String::new(),
            ..*self
        };
        let target = personal.target(&self.account.tree(), self.need("destParentId")?)?;
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
