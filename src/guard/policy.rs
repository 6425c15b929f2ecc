//! Policies that are set on directories and hold for everything below, unless a directory in
//! between says otherwise. They are kept in the catalog and all held in memory: there are few.

use std::collections::HashMap;
use std::sync::PoisonError;

use super::{Guard, GuardSettings};
use crate::catalog::{Catalog, NodeKey};
use crate::config::ConflictPolicy;

/// 1 PiB in MiB: more is a mistake of units.
const HUGE_MB: u64 = 1 << 30;

/// The word for a threshold that is lifted.
const NONE: &str = "none";

/// A policy that a directory can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PolicyName {
    /// What happens to a file that is in the way.
    Conflict,
    /// MiB above which a content is not streamed until it is approved.
    Threshold,
}

impl PolicyName {
    /// The policy with this name (below `user.pan.`).
    pub fn parse(name: &str) -> Option<PolicyName> {
        match name {
            "conflict_policy" => Some(PolicyName::Conflict),
            "threshold_mb" => Some(PolicyName::Threshold),
            _ => None,
        }
    }

    /// Its name (below `user.pan.`).
    pub fn name(self) -> &'static str {
        match self {
            PolicyName::Conflict => "conflict_policy",
            PolicyName::Threshold => "threshold_mb",
        }
    }

    /// The values it takes, for people.
    pub fn allowed(self) -> String {
        match self {
            PolicyName::Conflict => {
                let names: Vec<&str> = ConflictPolicy::CHOICES.iter().map(|(n, _)| *n).collect();
                names.join(", ")
            }
            PolicyName::Threshold => format!("a whole number of MiB up to {HUGE_MB}, or {NONE}"),
        }
    }
}

/// A value that a policy does not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is no {name}; it takes {allowed}")]
pub struct BadPolicy {
    /// The policy.
    pub name: &'static str,
    /// What was given.
    pub value: String,
    /// What it takes.
    pub allowed: String,
}

/// What is decided for a directory. `None` leaves a policy to the directory above.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policies {
    /// What happens to a file that is in the way.
    pub conflict: Option<ConflictPolicy>,
    /// Bytes above which a content is not streamed; `Some(None)` lifts the limit.
    pub threshold: Option<Option<u64>>,
}

impl Policies {
    fn set(&mut self, name: PolicyName, value: &str) -> Result<(), BadPolicy> {
        let bad = || BadPolicy {
            name: name.name(),
            value: value.to_owned(),
            allowed: name.allowed(),
        };
        match name {
            PolicyName::Conflict => {
                self.conflict = Some(ConflictPolicy::parse(value).ok_or_else(bad)?);
            }
            PolicyName::Threshold if value == NONE => self.threshold = Some(None),
            PolicyName::Threshold => {
                let mib: u64 = value.parse().map_err(|_| bad())?;
                if mib > HUGE_MB {
                    return Err(bad());
                }
                self.threshold = Some(Some(mib << 20));
            }
        }
        Ok(())
    }

    fn take(&mut self, name: PolicyName) -> bool {
        match name {
            PolicyName::Conflict => self.conflict.take().is_some(),
            PolicyName::Threshold => self.threshold.take().is_some(),
        }
    }
}

/// The directories that have policies of their own.
#[derive(Default)]
pub(super) struct Directories {
    all: HashMap<NodeKey, Policies>,
}

impl Directories {
    pub fn load(catalog: &Catalog) -> Directories {
        let mut all: HashMap<NodeKey, Policies> = HashMap::new();
        for policy in catalog.policies() {
            let Some(name) = PolicyName::parse(&policy.name) else {
                continue;
            };
            if let Err(error) = all.entry(policy.dir).or_default().set(name, &policy.value) {
                tracing::warn!(%error, "a stored policy is left out");
            }
        }
        Directories { all }
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

impl Guard {
    /// Sets a policy of a directory. It is kept over restarts.
    ///
    /// # Errors
    /// A value that the policy does not take.
    pub fn set_policy(&self, dir: NodeKey, name: PolicyName, value: &str) -> Result<(), BadPolicy> {
        let mut directories = self
            .policies
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let mut changed = directories.all.get(&dir).copied().unwrap_or_default();
        changed.set(name, value)?;
        directories.all.insert(dir, changed);
        self.catalog.set_policy(dir, name.name(), Some(value));
        Ok(())
    }

    /// Takes a policy of a directory away; false when it has none of its own.
    pub fn remove_policy(&self, dir: NodeKey, name: PolicyName) -> bool {
        let mut directories = self
            .policies
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(own) = directories.all.get_mut(&dir) else {
            return false;
        };
        let had = own.take(name);
        if *own == Policies::default() {
            directories.all.remove(&dir);
        }
        if had {
            self.catalog.set_policy(dir, name.name(), None);
        }
        had
    }

    /// What holds in a directory: its own policies, else those of the nearest directory above,
    /// else the settings.
    pub fn policies_at(&self, dir: Option<NodeKey>) -> Policies {
        let mut found = Policies::default();
        {
            let directories = self.policies.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(dir) = dir.filter(|_| !directories.is_empty()) {
                for key in self.upwards(dir) {
                    let own = directories.all.get(&key).copied().unwrap_or_default();
                    found.conflict = found.conflict.or(own.conflict);
                    found.threshold = found.threshold.or(own.threshold);
                }
            }
        }
        let GuardSettings {
            conflict,
            threshold,
            ..
        } = self.settings;
        Policies {
            conflict: found.conflict.or(Some(conflict)),
            threshold: found.threshold.or(Some(threshold)),
        }
    }

    /// What holds in a directory, as the words that set it.
    pub fn policy_text(&self, dir: Option<NodeKey>, name: PolicyName) -> String {
        let policies = self.policies_at(dir);
        match name {
            PolicyName::Conflict => policies.conflict.unwrap_or_default().name().to_owned(),
            PolicyName::Threshold => match policies.threshold.flatten() {
                Some(bytes) => (bytes >> 20).to_string(),
                None => NONE.to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::size::tests::tree;
    use super::*;
    use crate::net::SystemClock;

    // S-164
    #[test]
    fn a_policy_holds_below_and_over_restarts_until_it_is_removed() {
        let tree = tree(GuardSettings::default());
        let guard = &tree.guard;
        let text = |dir, name| guard.policy_text(Some(dir), name);
        let (conflict, threshold) = (PolicyName::Conflict, PolicyName::Threshold);
        assert_eq!(text(tree.below, conflict), "overwrite_existing");
        assert_eq!(text(tree.below, threshold), "none");
        guard.set_policy(tree.root, conflict, "fail").unwrap();
        guard.set_policy(tree.root, threshold, "7").unwrap();
        guard.set_policy(tree.dir, threshold, "none").unwrap();
        assert_eq!(text(tree.below, conflict), "fail");
        assert_eq!(text(tree.root, threshold), "7");
        assert_eq!(text(tree.below, threshold), "none");
        let again = Guard::new(
            GuardSettings::default(),
            tree.catalog.clone(),
            Arc::new(SystemClock),
        );
        assert_eq!(again.policy_text(Some(tree.below), conflict), "fail");
        assert!(guard.remove_policy(tree.dir, threshold));
        assert!(!guard.remove_policy(tree.dir, threshold));
        assert_eq!(text(tree.below, threshold), "7");
    }

    // S-164
    #[test]
    fn a_wrong_value_is_refused_with_what_is_allowed() {
        let tree = tree(GuardSettings::default());
        for (name, value) in [
            (PolicyName::Conflict, "replace"),
            (PolicyName::Threshold, "-1"),
            (PolicyName::Threshold, "1.5"),
            (PolicyName::Threshold, "9999999999"),
            (PolicyName::Threshold, ""),
        ] {
            let error = tree.guard.set_policy(tree.dir, name, value).unwrap_err();
            assert!(error.to_string().contains(&name.allowed()), "{error}");
        }
        assert!(tree.catalog.policies().is_empty());
    }
}
