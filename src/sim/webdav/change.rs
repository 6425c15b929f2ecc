//! MKCOL and DELETE, and what stands in the way of changes.

use super::super::tree::{Node, Tree};
use super::errors::DavError;
use super::gate::{Answer, Ctx, done};
use super::listing::multistatus;

/// An entry that does not give way: path inside the account, status.
pub(super) type Stuck = (String, u16);

impl Ctx {
    /// The entries at and below a path that the setting `stuck:PATH` names.
    pub(super) fn stuck(&self, tree: &Tree, node: &Node) -> Vec<Stuck> {
        let mut all = Vec::new();
        let mut todo = vec![node.clone()];
        while let Some(node) = todo.pop() {
            let path = tree.path_of(&node.id);
            let status = self.account.knobs.number(&format!("stuck:{path}"), 0);
            if let Ok(status) = u16::try_from(status)
                && status >= 400
            {
                all.push((path, status));
            }
            todo.extend(tree.children(&node.id).cloned());
        }
        all.sort();
        all
    }

    /// What to answer when something is stuck: its status when it is the entry itself, else a
    /// 207 that names what failed (sheet, 4.3 point 14).
    pub(super) fn stuck_answer(&self, stuck: &[Stuck]) -> Option<Answer> {
        let (_, first) = stuck.first()?;
        let own = self.at.path();
        if stuck.iter().any(|(path, _)| *path == own) {
            return Some(Err(DavError::new(*first, "The entry cannot be changed")));
        }
        let hrefs = self.hrefs();
        let mut writer = self.writer("multistatus");
        for (path, status) in stuck {
            writer.open("response");
            writer.leaf("href", &hrefs.href(&self.at.base, path, false));
            writer.status(*status);
            writer.close("response");
        }
        Some(Ok(multistatus(writer.finish("multistatus"))))
    }

    /// MKCOL: 201, 405 (it exists), 409 (no parent), 415 (a body).
    pub(super) fn mkcol(&self, body: &str) -> Answer {
        if !body.is_empty() {
            return Err(DavError::new(415, "MKCOL takes no body"));
        }
        if self.at.names.is_empty() {
            return Err(self.not_allowed());
        }
        let state = self.sim.state();
        let mut tree = self.account.tree();
        if tree.resolve(&self.at.path()).is_some() {
            return Err(DavError::new(405, "The resource exists already"));
        }
        if !self.at.slash
            && let Some(answer) = self.bare("mkcol_bare")
        {
            return answer;
        }
        self.check_name(self.at.name())?;
        let parent = self.parent_dir(&tree, &self.at)?;
        self.unlocked(&state, &tree, &[(&parent.id, false)])?;
        let now = self.now();
        let id = self.sim.kit.ids.decimal(8);
        tree.insert(Node::dir(&id, &parent.id, self.at.name(), now));
        tree.update(&parent.id, |parent| parent.modified = now);
        self.sim.stamp(&mut tree, &id);
        Ok(done(201, &[]))
    }

    /// DELETE: 204, 404, or 207 with what stays.
    pub(super) async fn delete(&self) -> Answer {
        let node = self.found()?;
        if node.parent.is_empty() {
            return Err(DavError::new(403, "The root cannot be deleted"));
        }
        let depth = self.header("depth");
        if node.is_dir() && !depth.is_empty() && !depth.eq_ignore_ascii_case("infinity") {
            return Err(DavError::new(400, "Depth of a DELETE is infinity"));
        }
        if node.is_dir()
            && !self.at.slash
            && let Some(answer) = self.bare("delete_bare")
        {
            return answer;
        }
        self.may_change(Some(&node)).await?;
        let mut state = self.sim.state();
        let mut tree = self.account.tree();
        self.unlocked(&state, &tree, &[(&node.id, true), (&node.parent, false)])?;
        let stuck = self.stuck(&tree, &node);
        match self.stuck_answer(&stuck) {
            Some(Ok(answer)) => {
                self.delete_around(&mut tree, &node, &stuck);
                self.sim.stamp(&mut tree, &node.id);
                return Ok(answer);
            }
            Some(refused) => return refused,
            None => {}
        }
        self.release(&mut state, &tree, &node.id);
        self.remove(&mut tree, &node);
        Ok(done(204, &[]))
    }

    /// Takes an entry away; its directory changes.
    pub(super) fn remove(&self, tree: &mut Tree, node: &Node) {
        tree.remove(&node.id);
        let now = self.now();
        tree.update(&node.parent, |parent| parent.modified = now);
        self.sim.stamp(tree, &node.parent);
    }

    /// Deletes all below `node` but what is stuck and the directories above that.
    fn delete_around(&self, tree: &mut Tree, node: &Node, stuck: &[Stuck]) {
        let children: Vec<Node> = tree.children(&node.id).cloned().collect();
        for child in children {
            let path = tree.path_of(&child.id);
            let inside = format!("{path}/");
            if stuck.iter().any(|(stuck, _)| *stuck == path) {
                continue;
            }
            match stuck.iter().any(|(stuck, _)| stuck.starts_with(&inside)) {
                true => self.delete_around(tree, &child, stuck),
                false => {
                    tree.remove(&child.id);
                }
            }
        }
    }
}
