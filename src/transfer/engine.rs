//! Starts, queues, retries and recovers transfers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::destination::Destination;
use super::journal::Journal;
use super::parked::Parking;
use super::publish;
use super::record::TransferRecord;
use super::result::TransferResult;
use super::stream::Buffers;
use super::task::{Progress, Task, TaskState};
use super::volumes::Volumes;
use super::work::Work;
use crate::catalog::Catalog;
use crate::content::{ContentRef, Stage, Volume};
use crate::drive::{Content, DriveError, ErrorKind, NodeId, PartReceipt, Result};
use crate::fingerprint::{Fingerprints, Kind};
use crate::net::{Clock, Priority, with_priority};

/// Pauses before an acknowledged transfer is tried again; the last one repeats.
const PAUSES: [u64; 6] = [2, 10, 30, 120, 600, 1800];

/// How many finished transfers are remembered for `task ls`.
const REMEMBERED: usize = 500;

/// What a user can set.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Background transfers at a time.
    pub parallel: usize,
    /// Largest content that may be streamed from another drive without asking a person.
    pub threshold: Option<u64>,
    /// Bytes of part buffers of all transfers together.
    pub buffer_bytes: u64,
    /// Short id of this instance, part of temporary names.
    pub instance: String,
}

/// What an engine is made of.
pub struct EngineParts {
    /// The mounted drives.
    pub volumes: Vec<Volume>,
    /// The catalog.
    pub catalog: Arc<Catalog>,
    /// The journal.
    pub journal: Arc<Journal>,
    /// The stage.
    pub stage: Arc<Stage>,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Settings.
    pub settings: EngineSettings,
}

/// A transfer to start.
pub struct TransferSpec {
    /// The bytes.
    pub content: ContentRef,
    /// Where to.
    pub destination: Arc<dyn Destination>,
    /// `profile:/path` of the source, or `written`.
    pub source_label: String,
    /// Modification time to store, milliseconds since the epoch.
    pub modified: Option<i64>,
    /// Whether the caller answers its program before the end. The record is durable when
    /// [`Engine::start`] returns, and failures are tried again.
    pub acknowledged: bool,
    /// Up to this many bytes a copy that the target does not know may be promised: its bytes
    /// are staged, the program is answered, and the upload goes on behind.
    pub promise_up_to: u64,
    /// Pause before it begins, for names that are about to be renamed.
    pub delay: Duration,
    /// An earlier transfer of the same node, to keep the order.
    pub after: Option<Arc<Task>>,
}

struct Inner {
    parts: EngineParts,
    volumes: Volumes,
    background: Semaphore,
    buffers: Buffers,
    tasks: Mutex<Vec<Arc<Task>>>,
    records: Mutex<HashMap<String, Arc<tokio::sync::Mutex<TransferRecord>>>>,
    parking: Parking,
    stopping: CancellationToken,
}

/// The engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

impl Engine {
    /// An engine over these parts. Nothing is started; see [`Engine::recover`].
    pub fn new(parts: EngineParts) -> Engine {
        Engine {
            inner: Arc::new(Inner {
                background: Semaphore::new(parts.settings.parallel.max(1)),
                buffers: Buffers::new(parts.settings.buffer_bytes),
                volumes: Volumes::new(&parts.volumes),
                tasks: Mutex::new(Vec::new()),
                records: Mutex::new(HashMap::new()),
                parking: Parking::default(),
                stopping: CancellationToken::new(),
                parts,
            }),
        }
    }

    /// A mounted drive by the name of its profile.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn volume(&self, profile: &str) -> Result<Volume> {
        self.inner
            .volumes
            .get(profile)
            .ok_or_else(|| DriveError::not_found(format!("profile {profile}")))
    }

    /// Every mounted drive.
    pub fn volumes(&self) -> Vec<Volume> {
        self.inner.volumes.all()
    }

    /// Takes a drive in; one of the same name is replaced for every transfer that begins from now on.
    pub fn add_volume(&self, volume: Volume) {
        self.inner.volumes.put(volume);
    }

    /// Lets a drive go. What the journal holds for it waits until a profile of that name is back.
    pub fn remove_volume(&self, profile: &str) -> Option<Volume> {
        self.inner.volumes.take(profile)
    }

    /// The catalog.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.inner.parts.catalog
    }

    /// The journal.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.inner.parts.journal
    }

    /// The stage.
    pub fn stage(&self) -> &Arc<Stage> {
        &self.inner.parts.stage
    }

    /// Milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        self.inner.parts.clock.now_ms()
    }

    pub(super) fn parking(&self) -> &Parking {
        &self.inner.parking
    }

    /// A turn among the transfers that nobody waits for.
    pub(super) async fn turn(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.inner.background.acquire().await.ok()
    }

    pub(super) fn buffers(&self) -> &Buffers {
        &self.inner.buffers
    }

    /// Largest content that may be streamed from another drive without asking a person.
    pub fn threshold(&self) -> Option<u64> {
        self.inner.parts.settings.threshold
    }

    /// Short id of this instance.
    pub fn instance(&self) -> &str {
        &self.inner.parts.settings.instance
    }

    /// Every algorithm some mounted drive asks for or lists, and MD5 and SHA-1: computed in the one
    /// pass, so that the next copy to any drive is instant.
    pub fn wanted_kinds(&self) -> Vec<Kind> {
        let mut kinds = vec![Kind::Md5, Kind::Sha1];
        for volume in self.volumes() {
            let capabilities = volume.capabilities();
            let asked = capabilities
                .questions
                .iter()
                .flat_map(|question| question.kinds);
            let given = capabilities.gives.iter().map(|gives| &gives.kind);
            kinds.extend(asked.chain(capabilities.upload.hashes).chain(given));
        }
        kinds.retain(|kind| kind.bytes_needed(u64::MAX) == u64::MAX);
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// Reads a content once and computes `kinds`.
    ///
    /// # Errors
    /// Those of the source.
    pub async fn compute(&self, content: &ContentRef, kinds: &[Kind]) -> Result<Fingerprints> {
        let progress = Progress::default();
        let now = self.now_ms();
        let (computed, _) = super::hashing::read_once(content, kinds, None, &progress, now).await?;
        self.catalog().learn(content.size(), &{
            let mut known = content.known();
            known.merge(&computed);
            known
        });
        Ok(computed)
    }

    /// Transfers under way and the last finished ones, oldest first.
    pub fn tasks(&self) -> Vec<Arc<Task>> {
        self.inner
            .tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Transfers that are not verified yet and read this node.
    pub fn readers_of(&self, profile: &str, id: &NodeId) -> Vec<String> {
        self.tasks()
            .iter()
            .filter(|task| {
                let reads = task.source_node.as_ref();
                let verified = match task.state() {
                    TaskState::Done(_) | TaskState::Cancelled => true,
                    TaskState::Failed(_) => !self.is_tried_again(&task.id),
                    TaskState::Queued | TaskState::Running | TaskState::Promised => false,
                };
                reads.is_some_and(|(p, i)| p == profile && i == id) && !verified
            })
            .map(|task| task.id.clone())
            .collect()
    }

    /// Whether a transfer that failed is going to be tried again.
    pub(super) fn is_tried_again(&self, id: &str) -> bool {
        self.inner
            .records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains_key(id)
    }

    /// Starts a transfer. When it is `acknowledged` the record is durable on return.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn start(&self, spec: TransferSpec) -> Result<Arc<Task>> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let place = spec
            .destination
            .place()
            .ok_or_else(super::task::cancelled)?;
        let record = TransferRecord {
            id,
            profile: spec.destination.profile().to_owned(),
            parent: place.parent,
            upload_name: place.name.clone(),
            name: place.name,
            size: spec.content.size(),
            modified: spec.modified,
            source: spec.content.record(),
            source_label: spec.source_label.clone(),
            acknowledged: spec.acknowledged,
            replaces: None,
            session: None,
            created: None,
            swap: None,
            abandoned: false,
            failures: 0,
            error: None,
            begun: self.now_ms(),
        };
        if spec.acknowledged {
            self.journal_put(&record).await?;
        }
        Ok(self.spawn(record, spec))
    }

    /// Runs a record, new or from the journal.
    pub(super) fn spawn(&self, record: TransferRecord, spec: TransferSpec) -> Arc<Task> {
        let source_node = match &spec.content {
            ContentRef::Remote(remote) => {
                Some((remote.volume().name.to_string(), remote.node().id.clone()))
            }
            ContentRef::Sealed(_) => None,
        };
        let task = Arc::new(Task {
            id: record.id.clone(),
            profile: record.profile.clone(),
            source_label: record.source_label.clone(),
            size: record.size,
            source_node,
            progress: Progress::default(),
            cancel: CancellationToken::new(),
            again: Notify::new(),
            state: watch::channel(TaskState::Queued).0,
            promised: Mutex::default(),
        });
        {
            let mut tasks = self
                .inner
                .tasks
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            while tasks.len() >= REMEMBERED {
                match tasks.iter().position(|task| task.state().is_over()) {
                    Some(oldest) => drop(tasks.remove(oldest)),
                    None => break,
                }
            }
            tasks.push(task.clone());
        }
        let shared = Arc::new(tokio::sync::Mutex::new(record));
        self.inner
            .records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(task.id.clone(), shared.clone());
        let engine = self.clone();
        let running = task.clone();
        tokio::spawn(with_priority(Priority::Copy, async move {
            engine.drive_task(&running, spec, &shared).await;
            let mut records = engine
                .inner
                .records
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            records.remove(&running.id);
        }));
        task
    }

    /// Runs a task to its end, with later attempts for acknowledged ones.
    async fn drive_task(
        &self,
        task: &Arc<Task>,
        spec: TransferSpec,
        record: &tokio::sync::Mutex<TransferRecord>,
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
                    turn = self.inner.background.acquire() => turn.ok(),
                    () = task.cancel.cancelled() => None,
                    () = self.inner.stopping.cancelled() => return,
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
            let stopping = self.inner.stopping.is_cancelled();
            let acknowledged = spec.acknowledged || task.promise().is_some();
            if !acknowledged || cancelled {
                self.give_up(task, &spec, record, error, cancelled).await;
                return;
            }
            if stopping {
                return;
            }
            tracing::warn!(id = task.id, %error, "transfer failed; it is tried again");
            let pause = PAUSES
                .get(failures)
                .or(PAUSES.last())
                .copied()
                .unwrap_or(1800);
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
                () = tokio::time::sleep(Duration::from_secs(pause)) => {}
                () = task.again.notified() => {}
                () = task.cancel.cancelled() => {}
                () = self.inner.stopping.cancelled() => return,
            }
        }
    }

    async fn run_once(
        &self,
        task: &Arc<Task>,
        spec: &TransferSpec,
        record: &tokio::sync::Mutex<TransferRecord>,
    ) -> Result<()> {
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
        let result = Arc::new(result);
        // From here on the journal need not know it any more; the stage's bytes go.
        self.journal_remove(&task.id).await;
        self.discard(task, spec);
        task.state.send_replace(TaskState::Done(result));
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
        record: &tokio::sync::Mutex<TransferRecord>,
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
        if cancelled {
            // A newer version or a removal took its place. (Bytes that are kept for a person
            // stay all the same.)
            self.discard(task, spec);
        }
        // Whoever waits is answered now; the clean-up goes on behind.
        task.state.send_replace(state);
        self.restore_parked(&task.id).await;
        let mut record = record.lock().await;
        record.abandoned = true;
        record.error = Some(error.to_string());
        self.clean_up(&mut record).await;
    }

    /// Removes leftovers at the provider; the journal keeps the record until that worked.
    pub(super) async fn clean_up(&self, record: &mut TransferRecord) {
        if record.session.is_none() && record.created.is_none() {
            self.journal_remove(&record.id).await;
            return;
        }
        if let Err(error) = self.journal_put(record).await {
            tracing::error!(%error, "the journal cannot be written");
        }
        let cleaned = match self.volume(&record.profile) {
            Ok(volume) => {
                publish::clean(&volume, record.session.as_ref(), record.created.as_ref()).await
            }
            Err(error) => Err(error),
        };
        match cleaned {
            Ok(()) => self.journal_remove(&record.id).await,
            Err(error) => {
                tracing::warn!(id = record.id, %error, "clean-up is left to the next start");
            }
        }
    }

    /// What both sides know is one content (DESIGN 3.7).
    fn learn(&self, content: &ContentRef, node: &crate::drive::Node) {
        let mut known = content.known();
        if !known.contradicts(&node.fingerprints) {
            known.merge(&node.fingerprints);
        }
        self.catalog().learn(content.size(), &known);
    }

    pub(super) async fn journal_put(&self, record: &TransferRecord) -> Result<()> {
        self.journal()
            .put(TransferRecord::KIND, &record.id, record)
            .await
            .map_err(|error| DriveError::new(ErrorKind::LocalDisk, error.to_string()))
    }

    pub(super) async fn journal_remove(&self, id: &str) {
        if let Err(error) = self.journal().remove(TransferRecord::KIND, id).await {
            tracing::error!(%error, "the journal cannot be written");
        }
    }

    /// Notes a part that the provider has.
    pub(super) async fn journal_part(&self, id: &str, receipt: PartReceipt) -> Result<()> {
        let record = {
            let records = self
                .inner
                .records
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            records.get(id).cloned()
        };
        let Some(record) = record else { return Ok(()) };
        let mut record = record.lock().await;
        if let Some(session) = &mut record.session {
            session.accepted.push(receipt);
        }
        self.journal_put(&record).await
    }

    /// Waits until every transfer of `profile` (all when `None`) is over; returns how many
    /// promised ones are not verified then.
    pub async fn wait_idle(&self, profile: Option<&str>) -> usize {
        let mut failed = 0;
        for task in self.tasks() {
            if profile.is_none_or(|profile| profile == task.profile) && task.wait().await.is_err() {
                // One that nobody was promised has been reported to its program.
                failed += usize::from(self.is_tried_again(&task.id));
            }
        }
        failed
    }

    /// Transfers that are not over.
    pub fn pending(&self) -> usize {
        self.tasks()
            .iter()
            .filter(|task| !task.state().is_over())
            .count()
    }

    /// No new attempt is begun; those under way are left to the next start.
    pub fn stop(&self) {
        self.inner.stopping.cancel();
    }
}
