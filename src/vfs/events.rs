//! What the kernel must forget. Told from other threads than the one that answers a request of
//! the same inode (the kernel could deadlock, facts A).

/// Told about changes the kernel does not know.
pub trait Changes: Send + Sync {
    /// The name in the directory means something else now.
    fn entry(&self, parent: u64, name: &str);
    /// The attributes or the content of the inode changed.
    fn inode(&self, ino: u64);
}
