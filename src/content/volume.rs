//! A mounted drive.

use std::fmt;
use std::sync::Arc;

use crate::drive::{Capabilities, Drive, DriveError, ErrorKind, Result};

/// A drive under the name of its profile.
#[derive(Clone)]
pub struct Volume {
    /// Name of the profile: the directory under the mount point.
    pub name: Arc<str>,
    /// Key of the provider.
    pub provider: &'static str,
    /// The drive.
    pub drive: Arc<dyn Drive>,
    /// Whether this profile refuses writes.
    pub read_only: bool,
    /// How long a listing is fresh, milliseconds.
    pub ttl_ms: i64,
}

impl Volume {
    /// What the drive can do.
    pub fn capabilities(&self) -> &Capabilities {
        self.drive.capabilities()
    }

    /// Whether writes are refused.
    pub fn is_read_only(&self) -> bool {
        self.read_only || self.capabilities().read_only
    }

    /// # Errors
    /// `ReadOnly` when the profile refuses writes.
    pub fn check_writable(&self) -> Result<()> {
        if self.is_read_only() {
            return Err(DriveError::new(
                ErrorKind::ReadOnly,
                format!("profile {} is read-only", self.name),
            ));
        }
        Ok(())
    }

    /// Whether both are the same account's drive, as far as is known.
    pub fn same_account(&self, other: &Volume) -> bool {
        self.name == other.name
            || (self.provider == other.provider
                && match (self.drive.account_id(), other.drive.account_id()) {
                    (Some(mine), Some(theirs)) => mine == theirs,
                    _ => false,
                })
    }
}

impl fmt::Debug for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Volume({} on {})", self.name, self.provider)
    }
}
