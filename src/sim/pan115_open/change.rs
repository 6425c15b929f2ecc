//! mkdir, rename, move, copy (115_open.md sections 4.5 to 4.7 and 9).

use std::time::Duration;

use serde_json::{Value, json};

use super::super::tree::{Node, Tree};
use super::errors::{ApiError, granted};
use super::files::{self, star};
use super::{Ctx, Pan115, ROOT};

/// Levels of folders below the root.
const MAX_DEPTH: usize = 25;
/// Entries of one move, copy or delete.
const MAX_BATCH: usize = 50_000;

/// What an account's one long operation does.
#[derive(Default)]
pub(super) struct Busy {
    running: bool,
    /// It goes on behind its answer until then.
    until: i64,
}

/// Holds an account's one long operation; ends it when dropped.
pub(super) struct Turn<'a> {
    sim: &'a Pan115,
    account: usize,
    lasting_ms: i64,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let until = self.sim.kit.clock.now_ms().saturating_add(self.lasting_ms);
        let running = false;
        self.sim
            .state()
            .busy
            .insert(self.account, Busy { running, until });
    }
}

/// Checks a name as mkdir and rename do (an upload may create what they refuse).
fn check_name(name: &str) -> Result<(), ApiError> {
    if name.trim().is_empty() {
        return Err(ApiError::new(20_001, "目录名称不能为空"));
    }
    if name.chars().count() > 255 {
        return Err(ApiError::new(20_002, "目录名称过长"));
    }
    if name.contains(['"', '<', '>', '/']) {
        return Err(ApiError::new(20_003, "名称不能包含下列任何字符 \" < >"));
    }
    Ok(())
}

/// Stem and extension of a file's name. Without a dot there is no extension; `Some("")` is
/// a name that ends with one.
fn split(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once('.') {
        Some((stem, ext)) => (stem, Some(ext)),
        None => (name, None),
    }
}

/// What a file is called after a rename: the extension stays as it was (section 4.6).
pub(super) fn renamed(old: &str, new: &str) -> String {
    match (split(old), split(new)) {
        ((_, Some(ext)), (stem, _)) if !ext.is_empty() => format!("{stem}.{ext}"),
        ((_, None), (_, None)) => new.to_owned(),
        ((stem, _), _) => format!("{stem}."),
    }
}

/// The name itself when no other entry of its kind in the folder has it, else the first
/// free one of the form `name(1).ext`. A file and a folder may share a name (section 9).
pub(super) fn free_name(tree: &Tree, parent: &str, name: &str, dir: bool, own: &str) -> String {
    let free = |name: &str| {
        let same = tree.find(parent, name);
        !same
            .iter()
            .any(|node| node.is_dir() == dir && node.id != own)
    };
    if free(name) {
        return name.to_owned();
    }
    let (stem, ext) = match name.rfind('.').filter(|at| *at > 0 && !dir) {
        Some(dot) => name.split_at(dot),
        None => (name, ""),
    };
    let numbered = (1_u64..).map(|n| format!("{stem}({n}){ext}"));
    numbered
        .into_iter()
        .find(|name| free(name))
        .unwrap_or_else(|| name.to_owned())
}

impl<'a> Ctx<'a> {
    /// Starts the account's one long operation (section 4.7).
    pub(super) async fn turn(&self) -> Result<Turn<'a>, ApiError> {
        let knobs = &self.account.knobs;
        let busy = || ApiError::new(990_009, "操作尚未执行完成，请稍后再试");
        if knobs.flag("busy") {
            return Err(busy());
        }
        let account = self.account.number;
        {
            let now = self.now();
            let mut state = self.sim.state();
            let at = state.busy.entry(account).or_default();
            if at.running || now < at.until {
                return Err(busy());
            }
            at.running = true;
        }
        let lasting_ms = i64::try_from(knobs.number("busy_ms", 0)).unwrap_or(i64::MAX);
        let turn = Turn {
            sim: self.sim,
            account,
            lasting_ms,
        };
        tokio::time::sleep(Duration::from_millis(knobs.number("op_ms", 20))).await;
        Ok(turn)
    }

    /// A required comma list of ids, not too long.
    pub(super) fn ids(&self, key: &str) -> Result<Vec<String>, ApiError> {
        self.few(key, self.params.list(key))
    }

    /// The same for ids that stood elsewhere.
    pub(super) fn few(&self, key: &str, ids: Vec<String>) -> Result<Vec<String>, ApiError> {
        if ids.is_empty() {
            return Err(ApiError::parameter(key));
        }
        if ids.len() > MAX_BATCH {
            let code = if self.op == "copy" { 91_004 } else { 990_023 };
            return Err(ApiError::new(code, "操作的文件（夹）数量超过上限"));
        }
        Ok(ids)
    }

    /// Those of the ids that a user has (dangling ones too), but for the root.
    pub(super) fn known(&self, ids: &[String]) -> Result<Vec<Node>, ApiError> {
        let tree = self.account.tree();
        let here = |id: &String| files::untrashed(&tree, id).filter(|node| node.id != ROOT);
        let found: Vec<Node> = ids.iter().filter_map(here).cloned().collect();
        match found.is_empty() {
            true => Err(ApiError::new(231_011, "文件（夹）不存在或已删除")),
            false => Ok(found),
        }
    }

    /// The name under which an entry arrives in a folder.
    pub(super) fn arriving(&self, tree: &Tree, parent: &str, node: &Node, own: &str) -> String {
        match self.flag("duplicates") {
            true => node.name.clone(),
            false => free_name(tree, parent, &node.name, node.is_dir(), own),
        }
    }

    /// `POST /open/folder/add`.
    pub(super) fn mkdir(&self) -> Result<Value, ApiError> {
        let name = self.text("file_name");
        let id = self.make_folder(self.required("pid")?, name)?;
        Ok(granted(json!({ "file_name": name, "file_id": id })))
    }

    /// Makes a folder; answers its id.
    pub(super) fn make_folder(&self, pid: &str, name: &str) -> Result<String, ApiError> {
        check_name(name)?;
        let now = self.now();
        let mut tree = self.account.tree();
        if tree.live_dir(pid).is_none() {
            return Err(ApiError::new(20_009, "父目录不存在"));
        }
        let fold = self.flag("fold_case");
        let taken = tree.children(pid).any(|node| {
            node.is_dir()
                && (node.name == name || (fold && node.name.to_lowercase() == name.to_lowercase()))
        });
        if taken {
            return Err(ApiError::new(20_004, "该目录名称已存在"));
        }
        let most = self.account.knobs.number("max_entries", 50_000);
        if tree.children(pid).count() as u64 >= most {
            return Err(ApiError::new(2, "目录下的文件数量超过上限"));
        }
        let mut depth = 1;
        let mut at = pid.to_owned();
        while let Some(node) = tree.get(&at).filter(|node| node.id != ROOT) {
            depth += 1;
            at = node.parent.clone();
        }
        if depth > MAX_DEPTH {
            return Err(ApiError::new(990_003, "目录层级超过上限"));
        }
        let id = self.sim.kit.ids.decimal(19);
        tree.insert(Node::dir(&id, pid, name, now));
        Ok(id)
    }

    /// `POST /open/ufile/update`: name, star. A deleted id is a success without effect.
    pub(super) fn rename(&self) -> Result<Value, ApiError> {
        let id = self.required("file_id")?;
        let (name, marked) = (self.text("file_name"), self.text("star"));
        if name.is_empty() && marked.is_empty() {
            return Err(ApiError::parameter("file_name"));
        }
        if !matches!(marked, "" | "0" | "1") {
            return Err(ApiError::parameter("star"));
        }
        let (name, star) = match self.renamed_to(id, name, marked)? {
            Some(done) => done,
            None => (
                name.to_owned(),
                if marked.is_empty() { "0" } else { marked }.to_owned(),
            ),
        };
        Ok(granted(json!({ "file_name": name, "star": star })))
    }

    /// Gives an entry a name and a mark, where they are not empty; answers those it has
    /// then. `None` when it is gone, which is no error.
    pub(super) fn renamed_to(
        &self,
        id: &str,
        name: &str,
        marked: &str,
    ) -> Result<Option<(String, String)>, ApiError> {
        if id == ROOT {
            return Err(ApiError::parameter("file_id"));
        }
        if !name.is_empty() {
            check_name(name)?;
        }
        let now = self.now();
        let mut tree = self.account.tree();
        let Some(node) = files::untrashed(&tree, id).cloned() else {
            return Ok(None);
        };
        if !name.is_empty() && name != node.name {
            let kept = match node.is_dir() {
                true => name.to_owned(),
                false => renamed(&node.name, name),
            };
            if kept != name && self.flag("rename_refused") {
                return Err(ApiError::new(20_021, "后缀名不正确，请重新输入"));
            }
            let kept = match self.flag("duplicates") {
                true => kept,
                false => free_name(&tree, &node.parent, &kept, node.is_dir(), id),
            };
            tree.relocate(id, &node.parent, &kept);
        }
        tree.update(id, |node| {
            node.modified = now;
            if !marked.is_empty() {
                node.extra.insert("star".to_owned(), json!(marked));
            }
        });
        let node = tree.get(id);
        Ok(node.map(|node| (node.name.clone(), star(node).to_owned())))
    }

    /// `POST /open/ufile/move`. A target that does not exist is a success, and the entries
    /// dangle.
    pub(super) async fn move_to(&self) -> Result<Value, ApiError> {
        let ids = self.ids("file_ids")?;
        self.moved(&ids, self.required("to_cid")?).await?;
        Ok(granted(json!([])))
    }

    /// Moves entries.
    pub(super) async fn moved(&self, ids: &[String], target: &str) -> Result<(), ApiError> {
        let _turn = self.turn().await?;
        let nodes = self.known(ids)?;
        let mut tree = self.account.tree();
        if tree.get(target).is_some_and(|node| !node.is_dir()) {
            return Err(ApiError::parameter("target"));
        }
        if nodes.iter().any(|node| tree.is_below(target, &node.id)) {
            return Err(ApiError::new(800_006, "不能移动到自身或其子目录"));
        }
        for node in nodes.iter().filter(|node| node.parent != target) {
            let name = self.arriving(&tree, target, node, &node.id);
            tree.relocate(&node.id, target, &name);
        }
        Ok(())
    }

    /// `POST /open/ufile/copy`. No new ids in the answer.
    pub(super) async fn copy(&self) -> Result<Value, ApiError> {
        let ids = self.ids("file_id")?;
        let no_duplicates = ["nodupli", "no_dupli"]
            .iter()
            .any(|key| self.text(key) == "1");
        self.copied(&ids, self.required("pid")?, no_duplicates)
            .await?;
        Ok(granted(json!([])))
    }

    /// Copies entries; without duplicates what is there already is left out.
    pub(super) async fn copied(
        &self,
        ids: &[String],
        target: &str,
        no_duplicates: bool,
    ) -> Result<(), ApiError> {
        let _turn = self.turn().await?;
        let nodes = self.known(ids)?;
        let (total, used) = self.space();
        let now = self.now();
        let sizes: u64 = {
            let tree = self.account.tree();
            if tree.live_dir(target).is_none() {
                return Err(ApiError::new(20_009, "父目录不存在"));
            }
            if nodes.iter().any(|node| tree.is_below(target, &node.id)) {
                return Err(ApiError::new(91_002, "不能将文件复制到自身或其子目录下"));
            }
            if nodes.iter().any(|node| node.parent == target) {
                return Err(ApiError::new(990_003, "不能复制到当前目录"));
            }
            nodes.iter().map(|node| weight(&tree, node)).sum()
        };
        if used.saturating_add(sizes) > total {
            return Err(ApiError::new(91_005, "空间不足，复制失败"));
        }
        for node in &nodes {
            let same = match no_duplicates {
                true => self.twin(target, node).await,
                false => false,
            };
            if same {
                continue;
            }
            let mut tree = self.account.tree();
            let name = self.arriving(&tree, target, node, "");
            let ids = &self.sim.kit.ids;
            let copied = tree.copy(&node.id, target, &name, now, &mut |_| ids.decimal(19));
            // The marks of the original stay with it.
            for id in copied.iter() {
                tree.update(id, |copy| copy.extra.clear());
            }
        }
        Ok(())
    }

    /// Whether the folder has the same file (or a folder) of this name already.
    async fn twin(&self, parent: &str, node: &Node) -> bool {
        let same: Vec<Node> = {
            let tree = self.account.tree();
            tree.find(parent, &node.name).into_iter().cloned().collect()
        };
        let sha1 = files::sha1_of(node).await;
        for other in same {
            if other.is_dir() == node.is_dir() && files::sha1_of(&other).await == sha1 {
                return true;
            }
        }
        false
    }
}

/// Bytes of a file, or of everything live below a folder.
fn weight(tree: &Tree, node: &Node) -> u64 {
    let below = tree.children(&node.id).map(|child| weight(tree, child));
    below.fold(node.size(), u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_stays() {
        for (old, new, kept) in [
            ("foo.ext", "bar", "bar.ext"),
            ("foo.ext", "bar.new", "bar.ext"),
            ("foo.ext", "bar.ext", "bar.ext"),
            ("a.TXT", "b.txt", "b.TXT"),
            ("a.tar.gz", "b.x.gz", "b.x.gz"),
            ("foo", "bar.ext", "foo."),
            ("foo", "bar", "bar"),
        ] {
            assert_eq!(renamed(old, new), kept, "{old} to {new}");
        }
    }

    #[test]
    fn names() {
        let code = |name: &str| check_name(name).err().map(|e| e.document()["code"].clone());
        assert_eq!(code("docs 文档"), None);
        assert_eq!(code(&"ä".repeat(255)), None);
        assert_eq!(code(""), Some(json!(20_001)));
        assert_eq!(code(&"x".repeat(256)), Some(json!(20_002)));
        assert_eq!(code("a<b"), Some(json!(20_003)));
        assert_eq!(code("a/b"), Some(json!(20_003)));
    }
}
