//! A drive in the hands of a test: it stands still before or after a chosen call, as if the
//! program had died there, or until it is let go.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use panfuse::content::Volume;
use panfuse::drive::{
    Attempt, ByteStream, Capabilities, Conversation, Cursor, Drive, Node, NodeId, Page,
    PartReceipt, Quota, Result, UploadRequest, UploadSession,
};
use panfuse::fingerprint::{Kind, Known};
use tokio::sync::{Notify, watch};

use super::harness::{Rig, RigOptions};

/// What a test says about one drive.
pub struct Control {
    /// Changes of names that may still begin; then the drive stands still.
    left: AtomicUsize,
    /// Whether it stands still before the call or after it.
    after: AtomicBool,
    /// It stands still.
    pub stood_still: Notify,
    /// Uploads are opened while this is true.
    uploads: watch::Sender<bool>,
    /// Somebody waits to open one.
    pub wants_upload: Notify,
}

/// The drives under control, by their address: the hook of the rig cannot hold anything.
static CONTROLS: Mutex<Option<HashMap<usize, Arc<Control>>>> = Mutex::new(None);

fn address(drive: &Arc<dyn Drive>) -> usize {
    Arc::as_ptr(drive).cast::<u8>() as usize
}

fn control(volume: Volume) -> Volume {
    let control = Arc::new(Control {
        left: AtomicUsize::new(usize::MAX),
        after: AtomicBool::new(false),
        stood_still: Notify::new(),
        uploads: watch::Sender::new(true),
        wants_upload: Notify::new(),
    });
    let drive: Arc<dyn Drive> = Arc::new(Controlled {
        inner: volume.drive.clone(),
        control: control.clone(),
    });
    let mut all = CONTROLS.lock().unwrap();
    all.get_or_insert_default().insert(address(&drive), control);
    Volume { drive, ..volume }
}

/// Options of a rig whose drives are under control.
pub fn controlled() -> RigOptions {
    RigOptions {
        volume: control,
        ..RigOptions::default()
    }
}

/// The control of a profile's drive.
pub fn control_of(rig: &Rig, profile: &str) -> Arc<Control> {
    let volume = rig.vfs.engine().volume(profile).unwrap();
    let all = CONTROLS.lock().unwrap();
    all.as_ref().unwrap()[&address(&volume.drive)].clone()
}

impl Control {
    /// Stands still around the `nth` change of a name (0 is the next one).
    pub fn stand_still(&self, nth: usize, after: bool) {
        self.after.store(after, Ordering::SeqCst);
        self.left.store(nth, Ordering::SeqCst);
    }

    /// Whether uploads may be opened.
    pub fn allow_uploads(&self, allowed: bool) {
        self.uploads.send_replace(allowed);
    }

    async fn change<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let before = self.left.fetch_sub(1, Ordering::SeqCst);
        if before == usize::MAX {
            self.left.store(usize::MAX, Ordering::SeqCst);
        } else if before == 0 || before > usize::MAX / 2 {
            let answer = if self.after.load(Ordering::SeqCst) && before == 0 {
                Some(call.await)
            } else {
                None
            };
            self.stood_still.notify_one();
            std::future::pending::<()>().await;
            drop(answer);
            unreachable!("nothing goes on after the end of the program");
        }
        call.await
    }
}

struct Controlled {
    inner: Arc<dyn Drive>,
    control: Arc<Control>,
}

#[async_trait]
impl Drive for Controlled {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
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

    async fn mkdir(&self, parent: &NodeId, name: &str) -> Result<Node> {
        self.inner.mkdir(parent, name).await
    }

    async fn rename(&self, node: &Node, name: &str) -> Result<Node> {
        self.control.change(self.inner.rename(node, name)).await
    }

    async fn move_to(&self, node: &Node, parent: &NodeId) -> Result<Node> {
        self.control.change(self.inner.move_to(node, parent)).await
    }

    async fn copy(&self, node: &Node, parent: &NodeId, name: &str) -> Result<Node> {
        self.inner.copy(node, parent, name).await
    }

    async fn trash(&self, node: &Node) -> Result<()> {
        self.control.change(self.inner.trash(node)).await
    }

    async fn restore(&self, node: &Node) -> Result<Node> {
        self.inner.restore(node).await
    }

    async fn quota(&self) -> Result<Quota> {
        self.inner.quota().await
    }

    async fn fast_upload(
        &self,
        request: &UploadRequest,
        conversation: &Conversation<'_>,
    ) -> Result<Attempt> {
        self.inner.fast_upload(request, conversation).await
    }

    async fn open_upload(
        &self,
        request: &UploadRequest,
        conversation: &Conversation<'_>,
    ) -> Result<UploadSession> {
        self.control.wants_upload.notify_one();
        let mut allowed = self.control.uploads.subscribe();
        let _ = allowed.wait_for(|allowed| *allowed).await;
        self.inner.open_upload(request, conversation).await
    }

    async fn resume_upload(
        &self,
        request: &UploadRequest,
        session: UploadSession,
    ) -> Result<Option<UploadSession>> {
        self.inner.resume_upload(request, session).await
    }

    async fn put_part(
        &self,
        session: &UploadSession,
        number: u32,
        bytes: bytes::Bytes,
    ) -> Result<PartReceipt> {
        self.inner.put_part(session, number, bytes).await
    }

    async fn commit_upload(
        &self,
        request: &UploadRequest,
        session: &UploadSession,
        conversation: &Conversation<'_>,
    ) -> Result<Node> {
        self.inner
            .commit_upload(request, session, conversation)
            .await
    }

    async fn abandon_upload(&self, session: &UploadSession) -> Result<()> {
        self.inner.abandon_upload(session).await
    }
}
