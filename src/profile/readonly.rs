//! A drive on which nothing can be written, whatever its provider allows.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;

use crate::drive::{
    Attempt, ByteStream, Capabilities, Conversation, Cursor, Drive, DriveError, ErrorKind,
    FoundPage, LinkWish, MediaCount, MediaKind, Node, NodeId, Page, PartReceipt, Quota, Result,
    ShareLink, UploadRequest, UploadSession,
};
use crate::fingerprint::{Kind, Known};

/// A read-only view of a drive. Requests that would change something are refused here; none
/// reaches the provider.
pub struct ReadOnly {
    inner: Arc<dyn Drive>,
    capabilities: Capabilities,
}

impl ReadOnly {
    /// Wraps a drive.
    pub fn new(inner: Arc<dyn Drive>) -> Self {
        let capabilities = Capabilities {
            read_only: true,
            ..inner.capabilities().clone()
        };
        ReadOnly {
            inner,
            capabilities,
        }
    }
}

fn refuse<T>() -> Result<T> {
    Err(DriveError::new(
        ErrorKind::ReadOnly,
        "this profile is read-only",
    ))
}

#[async_trait]
impl Drive for ReadOnly {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn root(&self) -> NodeId {
        self.inner.root()
    }

    fn account_id(&self) -> Option<String> {
        self.inner.account_id()
    }

    async fn list(&self, dir: &NodeId, cursor: Option<Cursor>) -> Result<Page> {
        self.inner.list(dir, cursor).await
    }

    async fn stat(&self, id: &NodeId) -> Result<Node> {
        self.inner.stat(id).await
    }

    async fn read(&self, node: &Node, range: Range<u64>) -> Result<ByteStream> {
        self.inner.read(node, range).await
    }

    async fn fingerprint(&self, node: &Node, kind: Kind) -> Result<Option<Known>> {
        self.inner.fingerprint(node, kind).await
    }

    async fn quota(&self) -> Result<Quota> {
        self.inner.quota().await
    }

    async fn search(&self, dir: &NodeId, key: &str, cursor: Option<Cursor>) -> Result<FoundPage> {
        self.inner.search(dir, key, cursor).await
    }

    async fn media(
        &self,
        dir: &NodeId,
        kind: MediaKind,
        cursor: Option<Cursor>,
    ) -> Result<FoundPage> {
        self.inner.media(dir, kind, cursor).await
    }

    async fn media_counts(&self, dir: &NodeId) -> Result<Vec<MediaCount>> {
        self.inner.media_counts(dir).await
    }

    async fn share_link(&self, _: &Node, _: &LinkWish) -> Result<ShareLink> {
        refuse()
    }

    async fn mkdir(&self, _: &NodeId, _: &str) -> Result<Node> {
        refuse()
    }

    async fn rename(&self, _: &Node, _: &str) -> Result<Node> {
        refuse()
    }

    async fn move_to(&self, _: &Node, _: &NodeId) -> Result<Node> {
        refuse()
    }

    async fn copy(&self, _: &Node, _: &NodeId, _: &str) -> Result<Node> {
        refuse()
    }

    async fn trash(&self, _: &Node) -> Result<()> {
        refuse()
    }

    async fn restore(&self, _: &Node) -> Result<Node> {
        refuse()
    }

    async fn fast_upload(&self, _: &UploadRequest, _: &Conversation<'_>) -> Result<Attempt> {
        refuse()
    }

    async fn open_upload(&self, _: &UploadRequest, _: &Conversation<'_>) -> Result<UploadSession> {
        refuse()
    }

    async fn resume_upload(
        &self,
        _: &UploadRequest,
        _: UploadSession,
    ) -> Result<Option<UploadSession>> {
        refuse()
    }

    async fn put_part(&self, _: &UploadSession, _: u32, _: bytes::Bytes) -> Result<PartReceipt> {
        refuse()
    }

    async fn commit_upload(
        &self,
        _: &UploadRequest,
        _: &UploadSession,
        _: &Conversation<'_>,
    ) -> Result<Node> {
        refuse()
    }

    async fn abandon_upload(&self, _: &UploadSession) -> Result<()> {
        refuse()
    }
}
