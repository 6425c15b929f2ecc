//! What `stat` shows.

/// Kind of an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A directory.
    Dir,
    /// A regular file.
    File,
}

/// Attributes of an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr {
    /// Inode number.
    pub ino: u64,
    /// Generation.
    pub generation: u64,
    /// Directory or file.
    pub kind: FileKind,
    /// Bytes. Blocks follow from it: `ceil(size / 512)`, else `cp` takes a file for sparse and
    /// never asks (DESIGN 3.1).
    pub size: u64,
    /// Permission bits.
    pub perm: u16,
    /// Last change of the content, nanoseconds since the epoch.
    pub mtime_ns: i64,
    /// Last access, nanoseconds since the epoch.
    pub atime_ns: i64,
    /// Last change of the attributes, nanoseconds since the epoch.
    pub ctime_ns: i64,
    /// Whether the kernel may remember it for long.
    pub stable: bool,
}

impl Attr {
    /// What the kernel is shown for a name that does not exist: inode 0.
    pub fn nothing() -> Attr {
        Attr {
            ino: 0,
            generation: 0,
            kind: FileKind::File,
            size: 0,
            perm: 0,
            mtime_ns: 0,
            atime_ns: 0,
            ctime_ns: 0,
            stable: false,
        }
    }
}
