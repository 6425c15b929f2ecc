//! Names, folders and rename (sections 4.4 and 9).

use serde_json::{Value, json};

use super::super::tree::{Node, Tree};
use super::errors::ApiError;
use super::gate::Ctx;

/// Characters no name may have, besides control characters.
const FORBIDDEN: &[char] = &['/', '\\', ':', '*', '?', '"', '<', '>', '|'];

/// A name as the service takes it.
///
/// # Errors
/// 112.
pub(super) fn check_name(name: &str) -> Result<(), ApiError> {
    let bad = |c: char| c.is_control() || FORBIDDEN.contains(&c);
    let length = name.chars().count();
    match (1..=255).contains(&length) && !name.contains(bad) && !matches!(name, "." | "..") {
        true => Ok(()),
        false => Err(ApiError::parameter("name")),
    }
}

/// What stands in the way of a name: its id, and the refusal (159 for a folder, 160 for a
/// file).
pub(super) fn taken(tree: &Tree, parent: &str, name: &str) -> Option<(String, ApiError)> {
    let there = tree.find(parent, name).into_iter().next()?;
    let error = match there.is_dir() {
        true => ApiError::folder_exists(),
        false => ApiError::file_exists(),
    };
    Some((there.id.clone(), error))
}

impl Ctx<'_> {
    /// `create_dir`.
    pub(super) fn mkdir(&self) -> Result<Value, ApiError> {
        let name = self.args.required("dirName")?;
        check_name(name)?;
        // What is there is an error with and without this member (section 9, duplicates).
        let fail = self.args.get("failIfNameExist");
        if fail.is_some_and(|fail| !fail.is_boolean()) {
            return Err(ApiError::parameter("failIfNameExist"));
        }
        let mut tree = self.account.tree();
        let parent = self.folder(&tree, self.args.text("parentId")?)?;
        if let Some((id, error)) = taken(&tree, &parent, name) {
            let told = error.code() == 159 && self.form(2, 2) == 0;
            return Err(match told {
                true => error.with(json!({ "fileId": id })),
                false => error,
            });
        }
        let id = self.sim.file_id();
        let now = self.now();
        tree.insert(Node::dir(&id, &parent, name, now));
        let seconds = now.div_euclid(1000);
        Ok(json!({
            "fileId": id, "fileName": name, "resType": 2, "ctime": seconds, "utime": seconds,
        }))
    }

    /// `rename`. The id stays.
    pub(super) fn rename(&self) -> Result<Value, ApiError> {
        let id = self.args.required("fileId")?;
        let name = self.args.required("newName")?;
        check_name(name)?;
        let mut tree = self.account.tree();
        let node = self.entry(&tree, id)?;
        let parent = node.parent.clone();
        if node.name == name {
            return Ok(Value::Null);
        }
        if let Some((_, error)) = taken(&tree, &parent, name) {
            return Err(error);
        }
        tree.relocate(id, &parent, name);
        let now = self.now();
        tree.update(id, |node| node.modified = now);
        Ok(Value::Null)
    }
}
