//! Directories, which an object store does not have. One that holds something is there by the keys of
//! what it holds. An empty one is marked by an object of no bytes whose key ends in a slash, as other
//! tools do (sheet generic_backends, 5), or is remembered here until it holds something.
//!
//! Some servers make a file of such an object, and nothing can be put below it any more (5: rclone
//! serve s3). So the first marker is looked at before a second one is made; on such a server it is
//! taken away again, and directories are remembered.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;

use super::address;
use super::api::{Api, Recent, lock};
use super::list;
use crate::drive::{ErrorKind, Node, NodeId, Result};

/// Directories that are known to be marked; looking again costs a request.
const MOST_MARKED: usize = 20_000;

/// Empty directories that are remembered.
const MOST_REMEMBERED: usize = 5_000;

/// Whether empty directories are marked.
const UNTRIED: u8 = 0;
const WORKS: u8 = 1;
const OFF: u8 = 2;

/// What is known of directories.
pub struct Marks {
    state: AtomicU8,
    marked: Mutex<Recent<()>>,
    remembered: Mutex<Recent<()>>,
}

impl Marks {
    /// By the field `directory_markers`.
    pub fn new(wanted: &str) -> Marks {
        let off = matches!(wanted, "no" | "false" | "0");
        Marks {
            state: AtomicU8::new(if off { OFF } else { UNTRIED }),
            marked: Mutex::new(Recent::new(MOST_MARKED)),
            remembered: Mutex::new(Recent::new(MOST_REMEMBERED)),
        }
    }

    /// Whether this server is given markers, as far as is known.
    pub fn are_made(&self) -> bool {
        self.state.load(Ordering::Relaxed) != OFF
    }

    /// A marker was seen.
    pub fn marked(&self, prefix: &str) {
        lock(&self.marked).insert(prefix.to_owned(), ());
    }

    pub fn is_marked(&self, prefix: &str) -> bool {
        lock(&self.marked).contains(prefix)
    }

    pub fn is_remembered(&self, prefix: &str) -> bool {
        lock(&self.remembered).contains(prefix)
    }

    /// The ids of remembered directories right in this one.
    pub fn remembered_in(&self, dir: &str) -> Vec<String> {
        let remembered = lock(&self.remembered);
        let ids = remembered.keys().filter_map(address::id);
        ids.filter(|id| address::split(id).0 == dir).collect()
    }

    /// A directory and everything below it is gone.
    pub fn forget(&self, prefix: &str) {
        lock(&self.marked).retain(|other| !other.starts_with(prefix));
        lock(&self.remembered).retain(|other| !other.starts_with(prefix));
    }

    /// What was remembered below one directory is below another one now.
    pub fn moved(&self, from: &str, to: &str) {
        let mut remembered = lock(&self.remembered);
        let below = remembered.keys().filter_map(|key| key.strip_prefix(from));
        let below: Vec<String> = below.map(|rest| format!("{to}{rest}")).collect();
        for prefix in below {
            remembered.insert(prefix, ());
        }
        drop(remembered);
        self.forget(from);
    }

    fn remember(&self, prefix: &str) {
        lock(&self.remembered).insert(prefix.to_owned(), ());
    }
}

/// Makes an empty directory at an id that nothing has.
///
/// # Errors
/// Those of the store.
pub async fn make(api: &Api, id: &str) -> Result<Node> {
    let prefix = address::prefix(id);
    let state = &api.marks.state;
    if state.load(Ordering::Relaxed) == OFF {
        api.marks.remember(&prefix);
        return Ok(list::dir_node(id));
    }
    api.store.put(&prefix, Bytes::new(), false).await?;
    if state.load(Ordering::Relaxed) == UNTRIED {
        if list::has_below(api, id).await? {
            // Somebody else may have found out meanwhile.
            let order = Ordering::Relaxed;
            let _ = state.compare_exchange(UNTRIED, WORKS, order, order);
        } else {
            tracing::warn!("this server cannot mark empty directories; they are remembered");
            state.store(OFF, Ordering::Relaxed);
            take_back(api, id).await?;
            api.marks.remember(&prefix);
            return Ok(list::dir_node(id));
        }
    }
    api.marks.marked(&prefix);
    Ok(list::dir_node(id))
}

/// Removes what a marker became: nothing had this id a moment ago.
async fn take_back(api: &Api, id: &str) -> Result<()> {
    let mut keys = Vec::from([address::prefix(id)]);
    if let Some(file) = list::found(api, id).await?
        && file.size == 0
    {
        keys.push(address::key(id));
    }
    for key in keys {
        match api.store.delete(&key).await {
            Err(error) if error.kind != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Something was taken out of a directory: it stays, also when that was the last thing in it.
///
/// # Errors
/// Those of the store.
pub async fn keep(api: &Api, dir: &str) -> Result<()> {
    let prefix = address::prefix(dir);
    let stays = dir.is_empty() || *dir == *api.root.as_str() || api.marks.is_marked(&prefix);
    if stays || list::is_dir(api, dir).await? {
        return Ok(());
    }
    make(api, dir).await.map(drop)
}

/// Makes a directory.
///
/// # Errors
/// `Exists` when something has the name, `NotFound` without the directory it should be in.
pub async fn mkdir(api: &Api, parent: &NodeId, name: &str) -> Result<Node> {
    let stored = super::names::encode(name)?;
    let id = address::child(parent.as_str(), &stored);
    address::check_key(&id, true)?;
    let free = list::refuse_taken(api, &id);
    let place = list::need_dir(api, parent.as_str());
    futures_util::future::try_join(free, place).await?;
    make(api, &id).await
}
