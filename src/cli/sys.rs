//! The system calls of a copy that the standard library has no form for.
#![allow(unsafe_code)] // copy_file_range, close with its error, getxattr, renameat2

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Longest attribute that is read, in bytes.
const XATTR_MAX: usize = 64 << 10;

/// copy_file_range(2): copies up to `length` bytes at `offset` of `source` to the same offset of
/// `target` and tells how many were copied; 0 at the end of the source.
///
/// # Errors
/// The kernel's.
pub(super) fn copy_range(
    source: &File,
    target: &File,
    offset: u64,
    length: u64,
) -> io::Result<u64> {
    let start = i64::try_from(offset).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let length = usize::try_from(length)
        .unwrap_or(usize::MAX)
        .min(isize::MAX as usize);
    loop {
        let (mut from, mut to) = (start, start);
        // SAFETY: both descriptors are open for the whole call, and the offsets are ours alone.
        let copied = unsafe {
            libc::copy_file_range(
                source.as_raw_fd(),
                &mut from,
                target.as_raw_fd(),
                &mut to,
                length,
                0,
            )
        };
        match u64::try_from(copied) {
            Ok(copied) => return Ok(copied),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// close(2) with its answer: a file system that stores at close reports failures only here.
///
/// # Errors
/// The file system's. The descriptor is closed in any case.
pub(super) fn close(file: File) -> io::Result<()> {
    let descriptor = file.into_raw_fd();
    // SAFETY: into_raw_fd gave us the only owner of this descriptor; it is closed once.
    match unsafe { libc::close(descriptor) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The value of an extended attribute; `None` when there is none or it cannot be read.
pub(super) fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    let name = CString::new(name).ok()?;
    let mut value = vec![0_u8; XATTR_MAX];
    // SAFETY: both strings end with NUL, and the buffer has the length that is told.
    let length = unsafe {
        libc::lgetxattr(
            path.as_ptr(),
            name.as_ptr(),
            value.as_mut_ptr().cast(),
            value.len(),
        )
    };
    value.truncate(usize::try_from(length).ok()?);
    Some(value)
}

/// renameat2(2) with RENAME_NOREPLACE: renames only when nothing has the new name.
///
/// # Errors
/// EEXIST, EXDEV, EINVAL where the file system cannot promise that, and the others of rename.
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    let from = CString::new(from.as_os_str().as_bytes())?;
    let to = CString::new(to.as_os_str().as_bytes())?;
    // SAFETY: both strings end with NUL; AT_FDCWD is no descriptor that could be closed.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            libc::AT_FDCWD,
            from.as_ptr(),
            libc::AT_FDCWD,
            to.as_ptr(),
            libc::RENAME_NOREPLACE,
        )
    };
    match answer {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn ranges_are_copied_at_their_offset_and_end_with_the_source() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("a"), b"0123456789").unwrap();
        let source = File::open(home.path().join("a")).unwrap();
        let target = File::create(home.path().join("b")).unwrap();
        match copy_range(&source, &target, 0, 4) {
            Ok(copied) => assert!((1..=4).contains(&copied), "{copied}"),
            // Old kernels and some sandboxes have no copy_file_range between these files.
            Err(error) => {
                assert!(super::super::copy_file::is_refusal(&error), "{error}");
                return;
            }
        }
        assert_eq!(copy_range(&source, &target, 4, 100).unwrap(), 6);
        assert_eq!(copy_range(&source, &target, 10, 100).unwrap(), 0);
        close(target).unwrap();
        assert_eq!(
            fs::read(home.path().join("b")).unwrap().get(4..).unwrap(),
            b"456789"
        );
    }

    #[test]
    fn a_name_that_is_taken_is_not_taken_over() {
        let home = tempfile::tempdir().unwrap();
        let (a, b) = (home.path().join("a"), home.path().join("b"));
        fs::write(&a, b"new").unwrap();
        fs::write(&b, b"old").unwrap();
        assert!(rename_new(&a, &b).is_err());
        assert_eq!(fs::read(&b).unwrap(), b"old");
        assert!(a.exists());
    }

    #[test]
    fn attributes_that_are_not_there_are_none() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(attribute(home.path(), "user.pan.transfer"), None);
        assert_eq!(
            attribute(&home.path().join("none"), "user.pan.transfer"),
            None
        );
    }
}
