//! Folders and names (xunlei.md sections 4.4 and 9).

use serde_json::{Value, json};

use super::super::tree::{Node, Tree};
use super::errors::ApiError;
use super::files::{extension, kind_of};
use super::gate::Ctx;
use super::{State, text};

/// Characters no name may have, besides control characters.
const FORBIDDEN: &[char] = &['/', '\\', ':', '*', '?', '"', '<', '>', '|'];

/// Whether an entry of this name is there. Pending entries are visible, so they count.
pub(super) fn taken(state: &State, tree: &Tree, parent: &str, name: &str) -> bool {
    !tree.find(parent, name).is_empty()
        || state
            .pending
            .iter()
            .filter_map(|id| tree.get(id))
            .any(|node| node.parent == parent && node.name == name && node.trashed.is_none())
}

/// The name itself, or the first free `name(1).ext` (section 7, conflict policy).
pub(super) fn free_name(state: &State, tree: &Tree, parent: &str, name: &str) -> String {
    let ext = extension(name);
    let stem = name.strip_suffix(ext).unwrap_or(name);
    let others = (1_u64..).map(|n| format!("{stem}({n}){ext}"));
    std::iter::once(name.to_owned())
        .chain(others)
        .find(|free| !taken(state, tree, parent, free))
        .unwrap_or_else(|| name.to_owned())
}

/// Whether a name is that of an archive behind three digits (section 4.3): `a.zip.001`.
pub(super) fn is_numbered_archive(name: &str) -> bool {
    let number = extension(name);
    let digits = number.strip_prefix('.').unwrap_or("");
    let stem = name.strip_suffix(number).unwrap_or("");
    digits.len() == 3
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && kind_of(stem).1 == "ARCHIVE"
}

impl Ctx<'_> {
    /// The name in the body, when the server takes it.
    pub(super) fn name(&self) -> Result<String, ApiError> {
        let name = text(&self.body, "name");
        let invalid = |error: &str, text: &str| Err(ApiError::new(400, 3, error, text));
        if name.is_empty() {
            return invalid("file_name_empty", "File name cannot be empty");
        }
        let bad = |c: char| c.is_control() || FORBIDDEN.contains(&c);
        if name.contains(bad) || matches!(name, "." | "..") || name.chars().count() > 255 {
            return invalid("file_name_invalid", "The file name is not valid");
        }
        Ok(name.to_owned())
    }

    pub(super) fn mkdir(&self) -> Result<Value, ApiError> {
        let name = self.name()?;
        let state = self.sim.state();
        let mut tree = self.account.tree();
        let parent = self.folder(&tree, text(&self.body, "parent_id"), self.space())?;
        let twins_allowed = self.account.knobs.flag("same_name_folders");
        let is_twin = || tree.find(&parent, &name).iter().all(|node| node.is_dir());
        if taken(&state, &tree, &parent, &name) && !(twins_allowed && is_twin()) {
            return Err(ApiError::duplicate());
        }
        let mut node = Node::dir(&self.sim.file_id(), &parent, &name, self.now());
        let listed = self
            .now()
            .saturating_add(self.knob_ms("mkdir_lag_ms", 1000));
        node.extra.insert("hidden_until".to_owned(), json!(listed));
        tree.insert(node.clone());
        Ok(json!({
            "upload_type": "UPLOAD_TYPE_UNKNOWN", "file": self.render(&tree, &node, false),
            "task": null,
        }))
    }

    pub(super) fn rename(&self) -> Result<Value, ApiError> {
        let state = self.sim.state();
        let mut tree = self.account.tree();
        let (node, trashed) = self.entry(&tree, &self.id)?;
        if trashed {
            return Err(ApiError::in_trash());
        }
        let name = self.name()?;
        let now = self.now();
        let busy = node.extra.get("busy_until").and_then(Value::as_i64);
        if node.pending || busy.is_some_and(|until| now < until) {
            return Err(ApiError::uncompleted());
        }
        if node.name != name {
            if taken(&state, &tree, &node.parent, &name) {
                return Err(ApiError::duplicate());
            }
            tree.relocate(&node.id, &node.parent, &name);
            tree.update(&node.id, |node| {
                node.modified = now;
                node.extra.insert("renamed".to_owned(), json!(now));
            });
        }
        let (node, trashed) = self.entry(&tree, &self.id)?;
        Ok(self.render(&tree, &node, trashed))
    }
}
