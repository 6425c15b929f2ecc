//! What the server asked of the bytes: requests that wait, by priority, and what was sent.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ops::Range;

use super::upload_message::RemoteReadDataRequest;

/// Requests of one upload that are served at a time.
const PARALLEL: usize = 4;

/// Requests that wait or are being served.
#[derive(Default)]
pub struct Reads {
    urgent: VecDeque<RemoteReadDataRequest>,
    lazy: VecDeque<RemoteReadDataRequest>,
    /// Waiting or being served: an exact duplicate of one is dropped (sheet section 7.4).
    known: HashSet<RemoteReadDataRequest>,
    /// Asked for once more when the server had all of the answer, though we did not know it yet.
    again: HashSet<RemoteReadDataRequest>,
    running: usize,
    lazy_running: usize,
}

impl Reads {
    /// `is_out` says that the last piece of such a request is on its way: asked for now, it is
    /// wanted once more, and the server would wait for ever for what is dropped.
    pub fn push(&mut self, asked: RemoteReadDataRequest, is_out: bool) {
        if !self.known.insert(asked) {
            if is_out {
                self.again.insert(asked);
            }
            return;
        }
        match asked.lazy_read {
            true => self.lazy.push_back(asked),
            false => self.urgent.push_back(asked),
        }
    }

    /// The next to serve. A lazy one goes when no other waits, one at a time.
    pub fn next(&mut self) -> Option<RemoteReadDataRequest> {
        if self.running >= PARALLEL {
            return None;
        }
        let next = match self.urgent.pop_front() {
            Some(asked) => asked,
            None if self.lazy_running > 0 => return None,
            None => {
                let asked = self.lazy.pop_front()?;
                self.lazy_running += 1;
                asked
            }
        };
        self.running += 1;
        Some(next)
    }

    /// It is answered; asked for again it is served again.
    pub fn done(&mut self, asked: &RemoteReadDataRequest) {
        if self.known.remove(asked) {
            self.running = self.running.saturating_sub(1);
            if asked.lazy_read {
                self.lazy_running = self.lazy_running.saturating_sub(1);
            }
        }
        if self.again.remove(asked) {
            self.push(*asked, false);
        }
    }
}

/// The bytes of a content of `size` bytes that a request means: those that exist. Length 0 means
/// all that follow (sheet section 7.4).
pub fn meant(asked: &RemoteReadDataRequest, size: u64) -> Range<u64> {
    let start = asked.offset.min(size);
    let end = match asked.length {
        0 => size,
        length => asked.offset.saturating_add(length).min(size),
    };
    start..end.max(start)
}

/// Ranges that were sent, without overlap.
#[derive(Default)]
pub struct Sent(BTreeMap<u64, u64>);

impl Sent {
    pub fn add(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        let touching: Vec<u64> = self
            .0
            .range(..=end)
            .filter(|(_, until)| **until >= start)
            .map(|(from, _)| *from)
            .collect();
        for from in touching {
            if let Some(until) = self.0.remove(&from) {
                start = start.min(from);
                end = end.max(until);
            }
        }
        self.0.insert(start, end);
    }

    /// Whether the server has seen all of a content of this size.
    pub fn is_all(&self, size: u64) -> bool {
        size == 0 || self.0.get(&0).is_some_and(|end| *end >= size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(offset: u64, length: u64, lazy_read: bool) -> RemoteReadDataRequest {
        RemoteReadDataRequest {
            offset,
            length,
            lazy_read,
        }
    }

    #[test]
    fn duplicates_are_dropped_while_they_are_served_and_not_after() {
        let mut reads = Reads::default();
        reads.push(asked(0, 10, false), false);
        reads.push(asked(0, 10, false), false);
        let first = reads.next().unwrap();
        reads.push(first, false);
        assert_eq!(reads.next(), None);
        reads.done(&first);
        reads.push(first, false);
        assert_eq!(reads.next(), Some(first));
    }

    /// The server had the whole answer and asked once more before we saw that it had.
    #[test]
    fn what_is_asked_for_again_while_its_last_piece_is_on_its_way_is_served_again() {
        let mut reads = Reads::default();
        let wanted = asked(0, 10, false);
        reads.push(wanted, false);
        assert_eq!(reads.next(), Some(wanted));
        reads.push(wanted, true);
        assert_eq!(reads.next(), None);
        reads.done(&wanted);
        assert_eq!(reads.next(), Some(wanted));
        reads.done(&wanted);
        assert_eq!(reads.next(), None);
    }

    #[test]
    fn lazy_requests_wait_for_the_others_and_go_one_by_one() {
        let mut reads = Reads::default();
        reads.push(asked(0, 1, true), false);
        reads.push(asked(1, 1, true), false);
        reads.push(asked(2, 1, false), false);
        assert_eq!(reads.next(), Some(asked(2, 1, false)));
        assert_eq!(reads.next(), Some(asked(0, 1, true)));
        assert_eq!(reads.next(), None);
        reads.push(asked(3, 1, false), false);
        assert_eq!(reads.next(), Some(asked(3, 1, false)));
        reads.done(&asked(0, 1, true));
        assert_eq!(reads.next(), Some(asked(1, 1, true)));
    }

    #[test]
    fn no_more_than_some_at_a_time() {
        let mut reads = Reads::default();
        for n in 0..10 {
            reads.push(asked(n, 1, false), false);
        }
        let taken = std::iter::from_fn(|| reads.next()).count();
        assert_eq!(taken, PARALLEL);
    }

    #[test]
    fn only_bytes_that_exist_are_meant() {
        assert_eq!(meant(&asked(10, 5, false), 100), 10..15);
        assert_eq!(meant(&asked(10, 0, false), 100), 10..100);
        assert_eq!(meant(&asked(90, 50, false), 100), 90..100);
        assert_eq!(meant(&asked(u64::MAX, u64::MAX, false), 100), 100..100);
        assert_eq!(meant(&asked(0, 0, false), 0), 0..0);
    }

    #[test]
    fn what_was_sent_is_joined() {
        let mut sent = Sent::default();
        assert!(sent.is_all(0) && !sent.is_all(1));
        for range in [20..30, 0..10, 5..20, 29..40] {
            assert!(!sent.is_all(40));
            sent.add(range);
        }
        assert!(sent.is_all(40) && !sent.is_all(41));
    }
}
