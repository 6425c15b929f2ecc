//! Batch tasks: copy, move, delete, restore, purge, save from a share (189cloud.md section
//! 4.5). A task is 1 when it is made, 3 when it was looked at, 4 when it is done: after some
//! polls or some time, whichever comes first. With a conflict it is 2 until it is managed, and
//! nothing has happened yet.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::super::account::Account;
use super::super::tree::{Node, Tree};
use super::Cloud189;
use super::answer::ApiError;

/// States of a task.
pub(super) const MADE: i64 = 1;
pub(super) const CONFLICT: i64 = 2;
pub(super) const RUNNING: i64 = 3;
pub(super) const DONE: i64 = 4;
pub(super) const CANCELLED: i64 = 5;

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Copy,
    Move,
    Delete,
    Restore,
    Purge,
    Empty,
    Save,
}

impl Kind {
    pub(super) fn parse(text: &str) -> Option<Kind> {
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
    pub(super) fn has_target(self) -> bool {
        matches!(self, Kind::Copy | Kind::Move | Kind::Save)
    }
}

/// What to do where the name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deal {
    Skip,
    KeepBoth,
    Overwrite,
}

/// An element of `taskInfos`.
#[derive(Clone, Debug)]
pub(super) struct Info {
    pub id: String,
    pub name: String,
    pub dir: bool,
    pub deal: Option<Deal>,
    pub conflict: bool,
}

/// A batch task.
pub(super) struct Task {
    pub profile: String,
    pub kind: Kind,
    pub kind_text: String,
    pub infos: Vec<Info>,
    /// Id of the target folder inside the tree.
    pub target: String,
    /// Where the sources are: a root inside the tree.
    pub source_root: String,
    pub polls: u64,
    pub status: i64,
    /// One deletion too many at a time: it says that it is done and does nothing.
    pub silent: bool,
    pub made: Vec<String>,
    pub failed: usize,
    pub skipped: usize,
}

impl Task {
    pub(super) fn pending(&self) -> bool {
        matches!(self.status, MADE | CONFLICT | RUNNING)
    }

    pub(super) fn same_as(&self, other: &Task) -> bool {
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

pub(super) fn parse_infos(text: &str) -> Result<Vec<Info>, ApiError> {
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
pub(super) fn subtree(tree: &Tree, id: &str) -> Vec<Node> {
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
    pub(super) fn source_of(&self, kind: Kind, account: &Arc<Account>) -> Option<Arc<Account>> {
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
    pub(super) fn find_conflicts(&self, task: &mut Task, account: &Arc<Account>) -> bool {
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
    pub(super) fn perform(&self, task: &mut Task, account: &Arc<Account>) {
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
    pub(super) fn schedule(&self, account: &Account, id: &str) {
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
