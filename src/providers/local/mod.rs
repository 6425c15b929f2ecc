//! A directory of this machine as a drive (DESIGN 9, SPEC 3.13).
//!
//! | file | what is in it |
//! |---|---|
//! | `disk` | the directory: from ids to open directories, deadlines, nodes and versions |
//! | `sys` | system calls relative to open directories |
//! | `names` | names, ids, reserved names |
//! | `mounts` | mounts of panfuse itself below the directory |
//! | `error` | what an errno means |
//! | `list` | listings and space |
//! | `read` | reading |
//! | `write` | mkdir, rename, move, copy |
//! | `trash` | the trash and the way back |
//! | `replace` | a file in the place of another, which goes to the trash |
//! | `unfinished` | hidden files that become visible in one step; reflinks and copies |
//! | `upload` | streamed uploads |
//! | `hashing` | hashes of a file while its parts are written |
//! | `index` | which content is where |
//! | `fast` | fast upload from the index |

mod disk;
mod error;
mod fast;
mod hashing;
mod index;
mod list;
mod mounts;
mod names;
mod read;
mod replace;
mod sys;
#[cfg(test)]
mod tests;
mod trash;
mod unfinished;
mod upload;
mod write;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::drive::{
    Attempt, AuthMode, ByteStream, Calls, Capabilities, Conversation, Cursor, Drive, DriveContext,
    DriveError, ErrorKind, FieldInfo, Gives, GivesWhen, HashesDue, Node, NodeId, Overwrite, Page,
    PartReceipt, ProviderInfo, Question, Quota, Result, Status, UploadRequest, UploadRules,
    UploadSession,
};
use crate::fingerprint::{Kind, Known, Origin};
use crate::net::Clock;

use disk::{Disk, METADATA, PIECE};

/// The registry's line.
pub static INFO: ProviderInfo = ProviderInfo {
    key: "local",
    display_name: "Local directory",
    auth_modes: &[AuthMode {
        name: "none",
        kind: "account",
        fields: &[FieldInfo {
            name: "path",
            required: true,
            secret: false,
            default: None,
            help: "an existing directory of this machine, as an absolute path",
        }],
        capabilities: &CAPABILITIES,
    }],
    endpoints: &[],
    status: Status::SimulatorVerified,
    login: None,
    open,
};

const fn gives(kind: Kind) -> Gives {
    Gives {
        kind,
        when: GivesWhen::OnceComputed,
        origin: Origin::Provider,
    }
}

const fn asks(kinds: &'static [Kind]) -> Question {
    Question {
        kinds,
        range_bytes: 0,
        min_size: 0,
        max_size: None,
    }
}

static CAPABILITIES: Capabilities = Capabilities {
    gives: &[gives(Kind::Sha256), gives(Kind::Sha1), gives(Kind::Md5)],
    questions: &[
        asks(&[Kind::Sha256]),
        asks(&[Kind::Sha1]),
        asks(&[Kind::Md5]),
    ],
    upload: UploadRules {
        hashes: &[],
        hashes_due: HashesDue::Never,
        resumable: true,
        visible_before_commit: false,
        pulled: false,
        max_size: None,
        empty_files: true,
    },
    overwrite: Overwrite::Atomic,
    rename: true,
    rename_extension: true,
    move_nodes: true,
    copy: true,
    copy_with_name: true,
    trash: true,
    restore: true,
    duplicates: false,
    same_content_same_id: false,
    path_addressed: true,
    stores_mtime: true,
    case_insensitive: false,
    max_name_bytes: names::MAX_NAME,
    page_size: list::PAGE_SIZE,
    parallel_reads: 8,
    listing_lag_ms: 0,
    calls: Calls::NONE,
    limits: &[],
    read_only: false,
    shared: false,
    saves_shared: false,
    finds: crate::drive::Finds::NOTHING,
};

fn open(context: DriveContext) -> Result<Arc<dyn Drive>> {
    let drive = LocalDrive::open(
        context.field("path"),
        context.root.as_deref().unwrap_or_default(),
        &context.state_dir,
        context.clock.clone(),
    )
    .map_err(|error| DriveError {
        message: format!("profile {}: {}", context.profile, error.message),
        ..error
    })?;
    Ok(Arc::new(drive))
}

/// A directory of this machine.
struct LocalDrive {
    disk: Arc<Disk>,
    root: NodeId,
}

impl LocalDrive {
    /// `root` is the directory below `path` that is mounted, empty for `path` itself.
    fn open(path: &str, root: &str, state_dir: &Path, clock: Arc<dyn Clock>) -> Result<LocalDrive> {
        let disk = Disk::open(path, state_dir, clock)?;
        let root = root.trim_matches('/');
        disk.dir(root).map_err(|error| {
            DriveError::new(
                ErrorKind::Invalid,
                format!("root {root:?} below {path:?}: {}", error.message),
            )
        })?;
        Ok(LocalDrive {
            disk: Arc::new(disk),
            root: NodeId::new(root),
        })
    }
}

#[async_trait]
impl Drive for LocalDrive {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    fn root(&self) -> NodeId {
        self.root.clone()
    }

    fn account_id(&self) -> Option<String> {
        Some(self.disk.path().display().to_string())
    }

    async fn list(&self, dir: &NodeId, cursor: Option<Cursor>) -> Result<Page> {
        let dir = dir.clone();
        self.disk
            .run("list", METADATA, move |disk| {
                list::page(disk, &dir, cursor.as_ref())
            })
            .await
    }

    async fn stat(&self, id: &NodeId) -> Result<Node> {
        let id = id.clone();
        self.disk
            .run("stat", METADATA, move |disk| disk.stat(&id))
            .await
    }

    async fn read(&self, node: &Node, range: Range<u64>) -> Result<ByteStream> {
        read::stream(&self.disk, node, range).await
    }

    async fn fingerprint(&self, node: &Node, kind: Kind) -> Result<Option<Known>> {
        let node = node.clone();
        self.disk
            .run("fingerprint", METADATA, move |disk| {
                let now = disk.stat(&node.id)?;
                if now.version != node.version {
                    return Err(disk::changed(&node));
                }
                Ok(now.fingerprints.get(kind).cloned())
            })
            .await
    }

    async fn mkdir(&self, parent: &NodeId, name: &str) -> Result<Node> {
        let (parent, name) = (parent.clone(), name.to_owned());
        self.disk
            .run("mkdir", METADATA, move |disk| {
                write::mkdir(disk, &parent, &name)
            })
            .await
    }

    async fn rename(&self, node: &Node, name: &str) -> Result<Node> {
        let (node, name) = (node.clone(), name.to_owned());
        self.disk
            .run("rename", METADATA, move |disk| {
                write::rename(disk, &node, &name)
            })
            .await
    }

    async fn move_to(&self, node: &Node, parent: &NodeId) -> Result<Node> {
        let (node, parent) = (node.clone(), parent.clone());
        self.disk
            .run("move", METADATA, move |disk| {
                write::move_to(disk, &node, &parent)
            })
            .await
    }

    async fn copy(&self, node: &Node, parent: &NodeId, name: &str) -> Result<Node> {
        write::copy(&self.disk, node, parent, name).await
    }

    async fn trash(&self, node: &Node) -> Result<()> {
        let node = node.clone();
        self.disk
            .run("trash", METADATA, move |disk| trash::trash(disk, &node))
            .await
    }

    async fn restore(&self, node: &Node) -> Result<Node> {
        let node = node.clone();
        self.disk
            .run("restore", METADATA, move |disk| trash::restore(disk, &node))
            .await
    }

    async fn quota(&self) -> Result<Quota> {
        self.disk.run("quota", METADATA, list::quota).await
    }

    async fn fast_upload(
        &self,
        request: &UploadRequest,
        conversation: &Conversation<'_>,
    ) -> Result<Attempt> {
        fast::attempt(&self.disk, request, conversation).await
    }

    async fn open_upload(
        &self,
        request: &UploadRequest,
        _conversation: &Conversation<'_>,
    ) -> Result<UploadSession> {
        let request = request.clone();
        self.disk
            .run("open_upload", PIECE, move |disk| {
                upload::open(disk, &request)
            })
            .await
    }

    async fn resume_upload(
        &self,
        request: &UploadRequest,
        session: UploadSession,
    ) -> Result<Option<UploadSession>> {
        let request = request.clone();
        self.disk
            .run("resume_upload", METADATA, move |disk| {
                upload::resume(disk, &request, session)
            })
            .await
    }

    async fn put_part(
        &self,
        session: &UploadSession,
        number: u32,
        bytes: Bytes,
    ) -> Result<PartReceipt> {
        let session = session.clone();
        self.disk
            .run("put_part", PIECE, move |disk| {
                upload::put_part(disk, &session, number, &bytes)
            })
            .await
    }

    async fn commit_upload(
        &self,
        request: &UploadRequest,
        session: &UploadSession,
        _conversation: &Conversation<'_>,
    ) -> Result<Node> {
        upload::commit(&self.disk, request, session).await
    }

    async fn abandon_upload(&self, session: &UploadSession) -> Result<()> {
        let session = session.clone();
        self.disk
            .run("abandon_upload", METADATA, move |disk| {
                upload::abandon(disk, &session)
            })
            .await
    }
}
