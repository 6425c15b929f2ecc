//! Taking over what a share shows into an account of the same provider, at the provider.

use super::Vfs;
use super::error::{FsError, FsResult};
use crate::drive::{DriveError, ErrorKind, Node};

impl Vfs {
    /// Takes a file or a directory with all below it over from a share into a directory of an
    /// account, under the name it has there. No content moves through this machine.
    ///
    /// # Errors
    /// EEXIST when the name is taken, EROFS, ENOTDIR, `Unsupported` when the two profiles cannot do
    /// that with each other, and the drives'.
    pub async fn save_shared(&self, source: u64, target: u64) -> FsResult<Node> {
        let source = self.tree().get(source)?;
        let from = source.volume.clone().ok_or(FsError::new(libc::EPERM))?;
        let (node, name) = {
            let state = source.state();
            let node = state.node.clone().ok_or(FsError::new(libc::ENOENT))?;
            (node, state.name.clone())
        };
        let (dir, volume) = self.target_dir(target, &name).await?;
        check(&from, &volume)?;
        match self.child(&dir, &name).await {
            Ok(_) => return Err(FsError::new(libc::EEXIST)),
            Err(error) if error.errno == libc::ENOENT => {}
            Err(error) => return Err(error),
        }
        let (_, key, id) = self.published_dir(&dir)?;
        let shared = from.drive.shared(&node).await?;
        let saved = volume.drive.save_shared(&shared, &id, &name).await?;
        let entry = self
            .engine()
            .catalog()
            .upsert(key, saved.clone(), None)
            .ok_or(FsError::new(libc::ENOENT))?;
        let inode = self.inode_of(&volume, target, &name, &entry);
        self.add_name(&dir, &name, inode.ino);
        self.forget_entry(target, &name);
        Ok(saved)
    }
}

/// Whether an account can take over what a share shows.
fn check(from: &crate::content::Volume, to: &crate::content::Volume) -> FsResult<()> {
    let unsupported =
        |message: String| Err(DriveError::new(ErrorKind::Unsupported, message).into());
    if !from.capabilities().shared {
        return unsupported(format!(
            "profile {} is no share; plain cp copies from it",
            from.name
        ));
    }
    if from.provider != to.provider {
        return unsupported(format!(
            "{} is a share of {} and {} an account of {}: both must be of one provider; plain cp \
             copies between any two",
            from.name, from.provider, to.name, to.provider
        ));
    }
    if !to.capabilities().saves_shared {
        return unsupported(format!(
            "{} cannot take over what is shared; plain cp copies it",
            to.provider
        ));
    }
    Ok(())
}
