//! Changes of the tree (123_open.md section 4.6) and the name rule (section 9).

use serde_json::{Value, json};

use super::super::account::Account;
use super::super::clock::beijing;
use super::super::tree::{Node, Tree};
use super::Ctx;
use super::errors::ApiError;
use super::files::number;

/// Ids per call at most.
const MANY: usize = 100;

/// Whether the server takes a name.
pub(super) fn good_name(account: &Account, name: &str) -> bool {
    let most = account.knobs.number("name_max", 255);
    !name.chars().all(|c| c == ' ')
        && name.chars().count() as u64 <= most
        && !name.contains(['"', '\\', '/', ':', '*', '?', '|', '>', '<'])
}

fn check_name(account: &Account, name: &str) -> Result<(), ApiError> {
    match good_name(account, name) {
        true => Ok(()),
        false => Err(ApiError::bad_name()),
    }
}

/// A live node that is not the root.
fn own(tree: &Tree, id: &str) -> Result<Node, ApiError> {
    tree.live(id)
        .filter(|node| !node.parent.is_empty())
        .cloned()
        .ok_or_else(ApiError::no_file)
}

impl Ctx<'_> {
    fn new_id(&self) -> String {
        self.sim.kit.ids.decimal(8)
    }

    /// A live directory named by an argument.
    pub(super) fn parent(&self, name: &str) -> Result<String, ApiError> {
        let id = self.args.id(name)?;
        match self.account.tree().live_dir(&id) {
            Some(_) => Ok(id),
            None => Err(ApiError::no_parent()),
        }
    }

    pub(super) fn mkdir(&self) -> Result<Value, ApiError> {
        let parent = self.parent("parentID")?;
        let name = self.args.text("name");
        check_name(&self.account, name)?;
        let mut tree = self.account.tree();
        if !tree.find(&parent, name).is_empty() {
            return Err(ApiError::dir_taken());
        }
        let id = self.new_id();
        tree.insert(Node::dir(&id, &parent, name, self.now()));
        Ok(json!({ "dirID": number(&id) }))
    }

    /// Whether another node of that name is in the way (the knob `conflict` = `keep`: never).
    fn in_the_way(&self, tree: &Tree, id: &str, parent: &str, name: &str) -> bool {
        let keeps = self.account.knobs.text("conflict").as_deref() == Some("keep");
        !keeps && tree.find(parent, name).iter().any(|node| node.id != id)
    }

    fn rename_one(&self, id: &str, name: &str) -> Result<(), ApiError> {
        check_name(&self.account, name)?;
        let now = self.now();
        let mut tree = self.account.tree();
        let node = own(&tree, id)?;
        if self.in_the_way(&tree, id, &node.parent, name) {
            return Err(ApiError::name_taken());
        }
        tree.relocate(id, &node.parent, name);
        tree.update(id, |node| node.modified = now);
        Ok(())
    }

    pub(super) fn rename(&self) -> Result<Value, ApiError> {
        let id = self.args.id("fileId")?;
        self.rename_one(&id, self.args.text("fileName"))?;
        Ok(Value::Null)
    }

    /// `renameList` of `id|name`, at most 30.
    pub(super) fn rename_many(&self) -> Result<Value, ApiError> {
        let list = self.args.get("renameList").and_then(Value::as_array);
        let list = list.filter(|list| !list.is_empty() && list.len() <= 30);
        let list = list.ok_or_else(|| ApiError::parameter("renameList"))?;
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        for entry in list {
            let pair = entry.as_str().and_then(|text| text.split_once('|'));
            let Some((id, name)) = pair else {
                return Err(ApiError::parameter("renameList"));
            };
            match self.rename_one(id, name) {
                Ok(()) => {
                    done.push(json!({ "fileID": number(id), "updateAt": beijing(self.now()) }))
                }
                Err(_) => failed.push(json!({ "fileID": number(id), "message": "重命名失败" })),
            }
        }
        Ok(json!({ "successList": done, "failList": failed }))
    }

    pub(super) fn move_to(&self) -> Result<Value, ApiError> {
        let ids = self.args.ids("fileIDs", MANY)?;
        let parent = self.parent("toParentFileID")?;
        let now = self.now();
        let mut tree = self.account.tree();
        // All or nothing, so that a refusal leaves no half move.
        for id in &ids {
            let node = own(&tree, id)?;
            if tree.is_below(&parent, id) {
                return Err(ApiError::general("不能移动到自身或子目录"));
            }
            if self.in_the_way(&tree, id, &parent, &node.name) {
                return Err(ApiError::name_taken());
            }
        }
        for id in &ids {
            let name = own(&tree, id)?.name;
            tree.relocate(id, &parent, &name);
            tree.update(id, |node| node.modified = now);
        }
        Ok(Value::Null)
    }

    fn copy_one(&self, id: &str, parent: &str) -> Result<String, ApiError> {
        let now = self.now();
        let mut tree = self.account.tree();
        let node = own(&tree, id)?;
        if tree.is_below(parent, id) {
            return Err(ApiError::general("不能复制到自身或子目录"));
        }
        let name = tree.free_name(parent, &node.name);
        let copy = tree.copy(id, parent, &name, now, &mut |_| self.new_id());
        copy.ok_or_else(ApiError::no_file)
    }

    pub(super) fn copy(&self) -> Result<Value, ApiError> {
        let id = self.args.id("fileId")?;
        let parent = self.parent("targetDirId")?;
        let copy = self.copy_one(&id, &parent)?;
        Ok(json!({ "sourceFileId": number(&id), "targetFileId": number(&copy) }))
    }

    pub(super) fn copy_many(&self) -> Result<Value, ApiError> {
        let ids = self.args.ids("fileIDs", 3000)?;
        let parent = self.parent("targetDirId")?;
        {
            let tree = self.account.tree();
            ids.iter().try_for_each(|id| own(&tree, id).map(drop))?;
        }
        for id in &ids {
            self.copy_one(id, &parent)?;
        }
        let task = i64::try_from(self.sim.kit.ids.number()).unwrap_or(i64::MAX);
        let polls = self.account.knobs.number("task_polls", 1);
        self.sim.state().tasks.insert(task, polls);
        Ok(json!({ "taskId": task }))
    }

    /// Status of a copy task: 1 running, 2 done.
    pub(super) fn task(&self) -> Result<Value, ApiError> {
        let task = self.args.number("taskId")?;
        let task = task.ok_or_else(|| ApiError::parameter("taskId"))?;
        let mut state = self.sim.state();
        let Some(polls) = state.tasks.get_mut(&task) else {
            return Err(ApiError::general("任务不存在"));
        };
        let status = if *polls > 0 { 1 } else { 2 };
        *polls = polls.saturating_sub(1);
        Ok(json!({ "taskId": task, "status": status }))
    }

    /// Nodes of the argument `fileIDs`, each known and not the root.
    fn known_ids(&self, tree: &Tree) -> Result<Vec<String>, ApiError> {
        let ids = self.args.ids("fileIDs", MANY)?;
        let known = |id: &String| tree.get(id).is_some_and(|node| !node.parent.is_empty());
        match ids.iter().all(known) {
            true => Ok(ids),
            false => Err(ApiError::no_file()),
        }
    }

    /// The same, each in the bin itself.
    fn binned_ids(&self, tree: &Tree) -> Result<Vec<String>, ApiError> {
        let ids = self.known_ids(tree)?;
        let binned = |id: &String| tree.get(id).is_some_and(|node| node.trashed.is_some());
        match ids.iter().all(binned) {
            true => Ok(ids),
            false => Err(ApiError::general("文件不在回收站")),
        }
    }

    pub(super) fn trash(&self) -> Result<Value, ApiError> {
        let now = self.now();
        let mut tree = self.account.tree();
        for id in self.known_ids(&tree)? {
            tree.update(&id, |node| {
                node.trashed.get_or_insert(now);
            });
        }
        Ok(Value::Null)
    }

    pub(super) fn delete(&self) -> Result<Value, ApiError> {
        let mut tree = self.account.tree();
        for id in self.binned_ids(&tree)? {
            tree.remove(&id);
        }
        Ok(Value::Null)
    }

    fn put_back(&self, tree: &mut Tree, id: &str, parent: &str) {
        let name = tree.get(id).map(|node| node.name.clone());
        // A name taken since is given a suffix: what the server does is not known.
        let free = tree.free_name(parent, &name.unwrap_or_default());
        tree.relocate(id, parent, &free);
        tree.update(id, |node| node.trashed = None);
    }

    /// Back to the old place; ids whose old place is gone are named in the answer.
    pub(super) fn restore(&self) -> Result<Value, ApiError> {
        let mut tree = self.account.tree();
        let mut abnormal = Vec::new();
        for id in self.binned_ids(&tree)? {
            let parent = tree.get(&id).map(|node| node.parent.clone());
            match parent.filter(|parent| tree.live_dir(parent).is_some()) {
                Some(parent) => self.put_back(&mut tree, &id, &parent),
                None => abnormal.push(number(&id)),
            }
        }
        Ok(json!({ "abnormalFileIDs": abnormal }))
    }

    pub(super) fn restore_to(&self) -> Result<Value, ApiError> {
        let parent = self.parent("parentFileID")?;
        let mut tree = self.account.tree();
        for id in self.binned_ids(&tree)? {
            self.put_back(&mut tree, &id, &parent);
        }
        Ok(Value::Null)
    }
}
