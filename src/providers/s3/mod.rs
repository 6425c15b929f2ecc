//! An object store that speaks S3 as a drive: AWS, MinIO, R2, B2, Ceph, rclone and others (sheet
//! `generic_backends`, 2, 5 and 7.2).
//!
//! | file | what is in it |
//! |---|---|
//! | `address` | ids and keys; where a bucket is |
//! | `names` | names an object store holds |
//! | `keys` | the access key, for the signer |
//! | `api` | the store, signed requests that OpenDAL has no operation for, what was learned of the server |
//! | `error`, `xml` | what a refusal means |
//! | `list` | listings, single nodes |
//! | `versions` | what changes when the bytes do |
//! | `read` | ranges |
//! | `marks` | directories, empty ones too |
//! | `write`, `tree` | rename, move, copy, delete; of directories |
//! | `upload`, `multipart` | sessions, parts, commit |

mod address;
mod api;
mod error;
mod keys;
mod list;
mod marks;
mod multipart;
mod names;
mod read;
#[cfg(test)]
mod tests;
mod tree;
mod upload;
mod versions;
mod write;
mod xml;

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::drive::{
    Attempt, AuthMode, ByteStream, Calls, Capabilities, Conversation, Cursor, Drive, DriveContext,
    EndpointInfo, FieldInfo, Gives, GivesWhen, HashesDue, Node, NodeId, Overwrite, Page,
    PartReceipt, ProviderInfo, Quota, Result, Status, UploadRequest, UploadRules, UploadSession,
};
use crate::fingerprint::{Kind, Origin};
use crate::net::ClassLimit;

use api::Api;

/// The registry's line.
pub static INFO: ProviderInfo = ProviderInfo {
    key: "s3",
    display_name: "S3",
    auth_modes: &[AuthMode {
        name: "access_key",
        kind: "account",
        fields: &[
            field(
                "access_key_id",
                true,
                None,
                "the id of an access key that may list, read, write and delete in the bucket",
            ),
            FieldInfo {
                secret: true,
                ..field("secret_access_key", true, None, "its secret")
            },
            FieldInfo {
                secret: true,
                ..field(
                    "session_token",
                    false,
                    None,
                    "the session token of a temporary key; it is not renewed",
                )
            },
            field(
                "region",
                false,
                Some("us-east-1"),
                "the region of the bucket; us-east-1 or auto for most servers of one's own",
            ),
            field("bucket", true, None, "the bucket"),
            field(
                "path_style",
                false,
                Some("auto"),
                "auto; yes: the bucket stands in the path of addresses; no: in the host",
            ),
            field(
                "directory_markers",
                false,
                Some("yes"),
                "yes: empty directories are kept as objects whose key ends in a slash; no: remembered until panfuse ends",
            ),
            field(
                "etag_md5",
                false,
                Some("auto"),
                "auto: the ETag of an object stored in one piece is its MD5 unless the server shows otherwise; no: never",
            ),
        ],
        capabilities: &CAPABILITIES,
    }],
    endpoints: &[EndpointInfo {
        name: "url",
        url: "",
    }],
    status: Status::SimulatorVerified,
    login: None,
    open,
};

const fn field(
    name: &'static str,
    required: bool,
    default: Option<&'static str>,
    help: &'static str,
) -> FieldInfo {
    FieldInfo {
        name,
        required,
        secret: false,
        default,
        help,
    }
}

/// Object stores take many requests at a time and say SlowDown when it is too much.
const LIMITS: &[ClassLimit] = &[
    class("list", 8),
    class("other", 16),
    class("download", 16),
    class("upload", 8),
];

const fn class(class: &'static str, concurrency: usize) -> ClassLimit {
    ClassLimit {
        class,
        per_second: 0.0,
        burst: 1,
        concurrency,
    }
}

/// An object is replaced by one request, or by the one that joins parts: readers see the old one or
/// the new one. Modification times are the server's own.
static CAPABILITIES: Capabilities = Capabilities {
    gives: &[Gives {
        kind: Kind::Md5,
        when: GivesWhen::AtList,
        origin: Origin::Provider,
    }],
    upload: UploadRules {
        hashes: &[],
        hashes_due: HashesDue::Never,
        resumable: true,
        visible_before_commit: false,
        pulled: false,
        max_size: Some(upload::MOST),
        empty_files: true,
    },
    overwrite: Overwrite::Atomic,
    rename: true,
    rename_extension: true,
    move_nodes: true,
    copy: true,
    copy_with_name: true,
    path_addressed: true,
    max_name_bytes: names::MAX_NAME,
    page_size: list::PAGE_SIZE,
    parallel_reads: 8,
    // Stored, looked at, verified; a copy: the name is looked at twice (file, directory), the source,
    // copied, looked at, verified.
    calls: Calls {
        upload: 3,
        copy: 6,
        ..Calls::NONE
    },
    limits: LIMITS,
    read_only: false,
    ..Capabilities::NOTHING
};

fn open(context: DriveContext) -> Result<Arc<dyn Drive>> {
    let api = Api::new(&context)?;
    Ok(Arc::new(S3Drive {
        account: api.account(context.field("access_key_id")),
        api,
    }))
}

/// One bucket.
struct S3Drive {
    api: Api,
    account: String,
}

#[async_trait]
impl Drive for S3Drive {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    fn root(&self) -> NodeId {
        self.api.root.clone()
    }

    /// Access key and bucket: ids are relative to the bucket.
    fn account_id(&self) -> Option<String> {
        Some(self.account.clone())
    }

    fn check_name(&self, name: &str) -> Result<()> {
        names::encode(name).map(drop)
    }

    async fn list(&self, dir: &NodeId, cursor: Option<Cursor>) -> Result<Page> {
        list::page(&self.api, dir, cursor).await
    }

    async fn stat(&self, id: &NodeId) -> Result<Node> {
        list::stat(&self.api, id).await
    }

    async fn read(&self, node: &Node, range: Range<u64>) -> Result<ByteStream> {
        read::read(&self.api, node, range).await
    }

    async fn mkdir(&self, parent: &NodeId, name: &str) -> Result<Node> {
        marks::mkdir(&self.api, parent, name).await
    }

    async fn rename(&self, node: &Node, name: &str) -> Result<Node> {
        write::rename(&self.api, node, name).await
    }

    async fn move_to(&self, node: &Node, parent: &NodeId) -> Result<Node> {
        write::move_to(&self.api, node, parent).await
    }

    async fn copy(&self, node: &Node, parent: &NodeId, name: &str) -> Result<Node> {
        write::copy(&self.api, node, parent, name).await
    }

    async fn trash(&self, node: &Node) -> Result<()> {
        write::trash(&self.api, node).await
    }

    /// Nobody tells the space of a bucket.
    async fn quota(&self) -> Result<Quota> {
        Ok(Quota::default())
    }

    /// No object store has such a question.
    async fn fast_upload(
        &self,
        _request: &UploadRequest,
        _conversation: &Conversation<'_>,
    ) -> Result<Attempt> {
        Ok(Attempt::Miss(None))
    }

    async fn open_upload(
        &self,
        request: &UploadRequest,
        conversation: &Conversation<'_>,
    ) -> Result<UploadSession> {
        upload::open(&self.api, request, conversation).await
    }

    async fn resume_upload(
        &self,
        request: &UploadRequest,
        session: UploadSession,
    ) -> Result<Option<UploadSession>> {
        upload::resume(&self.api, request, session).await
    }

    async fn put_part(
        &self,
        session: &UploadSession,
        number: u32,
        bytes: Bytes,
    ) -> Result<PartReceipt> {
        upload::put_part(&self.api, session, number, bytes).await
    }

    async fn commit_upload(
        &self,
        request: &UploadRequest,
        session: &UploadSession,
        _conversation: &Conversation<'_>,
    ) -> Result<Node> {
        upload::commit(&self.api, request, session).await
    }

    async fn abandon_upload(&self, session: &UploadSession) -> Result<()> {
        upload::abandon(&self.api, session).await
    }
}
