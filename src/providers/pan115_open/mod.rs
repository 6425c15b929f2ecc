//! 115 through its open platform (sheet `115_open`, open mode).
//!
//! | file | what is in it |
//! |---|---|
//! | `auth` | refresh of the single-use refresh token |
//! | `login` | log-in by scanning a QR picture with the app |
//! | `api` | calls with one mutation at a time, session keys of the object store |
//! | `errors` | envelopes, block signals, codes |
//! | `list` | listings, stat, decoding of entries, quota |
//! | `read` | download links and ranged reads |
//! | `write` | mkdir, rename, move, copy, trash, restore |
//! | `fast` | fast upload by SHA-1 with a proof of ownership |
//! | `upload` | streamed uploads into the object store |
//! | `names` | names this provider holds |

mod api;
mod auth;
mod errors;
mod fast;
mod list;
mod login;
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
    DriveError, EndpointInfo, ErrorKind, FieldInfo, Gives, GivesWhen, HashesDue, Node, NodeId,
    Overwrite, Page, PartReceipt, ProviderInfo, Question, Quota, Result, Status, UploadRequest,
    UploadRules, UploadSession,
};
use crate::fingerprint::{Kind, Origin};
use crate::net::ClassLimit;

use api::Api;

/// The registry's line.
pub static INFO: ProviderInfo = ProviderInfo {
    key: "115_open",
    display_name: "115 (open platform)",
    auth_modes: &[AuthMode {
        name: "official_oauth",
        kind: "account",
        fields: &[
            FieldInfo {
                name: "client_id",
                required: false,
                secret: false,
                default: None,
                help: "app id the tokens are made with; panfuse token login needs it, no other call does",
            },
            FieldInfo {
                name: "refresh_token",
                required: true,
                secret: true,
                default: None,
                help: "refresh token from the authorization of an app at the 115 open platform; single-use, do not share it with another program; panfuse token login NAME --device gets one",
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
    endpoints: &[
        EndpointInfo {
            name: "api",
            url: "https://proapi.115.com",
        },
        EndpointInfo {
            name: "passport",
            url: "https://passportapi.115.com",
        },
        // Where a log-in asks whether its QR picture was scanned.
        EndpointInfo {
            name: "qr",
            url: "https://qrcodeapi.115.com",
        },
        EndpointInfo {
            name: "web",
            url: "https://webapi.115.com",
        },
        EndpointInfo {
            name: "upload",
            url: "https://uplb.115.com",
        },
        EndpointInfo {
            name: "oss",
            url: "https://oss-cn-shenzhen.aliyuncs.com",
        },
    ],
    status: Status::SimulatorVerified,
    login: Some(&login::LOGIN),
    open,
};

/// No official numbers (sheet section 10.4): practice is one to two calls a second per account,
/// a second between link calls, and mutations one at a time.
const LIMITS: &[ClassLimit] = &[
    ClassLimit {
        class: "api",
        per_second: 1.5,
        burst: 10,
        concurrency: 3,
    },
    ClassLimit {
        class: "link",
        per_second: 0.9,
        burst: 2,
        concurrency: 1,
    },
    ClassLimit {
        class: "mutate",
        per_second: 1.0,
        burst: 4,
        concurrency: 1,
    },
    ClassLimit {
        class: "download",
        per_second: 0.0,
        burst: 1,
        concurrency: 10,
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
        range_bytes: fast::RANGE_BYTES,
        min_size: 0,
        max_size: Some(fast::MAX_SIZE),
    }],
    upload: UploadRules {
        hashes: &[Kind::Sha1],
        hashes_due: HashesDue::BeforeParts,
        resumable: true,
        visible_before_commit: false,
        pulled: false,
        max_size: Some(fast::MAX_SIZE),
        empty_files: true,
    },
    overwrite: Overwrite::ByReplace,
    rename: true,
    rename_extension: false,
    move_nodes: true,
    copy: true,
    copy_with_name: false,
    trash: true,
    restore: true,
    duplicates: true,
    same_content_same_id: true,
    path_addressed: false,
    stores_mtime: false,
    case_insensitive: false,
    max_name_bytes: 255,
    page_size: list::PAGE_SIZE,
    parallel_reads: 2,
    listing_lag_ms: 2000,
    calls: Calls {
        link: 1,
        hit: 3,
        upload: 3,
        copy: 4,
    },
    limits: LIMITS,
    read_only: false,
    shared: false,
    saves_shared: false,
    finds: crate::drive::Finds::NOTHING,
};

fn open(context: DriveContext) -> Result<Arc<dyn Drive>> {
    if context.auth_mode != "official_oauth" {
        return Err(DriveError::new(
            ErrorKind::Invalid,
            format!(
                "profile {}: auth_mode {:?} is not offered; use official_oauth",
                context.profile, context.auth_mode
            ),
        ));
    }
    let root = context
        .root
        .clone()
        .unwrap_or_else(|| list::ROOT.to_owned());
    // Profiles written for several providers say `root`.
    let root = if root == "root" {
        list::ROOT.to_owned()
    } else {
        root
    };
    Ok(Arc::new(Pan115 {
        api: Api::new(context)?,
        root: NodeId::new(root),
        links: read::Links::new(),
    }))
}

/// One account.
struct Pan115 {
    api: Api,
    root: NodeId,
    links: read::Links,
}

#[async_trait]
impl Drive for Pan115 {
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

    async fn restore(&self, node: &Node) -> Result<Node> {
        write::restore(&self.api, node).await
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
        conversation: &Conversation<'_>,
    ) -> Result<Node> {
        upload::commit(&self.api, request, session, conversation).await
    }

    async fn abandon_upload(&self, session: &UploadSession) -> Result<()> {
        upload::abandon(&self.api, session).await
    }
}

#[cfg(test)]
mod flow_tests;
