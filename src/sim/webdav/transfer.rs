//! MOVE and COPY (RFC 4918, 9.8, 9.9, 10.3, 10.6; sheet, 4.3 point 7 and 7.1).

use serde_json::json;

use super::super::tree::{Node, Tree};
use super::WebDav;
use super::address::{self, Address, split_url};
use super::errors::DavError;
use super::gate::{Answer, Ctx, Space, done, no_space};
use super::rules;

impl WebDav {
    /// The address of a URL path below the files of `profile`: 502 when it is not a place of
    /// this server, 403 when it is somebody else's.
    fn files_at(&self, path: &str, profile: &str) -> Result<Address, DavError> {
        let nowhere = || DavError::new(502, "Destination is not on this server");
        let (account, space, base, rest) = self.place_of(path).ok_or_else(nowhere)?;
        if account.profile != profile || space != Space::Files {
            return Err(DavError::new(403, "Destination is not yours"));
        }
        address::below(&base, &rest)
    }
}

impl Ctx {
    /// The `Destination` header, checked.
    pub(super) fn destination(&self) -> Result<Address, DavError> {
        let Some(value) = self.headers.get("destination") else {
            return Err(DavError::new(400, "The Destination header is missing"));
        };
        let url = value
            .to_str()
            .map_err(|_| DavError::new(400, "Destination is not percent-encoded"))?
            .trim();
        let any = self.account.knobs.text("destination").as_deref() == Some("any");
        let path = match any && url.starts_with('/') {
            true => url,
            false => {
                let (host, path) = split_url(url)?;
                if !host.eq_ignore_ascii_case(self.header("host")) {
                    return Err(DavError::new(502, "Destination is on another host"));
                }
                path
            }
        };
        let mut at = self.sim.files_at(path, &self.account.profile)?;
        at = super::gate::normal(&self.account, at);
        if at.names.is_empty() {
            return Err(DavError::new(403, "Destination is the root"));
        }
        Ok(at)
    }

    /// `Overwrite`: yes without the header (RFC 4918, 10.6).
    pub(super) fn overwrites(&self) -> Result<bool, DavError> {
        match self.header("overwrite") {
            "" | "T" | "t" => Ok(true),
            // dufs takes it for yes (sheet, 7.1).
            "F" | "f" => Ok(!self.yes("overwrite")),
            _ => Err(DavError::new(400, "Overwrite is T or F")),
        }
    }

    /// Whether a COPY of a directory takes what is in it along.
    fn deep(&self, node: &Node) -> Result<bool, DavError> {
        match self.header("depth").to_ascii_lowercase().as_str() {
            "" | "infinity" => Ok(true),
            "0" if self.op == "copy" || !node.is_dir() => Ok(false),
            _ => Err(DavError::new(400, "This Depth is not possible here")),
        }
    }

    /// MOVE and COPY.
    pub(super) async fn transfer(&self) -> Answer {
        let to = self.destination()?;
        let overwrite = self.overwrites()?;
        let node = self.found()?;
        if node.parent.is_empty() {
            return Err(DavError::new(403, "The root stays where it is"));
        }
        let deep = self.deep(&node)?;
        if node.is_dir() {
            let bare_target = !to.slash && rules::of(&self.account, "move_bare") == "400";
            if (!self.at.slash || bare_target)
                && let Some(answer) = self.bare("move_bare")
            {
                return answer;
            }
        } else if to.slash {
            return Err(DavError::new(409, "Destination of a file has no slash"));
        }
        self.may_change(Some(&node)).await?;
        self.check_name(to.name())?;
        let mut state = self.sim.state();
        let mut tree = self.account.tree();
        let there = tree.resolve(&to.path()).cloned();
        if there.as_ref().is_some_and(|there| there.id == node.id) {
            return Err(DavError::new(403, "Source and Destination are the same"));
        }
        let parent = self.parent_dir(&tree, &to)?;
        if tree.is_below(&parent.id, &node.id) {
            return Err(DavError::new(403, "Destination is inside of the source"));
        }
        if let Some(there) = &there {
            if !overwrite {
                return Err(DavError::new(412, "Destination exists"));
            }
            if tree.is_below(&node.id, &there.id) {
                return Err(DavError::new(403, "The source is inside of Destination"));
            }
        }
        let moves = self.op == "move";
        let mut changed = vec![(parent.id.as_str(), false)];
        if moves {
            changed.extend([(node.id.as_str(), true), (node.parent.as_str(), false)]);
        }
        changed.extend(there.as_ref().map(|there| (there.id.as_str(), true)));
        self.unlocked(&state, &tree, &changed)?;
        let stuck = self.stuck(&tree, &node);
        if let Some(answer) = self.stuck_answer(&stuck) {
            // Nothing is done: what a server leaves half done differs from one to the next.
            return answer;
        }
        if !moves && deep && copied_bytes(&tree, &node) > self.free(&tree) {
            return Err(no_space());
        }
        if let Some(there) = &there {
            self.release(&mut state, &tree, &there.id);
            self.remove(&mut tree, there);
        }
        match moves {
            true => {
                // Locks do not move along (RFC 4918, 7.5).
                self.release(&mut state, &tree, &node.id);
                tree.relocate(&node.id, &parent.id, to.name());
                self.touch(&mut tree, &node.parent);
            }
            false => self.copy(&mut tree, &node, &parent.id, to.name(), deep),
        }
        self.touch(&mut tree, &parent.id);
        let status = rules::of(&self.account, "move_status");
        let status = match there {
            Some(_) => 204,
            None => status.parse().unwrap_or(201),
        };
        Ok(done(status, &[]))
    }

    fn touch(&self, tree: &mut Tree, dir: &str) {
        let now = self.now();
        tree.update(dir, |node| node.modified = now);
        self.sim.stamp(tree, dir);
    }

    fn copy(&self, tree: &mut Tree, node: &Node, parent: &str, name: &str, deep: bool) {
        let now = self.now();
        let ids = &self.sim.kit.ids;
        if deep {
            tree.copy(&node.id, parent, name, now, &mut |_| ids.decimal(8));
            return;
        }
        let id = ids.decimal(8);
        let mut copy = Node::dir(&id, parent, name, now);
        copy.extra = node.extra.clone();
        copy.extra.insert("tag".to_owned(), json!(ids.hex(16)));
        tree.insert(copy);
    }
}

/// Bytes of an entry and all below it.
fn copied_bytes(tree: &Tree, node: &Node) -> u64 {
    let below = tree.children(&node.id);
    below.fold(node.size(), |sum, child| {
        sum.saturating_add(copied_bytes(tree, child))
    })
}
