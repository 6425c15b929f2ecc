//! Free space of a file system.
#![allow(unsafe_code)] // statvfs(3) has no safe form in the standard library

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Space of a file system in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub total: u64,
    /// What an ordinary user may still write.
    pub available: u64,
}

/// Space of the file system that holds `path`.
///
/// # Errors
/// Those of statvfs(3).
pub fn space_of(path: &Path) -> io::Result<Space> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut answer = std::mem::MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: `path` is NUL-terminated and `answer` is a valid place for one statvfs.
    let status = unsafe { libc::statvfs(path.as_ptr(), answer.as_mut_ptr()) };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: statvfs succeeded and filled the structure (it was zeroed before, too).
    let answer = unsafe { answer.assume_init() };
    let unit = answer.f_frsize.max(1);
    Ok(Space {
        total: answer.f_blocks.saturating_mul(unit),
        available: answer.f_bavail.saturating_mul(unit),
    })
}
