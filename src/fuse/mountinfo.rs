//! What `/proc/self/mountinfo` says. Reading it asks no file system, so that it cannot hang on a
//! dead mount.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A mount of this namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MountEntry {
    /// Number of the mount; used again after an unmount.
    pub id: u64,
    /// Device of its file system, `major:minor`.
    pub device: String,
    /// Where.
    pub path: PathBuf,
    /// Type, such as `fuse.panfuse`.
    pub fs_type: String,
    /// Source, such as `panfuse`.
    pub source: String,
}

impl MountEntry {
    /// Whether it is a FUSE mount made by panfuse.
    pub fn is_panfuse(&self) -> bool {
        let fuse = self.fs_type == "fuse" || self.fs_type.starts_with("fuse.");
        fuse && (self.fs_type.contains("panfuse") || self.source.contains("panfuse"))
    }

    /// The minor number: the name of a FUSE connection.
    pub fn connection(&self) -> Option<u32> {
        self.device.split_once(':')?.1.parse().ok()
    }
}

/// The mount on top of exactly this path, if there is one. The path must be resolved.
///
/// # Errors
/// When `/proc` cannot be read.
pub(super) fn mounted_at(path: &Path) -> io::Result<Option<MountEntry>> {
    let text = std::fs::read("/proc/self/mountinfo")?;
    Ok(parse(&text).into_iter().rfind(|entry| entry.path == path))
}

/// All mounts, in the order of the file: a later one on the same path hides an earlier one.
pub(super) fn parse(text: &[u8]) -> Vec<MountEntry> {
    text.split(|byte| *byte == b'\n').filter_map(parse_line).collect()
}

fn parse_line(line: &[u8]) -> Option<MountEntry> {
    let mut fields = line.split(|byte| *byte == b' ').filter(|field| !field.is_empty());
    let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let _parent = fields.next()?;
    let device = text(fields.next()?);
    let _root = fields.next()?;
    let path = PathBuf::from(OsString::from_vec(unescape(fields.next()?)));
    let _options = fields.next()?;
    // Optional fields, then a lone dash.
    fields.find(|field| *field == b"-")?;
    let fs_type = text(fields.next()?);
    let source = fields.next().map(text).unwrap_or_default();
    Some(MountEntry { id, device, path, fs_type, source })
}

fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(&unescape(field)).into_owned()
}

/// Blank, tab, newline and backslash are written as `\ooo`.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..3).filter(|_| byte == b'\\').and_then(octal);
        match code {
            Some(code) => {
                plain.push(code);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                plain.push(byte);
                rest = after;
            }
        }
    }
    plain
}

fn octal(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &[u8] = b"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw\n\
        90 22 0:45 / /home/me/my\\040cloud rw,nosuid,nodev shared:9 master:2 - fuse.panfuse panfuse rw,user_id=0\n\
        91 22 0:46 / /mnt rw - fuse.sshfs host:/ rw\n\
        92 22 0:47 / /mnt rw - fuse panfuse rw\n\
        nonsense\n\
        93 22 0:48 / /x rw - tmpfs panfuse\n";

    #[test]
    fn lines_are_understood() {
        let mounts = parse(SAMPLE);
        assert_eq!(mounts.len(), 5);
        assert_eq!(
            mounts[1],
            MountEntry {
                id: 90,
                device: "0:45".to_owned(),
                path: PathBuf::from("/home/me/my cloud"),
                fs_type: "fuse.panfuse".to_owned(),
                source: "panfuse".to_owned(),
            }
        );
        assert_eq!(mounts[1].connection(), Some(45));
        let ours: Vec<bool> = mounts.iter().map(MountEntry::is_panfuse).collect();
        assert_eq!(ours, [false, true, false, true, false]);
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(unescape(b"a\\040b\\134c\\011"), b"a b\\c\t");
        assert_eq!(unescape(b"\\"), b"\\");
        assert_eq!(unescape(b"\\9zz"), b"\\9zz");
        assert_eq!(unescape(b"\\777"), b"\\777");
    }

    #[test]
    fn the_root_is_mounted_and_a_plain_directory_is_not() {
        assert!(mounted_at(Path::new("/")).unwrap().is_some());
        assert!(mounted_at(Path::new("/no/such/place")).unwrap().is_none());
    }
}
