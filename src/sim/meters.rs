//! What an account was asked and how many bytes moved.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;

/// The numbers of an account since the last reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stat {
    /// Requests by operation, refused ones too.
    pub requests: BTreeMap<String, u64>,
    /// What was noticed beside the requests, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, u64>,
    /// Content bytes handed to clients, of cut bodies too.
    pub bytes_down: u64,
    /// Content bytes received from clients, of cut bodies too.
    pub bytes_up: u64,
    /// Content bytes that the provider asked a client for, where it says what it wants
    /// (server-driven uploads). What is asked twice counts twice.
    pub bytes_asked: u64,
    /// Uploads that needed no bytes.
    pub rapid_hits: u64,
    /// Fast upload attempts that found nothing.
    pub rapid_misses: u64,
    /// Proofs asked of a client (115's range challenge and the like).
    pub challenges: u64,
    /// Token refreshes granted.
    pub refreshes: u64,
}

impl Stat {
    /// Requests of one operation.
    pub fn count(&self, op: &str) -> u64 {
        self.requests.get(op).copied().unwrap_or(0)
    }

    /// How often something was noticed.
    pub fn noted(&self, note: &str) -> u64 {
        self.notes.get(note).copied().unwrap_or(0)
    }

    /// All requests.
    pub fn total(&self) -> u64 {
        self.requests.values().sum()
    }
}

/// Arrivals that are remembered.
const ARRIVALS: usize = 20_000;

/// The meters of an account.
#[derive(Default)]
pub struct Meters {
    stat: Mutex<Stat>,
    /// The latest requests and when they came, oldest first.
    arrivals: Mutex<VecDeque<(String, Instant)>>,
}

impl Meters {
    fn with(&self, change: impl FnOnce(&mut Stat)) {
        change(&mut self.stat.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// A request of `op` came in.
    pub fn request(&self, op: &str) {
        self.with(|stat| *stat.requests.entry(op.to_owned()).or_default() += 1);
        let mut arrivals = self.arrivals();
        if arrivals.len() == ARRIVALS {
            arrivals.pop_front();
        }
        arrivals.push_back((op.to_owned(), Instant::now()));
    }

    /// Something that is no request of its own was noticed.
    pub fn note(&self, note: &str) {
        self.with(|stat| *stat.notes.entry(note.to_owned()).or_default() += 1);
    }

    /// Content bytes were sent.
    pub fn down(&self, bytes: u64) {
        self.with(|stat| stat.bytes_down += bytes);
    }

    /// Content bytes were received.
    pub fn up(&self, bytes: u64) {
        self.with(|stat| stat.bytes_up += bytes);
    }

    /// Content bytes were asked of a client.
    pub fn asked(&self, bytes: u64) {
        self.with(|stat| stat.bytes_asked += bytes);
    }

    /// A fast upload attempt ended.
    pub fn rapid(&self, hit: bool) {
        self.with(|stat| {
            *(if hit {
                &mut stat.rapid_hits
            } else {
                &mut stat.rapid_misses
            }) += 1;
        });
    }

    /// A proof was asked for.
    pub fn challenge(&self) {
        self.with(|stat| stat.challenges += 1);
    }

    /// A token was refreshed.
    pub fn refresh(&self) {
        self.with(|stat| stat.refreshes += 1);
    }

    fn arrivals(&self) -> std::sync::MutexGuard<'_, VecDeque<(String, Instant)>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When requests of `op` came, oldest first.
    pub fn arrivals_of(&self, op: &str) -> Vec<Instant> {
        let arrivals = self.arrivals();
        let of_op = arrivals.iter().filter(|(known, _)| known == op);
        of_op.map(|(_, at)| *at).collect()
    }

    /// The numbers.
    pub fn stat(&self) -> Stat {
        self.stat
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Back to zero.
    pub fn reset(&self) {
        self.with(|stat| *stat = Stat::default());
        self.arrivals().clear();
    }
}
