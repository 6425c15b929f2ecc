//! The stage: a directory with the bytes of drafts, within a budget.
//!
//! Every draft with bytes of its own has two files: `<id>.data` and `<id>.json` (a note that
//! says where it belongs). Bytes a user wrote are *protected*: only [`StageFile::discard`]
//! deletes them. What is found at start without a journal entry was open when we died and
//! is kept for the user under `.panfuse/recovered/`.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::space_of;
use crate::drive::{DriveError, ErrorKind, Result};

/// Free disk is looked at again after this much growth.
const LOOK_EVERY: u64 = 64 << 20;

/// Where a staged draft belongs; for people who look at what a crash left.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageNote {
    /// Name of the profile.
    pub profile: String,
    /// Path below the profile's directory.
    pub path: String,
    /// When it was begun, milliseconds since the epoch.
    pub begun: i64,
}

/// Why bytes cannot be staged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageError {
    /// This file alone is larger than the stage or the disk: no waiting helps.
    CannotFit,
    /// Other files hold the space; uploads under way will free it.
    FullNow,
}

/// Something found at start.
#[derive(Clone, Debug)]
pub struct LeftOver {
    /// Id of the stage file.
    pub id: String,
    /// Where its bytes are.
    pub data: PathBuf,
    /// Bytes.
    pub size: u64,
    /// Where it belongs, when the note could be read.
    pub note: StageNote,
}

/// The directory of staged bytes.
pub struct Stage {
    dir: PathBuf,
    budget: u64,
    reserve: u64,
    used: AtomicU64,
    looked_at: AtomicU64,
    freed: Notify,
}

impl Stage {
    /// Opens the stage; `budget` bytes at most, and `reserve` bytes of the disk are left free.
    ///
    /// # Errors
    /// When the directory cannot be made or read.
    pub fn open(dir: &Path, budget: u64, reserve: u64) -> io::Result<Arc<Stage>> {
        std::fs::create_dir_all(dir)?;
        let mut used = 0;
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if entry.path().extension().is_some_and(|end| end == "data") {
                used += entry.metadata()?.len();
            }
        }
        Ok(Arc::new(Stage {
            dir: dir.to_owned(),
            budget,
            reserve,
            used: AtomicU64::new(used),
            looked_at: AtomicU64::new(used),
            freed: Notify::new(),
        }))
    }

    /// Bytes staged now.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes it may hold.
    pub fn budget(&self) -> u64 {
        self.budget
    }

    /// Whether `bytes` more would fit now.
    pub fn has_room_for(&self, bytes: u64) -> bool {
        self.used().saturating_add(bytes) <= self.budget
            && space_of(&self.dir)
                .is_ok_and(|space| space.available >= bytes.saturating_add(self.reserve))
    }

    /// What is in the directory now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn left_overs(&self) -> io::Result<Vec<LeftOver>> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            let data = entry?.path();
            if data.extension().is_none_or(|end| end != "data") {
                continue;
            }
            let Some(id) = data
                .file_stem()
                .and_then(|id| id.to_str())
                .map(str::to_owned)
            else {
                continue;
            };
            let note = std::fs::read(data.with_extension("json"))
                .ok()
                .and_then(|text| serde_json::from_slice(&text).ok())
                .unwrap_or_default();
            let size = std::fs::metadata(&data).map_or(0, |data| data.len());
            all.push(LeftOver {
                id,
                data,
                size,
                note,
            });
        }
        all.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(all)
    }

    /// A new empty stage file.
    ///
    /// # Errors
    /// `LocalDisk` or `LocalFull` with the reason.
    pub fn create(self: &Arc<Self>, note: &StageNote) -> Result<Arc<StageFile>> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let path = self.dir.join(format!("{id}.data"));
        let note = serde_json::to_vec(note).unwrap_or_default();
        std::fs::write(path.with_extension("json"), note).map_err(disk_error)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(disk_error)?;
        Ok(self.file(id, path, file, 0))
    }

    /// A stage file that the journal names.
    ///
    /// # Errors
    /// `LocalDisk` when it is gone.
    pub fn reopen(self: &Arc<Self>, id: &str) -> Result<Arc<StageFile>> {
        let path = self.dir.join(format!("{id}.data"));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(disk_error)?;
        let size = file.metadata().map_err(disk_error)?.len();
        let file = self.file(id.to_owned(), path, file, size);
        file.protected.store(true, Ordering::Relaxed);
        Ok(file)
    }

    fn file(self: &Arc<Self>, id: String, path: PathBuf, file: File, size: u64) -> Arc<StageFile> {
        Arc::new(StageFile {
            id,
            path,
            file,
            stage: self.clone(),
            charged: AtomicU64::new(size),
            protected: AtomicBool::new(false),
            discarded: AtomicBool::new(false),
            kept: AtomicBool::new(false),
        })
    }

    fn charge(&self, file_size: u64, grow: u64) -> std::result::Result<(), StageError> {
        if file_size.saturating_add(grow) > self.budget {
            return Err(StageError::CannotFit);
        }
        let used = self.used.fetch_add(grow, Ordering::Relaxed) + grow;
        let full = used > self.budget || {
            let looked = self.looked_at.load(Ordering::Relaxed);
            let look = used.abs_diff(looked) >= LOOK_EVERY || grow >= LOOK_EVERY;
            look && {
                self.looked_at.store(used, Ordering::Relaxed);
                space_of(&self.dir)
                    .is_ok_and(|space| space.available < self.reserve.saturating_add(grow))
            }
        };
        if full {
            // Nothing was freed: nobody is woken, or two that wait would wake each other for ever.
            self.give_back(grow);
            return Err(StageError::FullNow);
        }
        Ok(())
    }

    fn uncharge(&self, bytes: u64) {
        self.give_back(bytes);
        self.freed.notify_waiters();
    }

    fn give_back(&self, bytes: u64) {
        let _ = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                Some(used.saturating_sub(bytes))
            });
    }

    /// Resolves when something is freed after this call.
    pub fn freed(&self) -> Notified<'_> {
        self.freed.notified()
    }
}

/// One staged file. Deleted when dropped unless it is protected.
pub struct StageFile {
    id: String,
    path: PathBuf,
    file: File,
    stage: Arc<Stage>,
    charged: AtomicU64,
    protected: AtomicBool,
    discarded: AtomicBool,
    kept: AtomicBool,
}

impl StageFile {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where its bytes are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `bytes` at `offset`. Blocks for the local disk only.
    ///
    /// # Errors
    /// `Err(Ok(stage error))` when there is no room, `Err(Err(..))` when the disk fails.
    pub fn write(
        &self,
        offset: u64,
        bytes: &[u8],
    ) -> std::result::Result<(), std::result::Result<StageError, DriveError>> {
        let end = offset.saturating_add(bytes.len() as u64);
        let charged = self.charged.load(Ordering::Relaxed);
        if end > charged {
            self.stage.charge(charged, end - charged).map_err(Ok)?;
            self.charged.store(end, Ordering::Relaxed);
        }
        self.file
            .write_all_at(bytes, offset)
            .map_err(|error| Err(disk_error(error)))
    }

    /// Reads a range that was written before. Blocks for the local disk only.
    ///
    /// # Errors
    /// `LocalDisk`.
    pub fn read_now(&self, range: Range<u64>) -> Result<Bytes> {
        let length = usize::try_from(range.end.saturating_sub(range.start))
            .map_err(|_| DriveError::new(ErrorKind::TooLarge, "range larger than the memory"))?;
        let mut buffer = vec![0; length];
        self.file
            .read_exact_at(&mut buffer, range.start)
            .map_err(disk_error)?;
        Ok(Bytes::from(buffer))
    }

    /// The same off the runtime's threads.
    ///
    /// # Errors
    /// `LocalDisk`.
    pub async fn read(self: &Arc<Self>, range: Range<u64>) -> Result<Bytes> {
        let file = self.clone();
        match tokio::task::spawn_blocking(move || file.read_now(range)).await {
            Ok(answer) => answer,
            Err(_) => Err(DriveError::new(
                ErrorKind::LocalDisk,
                "reading the stage was cancelled",
            )),
        }
    }

    /// From now on only [`StageFile::discard`] deletes it.
    pub fn protect(&self) {
        self.protected.store(true, Ordering::Relaxed);
    }

    /// Makes its bytes durable, and protects it.
    ///
    /// # Errors
    /// Those of fsync(2).
    pub fn persist(&self) -> io::Result<()> {
        self.protect();
        self.file.sync_all()?;
        File::open(&self.stage.dir)?.sync_all()
    }

    /// It is deleted as soon as nobody uses it any more.
    pub fn discard(&self) {
        self.discarded.store(true, Ordering::Relaxed);
    }

    /// It stays in the stage whatever happens (a killed writer's bytes).
    pub fn keep(&self) {
        self.protect();
        self.kept.store(true, Ordering::Relaxed);
    }
}

impl Drop for StageFile {
    fn drop(&mut self) {
        let unwanted =
            self.discarded.load(Ordering::Relaxed) || !self.protected.load(Ordering::Relaxed);
        if unwanted && !self.kept.load(Ordering::Relaxed) {
            let _ = std::fs::remove_file(&self.path);
            let _ = std::fs::remove_file(self.path.with_extension("json"));
            self.stage.uncharge(self.charged.load(Ordering::Relaxed));
        }
    }
}

/// An error of the local disk.
fn disk_error(error: io::Error) -> DriveError {
    let kind = match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => ErrorKind::LocalFull,
        _ => ErrorKind::LocalDisk,
    };
    DriveError::new(kind, format!("stage: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_fit_is_told_apart_from_a_full_stage() {
        let dir = tempfile::tempdir().unwrap();
        let stage = Stage::open(dir.path(), 100, 0).unwrap();
        let one = stage.create(&StageNote::default()).unwrap();
        one.write(0, &[1; 80]).unwrap();
        assert!(matches!(
            one.write(80, &[1; 40]),
            Err(Ok(StageError::CannotFit))
        ));
        let two = stage.create(&StageNote::default()).unwrap();
        assert!(matches!(
            two.write(0, &[1; 40]),
            Err(Ok(StageError::FullNow))
        ));
        drop(one);
        two.write(0, &[1; 40]).unwrap();
        assert_eq!(stage.used(), 40);
    }

    #[test]
    fn protected_bytes_outlive_us() {
        let dir = tempfile::tempdir().unwrap();
        let stage = Stage::open(dir.path(), 1000, 0).unwrap();
        let file = stage
            .create(&StageNote {
                profile: "ali".into(),
                path: "a/b".into(),
                begun: 1,
            })
            .unwrap();
        file.write(0, b"user data").unwrap();
        file.protect();
        drop(file);
        let left = stage.left_overs().unwrap();
        assert_eq!(
            (left.len(), left[0].note.path.as_str(), left[0].size),
            (1, "a/b", 9)
        );
        let again = stage.reopen(&left[0].id).unwrap();
        assert_eq!(&again.read_now(5..9).unwrap()[..], b"data");
        again.discard();
        drop(again);
        assert!(stage.left_overs().unwrap().is_empty());
        assert_eq!(stage.used(), 0);
    }
}
