//! What the server reads, and in which order (clouddrive2.md section 11, 4).

use super::super::super::account::Knobs;
use super::super::super::content::mix;

/// A read request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Piece {
    pub offset: u64,
    pub length: u64,
    pub lazy: bool,
}

/// The read requests over a file of `size` bytes. Together they cover it.
pub(in super::super) fn plan(size: u64, knobs: &Knobs, seed: u64) -> Vec<Piece> {
    let odd = knobs.text("odd").unwrap_or_default();
    let odd = |name: &str| odd.split(',').any(|one| one.trim() == name);
    let length = match odd("whole") {
        true => size,
        false => knobs.number("read_size", 4 << 20),
    };
    let length = length.max(1);
    let mut pieces = Vec::new();
    let mut offset = 0;
    while offset < size {
        let number = pieces.len() as u64;
        pieces.push(Piece {
            offset,
            length: length.min(size - offset),
            // Some of them, as a server that reads ahead does.
            lazy: number.is_multiple_of(3),
        });
        offset = offset.saturating_add(length);
    }
    let order = knobs.text("read_order");
    match order.as_deref() {
        Some("forward") => {}
        Some("backward") => pieces.reverse(),
        _ => pieces.sort_by_key(|piece| mix(seed ^ piece.offset)),
    }
    if odd("overlap") {
        for piece in pieces.iter_mut().step_by(2) {
            let back = (piece.length / 3).min(piece.offset);
            piece.offset -= back;
            piece.length += back;
        }
    }
    if odd("twice") {
        pieces = pieces.into_iter().flat_map(|piece| [piece; 2]).collect();
    }
    if odd("again")
        && let Some(first) = pieces.first().copied()
    {
        pieces.push(first);
    }
    let extra = |offset: u64, length: u64| Piece {
        offset,
        length,
        lazy: false,
    };
    if odd("zero") {
        pieces.insert(pieces.len() / 2, extra(size - size / 4, 0));
    }
    if odd("past_end") {
        let tail = size.min(1000);
        pieces.insert(pieces.len() / 2, extra(size - tail, tail + 65_536));
        pieces.push(extra(size, 4096));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::super::ranges::Ranges;
    use super::*;

    fn covered(pieces: &[Piece], size: u64) -> bool {
        let mut ranges = Ranges::default();
        for piece in pieces {
            ranges.add(piece.offset, piece.offset + piece.length);
        }
        ranges.covers(0, size)
    }

    #[test]
    fn every_plan_covers_the_file() {
        let knobs = Knobs::default();
        knobs.set("read_size", "1000");
        for order in ["", "forward", "backward"] {
            knobs.set("read_order", order);
            for odd in ["", "whole", "overlap,twice", "zero,past_end,again"] {
                knobs.set("odd", odd);
                for size in [1, 999, 1000, 1001, 12_345] {
                    assert!(
                        covered(&plan(size, &knobs, 7), size),
                        "{order} {odd} {size}"
                    );
                }
            }
        }
        knobs.set("odd", "");
        knobs.set("read_order", "");
        let shuffled = plan(50_000, &knobs, 7);
        assert!(!shuffled.is_sorted_by_key(|piece| piece.offset));
        assert!(plan(0, &knobs, 7).is_empty());
    }

    #[test]
    fn oddities() {
        let knobs = Knobs::default();
        knobs.set("read_order", "forward");
        knobs.set("read_size", "1000");
        knobs.set("odd", "zero, past_end, twice, again");
        let pieces = plan(4000, &knobs, 0);
        assert_eq!(pieces[0], pieces[1]);
        assert!(pieces.iter().any(|piece| piece.length == 0));
        assert!(pieces.iter().any(|piece| piece.offset == 4000));
        assert!(
            pieces
                .iter()
                .any(|piece| piece.offset + piece.length > 60_000)
        );
        assert_eq!(
            pieces.iter().filter(|piece| **piece == pieces[0]).count(),
            3
        );
    }
}
