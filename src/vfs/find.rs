//! What a drive finds for us: names, files of a kind, counts; and links for people without an account.

use super::Vfs;
use super::error::{FsError, FsResult};
use crate::content::Volume;
use crate::drive::{
    DriveError, ErrorKind, Found, FoundPage, LinkWish, MediaCount, MediaKind, NodeId, NodeKind,
    ShareLink,
};

/// A provider that never ends its pages is left after so many.
const PAGES_MAX: usize = 1000;

/// Where something is looked for, and how much of it is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// Name of the profile.
    pub profile: &'a str,
    /// A directory of it, as a path of the mount; the whole profile when it is `None`.
    pub dir: Option<&'a str>,
    /// Most results.
    pub limit: usize,
}

/// Something that was found, with its place in the mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundAt {
    /// `/PROFILE/directory/name`.
    pub path: String,
    /// Whether it is a directory.
    pub dir: bool,
    /// Bytes.
    pub size: u64,
    /// Milliseconds since the epoch, 0 when not told.
    pub modified: i64,
    /// The provider's id.
    pub id: String,
}

/// Results, and whether there are more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// In the provider's order.
    pub items: Vec<FoundAt>,
    /// Whether the limit cut them off.
    pub more: bool,
}

impl Findings {
    /// Takes a page; `false` when nothing more is wanted.
    fn take(&mut self, page: FoundPage, look: &Look<'_>) -> bool {
        for found in page.items {
            if self.items.len() >= look.limit {
                self.more = true;
                return false;
            }
            self.items.push(placed(look.profile, found));
        }
        if self.items.len() >= look.limit {
            self.more = page.next.is_some();
            return false;
        }
        true
    }
}

fn placed(profile: &str, found: Found) -> FoundAt {
    FoundAt {
        path: format!("/{profile}/{}", found.path.join("/")),
        dir: found.kind == NodeKind::Dir,
        size: found.size,
        modified: found.modified,
        id: found.id.to_string(),
    }
}

fn unsupported(volume: &Volume, what: &str) -> FsError {
    let message = format!(
        "{what} is not supported by this provider ({})",
        volume.provider
    );
    DriveError::new(ErrorKind::Unsupported, message).into()
}

impl Vfs {
    /// Nodes whose name has `key` in it.
    ///
    /// # Errors
    /// `Unsupported` when the drive does not search; the drive's.
    pub async fn search(&self, look: Look<'_>, key: &str) -> FsResult<Findings> {
        let volume = self.engine().volume(look.profile)?;
        if !volume.capabilities().finds.search {
            return Err(unsupported(&volume, "searching"));
        }
        let dir = self.looked_in(&volume, look.dir).await?;
        let mut findings = Findings::default();
        let mut cursor = None;
        for _ in 0..PAGES_MAX {
            let page = volume.drive.search(&dir, key, cursor).await?;
            cursor = page.next.clone();
            if !findings.take(page, &look) || cursor.is_none() {
                return Ok(findings);
            }
        }
        findings.more = true;
        Ok(findings)
    }

    /// Files of a kind.
    ///
    /// # Errors
    /// `Unsupported` when the drive does not list this kind; the drive's.
    pub async fn media(&self, look: Look<'_>, kind: MediaKind) -> FsResult<Findings> {
        let volume = self.engine().volume(look.profile)?;
        if !volume.capabilities().finds.media.contains(&kind) {
            let what = format!("listing files of the kind {}", kind.name());
            return Err(unsupported(&volume, &what));
        }
        let dir = self.looked_in(&volume, look.dir).await?;
        let mut findings = Findings::default();
        let mut cursor = None;
        for _ in 0..PAGES_MAX {
            let page = volume.drive.media(&dir, kind, cursor).await?;
            cursor = page.next.clone();
            if !findings.take(page, &look) || cursor.is_none() {
                return Ok(findings);
            }
        }
        findings.more = true;
        Ok(findings)
    }

    /// How many files of each kind there are.
    ///
    /// # Errors
    /// As [`Vfs::media`].
    pub async fn media_counts(
        &self,
        profile: &str,
        dir: Option<&str>,
    ) -> FsResult<Vec<MediaCount>> {
        let volume = self.engine().volume(profile)?;
        if volume.capabilities().finds.media.is_empty() {
            return Err(unsupported(&volume, "counting files by kind"));
        }
        let dir = self.looked_in(&volume, dir).await?;
        Ok(volume.drive.media_counts(&dir).await?)
    }

    /// Makes a link by which others can open a file or directory.
    ///
    /// # Errors
    /// `Unsupported` when the drive makes none, `ReadOnly`, `Busy` while the file is on its way to
    /// the provider; the drive's.
    pub async fn share_link(&self, ino: u64, wish: &LinkWish) -> FsResult<ShareLink> {
        let inode = self.tree().get(ino)?;
        let volume = inode.volume.clone().ok_or(FsError::new(libc::EPERM))?;
        if !volume.capabilities().finds.links {
            return Err(unsupported(&volume, "making a share link"));
        }
        volume.check_writable()?;
        let node = inode.state().node.clone();
        let node = node.ok_or_else(|| {
            DriveError::new(
                ErrorKind::Busy,
                "it is not at its provider yet; panfuse sync waits for it",
            )
        })?;
        Ok(volume.drive.share_link(&node, wish).await?)
    }

    /// The directory that is meant.
    async fn looked_in(&self, volume: &Volume, dir: Option<&str>) -> FsResult<NodeId> {
        let Some(path) = dir else {
            return Ok(volume.drive.root());
        };
        let ino = self.resolve(path).await?;
        let inode = self.tree().get(ino)?;
        if inode
            .volume
            .as_ref()
            .is_none_or(|at| at.name != volume.name)
        {
            let message = format!("it is not a directory of profile {}", volume.name);
            return Err(DriveError::new(ErrorKind::Invalid, message).into());
        }
        let (_, _, id) = self.published_dir(&inode)?;
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::Cursor;

    fn page(names: &[&str], next: Option<&str>) -> FoundPage {
        let found = |name: &&str| Found {
            path: vec!["d".to_owned(), (*name).to_owned()],
            id: NodeId::new(*name),
            kind: NodeKind::File,
            size: 1,
            modified: 0,
        };
        FoundPage {
            items: names.iter().map(found).collect(),
            next: next.map(|next| Cursor(next.to_owned())),
        }
    }

    #[test]
    fn pages_are_taken_up_to_the_limit() {
        let look = Look {
            profile: "p",
            dir: None,
            limit: 3,
        };
        let mut findings = Findings::default();
        assert!(findings.take(page(&["a", "b"], Some("2")), &look));
        assert!(!findings.take(page(&["c", "x"], None), &look));
        let paths: Vec<&str> = findings.items.iter().map(|item| &*item.path).collect();
        assert_eq!(paths, ["/p/d/a", "/p/d/b", "/p/d/c"]);
        assert!(findings.more);
        // Exactly as many as wanted: there is more when the provider says so.
        for (next, more) in [(None, false), (Some("2"), true)] {
            let mut findings = Findings::default();
            assert!(!findings.take(page(&["a", "b", "c"], next), &look));
            assert_eq!(findings.more, more);
        }
    }
}
