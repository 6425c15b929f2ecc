//! rename, within a profile. Across profiles it answers EXDEV, and `mv` copies (DESIGN 3.1).

use std::sync::Arc;
use std::time::Duration;

use super::Vfs;
use super::error::{FsError, FsResult};
use super::inode::Inode;
use super::tree::ROOT;
use crate::catalog::NodeKey;
use crate::content::{ContentRef, Draft, Volume, moved_id};
use crate::drive::{ErrorKind, Node, NodeId};
use crate::transfer::Place;

/// How long the clean-up of an upload that was given up is waited for at a time.
const CLEANING: Duration = Duration::from_millis(250);

impl Vfs {
    /// Renames a file or directory.
    ///
    /// # Errors
    /// EXDEV across profiles, EPERM for profiles, EEXIST with RENAME_NOREPLACE and where the
    /// conflict policy keeps the file that is in the way, EINVAL for
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
            _ => return Err(self.refuse_across(&new_dir, to.1).await),
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
            Ok(existing) => {
                self.check_change(&existing)?;
                Some(existing)
            }
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
        if let Some(existing) = &existing
            && let Some(free) = self.free_name_for(&new_dir, existing, inode.ino)?
        {
            let renamed = self
                .rename_file(&inode, &volume, &new_dir, &free, None)
                .await;
            if renamed.is_err() {
                self.remove_name(&new_dir, &free, inode.ino);
            }
            renamed?;
            self.renamed_beside(&inode, &new_dir, to.1, &free, existing);
            self.remove_name(&old_dir, from.1, inode.ino);
            return Ok(());
        }
        self.rename_file(&inode, &volume, &new_dir, to.1, existing.as_ref())
            .await?;
        self.remove_name(&old_dir, from.1, inode.ino);
        self.add_name(&new_dir, to.1, inode.ino);
        Ok(())
    }

    async fn rename_file(
        &self,
        inode: &Arc<Inode>,
        volume: &Volume,
        new_dir: &Arc<Inode>,
        name: &str,
        existing: Option<&Arc<Inode>>,
    ) -> FsResult<()> {
        let _settled = inode.settle.lock().await;
        let node = inode.state().node.clone();
        match node {
            None => {
                self.rename_unpublished(inode, volume, new_dir, name, existing)
                    .await
            }
            Some(node) => {
                self.rename_published(inode, volume, &node, new_dir, name, existing)
                    .await
            }
        }
    }

    /// A file that is not at the provider yet: the draft moves along, and what stood under the
    /// new name is replaced when it lands.
    async fn rename_unpublished(
        &self,
        inode: &Arc<Inode>,
        volume: &Volume,
        new_dir: &Inode,
        name: &str,
        existing: Option<&Arc<Inode>>,
    ) -> FsResult<()> {
        let replaces = match existing {
            Some(existing) => self.displace(existing).await,
            None => {
                let (_, _, dir) = self.published_dir(new_dir)?;
                let held = self.engine().adopt(&volume.name, &dir, name).await;
                held.map(Arc::new)
            }
        };
        let left_behind = {
            let mut state = inode.state();
            state.parent = new_dir.ino;
            state.name = name.to_owned();
            std::mem::replace(&mut state.replaces, replaces)
        };
        if let Some(old) = left_behind {
            // What it was to replace stands under the name that it leaves.
            let hold = self.settings().hold;
            self.engine().hold(&volume.name, &old, hold).await?;
        }
        Ok(())
    }

    /// Takes the name from an inode that is being replaced; returns its published node.
    async fn displace(&self, existing: &Inode) -> Option<Arc<Node>> {
        let _settled = existing.settle.lock().await;
        let mut state = existing.state();
        state.unlinked = true;
        state.give_up(|content| self.draft_over(existing.ino, content));
        if let Some(draft) = &state.draft {
            self.engine().forget_draft(draft);
        }
        state.node.clone().or(state.replaces.take())
    }

    /// A replacement did not come to be: the file has its name again, and its bytes go up.
    async fn reinstate(&self, existing: &Arc<Inode>, on_its_way: Option<ContentRef>) {
        let note = self.note(existing);
        {
            let mut state = existing.state();
            state.unlinked = false;
            if let Some(content) = on_its_way {
                if let ContentRef::Sealed(sealed) = &content
                    && let Some(file) = sealed.file()
                {
                    file.keep();
                }
                let draft = Draft::over(self.engine().stage().clone(), note, content);
                draft.touch();
                state.draft = Some(Arc::new(draft));
            }
        }
        if let Err(error) = self.commit_behind(existing).await {
            existing.state().error = Some(error.to_string());
        }
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
        let on_its_way = existing.and_then(|existing| existing.state().settled_content());
        let replaces = match existing {
            Some(existing) => self.displace(existing).await,
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
        let mut tries = 0;
        let renamed = loop {
            match self.engine().rename_to(volume, node, &place).await {
                Ok(renamed) => break renamed,
                // The upload that was given up is being cleaned away behind.
                Err(error)
                    if error.kind == ErrorKind::Exists && on_its_way.is_some() && tries < 20 =>
                {
                    tries += 1;
                    tokio::time::sleep(CLEANING).await;
                }
                Err(error) => {
                    if let Some(existing) = existing {
                        self.reinstate(existing, on_its_way).await;
                    } else if let Some(old) = &replaces {
                        // It was removed, and is not replaced after all.
                        let hold = self.settings().hold;
                        self.engine().hold(&volume.name, old, hold).await?;
                    }
                    return Err(error.into());
                }
            }
        };
        // Below a directory nobody begins anything until its tree has the new ids.
        let held = renamed;
        let renamed = &held.node;
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
            if let Some(dir) = &parent
                && let Some(old) = &mut child.state().replaces
                && let Some(id) = moved_id(&old.id, &old.parent, dir)
            {
                // What it is to replace stands beside it.
                let moved = Node {
                    id,
                    parent: dir.clone(),
                    ..(**old).clone()
                };
                *old = Arc::new(moved);
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
