//! What is too large to be streamed between drives. Only streaming is guarded: the target is asked
//! first whatever the size, and what a program wrote here is never held back.

use super::Guard;
use crate::catalog::NodeKey;
use crate::drive::{DriveError, ErrorKind, NodeId, Result};

impl Guard {
    /// Admits a content that has to be streamed into `name` in a directory of a drive.
    ///
    /// # Errors
    /// `OverThreshold`, with what to do.
    pub fn admit_stream(&self, profile: &str, dir: &NodeId, name: &str, size: u64) -> Result<()> {
        let dir = self.catalog.find(profile, dir).first().map(|dir| dir.key);
        let Err(refused) = self.check(dir, name, size) else {
            return Ok(());
        };
        let message = match refused {
            Refused::Cap(limit) => format!(
                "{name} must be streamed, and its {size} bytes are above transfer.fallback_cap_mb ({} MiB); \
                 an approval does not lift that",
                limit >> 20
            ),
            Refused::Threshold(limit) => format!(
                "{name} must be streamed, and its {size} bytes are above the threshold of {} MiB in its directory; \
                 to allow it for an hour: panfuse approve PATH",
                limit >> 20
            ),
        };
        Err(DriveError::new(ErrorKind::OverThreshold, message))
    }

    /// The most bytes that may be streamed into `name` in a directory now; `None` when there is
    /// no limit.
    pub fn stream_limit(&self, dir: Option<NodeKey>, name: &str) -> Option<u64> {
        let threshold = self.threshold(dir, name);
        let limits = [threshold, self.settings.fallback_cap];
        limits.into_iter().flatten().min()
    }

    fn check(&self, dir: Option<NodeKey>, name: &str, size: u64) -> Result<(), Refused> {
        // The cap is told first: an approval would only lead to it.
        if let Some(cap) = self.settings.fallback_cap.filter(|cap| size > *cap) {
            return Err(Refused::Cap(cap));
        }
        match self.threshold(dir, name).filter(|limit| size > *limit) {
            Some(limit) => Err(Refused::Threshold(limit)),
            None => Ok(()),
        }
    }

    /// The threshold in a directory, unless it is lifted for this name.
    fn threshold(&self, dir: Option<NodeKey>, name: &str) -> Option<u64> {
        let limit = self.policies_at(dir).threshold.flatten()?;
        (!self.is_approved(dir, name)).then_some(limit)
    }

    fn is_approved(&self, dir: Option<NodeKey>, name: &str) -> bool {
        let approvals = self.lock_approvals();
        if approvals.is_empty() {
            return false;
        }
        let dirs = dir.map(|dir| self.upwards(dir)).unwrap_or_default();
        approvals.allow(self.clock.now_ms(), &dirs, name)
    }
}

/// Which limit a size is above, in bytes.
enum Refused {
    Threshold(u64),
    Cap(u64),
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::super::{APPROVAL_MS, GuardSettings, PolicyName};
    use super::*;
    use crate::catalog::Catalog;
    use crate::drive::{Node, NodeKind};
    use crate::fingerprint::Fingerprints;
    use crate::net::ManualClock;

    /// A profile `p` with `/dir/below`.
    pub struct Sample {
        pub catalog: Arc<Catalog>,
        pub clock: Arc<ManualClock>,
        pub guard: Guard,
        pub root: NodeKey,
        pub dir: NodeKey,
        pub below: NodeKey,
    }

    pub fn tree(settings: GuardSettings) -> Sample {
        let catalog = Arc::new(Catalog::in_memory().unwrap());
        let clock = Arc::new(ManualClock::default());
        let make = |parent: NodeKey, above: &str, id: &str| {
            let node = Node {
                id: NodeId::new(id),
                parent: NodeId::new(above),
                name: id.to_owned(),
                kind: NodeKind::Dir,
                size: 0,
                modified: 0,
                created: 0,
                version: String::new(),
                fingerprints: Fingerprints::new(),
                handle: None,
                raw: None,
            };
            catalog.upsert(parent, node, None).unwrap().key
        };
        let root = catalog.root("p", &NodeId::new("0"));
        let dir = make(root, "0", "dir");
        let below = make(dir, "dir", "below");
        Sample {
            guard: Guard::new(settings, catalog.clone(), clock.clone()),
            catalog,
            clock,
            root,
            dir,
            below,
        }
    }

    const MIB: u64 = 1 << 20;

    // S-162, S-163
    #[test]
    fn what_is_above_the_threshold_waits_for_an_approval() {
        let tree = tree(GuardSettings {
            threshold: Some(MIB),
            ..GuardSettings::default()
        });
        let guard = &tree.guard;
        let stream = |dir: &str, name: &str, size| {
            guard
                .admit_stream("p", &NodeId::new(dir), name, size)
                .map_err(|error| error.errno())
        };
        assert_eq!(stream("dir", "a", MIB), Ok(()));
        assert_eq!(stream("dir", "a", MIB + 1), Err(libc::EFBIG));
        guard.approve_size(Some(tree.dir), Some("a"), "p/dir/a");
        assert_eq!(stream("dir", "a", MIB + 1), Ok(()));
        assert_eq!(stream("dir", "b", MIB + 1), Err(libc::EFBIG));
        assert_eq!(stream("below", "a", MIB + 1), Err(libc::EFBIG));
        guard.approve_size(Some(tree.dir), None, "p/dir");
        assert_eq!(stream("below", "b", MIB + 1), Ok(()));
        assert_eq!(stream("0", "b", MIB + 1), Err(libc::EFBIG));
        assert_eq!(guard.stream_limit(Some(tree.root), "b"), Some(MIB));
        assert_eq!(guard.stream_limit(Some(tree.below), "b"), None);
        assert_eq!(guard.status().approvals.len(), 2);
        tree.clock.advance_ms(APPROVAL_MS + 1);
        assert_eq!(stream("below", "b", MIB + 1), Err(libc::EFBIG));
        assert!(guard.status().approvals.is_empty());
        guard.approve_size(None, None, "/");
        assert_eq!(stream("0", "b", MIB + 1), Ok(()));
    }

    // S-162, S-164
    #[test]
    fn a_cap_is_not_lifted_and_a_directory_has_its_own_threshold() {
        let tree = tree(GuardSettings {
            fallback_cap: Some(3 * MIB),
            ..GuardSettings::default()
        });
        let guard = &tree.guard;
        let stream = |size| guard.admit_stream("p", &NodeId::new("below"), "a", size);
        guard
            .set_policy(tree.dir, PolicyName::Threshold, "2")
            .unwrap();
        stream(2 * MIB).unwrap();
        let refused = stream(2 * MIB + 1).unwrap_err();
        assert!(refused.message.contains("panfuse approve"), "{refused}");
        guard.approve_size(Some(tree.root), None, "p");
        stream(3 * MIB).unwrap();
        let refused = stream(3 * MIB + 1).unwrap_err();
        assert_eq!(refused.kind, ErrorKind::OverThreshold);
        assert!(refused.message.contains("fallback_cap_mb"), "{refused}");
        assert_eq!(guard.stream_limit(Some(tree.below), "a"), Some(3 * MIB));
        let elsewhere = guard.admit_stream("p", &NodeId::new("unknown"), "a", 2 * MIB);
        elsewhere.unwrap();
    }
}
