//! Folders, names and stars (pikpak.md sections 4.4 and 9).

use serde_json::{Value, json};

use super::super::tree::{Node, Tree};
use super::errors::ApiError;
use super::files::extension;
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

/// The name itself, or the first free `name(1).ext`.
pub(super) fn free_name(state: &State, tree: &Tree, parent: &str, name: &str) -> String {
    let ext = extension(name);
    let stem = name.strip_suffix(ext).unwrap_or(name);
    let others = (1_u64..).map(|n| format!("{stem}({n}){ext}"));
    std::iter::once(name.to_owned())
        .chain(others)
        .find(|free| !taken(state, tree, parent, free))
        .unwrap_or_else(|| name.to_owned())
}

impl Ctx<'_> {
    /// The name in the body, as the server takes it.
    pub(super) fn name(&self) -> Result<String, ApiError> {
        let name = text(&self.body, "name");
        if name.is_empty() {
            let text = "File name cannot be empty";
            return Err(ApiError::new(400, 3, "file_name_empty", text));
        }
        let invalid = || {
            let text = "The file name is not valid";
            ApiError::new(400, 3, "file_name_invalid", text)
        };
        let bad = |c: char| c.is_control() || FORBIDDEN.contains(&c);
        let clean = !name.contains(bad)
            && name != "."
            && name != ".."
            && !name.starts_with(' ')
            && !name.ends_with([' ', '.']);
        if name.chars().count() > 255 {
            return Err(invalid());
        }
        if clean {
            return Ok(name.to_owned());
        }
        if !self.account.knobs.flag("mangle_names") {
            return Err(invalid());
        }
        let name: String = name.chars().map(|c| if bad(c) { '_' } else { c }).collect();
        let name = name.trim_start_matches(' ').trim_end_matches([' ', '.']);
        match name {
            "" => Err(invalid()),
            name => Ok(name.to_owned()),
        }
    }

    pub(super) fn mkdir(&self) -> Result<Value, ApiError> {
        let name = self.name()?;
        let state = self.sim.state();
        let mut tree = self.account.tree();
        let parent = self.folder(&tree, text(&self.body, "parent_id"))?;
        let twins_allowed = self.account.knobs.flag("same_name_folders");
        let name = match twins_allowed {
            true if tree.find(&parent, &name).iter().all(|node| node.is_dir()) => name,
            _ if taken(&state, &tree, &parent, &name) => return Err(ApiError::duplicate()),
            _ => name,
        };
        let node = Node::dir(&self.sim.file_id(), &parent, &name, self.now());
        tree.insert(node.clone());
        Ok(json!({
            "upload_type": "UPLOAD_TYPE_UNKNOWN", "file": self.render(&node, false), "task": null,
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
        if node.name == name {
            let text = "The new name is the old one";
            return Err(ApiError::new(400, 3, "file_rename_to_same_name", text));
        }
        let ghost = state.ghosts.iter().any(|(profile, parent, old, until)| {
            *profile == self.account.profile
                && *parent == node.parent
                && *old == name
                && now < *until
        });
        if ghost || taken(&state, &tree, &node.parent, &name) {
            return Err(ApiError::duplicate());
        }
        tree.relocate(&node.id, &node.parent, &name);
        tree.update(&node.id, |node| node.modified = now);
        let (node, trashed) = self.entry(&tree, &self.id)?;
        Ok(self.render(&node, trashed))
    }

    pub(super) fn star(&self) -> Result<Value, ApiError> {
        let ids = self.ids()?;
        let mut tree = self.account.tree();
        for id in &ids {
            self.entry(&tree, id)?;
        }
        for id in &ids {
            tree.update(id, |node| {
                match self.op {
                    "star" => node.extra.insert("starred".to_owned(), json!(true)),
                    _ => node.extra.remove("starred"),
                };
            });
        }
        Ok(json!({}))
    }
}
