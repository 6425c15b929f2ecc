//! unlink and rmdir. Nothing is deleted for good here: nodes go to the provider's trash.

use std::sync::Arc;
use std::time::Duration;

use super::Vfs;
use super::directory::list_all;
use super::error::{FsError, FsResult};
use super::inode::Inode;
use super::tree::CONTROL_BASE;
use crate::transfer::is_temporary_name;

/// How long rmdir waits for uploads under way to settle before it is parked behind them.
const SETTLE: Duration = Duration::from_secs(2);

impl Vfs {
    /// Removes a file.
    ///
    /// # Errors
    /// EISDIR, ENOENT, EROFS, EPERM in the root, EBUSY of the delete breaker, EIO when the
    /// journal cannot be written.
    pub async fn unlink(&self, parent: u64, name: &str) -> FsResult<()> {
        let (dir, inode) = self.named(parent, name).await?;
        if inode.is_dir() {
            return Err(FsError::new(libc::EISDIR));
        }
        let admitted = self.admit_delete(&dir, &inode)?;
        self.unlink_inode(&dir, name, &inode).await?;
        admitted.keep();
        Ok(())
    }

    pub(super) async fn unlink_inode(
        &self,
        dir: &Inode,
        name: &str,
        inode: &Arc<Inode>,
    ) -> FsResult<()> {
        let volume = inode.volume.clone().ok_or(FsError::new(libc::EPERM))?;
        let published = {
            let state = inode.state();
            state.node.clone().filter(|_| state.draft.is_none())
        };
        let guard = self.engine().guard();
        if published.is_some_and(|node| guard.take_same(&volume.name, &node.id)) {
            // `mv` between two profiles of one account: its target is this very node.
            tracing::warn!(
                profile = %volume.name, name,
                "nothing is removed: this is the file that it was copied to"
            );
            return Ok(());
        }
        let node = {
            let _settled = inode.settle.lock().await;
            let mut state = inode.state();
            state.unlinked = true;
            state.give_up(|content| self.draft_over(inode.ino, content));
            if let Some(draft) = &state.draft {
                self.engine().forget_draft(draft);
            }
            state.node.clone().or(state.replaces.take())
        };
        if let Some(node) = node {
            let readers = self.engine().readers_of(&volume.name, &node.id);
            let parked = if readers.is_empty() {
                self.engine()
                    .hold(&volume.name, &node, self.settings().hold)
                    .await
            } else {
                self.engine().park(&volume.name, &node, readers).await
            };
            if let Err(error) = parked {
                inode.state().unlinked = false;
                return Err(error.into());
            }
        }
        self.remove_name(dir, name, inode.ino);
        Ok(())
    }

    /// Removes an empty directory. The provider's delete is recursive, so the directory is listed
    /// afresh first.
    ///
    /// # Errors
    /// ENOTDIR, ENOTEMPTY, ENOENT, EROFS, EPERM in the root, EBUSY of the delete breaker, and the
    /// drive's.
    pub async fn rmdir(&self, parent: u64, name: &str) -> FsResult<()> {
        let (dir, inode) = self.named(parent, name).await?;
        if !inode.is_dir() {
            return Err(FsError::new(libc::ENOTDIR));
        }
        let admitted = self.admit_delete(&dir, &inode)?;
        self.rmdir_inode(&dir, name, &inode).await?;
        admitted.keep();
        Ok(())
    }

    pub(super) async fn rmdir_inode(
        &self,
        dir: &Inode,
        name: &str,
        inode: &Arc<Inode>,
    ) -> FsResult<()> {
        if !inode.is_dir() {
            return Err(FsError::new(libc::ENOTDIR));
        }
        let (volume, key, id) = self.published_dir(inode)?;
        let node = inode
            .state()
            .node
            .clone()
            .ok_or(FsError::new(libc::ENOENT))?;
        if !inode.state().children.names.is_empty() {
            return Err(FsError::new(libc::ENOTEMPTY));
        }
        let profile = volume.name.to_string();
        self.engine().finish_holds(&profile, &id).await;
        self.engine().wait_unparked(&profile, &id, SETTLE).await;
        let began = self.engine().now_ms();
        let listed = list_all(&volume, &id).await?;
        let stranger = listed.iter().any(|node| {
            // One that is being trashed right now may still be listed.
            !self.engine().is_parked(&profile, &node.id)
                && !self.engine().is_leaving(&profile, node, began)
                && !is_temporary_name(&node.name)
        });
        if stranger {
            // Somebody else put something there: show it.
            self.reload(inode).await?;
            return Err(FsError::new(libc::ENOTEMPTY));
        }
        if listed.is_empty() {
            volume.drive.trash(&node).await?;
            self.engine().catalog().remove(key);
        } else {
            // Files that wait for their copies are in it: the directory goes after them.
            self.engine().park_directory(&profile, &node).await?;
        }
        inode.state().unlinked = true;
        self.remove_name(dir, name, inode.ino);
        Ok(())
    }

    /// A name that is to be removed or renamed, with all checks.
    pub(super) async fn named(
        &self,
        parent: u64,
        name: &str,
    ) -> FsResult<(Arc<Inode>, Arc<Inode>)> {
        if parent >= CONTROL_BASE {
            return Err(FsError::new(libc::EPERM));
        }
        let dir = self.tree().get(parent)?;
        self.check_writable(&dir)?;
        let inode = self.child(&dir, name).await?;
        self.check_change(&inode)?;
        Ok((dir, inode))
    }
}
