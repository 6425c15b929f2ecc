//! One daemon per state directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::CliError;
use crate::config::{Paths, make_private_dir};

/// Somebody who only looks holds the lock for an instant; a daemon holds it for long.
const PATIENCE: Duration = Duration::from_millis(500);

/// Who holds a state directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// Where it mounts.
    pub mountpoint: PathBuf,
}

/// The right to be the daemon of a state directory; given back when dropped or when the process
/// ends, however it ends.
#[derive(Debug)]
pub struct DaemonLock {
    _file: File,
}

impl DaemonLock {
    /// Takes the state directory for a daemon that mounts at `mountpoint`.
    ///
    /// # Errors
    /// `daemon_running`, with who holds it; else the disk's.
    pub fn acquire(paths: &Paths, mountpoint: &Path) -> Result<DaemonLock, CliError> {
        make_private_dir(&paths.state)?;
        let mut file = open(&paths.lock_file(), true)?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(error.into()),
                Err(TryLockError::WouldBlock) if start.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(held(paths, &read(&mut file).unwrap_or_default()));
                }
            }
        }
        let holder = Holder {
            pid: std::process::id(),
            mountpoint: mountpoint.to_owned(),
        };
        let text = serde_json::to_string(&holder).map_err(io::Error::other)?;
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(text.as_bytes())?;
        Ok(DaemonLock { _file: file })
    }
}

/// The daemon that holds the state directory now, if one does.
///
/// # Errors
/// The disk's.
pub fn holder(paths: &Paths) -> io::Result<Option<Holder>> {
    let mut file = match open(&paths.lock_file(), false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(read(&mut file).unwrap_or_default())),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn held(paths: &Paths, holder: &Holder) -> CliError {
    let who = if holder.pid == 0 {
        "another panfuse".to_owned()
    } else {
        format!(
            "panfuse with process id {} (mounted at {})",
            holder.pid,
            holder.mountpoint.display()
        )
    };
    CliError::failed(
        "daemon_running",
        format!("{who} holds the state directory {}", paths.state.display()),
    )
    .hint("unmount it first: panfuse umount MOUNTPOINT; or use a --state-dir of its own")
    .with("pid", serde_json::json!(holder.pid))
    .with("mountpoint", serde_json::json!(holder.mountpoint))
}

fn open(path: &Path, create: bool) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(create)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

fn read(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(64 * 1024).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::super::profile::testing::context;
    use super::*;

    #[test]
    fn the_second_daemon_hears_who_is_first() {
        let home = tempfile::tempdir().unwrap();
        let paths = context(home.path()).paths;
        assert_eq!(holder(&paths).unwrap(), None);
        let lock = DaemonLock::acquire(&paths, Path::new("/mnt/one")).unwrap();
        let found = holder(&paths).unwrap().unwrap();
        assert_eq!(found.pid, std::process::id());
        assert_eq!(found.mountpoint, Path::new("/mnt/one"));
        let error = DaemonLock::acquire(&paths, Path::new("/mnt/two")).unwrap_err();
        assert_eq!((error.code.as_str(), error.exit), ("daemon_running", 1));
        assert!(error.message.contains("/mnt/one"), "{}", error.message);
        assert!(error.message.contains(&std::process::id().to_string()));
        drop(lock);
        assert_eq!(holder(&paths).unwrap(), None);
        drop(DaemonLock::acquire(&paths, Path::new("/a/much/longer/path")).unwrap());
        drop(DaemonLock::acquire(&paths, Path::new("/s")).unwrap());
        let text = std::fs::read_to_string(paths.lock_file()).unwrap();
        assert!(serde_json::from_str::<Holder>(&text).is_ok(), "{text}");
    }
}
