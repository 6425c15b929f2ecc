//! A transfer's way back into the tree.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use tokio::sync::MutexGuard;

use super::inode::{Inode, Pending};
use super::{Core, Vfs};
use crate::content::ContentRef;
use crate::drive::{DriveError, Node, NodeId};
use crate::transfer::{Destination, ParkedEvents, Place, Task, TransferResult};

/// The inode a transfer lands on. The draft belongs to it, not to its name.
pub(super) struct Landing {
    core: Weak<Core>,
    inode: Arc<Inode>,
    profile: String,
}

impl Landing {
    pub fn new(vfs: &Vfs, inode: &Arc<Inode>) -> Self {
        let profile = inode.volume.as_ref().map(|volume| volume.name.to_string());
        Landing {
            core: Arc::downgrade(&vfs.core),
            inode: inode.clone(),
            profile: profile.unwrap_or_default(),
        }
    }

    fn vfs(&self) -> Option<Vfs> {
        self.core.upgrade().map(|core| Vfs { core })
    }
}

#[async_trait]
impl Destination for Landing {
    fn profile(&self) -> &str {
        &self.profile
    }

    fn place(&self) -> Option<Place> {
        let vfs = self.vfs()?;
        let (parent, name, replaces) = {
            let state = self.inode.state();
            if state.unlinked {
                return None;
            }
            let replaces = state.node.clone().or_else(|| state.replaces.clone());
            (state.parent, state.name.clone(), replaces)
        };
        let dir = vfs.tree().get(parent).ok()?;
        let parent = dir.state().node.as_ref()?.id.clone();
        Some(Place {
            parent,
            name,
            replaces: replaces.map(|node| (*node).clone()),
        })
    }

    async fn settle(&self) -> MutexGuard<'_, ()> {
        self.inode.settle.lock().await
    }

    fn conflict_action(&self) -> Option<&'static str> {
        self.inode.state().conflict
    }

    fn promised(&self, task: &Arc<Task>, content: ContentRef) {
        self.inode.state().pending = Some(Pending {
            task: task.clone(),
            content,
        });
    }

    fn published(&self, node: Node, result: &TransferResult) {
        let Some(vfs) = self.vfs() else { return };
        let catalog = vfs.engine().catalog();
        let (parent, key, replaced) = {
            let state = self.inode.state();
            (state.parent, state.key, state.replaces.clone())
        };
        if let Some(replaced) = replaced.filter(|old| old.id != node.id) {
            for entry in catalog.find(&self.profile, &replaced.id) {
                catalog.remove(entry.key);
            }
        }
        let parent_key = vfs.tree().get(parent).ok().and_then(|dir| dir.state().key);
        let entry = match (key, parent_key) {
            (Some(key), _) => catalog.replace(key, node.clone()),
            (None, Some(dir)) => catalog.upsert(dir, node.clone(), None),
            (None, None) => None,
        };
        let json = serde_json::to_string(result).unwrap_or_default();
        {
            let mut state = self.inode.state();
            state.node = Some(match &entry {
                Some(entry) => entry.node.clone(),
                None => Arc::new(node),
            });
            state.key = entry.as_ref().map(|entry| entry.key).or(state.key);
            state.replaces = None;
            state.conflict = None;
            if state.pending.is_none() {
                // A revived file has no other mark of being on its way.
                state.sealing = None;
            }
            state.error = None;
            state.result = Some(json.clone());
            let newest = match (&state.pending, &state.session) {
                (_, Some(session)) if session.copy.task.id == result.id => true,
                (Some(pending), _) => pending.task.id == result.id,
                (None, _) => true,
            };
            if newest {
                state.pending = None;
                for older in state.superseded.drain(..) {
                    older.give_up();
                }
            }
            if let (Some(key), Some(node)) = (state.key, &state.node) {
                catalog.set_transfer(key, &node.version, &json);
                if state.attrs != crate::catalog::LocalAttrs::default() {
                    catalog.set_attrs(key, &node.version, state.attrs);
                }
            }
        }
        if let Some(entry) = entry {
            vfs.tree().remember_key(entry.key, self.inode.ino);
        }
        vfs.forget_inode(self.inode.ino);
    }

    fn failed(&self, error: &DriveError, result: &TransferResult) {
        let mut state = self.inode.state();
        state.error = Some(error.to_string());
        state.result = serde_json::to_string(result).ok();
    }
}

/// Parked nodes that are gone, or shown again.
pub(super) struct ParkedLanding {
    core: Weak<Core>,
}

impl ParkedLanding {
    pub fn new(vfs: &Vfs) -> Self {
        ParkedLanding {
            core: Arc::downgrade(&vfs.core),
        }
    }
}

impl ParkedEvents for ParkedLanding {
    fn gone(&self, profile: &str, id: &NodeId) {
        let Some(core) = self.core.upgrade() else {
            return;
        };
        for entry in core.engine.catalog().find(profile, id) {
            core.engine.catalog().remove(entry.key);
        }
    }

    fn changed(&self, profile: &str, dir: &NodeId) {
        let Some(core) = self.core.upgrade() else {
            return;
        };
        let vfs = Vfs { core };
        for entry in vfs.engine().catalog().find(profile, dir) {
            vfs.engine().catalog().expire(entry.key);
            let Some(inode) = vfs.tree().by_key(entry.key) else {
                continue;
            };
            inode.state().children.listed = 0;
            vfs.forget_inode(inode.ino);
            vfs.refresh_if_stale(&inode);
        }
    }

    fn back(&self, profile: &str, id: &NodeId) {
        let Some(core) = self.core.upgrade() else {
            return;
        };
        let vfs = Vfs { core };
        for entry in vfs.engine().catalog().find(profile, id) {
            if let Some(inode) = vfs.tree().by_key(entry.key) {
                let mut state = inode.state();
                state.unlinked = false;
            }
            if let Some(dir) = entry.parent.and_then(|key| vfs.tree().by_key(key)) {
                dir.state().children.complete = false;
                vfs.forget_entry(dir.ino, &entry.node.name);
                vfs.forget_inode(dir.ino);
            }
        }
    }
}
