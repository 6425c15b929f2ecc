//! Mounts, profiles and drives that take no change.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use panfuse::content::Volume;
use panfuse::drive::{
    Attempt, ByteStream, Capabilities, Conversation, Cursor, Drive, DriveError, Node, NodeId, Page,
    PartReceipt, Quota, Result, UploadRequest, UploadSession,
};
use panfuse::vfs::{Caller, FsResult, SetAttr, Settings};

use super::harness::{Rig, RigOptions};
use super::outside;

/// A drive that says that it takes no change, and is asked for none.
struct ReadOnly {
    inner: Arc<dyn Drive>,
    capabilities: Capabilities,
}

fn asked() -> DriveError {
    DriveError::unsupported("a change of a read-only drive")
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

    async fn mkdir(&self, _parent: &NodeId, _name: &str) -> Result<Node> {
        Err(asked())
    }

    async fn rename(&self, _node: &Node, _name: &str) -> Result<Node> {
        Err(asked())
    }

    async fn move_to(&self, _node: &Node, _parent: &NodeId) -> Result<Node> {
        Err(asked())
    }

    async fn copy(&self, _node: &Node, _parent: &NodeId, _name: &str) -> Result<Node> {
        Err(asked())
    }

    async fn trash(&self, _node: &Node) -> Result<()> {
        Err(asked())
    }

    async fn quota(&self) -> Result<Quota> {
        self.inner.quota().await
    }

    async fn fast_upload(
        &self,
        _request: &UploadRequest,
        _conversation: &Conversation<'_>,
    ) -> Result<Attempt> {
        Err(asked())
    }

    async fn open_upload(
        &self,
        _request: &UploadRequest,
        _conversation: &Conversation<'_>,
    ) -> Result<UploadSession> {
        Err(asked())
    }

    async fn resume_upload(
        &self,
        _request: &UploadRequest,
        _session: UploadSession,
    ) -> Result<Option<UploadSession>> {
        Err(asked())
    }

    async fn put_part(
        &self,
        _session: &UploadSession,
        _number: u32,
        _bytes: Bytes,
    ) -> Result<PartReceipt> {
        Err(asked())
    }

    async fn commit_upload(
        &self,
        _request: &UploadRequest,
        _session: &UploadSession,
        _conversation: &Conversation<'_>,
    ) -> Result<Node> {
        Err(asked())
    }

    async fn abandon_upload(&self, _session: &UploadSession) -> Result<()> {
        Err(asked())
    }
}

async fn takes_nothing(options: RigOptions) -> Rig {
    let rig = Rig::with(&["aliyundrive_open"], &["here", "there"], options).await;
    std::fs::write(outside(&rig, "here/a"), b"old").unwrap();
    std::fs::create_dir(outside(&rig, "here/d")).unwrap();
    let vfs = &rig.vfs;
    let caller = Caller::own();
    let here = rig.ino("here").await.unwrap();
    let file = rig.ino("here/a").await.unwrap();
    fn refused<T>(what: &str, result: FsResult<T>) {
        match result {
            Ok(_) => panic!("{what} was done"),
            Err(error) => assert_eq!(error.errno, libc::EROFS, "{what}: {error}"),
        }
    }
    let flags = libc::O_WRONLY | libc::O_CREAT;
    refused(
        "create",
        vfs.create(here, "new", 0o644, flags, &caller).await,
    );
    refused(
        "create of a name that exists",
        vfs.create(here, "a", 0o644, flags, &caller).await,
    );
    refused("mkdir", vfs.mkdir(here, "e").await);
    refused("unlink", vfs.unlink(here, "a").await);
    refused("rmdir", vfs.rmdir(here, "d").await);
    refused("rename", vfs.rename((here, "a"), (here, "b"), 0).await);
    for flags in [
        libc::O_WRONLY,
        libc::O_RDWR,
        libc::O_WRONLY | libc::O_APPEND,
        libc::O_RDONLY | libc::O_TRUNC,
    ] {
        refused("open for writing", vfs.open(file, flags, &caller));
    }
    for change in [
        SetAttr {
            size: Some(1),
            ..SetAttr::default()
        },
        SetAttr {
            mode: Some(0o600),
            ..SetAttr::default()
        },
        SetAttr {
            mtime_ns: Some(1),
            ..SetAttr::default()
        },
    ] {
        refused("setattr", vfs.setattr(file, change).await);
    }
    assert_eq!(rig.get("here/a").await.unwrap(), b"old");
    assert_eq!(rig.names("here").await, ["a", "d"]);
    rig
}

// S-003
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_mount_takes_no_change() {
    let rig = takes_nothing(RigOptions {
        settings: |settings| Settings {
            read_only: true,
            ..settings
        },
        ..RigOptions::default()
    })
    .await;
    let other = rig.put("there/a", b"x").await;
    assert_eq!(other.unwrap_err().errno, libc::EROFS);
}

// S-003
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_profile_takes_no_change_and_its_neighbours_do() {
    let rig = takes_nothing(RigOptions {
        volume: |volume| Volume {
            read_only: &*volume.name == "here",
            ..volume
        },
        ..RigOptions::default()
    })
    .await;
    rig.put("there/a", b"x").await.unwrap();
    let there = rig.ino("there").await.unwrap();
    let here = rig.ino("here").await.unwrap();
    let into = rig.vfs.rename((there, "a"), (here, "x"), 0).await;
    assert_eq!(into.unwrap_err().errno, libc::EXDEV);
    let copied = rig.cp("there/a", "here/b").await;
    assert_eq!(copied.unwrap_err().errno, libc::EROFS);
}

// S-003
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_drive_is_asked_for_no_change() {
    takes_nothing(RigOptions {
        volume: |volume| {
            let capabilities = Capabilities {
                read_only: true,
                ..volume.capabilities().clone()
            };
            let inner = volume.drive.clone();
            Volume {
                drive: Arc::new(ReadOnly {
                    inner,
                    capabilities,
                }),
                ..volume
            }
        },
        ..RigOptions::default()
    })
    .await;
}
