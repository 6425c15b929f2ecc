//! One transfer, from its guards to the published node (DESIGN 3.3): which phase comes next. The
//! phases are in `asking` (P0 to P2), `reading` (P3) and `upload` (P4); `arrival` verifies and
//! publishes what they made.

use std::sync::Arc;

use super::destination::{Destination, Place};
use super::engine::Engine;
use super::publish;
use super::record::TransferRecord;
use super::result::{Phase, TransferResult, VerifyMode, rfc3339};
use super::swap::replaced;
use super::task::{Task, cancelled};
use super::verify::verify;
use crate::content::{ContentRef, Volume};
use crate::drive::{
    Content, DriveError, ErrorKind, HashesDue, Node, OnConflict, Overwrite, ReadBudget, Result,
    UploadRequest, UploadSession,
};

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
pub(super) struct Made {
    pub node: Node,
    pub phase: Phase,
    pub strategy: &'static str,
    pub mode: VerifyMode,
}

/// How an attempt to ask ended.
pub(super) enum Asked {
    Made(Made),
    /// The provider does not have it; an upload may be open already.
    Miss(Option<UploadSession>),
    /// More reading is needed before it can be asked.
    NeedsReading,
}

impl Work<'_> {
    /// Runs to the published node.
    pub async fn run(&self) -> Result<(Node, TransferResult)> {
        self.enter().await?;
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

    /// Counts as working in the directory of its place. While that one, or one above it, is being
    /// renamed, and its id with it, this waits.
    pub(super) async fn enter(&self) -> Result<()> {
        if !self.volume.capabilities().path_addressed {
            return Ok(());
        }
        let place = || self.destination.place().map(|place| place.parent);
        let gates = self.engine.gates();
        let entered = gates.enter(&self.task.id, &self.volume.name, place);
        let entered = self.interruptible(async { Ok(entered.await) }).await?;
        if entered { Ok(()) } else { Err(cancelled()) }
    }

    pub(super) fn place(&self) -> Result<Place> {
        self.destination.place().ok_or_else(cancelled)
    }

    /// What can be refused before the first byte.
    pub(super) fn guard(&self, place: &Place) -> Result<()> {
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
    pub(super) fn onto_itself(&self, place: &Place) -> Option<(Node, TransferResult)> {
        let ContentRef::Remote(remote) = &self.content else {
            return None;
        };
        let old = place.replaces.as_ref()?;
        let same = remote.node().id == old.id && remote.volume().same_account(&self.volume);
        same.then(|| {
            let source = &remote.volume().name;
            self.engine.guard().note_same(source, &remote.node().id);
            let result = self.result(Phase::P0, "provider_copy", VerifyMode::Hash, "no_conflict");
            (old.clone(), result)
        })
    }

    /// What the provider is asked to make: under the final name when it is free, else beside it.
    pub(super) async fn request(&self, place: &Place) -> Result<UploadRequest> {
        let mut record = self.record.lock().await;
        let in_place = match &place.replaces {
            None => true,
            // A node that somebody still copies from must not lose its bytes.
            Some(old) => {
                self.volume.capabilities().overwrite == Overwrite::Atomic
                    && self.is_trusted()
                    && self.is_read_by_nobody_else(old)
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

    fn is_read_by_nobody_else(&self, old: &Node) -> bool {
        let own = self.content.remotes();
        let readers = self
            .engine
            .other_readers_of(&self.volume.name, &old.id, &own);
        readers.is_empty()
    }

    /// Whether what is known of the content came from bytes or from providers that compute.
    pub(super) fn is_trusted(&self) -> bool {
        self.content.is_local()
            || self
                .content
                .known()
                .iter()
                .any(|(kind, known)| kind.is_strong() && known.origin.is_trusted())
    }

    pub(super) async fn bring(&self, place: &Place, request: &UploadRequest) -> Result<Made> {
        let (session, created) = {
            let record = self.record.lock().await;
            (record.session.clone(), record.created.clone())
        };
        if let Some(id) = created {
            // The node was made before we died or gave up; only verification is left.
            match publish::fresh(&self.volume, &id).await {
                Ok(node) => {
                    let progress = &self.task.progress;
                    let mode = verify(&self.volume, &node, &self.content, progress).await?;
                    return Ok(Made {
                        node,
                        phase: Phase::P4,
                        strategy: self.strategy(),
                        mode,
                    });
                }
                Err(error) if error.kind == ErrorKind::NotFound => {
                    tracing::warn!(
                        id = self.task.id,
                        "the provider never showed what it said it had made; it is sent again"
                    );
                    let mut record = self.record.lock().await;
                    record.created = None;
                    self.engine.journal_put(&record).await?;
                }
                Err(error) => return Err(error),
            }
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
        if self.volume.capabilities().upload.pulled {
            return self.let_pull(request).await;
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
        match self
            .ask(&self.content, request, ReadBudget::SMALL, None)
            .await?
        {
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
        let rules = &self.volume.capabilities().upload;
        if rules.hashes_due == HashesDue::AtCommit
            && !self.engine.stage().has_room_for(self.content.size())
        {
            // Reading twice to be allowed to ask costs more than one pass whose hashes follow the
            // parts: the target answers them before it completes the upload.
            return self.open_and_stream(request, None).await;
        }
        self.read_and_ask(request).await
    }

    pub(super) fn check_threshold(&self) -> Result<()> {
        if self.content.is_local() {
            return Ok(());
        }
        let place = self.place()?;
        let size = self.content.size();
        self.engine
            .guard()
            .admit_stream(&self.volume.name, &place.parent, &place.name, size)
    }

    pub(super) async fn check_threshold_or_clean(
        &self,
        session: Option<&UploadSession>,
    ) -> Result<()> {
        let checked = self.check_threshold();
        if checked.is_err()
            && let Some(session) = session
        {
            self.volume.drive.abandon_upload(session).await?;
            self.set_session(None).await?;
        }
        checked
    }

    pub(super) fn check_cancelled(&self) -> Result<()> {
        if self.task.cancel.is_cancelled() {
            Err(cancelled())
        } else {
            Ok(())
        }
    }

    /// Work that leaves nothing behind when it is dropped in the middle.
    pub(super) async fn interruptible<T>(
        &self,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        tokio::select! {
            done = work => done,
            () = self.task.cancel.cancelled() => Err(cancelled()),
        }
    }

    pub(super) async fn set_session(&self, session: Option<UploadSession>) -> Result<()> {
        let mut record = self.record.lock().await;
        record.session = session;
        self.engine.journal_put(&record).await
    }

    pub(super) fn strategy(&self) -> &'static str {
        match &self.content {
            ContentRef::Remote(_) => "download_upload",
            ContentRef::Sealed(_) => "stream",
        }
    }

    pub(super) fn result(
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
