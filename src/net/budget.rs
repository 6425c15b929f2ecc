//! One budget per account: rate per class, concurrency, priorities.
//!
//! Each class is a token bucket with a number of slots. Who waits stands in a queue, one per
//! priority. There is no task behind it: the waiter at the head watches the bucket itself, and
//! whoever leaves (served, dropped, or giving a slot back) wakes the new head. A waiter takes its
//! token and slot in the same breath in which it returns, so one that is dropped loses nothing.
//!
//! Two rules keep it fair. A waiter climbs one priority for every minute it waits, so background
//! work is late but never starved. In a class with three or more slots the last free one is kept
//! for work a user waits for, so a scan with slow bodies cannot shut the door.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::jitter;

/// A waiter climbs one priority after each of these.
const CLIMB: Duration = Duration::from_secs(60);

/// A server that asks for a longer pause is not obeyed here: waiting in the budget has no deadline
/// of its own, and whoever would wait longer is told so by the error.
const LONGEST_HOLD: Duration = Duration::from_secs(10);

/// Who is waiting. Higher goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Refreshes, look-ahead, clean-up.
    Background,
    /// Walks of whole trees.
    Scan,
    /// A copy the user started.
    Copy,
    /// Somebody waits at a prompt.
    Interactive,
}

impl Priority {
    const LEVELS: usize = 4;

    fn level(self) -> usize {
        match self {
            Priority::Background => 0,
            Priority::Scan => 1,
            Priority::Copy => 2,
            Priority::Interactive => 3,
        }
    }
}

/// The limit of one rate class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassLimit {
    /// Name, as in [`super::Request::class`].
    pub class: &'static str,
    /// Requests per second; 0 means unlimited.
    pub per_second: f64,
    /// Requests that may start at once after a pause.
    pub burst: u32,
    /// Requests in flight at a time, body included; 0 means unlimited.
    pub concurrency: usize,
}

/// The budget of one account, shared by every profile of it.
pub struct Budget {
    by_name: HashMap<&'static str, usize>,
    /// Index of the class `other`.
    other: usize,
    classes: Vec<Mutex<Class>>,
}

/// The right to have one request in flight; given back when dropped.
pub struct Permit {
    budget: Arc<Budget>,
    class: usize,
}

/// How one class stands right now, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassLoad {
    /// Name.
    pub class: &'static str,
    /// Requests in flight.
    pub in_flight: usize,
    /// Waiters.
    pub waiting: usize,
}

struct Class {
    limit: ClassLimit,
    tokens: f64,
    filled_at: Instant,
    /// Nothing starts before this.
    held_until: Option<Instant>,
    in_flight: usize,
    /// One queue per priority, by arrival.
    queues: [BTreeMap<u64, Waiter>; Priority::LEVELS],
    arrivals: u64,
}

struct Waiter {
    since: Instant,
    wake: Arc<Notify>,
}

/// What the head of the queue has to wait for.
enum Verdict {
    Go,
    Until(Instant),
    ForSlot,
}

impl Class {
    fn new(limit: ClassLimit) -> Self {
        Class {
            limit,
            tokens: f64::from(limit.burst.max(1)),
            filled_at: Instant::now(),
            held_until: None,
            in_flight: 0,
            queues: Default::default(),
            arrivals: 0,
        }
    }

    fn limited_rate(&self) -> bool {
        self.limit.per_second.is_finite() && self.limit.per_second > 0.0
    }

    /// The waiter that goes next: highest priority after climbing, then the oldest.
    fn head(&self, now: Instant) -> Option<(usize, u64)> {
        let mut best: Option<(u64, u64, usize)> = None;
        for (level, queue) in self.queues.iter().enumerate() {
            let Some((&arrival, waiter)) = queue.first_key_value() else {
                continue;
            };
            let waited = now.saturating_duration_since(waiter.since).as_secs();
            let top = Priority::LEVELS as u64 - 1;
            let climbed = (level as u64 + waited / CLIMB.as_secs()).min(top);
            let better = best.is_none_or(|(rank, first, _)| {
                climbed > rank || (climbed == rank && arrival < first)
            });
            if better {
                best = Some((climbed, arrival, level));
            }
        }
        best.map(|(_, arrival, level)| (level, arrival))
    }

    fn wake_head(&self, now: Instant) {
        if let Some((level, arrival)) = self.head(now)
            && let Some(waiter) = self.queues.get(level).and_then(|q| q.get(&arrival))
        {
            waiter.wake.notify_one();
        }
    }

    fn verdict(&mut self, level: usize, now: Instant) -> Verdict {
        if let Some(until) = self.held_until {
            if now < until {
                return Verdict::Until(until);
            }
            self.held_until = None;
        }
        let slots = self.limit.concurrency;
        let kept = usize::from(slots >= 3 && level <= Priority::Scan.level());
        if slots > 0 && self.in_flight + kept >= slots {
            return Verdict::ForSlot;
        }
        if !self.limited_rate() {
            return Verdict::Go;
        }
        let rate = self.limit.per_second;
        let gained = now.saturating_duration_since(self.filled_at).as_secs_f64() * rate;
        self.tokens = (self.tokens + gained).min(f64::from(self.limit.burst.max(1)));
        self.filled_at = now;
        // A hair below one is rounding, not a debt.
        if self.tokens >= 1.0 - 1e-6 {
            return Verdict::Go;
        }
        let missing = Duration::try_from_secs_f64((1.0 - self.tokens) / rate)
            .unwrap_or(Duration::from_secs(3600))
            .max(Duration::from_micros(1));
        Verdict::Until(now + jitter::spread(missing, 1.0, 1.05))
    }

    fn take(&mut self) {
        if self.limited_rate() {
            self.tokens = (self.tokens - 1.0).max(0.0);
        }
        self.in_flight += 1;
    }
}

impl Budget {
    /// A budget with these classes. A class that is not named shares the class `other`, which
    /// is unlimited when not named itself.
    pub fn new(limits: &[ClassLimit]) -> Arc<Budget> {
        let mut by_name = HashMap::new();
        let mut classes = Vec::new();
        let other = ClassLimit {
            class: "other",
            per_second: 0.0,
            burst: 1,
            concurrency: 0,
        };
        let named_other = limits.iter().any(|limit| limit.class == other.class);
        let added = (!named_other).then_some(&other);
        for limit in limits.iter().chain(added) {
            by_name.insert(limit.class, classes.len());
            classes.push(Mutex::new(Class::new(*limit)));
        }
        let other = by_name.get(other.class).copied().unwrap_or_default();
        Arc::new(Budget {
            by_name,
            other,
            classes,
        })
    }

    /// Waits for the class's rate and a free slot, by priority, then by arrival.
    ///
    /// Dropping the future before it is ready gives its place to the next one.
    pub async fn acquire(self: &Arc<Self>, class: &str, priority: Priority) -> Permit {
        let index = self.index(class);
        let level = priority.level();
        let wake = Arc::new(Notify::new());
        let place = {
            let mut class = self.class(index);
            let arrival = class.arrivals;
            class.arrivals = class.arrivals.wrapping_add(1);
            let waiter = Waiter {
                since: Instant::now(),
                wake: wake.clone(),
            };
            if let Some(queue) = class.queues.get_mut(level) {
                queue.insert(arrival, waiter);
            }
            Place {
                budget: self,
                class: index,
                level,
                arrival,
            }
        };
        loop {
            let until = {
                let mut class = self.class(index);
                let now = Instant::now();
                if class.head(now) == Some((level, place.arrival)) {
                    match class.verdict(level, now) {
                        Verdict::Go => {
                            class.take();
                            drop(class);
                            // Leaving the queue wakes the next one.
                            drop(place);
                            return Permit {
                                budget: self.clone(),
                                class: index,
                            };
                        }
                        Verdict::Until(at) => Some(at),
                        Verdict::ForSlot => None,
                    }
                } else {
                    // Woken, but somebody else is first by now: the wake-up is theirs.
                    class.wake_head(now);
                    None
                }
            };
            match until {
                Some(at) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(at) => {}
                        () = wake.notified() => {}
                    }
                }
                None => wake.notified().await,
            }
        }
    }

    /// Lets nothing of `class` start for `pause`: the server said that it is too much. The client
    /// calls it for a 429 or 503 with `Retry-After`. A pause over 10 s holds nobody: the error
    /// tells the caller, who need not stand in a queue for it.
    pub fn hold(&self, class: &str, pause: Duration) {
        if pause > LONGEST_HOLD {
            return;
        }
        let mut class = self.class(self.index(class));
        let until = Instant::now() + pause;
        class.held_until = Some(class.held_until.map_or(until, |held| held.max(until)));
    }

    /// How every class stands, in the order they were named.
    pub fn load(&self) -> Vec<ClassLoad> {
        (0..self.classes.len())
            .map(|index| {
                let class = self.class(index);
                ClassLoad {
                    class: class.limit.class,
                    in_flight: class.in_flight,
                    waiting: class.queues.iter().map(BTreeMap::len).sum(),
                }
            })
            .collect()
    }

    fn index(&self, class: &str) -> usize {
        self.by_name.get(class).copied().unwrap_or(self.other)
    }

    fn class(&self, index: usize) -> MutexGuard<'_, Class> {
        // Indices come from `by_name` only and the list never shrinks.
        self.classes[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue, left when dropped.
struct Place<'a> {
    budget: &'a Budget,
    class: usize,
    level: usize,
    arrival: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut class = self.budget.class(self.class);
        if let Some(queue) = class.queues.get_mut(self.level) {
            queue.remove(&self.arrival);
        }
        class.wake_head(Instant::now());
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut class = self.budget.class(self.class);
        class.in_flight = class.in_flight.saturating_sub(1);
        class.wake_head(Instant::now());
    }
}

tokio::task_local! {
    static PRIORITY: Priority;
}

/// Runs `work` with this priority for every request it sends.
pub async fn with_priority<F: Future>(priority: Priority, work: F) -> F::Output {
    PRIORITY.scope(priority, work).await
}

/// The priority of the running task, `Interactive` when nobody said.
pub fn current_priority() -> Priority {
    PRIORITY.try_with(|p| *p).unwrap_or(Priority::Interactive)
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
