//! P0 to P2: a copy at the provider, and the question whether the target has the content.

use super::destination::Place;
use super::result::Phase;
use super::work::{Asked, Made, Work};
use crate::content::ContentRef;
use crate::drive::{
    Attempt, Content, Conversation, ErrorKind, Node, ReadBudget, Result, UploadRequest,
};

impl Work<'_> {
    /// P0: a copy within one drive, or a share's node taken over by an account of its provider.
    pub(super) async fn copy_at_provider(
        &self,
        place: &Place,
        request: &UploadRequest,
    ) -> Result<Option<Made>> {
        let ContentRef::Remote(remote) = &self.content else {
            return Ok(None);
        };
        let capabilities = self.volume.capabilities();
        let source = remote.volume();
        if source.provider == self.volume.provider
            && source.capabilities().shared
            && capabilities.saves_shared
        {
            self.task.progress.call();
            let shared = source.drive.shared(remote.node()).await?;
            let drive = &self.volume.drive;
            let saved = drive.save_shared(&shared, &request.parent, &request.name);
            return self.copied(saved.await).await;
        }
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
        self.copied(copied).await
    }

    async fn copied(&self, copied: Result<Node>) -> Result<Option<Made>> {
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
    pub(super) async fn ask(
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
    pub(super) fn miss_is_final(&self) -> bool {
        let known = self.content.known();
        self.volume
            .capabilities()
            .questions
            .iter()
            .flat_map(|question| question.kinds)
            .filter_map(|kind| known.usable(*kind))
            .any(|known| known.origin.is_trusted())
    }
}
