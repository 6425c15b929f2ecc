//! The directory behind the drive: how ids become open directories, and how disk work is kept
//! from holding up anything else.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::index::{Digests, Index};
use super::sys::{self, Stat};
use super::upload::Live;
use super::{error, mounts, names};
use crate::drive::{DriveError, ErrorKind, Node, NodeId, NodeKind, Result};
use crate::fingerprint::{Fingerprints, Kind, hash_all};
use crate::net::{Clock, Retry};

/// For anything that looks only at names and attributes.
pub const METADATA: Duration = Duration::from_secs(30);
/// For one piece of at most 64 MiB.
pub const PIECE: Duration = Duration::from_secs(120);
/// For making a whole file durable; most of it is written by then.
pub const SYNC: Duration = Duration::from_secs(600);

/// Threads that may wait for this disk at a time. A dead one keeps no more than these.
const THREADS: usize = 32;

/// How long the table of mounts is believed.
const MOUNTS: Duration = Duration::from_secs(1);

/// A directory of this machine.
pub struct Disk {
    /// The directory without symbolic links in its path.
    path: PathBuf,
    /// Its device and inode: a disk that is not mounted any more leaves another directory.
    identity: (u64, u64),
    pub index: Index,
    pub clock: Arc<dyn Clock>,
    /// Uploads under way in this process, by the name of their file.
    pub live: Mutex<HashMap<OsString, Arc<Live>>>,
    threads: Arc<Semaphore>,
    /// Mounts of panfuse below the top, and when that was looked up.
    own_mounts: Mutex<Option<(Instant, Arc<[PathBuf]>)>>,
}

/// An entry by its directory and name, the directory open.
pub struct Place {
    pub dir: OwnedFd,
    /// Id of the directory.
    pub parent: String,
    /// Name on the disk.
    pub name: OsString,
}

impl Place {
    /// The id of the entry.
    pub fn id(&self) -> String {
        names::join(&self.parent, &self.name)
    }
}

impl Disk {
    /// Opens the directory `path` with its index in `state_dir`.
    ///
    /// # Errors
    /// `Invalid` with what is wrong with the path.
    pub fn open(path: &str, state_dir: &Path, clock: Arc<dyn Clock>) -> Result<Disk> {
        let invalid = |why: String| DriveError::new(ErrorKind::Invalid, why);
        if path.is_empty() {
            return Err(invalid("path is empty; name a directory".to_owned()));
        }
        let given = Path::new(path);
        if !given.is_absolute() {
            return Err(invalid(format!(
                "path {path:?} is relative; write it from the root on (~ is not expanded)"
            )));
        }
        let real = given
            .canonicalize()
            .map_err(|error| invalid(format!("path {path:?}: {error}")))?;
        let fd = open_root(&real).map_err(|error| match error.raw_os_error() {
            Some(libc::ENOTDIR) => invalid(format!("path {path:?} is not a directory")),
            _ => invalid(format!("path {path:?}: {error}")),
        })?;
        let stat = sys::stat_fd(&fd).map_err(|error| error::of("open", path, &error))?;
        // Several profiles may share the state directory.
        let name = hash_all(&[Kind::Sha256], real.as_os_str().as_bytes())
            .pop()
            .map(|(_, value)| value.chars().take(16).collect::<String>())
            .unwrap_or_default();
        let file = state_dir.join(format!("local-{name}.sqlite"));
        Ok(Disk {
            path: real,
            identity: (stat.dev, stat.ino),
            index: Index::open(&file, stat.dev)?,
            clock,
            live: Mutex::new(HashMap::new()),
            threads: Arc::new(Semaphore::new(THREADS)),
            own_mounts: Mutex::new(None),
        })
    }

    /// The directory of this machine, for people and as the account's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` on a thread of its own within `deadline`. What does not come back in time
    /// goes on unobserved and keeps one of this drive's threads until it does.
    ///
    /// # Errors
    /// `Timeout`, and what `work` returns.
    pub async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        op: &'static str,
        deadline: Duration,
        work: impl FnOnce(&Disk) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let disk = self.clone();
        let done = async {
            let permit = self.threads.clone().acquire_owned().await;
            tokio::task::spawn_blocking(move || {
                let _permit = permit;
                work(&disk)
            })
            .await
        };
        match tokio::time::timeout(deadline, done).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(DriveError::new(
                ErrorKind::LocalDisk,
                format!("{op}: the work on the disk ended early"),
            )),
            Err(_) => Err(DriveError::new(
                ErrorKind::Timeout,
                format!("{op}: the disk did not answer in {} s", deadline.as_secs()),
            )
            .retry(Retry::Backoff)),
        }
    }

    /// The top, open.
    fn root(&self) -> Result<OwnedFd> {
        let gone = |why: &dyn std::fmt::Display| {
            DriveError::new(
                ErrorKind::Network,
                format!("{}: {why}; is the disk mounted?", self.path.display()),
            )
        };
        let fd = open_root(&self.path).map_err(|error| gone(&error))?;
        let stat = sys::stat_fd(&fd).map_err(|error| gone(&error))?;
        if (stat.dev, stat.ino) != self.identity {
            return Err(gone(&"this is another directory than at the start"));
        }
        Ok(fd)
    }

    /// The directory of this id, open for calls relative to it (not for reading). Nothing on
    /// the way is a symbolic link, so the directory is below the top.
    pub fn dir(&self, id: &str) -> Result<OwnedFd> {
        let components = names::components(id)?;
        if components.iter().any(|name| names::is_reserved(name)) {
            return Err(DriveError::not_found(id));
        }
        self.walk(id, &components)
    }

    fn walk(&self, id: &str, components: &[OsString]) -> Result<OwnedFd> {
        let mut fd = self.root()?;
        let mut at = self.path.clone();
        let ours = if components.is_empty() {
            Arc::default()
        } else {
            self.mounts()
        };
        for name in components {
            at.push(name);
            if ours.contains(&at) {
                return Err(DriveError::not_found(id));
            }
            fd = sys::open_at(&fd, name, libc::O_PATH | libc::O_DIRECTORY)
                .map_err(|error| error::of("open", id, &error))?;
        }
        Ok(fd)
    }

    /// Mounts of panfuse below the top. They are rare and the table is long: looked up at most
    /// once in [`MOUNTS`].
    fn mounts(&self) -> Arc<[PathBuf]> {
        let mut known = self
            .own_mounts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((at, mounts)) if at.elapsed() < MOUNTS => mounts.clone(),
            _ => {
                let mounts: Arc<[PathBuf]> = mounts::ours_below(&self.path).into();
                *known = Some((Instant::now(), mounts.clone()));
                mounts
            }
        }
    }

    /// Names in this directory that are mounts of panfuse: looking into them would ask
    /// ourselves and never end.
    pub fn own_mounts(&self, id: &str) -> Result<Vec<OsString>> {
        let mut dir = self.path.clone();
        dir.extend(names::components(id)?);
        Ok(self
            .mounts()
            .iter()
            .filter(|path| path.parent() == Some(&dir))
            .filter_map(|path| path.file_name().map(OsStr::to_owned))
            .collect())
    }

    /// Where an entry is.
    ///
    /// # Errors
    /// `NotFound` when its directory is not there, `Invalid` for the top itself.
    pub fn place(&self, id: &str) -> Result<Place> {
        let (parent, name) = names::split(id);
        let name = names::components(name)?.pop().ok_or_else(|| {
            DriveError::new(ErrorKind::Invalid, "the top of a drive stays as it is")
        })?;
        if names::is_reserved(&name) || self.own_mounts(parent.as_str())?.contains(&name) {
            return Err(DriveError::not_found(id));
        }
        Ok(Place {
            dir: self.dir(parent.as_str())?,
            parent: parent.as_str().to_owned(),
            name,
        })
    }

    /// Where the index says a file is; also in the trash.
    pub fn indexed_place(&self, id: &str) -> Result<Place> {
        let (parent, _) = names::split(id);
        let mut components = names::components(id)?;
        let name = components
            .pop()
            .ok_or_else(|| DriveError::not_found("the indexed file"))?;
        Ok(Place {
            dir: self.walk(parent.as_str(), &components)?,
            parent: parent.as_str().to_owned(),
            name,
        })
    }

    /// The place for a new entry; the name is checked, not whether it is free.
    pub fn new_place(&self, parent: &str, name: &str) -> Result<Place> {
        Ok(Place {
            name: names::to_disk(name)?,
            dir: self.dir(parent)?,
            parent: parent.to_owned(),
        })
    }

    /// What is at a place: a file or a directory, nothing else counts.
    pub fn look(&self, place: &Place) -> Result<Stat> {
        let id = place.id();
        let stat = sys::stat_at(&place.dir, &place.name)
            .map_err(|error| error::of("stat", &id, &error))?;
        if !stat.is_file() && !stat.is_dir() {
            return Err(DriveError::not_found(id));
        }
        Ok(stat)
    }

    /// Opens the regular file at a place. Never waits for a pipe, never follows a link.
    pub fn open_file(&self, place: &Place, flags: i32) -> Result<std::fs::File> {
        let id = place.id();
        let fd = sys::open_at(&place.dir, &place.name, flags | libc::O_NONBLOCK)
            .map_err(|error| error::of("open", &id, &error))?;
        let stat = sys::stat_fd(&fd).map_err(|error| error::of("stat", &id, &error))?;
        if !stat.is_file() {
            return Err(DriveError::not_found(id));
        }
        Ok(fd.into())
    }

    /// The entry a node describes, when it is still that entry (DESIGN 3.8).
    ///
    /// # Errors
    /// `NotFound`; `Changed` when something else has its name by now.
    pub fn known(&self, node: &Node) -> Result<(Place, Stat)> {
        let place = self.place(node.id.as_str())?;
        let stat = self.look(&place)?;
        if !is_entry(node, &stat) {
            return Err(changed(node));
        }
        Ok((place, stat))
    }

    /// The node of an entry with what the index knows.
    pub fn node(&self, place: &Place, stat: &Stat) -> Node {
        let id = place.id();
        let digests = (stat.is_file())
            .then(|| self.index.get(&id, stat))
            .flatten();
        node(&place.parent, &place.name, stat, digests.as_ref())
    }

    /// One node by id, fresh.
    pub fn stat(&self, id: &NodeId) -> Result<Node> {
        if id.as_str().is_empty() {
            let stat = sys::stat_fd(self.root()?)
                .map_err(|error| error::of("stat", id.as_str(), &error))?;
            let name = self.path.file_name().unwrap_or(OsStr::new("/"));
            return Ok(Node {
                id: NodeId::new(""),
                ..node("", name, &stat, None)
            });
        }
        let place = self.place(id.as_str())?;
        let stat = self.look(&place)?;
        Ok(self.node(&place, &stat))
    }

    /// Makes the names in a directory durable. Directories that cannot be read and file
    /// systems that cannot do it are left to the kernel.
    pub fn sync_dir(&self, place: &Place) {
        let opened = sys::open_at(
            &place.dir,
            OsStr::new("."),
            libc::O_RDONLY | libc::O_DIRECTORY,
        );
        if let Err(error) = opened.and_then(|fd| std::fs::File::from(fd).sync_all()) {
            tracing::debug!(dir = %place.parent, %error, "directory not synced");
        }
    }
}

fn open_root(path: &Path) -> std::io::Result<OwnedFd> {
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    // An absolute name does not look at the directory it is relative to.
    let here = std::fs::File::open("/")?;
    sys::open_at(&here, path.as_os_str(), flags)
}

/// `dev:inode:size:mtime:ctime`, times in nanoseconds.
pub fn version(stat: &Stat) -> String {
    format!(
        "{}:{}:{}:{}:{}",
        stat.dev, stat.ino, stat.size, stat.mtime_ns, stat.ctime_ns
    )
}

/// The inode in a version.
pub fn inode(version: &str) -> Option<u64> {
    version.split(':').nth(1)?.parse().ok()
}

/// Whether an entry is the one a node describes: the same inode, and for files the same size
/// and mtime (a directory's change with what is in it).
pub fn is_entry(node: &Node, stat: &Stat) -> bool {
    let now = version(stat);
    let fields = if stat.is_dir() { 2 } else { 4 };
    let mut both = node.version.split(':').zip(now.split(':'));
    node.is_dir() == stat.is_dir()
        && node.version.split(':').count() == 5
        && both.by_ref().take(fields).all(|(then, now)| then == now)
}

/// Something else has the name of this node by now.
pub fn changed(node: &Node) -> DriveError {
    DriveError::new(
        ErrorKind::Changed,
        format!("{:?} is not the entry it was any more", node.id.as_str()),
    )
}

/// The node of an entry.
pub fn node(parent: &str, name: &OsStr, stat: &Stat, digests: Option<&Digests>) -> Node {
    let millis = |ns: i128| i64::try_from(ns.div_euclid(1_000_000)).unwrap_or(0);
    Node {
        id: NodeId::new(names::join(parent, name)),
        parent: NodeId::new(parent),
        name: names::shown(name),
        kind: if stat.is_dir() {
            NodeKind::Dir
        } else {
            NodeKind::File
        },
        size: if stat.is_dir() { 0 } else { stat.size },
        modified: millis(stat.mtime_ns),
        created: stat.created_ms,
        version: version(stat),
        fingerprints: digests.map_or_else(Fingerprints::new, Digests::fingerprints),
        handle: None,
        raw: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::SystemClock;

    #[test]
    fn mounts_of_ours_are_not_entered() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("home/cloud/sub")).unwrap();
        let state = root.join("state");
        let disk = Disk::open(root.to_str().unwrap(), &state, Arc::new(SystemClock)).unwrap();
        assert!(disk.stat(&NodeId::new("home/cloud/sub")).is_ok());
        let later = Instant::now() + Duration::from_secs(3600);
        *disk.own_mounts.lock().unwrap() = Some((later, [root.join("home/cloud")].into()));
        for id in ["home/cloud", "home/cloud/sub"] {
            let error = disk.stat(&NodeId::new(id)).unwrap_err();
            assert_eq!(error.kind, ErrorKind::NotFound, "{id}");
        }
        let page = super::super::list::page(&disk, &NodeId::new("home"), None).unwrap();
        assert!(page.nodes.is_empty());
    }
}
