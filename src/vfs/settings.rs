//! What the mount was told.

use std::time::Duration;

/// When `close` answers a program that wrote a file (DESIGN 3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Close {
    /// When the file is verified at the provider.
    Wait,
    /// Small files when their bytes and the intent are durable here, others as `Wait`.
    #[default]
    Auto,
    /// When the bytes and the intent are durable here.
    Queue,
}

/// Settings of the file system.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Owner of everything.
    pub uid: u32,
    /// Group of everything.
    pub gid: u32,
    /// Bits taken from the mode.
    pub umask: u32,
    /// Nothing can be written anywhere.
    pub read_only: bool,
    /// How long the kernel may remember names and attributes.
    pub kernel_ttl: Duration,
    /// How long the kernel may believe that a name does not exist.
    pub negative_ttl: Duration,
    /// When `close` answers.
    pub close: Close,
    /// Up to this many bytes a file is small.
    pub small_file: u64,
    /// How long a delete is held back at the provider, so that a replacement that fails can
    /// bring the old file back.
    pub hold: Duration,
    /// Bytes of memory for blocks of content.
    pub memory_target: u64,
    /// Directory of this user's mount, for messages.
    pub mount_point: String,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            uid: 0,
            gid: 0,
            umask: 0o022,
            read_only: false,
            kernel_ttl: Duration::from_secs(300),
            negative_ttl: Duration::from_secs(5),
            close: Close::Auto,
            small_file: 4 << 20,
            hold: Duration::from_secs(3),
            memory_target: 64 << 20,
            mount_point: String::new(),
        }
    }
}
