//! Sets of byte ranges.

use std::collections::BTreeMap;

/// Ranges, joined where they touch: start to end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    /// Adds `[from, to)`.
    pub(in super::super) fn add(&mut self, mut from: u64, mut to: u64) {
        if from >= to {
            return;
        }
        let touched: Vec<(u64, u64)> = self
            .0
            .range(..=to)
            .rev()
            .take_while(|(_, end)| **end >= from)
            .map(|(start, end)| (*start, *end))
            .collect();
        for (start, end) in touched {
            from = from.min(start);
            to = to.max(end);
            self.0.remove(&start);
        }
        self.0.insert(from, to);
    }

    /// Whether all of `[from, to)` is in it.
    pub(in super::super) fn covers(&self, from: u64, to: u64) -> bool {
        let before = self.0.range(..=from).next_back();
        from >= to || before.is_some_and(|(_, end)| *end >= to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_join() {
        let mut ranges = Ranges::default();
        ranges.add(10, 20);
        ranges.add(30, 40);
        ranges.add(50, 60);
        assert!(!ranges.covers(10, 21) && ranges.covers(12, 20) && ranges.covers(25, 25));
        ranges.add(20, 30);
        assert!(ranges.covers(10, 40) && !ranges.covers(9, 11) && !ranges.covers(39, 51));
        ranges.add(0, 100);
        let mut whole = Ranges::default();
        whole.add(0, 100);
        assert_eq!(ranges, whole);
    }
}
