//! Starts, queues, retries and recovers transfers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::destination::Destination;
use super::gates::Gates;
use super::journal::Journal;
use super::parked::Parking;
use super::readers::OpenDrafts;
use super::record::TransferRecord;
use super::recovery::Unfinished;
use super::stream::Buffers;
use super::task::{Progress, Task, TaskState};
use super::volumes::Volumes;
use crate::catalog::Catalog;
use crate::content::{ContentRef, NodesInUse, RemoteContent, Stage, Volume};
use crate::drive::{Content, DriveError, ErrorKind, Node, PartReceipt, Result};
use crate::fingerprint::{Fingerprints, Kind};
use crate::guard::{Guard, GuardSettings};
use crate::net::{Clock, Priority, with_priority};

/// How many finished transfers are remembered for `task ls`.
const REMEMBERED: usize = 500;

/// What a user can set.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Background transfers at a time.
    pub parallel: usize,
    /// What is refused until a person approves it, and what happens to files in the way.
    pub guards: GuardSettings,
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

/// A transfer that is not over: its record, and who wants it.
#[derive(Clone)]
pub(super) struct Active {
    pub record: Arc<tokio::sync::Mutex<TransferRecord>>,
    pub destination: Arc<dyn Destination>,
    /// Whether it is only being cleaned up.
    pub given_up: bool,
}

struct Inner {
    parts: EngineParts,
    volumes: Volumes,
    background: Semaphore,
    buffers: Buffers,
    tasks: Mutex<Vec<Arc<Task>>>,
    records: Mutex<HashMap<String, Active>>,
    parking: Parking,
    nodes: Arc<NodesInUse>,
    drafts: OpenDrafts,
    gates: Arc<Gates>,
    unfinished: Unfinished,
    guard: Arc<Guard>,
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
                nodes: Arc::default(),
                drafts: OpenDrafts::default(),
                gates: Arc::default(),
                unfinished: Unfinished::default(),
                guard: Arc::new(Guard::new(
                    parts.settings.guards,
                    parts.catalog.clone(),
                    parts.clock.clone(),
                )),
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

    /// The nodes whose contents are in use.
    pub(super) fn nodes(&self) -> &Arc<NodesInUse> {
        &self.inner.nodes
    }

    pub(super) fn drafts(&self) -> &OpenDrafts {
        &self.inner.drafts
    }

    /// Swaps of the last run that are being finished.
    pub(super) fn unfinished(&self) -> &Unfinished {
        &self.inner.unfinished
    }

    pub(super) fn gates(&self) -> &Arc<Gates> {
        &self.inner.gates
    }

    /// The content of a node. It follows when the node is renamed here.
    pub fn content(&self, volume: Volume, node: Node) -> Arc<RemoteContent> {
        self.inner
            .nodes
            .content(volume, node, self.catalog().clone())
    }

    /// Ends when no new attempt is to be begun.
    pub(super) fn stopping(&self) -> &CancellationToken {
        &self.inner.stopping
    }

    /// The transfer is over, or is not tried again.
    pub(super) fn forget_active(&self, id: &str) {
        let records = self.inner.records.lock();
        records.unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// Transfers that are not over.
    pub(super) fn active(&self) -> Vec<Active> {
        let records = self.inner.records.lock();
        let records = records.unwrap_or_else(PoisonError::into_inner);
        records.values().cloned().collect()
    }

    /// A turn among the transfers that nobody waits for.
    pub(super) async fn turn(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.inner.background.acquire().await.ok()
    }

    pub(super) fn buffers(&self) -> &Buffers {
        &self.inner.buffers
    }

    /// The guards.
    pub fn guard(&self) -> &Arc<Guard> {
        &self.inner.guard
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

    /// Whether a transfer that failed is going to be tried again.
    pub(super) fn is_tried_again(&self, id: &str) -> bool {
        self.inner
            .records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .is_some_and(|active| !active.given_up)
    }

    /// A transfer is not tried again: from here on it is only cleaned up.
    pub(super) fn gave_up(&self, id: &str) {
        let records = self.inner.records.lock();
        let mut records = records.unwrap_or_else(PoisonError::into_inner);
        if let Some(active) = records.get_mut(id) {
            active.given_up = true;
        }
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
        let task = Arc::new(Task {
            id: record.id.clone(),
            profile: record.profile.clone(),
            source_label: record.source_label.clone(),
            size: record.size,
            sources: Mutex::new(spec.content.remotes()),
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
            .insert(
                task.id.clone(),
                Active {
                    record: shared.clone(),
                    destination: spec.destination.clone(),
                    given_up: false,
                },
            );
        let engine = self.clone();
        let running = task.clone();
        tokio::spawn(with_priority(Priority::Copy, async move {
            engine.drive_task(&running, spec, &shared).await;
            engine.forget_active(&running.id);
        }));
        task
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
            records.get(id).map(|active| active.record.clone())
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
        let mut failed = self.unfinished().tried().await;
        for task in self.tasks() {
            if profile.is_none_or(|profile| profile == task.profile) && task.wait().await.is_err() {
                // One that nobody was promised has been reported to its program.
                failed += usize::from(self.is_tried_again(&task.id));
            }
        }
        failed
    }

    /// Whether something is still to happen: it is under way, or failed and is tried again.
    pub fn is_pending(&self, task: &Task) -> bool {
        match task.state() {
            TaskState::Failed(_) => self.is_tried_again(&task.id),
            state => !state.is_over(),
        }
    }

    /// Transfers that are pending, and replacements whose names are still to be settled.
    pub fn pending(&self) -> usize {
        let tasks = self.tasks();
        let pending = tasks.iter().filter(|task| self.is_pending(task));
        pending.count() + self.unfinished().count()
    }

    /// No new attempt is begun; those under way are left to the next start.
    pub fn stop(&self) {
        self.inner.stopping.cancel();
    }
}
