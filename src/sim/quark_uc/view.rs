//! What reads show of late writes (sheet quark, section 9, "Consistency"): for
//! `visible_after_ms` an entry is listed, found and told about as it was before the change.

use std::collections::HashMap;

use super::super::account::Account;
use super::super::tree::Node;
use super::gate::Ctx;

/// Changes are forgotten after this.
const LONGEST_MS: i64 = 3_600_000;

struct Change {
    at: i64,
    profile: String,
    fid: String,
    /// The entry before; `None` when it is new.
    before: Option<Node>,
}

/// The latest changes of all accounts, oldest first.
#[derive(Default)]
pub(super) struct Changes(Vec<Change>);

impl Changes {
    /// Notes what an entry was before a change at `now`.
    pub(super) fn note(&mut self, account: &Account, fid: &str, before: Option<Node>, now: i64) {
        self.0.retain(|change| change.at > now - LONGEST_MS);
        self.0.push(Change {
            at: now,
            profile: account.profile.clone(),
            fid: fid.to_owned(),
            before,
        });
    }

    /// Entries of an account that changed after `since`, as they were then.
    fn since(&self, account: &Account, since: i64) -> HashMap<String, Option<Node>> {
        let mut all = HashMap::new();
        for change in &self.0 {
            if change.profile == account.profile && change.at > since {
                all.entry(change.fid.clone())
                    .or_insert_with(|| change.before.clone());
            }
        }
        all
    }
}

fn shown(node: &Node) -> bool {
    node.trashed.is_none() && !node.pending
}

impl Ctx<'_> {
    /// Entries that reads still show as they were.
    fn late(&self) -> HashMap<String, Option<Node>> {
        match self.number("visible_after_ms", 0) {
            0 => HashMap::new(),
            lag => {
                let changes = self.sim.changes();
                changes.since(&self.account, self.now().saturating_sub(lag))
            }
        }
    }

    /// The children of a directory that a listing shows.
    pub(super) fn seen_children(&self, parent: &str) -> Vec<Node> {
        let late = self.late();
        let mut rows: Vec<Node> = {
            let tree = self.account.tree();
            let now = tree.children(parent);
            now.filter(|node| !late.contains_key(&node.id))
                .cloned()
                .collect()
        };
        let before = late.into_values().flatten();
        rows.extend(before.filter(|node| node.parent == parent && shown(node)));
        rows
    }

    /// Every entry a search looks at.
    pub(super) fn seen_all(&self) -> Vec<Node> {
        let late = self.late();
        let mut rows: Vec<Node> = {
            let tree = self.account.tree();
            let all = tree.walk().into_iter();
            all.filter(|node| tree.live(&node.id).is_some() && !late.contains_key(&node.id))
                .cloned()
                .collect()
        };
        rows.extend(late.into_values().flatten().filter(shown));
        rows
    }

    /// An entry that a question for its id shows.
    pub(super) fn seen(&self, fid: &str) -> Option<Node> {
        match self.late().remove(fid) {
            Some(before) => before.filter(shown),
            None => self.account.tree().live(fid).cloned(),
        }
    }
}
