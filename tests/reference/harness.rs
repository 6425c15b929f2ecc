//! Runs a sequence against the model and the file system, and compares.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use panfuse::vfs::{Caller, Close, FileKind, FsError, FsResult, SetAttr};
use sha1::{Digest, Sha1};

use crate::generators::{Op, PROFILES, Piece};
use crate::reference::{Entry, Handle, Model, Outcome};
use crate::rig::{Rig, RigOptions};

/// What went wrong, in words.
pub type Check = Result<(), String>;

/// A step that takes longer never ends.
const HANG: Duration = Duration::from_secs(30);

const CHUNK: usize = 128 << 10;

/// Both sides.
pub struct Both {
    pub rig: Rig,
    pub model: Model,
    handles: Vec<(u64, Handle)>,
}

/// Runs a sequence with all comparisons.
pub async fn run(close: Close, ops: &[Op]) -> Check {
    let trace = std::env::var_os("PANFUSE_REFERENCE_TRACE").is_some();
    let mut both = Both::new(close).await;
    for profile in PROFILES {
        for dir in ["d1", "d2"] {
            both.step(&Op::Mkdir(format!("{profile}/{dir}"))).await?;
        }
    }
    for (at, op) in ops.iter().enumerate() {
        let begun = std::time::Instant::now();
        let step = match tokio::time::timeout(HANG, both.step(op)).await {
            Ok(step) => step,
            Err(_) => Err("it hangs".to_owned()),
        };
        if trace {
            eprintln!("{at} {:?} {} {step:?}", begun.elapsed(), brief(op));
        }
        step.map_err(|error| format!("step {at} {}: {error}", brief(op)))?;
    }
    match tokio::time::timeout(2 * HANG, both.finish()).await {
        Ok(finished) => finished,
        Err(_) => Err(format!(
            "the end hangs; transfers {:#?}",
            both.rig.vfs.tasks()
        )),
    }
}

fn brief(op: &Op) -> String {
    format!("{op:?}").chars().take(300).collect()
}

impl Both {
    pub async fn new(close: Close) -> Both {
        let options = RigOptions {
            close,
            ..RigOptions::default()
        };
        let rig = Rig::with(&["aliyundrive_open"], &["disk"], options).await;
        Both {
            rig,
            model: Model::new(&PROFILES),
            handles: Vec::new(),
        }
    }

    /// The last comparisons: before and after everything settled, after a restart, and what the
    /// drives hold.
    pub async fn finish(&mut self) -> Check {
        let begun = std::time::Instant::now();
        let said = |what: &str| {
            if std::env::var_os("PANFUSE_REFERENCE_TRACE").is_some() {
                eprintln!("{:?} {what}", begun.elapsed());
            }
        };
        self.compare_tree()
            .await
            .map_err(|error| format!("at the end: {error}"))?;
        said("at the end");
        self.close_all().await?;
        self.compare_tree()
            .await
            .map_err(|error| format!("closed: {error}"))?;
        said("closed");
        self.settle().await?;
        self.compare_tree()
            .await
            .map_err(|error| format!("settled: {error}"))?;
        said("settled");
        self.compare_drives()?;
        self.restart().await?;
        self.compare_tree()
            .await
            .map_err(|error| format!("restarted: {error}"))?;
        said("restarted");
        for profile in PROFILES {
            let ino = self.rig.ino(profile).await.map_err(words)?;
            self.rig.vfs.refresh(ino, true).await.map_err(words)?;
        }
        self.compare_tree()
            .await
            .map_err(|error| format!("refreshed: {error}"))
    }

    /// One operation on both sides.
    pub async fn step(&mut self, op: &Op) -> Check {
        let op = &op.clone().resolved(|number| {
            let files = self.model.files();
            match files.len() {
                0 => "ali/a.txt".to_owned(),
                count => files[number % count].0.clone(),
            }
        });
        match op {
            Op::Put(path, pieces) => self.write(path, pieces, true, true, false).await,
            Op::Overwrite(path, pieces) => self.write(path, pieces, false, false, false).await,
            Op::Append(path, pieces) => self.write(path, pieces, false, false, true).await,
            Op::Truncate(path, size) => {
                let expected = self.model.file(path).map(|file| {
                    self.model.truncate(file, *size as usize);
                });
                let outcome = match self.rig.ino(path).await {
                    Ok(ino) => self.set_size(ino, *size, None).await,
                    Err(error) => Err(error),
                };
                same(expected, outcome)
            }
            Op::Copy(from, to) => self.copy(from, to).await.map(|_| ()),
            Op::Move(from, to) => {
                if self.copy(from, to).await? {
                    self.unlink(from).await?;
                }
                Ok(())
            }
            Op::CopyRange(from, to, at, into, length) => {
                self.copy_range(from, to, *at, *into, *length).await
            }
            Op::Read(path, offset, length) => {
                let expected = self.model.file(path);
                let outcome = self.read(path, *offset, *length).await;
                let expected =
                    expected.map(|file| cut(&self.model.contents[file], *offset, *length));
                same_bytes(expected, outcome)
            }
            Op::Rename(from, to) => {
                let expected = self.model.rename(from, to);
                same(expected, self.rig.rename(from, to).await)
            }
            Op::Unlink(path) => self.unlink(path).await,
            Op::Replace(path, pieces) => {
                self.unlink(path).await?;
                self.write(path, pieces, true, true, false).await
            }
            Op::Mkdir(path) => {
                let expected = self.model.mkdir(path);
                same(expected, self.rig.mkdir(path).await)
            }
            Op::Rmdir(path) => {
                let expected = self.model.rmdir(path);
                same(expected, self.rig.rmdir(path).await)
            }
            Op::Utimens(path, seconds) => self.utimens(path, *seconds).await,
            Op::List(path) => self.list(path).await,
            Op::Open(path, create, truncate) => self.open(path, *create, *truncate).await,
            Op::WriteHandle(slot, piece) => {
                let Some((handle, known)) = self.handle(*slot) else {
                    return Ok(());
                };
                self.write_pieces(handle, known, std::slice::from_ref(piece))
                    .await
            }
            Op::ReadHandle(slot, offset, length) => {
                let Some((handle, known)) = self.handle(*slot) else {
                    return Ok(());
                };
                let expected = cut(&self.model.contents[known.file], *offset, *length);
                let outcome = self.read_all(handle, *offset, *length).await;
                same_bytes(Ok(expected), outcome)
            }
            Op::TruncateHandle(slot, size) => {
                let Some((handle, known)) = self.handle(*slot) else {
                    return Ok(());
                };
                if !known.write {
                    return Ok(());
                }
                self.model.truncate(known.file, *size as usize);
                let Some(ino) = self.ino_of(known.file).await else {
                    return Ok(());
                };
                same(Ok(()), self.set_size(ino, *size, Some(handle)).await)
            }
            Op::FsyncHandle(slot) => {
                let Some((handle, _)) = self.handle(*slot) else {
                    return Ok(());
                };
                same(Ok(()), self.rig.vfs.fsync(handle, &Caller::own()).await)
            }
            Op::Close(slot, flush) => self.close(*slot, *flush).await,
            Op::Settle => self.settle().await,
            Op::Refresh(path) => {
                let expected = match self.model.at(path) {
                    Ok(Entry::Dir) => Ok(()),
                    Ok(Entry::File(_)) => return Ok(()),
                    Err(error) => Err(error),
                };
                let outcome = match self.rig.ino(path).await {
                    Ok(ino) => self.rig.vfs.refresh(ino, true).await.map(|_| ()),
                    Err(error) => Err(error),
                };
                same(expected, outcome)
            }
            Op::Restart => {
                self.close_all().await?;
                self.settle().await?;
                self.restart().await
            }
        }
    }

    async fn write(
        &mut self,
        path: &str,
        pieces: &[Piece],
        create: bool,
        truncate: bool,
        append: bool,
    ) -> Check {
        let expected = if create {
            self.model.create(path, truncate)
        } else {
            self.model.file(path)
        };
        let flags = if append { libc::O_APPEND } else { 0 };
        let opened = if create {
            self.rig.create(path).await
        } else {
            self.open_at(path, flags).await
        };
        let (file, handle) = match (expected, opened) {
            (Ok(file), Ok(handle)) => (file, handle),
            (expected, opened) => return same(expected.map(|_| ()), opened.map(|_| ())),
        };
        let known = Handle {
            file,
            write: true,
            append,
        };
        self.write_pieces(handle, known, pieces).await?;
        let flushed = self.rig.vfs.flush(handle, &Caller::own()).await;
        self.rig.vfs.release(handle);
        same(Ok(()), flushed)
    }

    async fn open_at(&self, path: &str, flags: i32) -> FsResult<u64> {
        let ino = self.rig.ino(path).await?;
        Ok(self
            .rig
            .vfs
            .open(ino, libc::O_RDWR | flags, &Caller::own())?
            .handle)
    }

    async fn write_pieces(&mut self, handle: u64, known: Handle, pieces: &[Piece]) -> Check {
        for piece in pieces {
            let bytes = piece.bytes();
            let mut offset = u64::from(piece.offset);
            let at = if known.append {
                self.model.contents[known.file].len()
            } else {
                piece.offset as usize
            };
            if !known.write {
                let refused = self.rig.vfs.write(handle, offset, &bytes).await;
                return same(Err(libc::EBADF), refused.map(|_| ()));
            }
            self.model.write(known.file, at, &bytes);
            for chunk in bytes.chunks(CHUNK) {
                let written = match self.rig.vfs.write_now(handle, offset, chunk) {
                    Some(written) => written,
                    None => self.rig.vfs.write(handle, offset, chunk).await,
                };
                same(Ok(()), written.map(|_| ()))?;
                offset += chunk.len() as u64;
            }
        }
        Ok(())
    }

    /// As `cp` does. True when it was done.
    async fn copy(&mut self, from: &str, to: &str) -> Result<bool, String> {
        let source = self.model.file(from);
        if let (Ok(source), Ok(target)) = (&source, self.model.file(to))
            && *source == target
        {
            // cp refuses this itself.
            return Ok(false);
        }
        let source = match (source, self.open_at(from, 0).await) {
            (Ok(source), Ok(handle)) => (source, handle),
            (source, handle) => {
                same(source.map(|_| ()), handle.map(|_| ()))?;
                return Ok(false);
            }
        };
        let target = match (self.model.create(to, true), self.rig.create(to).await) {
            (Ok(target), Ok(handle)) => (target, handle),
            (target, handle) => {
                self.rig.vfs.release(source.1);
                same(target.map(|_| ()), handle.map(|_| ()))?;
                return Ok(false);
            }
        };
        self.model.contents[target.0] = self.model.contents[source.0].clone();
        let size = self.model.contents[source.0].len() as u64;
        let copied = self.copy_pieces(source.1, target.1, 0, 0, size).await;
        let flushed = self.rig.vfs.flush(target.1, &Caller::own()).await;
        self.rig.vfs.release(target.1);
        self.rig.vfs.release(source.1);
        same(Ok(()), copied)?;
        same(Ok(()), flushed)?;
        Ok(true)
    }

    /// copy_file_range until it is done, with the kernel's way out.
    async fn copy_pieces(
        &self,
        from: u64,
        to: u64,
        mut at: u64,
        mut into: u64,
        mut left: u64,
    ) -> FsResult<()> {
        let caller = Caller::own();
        while left > 0 {
            let copied = self
                .rig
                .vfs
                .copy_range((from, at), (to, into), left, &caller)
                .await;
            let bytes = match copied {
                Ok(0) => return Ok(()),
                Ok(bytes) => bytes,
                Err(error) if error.errno == libc::EOPNOTSUPP => {
                    let piece = self.rig.vfs.read(from, at, left.min(CHUNK as u64)).await?;
                    if piece.is_empty() {
                        return Ok(());
                    }
                    u64::from(self.rig.vfs.write(to, into, &piece).await?)
                }
                Err(error) => return Err(error),
            };
            at += bytes;
            into += bytes;
            left -= bytes.min(left);
        }
        Ok(())
    }

    async fn copy_range(&mut self, from: &str, to: &str, at: u32, into: u32, length: u32) -> Check {
        let (Ok(source), Ok(target)) = (self.model.file(from), self.model.file(to)) else {
            return Ok(());
        };
        if source == target {
            return Ok(());
        }
        let source_handle = self.open_at(from, 0).await.map_err(words)?;
        let target_handle = self.open_at(to, 0).await.map_err(words)?;
        let bytes = cut(&self.model.contents[source], at, length);
        self.model.write(target, into as usize, &bytes);
        let (at, into, length) = (u64::from(at), u64::from(into), u64::from(length));
        let copied = self
            .copy_pieces(source_handle, target_handle, at, into, length)
            .await;
        self.rig.vfs.release(source_handle);
        let flushed = self.rig.vfs.flush(target_handle, &Caller::own()).await;
        self.rig.vfs.release(target_handle);
        same(Ok(()), copied)?;
        same(Ok(()), flushed)
    }

    async fn read(&self, path: &str, offset: u32, length: u32) -> FsResult<Vec<u8>> {
        let ino = self.rig.ino(path).await?;
        let handle = self
            .rig
            .vfs
            .open(ino, libc::O_RDONLY, &Caller::own())?
            .handle;
        let read = self.read_all(handle, offset, length).await;
        self.rig.vfs.release(handle);
        read
    }

    async fn read_all(&self, handle: u64, offset: u32, length: u32) -> FsResult<Vec<u8>> {
        let mut all = Vec::new();
        while all.len() < length as usize {
            let left = (length as usize - all.len()).min(CHUNK) as u64;
            let piece = self
                .rig
                .vfs
                .read(handle, u64::from(offset) + all.len() as u64, left)
                .await?;
            if piece.is_empty() {
                break;
            }
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }

    async fn unlink(&mut self, path: &str) -> Check {
        let expected = self.model.unlink(path);
        same(expected, self.rig.rm(path).await)
    }

    async fn set_size(&self, ino: u64, size: u32, handle: Option<u64>) -> FsResult<()> {
        let change = SetAttr {
            size: Some(u64::from(size)),
            handle,
            ..SetAttr::default()
        };
        self.rig.vfs.setattr(ino, change).await.map(|_| ())
    }

    async fn utimens(&mut self, path: &str, seconds: u32) -> Check {
        let time = i64::from(seconds) * 1_000_000_000;
        let file = self.model.file(path);
        if file == Err(libc::EISDIR) {
            return Ok(());
        }
        let change = SetAttr {
            mtime_ns: Some(time),
            ..SetAttr::default()
        };
        let outcome = match self.rig.ino(path).await {
            Ok(ino) => self
                .rig
                .vfs
                .setattr(ino, change)
                .await
                .map(|attr| attr.mtime_ns),
            Err(error) => Err(error),
        };
        if let (Ok(file), Ok(shown)) = (&file, &outcome) {
            self.model.times.insert(*file, time);
            if *shown != time {
                return Err(format!("mtime {shown} instead of {time}"));
            }
        }
        same(file.map(|_| ()), outcome.map(|_| ()))
    }

    async fn list(&self, path: &str) -> Check {
        let expected = match self.model.at(path) {
            Ok(Entry::Dir) => self.model.names(path),
            Ok(Entry::File(_)) => return Ok(()),
            Err(error) => return same(Err(error), self.rig.ino(path).await.map(|_| ())),
        };
        let names = self.rig.names(path).await;
        if names == expected {
            Ok(())
        } else {
            Err(format!("{path}: {names:?} instead of {expected:?}"))
        }
    }

    async fn open(&mut self, path: &str, create: bool, truncate: bool) -> Check {
        if self.handles.len() >= 4 {
            return Ok(());
        }
        let (expected, opened) = if create {
            (self.model.create(path, true), self.rig.create(path).await)
        } else {
            let expected = self.model.create_existing(path, truncate);
            let flags = if truncate { libc::O_TRUNC } else { 0 };
            (expected, self.open_at(path, flags).await)
        };
        match (expected, opened) {
            (Ok(file), Ok(handle)) => {
                self.handles.push((
                    handle,
                    Handle {
                        file,
                        write: true,
                        append: false,
                    },
                ));
                Ok(())
            }
            (expected, opened) => same(expected.map(|_| ()), opened.map(|_| ())),
        }
    }

    fn handle(&self, slot: u8) -> Option<(u64, Handle)> {
        let count = self.handles.len();
        (count > 0).then(|| self.handles[usize::from(slot) % count])
    }

    async fn ino_of(&self, file: usize) -> Option<u64> {
        let path = self
            .model
            .files()
            .into_iter()
            .find(|(_, known)| *known == file)?
            .0;
        self.rig.ino(&path).await.ok()
    }

    async fn close(&mut self, slot: u8, flush: bool) -> Check {
        let count = self.handles.len();
        if count == 0 {
            return Ok(());
        }
        let (handle, _) = self.handles.remove(usize::from(slot) % count);
        let flushed = if flush {
            self.rig.vfs.flush(handle, &Caller::own()).await
        } else {
            Ok(())
        };
        self.rig.vfs.release(handle);
        same(Ok(()), flushed)
    }

    async fn close_all(&mut self) -> Check {
        while !self.handles.is_empty() {
            self.close(0, true).await?;
        }
        Ok(())
    }

    /// Waits until nothing is on its way any more.
    pub async fn settle(&mut self) -> Check {
        let engine = self.rig.vfs.engine().clone();
        let mut quiet = 0;
        for _ in 0..600 {
            let unfinished = self.unfinished().await;
            engine.wait_idle(None).await;
            engine.finish_all_holds().await;
            let journaled = engine.journaled().map_err(|error| error.to_string())?;
            if journaled.is_empty() && engine.parked() == 0 && engine.pending() == 0 && !unfinished
            {
                // A file that was closed without a FLUSH is queued behind: look again.
                quiet += 1;
                if quiet == 3 {
                    return Ok(());
                }
            } else {
                quiet = 0;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let tasks = self.rig.vfs.tasks();
        let tasks: Vec<_> = tasks
            .iter()
            .filter(|task| task["state"] != "done")
            .collect();
        Err(format!(
            "it does not settle: parked {}, journal {:#?}, tasks {tasks:#?}",
            engine.parked(),
            engine.journaled(),
        ))
    }

    /// Whether a closed file is not on its way yet (it was closed without a FLUSH).
    async fn unfinished(&self) -> bool {
        for (path, file) in self.model.files() {
            if self.handles.iter().any(|(_, handle)| handle.file == file) {
                continue;
            }
            if let Ok(ino) = self.rig.ino(&path).await
                && let Ok(attr) = self.rig.vfs.getattr(ino)
                && !attr.stable
            {
                return true;
            }
        }
        false
    }

    async fn restart(&mut self) -> Check {
        self.rig.vfs.engine().catalog().flush();
        self.rig.restart().await;
        let recovered = self.rig.vfs.status()["recoveredFiles"].clone();
        if recovered != 0 {
            return Err(format!(
                "{recovered} files were recovered after a clean end"
            ));
        }
        Ok(())
    }

    async fn compare_tree(&self) -> Check {
        for dir in self.model.dirs() {
            self.list(&dir).await?;
        }
        for (path, file) in self.model.files() {
            let content = &self.model.contents[file];
            let ino = self.rig.ino(&path).await.map_err(words)?;
            let attr = self.rig.vfs.getattr(ino).map_err(words)?;
            if attr.kind != FileKind::File || attr.size != content.len() as u64 {
                return Err(format!(
                    "{path}: {attr:?} instead of {} bytes",
                    content.len()
                ));
            }
            if let Some(time) = self.model.times.get(&file)
                && attr.mtime_ns != *time
            {
                return Err(format!("{path}: mtime {} instead of {time}", attr.mtime_ns));
            }
            let read = self.rig.get(&path).await;
            same_bytes(Ok(content.clone()), read).map_err(|error| format!("{path}: {error}"))?;
        }
        Ok(())
    }

    /// What the drives hold: every file with its bytes, and nothing else.
    pub fn compare_drives(&self) -> Check {
        for profile in PROFILES {
            let expected = self.expected_at(profile);
            let found = match profile {
                "disk" => on_disk(&self.rig.dir.path().join("locals/disk")),
                _ => self.at_simulator(profile)?,
            };
            if found != expected {
                return Err(format!(
                    "{profile} holds {found:#?} instead of {expected:#?}"
                ));
            }
            if profile != "disk" && self.rig.uploads(profile) > 0 {
                return Err(format!(
                    "{} uploads are open on {profile}",
                    self.rig.uploads(profile)
                ));
            }
        }
        let used = self.rig.vfs.engine().stage().used();
        if used > 0 {
            return Err(format!("{used} bytes stay in the stage"));
        }
        Ok(())
    }

    fn expected_at(&self, profile: &str) -> Vec<(String, String)> {
        let below = format!("{profile}/");
        let mut all: Vec<(String, String)> = self
            .model
            .entries
            .iter()
            .filter_map(|(path, entry)| {
                let path = format!("/{}", path.strip_prefix(&below)?);
                Some(match entry {
                    Entry::Dir => (path, "dir".to_owned()),
                    Entry::File(file) => (path, digest(&self.model.contents[*file])),
                })
            })
            .collect();
        all.sort();
        all
    }

    fn at_simulator(&self, profile: &str) -> Result<Vec<(String, String)>, String> {
        let tree = self
            .rig
            .world
            .tree(profile)
            .map_err(|error| error.to_string())?;
        let mut all: Vec<(String, String)> = tree["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|item| item["trashed"] == false && item["pending"] == false)
            .filter(|item| item["path"] != "/" && item["path"] != "")
            .map(|item| {
                let path = item["path"].as_str().unwrap_or("").to_owned();
                let kind = if item["dir"] == true {
                    "dir".to_owned()
                } else {
                    item["sha1"].as_str().unwrap_or("").to_lowercase()
                };
                (path, kind)
            })
            .collect();
        all.sort();
        Ok(all)
    }
}

impl Model {
    fn create_existing(&mut self, path: &str, truncate: bool) -> Outcome<usize> {
        self.file(path)?;
        self.create(path, truncate)
    }
}

fn on_disk(top: &Path) -> Vec<(String, String)> {
    fn walk(dir: &Path, at: &str, all: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if at.is_empty() && name == ".panfuse-trash" {
                continue;
            }
            let path = format!("{at}/{name}");
            if entry.file_type().unwrap().is_dir() {
                walk(&entry.path(), &path, all);
                all.insert(path, "dir".to_owned());
            } else {
                all.insert(path, digest(&std::fs::read(entry.path()).unwrap()));
            }
        }
    }
    let mut all = BTreeMap::new();
    walk(top, "", &mut all);
    all.into_iter().collect()
}

fn digest(bytes: &[u8]) -> String {
    Sha1::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn cut(bytes: &[u8], offset: u32, length: u32) -> Vec<u8> {
    let start = (offset as usize).min(bytes.len());
    let end = (start + length as usize).min(bytes.len());
    bytes[start..end].to_vec()
}

fn words(error: FsError) -> String {
    error.to_string()
}

fn same(expected: Outcome, found: FsResult<()>) -> Check {
    match (expected, found) {
        (Ok(()), Ok(())) => Ok(()),
        (Err(errno), Err(error)) if errno == error.errno => Ok(()),
        (expected, Ok(())) => Err(format!("success instead of {expected:?}")),
        (expected, Err(error)) => Err(format!("{error} ({}) instead of {expected:?}", error.errno)),
    }
}

fn same_bytes(expected: Outcome<Vec<u8>>, found: FsResult<Vec<u8>>) -> Check {
    match (expected, found) {
        (Ok(expected), Ok(found)) if expected == found => Ok(()),
        (Ok(expected), Ok(found)) => {
            let differ = expected.iter().zip(&found).position(|(a, b)| a != b);
            Err(format!(
                "{} bytes instead of {}, the first difference at {differ:?}",
                found.len(),
                expected.len()
            ))
        }
        (expected, found) => same(expected.map(|_| ()), found.map(|_| ())),
    }
}
