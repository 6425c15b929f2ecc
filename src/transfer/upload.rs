//! P4: an upload session is opened, filled from the content and committed.

use super::hashing::computed_here;
use super::result::Phase;
use super::stream::{Hashes, send_parts};
use super::work::{Made, Work};
use crate::content::ContentRef;
use crate::drive::{
    Content, Conversation, ErrorKind, HashesDue, ReadBudget, Result, UploadRequest, UploadSession,
};
use crate::fingerprint::{Kind, Origin};

impl Work<'_> {
    pub(super) async fn open_and_stream(
        &self,
        request: &UploadRequest,
        session: Option<UploadSession>,
    ) -> Result<Made> {
        let content = self.content.clone();
        self.open_and_stream_from(request, session, &content).await
    }

    pub(super) async fn open_and_stream_from(
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

    pub(super) async fn stream(
        &self,
        request: &UploadRequest,
        session: UploadSession,
    ) -> Result<Made> {
        let content = self.content.clone();
        self.stream_from(request, session, &content).await
    }

    /// P4.
    pub(super) async fn stream_from(
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
        let rules = &self.volume.capabilities().upload;
        let due = rules.hashes_due == HashesDue::AtCommit
            && rules
                .hashes
                .iter()
                .any(|kind| known.usable(*kind).is_none());
        let computed = self
            .interruptible(send_parts(
                &self.volume.drive,
                content,
                &session,
                Hashes { kinds: &kinds, due },
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
        if content.is(&self.content) {
            // A copy in the stage was compared with its source when it was read.
            self.check_source(&computed).await?;
        }
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
        let (node, mode) = match self.made(content, &node, &[]).await {
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
}
