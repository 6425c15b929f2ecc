//! One transfer, from P0 to P4 (DESIGN 3.3).

use std::sync::{Arc, PoisonError};

use tokio::sync::SemaphorePermit;

use super::destination::{Destination, Place};
use super::engine::Engine;
use super::hashing::{computed_here, read_once};
use super::publish;
use super::record::{Replaced, Swap, TransferRecord};
use super::result::{Phase, TransferResult, VerifyMode, rfc3339};
use super::stream::send_parts;
use super::task::{Task, TaskState, cancelled};
use super::verify::{samples, verify};
use crate::content::{ContentRef, ExtentMap, SealedDraft, Source, Volume};
use crate::drive::{
    Attempt, Content, Conversation, DriveError, ErrorKind, HashesDue, Node, OnConflict, Overwrite,
    ReadBudget, Result, UploadRequest, UploadSession,
};
use crate::fingerprint::{Kind, Known, Origin};

/// A transfer at work.
pub(super) struct Work<'a> {
    pub engine: &'a Engine,
    pub task: &'a Arc<Task>,
    pub volume: Volume,
    pub content: ContentRef,
    pub destination: Arc<dyn Destination>,
    pub record: &'a tokio::sync::Mutex<TransferRecord>,
    pub promise_up_to: u64,
}

/// What was made, before it has its final name.
struct Made {
    node: Node,
    phase: Phase,
    strategy: &'static str,
    mode: VerifyMode,
}

/// How an attempt to ask ended.
enum Asked {
    Made(Made),
    /// The provider does not have it; an upload may be open already.
    Miss(Option<UploadSession>),
    /// More reading is needed before it can be asked.
    NeedsReading,
}

impl Work<'_> {
    /// Runs to the published node.
    pub async fn run(&self) -> Result<(Node, TransferResult)> {
        let place = self.place()?;
        self.guard(&place)?;
        let settled = self.destination.settle().await;
        if let Some(done) = self.onto_itself(&place) {
            self.destination.published(done.0.clone(), &done.1);
            return Ok(done);
        }
        if let Some(done) = self.finish_swap(&place).await? {
            self.destination.published(done.0.clone(), &done.1);
            return Ok(done);
        }
        drop(settled);
        let request = self.request(&place).await?;
        let made = self.bring(&place, &request).await?;
        self.publish(made, &request).await
    }

    fn place(&self) -> Result<Place> {
        self.destination.place().ok_or_else(cancelled)
    }

    /// What can be refused before the first byte.
    fn guard(&self, place: &Place) -> Result<()> {
        self.volume.check_writable()?;
        let capabilities = self.volume.capabilities();
        let size = self.content.size();
        if capabilities.upload.max_size.is_some_and(|max| size > max) {
            return Err(DriveError::new(
                ErrorKind::TooLarge,
                format!(
                    "{} is larger than {} takes",
                    place.name, self.volume.provider
                ),
            ));
        }
        if size == 0 && !capabilities.upload.empty_files {
            return Err(DriveError::unsupported("an empty file"));
        }
        if let Some((quota, _)) = self.engine.catalog().quota(&self.volume.name)
            && quota.total > 0
            && quota.total.saturating_sub(quota.used) < size
            && place.replaces.is_none()
        {
            // A cached figure only warns: the provider decides.
            tracing::warn!(profile = %self.volume.name, size, "the account looks too full");
        }
        Ok(())
    }

    /// Copying a node onto itself changes nothing.
    fn onto_itself(&self, place: &Place) -> Option<(Node, TransferResult)> {
        let ContentRef::Remote(remote) = &self.content else {
            return None;
        };
        let old = place.replaces.as_ref()?;
        let same = remote.node().id == old.id && remote.volume().same_account(&self.volume);
        same.then(|| {
            let result = self.result(Phase::P0, "provider_copy", VerifyMode::Hash, "no_conflict");
            (old.clone(), result)
        })
    }

    /// What the provider is asked to make: under the final name when it is free, else beside it.
    async fn request(&self, place: &Place) -> Result<UploadRequest> {
        let mut record = self.record.lock().await;
        let in_place = match &place.replaces {
            None => true,
            Some(_) => {
                self.volume.capabilities().overwrite == Overwrite::Atomic && self.is_trusted()
            }
        };
        if record.session.is_none() && record.created.is_none() {
            record.parent = place.parent.clone();
            record.name = place.name.clone();
            record.replaces = place.replaces.as_ref().map(replaced);
            record.upload_name = if in_place {
                place.name.clone()
            } else {
                let max = self.volume.capabilities().max_name_bytes.min(255);
                publish::temporary_name(&place.name, self.engine.instance(), &record.id, max)
            };
            // The intent is durable before the first call that can leave something behind.
            self.engine.journal_put(&record).await?;
        }
        let replace = in_place && place.replaces.is_some() && record.upload_name == place.name;
        Ok(UploadRequest {
            parent: record.parent.clone(),
            name: record.upload_name.clone(),
            size: self.content.size(),
            modified: record.modified,
            on_conflict: if replace {
                OnConflict::Replace
            } else {
                OnConflict::Refuse
            },
        })
    }

    /// Whether what is known of the content came from bytes or from providers that compute.
    fn is_trusted(&self) -> bool {
        self.content.is_local()
            || self
                .content
                .known()
                .iter()
                .any(|(kind, known)| kind.is_strong() && known.origin.is_trusted())
    }

    async fn bring(&self, place: &Place, request: &UploadRequest) -> Result<Made> {
        let (session, created) = {
            let record = self.record.lock().await;
            (record.session.clone(), record.created.clone())
        };
        if let Some(id) = created {
            // Recovery: the node was made before we died; only verification is left.
            let node = publish::fresh(&self.volume, &id).await?;
            let mode = verify(&self.volume, &node, &self.content, &self.task.progress).await?;
            return Ok(Made {
                node,
                phase: Phase::P4,
                strategy: self.strategy(),
                mode,
            });
        }
        if let Some(session) = session {
            let resumed = self
                .volume
                .drive
                .resume_upload(request, session.clone())
                .await?;
            if let Some(session) = resumed {
                return self.stream(request, session).await;
            }
            self.set_session(None).await?;
        }
        if let Some(made) = self.copy_at_provider(place, request).await? {
            return Ok(made);
        }
        let questions = self.volume.capabilities().questions;
        if questions.is_empty() || self.content.size() == 0 {
            self.check_threshold()?;
            return self.open_and_stream(request, None).await;
        }
        if self.content.is_local() {
            // A late hit: reading what is on this disk is cheap, the upload is what can be saved.
            return self.read_and_ask(request).await;
        }
        // P1 and P2: one attempt, named by what it used.
        match self.ask(request, ReadBudget::SMALL, None).await? {
            Asked::Made(made) => return Ok(made),
            Asked::Miss(session) => {
                self.check_threshold_or_clean(session.as_ref()).await?;
                if self.may_promise()
                    && let (_turn, Some(copy)) = self.read_all().await?
                {
                    return self.open_and_stream_from(request, session, &copy).await;
                }
                return self.open_and_stream(request, session).await;
            }
            Asked::NeedsReading => {}
        }
        self.check_threshold()?;
        self.read_and_ask(request).await
    }

    /// P0.
    async fn copy_at_provider(
        &self,
        place: &Place,
        request: &UploadRequest,
    ) -> Result<Option<Made>> {
        let ContentRef::Remote(remote) = &self.content else {
            return Ok(None);
        };
        let capabilities = self.volume.capabilities();
        let fits = remote.volume().name == self.volume.name
            && capabilities.copy
            && place.replaces.is_none()
            && (capabilities.copy_with_name
                || (remote.node().name == request.name && remote.node().parent != request.parent));
        if !fits {
            return Ok(None);
        }
        self.task.progress.call();
        let copied = self
            .volume
            .drive
            .copy(remote.node(), &request.parent, &request.name)
            .await;
        match copied {
            Ok(node) => {
                let (node, mode) = self.made(&node, &[]).await?;
                Ok(Some(Made {
                    node,
                    phase: Phase::P0,
                    strategy: "provider_copy",
                    mode,
                }))
            }
            Err(error) if error.kind == ErrorKind::Unsupported => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks the target for the content. `after` names the phase when reading came before.
    async fn ask(
        &self,
        request: &UploadRequest,
        budget: ReadBudget,
        after: Option<Phase>,
    ) -> Result<Asked> {
        let conversation = Conversation::new(&self.content, budget);
        self.task.progress.call();
        let attempt = self.volume.drive.fast_upload(request, &conversation).await;
        match attempt {
            Ok(Attempt::Hit { node, decided_by }) => {
                let phase = after.unwrap_or(if conversation.spent() == 0 {
                    Phase::P1
                } else {
                    Phase::P2
                });
                match self.made(&node, &decided_by).await {
                    Ok((node, mode)) => Ok(Asked::Made(Made {
                        node,
                        phase,
                        strategy: "fast_upload",
                        mode,
                    })),
                    Err(error) if error.kind == ErrorKind::Verification => {
                        tracing::warn!(%error, "a fast upload gave other bytes; it is taken back");
                        self.take_back(&node, &decided_by).await?;
                        Ok(Asked::NeedsReading)
                    }
                    Err(error) => Err(error),
                }
            }
            Ok(Attempt::Miss(None)) => Ok(if self.miss_is_final() {
                Asked::Miss(None)
            } else {
                Asked::NeedsReading
            }),
            Ok(Attempt::Miss(Some(session))) => {
                self.set_session(Some(session.clone())).await?;
                if self.miss_is_final() {
                    return Ok(Asked::Miss(Some(session)));
                }
                // Opened with a merely claimed hash: the provider would keep what it was told.
                self.volume.drive.abandon_upload(&session).await?;
                self.set_session(None).await?;
                Ok(Asked::NeedsReading)
            }
            Err(error) if matches!(error.kind, ErrorKind::OverBudget(_)) => Ok(Asked::NeedsReading),
            Err(error) => Err(error),
        }
    }

    /// A miss is final when everything that was said about the content is trusted.
    fn miss_is_final(&self) -> bool {
        let known = self.content.known();
        self.volume
            .capabilities()
            .questions
            .iter()
            .flat_map(|question| question.kinds)
            .filter_map(|kind| known.usable(*kind))
            .any(|known| known.origin.is_trusted())
    }

    /// P3: every byte is read once and the target is asked again.
    async fn read_and_ask(&self, request: &UploadRequest) -> Result<Made> {
        let (_turn, copy) = self.read_all().await?;
        match self.ask(request, ReadBudget::All, Some(Phase::P3)).await? {
            Asked::Made(made) => Ok(made),
            Asked::Miss(session) => match copy {
                // The bytes are on this disk: no second read of the source.
                Some(copy) => self.open_and_stream_from(request, session, &copy).await,
                None => self.open_and_stream(request, session).await,
            },
            Asked::NeedsReading => self.open_and_stream(request, None).await,
        }
    }

    /// Reads every byte once, computes what any drive asks for, and keeps the bytes in the stage
    /// where there is room. A small copy is promised then: its program is answered, and the
    /// upload waits for its turn.
    async fn read_all(&self) -> Result<(Option<SemaphorePermit<'_>>, Option<ContentRef>)> {
        let size = self.content.size();
        let local = self.content.is_local();
        let stage = self.engine.stage();
        let staged = !local && stage.has_room_for(size);
        self.task
            .progress
            .plan(size.saturating_mul(if local || staged { 2 } else { 3 }));
        let kinds = self.engine.wanted_kinds();
        let now = self.engine.now_ms();
        let stage = staged.then_some(stage);
        let reading = read_once(&self.content, &kinds, stage, &self.task.progress, now);
        let (computed, file) = self.interruptible(reading).await?;
        self.check_source(&computed).await?;
        self.content.teach(&computed);
        let Some(file) = file else {
            return Ok((None, None));
        };
        let mut extents = ExtentMap::default();
        extents.insert(0..size, Source::Stage);
        let copy = Arc::new(SealedDraft::new(
            size,
            extents,
            Some(file),
            self.content.known(),
        ));
        if !self.may_promise() {
            return Ok((None, Some(ContentRef::Sealed(copy))));
        }
        self.promise(&copy).await?;
        Ok((self.engine.turn().await, Some(ContentRef::Sealed(copy))))
    }

    fn may_promise(&self) -> bool {
        let size = self.content.size();
        size > 0 && size <= self.promise_up_to && !self.content.is_local()
    }

    /// Makes the bytes and the intent durable and answers the program.
    async fn promise(&self, copy: &Arc<SealedDraft>) -> Result<()> {
        self.check_cancelled()?;
        let durable = copy.clone();
        let persisted = tokio::task::spawn_blocking(move || durable.persist()).await;
        if !matches!(persisted, Ok(Ok(()))) {
            return Err(DriveError::new(
                ErrorKind::LocalDisk,
                "the stage cannot be synced",
            ));
        }
        {
            let mut record = self.record.lock().await;
            record.source = copy.record();
            record.acknowledged = true;
            self.engine.journal_put(&record).await?;
        }
        let content = ContentRef::Sealed(copy.clone());
        *self
            .task
            .promised
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(content.clone());
        self.destination.promised(self.task, content);
        self.task.state.send_replace(TaskState::Promised);
        Ok(())
    }

    async fn open_and_stream(
        &self,
        request: &UploadRequest,
        session: Option<UploadSession>,
    ) -> Result<Made> {
        let content = self.content.clone();
        self.open_and_stream_from(request, session, &content).await
    }

    async fn open_and_stream_from(
        &self,
        request: &UploadRequest,
        session: Option<UploadSession>,
        content: &ContentRef,
    ) -> Result<Made> {
        self.check_cancelled()?;
        let session = match session {
            Some(session) => session,
            None => {
                let due = self.volume.capabilities().upload.hashes_due;
                let budget = if due == HashesDue::BeforeParts {
                    ReadBudget::All
                } else {
                    ReadBudget::SMALL
                };
                self.hash_before_parts(content).await?;
                self.task.progress.call();
                let conversation = Conversation::new(content, budget);
                let session = self
                    .volume
                    .drive
                    .open_upload(request, &conversation)
                    .await?;
                self.set_session(Some(session.clone())).await?;
                session
            }
        };
        self.stream_from(request, session, content).await
    }

    /// Computes what the upload must bring before its first byte, where it is not known yet.
    async fn hash_before_parts(&self, content: &ContentRef) -> Result<()> {
        let rules = &self.volume.capabilities().upload;
        let known = content.known();
        let lacking = rules.hashes_due == HashesDue::BeforeParts
            && rules.hashes.iter().any(|kind| {
                known
                    .usable(*kind)
                    .is_none_or(|known| !known.origin.is_trusted())
            });
        if !lacking {
            return Ok(());
        }
        let kinds = self.engine.wanted_kinds();
        let progress = &self.task.progress;
        let reading = read_once(content, &kinds, None, progress, self.engine.now_ms());
        let (computed, _) = self.interruptible(reading).await?;
        content.teach(&computed);
        self.content.teach(&computed);
        Ok(())
    }

    async fn stream(&self, request: &UploadRequest, session: UploadSession) -> Result<Made> {
        let content = self.content.clone();
        self.stream_from(request, session, &content).await
    }

    /// P4.
    async fn stream_from(
        &self,
        request: &UploadRequest,
        session: UploadSession,
        content: &ContentRef,
    ) -> Result<Made> {
        let size = content.size();
        let progress = &self.task.progress;
        if progress.bytes_sent() == 0 && progress.credit(size) == 0 {
            let known: u64 = session.accepted.iter().map(|part| part.size).sum();
            progress.plan(size.saturating_sub(known).saturating_mul(2));
        }
        let known = content.known();
        let kinds: Vec<Kind> = self
            .engine
            .wanted_kinds()
            .into_iter()
            .filter(|kind| {
                known
                    .get(*kind)
                    .is_none_or(|known| known.origin < Origin::Computed)
            })
            .collect();
        let computed = self
            .interruptible(send_parts(
                &self.volume.drive,
                content,
                &session,
                &kinds,
                self.engine.buffers(),
                progress,
                &|receipt| {
                    let engine = self.engine.clone();
                    let id = self.task.id.clone();
                    Box::pin(async move { engine.journal_part(&id, receipt).await })
                },
            ))
            .await?;
        let computed = computed_here(computed, self.engine.now_ms());
        self.check_source(&computed).await?;
        self.content.teach(&computed);
        let session = {
            let record = self.record.lock().await;
            record.session.clone().unwrap_or(session)
        };
        self.check_cancelled()?;
        progress.call();
        let conversation = Conversation::new(&self.content, ReadBudget::SMALL);
        let node = self
            .volume
            .drive
            .commit_upload(request, &session, &conversation)
            .await?;
        let (node, mode) = match self.made(&node, &[]).await {
            Ok(made) => made,
            Err(error) => {
                if error.kind == ErrorKind::Verification {
                    self.take_back(&node, &[]).await?;
                }
                return Err(error);
            }
        };
        Ok(Made {
            node,
            phase: Phase::P4,
            strategy: self.strategy(),
            mode,
        })
    }

    /// Journals a node that exists now, and verifies it. Returns it as the provider shows it: what
    /// it answered when it made the node may lack the hash that names the version.
    async fn made(&self, node: &Node, decided_by: &[Kind]) -> Result<(Node, VerifyMode)> {
        {
            let mut record = self.record.lock().await;
            record.created = Some(node.id.clone());
            record.session = None;
            self.engine.journal_put(&record).await?;
        }
        self.check_cancelled()?;
        self.task.progress.call();
        let mut fresh = publish::fresh(&self.volume, &node.id).await?;
        let known = self.content.known();
        for kind in decided_by.iter().filter(|kind| kind.is_strong()) {
            // The provider found the content by this very value: its word about the new node.
            if let Some(known) = known.get(*kind).filter(|known| known.origin.is_trusted()) {
                let told = Known {
                    origin: Origin::Provider,
                    ..known.clone()
                };
                fresh.fingerprints.learn(*kind, told);
            }
        }
        let weak = decided_by.iter().any(|kind| {
            *kind == Kind::Cid
                || known
                    .get(*kind)
                    .is_none_or(|known| !known.origin.is_trusted())
        });
        if weak && fresh.size == self.content.size() {
            let mode = samples(&self.volume, &fresh, &self.content).await?;
            return Ok((fresh, mode));
        }
        let mode = verify(&self.volume, &fresh, &self.content, &self.task.progress).await?;
        Ok((fresh, mode))
    }

    /// Trashes a node with wrong bytes and distrusts what led to it.
    async fn take_back(&self, node: &Node, decided_by: &[Kind]) -> Result<()> {
        self.volume.drive.trash(node).await?;
        let mut record = self.record.lock().await;
        record.created = None;
        self.engine.journal_put(&record).await?;
        for kind in decided_by {
            self.content.distrust(*kind);
        }
        Ok(())
    }

    /// Gives the verified node its name.
    async fn publish(&self, made: Made, request: &UploadRequest) -> Result<(Node, TransferResult)> {
        let _settled = self.destination.settle().await;
        let place = self.place()?;
        let old = place.replaces.as_ref().filter(|old| old.id != made.node.id);
        let in_place = request.on_conflict == OnConflict::Replace && request.name == place.name;
        let (node, action) = match old {
            None => {
                let action = if in_place {
                    "overwrite_existing"
                } else {
                    "no_conflict"
                };
                (
                    publish::settle(&self.volume, made.node, &place, None).await?,
                    action,
                )
            }
            Some(_) if in_place => (made.node, "overwrite_existing"),
            Some(old) => {
                let id = self.task.id.as_str();
                let max = self.volume.capabilities().max_name_bytes.min(255);
                let aside = publish::temporary_name(
                    &old.name,
                    self.engine.instance(),
                    &format!("old{id}"),
                    max,
                );
                let swap = Swap {
                    new: made.node.id.clone(),
                    old: replaced(old),
                    aside,
                };
                {
                    let mut record = self.record.lock().await;
                    record.parent = place.parent.clone();
                    record.name = place.name.clone();
                    record.swap = Some(swap.clone());
                    self.engine.journal_put(&record).await?;
                }
                let node =
                    publish::swap(self.engine, &self.volume, made.node, &place, &swap).await?;
                (node, "overwrite_by_replace")
            }
        };
        let action = self.destination.conflict_action().unwrap_or(action);
        let mut result = self.result(made.phase, made.strategy, made.mode, action);
        result.resolved_target_name = node.name.clone();
        // While the place is still held: a rename or an unlink comes before or after, never between.
        self.destination.published(node.clone(), &result);
        Ok((node, result))
    }

    /// Recovery of a swap that we died in.
    async fn finish_swap(&self, place: &Place) -> Result<Option<(Node, TransferResult)>> {
        let Some(swap) = self.record.lock().await.swap.clone() else {
            return Ok(None);
        };
        let new = match self.volume.drive.stat(&swap.new).await {
            Ok(new) => new,
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let node = publish::swap(self.engine, &self.volume, new, place, &swap).await?;
        let result = self.result(
            Phase::P4,
            self.strategy(),
            VerifyMode::Hash,
            "overwrite_by_replace",
        );
        Ok(Some((node, result)))
    }

    /// Notices a source that changed while it was read. A computed hash that equals what the
    /// drive listed proves that it did not; else the drive is asked.
    async fn check_source(&self, computed: &crate::fingerprint::Fingerprints) -> Result<()> {
        let ContentRef::Remote(remote) = &self.content else {
            return Ok(());
        };
        let listed = &remote.node().fingerprints;
        for (kind, known) in computed.iter() {
            let trusted = listed
                .get(kind)
                .filter(|k| kind.is_strong() && k.origin.is_trusted());
            match trusted {
                Some(listed) if listed.value == known.value => return Ok(()),
                Some(_) => {
                    return Err(DriveError::new(
                        ErrorKind::Changed,
                        "the bytes that were read are not those that the source lists",
                    ));
                }
                None => {}
            }
        }
        remote.check_unchanged().await
    }

    fn check_threshold(&self) -> Result<()> {
        if self.content.is_local() {
            return Ok(());
        }
        let place = self.place()?;
        let size = self.content.size();
        self.engine
            .guard()
            .admit_stream(&self.volume.name, &place.parent, &place.name, size)
    }

    async fn check_threshold_or_clean(&self, session: Option<&UploadSession>) -> Result<()> {
        let checked = self.check_threshold();
        if checked.is_err()
            && let Some(session) = session
        {
            self.volume.drive.abandon_upload(session).await?;
            self.set_session(None).await?;
        }
        checked
    }

    fn check_cancelled(&self) -> Result<()> {
        if self.task.cancel.is_cancelled() {
            Err(cancelled())
        } else {
            Ok(())
        }
    }

    /// Work that leaves nothing behind when it is dropped in the middle.
    async fn interruptible<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            done = work => done,
            () = self.task.cancel.cancelled() => Err(cancelled()),
        }
    }

    async fn set_session(&self, session: Option<UploadSession>) -> Result<()> {
        let mut record = self.record.lock().await;
        record.session = session;
        self.engine.journal_put(&record).await
    }

    fn strategy(&self) -> &'static str {
        match &self.content {
            ContentRef::Remote(_) => "download_upload",
            ContentRef::Sealed(_) => "stream",
        }
    }

    fn result(
        &self,
        phase: Phase,
        strategy: &str,
        mode: VerifyMode,
        conflict_action: &str,
    ) -> TransferResult {
        TransferResult {
            id: self.task.id.clone(),
            strategy: strategy.to_owned(),
            phase,
            status: "done".to_owned(),
            verify_ok: mode != VerifyMode::Pending,
            verify_mode: mode,
            bytes_from_source: self.content.bytes_fetched(),
            bytes_to_target: self.task.progress.bytes_sent(),
            target_calls: self.task.progress.calls(),
            conflict_action: conflict_action.to_owned(),
            resolved_target_name: String::new(),
            source: self.task.source_label.clone(),
            finished_at: rfc3339(self.engine.now_ms()),
            error: None,
            risk_hint: None,
        }
    }
}

fn replaced(node: &Node) -> Replaced {
    Replaced {
        id: node.id.clone(),
        version: node.version.clone(),
    }
}
