//! Attributes, times, names, errnos and flags between the kernel's words and ours.

use std::ffi::OsStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{Errno, FileAttr, FileType, FopenFlags, INodeNo, Request, TimeOrNow};

use crate::vfs::{Attr, Caller, FileKind, FsError, FsResult, Opened, Settings};

/// Preferred size of a read or write. The kernel reads ahead by 128 KiB and `cp` never takes
/// less; programs with buffers of this size (Python, stdio) fetch that much after every seek, so
/// a larger one would cost bytes on the wire.
const BLOCK: u32 = 128 << 10;

/// Longest name, bytes. The kernel lets up to 1024 through; fuser checks nothing.
const NAME_MAX: usize = 255;

/// Bytes of a block in the answer to statfs.
pub(super) const STATFS_BLOCK: u32 = 4096;

/// Largest answer to copy_file_range: it has 32 bits, and a piece that ends inside a page would
/// make the next one unaligned.
pub(super) const COPY_MAX: u64 = 0xffff_f000;

/// Namespace of our xattrs.
const XATTR_PREFIX: &str = "user.pan.";

/// Attributes as the kernel takes them.
pub(super) fn attr(attr: &Attr, settings: &Settings) -> FileAttr {
    let (kind, nlink) = match attr.kind {
        FileKind::Dir => (FileType::Directory, 2),
        FileKind::File => (FileType::RegularFile, 1),
    };
    FileAttr {
        ino: INodeNo(attr.ino),
        size: attr.size,
        // Never fewer than the size needs, else `cp` takes the file for sparse (facts B2).
        blocks: attr.size.div_ceil(512),
        atime: time(attr.atime_ns),
        mtime: time(attr.mtime_ns),
        ctime: time(attr.ctime_ns),
        crtime: UNIX_EPOCH,
        kind,
        perm: attr.perm & 0o7777,
        nlink,
        uid: settings.uid,
        gid: settings.gid,
        rdev: 0,
        blksize: BLOCK,
        flags: 0,
    }
}

/// How long the kernel may remember these attributes.
pub(super) fn ttl(attr: &Attr, settings: &Settings) -> Duration {
    if attr.stable {
        settings.kernel_ttl
    } else {
        Duration::ZERO
    }
}

/// A time from nanoseconds since the epoch, also before it.
pub(super) fn time(ns: i64) -> SystemTime {
    let distance = Duration::from_nanos(ns.unsigned_abs());
    let time = if ns < 0 {
        UNIX_EPOCH.checked_sub(distance)
    } else {
        UNIX_EPOCH.checked_add(distance)
    };
    time.unwrap_or(UNIX_EPOCH)
}

/// Nanoseconds since the epoch of a time in a setattr request, clamped to 1677..2262.
///
/// fuser 0.18 reads a time before 1970 wrong: from (-2 s, +0.3 s) it makes 2.3 s before the
/// epoch instead of 1.7 s. The seconds and the fraction are taken apart again here.
pub(super) fn requested_time(time: TimeOrNow) -> i64 {
    match time {
        TimeOrNow::Now => nanoseconds(SystemTime::now()),
        TimeOrNow::SpecificTime(time) => match UNIX_EPOCH.duration_since(time) {
            Ok(before) if before.subsec_nanos() != 0 => {
                let seconds = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
                seconds
                    .saturating_mul(-1_000_000_000)
                    .saturating_add(i64::from(before.subsec_nanos()))
            }
            _ => nanoseconds(time),
        },
    }
}

fn nanoseconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    }
}

/// A name that is looked for. One that is not UTF-8 cannot be on any drive.
///
/// # Errors
/// ENAMETOOLONG, ENOENT.
pub(super) fn existing_name(name: &OsStr) -> FsResult<&str> {
    if name.len() > NAME_MAX {
        return Err(FsError::new(libc::ENAMETOOLONG));
    }
    name.to_str().ok_or(FsError::new(libc::ENOENT))
}

/// A name that is to be made.
///
/// # Errors
/// ENAMETOOLONG, EINVAL when it is not UTF-8.
pub(super) fn new_name(name: &OsStr) -> FsResult<&str> {
    if name.len() > NAME_MAX {
        return Err(FsError::new(libc::ENAMETOOLONG));
    }
    name.to_str().ok_or(FsError::new(libc::EINVAL))
}

/// The name of an xattr when it is one of ours; others are nobody's business below
/// (`security.capability` is asked for before every write, facts C2).
pub(super) fn xattr_name(name: &OsStr) -> Option<&str> {
    name.to_str()
        .filter(|name| name.len() > XATTR_PREFIX.len() && name.starts_with(XATTR_PREFIX))
}

/// The errno of an answer. ENOSYS would switch the operation off for the whole mount.
pub(super) fn errno(error: &FsError) -> Errno {
    match error.errno {
        libc::ENOSYS => Errno::EOPNOTSUPP,
        other => Errno::from_i32(other),
    }
}

/// The flags of an answer to open.
pub(super) fn open_flags(opened: &Opened) -> FopenFlags {
    let mut flags = FopenFlags::empty();
    if opened.direct {
        flags |= FopenFlags::FOPEN_DIRECT_IO;
    } else if opened.keep_cache {
        flags |= FopenFlags::FOPEN_KEEP_CACHE;
    }
    flags
}

/// The flags of an answer to opendir.
pub(super) fn directory_flags(stable: bool) -> FopenFlags {
    if stable {
        FopenFlags::FOPEN_CACHE_DIR | FopenFlags::FOPEN_KEEP_CACHE
    } else {
        FopenFlags::empty()
    }
}

/// Who asks.
pub(super) fn caller(request: &Request) -> Caller {
    Caller {
        pid: request.pid(),
        uid: request.uid(),
    }
}

/// The answer to a read of an xattr or of their list.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum XattrAnswer {
    /// The caller asked for the size only.
    Size(u32),
    /// The value fits.
    Value,
    /// It does not.
    TooSmall,
}

/// How a value of `length` bytes is answered to a caller with room for `room`.
pub(super) fn xattr_answer(length: usize, room: u32) -> XattrAnswer {
    let Ok(length) = u32::try_from(length) else {
        return XattrAnswer::TooSmall;
    };
    match room {
        0 => XattrAnswer::Size(length),
        room if length > room => XattrAnswer::TooSmall,
        _ => XattrAnswer::Value,
    }
}

/// Names of xattrs as listxattr(2) gives them: each with a NUL behind.
pub(super) fn xattr_list(names: &[String]) -> Vec<u8> {
    let mut list = Vec::new();
    for name in names {
        list.extend_from_slice(name.as_bytes());
        list.push(0);
    }
    list
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    fn sample() -> Attr {
        Attr {
            ino: 9,
            generation: 0,
            kind: FileKind::File,
            size: 513,
            perm: 0o644,
            mtime_ns: 1_500_000_001,
            atime_ns: 0,
            ctime_ns: -1,
            stable: true,
        }
    }

    // S-010
    #[test]
    fn blocks_cover_the_size() {
        let settings = Settings {
            uid: 5,
            gid: 6,
            ..Settings::default()
        };
        let file = attr(&sample(), &settings);
        assert_eq!((file.blocks, file.nlink, file.uid, file.gid), (2, 1, 5, 6));
        assert_eq!(file.kind, FileType::RegularFile);
        let empty = attr(
            &Attr {
                size: 0,
                kind: FileKind::Dir,
                ..sample()
            },
            &settings,
        );
        assert_eq!((empty.blocks, empty.nlink), (0, 2));
        let huge = attr(
            &Attr {
                size: u64::MAX,
                ..sample()
            },
            &settings,
        );
        assert_eq!(huge.blocks, 1 << 55);
    }

    #[test]
    fn only_stable_attributes_are_remembered() {
        let settings = Settings::default();
        assert_eq!(ttl(&sample(), &settings), settings.kernel_ttl);
        assert_eq!(
            ttl(
                &Attr {
                    stable: false,
                    ..sample()
                },
                &settings
            ),
            Duration::ZERO
        );
    }

    #[test]
    fn times_before_1970_come_back_as_they_went() {
        for ns in [
            0,
            1,
            1_500_000_001,
            -1,
            -1_700_000_000,
            -5_000_000_000,
            i64::MIN,
            i64::MAX,
        ] {
            assert_eq!(nanoseconds(time(ns)), ns);
        }
        // As fuser hands on (-2 s, 300 ms).
        let wrong = UNIX_EPOCH - Duration::new(2, 300_000_000);
        assert_eq!(
            requested_time(TimeOrNow::SpecificTime(wrong)),
            -1_700_000_000
        );
        let whole = UNIX_EPOCH - Duration::from_secs(2);
        assert_eq!(
            requested_time(TimeOrNow::SpecificTime(whole)),
            -2_000_000_000
        );
        let far = UNIX_EPOCH - Duration::new(u64::from(u32::MAX) * 1000, 5);
        assert_eq!(requested_time(TimeOrNow::SpecificTime(far)), i64::MIN + 5);
        let later = UNIX_EPOCH + Duration::new(2, 300_000_000);
        assert_eq!(
            requested_time(TimeOrNow::SpecificTime(later)),
            2_300_000_000
        );
        assert!(requested_time(TimeOrNow::Now) > 1_700_000_000_000_000_000);
    }

    #[test]
    fn names_are_checked() {
        let long = "x".repeat(256);
        assert_eq!(
            new_name(OsStr::new(&long)).unwrap_err().errno,
            libc::ENAMETOOLONG
        );
        assert_eq!(
            existing_name(OsStr::new(&long)).unwrap_err().errno,
            libc::ENAMETOOLONG
        );
        assert_eq!(new_name(OsStr::new(&long[1..])).unwrap().len(), 255);
        let latin = OsStr::from_bytes(b"caf\xe9");
        assert_eq!(new_name(latin).unwrap_err().errno, libc::EINVAL);
        assert_eq!(existing_name(latin).unwrap_err().errno, libc::ENOENT);
        assert_eq!(existing_name(OsStr::new("ä")).unwrap(), "ä");
    }

    #[test]
    fn only_our_xattrs_are_asked_for() {
        assert_eq!(xattr_name(OsStr::new("user.pan.md5")), Some("user.pan.md5"));
        for other in ["security.capability", "user.pan", "user.pan.", "user.other"] {
            assert_eq!(xattr_name(OsStr::new(other)), None);
        }
    }

    #[test]
    fn xattr_sizes() {
        assert_eq!(xattr_answer(5, 0), XattrAnswer::Size(5));
        assert_eq!(xattr_answer(5, 4), XattrAnswer::TooSmall);
        assert_eq!(xattr_answer(5, 5), XattrAnswer::Value);
        assert_eq!(xattr_answer(0, 1), XattrAnswer::Value);
        assert_eq!(xattr_list(&["a".to_owned(), "bc".to_owned()]), b"a\0bc\0");
        assert!(xattr_list(&[]).is_empty());
    }

    #[test]
    fn no_answer_switches_an_operation_off() {
        assert_eq!(errno(&FsError::new(libc::ENOSYS)), Errno::EOPNOTSUPP);
        assert_eq!(errno(&FsError::new(libc::EDQUOT)).code(), libc::EDQUOT);
        assert_eq!(errno(&FsError::new(0)), Errno::EIO);
    }

    #[test]
    fn flags_follow_the_handle() {
        let opened = |keep_cache, direct| Opened {
            handle: 1,
            keep_cache,
            direct,
        };
        assert_eq!(
            open_flags(&opened(true, false)),
            FopenFlags::FOPEN_KEEP_CACHE
        );
        assert_eq!(open_flags(&opened(true, true)), FopenFlags::FOPEN_DIRECT_IO);
        assert!(open_flags(&opened(false, false)).is_empty());
        assert!(directory_flags(true).contains(FopenFlags::FOPEN_CACHE_DIR));
        assert!(directory_flags(false).is_empty());
    }
}
