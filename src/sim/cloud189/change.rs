//! Direct changes: folders, names, copy, move, trash (189cloud.md section 4.4).

use serde_json::Value;

use super::super::tree::{Node, Tree};
use super::answer::{ApiError, ok};
use super::auth::Scope;
use super::gate::Ctx;

/// Whether the service takes a name (section 9).
pub(super) fn check_name(name: &str) -> Result<(), ApiError> {
    let illegal = |c: char| matches!(c, '\\' | '/' | ':' | '*' | '?' | '"' | '<' | '>' | '|');
    if name.is_empty() || name.contains(illegal) {
        return Err(ApiError::argument("file name"));
    }
    match name.len() <= 255 && !matches!(name, "." | "..") {
        true => Ok(()),
        false => Err(ApiError::argument("file name")),
    }
}

/// Emoji: refused in the names of uploads (section 9).
pub(super) fn has_emoji(name: &str) -> bool {
    name.chars()
        .any(|c| matches!(u32::from(c), 0x1f000..=0x1faff | 0x2600..=0x27bf | 0xfe0f | 0x200d))
}

impl Ctx<'_> {
    /// A name that is free of what the setting `banned_word` holds.
    pub(super) fn audit_name(&self, name: &str) -> Result<(), ApiError> {
        check_name(name)?;
        let word = self.account.knobs.text("banned_word").unwrap_or_default();
        match !word.is_empty() && name.contains(&word) {
            true => Err(ApiError::new(
                "AuditErrorCode",
                "the name holds a banned word",
            )),
            false => Ok(()),
        }
    }

    fn free(&self, tree: &Tree, parent: &str, name: &str, but: &str) -> Result<(), ApiError> {
        let mut same = tree.find(parent, name).into_iter();
        match same.any(|node| node.id != but) {
            true => Err(ApiError::exists()),
            false => Ok(()),
        }
    }

    /// The folder `name` in `parent`, made when it is missing.
    fn folder_named(&self, tree: &mut Tree, parent: &str, name: &str) -> Result<String, ApiError> {
        self.audit_name(name)?;
        let same = tree.find(parent, name);
        if let Some(known) = same.iter().find(|node| node.is_dir()) {
            return Ok(known.id.clone());
        }
        if !same.is_empty() {
            return Err(ApiError::exists());
        }
        let id = self.sim.node_id(true);
        tree.insert(Node::dir(&id, parent, name, self.now()));
        Ok(id)
    }

    /// `createFolder.action`. A folder of this name that exists is answered as if new.
    pub(super) fn mkdir(&self) -> Result<Value, ApiError> {
        let parent = match self.scope {
            Scope::Personal => self.need("parentFolderId")?,
            Scope::Family => self.arg("parentId"),
        };
        let mut tree = self.account.tree();
        let mut at = self.target(&tree, parent)?;
        let way = self
            .arg("relativePath")
            .split('/')
            .filter(|name| !name.is_empty());
        let names: Vec<&str> = way.chain(Some(self.arg("folderName"))).collect();
        let names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
        if names.is_empty() {
            return Err(ApiError::argument("folderName"));
        }
        for name in names {
            at = self.folder_named(&mut tree, &at, name)?;
        }
        let made = tree.get(&at).ok_or_else(ApiError::not_found)?;
        Ok(self.folder_object(made))
    }

    /// A node of the wanted kind.
    fn the_node(&self, tree: &Tree, id: &str, dir: bool) -> Result<Node, ApiError> {
        let node = self.node(tree, id).filter(|node| node.is_dir() == dir);
        node.cloned().ok_or_else(ApiError::not_found)
    }

    async fn shown(&self, id: &str) -> Result<Value, ApiError> {
        let node = self.account.tree().get(id).cloned();
        let node = node.ok_or_else(ApiError::not_found)?;
        Ok(match node.is_dir() {
            true => self.folder_object(&node),
            false => self.file_info(&node).await,
        })
    }

    fn place(
        &self,
        tree: &mut Tree,
        node: &Node,
        parent: &str,
        name: &str,
    ) -> Result<(), ApiError> {
        self.free(tree, parent, name, &node.id)?;
        if !tree.relocate(&node.id, parent, name) {
            return Err(ApiError::new(
                "MoveFileValidError",
                "cannot move into itself",
            ));
        }
        let now = self.now();
        tree.update(&node.id, |node| node.modified = now);
        Ok(())
    }

    /// `renameFile.action`, `renameFolder.action`.
    pub(super) async fn rename(&self, dir: bool) -> Result<Value, ApiError> {
        let (id, name) = match dir {
            true => (self.need("folderId")?, self.need("destFolderName")?),
            false => (self.need("fileId")?, self.need("destFileName")?),
        };
        self.audit_name(name)?;
        {
            let mut tree = self.account.tree();
            let node = self.the_node(&tree, id, dir)?;
            self.place(&mut tree, &node, &node.parent, name)?;
        }
        self.shown(id).await
    }

    /// `moveFile.action`, `moveFolder.action`: another place and another name in one.
    pub(super) async fn move_node(&self, dir: bool) -> Result<Value, ApiError> {
        let (id, name) = match dir {
            true => (self.need("folderId")?, self.arg("destFolderName")),
            false => (self.need("fileId")?, self.arg("destFileName")),
        };
        {
            let mut tree = self.account.tree();
            let node = self.the_node(&tree, id, dir)?;
            let name = if name.is_empty() {
                node.name.as_str()
            } else {
                name
            };
            self.audit_name(name)?;
            let parent = self.target(&tree, self.need("destParentFolderId")?)?;
            self.place(&mut tree, &node, &parent, name)?;
        }
        self.shown(id).await
    }

    /// `copyFile.action`: under another name where one is given.
    pub(super) async fn copy_file(&self) -> Result<Value, ApiError> {
        let copy = {
            let mut tree = self.account.tree();
            let node = self.the_node(&tree, self.need("fileId")?, false)?;
            let name = match self.arg("destFileName") {
                "" => node.name.as_str(),
                name => name,
            };
            self.audit_name(name)?;
            let parent = self.target(&tree, self.need("destParentFolderId")?)?;
            self.free(&tree, &parent, name, "")?;
            self.sim
                .room(&self.account, self.scope, &tree, node.size())?;
            let sim = self.sim;
            let mut new_id = |dir| sim.node_id(dir);
            tree.copy(&node.id, &parent, name, self.now(), &mut new_id)
        };
        self.shown(&copy.unwrap_or_default()).await
    }

    /// `deleteFile.action`, `deleteFolder.action`, `batchDeleteFile.action`: to the trash.
    pub(super) fn trash_nodes(&self, argument: &str) -> Result<Value, ApiError> {
        let ids = self.need(argument)?;
        let ids: Vec<&str> = match argument {
            "fileIdList" => ids.split(';').filter(|id| !id.is_empty()).collect(),
            _ => vec![ids],
        };
        let now = self.now();
        let mut tree = self.account.tree();
        for id in &ids {
            match argument {
                "fileIdList" => self
                    .node(&tree, id)
                    .cloned()
                    .ok_or_else(ApiError::not_found)?,
                _ => self.the_node(&tree, id, argument == "folderId")?,
            };
        }
        for id in ids {
            tree.update(id, |node| node.trashed = Some(now));
        }
        Ok(ok(serde_json::json!({ "success": "true" })))
    }
}
