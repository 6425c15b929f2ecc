//! Aliyun Drive through its open platform (sheet `aliyundrive_open`).
//!
//! | file | what is in it |
//! |---|---|
//! | `auth` | refresh of the single-use refresh token |
//! | `api` | JSON calls, error codes, drive ids |
//! | `list` | listings, stat, decoding of items, quota |
//! | `read` | download links and ranged reads |
//! | `write` | mkdir, rename, move, copy, trash |
//! | `upload` | streamed uploads in parts |
//! | `fast` | fast upload by SHA-1 and a token-dependent proof |
//! | `names` | names this provider holds |

mod api;
mod auth;
mod fast;
mod list;
mod names;
mod read;
mod upload;
mod write;

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::drive::{
    Attempt, AuthMode, ByteStream, Calls, Capabilities, Conversation, Cursor, Drive, DriveContext,
    EndpointInfo, FieldInfo, Gives, GivesWhen, HashesDue, Node, NodeId, Overwrite, Page,
    PartReceipt, ProviderInfo, Question, Quota, Result, Status, UploadRequest, UploadRules,
    UploadSession,
};
use crate::fingerprint::{Kind, Origin};
use crate::net::ClassLimit;

use api::Api;

/// The registry's line.
pub static INFO: ProviderInfo = ProviderInfo {
    key: "aliyundrive_open",
    display_name: "Aliyun Drive (open platform)",
    auth_modes: &[AuthMode {
        name: "official_oauth",
        kind: "account",
        fields: &[
            FieldInfo {
                name: "client_id",
                required: true,
                secret: false,
                default: None,
                help: "app id of your app at the Aliyun Drive open platform",
            },
            FieldInfo {
                name: "drive_type",
                required: false,
                secret: false,
                default: Some("default"),
                help: "which drive of the account: default, resource or backup",
            },
            FieldInfo {
                name: "client_secret",
                required: false,
                secret: true,
                default: None,
                help: "app secret; apps with PKCE have none",
            },
            FieldInfo {
                name: "refresh_token",
                required: true,
                secret: true,
                default: None,
                help: "refresh token from the authorization of your app (scopes user:base, file:all:read, file:all:write)",
            },
            FieldInfo {
                name: "access_token",
                required: false,
                secret: true,
                default: None,
                help: "a still valid access token, to save the first refresh",
            },
        ],
        capabilities: &CAPABILITIES,
    }],
    endpoints: &[EndpointInfo {
        name: "api",
        url: "https://openapi.alipan.com",
    }],
    status: Status::SimulatorVerified,
    login: None,
    open,
};

/// Rate classes of sheet section 10, a little below the published limits; three connections
/// per user for downloads (section 8).
const LIMITS: &[ClassLimit] = &[
    ClassLimit {
        class: "list",
        per_second: 3.9,
        burst: 4,
        concurrency: 4,
    },
    ClassLimit {
        class: "link",
        per_second: 0.9,
        burst: 2,
        concurrency: 1,
    },
    ClassLimit {
        class: "other",
        per_second: 14.5,
        burst: 8,
        concurrency: 8,
    },
    ClassLimit {
        class: "download",
        per_second: 0.0,
        burst: 1,
        concurrency: 3,
    },
    ClassLimit {
        class: "upload",
        per_second: 0.0,
        burst: 1,
        concurrency: 4,
    },
];

static CAPABILITIES: Capabilities = Capabilities {
    gives: &[Gives {
        kind: Kind::Sha1,
        when: GivesWhen::AtList,
        origin: Origin::Provider,
    }],
    questions: &[Question {
        kinds: &[Kind::Sha1],
        range_bytes: 8,
        min_size: 0,
        max_size: None,
    }],
    upload: UploadRules {
        hashes: &[],
        hashes_due: HashesDue::Never,
        resumable: true,
        visible_before_commit: false,
        pulled: false,
        max_size: None,
        empty_files: true,
    },
    overwrite: Overwrite::ByReplace,
    rename: true,
    rename_extension: true,
    move_nodes: true,
    copy: true,
    copy_with_name: false,
    trash: true,
    restore: false,
    duplicates: true,
    same_content_same_id: false,
    path_addressed: false,
    stores_mtime: false,
    case_insensitive: false,
    max_name_bytes: 1024,
    page_size: list::PAGE_SIZE,
    parallel_reads: 3,
    listing_lag_ms: 0,
    calls: Calls {
        link: 1,
        hit: 2,
        upload: 3,
        copy: 3,
    },
    limits: LIMITS,
    read_only: false,
    shared: false,
    saves_shared: false,
    finds: crate::drive::Finds::NOTHING,
};

fn open(context: DriveContext) -> Result<Arc<dyn Drive>> {
    let root = NodeId::new(context.root.clone().unwrap_or_else(|| "root".to_owned()));
    Ok(Arc::new(AliyunDrive {
        api: Api::new(context)?,
        root,
        links: read::Links::new(),
    }))
}

/// One account, one of its drives.
struct AliyunDrive {
    api: Api,
    root: NodeId,
    links: read::Links,
}

#[async_trait]
impl Drive for AliyunDrive {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    fn root(&self) -> NodeId {
        self.root.clone()
    }

    fn account_id(&self) -> Option<String> {
        self.api.account_id()
    }

    async fn list(&self, dir: &NodeId, cursor: Option<Cursor>) -> Result<Page> {
        list::page(&self.api, dir, cursor).await
    }

    async fn stat(&self, id: &NodeId) -> Result<Node> {
        list::stat(&self.api, id).await
    }

    async fn read(&self, node: &Node, range: Range<u64>) -> Result<ByteStream> {
        self.links.read(&self.api, node, range).await
    }

    async fn mkdir(&self, parent: &NodeId, name: &str) -> Result<Node> {
        write::mkdir(&self.api, parent, name).await
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

    async fn quota(&self) -> Result<Quota> {
        list::quota(&self.api).await
    }

    async fn fast_upload(
        &self,
        request: &UploadRequest,
        conversation: &Conversation<'_>,
    ) -> Result<Attempt> {
        fast::attempt(&self.api, request, conversation).await
    }

    async fn open_upload(
        &self,
        request: &UploadRequest,
        _conversation: &Conversation<'_>,
    ) -> Result<UploadSession> {
        upload::open(&self.api, request).await
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
