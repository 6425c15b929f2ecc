//! mkdir, rename, move, copy, and the name rule (sheet quark, 4.4 to 4.7, 9).

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::account::Account;
use super::super::tree::{Node, Tree};
use super::QuarkUc;
use super::errors::ApiError;
use super::gate::Ctx;
use super::tasks::Work;

/// Ids per call at most.
pub(super) const MANY: usize = 100;

/// A live entry that is not the root.
pub(super) fn own(tree: &Tree, fid: &str) -> Result<Node, ApiError> {
    let node = tree.live(fid).filter(|node| !node.parent.is_empty());
    node.cloned().ok_or_else(ApiError::gone)
}

/// Bytes of an entry and everything live below it.
pub(super) fn bytes_below(tree: &Tree, fid: &str) -> u64 {
    let children: u64 = tree
        .children(fid)
        .map(|child| bytes_below(tree, &child.id))
        .sum();
    children + tree.get(fid).map_or(0, Node::size)
}

impl Ctx<'_> {
    /// The name rule.
    pub(super) fn check_name(&self, name: &str) -> Result<(), ApiError> {
        let most = self.account.knobs.number("name_max", 255);
        let good = !name.is_empty()
            && name.chars().count() as u64 <= most
            && !name.contains(['\\', '/', ':', '*', '?', '"', '<', '>', '|']);
        match good {
            true => Ok(()),
            false => Err(ApiError::parameter("file_name")),
        }
    }

    /// A live directory named by a member of the body; no text is the root.
    pub(super) fn target(&self, name: &str) -> Result<String, ApiError> {
        let fid = match self.args.text(name) {
            "" => super::ROOT.to_owned(),
            fid => fid.to_owned(),
        };
        match self.account.tree().live_dir(&fid) {
            Some(_) => Ok(fid),
            None => Err(ApiError::no_target()),
        }
    }

    /// `POST file`: one folder, or all that are missing of a path.
    pub(super) fn mkdir(&self) -> Result<Value, ApiError> {
        let mut at = self.target("pdir_fid")?;
        let path = self.args.text("dir_path");
        let names: Vec<&str> = match path {
            "" => vec![self.args.text("file_name")],
            path => path.split('/').filter(|name| !name.is_empty()).collect(),
        };
        for name in &names {
            self.check_name(name)?;
        }
        for name in names {
            let known = {
                let tree = self.account.tree();
                let same = tree.find(&at, name);
                let dir = same.iter().find(|node| node.is_dir());
                match (same.is_empty(), dir, path.is_empty()) {
                    (true, _, _) => None,
                    (false, Some(dir), false) => Some(dir.id.clone()),
                    _ => return Err(ApiError::same_name()),
                }
            };
            at = known.unwrap_or_else(|| {
                let fid = self.sim.kit.ids.hex(32);
                let node = Node::dir(&fid, &at, name, self.now());
                self.account.tree().insert(node);
                self.sim.note(&self.account, &fid, None);
                fid
            });
        }
        Ok(json!({ "finish": true, "fid": at }))
    }

    /// `POST file/rename`.
    pub(super) fn rename(&self) -> Result<Value, ApiError> {
        let (fid, name) = (self.args.id("fid")?, self.args.text("file_name"));
        self.check_name(name)?;
        let now = self.now();
        let before = {
            let mut tree = self.account.tree();
            let node = own(&tree, &fid)?;
            if tree
                .find(&node.parent, name)
                .iter()
                .any(|other| other.id != fid)
            {
                return Err(ApiError::same_name());
            }
            if node.name == name {
                return Ok(json!({}));
            }
            tree.relocate(&fid, &node.parent, name);
            tree.update(&fid, |node| node.modified = now);
            node
        };
        self.sim.note(&self.account, &fid, Some(before));
        Ok(json!({}))
    }

    /// The entries of `filelist`, all of them there and none above `to`.
    fn movable(&self, to: &str) -> Result<Vec<String>, ApiError> {
        let fids = self.args.ids("filelist", MANY)?;
        let tree = self.account.tree();
        for fid in &fids {
            own(&tree, fid)?;
            if tree.is_below(to, fid) {
                return Err(ApiError::parameter("to_pdir_fid"));
            }
        }
        Ok(fids)
    }

    /// `POST file/move`.
    pub(super) fn move_to(&self) -> Result<(Value, Value), ApiError> {
        let to = self.target("to_pdir_fid")?;
        let fids = self.movable(&to)?;
        if self.knob("collision") == "refuse" {
            let tree = self.account.tree();
            for fid in &fids {
                let name = own(&tree, fid)?.name;
                if tree.find(&to, &name).iter().any(|other| other.id != *fid) {
                    return Err(ApiError::same_name());
                }
            }
        }
        self.submit("文件-移动", Work::Move { fids, to })
    }

    /// `POST file/copy`.
    pub(super) fn copy(&self) -> Result<(Value, Value), ApiError> {
        if self.knob("copy") == "off" {
            return Err(ApiError::new(404, 14001, "api not found"));
        }
        let to = self.target("to_pdir_fid")?;
        let fids = self.movable(&to)?;
        self.submit("文件-复制", Work::Copy { fids, to })
    }
}

impl QuarkUc {
    /// Notes what an entry was before a change that just happened.
    pub(super) fn note(&self, account: &Account, fid: &str, before: Option<Node>) {
        let now = self.kit.clock.now_ms();
        self.changes().note(account, fid, before, now);
    }

    /// The work of a move: a taken name becomes `name(1)`.
    pub(super) fn run_move(
        &self,
        account: &Arc<Account>,
        fids: &[String],
        to: &str,
    ) -> Result<Value, ApiError> {
        for fid in fids {
            let before = {
                let mut tree = account.tree();
                if tree.live_dir(to).is_none() {
                    return Err(ApiError::no_folder());
                }
                // Gone since, or there already: nothing to do.
                let Ok(node) = own(&tree, fid) else { continue };
                if node.parent == to {
                    continue;
                }
                let name = tree.free_name(to, &node.name);
                if !tree.relocate(fid, to, &name) {
                    continue;
                }
                node
            };
            self.note(account, fid, Some(before));
        }
        Ok(json!({}))
    }

    /// The work of a copy.
    pub(super) fn run_copy(
        &self,
        account: &Arc<Account>,
        fids: &[String],
        to: &str,
    ) -> Result<Value, ApiError> {
        let now = self.kit.clock.now_ms();
        for fid in fids {
            let free = self.free_space(account);
            let copy = {
                let mut tree = account.tree();
                if tree.live_dir(to).is_none() {
                    return Err(ApiError::no_folder());
                }
                let Ok(node) = own(&tree, fid) else { continue };
                if bytes_below(&tree, fid) > free {
                    return Err(ApiError::capacity());
                }
                let name = tree.free_name(to, &node.name);
                tree.copy(fid, to, &name, now, &mut |_| self.kit.ids.hex(32))
            };
            if let Some(copy) = copy {
                self.note(account, &copy, None);
            }
        }
        Ok(json!({}))
    }
}
