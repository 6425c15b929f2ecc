//! The attempts of a transfer: when it begins, what follows its end, and when it is tried again.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex;

use super::engine::{Engine, TransferSpec};
use super::publish;
use super::record::TransferRecord;
use super::result::TransferResult;
use super::swap::Swapping;
use super::task::{Task, TaskState};
use super::work::Work;
use crate::content::ContentRef;
use crate::drive::{Content, DriveError, ErrorKind, Node, Result};

/// Pauses before an acknowledged transfer is tried again, in seconds; the last one repeats.
const PAUSES: [u64; 6] = [2, 10, 30, 120, 600, 1800];

/// The pause after so many failures.
pub(super) fn pause(failures: usize) -> Duration {
    let longest = PAUSES.last();
    Duration::from_secs(PAUSES.get(failures).or(longest).copied().unwrap_or(1800))
}

/// A task works in the directory of its place until this is dropped.
struct Inside<'a> {
    engine: &'a Engine,
    task: &'a Task,
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.engine.gates().leave(&self.task.id);
    }
}

impl Engine {
    /// Runs a task to its end, with later attempts for acknowledged ones.
    pub(super) async fn drive_task(
        &self,
        task: &Arc<Task>,
        spec: TransferSpec,
        record: &Mutex<TransferRecord>,
    ) {
        if let Some(earlier) = &spec.after {
            let _ = earlier.wait().await;
        }
        if !spec.delay.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(spec.delay) => {}
                () = task.cancel.cancelled() => {}
            }
        }
        let mut failures = record.lock().await.failures as usize;
        loop {
            let _turn = if spec.acknowledged || task.promise().is_some() {
                tokio::select! {
                    // In this order: nothing is begun once the engine stops.
                    biased;
                    () = self.stopping().cancelled() => return,
                    () = task.cancel.cancelled() => None,
                    turn = self.turn() => turn,
                }
            } else {
                None
            };
            task.state.send_replace(TaskState::Running);
            let error = match self.run_once(task, &spec, record).await {
                Ok(()) => return,
                Err(error) => error,
            };
            // A destination that was removed meanwhile is as final as a cancel.
            let cancelled = task.cancel.is_cancelled() || error.kind == ErrorKind::Cancelled;
            let stopping = self.stopping().is_cancelled();
            let acknowledged = spec.acknowledged || task.promise().is_some();
            if !acknowledged || cancelled {
                self.give_up(task, &spec, record, error, cancelled).await;
                return;
            }
            if stopping {
                return;
            }
            tracing::warn!(id = task.id, %error, "transfer failed; it is tried again");
            let pause = pause(failures);
            failures += 1;
            {
                let mut record = record.lock().await;
                record.failures = u32::try_from(failures).unwrap_or(u32::MAX);
                record.error = Some(error.to_string());
                let _ = self.journal_put(&record).await;
            }
            spec.destination
                .failed(&error, &TransferResult::failed(task, &error, self.now_ms()));
            task.state.send_replace(TaskState::Failed(error));
            drop(_turn);
            tokio::select! {
                biased;
                () = self.stopping().cancelled() => return,
                () = tokio::time::sleep(pause) => {}
                () = task.again.notified() => {}
                () = task.cancel.cancelled() => {}
            }
        }
    }

    async fn run_once(
        &self,
        task: &Arc<Task>,
        spec: &TransferSpec,
        record: &Mutex<TransferRecord>,
    ) -> Result<()> {
        let _inside = Inside { engine: self, task };
        let work = Work {
            engine: self,
            task,
            volume: self.volume(&task.profile)?,
            content: task.promise().unwrap_or_else(|| spec.content.clone()),
            destination: spec.destination.clone(),
            promise_up_to: spec.promise_up_to,
            record,
        };
        let (node, result) = work.run().await?;
        self.learn(&spec.content, &node);
        self.note_copied(&spec.content);
        let result = Arc::new(result);
        // Removals that waited for it are free first: one that waits for a transfer that the
        // journal does not know any more would wait for one that never was verified.
        self.unpark(&task.id).await;
        // From here on the journal need not know it any more; the stage's bytes go.
        self.journal_remove(&task.id).await;
        self.discard(task, spec);
        task.state.send_replace(TaskState::Done(result));
        task.forget_sources();
        self.release_parked(&task.id).await;
        Ok(())
    }

    /// The staged bytes are not needed any more.
    fn discard(&self, task: &Task, spec: &TransferSpec) {
        let promised = task
            .promised
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        for content in [Some(&spec.content), promised.as_ref()]
            .into_iter()
            .flatten()
        {
            if let ContentRef::Sealed(sealed) = content {
                sealed.discard();
            }
        }
    }

    /// Cleans what a failed or cancelled transfer left.
    async fn give_up(
        &self,
        task: &Arc<Task>,
        spec: &TransferSpec,
        record: &Mutex<TransferRecord>,
        error: DriveError,
        cancelled: bool,
    ) {
        let result = TransferResult::failed(task, &error, self.now_ms());
        if !cancelled {
            spec.destination.failed(&error, &result);
        }
        let state = if cancelled {
            TaskState::Cancelled
        } else {
            TaskState::Failed(error.clone())
        };
        {
            // Whoever is told that it failed must not find it finished after a crash.
            let mut record = record.lock().await;
            record.abandoned = true;
            record.error = Some(error.to_string());
            if let Err(error) = self.journal_put(&record).await {
                tracing::error!(%error, "the journal cannot be written");
            }
        }
        if cancelled {
            // A newer version or a removal took its place. (Bytes that are kept for a person
            // stay all the same.)
            self.discard(task, spec);
        }
        // It is not tried again: nothing may wait for it while it is cleaned up.
        self.gave_up(&task.id);
        // Whoever waits is answered now; the clean-up goes on behind.
        task.state.send_replace(state);
        task.forget_sources();
        self.restore_parked(&task.id).await;
        self.clean_up(record).await;
    }

    /// Removes leftovers at the provider; the journal keeps the record until that worked.
    pub(super) async fn clean_up(&self, record: &Mutex<TransferRecord>) {
        let id = {
            let mut record = record.lock().await;
            if record.session.is_none() && record.created.is_none() && record.swap.is_none() {
                self.journal_remove(&record.id).await;
                return;
            }
            if !record.abandoned {
                record.abandoned = true;
                if let Err(error) = self.journal_put(&record).await {
                    tracing::error!(%error, "the journal cannot be written");
                }
            }
            record.id.clone()
        };
        match self.clean_provider(record).await {
            Ok(()) => self.journal_remove(&id).await,
            Err(error) => {
                tracing::warn!(id, %error, "clean-up is left to the next start");
            }
        }
    }

    async fn clean_provider(&self, record: &Mutex<TransferRecord>) -> Result<()> {
        let volume = self.volume(&record.lock().await.profile)?;
        if record.lock().await.swap.is_some() {
            let swapping = Swapping {
                engine: self,
                volume: &volume,
                record,
                own: &[],
            };
            swapping.undo().await?;
        }
        let (session, created) = {
            let record = record.lock().await;
            (record.session.clone(), record.created.clone())
        };
        publish::clean(&volume, session.as_ref(), created.as_ref()).await
    }

    /// What both sides know is one content (DESIGN 3.7).
    fn learn(&self, content: &ContentRef, node: &Node) {
        let mut known = content.known();
        if !known.contradicts(&node.fingerprints) {
            known.merge(&node.fingerprints);
        }
        self.catalog().learn(content.size(), &known);
    }
}
