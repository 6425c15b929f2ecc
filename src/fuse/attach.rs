//! Mounting: `mount(2)` for root, `fusermount3` for users. Both give an open `/dev/fuse`.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::kernel;
use super::options::MountOptions;

/// Source and subtype of the mount in `/proc/mounts`.
const NAME: &str = "panfuse";

/// Where `fusermount3` is when PATH does not say.
const HELPER_DIRS: [&str; 5] = ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin"];

/// How long `fusermount3` may take.
const HELPER_DEADLINE: Duration = Duration::from_secs(10);

/// Mounts on `path` and returns the kernel's end.
///
/// # Errors
/// What is missing, in words for people.
pub(super) fn attach(path: &Path, options: &MountOptions) -> io::Result<OwnedFd> {
    if kernel::is_root() {
        attach_as_root(path, options)
    } else {
        attach_as_user(path, options, &helper()?)
    }
}

fn attach_as_root(path: &Path, options: &MountOptions) -> io::Result<OwnedFd> {
    let device = open_device()?;
    let (uid, gid) = kernel::owner();
    let mut data =
        format!("fd={},rootmode=40000,user_id={uid},group_id={gid}", device.as_raw_fd());
    for word in shared_words(options) {
        data.push(',');
        data.push_str(word);
    }
    let mut flags = libc::MS_NOSUID | libc::MS_NODEV;
    if options.read_only {
        flags |= libc::MS_RDONLY;
    }
    if options.no_exec {
        flags |= libc::MS_NOEXEC;
    }
    kernel::mount(c"panfuse", path, c"fuse.panfuse", flags, &data).map_err(|error| {
        let hint = match error.raw_os_error() {
            Some(libc::EPERM) => {
                "; a container needs the capability SYS_ADMIN and the device /dev/fuse"
            }
            Some(libc::ENODEV) => "; this kernel has no FUSE (modprobe fuse)",
            _ => "",
        };
        io::Error::new(error.kind(), format!("cannot mount: {error}{hint}"))
    })?;
    Ok(device.into())
}

fn open_device() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/fuse").map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => {
                "; load it with `modprobe fuse`, or give the container --device /dev/fuse"
            }
            _ => "",
        };
        io::Error::new(error.kind(), format!("cannot open /dev/fuse: {error}{hint}"))
    })
}

/// Words that mount(2) and `fusermount3` share.
fn shared_words(options: &MountOptions) -> impl Iterator<Item = &'static str> {
    let words = [
        (options.allow_other, "allow_other"),
        (options.default_permissions, "default_permissions"),
    ];
    words.into_iter().filter(|(on, _)| *on).map(|(_, word)| word)
}

/// The set-user-id helper of users.
///
/// # Errors
/// `NotFound` with what to install.
fn helper() -> io::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(HELPER_DIRS.iter().map(PathBuf::from))
        .map(|dir| dir.join("fusermount3"))
        .find(|file| file.is_absolute() && file.is_file())
        .ok_or_else(|| {
            let message = "fusermount3 was not found; users other than root need it to mount: \
                           install the package fuse3";
            io::Error::new(io::ErrorKind::NotFound, message)
        })
}

fn attach_as_user(path: &Path, options: &MountOptions, helper: &Path) -> io::Result<OwnedFd> {
    let mut words = vec![format!("fsname={NAME}"), format!("subtype={NAME}")];
    words.extend(shared_words(options).map(str::to_owned));
    words.push(if options.read_only { "ro" } else { "rw" }.to_owned());
    if options.no_exec {
        words.push("noexec".to_owned());
    }
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_read_timeout(Some(HELPER_DEADLINE))?;
    // The helper sends the device over the socket whose number this variable tells: its
    // standard input.
    let mut child = Command::new(helper)
        .arg("-o")
        .arg(words.join(","))
        .arg("--")
        .arg(path)
        .env("_FUSE_COMMFD", "0")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            io::Error::new(error.kind(), format!("cannot start {}: {error}", helper.display()))
        })?;
    let received = kernel::receive_fd(&ours);
    if received.is_err() {
        // It hangs, or talks nonsense.
        let _ = child.kill();
    }
    let mut said = String::new();
    if let Some(stderr) = child.stderr.take() {
        let _ = stderr.take(4096).read_to_string(&mut said);
    }
    let status = child.wait()?;
    match received {
        Ok(Some(device)) => Ok(device),
        Ok(None) => Err(io::Error::other(explain(said.trim(), &status.to_string()))),
        Err(error) => Err(io::Error::new(error.kind(), format!("fusermount3: {error}"))),
    }
}

/// What the helper said, and what to do about it.
fn explain(said: &str, status: &str) -> String {
    if said.contains("user_allow_other") {
        return format!("{said}; an administrator adds the line `user_allow_other` to /etc/fuse.conf");
    }
    if said.is_empty() {
        return format!("fusermount3 ended with {status}");
    }
    said.to_owned()
}

/// Unmounts lazily whatever is mounted on `path`. The callers have made sure that it is theirs.
///
/// # Errors
/// The kernel's or the helper's words.
pub(super) fn detach(path: &Path) -> io::Result<()> {
    if kernel::is_root() {
        return kernel::detach(path);
    }
    let output = Command::new(helper()?)
        .args(["-u", "-z", "--"])
        .arg(path)
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(explain(said.trim(), &output.status.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn script(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("fusermount3");
        std::fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        (dir, file)
    }

    #[test]
    fn a_helper_that_refuses_is_quoted() {
        let (_dir, helper) = script(
            "echo \"fusermount3: option allow_other only allowed if 'user_allow_other' is set\" >&2; exit 1",
        );
        let error =
            attach_as_user(Path::new("/x"), &MountOptions::default(), &helper).unwrap_err();
        assert!(error.to_string().contains("/etc/fuse.conf"), "{error}");
        let (_dir, silent) = script("exit 3");
        let error =
            attach_as_user(Path::new("/x"), &MountOptions::default(), &silent).unwrap_err();
        assert!(error.to_string().contains("exit status: 3"), "{error}");
    }

    #[test]
    fn the_helper_gets_the_options_and_the_socket() {
        let options = MountOptions { read_only: true, no_exec: true, ..MountOptions::default() };
        let (_dir, helper) = script("echo \"$_FUSE_COMMFD $*\" >&2; test -S /dev/stdin || exit 9; exit 1");
        let error = attach_as_user(Path::new("/a b"), &options, &helper).unwrap_err();
        assert_eq!(
            error.to_string(),
            "0 -o fsname=panfuse,subtype=panfuse,ro,noexec -- /a b"
        );
    }

    #[test]
    fn shared_words_follow_the_options() {
        let all = MountOptions {
            allow_other: true,
            default_permissions: true,
            ..MountOptions::default()
        };
        let words: Vec<_> = shared_words(&all).collect();
        assert_eq!(words, ["allow_other", "default_permissions"]);
        assert_eq!(shared_words(&MountOptions::default()).count(), 0);
    }
}
