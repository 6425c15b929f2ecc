//! Profiles that come and go while the mount is there.

use super::Vfs;
use super::error::{FsError, FsResult};
use super::tree::ROOT;
use crate::content::Volume;
use crate::drive::{DriveError, ErrorKind};

impl Vfs {
    /// Takes a drive in: its directory appears under the root.
    ///
    /// # Errors
    /// EEXIST when a profile of that name is mounted; let it go first.
    pub fn add_profile(&self, volume: Volume) -> FsResult<()> {
        let name = volume.name.clone();
        let root = self.tree().get(ROOT)?;
        if root.state().children.names.contains_key(&*name) {
            return Err(FsError::new(libc::EEXIST));
        }
        self.engine().add_volume(volume.clone());
        self.tree().mount(self.engine(), &root, volume);
        // The kernel may remember that there is no such name.
        self.forget_entry(ROOT, &name);
        self.forget_inode(ROOT);
        self.warm_quotas();
        Ok(())
    }

    /// Lets a drive go: its directory and everything below it disappear. Files that are open stay
    /// readable until they are closed; uploads that are not done stay in the journal.
    ///
    /// # Errors
    /// ENOENT when no profile of that name is mounted; EBUSY while files of it are open or on their
    /// way to it, unless `force`.
    pub fn remove_profile(&self, name: &str, force: bool) -> FsResult<()> {
        let root = self.tree().get(ROOT)?;
        if !root.state().children.names.contains_key(name) {
            return Err(FsError::new(libc::ENOENT));
        }
        let inodes = self.tree().of_profile(name);
        let open = inodes
            .iter()
            .filter(|inode| inode.state().opens > 0)
            .count();
        let on_their_way = self
            .engine()
            .tasks()
            .iter()
            .filter(|task| task.profile == name && !task.state().is_over())
            .count();
        if !force && (open > 0 || on_their_way > 0) {
            return Err(DriveError::new(
                ErrorKind::Busy,
                format!("{open} file(s) of {name} are open and {on_their_way} on their way to it"),
            )
            .into());
        }
        root.state().children.names.remove(name);
        self.engine().remove_volume(name);
        for inode in inodes {
            inode.state().unlinked = true;
            self.tree().drop_inode(&inode);
        }
        self.forget_entry(ROOT, name);
        self.forget_inode(ROOT);
        Ok(())
    }
}
