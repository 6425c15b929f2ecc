//! Files of transfers that the journal still holds are shown at once after a restart, with the
//! bytes they were promised with.

use std::sync::Arc;

use super::Vfs;
use super::attr::FileKind;
use super::inode::Inode;
use super::landing::Landing;
use crate::catalog::NodeKey;
use crate::content::{ContentRef, Volume};
use crate::transfer::{Destination, TransferRecord};

impl Vfs {
    /// The live place of a journaled transfer, when its directory is known.
    pub fn revive(
        &self,
        record: &TransferRecord,
        content: &ContentRef,
    ) -> Option<Arc<dyn Destination>> {
        if record.swap.is_some() {
            return None;
        }
        let volume = self.engine().volume(&record.profile).ok()?;
        let catalog = self.engine().catalog();
        let dir = catalog
            .find(&record.profile, &record.parent)
            .into_iter()
            .next()?;
        let dir = self.inode_of_key(&volume, dir.key, 0)?;
        let key = dir.state().key?;
        let inode = match catalog.named(key, &record.name).into_iter().next() {
            Some(entry) if !entry.node.is_dir() => {
                self.inode_of(&volume, dir.ino, &record.name, &entry)
            }
            _ => self.tree().make(
                FileKind::File,
                Some(volume.clone()),
                dir.ino,
                record.name.clone(),
            ),
        };
        {
            let mut state = inode.state();
            state.sealing = Some(content.clone());
            state.written_ns = record.begun.saturating_mul(1_000_000);
            if let Some(modified) = record.modified {
                state.attrs.mtime_ns = Some(modified.saturating_mul(1_000_000));
            }
        }
        self.add_name(&dir, &record.name, inode.ino);
        Some(Arc::new(Landing::new(self, &inode)))
    }

    /// The inode of a directory that only the catalog knows yet.
    fn inode_of_key(&self, volume: &Volume, key: NodeKey, depth: u32) -> Option<Arc<Inode>> {
        if let Some(inode) = self.tree().by_key(key) {
            return Some(inode);
        }
        if depth > 512 {
            return None;
        }
        let entry = self.engine().catalog().get(key)?;
        let parent = self.inode_of_key(volume, entry.parent?, depth + 1)?;
        Some(self.inode_of(volume, parent.ino, &entry.node.name, &entry))
    }
}
