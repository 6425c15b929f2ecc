//! Checks of the mount point, healing a dead mount, unmounting.
//!
//! A daemon that was killed leaves a mount that answers ENOTCONN. Such a mount is taken away
//! when it is panfuse's; a mount that answers never is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use super::answer::on_a_thread;
use super::attach;
use super::kernel;
use super::mountinfo::{MountEntry, mounted_at};

/// How long a mount point may take to answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// So many dead mounts on top of each other are taken away.
const MOST_LAYERS: usize = 8;

/// Why a directory cannot be mounted on.
#[derive(Debug, Error)]
pub enum MountPointError {
    /// There is no such directory.
    #[error("{0} does not exist; create it: mkdir -p '{0}'", .path.display())]
    Missing {
        /// The mount point.
        path: PathBuf,
    },
    /// It is a file.
    #[error("{} is not a directory", .path.display())]
    NotADirectory {
        /// The mount point.
        path: PathBuf,
    },
    /// Its files would be hidden.
    #[error("{} is not empty; mount on an empty directory", .path.display())]
    NotEmpty {
        /// The mount point.
        path: PathBuf,
    },
    /// panfuse is mounted there and answers.
    #[error(
        "{} is mounted already{}; unmount it: panfuse umount '{}'",
        .path.display(), by(.pid), .path.display()
    )]
    Mounted {
        /// The mount point.
        path: PathBuf,
        /// Process of the daemon, when it can be seen.
        pid: Option<u32>,
    },
    /// panfuse is mounted there and does not answer, but is not dead either.
    #[error(
        "{} is mounted by panfuse{}, which does not answer",
        .path.display(), by(.pid)
    )]
    Hangs {
        /// The mount point.
        path: PathBuf,
        /// Process of the daemon, when it can be seen.
        pid: Option<u32>,
    },
    /// Another file system is mounted there.
    #[error("{} is a mount point of {fs_type} ({mounted})", .path.display())]
    Occupied {
        /// The mount point.
        path: PathBuf,
        /// Type of the file system.
        fs_type: String,
        /// Its source.
        mounted: String,
    },
    /// A dead mount could not be taken away.
    #[error("{} is a dead mount and cannot be unmounted: {error}", .path.display())]
    Dead {
        /// The mount point.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It cannot be looked at.
    #[error("{}: {error}", .path.display())]
    Unreadable {
        /// The mount point.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

fn by(pid: &Option<u32>) -> String {
    pid.map(|pid| format!(" by process {pid}"))
        .unwrap_or_default()
}

/// Checks that `path` can be mounted on, and takes away a dead mount of panfuse on it. Returns
/// the resolved path. Blocks for as long as a hanging file system is waited for (10 s).
///
/// # Errors
/// [`MountPointError`], in words for people.
pub fn check(path: &Path) -> Result<PathBuf, MountPointError> {
    let unreadable = |error| MountPointError::Unreadable {
        path: path.to_owned(),
        error,
    };
    let full = std::path::absolute(path).map_err(unreadable)?;
    let asked = full.clone();
    // A parent may be on a file system that hangs.
    let resolved = on_a_thread(ANSWER_DEADLINE, move || resolve(&asked))
        .unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()));
    let resolved = match resolved {
        Ok(resolved) => resolved,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(MountPointError::Missing { path: full });
        }
        Err(error) => return Err(unreadable(error)),
    };
    for _ in 0..MOST_LAYERS {
        match mounted_at(&resolved).map_err(unreadable)? {
            None => return check_directory(resolved),
            Some(entry) => heal(&entry)?,
        }
    }
    Err(MountPointError::Dead {
        path: resolved,
        error: io::Error::other("something mounts it again and again"),
    })
}

/// Resolves symbolic links without asking a file system that is mounted on the last directory:
/// it may be dead.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return fs::canonicalize(path);
    };
    let place = fs::canonicalize(parent)?.join(name);
    if mounted_at(&place)?.is_some() {
        return Ok(place);
    }
    match fs::read_link(&place) {
        Ok(target) => {
            let target = place.parent().unwrap_or(Path::new("/")).join(target);
            let target_parent = target.parent().unwrap_or(Path::new("/"));
            match target.file_name() {
                // A link that points at a mount point that may be dead.
                Some(name) => {
                    let end = fs::canonicalize(target_parent)?.join(name);
                    if mounted_at(&end)?.is_some() {
                        Ok(end)
                    } else {
                        fs::canonicalize(end)
                    }
                }
                None => fs::canonicalize(target),
            }
        }
        Err(_) => Ok(place),
    }
}

fn check_directory(path: PathBuf) -> Result<PathBuf, MountPointError> {
    match fs::metadata(&path) {
        Ok(meta) if !meta.is_dir() => return Err(MountPointError::NotADirectory { path }),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(MountPointError::Missing { path });
        }
        Err(error) => return Err(MountPointError::Unreadable { path, error }),
    }
    match fs::read_dir(&path).map(|mut names| names.next().is_none()) {
        Ok(true) => Ok(path),
        Ok(false) => Err(MountPointError::NotEmpty { path }),
        Err(error) => Err(MountPointError::Unreadable { path, error }),
    }
}

/// Takes away a dead mount of panfuse; everything else is an error.
fn heal(entry: &MountEntry) -> Result<(), MountPointError> {
    let path = entry.path.clone();
    if !entry.is_panfuse() {
        return Err(MountPointError::Occupied {
            path,
            fs_type: entry.fs_type.clone(),
            mounted: entry.source.clone(),
        });
    }
    let asked = path.clone();
    match on_a_thread(ANSWER_DEADLINE, move || kernel::ask(&asked)) {
        None => Err(MountPointError::Hangs {
            path,
            pid: daemon_of(entry),
        }),
        Some(Err(error)) if is_dead(&error) => {
            tracing::warn!(path = %path.display(), "taking away the mount of a daemon that is gone");
            unmount_if(entry).map_err(|error| MountPointError::Dead { path, error })?;
            Ok(())
        }
        Some(_) => Err(MountPointError::Mounted {
            path,
            pid: daemon_of(entry),
        }),
    }
}

/// Whether an error of statfs means that nobody serves the mount any more.
fn is_dead(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOTCONN)
}

/// Unmounts `entry` lazily, when it still is what is mounted on top of its path. Returns whether
/// it was.
///
/// # Errors
/// The kernel's or the helper's.
pub(super) fn unmount_if(entry: &MountEntry) -> io::Result<bool> {
    match mounted_at(&entry.path)? {
        Some(now) if now.device == entry.device && now.id == entry.id => {
            attach::detach(&entry.path)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// Unmounts panfuse from `path` for a command that is not the daemon. Lazily: programs that have
/// files open there keep them. The daemon sees the end of its mount and ends.
///
/// # Errors
/// `NotFound` when no panfuse is mounted there; the kernel's or the helper's.
pub fn unmount(path: &Path) -> io::Result<()> {
    let full = std::path::absolute(path)?;
    let resolved = on_a_thread(ANSWER_DEADLINE, move || resolve(&full))
        .unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))?;
    match mounted_at(&resolved)? {
        Some(entry) if entry.is_panfuse() => unmount_if(&entry).map(|_| ()),
        _ => {
            let message = format!("{} is not a mount of panfuse", resolved.display());
            Err(io::Error::new(io::ErrorKind::NotFound, message))
        }
    }
}

/// Whether a panfuse, dead or alive, is mounted at `path` in this mount namespace. Asks nothing of
/// the mount itself: it may hang.
///
/// # Errors
/// When the kernel's table cannot be read; `TimedOut` when the way there hangs.
pub fn is_mounted(path: &Path) -> io::Result<bool> {
    let full = std::path::absolute(path)?;
    let resolved = on_a_thread(ANSWER_DEADLINE, move || resolve(&full))
        .unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()));
    match resolved {
        Ok(resolved) => Ok(mounted_at(&resolved)?.is_some_and(|entry| entry.is_panfuse())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The process that serves a mount: the one whose open `/dev/fuse` tells this connection (newer
/// kernels), else the only panfuse with an open `/dev/fuse`.
fn daemon_of(entry: &MountEntry) -> Option<u32> {
    let connection = entry.connection();
    let mut candidates = Vec::new();
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        for descriptor in descriptors.flatten() {
            if !fs::read_link(descriptor.path()).is_ok_and(|end| end == Path::new("/dev/fuse")) {
                continue;
            }
            let info = process.path().join("fdinfo").join(descriptor.file_name());
            let told = fs::read_to_string(info)
                .ok()
                .and_then(|info| connection_told(&info));
            if told.is_some() && told == connection {
                return Some(pid);
            }
            let command = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            if told.is_none() && command.trim() == "panfuse" && !candidates.contains(&pid) {
                candidates.push(pid);
            }
        }
    }
    match candidates.as_slice() {
        [only] => Some(*only),
        _ => None,
    }
}

fn connection_told(info: &str) -> Option<u32> {
    info.lines()
        .find_map(|line| line.strip_prefix("fuse_connection:")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_directory_is_fine_also_through_a_link() {
        let home = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(home.path()).unwrap();
        fs::create_dir(real.join("cloud")).unwrap();
        assert_eq!(check(&real.join("cloud")).unwrap(), real.join("cloud"));
        std::os::unix::fs::symlink("cloud", real.join("link")).unwrap();
        assert_eq!(check(&real.join("link")).unwrap(), real.join("cloud"));
    }

    #[test]
    fn what_cannot_be_mounted_on_is_named() {
        let home = tempfile::tempdir().unwrap();
        let missing = check(&home.path().join("no")).unwrap_err();
        assert!(matches!(missing, MountPointError::Missing { .. }));
        assert!(missing.to_string().contains("mkdir -p"), "{missing}");
        assert!(matches!(
            check(&home.path().join("no/deeper")).unwrap_err(),
            MountPointError::Missing { .. }
        ));
        fs::write(home.path().join("file"), "x").unwrap();
        assert!(matches!(
            check(&home.path().join("file")).unwrap_err(),
            MountPointError::NotADirectory { .. }
        ));
        assert!(matches!(
            check(home.path()).unwrap_err(),
            MountPointError::NotEmpty { .. }
        ));
        assert!(matches!(
            check(Path::new("/")).unwrap_err(),
            MountPointError::Occupied { .. }
        ));
    }

    #[test]
    fn only_a_dead_connection_counts_as_dead() {
        assert!(is_dead(&io::Error::from_raw_os_error(libc::ENOTCONN)));
        for alive in [libc::EACCES, libc::EIO, libc::ESTALE] {
            assert!(!is_dead(&io::Error::from_raw_os_error(alive)));
        }
    }

    #[test]
    fn nothing_of_strangers_is_unmounted() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(
            unmount(dir.path()).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        assert_eq!(
            unmount(Path::new("/")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        let other = MountEntry {
            id: u64::MAX,
            device: "0:0".to_owned(),
            path: PathBuf::from("/proc"),
            fs_type: "fuse.panfuse".to_owned(),
            source: "panfuse".to_owned(),
        };
        assert!(!unmount_if(&other).unwrap());
    }

    #[test]
    fn what_is_no_mount_of_ours_is_not_taken_for_one() {
        for path in ["/", "/proc", "/no/such/place", "/proc/../proc"] {
            assert!(!is_mounted(Path::new(path)).unwrap(), "{path}");
        }
    }

    #[test]
    fn the_connection_of_a_device_is_found() {
        assert_eq!(
            connection_told("pos:\t0\nflags:\t02\nfuse_connection:\t45\n"),
            Some(45)
        );
        assert_eq!(connection_told("pos:\t0\n"), None);
    }
}
