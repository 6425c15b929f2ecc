//! The one thread that writes.
//!
//! It saves the tree's unsaved changes, and runs queued jobs (the knowledge base), as many as
//! wait in one transaction. When the file cannot be written (a full disk) nothing is lost while
//! the process lives: changes stay in the tree, jobs stay queued, and both are tried again.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::save;
use super::schema;
use super::tree::Tree;

/// A queued write. It may run again when its transaction could not be committed.
pub(super) type Job = Box<dyn Fn(&Connection) -> rusqlite::Result<()> + Send>;

/// How long a failed save waits for its next try.
const RETRY: Duration = Duration::from_secs(2);

/// Messages taken into one transaction.
const BATCH: usize = 1024;

/// Jobs kept while the disk is full; the oldest are dropped beyond.
const BACKLOG: usize = 4096;

enum Message {
    Wake,
    Job(Job),
    Flush(SyncSender<bool>),
    Stop,
}

/// What the catalog and its writer share.
pub(super) struct Shared {
    tree: Mutex<Tree>,
    /// The file; `None` in memory.
    pub(super) path: Option<PathBuf>,
    /// Transactions that could not be committed.
    pub(super) write_failures: AtomicU64,
    /// Reads that SQLite refused.
    pub(super) read_failures: AtomicU64,
    /// Node rows written since the catalog was opened.
    pub(super) rows_written: AtomicU64,
    /// Jobs that were committed or given up.
    pub(super) jobs_done: AtomicU64,
    /// Whether the last transaction was committed.
    pub(super) healthy: AtomicBool,
    woken: AtomicBool,
}

impl Shared {
    pub(super) fn new(tree: Tree, path: Option<PathBuf>) -> Arc<Shared> {
        Arc::new(Shared {
            tree: Mutex::new(tree),
            path,
            write_failures: AtomicU64::new(0),
            read_failures: AtomicU64::new(0),
            rows_written: AtomicU64::new(0),
            jobs_done: AtomicU64::new(0),
            healthy: AtomicBool::new(true),
            woken: AtomicBool::new(false),
        })
    }

    pub(super) fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs and counts a read that SQLite refused.
    pub(super) fn read_failed(&self, what: &str, error: &rusqlite::Error) {
        self.read_failures.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(%error, what, "the catalog cannot be read");
        self.note_damage(error);
    }

    fn note_damage(&self, error: &rusqlite::Error) {
        if schema::is_damage(error)
            && let Some(path) = &self.path
        {
            schema::suspect(path);
        }
    }
}

/// The catalog's end of the writer.
pub(super) struct Writer {
    queue: Sender<Message>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    jobs_sent: AtomicU64,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(
        connection: Arc<Mutex<Connection>>,
        shared: Arc<Shared>,
    ) -> std::io::Result<Writer> {
        let (queue, messages) = mpsc::channel();
        let mut state = Loop {
            connection,
            shared: shared.clone(),
            backlog: VecDeque::new(),
        };
        let thread = std::thread::Builder::new()
            .name("catalog-writer".into())
            .spawn(move || state.run(&messages))?;
        Ok(Writer {
            queue,
            shared,
            thread: Some(thread),
            jobs_sent: AtomicU64::new(0),
        })
    }

    /// The tree has changes to save.
    pub(super) fn wake(&self) {
        if !self.shared.woken.swap(true, Ordering::SeqCst) {
            let _ = self.queue.send(Message::Wake);
        }
    }

    /// Queues a write.
    pub(super) fn run(&self, job: Job) {
        self.jobs_sent.fetch_add(1, Ordering::SeqCst);
        let _ = self.queue.send(Message::Job(job));
    }

    /// Waits until every queued job is in the file, unless the file cannot be written.
    pub(super) fn settle_jobs(&self) {
        let sent = self.jobs_sent.load(Ordering::SeqCst);
        if self.shared.jobs_done.load(Ordering::SeqCst) < sent
            && self.shared.healthy.load(Ordering::SeqCst)
        {
            self.flush();
        }
    }

    /// Waits until everything queued before is tried; whether all of it is in the file.
    pub(super) fn flush(&self) -> bool {
        let (answer, done) = mpsc::sync_channel(1);
        self.queue.send(Message::Flush(answer)).is_ok() && done.recv().unwrap_or(false)
    }

    /// Saves what is left and ends the thread.
    pub(super) fn stop(&mut self) {
        let _ = self.queue.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Loop {
    connection: Arc<Mutex<Connection>>,
    shared: Arc<Shared>,
    backlog: VecDeque<Job>,
}

impl Loop {
    fn run(&mut self, messages: &Receiver<Message>) {
        loop {
            let first = if self.shared.healthy.load(Ordering::SeqCst) {
                messages.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                messages.recv_timeout(RETRY)
            };
            let mut waiting = Vec::new();
            let mut stop = false;
            let mut next = match first {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Message::Stop),
            };
            let mut taken = 0;
            while let Some(message) = next {
                match message {
                    Message::Job(job) => self.queue(job),
                    Message::Flush(answer) => waiting.push(answer),
                    Message::Stop => stop = true,
                    Message::Wake => {}
                }
                taken += 1;
                next = if stop || taken >= BATCH {
                    None
                } else {
                    messages.try_recv().ok()
                };
            }
            let saved = self.batch();
            for answer in waiting {
                let _ = answer.send(saved);
            }
            if stop {
                return;
            }
        }
    }

    fn queue(&mut self, job: Job) {
        if self.backlog.len() >= BACKLOG && !self.shared.healthy.load(Ordering::SeqCst) {
            self.backlog.pop_front();
            self.shared.jobs_done.fetch_add(1, Ordering::SeqCst);
        }
        self.backlog.push_back(job);
    }

    /// One transaction with everything that waits; whether it was committed.
    fn batch(&mut self) -> bool {
        // Cleared first: a change made after the snapshot wakes the thread once more.
        self.shared.woken.store(false, Ordering::SeqCst);
        let snapshot = self.shared.tree().snapshot();
        if snapshot.is_empty() && self.backlog.is_empty() {
            return true;
        }
        let result = {
            let mut connection = self
                .connection
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            commit(&mut connection, &snapshot, &self.backlog)
        };
        match result {
            Ok(rows) => {
                self.shared.tree().saved(&snapshot);
                self.shared.rows_written.fetch_add(rows, Ordering::Relaxed);
                let jobs = u64::try_from(self.backlog.len()).unwrap_or(0);
                self.backlog.clear();
                self.shared.jobs_done.fetch_add(jobs, Ordering::SeqCst);
                if !self.shared.healthy.swap(true, Ordering::SeqCst) {
                    tracing::info!("the catalog is written again");
                }
                true
            }
            Err(error) => {
                self.shared.write_failures.fetch_add(1, Ordering::Relaxed);
                self.shared.note_damage(&error);
                if self.shared.healthy.swap(false, Ordering::SeqCst) {
                    tracing::error!(%error, "the catalog cannot be written, it goes on in memory");
                }
                false
            }
        }
    }
}

fn commit(
    connection: &mut Connection,
    snapshot: &super::tree::Snapshot,
    jobs: &VecDeque<Job>,
) -> rusqlite::Result<u64> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let rows = save::save(&transaction, snapshot)?;
    for job in jobs {
        transaction.execute_batch("SAVEPOINT job")?;
        match job(&transaction) {
            Ok(()) => {}
            Err(error) if is_storage(&error) => return Err(error),
            Err(error) => {
                // The job is at fault, not the file: it must not hold up the others.
                tracing::error!(%error, "a write to the catalog is dropped");
                transaction.execute_batch("ROLLBACK TO job")?;
            }
        }
        transaction.execute_batch("RELEASE job")?;
    }
    transaction.commit()?;
    Ok(rows)
}

/// Whether the file, not the statement, is at fault: worth another try of the whole batch.
pub(super) fn is_storage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::OutOfMemory
                | ErrorCode::PermissionDenied
                | ErrorCode::FileLockingProtocolFailed
        )
    )
}
