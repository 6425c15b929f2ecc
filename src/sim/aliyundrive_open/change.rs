//! Rename, move, copy, trash, delete and their tasks (aliyundrive_open.md sections 4.8, 4.9).

use serde_json::{Value, json};

use super::errors::ApiError;
use super::files::{check_name, item, mode};
use super::{Ctx, root_id, text};

impl Ctx<'_> {
    pub(super) fn update(&self) -> Result<Value, ApiError> {
        let drive = self.drive(&self.body)?;
        let node = self.own_node()?;
        let now = self.now();
        let mut tree = self.account.tree();
        if let Some(starred) = self.body.get("starred").and_then(Value::as_bool) {
            tree.update(&node.id, |node| {
                node.extra.insert("starred".to_owned(), json!(starred));
            });
        }
        let mut name = self.text("name").to_owned();
        if !name.is_empty() && name != node.name {
            check_name(&name)?;
            let taken = !tree.find(&node.parent, &name).is_empty();
            match mode(&self.body, "ignore")? {
                "refuse" if taken => {
                    let text = "The resource file has already exists.";
                    return Err(ApiError::new(409, "AlreadyExist.File", text));
                }
                "auto_rename" => name = tree.free_name(&node.parent, &name),
                _ => {}
            }
            tree.relocate(&node.id, &node.parent, &name);
            tree.update(&node.id, |node| node.modified = now);
        } else if self.body.get("starred").is_none() {
            check_name(&name)?;
        }
        tree.get(&node.id)
            .map(|node| item(drive, node))
            .ok_or_else(ApiError::no_file)
    }

    /// The target directory of a move or copy: in the same drive.
    fn target(&self) -> Result<String, ApiError> {
        let drive = self.drive(&self.body)?;
        let to = match self.text("to_drive_id") {
            "" => drive,
            other => other,
        };
        if to != drive {
            return Err(ApiError::parameter("ToDriveId"));
        }
        Ok(self.dir(&self.body, "to_parent_file_id")?.id)
    }

    pub(super) fn move_to(&self) -> Result<Value, ApiError> {
        let drive = self.drive(&self.body)?;
        let node = self.own_node()?;
        let parent = self.target()?;
        let now = self.now();
        let mut tree = self.account.tree();
        let mut name = node.name.clone();
        let taken: Vec<String> = tree
            .find(&parent, &name)
            .iter()
            .map(|n| n.id.clone())
            .collect();
        let answer = |file: &str, exist| json!({ "drive_id": drive, "file_id": file, "exist": exist, "async_task_id": "" });
        if taken.contains(&node.id) {
            return Ok(answer(&node.id, false));
        }
        if let Some(other) = taken.first() {
            let wanted = self.text("new_name");
            match mode(&self.body, "refuse")? {
                "refuse" => return Ok(answer(other, true)),
                _ if !wanted.is_empty() => {
                    check_name(wanted)?;
                    name = wanted.to_owned();
                }
                "auto_rename" => name = tree.free_name(&parent, &name),
                _ => {}
            }
        }
        if !tree.relocate(&node.id, &parent, &name) {
            return Err(ApiError::parameter("ToParentFileId"));
        }
        tree.update(&node.id, |node| node.modified = now);
        Ok(answer(&node.id, false))
    }

    pub(super) fn copy(&self) -> Result<Value, ApiError> {
        let drive = self.drive(&self.body)?;
        let node = self.node(&self.body, "file_id")?;
        let parent = self.target()?;
        let now = self.now();
        let copy = {
            let mut tree = self.account.tree();
            if node.parent.is_empty() || (node.is_dir() && tree.is_below(&parent, &node.id)) {
                return Err(ApiError::parameter("ToParentFileId"));
            }
            let name = match self.body.get("auto_rename") == Some(&json!(true)) {
                true => tree.free_name(&parent, &node.name),
                false => node.name.clone(),
            };
            let ids = &self.sim.kit.ids;
            tree.copy(&node.id, &parent, &name, now, &mut |_| ids.hex(40))
        };
        let copy = copy.ok_or_else(ApiError::no_file)?;
        let task = self.new_task(node.is_dir());
        Ok(json!({ "drive_id": drive, "file_id": copy, "async_task_id": task }))
    }

    /// A task for a folder; files are done at once.
    fn new_task(&self, dir: bool) -> String {
        if !dir {
            return String::new();
        }
        let id = self.sim.kit.ids.hex(32);
        self.sim.state().tasks.insert(id.clone(), 0);
        id
    }

    pub(super) fn trash(&self) -> Result<Value, ApiError> {
        let node = self.own_node()?;
        let now = self.now();
        self.account
            .tree()
            .update(&node.id, |node| node.trashed = Some(now));
        Ok(self.gone(&node.id, node.is_dir()))
    }

    pub(super) fn delete(&self) -> Result<Value, ApiError> {
        let drive = self.drive(&self.body)?;
        let id = self.text("file_id").to_owned();
        // Also what is in the trash or still being uploaded.
        let dir = {
            let mut tree = self.account.tree();
            let in_drive = tree.root_of(&id) == Some(root_id(drive).as_str());
            let node = tree
                .get(&id)
                .filter(|node| in_drive && !node.parent.is_empty());
            let dir = node.ok_or_else(ApiError::no_file)?.is_dir();
            tree.remove(&id);
            dir
        };
        self.sim
            .state()
            .uploads
            .retain(|_, upload| upload.file_id != id);
        Ok(self.gone(&id, dir))
    }

    fn gone(&self, id: &str, dir: bool) -> Value {
        let drive = text(&self.body, "drive_id");
        json!({ "drive_id": drive, "file_id": id, "async_task_id": self.new_task(dir) })
    }

    pub(super) fn task(&self) -> Result<Value, ApiError> {
        let id = self.text("async_task_id");
        let mut state = self.sim.state();
        let Some(asked) = state.tasks.get_mut(id) else {
            let text = "The resource async_task_id cannot be found.";
            return Err(ApiError::new(404, "NotFound.AsyncTask", text));
        };
        *asked += 1;
        let done = if *asked > 1 { "Succeed" } else { "Running" };
        Ok(json!({ "state": done, "async_task_id": id }))
    }
}
