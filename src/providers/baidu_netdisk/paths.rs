//! Where directories are. Nodes are named by their `fs_id`, which survives renames and moves, but
//! everything except metadata and download is addressed by path (sheet sections 1, 9), so the
//! paths of directories that were seen are kept for a while.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::drive::NodeId;

/// Another client may move a directory: a path is not trusted for longer.
const LIFE_MS: i64 = 5 * 60_000;

/// Directories kept. When there are more, all are forgotten and learned again.
const MOST: usize = 20_000;

/// Paths of directories by id, and back.
#[derive(Default)]
pub struct Paths {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    by_id: HashMap<NodeId, (String, i64)>,
    by_path: HashMap<String, NodeId>,
}

impl Paths {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A directory was seen at `path`.
    pub fn learn(&self, id: &NodeId, path: &str, now_ms: i64) {
        let mut kept = self.lock();
        if kept.by_id.len() >= MOST && !kept.by_id.contains_key(id) {
            *kept = Kept::default();
        }
        if let Some((old, _)) = kept.by_id.insert(id.clone(), (path.to_owned(), now_ms))
            && old != path
        {
            kept.by_path.remove(&old);
        }
        if let Some(other) = kept.by_path.insert(path.to_owned(), id.clone())
            && other != *id
        {
            kept.by_id.remove(&other);
        }
    }

    /// The path of a directory, seen lately.
    pub fn path(&self, id: &NodeId, now_ms: i64) -> Option<String> {
        let kept = self.lock();
        let (path, at) = kept.by_id.get(id)?;
        (now_ms.saturating_sub(*at) < LIFE_MS).then(|| path.clone())
    }

    /// The directory at a path, seen lately.
    pub fn id(&self, path: &str, now_ms: i64) -> Option<NodeId> {
        let kept = self.lock();
        let id = kept.by_path.get(path)?;
        let (_, at) = kept.by_id.get(id)?;
        (now_ms.saturating_sub(*at) < LIFE_MS).then(|| id.clone())
    }

    /// A path turned out to be wrong.
    pub fn forget(&self, id: &NodeId) {
        let mut kept = self.lock();
        if let Some((path, _)) = kept.by_id.remove(id) {
            kept.by_path.remove(&path);
        }
    }

    /// What was at `from` is at `to` now (`None`: nowhere), with everything below it.
    pub fn moved(&self, from: &str, to: Option<&str>) {
        let mut kept = self.lock();
        let below = format!("{}/", from.trim_end_matches('/'));
        let touched: Vec<(NodeId, String, i64)> = kept
            .by_id
            .iter()
            .filter(|(_, (path, _))| path == from || path.starts_with(&below))
            .map(|(id, (path, at))| (id.clone(), path.clone(), *at))
            .collect();
        for (id, path, _) in &touched {
            kept.by_id.remove(id);
            kept.by_path.remove(path);
        }
        let Some(to) = to else { return };
        for (id, path, at) in touched {
            let rest = path.strip_prefix(from).unwrap_or_default();
            let path = format!("{to}{rest}");
            kept.by_path.insert(path.clone(), id.clone());
            kept.by_id.insert(id, (path, at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> NodeId {
        NodeId::new(text)
    }

    #[test]
    fn a_moved_directory_takes_what_is_below_along() {
        let paths = Paths::default();
        for (name, path) in [("1", "/a"), ("2", "/a/b"), ("3", "/ab")] {
            paths.learn(&id(name), path, 0);
        }
        paths.moved("/a", Some("/x/y"));
        assert_eq!(paths.path(&id("2"), 1).as_deref(), Some("/x/y/b"));
        assert_eq!(paths.id("/x/y", 1), Some(id("1")));
        assert_eq!(paths.id("/a/b", 1), None);
        assert_eq!(paths.path(&id("3"), 1).as_deref(), Some("/ab"));
        paths.moved("/x", None);
        assert_eq!(paths.path(&id("2"), 1), None);
    }

    #[test]
    fn a_path_is_believed_for_minutes_and_has_one_owner() {
        let paths = Paths::default();
        paths.learn(&id("1"), "/a", 0);
        assert_eq!(paths.path(&id("1"), LIFE_MS - 1).as_deref(), Some("/a"));
        assert_eq!(paths.path(&id("1"), LIFE_MS), None);
        paths.learn(&id("2"), "/a", LIFE_MS);
        assert_eq!(paths.id("/a", LIFE_MS), Some(id("2")));
        assert_eq!(paths.path(&id("1"), 1), None);
        paths.forget(&id("2"));
        assert_eq!(paths.id("/a", LIFE_MS), None);
    }
}
