//! The system calls the standard library has no form for: everything relative to an open
//! directory and never through a symbolic link.
#![allow(unsafe_code)] // *at(2) calls, statx, FICLONE, getdents64

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What `statx` told of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    pub dev: u64,
    pub ino: u64,
    pub mode: u32,
    pub links: u32,
    pub size: u64,
    pub mtime_ns: i128,
    pub ctime_ns: i128,
    /// Birth in milliseconds since the epoch, 0 when the file system does not tell.
    pub created_ms: i64,
}

impl Stat {
    pub fn is_dir(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFDIR
    }

    pub fn is_file(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFREG
    }
}

fn text(name: &OsStr) -> io::Result<CString> {
    Ok(CString::new(name.as_bytes())?)
}

/// Repeats a call that a signal interrupted; negative answers are errors.
fn check<N: PartialOrd + Default>(mut call: impl FnMut() -> N) -> io::Result<N> {
    loop {
        let answer = call();
        if answer >= N::default() {
            return Ok(answer);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// openat(2); the last component may not be a symbolic link.
pub fn open_at(dir: impl AsFd, name: &OsStr, flags: i32) -> io::Result<OwnedFd> {
    let name = text(name)?;
    let flags = flags | libc::O_CLOEXEC | libc::O_NOFOLLOW;
    let dir = dir.as_fd().as_raw_fd();
    // SAFETY: `dir` is open for the whole call and `name` is NUL-terminated.
    let fd = check(|| unsafe { libc::openat(dir, name.as_ptr(), flags, 0o666) })?;
    // SAFETY: openat just gave this descriptor to us, nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn statx(dir: impl AsFd, name: &OsStr, flags: i32) -> io::Result<Stat> {
    let name = text(name)?;
    let dir = dir.as_fd().as_raw_fd();
    let mut answer = MaybeUninit::<libc::statx>::zeroed();
    let mask = libc::STATX_BASIC_STATS | libc::STATX_BTIME;
    // SAFETY: `dir` is open, `name` is NUL-terminated, `answer` has room for one statx.
    check(|| unsafe { libc::statx(dir, name.as_ptr(), flags, mask, answer.as_mut_ptr()) })?;
    // SAFETY: all zeroes is a valid statx, and the call filled it.
    let answer = unsafe { answer.assume_init() };
    let nanos =
        |t: libc::statx_timestamp| i128::from(t.tv_sec) * 1_000_000_000 + i128::from(t.tv_nsec);
    let created = if answer.stx_mask & libc::STATX_BTIME != 0 {
        i64::try_from(nanos(answer.stx_btime).div_euclid(1_000_000)).unwrap_or(0)
    } else {
        0
    };
    Ok(Stat {
        dev: libc::makedev(answer.stx_dev_major, answer.stx_dev_minor),
        ino: answer.stx_ino,
        mode: u32::from(answer.stx_mode),
        links: answer.stx_nlink,
        size: answer.stx_size,
        mtime_ns: nanos(answer.stx_mtime),
        ctime_ns: nanos(answer.stx_ctime),
        created_ms: created,
    })
}

/// The entry `name` itself, not what a link points to.
pub fn stat_at(dir: impl AsFd, name: &OsStr) -> io::Result<Stat> {
    statx(dir, name, libc::AT_SYMLINK_NOFOLLOW)
}

/// What is open.
pub fn stat_fd(fd: impl AsFd) -> io::Result<Stat> {
    statx(fd, OsStr::new(""), libc::AT_EMPTY_PATH)
}

/// mkdirat(2).
pub fn mkdir_at(dir: impl AsFd, name: &OsStr, mode: u32) -> io::Result<()> {
    let name = text(name)?;
    let dir = dir.as_fd().as_raw_fd();
    // SAFETY: `dir` is open and `name` is NUL-terminated.
    check(|| unsafe { libc::mkdirat(dir, name.as_ptr(), mode) }).map(drop)
}

/// Removes a file, or with `dir_only` an empty directory.
pub fn unlink_at(dir: impl AsFd, name: &OsStr, dir_only: bool) -> io::Result<()> {
    let name = text(name)?;
    let dir = dir.as_fd().as_raw_fd();
    let flags = if dir_only { libc::AT_REMOVEDIR } else { 0 };
    // SAFETY: `dir` is open and `name` is NUL-terminated.
    check(|| unsafe { libc::unlinkat(dir, name.as_ptr(), flags) }).map(drop)
}

fn renameat2(
    from: impl AsFd,
    name: &OsStr,
    to: impl AsFd,
    new_name: &OsStr,
    flags: libc::c_uint,
) -> io::Result<()> {
    let (name, new_name) = (text(name)?, text(new_name)?);
    let (from, to) = (from.as_fd().as_raw_fd(), to.as_fd().as_raw_fd());
    // SAFETY: both directories are open and both names are NUL-terminated. The raw call,
    // because not every C library has the wrapper.
    check(|| unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            from,
            name.as_ptr(),
            to,
            new_name.as_ptr(),
            flags,
        )
    })
    .map(drop)
}

/// Renames and replaces a file of the new name atomically.
pub fn replace(from: impl AsFd, name: &OsStr, to: impl AsFd, new_name: &OsStr) -> io::Result<()> {
    renameat2(from, name, to, new_name, 0)
}

/// Lets two entries change their names, atomically. Not every file system can (NFS, FAT).
pub fn exchange(one: impl AsFd, name: &OsStr, two: impl AsFd, other: &OsStr) -> io::Result<()> {
    renameat2(one, name, two, other, libc::RENAME_EXCHANGE)
}

/// One more name for a file (linkat(2)); a symbolic link is linked itself.
pub fn link(from: impl AsFd, name: &OsStr, to: impl AsFd, new_name: &OsStr) -> io::Result<()> {
    let (name, new_name) = (text(name)?, text(new_name)?);
    let (from, to) = (from.as_fd().as_raw_fd(), to.as_fd().as_raw_fd());
    // SAFETY: both directories are open and both names are NUL-terminated.
    check(|| unsafe { libc::linkat(from, name.as_ptr(), to, new_name.as_ptr(), 0) }).map(drop)
}

/// Renames and refuses with `EEXIST` when the new name is taken.
pub fn rename_new(
    from: impl AsFd,
    name: &OsStr,
    to: impl AsFd,
    new_name: &OsStr,
) -> io::Result<()> {
    let flags = libc::RENAME_NOREPLACE;
    match renameat2(from.as_fd(), name, to.as_fd(), new_name, flags) {
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP)
            ) =>
        {
            rename_new_by_link(from, name, to, new_name)
        }
        other => other,
    }
}

/// [`rename_new`] for file systems without RENAME_NOREPLACE (NFS, some FUSE): a hard link
/// refuses a taken name as well. Where there are no hard links (directories, FAT by FUSE) a
/// look before the rename has to do.
pub fn rename_new_by_link(
    from: impl AsFd,
    name: &OsStr,
    to: impl AsFd,
    new_name: &OsStr,
) -> io::Result<()> {
    match link(from.as_fd(), name, to.as_fd(), new_name) {
        Ok(()) => unlink_at(from, name, false),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
        Err(_) => match stat_at(to.as_fd(), new_name) {
            Ok(_) => Err(io::Error::from_raw_os_error(libc::EEXIST)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                replace(from, name, to, new_name)
            }
            Err(error) => Err(error),
        },
    }
}

/// Makes `target` share all blocks of `source` (reflink).
pub fn clone_file(target: impl AsFd, source: impl AsFd) -> io::Result<()> {
    let (target, source) = (target.as_fd().as_raw_fd(), source.as_fd().as_raw_fd());
    // SAFETY: both descriptors are open; FICLONE takes a descriptor by value and no pointer.
    check(|| unsafe { libc::ioctl(target, libc::FICLONE, source) }).map(drop)
}

/// Reserves space for `size` bytes without changing the length.
pub fn reserve(file: impl AsFd, size: u64) -> io::Result<()> {
    let size =
        libc::off_t::try_from(size).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))?;
    if size == 0 {
        return Ok(());
    }
    let file = file.as_fd().as_raw_fd();
    // SAFETY: `file` is open; the call takes no pointer.
    check(|| unsafe { libc::fallocate(file, libc::FALLOC_FL_KEEP_SIZE, 0, size) }).map(drop)
}

/// Asks the kernel to begin writing a range to the disk, so that the final fsync is short.
/// A hint: errors mean nothing.
pub fn start_writeback(file: impl AsFd, offset: u64, length: u64) {
    let (Ok(offset), Ok(length)) = (i64::try_from(offset), i64::try_from(length)) else {
        return;
    };
    // SAFETY: the descriptor is open; the call takes no pointer.
    unsafe {
        libc::sync_file_range(
            file.as_fd().as_raw_fd(),
            offset,
            length,
            libc::SYNC_FILE_RANGE_WRITE,
        );
    }
}

/// Total bytes of a file system and those an ordinary user may still write.
pub fn space(fd: impl AsFd) -> io::Result<(u64, u64)> {
    let mut answer = MaybeUninit::<libc::statvfs>::zeroed();
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open and `answer` has room for one statvfs.
    check(|| unsafe { libc::fstatvfs(fd, answer.as_mut_ptr()) })?;
    // SAFETY: all zeroes is a valid statvfs, and the call filled it.
    let answer = unsafe { answer.assume_init() };
    let unit = answer.f_frsize.max(1);
    Ok((
        answer.f_blocks.saturating_mul(unit),
        answer.f_bavail.saturating_mul(unit),
    ))
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: OsString,
    /// Where the entry after this one is; the file system's own number.
    pub next: i64,
    /// Whether it is neither a file nor a directory; `false` also when that is not known.
    pub special: bool,
}

/// Continues reading an open directory at a position an [`Entry`] told, 0 for the beginning.
pub fn seek_dir(dir: impl AsFd, position: i64) -> io::Result<()> {
    let dir = dir.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open; the call takes no pointer. Positions may look negative
    // on some file systems, so only -1 is an error.
    let answer = unsafe { libc::lseek(dir, position, libc::SEEK_SET) };
    if answer == -1 && position != -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The next entries of an open directory, without `.` and `..`; `None` at the end.
pub fn read_dir(dir: impl AsFd) -> io::Result<Option<Vec<Entry>>> {
    let mut buffer = vec![0u8; 64 << 10];
    let dir = dir.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open and the kernel writes at most `buffer.len()` bytes.
    let length = check(|| unsafe {
        libc::syscall(libc::SYS_getdents64, dir, buffer.as_mut_ptr(), buffer.len())
    })?;
    buffer.truncate(usize::try_from(length).unwrap_or(0));
    if buffer.is_empty() {
        return Ok(None);
    }
    Ok(Some(entries(&buffer)))
}

/// Takes `struct linux_dirent64` records apart: inode (8 bytes), position of the next (8),
/// length (2), type (1), name with NUL.
fn entries(mut records: &[u8]) -> Vec<Entry> {
    const NAME: usize = 19;
    let mut all = Vec::new();
    while let Some(head) = records.get(..NAME) {
        let next = head.get(8..16).and_then(|b| b.try_into().ok());
        let length = head.get(16..18).and_then(|b| b.try_into().ok());
        let (Some(next), Some(length)) = (next, length) else {
            break;
        };
        let length = usize::from(u16::from_ne_bytes(length));
        let Some(name) = records.get(NAME..length) else {
            break;
        };
        let name = name.split(|b| *b == 0).next().unwrap_or_default();
        if !matches!(name, b"" | b"." | b"..") {
            let kind = head.get(18).copied().unwrap_or(libc::DT_UNKNOWN);
            all.push(Entry {
                name: OsString::from_vec(name.to_vec()),
                next: i64::from_ne_bytes(next),
                special: !matches!(kind, libc::DT_UNKNOWN | libc::DT_REG | libc::DT_DIR),
            });
        }
        records = records.get(length..).unwrap_or_default();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn broken_directory_records_end_the_list() {
        assert!(entries(&[0; 18]).is_empty());
        assert!(entries(&[0; 19]).is_empty(), "a record of length 0");
        let mut record = vec![0u8; 24];
        record[16..18].copy_from_slice(&24u16.to_ne_bytes());
        record[18] = libc::DT_LNK;
        record[19..21].copy_from_slice(b"ab");
        let all = entries(&record);
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].name.to_str(), all[0].special), (Some("ab"), true));
        record[16..18].copy_from_slice(&90u16.to_ne_bytes());
        assert!(entries(&record).is_empty());
    }

    #[test]
    fn without_the_flag_a_taken_name_is_refused_all_the_same() {
        let temp = tempfile::tempdir().unwrap();
        let dir = File::open(temp.path()).unwrap();
        let at = |name: &str| temp.path().join(name);
        std::fs::write(at("a"), "a").unwrap();
        std::fs::write(at("b"), "b").unwrap();
        std::fs::create_dir(at("d")).unwrap();
        std::fs::create_dir(at("e")).unwrap();
        let rename =
            |from: &str, to: &str| rename_new_by_link(&dir, OsStr::new(from), &dir, OsStr::new(to));
        for (from, to) in [("a", "b"), ("d", "e"), ("d", "b")] {
            let error = rename(from, to).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{from} {to}");
        }
        rename("a", "c").unwrap();
        rename("d", "f").unwrap();
        assert!(!at("a").exists() && at("c").is_file() && at("f").is_dir());
        assert_eq!(std::fs::read(at("b")).unwrap(), b"b");
        assert_eq!(
            rename("gone", "x").unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
