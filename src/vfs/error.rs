//! An errno with its reason.

use std::fmt;

use crate::drive::{DriveError, ErrorKind, errno_name};

/// Result of a file system operation.
pub type FsResult<T> = Result<T, FsError>;

/// What a program sees, and why.
#[derive(Clone, Debug)]
pub struct FsError {
    /// The errno.
    pub errno: i32,
    /// The drive's error behind it.
    pub cause: Option<DriveError>,
}

impl FsError {
    /// A plain errno.
    pub const fn new(errno: i32) -> Self {
        FsError { errno, cause: None }
    }

    /// The errno for a copy_file_range request. An errno that makes `cp` silently read and
    /// write instead would turn a refusal into a copy (SPEC 0.5).
    pub fn for_copy(mut self) -> Self {
        let silent = matches!(
            self.errno,
            libc::EOPNOTSUPP
                | libc::EPERM
                | libc::EXDEV
                | libc::EINVAL
                | libc::ENOSYS
                | libc::ENOENT
                | libc::EBADF
                | libc::ETXTBSY
                | libc::EACCES
        );
        if silent {
            self.errno = libc::EIO;
        }
        self
    }
}

impl From<DriveError> for FsError {
    fn from(error: DriveError) -> Self {
        let errno = match error.kind {
            // A deadline is told as what it is to a network file system.
            ErrorKind::Timeout => libc::EHOSTUNREACH,
            _ => error.errno(),
        };
        FsError {
            errno,
            cause: Some(error),
        }
    }
}

impl fmt::Display for FsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Some(cause) => write!(f, "{} ({cause})", errno_name(self.errno)),
            None => f.write_str(errno_name(self.errno)),
        }
    }
}

impl std::error::Error for FsError {}
