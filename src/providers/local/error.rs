//! What an errno of the disk means for a drive.

use std::io;

use crate::drive::{DriveError, ErrorKind};
use crate::net::Retry;

/// The error of a system call in operation `op` on `what` (an id or a name).
pub fn of(op: &str, what: &str, error: &io::Error) -> DriveError {
    let (kind, retry) = classify(error);
    DriveError::new(kind, format!("{op} {what:?}: {error}")).retry(retry)
}

fn classify(error: &io::Error) -> (ErrorKind, Retry) {
    use ErrorKind as K;
    let kind = match error.raw_os_error() {
        // A component that is a file or a link is not there as far as this drive is concerned.
        Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP | libc::ENXIO) => K::NotFound,
        Some(libc::EEXIST | libc::EISDIR) => K::Exists,
        Some(libc::ENOTEMPTY) => K::NotEmpty,
        Some(libc::EACCES | libc::EPERM) => K::Auth,
        Some(libc::EROFS) => K::ReadOnly,
        Some(libc::ENOSPC | libc::EDQUOT) => K::QuotaFull,
        Some(libc::EFBIG) => K::TooLarge,
        Some(libc::ENAMETOOLONG) => K::NameTooLong,
        Some(libc::EINVAL | libc::EILSEQ) => K::Invalid,
        Some(libc::EXDEV | libc::EOPNOTSUPP) => K::Unsupported,
        Some(libc::EBUSY | libc::ETXTBSY) => K::Busy,
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EAGAIN) => {
            return (K::Busy, Retry::Backoff);
        }
        // Network file systems.
        Some(libc::ESTALE | libc::EHOSTDOWN | libc::EHOSTUNREACH | libc::ENOTCONN) => {
            return (K::Network, Retry::Backoff);
        }
        Some(libc::ETIMEDOUT) => return (K::Timeout, Retry::Backoff),
        _ if error.kind() == io::ErrorKind::InvalidInput => K::Invalid,
        _ => K::LocalDisk,
    };
    (kind, Retry::Never)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errnos_become_kinds() {
        for (errno, kind, retry) in [
            (libc::ENOENT, ErrorKind::NotFound, Retry::Never),
            (libc::ELOOP, ErrorKind::NotFound, Retry::Never),
            (libc::EEXIST, ErrorKind::Exists, Retry::Never),
            (libc::EACCES, ErrorKind::Auth, Retry::Never),
            (libc::EROFS, ErrorKind::ReadOnly, Retry::Never),
            (libc::EDQUOT, ErrorKind::QuotaFull, Retry::Never),
            (libc::EXDEV, ErrorKind::Unsupported, Retry::Never),
            (libc::EIO, ErrorKind::LocalDisk, Retry::Never),
            (libc::ESTALE, ErrorKind::Network, Retry::Backoff),
            (libc::EMFILE, ErrorKind::Busy, Retry::Backoff),
        ] {
            let error = of("op", "x", &io::Error::from_raw_os_error(errno));
            assert_eq!((error.kind, error.retry), (kind, retry), "{errno}");
        }
        let nul = std::ffi::CString::new("a\0b").unwrap_err();
        assert_eq!(of("op", "x", &nul.into()).kind, ErrorKind::Invalid);
    }
}
