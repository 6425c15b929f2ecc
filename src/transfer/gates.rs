//! Who works in which directory. Where a provider addresses by path, the rename of a directory
//! changes the ids of all that is below it: it waits until nobody brings anything there, and
//! whoever begins meanwhile waits for it and then finds the new id.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::content::moved_id;
use crate::drive::NodeId;

/// A directory of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    profile: String,
    dir: NodeId,
}

impl Place {
    fn is_in(&self, other: &Place) -> bool {
        self.profile == other.profile && moved_id(&self.dir, &other.dir, &other.dir).is_some()
    }
}

/// The gates of all directories.
#[derive(Default)]
pub(super) struct Gates {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    inside: HashMap<String, Place>,
    closed: Vec<Place>,
}

impl Gates {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts `task` as working in the directory that `place` says, and no more in another one.
    /// Waits while that directory is closed; `false` when there is no place any more.
    pub async fn enter(
        &self,
        task: &str,
        profile: &str,
        place: impl Fn() -> Option<NodeId>,
    ) -> bool {
        loop {
            let changed = self.changed.notified();
            // The place is asked before the lock: it looks into the tree.
            let Some(dir) = place() else { return false };
            let wanted = Place {
                profile: profile.to_owned(),
                dir,
            };
            {
                let mut state = self.state();
                let now = state.inside.get(task);
                // Who is inside already is waited for: it must not wait in turn.
                let shut = state.closed.iter().any(|closed| {
                    wanted.is_in(closed) && !now.is_some_and(|now| now.is_in(closed))
                });
                if !shut {
                    // A place that was asked while a gate opened again is asked once more.
                    if place().as_ref() == Some(&wanted.dir) {
                        state.inside.insert(task.to_owned(), wanted);
                        self.changed.notify_waiters();
                        return true;
                    }
                    continue;
                }
            }
            changed.await;
        }
    }

    /// The task works nowhere any more.
    pub fn leave(&self, task: &str) {
        self.state().inside.remove(task);
        self.changed.notify_waiters();
    }

    /// Closes a directory with all below it and waits, at most `longest`, until nobody works there.
    pub async fn close(
        self: &Arc<Self>,
        profile: &str,
        dir: &NodeId,
        longest: Duration,
    ) -> Option<Closed> {
        let place = Place {
            profile: profile.to_owned(),
            dir: dir.clone(),
        };
        self.state().closed.push(place.clone());
        let closed = Closed {
            gates: self.clone(),
            place: place.clone(),
        };
        let deadline = tokio::time::Instant::now() + longest;
        loop {
            let changed = self.changed.notified();
            let busy = {
                let state = self.state();
                state.inside.values().any(|inside| inside.is_in(&place))
            };
            if !busy {
                return Some(closed);
            }
            tokio::time::timeout_at(deadline, changed).await.ok()?;
        }
    }
}

/// A closed directory; it opens when this is dropped.
pub(super) struct Closed {
    gates: Arc<Gates>,
    place: Place,
}

impl Drop for Closed {
    fn drop(&mut self) {
        let mut state = self.gates.state();
        if let Some(at) = state.closed.iter().position(|closed| *closed == self.place) {
            state.closed.swap_remove(at);
        }
        drop(state);
        self.gates.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> NodeId {
        NodeId::new(text)
    }

    #[tokio::test(start_paused = true)]
    async fn a_rename_waits_for_who_is_inside_and_others_wait_for_it() {
        let gates = Arc::new(Gates::default());
        assert!(gates.enter("t1", "p", || Some(id("a/b"))).await);
        let patience = Duration::from_secs(1);
        assert!(gates.close("p", &id("a"), patience).await.is_none());
        assert!(gates.close("p", &id("c"), patience).await.is_some());
        assert!(gates.close("q", &id("a"), patience).await.is_some());
        gates.leave("t1");
        let closed = gates.close("p", &id("a"), patience).await.unwrap();
        let now = Arc::new(Mutex::new(id("a/b")));
        let (waiting, place) = (gates.clone(), now.clone());
        let task = tokio::spawn(async move {
            let place = || Some(place.lock().unwrap().clone());
            waiting.enter("t2", "p", place).await
        });
        tokio::time::sleep(patience).await;
        assert!(!task.is_finished());
        *now.lock().unwrap() = id("z/b");
        drop(closed);
        assert!(task.await.unwrap());
        assert!(gates.close("p", &id("z"), patience).await.is_none());
        assert!(gates.close("p", &id("a"), patience).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_inside_may_go_on_below_a_closing_gate() {
        let gates = Arc::new(Gates::default());
        assert!(gates.enter("t", "p", || Some(id("a/b"))).await);
        let closing = tokio::spawn({
            let gates = gates.clone();
            async move { gates.close("p", &id("a"), Duration::from_secs(9)).await }
        });
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(gates.enter("t", "p", || Some(id("a/c"))).await);
        gates.leave("t");
        assert!(closing.await.unwrap().is_some());
    }
}
