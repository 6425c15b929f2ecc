//! What the kernel must forget, told from threads of its own.
//!
//! A notification can wait for a lock that a request of the same directory holds, so it is never
//! sent from a thread that answers requests (facts/fuse.md A). Several threads share the queue:
//! one that waits for a slow drive does not hold up the others. The same news is queued once.

use std::collections::{HashSet, VecDeque};
use std::ffi::OsStr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use fuser::{INodeNo, Notifier};

use crate::vfs::Changes;

/// Threads that tell the kernel.
const TELLERS: usize = 4;

/// Something to forget.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Change {
    Entry(u64, String),
    Inode(u64),
}

#[derive(Default)]
struct Waiting {
    order: VecDeque<Change>,
    known: HashSet<Change>,
    closed: bool,
}

/// News for the kernel.
#[derive(Default)]
pub(super) struct News {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

impl News {
    fn add(&self, change: Change) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.closed || !waiting.known.insert(change.clone()) {
            return;
        }
        waiting.order.push_back(change);
        self.arrived.notify_one();
    }

    /// The oldest news; waits for one. `None` after [`News::close`].
    fn take(&self) -> Option<Change> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if waiting.closed {
                return None;
            }
            if let Some(change) = waiting.order.pop_front() {
                // From here on the same news is news again: the kernel may have learned the old
                // state once more while it is being told.
                waiting.known.remove(&change);
                return Some(change);
            }
            waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends the tellers. What is queued is dropped: there is no mount to tell any more.
    pub fn close(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.closed = true;
        waiting.order.clear();
        waiting.known.clear();
        self.arrived.notify_all();
    }
}

impl Changes for News {
    fn entry(&self, parent: u64, name: &str) {
        self.add(Change::Entry(parent, name.to_owned()));
    }

    fn inode(&self, ino: u64) {
        self.add(Change::Inode(ino));
    }
}

/// Starts the threads that tell the kernel; they end with [`News::close`].
///
/// # Errors
/// When no thread can be started.
pub(super) fn start(news: &Arc<News>, notifier: &Notifier) -> std::io::Result<Vec<JoinHandle<()>>> {
    (0..TELLERS)
        .map(|number| {
            let (news, notifier) = (news.clone(), notifier.clone());
            Builder::new()
                .name(format!("fuse-notify-{number}"))
                .spawn(move || tell_all(&news, |change| tell(&notifier, change)))
        })
        .collect()
}

fn tell_all(news: &News, tell: impl Fn(&Change)) {
    while let Some(change) = news.take() {
        tell(&change);
    }
}

fn tell(notifier: &Notifier, change: &Change) {
    let told = match change {
        Change::Entry(parent, name) => notifier.inval_entry(INodeNo(*parent), OsStr::new(name)),
        // Length 0 is everything: attributes, pages, and the remembered list of a directory.
        Change::Inode(ino) => notifier.inval_inode(INodeNo(*ino), 0, 0),
    };
    if let Err(error) = told {
        // An unmounted file system remembers nothing; an entry that is in use stays until its
        // attributes run out.
        tracing::debug!(?change, %error, "the kernel did not take a notification");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_news_is_told_once() {
        let news = News::default();
        news.inode(3);
        news.entry(1, "a");
        news.inode(3);
        news.entry(1, "b");
        assert_eq!(news.take(), Some(Change::Inode(3)));
        // Told already: new again.
        news.inode(3);
        assert_eq!(news.take(), Some(Change::Entry(1, "a".to_owned())));
        assert_eq!(news.take(), Some(Change::Entry(1, "b".to_owned())));
        assert_eq!(news.take(), Some(Change::Inode(3)));
    }

    #[test]
    fn tellers_end_when_it_is_closed() {
        let news = Arc::new(News::default());
        let told = Arc::new(Mutex::new(Vec::new()));
        let threads: Vec<_> = (0..TELLERS)
            .map(|_| {
                let (news, told) = (news.clone(), told.clone());
                std::thread::spawn(move || {
                    tell_all(&news, |change| told.lock().unwrap().push(change.clone()));
                })
            })
            .collect();
        for ino in 0..100 {
            news.inode(ino);
        }
        while told.lock().unwrap().len() < 100 {
            std::thread::yield_now();
        }
        news.close();
        news.inode(7);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(told.lock().unwrap().len(), 100);
    }
}
