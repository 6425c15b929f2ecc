//! Folders, renames, moves, copies, deletes, shortcuts (sections 4 and 9). Names may repeat:
//! nothing here looks whether one is taken.

use serde_json::{Value, json};

use super::super::tree::Node;
use super::auth::Who;
use super::entries::{entry, kind, known_kind};
use super::errors::ApiError;
use super::gate::Ctx;
use super::tasks::Work;
use super::versions::What;

/// Characters of a file's name.
const FILE_NAME: usize = 250;
/// Bytes of a folder's name.
const FOLDER_NAME: usize = 256;

/// Whether a name is short enough.
fn fits(name: &str, folder: bool) -> bool {
    match folder {
        true => name.len() <= FOLDER_NAME,
        false => name.chars().count() <= FILE_NAME,
    }
}

/// A name for something new.
///
/// # Errors
/// 1061002: too long; 1061109: control characters, or a slash, which titles of online
/// documents may have (section 9).
pub(super) fn check_name(name: &str, kind: &str) -> Result<(), ApiError> {
    if !fits(name, kind == "folder") {
        return Err(ApiError::parameter("name"));
    }
    let binary = matches!(kind, "file" | "folder");
    if name.chars().any(|c| c.is_control() || (binary && c == '/')) {
        return Err(ApiError::new(1_061_109));
    }
    Ok(())
}

impl Ctx<'_> {
    /// Adds what an app owns to a node.
    pub(super) fn owned(&self, node: &mut Node) {
        if self.who == Who::Bot {
            node.extra.insert("owner".to_owned(), json!("bot"));
        }
    }

    /// `create_folder`: a second one when the name exists.
    pub(super) fn mkdir(&self) -> Result<Value, ApiError> {
        let name = self.args.required("name")?;
        check_name(name, "folder")?;
        let parent = self.parent(self.args.text("folder_token")?)?;
        let token = self.sim.token("folder");
        let mut node = Node::dir(&token, &parent.id, name, self.now());
        self.owned(&mut node);
        let url = super::entries::url(&self.account, &node);
        self.account.tree().insert(node);
        Ok(json!({ "token": token, "url": url }))
    }

    /// `PATCH files/{token}`: the title is stored as it is, an empty one too.
    pub(super) fn rename(&self) -> Result<Value, ApiError> {
        let title = self.args.get("new_title").and_then(Value::as_str);
        let title = title.ok_or_else(|| ApiError::field("new_title"))?;
        let told = self.args.query("type");
        let renamed = ["docx", "sheet", "bitable", "slides", "file", "folder"];
        if told == "wiki" {
            // A type that may be renamed; there are no wiki pages here.
            return Err(ApiError::new(981_003));
        }
        if !renamed.contains(&told) {
            return Err(ApiError::new(981_002));
        }
        let node = self.typed(&self.token, told);
        let node = node.map_err(|error| match error.code() {
            1_061_004 => ApiError::new(981_004),
            _ => ApiError::new(981_003),
        })?;
        if node.parent.is_empty() {
            return Err(ApiError::new(981_004));
        }
        if !fits(title, told == "folder") {
            return Err(ApiError::parameter("new_title"));
        }
        let now = self.now();
        if told == "file" {
            self.sim.remember(&node, now, What::Renamed, Some(title));
        }
        let mut tree = self.account.tree();
        tree.relocate(&node.id, &node.parent, title);
        tree.update(&node.id, |node| node.modified = now);
        Ok(json!({}))
    }

    /// `move`: a file at once, a folder by a task; to where it is, nothing.
    pub(super) fn move_to(&self) -> Result<Value, ApiError> {
        let node = self.typed(&self.token, self.args.required("type")?)?;
        if node.parent.is_empty() {
            return Err(ApiError::new(1_061_004));
        }
        let told = self.args.text("folder_token")?;
        let place = self.place(told)?;
        if place.id == node.parent {
            return Ok(json!({}));
        }
        let parent = self.parent(told)?;
        if self.account.tree().is_below(&parent.id, &node.id) {
            return Err(ApiError::parameter("folder_token"));
        }
        let work = Work::Move {
            token: node.id.clone(),
            to: parent.id,
        };
        self.submit(work, node.is_dir())
    }

    /// `copy`: of anything but folders and shortcuts, under any name.
    pub(super) fn copy(&self) -> Result<Value, ApiError> {
        let name = self.args.required("name")?;
        let told = self.args.required("type")?;
        let node = self.typed(&self.token, told)?;
        if matches!(kind(&node), "folder" | "shortcut") {
            return Err(ApiError::parameter("type"));
        }
        check_name(name, kind(&node))?;
        let parent = self.parent(self.args.text("folder_token")?)?;
        self.room(node.size(), None)?;
        let now = self.now();
        let mut copy = Node {
            id: self.sim.token(kind(&node)),
            parent: parent.id,
            name: name.to_owned(),
            created: now,
            modified: now,
            ..node
        };
        copy.extra.remove("owner");
        self.owned(&mut copy);
        let answer = json!({ "file": entry(&self.account, &copy) });
        self.account.tree().insert(copy);
        Ok(answer)
    }

    /// `DELETE files/{token}`: into the trash; a folder by a task, with `async=true` anything.
    pub(super) fn delete(&self) -> Result<Value, ApiError> {
        let node = self.typed(&self.token, self.args.query("type"))?;
        if node.parent.is_empty() {
            return Err(ApiError::new(1_061_004));
        }
        let wanted = match self.args.query("async") {
            "" | "false" => false,
            "true" => true,
            _ => return Err(ApiError::field("async")),
        };
        let slow = node.is_dir() || wanted;
        self.submit(Work::Delete { token: node.id }, slow)
    }

    /// `create_shortcut`.
    pub(super) fn shortcut(&self) -> Result<Value, ApiError> {
        let refer = |key: &str| {
            let entity = self.args.get("refer_entity");
            let value = entity.and_then(|entity| entity.get(key)?.as_str());
            value.ok_or_else(|| ApiError::field("refer_entity"))
        };
        let told = known_kind(refer("refer_type")?).ok_or_else(|| ApiError::parameter("type"))?;
        let target = self.typed(refer("refer_token")?, told)?;
        if told == "shortcut" || told == "folder" {
            return Err(ApiError::parameter("refer_type"));
        }
        let parent = self.parent(self.args.required("parent_token")?)?;
        let mut node = self
            .sim
            .document("shortcut", &parent.id, &target.name, self.now());
        node.extra.insert("target_type".to_owned(), json!(told));
        node.extra
            .insert("target_token".to_owned(), json!(target.id));
        self.owned(&mut node);
        let answer = json!({ "succ_shortcut_node": entry(&self.account, &node) });
        self.account.tree().insert(node);
        Ok(answer)
    }
}
