//! Listings: where they come from, how long they are fresh, and how they meet what the tree
//! already knows.
//!
//! A listing is served from memory, else from the catalog (also a stale one: it is refreshed
//! behind), else from the drive. Our own changes win over a listing that does not know them yet:
//! files on their way stay, parked ones stay hidden.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Vfs;
use super::attr::FileKind;
use super::error::{FsError, FsResult};
use super::inode::Inode;
use crate::catalog::{Entry, NodeKey};
use crate::content::Volume;
use crate::drive::{Node, NodeId, Result};
use crate::net::{Priority, with_priority};
use crate::transfer::is_temporary_name;

impl Vfs {
    /// Makes sure that all names of `dir` are known.
    pub(super) async fn load(&self, dir: &Arc<Inode>) -> FsResult<()> {
        if dir.state().children.complete {
            self.refresh_if_stale(dir);
            return Ok(());
        }
        let _one = dir.loading.lock().await;
        if dir.state().children.complete {
            return Ok(());
        }
        let (volume, key, id) = self.published_dir(dir)?;
        if let Some(listing) = self.engine().catalog().listing(key)
            && listing.complete
        {
            self.adopt(dir, &volume, listing.entries, listing.fetched_at);
            self.refresh_if_stale(dir);
            return Ok(());
        }
        self.list_from_drive(dir, &volume, key, &id).await
    }

    /// Lists `dir` from the drive now, whatever is known.
    pub(super) async fn reload(&self, dir: &Arc<Inode>) -> FsResult<()> {
        let _one = dir.loading.lock().await;
        let (volume, key, id) = self.published_dir(dir)?;
        self.list_from_drive(dir, &volume, key, &id).await
    }

    /// Refreshes a stale listing behind the caller's back.
    pub(super) fn refresh_if_stale(&self, dir: &Arc<Inode>) {
        let Some(volume) = &dir.volume else { return };
        let listed = dir.state().children.listed;
        if self.engine().now_ms().saturating_sub(listed) < volume.ttl_ms
            || dir.refreshing.swap(true, Ordering::AcqRel)
        {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            dir.refreshing.store(false, Ordering::Release);
            return;
        };
        let (vfs, dir) = (self.clone(), dir.clone());
        runtime.spawn(with_priority(Priority::Background, async move {
            if let Err(error) = vfs.reload(&dir).await {
                tracing::debug!(path = vfs.tree().path(&dir), %error, "refresh failed; the old listing stays");
                // Not asked again before another TTL has passed.
                dir.state().children.listed = vfs.engine().now_ms();
            }
            dir.refreshing.store(false, Ordering::Release);
        }));
    }

    /// The volume, the key and the provider's id of a directory.
    pub(super) fn published_dir(&self, dir: &Inode) -> FsResult<(Volume, NodeKey, NodeId)> {
        if !dir.is_dir() {
            return Err(FsError::new(libc::ENOTDIR));
        }
        let volume = dir.volume.clone().ok_or(FsError::new(libc::EPERM))?;
        let state = dir.state();
        match (state.key, &state.node) {
            (Some(key), Some(node)) => Ok((volume, key, node.id.clone())),
            _ => Err(FsError::new(libc::ENOENT)),
        }
    }

    async fn list_from_drive(
        &self,
        dir: &Arc<Inode>,
        volume: &Volume,
        key: NodeKey,
        id: &NodeId,
    ) -> FsResult<()> {
        let started = self.engine().now_ms();
        let nodes = list_all(volume, id).await?;
        let entries = self
            .engine()
            .catalog()
            .put_listing(key, nodes, started)
            .ok_or(FsError::new(libc::ENOENT))?;
        self.adopt(dir, volume, entries, started);
        Ok(())
    }

    /// Brings a complete listing into the tree.
    fn adopt(&self, dir: &Arc<Inode>, volume: &Volume, entries: Vec<Entry>, listed: i64) {
        let profile = &*volume.name;
        let entries: Vec<Entry> = entries
            .into_iter()
            .filter(|entry| {
                !is_temporary_name(&entry.node.name)
                    && !self.engine().is_parked(profile, &entry.node.id)
                    && !self.engine().is_leaving(profile, &entry.node, listed)
            })
            .collect();
        let mut fresh: BTreeMap<String, u64> = BTreeMap::new();
        let mut changed = Vec::new();
        for (name, entry) in distinct_names(entries) {
            let inode = self.inode_of(volume, dir.ino, &name, &entry);
            let mut state = inode.state();
            if state.unlinked {
                continue;
            }
            let different = state
                .node
                .as_ref()
                .is_none_or(|old| old.version != entry.node.version || old.size != entry.node.size);
            if different && state.node.is_some() {
                changed.push(inode.ino);
            }
            if state.is_busy() && state.name != name {
                // Renamed here while it is on its way: our name wins.
                fresh.insert(state.name.clone(), inode.ino);
            } else {
                state.name.clone_from(&name);
                state.parent = dir.ino;
                fresh.insert(name, inode.ino);
            }
            state.node = Some(entry.node.clone());
        }
        let mut changed_names = Vec::new();
        {
            let mut state = dir.state();
            if state.children.listed != 0 {
                // The kernel may have been told that there is no such name.
                let new = fresh
                    .keys()
                    .filter(|name| !state.children.names.contains_key(*name));
                changed_names.extend(new.cloned());
            }
            let listed_inodes: HashSet<u64> = fresh.values().copied().collect();
            for (name, ino) in std::mem::take(&mut state.children.names) {
                if listed_inodes.contains(&ino) {
                    if fresh.get(&name) != Some(&ino) {
                        changed_names.push(name);
                    }
                    continue;
                }
                let Ok(inode) = self.tree().get(ino) else {
                    continue;
                };
                if self.is_ours(&inode, listed) {
                    // On its way, or younger than the listing.
                    fresh.insert(name, ino);
                } else {
                    inode.state().unlinked = true;
                    changed_names.push(name);
                }
            }
            state.children.names = fresh;
            state.children.complete = true;
            state.children.listed = listed;
        }
        for name in changed_names {
            self.forget_entry(dir.ino, &name);
        }
        for ino in changed {
            self.forget_inode(ino);
        }
        self.forget_inode(dir.ino);
    }

    /// Whether a name that a listing does not have is right all the same.
    fn is_ours(&self, inode: &Inode, listed: i64) -> bool {
        let state = inode.state();
        if state.draft.is_some() || state.is_busy() {
            return true;
        }
        let lag = inode
            .volume
            .as_ref()
            .map_or(0, |volume| volume.capabilities().listing_lag_ms);
        let lag = i64::try_from(lag).unwrap_or(i64::MAX);
        state.written_ns / 1_000_000 >= listed.saturating_sub(lag).saturating_sub(1)
            && state.written_ns != 0
    }

    /// The inode of an entry of the catalog.
    pub(super) fn inode_of(
        &self,
        volume: &Volume,
        parent: u64,
        name: &str,
        entry: &Entry,
    ) -> Arc<Inode> {
        if let Some(inode) = self.tree().by_key(entry.key)
            && inode.is_dir() == entry.node.is_dir()
        {
            return inode;
        }
        let kind = if entry.node.is_dir() {
            FileKind::Dir
        } else {
            FileKind::File
        };
        let inode = self
            .tree()
            .make(kind, Some(volume.clone()), parent, name.to_owned());
        {
            let catalog = self.engine().catalog();
            let mut state = inode.state();
            state.key = Some(entry.key);
            state.node = Some(entry.node.clone());
            if let Some(attrs) = catalog.attrs(entry.key, &entry.node.version) {
                state.attrs = attrs;
            }
        }
        self.tree().remember_key(entry.key, inode.ino);
        inode
    }

    /// A child by name when all names are known.
    pub(super) fn child_now(&self, dir: &Inode, name: &str) -> Option<FsResult<Arc<Inode>>> {
        let state = dir.state();
        match state.children.names.get(name) {
            Some(ino) => {
                let ino = *ino;
                drop(state);
                Some(self.tree().get(ino))
            }
            None if state.children.complete => Some(Err(FsError::new(libc::ENOENT))),
            None => None,
        }
    }

    /// A child by name.
    pub(super) async fn child(&self, dir: &Arc<Inode>, name: &str) -> FsResult<Arc<Inode>> {
        if !dir.is_dir() {
            return Err(FsError::new(libc::ENOTDIR));
        }
        if let Some(found) = self.child_now(dir, name) {
            self.refresh_if_stale(dir);
            return found;
        }
        self.load(dir).await?;
        self.child_now(dir, name)
            .unwrap_or(Err(FsError::new(libc::ENOENT)))
    }
}

/// All pages of a directory.
pub(super) async fn list_all(volume: &Volume, id: &NodeId) -> Result<Vec<Node>> {
    let mut nodes = Vec::new();
    let mut cursor = None;
    loop {
        let page = volume.drive.list(id, cursor.clone()).await?;
        nodes.extend(page.nodes);
        match page.next {
            Some(next) if cursor.as_ref() != Some(&next) => cursor = Some(next),
            _ => return Ok(nodes),
        }
    }
}

/// Names for a listing: of duplicates the newest keeps the plain name, the others become
/// `name~ID8.ext`, bound to their ids (DESIGN 5).
fn distinct_names(entries: Vec<Entry>) -> Vec<(String, Entry)> {
    let mut by_name: HashMap<&str, Vec<usize>> = HashMap::with_capacity(entries.len());
    for (at, entry) in entries.iter().enumerate() {
        by_name.entry(&entry.node.name).or_default().push(at);
    }
    let mut plain: Vec<bool> = vec![true; entries.len()];
    for same in by_name.values().filter(|same| same.len() > 1) {
        let chosen = same.iter().copied().max_by(|a, b| {
            let (a, b) = (&entries[*a].node, &entries[*b].node);
            a.modified.cmp(&b.modified).then_with(|| b.id.cmp(&a.id))
        });
        for at in same {
            plain[*at] = Some(*at) == chosen;
        }
    }
    entries
        .into_iter()
        .zip(plain)
        .map(|(entry, plain)| {
            let name = if plain {
                entry.node.name.clone()
            } else {
                distinguished(&entry.node.name, entry.node.id.as_str())
            };
            (name, entry)
        })
        .collect()
}

fn distinguished(name: &str, id: &str) -> String {
    let tail: String = {
        let mut last: Vec<char> = id
            .chars()
            .rev()
            .filter(|c| c.is_ascii_alphanumeric())
            .take(8)
            .collect();
        last.reverse();
        last.into_iter().collect()
    };
    match name.rfind('.').filter(|dot| *dot > 0) {
        Some(dot) => format!("{}~{tail}{}", &name[..dot], &name[dot..]),
        None => format!("{name}~{tail}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_is_named_by_its_id() {
        assert_eq!(
            distinguished("a.tar.gz", "xx-0123456789"),
            "a.tar~23456789.gz"
        );
        assert_eq!(distinguished(".bashrc", "ab"), ".bashrc~ab");
    }
}
