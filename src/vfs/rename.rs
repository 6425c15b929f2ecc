//! rename, within a profile. Across profiles it answers EXDEV, and `mv` copies (DESIGN 3.1).

use std::sync::Arc;

use super::Vfs;
use super::error::{FsError, FsResult};
use super::inode::Inode;
use super::tree::ROOT;
use crate::catalog::NodeKey;
use crate::content::Volume;
use crate::drive::{Node, NodeId};
use crate::transfer::Place;

impl Vfs {
    /// Renames a file or directory.
    ///
    /// # Errors
    /// EXDEV across profiles, EPERM for profiles, EEXIST with RENAME_NOREPLACE, EINVAL for
    /// RENAME_EXCHANGE and into itself, ENOTEMPTY, EISDIR, ENOTDIR, EROFS, and the drive's.
    pub async fn rename(&self, from: (u64, &str), to: (u64, &str), flags: u32) -> FsResult<()> {
        if flags & !libc::RENAME_NOREPLACE != 0 {
            return Err(FsError::new(libc::EINVAL));
        }
        if from.0 == ROOT || to.0 == ROOT {
            return Err(FsError::new(if from.0 == to.0 {
                libc::EPERM
            } else {
                libc::EXDEV
            }));
        }
        let (old_dir, inode) = self.named(from.0, from.1).await?;
        let new_dir = self.tree().get(to.0)?;
        let volume = inode.volume.clone().ok_or(FsError::new(libc::EPERM))?;
        match &new_dir.volume {
            Some(target) if target.name == volume.name => {}
            _ => return Err(FsError::new(libc::EXDEV)),
        }
        self.target_dir(to.0, to.1).await?;
        if inode.is_dir() && self.is_below(to.0, inode.ino) {
            return Err(FsError::new(libc::EINVAL));
        }
        let existing = match self.child(&new_dir, to.1).await {
            Ok(existing) if existing.ino == inode.ino => return Ok(()),
            Ok(_) if flags & libc::RENAME_NOREPLACE != 0 => {
                return Err(FsError::new(libc::EEXIST));
            }
            Ok(existing) => Some(existing),
            Err(error) if error.errno == libc::ENOENT => None,
            Err(error) => return Err(error),
        };
        match (&existing, inode.is_dir()) {
            (Some(existing), true) if !existing.is_dir() => {
                return Err(FsError::new(libc::ENOTDIR));
            }
            (Some(existing), false) if existing.is_dir() => {
                return Err(FsError::new(libc::EISDIR));
            }
            (Some(existing), true) => self.rmdir_inode(&new_dir, to.1, existing).await?,
            _ => {}
        }
        let existing = existing.filter(|existing| !existing.is_dir());
        let _settled = inode.settle.lock().await;
        let node = inode.state().node.clone();
        match node {
            None => self.rename_unpublished(&inode, &new_dir, to.1, existing.as_ref()),
            Some(node) => {
                self.rename_published(&inode, &volume, &node, &new_dir, to.1, existing.as_ref())
                    .await?;
            }
        }
        self.remove_name(&old_dir, from.1, inode.ino);
        self.add_name(&new_dir, to.1, inode.ino);
        Ok(())
    }

    /// A file that is not at the provider yet: the draft moves along, and what stood under the
    /// new name is replaced when it lands.
    fn rename_unpublished(
        &self,
        inode: &Arc<Inode>,
        new_dir: &Inode,
        name: &str,
        existing: Option<&Arc<Inode>>,
    ) {
        let replaces = existing.and_then(|existing| self.displace(existing));
        let mut state = inode.state();
        state.parent = new_dir.ino;
        state.name = name.to_owned();
        if replaces.is_some() {
            state.replaces = replaces;
        }
    }

    /// Takes the name from an inode that is being replaced; returns its published node.
    fn displace(&self, existing: &Inode) -> Option<Arc<Node>> {
        let mut state = existing.state();
        state.unlinked = true;
        if let Some(pending) = state.pending.take() {
            pending.task.cancel();
        }
        if let Some(session) = state.session.take() {
            session.copy.task.cancel();
        }
        state.node.clone().or(state.replaces.take())
    }

    async fn rename_published(
        &self,
        inode: &Arc<Inode>,
        volume: &Volume,
        node: &Node,
        new_dir: &Arc<Inode>,
        name: &str,
        existing: Option<&Arc<Inode>>,
    ) -> FsResult<()> {
        let (_, dir_key, dir_id) = self.published_dir(new_dir)?;
        let replaces = match existing {
            Some(existing) => {
                let _other = existing.settle.lock().await;
                let state = existing.state();
                state.node.clone().or(state.replaces.clone())
            }
            None => self
                .engine()
                .adopt(&volume.name, &dir_id, name)
                .await
                .map(Arc::new),
        };
        let place = Place {
            parent: dir_id,
            name: name.to_owned(),
            replaces: replaces.as_deref().cloned(),
        };
        let renamed = self.engine().rename_to(volume, node, &place).await?;
        if let Some(existing) = existing {
            self.displace(existing);
        }
        let catalog = self.engine().catalog();
        if let Some(old) = replaces {
            for entry in catalog.find(&volume.name, &old.id) {
                catalog.remove(entry.key);
            }
        }
        let key = inode.state().key;
        let entry = key.and_then(|key| catalog.moved(key, dir_key, renamed.clone()));
        let old_id = node.id.clone();
        {
            let mut state = inode.state();
            state.parent = new_dir.ino;
            state.name = name.to_owned();
            state.written_ns = state.written_ns.max(1);
            state.node = Some(entry.map_or_else(|| Arc::new(renamed.clone()), |entry| entry.node));
        }
        if inode.is_dir() && renamed.id != old_id {
            self.ids_changed_below(inode);
        }
        Ok(())
    }

    /// After the rename of a directory whose provider addresses by path: everything below has
    /// other ids now. The catalog derives them from the parents.
    fn ids_changed_below(&self, dir: &Inode) {
        let children: Vec<u64> = dir.state().children.names.values().copied().collect();
        let parent = dir.state().node.as_ref().map(|node| node.id.clone());
        for ino in children {
            let Ok(child) = self.tree().get(ino) else {
                continue;
            };
            let fresh = child
                .state()
                .key
                .and_then(|key: NodeKey| self.engine().catalog().get(key));
            if let Some(entry) = fresh {
                let parent = parent.clone().unwrap_or_else(|| NodeId::new(""));
                let node = Node {
                    parent,
                    ..(*entry.node).clone()
                };
                child.state().node = Some(Arc::new(node));
            }
            if child.is_dir() {
                self.ids_changed_below(&child);
            }
        }
    }

    /// Whether `ino` is `above` or below it.
    fn is_below(&self, ino: u64, above: u64) -> bool {
        let mut at = ino;
        for _ in 0..4096 {
            if at == above {
                return true;
            }
            if at == ROOT {
                return false;
            }
            match self.tree().get(at) {
                Ok(inode) => at = inode.state().parent,
                Err(_) => return false,
            }
        }
        false
    }
}
