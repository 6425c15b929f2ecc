//! What a person decided: policies of directories, and the state of guards.

use super::Catalog;
use super::entry::{NodeKey, unsigned};
use super::tree::{Record, Slot};

const POLICY: &str = "policy";
const GUARD: &str = "guard";

/// A policy that is set on a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The directory.
    pub dir: NodeKey,
    /// Which policy.
    pub name: String,
    /// What was decided.
    pub value: String,
}

impl Catalog {
    /// Sets a policy of a directory, or takes it away. It stays with the directory when that is
    /// renamed, and goes with it.
    pub fn set_policy(&self, dir: NodeKey, name: &str, value: Option<&str>) {
        let record = value.map(|value| Record {
            text: value.into(),
            ..Record::default()
        });
        self.shared
            .tree()
            .put_record(Slot::of_node(dir, POLICY, name), record);
        self.changed();
    }

    /// Every policy that is set.
    pub fn policies(&self) -> Vec<Policy> {
        let saved = self
            .read(POLICY, |connection| {
                connection
                    .prepare_cached("SELECT node, name FROM node_records WHERE kind = ?1")?
                    .query_map([POLICY], |row| {
                        Ok((NodeKey(unsigned(row.get(0)?)), row.get::<_, String>(1)?))
                    })?
                    .collect::<rusqlite::Result<Vec<_>>>()
            })
            .unwrap_or_default();
        let unsaved = self.shared.tree().slots_of(POLICY);
        let unsaved = unsaved
            .into_iter()
            .filter_map(|slot| Some((slot.node?, slot.name.to_string())));
        let mut slots: Vec<(NodeKey, String)> = saved.into_iter().chain(unsaved).collect();
        slots.sort();
        slots.dedup();
        slots
            .into_iter()
            .filter_map(|(dir, name)| {
                let value = self.record(&Slot::of_node(dir, POLICY, &name))?.text;
                Some(Policy {
                    dir,
                    name,
                    value: value.to_string(),
                })
            })
            .collect()
    }

    /// Keeps the state of a guard over restarts; `None` forgets it.
    pub fn set_guard_state(&self, guard: &str, state: Option<&str>) {
        let record = state.map(|state| Record {
            text: state.into(),
            ..Record::default()
        });
        self.shared
            .tree()
            .put_record(Slot::of_name(GUARD, guard), record);
        self.changed();
    }

    /// The state of a guard.
    pub fn guard_state(&self, guard: &str) -> Option<String> {
        self.record(&Slot::of_name(GUARD, guard))
            .map(|record| record.text.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::NodeId;

    #[test]
    fn policies_and_guards_survive_reopening() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("catalog.db");
        let catalog = Catalog::open(&path).unwrap().catalog;
        let dir = catalog.root("p", &NodeId::new("0"));
        catalog.set_policy(dir, "a", Some("1"));
        catalog.set_policy(dir, "b", Some("2"));
        catalog.set_policy(dir, "b", None);
        catalog.set_guard_state("deletes", Some("open"));
        let expected = [Policy {
            dir,
            name: "a".to_owned(),
            value: "1".to_owned(),
        }];
        assert_eq!(catalog.policies(), expected);
        assert!(catalog.flush());
        assert_eq!(catalog.policies(), expected);
        drop(catalog);
        let catalog = Catalog::open(&path).unwrap().catalog;
        assert_eq!(catalog.policies(), expected);
        assert_eq!(catalog.guard_state("deletes").as_deref(), Some("open"));
        // A change that is not saved yet hides what is.
        catalog.set_policy(dir, "a", None);
        catalog.set_guard_state("deletes", None);
        assert_eq!(catalog.policies(), []);
        assert_eq!(catalog.guard_state("deletes"), None);
    }
}
