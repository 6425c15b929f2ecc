//! One regular file, copied the way coreutils' `cp` does it: through copy_file_range, so that a
//! mount is asked for the whole file at once, and with the answer of `close`, where a mount tells
//! whether the file is stored.

use std::fs::{File, FileTimes, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::sys;

/// Buffer of a copy the kernel does not do, in bytes.
const BUFFER: usize = 1 << 20;

/// What becomes of a file under the target's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Manner {
    /// The source's times and mode.
    pub keep: bool,
    /// Only a new name: nothing may be replaced.
    pub only_new: bool,
}

/// A source as it was when its copy began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    device: u64,
    inode: u64,
    /// Bytes.
    pub size: u64,
    modified: (i64, i64),
}

impl Snapshot {
    pub fn of(found: &Metadata) -> Snapshot {
        Snapshot {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
        }
    }

    /// Whether both are the same file.
    pub fn is_same_file(&self, other: &Snapshot) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// What a copy brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Copied {
    /// Bytes.
    pub bytes: u64,
    /// The source when the copy began.
    pub source: Snapshot,
    /// What could not be kept of the source's times and mode.
    pub remarks: Vec<String>,
}

/// Whether copy_file_range says "not me": then reading and writing does it.
pub(super) fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EXDEV | libc::EOPNOTSUPP | libc::EINVAL | libc::ENOSYS)
    )
}

/// Copies `source` to `target` and closes both. `told` hears how many bytes were copied.
///
/// # Errors
/// What went wrong with which path. A target that this copy made is removed then; one that was
/// there already is left as it is.
pub(super) fn copy_file(
    source: &Path,
    target: &Path,
    manner: Manner,
    told: &mut dyn FnMut(u64),
) -> Result<Copied, String> {
    let about = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let reader = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(source)
        .map_err(|error| about(source, &error))?;
    let found = reader.metadata().map_err(|error| about(source, &error))?;
    if !found.is_file() {
        return Err(about(source, &"not a regular file"));
    }
    let snapshot = Snapshot::of(&found);
    let (writer, made) = open_target(target, &snapshot, &found, manner)?;
    let made = made
        .then(|| writer.metadata().ok())
        .flatten()
        .map(|found| Snapshot::of(&found));
    let mut remarks = Vec::new();
    let outcome = fill(&reader, writer, &found, manner, told, &mut remarks);
    match outcome {
        Ok(bytes) => Ok(Copied {
            bytes,
            source: snapshot,
            remarks: remarks.iter().map(|remark| about(target, remark)).collect(),
        }),
        Err(error) => {
            // Only what this copy made, and only while it still has the name.
            let still = std::fs::symlink_metadata(target).map(|found| Snapshot::of(&found));
            if let (Some(made), Ok(still)) = (made, still)
                && still.is_same_file(&made)
            {
                let _ = std::fs::remove_file(target);
            }
            Err(about(target, &error))
        }
    }
}

/// The target, and whether it was made.
fn open_target(
    target: &Path,
    source: &Snapshot,
    found: &Metadata,
    manner: Manner,
) -> Result<(File, bool), String> {
    let about = |error: &dyn std::fmt::Display| format!("{}: {error}", target.display());
    let mode = found.permissions().mode() & 0o777;
    match std::fs::metadata(target) {
        Ok(_) if manner.only_new => Err(about(&"is there already")),
        Ok(there) if there.is_dir() => Err(about(&"is a directory; a file cannot take its place")),
        Ok(there) if Snapshot::of(&there).is_same_file(source) => {
            Err(about(&"is the same file as the source"))
        }
        Ok(there) if !there.is_file() => Err(about(&"is there and is not a regular file")),
        Ok(_) => OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(target)
            .map(|file| (file, false))
            .map_err(|error| about(&error)),
        Err(_) => OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(target)
            .map(|file| (file, true))
            .map_err(|error| about(&error)),
    }
}

fn fill(
    reader: &File,
    writer: File,
    found: &Metadata,
    manner: Manner,
    told: &mut dyn FnMut(u64),
    remarks: &mut Vec<String>,
) -> io::Result<u64> {
    if manner.keep {
        // Before the bytes, so that a drive that stores a time at upload gets this one; what
        // fails here fails below again and is told there.
        let _ = writer.set_times(times(found));
    }
    let bytes = copy_bytes(reader, &writer, found.size(), told)?;
    if manner.keep {
        if let Err(error) = writer.set_times(times(found)) {
            remarks.push(format!("the times were not kept: {error}"));
        }
        let mode = Permissions::from_mode(found.permissions().mode() & 0o777);
        if let Err(error) = writer.set_permissions(mode) {
            remarks.push(format!("the mode was not kept: {error}"));
        }
    }
    sys::close(writer)?;
    Ok(bytes)
}

/// Both times of a file.
pub(super) fn times(found: &Metadata) -> FileTimes {
    let mut times = FileTimes::new();
    if let Ok(modified) = found.modified() {
        times = times.set_modified(modified);
    }
    if let Ok(accessed) = found.accessed() {
        times = times.set_accessed(accessed);
    }
    times
}

/// Everything up to `size`; what does not tell its size (as in /proc) is read to its end.
fn copy_bytes(
    reader: &File,
    writer: &File,
    size: u64,
    told: &mut dyn FnMut(u64),
) -> io::Result<u64> {
    let mut done = 0;
    while done < size {
        match sys::copy_range(reader, writer, done, size - done) {
            // Some file systems answer 0 where they mean that they cannot.
            Ok(0) => break,
            Ok(copied) => {
                done += copied;
                told(copied);
            }
            Err(error) if is_refusal(&error) => break,
            Err(error) => return Err(error),
        }
    }
    if done < size || size == 0 {
        done = read_and_write(reader, writer, done, told)?;
    }
    if done < size {
        let message = format!("the source ended after {done} of {size} bytes");
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
    }
    Ok(done)
}

/// From `start` to the end of the source. Returns where that is.
fn read_and_write(
    mut reader: &File,
    mut writer: &File,
    start: u64,
    told: &mut dyn FnMut(u64),
) -> io::Result<u64> {
    use std::io::{Seek, SeekFrom};
    reader.seek(SeekFrom::Start(start))?;
    writer.seek(SeekFrom::Start(start))?;
    let mut buffer = vec![0; BUFFER];
    let mut done = start;
    loop {
        let read = match reader.read(&mut buffer) {
            Ok(0) => return Ok(done),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        writer.write_all(buffer.get(..read).unwrap_or_default())?;
        done += read as u64;
        told(read as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::{Duration, SystemTime};

    fn copy(source: &Path, target: &Path, manner: Manner) -> Result<(u64, u64), String> {
        let mut heard = 0;
        let copied = copy_file(source, target, manner, &mut |bytes| heard += bytes)?;
        assert_eq!(copied.remarks, [""; 0]);
        Ok((copied.bytes, heard))
    }

    #[test]
    fn bytes_and_times_arrive() {
        let home = tempfile::tempdir().unwrap();
        let (a, b) = (home.path().join("a"), home.path().join("b"));
        let content: Vec<u8> = (0..3 * BUFFER + 7).map(|i| (i % 251) as u8).collect();
        fs::write(&a, &content).unwrap();
        fs::set_permissions(&a, Permissions::from_mode(0o640)).unwrap();
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let times = FileTimes::new().set_modified(then);
        File::options()
            .append(true)
            .open(&a)
            .unwrap()
            .set_times(times)
            .unwrap();
        // Longer than what replaces it.
        fs::write(&b, vec![1; content.len() + 99]).unwrap();
        let keep = Manner {
            keep: true,
            ..Manner::default()
        };
        let size = content.len() as u64;
        assert_eq!(copy(&a, &b, keep), Ok((size, size)));
        assert_eq!(fs::read(&b).unwrap(), content);
        let found = fs::metadata(&b).unwrap();
        assert_eq!(found.modified().unwrap(), then);
        assert_eq!(found.permissions().mode() & 0o777, 0o640);
        let c = home.path().join("c");
        assert_eq!(copy(&a, &c, Manner::default()), Ok((size, size)));
        assert!(fs::metadata(&c).unwrap().modified().unwrap() > then);
        fs::write(&a, b"").unwrap();
        assert_eq!(copy(&a, &c, Manner::default()), Ok((0, 0)));
        assert_eq!(fs::read(&c).unwrap(), b"");
    }

    #[test]
    fn what_the_kernel_does_not_copy_is_read_and_written() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a");
        let content: Vec<u8> = (0..2 * BUFFER + 5).map(|i| (i % 241) as u8).collect();
        fs::write(&path, &content).unwrap();
        let target = home.path().join("b");
        fs::write(&target, content.get(..BUFFER / 2).unwrap()).unwrap();
        let writer = File::options().write(true).open(&target).unwrap();
        let start = BUFFER as u64 / 2;
        let mut heard = 0;
        let reader = File::open(&path).unwrap();
        let end = read_and_write(&reader, &writer, start, &mut |bytes| heard += bytes).unwrap();
        assert_eq!(
            (end, heard),
            (content.len() as u64, content.len() as u64 - start)
        );
        assert_eq!(fs::read(&target).unwrap(), content);
        // A file of /proc says it is empty and is not.
        let status = home.path().join("status");
        let (bytes, _) = copy(Path::new("/proc/self/status"), &status, Manner::default()).unwrap();
        assert!(bytes > 0);
    }

    #[test]
    fn a_failed_copy_removes_only_what_it_made() {
        let home = tempfile::tempdir().unwrap();
        let (a, b) = (home.path().join("a"), home.path().join("b"));
        fs::write(&a, b"x").unwrap();
        let reader = File::open(&a).unwrap();
        let writer = File::create(&b).unwrap();
        let error = copy_bytes(&reader, &writer, 5, &mut |_| {}).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);

        // /proc/self/mem opens, and reading its start fails.
        let broken = Path::new("/proc/self/mem");
        let made = home.path().join("made");
        copy(broken, &made, Manner::default()).unwrap_err();
        assert!(!made.exists());
        copy(broken, &b, Manner::default()).unwrap_err();
        assert!(b.exists());
    }

    #[test]
    fn targets_that_cannot_be_are_refused_and_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let top = home.path();
        let (a, b) = (top.join("a"), top.join("b"));
        fs::write(&a, b"one").unwrap();
        fs::write(&b, b"two").unwrap();
        fs::hard_link(&a, top.join("hard")).unwrap();
        let only_new = Manner {
            only_new: true,
            ..Manner::default()
        };
        for (source, target, manner, word) in [
            (&a, a.clone(), Manner::default(), "same file"),
            (&a, top.join("hard"), Manner::default(), "same file"),
            (&a, top.to_owned(), Manner::default(), "directory"),
            (&a, b.clone(), only_new, "already"),
            (&top.join("none"), b.clone(), Manner::default(), "none"),
            (&a, top.join("no/b"), Manner::default(), "no/b"),
        ] {
            let error = copy(source, &target, manner).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
        assert_eq!(fs::read(&a).unwrap(), b"one");
        assert_eq!(fs::read(&b).unwrap(), b"two");
    }
}
