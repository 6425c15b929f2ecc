//! The system calls the standard library does not have. The only place of this room with
//! `unsafe`.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::ptr;

/// Real user and group of this process.
pub(super) fn owner() -> (u32, u32) {
    // SAFETY: both calls have no arguments and cannot fail.
    unsafe { (libc::getuid(), libc::getgid()) }
}

/// Whether this process may call mount(2) itself.
pub(super) fn is_root() -> bool {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// The value of an extended attribute, as any program reads it.
///
/// # Errors
/// The kernel's.
pub fn xattr(path: &Path, name: &str) -> io::Result<Vec<u8>> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let name = CString::new(name)?;
    let mut value = vec![0u8; 64 << 10];
    // SAFETY: both strings are NUL-terminated, and the kernel writes at most `value.len()` bytes.
    let length = unsafe {
        libc::getxattr(
            path.as_ptr(),
            name.as_ptr(),
            value.as_mut_ptr().cast(),
            value.len(),
        )
    };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    value.truncate(length);
    Ok(value)
}

/// mount(2).
///
/// # Errors
/// The kernel's.
pub(super) fn mount(
    source: &CStr,
    target: &Path,
    fs_type: &CStr,
    flags: libc::c_ulong,
    data: &str,
) -> io::Result<()> {
    let target = CString::new(target.as_os_str().as_bytes())?;
    let data = CString::new(data)?;
    // SAFETY: all four pointers are NUL-terminated strings that live over the call.
    let result = unsafe {
        libc::mount(
            source.as_ptr(),
            target.as_ptr(),
            fs_type.as_ptr(),
            flags,
            data.as_ptr().cast(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// umount2(2), lazily: the path is free at once, the file system ends with its last open file.
///
/// # Errors
/// The kernel's: EINVAL when nothing is mounted there.
pub(super) fn detach(target: &Path) -> io::Result<()> {
    let target = CString::new(target.as_os_str().as_bytes())?;
    // SAFETY: the pointer is a NUL-terminated string that lives over the call.
    let result =
        unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH | libc::UMOUNT_NOFOLLOW) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// statfs(2), to hear whether a file system answers: unlike stat it is never answered from what
/// the kernel remembers, which outlives a dead daemon.
///
/// # Errors
/// The file system's; ENOTCONN when nobody serves it.
pub(super) fn ask(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: a statfs of zeros is valid, and the kernel only writes into it.
    let mut answer: libc::statfs = unsafe { mem::zeroed() };
    // SAFETY: the path is NUL-terminated; both pointers live over the call.
    let result = unsafe { libc::statfs(path.as_ptr(), &raw mut answer) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Receives one file descriptor over a socket. `None` when the other side closed it instead.
///
/// # Errors
/// The kernel's; `WouldBlock` after the socket's read timeout; `InvalidData` for a message
/// without a descriptor.
pub(super) fn receive_fd(socket: &UnixStream) -> io::Result<Option<OwnedFd>> {
    /// Room for the header and one descriptor, aligned as a header must be.
    #[repr(C, align(8))]
    struct Control([u8; 64]);

    let mut byte = [0u8; 1];
    let mut data = libc::iovec {
        iov_base: byte.as_mut_ptr().cast(),
        iov_len: byte.len(),
    };
    let mut control = Control([0; 64]);
    // SAFETY: a msghdr of zeros is valid: no name, no data, no control.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut data;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len() as _;
    let received = loop {
        // SAFETY: the message points to buffers of the lengths it tells, which live over the call.
        let received =
            unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        if received >= 0 {
            break received;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    };
    if received == 0 {
        return Ok(None);
    }
    let missing = || io::Error::new(io::ErrorKind::InvalidData, "no file descriptor came");
    // SAFETY: the kernel filled in the control buffer and its length.
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    if header.is_null() {
        return Err(missing());
    }
    // SAFETY: CMSG_FIRSTHDR is not null, so a whole header lies in the aligned buffer.
    let header = unsafe { &*header };
    // SAFETY: CMSG_LEN only computes.
    let needed = unsafe { libc::CMSG_LEN(mem::size_of::<RawFd>() as u32) } as usize;
    let rights = header.cmsg_level == libc::SOL_SOCKET && header.cmsg_type == libc::SCM_RIGHTS;
    if !rights || (header.cmsg_len as usize) < needed {
        return Err(missing());
    }
    // SAFETY: the header says that at least one descriptor follows it.
    let fd = unsafe { ptr::read_unaligned(libc::CMSG_DATA(header).cast::<RawFd>()) };
    if fd < 0 {
        return Err(missing());
    }
    // SAFETY: the kernel made this descriptor for us just now; nobody else owns it.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_closed_or_silent_socket_brings_no_descriptor() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        assert_eq!(
            receive_fd(&ours).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        std::io::Write::write_all(&mut &theirs, b"x").unwrap();
        assert_eq!(
            receive_fd(&ours).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        drop(theirs);
        assert!(receive_fd(&ours).unwrap().is_none());
    }

    #[test]
    fn a_file_system_answers() {
        assert!(ask(Path::new("/")).is_ok());
        assert_eq!(
            ask(Path::new("/no/such/place")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }

    #[test]
    fn a_directory_that_is_not_mounted_cannot_be_detached() {
        let dir = tempfile::tempdir().unwrap();
        assert!(detach(dir.path()).is_err());
    }
}
