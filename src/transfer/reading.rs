//! P3: the content is read once, hashed for every drive, kept in the stage where there is room,
//! and the target is asked again. A small copy is promised from here on.

use std::sync::{Arc, PoisonError};

use tokio::sync::SemaphorePermit;

use super::hashing::read_once;
use super::result::Phase;
use super::task::TaskState;
use super::work::{Asked, Made, Work};
use crate::content::{ContentRef, ExtentMap, SealedDraft, Source};
use crate::drive::{Content, DriveError, ErrorKind, HashesDue, ReadBudget, Result, UploadRequest};
use crate::fingerprint::Fingerprints;

impl Work<'_> {
    /// P3: every byte is read once and the target is asked again.
    pub(super) async fn read_and_ask(&self, request: &UploadRequest) -> Result<Made> {
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
    pub(super) async fn read_all(
        &self,
    ) -> Result<(Option<SemaphorePermit<'_>>, Option<ContentRef>)> {
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
        let copy = ContentRef::Sealed(copy);
        self.promise(&copy).await?;
        Ok((self.engine.turn().await, Some(copy)))
    }

    pub(super) fn may_promise(&self) -> bool {
        let size = self.content.size();
        size > 0 && size <= self.promise_up_to && !self.content.is_local()
    }

    /// Makes what the promise rests on (staged bytes, or a reference) and the intent durable, and
    /// answers the program.
    pub(super) async fn promise(&self, content: &ContentRef) -> Result<()> {
        self.check_cancelled()?;
        if let ContentRef::Sealed(copy) = content {
            let durable = copy.clone();
            let persisted = tokio::task::spawn_blocking(move || durable.persist()).await;
            if !matches!(persisted, Ok(Ok(()))) {
                return Err(DriveError::new(
                    ErrorKind::LocalDisk,
                    "the stage cannot be synced",
                ));
            }
        }
        {
            let mut record = self.record.lock().await;
            record.source = content.record();
            record.acknowledged = true;
            self.engine.journal_put(&record).await?;
        }
        let content = content.clone();
        *self
            .task
            .promised
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(content.clone());
        self.destination.promised(self.task, content);
        self.task.state.send_replace(TaskState::Promised);
        Ok(())
    }

    /// Computes what the upload must bring before its first byte, where it is not known yet.
    pub(super) async fn hash_before_parts(&self, content: &ContentRef) -> Result<()> {
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

    /// Notices a source that changed while it was read. A computed hash that equals what the
    /// drive listed proves that it did not; else the drive is asked.
    pub(super) async fn check_source(&self, computed: &Fingerprints) -> Result<()> {
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
}
