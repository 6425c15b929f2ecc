//! The nodes whose contents are in use. A rename of ours may change the id (where a provider
//! addresses by path) or the version of a node: whoever reads it goes on with the new one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::{RemoteContent, Volume};
use crate::catalog::{Catalog, relative_to};
use crate::drive::{Node, NodeId};

/// Contents that are dropped are forgotten when there are this many, or twice as many as lived.
const SWEEP: usize = 64;

/// What an id becomes when the directory (or node) `from` becomes `to`; `None` when it is neither
/// `from` nor below it.
pub fn moved_id(id: &NodeId, from: &NodeId, to: &NodeId) -> Option<NodeId> {
    if id == from {
        return Some(to.clone());
    }
    let rest = relative_to(id.as_str(), from.as_str())?;
    Some(NodeId::new(format!("{to}{rest}")))
}

/// Every [`RemoteContent`] that somebody holds.
#[derive(Default)]
pub struct NodesInUse {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    live: Vec<Weak<RemoteContent>>,
    sweep_at: usize,
    moves: Vec<UnderWay>,
    next: u64,
}

/// A rename under way.
struct UnderWay {
    token: u64,
    profile: Arc<str>,
    node: Node,
    below: bool,
    contents: Vec<Arc<RemoteContent>>,
}

impl UnderWay {
    fn touches(&self, content: &RemoteContent) -> bool {
        if content.volume().name != self.profile {
            return false;
        }
        let node = content.node();
        if self.below {
            return relative_to(node.id.as_str(), self.node.id.as_str()).is_some();
        }
        node.id == self.node.id && node.version == self.node.version
    }
}

impl NodesInUse {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The content of `node` as it is now.
    pub fn content(&self, volume: Volume, node: Node, catalog: Arc<Catalog>) -> Arc<RemoteContent> {
        let content = Arc::new(RemoteContent::new(volume, node, catalog));
        let mut state = self.state();
        if state.live.len() >= state.sweep_at {
            state.live.retain(|content| content.strong_count() > 0);
            state.sweep_at = SWEEP.max(state.live.len() * 2);
        }
        state.live.push(Arc::downgrade(&content));
        for moving in &mut state.moves {
            if moving.touches(&content) {
                content.move_begins();
                moving.contents.push(content.clone());
            }
        }
        content
    }

    /// A rename of `node` begins; of a directory whose provider addresses by path, `below` says
    /// that what is in it moves along. Dropping the answer says that nothing changed.
    pub fn begin(self: &Arc<Self>, profile: &Arc<str>, node: &Node, below: bool) -> Move {
        let mut state = self.state();
        let token = state.next;
        state.next += 1;
        let mut moving = UnderWay {
            token,
            profile: profile.clone(),
            node: node.clone(),
            below,
            contents: Vec::new(),
        };
        let live = state.live.iter().filter_map(Weak::upgrade);
        moving.contents = live.filter(|content| moving.touches(content)).collect();
        for content in &moving.contents {
            content.move_begins();
        }
        state.moves.push(moving);
        Move {
            nodes: self.clone(),
            token,
        }
    }

    fn end(&self, token: u64, to: Option<&Node>) {
        let ended = {
            let mut state = self.state();
            let at = state.moves.iter().position(|moving| moving.token == token);
            at.map(|at| state.moves.swap_remove(at))
        };
        let Some(ended) = ended else { return };
        for content in &ended.contents {
            let now = content.node();
            content.move_ends(to.and_then(|to| {
                if !ended.below {
                    return Some(Node {
                        fingerprints: now.fingerprints.clone(),
                        ..to.clone()
                    });
                }
                let at = |id: &NodeId| moved_id(id, &ended.node.id, &to.id);
                Some(Node {
                    id: at(&now.id)?,
                    parent: at(&now.parent)?,
                    ..(*now).clone()
                })
            }));
        }
    }
}

/// A rename under way.
pub struct Move {
    nodes: Arc<NodesInUse>,
    token: u64,
}

impl Move {
    /// The node is `to` now.
    pub fn done(self, to: &Node) {
        self.nodes.end(self.token, Some(to));
    }
}

impl Drop for Move {
    fn drop(&mut self) {
        // A move that is done is known no more.
        self.nodes.end(self.token, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_their_directory() {
        let id = |text: &str| NodeId::new(text);
        let moved = |of: &str, from: &str, to: &str| moved_id(&id(of), &id(from), &id(to));
        assert_eq!(moved("a/b/c", "a/b", "x"), Some(id("x/c")));
        assert_eq!(moved("a/b", "a/b", "x/y"), Some(id("x/y")));
        assert_eq!(moved("d/x", "d/", "e/"), Some(id("e/x")));
        assert_eq!(moved("a/bc", "a/b", "x"), None);
    }
}
