//! statfs: from the cached quota, never from the network (DESIGN 6).

use super::Vfs;
use super::error::FsResult;
use super::tree::{CONTROL_BASE, ROOT};
use crate::content::Volume;
use crate::drive::Quota;
use crate::net::{Priority, with_priority};

/// Space in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatFs {
    /// All of it.
    pub total: u64,
    /// Free.
    pub free: u64,
    /// Files in memory.
    pub files: u64,
    /// Longest name in bytes; the longest of all drives for the root.
    pub name_max: u32,
}

/// Longest name the kernel hands on, in bytes.
const NAME_MAX: usize = 255;

/// A quota is asked for again after this long.
const FRESH_MS: i64 = 5 * 60_000;

/// Shown for a drive that does not tell: df must not look full.
const UNKNOWN: u64 = 1 << 50;

impl Vfs {
    /// Space of the profile an inode is in; of all profiles for the root.
    ///
    /// # Errors
    /// ESTALE.
    pub fn statfs(&self, ino: u64) -> FsResult<StatFs> {
        let volumes = if ino == ROOT || ino >= CONTROL_BASE {
            self.engine().volumes()
        } else {
            self.tree().get(ino)?.volume.clone().into_iter().collect()
        };
        let mut all = StatFs {
            files: self.tree().len() as u64,
            ..StatFs::default()
        };
        for volume in volumes {
            let quota = self.quota_of(&volume);
            let (total, free) = match quota {
                Some(quota) if quota.total > 0 => {
                    (quota.total, quota.total.saturating_sub(quota.used))
                }
                _ => (UNKNOWN, UNKNOWN),
            };
            all.total = all.total.saturating_add(total);
            all.free = all.free.saturating_add(free);
            let longest = volume.capabilities().max_name_bytes.min(NAME_MAX);
            all.name_max = all.name_max.max(u32::try_from(longest).unwrap_or(u32::MAX));
        }
        if all.name_max == 0 {
            all.name_max = u32::try_from(NAME_MAX).unwrap_or(u32::MAX);
        }
        Ok(all)
    }

    /// The cached quota; asks for a fresh one behind.
    fn quota_of(&self, volume: &Volume) -> Option<Quota> {
        let catalog = self.engine().catalog().clone();
        let known = catalog.quota(&volume.name);
        let now = self.engine().now_ms();
        if known.is_none_or(|(_, at)| now - at > FRESH_MS)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            // Noted at once, so that a burst of statfs asks once.
            catalog.put_quota(
                &volume.name,
                known.map_or(Quota::default(), |(q, _)| q),
                now,
            );
            let volume = volume.clone();
            runtime.spawn(with_priority(Priority::Background, async move {
                match volume.drive.quota().await {
                    Ok(quota) => catalog.put_quota(&volume.name, quota, now),
                    Err(error) => tracing::debug!(profile = %volume.name, %error, "no quota"),
                }
            }));
        }
        known.map(|(quota, _)| quota)
    }

    /// Asks every drive for its quota (at start, so that df is right soon).
    pub fn warm_quotas(&self) {
        for volume in self.engine().volumes() {
            self.quota_of(&volume);
        }
    }
}
