//! Which bytes of a draft come from where. Gaps are zeros.

use std::collections::BTreeMap;
use std::ops::Range;

use super::ContentRef;

/// Where bytes come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// The draft's stage file, at the same offset.
    Stage,
    /// Zeros.
    Zero,
    /// Another content, from `at` on.
    Content {
        /// The content.
        content: ContentRef,
        /// Offset in it.
        at: u64,
    },
}

impl Source {
    /// The same source, `by` bytes further on.
    fn skip(&self, by: u64) -> Source {
        match self {
            Source::Content { content, at } => Source::Content {
                content: content.clone(),
                at: at + by,
            },
            other => other.clone(),
        }
    }
}

/// A range and its source.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Where in the draft (half-open).
    pub range: Range<u64>,
    /// Where from.
    pub source: Source,
}

/// An extent map. Extents do not overlap.
#[derive(Clone, Debug, Default)]
pub struct ExtentMap {
    by_start: BTreeMap<u64, (u64, Source)>,
}

impl ExtentMap {
    /// Everything from one content.
    pub fn of(content: ContentRef, size: u64) -> Self {
        let mut map = ExtentMap::default();
        map.insert(0..size, Source::Content { content, at: 0 });
        map
    }

    /// Puts `source` at `range`, replacing what was there. Staged neighbours are joined.
    pub fn insert(&mut self, range: Range<u64>, source: Source) {
        if range.start >= range.end {
            return;
        }
        self.clear(range.clone());
        if matches!(source, Source::Zero) {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        if matches!(source, Source::Stage) {
            if let Some((&before, &(before_end, Source::Stage))) =
                self.by_start.range(..start).next_back()
                && before_end == start
            {
                self.by_start.remove(&before);
                start = before;
            }
            if let Some(&(after_end, Source::Stage)) = self.by_start.get(&end) {
                self.by_start.remove(&end);
                end = after_end;
            }
        }
        self.by_start.insert(start, (end, source));
    }

    /// Makes `range` zeros.
    pub fn clear(&mut self, range: Range<u64>) {
        let touched: Vec<u64> = self
            .by_start
            .range(..range.end)
            .rev()
            .take_while(|(_, (end, _))| *end > range.start)
            .map(|(start, _)| *start)
            .collect();
        for start in touched {
            let Some((end, source)) = self.by_start.remove(&start) else {
                continue;
            };
            if end > range.end {
                self.by_start
                    .insert(range.end, (end, source.skip(range.end - start)));
            }
            if start < range.start {
                self.by_start.insert(start, (range.start, source));
            }
        }
    }

    /// Forgets everything from `size` on.
    pub fn truncate(&mut self, size: u64) {
        self.clear(size..u64::MAX);
    }

    /// The pieces that make up `range`, in order, gaps as [`Source::Zero`].
    pub fn pieces(&self, range: Range<u64>) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut at = range.start;
        let first = self
            .by_start
            .range(..=range.start)
            .next_back()
            .map_or(range.start, |(start, _)| *start);
        for (&start, (end, source)) in self.by_start.range(first..) {
            if start >= range.end {
                break;
            }
            let from = start.max(range.start);
            let to = (*end).min(range.end);
            if from >= to {
                continue;
            }
            if from > at {
                pieces.push(Piece {
                    range: at..from,
                    source: Source::Zero,
                });
            }
            pieces.push(Piece {
                range: from..to,
                source: source.skip(from - start),
            });
            at = to;
        }
        if at < range.end {
            pieces.push(Piece {
                range: at..range.end,
                source: Source::Zero,
            });
        }
        pieces
    }

    /// The contents that it refers to; one that gives several pieces comes several times.
    pub fn contents(&self) -> impl Iterator<Item = &ContentRef> {
        self.by_start
            .values()
            .filter_map(|(_, source)| match source {
                Source::Content { content, .. } => Some(content),
                Source::Stage | Source::Zero => None,
            })
    }

    /// Whether every byte below `size` comes from the stage or is zero.
    pub fn is_local(&self) -> bool {
        self.by_start
            .values()
            .all(|(_, source)| !matches!(source, Source::Content { .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kinds(map: &ExtentMap, size: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        for piece in map.pieces(0..size) {
            let mark = u8::from(matches!(piece.source, Source::Stage));
            bytes.extend(std::iter::repeat_n(
                mark,
                (piece.range.end - piece.range.start) as usize,
            ));
        }
        bytes
    }

    proptest! {
        #[test]
        fn extents_equal_a_byte_map(ops in prop::collection::vec((0u64..60, 0u64..30, any::<bool>()), 1..40)) {
            let mut map = ExtentMap::default();
            let mut model = vec![0u8; 100];
            for (start, len, staged) in ops {
                let range = start..start + len;
                map.insert(range.clone(), if staged { Source::Stage } else { Source::Zero });
                for byte in &mut model[range.start as usize..range.end as usize] {
                    *byte = u8::from(staged);
                }
                prop_assert_eq!(kinds(&map, 100), model.clone());
            }
        }
    }

    #[test]
    fn truncating_cuts_an_extent() {
        let mut map = ExtentMap::default();
        map.insert(10..30, Source::Stage);
        map.truncate(20);
        assert_eq!(kinds(&map, 40).iter().filter(|b| **b == 1).count(), 10);
    }
}
