//! Nodes whose content was verified at another place: `mv` across drives copies first and removes
//! then, often everything at the end, and that is no mass delete.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

/// How many are remembered. A node is 24 bytes here; the oldest are forgotten first.
const REMEMBERED: usize = 1 << 18;

/// How long one is remembered, milliseconds: a move of a large tree may copy for hours before it
/// removes the first file.
const LONGEST: i64 = 24 * 3600 * 1000;

/// What was copied, by hash.
#[derive(Default)]
pub(super) struct Copied {
    when: HashMap<u64, i64>,
    order: VecDeque<(i64, u64)>,
}

impl Copied {
    pub fn add(&mut self, now: i64, parts: &[&str]) {
        self.prune(now);
        let hash = hash(parts);
        self.when.insert(hash, now);
        self.order.push_back((now, hash));
    }

    pub fn has(&mut self, now: i64, parts: &[&str]) -> bool {
        self.prune(now);
        self.when.contains_key(&hash(parts))
    }

    /// As [`Copied::has`], and forgets it.
    pub fn take(&mut self, now: i64, parts: &[&str]) -> bool {
        self.prune(now);
        self.when.remove(&hash(parts)).is_some()
    }

    fn prune(&mut self, now: i64) {
        while let Some((at, hash)) = self.order.front().copied()
            && (self.order.len() >= REMEMBERED || now.saturating_sub(at) > LONGEST)
        {
            self.order.pop_front();
            if self.when.get(&hash) == Some(&at) {
                self.when.remove(&hash);
            }
        }
    }
}

fn hash(parts: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_copied_is_remembered_for_a_day_and_in_bounds() {
        let mut copied = Copied::default();
        copied.add(0, &["p", "1", "v"]);
        assert!(copied.has(LONGEST, &["p", "1", "v"]));
        // Another version, another profile, a directory of the same id.
        for other in [&["p", "1", "w"][..], &["q", "1", "v"], &["p", "1"]] {
            assert!(!copied.has(0, other));
        }
        assert!(!copied.take(0, &["q", "1", "v"]));
        // Copied again: the day starts anew.
        copied.add(1000, &["p", "1", "v"]);
        assert!(copied.has(LONGEST + 1, &["p", "1", "v"]));
        assert!(!copied.has(LONGEST + 1001, &["p", "1", "v"]));
        copied.add(4000, &["p", "2"]);
        assert!(copied.take(4000, &["p", "2"]));
        assert!(!copied.take(4000, &["p", "2"]));
        for number in 0..REMEMBERED + 10 {
            copied.add(5000, &["p", &number.to_string()]);
        }
        assert!(copied.order.len() <= REMEMBERED && copied.when.len() <= REMEMBERED);
        assert!(copied.has(5000, &["p", &(REMEMBERED + 9).to_string()]));
    }
}
