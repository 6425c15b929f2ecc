//! A mount from start to stop.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use fuser::{Config, Notifier, Session, SessionACL};
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::adapter::Adapter;
use super::answer::on_a_thread;
use super::attach::attach;
use super::mount_point::{MountPointError, check, unmount_if};
use super::mountinfo::{MountEntry, mounted_at};
use super::notify::{self, News};
use super::options::MountOptions;
use crate::vfs::Vfs;

/// How long a new mount may take to answer.
const START_DEADLINE: Duration = Duration::from_secs(10);

/// How long the threads of a mount that was taken away may take to end. Programs that have files
/// open there keep them longer; they lose them when the process ends.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// Threads that take requests (facts/fuse.md 0).
const THREADS: usize = 2;

/// Why there is no mount.
#[derive(Debug, Error)]
pub enum MountError {
    /// The directory cannot be mounted on.
    #[error(transparent)]
    MountPoint(#[from] MountPointError),
    /// The kernel or `fusermount3` refused.
    #[error("{}: {error}", .path.display())]
    Refused {
        /// The mount point.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It was mounted and did not answer; it is unmounted again.
    #[error("{} was mounted but did not answer: {reason}", .path.display())]
    NoAnswer {
        /// The mount point.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// A file system under a mount point. Unmounted when it is dropped; [`Mounted::stop`] also waits
/// for the end.
pub struct Mounted {
    entry: MountEntry,
    ended: watch::Receiver<bool>,
    news: Arc<News>,
    tellers: Vec<JoinHandle<()>>,
    gone: bool,
}

impl Mounted {
    /// Mounts `vfs` on `path`. Returns when the mount answers. Requests that wait for the network
    /// run on `runtime`, which must have worker threads of its own.
    ///
    /// # Errors
    /// [`MountError`], in words for people; nothing is mounted then.
    pub async fn start(
        vfs: Vfs,
        path: &Path,
        options: &MountOptions,
        runtime: Handle,
    ) -> Result<Mounted, MountError> {
        let (path, options, handle) = (path.to_owned(), options.clone(), runtime.clone());
        let asked = path.clone();
        let mounted =
            runtime.spawn_blocking(move || Mounted::start_blocking(vfs, &path, &options, handle));
        mounted.await.unwrap_or_else(|error| {
            Err(MountError::Refused { path: asked, error: io::Error::other(error.to_string()) })
        })
    }

    fn start_blocking(
        vfs: Vfs,
        path: &Path,
        options: &MountOptions,
        runtime: Handle,
    ) -> Result<Mounted, MountError> {
        let path = check(path)?;
        let refused = |error| MountError::Refused { path: path.clone(), error };
        let device = attach(&path, options).map_err(refused)?;
        let entry = match mounted_at(&path).map_err(refused)? {
            Some(entry) if entry.is_panfuse() => entry,
            _ => return Err(refused(io::Error::other("the mount vanished"))),
        };
        let mut guard = Unmount { entry: &entry, armed: true };

        let news = Arc::new(News::default());
        vfs.on_change(news.clone());
        let (ending, ended) = watch::channel(false);
        let threads = options.threads.unwrap_or(THREADS).max(1);
        let notifier = serve(Adapter::new(vfs, runtime), device, threads, ending)
            .map_err(|error| no_answer(&path, &error.to_string()))?;
        let tellers = notify::start(&news, &notifier).map_err(refused)?;
        // From here on dropping it unmounts.
        guard.armed = false;
        drop(guard);
        let mounted = Mounted { entry, ended, news, tellers, gone: false };
        mounted.probe()?;
        tracing::info!(path = %mounted.path().display(), "mounted");
        Ok(mounted)
    }

    /// Asks the mount for its root, as any program would.
    fn probe(&self) -> Result<(), MountError> {
        let path = self.entry.path.clone();
        match on_a_thread(START_DEADLINE, move || std::fs::metadata(&path)) {
            Some(Ok(meta)) if device_name(meta.dev()) == self.entry.device => Ok(()),
            Some(Ok(_)) => Err(no_answer(self.path(), "something else answers")),
            Some(Err(error)) => Err(no_answer(self.path(), &error.to_string())),
            None => Err(no_answer(self.path(), "no answer in 10 s")),
        }
    }

    /// Where.
    pub fn path(&self) -> &Path {
        &self.entry.path
    }

    /// Ends when the mount is gone: unmounted from outside (`umount`, `fusermount3 -u`), and the
    /// last file on it closed.
    pub async fn wait(&self) {
        // The sender is dropped when the session ends, however it ends.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }

    /// Unmounts, when the mount is still ours, and waits a little for its threads to end.
    ///
    /// # Errors
    /// When it cannot be unmounted.
    pub async fn stop(mut self) -> io::Result<()> {
        self.gone = true;
        let entry = self.entry.clone();
        let result = tokio::task::spawn_blocking(move || unmount_if(&entry))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error.to_string())));
        if result.is_ok() {
            let mut ended = self.ended.clone();
            let _ = tokio::time::timeout(STOP_DEADLINE, ended.wait_for(|ended| *ended)).await;
        }
        self.news.close();
        result.map(|_| ())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if !self.gone
            && let Err(error) = unmount_if(&self.entry)
        {
            tracing::warn!(path = %self.path().display(), %error, "cannot unmount");
        }
        self.news.close();
        // A teller may wait inside the kernel for a program; it ends by itself.
        self.tellers.clear();
    }
}

/// Takes a fresh mount away again when nothing comes of it.
struct Unmount<'a> {
    entry: &'a MountEntry,
    armed: bool,
}

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        if self.armed {
            let _ = unmount_if(self.entry);
        }
    }
}

fn no_answer(path: &Path, reason: &str) -> MountError {
    MountError::NoAnswer { path: path.to_owned(), reason: reason.to_owned() }
}

/// The name of a device number as `/proc/self/mountinfo` writes it.
fn device_name(device: u64) -> String {
    format!("{}:{}", libc::major(device), libc::minor(device))
}

/// Shakes hands with the kernel and answers requests on threads until the mount is gone. The
/// mount belongs to us: fuser only reads and writes the device.
fn serve(
    adapter: Adapter,
    device: std::os::fd::OwnedFd,
    threads: usize,
    ending: watch::Sender<bool>,
) -> io::Result<Notifier> {
    let mut config = Config::default();
    config.n_threads = Some(threads);
    // Who may come in is the kernel's decision (`allow_other`); a second one here would only
    // refuse what an administrator allowed.
    let start = move || Session::from_fd(adapter, device, SessionACL::All, config);
    let session = on_a_thread(START_DEADLINE, start)
        .ok_or_else(|| io::Error::from(io::ErrorKind::TimedOut))??;
    let notifier = session.notifier();
    std::thread::Builder::new().name("fuse-session".to_owned()).spawn(move || {
        if let Err(error) = session.run() {
            tracing::error!(%error, "the FUSE session ended");
        }
        let _ = ending.send(true);
    })?;
    Ok(notifier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_as_in_mountinfo() {
        let meta = std::fs::metadata("/proc").unwrap();
        let entry = mounted_at(Path::new("/proc")).unwrap().unwrap();
        assert_eq!(device_name(meta.dev()), entry.device);
    }

    #[test]
    fn errors_say_where_and_why() {
        let error = no_answer(Path::new("/m"), "no answer in 10 s");
        assert_eq!(error.to_string(), "/m was mounted but did not answer: no answer in 10 s");
    }
}
