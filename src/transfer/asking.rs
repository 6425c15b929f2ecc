//! P0 to P2: a copy at the provider, and the question whether the target has the content.

use std::sync::atomic::{AtomicU64, Ordering};

use super::destination::Place;
use super::publish::is_temporary_name;
use super::result::Phase;
use super::work::{Asked, Made, Work};
use crate::catalog::Listing;
use crate::content::ContentRef;
use crate::drive::{
    Attempt, Content, Conversation, Cost, DriveError, ErrorKind, Node, ReadBudget, Result,
    UploadRequest,
};

/// A target that pulls this much or less only wanted proof.
const PROOF: u64 = 1 << 20;

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
            let shared = source.drive.shared(&remote.node()).await?;
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
            .copy(&remote.node(), &request.parent, &request.name)
            .await;
        self.copied(copied).await
    }

    /// The target fetches what it wants of the content while its question is open, and nothing else
    /// is read. Above the threshold it gets no more than a proof. Of a content without any hash that
    /// it could want it would ask for one, and then for the bytes: such a content is read once, into
    /// the stage, and fetched from there.
    pub(super) async fn let_pull(&self, request: &UploadRequest) -> Result<Made> {
        let allowed = self.check_threshold();
        let hashless = self.volume.capabilities().questions.iter().all(|question| {
            let mut kinds = question.kinds.iter();
            kinds.any(|kind| matches!(self.content.cost(*kind), Cost::FullRead(_)))
        });
        let size = self.content.size();
        let (_turn, copy) = match (hashless && size > 0 && allowed.is_ok(), &self.content) {
            (true, ContentRef::Remote(_)) if self.engine.stage().has_room_for(size) => {
                self.read_all().await?
            }
            _ => (None, None),
        };
        let content = copy.as_ref().unwrap_or(&self.content);
        let was_read = copy.is_some();
        let budget = match allowed {
            Ok(()) => ReadBudget::All,
            Err(_) => ReadBudget::SMALL,
        };
        let progress = &self.task.progress;
        if !was_read {
            progress.plan(size);
        }
        let taken = AtomicU64::new(0);
        let sent = |bytes| {
            taken.fetch_add(bytes, Ordering::Relaxed);
            progress.sent(bytes);
        };
        let conversation = Conversation::new(content, budget)
            .knowing_the_name_is_free(self.is_free(request))
            .watched_by(&sent);
        progress.call();
        let asked = self.volume.drive.fast_upload(request, &conversation);
        let (node, decided_by) = match (self.interruptible(asked).await, allowed) {
            (Ok(Attempt::Hit { node, decided_by }), _) => (node, decided_by),
            (Ok(Attempt::Miss(_)), _) => return Err(DriveError::unsupported("a miss")),
            (Err(error), Err(refused)) if matches!(error.kind, ErrorKind::OverBudget(_)) => {
                return Err(refused);
            }
            (Err(error), _) => return Err(error),
        };
        let is_proof = |bytes| bytes < size && bytes <= PROOF;
        let phase = match (taken.load(Ordering::Relaxed), conversation.spent()) {
            (0, 0) if !was_read => Phase::P1,
            (0, spent) if was_read || !is_proof(spent) => Phase::P3,
            (taken, _) if is_proof(taken) && was_read => Phase::P3,
            (taken, _) if is_proof(taken) => Phase::P2,
            _ => Phase::P4,
        };
        let strategy = match phase {
            Phase::P4 => self.strategy(),
            _ => "fast_upload",
        };
        match self.made(content, &node, &decided_by).await {
            Ok((node, mode)) => Ok(Made {
                node,
                phase,
                strategy,
                mode,
            }),
            Err(error) => {
                if error.kind == ErrorKind::Verification {
                    self.take_back(&node, &decided_by).await?;
                }
                Err(error)
            }
        }
    }

    async fn copied(&self, copied: Result<Node>) -> Result<Option<Made>> {
        match copied {
            Ok(node) => {
                let (node, mode) = self.taken_over(&node).await?;
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

    /// Asks the target for the content, `about` being it or its copy in the stage. `after` names the
    /// phase when reading came before.
    pub(super) async fn ask(
        &self,
        about: &ContentRef,
        request: &UploadRequest,
        budget: ReadBudget,
        after: Option<Phase>,
    ) -> Result<Asked> {
        let conversation =
            Conversation::new(about, budget).knowing_the_name_is_free(self.is_free(request));
        self.task.progress.call();
        let attempt = self.volume.drive.fast_upload(request, &conversation).await;
        match attempt {
            Ok(Attempt::Hit { node, decided_by }) => {
                let phase = after.unwrap_or(if conversation.spent() == 0 {
                    Phase::P1
                } else {
                    Phase::P2
                });
                match self.made(about, &node, &decided_by).await {
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

    /// Whether nobody has the name, as far as a fresh listing tells, or nobody else would take it.
    fn is_free(&self, request: &UploadRequest) -> bool {
        let catalog = self.engine.catalog();
        let fresh = |listing: &Listing| {
            let age = self.engine.now_ms().saturating_sub(listing.fetched_at);
            listing.complete && (0..self.volume.ttl_ms).contains(&age)
        };
        is_temporary_name(&request.name)
            || catalog
                .find(&self.volume.name, &request.parent)
                .iter()
                .filter_map(|dir| catalog.listing(dir.key))
                .any(|listing| {
                    let mut entries = listing.entries.iter();
                    fresh(&listing) && !entries.any(|entry| entry.node.name == request.name)
                })
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
